//! Finding an issuer's endpoints: OpenID Connect Discovery first, RFC 8414 where that is missing
//! or says too little, what the site set by hand above both. Kept for a day; the last good answer
//! is kept as long as there is no better one.

use std::{
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use url::Url;

use super::{
    IssuerClient,
    error::ErrorReply,
    http::Ask,
    metadata::{Document, Metadata, check_issuer, complete},
    redact::Redactor,
};
use crate::account::{
    IssuerProfile,
    ports::{Cause, IssuerError, Places},
};

/// How long metadata is taken as it was (requirement 15).
const FRESH: Duration = Duration::from_secs(24 * 3600);
/// When old metadata is tried to be renewed again after a failure.
const AGAIN: Duration = Duration::from_secs(300);

const OPENID: &str = "/.well-known/openid-configuration";
const OAUTH: &str = "/.well-known/oauth-authorization-server";

/// What is remembered of one issuer's metadata.
#[derive(Default)]
pub(super) struct Cache {
    known: Mutex<Known>,
    /// Held by the one who asks.
    flight: tokio::sync::Mutex<()>,
    flights: AtomicU64,
}

#[derive(Default)]
struct Known {
    good: Option<(IssuerProfile, Arc<Metadata>)>,
    renew_at: Option<Instant>,
    /// What the last flight came to, for those who waited for it.
    failed: Option<(u64, IssuerError)>,
}

impl Cache {
    /// The metadata of this very profile, and whether it is fresh.
    fn get(&self, profile: &IssuerProfile, now: Instant) -> Option<(Arc<Metadata>, bool)> {
        let known = self.lock();
        let (of, metadata) = known.good.as_ref()?;
        let fresh = known.renew_at.is_some_and(|renew_at| now < renew_at);
        concerns(of, profile).then(|| (Arc::clone(metadata), fresh))
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whether metadata that was read for one profile is that of the other: what is asked of an issuer
/// changes nothing about where it is.
fn concerns(of: &IssuerProfile, profile: &IssuerProfile) -> bool {
    let place = |profile: &IssuerProfile| IssuerProfile {
        scopes: Default::default(),
        audiences: Default::default(),
        client: crate::account::ClientPolicy::PerSite,
        public_client: None,
        client_name: String::new(),
        initial_access_token_file: None,
        identity: None,
        user: None,
        ..profile.clone()
    };
    place(of) == place(profile)
}

/// What one well-known place had.
enum Found {
    Document(Document),
    /// Not there, or not metadata; why.
    Nothing(String, Cause),
}

impl IssuerClient {
    /// The issuer's metadata, asked for once however many want it.
    ///
    /// # Errors
    /// None is known and none could be had.
    pub(super) async fn metadata(
        &self,
        profile: &IssuerProfile,
    ) -> Result<Arc<Metadata>, IssuerError> {
        let peer = self.peer(profile);
        let cache = &peer.metadata;
        let old = match cache.get(profile, self.clock.monotonic()) {
            Some((metadata, true)) => return Ok(metadata),
            Some((metadata, false)) => Some(metadata),
            None => None,
        };
        let seen = cache.flights.load(Ordering::Acquire);
        let _flight = match (cache.flight.try_lock(), &old) {
            (Ok(flight), _) => flight,
            // Somebody renews it; what there is does meanwhile.
            (Err(_), Some(old)) => return Ok(Arc::clone(old)),
            (Err(_), None) => cache.flight.lock().await,
        };
        if let Some((metadata, true)) = cache.get(profile, self.clock.monotonic()) {
            return Ok(metadata);
        }
        if let Some((flight, error)) = &cache.lock().failed
            && *flight > seen
        {
            return Err(error.clone());
        }
        self.renew(profile, cache, old).await
    }

    /// Where the issuer is, as far as it was asked before; nobody is asked now.
    pub(super) fn known_places(&self, profile: &IssuerProfile) -> Places {
        let known = self.peer(profile).metadata.get(profile, self.clock.monotonic());
        let Some((metadata, _)) = known else {
            return Places {
                configuration: profile.endpoints.configuration.clone(),
                device_authorization: profile.endpoints.device_authorization.clone(),
            };
        };
        Places {
            configuration: metadata.found_at.clone(),
            device_authorization: match &metadata.device_authorization {
                Some(Ok(url)) => Some(url.clone()),
                _ => None,
            },
        }
    }

    /// Asks again, if what is known is older than a minute. For a diagnosis.
    ///
    /// # Errors
    /// None could be had.
    pub(super) async fn fresh_metadata(
        &self,
        profile: &IssuerProfile,
    ) -> Result<Arc<Metadata>, IssuerError> {
        let peer = self.peer(profile);
        let _flight = peer.metadata.flight.lock().await;
        let minute_old = self.clock.monotonic() + FRESH.saturating_sub(Duration::from_secs(60));
        if let Some((metadata, true)) = peer.metadata.get(profile, minute_old) {
            return Ok(metadata);
        }
        self.renew(profile, &peer.metadata, None).await
    }

    /// Asks again whatever is known: only an answer says that the issuer answers. Who wants that
    /// while somebody asks, takes that answer.
    ///
    /// # Errors
    /// None could be had.
    pub(super) async fn metadata_of_now(
        &self,
        profile: &IssuerProfile,
    ) -> Result<Arc<Metadata>, IssuerError> {
        let peer = self.peer(profile);
        let cache = &peer.metadata;
        let seen = cache.flights.load(Ordering::Acquire);
        let _flight = cache.flight.lock().await;
        if cache.flights.load(Ordering::Acquire) > seen {
            if let Some((flight, error)) = &cache.lock().failed
                && *flight > seen
            {
                return Err(error.clone());
            }
            if let Some((metadata, true)) = cache.get(profile, self.clock.monotonic()) {
                return Ok(metadata);
            }
        }
        self.renew(profile, cache, None).await
    }

    async fn renew(
        &self,
        profile: &IssuerProfile,
        cache: &Cache,
        old: Option<Arc<Metadata>>,
    ) -> Result<Arc<Metadata>, IssuerError> {
        let found = self.discover(profile).await;
        let flight = cache.flights.fetch_add(1, Ordering::AcqRel) + 1;
        let now = self.clock.monotonic();
        let mut known = cache.lock();
        match (found, old) {
            (Ok(metadata), _) => {
                let metadata = Arc::new(metadata);
                known.good = Some((profile.clone(), Arc::clone(&metadata)));
                known.renew_at = Some(now + FRESH);
                known.failed = None;
                Ok(metadata)
            }
            (Err(error), Some(old)) => {
                tracing::debug!(issuer = profile.name, %error, "metadata not renewed: {error}");
                known.renew_at = Some(now + AGAIN);
                known.failed = Some((flight, error));
                Ok(old)
            }
            (Err(error), None) => {
                known.failed = Some((flight, error.clone()));
                Err(error)
            }
        }
    }

    async fn discover(&self, profile: &IssuerProfile) -> Result<Metadata, IssuerError> {
        if let Some(place) = &profile.endpoints.configuration {
            return match self.look(profile, place).await? {
                Found::Document(document) => {
                    check_issuer(profile, &document)?;
                    Ok(Metadata::new(profile, &document).at(place))
                }
                Found::Nothing(why, cause) => Err(nothing(profile, &why, cause)),
            };
        }
        let mut found_at = openid_place(&profile.url);
        let (mut document, why, cause) = match self.look(profile, &found_at).await? {
            Found::Document(document) => {
                check_issuer(profile, &document)?;
                (Some(document), String::new(), Cause::Other)
            }
            Found::Nothing(why, cause) => (None, why, cause),
        };
        for place in oauth_places(&profile.url) {
            if document.as_ref().is_some_and(|document| is_complete(profile, document)) {
                break;
            }
            match (self.look(profile, &place).await, &mut document) {
                (Ok(Found::Document(other)), Some(document)) => {
                    // A stranger's document completes nothing.
                    if check_issuer(profile, &other).is_ok() {
                        complete(document, other);
                    }
                }
                (Ok(Found::Document(other)), None) => {
                    check_issuer(profile, &other)?;
                    document = Some(other);
                    found_at = place;
                }
                (Err(error), None) => return Err(error),
                (Ok(Found::Nothing(..)), _) | (Err(_), Some(_)) => {}
            }
        }
        let by_hand = &profile.endpoints;
        match document {
            Some(document) => Ok(Metadata::new(profile, &document).at(&found_at)),
            // The site knows all that is needed.
            None if by_hand.token.is_some() && by_hand.device_authorization.is_some() => {
                Ok(Metadata::new(profile, &Document::new()))
            }
            None => Err(nothing(profile, &why, cause)),
        }
    }

    async fn look(&self, profile: &IssuerProfile, place: &Url) -> Result<Found, IssuerError> {
        let reply = self.ask_for_all(profile, Ask::get(place)).await?;
        if reply.status == 200
            && let Ok(document) = serde_json::from_slice::<Document>(&reply.body)
        {
            return Ok(Found::Document(document));
        }
        let error = ErrorReply::read(profile, &reply, &Redactor::default());
        match reply.status {
            408 | 425 | 429 | 500.. => Err(error.unreachable(false)),
            // Many answer what they do not have with a page, some even with 200.
            _ => Ok(Found::Nothing(error.text.clone(), error.cause())),
        }
    }
}

/// Whether a document names what a login needs, but for what the site set by hand.
fn is_complete(profile: &IssuerProfile, document: &Document) -> bool {
    let by_hand = &profile.endpoints;
    [
        (&by_hand.token, "token_endpoint"),
        (&by_hand.device_authorization, "device_authorization_endpoint"),
        (&by_hand.registration, "registration_endpoint"),
    ]
    .iter()
    .all(|(site, key)| site.is_some() || document.contains_key(*key))
}

fn nothing(profile: &IssuerProfile, why: &str, cause: Cause) -> IssuerError {
    let url = &profile.url;
    IssuerError::NoMetadata {
        cause,
        text: format!(
            "no metadata at {url}: {why}; is this the issuer's URL? Where an issuer has none, its file has [endpoints]"
        ),
    }
}

fn openid_place(issuer: &Url) -> Url {
    let path = format!("{}{OPENID}", issuer.path().trim_end_matches('/'));
    at(issuer, &path)
}

/// The well-known part put in before the issuer's path (RFC 8414 §3.1), and behind it, where many
/// have it (§5).
fn oauth_places(issuer: &Url) -> Vec<Url> {
    let path = issuer.path().trim_end_matches('/');
    let mut places = vec![at(issuer, &format!("{OAUTH}{path}"))];
    if !path.is_empty() {
        places.push(at(issuer, &format!("{path}{OAUTH}")));
    }
    places
}

fn at(issuer: &Url, path: &str) -> Url {
    let mut url = issuer.clone();
    url.set_path(path);
    url.set_query(None);
    url.set_fragment(None);
    url
}
