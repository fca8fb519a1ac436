//! User names, from the name service. Slow directories are waited for on threads of their own
//! and only so long; what was found is kept for a while.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use async_trait::async_trait;

use crate::clock::Clock;

/// How long a name is believed.
const KEEP: Duration = Duration::from_secs(300);
/// How long the name service may take.
const WAIT: Duration = Duration::from_secs(5);

/// Who has a uid.
#[async_trait]
pub trait Users: Send + Sync + 'static {
    /// The name of this uid now; `None` when there is none or the name service does not answer.
    async fn name_of(&self, uid: u32) -> Option<String>;
}

/// The machine's name service.
pub struct NameService {
    clock: Arc<dyn Clock>,
    known: Mutex<HashMap<u32, (Instant, String)>>,
}

impl NameService {
    /// Nothing known yet.
    pub fn new(clock: Arc<dyn Clock>) -> Self {
        Self { clock, known: Mutex::default() }
    }
}

#[async_trait]
impl Users for NameService {
    async fn name_of(&self, uid: u32) -> Option<String> {
        let now = self.clock.monotonic();
        {
            let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
            known.retain(|_, (since, _)| now.saturating_duration_since(*since) < KEEP);
            if let Some((_, name)) = known.get(&uid) {
                return Some(name.clone());
            }
        }
        let lookup = tokio::task::spawn_blocking(move || {
            nix::unistd::User::from_uid(nix::unistd::Uid::from_raw(uid)).ok().flatten()
        });
        let name = tokio::time::timeout(WAIT, lookup).await.ok()?.ok()??.name;
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        known.insert(uid, (now, name.clone()));
        Some(name)
    }
}
