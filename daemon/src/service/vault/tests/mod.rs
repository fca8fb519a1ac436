//! The vault on a real SQLite file, journal and keyring.

mod attack;
mod backup;
mod clients;
mod crash;
mod frames;
mod guarded;
mod machine;
mod password_flows;
mod rekey;
mod rename;
mod replay;
mod shared;
mod texts;

use std::{fs, path::PathBuf, process::Command, time::Instant};

use secrecy::ExposeSecret;
use tempfile::TempDir;

use super::*;
use crate::{
    account::{
        AccessToken, ClientAuth, Owner, Rotation, ScopeSet, State, Subject, UnixTime, ports::Stored,
    },
    clock::{SystemClock, SystemRandom},
};

const ABSENT: Revision = Revision::ABSENT;

/// Where a child works: a test that needs a process of its own runs once more as that process.
const DIR: &str = "IAMD_TEST_STATE_DIR";

/// The state directory, in a process that [`child`] began.
fn as_child() -> Option<PathBuf> {
    std::env::var_os(DIR).map(PathBuf::from)
}

/// The test `name` (below this module) once more, as the child that works in `path`.
fn child(name: &str, path: &Path) -> Command {
    let mut command = Command::new(std::env::current_exe().unwrap());
    let name = format!("service::vault::tests::{name}");
    command.args([&name, "--exact", "--nocapture"]).env(DIR, path);
    command
}
const ISSUER: &str = "https://iss.example/";

async fn open_at(path: &Path) -> Result<StoreVault, OpenVaultError> {
    StoreVault::open(path, None, Arc::new(SystemRandom), Arc::new(SystemClock)).await
}

async fn fresh() -> (StoreVault, TempDir) {
    let temp = tempfile::tempdir().unwrap();
    (open_at(temp.path()).await.unwrap(), temp)
}

/// In memory where there is such a place, for what is not about the disk's sync.
fn in_memory() -> TempDir {
    let memory = Path::new("/dev/shm");
    let temp = if memory.is_dir() { tempfile::tempdir_in(memory) } else { tempfile::tempdir() };
    temp.unwrap()
}

fn key(uid: u32, name: &str) -> AccountKey {
    AccountKey { uid, name: name.parse().unwrap() }
}

fn secret(text: impl Into<String>) -> SecretString {
    text.into().into()
}

/// A signed-in account whose every part is a canary.
fn record(uid: u32, name: &str, token: &str) -> Record {
    let owner = Owner { uid, user: format!("canary-user-{uid}") };
    let mut record = Record::new(owner, name.parse().unwrap(), ISSUER.into(), ClientOwner::Site);
    let scopes = ScopeSet::parse(["storage.read:/canary", "offline_access"]).unwrap();
    record.state = State::SignedIn;
    record.subject = Some(Subject { sub: "canary-sub".into(), ..Subject::default() });
    record.signed_in_at = Some(UnixTime(1000));
    record.rotation = Rotation::Rotates;
    record.refresh_token = Some(secret(token));
    record.scopes = scopes.clone();
    record.access_token = Some(AccessToken {
        token: secret(format!("canary-access-{token}")),
        issued_at: UnixTime(1000),
        expires_at: UnixTime(2000),
        scopes,
    });
    record
}

fn client(owner: ClientOwner) -> ClientRecord {
    ClientRecord {
        owner,
        issuer: ISSUER.into(),
        user: None,
        generation: 0,
        client_id: "canary-client-id".into(),
        client_name: None,
        client_secret: Some(secret("canary-client-secret")),
        client_secret_expires_at: None,
        auth: ClientAuth::ClientSecretBasic,
        registration_access_token: Some(secret("canary-registration")),
        registration_client_uri: None,
        scopes: ScopeSet::default(),
        grant_types: vec!["refresh_token".into()],
        registered_at: UnixTime(1),
    }
}

fn token_of(record: &Record) -> &str {
    record.refresh_token.as_ref().map_or("", |token| token.expose_secret())
}

async fn stored(vault: &StoreVault, uid: u32, name: &str) -> Stored<Record> {
    vault.account(&key(uid, name)).await.unwrap().unwrap()
}

#[tokio::test]
async fn an_account_is_there_after_a_restart_with_a_higher_generation_after_each_write() {
    let (vault, temp) = fresh().await;
    let first = vault.save_account(&record(1001, "wlcg", "rt-1"), ABSENT).await.unwrap();
    let before = stored(&vault, 1001, "wlcg").await;
    assert_eq!(before.revision, first);
    assert!(before.value.generation > 0);
    vault.save_account(&record(1001, "wlcg", "rt-2"), first).await.unwrap();
    drop(vault);

    let vault = open_at(temp.path()).await.unwrap();
    let after = stored(&vault, 1001, "wlcg").await;
    assert_eq!(token_of(&after.value), "rt-2");
    assert_eq!(after.value.generation, before.value.generation + 1);
    assert_eq!(after.value.owner.user, "canary-user-1001");
}

#[tokio::test]
async fn who_writes_second_is_told_and_changes_nothing() {
    let (vault, _temp) = fresh().await;
    let first = vault.save_account(&record(1001, "wlcg", "rt-1"), ABSENT).await.unwrap();
    vault.save_account(&record(1001, "wlcg", "rt-2"), first).await.unwrap();
    for expected in [first, ABSENT] {
        let late = vault.save_account(&record(1001, "wlcg", "late"), expected).await;
        assert_eq!(late.unwrap_err(), VaultError::Conflict);
    }
    let late = vault.remove_account(&key(1001, "wlcg"), first).await;
    assert_eq!(late.unwrap_err(), VaultError::Conflict);
    assert_eq!(token_of(&stored(&vault, 1001, "wlcg").await.value), "rt-2");
}

#[tokio::test]
async fn a_user_has_their_accounts_and_no_others() {
    let (vault, _temp) = fresh().await;
    for (uid, name) in [(100, "b"), (100, "a"), (10, "a"), (1001, "a")] {
        vault.save_account(&record(uid, name, "rt"), ABSENT).await.unwrap();
    }
    let keys: Vec<_> = vault.accounts_of(100).await.unwrap().into_iter().map(|(k, _)| k).collect();
    assert_eq!(keys, [key(100, "a"), key(100, "b")]);
    assert!(vault.accounts_of(1).await.unwrap().is_empty());
    assert_eq!(vault.account_keys().await.unwrap().len(), 4);
    assert!(vault.account(&key(10, "b")).await.unwrap().is_none());
}

#[tokio::test]
async fn a_removed_account_can_be_made_again() {
    let (vault, _temp) = fresh().await;
    let revision = vault.save_account(&record(1001, "wlcg", "rt-1"), ABSENT).await.unwrap();
    let old = stored(&vault, 1001, "wlcg").await.value.generation;
    vault.remove_account(&key(1001, "wlcg"), revision).await.unwrap();
    assert!(vault.account(&key(1001, "wlcg")).await.unwrap().is_none());
    vault.save_account(&record(1001, "wlcg", "rt-2"), ABSENT).await.unwrap();
    assert!(stored(&vault, 1001, "wlcg").await.value.generation > old);
}

#[tokio::test]
async fn clients_are_kept_by_owner_and_issuer() {
    let (vault, _temp) = fresh().await;
    let (site, user) = (ClientOwner::Site, ClientOwner::User(1001));
    for owner in [&site, &user] {
        vault.save_client(&client(owner.clone()), ABSENT).await.unwrap();
    }
    let found = vault.client(&user, "https://iss.example").await.unwrap().unwrap().value;
    assert_eq!(found.client_secret.unwrap().expose_secret(), "canary-client-secret");
    assert!(vault.client(&site, "https://other.example").await.unwrap().is_none());
    assert!(vault.client(&ClientOwner::User(1002), ISSUER).await.unwrap().is_none());
    vault.remove_client(&user, ISSUER).await.unwrap();
    vault.remove_client(&user, ISSUER).await.unwrap();
    assert!(vault.client(&user, ISSUER).await.unwrap().is_none());
    assert!(vault.client(&site, ISSUER).await.unwrap().is_some());
    assert!(vault.save_client(&client(ClientOwner::Fixed), ABSENT).await.is_err());
    assert!(vault.client(&ClientOwner::Fixed, ISSUER).await.unwrap().is_none());
}

#[tokio::test]
async fn settings_are_the_defaults_until_they_are_saved() {
    let (vault, _temp) = fresh().await;
    let none = vault.settings(1001).await.unwrap();
    assert_eq!((none.value, none.revision), (Settings::default(), ABSENT));
    let off = Settings { notice_off: true, ..Settings::default() };
    let at = vault.save_settings(1001, &off, ABSENT).await.unwrap();
    assert_eq!(vault.settings(1001).await.unwrap().value, off);
    vault.save_settings(1001, &Settings::default(), at).await.unwrap();
    assert_eq!(vault.settings(1001).await.unwrap().value, Settings::default());
    assert_eq!(vault.settings(1002).await.unwrap().revision, ABSENT);
}

#[tokio::test]
async fn a_lock_is_of_one_account_or_one_client() {
    use tokio::time::timeout;
    let (vault, _temp) = fresh().await;
    let account = || LockOn::Account(key(1001, "wlcg"));
    let held = vault.lock(account()).await.unwrap();
    let short = std::time::Duration::from_millis(30);
    assert!(timeout(short, vault.lock(account())).await.is_err());
    for other in [
        LockOn::Account(key(1001, "cms")),
        LockOn::Client(ClientOwner::Site, ISSUER.into()),
        LockOn::Client(ClientOwner::User(1001), ISSUER.into()),
        LockOn::Client(ClientOwner::Fixed, ISSUER.into()),
    ] {
        drop(timeout(short, vault.lock(other)).await.unwrap().unwrap());
    }
    drop(held);
    vault.lock(account()).await.unwrap();
}

/// Printed, not judged: `cargo test -p iamd ten_thousand -- --nocapture`.
#[tokio::test]
async fn ten_thousand_accounts_open_and_list() {
    let temp = in_memory();
    let vault = open_at(temp.path()).await.unwrap();
    let clock = SystemClock;
    let told = |what: &str, since: Instant| {
        println!("10,000 accounts: {what} in {:?}", clock.monotonic() - since);
    };
    let start = clock.monotonic();
    for i in 0..10_000 {
        vault.save_account(&record(i, "wlcg", "rt"), ABSENT).await.unwrap();
    }
    told("written", start);
    drop(vault);
    let start = clock.monotonic();
    let vault = open_at(temp.path()).await.unwrap();
    told("opened and checked", start);
    let start = clock.monotonic();
    let keys = vault.account_keys().await.unwrap();
    told("listed by key", start);
    let start = clock.monotonic();
    for key in keys.iter().step_by(10) {
        vault.account(key).await.unwrap().unwrap();
    }
    told("every tenth read", start);
    println!("{} bytes", fs::metadata(temp.path().join("iamd.db")).unwrap().len());
    assert_eq!(keys.len(), 10_000);
}
