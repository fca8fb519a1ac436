//! Commands that ask, answered and interrupted on terminals of every kind and width.

#![allow(clippy::unwrap_used, clippy::panic, reason = "helpers of tests fail as tests do")]

use std::path::Path;
use std::process::Command;

use iamd_protocol::bus::state;

use super::terminal::{Terminal, plain_lines};
use super::{Fake, Script, samples};

pub(crate) type Change = fn(&mut Command);

const SIZES: [(u16, u16); 2] = [(80, 24), (40, 24)];
const KINDS: [(&str, Change); 5] = [
    ("usual", |_| {}),
    ("NO_COLOR", |command| {
        command.env("NO_COLOR", "1");
    }),
    ("TERM=dumb", |command| {
        command.env("TERM", "dumb");
    }),
    ("NO_COLOR and TERM=dumb", |command| {
        command.env("NO_COLOR", "1").env("TERM", "dumb");
    }),
    ("LC_ALL=C", |command| {
        command.env("LC_ALL", "C");
    }),
];

/// What is typed where nothing is shown; it must be nowhere.
const SECRET: &str = "canary horse battery";

/// A question and its answer.
pub(crate) struct Question {
    /// The first words that it is known by.
    asks: &'static str,
    /// What stands in front of the answer.
    prompt: &'static str,
    answer: &'static str,
    /// Whether the answer is shown while it is typed.
    echoes: bool,
}

pub(crate) fn open(asks: &'static str, answer: &'static str) -> Question {
    Question { asks, prompt: asks, answer, echoes: true }
}

/// A question that Enter answers with yes or with no.
pub(crate) fn decide(asks: &'static str, prompt: &'static str, answer: &'static str) -> Question {
    Question { asks, prompt, answer, echoes: true }
}

pub(crate) fn hidden(asks: &'static str) -> Question {
    secret(asks, SECRET)
}

/// One whose answer has to be right.
pub(crate) fn secret(asks: &'static str, answer: &'static str) -> Question {
    Question { asks, prompt: asks, answer, echoes: false }
}

/// A command that asks, and what it tells the daemon when all is answered.
#[derive(Default)]
pub(crate) struct Asking {
    pub(crate) args: &'static [&'static str],
    pub(crate) questions: Vec<Question>,
    pub(crate) call: &'static str,
    /// The name that `iamctl` has, if another.
    pub(crate) name: Option<&'static str>,
    /// A file that is at home, and what of `tests/oidc-agent` it is.
    pub(crate) file: Option<(&'static str, &'static str)>,
    /// What has to be told when it is all answered.
    pub(crate) tells: &'static [&'static str],
    /// What has to be told before the question of that number, counted from 0.
    pub(crate) tells_before: Option<(usize, &'static str)>,
}

/// The methods that change nothing.
const LOOKS: [&str; 6] =
    ["List(", "Show(", "Issuers(", "Issuer(", "Status(", "LoginWithoutPassword("];

impl Asking {
    /// Answers everything, on each kind of terminal; then presses Ctrl-C at each question instead.
    pub(crate) fn on_every_terminal(&self) {
        self.on_every_terminal_of(|_| {});
    }

    /// The same with a daemon that `prepare` made another.
    pub(crate) fn on_every_terminal_of(&self, prepare: fn(&mut Script)) {
        for (kind, change) in KINDS {
            for size in SIZES {
                let what = format!("{:?}, {kind}, {} columns", self.args, size.0);
                self.answered(&what, size, change, prepare);
                for last in 0..self.questions.len() {
                    let what = format!("{what}, question {last}");
                    self.interrupted(last, &what, size, change, prepare);
                }
            }
        }
    }

    fn answered(&self, what: &str, size: (u16, u16), change: Change, prepare: fn(&mut Script)) {
        let (fake, home) = (fake_with(prepare), self.home());
        let mut terminal = self.start(&fake, size, home.path(), change);
        self.questions.iter().for_each(|question| question.answered(&mut terminal));
        let (code, text) = terminal.end_restored();
        assert_eq!(code, 0, "{what}: {text}");
        let calls = fake.calls();
        assert!(calls.iter().any(|call| call.starts_with(self.call)), "{what}: {calls:?}");
        let said = text.split_whitespace().collect::<Vec<_>>().join(" ");
        for told in self.tells {
            assert!(said.contains(told), "{what}: {told:?} is not in {said}");
        }
        fits(what, &text, size, change);
    }

    fn interrupted(
        &self,
        last: usize,
        what: &str,
        size: (u16, u16),
        change: Change,
        prepare: fn(&mut Script),
    ) {
        let (fake, home) = (fake_with(prepare), self.home());
        let (at_home, before_it) = (files(home.path()), &self.questions[..last]);
        let mut terminal = self.start(&fake, size, home.path(), change);
        before_it.iter().for_each(|question| question.answered(&mut terminal));
        self.questions[last].appears(&mut terminal);
        let before = fake.calls();
        terminal.type_keys("canary half an ans\x03");
        let (code, text) = terminal.end_restored();
        assert_eq!(code, 130, "{what}: {text}");
        assert_eq!(fake.calls(), before, "{what}: the daemon was told something");
        // What is asked after a change was made is asked about something else.
        let changed = before.iter().filter(|call| {
            let is_look = LOOKS.iter().any(|look| call.starts_with(look));
            !is_look && !call.contains("dry_run: Some(true)")
        });
        if let Some((number, told)) = self.tells_before.filter(|(number, _)| *number == last) {
            let said = text.split_whitespace().collect::<Vec<_>>().join(" ");
            assert!(said.contains(told), "{what}: before question {number}: {said}");
        } else {
            for call in changed {
                assert!(!call.starts_with(self.call), "{what}: {call}");
            }
        }
        assert_eq!(files(home.path()), at_home, "{what}: files of the user's");
        if !self.questions[last].echoes {
            fits(what, &text, size, change);
        }
    }

    fn home(&self) -> tempfile::TempDir {
        let home = tempfile::tempdir().unwrap();
        if let Some((name, source)) = self.file {
            let path = home.path().join(name);
            std::fs::copy(super::file("tests/oidc-agent").join(source), path).unwrap();
        }
        home
    }

    fn start(&self, fake: &Fake, size: (u16, u16), home: &Path, change: Change) -> Terminal {
        let at_home = |command: &mut Command| {
            for variable in ["HOME", "XDG_RUNTIME_DIR", "TMPDIR"] {
                command.env(variable, home);
            }
            command.current_dir(home);
            change(command);
        };
        let address = &fake.bus.address;
        let Some(name) = self.name else {
            return Terminal::start(address, self.args, size, at_home);
        };
        // By its first word the program knows its name.
        let line = format!("exec -a {name} \"$0\" \"$@\"");
        let words = ["bash", "-c", &line, env!("CARGO_BIN_EXE_iamctl")];
        Terminal::start_program(address, &[&words, self.args].concat(), size, at_home)
    }
}

impl Question {
    fn appears(&self, terminal: &mut Terminal) {
        terminal.wait_for(self.asks);
        terminal.wait_for(self.prompt);
    }

    fn answered(&self, terminal: &mut Terminal) {
        self.appears(terminal);
        terminal.type_keys(&format!("{}\r", self.answer));
    }
}

fn files(home: &Path) -> Vec<std::ffi::OsString> {
    let entries = std::fs::read_dir(home).unwrap();
    let mut names: Vec<_> = entries.map(|entry| entry.unwrap().file_name()).collect();
    names.sort();
    names
}

/// No secret, nothing that the terminal cannot show, no line of ours that is broken in two.
fn fits(what: &str, text: &str, size: (u16, u16), change: Change) {
    let mut settings = Command::new("true");
    change(&mut settings);
    let set: Vec<_> = settings.get_envs().filter_map(|(name, _)| name.to_str()).collect();
    for secret in ["canary", "horse", "fixture password"] {
        assert!(!text.contains(secret), "{what}: {text}");
    }
    assert!(text.is_ascii(), "{what}: {text}");
    if set.contains(&"TERM") {
        assert!(!text.contains('\x1b'), "{what}: {text:?}");
    }
    if set.contains(&"NO_COLOR") {
        assert!(!has_colour(text), "{what}: {text:?}");
    }
    for line in plain_lines(text).iter().filter(|line| !line.contains("://")) {
        assert!(line.trim_end().chars().count() <= size.0.into(), "{what}: {line:?}");
    }
}

/// Whether there is a sequence that ends in `m`: colour, bold, dim.
fn has_colour(text: &str) -> bool {
    text.split("\x1b[").skip(1).any(|rest| {
        rest.trim_start_matches(|c: char| c.is_ascii_digit() || c == ';').starts_with('m')
    })
}

/// A daemon with an account that has a passphrase and is locked, and one that has none.
fn fake_with(prepare: fn(&mut Script)) -> Fake {
    let base = samples::base();
    let fake = Fake::start(samples::script(base));
    {
        let mut script = fake.script();
        script.login = samples::done(base);
        let first = &mut script.accounts[0];
        (first.has_passphrase, first.state) = (Some(true), state::LOCKED.into());
        prepare(&mut script);
    }
    fake
}
