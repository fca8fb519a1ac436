//! What stands in the log when a login gets no token: provoked, with real sockets where one is
//! asked, and compared with its row in docs/errors.md.

use super::*;
use crate::client;
use iamd_protocol::pam::{encode, read};
use std::io::Write as _;
use std::os::unix::fs::MetadataExt as _;
use std::os::unix::net::{UnixListener, UnixStream};

/// The last line of the log.
fn shows(when: &str, pam: &Scripted) {
    let line = pam.logged.last().unwrap();
    let (_, text) = line.split_once(": ").unwrap();
    assert!(!text.contains('\n'), "{text}");
    // Tests may run as anybody.
    let text = text.replace(&format!("by uid {}:", me()), "by uid 0:");
    iamd_errors::shows("PAM module", when, &text, "", None, "");
}

/// The log of a login that asks at this socket, whose owner is `uid`.
fn asked(socket: &std::path::Path, uid: u32) -> Scripted {
    let mut pam = Scripted::alice();
    let line = [format!("socket={}", socket.display()), format!("socket_uid={uid}")];
    let line: Vec<&str> = line.iter().map(String::as_str).chain(["deadline=300ms"]).collect();
    let line = words(&line);
    let line: Vec<_> = line.iter().map(CString::as_c_str).collect();
    open(&mut pam, &line, false, client::ask);
    pam
}

fn me() -> u32 {
    std::fs::metadata("/proc/self").unwrap().uid()
}

/// The log of a login at a daemon that does this with its connection.
fn served(act: impl FnOnce(UnixStream) + Send + 'static) -> Scripted {
    let place = tempfile::tempdir().unwrap();
    let socket = place.path().join("s");
    let listener = UnixListener::bind(&socket).unwrap();
    let daemon = std::thread::spawn(move || act(listener.accept().unwrap().0));
    let pam = asked(&socket, me());
    daemon.join().unwrap();
    pam
}

/// Reads a request and answers so.
fn answering(reply: Vec<u8>) -> impl FnOnce(UnixStream) {
    move |mut stream| {
        let request: Request = read(&mut stream).unwrap();
        assert!(matches!(request, Request::Open(_)));
        stream.write_all(&reply).unwrap();
    }
}

#[test]
fn of_a_daemon_that_is_not_there_or_not_well() {
    let place = tempfile::tempdir().unwrap();
    let socket = place.path().join("s");
    shows("iamd is not installed, or never ran", &asked(&socket, me()));
    drop(UnixListener::bind(&socket).unwrap());
    shows("iamd has ended", &asked(&socket, me()));
    shows("something else is in the way to the socket", &asked(&socket.join("s"), me()));
    let deaf = place.path().join("d");
    let _listener = UnixListener::bind(&deaf).unwrap();
    shows("iamd does not answer in time", &asked(&deaf, me()));
    shows("the socket is not iamd's", &asked(&deaf, me() + 1));
    shows("iamd ends while it answers", &served(answering(Vec::new())));
    shows("what answers is not iamd", &served(answering(b"\x05\0\0\0hello".to_vec())));
    shows("what answers has no end", &served(answering(u32::MAX.to_le_bytes().to_vec())));
    let reply = |reply: &Reply| encode(reply).unwrap();
    let reason = "FrameTooLong: a frame of 2000 bytes; limits.frame_bytes allows 1024".into();
    shows("iamd refuses", &served(answering(reply(&Reply::Refused { reason }))));
    shows("iamd is of another version", &served(answering(reply(&Reply::Closed))));
    let mut pam = Scripted::alice();
    pam.user = Some("x".repeat(80_000));
    let line = [format!("socket={}", deaf.display()), format!("socket_uid={}", me())];
    let line = words(&line.iter().map(String::as_str).collect::<Vec<_>>());
    open(&mut pam, &line.iter().map(CString::as_c_str).collect::<Vec<_>>(), false, client::ask);
    shows("a user name without end", &pam);
}

#[test]
fn of_a_backlog_that_is_full() {
    let place = tempfile::tempdir().unwrap();
    let socket = place.path().join("s");
    let listener = UnixListener::bind(&socket).unwrap();
    crate::sys::tests::shrink_backlog(&listener);
    let soon = || crate::deadline::Deadline::after(std::time::Duration::from_millis(50));
    let _fillers: Vec<_> =
        (0..).map_while(|_| crate::sys::connect(&socket, &soon()).ok()).collect();
    shows("more logins at once than iamd takes", &asked(&socket, me()));
}

#[test]
fn of_users_and_services_that_it_does_not_act_for() {
    let told = |when: &str, mut pam: Scripted| {
        never_asked(&mut pam, &["debug"]);
        shows(when, &pam);
    };
    told("no such user", Scripted { uid: None, ..Scripted::alice() });
    told("root or a system user, with debug", Scripted { uid: Some(2), ..Scripted::alice() });
    let cron = Scripted { service: Some("cron".into()), ..Scripted::alice() };
    told("a service that is not in services=, with debug", cron);
    let mut pam = Scripted::alice();
    open_with(&mut pam, &[], false, Ok(Reply::Opened(opened())));
    open_with(&mut pam, &["debug"], false, Ok(Reply::Opened(opened())));
    shows("the module stands in the stack twice, with debug", &pam);
}

#[test]
fn of_an_answer_that_is_not_fit() {
    let told = |when: &str, mut pam: Scripted, opened: Opened| {
        open_with(&mut pam, &[], false, Ok(Reply::Opened(opened)));
        // The last line is that of the session.
        pam.logged.pop();
        shows(when, &pam);
    };
    let variable = |name: &str| (name.to_owned(), "value".to_owned());
    let odd = Opened { environment: vec![variable("not a name")], ..opened() };
    told("a variable that the module does not set", Scripted::alice(), odd);
    let many = (0..100).map(|number| variable(&format!("IAMD_{number}"))).collect();
    let many = Opened { environment: many, ..opened() };
    told("more variables than the module sets", Scripted::alice(), many);
    let notice = Opened { notice: Some("evil \u{1b}[2J".into()), ..opened() };
    told("a notice that no terminal should show", Scripted::alice(), notice);
    let mut pam = Scripted { broken: true, ..Scripted::alice() };
    open_with(&mut pam, &[], true, Ok(Reply::Opened(opened())));
    pam.logged.truncate(1);
    shows("libpam keeps nothing", &pam);
}

#[test]
fn of_words_on_its_line() {
    for (when, word) in [
        ("a word that there is not", "colour=red"),
        ("a notice other than auto or never", "notice=loud"),
        ("a deadline without its unit", "deadline=1"),
        ("a deadline out of bounds", "deadline=60s"),
        ("services that are none", "services=a b"),
        ("a uid that is none", "min_uid=alice"),
        ("a socket that is no path", "socket=pam.sock"),
        ("another selftest than there is", "selftest=fire"),
    ] {
        let mut pam = Scripted::alice();
        open_with(&mut pam, &[word], false, Ok(Reply::Ignored));
        shows(when, &pam);
    }
}
