//! Tokens, device codes and identities that are refused, or that cannot be used.

use super::*;
use crate::issuer::tests::{
    NOW,
    pki::{Signer, unsigned},
};

#[tokio::test]
async fn a_renewal_is_refused() {
    let mock = Mock::start().await;
    let all = Wanted::default();
    let aup = "User alice needs to sign AUP for this organization in order to proceed.";
    for (when, answer) in [
        (
            "the refresh token has ended or was revoked",
            oauth(400, "invalid_grant", "Invalid refresh token"),
        ),
        ("the user has something to do at the issuer", oauth(400, "invalid_grant", aup)),
        ("the issuer suspended the user", oauth(401, "unauthorized", "User alice is not active.")),
        (
            "the issuer refuses the client of a sign-in",
            oauth(401, "invalid_client", "Bad credentials"),
        ),
        (
            "the issuer does not give a scope",
            oauth(400, "invalid_scope", "Scope storage.modify:/ not allowed"),
        ),
        (
            "the issuer does not give an audience",
            oauth(400, "invalid_target", "Audience not allowed"),
        ),
        (
            "the issuer refuses for another reason",
            oauth(400, "invalid_request", "Missing parameter"),
        ),
        ("an error without a word of explanation", oauth(400, "invalid_request", "")),
        ("the issuer is overloaded", page(503, "").with("retry-after", "60")),
        ("a page where the issuer's answer should be", page(502, "<html>Bad Gateway</html>")),
        ("an error that is not OAuth's", json_reply(418, json!({ "detail": "I am a teapot" }))),
        ("an error without anything in it", json_reply(418, json!({}))),
        (
            "the issuer sends the request elsewhere",
            page(302, "").with("location", "https://elsewhere.test/"),
        ),
    ] {
        mock.on("POST /token", [answer]);
        shows(&mock, when, refreshed(&mock, &all).await);
    }
}

#[tokio::test]
async fn the_request_is_none() {
    let mock = Mock::start().await;
    let none =
        Wanted { scopes: Some(ScopeSet::parse(["offline_access"]).unwrap()), ..Wanted::default() };
    shows(
        &mock,
        "nothing is left of the scopes that a token is asked for",
        refreshed(&mock, &none).await,
    );
    let profile = IssuerProfile {
        audience_parameter: Some(crate::account::AudienceParameter::Resource),
        ..mock.profile()
    };
    let wanted = Wanted { audiences: audiences("storage"), ..Wanted::default() };
    let token = secret(REFRESH_TOKEN);
    let answer = client().refresh(&profile, &basic(), 1001, &token, &wanted).await;
    let error = crate::token::TokenError::from(answer.unwrap_err().error);
    shows(&mock, "an audience that is no URI, where the issuer wants URIs", error);
    let (client, ours) = (client(), basic());
    let codes = client.authorize_device(&profile, &ours, 1001, &profile.scopes, &wanted.audiences);
    shows(&mock, "the same at a login", codes.await.unwrap_err());
}

#[tokio::test]
async fn the_answer_is_no_token() {
    let mock = Mock::start().await;
    let all = Wanted::default();
    for (when, reply) in [
        (
            "a token of a type that is not Bearer",
            json!({ "access_token": "at", "token_type": "DPoP" }),
        ),
        ("an access token that no header can carry", json!({ "access_token": "\u{e9}" })),
        ("a token reply of another shape", json!({ "access_token": 7 })),
    ] {
        mock.on("POST /token", [json_reply(200, reply)]);
        shows(&mock, when, refreshed(&mock, &all).await);
    }
    mock.on("POST /token", [page(200, &"x".repeat(1024 * 1024 + 1))]);
    shows(&mock, "an answer without end", refreshed(&mock, &all).await);
}

#[tokio::test]
async fn a_login_is_refused_at_once_or_its_code_cannot_be_shown() {
    let mock = Mock::start().await;
    let code = |changes: Value| {
        let mut reply = json!({
            "device_code": "dc", "user_code": "AB12CD", "verification_uri": "https://issuer.test/device",
        });
        reply.as_object_mut().unwrap().extend(changes.as_object().unwrap().clone());
        reply.as_object_mut().unwrap().retain(|_, value| !value.is_null());
        json_reply(200, reply)
    };
    for (when, answer) in [
        ("the issuer does not know the client", page(404, "")),
        (
            "the issuer has no device login where it should be",
            json_reply(405, json!({ "error": "Method Not Allowed" })),
        ),
        ("an answer without a device code", code(json!({ "device_code": null }))),
        ("an answer without a code for the user", code(json!({ "user_code": null }))),
        ("a code that would mislead on a terminal", code(json!({ "user_code": "\u{1b}[2J" }))),
        ("an answer without an address for the user", code(json!({ "verification_uri": null }))),
        (
            "an address that would mislead on a terminal",
            code(json!({ "verification_uri": "http://issuer.test/\u{202e}" })),
        ),
    ] {
        mock.on("POST /devicecode", [answer]);
        shows(&mock, when, asked(&mock).await);
    }
    let aup = "User alice needs to sign AUP for this organization in order to proceed.";
    mock.on("POST /token", [oauth(400, "invalid_grant", aup)]);
    shows(
        &mock,
        "the user approved, and has something to do at the issuer first",
        polled(&mock).await,
    );
    mock.on("POST /token", [oauth(400, "unsupported_grant_type", "Not for you")]);
    shows(&mock, "the issuer refuses while a login waits", polled(&mock).await);
}

#[tokio::test]
async fn an_id_token_is_not_believed() {
    let (mock, signer) = (Mock::start().await, Signer::new("k1"));
    mock.on("GET /jwk", [json_reply(200, signer.keys())]);
    let claims = |changes: Value| {
        let mut claims = json!({
            "iss": mock.url, "sub": "4711", "aud": "client$1", "exp": NOW.0 + 600,
        });
        claims.as_object_mut().unwrap().extend(changes.as_object().unwrap().clone());
        claims
    };
    let signed = |changes: Value| signer.sign(&claims(changes));
    let stranger = Signer::new("k1").sign(&claims(json!({})));
    let hmac = unsigned(&json!({ "alg": "HS256", "kid": "k1" }), &claims(json!({})));
    let odd = unsigned(&json!({ "alg": "XS999" }), &claims(json!({})));
    for (when, id_token) in [
        ("an ID token that is no JWT", "opaque".to_owned()),
        ("an ID token of a stranger", stranger),
        ("an ID token signed with a shared secret", hmac),
        ("an ID token signed in an unknown way", odd),
        ("an ID token without claims", signer.sign(&json!(7))),
        ("an ID token of another issuer", signed(json!({ "iss": "https://evil.test/" }))),
        ("an ID token for another client", signed(json!({ "aud": "other" }))),
        (
            "an ID token given to another client",
            signed(json!({ "aud": ["client$1", "b"], "azp": "b" })),
        ),
        ("an ID token that has expired", signed(json!({ "exp": NOW.0 - 600 }))),
        ("an ID token about nobody", signed(json!({ "sub": "" }))),
    ] {
        let reply = json!({ "access_token": "at", "refresh_token": "rt", "id_token": id_token });
        mock.on("POST /token", [json_reply(200, reply)]);
        shows(&mock, when, polled(&mock).await);
    }
}
