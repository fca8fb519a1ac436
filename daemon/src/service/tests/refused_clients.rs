//! A client that the issuer refuses: whose it is decides what its user can do, the way out that is
//! named is open, and the doctor finds it whoever's it is.

use iamd_protocol::bus::{AddOptions, Finding, RemoveOptions};

use super::{
    add::{given, own_client},
    *,
};

fn rejected() -> IssuerError {
    IssuerError::ClientRejected { text: "unknown client (invalid_client)".into() }
}

fn at_fix() -> AddOptions {
    AddOptions { issuer: Some("fix".into()), ..AddOptions::default() }
}

/// A house whose site has a client of its own at `fix`, and names a public one there.
fn house(lines: &str) -> House {
    let house = House::and(&format!("[limits]\nregistrations = 50\n{lines}"));
    let fixed = "name = \"fix\"\ntitle = \"FIX\"\nurl = \"https://fix.test/\"\nscopes = [\"openid\"]\n\
                 [fixed_client]\nid = \"fixed-id\"\nauth = \"none\"\n\
                 [public_client]\nid = \"public-id\"\n";
    std::fs::write(house.dir.path().join("shipped/fix.toml"), fixed).unwrap();
    house.service.reload(crate::service::By::ITSELF).unwrap();
    house
}

/// What a login of that name ends with where the issuer refuses every client.
async fn refused_at_login(house: &House, name: &str) -> Kind {
    house.issuers.device_script.lock().unwrap().extend([Err(rejected()), Err(rejected())]);
    let error = house.login(name).await.unwrap().error.unwrap();
    house.issuers.device_script.lock().unwrap().clear();
    Kind::ALL.iter().copied().find(|kind| kind.short_name() == error).unwrap()
}

/// Does what the advice says, with the account's name in it.
async fn follows(house: &House, kind: Kind, name: &str) {
    let advice = kind.advice();
    if advice.contains("--new-client") {
        let new = LoginOptions { new_client: Some(true), ..LoginOptions::default() };
        let login = house.login_with(name, new).await.unwrap();
        assert_eq!(login.state, "pending", "{kind:?}");
        house.service.cancel_login(&house.caller(ALICE), name).await.unwrap();
        house.settle().await;
    } else if advice.contains("account remove NAME") {
        let caller = house.caller(ALICE);
        house.service.remove(&caller, name, RemoveOptions::default()).await.unwrap();
        house.make(name, given("another"), &[]).await.unwrap();
    } else {
        assert!(advice.starts_with("Ask the administrators"), "{kind:?}: {advice}");
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_advised_when_a_login_finds_its_client_refused_is_not_refused() {
    for own_clients in [true, false] {
        let house = house(&format!("[users]\nown_clients = {own_clients}\n"));
        house.make("f", at_fix(), &[]).await.unwrap();
        let public = AddOptions { public_client: Some(true), ..at_fix() };
        house.make("p", public, &[]).await.unwrap();
        house.make("s", AddOptions::default(), &[]).await.unwrap();
        house
            .make("u", AddOptions { issuer: Some("cms".into()), ..Default::default() }, &[])
            .await
            .unwrap();
        let mut kinds = vec![
            ("f", Kind::ClientRefused),
            ("p", Kind::ClientRefused),
            ("s", Kind::ClientRefused),
            ("u", if own_clients { Kind::ClientBroken } else { Kind::ClientRefused }),
        ];
        if own_clients {
            house.make("g", given("id"), &[]).await.unwrap();
            house.make("o", own_client(), &[]).await.unwrap();
            kinds.extend([("g", Kind::GivenClientRefused), ("o", Kind::ClientBroken)]);
        }
        for (name, expected) in kinds {
            let kind = refused_at_login(&house, name).await;
            assert_eq!(kind, expected, "{name}");
            follows(&house, kind, name).await;
        }
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_advised_when_a_refresh_finds_its_client_refused_is_not_refused() {
    let house = house("");
    house.make("f", at_fix(), &[]).await.unwrap();
    house.make("g", given("id"), &[]).await.unwrap();
    house.make("o", own_client(), &[]).await.unwrap();
    house.make("s", AddOptions::default(), &[]).await.unwrap();
    house
        .make("u", AddOptions { issuer: Some("cms".into()), ..Default::default() }, &[])
        .await
        .unwrap();
    for (name, expected) in [
        ("f", Kind::ClientRefused),
        ("g", Kind::GivenClientRefused),
        ("o", Kind::ClientBroken),
        ("s", Kind::ClientBroken),
        ("u", Kind::ClientBroken),
    ] {
        house.sign_in(name, sign_in_of("alice-sub")).await;
        house.refresh_says(Err(rejected().into()));
        let force = TokenOptions { force_new: Some(true), ..TokenOptions::default() };
        let told = kind(house.service.token(&house.caller(ALICE), name, force).await);
        assert_eq!(told, expected, "{name}");
        follows(&house, told, name).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_token_that_a_refused_given_client_brings_names_a_way_that_is_open() {
    let house = house("");
    house.refresh_says(Err(rejected().into()));
    let handed = [(iamd_protocol::bus::secret::REFRESH_TOKEN, "rt")];
    assert_eq!(kind(house.make("g", given("id"), &handed).await), Kind::GivenClientRefused);
    house.make("g", given("another"), &[]).await.unwrap();
}

async fn clients(house: &House) -> Vec<Finding> {
    let mut found = house.service.diagnose(&house.caller(ALICE)).await.unwrap();
    found.retain(|finding| finding.name.starts_with("client of"));
    found
}

#[tokio::test(start_paused = true)]
async fn the_doctor_asks_for_every_client_whoevers_it_is() {
    let house = house("");
    house.make("f", at_fix(), &[]).await.unwrap();
    house.make("g", given("id"), &[]).await.unwrap();
    house.make("p", AddOptions { public_client: Some(true), ..at_fix() }, &[]).await.unwrap();
    house.make("s", AddOptions::default(), &[]).await.unwrap();
    let levels = |found: &[Finding]| -> Vec<_> {
        found.iter().map(|f| (f.name.clone(), f.level.clone())).collect()
    };
    let all = |level: &str| {
        ["f", "g", "p", "s"].map(|name| (format!("client of account {name}"), level.to_owned()))
    };
    assert_eq!(levels(&clients(&house).await), all("ok"));
    *house.issuers.accepts.lock().unwrap() = Some(Ok(false));
    let found = clients(&house).await;
    assert_eq!(levels(&found), all("problem"));
    let advice: Vec<_> = found.iter().map(|finding| finding.advice.as_str()).collect();
    assert!(advice[0].starts_with("Ask the administrators"), "{advice:?}");
    assert!(
        advice[1].contains("iamctl account remove g ") && advice[1].contains("add g "),
        "{advice:?}"
    );
    assert!(advice[2].starts_with("Ask the administrators"), "{advice:?}");
    assert_eq!(advice[3], "Sign in with:  iamctl login s");
    *house.issuers.accepts.lock().unwrap() = Some(Err(unreachable()));
    assert_eq!(levels(&clients(&house).await), all("warning"));
    assert_eq!(house.refreshes(), 0, "no refresh token was used");
}

#[tokio::test(start_paused = true)]
async fn the_doctor_takes_a_refusal_of_introspection_for_what_it_is() {
    let house = house("");
    house.signed_in_with_token();
    *house.issuers.alive.lock().unwrap() = Some(Err(rejected()));
    *house.issuers.accepts.lock().unwrap() = Some(Ok(false));
    let found = house.service.diagnose(&house.caller(ALICE)).await.unwrap();
    assert!(
        found.iter().all(|finding| !finding.text.contains("could not be inspected")),
        "{found:?}"
    );
    let gone = found.iter().find(|finding| finding.text.contains("does not know it any more"));
    assert_eq!(gone.unwrap().level, "problem");
    // One that may not introspect is known all the same.
    *house.issuers.accepts.lock().unwrap() = Some(Ok(true));
    assert_eq!(clients(&house).await[0].level, "ok");
}

#[tokio::test(start_paused = true)]
async fn the_doctor_asks_for_the_sites_fixed_client_before_anybody_has_an_account() {
    let house = house("");
    std::fs::write(house.dir.path().join("iamd.toml"), "[issuers]\ndefault = \"fix\"\n").unwrap();
    house.service.reload(crate::service::By::ITSELF).unwrap();
    let found = clients(&house).await;
    assert_eq!((found[0].name.as_str(), found[0].level.as_str()), ("client of issuer fix", "ok"));
    *house.issuers.accepts.lock().unwrap() = Some(Ok(false));
    let found = clients(&house).await;
    assert_eq!((found.len(), found[0].level.as_str()), (1, "problem"));
    assert!(found[0].advice.starts_with("Ask the administrators"), "{found:?}");
}
