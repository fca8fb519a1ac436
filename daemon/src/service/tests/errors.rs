//! Every failure of a room has one kind, and only refusals are recorded as such.

use iamd_protocol::error::Exit;

use super::*;
use crate::{
    account::{AccountName, ports::VaultError},
    login::Failure,
    policy::{IssuerRefusal, TooManyRequests},
    token::TokenError,
};

fn text() -> String {
    "why".into()
}

fn slow() -> IssuerError {
    IssuerError::Unreachable {
        text: text(),
        retry_after: None,
        maybe_processed: true,
        reply_lost: false,
        too_slow: true,
        cause: Default::default(),
    }
}

fn issuer_errors() -> Vec<(IssuerError, Kind)> {
    let code = "invalid_request".to_owned();
    vec![
        (unreachable(), Kind::IssuerUnreachable),
        (slow(), Kind::IssuerReplyTooSlow),
        (IssuerError::TooLong { text: text() }, Kind::IssuerReplyTooLong),
        (
            IssuerError::CircuitOpen { issuer: text(), retry_in: S, last: None },
            Kind::IssuerUnreachable,
        ),
        (IssuerError::Busy { text: text() }, Kind::IssuerBusy),
        (IssuerError::AddressNotPublic { text: text() }, Kind::AddressNotPublic),
        (IssuerError::Refused { code, text: text() }, Kind::IssuerRefused),
        (IssuerError::ClientRejected { text: text() }, Kind::ClientBroken),
        (IssuerError::Malformed { text: text() }, Kind::IssuerMalformed),
        (IssuerError::Unsupported { text: text() }, Kind::IssuerRefused),
        (IssuerError::ActionNeeded { text: text() }, Kind::ActionNeeded),
        (IssuerError::Local { text: text() }, Kind::ConfigurationInvalid),
    ]
}

fn vault_errors() -> Vec<(VaultError, Kind)> {
    vec![
        (VaultError::Conflict, Kind::StoreUnavailable),
        (VaultError::Unavailable { text: text() }, Kind::StoreUnavailable),
        (VaultError::Unreadable { text: text() }, Kind::AccountUnreadable),
    ]
}

#[test]
fn every_error_of_a_room_has_a_kind_and_keeps_its_text() {
    let key = || AccountKey { uid: ALICE, name: "wlcg".parse().unwrap() };
    let mut table: Vec<(ServiceError, Kind)> = Vec::new();
    let mut add = |error: ServiceError, kind| table.push((error, kind));
    for (error, kind) in issuer_errors() {
        let said = error.to_string();
        let by_refresh = TokenError::Refresh(RefreshError::Issuer(error.clone()));
        for mapped in [ServiceError::from(error.clone()), by_refresh.into()] {
            assert_eq!(mapped.message, said);
            add(mapped, kind);
        }
        add(Failure::from(error).into(), kind);
    }
    for (error, kind) in vault_errors() {
        add(error.clone().into(), kind);
        add(TokenError::Vault(error).into(), kind);
    }
    let login = TokenError::LoginRequired { account: text(), reason: text() };
    add(login.into(), Kind::LoginRequired);
    add(TokenError::NoSuchAccount(key()).into(), Kind::NoSuchAccount);
    add(TokenError::ClientGone.into(), Kind::LoginRequired);
    add(TokenError::IdentityMismatch { text: "x".into() }.into(), Kind::IdentityMismatch);
    add(TokenError::Validity { got: S, asked: 2 * S }.into(), Kind::ValidityUnavailable);
    add(TokenError::Superseded.into(), Kind::StoreUnavailable);
    for (error, kind) in [
        (RefreshError::Dead { text: text() }, Kind::LoginRequired),
        (RefreshError::ActionNeeded { text: text() }, Kind::ActionNeeded),
        (RefreshError::Scope { text: text() }, Kind::ScopeUnavailable),
        (RefreshError::Audience { text: text() }, Kind::AudienceUnavailable),
    ] {
        add(TokenError::Refresh(error).into(), kind);
    }
    for (refusal, kind) in [
        (IssuerRefusal::Unknown(text()), Kind::NoSuchIssuer),
        (IssuerRefusal::NoDefault, Kind::NoSuchIssuer),
        (IssuerRefusal::NotAllowed(text()), Kind::IssuerNotAllowed),
        (IssuerRefusal::Malformed(text(), "why"), Kind::InvalidArgument),
    ] {
        add(refusal.into(), kind);
    }
    add(TooManyRequests.into(), Kind::TooManyRequests);
    add("A".parse::<AccountName>().unwrap_err().into(), Kind::InvalidArgument);
    add(ScopeSet::parse(["\""]).unwrap_err().into(), Kind::InvalidArgument);
    for (error, kind) in table {
        assert_eq!(error.kind, kind, "{error}");
        assert!(!error.message.is_empty(), "{kind:?}");
        let back = ServiceError::from(Failure::from(error.clone()));
        assert_eq!(back, error, "the way through a login changes nothing");
    }
}

#[tokio::test]
async fn r56_only_refusals_are_recorded_as_such_and_their_texts_are_bounded() {
    let house = House::new();
    let alice = house.caller(ALICE);
    for kind in Kind::ALL {
        house.audit.0.lock().unwrap().clear();
        let named = format!("a\u{1b}\n{}", "x".repeat(1000));
        house.service.note_denial(&alice, &About::named(&named), &ServiceError::new(*kind, "why"));
        let denied = house.audit.of(crate::audit::Kind::Denial);
        // Too many requests are recorded where they are counted.
        let here = kind.exit() == Exit::Denied && *kind != Kind::TooManyRequests;
        assert_eq!(denied.len(), usize::from(here), "{kind:?}");
        for record in denied {
            assert_eq!((record.result.as_str(), record.account.len()), (kind.short_name(), 32));
            assert!(record.account.chars().all(|c| c.is_ascii_graphic()));
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_missing_sign_in_is_no_denial_and_a_refused_issuer_is_one() {
    let house = House::new();
    let denials = || house.audit.of(crate::audit::Kind::Denial).len();
    assert!(house.token(TokenOptions::default()).await.is_err());
    assert!(house.login("A").await.is_err());
    assert_eq!(denials(), 0);
    assert_eq!(kind(house.login("https://other.example/").await), Kind::IssuerNotAllowed);
    assert_eq!(denials(), 1);
}

#[tokio::test(start_paused = true)]
async fn what_a_user_sends_comes_back_without_control_characters_and_not_at_length() {
    let house = House::new();
    let alice = house.caller(ALICE);
    let nasty = format!("x\u{1b}]0;owned\u{7}{}", "y".repeat(100_000));
    for error in [
        house.service.show(&alice, &nasty).await.unwrap_err(),
        house.login(&nasty).await.unwrap_err(),
        house.login(&format!("https://{nasty}")).await.unwrap_err(),
        house
            .token(TokenOptions { scopes: scopes(&nasty), ..Default::default() })
            .await
            .unwrap_err(),
        house
            .login_with("", LoginOptions { issuer: Some(nasty.clone()), ..Default::default() })
            .await
            .unwrap_err(),
    ] {
        assert!(!error.message.chars().any(char::is_control), "{:?}", error.message);
        assert!(error.message.len() < 1000, "{}", error.message.len());
    }
}
