//! Looking after all that is kept: sealing it with another key, reading all of it, backups. Rows
//! are taken as they are; what a user's passphrase guards inside is neither opened nor needed.

mod accept;
pub(super) mod frames;
#[cfg(any(test, feature = "fuzzing"))]
pub(super) mod fuzzing;
mod read;
mod reseal;
mod survey;
mod write;

use std::sync::Arc;

use async_trait::async_trait;
use secrecy::SecretString;

use super::{StoreVault, unavailable};
use crate::{
    account::ports::{
        VaultError,
        upkeep::{
            About, Checked, Contents, Inspection, Keys, Resealed, Sink, Sizes, Source, Stale,
            Upkeep, UpkeepError,
        },
    },
    seal::ChangeError,
};

#[async_trait]
impl Upkeep for StoreVault {
    fn keys(&self) -> Keys {
        let keyring = self.sealer.keyring();
        let mut ids = keyring.ids().map(str::to_owned);
        let current = ids.next().unwrap_or_default();
        Keys { current, from_credential: keyring.seals_by_credential(), older: ids.collect() }
    }

    async fn renew_key(&self) -> Result<(), UpkeepError> {
        let random = self.sealer.shared_random();
        self.change_keyring(move |keyring, sources| keyring.with_new_key(sources, random.as_ref()))
            .await
    }

    async fn stale(&self) -> Result<Stale, VaultError> {
        self.find_stale().await
    }

    async fn reseal(&self, row: &str) -> Result<Resealed, VaultError> {
        self.reseal_row(row).await
    }

    async fn reseal_journal(&self) -> Result<(), VaultError> {
        self.reseal_entries().await?;
        // What only an older key opens would be forgotten when that is retired.
        self.sealer.rewrite_floors().await
    }

    async fn retire(&self) -> Result<Vec<String>, UpkeepError> {
        self.retire_unused().await
    }

    async fn sizes(&self) -> Sizes {
        let unsettled = self.journal.unsettled().len() as u64;
        let Some(dir) = self.sources.as_ref().map(|sources| sources.state_dir.clone()) else {
            return Sizes { unsettled, ..Sizes::default() };
        };
        let read = tokio::task::spawn_blocking(move || {
            let size = |name: &str| std::fs::metadata(dir.join(name)).map_or(0, |file| file.len());
            (size("iamd.db") + size("iamd.db-wal"), size("journal"))
        });
        let (store, journal) = read.await.unwrap_or_default();
        Sizes { store, journal, unsettled }
    }

    async fn inspect(&self) -> Result<Inspection, VaultError> {
        let damage = self.store.damage().await.map_err(unavailable)?;
        let mut inspection = self.survey().await?.inspection();
        inspection.damage = damage;
        Ok(inspection)
    }

    async fn accept(&self) -> Result<Vec<String>, VaultError> {
        self.accept_older().await
    }

    async fn back_up(
        &self,
        about: About,
        passphrase: &SecretString,
        to: Sink<'_>,
    ) -> Result<Contents, UpkeepError> {
        self.write_backup(about, passphrase, to).await
    }

    async fn read_backup(
        self: Arc<Self>,
        passphrase: &SecretString,
        from: Source<'_>,
    ) -> Result<Box<dyn Checked>, UpkeepError> {
        read::checked(self, passphrase, from).await
    }
}

impl StoreVault {
    /// Rows can be missing unseen from a file that is damaged.
    async fn is_whole(&self) -> Result<(), UpkeepError> {
        match self.store.damage().await.map_err(unavailable)? {
            None => Ok(()),
            Some(what) => Err(UpkeepError::Damaged { what, put_back: false }),
        }
    }
}

impl From<ChangeError> for UpkeepError {
    fn from(error: ChangeError) -> Self {
        let text = error.to_string();
        match error {
            ChangeError::FromCredential { .. } => Self::FromCredential { text },
            _ => Self::Keyring { text },
        }
    }
}
