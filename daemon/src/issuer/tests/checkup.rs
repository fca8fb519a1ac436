//! What a diagnosis finds, and that it uses nothing up.

use serde_json::json;

use super::{
    mock::{Mock, OPENID, json_reply, oauth, page},
    pki::Authority,
    *,
};
use crate::account::ports::{Cause, Issuers as _};

const INTROSPECT: &str = "POST /introspect";

fn metadata(mock: &Mock) -> serde_json::Value {
    json!({
        "issuer": mock.url, "scim_endpoint": mock.url,
        "token_endpoint": format!("{}token", mock.url),
        "device_authorization_endpoint": format!("{}devicecode", mock.url),
        "registration_endpoint": format!("{}register", mock.url),
        "introspection_endpoint": format!("{}introspect", mock.url),
    })
}

#[tokio::test]
async fn the_issuers_clock_is_measured_by_its_answers() {
    // NOW is 2027-01-15 08:00:00.
    for (date, ahead) in [
        (Some("Fri, 15 Jan 2027 08:00:00 GMT"), Some(0)),
        (Some("Fri, 15 Jan 2027 08:02:00 GMT"), Some(120)),
        (Some("Fri, 15 Jan 2027 07:58:30 GMT"), Some(-90)),
        (Some("yesterday"), None),
        (None, None),
    ] {
        let mock = Mock::start().await;
        let answer = json_reply(200, metadata(&mock));
        mock.on(OPENID, [date.map_or(answer.clone(), |date| answer.with("date", date))]);
        let found = client().probe(&mock.profile()).await.unwrap();
        assert_eq!(found.clock_ahead, ahead, "{date:?}");
        assert_eq!((found.lacks, found.certificate_ends), (vec![], None));
    }
}

#[tokio::test]
async fn metadata_that_was_had_a_moment_ago_does_not_say_that_the_issuer_answers() {
    let mock = Mock::start().await;
    mock.on(OPENID, [json_reply(200, metadata(&mock)), page(503, "")]);
    let client = client();
    client.probe(&mock.profile()).await.unwrap();
    let error = client.probe(&mock.profile()).await.unwrap_err();
    assert_eq!(error.why(), Some(Cause::Status(503)));
    // Logins take what is known.
    client.fetch_metadata(&mock.profile()).await.unwrap();
    assert_eq!(mock.seen(OPENID).len(), 2);
}

#[tokio::test]
async fn what_a_user_alone_is_refused_is_told_that_user_with_its_cause() {
    let mock = Mock::start().await;
    mock.on(OPENID, [json_reply(200, metadata(&mock))]);
    mock.on("POST /token", [page(503, "the words of whoever asked")]);
    let client = client();
    for _ in 0..3 {
        let error = client.accepts(&mock.profile(), &basic()).await.unwrap_err();
        assert_eq!(error.why(), Some(Cause::Status(503)));
    }
    let error = client.accepts(&mock.profile(), &basic()).await.unwrap_err();
    let IssuerError::CircuitOpen { last: Some(last), .. } = error else { panic!("{error:?}") };
    assert_eq!(last.to_string(), "Test IAM answered 503");
}

#[tokio::test]
async fn the_end_of_the_issuers_certificate_is_known_before_it_comes() {
    let authority = Authority::new();
    let mock = Mock::tls("localhost", authority.server("localhost", 2090)).await;
    let profile = IssuerProfile { ca: Some(authority.file()), ..mock.profile() };
    let found = client().probe(&profile).await.unwrap();
    // 2090-01-01.
    assert_eq!(found.certificate_ends, Some(UnixTime(3_786_912_000)));
}

#[tokio::test]
async fn r14_what_a_login_needs_and_the_issuer_does_not_offer_is_named() {
    let mock = Mock::start().await;
    let mut document = metadata(&mock);
    document["device_authorization_endpoint"] = json!(null);
    mock.on(OPENID, [json_reply(200, document)]);
    let found = client().probe(&mock.profile()).await.unwrap();
    assert_eq!(found.lacks, ["device login"]);
}

#[tokio::test]
async fn r48_a_refresh_token_is_inspected_and_never_used() {
    for active in [true, false] {
        let mock = Mock::start().await;
        mock.on(OPENID, [json_reply(200, metadata(&mock))]);
        mock.on(INTROSPECT, [json_reply(200, json!({ "active": active }))]);
        let token = secret(REFRESH_TOKEN);
        let found = client().is_alive(&mock.profile(), &basic(), &token).await.unwrap();
        assert_eq!(found, Some(active));
        assert!(mock.seen("POST /token").is_empty());
        let inspection = &mock.seen(INTROSPECT)[0];
        assert_eq!(inspection.field("token").as_deref(), Some(REFRESH_TOKEN));
        assert!(inspection.headers["authorization"].starts_with("Basic "));
        // A public client is not told, and does not ask.
        let public = record(ClientAuth::None);
        assert_eq!(client().is_alive(&mock.profile(), &public, &token).await.unwrap(), None);
    }
    let mock = Mock::start().await;
    mock.on(OPENID, [json_reply(200, metadata(&mock))]);
    mock.on(INTROSPECT, [oauth(401, "invalid_client", &format!("bad {SECRET} {REFRESH_TOKEN}"))]);
    let error = client().is_alive(&mock.profile(), &basic(), &secret(REFRESH_TOKEN)).await;
    let error = error.unwrap_err().to_string();
    assert!(!error.contains("Canary"), "{error}");
}

#[tokio::test]
async fn a_client_is_asked_for_with_a_token_that_is_nobodys() {
    for auth in [ClientAuth::ClientSecretBasic, ClientAuth::None] {
        for (answer, expected) in [
            (oauth(400, "invalid_grant", "unknown token"), Some(true)),
            (oauth(401, "invalid_client", "unknown client"), Some(false)),
            (oauth(401, "unauthorized", "Bad credentials"), Some(false)),
            (oauth(503, "server_error", "later"), None),
        ] {
            let mock = Mock::start().await;
            mock.on(OPENID, [json_reply(200, metadata(&mock))]);
            mock.on("POST /token", [answer]);
            let found = client().accepts(&mock.profile(), &record(auth)).await;
            assert_eq!(found.ok(), expected);
            let asked = &mock.seen("POST /token")[0];
            let token = asked.field("refresh_token").unwrap();
            assert!(token.contains("no-token") && token != REFRESH_TOKEN, "{token}");
        }
    }
}
