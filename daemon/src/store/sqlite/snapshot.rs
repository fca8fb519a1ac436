//! All of the store at one moment, and whether it is whole: on connections of their own, for both
//! take their time, and the other readers are not to wait.

use futures_util::{StreamExt as _, stream};
use rusqlite::{Connection, OptionalExtension as _};
use tokio::sync::{mpsc, oneshot};

use super::{Fault, Link, entry_of, file};
use crate::{
    account::ports::Revision,
    store::{Entry, Snapshot, StoreError},
};

/// How many entries are read ahead.
const AHEAD: usize = 64;

type Sender = mpsc::Sender<Result<Entry, StoreError>>;

/// Begins a snapshot: when this returns, its moment is fixed.
pub(super) async fn begin(link: Link) -> Result<Snapshot, StoreError> {
    let (begun, beginning) = oneshot::channel();
    let (sender, receiver) = mpsc::channel(AHEAD);
    let path = link.path.clone();
    // Ends when everything is read, or nobody reads any more.
    tokio::task::spawn_blocking(move || {
        let explained = |error: &rusqlite::Error| file::explained(&link.path, error);
        let connection = match file::connect_to_read(&link.path) {
            Ok(connection) => connection,
            Err(error) => return drop(begun.send(Err(explained(&error)))),
        };
        if let Err(error) = read(connection, begun, &sender) {
            drop(sender.blocking_send(Err(explained(&error))));
        }
    });
    let ended = || StoreError::unavailable(&path, "iamd is shutting down");
    let (count, revision) = beginning.await.map_err(|_| ended())??;
    let entries = stream::unfold(receiver, |mut receiver| async move {
        let entry = receiver.recv().await?;
        Some((entry, receiver))
    });
    Ok(Snapshot { count, revision, entries: entries.boxed() })
}

fn read(
    mut connection: Connection,
    begun: oneshot::Sender<Result<(u64, Revision), StoreError>>,
    sender: &Sender,
) -> rusqlite::Result<()> {
    // One transaction: what is written from now on is not seen.
    let snapshot = connection.transaction()?;
    let count: i64 = snapshot.query_row("SELECT count(*) FROM entries", [], |row| row.get(0))?;
    let revision = Revision(file::counter(&snapshot, "revision")?);
    if begun.send(Ok((count.unsigned_abs(), revision))).is_err() {
        return Ok(());
    }
    let mut query = snapshot.prepare("SELECT key, value, revision FROM entries ORDER BY key")?;
    for entry in query.query_map([], entry_of)? {
        if sender.blocking_send(Ok(entry?)).is_err() {
            return Ok(());
        }
    }
    Ok(())
}

/// The first damage of the file, where there is one.
pub(super) async fn damage(link: &Link) -> Result<Option<String>, StoreError> {
    let path = link.path.clone();
    link.run_apart(move || {
        let connection = file::connect_to_read(&path)?;
        let found: Option<String> = connection
            .query_row("PRAGMA integrity_check(1)", [], |row| row.get(0))
            .optional()
            .map_err(Fault::from)?;
        Ok(found.filter(|word| word != "ok"))
    })
    .await
}
