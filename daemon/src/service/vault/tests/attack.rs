//! Whoever writes the store can deny service, and nothing else.

use super::*;
use crate::account::ports::upkeep::Upkeep as _;

/// A vault, and its store as an attacker has it.
pub(super) fn with_store(path: &Path, keyring: &str) -> (StoreVault, Arc<dyn Store>) {
    let dir = StateDir::open(path).unwrap();
    let store: Arc<dyn Store> = Arc::new(SqliteStore::open(&dir).unwrap());
    let journal = Journal::open(&dir).unwrap();
    let (random, clock) = (Arc::new(SystemRandom), Arc::new(SystemClock));
    let keyring = Keyring::parse(keyring);
    (StoreVault::new(Arc::clone(&store), journal, keyring, random, clock), store)
}

pub(super) const ONE: &str = "one AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAE=";
pub(super) const TWO: &str = "two AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAI=";

pub(super) async fn put(store: &Arc<dyn Store>, row: &str, value: Vec<u8>) {
    let at = store.get(row).await.unwrap().map_or(ABSENT, |entry| entry.revision);
    store.compare_and_swap(row, at, Some(value)).await.unwrap();
}

pub(super) async fn raw(store: &Arc<dyn Store>, row: &str) -> Vec<u8> {
    store.get(row).await.unwrap().unwrap().value
}

fn unreadable<T: std::fmt::Debug>(found: Result<T, VaultError>) -> String {
    match found {
        Err(VaultError::Unreadable { text }) => text,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_row_of_another_user_or_account_does_not_open() {
    let temp = tempfile::tempdir().unwrap();
    let (vault, store) = with_store(temp.path(), ONE);
    for (uid, name) in [(1001, "wlcg"), (1001, "cms"), (1002, "wlcg")] {
        vault.save_account(&record(uid, name, "rt"), ABSENT).await.unwrap();
    }
    let alice = raw(&store, "accounts/1001/wlcg").await;
    for row in ["accounts/1002/wlcg", "accounts/1001/cms", "accounts/1003/new"] {
        put(&store, row, alice.clone()).await;
        let text = unreadable(vault.account(&key_of_row(row).unwrap()).await);
        assert!(text.contains(row) && text.contains("moved"), "{text}");
        assert!(!text.contains("canary"), "{text}");
    }
    let of_1001 = vault.accounts_of(1001).await.unwrap();
    assert_eq!(of_1001.iter().map(|(_, found)| found.is_ok()).collect::<Vec<_>>(), [false, true]);
    assert_eq!(vault.account_keys().await.unwrap().len(), 4);
}

#[tokio::test]
async fn a_client_or_settings_of_somebody_else_do_not_open() {
    let temp = tempfile::tempdir().unwrap();
    let (vault, store) = with_store(temp.path(), ONE);
    vault.save_client(&client(ClientOwner::User(1001)), ABSENT).await.unwrap();
    vault.save_settings(1001, &Settings::default(), ABSENT).await.unwrap();
    let hash = kept::hash(ISSUER);
    let client = raw(&store, &format!("clients/1001/{hash}")).await;
    put(&store, &format!("clients/site/{hash}"), client.clone()).await;
    put(&store, "settings/1002", raw(&store, "settings/1001").await).await;
    put(&store, "accounts/1001/wlcg", client).await;
    unreadable(vault.client(&ClientOwner::Site, ISSUER).await);
    unreadable(vault.settings(1002).await);
    unreadable(vault.account(&key(1001, "wlcg")).await);
}

#[tokio::test]
async fn an_older_row_that_is_put_back_does_not_open() {
    let temp = tempfile::tempdir().unwrap();
    let (vault, store) = with_store(temp.path(), ONE);
    let row = "accounts/1001/wlcg";
    let at = vault.save_account(&record(1001, "wlcg", "rt-1"), ABSENT).await.unwrap();
    let old = raw(&store, row).await;
    vault.save_account(&record(1001, "wlcg", "rt-2"), at).await.unwrap();
    let new = raw(&store, row).await;
    put(&store, row, old.clone()).await;
    let text = unreadable(vault.account(&key(1001, "wlcg")).await);
    assert!(text.contains("older version"), "{text}");
    assert!(vault.accounts_of(1001).await.unwrap()[0].1.is_err());
    put(&store, row, new.clone()).await;
    let found = stored(&vault, 1001, "wlcg").await;
    assert_eq!(token_of(&found.value), "rt-2");

    vault.remove_account(&key(1001, "wlcg"), found.revision).await.unwrap();
    for gone in [old, new] {
        put(&store, row, gone).await;
        unreadable(vault.account(&key(1001, "wlcg")).await);
    }
}

#[tokio::test]
async fn an_older_row_and_one_that_was_removed_do_not_open_after_a_restart_either() {
    let (vault, temp) = fresh().await;
    let row = "accounts/1001/wlcg";
    let at = vault.save_account(&record(1001, "wlcg", "rt-1"), ABSENT).await.unwrap();
    let old = raw(&vault.store, row).await;
    vault.save_account(&record(1001, "wlcg", "rt-2"), at).await.unwrap();
    let at = vault.save_account(&record(1001, "cms", "rt"), ABSENT).await.unwrap();
    let gone = raw(&vault.store, "accounts/1001/cms").await;
    vault.remove_account(&key(1001, "cms"), at).await.unwrap();
    put(&vault.store, row, old).await;
    put(&vault.store, "accounts/1001/cms", gone).await;
    drop(vault);
    let vault = open_at(temp.path()).await.unwrap();
    for name in ["wlcg", "cms"] {
        let text = unreadable(vault.account(&key(1001, name)).await);
        assert!(text.contains("older version") && text.contains("store accept"), "{text}");
    }
    assert_eq!(vault.inspect().await.unwrap().unreadable.len(), 2);
    // Another key seals what is remembered, and nothing of it is lost.
    let floor = vault.sealer.seen().floor(row);
    vault.renew_key().await.unwrap();
    vault.reseal_journal().await.unwrap();
    drop(vault);
    let vault = open_at(temp.path()).await.unwrap();
    assert_eq!(vault.sealer.seen().floor(row), floor);
    // Who put them there on purpose says so, once.
    let rows = vec!["accounts/1001/cms".to_owned(), row.to_owned()];
    assert_eq!(vault.accept().await.unwrap(), rows);
    assert!(vault.accept().await.unwrap().is_empty());
    drop(vault);
    let vault = open_at(temp.path()).await.unwrap();
    let found = stored(&vault, 1001, "wlcg").await;
    assert_eq!(token_of(&found.value), "rt-1");
    stored(&vault, 1001, "cms").await;
    // From there on it goes as ever.
    vault.save_account(&found.value, found.revision).await.unwrap();
    drop(vault);
    stored(&open_at(temp.path()).await.unwrap(), 1001, "wlcg").await;
}

#[tokio::test]
async fn what_is_not_remembered_of_a_row_locks_nobody_out() {
    let (vault, temp) = fresh().await;
    let mut at = ABSENT;
    for round in 0..4 {
        at = vault.save_account(&record(1001, "wlcg", &format!("rt-{round}")), at).await.unwrap();
    }
    drop(vault);
    let path = temp.path().join("floors");
    let whole = fs::read(&path).unwrap();
    let foreign = {
        let (other, temp) = fresh().await;
        other.save_account(&record(1001, "wlcg", "rt"), ABSENT).await.unwrap();
        drop(other);
        fs::read(temp.path().join("floors")).unwrap()
    };
    // As a kill or a power failure leaves it, removed, something else, and another node's.
    let cuts = (0..whole.len()).step_by(7).map(|length| whole[..length].to_vec());
    for bytes in cuts.chain([b"something else".to_vec(), foreign]) {
        fs::write(&path, &bytes).unwrap();
        let vault = open_at(temp.path()).await.unwrap();
        assert_eq!(token_of(&stored(&vault, 1001, "wlcg").await.value), "rt-3");
    }
    fs::remove_file(&path).unwrap();
    let vault = open_at(temp.path()).await.unwrap();
    let found = stored(&vault, 1001, "wlcg").await;
    vault.save_account(&found.value, found.revision).await.unwrap();
}

#[tokio::test]
async fn what_another_node_wrote_or_made_again_is_newer_not_older() {
    // Vaults on one store, as nodes; they do not tell each other what they saw.
    let temps: [TempDir; 3] = std::array::from_fn(|_| tempfile::tempdir().unwrap());
    let (a, store) = with_store(temps[0].path(), ONE);
    let node = |temp: &TempDir| {
        let journal = Journal::open(&StateDir::open(temp.path()).unwrap()).unwrap();
        let (random, clock) = (Arc::new(SystemRandom), Arc::new(SystemClock));
        StoreVault::new(Arc::clone(&store), journal, Keyring::parse(ONE), random, clock)
    };
    let b = node(&temps[1]);
    let mut at = a.save_account(&record(1001, "wlcg", "rt"), ABSENT).await.unwrap();
    for round in 0..50 {
        let (writer, reader) = if round % 2 == 0 { (&b, &a) } else { (&a, &b) };
        let found = stored(writer, 1001, "wlcg").await;
        at = writer.save_account(&found.value, found.revision).await.unwrap();
        assert!(stored(reader, 1001, "wlcg").await.value.generation > found.value.generation);
    }
    b.remove_account(&key(1001, "wlcg"), at).await.unwrap();
    // A node that never saw it makes it again; one that saw all of its life reads it.
    node(&temps[2]).save_account(&record(1001, "wlcg", "again"), ABSENT).await.unwrap();
    assert_eq!(token_of(&stored(&a, 1001, "wlcg").await.value), "again");
}

#[tokio::test]
async fn an_account_that_does_not_open_can_be_discarded_and_made_again() {
    let temp = tempfile::tempdir().unwrap();
    let (vault, store) = with_store(temp.path(), ONE);
    put(&store, "accounts/1001/wlcg", b"garbage".to_vec()).await;
    unreadable(vault.account(&key(1001, "wlcg")).await);
    let refused = vault.save_account(&record(1001, "wlcg", "rt"), ABSENT).await;
    assert_eq!(refused.unwrap_err(), VaultError::Conflict);
    vault.discard_account(&key(1001, "wlcg")).await.unwrap();
    vault.discard_account(&key(1001, "wlcg")).await.unwrap();
    vault.save_account(&record(1001, "wlcg", "rt"), ABSENT).await.unwrap();
    stored(&vault, 1001, "wlcg").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reader_never_takes_a_concurrent_write_for_an_older_row() {
    let temp = tempfile::tempdir().unwrap();
    let (vault, _) = with_store(temp.path(), ONE);
    let vault = Arc::new(vault);
    let mut at = vault.save_account(&record(1001, "wlcg", "rt"), ABSENT).await.unwrap();
    let mut readers = tokio::task::JoinSet::new();
    for _ in 0..4 {
        let vault = Arc::clone(&vault);
        readers.spawn(async move {
            for _ in 0..150 {
                vault.account(&key(1001, "wlcg")).await.unwrap();
                vault.accounts_of(1001).await.unwrap().remove(0).1.unwrap();
            }
        });
    }
    while !readers.is_empty() {
        at = vault.save_account(&record(1001, "wlcg", "rt"), at).await.unwrap();
        while let Some(done) = readers.try_join_next() {
            done.unwrap();
        }
    }
}

#[tokio::test]
async fn an_unknown_key_is_named_and_a_wrong_one_opens_nothing() {
    let temp = tempfile::tempdir().unwrap();
    let (vault, store) = with_store(temp.path(), ONE);
    vault.save_account(&record(1001, "wlcg", "rt"), ABSENT).await.unwrap();
    drop((vault, store));
    let (vault, store) = with_store(temp.path(), TWO);
    let text = unreadable(vault.account(&key(1001, "wlcg")).await);
    assert!(text.contains("accounts/1001/wlcg") && text.contains("key one"), "{text}");
    drop((vault, store));
    let (vault, store) = with_store(temp.path(), &TWO.replace("two", "one"));
    unreadable(vault.account(&key(1001, "wlcg")).await);
    drop((vault, store));
    let (vault, _) = with_store(temp.path(), &format!("{TWO}\n{ONE}"));
    let found = stored(&vault, 1001, "wlcg").await;
    vault.save_account(&found.value, found.revision).await.unwrap();
    let first = vault.sealer.seen().floor("accounts/1001/wlcg");
    assert!(first > found.value.generation, "sealed anew with the current key");
}

#[tokio::test]
async fn a_missing_keyring_is_not_replaced_while_there_are_records() {
    let (vault, temp) = fresh().await;
    vault.save_account(&record(1001, "wlcg", "rt"), ABSENT).await.unwrap();
    drop(vault);
    let (path, aside) = (temp.path().join("keyring"), temp.path().join("aside"));
    fs::rename(&path, &aside).unwrap();
    let Err(error) = open_at(temp.path()).await else { panic!("opened") };
    assert!(error.to_string().contains("keyring is missing"), "{error}");
    assert!(!path.exists());
    fs::rename(&aside, &path).unwrap();
    stored(&open_at(temp.path()).await.unwrap(), 1001, "wlcg").await;
}

#[tokio::test]
async fn no_file_of_the_state_directory_shows_a_token_a_scope_or_a_name() {
    let (vault, temp) = fresh().await;
    let account = record(1001, "wlcg", "canary-refresh-1");
    vault.journal(&account, None).await.unwrap();
    let at = vault.save_account(&account, ABSENT).await.unwrap();
    let next = record(1001, "wlcg", "canary-refresh-2");
    let entry = vault.journal(&next, account.refresh_token.as_ref()).await.unwrap();
    vault.save_account(&next, at).await.unwrap();
    vault.settle(entry).await.unwrap();
    vault.save_client(&client(ClientOwner::Site), ABSENT).await.unwrap();
    let keys = fs::read(temp.path().join("keyring")).unwrap();
    let key = keys.rsplit(|&byte| byte == b' ').next().unwrap().trim_ascii();
    let needles = [&b"canary"[..], b"storage.read", b"iss.example", key, &key[..40]];
    let mut searched = 0;
    for file in fs::read_dir(temp.path()).unwrap() {
        let path = file.unwrap().path();
        let bytes = fs::read(&path).unwrap();
        searched += 1;
        for needle in needles.iter().filter(|_| !path.ends_with("keyring")) {
            let shown = bytes.windows(needle.len()).any(|window| window == *needle);
            assert!(!shown, "{} in {}", String::from_utf8_lossy(needle), path.display());
        }
    }
    assert_eq!(searched, 7, "db, wal, shm, lock, journal, floors, keyring");
}
