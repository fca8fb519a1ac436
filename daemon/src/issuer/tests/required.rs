//! Where a site requires a claim: what is believed of an ID token, what is asked of the userinfo
//! endpoint, and what is refused.

use serde_json::{Value, json};

use super::{
    DEVICE_CODE, NOW, basic, client,
    mock::{Answer, Mock, json_reply, page},
    pki::{self, Signer},
    secret,
    texts::shows,
};
use crate::account::{
    AudienceSet, ClaimValues, IdentityRule, IssuerProfile, ScopeSet,
    identity_rule::Expect,
    ports::{
        Identity, IssuerError, Issuers as _, PasswordError, PasswordGrants as _, PasswordSignIn,
        PollAnswer, RefreshError, RefreshFailure, Rotated,
    },
};

const KEYS: &str = "GET /jwk";
const INFO: &str = "GET /userinfo";

struct Case {
    mock: Mock,
    signer: Signer,
}

impl Case {
    async fn new() -> Self {
        let (mock, signer) = (Mock::start().await, Signer::new("k1"));
        mock.on(KEYS, [json_reply(200, signer.keys())]);
        let userinfo = format!("{}userinfo", mock.url);
        mock.discover_as(json!({ "userinfo_endpoint": userinfo }));
        Self { mock, signer }
    }

    /// The last two tokens that were revoked.
    fn last_revoked(&self) -> [String; 2] {
        let revoked = self.mock.seen("POST /revoke");
        let [.., one, other] = &revoked[..] else { panic!("{revoked:?}") };
        [one, other].map(|it| it.field("token").unwrap())
    }

    /// As the site writes it: `preferred_username` has to be there.
    fn profile(&self) -> IssuerProfile {
        let rule = IdentityRule {
            claim: "preferred_username".into(),
            expect: Expect::Equal("{user}".into()),
            scopes: ScopeSet::default(),
        };
        IssuerProfile { identity: Some(rule), ..self.mock.profile() }
    }

    fn id_token(&self, changes: Value) -> String {
        let mut claims = json!({
            "iss": self.mock.url, "sub": "4711", "aud": "client$1", "exp": NOW.0 + 600,
        });
        let all = claims.as_object_mut().unwrap();
        all.extend(changes.as_object().unwrap().clone());
        self.signer.sign(&claims)
    }

    /// What the token endpoint gives; without an ID token where there is none.
    fn gives(&self, id_token: Option<&str>) {
        let mut reply = json!({ "access_token": "at", "refresh_token": "rt" });
        if let Some(id_token) = id_token {
            reply["id_token"] = id_token.into();
        }
        self.mock.on("POST /token", [json_reply(200, reply)]);
        self.mock.on("POST /revoke", [page(200, "")]);
    }

    async fn poll(&self) -> Result<Option<Identity>, IssuerError> {
        let (none, code) = (AudienceSet::default(), secret(DEVICE_CODE));
        match client().poll_device(&self.profile(), &basic(), &code, &none).await {
            PollAnswer::Tokens(tokens) => Ok(tokens.identity),
            PollAnswer::Failed(error) => Err(error),
            other => panic!("{other:?}"),
        }
    }

    async fn refresh(&self) -> Result<Option<Identity>, RefreshFailure> {
        let (wanted, profile) = (Default::default(), self.profile());
        let client = client();
        let mut tokens = client.refresh(&profile, &basic(), 1001, &secret("old"), &wanted).await?;
        // What came is in hand by now, whatever becomes of this.
        let said = client.identify(&profile, &basic(), &tokens, true).await;
        said.map_err(|error| RefreshFailure {
            error: error.into(),
            rotated: tokens.refresh_token.take().map(|token| Rotated { token, expires_at: None }),
        })
    }

    async fn by_password(&self) -> Result<Option<Identity>, PasswordError> {
        let (none, scopes) = (AudienceSet::default(), ScopeSet::default());
        let sign_in = PasswordSignIn {
            user_name: "alice",
            password: secret("pw"),
            scopes: &scopes,
            audiences: &none,
        };
        let tokens = client().sign_in_with_password(&self.profile(), &basic(), sign_in).await;
        tokens.map(|tokens| tokens.identity)
    }

    async fn handed(&self) -> Result<Option<Identity>, RefreshFailure> {
        let (wanted, profile) = (Default::default(), self.profile());
        let tokens = client().refresh_handed(&profile, &basic(), &secret("old"), &wanted).await;
        tokens.map(|tokens| tokens.identity)
    }
}

fn values(identity: Option<Identity>) -> (String, Option<ClaimValues>) {
    let identity = identity.unwrap();
    (identity.sub, identity.proof.map(|proof| proof.values))
}

fn alice() -> (String, Option<ClaimValues>) {
    ("4711".into(), Some(ClaimValues::new(["alice"])))
}

#[tokio::test]
async fn the_claim_comes_from_the_id_token_and_nobody_else_is_asked() {
    let case = Case::new().await;
    case.gives(Some(&case.id_token(json!({ "preferred_username": "alice" }))));
    assert_eq!(values(case.poll().await.unwrap()), alice());
    assert_eq!(values(case.refresh().await.unwrap()), alice());
    assert_eq!(values(case.handed().await.unwrap()), alice());
    assert!(case.mock.seen(INFO).is_empty());
}

#[tokio::test]
async fn a_claim_that_the_id_token_lacks_is_asked_of_the_userinfo_endpoint() {
    let case = Case::new().await;
    let info = json!({ "sub": "4711", "preferred_username": "alice" });
    for id_token in [Some(case.id_token(json!({}))), None] {
        case.gives(id_token.as_deref());
        case.mock.on(INFO, [json_reply(200, info.clone())]);
        assert_eq!(values(case.poll().await.unwrap()), alice());
        assert_eq!(values(case.handed().await.unwrap()), alice());
    }
    assert_eq!(case.mock.seen(INFO)[0].headers["authorization"], "Bearer at");
    // At a refresh too, with an ID token and without.
    let before = case.mock.seen(INFO).len();
    assert_eq!(values(case.refresh().await.unwrap()), alice());
    case.gives(Some(&case.id_token(json!({}))));
    assert_eq!(values(case.refresh().await.unwrap()), alice());
    assert_eq!(case.mock.seen(INFO).len(), before + 2);
}

#[tokio::test]
async fn a_userinfo_reply_about_somebody_else_is_refused() {
    let case = Case::new().await;
    case.gives(Some(&case.id_token(json!({}))));
    for (info, why) in [
        (json!({ "sub": "4712", "preferred_username": "alice" }), "another person"),
        (json!({ "preferred_username": "alice" }), "no usable subject"),
    ] {
        case.mock.on(INFO, [json_reply(200, info)]);
        let error = case.poll().await.unwrap_err();
        let text = error.to_string();
        assert!(text.contains(why), "{text}");
        if why == "another person" {
            shows(&case.mock, "the userinfo endpoint speaks of somebody else", error);
        }
        assert_eq!(case.last_revoked(), ["rt", "at"]);
    }
}

#[tokio::test]
async fn a_claim_that_nobody_says_is_missing_and_a_failure_is_not_taken_for_that() {
    let case = Case::new().await;
    case.gives(Some(&case.id_token(json!({}))));
    let missing = ("4711".to_owned(), Some(ClaimValues::default()));
    for info in
        [page(401, ""), page(403, ""), page(404, ""), json_reply(200, json!({"sub": "4711"}))]
    {
        case.mock.on(INFO, [info]);
        assert_eq!(values(case.poll().await.unwrap()), missing);
        assert_eq!(values(case.refresh().await.unwrap()), missing);
    }
    case.mock.on(INFO, [page(503, "")]);
    assert!(matches!(case.poll().await.unwrap_err(), IssuerError::Unreachable { .. }));
    // It was known before: a refresh goes on.
    assert_eq!(values(case.refresh().await.unwrap()), ("4711".into(), None));
    // A JWT, which nobody asked for.
    case.mock.on(INFO, [page(200, "eyJ.eyJ.x")]);
    let error = case.poll().await.unwrap_err();
    assert!(matches!(error, IssuerError::Malformed { .. }));
    shows(&case.mock, "the userinfo endpoint answers with something else than JSON", error);
    case.mock.discover_as(json!({}));
    assert_eq!(values(case.poll().await.unwrap()), missing, "no such endpoint");
    case.gives(None);
    assert_eq!(case.poll().await.unwrap(), None);
}

#[tokio::test]
async fn without_the_key_set_nobody_signs_in_and_nobody_is_sent_to_approve() {
    let case = Case::new().await;
    let good = case.id_token(json!({ "preferred_username": "alice" }));
    case.gives(Some(&good));
    let device = json!({ "device_code": "d", "user_code": "u",
        "verification_uri": format!("{}device", case.mock.url) });
    case.mock.on("POST /devicecode", [json_reply(200, device)]);
    let authorize = async || {
        let none = AudienceSet::default();
        client()
            .authorize_device(&case.profile(), &basic(), 1001, &ScopeSet::default(), &none)
            .await
    };
    authorize().await.unwrap();
    for broken in [page(500, ""), page(404, ""), page(200, "<html>")] {
        case.mock.on(KEYS, [broken]);
        let error = case.poll().await.unwrap_err();
        assert!(matches!(error, IssuerError::Unreachable { .. }), "{error}");
        assert!(error.to_string().contains("this site lets nobody sign in"), "{error}");
        shows(&case.mock, "the site requires a claim, and the issuer's keys cannot be had", error);
        assert_eq!(case.last_revoked(), ["rt", "at"]);
        let asked = case.mock.seen("POST /devicecode").len();
        authorize().await.unwrap_err();
        assert_eq!(case.mock.seen("POST /devicecode").len(), asked);
        // Nor is a token or a password that somebody brought used up for it.
        let asked = case.mock.seen("POST /token").len();
        assert!(case.handed().await.is_err());
        assert!(case.by_password().await.is_err());
        assert_eq!(case.mock.seen("POST /token").len(), asked);
        // What is learned at a refresh can only end a sign-in: TLS vouches for that, and no claim
        // is taken from it.
        let said = case.refresh().await.unwrap().unwrap();
        assert!(!said.verified, "{said:?}");
        assert_eq!(values(Some(said)), ("4711".into(), None));
    }
    case.mock.discover_as(json!({ "jwks_uri": null }));
    let error = case.poll().await.unwrap_err();
    assert!(matches!(error, IssuerError::Unsupported { .. }), "{error}");
}

#[tokio::test]
async fn a_nonce_that_we_did_not_send_proves_no_claim() {
    let case = Case::new().await;
    let odd = json!({ "preferred_username": "alice", "nonce": "n-0S6_WzA2Mj" });
    case.gives(Some(&case.id_token(odd)));
    let text = case.poll().await.unwrap_err().to_string();
    assert!(text.contains("(nonce)"), "{text}");
    assert!(case.by_password().await.is_err());
    assert_eq!(case.mock.seen("POST /revoke").len(), 4, "what came is nobody's");
}

#[tokio::test]
async fn an_id_token_that_is_wrong_ends_a_sign_in_and_fails_a_refresh_without_its_loss() {
    let case = Case::new().await;
    let name = json!({ "preferred_username": "alice" });
    let with = |more: Value| {
        let mut claims = name.clone();
        claims.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        case.id_token(claims)
    };
    let claims = json!({ "iss": case.mock.url, "sub": "4711", "aud": "client$1",
        "exp": NOW.0 + 600, "preferred_username": "alice" });
    for bad in [
        Signer::new("k1").sign(&claims),
        pki::unsigned(&json!({ "alg": "none" }), &claims),
        with(json!({ "aud": ["client$1", "x"] })),
        with(json!({ "azp": "x" })),
        with(json!({ "iss": "https://evil.example/" })),
        with(json!({ "iat": NOW.0 + 121 })),
        with(json!({ "nbf": NOW.0 + 121 })),
        with(json!({ "iat": "soon" })),
    ] {
        case.gives(Some(&bad));
        case.mock.on(INFO, [json_reply(200, claims.clone())]);
        assert!(matches!(case.poll().await.unwrap_err(), IssuerError::Malformed { .. }), "{bad}");
        for failure in [case.refresh().await.unwrap_err(), case.handed().await.unwrap_err()] {
            let malformed = RefreshError::Issuer(IssuerError::Malformed { text: String::new() });
            let same = std::mem::discriminant(&failure.error) == std::mem::discriminant(&malformed);
            assert!(same && failure.rotated.is_some(), "{failure:?}");
        }
    }
    case.gives(Some(&with(json!({ "iat": NOW.0 + 121 }))));
    shows(&case.mock, "an ID token is of the future", case.poll().await.unwrap_err());
    case.gives(Some(&with(json!({ "aud": ["client$1", "x"], "azp": "client$1", "iat": NOW.0 }))));
    assert_eq!(values(case.poll().await.unwrap()), alice());
}

#[tokio::test]
async fn a_key_for_something_else_makes_no_signature() {
    let case = Case::new().await;
    case.gives(Some(&case.id_token(json!({ "preferred_username": "alice" }))));
    for (name, value) in [("use", "enc"), ("alg", "ES384"), ("kid", "k2")] {
        let mut keys = case.signer.keys();
        keys["keys"][2][name] = value.into();
        case.mock.on(KEYS, [json_reply(200, keys)]);
        let text = case.poll().await.unwrap_err().to_string();
        assert!(text.contains("none of the issuer's keys"), "{name}: {text}");
    }
    let mut keys = case.signer.keys();
    keys["keys"][2]["use"] = "sig".into();
    keys["keys"][2]["alg"] = "ES256".into();
    case.mock.on(KEYS, [json_reply(200, keys)]);
    case.poll().await.unwrap();
}

#[tokio::test]
async fn r25_between_the_answer_to_a_refresh_and_the_journal_nobody_else_is_asked_anything() {
    let case = Case::new().await;
    // Neither the key set nor the userinfo endpoint ever answers.
    for of in [KEYS, INFO] {
        case.mock.on(of, [Answer::Silence]);
    }
    let (wanted, profile) = (Default::default(), case.profile());
    for id_token in [None, Some(case.id_token(json!({}))), Some(case.id_token(json!({"sub": "x"})))]
    {
        case.gives(id_token.as_deref());
        let client = client();
        let tokens = client.refresh(&profile, &basic(), 1001, &secret("old"), &wanted).await;
        let tokens = tokens.unwrap();
        assert!(tokens.refresh_token.is_some());
        assert!(tokens.identity.is_none_or(|identity| !identity.verified));
    }
    assert!(case.mock.seen(KEYS).is_empty() && case.mock.seen(INFO).is_empty());
}

#[tokio::test]
async fn at_a_refresh_userinfo_that_fails_is_passing_and_one_that_cannot_be_read_says_nothing() {
    let case = Case::new().await;
    case.gives(None);
    case.mock.on(INFO, [page(503, "")]);
    let failure = case.refresh().await.unwrap_err();
    assert!(matches!(&failure.error, RefreshError::Issuer(error) if error.may_pass()));
    for silent in [page(200, "eyJ.eyJ.x"), page(401, ""), page(404, "")] {
        case.mock.on(INFO, [silent]);
        assert_eq!(case.refresh().await.unwrap(), None);
    }
    // A claim that changed is seen without an ID token.
    case.mock.on(INFO, [json_reply(200, json!({ "sub": "4711", "preferred_username": "bob" }))]);
    let bob = ("4711".to_owned(), Some(ClaimValues::new(["bob"])));
    assert_eq!(values(case.refresh().await.unwrap()), bob);
}

#[tokio::test]
async fn of_a_token_for_less_a_claim_that_is_not_said_is_not_missing() {
    let case = Case::new().await;
    let (wanted, profile) = (Default::default(), case.profile());
    for id_token in [None, Some(case.id_token(json!({})))] {
        case.gives(id_token.as_deref());
        let client = client();
        let mut tokens =
            client.refresh(&profile, &basic(), 1001, &secret("old"), &wanted).await.unwrap();
        case.mock.on(INFO, [json_reply(200, json!({ "sub": "4711" }))]);
        let said = client.identify(&profile, &basic(), &tokens, false).await.unwrap();
        assert_eq!(values(said), ("4711".into(), None));
        let said = client.identify(&profile, &basic(), &tokens, true).await.unwrap();
        assert_eq!(values(said), ("4711".into(), Some(ClaimValues::default())));
        if id_token.is_none() {
            // Nor is it asked for, where the token cannot tell.
            let before = case.mock.seen(INFO).len();
            tokens.scopes = Some(super::scopes("storage.read:/"));
            let said = client.identify(&profile, &basic(), &tokens, false).await.unwrap();
            assert_eq!((said, case.mock.seen(INFO).len()), (None, before));
        }
    }
}
