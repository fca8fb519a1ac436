//! The unit with the real program in it: confined as it says, and able to do its work like that.

use std::collections::BTreeMap;
use std::time::Duration;

use iamd_tests::{Error, Node, Product, World, clock, eventually, sign_in, token_file};
use serde_json::Value;

use crate::case::{Case, Outcome};
use crate::cases;

pub fn cases() -> Vec<Case> {
    cases![
        systemd_finds_an_exposure_of_2_at_most,
        the_process_has_the_unit_s_capabilities_and_no_more,
        the_process_leaves_no_core_and_nobody_looks_into_it,
        a_whole_login_meets_no_refusal_of_the_confinement,
        the_journal_has_a_record_with_fields_for_each_event_and_no_secret;
        apart: the_daemon_is_ready_when_systemd_says_so_and_that_is_soon,
    ]
}

/// CAP_CHOWN is bit 0 and CAP_DAC_OVERRIDE bit 1 (linux/capability.h): what the unit grants.
const CAPABILITIES: &str = "0000000000000003";

/// `/proc/PID/status` of the daemon.
fn status(node: &Node) -> Result<BTreeMap<String, String>, Error> {
    let text = node.root_says("cat /proc/$(systemctl show -p MainPID --value iamd)/status")?;
    let pairs = text.lines().filter_map(|line| line.split_once(':'));
    Ok(pairs.map(|(name, value)| (name.to_owned(), value.trim().to_owned())).collect())
}

fn systemd_finds_an_exposure_of_2_at_most(world: &World) -> Outcome {
    let node = world.node()?;
    assert_eq!(node.root_says("systemctl is-active iamd")?, "active");
    let said = node.root_says("systemd-analyze security --no-pager iamd.service | tail -n 1")?;
    let level = said.split_once("iamd.service:").map(|(_, rest)| rest.trim().to_owned());
    let level = level.and_then(|rest| rest.split_whitespace().next()?.parse::<f64>().ok());
    world.say(&said);
    assert!(level.is_some_and(|level| level <= 2.0), "{said}");
    Ok(())
}

fn the_process_has_the_unit_s_capabilities_and_no_more(world: &World) -> Outcome {
    let node = world.node()?;
    let unit = node.root_says("systemctl show -p CapabilityBoundingSet --value iamd")?;
    assert_eq!(unit, "cap_chown cap_dac_override");
    let status = status(node)?;
    for set in ["CapPrm", "CapEff", "CapBnd"] {
        assert_eq!(status[set], CAPABILITIES, "{set}");
    }
    for set in ["CapInh", "CapAmb"] {
        assert_eq!(status[set], "0000000000000000", "{set}");
    }
    assert_eq!((status["NoNewPrivs"].as_str(), status["Seccomp"].as_str()), ("1", "2"));
    Ok(())
}

fn the_process_leaves_no_core_and_nobody_looks_into_it(world: &World) -> Outcome {
    let node = world.node()?;
    let pid = node.root_says("systemctl show -p MainPID --value iamd")?;
    let limits = node.root_says(&format!("cat /proc/{pid}/limits"))?;
    let core = limits.lines().find(|line| line.starts_with("Max core file size"));
    let core: Vec<_> = core.unwrap_or_default().split_whitespace().skip(4).collect();
    assert_eq!(core, ["0", "0", "bytes"], "{limits}");
    // What is not dumpable belongs to root whoever it runs as, and its memory is refused even to
    // a root that has the same capabilities as it, but not ptrace (proc(5), /proc/PID/mem).
    let same = format!(
        "setpriv --bounding-set -all,+chown,+dac_override --inh-caps -all head -c 1 \
         /proc/{pid}/environ"
    );
    let refused = node.exec(&same)?;
    assert_ne!(refused.code, 0, "{refused:?}");
    // A process of the same kind that is dumpable can be looked into: the check has teeth.
    let teeth = "sleep 9 & setpriv --bounding-set -all,+chown,+dac_override --inh-caps -all sh -c \
                 'sleep 9 & sleep 0.1; head -c 1 /proc/$!/environ; kill $!' ; kill $!";
    assert_eq!(node.exec(teeth)?.ok()?.stdout.len(), 1);
    Ok(())
}

fn a_whole_login_meets_no_refusal_of_the_confinement(world: &World) -> Outcome {
    let (node, user) = (world.node()?, world.user()?);
    let mut session = sign_in(node, world.issuer()?, &user)?;
    session.ask("iamctl token > /dev/null; iamctl token -s storage.read:/ > /dev/null; iamctl status > /dev/null")?;
    session.ask(&format!("test -s {}", token_file(&user)?))?;
    session.send("exit\n")?;
    session.close()?;
    let journal = node.journal("iamd")?;
    let all =
        node.root_says("journalctl -b -o cat --no-pager _TRANSPORT=audit + _TRANSPORT=kernel")?;
    for word in ["SECCOMP", "avc:", "denied", "not permitted", "Permission denied", "os error 1)"] {
        for text in [&journal, &all] {
            let line = text.lines().find(|line| line.contains(word) && !line.contains("IAMD_"));
            assert_eq!(line, None, "{word}");
        }
    }
    assert!(!journal.contains("panicked"), "{journal}");
    assert_eq!(node.root_says("systemctl show -p NRestarts --value iamd")?, "0");
    assert_eq!(node.root_says("systemctl is-system-running")?, "running");
    Ok(())
}

fn the_journal_has_a_record_with_fields_for_each_event_and_no_secret(world: &World) -> Outcome {
    let (node, issuer, user) = (world.node()?, world.issuer()?, world.user()?);
    let uid = iamd_tests::uid(&user)?.to_string();
    let mut session = sign_in(node, issuer, &user)?;
    let token = session.ask(&format!("cat {}", token_file(&user)?))?;
    session.ask("iamctl token > /dev/null")?;
    session.ask("iamctl logout > /dev/null")?;
    session.send("exit\n")?;
    session.close()?;
    let records = |event: &str| -> Result<Vec<Value>, Error> {
        // The client is the site's: whoever came first had it registered.
        let whose = if event == "registration" { String::new() } else { format!("IAMD_UID={uid}") };
        let query = format!("journalctl -b -o json --no-pager IAMD_EVENT={event} {whose}");
        let text = node.root_says(&query)?;
        Ok(text.lines().filter_map(|line| serde_json::from_str(line).ok()).collect())
    };
    let ended = || match records("session-closed")?.is_empty() {
        false => Ok(()),
        true => Err(Error::Wrong("no record of the end".into())),
    };
    eventually("the end's record", Duration::from_secs(10), ended)?;
    let mut ids = Vec::new();
    for event in ["session-opened", "login-started", "registration", "sign-in", "issue", "sign-out"]
    {
        let records = records(event)?;
        let record = records.first().ok_or_else(|| format!("no record of {event}"))?;
        let field = |name: &str| record[name].as_str().unwrap_or_default().to_owned();
        assert_eq!(field("_SYSTEMD_UNIT"), "iamd.service", "{event}");
        assert_eq!(field("IAMD_RESULT"), "ok", "{event}: {record}");
        assert_eq!(field("PRIORITY"), "5", "{event}");
        let id = field("MESSAGE_ID");
        assert!(id.len() == 32 && id.bytes().all(|b| b.is_ascii_hexdigit()), "{event}: {id}");
        assert!(field("MESSAGE").starts_with(event), "{record}");
        if !matches!(event, "session-opened") {
            assert_eq!(field("IAMD_ISSUER"), issuer.url(), "{event}");
        }
        if matches!(event, "sign-in" | "issue") {
            assert_eq!(field("IAMD_JTI_HASH").len(), 16, "{event}: {record}");
            assert!(field("IAMD_SCOPES").contains("storage.read:/"), "{record}");
        }
        ids.push(id);
    }
    ids.sort();
    ids.dedup();
    assert_eq!(ids.len(), 6, "{ids:?}");
    // By the catalogue's number alone one finds them too.
    let found =
        node.root_says("journalctl -b -o cat -q MESSAGE_ID=5d1f0c7e3b8a4f6e9c2d7a1b4e8f3c60")?;
    assert!(found.contains(&format!("uid={uid}")), "{found}");
    // Not the token, nor any part of it that is worth anything.
    let everything = node.exec("journalctl -b -o json --no-pager")?.ok()?.text();
    for part in token.split('.') {
        assert!(!everything.contains(part), "a part of the token is in the journal");
    }
    Ok(())
}

fn the_daemon_is_ready_when_systemd_says_so_and_that_is_soon(world: &World) -> Outcome {
    let node = world.boot(Product::new(world.issuer()?).on(world.spec("ready")))?;
    let kind = node.root_says("systemctl show -p Type --value iamd")?;
    assert!(kind.starts_with("notify"), "{kind}");
    assert_eq!(node.root_says("systemctl show -p StatusText --value iamd")?, "serving");
    assert_eq!(node.root_says("systemctl is-system-running")?, "running");
    let mut fastest = Duration::MAX;
    for _ in 0..5 {
        node.root_says("systemctl stop iamd; rm -f /run/iamd/pam.sock")?;
        let start = clock::now();
        // The start returns at READY=1: whoever comes then is served.
        let at_once =
            "systemctl start iamd && test -S /run/iamd/pam.sock && systemctl is-active iamd";
        assert_eq!(node.root_says(at_once)?, "active");
        fastest = fastest.min(start.elapsed());
        let seen = node.ssh("alice").run("echo $BEARER_TOKEN_FILE")?.ok()?;
        assert_eq!(seen.line(), token_file("alice")?);
    }
    world.say(&format!("a start takes {} ms", fastest.as_millis()));
    assert!(fastest < Duration::from_secs(2), "{fastest:?}");
    // Users cannot log in before it had its chance, and nothing of theirs hangs on it.
    let order = node.root_says("systemctl show -p Before --value iamd")?;
    assert!(order.contains("systemd-user-sessions.service"), "{order}");
    for unit in ["ssh.service", "dbus.service", "systemd-logind.service", "systemd-user-sessions"] {
        let needs = format!("systemctl show -p Requires -p BindsTo -p Requisite --value {unit}");
        assert!(!node.root_says(&needs)?.contains("iamd"), "{unit} depends on iamd");
    }
    Ok(())
}
