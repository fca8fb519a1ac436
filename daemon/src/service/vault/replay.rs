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
    kept::{CLIENTS, account_row, key_of_row},
    sealer::Sealer,
    unavailable,
};
use crate::{
    account::{
        Event, Record, State,
        ports::{LockOn, Revision, Stored, Vault, VaultError},
    },
    seal::{Bound, Kind, mark_of},
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
    /// The same for an account with a passphrase: the mark that its guard had before. It is
    /// compared with the guard's mark in the store, so that a replay needs no passphrase.
    #[serde(default)]
    pub(super) guarded_predecessor: Option<[u8; 32]>,
}

#[derive(Serialize)]
struct EntryRef<'a> {
    record: &'a Record,
    predecessor: Option<Mark>,
    guarded_predecessor: Option<[u8; 32]>,
}

/// Which refresh token a record holds, as far as can be told without a passphrase.
#[derive(PartialEq, Eq)]
enum Holds<'a> {
    Token(Option<&'a str>),
    Guarded(Option<[u8; 32]>),
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
    let Entry { record, predecessor, guarded_predecessor } = entry;
    let is_sign_in = predecessor.is_none() && guarded_predecessor.is_none();
    let Some(stored) = stored else {
        return match (record.generation, is_sign_in) {
            (0, true) => Verdict::Write(Box::new(record)),
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
    if wrapped_of(stored) != wrapped_of(&record) {
        return Verdict::Superseded("the account's passphrase was changed since");
    }
    if held_by(stored) == held_by(&record) {
        return Verdict::Done;
    }
    let replaces = match (&predecessor, guarded_predecessor) {
        (Some(mark), _) => stored.refresh_token.as_ref().is_some_and(|token| mark.is_of(token)),
        (None, Some(mark)) => held_by(stored) == Holds::Guarded(Some(mark)),
        (None, None) => false,
    };
    match is_sign_in {
        // The store still holds the token that this one replaced, whatever else was changed there.
        false if replaces => Verdict::Write(Box::new(with_tokens_of(stored, record))),
        false => Verdict::Superseded("the store has a newer refresh token"),
        true if stored.state == State::SignedIn.after(Event::SignedOut) => {
            Verdict::Superseded("the user signed out since")
        }
        true if record.signed_in_at > stored.signed_in_at => {
            Verdict::Write(Box::new(with_tokens_of(stored, record)))
        }
        true => Verdict::Superseded("the store has a later sign-in"),
    }
}

fn held_by(record: &Record) -> Holds<'_> {
    match &record.guard {
        Some(guard) => Holds::Guarded(guard.mark),
        None => Holds::Token(record.refresh_token.as_ref().map(ExposeSecret::expose_secret)),
    }
}

fn wrapped_of(record: &Record) -> Option<&[u8]> {
    record.guard.as_ref().map(|guard| guard.wrapped.as_slice())
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
        extended: entry.extended,
        rotation: entry.rotation,
        refresh_token: entry.refresh_token,
        access_token,
        guard: entry.guard,
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
    let key = record.guard.as_ref().and_then(|guard| guard.key.as_ref());
    let guarded_predecessor = predecessor.zip(key).map(|(token, key)| mark_of(key, token));
    let predecessor = predecessor.filter(|_| key.is_none()).map(|token| {
        let mut salt = [0; 16];
        sealer.random().fill(&mut salt);
        Mark::new(salt, token)
    });
    let closed = sealer.close(record)?;
    let bound = Bound {
        kind: Kind::Journal,
        row: &row,
        generation: record.generation,
        user: &record.owner.user,
        issuer: &record.issuer,
    };
    let entry = EntryRef { record: closed.as_ref(), predecessor, guarded_predecessor };
    let sealed = sealer.seal(&bound, &entry)?;
    Ok([row.as_bytes(), b"\n", &sealed].concat())
}

/// The row that an entry is for, and the sealed entry.
pub(super) fn split(payload: &[u8]) -> Option<(&str, &[u8])> {
    let end = payload.iter().position(|&byte| byte == b'\n')?;
    Some((str::from_utf8(&payload[..end]).ok()?, &payload[end + 1..]))
}

impl StoreVault {
    pub(super) async fn replay_all(&self) -> Result<usize, VaultError> {
        let mut written = 0;
        for entry in self.journal.unsettled() {
            if split(&entry.payload).is_some_and(|(row, _)| row.starts_with(CLIENTS)) {
                continue;
            }
            match self.replay_one(&entry).await {
                Ok(wrote) => written += usize::from(wrote),
                Err(error @ VaultError::Unavailable { .. }) => return Err(error),
                // Kept: it may open another day, with the key that is missing now.
                Err(error) => {
                    tracing::error!(entry = entry.id, %error, "journal entry kept: {error}")
                }
            }
        }
        // Which client an account signs in with is known now.
        self.replay_clients().await?;
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

    /// Whether an answer of an issuer waits to be written to this account.
    pub(super) fn is_waited_for(&self, row: &str) -> bool {
        let unsettled = self.journal.unsettled();
        unsettled.iter().any(|entry| split(&entry.payload).is_some_and(|(of, _)| of == row))
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
