//! 200 sessions under valgrind's memcheck: no error, no leak, no descriptor, no thread left; and 300
//! more on one handle of pamtester. IAMD_PAM_CYCLES makes them more: tests/soak has 10,000.
//!
//! Without valgrind the tests say so and pass, unless IAMD_TESTS_NEED_VALGRIND is set.
#![allow(clippy::print_stderr, clippy::unwrap_used, reason = "tests only")]

mod support;

use std::os::unix::fs::MetadataExt as _;
use std::process::Command;

use support::{Node, USER, lines, stripped_module};

/// How many sessions, unless more are asked for.
fn cycles(usual: u32) -> u32 {
    std::env::var("IAMD_PAM_CYCLES").ok().and_then(|text| text.parse().ok()).unwrap_or(usual)
}

/// A leak on a way that few sessions take shows sooner.
const FEW: u32 = 40;

/// Whether valgrind can be run.
fn valgrind_is_there() -> bool {
    let there = Command::new("valgrind").arg("--version").output().is_ok();
    if !there {
        assert!(std::env::var_os("IAMD_TESTS_NEED_VALGRIND").is_none(), "valgrind is missing");
        eprintln!("skipped: valgrind is not installed");
    }
    there
}

const VALGRIND: [&str; 7] = [
    "valgrind",
    "--quiet",
    "--leak-check=full",
    "--show-leak-kinds=definite,indirect,possible",
    "--errors-for-leak-kinds=definite,indirect,possible",
    "--keep-debuginfo=yes",
    "--error-exitcode=9",
];

fn check(node: &Node, cycles: u32, what: &str) {
    let mut command = node.command(&VALGRIND, "sshd", USER, cycles);
    let output = command.env("HOST_TASKS", "1").output().unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && errors.is_empty(), "{what}: {errors}");
    let lines = lines(&output);
    assert_eq!(lines.last().map(String::as_str), Some("descriptors +0"), "{what}: {lines:?}");
    assert!(lines.contains(&"open 0".into()) && lines.contains(&"close 0".into()), "{lines:?}");
    assert!(lines.contains(&"tasks +0".into()), "{what}: {lines:?}");
}

#[test]
fn two_hundred_sessions_leave_nothing_behind() {
    if valgrind_is_there() {
        let node = Node::of(stripped_module(), "deadline=2s");
        let asked = node.daemon();
        let cycles = cycles(200);
        check(&node, cycles, "with a daemon");
        assert_eq!(asked.try_iter().count() as u32, 2 * cycles);
    }
}

#[test]
fn failures_leave_nothing_behind() {
    if valgrind_is_there() {
        check(&Node::of(stripped_module(), "nonsense"), FEW, "without a daemon");
        let node = Node::of(stripped_module(), "deadline=2s");
        node.daemon_that(drop);
        check(&node, FEW, "with a daemon that hangs up");
    }
}

#[test]
fn panics_leave_nothing_behind() {
    if valgrind_is_there() {
        check(&Node::of(stripped_module(), "selftest=panic"), FEW, "with a panic");
    }
}

/// The program that administrators try a stack with. It reads /etc/pam.d and nothing else, so it gets
/// one of its own, which only root can give it.
#[test]
fn pamtester_opens_and_closes_hundreds_of_sessions_on_one_handle_and_nothing_is_left() {
    let root = std::fs::metadata("/proc/self").is_ok_and(|me| me.uid() == 0);
    let there = Command::new("pamtester").output().is_ok();
    if !root || !there || !valgrind_is_there() {
        assert!(!root || std::env::var_os("IAMD_TESTS_NEED_VALGRIND").is_none(), "no pamtester");
        eprintln!("skipped: it takes root, pamtester and valgrind");
        return;
    }
    let cycles = cycles(300);
    let node = Node::of(stripped_module(), "deadline=2s");
    let asked = node.daemon();
    let mut line = format!(
        "mount --bind {} /etc/pam.d && exec {} pamtester sshd {USER}",
        node.path().display(),
        VALGRIND.join(" ")
    );
    line += &" open_session close_session".repeat(cycles as usize);
    let script = node.path().join("script");
    std::fs::write(&script, line).unwrap();
    let output = Command::new("unshare").args(["--mount", "sh"]).arg(&script).output().unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && errors.is_empty(), "{errors}");
    let said = String::from_utf8_lossy(&output.stdout);
    let opened = said.matches("successfully opened a session").count();
    assert_eq!(opened, cycles as usize, "{said:.500}");
    assert_eq!(asked.try_iter().count() as u32, 2 * cycles);
}
