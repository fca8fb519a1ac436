//! Tokens for a caller: never less than was asked, never another user's, never two requests.

use super::*;

fn min_valid(seconds: u32) -> TokenOptions {
    TokenOptions { min_valid_seconds: Some(seconds), ..TokenOptions::default() }
}

fn narrowed(scope: &str) -> TokenOptions {
    TokenOptions { scopes: scopes(scope), ..TokenOptions::default() }
}

#[tokio::test(start_paused = true)]
async fn a_hundred_at_once_for_an_expired_token_cost_one_request() {
    let house = House::and("[limits]\nrequests = 100\n");
    house.signed_in();
    *house.issuers.latency.lock().unwrap() = S;
    let all = (0..100).map(|_| house.token(TokenOptions::default()));
    let replies = futures_util::future::join_all(all).await;
    assert!(replies.iter().all(|reply| reply.as_ref().unwrap().token == "at1"));
    assert_eq!(house.refreshes(), 1);
}

#[tokio::test(start_paused = true)]
async fn the_same_narrowed_token_asked_again_costs_no_request_and_has_no_file() {
    let house = House::new();
    house.signed_in_with_token();
    house.log_in(ALICE).await;
    for _ in 0..2 {
        let reply = house.token(narrowed("storage.read:/atlas")).await.unwrap();
        assert_eq!((reply.token.as_str(), reply.scopes.len()), ("at1", 1));
    }
    assert_eq!(house.refreshes(), 1);
    let asked = house.issuers.wanted.lock().unwrap()[0].clone();
    assert_eq!(asked.scopes.unwrap().to_string(), "storage.read:/atlas");
    assert_eq!(house.alices_file().as_deref(), Some("at0"));
    let issued = house.audit.of(crate::audit::Kind::Narrowed);
    assert_eq!((issued.len(), issued[0].detail.as_str()), (2, ""));
    assert_eq!(house.audit.of(crate::audit::Kind::Refresh).len(), 1);
}

#[tokio::test(start_paused = true)]
async fn r66_a_minimum_that_was_asked_is_strict() {
    let house = House::new();
    house.signed_in_with_token();
    house.clock.pass(1800);
    assert_eq!(house.token(min_valid(1800)).await.unwrap().token, "at0");
    assert_eq!(house.token(min_valid(1801)).await.unwrap().token, "at1");
    let error = house.token(min_valid(3601)).await.unwrap_err();
    assert_eq!(error.kind, Kind::ValidityUnavailable);
    assert_eq!(
        error.message,
        "the issuer gives tokens that are valid for 3600 s; 3601 s were asked for"
    );
    assert_eq!(kind(house.token(min_valid(u32::MAX)).await), Kind::InvalidArgument);
    // Who takes what there is after that costs the issuer nothing more.
    let asked = house.refreshes();
    assert_eq!(house.token(min_valid(0)).await.unwrap().token, format!("at{asked}"));
    assert_eq!(house.refreshes(), asked);
}

#[tokio::test(start_paused = true)]
async fn without_a_minimum_short_lived_tokens_are_not_asked_for_again_and_again() {
    let house = House::new();
    let key = house.signed_in();
    let now = house.clock.wall();
    house.change(&key, |record| record.access_token = Some(token("at0", now, 30)));
    let any = TokenOptions::default;
    assert_eq!(house.token(any()).await.unwrap().token, "at0");
    house.clock.pass(20);
    assert_eq!(house.token(any()).await.unwrap().token, "at0");
    house.clock.pass(1);
    assert_eq!(house.token(any()).await.unwrap().token, "at1");
    // A long-lived one is given as long as the usual minute is left.
    house.clock.pass(3540);
    assert_eq!(house.token(any()).await.unwrap().token, "at1");
    house.clock.pass(1);
    assert_eq!(house.token(any()).await.unwrap().token, "at2");
}

#[tokio::test(start_paused = true)]
async fn a_new_token_is_fetched_on_demand_and_published() {
    let house = House::new();
    house.signed_in_with_token();
    house.log_in(ALICE).await;
    let options = TokenOptions { force_new: Some(true), ..TokenOptions::default() };
    assert_eq!(house.token(options).await.unwrap().token, "at1");
    assert_eq!(house.alices_file().as_deref(), Some("at1"));
}

#[tokio::test(start_paused = true)]
async fn r26_a_scope_that_was_not_granted_is_a_remark_and_one_that_is_refused_an_error() {
    let house = House::new();
    house.signed_in();
    let granted = Some(ScopeSet::parse(["storage.read:/"]).unwrap());
    house.refresh_says(Ok(Tokens { scopes: granted, ..tokens("at", None, 3600) }));
    let reply = house.token(narrowed("storage.read:/ no.such")).await.unwrap();
    assert_eq!(reply.remarks, ["the issuer did not grant: no.such"]);
    assert_eq!(reply.scopes, ["storage.read:/"]);
    house.refresh_says(Err(RefreshError::Scope { text: "not allowed".into() }));
    assert_eq!(kind(house.token(narrowed("compute.cancel")).await), Kind::ScopeUnavailable);
    assert_eq!(kind(house.token(narrowed("a\"b")).await), Kind::InvalidArgument);
}

#[tokio::test(start_paused = true)]
async fn a_path_below_a_granted_one_is_asked_for_and_one_spelling_is_as_good_as_another() {
    let house = House::new();
    house.signed_in();
    let granted = Some(ScopeSet::parse(["storage.read:/"]).unwrap());
    house.refresh_says(Ok(Tokens { scopes: granted, ..tokens("at", None, 3600) }));
    let spellings =
        ["storage.read:/atlas/x", "storage.read:/%61tlas//x", "storage.read:/atlas/./x"];
    for spelling in spellings {
        let options = TokenOptions { strict: Some(true), ..narrowed(spelling) };
        let reply = house.token(options).await.unwrap();
        // An issuer that answers with the wider scope has not granted less.
        assert_eq!((reply.token.as_str(), reply.remarks.len()), ("at", 0), "{spelling}");
    }
    assert_eq!(house.refreshes(), 1);
    let asked = house.issuers.wanted.lock().unwrap()[0].clone();
    assert_eq!(asked.scopes.unwrap().to_string(), "storage.read:/atlas/x");
    for climbing in ["storage.read:/a/..", "storage.read:/%2e%2E/a", "storage.read:/a%2f..%2fb"] {
        assert_eq!(kind(house.token(narrowed(climbing)).await), Kind::InvalidArgument);
    }
    assert_eq!(house.refreshes(), 1, "no issuer sees a path that climbs");
}

#[tokio::test(start_paused = true)]
async fn a_token_for_less_is_an_error_to_the_strict_also_out_of_the_cache() {
    let house = House::new();
    house.signed_in();
    let granted = Some(ScopeSet::parse(["storage.read:/atlas/x"]).unwrap());
    house.refresh_says(Ok(Tokens { scopes: granted, ..tokens("at", None, 3600) }));
    for strict in [false, true, false, true] {
        let options = TokenOptions { strict: Some(strict), ..narrowed("storage.read:/atlas") };
        let answer = house.token(options).await;
        if strict {
            let error = answer.unwrap_err();
            assert_eq!(error.kind, Kind::ScopeUnavailable);
            assert_eq!(error.message, "the issuer did not grant: storage.read:/atlas");
        } else {
            let reply = answer.unwrap();
            assert_eq!(reply.remarks, ["the issuer did not grant: storage.read:/atlas"]);
            assert_eq!(reply.scopes, ["storage.read:/atlas/x"]);
        }
    }
    assert_eq!(house.refreshes(), 1);
    assert_eq!(house.audit.of(crate::audit::Kind::Narrowed).len(), 2, "what was given out");
}

#[tokio::test(start_paused = true)]
async fn profile_email_and_wlcg_are_missed_where_they_were_asked_for() {
    let house = House::new();
    house.signed_in();
    let granted = Some(ScopeSet::parse(["storage.read:/"]).unwrap());
    house.refresh_says(Ok(Tokens { scopes: granted, ..tokens("at", None, 3600) }));
    let asked = || narrowed("openid offline_access profile email wlcg storage.read:/");
    let missing = "the issuer did not grant: email profile wlcg";
    assert_eq!(house.token(asked()).await.unwrap().remarks, [missing]);
    let strict = TokenOptions { strict: Some(true), ..asked() };
    let error = house.token(strict).await.unwrap_err();
    assert_eq!((error.kind, error.message.as_str()), (Kind::ScopeUnavailable, missing));
    // Those of an ID token and of a refresh token are no part of what an access token has.
    let granted = Some(ScopeSet::parse(["storage.read:/x"]).unwrap());
    house.refresh_says(Ok(Tokens { scopes: granted, ..tokens("at", None, 3600) }));
    let asked = narrowed("openid offline_access storage.read:/x");
    let strict = TokenOptions { strict: Some(true), ..asked };
    assert_eq!(house.token(strict).await.unwrap().remarks, [""; 0]);
}

#[tokio::test(start_paused = true)]
async fn an_account_is_found_by_its_issuers_url_and_of_several_there_the_default_one() {
    let house = House::new();
    let key = house.signed_in_with_token();
    let other = crate::account::AccountKey { uid: ALICE, name: "analysis".parse().unwrap() };
    {
        let mut accounts = house.vault.accounts.lock().unwrap();
        let (mut record, revision) = accounts[&key].clone();
        record.name = other.name.clone();
        accounts.insert(other.clone(), (record, revision));
    }
    for (default, expected) in [("wlcg", "wlcg"), ("analysis", "analysis")] {
        let name = default.parse().unwrap();
        let settings = crate::account::Settings {
            default_account: Some(name),
            ..crate::account::Settings::default()
        };
        house.vault.settings.lock().unwrap().insert(ALICE, (settings, 1));
        for url in ["https://issuer.test/", "https://issuer.test", "HTTPS://Issuer.test/"] {
            let caller = house.caller(ALICE);
            let reply = house.service.token(&caller, url, TokenOptions::default()).await.unwrap();
            assert_eq!(reply.account, expected, "{url}");
        }
    }
    let caller = house.caller(ALICE);
    let elsewhere = ["https://issuer.test//", "https://issuer.test/x", "https://other.test"];
    for url in elsewhere {
        let answer = house.service.token(&caller, url, TokenOptions::default()).await;
        assert_eq!(kind(answer), Kind::NoSuchAccount, "{url}");
    }
}

#[tokio::test(start_paused = true)]
async fn an_audience_is_asked_for_and_an_accounts_own_is_the_default() {
    let house = House::new();
    let key = house.signed_in();
    let own = crate::account::AudienceSet::parse(["https://own.example"]).unwrap();
    house.change(&key, |record| record.audiences = own.clone());
    let other = vec!["https://se.example".to_owned()];
    let options = TokenOptions { audiences: Some(other.clone()), ..TokenOptions::default() };
    assert_eq!(house.token(options).await.unwrap().audiences, other);
    let empty = TokenOptions { audiences: Some(Vec::new()), ..TokenOptions::default() };
    assert_eq!(house.token(empty).await.unwrap().audiences, ["https://own.example"]);
    house.refresh_says(Err(RefreshError::Audience { text: "invalid target".into() }));
    let options = TokenOptions { audiences: scopes("https://x"), ..TokenOptions::default() };
    assert_eq!(kind(house.token(options).await), Kind::AudienceUnavailable);
}

#[tokio::test(start_paused = true)]
async fn while_a_login_runs_the_error_says_to_finish_it() {
    let house = House::new();
    assert_eq!(kind(house.token(TokenOptions::default()).await), Kind::LoginRequired);
    // The first one, before there is an account.
    house.login("").await.unwrap();
    assert_eq!(kind(house.token(TokenOptions::default()).await), Kind::LoginPending);
    house.service.cancel_login(&house.caller(ALICE), "").await.unwrap();
    house.settle().await;
    let key = house.signed_in();
    house.refresh_says(Err(RefreshError::Dead { text: "revoked".into() }));
    assert_eq!(kind(house.token(TokenOptions::default()).await), Kind::LoginRequired);
    assert!(house.vault.record(&key).refresh_token.is_none());
    house.login("").await.unwrap();
    assert_eq!(kind(house.token(TokenOptions::default()).await), Kind::LoginPending);
}

#[tokio::test(start_paused = true)]
async fn r30_a_rejected_client_keeps_the_refresh_token_and_heals_by_itself() {
    let house = House::new();
    let key = house.signed_in();
    let rejected = IssuerError::ClientRejected { text: "suspended".into() };
    house.refresh_says(Err(rejected.into()));
    assert_eq!(kind(house.token(TokenOptions::default()).await), Kind::ClientBroken);
    let record = house.vault.record(&key);
    assert_eq!((record.state.word(), secret(&record)), ("client-broken", Some("rt0")));
    assert!(house.token(TokenOptions::default()).await.is_ok());
    assert_eq!(house.vault.record(&key).state, State::SignedIn);
}

#[tokio::test(start_paused = true)]
async fn r29_a_passing_failure_changes_nothing_and_a_valid_token_goes_on_working() {
    let house = House::new();
    let key = house.signed_in_with_token();
    house.refresh_says(Err(unreachable().into()));
    assert_eq!(kind(house.token(narrowed("storage.read:/x")).await), Kind::IssuerUnreachable);
    assert_eq!(house.vault.record(&key).state, State::SignedIn);
    assert_eq!(house.token(TokenOptions::default()).await.unwrap().token, "at0");
}

#[tokio::test(start_paused = true)]
async fn r55_who_asks_the_issuer_too_often_is_told_and_nobody_else_and_what_is_at_hand_is_given() {
    let house = House::and("[limits]\ntokens_per_minute = 2\nrequests = 100\n");
    house.signed_in_with_token();
    house.add(BOB, "bob", "wlcg", "https://issuer.test/");
    let force = || TokenOptions { force_new: Some(true), ..TokenOptions::default() };
    *house.issuers.latency.lock().unwrap() = S;
    // However many wait for it, it is one request.
    let all = (0..50).map(|_| house.token(narrowed("storage.read:/atlas")));
    assert!(futures_util::future::join_all(all).await.iter().all(Result::is_ok));
    house.token(force()).await.unwrap();
    let refused = house.token(force()).await.unwrap_err();
    assert_eq!(refused.kind, Kind::TooManyAttempts);
    assert!(refused.message.contains("limits.tokens_per_minute"), "{refused}");
    let asked = house.refreshes();
    for _ in 0..10 {
        house.token(TokenOptions::default()).await.unwrap();
        house.token(narrowed("storage.read:/atlas")).await.unwrap();
    }
    assert_eq!(house.refreshes(), asked);
    house.service.token(&house.caller(BOB), "", force()).await.unwrap();
    house.later(60).await;
    house.token(force()).await.unwrap();
}
