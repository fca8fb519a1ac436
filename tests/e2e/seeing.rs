//! What a user sees of their sign-in: `iamctl status` on a node, and the notice that it ends.

use iamd_tests::{Notice, World, sign_in};
use serde_json::json;

use crate::case::{Case, Outcome};
use crate::cases;
use crate::own::{iamctl, iamctl_json, own};

pub fn cases() -> Vec<Case> {
    cases![
        a_first_login_that_runs_is_shown_and_silence_tells_that_a_sign_in_is_needed,
        status_is_watched_on_a_terminal_until_ctrl_c;
        apart: r67_the_end_of_a_refresh_token_is_announced_at_login_and_in_status,
    ]
}

fn a_first_login_that_runs_is_shown_and_silence_tells_that_a_sign_in_is_needed(
    world: &World,
) -> Outcome {
    let (node, issuer, user) = (world.node()?, world.issuer()?, world.user()?);
    let mut session = node.ssh(&user).pty().open(None)?;
    let notice = session.find("the notice", Notice::find)?;
    let seen = node.exec_as(&user, "iamctl status")?.ok()?;
    for part in ["test: login running", &notice.code, &notice.uri, "iamctl login test"] {
        assert!(seen.text().contains(part), "{part} is not in {seen:?}");
    }
    let told = iamctl_json(node, &user, "status")?;
    assert_eq!(told["accounts"], json!([]));
    assert_eq!((&told["schema"], &told["logins"][0]["state"]), (&json!(1), &json!("pending")));
    assert_eq!(told["logins"][0]["user_code"], notice.code);
    let silent = |code: i32| -> Outcome {
        let said = node.exec_as(&user, "iamctl status -s")?.exited(code)?;
        assert!(said.stdout.is_empty() && said.stderr.is_empty(), "{said:?}");
        Ok(())
    };
    silent(3)?;
    issuer.approve(&notice.uri, &notice.code, &user)?;
    iamd_tests::eventually("a token", sign_in::TOKEN_WITHIN, || {
        node.exec_as(&user, "iamctl status -s test")?.exited(0)
    })?;
    silent(0)?;
    node.exec_as(&user, "iamctl status -s nosuch")?.exited(1)?;
    assert_eq!(iamctl_json(node, &user, "status")?["logins"], json!([]));
    Ok(())
}

fn status_is_watched_on_a_terminal_until_ctrl_c(world: &World) -> Outcome {
    let (node, user) = (world.node()?, world.user()?);
    let _session = sign_in(node, world.issuer()?, &user)?;
    let watch = "NO_COLOR=1 iamctl status --watch; echo ended $?";
    let mut session = node.ssh(&user).pty().open(Some(watch))?;
    session.wait_for("test (default): signed in")?;
    session.send("\x03")?;
    session.wait_for("ended 0")?;
    let piped = iamctl(node, &user, "status --watch | cat; exit ${PIPESTATUS[0]}")?.exited(2)?;
    assert!(piped.errors().contains("--watch wants a terminal"), "{piped:?}");
    Ok(())
}

fn r67_the_end_of_a_refresh_token_is_announced_at_login_and_in_status(world: &World) -> Outcome {
    // INDIGO IAM's refresh tokens say when they end, and a refresh does not extend it.
    let (node, issuer) = own(world, "ending", &[("RT_TTL", "345000")], "")?;
    drop(sign_in(&node, &issuer, "alice")?);
    let mut session = node.ssh("alice").pty().open(None)?;
    let said = session.wait_for("iamd: your sign-in to the test issuer ends in 3 days.")?;
    assert!(said.contains("To sign in again:  iamctl login"), "{said}");
    let seen = iamctl(&node, "alice", "status")?.ok()?.text();
    assert!(
        seen.contains("The sign-in ends in 3 days. Sign in again with:  iamctl login"),
        "{seen}"
    );
    // A program's login hears nothing.
    let quiet = node.ssh("alice").run("true")?.ok()?;
    assert!(quiet.stdout.is_empty() && quiet.stderr.is_empty(), "{quiet:?}");
    let refreshed = iamctl(&node, "alice", "token --force-new")?.ok()?;
    assert!(!refreshed.stdout.is_empty());
    let after = iamctl(&node, "alice", "status")?.ok()?.text();
    assert!(after.contains("The sign-in ends in 3 days."), "a refresh extends nothing: {after}");
    Ok(())
}
