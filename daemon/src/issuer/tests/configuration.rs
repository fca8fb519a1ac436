//! The client configuration endpoint (RFC 7592).

use secrecy::ExposeSecret as _;
use serde_json::{Value, json};

use super::{
    NOW, SECRET, basic, client,
    mock::{Answer, Mock, json_reply, oauth, page},
    scopes,
};
use crate::account::{
    ClientRecord, UnixTime,
    ports::{ClientChange, ClientMetadata, IssuerError, Issuers as _, LeftOut, Managed},
};

const DEVICE: &str = "urn:ietf:params:oauth:grant-type:device_code";

/// What INDIGO IAM says of a client that an administrator gave the password grant.
fn registered() -> Value {
    json!({
        "client_id": "client$1",
        "client_name": "iamd:login1",
        "client_description": "for the grid",
        "contacts": ["admin@example.org"],
        "grant_types": [DEVICE, "refresh_token", "password"],
        "token_endpoint_auth_method": "client_secret_basic",
        "scope": "openid offline_access",
        "reuse_refresh_token": true,
        "clear_access_tokens_on_refresh": true,
        "registration_access_token": "rat-new",
        "registration_client_uri": "https://elsewhere.example/c/1",
        "client_id_issued_at": 1,
        "client_secret_expires_at": 0,
        "created_at": 1_699_030_393_000_u64,
    })
}

fn with(changes: Value) -> Value {
    let mut reply = registered();
    let object = reply.as_object_mut().unwrap();
    object.extend(changes.as_object().unwrap().clone());
    object.retain(|_, value| !value.is_null());
    reply
}

fn ours(mock: &Mock) -> ClientRecord {
    ClientRecord { registration_client_uri: Some(format!("{}c/1", mock.url)), ..basic() }
}

async fn read(answer: Answer) -> Managed<ClientMetadata> {
    let mock = Mock::start().await;
    mock.on("GET /c/1", [answer]);
    client().read_client(&mock.profile(), &ours(&mock)).await.unwrap()
}

async fn update(answer: Answer, known: Value) -> (Managed<LeftOut>, Value) {
    let mock = Mock::start().await;
    mock.on("PUT /c/1", [answer]);
    let Value::Object(known) = known else { panic!("no object") };
    let wanted = scopes("compute.read offline_access openid");
    let change = ClientChange { scopes: Some(wanted), name: Some("another name".into()) };
    let changed = client()
        .update_client(&mock.profile(), &ours(&mock), &ClientMetadata(known), &change)
        .await;
    let sent = mock.seen("PUT /c/1").pop().unwrap();
    assert_eq!(sent.headers["authorization"], "Bearer registration-token-Canary4");
    (changed.unwrap(), sent.json())
}

#[tokio::test]
async fn a_name_that_repeats_a_secret_old_or_new_is_not_shown() {
    for name in ["of registration-token-Canary4", SECRET, "the new rat-new"] {
        let managed = read(json_reply(200, with(json!({ "client_name": name })))).await;
        assert_eq!(managed.client.client_name.as_deref(), Some("[redacted]"), "{name}");
    }
}

fn rat<T>(managed: &Managed<T>) -> &str {
    managed.client.registration_access_token.as_ref().unwrap().expose_secret()
}

fn client_secret<T>(managed: &Managed<T>) -> &str {
    managed.client.client_secret.as_ref().unwrap().expose_secret()
}

#[tokio::test]
async fn r21_all_that_the_issuer_returned_is_sent_back_but_what_it_manages() {
    let (changed, sent) = update(json_reply(200, registered()), registered()).await;
    assert_eq!(
        sent,
        json!({
            "client_id": "client$1",
            "client_secret": SECRET,
            "client_name": "another name",
            "client_description": "for the grid",
            "contacts": ["admin@example.org"],
            "grant_types": [DEVICE, "refresh_token", "password"],
            "token_endpoint_auth_method": "client_secret_basic",
            "scope": "compute.read offline_access openid",
            "reuse_refresh_token": true,
            "clear_access_tokens_on_refresh": true,
        })
    );
    assert_eq!(changed.client.grant_types, [DEVICE, "refresh_token", "password"]);
    assert_eq!(changed.client.client_name.as_deref(), Some("iamd:login1"), "as the issuer says");
}

#[tokio::test]
async fn r18_scopes_and_grants_that_an_update_lost_are_told() {
    let answer = with(json!({ "grant_types": [DEVICE, "refresh_token"] }));
    let (changed, _) = update(json_reply(200, answer), registered()).await;
    let left_out = changed.answer.unwrap();
    assert_eq!(left_out.scopes.to_string(), "compute.read");
    assert_eq!(left_out.grants, ["password"]);
    assert_eq!(changed.client.scopes.to_string(), "offline_access openid");
    // What is not said is as asked.
    let silent = with(json!({ "scope": null, "grant_types": null, "client_name": null }));
    let (changed, _) = update(json_reply(200, silent), registered()).await;
    assert_eq!(changed.answer.unwrap(), LeftOut::default());
    assert!(changed.client.scopes.contains("compute.read"));
    assert_eq!(changed.client.client_name.as_deref(), Some("another name"));
    let (changed, _) = update(page(204, ""), registered()).await;
    assert_eq!(changed.answer.unwrap(), LeftOut::default());
}

#[tokio::test]
async fn r20_new_credentials_of_any_answer_take_the_place_of_the_old() {
    let answer = with(
        json!({ "client_secret": "secret-new", "client_secret_expires_at": 1_900_000_000_u64 }),
    );
    let found = read(json_reply(200, answer.clone())).await;
    assert_eq!((rat(&found), client_secret(&found)), ("rat-new", "secret-new"));
    assert_eq!(found.client.client_secret_expires_at, Some(UnixTime(1_900_000_000)));
    let uri = found.client.registration_client_uri.clone();
    assert_eq!(uri.as_deref(), Some("https://elsewhere.example/c/1"));
    assert!(found.changed && found.answer.is_ok());
    let (changed, _) = update(json_reply(201, answer), registered()).await;
    assert_eq!((rat(&changed), client_secret(&changed)), ("rat-new", "secret-new"));
    assert_eq!(changed.client.registered_at, NOW);
    // Nothing new changes nothing.
    let old = with(json!({ "registration_access_token": null, "registration_client_uri": null }));
    let found = read(json_reply(200, old)).await;
    assert_eq!((rat(&found), client_secret(&found)), ("registration-token-Canary4", SECRET));
}

#[tokio::test]
async fn r20_new_credentials_are_taken_from_an_answer_that_is_of_no_other_use() {
    for answer in [
        json_reply(200, with(json!({ "client_id": "somebody else" }))),
        json_reply(200, json!({ "registration_access_token": "rat-new" })),
        json_reply(
            400,
            json!({ "error": "invalid_client_metadata", "registration_access_token": "rat-new" }),
        ),
    ] {
        let found = read(answer.clone()).await;
        assert!(found.answer.is_err() && found.changed);
        assert_eq!(rat(&found), "rat-new");
        let (changed, _) = update(answer, registered()).await;
        assert!(changed.answer.is_err());
        assert_eq!(rat(&changed), "rat-new");
    }
    // What could not be sent in a header is none.
    for odd in [json!(""), json!(7), json!("a\nb"), json!("x".repeat(70_000))] {
        let found = read(json_reply(200, with(json!({ "registration_access_token": odd })))).await;
        assert_eq!(rat(&found), "registration-token-Canary4");
    }
}

#[tokio::test]
async fn a_refusal_is_told_in_the_issuers_words_without_the_token() {
    let echo = "Invalid access token: registration-token-Canary4";
    for (answer, client_gone) in [
        (json_reply(401, json!({ "error": "invalid_token", "error_description": echo })), true),
        (json_reply(400, json!({ "error": "Invalid registration access token" })), true),
        (page(404, ""), true),
        (json_reply(403, json!({ "error": "Client is suspended" })), false),
        (oauth(400, "invalid_client_metadata", "scope must only contain supported values"), false),
    ] {
        let (changed, _) = update(answer, registered()).await;
        let error = changed.answer.unwrap_err();
        let gone = matches!(error, IssuerError::ClientRejected { .. });
        assert_eq!(gone, client_gone, "{error:?}");
        assert!(!error.to_string().contains("Canary4"), "{error}");
        assert!(!changed.changed);
    }
    let (changed, _) = update(page(502, "<html>"), registered()).await;
    assert!(matches!(changed.answer, Err(IssuerError::Unreachable { .. })));
}

#[tokio::test]
async fn r18_what_an_issuer_takes_away_with_a_change_of_the_name_alone_is_told() {
    let mock = Mock::start().await;
    let answer = with(json!({ "scope": "openid", "client_name": "iamd two" }));
    mock.on("PUT /c/1", [json_reply(200, answer)]);
    let before = scopes("openid offline_access storage.read:/");
    let Value::Object(known) = with(json!({ "scope": before.to_string() })) else {
        panic!("no object")
    };
    let ours = ClientRecord { scopes: before, ..ours(&mock) };
    let change = ClientChange { scopes: None, name: Some("iamd two".into()) };
    let known = ClientMetadata(known);
    let changed = client().update_client(&mock.profile(), &ours, &known, &change).await.unwrap();
    assert_eq!(changed.client.scopes, scopes("openid"));
    assert_eq!(changed.answer.unwrap().scopes, scopes("offline_access storage.read:/"));
}

#[tokio::test]
async fn without_the_means_nothing_is_asked() {
    let mock = Mock::start().await;
    let none = ClientRecord { registration_access_token: None, ..ours(&mock) };
    let error = client().read_client(&mock.profile(), &none).await.unwrap_err();
    assert!(matches!(error, IssuerError::Unsupported { .. }), "{error:?}");
    let odd = ClientRecord { registration_client_uri: Some("not a URL".into()), ..ours(&mock) };
    let error = client().read_client(&mock.profile(), &odd).await.unwrap_err();
    assert!(matches!(error, IssuerError::Malformed { .. }), "{error:?}");
}

#[test]
fn metadata_of_a_client_prints_nothing() {
    let Value::Object(known) = json!({ "client_secret": "canary" }) else { panic!("no object") };
    assert!(!format!("{:?}", ClientMetadata(known)).contains("canary"));
}

#[tokio::test]
async fn the_scopes_on_offer_are_what_the_metadata_says_bounded() {
    let mock = Mock::start().await;
    let many: Vec<_> = (0..2000).map(|number| format!("s{number}")).collect();
    for (says, count) in
        [(json!(["openid", "bad\"scope", 7, "wlcg"]), 2), (json!(many), 512), (json!(7), 0)]
    {
        mock.discover_as(json!({ "scopes_supported": says }));
        assert_eq!(client().scopes_offered(&mock.profile()).await.unwrap().iter().count(), count);
    }
}
