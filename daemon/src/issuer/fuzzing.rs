//! Whatever an issuer answers: any replies, in any order, to everything that is asked of one. What
//! comes out has to be fit for people, without our secrets, and never a URL that may not be asked.
//!
//! A script is replies with a line `%%` between them: the first line of each is its status, and
//! perhaps a `Retry-After`; the rest is its body. Who asks for more than there is, is not answered.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, PoisonError},
    time::Instant,
};

use async_trait::async_trait;
use futures_util::FutureExt as _;
use secrecy::{ExposeSecret as _, SecretString};
use zeroize::Zeroizing;

use super::{
    IssuerClient, Limits, SystemLookup,
    http::{Ask, Http, Reply, parse_retry_after},
    metadata::Endpoint,
};
use crate::{
    account::{
        AudienceSet, ClientAuth, ClientOwner, ClientPolicy, ClientRecord, IdentityRule,
        IssuerProfile, Overrides, Owner, ScopeSet, UnixTime,
        identity_rule::Expect,
        ports::{
            ClientChange, GrantFailure, IssuerError, Issuers as _, PasswordGrants as _,
            PasswordSignIn, PollAnswer, Tokens, Wanted,
        },
    },
    clock::{Clock, SystemClock},
};

const NOW: UnixTime = UnixTime(1_800_000_000);
// What is sent, and must not be in any text that comes out of that request.
const CLIENT_SECRET: &str = "client-secret-4cXk2mWq";
const DEVICE_CODE: &str = "device-code-9tRz7bNv";
const REFRESH_TOKEN: &str = "refresh-token-1hJp5dLs";
const PASSWORD: &str = "password-8gYf3xQe";
const REGISTRATION_TOKEN: &str = "registration-token-6vBn0aTu";
const METADATA: &str = r#"{"issuer":"https://iam.example/",
"token_endpoint":"https://iam.example/token","jwks_uri":"https://iam.example/jwk",
"device_authorization_endpoint":"https://iam.example/devicecode",
"registration_endpoint":"https://iam.example/register","userinfo_endpoint":"https://iam.example/userinfo",
"revocation_endpoint":"https://iam.example/revoke","introspection_endpoint":"https://iam.example/introspect",
"scim_endpoint":"https://iam.example/scim"}"#;

/// The replies of an issuer that is not there.
pub(super) struct Script {
    replies: Mutex<VecDeque<Reply>>,
    /// Whether its metadata is good whatever the script has.
    is_known: bool,
}

impl Script {
    fn read(bytes: &[u8], is_known: bool) -> Self {
        let mut replies = VecDeque::new();
        let mut rest = Some(bytes);
        while let Some(left) = rest.filter(|_| replies.len() < 16) {
            let end = left.windows(4).position(|four| four == b"\n%%\n");
            replies.push_back(reply(&left[..end.unwrap_or(left.len())]));
            rest = end.map(|end| &left[end + 4..]);
        }
        Self { replies: Mutex::new(replies), is_known }
    }

    /// The next one.
    pub(super) fn next(
        &self,
        profile: &IssuerProfile,
        ask: &Ask<'_>,
    ) -> Result<Reply, IssuerError> {
        assert_eq!(ask.url.scheme(), "https", "{} was asked for {}", ask.url, profile.url);
        if self.is_known && ask.url.path().contains("/.well-known/") {
            return Ok(reply(METADATA.as_bytes()));
        }
        let next = self.replies.lock().unwrap_or_else(PoisonError::into_inner).pop_front();
        next.ok_or_else(|| IssuerError::Unreachable {
            text: "no answer".to_owned(),
            retry_after: None,
            maybe_processed: true,
            reply_lost: true,
            too_slow: false,
            cause: Default::default(),
        })
    }
}

/// A status, perhaps a `Retry-After`, and a body; 200 where the first line is no status.
fn reply(bytes: &[u8]) -> Reply {
    let end = bytes.iter().position(|byte| *byte == b'\n').unwrap_or(bytes.len());
    let head = std::str::from_utf8(&bytes[..end]).unwrap_or_default();
    let (status, more) = head.split_once(' ').unwrap_or((head, ""));
    let status = status.parse().ok().filter(|status| (100..1000).contains(status));
    let body = if status.is_some() { bytes.get(end + 1..).unwrap_or_default() } else { bytes };
    Reply {
        status: status.unwrap_or(200),
        retry_after: parse_retry_after(more, NOW),
        date: None,
        certificate: None,
        body: Zeroizing::new(body.to_vec()),
    }
}

/// Stands still.
struct Still;

#[async_trait]
impl Clock for Still {
    fn wall(&self) -> UnixTime {
        NOW
    }

    fn monotonic(&self) -> Instant {
        SystemClock.monotonic()
    }

    async fn sleep(&self, _: std::time::Duration) {}
}

fn issuer(bytes: &[u8], is_known: bool) -> IssuerClient {
    let (clock, limits): (Arc<dyn Clock>, _) = (Arc::new(Still), Limits::default());
    let mut http = Http::new(limits, Arc::clone(&clock), Arc::new(SystemLookup));
    http.script = Some(Script::read(bytes, is_known));
    IssuerClient { clock, limits, http, peers: Mutex::default() }
}

/// Nothing here waits: the answers are at hand.
fn at_once<T>(future: impl Future<Output = T>) -> Option<T> {
    let done = future.now_or_never();
    assert!(done.is_some(), "something waits");
    done
}

fn profile(listed: bool) -> Option<IssuerProfile> {
    Some(IssuerProfile {
        name: "iam".into(),
        title: "Test IAM".into(),
        url: "https://iam.example/".parse().ok()?,
        listed,
        dialect: None,
        scopes: scopes(),
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
    })
}

fn scopes() -> ScopeSet {
    ScopeSet::parse(["openid offline_access storage.read:/"]).unwrap_or_default()
}

fn client() -> ClientRecord {
    ClientRecord {
        owner: ClientOwner::Site,
        issuer: "https://iam.example/".into(),
        user: None,
        generation: 0,
        client_id: "client$1".into(),
        client_name: None,
        client_secret: Some(secret(CLIENT_SECRET)),
        client_secret_expires_at: None,
        auth: ClientAuth::ClientSecretBasic,
        registration_access_token: Some(secret(REGISTRATION_TOKEN)),
        registration_client_uri: Some("https://iam.example/register/1".into()),
        scopes: scopes(),
        grant_types: vec![],
        registered_at: NOW,
    }
}

fn secret(text: &str) -> SecretString {
    text.to_owned().into()
}

/// What people read: no control character, nothing that turns or hides letters, none of our
/// secrets, an end.
fn check_text(text: &str, sent: &[&str]) {
    let steers = |c: char| {
        c.is_control()
            || matches!(c, '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{feff}')
    };
    assert!(!text.chars().any(steers), "{text:?}");
    assert!(text.chars().count() < 2000, "{} characters", text.chars().count());
    for secret in sent {
        assert!(!text.contains(*secret), "{text:?}");
    }
}

fn check_error(error: &IssuerError, sent: &[&str]) {
    check_text(&error.to_string(), sent);
    if let IssuerError::Refused { code, .. } = error {
        check_text(code, sent);
        assert!(code.len() <= 64, "{code}");
    }
}

fn check_tokens(tokens: &Tokens) {
    let fits =
        |token: &SecretString| token.expose_secret().bytes().all(|b| matches!(b, b' '..=b'~'));
    assert!(fits(&tokens.access_token) && tokens.refresh_token.as_ref().is_none_or(fits));
    assert!(!tokens.access_token.expose_secret().contains(' '));
    if let Some(identity) = &tokens.identity {
        check_text(identity.name.as_deref().unwrap_or_default(), &[]);
    }
}

fn check<T>(sent: &[&str], result: Option<Result<T, IssuerError>>) -> Option<T> {
    match result? {
        Ok(value) => Some(value),
        Err(error) => {
            check_error(&error, sent);
            None
        }
    }
}

/// Metadata (OpenID Connect Discovery, RFC 8414), of a listed issuer and of one that is not.
pub fn discovery(bytes: &[u8]) {
    for listed in [true, false] {
        let Some(profile) = profile(listed) else { return };
        let client = issuer(bytes, false);
        if let Some(metadata) = check(&[], at_once(client.metadata(&profile))) {
            let usable = |endpoint: &Endpoint| match endpoint {
                Some(Ok(url)) => assert!(super::address::check_url(&profile, url).is_ok(), "{url}"),
                Some(Err(error)) => check_error(error, &[]),
                None => {}
            };
            let its = [&metadata.token, &metadata.device_authorization, &metadata.registration];
            its.into_iter().chain([&metadata.jwks, &metadata.userinfo]).for_each(usable);
            check_text(&metadata.summary(), &[]);
        }
        check(&[], at_once(issuer(bytes, false).scopes_offered(&profile)));
        if let Some(checkup) = check(&[], at_once(issuer(bytes, false).probe(&profile))) {
            check_text(&checkup.summary, &[]);
        }
    }
}

/// The device authorization endpoint (RFC 8628 §3.2).
pub fn device(bytes: &[u8]) {
    let (Some(profile), none) = (profile(true), AudienceSet::default()) else { return };
    let asked = issuer(bytes, true);
    let code = at_once(asked.authorize_device(&profile, &client(), 1001, &scopes(), &none));
    let Some(code) = check(&[CLIENT_SECRET], code) else { return };
    for shown in [
        Some(&code.user_code),
        Some(&code.verification_uri),
        code.verification_uri_complete.as_ref(),
    ] {
        let shown = shown.map(String::as_str).unwrap_or_default();
        assert!(shown.bytes().all(|byte| matches!(byte, b' '..=b'~')), "{shown:?}");
    }
    assert!(
        code.verification_uri.to_ascii_lowercase().starts_with("https:"),
        "{}",
        code.verification_uri
    );
    assert!(!code.interval.is_zero() && !code.expires_in.is_zero());
}

/// The token endpoint: a poll, a refresh, a refresh token that is handed in, a password.
pub fn token(bytes: &[u8]) {
    let (Some(profile), none) = (profile(true), AudienceSet::default()) else { return };
    let poll =
        at_once(issuer(bytes, true).poll_device(&profile, &client(), &secret(DEVICE_CODE), &none));
    match poll {
        Some(PollAnswer::Tokens(tokens)) => check_tokens(&tokens),
        Some(PollAnswer::Transient { error } | PollAnswer::Failed(error)) => {
            check_error(&error, &[CLIENT_SECRET, DEVICE_CODE])
        }
        _ => {}
    }
    let wanted = Wanted { scopes: Some(scopes()), audiences: none.clone() };
    for handed in [false, true] {
        let (issuer, client, token) = (issuer(bytes, true), client(), secret(REFRESH_TOKEN));
        let answer = match handed {
            false => at_once(issuer.refresh(&profile, &client, 1001, &token, &wanted)),
            true => at_once(issuer.refresh_handed(&profile, &client, &token, &wanted)),
        };
        match answer {
            Some(Ok(tokens)) => check_tokens(&tokens),
            Some(Err(failure)) => {
                check_text(&failure.error.to_string(), &[CLIENT_SECRET, REFRESH_TOKEN])
            }
            None => {}
        }
    }
    let (scopes, audiences) = (&scopes(), &none);
    let sign_in =
        PasswordSignIn { user_name: "alice", password: secret(PASSWORD), scopes, audiences };
    match at_once(issuer(bytes, true).sign_in_with_password(&profile, &client(), sign_in)) {
        Some(Ok(tokens)) => check_tokens(&tokens),
        Some(Err(error)) => check_text(&error.to_string(), &[CLIENT_SECRET, PASSWORD]),
        None => {}
    }
}

/// A registration (RFC 7591), read, changed and deleted (RFC 7592).
pub fn registration(bytes: &[u8]) {
    let Some(profile) = profile(true) else { return };
    // Sent, as each of the others is: an answer may repeat it.
    let initial = secret(REGISTRATION_TOKEN);
    if let Some(made) = check(
        &[REGISTRATION_TOKEN],
        at_once(issuer(bytes, true).register(&profile, ClientOwner::Site, Some(&initial))),
    ) {
        check_text(made.client.client_name.as_deref().unwrap_or_default(), &[REGISTRATION_TOKEN]);
        assert!(made.client.client_id.bytes().all(|byte| matches!(byte, b' '..=b'~')));
    }
    let asked = issuer(bytes, true);
    if let Some(read) =
        check(&[REGISTRATION_TOKEN], at_once(asked.read_client(&profile, &client())))
    {
        let name = read.client.client_name.as_deref().unwrap_or_default();
        check_text(name, &[REGISTRATION_TOKEN, CLIENT_SECRET]);
        if let Some(registered) = check(&[REGISTRATION_TOKEN], Some(read.answer)) {
            let change = ClientChange::default();
            let changed =
                at_once(asked.update_client(&profile, &read.client, &registered, &change));
            let answer = changed.map(|changed| changed.and_then(|managed| managed.answer));
            check(&[REGISTRATION_TOKEN], answer);
        }
    }
    check(&[REGISTRATION_TOKEN], at_once(issuer(bytes, true).deregister(&profile, &client())));
}

/// Who signed in: an ID token, the key set, userinfo, with and without a rule of the site's.
pub fn identity(bytes: &[u8]) {
    let (Some(plain), none) = (profile(true), AudienceSet::default()) else { return };
    let claim = "preferred_username".to_owned();
    let rule = IdentityRule { claim, expect: Expect::Equal("{user}".into()), scopes: scopes() };
    let ruled = IssuerProfile { identity: Some(rule), ..plain.clone() };
    for profile in [plain, ruled] {
        match at_once(issuer(bytes, true).poll_device(
            &profile,
            &client(),
            &secret(DEVICE_CODE),
            &none,
        )) {
            Some(PollAnswer::Tokens(tokens)) => {
                check_tokens(&tokens);
                // Where the site requires a claim, the issuer vouches for who is named; and where
                // nobody is, the rule lets nobody in.
                if let Some(rule) = &profile.identity {
                    let told = tokens.identity.as_ref();
                    let owner = Owner { uid: 1001, user: "alice".into() };
                    let nobody = || rule.judge(&owner, None, None).is_err();
                    assert!(told.map_or_else(nobody, |told| told.verified));
                }
            }
            Some(PollAnswer::Transient { error } | PollAnswer::Failed(error)) => {
                check_error(&error, &[CLIENT_SECRET, DEVICE_CODE])
            }
            _ => {}
        }
    }
}

/// Introspection (RFC 7662) and revocation (RFC 7009).
pub fn introspection(bytes: &[u8]) {
    let Some(profile) = profile(true) else { return };
    check(
        &[CLIENT_SECRET, REFRESH_TOKEN],
        at_once(issuer(bytes, true).is_alive(&profile, &client(), &secret(REFRESH_TOKEN))),
    );
    check(
        &[CLIENT_SECRET, REFRESH_TOKEN],
        at_once(issuer(bytes, true).revoke(&profile, &client(), &secret(REFRESH_TOKEN))),
    );
}

/// INDIGO IAM's own client interface, as an administrator of it uses it.
pub fn iam_client(bytes: &[u8]) {
    let Some(profile) = profile(true) else { return };
    for allowed in [true, false] {
        let asked = issuer(bytes, true);
        let token = secret(REGISTRATION_TOKEN);
        let change = at_once(asked.change_password_grant(&profile, &token, "client$1", allowed));
        let told = |failure| match failure {
            GrantFailure::Issuer(error) => error,
            GrantFailure::PutBack(text) | GrantFailure::NotPutBack(text) => {
                IssuerError::Malformed { text }
            }
        };
        check(&[REGISTRATION_TOKEN], change.map(|change| change.map_err(told)));
    }
}
