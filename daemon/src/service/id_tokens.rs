//! An ID token for a caller, of their own account.
//!
//! iamd keeps none: it says who signed in, to the client it was issued to, and is of no use for
//! what tokens are for. Programs that want one get what the issuer gives with a renewal, so each
//! of them costs a request there.

use std::sync::Arc;

use iamd_protocol::error::Kind;
use secrecy::SecretString;

use super::{About, Caller, Service, ServiceError, passphrases::locked, tokens::detail};
use crate::account::ports::Wanted;

/// An ID token and whose it is.
pub struct IdToken {
    /// The token (OpenID Connect Core 1.0 §2), as the issuer sent it.
    pub token: SecretString,
    /// The issuer's URL.
    pub issuer: String,
}

impl Service {
    /// A new ID token of one of the caller's accounts.
    ///
    /// # Errors
    /// As [`Service::token`]; and when the issuer gives none.
    pub async fn id_token(
        self: &Arc<Self>,
        caller: &Caller,
        named: &str,
        application: Option<&str>,
    ) -> Result<IdToken, ServiceError> {
        let _guard = self.enter(caller)?;
        let mut about = About::named(named);
        let result = self.give_id_token(caller, named, application, &mut about).await;
        if let Err(error) = &result {
            self.note_denial(caller, &about, error);
        }
        result
    }

    async fn give_id_token(
        self: &Arc<Self>,
        caller: &Caller,
        named: &str,
        application: Option<&str>,
        about: &mut About,
    ) -> Result<IdToken, ServiceError> {
        let who = self.who(&caller.owner.user).await;
        let accounts = self.accounts(&caller.owner).await?;
        let found = accounts.find(named, self.config().default_profile());
        let found = found.map_err(|error| self.or_pending(caller, &accounts, named, error))?;
        let record = &found.value;
        about.is(record);
        about.usually(&record.scopes, &record.audiences);
        if record.is_locked() {
            return Err(locked(record));
        }
        let profile = self.profile_of(record)?;
        self.permit_account(&who, record)?;
        self.count_request(caller)?;
        let key = record.key();
        let wanted = Wanted { scopes: None, audiences: record.audiences.clone() };
        let renewed = match self.broker.renewed(&key, &profile, wanted.clone()).await {
            Ok(renewed) => renewed,
            Err(error) => return Err(self.why_none(caller, record, error.into()).await),
        };
        let Some(token) = renewed.id_token.clone() else {
            let title = &profile.title;
            let text = if renewed.record.scopes.contains("openid") {
                format!("{title} gives no ID token when a token is renewed, and iamd keeps none")
            } else {
                format!("{title} gives no ID token to a sign-in without the scope openid")
            };
            return Err(ServiceError::new(Kind::ScopeUnavailable, text));
        };
        let detail = detail("ID token", application);
        self.record_issue(caller, record, &wanted, &token, &detail);
        Ok(IdToken { token, issuer: record.issuer.clone() })
    }
}
