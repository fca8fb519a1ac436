//! `iamctl admin audit`: the daemon's audit records, out of the journal of this node. journalctl
//! does the looking; who may read the journal is systemd's to decide.

mod query;
mod record;

use std::io::{BufRead as _, BufReader, ErrorKind, Read as _};
use std::os::fd::AsFd as _;
use std::process::{Child, Command, Stdio};

use iamd_protocol::error::{Exit, Kind};
use serde_json::{Value, json};

use crate::app::Context;
use crate::args::Audit;
use crate::environment::Environment;
use crate::failure::Failure;
use crate::output::Output;
use crate::output::stream::Stream;
use record::{Names, Record};

/// A line of journalctl: a record's fields. Longer ones are not records of ours.
const LONGEST_LINE: u64 = 1 << 20;
/// Where journals are: kept, and until the next boot.
const JOURNALS: [&str; 2] = ["/var/log/journal", "/run/log/journal"];

/// Prints records that fit all that is named.
///
/// # Errors
/// [`Kind::NotAuthorized`] where the caller may not read the journal; what journalctl does not
/// understand.
pub(crate) fn run(args: &Audit, context: &mut Context) -> Result<Exit, Failure> {
    let issuers = match &args.issuer {
        Some(issuer) => query::issuer_urls(issuer, || context.client()?.issuers())?,
        None => Vec::new(),
    };
    let words = query::words(args, &issuers)?;
    may_read(&context.environment)?;
    let mut journal = Journal::start(&words)?;
    let mut names = Names::default();
    let mut found = Vec::new();
    let out = &mut context.output;
    while let Some(record) = journal.next(&out.out)? {
        match (args.json, args.follow) {
            (true, true) => out.json_line(&record.json(&names.of(record.uid))),
            (true, false) => found.push(record.json(&names.of(record.uid))),
            (false, _) => out.out.line(&record.line(&names.of(record.uid))),
        }
        journal.printed = true;
    }
    if journal.unread || !out.out.is_open() {
        // The reader has seen what it wanted.
        return Ok(Exit::Done);
    }
    journal.end()?;
    tell(args, &found, journal.printed, out);
    Ok(Exit::Done)
}

fn tell(args: &Audit, found: &[Value], printed: bool, output: &mut Output) {
    if args.json && !args.follow {
        output.json(&json!({ "records": found }));
    } else if !args.json && !printed {
        output.tell("No record fits.");
    }
}

/// Whether the caller may read the system's journal: else journalctl shows their own part of it,
/// which has none of our records, and that would look as if nothing had happened.
fn may_read(environment: &Environment) -> Result<(), Failure> {
    let mut denied = false;
    for journals in JOURNALS {
        let Ok(machines) = std::fs::read_dir(environment.path(journals)) else { continue };
        for machine in machines.flatten() {
            match std::fs::File::open(machine.path().join("system.journal")) {
                Ok(_) => return Ok(()),
                Err(error) => denied |= error.kind() == ErrorKind::PermissionDenied,
            }
        }
    }
    if !denied {
        return Ok(());
    }
    let text = "the journal of this node is not open to you";
    let advice = "Run it as root, or as a member of the group systemd-journal.";
    Err(Failure::new(Kind::NotAuthorized, text).advise(advice))
}

/// journalctl while it runs.
struct Journal {
    child: Child,
    lines: BufReader<std::process::ChildStdout>,
    printed: bool,
    /// Nobody reads what is written any more.
    unread: bool,
}

impl Journal {
    fn start(words: &[String]) -> Result<Self, Failure> {
        let child = Command::new("journalctl")
            .args(words)
            .env("LC_ALL", "C.UTF-8")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn();
        let mut child = child.map_err(|error| {
            Failure::new(Kind::Internal, format!("journalctl cannot be run: {error}"))
                .advise("The records are in the journal of systemd, which this node seems to lack.")
        })?;
        let Some(stdout) = child.stdout.take() else {
            return Err(Failure::new(Kind::Internal, "journalctl has no output"));
        };
        Ok(Self { child, lines: BufReader::new(stdout), printed: false, unread: false })
    }

    /// The next record; what is not ours is passed over.
    fn next(&mut self, out: &Stream) -> Result<Option<Record>, Failure> {
        loop {
            if self.lines.buffer().is_empty() && !out.outlives(self.lines.get_ref().as_fd()) {
                self.unread = true;
                return Ok(None);
            }
            let mut line = Vec::new();
            let mut bounded = self.lines.by_ref().take(LONGEST_LINE);
            let read = bounded.read_until(b'\n', &mut line).map_err(|error| {
                Failure::new(Kind::Internal, format!("journalctl cannot be read: {error}"))
            })?;
            if read == 0 {
                return Ok(None);
            }
            if let Some(record) = Record::read(&line) {
                return Ok(Some(record));
            }
        }
    }

    /// # Errors
    /// What journalctl complained of.
    fn end(&mut self) -> Result<(), Failure> {
        let mut said = String::new();
        if let Some(errors) = self.child.stderr.take() {
            // Its own words are enough; that they cannot be read is no other failure.
            let _ = errors.take(LONGEST_LINE).read_to_string(&mut said);
        }
        match self.child.wait() {
            // `-- No entries --` is a success of some versions and a failure of others.
            Ok(status) if status.success() || said.trim().is_empty() => Ok(()),
            _ => {
                let said = crate::output::text::clean(said.trim());
                let text = format!("journalctl: {said}");
                Err(Failure::new(Kind::InvalidArgument, text))
            }
        }
    }
}

impl Drop for Journal {
    fn drop(&mut self) {
        // It may be following still; one that has ended is ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn a_journal_that_may_not_be_read_is_said_and_one_that_is_not_there_is_journalctls_affair() {
        let root = tempfile::tempdir().unwrap();
        let mut environment = Environment::of_this_process();
        environment.root = root.path().to_owned();
        may_read(&environment).unwrap();
        let machine = root.path().join("var/log/journal/0123");
        std::fs::create_dir_all(&machine).unwrap();
        may_read(&environment).unwrap();
        let journal = machine.join("system.journal");
        std::fs::write(&journal, "").unwrap();
        may_read(&environment).unwrap();
        std::fs::set_permissions(&journal, std::fs::Permissions::from_mode(0o000)).unwrap();
        // root reads it anyway.
        let denied = may_read(&environment);
        assert_eq!(denied.is_err(), !nix::unistd::geteuid().is_root());
    }
}
