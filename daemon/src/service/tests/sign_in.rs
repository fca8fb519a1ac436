//! The tokens of a sign-in: kept in an order that loses nothing, for the right person only.

use super::{
    add::{CMS, WLCG, own, own_client},
    *,
};
use crate::account::ports::PollAnswer;

#[tokio::test(start_paused = true)]
async fn a_sign_in_is_journalled_stored_settled_and_only_then_published() {
    let house = House::new();
    house.log_in(ALICE).await;
    house.vault.steps.lock().unwrap().clear();
    let ended = house.sign_in("", sign_in_of("alice-sub")).await;
    assert_eq!((ended.state.as_str(), ended.subject.as_deref()), ("done", Some("alice-sub")));
    assert_eq!(*house.vault.steps.lock().unwrap(), ["lock", "journal", "save", "settle"]);
    assert!(house.vault.journal.lock().unwrap().is_empty());
    let record = house.vault.record(&house.alices("wlcg"));
    assert_eq!((record.state.clone(), secret(&record)), (State::SignedIn, Some("rt-new")));
    assert_eq!(record.subject.unwrap().sub, "alice-sub");
    assert_eq!(house.alices_file().as_deref(), Some("at-new"));
    // From the cache: the issuer is not asked.
    assert_eq!(house.token(TokenOptions::default()).await.unwrap().token, "at-new");
    assert_eq!(house.refreshes(), 0);
    assert_eq!(house.audit.of(crate::audit::Kind::SignIn).len(), 1);
}

#[tokio::test(start_paused = true)]
async fn r66_the_token_of_a_sign_in_lives_from_the_request_and_not_from_the_reply() {
    let house = House::new();
    *house.issuers.poll_latency.lock().unwrap() = 20 * S;
    let began = house.clock.wall();
    assert_eq!(house.sign_in("", sign_in_of("alice-sub")).await.state, "done");
    assert!(house.clock.wall() >= began.plus(20 * S));
    let token = house.vault.record(&house.alices("wlcg")).access_token.unwrap();
    assert_eq!((token.issued_at, token.expires_at), (began, began.plus(3600 * S)));
}

#[tokio::test(start_paused = true)]
async fn without_a_session_a_sign_in_is_kept_and_no_file_is_written() {
    let house = House::new();
    house.sign_in("", sign_in_of("alice-sub")).await;
    assert_eq!(house.alices_file(), None);
    house.log_in(ALICE).await;
    assert_eq!(house.alices_file().as_deref(), Some("at-new"));
}

#[tokio::test(start_paused = true)]
async fn a_sign_in_whose_lock_was_lost_is_stored_under_the_next() {
    let house = House::new();
    house.log_in(ALICE).await;
    house.vault.steps.lock().unwrap().clear();
    house.vault.lock_lost_at_save.store(true, SeqCst);
    assert_eq!(house.sign_in("", sign_in_of("alice-sub")).await.state, "done");
    assert_eq!(*house.vault.steps.lock().unwrap(), ["lock", "journal", "lock", "save", "settle"]);
    assert!(house.vault.journal.lock().unwrap().is_empty());
    assert_eq!(secret(&house.vault.record(&house.alices("wlcg"))), Some("rt-new"));
}

#[tokio::test(start_paused = true)]
async fn when_the_journal_or_the_store_does_not_take_it_nobody_gets_it_and_it_is_revoked() {
    for break_it in [
        |house: &House| house.vault.journal_fails.store(true, SeqCst),
        |house: &House| house.vault.saves_fail.store(true, SeqCst),
        |house: &House| house.vault.locks_fail.store(true, SeqCst),
    ] {
        let house = House::new();
        house.log_in(ALICE).await;
        let key = house.signed_in();
        break_it(&house);
        let ended = house.sign_in("wlcg", sign_in_of("alice-sub")).await;
        assert_eq!(ended.error.as_deref(), Some("StoreUnavailable"));
        assert_eq!(house.revoked(), ["rt-new"]);
        // What was revoked must not come back at the next start in the place of what works.
        assert!(house.vault.journal.lock().unwrap().is_empty());
        assert_eq!(secret(&house.vault.record(&key)), Some("rt0"));
        assert_eq!(house.alices_file(), None);
    }
}

#[tokio::test(start_paused = true)]
async fn somebody_else_who_signs_in_gets_nothing_and_the_account_stays_as_it_was() {
    let house = House::new();
    let key = house.signed_in_with_token();
    let subject = crate::account::Subject { sub: "alice-sub".into(), ..Default::default() };
    house.change(&key, |record| record.subject = Some(subject.clone()));
    house.log_in(ALICE).await;
    let nobody = tokens("at-new", Some("rt-new"), 3600);
    for other in [sign_in_of("mallory-sub"), nobody] {
        let ended = house.sign_in("wlcg", other).await;
        assert_eq!(ended.error.as_deref(), Some("IdentityMismatch"));
        assert!(!ended.message.unwrap().contains("mallory"), "nothing of the other is told");
        let record = house.vault.record(&key);
        assert_eq!((record.state.clone(), secret(&record)), (State::SignedIn, Some("rt0")));
        assert_eq!(record.subject, Some(subject.clone()));
        assert_eq!(house.alices_file().as_deref(), Some("at0"));
        assert_eq!(house.revoked().last().unwrap(), "rt-new");
        // The result stays to be seen for a while, then there is room for the next.
        house.later(130).await;
    }
    assert_eq!(house.revoked().len(), 2);
    let failed = house.audit.of(crate::audit::Kind::LoginFailed);
    assert!(failed.iter().all(|record| record.result == "IdentityMismatch"));
}

#[tokio::test(start_paused = true)]
async fn a_sign_in_without_a_refresh_token_is_refused_and_says_what_lacks() {
    let house = House::new();
    house.log_in(ALICE).await;
    let ended = house.sign_in("", tokens("at-new", None, 3600)).await;
    assert_eq!(ended.error.as_deref(), Some("IssuerRefused"));
    assert!(ended.message.unwrap().contains("offline_access"));
    assert!(house.vault.accounts.lock().unwrap().is_empty());
    assert_eq!(house.alices_file(), None);
}

#[tokio::test(start_paused = true)]
async fn a_new_sign_in_replaces_the_refresh_token_and_the_old_one_is_revoked() {
    let house = House::new();
    let key = house.signed_in_with_token();
    house.log_in(ALICE).await;
    house.sign_in("wlcg", sign_in_of("alice-sub")).await;
    house.settle().await;
    assert_eq!(secret(&house.vault.record(&key)), Some("rt-new"));
    assert_eq!(house.revoked(), ["rt0"]);
    assert_eq!(house.alices_file().as_deref(), Some("at-new"));
}

#[tokio::test(start_paused = true)]
async fn scopes_that_the_issuer_left_out_are_remarks() {
    let house = House::new();
    *house.issuers.left_out.lock().unwrap() = ScopeSet::parse(["compute.read"]).unwrap();
    let granted = Some(ScopeSet::parse(["openid"]).unwrap());
    let ended = house.sign_in("", Tokens { scopes: granted, ..sign_in_of("alice-sub") }).await;
    let expected = [
        "the issuer did not register the client for: compute.read",
        "the issuer did not grant: storage.read:/",
    ];
    assert_eq!(ended.remarks, expected);
    shows_beside("a sign-in, and the issuer granted less", expected[1]);
}

#[tokio::test(start_paused = true)]
async fn a_login_that_runs_is_joined_and_can_be_cancelled() {
    let house = House::new();
    let first = house.login("").await.unwrap();
    assert_eq!((first.state.as_str(), first.user_code.as_deref()), ("pending", Some("AB12CD")));
    assert_eq!(house.login("").await.unwrap(), first);
    assert_eq!(house.issuers.authorizations.load(SeqCst), 1);
    house.service.cancel_login(&house.caller(ALICE), "").await.unwrap();
    let ended = house.end_of_login("").await;
    assert_eq!(ended.error.as_deref(), Some("LoginCancelled"));
    let none = house.service.cancel_login(&house.caller(ALICE), "").await.unwrap_err();
    assert_eq!((none.kind, none.message.as_str()), (Kind::LoginRequired, "no login is running"));
}

#[tokio::test(start_paused = true)]
async fn a_login_only_if_needed_asks_nobody_when_it_is_not() {
    let house = House::new();
    house.signed_in();
    let options = LoginOptions { if_needed: Some(true), ..LoginOptions::default() };
    assert_eq!(house.login_with("", options.clone()).await.unwrap().state, "done");
    assert_eq!(house.issuers.authorizations.load(SeqCst), 0);
    let dead = State::LoginRequired { reason: "expired".into() };
    house.change(&house.alices("wlcg"), |record| record.state = dead);
    assert_eq!(house.login_with("", options).await.unwrap().state, "pending");
}

#[tokio::test(start_paused = true)]
async fn two_accounts_that_are_made_in_one_session_have_a_file_each() {
    let house = House::new();
    house.log_in(ALICE).await;
    house.sign_in("", sign_in_of("alice-sub")).await;
    let cms = Tokens { access_token: "at-cms".to_owned().into(), ..sign_in_of("alice-at-cms") };
    house.sign_in("cms", cms).await;
    assert_eq!(house.alices_file().as_deref(), Some("at-new"));
    assert_eq!(house.file(ALICE, "bt_u1001-cms").as_deref(), Some("at-cms"));
}

#[tokio::test(start_paused = true)]
async fn when_the_default_account_changes_the_files_change_names() {
    let house = House::new();
    let quiet = iamd_protocol::pam::Open { quiet: true, ..house.frame(ALICE) };
    house.open(quiet).await;
    let cms = Tokens { access_token: "at-cms".to_owned().into(), ..sign_in_of("alice-at-cms") };
    house.sign_in("cms", cms).await;
    assert_eq!(house.alices_file().as_deref(), Some("at-cms"));
    let ended = house.sign_in("wlcg", sign_in_of("alice-sub")).await;
    assert_eq!(ended.state, "done", "{ended:?}");
    house.settle().await;
    assert_eq!(house.alices_file().as_deref(), Some("at-new"));
    assert_eq!(house.file(ALICE, "bt_u1001-cms").as_deref(), Some("at-cms"));
}

#[tokio::test(start_paused = true)]
async fn the_tokens_of_one_issuer_never_get_into_an_account_at_another() {
    let house = std::sync::Arc::new(House::new());
    *house.issuers.register_latency.lock().unwrap() = 20 * S;
    let adding = tokio::spawn({
        let house = house.clone();
        async move { house.make("x", own_client(), &[]).await }
    });
    house.settle().await;
    *house.issuers.register_latency.lock().unwrap() = Duration::ZERO;
    house.approve(sign_in_of("alice-sub"));
    for _ in 0..8 {
        house.issuers.poll_script.lock().unwrap().push_front(PollAnswer::Pending);
    }
    let at_cms = LoginOptions { issuer: Some("cms".into()), ..LoginOptions::default() };
    house.login_with("x", at_cms).await.unwrap();
    adding.await.unwrap().unwrap();
    let ended = house.end_of_login("x").await;
    assert_eq!(ended.error.as_deref(), Some("LoginCancelled"), "{ended:?}");
    assert_eq!(house.revoked(), ["rt-new"]);
    let record = house.vault.record(&house.alices("x"));
    assert_eq!((record.issuer.as_str(), secret(&record)), (WLCG, None));
    assert_eq!((record.state.clone(), record.client_owner), (State::New, own("x")));
}

#[tokio::test(start_paused = true)]
async fn a_login_does_not_take_over_an_account_that_got_its_name_meanwhile() {
    for (issuer, client) in [(CMS, ClientOwner::Site), (WLCG, own("x"))] {
        let house = House::new();
        house.login("x").await.unwrap();
        // As a rename does that looked before the login began.
        let key = house.add(ALICE, "alice", "x", issuer);
        house.change(&key, |record| record.client_owner = client.clone());
        house.approve(sign_in_of("alice-sub"));
        let ended = house.end_of_login("x").await;
        assert_eq!(ended.error.as_deref(), Some("LoginCancelled"), "{ended:?}");
        assert_eq!(house.revoked(), ["rt-new"]);
        let record = house.vault.record(&key);
        assert_eq!((secret(&record), &record.client_owner), (Some("rt-of-1001"), &client));
    }
}

#[tokio::test(start_paused = true)]
async fn a_login_that_names_something_else_than_what_runs_does_not_join_it() {
    let house = House::new();
    let started = house.login("x").await.unwrap();
    let base = LoginOptions::default;
    for other in [
        LoginOptions { issuer: Some("cms".into()), ..base() },
        LoginOptions { scopes: scopes("compute.read"), ..base() },
        LoginOptions { audiences: scopes("https://storage.test"), ..base() },
        LoginOptions { new_client: Some(true), ..base() },
    ] {
        let refused = house.login_with("x", other).await.unwrap_err();
        assert_eq!(refused.kind, Kind::LoginPending);
        let says = ["at https://issuer.test/", "iamctl login --cancel x"];
        assert!(says.iter().all(|part| refused.message.contains(part)), "{}", refused.message);
    }
    // Who names nothing, or just what runs, joins.
    let same = profile().scopes.iter().map(|scope| scope.to_string()).collect();
    let same = LoginOptions { issuer: Some("wlcg".into()), scopes: Some(same), ..base() };
    for options in [base(), same] {
        assert_eq!(house.login_with("x", options).await.unwrap().user_code, started.user_code);
    }
    assert_eq!(house.issuers.authorizations.load(SeqCst), 1);
}

#[tokio::test(start_paused = true)]
async fn who_joins_a_login_is_told_at_which_issuer_it_is() {
    let house = House::new();
    let at_cms = LoginOptions { issuer: Some("cms".into()), ..LoginOptions::default() };
    let started = house.login_with("x", at_cms).await.unwrap();
    let joined = house.login("x").await.unwrap();
    assert_eq!(joined, started);
    assert_eq!((joined.issuer.as_str(), joined.issuer_title.as_str()), (CMS, "CMS"));
}
