//! How often a user may try a passphrase. Each uid for itself: nobody keeps another from theirs.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

/// So many wrong ones within [`WINDOW`], and none is tried for as long again.
const MOST: usize = 5;
const WINDOW: Duration = Duration::from_secs(60);

/// What the uids tried.
#[derive(Clone, Default)]
pub struct Attempts {
    of: Arc<Mutex<HashMap<u32, Tried>>>,
}

#[derive(Default)]
struct Tried {
    wrong: Vec<Instant>,
    barred_until: Option<Instant>,
    under_way: bool,
}

/// Why a passphrase is not tried now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NotNow {
    /// Another one of this uid is being tried, or waits to be.
    UnderWay,
    /// Too many were wrong.
    Barred,
}

/// One attempt; dropping it ends it.
pub struct Attempt {
    attempts: Attempts,
    uid: u32,
}

impl Attempts {
    /// Begins an attempt of `uid`, if it may have one now.
    ///
    /// # Errors
    /// [`NotNow`].
    pub fn begin(&self, uid: u32, now: Instant) -> Result<Attempt, NotNow> {
        let mut of = self.lock();
        // Who is of no account any more takes no memory.
        of.retain(|_, tried| tried.is_of_account(now));
        let tried = of.entry(uid).or_default();
        if tried.barred_until.is_some_and(|until| until > now) {
            return Err(NotNow::Barred);
        }
        if std::mem::replace(&mut tried.under_way, true) {
            return Err(NotNow::UnderWay);
        }
        Ok(Attempt { attempts: self.clone(), uid })
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<u32, Tried>> {
        self.of.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Tried {
    fn is_of_account(&self, now: Instant) -> bool {
        self.under_way
            || self.barred_until.is_some_and(|until| until > now)
            || self.wrong.iter().any(|at| *at + WINDOW > now)
    }
}

impl Attempt {
    /// It was the wrong one.
    pub fn was_wrong(&self, now: Instant) {
        let mut of = self.attempts.lock();
        let tried = of.entry(self.uid).or_default();
        tried.wrong.retain(|at| *at + WINDOW > now);
        tried.wrong.push(now);
        if tried.wrong.len() >= MOST {
            tried.wrong.clear();
            tried.barred_until = Some(now + WINDOW);
        }
    }
}

impl Drop for Attempt {
    fn drop(&mut self) {
        if let Some(tried) = self.attempts.lock().get_mut(&self.uid) {
            tried.under_way = false;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::{Clock as _, SystemClock};

    fn begins(attempts: &Attempts, uid: u32, now: Instant) -> Option<NotNow> {
        attempts.begin(uid, now).err()
    }

    #[test]
    fn five_wrong_ones_in_a_minute_bar_a_uid_for_a_minute_and_no_other() {
        let (attempts, start) = (Attempts::default(), SystemClock.monotonic());
        let second = Duration::from_secs(1);
        for i in 0..5 {
            let attempt = attempts.begin(1, start + i * second).ok().unwrap();
            attempt.was_wrong(start + i * second);
        }
        assert_eq!(begins(&attempts, 1, start + 5 * second), Some(NotNow::Barred));
        assert_eq!(begins(&attempts, 1, start + 63 * second), Some(NotNow::Barred));
        assert_eq!(begins(&attempts, 2, start + 5 * second), None);
        assert_eq!(begins(&attempts, 1, start + 64 * second), None);
        assert_eq!(attempts.lock().len(), 1, "uid 2 was right and is forgotten");
    }

    #[test]
    fn wrong_ones_that_are_long_ago_do_not_count() {
        let (attempts, start) = (Attempts::default(), SystemClock.monotonic());
        for i in 0..20 {
            let now = start + i * Duration::from_secs(16);
            attempts.begin(1, now).ok().unwrap().was_wrong(now);
        }
    }

    #[test]
    fn a_uid_has_one_attempt_at_a_time() {
        let (attempts, now) = (Attempts::default(), SystemClock.monotonic());
        let held = attempts.begin(1, now).ok().unwrap();
        assert_eq!(begins(&attempts, 1, now), Some(NotNow::UnderWay));
        assert_eq!(begins(&attempts, 2, now), None);
        drop(held);
        assert_eq!(begins(&attempts, 1, now), None);
    }
}
