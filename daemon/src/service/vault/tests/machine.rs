//! The machine's own troubles: a full disk, a read-only one, a damaged file.

use super::*;

fn text_of<T: std::fmt::Debug>(found: Result<T, VaultError>) -> String {
    match found {
        Err(VaultError::Unavailable { text }) => text,
        other => panic!("{other:?}"),
    }
}

fn shows(path: &Path, when: &str, text: String) {
    let text = text.replace(path.to_str().unwrap(), "/var/lib/iamd");
    crate::testing::shows("Store and keys", when, VaultError::Unavailable { text });
}

/// On a file system of 512 KiB of its own, mounted over the state directory.
async fn on_a_small_file_system(path: &Path) {
    let vault = open_at(path).await.unwrap();
    let at = vault.save_account(&record(1001, "wlcg", "rt-1"), ABSENT).await.unwrap();
    let mut entry = None;
    let filler = path.join("filler");
    fs::write(&filler, []).unwrap();
    let fill = || {
        let mut file = fs::OpenOptions::new().append(true).open(&filler).unwrap();
        while std::io::Write::write_all(&mut file, &[1; 512]).is_ok() {}
    };

    vault.make_room().await.unwrap();
    fill();
    // Room was made for what is on its way.
    for _ in 0..20 {
        let fits = vault.journal(&record(1001, "wlcg", "rt-2"), Some(&secret("rt-1"))).await;
        entry = Some(fits.unwrap());
    }
    // What is appended until the last block is full may fit; then nothing does.
    let refused = loop {
        match vault.journal(&record(1001, "wlcg", "rt-2"), Some(&secret("rt-1"))).await {
            Ok(written) => entry = Some(written),
            Err(error) => break text_of(Err::<(), _>(error)),
        }
    };
    assert!(refused.contains("journal") && refused.contains("make room"), "{refused}");
    shows(path, "the disk is full when an answer of an issuer comes", refused);
    let refused = text_of(vault.make_room().await);
    assert!(refused.contains("journal") && refused.contains("make room"), "{refused}");
    let fitted = vault.journal.unsettled().len();
    let mut big = record(1001, "wlcg", "rt-2");
    big.client_id = Some("x".repeat(200_000));
    let refused = text_of(vault.save_account(&big, at).await);
    assert!(refused.contains("iamd.db") && refused.contains("make room"), "{refused}");
    shows(path, "the disk is full", refused);
    assert_eq!(token_of(&stored(&vault, 1001, "wlcg").await.value), "rt-1");

    // Nothing is half done: after a restart, still without room, all is as it was.
    drop(vault);
    let vault = open_at(path).await.unwrap();
    assert_eq!(vault.journal.unsettled().len(), fitted);
    assert_eq!(token_of(&stored(&vault, 1001, "wlcg").await.value), "rt-1");

    fs::remove_file(&filler).unwrap();
    vault.journal(&record(1001, "wlcg", "rt-2"), Some(&secret("rt-1"))).await.unwrap();
    vault.replay().await.unwrap();
    assert_eq!(token_of(&stored(&vault, 1001, "wlcg").await.value), "rt-2");
    assert_eq!(vault.journal.unsettled(), []);
    drop((vault, entry));

    let mounted = Command::new("mount").args(["-o", "remount,ro"]).arg(path).status().unwrap();
    assert!(mounted.success());
    let Err(error) = open_at(path).await else { panic!("opened") };
    let text = error.to_string();
    assert!(text.contains("Read-only") && text.contains("mount it writable"), "{text}");
    let shown = text.replace(path.to_str().unwrap(), "/var/lib/iamd");
    crate::testing::stops("Store and keys", "the disk is mounted read-only", 1, &shown);
    println!("\nall of it");
}

#[tokio::test]
async fn a_full_disk_and_a_read_only_one_are_named_and_leave_nothing_half_done() {
    const NAME: &str =
        "machine::a_full_disk_and_a_read_only_one_are_named_and_leave_nothing_half_done";
    if let Some(path) = as_child() {
        return on_a_small_file_system(&path).await;
    }
    once_more_on_a_small_file_system(NAME);
}

/// The test `name` once more, as a child whose state directory is a file system of 512 KiB.
pub(super) fn once_more_on_a_small_file_system(name: &str) {
    let mut own_mounts = Command::new("unshare");
    if !own_mounts.args(["--mount", "true"]).status().is_ok_and(|status| status.success()) {
        println!("skipped: needs root, to mount a small file system");
        return;
    }
    let temp = tempfile::tempdir().unwrap();
    let inner = child(name, temp.path());
    let mut outer = Command::new("unshare");
    let script =
        r#"mount -t tmpfs -o size=512k,mode=0700 none "$IAMD_TEST_STATE_DIR" && exec "$@""#;
    outer.args(["--mount", "sh", "-c", script, "sh"]).arg(inner.get_program());
    outer.args(inner.get_args()).env(DIR, temp.path());
    let output = outer.output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && text.contains("all of it"), "{text}{error}");
}

#[tokio::test]
async fn a_damaged_database_is_named_with_the_way_out_and_stays() {
    let (vault, temp) = fresh().await;
    for uid in 0..40 {
        vault.save_account(&record(uid, "wlcg", "rt"), ABSENT).await.unwrap();
    }
    drop(vault);
    let path = temp.path().join("iamd.db");
    let mut bytes = fs::read(&path).unwrap();
    let middle = bytes.len() / 2;
    bytes[4096..middle].fill(0xff);
    fs::write(&path, &bytes).unwrap();
    let Err(error) = open_at(temp.path()).await else { panic!("opened") };
    let text = error.to_string();
    assert!(text.contains("iamd.db") && text.contains("backup"), "{text}");
    assert!(fs::read(&path).unwrap() == bytes);
}
