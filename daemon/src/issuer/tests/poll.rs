//! The answers to a poll of the token endpoint (RFC 8628 §3.5), each as what it means.

use serde_json::json;

use super::{
    DEVICE_CODE, audiences, basic, client,
    mock::{Answer, Mock, json_reply, oauth, page},
    passing, poll, secret,
};
use crate::account::ports::{IssuerError, Issuers as _, PollAnswer};

const ENDPOINT: &str = "POST /token";

async fn answered(answer: Answer) -> PollAnswer {
    let mock = Mock::start().await;
    mock.on(ENDPOINT, [answer]);
    poll(&mock).await
}

#[tokio::test]
async fn r02_authorization_pending_is_told_whatever_the_status() {
    let echo = format!("Authorization pending for code: {DEVICE_CODE}");
    // 200 is one big provider's.
    for status in [400, 401, 428, 200] {
        let answer = answered(oauth(status, "authorization_pending", &echo)).await;
        assert!(matches!(answer, PollAnswer::Pending), "{status}: {answer:?}");
    }
}

#[tokio::test]
async fn r03_slow_down_is_told() {
    let answer = answered(oauth(400, "slow_down", "")).await;
    assert!(matches!(answer, PollAnswer::SlowDown), "{answer:?}");
}

#[tokio::test]
async fn r04_a_denial_is_told_from_an_expiry() {
    let answer = answered(oauth(400, "access_denied", "")).await;
    assert!(matches!(answer, PollAnswer::Denied), "{answer:?}");
    let answer = answered(oauth(400, "expired_token", "")).await;
    assert!(matches!(answer, PollAnswer::Expired), "{answer:?}");
    // After INDIGO IAM's clean-up of expired codes.
    let gone = format!("Invalid device code: {DEVICE_CODE}");
    let answer = answered(oauth(400, "invalid_grant", &gone)).await;
    assert!(matches!(answer, PollAnswer::Expired), "{answer:?}");
}

#[tokio::test]
async fn r05_an_unknown_error_ends_the_login_and_keeps_its_code() {
    for (status, code) in [(400, "purple_error"), (401, "JwtToken"), (400, "invalid_scope")] {
        let answer = answered(oauth(status, code, "why not")).await;
        let PollAnswer::Failed(IssuerError::Refused { code: kept, text }) = answer else {
            panic!("{answer:?}")
        };
        assert_eq!(kept, code);
        assert!(text.contains(code) && text.contains("why not"), "{text}");
    }
    let answer = answered(json_reply(400, json!({ "error": "Something with\u{7} spaces" }))).await;
    let PollAnswer::Failed(IssuerError::Refused { code, text }) = answer else {
        panic!("{answer:?}")
    };
    assert_eq!(
        (code.as_str(), text.as_str()),
        ("http_400", "Test IAM: Something with spaces (400)")
    );
}

#[tokio::test]
async fn r06_failures_that_may_pass_do_not_end_the_login() {
    for (answer, acted_on) in [
        (page(500, ""), true),
        (page(502, "<html>Bad Gateway</html>"), true),
        (page(503, ""), false),
        (page(429, ""), false),
        (page(403, "<html>blocked</html>"), false),
        (page(404, ""), false),
        (page(200, "<html>Maintenance</html>"), true),
        (oauth(400, "temporarily_unavailable", ""), false),
        (Answer::Hangup, true),
    ] {
        let answer = answered(answer).await;
        let PollAnswer::Transient { error } = answer else { panic!("{answer:?}") };
        assert_eq!(passing(&error), Some(acted_on), "{error:?}");
    }
}

#[tokio::test]
async fn r06_an_issuer_that_cannot_be_discovered_now_does_not_end_the_login() {
    let mock = Mock::start().await;
    mock.on(super::mock::OPENID, [page(500, "")]);
    let answer = poll(&mock).await;
    assert!(matches!(answer, PollAnswer::Transient { .. }), "{answer:?}");
}

#[tokio::test]
async fn r08_a_redeem_whose_answer_is_lost_is_not_repeated() {
    let mock = Mock::start().await;
    mock.on(ENDPOINT, [Answer::Hangup]);
    let answer = poll(&mock).await;
    let PollAnswer::Transient { error } = answer else { panic!("{answer:?}") };
    assert_eq!(passing(&error), Some(true));
    assert_eq!(mock.seen(ENDPOINT).len(), 1);
}

#[tokio::test]
async fn tokens_that_nobody_will_hold_are_revoked_and_the_failure_stays_the_same() {
    let (new, at) = (("new", "refresh_token"), ("at", "access_token"));
    for (reply, ended) in [
        (
            json!({ "access_token": "at", "token_type": "DPoP", "refresh_token": "new" }),
            &[new, at][..],
        ),
        (json!({ "access_token": 7, "refresh_token": "new" }), &[new]),
        (json!({ "refresh_token": "new" }), &[new]),
        (
            json!({ "access_token": "at", "id_token": "not.a.jwt", "refresh_token": "new" }),
            &[new, at],
        ),
        (json!({ "access_token": "at", "token_type": "DPoP" }), &[at]),
    ] {
        for revoked in [page(200, ""), page(503, "")] {
            let mock = Mock::start().await;
            mock.on(ENDPOINT, [json_reply(200, reply.clone())]);
            mock.on("POST /revoke", [revoked]);
            let answer = poll(&mock).await;
            assert!(matches!(answer, PollAnswer::Failed(_)), "{reply}: {answer:?}");
            let seen = mock.seen("POST /revoke");
            let seen = seen.iter().map(|one| (one.field("token"), one.field("token_type_hint")));
            let ended = ended
                .iter()
                .map(|(token, hint)| (Some((*token).to_owned()), Some((*hint).to_owned())));
            assert!(seen.eq(ended), "{reply}: {:?}", mock.seen("POST /revoke"));
        }
    }
    // Still to come, or kept.
    for reply in [
        json!({ "error": "authorization_pending", "refresh_token": "new" }),
        json!({ "access_token": "at", "refresh_token": "new" }),
    ] {
        let mock = Mock::start().await;
        mock.on(ENDPOINT, [json_reply(200, reply.clone())]);
        poll(&mock).await;
        assert!(mock.seen("POST /revoke").is_empty(), "{reply}");
    }
}

#[tokio::test]
async fn r30_a_rejected_client_and_a_user_who_has_to_act_are_told_apart() {
    for (status, code, description) in [
        (401, "unauthorized", "Bad credentials"),
        (401, "invalid_client", "Client is suspended: client$1"),
        (400, "unauthorized_client", ""),
    ] {
        let answer = answered(oauth(status, code, description)).await;
        let rejected = matches!(answer, PollAnswer::Failed(IssuerError::ClientRejected { .. }));
        assert!(rejected, "{answer:?}");
    }
    let aup = "User alice needs to sign AUP for this organization in order to proceed.";
    let answer = answered(oauth(400, "invalid_grant", aup)).await;
    let PollAnswer::Failed(IssuerError::ActionNeeded { text }) = answer else {
        panic!("{answer:?}")
    };
    assert!(text.contains(aup), "{text}");
}

#[tokio::test]
async fn r32_basic_credentials_are_form_encoded_and_the_audience_goes_to_the_token_endpoint() {
    let mock = Mock::start().await;
    mock.on(ENDPOINT, [oauth(400, "authorization_pending", "")]);
    let mut client_record = basic();
    client_record.client_id = "client$1:a b".into();
    client_record.client_secret = Some(secret("p%+&ä"));
    let se = audiences("https://se.example:1094");
    let code = secret(DEVICE_CODE);
    let profile = mock.profile();
    client().poll_device(&profile, &client_record, &code, &se).await;
    let sent = mock.seen(ENDPOINT).pop().unwrap();
    use base64::{Engine as _, prelude::BASE64_STANDARD};
    let pair = BASE64_STANDARD.encode("client%241%3Aa+b:p%25%2B%26%C3%A4");
    assert_eq!(sent.headers["authorization"], format!("Basic {pair}"));
    assert_eq!(sent.field("grant_type").unwrap(), "urn:ietf:params:oauth:grant-type:device_code");
    assert_eq!(sent.field("device_code").unwrap(), DEVICE_CODE);
    assert_eq!(sent.all("audience"), ["https://se.example:1094"]);
    assert_eq!((sent.field("client_id"), sent.field("client_secret")), (None, None));
}
