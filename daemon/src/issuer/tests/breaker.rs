//! The circuit breaker and the cap on requests: an issuer that fails is left alone for a while.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use super::{
    super::{
        IssuerClient, Limits,
        limits::{Breaker, Gate, Outcome},
    },
    TestClock, basic, limits,
    mock::{Mock, OPENID, json_reply, page},
    passing, secret,
};
use crate::{
    account::{
        AudienceSet, ClientOwner, ClientRecord,
        ports::{
            Cause, ClientChange, ClientMetadata, Health, IssuerError, Issuers as _, PollAnswer,
            RefreshError, Wanted,
        },
    },
    clock::{Clock as _, SystemClock},
};

const S: Duration = Duration::from_secs(1);

fn start() -> Instant {
    SystemClock.monotonic()
}

fn opened(at: Instant) -> Breaker {
    let mut breaker = Breaker::new(Limits::default());
    (0..3).for_each(|_| breaker.take(Outcome::Failed(None), at));
    breaker
}

#[test]
fn three_failures_in_a_row_open_the_circuit_and_an_answer_in_between_does_not() {
    let now = start();
    let mut breaker = Breaker::new(Limits::default());
    assert_eq!(breaker.health(now), Health::Unknown);
    breaker.take(Outcome::Failed(None), now);
    breaker.take(Outcome::Failed(None), now);
    assert_eq!(breaker.health(now), Health::Failing);
    breaker.take(Outcome::Answered, now);
    assert_eq!(breaker.health(now), Health::Answering);
    breaker.take(Outcome::Failed(None), now);
    breaker.take(Outcome::Failed(None), now);
    assert_eq!(breaker.admit(now), Ok(()));
    breaker.take(Outcome::Failed(None), now);
    assert_eq!(breaker.admit(now), Err(15 * S));
    assert_eq!(breaker.health(now + 5 * S), Health::Open(10 * S));
}

#[test]
fn an_issuer_is_left_alone_from_the_first_pause_until_it_answered_again() {
    let mut now = start();
    let mut breaker = Breaker::new(Limits::default());
    assert!(!breaker.is_left_alone());
    for _ in 0..2 {
        breaker.take(Outcome::Failed(None), now);
        assert!(!breaker.is_left_alone(), "it may be a passing failure");
    }
    breaker.take(Outcome::Failed(None), now);
    assert!(breaker.is_left_alone());
    // The pause is over, and nobody knows yet; somebody is trying; that told nothing.
    now += 15 * S;
    assert!(breaker.is_left_alone());
    assert_eq!(breaker.admit(now), Ok(()));
    assert!(breaker.is_left_alone());
    breaker.take(Outcome::Nothing, now);
    assert!(breaker.is_left_alone());
    assert_eq!(breaker.admit(now), Ok(()));
    breaker.take(Outcome::Answered, now);
    assert!(!breaker.is_left_alone());
}

#[test]
fn one_probe_goes_through_and_each_that_fails_doubles_the_pause_up_to_five_minutes() {
    let mut now = start();
    let mut breaker = opened(now);
    let mut pause = 15 * S;
    for next in [30, 60, 120, 240, 300, 300] {
        now += pause;
        assert_eq!(breaker.admit(now), Ok(()));
        assert_eq!(breaker.admit(now), Err(S), "a second probe");
        breaker.take(Outcome::Failed(None), now);
        pause = next * S;
        assert_eq!(breaker.admit(now), Err(pause));
    }
    now += pause;
    assert_eq!(breaker.admit(now), Ok(()));
    breaker.take(Outcome::Answered, now);
    assert_eq!(breaker.admit(now), Ok(()));
    assert_eq!(breaker.health(now), Health::Answering);
}

#[test]
fn a_probe_that_tells_nothing_leaves_the_next_request_to_try() {
    let now = start() + 15 * S;
    let mut breaker = opened(now - 15 * S);
    assert_eq!(breaker.admit(now), Ok(()));
    breaker.take(Outcome::Nothing, now);
    assert_eq!(breaker.admit(now), Ok(()));
}

#[test]
fn r31_retry_after_opens_the_circuit_for_that_long_within_reason() {
    let now = start();
    for (asked, pause) in [(7 * S, 7 * S), (3600 * S, 300 * S)] {
        let mut breaker = Breaker::new(Limits::default());
        breaker.take(Outcome::Failed(Some(asked)), now);
        assert_eq!(breaker.admit(now), Err(pause));
    }
}

#[tokio::test]
async fn an_issuer_that_is_down_is_not_asked_until_the_pause_is_over() {
    let mock = Mock::start().await;
    mock.on(
        OPENID,
        [page(503, ""), page(502, ""), page(504, ""), json_reply(200, mock.discovery())],
    );
    let clock = TestClock::new();
    let client = IssuerClient::new(clock.clone(), limits());
    let profile = mock.profile();
    assert_eq!(client.health(&profile), Health::Unknown);
    for _ in 0..3 {
        assert!(passing(&client.probe(&profile).await.unwrap_err()).is_some());
    }
    let IssuerError::CircuitOpen { issuer, retry_in, last } =
        client.probe(&profile).await.unwrap_err()
    else {
        panic!("the circuit is closed")
    };
    let last = last.expect("what it failed with");
    assert_eq!(
        (last.why(), last.to_string()),
        (Some(Cause::Status(504)), "Test IAM answered 504".into())
    );
    assert_eq!((issuer.as_str(), retry_in), ("Test IAM", 15 * S));
    assert_eq!(mock.seen(OPENID).len(), 3);
    assert_eq!(client.health(&profile), Health::Open(15 * S));
    clock.pass(15 * S);
    client.probe(&profile).await.unwrap();
    assert_eq!(client.health(&profile), Health::Answering);
}

#[tokio::test]
async fn one_users_request_does_not_open_the_circuit_for_all() {
    let mock = Mock::start().await;
    mock.on("POST /token", [page(500, "NullPointerException")]);
    let client = super::client();
    let profile = mock.profile();
    let none = AudienceSet::default();
    let wanted = Wanted { scopes: Some(super::scopes("storage.read:/[")), ..Wanted::default() };
    for _ in 0..4 {
        let answer = client.poll_device(&profile, &basic(), &secret("code"), &none).await;
        assert!(matches!(answer, PollAnswer::Transient { .. }), "{answer:?}");
        let answer = client.refresh(&profile, &basic(), 1001, &secret("token"), &wanted).await;
        let error = answer.unwrap_err().error;
        assert!(matches!(error, RefreshError::Issuer(IssuerError::Unreachable { .. })));
    }
    assert_eq!(mock.seen("POST /token").len(), 8);
}

#[tokio::test]
async fn r31_what_one_user_provokes_holds_that_users_requests_and_no_others() {
    for busy in [page(429, "").with("retry-after", "60"), page(503, "").with("retry-after", "60")] {
        let mock = Mock::start().await;
        let done = serde_json::json!({ "access_token": "at", "token_type": "Bearer" });
        mock.on("POST /token", [busy.clone(), json_reply(200, done)]);
        mock.on("POST /devicecode", [busy.clone()]);
        mock.on("POST /iam/api/client-registration", [busy]);
        let clock = TestClock::new();
        let client = IssuerClient::new(clock.clone(), limits());
        let profile = mock.profile();
        let (words, none) = (super::scopes("storage.read:/["), AudienceSet::default());
        let wanted = Wanted { scopes: Some(words.clone()), ..Wanted::default() };
        let held = |error: &RefreshError| matches!(error, RefreshError::Issuer(IssuerError::CircuitOpen { retry_in, .. }) if *retry_in == 60 * S);
        client.refresh(&profile, &basic(), 1001, &secret("mine"), &wanted).await.unwrap_err();
        let again = client.refresh(&profile, &basic(), 1001, &secret("mine"), &wanted).await;
        assert!(held(&again.unwrap_err().error));
        assert_eq!(mock.seen("POST /token").len(), 1);
        // Everybody else's go on: the same words with another token, a renewal, a login.
        client.refresh(&profile, &basic(), 1001, &secret("other"), &wanted).await.unwrap();
        client
            .refresh(&profile, &basic(), 1001, &secret("mine"), &Wanted::default())
            .await
            .unwrap();
        assert_eq!(client.health(&profile), Health::Answering);
        let uid = |uid| ClientOwner::User(uid);
        for _ in 0..2 {
            client.authorize_device(&profile, &basic(), 1001, &words, &none).await.unwrap_err();
            client.register(&profile, uid(1001), None).await.unwrap_err();
        }
        client.register(&profile, uid(1002), None).await.unwrap_err();
        assert_eq!(mock.seen("POST /devicecode").len(), 1);
        assert_eq!(mock.seen("POST /iam/api/client-registration").len(), 2);
        assert_eq!(client.health(&profile), Health::Answering);
        // When the time is over, it is asked again.
        clock.pass(60 * S);
        client.refresh(&profile, &basic(), 1001, &secret("mine"), &wanted).await.unwrap();
    }
}

#[tokio::test]
async fn r31_codes_that_one_user_is_refused_hold_that_users_logins_and_nobodys_renewals() {
    let mock = Mock::start().await;
    let busy = page(429, "").with("retry-after", "30");
    mock.on("POST /devicecode", [busy]);
    let done = serde_json::json!({ "access_token": "at", "token_type": "Bearer" });
    mock.on("POST /token", [json_reply(200, done)]);
    let clock = TestClock::new();
    let client = IssuerClient::new(clock.clone(), limits());
    let profile = mock.profile();
    // With the words and the client that everybody uses.
    let site = basic();
    let code = async |uid| {
        let words = (&profile.scopes, &profile.audiences);
        client.authorize_device(&profile, &site, uid, words.0, words.1).await.unwrap_err()
    };
    for _ in 0..3 {
        code(1002).await;
    }
    assert_eq!(mock.seen("POST /devicecode").len(), 1, "the user who asked waits");
    assert!(matches!(code(1002).await, IssuerError::CircuitOpen { .. }));
    let wanted = Wanted { audiences: profile.audiences.clone(), ..Wanted::default() };
    client.refresh(&profile, &basic(), 1001, &secret("alice"), &wanted).await.unwrap();
    assert_eq!(client.health(&profile), Health::Answering);
    code(1001).await;
    assert_eq!(mock.seen("POST /devicecode").len(), 2, "another user may ask");
    clock.pass(30 * S);
    code(1002).await;
    assert_eq!(mock.seen("POST /devicecode").len(), 3);
}

#[tokio::test]
async fn r31_an_issuer_that_fails_for_everybody_is_left_alone_by_everybody() {
    let mock = Mock::start().await;
    mock.on("POST /token", [page(429, "").with("retry-after", "60")]);
    let clock = TestClock::new();
    let client = IssuerClient::new(clock.clone(), limits());
    let mut profile = mock.profile();
    // What the site's file asks for is nobody's own words.
    profile.audiences = AudienceSet::parse(["https://se.example"]).unwrap();
    let renewal = Wanted { audiences: profile.audiences.clone(), ..Wanted::default() };
    let own = Wanted { scopes: Some(super::scopes("storage.read:/x")), ..Wanted::default() };
    for uid in [1001, 1002, 1003] {
        let token = secret(&format!("of {uid}"));
        client.refresh(&profile, &basic(), uid, &token, &renewal).await.unwrap_err();
    }
    for wanted in [&renewal, &own] {
        let answer = client.refresh(&profile, &basic(), 1004, &secret("two"), wanted).await;
        assert!(is_held(&answer.unwrap_err().error));
    }
    assert_eq!(client.health(&profile), Health::Open(60 * S));
    assert_eq!(mock.seen("POST /token").len(), 3);
    // When the time is over it takes as many again: one who is refused alone is not everybody.
    clock.pass(60 * S);
    for (uid, health) in
        [(1004, Health::Failing), (1005, Health::Failing), (1006, Health::Open(60 * S))]
    {
        let token = secret(&format!("of {uid}"));
        client.refresh(&profile, &basic(), uid, &token, &renewal).await.unwrap_err();
        assert_eq!(client.health(&profile), health, "{uid}");
    }
    assert_eq!(mock.seen("POST /token").len(), 6);
}

/// What who is not let through reads.
fn is_held(error: &RefreshError) -> bool {
    matches!(error, RefreshError::Issuer(IssuerError::CircuitOpen { .. }))
}

#[tokio::test]
async fn r31_renewals_that_one_user_is_refused_hold_that_user_and_nobody_else() {
    // Without a time to wait, three in a row.
    for (busy, asked) in [(page(429, "").with("retry-after", "60"), 1), (page(429, ""), 3)] {
        let mock = Mock::start().await;
        mock.on("POST /token", [busy.clone()]);
        let clock = TestClock::new();
        let client = IssuerClient::new(clock.clone(), limits());
        let profile = mock.profile();
        // With the words and the client that everybody uses.
        let wanted = Wanted { audiences: profile.audiences.clone(), ..Wanted::default() };
        let renew = async |uid, token: &str| {
            client.refresh(&profile, &basic(), uid, &secret(token), &wanted).await
        };
        // As `iamctl token --force-new` in a loop, for two accounts of one user's.
        for _ in 0..10 {
            renew(1002, "bob").await.unwrap_err();
            renew(1002, "bob's other").await.unwrap_err();
        }
        assert_eq!(mock.seen("POST /token").len(), asked, "who asks too often waits");
        assert!(is_held(&renew(1002, "bob").await.unwrap_err().error));
        let done = serde_json::json!({ "access_token": "at", "token_type": "Bearer" });
        mock.on("POST /token", [json_reply(200, done)]);
        renew(1001, "alice").await.unwrap();
        assert_eq!(client.health(&profile), Health::Answering);
        assert!(is_held(&renew(1002, "bob").await.unwrap_err().error), "still");
        // With an answer in between it is not everybody who is refused.
        mock.on("POST /token", [busy]);
        for uid in [1003, 1004] {
            renew(uid, "other").await.unwrap_err();
            assert_eq!(client.health(&profile), Health::Answering);
        }
        clock.pass(60 * S);
        let done = serde_json::json!({ "access_token": "at", "token_type": "Bearer" });
        mock.on("POST /token", [json_reply(200, done)]);
        renew(1002, "bob").await.unwrap();
    }
}

#[tokio::test]
async fn a_lane_that_fails_again_and_again_waits_ever_longer() {
    let mock = Mock::start().await;
    mock.on("POST /token", [page(503, "")]);
    let clock = TestClock::new();
    let client = IssuerClient::new(clock.clone(), limits());
    let profile = mock.profile();
    let poll = async || {
        let none = AudienceSet::default();
        client.poll_device(&profile, &basic(), &secret("code"), &none).await
    };
    for _ in 0..10 {
        poll().await;
    }
    assert_eq!(mock.seen("POST /token").len(), 3, "three in a row, then a pause");
    clock.pass(15 * S);
    for _ in 0..3 {
        poll().await;
    }
    assert_eq!(mock.seen("POST /token").len(), 4, "one probe");
    clock.pass(15 * S);
    poll().await;
    assert_eq!(mock.seen("POST /token").len(), 4, "the pause has doubled");
}

#[tokio::test]
async fn what_users_bring_or_ask_for_does_not_open_the_circuit_for_all() {
    let mock = Mock::start().await;
    let boom = || page(500, "NullPointerException");
    for place in
        ["POST /token", "POST /iam/api/client-registration", "POST /devicecode", "POST /revoke"]
    {
        mock.on(place, [boom()]);
    }
    for place in ["GET /c/1", "PUT /c/1", "DELETE /c/1"] {
        mock.on(place, [boom()]);
    }
    let client = super::client();
    let profile = mock.profile();
    let name: crate::account::AccountName = "x".parse().unwrap();
    let (none, all) = (AudienceSet::default(), Wanted::default());
    let words = super::scopes("storage.read:/[");
    let (given, own) = (ClientOwner::Given(1001, name.clone()), ClientOwner::Own(1001, name));
    let uri = Some(format!("{}c/1", mock.url));
    let own = ClientRecord { owner: own, registration_client_uri: uri, ..basic() };
    let given = ClientRecord { owner: given, ..basic() };
    let change = ClientChange { scopes: Some(words.clone()), name: None };
    for _ in 0..4 {
        let registered = ClientMetadata::default();
        let failed = [
            client.register(&profile, own.owner.clone(), None).await.err(),
            client.register(&profile, ClientOwner::User(1001), None).await.err(),
            client.read_client(&profile, &own).await.unwrap().answer.err(),
            client.update_client(&profile, &own, &registered, &change).await.unwrap().answer.err(),
            client.deregister(&profile, &own).await.err(),
            client.authorize_device(&profile, &basic(), 1001, &words, &none).await.err(),
            client.authorize_device(&profile, &given, 1001, &profile.scopes, &none).await.err(),
            client.revoke(&profile, &given, &secret("token")).await.err(),
        ];
        for (which, error) in failed.into_iter().enumerate() {
            assert!(matches!(error, Some(IssuerError::Unreachable { .. })), "{which}: {error:?}");
        }
        let refreshed = [
            client.refresh(&profile, &given, 1001, &secret("token"), &all).await,
            client.refresh_handed(&profile, &basic(), &secret("token"), &all).await,
        ];
        for answer in refreshed {
            let error = answer.unwrap_err().error;
            assert!(matches!(error, RefreshError::Issuer(IssuerError::Unreachable { .. })));
        }
    }
    // What is asked for nobody in particular is answered in the same way, and opens it.
    for _ in 0..3 {
        client.revoke(&profile, &basic(), &secret("token")).await.unwrap_err();
    }
    assert!(matches!(client.health(&profile), Health::Open(_)));
}

#[tokio::test]
async fn no_more_than_eight_requests_are_under_way_at_once_and_the_rest_waits() {
    let mock = Mock::start().await;
    let reply = serde_json::json!({ "access_token": "at", "token_type": "Bearer" });
    mock.on("POST /token", [json_reply(200, reply)]);
    let client = Arc::new(super::client());
    let tasks: Vec<_> = (0..40)
        .map(|_| {
            let (client, profile) = (Arc::clone(&client), mock.profile());
            tokio::spawn(async move {
                client.refresh(&profile, &basic(), 1001, &secret("token"), &Wanted::default()).await
            })
        })
        .collect();
    for task in tasks {
        task.await.unwrap().unwrap();
    }
    assert!((2..=8).contains(&mock.most_at_once()), "{}", mock.most_at_once());
    assert_eq!(mock.seen(OPENID).len(), 1, "one discovery for all");
}

#[tokio::test]
async fn the_wait_for_a_slot_is_bounded() {
    let limits = Limits { concurrent: 1, queue_timeout: Duration::from_millis(50), ..limits() };
    let (gate, clock) = (Gate::new(limits), TestClock::new());
    let first = gate.enter("Test IAM", clock.as_ref(), None, None).await.unwrap();
    let error = gate.enter("Test IAM", clock.as_ref(), None, None).await.err().unwrap();
    assert!(matches!(error, IssuerError::Busy { .. }), "{error:?}");
    first.settle(Outcome::Answered, None);
    assert!(gate.enter("Test IAM", clock.as_ref(), None, None).await.is_ok());
}

#[tokio::test]
async fn a_request_that_is_given_up_gives_its_slot_and_the_probe_back() {
    let limits = Limits { concurrent: 1, ..limits() };
    let (gate, clock) = (Gate::new(limits), TestClock::new());
    for _ in 0..3 {
        gate.enter("Test IAM", clock.as_ref(), None, None)
            .await
            .unwrap()
            .settle(Outcome::Failed(None), None);
    }
    clock.pass(15 * S);
    for _ in 0..3 {
        drop(gate.enter("Test IAM", clock.as_ref(), None, None).await.unwrap());
    }
}
