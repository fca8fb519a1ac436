//! When to renew a token. Pure.

use std::time::Duration;

use crate::account::{AccessToken, UnixTime};

/// The spread of the jitter: a tenth to either side (requirement 29), so that the accounts of a
/// cluster do not come to the issuer all at once.
pub const SPREAD: f64 = 0.1;

/// How long to wait from `now` until a token is to be renewed: at the part `renew_at` of its
/// life, times `jitter` (about 1), but with at least 5 s (or a tenth of its life, where that is
/// less) left for the issuer to answer.
pub fn delay(token: &AccessToken, now: UnixTime, renew_at: f64, jitter: f64) -> Duration {
    let life = token.expires_at.after(token.issued_at);
    let latest = life.saturating_sub((life / 10).min(Duration::from_secs(5)));
    let age_at_renewal = life.mul_f64((renew_at * jitter).clamp(0.0, 1.0)).min(latest);
    let age = now.after(token.issued_at);
    age_at_renewal.saturating_sub(age)
}

/// How long to wait after the `failures`-th failure in a row: 2 s doubling to 2 min, times
/// `jitter`, and never less than what the issuer asked for.
pub fn backoff(failures: u32, retry_after: Option<Duration>, jitter: f64) -> Duration {
    let base = Duration::from_secs(2 << failures.saturating_sub(1).min(6));
    base.min(Duration::from_secs(120)).mul_f64(jitter).max(retry_after.unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::account::ScopeSet;

    fn token(issued_at: u64, expires_at: u64) -> AccessToken {
        AccessToken {
            token: "t".to_owned().into(),
            issued_at: UnixTime(issued_at),
            expires_at: UnixTime(expires_at),
            scopes: ScopeSet::default(),
        }
    }

    #[test]
    fn r29_a_token_is_renewed_at_two_thirds_of_its_life() {
        let seconds = |now, jitter| {
            delay(&token(1000, 4600), UnixTime(now), 2.0 / 3.0, jitter).as_secs_f64().round()
        };
        assert_eq!(seconds(1000, 1.0), 2400.0);
        assert_eq!(seconds(1000, 0.9), 2160.0);
        assert_eq!(seconds(1000, 1.1), 2640.0);
        assert_eq!(seconds(3400, 1.0), 0.0);
        assert_eq!(seconds(9999, 1.0), 0.0);
    }

    #[test]
    fn a_token_that_lives_a_minute_is_renewed_well_before_its_end() {
        let late = delay(&token(0, 60), UnixTime(0), 0.95, 1.1);
        assert_eq!(late, Duration::from_secs(55));
        assert_eq!(delay(&token(0, 60), UnixTime(0), 2.0 / 3.0, 1.0), Duration::from_secs(40));
    }

    #[test]
    fn failures_are_retried_ever_more_slowly_and_not_before_the_issuer_allows() {
        let waits: Vec<u64> = (1..=9).map(|n| backoff(n, None, 1.0).as_secs()).collect();
        assert_eq!(waits, [2, 4, 8, 16, 32, 64, 120, 120, 120]);
        assert_eq!(backoff(1, Some(Duration::from_secs(90)), 1.0), Duration::from_secs(90));
    }
}
