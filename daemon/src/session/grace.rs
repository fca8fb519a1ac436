//! Whether a user is here: a session is open, or the last one ended a short while ago. Pure; time
//! is an argument.
//!
//! The grace is for what runs on after the login: a job that was started with `nohup` keeps its
//! token, and somebody who logs in again finds everything in place.

use std::{
    collections::HashMap,
    time::{Duration, Instant},
};

/// Whether a user is here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Presence {
    /// So many sessions are open; never 0.
    Open(usize),
    /// The last session ended; the files stay until this instant.
    Grace(Instant),
    /// Neither.
    Gone,
}

/// The users that are here.
#[derive(Debug, Default)]
pub(super) struct Grace {
    /// Never [`Presence::Gone`]: that is to be absent.
    users: HashMap<u32, Presence>,
}

impl Grace {
    pub(super) fn presence(&self, uid: u32) -> Presence {
        self.users.get(&uid).copied().unwrap_or(Presence::Gone)
    }

    pub(super) fn sessions(&self, uid: u32) -> usize {
        match self.presence(uid) {
            Presence::Open(count) => count,
            Presence::Grace(_) | Presence::Gone => 0,
        }
    }

    /// A session was opened, which ends a grace. How many are open now.
    pub(super) fn opened(&mut self, uid: u32) -> usize {
        let count = self.sessions(uid) + 1;
        self.users.insert(uid, Presence::Open(count));
        count
    }

    /// A session ended. How many are left; with none left, the grace begins.
    pub(super) fn ended(&mut self, uid: u32, now: Instant, grace: Duration) -> usize {
        let (presence, left) = match self.presence(uid) {
            Presence::Open(count @ 2..) => (Presence::Open(count - 1), count - 1),
            Presence::Open(_) => (Presence::Grace(now + grace), 0),
            Presence::Grace(_) | Presence::Gone => return 0,
        };
        self.users.insert(uid, presence);
        left
    }

    /// A user without a session stays until then. Nothing changes for one who has a session.
    pub(super) fn stay(&mut self, uid: u32, until: Instant) {
        if self.sessions(uid) == 0 {
            self.users.insert(uid, Presence::Grace(until));
        }
    }

    /// Takes out those whose grace is over.
    pub(super) fn take_due(&mut self, now: Instant) -> Vec<u32> {
        let due = |presence: &Presence| matches!(presence, Presence::Grace(until) if *until <= now);
        let uids: Vec<u32> =
            self.users.iter().filter(|(_, presence)| due(presence)).map(|(uid, _)| *uid).collect();
        for uid in &uids {
            self.users.remove(uid);
        }
        uids
    }

    /// When the next grace is over.
    pub(super) fn next(&self) -> Option<Instant> {
        let instants = self.users.values().filter_map(|presence| match presence {
            Presence::Grace(until) => Some(*until),
            Presence::Open(_) | Presence::Gone => None,
        });
        instants.min()
    }
}

#[cfg(test)]
#[allow(clippy::disallowed_methods)] // a test needs some instant to count from
mod tests {
    use super::*;

    /// What happens to one user, at which second.
    #[derive(Debug, Clone, Copy)]
    enum Step {
        Open,
        End(u64),
        Due(u64),
    }

    #[test]
    fn a_user_is_here_while_a_session_is_open_and_for_the_grace_after_the_last() {
        use Step::{Due, End, Open};
        const GRACE: u64 = 900;
        let begin = Instant::now();
        let at = |second| begin + Duration::from_secs(second);
        let grace = |second| Presence::Grace(at(second + GRACE));
        let table: &[(&str, &[Step], Presence)] = &[
            ("nobody was here", &[], Presence::Gone),
            ("one session", &[Open], Presence::Open(1)),
            ("two sessions, one ends", &[Open, Open, End(2)], Presence::Open(1)),
            ("the last ends", &[Open, Open, End(2), End(3)], grace(3)),
            ("in the grace", &[Open, End(0), Due(GRACE - 1)], grace(0)),
            ("after the grace", &[Open, End(0), Due(GRACE)], Presence::Gone),
            ("a login in the grace", &[Open, End(0), Open, Due(5000)], Presence::Open(1)),
            ("the grace begins anew", &[Open, End(0), Open, End(20), Due(900)], grace(20)),
            ("a session without an end", &[Open, Due(u64::from(u32::MAX))], Presence::Open(1)),
            ("an end too many", &[Open, End(1), End(5)], grace(1)),
            ("an end without a session", &[End(5)], Presence::Gone),
        ];
        for (name, steps, expected) in table {
            let mut users = Grace::default();
            for step in *steps {
                match *step {
                    Open => _ = users.opened(1001),
                    End(now) => _ = users.ended(1001, at(now), Duration::from_secs(GRACE)),
                    Due(now) => _ = users.take_due(at(now)),
                }
            }
            assert_eq!(users.presence(1001), *expected, "{name}");
            assert_eq!(users.presence(1002), Presence::Gone, "{name}: somebody else");
        }
    }

    #[test]
    fn each_user_goes_at_his_own_time() {
        let begin = Instant::now();
        let mut users = Grace::default();
        for (uid, seconds) in [(1, 30), (2, 10), (3, 20)] {
            users.stay(uid, begin + Duration::from_secs(seconds));
        }
        users.opened(3);
        assert_eq!(users.next(), Some(begin + Duration::from_secs(10)));
        assert_eq!(users.take_due(begin + Duration::from_secs(20)), [2]);
        assert_eq!(users.next(), Some(begin + Duration::from_secs(30)));
        assert_eq!(users.take_due(begin + Duration::from_secs(30)), [1]);
        assert_eq!((users.next(), users.sessions(3)), (None, 1));
    }

    #[test]
    fn staying_does_not_end_a_session() {
        let mut users = Grace::default();
        users.opened(1);
        users.stay(1, Instant::now());
        assert_eq!(users.presence(1), Presence::Open(1));
    }

    #[test]
    fn no_grace_means_at_once() {
        let now = Instant::now();
        let mut users = Grace::default();
        users.opened(1);
        assert_eq!(users.ended(1, now, Duration::ZERO), 0);
        assert_eq!(users.take_due(now), [1]);
    }
}
