//! Whom logind knows, from a script and over a real connection.

use std::os::unix::net::UnixStream;

use zbus::{OwnedObjectPath, connection::Builder, interface};

use super::*;

enum Script {
    Sessions(Vec<LoginSession>),
    Absent,
    Hangs,
}

#[async_trait]
impl Logind for Script {
    async fn sessions(&self) -> Result<Vec<LoginSession>, LogindError> {
        match self {
            Self::Sessions(sessions) => Ok(sessions.clone()),
            Self::Absent => Err(LogindError::Bus(zbus::Error::InvalidReply)),
            Self::Hangs => std::future::pending().await,
        }
    }
}

fn found(uid: u32, leader: u32) -> LoginSession {
    LoginSession {
        uid,
        user: format!("user{uid}"),
        leader,
        service: "sshd".into(),
        is_user: true,
        rhost: None,
        tty: None,
    }
}

fn which() -> Adoptable {
    Adoptable { services: vec!["sshd".into(), "login".into()], min_uid: 1000 }
}

#[tokio::test]
async fn sessions_from_before_are_adopted_and_end_with_their_leader() {
    let dir = tempfile::tempdir().unwrap();
    let mut run = Run::start(dir.path());
    let (known, new, ended) = (Process::start(), Process::start(), Process::start());
    let gone = ended.pid();
    ended.kill();
    run.open(ALICE, known.pid());
    let logind = Script::Sessions(vec![
        found(ALICE, known.pid()),
        found(BOB, new.pid()),
        found(BOB, gone),
        found(BOB, 0),
        found(0, new.pid()),
        found(999, new.pid()),
        LoginSession { service: "systemd-user".into(), ..found(1003, new.pid()) },
        LoginSession { is_user: false, ..found(1003, new.pid()) },
    ]);
    assert_eq!(run.sessions.reconcile(&logind, &which()).await, 1);
    assert_eq!(run.sessions.reconcile(&logind, &which()).await, 0, "once is enough");
    let mut uids: Vec<u32> = run.sessions.all().iter().map(|s| s.login.uid).collect();
    uids.sort_unstable();
    assert_eq!(uids, [ALICE, BOB]);
    for _ in 0..2 {
        run.next().await;
    }
    new.kill();
    assert_eq!(run.next().await, SessionEvent::Ended { uid: BOB, remaining: 0 });
}

#[tokio::test]
async fn an_adopted_session_is_found_again_after_a_restart() {
    let dir = tempfile::tempdir().unwrap();
    let process = Process::start();
    let logind = Script::Sessions(vec![found(ALICE, process.pid())]);
    let before = Run::start(dir.path());
    assert_eq!(before.sessions.reconcile(&logind, &which()).await, 1);
    drop(before);
    let run = Run::start(dir.path());
    assert_eq!(run.sessions.restore().open, 1);
    assert_eq!(run.sessions.reconcile(&logind, &which()).await, 0);
}

#[tokio::test]
async fn pam_takes_over_the_session_that_was_found_at_logind() {
    let dir = tempfile::tempdir().unwrap();
    let mut run = Run::start(dir.path());
    let process = Process::start();
    let logind = Script::Sessions(vec![found(ALICE, process.pid())]);
    run.sessions.reconcile(&logind, &which()).await;
    let id = run.open(ALICE, process.pid());
    assert_eq!((run.sessions.count(ALICE), names(dir.path()).len()), (1, 1));
    assert!(run.sessions.close(&id));
    assert_eq!(run.next().await, SessionEvent::Opened { uid: ALICE, first: true });
    assert_eq!(run.next().await, SessionEvent::Ended { uid: ALICE, remaining: 0 });
}

#[tokio::test]
async fn a_process_that_logind_and_pam_tell_of_ends_as_one_session_beside_another() {
    let dir = tempfile::tempdir().unwrap();
    let mut run = Run::start(dir.path());
    let (one, other) = (Process::start(), Process::start());
    run.open(ALICE, other.pid());
    let logind = Script::Sessions(vec![found(ALICE, one.pid())]);
    run.sessions.reconcile(&logind, &which()).await;
    run.open(ALICE, one.pid());
    assert_eq!(run.sessions.count(ALICE), 2);
    assert_eq!(run.next().await, SessionEvent::Opened { uid: ALICE, first: true });
    assert_eq!(run.next().await, SessionEvent::Opened { uid: ALICE, first: false });
    drop(one);
    assert_eq!(run.next().await, SessionEvent::Ended { uid: ALICE, remaining: 1 });
    drop(other);
    assert_eq!(run.next().await, SessionEvent::Ended { uid: ALICE, remaining: 0 });
}

#[tokio::test(start_paused = true)]
async fn without_logind_the_start_goes_on_within_two_seconds() {
    let dir = tempfile::tempdir().unwrap();
    let run = Run::start(dir.path());
    let begin = run.clock.monotonic();
    assert_eq!(run.sessions.reconcile(&Script::Absent, &which()).await, 0);
    assert_eq!(run.sessions.reconcile(&Script::Hangs, &which()).await, 0);
    let took = run.clock.monotonic() - begin;
    assert!(took <= Duration::from_millis(2100), "{took:?}");
}

/// As much of logind as we ask for.
struct FakeManager {
    sessions: Vec<(String, u32, String, String, OwnedObjectPath)>,
}

#[interface(name = "org.freedesktop.login1.Manager")]
impl FakeManager {
    fn list_sessions(&self) -> Vec<(String, u32, String, String, OwnedObjectPath)> {
        self.sessions.clone()
    }
}

struct FakeSession {
    leader: u32,
    class: &'static str,
    remote_host: &'static str,
}

#[interface(name = "org.freedesktop.login1.Session")]
impl FakeSession {
    #[zbus(property)]
    fn leader(&self) -> u32 {
        self.leader
    }

    #[zbus(property)]
    fn service(&self) -> &str {
        "sshd"
    }

    #[zbus(property)]
    fn class(&self) -> &str {
        self.class
    }

    #[zbus(property)]
    fn remote_host(&self) -> &str {
        self.remote_host
    }

    #[zbus(property, name = "TTY")]
    fn tty(&self) -> &str {
        "pts/3"
    }
}

#[tokio::test]
async fn the_properties_of_a_real_reply_are_read_and_a_session_that_left_is_no_error() {
    let path = |id: &str| {
        OwnedObjectPath::try_from(format!("/org/freedesktop/login1/session/{id}")).unwrap()
    };
    let listed =
        |id: &str, uid, user: &str| (id.to_owned(), uid, user.to_owned(), String::new(), path(id));
    let manager = FakeManager {
        sessions: vec![
            listed("_31", ALICE, "alice"),
            listed("_32", BOB, "bob"),
            listed("left", BOB, "bob"),
        ],
    };
    let remote = FakeSession { leader: 4711, class: "user", remote_host: "192.0.2.7" };
    let greeter = FakeSession { leader: 4712, class: "greeter", remote_host: "" };

    let (here, there) = UnixStream::pair().unwrap();
    let server = Builder::unix_stream(there)
        .server(zbus::Guid::generate())
        .p2p()
        .serve_at("/org/freedesktop/login1", manager)
        .serve_at(path("_31"), remote)
        .serve_at(path("_32"), greeter)
        .build();
    let client = Builder::unix_stream(here).p2p().build();
    let (server, client) = tokio::join!(server, client);
    let _server = server.unwrap();

    let sessions = Login1::Over(client.unwrap()).sessions().await.unwrap();
    assert_eq!(
        sessions,
        [
            LoginSession {
                rhost: Some("192.0.2.7".into()),
                tty: Some("pts/3".into()),
                user: "alice".into(),
                ..found(ALICE, 4711)
            },
            LoginSession {
                is_user: false,
                tty: Some("pts/3".into()),
                user: "bob".into(),
                ..found(BOB, 4712)
            },
        ]
    );
}
