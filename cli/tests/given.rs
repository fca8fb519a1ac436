//! What is given and says nothing is no wish: an empty variable of a script is an error with a way
//! out, and reaches nobody.

#![allow(clippy::unwrap_used, clippy::panic, reason = "helpers of tests fail as tests do")]

mod support;

use iamd_protocol::bus::LoginInfo;
use support::names::Names;
use support::{Fake, Run, iamctl, run, run_with, samples};

fn fake() -> Fake {
    Fake::start(samples::script(samples::base()))
}

/// A wrong command line, and what is said of it.
fn refused(fake: &Fake, args: &[&str]) -> Run {
    let outcome = run(&mut iamctl(&fake.bus.address, args));
    assert_eq!((outcome.code, outcome.stdout.as_str()), (2, ""), "{args:?}: {outcome:?}");
    assert_eq!(fake.calls(), [""; 0], "{args:?}");
    outcome
}

/// The row of the page, from the line that names the value.
fn shows(when: &str, outcome: &Run) {
    let line = outcome.stderr.lines().next().unwrap().strip_prefix("iamctl: ").unwrap();
    iamd_errors::shows("iamctl itself", when, line, "", Some(2), "");
}

#[test]
fn an_empty_name_is_nobodys_and_not_the_default_account() {
    let fake = fake();
    for args in [
        &["account", "show", ""][..],
        &["account", "edit", "", "--no-aud"],
        &["account", "lock", ""],
        &["account", "unlock", ""],
        &["account", "passphrase", ""],
        &["login", ""],
        &["login", "--cancel", ""],
        &["logout", " "],
        &["token", ""],
        &["run", "-a", "", "--", "true"],
        &["run", "--account=", "--", "true"],
    ] {
        let said = refused(&fake, args).stderr;
        assert!(said.contains("leave it out for the default account"), "{args:?}: {said}");
    }
    shows("an empty name in place of an account", &refused(&fake, &["logout", ""]));
    for args in [
        &["account", "remove", "", "--yes"][..],
        &["account", "default", ""],
        &["account", "rename", "", "x"],
        &["account", "rename", "cms", ""],
    ] {
        let said = refused(&fake, args).stderr;
        assert!(said.contains("say which one is meant"), "{args:?}: {said}");
    }
    let remove = ["account", "remove", "", "--yes"];
    shows("account remove or the like of an empty name", &refused(&fake, &remove));
    for args in [
        &["account", "add", "", "--issuer", "cms"][..],
        &["account", "add", "mine", "--issuer", ""],
        &["account", "import", "oidc-agent", "file", "--as", ""],
        &["login", "--issuer", ""],
        &["issuer", "show", ""],
        &["status", "-s", ""],
        &["admin", "audit", "--account", ""],
    ] {
        let said = refused(&fake, args).stderr;
        assert!(said.contains("leave it out where none is meant"), "{args:?}: {said}");
    }
    shows("an empty name in place of one that may be left out", &refused(&fake, &["status", ""]));
}

#[test]
fn an_empty_name_is_nobodys_under_the_names_of_oidc_agents_programs_either() {
    let names = Names::new("compat-empty");
    for line in [
        "oidc-gen -d '' --confirm-yes",
        "oidc-gen '' --reauthenticate",
        "oidc-gen '' --rename=x",
        "oidc-gen wlcg --rename=",
        "oidc-gen -w device ''",
    ] {
        names.fails(line, 64, "an account has to be named");
        assert_eq!(names.fake.calls(), [""; 0], "{line}");
    }
    names.fails("oidc-gen -p ''", 1, "an empty name is given");
    names.fails("oidc-add -r ''", 64, "an account has to be named");
    names.fails("oidc-token ''", 64, "has to be named");
    names.fails("oidc-tokensh --oidc '' -- true", 1, "leave it out for the default account");
    let kept = names.run("oidc-keychain --accounts ''");
    assert!(kept.code == 1 && kept.stderr.contains("an empty name is given"), "{kept:?}");
    assert!(names.fake.calls().iter().all(|call| !call.starts_with("Show")));
    names.transcript.into_inner().check();
}

#[test]
fn a_scope_or_an_audience_of_nothing_is_no_token_for_everything() {
    let fake = fake();
    for command in [
        &["token"][..],
        &["run"],
        &["login"],
        &["account", "add", "mine", "--issuer", "cms"],
        &["account", "edit", "cms"],
    ] {
        for given in ["-s", "--scope", "--aud"] {
            for nothing in ["", " "] {
                let given = [given, nothing];
                let rest: &[&str] = if command == ["run"] { &["--", "true"] } else { &[] };
                let said = refused(&fake, &[command, &given[..], rest].concat()).stderr;
                assert!(said.contains("name one, or leave it out"), "{command:?}: {said}");
            }
        }
    }
    for given in ["--add-scope=", "--remove-scope="] {
        let said = refused(&fake, &["account", "edit", "cms", given]).stderr;
        assert!(said.contains("name one, or leave it out"), "{said}");
    }
    // One of several too: what it was to say is not known.
    let token = ["token", "-s", "storage.read:/", "-s", ""];
    shows("a scope or an audience in which nothing is", &refused(&fake, &token));
    let names = Names::new("compat-nothing");
    for line in [
        "oidc-token wlcg -s ''",
        "oidc-token wlcg --aud=",
        "oidc-gen wlcg --scope=",
        "oidc-gen wlcg --aud ''",
    ] {
        names.fails(line, 64, "name one, or leave it out");
        assert_eq!(names.fake.calls(), [""; 0], "{line}");
    }
    names.transcript.into_inner().check();
}

#[test]
fn a_login_for_a_name_that_is_not_there_says_that_it_makes_a_new_account() {
    let fake = fake();
    let base = samples::base();
    let said = |args: &[&str]| {
        let outcome = run(&mut iamctl(&fake.bus.address, args));
        assert_eq!(outcome.code, 0, "{args:?}: {outcome:?}");
        outcome
    };
    let new = "You have no account typo yet: this makes a new one, at WLCG.\n";
    for (account, issuer, is_told) in
        [("typo", None, true), ("wlcg", None, false), ("typo", Some("--issuer=cms"), false)]
    {
        let pending = samples::pending(base);
        fake.script().login = LoginInfo { account: account.into(), ..pending };
        let args: Vec<&str> = ["login", account, "--no-wait"].into_iter().chain(issuer).collect();
        assert_eq!(said(&args).stderr.matches(new).count(), usize::from(is_told), "{args:?}");
        let args: Vec<&str> = args.into_iter().chain(["--json"]).collect();
        let object: serde_json::Value = serde_json::from_str(&said(&args).stdout).unwrap();
        assert_eq!(object["new_account"], account == "typo", "{args:?}: {object}");
    }
    // The one that the site's default is for, whose name nobody typed.
    fake.script().login = LoginInfo { account: "typo".into(), ..samples::pending(base) };
    assert!(!said(&["login", "--no-wait"]).stderr.contains("new one"));
    // Before a password is typed.
    let login = LoginInfo { account: "typo".into(), remarks: vec![], ..samples::done(base) };
    fake.script().password_login = login;
    let words = ["login", "typo", "--flow", "password", "--credentials-fd", "0"];
    let outcome = run_with(&mut iamctl(&fake.bus.address, &words), "alice\nsecret\n");
    let (new, warning) = (outcome.stderr.find(new), outcome.stderr.find("Warning: RFC 9700"));
    assert!(new.is_some() && new < warning, "{outcome:?}");
}
