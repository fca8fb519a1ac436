//! Every command as a user sees it, against a daemon that says what the test wants.

mod support;

use std::time::Duration;

use iamd_protocol::bus::{AccountInfo, LoginInfo, LogoutReply, state};
use support::transcript::Transcript;
use support::{Fake, iamctl, run, samples};

#[test]
fn token_prints_the_token_alone_in_every_form() {
    let base = samples::base();
    let fake = Fake::start(samples::script(base));
    let mut transcript = Transcript::new("token", base);
    for args in [
        &["token"][..],
        &["token", "--json"],
        &["token", "--env"],
        &["token", "--header"],
        &["token", "cms", "-s", "storage.read:/cms", "--aud", "https://se.example.org"],
        &["token", "--min-valid", "10m", "--force-new"],
    ] {
        assert_eq!(transcript.iamctl(&fake.bus.address, args), 0);
    }
    transcript.note("the issuer granted less than was asked for");
    fake.script().token.remarks = vec!["the issuer left out storage.modify:/".into()];
    transcript.iamctl(&fake.bus.address, &["token", "-s", "storage.read:/ storage.modify:/"]);
    transcript.iamctl(&fake.bus.address, &["token", "--json"]);
    transcript.note("what a token says");
    transcript.iamctl(&fake.bus.address, &["token", "--decode"]);
    fake.script().token.token = samples::signed(base);
    transcript.iamctl(&fake.bus.address, &["token", "--decode"]);
    transcript.note("a token that only its issuer can read");
    fake.script().token.token = "opaque".into();
    transcript.iamctl(&fake.bus.address, &["token", "--decode"]);
    transcript.iamctl(&fake.bus.address, &["token", "--decode", "--json"]);
    transcript.note("where a token is not written to");
    for file in ["/", "/dev/stdout", "/dev/null", "/nonexistent/token"] {
        transcript.iamctl(&fake.bus.address, &["token", "-o", file]);
    }
    transcript.note("to standard output after all");
    transcript.iamctl(&fake.bus.address, &["token", "--strict", "-o", "-"]);
    fake.script().token = samples::token(base);
    transcript.note("a daemon that gives a token too short-lived, or something that is no token");
    transcript.iamctl(&fake.bus.address, &["token", "--min-valid", "1h"]);
    fake.script().token.token = "two words".into();
    transcript.iamctl(&fake.bus.address, &["token"]);
    transcript.iamctl(&fake.bus.address, &["token", "--json"]);
    transcript.check();
    let calls = fake.calls();
    assert!(calls[4].contains("\"cms\""), "{}", calls[4]);
    assert!(calls[4].contains(r#"scopes: Some(["storage.read:/cms"])"#), "{}", calls[4]);
    assert!(calls[4].contains(r#"audiences: Some(["https://se.example.org"])"#), "{}", calls[4]);
    assert!(calls[5].contains("min_valid_seconds: Some(600)"), "{}", calls[5]);
    assert!(calls[5].contains("force_new: Some(true)"), "{}", calls[5]);
    assert!(calls[6].contains(r#"["storage.read:/", "storage.modify:/"]"#), "{}", calls[6]);
}

#[test]
fn a_file_has_the_token_alone_and_standard_output_nothing() {
    use std::os::unix::fs::PermissionsExt;
    let base = samples::base();
    let fake = Fake::start(samples::script(base));
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("token");
    let token = samples::token(base).token;
    for (form, content) in
        [(None, token.clone()), (Some("--header"), format!("Authorization: Bearer {token}"))]
    {
        let args: Vec<&str> =
            ["token", "-o", file.to_str().unwrap()].into_iter().chain(form).collect();
        let outcome = run(&mut iamctl(&fake.bus.address, &args));
        assert_eq!((outcome.stdout.as_str(), outcome.stderr.as_str(), outcome.code), ("", "", 0));
        assert_eq!(std::fs::read_to_string(&file).unwrap(), content);
        assert_eq!(file.metadata().unwrap().permissions().mode() & 0o7777, 0o600);
    }
    // What fails leaves the file as it was, and nothing beside it.
    let failure = (iamd_protocol::error::Kind::LoginRequired.bus_name(), "no".to_owned());
    fake.script().fail.insert("GetToken", failure);
    let outcome = run(&mut iamctl(&fake.bus.address, &["token", "-o", file.to_str().unwrap()]));
    assert_eq!(outcome.code, 3);
    assert!(std::fs::read_to_string(&file).unwrap().ends_with(&token));
    assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 1);
}

#[test]
fn what_a_token_says_is_json_too_and_never_the_token() {
    let base = samples::base();
    let fake = Fake::start(samples::script(base));
    let token = samples::signed(base);
    fake.script().token.token = token.clone();
    let outcome = run(&mut iamctl(&fake.bus.address, &["token", "--decode", "--json"]));
    assert!(!outcome.stdout.contains(token.split('.').nth(1).unwrap()));
    let value: serde_json::Value = serde_json::from_str(&outcome.stdout).unwrap();
    assert_eq!(value["header"], serde_json::json!({"alg": "RS256", "kid": "rsa1"}));
    assert_eq!(value["claims"]["evil"], "[2J1m");
    // What the token says goes before what the daemon computed.
    assert_eq!(value["expires_at"], base + 600);
    let left = value["expires_in"].as_u64().unwrap();
    assert!((600..=630).contains(&left), "{left}");
    for member in ["account", "issuer", "remarks"] {
        assert!(!value[member].is_null(), "{member}");
    }
}

#[test]
fn strictness_is_the_daemons_to_decide_and_nothing_is_printed() {
    let fake = Fake::start(samples::script(samples::base()));
    assert_eq!(run(&mut iamctl(&fake.bus.address, &["token", "--strict"])).code, 0);
    assert!(fake.calls()[0].contains("strict: Some(true)"), "{}", fake.calls()[0]);
    let refused = iamd_protocol::error::Kind::ScopeUnavailable.bus_name();
    fake.script().fail.insert("GetToken", (refused, "the issuer did not grant: x".into()));
    let outcome = run(&mut iamctl(&fake.bus.address, &["token", "-s", "x", "--strict"]));
    assert_eq!((outcome.stdout.as_str(), outcome.code), ("", 6));
}

#[test]
fn env_can_be_evaluated_by_a_shell() {
    let base = samples::base();
    let fake = Fake::start(samples::script(base));
    let printed = run(&mut iamctl(&fake.bus.address, &["token", "--env"])).stdout;
    let script = format!("{printed}printf %s \"$BEARER_TOKEN\"");
    let shell = std::process::Command::new("sh").args(["-c", &script]).output().unwrap();
    assert_eq!(String::from_utf8(shell.stdout).unwrap(), samples::token(base).token);
}

#[test]
fn status_shows_how_things_stand() {
    let base = samples::base();
    let fake = Fake::start(samples::script(base));
    let mut transcript = Transcript::new("status", base);
    transcript.iamctl(&fake.bus.address, &["status"]);
    transcript.iamctl(&fake.bus.address, &["status", "--json"]);
    transcript.note("the last session has ended; the sign-in ends soon; a file is in the way");
    {
        let mut script = fake.script();
        script.status.sessions = 0;
        script.status.notice = false;
        script.status.files_until = Some(base + 900);
        script.accounts[0].refresh_expires_at = Some(base + 3 * 86_400);
        script.accounts[0].ends_soon = Some(true);
        script.accounts[0].token_file = None;
        script.accounts[0].token_file_problem = Some("a directory is in its place".into());
        script.accounts.truncate(1);
    }
    transcript.iamctl(&fake.bus.address, &["status"]);
    transcript.note("every state");
    fake.script().accounts = states(base);
    transcript.iamctl(&fake.bus.address, &["status"]);
    transcript.iamctl(&fake.bus.address, &["account", "list"]);
    transcript.note("one account, as programs and as shells ask");
    transcript.iamctl(&fake.bus.address, &["status", "refused"]);
    transcript.iamctl(&fake.bus.address, &["status", "atlas"]);
    transcript.note("a first login is running, and another is about to begin");
    fake.script().accounts.clear();
    fake.script().status.logins = Some(vec![
        samples::pending(base),
        LoginInfo { account: "cms".into(), ..samples::starting(base) },
    ]);
    transcript.iamctl(&fake.bus.address, &["status"]);
    transcript.iamctl(&fake.bus.address, &["status", "cms"]);
    transcript.iamctl(&fake.bus.address, &["status", "--json"]);
    transcript.note("nothing yet");
    fake.script().status.logins = Some(Vec::new());
    transcript.iamctl(&fake.bus.address, &["status"]);
    transcript.note("--watch and --silent where they cannot be");
    transcript.iamctl(&fake.bus.address, &["status", "--watch"]);
    transcript.iamctl(&fake.bus.address, &["status", "-s", "--json"]);
    transcript.check();
}

#[test]
fn status_silent_speaks_by_its_exit_code_alone() {
    let base = samples::base();
    let fake = Fake::start(samples::script(base));
    let silent = |account: &str| {
        let said = run(&mut iamctl(&fake.bus.address, &["status", "-s", account]));
        assert_eq!((said.stdout.as_str(), said.stderr.as_str()), ("", ""), "{account}");
        said.code
    };
    assert_eq!(run(&mut iamctl(&fake.bus.address, &["status", "--silent"])).code, 0);
    assert_eq!(silent("wlcg"), 0);
    assert_eq!(fake.calls(), [r#"Show("")"#, r#"Show("wlcg")"#], "no token was asked for");
    fake.script().accounts = states(base);
    for (name, left) in [("nearly-over", 200), ("lasting", 400)] {
        let [one, _] = samples::accounts(base).try_into().unwrap();
        let (name, access_expires_at) = (name.into(), Some(base + left));
        fake.script().accounts.push(AccountInfo { name, access_expires_at, ..one });
    }
    for (account, code) in [
        ("fresh", 3),
        ("sealed", 1),
        ("refused", 1),
        ("terms", 1),
        ("guarded", 3),
        ("barred", 4),
        ("nosuch", 1),
    ] {
        assert_eq!(silent(account), code, "{account}");
    }
    // A token that has ended: what the issuer says to a renewal is the answer.
    assert_eq!(silent("expired"), 0);
    for (error, code) in [("LoginRequired", 3), ("IssuerUnreachable", 5), ("ClientBroken", 1)] {
        let failure = (format!("org.iamd1.Error.{error}"), "no".to_owned());
        fake.script().fail.insert("GetToken", failure);
        assert_eq!(silent("expired"), code, "{error}");
        // Nor is one that is about to end what `iamctl token` would answer with.
        assert_eq!(silent("nearly-over"), code, "{error}");
        assert_eq!(silent("lasting"), 0, "{error}");
    }
    let said = run(&mut iamctl("unix:path=/nonexistent/bus", &["status", "-s"]));
    assert_eq!((said.stdout.as_str(), said.stderr.as_str(), said.code), ("", "", 5));
}

fn states(base: u64) -> Vec<AccountInfo> {
    let account = |name: &str, state: &str| AccountInfo {
        name: name.into(),
        state: state.into(),
        issuer: "https://wlcg.example.org/".into(),
        ..Default::default()
    };
    let expired = AccountInfo {
        access_expires_at: Some(base - 660),
        refreshed_at: Some(base - 4260),
        ..account("expired", state::SIGNED_IN)
    };
    let running = AccountInfo { login_running: true, ..account("running", state::LOGIN_REQUIRED) };
    let refused = AccountInfo {
        reason: Some("the issuer says: no such client".into()),
        ..account("refused", state::CLIENT_BROKEN)
    };
    vec![
        account("fresh", state::NEW),
        expired,
        running,
        refused,
        account("terms", state::ACTION_NEEDED),
        account("sealed", state::UNREADABLE),
        AccountInfo { has_passphrase: Some(true), ..account("guarded", state::LOCKED) },
        AccountInfo {
            has_passphrase: Some(true),
            signed_in_at: Some(base - 27 * 86_400),
            refresh_expires_at: Some(base + 3 * 86_400),
            ends_soon: Some(true),
            ..account("ending", state::LOCKED)
        },
        AccountInfo {
            reason: Some("this site does not let you use the issuer wlcg; you may use: cms".into()),
            ..account("barred", state::REFUSED)
        },
        AccountInfo {
            has_passphrase: Some(true),
            unlocked_until: Some(base + 3000),
            ..account("open", state::SIGNED_IN)
        },
        AccountInfo { has_passphrase: Some(true), ..account("opened", state::SIGNED_IN) },
    ]
}

#[test]
fn accounts_and_issuers_are_listed_and_shown() {
    let base = samples::base();
    let fake = Fake::start(samples::script(base));
    let mut transcript = Transcript::new("listings", base);
    for args in [
        &["account", "list"][..],
        &["account", "list", "--json"],
        &["account", "show"],
        &["account", "show", "cms"],
        &["account", "show", "cms", "--json"],
        &["account", "show", "atlas"],
        &["issuer", "list"],
        &["issuer", "list", "--json"],
        &["issuer", "show"],
        &["issuer", "show", "https://cms-auth.example.org", "--json"],
        &["issuer", "show", "atlas"],
        &["issuer", "show", "atlas", "--json"],
        &["admin", "users"],
        &["admin", "users", "--json"],
        &["admin", "sessions"],
        &["admin", "sessions", "--json"],
        &["admin", "stats"],
        &["admin", "stats", "--json"],
        &["admin", "revoke", "alice", "--dry-run"],
        &["admin", "revoke", "--issuer", "wlcg", "--yes"],
        &["admin", "revoke", "--client", "c", "alice", "--yes", "--json"],
        &["admin", "revoke"],
        &["admin", "revoke", "alice"],
        &["admin", "drain", "--reason", "new kernel at noon"],
        &["admin", "drain", "--show"],
        &["status"],
        &["admin", "drain", "--off"],
        &["admin", "drain", "--show", "--json"],
        &["admin", "drain", "--off", "--reason", "none"],
        &["admin", "policy", "check"],
        &["admin", "policy", "check", "--json"],
        &["admin", "policy", "explain", "alice"],
        &["admin", "policy", "explain", "alice", "--json"],
        &["admin", "policy", "explain"],
        &["admin", "reload"],
        &["admin", "reload", "--json"],
    ] {
        transcript.iamctl(&fake.bus.address, args);
    }
    transcript.note("rules with mistakes");
    fake.script().policy = samples::bad_policy();
    for args in [&["admin", "policy", "check"][..], &["admin", "policy", "check", "--json"]] {
        transcript.iamctl(&fake.bus.address, args);
    }
    transcript.note("where there is nothing");
    *fake.script() = Default::default();
    for args in [&["account", "list"][..], &["issuer", "list"], &["issuer", "show"]] {
        transcript.iamctl(&fake.bus.address, args);
    }
    transcript.iamctl(&fake.bus.address, &["account", "list", "--json"]);
    transcript.check();
}

#[test]
fn login_shows_where_to_sign_in_and_how_it_ended() {
    let base = samples::base();
    let fake = Fake::start(samples::script(base));
    let mut transcript = Transcript::new("login", base);
    let soon = Duration::from_millis(50);
    let mut play = |args: &[&str], states: Vec<_>| {
        {
            let mut script = fake.script();
            script.login = samples::pending(base);
            script.states = states.into_iter().map(|state| (soon, state)).collect();
        }
        transcript.iamctl(&fake.bus.address, args);
    };
    play(&["login"], vec![samples::done(base)]);
    play(&["login", "--json"], vec![samples::done(base)]);
    play(&["login", "--no-wait"], vec![]);
    play(&["login", "--no-wait", "--json"], vec![]);
    play(&["login", "cms", "--timeout", "1s"], vec![]);
    play(&["login", "--timeout", "1s", "--json"], vec![]);
    let denied = samples::failed(base, "LoginDenied", "the sign-in was denied");
    play(&["login"], vec![denied.clone()]);
    play(&["login", "--json"], vec![denied]);
    let expired = samples::failed(base, "LoginExpired", "nobody answered in time");
    play(&["login", "cms"], vec![expired]);
    let other = samples::failed(base, "IdentityMismatch", "somebody else signed in");
    play(&["login"], vec![other]);
    transcript.note("an error that only a newer daemon knows");
    let newer = samples::failed(base, "MoonInWrongPhase", "wait a week");
    let mut play = |args: &[&str], states: Vec<_>| {
        fake.script().login = samples::pending(base);
        fake.script().states = states.into_iter().map(|state| (soon, state)).collect();
        transcript.iamctl(&fake.bus.address, args);
    };
    play(&["login"], vec![newer]);
    transcript.note("the issuer takes its time, and leaves something out");
    fake.script().login = samples::starting(base);
    let mut done = samples::done(base);
    done.remarks = vec!["the issuer left out storage.modify:/".into()];
    fake.script().states =
        [samples::starting(base), samples::pending(base), done].map(|s| (soon, s)).into();
    transcript.iamctl(&fake.bus.address, &["login"]);
    fake.script().login = samples::starting(base);
    fake.script().states = [samples::pending(base), samples::done(base)].map(|s| (soon, s)).into();
    transcript.iamctl(&fake.bus.address, &["login", "--json"]);
    for args in [
        &["login", "--cancel"][..],
        &["login", "--cancel", "cms", "--json"],
        &["login", "--off"],
        &["login", "--on"],
        &["login", "--on", "--json"],
    ] {
        transcript.iamctl(&fake.bus.address, args);
    }
    transcript.check();
}

#[test]
fn login_options_reach_the_daemon() {
    let fake = Fake::start(samples::script(samples::base()));
    let args = [
        "login",
        "cms",
        "--issuer",
        "cms",
        "-s",
        "openid",
        "-s",
        "a b",
        "--aud",
        "x",
        "--no-wait",
        "--new-client",
    ];
    assert_eq!(run(&mut iamctl(&fake.bus.address, &args)).code, 0);
    assert_eq!(
        fake.calls(),
        [
            r#"Login("cms", LoginOptions { issuer: Some("cms"), scopes: Some(["openid", "a", "b"]), audiences: Some(["x"]), if_needed: None, new_client: Some(true) })"#
        ]
    );
}

#[test]
fn login_if_needed_is_silent_when_there_is_nothing_to_do() {
    let base = samples::base();
    let fake = Fake::start(samples::script(base));
    fake.script().login = samples::done(base);
    let silent = |command: &mut std::process::Command| {
        let outcome = run(command);
        assert_eq!((outcome.stdout.as_str(), outcome.stderr.as_str(), outcome.code), ("", "", 0));
    };
    silent(&mut iamctl(&fake.bus.address, &["login", "--if-needed"]));
    assert!(fake.calls()[1].contains("if_needed: Some(true)"));
    // Who wants no login is not even asked for: the daemon hears nothing.
    fake.script().calls.clear();
    silent(iamctl(&fake.bus.address, &["login", "--if-needed"]).env("IAMD_NO_LOGIN", ""));
    assert!(fake.calls().is_empty());
    // Who turned the notice off starts no login.
    fake.script().status.notice = false;
    silent(&mut iamctl(&fake.bus.address, &["login", "--if-needed"]));
    assert_eq!(fake.calls(), ["Status()"]);
}

#[test]
fn logout_says_what_became_of_the_sign_in() {
    let base = samples::base();
    let fake = Fake::start(samples::script(base));
    let mut transcript = Transcript::new("logout", base);
    fake.script().logout = LogoutReply { account: "wlcg".into(), revoked: true, remarks: vec![] };
    transcript.iamctl(&fake.bus.address, &["logout"]);
    transcript.iamctl(&fake.bus.address, &["logout", "wlcg", "--json"]);
    fake.script().logout = LogoutReply {
        account: "wlcg".into(),
        revoked: false,
        remarks: vec!["iamd goes on trying to revoke it".into()],
    };
    transcript.iamctl(&fake.bus.address, &["logout"]);
    transcript.check();
}

#[test]
fn help_has_examples_first() {
    let mut transcript = Transcript::new("help", 0);
    for args in [
        &["--version"][..],
        &["help"],
        &["-h"],
        &["help", "login"],
        &["login", "-h"],
        &["help", "token"],
        &["help", "run"],
        &["help", "account", "show"],
        &["help", "account", "add"],
        &["help", "account", "edit"],
        &["help", "account", "remove"],
        &["help", "doctor"],
    ] {
        assert_eq!(transcript.iamctl("unix:path=/nonexistent", args), 0);
    }
    transcript.check();
}

#[test]
fn a_wrong_command_line_is_told_on_standard_error_with_exit_code_2() {
    let mut transcript = Transcript::new("usage", 0);
    for args in [
        &[][..],
        &["frobnicate"],
        &["tokn"],
        &["list"],
        &["rm", "cms"],
        &["account", "logout"],
        &["token", "--min-valid", "soon"],
        &["token", "--env", "--json"],
        &["token", "--decode", "--header"],
        &["token", "--decode", "-o", "file"],
        &["token", "-o", "file", "--json"],
        &["run"],
        &["run", "--bearer-env"],
        &["login", "--cancel", "--no-wait"],
        &["login", "--on", "--off"],
        &["login", "--off", "cms"],
        &["account"],
        &["completions"],
        &["completions", "tcsh"],
    ] {
        assert_eq!(transcript.iamctl("unix:path=/nonexistent", args), 2, "{args:?}");
    }
    transcript.check();
}
