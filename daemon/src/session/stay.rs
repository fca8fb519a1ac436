//! Who stays, and until when: the clock, the records and the rules around the pure [`Grace`].
//!
//! [`Grace`]: super::grace::Grace

use std::{path::Path, time::Duration};

use super::{Presence, SessionEvent, Sessions, StayRules, records::GraceRecord, registry::State};

/// A user who lingers is looked at again after this long, or after the grace if that is longer.
const LINGER_CHECK: Duration = Duration::from_secs(60);

/// A grace is at most this long, so that no sum of instants overflows.
const LONGEST: Duration = Duration::from_secs(366 * 24 * 3600);

impl StayRules {
    pub(super) fn bounded(mut self) -> Self {
        self.grace = self.grace.min(LONGEST);
        self
    }
}

impl Sessions {
    /// Other rules, after a reload. A grace that has begun stays as it is.
    pub fn set_rules(&self, rules: StayRules) {
        self.state().rules = rules.bounded();
    }

    /// Whether a user is here, the grace included.
    pub fn presence(&self, uid: u32) -> Presence {
        self.state().grace.presence(uid)
    }

    /// Begins the grace of a user who has files here but no session that we know of. Nothing
    /// happens to one who is here.
    pub fn depart(&self, uid: u32, user: &str) {
        let mut state = self.state();
        if state.grace.presence(uid) == Presence::Gone {
            let grace = state.rules.grace;
            self.stay(&mut state, uid, user, grace);
        }
    }

    /// Waits for each grace to end and tells [`SessionEvent::Gone`]. Never returns.
    pub async fn watch_grace(&self) {
        loop {
            let next = self.state().grace.next();
            let Some(next) = next else {
                self.grace_changed.notified().await;
                continue;
            };
            let left = next.saturating_duration_since(self.clock.monotonic());
            if left.is_zero() {
                self.end_grace();
                continue;
            }
            tokio::select! {
                () = self.grace_changed.notified() => {}
                () = self.clock.sleep(left) => {}
            }
        }
    }

    fn end_grace(&self) {
        let mut state = self.state();
        for uid in state.grace.take_due(self.clock.monotonic()) {
            if let Some(user) = state.users.get(&uid).cloned()
                && lingers(state.rules.linger_dir.as_deref(), &user)
            {
                let again = state.rules.grace.max(LINGER_CHECK);
                self.stay(&mut state, uid, &user, again);
                continue;
            }
            state.users.remove(&uid);
            self.records.forget_grace(uid);
            self.tell(SessionEvent::Gone { uid });
        }
    }

    /// Lets a user without a session stay for so long.
    pub(super) fn begin_stay(&self, uid: u32, user: &str, left: Duration) {
        self.stay(&mut self.state(), uid, user, left);
    }

    /// The grace in force.
    pub(super) fn grace(&self) -> Duration {
        self.state().rules.grace
    }

    fn stay(&self, state: &mut State, uid: u32, user: &str, left: Duration) {
        state.grace.stay(uid, self.clock.monotonic() + left);
        state.users.entry(uid).or_insert_with(|| user.to_owned());
        self.record_grace(state, uid, left);
    }

    pub(super) fn record_grace(&self, state: &State, uid: u32, left: Duration) {
        let user = state.users.get(&uid).cloned().unwrap_or_default();
        let until = self.clock.wall().plus(left);
        self.records.save_grace(&GraceRecord { uid, user, until });
        self.grace_changed.notify_one();
    }
}

/// Whether logind keeps a user's processes after the last session (`loginctl enable-linger`).
fn lingers(dir: Option<&Path>, user: &str) -> bool {
    let plain = !user.is_empty() && !user.starts_with('.') && !user.contains(['/', '\0']);
    dir.is_some_and(|dir| plain && dir.join(user).exists())
}
