//! Whose the answer to a refresh is, and when somebody becomes the owner by it.

use super::*;
use crate::account::{
    ClaimValues, IdentityRule, Proof, Subject,
    identity_rule::Expect,
    ports::{Identity, Tokens},
};

/// A world whose site requires a claim; `proven`: which the sign-in said.
fn strict(proven: bool) -> (World, IssuerProfile) {
    let world = world();
    let proof = proven.then(|| Proof { claim: "name".into(), values: ClaimValues::new(["alice"]) });
    let subject = Subject { sub: "alice-sub".into(), name: None, proof };
    world.vault.accounts.lock().unwrap().get_mut(&world.key).unwrap().0.subject = Some(subject);
    let rule = IdentityRule {
        claim: "name".into(),
        expect: Expect::Equal("{user}".into()),
        scopes: ScopeSet::default(),
    };
    (world, IssuerProfile { identity: Some(rule), ..profile() })
}

impl World {
    async fn ask_at(&self, profile: &IssuerProfile, ask: &Ask) -> Result<Given, TokenError> {
        self.broker.token(&self.key, profile, ask).await
    }

    fn asked_whose(&self) -> Vec<bool> {
        self.issuers.identified.lock().unwrap().clone()
    }

    fn answers_whose(&self, answer: Result<Option<Identity>, IssuerError>) {
        self.issuers.identify_script.lock().unwrap().push_back(answer);
    }
}

fn named(sub: &str, value: &str) -> Identity {
    with_claim("name", sub, value)
}

fn with_claim(claim: &str, sub: &str, value: &str) -> Identity {
    let proof = Some(Proof { claim: claim.into(), values: ClaimValues::new([value]) });
    Identity { sub: sub.into(), name: None, proof, verified: true }
}

#[tokio::test(start_paused = true)]
async fn r25_a_rotated_refresh_token_is_stored_before_it_is_asked_whose_it_is_however_long_that_takes()
 {
    for proven in [true, false] {
        let (world, profile) = strict(proven);
        *world.issuers.identify_latency.lock().unwrap() = Duration::from_secs(86_400);
        let (ask, again) = (Ask::default(), Ask { force_new: true, ..Ask::default() });
        let mut asked = Box::pin(world.ask_at(&profile, &ask));
        // Until the issuer is asked: whoever kills the daemon from here on finds all of this.
        while world.asked_whose().is_empty() {
            assert!(futures_util::poll!(&mut asked).is_pending());
            tokio::task::yield_now().await;
        }
        let steps = world.vault.steps.lock().unwrap().clone();
        assert_eq!(steps, ["lock", "journal", "save", "settle"]);
        let record = world.vault.record(&world.key);
        assert_eq!(record.refresh_token.unwrap().expose_secret(), "rt1");
        assert!(record.access_token.is_none(), "that may be somebody else's");
        // Who proved it before goes on; who did not is told, and nothing ends.
        let answer = asked.await;
        *world.issuers.identify_latency.lock().unwrap() = Duration::ZERO;
        if proven {
            assert_eq!(text(&answer.unwrap()), "at1");
        } else {
            let error = answer.unwrap_err();
            assert!(matches!(error.passing(), Some(None)), "{error}");
            assert!(error.to_string().contains("the keys or the userinfo of"), "{error}");
            world.answers_whose(Ok(Some(named("alice-sub", "alice"))));
        }
        let given = world.ask_at(&profile, &again).await.unwrap();
        assert_eq!(text(&given), "at2");
        assert_eq!(*world.issuers.presented.lock().unwrap(), ["rt0", "rt1"]);
    }
}

#[tokio::test]
async fn r25_whatever_is_said_of_whose_it_is_the_newest_refresh_token_is_used_or_revoked() {
    let again = Ask { force_new: true, ..Ask::default() };
    for store_fails in [false, true] {
        // What is wrong fails the refresh, and costs nothing.
        let (world, profile) = strict(true);
        world.vault.saves_fail.store(store_fails, SeqCst);
        world.answers_whose(Err(malformed()));
        assert_eq!(world.ask_at(&profile, &again).await.unwrap_err(), malformed().into());
        assert_eq!(world.vault.journal.lock().unwrap().len(), usize::from(store_fails));
        world.vault.saves_fail.store(false, SeqCst);
        assert_eq!(text(&world.ask_at(&profile, &again).await.unwrap()), "at2");
        // The right person's is given out, whether the store takes it or not.
        world.vault.saves_fail.store(store_fails, SeqCst);
        world.answers_whose(Ok(Some(named("alice-sub", "alice"))));
        assert_eq!(text(&world.ask_at(&profile, &again).await.unwrap()), "at3");
        world.vault.saves_fail.store(false, SeqCst);
        assert_eq!(text(&world.ask_at(&profile, &again).await.unwrap()), "at4");
        assert_eq!(*world.issuers.presented.lock().unwrap(), ["rt0", "rt1", "rt2", "rt3"]);
        // Somebody else's is forgotten and revoked, the newest.
        world.vault.saves_fail.store(store_fails, SeqCst);
        world.answers_whose(Ok(Some(named("alice-sub", "bob"))));
        let error = world.ask_at(&profile, &again).await.unwrap_err();
        assert!(matches!(error, TokenError::IdentityMismatch { .. }), "{error}");
        assert_eq!(*world.issuers.revoked.lock().unwrap(), ["rt5"]);
        // And what was given out before, and what came now.
        let ended = world.issuers.revoked_access.lock().unwrap().clone();
        assert_eq!(ended, ["at4", "at5"], "store fails: {store_fails}");
        world.vault.saves_fail.store(false, SeqCst);
        let error = world.ask_at(&profile, &again).await.unwrap_err();
        assert!(matches!(error, TokenError::LoginRequired { .. }), "{error}");
        assert!(world.vault.record(&world.key).refresh_token.is_none());
    }
}

#[tokio::test]
async fn a_token_for_less_that_tells_nothing_ends_no_sign_in_and_the_whole_one_is_asked_for_all() {
    let (world, profile) = strict(false);
    let error = world.ask_at(&profile, &narrowed("openid")).await.unwrap_err();
    assert!(error.passing().is_some(), "{error}");
    world.answers_whose(Ok(Some(named("alice-sub", "alice"))));
    world.ask_at(&profile, &Ask::default()).await.unwrap();
    world.ask_at(&profile, &narrowed("openid")).await.unwrap();
    assert_eq!(world.asked_whose(), [false, true, false]);
    // Without a rule nobody is asked.
    let world = super::world();
    world.ask(Ask::default()).await.unwrap();
    assert!(world.asked_whose().is_empty());
}

#[tokio::test]
async fn what_a_refresh_says_of_another_claim_proves_nothing_and_ends_nothing() {
    for proven in [false, true] {
        let (world, profile) = strict(proven);
        world.answers_whose(Ok(Some(with_claim("nickname", "alice-sub", "alice"))));
        let asked = world.ask_at(&profile, &Ask::default()).await;
        let record = world.vault.record(&world.key);
        match proven {
            true => drop(asked.unwrap()),
            false => assert!(asked.unwrap_err().passing().is_some()),
        }
        let proof = record.subject.and_then(|subject| subject.proof);
        assert_eq!(proof.map(|proof| proof.claim), proven.then(|| "name".to_owned()));
        assert!(record.refresh_token.is_some() && !record.state.wants_login());
    }
}

#[tokio::test]
async fn another_subject_at_a_refresh_is_refused() {
    let world = world();
    world.vault.accounts.lock().unwrap().get_mut(&world.key).unwrap().0.subject =
        Some(Subject { sub: "alice".into(), ..Default::default() });
    let mut reply = tokens("at", Some("rt"), 3600);
    reply.identity = Some(Identity { sub: "mallory".into(), ..Default::default() });
    world.issuer_says(Ok(reply));
    let error = world.ask(Ask::default()).await.unwrap_err();
    assert!(matches!(error, TokenError::IdentityMismatch { .. }), "{error}");
    // What came with it is nobody's, and is ended.
    assert_eq!(*world.issuers.revoked.lock().unwrap(), ["rt"]);
    assert_eq!(world.issuers.revoked_access.lock().unwrap().last().unwrap(), "at");
    let record = world.vault.record(&world.key);
    assert!(record.refresh_token.is_none() && record.access_token.is_none());
    assert!(record.state.wants_login());
}

#[tokio::test]
async fn who_was_not_known_is_learned_from_a_refresh_that_the_keys_vouch_for_and_from_no_other() {
    let world = world();
    let of = |sub: &str, verified| {
        let identity = Identity { sub: sub.into(), verified, ..Default::default() };
        Ok(Tokens { identity: Some(identity), ..tokens("at", None, 3600) })
    };
    let ask = Ask { force_new: true, ..Ask::default() };
    let bound = || world.vault.record(&world.key).subject.map(|subject| subject.sub);
    world.issuer_says(of("alice", false));
    world.ask(ask.clone()).await.unwrap();
    assert_eq!(bound(), None);
    world.issuer_says(of("alice", true));
    world.ask(ask.clone()).await.unwrap();
    assert_eq!(bound().as_deref(), Some("alice"));
    // Keys are asked for ahead as long as nobody is known.
    assert_eq!(world.issuers.keys_fetched.load(SeqCst), 2);
    world.issuer_says(of("alice", false));
    world.ask(ask.clone()).await.unwrap();
    assert_eq!(world.issuers.keys_fetched.load(SeqCst), 2);
    // Somebody else ends it, vouched for or not.
    world.issuer_says(of("mallory", false));
    let error = world.ask(ask).await.unwrap_err();
    assert!(matches!(error, TokenError::IdentityMismatch { .. }), "{error}");
}
