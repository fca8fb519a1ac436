//! How often a user may have something within a while. A client that is made and thrown away costs the
//! issuer a row and the site a use of its initial access token; whoever asks an issuer for logins or
//! tokens in a loop may have it refuse all users of the node (429).

use std::{
    collections::HashMap,
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

/// What each uid had within the last while.
pub struct Rate {
    within: Duration,
    of: Mutex<HashMap<u32, Vec<Instant>>>,
}

/// The uid had as many as it may; the next one is possible after this.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TooOften(pub Duration);

impl Rate {
    /// Counts what happened within so long.
    pub fn within(within: Duration) -> Self {
        Self { within, of: Mutex::default() }
    }

    /// Counts one more for `uid` unless it had `most` in the time before `now`.
    ///
    /// # Errors
    /// [`TooOften`].
    pub fn count(&self, uid: u32, most: u32, now: Instant) -> Result<(), TooOften> {
        let mut of = self.lock();
        // Who had none lately takes no memory.
        of.retain(|_, at| {
            at.retain(|at| *at + self.within > now);
            !at.is_empty()
        });
        let mine = of.entry(uid).or_default();
        // A limit that was lowered meanwhile counts from the newest ones.
        let oldest = mine.len().checked_sub(most.max(1) as usize).and_then(|first| mine.get(first));
        if let Some(oldest) = oldest {
            return Err(TooOften((*oldest + self.within).saturating_duration_since(now)));
        }
        mine.push(now);
        Ok(())
    }

    /// The newest one did not come to pass.
    pub fn take_back(&self, uid: u32) {
        if let Some(mine) = self.lock().get_mut(&uid) {
            mine.pop();
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<u32, Vec<Instant>>> {
        self.of.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::{Clock as _, SystemClock};

    #[test]
    fn each_uid_has_so_many_in_any_hour_and_is_told_when_the_next_is_possible() {
        let hour = Rate::within(Duration::from_secs(3600));
        let (registrations, start) = (hour, SystemClock.monotonic());
        let minutes = |count: u64| Duration::from_secs(60 * count);
        for at in [0, 10, 20] {
            registrations.count(1, 3, start + minutes(at)).unwrap();
        }
        let left = |at, most| registrations.count(1, most, start + minutes(at)).unwrap_err().0;
        assert_eq!(left(20, 3), minutes(40));
        assert_eq!(left(59, 3), minutes(1));
        assert_eq!(left(59, 1), minutes(21), "a lower limit is counted from the newest");
        registrations.count(2, 3, start + minutes(59)).unwrap();
        registrations.count(1, 3, start + minutes(60)).unwrap();
        assert_eq!(left(60, 3), minutes(10));
        registrations.take_back(1);
        registrations.count(1, 3, start + minutes(60)).unwrap();
        registrations.count(3, 3, start + minutes(600)).unwrap();
        assert_eq!(registrations.lock().len(), 1, "who had none lately is forgotten");
    }
}
