//! Whose the answer to a refresh is, and when somebody becomes the owner by it.

use super::*;
use crate::account::{
    Subject,
    ports::{Identity, Tokens},
};

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
