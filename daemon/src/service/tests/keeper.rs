//! Tokens are kept fresh while their owner is here, and a file never outlives its token.

use super::*;

#[tokio::test(start_paused = true)]
async fn r29_a_token_is_renewed_at_two_thirds_of_its_life_and_the_file_with_it() {
    let house = House::new();
    house.signed_in_with_token();
    house.log_in(ALICE).await;
    house.later(2399).await;
    assert_eq!((house.refreshes(), house.alices_file().as_deref()), (0, Some("at0")));
    house.later(2).await;
    assert_eq!((house.refreshes(), house.alices_file().as_deref()), (1, Some("at1")));
    // And again, and no more often than that.
    house.later(2400).await;
    assert_eq!((house.refreshes(), house.alices_file().as_deref()), (2, Some("at2")));
}

#[tokio::test(start_paused = true)]
async fn r62_a_token_that_lives_a_minute_is_replaced_before_it_ends_for_five_minutes() {
    let house = House::new();
    house
        .issuers
        .refresh_script
        .lock()
        .unwrap()
        .extend((0..20).map(|number| Ok(tokens(&format!("short{number}"), Some("rt0"), 60))));
    house.signed_in();
    house.log_in(ALICE).await;
    let (mut since, mut last) = (house.clock.wall(), house.alices_file().unwrap());
    for _ in 0..300 {
        house.later(1).await;
        let now = house.alices_file().expect("missing");
        if now != last {
            (since, last) = (house.clock.wall(), now);
        }
        assert!(house.clock.wall().after(since) < 60 * S, "expired");
    }
    assert!((7..=9).contains(&house.refreshes()), "{}", house.refreshes());
}

#[tokio::test(start_paused = true)]
async fn r06_failures_are_tried_again_ever_more_slowly_and_the_file_stays_to_the_tokens_end() {
    let house = House::new();
    let key = house.signed_in_with_token();
    house.log_in(ALICE).await;
    house
        .issuers
        .refresh_script
        .lock()
        .unwrap()
        .extend((0..1000).map(|_| Err(unreachable().into())));
    house.later(2400).await;
    let mut tries = Vec::new();
    for second in 0..1190 {
        let before = house.refreshes();
        house.later(1).await;
        tries.extend((before..house.refreshes()).map(|_| second));
        assert!(house.alices_file().is_some(), "gone {second} s after the first failure");
    }
    let waits: Vec<u64> = tries.windows(2).map(|pair| pair[1] - pair[0]).collect();
    assert_eq!(waits[..8], [2, 4, 8, 16, 32, 64, 120, 120]);
    house.later(12).await;
    assert_eq!(house.alices_file(), None, "r62: never left stale");
    assert_eq!(house.vault.record(&key).state, State::SignedIn);
    // When the issuer is back, so is the token, in two minutes at the latest.
    house.issuers.refresh_script.lock().unwrap().clear();
    house.later(121).await;
    assert!(house.alices_file().is_some());
}

#[tokio::test(start_paused = true)]
async fn a_node_that_slept_or_whose_clock_was_set_has_good_files_within_seconds() {
    let house = House::new();
    house.signed_in_with_token();
    house.log_in(ALICE).await;
    let following = tokio::spawn(std::sync::Arc::clone(&house.service).follow_the_clock());
    house.later(20).await;
    assert_eq!((house.refreshes(), house.alices_file().as_deref()), (0, Some("at0")));
    // Nobody's timer went on meanwhile.
    house.clock.pass(7200);
    house.later(6).await;
    assert_eq!((house.refreshes(), house.alices_file().as_deref()), (1, Some("at1")));
    // A day back: when the token ends is not known any more.
    house.clock.pass(86_400_u64.wrapping_neg());
    house.later(6).await;
    assert_eq!((house.refreshes(), house.alices_file().as_deref()), (2, Some("at2")));
    following.abort();
}

#[tokio::test(start_paused = true)]
async fn r31_an_issuer_that_asks_for_time_gets_it() {
    let house = House::new();
    house.signed_in_with_token();
    house.log_in(ALICE).await;
    let text = "429".to_owned();
    let retry_after = Some(300 * S);
    let busy = IssuerError::Unreachable {
        text,
        retry_after,
        maybe_processed: false,
        reply_lost: false,
        too_slow: false,
        cause: Default::default(),
    };
    house.refresh_says(Err(busy.into()));
    house.later(2401).await;
    assert_eq!(house.refreshes(), 1);
    house.later(298).await;
    assert_eq!(house.refreshes(), 1);
    house.later(3).await;
    assert_eq!((house.refreshes(), house.alices_file().as_deref()), (2, Some("at2")));
}

#[tokio::test(start_paused = true)]
async fn a_dead_sign_in_is_not_tried_again_and_its_token_serves_to_its_end() {
    let house = House::new();
    let key = house.signed_in_with_token();
    house.log_in(ALICE).await;
    house.refresh_says(Err(RefreshError::Dead { text: "revoked".into() }));
    house.later(2401).await;
    assert!(house.vault.record(&key).state.wants_login());
    house.later(1190).await;
    assert_eq!(house.alices_file().as_deref(), Some("at0"));
    house.later(15).await;
    assert_eq!((house.refreshes(), house.alices_file()), (1, None));
}

#[tokio::test(start_paused = true)]
async fn a_new_sign_in_wakes_the_keeper_and_costs_no_refresh() {
    let house = House::new();
    house.signed_in_with_token();
    house.log_in(ALICE).await;
    house.refresh_says(Err(RefreshError::Dead { text: "revoked".into() }));
    house.later(3000).await;
    assert_eq!(house.refreshes(), 1);
    house.sign_in("", sign_in_of("alice-sub")).await;
    house.later(2300).await;
    assert_eq!((house.refreshes(), house.alices_file().as_deref()), (1, Some("at-new")));
    house.later(200).await;
    assert_eq!((house.refreshes(), house.alices_file().as_deref()), (2, Some("at2")));
}

#[tokio::test(start_paused = true)]
async fn for_users_who_left_nothing_is_renewed() {
    let house = House::new();
    house.signed_in_with_token();
    let opened = house.log_in(ALICE).await;
    house.service.close_session(opened.session);
    house.later(10_000).await;
    assert_eq!(house.refreshes(), 0);
    // A token by command is still to be had, and writes no file for nobody.
    assert_eq!(house.token(TokenOptions::default()).await.unwrap().token, "at1");
    assert_eq!(house.alices_file(), None);
}

#[tokio::test(start_paused = true)]
async fn every_account_of_a_user_has_its_file_and_one_that_fails_does_not_hold_the_others() {
    let house = House::new();
    house.signed_in_with_token();
    let broken = house.add(ALICE, "alice", "gone", "https://no-longer-listed.test/");
    let cms = house.add(ALICE, "alice", "cms", "https://cms.test/");
    let now = house.clock.wall();
    house.change(&cms, |record| record.access_token = Some(token("at-cms", now, 3600)));
    house.change(&broken, |record| record.access_token = Some(token("at-gone", now, 100)));
    house.log_in(ALICE).await;
    house.settle().await;
    assert_eq!(house.file(ALICE, "bt_u1001-cms").as_deref(), Some("at-cms"));
    house.later(102).await;
    assert_eq!(house.file(ALICE, "bt_u1001-gone"), None, "the site lists its issuer no more");
    assert_eq!(house.alices_file().as_deref(), Some("at0"));
}

#[tokio::test(start_paused = true)]
async fn a_store_that_is_away_for_a_while_ends_no_keeper() {
    let house = House::new();
    house.signed_in_with_token();
    house.log_in(ALICE).await;
    house.vault.store_fails.store(true, SeqCst);
    house.later(2500).await;
    house.vault.store_fails.store(false, SeqCst);
    house.later(200).await;
    assert!(house.refreshes() >= 1);
    assert_ne!(house.alices_file().as_deref(), Some("at0"));
}

#[tokio::test(start_paused = true)]
async fn a_file_that_the_user_removed_is_back_at_the_next_login() {
    let house = House::new();
    house.signed_in_with_token();
    house.log_in(ALICE).await;
    std::fs::remove_file(house.dir.path().join("users/1001/bt_u1001")).unwrap();
    house.log_in(ALICE).await;
    assert_eq!(house.alices_file().as_deref(), Some("at0"));
}

#[tokio::test(start_paused = true)]
async fn an_issuer_whose_tokens_are_of_no_use_is_not_asked_without_end() {
    // A token that has ended when it comes, and one that ends sooner than the one it replaces.
    for (lives, most) in [(0, 12), (30, 40)] {
        let house = House::new();
        house.signed_in_with_token();
        house.log_in(ALICE).await;
        let useless = || Ok(tokens("at-short", Some("rt0"), lives));
        house.issuers.refresh_script.lock().unwrap().extend((0..10_000).map(|_| useless()));
        house.later(3000).await;
        assert!((1..=most).contains(&house.refreshes()), "{lives}: {}", house.refreshes());
    }
}

#[tokio::test(start_paused = true)]
async fn r06_logins_of_the_user_do_not_hurry_an_issuer_that_fails() {
    let house = House::new();
    let key = house.signed_in();
    house.issuers.refresh_script.lock().unwrap().extend((0..99).map(|_| Err(unreachable().into())));
    house.log_in(ALICE).await;
    house.later(60).await;
    let before = house.refreshes();
    for _ in 0..5 {
        house.service.keep(&key);
        house.settle().await;
    }
    assert_eq!(house.refreshes(), before);
}
