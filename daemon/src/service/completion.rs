//! What the service does around a device login: the client before it, the tokens after it, the
//! records of both.

use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use iamd_protocol::error::Kind;

use crate::{
    account::{
        ClientRecord, Owner, ScopeSet,
        ports::{DeviceAuthorization, Revision, Tokens},
    },
    audit,
    config::policy::Key,
    login::{Claim, Completion, Failure, Login, Progress, Request},
};

use super::{
    Service, ServiceError,
    clients::{Provided, Wish, told},
    new_client::{Fresh, NewClient},
    plan::Plan,
};

impl Service {
    /// Starts the login of a plan, or joins the one that runs.
    pub(super) fn start_login(
        self: &Arc<Self>,
        owner: &Owner,
        plan: &Plan,
        new_client: Option<NewClient>,
        caller_pid: Option<u32>,
    ) -> Result<Login, ServiceError> {
        if self.logins.request_of(&plan.key).is_none() {
            self.takes_logins()?;
            let (most, now) = (self.config().limits.login_starts, self.clock.monotonic());
            self.login_starts
                .count(owner.uid, most, now)
                .map_err(ServiceError::too_many_login_starts)?;
        }
        let (rejected, fresh, replaces) = match new_client {
            None => (None, None, None),
            Some(NewClient::InPlaceOf(id)) => (Some(id), None, None),
            Some(NewClient::Own(before)) => (None, Some(Fresh::default()), before),
        };
        let request = Request {
            key: plan.key.clone(),
            profile: plan.profile.clone(),
            scopes: plan.scopes.clone(),
            audiences: plan.audiences.clone(),
            client_owner: plan.client_owner.clone(),
            replaces: replaces.map(|before| *before),
            exists: plan.record.is_some(),
            caller_pid: None,
            claim: Claim::default(),
        };
        let completion = Arc::new(SignIn {
            service: Arc::clone(self),
            owner: owner.clone(),
            request: request.clone(),
            rejected,
            fresh,
            narrower: (plan.usual.as_ref())
                .map(|usual| usual.filtered(|scope| plan.scopes.contains(scope))),
            narrowed: Mutex::default(),
            remarks: Mutex::new(plan.remarks.clone()),
            kept: Mutex::default(),
            client_id: Mutex::default(),
        });
        let most = self.most(&owner.user, Key::Logins) as usize;
        let login = self.logins.start(request, completion, most).map_err(|_| {
            self.login_starts.take_back(owner.uid);
            let text = format!("as many logins of yours are running as this site allows: {most}");
            ServiceError::new(Kind::TooManyLogins, text)
        })?;
        if !login.joined {
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
        Ok(login)
    }
}

/// What a login does when it ends: the service's part of it.
pub(super) struct SignIn {
    pub(super) service: Arc<Service>,
    pub(super) owner: Owner,
    pub(super) request: Request,
    /// The client that the issuer refused before this login.
    pub(super) rejected: Option<String>,
    /// The client that the account is to have for itself from this login on.
    pub(super) fresh: Option<Fresh>,
    /// What to ask for where the issuer does not let this client ask for all that is asked.
    pub(super) narrower: Option<ScopeSet>,
    /// What was asked for then.
    pub(super) narrowed: Mutex<Option<ScopeSet>>,
    pub(super) remarks: Mutex<Vec<String>>,
    /// Where the login is kept.
    pub(super) kept: Mutex<Option<Revision>>,
    /// The client that it went to the issuer with, as far as it came.
    pub(super) client_id: Mutex<Option<String>>,
}

#[async_trait]
impl Completion for SignIn {
    async fn client(&self) -> Result<ClientRecord, Failure> {
        match &self.fresh {
            Some(fresh) => {
                let provided = self.service.register_fresh(&self.owner, &self.request, fresh);
                Ok(self.remark(provided.await?))
            }
            None => self.provide(self.rejected.as_deref()).await,
        }
    }

    async fn prompted(&self, client: &ClientRecord, device: &DeviceAuthorization) {
        self.keep_login(client, device).await;
    }

    async fn replace_client(&self, rejected: &ClientRecord) -> Result<ClientRecord, Failure> {
        if self.fresh.is_some() {
            let text = format!(
                "{} does not accept the client that it registered just now",
                self.request.profile.title
            );
            return Err(Failure::new(Kind::ClientRefused, text));
        }
        self.provide(Some(rejected.client_id.as_str())).await
    }

    async fn cancelled(&self) {
        self.forget_login().await;
    }

    async fn make_room(&self) -> Result<(), Failure> {
        let made = self.service.vault.make_room().await;
        made.map_err(|error| ServiceError::from(error).into())
    }

    async fn signed_in(
        &self,
        client: &ClientRecord,
        tokens: Tokens,
    ) -> Result<(Option<String>, Vec<String>), Failure> {
        let (owner, request) = (&self.owner, &self.request_now());
        let subject = match &self.fresh {
            Some(fresh) => {
                self.service.keep_with_fresh(owner, request, fresh, client, tokens).await?
            }
            None => self.service.keep_sign_in(owner, request, client, tokens).await?,
        };
        let mut remarks =
            std::mem::take(&mut *self.remarks.lock().unwrap_or_else(PoisonError::into_inner));
        remarks.extend(subject.1);
        Ok((subject.0, remarks))
    }

    fn narrower(&self) -> Option<ScopeSet> {
        let usual = self.narrower.clone()?;
        let left_out = self.request.scopes.missing_from(&usual);
        let remark =
            format!("the issuer does not let this client ask for all of it; left out: {left_out}");
        self.remarks.lock().unwrap_or_else(PoisonError::into_inner).push(remark);
        *self.narrowed.lock().unwrap_or_else(PoisonError::into_inner) = Some(usual.clone());
        Some(usual)
    }

    async fn unanswered(&self) {
        self.service.count_unanswered(&self.owner, &self.request).await;
    }

    async fn over(&self, mut progress: Progress) -> Progress {
        self.forget_login().await;
        if let Some(fresh) = &self.fresh {
            self.service.give_up_fresh(&self.request.profile, fresh);
        }
        if let Progress::Failed { kind, message } = &mut progress {
            if *kind == Kind::ClientBroken {
                let Request { key, client_owner, .. } = &self.request;
                *kind = self.service.refusal_now(key, client_owner, &self.owner.user).await;
            }
            let request = self.request_now();
            let client = self.client_id.lock().unwrap_or_else(PoisonError::into_inner).clone();
            self.service.audit.record(
                audit::Kind::LoginFailed,
                &audit::Event {
                    uid: self.owner.uid,
                    account: request.key.name.as_str(),
                    issuer: request.profile.url.as_str(),
                    client: client.as_deref().unwrap_or_default(),
                    scopes: request.scopes.to_string(),
                    audience: request.audiences.to_string(),
                    result: kind.short_name(),
                    detail: message.clone(),
                    ..audit::Event::default()
                },
            );
        }
        progress
    }
}

impl SignIn {
    /// What is asked for, as far as the issuer lets it be.
    pub(super) fn request_now(&self) -> Request {
        let mut request = self.request.clone();
        let narrowed = self.narrowed.lock().unwrap_or_else(PoisonError::into_inner).clone();
        request.scopes = narrowed.unwrap_or(request.scopes);
        request
    }

    async fn provide(&self, rejected: Option<&str>) -> Result<ClientRecord, Failure> {
        let Request { profile, scopes, client_owner, .. } = &self.request;
        let wish = Wish { scopes, name: None, initial_access_token: None };
        let provided =
            self.service.client(profile, client_owner, &self.owner, &wish, rejected).await?;
        Ok(self.remark(provided))
    }

    /// The client; what the issuer left out is said with the result.
    fn remark(&self, provided: Provided) -> ClientRecord {
        let mut remarks = self.remarks.lock().unwrap_or_else(PoisonError::into_inner);
        remarks.extend(told(&provided.left_out));
        let id = provided.client.client_id.clone();
        *self.client_id.lock().unwrap_or_else(PoisonError::into_inner) = Some(id);
        provided.client
    }
}
