//! Every question that `iamctl` asks, on terminals of every kind and width: what an answer brings,
//! and that Ctrl-C at it leaves terminal, files and daemon as they were.

#![allow(clippy::unwrap_used, clippy::panic, reason = "helpers of tests fail as tests do")]

mod support;

use std::process::Command;

use iamd_protocol::bus::state;
use support::terminal::{Terminal, plain_lines};
use support::{Fake, Script, file, samples};

type Change = fn(&mut Command);

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
struct Question {
    asks: &'static str,
    answer: &'static str,
    /// Whether the answer is shown while it is typed.
    echoes: bool,
}

fn open(asks: &'static str, answer: &'static str) -> Question {
    Question { asks, answer, echoes: true }
}

fn hidden(asks: &'static str) -> Question {
    Question { asks, answer: SECRET, echoes: false }
}

/// A command that asks, and what it tells the daemon when all is answered.
struct Asking {
    args: &'static [&'static str],
    questions: Vec<Question>,
    call: &'static str,
}

/// The methods that change nothing.
const LOOKS: [&str; 6] =
    ["List(", "Show(", "Issuers(", "Issuer(", "Status(", "LoginWithoutPassword("];

impl Asking {
    /// Answers everything, on each kind of terminal; then presses Ctrl-C at each question instead.
    fn on_every_terminal(&self) {
        self.on_every_terminal_of(|_| {});
    }

    /// The same with a daemon that `prepare` made another.
    fn on_every_terminal_of(&self, prepare: fn(&mut Script)) {
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
        let (fake, home) = (fake_with(prepare), tempfile::tempdir().unwrap());
        let mut terminal = self.start(&fake, size, &home, change);
        for question in &self.questions {
            terminal.wait_for(question.asks);
            terminal.type_keys(&format!("{}\r", question.answer));
        }
        let (code, text) = terminal.end_restored();
        assert_eq!(code, 0, "{what}: {text}");
        let calls = fake.calls();
        assert!(calls.iter().any(|call| call.starts_with(self.call)), "{what}: {calls:?}");
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
        let (fake, home) = (fake_with(prepare), tempfile::tempdir().unwrap());
        let mut terminal = self.start(&fake, size, &home, change);
        for question in &self.questions[..last] {
            terminal.wait_for(question.asks);
            terminal.type_keys(&format!("{}\r", question.answer));
        }
        terminal.wait_for(self.questions[last].asks);
        let before = fake.calls();
        terminal.type_keys("canary half an ans\x03");
        let (code, text) = terminal.end_restored();
        assert_eq!(code, 130, "{what}: {text}");
        assert_eq!(fake.calls(), before, "{what}: the daemon was told something");
        // What is asked after a change was made is asked about something else.
        let changed = before.iter().filter(|call| !LOOKS.iter().any(|look| call.starts_with(look)));
        for call in changed {
            assert!(!call.starts_with(self.call), "{what}: {call}");
        }
        let left: Vec<_> = std::fs::read_dir(home.path()).unwrap().collect();
        assert!(left.is_empty(), "{what}: {left:?}");
        if !self.questions[last].echoes {
            fits(what, &text, size, change);
        }
    }

    fn start(
        &self,
        fake: &Fake,
        size: (u16, u16),
        home: &tempfile::TempDir,
        change: Change,
    ) -> Terminal {
        Terminal::start(&fake.bus.address, self.args, size, |command| {
            for variable in ["HOME", "XDG_RUNTIME_DIR", "TMPDIR"] {
                command.env(variable, home.path());
            }
            command.current_dir(home.path());
            change(command);
        })
    }
}

/// No secret, nothing that the terminal cannot show, no line of ours that is broken in two.
fn fits(what: &str, text: &str, size: (u16, u16), change: Change) {
    let mut settings = Command::new("true");
    change(&mut settings);
    let set: Vec<_> = settings.get_envs().filter_map(|(name, _)| name.to_str()).collect();
    assert!(!text.contains("canary") && !text.contains("horse"), "{what}: {text}");
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

fn new_passphrase() -> Vec<Question> {
    vec![hidden("New passphrase for cms: "), hidden("The same once more: ")]
}

#[test]
fn the_passphrase_that_unlocks() {
    Asking {
        args: &["account", "unlock"],
        questions: vec![hidden("Passphrase of wlcg: ")],
        call: r#"Unlock("wlcg", None, "canary horse battery""#,
    }
    .on_every_terminal();
}

#[test]
fn a_passphrase_that_is_set() {
    Asking {
        args: &["account", "passphrase", "cms"],
        questions: new_passphrase(),
        call: r#"SetPassphrase("cms", [("new-passphrase", "canary horse battery")])"#,
    }
    .on_every_terminal();
}

#[test]
fn a_passphrase_that_is_changed() {
    Asking {
        args: &["account", "passphrase", "wlcg"],
        questions: vec![
            hidden("Passphrase of wlcg: "),
            hidden("New passphrase for wlcg: "),
            hidden("The same once more: "),
        ],
        call: r#"SetPassphrase("wlcg", [("new-passphrase", "canary horse battery"), ("passphrase", "#,
    }
    .on_every_terminal();
}

#[test]
fn a_passphrase_that_is_taken_off() {
    Asking {
        args: &["account", "passphrase", "wlcg", "--remove"],
        questions: vec![hidden("Passphrase of wlcg: ")],
        call: r#"SetPassphrase("wlcg", [("passphrase", "canary horse battery")])"#,
    }
    .on_every_terminal();
}

#[test]
fn the_passphrase_of_a_login() {
    Asking {
        args: &["login", "cms", "--passphrase"],
        questions: new_passphrase(),
        call: "SetPassphrase(\"cms\"",
    }
    .on_every_terminal();
}

#[test]
fn the_passphrase_of_a_new_account() {
    Asking {
        args: &["account", "add", "cms", "--no-login", "--passphrase"],
        questions: new_passphrase(),
        call: r#"Add("cms", "#,
    }
    .on_every_terminal();
}

#[test]
fn the_secret_of_a_client() {
    Asking {
        args: &["account", "add", "cms", "--client-id", "7f1c", "--no-login"],
        questions: vec![hidden("Secret: ")],
        call: r#"Add("cms", "#,
    }
    .on_every_terminal();
}

#[test]
fn a_new_account_step_by_step_with_a_passphrase() {
    Asking {
        args: &["account", "add", "--passphrase", "--no-login"],
        questions: vec![
            open("Number, name or URL [1]: ", "1"),
            open("Name of the account: ", "mine"),
            open("Scopes [default]: ", "openid compute.read"),
            open("Audience [default]: ", "https://se.example.org"),
            hidden("New passphrase for mine: "),
            hidden("The same once more: "),
        ],
        call: r#"Add("mine", AddOptions { issuer: Some("wlcg"), scopes: Some(["openid", "compute.read"])"#,
    }
    .on_every_terminal();
}

#[test]
fn a_removal_that_has_to_be_confirmed() {
    Asking {
        args: &["account", "remove", "cms"],
        questions: vec![open("[y/N]: ", "y")],
        call: r#"Remove("cms", "#,
    }
    .on_every_terminal();
}

#[test]
fn a_sign_in_that_a_change_needs() {
    Asking {
        args: &["account", "edit", "cms", "--add-scope", "compute.read"],
        questions: vec![open("[Y/n]: ", "y")],
        call: r#"Login("cms", "#,
    }
    .on_every_terminal();
}

#[test]
fn the_end_of_many_sign_ins() {
    Asking {
        args: &["admin", "revoke", "--issuer", "wlcg"],
        questions: vec![open("[y/N]: ", "y")],
        call: r#"Revoke(RevokeOptions { user: None, issuer: Some("wlcg"), client: None, dry_run: None"#,
    }
    .on_every_terminal();
}

#[test]
fn a_name_and_a_password_and_the_warning_before_them() {
    Asking {
        args: &["login", "cms", "--flow", "password"],
        questions: vec![open("User name at WLCG [", "al"), hidden("Password of al at WLCG: ")],
        call: r#"LoginWithPassword("cms", "#,
    }
    .on_every_terminal_of(|script| script.password_login = samples::done(samples::base()));
}

#[test]
fn the_passphrase_of_a_new_backup() {
    Asking {
        args: &["admin", "backup", "iamd.backup"],
        questions: vec![hidden("Passphrase for the backup: "), hidden("The same once more: ")],
        call: "Backup(",
    }
    .on_every_terminal();
}

#[test]
fn the_passphrase_of_a_backup_that_is_checked_or_put_back() {
    for args in
        [&["admin", "backup", "--verify", "/dev/null"][..], &["admin", "restore", "/dev/null"]]
    {
        Asking { args, questions: vec![hidden("Passphrase of the backup: ")], call: "Restore(" }
            .on_every_terminal();
    }
}

#[test]
fn an_issuer_where_the_site_names_none() {
    Asking {
        args: &["account", "add", "--no-login"],
        questions: vec![
            open("URL of the issuer: ", "https://a.example.org/"),
            open("Name of the account: ", "mine"),
            open("Scopes [default]: ", ""),
            open("Audience [default]: ", ""),
        ],
        call: r#"Add("mine", AddOptions { issuer: Some("https://a.example.org/")"#,
    }
    .on_every_terminal_of(|script| script.issuers.clear());
}

#[test]
fn an_issuer_and_a_name_where_the_site_has_no_default_and_the_name_is_free() {
    Asking {
        args: &["account", "add", "--no-login"],
        questions: vec![
            open("Number, name or URL: ", "1"),
            open("Name of the account [wlcg]: ", ""),
            open("Scopes [default]: ", ""),
            open("Audience [default]: ", ""),
        ],
        call: r#"Add("wlcg", AddOptions { issuer: Some("wlcg")"#,
    }
    .on_every_terminal_of(|script| {
        script.accounts.clear();
        script.issuers.iter_mut().for_each(|issuer| issuer.is_default = false);
    });
}

/// The texts between quotes in a line of Rust.
fn literals(line: &str) -> impl Iterator<Item = &str> {
    line.split('"').skip(1).step_by(2)
}

#[test]
fn every_question_in_the_sources_is_asked_here() {
    let mut asked = Vec::new();
    let here = std::fs::read_to_string(file("tests/prompts.rs")).unwrap();
    for line in here.lines().filter(|line| line.contains("open(") || line.contains("hidden(")) {
        asked.extend(literals(line));
    }
    let (mut rest, mut found) = (vec![file("src")], 0);
    while let Some(path) = rest.pop() {
        if path.is_dir() {
            rest.extend(std::fs::read_dir(path).unwrap().map(|entry| entry.unwrap().path()));
            continue;
        }
        if path.extension().is_none_or(|extension| extension != "rs") {
            continue;
        }
        let text = std::fs::read_to_string(&path).unwrap();
        let code = text.split("#[cfg(test)]").next().unwrap();
        let code = code.lines().filter(|line| !line.trim_start().starts_with("//"));
        for question in code.flat_map(literals).filter(|text| text.ends_with(": ")) {
            // clap's own word, which is taken away.
            if question == "error: " {
                continue;
            }
            found += 1;
            let begins = question.split('{').next().unwrap();
            let is_asked = |other: &&str| match begins {
                "" => other.ends_with("]: ") && other.starts_with('['),
                begins => other.starts_with(begins),
            };
            assert!(asked.iter().any(is_asked), "{}: {question:?}", path.display());
        }
    }
    assert!(found >= 14, "only {found} questions were found");
}
