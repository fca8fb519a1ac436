//! The same thing many times over is one record with a count. A program that asks for a token in a
//! loop, or is refused in one, whoever refuses it, would otherwise write thousands in a minute, and
//! the journal, whose size and rate have an end, would give up the records of everybody else for them.
//!
//! The first is recorded at once. What is the same but for the calling process and comes within a
//! minute is counted, and the minute ends with one record that says how many there were.

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU32, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

use super::{Audit, Event, Kind};
use crate::clock::Clock;

const WINDOW: Duration = Duration::from_secs(60);
/// So many different ones of a user, a kind and an outcome; what is still different counts as the same.
/// Of tokens given out there are more by as many as issuers may be asked for: what is permitted is
/// recorded, one by one.
const MOST: usize = 100;

/// Counts what is repeated, and records the rest.
pub struct Repeats {
    inner: Arc<dyn Audit>,
    clock: Arc<dyn Clock>,
    /// For the tasks that end a minute.
    this: std::sync::Weak<Self>,
    /// So many tokens may be asked for in a minute because a user wants them.
    tokens_per_minute: AtomicU32,
    seen: Mutex<HashMap<Key, Seen>>,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Key {
    kind: Kind,
    uid: u32,
    /// What succeeded is never counted together with what did not: else failures, which cost
    /// nothing, could crowd a success out of the records.
    ok: bool,
    /// Empty for all that are too many.
    what: String,
}

struct Seen {
    since: Instant,
    count: u32,
    last: Last,
}

/// The newest repeat, to be recorded for all of them.
#[derive(Default)]
struct Last {
    account: String,
    issuer: String,
    client: String,
    scopes: String,
    audience: String,
    token_hash: String,
    caller_pid: Option<u32>,
    caller_uid: Option<u32>,
    result: String,
    detail: String,
}

impl Repeats {
    /// In front of `inner`.
    pub fn before(inner: Arc<dyn Audit>, clock: Arc<dyn Clock>) -> Arc<Self> {
        Arc::new_cyclic(|this| Self {
            inner,
            clock,
            this: this.clone(),
            tokens_per_minute: AtomicU32::new(0),
            seen: Mutex::default(),
        })
    }

    /// How many new tokens a user may have in a minute, from now on.
    pub fn permits(&self, tokens_per_minute: u32) {
        self.tokens_per_minute.store(tokens_per_minute, Relaxed);
    }

    /// How many different ones of a kind and an outcome are recorded for a user within a minute.
    fn most(&self, kind: Kind, ok: bool) -> usize {
        match kind {
            // Twice: what was asked for a minute ago may be given out now.
            Kind::Issue | Kind::Narrowed if ok => {
                MOST + 2 * self.tokens_per_minute.load(Relaxed) as usize
            }
            _ => MOST,
        }
    }

    /// Records what was counted, before the daemon ends.
    pub fn finish(&self) {
        let keys: Vec<Key> = self.lock().keys().cloned().collect();
        keys.iter().for_each(|key| self.end(key));
    }

    /// Whether this is to be recorded now; else it was counted.
    fn is_new(&self, kind: Kind, event: &Event<'_>) -> bool {
        let now = self.clock.monotonic();
        let mut seen = self.lock();
        seen.retain(|_, seen| seen.count > 0 || seen.since + WINDOW > now);
        let ok = event.result == "ok";
        let mut key = Key { kind, uid: event.uid, ok, what: what(event) };
        let others = |key: &&Key| key.kind == kind && key.uid == event.uid && key.ok == ok;
        let most = self.most(kind, ok);
        if !seen.contains_key(&key) && seen.keys().filter(others).count() >= most {
            key.what = String::new();
        }
        let Some(before) = seen.get_mut(&key) else {
            seen.insert(key, Seen { since: now, count: 0, last: Last::default() });
            return true;
        };
        before.count += 1;
        before.last = Last::of(event);
        if before.count == 1 {
            let left = (before.since + WINDOW).saturating_duration_since(now);
            let (this, clock) = (self.this.clone(), Arc::clone(&self.clock));
            let later = async move {
                clock.sleep(left).await;
                if let Some(this) = this.upgrade() {
                    this.end(&key);
                }
            };
            tokio::spawn(later);
        }
        false
    }

    /// The minute of this is over.
    fn end(&self, key: &Key) {
        let Some(seen) = self.lock().remove(key) else { return };
        let (times, last) = (seen.count, seen.last);
        if times == 0 {
            return;
        }
        let often = match times {
            1 => "once more within a minute".to_owned(),
            times => format!("{times} times more within a minute"),
        };
        let detail = match last.detail.as_str() {
            "" => often,
            detail => format!("{often}: {detail}"),
        };
        let event = Event {
            uid: key.uid,
            account: &last.account,
            issuer: &last.issuer,
            client: &last.client,
            scopes: last.scopes,
            audience: last.audience,
            token_hash: last.token_hash,
            caller_pid: last.caller_pid,
            caller_uid: last.caller_uid,
            result: &last.result,
            detail,
        };
        self.inner.record(key.kind, &event);
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Key, Seen>> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Audit for Repeats {
    fn record(&self, kind: Kind, event: &Event<'_>) {
        if !counts(kind, event.result) || self.is_new(kind, event) {
            self.inner.record(kind, event);
        }
    }
}

impl Last {
    fn of(event: &Event<'_>) -> Self {
        Self {
            account: event.account.to_owned(),
            issuer: event.issuer.to_owned(),
            client: event.client.to_owned(),
            scopes: event.scopes.clone(),
            audience: event.audience.clone(),
            token_hash: event.token_hash.clone(),
            caller_pid: event.caller_pid,
            caller_uid: event.caller_uid,
            result: event.result.to_owned(),
            detail: event.detail.clone(),
        }
    }
}

/// Whether a user can have it recorded as often as wanted, at no cost: all that fails, and what
/// costs the user nothing. What somebody else has a part in (an issuer, a login, who administers the
/// node) is recorded each time.
fn counts(kind: Kind, result: &str) -> bool {
    match kind {
        Kind::Issue
        | Kind::Narrowed
        | Kind::Denial
        | Kind::Secrets
        | Kind::AccountAdded
        | Kind::AccountRemoved
        | Kind::AccountChanged
        | Kind::Lock
        | Kind::Unlock
        | Kind::WrongPassphrase
        | Kind::Passphrase
        | Kind::UidReused => true,
        Kind::SignIn
        | Kind::SignOut
        | Kind::LoginStarted
        | Kind::LoginFailed
        | Kind::Refresh
        | Kind::Registration
        | Kind::SessionOpened
        | Kind::SessionClosed
        | Kind::Administration => result != "ok",
    }
}

/// All that makes an event another one.
fn what(event: &Event<'_>) -> String {
    let parts: [&str; 8] = [
        event.account,
        event.issuer,
        event.client,
        &event.scopes,
        &event.audience,
        &event.token_hash,
        event.result,
        &event.detail,
    ];
    let whole = parts.map(|part| format!("{}:{part}", part.len())).concat();
    super::hash(whole.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::SystemClock;

    #[derive(Default)]
    struct Records(Mutex<Vec<String>>);

    impl Audit for Records {
        fn record(&self, kind: Kind, event: &Event<'_>) {
            let line = format!("{} {} {} {}", kind.word(), event.uid, event.account, event.detail);
            self.0.lock().unwrap().push(line.trim_end().to_owned());
        }
    }

    impl Records {
        fn take(&self) -> Vec<String> {
            std::mem::take(&mut self.0.lock().unwrap())
        }
    }

    fn event(uid: u32, account: &str) -> Event<'_> {
        Event { uid, account, token_hash: "abc".into(), result: "ok", ..Event::default() }
    }

    fn start() -> (Arc<Records>, Arc<Repeats>) {
        let records = Arc::new(Records::default());
        (Arc::clone(&records), Repeats::before(records, Arc::new(SystemClock)))
    }

    #[tokio::test(start_paused = true)]
    async fn a_loop_of_one_user_is_two_records_a_minute_and_hides_nobody_elses() {
        let (records, audit) = start();
        for round in 0..1500 {
            let pid = Some(round);
            audit.record(Kind::Issue, &Event { caller_pid: pid, ..event(1001, "wlcg") });
        }
        audit.record(Kind::Issue, &event(1002, "wlcg"));
        audit.record(Kind::Issue, &event(1001, "cms"));
        assert_eq!(records.take(), ["issue 1001 wlcg", "issue 1002 wlcg", "issue 1001 cms"]);
        SystemClock.sleep(WINDOW + Duration::from_secs(1)).await;
        assert_eq!(records.take(), ["issue 1001 wlcg 1499 times more within a minute"]);
        // The next minute begins with a record of its own; one alone is not counted.
        audit.record(Kind::Issue, &event(1001, "wlcg"));
        SystemClock.sleep(WINDOW + Duration::from_secs(1)).await;
        audit.record(Kind::Issue, &event(1001, "wlcg"));
        assert_eq!(records.take(), ["issue 1001 wlcg"; 2]);
        assert_eq!(audit.lock().len(), 1, "what is over takes no memory");
    }

    #[tokio::test(start_paused = true)]
    async fn a_user_who_asks_for_ever_other_things_does_not_fill_the_journal_either() {
        let (records, audit) = start();
        for round in 0..1000 {
            let account = format!("name{round}");
            audit.record(Kind::Denial, &event(1001, &account));
        }
        let at_once = records.take().len();
        assert!((MOST..=MOST + 1).contains(&at_once), "{at_once}");
        audit.record(Kind::Denial, &event(1002, "x"));
        assert_eq!(records.take(), ["denial 1002 x"]);
        SystemClock.sleep(WINDOW + Duration::from_secs(1)).await;
        assert_eq!(records.take(), ["denial 1001 name999 899 times more within a minute"]);
    }

    #[tokio::test(start_paused = true)]
    async fn r56_as_many_tokens_as_a_user_may_have_are_recorded_one_by_one() {
        for kind in [Kind::Issue, Kind::Narrowed, Kind::Refresh] {
            let (records, audit) = start();
            audit.permits(120);
            let give = |number: u32| {
                let token_hash = format!("{number:016x}");
                audit.record(kind, &Event { token_hash, ..event(1001, "wlcg") });
            };
            // Those of two minutes whose answers came at once, and what else was in memory.
            (0..240 + 50).for_each(give);
            assert_eq!(records.take().len(), 290, "{kind:?}");
            // What is refused is bounded as before.
            for round in 0..1000 {
                let detail = format!("reason {round}");
                audit.record(kind, &Event { result: "Denied", detail, ..event(1001, "wlcg") });
            }
            assert!(records.take().len() <= MOST + 1, "{kind:?}");
            // Another limit holds from a reload on.
            audit.permits(1000);
            (1000..2500).for_each(give);
            assert_eq!(records.take().len(), 1500, "{kind:?}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn ten_thousand_failures_of_any_kind_are_a_bounded_number_of_records() {
        for kind in Kind::ALL {
            let (records, audit) = start();
            for round in 0..10_000 {
                let detail = format!("reason {}", round % 3000);
                let failed = Event { result: "NotAuthorized", detail, ..event(1001, "wlcg") };
                audit.record(*kind, &failed);
                if round == 9000 {
                    audit.record(*kind, &Event { result: "NotAuthorized", ..event(1002, "cms") });
                }
            }
            let at_once = records.take();
            assert!(at_once.len() <= MOST + 2, "{kind:?}: {}", at_once.len());
            assert!(at_once.contains(&format!("{} 1002 cms", kind.word())), "{kind:?}");
            SystemClock.sleep(WINDOW + Duration::from_secs(1)).await;
            let counted: u32 = records.take().iter().map(|line| times(line)).sum();
            assert_eq!(counted as usize + at_once.len(), 10_001, "{kind:?}: none is forgotten");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn no_number_of_failures_hides_a_success() {
        for kind in Kind::ALL {
            let (records, audit) = start();
            let fail = |name: &str| {
                audit.record(*kind, &Event { result: "NotFound", ..event(1001, name) });
            };
            (0..=MOST).for_each(|round| fail(&format!("invented{round}")));
            audit.record(*kind, &event(1001, "wlcg"));
            fail("invented");
            let success = format!("{} 1001 wlcg", kind.word());
            assert!(records.take().contains(&success), "{kind:?}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn accounts_added_and_removed_in_a_loop_are_a_bounded_number_of_records() {
        let (records, audit) = start();
        for round in 0..10_000 {
            let account = format!("name{}", round % 3000);
            audit.record(Kind::AccountAdded, &event(1001, &account));
            audit.record(Kind::AccountRemoved, &event(1001, &account));
        }
        let at_once = records.take();
        assert!(at_once.len() <= 2 * (MOST + 1), "{}", at_once.len());
        SystemClock.sleep(WINDOW + Duration::from_secs(1)).await;
        let counted: u32 = records.take().iter().map(|line| times(line)).sum();
        assert_eq!(counted as usize + at_once.len(), 20_000, "none is forgotten");
    }

    /// How many a record stands for, beside the first.
    fn times(line: &str) -> u32 {
        let word = line.split(' ').nth(3).unwrap();
        word.parse().unwrap_or(1)
    }

    #[tokio::test(start_paused = true)]
    async fn what_was_counted_is_recorded_before_the_daemon_ends_and_other_kinds_are_never_counted()
    {
        let (records, audit) = start();
        for _ in 0..3 {
            audit.record(Kind::Issue, &event(1001, "wlcg"));
            audit.record(Kind::SignIn, &event(1001, "wlcg"));
        }
        assert_eq!(records.take().len(), 4);
        audit.finish();
        assert_eq!(records.take(), ["issue 1001 wlcg 2 times more within a minute"]);
    }
}
