//! The password flow: what is refused to administrators and to users.

use iamd_protocol::bus::PasswordFlowOptions;
use secrecy::SecretString;

use super::{super::password_flow::of, *};
use crate::account::ports::GrantChange;

fn shows(when: &str, error: ServiceError) {
    crate::testing::shows("The password flow", when, error);
}

async fn by_password(house: &House, options: LoginOptions, user: &str) -> ServiceError {
    let password = Some(SecretString::from("words".to_owned()));
    let caller = house.caller(ALICE);
    told(house.service.login_with_password(&caller, "", options, user, password).await)
}

#[tokio::test]
async fn what_administrators_are_told() {
    let house = House::new();
    house.signed_in();
    let none = PasswordFlowOptions { client: None, ..of("") };
    shows("no client is named", told(house.enable(none).await));
    shows("a client_id with a line break", told(house.enable(of("a\nb")).await));
    let key = (ClientOwner::Site, profile().url.to_string());
    house.vault.clients.lock().unwrap().get_mut(&key).unwrap().0.client_secret = None;
    let public = told(house.enable(of("client-1")).await);
    shows("a client without a secret is enabled", public);
    let at_issuer = |client| PasswordFlowOptions { at_issuer: Some(true), ..of(client) };
    let nobody = told(house.enable(at_issuer("client-2")).await);
    shows("--at-issuer by somebody who has no account of an administrator there", nobody);
    let alice = house.caller(ALICE);
    let off = house.service.disable_password_flow(&alice, at_issuer("client-2"));
    shows("disable --at-issuer by such a one", told(off.await));
    let key = house.add(ALICE, "alice", "iam-admin", profile().url.as_str());
    let all = ScopeSet::parse(["openid iam:admin.read iam:admin.write"]).unwrap();
    house.change(&key, |record| {
        record.scopes = ScopeSet::parse(["openid iam:admin.read"]).unwrap();
        record.scopes_asked = all;
    });
    let short = told(house.enable(at_issuer("client-2")).await);
    assert!(!short.message.contains("account add"), "{}", short.message);
    shows("--at-issuer by somebody whose account there was granted less", short);
}

#[tokio::test(start_paused = true)]
async fn what_was_changed_at_the_issuer_alone() {
    let house = House::new();
    house.signed_in();
    let key = house.add(ALICE, "alice", "iam-admin", profile().url.as_str());
    let scopes = ["openid", "iam:admin.read", "iam:admin.write"];
    house.change(&key, |record| record.scopes = ScopeSet::parse(scopes).unwrap());
    let options = || PasswordFlowOptions { at_issuer: Some(true), ..of("client-2") };
    house.vault.saves_fail.store(true, SeqCst);
    let told_of = async |when| shows(when, told(house.enable(options()).await));
    told_of("enable --at-issuer, and the store does not take it").await;
    let script = [Ok(GrantChange::Changed), Err(unreachable().into())];
    house.issuers.grant_script.lock().unwrap().extend(script);
    told_of("the same, and the issuer is away when it is to be put back").await;
}

#[tokio::test(start_paused = true)]
async fn what_users_are_told() {
    let house = House::new();
    let usual = LoginOptions::default;
    shows("nobody enabled it for the client", by_password(&house, usual(), "alice").await);
    house.enable(of("client-1")).await.unwrap();
    let missing = by_password(&house, usual(), "alice").await;
    shows("the client does not have the grant at the issuer", missing);
    *house.issuers.grants_at_issuer.lock().unwrap() = Some(vec!["password".into()]);
    shows("an empty user name", by_password(&house, usual(), "").await);
    let new = LoginOptions { new_client: Some(true), ..usual() };
    shows("a password for a new client", by_password(&house, new, "alice").await);
    // One is on its way while the next comes.
    *house.issuers.password_latency.lock().unwrap() = S;
    let (first, second) =
        tokio::join!(by_password_ok(&house), by_password(&house, usual(), "alice"));
    assert_eq!(first, "done");
    shows("a second password while the first is tried", second);
    *house.issuers.password_latency.lock().unwrap() = Duration::ZERO;
    for _ in 0..5 {
        let wrong = crate::account::ports::PasswordError::Wrong { text: "no".into() };
        house.issuers.password_script.lock().unwrap().push_back(Err(wrong));
        by_password(&house, usual(), "alice").await;
    }
    shows("five wrong passwords in a minute", by_password(&house, usual(), "alice").await);
}

async fn by_password_ok(house: &House) -> String {
    let password = Some(SecretString::from("words".to_owned()));
    let (caller, options) = (house.caller(ALICE), LoginOptions::default());
    let login = house.service.login_with_password(&caller, "", options, "alice", password);
    login.await.unwrap().state
}
