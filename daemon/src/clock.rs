//! Time and randomness. Everything else gets them as arguments, so that every decision can be
//! tested without waiting; this file is the only one that asks the machine.
#![allow(clippy::disallowed_methods)]

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use async_trait::async_trait;

use crate::account::UnixTime;

/// Where time comes from.
#[async_trait]
pub trait Clock: Send + Sync + 'static {
    /// Wall-clock time, for what is shown, stored and compared with an issuer's instants.
    fn wall(&self) -> UnixTime;
    /// Monotonic time, for deadlines; never jumps.
    fn monotonic(&self) -> Instant;
    /// Waits.
    async fn sleep(&self, duration: Duration);
}

/// The machine's clock.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemClock;

#[async_trait]
impl Clock for SystemClock {
    fn wall(&self) -> UnixTime {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
        #[cfg(feature = "fault-points")]
        let now = now.saturating_add_signed(crate::fault_points::clock_is_off_by());
        UnixTime(now)
    }

    fn monotonic(&self) -> Instant {
        // tokio's instant is the machine's unless a test paused it.
        tokio::time::Instant::now().into_std()
    }

    async fn sleep(&self, duration: Duration) {
        tokio::time::sleep(duration).await;
    }
}

/// Where randomness comes from.
pub trait Random: Send + Sync + 'static {
    /// Fills `buffer` with bytes fit for keys.
    fn fill(&self, buffer: &mut [u8]);

    /// A factor between `1 - spread` and `1 + spread`, for jitter.
    fn jitter(&self, spread: f64) -> f64 {
        let mut bytes = [0; 4];
        self.fill(&mut bytes);
        let unit = f64::from(u32::from_le_bytes(bytes)) / f64::from(u32::MAX);
        1.0 + spread * (2.0 * unit - 1.0)
    }
}

/// The kernel's randomness.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemRandom;

impl Random for SystemRandom {
    fn fill(&self, buffer: &mut [u8]) {
        rand::RngCore::fill_bytes(&mut rand::rng(), buffer);
    }
}
