//! Access tokens: from the cache, or by one refresh that everybody who waits shares.
//!
//! A request costs the issuer nothing while a token that is valid long enough is in memory or,
//! fetched by somebody else, in the store. Never two refreshes of one account at a time, never a
//! wait for one account because of another, and a refresh that has begun runs to its end even
//! when everybody who asked has gone.

mod cache;
mod held;
mod person;
mod refresh;
pub mod renewal;
mod unsettled;

#[cfg(test)]
mod tests;

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError, Weak},
    time::Duration,
};

use futures_util::{FutureExt, future::BoxFuture, future::Shared};

pub use cache::{TokenCache, Validity};
pub use refresh::{Refreshed, Refresher};

use crate::{
    account::{
        AccessToken, AccountKey, AudienceSet, IssuerProfile, Record, ScopeSet,
        ports::{IssuerError, RefreshError, Stored, VaultError, Wanted},
    },
    clock::Clock,
};

/// How many refreshes one request waits for: the one it found under way, and after it those that
/// others began, each of which may end with what the store had.
const MOST_FLIGHTS: u32 = 4;

/// Why there is no token.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TokenError {
    /// There is no such account.
    #[error("there is no account \u{201c}{}\u{201d}", .0.name)]
    NoSuchAccount(AccountKey),
    /// The account has no usable sign-in.
    #[error("{account}: {reason}")]
    LoginRequired {
        /// Its name.
        account: String,
        /// Why.
        reason: String,
    },
    /// The account's passphrase has to be given first.
    #[error("the account {account} is locked")]
    Locked {
        /// Its name.
        account: String,
    },
    /// The client that the refresh token belongs to is not there any more.
    #[error("the client that this sign-in belongs to is not registered any more")]
    ClientGone,
    /// The issuer named another person than the account belongs to, or than the site requires.
    #[error("{text}")]
    IdentityMismatch {
        /// What is required, and nothing of the other person.
        text: String,
    },
    /// The token that was got is not valid for as long as was asked.
    #[error("the issuer gives tokens that are valid for {} s; {} s were asked for", .got.as_secs(), .asked.as_secs())]
    Validity {
        /// How long it is valid.
        got: Duration,
        /// How long it should be.
        asked: Duration,
    },
    /// The account was signed out or signed in anew while the issuer was asked.
    #[error("the account was changed meanwhile; try again")]
    Superseded,
    /// The lock was lost, twice, before the issuer was asked.
    #[error(
        "the store lost this node's lock on the account, so the issuer was not asked; try again"
    )]
    LockLost,
    /// The issuer gave none.
    #[error(transparent)]
    Refresh(#[from] RefreshError),
    /// The store did not answer.
    #[error(transparent)]
    Vault(#[from] VaultError),
}

impl From<IssuerError> for TokenError {
    fn from(error: IssuerError) -> Self {
        Self::Refresh(RefreshError::Issuer(error))
    }
}

impl TokenError {
    fn login_required(record: &Record) -> Self {
        let reason = record.state.reason().unwrap_or("never signed in").to_owned();
        Self::LoginRequired { account: record.name.to_string(), reason }
    }

    /// Whether trying again later may help, and what the issuer said of when.
    pub fn passing(&self) -> Option<Option<Duration>> {
        match self {
            Self::Refresh(RefreshError::Issuer(IssuerError::Unreachable {
                retry_after, ..
            })) => Some(*retry_after),
            Self::Refresh(RefreshError::Issuer(IssuerError::CircuitOpen { retry_in, .. })) => {
                Some(Some(*retry_in))
            }
            Self::Refresh(RefreshError::Issuer(IssuerError::Busy { .. }))
            | Self::Vault(VaultError::Unavailable { .. } | VaultError::Conflict)
            | Self::Superseded
            | Self::LockLost => Some(None),
            _ => None,
        }
    }
}

/// Is told of every token for the account's own scopes and audiences before those who wait for
/// it get it: it writes the token file.
pub trait Publisher: Send + Sync + 'static {
    /// There is a new token.
    fn publish(&self, record: &Record, token: &AccessToken);

    /// The issuer was asked, once, and gave a token.
    fn refreshed(&self, _wanted: &Wanted, _refreshed: &Refreshed) {}

    /// There is no token.
    fn failed(&self, _asked: &Asked, _profile: &IssuerProfile, _error: &TokenError) {}
}

/// What an issuer was asked for, as far as it came.
#[derive(Debug, Clone)]
pub struct Asked {
    /// Of which account.
    pub key: AccountKey,
    /// With which client.
    pub client_id: Option<String>,
    /// For which scopes.
    pub scopes: ScopeSet,
    /// For which audiences.
    pub audiences: AudienceSet,
}

impl Asked {
    fn of(key: &AccountKey, wanted: &Wanted) -> Self {
        let scopes = wanted.scopes.clone().unwrap_or_default();
        let audiences = wanted.audiences.clone();
        Self { key: key.clone(), client_id: None, scopes, audiences }
    }

    fn with(&mut self, record: &Record) {
        self.client_id.clone_from(&record.client_id);
        if self.scopes.is_empty() {
            self.scopes = record.scopes.clone();
        }
    }
}

/// What is asked for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Ask {
    /// Scopes and audiences.
    pub wanted: Wanted,
    /// How long it has to be valid.
    pub validity: Validity,
    /// Even when a cached token would do.
    pub force_new: bool,
    /// Where the issuer gives none that is valid for so long.
    pub short: Short,
}

/// What becomes of a new token that is not valid for as long as was asked.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Short {
    /// An error: never less than was asked, and nobody told (requirement 66).
    #[default]
    Refused,
    /// It is given: what oidc-agent's clients expect, which read when it ends.
    Given,
}

type Flight = Shared<BoxFuture<'static, Result<Arc<Refreshed>, TokenError>>>;
type Flights = Mutex<HashMap<(AccountKey, Wanted), Flight>>;

/// Takes a flight off the board when it ends, however it ends.
struct Landing {
    flights: Arc<Flights>,
    slot: (AccountKey, Wanted),
}

impl Drop for Landing {
    fn drop(&mut self) {
        self.flights.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.slot);
    }
}

/// Gives access tokens.
pub struct Broker {
    cache: TokenCache,
    flights: Arc<Flights>,
    refresher: Arc<Refresher>,
    publisher: Mutex<Option<Weak<dyn Publisher>>>,
    clock: Arc<dyn Clock>,
}

/// A token and whether the issuer was asked for it on this request's behalf.
#[derive(Debug, Clone)]
pub struct Given {
    /// The token.
    pub token: AccessToken,
    /// Whether it came from the issuer just now.
    pub fresh_from_issuer: bool,
}

impl Broker {
    /// A broker; nobody is told of new tokens until [`Broker::publish_to`].
    pub fn new(refresher: Refresher, clock: Arc<dyn Clock>) -> Arc<Self> {
        Arc::new(Self {
            cache: TokenCache::default(),
            flights: Arc::default(),
            refresher: Arc::new(refresher),
            publisher: Mutex::default(),
            clock,
        })
    }

    /// Who is told of new tokens.
    pub fn publish_to(&self, publisher: Weak<dyn Publisher>) {
        *self.publisher.lock().unwrap_or_else(PoisonError::into_inner) = Some(publisher);
    }

    /// The cached token for this wish if it is valid long enough; never asks anybody.
    pub fn cached(&self, key: &AccountKey, ask: &Ask) -> Option<AccessToken> {
        self.cache.fresh(key, &ask.wanted, self.clock.wall(), ask.validity)
    }

    /// Whether [`token`](Broker::token) would have to ask an issuer: there is none in the cache that
    /// will do, and nobody is asking already.
    pub fn has_to_ask(&self, key: &AccountKey, ask: &Ask) -> bool {
        if !ask.force_new && self.cached(key, ask).is_some() {
            return false;
        }
        let flights = self.flights.lock().unwrap_or_else(PoisonError::into_inner);
        !flights.contains_key(&(key.clone(), ask.wanted.clone()))
    }

    /// Takes a token into the cache that a sign-in brought or the store had, unless there is a
    /// newer one.
    pub fn adopt(&self, key: &AccountKey, wanted: &Wanted, token: &AccessToken) {
        let any = Validity::default();
        let cached = self.cache.fresh(key, wanted, self.clock.wall(), any);
        if cached.is_none_or(|cached| cached.issued_at <= token.issued_at) {
            self.cache.put(key, wanted, token.clone());
        }
    }

    /// Forgets all tokens of an account.
    pub fn forget(&self, key: &AccountKey) {
        self.cache.forget(key);
    }

    /// Forgets all tokens but those of the accounts that `stays` names.
    pub fn forget_all_but(&self, stays: impl Fn(&AccountKey) -> bool) {
        self.cache.forget_all_but(stays);
    }

    /// Forgets all of an account that was given up or signed in anew, also what the store did not
    /// take of it. To be called with the account's lock.
    pub fn give_up(&self, key: &AccountKey) {
        self.cache.forget(key);
        self.refresher.forget(key);
    }

    /// Keeps an account whose refresh token the store did not take; it held `old` when it was to.
    pub fn keep_aside(&self, newest: Record, old: Record) {
        self.refresher.keep_aside(newest, old);
    }

    /// The account with the newest refresh token there is, whether the store takes that or not.
    /// To be called with the account's lock.
    ///
    /// # Errors
    /// The store cannot be read.
    pub async fn newest(&self, key: &AccountKey) -> Result<Option<Stored<Record>>, VaultError> {
        self.refresher.newest(key).await
    }

    /// Brings into the store what it did not take before. To be called with the account's lock.
    ///
    /// # Errors
    /// The store still does not take it.
    pub async fn settle(&self, key: &AccountKey) -> Result<(), TokenError> {
        self.refresher.settle(key).await
    }

    /// Waits until no refresh is under way.
    pub async fn landed(&self) {
        loop {
            let flight = {
                let flights = self.flights.lock().unwrap_or_else(PoisonError::into_inner);
                flights.values().next().cloned()
            };
            let Some(flight) = flight else { return };
            let _ = flight.await;
        }
    }

    /// A token that is valid for at least what was asked, or a new one where [`Short::Given`].
    ///
    /// # Errors
    /// [`TokenError`]; never a token with less, otherwise.
    pub async fn token(
        self: &Arc<Self>,
        key: &AccountKey,
        profile: &IssuerProfile,
        ask: &Ask,
    ) -> Result<Given, TokenError> {
        if !ask.force_new
            && let Some(token) = self.cached(key, ask)
        {
            return Ok(Given { token, fresh_from_issuer: false });
        }
        let refreshed = self.refreshed(key, profile, ask).await?;
        if let Validity::AtLeast(asked) = ask.validity
            && ask.short == Short::Refused
        {
            let got = refreshed.token.expires_at.after(self.clock.wall());
            if got < asked {
                return Err(TokenError::Validity { got, asked });
            }
        }
        Ok(Given { token: refreshed.token.clone(), fresh_from_issuer: refreshed.asked })
    }

    /// What a new refresh for this wish brings, whatever is cached.
    ///
    /// # Errors
    /// [`TokenError`].
    pub async fn renewed(
        self: &Arc<Self>,
        key: &AccountKey,
        profile: &IssuerProfile,
        wanted: Wanted,
    ) -> Result<Arc<Refreshed>, TokenError> {
        let ask = Ask { wanted, force_new: true, ..Ask::default() };
        self.refreshed(key, profile, &ask).await
    }

    /// What a refresh brings. One that was under way before this request began may bring less
    /// than is asked here, or a token from before `force_new`: then there is another.
    async fn refreshed(
        self: &Arc<Self>,
        key: &AccountKey,
        profile: &IssuerProfile,
        ask: &Ask,
    ) -> Result<Arc<Refreshed>, TokenError> {
        let mut round = 1;
        loop {
            let (flight, joined) = self.flight(key, profile, ask);
            let refreshed = flight.await?;
            // The newest there is: asked for by this request, or by another since it began.
            let newest = !joined || (round > 1 && refreshed.asked);
            let fits = !ask.force_new && ask.validity.suffices(&refreshed.token, self.clock.wall());
            if newest || fits || round == MOST_FLIGHTS {
                return Ok(refreshed);
            }
            round += 1;
        }
    }

    /// The refresh for this wish that is under way, or a new one; and whether it was under way.
    fn flight(
        self: &Arc<Self>,
        key: &AccountKey,
        profile: &IssuerProfile,
        ask: &Ask,
    ) -> (Flight, bool) {
        let slot = (key.clone(), ask.wanted.clone());
        let mut flights = self.flights.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(flight) = flights.get(&slot) {
            return (flight.clone(), true);
        }
        let broker = Arc::clone(self);
        let (key, profile, ask) = (key.clone(), profile.clone(), ask.clone());
        // A task of its own: the refresh ends in order even when all who wait are gone.
        let task = tokio::spawn(async move {
            let fresh_for = (!ask.force_new).then_some(ask.validity);
            let slot = (key.clone(), ask.wanted.clone());
            let _landing = Landing { flights: Arc::clone(&broker.flights), slot };
            let took = |refreshed: &Refreshed| broker.took(&key, &ask.wanted, refreshed);
            let mut asked = Asked::of(&key, &ask.wanted);
            let wanted = &ask.wanted;
            let refreshed =
                broker.refresher.refresh(&mut asked, &profile, wanted, fresh_for, &took).await;
            if let Err(error) = &refreshed {
                broker.failed(&asked, &profile, error);
            }
            refreshed.map(Arc::new)
        });
        let flight = async move {
            task.await.unwrap_or_else(|error| {
                let text = format!("the refresh ended early: {error}");
                Err(TokenError::Vault(VaultError::Unavailable { text }))
            })
        }
        .boxed()
        .shared();
        flights.insert(slot, flight.clone());
        (flight, false)
    }

    fn took(&self, key: &AccountKey, wanted: &Wanted, refreshed: &Refreshed) {
        self.cache.put(key, wanted, refreshed.token.clone());
        let Some(publisher) = self.publisher() else { return };
        if refreshed.asked {
            publisher.refreshed(wanted, refreshed);
        }
        let is_base = wanted.scopes.is_none() && wanted.audiences == refreshed.record.audiences;
        if is_base {
            publisher.publish(&refreshed.record, &refreshed.token);
        }
    }

    fn failed(&self, asked: &Asked, profile: &IssuerProfile, error: &TokenError) {
        if matches!(error, TokenError::IdentityMismatch { .. }) {
            // They are somebody else's.
            self.cache.forget(&asked.key);
        }
        if let Some(publisher) = self.publisher() {
            publisher.failed(asked, profile, error);
        }
    }

    fn publisher(&self) -> Option<Arc<dyn Publisher>> {
        let publisher = self.publisher.lock().unwrap_or_else(PoisonError::into_inner);
        publisher.as_ref()?.upgrade()
    }
}
