//! Who is first: whoever cancels a login, or whoever keeps what it brings. Tokens that came are kept
//! only where nobody had cancelled it by then, and a login whose tokens are being kept is cancelled
//! no more: a sign-out waits for the account's lock, and finds them.

use std::{future::Future, sync::Arc};

use iamd_protocol::error::Kind;
use tokio::sync::watch;

use super::{Failure, Logins, Request};

/// The decision about one login, shared by all who hold a copy.
#[derive(Debug, Clone)]
pub struct Claim(Arc<watch::Sender<Stand>>);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stand {
    Open,
    Cancelled,
    Kept,
}

impl Default for Claim {
    fn default() -> Self {
        Self(Arc::new(watch::Sender::new(Stand::Open)))
    }
}

impl Claim {
    /// Cancels; whether it was open until now.
    pub fn cancel(&self) -> bool {
        self.0.send_if_modified(|stand| {
            let open = *stand == Stand::Open;
            if open {
                *stand = Stand::Cancelled;
            }
            open
        })
    }

    /// From now on it is not cancelled any more. To be called under the lock of the account, which
    /// is held until what came is stored.
    ///
    /// # Errors
    /// It was cancelled.
    pub fn keep(&self) -> Result<(), Failure> {
        self.0.send_if_modified(|stand| {
            let open = *stand == Stand::Open;
            if open {
                *stand = Stand::Kept;
            }
            open
        });
        if self.is_cancelled() { Err(cancelled()) } else { Ok(()) }
    }

    /// Whether it was cancelled.
    pub fn is_cancelled(&self) -> bool {
        *self.0.borrow() == Stand::Cancelled
    }

    /// What `work` gives, unless it is cancelled first.
    pub(super) async fn unless_cancelled<T>(
        &self,
        work: impl Future<Output = T>,
    ) -> Result<T, Failure> {
        let mut stand = self.0.subscribe();
        tokio::select! {
            biased;
            done = work => Ok(done),
            _ = stand.wait_for(|stand| *stand == Stand::Cancelled) => Err(cancelled()),
        }
    }
}

/// What who waits for it is told.
pub(super) fn cancelled() -> Failure {
    Failure::new(Kind::LoginCancelled, "the login was cancelled")
}

/// A sign-in that is under way.
pub(super) struct During<'a> {
    pub(super) logins: &'a Logins,
    pub(super) request: Arc<Request>,
}

impl Drop for During<'_> {
    fn drop(&mut self) {
        self.logins.lock_others().retain(|other| !Arc::ptr_eq(other, &self.request));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_decides() {
        let claim = Claim::default();
        assert!(claim.cancel() && claim.clone().is_cancelled());
        assert!(!claim.cancel(), "it was before");
        assert_eq!(claim.keep().unwrap_err().kind, Kind::LoginCancelled);

        let claim = Claim::default();
        // Again after a store that had changed meanwhile.
        assert!(claim.keep().is_ok() && claim.keep().is_ok());
        assert!(!claim.cancel() && !claim.is_cancelled());
    }
}
