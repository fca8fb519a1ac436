//! A lock of the stand-in for the vault, which can be said to be lost.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering::SeqCst},
};

use async_trait::async_trait;

use crate::account::ports::Lock;

/// Held until it is dropped, whatever it says.
pub(super) struct Held {
    #[allow(dead_code)]
    pub(super) guard: tokio::sync::OwnedMutexGuard<()>,
    /// So often it says that it is lost.
    pub(super) lost: Arc<AtomicU64>,
    /// Whether it is one that other nodes respect.
    pub(super) several: bool,
}

#[async_trait]
impl Lock for Held {
    async fn is_held(&self) -> bool {
        self.lost.fetch_update(SeqCst, SeqCst, |lost| lost.checked_sub(1)).is_err()
    }

    fn is_of_several_nodes(&self) -> bool {
        self.several
    }
}
