//! Which account a login is for, at which issuer, and when it is refused.

use super::*;
use crate::service::plan::Plan;

impl House {
    async fn plan(&self, named: &str, options: LoginOptions) -> Result<Plan, ServiceError> {
        let owner = self.caller(ALICE).owner;
        let accounts = self.service.accounts(&owner).await.unwrap();
        self.service.plan(&owner, &accounts, named, &options)
    }

    /// Name and issuer of a plan, or the kind of its error.
    async fn plans(&self, named: &str, options: LoginOptions) -> Result<(String, String), Kind> {
        let plan = self.plan(named, options).await.map_err(|error| error.kind)?;
        Ok((plan.key.name.to_string(), plan.profile.url.to_string()))
    }
}

fn at(issuer: &str) -> LoginOptions {
    LoginOptions { issuer: Some(issuer.into()), ..LoginOptions::default() }
}

fn none() -> LoginOptions {
    LoginOptions::default()
}

fn ok(name: &str, issuer: &str) -> Result<(String, String), Kind> {
    Ok((name.into(), issuer.into()))
}

const WLCG: &str = "https://issuer.test/";
const CMS: &str = "https://cms.test/";

#[tokio::test]
async fn a_first_login_takes_the_name_of_its_issuer() {
    let house = House::new();
    assert_eq!(house.plans("", none()).await, ok("wlcg", WLCG));
    assert_eq!(house.plans("", at("cms")).await, ok("cms", CMS));
    assert_eq!(house.plans("", at("https://cms.test")).await, ok("cms", CMS));
    assert_eq!(house.plans("https://cms.test", none()).await, ok("cms", CMS));
    assert_eq!(house.plans("cms", none()).await, ok("cms", CMS));
    assert_eq!(house.plans("mine", none()).await, ok("mine", WLCG));
    assert_eq!(house.plans("mine", at("cms")).await, ok("mine", CMS));
    // An empty issuer is none.
    assert_eq!(house.plans("", at("")).await, ok("wlcg", WLCG));
}

#[tokio::test]
async fn a_further_login_is_for_the_account_that_is_there() {
    let house = House::new();
    house.signed_in();
    assert_eq!(house.plans("", none()).await, ok("wlcg", WLCG));
    assert_eq!(house.plans("wlcg", at("wlcg")).await, ok("wlcg", WLCG));
    assert_eq!(house.plans("https://issuer.test", none()).await, ok("wlcg", WLCG));
    assert_eq!(house.plans("", at("cms")).await, ok("cms", CMS));
    assert_eq!(house.plans("wlcg", at("cms")).await, Err(Kind::InvalidArgument));
}

#[tokio::test]
async fn a_name_that_is_taken_gets_a_number() {
    let house = House::new();
    house.add(ALICE, "alice", "wlcg", CMS);
    assert_eq!(house.plans("", at("wlcg")).await, ok("wlcg-2", WLCG));
    house.vault.unreadable.lock().unwrap().insert(house.alices("wlcg-2"), "no key".into());
    assert_eq!(house.plans("", at("wlcg")).await, ok("wlcg-3", WLCG));
    // Somebody else's names take nothing.
    house.add(BOB, "bob", "cms", CMS);
    assert_eq!(house.plans("cms", at("cms")).await, ok("cms", CMS));
}

#[tokio::test]
async fn what_is_no_issuer_or_no_name_is_refused_each_with_its_kind() {
    let house = House::new();
    for (named, options, expected) in [
        ("", at("atlas"), Kind::NoSuchIssuer),
        ("", at("https://other.example/"), Kind::IssuerNotAllowed),
        ("https://other.example/", none(), Kind::IssuerNotAllowed),
        ("", at("http://other.example/"), Kind::InvalidArgument),
        ("://", none(), Kind::InvalidArgument),
        ("../etc", none(), Kind::InvalidArgument),
        ("A\u{1b}[31m", none(), Kind::InvalidArgument),
        ("x".repeat(100_000).as_str(), none(), Kind::InvalidArgument),
    ] {
        assert_eq!(house.plans(named, options).await, Err(expected), "{named:.40}");
    }
    assert_eq!(House::with("").plans("", none()).await, Err(Kind::NoSuchIssuer));
    let custom = House::with("[issuers]\ncustom = true\n");
    let other = "https://other.example/";
    assert_eq!(custom.plans("", at(other)).await, ok("other.example", other));
    house.vault.unreadable.lock().unwrap().insert(house.alices("wlcg"), "no key".into());
    assert_eq!(house.plans("wlcg", none()).await, Err(Kind::AccountUnreadable));
}

#[tokio::test]
async fn scopes_and_audiences_are_the_askers_else_the_accounts_else_the_issuers() {
    let house = House::new();
    let plan = house.plan("", none()).await.unwrap();
    assert_eq!(plan.scopes, profile().scopes);
    let asked = LoginOptions {
        scopes: scopes("compute.read storage.read:/x"),
        audiences: Some(vec!["https://se.example".into()]),
        ..none()
    };
    let plan = house.plan("", asked).await.unwrap();
    assert_eq!(plan.scopes.to_string(), "compute.read offline_access openid storage.read:/x");
    assert_eq!(plan.audiences.to_string(), "https://se.example");
    let key = house.signed_in();
    let of_account = ScopeSet::parse(["openid", "eduperson"]).unwrap();
    house.change(&key, |record| record.scopes_asked = of_account.clone());
    assert_eq!(house.plan("", none()).await.unwrap().scopes, of_account);
    let bad = LoginOptions { scopes: Some(vec!["storage.read:/../x".into()]), ..none() };
    assert_eq!(house.plan("", bad).await.err().unwrap().kind, Kind::InvalidArgument);
    let bad = LoginOptions { audiences: Some(vec!["a\tb".into()]), ..none() };
    assert_eq!(house.plan("", bad).await.err().unwrap().kind, Kind::InvalidArgument);
}

#[tokio::test(start_paused = true)]
async fn r31_a_user_who_begins_login_after_login_is_asked_to_wait_and_nobody_else_is() {
    let house = House::and("[limits]\nlogin_starts = 3\n");
    let alice = house.caller(ALICE);
    for _ in 0..3 {
        assert_eq!(house.login("one").await.unwrap().state, "pending");
        // To join the one that runs costs nothing.
        assert_eq!(house.login("one").await.unwrap().state, "pending");
        house.service.cancel_login(&alice, "one").await.unwrap();
        house.settle().await;
    }
    let refused = house.login("one").await.unwrap_err();
    assert_eq!(refused.kind, Kind::TooManyLoginStarts);
    assert!(refused.message.contains("limits.login_starts"), "{}", refused.message);
    assert_eq!(house.issuers.authorizations.load(SeqCst), 3, "the issuer was asked no more");
    let bobs = house.service.login(&house.caller(BOB), "one", none()).await.unwrap();
    assert_eq!(bobs.state, "pending");
    house.later(60).await;
    assert_eq!(house.login("one").await.unwrap().state, "pending");
}

#[tokio::test(start_paused = true)]
async fn each_limit_answers_with_its_own_error() {
    let house = House::and("[limits]\naccounts = 2\nlogins = 1\nrequests = 3\n");
    assert_eq!(house.login("one").await.unwrap().state, "pending");
    assert_eq!(kind(house.login("two").await), Kind::TooManyLogins);
    // The one that runs is joined all the same, and bob has limits of his own.
    assert_eq!(house.login("one").await.unwrap().state, "pending");
    let bobs = house.service.login(&house.caller(BOB), "one", none()).await.unwrap();
    assert_eq!(bobs.state, "pending");

    house.signed_in();
    house.vault.unreadable.lock().unwrap().insert(house.alices("old"), "no key".into());
    assert_eq!(kind(house.login("three").await), Kind::TooManyAccounts);

    let alice = house.caller(ALICE);
    let waits: Vec<_> = (0..3)
        .map(|_| {
            let (service, alice) = (house.service.clone(), alice.clone());
            tokio::spawn(async move { service.login_state(&alice, "one", 20 * S).await })
        })
        .collect();
    house.settle().await;
    assert_eq!(kind(house.service.list(&alice).await), Kind::TooManyRequests);
    assert!(house.service.list(&house.caller(BOB)).await.is_ok());
    for wait in waits {
        wait.await.unwrap().unwrap();
    }
    assert!(house.service.list(&alice).await.is_ok());
    let denied = house.audit.of(crate::audit::Kind::Denial);
    let results: Vec<&str> = denied.iter().map(|record| record.result.as_str()).collect();
    assert_eq!(results, ["TooManyLogins", "TooManyAccounts", "TooManyRequests"]);
}

#[tokio::test(start_paused = true)]
async fn a_login_under_a_new_name_is_found_again_by_that_name() {
    let house = House::new();
    house.login_with("mine", at("cms")).await.unwrap();
    let state = house.service.login_state(&house.caller(ALICE), "mine", S).await.unwrap();
    assert_eq!((state.issuer.as_str(), state.state.as_str()), (CMS, "pending"));
    let other = house.service.login_state(&house.caller(BOB), "mine", S).await;
    assert_eq!(kind(other), Kind::LoginRequired);
}

#[tokio::test(start_paused = true)]
async fn a_passphrase_makes_no_account_where_the_site_does_not_let_its_user_sign_in() {
    let house = House::ruled("[[rule]]\nfor = \"alice\"\nissuers = [\"cms\"]\n");
    let set = async |account: &str| {
        let caller = house.caller(ALICE);
        house
            .service
            .set_passphrase(&caller, account, None, Some("some words of mine".into()))
            .await
    };
    assert_eq!(kind(set("wlcg").await), Kind::DeniedByPolicy);
    assert!(house.vault.account_keys().await.unwrap().is_empty(), "nothing was kept");
}
