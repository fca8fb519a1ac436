//! Clients that are not to be had, changed or replaced.

use super::*;

fn shows(when: &str, error: ServiceError) {
    crate::testing::shows("Issuers and clients", when, error);
}

fn new() -> LoginOptions {
    LoginOptions { new_client: Some(true), ..LoginOptions::default() }
}

#[tokio::test(start_paused = true)]
async fn another_client_is_not_for_every_account() {
    let house = House::new();
    house.signed_in();
    shows("--new-client where all share the site's", told(house.login_with("wlcg", new()).await));
    let given = AddOptions { client_id: Some("id".into()), ..AddOptions::default() };
    house.make("mine", given, &[]).await.unwrap();
    shows("--new-client where the user brought one", told(house.login_with("mine", new()).await));
    let fixed = "name = \"fix\"\nurl = \"https://fix.test/\"\nscopes = [\"openid\"]\n\
                 [fixed_client]\nid = \"fixed-id\"\n";
    std::fs::write(house.dir.path().join("shipped/fix.toml"), fixed).unwrap();
    house.service.reload(By::ITSELF).unwrap();
    let fixed =
        told(house.login_with("f", LoginOptions { new_client: Some(true), ..at("fix") }).await);
    shows("--new-client where the site configured one", fixed);
}

#[tokio::test(start_paused = true)]
async fn it_is_forgotten_before_it_is_changed() {
    let house = House::new();
    house.make("own", own_client(), &[]).await.unwrap();
    let key = crate::account::ports::LockOn::Client(
        super::super::add::own("own"),
        "https://issuer.test/".into(),
    );
    let lock = house.vault.lock(key).await.unwrap();
    let forgotten = async {
        house.settle().await;
        house.vault.clients.lock().unwrap().clear();
        drop(lock);
    };
    let alice = house.caller(ALICE);
    let more = EditOptions { add_scopes: scopes("compute.read"), ..EditOptions::default() };
    let (gone, ()) = tokio::join!(house.service.edit(&alice, "own", more), forgotten);
    shows("a client was forgotten while it was changed", told(gone));
}
