//! Keys, backups and the store, as administrators see them; and a file that is never half there.

#![allow(clippy::unwrap_used, reason = "helpers of tests fail as tests do")]

mod support;

use std::ffi::OsString;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use iamd_protocol::bus::{
    AcceptReply, BackupReply, PasswordFlowInfo, RekeyState, RestoreReply, StoreReport, rekey_state,
    revoked,
};
use iamd_protocol::error::Kind;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use support::terminal::{Terminal, plain_lines};
use support::transcript::Transcript;
use support::{Fake, Run, iamctl, run, run_with, samples};

const WORDS: &str = "the words of a backup";
const BYTES: &[u8] = b"iamdbak\x01 and so on";

fn state(word: &str, done: u64) -> RekeyState {
    RekeyState {
        state: word.into(),
        key: "key-00000002".into(),
        older_keys: vec!["key-00000001".into()],
        total: 3,
        done,
        remaining: (word != rekey_state::RUNNING).then_some(3 - done),
        started_at: Some(1),
        ..RekeyState::default()
    }
}

/// One for all of them: the second in which a backup was made may have passed since.
fn base() -> u64 {
    static BASE: OnceLock<u64> = OnceLock::new();
    *BASE.get_or_init(samples::base)
}

fn backup() -> BackupReply {
    BackupReply {
        node: "login1".into(),
        version: "1.2.3".into(),
        made_at: base(),
        accounts: 12,
        clients: 3,
        records: 17,
        keys: vec!["key-00000001".into()],
        with_keys: true,
        rotating: 2,
        bytes: BYTES.len() as u64,
        digest: "00ff".into(),
        ..BackupReply::default()
    }
}

fn restored() -> RestoreReply {
    RestoreReply {
        node: "login1".into(),
        version: "1.2.3".into(),
        made_at: base(),
        accounts: 12,
        clients: 3,
        records: 17,
        with_keys: true,
        rotating: 2,
        restored: true,
        key: "key-00000009".into(),
        digest: "00ff".into(),
        password_flows: vec![PasswordFlowInfo {
            issuer: "https://wlcg.example.org/".into(),
            issuer_name: Some("wlcg".into()),
            client: "9bef3e68".into(),
            enabled_by: 0,
            enabled_by_user: "root".into(),
            enabled_at: base(),
            problem: None,
        }],
        ..RestoreReply::default()
    }
}

fn fake() -> Fake {
    let fake = Fake::start(samples::script(samples::base()));
    {
        let mut script = fake.script();
        script.backup = (BYTES.to_vec(), backup());
        script.restore = restored();
        script.store = StoreReport {
            sound: true,
            integrity: "ok".into(),
            accounts: 12,
            clients: 3,
            records: 17,
            keys: vec!["key-00000001".into()],
            ..StoreReport::default()
        };
    }
    fake
}

/// With the passphrase on descriptor 0.
fn worded(fake: &Fake, args: &[&str]) -> Run {
    let args = [args, &["--passphrase-fd", "0"]].concat();
    run_with(&mut iamctl(&fake.bus.address, &args), WORDS)
}

fn names(directory: &Path) -> Vec<OsString> {
    std::fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().file_name()).collect()
}

#[test]
fn keys_and_the_store_are_told_as_written_down() {
    let fake = fake();
    let mut transcript = Transcript::new("upkeep", samples::base());
    let address = fake.bus.address.clone();
    let mut rekey = |states: Vec<RekeyState>, args: &[&str]| {
        fake.script().rekey = states.into();
        transcript.iamctl(&address, &[&["admin", "rekey"], args].concat())
    };
    let running = || state(rekey_state::RUNNING, 1);
    assert_eq!(rekey(vec![running(), running(), state(rekey_state::DONE, 3)], &[]), 0);
    assert_eq!(rekey(vec![running(), state(rekey_state::DONE, 3)], &["--json"]), 0);
    assert_eq!(rekey(vec![running()], &["--status"]), 0);
    assert_eq!(rekey(vec![state(rekey_state::UNFINISHED, 1)], &["--status"]), 0);
    let retired = RekeyState {
        retired: vec!["key-00000001".into()],
        older_keys: vec![],
        ..state(rekey_state::DONE, 3)
    };
    assert_eq!(rekey(vec![retired], &["--retire"]), 0);
    let needed = RekeyState {
        unreadable: vec!["the record at accounts/1/x does not open: its seal is broken".into()],
        ended_at: Some(2),
        ..state(rekey_state::UNFINISHED, 2)
    };
    assert_eq!(rekey(vec![needed], &["--retire"]), 1);
    let stopped = RekeyState {
        message: Some("/var/lib/iamd/iamd.db: disk full; make room".into()),
        ..state(rekey_state::STOPPED, 1)
    };
    assert_eq!(rekey(vec![stopped.clone()], &[]), 1);
    assert_eq!(rekey(vec![stopped], &["--status"]), 0);
    // iamd was started anew in the middle: it went on to seal, and took no key out.
    let forgotten = RekeyState { ended_at: Some(2), ..state(rekey_state::DONE, 3) };
    assert_eq!(rekey(vec![forgotten], &["--retire"]), 0);
    let alone = RekeyState { older_keys: vec![], ..state(rekey_state::DONE, 3) };
    assert_eq!(rekey(vec![alone], &["--retire"]), 0);
    let site = RekeyState { from_credential: true, ..state(rekey_state::DONE, 3) };
    assert_eq!(rekey(vec![site], &["--retire"]), 0);
    let failure =
        (Kind::KeyFromCredential.bus_name(), "the key two is the credential's".to_owned());
    fake.script().fail.insert("Rekey", failure);
    assert_eq!(rekey(vec![], &[]), 1);
    for args in [&["admin", "store", "check"][..], &["admin", "store", "check", "--json"]] {
        assert_eq!(transcript.iamctl(&address, args), 0);
    }
    fake.script().store = StoreReport {
        integrity: "row 1 missing from index".into(),
        unreadable: vec!["accounts/1001/x: its seal is broken".into()],
        accounts_without_client: vec!["1002/y".into()],
        clients_without_account: vec!["clients/1003/00".into()],
        ..StoreReport::default()
    };
    assert_eq!(transcript.iamctl(&address, &["admin", "store", "check"]), 1);
    for args in [&["admin", "store", "accept"][..], &["admin", "store", "accept", "--json"]] {
        fake.script().accepted = AcceptReply::default();
        assert_eq!(transcript.iamctl(&address, args), 0);
        fake.script().accepted.accepted = vec!["accounts/1001/x".into()];
        assert_eq!(transcript.iamctl(&address, args), 0);
    }
    transcript.check();
}

#[test]
fn a_backup_is_written_whole_and_private_and_read_to_its_end() {
    use std::os::unix::fs::PermissionsExt as _;
    let fake = fake();
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("iamd.backup");
    let path = file.to_str().unwrap();
    let mut transcript = Transcript::new("backup", base());
    let mut told = |args: &[&str], code: i32| {
        let mut outcome = worded(&fake, args);
        assert_eq!(outcome.code, code, "{args:?}: {outcome:?}");
        outcome.stderr = outcome.stderr.replace(path, "FILE");
        outcome.stdout = outcome.stdout.replace(path, "FILE");
        let args: Vec<&str> =
            args.iter().map(|arg| if *arg == path { "FILE" } else { *arg }).collect();
        transcript.take(&args, &outcome);
    };
    told(&["admin", "backup", path], 0);
    assert_eq!(std::fs::read(&file).unwrap(), BYTES);
    assert_eq!(file.metadata().unwrap().permissions().mode() & 0o7777, 0o600);
    told(&["admin", "backup", path, "--json"], 0);
    fake.script().backup.1.with_keys = false;
    fake.script().backup.1.remarks = vec!["left out: accounts/1/x: its seal is broken".into()];
    told(&["admin", "backup", path, "--without-keys"], 0);
    fake.script().restore.restored = false;
    told(&["admin", "backup", path, "--verify"], 0);
    fake.script().restore = RestoreReply { replaced: 5, ..restored() };
    told(&["admin", "restore", path, "--replace"], 0);
    told(&["admin", "restore", path, "--json"], 0);
    let calls = fake.calls();
    let seen = |call: &str| calls.iter().any(|made| made.starts_with(call));
    assert!(seen(&format!("Backup(BackupOptions {{ without_keys: Some(true) }}, \"{WORDS}\")")));
    assert!(seen("Restore(RestoreOptions { replace: None, verify: Some(true) }"), "{calls:?}");
    assert!(calls.iter().any(|call| call.contains("iamdbak") && call.contains("and so on")));
    for kind in [Kind::StoreNotEmpty, Kind::BackupInvalid, Kind::MaintenanceRunning] {
        let failure = (kind.bus_name(), "what the daemon says".to_owned());
        fake.script().fail.insert("Restore", failure);
        told(&["admin", "restore", path], 1);
    }
    fake.script().backup.1.bytes += 1;
    told(&["admin", "backup", path], 1);
    told(&["admin", "backup", "/"], 1);
    told(&["admin", "backup", "/etc/passwd"], 1);
    told(&["admin", "restore", "/nonexistent/iamd.backup"], 2);
    let failure = (Kind::MaintenanceRunning.bus_name(), "a restore is under way".to_owned());
    fake.script().fail.insert("Backup", failure);
    told(&["admin", "backup", path], 1);
    transcript.check();
    assert_eq!(names(directory.path()), ["iamd.backup"]);
}

#[test]
fn what_fails_leaves_the_old_backup_and_nothing_half_done() {
    let fake = fake();
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("iamd.backup");
    let path = file.to_str().unwrap();
    std::fs::write(&file, b"iamdbak old").unwrap();
    fake.script().backup.1.bytes += 1;
    let short = worded(&fake, &["admin", "backup", path]);
    assert!(short.code == 1 && short.stderr.contains("did not come whole"), "{short:?}");
    let failure = (Kind::MaintenanceRunning.bus_name(), "no".to_owned());
    fake.script().fail.insert("Backup", failure);
    assert_eq!(worded(&fake, &["admin", "backup", path]).code, 1);
    let nobody = run(&mut iamctl(&fake.bus.address, &["admin", "backup", path]));
    assert_ne!(nobody.code, 0, "without a terminal nobody is asked");
    let other = directory.path().join("passwd");
    std::fs::write(&other, b"root:x:0:0").unwrap();
    let refused = worded(&fake, &["admin", "backup", other.to_str().unwrap()]);
    assert!(refused.stderr.contains("no backup of iamd"), "{refused:?}");
    assert_eq!(std::fs::read(&other).unwrap(), b"root:x:0:0");
    assert_eq!(std::fs::read(&file).unwrap(), b"iamdbak old");
    assert_eq!(names(directory.path()).len(), 2);
}

/// Waits until `is` holds, for as long as a loaded machine may take.
#[allow(clippy::disallowed_methods, reason = "a test may wait")]
fn until(is: impl Fn() -> bool) {
    let start = Instant::now();
    while !is() {
        assert!(start.elapsed() < Duration::from_secs(30));
        std::thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn a_signal_ends_a_backup_and_removes_what_was_begun() {
    for signal in [Signal::SIGINT, Signal::SIGTERM, Signal::SIGHUP] {
        let fake = fake();
        fake.script().hang.push("Backup");
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("iamd.backup");
        let mut command: Command = iamctl(
            &fake.bus.address,
            &["admin", "backup", file.to_str().unwrap(), "--passphrase-fd", "0"],
        );
        command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null());
        let mut child = command.spawn().unwrap();
        std::io::Write::write_all(&mut child.stdin.take().unwrap(), WORDS.as_bytes()).unwrap();
        until(|| !fake.calls().is_empty());
        assert_eq!(names(directory.path()).len(), 1);
        kill(Pid::from_raw(child.id().try_into().unwrap()), signal).unwrap();
        let ended = child.wait().unwrap();
        assert_eq!(std::os::unix::process::ExitStatusExt::signal(&ended), Some(signal as i32));
        assert!(names(directory.path()).is_empty(), "{signal}");
    }
}

#[test]
fn ctrl_c_leaves_a_change_of_keys_to_the_daemon_and_says_so() {
    let fake = fake();
    fake.script().rekey = [state(rekey_state::RUNNING, 1)].into();
    let words = ["admin", "rekey"];
    let mut terminal = Terminal::start(&fake.bus.address, &words, (120, 24), |_| {});
    terminal.wait_for("1 of 3 records");
    terminal.type_keys("\x03");
    let (code, seen) = terminal.end();
    let lines = plain_lines(&seen);
    let told = lines.iter().find(|line| line.starts_with("It goes on")).expect(&seen);
    let when = "Ctrl-C while iamctl admin rekey shows how it goes";
    iamd_errors::shows("iamctl itself", when, told, "", Some(u8::try_from(code).unwrap()), "");
}

#[test]
fn sign_ins_that_could_not_be_ended_are_told_apart_and_the_exit_code_says_it() {
    let fake = fake();
    let mut script = samples::script(base());
    let one = &mut script.revocation.sign_ins[0];
    one.result = revoked::FAILED.into();
    one.remark = Some("still signed in: the store cannot be written".into());
    (script.revocation.ended, script.revocation.failed) = (2, 1);
    fake.script().revocation = script.revocation;
    let args = ["admin", "revoke", "--issuer", "wlcg", "--yes"];
    let outcome = run(&mut iamctl(&fake.bus.address, &args));
    assert_eq!(outcome.code, 1, "{outcome:?}");
    for part in [
        "still signed in: the store cannot be written",
        "2 sign-ins and 1 running login ended here.",
        "1 sign-in not ended: still signed in, the remark says why. Mend that and do it again.",
    ] {
        // Where a line is full the sentence goes on in the next.
        let told = (outcome.stdout.clone() + &outcome.stderr).replace('\n', " ");
        assert!(told.contains(part), "{part}: {outcome:?}");
    }
    let json = run(&mut iamctl(&fake.bus.address, &[&args[..], &["--json"]].concat()));
    assert_eq!(json.code, 1);
    assert!(json.stdout.contains("\"ended\":2,\"failed\":1"), "{json:?}");
}
