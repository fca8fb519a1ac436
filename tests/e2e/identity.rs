//! The right person: a site requires that a claim names the local user, and whoever else approves
//! a login gives nothing to anybody.

use std::time::Duration;

use iamd_tests::{
    Error, Issuer, IssuerSpec, Node, Product, World, clock, eventually, product, token_file, uid,
};
use serde_json::{Value, json};

use crate::case::{Case, Outcome};
use crate::cases;
use crate::own::own;
use crate::people::{error_of, json as json_of, parsed, sign_in_as, start_login, wait_for_state};

pub fn cases() -> Vec<Case> {
    cases![
        the_right_person_signs_in_and_the_site_says_what_it_requires,
        a_code_that_somebody_else_approves_gives_nothing_and_tells_nothing_of_them,
        a_claim_that_is_missing_ends_the_login,
        a_claim_that_changes_later_ends_the_sign_in_at_the_next_refresh,
        a_map_says_who_is_who_and_a_reload_takes_a_change_over,
        ; alone: a_rule_with_a_mistake_is_named_with_its_line_and_the_one_in_force_stays
        ; apart: without_the_issuers_keys_nobody_is_taken_for_who_a_token_says,
        r25_killed_while_it_is_asked_whose_a_refresh_is_nobody_loses_a_refresh_token
    ]
}

const SOON: Duration = Duration::from_secs(30);
const MAP: &str = "/etc/iamd/maps/people";

/// A node whose issuer `test` has to name the user, and whose issuer `mapped` has to be mapped.
struct Strict {
    node: Node,
    issuer: Issuer,
    mapped: Issuer,
}

fn strict(world: &World) -> Result<Strict, Error> {
    let issuer = world.start_issuer(IssuerSpec::new("strict.test"))?;
    let mapped = world.start_issuer(IssuerSpec::new("mapped.test"))?;
    let by_map = format!("claim = \"preferred_username\"\nmap_file = \"{MAP}\"\n");
    let product = Product::new(&issuer)
        .issuer_file("test", &file("test", &issuer, RULE))
        .issuer("mapped", &mapped)
        .issuer_file("mapped", &file("mapped", &mapped, &by_map));
    let spec = product.on(world.spec("strict")).file(MAP, 0o644, "# who is who\n");
    Ok(Strict { node: world.boot(spec)?, issuer, mapped })
}

const RULE: &str = "claim = \"preferred_username\"\nmust_equal = \"{user}\"\n";

fn file(name: &str, issuer: &Issuer, rule: &str) -> String {
    format!("{}\n[identity]\n{rule}", product::issuer_file(name, issuer))
}

/// The subject of a user at the test issuers (tests/issuer/accounts.mjs).
fn subject(issuer: &Issuer, user: &str) -> Result<String, Error> {
    let about = issuer.control("POST", &format!("users/{user}"), Some(&json!({})))?;
    Ok(about["sub"].as_str().unwrap_or_default().to_owned())
}

fn records(node: &Node, matches: &str) -> Result<Vec<Value>, Error> {
    let said = node.exec(&format!("iamctl admin audit --json {matches}"))?.ok()?;
    Ok(parsed(&said)?["records"].as_array().cloned().unwrap_or_default())
}

fn the_right_person_signs_in_and_the_site_says_what_it_requires(world: &World) -> Outcome {
    let place = world.place(strict)?;
    let (node, alice) = (&place.node, world.user()?);
    let shown = json_of(node, &alice, "iamctl issuer show test --json")?;
    assert_eq!(shown["issuer"]["identity"], "preferred_username is {user}", "{shown}");
    let shown = node.exec_as(&alice, "iamctl issuer show test")?.ok()?.text();
    assert!(shown.contains("preferred_username is {user} (this site requires it)"), "{shown}");
    // And to administrators, with the line: of the site, and of a user.
    let explain = format!("iamctl admin policy explain {alice} --json");
    let lines = json_of(node, "root", &explain)?["lines"].as_array().cloned().unwrap_or_default();
    let of_test = format!("sign in at test only where preferred_username is {alice}");
    let line = lines.iter().find(|line| line["text"] == of_test).ok_or("no such line")?;
    assert_eq!(line["key"], "identity", "{line}");
    let at = line["decided_by"][0].as_str().unwrap_or_default();
    assert!(at.starts_with("/etc/iamd/issuers.d/test.toml:"), "{line}");
    let check = node.exec("iamctl admin policy check")?.ok()?.text();
    for part in [at, "preferred_username is {user}", "preferred_username is one that the site maps"]
    {
        assert!(check.contains(part), "{part}: {check}");
    }
    sign_in_as(node, &place.issuer, &alice, "mine", "test")?;
    node.exec_as(&alice, "iamctl token mine --force-new")?.ok()?;
    let made = records(node, &format!("--user {alice} --event sign-in"))?;
    assert_eq!(made.len(), 1, "{made:?}");
    assert_eq!(made[0]["result"], "ok");
    Ok(())
}

fn a_code_that_somebody_else_approves_gives_nothing_and_tells_nothing_of_them(
    world: &World,
) -> Outcome {
    let place = world.place(strict)?;
    let (node, alice, mallory) = (&place.node, world.user()?, world.user()?);
    let session = node.ssh(&alice).pty().open(None)?;
    let revoked = place.issuer.count("POST /revoke")?;
    let (uri, code) = start_login(node, &alice, "mine", "test")?;
    place.issuer.approve(&uri, &code, &mallory)?;
    let denied = format!("--user {alice} --event denial");
    let denied = eventually("the record of the refusal", SOON, || {
        clock::pause(Duration::from_millis(200));
        match records(node, &denied)? {
            records if records.is_empty() => Err(Error::Wrong("no record".into())),
            records => Ok(records),
        }
    })?;
    assert_eq!(denied[0]["result"], "IdentityMismatch", "{denied:?}");
    // Of the refresh token, and of the access token that may outlive it.
    eventually("both revocations", SOON, || match place.issuer.count("POST /revoke")? {
        count if count > revoked + 1 => Ok(()),
        count => Err(Error::Wrong(format!("{count} revocations"))),
    })?;
    // Nothing of it is here: no account, no token, no file.
    let none = node.exec_as(&alice, "iamctl token mine --json")?;
    assert_ne!(none.code, 0, "{none:?}");
    node.exec(&format!("test ! -e {}", token_file(&alice)?))?.ok()?;
    let left = json_of(node, &alice, "iamctl account list --json")?;
    assert_eq!(left["accounts"], json!([]), "{left}");
    // Nor of the other person: in words, records, the journal.
    let sub = subject(&place.issuer, &mallory)?;
    let number = uid(&alice)?;
    let journal = node.exec(&format!("journalctl -u iamd -o export IAMD_UID={number}"))?.text();
    assert!(journal.contains("IdentityMismatch"), "{journal}");
    assert!(!journal.contains(&mallory) && !journal.contains(&sub), "{journal}");
    drop(session);
    // The right person can, afterwards.
    Ok(sign_in_as(node, &place.issuer, &alice, "mine", "test")?)
}

fn a_claim_that_is_missing_ends_the_login(world: &World) -> Outcome {
    let place = world.place(strict)?;
    let (node, alice) = (&place.node, world.user()?);
    place.issuer.change_user(&alice, &json!({"claims": {"preferred_username": null}}))?;
    // Nor does the userinfo endpoint say it.
    let (uri, code) = start_login(node, &alice, "mine", "test")?;
    place.issuer.approve(&uri, &code, &alice)?;
    let told = eventually("the end of the login", SOON, || {
        clock::pause(Duration::from_millis(200));
        let found = records(node, &format!("--user {alice} --event login-failed"))?;
        found.first().cloned().ok_or_else(|| Error::Wrong("no record".into()))
    })?;
    assert_eq!(told["result"], "IdentityMismatch", "{told}");
    let said = told["detail"].as_str().unwrap_or_default();
    assert!(said.contains("preferred_username") && said.contains("did not say"), "{said}");
    place.issuer.change_user(&alice, &json!({"claims": {}}))?;
    Ok(sign_in_as(node, &place.issuer, &alice, "mine", "test")?)
}

fn a_claim_that_changes_later_ends_the_sign_in_at_the_next_refresh(world: &World) -> Outcome {
    let place = world.place(strict)?;
    let (node, alice) = (&place.node, world.user()?);
    sign_in_as(node, &place.issuer, &alice, "mine", "test")?;
    let mut session = node.ssh(&alice).pty().open(None)?;
    // Once the login is through: one that came later would begin a sign-in by itself.
    session.ask("true")?;
    place.issuer.change_user(&alice, &json!({"claims": {"preferred_username": "renamed"}}))?;
    let said = node.exec_as(&alice, "iamctl token mine --force-new --json")?;
    let (name, message) = error_of(&said)?;
    assert_eq!(name, "IdentityMismatch", "{said:?}");
    assert!(!message.contains("renamed"), "{message}");
    wait_for_state(node, &alice, "mine", "login-required", SOON)?;
    // The token that was there is not given any more either, and its file goes.
    let said = node.exec_as(&alice, "iamctl token mine --json")?;
    assert_eq!(error_of(&said)?.0, "LoginRequired", "{said:?}");
    let file = token_file(&alice)?;
    eventually("the file to go", SOON, || node.exec(&format!("test ! -e {file}"))?.ok())?;
    let denied =
        records(node, &format!("--user {alice} --event denial --result IdentityMismatch"))?;
    assert!(!denied.is_empty() && !format!("{denied:?}").contains("renamed"), "{denied:?}");
    drop(session);
    Ok(())
}

fn without_the_issuers_keys_nobody_is_taken_for_who_a_token_says(world: &World) -> Outcome {
    let (node, issuer) = own(world, "nokeys", &[], "")?;
    let (node, issuer) = (&node, &issuer);
    // What the daemon has of the issuer's keys is forgotten with it.
    node.restart("iamd")?;
    let away = json!([{"match": {"path": "/jwk"}, "fault": {"status": {"code": 503}}}]);
    let faults = issuer.faults(&away)?;
    // Where nothing is required a sign-in is not lost, and bound to nobody.
    sign_in_as(node, issuer, "alice", "mine", "test")?;
    node.exec_as("alice", "iamctl token mine --force-new")?.ok()?;
    let shown = json_of(node, "alice", "iamctl account show mine --json")?;
    assert_eq!(shown["account"]["subject"], Value::Null, "{shown}");
    // With the keys it is, by the next renewal.
    drop(faults);
    eventually("the subject", Duration::from_secs(90), || {
        clock::pause(Duration::from_secs(1));
        node.exec_as("alice", "iamctl token mine --force-new")?.ok()?;
        let shown = json_of(node, "alice", "iamctl account show mine --json")?;
        match shown["account"]["subject"].as_str() == Some(&subject(issuer, "alice")?) {
            true => Ok(()),
            false => Err(Error::Wrong(format!("{shown}"))),
        }
    })?;
    // Where a claim is required nobody signs in without them, and is not sent to approve.
    let strict = file("test", issuer, RULE);
    node.put("/etc/iamd/issuers.d/test.toml", 0o644, "root", strict.as_bytes())?;
    node.restart("iamd")?;
    let faults = issuer.faults(&away)?;
    let said = node.exec_as("bob", "iamctl login mine --issuer test --no-wait --json")?;
    let (name, message) = error_of(&said)?;
    assert_eq!(name, "IssuerUnreachable", "{said:?}");
    assert!(message.contains("without them this site lets nobody sign in there"), "{message}");
    // Who was signed in before is not signed out by it.
    let said = node.exec_as("alice", "iamctl token mine --force-new --json")?;
    assert_eq!(error_of(&said)?.0, "IssuerUnreachable", "{said:?}");
    drop(faults);
    eventually("a token", Duration::from_secs(90), || {
        clock::pause(Duration::from_secs(1));
        node.exec_as("alice", "iamctl token mine --force-new")?.ok()
    })?;
    Ok(sign_in_as(node, issuer, "bob", "mine", "test")?)
}

/// The issuer rotates, and ends all at a second use: what it answered has to be kept by then.
fn r25_killed_while_it_is_asked_whose_a_refresh_is_nobody_loses_a_refresh_token(
    world: &World,
) -> Outcome {
    let (node, issuer) = own(world, "whose", &[("ROTATE", "always"), ("REUSE", "kills")], "")?;
    let (node, issuer) = (&node, &issuer);
    let strict = file("test", issuer, RULE);
    node.put("/etc/iamd/issuers.d/test.toml", 0o644, "root", strict.as_bytes())?;
    node.exec("iamctl admin reload")?.ok()?;
    sign_in_as(node, issuer, "alice", "mine", "test")?;
    for _ in 0..2 {
        // What the daemon has of the issuer's keys is forgotten with it.
        node.restart("iamd")?;
        let refreshes = issuer.count("POST /token refresh_token")?;
        let away = json!([{"match": {"path": "/jwk"}, "fault": "blackhole"}]);
        let faults = issuer.faults(&away)?;
        let ask = "setsid -f iamctl token mine --force-new < /dev/null > /dev/null 2>&1";
        node.exec_as("alice", ask)?.ok()?;
        eventually("the keys to be asked for", SOON, || {
            clock::pause(Duration::from_millis(100));
            match faults.counters()?[0]["matched"].as_u64() {
                Some(1..) => Ok(()),
                other => Err(Error::Wrong(format!("{other:?}"))),
            }
        })?;
        assert_eq!(issuer.count("POST /token refresh_token")?, refreshes + 1);
        node.exec(
            "systemctl kill --signal=KILL iamd; systemctl reset-failed iamd; systemctl start iamd",
        )?
        .ok()?;
        drop(faults);
        eventually("a token without a sign-in", Duration::from_secs(90), || {
            clock::pause(Duration::from_secs(1));
            node.exec_as("alice", "iamctl token mine --force-new")?.ok()
        })?;
    }
    Ok(())
}

fn a_map_says_who_is_who_and_a_reload_takes_a_change_over(world: &World) -> Outcome {
    let place = world.place(strict)?;
    let (node, alice, other) = (&place.node, world.user()?, world.user()?);
    let write = |text: &str| -> Result<(), Error> {
        node.put(MAP, 0o644, "root", text.as_bytes())?;
        node.exec("iamctl admin reload")?.ok().map(drop)
    };
    // At that issuer this user has another name.
    place.mapped.change_user(&alice, &json!({"claims": {"preferred_username": "elsewhere"}}))?;
    write(&format!("# who is who\nelsewhere -> {alice}\n"))?;
    sign_in_as(node, &place.mapped, &alice, "there", "mapped")?;
    let (uri, code) = start_login(node, &alice, "second", "mapped")?;
    place.mapped.approve(&uri, &code, &other)?;
    let denied = format!("--user {alice} --event denial --account second");
    eventually("the refusal", SOON, || {
        clock::pause(Duration::from_millis(200));
        match records(node, &denied)?.is_empty() {
            true => Err(Error::Wrong("no record".into())),
            false => Ok(()),
        }
    })?;
    write(&format!("elsewhere -> {other}\n"))?;
    let said = node.exec_as(&alice, "iamctl token there --force-new --json")?;
    assert_eq!(error_of(&said)?.0, "IdentityMismatch", "{said:?}");
    Ok(())
}

fn a_rule_with_a_mistake_is_named_with_its_line_and_the_one_in_force_stays(
    world: &World,
) -> Outcome {
    let place = world.place(strict)?;
    let node = &place.node;
    let before = node.get(MAP)?;
    node.put(MAP, 0o644, "root", b"a -> b\nnonsense\n")?;
    let said = node.exec("iamctl admin reload")?;
    assert_eq!(said.code, 1, "{said:?}");
    let place_of = format!("{MAP}:2: must be: VALUE -> USER");
    assert!(said.errors().contains(&place_of), "{}", said.errors());
    node.put(MAP, 0o666, "root", &before)?;
    let said = node.exec("iamctl admin reload")?;
    assert!(said.errors().contains("can be written by others"), "{}", said.errors());
    node.put(MAP, 0o644, "root", &before)?;
    let shown = json_of(node, "carol", "iamctl issuer show test --json")?;
    assert_eq!(shown["issuer"]["identity"], "preferred_username is {user}", "{shown}");
    node.exec("iamctl admin reload")?.ok().map(drop)?;
    Ok(())
}
