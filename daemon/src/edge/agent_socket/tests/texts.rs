//! What clients of oidc-agent are told, provoked and compared with its row in docs/errors.md.

use super::{super::answer::answer, *};

/// What alice is told, and that it stands on the page.
async fn shows(house: &House, when: &str, request: Value) {
    let text = request.to_string();
    let reply = answer(&house.service, ALICE, None, text.as_bytes()).await.into_json();
    told(when, &serde_json::from_slice(&reply).unwrap());
}

fn told(when: &str, reply: &Value) {
    let error = reply["error"].as_str().unwrap_or_else(|| panic!("{when}: {reply}"));
    let info = reply["info"].as_str().unwrap_or_default().trim_end();
    iamd_errors::shows("Clients of oidc-agent", when, error, "", None, info);
}

fn access_token(account: &str) -> Value {
    json!({"request": "access_token", "account": account})
}

#[tokio::test(start_paused = true)]
async fn of_accounts_that_give_no_token() {
    let house = House::new();
    shows(&house, "no account has the name or issuer that is asked for", access_token("cms")).await;
    shows(&house, "neither account nor issuer is named", json!({"request": "access_token"})).await;
    shows(&house, "the name is none that an account can have", access_token("My Account")).await;
    let key = signed_in(&house.vault);
    let change = |change: &dyn Fn(&mut Record)| {
        change(&mut house.vault.accounts.lock().unwrap().get_mut(&key).unwrap().0);
    };
    change(&|record| record.state = State::LoginRequired { reason: "signed out".into() });
    shows(&house, "the account needs a new sign-in", access_token("wlcg")).await;
    let at = json!({"request": "access_token", "issuer": "https://issuer.test"});
    shows(&house, "the same, of an account named by its issuer", at).await;
    change(&|record| record.state = State::SignedIn);
    let id_token = || json!({"request": "id_token", "account": "wlcg"});
    shows(&house, "the issuer gives no ID token with a renewal", id_token()).await;
    change(&|record| record.scopes = ScopeSet::parse(["storage.read:/"]).unwrap());
    shows(&house, "an ID token of an account without openid", id_token()).await;
}

#[tokio::test]
async fn of_an_account_that_is_locked() {
    let house = House::sealing().await;
    let key = signed_in(&house.vault);
    let record = house.vault.record(&key);
    house.kept.save_account(&record, Revision::ABSENT).await.unwrap();
    let alice = house.caller(ALICE);
    let words = Some("correct horse battery".to_owned().into());
    house.service.set_passphrase(&alice, "wlcg", None, words).await.unwrap();
    house.service.lock(&alice, "wlcg").await.unwrap();
    shows(&house, "the account has a passphrase and is locked", access_token("wlcg")).await;
    shows(
        &house,
        "an ID token of an account that is locked",
        json!({"request": "id_token", "account": "wlcg"}),
    )
    .await;
}

#[tokio::test(start_paused = true)]
async fn of_what_the_site_does_not_allow() {
    let house = House::ruled("[[rule]]\nfor = \"everybody\"\nissuers = []\n");
    signed_in(&house.vault);
    shows(&house, "a rule of the site's refuses it", access_token("wlcg")).await;
    let scopes = json!({"request": "scopes", "issuer": "https://other.test/"});
    shows(&house, "the scopes of an issuer that the site does not list", scopes).await;
    let house = House::new();
    let text = "the issuer does not answer".to_owned();
    let away = IssuerError::Unreachable {
        text,
        retry_after: None,
        maybe_processed: false,
        reply_lost: false,
        too_slow: false,
        cause: Default::default(),
    };
    house.issuers.offer_errors.lock().unwrap().push_back(away);
    let scopes = json!({"request": "scopes", "issuer": "https://issuer.test/"});
    shows(&house, "the scopes of an issuer that does not answer", scopes).await;
}

#[tokio::test(start_paused = true)]
async fn of_requests_that_are_not_served() {
    let house = House::new();
    let request = |name: &str| json!({"request": name});
    shows(&house, "a request that there is not", request("refresh")).await;
    shows(&house, "a message without a request", json!({})).await;
    shows(&house, "a message that is no request", json!({"request": "check", "account": 1})).await;
    shows(&house, "an account is handed over, as oidc-add does", request("add")).await;
    shows(&house, "an account is made, as oidc-gen does", request("gen")).await;
    shows(&house, "a new sign-in is wanted", request("reauthenticate")).await;
    shows(&house, "accounts are unloaded or the agent locked", request("remove")).await;
    shows(&house, "the agent is unlocked", request("unlock")).await;
    shows(&house, "an account is deleted, as oidc-gen -d does", request("delete")).await;
    shows(&house, "oidc-gen keeps a file in the agent", request("file_write")).await;
    shows(&house, "a mytoken is wanted", request("mytoken")).await;
}

#[tokio::test]
async fn of_messages_that_cannot_be_read() {
    let door = Door::open();
    let mut sealing = Sealing::begin(door.connect().await).await;
    sealing.stream.write_all(b"no message").await.unwrap();
    let mut reply = Vec::new();
    sealing.stream.read_to_end(&mut reply).await.unwrap();
    told("what follows the keys is not encrypted", &sealing.open(&reply));
    let mut sealing = Sealing::begin(door.connect().await).await;
    let strange = "0:AAECAwQFBgcICQoLDA0ODxAREhMUFRYX:AAAAAAAAAAAAAAAAAAAAAA==";
    sealing.stream.write_all(strange.as_bytes()).await.unwrap();
    let mut reply = Vec::new();
    sealing.stream.read_to_end(&mut reply).await.unwrap();
    told("what follows the keys was encrypted with others", &sealing.open(&reply));
}
