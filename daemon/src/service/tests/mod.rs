//! The use cases, with real sessions and token files in a temporary directory and the other
//! neighbours by hand.

mod accounts;
mod add;
mod admin;
mod ahead;
mod audit;
mod audit_fields;
mod clients;
mod doubt;
mod drain;
mod edit;
mod errors;
mod explain;
mod identity;
mod keeper;
mod leftovers;
mod logout;
mod max_scopes;
mod new_client;
mod nodes;
mod open_session;
mod passphrases;
mod password_flow;
mod password_login;
mod plan;
mod policy;
mod refused_clients;
mod remove;
mod rename;
mod resume;
mod revoke;
mod session_end;
mod shares;
mod sign_in;
mod take_over;
mod texts;
mod tokens;
mod upkeep;

use std::{sync::atomic::Ordering::SeqCst, time::Duration};

use iamd_protocol::{
    bus::{LoginInfo, LoginOptions, TokenOptions, TokenReply},
    error::Kind,
};

use super::*;
use crate::{
    account::{
        AccessToken, AccountKey, ClientOwner, Owner, Record, ScopeSet, State, UnixTime,
        ports::{Health, IssuerError, RefreshError, RefreshFailure, Rotated, Tokens},
    },
    clock::Clock as _,
    testing::*,
};

const S: Duration = Duration::from_secs(1);

impl House {
    /// alice's account `wlcg`, signed in with the refresh token `rt0`.
    fn signed_in(&self) -> AccountKey {
        signed_in(&self.vault)
    }

    /// The same, with an access token that lives an hour from now on.
    fn signed_in_with_token(&self) -> AccountKey {
        let key = self.signed_in();
        let now = self.clock.wall();
        self.change(&key, |record| record.access_token = Some(token("at0", now, 3600)));
        key
    }

    /// Somebody else changes the record in the store.
    fn change(&self, key: &AccountKey, change: impl FnOnce(&mut Record)) {
        change(&mut self.vault.accounts.lock().unwrap().get_mut(key).unwrap().0);
    }

    /// A further account of a user, signed in.
    fn add(&self, uid: u32, user: &str, name: &str, issuer: &str) -> AccountKey {
        let owner = Owner { uid, user: user.into() };
        let name = name.parse().unwrap();
        let mut record = Record::new(owner, name, issuer.into(), ClientOwner::Site);
        record.state = State::SignedIn;
        record.client_id = Some("client-1".into());
        record.refresh_token = Some(format!("rt-of-{uid}").into());
        let key = record.key();
        self.vault.accounts.lock().unwrap().insert(key.clone(), (record, 1));
        key
    }

    async fn login(&self, named: &str) -> Result<LoginInfo, ServiceError> {
        self.login_with(named, LoginOptions::default()).await
    }

    async fn login_with(
        &self,
        named: &str,
        options: LoginOptions,
    ) -> Result<LoginInfo, ServiceError> {
        self.service.login(&self.caller(ALICE), named, options).await
    }

    /// Waits until alice's login is over. Time must be paused.
    async fn end_of_login(&self, named: &str) -> LoginInfo {
        for _ in 0..10_000 {
            let state = self.service.login_state(&self.caller(ALICE), named, 60 * S).await;
            let state = state.unwrap();
            if state.state == "done" || state.state == "failed" {
                return state;
            }
        }
        panic!("the login does not end")
    }

    /// alice signs in, from the command to the end.
    async fn sign_in(&self, named: &str, tokens: Tokens) -> LoginInfo {
        self.approve(tokens);
        self.login(named).await.unwrap();
        self.end_of_login(named).await
    }

    async fn token(&self, options: TokenOptions) -> Result<TokenReply, ServiceError> {
        self.service.token(&self.caller(ALICE), "", options).await
    }

    fn refresh_says(&self, answer: Result<Tokens, RefreshError>) {
        self.issuers.refresh_script.lock().unwrap().push_back(answer.map_err(Into::into));
    }

    fn revoked_access(&self) -> Vec<String> {
        self.issuers.revoked_access.lock().unwrap().clone()
    }

    fn revoked(&self) -> Vec<String> {
        self.issuers.revoked.lock().unwrap().clone()
    }

    /// Lets everything that can run without time passing run.
    async fn settle(&self) {
        for _ in 0..50 {
            tokio::task::yield_now().await;
        }
    }
}

fn token(text: &str, issued_at: UnixTime, lives: u64) -> AccessToken {
    AccessToken {
        token: text.to_owned().into(),
        issued_at,
        expires_at: issued_at.plus(Duration::from_secs(lives)),
        scopes: profile().scopes,
    }
}

fn unreachable() -> IssuerError {
    let text = "the issuer does not answer".to_owned();
    IssuerError::Unreachable {
        text,
        retry_after: None,
        maybe_processed: false,
        reply_lost: false,
        too_slow: false,
        cause: Default::default(),
    }
}

fn kind<T: std::fmt::Debug>(result: Result<T, ServiceError>) -> Kind {
    result.unwrap_err().kind
}

fn scopes(text: &str) -> Option<Vec<String>> {
    Some(text.split(' ').map(str::to_owned).collect())
}

fn secret(record: &Record) -> Option<&str> {
    use secrecy::ExposeSecret as _;
    record.refresh_token.as_ref().map(|token| token.expose_secret())
}
