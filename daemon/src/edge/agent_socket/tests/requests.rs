//! What each request asks of the service, and what comes back.

use super::{
    super::{
        answer::answer,
        request::{Ask, Of, Request, parse},
        unserved,
    },
    *,
};
use crate::account::{AudienceSet, ports::Tokens};

/// What is answered to alice.
async fn asked(house: &House, request: Value) -> Value {
    let reply = answer(&house.service, ALICE, None, request.to_string().as_bytes()).await;
    serde_json::from_slice(&reply.into_json()).unwrap()
}

/// alice's account `wlcg`, with a token for an hour.
fn with_token() -> House {
    let house = House::new();
    let key = signed_in(&house.vault);
    let now = house.clock.wall();
    let mut accounts = house.vault.accounts.lock().unwrap();
    accounts.get_mut(&key).unwrap().0.access_token = Some(token("at0", now, 3600));
    drop(accounts);
    house
}

#[tokio::test(start_paused = true)]
async fn an_account_is_meant_by_its_name_or_its_issuer_and_the_name_goes_first() {
    let house = with_token();
    for request in [
        json!({"request": "access_token", "account": "wlcg"}),
        // oidc-agent's own names may have capitals.
        json!({"request": "access_token", "account": "WLCG"}),
        json!({"request": "access_token", "account": "Wlcg"}),
        json!({"request": "access_token", "account": "wlcg", "issuer": "https://other.test"}),
        json!({"request": "access_token", "account": "", "issuer": "https://issuer.test/"}),
        json!({"request": "access_token", "issuer": "https://issuer.test"}),
    ] {
        assert_eq!(asked(&house, request.clone()).await["access_token"], "at0", "{request}");
    }
    for request in [
        json!({"request": "access_token", "account": "cms"}),
        json!({"request": "access_token", "account": "Not A Name"}),
        json!({"request": "access_token", "issuer": "https://other.test"}),
        // Not the account of that name.
        json!({"request": "access_token", "issuer": "wlcg"}),
    ] {
        let error = asked(&house, request.clone()).await["error"].clone();
        assert_eq!(error, "No account configured with that short name", "{request}");
    }
    let named = asked(&house, json!({"request": "access_token", "account": "Not A Name"})).await;
    assert!(named["info"].as_str().unwrap().contains("may be called not-a-name"), "{named}");
    let nobody = asked(&house, json!({"request": "access_token"})).await;
    assert_eq!(nobody["error"], "Not yet implemented");
    assert_eq!(house.refreshes(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_token_is_valid_for_as_long_as_was_asked_or_is_the_newest_that_the_issuer_gives() {
    let house = with_token();
    house.clock.pass(1800);
    let valid = async |seconds: Value| {
        let request =
            json!({"request": "access_token", "account": "wlcg", "min_valid_period": seconds});
        asked(&house, request).await
    };
    for seconds in [json!(0), json!(1800), json!("1800"), json!(null), json!("")] {
        assert_eq!(valid(seconds).await["access_token"], "at0");
    }
    assert_eq!(valid(json!(1801)).await["access_token"], "at1");
    assert_eq!(valid(json!(-1)).await["access_token"], "at2");
    assert_eq!(valid(json!("-1")).await["access_token"], "at3");
    // No promise of oidc-agent's (its issue 410): its clients say no more than how long they wish
    // for, and read when the token ends. One request at the issuer for each.
    let ends = house.clock.wall().0 + 3600;
    for (nth, seconds) in
        [json!(3601), json!("7200"), json!(u64::from(u32::MAX) + 7)].iter().enumerate()
    {
        let given = valid(seconds.clone()).await;
        assert_eq!(given["access_token"], format!("at{}", 4 + nth), "{given}");
        assert_eq!(given["expires_at"], ends, "{given}");
    }
    assert_eq!(house.refreshes(), 6);
    let error = valid(json!("soon")).await["error"].clone();
    assert!(error.as_str().unwrap().starts_with("Bad Request: "), "{error}");
}

#[tokio::test(start_paused = true)]
async fn scopes_and_audiences_are_asked_for_and_the_same_again_costs_no_request() {
    let house = with_token();
    let request = json!({
        "request": "access_token", "account": "wlcg",
        "scope": "openid storage.read:/", "audience": "https://a.test  https://b.test",
    });
    for _ in 0..2 {
        assert_eq!(asked(&house, request.clone()).await["access_token"], "at1");
    }
    let wanted = house.issuers.wanted.lock().unwrap().clone();
    assert_eq!(wanted.len(), 1);
    assert_eq!(wanted[0].scopes, Some(ScopeSet::parse(["openid", "storage.read:/"]).unwrap()));
    let audiences = ["https://a.test", "https://b.test"];
    assert_eq!(wanted[0].audiences, AudienceSet::parse(audiences).unwrap());
}

#[tokio::test(start_paused = true)]
async fn an_id_token_comes_from_a_renewal_and_is_recorded() {
    let house = with_token();
    let of = |id_token: Option<&str>| Tokens {
        id_token: id_token.map(|text| text.to_owned().into()),
        ..tokens("at1", None, 3600)
    };
    house.issuers.refresh_script.lock().unwrap().push_back(Ok(of(Some("h.p.s"))));
    let request =
        json!({"request": "id_token", "account": "wlcg", "application_hint": "oidc-token"});
    let given = json!({"status": "success", "id_token": "h.p.s", "issuer": "https://issuer.test/"});
    assert_eq!(asked(&house, request.clone()).await, given);
    let issued = house.audit.of(crate::audit::Kind::Issue);
    assert_eq!(issued[0].detail, "ID token for oidc-token");
    assert!(issued[0].fields.contains(&"token_hash"));
    // What else the renewal brought is of use to others.
    let access = asked(&house, json!({"request": "access_token", "account": "wlcg"})).await;
    assert_eq!(access["access_token"], "at1");
    house.issuers.refresh_script.lock().unwrap().push_back(Ok(of(None)));
    let none = asked(&house, request).await;
    assert!(none["error"].as_str().unwrap().contains("gives no ID token"), "{none}");
}

#[tokio::test(start_paused = true)]
async fn accounts_that_give_tokens_are_loaded_and_others_are_not() {
    let house = with_token();
    let uid = ALICE;
    let more = |name: &str, issuer: &str, state: State| {
        let owner = Owner { uid, user: "alice".into() };
        let mut record =
            Record::new(owner, name.parse().unwrap(), issuer.into(), ClientOwner::Public);
        record.state = state;
        house.vault.accounts.lock().unwrap().insert(record.key(), (record, 1));
    };
    more("cms", "https://cms.test/", State::SignedIn);
    more("old", "https://cms.test/", State::LoginRequired { reason: "signed out".into() });
    let loaded = asked(&house, json!({"request": "loaded_accounts"})).await;
    assert_eq!(loaded, json!({"status": "success", "info": ["cms", "wlcg"]}));
    let info = asked(&house, json!({"request": "account_info"})).await;
    assert_eq!(
        info["info"],
        json!({
            "https://cms.test/": {"pubclient": true, "accounts": {"cms": true, "old": false}},
            "https://issuer.test/": {"pubclient": false, "accounts": {"wlcg": true}},
        })
    );
    let status = asked(&house, json!({"request": "status_json"})).await;
    assert_eq!(status["info"]["loaded_accounts"], json!(["cms", "wlcg"]));
    assert_eq!(status["info"]["version"], concat!("iamd ", env!("CARGO_PKG_VERSION")));
    let status = asked(&house, json!({"request": "status"})).await;
    let text = status["info"].as_str().unwrap();
    assert!(text.contains("alice") && text.contains("cms, wlcg"), "{text}");
    // A text of oidc-agent's has no line break as such in it.
    let raw = answer(&house.service, ALICE, None, br#"{"request":"status"}"#).await.into_json();
    assert!(!raw.contains(&b'\n'));
    assert_eq!(asked(&house, json!({"request": "check"})).await, json!({"status": "success"}));
}

#[tokio::test(start_paused = true)]
async fn an_issuers_scopes_are_those_it_offers() {
    let house = House::new();
    *house.issuers.offered.lock().unwrap() = ScopeSet::parse(["openid", "wlcg.groups"]).unwrap();
    let request = json!({"request": "scopes", "issuer": "https://issuer.test", "cert_path": "/x"});
    let offered = asked(&house, request).await;
    assert_eq!(offered, json!({"status": "success", "info": "openid wlcg.groups"}));
    let other = asked(&house, json!({"request": "scopes", "issuer": "https://other.test/"})).await;
    assert_eq!(other["error"], "operation forbidden");
}

#[tokio::test(start_paused = true)]
async fn whatever_would_bring_secrets_in_or_out_is_refused_with_the_command_that_does_it() {
    let house = with_token();
    for name in unserved::names() {
        let request = json!({"request": name, "account": "wlcg", "password": "Canary"});
        let told = asked(&house, request).await;
        assert_eq!(told["status"], "failure", "{told}");
        assert!(told["info"].as_str().unwrap().contains("iamctl "), "{told}");
        assert!(!told.to_string().contains("Canary"), "{told}");
    }
    assert_eq!(house.refreshes(), 0);
    let all = [
        "add",
        "gen",
        "device",
        "state_lookup",
        "code_exchange",
        "term_http_server",
        "register",
        "remove",
        "remove_all",
        "delete",
        "delete_client",
        "reauthenticate",
        "lock",
        "unlock",
        "file_write",
        "file_read",
        "file_remove",
        "mytoken",
        "mytoken_supported_providers",
    ];
    for name in all {
        assert!(unserved::names().any(|known| known == name), "{name}");
    }
}

#[test]
fn fields_that_are_not_known_are_not_looked_at() {
    let text = br#"{"request":"access_token","account":"a","new":{"x":[1,2]},"lifetime":0}"#;
    let ask = Ask { of: Of::Account("a".into()), ..Ask::default() };
    assert_eq!(parse(text), Ok(Request::AccessToken(ask)));
}

#[tokio::test(start_paused = true)]
async fn quotas_and_denials_are_those_of_the_bus() {
    let house = House::ruled("[[rule]]\nfor = \"everybody\"\nissuers = []\n");
    signed_in(&house.vault);
    let told = asked(&house, json!({"request": "access_token", "account": "wlcg"})).await;
    assert_eq!(told["error"], "operation forbidden", "{told}");
    assert_eq!(house.audit.of(crate::audit::Kind::Denial).len(), 1);
}

#[tokio::test(start_paused = true)]
async fn ten_thousand_refusals_leave_few_records_and_none_of_another_user_is_dropped() {
    use crate::audit::Kind::Denial;
    let house = House::ruled("[[rule]]\nfor = \"alice\"\nissuers = []\n");
    signed_in(&house.vault);
    let (records, repeats) = house.audit.bound(house.clock.clone());
    for round in 0..10_000 {
        // The same again and again, then ever another.
        let account = if round < 5000 { "wlcg".to_owned() } else { format!("wlcg{round}") };
        let issuer = format!("https://unlisted{round}.test/");
        let request = match round % 2 {
            0 => json!({"request": "access_token", "account": account}),
            _ => json!({"request": "access_token", "issuer": issuer}),
        };
        let told = asked(&house, request).await;
        assert!(told["error"].is_string(), "{told}");
        if round % 2500 == 0 {
            let bob = house.caller(BOB);
            house.service.issuer(&bob, "https://unlisted.test/").await.unwrap_err();
        }
    }
    let of = |uid: u32, kind| records.of(kind).into_iter().filter(move |r| r.uid == uid);
    let alices = of(ALICE, Denial).count();
    assert!((1..=102).contains(&alices), "{alices}");
    assert_eq!(of(BOB, Denial).count(), 1);
    // What was counted is told: nothing is forgotten, of nobody.
    repeats.finish();
    assert!(of(ALICE, Denial).count() <= 204);
    let counted =
        |uid| of(uid, Denial).filter(|r| r.detail.contains("more within a minute")).count();
    assert!(counted(ALICE) >= 1 && counted(BOB) >= 1);
}
