//! Faults while a signed-in user gets tokens: refreshes, metadata, revocation.

use std::time::Duration;

use iamd_tests::{Error, World, clock, eventually, token_file};
use serde_json::{Value, json};

use super::{RFC, Stage, stage, told};
use crate::case::{Case, Outcome};
use crate::cases;

pub fn cases() -> Vec<Case> {
    cases![
        r15_metadata_once_known_outlives_a_discovery_that_is_down,
        r25_a_refresh_token_that_comes_without_a_usable_access_token_is_kept_and_used,
        r27_a_token_without_expires_in_ends_when_it_says_itself_or_after_five_minutes,
        r29_an_error_that_is_not_oauths_does_not_end_the_sign_in,
        r30_a_dead_refresh_token_is_final_at_once_and_the_file_goes_when_its_token_ends,
        r30_a_suspended_client_and_an_unknown_one_keep_the_sign_in,
        r31_codes_that_one_user_is_refused_do_not_stop_anothers_renewal,
        r31_renewals_that_one_user_forces_do_not_stop_anothers,
        r31_nothing_is_asked_before_the_time_that_retry_after_gives,
        a_lost_reply_to_a_refresh_costs_nothing_where_refresh_tokens_stay,
        a_lost_reply_to_a_refresh_asks_for_a_login_where_refresh_tokens_rotate,
        replies_that_are_not_json_are_passing_failures,
        an_unsigned_aup_is_told_and_the_account_recovers_when_it_is_signed,
        a_suspended_user_keeps_the_sign_in,
        a_reply_after_twenty_seconds_is_a_reply,
        an_issuer_that_never_answers_is_named_not_the_daemon,
    ]
}

const REFRESH: &str = "POST /token refresh_token";

fn r15_metadata_once_known_outlives_a_discovery_that_is_down(world: &World) -> Outcome {
    let stage = stage(world, "r15", &RFC)?;
    stage.sign_in()?;
    let down = stage.fault("/.well-known/*", json!({"status": {"code": 503}}))?;
    stage.new_token()?.ok()?;
    stage.iamctl("login r15 --no-wait")?.ok()?;
    stage.iamctl("login --cancel r15")?.ok()?;
    let said = stage.iamctl("logout r15 --json")?.ok()?;
    assert!(said.text().contains("\"revoked\":true"), "{said:?}");
    drop(down);
    Ok(())
}

fn r25_a_refresh_token_that_comes_without_a_usable_access_token_is_kept_and_used(
    world: &World,
) -> Outcome {
    // Where the token before it is used once more, all of the sign-in is over.
    let stage = stage(world, "r25", &[("ROTATE", "always"), ("REUSE", "kills")])?;
    stage.sign_in()?;
    for (change, exit, words) in [
        (json!({"set": {"token_type": "DPoP"}}), 1, "token_type is DPoP, not Bearer"),
        (json!({"set": {"access_token": "\u{e9}"}}), 1, "not visible ASCII"),
        (json!({"remove": ["access_token"]}), 5, "without a reason"),
    ] {
        let faults = stage.refresh_fault(json!({"replace_json": change}))?;
        for _ in 0..2 {
            let said = told(&stage.new_token()?.exited(exit)?)?;
            assert!(said.contains(words), "{words}: {said}");
        }
        assert_eq!(faults.counters()?[0]["applied"], 2, "{words}");
        drop(faults);
        assert_eq!(stage.state()?, "signed-in", "{words}");
        stage.issuer.verify(&stage.new_token()?.ok()?.line())?;
    }
    Ok(())
}

fn r27_a_token_without_expires_in_ends_when_it_says_itself_or_after_five_minutes(
    world: &World,
) -> Outcome {
    let stage = stage(world, "r27", &[("AT_TTL", "1200")])?;
    stage.sign_in()?;
    let expires_in = |replaced: Value| -> Result<u64, Error> {
        let _faults = stage.refresh_fault(json!({"replace_json": replaced}))?;
        let said = stage.iamctl("token r27 --force-new --json")?.ok()?;
        let token = crate::people::parsed(&said)?;
        Ok(token["expires_at"].as_u64().unwrap_or(0).saturating_sub(clock::unix_time()))
    };
    let by_claim = expires_in(json!({"remove": ["expires_in"]}))?;
    assert!((1185..=1200).contains(&by_claim), "{by_claim}");
    let opaque = json!({"remove": ["expires_in"], "set": {"access_token": "opaque-token"}});
    let by_default = expires_in(opaque)?;
    assert!((285..=300).contains(&by_default), "{by_default}");
    Ok(())
}

fn r29_an_error_that_is_not_oauths_does_not_end_the_sign_in(world: &World) -> Outcome {
    let stage = stage(world, "r29", &RFC)?;
    stage.sign_in()?;
    {
        let body = json!({"error": "JwtToken"});
        let _faults = stage.refresh_fault(json!({"status": {"code": 401, "body": body}}))?;
        stage.new_token()?.exited(5)?;
        assert_eq!(stage.state()?, "signed-in");
        // What is valid goes on being given.
        stage.iamctl("token r29")?.ok()?;
    }
    stage.new_token()?.ok()?;
    Ok(())
}

fn r30_a_dead_refresh_token_is_final_at_once_and_the_file_goes_when_its_token_ends(
    world: &World,
) -> Outcome {
    let stage = stage(world, "r30", &[("AT_TTL", "25")])?;
    let session = stage.node().ssh(&stage.user).pty().open(None)?;
    stage.sign_in()?;
    let begun = clock::now();
    let file = token_file(&stage.user)?;
    let present =
        |stage: &Stage| stage.node().exec(&format!("test -s {file}")).map(|t| t.code == 0);
    eventually("the token file", Duration::from_secs(3), || match present(&stage)? {
        true => Ok(()),
        false => Err(Error::Wrong("not there".into())),
    })?;
    let text = "Refresh token for value eyJhbGciOiJub25lIn0.e30. was not found";
    let body = json!({"error": "invalid_token", "error_description": text});
    let faults = stage.refresh_fault(json!({"status": {"code": 401, "body": body}}))?;
    stage.new_token()?.exited(3)?;
    let again = told(&stage.new_token()?.exited(3)?)?;
    assert!(again.contains("iamctl login"), "{again}");
    assert_eq!(faults.counters()?[0]["matched"], 1, "the issuer is not asked again");
    assert_eq!(stage.state()?, "login-required");
    let status = stage.iamctl("status")?.ok()?.text();
    assert!(status.contains("sign-in needed") && status.contains("iamctl login"), "{status}");
    assert!(present(&stage)?, "its token is still valid");
    eventually("the file to go", Duration::from_secs(30), || match present(&stage)? {
        true => Err(Error::Wrong("still there".into())),
        false => Ok(()),
    })?;
    let lived = begun.elapsed().as_secs();
    assert!((22..=29).contains(&lived), "the file went after {lived} s");
    assert_eq!(faults.counters()?[0]["matched"], 1);
    drop(session);
    Ok(())
}

fn r30_a_suspended_client_and_an_unknown_one_keep_the_sign_in(world: &World) -> Outcome {
    let stage = stage(world, "client", &RFC)?;
    stage.sign_in()?;
    // As INDIGO IAM says that it suspended the client, and that it knows none such.
    for (error, text) in
        [("invalid_client", "Client is suspended: x"), ("unauthorized", "Bad credentials")]
    {
        let body = json!({"error": error, "error_description": text});
        let _faults = stage.refresh_fault(json!({"status": {"code": 401, "body": body}}))?;
        let said = told(&stage.new_token()?.exited(1)?)?;
        assert!(said.contains("--new-client"), "{said}");
        assert_eq!(stage.state()?, "client-broken");
    }
    stage.new_token()?.ok()?;
    assert_eq!(stage.state()?, "signed-in");
    Ok(())
}

fn r31_codes_that_one_user_is_refused_do_not_stop_anothers_renewal(world: &World) -> Outcome {
    let (stage, other) = (stage(world, "codes", &[])?, world.user()?);
    stage.sign_in()?;
    let busy = json!({"status": {"code": 429, "headers": {"retry-after": "120"}, "body": ""}});
    let faults = stage.fault("/devicecode", busy)?;
    let login = "iamctl login codes --issuer codes --no-wait";
    for _ in 0..3 {
        stage.node().exec_as(&other, login)?.exited(5)?;
    }
    assert_eq!(faults.counters()?[0]["applied"], 1, "who was told to wait waits");
    drop(faults);
    stage.new_token()?.ok()?;
    // Another user's login is asked for as well.
    stage.iamctl("login codes --issuer codes --no-wait")?.ok()?;
    Ok(())
}

fn r31_renewals_that_one_user_forces_do_not_stop_anothers(world: &World) -> Outcome {
    let (stage, other) = (stage(world, "forced", &[])?, world.user()?);
    stage.sign_in()?;
    crate::people::sign_in_as(stage.node(), &stage.issuer, &other, "forced", "forced")?;
    let busy = json!({"status": {"code": 429, "headers": {"retry-after": "120"}, "body": ""}});
    let faults = stage.refresh_fault(busy)?;
    for _ in 0..5 {
        stage.node().exec_as(&other, "iamctl token forced --force-new")?.exited(5)?;
    }
    assert_eq!(faults.counters()?[0]["applied"], 1, "who was told to wait waits");
    drop(faults);
    stage.issuer.verify(&stage.new_token()?.ok()?.line())?;
    // The user who waits has the token that is at hand.
    let said = stage.node().exec_as(&other, "iamctl token forced")?.ok()?;
    stage.issuer.verify(&said.line())?;
    Ok(())
}

fn r31_nothing_is_asked_before_the_time_that_retry_after_gives(world: &World) -> Outcome {
    let stage = stage(world, "r31", &RFC)?;
    stage.sign_in()?;
    let slow = json!({"code": 429, "headers": {"retry-after": "6"}, "body": ""});
    let faults = stage.refresh_fault(json!({"status": slow}))?;
    let begun = clock::now();
    told(&stage.new_token()?.exited(5)?)?;
    let said = told(&stage.new_token()?.exited(5)?)?;
    assert_eq!(faults.counters()?[0]["matched"], 1, "asked at once again");
    assert!(said.contains("iamctl: "), "{said}");
    assert!(begun.elapsed() < Duration::from_secs(5), "the machine is too slow for this test");
    drop(faults);
    stage.iamctl("token r31")?.ok()?;
    eventually("a new token", Duration::from_secs(12), || {
        clock::pause(Duration::from_millis(300));
        stage.new_token()?.ok()
    })?;
    assert!(begun.elapsed() >= Duration::from_secs(6), "after {:?}", begun.elapsed());
    Ok(())
}

fn a_lost_reply_to_a_refresh_costs_nothing_where_refresh_tokens_stay(world: &World) -> Outcome {
    let stage = stage(world, "stays", &[])?;
    stage.sign_in()?;
    {
        let _faults = stage.refresh_fault(json!("reset_after"))?;
        let said = told(&stage.new_token()?.exited(5)?)?;
        assert!(said.contains("connection to stays.test broke"), "{said}");
    }
    assert_eq!(stage.state()?, "signed-in");
    stage.new_token()?.ok()?;
    Ok(())
}

fn a_lost_reply_to_a_refresh_asks_for_a_login_where_refresh_tokens_rotate(
    world: &World,
) -> Outcome {
    let options = [("ROTATE", "always"), ("REUSE", "fails")];
    let stage = stage(world, "rotates", &options)?;
    stage.sign_in()?;
    stage.new_token()?.ok()?;
    {
        let _faults = stage.refresh_fault(json!("reset_after"))?;
        stage.new_token()?.exited(5)?;
    }
    assert_eq!(stage.state()?, "signed-in", "nobody knows yet");
    stage.iamctl("token rotates")?.ok()?;
    let said = told(&stage.new_token()?.exited(3)?)?;
    assert!(said.contains("iamctl login"), "{said}");
    assert!(!said.contains("eyJ"), "the issuer's text repeats the token: {said}");
    stage.sign_in()?;
    stage.new_token()?.ok()?;
    Ok(())
}

fn replies_that_are_not_json_are_passing_failures(world: &World) -> Outcome {
    let stage = stage(world, "garbled", &RFC)?;
    stage.sign_in()?;
    for (fault, words) in [
        (json!("html"), "a page instead of JSON"),
        (json!("empty"), "with nothing"),
        (json!({"truncate": {"bytes": 40}}), "garbled.test"),
        (json!({"status": {"code": 503, "body": "<h1>Maintenance</h1>"}}), "503"),
    ] {
        let faults = stage.refresh_fault(fault)?;
        let said = told(&stage.new_token()?.exited(5)?)?;
        assert!(said.contains(words), "{words}: {said}");
        drop(faults);
        assert_eq!(stage.state()?, "signed-in", "{words}");
        // The answer in between keeps the circuit closed. A lost reply may have rotated the
        // refresh token, and then the sign-in is renewed.
        if stage.new_token()?.code != 0 {
            stage.sign_in()?;
        }
    }
    Ok(())
}

fn an_unsigned_aup_is_told_and_the_account_recovers_when_it_is_signed(world: &World) -> Outcome {
    let stage = stage(world, "aup", &[])?;
    stage.sign_in()?;
    stage.issuer.change_user(&stage.user, &json!({"signed_aup": false}))?;
    let said = told(&stage.new_token()?.exited(1)?)?;
    assert!(said.contains("needs to sign AUP for this organization"), "{said}");
    assert_eq!(stage.state()?, "action-needed");
    let status = stage.iamctl("status")?.ok()?.text();
    assert!(status.contains("needs to sign AUP"), "{status}");
    let mut login = stage.node().ssh(&stage.user).pty().open(None)?;
    assert_eq!(login.ask("echo in")?, "in\n");
    let notice = login.seen();
    assert!(notice.contains("wants something of you first: "), "{notice}");
    assert!(notice.contains("needs to sign AUP"), "{notice}");
    stage.issuer.change_user(&stage.user, &json!({"signed_aup": true}))?;
    stage.new_token()?.ok()?;
    assert_eq!(stage.state()?, "signed-in");
    assert_eq!(stage.account()?["reason"], Value::Null);
    Ok(())
}

fn a_suspended_user_keeps_the_sign_in(world: &World) -> Outcome {
    let stage = stage(world, "suspended", &[])?;
    stage.sign_in()?;
    stage.issuer.change_user(&stage.user, &json!({"active": false}))?;
    let said = told(&stage.new_token()?.exited(1)?)?;
    assert!(said.contains("is not active"), "{said}");
    assert_eq!(stage.state()?, "action-needed");
    stage.issuer.change_user(&stage.user, &json!({"active": true}))?;
    stage.new_token()?.ok()?;
    Ok(())
}

fn a_reply_after_twenty_seconds_is_a_reply(world: &World) -> Outcome {
    let stage = stage(world, "slow", &RFC)?;
    stage.sign_in()?;
    let _faults = stage.refresh_fault(json!({"latency": {"ms": 20_000}}))?;
    let said = stage.new_token()?.ok()?;
    assert!(said.took >= Duration::from_secs(20), "{:?}", said.took);
    stage.issuer.verify(&said.line())?;
    assert_eq!(stage.issuer.count(REFRESH)?, 1);
    Ok(())
}

fn an_issuer_that_never_answers_is_named_not_the_daemon(world: &World) -> Outcome {
    let stage = stage(world, "silent", &RFC)?;
    stage.sign_in()?;
    let _faults = stage.refresh_fault(json!("blackhole"))?;
    let said = stage.new_token()?.exited(5)?;
    assert!(said.errors().contains("no answer from silent.test within 30 s"), "{said:?}");
    assert_eq!(stage.state()?, "signed-in");
    Ok(())
}
