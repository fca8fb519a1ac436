//! What is recorded of a request that is refused: whose it was and, as far as it went, what it was
//! about. Who reads the records is to see which issuer, client and scopes somebody was refused
//! without asking them.

use iamd_protocol::{
    bus::{AddOptions, LoginOptions},
    error::{Exit, Kind},
};

use super::{Caller, Service, ServiceError, add_plan::NewAccount, plan::Plan};
use crate::{
    account::{AudienceSet, Record, ScopeSet},
    audit,
    config::Config,
};

/// How much of a name or URL that a caller typed stands in a record.
const LONGEST_NAME: usize = 32;
const LONGEST_URL: usize = 256;

/// What a request is about: filled while it goes on, recorded when it is refused.
#[derive(Debug, Default)]
pub(super) struct About {
    account: String,
    issuer: String,
    client: String,
    scopes: String,
    audience: String,
}

impl About {
    /// As a caller named it: a short name, or the URL of an issuer.
    pub(super) fn named(named: &str) -> Self {
        match named.contains("://") {
            true => Self { issuer: shown(named, LONGEST_URL), ..Self::default() },
            false => Self { account: shown(named, LONGEST_NAME), ..Self::default() },
        }
    }

    /// Of this account.
    pub(super) fn of(record: &Record) -> Self {
        let mut about = Self::default();
        about.is(record);
        about
    }

    /// Of a login as a caller asks for it.
    pub(super) fn of_login(config: &Config, named: &str, options: &LoginOptions) -> Self {
        Self::named(named)
            .asks_for(options.scopes.as_ref(), options.audiences.as_ref())
            .at(config, options.issuer.as_deref().or(named.contains("://").then_some(named)))
    }

    /// Of a new account as a caller asks for it.
    pub(super) fn of_new(config: &Config, named: &str, options: &AddOptions) -> Self {
        let issuer = options.issuer.as_deref().filter(|issuer| !issuer.is_empty());
        let mut about = Self::named(named)
            .asks_for(options.scopes.as_ref(), options.audiences.as_ref())
            .at(config, issuer.or(Some(named)));
        about.with(&shown(options.client_id.as_deref().unwrap_or_default(), LONGEST_URL));
        about
    }

    /// Of what an administrator does to an issuer or a client.
    pub(super) fn of_administration(
        config: &Config,
        issuer: Option<&str>,
        client: Option<&str>,
    ) -> Self {
        let mut about = Self::default().at(config, issuer);
        about.with(&shown(client.unwrap_or_default(), LONGEST_URL));
        about
    }

    /// What is asked for; nothing where that is malformed, which is an error of its own.
    pub(super) fn asks_for(
        mut self,
        scopes: Option<&Vec<String>>,
        audiences: Option<&Vec<String>>,
    ) -> Self {
        let scopes = ScopeSet::parse(scopes.into_iter().flatten()).unwrap_or_default();
        let audiences = AudienceSet::parse(audiences.into_iter().flatten()).unwrap_or_default();
        self.scopes = scopes.to_string();
        self.audience = audiences.to_string();
        self
    }

    /// The issuer that is named, by its URL as in every other record.
    pub(super) fn at(mut self, config: &Config, named: Option<&str>) -> Self {
        let Some(named) = named.filter(|named| !named.is_empty()) else { return self };
        match crate::policy::issuer(config, Some(named), None) {
            Ok(profile) => self.issuer = profile.url.to_string(),
            Err(_) if named.contains("://") => self.issuer = shown(named, LONGEST_URL),
            Err(_) => {}
        }
        self
    }

    /// It is this account that is meant.
    pub(super) fn is(&mut self, record: &Record) {
        self.account = record.name.to_string();
        self.issuer.clone_from(&record.issuer);
        self.client = record.client_id.clone().unwrap_or_default();
    }

    /// What it comes to where nothing else is asked for.
    pub(super) fn usually(&mut self, scopes: &ScopeSet, audiences: &AudienceSet) {
        if self.scopes.is_empty() {
            self.scopes = scopes.to_string();
        }
        if self.audience.is_empty() {
            self.audience = audiences.to_string();
        }
    }

    /// It is this login.
    pub(super) fn plans(&mut self, plan: &Plan) {
        let client = plan.record.as_ref().and_then(|record| record.client_id.clone());
        self.account = plan.key.name.to_string();
        self.issuer = plan.profile.url.to_string();
        self.client = client.unwrap_or_default();
        self.scopes = plan.scopes.to_string();
        self.audience = plan.audiences.to_string();
    }

    /// It is this new account.
    pub(super) fn adds(&mut self, plan: &NewAccount) {
        self.account = plan.key.name.to_string();
        self.issuer = plan.profile.url.to_string();
        self.scopes = plan.scopes.to_string();
        self.audience = plan.audiences.to_string();
    }

    /// It goes with this client.
    pub(super) fn with(&mut self, client_id: &str) {
        client_id.clone_into(&mut self.client);
    }

    /// The account, its issuer and its client: what an account is, not what is asked for.
    pub(super) fn identity(&self) -> (&str, &str, &str) {
        (&self.account, &self.issuer, &self.client)
    }

    /// An event with all of that.
    pub(super) fn event(&self, uid: u32, caller_pid: Option<u32>) -> audit::Event<'_> {
        audit::Event {
            uid,
            account: &self.account,
            issuer: &self.issuer,
            client: &self.client,
            scopes: self.scopes.clone(),
            audience: self.audience.clone(),
            caller_pid,
            ..audit::Event::default()
        }
    }
}

impl Service {
    /// Refusals are recorded; a passing failure or a missing sign-in is not one.
    pub(super) fn note_denial(&self, caller: &Caller, about: &About, error: &ServiceError) {
        // That there are too many is recorded where they are counted.
        let counted = error.kind == Kind::TooManyRequests;
        if counted || error.kind.exit() != Exit::Denied {
            return;
        }
        self.record_denial(caller.owner.uid, caller.pid, about, error);
    }

    pub(super) fn record_denial(
        &self,
        uid: u32,
        caller_pid: Option<u32>,
        about: &About,
        error: &ServiceError,
    ) {
        self.audit.record(
            audit::Kind::Denial,
            &audit::Event {
                result: error.kind.short_name(),
                detail: decided(error),
                ..about.event(uid, caller_pid)
            },
        );
    }
}

/// What was refused and by which rule, for the record.
pub(super) fn decided(error: &ServiceError) -> String {
    match &error.decided_by {
        Some(by) => format!("{}; decided by {by}", error.message),
        None => error.message.clone(),
    }
}

fn shown(text: &str, longest: usize) -> String {
    text.chars().filter(char::is_ascii_graphic).take(longest).collect()
}
