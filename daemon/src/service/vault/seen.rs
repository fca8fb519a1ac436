//! The newest generation of each row that this node wrote or read.
//!
//! Whoever can write the store can put an older row back: its seal is whole. A row older than one
//! seen here is refused. What was seen is told to [`Floors`], which knows it after a restart.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use super::floors::Floors;

/// Removed rows are remembered too, the last ones: a user can make and remove accounts for ever.
const REMOVED_KEPT: usize = 65_536;

#[derive(Debug, Default)]
pub(super) struct Seen {
    rows: BTreeMap<String, u64>,
    /// With the generation at removal: if the row has moved on since, it is in use again.
    removed: VecDeque<(String, u64)>,
    /// Who keeps it over restarts; nobody in a vault of given parts.
    kept: Option<Floors>,
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

    /// The row was written or read at this generation.
    pub(super) fn note(&mut self, row: &str, generation: u64) {
        match self.rows.get_mut(row) {
            Some(floor) if *floor >= generation => return,
            Some(floor) => *floor = generation,
            None => drop(self.rows.insert(row.to_owned(), generation)),
        }
        if let Some(kept) = &self.kept {
            kept.floor(row, generation, false);
        }
    }

    /// The row as it was is old from now on.
    pub(super) fn note_removed(&mut self, row: &str) {
        let floor = self.floor(row) + 1;
        self.remember_removed(row, floor);
        if let Some(kept) = &self.kept {
            kept.floor(row, floor, true);
        }
    }

    /// The row was removed, and nothing below this floor is it again.
    pub(super) fn remember_removed(&mut self, row: &str, floor: u64) {
        let floor = floor.max(self.floor(row));
        self.rows.insert(row.to_owned(), floor);
        self.removed.push_back((row.to_owned(), floor));
        if self.removed.len() > REMOVED_KEPT
            && let Some((row, floor)) = self.removed.pop_front()
            && self.floor(&row) == floor
        {
            self.rows.remove(&row);
        }
    }

    /// These are the newest now, whatever was seen before.
    pub(super) fn lower(&mut self, rows: Vec<(String, u64)>) {
        self.rows.extend(rows);
    }

    /// From here on, what is noted is told to them.
    pub(super) fn tell(&mut self, floors: Floors) {
        self.kept = Some(floors);
    }

    /// Who keeps it over restarts.
    pub(super) fn kept(&self) -> Option<&Floors> {
        self.kept.as_ref()
    }

    /// The same, told to nobody.
    pub(super) fn copied(&self) -> Self {
        Self { rows: self.rows.clone(), removed: self.removed.clone(), kept: None }
    }

    /// Every row with its floor and whether it was removed; the removed ones first, the oldest
    /// first of them.
    pub(super) fn all(&self) -> Vec<(String, u64, bool)> {
        let gone = |(row, floor): &&(String, u64)| self.floor(row) == *floor;
        let removed: Vec<_> = self.removed.iter().filter(gone).collect();
        let rows: BTreeSet<&str> = removed.iter().map(|(row, _)| row.as_str()).collect();
        let live = self.rows.iter().filter(|(row, _)| !rows.contains(row.as_str()));
        let removed = removed.iter().map(|(row, floor)| (row.clone(), *floor, true));
        removed.chain(live.map(|(row, floor)| (row.clone(), *floor, false))).collect()
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
