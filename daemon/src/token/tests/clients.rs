//! A refresh, and the client that its refresh token belongs to.

use super::*;
use crate::account::{ClientRecord, ports::LockOn};

#[tokio::test]
async fn a_refresh_while_another_client_is_put_in_place_waits_for_the_sign_in_that_brings_it() {
    let world = world();
    let record = world.vault.record(&world.key);
    let place = (record.client_owner.clone(), record.issuer.clone());
    let on = LockOn::Client(place.0.clone(), place.1.clone());
    let lock = world.vault.lock(on).await.unwrap();
    // The client is there, and the account does not name it yet.
    let (old, revision) = world.vault.clients.lock().unwrap()[&place].clone();
    let new = ClientRecord { client_id: "another".into(), ..old.clone() };
    world.vault.clients.lock().unwrap().insert(place.clone(), (new, revision));
    let asked = world.ask(Ask::default());
    tokio::pin!(asked);
    assert!(futures_util::poll!(&mut asked).is_pending());
    for _ in 0..50 {
        tokio::task::yield_now().await;
        assert!(futures_util::poll!(&mut asked).is_pending(), "an answer of half a sign-in");
    }
    // Here the sign-in fails, and the account keeps what it had.
    world.vault.clients.lock().unwrap().insert(place, (old, revision));
    drop(lock);
    assert_eq!(text(&asked.await.unwrap()), "at1");
}

#[tokio::test]
async fn a_client_that_is_gone_for_good_is_said_at_once() {
    let world = world();
    world.vault.clients.lock().unwrap().clear();
    assert_eq!(world.ask(Ask::default()).await.unwrap_err(), TokenError::ClientGone);
}
