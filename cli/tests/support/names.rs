//! iamctl under the names of oidc-agent's programs, in a directory that shells find them in.

use std::cell::RefCell;
use std::os::unix::fs::symlink;
use std::process::Command;

use super::transcript::Transcript;
use super::{Fake, Run, file, iamctl, run, samples};

/// The token and what is known of it, as the samples have it.
pub(crate) const TOKEN: &str = "eyJhbGciOiJub25lIn0.eyJzdWIiOiJhbGljZSJ9.c2ln";
pub(crate) const ISSUER: &str = "https://wlcg.example.org/";

/// A daemon, and a directory with the names.
pub(crate) struct Names {
    pub(crate) fake: Fake,
    pub(crate) directory: tempfile::TempDir,
    pub(crate) expires_at: u64,
    /// What was refused or told, for `tests/transcripts`.
    pub(crate) transcript: RefCell<Transcript>,
}

impl Names {
    pub(crate) fn new(transcript: &'static str) -> Self {
        let base = samples::base();
        let fake = Fake::start(samples::script(base));
        fake.script().login = samples::done(base);
        let directory = tempfile::tempdir().unwrap();
        for name in std::fs::read_to_string(file("../dist/compat/names")).unwrap().lines() {
            symlink(env!("CARGO_BIN_EXE_iamctl"), directory.path().join(name)).unwrap();
        }
        let transcript = RefCell::new(Transcript::new(transcript, base));
        Self { fake, directory, expires_at: base + 3000, transcript }
    }

    pub(crate) fn command(&self, line: &str) -> Command {
        let plain = iamctl(&self.fake.bus.address, &[]);
        let mut shell = Command::new("bash");
        shell.args(["-c", line]).env_clear();
        shell.envs(plain.get_envs().filter_map(|(name, value)| Some((name, value?))));
        shell.env("PATH", format!("{}:/usr/bin:/bin", self.directory.path().display()));
        shell.stdin(std::process::Stdio::null());
        shell
    }

    pub(crate) fn run(&self, line: &str) -> Run {
        self.fake.script().calls.clear();
        run(&mut self.command(line))
    }

    /// The exit code and standard output of a line, with nothing on standard error.
    pub(crate) fn prints(&self, line: &str, expected: &str) {
        let outcome = self.run(line);
        assert_eq!((outcome.code, outcome.stdout.as_str()), (0, expected), "{line}: {outcome:?}");
        assert_eq!(outcome.stderr, "", "{line}");
    }

    /// A line that does its job, and says something besides.
    pub(crate) fn tells(&self, line: &str, expected: &str, says: &str) {
        let outcome = self.run(line);
        assert_eq!((outcome.code, outcome.stdout.as_str()), (0, expected), "{line}: {outcome:?}");
        assert!(outcome.stderr.contains(says), "{line}: {outcome:?}");
        self.transcript.borrow_mut().take_line(line, &outcome);
    }

    /// A line that fails, prints nothing for scripts, and says so.
    pub(crate) fn fails(&self, line: &str, code: i32, says: &str) {
        let outcome = self.run(line);
        assert_eq!((outcome.code, outcome.stdout.as_str()), (code, ""), "{line}: {outcome:?}");
        assert!(outcome.stderr.contains(says), "{line}: {outcome:?}");
        self.transcript.borrow_mut().take_line(line, &outcome);
    }

    pub(crate) fn asked(&self, what: &str) {
        let calls = self.fake.calls();
        assert!(calls.iter().any(|call| call.contains(what)), "{what} not in {calls:?}");
    }
}
