//! Rows that were read just now, sealed as they stand in the file. A token that is in memory is asked
//! for again and again, and each time the account is read anew, for its owner, its state and its seal:
//! from here, without a thread and a query, as long as nothing at all was written since.
//!
//! Nobody else writes the file while this process has the directory's lock. A write moves the
//! store's revision on before it returns, so that whoever has written reads what was written.

use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
};

use super::super::{Entry, Listing};

/// So many answers are kept, each of so many bytes at most: the rows of a user, not those of all.
const MOST: usize = 1024;
const LONGEST: usize = 32 * 1024;

/// What was read at one revision.
#[derive(Debug, Default)]
pub(super) struct Recent(Mutex<Kept>);

#[derive(Debug, Default)]
struct Kept {
    revision: u64,
    rows: HashMap<String, Option<Entry>>,
    lists: HashMap<String, Listing>,
}

impl Recent {
    /// The row, if it was read at this revision, which is the store's now.
    pub(super) fn row(&self, key: &str, now: u64) -> Option<Option<Entry>> {
        self.at(now, |kept| kept.rows.get(key).cloned())
    }

    /// What is under a prefix, likewise.
    pub(super) fn list(&self, prefix: &str, now: u64) -> Option<Listing> {
        self.at(now, |kept| kept.lists.get(prefix).cloned())
    }

    /// Keeps a row that was read while the store was at this revision, from before the reading until
    /// now.
    pub(super) fn keep_row(&self, key: &str, row: &Option<Entry>, now: u64) {
        if row.as_ref().is_none_or(|row| row.value.len() <= LONGEST) {
            self.keep(now, |kept| drop(kept.rows.insert(key.to_owned(), row.clone())));
        }
    }

    /// Keeps what is under a prefix, likewise.
    pub(super) fn keep_list(&self, prefix: &str, listing: &Listing, now: u64) {
        let bytes: usize = listing.entries.iter().map(|entry| entry.value.len()).sum();
        if bytes <= LONGEST {
            self.keep(now, |kept| drop(kept.lists.insert(prefix.to_owned(), listing.clone())));
        }
    }

    fn at<T>(&self, now: u64, find: impl FnOnce(&Kept) -> Option<T>) -> Option<T> {
        let kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.revision == now { find(&kept) } else { None }
    }

    fn keep(&self, now: u64, put: impl FnOnce(&mut Kept)) {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.revision > now {
            return;
        }
        if kept.revision < now || kept.rows.len() + kept.lists.len() >= MOST {
            *kept = Kept { revision: now, ..Kept::default() };
        }
        put(&mut kept);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::account::ports::Revision;

    fn entry(bytes: usize) -> Entry {
        Entry { key: "a/1".into(), value: vec![7; bytes], revision: Revision(3) }
    }

    #[test]
    fn what_was_read_holds_until_anything_is_written_and_no_longer() {
        let recent = Recent::default();
        recent.keep_row("a/1", &Some(entry(9)), 3);
        recent.keep_row("a/2", &None, 3);
        let listing = Listing { entries: vec![entry(9)], revision: Revision(3) };
        recent.keep_list("a/", &listing, 3);
        assert_eq!(recent.row("a/1", 3), Some(Some(entry(9))));
        assert_eq!((recent.row("a/2", 3), recent.row("a/3", 3)), (Some(None), None));
        assert_eq!(recent.list("a/", 3), Some(listing));
        assert_eq!((recent.row("a/1", 4), recent.list("a/", 4)), (None, None));
        // A reader that comes late brings nothing back.
        recent.keep_row("a/2", &None, 4);
        recent.keep_row("a/1", &Some(entry(9)), 3);
        assert_eq!((recent.row("a/1", 4), recent.row("a/2", 4)), (None, Some(None)));
    }

    #[test]
    fn it_is_bounded_in_number_and_size() {
        let recent = Recent::default();
        recent.keep_row("long", &Some(entry(LONGEST + 1)), 1);
        assert_eq!(recent.row("long", 1), None);
        for i in 0..3 * MOST {
            recent.keep_row(&i.to_string(), &None, 1);
        }
        let kept = recent.0.lock().unwrap();
        assert!(kept.rows.len() <= MOST && !kept.rows.is_empty());
    }
}
