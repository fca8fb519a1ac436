//! `iamctl run` on a node, and tokens for paths below granted ones at a real issuer.

use std::time::Duration;

use iamd_tests::{World, clock, eventually, sign_in, uid};

use crate::case::{Case, Outcome};
use crate::cases;
use crate::own::{iamctl, own};
use crate::watch::Watch;

pub fn cases() -> Vec<Case> {
    cases![
        the_exit_code_is_the_commands_and_nothing_is_left,
        a_lost_connection_ends_the_command_and_takes_its_token_away,
        without_a_session_a_command_has_a_token_too,
        a_path_below_a_granted_one_is_granted_and_one_that_climbs_never_asked_for;
        apart: a_command_always_finds_a_valid_token_through_several_expiries,
    ]
}

/// How long a token lives here, and for how long the command looks at it.
const LIFE: &str = "20";
const LOOKING: Duration = Duration::from_secs(50);
const EVERY: Duration = Duration::from_millis(200);

fn a_command_always_finds_a_valid_token_through_several_expiries(world: &World) -> Outcome {
    let options = [("AT_TTL", LIFE), ("ROTATE", "always")];
    let (node, issuer) = own(world, "run", &options, "")?;
    let user = "alice";
    let session = sign_in(&node, &issuer, user)?;
    node.put("/usr/local/lib/watch.py", 0o644, "root", include_bytes!("watch.py"))?;
    // One with the account's own token and one with another: neither is the session's file.
    let readers = ["", "-s storage.read:/home"].map(|words| {
        let look = format!(
            "exec python3 /usr/local/lib/watch.py $BEARER_TOKEN_FILE {} {}",
            EVERY.as_secs_f64(),
            uid(user)?
        );
        let line = format!("iamctl run {words} -- sh -c '{look}'");
        Watch::of(node.ssh(user).limit(LOOKING * 2).open(Some(&line))?)
    });
    clock::pause(LOOKING);
    for reader in readers {
        let seen = reader?.end()?;
        world.say(&format!("run: {seen:?}"));
        seen.no_problem();
        assert!(seen.looks > 150 && seen.longest_gap < Duration::from_secs(3), "{seen:?}");
        assert!(seen.tokens >= 4, "through two expiries at least: {seen:?}");
        assert!(seen.least_left > Duration::from_secs(3), "{seen:?}");
    }
    let requests = issuer.requests()?;
    let refreshes = requests.iter().filter(|request| request["grant_type"] == "refresh_token");
    assert!(refreshes.clone().all(|request| request["status"] == 200), "{requests:?}");
    // The file of the session and two commands, none oftener than every five seconds.
    assert!(refreshes.count() <= 30, "{requests:?}");
    drop(session);
    Ok(())
}

fn the_exit_code_is_the_commands_and_nothing_is_left(world: &World) -> Outcome {
    let (node, user) = (world.node()?, world.user()?);
    let early = iamctl(node, &user, "run -- echo ran")?;
    assert_eq!((early.code, early.text().as_str()), (3, ""), "without a sign-in nothing is run");
    let _session = sign_in(node, world.issuer()?, &user)?;
    let file = iamctl(node, &user, "run -- sh -c 'echo $BEARER_TOKEN_FILE'")?.ok()?.line();
    let directory = format!("/run/user/{}/iamctl-run-", uid(&user)?);
    assert!(file.starts_with(&directory), "{file}");
    let look = "run -- sh -c 'stat -c %a-%U-%h $BEARER_TOKEN_FILE; cat $BEARER_TOKEN_FILE'";
    let seen = iamctl(node, &user, look)?.ok()?.text();
    let (stat, token) = seen.split_once('\n').ok_or("two lines")?;
    assert_eq!(stat, format!("600-{user}-1"));
    world.issuer()?.verify(token)?;
    for (words, code) in [
        ("run -- sh -c 'exit 7'", 7),
        ("run -- sh -c 'kill -TERM $$'", 143),
        ("run -- no-such-command", 127),
        ("run -- /etc/passwd", 126),
        ("run -s storage.stage:/ -- echo ran", 6),
        ("run -s storage.read:/a/../b -- echo ran", 2),
    ] {
        let seen = iamctl(node, &user, words)?;
        assert_eq!((seen.code, seen.text().as_str()), (code, ""), "{words}: {}", seen.errors());
    }
    // The signal that is sent to iamctl alone reaches the command, which ends as it likes.
    let line = "run -- sh -c 'trap \"echo told; exit 9\" TERM; kill -TERM $PPID; \
                for i in 1 2 3 4 5 6 7 8 9; do sleep 0.2; done'";
    let seen = iamctl(node, &user, line)?;
    // Sent by the command itself it is not passed back.
    assert_eq!((seen.code, seen.text().as_str()), (0, ""), "{}", seen.errors());
    let line = "iamctl run -- sh -c 'trap \"echo told; exit 9\" TERM; echo here; \
                while :; do sleep 0.1; done' & sleep 2; kill -TERM $!; wait $!; echo code $?";
    let seen = node.ssh(&user).run(line)?.ok()?;
    assert_eq!(seen.text(), "here\ntold\ncode 9\n");
    let left = node.exec(&format!("ls -d {directory}*"))?;
    assert_eq!(left.text(), "");
    Ok(())
}

fn a_lost_connection_ends_the_command_and_takes_its_token_away(world: &World) -> Outcome {
    let (node, user) = (world.node()?, world.user()?);
    let _session = sign_in(node, world.issuer()?, &user)?;
    let line = "iamctl run -- sh -c 'echo begins; exec sleep 100'";
    let mut lost = node.ssh(&user).pty().open(Some(line))?;
    lost.wait_for("begins")?;
    let directory = format!("/run/user/{}/iamctl-run-*", uid(&user)?);
    node.exec(&format!("test -s {directory}/token"))?.ok()?;
    lost.kill();
    eventually("the token of a lost connection goes", Duration::from_secs(20), || {
        node.exec(&format!("! ls -d {directory}"))?.ok()
    })?;
    Ok(())
}

fn without_a_session_a_command_has_a_token_too(world: &World) -> Outcome {
    let (node, user) = (world.node()?, world.user()?);
    let session = sign_in(node, world.issuer()?, &user)?;
    let line = "env -u XDG_RUNTIME_DIR iamctl run -- sh -c 'cat $BEARER_TOKEN_FILE'";
    let seen = node.exec_as(&user, line)?.ok()?;
    world.issuer()?.verify(&seen.line())?;
    assert_eq!(seen.errors(), "");
    drop(session);
    Ok(())
}

fn a_path_below_a_granted_one_is_granted_and_one_that_climbs_never_asked_for(
    world: &World,
) -> Outcome {
    let (node, issuer, user) = (world.node()?, world.issuer()?, world.user()?);
    let _session = sign_in(node, issuer, &user)?;
    let words = "token --strict -s storage.read:/atlas/x";
    let token = iamctl(node, &user, words)?.ok()?;
    assert_eq!(token.errors(), "");
    assert_eq!(issuer.verify(&token.line())?["scope"], "storage.read:/atlas/x");
    for spelling in ["storage.read:/atlas//x", "storage.read:/%61tlas/./x"] {
        let again = iamctl(node, &user, &format!("token --strict -s {spelling}"))?.ok()?;
        assert_eq!(again.line(), token.line(), "{spelling}");
    }
    for (path, code, name) in [
        ("/atlas/../x", 2, "has '..' in it"),
        ("/atlas/%2e%2E/x", 2, "has '..' in it"),
        ("/atlas%2f..%2fx", 2, "has '..' in it"),
        ("/atlas%00", 2, "is not one"),
    ] {
        let seen = iamctl(node, &user, &format!("token -s storage.read:{path}"))?;
        assert_eq!((seen.code, seen.text().as_str()), (code, ""), "{path}");
        assert!(seen.errors().contains(name), "{path}: {}", seen.errors());
    }
    let claims = iamctl(node, &user, "token --decode -s storage.read:/atlas/x")?.ok()?;
    assert!(claims.text().contains("\"scope\": \"storage.read:/atlas/x\""), "{}", claims.text());
    assert!(claims.errors().contains("min left"), "{}", claims.errors());
    let file = format!("/home/{user}/token");
    let written =
        iamctl(node, &user, &format!("token -s storage.read:/atlas/x -o {file}"))?.ok()?;
    assert_eq!((written.text(), written.errors()), (String::new(), String::new()));
    assert_eq!(node.get(&file)?, token.line().as_bytes());
    assert_eq!(node.root_says(&format!("stat -c %a-%U {file}"))?, format!("600-{user}"));
    Ok(())
}
