//! Another key for everything: whatever happens between two steps, every record opens.

use std::sync::atomic::{AtomicBool, Ordering::SeqCst};

use super::{
    crash::copy_of,
    guarded::{guarded, unlock},
    *,
};
use crate::{
    account::ports::upkeep::{Resealed, Upkeep, UpkeepError},
    seal::Keyring,
};

const ROW: &str = "accounts/1001/wlcg";

fn current(vault: &StoreVault) -> String {
    vault.keys().current
}

async fn raw(vault: &StoreVault, row: &str) -> Vec<u8> {
    vault.store.get(row).await.unwrap().unwrap().value
}

/// Everything that an older key seals, as the use case does it.
async fn reseal_all(vault: &StoreVault) {
    for row in vault.stale().await.unwrap().rows {
        assert_ne!(vault.reseal(&row).await.unwrap(), Resealed::Busy, "{row}");
    }
    vault.reseal_journal().await.unwrap();
    assert_eq!(vault.stale().await.unwrap(), Default::default());
}

/// Something of every kind: a locked account, others, clients, settings, an answer that waits.
async fn furnished() -> (StoreVault, TempDir) {
    let (mut vault, temp) = fresh().await;
    vault.held.make_cheap();
    guarded(&vault, "rt-guarded").await;
    for (uid, name) in [(1001, "cms"), (1002, "wlcg")] {
        vault.save_account(&record(uid, name, &format!("rt-{uid}")), ABSENT).await.unwrap();
    }
    for owner in [ClientOwner::Site, ClientOwner::User(1001)] {
        vault.save_client(&client(owner), ABSENT).await.unwrap();
    }
    vault.save_settings(1001, &Settings::default(), ABSENT).await.unwrap();
    let waiting = stored(&vault, 1002, "wlcg").await.value;
    let next = Record { refresh_token: Some(secret("rt-waiting")), ..waiting.clone() };
    vault.journal(&next, waiting.refresh_token.as_ref()).await.unwrap();
    (vault, temp)
}

/// A kill at this moment: after a restart every record is there and nobody has lost a token.
async fn survives(temp: &TempDir, keys: usize) {
    let copy = copy_of(temp.path());
    let vault = open_at(copy.path()).await.unwrap();
    assert_eq!(vault.keys().older.len() + 1, keys);
    let found = vault.inspect().await.unwrap();
    assert_eq!((found.unreadable, found.damage), (vec![], None));
    assert_eq!((found.counts.records, found.counts.journal), (6, 1));
    assert_eq!(vault.replay().await.unwrap(), 1);
    assert_eq!(token_of(&stored(&vault, 1002, "wlcg").await.value), "rt-waiting");
    assert_eq!(token_of(&stored(&vault, 1001, "cms").await.value), "rt-1001");
    // What was begun can be finished from here.
    reseal_all(&vault).await;
    drop(vault);
    let vault = open_at(copy.path()).await.unwrap();
    assert_eq!(vault.stale().await.unwrap(), Default::default());
    vault.retire().await.unwrap();
    assert_eq!(vault.keys().older, Vec::<String>::new());
    drop(vault);
    let vault = open_at(copy.path()).await.unwrap();
    assert!(vault.inspect().await.unwrap().unreadable.is_empty());
    assert_eq!(token_of(&unlock(&vault).await), "rt-guarded");
}

#[tokio::test]
async fn a_kill_between_any_two_steps_leaves_every_record_open_and_the_rest_to_be_done() {
    let (vault, temp) = furnished().await;
    let old = current(&vault);
    survives(&temp, 1).await;
    vault.renew_key().await.unwrap();
    assert_ne!(current(&vault), old);
    survives(&temp, 2).await;
    let stale = vault.stale().await.unwrap();
    assert_eq!((stale.rows.len(), stale.journal), (6, 1));
    assert_eq!(vault.retire().await.unwrap(), Vec::<String>::new(), "it is in use");
    for row in &stale.rows {
        assert_eq!(vault.reseal(row).await.unwrap(), Resealed::Done);
        assert_eq!(vault.reseal(row).await.unwrap(), Resealed::NotNeeded);
        survives(&temp, 2).await;
    }
    assert_eq!(vault.retire().await.unwrap(), Vec::<String>::new(), "the journal is");
    vault.reseal_journal().await.unwrap();
    survives(&temp, 2).await;
    assert_eq!(vault.retire().await.unwrap(), [old]);
    survives(&temp, 1).await;
    assert_eq!(vault.retire().await.unwrap(), Vec::<String>::new());
}

#[tokio::test]
async fn a_locked_account_and_the_generation_of_each_record_stay_as_they_are() {
    let (vault, temp) = furnished().await;
    vault.held.release(&key(1001, "wlcg"));
    let before = stored(&vault, 1001, "wlcg").await.value;
    let row = raw(&vault, ROW).await;
    vault.renew_key().await.unwrap();
    reseal_all(&vault).await;
    let after = stored(&vault, 1001, "wlcg").await.value;
    assert!(after.is_locked());
    assert_eq!(after.generation, before.generation);
    let guard = |record: &Record| {
        let guard = record.guard.clone().unwrap();
        (guard.wrapped, guard.secrets, guard.mark)
    };
    assert_eq!(guard(&after), guard(&before));
    vault.retire().await.unwrap();
    // The row of before opens no more, here or after a restart.
    let put_back = async |vault: &StoreVault| {
        let at = vault.store.get(ROW).await.unwrap().unwrap().revision;
        vault.store.compare_and_swap(ROW, at, Some(row.clone())).await.unwrap();
        let found = vault.account(&key(1001, "wlcg")).await;
        assert!(matches!(found, Err(VaultError::Unreadable { .. })), "{found:?}");
        assert_eq!(vault.inspect().await.unwrap().unreadable.len(), 1);
    };
    put_back(&vault).await;
    drop(vault);
    put_back(&open_at(temp.path()).await.unwrap()).await;
}

#[tokio::test]
async fn an_older_row_is_not_made_young_by_sealing_it_anew() {
    let (vault, _temp) = fresh().await;
    let at = vault.save_account(&record(1001, "wlcg", "rt-1"), ABSENT).await.unwrap();
    let old = raw(&vault, ROW).await;
    let at = vault.save_account(&record(1001, "wlcg", "rt-2"), at).await.unwrap();
    vault.store.compare_and_swap(ROW, at, Some(old.clone())).await.unwrap();
    vault.renew_key().await.unwrap();
    let refused = vault.reseal(ROW).await.unwrap_err().to_string();
    assert!(refused.contains("older version"), "{refused}");
    assert_eq!(raw(&vault, ROW).await, old);
}

#[tokio::test(flavor = "multi_thread")]
async fn users_write_and_refresh_while_everything_is_sealed_anew_and_nothing_is_lost() {
    let temp = in_memory();
    let vault = Arc::new(open_at(temp.path()).await.unwrap());
    for uid in 0..4 {
        vault.save_account(&record(uid, "wlcg", "0"), ABSENT).await.unwrap();
    }
    let stop = Arc::new(AtomicBool::new(false));
    let mut writers = tokio::task::JoinSet::new();
    for uid in 0..4_u32 {
        let (vault, stop) = (Arc::clone(&vault), Arc::clone(&stop));
        writers.spawn(async move {
            let mut count = 0_u64;
            while !stop.load(SeqCst) {
                // As a refresh does it; who holds the lock is not overtaken.
                let _lock = vault.lock(LockOn::Account(key(uid, "wlcg"))).await.unwrap();
                let now = stored(&vault, uid, "wlcg").await;
                count += 1;
                let token = Some(secret(count.to_string()));
                let next = Record { refresh_token: token, ..now.value.clone() };
                let entry = vault.journal(&next, now.value.refresh_token.as_ref()).await.unwrap();
                vault.save_account(&next, now.revision).await.unwrap();
                vault.settle(entry).await.unwrap();
                if count < 50 {
                    // And a new account, which nobody knew of before.
                    let new = record(uid, &format!("a{count}"), "new");
                    vault.save_account(&new, ABSENT).await.unwrap();
                }
            }
            (uid, count)
        });
    }
    let first = current(&vault);
    for _ in 0..3 {
        let old = current(&vault);
        vault.renew_key().await.unwrap();
        reseal_all(&vault).await;
        assert_eq!(vault.retire().await.unwrap(), [old]);
    }
    stop.store(true, SeqCst);
    let done = writers.join_all().await;
    assert_eq!(vault.stale().await.unwrap(), Default::default(), "nobody wrote with an old key");
    drop(Arc::into_inner(vault));
    let vault = open_at(temp.path()).await.unwrap();
    assert!(vault.keys().current != first && vault.keys().older.is_empty());
    for (uid, count) in done {
        assert!(count > 0);
        assert_eq!(token_of(&stored(&vault, uid, "wlcg").await.value), count.to_string());
    }
    assert!(vault.inspect().await.unwrap().unreadable.is_empty());
}

#[tokio::test]
async fn who_is_at_work_on_an_account_is_not_disturbed_for_long_and_it_is_done_later() {
    let (vault, _temp) = fresh().await;
    vault.save_account(&record(1001, "wlcg", "rt"), ABSENT).await.unwrap();
    vault.renew_key().await.unwrap();
    let held = vault.lock(LockOn::Account(key(1001, "wlcg"))).await.unwrap();
    assert_eq!(vault.reseal(ROW).await.unwrap(), Resealed::Busy);
    drop(held);
    assert_eq!(vault.reseal(ROW).await.unwrap(), Resealed::Done);
}

#[tokio::test]
async fn a_record_that_does_not_open_keeps_its_key_and_holds_up_nothing_else() {
    let (vault, _temp) = furnished().await;
    let mut spoilt = raw(&vault, "accounts/1001/cms").await;
    *spoilt.last_mut().unwrap() ^= 1;
    let at = vault.store.get("accounts/1001/cms").await.unwrap().unwrap().revision;
    vault.store.compare_and_swap("accounts/1001/cms", at, Some(spoilt.clone())).await.unwrap();
    let old = current(&vault);
    vault.renew_key().await.unwrap();
    for row in vault.stale().await.unwrap().rows {
        let done = vault.reseal(&row).await;
        assert_eq!(done.is_ok(), row != "accounts/1001/cms", "{row}: {done:?}");
    }
    vault.reseal_journal().await.unwrap();
    assert_eq!(raw(&vault, "accounts/1001/cms").await, spoilt);
    assert_eq!(vault.retire().await.unwrap(), Vec::<String>::new());
    vault.discard_account(&key(1001, "cms")).await.unwrap();
    assert_eq!(vault.retire().await.unwrap(), [old]);
}

#[tokio::test]
async fn a_credential_is_the_sites_to_change_and_its_new_line_takes_over() {
    let (vault, temp) = fresh().await;
    vault.save_account(&record(1001, "wlcg", "rt"), ABSENT).await.unwrap();
    drop(vault);
    let aside = tempfile::tempdir().unwrap();
    let credential = aside.path().join("iamd.keyring");
    let lines = [
        "two AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAI=\n",
        "three AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAM=\n",
    ];
    let put = |text: &str| {
        use std::os::unix::fs::PermissionsExt as _;
        fs::write(&credential, text).unwrap();
        fs::set_permissions(&credential, fs::Permissions::from_mode(0o600)).unwrap();
    };
    let open = async || {
        let (random, clock) = (Arc::new(SystemRandom), Arc::new(SystemClock));
        StoreVault::open(temp.path(), Some(credential.clone()), random, clock).await.unwrap()
    };
    put(lines[0]);
    let vault = open().await;
    let keys = vault.keys();
    assert!(keys.from_credential && keys.current == "two" && keys.older.len() == 1);
    let refused = vault.renew_key().await.unwrap_err();
    assert!(matches!(refused, UpkeepError::FromCredential { .. }), "{refused}");
    crate::testing::shows("Store and keys", "the credential has the key that seals", refused);
    reseal_all(&vault).await;
    vault.retire().await.unwrap();
    assert!(!temp.path().join("keyring").exists(), "the file's key seals nothing any more");
    drop(vault);
    put(&[lines[1], lines[0]].concat());
    let vault = open().await;
    assert_eq!(vault.stale().await.unwrap().rows, [ROW]);
    reseal_all(&vault).await;
    assert_eq!(vault.retire().await.unwrap(), Vec::<String>::new(), "it is the credential's");
    drop(vault);
    put(lines[1]);
    assert_eq!(token_of(&stored(&open().await, 1001, "wlcg").await.value), "rt");
}

#[tokio::test]
async fn a_keyring_that_was_changed_by_hand_or_is_full_is_named() {
    use std::os::unix::fs::PermissionsExt as _;
    let temp = tempfile::tempdir().unwrap();
    let path = temp.path().join("keyring");
    let one = "one AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAE=\n";
    let put = |text: &str| {
        drop(fs::remove_file(&path));
        fs::write(&path, text).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o400)).unwrap();
    };
    put(one);
    let vault = open_at(temp.path()).await.unwrap();
    for (when, text) in [
        ("a key in use was taken out of the keyring", one.replace("one", "two")),
        ("the keyring has no room", format!("{one}# {}\n", "x".repeat((64 << 10) - 60))),
    ] {
        put(&text);
        let mut refused = crate::service::ServiceError::from(vault.renew_key().await.unwrap_err());
        refused.message = refused.message.replace(temp.path().to_str().unwrap(), "/var/lib/iamd");
        crate::testing::shows("Store and keys", when, refused);
    }
}

#[tokio::test]
async fn a_keyring_that_cannot_be_written_changes_nothing() {
    let (vault, temp) = furnished().await;
    let old = current(&vault);
    // What stands in the way cannot be removed as a file: as good as a full disk.
    let in_the_way = temp.path().join("keyring.new");
    fs::create_dir(&in_the_way).unwrap();
    let refused = vault.renew_key().await.unwrap_err();
    assert!(matches!(&refused, UpkeepError::Keyring { text } if text.contains("keyring")));
    assert_eq!(current(&vault), old);
    vault.save_account(&record(7, "wlcg", "rt"), ABSENT).await.unwrap();
    assert_eq!(Keyring::key_of(&raw(&vault, "accounts/7/wlcg").await).unwrap(), old);
    fs::remove_dir(&in_the_way).unwrap();
    vault.renew_key().await.unwrap();
    reseal_all(&vault).await;
    // The old one cannot be taken out: it stays, everywhere.
    fs::create_dir(&in_the_way).unwrap();
    assert!(vault.retire().await.is_err());
    assert_eq!(vault.keys().older, std::slice::from_ref(&old));
    fs::remove_dir(&in_the_way).unwrap();
    assert_eq!(vault.retire().await.unwrap(), [old]);
}

/// The state directory is on a file system of 512 KiB of its own.
async fn on_a_small_file_system(path: &Path) {
    let vault = open_at(path).await.unwrap();
    for uid in 0..12 {
        vault.save_account(&record(uid, "wlcg", "rt"), ABSENT).await.unwrap();
    }
    vault.renew_key().await.unwrap();
    let rows = vault.stale().await.unwrap().rows;
    assert_eq!(vault.reseal(&rows[0]).await.unwrap(), Resealed::Done);
    let filler = path.join("filler");
    fs::write(&filler, []).unwrap();
    let mut file = fs::OpenOptions::new().append(true).open(&filler).unwrap();
    while std::io::Write::write_all(&mut file, &[1; 512]).is_ok() {}
    drop(file);
    let mut refused = None;
    for row in &rows {
        if let Err(error) = vault.reseal(row).await {
            refused = Some(error.to_string());
            break;
        }
    }
    let refused = refused.unwrap();
    assert!(refused.contains("make room"), "{refused}");
    assert!(vault.renew_key().await.is_err());
    for uid in 0..12 {
        assert_eq!(token_of(&stored(&vault, uid, "wlcg").await.value), "rt");
    }
    drop(vault);
    let vault = open_at(path).await.unwrap();
    assert!(vault.inspect().await.unwrap().unreadable.is_empty());
    fs::remove_file(&filler).unwrap();
    reseal_all(&vault).await;
    vault.retire().await.unwrap();
    drop(vault);
    let vault = open_at(path).await.unwrap();
    assert_eq!(vault.inspect().await.unwrap().counts.accounts, 12);
    println!("\nall of it");
}

#[tokio::test]
async fn a_full_disk_in_the_middle_leaves_every_record_open_and_it_goes_on_with_room() {
    const NAME: &str =
        "rekey::a_full_disk_in_the_middle_leaves_every_record_open_and_it_goes_on_with_room";
    match as_child() {
        Some(path) => on_a_small_file_system(&path).await,
        None => machine::once_more_on_a_small_file_system(NAME),
    }
}

#[tokio::test]
async fn which_rows_are_older_is_remembered_when_the_key_is_gone_that_sealed_the_memory() {
    let (vault, temp) = fresh().await;
    let old_key = current(&vault);
    let at = vault.save_account(&record(1001, "wlcg", "rt-1"), ABSENT).await.unwrap();
    vault.save_account(&record(1001, "wlcg", "rt-2"), at).await.unwrap();
    vault.renew_key().await.unwrap();
    reseal_all(&vault).await;
    let floor = vault.sealer.seen().floor(ROW);
    assert_eq!(vault.retire().await.unwrap(), [old_key]);
    drop(vault);
    let vault = open_at(temp.path()).await.unwrap();
    assert_eq!((vault.keys().older.len(), vault.sealer.seen().floor(ROW)), (0, floor));
    stored(&vault, 1001, "wlcg").await;
}
