//! The room against a scripted issuer on this machine. A test that starts with `rNN` keeps the
//! requirement of that number.

mod addresses;
mod apart;
mod breaker;
mod causes;
mod checkup;
mod configuration;
mod device;
mod discovery;
mod foreign;
mod iam_clients;
mod identity;
mod injection;
mod mock;
mod password;
mod pki;
mod poll;
mod provider;
mod redaction;
mod refresh;
mod registration;
mod required;
mod revocation;
mod texts;
mod tls;
mod transport;
mod unanswered;

use std::{
    io,
    net::IpAddr,
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use async_trait::async_trait;
use secrecy::SecretString;

use self::mock::Mock;
use super::{IssuerClient, Limits, Lookup};
use crate::{
    account::{
        AudienceSet, ClientAuth, ClientOwner, ClientPolicy, ClientRecord, IssuerProfile, Overrides,
        ScopeSet, UnixTime,
        ports::{IssuerError, PollAnswer},
    },
    clock::{Clock, SystemClock},
};

/// What every test calls now.
const NOW: UnixTime = UnixTime(1_800_000_000);
const SECRET: &str = "client-secret-Canary1";
const DEVICE_CODE: &str = "0f9c2d4e-device-code-Canary2";
const REFRESH_TOKEN: &str = "refresh-token-Canary3";

/// A clock whose wall stands still and whose monotonic time a test moves; sleeps are real.
struct TestClock {
    start: Instant,
    passed: Mutex<Duration>,
}

impl TestClock {
    fn new() -> Arc<Self> {
        Arc::new(Self { start: SystemClock.monotonic(), passed: Mutex::default() })
    }

    fn pass(&self, time: Duration) {
        *self.passed.lock().unwrap() += time;
    }
}

#[async_trait]
impl Clock for TestClock {
    fn wall(&self) -> UnixTime {
        NOW
    }

    fn monotonic(&self) -> Instant {
        self.start + *self.passed.lock().unwrap()
    }

    async fn sleep(&self, duration: Duration) {
        SystemClock.sleep(duration).await;
    }
}

/// A resolver that gives everybody the same addresses.
struct Fixed(Vec<IpAddr>);

#[async_trait]
impl Lookup for Fixed {
    async fn lookup(&self, _: &str) -> io::Result<Vec<IpAddr>> {
        Ok(self.0.clone())
    }
}

/// Limits that no test waits long for.
fn limits() -> Limits {
    Limits {
        connect_timeout: Duration::from_secs(2),
        total_timeout: Duration::from_secs(5),
        ..Limits::default()
    }
}

fn client() -> IssuerClient {
    IssuerClient::new(TestClock::new(), limits())
}

/// A profile as a site writes it, for an issuer at `url`.
fn profile(url: &str) -> IssuerProfile {
    IssuerProfile {
        name: "test".into(),
        title: "Test IAM".into(),
        url: url.parse().unwrap(),
        listed: true,
        dialect: None,
        scopes: scopes("openid offline_access storage.read:/ wlcg.groups"),
        audiences: AudienceSet::default(),
        audience_parameter: None,
        client: ClientPolicy::PerSite,
        public_client: None,
        client_name: "iamd:login1".into(),
        initial_access_token_file: None,
        ca: None,
        endpoints: Overrides::default(),
        identity: None,
        user: None,
    }
}

fn record(auth: ClientAuth) -> ClientRecord {
    ClientRecord {
        owner: ClientOwner::Site,
        issuer: "https://iam.example/".into(),
        user: None,
        generation: 0,
        client_id: "client$1".into(),
        client_name: None,
        client_secret: (auth != ClientAuth::None).then(|| secret(SECRET)),
        client_secret_expires_at: None,
        auth,
        registration_access_token: Some(secret("registration-token-Canary4")),
        registration_client_uri: None,
        scopes: ScopeSet::default(),
        grant_types: vec![],
        registered_at: NOW,
    }
}

fn basic() -> ClientRecord {
    record(ClientAuth::ClientSecretBasic)
}

fn secret(text: &str) -> SecretString {
    text.to_owned().into()
}

fn scopes(text: &str) -> ScopeSet {
    ScopeSet::parse([text]).unwrap()
}

fn audiences(text: &str) -> AudienceSet {
    AudienceSet::parse([text]).unwrap()
}

/// One poll with [`DEVICE_CODE`].
async fn poll(mock: &Mock) -> PollAnswer {
    let none = AudienceSet::default();
    use crate::account::ports::Issuers as _;
    client().poll_device(&mock.profile(), &basic(), &secret(DEVICE_CODE), &none).await
}

/// Whether the error may pass, and whether the request may have been acted on.
fn passing(error: &IssuerError) -> Option<bool> {
    match error {
        IssuerError::Unreachable { maybe_processed, .. } => Some(*maybe_processed),
        _ => None,
    }
}
