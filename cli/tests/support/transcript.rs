//! Transcripts: what a user types, what comes back, in files that can be read as examples.
//! `UPDATE_TRANSCRIPTS=1 cargo test -p iamctl` writes them anew; look at the difference.

use std::fmt::Write;

use super::{Run, file, iamctl, run, stable_instants};

/// A transcript that is being made.
pub(crate) struct Transcript {
    name: &'static str,
    base: u64,
    text: String,
}

impl Transcript {
    /// The transcript in `transcripts/NAME.txt`; instants are shown relative to `base`.
    pub(crate) fn new(name: &'static str, base: u64) -> Self {
        Self { name, base, text: String::new() }
    }

    /// A line that explains what follows.
    pub(crate) fn note(&mut self, note: &str) {
        writeln!(self.text, "# {note}").unwrap();
    }

    /// Runs `iamctl` with these words and takes down what it says.
    pub(crate) fn iamctl(&mut self, address: &str, args: &[&str]) -> i32 {
        let outcome = run(&mut iamctl(address, args));
        self.take(args, &outcome);
        outcome.code
    }

    /// Takes down a run.
    pub(crate) fn take(&mut self, args: &[&str], outcome: &Run) {
        let quoted: Vec<String> = args
            .iter()
            .map(|arg| if arg.contains(' ') { format!("'{arg}'") } else { (*arg).to_owned() })
            .collect();
        self.take_line(&format!("iamctl {}", quoted.join(" ")), outcome);
    }

    /// Takes down a run of a shell's line.
    pub(crate) fn take_line(&mut self, line: &str, outcome: &Run) {
        writeln!(self.text, "$ {line}").unwrap();
        for (mark, text) in [("", &outcome.stdout), ("2| ", &outcome.stderr)] {
            assert!(text.is_empty() || text.ends_with('\n'), "{line}: {text:?}");
            for said in stable(text, self.base).lines() {
                writeln!(self.text, "{}", format!("{mark}{said}").trim_end()).unwrap();
            }
        }
        writeln!(self.text, "[{}]\n", outcome.code).unwrap();
    }

    /// Compares with the file.
    pub(crate) fn check(self) {
        let path = file("tests/transcripts").join(format!("{}.txt", self.name));
        if std::env::var_os("UPDATE_TRANSCRIPTS").is_some() {
            // Another test may be reading them all.
            let new = path.with_extension("new");
            std::fs::write(&new, &self.text).unwrap();
            std::fs::rename(&new, &path).unwrap();
        }
        let expected = std::fs::read_to_string(&path).unwrap_or_default();
        for (number, (is, should)) in self.text.lines().zip(expected.lines()).enumerate() {
            assert_eq!(is, should, "{}, line {}", path.display(), number + 1);
        }
        assert_eq!(self.text.lines().count(), expected.lines().count(), "{}", path.display());
    }
}

/// The text without what differs from machine to machine and from time to time.
fn stable(text: &str, base: u64) -> String {
    let user = nix::unistd::User::from_uid(nix::unistd::geteuid()).unwrap();
    let user = user.map_or_else(|| nix::unistd::geteuid().to_string(), |user| user.name);
    let node = nix::sys::utsname::uname().unwrap();
    let started = format!("as {user} on {}", node.nodename().to_string_lossy());
    let text = text.replace(&started, "as USER on HOST");
    let text = text.replace(env!("CARGO_PKG_VERSION"), "VERSION");
    let text = dates(&text);
    stable_instants(&text, base)
}

/// `2026-11-23 19:47 UTC` becomes `DATE`, with seconds too.
fn dates(text: &str) -> String {
    let mut rest = text;
    let mut result = String::new();
    while let Some(end) = rest.find(" UTC") {
        let seconds = end >= 6 && rest.as_bytes()[end - 6] == b':';
        let length = if seconds { "2026-11-23 19:47:05".len() } else { "2026-11-23 19:47".len() };
        let start = end.saturating_sub(length);
        result.push_str(&rest[..start]);
        result.push_str("DATE");
        rest = &rest[end + 4..];
    }
    result + rest
}
