//! How many events of which kind there were since the daemon began: what `Admin.Stats` tells.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
};

use super::{Audit, Event, Kind};

/// Hands events on, and counts them.
pub struct Counted {
    to: Arc<dyn Audit>,
    /// Those with the result `ok`, and the others.
    counts: Mutex<HashMap<Kind, (u64, u64)>>,
}

impl Counted {
    /// Counts what goes to `to` from now on.
    pub fn over(to: Arc<dyn Audit>) -> Self {
        Self { to, counts: Mutex::default() }
    }

    /// How many of this kind went well, and how many did not.
    pub fn of(&self, kind: Kind) -> (u64, u64) {
        let counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        counts.get(&kind).copied().unwrap_or_default()
    }
}

impl Counted {
    /// Records one event.
    pub fn record(&self, kind: Kind, event: &Event<'_>) {
        {
            let mut counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
            let (well, ill) = counts.entry(kind).or_default();
            *if event.result == "ok" { well } else { ill } += 1;
        }
        self.to.record(kind, event);
    }
}
