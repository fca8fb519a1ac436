//! Rules of registrations: what iamd asks for a client, as the issuer saw it, and what becomes of
//! clients that are changed and deleted.

use iamd_tests::product::issuer_file;
use iamd_tests::{Error, IssuerSpec, Product, World};
use serde_json::{Value, json};

use super::numbers::{SOON, login, seen};
use super::{RFC, Stage, stage, told};
use crate::case::{Case, Outcome};
use crate::cases;
use crate::people::{parsed, sign_in_as};

pub fn cases() -> Vec<Case> {
    cases![
        r16_r17_what_is_registered_is_what_is_needed_and_200_is_success_as_well,
        r20_each_change_of_a_client_uses_the_newest_registration_token,
        r21_an_update_keeps_what_others_set_and_leaves_out_what_the_issuer_manages,
        r22_a_deletion_of_what_is_gone_is_success_and_whatever_is_said_it_ends_here,
        r23_an_initial_access_token_comes_from_a_file_of_roots_or_for_one_registration,
        r24_a_refused_name_is_tried_again_in_letters_all_issuers_take;
        apart: r19_a_client_is_on_disk_before_it_is_used,
    ]
}

/// INDIGO IAM's.
const REGISTRATION: &str = "/iam/api/client-registration";

fn r16_r17_what_is_registered_is_what_is_needed_and_200_is_success_as_well(
    world: &World,
) -> Outcome {
    let stage = stage(world, "r16", &[])?;
    login(&stage)?;
    let id = stage.account()?["client_id"].as_str().unwrap_or_default().to_owned();
    let client = client_at_issuer(&stage, &id)?;
    let none = |key: &str| client[key].as_array().is_none_or(Vec::is_empty);
    assert!(none("redirect_uris") && none("response_types"), "{client}");
    let mut grants: Vec<_> = client["grant_types"].as_array().into_iter().flatten().collect();
    grants.sort_by_key(|grant| grant.as_str().map(str::len));
    assert_eq!(grants, ["refresh_token", "urn:ietf:params:oauth:grant-type:device_code"]);
    // Nothing else was sent, also of what this issuer would not show.
    let needed =
        ["client_name", "grant_types", "response_types", "scope", "token_endpoint_auth_method"];
    let [sent] = &seen(&stage, REGISTRATION, "")?[..] else {
        return Err("one registration".into());
    };
    assert_eq!((&sent["members"], &sent["status"]), (&json!(needed), &json!(201)), "{sent}");
    {
        // A redirect URI is sent where the issuer insists on one, and only then.
        let refusal = json!({"error": "invalid_redirect_uri", "error_description": "missing"});
        let _once = stage.issuer.faults(&json!([{
            "match": {"path": REGISTRATION, "count": 1},
            "fault": {"status": {"code": 400, "body": refusal, "forward": true}},
        }]))?;
        stage.iamctl("account add more --issuer r16 --own-client --no-login -s openid")?.ok()?;
        let uris: Vec<_> = seen(&stage, REGISTRATION, "")?
            .iter()
            .map(|sent| sent["redirect_uris"].clone())
            .collect();
        assert_eq!(uris, [Value::Null, Value::Null, json!(["http://127.0.0.1/"])]);
    }

    // Answered with 200, and with a secret of which no end is told: of a client that is there.
    let stage = self::stage(world, "r17", &[])?;
    let body = json!({"client_id": "site", "client_secret": "site-secret"});
    let faults = stage.fault(REGISTRATION, json!({"status": {"code": 200, "body": body}}))?;
    login(&stage)?;
    assert_eq!(stage.account()?["client_id"], "site");
    stage.new_token()?.ok()?;
    // Without an end it has not ended when it is used again.
    stage.iamctl("logout r17")?.ok()?;
    login(&stage)?;
    assert_eq!(faults.counters()?[0]["applied"], 1, "registered once");
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

fn r21_an_update_keeps_what_others_set_and_leaves_out_what_the_issuer_manages(
    world: &World,
) -> Outcome {
    let stage = stage(world, "r21", &[])?;
    stage.iamctl("account add r21 --issuer r21 --own-client --no-login -s openid")?.ok()?;
    let id = stage.account()?["client_id"].as_str().unwrap_or_default().to_owned();
    let place = format!("{REGISTRATION}/{id}");
    let before = client_at_issuer(&stage, &id)?;
    assert_eq!(before["contacts"], Value::Null);
    // As if its people had added to it: the read shows what the client sent nothing of.
    let contacts = json!(["people@r21.test"]);
    {
        let shown = json!({"replace_json": {"set": {"contacts": contacts}}});
        let _faults = stage.issuer.faults(&json!([
            {"match": {"path": place, "method": "GET"}, "fault": shown},
        ]))?;
        stage.iamctl("account edit r21 -s 'openid profile' --client-name 'iamd r21 work'")?.ok()?;
    }
    let after = client_at_issuer(&stage, &id)?;
    assert_eq!(
        (&after["contacts"], &after["client_name"]),
        (&contacts, &json!("iamd r21 work")),
        "{after}"
    );
    for kept in ["client_id", "client_secret", "grant_types", "token_endpoint_auth_method"] {
        assert!(after[kept] == before[kept] && !after[kept].is_null(), "{kept}: {before} {after}");
    }
    let requests = stage.issuer.requests()?;
    let put = requests.iter().find(|request| request["method"] == "PUT").ok_or("no update")?;
    let sent: Vec<&str> =
        put["members"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    assert_eq!((&put["path"], &put["status"]), (&json!(place), &json!(200)), "{put}");
    for managed in [
        "registration_access_token",
        "registration_client_uri",
        "client_secret_expires_at",
        "client_id_issued_at",
        "created_at",
    ] {
        assert!(!sent.contains(&managed), "{sent:?}");
    }
    for needed in ["client_id", "client_secret", "contacts", "grant_types", "scope"] {
        assert!(sent.contains(&needed), "{needed}: {sent:?}");
    }
    // What the account does not ask for any more, its client is not registered for.
    let has = |client: &Value, scope: &str| {
        client["scope"].as_str().is_some_and(|all| all.split(' ').any(|one| one == scope))
    };
    assert!(has(&after, "profile"), "{after}");
    stage.iamctl("account edit r21 -s openid")?.ok()?;
    let narrowed = client_at_issuer(&stage, &id)?;
    assert!(has(&narrowed, "openid") && !has(&narrowed, "profile"), "{narrowed}");
    assert_eq!(narrowed["client_secret"], before["client_secret"]);
    Ok(())
}

/// What the issuer says to the deletion of a client, and what its user then reads.
fn r22_a_deletion_of_what_is_gone_is_success_and_whatever_is_said_it_ends_here(
    world: &World,
) -> Outcome {
    let stage = stage(world, "r22", &[])?;
    let refused =
        |code: u16, error: &str| Some(json!({"status": {"code": code, "body": {"error": error}}}));
    for (name, fault, deleted, words) in [
        ("done", None, true, ""),
        ("gone", refused(404, "not_found"), true, ""),
        ("nobodys", refused(401, "invalid_token"), false, "the client is gone, or stays there"),
        ("later", refused(503, "busy"), false, "that is tried again for"),
        ("never", refused(403, "forbidden"), false, "could not be deleted at the issuer"),
    ] {
        let add = format!("account add {name} --issuer r22 --own-client --no-login -s openid");
        stage.iamctl(&add)?.ok()?;
        let said = {
            let rules = fault.map(|fault| {
                json!({"match": {"path": format!("{REGISTRATION}/*"), "method": "DELETE"}, "fault": fault})
            });
            let _faults = stage.issuer.faults(&json!(rules.into_iter().collect::<Vec<_>>()))?;
            stage.iamctl(&format!("account remove {name} --yes --json"))?.ok()?
        };
        let reply = parsed(&said)?;
        assert_eq!(reply["client_deleted"], deleted, "{name}: {said:?}");
        let remarks = format!("{}{}", reply["remarks"], said.errors());
        assert!(remarks.contains(words), "{name}: {said:?}");
        // Here it is over.
        stage.iamctl(&format!("account show {name}"))?.exited(1)?;
    }
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
        "match": {"path": REGISTRATION, "count": 1},
        "fault": {"status": {"code": 400, "body": body, "forward": true}},
    }]))?;
    login(&stage)?;
    assert_eq!(faults.counters()?[0]["applied"], 1);
    let sent = seen(&stage, REGISTRATION, "")?;
    let names: Vec<_> = sent.iter().map(|sent| sent["client_name"].clone()).collect();
    assert_eq!(names, ["iamd:r24", "iamd-r24"]);
    // And that is what it is called there.
    let id = stage.account()?["client_id"].as_str().unwrap_or_default().to_owned();
    assert_eq!(client_at_issuer(&stage, &id)?["client_name"], "iamd-r24");
    Ok(())
}

/// A client as the issuer has it.
fn client_at_issuer(stage: &Stage, id: &str) -> Result<Value, Error> {
    let url = format!("{}iam/api/clients/{id}", stage.issuer.url());
    let line = format!("curl -sS -f -H 'authorization: Bearer the-admin-of-this-run' {url}");
    parsed(&stage.node().exec(&line)?.ok()?)
}
