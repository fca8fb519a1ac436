//! Logins as a caller sees them: started, watched, cancelled.

use std::{sync::Arc, time::Duration};

use iamd_protocol::{
    bus::{LoginInfo, LoginOptions, login_state},
    error::Kind,
};

use crate::{
    account::{AccountKey, AccountName, IssuerProfile},
    config::policy::Flow,
    login::{Login, Progress, Request},
};

use super::{About, Caller, Service, ServiceError, passphrases::locked, plan::Plan};

impl Service {
    /// Starts a login, or joins the running one; waits a moment for the code.
    ///
    /// # Errors
    /// Policy, quotas, arguments. What happens at the issuer is in the reply.
    pub async fn login(
        self: &Arc<Self>,
        caller: &Caller,
        named: &str,
        options: LoginOptions,
    ) -> Result<LoginInfo, ServiceError> {
        let mut about = About::of_login(&self.config(), named, &options);
        let result = self.begin_login(caller, named, options, &mut about).await;
        if let Err(error) = &result {
            self.note_denial(caller, &about, error);
        }
        result
    }

    async fn begin_login(
        self: &Arc<Self>,
        caller: &Caller,
        named: &str,
        options: LoginOptions,
        about: &mut About,
    ) -> Result<LoginInfo, ServiceError> {
        let _guard = self.enter(caller)?;
        let who = self.who(&caller.owner.user).await;
        let accounts = self.accounts(&caller.owner).await?;
        let mut plan = self.plan(&caller.owner, &accounts, named, &options)?;
        about.plans(&plan);
        if options.if_needed == Some(true)
            && let Some(record) =
                plan.record.as_ref().filter(|record| !self.wants_login(&who, record))
        {
            let subject = record.subject.as_ref().map(|subject| subject.sub.clone());
            return Ok(LoginInfo { subject, ..info(&plan.key, &plan.profile, login_state::DONE) });
        }
        if let Some(record) = plan.record.as_ref().filter(|record| record.is_locked()) {
            return Err(locked(record));
        }
        self.permit_login(&who, Flow::Device, &mut plan, &options)?;
        if let Some(running) = self.logins.request_of(&plan.key) {
            is_as_asked(&running, &plan, named, &options)?;
        } else {
            // Before a client is registered for it.
            self.takes_logins()?;
        }
        let new_client = match options.new_client {
            Some(true) => Some(self.new_client(&caller.owner.user, &plan).await?),
            _ => None,
        };
        let Login { request, mut progress, joined } =
            self.start_login(&caller.owner, &plan, new_client, caller.pid)?;
        if joined {
            is_as_asked(&request, &plan, named, &options)?;
        }
        // The user asked: the count of logins that nobody answered begins anew.
        if options.if_needed != Some(true) {
            self.update(&plan.key, |record| std::mem::take(&mut record.unanswered_logins) > 0)
                .await?;
        }
        // A shell that starts asks again, and gives up soon.
        let patience = if options.if_needed == Some(true) { 1 } else { 5 };
        let wait = self.clock.sleep(Duration::from_secs(patience));
        tokio::select! {
            () = wait => {}
            _ = progress.wait_for(|progress| !matches!(progress, Progress::Starting)) => {}
        }
        let now = progress.borrow().clone();
        Ok(reply(info(&plan.key, &request.profile, ""), &now))
    }

    /// The state of a login, after waiting up to `wait` for a change.
    ///
    /// # Errors
    /// No login, or no such account.
    pub async fn login_state(
        &self,
        caller: &Caller,
        named: &str,
        wait: Duration,
    ) -> Result<LoginInfo, ServiceError> {
        let _guard = self.enter(caller)?;
        let (key, issuer) = self.login_key(caller, named).await?;
        let Some(mut progress) = self.logins.of(&key) else {
            return Err(ServiceError::new(Kind::LoginRequired, "no login is running"));
        };
        progress.mark_unchanged();
        if !progress.borrow().is_over() {
            tokio::select! {
                () = self.clock.sleep(wait) => {}
                _ = progress.changed() => {}
            }
        }
        let profile = crate::policy::issuer(&self.config(), Some(&issuer), Some(key.uid))?;
        let base = LoginInfo {
            account: key.name.to_string(),
            issuer,
            issuer_title: profile.title,
            ..LoginInfo::default()
        };
        let now = progress.borrow().clone();
        Ok(reply(base, &now))
    }

    /// The logins of a uid that are running, by account.
    pub(super) fn running_logins(&self, uid: u32) -> Vec<LoginInfo> {
        let config = self.config();
        let mut names = self.logins.running_of(uid);
        names.sort();
        let infos = names.into_iter().filter_map(|name| {
            let key = AccountKey { uid, name };
            let progress = self.logins.of(&key)?.borrow().clone();
            let issuer = self.logins.issuer_of(&key)?;
            let profile = crate::policy::issuer(&config, Some(&issuer), Some(uid)).ok();
            let base = LoginInfo {
                account: key.name.to_string(),
                issuer_title: profile.map(|profile| profile.title).unwrap_or_default(),
                issuer,
                ..LoginInfo::default()
            };
            Some(reply(base, &progress))
        });
        // One may have ended since.
        infos
            .filter(|info| [login_state::STARTING, login_state::PENDING].contains(&&*info.state))
            .collect()
    }

    /// Ends a running login.
    ///
    /// # Errors
    /// No login is running.
    pub async fn cancel_login(&self, caller: &Caller, named: &str) -> Result<(), ServiceError> {
        let _guard = self.enter(caller)?;
        let (key, _) = self.login_key(caller, named).await?;
        if self.logins.cancel(&key) {
            return Ok(());
        }
        Err(ServiceError::new(Kind::LoginRequired, "no login is running"))
    }

    /// The account of a login and its issuer; it may not have a record yet.
    async fn login_key(
        &self,
        caller: &Caller,
        named: &str,
    ) -> Result<(AccountKey, String), ServiceError> {
        let accounts = self.accounts(&caller.owner).await?;
        let plan = self.plan(&caller.owner, &accounts, named, &LoginOptions::default());
        match plan {
            Ok(plan) => {
                // The login that runs may be for another issuer than a new one would be.
                let running = self.logins.issuer_of(&plan.key);
                Ok((plan.key, running.unwrap_or_else(|| plan.profile.url.into())))
            }
            Err(error) => {
                // A first login with an issuer and a name of the user's choice has no record.
                let name: AccountName = named.parse().map_err(|_| error.clone())?;
                let key = AccountKey { uid: caller.owner.uid, name };
                let issuer = self.logins.issuer_of(&key).ok_or(error)?;
                Ok((key, issuer))
            }
        }
    }
}

/// Whether a login that runs is the one that is asked for: what is named must be the same in both.
/// Who names nothing joins whatever runs.
fn is_as_asked(
    running: &Request,
    plan: &Plan,
    named: &str,
    options: &LoginOptions,
) -> Result<(), ServiceError> {
    let names = |list: &Option<Vec<String>>| list.as_ref().is_some_and(|list| !list.is_empty());
    let issuer = options.issuer.as_ref().is_some_and(|issuer| !issuer.is_empty());
    let differs = (issuer || named.contains("://")) && running.profile.url != plan.profile.url
        || names(&options.scopes) && running.scopes != plan.scopes
        || options.audiences.is_some() && running.audiences != plan.audiences
        || options.new_client == Some(true);
    if !differs {
        return Ok(());
    }
    let name = &plan.key.name;
    let audiences = match running.audiences.is_empty() {
        true => String::new(),
        false => format!(" and the audience {}", running.audiences),
    };
    let text = format!(
        "a login of the account {name} is running, at {} with the scopes {}{audiences}; to ask \
         for something else, cancel it first:  iamctl login --cancel {name}",
        running.profile.url, running.scopes
    );
    Err(ServiceError::new(Kind::LoginPending, text))
}

fn info(key: &AccountKey, profile: &IssuerProfile, state: &str) -> LoginInfo {
    LoginInfo {
        account: key.name.to_string(),
        issuer: profile.url.to_string(),
        issuer_title: profile.title.clone(),
        state: state.to_owned(),
        ..LoginInfo::default()
    }
}

fn reply(base: LoginInfo, progress: &Progress) -> LoginInfo {
    match progress {
        Progress::Starting => LoginInfo { state: login_state::STARTING.into(), ..base },
        Progress::Pending(prompt) => LoginInfo {
            state: login_state::PENDING.into(),
            user_code: Some(prompt.user_code.clone()),
            verification_uri: Some(prompt.verification_uri.clone()),
            verification_uri_complete: prompt.verification_uri_complete.clone(),
            expires_at: Some(prompt.expires_at.0),
            ..base
        },
        Progress::Done { subject, remarks } => LoginInfo {
            state: login_state::DONE.into(),
            subject: subject.clone(),
            remarks: remarks.clone(),
            ..base
        },
        Progress::Failed { kind, message } => LoginInfo {
            state: login_state::FAILED.into(),
            error: Some(kind.short_name().into()),
            message: Some(message.clone()),
            ..base
        },
    }
}
