//! Users who go, and uids that come to somebody else.

use iamd_tests::{World, eventually, token_file, uid};

use super::{SOON, place};
use crate::case::{Case, Outcome};
use crate::cases;
use crate::people::{json, start_login, wait_for_state};

pub fn cases() -> Vec<Case> {
    cases![
        ;
        apart: a_user_who_is_deleted_while_a_session_lives_costs_nobody_else_anything,
        r54_who_gets_the_uid_of_a_deleted_user_gets_nothing_of_theirs,
    ]
}

fn a_user_who_is_deleted_while_a_session_lives_costs_nobody_else_anything(
    world: &World,
) -> Outcome {
    let place = place(world, "deleted", "[sessions]\ngrace = \"1s\"\n")?;
    place.sign_in("alice")?;
    place.sign_in("bob")?;
    let _bob = place.session("bob")?;
    let mut session = place.session("alice")?;
    let file = token_file("alice")?;
    place.file("alice")?;
    let asked = place.refreshes()?;
    place.node.root_says("userdel --force alice 2>/dev/null; ! id alice 2>/dev/null")?;
    // What runs goes on, and nobody but that uid reads its file.
    session.send("still\n")?;
    session.wait_for("still\n")?;
    place.node.exec_as("bob", &format!("cat {file}"))?.exited(1)?;
    // iamd forgets what the name service said, and finds a session of nobody's.
    place.node.restart("iamd")?;
    place.is_up()?;
    session.send("still here\n")?;
    session.wait_for("still here\n")?;
    assert!(place.file("bob")?.starts_with("eyJ"));
    assert_eq!(place.refreshes()?, asked, "renewed for nobody");
    place.new_token("bob")?.ok()?;
    session.close()?;
    eventually("the file to go", SOON, || place.node.exec(&format!("test ! -e {file}"))?.ok())?;
    place.node.ssh("bob").run("cat $BEARER_TOKEN_FILE")?.ok()?;
    Ok(())
}

fn r54_who_gets_the_uid_of_a_deleted_user_gets_nothing_of_theirs(world: &World) -> Outcome {
    let place = place(world, "reused", "")?;
    place.sign_in("alice")?;
    let session = place.session("alice")?;
    let (file, uid) = (token_file("alice")?, uid("alice")?);
    let token = place.file("alice")?;
    drop(session);
    // Deleted in the grace after the last session: the file stands still.
    place.node.root_says("userdel --force alice 2>/dev/null; ! id alice 2>/dev/null")?;
    assert_eq!(place.node.root_says(&format!("cat {file}"))?, token);
    let asked = place.refreshes()?;
    place
        .node
        .root_says(&format!("useradd --uid {uid} --create-home --shell /bin/bash mallory"))?;
    // iamd believes a name of the name service for five minutes; it starts anew in none.
    let seen = place.node.ssh("mallory").run("cat $BEARER_TOKEN_FILE 2>&1; true")?.ok()?;
    assert!(!seen.text().contains("eyJ"), "{seen:?}");
    assert_eq!(place.node.exec(&format!("cat {file}"))?.text(), "", "the file is gone");
    place.node.restart("iamd")?;
    place.is_up()?;
    let list = json(&place.node, "mallory", "iamctl account list --json")?;
    assert_eq!(list["accounts"], serde_json::json!([]), "{list}");
    place.iamctl("mallory", "token")?.exited(3)?;
    place.iamctl("mallory", "token test")?;
    let seen = place.node.ssh("mallory").run("cat $BEARER_TOKEN_FILE 2>&1; true")?.ok()?;
    assert!(!seen.text().contains("eyJ"), "{seen:?}");
    assert_eq!(place.refreshes()?, asked, "nobody renewed alice's token for mallory");
    // Mallory signs in beside it, and has a file of their own.
    let (uri, code) = start_login(&place.node, "mallory", "mine", "test")?;
    place.issuer.approve(&uri, &code, "carol")?;
    wait_for_state(&place.node, "mallory", "mine", "signed-in", SOON)?;
    assert_ne!(place.iamctl("mallory", "token mine")?.ok()?.line(), token);
    Ok(())
}
