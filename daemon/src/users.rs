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

    /// Whether the user of this name is in the group of that name; `false` when there is no such
    /// group or the name service does not answer.
    async fn is_in_group(&self, user: &str, group: &str) -> bool;
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

    async fn is_in_group(&self, user: &str, group: &str) -> bool {
        let (user, group) = (user.to_owned(), group.to_owned());
        let lookup = tokio::task::spawn_blocking(move || is_member(&user, &group));
        matches!(tokio::time::timeout(WAIT, lookup).await, Ok(Ok(Some(true))))
    }
}

/// Primary and supplementary groups; `None` when there is no such user or group.
fn is_member(user: &str, group: &str) -> Option<bool> {
    let group = nix::unistd::Group::from_name(group).ok()??.gid;
    let primary = nix::unistd::User::from_name(user).ok()??.gid;
    let name = std::ffi::CString::new(user).ok()?;
    let groups = nix::unistd::getgrouplist(&name, primary).ok()?;
    Some(primary == group || groups.contains(&group))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::SystemClock;

    #[tokio::test]
    async fn who_is_in_a_group_and_who_is_not() {
        let users = NameService::new(Arc::new(SystemClock));
        assert!(users.is_in_group("root", "root").await);
        for (user, group) in
            [("root", "no such group"), ("no such user", "root"), ("ro\0ot", "root")]
        {
            assert!(!users.is_in_group(user, group).await, "{user} in {group}");
        }
        assert!(!users.is_in_group("nobody", "root").await);
    }
}
