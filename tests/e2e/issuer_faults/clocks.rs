//! Issuers whose clocks are off.

use std::time::Duration;

use iamd_tests::{Session, World};
use serde_json::{Value, json};

use super::{RFC, Stage, stage};
use crate::case::{Case, Outcome};
use crate::cases;

pub fn cases() -> Vec<Case> {
    cases![
        an_issuer_whose_clock_is_off_by_two_minutes_is_as_good_as_any,
        an_issuer_whose_clock_is_off_by_a_day_renews_tokens_and_its_sign_ins_say_why_they_fail,
    ]
}

fn set_clock(stage: &Stage, seconds: i64) -> Outcome {
    stage.issuer.control("POST", "clock", Some(&json!({"seconds": seconds})))?;
    Ok(())
}

/// A login that is approved and fails all the same; what it says.
fn refused(stage: &Stage) -> super::Result<String> {
    let mut command = stage.node().inside()?;
    let user = &stage.user;
    command.args(["setpriv", "--reuid", user, "--regid", user, "--init-groups"]);
    command.args(["iamctl", "login", "days2", "--issuer", "days", "--json"]);
    let mut login = Session::start(command, Duration::from_secs(30))?;
    let (uri, code) = login.find("where to sign in", |seen| {
        let lines = seen.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
        let word = |line: &Value, name: &str| Some(line[name].as_str()?.to_owned());
        lines
            .into_iter()
            .find_map(|line| Some((word(&line, "verification_uri")?, word(&line, "user_code")?)))
    })?;
    stage.issuer.approve(&uri, &code, user)?;
    login.wait_for("\"error\"")
}

fn an_issuer_whose_clock_is_off_by_two_minutes_is_as_good_as_any(world: &World) -> Outcome {
    let stage = stage(world, "minutes", &RFC)?;
    for seconds in [-120, 120] {
        set_clock(&stage, seconds)?;
        stage.sign_in()?;
        let token = stage.new_token()?.ok()?;
        assert!(token.line().starts_with("eyJ"), "{token:?}");
        stage.iamctl("token minutes --min-valid 50m")?.ok()?;
    }
    Ok(())
}

fn an_issuer_whose_clock_is_off_by_a_day_renews_tokens_and_its_sign_ins_say_why_they_fail(
    world: &World,
) -> Outcome {
    let stage = stage(world, "days", &RFC)?;
    stage.sign_in()?;
    for (seconds, claim) in [(-86_400, "(exp)"), (86_400, "(iat)")] {
        set_clock(&stage, seconds)?;
        // How long a token lives is said without a clock.
        stage.new_token()?.ok()?;
        stage.iamctl("token days --min-valid 50m")?.ok()?;
        // Who signs in is said by a token that has times in it.
        let said = refused(&stage)?;
        let differ = format!("the clocks differ by more than two minutes {claim}");
        assert!(said.contains(&differ), "{said}");
    }
    set_clock(&stage, 0)?;
    stage.new_token()?.ok()?;
    assert_eq!(stage.state()?, "signed-in");
    Ok(())
}
