//! Accounts from their making to their end, on the bus of a node: what the issuer sees of it, and
//! where the token is after each step.

use std::time::Duration;

use iamd_tests::{Error, Issuer, Node, World, eventually, token_file, uid};
use serde_json::{Value, json};

use crate::case::{Case, Outcome};
use crate::cases;
use crate::people::sign_in_as;

pub fn cases() -> Vec<Case> {
    cases![
        r21_r22_an_account_is_made_changed_renamed_and_removed_with_its_client_at_the_issuer,
        an_account_that_nobody_may_make_or_see_into_is_refused_by_name,
    ]
}

/// The renewal of a token, the sign-in done.
const WITHIN: Duration = Duration::from_secs(10);

/// The reply of a method of `org.iamd1.Accounts`, as plain JSON.
fn call(node: &Node, user: &str, words: &str) -> Result<Value, Error> {
    let line = format!(
        "busctl --system --timeout=90 --json=short call org.iamd1 /org/iamd1 org.iamd1.Accounts {words}"
    );
    let said = node.exec_as(user, &line)?.ok()?.line();
    let reply: Value = serde_json::from_str(&said)
        .map_err(|error| Error::Wrong(format!("{words}: {said}: {error}")))?;
    Ok(plain(&reply["data"][0]))
}

/// A dictionary of variants without the variants.
fn plain(value: &Value) -> Value {
    let Some(object) = value.as_object() else { return value.clone() };
    let members = object.iter().map(|(name, variant)| (name.clone(), variant["data"].clone()));
    Value::Object(members.collect())
}

/// The status of the last request of this kind that the issuer saw for a client.
fn last(issuer: &Issuer, method: &str, client: &str) -> Result<Value, Error> {
    let requests = issuer.requests()?;
    let of_client = |request: &&Value| {
        request["method"] == method
            && request["path"].as_str().is_some_and(|path| path.ends_with(client))
    };
    Ok(requests.iter().rev().find(of_client).map_or(Value::Null, |seen| seen["status"].clone()))
}

/// How many requests of a client to its own registration the issuer granted.
fn succeeded(issuer: &Issuer, method: &str, client: &str) -> Result<usize, Error> {
    let requests = issuer.requests()?;
    let granted = |request: &&Value| {
        request["method"] == method
            && request["status"] == 200
            && request["path"].as_str().is_some_and(|path| path.ends_with(client))
    };
    Ok(requests.iter().filter(granted).count())
}

fn text(reply: &Value, member: &str) -> String {
    reply[member].as_str().unwrap_or_default().to_owned()
}

fn r21_r22_an_account_is_made_changed_renamed_and_removed_with_its_client_at_the_issuer(
    world: &World,
) -> Outcome {
    let (node, issuer, user) = (world.node()?, world.issuer()?, world.user()?);
    let call = |words: &str| call(node, &user, words);
    let scopes = "scopes as 3 offline_access wlcg storage.read:/";
    let made = format!(
        "Add 'sa{{sv}}a{{sh}}' mine 4 issuer s test own_client b true make_default b true {scopes} 0"
    );
    let made = call(&made)?;
    assert_eq!((text(&made, "account"), &made["login_needed"]), ("mine".into(), &json!(true)));
    let shown = call("Show s mine")?;
    assert_eq!((text(&shown, "client"), text(&shown, "state")), ("own".into(), "new".into()));
    let client = text(&shown, "client_id");

    sign_in_as(node, issuer, &user, "mine", "test")?;
    let session = node.ssh(&user).pty().open(None)?;
    let (plain_file, uid) = (token_file(&user)?, uid(&user)?);
    let named = |name: &str| format!("/run/iamd/users/{uid}/bt_u{uid}-{name}");
    let read = |file: &str| -> Result<String, Error> {
        eventually(&format!("a token in {file}"), WITHIN, || -> Result<String, Error> {
            Ok(node.exec(&format!("test -s {file} && cat {file}"))?.ok()?.line())
        })
    };
    let first = issuer.verify(&read(&plain_file)?)?;
    assert!(text(&first, "scope").contains("storage.read:/"), "{first}");

    // More scopes and another name: the registration is changed, the sign-in stays.
    let more = "Edit 'sa{sv}' mine 2 add_scopes as 1 compute.read client_name s 'iamd e2e work'";
    let edited = call(more)?;
    assert_eq!(edited["login_needed"], true, "{edited}");
    assert_eq!(last(issuer, "PUT", &client)?, 200);
    let shown = call("Show s mine")?;
    assert_eq!(
        (text(&shown, "client_name"), text(&shown, "state")),
        ("iamd e2e work".into(), "signed-in".into())
    );
    sign_in_as(node, issuer, &user, "mine", "test")?;
    // Signed in it was before: only the token tells.
    eventually("a token with the further scope", WITHIN, || {
        let claims = issuer.verify(&read(&plain_file)?)?;
        let has = text(&claims, "scope").contains("compute.read");
        has.then_some(()).ok_or_else(|| Error::Wrong(claims.to_string()))
    })?;

    // Fewer, and another audience: at once, without a login.
    let less =
        "Edit 'sa{sv}' mine 2 remove_scopes as 1 compute.read audiences as 1 https://se.example";
    let updates = succeeded(issuer, "PUT", &client)?;
    let edited = call(less)?;
    // The client is this account's own: it is narrowed as well.
    assert_eq!((&edited["login_needed"], &edited["remarks"]), (&json!(false), &json!([])));
    assert_eq!(succeeded(issuer, "PUT", &client)?, updates + 1);
    let claims = issuer.verify(&read(&plain_file)?)?;
    assert!(!text(&claims, "scope").contains("compute.read"), "{claims}");
    assert_eq!(claims["aud"], "https://se.example");

    // Another name: the plain file stays whole, and the account is there once.
    assert_eq!(text(&call("Rename ss mine work")?, "account"), "work");
    assert_eq!(issuer.verify(&read(&plain_file)?)?["sub"], first["sub"]);
    let token = node.exec_as(&user, "iamctl token work")?.ok()?.line();
    assert_eq!(issuer.verify(&token)?["aud"], "https://se.example");
    node.exec_as(&user, "iamctl account show mine")?.exited(1)?;

    // Another default: the plain name is never the other account's.
    call("Add 'sa{sv}a{sh}' other 1 issuer s test 0")?;
    call("SetDefault s other")?;
    node.exec(&format!("test ! -e {plain_file}"))?.ok()?;
    assert_eq!(issuer.verify(&read(&named("work"))?)?["sub"], first["sub"]);
    call("SetDefault s work")?;
    read(&plain_file)?;
    node.exec(&format!("test ! -e {}", named("work")))?.ok()?;

    let removed = call("Remove 'sa{sv}' work 0")?;
    assert_eq!((&removed["revoked"], &removed["client_deleted"]), (&json!(true), &json!(true)));
    assert_eq!(removed["remarks"], json!(["the default account is other now"]));
    assert_eq!(last(issuer, "DELETE", &client)?, 204);
    node.exec(&format!("test ! -e {plain_file} && test ! -e {}", named("work")))?.ok()?;
    // The site's client is still everybody's.
    let removed = call("Remove 'sa{sv}' other 0")?;
    assert_eq!(removed["client_deleted"], false, "{removed}");
    drop(session);
    Ok(())
}

fn an_account_that_nobody_may_make_or_see_into_is_refused_by_name(world: &World) -> Outcome {
    let (node, user) = (world.node()?, world.user()?);
    let refused = |words: &str| -> Result<String, Error> {
        let line = format!("busctl --system call org.iamd1 /org/iamd1 org.iamd1.Accounts {words}");
        Ok(node.exec_as(&user, &line)?.exited(1)?.errors())
    };
    call(node, &user, "Add 'sa{sv}a{sh}' mine 1 issuer s test 0")?;
    for (words, why) in [
        ("Add 'sa{sv}a{sh}' mine 0 0", "you have an account"),
        ("Add 'sa{sv}a{sh}' ../mine 0 0", "is not an account name"),
        ("Add 'sa{sv}a{sh}' new 1 issuer s https://10.0.0.1/ 0", "does not allow the issuer"),
        ("Edit 'sa{sv}' mine 1 client_name s 'mine now'", "is the site's"),
        ("Edit 'sa{sv}' mine 1 scopes as 1 storage.read:/../..", "has '..' in it"),
        ("Rename ss mine mine", "you have an account"),
        ("Secrets s mine", "does not show the secrets"),
    ] {
        let said = refused(words)?;
        assert!(said.contains(why), "{words}: {said}");
    }
    call(node, &user, "Remove 'sa{sv}' mine 0")?;
    Ok(())
}
