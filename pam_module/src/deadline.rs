//! The module's only clock: the instant by which the conversation with the daemon is over.

use std::io;
use std::time::{Duration, Instant};

/// An instant in the near future, on the monotonic clock.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Deadline(Instant);

impl Deadline {
    /// `within` from now.
    #[expect(clippy::disallowed_methods, reason = "the module's clock")]
    pub(crate) fn after(within: Duration) -> Self {
        Self(Instant::now() + within)
    }

    /// What is left, never zero: to the kernel a timeout of zero means for ever.
    ///
    /// # Errors
    /// `TimedOut` when nothing is left.
    #[expect(clippy::disallowed_methods, reason = "the module's clock")]
    pub(crate) fn remaining(&self) -> io::Result<Duration> {
        match self.0.saturating_duration_since(Instant::now()) {
            Duration::ZERO => Err(io::ErrorKind::TimedOut.into()),
            left => Ok(left),
        }
    }
}
