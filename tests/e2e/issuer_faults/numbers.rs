//! Rules of the requirements that need no fault or a small one only: what iamd asks, as the issuer
//! saw it, and what it makes of replies that are right in an unusual way.

use std::time::Duration;

use iamd_tests::product::issuer_file;
use iamd_tests::{Error, Notice, World};
use serde_json::{Value, json};

use super::{RFC, Stage, stage};
use crate::case::{Case, Outcome};
use crate::cases;
use crate::people::{parsed, start_login, wait_for_state};

pub fn cases() -> Vec<Case> {
    cases![
        r01_r02_the_first_poll_waits_one_interval_and_pending_goes_on,
        r08_one_poller_for_a_code_however_many_ask_and_one_redeem,
        r08_an_approval_whose_answer_is_lost_is_told_as_that_and_leaves_nothing_behind,
        r09_r32_the_client_is_named_in_the_body_and_authenticates_as_well,
        r10_the_notice_names_issuer_node_user_and_how_it_began,
        r11_where_the_openid_document_is_missing_or_lacks_an_endpoint_rfc_8414_is_asked,
        r14_an_issuer_without_metadata_works_with_endpoints_by_hand,
        r26_a_narrower_scope_is_told_and_an_absent_one_means_as_asked,
        r28_a_refresh_token_is_never_used_twice_at_a_time_and_who_wants_the_same_shares_one,
        r33_scope_is_asked_only_where_it_is_narrowed,
    ]
}

pub(super) const SOON: Duration = Duration::from_secs(20);

/// What the issuer saw of requests with this grant (`""`: none) on a path that begins so.
pub(super) fn seen(stage: &Stage, path: &str, grant: &str) -> Result<Vec<Value>, Error> {
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

/// Signs in, with a code that is approved at once.
pub(super) fn login(stage: &Stage) -> Result<(), Error> {
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

/// The issuer answers the poll after the approval, and the answer breaks off on its way: the code is
/// used up, and this issuer takes back all that it gave when it is asked again.
fn r08_an_approval_whose_answer_is_lost_is_told_as_that_and_leaves_nothing_behind(
    world: &World,
) -> Outcome {
    let stage = stage(world, "r08b", &RFC)?;
    let lost = json!([{
        "match": {"path": "/token", "grant_type": "device_code"}, "fault": "reset_after",
    }]);
    let faults = stage.issuer.faults(&lost)?;
    let (uri, code) = start_login(stage.node(), &stage.user, "r08b", "r08b")?;
    stage.issuer.approve(&uri, &code, &stage.user)?;
    let redeemed = || -> Result<usize, Error> {
        let polls = seen(&stage, "/token", "device_code")?;
        Ok(polls.iter().filter(|poll| poll["status"] == 200).count())
    };
    iamd_tests::eventually(
        "the poll that is answered",
        Duration::from_secs(90),
        || match redeemed()? {
            0 => Err(Error::Wrong("not approved yet".into())),
            _ => Ok(()),
        },
    )?;
    // As long as each answer is lost, the login runs, and somebody waits for it.
    let waits = "(iamctl login r08b --issuer r08b; echo ended $?) > /tmp/r08b 2>&1 < /dev/null &";
    stage.node().exec_as(&stage.user, waits)?.ok()?;
    let said = |words: &str| -> Result<String, Error> {
        iamd_tests::eventually(words, Duration::from_secs(90), || {
            let said = stage.node().exec("cat /tmp/r08b")?.ok()?.text();
            if said.contains(words) { Ok(said) } else { Err(Error::Wrong(said)) }
        })
    };
    said(&code)?;
    drop(faults);
    // They are told what became of it, and not that nobody approved.
    let said = said("ended ")?;
    assert!(said.contains("was lost on the way") && said.contains("ended 3"), "{said}");
    assert_eq!(redeemed()?, 1, "redeemed once");
    assert_ne!(stage.state()?, "signed-in");
    // The way on is a new code.
    login(&stage)?;
    stage.issuer.verify(&stage.new_token()?.ok()?.line())?;
    Ok(())
}

/// With a client whose id and secret are others where a plus, a percent sign, a colon or a space is not
/// encoded; the issuer decodes as RFC 6749 §2.3.1 says. It takes visible ASCII only (appendix A).
fn r09_r32_the_client_is_named_in_the_body_and_authenticates_as_well(world: &World) -> Outcome {
    const ID: &str = "site+odd/100% : \"&=$";
    const SECRET: &str = "p%41+ss: w&rd=/%2B";
    let stage = stage(world, "r09", &[])?;
    let add = format!(
        "account add r09 --issuer r09 --client-id '{ID}' --client-secret-fd 3 --no-login \
         3< <(printf %s '{SECRET}')"
    );
    stage.iamctl(&add)?.ok()?;
    login(&stage)?;
    assert_eq!(stage.account()?["client_id"], ID);
    stage.new_token()?.ok()?;
    stage.iamctl("logout r09")?.ok()?;
    for (path, grant) in [
        ("/devicecode", ""),
        ("/token", "device_code"),
        ("/token", "refresh_token"),
        ("/revoke", ""),
    ] {
        let requests = seen(&stage, path, grant)?;
        assert_eq!(
            requests.last().map(|last| &last["status"]),
            Some(&json!(200)),
            "{path} {grant}"
        );
        for request in requests {
            assert_eq!(request["client_id"], ID, "{request}");
            let scheme = request["authorization_scheme"].as_str().unwrap_or_default();
            assert_eq!(scheme.to_ascii_lowercase(), "basic", "{request}");
            assert_ne!(request["status"], 401, "{request}");
        }
    }
    Ok(())
}

fn r10_the_notice_names_issuer_node_user_and_how_it_began(world: &World) -> Outcome {
    // Of the nodes that ask at a login by themselves.
    let (node, issuer, user) = (world.node()?, world.issuer()?, world.user()?);
    let mut session = node.ssh(&user).pty().open(None)?;
    let notice = session.find("the notice", Notice::find)?;
    let said = notice.text.split_whitespace().collect::<Vec<_>>().join(" ");
    let expected = format!(
        "iamd: sign in to the test issuer and this node has your access token. Open {} Code {} \
         (10 min) You started this by logging in to {} as {user}. Then go on working: the token \
         comes by itself. QR code, state, help: iamctl login",
        notice.uri,
        notice.code,
        node.name()
    );
    assert_eq!(said, expected);
    assert!(notice.uri.starts_with(&issuer.url()), "{notice:?}");
    // What the issuer shows to who opens it: a client that says whose it is.
    issuer.approve(&notice.uri, &notice.code, &user)?;
    let shown = || -> Result<Value, Error> {
        let shown = parsed(&node.exec_as(&user, "iamctl account show --json")?.ok()?)?;
        Ok(shown["account"]["client_id"].clone())
    };
    let id = iamd_tests::eventually("the sign-in", SOON, || match shown()? {
        Value::String(id) => Ok(id),
        other => Err(Error::Wrong(other.to_string())),
    })?;
    let url = format!("{}iam/api/clients/{id}", issuer.url());
    let line = format!("curl -sS -f -H 'authorization: Bearer the-admin-of-this-run' {url}");
    let client = parsed(&node.exec(&line)?.ok()?)?;
    assert_eq!(client["client_name"], "iamd Test cluster", "{client}");
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

fn r28_a_refresh_token_is_never_used_twice_at_a_time_and_who_wants_the_same_shares_one(
    world: &World,
) -> Outcome {
    // Whose second use would end all of the sign-in.
    let stage = stage(world, "r28", &[RFC[0], RFC[1], ("ROTATE", "always"), ("REUSE", "kills")])?;
    stage.sign_in()?;
    stage.issuer.reset()?;
    // So slow that all of them are there before the first has its answer.
    let _slow = stage.refresh_fault(json!({"latency": {"ms": 1500}}))?;
    let all = "{ for i in $(seq 30); do echo storage.read:/; done; \
               printf '%s\n' wlcg profile compute.read storage.modify:/; } | \
               xargs -P 34 -I{} iamctl token r28 -s {}";
    let tokens = stage.node().exec_as(&stage.user, all)?.ok()?.text();
    let mut tokens: Vec<_> = tokens.lines().collect();
    assert_eq!(tokens.len(), 34);
    tokens.sort_unstable();
    tokens.dedup();
    assert_eq!(tokens.len(), 5, "who wants the same has the same");
    let refreshes = seen(&stage, "/token", "refresh_token")?;
    let used = |refresh: &Value| refresh["refresh_token_sha256"].to_string();
    let distinct: std::collections::BTreeSet<_> = refreshes.iter().map(used).collect();
    assert_eq!((refreshes.len(), distinct.len()), (5, 5), "{refreshes:?}");
    assert_eq!(stage.state()?, "signed-in");
    stage.issuer.verify(&stage.new_token()?.ok()?.line())?;
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
