//! Rows that were read just now, sealed as they stand in the file. A token that is in memory is asked
//! for again and again, and each time the account is read anew, for its owner, its state and its seal:
//! from here, without a thread and a query, as long as nobody at all has written since.
//!
//! Whether somebody has, says the header of SQLite's index of the write-ahead log (`iamd.db-shm`,
//! <https://sqlite.org/walformat.html>): both copies of it, which every commit changes, be it of this
//! process or of another, before a reader can see what it wrote. An answer is given out while they are
//! what they were before it was read, and kept when they are so after it was read.

use std::{
    collections::HashMap,
    fs::File,
    os::unix::fs::FileExt as _,
    path::Path,
    sync::{Arc, Mutex, PoisonError},
};

use super::super::{Entry, Listing};

/// So many answers are kept, and so many bytes of all of them.
const MOST: usize = 4096;
const BYTES: usize = 8 << 20;
/// An answer that is longer is not: one user's rows are far shorter, those of all are not for here.
const LONGEST: usize = 64 << 10;

/// The two copies of the index's header: a count of the commits, the log's salts and checksums.
pub(super) type Version = [u8; 96];

/// The index of the write-ahead log. Dropped after the connections only: closing any descriptor of
/// that file drops the locks that SQLite has on it.
#[derive(Debug, Clone)]
pub(super) struct Index(Option<Arc<File>>);

impl Index {
    /// That of the database at this path, which is open. Where there is none, nothing is kept.
    pub(super) fn of(database: &Path) -> Self {
        let mut path = database.as_os_str().to_owned();
        path.push("-shm");
        Self(File::open(path).ok().map(Arc::new))
    }

    /// What changes with every commit; `None`: it cannot be told.
    pub(super) fn version(&self) -> Option<Version> {
        let mut version = [0; 96];
        self.0.as_deref()?.read_exact_at(&mut version, 0).ok()?;
        Some(version)
    }
}

/// What was read at one version of the database.
#[derive(Debug, Default)]
pub(super) struct Recent(Mutex<Kept>);

#[derive(Debug, Default)]
struct Kept {
    version: Option<Version>,
    rows: HashMap<String, Option<Entry>>,
    lists: HashMap<String, Listing>,
    bytes: usize,
}

impl Recent {
    /// The row, if it was read at this version, which is the database's now.
    pub(super) fn row(&self, key: &str, now: Option<Version>) -> Option<Option<Entry>> {
        self.at(now, |kept| kept.rows.get(key).cloned())
    }

    /// What is under a prefix, likewise.
    pub(super) fn list(&self, prefix: &str, now: Option<Version>) -> Option<Listing> {
        self.at(now, |kept| kept.lists.get(prefix).cloned())
    }

    /// Keeps a row that was read while the database was at this version, from before the reading
    /// until now.
    pub(super) fn keep_row(&self, key: &str, row: &Option<Entry>, now: Version) {
        let bytes = key.len() + row.as_ref().map_or(0, size);
        self.keep(now, bytes, |kept| drop(kept.rows.insert(key.to_owned(), row.clone())));
    }

    /// Keeps what is under a prefix, likewise.
    pub(super) fn keep_list(&self, prefix: &str, listing: &Listing, now: Version) {
        let bytes = prefix.len() + listing.entries.iter().map(size).sum::<usize>();
        self.keep(now, bytes, |kept| drop(kept.lists.insert(prefix.to_owned(), listing.clone())));
    }

    fn at<T>(&self, now: Option<Version>, find: impl FnOnce(&Kept) -> Option<T>) -> Option<T> {
        let now = now?;
        let kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.version == Some(now) { find(&kept) } else { None }
    }

    fn keep(&self, now: Version, bytes: usize, put: impl FnOnce(&mut Kept)) {
        if bytes > LONGEST {
            return;
        }
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let full = kept.rows.len() + kept.lists.len() >= MOST || kept.bytes + bytes > BYTES;
        if full || kept.version != Some(now) {
            *kept = Kept { version: Some(now), ..Kept::default() };
        }
        kept.bytes += bytes;
        put(&mut kept);
    }
}

fn size(entry: &Entry) -> usize {
    entry.key.len() + entry.value.len()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::account::ports::Revision;

    const ONE: Version = [1; 96];
    const TWO: Version = [2; 96];

    fn entry(bytes: usize) -> Entry {
        Entry { key: "a/1".into(), value: vec![7; bytes], revision: Revision(3) }
    }

    #[test]
    fn what_was_read_holds_until_anything_is_written_and_no_longer() {
        let recent = Recent::default();
        recent.keep_row("a/1", &Some(entry(9)), ONE);
        recent.keep_row("a/2", &None, ONE);
        let listing = Listing { entries: vec![entry(9)], revision: Revision(3) };
        recent.keep_list("a/", &listing, ONE);
        assert_eq!(recent.row("a/1", Some(ONE)), Some(Some(entry(9))));
        assert_eq!(
            (recent.row("a/2", Some(ONE)), recent.row("a/3", Some(ONE))),
            (Some(None), None)
        );
        assert_eq!(recent.list("a/", Some(ONE)), Some(listing));
        assert_eq!((recent.row("a/1", Some(TWO)), recent.list("a/", Some(TWO))), (None, None));
        recent.keep_row("a/2", &None, TWO);
        assert_eq!(
            (recent.row("a/1", Some(TWO)), recent.row("a/2", Some(TWO))),
            (None, Some(None))
        );
        // Where it cannot be told whether somebody wrote, somebody did.
        assert_eq!(recent.row("a/2", None), None);
    }

    #[test]
    fn what_a_late_reader_brings_is_not_given_out_at_a_later_version() {
        let recent = Recent::default();
        recent.keep_row("a/1", &None, TWO);
        recent.keep_row("a/1", &Some(entry(9)), ONE);
        assert_eq!(recent.row("a/1", Some(TWO)), None);
    }

    #[test]
    fn it_is_bounded_in_number_and_size() {
        let recent = Recent::default();
        recent.keep_row("long", &Some(entry(LONGEST)), ONE);
        assert_eq!(recent.row("long", Some(ONE)), None);
        for i in 0..2 * MOST + 9 {
            recent.keep_row(&i.to_string(), &None, ONE);
        }
        for i in 0..300 {
            recent.keep_row(&i.to_string(), &Some(entry(LONGEST / 2)), ONE);
            let kept = recent.0.lock().unwrap();
            let most = kept.rows.len() <= MOST && kept.bytes <= BYTES;
            assert!(most && !kept.rows.is_empty());
        }
    }
}
