//! Signing out: what is gone here is gone, whatever the issuer says.

use super::*;

async fn log_out(house: &House) -> iamd_protocol::bus::LogoutReply {
    house.service.logout(&house.caller(ALICE), "").await.unwrap()
}

#[tokio::test(start_paused = true)]
async fn a_logout_revokes_forgets_and_removes() {
    let house = House::new();
    let key = house.signed_in_with_token();
    house.log_in(ALICE).await;
    house.token(TokenOptions::default()).await.unwrap();
    let reply = log_out(&house).await;
    assert_eq!((reply.account.as_str(), reply.revoked, reply.remarks.len()), ("wlcg", true, 0));
    assert_eq!(house.revoked(), ["rt0"]);
    assert_eq!(house.alices_file(), None);
    let record = house.vault.record(&key);
    assert!(record.refresh_token.is_none() && record.access_token.is_none());
    assert_eq!(record.state.reason(), Some("signed out"));
    assert_eq!(kind(house.token(TokenOptions::default()).await), Kind::LoginRequired);
    let signed_out = house.audit.of(crate::audit::Kind::SignOut);
    assert_eq!(signed_out[0].result, "ok");
    // The keeper has stopped: nothing is asked and nothing comes back.
    house.later(4000).await;
    assert_eq!((house.refreshes(), house.alices_file()), (0, None));
}

#[tokio::test(start_paused = true)]
async fn r47_a_revocation_that_fails_is_a_remark_and_the_tokens_are_gone_here() {
    let house = House::new();
    let key = house.signed_in_with_token();
    house.log_in(ALICE).await;
    house.issuers.revoke_script.lock().unwrap().push_back(Err(unreachable()));
    let reply = log_out(&house).await;
    assert!(!reply.revoked);
    shows_beside("logout, and the issuer does not answer", &reply.remarks[0]);
    assert!(house.vault.record(&key).refresh_token.is_none());
    assert_eq!(house.alices_file(), None);
    assert_eq!(house.audit.of(crate::audit::Kind::SignOut)[0].result, "not-revoked");
}

#[tokio::test(start_paused = true)]
async fn a_refresh_that_is_under_way_at_a_logout_revives_nothing_and_its_successor_is_revoked() {
    let house = House::new();
    let key = house.signed_in();
    *house.issuers.latency.lock().unwrap() = 5 * S;
    // The session's own preparation begins the refresh.
    house.log_in(ALICE).await;
    assert_eq!(house.refreshes(), 1);
    let reply = log_out(&house).await;
    assert!(reply.revoked);
    // Never the one that the issuer had replaced meanwhile.
    assert_eq!(house.revoked(), ["rt1"]);
    house.later(100).await;
    let record = house.vault.record(&key);
    assert!(record.state.wants_login() && record.refresh_token.is_none());
    assert_eq!(house.alices_file(), None);
    assert_eq!(kind(house.token(TokenOptions::default()).await), Kind::LoginRequired);
}

#[tokio::test(start_paused = true)]
async fn r25_r47_a_logout_ends_the_newest_refresh_token_also_where_the_store_did_not_take_it() {
    let house = House::new();
    let key = house.signed_in();
    house.vault.saves_fail.store(true, SeqCst);
    assert_eq!(house.token(TokenOptions::default()).await.unwrap().token, "at1");
    assert_eq!(secret(&house.vault.record(&key)), Some("rt0"));
    house.vault.saves_fail.store(false, SeqCst);
    assert!(log_out(&house).await.revoked);
    assert_eq!(house.revoked(), ["rt1"]);
    assert_eq!(secret(&house.vault.record(&key)), None);
    // Nothing of it comes back into an account of that name.
    assert_eq!(kind(house.token(TokenOptions::default()).await), Kind::LoginRequired);
}

#[tokio::test(start_paused = true)]
async fn a_logout_ends_the_login_that_runs() {
    let house = House::new();
    house.signed_in();
    house.login("").await.unwrap();
    log_out(&house).await;
    assert_eq!(house.end_of_login("").await.error.as_deref(), Some("LoginCancelled"));
}

#[tokio::test(start_paused = true)]
async fn a_logout_of_one_account_leaves_the_other() {
    let house = House::new();
    house.signed_in_with_token();
    let cms = house.add(ALICE, "alice", "cms", "https://cms.test/");
    let now = house.clock.wall();
    house.change(&cms, |record| record.access_token = Some(token("at-cms", now, 3600)));
    house.log_in(ALICE).await;
    house.settle().await;
    assert_eq!(house.file(ALICE, "bt_u1001-cms").as_deref(), Some("at-cms"));
    house.service.logout(&house.caller(ALICE), "cms").await.unwrap();
    assert_eq!(house.file(ALICE, "bt_u1001-cms"), None);
    assert_eq!(house.alices_file().as_deref(), Some("at0"));
}

#[tokio::test(start_paused = true)]
async fn when_the_store_is_down_a_logout_says_so_and_changes_nothing() {
    let house = House::new();
    let key = house.signed_in_with_token();
    house.log_in(ALICE).await;
    house.vault.saves_fail.store(true, SeqCst);
    let result = house.service.logout(&house.caller(ALICE), "").await;
    assert_eq!(kind(result), Kind::StoreUnavailable);
    assert!(house.revoked().is_empty());
    assert_eq!(secret(&house.vault.record(&key)), Some("rt0"));
    assert!(house.alices_file().is_some());
}

#[tokio::test(start_paused = true)]
async fn an_account_that_does_not_open_can_be_given_up_by_its_name_and_made_again() {
    let house = House::new();
    let key = house.alices("wlcg");
    house.vault.unreadable.lock().unwrap().insert(key, "the key is missing".into());
    let result = house.service.logout(&house.caller(ALICE), "").await;
    assert_eq!(kind(result), Kind::AccountUnreadable);
    let reply = house.service.logout(&house.caller(ALICE), "wlcg").await.unwrap();
    assert!(!reply.revoked);
    shows_beside("logout of an account that does not open", &reply.remarks[0]);
    let ended = house.sign_in("wlcg", sign_in_of("alice-sub")).await;
    assert_eq!((ended.state.as_str(), ended.account.as_str()), ("done", "wlcg"));
}

#[tokio::test(start_paused = true)]
async fn a_client_that_is_not_the_sign_ins_presents_no_refresh_token_to_the_issuer() {
    let house = House::new();
    let key = house.signed_in();
    house.change(&key, |record| record.client_id = Some("an-earlier-client".into()));
    let reply = log_out(&house).await;
    assert!(!reply.revoked && house.revoked().is_empty());
    assert!(house.vault.record(&key).refresh_token.is_none());
}

#[tokio::test(start_paused = true)]
async fn a_logout_makes_room_and_the_next_sign_in_may_be_another_person() {
    let house = House::and("[limits]\naccounts = 1\n");
    house.sign_in("", sign_in_of("wrong-person")).await;
    assert_eq!(kind(house.login("second").await), Kind::TooManyAccounts);
    let alice = house.caller(ALICE);
    house.service.logout(&alice, "").await.unwrap();
    // The same account, for the right person this time.
    let ended = house.sign_in("", sign_in_of("right-person")).await;
    assert_eq!((ended.state.as_str(), ended.subject.as_deref()), ("done", Some("right-person")));
    house.service.logout(&alice, "").await.unwrap();
    assert_eq!(house.login("second").await.unwrap().state, "pending");
}

/// A house where a sign-in of alice's has its tokens, and waits for the name service to be judged.
async fn judging() -> House {
    let house = House::ruled("[[rule]]\nfor = \"@guests\"\nissuers = [\"cms\"]\n");
    house.log_in(ALICE).await;
    house.approve(sign_in_of("alice"));
    house.name_service_dies(true);
    // The first poll comes after 5 s and brings the tokens; to judge them takes 5 s more.
    house.later(7).await;
    assert_eq!(house.issuers.polls.load(SeqCst), 1);
    house.name_service_dies(false);
    house
}

/// Nobody is signed in, and the tokens that came were ended at the issuer.
async fn nothing_was_kept(house: &House) {
    house.later(60).await;
    assert_eq!((house.alices_file(), house.revoked()), (None, vec!["rt-new".to_owned()]));
    let accounts = house.vault.accounts.lock().unwrap();
    assert!(accounts.values().all(|(record, _)| secret(record).is_none()));
}

#[tokio::test(start_paused = true)]
async fn a_login_that_is_cancelled_while_its_tokens_are_judged_signs_nobody_in() {
    let house = judging().await;
    house.service.cancel_login(&house.caller(ALICE), "").await.unwrap();
    nothing_was_kept(&house).await;
    let failed = house.audit.of(crate::audit::Kind::LoginFailed);
    assert_eq!(failed[0].result, "LoginCancelled");
}

#[tokio::test(start_paused = true)]
async fn what_an_administrator_revokes_does_not_come_back_by_a_login_whose_tokens_are_judged() {
    let house = judging().await;
    let options =
        iamd_protocol::bus::RevokeOptions { user: Some("alice".into()), ..Default::default() };
    assert_eq!(house.service.revoke_sign_ins(By::ITSELF, options).await.unwrap().logins, 1);
    nothing_was_kept(&house).await;
}

#[tokio::test(start_paused = true)]
async fn a_logout_is_one_also_of_a_login_whose_tokens_are_judged() {
    let house = House::ruled("[[rule]]\nfor = \"@guests\"\nissuers = [\"cms\"]\n");
    let key = house.signed_in_with_token();
    house.log_in(ALICE).await;
    house.settle().await;
    house.login("").await.unwrap();
    house.approve(sign_in_of("alice"));
    house.name_service_dies(true);
    house.later(7).await;
    house.name_service_dies(false);
    assert!(log_out(&house).await.revoked);
    house.later(60).await;
    assert_eq!((secret(&house.vault.record(&key)), house.alices_file()), (None, None));
    assert_eq!(house.revoked(), ["rt0", "rt-new"]);
}

#[tokio::test(start_paused = true)]
async fn a_cancel_while_the_tokens_are_on_their_way_is_told_at_once_and_ends_them() {
    let house = House::new();
    house.log_in(ALICE).await;
    house.approve(sign_in_of("alice"));
    *house.issuers.poll_latency.lock().unwrap() = 20 * S;
    house.later(7).await;
    house.service.cancel_login(&house.caller(ALICE), "").await.unwrap();
    house.settle().await;
    let progress = house.service.logins.of(&house.alices("wlcg")).unwrap();
    assert!(progress.borrow().is_over(), "nobody waits for the issuer's answer");
    assert!(house.vault.logins().await.unwrap().is_empty(), "it does not go on after a restart");
    nothing_was_kept(&house).await;
}
