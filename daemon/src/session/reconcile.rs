//! What is found at the start: sessions that our records tell of, and those that logind knows.

use std::{collections::HashMap, sync::Arc, time::Duration};

use tracing::{info, warn};

use super::{
    LoginSession, Logind, NewSession, Session, Sessions, process,
    records::{GraceRecord, SessionRecord},
};

/// The start waits no longer for logind.
const LOGIND_WITHIN: Duration = Duration::from_secs(2);

/// What [`Sessions::restore`] found.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Restored {
    /// Sessions that go on.
    pub open: usize,
    /// Sessions that ended while we did not run.
    pub ended: usize,
    /// Users in the grace.
    pub in_grace: usize,
}

/// Which of logind's sessions count.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Adoptable {
    /// The PAM services.
    pub services: Vec<String>,
    /// uids below this one have no sessions here.
    pub min_uid: u32,
}

impl Sessions {
    /// Takes up the sessions and graces that were there before a restart. A session goes on if
    /// its process runs, not another with the same pid. Blocks on small files.
    pub fn restore(self: &Arc<Self>) -> Restored {
        let (sessions, graces) = self.records.load();
        let mut restored = Restored::default();
        let mut ended = HashMap::new();
        for record in sessions {
            let (id, uid, user) = (record.id.clone(), record.login.uid, record.login.user.clone());
            if self.resume(record) {
                restored.open += 1;
            } else {
                self.records.forget_session(&id);
                ended.insert(uid, user);
                restored.ended += 1;
            }
        }
        for GraceRecord { uid, user, until } in graces {
            if self.count(uid) > 0 {
                self.records.forget_grace(uid);
            } else if !ended.contains_key(&uid) {
                // Never longer than a grace that begins now: the clock may have been set back.
                let left = until.after(self.clock.wall()).min(self.grace());
                self.begin_stay(uid, &user, left);
                restored.in_grace += 1;
            }
        }
        for (uid, user) in ended {
            if self.count(uid) == 0 {
                self.begin_stay(uid, &user, self.grace());
                restored.in_grace += 1;
            }
        }
        restored
    }

    fn resume(self: &Arc<Self>, record: SessionRecord) -> bool {
        let other_boot =
            matches!((&record.boot, &self.boot), (Some(then), Some(now)) if then != now);
        if other_boot {
            return false;
        }
        let Some(pidfd) = process::reopen(record.pid, record.started) else { return false };
        let SessionRecord { id, login, pid, started, opened_at, found, .. } = record;
        let session = Session { id, login, pid, opened_at };
        self.resumed(self.add(session, Some(started), pidfd, found))
    }

    /// Adopts the sessions that logind knows and we do not, such as those from before iamd was
    /// installed. How many. Without logind, or when it does not answer in time, none.
    pub async fn reconcile(self: &Arc<Self>, logind: &dyn Logind, which: &Adoptable) -> usize {
        let sessions = match tokio::time::timeout(LOGIND_WITHIN, logind.sessions()).await {
            Ok(Ok(sessions)) => sessions,
            Ok(Err(error)) => {
                warn!(%error, "logind was not asked for sessions");
                return 0;
            }
            Err(_) => {
                warn!("logind did not answer in {} s", LOGIND_WITHIN.as_secs());
                return 0;
            }
        };
        let wanted = sessions.into_iter().filter(|session| which.wants(session));
        let adopted = wanted.filter(|session| self.adopt(session)).count();
        if adopted > 0 {
            info!(adopted, "sessions found at logind");
        }
        adopted
    }

    fn adopt(self: &Arc<Self>, found: &LoginSession) -> bool {
        if self.knows(found.uid, found.leader) {
            return false;
        }
        // Gone since logind answered.
        let Ok(pidfd) = process::open(found.leader) else { return false };
        if !process::runs(&pidfd) {
            return false;
        }
        let (id, started) = self.new_id(found.leader, &pidfd);
        let login = NewSession {
            uid: found.uid,
            user: found.user.clone(),
            service: found.service.clone(),
            rhost: found.rhost.clone(),
            tty: found.tty.clone(),
        };
        let session = Session { id, login, pid: found.leader, opened_at: self.clock.wall() };
        self.resumed(self.add(session, started, pidfd, true))
    }

    fn resumed(&self, added: Result<(), super::SessionError>) -> bool {
        if let Err(error) = &added {
            warn!(%error, "a session is lost");
        }
        added.is_ok()
    }
}

impl Adoptable {
    fn wants(&self, session: &LoginSession) -> bool {
        session.uid >= self.min_uid && session.is_user && self.services.contains(&session.service)
    }
}
