//! `org.iamd1.Accounts`.

use std::{collections::HashMap, sync::Arc, time::Duration};

use iamd_protocol::bus::{
    AccountInfo, AccountSecrets, AddOptions, ChangeReply, EditOptions, Finding, IssuerInfo,
    LONGEST_WAIT_MS, LoginInfo, LoginOptions, LogoutReply, RemoveOptions, RemoveReply, StatusReply,
    UnlockOptions, secret,
};
use secrecy::ExposeSecret as _;
use zbus::{Connection, OwnedFd, interface, message::Header};

use super::{
    BusError, Callers,
    secrets::{read_handed, read_secret, read_secrets},
};
use crate::service::{Caller, Service};

pub(super) struct Accounts {
    service: Arc<Service>,
    callers: Callers,
}

impl Accounts {
    pub(super) fn new(service: Arc<Service>, callers: Callers) -> Self {
        Self { service, callers }
    }

    async fn caller(
        &self,
        header: &Header<'_>,
        connection: &Connection,
    ) -> Result<Caller, BusError> {
        self.callers.of(header, connection, &self.service).await
    }
}

#[interface(name = "org.iamd1.Accounts")]
impl Accounts {
    /// The caller's accounts.
    async fn list(
        &self,
        #[zbus(header)] header: Header<'_>,
        #[zbus(connection)] connection: &Connection,
    ) -> Result<Vec<AccountInfo>, BusError> {
        let caller = self.caller(&header, connection).await?;
        Ok(self.service.list(&caller).await?)
    }

    /// One of the caller's accounts.
    async fn show(
        &self,
        account: &str,
        #[zbus(header)] header: Header<'_>,
        #[zbus(connection)] connection: &Connection,
    ) -> Result<AccountInfo, BusError> {
        let caller = self.caller(&header, connection).await?;
        Ok(self.service.show(&caller, account).await?)
    }

    /// Makes an account.
    async fn add(
        &self,
        account: &str,
        options: AddOptions,
        secrets: HashMap<String, OwnedFd>,
        #[zbus(header)] header: Header<'_>,
        #[zbus(connection)] connection: &Connection,
    ) -> Result<ChangeReply, BusError> {
        let caller = self.caller(&header, connection).await?;
        let guard = self.service.admit(caller.owner.uid)?;
        let handed = read_handed(secrets).await?;
        drop(guard);
        Ok(self.service.add(&caller, account, options, handed).await?)
    }

    /// Changes an account.
    async fn edit(
        &self,
        account: &str,
        options: EditOptions,
        #[zbus(header)] header: Header<'_>,
        #[zbus(connection)] connection: &Connection,
    ) -> Result<ChangeReply, BusError> {
        let caller = self.caller(&header, connection).await?;
        Ok(self.service.edit(&caller, account, options).await?)
    }

    /// Gives an account another name.
    async fn rename(
        &self,
        account: &str,
        new_name: &str,
        #[zbus(header)] header: Header<'_>,
        #[zbus(connection)] connection: &Connection,
    ) -> Result<ChangeReply, BusError> {
        let caller = self.caller(&header, connection).await?;
        Ok(self.service.rename(&caller, account, new_name).await?)
    }

    /// Makes an account the one that is meant when none is named.
    async fn set_default(
        &self,
        account: &str,
        #[zbus(header)] header: Header<'_>,
        #[zbus(connection)] connection: &Connection,
    ) -> Result<ChangeReply, BusError> {
        let caller = self.caller(&header, connection).await?;
        Ok(self.service.set_default(&caller, account).await?)
    }

    /// Removes an account.
    async fn remove(
        &self,
        account: &str,
        options: RemoveOptions,
        #[zbus(header)] header: Header<'_>,
        #[zbus(connection)] connection: &Connection,
    ) -> Result<RemoveReply, BusError> {
        let caller = self.caller(&header, connection).await?;
        Ok(self.service.remove(&caller, account, options).await?)
    }

    /// The secrets of an account, where the site allows it.
    async fn secrets(
        &self,
        account: &str,
        #[zbus(header)] header: Header<'_>,
        #[zbus(connection)] connection: &Connection,
    ) -> Result<AccountSecrets, BusError> {
        let caller = self.caller(&header, connection).await?;
        Ok(self.service.secrets(&caller, account).await?)
    }

    /// Starts a login, or joins the one that runs.
    async fn login(
        &self,
        account: &str,
        options: LoginOptions,
        #[zbus(header)] header: Header<'_>,
        #[zbus(connection)] connection: &Connection,
    ) -> Result<LoginInfo, BusError> {
        let caller = self.caller(&header, connection).await?;
        Ok(self.service.login(&caller, account, options).await?)
    }

    /// Signs in by user name and password, which are read from pipes; without a password, says whether
    /// that is possible.
    async fn login_with_password(
        &self,
        account: &str,
        options: LoginOptions,
        secrets: HashMap<String, OwnedFd>,
        #[zbus(header)] header: Header<'_>,
        #[zbus(connection)] connection: &Connection,
    ) -> Result<LoginInfo, BusError> {
        let caller = self.caller(&header, connection).await?;
        let counted = self.service.admit(caller.owner.uid)?;
        let [user_name, password] =
            read_secrets(secrets, [secret::USER_NAME, secret::PASSWORD]).await?;
        drop(counted);
        let user_name = user_name.as_ref().map_or("", |name| name.expose_secret());
        let login =
            self.service.login_with_password(&caller, account, options, user_name, password).await;
        Ok(login?)
    }

    /// The state of a login, after waiting so long for a change.
    async fn login_state(
        &self,
        account: &str,
        wait_ms: u32,
        #[zbus(header)] header: Header<'_>,
        #[zbus(connection)] connection: &Connection,
    ) -> Result<LoginInfo, BusError> {
        let caller = self.caller(&header, connection).await?;
        let wait = Duration::from_millis(wait_ms.min(LONGEST_WAIT_MS).into());
        Ok(self.service.login_state(&caller, account, wait).await?)
    }

    /// Ends a running login.
    async fn cancel_login(
        &self,
        account: &str,
        #[zbus(header)] header: Header<'_>,
        #[zbus(connection)] connection: &Connection,
    ) -> Result<(), BusError> {
        let caller = self.caller(&header, connection).await?;
        Ok(self.service.cancel_login(&caller, account).await?)
    }

    /// Signs out.
    async fn logout(
        &self,
        account: &str,
        #[zbus(header)] header: Header<'_>,
        #[zbus(connection)] connection: &Connection,
    ) -> Result<LogoutReply, BusError> {
        let caller = self.caller(&header, connection).await?;
        Ok(self.service.logout(&caller, account).await?)
    }

    /// Locks an account that has a passphrase.
    async fn lock(
        &self,
        account: &str,
        #[zbus(header)] header: Header<'_>,
        #[zbus(connection)] connection: &Connection,
    ) -> Result<(), BusError> {
        let caller = self.caller(&header, connection).await?;
        Ok(self.service.lock(&caller, account).await?)
    }

    /// Unlocks an account with its passphrase, which is read from a pipe.
    async fn unlock(
        &self,
        account: &str,
        options: UnlockOptions,
        passphrase: OwnedFd,
        #[zbus(header)] header: Header<'_>,
        #[zbus(connection)] connection: &Connection,
    ) -> Result<(), BusError> {
        let caller = self.caller(&header, connection).await?;
        let counted = self.service.admit(caller.owner.uid)?;
        let passphrase = read_secret(passphrase.into()).await?;
        drop(counted);
        Ok(self.service.unlock(&caller, account, options, passphrase).await?)
    }

    /// Sets, changes or takes off the passphrase of an account.
    async fn set_passphrase(
        &self,
        account: &str,
        secrets: HashMap<String, OwnedFd>,
        #[zbus(header)] header: Header<'_>,
        #[zbus(connection)] connection: &Connection,
    ) -> Result<ChangeReply, BusError> {
        let caller = self.caller(&header, connection).await?;
        let counted = self.service.admit(caller.owner.uid)?;
        let names = [secret::PASSPHRASE, secret::NEW_PASSPHRASE];
        let [present, new] = read_secrets(secrets, names).await?;
        drop(counted);
        Ok(self.service.set_passphrase(&caller, account, present, new).await?)
    }

    /// Switches the notice at login on or off.
    async fn set_notice(
        &self,
        on: bool,
        #[zbus(header)] header: Header<'_>,
        #[zbus(connection)] connection: &Connection,
    ) -> Result<(), BusError> {
        let caller = self.caller(&header, connection).await?;
        Ok(self.service.set_notice(&caller, on).await?)
    }

    /// The caller's sessions and settings.
    async fn status(
        &self,
        #[zbus(header)] header: Header<'_>,
        #[zbus(connection)] connection: &Connection,
    ) -> Result<StatusReply, BusError> {
        let caller = self.caller(&header, connection).await?;
        Ok(self.service.status(&caller).await?)
    }

    /// The issuers that the site lists.
    async fn issuers(
        &self,
        #[zbus(header)] header: Header<'_>,
        #[zbus(connection)] connection: &Connection,
    ) -> Result<Vec<IssuerInfo>, BusError> {
        let caller = self.caller(&header, connection).await?;
        Ok(self.service.issuers(&caller).await?)
    }

    /// One issuer, asked now.
    async fn issuer(
        &self,
        issuer: &str,
        #[zbus(header)] header: Header<'_>,
        #[zbus(connection)] connection: &Connection,
    ) -> Result<IssuerInfo, BusError> {
        let caller = self.caller(&header, connection).await?;
        Ok(self.service.issuer(&caller, issuer).await?)
    }

    /// What is well and what is not.
    async fn diagnose(
        &self,
        #[zbus(header)] header: Header<'_>,
        #[zbus(connection)] connection: &Connection,
    ) -> Result<Vec<Finding>, BusError> {
        let caller = self.caller(&header, connection).await?;
        Ok(self.service.diagnose(&caller).await?)
    }
}
