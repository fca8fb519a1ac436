//! What the service does around a device login: the client before it, the tokens after it, the
//! records of both.

use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use iamd_protocol::error::Kind;

use crate::{
    account::{ClientOwner, ClientRecord, Owner, State, ports::Tokens},
    audit,
    login::{Completion, Failure, Login, Progress, Request},
};

use super::{
    Service, ServiceError,
    clients::{Wish, told},
    plan::Plan,
};

impl Service {
    /// Starts the login of a plan, or joins the one that runs.
    pub(super) fn start_login(
        self: &Arc<Self>,
        owner: &Owner,
        plan: &Plan,
        caller_pid: Option<u32>,
    ) -> Result<Login, ServiceError> {
        let request = Request {
            key: plan.key.clone(),
            profile: plan.profile.clone(),
            scopes: plan.scopes.clone(),
            audiences: plan.audiences.clone(),
            client_owner: plan.client_owner.clone(),
            exists: plan.record.is_some(),
        };
        let completion = Arc::new(SignIn {
            service: Arc::clone(self),
            owner: owner.clone(),
            request: request.clone(),
            remarks: std::sync::Mutex::default(),
        });
        let most = self.config().limits.logins as usize;
        let login = self.logins.start(request, completion, most).map_err(|_| {
            let text = format!("{most} logins of yours are running, as many as this site allows");
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

    /// Forgets the client so that a new one is registered: the user's own, or the site's when
    /// the issuer does not accept it any more.
    pub(super) async fn forget_client(&self, plan: &Plan) -> Result<(), ServiceError> {
        let owner = &plan.client_owner;
        let broken = plan
            .record
            .as_ref()
            .is_some_and(|record| matches!(record.state, State::ClientBroken { .. }));
        match owner {
            ClientOwner::User(_) | ClientOwner::Own(..) => {}
            ClientOwner::Site if broken => {}
            ClientOwner::Fixed | ClientOwner::Public => {
                let text = "the client at this issuer is configured by the site; administrators: correct it in its issuer file";
                return Err(ServiceError::new(Kind::DeniedByPolicy, text));
            }
            ClientOwner::Given(..) => {
                let text = "you gave this account its client; to give it another one, remove the account and add it again";
                return Err(ServiceError::new(Kind::InvalidArgument, text));
            }
            ClientOwner::Site => {
                let text = "the client at this issuer is the site's; only the issuer's refusal of it makes a new one";
                return Err(ServiceError::new(Kind::DeniedByPolicy, text));
            }
        }
        Ok(self.vault.remove_client(owner, plan.profile.url.as_str()).await?)
    }
}

/// What a login does when it ends: the service's part of it.
struct SignIn {
    service: Arc<Service>,
    owner: Owner,
    request: Request,
    remarks: Mutex<Vec<String>>,
}

#[async_trait]
impl Completion for SignIn {
    async fn client(&self) -> Result<ClientRecord, Failure> {
        self.provide(None).await
    }

    async fn replace_client(&self, rejected: &ClientRecord) -> Result<ClientRecord, Failure> {
        self.provide(Some(rejected.client_id.as_str())).await
    }

    async fn signed_in(
        &self,
        client: &ClientRecord,
        tokens: Tokens,
    ) -> Result<(Option<String>, Vec<String>), Failure> {
        let subject = self.service.keep_sign_in(&self.owner, &self.request, client, tokens).await?;
        let mut remarks =
            std::mem::take(&mut *self.remarks.lock().unwrap_or_else(PoisonError::into_inner));
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
    async fn provide(&self, rejected: Option<&str>) -> Result<ClientRecord, Failure> {
        let Request { profile, scopes, client_owner, .. } = &self.request;
        let wish = Wish { scopes, name: None, initial_access_token: None };
        let uid = self.owner.uid;
        let provided = self.service.client(profile, client_owner, uid, &wish, rejected).await?;
        let mut remarks = self.remarks.lock().unwrap_or_else(PoisonError::into_inner);
        remarks.extend(told(&provided.left_out));
        Ok(provided.client)
    }
}
