//! Requests that were taken and never answered: whose fault that may be, and who waits for it.

use std::time::Duration;

use super::{
    super::IssuerClient,
    TestClock, basic, limits,
    mock::{Answer, Mock, json_reply, page},
    secret,
};
use crate::account::{
    ClientOwner, ClientRecord,
    ports::{Health, IssuerError, Issuers as _, RefreshError, Wanted},
};

const S: Duration = Duration::from_secs(1);

#[tokio::test]
async fn a_connection_that_breaks_at_what_one_user_brings_does_not_open_the_circuit_for_all() {
    let mock = Mock::start().await;
    for place in ["POST /devicecode", "POST /token", "POST /iam/api/client-registration"] {
        mock.on(place, [Answer::Hangup]);
    }
    let clock = TestClock::new();
    let client = IssuerClient::new(clock.clone(), limits());
    let profile = mock.profile();
    let name: crate::account::AccountName = "x".parse().unwrap();
    let given = ClientRecord { owner: ClientOwner::Given(1001, name), ..basic() };
    let own = Wanted { scopes: Some(super::scopes("storage.read:/x")), ..Wanted::default() };
    let code = async |client_of: &ClientRecord, uid| {
        let words = (&profile.scopes, &profile.audiences);
        client.authorize_device(&profile, client_of, uid, words.0, words.1).await.unwrap_err()
    };
    for _ in 0..4 {
        for error in [
            code(&given, 1001).await,
            code(&basic(), 1001).await,
            client.register(&profile, ClientOwner::User(1001), None).await.unwrap_err(),
        ] {
            let held = matches!(error, IssuerError::CircuitOpen { .. });
            assert!(held || matches!(error, IssuerError::Unreachable { .. }), "{error:?}");
        }
        let all = Wanted::default();
        client.refresh(&profile, &basic(), 1001, &secret("narrowed"), &own).await.unwrap_err();
        client.refresh_handed(&profile, &basic(), &secret("handed"), &all).await.unwrap_err();
    }
    let asked = mock.seen("POST /devicecode").len();
    assert_eq!(asked, 6, "three with each client, and that user waits");
    assert!(!client.is_left_alone(&profile), "nobody else does");
    assert!(client.gives_no_codes_to(&profile, 1001));
    assert!(!client.gives_no_codes_to(&profile, 1002));
    assert!(matches!(code(&basic(), 1002).await, IssuerError::Unreachable { .. }));
    // The pause over, one request of theirs finds out, and nobody waits for it.
    clock.pass(15 * S);
    assert!(client.gives_no_codes_to(&profile, 1001));

    // It happens to as many users as it takes failures: then it is the issuer.
    let asked = mock.seen("POST /devicecode").len();
    code(&basic(), 1002).await;
    assert!(!client.is_left_alone(&profile), "two users");
    code(&basic(), 1003).await;
    assert!(matches!(client.health(&profile), Health::Open(_)));
    assert!(matches!(code(&basic(), 1004).await, IssuerError::CircuitOpen { .. }));
    assert_eq!(mock.seen("POST /devicecode").len(), asked + 2);
}

#[tokio::test]
async fn what_one_user_asks_for_as_everybody_does_and_that_fails_opens_no_circuit_but_that_of_many_does()
 {
    for (what, failure) in
        [("500", page(500, "boom")), ("503", page(503, "")), ("no answer", Answer::Hangup)]
    {
        let mock = Mock::start().await;
        for place in ["POST /token", "POST /revoke"] {
            mock.on(place, [failure.clone()]);
        }
        let clock = TestClock::new();
        let client = IssuerClient::new(clock.clone(), limits());
        let profile = mock.profile();
        let usual = Wanted { audiences: profile.audiences.clone(), ..Wanted::default() };
        let renew = async |uid| {
            let failed = client.refresh(&profile, &basic(), uid, &secret("renewed"), &usual).await;
            matches!(
                failed.unwrap_err().error,
                RefreshError::Issuer(IssuerError::CircuitOpen { .. })
            )
        };
        let revoke = async |uid| {
            let profile = profile.clone().asked_by(uid);
            let failed = client.revoke(&profile, &basic(), &secret("revoked")).await;
            matches!(failed.unwrap_err(), IssuerError::CircuitOpen { .. })
        };
        // `iamctl token --force-new` and `iamctl logout` in a loop.
        for turn in 0..10 {
            assert_eq!(renew(1001).await, turn >= 3, "{what}, {turn}");
            assert_eq!(revoke(1001).await, turn >= 3, "{what}, {turn}");
        }
        assert!(!client.is_left_alone(&profile), "{what}");
        assert!(!renew(1002).await && !revoke(1002).await, "others are asked for: {what}");
        assert!(!client.is_left_alone(&profile), "two users: {what}");
        assert!(!renew(1003).await, "{what}");
        assert_eq!(client.health(&profile), Health::Open(15 * S), "three: {what}");
        assert!(renew(1004).await && revoke(1004).await, "{what}");

        // When as many find that it is not back it is left alone for longer, and not for one of them,
        // who asks first after each pause.
        clock.pass(15 * S);
        for _ in 0..5 {
            renew(1004).await;
            assert_eq!(client.health(&profile), Health::Failing, "{what}");
            clock.pass(300 * S);
        }
        for uid in [1005, 1006, 1007] {
            assert!(!renew(uid).await, "{what}, {uid}");
        }
        assert_eq!(client.health(&profile), Health::Open(30 * S), "{what}");
        clock.pass(30 * S);
        let done = serde_json::json!({ "access_token": "at", "token_type": "Bearer" });
        mock.on("POST /token", [json_reply(200, done), failure]);
        client.refresh(&profile, &basic(), 1004, &secret("renewed"), &usual).await.unwrap();
        assert_eq!(client.health(&profile), Health::Answering);
        // The count begins again, and also with the time.
        assert!(!renew(1008).await && !renew(1009).await);
        clock.pass(300 * S);
        assert!(!renew(1010).await);
        assert!(!client.is_left_alone(&profile));
    }
}

#[tokio::test]
async fn many_users_without_an_answer_are_everybody_also_with_clients_of_their_own() {
    let mock = Mock::start().await;
    for place in ["POST /token", "POST /devicecode"] {
        mock.on(place, [Answer::Hangup]);
    }
    let name: crate::account::AccountName = "x".parse().unwrap();
    let own = |uid| ClientRecord { owner: ClientOwner::Own(uid, name.clone()), ..basic() };
    let profile = mock.profile();
    for renews in [true, false] {
        let client = super::client();
        for uid in 1001..=1003 {
            assert!(!client.is_left_alone(&profile), "{renews}");
            if renews {
                let (token, all) = (secret(&format!("of {uid}")), Wanted::default());
                client.refresh(&profile, &own(uid), uid, &token, &all).await.unwrap_err();
            } else {
                let words = (&profile.scopes, &profile.audiences);
                let own = own(uid);
                client.authorize_device(&profile, &own, uid, words.0, words.1).await.unwrap_err();
            }
        }
        assert!(client.is_left_alone(&profile), "{renews}");
    }
}

#[tokio::test]
async fn who_has_had_no_answer_three_times_does_not_wait_for_the_next_try() {
    let mock = Mock::start().await;
    mock.on("POST /token", [Answer::Hangup]);
    let clock = TestClock::new();
    let client = IssuerClient::new(clock.clone(), limits());
    let profile = mock.profile();
    let usual = Wanted { audiences: profile.audiences.clone(), ..Wanted::default() };
    for _ in 0..3 {
        assert!(!client.renews_nothing_for(&profile, 1001));
        client.refresh(&profile, &basic(), 1001, &secret("x"), &usual).await.unwrap_err();
    }
    for _ in 0..2 {
        assert!(client.renews_nothing_for(&profile, 1001));
        assert!(!client.gives_no_codes_to(&profile, 1001), "that was not asked");
        assert!(!client.renews_nothing_for(&profile, 1002) && !client.is_left_alone(&profile));
        // The pause over, too.
        clock.pass(300 * S);
    }
    // A lane that nobody asks in any more is no reason for ever.
    assert!(!client.renews_nothing_for(&profile, 1001));
    // Nor is what was asked for with words of one's own, as no login does.
    let own = Wanted { scopes: Some(super::scopes("storage.read:/x")), ..Wanted::default() };
    for _ in 0..3 {
        client.refresh(&profile, &basic(), 1002, &secret("y"), &own).await.unwrap_err();
    }
    assert!(!client.renews_nothing_for(&profile, 1002));
}

#[tokio::test]
async fn what_anybody_is_answered_ends_the_count_of_users_who_had_no_answer() {
    let mock = Mock::start().await;
    let code = json_reply(
        200,
        serde_json::json!({
            "device_code": "dc", "user_code": "AB-CD", "verification_uri": "https://x.example/d",
        }),
    );
    let broken = || Answer::Hangup;
    mock.on("POST /devicecode", [broken(), broken(), code, broken(), broken()]);
    let client = super::client();
    let profile = mock.profile();
    for uid in 1001..=1005 {
        let words = (&profile.scopes, &profile.audiences);
        let answer = client.authorize_device(&profile, &basic(), uid, words.0, words.1).await;
        assert_eq!(answer.is_ok(), uid == 1003, "{answer:?}");
    }
    assert!(!client.is_left_alone(&profile));
}
