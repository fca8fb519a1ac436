//! Clients in the journal: a registration before it is asked for, its result, and credentials that an
//! issuer replaced. What is here goes before what the store says. At the next start it is written
//! there, and a client that nobody came to use is found: it is kept as one that is to be deleted.

use std::collections::BTreeSet;

use super::{
    StoreVault,
    kept::{CLIENTS, account_of_client, account_row, client_row, leftover_row, leftovers_of},
    replay::split,
    sealer::Sealer,
    unavailable,
};
use crate::{
    account::{
        AccountKey, ClientOwner, ClientRecord, PendingLogin,
        ports::{ClientStep, Leftover, LockOn, Revision, Stored, Vault, VaultError},
    },
    seal::{Bound, Kind},
};

/// How often a write that somebody else overtook is tried again.
const TRIES: usize = 8;

/// What is appended to the journal: which row, in clear, then the sealed step.
pub(super) fn payload(sealer: &Sealer, step: &ClientStep) -> Result<Vec<u8>, VaultError> {
    let client = step.client();
    let Some(row) = client_row(&client.owner, &client.issuer) else {
        let text = "a client from the configuration is not kept".into();
        return Err(VaultError::Unavailable { text });
    };
    let (generation, issuer) = (client.generation, client.issuer.as_str());
    let bound = Bound { kind: Kind::Journal, row: &row, generation, user: "", issuer };
    let sealed = sealer.seal(&bound, step)?;
    Ok([row.as_bytes(), b"\n", &sealed].concat())
}

/// The newest client of an owner, after what the journal has. Pure.
fn newest<'a>(
    stored: Option<&'a ClientRecord>,
    steps: &'a [(u64, ClientStep)],
) -> Option<&'a ClientRecord> {
    steps.iter().fold(stored, |now, (_, step)| step.newest(now).or(now))
}

impl StoreVault {
    pub(super) async fn newest_client(
        &self,
        row: &str,
    ) -> Result<Option<Stored<ClientRecord>>, VaultError> {
        let stored = self.read::<ClientRecord>(row).await?;
        let steps = self.steps_of(row);
        if steps.is_empty() {
            return Ok(stored);
        }
        let revision = stored.as_ref().map_or(Revision::ABSENT, |stored| stored.revision);
        let value = newest(stored.as_ref().map(|stored| &stored.value), &steps).cloned();
        Ok(value.map(|value| Stored { value, revision }))
    }

    /// What the journal has for a row, oldest first. What does not open is kept, and said.
    fn steps_of(&self, row: &str) -> Vec<(u64, ClientStep)> {
        let mut steps = Vec::new();
        for entry in self.journal.unsettled() {
            let Some((_, sealed)) = split(&entry.payload).filter(|(of, _)| *of == row) else {
                continue;
            };
            match self.sealer.open(Kind::Journal, row, "the journal entry", sealed) {
                Ok((step, _)) => steps.push((entry.id, step)),
                Err(error) => {
                    tracing::error!(entry = entry.id, %error, "journal entry kept: {error}")
                }
            }
        }
        steps
    }

    /// Settles what the journal has for the row of `client` and `which` picks.
    pub(super) async fn settle_steps(
        &self,
        client: &ClientRecord,
        which: impl Fn(&ClientStep) -> bool,
    ) -> Result<(), VaultError> {
        let Some(row) = client_row(&client.owner, &client.issuer) else { return Ok(()) };
        for (id, step) in self.steps_of(&row) {
            if which(&step) {
                self.journal.settle(id).await.map_err(unavailable)?;
            }
        }
        Ok(())
    }

    /// Of several changes of one client the last says it all: a store that is away for long lets
    /// no more than that pile up.
    pub(super) async fn settle_older(&self, step: &ClientStep, entry: u64) {
        let changed = |step: &ClientStep| match step {
            ClientStep::Newest { client, over } if over.as_ref() == Some(&client.client_id) => {
                Some(client.client_id.clone())
            }
            _ => None,
        };
        let (Some(of), Some(row)) =
            (changed(step), client_row(&step.client().owner, &step.client().issuer))
        else {
            return;
        };
        for (id, older) in self.steps_of(&row) {
            if id < entry
                && changed(&older).as_ref() == Some(&of)
                && let Err(error) = self.journal.settle(id).await
            {
                tracing::warn!(%error, "a journal entry could not be settled: {error}");
            }
        }
    }

    /// The store has what an owner has now.
    pub(super) async fn settle_newest(&self, client: &ClientRecord) {
        let settled = self.settle_steps(client, |step| matches!(step, ClientStep::Newest { .. }));
        if let Err(error) = settled.await {
            tracing::warn!(%error, "a journal entry could not be settled: {error}");
        }
    }

    /// The row is gone: so is what waited to be written to it.
    pub(super) async fn forget_newest(&self, row: &str) {
        for (id, step) in self.steps_of(row) {
            if matches!(step, ClientStep::Newest { .. })
                && let Err(error) = self.journal.settle(id).await
            {
                tracing::warn!(%error, "a journal entry of a removed client remains: {error}");
            }
        }
    }

    pub(super) async fn put_leftover(
        &self,
        leftover: &Leftover,
        expected: Revision,
    ) -> Result<Revision, VaultError> {
        if expected == Revision::ABSENT {
            let of_owner = leftovers_of(&leftover.client.owner);
            let there = self.store.keys(&of_owner).await.map_err(unavailable)?;
            if there.len() >= Leftover::MOST {
                return Err(VaultError::Conflict);
            }
        }
        self.write(&leftover_row(leftover), leftover, expected).await
    }

    /// The clients of the journal into the store. To be called when the accounts are there.
    pub(super) async fn replay_clients(&self) -> Result<(), VaultError> {
        let mut rows = BTreeSet::new();
        for entry in self.journal.unsettled() {
            rows.extend(
                split(&entry.payload)
                    .map(|(row, _)| row)
                    .filter(|row| row.starts_with(CLIENTS))
                    .map(str::to_owned),
            );
        }
        for row in rows {
            let Some((owner, issuer)) = self.steps_of(&row).first().map(|(_, step)| {
                let client = step.client();
                (client.owner.clone(), client.issuer.clone())
            }) else {
                continue;
            };
            let _held = self.lock(LockOn::Client(owner, issuer)).await?;
            self.replay_client_row(&row).await?;
        }
        self.find_orphans().await
    }

    /// What the journal has for the client of an account, with the account's lock.
    pub(super) async fn replay_client_of(&self, key: &AccountKey) -> Result<(), VaultError> {
        for entry in self.journal.unsettled() {
            if let Some((row, _)) = split(&entry.payload)
                && account_of_client(row).as_ref() == Some(key)
            {
                self.replay_client_row(row).await?;
            }
        }
        Ok(())
    }

    async fn replay_client_row(&self, row: &str) -> Result<(), VaultError> {
        let steps = self.steps_of(row);
        self.write_newest(row, &steps).await?;
        for (id, step) in steps {
            match &step {
                ClientStep::Asked(client) => self.leave(client).await?,
                ClientStep::Newest { client, over } => {
                    let there = self.read::<ClientRecord>(row).await?;
                    let there = there.map(|there| there.value.client_id);
                    let is_change = over.as_ref() == Some(&client.client_id);
                    if there.as_ref() != Some(&client.client_id) && !is_change {
                        self.leave(client).await?;
                    }
                }
                // Whoever signs in with it comes still.
                ClientStep::Aside(client) if self.is_awaited(client).await? => continue,
                ClientStep::Aside(client) => self.place_aside(row, client).await?,
            }
            self.journal.settle(id).await.map_err(unavailable)?;
        }
        Ok(())
    }

    async fn write_newest(&self, row: &str, steps: &[(u64, ClientStep)]) -> Result<(), VaultError> {
        for _ in 0..TRIES {
            let stored = self.read::<ClientRecord>(row).await?;
            let revision = stored.as_ref().map_or(Revision::ABSENT, |stored| stored.revision);
            let stored = stored.as_ref().map(|stored| &stored.value);
            let Some(now) = newest(stored, steps) else { return Ok(()) };
            if stored.is_some_and(|stored| std::ptr::eq(stored, now)) {
                return Ok(());
            }
            match self.write(row, now, revision).await {
                Err(VaultError::Conflict) => {}
                Err(error) => return Err(error),
                Ok(_) => {
                    tracing::info!(client = now.client_id, "a client was written from the journal");
                    return Ok(());
                }
            }
        }
        Err(VaultError::Conflict)
    }

    /// A client that was registered beside the one in use: the account may have signed in with it.
    async fn place_aside(&self, row: &str, client: &ClientRecord) -> Result<(), VaultError> {
        let stored = self.read::<ClientRecord>(row).await?;
        let is_there = |there: &Stored<ClientRecord>| there.value.client_id == client.client_id;
        let there = stored.as_ref().is_some_and(is_there);
        let revision = stored.as_ref().map_or(Revision::ABSENT, |stored| stored.revision);
        match (self.is_used(client, there).await?, there) {
            (true, true) => Ok(()),
            (true, false) => self.write(row, client, revision).await.map(drop),
            (false, true) => {
                self.leave(client).await?;
                self.remove(row, revision).await
            }
            (false, false) => self.leave(client).await,
        }
    }

    /// Whether it is the new client of a login that goes on after this start.
    async fn is_awaited(&self, client: &ClientRecord) -> Result<bool, VaultError> {
        let ClientOwner::Own(uid, name) = &client.owner else { return Ok(false) };
        let key = AccountKey { uid: *uid, name: name.clone() };
        match self.read::<PendingLogin>(&self.login_row(&key)).await {
            Ok(login) => Ok(login.is_some_and(|Stored { value, .. }| {
                value.client_is_new && value.client.client_id == client.client_id
            })),
            Err(VaultError::Unreadable { .. }) => Ok(false),
            Err(error) => Err(error),
        }
    }

    async fn is_used(&self, client: &ClientRecord, there: bool) -> Result<bool, VaultError> {
        let (ClientOwner::Own(uid, name) | ClientOwner::Given(uid, name)) = &client.owner else {
            return Ok(there);
        };
        let key = AccountKey { uid: *uid, name: name.clone() };
        let account = self.account(&key).await?;
        Ok(account.is_some_and(|Stored { value, .. }| {
            value.client_owner == client.owner
                && value.client_id.as_ref() == Some(&client.client_id)
                && value.issuer == client.issuer
        }))
    }

    /// Keeps a client that nobody uses as one to be deleted; what users registered themselves is
    /// theirs to delete.
    async fn leave(&self, client: &ClientRecord) -> Result<(), VaultError> {
        if matches!(client.owner, ClientOwner::Given(..)) {
            return Ok(());
        }
        let since = match client.client_id.as_str() {
            "" => client.registered_at,
            _ => self.sealer.now(),
        };
        match self.put_leftover(&Leftover::new(client.clone(), since), Revision::ABSENT).await {
            Ok(_) => Ok(()),
            // There already, or there are too many.
            Err(VaultError::Conflict) => {
                tracing::warn!(
                    client = client.client_id,
                    issuer = client.issuer,
                    "a client that is not needed may stay registered"
                );
                Ok(())
            }
            Err(error) => Err(error),
        }
    }

    /// Clients of accounts that are not there: a kill came between the two.
    async fn find_orphans(&self) -> Result<(), VaultError> {
        for row in self.store.keys(CLIENTS).await.map_err(unavailable)? {
            let Some(key) = account_of_client(&row) else { continue };
            let account = account_row(&key);
            if self.is_waited_for(&account) || self.is_kept(&account).await? {
                continue;
            }
            let _accounts = self.lock(LockOn::Accounts(key.uid)).await?;
            let client = match self.read::<ClientRecord>(&row).await {
                Ok(Some(client)) => client,
                Ok(None) | Err(VaultError::Unreadable { .. }) => continue,
                Err(error) => return Err(error),
            };
            let on = LockOn::Client(client.value.owner.clone(), client.value.issuer.clone());
            let _held = self.lock(on).await?;
            if self.is_kept(&account).await? {
                continue;
            }
            self.leave(&client.value).await?;
            match self.remove(&row, client.revision).await {
                Ok(()) | Err(VaultError::Conflict) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    async fn is_kept(&self, row: &str) -> Result<bool, VaultError> {
        Ok(self.store.get(row).await.map_err(unavailable)?.is_some())
    }
}
