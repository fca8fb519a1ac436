//! An account in the middle of a refresh, and what becomes of it where the store does not take it or
//! somebody else wrote meanwhile.

use secrecy::{ExposeSecret, SecretString};

use crate::account::{
    Record, Rotation,
    ports::{Revision, Rotated, Stored},
};

/// An account in the middle of a refresh.
pub(super) struct Held {
    /// With the newest tokens.
    pub(super) record: Record,
    /// What the store holds: the same, but where it did not take them.
    pub(super) stored: Record,
    /// Where the store is.
    pub(super) revision: Revision,
}

impl From<Stored<Record>> for Held {
    fn from(Stored { value, revision }: Stored<Record>) -> Self {
        Self { stored: value.clone(), record: value, revision }
    }
}

/// What the store did not take.
#[derive(Clone)]
pub(super) struct Unsettled {
    /// The account with its newest tokens.
    pub(super) newest: Record,
    /// What the store held when it was to take them.
    pub(super) old: Record,
}

impl Unsettled {
    /// What is in the store, with the newest tokens; `None` where they have no place in it.
    pub(super) fn over(self, stored: &Record) -> Option<Record> {
        if stored.generation <= self.newest.generation {
            Some(self.newest)
        } else if hold_the_same(stored, &self.old) {
            // Something else of the account was written meanwhile: the token has its place still.
            Some(merged(stored.clone(), self.newest))
        } else {
            // Signed out or signed in anew meanwhile: what was unsettled has no successor.
            None
        }
    }
}

pub(super) fn rotate(record: &mut Record, rotated: Rotated) {
    record.rotation = Rotation::Rotates;
    record.refresh_token = Some(rotated.token);
    record.note_end(rotated.expires_at);
}

/// What somebody else wrote, with our tokens.
pub(super) fn merged(found: Record, ours: Record) -> Record {
    Record {
        refresh_token: ours.refresh_token,
        refresh_expires_at: ours.refresh_expires_at,
        extended: ours.extended,
        access_token: ours.access_token,
        scopes: ours.scopes,
        narrowed_from: ours.narrowed_from,
        rotation: ours.rotation,
        refreshed_at: ours.refreshed_at,
        state: ours.state,
        guard: ours.guard,
        ..found
    }
}

/// Whether two records, as they were read, hold the same refresh token. One that was locked
/// meanwhile shows it by its mark only.
pub(super) fn hold_the_same(a: &Record, b: &Record) -> bool {
    match (&a.guard, &b.guard) {
        (None, None) => same(a.refresh_token.as_ref(), b.refresh_token.as_ref()),
        (Some(a), Some(b)) => a.wrapped == b.wrapped && a.mark == b.mark,
        _ => false,
    }
}

pub(super) fn same(a: Option<&SecretString>, b: Option<&SecretString>) -> bool {
    a.map(ExposeSecret::expose_secret) == b.map(ExposeSecret::expose_secret)
}
