//! Replies to a refresh that are lost, broken, or not what they should be: asked for once more where
//! that is safe, and the end of a sign-in told at once.

use iamd_tests::World;
use serde_json::json;

use super::{Stage, stage, told};
use crate::case::{Case, Outcome};
use crate::cases;

pub fn cases() -> Vec<Case> {
    cases![
        a_lost_reply_is_not_noticed_where_refresh_tokens_stay,
        a_lost_reply_is_not_noticed_where_a_rotated_refresh_token_has_a_grace,
        a_lost_reply_is_told_at_once_where_the_family_dies_or_the_token_is_gone,
        a_request_that_never_reached_the_issuer_costs_nothing_where_refresh_tokens_rotate,
        a_reply_with_another_content_type_is_read_for_what_it_is,
    ]
}

const REFRESH: &str = "POST /token refresh_token";

/// Signed in, and seen to rotate where it does.
fn signed_in(world: &World, name: &str, options: &[(&str, &str)]) -> super::Result<Stage> {
    let stage = stage(world, name, options)?;
    stage.sign_in()?;
    stage.new_token()?.ok()?;
    stage.issuer.reset()?;
    Ok(stage)
}

/// This fault for the next refresh alone.
fn once(fault: serde_json::Value) -> serde_json::Value {
    let next = json!({"path": "/token", "grant_type": "refresh_token", "count": 1});
    json!([{"match": next, "fault": fault}])
}

fn a_lost_reply_is_not_noticed_where_refresh_tokens_stay(world: &World) -> Outcome {
    let stage = signed_in(world, "kept", &[])?;
    for fault in [json!("reset_after"), json!({"truncate": {"bytes": 40}})] {
        let faults = stage.issuer.faults(&once(fault))?;
        stage.new_token()?.ok()?;
        assert_eq!(faults.counters()?[0]["applied"], 1);
    }
    assert_eq!(stage.issuer.count(REFRESH)?, 4, "each once more");
    Ok(())
}

fn a_lost_reply_is_not_noticed_where_a_rotated_refresh_token_has_a_grace(world: &World) -> Outcome {
    let options = [("ROTATE", "always"), ("REUSE", "grace")];
    let stage = signed_in(world, "graced", &options)?;
    let _faults = stage.issuer.faults(&once(json!("reset_after")))?;
    stage.new_token()?.ok()?;
    stage.new_token()?.ok()?;
    assert_eq!(stage.state()?, "signed-in");
    Ok(())
}

fn a_lost_reply_is_told_at_once_where_the_family_dies_or_the_token_is_gone(
    world: &World,
) -> Outcome {
    for (name, reuse) in [("familykill", "kills"), ("onceonly", "fails")] {
        let stage = signed_in(world, name, &[("ROTATE", "always"), ("REUSE", reuse)])?;
        let _faults = stage.issuer.faults(&once(json!("reset_after")))?;
        let said = told(&stage.new_token()?.exited(3)?)?;
        assert!(said.contains("iamctl login"), "{name}: {said}");
        assert_eq!(stage.state()?, "login-required", "{name}");
        assert_eq!(stage.issuer.count(REFRESH)?, 2, "{name}");
        stage.sign_in()?;
        stage.new_token()?.ok()?;
    }
    Ok(())
}

fn a_request_that_never_reached_the_issuer_costs_nothing_where_refresh_tokens_rotate(
    world: &World,
) -> Outcome {
    let stage = signed_in(world, "unseen", &[("ROTATE", "always")])?;
    let _faults = stage.issuer.faults(&once(json!("reset_before")))?;
    stage.new_token()?.ok()?;
    assert_eq!(stage.issuer.count(REFRESH)?, 1);
    assert_eq!(stage.state()?, "signed-in");
    Ok(())
}

fn a_reply_with_another_content_type_is_read_for_what_it_is(world: &World) -> Outcome {
    let stage = signed_in(world, "typed", &[("ROTATE", "always")])?;
    for value in ["text/html", "application/octet-stream", ""] {
        let _faults = stage.issuer.faults(&once(json!({"content_type": {"value": value}})))?;
        let token = stage.new_token()?.ok()?.line();
        stage.issuer.verify(&token)?;
    }
    Ok(())
}
