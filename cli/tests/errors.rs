//! Every error, with its text, its exit code and its advice; and what happens when the daemon or
//! the bus is not there, or does not answer.

#![allow(clippy::unwrap_used, clippy::panic, reason = "helpers of tests fail as tests do")]

mod support;

use std::os::unix::net::UnixListener;
use std::time::{Duration, Instant};

use iamd_protocol::error::Kind;
use support::transcript::Transcript;
use support::{Bus, Fake, iamctl, run, samples};

#[test]
fn every_error_has_its_text_exit_code_and_advice() {
    let base = samples::base();
    let fake = Fake::start(samples::script(base));
    let mut transcript = Transcript::new("errors", base);
    for kind in Kind::ALL {
        transcript.note(kind.short_name());
        let failure = (kind.bus_name(), "what the daemon says happened".to_owned());
        fake.script().fail.insert("GetToken", failure);
        let code = transcript.iamctl(&fake.bus.address, &["token", "cms"]);
        assert_eq!(code, kind.exit() as i32, "{}", kind.short_name());
        let code = transcript.iamctl(&fake.bus.address, &["token", "cms", "--json"]);
        assert_eq!(code, kind.exit() as i32, "{}", kind.short_name());
    }
    transcript.check();
}

#[test]
fn every_command_reports_the_errors_of_its_methods() {
    let base = samples::base();
    let fake = Fake::start(samples::script(base));
    let mut transcript = Transcript::new("errors-of-commands", base);
    for (method, args) in [
        ("GetToken", &["token"][..]),
        ("List", &["account", "list"]),
        ("Show", &["account", "show"]),
        ("Login", &["login"]),
        ("Login", &["login", "--if-needed"]),
        ("LoginState", &["login"]),
        ("CancelLogin", &["login", "--cancel"]),
        ("SetNotice", &["login", "--off"]),
        ("Logout", &["logout"]),
        ("Lock", &["account", "lock"]),
        ("Show", &["account", "unlock"]),
        ("Show", &["account", "passphrase"]),
        ("Status", &["status"]),
        ("List", &["status", "--json"]),
        ("Issuers", &["issuer", "list"]),
        ("Issuers", &["issuer", "show"]),
        ("Issuer", &["issuer", "show", "wlcg"]),
        ("Issuers", &["account", "add"]),
        ("Add", &["account", "add", "wlcg"]),
        ("Login", &["account", "add", "wlcg"]),
        ("Edit", &["account", "edit", "-s", "openid"]),
        ("Rename", &["account", "rename", "cms", "old"]),
        ("SetDefault", &["account", "default", "cms"]),
        ("Remove", &["account", "remove", "cms", "--yes"]),
        ("Secrets", &["account", "show", "--secrets"]),
        ("Users", &["admin", "users"]),
        ("Sessions", &["admin", "sessions", "--json"]),
        ("Stats", &["admin", "stats"]),
        ("Reload", &["admin", "reload"]),
        ("Revoke", &["admin", "revoke", "alice", "--yes"]),
        ("SetDrain", &["admin", "drain"]),
        ("Drain", &["admin", "drain", "--show"]),
        ("CheckPolicy", &["admin", "policy", "check"]),
        ("ExplainPolicy", &["admin", "policy", "explain", "alice"]),
        ("Rekey", &["admin", "rekey"]),
        ("RekeyProgress", &["admin", "rekey", "--status", "--json"]),
        ("CheckStore", &["admin", "store", "check"]),
        ("AcceptStore", &["admin", "store", "accept"]),
    ] {
        let failure = (Kind::NotAuthorized.bus_name(), format!("{method} says no"));
        fake.script().fail.insert(method, failure);
        transcript.note(method);
        assert_eq!(transcript.iamctl(&fake.bus.address, args), 4, "{args:?}");
        fake.script().fail.clear();
    }
    transcript.check();
}

#[test]
fn errors_that_are_not_ours_are_told_too() {
    let base = samples::base();
    let fake = Fake::start(samples::script(base));
    let mut transcript = Transcript::new("errors-of-the-bus", base);
    for (name, message) in [
        ("org.iamd1.Error.MoonInWrongPhase", "wait a week"),
        ("org.iamd1.Error.MoonInWrongPhase", ""),
        ("org.iamd1.Error.LoginRequired", ""),
        ("com.example.Strange", "evil \u{1b}[2J\u{202e}text\nin two lines"),
        ("org.freedesktop.DBus.Error.ServiceUnknown", "no such name"),
        ("org.freedesktop.DBus.Error.NoReply", "no reply"),
        ("org.freedesktop.DBus.Error.AccessDenied", "policy"),
        ("org.freedesktop.DBus.Error.LimitsExceeded", "max_replies_per_connection"),
        ("org.freedesktop.DBus.Error.InvalidArgs", "the account's name is too long"),
        ("org.freedesktop.DBus.Error.UnknownMethod", "GetToken"),
        ("org.freedesktop.DBus.Error.Spawn.ExecFailed", "cannot run iamd"),
        ("org.freedesktop.DBus.Error.Failed", "something"),
    ] {
        transcript.note(name);
        fake.script().fail.insert("GetToken", (name.into(), message.into()));
        transcript.iamctl(&fake.bus.address, &["token"]);
    }
    transcript.check();
}

#[test]
fn a_daemon_that_is_not_there_is_exit_code_5() {
    let mut transcript = Transcript::new("unreachable", 0);
    let bus = Bus::start();
    transcript.note("no daemon on the bus");
    transcript.iamctl(&bus.address, &["token"]);
    transcript.iamctl(&bus.address, &["status", "--json"]);
    transcript.iamctl(&bus.address, &["login", "--if-needed"]);
    transcript.note("no bus");
    transcript.iamctl("unix:path=/nonexistent/bus", &["token"]);
    transcript.note("no address");
    transcript.iamctl("nonsense", &["token"]);
    transcript.check();
}

#[test]
fn what_the_policy_of_the_bus_refuses_is_exit_code_4() {
    let fake = Fake::on(Bus::refusing_reload(), samples::script(samples::base()));
    let outcome = run(&mut iamctl(&fake.bus.address, &["admin", "reload"]));
    assert_eq!(outcome.code, 4, "{outcome:?}");
    assert!(outcome.stderr.contains("the bus does not let this through"), "{outcome:?}");
    assert!(fake.calls().is_empty());
}

#[test]
fn a_bus_that_accepts_and_never_answers_is_given_up() {
    let directory = tempfile::tempdir().unwrap();
    let socket = directory.path().join("bus");
    let _listener = UnixListener::bind(&socket).unwrap();
    let address = format!("unix:path={}", socket.display());
    #[allow(clippy::disallowed_methods, reason = "a test may look at the clock")]
    let start = Instant::now();
    let outcome = run(&mut iamctl(&address, &["token"]));
    assert_eq!((outcome.code, outcome.stdout.as_str()), (5, ""));
    assert!(outcome.stderr.contains("the system bus does not answer"), "{outcome:?}");
    assert!(start.elapsed() < Duration::from_secs(40), "{:?}", start.elapsed());
}

#[test]
fn a_daemon_that_never_answers_is_given_up() {
    let fake = Fake::start(samples::script(samples::base()));
    fake.script().hang = vec!["GetToken"];
    let (took, outcome) = timed(&fake.bus.address, &["token"]);
    assert_eq!((outcome.code, outcome.stdout.as_str()), (5, ""), "{outcome:?}");
    assert!(outcome.stderr.contains("iamd did not answer within 45 s"), "{outcome:?}");
    assert!(took < Duration::from_secs(75), "{took:?}");
}

fn timed(address: &str, args: &[&str]) -> (Duration, support::Run) {
    #[allow(clippy::disallowed_methods, reason = "a test may look at the clock")]
    let start = Instant::now();
    let outcome = run(&mut iamctl(address, args));
    (start.elapsed(), outcome)
}

/// `login --if-needed` runs while a shell starts.
#[test]
fn a_shell_that_starts_is_held_for_3_s_at_most_and_told_in_one_line() {
    let base = samples::base();
    let told = |address: &str, within: u64, line: &str| {
        let limit = Duration::from_secs(within) + Duration::from_millis(800);
        // A machine that is busy with something else may hold up any one of them.
        let args = ["login", "--if-needed", "--timeout", "120"];
        let (_, outcome) = (0..5)
            .map(|_| timed(address, &args))
            .find(|(time, _)| *time < limit)
            .unwrap_or_else(|| panic!("{line}: it took {within} s and more each time"));
        assert_eq!((outcome.code, outcome.stdout.as_str()), (5, ""), "{outcome:?}");
        let line = format!("iamctl: {line}; sign in later with:  iamctl login\n");
        assert!(outcome.stderr.ends_with(&line), "{line} {outcome:?}");
        outcome.stderr.lines().count()
    };
    let directory = tempfile::tempdir().unwrap();
    let (deaf, socket) = (Bus::start(), directory.path().join("bus"));
    let _listener = UnixListener::bind(&socket).unwrap();
    let silent = format!("unix:path={}", socket.display());
    assert_eq!(told(&deaf.address, 0, "iamd is not running on this node"), 1);
    assert_eq!(told(&silent, 3, "the system bus does not answer"), 1);
    // A program reads the advice of the error.
    let (_, outcome) = timed(&deaf.address, &["login", "--if-needed", "--json"]);
    assert!(outcome.stdout.contains("Administrators: systemctl status iamd"), "{outcome:?}");

    let fake = Fake::start(samples::script(base));
    let address = &fake.bus.address;
    fake.script().hang = vec!["Status"];
    assert_eq!(told(address, 3, "iamd did not answer within 3 s"), 1);
    fake.script().hang = vec!["Login"];
    assert_eq!(told(address, 3, "iamd did not answer within 3 s"), 1);
    // The daemon answers and the issuer does not.
    fake.script().hang = vec![];
    fake.script().login = samples::starting(base);
    assert_eq!(told(address, 3, "the issuer does not answer"), 1);
    fake.script().hang = vec!["LoginState"];
    assert_eq!(told(address, 3, "the issuer does not answer"), 1);
    // The user is waited for, a daemon that falls silent meanwhile is not.
    fake.script().login = samples::pending(base);
    assert!(told(address, 4, "iamd does not answer any more") > 1);
}
