//! A node that takes no new sign-ins: who has one notices nothing, and no login is held up.

use iamd_protocol::bus::{AddOptions, DrainInfo, DrainOptions};

use super::*;

fn drain(house: &House, on: bool, reason: Option<&str>) -> Result<DrainInfo, ServiceError> {
    house.service.set_drain(By::ITSELF, DrainOptions { on, reason: reason.map(str::to_owned) })
}

#[tokio::test(start_paused = true)]
async fn no_sign_in_begins_and_the_reason_is_told() {
    let house = House::new();
    drain(&house, true, Some("new kernel at noon")).unwrap();
    let text = "login1 takes no new sign-ins at the moment: new kernel at noon";
    let refused = house.login("").await.unwrap_err();
    assert_eq!((refused.kind, refused.message.as_str()), (Kind::Draining, text));
    let added = house
        .service
        .add(&house.caller(ALICE), "more", AddOptions::default(), Default::default())
        .await;
    assert_eq!(kind(added), Kind::Draining);
    let opened = house.log_in(ALICE).await;
    assert_eq!(opened.notice.unwrap(), format!("iamd: no access token for WLCG yet, and {text}"));
    assert_eq!(opened.environment.len(), 1);
    let asked = (&house.issuers.authorizations, &house.issuers.registrations);
    assert_eq!((asked.0.load(SeqCst), asked.1.load(SeqCst)), (0, 0));
    let status = house.service.status(&house.caller(ALICE)).await.unwrap();
    assert_eq!(status.draining.as_deref(), Some(text));
    drain(&house, false, None).unwrap();
    assert!(house.log_in(ALICE).await.notice.unwrap().contains("AB12CD"));
    assert_eq!(house.service.status(&house.caller(ALICE)).await.unwrap().draining, None);
    let done = house.audit.of(crate::audit::Kind::Administration);
    let done: Vec<_> = done.iter().map(|record| record.detail.as_str()).collect();
    assert_eq!(done, ["drain: new kernel at noon", "drain off"]);
}

#[tokio::test(start_paused = true)]
async fn a_sign_in_that_is_there_and_a_login_that_runs_go_on() {
    let house = House::new();
    house.login("").await.unwrap();
    let info = drain(&house, true, None).unwrap();
    assert_eq!((info.on, info.logins, info.by), (true, 1, Some(0)));
    // Joined, shown again at an SSH login, and finished.
    assert_eq!(house.login("").await.unwrap().state, "pending");
    assert!(house.log_in(ALICE).await.notice.unwrap().contains("AB12CD"));
    house.approve(sign_in_of("alice"));
    assert_eq!(house.end_of_login("").await.state, "done");
    house.later(4000).await;
    assert!(house.token(TokenOptions::default()).await.is_ok());
    assert!(house.alices_file().is_some());
    let options = LoginOptions { if_needed: Some(true), ..LoginOptions::default() };
    assert_eq!(house.login_with("", options).await.unwrap().state, "done");
}

#[tokio::test(start_paused = true)]
async fn a_restart_remembers_it() {
    let house = House::new();
    drain(&house, true, Some("disks")).unwrap();
    let house = house.restarted().await;
    let info = house.service.drain_state(By::ITSELF);
    assert_eq!(
        (info.on, info.reason.as_deref(), info.since),
        (true, Some("disks"), Some(1_000_000))
    );
    assert_eq!(kind(house.login("").await), Kind::Draining);
}

#[tokio::test(start_paused = true)]
async fn a_reason_that_cannot_be_shown_is_refused_and_nothing_is_changed() {
    let house = House::new();
    for reason in ["two\nlines", "\u{1b}[2J", "\u{e9}t\u{e9}", &"x".repeat(201)] {
        assert_eq!(kind(drain(&house, true, Some(reason))), Kind::InvalidArgument, "{reason:?}");
    }
    assert!(!house.service.drain_state(By::ITSELF).on);
    let refused = &house.audit.of(crate::audit::Kind::Administration)[0];
    assert_eq!(
        (refused.result.as_str(), refused.detail.as_str()),
        ("InvalidArgument", "drain: two\\nlines")
    );
}
