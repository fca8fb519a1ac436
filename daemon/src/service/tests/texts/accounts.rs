//! Accounts that are not made, changed or shown.

use iamd_protocol::bus::secret;

use super::*;
use crate::account::ports::LockOn;

fn shows(when: &str, error: ServiceError) {
    crate::testing::shows("Accounts", when, error);
}

const WLCG: &str = "https://issuer.test/";

impl House {
    async fn edited(&self, named: &str, options: EditOptions) -> ServiceError {
        told(self.service.edit(&self.caller(ALICE), named, options).await)
    }

    async fn added(&self, named: &str, options: AddOptions) -> ServiceError {
        told(self.make(named, options, &[]).await)
    }
}

#[tokio::test(start_paused = true)]
async fn the_name_is_taken_or_none() {
    let house = House::new();
    house.signed_in();
    house.add(ALICE, "alice", "more", WLCG);
    shows(
        "a new account has the name of another",
        house.added("wlcg", AddOptions::default()).await,
    );
    shows(
        "a name has other characters than names have",
        house.added("../x", AddOptions::default()).await,
    );
    house.login("soon").await.unwrap();
    let soon = house.added("soon", AddOptions::default()).await;
    shows("a login runs that will make an account of that name", soon);
    house.add(ALICE, "eve", "eves", WLCG);
    let foreign = told(house.login("eves").await);
    shows("a former user of the uid has an account of that name", foreign);
    assert_eq!(house.added("eves", AddOptions::default()).await, told(house.login("eves").await));
    let many = house.edited(WLCG, EditOptions::default()).await;
    shows("a URL names several accounts, and one is to be changed", many);
    house
        .vault
        .unreadable
        .lock()
        .unwrap()
        .insert(house.alices("old"), "why it does not open".into());
    let old = house.service.show(&house.caller(ALICE), "old").await;
    assert_eq!(told(old).message, "why it does not open");
}

#[tokio::test(start_paused = true)]
async fn there_are_enough() {
    let house = House::and("[limits]\naccounts = 1\nregistrations = 1\n");
    house.signed_in();
    shows("as many accounts as limits.accounts", house.added("x", AddOptions::default()).await);
    let house = House::and("[limits]\nregistrations = 1\n");
    house.make("a", own_client(), &[]).await.unwrap();
    let second = house.added("b", own_client()).await;
    shows("more clients registered in an hour than limits.registrations", second);
}

#[tokio::test(start_paused = true)]
async fn the_options_do_not_go_together() {
    let house = House::new();
    let given = |id: &str| AddOptions { client_id: Some(id.into()), ..AddOptions::default() };
    let auth = |auth: &str| AddOptions { client_auth: Some(auth.into()), ..given("id") };
    let key = [(secret::CLIENT_SECRET, "Canary")];
    let refresh = [(secret::REFRESH_TOKEN, "Canary")];
    let public = AddOptions { public_client: Some(true), ..AddOptions::default() };
    let all = AddOptions { all_scopes: Some(true), ..AddOptions::default() };
    let named = AddOptions { client_name: Some("x".into()), ..AddOptions::default() };
    let lone = AddOptions { client_auth: Some("none".into()), ..AddOptions::default() };
    type Case<'a> = (&'a str, AddOptions, &'a [(&'a str, &'a str)]);
    let cases: [Case<'_>; 11] = [
        ("--client-auth none with a secret", auth("none"), &key),
        (
            "--client-id without a secret, for a client that has one",
            auth("client_secret_post"),
            &[],
        ),
        ("--client-auth is none of the three", auth("private_key_jwt"), &key),
        ("--client-id is not printable", given("a\u{1b}[31m"), &[]),
        ("two options want two clients", AddOptions { own_client: Some(true), ..given("id") }, &[]),
        ("a secret that nothing was asked with", AddOptions::default(), &key),
        ("a refresh token without its client", AddOptions::default(), &refresh),
        ("--public-client, and the issuer's file names none", public, &[]),
        ("--client-name is too short or not printable", named, &[]),
        ("--client-auth without --client-id", lone, &[]),
        ("-s max, and the issuer does not say what it offers", all, &[]),
    ];
    for (when, options, handed) in cases {
        shows(when, told(house.make("a", options, handed).await));
    }
    house.refresh_says(Err(RefreshError::Dead { text: "WLCG: the token has expired".into() }));
    let dead = told(house.make("a", given("id"), &refresh).await);
    shows("the refresh token that was handed over is dead", dead);
    assert!(house.is_empty());
}

#[tokio::test(start_paused = true)]
async fn the_site_forbids_it() {
    let house = House::and("[users]\nown_clients = false\n");
    shows("users.own_clients is off", house.added("a", own_client()).await);
    let beyond = AddOptions {
        issuer: Some("cms".into()),
        scopes: scopes("compute.read"),
        ..Default::default()
    };
    shows("users.own_clients is off, and the scopes need one", house.added("a", beyond).await);
    house
        .make("c", AddOptions { issuer: Some("cms".into()), ..Default::default() }, &[])
        .await
        .unwrap();
    let new = LoginOptions { new_client: Some(true), ..LoginOptions::default() };
    assert_eq!(
        told(house.login_with("c", new).await),
        house.added("a", own_client()).await,
        "and --new-client"
    );
    let hidden = told(house.service.secrets(&house.caller(ALICE), "c").await);
    shows("account show --secrets, and policy.show_secrets names others", hidden);
}

#[tokio::test(start_paused = true)]
async fn what_an_account_has_is_not_its_users_to_change() {
    let house = House::new();
    house.signed_in();
    let renamed =
        || EditOptions { client_name: Some("my client".into()), ..EditOptions::default() };
    let site = house.edited("wlcg", renamed()).await;
    shows("--client-name at an account with the site's client", site);
    for (client, _) in house.vault.clients.lock().unwrap().values_mut() {
        client.scopes = profile().scopes;
    }
    let more = EditOptions { add_scopes: scopes("compute.read"), ..EditOptions::default() };
    shows("more scopes than the site's client has", house.edited("wlcg", more).await);
    let given = AddOptions { client_id: Some("id".into()), ..AddOptions::default() };
    house.make("mine", given, &[]).await.unwrap();
    let mine = house.edited("mine", renamed()).await;
    shows("--client-name at an account with a client that the user brought", mine);
    house.make("own", own_client(), &[]).await.unwrap();
    let lock = house.vault.lock(LockOn::Account(house.alices("own"))).await.unwrap();
    let removed = async {
        house.settle().await;
        house.vault.accounts.lock().unwrap().remove(&house.alices("own"));
        drop(lock);
    };
    let audiences = EditOptions { audiences: scopes("https://se.test"), ..EditOptions::default() };
    let (gone, ()) = tokio::join!(house.edited("own", audiences), removed);
    shows("an account was removed while it was edited", gone);
}
