//! Writing a backup: one moment of the store and of the journal, every record sealed as it is, all
//! of it sealed once more with the passphrase.

use futures_util::StreamExt as _;
use secrecy::SecretString;

use super::{
    super::{StoreVault, guards::Held, unavailable},
    frames::{ENTRY, Frames, Header, KEYRING, ROW},
    survey::Survey,
};
use crate::{
    account::{
        PassphraseError,
        ports::{
            VaultError,
            upkeep::{About, Contents, Sink, UpkeepError},
        },
    },
    seal::backup::BackupSealer,
    store::{Entry, Unsettled},
};

impl StoreVault {
    pub(super) async fn write_backup(
        &self,
        about: About,
        passphrase: &SecretString,
        to: Sink<'_>,
    ) -> Result<Contents, UpkeepError> {
        self.is_whole().await?;
        let keyring = self.sealer.keyring();
        let keys: Vec<String> = keyring.ids().map(str::to_owned).collect();
        let header = Header {
            node: about.node.clone(),
            version: about.version.clone(),
            made_at: about.made_at.0,
            with_keys: about.with_keys,
            keys: keys.clone(),
        };
        let header = serde_json::to_vec(&header)
            .map_err(|error| UpkeepError::Transfer { text: error.to_string() })?;
        // Before the moment is taken: it takes its time.
        let (sealer, preamble) = self.held.seal_backup(self, passphrase, header).await?;
        let (mut snapshot, entries, floors) = {
            // No write is between journal and store, and no answer in neither of them.
            let _alone = self.gate.write().await;
            let floors = self.sealer.seen().floors("");
            let snapshot = self.store.snapshot().await.map_err(unavailable)?;
            (snapshot, self.journal.unsettled(), floors)
        };
        let mut frames = Frames::begin(sealer, &preamble, to).await?;
        if about.with_keys {
            frames.put(KEYRING, &[&keyring.to_text()]).await?;
        }
        let mut survey = Survey::default();
        while let Some(entry) = snapshot.entries.next().await {
            let Entry { key, value, .. } = entry.map_err(unavailable)?;
            let floor = floors.get(&key).copied().unwrap_or_default();
            // What does not open here opens nowhere, and would spoil the rest.
            let Some((_, opened)) = survey.open(&keyring, &key, &value, floor) else { continue };
            let length = u16::try_from(key.len()).unwrap_or_default().to_be_bytes();
            let generation = opened.generation.to_be_bytes();
            frames.put(ROW, &[&length, key.as_bytes(), &generation, &value]).await?;
        }
        for Unsettled { payload, .. } in &entries {
            if survey.open_entry(&keyring, payload).is_some() {
                frames.put(ENTRY, &[payload]).await?;
            }
        }
        let counts = survey.counts;
        let (digest, bytes) = frames.finish(counts.records, counts.journal).await?;
        Ok(Contents {
            about,
            counts,
            keys,
            digest,
            bytes,
            password_flows: Vec::new(),
            left_out: survey.unreadable,
        })
    }
}

impl Held {
    /// A new outer seal, when it is its turn.
    async fn seal_backup(
        &self,
        vault: &StoreVault,
        passphrase: &SecretString,
        header: Vec<u8>,
    ) -> Result<(BackupSealer, Vec<u8>), UpkeepError> {
        let (random, cost) = (vault.sealer.shared_random(), self.cost());
        let passphrase = passphrase.clone();
        let begun =
            self.derive(move || BackupSealer::begin(random.as_ref(), &passphrase, cost, &header));
        begun.await.map_err(|error| match error {
            PassphraseError::Vault(error) => error.into(),
            PassphraseError::Wrong => VaultError::Unavailable { text: error.to_string() }.into(),
        })
    }
}
