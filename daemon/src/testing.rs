//! Neighbours for tests: a clock that stands still, a vault in memory, issuers with a script.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::{
    collections::{BTreeMap, HashMap, VecDeque},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering::SeqCst},
    },
    time::{Duration, Instant},
};

use async_trait::async_trait;
use secrecy::{ExposeSecret, SecretString};

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
    pub journal: Mutex<Vec<(u64, Record)>>,
    pub steps: Mutex<Vec<String>>,
    pub store_fails: AtomicBool,
    pub journal_fails: AtomicBool,
    locks: Mutex<HashMap<LockOn, Arc<tokio::sync::Mutex<()>>>>,
    counter: AtomicU64,
}

struct Held(#[allow(dead_code)] tokio::sync::OwnedMutexGuard<()>);
impl Lock for Held {}

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
        if self.store_fails.load(SeqCst) {
            return Err(VaultError::Unavailable { text: "the store is down".into() });
        }
        Ok(())
    }
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
        let mine = accounts.iter().filter(|(key, _)| key.uid == uid);
        Ok(mine
            .map(|(key, (value, revision))| {
                (key.clone(), Ok(Stored { value: value.clone(), revision: Revision(*revision) }))
            })
            .collect())
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
        self.step("save");
        let mut accounts = self.accounts.lock().unwrap();
        let current = accounts.get(&record.key()).map_or(0, |(_, revision)| *revision);
        if current != expected.0 {
            return Err(VaultError::Conflict);
        }
        let revision = self.next();
        let mut record = record.clone();
        record.generation += 1;
        accounts.insert(record.key(), (record, revision));
        Ok(Revision(revision))
    }

    async fn remove_account(&self, key: &AccountKey, _: Revision) -> Result<(), VaultError> {
        self.down()?;
        self.accounts.lock().unwrap().remove(key);
        Ok(())
    }

    async fn lock(&self, on: LockOn) -> Result<Box<dyn Lock>, VaultError> {
        let lock = Arc::clone(self.locks.lock().unwrap().entry(on).or_default());
        let held = lock.lock_owned().await;
        self.step("lock");
        Ok(Box::new(Held(held)))
    }

    async fn journal(
        &self,
        record: &Record,
        _: Option<&SecretString>,
    ) -> Result<JournalEntry, VaultError> {
        if self.journal_fails.load(SeqCst) {
            return Err(VaultError::Unavailable { text: "the journal is full".into() });
        }
        self.step("journal");
        let id = self.next();
        self.journal.lock().unwrap().push((id, record.clone()));
        Ok(JournalEntry(id))
    }

    async fn settle(&self, entry: JournalEntry) -> Result<(), VaultError> {
        self.step("settle");
        self.journal.lock().unwrap().retain(|(id, _)| *id != entry.0);
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
        Ok(found.map(|(value, revision)| Stored { value, revision: Revision(revision) }))
    }

    async fn save_client(
        &self,
        client: &ClientRecord,
        _: Revision,
    ) -> Result<Revision, VaultError> {
        self.down()?;
        self.step("save client");
        let revision = self.next();
        let key = (client.owner.clone(), client.issuer.clone());
        self.clients.lock().unwrap().insert(key, (client.clone(), revision));
        Ok(Revision(revision))
    }

    async fn remove_client(&self, owner: &ClientOwner, issuer: &str) -> Result<(), VaultError> {
        self.clients.lock().unwrap().remove(&(owner.clone(), issuer.into()));
        Ok(())
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

/// Issuers that answer from a script, and remember what they were asked.
#[derive(Default)]
pub struct TestIssuers {
    pub refreshes: AtomicUsize,
    pub registrations: AtomicUsize,
    pub authorizations: AtomicUsize,
    pub polls: AtomicUsize,
    pub revocations: AtomicUsize,
    /// How long a refresh takes.
    pub latency: Mutex<Duration>,
    /// The answers to refreshes; when empty, a token for 1 h and a rotated refresh token.
    pub refresh_script: Mutex<VecDeque<Result<Tokens, RefreshError>>>,
    /// The answers to polls; when empty, `Pending`.
    pub poll_script: Mutex<VecDeque<PollAnswer>>,
    /// The answers to device authorizations; when empty, a code for 10 min.
    pub device_script: Mutex<VecDeque<Result<DeviceAuthorization, IssuerError>>>,
    /// How long a device authorization takes.
    pub device_latency: Mutex<Duration>,
    /// The refresh tokens that were presented.
    pub presented: Mutex<Vec<String>>,
}

/// A reply with these tokens.
pub fn tokens(access: &str, refresh: Option<&str>, expires_in: u64) -> Tokens {
    Tokens {
        access_token: access.to_owned().into(),
        expires_in: Duration::from_secs(expires_in),
        refresh_token: refresh.map(|text| text.to_owned().into()),
        refresh_expires_at: None,
        scopes: None,
        identity: None,
    }
}

/// The usual device code.
pub fn device_authorization() -> DeviceAuthorization {
    DeviceAuthorization {
        device_code: "device-code".to_owned().into(),
        user_code: "AB12CD".into(),
        verification_uri: "https://issuer.test/device".into(),
        verification_uri_complete: Some("https://issuer.test/device?user_code=AB12CD".into()),
        expires_in: Duration::from_secs(600),
        interval: Duration::from_secs(5),
    }
}

#[async_trait]
impl Issuers for TestIssuers {
    async fn register(
        &self,
        issuer: &IssuerProfile,
        owner: ClientOwner,
    ) -> Result<Registration, IssuerError> {
        let count = self.registrations.fetch_add(1, SeqCst) + 1;
        Ok(Registration {
            client: client(owner, &issuer.url, count),
            left_out: ScopeSet::default(),
        })
    }

    async fn deregister(&self, _: &IssuerProfile, _: &ClientRecord) -> Result<(), IssuerError> {
        Ok(())
    }

    async fn fixed_client(&self, issuer: &IssuerProfile) -> Result<ClientRecord, IssuerError> {
        Ok(client(ClientOwner::Fixed, &issuer.url, 0))
    }

    async fn authorize_device(
        &self,
        _: &IssuerProfile,
        _: &ClientRecord,
        _: &ScopeSet,
        _: &AudienceSet,
    ) -> Result<DeviceAuthorization, IssuerError> {
        self.authorizations.fetch_add(1, SeqCst);
        let latency = *self.device_latency.lock().unwrap();
        TestClock::default().sleep(latency).await;
        self.device_script.lock().unwrap().pop_front().unwrap_or_else(|| Ok(device_authorization()))
    }

    async fn poll_device(
        &self,
        _: &IssuerProfile,
        _: &ClientRecord,
        _: &SecretString,
        _: &AudienceSet,
    ) -> PollAnswer {
        self.polls.fetch_add(1, SeqCst);
        self.poll_script.lock().unwrap().pop_front().unwrap_or(PollAnswer::Pending)
    }

    async fn refresh(
        &self,
        _: &IssuerProfile,
        _: &ClientRecord,
        refresh_token: &SecretString,
        _: &Wanted,
    ) -> Result<Tokens, RefreshError> {
        let count = self.refreshes.fetch_add(1, SeqCst) + 1;
        self.presented.lock().unwrap().push(refresh_token.expose_secret().to_owned());
        let latency = *self.latency.lock().unwrap();
        TestClock::default().sleep(latency).await;
        self.refresh_script
            .lock()
            .unwrap()
            .pop_front()
            .unwrap_or_else(|| Ok(tokens(&format!("at{count}"), Some(&format!("rt{count}")), 3600)))
    }

    async fn revoke(
        &self,
        _: &IssuerProfile,
        _: &ClientRecord,
        _: &SecretString,
    ) -> Result<(), IssuerError> {
        self.revocations.fetch_add(1, SeqCst);
        Ok(())
    }

    async fn probe(&self, _: &IssuerProfile) -> Result<String, IssuerError> {
        Ok("answers".into())
    }

    fn health(&self, _: &IssuerProfile) -> Health {
        Health::Answering
    }
}

/// The `number`-th registered client.
pub fn client(owner: ClientOwner, issuer: &url::Url, number: usize) -> ClientRecord {
    ClientRecord {
        owner,
        issuer: issuer.to_string(),
        generation: 0,
        client_id: format!("client-{number}"),
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
        client_name: String::new(),
        initial_access_token_file: None,
        ca: None,
        endpoints: Overrides::default(),
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
