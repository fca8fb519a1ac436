//! Adding, changing and removing accounts, without a terminal: what is said, what reaches the
//! daemon, and that nothing is asked.

#![allow(clippy::unwrap_used, reason = "helpers of tests fail as tests do")]

mod support;

use std::io::Write;
use std::process::{Command, Stdio};

use iamd_protocol::bus::{ChangeReply, RemoveReply};
use iamd_protocol::error::Kind;
use support::transcript::Transcript;
use support::{Fake, Run, iamctl, run, samples};

fn fake() -> (Fake, u64) {
    let base = samples::base();
    let fake = Fake::start(samples::script(base));
    fake.script().login = samples::done(base);
    (fake, base)
}

/// `iamctl` below a shell that opens descriptor 3 as `redirect` says.
fn with_descriptor(fake: &Fake, redirect: &str, args: &[&str]) -> Run {
    let plain = iamctl(&fake.bus.address, args);
    let mut command = Command::new("sh");
    command.args(["-c", &format!("exec \"$@\" {redirect}"), "sh"]);
    command.arg(plain.get_program()).args(plain.get_args()).env_clear();
    command.envs(plain.get_envs().filter_map(|(name, value)| Some((name, value?))));
    run(command.stdin(Stdio::null()))
}

/// A file with a secret in it.
fn secret_file(text: &str) -> tempfile::NamedTempFile {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(text.as_bytes()).unwrap();
    file
}

#[test]
fn add_says_what_was_added_and_goes_on_to_the_login() {
    let (fake, base) = fake();
    let mut transcript = Transcript::new("account-add", base);
    for args in [
        &["account", "add", "cms"][..],
        &["account", "add", "cms", "--json"],
        &["account", "add", "cms", "--no-login"],
        &["account", "add", "cms", "--no-login", "--json"],
    ] {
        assert_eq!(transcript.iamctl(&fake.bus.address, args), 0);
    }
    transcript.note("the issuer left something out");
    fake.script().change.remarks = vec!["the issuer left out storage.modify:/".into()];
    transcript.iamctl(&fake.bus.address, &["account", "add", "cms", "-s", "max", "--no-login"]);
    fake.script().change.remarks.clear();
    transcript.note("the login fails: the account stays, and how to go on is said");
    fake.script().login = samples::failed(base, "LoginDenied", "the sign-in was denied");
    assert_eq!(transcript.iamctl(&fake.bus.address, &["account", "add", "cms"]), 1);
    fake.script().login = samples::pending(base);
    transcript.iamctl(&fake.bus.address, &["account", "add", "cms", "--no-wait"]);
    transcript.iamctl(&fake.bus.address, &["account", "add", "cms", "--timeout", "1s"]);
    transcript.note("what is missing is said, and nobody is asked");
    for args in [
        &["account", "add"][..],
        &["account", "add", "mine"],
        &["account", "add", "mine", "--json"],
        &["account", "add", "https://cms-auth.example.org"],
        &["account", "add", "https://other.example.org"],
        &["account", "add", "cms", "--client-id", "7f1c"],
        &["account", "add", "cms", "--client-id", "7f1c", "--client-secret-fd", "900"],
        &["account", "add", "--from-env"],
    ] {
        fake.script().calls.clear();
        assert_eq!(transcript.iamctl(&fake.bus.address, args), 2, "{args:?}");
        assert!(fake.calls().iter().all(|call| call == "Issuers()"), "{:?}", fake.calls());
    }
    transcript.note("where the site lists nothing");
    fake.script().issuers.clear();
    transcript.iamctl(&fake.bus.address, &["account", "add"]);
    transcript.check();
}

#[test]
fn options_of_add_reach_the_daemon() {
    let (fake, _) = fake();
    let args = [
        "account",
        "add",
        "x",
        "--issuer",
        "cms",
        "-s",
        "openid",
        "-s",
        "a b",
        "--aud",
        "u",
        "--aud",
        "v",
        "--own-client",
        "--client-name",
        "mine",
        "--default",
        "--no-login",
    ];
    assert_eq!(run(&mut iamctl(&fake.bus.address, &args)).code, 0);
    let args = ["account", "add", "cms", "--public-client", "-s", "max", "--no-login"];
    assert_eq!(run(&mut iamctl(&fake.bus.address, &args)).code, 0);
    let args = ["account", "add", "cms", "--client-id", "c", "--client-auth", "none", "--no-login"];
    assert_eq!(run(&mut iamctl(&fake.bus.address, &args)).code, 0);
    let calls: Vec<String> =
        fake.calls().into_iter().filter(|call| call.starts_with("Add")).collect();
    assert_eq!(
        calls,
        [
            r#"Add("x", AddOptions { issuer: Some("cms"), scopes: Some(["openid", "a", "b"]), all_scopes: None, audiences: Some(["u", "v"]), client_id: None, client_auth: None, public_client: None, own_client: Some(true), client_name: Some("mine"), make_default: Some(true), dry_run: None }, {})"#,
            r#"Add("cms", AddOptions { issuer: Some("cms"), scopes: None, all_scopes: Some(true), audiences: None, client_id: None, client_auth: None, public_client: Some(true), own_client: None, client_name: None, make_default: None, dry_run: None }, {})"#,
            r#"Add("cms", AddOptions { issuer: Some("cms"), scopes: None, all_scopes: None, audiences: None, client_id: Some("c"), client_auth: Some("none"), public_client: None, own_client: None, client_name: None, make_default: None, dry_run: None }, {})"#,
        ]
    );
}

#[test]
fn secrets_come_by_descriptor_and_stand_nowhere() {
    let (fake, _) = fake();
    let file = secret_file("canary-of-a-file\n");
    let redirect = format!("3< '{}'", file.path().display());
    for (option, name) in [
        (&["--client-id", "c", "--client-secret-fd", "3"][..], "client-secret"),
        (&["--initial-access-token-fd", "3"], "initial-access-token"),
        (&["--refresh-token-fd", "3"], "refresh-token"),
    ] {
        fake.script().calls.clear();
        let mut args = vec!["account", "add", "cms", "--no-login"];
        args.extend(option);
        let outcome = with_descriptor(&fake, &redirect, &args);
        assert_eq!(outcome.code, 0, "{outcome:?}");
        let call = fake.calls().pop().unwrap();
        assert!(call.ends_with(&format!(r#"{{"{name}": "canary-of-a-file"}})"#)), "{call}");
        assert!(!format!("{outcome:?}").contains("canary"));
    }
    // A named pipe whose writer is done already, as `3< fifo` in a script.
    let directory = tempfile::tempdir().unwrap();
    let fifo = directory.path().join("fifo");
    nix::unistd::mkfifo(&fifo, nix::sys::stat::Mode::S_IRWXU).unwrap();
    let writer = std::thread::spawn({
        let fifo = fifo.clone();
        move || std::fs::write(fifo, "canary-of-a-pipe").unwrap()
    });
    let args = ["account", "add", "cms", "--no-login", "--refresh-token-fd", "3"];
    let outcome = with_descriptor(&fake, &format!("3< '{}'", fifo.display()), &args);
    writer.join().unwrap();
    assert_eq!(outcome.code, 0, "{outcome:?}");
    assert!(fake.calls().pop().unwrap().contains("canary-of-a-pipe"));
}

#[test]
fn what_is_no_secret_on_a_descriptor_is_refused_by_name() {
    let (fake, _) = fake();
    let args = ["account", "add", "cms", "--client-id", "c", "--client-secret-fd", "3"];
    let long = "x".repeat(16 * 1024 + 1);
    for (text, expected) in [
        ("", "no secret is there"),
        ("\n", "no secret is there"),
        ("two\nlines", "no single line"),
        ("\u{1b}[2J", "no single line"),
        (long.as_str(), "longer than 16 KiB"),
    ] {
        let file = secret_file(text);
        let outcome = with_descriptor(&fake, &format!("3< '{}'", file.path().display()), &args);
        assert_eq!((outcome.code, outcome.stdout.as_str()), (2, ""), "{outcome:?}");
        assert!(outcome.stderr.contains(expected), "{outcome:?}");
        assert!(outcome.stderr.contains("--client-secret-fd"), "{outcome:?}");
    }
    // Not open; open the wrong way. Standard output in a file must not be taken for it either.
    let outcome = with_descriptor(&fake, "3>/dev/null", &args);
    assert!(outcome.stderr.contains("not open for reading"), "{outcome:?}");
    let file = tempfile::NamedTempFile::new().unwrap();
    let redirect = format!("3>&- >> '{}'", file.path().display());
    let outcome = with_descriptor(&fake, &redirect, &args);
    assert!(outcome.stderr.contains("it is not open\n"), "{outcome:?}");
    assert!(fake.calls().is_empty(), "{:?}", fake.calls());
}

#[test]
fn a_refresh_token_takes_the_place_of_the_login() {
    let (fake, _) = fake();
    fake.script().change.login_needed = false;
    let file = secret_file("rt");
    let redirect = format!("3< '{}'", file.path().display());
    let args = ["account", "add", "cms", "--refresh-token-fd", "3"];
    let outcome = with_descriptor(&fake, &redirect, &args);
    assert_eq!((outcome.code, outcome.stderr.as_str()), (0, "Account cms added.\n"));
    assert!(fake.calls().iter().all(|call| !call.starts_with("Login")));
}

#[test]
fn a_refresh_token_that_is_used_up_leaves_no_account_to_sign_in() {
    let (fake, _) = fake();
    let failure = ("org.iamd1.Error.LoginRequired".to_owned(), "it is used up".to_owned());
    fake.script().fail.insert("Add", failure);
    let file = secret_file("rt");
    let redirect = format!("3< '{}'", file.path().display());
    let args = ["account", "add", "rt", "--issuer", "cms", "--refresh-token-fd", "3"];
    let outcome = with_descriptor(&fake, &redirect, &args);
    assert_eq!(outcome.code, 3, "{outcome:?}");
    assert!(outcome.stderr.contains("Nothing was kept."), "{outcome:?}");
    assert!(!outcome.stderr.contains("iamctl login"), "{outcome:?}");
    let mut lines = outcome.stderr.trim().strip_prefix("iamctl: ").unwrap().lines();
    let (text, advice) =
        (lines.next().unwrap(), lines.map(str::trim).collect::<Vec<_>>().join(" "));
    let when = "account add with a refresh token that is used up";
    iamd_errors::shows("iamctl itself", when, text, "LoginRequired", Some(3), &advice);
}

#[test]
fn from_env_says_what_it_took_and_never_the_secret() {
    let (fake, base) = fake();
    let mut transcript = Transcript::new("account-from-env", base);
    let mut play = |variables: &[(&str, &str)], args: &[&str]| {
        for (name, value) in variables {
            transcript.note(&format!("{name}={value}"));
        }
        let mut command = iamctl(&fake.bus.address, args);
        let outcome = run(command.envs(variables.iter().copied()));
        assert!(!format!("{outcome:?}").contains("canary"), "{outcome:?}");
        transcript.take(args, &outcome);
        outcome.code
    };
    let password = [
        ("IAM_CLIENT_ID", "7f1c"),
        ("IAM_CLIENT_SECRET", "canary"),
        ("IAM_ENDPOINT", "https://wlcg.example.org/token"),
        ("IAM_CLIENT_SCOPES", "openid storage.read:/"),
        ("IAM_CLIENT_AUDIENCE", "https://se.example.org"),
        ("IAM_PASSWORD", "canary"),
    ];
    let args = ["account", "add", "mine", "--from-env", "--no-login"];
    assert_eq!(play(&password, &args), 0);
    let device = [
        ("IAM_DEVICE_CODE_CLIENT_ID", "d1"),
        ("IAM_DEVICE_CODE_CLIENT_SECRET", "canary"),
        ("IAM_DEVICE_CODE_ENDPOINT", "https://iam.example.org/devicecode"),
        ("IAM_TOKEN_ENDPOINT", "https://iam.example.org/token"),
        ("IAM_DEVICE_CODE_CLIENT_SCOPES", "openid"),
        ("IAM_CLIENT_ID", "7f1c"),
    ];
    assert_eq!(play(&device, &args), 0);
    let more =
        ["account", "add", "mine", "--from-env", "--no-login", "--issuer", "cms", "-s", "max"];
    assert_eq!(play(&password, &more), 0);
    assert_eq!(
        play(&password[..3], &["account", "add", "x", "--from-env", "--no-login", "--json"]),
        0
    );
    let no_secret = [password[0], password[2]];
    assert_eq!(play(&no_secret, &args), 2);
    assert_eq!(play(&password[..2], &args), 2);
    assert_eq!(
        play(&[password[0], password[1], ("IAM_ENDPOINT", "https://iam.example.org/")], &args),
        2
    );
    let two = [device[0], device[1], device[3], password[2]];
    assert_eq!(play(&two, &args), 2);
    transcript.check();
    let calls = fake.calls();
    let added: Vec<&String> = calls.iter().filter(|call| call.starts_with("Add")).collect();
    assert_eq!(added.len(), 4, "{added:?}");
    assert!(added[0].contains(r#"issuer: Some("https://wlcg.example.org/")"#), "{}", added[0]);
    assert!(added[0].contains(r#"scopes: Some(["openid", "storage.read:/"])"#), "{}", added[0]);
    assert!(added[0].contains(r#"audiences: Some(["https://se.example.org"])"#), "{}", added[0]);
    assert!(added[0].ends_with(r#"{"client-secret": "canary"})"#), "{}", added[0]);
    assert!(added[1].contains(r#"client_id: Some("d1")"#), "{}", added[1]);
    assert!(added[2].contains(r#"issuer: Some("cms"), scopes: None, all_scopes: Some(true)"#));
}

#[test]
fn edit_says_what_changed_and_how_it_takes_effect() {
    let (fake, base) = fake();
    let mut transcript = Transcript::new("account-edit", base);
    let args = ["account", "edit", "cms", "--add-scope", "compute.read"];
    transcript.iamctl(&fake.bus.address, &args);
    transcript.iamctl(&fake.bus.address, &["account", "edit", "cms", "-s", "max", "--login"]);
    transcript
        .iamctl(&fake.bus.address, &["account", "edit", "cms", "-s", "max", "--login", "--json"]);
    transcript.iamctl(&fake.bus.address, &["account", "edit", "cms", "-s", "max", "--json"]);
    transcript.iamctl(&fake.bus.address, &["account", "edit", "cms", "-s", "max", "--no-login"]);
    fake.script().change = ChangeReply {
        account: "cms".into(),
        login_needed: false,
        remarks: vec!["the issuer kept the old name of the client".into()],
    };
    transcript.iamctl(&fake.bus.address, &["account", "edit", "--client-name", "CMS on login1"]);
    transcript.iamctl(&fake.bus.address, &["account", "edit", "cms", "--no-aud"]);
    transcript.note("what is wrong is said before the daemon hears of it");
    fake.script().calls.clear();
    for args in [
        &["account", "edit"][..],
        &["account", "edit", "cms", "--json"],
        &["account", "edit", "cms", "-s", " "],
        &["account", "edit", "cms", "-s", "max", "--add-scope", "x"],
        &["account", "edit", "cms", "--aud", "x", "--no-aud"],
    ] {
        assert_eq!(transcript.iamctl(&fake.bus.address, args), 2, "{args:?}");
    }
    assert!(fake.calls().is_empty());
    transcript.check();
}

#[test]
fn options_of_edit_reach_the_daemon() {
    let (fake, _) = fake();
    for args in [
        &["account", "edit", "--add-scope", "a b", "--remove-scope", "c", "--aud", "x"][..],
        &["account", "edit", "cms", "-s", "max", "--no-aud", "--client-name", "n"],
    ] {
        assert_eq!(run(&mut iamctl(&fake.bus.address, args)).code, 0);
    }
    assert_eq!(
        fake.calls(),
        [
            r#"Edit("", EditOptions { scopes: None, all_scopes: None, add_scopes: Some(["a", "b"]), remove_scopes: Some(["c"]), audiences: Some(["x"]), client_name: None })"#,
            r#"Edit("cms", EditOptions { scopes: None, all_scopes: Some(true), add_scopes: None, remove_scopes: None, audiences: Some([]), client_name: Some("n") })"#,
        ]
    );
}

#[test]
fn rename_default_and_remove_say_what_became_of_it() {
    let (fake, base) = fake();
    let mut transcript = Transcript::new("account-change", base);
    for args in [
        &["account", "rename", "cms", "old"][..],
        &["account", "rename", "cms", "old", "--json"],
        &["account", "default", "cms"],
        &["account", "default", "cms", "--json"],
        &["account", "remove", "cms", "--yes"],
        &["account", "remove", "cms", "-y", "--json"],
        &["account", "remove", "cms", "-y", "--keep-client"],
    ] {
        assert_eq!(transcript.iamctl(&fake.bus.address, args), 0);
    }
    assert!(fake.calls()[6].contains("keep_client: Some(true)"), "{}", fake.calls()[6]);
    transcript.note("what could not be deleted is said");
    fake.script().removal = RemoveReply {
        account: "cms".into(),
        revoked: false,
        client_deleted: false,
        remarks: vec![
            "the issuer could not be reached: the client 7f1c stays registered there".into(),
            "wlcg is the default account now".into(),
        ],
    };
    transcript.iamctl(&fake.bus.address, &["account", "remove", "cms", "--yes"]);
    transcript.iamctl(&fake.bus.address, &["account", "remove", "cms", "--yes", "--json"]);
    transcript.note("nobody is asked where nobody is, and nothing is removed");
    fake.script().calls.clear();
    for args in [
        &["account", "remove", "cms"][..],
        &["account", "remove", "cms", "--json"],
        &["account", "remove"],
        &["account", "rename", "cms"],
        &["account", "default"],
    ] {
        assert_eq!(transcript.iamctl(&fake.bus.address, args), 2, "{args:?}");
    }
    assert!(fake.calls().is_empty());
    transcript.check();
}

#[test]
fn secrets_are_shown_when_asked_for_with_a_warning() {
    let (fake, base) = fake();
    let mut transcript = Transcript::new("account-secrets", base);
    transcript.iamctl(&fake.bus.address, &["account", "show", "--secrets"]);
    transcript.iamctl(&fake.bus.address, &["account", "show", "wlcg", "--secrets", "--json"]);
    transcript.note("the site does not allow it");
    let refused = (Kind::DeniedByPolicy.bus_name(), "this site shows no secrets".to_owned());
    fake.script().fail.insert("Secrets", refused);
    assert_eq!(transcript.iamctl(&fake.bus.address, &["account", "show", "--secrets"]), 4);
    fake.script().fail.clear();
    transcript.note("a secret that could steer the terminal");
    fake.script().secrets.client_secret = Some("evil\u{1b}[2J".into());
    assert_eq!(transcript.iamctl(&fake.bus.address, &["account", "show", "--secrets"]), 1);
    transcript.check();
    fake.script().calls.clear();
    let plain = run(&mut iamctl(&fake.bus.address, &["account", "show", "--json"]));
    assert!(!plain.stdout.contains("eyJ.refresh"), "{plain:?}");
    assert!(fake.calls().iter().all(|call| !call.starts_with("Secrets")));
}

#[test]
fn every_error_of_a_change_has_its_text_exit_code_and_advice() {
    let (fake, base) = fake();
    let mut transcript = Transcript::new("account-errors", base);
    for (method, kind, args) in [
        ("Add", Kind::AccountExists, &["account", "add", "cms"][..]),
        ("Add", Kind::TooManyAccounts, &["account", "add", "cms"]),
        ("Add", Kind::IssuerNotAllowed, &["account", "add", "x", "--issuer", "https://x.example"]),
        ("Add", Kind::AddressNotPublic, &["account", "add", "x", "--issuer", "https://x.example"]),
        ("Add", Kind::NoSuchIssuer, &["account", "add", "x", "--issuer", "x"]),
        ("Add", Kind::IssuerRefused, &["account", "add", "cms"]),
        ("Add", Kind::DeniedByPolicy, &["account", "add", "cms", "--own-client"]),
        ("Issuers", Kind::StoreUnavailable, &["account", "add"]),
        ("Edit", Kind::NoSuchAccount, &["account", "edit", "x", "-s", "openid"]),
        ("Edit", Kind::ClientNotYours, &["account", "edit", "cms", "--client-name", "mine"]),
        ("Edit", Kind::AccountLocked, &["account", "edit", "cms", "--client-name", "mine"]),
        ("Edit", Kind::ClientBroken, &["account", "edit", "cms", "-s", "max", "--json"]),
        ("Rename", Kind::AccountExists, &["account", "rename", "cms", "wlcg"]),
        ("Rename", Kind::InvalidArgument, &["account", "rename", "cms", "a b"]),
        ("SetDefault", Kind::NoSuchAccount, &["account", "default", "x"]),
        ("Remove", Kind::NoSuchAccount, &["account", "remove", "x", "--yes"]),
        ("Remove", Kind::StoreUnavailable, &["account", "remove", "x", "--yes", "--json"]),
        ("Secrets", Kind::DeniedByPolicy, &["account", "show", "--secrets", "--json"]),
        ("Issuer", Kind::IssuerNotAllowed, &["issuer", "show", "https://x.example"]),
        ("Issuer", Kind::IssuerUnreachable, &["issuer", "show", "wlcg"]),
    ] {
        transcript.note(&format!("{method}: {}", kind.short_name()));
        let failure = (kind.bus_name(), "what the daemon says happened".to_owned());
        fake.script().fail.insert(method, failure);
        assert_eq!(transcript.iamctl(&fake.bus.address, args), kind.exit() as i32, "{args:?}");
        fake.script().fail.clear();
    }
    transcript.check();
}
