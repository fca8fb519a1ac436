//! The calls about keys, backups and the store. The data of a backup goes through a pipe.

use std::collections::HashMap;
use std::os::fd::OwnedFd;
use std::time::Duration;

use iamd_protocol::bus::{
    AcceptReply, BackupOptions, BackupReply, RekeyOptions, RekeyState, RestoreOptions,
    RestoreReply, StoreReport, backup,
};

use super::Client;
use super::proxies::AdminProxy;
use crate::failure::Failure;

/// How long all records of a large site may take to be read or written.
const LONG: Duration = Duration::from_secs(60 * 60);

impl Client {
    /// Starts a change of keys, or goes on with one.
    pub(crate) fn rekey(&self, options: RekeyOptions) -> Result<RekeyState, Failure> {
        self.call(async move |bus| AdminProxy::new(&bus).await?.rekey(options).await)
    }

    /// How a change of keys stands.
    pub(crate) fn rekey_progress(&self) -> Result<RekeyState, Failure> {
        self.call(async |bus| AdminProxy::new(&bus).await?.rekey_progress().await)
    }

    /// Has a backup written into a pipe.
    pub(crate) fn backup(
        &self,
        options: BackupOptions,
        data: OwnedFd,
        passphrase: OwnedFd,
    ) -> Result<BackupReply, Failure> {
        self.call_within(LONG, async move |bus| {
            AdminProxy::new(&bus).await?.backup(options, named(data, passphrase)).await
        })
    }

    /// Has a backup read from a pipe.
    pub(crate) fn restore(
        &self,
        options: RestoreOptions,
        data: OwnedFd,
        passphrase: OwnedFd,
    ) -> Result<RestoreReply, Failure> {
        self.call_within(LONG, async move |bus| {
            AdminProxy::new(&bus).await?.restore(options, named(data, passphrase)).await
        })
    }

    /// Has older records hold.
    pub(crate) fn accept_store(&self) -> Result<AcceptReply, Failure> {
        self.call_within(LONG, async |bus| AdminProxy::new(&bus).await?.accept_store().await)
    }

    /// Has everything read.
    pub(crate) fn check_store(&self) -> Result<StoreReport, Failure> {
        self.call_within(LONG, async |bus| AdminProxy::new(&bus).await?.check_store().await)
    }
}

fn named(data: OwnedFd, passphrase: OwnedFd) -> HashMap<&'static str, zbus::OwnedFd> {
    HashMap::from([(backup::DATA, data.into()), (backup::PASSPHRASE, passphrase.into())])
}
