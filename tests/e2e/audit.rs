//! The audit records on a node that runs: every field of an event, what journalctl explains, and
//! that nobody but the daemon can write one.

use std::time::Duration;

use iamd_tests::{Error, Node, World, clock, eventually, sign_in, uid};
use serde_json::Value;

use crate::case::{Case, Outcome};
use crate::cases;
use crate::people::{bus, json, parsed, put_bus_client};

pub fn cases() -> Vec<Case> {
    cases![
        an_event_has_its_fields_in_the_journal_and_journalctl_explains_it,
        each_thing_that_matters_is_recorded_with_who_did_it,
        a_record_that_a_user_forges_is_not_shown,
        who_may_not_read_the_journal_is_told_so,
        records_are_followed_as_they_come,
        refusals_in_a_loop_leave_few_records_and_do_not_crowd_out_another_users,
    ]
}

const SOON: Duration = Duration::from_secs(30);

/// What `iamctl admin audit` shows to root.
fn records(node: &Node, words: &str) -> Result<Vec<Value>, Error> {
    let said = node.exec(&format!("iamctl admin audit --json {words}"))?.ok()?;
    Ok(parsed(&said)?["records"].as_array().cloned().unwrap_or_default())
}

/// The newest record of an event of a user, waited for: the journal takes its time.
fn record(node: &Node, user: &str, event: &str) -> Result<Value, Error> {
    eventually(&format!("the record {event} of {user}"), SOON, || {
        clock::pause(Duration::from_millis(200));
        let found = records(node, &format!("--user {user} --event {event}"))?;
        found.last().cloned().ok_or_else(|| Error::Wrong("no record".into()))
    })
}

fn an_event_has_its_fields_in_the_journal_and_journalctl_explains_it(world: &World) -> Outcome {
    let (node, issuer, user) = (world.node()?, world.issuer()?, world.user()?);
    let session = sign_in(node, issuer, &user)?;
    let token = node.exec_as(&user, "iamctl token -s storage.read:/ --aud https://se.test")?;
    let token = token.ok()?.line();
    let hash = node.exec_with("sha256sum | cut -c 1-16", token.as_bytes(), SOON)?.ok()?.line();
    record(node, &user, "narrowed")?;
    let number = uid(&user)?;
    let raw =
        format!("journalctl -u iamd -o json --no-pager IAMD_EVENT=narrowed IAMD_UID={number}");
    let raw = node.exec(&raw)?.ok()?.text();
    let last = raw.lines().last().unwrap_or_default().to_owned();
    let fields: Value = serde_json::from_str(&last).map_err(|e| Error::Wrong(e.to_string()))?;
    let url = issuer.url();
    for (field, value) in [
        ("MESSAGE_ID", "3e7ac05b91d64f28b6f3d80e2a5c7194"),
        ("IAMD_UID", &number.to_string()),
        ("IAMD_ACCOUNT", "test"),
        ("IAMD_ISSUER", &url),
        ("IAMD_SCOPES", "storage.read:/"),
        ("IAMD_AUDIENCE", "https://se.test"),
        ("IAMD_JTI_HASH", &hash),
        ("IAMD_CALLER_EXE", "[iamctl]"),
        ("IAMD_RESULT", "ok"),
        ("IAMD_DETAIL", "for iamctl"),
        ("_SYSTEMD_UNIT", "iamd.service"),
    ] {
        assert_eq!(fields[field], value, "{field}: {fields}");
    }
    for field in ["IAMD_CLIENT", "IAMD_CALLER_PID"] {
        assert!(fields[field].as_str().is_some_and(|text| !text.is_empty()), "{field}: {fields}");
    }
    assert!(!raw.contains(&token), "a token in a record");
    // A site that installs on a running system has this done by dist/install.
    node.exec("journalctl --update-catalog")?.ok()?;
    let explained =
        format!("journalctl -x -u iamd --no-pager -n 1 IAMD_EVENT=narrowed IAMD_UID={number}");
    let explained = node.exec(&explained)?.ok()?.text();
    assert!(explained.contains("Subject: A narrowed access token was handed out"), "{explained}");
    assert!(explained.contains(&format!("The uid {number} got an access token")), "{explained}");
    let listed = node.exec("journalctl --list-catalog --no-pager")?.ok()?.text();
    let entries = listed.lines().filter(|line| line.contains(" iamd: ")).count();
    assert!(entries >= 21, "{entries} entries");
    drop(session);
    Ok(())
}

fn each_thing_that_matters_is_recorded_with_who_did_it(world: &World) -> Outcome {
    let (node, issuer, user) = (world.node()?, world.issuer()?, world.user()?);
    let session = sign_in(node, issuer, &user)?;
    node.exec_as(&user, "iamctl token --force-new")?.ok()?;
    node.exec_as(&user, "iamctl token -s storage.read:/")?.ok()?;
    assert_eq!(node.exec_as(&user, "iamctl account show --secrets")?.code, 4);
    assert_eq!(node.exec_as(&user, "iamctl admin users")?.code, 4);
    assert_eq!(node.exec_as(&user, "iamctl issuer show https://unlisted.test/")?.code, 4);
    drop(session);
    node.exec_as(&user, "iamctl logout")?.ok()?;
    node.exec_as(&user, "iamctl login --no-wait && iamctl login --cancel")?.ok()?;
    for (event, result, fields) in [
        ("session-opened", "ok", &["caller_pid", "detail"][..]),
        ("login-started", "ok", &["account", "issuer"]),
        ("login-failed", "LoginCancelled", &["account", "issuer", "client", "scopes", "detail"]),
        ("sign-in", "ok", &["account", "issuer", "client", "scopes", "token_hash"]),
        ("refresh", "ok", &["account", "issuer", "client", "scopes", "token_hash"]),
        ("issue", "ok", &["account", "issuer", "client", "scopes", "token_hash", "caller_pid"]),
        (
            "narrowed",
            "ok",
            &[
                "account",
                "issuer",
                "client",
                "scopes",
                "token_hash",
                "caller_pid",
                "caller_program",
            ],
        ),
        ("secrets", "DeniedByPolicy", &["account", "issuer", "client", "caller_pid", "detail"]),
        ("administration", "NotAuthorized", &["caller_pid", "caller_program", "detail"]),
        ("denial", "IssuerNotAllowed", &["issuer", "caller_pid", "caller_program", "detail"]),
        ("sign-out", "ok", &["account", "issuer", "client", "caller_pid"]),
        ("session-closed", "ok", &["detail"]),
    ] {
        let seen = record(node, &user, event)?;
        assert_eq!(seen["result"], result, "{event}: {seen}");
        assert_eq!(seen["user"], user, "{event}: {seen}");
        for field in fields {
            let empty = seen[field].is_null() || seen[field] == serde_json::json!([]);
            assert!(!empty, "{event}: {field}: {seen}");
        }
    }
    Ok(())
}

fn a_record_that_a_user_forges_is_not_shown(world: &World) -> Outcome {
    let (node, user) = (world.node()?, world.user()?);
    let number = uid(&user)?;
    // In the words of the daemon, by every way a user has to the journal.
    let fields = format!(
        "MESSAGE_ID=5d1f0c7e3b8a4f6e9c2d7a1b4e8f3c60\nSYSLOG_IDENTIFIER=iamd\nIAMD_EVENT=sign-in\n\
         IAMD_UID={number}\nIAMD_ACCOUNT=forged\nIAMD_RESULT=ok\nIAMD_DETAIL=forged\n\
         _UID=0\n_SYSTEMD_UNIT=iamd.service\nMESSAGE=sign-in uid={number} result=ok: forged\n"
    );
    let by_socket = format!(
        "import socket\ns = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)\n\
         s.sendto({fields:?}.encode(), '/run/systemd/journal/socket')\n"
    );
    node.put("/usr/local/lib/iamd-tests/forge.py", 0o644, "root", by_socket.as_bytes())?;
    node.exec_as(&user, "python3 /usr/local/lib/iamd-tests/forge.py")?.ok()?;
    let logger = "logger -t iamd 'sign-in uid=0 account=forged result=ok: forged'";
    node.exec_as(&user, logger)?.ok()?;
    // They are in the journal, and not among the records.
    let forged = format!("journalctl --no-pager -o cat IAMD_ACCOUNT=forged IAMD_UID={number}");
    eventually("the forged line", SOON, || {
        clock::pause(Duration::from_millis(200));
        match node.exec(&forged)?.text().contains("forged") {
            true => Ok(()),
            false => Err(Error::Wrong("not yet in the journal".into())),
        }
    })?;
    for words in ["--account forged", &format!("--user {user}"), "--since today"] {
        let seen = node.exec(&format!("iamctl admin audit --json {words}"))?.ok()?.text();
        assert!(!seen.contains("forged"), "{words}: {seen}");
    }
    // What users name makes no field of its own and no line.
    put_bus_client(node)?;
    let odd = "call org.iamd1.Accounts Secrets s \"$(printf 'x\\nIAMD_UID=0\\nforged')\"";
    let _ = bus(node, &user, odd);
    let uids = node.exec("journalctl -u iamd -o export --no-pager | grep -ac '^forged' || true")?;
    assert_eq!(uids.line(), "0");
    Ok(())
}

fn refusals_in_a_loop_leave_few_records_and_do_not_crowd_out_another_users(
    world: &World,
) -> Outcome {
    let (node, user, other) = (world.node()?, world.user()?, world.user()?);
    // Ever another one, so that each is a refusal of its own, and by polkit too.
    let loop_ = "for i in $(seq 250); do iamctl issuer show https://unlisted$i.test/; \
                 iamctl admin users; done > /dev/null 2>&1; true";
    node.exec_with(
        &format!("exec setpriv --reuid {user} --regid {user} --init-groups bash -c '{loop_}'"),
        b"",
        Duration::from_secs(240),
    )?
    .ok()?;
    node.exec_as(&other, "iamctl issuer show https://unlisted.test/")?.exited(4)?;
    record(node, &other, "denial")?;
    for event in ["denial", "administration"] {
        let seen = records(node, &format!("--user {user} --event {event} -n 1000"))?.len();
        // A hundred that differ, and what was counted, in each of the minutes that it took.
        assert!((1..250).contains(&seen), "{event}: {seen}");
    }
    Ok(())
}

fn who_may_not_read_the_journal_is_told_so(world: &World) -> Outcome {
    let (node, user) = (world.node()?, world.user()?);
    let said = node.exec_as(&user, "iamctl admin audit")?;
    assert_eq!((said.code, said.text().as_str()), (4, ""), "{said:?}");
    assert!(said.errors().contains("systemd-journal"), "{said:?}");
    Ok(())
}

fn records_are_followed_as_they_come(world: &World) -> Outcome {
    let (node, issuer, user) = (world.node()?, world.issuer()?, world.user()?);
    let follow = format!(
        "timeout 100 iamctl admin audit --user {user} --event sign-in --since today --follow --json | head -n 1"
    );
    let mut command = node.inside()?;
    command.args(["/bin/bash", "-c", &follow]).stdout(std::process::Stdio::piped());
    let child = command.spawn().map_err(|error| Error::Wrong(error.to_string()))?;
    let session = sign_in(node, issuer, &user)?;
    let said = child.wait_with_output().map_err(|error| Error::Wrong(error.to_string()))?;
    let seen: Value =
        serde_json::from_slice(&said.stdout).map_err(|error| Error::Wrong(error.to_string()))?;
    assert_eq!(
        (&seen["event"], &seen["user"]),
        (&"sign-in".into(), &user.as_str().into()),
        "{seen}"
    );
    // Nothing is left of it.
    eventually("the end of journalctl", SOON, || {
        node.exec("! pgrep -f '[j]ournalctl.*--follow' > /dev/null")?.ok()
    })?;
    let listed = json(node, "root", "iamctl admin audit --json -n 3")?;
    assert_eq!(listed["records"].as_array().map(Vec::len), Some(3), "{listed}");
    drop(session);
    Ok(())
}
