//! A lock that the store gave up while it was held, and a store that went away meanwhile: nothing is
//! asked twice, and nothing that was got is dropped.

use super::*;
use crate::account::ports::LockOn;

/// One of several nodes.
fn one_of_several() -> World {
    let world = world();
    world.vault.several.store(true, SeqCst);
    world
}

impl World {
    /// As another node that waits for the account's lock, what it finds then.
    async fn next_with_the_lock(&self) -> String {
        let on = LockOn::Account(self.key.clone());
        let lock = tokio::time::timeout(Duration::from_secs(60), self.vault.lock(on));
        let _lock = lock.await.expect("the lock is never given up").unwrap();
        self.vault.record(&self.key).refresh_token.unwrap().expose_secret().to_owned()
    }
}

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
async fn where_the_issuer_is_is_known_before_it_is_asked_whether_the_lock_is_held() {
    let world = one_of_several();
    world.vault.locks_lost.store(1, SeqCst);
    world.issuers.metadata_errors.lock().unwrap().push_back(malformed());
    assert_eq!(world.ask(Ask::default()).await.unwrap_err(), malformed().into());
    assert_eq!(world.vault.locks_lost.load(SeqCst), 1, "not asked yet");
    assert_eq!(text(&world.ask(Ask::default()).await.unwrap()), "at1");
    assert_eq!(*world.issuers.presented.lock().unwrap(), ["rt0"]);
    let one_node = self::world();
    one_node.ask(Ask::default()).await.unwrap();
    assert_eq!(one_node.issuers.metadata_asked.load(SeqCst), 0, "the refresh does that");
}

#[tokio::test(start_paused = true)]
async fn a_token_that_came_under_a_lock_that_was_lost_is_stored_under_the_next() {
    let world = one_of_several();
    world.vault.lock_lost_at_save.store(true, SeqCst);
    assert_eq!(text(&world.ask(Ask::default()).await.unwrap()), "at1");
    assert_eq!(world.next_with_the_lock().await, "rt1");
    let steps = world.vault.steps.lock().unwrap().clone();
    assert_eq!(steps, ["lock", "journal", "lock", "save", "lock"]);
}

#[tokio::test(start_paused = true)]
async fn no_node_gets_the_lock_before_the_store_has_the_token_that_came_while_it_was_away() {
    let world = one_of_several();
    world.vault.saves_fail.store(true, SeqCst);
    assert_eq!(text(&world.ask(Ask::default()).await.unwrap()), "at1", "given out all the same");
    let while_away = Duration::from_secs(30);
    let early = tokio::time::timeout(while_away, world.next_with_the_lock());
    assert!(early.await.is_err(), "it cannot be written: with the lock one would ask with rt0");
    // It does not answer, and so neither says that the lock is held.
    world.vault.store_fails.store(true, SeqCst);
    world.vault.saves_fail.store(false, SeqCst);
    world.vault.locks_lost.store(1_000_000, SeqCst);
    let early = tokio::time::timeout(while_away, world.next_with_the_lock());
    assert!(early.await.is_err(), "it does not answer");
    world.vault.locks_lost.store(0, SeqCst);
    world.vault.store_fails.store(false, SeqCst);
    assert_eq!(world.next_with_the_lock().await, "rt1");
    assert_eq!(*world.issuers.presented.lock().unwrap(), ["rt0"]);
}

#[tokio::test(start_paused = true)]
async fn the_lock_is_not_kept_for_a_refresh_token_that_stayed_nor_where_there_is_one_node() {
    for several in [false, true] {
        let world = world();
        world.vault.several.store(several, SeqCst);
        world.vault.saves_fail.store(true, SeqCst);
        if several {
            world.issuer_says(Ok(tokens("at", None, 3600)));
        }
        world.ask(Ask::default()).await.unwrap();
        assert_eq!(world.next_with_the_lock().await, "rt0");
    }
}
