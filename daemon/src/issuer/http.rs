//! The one HTTP client. Every request of the daemon to an issuer goes through [`Http::send`].
//!
//! TLS 1.2 or later, no redirect (a token request that follows one hands its secrets on), no
//! cookie, no proxy out of the environment, no retry (a refresh token is used once or lost),
//! bounded in time and size, and for an issuer that the site did not list only to public
//! addresses.

use std::{
    collections::HashMap,
    error::Error as _,
    path::PathBuf,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use bytes::Bytes;
use reqwest::{
    Client, Method, Response,
    header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, DATE, HeaderValue, RETRY_AFTER},
    redirect, retry, tls,
};
use url::Url;
use zeroize::Zeroizing;

use super::{
    Limits, address, cause,
    redact::printable,
    resolver::{self, Lookup, NotPublic, Resolver},
    trust,
};
use crate::{
    account::{IssuerProfile, UnixTime, ports::IssuerError},
    clock::Clock,
};

/// Certificates on disk are read again after this; grids renew theirs daily.
const CLIENT_LIFE: Duration = Duration::from_secs(24 * 3600);
/// Shorter than any server's patience (Node's is 5 s): a request on a connection that the server
/// closes meanwhile fails without anyone knowing whether it was acted on.
const IDLE: Duration = Duration::from_secs(3);
/// Beyond this a `Retry-After` means "not today".
const LONGEST_RETRY_AFTER: Duration = Duration::from_secs(24 * 3600);

/// One request.
pub(super) struct Ask<'a> {
    pub(super) method: Method,
    pub(super) url: &'a Url,
    pub(super) authorization: Option<HeaderValue>,
    /// Content type and content.
    pub(super) body: Option<(&'static str, Bytes)>,
}

impl<'a> Ask<'a> {
    /// A GET without more.
    pub(super) fn get(url: &'a Url) -> Self {
        Self { method: Method::GET, url, authorization: None, body: None }
    }
}

/// One answer, whatever its status.
pub(super) struct Reply {
    pub(super) status: u16,
    pub(super) retry_after: Option<Duration>,
    /// `Date` (RFC 9110 §6.6.1): the issuer's clock.
    pub(super) date: Option<UnixTime>,
    /// The issuer's certificate, DER.
    pub(super) certificate: Option<Vec<u8>>,
    /// May hold tokens.
    pub(super) body: Zeroizing<Vec<u8>>,
}

type ClientKey = (Option<PathBuf>, bool);

/// The guarded client.
pub(super) struct Http {
    limits: Limits,
    clock: Arc<dyn Clock>,
    lookup: Arc<dyn Lookup>,
    clients: Mutex<HashMap<ClientKey, (Instant, Client)>>,
    /// Instead of a network.
    #[cfg(any(test, feature = "fuzzing"))]
    pub(super) script: Option<super::fuzzing::Script>,
}

impl Http {
    pub(super) fn new(limits: Limits, clock: Arc<dyn Clock>, lookup: Arc<dyn Lookup>) -> Self {
        Self {
            limits,
            clock,
            lookup,
            clients: Mutex::default(),
            #[cfg(any(test, feature = "fuzzing"))]
            script: None,
        }
    }

    /// Sends one request, once.
    ///
    /// # Errors
    /// The URL may not be asked, or no whole answer came. Any status is an answer.
    pub(super) async fn send(
        &self,
        profile: &IssuerProfile,
        ask: Ask<'_>,
    ) -> Result<Reply, IssuerError> {
        address::check_url(profile, ask.url)?;
        #[cfg(any(test, feature = "fuzzing"))]
        if let Some(script) = &self.script {
            return script.next(profile, &ask);
        }
        // A literal never resolves.
        if !profile.listed
            && let Some(address) = address::literal(ask.url).and_then(resolver::inside)
        {
            return Err(address::not_public(&address));
        }
        let client = self.client(profile).await?;
        let (method, host) = (ask.method.clone(), ask.url.host_str().unwrap_or_default());
        let begun = self.clock.monotonic();
        let answer = self.exchange(&client, ask.url, ask.method, ask.authorization, ask.body).await;
        let status = answer.as_ref().map_or(0, |reply| reply.status);
        let milliseconds = self.clock.monotonic().saturating_duration_since(begun).as_millis();
        // Neither query nor content: those hold secrets.
        tracing::debug!(%method, host, path = ask.url.path(), status, milliseconds, "issuer asked");
        answer
    }

    async fn exchange(
        &self,
        client: &Client,
        url: &Url,
        method: Method,
        authorization: Option<HeaderValue>,
        body: Option<(&'static str, Bytes)>,
    ) -> Result<Reply, IssuerError> {
        let mut request = client.request(method, url.clone()).header(ACCEPT, "application/json");
        if let Some(authorization) = authorization {
            request = request.header(AUTHORIZATION, authorization);
        }
        if let Some((content_type, body)) = body {
            request = request.header(CONTENT_TYPE, content_type).body(body);
        }
        let response = request.send().await.map_err(|error| self.failure(url, &error))?;
        let status = response.status().as_u16();
        let retry_after = retry_after(&response, self.clock.wall());
        let date = response.headers().get(DATE).and_then(|date| parse_date(date.to_str().ok()?));
        let tls = response.extensions().get::<tls::TlsInfo>();
        let certificate = tls.and_then(|tls| tls.peer_certificate().map(<[u8]>::to_vec));
        let body = self.body(url, response).await?;
        Ok(Reply { status, retry_after, date, certificate, body })
    }

    async fn body(
        &self,
        url: &Url,
        mut response: Response,
    ) -> Result<Zeroizing<Vec<u8>>, IssuerError> {
        let most = self.limits.longest_body;
        let announced = response.content_length().map_or(Some(0), |n| usize::try_from(n).ok());
        let mut body = Zeroizing::new(Vec::new());
        if announced.is_some_and(|length| length <= most) {
            // In one piece where possible: what grows leaves copies of itself behind.
            body.reserve_exact(announced.unwrap_or_default());
            while let Some(chunk) =
                response.chunk().await.map_err(|error| self.failure(url, &error))?
            {
                if body.len() + chunk.len() > most {
                    return Err(self.too_long(url));
                }
                body.extend_from_slice(&chunk);
            }
            return Ok(body);
        }
        Err(self.too_long(url))
    }

    fn too_long(&self, url: &Url) -> IssuerError {
        let host = url.host_str().unwrap_or_default();
        let most = self.limits.longest_body / 1024;
        let text = format!("the answer of {host} is longer than {most} KiB (limits.reply_bytes)");
        IssuerError::TooLong { text }
    }

    /// The client for this trust and this caution; they are few.
    async fn client(&self, profile: &IssuerProfile) -> Result<Client, IssuerError> {
        // Only the site says whom to trust beside the system's certificates.
        let ca = profile.ca.clone().filter(|_| profile.listed);
        let key = (ca, profile.listed);
        let now = self.clock.monotonic();
        if let Some((made, client)) = self.clients().get(&key)
            && now.saturating_duration_since(*made) < CLIENT_LIFE
        {
            return Ok(client.clone());
        }
        let resolver = Resolver { lookup: Arc::clone(&self.lookup), public_only: !profile.listed };
        let (limits, ca) = (self.limits, key.0.clone());
        // Reading some hundred certificate files is no work for the executor.
        let client = tokio::task::spawn_blocking(move || build(limits, ca, resolver))
            .await
            .map_err(|_| local("the HTTP client was not made".to_owned()))??;
        self.clients().insert(key, (now, client.clone()));
        Ok(client)
    }

    fn clients(&self) -> std::sync::MutexGuard<'_, HashMap<ClientKey, (Instant, Client)>> {
        self.clients.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What a failed exchange means. Nothing in it comes from the issuer but names in its
    /// certificate, and those are cleaned.
    fn failure(&self, url: &Url, error: &reqwest::Error) -> IssuerError {
        let host = url.host_str().unwrap_or_default();
        let mut cause = error.source();
        let mut deepest = None;
        while let Some(error) = cause {
            if let Some(inside) = error.downcast_ref::<NotPublic>() {
                return IssuerError::AddressNotPublic {
                    text: format!("{inside}, and the site does not list this issuer"),
                };
            }
            deepest = Some(error);
            cause = error.source();
        }
        let deepest = deepest.map(ToString::to_string).unwrap_or_default();
        let deepest = printable(&deepest, 200);
        let too_slow = error.is_timeout() && !error.is_connect();
        let (text, maybe_processed, reply_lost) = if error.is_connect() {
            let text = match deepest.as_str() {
                _ if error.is_timeout() => {
                    format!(
                        "no connection to {host} within {} s",
                        seconds(self.limits.connect_timeout)
                    )
                }
                why if why.contains("certificate") => format!(
                    "the TLS certificate of {host} is not accepted: {why}; a site adds an authority with `ca`"
                ),
                why => format!("no connection to {host}: {why}"),
            };
            (text, false, false)
        } else if too_slow {
            // It may be at work still.
            let within = seconds(self.limits.total_timeout);
            (format!("no answer from {host} within {within} s (limits.reply_time)"), true, false)
        } else {
            (format!("the connection to {host} broke: {deepest}"), true, true)
        };
        let cause = cause::of(error);
        IssuerError::Unreachable {
            text,
            retry_after: None,
            maybe_processed,
            reply_lost,
            too_slow,
            cause,
        }
    }
}

fn build(limits: Limits, ca: Option<PathBuf>, resolver: Resolver) -> Result<Client, IssuerError> {
    let mut builder = Client::builder()
        .user_agent(concat!("iamd/", env!("CARGO_PKG_VERSION")))
        .tls_version_min(tls::Version::TLS_1_2)
        .tls_info(true)
        .redirect(redirect::Policy::none())
        .referer(false)
        .retry(retry::never())
        .no_proxy()
        .connect_timeout(limits.connect_timeout)
        .timeout(limits.total_timeout)
        .pool_idle_timeout(IDLE)
        .pool_max_idle_per_host(limits.concurrent)
        .dns_resolver(Arc::new(resolver));
    if let Some(ca) = ca {
        builder = builder.tls_certs_merge(trust::load(&ca)?);
    }
    builder.build().map_err(|error| {
        let why = error.source().map_or_else(|| error.to_string(), ToString::to_string);
        local(format!("TLS cannot be used: {why}; is the package ca-certificates installed?"))
    })
}

/// `Retry-After` in seconds or as a date (RFC 9110 §10.2.3).
fn retry_after(response: &Response, now: UnixTime) -> Option<Duration> {
    parse_retry_after(response.headers().get(RETRY_AFTER)?.to_str().ok()?, now)
}

pub(super) fn parse_retry_after(value: &str, now: UnixTime) -> Option<Duration> {
    let value = value.trim();
    let wait = match value.parse::<u64>() {
        Ok(seconds) => Duration::from_secs(seconds),
        Err(_) => parse_date(value)?.after(now),
    };
    Some(wait.min(LONGEST_RETRY_AFTER))
}

/// A date of HTTP (RFC 9110 §5.6.7).
fn parse_date(value: &str) -> Option<UnixTime> {
    let date = httpdate::parse_http_date(value).ok()?;
    Some(UnixTime(date.duration_since(std::time::UNIX_EPOCH).ok()?.as_secs()))
}

/// A duration as people read it.
fn seconds(duration: Duration) -> f32 {
    duration.as_secs_f32()
}

fn local(text: String) -> IssuerError {
    IssuerError::Local { text }
}
