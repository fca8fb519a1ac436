//! Another key for every record of a node on which users go on working.

use std::time::Duration;

use iamd_tests::{Error, Node, Output, World, eventually, sign_in};
use serde_json::Value;

use crate::case::{Case, Outcome};
use crate::cases;
use crate::own::own;
use crate::people::{parsed, sign_in_as, wait_for_state};

type Result<T> = std::result::Result<T, Error>;

pub fn cases() -> Vec<Case> {
    cases![
        ;
        apart: every_record_gets_a_new_key_while_users_go_on_and_a_kill_only_interrupts_it,
        a_credential_is_changed_by_the_site_and_rekey_seals_with_its_new_line,
    ]
}

const KEYRING: &str = "/var/lib/iamd/keyring";
const SOON: Duration = Duration::from_secs(40);
const WORDS: &str = "correct horse battery";

fn rekey(node: &Node, words: &str) -> Result<Value> {
    parsed(&node.exec(&format!("iamctl admin rekey {words} --json"))?.ok()?)
}

fn text<'a>(state: &'a Value, name: &str) -> &'a str {
    state[name].as_str().unwrap_or_default()
}

fn unlock(node: &Node, user: &str) -> Result<Output> {
    let line = format!("printf '%s\\n' '{WORDS}' | iamctl account unlock --passphrase-fd 0");
    node.exec_as(user, &line)
}

/// Whether the store is sound, with what `iamctl` says of it.
fn is_sound(node: &Node) -> Result<Value> {
    parsed(&node.exec("iamctl admin store check --json")?.ok()?)
}

fn every_record_gets_a_new_key_while_users_go_on_and_a_kill_only_interrupts_it(
    world: &World,
) -> Outcome {
    let (node, issuer) = own(world, "rekey", &[("ROTATE", "always")], "")?;
    let _session = sign_in(&node, &issuer, "alice")?;
    sign_in_as(&node, &issuer, "bob", "test", "test")?;
    let set = format!("printf '%s\\n' '{WORDS}' | iamctl account passphrase --new-passphrase-fd 0");
    node.exec_as("bob", &set)?.ok()?;
    node.exec_as("bob", "iamctl account lock")?.ok()?;
    // Only for administrators, and nothing happens otherwise.
    let before = node.root_says(&format!("sha256sum {KEYRING}"))?;
    for words in ["rekey", "rekey --retire", "rekey --status", "store check"] {
        let refused = node.exec_as("alice", &format!("iamctl admin {words}"))?;
        assert_eq!(refused.code, 4, "{words}: {refused:?}");
    }
    assert_eq!(node.root_says(&format!("sha256sum {KEYRING}"))?, before);

    let first = rekey(&node, "--status")?;
    assert_eq!((text(&first, "state"), &first["remaining"]), ("done", &0.into()));
    let said = node.exec("iamctl admin rekey")?.ok()?;
    assert!(said.errors().contains("Every record is sealed with"), "{said:?}");
    assert!(said.errors().contains("iamctl admin rekey --retire"), "{said:?}");
    let second = rekey(&node, "--status")?;
    assert_ne!(second["key"], first["key"]);
    assert_eq!(second["older_keys"][0], first["key"]);
    node.exec_as("alice", "iamctl token --force-new")?.ok()?;
    let retired = rekey(&node, "--retire")?;
    assert_eq!(retired["retired"][0], first["key"]);
    let lines = node.root_says(&format!("grep -vc '^#' {KEYRING}"))?;
    assert_eq!(lines, "1", "the old key is gone from the disk");
    assert_eq!(node.root_says(&format!("stat -c '%U %a' {KEYRING}"))?, "root 400");

    // Killed at any moment, again and again, while alice refreshes.
    for delay in ["0", "0.01", "0.03", "0.06", "0.1", "0.2"] {
        let line = format!(
            "(timeout 20 iamctl admin rekey >/dev/null 2>&1 &); sleep {delay}; \
             systemctl kill --signal=KILL iamd; systemctl reset-failed iamd; systemctl start iamd"
        );
        node.exec(&line)?.ok()?;
        eventually("alice's token after the kill", SOON, || {
            node.exec_as("alice", "iamctl token --force-new")?.ok()
        })?;
        assert_eq!(is_sound(&node)?["sound"], true);
    }
    // What was interrupted has gone on by itself.
    let state = eventually("the rest to be sealed", SOON, || {
        let state = rekey(&node, "--status")?;
        if text(&state, "state") == "done" {
            Ok(state)
        } else {
            Err(Error::Wrong(state.to_string()))
        }
    })?;
    assert!(state["unreadable"].as_array().is_some_and(Vec::is_empty), "{state}");
    rekey(&node, "--retire")?;
    let report = is_sound(&node)?;
    assert_eq!(report["keys"].as_array().map(Vec::len), Some(1), "{report}");
    node.restart("iamd")?;
    let token = node.exec_as("alice", "iamctl token --force-new")?.ok()?.line();
    issuer.verify(&token)?;

    // bob's account has been locked all the time, and opens with his words.
    wait_for_state(&node, "bob", "test", "locked", SOON)?;
    unlock(&node, "bob")?.ok()?;
    let token = node.exec_as("bob", "iamctl token --force-new")?.ok()?.line();
    issuer.verify(&token)?;
    let told = node.root_says("journalctl -o cat IAMD_EVENT=administration | grep -c rekey")?;
    assert_ne!(told, "0");
    Ok(())
}

fn a_credential_is_changed_by_the_site_and_rekey_seals_with_its_new_line(world: &World) -> Outcome {
    let (node, issuer) = own(world, "rekeycred", &[], "")?;
    drop(sign_in(&node, &issuer, "alice")?);
    let lines = |text: &str| -> Result<()> {
        node.put("/etc/iamd/credential", 0o600, "root", text.as_bytes())
    };
    let drop_in =
        "[Service]\nLoadCredentialEncrypted=\nLoadCredential=iamd.keyring:/etc/iamd/credential\n";
    let path = "/etc/systemd/system/iamd.service.d/credential.conf";
    node.put(path, 0o644, "root", drop_in.as_bytes())?;
    let two = "two AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAI=\n";
    let three = "three AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAM=\n";
    lines(two)?;
    node.exec("systemctl daemon-reload")?.ok()?;
    node.restart("iamd")?;
    let state = rekey(&node, "--status")?;
    assert_eq!((text(&state, "state"), text(&state, "key")), ("unfinished", "two"));
    assert_eq!(text(&rekey(&node, "")?, "state"), "done");
    // There is no more for iamd to do: it says what the site has to.
    let refused = node.exec("iamctl admin rekey")?.exited(1)?;
    let advice = "Put a new line on top of the keyring in the credential, restart iamd";
    assert!(refused.errors().contains(advice), "{refused:?}");
    rekey(&node, "--retire")?;
    node.exec(&format!("test ! -e {KEYRING}"))?.ok()?;
    lines(&[three, two].concat())?;
    node.restart("iamd")?;
    assert_eq!(text(&rekey(&node, "")?, "key"), "three");
    lines(three)?;
    node.restart("iamd")?;
    node.exec_as("alice", "iamctl token --force-new")?.ok()?;
    assert_eq!(is_sound(&node)?["sound"], true);
    Ok(())
}
