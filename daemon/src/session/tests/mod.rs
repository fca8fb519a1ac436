//! Sessions against real processes, real files and a bus that is spoken over a socket pair.

mod lifetime;
mod logind;
mod restart;
mod stay;

use std::{
    path::Path,
    process::{Child, Command},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use async_trait::async_trait;
use tokio::sync::mpsc::UnboundedReceiver;

use super::*;
use crate::{
    account::UnixTime,
    clock::{Clock, SystemClock, SystemRandom},
};

const GRACE: Duration = Duration::from_secs(900);
const ALICE: u32 = 1001;
const BOB: u32 = 1002;

/// A wall clock that a test sets; everything else is tokio's, which a test may pause.
struct TestClock(AtomicU64);

impl TestClock {
    fn pass(&self, seconds: u64) {
        self.0.fetch_add(seconds, Ordering::Relaxed);
    }
}

#[async_trait]
impl Clock for TestClock {
    fn wall(&self) -> UnixTime {
        UnixTime(self.0.load(Ordering::Relaxed))
    }

    fn monotonic(&self) -> Instant {
        SystemClock.monotonic()
    }

    async fn sleep(&self, duration: Duration) {
        SystemClock.sleep(duration).await;
    }
}

/// One run of the daemon, as far as sessions go.
struct Run {
    sessions: Arc<Sessions>,
    events: UnboundedReceiver<SessionEvent>,
    clock: Arc<TestClock>,
}

impl Run {
    fn start(dir: &Path) -> Self {
        Self::with_rules(dir, StayRules { grace: GRACE, linger_dir: None })
    }

    fn with_rules(dir: &Path, rules: StayRules) -> Self {
        let clock = Arc::new(TestClock(AtomicU64::new(1_000_000)));
        let (sessions, events) =
            Sessions::new(dir.to_owned(), rules, clock.clone(), Arc::new(SystemRandom));
        Self { sessions, events, clock }
    }

    fn open(&self, uid: u32, pid: u32) -> SessionId {
        self.sessions.open(login(uid), pid, process::open(pid).unwrap()).unwrap()
    }

    async fn next(&mut self) -> SessionEvent {
        tokio::time::timeout(Duration::from_secs(10), self.events.recv())
            .await
            .expect("no event came")
            .unwrap()
    }
}

fn login(uid: u32) -> NewSession {
    NewSession {
        uid,
        user: format!("user{uid}"),
        service: "sshd".into(),
        rhost: Some("192.0.2.7".into()),
        tty: Some("ssh".into()),
    }
}

/// A process that a session hangs on. Killed and reaped when it is dropped.
struct Process(Child);

impl Process {
    fn start() -> Self {
        Self(Command::new("sleep").arg("600").spawn().unwrap())
    }

    fn pid(&self) -> u32 {
        self.0.id()
    }

    /// SIGKILL, as the OOM killer sends it, and reaped as by its parent.
    fn kill(mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn names(dir: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(dir).unwrap();
    let mut names: Vec<String> =
        entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}
