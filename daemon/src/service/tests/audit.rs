//! Every event is recorded, and never with a token. Which fields it has: `audit_fields.rs`.

use iamd_protocol::bus::{AddOptions, EditOptions, RemoveOptions};

use super::*;
use crate::audit::Kind as Event;

#[tokio::test(start_paused = true)]
async fn r56_every_event_is_recorded_and_without_a_token() {
    let house = House::and("[policy]\nshow_secrets = [\"alice\"]\n");
    let (service, alice) = (&house.service, house.caller(ALICE));
    let session = house.log_in_as_process(ALICE).await;
    // A login that fails, one that works, and all that an account can go through.
    house.approve(tokens("canary-at", None, 3600));
    house.login("").await.unwrap();
    house.end_of_login("").await;
    house.later(130).await;
    house.sign_in("", sign_in_of("alice-sub")).await;
    let force = TokenOptions { force_new: Some(true), ..TokenOptions::default() };
    house.token(force).await.unwrap();
    let narrow = Some(vec!["storage.read:/x".to_owned()]);
    house.token(TokenOptions { scopes: narrow, ..TokenOptions::default() }).await.unwrap();
    service.secrets(&alice, "wlcg").await.unwrap();
    let add = AddOptions { issuer: Some("cms".into()), ..AddOptions::default() };
    service.add(&alice, "mine", add, Handed::default()).await.unwrap();
    let audiences = Some(vec!["https://se".to_owned()]);
    let edit = EditOptions { audiences, ..EditOptions::default() };
    service.edit(&alice, "mine", edit).await.unwrap();
    service.remove(&alice, "mine", RemoveOptions::default()).await.unwrap();
    let denied = service.issuer(&alice, "https://unlisted.example/").await;
    assert_eq!(kind(denied), Kind::IssuerNotAllowed);
    service.reload(By::from(&alice)).unwrap();
    service.logout(&alice, "wlcg").await.unwrap();
    session.kill();
    for _ in 0..1000 {
        if !house.audit.of(Event::SessionClosed).is_empty() {
            break;
        }
        crate::clock::SystemClock.sleep(Duration::from_millis(10)).await;
    }
    // What the passphrase of an account brings with it is in the tests of passphrases, and a uid
    // that was given again in those of accounts.
    let elsewhere =
        [Event::Lock, Event::Unlock, Event::WrongPassphrase, Event::Passphrase, Event::UidReused];
    for event in Event::ALL.iter().filter(|event| !elsewhere.contains(event)) {
        let records = house.audit.of(*event);
        let record = records.last().unwrap_or_else(|| panic!("no record of {event:?}"));
        assert!(!record.result.is_empty(), "{event:?}");
    }
    let all = format!("{:?}", house.audit.0.lock().unwrap());
    for secret in ["canary-at", "at-new", "rt-new", "at1", "rt1"] {
        assert!(!all.contains(secret), "{secret}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_refresh_is_recorded_once_however_many_wait_and_also_when_nobody_does() {
    let house = House::new();
    house.signed_in_with_token();
    let force = || TokenOptions { force_new: Some(true), ..TokenOptions::default() };
    let (one, two) = tokio::join!(house.token(force()), house.token(force()));
    one.and(two).unwrap();
    assert_eq!(house.audit.of(Event::Refresh).len(), house.refreshes());
    assert_eq!(house.audit.of(Event::Issue).len(), 2);
    // The keeper renews for who is here.
    let before = house.refreshes();
    house.log_in(ALICE).await;
    house.later(3000).await;
    assert!(house.refreshes() > before);
    assert_eq!(house.audit.of(Event::Refresh).len(), house.refreshes());
    house.refresh_says(Err(RefreshError::Dead { text: "expired".into() }));
    house.token(force()).await.unwrap_err();
    let last = house.audit.of(Event::Refresh).pop().unwrap();
    assert_eq!((last.result.as_str(), last.detail.as_str()), ("LoginRequired", "expired"));
}

#[tokio::test(start_paused = true)]
async fn a_request_beyond_the_quota_is_recorded_once_wherever_it_goes() {
    let house = House::and("[limits]\nrequests = 1\n");
    let held = house.service.admit(ALICE).unwrap();
    let alice = house.caller(ALICE);
    assert_eq!(kind(house.token(TokenOptions::default()).await), Kind::TooManyRequests);
    assert_eq!(kind(house.service.status(&alice).await), Kind::TooManyRequests);
    assert_eq!(kind(house.service.issuer(&alice, "wlcg").await), Kind::TooManyRequests);
    assert!(house.service.admit(ALICE).is_err());
    let denials = house.audit.of(Event::Denial);
    assert!(denials.iter().all(|denial| denial.result == "TooManyRequests"));
    assert_eq!(denials.len(), 4);
    drop(held);
}
