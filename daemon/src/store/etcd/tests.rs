//! The promises of every store, and those of one that several nodes share, with a real etcd.

mod secrets;

use std::fs;

use etcd_client::{Client, Permission, PermissionType};
use tokio::time::timeout;

use super::*;
use crate::{store::Change, testing::Etcd};

const ABSENT: Revision = Revision::ABSENT;
const LONG: Duration = Duration::from_secs(60);

async fn open(settings: EtcdSettings) -> Result<EtcdStore, StoreError> {
    EtcdStore::open(settings, Arc::new(crate::clock::SystemClock)).await
}

async fn store(etcd: &Etcd) -> EtcdStore {
    open(etcd.settings()).await.unwrap()
}

async fn make() -> Option<(Arc<dyn Store>, Etcd)> {
    let etcd = Etcd::start()?;
    Some((Arc::new(store(&etcd).await), etcd))
}

store_conformance!(make().await);

fn some(value: &str) -> Option<Vec<u8>> {
    Some(value.as_bytes().to_vec())
}

async fn next(changes: &mut Changes) -> Result<Change, StoreError> {
    timeout(LONG, changes.next()).await.expect("no change came").unwrap()
}

/// Somebody else with etcd in their hands.
async fn hands(etcd: &Etcd) -> Client {
    Client::connect([etcd.url()], None).await.unwrap()
}

/// As the vault says it, of an etcd with a well-known address.
fn shows(etcd: &Etcd, when: &str, error: &StoreError) {
    let text = error.to_string();
    let text = text.replace(&etcd.url(), "https://etcd1.example.org:2379");
    let text = text.replace(etcd.dir.path().to_str().unwrap(), "/etc/iamd");
    let error = crate::account::ports::VaultError::Unavailable { text };
    crate::testing::shows("Store and keys", when, error);
}

#[tokio::test(flavor = "multi_thread")]
async fn two_nodes_see_each_others_writes_and_one_of_two_wins() {
    let Some(etcd) = Etcd::start() else { return };
    let (a, b) = (store(&etcd).await, store(&etcd).await);
    let mut told = b.watch("k/", b.list("").await.unwrap().revision).await.unwrap();
    let first = a.compare_and_swap("k/1", ABSENT, some("a")).await.unwrap();
    assert_eq!(b.get("k/1").await.unwrap().unwrap().revision, first);
    let change = Change { revision: first, key: "k/1".into(), value: some("a") };
    assert_eq!(next(&mut told).await.unwrap(), change);
    let (a, b) = tokio::join!(
        a.compare_and_swap("k/1", first, some("a again")),
        b.compare_and_swap("k/1", first, some("b"))
    );
    assert_eq!(a.is_ok(), b == Err(StoreError::Conflict), "{a:?} {b:?}");
    assert_eq!(b.is_ok(), a == Err(StoreError::Conflict), "{a:?} {b:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn prefixes_are_stores_apart() {
    let Some(etcd) = Etcd::start() else { return };
    let a = store(&etcd).await;
    let other = EtcdSettings { prefix: "iamd/rows/".to_owned(), ..etcd.settings() };
    let b = open(other).await.unwrap();
    a.compare_and_swap("k", ABSENT, some("a")).await.unwrap();
    assert!(b.keys("").await.unwrap().is_empty());
    let _held = a.lock("k").await.unwrap();
    assert!(timeout(LONG, b.lock("k")).await.unwrap().is_ok());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lock_is_of_one_node_at_a_time_and_goes_to_the_next_in_line() {
    let Some(etcd) = Etcd::start() else { return };
    let nodes: Vec<_> =
        [store(&etcd).await, store(&etcd).await, store(&etcd).await].map(Arc::new).into();
    let inside = Arc::new(std::sync::atomic::AtomicU32::new(0));
    let mut tasks = tokio::task::JoinSet::new();
    for turn in 0..12 {
        let (node, inside) = (Arc::clone(&nodes[turn % nodes.len()]), Arc::clone(&inside));
        tasks.spawn(async move {
            let held = node.lock("l").await.unwrap();
            assert_eq!(inside.fetch_add(1, std::sync::atomic::Ordering::SeqCst), 0);
            assert!(held.is_held().await);
            inside.fetch_sub(1, std::sync::atomic::Ordering::SeqCst);
        });
    }
    timeout(LONG, tasks.join_all()).await.expect("a lock was not released");
    // Who gives up waiting for another node leaves nothing behind.
    let held = nodes[0].lock("l").await.unwrap();
    let gave_up = timeout(Duration::from_millis(300), nodes[1].lock("l")).await;
    assert!(gave_up.is_err());
    drop(held);
    assert!(timeout(LONG, nodes[2].lock("l")).await.unwrap().unwrap().is_held().await);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_whose_lock_was_lost_is_told_so_and_overwrites_nothing() {
    let Some(etcd) = Etcd::start() else { return };
    let (a, b) = (store(&etcd).await, store(&etcd).await);
    let first = a.compare_and_swap("k", ABSENT, some("1")).await.unwrap();
    let held = a.lock("k").await.unwrap();
    assert!(held.is_held().await);
    let second = a.compare_and_swap("k", first, some("2")).await.unwrap();
    // etcd gives up the lease, as when it did not hear of the node in time.
    let mut hands = hands(&etcd).await;
    let leases = hands.leases().await.unwrap();
    for lease in leases.leases() {
        hands.lease_revoke(lease.id()).await.unwrap();
    }
    let others = timeout(LONG, b.lock("k")).await.unwrap().unwrap();
    let refused = a.compare_and_swap("k", second, some("3")).await.unwrap_err();
    assert_eq!(refused, StoreError::LockLost { place: a.link.place() });
    shows(&etcd, "a node writes under a lock that the store gave up", &refused);
    assert!(!held.is_held().await && others.is_held().await);
    let swap = Swap { key: "k".into(), expected: second, value: None };
    let with_another = Swap { key: "other".into(), expected: ABSENT, value: some("x") };
    let refused = a.swap_all(vec![with_another, swap]).await.unwrap_err();
    assert!(matches!(refused, StoreError::LockLost { .. }), "{refused}");
    assert_eq!(b.get("k").await.unwrap().unwrap().value, b"2");
    // Other keys are nobody's business, and the next lock is a whole one.
    a.compare_and_swap("free", ABSENT, some("x")).await.unwrap();
    b.compare_and_swap("k", second, some("b")).await.unwrap();
    drop((held, others));
    let again = timeout(LONG, a.lock("k")).await.unwrap().unwrap();
    assert!(again.is_held().await);
    let now = a.get("k").await.unwrap().unwrap();
    a.compare_and_swap("k", now.revision, some("a")).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn the_locks_of_a_node_that_says_nothing_any_more_go_to_the_next() {
    let Some(etcd) = Etcd::start() else { return };
    let settings = EtcdSettings { lock_time: Duration::from_secs(2), ..etcd.settings() };
    let silent = open(settings.clone()).await.unwrap();
    let talking = open(settings).await.unwrap();
    let held = talking.lock("kept").await.unwrap();
    // A runtime that is gone, with the lock in its hands.
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    let locked = runtime.spawn(async move { silent.lock("k").await.map(std::mem::forget) });
    locked.await.unwrap().unwrap();
    runtime.shutdown_background();
    timeout(LONG, talking.lock("k")).await.unwrap().unwrap();
    assert!(held.is_held().await, "kept alive meanwhile");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_start_gives_up_what_the_daemon_before_it_held() {
    let Some(etcd) = Etcd::start() else { return };
    let lease_file = Some(etcd.file("lease"));
    let lock_time = Duration::from_secs(3600);
    let settings = EtcdSettings { lease_file, lock_time, ..etcd.settings() };
    let before = open(settings.clone()).await.unwrap();
    for name in ["k", "other"] {
        std::mem::forget(before.lock(name).await.unwrap());
    }
    let another = Arc::new(store(&etcd).await);
    let [mut k, mut other] = ["k", "other"].map(|name| {
        let another = Arc::clone(&another);
        tokio::spawn(async move { another.lock(name).await.unwrap() })
    });
    let now = open(settings).await.unwrap();
    // Not before what the daemon had in its hands is seen to, which is done under the same lock.
    let held = timeout(LONG, now.lock("k")).await.unwrap().unwrap();
    assert!(held.is_held().await);
    now.compare_and_swap("k", ABSENT, some("seen to")).await.unwrap();
    let short = Duration::from_millis(300);
    assert!(timeout(short, &mut k).await.is_err() && timeout(short, &mut other).await.is_err());
    drop(held);
    drop(timeout(LONG, k).await.unwrap().unwrap());
    assert!(timeout(short, &mut other).await.is_err());
    now.begun().await;
    drop(timeout(LONG, other).await.unwrap().unwrap());
    for name in ["k", "other", "new"] {
        let held = timeout(LONG, now.lock(name)).await.unwrap().unwrap();
        assert!(held.is_held().await);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_member_that_is_gone_is_an_error_in_time_and_all_goes_on_when_it_is_back() {
    let Some(mut etcd) = Etcd::start() else { return };
    let settings = EtcdSettings { timeout: Duration::from_secs(2), ..etcd.settings() };
    drop(store(&etcd).await);
    let store = open(settings).await.unwrap();
    let at = store.compare_and_swap("k", ABSENT, some("1")).await.unwrap();
    let mut changes = store.watch("k", ABSENT).await.unwrap();
    assert_eq!(next(&mut changes).await.unwrap().revision, at);
    etcd.kill();
    let error = timeout(LONG, store.get("k")).await.unwrap().unwrap_err();
    assert!(matches!(error, StoreError::Unavailable { .. }), "{error:?}");
    let refused = "tcp connect error";
    assert!(
        error.to_string().contains("Connection refused") || error.to_string().contains(refused)
    );
    shows(&etcd, "no member of etcd answers", &error);
    for gone in [
        store.compare_and_swap("k", at, some("2")).await.map(drop),
        store.list("").await.map(drop),
        store.keys("").await.map(drop),
        store.snapshot().await.map(drop),
        store.damage().await.map(drop),
        store.lock("k").await.map(drop),
    ] {
        assert!(matches!(gone, Err(StoreError::Unavailable { .. })), "{gone:?}");
    }
    etcd.run();
    let found = timeout(LONG, async {
        loop {
            if let Ok(found) = store.get("k").await {
                break found.unwrap();
            }
        }
    });
    assert_eq!(found.await.unwrap().revision, at);
    let held = timeout(LONG, store.lock("k")).await.unwrap().unwrap();
    let second = store.compare_and_swap("k", at, some("2")).await.unwrap();
    assert_eq!(next(&mut changes).await.unwrap().revision, second, "the watch goes on");
    drop(held);
}

#[tokio::test(flavor = "multi_thread")]
async fn of_several_members_those_that_answer_are_enough() {
    let Some(etcd) = Etcd::start() else { return };
    let dead = "http://127.0.0.1:1".to_owned();
    let endpoints = vec![dead.clone(), etcd.url(), dead];
    let store = open(EtcdSettings { endpoints, ..etcd.settings() }).await.unwrap();
    let at = store.compare_and_swap("k", ABSENT, some("1")).await.unwrap();
    assert_eq!(store.get("k").await.unwrap().unwrap().revision, at);
    let mut changes = store.watch("k", ABSENT).await.unwrap();
    assert_eq!(next(&mut changes).await.unwrap().revision, at);
    assert!(store.lock("k").await.unwrap().is_held().await);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_watch_that_was_away_while_etcd_was_compacted_is_told_to_list_again() {
    let Some(mut etcd) = Etcd::start() else { return };
    let store = self::store(&etcd).await;
    let mut at = store.compare_and_swap("k", ABSENT, some("0")).await.unwrap();
    let mut changes = store.watch("k", ABSENT).await.unwrap();
    assert_eq!(next(&mut changes).await.unwrap().revision, at);
    let seen = at;
    // It takes its watches with it, and this one is not looked at until all is over.
    etcd.kill();
    etcd.run();
    for _ in 0..5 {
        at = store.compare_and_swap("k", at, some("x")).await.unwrap();
    }
    let mut hands = hands(&etcd).await;
    hands.compact(i64::try_from(at.0).unwrap(), None).await.unwrap();
    assert_eq!(next(&mut changes).await, Err(StoreError::Compacted { after: seen.0 }));
    assert!(changes.next().await.is_none());
    let listed = store.list("").await.unwrap();
    assert_eq!((listed.entries.len(), listed.revision), (1, at));
    let mut anew = store.watch("k", listed.revision).await.unwrap();
    at = store.compare_and_swap("k", at, None).await.unwrap();
    assert_eq!(next(&mut anew).await.unwrap().revision, at);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_snapshot_that_is_compacted_while_it_is_read_says_so() {
    let Some(etcd) = Etcd::start() else { return };
    let store = self::store(&etcd).await;
    let mut last = ABSENT;
    for i in 0..200 {
        last = store.compare_and_swap(&format!("{i:03}"), ABSENT, some("v")).await.unwrap();
    }
    let mut snapshot = store.snapshot().await.unwrap();
    let now = store.compare_and_swap("000", ABSENT.max(Revision(last.0 - 199)), some("w")).await;
    let mut hands = hands(&etcd).await;
    hands.compact(i64::try_from(now.unwrap().0).unwrap(), None).await.unwrap();
    let mut ended = None;
    while let Some(entry) = snapshot.entries.next().await {
        ended = entry.err().or(ended);
    }
    shows(&etcd, "etcd is compacted while all of it is read", &ended.unwrap());
}

#[tokio::test(flavor = "multi_thread")]
async fn more_changes_than_etcd_takes_at_once_are_refused_before_anything_is_written() {
    let Some(etcd) = Etcd::start() else { return };
    let store = self::store(&etcd).await;
    let many = |count: usize| -> Vec<Swap> {
        let swap = |i| Swap { key: format!("{i}"), expected: ABSENT, value: some("v") };
        (0..count).map(swap).collect()
    };
    let error = store.swap_all(many(129)).await.unwrap_err();
    shows(&etcd, "more is to be changed at once than etcd takes", &error);
    assert!(store.keys("").await.unwrap().is_empty());
    store.swap_all(many(128)).await.unwrap();
    assert_eq!(store.keys("").await.unwrap().len(), 128);
}

#[tokio::test(flavor = "multi_thread")]
async fn with_certificates_a_user_and_a_role_nothing_else_gets_in() {
    let Some(etcd) = Etcd::start_with_tls() else { return };
    let settings = EtcdSettings { timeout: Duration::from_secs(3), ..etcd.settings_with_tls() };
    let no_users = EtcdSettings { timeout: LONG, ..settings.clone() };
    let store = open(no_users).await.unwrap();
    store.compare_and_swap("k", ABSENT, some("v")).await.unwrap();
    let refused = async |when: &str, settings: EtcdSettings| {
        let error = timeout(LONG, open(settings)).await.unwrap().err().expect(when);
        shows(&etcd, when, &error);
    };
    let tls = settings.tls.clone().unwrap();
    let of_another = EtcdTls { ca: etcd.file("other-ca.pem"), ..tls.clone() };
    let without = EtcdTls { client: None, ..tls.clone() };
    let with = |tls: EtcdTls| EtcdSettings { tls: Some(tls), ..settings.clone() };
    refused("etcd's certificate is of another authority", with(of_another)).await;
    let error = open(with(without)).await.err().expect("no certificate of the node's");
    assert!(matches!(error, StoreError::Unavailable { .. }), "{error}");
    let gone = EtcdTls { ca: etcd.file("gone.pem"), ..tls };
    refused("a file of store.tls went away while iamd runs", with(gone)).await;

    // A password that ends with a newline, as editors write it.
    fs::write(etcd.file("password"), "secret Canary\n").unwrap();
    let user = |name: &str| {
        let password = etcd.file("password");
        let user = Some(EtcdUser { name: name.into(), password });
        EtcdSettings { user, ..settings.clone() }
    };
    refused("there is a user for an etcd that knows none", user("iamd")).await;
    let options = store.link.settings.tls.clone().unwrap();
    let identity = options.client.unwrap();
    let pem = |path: &PathBuf| fs::read(path).unwrap();
    let options = etcd_client::ConnectOptions::new().with_tls(
        etcd_client::TlsOptions::new()
            .ca_certificate(etcd_client::Certificate::from_pem(pem(&options.ca)))
            .identity(etcd_client::Identity::from_pem(
                pem(&identity.certificate),
                pem(&identity.key),
            )),
    );
    let mut hands = Client::connect([etcd.url()], Some(options)).await.unwrap();
    hands.user_add("root", "root", None).await.unwrap();
    hands.role_add("root").await.unwrap();
    hands.user_grant_role("root", "root").await.unwrap();
    hands.user_add("iamd", "secret Canary", None).await.unwrap();
    hands.role_add("iamd").await.unwrap();
    let permission = Permission::new(PermissionType::Readwrite, "iamd/").with_prefix();
    hands.role_grant_permission("iamd", permission).await.unwrap();
    hands.user_grant_role("iamd", "iamd").await.unwrap();
    hands.auth_enable().await.unwrap();

    refused("the role of a node without a user is for other keys", settings.clone()).await;
    refused("etcd does not know user and password", user("somebody")).await;
    let elsewhere = EtcdSettings { prefix: "elsewhere/".into(), ..user("iamd") };
    refused("the role of etcd's user is for other keys", elsewhere).await;
    fs::remove_file(etcd.file("password")).unwrap();
    refused("the credential with the password for etcd is not there", user("iamd")).await;
    fs::write(etcd.file("password"), b"secret \xff").unwrap();
    refused("the password for etcd is not text", user("iamd")).await;
    fs::write(etcd.file("password"), "secret Canary\n").unwrap();
    let store = open(user("iamd")).await.unwrap();
    let at = store.get("k").await.unwrap().unwrap().revision;
    let held = store.lock("k").await.unwrap();
    assert!(held.is_held().await);
    let mut changes = store.watch("k", at).await.unwrap();
    let written = store.compare_and_swap("k", at, some("w")).await.unwrap();
    assert_eq!(next(&mut changes).await.unwrap().revision, written);
    assert_eq!(store.damage().await, Ok(None));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_member_that_hangs_is_left_in_time() {
    let Some(etcd) = Etcd::start() else { return };
    drop(store(&etcd).await);
    let settings = EtcdSettings { timeout: Duration::from_secs(2), ..etcd.settings() };
    let store = open(settings).await.unwrap();
    etcd.signal(nix::sys::signal::Signal::SIGSTOP);
    let error = timeout(LONG, store.get("k")).await.unwrap().unwrap_err();
    etcd.signal(nix::sys::signal::Signal::SIGCONT);
    shows(&etcd, "a member of etcd hangs", &error);
    let back = async { while store.get("k").await.is_err() {} };
    timeout(LONG, back).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn many_members_that_hang_take_no_longer_than_one() {
    let hang = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let member = format!("http://{}", hang.local_addr().unwrap());
    let settings = EtcdSettings {
        endpoints: vec![member; 6],
        prefix: "iamd/".to_owned(),
        tls: None,
        user: None,
        timeout: Duration::from_secs(2),
        connect_timeout: Duration::from_secs(1),
        start_within: Duration::ZERO,
        lock_time: Duration::from_secs(30),
        node: "login1".to_owned(),
        lease_file: None,
    };
    let clock = crate::clock::SystemClock;
    let began = clock.monotonic();
    assert!(open(settings).await.is_err());
    let took = clock.monotonic().saturating_duration_since(began);
    assert!(took < Duration::from_secs(4), "{took:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_etcd_says_so_and_what_to_do() {
    let Some(etcd) = Etcd::start_with(&["--quota-backend-bytes", "1000000"]) else { return };
    let store = self::store(&etcd).await;
    let mut full = None;
    for i in 0..100 {
        let big = Some(vec![7; 100_000]);
        full = store.compare_and_swap(&format!("{i}"), ABSENT, big).await.err();
        if full.is_some() {
            break;
        }
    }
    shows(&etcd, "etcd has no room left", &full.unwrap());
    tells(&etcd, "a member of etcd has no room left", &store).await;
    assert!(store.get("0").await.unwrap().is_some(), "what is there can be read");
}

async fn tells(etcd: &Etcd, when: &str, store: &EtcdStore) {
    let damage = store.damage().await.unwrap().unwrap();
    let text = damage.replace(&etcd.url(), "https://etcd1.example.org:2379");
    iamd_errors::shows("Store and keys", when, &text, "iamctl admin store check", None, "");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_etcd_whose_members_differ_is_damaged() {
    let Some(etcd) = Etcd::start() else { return };
    let store = self::store(&etcd).await;
    let mut hands = hands(&etcd).await;
    hands.alarm(AlarmAction::Activate, AlarmType::Corrupt, None).await.unwrap();
    tells(&etcd, "a member of etcd holds something else than the others", &store).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_etcd_with_users_wants_one() {
    let Some(etcd) = Etcd::start() else { return };
    drop(store(&etcd).await);
    let mut hands = hands(&etcd).await;
    hands.user_add("root", "root", None).await.unwrap();
    hands.role_add("root").await.unwrap();
    hands.user_grant_role("root", "root").await.unwrap();
    hands.auth_enable().await.unwrap();
    let error = open(etcd.settings()).await.err().expect("nobody is let in");
    shows(&etcd, "etcd knows users, and this node is none", &error);
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_that_iamd_did_not_write_are_named_and_left_alone() {
    let Some(etcd) = Etcd::start() else { return };
    let store = self::store(&etcd).await;
    let mut hands = hands(&etcd).await;
    hands.put([b"iamd/rows/".as_slice(), &[0xff]].concat(), "x", None).await.unwrap();
    // No text begins so, and no list of iamd's gets there; all of it does.
    store.compare_and_swap("k", ABSENT, some("v")).await.unwrap();
    assert_eq!(store.list("k").await.unwrap().entries.len(), 1);
    shows(&etcd, "somebody else writes below iamd's keys", &store.list("").await.unwrap_err());
}
