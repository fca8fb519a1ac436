//! iamd dies at each step that has a name, once.

use std::time::Duration;

use iamd_tests::{Error, Session, World, eventually, uid};
use serde_json::json;

use super::steps::{STEPS, Way};
use super::{GRACE, KILLS, POINT, Result, Scene, scene};
use crate::case::{Case, Outcome};
use crate::cases;
use crate::people::{parsed, start_login, wait_for_state};

pub fn cases() -> Vec<Case> {
    cases![
        ;
        apart: killed_at_each_step_of_a_login_or_a_registration_nobody_loses_an_account,
        killed_at_each_step_of_a_refresh_an_edit_a_rekey_or_a_token_file_nobody_loses_an_account,
    ]
}

const SOON: Duration = Duration::from_secs(20);

/// Everybody has lost nothing: of the steps that come by these ways, one after the other.
fn walk(scene: &Scene, ways: &[Way], die: impl Fn(&Scene, &str, Way) -> Outcome) -> Outcome {
    for (step, way) in STEPS.into_iter().filter(|(_, way)| ways.contains(way)) {
        die(scene, step, way).map_err(|failed| {
            format!("killed at {step}: {}", failed.message().unwrap_or("it panicked"))
        })?;
        scene.is_sound()?;
    }
    Ok(())
}

fn killed_at_each_step_of_a_login_or_a_registration_nobody_loses_an_account(
    world: &World,
) -> Outcome {
    let scene = scene(world, "steps-in")?;
    scene.sign_in("alice", KILLS)?;
    let ways = [Way::Code, Way::Approval, Way::NewClient, Way::FirstClient];
    walk(&scene, &ways, |scene, step, way| {
        match way {
            Way::NewClient => new_client(scene, step)?,
            Way::FirstClient => first_client(scene, step)?,
            _ => login(scene, step, way)?,
        }
        // Who had an account has it.
        scene.lives("alice", KILLS, step)
    })
}

/// A second account of alice's, signed in, killed at a step of that.
fn login(scene: &Scene, step: &str, way: Way) -> Outcome {
    let account = "second";
    let start = || start_login(&scene.node, "alice", account, KILLS);
    let signed_in = || wait_for_state(&scene.node, "alice", account, "signed-in", SOON);
    if way == Way::Approval {
        let (uri, code) = start()?;
        scene.arm(step, 0)?;
        scene.kills.approve(&uri, &code, "alice")?;
    } else {
        scene.arm(step, 0)?;
        // It has no answer: the daemon dies under it.
        let line = format!("iamctl login {account} --issuer {KILLS} --no-wait --json");
        scene.node.exec_as("alice", &line)?;
    }
    scene.died(step)?;
    match step {
        // What came was in the process alone: another code is asked for.
        "login.code-received" | "login.tokens-received" => {
            let again = || scene.sign_in("alice", account);
            eventually("another sign-in", Duration::from_secs(40), again)?;
        }
        "login.code-kept" => {
            let asked = scene.kills.count("POST /device/auth")?;
            let (uri, code) = start()?;
            assert_eq!(scene.kills.count("POST /device/auth")?, asked, "another code");
            scene.kills.approve(&uri, &code, "alice")?;
            signed_in()?;
        }
        // Once it is in the journal nobody signs in again.
        _ => signed_in()?,
    }
    scene.lives("alice", account, step)?;
    scene.iamctl("alice", &format!("account remove {account} --yes"))?.ok()?;
    Ok(())
}

/// A login of alice's account with another client, killed while that is registered.
fn new_client(scene: &Scene, step: &str) -> Outcome {
    let before = scene.clients(KILLS)?;
    scene.arm(step, 0)?;
    scene.iamctl("alice", &format!("login {KILLS} --new-client --no-wait"))?;
    scene.died(step)?;
    // Only the one that the process died with stays at the issuer: nobody here knows it. The site
    // is told of that one.
    let lost = u64::from(step == "registration.replied");
    eventually("no client too many", SOON, || match scene.clients(KILLS)? {
        now if now == before + lost => Ok(()),
        now => Err(Error::Wrong(format!("{now} clients, and {before} before"))),
    })?;
    if lost > 0 {
        let record = "journalctl -u iamd -o json --no-pager | grep -q '\"IAMD_RESULT\":\"lost\"'";
        eventually("the record of it", SOON, || scene.node.exec(record)?.ok())?;
    }
    Ok(())
}

/// A user's first login, killed when the client that it registered is stored: found and used.
fn first_client(scene: &Scene, step: &str) -> Outcome {
    let before = scene.clients(KILLS)?;
    scene.arm(step, 0)?;
    scene.iamctl("bob", &format!("login {KILLS} --issuer {KILLS} --no-wait"))?;
    scene.died(step)?;
    scene.sign_in("bob", KILLS)?;
    assert_eq!(scene.clients(KILLS)?, before + 1, "bob's client, registered once");
    scene.lives("bob", KILLS, step)
}

fn killed_at_each_step_of_a_refresh_an_edit_a_rekey_or_a_token_file_nobody_loses_an_account(
    world: &World,
) -> Outcome {
    let scene = scene(world, "steps-on")?;
    scene.sign_in("alice", KILLS)?;
    scene.sign_in("alice", GRACE)?;
    let _here = here(&scene, "alice")?;
    let ways = [Way::Refresh, Way::Refreshes, Way::FirstFile, Way::Edit, Way::Rekey];
    walk(&scene, &ways, |scene, step, way| {
        match way {
            Way::Edit => edit(scene, step)?,
            Way::Rekey => rekey(scene, step)?,
            _ => refresh(scene, step, way)?,
        }
        scene.is_swept(uid("alice")?)
    })
}

/// A session that stays, so that there are token files.
fn here(scene: &Scene, user: &str) -> Result<Session> {
    let mut session = scene.node.ssh(user).open(Some("echo in; cat"))?;
    session.wait_for("in\n")?;
    Ok(session)
}

fn refresh(scene: &Scene, step: &str, way: Way) -> Outcome {
    let file = format!("/run/iamd/users/{0}/bt_u{0}", uid("alice")?);
    if way == Way::FirstFile {
        scene
            .node
            .root_says(&format!("cd /run/iamd/files/users && rm -r {0} .{0}", uid("alice")?))?;
    }
    let refused = json!([{"match": {"path": "/token", "count": 1},
        "fault": {"status": {"code": 503}}}]);
    let faults = (step == "refresh.failed").then(|| scene.kills.faults(&refused)).transpose()?;
    scene.arm(step, 0)?;
    let tries = if way == Way::Refreshes { 150 } else { 1 };
    let line = format!(
        "for i in $(seq {tries}); do iamctl token {KILLS} --force-new; test -e {POINT} || break; done"
    );
    scene.node.exec_as("alice", &line)?;
    scene.died(step)?;
    drop(faults);
    if step == "refresh.replied" {
        // The issuer has given another one, and nobody has it: told at the first question.
        let said = scene.new_token("alice", KILLS)?.exited(3)?;
        assert!(said.errors().contains("iamctl login"), "{said:?}");
        scene.sign_in("alice", KILLS)?;
        // Where the one before is good for a while, nothing is lost.
        scene.arm(step, 0)?;
        scene.iamctl("alice", &format!("token {GRACE} --force-new"))?;
        scene.died(step)?;
        scene.lives("alice", GRACE, step)?;
    }
    scene.lives("alice", KILLS, step)?;
    let whole = format!("grep -Ecx '[[:alnum:]_-]+\\.[[:alnum:]_-]+\\.[[:alnum:]_-]+' {file}");
    eventually("the whole token file", SOON, || scene.node.exec(&whole)?.ok())?;
    Ok(())
}

fn edit(scene: &Scene, step: &str) -> Outcome {
    let change = |name: &str| {
        scene.iamctl("alice", &format!("account edit {GRACE} --client-name '{name}' --no-login"))
    };
    let refused = json!([{"match": {"path": "/reg/*", "method": "PUT", "count": 1},
        "fault": {"status": {"code": 503}}}]);
    let faults = (step == "edit.failed").then(|| scene.grace.faults(&refused)).transpose()?;
    scene.arm(step, 0)?;
    change(&format!("iamd {}", step.replace('.', " ")))?;
    scene.died(step)?;
    drop(faults);
    scene.lives("alice", GRACE, step)?;
    let again = change("iamd after the kill")?;
    if step == "edit.replied" {
        // The issuer replaced the token that its client is managed with, and the process died with
        // the new one: tokens come all the same, and what is to be done is said.
        assert_ne!(again.code, 0, "{again:?}");
        scene.sign_in_anew("alice", GRACE)?;
        eventually("the new client's name", SOON, || change("iamd after the kill")?.ok())?;
    } else {
        again.ok()?;
    }
    scene.lives("alice", GRACE, step)
}

fn rekey(scene: &Scene, step: &str) -> Outcome {
    scene.arm(step, 0)?;
    scene.node.exec("iamctl admin rekey")?;
    scene.died(step)?;
    scene.lives("alice", KILLS, step)?;
    eventually(&format!("the rest after {step} to be sealed"), SOON, || {
        let state = parsed(&scene.node.exec("iamctl admin rekey --status --json")?.ok()?)?;
        match state["state"].as_str() {
            Some("done") if state["unreadable"] == json!([]) => Ok(()),
            _ => Err(Error::Wrong(state.to_string())),
        }
    })?;
    scene.lives("alice", GRACE, step)
}
