//! Two nodes with one store: a real etcd, and the same keys.

use super::*;
use crate::{store::EtcdSettings, testing::Etcd};

/// Nodes with the keys of the first.
struct Nodes {
    etcd: Etcd,
    keyring: Option<Vec<u8>>,
    dirs: Vec<TempDir>,
}

impl Nodes {
    fn new() -> Option<Self> {
        Some(Self { etcd: Etcd::start()?, keyring: None, dirs: Vec::new() })
    }

    async fn node(&mut self, name: &str) -> StoreVault {
        let temp = tempfile::tempdir().unwrap();
        let keyring = temp.path().join("keyring");
        if let Some(keys) = &self.keyring {
            fs::write(&keyring, keys).unwrap();
            let only_root = std::os::unix::fs::PermissionsExt::from_mode(0o400);
            fs::set_permissions(&keyring, only_root).unwrap();
        }
        let vault = self.open(temp.path(), name).await.unwrap();
        self.keyring.get_or_insert_with(|| fs::read(&keyring).unwrap());
        self.dirs.push(temp);
        vault
    }

    async fn open(&self, path: &Path, name: &str) -> Result<StoreVault, OpenVaultError> {
        let lease_file = Some(path.join("lease"));
        let node = name.to_owned();
        let settings = EtcdSettings { node, lease_file, ..self.etcd.settings() };
        let (random, clock) = (Arc::new(SystemRandom), Arc::new(SystemClock));
        StoreVault::open_on(path, None, Some(settings), random, clock).await
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_one_node_stores_the_other_opens_and_goes_on_from() {
    let Some(mut nodes) = Nodes::new() else { return };
    let (a, b) = (nodes.node("login1").await, nodes.node("login2").await);
    let first = record(1001, "wlcg", "rt-canary-1");
    a.save_account(&first, Revision::ABSENT).await.unwrap();
    let found = b.account(&key(1001, "wlcg")).await.unwrap().unwrap();
    assert_eq!(found.value.refresh_token.as_ref().unwrap().expose_secret(), "rt-canary-1");
    // Each has seen what the other wrote: neither takes the newer for the older.
    let (mut at, mut now) = (found.revision, found.value);
    for turn in 0..6 {
        let (node, other) = if turn % 2 == 0 { (&b, &a) } else { (&a, &b) };
        now.refresh_token = Some(secret(format!("rt-canary-{turn}")));
        node.save_account(&now, at).await.unwrap();
        let stale = other.save_account(&now, at).await;
        assert_eq!(stale, Err(VaultError::Conflict), "turn {turn}");
        let found = other.account(&key(1001, "wlcg")).await.unwrap().unwrap();
        (at, now) = (found.revision, found.value);
    }
    b.remove_account(&key(1001, "wlcg"), at).await.unwrap();
    assert!(a.account(&key(1001, "wlcg")).await.unwrap().is_none());
    a.save_account(&first, Revision::ABSENT).await.unwrap();
    assert!(b.account(&key(1001, "wlcg")).await.unwrap().is_some(), "made anew, it is newer");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_without_the_keys_of_the_others_does_not_start() {
    let Some(mut nodes) = Nodes::new() else { return };
    let a = nodes.node("login1").await;
    a.save_account(&record(1001, "wlcg", "rt-canary"), Revision::ABSENT).await.unwrap();
    let temp = tempfile::tempdir().unwrap();
    let error = nodes.open(temp.path(), "login2").await.err().expect("keys of its own are no use");
    assert!(matches!(error, OpenVaultError::Keyring(_)), "{error}");
    assert!(!temp.path().join("keyring").exists(), "and none are made");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_device_login_is_gone_on_with_by_its_own_node_only() {
    let Some(mut nodes) = Nodes::new() else { return };
    let (a, b) = (nodes.node("login1").await, nodes.node("login2").await);
    let client = client(ClientOwner::Site);
    let login = PendingLogin {
        owner: Owner { uid: 1001, user: "alice".into() },
        name: "wlcg".parse().unwrap(),
        exists: false,
        issuer: ISSUER.into(),
        scopes: ScopeSet::default(),
        audiences: crate::account::AudienceSet::default(),
        client_owner: client.owner.clone(),
        client,
        client_is_new: false,
        replaces: None,
        device_code: secret("canary-device-code"),
        user_code: "AB12CD".into(),
        verification_uri: "https://iss.example/device".into(),
        verification_uri_complete: None,
        interval_seconds: 5,
        since: UnixTime(1),
        expires_at: UnixTime(600),
        remarks: Vec::new(),
    };
    a.save_login(&login).await.unwrap();
    assert!(b.logins().await.unwrap().is_empty());
    let dir = nodes.dirs[0].path().to_owned();
    drop(a);
    let a = nodes.open(&dir, "login1").await.unwrap();
    assert_eq!(a.logins().await.unwrap().len(), 1, "after a restart too");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lock_of_an_account_keeps_the_other_node_out_until_it_is_dropped() {
    let Some(mut nodes) = Nodes::new() else { return };
    let (a, b) = (nodes.node("login1").await, nodes.node("login2").await);
    let on = || LockOn::Account(key(1001, "wlcg"));
    let held = a.lock(on()).await.unwrap();
    let short = std::time::Duration::from_millis(200);
    assert!(tokio::time::timeout(short, b.lock(on())).await.is_err());
    assert!(held.is_held().await);
    drop(held);
    let long = std::time::Duration::from_secs(60);
    assert!(tokio::time::timeout(long, b.lock(on())).await.unwrap().unwrap().is_held().await);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_node_changes_is_told_to_the_other_after_etcd_was_away_too() {
    use futures_util::StreamExt as _;
    let Some(mut nodes) = Nodes::new() else { return };
    let (a, b) = (nodes.node("login1").await, nodes.node("login2").await);
    let mut changes = b.changes().unwrap();
    let long = std::time::Duration::from_secs(60);
    assert_eq!(tokio::time::timeout(long, changes.next()).await.unwrap(), Some(Changed::Anything));
    let account = record(1001, "wlcg", "rt-canary");
    let at = a.save_account(&account, Revision::ABSENT).await.unwrap();
    let next = tokio::time::timeout(long, changes.next()).await.unwrap();
    assert_eq!(next, Some(Changed::Account(key(1001, "wlcg"))));
    a.save_settings(1001, &Settings::default(), Revision::ABSENT).await.unwrap();
    let next = tokio::time::timeout(long, changes.next()).await.unwrap();
    assert_eq!(next, Some(Changed::Settings(1001)));
    nodes.etcd.kill();
    nodes.etcd.run();
    a.remove_account(&key(1001, "wlcg"), at).await.unwrap();
    let next = tokio::time::timeout(long, changes.next()).await.unwrap();
    assert_eq!(next, Some(Changed::Account(key(1001, "wlcg"))));
    let (alone, _temp) = fresh().await;
    assert!(alone.changes().is_none(), "nobody else writes SQLite");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_killed_daemon_had_in_its_journal_is_stored_before_another_node_has_the_lock() {
    let Some(mut nodes) = Nodes::new() else { return };
    let (a, b) = (nodes.node("login1").await, nodes.node("login2").await);
    let on = || LockOn::Account(key(1001, "wlcg"));
    let mut account = record(1001, "wlcg", "rt-canary-1");
    a.save_account(&account, Revision::ABSENT).await.unwrap();
    // Killed when the issuer had answered and the journal had it.
    std::mem::forget(a.lock(on()).await.unwrap());
    account = a.account(&key(1001, "wlcg")).await.unwrap().unwrap().value;
    let replaced = account.refresh_token.replace(secret("rt-canary-2"));
    a.journal(&account, replaced.as_ref()).await.unwrap();
    drop(a);
    let mut waiting = tokio::spawn(async move {
        let _lock = b.lock(on()).await.unwrap();
        b.account(&key(1001, "wlcg")).await.unwrap().unwrap().value
    });
    let a = nodes.open(nodes.dirs[0].path(), "login1").await.unwrap();
    let short = std::time::Duration::from_millis(300);
    assert!(tokio::time::timeout(short, &mut waiting).await.is_err());
    assert_eq!(a.replay().await, Ok(1));
    let long = std::time::Duration::from_secs(60);
    let found = tokio::time::timeout(long, waiting).await.unwrap().unwrap();
    assert_eq!(found.refresh_token.unwrap().expose_secret(), "rt-canary-2");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_start_whose_journal_etcd_does_not_take_says_so() {
    let Some(mut nodes) = Nodes::new() else { return };
    let a = nodes.node("login1").await;
    a.save_account(&record(1001, "wlcg", "rt-canary-1"), Revision::ABSENT).await.unwrap();
    a.journal(&record(1001, "wlcg", "rt-canary-2"), Some(&secret("rt-canary-1"))).await.unwrap();
    drop(a);
    let timeout = std::time::Duration::from_secs(2);
    let settings = EtcdSettings { timeout, ..nodes.etcd.settings() };
    let (random, clock) = (Arc::new(SystemRandom), Arc::new(SystemClock));
    let dir = nodes.dirs[0].path();
    let a = StoreVault::open_on(dir, None, Some(settings), random, clock).await.unwrap();
    nodes.etcd.kill();
    let error = crate::startup::StartError::Replay(a.replay().await.unwrap_err()).to_string();
    let error = error.replace(&nodes.etcd.url(), "https://etcd1.example.org:2379");
    let when = "etcd does not take what is in the journal at a start";
    crate::testing::stops("Store and keys", when, 1, &error);
    nodes.etcd.run();
    assert_eq!(a.replay().await, Ok(1), "it is kept");
}
