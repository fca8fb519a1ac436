//! 200 sessions under valgrind's memcheck: no error, no leak, no descriptor left.
//!
//! Without valgrind the test says so and passes, unless IAMD_TESTS_NEED_VALGRIND is set.
#![allow(clippy::print_stderr, clippy::unwrap_used, reason = "tests only")]

mod support;

use std::process::Command;

use support::{Node, USER, lines, stripped_module};

const CYCLES: u32 = 200;
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

fn check(node: &Node, cycles: u32, what: &str) {
    let wrapper = [
        "valgrind",
        "--quiet",
        "--leak-check=full",
        "--show-leak-kinds=definite,indirect,possible",
        "--errors-for-leak-kinds=definite,indirect,possible",
        "--keep-debuginfo=yes",
        "--error-exitcode=9",
    ];
    let output = node.command(&wrapper, "sshd", USER, cycles).output().unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && errors.is_empty(), "{what}: {errors}");
    let lines = lines(&output);
    assert_eq!(lines.last().map(String::as_str), Some("descriptors +0"), "{what}: {lines:?}");
    assert!(lines.contains(&"open 0".into()) && lines.contains(&"close 0".into()), "{lines:?}");
}

#[test]
fn two_hundred_sessions_leave_nothing_behind() {
    if valgrind_is_there() {
        let node = Node::of(stripped_module(), "deadline=2s");
        let asked = node.daemon();
        check(&node, CYCLES, "with a daemon");
        assert_eq!(asked.try_iter().count() as u32, 2 * CYCLES);
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
