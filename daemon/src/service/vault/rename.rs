//! Another name for an account. The seal binds the name, so every row is sealed anew; all of them
//! change in one step of the store, so that no kill leaves two rows with one refresh token, or an
//! account without its client.

use super::{
    StoreVault,
    kept::{Kept, account_row, client_row, settings_row},
    unavailable,
};
use crate::{
    account::{
        AccountKey, AccountName, ClientRecord, Record, Settings,
        ports::{Revision, Stored, VaultError},
    },
    store::Swap,
};

impl StoreVault {
    /// With the locks of both names held.
    pub(super) async fn rename(
        &self,
        key: &AccountKey,
        to: &AccountName,
    ) -> Result<(), VaultError> {
        let row = account_row(key);
        // What an issuer answered and the store did not take goes with the account; and no entry
        // of the old name may be left that a replay could make an account of.
        self.replay_row(&row).await?;
        self.replay_client_of(key).await?;
        self.journal.sync().await.map_err(unavailable)?;
        let _open = self.gate.read().await;
        // What a passphrase guards goes as it is: the guard binds no name.
        let Stored { value, revision } = self.read(&row).await?.ok_or(VaultError::Conflict)?;
        let from: Record = value;
        let mut record = from.clone();
        record.name = to.clone();
        record.client_owner = from.client_owner.renamed(to);
        let mut swaps = Swaps::default();
        swaps.move_row(self, (&row, revision), &account_row(&record.key()), &record).await?;
        if from.client_owner.is_of_one_account() {
            let rows = [&from.client_owner, &record.client_owner]
                .map(|owner| client_row(owner, &from.issuer));
            if let [Some(old), Some(new)] = rows
                && let Some(Stored { value, revision }) = self.read::<ClientRecord>(&old).await?
            {
                let client = ClientRecord { owner: record.client_owner.clone(), ..value };
                swaps.move_row(self, (&old, revision), &new, &client).await?;
            }
        }
        let row = settings_row(key.uid);
        if let Some(Stored { value, revision }) = self.read::<Settings>(&row).await?
            && value.default_account.as_ref() == Some(&key.name)
        {
            let settings = Settings { default_account: Some(to.clone()), ..value };
            swaps.write(self, &row, revision, &settings).await?;
        }
        self.store.swap_all(swaps.swaps).await.map_err(unavailable)?;
        self.held.renamed(key, record.key());
        let mut seen = self.sealer.seen();
        swaps.gone.iter().for_each(|row| seen.note_removed(row));
        swaps.written.iter().for_each(|(row, generation)| seen.note(row, *generation));
        Ok(())
    }
}

/// The changes, and what is to be remembered of them when they have happened.
#[derive(Default)]
struct Swaps {
    swaps: Vec<Swap>,
    gone: Vec<String>,
    written: Vec<(String, u64)>,
}

impl Swaps {
    async fn move_row<T: Kept>(
        &mut self,
        vault: &StoreVault,
        (old, revision): (&str, Revision),
        new: &str,
        value: &T,
    ) -> Result<(), VaultError> {
        self.write(vault, new, Revision::ABSENT, value).await?;
        self.swaps.push(Swap { key: old.to_owned(), expected: revision, value: None });
        self.gone.push(old.to_owned());
        Ok(())
    }

    async fn write<T: Kept>(
        &mut self,
        vault: &StoreVault,
        row: &str,
        expected: Revision,
        value: &T,
    ) -> Result<(), VaultError> {
        let (sealed, generation) = vault.sealed(row, value, expected).await?;
        self.swaps.push(Swap { key: row.to_owned(), expected, value: Some(sealed) });
        self.written.push((row.to_owned(), generation));
        Ok(())
    }
}
