//! The traits by which the rooms reach each other. A room names the trait it needs; `startup`
//! hands in the implementation; a test hands in its own.

mod clients;
mod files;
mod password;
mod refresh;
pub mod upkeep;
mod vault;

use std::time::Duration;

use async_trait::async_trait;
use secrecy::SecretString;
use url::Url;

pub use self::{clients::*, files::*, password::*, refresh::*, vault::*};

use super::{AudienceSet, ClientOwner, ClientRecord, IssuerProfile, Proof, ScopeSet, UnixTime};

// ---------------------------------------------------------------- issuers

pub use super::{cause::Cause, checkup::Checkup};

/// What a token endpoint gave (RFC 6749 §5.1).
#[derive(Debug, Clone)]
pub struct Tokens {
    /// `access_token`.
    pub access_token: SecretString,
    /// When they were asked for, by our clock, before the request was sent: a token lives from then
    /// at the earliest, and an issuer may take 20 s to answer (requirement 66).
    pub asked_at: UnixTime,
    /// How long the token is good from then on: `expires_in` or what the token itself says,
    /// whichever is less; 300 s where neither tells (requirement 27).
    pub expires_in: Duration,
    /// `refresh_token`, where a new one came.
    pub refresh_token: Option<SecretString>,
    /// When that refresh token expires, where it tells (INDIGO IAM's do).
    pub refresh_expires_at: Option<UnixTime>,
    /// `scope`, where it was there; absent means as asked (RFC 6749 §5.1).
    pub scopes: Option<ScopeSet>,
    /// Who signed in, from an ID token that was checked, or from the userinfo endpoint.
    pub identity: Option<Identity>,
    /// `id_token` of a refresh, for the user whose it is; what it says is not taken from here.
    pub id_token: Option<SecretString>,
}

/// Who signed in, as the ID token says.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Identity {
    /// `sub`.
    pub sub: String,
    /// Whether the issuer's keys vouch for it. Where not, somebody may be told from another by
    /// `sub`, and nothing is bound to it or taken from it.
    pub verified: bool,
    /// `preferred_username`, else `name`, without control characters.
    pub name: Option<String>,
    /// The claim that the site required when it was asked, with its values: none when the issuer
    /// does not say it; `None` when nothing was required or it could not be asked.
    pub proof: Option<Proof>,
}

/// What the device authorization endpoint gave (RFC 8628 §3.2), checked: printable ASCII only.
#[derive(Debug, Clone)]
pub struct DeviceAuthorization {
    /// `device_code`.
    pub device_code: SecretString,
    /// `user_code`.
    pub user_code: String,
    /// `verification_uri`, in full.
    pub verification_uri: String,
    /// `verification_uri_complete`.
    pub verification_uri_complete: Option<String>,
    /// `expires_in`; 600 s where it was absent.
    pub expires_in: Duration,
    /// `interval`; 5 s where it was absent.
    pub interval: Duration,
}

/// Why an issuer gave nothing. Each text is for people: bounded, printable, without secrets.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum IssuerError {
    /// Connection, time-out, 5xx, 429, or an answer that is not the protocol's: may pass.
    #[error("{text}")]
    Unreachable {
        /// What happened.
        text: String,
        /// `Retry-After`, where it was given.
        retry_after: Option<Duration>,
        /// The request may have reached the issuer and been acted on.
        maybe_processed: bool,
        /// The connection broke before the whole answer was there: whatever the issuer did is done.
        reply_lost: bool,
        /// The answer took longer than the site allows (`limits.reply_time`).
        too_slow: bool,
        /// Why, for advice.
        cause: Cause,
    },
    /// Not asked: this issuer failed too often just now.
    #[error("{issuer} is not answering; next try in {} s", retry_in.as_secs())]
    CircuitOpen {
        /// The issuer's title.
        issuer: String,
        /// When it will be asked again.
        retry_in: Duration,
        /// What it failed with the last time, for advice.
        last: Option<Box<IssuerError>>,
    },
    /// Not asked: as many requests as the site allows are under way to this issuer
    /// (`limits.issuer_requests`), and as many wait.
    #[error("{text}")]
    Busy {
        /// Which issuer, and the limit.
        text: String,
    },
    /// The site did not list this issuer and its address is not public.
    #[error("{text}")]
    AddressNotPublic {
        /// Which host, and why.
        text: String,
    },
    /// An OAuth error reply.
    #[error("{text}")]
    Refused {
        /// The error code, as sent (bounded, printable).
        code: String,
        /// What it means.
        text: String,
    },
    /// The user has to do something at the issuer first, such as sign its acceptable use policy.
    #[error("{text}")]
    ActionNeeded {
        /// What it said.
        text: String,
    },
    /// The issuer rejected our client (`invalid_client`, unknown, suspended).
    #[error("{text}")]
    ClientRejected {
        /// What it said.
        text: String,
    },
    /// The answer breaks the protocol in a way that will not pass, or names a place that is not
    /// asked: one that is not https, for instance.
    #[error("{text}")]
    Malformed {
        /// How.
        text: String,
    },
    /// There is no metadata of this issuer where it was looked for, and that will not pass.
    #[error("{text}")]
    NoMetadata {
        /// Where, and what was there.
        text: String,
        /// Why, for advice.
        cause: Cause,
    },
    /// The answer is longer than the site allows (`limits.reply_bytes`).
    #[error("{text}")]
    TooLong {
        /// Whose, and what is allowed.
        text: String,
    },
    /// The issuer does not offer what is needed, such as a device endpoint.
    #[error("{text}")]
    Unsupported {
        /// What is missing, and how a site can supply it.
        text: String,
    },
    /// Something of this node's own: a secret file that cannot be read, for example.
    #[error("{text}")]
    Local {
        /// What, with the path.
        text: String,
    },
}

impl IssuerError {
    /// Whether it may be another answer a little later.
    pub fn may_pass(&self) -> bool {
        matches!(self, Self::Unreachable { .. } | Self::CircuitOpen { .. } | Self::Busy { .. })
    }

    /// Why there was no answer, or none of use, where that tells what to do.
    pub const fn why(&self) -> Option<Cause> {
        match self {
            Self::Unreachable { cause, .. } | Self::NoMetadata { cause, .. } => Some(*cause),
            _ => None,
        }
    }
}

/// The answer to one poll of the token endpoint with a device code (RFC 8628 §3.5).
#[derive(Debug, Clone)]
pub enum PollAnswer {
    /// Approved. To be persisted before anything else: a second redeem kills the family.
    Tokens(Box<Tokens>),
    /// Not yet.
    Pending,
    /// Not yet, and slower please.
    SlowDown,
    /// `access_denied`.
    Denied,
    /// `expired_token`, or the code is not known any more.
    Expired,
    /// A passing failure; `maybe_processed` when the reply may have been lost on the way.
    Transient {
        /// What happened.
        error: IssuerError,
    },
    /// A final failure.
    Failed(IssuerError),
}

/// What a refresh should give.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub struct Wanted {
    /// Only these scopes; `None`: all that the refresh token has (the parameter is left out).
    pub scopes: Option<ScopeSet>,
    /// For these audiences; empty: the issuer's default.
    pub audiences: AudienceSet,
}

/// How an issuer is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Health {
    /// Not asked since the start.
    Unknown,
    /// The last request was answered.
    Answering,
    /// The last request failed, but it may be asked again.
    Failing,
    /// The circuit is open: it is not asked for this long.
    Open(Duration),
}

/// Endpoints of an issuer that a user may want to know of.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Places {
    /// The metadata document (OpenID Connect Discovery, RFC 8414).
    pub configuration: Option<Url>,
    /// The device authorization endpoint (RFC 8628 §3.1).
    pub device_authorization: Option<Url>,
}

/// The issuers, as the other rooms need them.
#[async_trait]
pub trait Issuers: PasswordGrants + Send + Sync + 'static {
    /// Registers a client (RFC 7591) for `owner`, with the initial access token at hand instead of
    /// the one of the site's file.
    async fn register(
        &self,
        issuer: &IssuerProfile,
        owner: ClientOwner,
        initial_access_token: Option<&SecretString>,
    ) -> Result<Registration, IssuerError>;

    /// Reads a registration (RFC 7592 §2.1).
    ///
    /// # Errors
    /// There was no answer. What an answer that is a refusal says is in [`Managed`].
    async fn read_client(
        &self,
        issuer: &IssuerProfile,
        client: &ClientRecord,
    ) -> Result<Managed<ClientMetadata>, IssuerError>;

    /// Changes a registration (RFC 7592 §2.2): sends all of `registered` with `change` in it.
    ///
    /// # Errors
    /// As [`Issuers::read_client`].
    async fn update_client(
        &self,
        issuer: &IssuerProfile,
        client: &ClientRecord,
        registered: &ClientMetadata,
        change: &ClientChange,
    ) -> Result<Managed<LeftOut>, IssuerError>;

    /// Deletes a registration (RFC 7592 §2.3). Gone already is success (requirement 22).
    async fn deregister(
        &self,
        issuer: &IssuerProfile,
        client: &ClientRecord,
    ) -> Result<Deregistered, IssuerError>;

    /// The client that the site configured, its secret read from its file.
    async fn fixed_client(&self, issuer: &IssuerProfile) -> Result<ClientRecord, IssuerError>;

    /// The public client that the issuer's file names.
    fn public_client(&self, issuer: &IssuerProfile) -> Result<ClientRecord, IssuerError>;

    /// The scopes that the issuer says it offers (`scopes_supported`), asked for now.
    async fn scopes_offered(&self, issuer: &IssuerProfile) -> Result<ScopeSet, IssuerError>;

    /// Sees to it that it is known where the issuer is, so that who comes next need not ask.
    ///
    /// # Errors
    /// Its metadata is not known and could not be had.
    async fn fetch_metadata(&self, issuer: &IssuerProfile) -> Result<(), IssuerError>;

    /// Asks for a device code (RFC 8628 §3.1) for this user: who asks too often is told so alone.
    async fn authorize_device(
        &self,
        issuer: &IssuerProfile,
        client: &ClientRecord,
        uid: u32,
        scopes: &ScopeSet,
        audiences: &AudienceSet,
    ) -> Result<DeviceAuthorization, IssuerError>;

    /// Asks once whether the device code was approved (RFC 8628 §3.4). A refresh token that comes
    /// with an answer that fails is revoked: nobody will hold it.
    async fn poll_device(
        &self,
        issuer: &IssuerProfile,
        client: &ClientRecord,
        device_code: &SecretString,
        audiences: &AudienceSet,
    ) -> PollAnswer;

    /// Sees to it that the ID token of the next answer can be checked, if that is possible, within
    /// some seconds.
    async fn fetch_keys(&self, issuer: &IssuerProfile);

    /// Uses a refresh token of this user's once (RFC 6749 §6). Never retries by itself. Who asks too
    /// often is told so alone. Nothing else is asked while the answer is not kept: where the site
    /// requires a claim, [`Issuers::identify`] does that, and no key vouches for the identity here.
    ///
    /// # Errors
    /// [`RefreshFailure`], with the new refresh token where one came without a usable access token.
    async fn refresh(
        &self,
        issuer: &IssuerProfile,
        client: &ClientRecord,
        uid: u32,
        refresh_token: &SecretString,
        wanted: &Wanted,
    ) -> Result<Tokens, RefreshFailure>;

    /// Whose the tokens of a refresh are, where the site requires a claim: by the issuer's keys, and by
    /// its userinfo endpoint where no ID token says it. To be asked when what the refresh brought is
    /// kept. `whole`: they are for all that the account has; of others, a claim that is not said is
    /// not missing.
    ///
    /// # Errors
    /// [`IssuerError::Malformed`]: the ID token is not the issuer's, or what is said contradicts it;
    /// the issuer could not be asked.
    async fn identify(
        &self,
        issuer: &IssuerProfile,
        client: &ClientRecord,
        tokens: &Tokens,
        whole: bool,
    ) -> Result<Option<Identity>, IssuerError>;

    /// The same as [`Issuers::refresh`] with a refresh token that a user brought: what the issuer makes of it says little
    /// of how the issuer is doing.
    ///
    /// # Errors
    /// As [`Issuers::refresh`].
    async fn refresh_handed(
        &self,
        issuer: &IssuerProfile,
        client: &ClientRecord,
        refresh_token: &SecretString,
        wanted: &Wanted,
    ) -> Result<Tokens, RefreshFailure>;

    /// Revokes a refresh token (RFC 7009). Unknown to the issuer is success.
    async fn revoke(
        &self,
        issuer: &IssuerProfile,
        client: &ClientRecord,
        refresh_token: &SecretString,
    ) -> Result<(), IssuerError>;

    /// Revokes an access token, which an issuer may let live on after its refresh token (RFC 7009 §2.1
    /// leaves that open). Unknown to the issuer is success.
    async fn revoke_access(
        &self,
        issuer: &IssuerProfile,
        client: &ClientRecord,
        access_token: &SecretString,
    ) -> Result<(), IssuerError>;

    /// Looks at the issuer, for a diagnosis.
    async fn probe(&self, issuer: &IssuerProfile) -> Result<Checkup, IssuerError>;

    /// Whether a refresh token lives, by introspection (RFC 7662), which does not use it; `None`
    /// where that is not offered to this client.
    async fn is_alive(
        &self,
        issuer: &IssuerProfile,
        client: &ClientRecord,
        refresh_token: &SecretString,
    ) -> Result<Option<bool>, IssuerError>;

    /// Whether the issuer accepts the client, found out with a refresh token that never was one:
    /// nothing of anybody's is used.
    async fn accepts(
        &self,
        issuer: &IssuerProfile,
        client: &ClientRecord,
    ) -> Result<bool, IssuerError>;

    /// Where the issuer is, as far as it is known without asking it.
    fn places(&self, issuer: &IssuerProfile) -> Places;

    /// Whether nobody should wait for the issuer, without asking it: it failed so often that it is
    /// not asked for a while, or that while is over and nobody has had an answer since. Who asks it
    /// then is the one to find out whether it is back.
    fn is_left_alone(&self, issuer: &IssuerProfile) -> bool;

    /// The same for who would ask it for a device code for this user: it may be left alone by them
    /// only.
    fn gives_no_codes_to(&self, issuer: &IssuerProfile, uid: u32) -> bool;

    /// The same for who would have a token of this user's renewed.
    fn renews_nothing_for(&self, issuer: &IssuerProfile, uid: u32) -> bool;

    /// How the issuer is doing, without asking it.
    fn health(&self, issuer: &IssuerProfile) -> Health;
}
