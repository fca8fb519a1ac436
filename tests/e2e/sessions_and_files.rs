//! How long a token file stays, and what it outlives: other sessions, the grace, jobs, restarts,
//! crashes, reboots, and tokens that ended while nobody was there.

use std::time::Duration;

use iamd_tests::{
    Error, IssuerSpec, Node, Notice, Product, Session, World, clock, eventually, issuer, sign_in,
    token_file, uid,
};
use serde_json::{Value, json};

use crate::case::{Case, Outcome};
use crate::cases;
use crate::watch::{Seen, Watch};

pub fn cases() -> Vec<Case> {
    cases![
        ;
        apart: the_file_stays_until_the_last_of_two_sessions_has_ended_and_the_grace_is_over,
        a_killed_sshd_monitor_counts_as_the_end_of_its_session,
        a_background_job_and_the_next_login_find_the_file_in_the_grace,
        a_restart_keeps_sessions_accounts_and_the_file_without_a_gap,
        a_daemon_that_is_killed_comes_back_with_sessions_accounts_and_the_file,
        a_session_that_ended_while_the_daemon_was_down_is_over_and_a_new_one_is_found,
        accounts_survive_a_reboot_and_a_power_cut,
        a_token_that_ended_while_nobody_was_there_is_fresh_before_the_first_command,
        a_file_whose_token_ended_while_iamd_was_stopped_goes_at_the_next_start,
    ]
}

const GRACE: Duration = Duration::from_secs(3);
const LOOK: Duration = Duration::from_millis(20);

/// A node whose grace is short.
fn node(world: &World, name: &str) -> Result<Node, Error> {
    let product = Product::new(world.issuer()?).config("[sessions]\ngrace = \"3s\"\n");
    world.boot(product.on(world.spec(name)))
}

fn is_there(node: &Node, user: &str) -> Result<bool, Error> {
    Ok(node.exec(&format!("test -s {}", token_file(user)?))?.code == 0)
}

/// Waits for the file to go, and answers how long that took.
fn gone(node: &Node, user: &str) -> Result<Duration, Error> {
    let start = clock::now();
    eventually("the file to go", GRACE * 4, || match is_there(node, user) {
        Ok(false) => Ok(()),
        other => Err(format!("{other:?}")),
    })?;
    Ok(start.elapsed())
}

fn end(mut session: Session) -> Result<i32, Error> {
    session.send("exit\n")?;
    session.close()
}

/// What `iamctl` tells `user`, as JSON.
fn told(node: &Node, user: &str, command: &str) -> Result<Value, Error> {
    let said = node.exec_as(user, &format!("iamctl {command} --json"))?.ok()?;
    serde_json::from_slice(&said.stdout).map_err(|error| Error::Wrong(format!("{error}: {said:?}")))
}

fn sessions(node: &Node, user: &str) -> Result<u64, Error> {
    Ok(told(node, user, "status")?["sessions"].as_u64().unwrap_or(u64::MAX))
}

/// A login that says nothing of iamd and has the file before its first command.
fn quiet_login(node: &Node, user: &str) -> Result<String, Error> {
    let seen = node.ssh(user).shell("cat $BEARER_TOKEN_FILE\n")?.ok()?;
    if seen.text().contains("iamd:") || !seen.errors().is_empty() {
        return Err(Error::Wrong(format!("the login was not quiet: {seen:?}")));
    }
    let token = seen.line().lines().last().unwrap_or_default().to_owned();
    let claims = issuer::claims(&token)?;
    match claims["exp"].as_u64() > Some(clock::unix_time()) {
        true => Ok(token),
        false => Err(Error::Wrong(format!("it has ended: {claims}"))),
    }
}

fn the_file_stays_until_the_last_of_two_sessions_has_ended_and_the_grace_is_over(
    world: &World,
) -> Outcome {
    let (node, user) = (node(world, "twice")?, world.user()?);
    let first = sign_in(&node, world.issuer()?, &user)?;
    let second = node.ssh(&user).pty().open(None)?;
    eventually("two sessions", GRACE, || match sessions(&node, &user)? {
        2 => Ok(()),
        other => Err(Error::Wrong(format!("{other} sessions"))),
    })?;
    let watch = Watch::start(&node, &user, &token_file(&user)?, LOOK)?;
    end(first)?;
    eventually("one session", GRACE, || match sessions(&node, &user)? {
        1 => Ok(()),
        other => Err(Error::Wrong(format!("{other} sessions"))),
    })?;
    clock::pause(GRACE + Duration::from_secs(1));
    watch.end()?.no_problem();
    end(second)?;
    let took = gone(&node, &user)?;
    assert!(took > GRACE - Duration::from_millis(500), "gone after {took:?}");
    assert!(took < GRACE + Duration::from_secs(2), "gone after {took:?}");
    // The directory and the link go too.
    let uid = uid(&user)?;
    let left = format!("ls -d /run/iamd/users/{uid} /run/user/{uid}/bt_u{uid} 2>/dev/null");
    assert_eq!(node.exec(&left)?.text(), "");
    Ok(())
}

fn a_killed_sshd_monitor_counts_as_the_end_of_its_session(world: &World) -> Outcome {
    let (node, user) = (node(world, "killed")?, world.user()?);
    let mut session = sign_in(&node, world.issuer()?, &user)?;
    assert_eq!(sessions(&node, &user)?, 1);
    let parent = session.ask("ps -o ppid= -p $PPID")?;
    let monitor = node.root_says(&format!("ps -o args= -p {}", parent.trim()))?;
    assert!(monitor.contains("[priv]"), "not the monitor: {monitor}");
    node.root_says(&format!("kill -9 {}", parent.trim()))?;
    let took = gone(&node, &user)?;
    assert!(took > GRACE - Duration::from_millis(500), "gone after {took:?}");
    assert_eq!(sessions(&node, &user)?, 0);
    Ok(())
}

fn a_background_job_and_the_next_login_find_the_file_in_the_grace(world: &World) -> Outcome {
    let (node, user) = (node(world, "graceful")?, world.user()?);
    let mut session = sign_in(&node, world.issuer()?, &user)?;
    let job = "i=0; while [ $i -lt 20 ]; do test -s $BEARER_TOKEN_FILE || echo missing; \
               sleep 0.1; i=$((i + 1)); done; echo finished";
    session.ask(&format!("(nohup sh -c '{job}' > job.out 2>&1 &)"))?;
    end(session)?;
    let out = format!("/home/{user}/job.out");
    eventually("the job's end", GRACE * 2, || {
        node.exec(&format!("grep finished {out}")).and_then(|seen| seen.ok())
    })?;
    assert_eq!(node.root_says(&format!("cat {out}"))?, "finished");
    // The next login ends the grace: the file stays although it would be over by now.
    let mut again = node.ssh(&user).open(Some("echo in; cat"))?;
    again.wait_for("in\n")?;
    let watch = Watch::start(&node, &user, &token_file(&user)?, LOOK)?;
    clock::pause(GRACE + Duration::from_secs(1));
    watch.end()?.no_problem();
    again.close()?;
    gone(&node, &user)?;
    // And one after it brings the same sign-in back.
    quiet_login(&node, &user)?;
    Ok(())
}

/// Lets `disturb` happen to a node with two sessions and a file that is watched; then nothing may
/// have changed.
fn disturbed(
    world: &World,
    name: &str,
    disturb: impl Fn(&Node) -> Result<(), Error>,
) -> Result<Seen, Error> {
    let (node, user) = (node(world, name)?, world.user()?);
    let mut first = sign_in(&node, world.issuer()?, &user)?;
    let mut second = node.ssh(&user).pty().open(None)?;
    second.ask("true")?;
    let file = token_file(&user)?;
    let token = first.ask(&format!("cat {file}"))?;
    let listed = |node: &Node| {
        let mut list = told(node, &user, "account list")?;
        // Where the issuer is asked is the issuer's word, which is not kept over a restart.
        for account in list["accounts"].as_array_mut().into_iter().flatten() {
            account["configuration_endpoint"].take();
            account["device_authorization_endpoint"].take();
        }
        Ok::<_, Error>(list)
    };
    let accounts = listed(&node)?;
    let open = |node: &Node| {
        let list = node.root_says("iamctl admin sessions --json")?;
        let list: Value = serde_json::from_str(&list).unwrap_or_default();
        let mut pids: Vec<u64> = list["sessions"]
            .as_array()
            .into_iter()
            .flatten()
            .filter(|session| session["user"] == user)
            .filter_map(|session| session["pid"].as_u64())
            .collect();
        pids.sort();
        Ok::<_, Error>(pids)
    };
    let before = open(&node)?;
    assert_eq!(before.len(), 2, "{before:?}");
    let watch = Watch::start(&node, &user, &file, Duration::from_millis(5))?;
    disturb(&node)?;
    assert_eq!(open(&node)?, before, "the sessions");
    assert_eq!(listed(&node)?, accounts, "the accounts");
    assert_eq!(first.ask(&format!("cat {file}"))?, token, "the file");
    assert_eq!(quiet_login(&node, &user)?, token, "the next login's token");
    let seen = watch.end()?;
    seen.no_problem();
    // The ends of sessions from before are seen after.
    end(first)?;
    end(second)?;
    let took = gone(&node, &user)?;
    assert!(took < GRACE + Duration::from_secs(2), "gone after {took:?}");
    Ok(seen)
}

fn a_restart_keeps_sessions_accounts_and_the_file_without_a_gap(world: &World) -> Outcome {
    disturbed(world, "restarted", |node| {
        for _ in 0..3 {
            node.restart("iamd")?;
        }
        Ok(())
    })?;
    Ok(())
}

fn a_daemon_that_is_killed_comes_back_with_sessions_accounts_and_the_file(
    world: &World,
) -> Outcome {
    disturbed(world, "crashed", |node| {
        let pid = || node.root_says("systemctl show -p MainPID --value iamd");
        let before = pid()?;
        node.root_says(&format!("kill -9 {before}"))?;
        eventually("another daemon", Duration::from_secs(10), || {
            let (now, state) = (pid()?, node.exec("systemctl is-active iamd")?.line());
            match now != before && state == "active" {
                true => Ok(()),
                false => Err(Error::Wrong(format!("{state}, pid {now}"))),
            }
        })
    })?;
    Ok(())
}

fn a_session_that_ended_while_the_daemon_was_down_is_over_and_a_new_one_is_found(
    world: &World,
) -> Outcome {
    let (node, user) = (node(world, "absent")?, world.user()?);
    let before = sign_in(&node, world.issuer()?, &user)?;
    let monitors = |node: &Node| -> Result<Vec<String>, Error> {
        let list = node.root_says("iamctl admin sessions --json")?;
        let list: Value = serde_json::from_str(&list).unwrap_or_default();
        let all = list["sessions"].as_array().cloned().unwrap_or_default();
        Ok(all.iter().map(|session| session["pid"].to_string()).collect())
    };
    let old = monitors(&node)?;
    node.root_says("systemctl stop iamd")?;
    end(before)?;
    let mut during = node.ssh(&user).pty().open(None)?;
    let monitor = during.ask("ps -o ppid= -p $PPID")?.trim().to_owned();
    node.root_says("systemctl start iamd")?;
    eventually("logind's session", Duration::from_secs(5), || match monitors(&node)? {
        found if found == [monitor.clone()] && found != old => Ok(()),
        found => Err(Error::Wrong(format!("{found:?}, and not {monitor}"))),
    })?;
    assert_eq!(sessions(&node, &user)?, 1);
    let watch = Watch::start(&node, &user, &token_file(&user)?, LOOK)?;
    clock::pause(GRACE + Duration::from_secs(1));
    watch.end()?.no_problem();
    end(during)?;
    gone(&node, &user)?;
    Ok(())
}

fn accounts_survive_a_reboot_and_a_power_cut(world: &World) -> Outcome {
    let (node, user) = (node(world, "rebooted")?, world.user()?);
    let session = sign_in(&node, world.issuer()?, &user)?;
    let accounts = told(&node, &user, "account list")?;
    let subject = &accounts["accounts"][0]["subject"];
    drop(session);
    node.reboot()?;
    let token = quiet_login(&node, &user)?;
    assert_eq!(&issuer::claims(&token)?["sub"], subject);
    let left = node.ssh(&user).pty().open(None)?;
    node.power_cut()?;
    drop(left);
    assert!(!is_there(&node, &user)?, "a file of before the power cut");
    let token = quiet_login(&node, &user)?;
    assert_eq!(&issuer::claims(&token)?["sub"], subject);
    assert_eq!(told(&node, &user, "account list")?["accounts"][0]["subject"], *subject);
    Ok(())
}

fn a_token_that_ended_while_nobody_was_there_is_fresh_before_the_first_command(
    world: &World,
) -> Outcome {
    let issuer = world.start_issuer(IssuerSpec::new("ended.test").option("AT_TTL", "15"))?;
    let product = Product::new(&issuer).config("[sessions]\ngrace = \"1s\"\n");
    let node = world.boot(product.on(world.spec("ended")))?;
    let user = "alice";
    let mut session = sign_in(&node, &issuer, user)?;
    let old = session.ask(&format!("cat {}", token_file(user)?))?;
    end(session)?;
    gone(&node, user)?;
    let last = issuer::claims(&old)?["exp"].as_u64().unwrap_or(u64::MAX);
    clock::until("the token's end", Duration::from_secs(30), || clock::unix_time() > last + 15)?;
    let asked = issuer.count("POST /token refresh_token")?;
    let token = quiet_login(&node, user)?;
    assert_ne!(token, old);
    issuer.verify(&token)?;
    assert_eq!(issuer.count("POST /token refresh_token")?, asked + 1);
    assert_eq!(Notice::find(&node.ssh(user).shell("true\n")?.ok()?.text()), None);
    Ok(())
}

fn a_file_whose_token_ended_while_iamd_was_stopped_goes_at_the_next_start(
    world: &World,
) -> Outcome {
    let issuer = world.start_issuer(IssuerSpec::new("stopped.test").option("AT_TTL", "12"))?;
    let node = world.boot(Product::new(&issuer).on(world.spec("stopped")))?;
    let user = "alice";
    let mut session = sign_in(&node, &issuer, user)?;
    node.root_says("systemctl stop iamd")?;
    let old = session.ask(&format!("cat {}", token_file(user)?))?;
    let last = issuer::claims(&old)?["exp"].as_u64().unwrap_or(u64::MAX);
    clock::until("the token's end", Duration::from_secs(30), || clock::unix_time() > last)?;
    assert!(is_there(&node, user)?, "nobody is there to take it away");
    // Nothing comes in its place: it goes all the same.
    let down = issuer.faults(&json!([{"match": {"path": "*"}, "fault": "reset_before"}]))?;
    node.root_says("systemctl start iamd")?;
    gone(&node, user)?;
    drop(down);
    eventually("a fresh one", Duration::from_secs(90), || match is_there(&node, user) {
        Ok(true) => Ok(()),
        other => Err(format!("{other:?}")),
    })?;
    issuer.verify(&session.ask(&format!("cat {}", token_file(user)?))?)?;
    Ok(())
}
