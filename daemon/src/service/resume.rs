//! Device logins outlive the daemon. A code that a user was shown goes on being asked for after a
//! restart; one that has ended, or whose sign-in has come already, does not.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use super::{Service, completion::SignIn, new_client::Fresh};
use crate::{
    account::{
        ClientRecord, PendingLogin,
        ports::{DeviceAuthorization, Stored, VaultError},
    },
    login::{Claim, Request, TooMany},
};

impl SignIn {
    /// Keeps the login. Without that it ends with the daemon, and goes on until then.
    pub(super) async fn keep_login(&self, client: &ClientRecord, device: &DeviceAuthorization) {
        let Request {
            key,
            profile,
            scopes,
            audiences,
            client_owner,
            replaces,
            exists,
            caller_pid: _,
            claim: _,
        } = &self.request_now();
        let now = self.service.clock.wall();
        let login = PendingLogin {
            owner: self.owner.clone(),
            name: key.name.clone(),
            exists: *exists,
            issuer: profile.url.to_string(),
            scopes: scopes.clone(),
            audiences: audiences.clone(),
            client_owner: client_owner.clone(),
            client: client.clone(),
            client_is_new: self.fresh.is_some(),
            replaces: replaces.clone(),
            device_code: device.device_code.clone(),
            user_code: device.user_code.clone(),
            verification_uri: device.verification_uri.clone(),
            verification_uri_complete: device.verification_uri_complete.clone(),
            interval_seconds: device.interval.as_secs(),
            since: now,
            expires_at: now.plus(device.expires_in),
            remarks: self.remarks.lock().unwrap_or_else(PoisonError::into_inner).clone(),
        };
        match self.service.vault.save_login(&login).await {
            Ok(revision) => {
                *self.kept.lock().unwrap_or_else(PoisonError::into_inner) = Some(revision);
            }
            Err(error) => {
                tracing::warn!(uid = key.uid, account = %key.name, %error, "a login is not kept, it would end with iamd: {error}");
            }
        }
    }

    /// It is over.
    pub(super) async fn forget_login(&self) {
        let kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner).take();
        let Some(revision) = kept else { return };
        match self.service.vault.remove_login(&self.request.key, revision).await {
            // Another one took its place.
            Ok(()) | Err(VaultError::Conflict) => {}
            Err(error) => {
                tracing::warn!(uid = self.owner.uid, account = %self.request.key.name, %error, "a login that is over is kept: {error}");
            }
        }
    }
}

impl Service {
    /// Goes on with the logins that waited when the daemon ended. To be called before anybody can
    /// start one.
    pub async fn resume_logins(self: &Arc<Self>) {
        let logins = match self.vault.logins().await {
            Ok(logins) => logins,
            Err(error) => {
                tracing::warn!(%error, "logins from before the start cannot be read: {error}");
                return;
            }
        };
        for login in logins {
            self.resume_login(login).await;
        }
    }

    async fn resume_login(self: &Arc<Self>, login: Stored<PendingLogin>) {
        let Stored { value: login, revision } = login;
        let key = login.key();
        let profile = match self.fit_to_resume(&login).await {
            Ok(profile) => profile,
            Err(why) => {
                tracing::info!(uid = key.uid, account = %key.name, "a login from before the start is over: {why}");
                if let Err(error) = self.vault.remove_login(&key, revision).await {
                    tracing::warn!(uid = key.uid, account = %key.name, %error, "a login that is over is kept: {error}");
                }
                self.drop_new_client(login).await;
                return;
            }
        };
        let left = login.expires_at.after(self.clock.wall());
        let device = DeviceAuthorization {
            device_code: login.device_code,
            user_code: login.user_code,
            verification_uri: login.verification_uri,
            verification_uri_complete: login.verification_uri_complete,
            expires_in: left,
            interval: Duration::from_secs(login.interval_seconds),
        };
        let request = Request {
            key: key.clone(),
            profile,
            scopes: login.scopes,
            audiences: login.audiences,
            client_owner: login.client_owner,
            replaces: login.replaces,
            exists: login.exists,
            caller_pid: None,
            claim: Claim::default(),
        };
        let completion = SignIn {
            narrower: None,
            narrowed: Mutex::default(),
            service: Arc::clone(self),
            owner: login.owner,
            request: request.clone(),
            rejected: None,
            fresh: login.client_is_new.then(|| Fresh::of(login.client.clone())),
            remarks: Mutex::new(login.remarks),
            kept: Mutex::new(Some(revision)),
            client_id: Mutex::new(Some(login.client.client_id.clone())),
        };
        // They were within the quota when they began.
        let code = (login.client, device);
        match self.logins.resume(request, Arc::new(completion), code, usize::MAX) {
            Ok(_) => {
                tracing::info!(uid = key.uid, account = %key.name, "a login from before the start goes on");
            }
            Err(TooMany) => {
                tracing::warn!(uid = key.uid, account = %key.name, "a login from before the start does not go on");
            }
        }
    }

    /// The issuer of a login that can go on, or why it cannot.
    async fn fit_to_resume(
        &self,
        login: &PendingLogin,
    ) -> Result<crate::account::IssuerProfile, String> {
        if login.expires_at <= self.clock.wall() {
            return Err("its code has ended".to_owned());
        }
        let account = self.vault.account(&login.key()).await.map_err(|error| error.to_string())?;
        if let Some(Stored { value: record, .. }) = account {
            // Asked for once more, the issuer would take back what it gave for this code.
            if record.signed_in_at.is_some_and(|at| at >= login.since) {
                return Err("the sign-in has come".to_owned());
            }
            if record.is_locked() {
                return Err("the account is locked".to_owned());
            }
        }
        let uid = Some(login.key().uid);
        let profile = crate::policy::issuer(&self.config(), Some(&login.issuer), uid);
        profile.map_err(|refusal| refusal.to_string())
    }

    /// The client of a login that does not go on, where the account did not come to use it.
    async fn drop_new_client(&self, login: PendingLogin) {
        if !login.client_is_new {
            return;
        }
        let account = self.vault.account(&login.key()).await;
        let client = &login.client;
        let used = match &account {
            Ok(account) => account
                .as_ref()
                .is_some_and(|account| account.value.client_id.as_ref() == Some(&client.client_id)),
            // The journal has it still: it is looked at again at the next start.
            Err(_) => return,
        };
        if used {
            return self.settled(client).await;
        }
        let uid = Some(login.key().uid);
        let profile = crate::policy::issuer(&self.config(), Some(&login.issuer), uid);
        let profile = profile.as_ref().map_err(|refusal| refusal.clone().into());
        self.delete_or_keep(profile, client).await;
    }
}
