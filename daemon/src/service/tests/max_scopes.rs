//! All that the issuer will grant: as much as the account's client may ask for, so that its sign-in
//! is not refused, and what was left out is said.

use iamd_protocol::bus::{AddOptions, EditOptions};

use super::{
    add::{given, own_client},
    *,
};

const USUAL: &str = "offline_access openid storage.read:/";

fn all(options: AddOptions) -> AddOptions {
    AddOptions { all_scopes: Some(true), ..options }
}

/// A house whose issuer offers more than the site asks for.
fn offering() -> House {
    let house = House::new();
    *house.issuers.offered.lock().unwrap() =
        ScopeSet::parse(["openid", "eduperson", "compute.read"]).unwrap();
    house
}

fn refuses_scopes(house: &House) {
    let (code, text) = ("invalid_scope".to_owned(), "not allowed (invalid_scope)".to_owned());
    house.issuers.device_script.lock().unwrap().push_back(Err(IssuerError::Refused { code, text }));
}

fn asked(house: &House, name: &str) -> String {
    house.vault.record(&house.alices(name)).scopes_asked.to_string()
}

#[tokio::test(start_paused = true)]
async fn of_all_scopes_the_sites_client_asks_for_those_it_is_registered_for() {
    let house = offering();
    let reply = house.make("m", all(AddOptions::default()), &[]).await.unwrap();
    assert_eq!(asked(&house, "m"), USUAL);
    assert_eq!(reply.remarks.len(), 1);
    shows_beside("-s max, and the site's client has fewer", &reply.remarks[0]);
    // What was named besides is asked for, and that it may be refused is said.
    let named = AddOptions { scopes: Some(vec!["eduperson".into()]), ..AddOptions::default() };
    let reply = house.make("n", all(named), &[]).await.unwrap();
    assert_eq!(asked(&house, "n"), format!("eduperson {USUAL}"));
    assert!(reply.remarks[0].contains("for it: compute.read;"), "{:?}", reply.remarks);
    assert!(reply.remarks[1].contains("is not registered for: eduperson"), "{:?}", reply.remarks);
    // A change does the same.
    house.make("e", AddOptions::default(), &[]).await.unwrap();
    let edit = EditOptions { all_scopes: Some(true), ..EditOptions::default() };
    let reply = house.service.edit(&house.caller(ALICE), "e", edit).await.unwrap();
    assert_eq!(asked(&house, "e"), USUAL);
    assert!(reply.remarks[0].contains("compute.read eduperson"), "{:?}", reply.remarks);
}

#[tokio::test(start_paused = true)]
async fn of_all_scopes_a_client_of_the_accounts_own_asks_for_what_it_was_registered_for() {
    let house = offering();
    *house.issuers.left_out.lock().unwrap() = ScopeSet::parse(["eduperson"]).unwrap();
    let reply = house.make("o", all(own_client()), &[]).await.unwrap();
    assert_eq!(asked(&house, "o"), format!("compute.read {USUAL}"));
    assert_eq!(reply.remarks, ["the issuer did not register the client for: eduperson"]);
}

#[tokio::test(start_paused = true)]
async fn of_all_scopes_a_user_without_clients_of_their_own_has_those_of_the_sites_choice() {
    let house = House::and("[users]\nown_clients = false\n");
    *house.issuers.offered.lock().unwrap() = ScopeSet::parse(["openid", "eduperson"]).unwrap();
    let options = AddOptions { issuer: Some("cms".into()), ..AddOptions::default() };
    let reply = house.make("u", all(options), &[]).await.unwrap();
    assert_eq!(asked(&house, "u"), "offline_access openid");
    let when = "-s max, and users have no clients of their own";
    shows_beside(when, &reply.remarks[0]);
}

#[tokio::test(start_paused = true)]
async fn a_client_that_may_not_ask_for_all_of_it_signs_in_with_the_usual() {
    let house = offering();
    house.make("g", all(given("id")), &[]).await.unwrap();
    assert_eq!(asked(&house, "g"), format!("compute.read eduperson {USUAL}"));
    refuses_scopes(&house);
    assert_eq!(house.login("g").await.unwrap().state, "pending");
    let tried: Vec<_> =
        house.issuers.asked_scopes.lock().unwrap().iter().map(ToString::to_string).collect();
    assert_eq!(tried, [format!("compute.read eduperson {USUAL}"), USUAL.to_owned()]);
    house.approve(sign_in_of("alice-sub"));
    let ended = house.end_of_login("g").await;
    assert_eq!(ended.state, "done");
    let said =
        "the issuer does not let this client ask for all of it; left out: compute.read eduperson";
    assert!(ended.remarks.iter().any(|remark| remark == said), "{:?}", ended.remarks);
    shows_beside("-s max, and the issuer refuses all of it", said);
    assert_eq!(asked(&house, "g"), USUAL);
    // It is tried once.
    house.make("h", all(given("id")), &[]).await.unwrap();
    refuses_scopes(&house);
    refuses_scopes(&house);
    assert_eq!(house.login("h").await.unwrap().error.as_deref(), Some("IssuerRefused"));
}

#[tokio::test(start_paused = true)]
async fn scopes_that_were_named_are_asked_for_or_nothing_is() {
    let house = offering();
    let named = AddOptions { scopes: Some(vec!["compute.read".into()]), ..given("id") };
    house.make("g", named, &[]).await.unwrap();
    refuses_scopes(&house);
    assert_eq!(house.login("g").await.unwrap().error.as_deref(), Some("IssuerRefused"));
    assert_eq!(house.issuers.asked_scopes.lock().unwrap().len(), 1);
}
