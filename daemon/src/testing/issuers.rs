//! Issuers with a script.

use std::{
    collections::{BTreeSet, VecDeque},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst},
    },
    time::Duration,
};

use async_trait::async_trait;
use secrecy::{ExposeSecret, SecretString};

use super::{TestClock, client};
use crate::{
    account::{ports::*, *},
    clock::Clock as _,
};

/// Issuers that answer from a script, and remember what they were asked.
#[derive(Default)]
pub struct TestIssuers {
    /// The clock of the house: tokens are stamped with it, and it goes on while an answer takes.
    pub clock: Mutex<Option<Arc<TestClock>>>,
    pub refreshes: AtomicUsize,
    /// How often it was asked where the issuer is, ahead of who comes.
    pub metadata_asked: AtomicUsize,
    /// What that fails with, one after the other.
    pub metadata_errors: Mutex<VecDeque<IssuerError>>,
    /// How often keys were asked for ahead of a refresh.
    pub keys_fetched: AtomicUsize,
    /// Whose the tokens of a refresh are: how often that was asked, and whether of all the account has.
    pub identified: Mutex<Vec<bool>>,
    /// The answers to that; when empty, who the refresh said.
    pub identify_script: Mutex<VecDeque<Result<Option<Identity>, IssuerError>>>,
    /// How long that takes.
    pub identify_latency: Mutex<Duration>,
    pub registrations: AtomicUsize,
    pub authorizations: AtomicUsize,
    pub polls: AtomicUsize,
    /// The refresh tokens that were revoked, or were meant to be.
    pub revoked: Mutex<Vec<String>>,
    /// The access tokens that were revoked.
    pub revoked_access: Mutex<Vec<String>>,
    /// The clients that revoked them.
    pub revoked_by: Mutex<Vec<String>>,
    /// The answers to revocations; when empty, done.
    pub revoke_script: Mutex<VecDeque<Result<(), IssuerError>>>,
    /// How long a revocation takes.
    pub revoke_latency: Mutex<Duration>,
    /// The clients that were deregistered.
    pub deregistered: Mutex<Vec<String>>,
    /// What became of them; `None`: deleted.
    pub became: Mutex<Option<Deregistered>>,
    /// The scopes that a registration leaves out.
    pub left_out: Mutex<ScopeSet>,
    /// What a change takes from no client.
    pub keeps_scopes: Mutex<ScopeSet>,
    /// The initial access tokens that registrations came with.
    pub initial_access_tokens: Mutex<Vec<Option<String>>>,
    /// What registrations, readings and updates of clients, deletions and questions for the
    /// scopes on offer fail with, one after the other.
    pub register_errors: Mutex<VecDeque<IssuerError>>,
    pub read_errors: Mutex<VecDeque<IssuerError>>,
    pub update_errors: Mutex<VecDeque<IssuerError>>,
    pub deregister_errors: Mutex<VecDeque<IssuerError>>,
    pub offer_errors: Mutex<VecDeque<IssuerError>>,
    /// What the issuer says it offers.
    pub offered: Mutex<ScopeSet>,
    /// How long reading a client takes.
    pub read_latency: Mutex<Duration>,
    /// The scopes of a client that is read; `None`: those we know of.
    pub scopes_at_issuer: Mutex<Option<ScopeSet>>,
    /// The clients that were changed, and how.
    pub updates: Mutex<Vec<(String, ClientChange)>>,
    /// The scopes that device codes were asked for.
    pub asked_scopes: Mutex<Vec<ScopeSet>>,
    /// How long a registration takes.
    pub register_latency: Mutex<Duration>,
    /// What a look finds; `None`: all is well.
    pub probe: Mutex<Option<Result<Checkup, IssuerError>>>,
    /// How long a look takes.
    pub probe_latency: Mutex<Duration>,
    /// How long it takes to tell of a client or of a refresh token.
    pub inspect_latency: Mutex<Duration>,
    /// Whether the refresh token lives; `None`: it cannot be asked.
    pub accepts: Mutex<Option<Result<bool, IssuerError>>>,
    /// Clients that the issuer was asked for, without anybody's token.
    pub tried: Mutex<Vec<String>>,
    pub alive: Mutex<Option<Result<Option<bool>, IssuerError>>>,
    /// Whether nobody should wait for it.
    pub left_alone: AtomicBool,
    /// How it is doing; `None`: answering.
    pub health: Mutex<Option<Health>>,
    /// What was asked for, refresh by refresh.
    pub wanted: Mutex<Vec<Wanted>>,
    /// The clients that device codes were asked for with.
    pub used_clients: Mutex<Vec<String>>,
    /// How long a refresh takes.
    pub latency: Mutex<Duration>,
    /// The answers to refreshes; when empty, a token for 1 h and a rotated refresh token.
    pub refresh_script: Mutex<VecDeque<Result<Tokens, RefreshFailure>>>,
    /// How long a poll takes.
    pub poll_latency: Mutex<Duration>,
    /// The answers to polls; when empty, `Pending`.
    pub poll_script: Mutex<VecDeque<PollAnswer>>,
    /// The answers to device authorizations; when empty, a code for 10 min.
    pub device_script: Mutex<VecDeque<Result<DeviceAuthorization, IssuerError>>>,
    /// How long a device authorization takes.
    pub device_latency: Mutex<Duration>,
    /// The passwords that came: client, user name, password.
    pub passwords: Mutex<Vec<(String, String, String)>>,
    /// The answers to them; when empty, a token for 1 h and a refresh token.
    pub password_script: Mutex<VecDeque<Result<Tokens, PasswordError>>>,
    /// How long a password takes.
    pub password_latency: Mutex<Duration>,
    /// The changes of a client's grant: the administrator's token, client, allowed.
    pub grant_changes: Mutex<Vec<(String, String, bool)>>,
    /// What became of them; when empty, done.
    pub grant_script: Mutex<VecDeque<Result<GrantChange, GrantFailure>>>,
    /// What an issuer says whose clients cannot be changed from here.
    pub no_client_interface: Mutex<Option<IssuerError>>,
    /// The grants of a client that is read; `None`: those we know of.
    pub grants_at_issuer: Mutex<Option<Vec<String>>>,
    /// The refresh tokens that were presented.
    pub presented: Mutex<Vec<String>>,
    /// What was asked for, and for whom.
    pub asked_for: Mutex<BTreeSet<(&'static str, Option<u32>)>>,
}

impl TestIssuers {
    fn note(&self, what: &'static str, issuer: &IssuerProfile) {
        self.asked_for.lock().unwrap().insert((what, issuer.user));
    }

    /// Tokens that were asked for now, where the house has a clock, and come after `latency`.
    async fn takes(&self, latency: Duration, tokens: Option<&mut Tokens>) {
        let clock = self.clock.lock().unwrap().clone();
        if let (Some(tokens), Some(clock)) = (tokens, &clock) {
            tokens.asked_at = clock.wall();
        }
        TestClock::default().sleep(latency).await;
        clock.inspect(|clock| clock.pass(latency.as_secs()));
    }
}

/// A reply with these tokens.
pub fn tokens(access: &str, refresh: Option<&str>, expires_in: u64) -> Tokens {
    Tokens {
        asked_at: UnixTime(1_000_000),
        access_token: access.to_owned().into(),
        expires_in: Duration::from_secs(expires_in),
        refresh_token: refresh.map(|text| text.to_owned().into()),
        refresh_expires_at: None,
        scopes: None,
        identity: None,
        id_token: None,
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
        initial_access_token: Option<&SecretString>,
    ) -> Result<Registration, IssuerError> {
        self.note("register", issuer);
        let count = self.registrations.fetch_add(1, SeqCst) + 1;
        let latency = *self.register_latency.lock().unwrap();
        TestClock::default().sleep(latency).await;
        let token = initial_access_token.map(|token| token.expose_secret().to_owned());
        self.initial_access_tokens.lock().unwrap().push(token);
        if let Some(error) = self.register_errors.lock().unwrap().pop_front() {
            return Err(error);
        }
        let left_out = self.left_out.lock().unwrap().clone();
        let mut client = client(owner, &issuer.url, count);
        client.scopes = issuer.scopes.filtered(|scope| !left_out.contains(scope));
        client.client_name = Some(issuer.client_name.clone());
        client.grant_types = vec!["refresh_token".into()];
        client.registration_access_token = Some(format!("rat-{count}").into());
        client.registration_client_uri = Some(format!("{}reg/{count}", issuer.url));
        Ok(Registration { client, left_out: LeftOut { scopes: left_out, grants: Vec::new() } })
    }

    async fn read_client(
        &self,
        issuer: &IssuerProfile,
        client: &ClientRecord,
    ) -> Result<Managed<ClientMetadata>, IssuerError> {
        self.note("read_client", issuer);
        let latency = *self.read_latency.lock().unwrap();
        TestClock::default().sleep(latency).await;
        let mut read = client.clone();
        read.registration_access_token = Some("rat-read".to_owned().into());
        if let Some(scopes) = self.scopes_at_issuer.lock().unwrap().clone() {
            read.scopes = scopes;
        }
        if let Some(grants) = self.grants_at_issuer.lock().unwrap().clone() {
            read.grant_types = grants;
        }
        let mut known = serde_json::Map::new();
        known.insert("client_id".into(), client.client_id.clone().into());
        let answer = self.read_errors.lock().unwrap().pop_front();
        let answer = answer.map_or(Ok(ClientMetadata(known)), Err);
        Ok(Managed { client: read, changed: true, answer })
    }

    async fn update_client(
        &self,
        issuer: &IssuerProfile,
        client: &ClientRecord,
        registered: &ClientMetadata,
        change: &ClientChange,
    ) -> Result<Managed<LeftOut>, IssuerError> {
        self.note("update_client", issuer);
        assert_eq!(registered.0["client_id"], client.client_id.as_str());
        let token = client.registration_access_token.as_ref().map(ExposeSecret::expose_secret);
        assert_eq!(token, Some("rat-read"), "the newest token is the one to use");
        self.updates.lock().unwrap().push((client.client_id.clone(), change.clone()));
        let mut next = client.clone();
        next.registration_access_token = Some("rat-updated".to_owned().into());
        if let Some(error) = self.update_errors.lock().unwrap().pop_front() {
            return Ok(Managed { client: next, changed: true, answer: Err(error) });
        }
        let left_out = self.left_out.lock().unwrap().clone();
        if let Some(scopes) = &change.scopes {
            let keeps = self.keeps_scopes.lock().unwrap();
            next.scopes = scopes.filtered(|scope| !left_out.contains(scope)).union(&keeps);
        }
        next.client_name = change.name.clone().or(next.client_name);
        let left_out = LeftOut { scopes: left_out, grants: Vec::new() };
        Ok(Managed { client: next, changed: true, answer: Ok(left_out) })
    }

    async fn deregister(
        &self,
        issuer: &IssuerProfile,
        client: &ClientRecord,
    ) -> Result<Deregistered, IssuerError> {
        self.note("deregister", issuer);
        self.deregistered.lock().unwrap().push(client.client_id.clone());
        let error = self.deregister_errors.lock().unwrap().pop_front();
        let became = self.became.lock().unwrap().unwrap_or(Deregistered::Deleted);
        error.map_or(Ok(became), Err)
    }

    async fn fixed_client(&self, issuer: &IssuerProfile) -> Result<ClientRecord, IssuerError> {
        Ok(client(ClientOwner::Fixed, &issuer.url, 0))
    }

    fn public_client(&self, issuer: &IssuerProfile) -> Result<ClientRecord, IssuerError> {
        let mut public = client(ClientOwner::Public, &issuer.url, 0);
        public.client_id = issuer.public_client.clone().unwrap();
        public.client_secret = None;
        Ok(public)
    }

    async fn scopes_offered(&self, issuer: &IssuerProfile) -> Result<ScopeSet, IssuerError> {
        self.note("scopes_offered", issuer);
        let error = self.offer_errors.lock().unwrap().pop_front();
        error.map_or_else(|| Ok(self.offered.lock().unwrap().clone()), Err)
    }

    async fn fetch_metadata(&self, issuer: &IssuerProfile) -> Result<(), IssuerError> {
        self.note("fetch_metadata", issuer);
        self.metadata_asked.fetch_add(1, SeqCst);
        self.metadata_errors.lock().unwrap().pop_front().map_or(Ok(()), Err)
    }

    async fn authorize_device(
        &self,
        issuer: &IssuerProfile,
        client: &ClientRecord,
        _: u32,
        scopes: &ScopeSet,
        _: &AudienceSet,
    ) -> Result<DeviceAuthorization, IssuerError> {
        self.note("authorize_device", issuer);
        self.asked_scopes.lock().unwrap().push(scopes.clone());
        self.authorizations.fetch_add(1, SeqCst);
        self.used_clients.lock().unwrap().push(client.client_id.clone());
        let latency = *self.device_latency.lock().unwrap();
        TestClock::default().sleep(latency).await;
        self.device_script.lock().unwrap().pop_front().unwrap_or_else(|| Ok(device_authorization()))
    }

    async fn poll_device(
        &self,
        issuer: &IssuerProfile,
        _: &ClientRecord,
        _: &SecretString,
        _: &AudienceSet,
    ) -> PollAnswer {
        self.note("poll_device", issuer);
        self.polls.fetch_add(1, SeqCst);
        let script = self.poll_script.lock().unwrap().pop_front();
        let mut answer = script.unwrap_or(PollAnswer::Pending);
        let latency = *self.poll_latency.lock().unwrap();
        let tokens = match &mut answer {
            PollAnswer::Tokens(tokens) => Some(&mut **tokens),
            _ => None,
        };
        self.takes(latency, tokens).await;
        answer
    }

    async fn fetch_keys(&self, _: &IssuerProfile) {
        self.keys_fetched.fetch_add(1, SeqCst);
    }

    async fn refresh(
        &self,
        issuer: &IssuerProfile,
        _: &ClientRecord,
        _: u32,
        refresh_token: &SecretString,
        wanted: &Wanted,
    ) -> Result<Tokens, RefreshFailure> {
        self.note("refresh", issuer);
        self.wanted.lock().unwrap().push(wanted.clone());
        let count = self.refreshes.fetch_add(1, SeqCst) + 1;
        self.presented.lock().unwrap().push(refresh_token.expose_secret().to_owned());
        let latency = *self.latency.lock().unwrap();
        let script = self.refresh_script.lock().unwrap().pop_front();
        let next = || Ok(tokens(&format!("at{count}"), Some(&format!("rt{count}")), 3600));
        let mut answer = script.unwrap_or_else(next);
        self.takes(latency, answer.as_mut().ok()).await;
        answer
    }

    async fn identify(
        &self,
        _: &IssuerProfile,
        _: &ClientRecord,
        tokens: &Tokens,
        whole: bool,
    ) -> Result<Option<Identity>, IssuerError> {
        self.identified.lock().unwrap().push(whole);
        let latency = *self.identify_latency.lock().unwrap();
        TestClock::default().sleep(latency).await;
        let script = self.identify_script.lock().unwrap().pop_front();
        script.unwrap_or_else(|| Ok(tokens.identity.clone()))
    }

    async fn refresh_handed(
        &self,
        issuer: &IssuerProfile,
        client: &ClientRecord,
        refresh_token: &SecretString,
        wanted: &Wanted,
    ) -> Result<Tokens, RefreshFailure> {
        self.refresh(issuer, client, 0, refresh_token, wanted).await
    }

    async fn revoke(
        &self,
        issuer: &IssuerProfile,
        client: &ClientRecord,
        refresh_token: &SecretString,
    ) -> Result<(), IssuerError> {
        self.note("revoke", issuer);
        let latency = *self.revoke_latency.lock().unwrap();
        TestClock::default().sleep(latency).await;
        self.revoked_by.lock().unwrap().push(client.client_id.clone());
        self.revoked.lock().unwrap().push(refresh_token.expose_secret().to_owned());
        self.revoke_script.lock().unwrap().pop_front().unwrap_or(Ok(()))
    }

    async fn revoke_access(
        &self,
        issuer: &IssuerProfile,
        _: &ClientRecord,
        access_token: &SecretString,
    ) -> Result<(), IssuerError> {
        self.note("revoke", issuer);
        self.revoked_access.lock().unwrap().push(access_token.expose_secret().to_owned());
        Ok(())
    }

    async fn probe(&self, issuer: &IssuerProfile) -> Result<Checkup, IssuerError> {
        self.note("probe", issuer);
        if let Some(Health::Open(retry_in)) = *self.health.lock().unwrap() {
            let issuer = issuer.title.clone();
            return Err(IssuerError::CircuitOpen { issuer, retry_in, last: None });
        }
        let latency = *self.probe_latency.lock().unwrap();
        TestClock::default().sleep(latency).await;
        let found = Checkup { summary: "answers".into(), ..Checkup::default() };
        self.probe.lock().unwrap().clone().unwrap_or(Ok(found))
    }

    async fn is_alive(
        &self,
        issuer: &IssuerProfile,
        _: &ClientRecord,
        _: &SecretString,
    ) -> Result<Option<bool>, IssuerError> {
        self.note("is_alive", issuer);
        let latency = *self.inspect_latency.lock().unwrap();
        TestClock::default().sleep(latency).await;
        self.alive.lock().unwrap().clone().unwrap_or(Ok(None))
    }

    async fn accepts(
        &self,
        issuer: &IssuerProfile,
        client: &ClientRecord,
    ) -> Result<bool, IssuerError> {
        self.note("accepts", issuer);
        let latency = *self.inspect_latency.lock().unwrap();
        TestClock::default().sleep(latency).await;
        self.tried.lock().unwrap().push(client.client_id.clone());
        self.accepts.lock().unwrap().clone().unwrap_or(Ok(true))
    }

    fn places(&self, issuer: &IssuerProfile) -> Places {
        Places {
            configuration: issuer.url.join(".well-known/openid-configuration").ok(),
            device_authorization: issuer.url.join("devicecode").ok(),
        }
    }

    fn is_left_alone(&self, _: &IssuerProfile) -> bool {
        self.left_alone.load(SeqCst)
    }

    fn gives_no_codes_to(&self, issuer: &IssuerProfile, _: u32) -> bool {
        self.is_left_alone(issuer)
    }

    fn renews_nothing_for(&self, issuer: &IssuerProfile, _: u32) -> bool {
        self.is_left_alone(issuer)
    }

    fn health(&self, _: &IssuerProfile) -> Health {
        self.health.lock().unwrap().unwrap_or(Health::Answering)
    }
}
