//! User names, from the name service. Slow directories are waited for on threads of their own
//! and only so long; what was found is kept for a while.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use async_trait::async_trait;

mod groups;

use groups::Groups;
pub use groups::Membership;

use crate::clock::Clock;

/// How long a name is believed.
const KEEP: Duration = Duration::from_secs(300);
/// How long the name service may take.
const WAIT: Duration = Duration::from_secs(5);

/// The name service did not answer, or with an error.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Silent;

/// Who has a uid.
#[async_trait]
pub trait Users: Send + Sync + 'static {
    /// The name of this uid now; `None` when there is none or the name service does not answer.
    async fn name_of(&self, uid: u32) -> Option<String>;

    /// The uid of the user of this name; `None` when there is none.
    ///
    /// # Errors
    /// [`Silent`].
    async fn uid_of(&self, user: &str) -> Result<Option<u32>, Silent>;

    /// Who logged this uid in calls it so. What is remembered otherwise was true of an earlier user
    /// of the uid, and is asked again.
    fn logged_in_as(&self, _uid: u32, _user: &str) {}

    /// Whether the user of this name is in these groups, as the name service says or said last.
    /// What it never said is absent.
    async fn groups_of(&self, user: &str, groups: &[String]) -> Membership;

    /// The same from memory, at once.
    fn remembered_groups(&self, user: &str, groups: &[String]) -> Membership;
}

/// The machine's name service.
pub struct NameService {
    clock: Arc<dyn Clock>,
    known: Mutex<HashMap<u32, (Instant, String)>>,
    groups: Groups,
}

impl NameService {
    /// Nothing known yet.
    pub fn new(clock: Arc<dyn Clock>) -> Self {
        let groups = Groups::new(Arc::clone(&clock), Arc::new(groups::by_the_machine));
        Self { clock, known: Mutex::default(), groups }
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

    async fn uid_of(&self, user: &str) -> Result<Option<u32>, Silent> {
        use nix::errno::Errno;
        let user = user.to_owned();
        let lookup = tokio::task::spawn_blocking(move || nix::unistd::User::from_name(&user));
        let found = tokio::time::timeout(WAIT, lookup).await.map_err(|_| Silent)?;
        match found.map_err(|_| Silent)? {
            Ok(found) => Ok(found.map(|user| user.uid.as_raw())),
            // getpwnam(3): so do sources say that there is none.
            Err(Errno::ENOENT | Errno::ESRCH) => Ok(None),
            Err(_) => Err(Silent),
        }
    }

    fn logged_in_as(&self, uid: u32, user: &str) {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if known.get(&uid).is_some_and(|(_, name)| name != user) {
            known.remove(&uid);
        }
    }

    async fn groups_of(&self, user: &str, groups: &[String]) -> Membership {
        self.groups.of(user, groups).await
    }

    fn remembered_groups(&self, user: &str, groups: &[String]) -> Membership {
        self.groups.remembered(user, groups)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::SystemClock;

    #[tokio::test]
    async fn a_user_who_is_not_there_is_told_from_a_name_service_that_is_silent() {
        let users = NameService::new(Arc::new(SystemClock));
        assert_eq!(users.uid_of("root").await, Ok(Some(0)));
        assert_eq!(users.uid_of("nobody-of-that-name").await, Ok(None));
    }

    #[tokio::test]
    async fn a_name_that_a_login_contradicts_is_asked_again() {
        let users = NameService::new(Arc::new(SystemClock));
        let now = users.clock.monotonic();
        let remember = |name: &str| {
            users.known.lock().unwrap().insert(0, (now, name.to_owned()));
        };
        remember("an-earlier-one");
        assert_eq!(users.name_of(0).await.as_deref(), Some("an-earlier-one"));
        users.logged_in_as(0, "an-earlier-one");
        assert_eq!(users.name_of(0).await.as_deref(), Some("an-earlier-one"));
        users.logged_in_as(0, "root");
        assert_eq!(users.name_of(0).await.as_deref(), Some("root"));
    }
}
