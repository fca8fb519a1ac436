//! Whatever a user sends: an error, never a crash, and the next call works.

use super::*;

/// The service still answers.
async fn answers(line: &Line) {
    let reply = line.call(ACCOUNTS, "List", &());
    tokio::time::timeout(PATIENCE, reply).await.expect("no answer").unwrap();
    assert!(!line.server.is_closed());
}

fn nasty() -> Vec<String> {
    vec![
        "x".repeat(10_000_000),
        "\u{1b}]0;owned\u{7}".into(),
        "\u{202e}gnp.exe\u{feff}".into(),
        "../../etc/passwd".into(),
        "a/b".into(),
        "-rf".into(),
        "%s%n".into(),
        "'; DROP TABLE accounts; --".into(),
        "https://".into(),
        format!("https://{}/", "a.".repeat(100_000)),
        "https://[::1]:99999/".into(),
        "\n\n\n".into(),
        " ".into(),
    ]
}

#[tokio::test]
async fn names_and_scopes_of_any_kind_give_errors() {
    let line = Line::of(ALICE).await;
    signed_in(&line.house.vault);
    for text in nasty() {
        let (text, none) = (text.as_str(), options(NOTHING));
        for member in ["Show", "CancelLogin", "Logout"] {
            assert!(line.call(ACCOUNTS, member, &(text,)).await.is_err(), "{member} {text:.40}");
        }
        assert!(line.call(ACCOUNTS, "LoginState", &(text, 0u32)).await.is_err());
        assert!(line.call(ACCOUNTS, "Login", &(text, &none)).await.is_err(), "{text:.40}");
        assert!(line.call(TOKENS, "GetToken", &(text, &none)).await.is_err(), "{text:.40}");
        let issuer: HashMap<_, _> = [("issuer", Variant::from(text))].into_iter().collect();
        if !text.trim().is_empty() {
            assert!(line.call(ACCOUNTS, "Login", &("", &issuer)).await.is_err(), "{text:.40}");
        }
    }
    assert_eq!(line.house.issuers.authorizations.load(std::sync::atomic::Ordering::SeqCst), 0);
    answers(&line).await;
}

#[tokio::test]
async fn ten_thousand_refusals_leave_few_records_and_none_of_another_user_is_dropped() {
    use crate::audit::Kind::{Administration, Denial};
    let line = Line::of(ALICE).await;
    let house = &line.house;
    let (records, repeats) = house.audit.bound(house.clock.clone());
    let bob = house.caller(BOB);
    for round in 0..10_000 {
        let text = format!("https://unlisted{}.test/", if round < 5000 { 0 } else { round });
        let refused = match round % 2 {
            0 => line.call(ACCOUNTS, "Issuer", &(text.as_str(),)).await,
            // Polkit is not there, so it does not allow it.
            _ => line.call(ADMIN, "Users", &()).await,
        };
        assert!(refused.is_err(), "{round}");
        if round % 2500 == 0 {
            house.service.issuer(&bob, "https://unlisted.test/").await.unwrap_err();
        }
    }
    let of = |uid: u32, kind| records.of(kind).into_iter().filter(move |r| r.uid == uid).count();
    for kind in [Denial, Administration] {
        assert!((1..=102).contains(&of(ALICE, kind)), "{kind:?}: {}", of(ALICE, kind));
    }
    assert_eq!(of(BOB, Denial), 1);
    repeats.finish();
    assert_eq!(of(BOB, Denial), 2, "the others are counted");
    assert!(of(ALICE, Denial) <= 204 && of(ALICE, Administration) == 2);
}

#[tokio::test]
async fn texts_that_come_back_are_short_and_plain() {
    let line = Line::of(ALICE).await;
    for text in nasty() {
        let interface = Some(ACCOUNTS);
        let reply =
            line.client.call_method(None::<&str>, PATH, interface, "Show", &(text.as_str(),)).await;
        let Err(zbus::Error::MethodError(_, Some(said), _)) = reply else { panic!("{text:.40}") };
        assert!(said.len() < 1000 && !said.chars().any(char::is_control), "{said:.100}");
    }
}

#[tokio::test]
async fn more_scopes_than_a_request_may_carry_are_refused() {
    let line = Line::of(ALICE).await;
    signed_in(&line.house.vault);
    let many: Vec<String> = (0..100_000).map(|number| format!("scope{number}")).collect();
    for member in ["scopes", "audiences"] {
        let asked: HashMap<_, _> = [(member, Variant::from(many.clone()))].into_iter().collect();
        let error = line.call(TOKENS, "GetToken", &("", &asked)).await.err();
        assert_eq!(error, named(Kind::InvalidArgument));
        let error = line.call(ACCOUNTS, "Login", &("", &asked)).await.err();
        assert_eq!(error, named(Kind::InvalidArgument));
    }
    answers(&line).await;
}

#[tokio::test]
async fn members_of_a_later_version_are_ignored() {
    let line = Line::of(ALICE).await;
    signed_in(&line.house.vault);
    let asked = options([
        ("later", Variant::from(vec![1u64, 2])),
        ("scopes", Variant::from(vec!["storage.read:/"])),
        ("dpop", Variant::from(true)),
    ]);
    assert!(line.call(TOKENS, "GetToken", &("", &asked)).await.is_ok());
    let wanted = line.house.issuers.wanted.lock().unwrap()[0].clone();
    assert_eq!(wanted.scopes.unwrap().to_string(), "storage.read:/");
    let asked = options([("later", Variant::from(1u8)), ("if_needed", Variant::from(true))]);
    assert!(line.call(ACCOUNTS, "Login", &("", &asked)).await.is_ok());
}

#[tokio::test]
async fn wrong_types_are_the_callers_error() {
    let line = Line::of(ALICE).await;
    signed_in(&line.house.vault);
    let none = options(NOTHING);
    let wrong = [
        line.call(ACCOUNTS, "Show", &(1u32,)).await,
        line.call(ACCOUNTS, "Show", &()).await,
        line.call(ACCOUNTS, "SetNotice", &("yes",)).await,
        line.call(ACCOUNTS, "LoginState", &("", -1i64)).await,
        line.call(TOKENS, "GetToken", &(&none, "")).await,
        line.call(TOKENS, "GetToken", &("", vec!["scopes"])).await,
        line.call(ACCOUNTS, "NoSuchMember", &()).await,
        line.call("org.iamd1.NoSuchInterface", "List", &()).await,
    ];
    for (number, reply) in wrong.into_iter().enumerate() {
        let name = reply.expect_err(&number.to_string());
        assert!(name.starts_with("org.freedesktop.DBus.Error."), "{number}: {name}");
    }
    for member in ["scopes", "audiences", "min_valid_seconds", "force_new", "application"] {
        let wrong = options([(member, Variant::from(vec![1.5f64]))]);
        assert!(line.call(TOKENS, "GetToken", &("", &wrong)).await.is_err(), "{member}");
    }
    for member in ["issuer", "scopes", "audiences", "if_needed", "new_client"] {
        let wrong = options([(member, Variant::from(7u16))]);
        assert!(line.call(ACCOUNTS, "Login", &("", &wrong)).await.is_err(), "{member}");
    }
    assert_eq!(line.house.refreshes(), 0);
    answers(&line).await;
}
