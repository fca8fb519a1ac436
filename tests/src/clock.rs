//! Time for tests: the one place that reads the clock and sleeps, always with an end.

use std::fmt::Display;
use std::time::{Duration, Instant};

use crate::error::{Error, Result};

/// How often [`eventually`] looks.
const LOOK: Duration = Duration::from_millis(20);

/// The monotonic clock.
#[allow(clippy::disallowed_methods)]
pub fn now() -> Instant {
    Instant::now()
}

/// Sleeps. For waiting on something, use [`eventually`].
#[allow(clippy::disallowed_methods)]
pub fn pause(span: Duration) {
    std::thread::sleep(span);
}

/// Seconds since 1970, as tokens count them.
#[allow(clippy::disallowed_methods)]
pub fn unix_time() -> u64 {
    std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).map_or(0, |d| d.as_secs())
}

/// Looks until `condition` gives a value, for `limit` at most; the error repeats the last refusal.
///
/// ```no_run
/// # use std::time::Duration;
/// # fn file() -> Result<String, std::io::Error> { std::fs::read_to_string("x") }
/// let text = iamd_tests::eventually("the token file", Duration::from_secs(7), file)?;
/// # Ok::<(), iamd_tests::Error>(())
/// ```
pub fn eventually<T, E: Display>(
    what: &str,
    limit: Duration,
    mut condition: impl FnMut() -> std::result::Result<T, E>,
) -> Result<T> {
    let start = now();
    loop {
        match condition() {
            Ok(value) => return Ok(value),
            Err(refusal) if start.elapsed() >= limit => {
                let hint = format!("; the last look gave: {refusal}");
                return Err(Error::TimedOut { what: what.into(), limit, hint });
            }
            Err(_) => pause(LOOK),
        }
    }
}

/// As [`eventually`], for a condition that is only true or false.
pub fn until(what: &str, limit: Duration, mut condition: impl FnMut() -> bool) -> Result<()> {
    eventually(what, limit, || if condition() { Ok(()) } else { Err("not yet") })
}
