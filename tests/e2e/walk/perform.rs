//! A step is walked: both sides at the same time, each in a shell of its own.

use std::path::Path;
use std::thread;
use std::time::Duration;

use base64::Engine as _;
use iamd_tests::ssh::Ssh;
use iamd_tests::{Error, Issuer, Node, Output, Result, Session, clock, eventually};

use super::reading::Reader;
use super::steps::{Act, Outcome, Step, code_in, prelude};

/// Bounds a login of the walk. oidc-agent waits five minutes where it cannot go on.
const LIMIT: Duration = Duration::from_secs(60);

/// One who walks.
pub(super) struct Walker<'w> {
    pub(super) node: &'w Node,
    pub(super) issuer: &'w Issuer,
    pub(super) user: &'w str,
    /// Where the user's connection is that stays open; a hundred more would take a minute.
    pub(super) control: &'w Path,
    pub(super) reader: Reader<'w>,
}

/// What an act did; the tokens in it are read.
#[derive(Debug)]
pub(super) struct Did {
    pub(super) code: i32,
    pub(super) stdout: String,
    pub(super) stderr: String,
    pub(super) took: Duration,
}

/// What came of a step.
pub(super) struct Walked {
    pub(super) theirs: Result<Option<Did>>,
    pub(super) ours: Result<Option<Did>>,
}

impl Walked {
    /// Whether somebody did not come to an end.
    pub(super) fn hangs(&self) -> bool {
        [&self.theirs, &self.ours].iter().any(|side| matches!(side, Err(Error::TimedOut { .. })))
    }

    /// What is wrong with it.
    pub(super) fn problem(&self, step: &Step) -> Option<String> {
        for (whose, act, did) in
            [("oidc-agent", &step.theirs, &self.theirs), ("iamctl", &step.ours, &self.ours)]
        {
            match did {
                Err(error) => return Some(format!("{whose}: {error}")),
                Ok(Some(did)) => {
                    if let Some(wrong) = did.is_not(act) {
                        return Some(format!("{whose}: {wrong}"));
                    }
                }
                Ok(None) => {}
            }
        }
        let (Ok(Some(theirs)), Ok(Some(ours))) = (&self.theirs, &self.ours) else { return None };
        let same = theirs.stdout.trim() == ours.stdout.trim() && theirs.code == ours.code;
        match step.outcome {
            Outcome::Same if theirs.stdout.trim().is_empty() => {
                Some("neither printed anything that could be the same".into())
            }
            Outcome::Same if !same => Some(format!(
                "not the same: oidc-agent ({}) {:?}, iamctl ({}) {:?}",
                theirs.code, theirs.stdout, ours.code, ours.stdout
            )),
            Outcome::Differs(_) if same => Some("said to differ, and is the same".into()),
            _ => None,
        }
    }
}

impl Did {
    fn is_not(&self, act: &Act) -> Option<String> {
        let (exit, says) = match act {
            Act::Nothing | Act::Left(_) => return None,
            Act::Run(_, exit, says) | Act::Root(_, exit, says) => (*exit, says),
            Act::SignIn(_, says) => (0, says),
        };
        let said = format!("{}{}", self.stdout, self.stderr);
        if self.code != exit {
            return Some(format!("exit code {} instead of {exit}: {said}", self.code));
        }
        let missing = says.iter().find(|word| !said.contains(**word));
        missing.map(|word| format!("\u{201c}{word}\u{201d} is not in: {said}"))
    }
}

impl Walker<'_> {
    /// A login that stays, for all the others to go through. It has what a session has.
    pub(super) fn log_in(&self) -> Result<Session> {
        let session = self.ssh().option("ControlMaster=yes").open(Some("sleep 600"))?;
        eventually("the user's connection", LIMIT, || {
            self.control.exists().then_some(()).ok_or("not there yet")
        })?;
        Ok(session)
    }

    fn ssh(&self) -> Ssh<'_> {
        let control = format!("ControlPath={}", self.control.display());
        self.node.ssh(self.user).option(&control).limit(LIMIT)
    }

    /// Both sides of a step.
    pub(super) fn walk(&self, step: &Step) -> Walked {
        thread::scope(|scope| {
            let theirs = scope.spawn(|| self.perform(&step.theirs));
            let ours = self.perform(&step.ours);
            let theirs = theirs.join();
            Walked { theirs: theirs.unwrap_or_else(|_| Err(Error::Wrong("a panic".into()))), ours }
        })
    }

    /// A script of the user's.
    pub(super) fn script(&self, script: &str) -> Result<Output> {
        self.ssh().run_with("bash -s", whole(script).as_bytes())
    }

    fn perform(&self, act: &Act) -> Result<Option<Did>> {
        let start = clock::now();
        let did = match act {
            Act::Nothing | Act::Left(_) => return Ok(None),
            Act::Run(script, ..) => {
                let output = self.script(script)?;
                Did {
                    code: output.code,
                    stdout: output.text(),
                    stderr: output.errors(),
                    took: Duration::ZERO,
                }
            }
            Act::SignIn(script, _) => self.sign_in(script)?,
            Act::Root(script, ..) => {
                let line = format!("WALKER={}\n{script}", self.user);
                let output = self.node.exec_with(&line, b"", LIMIT)?;
                Did {
                    code: output.code,
                    stdout: output.text(),
                    stderr: output.errors(),
                    took: Duration::ZERO,
                }
            }
        };
        Ok(Some(Did {
            stdout: self.reader.read(&did.stdout)?,
            stderr: self.reader.read(&did.stderr)?,
            took: start.elapsed(),
            ..did
        }))
    }

    /// A script that shows a code and waits: the code is entered meanwhile, as in a browser. What it
    /// prints on standard output comes in one word behind its end, apart from all else.
    fn sign_in(&self, script: &str) -> Result<Did> {
        let mut session = self.ssh().open(Some("bash -s"))?;
        let kept = format!(
            "kept=$(mktemp)\n( {script}\n) < /dev/null > $kept\n\
             echo; echo \"ended: $? $(base64 -w0 $kept).\"; rm $kept\n"
        );
        session.send(&whole(&kept))?;
        let code = session.find("a code", code_in)?;
        self.issuer.approve(&format!("{}device", self.issuer.url()), &code, self.user)?;
        let (code, printed) = session.find("its end", |seen| {
            let (_, end) = seen.split_once("ended: ")?;
            let (code, printed) = end.split_once('.')?.0.split_once(' ')?;
            Some((code.parse().ok()?, printed.to_owned()))
        })?;
        let seen = session.seen();
        session.close()?;
        let printed = base64::engine::general_purpose::STANDARD.decode(printed);
        let printed = printed.map_err(|_| Error::Wrong(format!("torn output: {seen}")))?;
        let stderr = seen.split("ended: ").next().unwrap_or_default().to_owned();
        let stdout = String::from_utf8_lossy(&printed).into_owned();
        Ok(Did { code, stdout, stderr, took: Duration::ZERO })
    }
}

/// A script as bash gets it: whole before it begins, so that no command in it reads the rest.
fn whole(script: &str) -> String {
    format!("{}\n{{\n{script}\nexit\n}}\n", prelude())
}
