//! Rows that are older than what was seen of them, and are to hold: an administrator put an older
//! file of the store in its place and means it.

use futures_util::StreamExt as _;

use super::super::{StoreVault, kept::key_of_row, unavailable};
use crate::account::ports::VaultError;

impl StoreVault {
    /// The rows that opened no more, and do now.
    pub(super) async fn accept_older(&self) -> Result<Vec<String>, VaultError> {
        // Nobody writes meanwhile.
        let _alone = self.gate.write().await;
        let keyring = self.sealer.keyring();
        let floors = self.sealer.seen().floors("");
        let mut snapshot = self.store.snapshot().await.map_err(unavailable)?;
        let mut older = Vec::new();
        while let Some(entry) = snapshot.entries.next().await {
            let entry = entry.map_err(unavailable)?;
            let Ok((_, opened)) = keyring.open_row(&entry.key, &entry.value) else { continue };
            if floors.get(&entry.key).is_some_and(|floor| opened.generation < *floor) {
                older.push((entry.key, opened.generation));
            }
        }
        let rows: Vec<String> = older.iter().map(|(row, _)| row.clone()).collect();
        if !older.is_empty() {
            self.sealer.lower_floors(older).await?;
        }
        for key in rows.iter().filter_map(|row| key_of_row(row)) {
            self.held.release(&key);
        }
        Ok(rows)
    }
}
