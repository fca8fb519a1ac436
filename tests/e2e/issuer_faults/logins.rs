//! Faults while a user signs in: discovery, registration, device code, polls.

use std::time::Duration;

use iamd_tests::{Error, Notice, World, eventually};
use serde_json::json;

use super::{RFC, Stage, stage, told};
use crate::case::{Case, Outcome};
use crate::cases;
use crate::people::{start_login, wait_for_state};

pub fn cases() -> Vec<Case> {
    cases![
        r03_after_slow_down_every_poll_waits_five_seconds_more,
        r04_denied_and_expired_are_told_apart,
        r05_an_unknown_error_of_a_poll_ends_the_login_and_is_shown,
        r06_a_poll_that_fails_for_a_while_is_tried_again_until_it_works,
        r07_escape_sequences_from_an_issuer_reach_no_terminal,
        r12_metadata_of_another_issuer_is_refused,
        r12_one_slash_at_the_end_of_the_issuer_makes_no_difference,
        r13_no_redirect_is_followed,
        r18_a_scope_that_was_not_registered_is_told,
        a_page_in_place_of_an_answer_is_a_passing_failure,
        a_sign_in_without_a_usable_access_token_leaves_no_refresh_token_behind,
        a_device_endpoint_that_knows_no_client_gets_one_new_client_and_no_more,
    ]
}

const POLL: &str = "POST /token device_code";

fn polls(stage: &Stage) -> Result<Vec<u64>, Error> {
    let requests = stage.issuer.requests()?;
    let polls = requests.iter().filter(|request| {
        request["grant_type"].as_str().is_some_and(|grant| grant.ends_with("device_code"))
    });
    Ok(polls.filter_map(|request| request["time_ms"].as_u64()).collect())
}

fn r03_after_slow_down_every_poll_waits_five_seconds_more(world: &World) -> Outcome {
    let stage = stage(world, "r03", &RFC)?;
    let slow = json!({"code": 400, "body": {"error": "slow_down"}, "forward": true});
    let _once = stage.issuer.faults(&json!([{
        "match": {"path": "/token", "count": 1}, "fault": {"status": slow},
    }]))?;
    let (uri, code) = start_login(stage.node(), &stage.user, "r03", "r03")?;
    let second = || polls(&stage).map(|polls| polls.len() >= 2).unwrap_or(false);
    iamd_tests::clock::until("the second poll", Duration::from_secs(10), second)?;
    stage.issuer.approve(&uri, &code, &stage.user)?;
    wait_for_state(stage.node(), &stage.user, "r03", "signed-in", Duration::from_secs(10))?;
    let polls = polls(&stage)?;
    let waits: Vec<u64> = polls.windows(2).map(|pair| pair[1].saturating_sub(pair[0])).collect();
    assert!(waits.len() == 2 && waits.iter().all(|ms| (5900..8000).contains(ms)), "{waits:?}");
    Ok(())
}

fn r04_denied_and_expired_are_told_apart(world: &World) -> Outcome {
    let stage = stage(world, "r04", &RFC)?;
    for (error, code, words) in [
        ("access_denied", 1, "the login was refused at the issuer"),
        ("expired_token", 3, "nobody approved the login in time"),
    ] {
        let _faults =
            stage.fault("/token", json!({"status": {"code": 400, "body": {"error": error}}}))?;
        let said = stage.login()?.exited(code)?;
        assert!(said.errors().contains(words), "{error}: {said:?}");
    }
    Ok(())
}

fn r05_an_unknown_error_of_a_poll_ends_the_login_and_is_shown(world: &World) -> Outcome {
    let stage = stage(world, "r05", &RFC)?;
    let body = json!({"error": "policy_x7", "error_description": "ask\u{1b}[31m the VO manager"});
    let faults = stage.fault("/token", json!({"status": {"code": 400, "body": body}}))?;
    let said = told(&stage.login()?.exited(1)?)?;
    assert!(said.contains("policy_x7") && said.contains("the VO manager"), "{said}");
    assert_eq!(faults.counters()?[0]["applied"], 1, "no second poll");
    Ok(())
}

fn r06_a_poll_that_fails_for_a_while_is_tried_again_until_it_works(world: &World) -> Outcome {
    let stage = stage(world, "r06", &RFC)?;
    let rule = |nth: u64, fault| json!({"match": {"path": "/token", "nth": nth}, "fault": fault});
    let faults = stage.issuer.faults(&json!([
        rule(1, json!({"status": {"code": 502, "body": "bad gateway"}})),
        rule(2, json!("reset_before")),
    ]))?;
    let (uri, code) = start_login(stage.node(), &stage.user, "r06", "r06")?;
    stage.issuer.approve(&uri, &code, &stage.user)?;
    wait_for_state(stage.node(), &stage.user, "r06", "signed-in", Duration::from_secs(20))?;
    assert_eq!(faults.counters()?[1]["applied"], 1);
    assert_eq!(stage.issuer.count(POLL)?, 1, "the poll after the two that failed");
    Ok(())
}

fn r07_escape_sequences_from_an_issuer_reach_no_terminal(world: &World) -> Outcome {
    let stage = stage(world, "r07", &RFC)?;
    let path = if stage.issuer.count("POST /devicecode")? > 0 { "/devicecode" } else { "/device*" };
    for set in [
        json!({"user_code": "AB\u{1b}]0;owned\u{7}"}),
        json!({"verification_uri": "https://r07.test/\u{1b}[2J"}),
        json!({"verification_uri": "https://r07.test/\u{202e}moc.live"}),
        json!({"verification_uri": "https://cern.ch@r07.test/device"}),
        json!({"verification_uri": "http://r07.test/device"}),
        json!({"verification_uri": "javascript:alert(1)"}),
    ] {
        let _faults = stage.fault(path, json!({"replace_json": {"set": set}}))?;
        let said = told(&stage.login()?.exited(1)?)?;
        assert!(said.contains("that cannot be shown"), "{set}: {said}");
        assert!(said.is_ascii() || !said.contains('\u{202e}'), "{set}: {said}");
    }
    // A QR code that leads elsewhere than the URL one reads is left out.
    let elsewhere = json!({"verification_uri_complete": "https://evil.test/device?user_code=X"});
    let _faults = stage.fault(path, json!({"replace_json": {"set": elsewhere}}))?;
    let said = stage.iamctl("login r07 --issuer r07 --no-wait --json")?.ok()?;
    assert!(said.text().contains("\"verification_uri_complete\":null"), "{said:?}");
    Ok(())
}

fn r12_metadata_of_another_issuer_is_refused(world: &World) -> Outcome {
    let stage = stage(world, "r12", &RFC)?;
    for issuer in ["https://evil.test/", "https://r12.test///", "https://r12.test/x"] {
        let replaced = json!({"replace_json": {"set": {"issuer": issuer}}});
        let _faults = stage.fault("/.well-known/*", replaced)?;
        let said = told(&stage.login()?.exited(1)?)?;
        assert!(said.contains(issuer) && said.contains("https://r12.test"), "{said}");
        assert_eq!(stage.issuer.count(POLL)?, 0);
    }
    Ok(())
}

fn r12_one_slash_at_the_end_of_the_issuer_makes_no_difference(world: &World) -> Outcome {
    let stage = stage(world, "slash", &[])?;
    let file = iamd_tests::product::issuer_file("slash", &stage.issuer);
    let without = file.replace("https://slash.test/", "https://slash.test");
    assert_ne!(file, without);
    stage.list_issuer(&without)?;
    stage.sign_in()?;
    stage.new_token()?.ok()?;
    Ok(())
}

fn r13_no_redirect_is_followed(world: &World) -> Outcome {
    let stage = stage(world, "r13", &RFC)?;
    let to = |code: u16| json!({"redirect": {"location": "https://r13.test/stolen", "code": code}});
    for (path, code) in
        [("/.well-known/*", 302), ("/reg*", 307), ("/device*", 308), ("/token", 307)]
    {
        let faults = stage.fault(path, to(code))?;
        let said = stage.iamctl("login r13 --issuer r13 --timeout 4")?;
        let counters = faults.counters()?;
        assert!(counters[0]["applied"].as_u64() >= Some(1), "{path}: {counters}");
        assert_ne!(said.code, 0, "{path}: {said:?}");
        stage.iamctl("login --cancel r13")?;
    }
    let paths: Vec<_> = stage.issuer.requests()?;
    let stolen = paths.iter().filter(|request| request["path"] == "/stolen").count();
    assert_eq!(stolen, 0, "{paths:?}");
    stage.sign_in()?;
    let _faults = stage.refresh_fault(to(307))?;
    let said = told(&stage.new_token()?.exited(5)?)?;
    assert!(said.contains("redirects (307), which is not followed"), "{said}");
    assert_eq!(stage.issuer.count("POST /stolen refresh_token")?, 0);
    Ok(())
}

fn r18_a_scope_that_was_not_registered_is_told(world: &World) -> Outcome {
    let stage = stage(world, "r18", &[])?;
    let less = json!({"scope": "openid offline_access storage.read:/"});
    let _faults =
        stage.fault("/iam/api/client-registration", json!({"replace_json": {"set": less}}))?;
    let (uri, code) = start_login(stage.node(), &stage.user, "r18", "r18")?;
    stage.issuer.approve(&uri, &code, &stage.user)?;
    let said = stage.login()?.ok()?;
    let remark = "did not register the client for: ";
    assert!(said.errors().contains(remark), "{said:?}");
    assert!(said.errors().contains("compute.read"), "{said:?}");
    Ok(())
}

fn a_page_in_place_of_an_answer_is_a_passing_failure(world: &World) -> Outcome {
    let stage = stage(world, "page", &[])?;
    {
        let _faults = stage.fault("/.well-known/*", json!("html"))?;
        let said = told(&stage.login()?)?;
        assert!(said.contains("a page instead of JSON"), "{said}");
    }
    {
        let _faults = stage.fault("/devicecode", json!("html"))?;
        let said = told(&stage.login()?.exited(5)?)?;
        assert!(said.contains("a page instead of JSON"), "{said}");
    }
    // A person who logs in meanwhile is not kept out, and is told how to go on.
    stage.sign_in()?;
    let mut session = stage.node().ssh(&stage.user).pty().open(None)?;
    session.ask("true")?;
    assert_eq!(Notice::find(&session.seen()), None);
    Ok(())
}

fn a_sign_in_without_a_usable_access_token_leaves_no_refresh_token_behind(
    world: &World,
) -> Outcome {
    let stage = stage(world, "nobodys", &RFC)?;
    let (uri, code) = start_login(stage.node(), &stage.user, "nobodys", "nobodys")?;
    let dpop = json!({"replace_json": {"set": {"token_type": "DPoP"}}});
    let _faults = stage.fault("/token", dpop)?;
    stage.issuer.approve(&uri, &code, &stage.user)?;
    // The access token too, which is none that can be used here; this issuer revokes no JWT.
    eventually("both revocations", Duration::from_secs(10), || {
        let requests = stage.issuer.requests()?;
        let revocations = requests.iter().filter(|request| request["path"] == "/token/revocation");
        match revocations.map(|request| request["status"].as_u64()).collect::<Vec<_>>()[..] {
            [Some(200), Some(400)] => Ok(()),
            _ => Err(Error::Wrong(format!("{requests:?}"))),
        }
    })?;
    assert_ne!(stage.iamctl("token nobodys")?.code, 0);
    Ok(())
}

fn a_device_endpoint_that_knows_no_client_gets_one_new_client_and_no_more(
    world: &World,
) -> Outcome {
    let stage = stage(world, "unknown", &[])?;
    {
        let body = json!({"status": {"code": 404, "body": ""}});
        let faults = stage.fault("/devicecode", body)?;
        let said = told(&stage.login()?.exited(1)?)?;
        assert!(said.contains("does not know our client"), "{said}");
        // The site's client: a new one was tried, and what else there is to do is not the user's.
        assert!(said.contains("Ask the administrators"), "what to do next: {said}");
        assert_eq!(faults.counters()?[0]["applied"], 2);
        assert_eq!(stage.issuer.count("POST /iam/api/client-registration")?, 2);
    }
    stage.sign_in()?;
    Ok(())
}
