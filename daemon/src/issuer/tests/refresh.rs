//! Refreshes: what is sent, and what each reply means (RFC 6749 §6).

use std::time::Duration;

use secrecy::ExposeSecret as _;
use serde_json::{Value, json};

use super::{
    NOW, REFRESH_TOKEN, audiences, basic, client,
    mock::{Answer, Mock, Request, json_reply, oauth, page},
    passing, pki, record, scopes, secret,
};
use crate::account::{
    ClientAuth, UnixTime,
    ports::{IssuerError, Issuers as _, RefreshError, RefreshFailure, Tokens, Wanted},
};

const ENDPOINT: &str = "POST /token";

async fn refresh(mock: &Mock, wanted: &Wanted) -> Result<Tokens, RefreshError> {
    let token = secret(REFRESH_TOKEN);
    let answer = client().refresh(&mock.profile(), &basic(), 1001, &token, wanted).await;
    answer.map_err(|failure| failure.error)
}

async fn failed(answer: Answer) -> RefreshFailure {
    let mock = Mock::start().await;
    mock.on(ENDPOINT, [answer]);
    let (token, wanted) = (secret(REFRESH_TOKEN), Wanted::default());
    client().refresh(&mock.profile(), &basic(), 1001, &token, &wanted).await.unwrap_err()
}

async fn answered(answer: Answer) -> Result<Tokens, RefreshError> {
    let mock = Mock::start().await;
    mock.on(ENDPOINT, [answer]);
    refresh(&mock, &Wanted::default()).await
}

async fn given(reply: Value) -> Result<Tokens, RefreshError> {
    answered(json_reply(200, reply)).await
}

async fn sent(mock: &Mock, wanted: &Wanted) -> Request {
    mock.on(ENDPOINT, [json_reply(200, json!({ "access_token": "at" }))]);
    refresh(mock, wanted).await.unwrap();
    mock.seen(ENDPOINT).pop().unwrap()
}

#[tokio::test]
async fn r25_a_refresh_token_is_given_where_a_new_one_came_and_none_means_keep() {
    let tokens = given(json!({ "access_token": "at", "refresh_token": "new" })).await.unwrap();
    assert_eq!(tokens.refresh_token.unwrap().expose_secret(), "new");
    for same in [json!(REFRESH_TOKEN), json!(null), json!("")] {
        let tokens = given(json!({ "access_token": "at", "refresh_token": same })).await.unwrap();
        assert!(tokens.refresh_token.is_none(), "{same}");
    }
}

#[tokio::test]
async fn r25_a_success_that_is_not_200_is_a_success_and_its_refresh_token_is_kept() {
    for status in [200, 201, 202] {
        let whole = json!({ "access_token": "at", "refresh_token": "new" });
        let tokens = answered(json_reply(status, whole)).await.unwrap();
        assert_eq!(tokens.refresh_token.unwrap().expose_secret(), "new", "{status}");
        let half = json!({ "token_type": "DPoP", "access_token": "at", "refresh_token": "new" });
        let failure = failed(json_reply(status, half)).await;
        assert_eq!(failure.rotated.unwrap().token.expose_secret(), "new", "{status}");
    }
}

#[tokio::test]
async fn r25_a_refresh_token_without_a_usable_access_token_comes_with_the_failure() {
    for reply in [
        json!({ "access_token": "at", "token_type": "DPoP" }),
        json!({ "access_token": "\u{e9}" }),
        json!({ "access_token": "" }),
        json!({ "access_token": 7 }),
        json!({ "access_token": "at", "id_token": {} }),
        json!({ "access_token": "x".repeat(64 * 1024 + 1) }),
        json!({ "access_token": null }),
        json!({}),
        json!({ "error": "server_error" }),
        json!({ "error": { "code": 7 } }),
    ] {
        let mut reply = reply;
        reply["refresh_token"] = json!("new");
        let failure = failed(json_reply(200, reply.clone())).await;
        assert!(matches!(failure.error, RefreshError::Issuer(_)), "{reply}: {failure:?}");
        let rotated = failure.rotated.unwrap();
        assert_eq!((rotated.token.expose_secret(), rotated.expires_at), ("new", None), "{reply}");
        reply["refresh_expires_in"] = json!("600");
        let rotated = failed(json_reply(200, reply)).await.rotated.unwrap();
        assert_eq!(rotated.expires_at, Some(UnixTime(NOW.0 + 600)));
    }
}

#[tokio::test]
async fn r25_a_refresh_token_may_have_spaces_and_comes_back_as_it_was() {
    let mock = Mock::start().await;
    mock.on(ENDPOINT, [json_reply(200, json!({ "access_token": "at", "refresh_token": "a b+c" }))]);
    let (profile, wanted) = (mock.profile(), Wanted::default());
    let first = secret(REFRESH_TOKEN);
    let tokens = client().refresh(&profile, &basic(), 1001, &first, &wanted).await.unwrap();
    let second = tokens.refresh_token.unwrap();
    client().refresh(&profile, &basic(), 1001, &second, &wanted).await.unwrap();
    let sent = mock.seen(ENDPOINT).pop().unwrap();
    assert_eq!(sent.field("refresh_token").as_deref(), Some("a b+c"));
}

#[tokio::test]
async fn r25_a_failure_without_a_new_refresh_token_brings_none() {
    let whole = json!({ "access_token": "", "refresh_token": "new" }).to_string();
    for answer in [
        json_reply(200, json!({ "access_token": "" })),
        json_reply(200, json!({ "access_token": "", "refresh_token": REFRESH_TOKEN })),
        json_reply(200, json!({ "access_token": "", "refresh_token": "\u{e9}" })),
        json_reply(200, json!({ "access_token": "", "refresh_token": ["new"] })),
        json_reply(400, json!({ "error": "invalid_grant", "refresh_token": "new" })),
        page(200, &whole[..whole.len() - 1]),
        page(200, "<html>"),
        Answer::Hangup,
    ] {
        let failure = failed(answer).await;
        assert!(failure.rotated.is_none(), "{failure:?}");
    }
}

#[tokio::test]
async fn r26_scopes_are_those_of_the_reply_and_absent_means_as_asked() {
    let tokens = given(json!({ "access_token": "at", "scope": "b a" })).await.unwrap();
    assert_eq!(tokens.scopes.unwrap().to_string(), "a b");
    let tokens = given(json!({ "access_token": "at", "scope": ["b", "a"] })).await.unwrap();
    assert_eq!(tokens.scopes.unwrap().to_string(), "a b");
    for absent in [json!(null), json!(""), json!(7)] {
        let tokens = given(json!({ "access_token": "at", "scope": absent })).await.unwrap();
        assert_eq!(tokens.scopes, None);
    }
}

#[tokio::test]
async fn r26_an_access_token_without_a_scope_claim_has_those_of_the_reply_or_as_asked() {
    let jwt = |claims: Value| pki::unsigned(&json!({ "alg": "RS256" }), &claims);
    for claims in [json!({ "sub": "1" }), json!({ "scope": "" }), json!({ "scope": "b" })] {
        let told = json!({ "access_token": jwt(claims.clone()), "scope": "b a" });
        assert_eq!(given(told).await.unwrap().scopes.unwrap().to_string(), "a b", "{claims}");
        let untold = json!({ "access_token": jwt(claims.clone()) });
        assert_eq!(given(untold).await.unwrap().scopes, None, "{claims}");
    }
}

#[tokio::test]
async fn r27_without_expires_in_the_token_itself_tells_or_it_is_five_minutes() {
    let s = Duration::from_secs;
    let jwt = pki::unsigned(&json!({ "alg": "RS256" }), &json!({ "exp": NOW.0 + 1234 }));
    let past = pki::unsigned(&json!({ "alg": "RS256" }), &json!({ "exp": NOW.0 - 5 }));
    for (reply, expires_in) in [
        (json!({ "access_token": "at", "expires_in": 60 }), s(60)),
        (json!({ "access_token": "at", "expires_in": "3599" }), s(3599)),
        (json!({ "access_token": "at", "expires_in": 59.9 }), s(59)),
        (json!({ "access_token": jwt }), s(1234)),
        (json!({ "access_token": jwt, "expires_in": "soon" }), s(1234)),
        (json!({ "access_token": past }), s(0)),
        // Whichever is earlier.
        (json!({ "access_token": jwt, "expires_in": 3600 }), s(1234)),
        (json!({ "access_token": jwt, "expires_in": 60 }), s(60)),
        (json!({ "access_token": past, "expires_in": 3600 }), s(0)),
        (json!({ "access_token": "opaque" }), s(300)),
        (json!({ "access_token": "a.b.c" }), s(300)),
        (json!({ "access_token": "at", "expires_in": u64::MAX }), s(10 * 365 * 24 * 3600)),
    ] {
        assert_eq!(given(reply.clone()).await.unwrap().expires_in, expires_in, "{reply}");
    }
}

#[tokio::test]
async fn r27_what_a_token_says_of_its_end_is_told_by_the_clock_of_its_issuer() {
    let s = Duration::from_secs;
    // NOW is 2027-01-15 08:00:00. A day behind, a day ahead, and a minute, which is nothing.
    for (date, exp, expires_in) in [
        ("Thu, 14 Jan 2027 08:00:00 GMT", NOW.0 - 86_400 + 600, s(600)),
        ("Sat, 16 Jan 2027 08:00:00 GMT", NOW.0 + 86_400 + 600, s(600)),
        ("Fri, 15 Jan 2027 08:01:00 GMT", NOW.0 + 600, s(600)),
    ] {
        let jwt = pki::unsigned(&json!({ "alg": "RS256" }), &json!({ "exp": exp }));
        let reply = json_reply(200, json!({ "access_token": jwt, "expires_in": 3600 }));
        let given = answered(reply.with("date", date)).await.unwrap();
        assert_eq!(given.expires_in, expires_in, "{date}");
    }
}

#[tokio::test]
async fn the_end_of_a_refresh_token_is_read_where_it_tells() {
    let exp = NOW.0 + 86_400;
    let iam = pki::unsigned(&json!({ "alg": "none" }), &json!({ "exp": exp, "jti": "x" }));
    let reply = json!({ "access_token": "at", "refresh_token": iam });
    assert_eq!(given(reply).await.unwrap().refresh_expires_at, Some(UnixTime(exp)));
    let signed = pki::unsigned(&json!({ "alg": "RS256" }), &json!({ "exp": exp }));
    let reply = json!({ "access_token": "at", "refresh_token": signed });
    assert_eq!(given(reply).await.unwrap().refresh_expires_at, None);
    let reply = json!({ "access_token": "at", "refresh_expires_in": 600 });
    assert_eq!(given(reply).await.unwrap().refresh_expires_at, Some(UnixTime(NOW.0 + 600)));
    let reply = json!({ "access_token": "at", "refresh_expires_in": 0 });
    assert_eq!(given(reply).await.unwrap().refresh_expires_at, None);
    // Kept by the issuer and not sent again: the one that was used still tells.
    let mock = Mock::start().await;
    mock.on(ENDPOINT, [json_reply(200, json!({ "access_token": "at" }))]);
    let wanted = Wanted::default();
    let tokens =
        client().refresh(&mock.profile(), &basic(), 1001, &secret(&iam), &wanted).await.unwrap();
    assert_eq!(tokens.refresh_expires_at, Some(UnixTime(exp)));
}

#[tokio::test]
async fn r29_errors_that_are_not_oauths_may_pass() {
    for (answer, acted_on) in [
        (json_reply(401, json!({ "error": "JwtToken" })), false),
        (json_reply(403, json!({ "message": "not valid yet" })), false),
        (json_reply(400, json!({ "error": { "code": 7, "message": "odd" } })), false),
        (json_reply(401, json!(["what"])), false),
        (page(401, ""), false),
        (page(404, "<html>gone</html>"), false),
        (page(500, ""), true),
        (oauth(500, "invalid_grant", "out of order"), true),
        (page(200, "<html>"), true),
        (page(200, ""), true),
        (page(302, ""), false),
        (Answer::Hangup, true),
    ] {
        let error = answered(answer).await.unwrap_err();
        let RefreshError::Issuer(error) = error else { panic!("{error:?}") };
        assert_eq!(passing(&error), Some(acted_on), "{error:?}");
    }
}

#[tokio::test]
async fn r30_only_invalid_grant_and_invalid_token_end_a_refresh_token() {
    for (status, code) in [
        (400, "invalid_grant"),
        (401, "invalid_token"),
        (401, "invalid_grant"),
        (400, "invalid_token"),
    ] {
        let echo = format!("Refresh token for value {REFRESH_TOKEN} was not found");
        let error = answered(oauth(status, code, &echo)).await.unwrap_err();
        let RefreshError::Dead { text } = error else { panic!("{error:?}") };
        let cleaned = "Test IAM: Refresh token for value [redacted] was not found";
        assert_eq!(text, format!("{cleaned} ({code})"));
    }
}

#[tokio::test]
async fn r30_a_rejected_client_is_not_a_dead_refresh_token() {
    for (status, code, description) in [
        (401, "unauthorized", "Bad credentials"),
        (401, "invalid_client", "Client is suspended: client$1"),
        (401, "invalid_client", ""),
        (400, "unauthorized_client", ""),
    ] {
        let error = answered(oauth(status, code, description)).await.unwrap_err();
        let rejected = matches!(error, RefreshError::Issuer(IssuerError::ClientRejected { .. }));
        assert!(rejected, "{error:?}");
    }
}

#[tokio::test]
async fn r30_a_user_who_has_to_act_keeps_the_refresh_token() {
    let aup = "User alice needs to sign AUP for this organization in order to proceed.";
    for (status, code, description) in
        [(400, "invalid_grant", aup), (401, "unauthorized", "User alice is not active.")]
    {
        let error = answered(oauth(status, code, description)).await.unwrap_err();
        let RefreshError::ActionNeeded { text } = error else { panic!("{error:?}") };
        assert!(text.contains(description), "{text}");
    }
}

#[tokio::test]
async fn scopes_and_audiences_that_are_not_to_be_had_are_told_apart() {
    let error = answered(oauth(400, "invalid_scope", "Up-scoping is not allowed.")).await;
    assert!(matches!(error, Err(RefreshError::Scope { .. })), "{error:?}");
    let error = answered(oauth(401, "invalid_target", "not originally granted")).await;
    assert!(matches!(error, Err(RefreshError::Audience { .. })), "{error:?}");
    let error = answered(oauth(400, "invalid_request", "")).await;
    let refused = matches!(&error, Err(RefreshError::Issuer(IssuerError::Refused { code, .. })) if code == "invalid_request");
    assert!(refused, "{error:?}");
}

#[tokio::test]
async fn r33_scope_is_left_out_unless_narrowed_and_offline_access_is_never_asked_again() {
    let mock = Mock::start().await;
    let plain = sent(&mock, &Wanted::default()).await;
    assert_eq!(plain.field("grant_type").as_deref(), Some("refresh_token"));
    assert_eq!(plain.field("refresh_token").as_deref(), Some(REFRESH_TOKEN));
    assert_eq!((plain.field("scope"), plain.field("audience")), (None, None));
    let narrowed = Wanted {
        scopes: Some(scopes("offline_access storage.read:/atlas")),
        audiences: audiences("https://se2 https://se1"),
    };
    let narrow = sent(&mock, &narrowed).await;
    assert_eq!(narrow.all("scope"), ["storage.read:/atlas"]);
    assert_eq!(narrow.all("audience"), ["https://se1 https://se2"]);
    // Left out, it would ask for all.
    let nothing = Wanted { scopes: Some(scopes("offline_access")), ..Wanted::default() };
    let error = refresh(&mock, &nothing).await;
    assert!(matches!(error, Err(RefreshError::Scope { .. })), "{error:?}");
    mock.without_dialect();
    let narrow = sent(&mock, &narrowed).await;
    assert_eq!(narrow.all("resource"), ["https://se1", "https://se2"]);
    let plain = Wanted { audiences: audiences("dcache"), ..Wanted::default() };
    let error = refresh(&mock, &plain).await;
    assert!(matches!(error, Err(RefreshError::Audience { .. })), "{error:?}");
}

#[tokio::test]
async fn each_way_of_client_authentication_sends_the_secret_once() {
    let mock = Mock::start().await;
    mock.on(ENDPOINT, [json_reply(200, json!({ "access_token": "at" }))]);
    let token = secret(REFRESH_TOKEN);
    for (auth, header, id, in_body) in [
        (ClientAuth::ClientSecretBasic, true, false, false),
        (ClientAuth::ClientSecretPost, false, true, true),
        (ClientAuth::None, false, true, false),
    ] {
        let client_record = record(auth);
        let wanted = Wanted::default();
        client().refresh(&mock.profile(), &client_record, 1001, &token, &wanted).await.unwrap();
        let sent = mock.seen(ENDPOINT).pop().unwrap();
        assert_eq!(sent.headers.contains_key("authorization"), header, "{auth:?}");
        assert_eq!(sent.field("client_id").is_some(), id, "{auth:?}");
        assert_eq!(sent.field("client_secret").is_some(), in_body, "{auth:?}");
    }
}

#[tokio::test]
async fn a_token_reply_that_breaks_the_protocol_is_refused() {
    for reply in [
        json!({ "access_token": "" }),
        json!({ "access_token": "a\nb" }),
        json!({ "access_token": "\u{1b}[2J" }),
        json!({ "access_token": 7 }),
        json!({ "access_token": "at", "token_type": "DPoP" }),
        json!({ "access_token": "x".repeat(64 * 1024 + 1) }),
    ] {
        let error = given(reply.clone()).await.unwrap_err();
        let malformed = matches!(error, RefreshError::Issuer(IssuerError::Malformed { .. }));
        assert!(malformed, "{reply}: {error:?}");
    }
    let tokens = given(json!({ "access_token": "x".repeat(4500), "token_type": "bearer" })).await;
    assert_eq!(tokens.unwrap().access_token.expose_secret().len(), 4500);
}
