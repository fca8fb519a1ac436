//! What other nodes change, seen here.

use super::*;
use crate::account::{AccessToken, Event, ports::Changed};

/// A node that is told of the others, and who tells it.
fn one_of_several() -> (House, tokio::sync::mpsc::UnboundedSender<Changed>) {
    let house = House::new();
    let (tell, others) = tokio::sync::mpsc::unbounded_channel();
    *house.vault.others.lock().unwrap() = Some(others);
    tokio::spawn(Arc::clone(&house.service).follow_other_nodes());
    (house, tell)
}

/// Another node writes the account.
fn written(house: &House, key: &AccountKey, change: impl FnOnce(&mut Record)) {
    let mut accounts = house.vault.accounts.lock().unwrap();
    let (record, revision) = accounts.get_mut(key).unwrap();
    change(record);
    record.generation += 1;
    *revision += 1000;
}

fn token(house: &House, text: &str, seconds: u64) -> AccessToken {
    let now = house.clock.wall();
    AccessToken {
        token: text.to_owned().into(),
        issued_at: now,
        expires_at: now.plus(S * u32::try_from(seconds).unwrap()),
        scopes: profile().scopes,
    }
}

async fn told(house: &House, tell: &tokio::sync::mpsc::UnboundedSender<Changed>, key: &AccountKey) {
    tell.send(Changed::Account(key.clone())).unwrap();
    house.later(1).await;
}

#[tokio::test(start_paused = true)]
async fn a_token_that_another_node_got_is_in_the_file_here_and_no_issuer_is_asked() {
    let (house, tell) = one_of_several();
    let key = house.signed_in_with_token();
    house.log_in(ALICE).await;
    let first = house.alices_file();
    assert!(first.is_some());
    house.later(10).await;
    let newer = token(&house, "at-of-another-node", 3600);
    written(&house, &key, |record| record.access_token = Some(newer));
    told(&house, &tell, &key).await;
    assert_eq!(house.alices_file().as_deref(), Some("at-of-another-node"));
    let given = house.token(TokenOptions::default()).await.unwrap();
    assert_eq!((given.token.as_str(), house.refreshes()), ("at-of-another-node", 0));
}

#[tokio::test(start_paused = true)]
async fn of_two_tokens_of_one_second_the_file_has_the_one_that_the_store_has() {
    let (house, tell) = one_of_several();
    let key = house.signed_in_with_token();
    house.log_in(ALICE).await;
    for text in ["at-of-another-node", "at-of-the-same-second"] {
        let newer = token(&house, text, 3600);
        let newer = AccessToken {
            issued_at: UnixTime(1_000_100),
            expires_at: UnixTime(1_009_000),
            ..newer
        };
        written(&house, &key, |record| record.access_token = Some(newer));
        told(&house, &tell, &key).await;
        assert_eq!(house.alices_file().as_deref(), Some(text));
    }
}

#[tokio::test(start_paused = true)]
async fn a_sign_out_and_a_removal_on_another_node_take_file_and_tokens_away_here() {
    for removed in [false, true] {
        let (house, tell) = one_of_several();
        let key = house.signed_in_with_token();
        house.log_in(ALICE).await;
        house.token(TokenOptions::default()).await.unwrap();
        assert!(house.alices_file().is_some());
        if removed {
            house.vault.accounts.lock().unwrap().remove(&key);
        } else {
            written(&house, &key, |record| {
                record.state = record.state.clone().after(Event::SignedOut);
                record.refresh_token = None;
                record.access_token = None;
            });
        }
        told(&house, &tell, &key).await;
        assert_eq!(house.alices_file(), None, "{removed}");
        assert!(house.token(TokenOptions::default()).await.is_err());
        house.later(4000).await;
        assert_eq!((house.refreshes(), house.alices_file()), (0, None));
    }
}

#[tokio::test(start_paused = true)]
async fn a_sign_in_on_another_node_brings_the_file_here_to_who_is_here() {
    let (house, tell) = one_of_several();
    house.log_in(ALICE).await;
    assert_eq!(house.alices_file(), None);
    let key = house.signed_in_with_token();
    told(&house, &tell, &key).await;
    let file = house.alices_file();
    assert!(file.is_some());
    // Another sign-in: nothing of the one before is given out, the narrowed tokens neither.
    let narrow = || TokenOptions { scopes: Some(vec!["openid".into()]), ..TokenOptions::default() };
    house.token(narrow()).await.unwrap();
    let asked = house.refreshes();
    house.token(narrow()).await.unwrap();
    assert_eq!(house.refreshes(), asked, "from the cache");
    let (now, newer) = (house.clock.wall(), token(&house, "at-of-the-next", 3600));
    written(&house, &key, |record| {
        record.signed_in_at = Some(now.plus(S));
        record.access_token = Some(newer);
    });
    told(&house, &tell, &key).await;
    assert_eq!(house.alices_file().as_deref(), Some("at-of-the-next"));
    house.token(narrow()).await.unwrap();
    assert_eq!(house.refreshes(), asked + 1);
}

#[tokio::test(start_paused = true)]
async fn when_it_is_not_known_what_was_changed_everything_is_looked_at() {
    let (house, tell) = one_of_several();
    let key = house.signed_in_with_token();
    house.log_in(ALICE).await;
    assert!(house.alices_file().is_some());
    house.vault.accounts.lock().unwrap().remove(&key);
    tell.send(Changed::Anything).unwrap();
    house.later(1).await;
    assert_eq!(house.alices_file(), None);
}

#[tokio::test(start_paused = true)]
async fn of_users_who_are_not_here_nothing_is_written() {
    let (house, tell) = one_of_several();
    let key = house.signed_in_with_token();
    told(&house, &tell, &key).await;
    assert_eq!(house.alices_file(), None);
    tell.send(Changed::Settings(ALICE)).unwrap();
    house.later(1).await;
    assert_eq!(house.alices_file(), None);
}
