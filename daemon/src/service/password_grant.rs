//! The issuer's lock on the password flow: the grant of a client at an INDIGO IAM, changed in the
//! name of the administrator who asks, with a token of their own account that is for nothing else.

use std::sync::Arc;

use iamd_protocol::{bus::PasswordFlowOptions, error::Kind};
use secrecy::SecretString;

use super::{
    Caller, Service, ServiceError,
    passphrases::locked,
    password_flow::{named, quoted},
};
use crate::{
    account::{
        ClientOwner, ClientRecord, IssuerProfile, Record, ScopeSet,
        ports::{GrantChange, GrantFailure, LockOn, Stored, Wanted},
    },
    audit,
    token::{Ask, Validity},
};

/// What INDIGO IAM's interface for administrators wants of a token: to read clients, to change them.
const ADMIN_SCOPES: [&str; 2] = ["iam:admin.read", "iam:admin.write"];

impl Service {
    /// Gives a client the grant at its issuer, or takes it away.
    pub(super) async fn change_at_issuer(
        self: &Arc<Self>,
        by: &Caller,
        profile: &IssuerProfile,
        (client_id, known): (&str, Option<&ClientRecord>),
        options: &PasswordFlowOptions,
        allowed: bool,
    ) -> Result<GrantChange, ServiceError> {
        self.issuers.can_change_password_grant(profile, client_id, allowed).await?;
        let token = self.administrators_token(by, profile, options.account.as_deref()).await?;
        // The end of the daemon waits until a client that was changed is as it should be.
        let underway = self.logins.underway().await;
        let owner = known.map_or(ClientOwner::Fixed, |client| client.owner.clone());
        let lock = self.vault.lock(LockOn::Client(owner, profile.url.to_string())).await?;
        let change = self.issuers.change_password_grant(profile, &token, client_id, allowed).await;
        drop((lock, underway));
        // What came after something was changed there is recorded, whatever came of it.
        let touched = match &change {
            Err(GrantFailure::PutBack(text)) => Some(("put-back", text)),
            Err(GrantFailure::NotPutBack(text)) => Some(("not-put-back", text)),
            Ok(_) | Err(GrantFailure::Issuer(_)) => None,
        };
        if let Some((result, text)) = touched {
            self.note_grant(by, profile, client_id, result, text.clone());
        }
        let change = change?;
        let result = match change {
            GrantChange::Changed => "changed",
            GrantChange::AlreadySo => "unchanged",
        };
        let detail = format!("grant password {}", if allowed { "given" } else { "taken" });
        self.note_grant(by, profile, client_id, result, detail);
        if let Some(client) = known {
            self.learn_grants(profile, client).await;
        }
        Ok(change)
    }

    fn note_grant(
        &self,
        by: &Caller,
        profile: &IssuerProfile,
        client_id: &str,
        result: &str,
        detail: String,
    ) {
        self.audit.record(
            audit::Kind::Registration,
            &audit::Event {
                uid: by.owner.uid,
                issuer: profile.url.as_str(),
                client: client_id,
                caller_pid: by.pid,
                result,
                detail,
                ..audit::Event::default()
            },
        );
    }

    /// Reads what a client is registered for now, where it can be read. What cannot be had is
    /// asked for again when it matters.
    pub(super) async fn learn_grants(&self, profile: &IssuerProfile, client: &ClientRecord) {
        if can_be_read(client)
            && let Err(error) = self.read_registration(profile, &client.owner).await
        {
            tracing::info!(issuer = %profile.name, client = client.client_id, %error, "what a client is registered for could not be read: {error}");
        }
    }

    /// A token of the caller's own account at the issuer, for nothing but the administration of
    /// clients.
    async fn administrators_token(
        self: &Arc<Self>,
        by: &Caller,
        profile: &IssuerProfile,
        account: Option<&str>,
    ) -> Result<SecretString, ServiceError> {
        let issuer = profile.url.as_str();
        let accounts = self.accounts(&by.owner).await?;
        let may = |found: &&Stored<Record>| {
            let record = &found.value;
            account.is_none_or(|name| record.name.as_str() == name)
                && record.issuer == issuer
                && record.state.may_refresh()
                && ADMIN_SCOPES.iter().all(|scope| record.granted().contains(scope))
        };
        let Some(found) = accounts.open.iter().find(may) else {
            let title = &profile.title;
            let short = |found: &&Stored<Record>| {
                let record = &found.value;
                let asked = |scope: &&str| record.scopes_asked.contains(scope);
                account.is_none_or(|name| record.name.as_str() == name)
                    && record.issuer == issuer
                    && record.state.may_refresh()
                    && ADMIN_SCOPES.iter().all(asked)
            };
            if let Some(found) = accounts.open.iter().find(short) {
                let record = &found.value;
                let text = format!(
                    "{title} did not grant the account {} all of the scopes {}. Ask an administrator of \
                     {title} to give them to the client {}, then sign in again:  iamctl login {}",
                    quoted(record.name.as_str()),
                    ADMIN_SCOPES.join(" and "),
                    record.client_id.as_deref().unwrap_or("that it has"),
                    quoted(record.name.as_str()),
                );
                return Err(ServiceError::new(Kind::LoginRequired, text));
            }
            let text = format!(
                "{} has no account{} at {title} with the scopes {}. To make one, with a client that an \
                 administrator of {title} gave these scopes:  iamctl account add iam-admin --issuer {} \
                 --client-id ID --client-secret-fd 3 -s '{}' 3< FILE",
                by.owner.user,
                account.map_or_else(String::new, |name| format!(" {}", quoted(name))),
                ADMIN_SCOPES.join(" and "),
                quoted(named(profile)),
                ADMIN_SCOPES.join(" "),
            );
            return Err(ServiceError::new(Kind::LoginRequired, text));
        };
        if found.value.is_locked() {
            return Err(locked(&found.value));
        }
        let scopes = ScopeSet::parse(ADMIN_SCOPES)?;
        let wanted = Wanted { scopes: Some(scopes), audiences: found.value.audiences.clone() };
        let validity = Validity::Usual(self.config().tokens.min_valid);
        let ask = Ask { wanted, validity, ..Ask::default() };
        Ok(self.broker.token(&found.value.key(), profile, &ask).await?.token.token)
    }
}

/// Whether iamd registered it and can ask the issuer what it is registered for (RFC 7592).
pub(super) const fn can_be_read(client: &ClientRecord) -> bool {
    client.registration_access_token.is_some()
        && client.registration_client_uri.is_some()
        && !matches!(client.owner, ClientOwner::Fixed | ClientOwner::Public)
}
