//! Rules of the requirements that need no fault or a small one only: what iamd asks, as the issuer
//! saw it, and what it makes of replies that are right in an unusual way.

use std::time::Duration;

use iamd_tests::product::issuer_file;
use iamd_tests::{Error, World};
use serde_json::{Value, json};

use super::{RFC, Stage, stage};
use crate::case::{Case, Outcome};
use crate::cases;
use crate::people::{parsed, start_login, wait_for_state};

pub fn cases() -> Vec<Case> {
    cases![
        r01_r02_the_first_poll_waits_one_interval_and_pending_goes_on,
        r08_one_poller_for_a_code_however_many_ask_and_one_redeem,
        r09_r32_the_client_is_named_in_the_body_and_authenticates_as_well,
        r11_where_the_openid_document_is_missing_or_lacks_an_endpoint_rfc_8414_is_asked,
        r14_an_issuer_without_metadata_works_with_endpoints_by_hand,
        r16_r17_what_is_registered_is_what_is_needed_and_200_is_success_as_well,
        r20_each_change_of_a_client_uses_the_newest_registration_token,
        r24_a_refused_name_is_tried_again_in_letters_all_issuers_take,
        r26_a_narrower_scope_is_told_and_an_absent_one_means_as_asked,
        r33_scope_is_asked_only_where_it_is_narrowed,
    ]
}

const SOON: Duration = Duration::from_secs(20);

/// What the issuer saw of requests with this grant (`""`: none) on a path that begins so.
fn seen(stage: &Stage, path: &str, grant: &str) -> Result<Vec<Value>, Error> {
    let fits = |request: &Value| {
        let text = |key: &str| request[key].as_str().unwrap_or_default().to_owned();
        let granted = text("grant_type");
        text("method") == "POST"
            && text("path").starts_with(path)
            && if grant.is_empty() { granted.is_empty() } else { granted.ends_with(grant) }
    };
    Ok(stage.issuer.requests()?.into_iter().filter(fits).collect())
}

fn at(request: &Value) -> u64 {
    request["time_ms"].as_u64().unwrap_or_default()
}

fn login(stage: &Stage) -> Result<(), Error> {
    let (uri, code) = start_login(stage.node(), &stage.user, &stage.name, &stage.name)?;
    stage.issuer.approve(&uri, &code, &stage.user)?;
    wait_for_state(stage.node(), &stage.user, &stage.name, "signed-in", SOON)
}

fn r01_r02_the_first_poll_waits_one_interval_and_pending_goes_on(world: &World) -> Outcome {
    let stage = stage(world, "r01", &[("SHAPE", "rfc"), ("INTERVAL", "2")])?;
    let (uri, code) = start_login(stage.node(), &stage.user, "r01", "r01")?;
    iamd_tests::eventually("the second poll", SOON, || {
        match seen(&stage, "/token", "device_code")?.len() {
            0 | 1 => Err(Error::Wrong("too few polls".into())),
            _ => Ok(()),
        }
    })?;
    stage.issuer.approve(&uri, &code, &stage.user)?;
    wait_for_state(stage.node(), &stage.user, "r01", "signed-in", SOON)?;
    let asked = seen(&stage, "/device", "")?;
    let polls = seen(&stage, "/token", "device_code")?;
    let times: Vec<u64> = asked.iter().chain(&polls).map(at).collect();
    assert_eq!(asked.len(), 1, "{asked:?}");
    // No more than a tenth early, as the issuer counts from when it answered.
    assert!(times.windows(2).all(|pair| pair[1] - pair[0] >= 1800), "{times:?}");
    let statuses: Vec<_> = polls.iter().map(|poll| poll["status"].as_u64()).collect();
    let (last, before) = statuses.split_last().ok_or("no poll")?;
    assert_eq!(*last, Some(200));
    assert!(before.len() >= 2 && before.iter().all(|status| *status == Some(400)), "{statuses:?}");
    Ok(())
}

fn r08_one_poller_for_a_code_however_many_ask_and_one_redeem(world: &World) -> Outcome {
    let stage = stage(world, "r08", &RFC)?;
    let (uri, code) = start_login(stage.node(), &stage.user, "r08", "r08")?;
    let many = "for n in 1 2 3 4 5; do iamctl login r08 --no-wait --json & done; wait";
    let told = stage.node().exec_as(&stage.user, many)?.ok()?.text();
    assert_eq!(told.matches(&format!("\"{code}\"")).count(), 5, "all see the same code: {told}");
    stage.issuer.approve(&uri, &code, &stage.user)?;
    wait_for_state(stage.node(), &stage.user, "r08", "signed-in", SOON)?;
    let polls = seen(&stage, "/token", "device_code")?;
    let redeemed = polls.iter().filter(|poll| poll["status"] == 200).count();
    assert_eq!((redeemed, seen(&stage, "/device", "")?.len()), (1, 1), "{polls:?}");
    let times: Vec<u64> = polls.iter().map(at).collect();
    assert!(times.windows(2).all(|pair| pair[1] - pair[0] >= 900), "one poller: {times:?}");
    Ok(())
}

fn r09_r32_the_client_is_named_in_the_body_and_authenticates_as_well(world: &World) -> Outcome {
    let stage = stage(world, "r09", &[])?;
    login(&stage)?;
    stage.new_token()?.ok()?;
    let id = stage.account()?["client_id"].as_str().unwrap_or_default().to_owned();
    let [codes, polls, refreshes] =
        [("/devicecode", ""), ("/token", "device_code"), ("/token", "refresh_token")]
            .map(|(path, grant)| seen(&stage, path, grant));
    for requests in [codes?, polls?, refreshes?] {
        assert!(!requests.is_empty());
        for request in requests {
            assert_eq!(request["client_id"], id.as_str(), "{request}");
            let scheme = request["authorization_scheme"].as_str().unwrap_or_default();
            assert_eq!(scheme.to_ascii_lowercase(), "basic", "{request}");
        }
    }
    Ok(())
}

fn r11_where_the_openid_document_is_missing_or_lacks_an_endpoint_rfc_8414_is_asked(
    world: &World,
) -> Outcome {
    let openid = "/.well-known/openid-configuration";
    for (name, fault) in [
        ("r11a", json!({"status": {"code": 404, "body": ""}})),
        ("r11b", json!({"replace_json": {"remove": ["device_authorization_endpoint"]}})),
    ] {
        let stage = stage(world, name, &RFC)?;
        // As another server's metadata has it, where this one has none of RFC 8414.
        let metadata = stage.issuer.get(openid.trim_start_matches('/'))?;
        let served = json!({"status": {"code": 200, "body": metadata}});
        let faults = stage.issuer.faults(&json!([
            {"match": {"path": openid}, "fault": fault},
            {"match": {"path": "/.well-known/oauth-authorization-server"}, "fault": served},
        ]))?;
        login(&stage)?;
        let counters = faults.counters()?;
        for rule in [0, 1] {
            assert!(counters[rule]["applied"].as_u64() >= Some(1), "{name}: {counters}");
        }
    }
    Ok(())
}

fn r14_an_issuer_without_metadata_works_with_endpoints_by_hand(world: &World) -> Outcome {
    let stage = stage(world, "r14", &RFC)?;
    let metadata = stage.issuer.get(".well-known/openid-configuration")?;
    let _faults = stage.fault("/.well-known/*", json!({"status": {"code": 404, "body": ""}}))?;
    let said = stage.login()?;
    assert!(said.code != 0 && said.errors().contains("[endpoints]"), "what to set: {said:?}");
    let mut file = issuer_file("r14", &stage.issuer) + "[endpoints]\n";
    for (key, name) in [
        ("token", "token_endpoint"),
        ("device_authorization", "device_authorization_endpoint"),
        ("registration", "registration_endpoint"),
        ("revocation", "revocation_endpoint"),
        ("jwks", "jwks_uri"),
    ] {
        let url = metadata[name].as_str().ok_or_else(|| Error::Wrong(format!("{metadata}")))?;
        file += &format!("{key} = \"{url}\"\n");
    }
    stage.list_issuer(&file)?;
    login(&stage)?;
    stage.new_token()?.ok()?;
    Ok(())
}

fn r16_r17_what_is_registered_is_what_is_needed_and_200_is_success_as_well(
    world: &World,
) -> Outcome {
    let stage = stage(world, "r16", &[])?;
    login(&stage)?;
    let id = stage.account()?["client_id"].as_str().unwrap_or_default().to_owned();
    let url = format!("{}iam/api/clients/{id}", stage.issuer.url());
    let line = format!("curl -sS -f -H 'authorization: Bearer the-admin-of-this-run' {url}");
    let client = parsed(&stage.node().exec(&line)?.ok()?)?;
    let none = |key: &str| client[key].as_array().is_none_or(Vec::is_empty);
    assert!(none("redirect_uris") && none("response_types"), "{client}");
    let mut grants: Vec<_> = client["grant_types"].as_array().into_iter().flatten().collect();
    grants.sort_by_key(|grant| grant.as_str().map(str::len));
    assert_eq!(grants, ["refresh_token", "urn:ietf:params:oauth:grant-type:device_code"]);

    // Answered with 200, and with a secret of which no end is told: of a client that is there.
    let stage = self::stage(world, "r17", &[])?;
    let body = json!({"client_id": "site", "client_secret": "site-secret"});
    let _faults = stage
        .fault("/iam/api/client-registration", json!({"status": {"code": 200, "body": body}}))?;
    login(&stage)?;
    assert_eq!(stage.account()?["client_id"], "site");
    stage.new_token()?.ok()?;
    Ok(())
}

fn r20_each_change_of_a_client_uses_the_newest_registration_token(world: &World) -> Outcome {
    // The registration token is another one after each change.
    let stage = stage(world, "r20", &RFC)?;
    stage.iamctl("account add r20 --issuer r20 --own-client --no-login -s openid")?.ok()?;
    for scopes in ["openid profile", "openid wlcg", "openid"] {
        stage.iamctl(&format!("account edit r20 -s '{scopes}'"))?.ok()?;
    }
    stage.iamctl("account remove r20 --yes")?.ok()?;
    let requests = stage.issuer.requests()?;
    let of = |method: &str| {
        let fits = |request: &&Value| {
            request["method"] == method
                && request["path"].as_str().is_some_and(|path| path.starts_with("/reg/"))
        };
        requests.iter().filter(fits).map(|request| request["status"].clone()).collect::<Vec<_>>()
    };
    assert!(of("PUT").len() >= 2 && of("PUT").iter().all(|status| *status == 200), "{requests:?}");
    assert_eq!(of("DELETE"), [204], "{requests:?}");
    Ok(())
}

fn r24_a_refused_name_is_tried_again_in_letters_all_issuers_take(world: &World) -> Outcome {
    let stage = stage(world, "r24", &[])?;
    let name = "client_name = \"iamd: the login node\"\n";
    stage.list_issuer(&(issuer_file("r24", &stage.issuer) + name))?;
    let body = json!({"error": "invalid_client_metadata", "error_description": "client_name"});
    let faults = stage.issuer.faults(&json!([{
        "match": {"path": "/iam/api/client-registration", "count": 1},
        "fault": {"status": {"code": 400, "body": body}},
    }]))?;
    login(&stage)?;
    assert_eq!(faults.counters()?[0]["applied"], 1);
    assert_eq!(seen(&stage, "/iam/api/client-registration", "")?.len(), 1, "the second try");
    Ok(())
}

fn r26_a_narrower_scope_is_told_and_an_absent_one_means_as_asked(world: &World) -> Outcome {
    let stage = stage(world, "r26", &[])?;
    login(&stage)?;
    {
        let less = json!({"replace_json": {"set": {"scope": "openid"}}});
        let _faults = stage.refresh_fault(less)?;
        let said = stage.iamctl("token r26 -s 'openid storage.read:/'")?.ok()?;
        assert!(said.errors().contains("did not grant: storage.read:/"), "{said:?}");
    }
    let _faults = stage.refresh_fault(json!({"replace_json": {"remove": ["scope"]}}))?;
    let said = stage.iamctl("token r26 -s 'openid compute.read' --json")?.ok()?;
    assert_eq!(said.errors(), "", "{said:?}");
    let scopes = parsed(&said)?["scopes"].clone();
    assert_eq!(scopes, json!(["compute.read", "openid"]));
    Ok(())
}

fn r33_scope_is_asked_only_where_it_is_narrowed(world: &World) -> Outcome {
    let stage = stage(world, "r33", &[])?;
    login(&stage)?;
    stage.issuer.reset()?;
    stage.new_token()?.ok()?;
    stage.iamctl("token r33 -s 'storage.read:/ offline_access'")?.ok()?;
    let refreshes = seen(&stage, "/token", "refresh_token")?;
    let asked: Vec<_> = refreshes.iter().map(|refresh| refresh["scope"].clone()).collect();
    assert_eq!(asked, [Value::Null, json!("storage.read:/")]);
    Ok(())
}
