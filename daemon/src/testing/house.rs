//! A service with everything around it, for the tests of the use cases and of the edges: real
//! sessions and token files in a temporary directory, the other neighbours by hand.

use std::{
    collections::HashMap,
    fs,
    os::{fd::OwnedFd, unix::fs::PermissionsExt as _},
    path::{Path, PathBuf},
    process::{Child, Command},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering::SeqCst},
    },
    time::Duration,
};

use async_trait::async_trait;
use iamd_protocol::pam::{Open, Opened, Reply};
use rustix::process::{Pid, PidfdFlags, pidfd_open};
use secrecy::SecretString;
use tempfile::TempDir;
use tokio::task::JoinHandle;
use zeroize::Zeroizing;

use super::{
    BreakableStore, Damage, NoRandom, NoUpkeep, TestAudit, TestClock, TestIssuers, TestVault,
    tokens,
};
use crate::{
    account::{
        AccountKey, Guard, GuardKey, Guards, Owner, PassphraseError, Record,
        ports::{Identity, PollAnswer, Tokens, Vault, VaultError, upkeep::Upkeep},
    },
    audit::People,
    clock::{Clock as _, SystemRandom},
    config::{Config, Sources},
    login::Logins,
    seal::{KeySources, Keyring},
    service::{By, Caller, NewLogin, Parts, Presence, Service, vault::StoreVault},
    session::{Drain, Sessions, StayRules},
    store::{Journal, SqliteStore, StateDir},
    token::{Broker, Refresher},
    token_file::{Files, Ownership},
    users::{Membership, Silent, Users},
};

/// A user who can have accounts.
pub const ALICE: u32 = 1001;
/// Another one.
pub const BOB: u32 = 1002;

/// The names that people have in the records of a house.
pub fn people() -> People {
    People::keyed(Zeroizing::new([7; 32]))
}

/// A vault on what the one before it left on the disk, as a kill at this moment leaves it: a task
/// of the house that was may hold its own for ever.
async fn open_vault(dir: &Path, now: u64, fails: &Arc<AtomicBool>, damage: &Damage) -> StoreVault {
    let states = |number: usize| dir.join(format!("state-{number}"));
    let next = (0..).find(|number| !states(*number).exists()).unwrap();
    let state = states(next);
    fs::create_dir(&state).unwrap();
    fs::set_permissions(&state, fs::Permissions::from_mode(0o700)).unwrap();
    for name in ["iamd.db", "iamd.db-wal", "journal", "keyring"] {
        if next > 0 {
            fs::copy(states(next - 1).join(name), state.join(name)).unwrap();
        }
    }
    let in_dir = StateDir::open(&state).unwrap();
    let journal = Journal::open(&in_dir).unwrap();
    let store = BreakableStore {
        inner: SqliteStore::open(&in_dir).unwrap(),
        fails: Arc::clone(fails),
        damage: Arc::clone(damage),
    };
    let sources = KeySources { credential: None, state_dir: state };
    let keyring = Keyring::load(&sources, &SystemRandom, next > 0).unwrap();
    let (random, clock) = (Arc::new(SystemRandom), TestClock::at(now));
    StoreVault::new(Arc::new(store), journal, keyring, random, clock).with_keys_from(sources)
}

/// A vault in memory has no passphrases.
struct NoGuards;

#[async_trait]
impl Guards for NoGuards {
    fn is_settled(&self, _: &AccountKey) -> Result<(), VaultError> {
        Ok(())
    }

    async fn make(&self, _: &Record, _: &SecretString) -> Result<Guard, PassphraseError> {
        Err(VaultError::Unavailable { text: "nothing is sealed here".into() }.into())
    }

    async fn open(&self, _: &Record, _: &SecretString) -> Result<GuardKey, PassphraseError> {
        Err(PassphraseError::Wrong)
    }

    fn reveal(&self, _: &mut Record, _: &GuardKey) -> bool {
        false
    }

    fn hold(&self, _: &AccountKey, _: GuardKey) {}

    fn release(&self, _: &AccountKey) -> bool {
        false
    }
}

/// Who has which uid, who is in which group, and whether the name service has died since.
pub struct TestUsers(
    pub Mutex<HashMap<u32, String>>,
    pub Mutex<Vec<(String, String)>>,
    pub AtomicBool,
);

#[async_trait]
impl Users for TestUsers {
    async fn name_of(&self, uid: u32) -> Option<String> {
        self.0.lock().unwrap().get(&uid).cloned()
    }

    async fn uid_of(&self, user: &str) -> Result<Option<u32>, Silent> {
        if self.2.load(SeqCst) {
            return Err(Silent);
        }
        let known = self.0.lock().unwrap();
        Ok(known.iter().find(|(_, name)| *name == user).map(|(uid, _)| *uid))
    }

    async fn groups_of(&self, user: &str, groups: &[String]) -> Membership {
        if self.2.load(SeqCst) {
            TestClock::default().sleep(Duration::from_secs(5)).await;
        }
        self.remembered_groups(user, groups)
    }

    fn remembered_groups(&self, user: &str, groups: &[String]) -> Membership {
        if self.2.load(SeqCst) {
            return Membership::new();
        }
        let members = self.1.lock().unwrap();
        let is_in = |group: &String| members.contains(&(user.to_owned(), group.clone()));
        groups.iter().map(|group| (group.clone(), is_in(group))).collect()
    }
}

/// A service and its neighbours.
pub struct House {
    pub vault: Arc<TestVault>,
    /// The vault that the service has: the one above, or one that seals.
    pub kept: Arc<dyn Vault>,
    pub issuers: Arc<TestIssuers>,
    pub clock: Arc<TestClock>,
    pub audit: Arc<TestAudit>,
    pub users: Arc<TestUsers>,
    pub sessions: Arc<Sessions>,
    pub service: Arc<Service>,
    pub dir: TempDir,
    /// The store on the disk takes no write.
    pub disk_full: Arc<AtomicBool>,
    /// What the store on the disk says of its file, one after another.
    pub store_damage: Damage,
    tasks: Vec<JoinHandle<()>>,
}

impl Drop for House {
    fn drop(&mut self) {
        for task in &self.tasks {
            task.abort();
        }
        // They would write files into the house that comes after.
        self.service.end_keepers();
    }
}

const SITE: &str = "[issuers]\ndefault = \"wlcg\"\n";

impl Default for House {
    fn default() -> Self {
        Self::new()
    }
}

impl House {
    /// With the site's defaults and one issuer, `wlcg`.
    pub fn new() -> Self {
        Self::with(SITE)
    }

    /// With further lines of `iamd.toml`.
    pub fn and(lines: &str) -> Self {
        Self::with(&format!("{SITE}{lines}"))
    }

    /// With this `iamd.toml`, and the issuers `wlcg` and `cms` (a client per user).
    pub fn with(toml: &str) -> Self {
        let dir = tempfile::tempdir().unwrap();
        for name in ["issuers.d", "policy.d", "shipped", "sessions", "run"] {
            fs::create_dir(dir.path().join(name)).unwrap();
        }
        fs::create_dir(dir.path().join("users")).unwrap();
        let open = fs::Permissions::from_mode(0o711);
        fs::set_permissions(dir.path().join("users"), open).unwrap();
        let wlcg = "name = \"wlcg\"\ntitle = \"WLCG\"\nurl = \"https://issuer.test/\"\n\
                    scopes = [\"openid\", \"offline_access\", \"storage.read:/\"]\n";
        let cms = "name = \"cms\"\ntitle = \"CMS\"\nurl = \"https://cms.test/\"\n\
                   scopes = [\"openid\", \"offline_access\"]\nclient = \"per-user\"\n";
        fs::write(dir.path().join("shipped/wlcg.toml"), wlcg).unwrap();
        fs::write(dir.path().join("shipped/cms.toml"), cms).unwrap();
        fs::write(dir.path().join("iamd.toml"), toml).unwrap();
        let vault = Arc::new(TestVault::default());
        Self::build(dir, vault.clone(), vault.clone(), Arc::new(NoGuards), Arc::new(NoUpkeep))
    }

    /// With a vault that seals, on a disk.
    pub async fn sealing() -> Self {
        Self::new().restarted().await
    }

    /// The same house after a restart of the daemon: with what is on its disk, and no more.
    pub async fn restarted(mut self) -> Self {
        let dir = std::mem::replace(&mut self.dir, tempfile::tempdir().unwrap());
        let (test, users) = (self.vault.clone(), self.users.0.lock().unwrap().clone());
        let at = self.clock.wall();
        drop(self);
        let disk_full = Arc::<AtomicBool>::default();
        let store_damage = Damage::default();
        let vault = Arc::new(open_vault(dir.path(), at.0, &disk_full, &store_damage).await);
        vault.replay().await.unwrap();
        let mut house = Self::build(dir, test, vault.clone(), vault.clone(), vault);
        house.disk_full = disk_full;
        house.store_damage = store_damage;
        house.clock.set(at.0);
        *house.users.0.lock().unwrap() = users;
        house
    }

    fn build(
        dir: TempDir,
        vault: Arc<TestVault>,
        kept: Arc<dyn Vault>,
        guards: Arc<dyn Guards>,
        upkeep: Arc<dyn Upkeep>,
    ) -> Self {
        let at = |name: &str| -> PathBuf { dir.path().join(name) };
        let sources = Sources {
            file: at("iamd.toml"),
            issuers: at("issuers.d"),
            shipped_issuers: at("shipped"),
            policy: at("policy.d"),
        };
        let config = Config::load(&sources).unwrap();
        let clock = TestClock::at(1_000_000);
        let issuers = Arc::new(TestIssuers::default());
        *issuers.clock.lock().unwrap() = Some(clock.clone());
        let audit = Arc::new(TestAudit::default());
        let names = [(0, "root"), (ALICE, "alice"), (BOB, "bob")];
        let names = names.map(|(uid, name)| (uid, name.to_owned())).into_iter().collect();
        let users = Arc::new(TestUsers(Mutex::new(names), Mutex::default(), AtomicBool::default()));
        let rules = StayRules { grace: config.sessions.grace, linger_dir: None };
        let (sessions, events) =
            Sessions::new(at("sessions"), rules, clock.clone(), Arc::new(SystemRandom));
        let files = Files::new(at("users"), at("run"), Ownership::Myself, Arc::new(SystemRandom));
        let refresher = Refresher::new(kept.clone(), issuers.clone(), clock.clone());
        let service = Service::new(Parts {
            config,
            sources,
            node: "login1".into(),
            vault: kept.clone(),
            guards,
            upkeep,
            issuers: issuers.clone(),
            broker: Broker::new(refresher, clock.clone()),
            logins: Logins::new(issuers.clone(), clock.clone()),
            presence: Presence::new(sessions.clone(), Arc::new(files), clock.clone()),
            drain: Drain::load(at("draining")),
            audit: audit.clone(),
            people: people(),
            users: users.clone(),
            clock: clock.clone(),
            random: Arc::new(NoRandom),
        });
        let grace = sessions.clone();
        let tasks = vec![
            tokio::spawn(service.clone().follow_sessions(events)),
            tokio::spawn(async move { grace.watch_grace().await }),
        ];
        Self {
            vault,
            kept,
            issuers,
            clock,
            audit,
            users,
            sessions,
            service,
            dir,
            disk_full: Arc::default(),
            store_damage: Damage::default(),
            tasks,
        }
    }

    /// A file of rules, in force with the next reload.
    pub fn rules(&self, name: &str, text: &str) {
        fs::write(self.dir.path().join(format!("policy.d/{name}.toml")), text).unwrap();
    }

    /// A house with these rules in force.
    pub fn ruled(text: &str) -> Self {
        let house = Self::new();
        house.rules("rules", text);
        house.service.reload(By::ITSELF).unwrap();
        house
    }

    /// The user is in the group from now on.
    pub fn join(&self, user: &str, group: &str) {
        self.users.1.lock().unwrap().push((user.into(), group.into()));
    }

    /// The name service is dead from now on, or lives again.
    pub fn name_service_dies(&self, dead: bool) {
        self.users.2.store(dead, SeqCst);
    }

    /// The caller with this uid.
    pub fn caller(&self, uid: u32) -> Caller {
        let user = self.users.0.lock().unwrap()[&uid].clone();
        Caller { owner: Owner { uid, user }, pid: Some(4711) }
    }

    /// What the PAM module says when this uid logs in.
    pub fn frame(&self, uid: u32) -> Open {
        let user = self.users.0.lock().unwrap()[&uid].clone();
        let rhost = Some("192.0.2.7".into());
        Open { uid, user, service: "sshd".into(), rhost, tty: Some("ssh".into()), quiet: false }
    }

    /// A session of this uid that lasts as long as the test.
    pub async fn log_in(&self, uid: u32) -> Opened {
        self.open(self.frame(uid)).await
    }

    /// The answer to this frame, which must be a session.
    pub async fn open(&self, open: Open) -> Opened {
        match self.answer(open).await {
            Reply::Opened(opened) => opened,
            other => panic!("{other:?}"),
        }
    }

    /// The answer to this frame; the session's process is the test itself.
    pub async fn answer(&self, open: Open) -> Reply {
        let pid = std::process::id();
        self.service.open_session(NewLogin { open, pid, pidfd: pidfd(pid) }).await
    }

    /// A session that hangs on a process of its own.
    pub async fn log_in_as_process(&self, uid: u32) -> Process {
        let process = Process::start();
        let open = self.frame(uid);
        let login = NewLogin { open, pid: process.0.id(), pidfd: pidfd(process.0.id()) };
        assert!(matches!(self.service.open_session(login).await, Reply::Opened(_)));
        process
    }

    /// Lets time pass, on the wall and for everybody who sleeps, second by second.
    pub async fn later(&self, seconds: u64) {
        for _ in 0..seconds {
            self.clock.pass(1);
            self.clock.sleep(Duration::from_secs(1)).await;
        }
    }

    /// The text of a user's token file; `None` when there is none.
    pub fn file(&self, uid: u32, name: &str) -> Option<String> {
        fs::read_to_string(self.dir.path().join(format!("users/{uid}/{name}"))).ok()
    }

    /// The text of alice's file for her default account.
    pub fn alices_file(&self) -> Option<String> {
        self.file(ALICE, "bt_u1001")
    }

    /// The next poll brings these tokens.
    pub fn approve(&self, tokens: Tokens) {
        self.issuers.poll_script.lock().unwrap().push_back(PollAnswer::Tokens(Box::new(tokens)));
    }

    /// How often the issuer was asked to refresh.
    pub fn refreshes(&self) -> usize {
        self.issuers.refreshes.load(SeqCst)
    }

    /// alice's account with this name.
    pub fn alices(&self, name: &str) -> AccountKey {
        AccountKey { uid: ALICE, name: name.parse().unwrap() }
    }
}

/// The usual tokens of a sign-in of this person.
pub fn sign_in_of(sub: &str) -> Tokens {
    let identity = Some(Identity {
        sub: sub.into(),
        name: Some(format!("{sub}-name")),
        proof: None,
        verified: true,
    });
    Tokens { identity, ..tokens("at-new", Some("rt-new"), 3600) }
}

/// A descriptor of a process.
pub fn pidfd(pid: u32) -> OwnedFd {
    let pid = Pid::from_raw(i32::try_from(pid).unwrap()).unwrap();
    pidfd_open(pid, PidfdFlags::empty()).unwrap()
}

/// A process that a session hangs on.
pub struct Process(Child);

impl Process {
    fn start() -> Self {
        Self(Command::new("sleep").arg("600").spawn().unwrap())
    }

    /// Ends it as the kernel would.
    pub fn kill(mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
