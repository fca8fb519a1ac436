//! Signing in and out: which account, which issuer, one device login at a time, and what is done
//! with the tokens it brings.

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use iamd_protocol::{
    bus::{LoginInfo, LoginOptions, LogoutReply, login_state},
    error::Kind,
};
use tokio::sync::watch;

use crate::{
    account::{
        AccountKey, AccountName, AudienceSet, ClientOwner, ClientRecord, Event, IssuerProfile,
        Owner, Record, ScopeSet, State,
        ports::{LockOn, Tokens},
    },
    audit,
    login::{Completion, Failure, Progress, Request},
};

use super::{Caller, Service, ServiceError, accounts::Accounts};

/// Everything that is decided before the issuer is asked.
pub(super) struct Plan {
    pub(super) key: AccountKey,
    pub(super) profile: IssuerProfile,
    pub(super) scopes: ScopeSet,
    pub(super) audiences: AudienceSet,
    /// The account as it is, where it exists.
    pub(super) record: Option<Record>,
}

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
        let result = self.begin_login(caller, named, options).await;
        if let Err(error) = &result {
            self.note_denial(caller, named, error);
        }
        result
    }

    async fn begin_login(
        self: &Arc<Self>,
        caller: &Caller,
        named: &str,
        options: LoginOptions,
    ) -> Result<LoginInfo, ServiceError> {
        let _guard = self.enter(caller)?;
        let accounts = self.accounts(&caller.owner).await?;
        let plan = self.plan(&caller.owner, &accounts, named, &options)?;
        if options.if_needed == Some(true)
            && let Some(record) = plan.record.as_ref().filter(|record| !record.state.wants_login())
        {
            let subject = record.subject.as_ref().map(|s| s.name.clone().unwrap_or(s.sub.clone()));
            return Ok(LoginInfo { subject, ..info(&plan, login_state::DONE) });
        }
        if options.new_client == Some(true) {
            self.forget_client(&plan).await?;
        }
        let mut progress = self.start_login(&caller.owner, &plan, audit_pid(caller))?;
        // The user asked: the count of logins that nobody answered begins anew.
        self.update(&plan.key, |record| std::mem::take(&mut record.unanswered_logins) > 0).await?;
        let wait = self.clock.sleep(Duration::from_secs(5));
        tokio::select! {
            () = wait => {}
            _ = progress.wait_for(|progress| !matches!(progress, Progress::Starting)) => {}
        }
        let now = progress.borrow().clone();
        Ok(reply(info(&plan, ""), &now))
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
        let profile = crate::policy::issuer(&self.config(), Some(&issuer))?;
        let base = LoginInfo {
            account: key.name.to_string(),
            issuer,
            issuer_title: profile.title,
            ..LoginInfo::default()
        };
        let now = progress.borrow().clone();
        Ok(reply(base, &now))
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

    /// Signs out: revokes the refresh token at the issuer, forgets every token, removes the file.
    ///
    /// # Errors
    /// No such account, or the store. A revocation that fails is a remark: here the token is gone.
    pub async fn logout(&self, caller: &Caller, named: &str) -> Result<LogoutReply, ServiceError> {
        let _guard = self.enter(caller)?;
        let accounts = self.accounts(&caller.owner).await?;
        let record = accounts.find(named, self.config().default_profile())?.value.clone();
        let key = record.key();
        self.logins.cancel(&key);
        let mut reply = LogoutReply { account: key.name.to_string(), ..LogoutReply::default() };
        let lock = self.vault.lock(LockOn::Account(key.clone())).await?;
        // Again under the lock: a refresh may have rotated the token.
        let Some(stored) = self.vault.account(&key).await? else { return Ok(reply) };
        let old = stored.value.clone();
        let mut record = stored.value;
        record.state = record.state.after(Event::SignedOut);
        record.refresh_token = None;
        record.access_token = None;
        record.refresh_expires_at = None;
        self.vault.save_account(&record, stored.revision).await?;
        drop(lock);
        self.broker.forget(&key);
        self.presence.forget(&key);
        match self.revoke(&old).await {
            Ok(revoked) => reply.revoked = revoked,
            Err(error) => reply.remarks.push(format!(
                "the issuer did not confirm the revocation: {error}; the token ends by itself"
            )),
        }
        self.audit.record(
            audit::Kind::SignOut,
            &audit::Event {
                uid: caller.owner.uid,
                account: key.name.as_str(),
                issuer: &old.issuer,
                caller_pid: caller.pid,
                result: if reply.revoked { "ok" } else { "not-revoked" },
                ..audit::Event::default()
            },
        );
        Ok(reply)
    }

    /// Revokes the refresh token of a record; `false` when it has none.
    async fn revoke(&self, record: &Record) -> Result<bool, ServiceError> {
        let Some(token) = &record.refresh_token else { return Ok(false) };
        let profile = self.profile_of(record)?;
        let client = match &record.client_owner {
            ClientOwner::Fixed => self.issuers.fixed_client(&profile).await?,
            owner => match self.vault.client(owner, &record.issuer).await? {
                Some(client) => client.value,
                None => return Ok(false),
            },
        };
        if record.client_id.as_ref() != Some(&client.client_id) {
            return Ok(false);
        }
        self.issuers.revoke(&profile, &client, token).await?;
        Ok(true)
    }

    /// Decides which account a login is for, and what it asks for.
    pub(super) fn plan(
        &self,
        owner: &Owner,
        accounts: &Accounts,
        named: &str,
        options: &LoginOptions,
    ) -> Result<Plan, ServiceError> {
        let config = self.config();
        let issuer = options.issuer.as_deref().filter(|text| !text.is_empty());
        let by_url = named.contains("://").then_some(named);
        let wanted = match issuer.or(by_url) {
            Some(issuer) => Some(crate::policy::issuer(&config, Some(issuer))?),
            None => None,
        };
        let existing = match (&wanted, named.is_empty() || by_url.is_some()) {
            (Some(profile), true) => {
                accounts.open.iter().find(|account| account.value.issuer == profile.url.as_str())
            }
            (_, true) => accounts.find("", config.default_profile()).ok(),
            (_, false) => match accounts.find(named, config.default_profile()) {
                Err(error) if error.kind != Kind::NoSuchAccount => return Err(error),
                found => found.ok(),
            },
        };
        let record = existing.map(|account| account.value.clone());
        let profile = match (&record, wanted) {
            (Some(record), Some(profile)) if record.issuer != profile.url.as_str() => {
                let text = format!("the account {} is at {}", record.name, record.issuer);
                return Err(ServiceError::new(Kind::InvalidArgument, text));
            }
            (_, Some(profile)) => profile,
            (Some(record), None) => self.profile_of(record)?,
            // A new name that is an issuer's means that issuer.
            (None, None) if config.issuers.contains_key(named) => {
                crate::policy::issuer(&config, Some(named))?
            }
            (None, None) => crate::policy::issuer(&config, None)?,
        };
        let name: AccountName = match &record {
            Some(record) => record.name.clone(),
            None if named.is_empty() || by_url.is_some() => free_name(&profile, accounts)?,
            None => named.parse()?,
        };
        if record.is_none() {
            self.may_add(owner.uid, accounts, &name)?;
        }
        let scopes = match &options.scopes {
            Some(scopes) if !scopes.is_empty() => {
                ScopeSet::parse(scopes)?.with("openid").with("offline_access")
            }
            _ => record
                .as_ref()
                .map(|record| record.scopes_asked.clone())
                .filter(|scopes| !scopes.is_empty())
                .unwrap_or_else(|| profile.scopes.clone()),
        };
        let audiences = match &options.audiences {
            Some(audiences) => AudienceSet::parse(audiences)?,
            None => record
                .as_ref()
                .map_or_else(|| profile.audiences.clone(), |record| record.audiences.clone()),
        };
        let key = AccountKey { uid: owner.uid, name };
        Ok(Plan { key, profile, scopes, audiences, record })
    }

    /// Starts the login of a plan, or joins the one that runs.
    pub(super) fn start_login(
        self: &Arc<Self>,
        owner: &Owner,
        plan: &Plan,
        caller_pid: Option<u32>,
    ) -> Result<watch::Receiver<Progress>, ServiceError> {
        let request = Request {
            key: plan.key.clone(),
            profile: plan.profile.clone(),
            scopes: plan.scopes.clone(),
            audiences: plan.audiences.clone(),
        };
        let completion = Arc::new(SignIn {
            service: Arc::clone(self),
            owner: owner.clone(),
            request: request.clone(),
            remarks: std::sync::Mutex::default(),
        });
        let joined = self.logins.pending(&plan.key).is_some();
        let most = self.config().limits.logins as usize;
        let progress = self.logins.start(request, completion, most).map_err(|_| {
            let text = format!("{most} logins of yours are running, as many as this site allows");
            ServiceError::new(Kind::TooManyLogins, text)
        })?;
        if !joined {
            self.audit.record(
                audit::Kind::LoginStarted,
                &audit::Event {
                    uid: owner.uid,
                    account: plan.key.name.as_str(),
                    issuer: plan.profile.url.as_str(),
                    scopes: plan.scopes.to_string(),
                    audience: plan.audiences.to_string(),
                    caller_pid,
                    result: "ok",
                    ..audit::Event::default()
                },
            );
        }
        Ok(progress)
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
            Ok(plan) => Ok((plan.key, plan.profile.url.into())),
            Err(error) => {
                // A first login with an issuer and a name of the user's choice has no record.
                let name: AccountName = named.parse().map_err(|_| error.clone())?;
                let key = AccountKey { uid: caller.owner.uid, name };
                let issuer = self.logins.issuer_of(&key).ok_or(error)?;
                Ok((key, issuer))
            }
        }
    }

    /// Forgets the client so that a new one is registered: the user's own, or the site's when
    /// the issuer does not accept it any more.
    async fn forget_client(&self, plan: &Plan) -> Result<(), ServiceError> {
        let owner = Self::client_owner(&plan.profile, plan.key.uid);
        let broken = plan
            .record
            .as_ref()
            .is_some_and(|record| matches!(record.state, State::ClientBroken { .. }));
        match owner {
            ClientOwner::User(_) => {}
            ClientOwner::Site if broken => {}
            ClientOwner::Site | ClientOwner::Fixed => {
                let text = "the client at this issuer is the site's; only the issuer's refusal of it makes a new one";
                return Err(ServiceError::new(Kind::DeniedByPolicy, text));
            }
        }
        Ok(self.vault.remove_client(&owner, plan.profile.url.as_str()).await?)
    }
}

/// What a login does when it ends: the service's part of it.
struct SignIn {
    service: Arc<Service>,
    owner: Owner,
    request: Request,
    remarks: std::sync::Mutex<Vec<String>>,
}

#[async_trait]
impl Completion for SignIn {
    async fn client(&self) -> Result<ClientRecord, Failure> {
        let provided = self.service.client(&self.request.profile, self.owner.uid, None).await?;
        self.remark(&provided.left_out);
        Ok(provided.client)
    }

    async fn replace_client(&self, rejected: &ClientRecord) -> Result<ClientRecord, Failure> {
        if rejected.owner == ClientOwner::Fixed {
            let text = format!("{} does not accept this site's client", self.request.profile.title);
            return Err(Failure::new(Kind::ClientBroken, text));
        }
        let rejected = Some(rejected.client_id.as_str());
        let provided = self.service.client(&self.request.profile, self.owner.uid, rejected).await?;
        self.remark(&provided.left_out);
        Ok(provided.client)
    }

    async fn signed_in(
        &self,
        client: &ClientRecord,
        tokens: Tokens,
    ) -> Result<(Option<String>, Vec<String>), Failure> {
        let subject = self.service.keep_sign_in(&self.owner, &self.request, client, tokens).await?;
        let mut remarks = std::mem::take(
            &mut *self.remarks.lock().unwrap_or_else(std::sync::PoisonError::into_inner),
        );
        remarks.extend(subject.1);
        Ok((subject.0, remarks))
    }

    async fn unanswered(&self) {
        self.service.count_unanswered(&self.owner, &self.request).await;
    }

    async fn over(&self, progress: &Progress) {
        if let Progress::Failed { kind, message } = progress {
            self.service.audit.record(
                audit::Kind::LoginFailed,
                &audit::Event {
                    uid: self.owner.uid,
                    account: self.request.key.name.as_str(),
                    issuer: self.request.profile.url.as_str(),
                    result: kind.short_name(),
                    detail: message.clone(),
                    ..audit::Event::default()
                },
            );
        }
    }
}

impl SignIn {
    fn remark(&self, left_out: &ScopeSet) {
        if !left_out.is_empty() {
            let text = format!("the issuer did not register the client for: {left_out}");
            self.remarks.lock().unwrap_or_else(std::sync::PoisonError::into_inner).push(text);
        }
    }
}

fn audit_pid(caller: &Caller) -> Option<u32> {
    caller.pid
}

/// The issuer's name, or with a number behind it where that is taken.
fn free_name(profile: &IssuerProfile, accounts: &Accounts) -> Result<AccountName, ServiceError> {
    let fits = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || "._-".contains(c);
    let base: String = profile.name.chars().filter(|c| fits(*c)).take(28).collect();
    let taken = |name: &str| {
        accounts.open.iter().any(|account| account.value.name.as_str() == name)
            || accounts.unreadable.iter().any(|(other, _)| other.as_str() == name)
    };
    let numbered = (2..1000).map(|number| format!("{base}-{number}"));
    let free = std::iter::once(base.clone()).chain(numbered).find(|name| !taken(name));
    Ok(free.unwrap_or(base).parse()?)
}

fn info(plan: &Plan, state: &str) -> LoginInfo {
    LoginInfo {
        account: plan.key.name.to_string(),
        issuer: plan.profile.url.to_string(),
        issuer_title: plan.profile.title.clone(),
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
