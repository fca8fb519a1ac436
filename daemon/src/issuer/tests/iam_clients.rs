//! The grant of a client, changed through INDIGO IAM's interface for administrators: all is sent
//! back, and what is different afterwards is put back.

use std::{sync::Arc, time::Duration};

use serde_json::{Value, json};

use super::{
    mock::{Answer, Mock, json_reply, page},
    secret,
};
use crate::{
    account::ports::{GrantChange, GrantFailure, IssuerError, PasswordGrants as _},
    clock::SystemClock,
    issuer::{IssuerClient, Limits},
};

const GET: &str = "GET /iam/api/clients/c1";
const PUT: &str = "PUT /iam/api/clients/c1";
const TOKEN: &str = "admin-token-Canary7";

/// A client as INDIGO IAM shows it.
fn full(changes: Value) -> Value {
    let mut client = json!({
        "client_id": "c1",
        "client_secret": "s3cret-of-the-client",
        "client_name": "iamd login1",
        "grant_types": ["refresh_token", "device"],
        "scope": "openid offline_access",
        "token_endpoint_auth_method": "client_secret_basic",
        "reuse_refresh_token": true,
        "clear_access_tokens_on_refresh": true,
        "allow_introspection": true,
        "created_at": 1_699_030_393_000_u64,
        "last_used": 1,
    });
    let object = client.as_object_mut().unwrap();
    object.extend(changes.as_object().unwrap().clone());
    object.retain(|_, value| !value.is_null());
    client
}

fn allowed(changes: Value) -> Value {
    let mut client = full(json!({ "grant_types": ["device", "password", "refresh_token"] }));
    let object = client.as_object_mut().unwrap();
    object.extend(changes.as_object().unwrap().clone());
    object.retain(|_, value| !value.is_null());
    client
}

fn shows(mock: &Mock, clients: impl IntoIterator<Item = Value>) {
    mock.on(GET, clients.into_iter().map(|client| json_reply(200, client)));
}

async fn change(mock: &Mock, wanted: bool) -> Result<GrantChange, GrantFailure> {
    let limits = Limits { first_pause: Duration::from_millis(200), ..super::limits() };
    let client = IssuerClient::new(Arc::new(SystemClock), limits);
    client.change_password_grant(&mock.profile(), &secret(TOKEN), "c1", wanted).await
}

async fn refused(mock: &Mock) -> (String, String) {
    let (code, text) = match change(mock, true).await {
        Err(GrantFailure::PutBack(text)) => ("put_back".to_owned(), text),
        Err(GrantFailure::NotPutBack(text)) => ("not_put_back".to_owned(), text),
        Err(GrantFailure::Issuer(IssuerError::Refused { code, text })) => (code, text),
        other => panic!("{other:?}"),
    };
    assert!(!text.contains("s3cret") && !text.contains("Canary"), "{text}");
    (code, text)
}

#[tokio::test]
async fn one_thing_is_changed_and_all_else_is_sent_back() {
    let mock = Mock::start().await;
    shows(&mock, [full(json!({})), allowed(json!({ "last_used": 2 }))]);
    mock.on(PUT, [json_reply(200, json!({}))]);
    assert_eq!(change(&mock, true).await, Ok(GrantChange::Changed));
    let [sent] = &mock.seen(PUT)[..] else { panic!() };
    assert_eq!(sent.headers["authorization"], format!("Bearer {TOKEN}"));
    let wanted = full(json!({ "grant_types": ["refresh_token", "device", "password"] }));
    assert_eq!(sent.json(), wanted);
    assert_eq!(mock.seen(GET).len(), 2);

    // And taken away in the same way.
    let mock = Mock::start().await;
    shows(&mock, [allowed(json!({})), full(json!({}))]);
    mock.on(PUT, [page(204, "")]);
    assert_eq!(change(&mock, false).await, Ok(GrantChange::Changed));
    assert_eq!(mock.seen(PUT)[0].json()["grant_types"], json!(["device", "refresh_token"]));
}

#[tokio::test]
async fn what_is_so_already_is_not_written() {
    let mock = Mock::start().await;
    shows(&mock, [allowed(json!({}))]);
    assert_eq!(change(&mock, true).await, Ok(GrantChange::AlreadySo));
    assert!(mock.seen(PUT).is_empty());
}

#[tokio::test]
async fn a_client_whose_secret_is_not_shown_is_not_written_and_a_public_one_is() {
    for hidden in [json!({ "client_secret": null }), json!({ "client_secret": "" })] {
        let mock = Mock::start().await;
        shows(&mock, [full(hidden)]);
        let (code, text) = refused(&mock).await;
        assert_eq!(code, "secret_not_shown");
        assert!(text.contains("dashboard") && text.contains("--at-issuer"), "{text}");
        assert!(mock.seen(PUT).is_empty());
    }
    let public = json!({ "client_secret": null, "token_endpoint_auth_method": "none" });
    let mock = Mock::start().await;
    shows(&mock, [full(public.clone()), allowed(public)]);
    mock.on(PUT, [json_reply(200, json!({}))]);
    assert_eq!(change(&mock, true).await, Ok(GrantChange::Changed));
}

#[tokio::test]
async fn what_else_is_different_is_put_back_as_it_was() {
    for trap in [
        json!({ "reuse_refresh_token": false }),
        json!({ "client_secret": null }),
        json!({ "client_secret": "another" }),
        json!({ "scope": "openid" }),
        json!({ "contacts": ["x@example.org"] }),
    ] {
        let mock = Mock::start().await;
        shows(&mock, [full(json!({})), allowed(trap.clone()), full(json!({}))]);
        mock.on(PUT, [json_reply(200, json!({}))]);
        let (code, text) = refused(&mock).await;
        assert_eq!(code, "put_back", "{trap}");
        let name = trap.as_object().unwrap().keys().next().unwrap();
        assert!(text.contains(name.as_str()), "{text}");
        let [_, back] = &mock.seen(PUT)[..] else { panic!("{trap}") };
        assert_eq!(back.json(), full(json!({})));
    }
}

#[tokio::test]
async fn what_could_not_be_put_back_is_tried_some_times_and_told_by_name_and_value() {
    let mock = Mock::start().await;
    let broken =
        allowed(json!({ "reuse_refresh_token": false, "client_secret": "another-s3cret" }));
    shows(&mock, [full(json!({})), broken]);
    mock.on(PUT, [json_reply(200, json!({}))]);
    let (code, text) = refused(&mock).await;
    assert_eq!(code, "not_put_back");
    assert_eq!(mock.seen(PUT).len(), 4, "the change, and three tries to put it back");
    for part in [
        "client_secret is another one",
        "grant_types is \u{201c}device password refresh_token\u{201d} and was \u{201c}refresh_token device\u{201d}",
        "reuse_refresh_token is \u{201c}false\u{201d} and was \u{201c}true\u{201d}",
        "Left there is",
    ] {
        assert!(text.contains(part), "{part}: {text}");
    }
    let mock = Mock::start().await;
    shows(&mock, [full(json!({})), allowed(json!({ "scope": "x" }))]);
    mock.on(PUT, [json_reply(200, json!({})), page(503, "")]);
    let (code, text) = refused(&mock).await;
    assert_eq!(code, "not_put_back");
    assert!(text.contains("scope is \u{201c}x\u{201d}") && text.contains("503"), "{text}");
}

#[tokio::test]
async fn a_put_back_that_fails_at_first_is_tried_again_and_told_as_done() {
    let mock = Mock::start().await;
    let trap = allowed(json!({ "reuse_refresh_token": false }));
    mock.on(
        GET,
        [
            json_reply(200, full(json!({}))),
            json_reply(200, trap.clone()),
            // The first look after the put-back fails, the second sees that it was of no effect.
            page(503, ""),
            json_reply(200, trap),
            json_reply(200, full(json!({}))),
        ],
    );
    mock.on(PUT, [json_reply(200, json!({})), page(502, ""), json_reply(200, json!({}))]);
    let (code, text) = refused(&mock).await;
    assert_eq!(code, "put_back", "{text}");
    assert!(text.contains("reuse_refresh_token"), "{text}");
    assert_eq!(mock.seen(PUT).len(), 4);
    for back in &mock.seen(PUT)[1..] {
        assert_eq!(back.json(), full(json!({})));
    }
}

#[tokio::test]
async fn a_change_that_cannot_be_seen_is_looked_for_again_and_else_put_back() {
    // A look that fails is no reason to write.
    let mock = Mock::start().await;
    let (before, after) = (json_reply(200, full(json!({}))), json_reply(200, allowed(json!({}))));
    mock.on(GET, [before.clone(), page(503, ""), page(500, ""), after]);
    mock.on(PUT, [json_reply(200, json!({}))]);
    assert_eq!(change(&mock, true).await, Ok(GrantChange::Changed));
    assert_eq!(mock.seen(PUT).len(), 1);
    // It comes back in time to be put back.
    let mock = Mock::start().await;
    mock.on(GET, [before.clone(), page(500, ""), page(500, ""), page(500, ""), before.clone()]);
    mock.on(PUT, [json_reply(200, json!({}))]);
    let (code, text) = refused(&mock).await;
    assert_eq!(code, "put_back", "{text}");
    assert!(text.contains("could not be seen"), "{text}");
    assert_eq!(mock.seen(PUT).len(), 2);
    assert_eq!(mock.seen(PUT)[1].json(), full(json!({})));
    // It takes everything and shows nothing.
    let mock = Mock::start().await;
    mock.on(GET, [before.clone(), page(500, "")]);
    mock.on(PUT, [json_reply(200, json!({}))]);
    let (code, text) = refused(&mock).await;
    assert_eq!(code, "not_put_back");
    assert!(text.contains("was sent there as it was, and could not be read again"), "{text}");
    // It takes the change, and nothing after it.
    let mock = Mock::start().await;
    mock.on(GET, [before, page(503, "")]);
    mock.on(PUT, [json_reply(200, json!({})), page(503, "")]);
    let (code, text) = refused(&mock).await;
    assert_eq!(code, "not_put_back");
    let left = "left there may be: grant_types is \u{201c}refresh_token device password\u{201d}";
    assert!(text.contains(left), "{text}");
    assert!((2..=7).contains(&mock.seen(PUT).len()), "bounded");
}

#[tokio::test]
async fn a_lost_answer_is_looked_after_and_an_ignored_request_is_told() {
    let mock = Mock::start().await;
    shows(&mock, [full(json!({})), allowed(json!({}))]);
    mock.on(PUT, [Answer::Hangup]);
    assert_eq!(change(&mock, true).await, Ok(GrantChange::Changed));
    let mock = Mock::start().await;
    shows(&mock, [full(json!({}))]);
    mock.on(PUT, [json_reply(200, json!({}))]);
    assert_eq!(refused(&mock).await.0, "unchanged");
    assert_eq!(mock.seen(PUT).len(), 1, "nothing to put back");
}

#[tokio::test]
async fn after_any_answer_that_does_not_say_what_became_of_it_the_client_is_read_again() {
    let redirect = page(307, "").with("location", "https://elsewhere.example/");
    let answers = [
        page(503, "").with("retry-after", "1"),
        page(429, "").with("retry-after", "1"),
        page(408, ""),
        page(502, "<html>"),
        page(500, ""),
        redirect,
        Answer::Hangup,
        page(200, &"x".repeat(3 << 20)),
    ];
    let all = answers.into_iter().map(async |answer| {
        // It was taken all the same.
        let mock = Mock::start().await;
        shows(&mock, [full(json!({})), allowed(json!({}))]);
        mock.on(PUT, [answer.clone()]);
        assert_eq!(change(&mock, true).await, Ok(GrantChange::Changed));
        // And more than that with it.
        let mock = Mock::start().await;
        let trap = allowed(json!({ "reuse_refresh_token": false }));
        shows(&mock, [full(json!({})), trap, full(json!({}))]);
        mock.on(PUT, [answer.clone(), json_reply(200, json!({}))]);
        let (code, text) = refused(&mock).await;
        assert_eq!(code, "put_back", "{text}");
        assert_eq!(mock.seen(PUT)[1].json(), full(json!({})));
        // Or not: then it is the issuer's failure, and nothing is there to put back.
        let mock = Mock::start().await;
        shows(&mock, [full(json!({}))]);
        mock.on(PUT, [answer]);
        let error = change(&mock, true).await.unwrap_err();
        assert!(matches!(error, GrantFailure::Issuer(_)), "{error:?}");
        assert_eq!((mock.seen(PUT).len(), mock.seen(GET).len()), (1, 2));
    });
    futures_util::future::join_all(all).await;
}

#[tokio::test]
async fn who_is_no_administrator_and_what_is_no_client_is_said() {
    let mock = Mock::start().await;
    mock.on(GET, [json_reply(403, json!({ "error": format!("no {TOKEN}") }))]);
    assert!(refused(&mock).await.1.contains("iam:admin.write"));
    mock.on(GET, [json_reply(404, json!({ "error": "Client not found: c1" }))]);
    assert_eq!(refused(&mock).await.1, "Test IAM has no client c1");
    mock.on(GET, [json_reply(200, json!({ "client_id": "other" }))]);
    let malformed = change(&mock, true).await;
    assert!(matches!(malformed, Err(GrantFailure::Issuer(IssuerError::Malformed { .. }))));
    shows(&mock, [full(json!({}))]);
    mock.on(PUT, [json_reply(400, json!({ "error": "no s3cret-of-the-client" }))]);
    refused(&mock).await;
    assert!(mock.seen(PUT).len() == 1 && mock.seen(GET).len() == 4);
}

#[tokio::test]
async fn another_issuer_is_left_alone_and_its_administrator_is_to_be_asked() {
    let mock = Mock::start().await;
    mock.without_dialect();
    let error = change(&mock, true).await.unwrap_err();
    let GrantFailure::Issuer(IssuerError::Unsupported { text }) = error else {
        panic!("{error:?}")
    };
    let sentence =
        format!("ask the administrator of {} to allow grant type password for client c1", mock.url);
    assert!(text.contains(&sentence), "{text}");
    assert!(mock.seen(GET).is_empty());
}
