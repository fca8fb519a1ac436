//! `iamctl account` from the first question to the removal, on a node and with an issuer.

use iamd_tests::World;
use serde_json::json;

use crate::case::{Case, Outcome};
use crate::cases;
use crate::own::{iamctl, iamctl_json, prompt};
use crate::people::{error_of, sign_in_as};

pub fn cases() -> Vec<Case> {
    cases![
        an_account_is_added_step_by_step_on_a_terminal_and_signed_in,
        an_account_is_changed_renamed_made_the_default_and_removed,
        ctrl_c_at_a_question_leaves_no_account,
    ]
}

fn an_account_is_added_step_by_step_on_a_terminal_and_signed_in(world: &World) -> Outcome {
    let (node, issuer, user) = (world.node()?, world.issuer()?, world.user()?);
    let mut session = node.ssh(&user).pty().open(Some("NO_COLOR=1 iamctl account add"))?;
    for (question, answer) in [
        ("Number, name or URL [", "test\r"),
        ("Name of the account", "mine\r"),
        ("Scopes [default]: ", "openid offline_access comp\tread\r"),
        ("Audience [default]: ", "\r"),
    ] {
        session.wait_for(question)?;
        session.send(answer)?;
    }
    let (uri, code) = prompt(&mut session)?;
    issuer.approve(&uri, &code, &user)?;
    session.wait_for("Your token is in ")?;
    assert_eq!(session.close()?, 0);
    let shown = iamctl_json(node, &user, "account show mine")?["account"].clone();
    assert_eq!(shown["state"], "signed-in");
    let asked = shown["scopes_asked"].as_array().cloned().unwrap_or_default();
    assert!(asked.contains(&json!("compute.read")), "{shown}");
    Ok(())
}

fn an_account_is_changed_renamed_made_the_default_and_removed(world: &World) -> Outcome {
    let (node, issuer, user) = (world.node()?, world.issuer()?, world.user()?);
    let added = iamctl_json(node, &user, "account add mine --issuer test --no-login -s openid")?;
    assert_eq!((&added["account"], &added["login_needed"]), (&json!("mine"), &json!(true)));
    let again = iamctl(node, &user, "account add mine --issuer test --json")?.exited(1)?;
    assert_eq!(error_of(&again)?.0, "AccountExists");
    sign_in_as(node, issuer, &user, "mine", "test")?;
    let edited = iamctl(node, &user, "account edit mine --add-scope compute.read")?.ok()?;
    assert!(edited.errors().contains("iamctl login mine"), "{edited:?}");
    assert_eq!(edited.text(), "");
    assert_eq!(iamctl_json(node, &user, "account rename mine other")?["account"], "other");
    assert_eq!(iamctl_json(node, &user, "account default other")?["account"], "other");
    assert_eq!(iamctl_json(node, &user, "account show")?["account"]["name"], "other");
    iamctl(node, &user, "account remove other")?.exited(2)?;
    let removed = iamctl_json(node, &user, "account remove other --yes")?;
    assert_eq!((&removed["account"], &removed["revoked"]), (&json!("other"), &json!(true)));
    let gone = iamctl(node, &user, "account show other --json")?.exited(1)?;
    assert_eq!(error_of(&gone)?.0, "NoSuchAccount");
    Ok(())
}

fn ctrl_c_at_a_question_leaves_no_account(world: &World) -> Outcome {
    let (node, user) = (world.node()?, world.user()?);
    let before = iamctl_json(node, &user, "account list")?;
    let mut session = node.ssh(&user).pty().open(Some("iamctl account add mine; stty -a"))?;
    session.wait_for("Number, name or URL [")?;
    session.send("\x03")?;
    let said = session.wait_for("echoctl")?;
    assert!(said.contains(" echo ") && said.contains(" icanon "), "{said}");
    session.close()?;
    let after = iamctl_json(node, &user, "account list")?;
    let names = |list: &serde_json::Value| list["accounts"].as_array().map(Vec::len);
    assert_eq!(names(&after), names(&before));
    Ok(())
}
