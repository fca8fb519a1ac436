//! The registry of open sessions.

use std::{
    collections::HashMap,
    os::fd::OwnedFd,
    path::PathBuf,
    sync::{Arc, Mutex, MutexGuard, PoisonError, Weak},
};

use tokio::{
    io::{Interest, unix::AsyncFd},
    sync::{
        Notify,
        mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel},
    },
    task::AbortHandle,
};
use tracing::warn;

use super::{
    NewSession, Session, SessionError, SessionEvent, SessionId, StayRules,
    grace::Grace,
    process,
    records::{Records, SessionRecord},
};
use crate::clock::{Clock, Random};

/// Who is logged in. Methods that open sessions need a tokio runtime; none of them waits for
/// anything but a small file in the runtime directory.
pub struct Sessions {
    pub(super) records: Records,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) boot: Option<String>,
    random: Arc<dyn Random>,
    events: UnboundedSender<SessionEvent>,
    state: Mutex<State>,
    /// Some grace began or ended.
    pub(super) grace_changed: Notify,
}

pub(super) struct State {
    open: HashMap<SessionId, Watched>,
    pub(super) grace: Grace,
    /// Names of those who are here, for linger.
    pub(super) users: HashMap<u32, String>,
    pub(super) rules: StayRules,
    counter: u64,
}

/// A session and the task that waits for its process, which ends with it.
struct Watched {
    session: Session,
    found: bool,
    watch: AbortHandle,
}

impl Drop for Watched {
    fn drop(&mut self) {
        self.watch.abort();
    }
}

impl Sessions {
    /// An empty registry that keeps its records in `dir` (normally `/run/iamd/sessions`), and
    /// what happens in it. Follow with [`Sessions::restore`] and [`Sessions::reconcile`], and run
    /// [`Sessions::watch_grace`] beside everything else.
    pub fn new(
        dir: PathBuf,
        rules: StayRules,
        clock: Arc<dyn Clock>,
        random: Arc<dyn Random>,
    ) -> (Arc<Self>, UnboundedReceiver<SessionEvent>) {
        let (events, receiver) = unbounded_channel();
        let state = State {
            open: HashMap::new(),
            grace: Grace::default(),
            users: HashMap::new(),
            rules: rules.bounded(),
            counter: 0,
        };
        let sessions = Self {
            records: Records::new(dir),
            clock,
            boot: process::boot_id(),
            random,
            events,
            state: Mutex::new(state),
            grace_changed: Notify::new(),
        };
        (Arc::new(sessions), receiver)
    }

    /// Registers a session that lasts as long as the process of `pidfd`, whose pid is `pid`.
    ///
    /// # Errors
    /// [`SessionError`] when the process cannot be watched.
    pub fn open(
        self: &Arc<Self>,
        login: NewSession,
        pid: u32,
        pidfd: OwnedFd,
    ) -> Result<SessionId, SessionError> {
        let (id, started) = self.new_id(pid, &pidfd);
        let session = Session { id: id.clone(), login, pid, opened_at: self.clock.wall() };
        self.add(session, started, pidfd, false)?;
        Ok(id)
    }

    /// Ends a session. Whether it was known.
    pub fn close(&self, id: &SessionId) -> bool {
        let mut state = self.state();
        let Some(watched) = state.open.remove(id) else { return false };
        self.records.forget_session(id);
        let uid = watched.session.login.uid;
        let remaining = {
            let State { grace, rules, .. } = &mut *state;
            grace.ended(uid, self.clock.monotonic(), rules.grace)
        };
        if remaining == 0 {
            self.record_grace(&state, uid, state.rules.grace);
        }
        self.tell(SessionEvent::Ended { uid, remaining });
        true
    }

    /// A user's open sessions.
    pub fn of(&self, uid: u32) -> Vec<Session> {
        let state = self.state();
        let sessions = state.open.values().map(|watched| &watched.session);
        sessions.filter(|session| session.login.uid == uid).cloned().collect()
    }

    /// All open sessions.
    pub fn all(&self) -> Vec<Session> {
        self.state().open.values().map(|watched| watched.session.clone()).collect()
    }

    /// How many sessions a user has open.
    pub fn count(&self, uid: u32) -> usize {
        self.state().grace.sessions(uid)
    }

    /// Registers a session under a name that it has already.
    pub(super) fn add(
        self: &Arc<Self>,
        session: Session,
        started: Option<u64>,
        pidfd: OwnedFd,
        found: bool,
    ) -> Result<(), SessionError> {
        let pid = session.pid;
        let pidfd = watchable(pidfd).map_err(|error| SessionError::Watch { pid, error })?;
        let (id, uid) = (session.id.clone(), session.login.uid);
        self.record(&session, started, found);
        let mut state = self.state();
        // PAM tells of a session that we found at logind a moment before.
        let twin = (!found).then(|| state.twin(uid, pid)).flatten();
        let watch = tokio::spawn(watch(Arc::downgrade(self), id.clone(), pidfd)).abort_handle();
        state.users.insert(uid, session.login.user.clone());
        state.open.insert(id, Watched { session, found, watch });
        if let Some(twin) = twin {
            state.open.remove(&twin);
            self.records.forget_session(&twin);
            return Ok(());
        }
        let count = state.grace.opened(uid);
        if count == 1 {
            self.records.forget_grace(uid);
            self.grace_changed.notify_one();
        }
        self.tell(SessionEvent::Opened { uid, first: count == 1 });
        Ok(())
    }

    /// A name for a new session, and when its process started if that can be known.
    pub(super) fn new_id(&self, pid: u32, pidfd: &OwnedFd) -> (SessionId, Option<u64>) {
        let started = process::start_time(pid).filter(|_| process::runs(pidfd));
        let mut bytes = [0; 16];
        self.random.fill(&mut bytes);
        let mut state = self.state();
        state.counter += 1;
        let (start, counter, random) =
            (started.unwrap_or_default(), state.counter, u128::from_be_bytes(bytes));
        (SessionId(format!("{pid}-{start}-{counter}-{random:032x}")), started)
    }

    /// Whether the process has a session of this user's already.
    pub(super) fn knows(&self, uid: u32, pid: u32) -> bool {
        self.state().open.values().any(|watched| watched.session.is_of(uid, pid))
    }

    fn record(&self, session: &Session, started: Option<u64>, found: bool) {
        let Some(started) = started else {
            // It has ended already, or /proc hides it; then logind has to know it after a restart.
            return;
        };
        self.records.save_session(&SessionRecord {
            id: session.id.clone(),
            login: session.login.clone(),
            pid: session.pid,
            started,
            boot: self.boot.clone(),
            opened_at: session.opened_at,
            found,
        });
    }

    pub(super) fn tell(&self, event: SessionEvent) {
        if self.events.send(event).is_err() {
            warn!(?event, "nobody listens to session events");
        }
    }

    pub(super) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// The session that was found at logind and is the one of this process.
    fn twin(&self, uid: u32, pid: u32) -> Option<SessionId> {
        let mut found = self.open.values().filter(|watched| watched.found);
        let twin = found.find(|watched| watched.session.is_of(uid, pid))?;
        Some(twin.session.id.clone())
    }
}

impl Session {
    fn is_of(&self, uid: u32, pid: u32) -> bool {
        self.pid == pid && self.login.uid == uid
    }
}

// Its successor is an unsafe function, because a type of the caller's could name a descriptor that
// it does not hold (tokio#8587). An OwnedFd holds its own, so here nothing is left to prove.
#[expect(deprecated, reason = "sound for an OwnedFd")]
fn watchable(pidfd: OwnedFd) -> std::io::Result<AsyncFd<OwnedFd>> {
    AsyncFd::with_interest(pidfd, Interest::READABLE)
}

/// Waits for a process to end, then ends its session.
async fn watch(sessions: Weak<Sessions>, id: SessionId, pidfd: AsyncFd<OwnedFd>) {
    loop {
        // An error means that the runtime shuts down: the session goes on without us.
        let Ok(mut ready) = pidfd.readable().await else { return };
        if !process::runs(pidfd.get_ref()) {
            break;
        }
        ready.clear_ready();
    }
    if let Some(sessions) = sessions.upgrade() {
        sessions.close(&id);
    }
}
