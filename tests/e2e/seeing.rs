//! What a user sees of their sign-in: `iamctl status` on a node, and the notice that it ends.

use iamd_tests::sign_in::warm;
use iamd_tests::{IssuerSpec, Notice, Product, Result, World, places, sign_in};
use serde_json::json;

use crate::case::{Case, Outcome};
use crate::cases;
use crate::own::{iamctl, iamctl_json};

pub fn cases() -> Vec<Case> {
    cases![
        a_first_login_that_runs_is_shown_and_silence_tells_that_a_sign_in_is_needed,
        status_is_watched_on_a_terminal_until_ctrl_c;
        apart: r67_the_end_of_a_sign_in_is_announced_in_the_last_part_of_its_life,
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

fn r67_the_end_of_a_sign_in_is_announced_in_the_last_part_of_its_life(world: &World) -> Outcome {
    // INDIGO IAM's refresh tokens say when they end, and a refresh does not extend it. Here they live
    // for four days: always less than the five days ahead of which the end is told.
    let issuer = world.start_issuer(IssuerSpec::new("ending.test").option("RT_TTL", "345600"))?;
    let product = Product::new(&issuer).daemon(places::fault_points());
    let node = world.boot(product.on(world.spec("ending")))?;
    warm(&node)?;
    drop(sign_in(&node, &issuer, "alice")?);
    let script = || -> Result<String> {
        let seen = node.ssh("alice").flag("-T").shell("echo the script; exit 4\n")?.exited(4)?;
        assert_eq!(seen.errors(), "", "{seen:?}");
        Ok(seen.text())
    };
    let silent = script()?;
    assert!(silent.ends_with("the script\n") && !silent.contains("iamd:"), "{silent}");
    iamctl(&node, "alice", "token --force-new")?.ok()?;
    let status = iamctl(&node, "alice", "status")?.ok()?.text();
    assert!(
        status.contains("  Sign-in ") && status.contains(" days left"),
        "a refresh extends nothing: {status}"
    );
    assert!(!status.contains("The sign-in ends"), "{status}");

    // Eighty hours later a sixth of it is left.
    node.exec("echo 288000 > /run/iamd/fault-clock")?.ok()?;
    let told =
        "iamd: your sign-in to the test issuer ends in 15 h. To sign in again:  iamctl login\n";
    let mut session = node.ssh("alice").pty().open(None)?;
    session.wait_for(told.trim_end())?;
    // Where sshd prints login messages: before the script's output, and nothing else is changed.
    let said = script()?;
    assert_eq!(said.matches("iamd:").count(), 1, "{said}");
    assert_eq!(said.replacen(told, "", 1), silent);
    let status = iamctl(&node, "alice", "account show --json")?.ok()?.text();
    assert!(status.contains("\"ends_soon\":true"), "{status}");
    let status = iamctl(&node, "alice", "status")?.ok()?.text();
    assert!(status.contains("Sign in again with:  iamctl login"), "{status}");
    // A program's login hears nothing.
    let quiet = node.ssh("alice").run("true")?.ok()?;
    assert!(quiet.stdout.is_empty() && quiet.stderr.is_empty(), "{quiet:?}");
    Ok(())
}
