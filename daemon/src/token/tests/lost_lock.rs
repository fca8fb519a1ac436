//! A lock that the store gave up while it was held: nothing is asked twice, and nothing that was got
//! is dropped.

use super::*;

#[tokio::test]
async fn an_issuer_is_not_asked_under_a_lock_that_was_lost() {
    let world = world();
    world.vault.locks_lost.store(1, SeqCst);
    assert_eq!(text(&world.ask(Ask::default()).await.unwrap()), "at1");
    let steps = world.vault.steps.lock().unwrap().clone();
    assert_eq!(steps, ["lock", "lock", "journal", "save", "settle"]);
    world.vault.locks_lost.store(2, SeqCst);
    let again = Ask { force_new: true, ..Ask::default() };
    let error = world.ask(again).await.unwrap_err();
    assert_eq!(error, TokenError::LockLost);
    assert!(error.passing().is_some());
    shows("Store and keys", "the store on several nodes lost this node's lock, twice", error);
    assert_eq!(*world.issuers.presented.lock().unwrap(), ["rt0"], "no more than before");
}

#[tokio::test]
async fn a_token_that_came_under_a_lock_that_was_lost_is_stored_under_the_next() {
    let world = world();
    world.vault.lock_lost_at_save.store(true, SeqCst);
    assert_eq!(text(&world.ask(Ask::default()).await.unwrap()), "at1");
    let steps = world.vault.steps.lock().unwrap().clone();
    assert_eq!(steps, ["lock", "journal", "lock", "save"]);
    assert_eq!(world.vault.record(&world.key).refresh_token.unwrap().expose_secret(), "rt1");
}
