//! A sign-in by password (RFC 6749 §4.3), where an administrator allowed it for the client. The
//! password is used once and is gone; what it brought is kept like that of any sign-in.
//!
//! Nothing is ever tried again by itself, neither with another client: issuers bar accounts for
//! wrong passwords.

use std::sync::Arc;

use iamd_protocol::{
    bus::{LoginInfo, LoginOptions, login_state},
    error::Kind,
};
use secrecy::SecretString;

use super::{
    About, Caller, Service, ServiceError,
    clients::{Provided, Wish, told},
    passphrases::locked,
    password_grant::can_be_read,
    plan::Plan,
};
use crate::{
    account::{
        ClientRecord, PASSWORD_GRANT,
        ports::{PasswordError, PasswordSignIn},
    },
    audit,
    config::policy::Flow,
    login::{Claim, Failure, Request},
    policy::{Attempt, NotNow},
};

/// The longest name that a user can have at an issuer, in bytes.
const LONGEST_NAME: usize = 256;

impl Service {
    /// Signs in by password; without one, says whether that would be possible.
    ///
    /// # Errors
    /// Policy, quotas, arguments, and what the issuer makes of the password.
    pub async fn login_with_password(
        self: &Arc<Self>,
        caller: &Caller,
        named: &str,
        options: LoginOptions,
        user_name: &str,
        password: Option<SecretString>,
    ) -> Result<LoginInfo, ServiceError> {
        let mut about = About::of_login(&self.config(), named, &options);
        let result =
            self.password_login(caller, named, options, (user_name, password), &mut about).await;
        if let Err(error) = &result {
            self.note_denial(caller, &about, error);
        }
        result
    }

    async fn password_login(
        self: &Arc<Self>,
        caller: &Caller,
        named: &str,
        options: LoginOptions,
        (user_name, password): (&str, Option<SecretString>),
        about: &mut About,
    ) -> Result<LoginInfo, ServiceError> {
        let _guard = self.enter(caller)?;
        if options.new_client == Some(true) {
            let text = "a new client may not sign anybody in by password: leave --new-client out";
            return Err(ServiceError::new(Kind::InvalidArgument, text));
        }
        let who = self.who(&caller.owner.user).await;
        let accounts = self.accounts(&caller.owner).await?;
        let mut plan = self.plan(&caller.owner, &accounts, named, &options)?;
        about.plans(&plan);
        let base = LoginInfo {
            account: plan.key.name.to_string(),
            issuer: plan.profile.url.to_string(),
            issuer_title: plan.profile.title.clone(),
            ..LoginInfo::default()
        };
        if options.if_needed == Some(true)
            && let Some(record) =
                plan.record.as_ref().filter(|record| !self.wants_login(&who, record))
        {
            let subject = record.subject.as_ref().map(|subject| subject.sub.clone());
            return Ok(LoginInfo { subject, state: login_state::DONE.into(), ..base });
        }
        if let Some(record) = plan.record.as_ref().filter(|record| record.is_locked()) {
            return Err(locked(record));
        }
        self.permit_login(&who, Flow::Password, &mut plan, &options)?;
        self.takes_logins()?;
        let wish = Wish { scopes: &plan.scopes, name: None, initial_access_token: None };
        let owner = &caller.owner;
        let Provided { client, left_out } =
            self.client(&plan.profile, &plan.client_owner, owner, &wish, None).await?;
        about.with(&client.client_id);
        self.may_use_password(&plan.profile, &client, &owner.user).await?;
        let client = self.with_grant(&plan, client).await?;
        let Some(password) = password else {
            let state = login_state::PASSWORD_NEEDED.into();
            return Ok(LoginInfo { state, remarks: told(&left_out), ..base });
        };
        check_user_name(user_name)?;
        // A password is used once: not for what could not be kept.
        self.vault.make_room().await?;
        let signed_in = self.use_password(caller, &plan, &client, user_name, password).await;
        if let Err(error) = &signed_in {
            self.audit.record(
                audit::Kind::LoginFailed,
                &audit::Event {
                    uid: owner.uid,
                    account: plan.key.name.as_str(),
                    issuer: plan.profile.url.as_str(),
                    client: &client.client_id,
                    scopes: plan.scopes.to_string(),
                    audience: plan.audiences.to_string(),
                    caller_pid: caller.pid,
                    result: error.kind.short_name(),
                    detail: format!("by password: {}", error.message),
                    ..audit::Event::default()
                },
            );
        }
        let (subject, more) = signed_in?;
        let mut remarks = std::mem::take(&mut plan.remarks);
        remarks.extend(told(&left_out));
        remarks.extend(more);
        Ok(LoginInfo { subject, remarks, state: login_state::DONE.into(), ..base })
    }

    async fn use_password(
        self: &Arc<Self>,
        caller: &Caller,
        plan: &Plan,
        client: &ClientRecord,
        user_name: &str,
        password: SecretString,
    ) -> Result<super::sign_in::SignedIn, ServiceError> {
        let profile = &plan.profile;
        let now = self.clock.monotonic();
        let attempt = self.password_attempts.begin(caller.owner.uid, now).map_err(not_now)?;
        self.audit.record(
            audit::Kind::LoginStarted,
            &audit::Event {
                uid: caller.owner.uid,
                account: plan.key.name.as_str(),
                issuer: profile.url.as_str(),
                client: &client.client_id,
                scopes: plan.scopes.to_string(),
                audience: plan.audiences.to_string(),
                caller_pid: caller.pid,
                result: "ok",
                detail: "by password".into(),
                ..audit::Event::default()
            },
        );
        let request = Arc::new(Request {
            key: plan.key.clone(),
            profile: profile.clone(),
            scopes: plan.scopes.clone(),
            audiences: plan.audiences.clone(),
            client_owner: plan.client_owner.clone(),
            replaces: None,
            caller_pid: caller.pid,
            exists: plan.record.is_some(),
            claim: Claim::default(),
        });
        let _during = self.logins.during(&request);
        // The end of the daemon waits for what comes to be kept.
        let _underway = self.logins.underway().await;
        let sign_in = PasswordSignIn {
            user_name,
            password,
            scopes: &plan.scopes,
            audiences: &plan.audiences,
        };
        let tokens = self.issuers.sign_in_with_password(profile, client, sign_in).await;
        let tokens = match tokens {
            Ok(tokens) => tokens,
            Err(error) => {
                if matches!(error, PasswordError::GrantMissing { .. }) {
                    self.learn_grants(profile, client).await;
                }
                return Err(self.refused(error, &attempt));
            }
        };
        let signed_in = self.keep_sign_in(&caller.owner, &request, client, tokens).await;
        let signed_in = signed_in.map_err(ServiceError::from)?;
        // A device login of the account has nothing left to do.
        self.logins.cancel(&plan.key);
        Ok(signed_in)
    }

    /// The client, if as far as its registration says it may do this at the issuer: a password is
    /// not sent for nothing (requirement 34). What it is registered for may have changed since.
    async fn with_grant(
        &self,
        plan: &Plan,
        client: ClientRecord,
    ) -> Result<ClientRecord, ServiceError> {
        let has = |client: &ClientRecord| client.grant_types.iter().any(|g| g == PASSWORD_GRANT);
        if has(&client) || !can_be_read(&client) {
            return Ok(client);
        }
        match self.read_registration(&plan.profile, &client.owner).await {
            Ok(now) if now.client_id == client.client_id && !has(&now) => {
                let text = format!(
                    "{} does not let the client {} sign users in by password. To send to the \
                     administrator of {}: please allow grant type password for client {1}",
                    plan.profile.title, client.client_id, plan.profile.url
                );
                Err(ServiceError::new(Kind::GrantMissing, text))
            }
            Ok(now) if now.client_id == client.client_id => Ok(now),
            // The issuer says itself what it thinks of it.
            _ => Ok(client),
        }
    }

    fn refused(&self, error: PasswordError, attempt: &Attempt) -> ServiceError {
        let kind = match &error {
            PasswordError::Wrong { .. } => {
                attempt.was_wrong(self.clock.monotonic());
                Kind::WrongPassword
            }
            PasswordError::GrantMissing { .. } => Kind::GrantMissing,
            PasswordError::SecondFactor { .. } => Kind::SecondFactorNeeded,
            PasswordError::ActionNeeded { .. } => Kind::ActionNeeded,
            PasswordError::Issuer(error) => return Failure::from(error.clone()).into(),
        };
        ServiceError::new(kind, error.to_string())
    }
}

fn check_user_name(name: &str) -> Result<(), ServiceError> {
    if !name.is_empty() && name.len() <= LONGEST_NAME && !name.contains(char::is_control) {
        return Ok(());
    }
    let text = "the user name at the issuer is 1 to 256 bytes, without control characters";
    Err(ServiceError::new(Kind::InvalidArgument, text))
}

/// By uid alone: whoever tries for another's name at the issuer keeps nobody from theirs, and the
/// issuer bars a name itself.
fn not_now(not_now: NotNow) -> ServiceError {
    match not_now {
        NotNow::UnderWay => {
            ServiceError::new(Kind::TooManyRequests, "another password is being tried")
        }
        NotNow::Barred => {
            let text = "too many wrong passwords just now; none is tried for a minute";
            ServiceError::new(Kind::TooManyAttempts, text)
        }
    }
}
