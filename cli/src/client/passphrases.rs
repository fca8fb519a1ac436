//! The calls about passphrases. A passphrase goes by descriptor, never in a message.

use std::collections::HashMap;
use std::os::fd::OwnedFd;

use iamd_protocol::bus::{ChangeReply, UnlockOptions, secret};

use super::Client;
use super::proxies::AccountsProxy;
use crate::failure::Failure;

impl Client {
    /// Locks an account.
    pub(crate) fn lock(&self, name: &str) -> Result<(), Failure> {
        let name = name.to_owned();
        self.call(async move |bus| AccountsProxy::new(&bus).await?.lock(&name).await)
    }

    /// Unlocks an account with the passphrase that comes out of the pipe.
    pub(crate) fn unlock(
        &self,
        name: &str,
        options: UnlockOptions,
        passphrase: OwnedFd,
    ) -> Result<(), Failure> {
        let name = name.to_owned();
        self.call(async move |bus| {
            AccountsProxy::new(&bus).await?.unlock(&name, options, passphrase.into()).await
        })
    }

    /// Sets, changes or takes off the passphrase of an account.
    pub(crate) fn set_passphrase(
        &self,
        name: &str,
        present: Option<OwnedFd>,
        new: Option<OwnedFd>,
    ) -> Result<ChangeReply, Failure> {
        let name = name.to_owned();
        self.call(async move |bus| {
            let given = [(secret::PASSPHRASE, present), (secret::NEW_PASSPHRASE, new)];
            let secrets: HashMap<_, _> =
                given.into_iter().filter_map(|(name, fd)| Some((name, fd?.into()))).collect();
            AccountsProxy::new(&bus).await?.set_passphrase(&name, secrets).await
        })
    }
}
