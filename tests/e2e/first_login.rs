//! The main promise: a first login says where to sign in, the token comes by itself, and from then
//! on every login has it before its first command and says nothing.

use std::time::Duration;

use iamd_tests::clock::{now, unix_time};
use iamd_tests::sign_in::TOKEN_WITHIN;
use iamd_tests::{
    Error, IssuerSpec, Node, Notice, Product, World, eventually, sign_in, token_file, uid,
};
use serde_json::json;

use crate::case::{Case, Outcome};
use crate::cases;
use crate::own::{iamctl, iamctl_json, own};

pub fn cases() -> Vec<Case> {
    cases![
        the_first_login_shows_where_to_sign_in_and_the_token_comes_by_itself,
        the_second_login_says_nothing_and_has_the_token_before_its_first_command,
        a_login_whose_token_has_ended_has_a_fresh_one_before_its_first_command,
        logins_before_the_approval_show_the_same_code_and_ask_the_issuer_once,
        after_three_unanswered_logins_only_iamctl_login_starts_another,
        a_user_who_turned_the_notice_off_sees_none_and_no_login_is_started,
        the_very_first_login_of_a_node_whose_issuer_is_far_away_shows_where_to_sign_in,
    ]
}

type Result<T> = std::result::Result<T, iamd_tests::Error>;

fn the_first_login_shows_where_to_sign_in_and_the_token_comes_by_itself(world: &World) -> Outcome {
    let (node, issuer, user) = (world.node()?, world.issuer()?, world.user()?);
    let (uid, file) = (uid(&user)?, token_file(&user)?);
    let mut session = node.ssh(&user).pty().open(None)?;
    let notice = session.find("the notice", Notice::find)?;
    let who = format!("logging in to {} as {user}", node.name());
    for part in ["sign in to the test issuer", "(10 min)", &who, "iamctl login"] {
        assert!(notice.text.contains(part), "{part} in: {}", notice.text);
    }
    assert!(notice.uri.starts_with(&issuer.url()), "{notice:?}");
    assert!(notice.text.is_ascii() && notice.text.lines().count() <= 5, "{}", notice.text);
    node.exec(&format!("test -e {file}"))?.exited(1)?;

    issuer.approve(&notice.uri, &notice.code, &user)?;
    let approved = now();
    let look = || node.exec(&format!("test -s {file}"))?.ok();
    eventually("the token file", TOKEN_WITHIN, look)?;
    assert!(approved.elapsed() <= TOKEN_WITHIN, "it took {:?}", approved.elapsed());

    // The shell that was open all the time has it too, in all three places.
    let token = session.ask("cat \"$BEARER_TOKEN_FILE\"")?;
    assert_eq!(session.ask(&format!("cat {file}"))?, token);
    assert_eq!(session.ask(&format!("cat \"$XDG_RUNTIME_DIR/bt_u{uid}\""))?, token);
    assert_eq!(session.ask(&format!("readlink /run/user/{uid}/bt_u{uid}"))?.trim(), file);
    assert_eq!(node.get(&file)?, token.as_bytes());
    assert!(!token.contains(char::is_whitespace), "white space in the token file");
    let what = format!("stat -c '%F, %a, %U' {file} /run/iamd/users/{uid}/");
    let private = format!("regular file, 600, {user}\ndirectory, 700, {user}");
    assert_eq!(node.root_says(&what)?, private);

    let claims = issuer.verify(&token)?;
    assert_eq!(claims["iss"], issuer.url().trim_end_matches('/'));
    let scope = claims["scope"].as_str().unwrap_or_default();
    assert!(scope.contains("storage.read:/") && scope.contains("compute.read"), "{claims}");
    assert!(claims["exp"].as_u64() > Some(unix_time() + 3000), "{claims}");
    let said = session.seen();
    assert_eq!(said.matches("iamd:").count(), 1, "one notice in: {said}");
    Ok(())
}

/// What a login has before the shell's first command: written by the profile it reads first.
const PROFILE: &str = "{ cat \"$BEARER_TOKEN_FILE\"; echo; readlink \"$XDG_RUNTIME_DIR/bt_u$(id -u)\"; } \
                       > ~/before-first-command 2>&1\n";

/// Logs in and asserts that nothing was said and that all was there for the profile; answers the
/// token it found.
fn quiet_login(node: &Node, user: &str) -> Result<String> {
    node.put(&format!("/home/{user}/.bash_profile"), 0o644, user, PROFILE.as_bytes())?;
    let mut session = node.ssh(user).pty().open(None)?;
    let found = session.ask("cat ~/before-first-command")?;
    let said = session.seen();
    assert!(!said.contains("iamd:"), "it was not silent: {said}");
    let (token, link) = found.split_once('\n').unwrap_or_default();
    assert_eq!(link.trim(), token_file(user)?, "the link in the runtime directory");
    assert!(token.starts_with("ey"), "no token before the first command: {found}");
    Ok(token.to_owned())
}

fn the_second_login_says_nothing_and_has_the_token_before_its_first_command(
    world: &World,
) -> Outcome {
    let (node, issuer, user) = (world.node()?, world.issuer()?, world.user()?);
    let first = sign_in(node, issuer, &user)?;
    issuer.verify(&quiet_login(node, &user)?)?;
    drop(first);
    // The runtime directory goes with the last session, and with it the link.
    let gone = || node.exec(&format!("test ! -e /run/user/{}", uid(&user)?))?.ok();
    eventually("the end of the runtime directory", Duration::from_secs(20), gone)?;
    issuer.verify(&quiet_login(node, &user)?)?;
    Ok(())
}

fn a_login_whose_token_has_ended_has_a_fresh_one_before_its_first_command(
    world: &World,
) -> Outcome {
    let config = "[sessions]\ngrace = \"1s\"\n";
    let (node, issuer) = own(world, "tokenend", &[("AT_TTL", "8")], config)?;
    let mut session = sign_in(&node, &issuer, "alice")?;
    let file = token_file("alice")?;
    let old = session.ask(&format!("cat {file}"))?;
    drop(session);
    let gone = || node.exec(&format!("test ! -e {file}"))?.ok();
    eventually("the file's removal after the last session", Duration::from_secs(10), gone)?;
    let ends = iamd_tests::issuer::claims(&old)?["exp"].as_u64().unwrap_or_default();
    let ended = || if unix_time() > ends { Ok(()) } else { Err("not yet") };
    eventually("the token's end", Duration::from_secs(20), ended)?;
    let fresh = quiet_login(&node, "alice")?;
    assert!(issuer.verify(&fresh)?["exp"].as_u64() > Some(unix_time()), "it has ended");
    Ok(())
}

fn logins_before_the_approval_show_the_same_code_and_ask_the_issuer_once(world: &World) -> Outcome {
    let (node, issuer) = own(world, "waiting", &[], "")?;
    let login = || -> Result<Notice> {
        let seen = node.ssh("alice").flag("-T").shell("exit\n")?.ok()?;
        Notice::expect(&seen.text())
    };
    let first = login()?;
    for more in [login()?, login()?] {
        assert_eq!((&more.code, &more.uri), (&first.code, &first.uri));
    }
    let shown = iamctl_json(&node, "alice", "login --no-wait")?;
    assert_eq!(shown["user_code"], first.code.as_str());
    assert_eq!(issuer.count("POST /devicecode")?, 1);
    // The code of another user is another one.
    let other = node.ssh("bob").flag("-T").shell("exit\n")?.ok()?;
    assert_ne!(Notice::expect(&other.text())?.code, first.code);
    Ok(())
}

/// Logs in without a command and answers what sshd wrote.
fn plain_login(node: &Node, user: &str) -> Result<String> {
    Ok(node.ssh(user).flag("-T").shell("exit\n")?.ok()?.text())
}

fn after_three_unanswered_logins_only_iamctl_login_starts_another(world: &World) -> Outcome {
    let (node, issuer) = own(world, "unanswered", &[("DC_TTL", "4")], "")?;
    let mut codes = Vec::new();
    for started in 1..=3 {
        let notice = Notice::expect(&plain_login(&node, "alice")?)?;
        assert!(!codes.contains(&notice.code), "{} again", notice.code);
        codes.push(notice.code);
        assert_eq!(issuer.count("POST /devicecode")?, started);
        over(&node, "alice")?;
    }
    for _ in 0..2 {
        let said = plain_login(&node, "alice")?;
        assert_eq!(Notice::find(&said), None, "{said}");
        let hint = "iamd: no access token for the test issuer yet. To sign in:  iamctl login\n";
        assert!(said.contains(hint), "{said}");
    }
    assert_eq!(issuer.count("POST /devicecode")?, 3);
    iamctl(&node, "alice", "login --no-wait")?.ok()?;
    assert_eq!(issuer.count("POST /devicecode")?, 4);
    over(&node, "alice")?;
    // Who asked starts with a clean slate.
    Notice::expect(&plain_login(&node, "alice")?)?;
    assert_eq!(issuer.count("POST /devicecode")?, 5);
    Ok(())
}

/// Waits until the device login of `user` is over, without a session: that would start another.
fn over(node: &Node, user: &str) -> Result<()> {
    let look = || {
        let said = node.exec_as(user, "iamctl token --json").and_then(|said| said.exited(3));
        match said.map(|said| said.text()).unwrap_or_else(|error| error.to_string()) {
            said if said.contains("\"name\":\"LoginRequired\"") => Ok(()),
            other => Err(other),
        }
    };
    eventually("the end of the login", Duration::from_secs(10), look)
}

fn a_user_who_turned_the_notice_off_sees_none_and_no_login_is_started(world: &World) -> Outcome {
    let (node, user) = (world.node()?, world.user()?);
    // Without a session, which would start a login before this has a say.
    let off = node.exec_as(&user, "iamctl login --off")?.ok()?;
    assert!(off.errors().contains("iamctl login --on"), "{off:?}");
    let said = plain_login(node, &user)?;
    assert!(!said.contains("iamd:"), "{said}");
    let quiet = iamctl(node, &user, "login --if-needed")?.ok()?;
    assert_eq!((quiet.text(), quiet.errors()), Default::default());
    // Nothing runs that could be cancelled.
    iamctl(node, &user, "login --cancel")?.exited(3)?;
    let on = iamctl(node, &user, "login --on")?.ok()?;
    assert!(!on.stderr.is_empty() && on.stdout.is_empty(), "{on:?}");
    let notice = Notice::expect(&plain_login(node, &user)?)?;
    let shown = iamctl_json(node, &user, "login --if-needed --no-wait")?;
    assert_eq!(shown["user_code"], notice.code.as_str());
    Ok(())
}

/// An issuer that is 150 ms away costs a login that asks for metadata, a client and a code five times
/// as much, with the connection, and the daemon waits for 700 ms. The proxy delays requests only, of
/// which there are three.
const FAR: u64 = 230;

fn the_very_first_login_of_a_node_whose_issuer_is_far_away_shows_where_to_sign_in(
    world: &World,
) -> Outcome {
    let issuer = world.start_issuer(IssuerSpec::new("far.test"))?;
    let far = json!([{"match": {"path": "*"}, "fault": {"latency": {"ms": FAR}}}]);
    let _far = issuer.faults(&far)?;
    let node = world.boot(Product::new(&issuer).on(world.spec("cold")))?;
    // Nobody has asked for anything; the daemon did, once.
    eventually("what is asked for ahead", Duration::from_secs(30), || {
        match issuer.count("POST /iam/api/client-registration")? {
            1 => node.exec("test -s /var/lib/iamd/iamd.db && iamctl issuer list >/dev/null")?.ok(),
            other => Err(Error::Wrong(format!("{other} registrations"))),
        }
    })?;
    assert_eq!(issuer.count("POST /devicecode")?, 0, "a code for nobody");
    let notice = Notice::expect(&plain_login(&node, "alice")?)?;
    assert_eq!(issuer.count("POST /devicecode")?, 1);
    assert_eq!(issuer.count("POST /iam/api/client-registration")?, 1, "one client for all");
    issuer.approve(&notice.uri, &notice.code, "alice")?;
    let file = token_file("alice")?;
    let mut session = node.ssh("alice").open(Some("echo in; cat"))?;
    session.wait_for("in\n")?;
    eventually("the token file", TOKEN_WITHIN, || node.exec(&format!("test -s {file}"))?.ok())?;
    Ok(())
}
