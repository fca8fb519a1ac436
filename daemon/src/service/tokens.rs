//! A token for a caller: of their own account, with the scopes, audience and validity they ask.

use iamd_protocol::{
    bus::{LoginOptions, TokenOptions, TokenReply},
    error::Kind,
};
use secrecy::ExposeSecret;
use std::{sync::Arc, time::Duration};

use crate::{
    account::{AudienceSet, Record, ScopeSet, ports::Wanted},
    audit,
    policy::{Question, Who},
    token::{Ask, Short, Validity},
};

use super::{
    About, Caller, Service, ServiceError, accounts::Accounts, passphrases::locked, policy::firmer,
};

/// The longest validity that can be asked for, so that arithmetic stays in bounds: ten years.
const LONGEST_VALIDITY: u32 = 10 * 365 * 86_400;

impl Service {
    /// An access token of one of the caller's accounts.
    ///
    /// # Errors
    /// Each with its kind; never a token with less than was asked.
    pub async fn token(
        self: &Arc<Self>,
        caller: &Caller,
        named: &str,
        options: TokenOptions,
    ) -> Result<TokenReply, ServiceError> {
        self.token_or(caller, named, options, Short::Refused).await
    }

    /// The same, for programs that wish for a validity and take what there is: where the issuer gives
    /// no token that is valid for so long, the one that it gave just now.
    ///
    /// # Errors
    /// Each with its kind; never because a token is not valid for long enough.
    pub async fn newest_token(
        self: &Arc<Self>,
        caller: &Caller,
        named: &str,
        options: TokenOptions,
    ) -> Result<TokenReply, ServiceError> {
        self.token_or(caller, named, options, Short::Given).await
    }

    async fn token_or(
        self: &Arc<Self>,
        caller: &Caller,
        named: &str,
        options: TokenOptions,
        short: Short,
    ) -> Result<TokenReply, ServiceError> {
        let _guard = self.enter(caller)?;
        let mut about =
            About::named(named).asks_for(options.scopes.as_ref(), options.audiences.as_ref());
        let result = self.give_token(caller, named, options, short, &mut about).await;
        if let Err(error) = &result {
            self.note_denial(caller, &about, error);
        }
        result
    }

    async fn give_token(
        self: &Arc<Self>,
        caller: &Caller,
        named: &str,
        options: TokenOptions,
        short: Short,
        about: &mut About,
    ) -> Result<TokenReply, ServiceError> {
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
        let key = record.key();
        let profile = self.profile_of(record)?;
        let ask = self.ask(record, &options, short)?;
        self.permit_token(&who, record, &ask)?;
        if let Some(token) = record.access_token.as_ref().filter(|_| is_base(record, &ask.wanted)) {
            // What another node, or this one before a restart, got already.
            if self.broker.cached(&key, &ask).is_none() {
                self.broker.adopt(&key, &ask.wanted, token);
            }
        }
        // Where there is nothing to ask with, no issuer is.
        if record.state.may_refresh() && self.broker.has_to_ask(&key, &ask) {
            self.count_request(caller)?;
        }
        let given = match self.broker.token(&key, &profile, &ask).await {
            Ok(given) => given,
            Err(error) => return Err(self.why_none(caller, record, error.into()).await),
        };
        // An issuer that ignores what was asked gives more: what the token is for counts.
        if ask.wanted.scopes.is_some() {
            self.permit_scopes(&who, &given.token.scopes)?;
        }
        let detail = detail("", options.application.as_deref());
        // Compared each time: a token that was granted less is in the cache under what was asked.
        let asked = ask.wanted.scopes.as_ref().unwrap_or(&record.scopes);
        let missing = asked.missing_from(&given.token.scopes);
        let mut remarks = Vec::new();
        if !missing.is_empty() {
            let remark = format!("the issuer did not grant: {missing}");
            if options.strict.unwrap_or(false) {
                return Err(ServiceError::new(Kind::ScopeUnavailable, remark));
            }
            remarks.push(remark);
        }
        self.record_issue(caller, record, &ask.wanted, &given.token.token, &detail);
        Ok(TokenReply {
            token: given.token.token.expose_secret().to_owned(),
            expires_at: given.token.expires_at.0,
            scopes: given.token.scopes.to_vec(),
            audiences: ask.wanted.audiences.to_vec(),
            account: record.name.to_string(),
            issuer: record.issuer.clone(),
            remarks,
        })
    }

    /// Whether this may be asked for. A token for less than the account has is a matter of what is
    /// asked for.
    fn permit_token(&self, who: &Who, record: &Record, ask: &Ask) -> Result<(), ServiceError> {
        let account = match &ask.wanted.scopes {
            Some(scopes) => {
                firmer(self.permit_sign_in_of(who, record), self.permit_scopes(who, scopes))
            }
            None => self.permit_account(who, record),
        };
        let validity = match ask.validity {
            Validity::AtLeast(asked) => self.permit(who, Question::MinValid(asked)),
            Validity::Usual(_) => Ok(()),
        };
        firmer(account, validity)
    }

    /// Counts a token that the issuer is asked for because the caller wants it.
    pub(super) fn count_request(&self, caller: &Caller) -> Result<(), ServiceError> {
        let most = self.config().limits.tokens_per_minute;
        let counted = self.tokens_asked.count(caller.owner.uid, most, self.clock.monotonic());
        counted.map_err(|often| ServiceError::asks_too_often(most, often))
    }

    /// Why there is no token: its login may be running, or its client is refused by now.
    pub(super) async fn why_none(
        &self,
        caller: &Caller,
        record: &Record,
        mut error: ServiceError,
    ) -> ServiceError {
        let key = record.key();
        error.kind = match error.kind {
            Kind::LoginRequired if self.logins.pending(&key).is_some() => Kind::LoginPending,
            Kind::ClientBroken => {
                self.refusal_now(&key, &record.client_owner, &caller.owner.user).await
            }
            kind => kind,
        };
        error
    }

    /// Why an account is not there: its first login may be running.
    pub(super) fn or_pending(
        &self,
        caller: &Caller,
        accounts: &Accounts,
        named: &str,
        error: ServiceError,
    ) -> ServiceError {
        if !matches!(error.kind, Kind::LoginRequired | Kind::NoSuchAccount) {
            return error;
        }
        match self.plan(&caller.owner, accounts, named, &LoginOptions::default()) {
            Ok(plan) if self.logins.pending(&plan.key).is_some() => {
                let text = format!("the first login of the account {} is running", plan.key.name);
                ServiceError::new(Kind::LoginPending, text)
            }
            _ => error,
        }
    }

    fn ask(
        &self,
        record: &Record,
        options: &TokenOptions,
        short: Short,
    ) -> Result<Ask, ServiceError> {
        let scopes = ScopeSet::parse(options.scopes.iter().flatten())?;
        let audiences = AudienceSet::parse(options.audiences.iter().flatten())?;
        let validity = match options.min_valid_seconds {
            None => Validity::Usual(self.config().tokens.min_valid),
            Some(seconds) if seconds <= LONGEST_VALIDITY || short == Short::Given => {
                Validity::AtLeast(Duration::from_secs(seconds.min(LONGEST_VALIDITY).into()))
            }
            Some(seconds) => {
                let text = format!("nobody gives a token that is valid for {seconds} s");
                return Err(ServiceError::new(Kind::InvalidArgument, text));
            }
        };
        Ok(Ask {
            wanted: Wanted {
                scopes: (!scopes.is_empty()).then_some(scopes),
                audiences: if audiences.is_empty() { record.audiences.clone() } else { audiences },
            },
            validity,
            force_new: options.force_new.unwrap_or(false),
            short,
        })
    }

    pub(super) fn record_issue(
        &self,
        caller: &Caller,
        record: &Record,
        wanted: &Wanted,
        token: &secrecy::SecretString,
        detail: &str,
    ) {
        let narrowed = !is_base(record, wanted);
        self.audit.record(
            if narrowed { audit::Kind::Narrowed } else { audit::Kind::Issue },
            &audit::Event {
                uid: caller.owner.uid,
                account: record.name.as_str(),
                issuer: &record.issuer,
                client: record.client_id.as_deref().unwrap_or_default(),
                scopes: wanted.scopes.as_ref().unwrap_or(&record.scopes).to_string(),
                audience: wanted.audiences.to_string(),
                token_hash: audit::token_hash(token),
                caller_pid: caller.pid,
                result: "ok",
                detail: detail.to_owned(),
                ..audit::Event::default()
            },
        );
    }
}

/// What the record says for people: a program names itself, and is not believed.
pub(super) fn detail(what: &str, application: Option<&str>) -> String {
    let fits = |c: &char| c.is_ascii_graphic();
    let application: String =
        application.unwrap_or_default().chars().filter(fits).take(64).collect();
    let application =
        if application.is_empty() { application } else { format!("for {application}") };
    [what, &application].join(" ").trim().to_owned()
}

/// Whether this is the wish that the account's own token fulfils.
pub(super) fn is_base(record: &Record, wanted: &Wanted) -> bool {
    wanted.scopes.is_none() && wanted.audiences == record.audiences
}
