//! What becomes of a journal entry at the next start.
//!
//! An entry was written because an issuer had answered: its refresh token may be the only one
//! that works. The store may have it already, may still have the predecessor, or may have moved
//! on. [`decide`] says which; the rest carries it out.

use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::{
    StoreVault,
    kept::{account_row, key_of_row},
    sealer::Sealer,
    unavailable,
};
use crate::{
    account::{
        Event, Record, State,
        ports::{LockOn, Revision, Stored, Vault, VaultError},
    },
    seal::{Bound, Kind},
    store::Unsettled,
};

/// How often a write that somebody else overtook is tried again.
const TRIES: usize = 8;

/// An entry, as it is sealed.
#[derive(Debug, Deserialize)]
pub(super) struct Entry {
    /// The record as it should be; its generation is that of the record it was made from.
    pub(super) record: Record,
    /// Recognises the refresh token that the record's replaces; `None` after a sign-in.
    pub(super) predecessor: Option<Mark>,
}

#[derive(Serialize)]
struct EntryRef<'a> {
    record: &'a Record,
    predecessor: Option<Mark>,
}

/// Recognises a refresh token without holding it. Salted: two entries do not tell that they speak
/// of one token, should the seal ever fail.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Mark {
    salt: [u8; 16],
    digest: [u8; 32],
}

impl Mark {
    pub(super) fn new(salt: [u8; 16], token: &SecretString) -> Self {
        let mut hasher = Sha256::new_with_prefix(salt);
        hasher.update(token.expose_secret().as_bytes());
        Self { salt, digest: hasher.finalize().into() }
    }

    fn is_of(&self, token: &SecretString) -> bool {
        Self::new(self.salt, token) == *self
    }
}

/// What to do with an entry.
#[derive(Debug)]
pub(super) enum Verdict {
    /// Write this record.
    Write(Box<Record>),
    /// The store has it.
    Done,
    /// Of no use any more, and why.
    Superseded(&'static str),
}

/// An entry against what the store has now. Pure.
pub(super) fn decide(entry: Entry, stored: Option<&Record>) -> Verdict {
    let Entry { record, predecessor } = entry;
    let Some(stored) = stored else {
        return match (record.generation, predecessor) {
            (0, None) => Verdict::Write(Box::new(record)),
            _ => Verdict::Superseded("the account was removed"),
        };
    };
    if stored.issuer != record.issuer || stored.owner.user != record.owner.user {
        return Verdict::Superseded("the account is another one now");
    }
    // Nobody wrote since, or the store was put back to before: the entry is the newest there is.
    if record.generation >= stored.generation {
        return Verdict::Write(Box::new(record));
    }
    if token_of(stored) == token_of(&record) {
        return Verdict::Done;
    }
    match predecessor {
        // The store still holds the token that this one replaced, whatever else was changed there.
        Some(mark) if stored.refresh_token.as_ref().is_some_and(|token| mark.is_of(token)) => {
            Verdict::Write(Box::new(with_tokens_of(stored, record)))
        }
        Some(_) => Verdict::Superseded("the store has a newer refresh token"),
        None if stored.state == State::SignedIn.after(Event::SignedOut) => {
            Verdict::Superseded("the user signed out since")
        }
        None if record.signed_in_at > stored.signed_in_at => {
            Verdict::Write(Box::new(with_tokens_of(stored, record)))
        }
        None => Verdict::Superseded("the store has a later sign-in"),
    }
}

fn token_of(record: &Record) -> Option<&str> {
    record.refresh_token.as_ref().map(ExposeSecret::expose_secret)
}

/// What the store has, with the sign-in and the tokens of `entry`, and the client they belong to.
fn with_tokens_of(stored: &Record, entry: Record) -> Record {
    // An access token for other audiences than the account now wants is of no use.
    let access_token = entry.access_token.filter(|_| entry.audiences == stored.audiences);
    Record {
        state: entry.state,
        client_owner: entry.client_owner,
        client_id: entry.client_id,
        scopes: entry.scopes,
        narrowed_from: entry.narrowed_from,
        subject: entry.subject,
        signed_in_at: entry.signed_in_at,
        refreshed_at: entry.refreshed_at,
        refresh_expires_at: entry.refresh_expires_at,
        rotation: entry.rotation,
        refresh_token: entry.refresh_token,
        access_token,
        ..stored.clone()
    }
}

/// What is appended to the journal: which account, in clear so that an entry that does not open
/// can be named, then the sealed entry.
pub(super) fn payload(
    sealer: &Sealer,
    record: &Record,
    predecessor: Option<&SecretString>,
) -> Result<Vec<u8>, VaultError> {
    let row = account_row(&record.key());
    let predecessor = predecessor.map(|token| {
        let mut salt = [0; 16];
        sealer.random().fill(&mut salt);
        Mark::new(salt, token)
    });
    let bound = Bound {
        kind: Kind::Journal,
        row: &row,
        generation: record.generation,
        user: &record.owner.user,
        issuer: &record.issuer,
    };
    let sealed = sealer.seal(&bound, &EntryRef { record, predecessor })?;
    Ok([row.as_bytes(), b"\n", &sealed].concat())
}

fn split(payload: &[u8]) -> Option<(&str, &[u8])> {
    let end = payload.iter().position(|&byte| byte == b'\n')?;
    Some((str::from_utf8(&payload[..end]).ok()?, &payload[end + 1..]))
}

impl StoreVault {
    pub(super) async fn replay_all(&self) -> Result<usize, VaultError> {
        let mut written = 0;
        for entry in self.journal.unsettled() {
            match self.replay_one(&entry).await {
                Ok(wrote) => written += usize::from(wrote),
                Err(error @ VaultError::Unavailable { .. }) => return Err(error),
                // Kept: it may open another day, with the key that is missing now.
                Err(error) => {
                    tracing::error!(entry = entry.id, %error, "journal entry kept: {error}")
                }
            }
        }
        Ok(written)
    }

    async fn replay_one(&self, entry: &Unsettled) -> Result<bool, VaultError> {
        let garbled = || VaultError::Unreadable { text: "a journal entry is garbled".into() };
        let (row, _) = split(&entry.payload).ok_or_else(garbled)?;
        let key = key_of_row(row).ok_or_else(garbled)?;
        let _held = self.lock(LockOn::Account(key)).await?;
        self.replay_locked(entry).await
    }

    /// Writes what the journal has for one account into the store, whose lock is held.
    pub(super) async fn replay_row(&self, row: &str) -> Result<(), VaultError> {
        for entry in self.journal.unsettled() {
            if split(&entry.payload).is_some_and(|(of, _)| of == row) {
                self.replay_locked(&entry).await?;
            }
        }
        Ok(())
    }

    async fn replay_locked(&self, entry: &Unsettled) -> Result<bool, VaultError> {
        let garbled = || VaultError::Unreadable { text: "a journal entry is garbled".into() };
        let (row, sealed) = split(&entry.payload).ok_or_else(garbled)?;
        let key = key_of_row(row).ok_or_else(garbled)?;
        if !self.journal.is_unsettled(entry.id) {
            // Whoever wrote it was still at work, and has settled it.
            return Ok(false);
        }
        for _ in 0..TRIES {
            let (opened, _) = self.sealer.open(Kind::Journal, row, "the journal entry", sealed)?;
            let stored = self.account(&key).await?;
            let revision =
                stored.as_ref().map_or(Revision::ABSENT, |Stored { revision, .. }| *revision);
            let wrote = match decide(opened, stored.as_ref().map(|stored| &stored.value)) {
                Verdict::Write(record) => match self.save_account(&record, revision).await {
                    Ok(_) => true,
                    Err(VaultError::Conflict) => continue,
                    Err(error) => return Err(error),
                },
                Verdict::Done => false,
                Verdict::Superseded(why) => {
                    tracing::warn!(account = %key, why, "journal entry of {key} dropped: {why}");
                    false
                }
            };
            if wrote {
                tracing::info!(account = %key, "{key} written from the journal");
            }
            self.journal.settle(entry.id).await.map_err(unavailable)?;
            return Ok(wrote);
        }
        Err(VaultError::Conflict)
    }

    /// The account is gone: so is what waited to be written to it.
    pub(super) async fn forget_entries_of(&self, row: &str) {
        let unsettled = self.journal.unsettled();
        let of_row = |e: &&Unsettled| split(&e.payload).is_some_and(|(of, _)| of == row);
        for entry in unsettled.iter().filter(of_row) {
            if let Err(error) = self.journal.settle(entry.id).await {
                tracing::warn!(%error, "a journal entry of a removed account remains: {error}");
            }
        }
    }
}
