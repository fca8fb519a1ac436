//! `iamctl doctor` on a node: what is wrong is provoked, and found with a way out.

use std::time::Duration;

use iamd_tests::issuer::claims;
use iamd_tests::product::issuer_file;
use iamd_tests::{
    Error, IssuerSpec, Node, Output, Product, Result, World, sign_in, token_file, uid,
};
use serde_json::{Value, json};

use crate::case::{Case, Outcome};
use crate::cases;
use crate::own::{iamctl, own};
use crate::people::sign_in_as;

pub fn cases() -> Vec<Case> {
    cases![
        r70_what_others_left_at_a_token_path_is_found,
        r70_a_token_in_a_variable_hides_the_file_and_is_found,
        r65_a_token_that_xrootd_would_refuse_is_found,
        r48_the_refresh_token_is_inspected_and_not_used;
        apart: a_daemon_that_is_not_there_and_a_login_that_does_not_call_it_are_found,
        a_module_in_the_wrong_place_or_gone_and_an_sshd_without_pam_are_found,
        a_client_that_the_issuer_forgot_is_found_whoevers_it_is,
        a_silent_issuer_is_found_in_time,
        what_keeps_an_issuer_from_answering_has_advice_of_its_own,
        an_issuer_that_is_down_has_cause_and_advice_also_while_it_is_left_alone,
        what_an_issuer_says_wrong_is_found_each_by_itself,
    ]
}

/// The findings of `LINE`, which runs the doctor in a login of the user's.
fn findings(node: &Node, user: &str, line: &str) -> Result<Vec<Value>> {
    let said = node.ssh(user).run(&format!("{line} iamctl doctor --json"))?;
    parsed(&said)
}

fn parsed(said: &Output) -> Result<Vec<Value>> {
    let wrong = || Error::Wrong(format!("no findings: {} {}", said.text(), said.errors()));
    let value: Value = serde_json::from_slice(&said.stdout).map_err(|_| wrong())?;
    value["findings"].as_array().cloned().ok_or_else(wrong)
}

/// The finding of that level whose name begins so and whose text has the part; its advice.
fn advice(found: &[Value], level: &str, name: &str, part: &str) -> Result<String> {
    let text = |finding: &Value, key: &str| finding[key].as_str().unwrap_or_default().to_owned();
    let hit = found.iter().find(|finding| {
        text(finding, "level") == level
            && text(finding, "name").starts_with(name)
            && text(finding, "text").contains(part)
    });
    hit.map(|finding| text(finding, "advice"))
        .ok_or_else(|| Error::Wrong(format!("no {level} {name}: …{part}… in {found:#?}")))
}

fn r70_what_others_left_at_a_token_path_is_found(world: &World) -> Outcome {
    let (node, user) = (world.node()?, world.user()?);
    let _session = sign_in(node, world.issuer()?, &user)?;
    let uid = uid(&user)?;
    let left = format!("/tmp/bt_u{uid}");
    let line = format!(
        "echo stray > {left}; rm $XDG_RUNTIME_DIR/bt_u{uid}; \
                        echo stray > $XDG_RUNTIME_DIR/bt_u{uid};"
    );
    let found = findings(node, &user, &line)?;
    node.exec(&format!("rm {left} /run/user/{uid}/bt_u{uid}"))?.ok()?;
    assert_eq!(
        advice(&found, "warning", "token path", &format!("{left} is not iamd's"))?,
        format!("If you do not need it:  rm {left}")
    );
    let link = format!("/run/user/{uid}/bt_u{uid}");
    assert!(advice(&found, "warning", "token path", &format!("{link} is not"))?.contains(&link));
    // The session's variable goes before both.
    advice(&found, "ok", "XRootD", &token_file(&user)?)?;
    let found = findings(node, &user, "BEARER_TOKEN_FILE=$HOME/mine")?;
    let way = advice(&found, "warning", "BEARER_TOKEN_FILE", "which iamd does not renew")?;
    assert_eq!(way, format!("To go back:  export BEARER_TOKEN_FILE={}", token_file(&user)?));
    Ok(())
}

fn r70_a_token_in_a_variable_hides_the_file_and_is_found(world: &World) -> Outcome {
    let (node, user) = (world.node()?, world.user()?);
    let _session = sign_in(node, world.issuer()?, &user)?;
    let found = findings(node, &user, "BEARER_TOKEN=$(iamctl token)")?;
    let way = advice(&found, "warning", "BEARER_TOKEN", "readers prefer it")?;
    assert!(way.contains("unset BEARER_TOKEN"), "{way}");
    for reader in ["XRootD", "gfal2", "Rucio", "HTCondor", "scitokens"] {
        advice(&found, "ok", reader, "finds BEARER_TOKEN")?;
    }
    let found = findings(node, &user, "")?;
    for reader in ["XRootD", "Rucio", "HTCondor", "scitokens"] {
        advice(&found, "ok", reader, "through BEARER_TOKEN_FILE")?;
    }
    for reader in ["gfal2", "davix", "curl"] {
        assert!(!advice(&found, "ok", reader, "")?.is_empty(), "{reader}");
    }
    Ok(())
}

fn r65_a_token_that_xrootd_would_refuse_is_found(world: &World) -> Outcome {
    let (node, user) = (world.node()?, world.user()?);
    let _session = sign_in(node, world.issuer()?, &user)?;
    let long = "umask 077; head -c 4096 /dev/zero | tr '\\0' x > long; BEARER_TOKEN_FILE=$PWD/long";
    let found = findings(node, &user, long)?;
    let way = advice(&found, "warning", "XRootD", "refuses its 4096 bytes")?;
    assert_eq!(way, "Ask for fewer scopes:  iamctl token -s SCOPE");
    Ok(())
}

fn r48_the_refresh_token_is_inspected_and_not_used(world: &World) -> Outcome {
    let (node, issuer) = own(world, "inspected", &[("ROTATE", "always")], "")?;
    let _session = sign_in(&node, &issuer, "alice")?;
    let refreshes = issuer.count("POST /token refresh_token")?;
    let found = findings(&node, "alice", "")?;
    advice(&found, "ok", "sign-in of account test", "refresh token is alive")?;
    assert!(issuer.requests()?.iter().any(|request| request["path"] == "/introspect"));
    assert_eq!(issuer.count("POST /token refresh_token")?, refreshes);
    // It is as good as before.
    let token = iamctl(&node, "alice", "token --force-new")?.ok()?.line();
    assert_eq!(claims(&token)?["sub"], issuer.verify(&token)?["sub"]);
    Ok(())
}

fn a_daemon_that_is_not_there_and_a_login_that_does_not_call_it_are_found(
    world: &World,
) -> Outcome {
    let product = Product::new(world.issuer()?).without_pam();
    let node = world.boot(product.on(world.spec("forgotten")))?;
    let found = findings(&node, "alice", "")?;
    let way = advice(&found, "warning", "PAM for sshd", "pam_iam.so is not called")?;
    assert_eq!(way, "Administrators: pam-auth-update --enable iamd");
    advice(&found, "warning", "sessions", "no session of yours is known here")?;
    node.exec("systemctl mask --runtime --now iamd")?.ok()?;
    let said = node.ssh("alice").run("iamctl doctor")?.exited(1)?;
    assert!(said.text().contains("problem") && said.text().contains("systemctl status iamd"));
    assert!(said.text().contains("gfal2"), "the rest is looked at: {}", said.text());
    Ok(())
}

fn a_module_in_the_wrong_place_or_gone_and_an_sshd_without_pam_are_found(world: &World) -> Outcome {
    let (node, _issuer) = own(world, "misplaced", &[], "")?;
    // As the user's own: without PAM there is no login that could ask.
    let found = || parsed(&node.exec_as("alice", "iamctl doctor --json")?);
    advice(&found()?, "ok", "PAM for sshd", "/etc/pam.d/common-session")?;
    advice(&found()?, "ok", "sshd", "UsePAM is yes")?;
    let stack = "/etc/pam.d/common-session";
    node.root_says(&format!(
        "cp -p {stack} /root/stack && {{ grep pam_iam.so /root/stack; \
         grep -v pam_iam.so /root/stack; }} > {stack}"
    ))?;
    let way = advice(&found()?, "warning", "PAM for sshd", "in front of pam_systemd.so")?;
    assert_eq!(way, "Administrators: put its line behind that of pam_systemd.so");
    node.root_says(&format!("cp -p /root/stack {stack}"))?;
    advice(&found()?, "ok", "PAM for sshd", "")?;
    let module = node.root_says("ls /usr/lib/*/security/pam_iam.so")?.trim().to_owned();
    node.root_says(&format!("mv {module} /root/pam_iam.so"))?;
    let way = advice(&found()?, "problem", "PAM for sshd", "the module is not there")?;
    assert!(way.contains("install iamd again"), "{way}");
    node.root_says(&format!("mv /root/pam_iam.so {module}"))?;
    node.put("/etc/ssh/sshd_config.d/00-site.conf", 0o644, "root", b"UsePAM no\n")?;
    let way = advice(&found()?, "warning", "sshd", "UsePAM is no in /etc/ssh/sshd_config.d/")?;
    assert!(way.contains("UsePAM yes"), "{way}");
    node.root_says("chmod 600 /etc/ssh/sshd_config")?;
    let way = advice(&found()?, "warning", "sshd", "its settings cannot be read")?;
    assert!(way.contains("sshd -T"), "{way}");
    Ok(())
}

fn a_client_that_the_issuer_forgot_is_found_whoevers_it_is(world: &World) -> Outcome {
    let issuer = world.start_issuer(IssuerSpec::new("forgot.test"))?;
    let other = world.start_issuer(IssuerSpec::new("forgot-too.test"))?;
    let fixed = issuer_file("fixed", &other);
    let fixed = format!("{fixed}[fixed_client]\nid = \"nobody\"\nauth = \"none\"\n");
    let product = Product::new(&issuer).issuer("fixed", &other).issuer_file("fixed", &fixed);
    let node = world.boot(product.on(world.spec("forgot")))?;
    node.root_says("sed -i 's/^default = .*/default = \"fixed\"/' /etc/iamd/iamd.toml")?;
    node.restart("iamd")?;
    // Nobody has an account there yet.
    let found = findings(&node, "alice", "")?;
    let way = advice(&found, "problem", "client of issuer fixed", "does not know it any more")?;
    assert!(way.starts_with("Ask the administrators"), "{way}");
    let said = iamctl(&node, "alice", "login --no-wait")?.exited(1)?;
    assert!(said.errors().contains("Ask the administrators"), "{}", said.errors());
    assert!(!said.errors().contains("--new-client"), "{}", said.errors());
    // One that the user brings: what is advised is done, and not refused.
    let add = "exec 3<<<bad; iamctl account add g --issuer test --client-id nobody --client-secret-fd 3 --no-login";
    node.ssh("alice").run(&format!("bash -c '{add}'"))?.ok()?;
    let found = findings(&node, "alice", "")?;
    let way = advice(&found, "problem", "client of account g", "does not know it any more")?;
    assert!(way.contains("iamctl account remove g "), "{way}");
    let said = iamctl(&node, "alice", "login g --no-wait")?.exited(1)?;
    assert!(said.errors().contains("iamctl account remove g "), "{}", said.errors());
    iamctl(&node, "alice", "account remove g --yes")?.ok()?;
    node.ssh("alice").run(&format!("bash -c '{add}'"))?.ok()?;
    Ok(())
}

fn a_silent_issuer_is_found_in_time(world: &World) -> Outcome {
    let (node, issuer) = own(world, "silent", &[], "")?;
    let _session = sign_in(&node, &issuer, "alice")?;
    issuer.freeze(true)?;
    let said = node.ssh("alice").run("iamctl doctor --json");
    issuer.freeze(false)?;
    let said = said?;
    assert!(said.took < Duration::from_secs(20), "it took {:?}", said.took);
    let found = parsed(&said)?;
    let way = advice(&found, "problem", "issuer test", "no answer within 8 s")?;
    assert_eq!(
        way,
        "The issuer is there and slow, or swallowed on the way: see its status page, then try again"
    );
    Ok(())
}

fn what_keeps_an_issuer_from_answering_has_advice_of_its_own(world: &World) -> Outcome {
    let issuer =
        |host: &str, words: &[&str]| world.start_issuer(IssuerSpec::new(host).certificate(words));
    let good = issuer("way.test", &[])?;
    let (ended, other) =
        (issuer("ended.test", &["--expired"])?, issuer("other.test", &["--wrong-name"])?);
    let alone = issuer("alone.test", &["--alone"])?;
    let product = Product::new(&good).issuer("ended", &ended).issuer("other", &other);
    // Nobody but the doctor asks: each failure counts.
    let product = product.issuer("alone", &alone).config("[login]\nautomatic = false\n");
    let node = world.boot(product.on(world.spec("way")))?;
    sign_in::warm(&node)?;
    // The node knows the hosts of the others; each is the issuer in turn, and an issuer is in one file.
    node.root_says("cd /etc/iamd/issuers.d && rm ended.toml other.toml alone.toml")?;
    let file = "/etc/iamd/issuers.d/test.toml";
    let before = issuer_file("test", &good);
    let (now, plain) = (good.url(), "https://way.test:1/".to_owned());
    let as_itself =
        format!("[endpoints]\nconfiguration = \"{now}.well-known/openid-configuration\"\n");
    for (url, more, text, way) in [
        (
            "https://nowhere.test/".to_owned(),
            "",
            "no connection to nowhere.test",
            "getent hosts nowhere.test",
        ),
        (plain, "", "no connection to way.test", "does a firewall refuse it?"),
        (alone.url(), "", "certificate of alone.test is not accepted", "set ca to the certificate"),
        (ended.url(), "", "certificate of ended.test is not accepted", "they have to renew it"),
        (
            other.url(),
            "",
            "certificate of other.test is not accepted",
            "for another host than other.test",
        ),
        (format!("{now}no/issuer"), "", "no metadata at", "there is no issuer at"),
        (
            "https://itself.test/".into(),
            as_itself.as_str(),
            "says that it is",
            "what the issuer calls itself",
        ),
    ] {
        let changed = before.replace(&format!("url = \"{now}\""), &format!("url = \"{url}\""));
        node.put(file, 0o644, "root", (changed + more).as_bytes())?;
        node.exec("systemctl reload iamd")?.ok()?;
        let found = findings(&node, "bob", "")?;
        let said = advice(&found, "problem", "issuer test", text)?;
        assert!(said.contains(way), "{url}: {said}");
    }
    node.put(file, 0o644, "root", before.as_bytes())?;
    for (fault, text, way) in [
        (json!({"code": 503, "body": "<html>"}), "answered 503", "The issuer itself fails"),
        (json!({"code": 200, "body": "<html>"}), "a page instead of JSON", "a web page answers"),
    ] {
        let all = json!([{"match": {"path": "/.well-known/*"}, "fault": {"status": fault}}]);
        let faults = good.faults(&all)?;
        // What is known of it, and how it fared, is forgotten.
        node.restart("iamd")?;
        let said = advice(&findings(&node, "bob", "")?, "problem", "issuer test", text)?;
        assert!(said.contains(way), "{said}");
        drop(faults);
    }
    Ok(())
}

fn an_issuer_that_is_down_has_cause_and_advice_also_while_it_is_left_alone(
    world: &World,
) -> Outcome {
    let (node, issuer) = own(world, "down", &[], "")?;
    let _session = sign_in(&node, &issuer, "alice")?;
    advice(&findings(&node, "alice", "")?, "ok", "issuer test", "INDIGO IAM")?;
    let fault = json!({"status": {"code": 503, "body": "<html>"}});
    // What it tells of itself was had a moment ago; nothing else answers.
    let endpoints = json!([{"match": {"path": "/token"}, "fault": fault},
        {"match": {"path": "/introspect"}, "fault": fault}]);
    let faults = issuer.faults(&endpoints)?;
    let way = advice(&findings(&node, "alice", "")?, "problem", "issuer test", "answered 503")?;
    assert!(way.contains("The issuer itself fails"), "{way}");
    drop(faults);
    for user in ["bob", "user01"] {
        sign_in_as(&node, &issuer, user, "test", "test")?;
    }
    let faults = issuer.faults(&json!([{"match": {"path": "/*"}, "fault": fault}]))?;
    for user in ["alice", "bob", "user01"] {
        node.exec_as(user, "iamctl token --force-new")?.exited(5)?;
    }
    let found = findings(&node, "alice", "")?;
    drop(faults);
    let way = advice(&found, "problem", "issuer test", "the last time: ")?;
    assert!(way.contains("The issuer itself fails"), "{way}");
    Ok(())
}

fn what_an_issuer_says_wrong_is_found_each_by_itself(world: &World) -> Outcome {
    let spec = IssuerSpec::new("sick.test").certificate(&["--days", "2"]);
    let issuer = world.start_issuer(spec)?;
    let file = issuer_file("test", &issuer) + "client = \"per-user\"\n";
    let product = Product::new(&issuer).issuer_file("test", &file);
    let node = world.boot(product.on(world.spec("sick")))?;
    sign_in::warm(&node)?;
    let _session = sign_in(&node, &issuer, "alice")?;
    let found = findings(&node, "alice", "")?;
    advice(&found, "ok", "client of account test", "is known to the test issuer")?;
    advice(&found, "ok", "issuer test", "INDIGO IAM")?;
    let way = advice(&found, "warning", "certificate of issuer test", "ends in 47 h")?;
    assert_eq!(way, "Tell the administrators of the issuer");

    let forgotten = json!([{"match": {"path": "/iam/api/client-registration/*", "method": "GET"},
        "fault": {"status": {"code": 401, "body": "{\"error\":\"invalid_token\"}"}}}]);
    let faults = issuer.faults(&forgotten)?;
    let found = findings(&node, "alice", "")?;
    let way = advice(&found, "problem", "client of account test", "does not know it any more")?;
    assert!(way.contains("iamctl login --new-client"), "{way}");
    drop(faults);

    let ended = json!([{"match": {"path": "/introspect"},
        "fault": {"replace_json": {"set": {"active": false}}}}]);
    let faults = issuer.faults(&ended)?;
    let found = findings(&node, "alice", "")?;
    let way = advice(&found, "problem", "sign-in of account test", "not valid any more")?;
    assert_eq!(way, "Sign in with:  iamctl login");
    drop(faults);

    // Its clock is years behind, as its answer says.
    let metadata = issuer.get(".well-known/openid-configuration")?;
    let behind = json!([{"match": {"path": "/.well-known/openid-configuration"},
        "fault": {"status": {"code": 200, "body": metadata.to_string(),
        "headers": {"date": "Thu, 01 Jan 2026 00:00:00 GMT"}}}}]);
    let faults = issuer.faults(&behind)?;
    let found = findings(&node, "alice", "")?;
    drop(faults);
    let way = advice(&found, "warning", "clock and issuer test", "ahead of the issuer's")?;
    assert!(way.contains("timedatectl status"), "{way}");
    Ok(())
}
