//! Users who go, and uids that come to somebody else.

use std::time::Duration;

use iamd_tests::{World, token_file, uid};

use super::{SOON, place};
use crate::case::{Case, Outcome};
use crate::cases;
use crate::people::{json, start_login, wait_for_state};

/// A session that stays for as long as such a test takes.
const LONG: Duration = Duration::from_secs(120);

pub fn cases() -> Vec<Case> {
    cases![
        ;
        apart: r54_who_gets_the_uid_of_a_deleted_user_gets_nothing_of_theirs,
        r54_a_user_who_is_deleted_in_a_session_keeps_it_and_leaves_nothing_to_who_gets_the_uid,
    ]
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

fn r54_a_user_who_is_deleted_in_a_session_keeps_it_and_leaves_nothing_to_who_gets_the_uid(
    world: &World,
) -> Outcome {
    let place = place(world, "goneuser", "")?;
    let node = &place.node;
    place.sign_in("alice")?;
    let mut session = node.ssh("alice").limit(LONG).open(None)?;
    let (file, uid) = (token_file("alice")?, uid("alice")?);
    let token = place.file("alice")?;
    node.root_says("userdel --force alice 2>/dev/null; ! id alice 2>/dev/null")?;
    // What runs goes on with its token, also over a reload; others notice nothing.
    let said = session.ask("cat $BEARER_TOKEN_FILE")?;
    assert!(said.contains(&token), "{said}");
    node.exec("systemctl reload iamd")?.ok()?;
    assert!(node.root_says(&format!("cat {file}"))?.starts_with("eyJ"));
    assert_eq!(node.ssh("bob").run("echo in")?.ok()?.line(), "in");

    // The uid is somebody else's, and alice's session is open still.
    node.root_says(&format!("useradd --uid {uid} --create-home --shell /bin/bash mallory"))?;
    let nothing = |when: &str| -> Outcome {
        let seen = node.ssh("mallory").run("cat $BEARER_TOKEN_FILE 2>&1; true")?.ok()?;
        assert!(!seen.text().contains("eyJ"), "{when}: {seen:?}");
        assert_eq!(node.exec(&format!("cat {file}"))?.text(), "", "{when}: the file is gone");
        let list = json(node, "mallory", "iamctl account list --json")?;
        assert_eq!(list["accounts"], serde_json::json!([]), "{when}: {list}");
        place.iamctl("mallory", "token")?.exited(3)?;
        Ok(())
    };
    let asked = place.refreshes()?;
    nothing("at once")?;
    let mut theirs = node.ssh("mallory").limit(LONG).open(None)?;
    node.exec("systemctl reload iamd")?.ok()?;
    nothing("after a reload")?;
    node.restart("iamd")?;
    place.is_up()?;
    nothing("after a restart")?;
    let seen = theirs.ask("cat $BEARER_TOKEN_FILE 2>&1; true")?;
    assert!(!seen.contains("eyJ"), "{seen}");
    drop(session);
    drop(theirs);
    nothing("when both sessions are over")?;
    assert_eq!(place.refreshes()?, asked, "nobody renewed alice's token for mallory");
    Ok(())
}
