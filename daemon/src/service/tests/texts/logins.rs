//! A login that is refused, or comes to nothing.

use super::*;
use crate::account::ports::{IssuerError, PollAnswer};

fn shows(when: &str, error: ServiceError) {
    crate::testing::shows("Logins", when, error);
}

/// How a login ends whose poll is answered like this.
async fn polled(answer: PollAnswer) -> ServiceError {
    let house = House::new();
    house.issuers.poll_script.lock().unwrap().push_back(answer);
    house.login("").await.unwrap();
    ended(house.end_of_login("").await)
}

#[tokio::test(start_paused = true)]
async fn nobody_approves() {
    shows("somebody refused at the issuer", polled(PollAnswer::Denied).await);
    shows("the code was not used in time", polled(PollAnswer::Expired).await);
    let house = House::new();
    let alice = house.caller(ALICE);
    let none = told(house.service.login_state(&alice, "", S).await);
    shows("a login is asked for and none runs", none);
    house.login("").await.unwrap();
    house.service.cancel_login(&alice, "").await.unwrap();
    shows("iamctl login --cancel", ended(house.end_of_login("").await));
    let again = house.service.cancel_login(&alice, "").await;
    assert_eq!(told(again).message, "no login is running");
}

#[tokio::test(start_paused = true)]
async fn the_person_is_not_the_one() {
    let house = House::new();
    let key = house.signed_in();
    let alice = crate::account::Subject { sub: "alice-sub".into(), ..Default::default() };
    house.change(&key, |record| record.subject = Some(alice));
    let other = house.sign_in("", sign_in_of("mallory-sub")).await;
    shows("somebody else approved the code", ended(other));
    let unknown = Tokens { identity: None, ..sign_in_of("") };
    let unknown = house.sign_in("", unknown).await;
    shows("the issuer's answer has no ID token", ended(unknown));
    let without = Tokens { refresh_token: None, ..sign_in_of("alice-sub") };
    let without = house.sign_in("", without).await;
    shows("the issuer's answer has no refresh token", ended(without));
}

#[tokio::test(start_paused = true)]
async fn the_account_changed_while_it_ran() {
    let house = House::new();
    let key = house.signed_in();
    house.login("").await.unwrap();
    house.vault.accounts.lock().unwrap().clear();
    house.approve(sign_in_of("alice-sub"));
    let removed = ended(house.end_of_login("").await);
    shows("the account was removed while the login ran", removed);

    let house = House::new();
    house.login("x").await.unwrap();
    house.add(ALICE, "alice", "x", "https://cms.test/");
    house.approve(sign_in_of("alice-sub"));
    let renamed = ended(house.end_of_login("x").await);
    shows("another account got the name while the login ran", renamed);

    let house = House::new();
    house.signed_in();
    house.login("").await.unwrap();
    house.change(&key, |record| record.owner.user = "eve".into());
    house.approve(sign_in_of("alice-sub"));
    // alice does not even see that it is there.
    let alice = house.caller(ALICE);
    let mut progress = house.service.logins.of(&house.alices("wlcg")).unwrap();
    progress.wait_for(|progress| progress.is_over()).await.unwrap();
    let crate::login::Progress::Failed { kind, message } = progress.borrow().clone() else {
        panic!("{alice:?}");
    };
    let reused = ServiceError::new(kind, message);
    shows("the uid was somebody else's, whose account is still there", reused);
}

#[tokio::test(start_paused = true)]
async fn one_runs_already() {
    let house = House::and("[limits]\nlogins = 1\n");
    let audience = LoginOptions { audiences: scopes("https://se.test"), ..LoginOptions::default() };
    house.login_with("x", audience).await.unwrap();
    let other = told(house.login_with("x", at("cms")).await);
    shows("a login runs and another is asked for", other);
    shows("more logins of a user at once than limits.logins", told(house.login("y").await));
    let house = House::and("[limits]\nlogin_starts = 1\n");
    house.login("x").await.unwrap();
    let soon = told(house.login("y").await);
    shows("more logins of a user begun in a minute than limits.login_starts", soon);
    house.signed_in();
    house.service.cancel_login(&house.caller(ALICE), "x").await.unwrap();
    house.end_of_login("x").await;
    house.later(61).await;
    house.login("wlcg").await.unwrap();
    let edit = EditOptions { audiences: Some(vec![]), ..EditOptions::default() };
    let edited = house.service.edit(&house.caller(ALICE), "wlcg", edit).await;
    shows("an account is edited or renamed while a login of it runs", told(edited));
}

#[tokio::test(start_paused = true)]
async fn r08_a_code_that_is_gone_after_a_lost_answer_is_told_as_that() {
    let house = House::new();
    let mut error = unreachable();
    if let IssuerError::Unreachable { maybe_processed, .. } = &mut error {
        *maybe_processed = true;
    }
    let answers = [PollAnswer::Transient { error }, PollAnswer::Expired];
    house.issuers.poll_script.lock().unwrap().extend(answers);
    house.login("").await.unwrap();
    let when = "the answer to an approved login was lost on the way";
    shows(when, ended(house.end_of_login("").await));
    assert_eq!(house.issuers.polls.load(std::sync::atomic::Ordering::SeqCst), 2);
}

#[tokio::test(start_paused = true)]
async fn the_issuer_is_none_of_the_sites() {
    let house = House::new();
    house.signed_in();
    let elsewhere = told(house.login_with("wlcg", at("cms")).await);
    shows("--issuer names another issuer than the account has", elsewhere);
    shows("the site has no issuer of that name", told(house.login_with("", at("nowhere")).await));
    shows(
        "the issuer is not listed by the site, and issuers.custom is off",
        told(house.login("https://other.example/").await),
    );
    for (when, url) in [
        ("an issuer's URL is none", "https://"),
        ("an issuer's URL is not https", "http://iam.example/"),
        ("an issuer's URL has a password in it", "https://me:pw@iam.example/"),
        ("an issuer's URL has a query", "https://iam.example/?x=1"),
        ("an issuer's URL has a port of the system", "https://iam.example:22/"),
        ("an issuer's URL has an empty part in its path", "https://iam.example//x"),
    ] {
        shows(when, told(house.login_with("", at(url)).await));
    }
    let house = House::with("");
    shows("the site has no default issuer", told(house.login("").await));
}

#[tokio::test(start_paused = true)]
async fn its_client_is_refused() {
    let house = House::new();
    house
        .make("mine", AddOptions { client_id: Some("id".into()), ..Default::default() }, &[])
        .await
        .unwrap();
    let refuses = || house.issuers.device_script.lock().unwrap().push_back(Err(client_rejected()));
    refuses();
    let given = house.login("mine").await.unwrap();
    shows("the issuer refuses the client that the user brought", ended(given));
    let fixed = "name = \"fix\"\ntitle = \"FIX\"\nurl = \"https://fix.test/\"\nscopes = [\"openid\"]\n\
                 [fixed_client]\nid = \"fixed-id\"\nauth = \"none\"\n\
                 [public_client]\nid = \"public-id\"\n";
    std::fs::write(house.dir.path().join("shipped/fix.toml"), fixed).unwrap();
    house.service.reload(By::ITSELF).unwrap();
    refuses();
    let fixed = house.login_with("f", at("fix")).await.unwrap();
    shows("the issuer refuses the client of the site's issuer file", ended(fixed));
    let public =
        AddOptions { public_client: Some(true), issuer: Some("fix".into()), ..Default::default() };
    house.make("p", public, &[]).await.unwrap();
    refuses();
    shows("the issuer refuses the public client", ended(house.login("p").await.unwrap()));
    house.make("o", own_client(), &[]).await.unwrap();
    refuses();
    let new = LoginOptions { new_client: Some(true), ..LoginOptions::default() };
    let fresh = house.login_with("o", new).await.unwrap();
    shows("the issuer refuses a client that it registered just now", ended(fresh));
}
