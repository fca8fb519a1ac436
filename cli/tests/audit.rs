//! `iamctl admin audit` as an administrator sees it, with a journalctl that says what the test
//! wants: what it is asked, and what is shown of what it answers.

#![allow(clippy::unwrap_used, reason = "helpers of tests fail as tests do")]

mod support;

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::Command;

use serde_json::{Value, json};
use support::transcript::Transcript;
use support::{Fake, Run, iamctl, run, samples};

/// A journalctl that notes its words and prints a file.
struct Journalctl(tempfile::TempDir);

impl Journalctl {
    fn saying(records: &[Value]) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let lines: String = records.iter().map(|record| format!("{record}\n")).collect();
        std::fs::write(dir.path().join("records"), lines).unwrap();
        let fake = Self(dir);
        fake.script("cat \"$here/records\"");
        fake
    }

    fn script(&self, body: &str) {
        let path = self.0.path().join("journalctl");
        let head = "#!/bin/sh\nhere=$(dirname \"$0\")\nprintf '%s\\n' \"$@\" > \"$here/asked\"\n";
        std::fs::write(&path, format!("{head}{body}\n")).unwrap();
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o755)).unwrap();
    }

    fn run(&self, address: &str, args: &[&str]) -> Run {
        run(iamctl(address, args).env("PATH", format!("{}:/usr/bin:/bin", self.path().display())))
    }

    fn path(&self) -> &Path {
        self.0.path()
    }

    fn asked(&self) -> Vec<String> {
        let asked = std::fs::read_to_string(self.path().join("asked")).unwrap();
        asked.lines().map(str::to_owned).collect()
    }
}

fn record(changes: Value) -> Value {
    let mut record = json!({
        "__REALTIME_TIMESTAMP": "1000000000000001", "_SYSTEMD_UNIT": "iamd.service", "_UID": "0",
        "_HOSTNAME": "login1", "MESSAGE_ID": "5d1f0c7e3b8a4f6e9c2d7a1b4e8f3c60",
        "IAMD_EVENT": "sign-in", "IAMD_UID": "4200001", "IAMD_ACCOUNT": "wlcg",
        "IAMD_ISSUER": "https://wlcg.example.org/", "IAMD_CLIENT": "c-1", "IAMD_RESULT": "ok",
        "IAMD_SCOPES": "openid storage.read:/", "IAMD_JTI_HASH": "ba7816bf8f01cfea",
        "IAMD_CALLER_PID": "4711", "IAMD_CALLER_EXE": "[iamctl]",
    });
    record.as_object_mut().unwrap().extend(changes.as_object().unwrap().clone());
    record
}

/// Whether this machine has a journal that the one who runs the tests may not read: then iamctl
/// says so, whatever journalctl would say.
fn closed() -> bool {
    let machines = std::fs::read_dir("/var/log/journal").into_iter().flatten().flatten();
    let mut journals = machines.map(|machine| machine.path().join("system.journal"));
    !nix::unistd::geteuid().is_root() && journals.any(|journal| journal.exists())
}

#[test]
fn records_are_shown_a_line_each_and_only_the_daemons() {
    let base = samples::base();
    let fake = Fake::start(samples::script(base));
    let address = &fake.bus.address;
    let journal = Journalctl::saying(&[
        record(json!({})),
        record(json!({ "IAMD_EVENT": "denial", "IAMD_RESULT": "IdentityMismatch",
            "IAMD_DETAIL": "signed in: subject 0123456789abcdef", "IAMD_CALLER_EXE": null })),
        // A user's own log line, in the words of the daemon.
        record(json!({ "_UID": "1001", "_SYSTEMD_UNIT": "user@1001.service",
            "IAMD_DETAIL": "forged" })),
        record(json!({ "_UID": "1001", "IAMD_DETAIL": "forged" })),
    ]);
    if closed() {
        assert_eq!(journal.run(address, &["admin", "audit"]).code, 4);
        return;
    }
    let mut transcript = Transcript::new("audit", base);
    for args in [
        &["admin", "audit"][..],
        &["admin", "audit", "--json"],
        &["admin", "audit", "--follow", "--json"],
        &["admin", "audit", "--issuer", "atlas"],
        &["admin", "audit", "--user", "nobody-here"],
        &["admin", "audit", "--event", "nothing"],
    ] {
        let outcome = journal.run(address, args);
        assert!(!outcome.stdout.contains("forged"), "{outcome:?}");
        transcript.take(args, &outcome);
    }
    transcript.note("where nothing fits, and where journalctl does not understand");
    std::fs::write(journal.path().join("records"), "").unwrap();
    for args in [&["admin", "audit"][..], &["admin", "audit", "--json"]] {
        transcript.take(args, &journal.run(address, args));
    }
    journal.script("echo 'Failed to parse timestamp: soonish' >&2; exit 1");
    let args = ["admin", "audit", "--since", "soonish"];
    transcript.take(&args, &journal.run(address, &args));
    transcript.check();
}

#[test]
fn filters_are_matches_of_journalctl_beside_what_only_the_journal_writes() {
    let fake = Fake::start(samples::script(samples::base()));
    let journal = Journalctl::saying(&[]);
    if closed() {
        return;
    }
    let args = "admin audit --user 1001 --issuer wlcg --client c --account a --event denial \
                --event issue --result ok --since -2h --until now -n 7";
    let args: Vec<&str> = args.split_whitespace().collect();
    assert_eq!(journal.run(&fake.bus.address, &args).code, 0);
    let asked = journal.asked();
    for word in [
        "--system",
        "--output=json",
        "--lines=7",
        "--since=-2h",
        "--until=now",
        "_SYSTEMD_UNIT=iamd.service",
        "_UID=0",
        "IAMD_UID=1001",
        "IAMD_ISSUER=https://wlcg.example.org/",
        "IAMD_ISSUER=https://wlcg.example.org",
        "IAMD_CLIENT=c",
        "IAMD_ACCOUNT=a",
        "IAMD_EVENT=denial",
        "IAMD_EVENT=issue",
        "IAMD_RESULT=ok",
    ] {
        assert!(asked.iter().any(|each| each == word), "{word}: {asked:?}");
    }
}

fn shows(when: &str, outcome: &Run) {
    let said = outcome.stderr.trim_start_matches("iamctl: ").to_owned();
    let (text, advice) = said.trim_end().split_once('\n').unwrap_or((said.trim_end(), ""));
    let exit = Some(u8::try_from(outcome.code).unwrap());
    iamd_errors::shows("Administration", when, text, "", exit, advice.trim());
}

/// A user who is nobody's, on a node with a journal that root alone may read: in a mount namespace of
/// the test's own.
#[test]
fn who_may_not_read_the_journal_is_told_who_may() {
    let plain = iamctl("unix:path=/nonexistent", &["admin", "audit"]);
    let node = r#"mount -t tmpfs none /var/log && mkdir -p /var/log/journal/machine &&
        install -m 600 /dev/null /var/log/journal/machine/system.journal &&
        cp "$1" /var/log/iamctl || exit 99
        shift; exec setpriv --reuid=65534 --regid=65534 --clear-groups /var/log/iamctl "$@""#;
    let mut nobody = Command::new("unshare");
    nobody.args(["--mount", "sh", "-c", node, "sh"]).arg(plain.get_program());
    nobody.args(plain.get_args()).env_clear();
    nobody.envs(plain.get_envs().filter_map(|(name, value)| Some((name, value?))));
    let outcome = run(&mut nobody);
    if outcome.code == 99 || outcome.stderr.starts_with("unshare: ") {
        println!("not seen: this process may not mount");
        return;
    }
    shows("iamctl admin audit by a user", &outcome);
}

#[test]
fn what_goes_wrong_with_the_journal_is_told() {
    let fake = Fake::start(samples::script(samples::base()));
    let journal = Journalctl::saying(&[]);
    if closed() {
        return;
    }
    let address = &fake.bus.address;
    shows(
        "a filter of the audit that no record can have",
        &journal.run(address, &["admin", "audit", "--account", "a\u{1b}b"]),
    );
    std::fs::remove_file(journal.path().join("journalctl")).unwrap();
    let mut command = iamctl(address, &["admin", "audit"]);
    shows("there is no journalctl", &run(command.env("PATH", journal.path())));
}

#[test]
fn following_ends_with_its_reader_and_leaves_no_journalctl_behind() {
    let fake = Fake::start(samples::script(samples::base()));
    let journal = Journalctl::saying(&[record(json!({}))]);
    if closed() {
        return;
    }
    // One record, and then nothing for long: it is not the next one that tells.
    journal.script("echo $$ > \"$here/pid\"; cat \"$here/records\"; exec sleep 600");
    let mut command = iamctl(&fake.bus.address, &["admin", "audit", "-f"]);
    command.env("PATH", format!("{}:/usr/bin:/bin", journal.path().display()));
    let mut child = command.stdout(std::process::Stdio::piped()).spawn().unwrap();
    let mut line = String::new();
    let mut out = std::io::BufReader::new(child.stdout.take().unwrap());
    std::io::BufRead::read_line(&mut out, &mut line).unwrap();
    assert!(line.contains("sign-in"), "{line}");
    drop(out);
    assert!(child.wait().unwrap().success());
    let pid = std::fs::read_to_string(journal.path().join("pid")).unwrap();
    assert!(!Path::new("/proc").join(pid.trim()).exists());
}
