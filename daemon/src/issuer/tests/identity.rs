//! ID tokens: who signed in is believed only when everything about it is right.

use serde_json::{Value, json};

use super::{
    DEVICE_CODE, NOW, basic, client,
    mock::{Mock, json_reply, page},
    pki::{self, Signer},
    poll, secret,
};
use crate::account::{
    AudienceSet,
    ports::{Identity, IssuerError, Issuers as _, PollAnswer},
};

const KEYS: &str = "GET /jwk";

struct Case {
    mock: Mock,
    signer: Signer,
}

impl Case {
    async fn new() -> Self {
        let (mock, signer) = (Mock::start().await, Signer::new("k1"));
        mock.on(KEYS, [json_reply(200, signer.keys())]);
        Self { mock, signer }
    }

    /// Good claims, with changes; null removes.
    fn claims(&self, changes: Value) -> Value {
        let mut claims = json!({
            "iss": self.mock.url, "sub": "4711", "aud": "client$1", "exp": NOW.0 + 600,
            "preferred_username": "alice",
        });
        let object = claims.as_object_mut().unwrap();
        for (key, value) in changes.as_object().unwrap() {
            if value.is_null() {
                object.remove(key)
            } else {
                object.insert(key.clone(), value.clone())
            };
        }
        claims
    }

    fn gives(&self, id_token: &str) {
        let reply = json!({ "access_token": "at", "refresh_token": "rt", "id_token": id_token });
        self.mock.on("POST /token", [json_reply(200, reply)]);
        self.mock.on("POST /revoke", [page(200, "")]);
    }

    async fn identity(&self, changes: Value) -> Result<Option<Identity>, String> {
        self.gives(&self.signer.sign(&self.claims(changes)));
        self.poll().await
    }

    async fn poll(&self) -> Result<Option<Identity>, String> {
        match poll(&self.mock).await {
            PollAnswer::Tokens(tokens) => Ok(tokens.identity),
            PollAnswer::Failed(IssuerError::Malformed { text }) => Err(text),
            other => panic!("{other:?}"),
        }
    }
}

fn alice() -> Option<Identity> {
    Some(Identity { sub: "4711".into(), name: Some("alice".into()), proof: None, verified: true })
}

#[tokio::test]
async fn who_signed_in_comes_from_an_id_token_that_was_checked() {
    let case = Case::new().await;
    assert_eq!(case.identity(json!({})).await.unwrap(), alice());
    // INDIGO IAM's tokens may lack the slash its metadata has.
    let plain = case.mock.url.trim_end_matches('/').to_owned();
    assert_eq!(case.identity(json!({ "iss": plain })).await.unwrap(), alice());
    assert_eq!(case.identity(json!({ "aud": ["x", "client$1"] })).await.unwrap(), alice());
    // Two minutes of difference between clocks are nothing.
    assert_eq!(case.identity(json!({ "exp": NOW.0 - 119 })).await.unwrap(), alice());
    let odd = json!({ "preferred_username": null, "name": "Al\u{1b}[31mice\u{202e} A.\n" });
    assert_eq!(case.identity(odd).await.unwrap().unwrap().name.as_deref(), Some("Al[31mice A."));
    case.mock.on("POST /token", [json_reply(200, json!({ "access_token": "at" }))]);
    assert_eq!(case.poll().await.unwrap(), None, "no ID token, no identity");
}

#[tokio::test]
async fn an_id_token_of_another_issuer_for_another_client_or_too_old_is_refused() {
    let case = Case::new().await;
    for (changes, why) in [
        (json!({ "iss": "https://evil.example/" }), "(iss)"),
        (json!({ "iss": null }), "(iss)"),
        (json!({ "aud": "client2" }), "(aud)"),
        (json!({ "aud": [] }), "(aud)"),
        (json!({ "aud": null }), "(aud)"),
        (json!({ "aud": ["client$1", "x"], "azp": "x" }), "(azp)"),
        (json!({ "exp": NOW.0 - 121 }), "(exp)"),
        (json!({ "exp": null }), "(exp)"),
        (json!({ "sub": null }), "(sub)"),
        (json!({ "sub": "" }), "(sub)"),
        (json!({ "sub": "a\u{1b}b" }), "(sub)"),
        (json!({ "sub": "x".repeat(256) }), "(sub)"),
    ] {
        let text = case.identity(changes.clone()).await.unwrap_err();
        assert!(text.contains(why), "{changes}: {text}");
    }
}

#[tokio::test]
async fn a_signature_that_is_not_the_issuers_is_refused() {
    let case = Case::new().await;
    let claims = case.claims(json!({}));
    let other = Signer::new("k1");
    let hmac = {
        let header = jsonwebtoken::Header::new(jsonwebtoken::Algorithm::HS256);
        let key = jsonwebtoken::EncodingKey::from_secret(case.signer.keys().to_string().as_bytes());
        jsonwebtoken::encode(&header, &claims, &key).unwrap()
    };
    let good = case.signer.sign(&claims);
    let swapped = {
        let payload = pki::unsigned(&json!({}), &case.claims(json!({ "sub": "root" })));
        let parts: Vec<&str> = good.split('.').collect();
        let payload = payload.split('.').nth(1).unwrap().to_owned();
        format!("{}.{payload}.{}", parts[0], parts[2])
    };
    for bad in [
        other.sign(&claims),
        swapped,
        hmac,
        pki::unsigned(&json!({ "alg": "none" }), &claims),
        "not a token".to_owned(),
        "a.b.c".to_owned(),
        "a.b.c.d.e".to_owned(),
    ] {
        case.gives(&bad);
        case.poll().await.unwrap_err();
    }
}

#[tokio::test]
async fn a_key_that_is_not_known_yet_is_fetched_but_not_at_every_turn() {
    let case = Case::new().await;
    let old = Signer::new("k0");
    case.mock.on(KEYS, [json_reply(200, old.keys()), json_reply(200, case.signer.keys())]);
    let clock = super::TestClock::new();
    let client = crate::issuer::IssuerClient::new(clock.clone(), super::limits());
    let poll = async |token: String| {
        case.gives(&token);
        let none = AudienceSet::default();
        let (profile, code) = (case.mock.profile(), secret(DEVICE_CODE));
        client.poll_device(&profile, &basic(), &code, &none).await
    };
    let claims = case.claims(json!({}));
    assert!(matches!(poll(old.sign(&claims)).await, PollAnswer::Tokens(_)));
    // Within the minute there is no second look.
    assert!(matches!(poll(case.signer.sign(&claims)).await, PollAnswer::Failed(_)));
    assert_eq!(case.mock.seen(KEYS).len(), 1);
    clock.pass(std::time::Duration::from_secs(61));
    assert!(matches!(poll(case.signer.sign(&claims)).await, PollAnswer::Tokens(_)));
    assert!(matches!(poll(case.signer.sign(&claims)).await, PollAnswer::Tokens(_)));
    assert_eq!(case.mock.seen(KEYS).len(), 2);
}

/// Whom a token names that nobody vouches for.
fn somebody(sub: &str) -> Option<Identity> {
    Some(Identity { sub: sub.into(), ..Identity::default() })
}

#[tokio::test]
async fn without_the_key_set_nobody_is_taken_for_who_an_id_token_says_and_the_sign_in_is_kept() {
    let case = Case::new().await;
    let unknown = Signer::new("k9");
    for broken in [page(500, ""), page(404, ""), page(200, "<html>")] {
        case.mock.on(KEYS, [broken]);
        case.gives(&unknown.sign(&case.claims(json!({}))));
        assert_eq!(case.poll().await.unwrap(), somebody("4711"));
        // What is wrong with it all the same is seen.
        case.gives(&unknown.sign(&case.claims(json!({ "aud": "x" }))));
        case.poll().await.unwrap_err();
        case.gives(&pki::unsigned(&json!({ "alg": "none" }), &case.claims(json!({}))));
        case.poll().await.unwrap_err();
    }
    case.mock.discover_as(json!({ "jwks_uri": null }));
    case.gives(&unknown.sign(&case.claims(json!({}))));
    assert_eq!(case.poll().await.unwrap(), somebody("4711"));
}

#[tokio::test]
async fn a_new_key_that_cannot_be_fetched_vouches_for_nobody_and_costs_no_sign_in() {
    let case = Case::new().await;
    let old = Signer::new("k0");
    case.mock.on(KEYS, [json_reply(200, old.keys()), page(503, "")]);
    let clock = super::TestClock::new();
    let client = crate::issuer::IssuerClient::new(clock.clone(), super::limits());
    let poll = async |token: String| {
        case.gives(&token);
        let none = AudienceSet::default();
        let (profile, code) = (case.mock.profile(), secret(DEVICE_CODE));
        match client.poll_device(&profile, &basic(), &code, &none).await {
            PollAnswer::Tokens(tokens) => tokens.identity,
            other => panic!("{other:?}"),
        }
    };
    let claims = case.claims(json!({}));
    assert_eq!(poll(old.sign(&claims)).await, alice());
    clock.pass(std::time::Duration::from_secs(61));
    assert_eq!(poll(case.signer.sign(&claims)).await, somebody("4711"));
}

#[tokio::test]
async fn an_id_token_in_a_refresh_costs_nobody_a_rotated_refresh_token() {
    let case = Case::new().await;
    case.gives("nonsense");
    let wanted = Default::default();
    let tokens =
        client().refresh(&case.mock.profile(), &basic(), 1001, &secret("old"), &wanted).await;
    let tokens = tokens.unwrap();
    assert!(tokens.refresh_token.is_some() && tokens.identity.is_none());
}

#[tokio::test]
async fn at_a_refresh_keys_are_asked_for_before_it_begins_and_never_while_its_answer_is_not_kept() {
    let case = Case::new().await;
    let client = client();
    let refresh = async || {
        let (wanted, profile) = (Default::default(), case.mock.profile());
        client.refresh(&profile, &basic(), 1001, &secret("old"), &wanted).await.unwrap().identity
    };
    case.gives(&case.signer.sign(&case.claims(json!({}))));
    assert_eq!(refresh().await, somebody("4711"), "no key is at hand");
    assert!(case.mock.seen(KEYS).is_empty());
    client.fetch_keys(&case.mock.profile()).await;
    assert_eq!(refresh().await, alice());
    case.gives(&Signer::new("k1").sign(&case.claims(json!({ "sub": "4712" }))));
    assert_eq!(refresh().await, None, "somebody else's signature says nothing of anybody");
    client.fetch_keys(&case.mock.profile()).await;
    assert_eq!(case.mock.seen(KEYS).len(), 1);
}

#[tokio::test]
async fn a_key_set_that_fails_again_and_again_is_left_alone_and_the_issuer_is_not() {
    let case = Case::new().await;
    case.mock.on(KEYS, [page(503, "")]);
    let client = client();
    for _ in 0..10 {
        client.fetch_keys(&case.mock.profile()).await;
    }
    let asked = case.mock.seen(KEYS).len();
    assert!((1..=5).contains(&asked), "{asked}");
    case.gives(&case.signer.sign(&case.claims(json!({}))));
    let wanted = Default::default();
    client.refresh(&case.mock.profile(), &basic(), 1001, &secret("old"), &wanted).await.unwrap();
}

#[tokio::test]
async fn an_id_token_with_a_nonce_that_we_did_not_send_is_refused_where_we_asked_for_it() {
    let case = Case::new().await;
    for odd in [json!("n-0S6_WzA2Mj"), json!(""), json!(7)] {
        let text = case.identity(json!({ "nonce": odd })).await.unwrap_err();
        assert!(text.contains("made for another request than ours (nonce)"), "{text}");
        let error = IssuerError::Malformed { text };
        super::texts::shows(
            &case.mock,
            "an ID token carries a nonce that iamd did not send",
            error,
        );
        let revoked = case.mock.seen("POST /revoke");
        let [.., refresh, access] = &revoked[..] else { panic!("{revoked:?}") };
        assert_eq!([refresh.field("token").unwrap(), access.field("token").unwrap()], ["rt", "at"]);
        // With a refresh comes that of the first sign-in, which another program may have begun.
        let (wanted, profile) = (Default::default(), case.mock.profile());
        let client = client();
        client.fetch_keys(&profile).await;
        let handed = client.refresh_handed(&profile, &basic(), &secret("old"), &wanted).await;
        assert_eq!(handed.unwrap().identity, alice());
        let renewed = client.refresh(&profile, &basic(), 1001, &secret("old"), &wanted).await;
        assert_eq!(renewed.unwrap().identity, alice());
    }
}
