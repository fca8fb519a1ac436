//! When to ask the issuer whether a device code was approved. Pure.

use std::time::{Duration, Instant};

/// What RFC 8628 §3.5 adds to the interval at each `slow_down`.
const SLOW_DOWN: Duration = Duration::from_secs(5);
/// The longest wait after failures that may pass.
const LONGEST_BACKOFF: Duration = Duration::from_secs(60);

/// The poller of one device code.
#[derive(Debug, Clone)]
pub struct Poller {
    interval: Duration,
    ends: Instant,
    failures: u32,
}

/// What an answer without tokens was.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Answer {
    /// `authorization_pending`.
    Pending,
    /// `slow_down`.
    SlowDown,
    /// A failure that may pass.
    Transient {
        /// What the issuer asked for.
        retry_after: Option<Duration>,
    },
}

impl Poller {
    /// A poller for a code that was given `at` and is valid for `expires_in`. The deadline is of
    /// the monotonic clock: an issuer may never tell that a code has expired.
    pub fn new(interval: Duration, expires_in: Duration, at: Instant) -> Self {
        Self { interval, ends: at + expires_in, failures: 0 }
    }

    /// The first poll, one whole interval after the code was given.
    pub fn first(&self, now: Instant) -> Option<Instant> {
        self.within(now + self.interval)
    }

    /// The next poll; `None` when the code has ended by then.
    pub fn next(&mut self, answer: Answer, now: Instant) -> Option<Instant> {
        let wait = match answer {
            Answer::Pending => {
                self.failures = 0;
                self.interval
            }
            Answer::SlowDown => {
                self.failures = 0;
                self.interval += SLOW_DOWN;
                self.interval
            }
            Answer::Transient { retry_after } => {
                self.failures += 1;
                let backoff = self.interval * (1 << self.failures.min(6));
                backoff.min(LONGEST_BACKOFF).max(self.interval).max(retry_after.unwrap_or_default())
            }
        };
        self.within(now + wait)
    }

    /// When the code ends.
    pub fn ends(&self) -> Instant {
        self.ends
    }

    fn within(&self, at: Instant) -> Option<Instant> {
        (at < self.ends).then_some(at)
    }
}

#[cfg(test)]
#[allow(clippy::disallowed_methods)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const S: Duration = Duration::from_secs(1);

    fn poller() -> (Poller, Instant) {
        let now = Instant::now();
        (Poller::new(5 * S, 600 * S, now), now)
    }

    #[test]
    fn r01_the_first_poll_waits_a_whole_interval() {
        let (poller, now) = poller();
        assert_eq!(poller.first(now), Some(now + 5 * S));
    }

    #[test]
    fn r02_pending_keeps_polling_at_the_interval() {
        let (mut poller, now) = poller();
        for _ in 0..10 {
            assert_eq!(poller.next(Answer::Pending, now), Some(now + 5 * S));
        }
    }

    #[test]
    fn r03_slow_down_adds_five_seconds_for_all_later_polls() {
        let (mut poller, now) = poller();
        assert_eq!(poller.next(Answer::SlowDown, now), Some(now + 10 * S));
        assert_eq!(poller.next(Answer::Pending, now), Some(now + 10 * S));
        assert_eq!(poller.next(Answer::SlowDown, now), Some(now + 15 * S));
    }

    #[test]
    fn r06_failures_back_off_up_to_a_minute_until_the_code_ends() {
        let (mut poller, now) = poller();
        let transient = Answer::Transient { retry_after: None };
        let waits: Vec<_> = (0..6)
            .filter_map(|_| poller.next(transient, now))
            .map(|at| (at - now).as_secs())
            .collect();
        assert_eq!(waits, [10, 20, 40, 60, 60, 60]);
        assert_eq!(poller.next(Answer::Pending, now), Some(now + 5 * S));
        assert_eq!(poller.next(transient, now), Some(now + 10 * S));
        assert_eq!(poller.next(transient, now + 599 * S), None);
    }

    #[test]
    fn r31_retry_after_is_honoured() {
        let (mut poller, now) = poller();
        let transient = Answer::Transient { retry_after: Some(90 * S) };
        assert_eq!(poller.next(transient, now), Some(now + 90 * S));
    }

    proptest! {
        #[test]
        fn r01_whatever_is_answered_no_poll_is_sooner_than_the_interval_nor_after_the_end(
            answers in proptest::collection::vec((0_u8..4, 0_u64..200), 0..50),
            interval in 1_u64..300, expires_in in 1_u64..90_000,
        ) {
            let start = Instant::now();
            let (interval, life) = (Duration::from_secs(interval), Duration::from_secs(expires_in));
            let mut poller = Poller::new(interval, life, start);
            let (mut now, mut least) = (start, interval);
            for (kind, seconds) in answers {
                let answer = match kind {
                    0 => Answer::Pending,
                    1 => Answer::SlowDown,
                    2 => Answer::Transient { retry_after: None },
                    _ => Answer::Transient { retry_after: Some(Duration::from_secs(seconds)) },
                };
                if answer == Answer::SlowDown {
                    least += SLOW_DOWN;
                }
                let Some(next) = poller.next(answer, now) else { break };
                prop_assert!(next >= now + least && next < start + life);
                now = next;
            }
        }
    }
}
