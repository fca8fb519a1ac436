//! A backup of one node serves on another; one that was changed, in whatever way, changes nothing.

use secrecy::SecretString;
use serde_json::json;

use super::{
    super::upkeep::frames::{ENTRY, Frames, KEYRING, ROW},
    crash::copy_of,
    guarded::{guarded, unlock},
    *,
};
use crate::{
    account::ports::upkeep::{About, Checked, Contents, Upkeep, UpkeepError},
    seal::{Bound, Cost, Kind, backup::BackupSealer},
};

pub(super) fn words() -> SecretString {
    secret("the words of a backup")
}

fn about(with_keys: bool) -> About {
    About { node: "login1".into(), version: "1".into(), made_at: UnixTime(1000), with_keys }
}

/// A vault whose outer seals cost next to nothing.
async fn cheap(path: &Path) -> Arc<StoreVault> {
    let mut vault = open_at(path).await.unwrap();
    vault.held.make_cheap();
    Arc::new(vault)
}

pub(super) async fn other() -> (Arc<StoreVault>, TempDir) {
    let temp = tempfile::tempdir().unwrap();
    (cheap(temp.path()).await, temp)
}

async fn taken(vault: &StoreVault, with_keys: bool) -> (Vec<u8>, Contents) {
    let mut bytes = Vec::new();
    let contents = vault.back_up(about(with_keys), &words(), &mut bytes).await.unwrap();
    assert_eq!(contents.bytes, bytes.len() as u64);
    (bytes, contents)
}

async fn read(vault: &Arc<StoreVault>, bytes: &[u8]) -> Result<Box<dyn Checked>, UpkeepError> {
    Arc::clone(vault).read_backup(&words(), &mut &bytes[..]).await
}

/// Compares an error with its row in docs/errors.md.
pub(super) fn shows(when: &str, error: UpkeepError) {
    let mut error = crate::service::ServiceError::from(error);
    // Made by chance.
    if let Some(at) = error.message.find("key-") {
        error.message.replace_range(at..at + 12, "key-01234567");
    }
    crate::testing::shows("Store and keys", when, error);
}

fn told(when: &str, read: Result<Box<dyn Checked>, UpkeepError>) {
    shows(when, read.map(|_| ()).unwrap_err());
}

fn refusal(read: Result<Box<dyn Checked>, UpkeepError>) -> String {
    match read.map(|good| good.contents().clone()) {
        Err(UpkeepError::Invalid { text }) => text,
        other => panic!("{other:?}"),
    }
}

/// A vault with something of every kind.
async fn furnished() -> (Arc<StoreVault>, TempDir) {
    let (vault, temp) = other().await;
    guarded(&vault, "rt-guarded").await;
    for (uid, name) in [(1001, "cms"), (1002, "wlcg")] {
        vault.save_account(&record(uid, name, &format!("rt-{uid}")), ABSENT).await.unwrap();
    }
    for owner in [ClientOwner::Site, ClientOwner::User(1001)] {
        vault.save_client(&client(owner), ABSENT).await.unwrap();
    }
    let off = Settings { notice_off: true, ..Settings::default() };
    vault.save_settings(1001, &off, ABSENT).await.unwrap();
    (vault, temp)
}

#[tokio::test]
async fn a_fresh_node_has_everything_and_a_locked_account_stays_locked() {
    let (old, _temp) = furnished().await;
    let (bytes, contents) = taken(&old, true).await;
    let counts = contents.counts;
    assert_eq!((counts.records, counts.accounts, counts.clients, counts.rotating), (6, 3, 2, 3));
    let shown = String::from_utf8_lossy(&bytes);
    assert!(shown.contains("login1"), "what it is can be seen");
    for hidden in ["canary", "rt-1001", "accounts/", "iss.example"] {
        assert!(!shown.contains(hidden), "{hidden}");
    }
    let (new, temp) = other().await;
    let good = read(&new, &bytes).await.unwrap();
    assert_eq!(*good.contents(), contents);
    assert!(new.account_keys().await.unwrap().is_empty(), "nothing is changed by looking");
    let done = good.put_back(false).await.unwrap();
    assert_eq!((done.replaced, done.touched.len()), (0, 3));
    drop(new);
    let new = cheap(temp.path()).await;
    assert_eq!(token_of(&stored(&new, 1001, "cms").await.value), "rt-1001");
    assert_eq!(token_of(&stored(&new, 1002, "wlcg").await.value), "rt-1002");
    assert!(new.client(&ClientOwner::User(1001), ISSUER).await.unwrap().is_some());
    assert!(new.settings(1001).await.unwrap().value.notice_off);
    assert!(stored(&new, 1001, "wlcg").await.value.is_locked());
    assert_eq!(token_of(&unlock(&new).await), "rt-guarded");
    // With this node's key, and no other is needed.
    assert_eq!(new.keys().older, Vec::<String>::new());
    assert_ne!(new.keys().current, old.keys().current);
    let sound = new.inspect().await.unwrap();
    assert_eq!((sound.unreadable, sound.counts.records), (vec![], 6));
}

#[tokio::test]
async fn without_the_keys_it_opens_only_where_they_are() {
    let (old, temp) = furnished().await;
    let (bytes, _) = taken(&old, false).await;
    let (new, _new_temp) = other().await;
    told("a backup without its keys is read where they are not", read(&new, &bytes).await);
    let text = refusal(read(&new, &bytes).await);
    assert!(
        text.contains("its keys are not in it") && text.contains(&old.keys().current),
        "{text}"
    );
    let copy = copy_of(temp.path());
    for file in ["iamd.db", "iamd.db-wal", "journal"] {
        fs::remove_file(copy.path().join(file)).unwrap();
    }
    let same_keys = cheap(copy.path()).await;
    read(&same_keys, &bytes).await.unwrap().put_back(false).await.unwrap();
    assert_eq!(token_of(&stored(&same_keys, 1001, "cms").await.value), "rt-1001");
}

#[tokio::test]
async fn an_answer_that_the_store_did_not_have_yet_is_in_it() {
    let (old, _temp) = furnished().await;
    let waiting = stored(&old, 1002, "wlcg").await.value;
    let next = Record { refresh_token: Some(secret("rt-newest")), ..waiting.clone() };
    old.journal(&next, waiting.refresh_token.as_ref()).await.unwrap();
    let mut first = record(1003, "wlcg", "rt-first");
    first.signed_in_at = Some(UnixTime(5));
    old.journal(&first, None).await.unwrap();
    let (bytes, contents) = taken(&old, true).await;
    assert_eq!((contents.counts.records, contents.counts.journal), (6, 2));
    let (new, _new_temp) = other().await;
    read(&new, &bytes).await.unwrap().put_back(false).await.unwrap();
    assert_eq!(token_of(&stored(&new, 1002, "wlcg").await.value), "rt-newest");
    assert_eq!(token_of(&stored(&new, 1003, "wlcg").await.value), "rt-first");
    assert_eq!(new.journal.unsettled(), []);
}

#[tokio::test]
async fn a_client_of_the_sites_that_came_by_itself_is_nothing_to_give_up_and_a_users_is() {
    let (old, _temp) = furnished().await;
    let (bytes, _) = taken(&old, true).await;
    let (new, _new) = other().await;
    new.save_client(&client(ClientOwner::User(1001)), ABSENT).await.unwrap();
    let refused = read(&new, &bytes).await.unwrap().put_back(false).await.unwrap_err();
    assert_eq!(refused, UpkeepError::NotEmpty { records: 1 });
    let (fresh, _fresh) = other().await;
    fresh.save_client(&client(ClientOwner::Site), ABSENT).await.unwrap();
    read(&fresh, &bytes).await.unwrap().put_back(false).await.unwrap();
    assert!(!fresh.account_keys().await.unwrap().is_empty());
}

#[tokio::test]
async fn what_is_there_is_given_up_only_when_that_was_meant_and_never_comes_back() {
    let (old, _temp) = furnished().await;
    let (bytes, _) = taken(&old, true).await;
    let (new, temp) = other().await;
    let at = new.save_account(&record(1001, "cms", "mine-1"), ABSENT).await.unwrap();
    new.save_account(&record(1001, "cms", "mine-2"), at).await.unwrap();
    new.save_account(&record(2000, "wlcg", "gone"), ABSENT).await.unwrap();
    let raw = async |row: &str| new.store.get(row).await.unwrap().unwrap().value;
    let rows = ["accounts/1001/cms", "accounts/2000/wlcg"];
    let before = [raw(rows[0]).await, raw(rows[1]).await];
    let waiting = stored(&new, 2000, "wlcg").await.value;
    new.journal(&waiting, None).await.unwrap();

    let refused = read(&new, &bytes).await.unwrap().put_back(false).await.unwrap_err();
    assert_eq!(refused, UpkeepError::NotEmpty { records: 3 });
    shows("a backup is restored where records are", refused);
    assert_eq!(token_of(&stored(&new, 1001, "cms").await.value), "mine-2");

    let done = read(&new, &bytes).await.unwrap().put_back(true).await.unwrap();
    assert_eq!(done.replaced, 2);
    assert!(done.touched.contains(&key(2000, "wlcg")), "{:?}", done.touched);
    assert_eq!(token_of(&stored(&new, 1001, "cms").await.value), "rt-1001");
    assert!(new.account(&key(2000, "wlcg")).await.unwrap().is_none());
    assert_eq!(new.journal.unsettled(), []);
    // An older row is put back: of before the restore, and of the backup itself.
    let mut older: Vec<_> = rows.into_iter().zip(before).collect();
    let of_backup = old.store.get(rows[0]).await.unwrap().unwrap().value;
    older.push((rows[0], of_backup));
    for (row, value) in older {
        let at = new.store.get(row).await.unwrap().map_or(ABSENT, |entry| entry.revision);
        new.store.compare_and_swap(row, at, Some(value)).await.unwrap();
        let found = new.account(&key_of_row(row).unwrap()).await;
        assert!(matches!(found, Err(VaultError::Unreadable { .. })), "{row}: {found:?}");
    }
    drop(temp);
}

#[tokio::test]
async fn a_backup_can_be_put_back_where_it_was_made_and_again() {
    let (vault, _temp) = furnished().await;
    let (bytes, _) = taken(&vault, true).await;
    for round in 0..3 {
        let now = stored(&vault, 1001, "cms").await;
        let lost = Record { refresh_token: Some(secret("later")), ..now.value };
        vault.save_account(&lost, now.revision).await.unwrap();
        read(&vault, &bytes).await.unwrap().put_back(true).await.unwrap();
        let back = stored(&vault, 1001, "cms").await.value;
        assert_eq!(token_of(&back), "rt-1001", "round {round}");
        assert!(back.generation > lost.generation);
    }
}

#[tokio::test]
async fn a_wrong_passphrase_and_a_file_that_was_changed_or_cut_change_nothing() {
    let (old, _temp) = furnished().await;
    let (bytes, _) = taken(&old, true).await;
    let (new, _new_temp) = other().await;
    let other = secret("the words of another");
    let wrong = Arc::clone(&new).read_backup(&other, &mut &bytes[..]).await;
    told("the passphrase of a backup is another one", wrong);
    let mut later = bytes.clone();
    later[7] += 1;
    told("a later iamd made the backup", read(&new, &later).await);
    let mut changed = bytes.clone();
    changed[bytes.len() - 3] ^= 1;
    told("a backup was changed", read(&new, &changed).await);
    told("a backup is cut off", read(&new, &bytes[..bytes.len() - 3]).await);
    told("a file is no backup", read(&new, &[0; 4096]).await);
    told("more stands after the end of a backup", read(&new, &[&bytes[..], b"x"].concat()).await);
    // Each byte is the outer seal's test; here it is that nothing of it gets further.
    for at in (0..bytes.len()).step_by(701) {
        let mut changed = bytes.clone();
        changed[at] ^= 0x20;
        refusal(read(&new, &changed).await);
        refusal(read(&new, &bytes[..at]).await);
    }
    assert!(refusal(read(&new, &[&bytes[..], b"\0"].concat()).await).contains("after the end"));
    for foreign in [&b""[..], b"short", &[0; 4096]] {
        assert!(refusal(read(&new, foreign).await).contains("not a backup"));
    }
    assert!(new.account_keys().await.unwrap().is_empty());
}

/// A backup by somebody who has the passphrase, and writes what they like.
pub(super) async fn forged(
    vault: &StoreVault,
    frames: &[(u8, Vec<u8>)],
    counts: (u64, u64),
) -> Vec<u8> {
    let header = json!({
        "node": "login1", "version": "1", "made_at": 1, "with_keys": true, "keys": []
    });
    let header = serde_json::to_vec(&header).unwrap();
    let begun = BackupSealer::begin(&SystemRandom, &words(), Cost::LEAST, &header).unwrap();
    let mut bytes = Vec::new();
    let mut out = Frames::begin(begun.0, &begun.1, &mut bytes).await.unwrap();
    out.put(KEYRING, &[&vault.sealer.keyring().to_text()]).await.unwrap();
    for (kind, body) in frames {
        out.put(*kind, &[body]).await.unwrap();
    }
    out.finish(counts.0, counts.1).await.unwrap();
    bytes
}

#[tokio::test]
async fn rows_that_were_swapped_doubled_left_out_or_put_back_older_are_found() {
    let (old, _temp) = other().await;
    let at = old.save_account(&record(1001, "wlcg", "rt-1"), ABSENT).await.unwrap();
    old.save_account(&record(1002, "wlcg", "rt"), ABSENT).await.unwrap();
    let (alice, bob) = ("accounts/1001/wlcg", "accounts/1002/wlcg");
    let raw = async |row: &str| old.store.get(row).await.unwrap().unwrap().value;
    let older = raw(alice).await;
    let generation = stored(&old, 1001, "wlcg").await.value.generation;
    old.save_account(&record(1001, "wlcg", "rt-2"), at).await.unwrap();
    let row = |name: &str, generation: u64, sealed: &[u8]| {
        let length = u16::try_from(name.len()).unwrap().to_be_bytes();
        let body = [&length[..], name.as_bytes(), &generation.to_be_bytes(), sealed].concat();
        (ROW, body)
    };
    let bobs = stored(&old, 1002, "wlcg").await.value.generation;
    let a = row(alice, generation + 1, &raw(alice).await);
    let b = row(bob, bobs, &raw(bob).await);
    let entry = {
        old.journal(&record(1002, "wlcg", "rt-3"), None).await.unwrap();
        old.journal.unsettled()[0].payload.clone()
    };
    let mut moved = entry.clone();
    moved[..alice.len()].copy_from_slice(alice.as_bytes());
    let (new, _new_temp) = other().await;
    type Wrong = (&'static str, Vec<(u8, Vec<u8>)>, (u64, u64));
    let wrongs: [Wrong; 10] = [
        ("swapped", vec![row(alice, bobs, &raw(bob).await), b.clone()], (2, 0)),
        ("twice", vec![a.clone(), a.clone()], (2, 0)),
        ("older", vec![row(alice, generation + 1, &older), b.clone()], (2, 0)),
        ("left out", vec![a.clone()], (2, 0)),
        ("one more", vec![a.clone(), b.clone()], (1, 0)),
        ("not a row", vec![row("etc/shadow", 1, b"root"), b.clone()], (2, 0)),
        ("cut", vec![(ROW, vec![0, 200, 1])], (1, 0)),
        ("another keyring", vec![a.clone(), (KEYRING, b"x".to_vec())], (1, 0)),
        ("an entry of another", vec![a.clone(), (ENTRY, moved)], (1, 1)),
        ("something unknown", vec![a.clone(), (77, vec![])], (1, 0)),
    ];
    for (what, frames, counts) in wrongs {
        let forged = forged(&old, &frames, counts).await;
        match what {
            "twice" => told("a forged backup has a row twice", read(&new, &forged).await),
            "older" => told("a forged backup has an older row", read(&new, &forged).await),
            "left out" => told("a forged backup lacks a row", read(&new, &forged).await),
            "an entry of another" => {
                told("a forged backup has the journal of another row", read(&new, &forged).await);
            }
            _ => {}
        }
        let text = refusal(read(&new, &forged).await);
        assert!(!text.contains("canary"), "{what}: {text}");
    }
    // Sealed for its row, with the keys of the backup: only what is in it is another's.
    let mine = Bound { kind: Kind::Journal, row: alice, generation: 9, user: "u", issuer: "i" };
    let content = json!({ "record": record(1002, "wlcg", "rt-9"), "predecessor": null });
    let sealed = old.sealer.seal(&mine, &content).unwrap();
    let foreign = (ENTRY, [alice.as_bytes(), b"\n", &sealed].concat());
    let forged_entry = forged(&old, &[a.clone(), foreign], (1, 1)).await;
    told(
        "a forged backup has another account in a journal's entry",
        read(&new, &forged_entry).await,
    );
    let good = forged(&old, &[a, b, (ENTRY, entry)], (2, 1)).await;
    read(&new, &good).await.unwrap().put_back(false).await.unwrap();
    assert_eq!(token_of(&stored(&new, 1001, "wlcg").await.value), "rt-2");
}

#[tokio::test]
async fn what_does_not_open_is_left_out_and_named_and_the_rest_is_good() {
    let (old, _temp) = furnished().await;
    let row = "accounts/1001/cms";
    let mut entry = old.store.get(row).await.unwrap().unwrap();
    *entry.value.last_mut().unwrap() ^= 1;
    old.store.compare_and_swap(row, entry.revision, Some(entry.value)).await.unwrap();
    let (bytes, contents) = taken(&old, true).await;
    assert_eq!((contents.counts.records, contents.left_out.len()), (5, 1));
    assert!(contents.left_out[0].starts_with(row), "{:?}", contents.left_out);
    let (new, _new_temp) = other().await;
    read(&new, &bytes).await.unwrap().put_back(false).await.unwrap();
    assert_eq!(new.account_keys().await.unwrap().len(), 2);
}

#[tokio::test]
async fn a_store_that_does_not_take_it_all_takes_nothing() {
    let (old, _temp) = furnished().await;
    let (bytes, _) = taken(&old, true).await;
    let (new, _new_temp) = other().await;
    new.save_account(&record(2000, "wlcg", "kept"), ABSENT).await.unwrap();
    let good = read(&new, &bytes).await.unwrap();
    // Another writer has the file: as a disk that fails in the middle.
    let path = _new_temp.path().join("iamd.db");
    let foreign = rusqlite::Connection::open(&path).unwrap();
    foreign.execute_batch("BEGIN IMMEDIATE").unwrap();
    let refused = good.put_back(true).await.unwrap_err();
    assert!(matches!(refused, UpkeepError::Vault(VaultError::Unavailable { .. })), "{refused}");
    foreign.execute_batch("ROLLBACK").unwrap();
    assert_eq!(token_of(&stored(&new, 2000, "wlcg").await.value), "kept");
    assert_eq!(new.account_keys().await.unwrap().len(), 1);
    read(&new, &bytes).await.unwrap().put_back(true).await.unwrap();
}

#[tokio::test]
async fn a_large_one_goes_through_many_chunks_while_others_write() {
    let (old, _temp) = other().await;
    for uid in 0..600 {
        old.save_account(&record(uid, "wlcg", "rt"), ABSENT).await.unwrap();
    }
    // The other end reads slowly, and writers do not wait for it.
    let (mut near, far) = tokio::io::duplex(1000);
    let vault = Arc::clone(&old);
    let task = tokio::spawn(async move {
        let mut far = far;
        vault.back_up(about(true), &words(), &mut far).await.unwrap()
    });
    let mut bytes = vec![0; 100];
    tokio::io::AsyncReadExt::read_exact(&mut near, &mut bytes).await.unwrap();
    let now = stored(&old, 599, "wlcg").await;
    let changed = Record { refresh_token: Some(secret("after")), ..now.value };
    old.save_account(&changed, now.revision).await.unwrap();
    tokio::io::AsyncReadExt::read_to_end(&mut near, &mut bytes).await.unwrap();
    let contents = task.await.unwrap();
    assert!(bytes.len() > 4 * crate::seal::backup::CHUNK && contents.counts.accounts == 600);
    let (new, _new_temp) = other().await;
    read(&new, &bytes).await.unwrap().put_back(false).await.unwrap();
    assert_eq!(token_of(&stored(&new, 599, "wlcg").await.value), "rt", "of one moment");
    assert_eq!(new.account_keys().await.unwrap().len(), 600);
}

#[tokio::test]
async fn who_asked_for_a_backup_and_went_away_ends_it() {
    let (vault, _temp) = furnished().await;
    let (near, mut far) = tokio::io::duplex(100);
    drop(near);
    let gone = vault.back_up(about(true), &words(), &mut far).await.unwrap_err();
    shows("whoever asked for a backup goes away", gone);
}

#[tokio::test]
async fn orphans_are_told() {
    let (vault, _temp) = furnished().await;
    let mut orphan = record(1005, "wlcg", "rt");
    orphan.client_owner = ClientOwner::User(1005);
    orphan.client_id = Some("gone".into());
    vault.save_account(&orphan, ABSENT).await.unwrap();
    let found = vault.inspect().await.unwrap();
    assert_eq!(found.accounts_without_client, ["1005/wlcg"]);
    assert_eq!(found.clients_without_account.len(), 1, "the site's may wait for its first user");
    assert!(found.clients_without_account[0].starts_with("clients/1001/"));
}

/// As a disk, or a copy that was made while iamd ran, may leave it: the rows are read, and an index
/// is not whole.
fn tamper_with_an_index(path: &Path) {
    let database = rusqlite::Connection::open(path.join("iamd.db")).unwrap();
    database.busy_timeout(std::time::Duration::from_secs(5)).unwrap();
    // The index gets the empty page of another one, which goes.
    database.execute("CREATE INDEX other ON counters (value) WHERE value < 0", []).unwrap();
    let read = "SELECT rootpage FROM sqlite_schema WHERE name = 'other'";
    let page: i64 = database.query_row(read, [], |row| row.get(0)).unwrap();
    database.pragma_update(None, "writable_schema", true).unwrap();
    database.execute("DELETE FROM sqlite_schema WHERE name = 'other'", []).unwrap();
    let write = "UPDATE sqlite_schema SET rootpage = ?1 WHERE name = 'sqlite_autoindex_entries_2'";
    assert_eq!(database.execute(write, [page]).unwrap(), 1);
}

#[tokio::test]
async fn of_a_damaged_store_no_backup_is_made_and_none_is_put_into_it() {
    let (vault, temp) = furnished().await;
    let (good, _) = taken(&vault, true).await;
    tamper_with_an_index(temp.path());
    assert!(vault.inspect().await.unwrap().damage.is_some());
    let mut bytes = Vec::new();
    let refused = vault.back_up(about(true), &words(), &mut bytes).await.unwrap_err();
    assert!(matches!(refused, UpkeepError::Damaged { put_back: false, .. }), "{refused:?}");
    assert!(bytes.is_empty(), "nothing that looks like a backup");
    let text = refused.to_string();
    assert!(text.contains("no backup is made of it") && text.contains("REINDEX"), "{text}");
    let before = stored(&vault, 1001, "cms").await.value.generation;
    let refused = read(&vault, &good).await.unwrap().put_back(true).await.unwrap_err();
    assert!(matches!(refused, UpkeepError::Damaged { put_back: false, .. }), "{refused:?}");
    assert_eq!(stored(&vault, 1001, "cms").await.value.generation, before);
}
