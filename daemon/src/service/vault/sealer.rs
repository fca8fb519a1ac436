//! Records to sealed bytes and back, with the generation that tells the newer of two.

use std::{
    io,
    sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock},
};

use serde::{Serialize, de::DeserializeOwned};
use zeroize::Zeroizing;

use super::{
    floors::{Floors, Keys},
    kept::Kept,
    seen::Seen,
    unavailable,
};
use crate::{
    account::{
        UnixTime,
        ports::{Revision, VaultError},
    },
    clock::{Clock, Random},
    seal::{Bound, Keyring, Kind},
    store::{FloorsFile, StoreError},
};

pub(super) struct Sealer {
    keyring: Keys,
    random: Arc<dyn Random>,
    clock: Arc<dyn Clock>,
    seen: Mutex<Seen>,
}

impl Sealer {
    pub(super) fn new(keyring: Keyring, random: Arc<dyn Random>, clock: Arc<dyn Clock>) -> Self {
        let keyring = Arc::new(RwLock::new(Arc::new(keyring)));
        Self { keyring, random, clock, seen: Mutex::default() }
    }

    /// Remembers over restarts how new each row is, from now on and from before.
    pub(super) fn remember(&self, file: (FloorsFile, Vec<Vec<u8>>)) -> Result<(), StoreError> {
        let seen = Floors::begin(file, Arc::clone(&self.keyring), self.shared_random())?;
        *self.seen() = seen;
        Ok(())
    }

    /// What is remembered is sealed with the key that seals now, and no other.
    pub(super) async fn rewrite_floors(&self) -> Result<(), VaultError> {
        let written = self.seen().kept().map(Floors::rewrite);
        let Some(written) = written else { return Ok(()) };
        let gone = || VaultError::Unavailable { text: "the thread of the floors ended".into() };
        written.await.map_err(|_| gone())?.map_err(unavailable)
    }

    /// These rows are the newest, though newer ones were seen.
    pub(super) async fn lower_floors(&self, rows: Vec<(String, u64)>) -> Result<(), VaultError> {
        {
            let mut seen = self.seen();
            seen.lower(rows.clone());
            if let Some(kept) = seen.kept() {
                kept.lowered(rows);
            }
        }
        self.rewrite_floors().await
    }

    /// The keys as they are now.
    pub(super) fn keyring(&self) -> Arc<Keyring> {
        Arc::clone(&self.keyring.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// What is written from now on is sealed with the first of these.
    pub(super) fn use_keyring(&self, keyring: Keyring) {
        *self.keyring.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(keyring);
    }

    pub(super) fn seen(&self) -> MutexGuard<'_, Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn now(&self) -> UnixTime {
        self.clock.wall()
    }

    pub(super) fn random(&self) -> &dyn Random {
        self.random.as_ref()
    }

    pub(super) fn shared_clock(&self) -> Arc<dyn Clock> {
        Arc::clone(&self.clock)
    }

    pub(super) fn shared_random(&self) -> Arc<dyn Random> {
        Arc::clone(&self.random)
    }

    /// The sealed row and its generation, which is the next one after all that was seen of it.
    ///
    /// A row that is not there does not begin at 1 but at wall clock and store revision, where a
    /// second is 2^32 writes: an account that is removed and made again, perhaps on another node,
    /// is newer than its old self, whose last generation nobody may remember.
    pub(super) fn seal_row<T: Kept>(
        &self,
        row: &str,
        value: &T,
        store_now: Option<Revision>,
    ) -> Result<(Vec<u8>, u64), VaultError> {
        let mut generation = value.generation().max(self.seen().floor(row)) + 1;
        if let Some(revision) = store_now {
            generation = generation.max(self.begin(revision));
        }
        let mut value = value.clone();
        value.set_generation(generation);
        let bound =
            Bound { kind: T::KIND, row, generation, user: value.user(), issuer: value.issuer() };
        Ok((self.seal(&bound, &value)?, generation))
    }

    /// The first generation of a row that is made now.
    pub(super) fn begin(&self, Revision(revision): Revision) -> u64 {
        (self.clock.wall().0 << 32) | (revision & u64::from(u32::MAX))
    }

    /// The record of a row, if it is none older than `floor`.
    pub(super) fn open_row<T: Kept>(
        &self,
        row: &str,
        sealed: &[u8],
        floor: u64,
    ) -> Result<T, VaultError> {
        let (mut value, generation) = self.open::<T>(T::KIND, row, T::NOUN, sealed)?;
        if generation < floor {
            return Err(older(T::NOUN, row));
        }
        self.seen().note(row, generation);
        value.set_generation(generation);
        Ok(value)
    }

    pub(super) fn seal<T: Serialize>(
        &self,
        bound: &Bound<'_>,
        value: &T,
    ) -> Result<Vec<u8>, VaultError> {
        let unsealable = |error: &dyn std::error::Error| VaultError::Unavailable {
            text: format!("a record cannot be written: {error}"),
        };
        let plaintext = to_json(value).map_err(|error| unsealable(&error))?;
        self.keyring()
            .seal(self.random.as_ref(), bound, &plaintext)
            .map_err(|error| unsealable(&error))
    }

    /// The value and its generation.
    pub(super) fn open<T: DeserializeOwned>(
        &self,
        kind: Kind,
        row: &str,
        noun: &str,
        sealed: &[u8],
    ) -> Result<(T, u64), VaultError> {
        let unreadable = |what: String| VaultError::Unreadable {
            text: format!("{noun} at {row} does not open: {what}"),
        };
        let opened = self
            .keyring()
            .open(kind, row, sealed)
            .map_err(|error| unreadable(error.to_string()))?;
        // Its own text would quote what it found; that may be a secret.
        let value = serde_json::from_slice(&opened.plaintext).map_err(|error| {
            let place = format!("line {} column {}", error.line(), error.column());
            unreadable(format!("its content is not what this iamd writes ({place})"))
        })?;
        Ok((value, opened.generation))
    }
}

/// A row is older than one of its place that was seen.
pub(super) fn older(noun: &str, row: &str) -> VaultError {
    let text = format!(
        "{noun} at {row} does not open: the store gave an older version than the one seen before; \
         whoever can write to the store put it back. If it was you, with an older file, and it is to \
         hold:  iamctl admin store accept"
    );
    VaultError::Unreadable { text }
}

/// Measured first, so that the buffer never grows: growing would leave secrets behind in freed
/// memory.
pub(super) fn to_json<T: Serialize>(value: &T) -> Result<Zeroizing<Vec<u8>>, serde_json::Error> {
    let mut length = Length(0);
    serde_json::to_writer(&mut length, value)?;
    let mut json = Zeroizing::new(Vec::with_capacity(length.0));
    serde_json::to_writer(&mut *json, value)?;
    Ok(json)
}

struct Length(usize);

impl io::Write for Length {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0 += bytes.len();
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
