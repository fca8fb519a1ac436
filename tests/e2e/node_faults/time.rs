//! The clock: set forward, set back, and a node that slept.

use std::time::Duration;

use iamd_tests::{World, eventually};
use serde_json::json;

use super::{Place, Result, SOON, place};
use crate::case::{Case, Outcome};
use crate::cases;

pub fn cases() -> Vec<Case> {
    cases![
        ;
        apart: a_clock_that_is_set_forward_or_back_gives_a_good_token_within_seconds,
        a_node_that_was_suspended_has_a_good_token_within_seconds_of_its_return,
    ]
}

/// How long the node sleeps, in seconds.
const HOURS: i64 = 8 * 3600;

/// What iamd is to take for the time, as seconds that the clock is off by.
fn set_clock(place: &Place, seconds: i64) -> Result<()> {
    let line = format!("echo {seconds} > /run/iamd/fault-clock");
    place.node.exec(&line)?.ok().map(|_| ())
}

/// Waits for another token in the file.
fn another(place: &Place, token: &str) -> Result<String> {
    eventually("another token in the file", SOON, || match place.file("alice") {
        Ok(now) if now != token => Ok(now),
        Ok(_) => Err("the same".to_owned()),
        Err(error) => Err(error.to_string()),
    })
}

fn a_clock_that_is_set_forward_or_back_gives_a_good_token_within_seconds(world: &World) -> Outcome {
    let place = place(world, "jumps", "")?;
    place.sign_in("alice")?;
    let _session = place.session("alice")?;
    let mut token = place.file("alice")?;
    // Two minutes are within what clocks may differ by; a day is not.
    set_clock(&place, 100)?;
    place.iamctl("alice", "token")?.ok()?;
    for seconds in [86_400, 0, -86_400] {
        set_clock(&place, seconds)?;
        token = another(&place, &token)?;
        place.issuer.verify(&token)?;
    }
    set_clock(&place, 0)?;
    another(&place, &token)?;
    place.iamctl("alice", "token --min-valid 5m")?.ok()?;
    place.new_token("alice")?.ok()?;
    Ok(())
}

fn a_node_that_was_suspended_has_a_good_token_within_seconds_of_its_return(
    world: &World,
) -> Outcome {
    let place = place(world, "slept", "")?;
    place.sign_in("alice")?;
    let _session = place.session("alice")?;
    let token = place.file("alice")?;
    // Its timers stand still, and the time goes on by eight hours, also at the issuer.
    place.node.root_says("systemctl kill -s STOP iamd")?;
    set_clock(&place, HOURS)?;
    place.issuer.control("POST", "clock", Some(&json!({"seconds": HOURS})))?;
    iamd_tests::clock::pause(Duration::from_secs(1));
    place.node.root_says("systemctl kill -s CONT iamd")?;
    let now = another(&place, &token)?;
    place.issuer.verify(&now)?;
    // The first thing that is asked for after it is good, too.
    place.new_token("alice")?.ok()?;
    Ok(())
}
