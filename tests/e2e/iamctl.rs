//! `iamctl` on a node: what it prints where, each exit code, and how often the issuer is asked.

use std::time::Duration;

use iamd_tests::clock::unix_time;
use iamd_tests::issuer::claims;
use iamd_tests::{Product, World, eventually, sign_in, token_file};
use serde_json::json;

use crate::case::{Case, Outcome};
use crate::cases;
use crate::own::{iamctl, iamctl_json, own};

pub fn cases() -> Vec<Case> {
    cases![
        a_token_is_printed_in_each_form_and_alone_on_standard_output,
        a_narrowed_token_has_the_scope_and_audience_that_were_asked_for_and_no_more,
        what_is_listed_is_told_to_people_and_to_programs,
        exit_codes_tell_what_is_missing,
        without_the_daemon_the_exit_code_is_5,
        logout_revokes_forgets_and_takes_the_file_away,
        a_hundred_at_once_for_an_expired_token_are_one_refresh_and_a_narrowed_one_is_asked_for_once,
    ]
}

fn a_token_is_printed_in_each_form_and_alone_on_standard_output(world: &World) -> Outcome {
    let (node, user) = (world.node()?, world.user()?);
    let _session = sign_in(node, world.issuer()?, &user)?;
    let token = String::from_utf8(node.get(&token_file(&user)?)?)?;
    for (options, form) in [
        ("", format!("{token}\n")),
        ("--min-valid 50m", format!("{token}\n")),
        ("test", format!("{token}\n")),
        ("--env", format!("export BEARER_TOKEN='{token}'\n")),
        ("--header", format!("Authorization: Bearer {token}\n")),
    ] {
        let seen = iamctl(node, &user, &format!("token {options}"))?.ok()?;
        assert_eq!((seen.text(), seen.errors()), (form, String::new()), "{options}");
    }
    let told = iamctl_json(node, &user, "token")?;
    assert_eq!((&told["token"], &told["account"]), (&json!(token), &json!("test")));
    // Counted from when it was asked for, so never after the token's own end.
    let seconds = |value: &serde_json::Value| value.as_i64().unwrap_or_default();
    let early = seconds(&claims(&token)?["exp"]) - seconds(&told["expires_at"]);
    assert!((0..60).contains(&early), "{told}");
    assert_eq!(told["issuer"], world.issuer()?.url());
    Ok(())
}

fn a_narrowed_token_has_the_scope_and_audience_that_were_asked_for_and_no_more(
    world: &World,
) -> Outcome {
    let (node, issuer, user) = (world.node()?, world.issuer()?, world.user()?);
    let _session = sign_in(node, issuer, &user)?;
    let file = node.get(&token_file(&user)?)?;
    let words = "token -s storage.read:/home -s compute.read --aud https://se.example.org";
    let claims = issuer.verify(&iamctl(node, &user, words)?.ok()?.line())?;
    let mut scopes: Vec<_> = claims["scope"].as_str().unwrap_or_default().split(' ').collect();
    scopes.sort_unstable();
    assert_eq!(scopes, ["compute.read", "storage.read:/home"]);
    assert_eq!(claims["aud"], "https://se.example.org");
    // Only what was printed is narrowed.
    assert_eq!(node.get(&token_file(&user)?)?, file);
    let fresh = iamctl(node, &user, "token --force-new")?.ok()?.line();
    assert_ne!(fresh.as_bytes(), file);
    assert_eq!(node.get(&token_file(&user)?)?, fresh.as_bytes(), "a new token is in the file");
    Ok(())
}

fn what_is_listed_is_told_to_people_and_to_programs(world: &World) -> Outcome {
    let (node, user) = (world.node()?, world.user()?);
    let _session = sign_in(node, world.issuer()?, &user)?;
    let (file, url) = (token_file(&user)?, world.issuer()?.url());
    for (words, parts) in [
        ("status", &["test (default): signed in", "notice at login on", &file, &user][..]),
        ("account list", &["NAME", "*  test", "signed in", &url]),
        ("account show", &["test (default): signed in", "storage.read:/", "Client"]),
        ("account show test", &["test (default): signed in"]),
        ("issuer list", &["NAME", "*  test", "the test issuer", "wlcg", &url]),
        ("issuer show", &["test (default): the test issuer", "compute.read", &url]),
        ("issuer show wlcg", &["https://wlcg.cloud.cnaf.infn.it/"]),
        (
            "doctor",
            &["ok", "BEARER_TOKEN_FILE: is set", "XRootD: finds", "account test: signed in"],
        ),
    ] {
        let seen = iamctl(node, &user, words)?.ok()?;
        let errors = if words == "doctor" { "0 problems, 0 warnings.\n" } else { "" };
        assert_eq!(seen.errors(), errors, "{words}");
        for part in parts {
            assert!(seen.text().contains(part), "{part} in {words}: {}", seen.text());
        }
    }
    let status = iamctl_json(node, &user, "status")?;
    let account = &status["accounts"][0];
    assert_eq!((&account["state"], &account["name"]), (&json!("signed-in"), &json!("test")));
    assert_eq!(account["token_file"], file);
    assert_eq!(status["sessions"], 2, "the session that stays and the one that asks");
    assert_eq!(&iamctl_json(node, &user, "account list")?["accounts"][0], account);
    assert_eq!(&iamctl_json(node, &user, "account show")?["account"], account);
    assert_eq!(iamctl_json(node, &user, "issuer show")?["issuer"]["url"], url);
    let issuers = iamctl_json(node, &user, "issuer list")?;
    assert!(issuers["issuers"].as_array().is_some_and(|list| list.len() > 5), "{issuers}");
    assert_eq!(iamctl_json(node, &user, "doctor")?["problems"], 0);
    Ok(())
}

fn exit_codes_tell_what_is_missing(world: &World) -> Outcome {
    let (node, user) = (world.node()?, world.user()?);
    // Without a session no login is started, so none is pending.
    let early = node.exec_as(&user, "iamctl token")?;
    assert_eq!((early.code, early.text().as_str()), (3, ""));
    assert!(early.errors().contains("Sign in with:  iamctl login"), "{early:?}");
    let waiting = iamctl(node, &user, "token")?;
    assert_eq!((waiting.code, waiting.text().as_str()), (3, ""));
    assert!(waiting.errors().contains("Finish the running login:  iamctl login"), "{waiting:?}");
    let _session = sign_in(node, world.issuer()?, &user)?;
    for (words, code, name) in [
        ("token nosuch", 1, "NoSuchAccount"),
        ("account show nosuch", 1, "NoSuchAccount"),
        ("issuer show nosuch", 1, "NoSuchIssuer"),
        ("token ../x", 2, "InvalidArgument"),
        ("token -s 'back\\slash'", 2, "InvalidArgument"),
        ("admin users", 4, "NotAuthorized"),
        ("admin reload", 4, "NotAuthorized"),
        ("login x --issuer https://elsewhere.example/", 4, "IssuerNotAllowed"),
        ("token --min-valid 2h", 6, "ValidityUnavailable"),
        ("token -s storage.stage:/", 6, "ScopeUnavailable"),
    ] {
        let seen = iamctl(node, &user, words)?;
        assert_eq!((seen.code, seen.text().as_str()), (code, ""), "{words}: {seen:?}");
        assert!(seen.errors().starts_with("iamctl: "), "{words}: {}", seen.errors());
        let seen = iamctl(node, &user, &format!("{words} --json"))?.exited(code)?;
        assert!(seen.text().contains(&format!("\"name\":\"{name}\"")), "{words}: {}", seen.text());
    }
    for words in ["", "nosuch", "token --min-valid soon", "token --env --json"] {
        let seen = iamctl(node, &user, words)?.exited(2)?;
        assert!(
            seen.stdout.is_empty() && seen.errors().contains("Usage: iamctl")
                || seen.errors().contains("--help"),
            "{words}: {seen:?}"
        );
    }
    Ok(())
}

fn without_the_daemon_the_exit_code_is_5(world: &World) -> Outcome {
    let product = Product::new(world.issuer()?);
    let node = world.boot(product.on(world.spec("stopped")))?;
    node.exec("systemctl mask --runtime --now iamd")?.ok()?;
    for words in ["token", "status", "login", "logout", "account list", "issuer show"] {
        let seen = node.exec_as("alice", &format!("iamctl {words}"))?;
        assert_eq!((seen.code, seen.text().as_str()), (5, ""), "{words}: {seen:?}");
        assert!(seen.errors().contains("systemctl status iamd"), "{words}: {seen:?}");
        assert!(seen.took < Duration::from_secs(5), "{words} took {:?}", seen.took);
    }
    Ok(())
}

fn logout_revokes_forgets_and_takes_the_file_away(world: &World) -> Outcome {
    let (node, user) = (world.node()?, world.user()?);
    let mut session = sign_in(node, world.issuer()?, &user)?;
    let out = session.ask("iamctl logout")?;
    assert!(out.contains("Signed out of test: the issuer has revoked the sign-in"), "{out}");
    node.exec(&format!("test -e {}", token_file(&user)?))?.exited(1)?;
    let left = session.ask("readlink -e $XDG_RUNTIME_DIR/bt_u*; true")?;
    assert_eq!(left, "", "a link that leads somewhere");
    let token = session.ask("iamctl token || echo exit $?")?;
    assert!(token.contains("signed out") && token.contains("exit 3"), "{token}");
    let status = iamctl_json(node, &user, "status")?;
    assert_eq!(status["accounts"][0]["state"], "login-required");
    Ok(())
}

/// All wait for the lock, so that they ask at the same moment.
const HUNDRED: &str = "cd && : > lock && exec 9< lock && flock -x 9 && for i in $(seq 100); do \
    (exec 9<&-; flock -s lock iamctl token > token.$i 2> errors.$i) & done; \
    for look in $(seq 200); do [ $(pgrep -c -u $USER -x flock) -ge 100 ] && break; sleep 0.05; done; \
    flock -u 9; wait; cat errors.*; cat token.* | sort | uniq -c";

fn a_hundred_at_once_for_an_expired_token_are_one_refresh_and_a_narrowed_one_is_asked_for_once(
    world: &World,
) -> Outcome {
    // More than the 64 requests that one user may have in flight: the others wait their turn.
    let config = "[sessions]\ngrace = \"1s\"\n";
    let (node, issuer) = own(world, "hundred", &[("AT_TTL", "15")], config)?;
    drop(sign_in(&node, &issuer, "alice")?);
    // Nothing is renewed for a user who is gone, so the token ends.
    let gone = || node.exec(&format!("test ! -e {}", token_file("alice")?))?.ok();
    eventually("the end of the grace", Duration::from_secs(10), gone)?;
    let last = node.exec_as("alice", "iamctl account show --json")?.ok()?;
    let last: serde_json::Value = serde_json::from_slice(&last.stdout)?;
    let ends = last["account"]["access_expires_at"].as_u64().unwrap_or_default();
    let ended = || if unix_time() > ends { Ok(()) } else { Err("not yet") };
    eventually("the token's end", Duration::from_secs(20), ended)?;

    // The reply takes its time, so that all hundred wait for it.
    let slow = json!([{"match": {"path": "/token"}, "fault": {"latency": {"ms": 1000}}}]);
    let faults = issuer.faults(&slow)?;
    let refreshes = || issuer.count("POST /token refresh_token");
    let before = refreshes()?;
    let seen = node.exec_as("alice", HUNDRED)?.ok()?.line();
    assert_eq!(seen.lines().count(), 1, "one token for all: {seen}");
    assert_eq!(seen.split(' ').next(), Some("100"), "{seen}");
    assert_eq!(refreshes()?, before + 1);
    drop(faults);

    let narrowed = || node.exec_as("alice", "iamctl token -s compute.read")?.ok();
    let first = narrowed()?.line();
    assert_eq!(refreshes()?, before + 2);
    assert_eq!(narrowed()?.line(), first);
    assert_eq!(refreshes()?, before + 2, "the narrowed token was in memory");
    Ok(())
}
