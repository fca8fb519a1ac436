//! The calls that make, change and remove accounts, and those that a single issuer or the secrets
//! of an account are asked with.

use std::collections::HashMap;

use iamd_protocol::bus::{
    AccountSecrets, AddOptions, ChangeReply, EditOptions, IssuerInfo, RemoveOptions, RemoveReply,
};
use secrecy::SecretString;
use zbus::OwnedFd;

use super::Client;
use super::proxies::AccountsProxy;
use crate::failure::Failure;
use crate::secret;

/// Adding, changing and removing ask the issuer several times in one call: they may take longer.
const STEPS: u32 = 2;

/// Secrets by the names of [`iamd_protocol::bus::secret`].
pub(crate) type Secrets = Vec<(&'static str, SecretString)>;

impl Client {
    /// Adds an account; the empty name is the issuer's.
    pub(crate) fn add(
        &self,
        name: &str,
        options: AddOptions,
        secrets: Secrets,
    ) -> Result<ChangeReply, Failure> {
        let name = name.to_owned();
        let descriptors = descriptors(secrets)?;
        self.call_within(self.limit.get() * STEPS, async move |bus| {
            AccountsProxy::new(&bus).await?.add(&name, options, descriptors).await
        })
    }

    /// Changes an account.
    pub(crate) fn edit(&self, name: &str, options: EditOptions) -> Result<ChangeReply, Failure> {
        let name = name.to_owned();
        self.call_within(self.limit.get() * STEPS, async move |bus| {
            AccountsProxy::new(&bus).await?.edit(&name, options).await
        })
    }

    /// Gives an account another name.
    pub(crate) fn rename(&self, name: &str, new_name: &str) -> Result<ChangeReply, Failure> {
        let (name, new_name) = (name.to_owned(), new_name.to_owned());
        self.call(async move |bus| AccountsProxy::new(&bus).await?.rename(&name, &new_name).await)
    }

    /// Makes an account the default one.
    pub(crate) fn set_default(&self, name: &str) -> Result<ChangeReply, Failure> {
        let name = name.to_owned();
        self.call(async move |bus| AccountsProxy::new(&bus).await?.set_default(&name).await)
    }

    /// Removes an account.
    pub(crate) fn remove(
        &self,
        name: &str,
        options: RemoveOptions,
    ) -> Result<RemoveReply, Failure> {
        let name = name.to_owned();
        self.call_within(self.limit.get() * STEPS, async move |bus| {
            AccountsProxy::new(&bus).await?.remove(&name, options).await
        })
    }

    /// The secrets of an account, where the site's policy allows it.
    pub(crate) fn secrets(&self, name: &str) -> Result<AccountSecrets, Failure> {
        let name = name.to_owned();
        self.call(async move |bus| AccountsProxy::new(&bus).await?.secrets(&name).await)
    }

    /// One issuer, asked now for what it offers.
    pub(crate) fn issuer(&self, issuer: &str) -> Result<IssuerInfo, Failure> {
        let issuer = issuer.to_owned();
        self.call(async move |bus| AccountsProxy::new(&bus).await?.issuer(&issuer).await)
    }
}

fn descriptors(secrets: Secrets) -> Result<HashMap<&'static str, OwnedFd>, Failure> {
    secrets
        .into_iter()
        .map(|(name, secret)| Ok((name, OwnedFd::from(secret::to_pipe(&secret)?))))
        .collect()
}
