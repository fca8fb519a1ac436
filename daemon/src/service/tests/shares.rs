//! For whom an issuer is asked. By that its time is shared, and an issuer that a user named is kept
//! apart from the same one of another user.

use std::collections::BTreeSet;

use iamd_protocol::bus::{AddOptions, RemoveOptions};

use super::*;

#[tokio::test(start_paused = true)]
async fn whatever_a_user_asks_of_an_issuer_is_asked_for_that_user() {
    let house = House::with("[issuers]\ndefault = \"wlcg\"\ncustom = true\n");
    let alice = house.caller(ALICE);
    for (name, issuer) in [("listed", "cms"), ("named", "https://named.example/")] {
        house.issuers.asked_for.lock().unwrap().clear();
        house.service.issuer(&alice, issuer).await.unwrap();
        let own = AddOptions {
            issuer: Some(issuer.into()),
            own_client: Some(true),
            ..AddOptions::default()
        };
        house.make(name, own, &[]).await.unwrap();
        house.sign_in(name, tokens("at", Some("rt"), 3600)).await;
        let anew = TokenOptions { force_new: Some(true), ..TokenOptions::default() };
        house.service.token(&alice, name, anew).await.unwrap();
        house.service.diagnose(&alice).await.unwrap();
        house.service.logout(&alice, name).await.unwrap();
        house.service.remove(&alice, name, RemoveOptions::default()).await.unwrap();
        let asked = house.issuers.asked_for.lock().unwrap().clone();
        let expected = [
            "authorize_device",
            "deregister",
            "is_alive",
            "poll_device",
            "probe",
            "read_client",
            "refresh",
            "register",
            "revoke",
            "scopes_offered",
        ];
        let whats: BTreeSet<&str> = asked.iter().map(|(what, _)| *what).collect();
        for what in expected {
            assert!(whats.contains(what), "{name}: {what} was not asked for: {whats:?}");
        }
        for (what, user) in asked {
            assert_eq!(user, Some(ALICE), "{name}: {what}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn too_many_requests_to_an_issuer_is_an_error_of_its_own_that_may_pass() {
    let house = House::new();
    house.signed_in();
    let busy = || RefreshError::Issuer(IssuerError::Busy { text: "busy".into() });
    house.refresh_says(Err(busy()));
    assert_eq!(kind(house.token(TokenOptions::default()).await), Kind::IssuerBusy);
    // Nothing was sent: the sign-in is as it was, and asked again.
    let passing = crate::token::TokenError::Refresh(busy()).passing();
    assert_eq!(passing, Some(None));
    house.token(TokenOptions::default()).await.unwrap();
}
