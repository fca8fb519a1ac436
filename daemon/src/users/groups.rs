//! Who is in which group, by the name service, which may be slow or dead.
//!
//! An answer is kept. When there is no newer one the old one stands, however old: rules for groups
//! do not come and go with a directory server. A user is looked up once at a time, few at once, and
//! after one that did not answer in time nobody is for a while: those look-ups hold threads.

use std::{
    collections::{BTreeMap, HashMap},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use futures_util::{FutureExt as _, future::BoxFuture, future::Shared};
use tokio::sync::Semaphore;

use super::WAIT;
use crate::clock::Clock;

/// How long an answer is as good as a new one.
const KEEP: Duration = Duration::from_secs(300);
/// How long somebody waits for a newer answer who has one.
const PATIENCE: Duration = Duration::from_secs(1);
/// How long nobody is looked up after a look-up that took too long.
const PAUSE: Duration = Duration::from_secs(30);
/// How many are looked up at once.
const AT_ONCE: usize = 8;
/// Who was not asked about for so long is forgotten.
const FORGET: Duration = Duration::from_secs(7 * 86_400);

/// Whether a user is in a group; a group of which nothing is known is absent.
pub type Membership = BTreeMap<String, bool>;

/// Asks the name service about a user and groups.
pub(super) type Lookup =
    Arc<dyn Fn(String, Vec<String>) -> BoxFuture<'static, Membership> + Send + Sync>;

type Flight = Shared<BoxFuture<'static, ()>>;

/// What is known of the groups of users.
pub(super) struct Groups {
    clock: Arc<dyn Clock>,
    lookup: Lookup,
    slots: Arc<Semaphore>,
    state: Arc<Mutex<State>>,
}

#[derive(Default)]
struct State {
    known: HashMap<String, Known>,
    flights: HashMap<String, Flight>,
    paused_until: Option<Instant>,
}

struct Known {
    of: BTreeMap<String, Said>,
    used: Instant,
}

/// What was said of a group.
struct Said {
    is_in: Option<bool>,
    good_until: Instant,
}

impl Groups {
    /// Nothing known yet.
    pub(super) fn new(clock: Arc<dyn Clock>, lookup: Lookup) -> Self {
        let slots = Arc::new(Semaphore::new(AT_ONCE));
        Self { clock, lookup, slots, state: Arc::default() }
    }

    /// What is known without asking anybody.
    pub(super) fn remembered(&self, user: &str, groups: &[String]) -> Membership {
        let state = self.lock();
        let Some(known) = state.known.get(user) else { return Membership::new() };
        let said = |group: &String| Some((group.clone(), known.of.get(group)?.is_in?));
        groups.iter().filter_map(said).collect()
    }

    /// What the name service says now, or said lately, or said last where it does not answer.
    pub(super) async fn of(&self, user: &str, groups: &[String]) -> Membership {
        if groups.is_empty() {
            return Membership::new();
        }
        let Some((flight, patience)) = self.flight(user, groups) else {
            return self.remembered(user, groups);
        };
        tokio::select! {
            biased;
            () = flight => {}
            () = self.clock.sleep(patience) => self.gave_up(user, patience),
        }
        self.remembered(user, groups)
    }

    /// Nobody waits again so soon: not for this user, whose last answer stands, and not for anybody
    /// after a long wait for nothing.
    fn gave_up(&self, user: &str, patience: Duration) {
        let again = self.clock.monotonic() + PAUSE;
        let mut state = self.lock();
        if patience == WAIT {
            tracing::warn!(user, "the name service does not say which groups a user is in");
            state.paused_until = Some(again);
        }
        for said in state.known.get_mut(user).into_iter().flat_map(|known| known.of.values_mut()) {
            said.good_until = said.good_until.max(again);
        }
    }

    /// The look-up to wait for, where one is needed and possible, and for how long.
    fn flight(&self, user: &str, groups: &[String]) -> Option<(Flight, Duration)> {
        let now = self.clock.monotonic();
        let mut state = self.lock();
        state.known.retain(|_, known| now.saturating_duration_since(known.used) < FORGET);
        let (mut all, mut fresh) = (false, false);
        if let Some(known) = state.known.get_mut(user) {
            known.used = now;
            let mut said = groups.iter().map(|group| known.of.get(group));
            all = said.clone().all(|said| said.is_some_and(|said| said.is_in.is_some()));
            fresh = said.all(|said| said.is_some_and(|said| said.good_until > now));
        }
        if fresh {
            return None;
        }
        let patience = if all { PATIENCE } else { WAIT };
        if state.paused_until.is_some_and(|until| until > now) {
            return None;
        }
        if let Some(flight) = state.flights.get(user) {
            return Some((flight.clone(), patience));
        }
        let slot = Arc::clone(&self.slots).try_acquire_owned().ok()?;
        let answer = (self.lookup)(user.to_owned(), groups.to_vec());
        let (shared, clock) = (Arc::clone(&self.state), Arc::clone(&self.clock));
        let (name, asked) = (user.to_owned(), groups.to_vec());
        // A task of its own: an answer that comes late is kept for the next one who asks.
        let task = tokio::spawn(async move {
            let answer = answer.await;
            drop(slot);
            let now = clock.monotonic();
            let mut state = lock(&shared);
            state.flights.remove(&name);
            if !answer.is_empty() {
                state.paused_until = None;
            }
            let nothing = || Known { of: BTreeMap::new(), used: now };
            let known = state.known.entry(name).or_insert_with(nothing);
            for group in asked {
                let last = known.of.get(&group).and_then(|said| said.is_in);
                let (is_in, good_until) = match answer.get(&group) {
                    Some(is_in) => (Some(*is_in), now + KEEP),
                    // What it does not know now it is asked again soon.
                    None => (last, now + PAUSE),
                };
                known.of.insert(group, Said { is_in, good_until });
            }
        });
        let flight = task.map(drop).boxed().shared();
        state.flights.insert(user.to_owned(), flight.clone());
        Some((flight, patience))
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        lock(&self.state)
    }
}

fn lock(state: &Mutex<State>) -> MutexGuard<'_, State> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Asks the machine's name service, on a thread of its own.
pub(super) fn by_the_machine(user: String, groups: Vec<String>) -> BoxFuture<'static, Membership> {
    let lookup = tokio::task::spawn_blocking(move || look_up(&user, &groups).unwrap_or_default());
    async move { lookup.await.unwrap_or_default() }.boxed()
}

/// Primary and supplementary groups. A group that the name service does not know may be one of a
/// directory that does not answer: nothing is said of it. `None` when it does not know the user.
fn look_up(user: &str, groups: &[String]) -> Option<Membership> {
    let primary = nix::unistd::User::from_name(user).ok()??.gid;
    let name = std::ffi::CString::new(user).ok()?;
    let mine = nix::unistd::getgrouplist(&name, primary).ok()?;
    let is_in = |group: &String| {
        let gid = nix::unistd::Group::from_name(group).ok()??.gid;
        Some((group.clone(), gid == primary || mine.contains(&gid)))
    };
    Some(groups.iter().filter_map(is_in).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::SystemClock;

    fn names(groups: &[&str]) -> Vec<String> {
        groups.iter().map(|group| (*group).to_owned()).collect()
    }

    fn answers(of: &[(&str, bool)]) -> Membership {
        of.iter().map(|(group, is_in)| ((*group).to_owned(), *is_in)).collect()
    }

    type Says = Arc<Mutex<Option<Membership>>>;

    /// Groups by a name service that says what the test says, `None` being silence; and how often
    /// it was asked.
    fn groups() -> (Groups, Says, Arc<Mutex<usize>>) {
        let says = Says::default();
        let asked: Arc<Mutex<usize>> = Arc::default();
        let (answer, count) = (says.clone(), asked.clone());
        let lookup: Lookup = Arc::new(move |_, _| {
            *count.lock().unwrap() += 1;
            let answer = answer.lock().unwrap().clone();
            async move {
                match answer {
                    Some(answer) => answer,
                    None => std::future::pending().await,
                }
            }
            .boxed()
        });
        (Groups::new(Arc::new(SystemClock), lookup), says, asked)
    }

    #[test]
    fn who_is_in_a_group_and_who_is_not() {
        let said = look_up("root", &names(&["root", "daemon", "no such group"]));
        assert_eq!(said, Some(answers(&[("root", true), ("daemon", false)])));
        assert_eq!(look_up("no such user", &names(&["root"])), None);
        assert_eq!(look_up("ro\0ot", &names(&["root"])), None);
    }

    #[tokio::test]
    async fn the_machine_is_asked_on_a_thread_of_its_own() {
        let groups = Groups::new(Arc::new(SystemClock), Arc::new(by_the_machine));
        assert_eq!(groups.of("root", &names(&["root"])).await, answers(&[("root", true)]));
        assert_eq!(groups.remembered("root", &names(&["root"])), answers(&[("root", true)]));
    }

    #[tokio::test(start_paused = true)]
    async fn an_answer_is_kept_and_asked_for_again_after_a_while() {
        let (groups, says, asked) = groups();
        let (g, clock) = (names(&["g"]), SystemClock);
        *says.lock().unwrap() = Some(answers(&[("g", true)]));
        assert!(groups.remembered("a", &g).is_empty());
        for _ in 0..3 {
            assert_eq!(groups.of("a", &g).await, answers(&[("g", true)]));
        }
        assert_eq!(*asked.lock().unwrap(), 1);
        *says.lock().unwrap() = Some(answers(&[("g", false)]));
        clock.sleep(KEEP).await;
        assert_eq!(groups.remembered("a", &g), answers(&[("g", true)]));
        assert_eq!(groups.of("a", &g).await, answers(&[("g", false)]));
        assert_eq!(*asked.lock().unwrap(), 2);
    }

    #[tokio::test(start_paused = true)]
    async fn a_dead_name_service_is_waited_for_once_and_the_last_answer_stands() {
        let (groups, says, asked) = groups();
        let (g, clock) = (names(&["g"]), SystemClock);
        *says.lock().unwrap() = Some(answers(&[("g", true)]));
        groups.of("a", &g).await;
        *says.lock().unwrap() = None;
        clock.sleep(KEEP).await;
        let start = clock.monotonic();
        assert_eq!(groups.of("a", &g).await, answers(&[("g", true)]));
        assert_eq!(clock.monotonic() - start, PATIENCE);
        assert_eq!(groups.of("a", &g).await, answers(&[("g", true)]));
        assert_eq!(clock.monotonic() - start, PATIENCE);
        assert!(groups.of("b", &g).await.is_empty());
        assert_eq!(clock.monotonic() - start, PATIENCE + WAIT);
        // And then nobody waits for a while.
        assert!(groups.of("b", &g).await.is_empty());
        assert!(groups.of("c", &g).await.is_empty());
        assert_eq!(clock.monotonic() - start, PATIENCE + WAIT);
        assert_eq!(*asked.lock().unwrap(), 3);
    }

    #[tokio::test(start_paused = true)]
    async fn those_who_wait_for_one_user_share_a_look_up_and_few_are_looked_up_at_once() {
        let (groups, _, asked) = groups();
        let g = names(&["g"]);
        let users: Vec<String> = (0..50).map(|number| format!("u{}", number % 25)).collect();
        futures_util::future::join_all(users.iter().map(|user| groups.of(user, &g))).await;
        assert_eq!(*asked.lock().unwrap(), AT_ONCE);
    }

    #[tokio::test(start_paused = true)]
    async fn a_group_that_there_is_not_is_asked_for_again_and_not_each_time() {
        let (groups, says, asked) = groups();
        *says.lock().unwrap() = Some(Membership::new());
        for _ in 0..5 {
            assert!(groups.of("a", &names(&["typo"])).await.is_empty());
        }
        assert_eq!(*asked.lock().unwrap(), 1);
        SystemClock.sleep(PAUSE).await;
        groups.of("a", &names(&["typo"])).await;
        assert_eq!(*asked.lock().unwrap(), 2);
    }

    #[tokio::test(start_paused = true)]
    async fn what_the_name_service_no_longer_knows_it_said_before() {
        let (groups, says, _) = groups();
        let (g, clock) = (names(&["g", "h"]), SystemClock);
        *says.lock().unwrap() = Some(answers(&[("g", true), ("h", false)]));
        groups.of("a", &g).await;
        clock.sleep(KEEP).await;
        *says.lock().unwrap() = Some(answers(&[("g", false)]));
        assert_eq!(groups.of("a", &g).await, answers(&[("g", false), ("h", false)]));
    }
}
