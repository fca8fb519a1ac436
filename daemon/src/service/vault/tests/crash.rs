//! Dying between any two steps loses nothing.

use std::{
    io::{BufRead, BufReader},
    process::{Child, Stdio},
};

use super::*;

/// The state directory as a kill at this moment would leave it.
pub(super) fn copy_of(path: &Path) -> TempDir {
    let copy = tempfile::tempdir().unwrap();
    for name in ["iamd.db", "iamd.db-wal", "journal", "keyring"] {
        fs::copy(path.join(name), copy.path().join(name)).unwrap();
    }
    fs::set_permissions(
        copy.path().join("keyring"),
        std::os::unix::fs::PermissionsExt::from_mode(0o400),
    )
    .unwrap();
    copy
}

/// Each step of a write, and whether a kill right after it leaves work for the replay.
async fn walk(vault: &StoreVault, temp: &TempDir, record: &Record, predecessor: Option<&str>) {
    let current = vault.account(&record.key()).await.unwrap();
    let (expected, base) =
        current.map_or((ABSENT, 0), |found| (found.revision, found.value.generation));
    let record = Record { generation: base, ..record.clone() };
    let predecessor = predecessor.map(secret);
    let entry = vault.journal(&record, predecessor.as_ref()).await.unwrap();
    survives(copy_of(temp.path()), &record, 1).await;
    vault.save_account(&record, expected).await.unwrap();
    survives(copy_of(temp.path()), &record, 0).await;
    vault.settle(entry).await.unwrap();
    survives(copy_of(temp.path()), &record, 0).await;
}

async fn survives(copy: TempDir, record: &Record, replayed: usize) {
    let vault = open_at(copy.path()).await.unwrap();
    assert_eq!(vault.replay().await.unwrap(), replayed);
    let found = stored(&vault, record.owner.uid, record.name.as_str()).await;
    assert_eq!(token_of(&found.value), token_of(record));
    assert_eq!(vault.journal.unsettled(), []);
    // Dying in the middle of the replay, too: it can be done again.
    drop(vault);
    let vault = open_at(copy.path()).await.unwrap();
    assert_eq!(vault.replay().await.unwrap(), 0);
}

#[tokio::test]
async fn a_kill_between_any_two_steps_of_a_sign_in_or_a_refresh_loses_nothing() {
    let (vault, temp) = fresh().await;
    walk(&vault, &temp, &record(1001, "wlcg", "rt-1"), None).await;
    walk(&vault, &temp, &record(1001, "wlcg", "rt-2"), Some("rt-1")).await;
    walk(&vault, &temp, &record(1001, "wlcg", "rt-3"), Some("rt-2")).await;
    let mut again = record(1001, "wlcg", "rt-4");
    again.signed_in_at = Some(UnixTime(3000));
    walk(&vault, &temp, &again, None).await;
}

#[tokio::test]
async fn a_journal_torn_while_it_was_written_leaves_the_predecessor_in_force() {
    let (vault, temp) = fresh().await;
    vault.save_account(&record(1001, "wlcg", "rt-1"), ABSENT).await.unwrap();
    let whole = temp.path().join("journal").metadata().unwrap().len();
    vault.journal(&record(1001, "wlcg", "rt-2"), Some(&secret("rt-1"))).await.unwrap();
    let copy = copy_of(temp.path());
    let torn = copy.path().join("journal");
    let written = torn.metadata().unwrap().len();
    assert!(written > whole + 100);
    fs::OpenOptions::new().write(true).open(&torn).unwrap().set_len(written - 1).unwrap();
    let vault = open_at(copy.path()).await.unwrap();
    assert_eq!(vault.replay().await.unwrap(), 0);
    assert_eq!(token_of(&stored(&vault, 1001, "wlcg").await.value), "rt-1");
}

/// Refreshes one account without end and tells each token once it was journalled.
async fn refresh_until_killed(path: &Path) {
    let vault = open_at(path).await.unwrap();
    vault.replay().await.unwrap();
    let found = vault.account(&key(1001, "wlcg")).await.unwrap();
    let (mut at, mut number) = match &found {
        Some(found) => (found.revision, token_of(&found.value).parse::<u64>().unwrap()),
        None => (vault.save_account(&record(1001, "wlcg", "0"), ABSENT).await.unwrap(), 0),
    };
    loop {
        let mut next = stored(&vault, 1001, "wlcg").await.value;
        let predecessor = next.refresh_token.take();
        number += 1;
        next.refresh_token = Some(secret(number.to_string()));
        let entry = vault.journal(&next, predecessor.as_ref()).await.unwrap();
        println!("\n{number}");
        at = vault.save_account(&next, at).await.unwrap();
        vault.settle(entry).await.unwrap();
    }
}

fn tokens_of(child: &mut Child) -> impl Iterator<Item = u64> + use<> {
    let lines = BufReader::new(child.stdout.take().unwrap()).lines();
    lines.map_while(Result::ok).filter_map(|line| line.parse().ok())
}

#[tokio::test]
async fn a_killed_process_loses_no_token_it_had_journalled_and_names_itself_while_it_lives() {
    const NAME: &str =
        "crash::a_killed_process_loses_no_token_it_had_journalled_and_names_itself_while_it_lives";
    if let Some(path) = as_child() {
        return refresh_until_killed(&path).await;
    }
    let temp = tempfile::tempdir().unwrap();
    let mut last = 0;
    for round in 0..8 {
        let mut process = child(NAME, temp.path()).stdout(Stdio::piped()).spawn().unwrap();
        let mut tokens = tokens_of(&mut process);
        last = tokens.nth(3 + 5 * round % 17).unwrap();
        if round == 0 {
            let Err(error) = open_at(temp.path()).await else { panic!("opened") };
            let text = error.to_string();
            assert!(text.contains(&format!("process {}", process.id())), "{text}");
        }
        process.kill().unwrap();
        process.wait().unwrap();
        last = tokens.last().unwrap_or(last);
        let vault = open_at(temp.path()).await.unwrap();
        vault.replay().await.unwrap();
        let found = stored(&vault, 1001, "wlcg").await.value;
        let kept: u64 = token_of(&found).parse().unwrap();
        // One more than was told, if the kill came between journal and telling.
        assert!((last..=last + 1).contains(&kept), "told {last}, kept {kept}");
    }
    assert!(last > 8);
}
