//! Neighbours for tests: a clock that stands still, a vault in memory, issuers with a script, and
//! a [`House`] built on them.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod audit;
mod errors;
mod etcd;
mod house;
mod issuers;
mod locks;
mod passwords;
mod store;
mod upkeep;

use std::{
    collections::{BTreeMap, HashMap},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicU64, Ordering::SeqCst},
    },
    time::{Duration, Instant},
};

use async_trait::async_trait;
pub use audit::*;
pub use errors::*;
pub use etcd::Etcd;
pub use house::*;
pub use issuers::*;
use secrecy::SecretString;
pub use store::*;
pub use upkeep::*;

use crate::{
    account::{ports::*, *},
    clock::{Clock, Random},
};

/// Wall time by hand; monotonic time and sleep are tokio's, which a test may pause.
#[derive(Default)]
pub struct TestClock(AtomicU64);

impl TestClock {
    pub fn at(seconds: u64) -> Arc<Self> {
        Arc::new(Self(AtomicU64::new(seconds)))
    }

    pub fn set(&self, seconds: u64) {
        self.0.store(seconds, SeqCst);
    }

    pub fn pass(&self, seconds: u64) {
        self.0.fetch_add(seconds, SeqCst);
    }
}

#[async_trait]
impl Clock for TestClock {
    fn wall(&self) -> UnixTime {
        UnixTime(self.0.load(SeqCst))
    }

    #[allow(clippy::disallowed_methods)]
    fn monotonic(&self) -> Instant {
        tokio::time::Instant::now().into_std()
    }

    #[allow(clippy::disallowed_methods)]
    async fn sleep(&self, duration: Duration) {
        tokio::time::sleep(duration).await;
    }
}

/// Zeros.
pub struct NoRandom;

impl Random for NoRandom {
    fn fill(&self, buffer: &mut [u8]) {
        buffer.fill(0);
    }

    fn jitter(&self, _spread: f64) -> f64 {
        1.0
    }
}

/// A vault in memory whose parts can be made to fail.
#[derive(Default)]
pub struct TestVault {
    pub accounts: Mutex<BTreeMap<AccountKey, (Record, u64)>>,
    pub clients: Mutex<HashMap<(ClientOwner, String), (ClientRecord, u64)>>,
    pub settings: Mutex<HashMap<u32, (Settings, u64)>>,
    /// By issuer and client.
    pub password_flows: Mutex<BTreeMap<(String, String), (PasswordFlow, u64)>>,
    /// Of these, by issuer and client, something is there that does not open.
    pub bad_flows: Mutex<Vec<(String, String)>>,
    pub journal: Mutex<Vec<(u64, Record)>>,
    pub client_journal: Mutex<Vec<(u64, ClientStep)>>,
    pub logins: Mutex<HashMap<AccountKey, (PendingLogin, u64)>>,
    pub leftovers: Mutex<Vec<(Leftover, u64)>>,
    pub steps: Mutex<Vec<String>>,
    /// Records that do not open, and what is said of them.
    pub unreadable: Mutex<BTreeMap<AccountKey, String>>,
    /// Nothing can be read or written.
    pub store_fails: AtomicBool,
    /// Accounts can be read, but not written.
    pub saves_fail: AtomicBool,
    /// The same for accounts of these uids.
    pub fails_for: Mutex<Vec<u32>>,
    /// What is written is gone at once.
    pub vanishing: AtomicBool,
    pub client_saves_fail: AtomicBool,
    pub journal_fails: AtomicBool,
    pub room_fails: AtomicBool,
    pub locks_fail: AtomicBool,
    /// The next write finds the lock lost.
    pub lock_lost_at_save: AtomicBool,
    /// Whether its locks are those of several nodes.
    pub several: AtomicBool,
    /// So often it is said of a lock that it is lost.
    pub locks_lost: Arc<AtomicU64>,
    /// What is told of other nodes; nobody else writes where there is none.
    pub others: Mutex<Option<tokio::sync::mpsc::UnboundedReceiver<Changed>>>,
    locks: Mutex<HashMap<LockOn, Arc<tokio::sync::Mutex<()>>>>,
    counter: AtomicU64,
}

impl TestVault {
    pub fn record(&self, key: &AccountKey) -> Record {
        self.accounts.lock().unwrap()[key].0.clone()
    }

    fn step(&self, text: &str) {
        self.steps.lock().unwrap().push(text.into());
    }

    fn next(&self) -> u64 {
        self.counter.fetch_add(1, SeqCst) + 1
    }

    fn down(&self) -> Result<(), VaultError> {
        fails(&self.store_fails, "the store is down")
    }
}

fn fails(flag: &AtomicBool, text: &str) -> Result<(), VaultError> {
    if flag.load(SeqCst) {
        return Err(VaultError::Unavailable { text: text.into() });
    }
    Ok(())
}

#[async_trait]
impl Vault for TestVault {
    async fn account(&self, key: &AccountKey) -> Result<Option<Stored<Record>>, VaultError> {
        self.down()?;
        let found = self.accounts.lock().unwrap().get(key).cloned();
        Ok(found.map(|(value, revision)| Stored { value, revision: Revision(revision) }))
    }

    async fn accounts_of(
        &self,
        uid: u32,
    ) -> Result<Vec<(AccountKey, Result<Stored<Record>, VaultError>)>, VaultError> {
        self.down()?;
        let accounts = self.accounts.lock().unwrap();
        let mut mine: Vec<_> = accounts
            .iter()
            .filter(|(key, _)| key.uid == uid)
            .map(|(key, (value, revision))| {
                (key.clone(), Ok(Stored { value: value.clone(), revision: Revision(*revision) }))
            })
            .collect();
        let unreadable = self.unreadable.lock().unwrap();
        let closed = unreadable.iter().filter(|(key, _)| key.uid == uid);
        mine.extend(
            closed.map(|(key, text)| {
                (key.clone(), Err(VaultError::Unreadable { text: text.clone() }))
            }),
        );
        Ok(mine)
    }

    async fn account_keys(&self) -> Result<Vec<AccountKey>, VaultError> {
        self.down()?;
        Ok(self.accounts.lock().unwrap().keys().cloned().collect())
    }

    async fn save_account(
        &self,
        record: &Record,
        expected: Revision,
    ) -> Result<Revision, VaultError> {
        self.down()?;
        let one = self.fails_for.lock().unwrap().contains(&record.owner.uid);
        fails(&AtomicBool::new(one), "the store cannot be written")?;
        fails(&self.saves_fail, "the store cannot be written")?;
        if self.lock_lost_at_save.swap(false, SeqCst) {
            self.locks_lost.store(1, SeqCst);
            return fails(&AtomicBool::new(true), "the lock was lost").map(|()| expected);
        }
        self.step("save");
        let mut accounts = self.accounts.lock().unwrap();
        let current = accounts.get(&record.key()).map_or(0, |(_, revision)| *revision);
        if current != expected.0 {
            return Err(VaultError::Conflict);
        }
        let revision = self.next();
        let mut record = record.clone();
        record.generation += 1;
        if !self.vanishing.load(SeqCst) {
            accounts.insert(record.key(), (record, revision));
        }
        Ok(Revision(revision))
    }

    async fn remove_account(&self, key: &AccountKey, _: Revision) -> Result<(), VaultError> {
        self.down()?;
        self.accounts.lock().unwrap().remove(key);
        Ok(())
    }

    async fn discard_account(&self, key: &AccountKey) -> Result<(), VaultError> {
        self.accounts.lock().unwrap().remove(key);
        self.unreadable.lock().unwrap().remove(key);
        Ok(())
    }

    async fn rename_account(&self, key: &AccountKey, to: &AccountName) -> Result<(), VaultError> {
        self.down()?;
        fails(&self.saves_fail, "the store cannot be written")?;
        self.step("rename");
        let mut accounts = self.accounts.lock().unwrap();
        let new = AccountKey { uid: key.uid, name: to.clone() };
        if accounts.contains_key(&new) {
            return Err(VaultError::Conflict);
        }
        let (mut record, _) = accounts.remove(key).ok_or(VaultError::Conflict)?;
        let old = record.client_owner.clone();
        record.name = to.clone();
        record.client_owner = old.renamed(to);
        let mut clients = self.clients.lock().unwrap();
        if let Some((mut client, revision)) = clients.remove(&(old, record.issuer.clone())) {
            client.owner = record.client_owner.clone();
            clients.insert((client.owner.clone(), client.issuer.clone()), (client, revision));
        }
        accounts.insert(new, (record, self.next()));
        let mut settings = self.settings.lock().unwrap();
        if let Some((settings, _)) = settings.get_mut(&key.uid)
            && settings.default_account.as_ref() == Some(&key.name)
        {
            settings.default_account = Some(to.clone());
        }
        Ok(())
    }

    async fn lock(&self, on: LockOn) -> Result<Box<dyn Lock>, VaultError> {
        fails(&self.locks_fail, "nothing can be locked")?;
        let lock = Arc::clone(self.locks.lock().unwrap().entry(on).or_default());
        let held = lock.lock_owned().await;
        self.step("lock");
        let (lost, several) = (Arc::clone(&self.locks_lost), self.several.load(SeqCst));
        Ok(Box::new(locks::Held { guard: held, lost, several }))
    }

    async fn journal(
        &self,
        record: &Record,
        _: Option<&SecretString>,
    ) -> Result<JournalEntry, VaultError> {
        fails(&self.journal_fails, "the journal is full")?;
        self.step("journal");
        let id = self.next();
        self.journal.lock().unwrap().push((id, record.clone()));
        Ok(JournalEntry(id))
    }

    async fn make_room(&self) -> Result<(), VaultError> {
        fails(&self.room_fails, "there is no room in the journal")
    }

    async fn settle(&self, entry: JournalEntry) -> Result<(), VaultError> {
        self.step("settle");
        self.journal.lock().unwrap().retain(|(id, _)| *id != entry.0);
        self.client_journal.lock().unwrap().retain(|(id, _)| *id != entry.0);
        Ok(())
    }

    async fn replay(&self) -> Result<usize, VaultError> {
        Ok(0)
    }

    async fn client(
        &self,
        owner: &ClientOwner,
        issuer: &str,
    ) -> Result<Option<Stored<ClientRecord>>, VaultError> {
        self.down()?;
        let found = self.clients.lock().unwrap().get(&(owner.clone(), issuer.into())).cloned();
        let revision = found.as_ref().map_or(0, |(_, revision)| *revision);
        let mut value = found.map(|(value, _)| value);
        for (_, step) in &*self.client_journal.lock().unwrap() {
            if step.client().owner == *owner && step.client().issuer == issuer {
                value = step.newest(value.as_ref()).cloned().or(value);
            }
        }
        Ok(value.map(|value| Stored { value, revision: Revision(revision) }))
    }

    async fn journal_client(&self, step: &ClientStep) -> Result<JournalEntry, VaultError> {
        fails(&self.journal_fails, "the journal is full")?;
        self.step("journal client");
        let id = self.next();
        self.client_journal.lock().unwrap().push((id, step.clone()));
        Ok(JournalEntry(id))
    }

    async fn settle_client(&self, client: &ClientRecord) -> Result<(), VaultError> {
        let is_of = |step: &ClientStep| step.client().client_id == client.client_id;
        self.client_journal.lock().unwrap().retain(|(_, step)| !is_of(step));
        Ok(())
    }

    async fn leftovers(&self) -> Result<Vec<Stored<Leftover>>, VaultError> {
        self.down()?;
        let leftovers = self.leftovers.lock().unwrap().clone();
        let stored = |(value, revision)| Stored { value, revision: Revision(revision) };
        Ok(leftovers.into_iter().map(stored).collect())
    }

    async fn save_leftover(
        &self,
        leftover: &Leftover,
        expected: Revision,
    ) -> Result<Revision, VaultError> {
        self.down()?;
        fails(&self.client_saves_fail, "the store cannot be written")?;
        let revision = self.next();
        let mut leftovers = self.leftovers.lock().unwrap();
        if expected == Revision::ABSENT && leftovers.len() >= Leftover::MOST {
            return Err(VaultError::Conflict);
        }
        leftovers.retain(|(_, at)| *at != expected.0);
        leftovers.push((leftover.clone(), revision));
        Ok(Revision(revision))
    }

    async fn remove_leftover(&self, leftover: &Stored<Leftover>) -> Result<(), VaultError> {
        self.down()?;
        self.leftovers.lock().unwrap().retain(|(_, at)| *at != leftover.revision.0);
        Ok(())
    }

    async fn save_client(
        &self,
        client: &ClientRecord,
        expected: Revision,
    ) -> Result<Revision, VaultError> {
        self.down()?;
        fails(&self.client_saves_fail, "the store cannot be written")?;
        self.step("save client");
        let key = (client.owner.clone(), client.issuer.clone());
        let mut clients = self.clients.lock().unwrap();
        if clients.get(&key).map_or(0, |(_, revision)| *revision) != expected.0 {
            return Err(VaultError::Conflict);
        }
        let revision = self.next();
        let mut client = client.clone();
        client.generation += 1;
        let is_newest = |step: &ClientStep| {
            matches!(step, ClientStep::Newest { client: known, .. }
                if known.owner == client.owner && known.issuer == client.issuer)
        };
        self.client_journal.lock().unwrap().retain(|(_, step)| !is_newest(step));
        clients.insert(key, (client, revision));
        Ok(Revision(revision))
    }

    async fn remove_client(&self, owner: &ClientOwner, issuer: &str) -> Result<(), VaultError> {
        self.clients.lock().unwrap().remove(&(owner.clone(), issuer.into()));
        Ok(())
    }

    async fn save_login(&self, login: &PendingLogin) -> Result<Revision, VaultError> {
        self.down()?;
        let revision = self.next();
        self.logins.lock().unwrap().insert(login.key(), (login.clone(), revision));
        Ok(Revision(revision))
    }

    async fn remove_login(&self, key: &AccountKey, expected: Revision) -> Result<(), VaultError> {
        self.down()?;
        let mut logins = self.logins.lock().unwrap();
        match logins.get(key) {
            Some((_, revision)) if *revision == expected.0 => drop(logins.remove(key)),
            _ => return Err(VaultError::Conflict),
        }
        Ok(())
    }

    async fn logins(&self) -> Result<Vec<Stored<PendingLogin>>, VaultError> {
        self.down()?;
        let logins = self.logins.lock().unwrap().clone();
        let stored = |(value, revision)| Stored { value, revision: Revision(revision) };
        Ok(logins.into_values().map(stored).collect())
    }

    fn changes(&self) -> Option<futures_util::stream::BoxStream<'static, Changed>> {
        let others = self.others.lock().unwrap().take()?;
        Some(futures_util::StreamExt::boxed(futures_util::stream::unfold(
            others,
            |mut others| async move { others.recv().await.map(|changed| (changed, others)) },
        )))
    }

    async fn settings(&self, uid: u32) -> Result<Stored<Settings>, VaultError> {
        self.down()?;
        let (value, revision) =
            self.settings.lock().unwrap().get(&uid).cloned().unwrap_or_default();
        Ok(Stored { value, revision: Revision(revision) })
    }

    async fn save_settings(
        &self,
        uid: u32,
        settings: &Settings,
        _: Revision,
    ) -> Result<Revision, VaultError> {
        let revision = self.next();
        self.settings.lock().unwrap().insert(uid, (settings.clone(), revision));
        Ok(Revision(revision))
    }
}

/// The `number`-th registered client.
pub fn client(owner: ClientOwner, issuer: &url::Url, number: usize) -> ClientRecord {
    let user = match &owner {
        ClientOwner::User(uid) | ClientOwner::Own(uid, _) | ClientOwner::Given(uid, _) => {
            Some(if *uid == ALICE { "alice" } else { "bob" }.to_owned())
        }
        ClientOwner::Site | ClientOwner::Fixed | ClientOwner::Public => None,
    };
    ClientRecord {
        owner,
        issuer: issuer.to_string(),
        user,
        generation: 0,
        client_id: format!("client-{number}"),
        client_name: None,
        client_secret: Some("client-secret".to_owned().into()),
        client_secret_expires_at: None,
        auth: ClientAuth::ClientSecretBasic,
        registration_access_token: None,
        registration_client_uri: None,
        scopes: ScopeSet::default(),
        grant_types: Vec::new(),
        registered_at: UnixTime(0),
    }
}

/// The issuer that the tests' site lists.
pub fn profile() -> IssuerProfile {
    IssuerProfile {
        name: "wlcg".into(),
        title: "WLCG".into(),
        url: "https://issuer.test/".parse().unwrap(),
        listed: true,
        dialect: None,
        scopes: ScopeSet::parse(["openid", "offline_access", "storage.read:/"]).unwrap(),
        audiences: AudienceSet::default(),
        audience_parameter: None,
        client: ClientPolicy::PerSite,
        public_client: None,
        client_name: String::new(),
        initial_access_token_file: None,
        ca: None,
        endpoints: Overrides::default(),
        identity: None,
        user: None,
    }
}

/// alice's account, signed in with refresh token `rt0`, and its client in the vault.
pub fn signed_in(vault: &TestVault) -> AccountKey {
    let owner = Owner { uid: 1001, user: "alice".into() };
    let url = profile().url;
    let name: AccountName = "wlcg".parse().unwrap();
    let mut record = Record::new(owner, name, url.to_string(), ClientOwner::Site);
    record.client_id = Some("client-1".into());
    record.state = State::SignedIn;
    record.scopes = profile().scopes;
    record.refresh_token = Some("rt0".to_owned().into());
    let key = record.key();
    vault.accounts.lock().unwrap().insert(key.clone(), (record, 1));
    let client = client(ClientOwner::Site, &url, 1);
    vault.clients.lock().unwrap().insert((ClientOwner::Site, url.to_string()), (client, 1));
    vault.counter.store(10, SeqCst);
    key
}
