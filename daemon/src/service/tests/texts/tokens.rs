//! A token is asked for and not given.

use super::*;

fn shows(when: &str, error: ServiceError) {
    crate::testing::shows("Tokens", when, error);
}

fn force() -> TokenOptions {
    TokenOptions { force_new: Some(true), ..TokenOptions::default() }
}

#[tokio::test(start_paused = true)]
async fn of_an_account_that_is_not_there_or_not_signed_in() {
    let house = House::new();
    let alice = house.caller(ALICE);
    let asked = TokenOptions::default;
    shows("the user never signed in", told(house.token(asked()).await));
    let named = house.service.token(&alice, "cms", asked()).await;
    shows("no account has that name, or none is at that issuer", told(named));
    house.login("cms").await.unwrap();
    let first = house.service.token(&alice, "cms", asked()).await;
    shows("the first login of the account waits for the user", told(first));
    house.make("", AddOptions::default(), &[]).await.unwrap();
    let new = house.service.token(&alice, "wlcg", asked()).await;
    shows("the account was made and never signed in", told(new));
    house.login("wlcg").await.unwrap();
    let new = house.service.token(&alice, "wlcg", asked()).await;
    shows("the login of an account that is there waits for the user", told(new));
}

#[tokio::test(start_paused = true)]
async fn too_often() {
    let house = House::and("[limits]\ntokens_per_minute = 1\n");
    house.signed_in();
    house.token(force()).await.unwrap();
    let second = told(house.token(force()).await);
    shows("more new tokens in a minute than limits.tokens_per_minute", second);
}

#[tokio::test(start_paused = true)]
async fn after_a_sign_out() {
    let house = House::new();
    house.signed_in();
    house.service.logout(&house.caller(ALICE), "").await.unwrap();
    shows("the user signed out", told(house.token(force()).await));
}

#[tokio::test(start_paused = true)]
async fn with_what_the_issuer_does_not_give() {
    let house = House::new();
    house.signed_in();
    let hour = TokenOptions { min_valid_seconds: Some(3601), ..TokenOptions::default() };
    shows("--min-valid is longer than the issuer's tokens live", told(house.token(hour).await));
    let ages = TokenOptions { min_valid_seconds: Some(u32::MAX), ..TokenOptions::default() };
    shows("--min-valid is more than ten years", told(house.token(ages).await));
    let granted = Some(ScopeSet::parse(["openid"]).unwrap());
    house.refresh_says(Ok(Tokens { scopes: granted, ..tokens("at", None, 3600) }));
    let strict = TokenOptions {
        scopes: scopes("openid storage.read:/"),
        strict: Some(true),
        ..TokenOptions::default()
    };
    shows("--strict, and the issuer granted less", told(house.token(strict).await));
}

#[tokio::test(start_paused = true)]
async fn whose_words_are_none() {
    let house = House::new();
    house.signed_in();
    let asked = |text: &str| TokenOptions { scopes: scopes(text), ..TokenOptions::default() };
    for (when, scope) in [
        ("a scope has a character that none may have", "a\"b"),
        ("the path in a scope climbs", "storage.read:/a/../b"),
        ("the path in a scope is wrongly encoded", "storage.read:/%zz"),
    ] {
        shows(when, told(house.token(asked(scope)).await));
    }
    let audience = TokenOptions { audiences: scopes("b\u{e4}d"), ..TokenOptions::default() };
    shows("an audience has a character that none may have", told(house.token(audience).await));
    let many: Vec<String> = (0..1000).map(|number| format!("s{number}")).collect();
    let many = TokenOptions { scopes: Some(many), ..TokenOptions::default() };
    shows("a request names too many scopes or audiences", told(house.token(many).await));
}

#[tokio::test(start_paused = true)]
async fn for_somebody_else_or_with_a_client_that_is_gone() {
    let house = House::new();
    let key = house.signed_in();
    let stranger = Tokens { identity: sign_in_of("mallory").identity, ..tokens("at", None, 60) };
    let identity = sign_in_of("alice-sub").identity.unwrap();
    house.change(&key, |record| {
        record.subject = Some(crate::account::Subject { sub: identity.sub, ..Default::default() });
    });
    house.refresh_says(Ok(stranger));
    shows("a renewal brought the token of somebody else", told(house.token(force()).await));
    shows("the same, from then on", told(house.token(force()).await));
    house.vault.accounts.lock().unwrap().clear();
    house.signed_in();
    house.vault.clients.lock().unwrap().clear();
    let gone = told(house.token(force()).await);
    shows("the client of the sign-in was forgotten or replaced", gone);
}

#[tokio::test(start_paused = true)]
async fn while_the_record_changes_or_does_not_open() {
    let house = House::new();
    let key = house.signed_in();
    *house.issuers.latency.lock().unwrap() = S;
    let changed = async {
        house.settle().await;
        // Somebody else signs in, on another node.
        let mut accounts = house.vault.accounts.lock().unwrap();
        let (record, revision) = accounts.get_mut(&key).unwrap();
        record.refresh_token = Some("rt-elsewhere".to_owned().into());
        *revision += 100;
    };
    let (superseded, ()) = tokio::join!(house.token(force()), changed);
    shows("the account was changed while its token was renewed", told(superseded));
    house.vault.accounts.lock().unwrap().clear();
    house.signed_in();
    let removed = async {
        house.settle().await;
        house.vault.accounts.lock().unwrap().clear();
    };
    *house.issuers.latency.lock().unwrap() = Duration::ZERO;
    let lock = house.vault.lock(crate::account::ports::LockOn::Account(key.clone())).await.unwrap();
    let removed = async {
        removed.await;
        drop(lock)
    };
    let (removed, ()) = tokio::join!(house.token(force()), removed);
    shows("the account was removed while its token was asked for", told(removed));
}

#[tokio::test(start_paused = true)]
async fn a_file_with_a_token_that_a_reader_refuses() {
    let house = House::new();
    let key = house.signed_in();
    let now = house.clock.wall();
    let long = token(&"x".repeat(4096), now, 3600);
    house.change(&key, |record| record.access_token = Some(long));
    house.log_in(ALICE).await;
    house.settle().await;
    let shown = house.service.show(&house.caller(ALICE), "").await.unwrap();
    crate::testing::no_file("the token is long", &shown.token_file_problem.unwrap());
}

#[tokio::test(start_paused = true)]
async fn more_at_once_than_the_site_allows() {
    let house = House::and("[limits]\nrequests = 1\n");
    house.signed_in();
    *house.issuers.latency.lock().unwrap() = S;
    let (_, second) = tokio::join!(house.token(force()), house.token(force()));
    shows("more requests of a user at once than limits.requests", told(second));
    let nobody = house.service.caller(4711, None).await.unwrap_err();
    shows("the uid of the caller has no name", nobody);
}
