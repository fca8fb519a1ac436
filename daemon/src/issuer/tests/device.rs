//! The device authorization request and what its reply may look like (RFC 8628 §3.1, §3.2).

use std::time::Duration;

use serde_json::{Value, json};

use super::{
    audiences, basic, client,
    mock::{Mock, Request, json_reply, oauth, page},
    passing, record, scopes,
};
use crate::account::{
    AudienceSet, ClientAuth, ClientRecord,
    ports::{DeviceAuthorization, IssuerError, Issuers as _},
};

const ENDPOINT: &str = "POST /devicecode";

/// A reply as INDIGO IAM's, with changes; null removes.
fn reply(changes: Value) -> Value {
    let mut reply = json!({
        "device_code": "dc-1",
        "user_code": "IJS9NT",
        "verification_uri": "https://iam.example/device",
        "verification_uri_complete": "https://iam.example/device?user_code=IJS9NT",
        "expires_in": 300,
        "interval": 7,
    });
    let object = reply.as_object_mut().unwrap();
    for (key, value) in changes.as_object().unwrap() {
        if value.is_null() {
            object.remove(key)
        } else {
            object.insert(key.clone(), value.clone())
        };
    }
    reply
}

async fn ask(
    mock: &Mock,
    client_record: &ClientRecord,
) -> Result<DeviceAuthorization, IssuerError> {
    let scopes = scopes("openid offline_access storage.read:/");
    client()
        .authorize_device(&mock.profile(), client_record, 1001, &scopes, &AudienceSet::default())
        .await
}

async fn given(changes: Value) -> Result<DeviceAuthorization, IssuerError> {
    let mock = Mock::start().await;
    mock.on(ENDPOINT, [json_reply(200, reply(changes))]);
    ask(&mock, &basic()).await
}

async fn request(mock: &Mock, client_record: &ClientRecord) -> Request {
    ask(mock, client_record).await.unwrap();
    mock.seen(ENDPOINT).pop().unwrap()
}

#[tokio::test]
async fn a_device_code_comes_with_all_that_is_shown() {
    let device = given(json!({})).await.unwrap();
    assert_eq!(device.user_code, "IJS9NT");
    assert_eq!(device.verification_uri, "https://iam.example/device");
    let complete = device.verification_uri_complete.as_deref();
    assert_eq!(complete, Some("https://iam.example/device?user_code=IJS9NT"));
    assert_eq!(device.expires_in, Duration::from_secs(300));
    assert_eq!(device.interval, Duration::from_secs(7));
}

#[tokio::test]
async fn r01_the_interval_is_five_seconds_where_the_issuer_says_none() {
    for absent in
        [json!({ "interval": null }), json!({ "interval": 0 }), json!({ "interval": "x" })]
    {
        assert_eq!(given(absent).await.unwrap().interval, Duration::from_secs(5));
    }
    let interval = given(json!({ "interval": "9" })).await.unwrap().interval;
    assert_eq!(interval, Duration::from_secs(9));
    assert!(given(json!({ "interval": 1e12 })).await.unwrap().interval < Duration::from_secs(301));
}

#[tokio::test]
async fn r06_a_device_code_without_expires_in_lives_ten_minutes() {
    for absent in
        [json!({ "expires_in": null }), json!({ "expires_in": 0 }), json!({ "expires_in": -5 })]
    {
        assert_eq!(given(absent).await.unwrap().expires_in, Duration::from_secs(600));
    }
}

#[tokio::test]
async fn r07_a_verification_uri_with_escape_characters_is_cleaned_or_refused() {
    for bad in [
        "https://iam.example/\u{1b}[2Jdevice",
        "https://iam.example/device\nhttps://evil.example/",
        "https://iam.example/\u{202e}ecived",
        "https://iam.example/dev ice",
        "https://iam.example/gerät",
        "https://iam.example@evil.example/",
        "http://iam.example/device",
        "javascript:alert(1)",
        "iam.example/device",
        "",
    ] {
        let answer = given(json!({ "verification_uri": bad })).await;
        let Err(IssuerError::Malformed { text }) = answer else { panic!("{bad:?}: {answer:?}") };
        assert!(text.bytes().all(|byte| matches!(byte, b' '..=b'~')), "{text:?}");
    }
    assert!(given(json!({ "verification_uri": null })).await.is_err());
    let draft = json!({ "verification_uri": null, "verification_url": "https://iam.example/d" });
    assert_eq!(given(draft).await.unwrap().verification_uri, "https://iam.example/d");
}

#[tokio::test]
async fn r07_a_uri_for_the_qr_code_that_leads_elsewhere_is_left_out() {
    for bad in
        ["https://evil.example/device?user_code=X", "https://iam.example/\u{1b}[0m", "nonsense"]
    {
        let device = given(json!({ "verification_uri_complete": bad })).await.unwrap();
        assert_eq!(device.verification_uri_complete, None, "{bad:?}");
        assert_eq!(device.verification_uri, "https://iam.example/device");
    }
}

#[tokio::test]
async fn r07_a_user_code_with_escape_characters_is_refused() {
    let long = "A".repeat(65);
    for bad in ["AB\u{1b}[31m12", "AB\r\n12", "ÄÖÜ", "\u{7}", long.as_str(), "", "   ", "\t"] {
        let answer = given(json!({ "user_code": bad })).await;
        assert!(matches!(answer, Err(IssuerError::Malformed { .. })), "{bad:?}: {answer:?}");
    }
    assert_eq!(given(json!({ "user_code": " WDJB-MJHT " })).await.unwrap().user_code, "WDJB-MJHT");
}

#[tokio::test]
async fn r09_the_client_id_is_in_the_body_and_a_confidential_client_authenticates_too() {
    let mock = Mock::start().await;
    mock.on(ENDPOINT, [json_reply(200, reply(json!({})))]);
    let sent = request(&mock, &basic()).await;
    assert_eq!(sent.all("client_id"), ["client$1"]);
    assert!(sent.headers["authorization"].starts_with("Basic "));
    assert_eq!(sent.field("client_secret"), None);
    assert_eq!(sent.field("scope").as_deref(), Some("offline_access openid storage.read:/"));
    assert_eq!(sent.headers["content-type"], "application/x-www-form-urlencoded");
    let sent = request(&mock, &record(ClientAuth::ClientSecretPost)).await;
    assert_eq!(sent.all("client_id"), ["client$1"]);
    assert_eq!(sent.field("client_secret").as_deref(), Some(super::SECRET));
    let sent = request(&mock, &record(ClientAuth::None)).await;
    assert_eq!(sent.all("client_id"), ["client$1"]);
    assert!(!sent.headers.contains_key("authorization"));
}

#[tokio::test]
async fn an_audience_is_asked_for_as_the_dialect_does_and_never_in_both_ways() {
    let mock = Mock::start().await;
    mock.on(ENDPOINT, [json_reply(200, reply(json!({})))]);
    let two = audiences("https://se1.example https://se2.example");
    let none = scopes("");
    client().authorize_device(&mock.profile(), &basic(), 1001, &none, &two).await.unwrap();
    let sent = mock.seen(ENDPOINT).pop().unwrap();
    assert_eq!(sent.all("audience"), ["https://se1.example https://se2.example"]);
    assert!(sent.all("resource").is_empty() && sent.field("scope").is_none());
    mock.without_dialect();
    client().authorize_device(&mock.profile(), &basic(), 1001, &none, &two).await.unwrap();
    let sent = mock.seen(ENDPOINT).pop().unwrap();
    assert_eq!(sent.all("resource"), ["https://se1.example", "https://se2.example"]);
    assert!(sent.all("audience").is_empty());
    // RFC 8707 wants absolute URIs; nothing else is sent.
    let plain = audiences("dcache");
    let error = client().authorize_device(&mock.profile(), &basic(), 1001, &none, &plain).await;
    assert!(matches!(error, Err(IssuerError::Refused { code, .. }) if code == "invalid_target"));
    assert_eq!(mock.seen(ENDPOINT).len(), 2);
}

#[tokio::test]
async fn an_unknown_client_is_told_from_a_missing_endpoint() {
    let mock = Mock::start().await;
    mock.on(ENDPOINT, [page(404, "")]);
    let error = ask(&mock, &basic()).await.unwrap_err();
    assert!(matches!(error, IssuerError::ClientRejected { .. }), "{error:?}");
    mock.without_dialect();
    let error = ask(&mock, &basic()).await.unwrap_err();
    assert!(matches!(error, IssuerError::Unsupported { .. }), "{error:?}");
    mock.discover_as(json!({ "device_authorization_endpoint": null }));
    let error = ask(&mock, &basic()).await.unwrap_err();
    let IssuerError::Unsupported { text } = error else { panic!("{error:?}") };
    assert!(text.contains("endpoints.device_authorization"), "{text}");
}

#[tokio::test]
async fn each_refusal_of_a_device_code_is_told_apart() {
    let mock = Mock::start().await;
    let rejected = "Unauthorized grant type: urn:ietf:params:oauth:grant-type:device_code";
    mock.on(ENDPOINT, [oauth(401, "invalid_client", rejected)]);
    let error = ask(&mock, &basic()).await.unwrap_err();
    assert!(matches!(error, IssuerError::ClientRejected { .. }), "{error:?}");
    mock.on(ENDPOINT, [oauth(400, "invalid_scope", "One or more requested scope is not allowed")]);
    let error = ask(&mock, &basic()).await.unwrap_err();
    assert!(matches!(&error, IssuerError::Refused { code, .. } if code == "invalid_scope"));
    // Spring's own words for a missing parameter.
    mock.on(ENDPOINT, [json_reply(400, json!({ "status": 400, "error": "Bad Request" }))]);
    let error = ask(&mock, &basic()).await.unwrap_err();
    assert!(matches!(&error, IssuerError::Refused { code, .. } if code == "http_400"), "{error:?}");
    for gone in [page(200, "<html>login</html>"), page(502, ""), page(200, "")] {
        mock.on(ENDPOINT, [gone]);
        let error = ask(&mock, &basic()).await.unwrap_err();
        assert!(passing(&error).is_some(), "{error:?}");
    }
    for broken in [json!({}), json!([]), json!({ "device_code": 7 }), json!({ "device_code": "" })]
    {
        mock.on(ENDPOINT, [json_reply(200, broken)]);
        let error = ask(&mock, &basic()).await.unwrap_err();
        assert!(matches!(error, IssuerError::Malformed { .. }), "{error:?}");
    }
}
