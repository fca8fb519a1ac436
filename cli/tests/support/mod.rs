//! For the tests: a private bus, a daemon that says what a test tells it to say, and the built
//! `iamctl` run against it.

#![allow(dead_code, reason = "each test program uses a part")]
#![allow(unused_imports, reason = "likewise")]
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "helpers of tests fail as tests do")]

pub(crate) mod asking;
pub(crate) mod bus;
pub(crate) mod names;
pub(crate) mod running;
pub(crate) mod samples;
mod scripted;
pub(crate) mod service;
pub(crate) mod terminal;
pub(crate) mod transcript;

use std::io::Write as _;
use std::path::PathBuf;
use std::process::{Command, Stdio};

pub(crate) use bus::Bus;
pub(crate) use service::{Fake, Script};

/// What a run of `iamctl` left.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Run {
    pub(crate) stdout: String,
    pub(crate) stderr: String,
    pub(crate) code: i32,
}

/// `iamctl` with a clean environment, on the bus at that address.
pub(crate) fn iamctl(address: &str, args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_iamctl"));
    command.args(args).env_clear();
    command.env("PATH", std::env::var_os("PATH").unwrap_or_default());
    command.env("LANG", "C.UTF-8").env("TERM", "xterm-256color").env("IAMD_BUS_ADDRESS", address);
    command.stdin(Stdio::null());
    command
}

/// Runs a command to its end.
pub(crate) fn run(command: &mut Command) -> Run {
    let output = command.output().unwrap();
    Run {
        stdout: String::from_utf8(output.stdout).unwrap(),
        stderr: String::from_utf8(output.stderr).unwrap(),
        code: output.status.code().unwrap_or(-1),
    }
}

/// Runs a command with a text on standard input, which is no terminal then.
pub(crate) fn run_with(command: &mut Command, text: &str) -> Run {
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    // A command that does not want it may be gone.
    let _ = child.stdin.take().unwrap().write_all(text.as_bytes());
    let output = child.wait_with_output().unwrap();
    Run {
        stdout: String::from_utf8(output.stdout).unwrap(),
        stderr: String::from_utf8(output.stderr).unwrap(),
        code: output.status.code().unwrap_or(-1),
    }
}

/// Instants near `base` become `@+3600`, so that transcripts are the same at any time.
pub(crate) fn stable_instants(text: &str, base: u64) -> String {
    let mut stable = String::new();
    let mut digits = String::new();
    for c in text.chars().chain([' ']) {
        if c.is_ascii_digit() {
            digits.push(c);
            continue;
        }
        match digits.parse::<u64>() {
            Ok(at) if digits.len() == 10 && at.abs_diff(base) < 100 * 86_400 => {
                let sign = if at < base { '-' } else { '+' };
                stable.push_str(&format!("@{sign}{}", at.abs_diff(base)));
            }
            _ => stable.push_str(&digits),
        }
        digits.clear();
        stable.push(c);
    }
    stable.pop();
    stable
}

/// A file of this crate.
pub(crate) fn file(path: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(path)
}
