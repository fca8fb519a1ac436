//! What the vault says: of a record that does not open, of one that cannot be written, and why iamd
//! does not start on what is there. Each provoked, and compared with its row in docs/errors.md.

use std::os::unix::fs::{PermissionsExt as _, chown};

use super::{attack::*, *};
use crate::{
    account::{Guards, ports::upkeep::Upkeep as _},
    seal::{Bound, Kind},
    service::ServiceError,
    testing,
};

const WLCG: &str = "accounts/1001/wlcg";

fn shows(when: &str, error: impl Into<ServiceError>) {
    let mut error: ServiceError = error.into();
    let temp = std::env::temp_dir();
    // The directory of a test is named by chance.
    if let Some(at) = error.message.find(temp.to_str().unwrap()) {
        let end = at + error.message[at + 1..].find("/journal").unwrap() + 1;
        error.message.replace_range(at..end, "/var/lib/iamd");
    }
    testing::shows("Store and keys", when, error);
}

async fn closed(vault: &StoreVault) -> VaultError {
    vault.account(&key(1001, "wlcg")).await.unwrap_err()
}

#[tokio::test]
async fn a_record_does_not_open() {
    let temp = tempfile::tempdir().unwrap();
    let (vault, store) = with_store(temp.path(), ONE);
    let at = vault.save_account(&record(1001, "wlcg", "rt"), ABSENT).await.unwrap();
    let old = raw(&store, WLCG).await;
    vault.save_account(&record(1001, "wlcg", "rt-2"), at).await.unwrap();
    let later = {
        let mut later = old.clone();
        later[4] += 1;
        later
    };
    let bound =
        Bound { kind: Kind::Account, row: WLCG, generation: 1 << 60, user: "u", issuer: "i" };
    let content = vault.sealer.seal(&bound, &7).unwrap();
    vault.save_account(&record(1001, "cms", "rt"), ABSENT).await.unwrap();
    for (when, row) in [
        ("a row of the store was overwritten", b"garbage".to_vec()),
        ("a row of the store was cut off", old[..20].to_vec()),
        ("a row of the store was changed, or moved", raw(&store, "accounts/1001/cms").await),
        ("a later iamd wrote the row", later),
        ("another program wrote the row", content),
        ("an older row was put back", old.clone()),
    ] {
        put(&store, WLCG, row).await;
        shows(when, closed(&vault).await);
    }
    drop((vault, store));
    let (vault, store) = with_store(temp.path(), TWO);
    put(&store, WLCG, old).await;
    shows("the key of a row is not in the keyring", closed(&vault).await);
    let mine = ClientOwner::User(1001);
    vault.save_client(&client(mine.clone()), ABSENT).await.unwrap();
    let row = store.keys("clients/").await.unwrap().remove(0);
    put(&store, &row, b"garbage".to_vec()).await;
    let error = vault.client(&mine, ISSUER).await.unwrap_err();
    assert!(error.to_string().starts_with("the client at clients/1001/"), "{error}");
    put(&store, "settings/1001", b"garbage".to_vec()).await;
    let error = vault.settings(1001).await.unwrap_err();
    assert!(error.to_string().starts_with("the settings at settings/1001 does not"), "{error}");
}

/// What `iamctl admin store check` finds in rows that only who has the keys could write: sealed for
/// a place that their content is not of.
#[tokio::test]
async fn a_record_is_about_something_else_than_its_row() {
    let temp = tempfile::tempdir().unwrap();
    let (vault, store) = with_store(temp.path(), ONE);
    let mine = |kind, row| Bound { kind, row, generation: 7, user: "u", issuer: "i" };
    let clients = format!("clients/1001/{}", kept::hash(ISSUER));
    let leave = kept::password_flow_row(ISSUER, "client-1");
    let seal = &vault.sealer;
    let flow = super::password_flows::flow(ISSUER, "client-2");
    for (when, row, sealed) in [
        (
            "a row of an account has another account in it",
            WLCG,
            seal.seal(&mine(Kind::Account, WLCG), &record(1001, "cms", "rt")),
        ),
        (
            "a row of a client has another client in it",
            clients.as_str(),
            seal.seal(&mine(Kind::Client, &clients), &client(ClientOwner::User(1002))),
        ),
        (
            "a row of a leave for passwords has that of another client in it",
            leave.as_str(),
            seal.seal(&mine(Kind::PasswordFlow, &leave), &flow),
        ),
    ] {
        put(&store, row, sealed.unwrap()).await;
        let mut found = vault.inspect().await.unwrap().unreadable;
        assert_eq!(found.len(), 1, "{found:?}");
        let text = found.remove(0).replace(&kept::hash(ISSUER), "HASH");
        iamd_errors::shows("Store and keys", when, &text, "iamctl admin store check", None, "");
        let at = store.get(row).await.unwrap().unwrap().revision;
        store.compare_and_swap(row, at, None).await.unwrap();
    }
    let unchanged = vault.renew_key().await;
    testing::shows("Store and keys", "a keyring without a file", unchanged.unwrap_err());
}

#[tokio::test]
async fn a_record_cannot_be_written() {
    let (vault, _temp) = fresh().await;
    let at = vault.save_account(&record(1001, "wlcg", "rt"), ABSENT).await.unwrap();
    let meanwhile = vault.save_account(&record(1001, "wlcg", "rt"), ABSENT).await;
    shows("two write an account at once", meanwhile.unwrap_err());
    let mut long = record(1001, "long", "rt");
    long.owner.user = "u".repeat(70_000);
    shows("a user name without end", vault.save_account(&long, ABSENT).await.unwrap_err());
    let mut big = record(1001, "wlcg", "rt");
    big.client_id = Some("x".repeat(2 << 20));
    shows("an account without end", vault.journal(&big, None).await.unwrap_err());
    let fixed = vault.save_client(&client(ClientOwner::Fixed), ABSENT).await;
    shows("a client of the site's files is to be stored", fixed.unwrap_err());

    let plain = record(1001, "wlcg", "rt");
    let open = vault.open(&plain, &secret("some words")).await.unwrap_err();
    shows("a passphrase is tried at an account that has none", open);
    let mut guarded = plain;
    guarded.guard = Some(vault.make(&guarded, &secret("some words")).await.unwrap());
    guarded.guard.as_mut().unwrap().key = None;
    let locked = vault.save_account(&guarded, at).await.unwrap_err();
    shows("new tokens of an account that was locked", locked);
}

/// What a start says of a state directory that `damage` changed.
async fn start(when: &str, damage: impl FnOnce(&Path)) {
    let temp = tempfile::tempdir().unwrap();
    let state = temp.path().join("state");
    let vault = open_at(&state).await.unwrap();
    vault.save_account(&record(1001, "wlcg", "rt"), ABSENT).await.unwrap();
    drop(vault);
    damage(&state);
    let Err(error) = open_at(&state).await else { panic!("{when}: it starts") };
    stops(when, error, &state, "");
}

/// The start says so, and ends with EX_CONFIG where trying again is of no use.
fn stops(when: &str, error: OpenVaultError, state: &Path, pid: &str) {
    let text = error.to_string().replace(state.to_str().unwrap(), "/var/lib/iamd");
    let text = if pid.is_empty() { text } else { text.replace(pid, "4711") };
    let exit = if crate::startup::StartError::from(error).is_configuration() { 78 } else { 1 };
    testing::stops("Store and keys", when, exit, &text);
}

fn mode(path: &Path, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}

fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

#[tokio::test]
async fn iamd_does_not_start_on_this_directory() {
    start("the state directory is a file", |state| {
        fs::remove_dir_all(state).unwrap();
        fs::write(state, "").unwrap();
    })
    .await;
    start("others can write to the state directory", |state| mode(state, 0o770)).await;
    start("a file of the state directory is none", |state| {
        fs::remove_file(state.join("journal")).unwrap();
        Command::new("mkfifo").arg(state.join("journal")).status().unwrap();
    })
    .await;
    start("the journal is none", |state| {
        fs::write(state.join("journal"), "something else").unwrap()
    })
    .await;
    start("a later iamd wrote the journal", |state| {
        fs::write(state.join("journal"), b"iamdjnl\x09").unwrap();
    })
    .await;
    start("the database is none", |state| {
        fs::write(state.join("iamd.db"), "x".repeat(4096)).unwrap()
    })
    .await;
    if is_root() {
        start("the state directory is somebody else's", |state| {
            chown(state, Some(65534), None).unwrap();
        })
        .await;
        start("a file of the state directory is somebody else's", |state| {
            chown(state.join("iamd.db"), Some(65534), None).unwrap();
        })
        .await;
    }
    let (_vault, temp) = fresh().await;
    let Err(error) = open_at(temp.path()).await else { panic!("two at once") };
    let pid = std::process::id().to_string();
    stops("another iamd runs", error, temp.path(), &pid);
}

#[tokio::test]
async fn iamd_does_not_start_with_this_keyring() {
    const KEY: &str = "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAE=";
    let keyring = |state: &Path, text: &str| {
        let path = state.join("keyring");
        fs::remove_file(&path).unwrap();
        fs::write(&path, text).unwrap();
        mode(&path, 0o400);
    };
    start("the keyring is lost", |state| fs::remove_file(state.join("keyring")).unwrap()).await;
    start("the keyring is a directory", |state| {
        fs::remove_file(state.join("keyring")).unwrap();
        fs::create_dir(state.join("keyring")).unwrap();
        mode(&state.join("keyring"), 0o500);
    })
    .await;
    start("others can read the keyring", |state| mode(&state.join("keyring"), 0o440)).await;
    for (when, text) in [
        ("the keyring is empty", "# nothing\n".to_owned()),
        ("the keyring is none", "# x\n".repeat(20_000)),
        ("a line of the keyring is none", "one two three\n".to_owned()),
        ("a line of the keyring has another name than keys have", format!("a/b {KEY}\n")),
        ("a key is in the keyring twice", format!("a {KEY}\na {KEY}\n")),
        ("a key of the keyring is none", "a AAAA\n".to_owned()),
    ] {
        start(when, |state| keyring(state, &text)).await;
    }
    if is_root() {
        start("the keyring is somebody else's", |state| {
            chown(state.join("keyring"), Some(65534), None).unwrap();
        })
        .await;
    }
    let (vault, temp) = fresh().await;
    drop(vault);
    keyring(temp.path(), &format!("a {KEY}\n"));
    let credential = temp.path().join("iamd.keyring");
    fs::write(&credential, format!("a {}\n", KEY.replace("E=", "I="))).unwrap();
    mode(&credential, 0o400);
    let (random, clock) = (Arc::new(SystemRandom), Arc::new(SystemClock));
    let Err(error) = StoreVault::open(temp.path(), Some(credential), random, clock).await else {
        panic!("two keys of one name")
    };
    stops("two keys have one name", error, temp.path(), "");
}
