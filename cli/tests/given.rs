//! What is given and says nothing is no wish: an empty variable of a script is an error with a way
//! out, and reaches nobody.

#![allow(clippy::unwrap_used, clippy::panic, reason = "helpers of tests fail as tests do")]

mod support;

use support::names::Names;
use support::{Fake, Run, iamctl, run, samples};

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
