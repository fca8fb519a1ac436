//! Registered clients: one for each purpose, kept before use, replaced when they are no good.

use super::*;

fn site_client(house: &House) -> Option<String> {
    let clients = house.vault.clients.lock().unwrap();
    let found = clients.get(&(ClientOwner::Site, profile().url.to_string()));
    found.map(|(client, _)| client.client_id.clone())
}

fn registrations(house: &House) -> usize {
    house.issuers.registrations.load(SeqCst)
}

fn used(house: &House) -> Vec<String> {
    house.issuers.used_clients.lock().unwrap().clone()
}

#[tokio::test(start_paused = true)]
async fn r24_two_users_who_come_first_at_once_share_one_registration() {
    let house = House::new();
    *house.issuers.register_latency.lock().unwrap() = S / 2;
    let (alice, bob) = (house.caller(ALICE), house.caller(BOB));
    let none = LoginOptions::default;
    let (first, second) = tokio::join!(
        house.service.login(&alice, "", none()),
        house.service.login(&bob, "", none())
    );
    assert_eq!((first.unwrap().state, second.unwrap().state), ("pending".into(), "pending".into()));
    assert_eq!((registrations(&house), used(&house)), (1, vec!["client-1".to_owned(); 2]));
    assert_eq!(house.audit.of(crate::audit::Kind::Registration).len(), 1);
}

#[tokio::test(start_paused = true)]
async fn r24_where_the_site_says_so_each_user_has_their_own() {
    let house = House::new();
    for uid in [ALICE, BOB] {
        let caller = house.caller(uid);
        house.service.login(&caller, "cms", LoginOptions::default()).await.unwrap();
    }
    assert_eq!(registrations(&house), 2);
    let clients = house.vault.clients.lock().unwrap();
    for uid in [ALICE, BOB] {
        assert!(clients.contains_key(&(ClientOwner::User(uid), "https://cms.test/".into())));
    }
}

#[tokio::test(start_paused = true)]
async fn r19_a_client_is_saved_before_it_is_used_and_then_used_again() {
    let house = House::new();
    *house.issuers.device_latency.lock().unwrap() = 1000 * S;
    house.login("").await.unwrap();
    let steps = ["lock", "journal client", "journal client", "settle", "save client"];
    assert_eq!(*house.vault.steps.lock().unwrap(), steps);
    assert_eq!(site_client(&house).as_deref(), Some("client-1"));
    house.service.login(&house.caller(BOB), "", LoginOptions::default()).await.unwrap();
    assert_eq!(registrations(&house), 1);
}

#[tokio::test(start_paused = true)]
async fn a_client_that_cannot_be_kept_is_not_used_and_not_left_behind() {
    let house = House::new();
    *house.issuers.register_latency.lock().unwrap() = 2 * S;
    let (ended, ()) = tokio::join!(house.login(""), async {
        house.clock.sleep(S).await;
        house.vault.client_saves_fail.store(true, SeqCst);
        house.vault.journal_fails.store(true, SeqCst);
    });
    assert_eq!(ended.unwrap().error.as_deref(), Some("StoreUnavailable"));
    assert_eq!(*house.issuers.deregistered.lock().unwrap(), ["client-1"]);
    assert!(used(&house).is_empty());
}

#[tokio::test(start_paused = true)]
async fn without_the_lock_nothing_is_registered() {
    let house = House::new();
    house.vault.locks_fail.store(true, SeqCst);
    let ended = house.login("").await.unwrap();
    assert_eq!(ended.error.as_deref(), Some("StoreUnavailable"));
    assert_eq!(registrations(&house), 0);
}

#[tokio::test(start_paused = true)]
async fn a_client_that_the_issuer_rejects_is_replaced_once() {
    let house = House::new();
    let rejected = || Err(IssuerError::ClientRejected { text: "unknown client".into() });
    house.issuers.device_script.lock().unwrap().push_back(rejected());
    assert_eq!(house.login("").await.unwrap().state, "pending");
    assert_eq!(used(&house), ["client-1", "client-2"]);
    assert_eq!(site_client(&house).as_deref(), Some("client-2"));
    // An issuer that rejects the new one too is not asked for ever.
    house.issuers.device_script.lock().unwrap().extend([rejected(), rejected()]);
    let ended = house.login("other").await.unwrap();
    assert_eq!(ended.error.as_deref(), Some("ClientRefused"));
    assert_eq!(registrations(&house), 3);
}

#[tokio::test(start_paused = true)]
async fn r17_a_client_whose_secret_has_ended_is_registered_anew() {
    let house = House::new();
    house.login("").await.unwrap();
    let ends = house.clock.wall().plus(100 * S);
    for (client, _) in house.vault.clients.lock().unwrap().values_mut() {
        client.client_secret_expires_at = Some(ends);
    }
    let bob = house.caller(BOB);
    house.clock.pass(99);
    house.service.login(&bob, "", LoginOptions::default()).await.unwrap();
    assert_eq!(registrations(&house), 1);
    house.clock.pass(1);
    house.service.login(&bob, "second", LoginOptions::default()).await.unwrap();
    assert_eq!((registrations(&house), used(&house).last().unwrap().as_str()), (2, "client-2"));
}

#[tokio::test(start_paused = true)]
async fn a_new_client_is_for_the_users_own_and_for_one_that_the_issuer_refuses() {
    let house = House::new();
    let new = || LoginOptions { new_client: Some(true), ..LoginOptions::default() };
    let key = house.signed_in();
    assert_eq!(kind(house.login_with("wlcg", new()).await), Kind::DeniedByPolicy);
    assert_eq!((registrations(&house), site_client(&house).is_some()), (0, true));
    let broken = State::ClientBroken { reason: "suspended".into() };
    house.change(&key, |record| record.state = broken);
    assert_eq!(house.login_with("wlcg", new()).await.unwrap().state, "pending");
    assert_eq!(registrations(&house), 1);
    // At cms every user has their own.
    for _ in 0..2 {
        assert_eq!(house.login_with("cms", new()).await.unwrap().state, "pending");
        house.service.cancel_login(&house.caller(ALICE), "cms").await.unwrap();
        house.settle().await;
    }
    assert_eq!(registrations(&house), 3);
}
