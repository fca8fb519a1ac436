//! The built module in a program that uses PAM as sshd does.
#![allow(clippy::disallowed_methods, reason = "the promise is about real time")]

mod support;

use std::io::Write;
use std::os::unix::fs::MetadataExt as _;
use std::os::unix::net::UnixListener;
use std::process::Command;
use std::time::Duration;

use iamd_protocol::pam::{self, Close, Open, Reply, Request};
use support::{Node, TOKEN_FILE, USER};

const OPENED: &str = "log 6 session opened (uid 65534, 1 variables, notice shown)";

fn environment() -> String {
    format!("env BEARER_TOKEN_FILE={TOKEN_FILE}")
}

#[test]
fn a_session_gets_its_variables_and_notice_and_is_closed_by_name() {
    let node = Node::new("");
    let asked = node.daemon();
    let lines = node.run(USER, 1);
    let environment = environment();
    let expected = [
        "message 4 <iamd: sign in",
        "  Open https://issuer.example/device>",
        OPENED,
        "open 0",
        &environment,
        "log 6 session closed",
        "close 0",
        "descriptors +0",
    ];
    assert_eq!(lines, expected);
    let open = Open {
        uid: 65534,
        user: USER.into(),
        service: "sshd".into(),
        rhost: Some("192.0.2.7".into()),
        tty: Some("ssh".into()),
        quiet: false,
    };
    let close = Close { session: "s1".into() };
    assert_eq!(
        asked.iter().take(2).collect::<Vec<_>>(),
        [Request::Open(open), Request::Close(close)]
    );
}

#[test]
fn a_variable_of_the_session_is_kept_and_silence_too() {
    let node =
        Node::new("").with("HOST_PRESET", "BEARER_TOKEN_FILE=/mine").with("HOST_SILENT", "1");
    let asked = node.daemon();
    let lines = node.run(USER, 1);
    assert!(lines.contains(&"env BEARER_TOKEN_FILE=/mine".into()), "{lines:?}");
    assert!(lines.contains(&"log 6 session opened (uid 65534, 0 variables)".into()), "{lines:?}");
    assert!(!lines.iter().any(|line| line.starts_with("message")), "{lines:?}");
    assert!(matches!(asked.recv(), Ok(Request::Open(Open { quiet: true, .. }))));
}

#[test]
fn a_conversation_that_fails_does_not_matter() {
    let node = Node::new("").with("HOST_NO_CONV", "1");
    let _asked = node.daemon();
    let lines = node.run(USER, 1);
    assert!(lines.contains(&"open 0".into()) && lines.contains(&environment()), "{lines:?}");
}

#[test]
fn root_unknown_users_and_other_services_are_left_alone() {
    let node = Node::new("debug");
    let asked = node.daemon();
    let quiet = |line: &str, lines: Vec<String>| {
        let expected =
            [line, "open 0", "log 7 nothing to close", "close 0", "descriptors +0"].to_vec();
        assert_eq!(lines, expected);
    };
    quiet("log 7 not a user to act for (uid 0)", node.run("root", 1));
    quiet("log 4 no such user: no token for this session", node.run("no-such-user", 1));
    node.write_stack("cron", &["debug"]);
    quiet("log 7 not a service to act for", node.run_as("cron", USER, 1));
    assert!(asked.try_recv().is_err());
}

#[test]
fn a_panic_in_the_built_module_does_not_reach_the_program() {
    let node = Node::new("selftest=panic");
    let _asked = node.daemon();
    let lines = node.run(USER, 3);
    assert!(lines[0].starts_with("log 3 a bug: panic at "), "{lines:?}");
    assert!(lines[0].contains("session.rs:") && lines[0].ends_with("; the login goes on"));
    assert_eq!(lines[1..], ["open 0", "close 0", "descriptors +0"]);
}

#[test]
fn two_lines_in_one_stack_make_one_session() {
    let node = Node::new("");
    node.write_stack("sshd", &["debug", "debug"]);
    let asked = node.daemon();
    let lines = node.run(USER, 1);
    assert!(lines.contains(&"log 7 open already: is the module in the stack twice?".into()));
    assert!(lines.contains(&"log 7 nothing to close".into()), "{lines:?}");
    assert_eq!(asked.try_iter().count(), 2);
}

#[test]
fn two_handles_at_once_and_many_in_turn_are_sessions_of_their_own() {
    let node = Node::new("").with("HOST_HANDLES", "2");
    let asked = node.daemon();
    let lines = node.run(USER, 50);
    assert_eq!(lines.iter().filter(|line| *line == "open 0").count(), 2, "{lines:?}");
    assert_eq!(lines.last().map(String::as_str), Some("descriptors +0"));
    assert!(lines.iter().all(|line| !line.starts_with("open") || line == "open 0"), "{lines:?}");
    assert_eq!(asked.try_iter().count(), 200);
}

#[test]
fn two_copies_of_the_module_in_one_stack_do_each_other_no_harm() {
    let node = Node::new("");
    let copy = node.path().join("pam_iam_again.so");
    std::fs::copy(support::module(), &copy).unwrap();
    node.write_stack("sshd", &["debug"]);
    node.add_line("sshd", &copy, "debug");
    let asked = node.daemon();
    let lines = node.run(USER, 20);
    assert!(lines.contains(&environment()), "{lines:?}");
    assert!(lines.iter().all(|line| !line.starts_with("open") || line == "open 0"), "{lines:?}");
    assert_eq!(lines.last().map(String::as_str), Some("descriptors +0"));
    // Each keeps a session of its own, and closes it.
    assert_eq!(asked.try_iter().count(), 80);
}

#[test]
fn two_services_at_once_in_one_program_are_sessions_of_their_own() {
    let node = Node::new("").with("HOST_HANDLES", "2").with("HOST_SERVICES", "login");
    node.write_stack("login", &[""]);
    let asked = node.daemon();
    let lines = node.run(USER, 20);
    assert_eq!(lines.iter().filter(|line| *line == "open 0").count(), 2, "{lines:?}");
    assert_eq!(lines.last().map(String::as_str), Some("descriptors +0"));
    let of = |service: &str, asked: &[Request]| {
        let its =
            |request: &&Request| matches!(request, Request::Open(open) if open.service == service);
        asked.iter().filter(its).count()
    };
    let asked: Vec<Request> = asked.try_iter().collect();
    assert_eq!((of("sshd", &asked), of("login", &asked), asked.len()), (20, 20, 80));
}

#[test]
fn a_program_with_many_threads_has_a_session_in_each_and_none_of_ours_is_left() {
    let node = Node::new("").with("HOST_THREADS", "8").with("HOST_TASKS", "1");
    let asked = node.daemon();
    let lines = node.run(USER, 25);
    assert!(lines.contains(&"open 0".into()) && lines.contains(&environment()), "{lines:?}");
    assert!(lines.iter().all(|line| !line.starts_with("open") || line == "open 0"), "{lines:?}");
    assert_eq!(lines[lines.len() - 2..], ["tasks +0", "descriptors +0"]);
    assert_eq!(asked.try_iter().count(), 8 * 25 * 2);
}

/// Only root may change a program's root; others leave it out.
#[test]
fn in_a_root_without_the_socket_a_login_goes_on_without_a_token() {
    if std::fs::metadata("/proc/self").unwrap().uid() != 0 {
        return;
    }
    let root = tempfile::tempdir().unwrap();
    std::fs::create_dir(root.path().join("etc")).unwrap();
    std::fs::copy("/etc/passwd", root.path().join("etc/passwd")).unwrap();
    let path = Box::leak(root.path().to_str().unwrap().to_owned().into_boxed_str());
    let node = Node::new("deadline=2s").with("HOST_CHROOT", path);
    let asked = node.daemon();
    let lines = node.run(USER, 1);
    let inside = lines.iter().position(|line| line == "close 0").unwrap();
    let [why, open, close] = &lines[inside + 1..] else { panic!("{lines:?}") };
    assert!(why.contains("login goes on without iamd") && why.contains("no socket"), "{lines:?}");
    assert_eq!([open, close], ["open 0", "close 0"], "{lines:?}");
    assert_eq!(asked.try_iter().count(), 2);
}

/// The program sleeps after connect(2), the daemon hangs up at once: the write has no reader.
#[test]
fn a_daemon_that_hangs_up_does_not_kill_a_program_with_default_sigpipe() {
    let node = Node::new("").with("HOST_SLOW_US", "20000");
    node.daemon_that(drop);
    let lines = node.run(USER, 20);
    let line = "log 4 login goes on without iamd: the daemon hung up: Broken pipe (os error 32)";
    assert_eq!(lines, [line, "open 0", "close 0", "descriptors +0"]);
}

/// As that, but it said why: with the sleep the write has no reader, without it perhaps.
#[test]
fn a_frame_that_the_daemon_refuses_is_one_line_that_says_why_and_the_login_goes_on() {
    for pause in ["0", "20000"] {
        let node = Node::new("").with("HOST_SLOW_US", pause);
        node.daemon_that(|mut stream| {
            let reason =
                "FrameTooLong: a frame of 2049 bytes; limits.frame_bytes allows 2048".into();
            pam::write(&mut stream, &Reply::Refused { reason }).unwrap();
        });
        let lines = node.run(USER, 1);
        let line = "log 4 iamd refused: FrameTooLong: a frame of 2049 bytes; limits.frame_bytes allows 2048";
        assert_eq!(lines, [line, "open 0", "close 0", "descriptors +0"], "pause {pause}");
    }
}

/// The slowest of several sessions, by the clock of the program around each call; `line` is what
/// the first one logged.
fn at_most(node: &Node, hook: &str, least: u64, most: u64, line: &str) {
    let lines = node.run(USER, 5);
    let took = |line: &String| line.strip_prefix(hook)?.strip_prefix(" took ")?.parse().ok();
    let mut took: Vec<u64> = lines.iter().filter_map(took).collect();
    took.sort_unstable();
    assert_eq!(took.len(), 5, "{lines:?}");
    assert!(least * 1000 <= took[0] && took[4] <= most * 1000, "{line}: {hook} took {took:?} µs");
    assert!(lines.iter().any(|logged| logged.ends_with(line)), "{line}: {lines:?}");
    assert!(lines.contains(&"open 0".into()) && lines.contains(&"close 0".into()), "{lines:?}");
}

/// How late a process may be woken on a busy machine, in milliseconds.
const LATE: u64 = 100;

#[test]
fn a_daemon_that_is_absent_or_goes_away_costs_a_login_next_to_nothing() {
    let node = || Node::new("deadline=2s").with("HOST_TIMES", "1");
    let absent = node();
    at_most(&absent, "open", 0, LATE / 2, "no socket: is iamd installed and running?");
    drop(UnixListener::bind(absent.socket()).unwrap());
    at_most(&absent, "open", 0, LATE / 2, "nobody listens: is iamd running?");
    let dies = node();
    dies.daemon_that(|mut stream| {
        let _ = pam::read::<Request>(&mut stream);
        let _ = stream.write_all(b"\x64\0\0\0{\"opened\":");
    });
    at_most(&dies, "open", 0, LATE / 2, "the daemon hung up: failed to fill whole buffer");
}

#[test]
fn a_daemon_that_is_silent_or_slow_costs_a_login_or_a_logout_no_more_than_the_deadline() {
    let node = || Node::new("deadline=200ms").with("HOST_TIMES", "1");
    let line = "no answer within the deadline (at read)";
    let silent = node();
    silent.daemon_that(std::mem::forget);
    at_most(&silent, "open", 200, 200 + LATE, line);
    // Each byte comes in time, their sum does not: one deadline for all of them.
    let drips = node();
    drips.daemon_that(|mut stream| {
        for byte in b"\x64\0\0\0{\"opened\":".iter().cycle() {
            std::thread::sleep(Duration::from_millis(20));
            if stream.write_all(&[*byte]).is_err() {
                break;
            }
        }
    });
    at_most(&drips, "open", 200, 200 + LATE, line);
    let forgets = node();
    forgets.daemon_that(|mut stream| match pam::read(&mut stream) {
        Ok(Request::Close(_)) => std::mem::forget(stream),
        _ => pam::write(&mut stream, &support::opened()).unwrap(),
    });
    at_most(&forgets, "close", 200, 200 + LATE, line);
    at_most(&forgets, "open", 0, LATE / 2, OPENED);
}

#[test]
fn a_socket_of_someone_else_is_not_spoken_to() {
    let node = Node::new("socket_uid=4242");
    let asked = node.daemon();
    let lines = node.run(USER, 1);
    assert!(lines[0].ends_with(": not trusted"), "{lines:?}");
    assert!(lines.contains(&"open 0".into()) && asked.try_recv().is_err());
}

#[test]
fn mistakes_in_the_line_are_named_in_the_log() {
    let node = Node::new("nonsense deadline=9s");
    let _asked = node.daemon();
    let lines = node.run(USER, 1);
    assert_eq!(lines[0], "log 4 argument 'nonsense': unknown: ignored");
    let clamped = "argument 'deadline=9s': out of bounds (50ms to 2000ms): 2000ms used";
    assert_eq!(lines[1], format!("log 4 {clamped}"));
    assert!(lines.contains(&OPENED.into()), "{lines:?}");
}

/// What the module asks of the C library is the whole of what it can do in sshd.
#[test]
fn the_built_module_has_no_way_to_a_thread_a_process_or_a_signal_handler() {
    let output = Command::new("nm").args(["-D", "-P"]).arg(support::module()).output().unwrap();
    let table = String::from_utf8(output.stdout).unwrap();
    let names = |kind: &str| -> Vec<&str> {
        table
            .lines()
            .map(|line| line.split_whitespace().collect::<Vec<_>>())
            .filter(|fields| fields[1] == kind)
            .map(|fields| fields[0].split('@').next().unwrap())
            .collect()
    };
    let hooks =
        ["acct_mgmt", "authenticate", "chauthtok", "close_session", "open_session", "setcred"];
    assert_eq!(names("T"), hooks.map(|hook| format!("pam_sm_{hook}")));
    let needed = names("U");
    assert!(needed.contains(&"pam_syslog") && needed.contains(&"connect"), "{needed:?}");
    for forbidden in [
        "pthread_create",
        "fork",
        "vfork",
        "posix_spawnp",
        "execvp",
        "system",
        "popen",
        "sigaction",
        "signal",
        "getpwnam_r",
        "getpwuid_r",
        "getaddrinfo",
        "dlopen",
    ] {
        assert!(!needed.contains(&forbidden), "{forbidden}");
    }
}
