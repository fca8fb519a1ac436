//! Issuers: their metadata, our registrations there, the grants, revocation, and how they depart
//! from the RFCs. What an issuer says is untrusted input: bounded, parsed into types, and cleaned
//! before anybody reads it.
//!
//! ```text
//! registration configuration client device token revoke identity userinfo password iam_clients
//!                                               what is asked and answered
//!       discovery, metadata, form, jwt, keys            where, and in which words
//!         error, classify, redact                 what a refusal means, and its text
//!               limits, lane, slots, peers        how much, and whether at all
//!        http, address, resolver, trust           the one way out
//! ```

mod address;
mod cause;
mod checkup;
mod classify;
mod client;
mod configuration;
mod device;
mod discovery;
mod error;
mod form;
#[cfg(any(test, feature = "fuzzing"))]
pub mod fuzzing;
mod http;
mod iam_clients;
mod identity;
mod jwt;
mod keys;
mod lane;
mod limits;
mod metadata;
mod password;
mod peers;
mod redact;
mod registration;
mod reply;
mod resolver;
mod revoke;
mod secret_file;
mod slots;
mod token;
mod trust;
mod userinfo;

#[cfg(test)]
mod tests;

use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use secrecy::SecretString;

use self::{
    error::ErrorReply,
    http::{Ask, Http, Reply},
    identity::Moment,
    lane::{Lane, Purpose},
    limits::Outcome,
    peers::{Peer, Peers},
    token::Use,
};
pub use self::{
    limits::Limits,
    resolver::{Lookup, SystemLookup},
};
use crate::{
    account::{
        AudienceSet, ClientOwner, ClientRecord, IssuerProfile, ScopeSet,
        ports::{
            Checkup, ClientChange, ClientMetadata, Deregistered, DeviceAuthorization, Health,
            Identity, IssuerError, Issuers, LeftOut, Managed, Places, PollAnswer, RefreshFailure,
            Registration, Tokens, Wanted,
        },
    },
    clock::Clock,
};

/// All issuers, as the other rooms reach them.
pub struct IssuerClient {
    clock: Arc<dyn Clock>,
    limits: Limits,
    http: Http,
    peers: Mutex<Peers>,
}

impl IssuerClient {
    /// With the machine's resolver.
    pub fn new(clock: Arc<dyn Clock>, limits: Limits) -> Self {
        Self::with_lookup(clock, limits, Arc::new(SystemLookup))
    }

    /// With another resolver.
    pub fn with_lookup(clock: Arc<dyn Clock>, limits: Limits, lookup: Arc<dyn Lookup>) -> Self {
        let http = Http::new(limits, Arc::clone(&clock), lookup);
        Self { clock, limits, http, peers: Mutex::default() }
    }

    /// What is remembered of this issuer: for everybody where the site lists it, else for the user
    /// who named it.
    fn peer(&self, profile: &IssuerProfile) -> Arc<Peer> {
        let mut peers = self.peers.lock().unwrap_or_else(PoisonError::into_inner);
        peers.of(profile, self.clock.monotonic(), self.limits)
    }

    /// Sends one request within the limits. `lane`: it carries a user's own words (scopes,
    /// audiences, a client's name), is about a client or a token that a user brought, or is one that
    /// a user can make again and again, so that an error may be about those and not about the issuer;
    /// one user's request must not open the circuit for all.
    async fn ask(
        &self,
        profile: &IssuerProfile,
        ask: Ask<'_>,
        lane: Option<Lane>,
    ) -> Result<Reply, IssuerError> {
        self.ask_in(profile, ask, lane, profile.user).await
    }

    /// Sends what everybody waits for who wants something of this issuer, and what is asked for once
    /// for all of them: it is in no user's share.
    async fn ask_for_all(
        &self,
        profile: &IssuerProfile,
        ask: Ask<'_>,
    ) -> Result<Reply, IssuerError> {
        self.ask_in(profile, ask, None, None).await
    }

    async fn ask_in(
        &self,
        profile: &IssuerProfile,
        ask: Ask<'_>,
        lane: Option<Lane>,
        share: Option<u32>,
    ) -> Result<Reply, IssuerError> {
        let usual = lane.as_ref().is_some_and(|lane| !lane.is_tailored());
        let tailored = lane.is_some() && !usual;
        let peer = self.peer(profile);
        // Who named the issuer is alone there.
        let share = share.filter(|_| profile.listed);
        let pass = peer.gate.enter(&profile.title, self.clock.as_ref(), lane, share).await?;
        let answer = self.http.send(profile, ask).await;
        if let Ok(reply) = &answer {
            peer.note(reply, self.clock.wall());
        }
        let failure = match &answer {
            Ok(reply) if matches!(reply.status, 429 | 500..) => {
                Some(ErrorReply::unread(profile, reply))
            }
            Ok(_) => None,
            Err(error) => Some(error.clone()),
        };
        let outcome = match &answer {
            Ok(reply) => match reply.status {
                429 | 502..=504 if tailored => Outcome::FailedForLane(reply.retry_after),
                429 | 500.. if usual => Outcome::Refused(reply.retry_after),
                429 | 502..=504 => Outcome::Failed(reply.retry_after),
                500.. if tailored => Outcome::Nothing,
                500.. => Outcome::Failed(reply.retry_after),
                _ => Outcome::Answered,
            },
            // A server may hang, or break the connection, at what one user's request brings, and so
            // may what stands before it at the requests of one account there.
            Err(IssuerError::Unreachable { maybe_processed: true, .. }) if usual || tailored => {
                Outcome::Unanswered
            }
            Err(IssuerError::Unreachable { .. }) => Outcome::Failed(None),
            Err(_) => Outcome::Nothing,
        };
        pass.settle(outcome, failure);
        answer
    }
}

#[async_trait]
impl Issuers for IssuerClient {
    async fn register(
        &self,
        issuer: &IssuerProfile,
        owner: ClientOwner,
        initial_access_token: Option<&SecretString>,
    ) -> Result<Registration, IssuerError> {
        self.register_client(issuer, owner, initial_access_token).await
    }

    async fn read_client(
        &self,
        issuer: &IssuerProfile,
        client: &ClientRecord,
    ) -> Result<Managed<ClientMetadata>, IssuerError> {
        self.read_registration(issuer, client).await
    }

    async fn update_client(
        &self,
        issuer: &IssuerProfile,
        client: &ClientRecord,
        registered: &ClientMetadata,
        change: &ClientChange,
    ) -> Result<Managed<LeftOut>, IssuerError> {
        self.change_registration(issuer, client, registered, change).await
    }

    async fn deregister(
        &self,
        issuer: &IssuerProfile,
        client: &ClientRecord,
    ) -> Result<Deregistered, IssuerError> {
        self.delete_client(issuer, client).await
    }

    async fn fixed_client(&self, issuer: &IssuerProfile) -> Result<ClientRecord, IssuerError> {
        self.site_client(issuer)
    }

    fn public_client(&self, issuer: &IssuerProfile) -> Result<ClientRecord, IssuerError> {
        self.named_public_client(issuer)
    }

    async fn scopes_offered(&self, issuer: &IssuerProfile) -> Result<ScopeSet, IssuerError> {
        Ok(self.fresh_metadata(issuer).await?.scopes_supported.clone())
    }

    async fn fetch_metadata(&self, issuer: &IssuerProfile) -> Result<(), IssuerError> {
        self.metadata(issuer).await.map(|_| ())
    }

    async fn authorize_device(
        &self,
        issuer: &IssuerProfile,
        client: &ClientRecord,
        uid: u32,
        scopes: &ScopeSet,
        audiences: &AudienceSet,
    ) -> Result<DeviceAuthorization, IssuerError> {
        self.device_code(issuer, client, uid, scopes, audiences).await
    }

    async fn poll_device(
        &self,
        issuer: &IssuerProfile,
        client: &ClientRecord,
        device_code: &SecretString,
        audiences: &AudienceSet,
    ) -> PollAnswer {
        self.poll(issuer, client, device_code, audiences).await
    }

    async fn fetch_keys(&self, issuer: &IssuerProfile) {
        IssuerClient::fetch_keys(self, issuer).await;
    }

    async fn refresh(
        &self,
        issuer: &IssuerProfile,
        client: &ClientRecord,
        uid: u32,
        refresh_token: &SecretString,
        wanted: &Wanted,
    ) -> Result<Tokens, RefreshFailure> {
        // What the site's file asks for is everybody's.
        let own_words = wanted.scopes.is_some() || wanted.audiences != issuer.audiences;
        let tailored = own_words || client.owner.is_of_one_account();
        let lane = if own_words {
            // No login asks so.
            Lane::of_secret(refresh_token)
        } else if tailored {
            Lane::of_secret(refresh_token).renewals_of(uid)
        } else {
            Lane::of_renewals_for(uid, client)
        };
        let usage = Use { lane: Some(lane), moment: Moment::Refresh };
        self.use_refresh_token(issuer, client, refresh_token, wanted, usage).await
    }

    async fn identify(
        &self,
        issuer: &IssuerProfile,
        client: &ClientRecord,
        tokens: &Tokens,
        whole: bool,
    ) -> Result<Option<Identity>, IssuerError> {
        self.identity_of_refresh(issuer, client, tokens, whole).await
    }

    async fn refresh_handed(
        &self,
        issuer: &IssuerProfile,
        client: &ClientRecord,
        refresh_token: &SecretString,
        wanted: &Wanted,
    ) -> Result<Tokens, RefreshFailure> {
        let lane = Some(Lane::of_secret(refresh_token));
        let usage = Use { lane, moment: Moment::HandedIn };
        self.use_refresh_token(issuer, client, refresh_token, wanted, usage).await
    }

    async fn revoke(
        &self,
        issuer: &IssuerProfile,
        client: &ClientRecord,
        refresh_token: &SecretString,
    ) -> Result<(), IssuerError> {
        self.revoke_token(issuer, client, refresh_token, "refresh_token").await
    }

    async fn revoke_access(
        &self,
        issuer: &IssuerProfile,
        client: &ClientRecord,
        access_token: &SecretString,
    ) -> Result<(), IssuerError> {
        self.revoke_token(issuer, client, access_token, "access_token").await
    }

    async fn probe(&self, issuer: &IssuerProfile) -> Result<Checkup, IssuerError> {
        self.look_at(issuer).await
    }

    async fn is_alive(
        &self,
        issuer: &IssuerProfile,
        client: &ClientRecord,
        refresh_token: &SecretString,
    ) -> Result<Option<bool>, IssuerError> {
        self.introspect(issuer, client, refresh_token).await
    }

    async fn accepts(
        &self,
        issuer: &IssuerProfile,
        client: &ClientRecord,
    ) -> Result<bool, IssuerError> {
        self.try_client(issuer, client).await
    }

    fn places(&self, issuer: &IssuerProfile) -> Places {
        self.known_places(issuer)
    }

    fn is_left_alone(&self, issuer: &IssuerProfile) -> bool {
        self.peer(issuer).gate.is_left_alone()
    }

    fn gives_no_codes_to(&self, issuer: &IssuerProfile, uid: u32) -> bool {
        self.peer(issuer).gate.is_left_alone_by(uid, Purpose::Code, self.clock.monotonic())
    }

    fn renews_nothing_for(&self, issuer: &IssuerProfile, uid: u32) -> bool {
        self.peer(issuer).gate.is_left_alone_by(uid, Purpose::Renewal, self.clock.monotonic())
    }

    fn health(&self, issuer: &IssuerProfile) -> Health {
        self.peer(issuer).gate.health(self.clock.monotonic())
    }
}
