//! Another name, another default: everything follows, and no token is ever under a wrong name.

use iamd_protocol::bus::AddOptions;

use super::{
    add::{WLCG, own, own_client},
    *,
};
use crate::audit;

impl House {
    async fn rename(&self, from: &str, to: &str) -> Result<String, ServiceError> {
        Ok(self.service.rename(&self.caller(ALICE), from, to).await?.account)
    }
}

#[tokio::test(start_paused = true)]
async fn the_account_its_client_its_default_and_its_file_follow() {
    let house = House::new();
    let options = AddOptions { make_default: Some(true), ..own_client() };
    house.make("mine", options, &[]).await.unwrap();
    house.log_in(ALICE).await;
    house.sign_in("mine", sign_in_of("alice-sub")).await;
    house.add(ALICE, "alice", "aaa", WLCG);
    assert_eq!(house.rename("mine", "work").await.unwrap(), "work");
    assert!(!house.vault.accounts.lock().unwrap().contains_key(&house.alices("mine")));
    let record = house.vault.record(&house.alices("work"));
    assert_eq!((secret(&record), &record.client_owner), (Some("rt-new"), &own("work")));
    assert!(
        house.client(&own("work"), WLCG).is_some() && house.client(&own("mine"), WLCG).is_none()
    );
    assert_eq!(house.service.show(&house.caller(ALICE), "").await.unwrap().name, "work");
    assert_eq!(house.alices_file().as_deref(), Some("at-new"));
    assert_eq!(house.token(TokenOptions::default()).await.unwrap().account, "work");
    assert_eq!(house.refreshes(), 0);
    // The keeper goes on under the new name.
    house.later(3600).await;
    assert!(house.alices_file().is_some_and(|token| token != "at-new"));
    assert_eq!(house.audit.of(audit::Kind::AccountChanged)[0].detail, "is called work now");
}

#[tokio::test(start_paused = true)]
async fn the_file_of_another_than_the_default_account_has_the_new_name_only() {
    let house = House::new();
    house.signed_in_with_token();
    let second = house.add(ALICE, "alice", "zzz", WLCG);
    let now = house.clock.wall();
    house.change(&second, |record| record.access_token = Some(token("at-z", now, 3600)));
    house.log_in(ALICE).await;
    house.settle().await;
    assert_eq!(house.file(ALICE, "bt_u1001-zzz").as_deref(), Some("at-z"));
    house.rename("zzz", "yyy").await.unwrap();
    house.settle().await;
    assert_eq!(house.file(ALICE, "bt_u1001-yyy").as_deref(), Some("at-z"));
    assert_eq!(house.file(ALICE, "bt_u1001-zzz"), None);
    assert_eq!(house.alices_file().as_deref(), Some("at0"));
}

#[tokio::test(start_paused = true)]
async fn a_name_that_is_taken_or_none_and_a_running_login_are_refused() {
    let house = House::new();
    let key = house.signed_in();
    house.add(ALICE, "alice", "two", WLCG);
    assert_eq!(kind(house.rename("wlcg", "two").await), Kind::AccountExists);
    assert_eq!(kind(house.rename("wlcg", "wlcg").await), Kind::AccountExists);
    assert_eq!(kind(house.rename("wlcg", "a/b").await), Kind::InvalidArgument);
    assert_eq!(kind(house.rename("none", "b").await), Kind::NoSuchAccount);
    house.login("wlcg").await.unwrap();
    assert_eq!(kind(house.rename("wlcg", "b").await), Kind::LoginPending);
    house.service.cancel_login(&house.caller(ALICE), "wlcg").await.unwrap();
    house.settle().await;
    house.vault.saves_fail.store(true, SeqCst);
    assert_eq!(kind(house.rename("wlcg", "b").await), Kind::StoreUnavailable);
    assert_eq!(secret(&house.vault.record(&key)), Some("rt0"));
}

#[tokio::test(start_paused = true)]
async fn a_refresh_token_that_the_store_did_not_take_is_not_lost_by_a_rename() {
    let house = House::new();
    house.signed_in();
    house.vault.saves_fail.store(true, SeqCst);
    house.token(TokenOptions::default()).await.unwrap();
    assert_eq!(kind(house.rename("wlcg", "b").await), Kind::StoreUnavailable);
    house.vault.saves_fail.store(false, SeqCst);
    house.rename("wlcg", "b").await.unwrap();
    assert_eq!(secret(&house.vault.record(&house.alices("b"))), Some("rt1"));
}

#[tokio::test(start_paused = true)]
async fn the_plain_file_goes_from_one_account_to_the_other() {
    let house = House::new();
    house.signed_in_with_token();
    let second = house.add(ALICE, "alice", "zzz", WLCG);
    let now = house.clock.wall();
    house.change(&second, |record| record.access_token = Some(token("at-z", now, 3600)));
    house.log_in(ALICE).await;
    house.settle().await;
    let caller = house.caller(ALICE);
    assert_eq!(house.service.set_default(&caller, "zzz").await.unwrap().account, "zzz");
    assert_eq!(house.alices_file().as_deref(), Some("at-z"));
    assert_eq!(house.file(ALICE, "bt_u1001-wlcg").as_deref(), Some("at0"));
    assert_eq!(house.file(ALICE, "bt_u1001-zzz"), None);
    assert_eq!(house.token(TokenOptions::default()).await.unwrap().account, "zzz");
    house.service.set_default(&caller, "wlcg").await.unwrap();
    assert_eq!(house.alices_file().as_deref(), Some("at0"));
    assert_eq!(house.file(ALICE, "bt_u1001-zzz").as_deref(), Some("at-z"));
    assert_eq!(kind(house.service.set_default(&caller, "none").await), Kind::NoSuchAccount);
    // The notice stays switched off through it.
    house.service.set_notice(&caller, false).await.unwrap();
    house.service.set_default(&caller, "zzz").await.unwrap();
    assert!(!house.service.status(&caller).await.unwrap().notice);
}

#[tokio::test]
async fn a_client_that_was_left_behind_is_no_obstacle_to_its_accounts_name() {
    use crate::account::ports::Revision;
    let house = House::sealing().await;
    house.make("a", own_client(), &[]).await.unwrap();
    let left = crate::testing::client(own("b"), &profile().url, 9);
    house.kept.save_client(&left, Revision::ABSENT).await.unwrap();
    house.service.rename(&house.caller(ALICE), "a", "b").await.unwrap();
    assert_eq!(*house.issuers.deregistered.lock().unwrap(), ["client-9"]);
    let kept = house.kept.client(&own("b"), profile().url.as_str()).await.unwrap().unwrap();
    assert_eq!(kept.value.client_id, "client-1");
}
