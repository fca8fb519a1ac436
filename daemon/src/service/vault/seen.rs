//! The newest generation of each row that this process wrote or read.
//!
//! Whoever can write the store can put an older row back: its seal is whole. A row older than one
//! seen here is refused. After a restart nothing was seen yet; what is read first counts.

use std::collections::{BTreeMap, VecDeque};

/// Removed rows are remembered too, the last ones: a user can make and remove accounts for ever.
const REMOVED_KEPT: usize = 65_536;

#[derive(Debug, Default)]
pub(super) struct Seen {
    rows: BTreeMap<String, u64>,
    /// With the generation at removal: if the row has moved on since, it is in use again.
    removed: VecDeque<(String, u64)>,
}

impl Seen {
    /// A row of a lower generation is an older one.
    pub(super) fn floor(&self, row: &str) -> u64 {
        self.rows.get(row).copied().unwrap_or_default()
    }

    /// All floors under a prefix.
    pub(super) fn floors(&self, prefix: &str) -> BTreeMap<String, u64> {
        let from = self.rows.range(prefix.to_owned()..);
        from.take_while(|(row, _)| row.starts_with(prefix))
            .map(|(row, floor)| (row.clone(), *floor))
            .collect()
    }

    pub(super) fn note(&mut self, row: &str, generation: u64) {
        match self.rows.get_mut(row) {
            Some(floor) => *floor = generation.max(*floor),
            None => drop(self.rows.insert(row.to_owned(), generation)),
        }
    }

    /// The row as it was is old from now on.
    pub(super) fn note_removed(&mut self, row: &str) {
        let floor = self.floor(row) + 1;
        self.rows.insert(row.to_owned(), floor);
        self.removed.push_back((row.to_owned(), floor));
        if self.removed.len() > REMOVED_KEPT
            && let Some((row, floor)) = self.removed.pop_front()
            && self.floor(&row) == floor
        {
            self.rows.remove(&row);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn removed_rows_are_remembered_but_not_for_ever() {
        let mut seen = Seen::default();
        seen.note("live", 7);
        seen.note("live", 6);
        seen.note("again", 1);
        seen.note_removed("again");
        seen.note("again", 9);
        for i in 0..REMOVED_KEPT + 10 {
            seen.note(&i.to_string(), 5);
            seen.note_removed(&i.to_string());
        }
        assert_eq!((seen.floor("live"), seen.floor("again"), seen.floor("0")), (7, 9, 0));
        assert_eq!(seen.floor(&(REMOVED_KEPT + 9).to_string()), 6);
        assert!(seen.rows.len() <= REMOVED_KEPT + 2);
        assert_eq!(seen.floors("liv").len(), 1);
    }
}
