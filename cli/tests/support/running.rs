//! `iamctl run` with a runtime directory of its own, and what a test looks at.

#![allow(clippy::unwrap_used, reason = "helpers of tests fail as tests do")]

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::{Fake, iamctl, samples};

/// How long a test waits for anything.
const PATIENCE: Duration = Duration::from_secs(60);

#[allow(clippy::disallowed_methods, reason = "a test may look at the clock")]
pub(crate) fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs()
}

/// Waits until something is so.
#[allow(clippy::disallowed_methods, reason = "what is waited for is looked at again and again")]
pub(crate) fn until(what: &str, mut is_so: impl FnMut() -> bool) {
    let start = Instant::now();
    while !is_so() {
        assert!(start.elapsed() < PATIENCE, "{what}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// A daemon, and a runtime directory of the user's own.
pub(crate) struct World {
    pub(crate) fake: Fake,
    pub(crate) dir: tempfile::TempDir,
}

impl World {
    pub(crate) fn new() -> Self {
        let fake = Fake::start(samples::script(samples::base()));
        Self { fake, dir: tempfile::tempdir().unwrap() }
    }

    /// `iamctl run` with these words.
    pub(crate) fn command(&self, words: &[&str]) -> Command {
        let words: Vec<&str> = ["run"].iter().chain(words).copied().collect();
        let mut command = iamctl(&self.fake.bus.address, &words);
        command.env("XDG_RUNTIME_DIR", self.dir.path());
        command
    }

    pub(crate) fn output(&self, words: &[&str]) -> Output {
        self.command(words).output().unwrap()
    }

    pub(crate) fn shell(&self, script: &str) -> Output {
        self.output(&["--", "sh", "-c", script])
    }

    pub(crate) fn start(&self, words: &[&str]) -> Child {
        let mut command = self.command(words);
        command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
    }

    /// A shell that traps a signal; it says so in a file when it does.
    pub(crate) fn start_trap(&self, script: &str) -> (Child, PathBuf) {
        let said = self.dir.path().join("said");
        let script = script.replace("SAID", said.to_str().unwrap());
        let child = self.start(&["--", "sh", "-c", &script]);
        until("the command runs", || said.exists());
        (child, said)
    }

    pub(crate) fn left_behind(&self) -> Vec<PathBuf> {
        let entries = std::fs::read_dir(self.dir.path()).unwrap();
        let paths = entries.map(|entry| entry.unwrap().path());
        paths.filter(|path| path.to_string_lossy().contains("iamctl-run-")).collect()
    }

    pub(crate) fn next_token(&self, token: &str, life: u64) {
        let mut script = self.fake.script();
        script.token.token = token.into();
        script.token.expires_at = now() + life;
    }

    /// The calls that asked for a token.
    pub(crate) fn asked(&self) -> Vec<String> {
        let mut calls = self.fake.calls();
        calls.retain(|call| call.starts_with("GetToken"));
        calls
    }
}

pub(crate) fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

pub(crate) fn send(child: &Child, signal: Signal) {
    kill(Pid::from_raw(i32::try_from(child.id()).unwrap()), signal).unwrap();
}

pub(crate) fn lines(file: &Path) -> Vec<String> {
    std::fs::read_to_string(file).unwrap().lines().map(str::to_owned).collect()
}
