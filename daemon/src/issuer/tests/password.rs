//! The password grant (RFC 6749 §4.3): what is sent, once, and what each refusal means.

use serde_json::json;

use super::{
    audiences, basic, client,
    mock::{Answer, Mock, json_reply, oauth, page},
    passing, record, scopes, secret,
};
use crate::account::{
    AudienceSet, ClientAuth, ClientRecord,
    ports::{IssuerError, PasswordError, PasswordGrants as _, PasswordSignIn, Tokens},
};

const ENDPOINT: &str = "POST /token";
const PASSWORD: &str = "correct horse Canary9 & b\u{e4}ttery=1";

async fn sign_in(mock: &Mock, with: &ClientRecord) -> Result<Tokens, PasswordError> {
    let (scopes, audiences) = (scopes("openid offline_access"), audiences("https://se.example"));
    let sign_in = PasswordSignIn {
        user_name: "alice@home",
        password: secret(PASSWORD),
        scopes: &scopes,
        audiences: &audiences,
    };
    client().sign_in_with_password(&mock.profile(), with, sign_in).await
}

async fn answered(answer: Answer) -> PasswordError {
    let mock = Mock::start().await;
    mock.on(ENDPOINT, [answer]);
    let error = sign_in(&mock, &basic()).await.unwrap_err();
    assert_eq!(mock.seen(ENDPOINT).len(), 1, "a password is never sent twice");
    error
}

#[tokio::test]
async fn r34_the_request_is_that_of_the_rfc_and_the_password_is_nowhere_but_in_its_field() {
    let mock = Mock::start().await;
    let reply = json!({ "access_token": "at", "refresh_token": "rt", "expires_in": 60 });
    mock.on(ENDPOINT, [json_reply(200, reply)]);
    let tokens = sign_in(&mock, &basic()).await.unwrap();
    assert!(tokens.refresh_token.is_some() && tokens.identity.is_none());
    let sent = mock.seen(ENDPOINT).pop().unwrap();
    assert_eq!(sent.field("grant_type").unwrap(), "password");
    assert_eq!(sent.field("username").unwrap(), "alice@home");
    assert_eq!(sent.all("password"), [PASSWORD]);
    assert_eq!(sent.field("scope").unwrap(), "offline_access openid");
    assert_eq!(sent.all("audience"), ["https://se.example"]);
    assert!(sent.headers["authorization"].starts_with("Basic "));
    sign_in(&mock, &record(ClientAuth::None)).await.unwrap();
    let sent = mock.seen(ENDPOINT).pop().unwrap();
    assert_eq!(sent.field("client_id").unwrap(), "client$1");
}

#[tokio::test]
async fn r38_each_refusal_is_told_from_the_others() {
    let wrong = |error: &PasswordError| matches!(error, PasswordError::Wrong { .. });
    let grant = |error: &PasswordError| matches!(error, PasswordError::GrantMissing { .. });
    let factor = |error: &PasswordError| matches!(error, PasswordError::SecondFactor { .. });
    let action = |error: &PasswordError| matches!(error, PasswordError::ActionNeeded { .. });
    let rejected = |error: &PasswordError| {
        matches!(error, PasswordError::Issuer(IssuerError::ClientRejected { .. }))
    };
    type Is<'a> = &'a dyn Fn(&PasswordError) -> bool;
    let aup = "User alice needs to sign AUP for this organization in order to proceed.";
    let table: [(u16, &str, &str, Is<'_>); 20] = [
        // INDIGO IAM: the user's are 400, the client's 401.
        (400, "invalid_grant", "Bad credentials", &wrong),
        (401, "invalid_grant", "Invalid user credentials", &wrong),
        (401, "unauthorized", "Bad credentials", &rejected),
        (401, "invalid_client", "Client is suspended: client$1", &rejected),
        (401, "invalid_client", "Unauthorized grant type: password", &grant),
        (400, "unauthorized_client", "", &grant),
        (400, "unsupported_grant_type", "", &grant),
        (400, "invalid_request", "requested grant type is not allowed for this client", &grant),
        (400, "invalid_grant", aup, &action),
        (401, "unauthorized", "User alice is not active.", &action),
        (400, "invalid_grant", "User is disabled", &action),
        (400, "invalid_grant", "Account is locked.", &action),
        (400, "mfa_required", "", &factor),
        (400, "interaction_required", "", &factor),
        (401, "insufficient_user_authentication", "", &factor),
        (400, "invalid_grant", "MFA is needed for this account", &factor),
        (400, "invalid_grant", "Please provide your OTP.", &factor),
        (403, "access_denied", "a second factor is required", &factor),
        (403, "access_denied", "", &wrong),
        // Not "mfa": a word that has it in the middle.
        (400, "invalid_grant", "xmfax", &wrong),
    ];
    for (status, code, description, is) in table {
        let error = answered(oauth(status, code, description)).await;
        assert!(is(&error), "{code} {description}: {error:?}");
        let text = error.to_string();
        assert!(text.contains("Test IAM"), "{text}");
        assert!(description.is_empty() || !text.contains(description), "{text}");
    }
    let error = answered(oauth(400, "invalid_scope", "no")).await;
    assert!(
        matches!(&error, PasswordError::Issuer(IssuerError::Refused { code, .. }) if code == "invalid_scope")
    );
    for gone in [page(502, ""), page(503, "x"), page(200, "<html>"), Answer::Hangup] {
        let PasswordError::Issuer(error) = answered(gone).await else { panic!() };
        assert!(passing(&error).is_some(), "{error:?}");
    }
}

#[tokio::test]
async fn r35_no_error_has_a_word_of_an_issuer_that_repeats_the_password() {
    let echoes = [PASSWORD.to_owned(), "correct horse".into(), format!("no {PASSWORD}"), {
        PASSWORD.chars().rev().collect()
    }];
    for echo in echoes {
        for (status, code) in [
            (400, "invalid_grant"),
            (400, "invalid_request"),
            (401, "invalid_client"),
            (403, "who_knows"),
            (500, "server_error"),
            (503, "temporarily_unavailable"),
            (400, echo.as_str()),
        ] {
            let error = answered(oauth(status, code, &echo)).await;
            let text = format!("{error} {error:?}").to_lowercase();
            for part in ["horse", "canary", "esroh", "yranac"] {
                assert!(!text.contains(part), "{code}: {text}");
            }
        }
    }
}

#[tokio::test]
async fn tokens_that_nobody_will_hold_are_revoked() {
    let mock = Mock::start().await;
    let reply = json!({ "access_token": "at", "id_token": "not.a.jwt", "refresh_token": "new" });
    mock.on(ENDPOINT, [json_reply(200, reply)]);
    mock.on("POST /revoke", [page(200, "")]);
    let error = sign_in(&mock, &basic()).await.unwrap_err();
    assert!(matches!(error, PasswordError::Issuer(_)), "{error:?}");
    let revoked = mock.seen("POST /revoke");
    let revoked = revoked.iter().filter_map(|one| one.field("token"));
    assert_eq!(revoked.collect::<Vec<_>>(), ["new", "at"]);
}

#[tokio::test]
async fn an_audience_that_cannot_be_asked_for_costs_no_password() {
    let mock = Mock::start().await;
    mock.without_dialect();
    let (none, plain) = (scopes(""), AudienceSet::parse(["dcache"]).unwrap());
    let sign_in = PasswordSignIn {
        user_name: "alice",
        password: secret(PASSWORD),
        scopes: &none,
        audiences: &plain,
    };
    let error = client().sign_in_with_password(&mock.profile(), &basic(), sign_in).await;
    assert!(matches!(error, Err(PasswordError::Issuer(IssuerError::Refused { .. }))));
    assert!(mock.seen(ENDPOINT).is_empty());
}
