//! Accounts with a passphrase: what the node cannot use alone, and what their users see of it.

use std::time::Duration;

use iamd_tests::{Error, Issuer, Node, Output, World, clock, eventually, sign_in, token_file};
use serde_json::Value;

use crate::case::{Case, Outcome};
use crate::cases;
use crate::own::own;
use crate::people::{bus, json, parsed, put_bus_client, wait_for_state};

type Result<T> = std::result::Result<T, Error>;

pub fn cases() -> Vec<Case> {
    cases![
        ;
        apart: a_passphrase_locks_after_a_restart_and_brings_everything_back,
        a_first_sign_in_is_guarded_and_a_lost_passphrase_is_left_behind,
    ]
}

const WORDS: &str = "correct horse battery";
const SOON: Duration = Duration::from_secs(10);

/// `iamctl WORDS` with a passphrase on standard input.
fn given(node: &Node, user: &str, passphrase: &str, words: &str) -> Result<Output> {
    node.exec_as(user, &format!("printf '%s\\n' '{passphrase}' | iamctl {words}"))
}

/// Restarts iamd, and waits for what it asks of its own accord when it starts: where the issuer is.
/// After that, whatever the issuer is asked is asked for somebody.
fn restart(node: &Node, issuer: &Issuer) -> Result<()> {
    const METADATA: &str = "GET /.well-known/openid-configuration";
    let before = issuer.count(METADATA)?;
    node.restart("iamd")?;
    eventually("the metadata that a daemon asks for at its start", SOON, || {
        match issuer.count(METADATA)? {
            asked if asked > before => Ok(()),
            _ => Err(Error::Wrong("not asked".into())),
        }
    })
}

/// What `iamctl token` answers while the account is locked, how soon, and that nobody is asked.
fn is_locked(node: &Node, issuer: &Issuer, user: &str) -> Result<()> {
    let asked = issuer.requests()?.len();
    let start = clock::now();
    let said = node.exec_as(user, "iamctl token")?.exited(3)?;
    let took = start.elapsed();
    assert!(said.stdout.is_empty() && took < Duration::from_secs(1), "{took:?}: {said:?}");
    assert!(said.errors().contains("is locked\n  Unlock it with:  iamctl account unlock"));
    assert_eq!(issuer.requests()?.len(), asked, "the issuer was asked");
    let shown = json(node, user, "iamctl account show --json")?;
    assert_eq!(shown["account"]["state"], "locked");
    assert_eq!(shown["account"]["has_passphrase"], true);
    Ok(())
}

fn file_is_gone(node: &Node, file: &str) -> Result<()> {
    eventually(&format!("{file} to go"), SOON, || node.exec(&format!("test ! -e {file}"))?.ok())
        .map(drop)
}

fn file_is_there(node: &Node, file: &str) -> Result<()> {
    eventually(&format!("{file} to come"), SOON, || node.exec(&format!("test -s {file}"))?.ok())
        .map(drop)
}

/// No secret that the issuer ever gave stands in the state directory as it is.
fn nothing_is_readable(node: &Node, issuer: &Issuer) -> Result<()> {
    let Value::Array(secrets) = issuer.control("GET", "secrets", None)? else {
        return Err(Error::Wrong("no list of secrets".into()));
    };
    let patterns: Vec<&str> = secrets.iter().filter_map(Value::as_str).collect();
    assert!(patterns.len() >= 3, "{}", patterns.len());
    let look = "cat > /run/patterns; cat /var/lib/iamd/* | strings | grep -F -f /run/patterns; \
                grep -rlaF -f /run/patterns /var/lib/iamd; rm /run/patterns";
    let found = node.exec_with(look, patterns.join("\n").as_bytes(), SOON)?;
    assert_eq!(found.text(), "");
    Ok(())
}

fn a_passphrase_locks_after_a_restart_and_brings_everything_back(world: &World) -> Outcome {
    let options = [("ROTATE", "always"), ("REUSE", "fails")];
    let (node, issuer) = own(world, "guarded", &options, "")?;
    let (user, file) = ("alice", token_file("alice")?);
    let _session = sign_in(&node, &issuer, user)?;
    let set = given(&node, user, WORDS, "account passphrase --new-passphrase-fd 0")?.ok()?;
    assert!(set.errors().contains("has a passphrase now"), "{set:?}");
    let first = node.exec_as(user, "iamctl token --force-new")?.ok()?.line();
    issuer.verify(&first)?;
    file_is_there(&node, &file)?;
    nothing_is_readable(&node, &issuer)?;

    // The node alone cannot go on.
    restart(&node, &issuer)?;
    file_is_gone(&node, &file)?;
    is_locked(&node, &issuer, user)?;
    let mut later = node.ssh(user).pty().open(None)?;
    later.wait_for("is locked. To unlock it:  iamctl account unlock")?;
    let refused = node.exec_as(user, "iamctl login --no-wait")?.exited(3)?;
    assert!(refused.errors().contains("iamctl account unlock"), "{refused:?}");
    let listed = node.exec_as(user, "iamctl account list")?.ok()?.text();
    assert!(listed.contains("locked"), "{listed}");
    let wrong = given(&node, user, "wrong horse", "account unlock --passphrase-fd 0")?.exited(1)?;
    assert!(wrong.errors().contains("not the passphrase"), "{wrong:?}");
    is_locked(&node, &issuer, user)?;

    // Asked for on a terminal, and not shown on it.
    later.send("iamctl account unlock\n")?;
    later.wait_for("Passphrase of test: ")?;
    later.send(&format!("{WORDS}\n"))?;
    let seen = later.wait_for("Unlocked test")?;
    assert!(!seen.contains("horse"), "{seen}");
    file_is_there(&node, &file)?;
    let again = node.exec_as(user, "iamctl token --force-new")?.ok()?.line();
    assert_eq!(issuer.verify(&again)?["sub"], issuer.verify(&first)?["sub"]);

    // For a time, and by hand.
    let timed = given(&node, user, WORDS, "account unlock --passphrase-fd 0 --for 2s")?.ok()?;
    assert!(timed.errors().contains("Unlocked test for"), "{timed:?}");
    file_is_gone(&node, &file)?;
    is_locked(&node, &issuer, user)?;
    given(&node, user, WORDS, "account unlock --passphrase-fd 0 --for 8h")?.ok()?;
    file_is_there(&node, &file)?;
    let until =
        json(&node, user, "iamctl account show --json")?["account"]["unlocked_until"].as_u64();
    assert!(until.is_some());
    node.exec_as(user, "iamctl account lock --all")?.ok()?;
    file_is_gone(&node, &file)?;
    is_locked(&node, &issuer, user)?;

    // A rotated refresh token outlives a power cut and is the one that works.
    given(&node, user, WORDS, "account unlock --passphrase-fd 0")?.ok()?;
    node.exec_as(user, "iamctl token --force-new")?.ok()?;
    node.exec(
        "systemctl kill --signal=KILL iamd; systemctl reset-failed iamd; systemctl start iamd",
    )?
    .ok()?;
    wait_for_state(&node, user, "test", "locked", SOON)?;
    given(&node, user, WORDS, "account unlock --passphrase-fd 0")?.ok()?;
    node.exec_as(user, "iamctl token --force-new")?.ok()?;
    nothing_is_readable(&node, &issuer)?;

    // Too many wrong ones, and what was recorded; nothing of the passphrase is in the journal.
    for _ in 0..5 {
        given(&node, user, "wrong horse", "account unlock --passphrase-fd 0")?.exited(1)?;
    }
    given(&node, user, WORDS, "account unlock --passphrase-fd 0")?.exited(4)?;
    for event in ["lock", "unlock", "wrong-passphrase", "passphrase"] {
        let count = node.root_says(&format!("journalctl -o cat IAMD_EVENT={event} | wc -l"))?;
        assert_ne!(count, "0", "{event}");
    }
    assert_eq!(node.root_says("journalctl -o export --all | grep -c horse || true")?, "0");
    Ok(())
}

fn a_first_sign_in_is_guarded_and_a_lost_passphrase_is_left_behind(world: &World) -> Outcome {
    let (node, issuer) = own(world, "guarded-first", &[("ROTATE", "always")], "")?;
    let user = "bob";
    let sign_in = |words: &str| -> Result<()> {
        let said = given(&node, user, WORDS, &format!("login {words} --no-wait --json"))?.ok()?;
        let last = said.text().lines().last().unwrap_or_default().to_owned();
        let login: Value = serde_json::from_str(&last)
            .map_err(|error| Error::Wrong(format!("{error}: {said:?}")))?;
        let text = |name: &str| login[name].as_str().unwrap_or_default().to_owned();
        issuer.approve(&text("verification_uri"), &text("user_code"), user)?;
        wait_for_state(&node, user, "test", "signed-in", SOON)
    };
    sign_in("--passphrase-fd 0")?;
    let shown = parsed(&node.exec_as(user, "iamctl account show --json")?.ok()?)?;
    assert_eq!(shown["account"]["has_passphrase"], true);
    node.exec_as(user, "iamctl token")?.ok()?;
    restart(&node, &issuer)?;
    is_locked(&node, &issuer, user)?;
    nothing_is_readable(&node, &issuer)?;

    // Lost: signed out, and in again without it.
    let out = node.exec_as(user, "iamctl logout")?.ok()?;
    assert!(out.errors().contains("was locked"), "{out:?}");
    sign_in("")?;
    let shown = parsed(&node.exec_as(user, "iamctl account show --json")?.ok()?)?;
    assert_eq!(shown["account"]["has_passphrase"], false);
    node.restart("iamd")?;
    node.exec_as(user, "iamctl token")?.ok()?;

    // The shipped policy lets another user through to the methods, and no further than their own.
    put_bus_client(&node)?;
    let lock = bus(&node, "carol", "call org.iamd1.Accounts Lock s test")?;
    assert!(lock.contains("NoSuchAccount"), "{lock}");
    Ok(())
}
