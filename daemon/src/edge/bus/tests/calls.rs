//! Each method once, and each error by its name.

use iamd_protocol::bus::{
    AccountInfo, Finding, IssuerInfo, LoginInfo, LogoutReply, StatusReply, TokenReply,
};

use super::*;

#[tokio::test]
async fn every_method_of_a_user_answers() {
    let line = Line::of(ALICE).await;
    line.house.log_in(ALICE).await;
    let none = options(NOTHING);
    let body = line.call(ACCOUNTS, "Login", &("", &none)).await.unwrap();
    let login: LoginInfo = body.body().deserialize().unwrap();
    assert_eq!((login.state.as_str(), login.user_code.as_deref()), ("pending", Some("AB12CD")));
    let body = line.call(ACCOUNTS, "LoginState", &("", 1u32)).await.unwrap();
    assert_eq!(body.body().deserialize::<LoginInfo>().unwrap().issuer_title, "WLCG");
    line.call(ACCOUNTS, "CancelLogin", &("",)).await.unwrap();
    line.call(ACCOUNTS, "SetNotice", &(false,)).await.unwrap();
    let body = line.call(ACCOUNTS, "Status", &()).await.unwrap();
    let status: StatusReply = body.body().deserialize().unwrap();
    assert_eq!((status.sessions, status.notice, status.node.as_str()), (1, false, "login1"));
    let body = line.call(ACCOUNTS, "Issuers", &()).await.unwrap();
    assert_eq!(body.body().deserialize::<Vec<IssuerInfo>>().unwrap().len(), 2);

    signed_in(&line.house.vault);
    let asked = options([("scopes", Variant::from(vec!["storage.read:/"]))]);
    let body = line.call(TOKENS, "GetToken", &("wlcg", &asked)).await.unwrap();
    let token: TokenReply = body.body().deserialize().unwrap();
    assert_eq!((token.token.as_str(), token.account.as_str()), ("at1", "wlcg"));
    assert_eq!(token.expires_at, 1_000_000 + 3600);
    let body = line.call(ACCOUNTS, "List", &()).await.unwrap();
    assert_eq!(body.body().deserialize::<Vec<AccountInfo>>().unwrap().len(), 1);
    let body = line.call(ACCOUNTS, "Show", &("wlcg",)).await.unwrap();
    assert_eq!(body.body().deserialize::<AccountInfo>().unwrap().state, "signed-in");
    let body = line.call(ACCOUNTS, "Diagnose", &()).await.unwrap();
    assert!(!body.body().deserialize::<Vec<Finding>>().unwrap().is_empty());
    let body = line.call(ACCOUNTS, "Logout", &("wlcg",)).await.unwrap();
    assert!(body.body().deserialize::<LogoutReply>().unwrap().revoked);
}

#[tokio::test]
async fn every_error_has_its_name_and_its_text_on_the_wire() {
    let line = Line::of(ALICE).await;
    for kind in Kind::ALL {
        let name = kind.bus_name();
        let interface = Some("org.iamd1.Test");
        let reply =
            line.client.call_method(None::<&str>, "/test", interface, "Fail", &(&name,)).await;
        let Err(zbus::Error::MethodError(found, text, _)) = reply else { panic!("{name}") };
        assert_eq!((found.as_str(), text), (name.as_str(), Some(format!("about {name}"))));
    }
}

#[tokio::test]
async fn errors_of_the_service_come_out_by_name() {
    let line = Line::of(ALICE).await;
    let none = options(NOTHING);
    let error = line.call(TOKENS, "GetToken", &("", &none)).await.err();
    assert_eq!(error, named(Kind::LoginRequired));
    let error = line.call(ACCOUNTS, "Show", &("nothing",)).await.err();
    assert_eq!(error, named(Kind::NoSuchAccount));
    let error = line.call(ACCOUNTS, "LoginState", &("", 0u32)).await.err();
    assert_eq!(error, named(Kind::LoginRequired));
    let asked = options([("issuer", Variant::from("https://other.example/"))]);
    let error = line.call(ACCOUNTS, "Login", &("", &asked)).await.err();
    assert_eq!(error, named(Kind::IssuerNotAllowed));
    let asked = options([("min_valid_seconds", Variant::from(u32::MAX))]);
    signed_in(&line.house.vault);
    let error = line.call(TOKENS, "GetToken", &("", &asked)).await.err();
    assert_eq!(error, named(Kind::InvalidArgument));
}

#[tokio::test]
async fn who_is_nobody_to_the_name_service_is_refused() {
    let line = Line::of(4242).await;
    for member in ["List", "Status", "Issuers", "Diagnose"] {
        let error = line.call(ACCOUNTS, member, &()).await.err();
        assert_eq!(error, named(Kind::StoreUnavailable), "{member}");
    }
}

#[tokio::test]
async fn a_wait_for_a_login_ends_with_a_change_and_at_once_when_it_is_over() {
    let line = Line::of(ALICE).await;
    let none = options(NOTHING);
    line.call(ACCOUNTS, "Login", &("", &none)).await.unwrap();
    let wait = line.call(ACCOUNTS, "LoginState", &("", 20_000u32));
    let cancel = async {
        line.house.clock.sleep(Duration::from_millis(100)).await;
        line.call(ACCOUNTS, "CancelLogin", &("",)).await
    };
    let both = async { tokio::join!(wait, cancel) };
    let (state, cancelled) = tokio::time::timeout(PATIENCE, both).await.expect("not woken");
    cancelled.unwrap();
    let state: LoginInfo = state.unwrap().body().deserialize().unwrap();
    assert_eq!((state.state.as_str(), state.error.as_deref()), ("failed", Some("LoginCancelled")));
    let again = line.call(ACCOUNTS, "LoginState", &("", 20_000u32));
    let again = tokio::time::timeout(PATIENCE, again).await.expect("waits for nothing");
    assert_eq!(again.unwrap().body().deserialize::<LoginInfo>().unwrap().state, "failed");
}

#[tokio::test(start_paused = true)]
async fn a_wait_is_never_longer_than_bus_clients_wait() {
    let line = Line::of(ALICE).await;
    let none = options(NOTHING);
    line.call(ACCOUNTS, "Login", &("", &none)).await.unwrap();
    let before = line.house.clock.monotonic();
    line.call(ACCOUNTS, "LoginState", &("", u32::MAX)).await.unwrap();
    let waited = line.house.clock.monotonic() - before;
    assert!(waited <= Duration::from_secs(20), "{waited:?}");
}

#[tokio::test]
async fn a_long_wait_does_not_hold_other_calls() {
    let line = Line::of(ALICE).await;
    let none = options(NOTHING);
    line.call(ACCOUNTS, "Login", &("", &none)).await.unwrap();
    let waits = line.call(ACCOUNTS, "LoginState", &("", 20_000u32));
    tokio::select! {
        _ = waits => panic!("nothing changed"),
        listed = async {
            line.house.clock.sleep(Duration::from_millis(50)).await;
            tokio::time::timeout(PATIENCE, line.call(ACCOUNTS, "List", &())).await
        } => assert!(listed.expect("held").is_ok()),
    }
}
