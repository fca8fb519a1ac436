//! `iamctl login` on a terminal: what it shows, how it ends, and who may end it.

use std::time::Duration;

use iamd_tests::sign_in::TOKEN_WITHIN;
use iamd_tests::{Issuer, Node, World, eventually, sign_in, token_file};

use crate::case::{Case, Outcome};
use crate::cases;
use crate::own::{iamctl, iamctl_json, login, own, prompt};

pub fn cases() -> Vec<Case> {
    cases![
        ctrl_c_leaves_the_login_running_and_it_can_be_approved_afterwards,
        a_code_that_was_shown_is_good_after_the_daemon_was_killed,
        login_on_a_terminal_waits_until_the_token_is_there,
        if_needed_says_nothing_to_a_user_who_is_signed_in,
        denied_and_expired_logins_end_with_words_of_their_own,
        somebody_else_who_approves_changes_nothing_at_an_indigo_iam,
        somebody_else_who_approves_changes_nothing_at_an_issuer_by_the_rfcs,
    ]
}

fn ctrl_c_leaves_the_login_running_and_it_can_be_approved_afterwards(world: &World) -> Outcome {
    let (node, issuer, user) = (world.node()?, world.issuer()?, world.user()?);
    let mut session = login(node, &user, "")?;
    let (uri, code) = prompt(&mut session)?;
    session.wait_for("Waiting")?;
    session.send("\x03")?;
    let said = session.wait_for("iamctl login --cancel")?;
    assert!(said.contains("the login goes on without this command"), "{said}");
    assert_eq!(session.close()?, 3);
    issuer.approve(&uri, &code, &user)?;
    let file = token_file(&user)?;
    eventually("the token file", TOKEN_WITHIN, || node.exec(&format!("test -s {file}"))?.ok())?;
    iamctl(node, &user, "token")?.ok()?;
    Ok(())
}

fn a_code_that_was_shown_is_good_after_the_daemon_was_killed(world: &World) -> Outcome {
    let (node, issuer) = own(world, "killed", &[("INTERVAL", "1")], "")?;
    let mut session = login(&node, "alice", "")?;
    let (uri, code) = prompt(&mut session)?;
    session.wait_for("Waiting")?;
    session.send("\x03")?;
    session.close()?;
    node.exec(
        "systemctl kill --signal=KILL iamd; systemctl reset-failed iamd; systemctl start iamd",
    )?
    .ok()?;
    // It is the same login, not a new one.
    let shown = iamctl(&node, "alice", "login --no-wait")?.ok()?;
    assert!(shown.errors().contains(&code), "{shown:?}");
    issuer.approve(&uri, &code, "alice")?;
    eventually("the sign-in", TOKEN_WITHIN, || iamctl(&node, "alice", "token")?.ok())?;
    Ok(())
}

fn login_on_a_terminal_waits_until_the_token_is_there(world: &World) -> Outcome {
    let (node, issuer, user) = (world.node()?, world.issuer()?, world.user()?);
    let mut session = login(node, &user, "")?;
    let (uri, code) = prompt(&mut session)?;
    assert!(uri.starts_with(&issuer.url()), "{uri}");
    issuer.approve(&uri, &code, &user)?;
    let file = token_file(&user)?;
    let said = session.wait_for(&format!("Your token is in {file}"))?;
    assert!(said.contains(&format!("as {user} on {}", node.name())), "{said}");
    let subject = iamctl_json(node, &user, "account show")?["account"]["subject"].clone();
    let subject = subject.as_str().unwrap_or_default();
    let signed_in = format!("Signed in to the test issuer as {user} ({subject}).");
    // The terminal may have broken the sentence.
    assert!(said.replace('\n', " ").contains(&signed_in), "{said}");
    assert_eq!(session.close()?, 0);
    node.exec(&format!("test -s {file}"))?.ok()?;
    Ok(())
}

fn if_needed_says_nothing_to_a_user_who_is_signed_in(world: &World) -> Outcome {
    let (node, user) = (world.node()?, world.user()?);
    let needed = iamctl(node, &user, "login --if-needed --no-wait")?.ok()?;
    assert!(needed.errors().contains("  Code  ") && needed.stdout.is_empty(), "{needed:?}");
    let unwanted = node.ssh(&user).run("IAMD_NO_LOGIN=1 iamctl login --if-needed")?.ok()?;
    assert_eq!((unwanted.text(), unwanted.errors()), Default::default());
    let _session = sign_in(node, world.issuer()?, &user)?;
    let quiet = iamctl(node, &user, "login --if-needed")?.ok()?;
    assert_eq!((quiet.text(), quiet.errors()), Default::default());
    Ok(())
}

fn denied_and_expired_logins_end_with_words_of_their_own(world: &World) -> Outcome {
    let options = [("SHAPE", "rfc"), ("INTERVAL", "1"), ("DC_TTL", "8")];
    let (node, issuer) = own(world, "endings", &options, "")?;
    let mut expiring = login(&node, "bob", "")?;
    prompt(&mut expiring)?;
    let mut session = login(&node, "alice", "")?;
    let (uri, code) = prompt(&mut session)?;
    issuer.deny(&uri, &code, "alice")?;
    let said = session.wait_for("start again with:  iamctl login")?;
    assert!(said.contains("iamctl: the login was refused at the issuer\n"), "{said}");
    assert_eq!(session.close()?, 1);
    let said = expiring.wait_for("Start again with:  iamctl login")?;
    assert!(said.contains("iamctl: nobody approved the login in time\n"), "{said}");
    assert_eq!(expiring.close()?, 3);
    Ok(())
}

fn somebody_else_who_approves_changes_nothing_at_an_indigo_iam(world: &World) -> Outcome {
    let (node, issuer) = own(world, "binding", &[], "")?;
    somebody_else_who_approves_changes_nothing(&node, &issuer)
}

fn somebody_else_who_approves_changes_nothing_at_an_issuer_by_the_rfcs(world: &World) -> Outcome {
    let (node, issuer) = own(world, "rfc", &[("SHAPE", "rfc"), ("INTERVAL", "1")], "")?;
    somebody_else_who_approves_changes_nothing(&node, &issuer)
}

/// Alice has signed in; her next code is approved by Bob, who was sent it or opened it by mistake.
fn somebody_else_who_approves_changes_nothing(node: &Node, issuer: &Issuer) -> Outcome {
    let _alice = sign_in(node, issuer, "alice")?;
    let file = token_file("alice")?;
    let (token, account) = (node.get(&file)?, iamctl_json(node, "alice", "account show")?);
    let printed = iamctl(node, "alice", "token")?.ok()?.stdout;

    let mut session = login(node, "alice", "")?;
    let (uri, code) = prompt(&mut session)?;
    issuer.approve(&uri, &code, "bob")?;
    let said = session.wait_for("Sign in as the person this account belongs to.")?;
    assert!(said.contains("somebody else signed in than the person"), "{said}");
    assert_eq!(session.close()?, 4);
    let failed = "journalctl -b -u iamd -o cat | grep -c 'login-failed.*IdentityMismatch'";
    assert_eq!(node.root_says(failed)?, "1");
    let log = node.exec("journalctl -b -u iamd -o verbose")?.ok()?.text();

    assert_eq!(node.get(&file)?, token, "the token file");
    assert_eq!(iamctl_json(node, "alice", "account show")?, account);
    assert_eq!(iamctl(node, "alice", "token")?.ok()?.stdout, printed);
    // The refresh token is Alice's and works.
    let fresh = iamctl(node, "alice", "token --force-new")?.ok()?.line();
    let subject = |token: &str| -> Result<String, iamd_tests::Error> {
        Ok(issuer.verify(token)?["sub"].as_str().unwrap_or_default().to_owned())
    };
    assert_eq!(account["account"]["subject"], subject(&fresh)?);
    // Bob's tokens were ended at the issuer, and nothing of him was told or written down.
    let revoked = || {
        let requests = issuer.requests()?;
        let revocations = requests.iter().filter(|request| {
            let path = request["path"].as_str().unwrap_or_default();
            path.contains("revo") && request["status"] == 200
        });
        if revocations.count() > 0 { Ok(()) } else { Err(iamd_tests::Error::Wrong("none".into())) }
    };
    eventually("the revocation of Bob's tokens", Duration::from_secs(5), revoked)?;
    let _bob = sign_in(node, issuer, "bob")?;
    let bob = subject(&String::from_utf8_lossy(&node.get(&token_file("bob")?)?))?;
    for (place, text) in [("iamctl's words", &said), ("the journal", &log)] {
        assert!(!text.contains("bob") && !text.contains(&bob), "bob in {place}: {text}");
    }
    Ok(())
}
