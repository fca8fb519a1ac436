//! How often a user may do what costs an issuer something: a client that is made and thrown away
//! costs it a row and the site a use of its initial access token; a device code costs it a row, and
//! an issuer that is asked for too many says no to everybody who uses the same client.

use std::{
    collections::HashMap,
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

/// What each uid did within the last while.
pub struct Rate {
    window: Duration,
    of: Mutex<HashMap<u32, Vec<Instant>>>,
}

/// The uid did it as often as it may; the next time is possible after this.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TooOften(pub Duration);

impl Rate {
    /// Nobody did anything yet; so many are counted in any time of this length.
    pub fn per(window: Duration) -> Self {
        Self { window, of: Mutex::default() }
    }

    /// Counts one of `uid` unless it had `most` in the window before `now`.
    ///
    /// # Errors
    /// [`TooOften`].
    pub fn count(&self, uid: u32, most: u32, now: Instant) -> Result<(), TooOften> {
        let mut of = self.lock();
        // Who did nothing lately takes no memory.
        of.retain(|_, at| {
            at.retain(|at| *at + self.window > now);
            !at.is_empty()
        });
        let mine = of.entry(uid).or_default();
        // A limit that was lowered meanwhile counts from the newest ones.
        let oldest = mine.len().checked_sub(most.max(1) as usize).and_then(|first| mine.get(first));
        if let Some(oldest) = oldest {
            return Err(TooOften((*oldest + self.window).saturating_duration_since(now)));
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
        let minutes = |count: u64| Duration::from_secs(60 * count);
        let (rate, start) = (Rate::per(minutes(60)), SystemClock.monotonic());
        for at in [0, 10, 20] {
            rate.count(1, 3, start + minutes(at)).unwrap();
        }
        let left = |at, most| rate.count(1, most, start + minutes(at)).unwrap_err().0;
        assert_eq!(left(20, 3), minutes(40));
        assert_eq!(left(59, 3), minutes(1));
        assert_eq!(left(59, 1), minutes(21), "a lower limit is counted from the newest");
        rate.count(2, 3, start + minutes(59)).unwrap();
        rate.count(1, 3, start + minutes(60)).unwrap();
        assert_eq!(left(60, 3), minutes(10));
        rate.take_back(1);
        rate.count(1, 3, start + minutes(60)).unwrap();
        rate.count(3, 3, start + minutes(600)).unwrap();
        assert_eq!(rate.lock().len(), 1, "who did nothing lately is forgotten");
    }
}
