//! The store inside the daemon: one SQLite file, nothing to run.
//!
//! Two connections, each used by one blocking task at a time: readers do not wait for the sync of
//! a write, and what was just read is not read again until somebody writes (`recent`). Every write
//! commits with `synchronous=FULL` on a write-ahead log: when it returns, it survives a power failure.

mod changes;
mod file;
mod recent;
mod snapshot;
#[cfg(test)]
mod tests;

use std::{path::Path, sync::Arc};

use async_trait::async_trait;
use rusqlite::{Connection, OptionalExtension, Row, Transaction, TransactionBehavior, params};
use tokio::sync::{Mutex, watch};

use self::recent::{Index, Recent, Version};
use super::{Changes, Entry, Listing, NamedLocks, Snapshot, StateDir, Store, StoreError, Swap};
use crate::account::ports::{Lock, Revision};

/// How many removals are remembered for watches that resume.
const REMOVALS_KEPT: u64 = 10_000;

/// The store inside the daemon.
#[derive(Debug)]
pub struct SqliteStore {
    writer: Link,
    reader: Link,
    locks: NamedLocks,
    latest: watch::Sender<u64>,
    recent: Recent,
    removals_kept: u64,
}

/// A connection that one task uses at a time, off the async threads.
#[derive(Debug, Clone)]
struct Link {
    connection: Arc<Mutex<Connection>>,
    path: Arc<Path>,
    /// Below the connection: closed after it.
    index: Index,
    /// The directory stays locked until the last connection is closed.
    _dir: StateDir,
}

impl SqliteStore {
    /// Opens `iamd.db` in the state directory, or makes it, and checks it. Blocks: the check reads
    /// the whole file.
    ///
    /// # Errors
    /// [`StoreError::Corrupt`], [`StoreError::Newer`] or [`StoreError::Unavailable`]; the file is
    /// never deleted or moved.
    pub fn open(dir: &StateDir) -> Result<Self, StoreError> {
        Self::open_keeping(dir, REMOVALS_KEPT)
    }

    fn open_keeping(dir: &StateDir, removals_kept: u64) -> Result<Self, StoreError> {
        let path = dir.join(file::NAME);
        let (writer, reader, latest) = file::open(&path)?;
        let index = Index::of(&path);
        let path: Arc<Path> = path.into();
        let link = |connection| Link {
            connection: Arc::new(Mutex::new(connection)),
            path: Arc::clone(&path),
            index: index.clone(),
            _dir: dir.clone(),
        };
        Ok(Self {
            writer: link(writer),
            reader: link(reader),
            locks: NamedLocks::default(),
            latest: watch::Sender::new(latest),
            recent: Recent::default(),
            removals_kept,
        })
    }

    /// The version, if it is the one that was there before and nobody committed anything meanwhile.
    fn unchanged_since(&self, before: Option<Version>) -> Option<Version> {
        before.filter(|_| self.reader.index.version() == before)
    }
}

impl Link {
    async fn run<T, F>(&self, work: F) -> Result<T, StoreError>
    where
        T: Send + 'static,
        F: FnOnce(&mut Connection) -> Result<T, Fault> + Send + 'static,
    {
        let mut connection = Arc::clone(&self.connection).lock_owned().await;
        self.run_apart(move || work(&mut connection)).await
    }

    /// Work that does not use this connection.
    async fn run_apart<T, F>(&self, work: F) -> Result<T, StoreError>
    where
        T: Send + 'static,
        F: FnOnce() -> Result<T, Fault> + Send + 'static,
    {
        match tokio::task::spawn_blocking(work).await {
            Ok(Ok(done)) => Ok(done),
            Ok(Err(Fault::Conflict)) => Err(StoreError::Conflict),
            Ok(Err(Fault::Compacted(after))) => Err(StoreError::Compacted { after }),
            Ok(Err(Fault::Sqlite(error))) => Err(file::explained(&self.path, &error)),
            Err(_) => Err(StoreError::unavailable(&self.path, "iamd is shutting down")),
        }
    }
}

/// Why work on a connection ended.
enum Fault {
    Conflict,
    Compacted(u64),
    Sqlite(rusqlite::Error),
}

impl From<rusqlite::Error> for Fault {
    fn from(error: rusqlite::Error) -> Self {
        Self::Sqlite(error)
    }
}

#[async_trait]
impl Store for SqliteStore {
    async fn get(&self, key: &str) -> Result<Option<Entry>, StoreError> {
        let before = self.reader.index.version();
        if let Some(row) = self.recent.row(key, before) {
            return Ok(row);
        }
        let wanted = key.to_owned();
        let row = self
            .reader
            .run(move |connection| {
                let mut query = connection
                    .prepare_cached("SELECT key, value, revision FROM entries WHERE key = ?1")?;
                Ok(query.query_row([wanted.as_bytes()], entry_of).optional()?)
            })
            .await?;
        if let Some(version) = self.unchanged_since(before) {
            self.recent.keep_row(key, &row, version);
        }
        Ok(row)
    }

    async fn list(&self, prefix: &str) -> Result<Listing, StoreError> {
        let before = self.reader.index.version();
        if let Some(listing) = self.recent.list(prefix, before) {
            return Ok(listing);
        }
        let (from, to) = range_of(prefix);
        let listing = self
            .reader
            .run(move |connection| {
                // One transaction: the revision is that of the very entries listed.
                let snapshot = connection.transaction()?;
                let revision = Revision(file::counter(&snapshot, "revision")?);
                let entries = snapshot
                    .prepare_cached(
                        "SELECT key, value, revision FROM entries
                         WHERE key >= ?1 AND (?2 IS NULL OR key < ?2) ORDER BY key",
                    )?
                    .query_map(params![from, to], entry_of)?
                    .collect::<Result<_, _>>()?;
                Ok(Listing { entries, revision })
            })
            .await?;
        if let Some(version) = self.unchanged_since(before) {
            self.recent.keep_list(prefix, &listing, version);
        }
        Ok(listing)
    }

    async fn keys(&self, prefix: &str) -> Result<Vec<String>, StoreError> {
        let (from, to) = range_of(prefix);
        self.reader
            .run(move |connection| {
                let mut query = connection.prepare_cached(
                    "SELECT key FROM entries
                     WHERE key >= ?1 AND (?2 IS NULL OR key < ?2) ORDER BY key",
                )?;
                let keys = query.query_map(params![from, to], |row| key_of(row, 0))?;
                Ok(keys.collect::<Result<_, _>>()?)
            })
            .await
    }

    async fn snapshot(&self) -> Result<Snapshot, StoreError> {
        snapshot::begin(self.reader.clone()).await
    }

    async fn damage(&self) -> Result<Option<String>, StoreError> {
        snapshot::damage(&self.reader).await
    }

    async fn compare_and_swap(
        &self,
        key: &str,
        expected: Revision,
        value: Option<Vec<u8>>,
    ) -> Result<Revision, StoreError> {
        self.swap_all(vec![Swap { key: key.to_owned(), expected, value }]).await
    }

    async fn swap_all(&self, swaps: Vec<Swap>) -> Result<Revision, StoreError> {
        let kept = self.removals_kept;
        let latest = self.latest.clone();
        self.writer
            .run(move |connection| {
                let change =
                    connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
                let mut written = Revision(file::counter(&change, "revision")?);
                for one in &swaps {
                    written = swap(&change, one, kept)?;
                }
                change.commit()?;
                // In the same task as the commit: a caller that gave up does not hide a change.
                latest.send_replace(written.0);
                Ok(written)
            })
            .await
    }

    async fn lock(&self, name: &str) -> Result<Box<dyn Lock>, StoreError> {
        Ok(self.locks.lock(name).await)
    }

    async fn watch(&self, prefix: &str, after: Revision) -> Result<Changes, StoreError> {
        Ok(changes::watch(self.reader.clone(), self.latest.subscribe(), prefix, after))
    }
}

fn swap(change: &Transaction<'_>, one: &Swap, removals_kept: u64) -> Result<Revision, Fault> {
    let (key, value) = (one.key.as_bytes(), one.value.as_deref());
    let current = change
        .prepare_cached("SELECT revision FROM entries WHERE key = ?1")?
        .query_row([key], |row| row.get::<_, i64>(0))
        .optional()?
        .map_or(Revision::ABSENT, |revision| Revision(revision.unsigned_abs()));
    if current != one.expected {
        return Err(Fault::Conflict);
    }
    let revision = change
        .prepare_cached(
            "UPDATE counters SET value = value + 1 WHERE name = 'revision' RETURNING value",
        )?
        .query_row([], |row| row.get::<_, i64>(0))?;
    match value {
        Some(value) => {
            change
                .prepare_cached(
                    "INSERT INTO entries (key, value, revision) VALUES (?1, ?2, ?3)
                     ON CONFLICT (key) DO UPDATE SET value = ?2, revision = ?3",
                )?
                .execute(params![key, value, revision])?;
        }
        None => {
            change.prepare_cached("DELETE FROM entries WHERE key = ?1")?.execute([key])?;
            changes::note_removal(change, revision, key, removals_kept)?;
        }
    }
    Ok(Revision(revision.unsigned_abs()))
}

fn entry_of(row: &Row<'_>) -> rusqlite::Result<Entry> {
    let revision = Revision(row.get::<_, i64>(2)?.unsigned_abs());
    Ok(Entry { key: key_of(row, 0)?, value: row.get(1)?, revision })
}

/// Keys are stored as blobs: compared byte by byte, and a NUL in one ends nothing.
fn key_of(row: &Row<'_>, column: usize) -> rusqlite::Result<String> {
    String::from_utf8(row.get(column)?).map_err(|error| {
        rusqlite::Error::FromSqlConversionFailure(
            column,
            rusqlite::types::Type::Blob,
            Box::new(error),
        )
    })
}

/// The keys that begin with `prefix`: from the first to before the second; no second, no end.
fn range_of(prefix: &str) -> (Vec<u8>, Option<Vec<u8>>) {
    let from = prefix.as_bytes().to_vec();
    let mut to = from.clone();
    // A byte of a str is never 0xff.
    if let Some(last) = to.last_mut() {
        *last += 1;
        return (from, Some(to));
    }
    (from, None)
}
