//! Rules of the requirements that need no fault or a small one only: what iamd asks, as the issuer
//! saw it, and what it makes of replies that are right in an unusual way.

use std::time::Duration;

use iamd_tests::product::issuer_file;
use iamd_tests::{Error, IssuerSpec, Notice, Product, World};
use serde_json::{Value, json};

use super::{RFC, Stage, stage, told};
use crate::case::{Case, Outcome};
use crate::cases;
use crate::people::{parsed, sign_in_as, start_login, wait_for_state};

pub fn cases() -> Vec<Case> {
    cases![
        r01_r02_the_first_poll_waits_one_interval_and_pending_goes_on,
        r08_one_poller_for_a_code_however_many_ask_and_one_redeem,
        r09_r32_the_client_is_named_in_the_body_and_authenticates_as_well,
        r10_the_notice_names_issuer_node_user_and_how_it_began,
        r11_where_the_openid_document_is_missing_or_lacks_an_endpoint_rfc_8414_is_asked,
        r14_an_issuer_without_metadata_works_with_endpoints_by_hand,
        r16_r17_what_is_registered_is_what_is_needed_and_200_is_success_as_well,
        r20_each_change_of_a_client_uses_the_newest_registration_token,
        r23_an_initial_access_token_comes_from_a_file_of_roots_or_for_one_registration,
        r24_a_refused_name_is_tried_again_in_letters_all_issuers_take,
        r26_a_narrower_scope_is_told_and_an_absent_one_means_as_asked,
        r28_a_refresh_token_is_never_used_twice_at_a_time_and_who_wants_the_same_shares_one,
        r33_scope_is_asked_only_where_it_is_narrowed;
        apart: r19_a_client_is_on_disk_before_it_is_used,
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

/// The client of the first login, when iamd dies in the middle of its first use.
fn r19_a_client_is_on_disk_before_it_is_used(world: &World) -> Outcome {
    let spec = IssuerSpec::new("r19.test").option("SHAPE", "rfc").option("INTERVAL", "1");
    let issuer = world.start_issuer(spec)?;
    let product = Product::new(&issuer).config("[login]\nautomatic = false\n");
    let node = world.boot(product.on(world.spec("kept")))?;
    let held = issuer.faults(&json!([{"match": {"path": "/device*"}, "fault": "blackhole"}]))?;
    let login = "iamctl login test --no-wait >/dev/null 2>&1 </dev/null &";
    node.exec_as("alice", login)?.ok()?;
    iamd_tests::eventually("the first use", SOON, || {
        match held.counters()?[0]["matched"].as_u64() {
            Some(1..) => Ok(()),
            _ => Err(Error::Wrong("not used yet".into())),
        }
    })?;
    node.root_says(
        "systemctl kill -s KILL iamd; systemctl reset-failed iamd; systemctl start iamd",
    )?;
    drop(held);
    iamd_tests::eventually("iamd", SOON, || node.exec("iamctl issuer list >/dev/null")?.ok())?;
    sign_in_as(&node, &issuer, "alice", "test", "test")?;
    assert_eq!(issuer.count("POST /reg")?, 1, "registered again");
    issuer.verify(&node.exec_as("alice", "iamctl token --force-new")?.ok()?.line())?;
    Ok(())
}

fn r23_an_initial_access_token_comes_from_a_file_of_roots_or_for_one_registration(
    world: &World,
) -> Outcome {
    const TOKEN: &str = "initial-token-of-r23";
    let options = [RFC[0], RFC[1], ("INITIAL_ACCESS_TOKEN", TOKEN)];
    let stage = stage(world, "r23", &options)?;
    // Handed over, it is for one registration.
    let add = |name: &str| format!("account add {name} --issuer r23 --own-client --no-login");
    assert_ne!(stage.iamctl(&add("without"))?.code, 0);
    let handed = format!("{} --initial-access-token-fd 3 3< <(echo {TOKEN})", add("handed"));
    stage.iamctl(&handed)?.ok()?;
    assert_ne!(stage.iamctl(&add("another"))?.code, 0, "it was kept");
    // The site's is in a file that only root reads.
    let path = "/etc/iamd/r23.token";
    let line = format!("initial_access_token_file = \"{path}\"\n");
    stage.node().put(path, 0o644, "root", TOKEN.as_bytes())?;
    stage.list_issuer(&(issuer_file("r23", &stage.issuer) + &line))?;
    let said = told(&stage.login()?)?;
    assert!(said.contains(path) && said.contains("chmod 600"), "{said}");
    stage.node().root_says(&format!("chmod 400 {path}"))?;
    login(&stage)?;
    stage.new_token()?.ok()?;
    let registered = seen(&stage, "/reg", "")?;
    let accepted = registered.iter().filter(|request| request["status"] == 201);
    assert_eq!(accepted.count(), 2, "{registered:?}");
    // And nowhere else.
    let log = stage.node().journal("iamd")?;
    assert!(!log.contains(TOKEN), "in the log");
    stage.node().exec(&format!("grep -rqF {TOKEN} /var/lib/iamd /run/iamd"))?.exited(1)?;
    Ok(())
}

fn r24_a_refused_name_is_tried_again_in_letters_all_issuers_take(world: &World) -> Outcome {
    let stage = stage(world, "r24", &[])?;
    // The name of the site would do for all of them.
    stage.list_issuer(&(issuer_file("r24", &stage.issuer) + "client_name = \"iamd:r24\"\n"))?;
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
