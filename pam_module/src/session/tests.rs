//! The decisions, with a scripted handle and a scripted daemon.

mod texts;

use super::*;
use crate::client::AskError;
use iamd_protocol::pam::FrameError;
use std::ffi::CString;
use std::io;

/// A PAM handle that does what it is told and remembers what was done to it.
#[derive(Debug, Clone, Default)]
pub(crate) struct Scripted {
    pub(crate) service: Option<String>,
    pub(crate) user: Option<String>,
    pub(crate) uid: Option<u32>,
    pub(crate) environment: Vec<(String, String)>,
    pub(crate) session: Option<String>,
    pub(crate) told: std::cell::RefCell<Vec<String>>,
    pub(crate) logged: Vec<String>,
    pub(crate) lookups: usize,
    /// Every call that can fail does.
    pub(crate) broken: bool,
    pub(crate) log_panics: bool,
}

impl Scripted {
    pub(crate) fn alice() -> Self {
        let (service, user) = (Some("sshd".into()), Some("alice".into()));
        Self { service, user, uid: Some(1001), ..Self::default() }
    }
}

impl Pam for Scripted {
    fn service(&self) -> Option<String> {
        self.service.clone()
    }
    fn user(&self) -> Option<String> {
        self.user.clone()
    }
    fn rhost(&self) -> Option<String> {
        Some("192.0.2.7".into())
    }
    fn tty(&self) -> Option<String> {
        Some("ssh".into())
    }
    fn account_of(&mut self, user: &str) -> Option<(u32, String)> {
        self.lookups += 1;
        // As SSSD with names in any case.
        Some((self.uid?, user.to_lowercase()))
    }
    fn has_variable(&mut self, name: &str) -> bool {
        self.environment.iter().any(|(known, _)| known == name)
    }
    fn put_variable(&mut self, name: &str, value: &str) -> bool {
        if !self.broken {
            self.environment.push((name.into(), value.into()));
        }
        !self.broken
    }
    fn tell(&self, notice: &str) -> bool {
        self.told.borrow_mut().push(notice.into());
        !self.broken
    }
    fn session(&self) -> Option<String> {
        self.session.clone()
    }
    fn set_session(&mut self, session: Option<String>) -> bool {
        if !self.broken {
            self.session = session;
        }
        !self.broken
    }
    fn log(&mut self, level: Level, line: &str) {
        assert!(!self.log_panics, "told to");
        self.logged.push(format!("{level:?}: {line}"));
    }
}

const NOTICE: &str = "iamd: sign in";

fn opened() -> Opened {
    let environment = vec![("BEARER_TOKEN_FILE".into(), "/run/iamd/users/1001/bt_u1001".into())];
    Opened { session: "s1".into(), environment, notice: Some(NOTICE.into()) }
}

fn words(words: &[&str]) -> Vec<CString> {
    words.iter().map(|word| CString::new(*word).unwrap()).collect()
}

/// Opens with these words and this answer; the request that was made, if any.
fn open_with(
    pam: &mut Scripted,
    arguments: &[&str],
    silent: bool,
    answer: Result<Reply, AskError>,
) -> (Outcome, Option<Request>) {
    let mut asked = None;
    let arguments = words(arguments);
    let arguments: Vec<_> = arguments.iter().map(CString::as_c_str).collect();
    let outcome = open(pam, &arguments, silent, |_, request| {
        asked = Some(request.clone());
        answer
    });
    (outcome, asked)
}

fn never_asked(pam: &mut Scripted, arguments: &[&str]) -> Outcome {
    let (outcome, asked) = open_with(pam, arguments, false, Ok(Reply::Opened(opened())));
    assert_eq!(asked, None);
    assert!(pam.environment.is_empty() && pam.told.borrow().is_empty() && pam.session.is_none());
    outcome
}

#[test]
fn a_login_gets_its_variables_its_notice_and_one_line_in_the_log() {
    let mut pam = Scripted::alice();
    let (outcome, asked) = open_with(&mut pam, &[], false, Ok(Reply::Opened(opened())));
    let Some(Request::Open(open)) = asked else { panic!("{asked:?}") };
    assert_eq!((open.uid, open.user.as_str(), open.service.as_str()), (1001, "alice", "sshd"));
    assert_eq!((open.rhost.as_deref(), open.tty.as_deref()), (Some("192.0.2.7"), Some("ssh")));
    assert!(!open.quiet);
    assert!(matches!(outcome, Outcome::Opened { uid: 1001, variables: 1, notice: true }));
    assert_eq!(pam.environment, opened().environment);
    assert_eq!(*pam.told.borrow(), [NOTICE]);
    assert_eq!(pam.session.as_deref(), Some("s1"));
    assert_eq!(pam.logged, ["Info: session opened (uid 1001, 1 variables, notice shown)"]);
}

#[test]
fn the_socket_for_oidc_agents_clients_is_set_unless_the_session_has_one() {
    let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
    let socket = pair("OIDC_SOCK", "/run/iamd/oidc-agent.sock");
    let opened = || {
        let mut opened = opened();
        opened.environment.push(socket.clone());
        Ok(Reply::Opened(opened))
    };
    let mut pam = Scripted::alice();
    let (outcome, _) = open_with(&mut pam, &[], false, opened());
    assert!(matches!(outcome, Outcome::Opened { variables: 2, .. }));
    assert_eq!(pam.environment[1], socket);
    let own = pair("OIDC_SOCK", "/home/alice/agent");
    let mut pam = Scripted { environment: vec![own.clone()], ..Scripted::alice() };
    let (outcome, _) = open_with(&mut pam, &[], false, opened());
    assert!(matches!(outcome, Outcome::Opened { variables: 1, .. }));
    assert_eq!(pam.environment[0], own);
    assert!(!pam.environment.contains(&socket));
}

#[test]
fn the_daemon_gets_the_name_as_the_name_service_writes_it() {
    let mut pam = Scripted { user: Some("Alice".into()), ..Scripted::alice() };
    let (_, asked) = open_with(&mut pam, &[], false, Ok(Reply::Opened(opened())));
    let Some(Request::Open(open)) = asked else { panic!("{asked:?}") };
    assert_eq!(open.user, "alice");
}

#[test]
fn another_service_is_left_alone_before_anything_else() {
    for service in [None, Some("cron"), Some("systemd-user"), Some("sudo"), Some("SSHD"), Some("")]
    {
        let mut pam = Scripted { service: service.map(String::from), ..Scripted::alice() };
        let outcome = never_asked(&mut pam, &["unknown", "selftest=panic"]);
        assert!(matches!(outcome, Outcome::NotOurService));
        assert_eq!((pam.lookups, pam.logged.len()), (0, 0), "{:?}", pam.logged);
    }
}

#[test]
fn root_and_system_users_are_left_alone_without_a_word() {
    for uid in [0, 1, 999] {
        let mut pam = Scripted { uid: Some(uid), ..Scripted::alice() };
        assert!(matches!(never_asked(&mut pam, &[]), Outcome::NotOurUser(u) if u == uid));
        assert_eq!((pam.lookups, pam.logged.len()), (1, 0), "{:?}", pam.logged);
    }
    let mut root = Scripted { uid: Some(0), ..Scripted::alice() };
    let (_, asked) = open_with(&mut root, &["root"], false, Ok(Reply::Ignored));
    assert!(asked.is_some());
}

#[test]
fn without_a_user_or_with_an_unknown_one_nothing_is_asked() {
    let nobody = Scripted { user: None, ..Scripted::alice() };
    let unknown = Scripted { uid: None, ..Scripted::alice() };
    for mut pam in [nobody, unknown] {
        assert!(matches!(never_asked(&mut pam, &[]), Outcome::NoSuchUser));
        assert_eq!(pam.logged, ["Warning: no such user: no token for this session"]);
    }
}

#[test]
fn a_variable_that_is_set_stays_as_it_is() {
    let theirs = vec![("BEARER_TOKEN_FILE".to_string(), "/home/alice/t".to_string())];
    let mut pam = Scripted { environment: theirs.clone(), ..Scripted::alice() };
    let (outcome, _) = open_with(&mut pam, &[], false, Ok(Reply::Opened(opened())));
    assert!(matches!(outcome, Outcome::Opened { variables: 0, .. }));
    assert_eq!(pam.environment, theirs);
}

#[test]
fn variables_that_are_not_fit_or_too_many_are_left_out() {
    let mut environment: Vec<(String, String)> = vec![
        ("bad".into(), "x".into()),
        ("ESC".into(), "\x1b[2J".into()),
        ("A=B".into(), "".into()),
    ];
    environment.extend((0..9).map(|n| (format!("V{n}"), "x".into())));
    let reply = Reply::Opened(Opened { environment, notice: None, ..opened() });
    let mut pam = Scripted::alice();
    open_with(&mut pam, &[], false, Ok(reply));
    let names: Vec<_> = pam.environment.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names, ["V0", "V1", "V2", "V3", "V4"], "8 of the 12 are looked at, 3 are not fit");
    assert_eq!(pam.logged.len(), 5, "{:?}", pam.logged);
    assert!(!pam.logged.iter().any(|line| line.contains('\x1b')), "{:?}", pam.logged);
}

#[test]
fn silence_is_kept_and_passed_on() {
    for (arguments, silent) in [(&["notice=never"][..], false), (&[][..], true)] {
        let mut pam = Scripted::alice();
        let (outcome, asked) = open_with(&mut pam, arguments, silent, Ok(Reply::Opened(opened())));
        assert!(matches!(asked, Some(Request::Open(Open { quiet: true, .. }))));
        assert!(matches!(outcome, Outcome::Opened { variables: 1, notice: false, .. }));
        assert!(pam.told.borrow().is_empty());
    }
}

#[test]
fn a_notice_that_is_not_fit_is_not_shown_and_the_rest_is_done() {
    for notice in ["\x1b[2J".to_string(), "é".into(), String::new(), "x".repeat(4097)] {
        let reply = Reply::Opened(Opened { notice: Some(notice), ..opened() });
        let mut pam = Scripted::alice();
        let (outcome, _) = open_with(&mut pam, &[], false, Ok(reply));
        assert!(matches!(outcome, Outcome::Opened { variables: 1, notice: false, .. }));
        assert!(pam.told.borrow().is_empty());
        assert_eq!(pam.logged.len(), 2, "{:?}", pam.logged);
    }
}

#[test]
fn a_libpam_that_fails_at_everything_does_not_matter() {
    let mut pam = Scripted { broken: true, ..Scripted::alice() };
    let (outcome, _) = open_with(&mut pam, &[], false, Ok(Reply::Opened(opened())));
    assert!(matches!(outcome, Outcome::Opened { variables: 0, notice: false, .. }));
    assert!(pam.logged[0].contains("cannot be remembered"), "{:?}", pam.logged);
}

fn failures() -> Vec<(Result<Reply, AskError>, &'static str)> {
    let io = |kind: io::ErrorKind| io::Error::from(kind);
    vec![
        (Ok(Reply::Refused { reason: "a\nb".into() }), "Warning: iamd refused: a?b"),
        (
            Ok(Reply::Refused { reason: "FrameTooLong: a frame of 9 bytes".into() }),
            "Warning: iamd refused: FrameTooLong: a frame of 9 bytes",
        ),
        (
            Err(AskError::TooLong(70_000)),
            "Warning: login goes on without iamd: a request of 70000 bytes, and 65536 are allowed",
        ),
        (
            Err(AskError::Connect(io(io::ErrorKind::NotFound))),
            "Warning: login goes on without iamd: no socket: is iamd installed and running?",
        ),
        (
            Err(AskError::Connect(io(io::ErrorKind::ConnectionRefused))),
            "Warning: login goes on without iamd: nobody listens: is iamd running?",
        ),
        (
            Err(AskError::Owner(1000)),
            "Warning: login goes on without iamd: the socket is served by uid 1000: not trusted",
        ),
        (
            Err(AskError::Late("read")),
            "Warning: login goes on without iamd: no answer within the deadline (at read)",
        ),
        (
            Err(AskError::Frame(FrameError::Io(io(io::ErrorKind::UnexpectedEof)))),
            "Warning: login goes on without iamd: the daemon hung up: unexpected end of file",
        ),
        (
            Err(AskError::Frame(FrameError::Length(0))),
            "Warning: login goes on without iamd: not a reply: a frame of 0 bytes (allowed: 1 to 65536)",
        ),
    ]
}

#[test]
fn every_failure_at_open_is_one_line_and_nothing_else() {
    let mut all = failures();
    all.push((Ok(Reply::Closed), "Error: iamd answered another question: versions apart?"));
    for (answer, line) in all {
        let mut pam = Scripted::alice();
        open_with(&mut pam, &[], false, answer);
        assert_eq!(pam.logged, [line]);
        assert!(pam.environment.is_empty() && pam.told.borrow().is_empty());
        assert!(pam.session.is_none());
    }
}

#[test]
fn every_failure_at_close_is_one_line_and_the_session_is_forgotten() {
    let mut all = failures();
    let other = Ok(Reply::Opened(opened()));
    all.push((other, "Error: iamd answered another question: versions apart?"));
    for (answer, line) in all {
        let mut pam = Scripted { session: Some("s1".into()), ..Scripted::alice() };
        close(&mut pam, &[], |_, _| answer);
        assert_eq!(pam.logged, [line]);
        assert_eq!(pam.session, None);
    }
}

#[test]
fn a_session_is_closed_once_by_its_name() {
    let mut pam = Scripted::alice();
    open_with(&mut pam, &[], false, Ok(Reply::Opened(opened())));
    let mut asked = Vec::new();
    for _ in 0..2 {
        close(&mut pam, &[c"deadline=70ms"], |args, request| {
            assert_eq!(args.deadline.as_millis(), 70);
            asked.push(request.clone());
            Ok(Reply::Closed)
        });
    }
    assert_eq!(asked, [Request::Close(Close { session: "s1".into() })]);
    assert_eq!(pam.logged.last().map(String::as_str), Some("Info: session closed"));
}

#[test]
fn a_second_line_in_the_stack_asks_nothing() {
    let mut pam = Scripted { session: Some("s1".into()), ..Scripted::alice() };
    let (outcome, asked) = open_with(&mut pam, &["debug"], false, Ok(Reply::Ignored));
    assert!(matches!(outcome, Outcome::OpenAlready) && asked.is_none());
    assert_eq!(pam.logged, ["Debug: open already: is the module in the stack twice?"]);
}

#[test]
fn mistakes_in_the_line_are_logged_once_and_the_session_opens() {
    let mut pam = Scripted::alice();
    let arguments = ["deadlin=1s", "deadline=9s", "x\ny"];
    let (outcome, _) = open_with(&mut pam, &arguments, false, Ok(Reply::Opened(opened())));
    assert!(matches!(outcome, Outcome::Opened { .. }));
    assert_eq!(pam.logged.len(), 4, "{:?}", pam.logged);
    assert_eq!(pam.logged[2], "Warning: argument 'x?y': unknown: ignored");
    close(&mut pam, &[c"deadlin=1s"], |_, _| Ok(Reply::Closed));
    assert_eq!(pam.logged.len(), 5, "{:?}", pam.logged);
}

#[test]
fn what_is_not_worth_a_line_gets_one_with_debug() {
    let mut pam = Scripted { uid: Some(5), ..Scripted::alice() };
    never_asked(&mut pam, &["debug"]);
    close(&mut pam, &[c"debug"], |_, _| panic!("asked"));
    let lines = ["Debug: not a user to act for (uid 5)", "Debug: nothing to close"];
    assert_eq!(pam.logged, lines);
}
