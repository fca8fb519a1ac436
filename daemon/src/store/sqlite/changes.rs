//! Watching: what changed since a revision, then what changes.
//!
//! There is no log of changes to keep bounded: an entry carries the revision of its last write,
//! and a removal leaves a row in `removals`, of which the newest are kept. A watch reads both in
//! batches and sleeps until the latest revision moves; a slow one loses nothing and costs nothing.

use std::collections::VecDeque;

use futures_util::{StreamExt, stream};
use rusqlite::{Connection, params};
use tokio::sync::watch;

use super::{Fault, Link, entry_of, file, key_of, range_of};
use crate::{
    account::ports::Revision,
    store::{Change, Changes, StoreError},
};

const BATCH: i64 = 256;

struct Watch {
    link: Link,
    latest: watch::Receiver<u64>,
    prefix: String,
    after: u64,
    ready: VecDeque<Change>,
    ended: bool,
}

pub(super) fn watch(
    link: Link,
    latest: watch::Receiver<u64>,
    prefix: &str,
    after: Revision,
) -> Changes {
    let prefix = prefix.to_owned();
    let ready = VecDeque::new();
    let watch = Watch { link, latest, prefix, after: after.0, ready, ended: false };
    stream::unfold(watch, |mut watch| async move {
        let item = watch.next().await?;
        watch.ended = item.is_err();
        Some((item, watch))
    })
    .boxed()
}

impl Watch {
    async fn next(&mut self) -> Option<Result<Change, StoreError>> {
        while !self.ended {
            if let Some(change) = self.ready.pop_front() {
                return Some(Ok(change));
            }
            let latest = *self.latest.borrow_and_update();
            if latest <= self.after {
                // An error: the store was closed.
                self.latest.changed().await.ok()?;
                continue;
            }
            let (prefix, after) = (self.prefix.clone(), self.after);
            match self.link.run(move |connection| since(connection, &prefix, after)).await {
                Ok((changes, seen)) => {
                    self.ready.extend(changes);
                    self.after = seen;
                }
                Err(error) => return Some(Err(error)),
            }
        }
        None
    }
}

/// The next changes after a revision, and the revision up to which they are complete.
fn since(
    connection: &mut Connection,
    prefix: &str,
    after: u64,
) -> Result<(Vec<Change>, u64), Fault> {
    let snapshot = connection.transaction()?;
    if after < file::counter(&snapshot, "compacted")? {
        return Err(Fault::Compacted(after));
    }
    let latest = file::counter(&snapshot, "revision")?;
    let (from, to) = range_of(prefix);
    let signed = i64::try_from(after).unwrap_or(i64::MAX);
    let written = snapshot
        .prepare_cached(
            "SELECT key, value, revision FROM entries
             WHERE revision > ?1 AND key >= ?2 AND (?3 IS NULL OR key < ?3)
             ORDER BY revision LIMIT ?4",
        )?
        .query_map(params![signed, from, to, BATCH], entry_of)?
        .collect::<Result<Vec<_>, _>>()?;
    let removed = snapshot
        .prepare_cached(
            "SELECT key, revision FROM removals
             WHERE revision > ?1 AND key >= ?2 AND (?3 IS NULL OR key < ?3)
             ORDER BY revision LIMIT ?4",
        )?
        .query_map(params![signed, from, to, BATCH], |row| {
            Ok((key_of(row, 0)?, Revision(row.get::<_, i64>(1)?.unsigned_abs())))
        })?
        .collect::<Result<Vec<_>, _>>()?;

    // A full batch ends before the other's tail is known: tell no further than both reach.
    let full = |length: usize| length as i64 == BATCH;
    let mut seen = latest;
    if let Some(last) = written.last().filter(|_| full(written.len())) {
        seen = seen.min(last.revision.0);
    }
    if let Some((_, revision)) = removed.last().filter(|_| full(removed.len())) {
        seen = seen.min(revision.0);
    }
    let written = written.into_iter().map(|entry| Change {
        revision: entry.revision,
        key: entry.key,
        value: Some(entry.value),
    });
    let removed = removed.into_iter().map(|(key, revision)| Change { revision, key, value: None });
    let mut changes: Vec<_> = written.chain(removed).filter(|c| c.revision.0 <= seen).collect();
    changes.sort_by_key(|change| change.revision);
    Ok((changes, seen))
}

/// Remembers a removal, and forgets the oldest when there are too many.
pub(super) fn note_removal(
    connection: &Connection,
    revision: i64,
    key: &[u8],
    kept: u64,
) -> rusqlite::Result<()> {
    connection
        .prepare_cached("INSERT INTO removals (revision, key) VALUES (?1, ?2)")?
        .execute(params![revision, key])?;
    let kept = i64::try_from(kept).unwrap_or(i64::MAX);
    let compacted: Option<i64> = connection
        .prepare_cached(
            "SELECT max(revision) FROM
             (SELECT revision FROM removals ORDER BY revision DESC LIMIT -1 OFFSET ?1)",
        )?
        .query_row([kept], |row| row.get(0))?;
    if let Some(compacted) = compacted {
        connection
            .prepare_cached("DELETE FROM removals WHERE revision <= ?1")?
            .execute([compacted])?;
        connection
            .prepare_cached("UPDATE counters SET value = ?1 WHERE name = 'compacted'")?
            .execute([compacted])?;
    }
    Ok(())
}
