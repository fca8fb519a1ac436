//! Which clients the site lets sign users in by password: a sealed row each, bound to the issuer
//! and to the client.

use async_trait::async_trait;

use super::{
    StoreVault,
    kept::{PASSWORD_FLOWS, hash, password_flow_row},
    unavailable,
};
use crate::account::{
    PasswordFlow,
    ports::{PasswordFlows, Revision, Stored, VaultError},
};

#[async_trait]
impl PasswordFlows for StoreVault {
    async fn password_flows(&self) -> Result<Vec<Result<PasswordFlow, VaultError>>, VaultError> {
        let floors = self.sealer.seen().floors(PASSWORD_FLOWS);
        let listing = self.store.list(PASSWORD_FLOWS).await.map_err(unavailable)?;
        let open = |entry: crate::store::Entry| {
            let floor = floors.get(&entry.key).copied().unwrap_or_default();
            self.sealer.open_row::<PasswordFlow>(&entry.key, &entry.value, floor)
        };
        Ok(listing.entries.into_iter().map(open).collect())
    }

    async fn password_flow(
        &self,
        issuer: &str,
        client_id: &str,
    ) -> Result<Option<Stored<PasswordFlow>>, VaultError> {
        let found = self.read::<PasswordFlow>(&password_flow_row(issuer, client_id)).await?;
        // The seal says that it belongs into this row, and the row is made of a part of a hash.
        Ok(found.filter(|found| {
            found.value.client_id == client_id && hash(&found.value.issuer) == hash(issuer)
        }))
    }

    async fn save_password_flow(
        &self,
        flow: &PasswordFlow,
        expected: Revision,
    ) -> Result<Revision, VaultError> {
        self.write(&password_flow_row(&flow.issuer, &flow.client_id), flow, expected).await
    }

    async fn remove_password_flow(
        &self,
        issuer: &str,
        client_id: &str,
    ) -> Result<bool, VaultError> {
        let row = password_flow_row(issuer, client_id);
        let there = self.store.get(&row).await.map_err(unavailable)?.is_some();
        self.discard(&row).await?;
        Ok(there)
    }
}
