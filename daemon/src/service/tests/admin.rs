//! Administration: the configuration that is in force stays until a better one is there.

use super::*;

#[tokio::test(start_paused = true)]
async fn a_reload_takes_effect_for_all_and_is_told() {
    let house = House::and("[limits]\naccounts = 1\n");
    house.signed_in();
    assert_eq!(kind(house.login("second").await), Kind::TooManyAccounts);
    let mut reloads = house.service.reloads();
    let path = house.dir.path().join("iamd.toml");
    std::fs::write(path, "[issuers]\ndefault = \"cms\"\n").unwrap();
    house.service.reload(By::ITSELF).unwrap();
    assert!(reloads.has_changed().unwrap());
    reloads.mark_unchanged();
    assert_eq!(house.service.config().default_issuer.as_deref(), Some("cms"));
    assert!(house.login("second").await.is_ok());
    let done = house.audit.of(crate::audit::Kind::Administration);
    assert_eq!((done[0].result.as_str(), done[0].detail.as_str()), ("ok", "reload"));
}

#[tokio::test(start_paused = true)]
async fn a_reload_that_fails_names_every_mistake_and_changes_nothing() {
    let house = House::new();
    let reloads = house.service.reloads();
    let path = house.dir.path().join("iamd.toml");
    std::fs::write(path, "[issuers]\ndefault = \"nope\"\n\n[limits]\naccounts = 0\n").unwrap();
    let error = house.service.reload(By::ITSELF).unwrap_err();
    assert_eq!(error.kind, Kind::ConfigurationInvalid);
    for text in ["iamd.toml:2: issuers.default", "iamd.toml:5: limits.accounts"] {
        assert!(error.message.contains(text), "{error}");
    }
    assert_eq!(house.service.config().default_issuer.as_deref(), Some("wlcg"));
    assert!(!reloads.has_changed().unwrap());
    assert!(house.log_in(ALICE).await.notice.is_some());
    let done = house.audit.of(crate::audit::Kind::Administration);
    assert_eq!(done[0].result, "ConfigurationInvalid");
}

#[tokio::test(start_paused = true)]
async fn an_administrator_sees_who_is_here_and_nothing_secret() {
    let house = House::new();
    house.signed_in_with_token();
    house.add(ALICE, "alice", "cms", "https://cms.test/");
    house.log_in(ALICE).await;
    house.log_in(BOB).await;
    let users = house.service.users(By::ITSELF).await.unwrap();
    let brief: Vec<_> = users
        .iter()
        .map(|user| (user.uid, user.user.as_str(), user.accounts, user.signed_in, user.sessions))
        .collect();
    assert_eq!(brief, [(ALICE, "alice", 2, 2, 1), (BOB, "bob", 0, 0, 1)]);
    let sessions = house.service.all_sessions(By::ITSELF);
    assert_eq!(sessions.len(), 2);
    let alices = sessions.iter().find(|session| session.uid == ALICE).unwrap();
    assert_eq!((alices.service.as_str(), alices.rhost.as_deref()), ("sshd", Some("192.0.2.7")));
    assert_eq!(alices.pid, std::process::id());
    let text = format!("{users:?}{sessions:?}");
    assert!(!text.contains("rt0") && !text.contains("at0"));
    assert_eq!(house.audit.of(crate::audit::Kind::Administration).len(), 2);
}

#[tokio::test(start_paused = true)]
async fn the_end_waits_for_what_an_issuer_was_asked_and_starts_nothing_more() {
    let house = House::new();
    let key = house.signed_in();
    *house.issuers.latency.lock().unwrap() = 5 * S;
    house.log_in(ALICE).await;
    house.service.finish(30 * S).await;
    assert_eq!(secret(&house.vault.record(&key)), Some("rt1"));
    assert!(house.vault.journal.lock().unwrap().is_empty());
}

#[tokio::test(start_paused = true)]
async fn r19_the_end_waits_for_a_client_that_is_being_registered_and_keeps_it() {
    let house = House::new();
    *house.issuers.register_latency.lock().unwrap() = 5 * S;
    let (service, caller) = (house.service.clone(), house.caller(ALICE));
    let adding = tokio::spawn(async move {
        let options = iamd_protocol::bus::AddOptions::default();
        service.add(&caller, "wlcg", options, Default::default()).await
    });
    house.settle().await;
    house.service.finish(30 * S).await;
    adding.abort();
    assert_eq!(house.vault.clients.lock().unwrap().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn the_end_does_not_wait_for_ever() {
    let house = House::new();
    house.signed_in();
    *house.issuers.latency.lock().unwrap() = 1_000_000 * S;
    house.log_in(ALICE).await;
    let before = house.clock.monotonic();
    house.service.finish(31 * S).await;
    assert_eq!(house.clock.monotonic() - before, 31 * S);
}

#[tokio::test(start_paused = true)]
async fn the_numbers_are_of_all_users_and_counted_from_the_start() {
    let house = House::new();
    let before = house.service.stats(By::ITSELF).await.unwrap();
    assert_eq!((before.users, before.tokens, before.since), (0, 0, 1_000_000));
    assert_eq!(before.issuers.len(), house.service.config().issuers.len());
    house.signed_in_with_token();
    house.log_in(ALICE).await;
    let force = || TokenOptions { force_new: Some(true), ..TokenOptions::default() };
    house.token(force()).await.unwrap();
    house.refresh_says(Err(RefreshError::Dead { text: "expired".into() }));
    house.token(force()).await.unwrap_err();
    let denied = house.service.issuer(&house.caller(ALICE), "https://unlisted.example/").await;
    denied.unwrap_err();
    let stats = house.service.stats(By::ITSELF).await.unwrap();
    assert_eq!((stats.users, stats.sessions), (1, 1));
    let states: Vec<_> =
        stats.accounts.iter().map(|(state, count)| (state.as_str(), *count)).collect();
    assert_eq!(states, [("login-required", 1)]);
    assert_eq!((stats.tokens, stats.refreshes_failed), (1, 1));
    assert!(stats.refreshes >= 1 && stats.denials >= 1, "{stats:?}");
    let told = house.audit.of(crate::audit::Kind::Administration);
    assert_eq!(told.last().map(|record| record.detail.as_str()), Some("stats"));
}

#[tokio::test]
async fn a_list_of_users_that_could_not_be_had_is_recorded_as_such() {
    let house = House::new();
    house.vault.store_fails.store(true, SeqCst);
    let failed = house.service.users(By { uid: BOB, pid: Some(7) }).await;
    assert_eq!(kind(failed), Kind::StoreUnavailable);
    let recorded = house.audit.of(crate::audit::Kind::Administration);
    let told: Vec<_> = recorded.iter().map(|record| record.result.as_str()).collect();
    assert_eq!(told, ["StoreUnavailable"]);
}
