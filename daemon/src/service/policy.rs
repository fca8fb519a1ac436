//! What the site lets a user do, at the door: who is asking, what the policy says of it, and what
//! they hear. Everything that asks for leave asks here.
//!
//! A refusal says what is not allowed and what is; which rule decided stands in the audit record.
//! Nothing here ends or forgets a sign-in: who may not use it keeps it until it is revoked.

use std::{sync::Arc, time::Duration};

use iamd_protocol::error::Kind;

use super::{Service, ServiceError};
use crate::{
    account::{IssuerProfile, Owner, Record, ScopeSet, UnixTime},
    config::{
        Config,
        policy::{Flow, Key},
    },
    policy::{self, Decision, Question, Who, belongs_to_every_sign_in, explain},
};

/// The end of a sign-in is announced when no more than this part of its life is left.
const ANNOUNCED_PART: u32 = 5;

impl Service {
    /// A user and their groups, from memory.
    pub(super) fn who_now(&self, user: &str) -> Who {
        let groups = groups(&self.config());
        let groups = match groups.is_empty() {
            true => Default::default(),
            false => self.users.remembered_groups(user, &groups),
        };
        Who { user: user.to_owned(), groups }
    }

    /// A user and their groups, as the name service says now, or said last where it does not
    /// answer. It is not asked where no rule is for a group.
    pub(super) async fn who(&self, user: &str) -> Who {
        let groups = groups(&self.config());
        let groups = match groups.is_empty() {
            true => Default::default(),
            false => self.users.groups_of(user, &groups).await,
        };
        Who { user: user.to_owned(), groups }
    }

    /// Whether a user may do that.
    ///
    /// # Errors
    /// What is not allowed, and what is.
    pub(super) fn permit(&self, who: &Who, question: Question<'_>) -> Result<(), ServiceError> {
        let config = self.config();
        let decision = policy::decide(&config, who, &question);
        if decision.allowed {
            return Ok(());
        }
        let text = text(&config, who, &question);
        Err(refusal(&config, &question, &decision, text))
    }

    /// Whether a user may use this issuer.
    ///
    /// # Errors
    /// What is not allowed, and what is.
    pub(super) fn permit_issuer(
        &self,
        who: &Who,
        profile: &IssuerProfile,
    ) -> Result<(), ServiceError> {
        if profile.listed {
            return self.permit(who, Question::Issuer(&profile.name));
        }
        let config = self.config();
        let decision = policy::decide(&config, who, &Question::CustomIssuer);
        if decision.allowed {
            return Ok(());
        }
        let text = policy::IssuerRefusal::NotAllowed(profile.url.to_string()).to_string();
        Err(refusal(&config, &Question::CustomIssuer, &decision, text))
    }

    /// Whether a user may ask for all of these scopes.
    ///
    /// # Errors
    /// The ones that are not allowed, and those that are.
    pub(super) fn permit_scopes(&self, who: &Who, scopes: &ScopeSet) -> Result<(), ServiceError> {
        let config = self.config();
        let refused = self.refused_scopes(who, scopes);
        let mut decisions = refused
            .iter()
            .map(|scope| (scope, policy::decide(&config, who, &Question::Scope(scope))));
        let Some(first) = decisions.next() else { return Ok(()) };
        // One that is refused whatever the name service says is no matter of doubt.
        let firm = decisions.find(|(_, decision)| decision.doubt.is_empty());
        let (scope, decision) = firm.filter(|_| !first.1.doubt.is_empty()).unwrap_or(first);
        let all = refused.to_string();
        let text = text(&config, who, &Question::Scope(&all));
        Err(refusal(&config, &Question::Scope(scope), &decision, text))
    }

    /// Those of these scopes that a user may not ask for.
    pub(super) fn refused_scopes(&self, who: &Who, scopes: &ScopeSet) -> ScopeSet {
        let config = self.config();
        scopes.filtered(|scope| {
            !belongs_to_every_sign_in(scope)
                && !policy::decide(&config, who, &Question::Scope(scope)).allowed
        })
    }

    /// What a sign-in asks for that names no scopes: those of the site that the user may ask for,
    /// and a remark on the others.
    ///
    /// # Errors
    /// There is none that they may ask for.
    pub(super) fn allowed_of(
        &self,
        who: &Who,
        scopes: &ScopeSet,
    ) -> Result<(ScopeSet, Option<String>), ServiceError> {
        let refused = self.refused_scopes(who, scopes);
        if refused.is_empty() {
            return Ok((scopes.clone(), None));
        }
        let allowed = scopes.filtered(|scope| !refused.contains(scope));
        if allowed.iter().all(belongs_to_every_sign_in) {
            self.permit_scopes(who, scopes)?;
        }
        let remark = format!("this site does not let you ask for the scopes {refused}");
        Ok((allowed, Some(remark)))
    }

    /// Whether the account's own token may be given out: its issuer, its sign-in, its scopes.
    ///
    /// # Errors
    /// What is not allowed, and what is.
    pub(super) fn permit_account(&self, who: &Who, record: &Record) -> Result<(), ServiceError> {
        let sign_in = self.permit_sign_in_of(who, record);
        // What the token has, which may be more than was asked for; unless it is asked for less.
        let narrowed = record.narrowed().filter(|scopes| !scopes.is_empty());
        let asked = narrowed.as_ref().unwrap_or(&record.scopes);
        let scopes = self.permit_scopes(who, asked).map_err(|error| {
            let refused = self.refused_scopes(who, asked);
            let name = &record.name;
            let text = format!(
                "{}; the account {name} has them: take them away with  iamctl account edit --remove-scope \"{refused}\" {name}",
                error.message
            );
            ServiceError { message: text, ..error }
        });
        firmer(sign_in, scopes)
    }

    /// Whether the sign-in of an account may be used.
    ///
    /// # Errors
    /// What is not allowed, and what is.
    pub(super) fn permit_sign_in_of(&self, who: &Who, record: &Record) -> Result<(), ServiceError> {
        let issuer = self.permit_issuer(who, &self.profile_of(record)?);
        let age = self.age(record).map(|age| self.permit(who, Question::SignInOfAge(age)));
        firmer(issuer, age.unwrap_or(Ok(())))
    }

    /// Whether a login would help: there is no sign-in, or it is older than the site allows.
    pub(super) fn wants_login(&self, who: &Who, record: &Record) -> bool {
        let too_old = |age| {
            let decision = policy::decide(&self.config(), who, &Question::SignInOfAge(age));
            !decision.allowed && decision.doubt.is_empty()
        };
        record.state.wants_login() || self.age(record).is_some_and(too_old)
    }

    /// When a sign-in ends: by the issuer's word or by the site's, whichever is earlier.
    pub(super) fn sign_in_end(&self, who: &Who, record: &Record) -> Option<UnixTime> {
        match (record.refresh_expires_at, self.end_by_site(who, record)) {
            (Some(one), Some(other)) => Some(one.min(other)),
            (one, other) => one.or(other),
        }
    }

    /// How long a sign-in is good for still, where that is little enough to say so: no more than the
    /// site's `announce_ahead`; of one that never lasts longer than that, no more than a part of its
    /// whole life, so that it is not announced at each login. An end that the issuer moves on is none.
    pub(super) fn ends_soon(&self, who: &Who, record: &Record) -> Option<Duration> {
        if !record.state.may_refresh() {
            return None;
        }
        let (now, ahead) = (self.clock.wall(), self.config().tokens.announce_ahead);
        let by_issuer = record.refresh_expires_at.filter(|_| !record.extended);
        let ends = by_issuer.into_iter().chain(self.end_by_site(who, record));
        let soon = ends.filter_map(|end| {
            let life = record.signed_in_at.map_or(Duration::MAX, |since| end.after(since));
            let left = end.after(now);
            let within = if life <= ahead { life / ANNOUNCED_PART } else { ahead };
            (left <= within).then_some(left)
        });
        soon.min()
    }

    fn end_by_site(&self, who: &Who, record: &Record) -> Option<UnixTime> {
        let longest = policy::longest(&self.config(), who, Key::LongestSignIn)?;
        Some(record.signed_in_at?.plus(longest))
    }

    fn age(&self, record: &Record) -> Option<Duration> {
        record.signed_in_at.map(|since| self.clock.wall().after(since))
    }

    /// Whether an account's token must not be written to a file, from memory.
    pub(super) fn is_barred(&self, record: &Record) -> bool {
        let who = self.who_now(&record.owner.user);
        self.permit_account(&who, record).is_err()
    }

    /// The most that a user may have, from memory.
    pub(super) fn most(&self, user: &str, key: Key) -> u32 {
        policy::most(&self.config(), &self.who_now(user), key).0
    }

    /// After a start: a session that was opened meanwhile, of a user who has none through its
    /// service, is none.
    pub async fn close_unserved(&self) {
        for session in self.presence.sessions.all() {
            let login = &session.login;
            let who = self.who(&login.user).await;
            if !policy::serves(&self.config(), login.uid, &who, &login.service) {
                self.presence.sessions.close(&session.id);
            }
        }
    }

    /// After a reload: who is here gets or loses their files by the rules that are in force now.
    pub async fn look_again(self: Arc<Self>) {
        let mut here = self.users_here().await;
        for uid in self.presence.with_files() {
            if !here.contains_key(&uid)
                && let Some(user) = self.users.name_of(uid).await
            {
                here.insert(uid, user);
            }
        }
        for (uid, user) in here {
            self.take_up(&Owner { uid, user }).await;
        }
    }
}

/// Whether an error says that the name service did not answer: not a refusal, and no leave.
pub(super) fn is_doubt(error: &ServiceError) -> bool {
    error.kind == Kind::StoreUnavailable
}

/// What comes of two questions: a refusal goes before a doubt, whichever was asked first.
pub(super) fn firmer<T>(
    one: Result<(), ServiceError>,
    other: Result<T, ServiceError>,
) -> Result<T, ServiceError> {
    match (one, other) {
        (Err(doubt), Err(refusal)) if is_doubt(&doubt) => Err(refusal),
        (Err(error), _) => Err(error),
        (Ok(()), other) => other,
    }
}

fn groups(config: &Config) -> Vec<String> {
    config.policy.groups().into_iter().map(str::to_owned).collect()
}

/// What somebody hears who may not do that.
fn refusal(
    config: &Config,
    question: &Question<'_>,
    decision: &Decision,
    text: String,
) -> ServiceError {
    let decided_by = decision.decided_by.iter().map(ToString::to_string).collect::<Vec<_>>();
    let decided_by = Some(decided_by.join(", "));
    if !decision.doubt.is_empty() {
        let mut groups: Vec<&str> = decision.doubt.iter().map(|d| d.group.as_str()).collect();
        groups.dedup();
        let message = format!(
            "{text}, unless you are in the group {}, of which the name service says nothing now",
            groups.join(" or ")
        );
        return ServiceError { kind: Kind::StoreUnavailable, message, decided_by };
    }
    let kind = match question {
        Question::CustomIssuer => Kind::IssuerNotAllowed,
        Question::SignInOfAge(_) => Kind::LoginRequired,
        _ => Kind::DeniedByPolicy,
    };
    let contact = config.site_contact.as_ref().filter(|_| kind != Kind::LoginRequired);
    let ask = contact.map(|contact| format!("; ask {contact}")).unwrap_or_default();
    ServiceError { kind, message: text + &ask, decided_by }
}

fn text(config: &Config, who: &Who, question: &Question<'_>) -> String {
    let held = |key| explain::user_line(config, who, key);
    match question {
        Question::Issuer(name) => {
            let may = policy::issuers(config, who);
            let may = if may.is_empty() { "none".to_owned() } else { may.join(", ") };
            format!("this site does not let you use the issuer {name}; you may use: {may}")
        }
        Question::OwnClient => "this site does not let accounts have clients of their own".into(),
        Question::ShowSecrets => "this site does not show the secrets of accounts".into(),
        Question::Flow(flow) => {
            let how = match flow {
                Flow::Device => "by a code in a browser",
                Flow::Password => "by password",
                Flow::RefreshToken => "with a refresh token that you bring",
            };
            let may = policy::flows(config, who).into_iter().map(Flow::name);
            let may = may.collect::<Vec<_>>().join(", ");
            let may = if may.is_empty() { "none".to_owned() } else { may };
            format!("this site does not let you sign in {how}; the ways you have: {may}")
        }
        Question::Scope(scopes) => {
            let may = held(Key::Scopes).values.join(" ");
            let may = if may.is_empty() { String::new() } else { format!(" {may}") };
            format!(
                "this site does not let you ask for the scopes {scopes}; you may ask for: openid offline_access{may}"
            )
        }
        Question::SignInOfAge(_) => {
            let longest = held(Key::LongestSignIn).values.concat();
            format!("your sign-in is older than this site allows ({longest})")
        }
        Question::MinValid(_) => {
            let longest = held(Key::LongestMinValid).values.concat();
            format!("this site lets you ask for a validity of {longest} at most")
        }
        // Nobody is told of these as an error.
        Question::CustomIssuer | Question::AutomaticLogin | Question::Service(_) => {
            held(question.key()).text
        }
    }
}
