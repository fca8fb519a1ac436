//! The grace, with a clock that does not make us wait.

use super::*;

/// Lets the watcher run while the test waits.
fn watch(run: &Run) -> tokio::task::JoinHandle<()> {
    let sessions = run.sessions.clone();
    tokio::spawn(async move { sessions.watch_grace().await })
}

async fn wait(seconds: u64) {
    SystemClock.sleep(Duration::from_secs(seconds)).await;
}

#[tokio::test(start_paused = true)]
async fn a_user_is_gone_when_the_grace_is_over_and_not_before() {
    let dir = tempfile::tempdir().unwrap();
    let mut run = Run::start(dir.path());
    let watcher = watch(&run);
    let id = run.open(ALICE, std::process::id());
    run.sessions.close(&id);
    run.next().await;
    run.next().await;
    wait(GRACE.as_secs() - 1).await;
    assert!(run.events.try_recv().is_err());
    assert!(matches!(run.sessions.presence(ALICE), Presence::Grace(_)));
    wait(2).await;
    assert_eq!(run.next().await, SessionEvent::Gone { uid: ALICE });
    assert_eq!(run.sessions.presence(ALICE), Presence::Gone);
    assert!(names(dir.path()).is_empty());
    watcher.abort();
}

#[tokio::test(start_paused = true)]
async fn a_new_session_cancels_the_grace() {
    let dir = tempfile::tempdir().unwrap();
    let mut run = Run::start(dir.path());
    let watcher = watch(&run);
    let id = run.open(ALICE, std::process::id());
    run.sessions.close(&id);
    wait(GRACE.as_secs() / 2).await;
    let id = run.open(ALICE, std::process::id());
    wait(GRACE.as_secs() * 3).await;
    assert_eq!(run.sessions.presence(ALICE), Presence::Open(1));
    run.sessions.close(&id);
    wait(GRACE.as_secs() + 1).await;
    let mut events = Vec::new();
    while let Ok(event) = run.events.try_recv() {
        events.push(event);
    }
    assert_eq!(
        events,
        [
            SessionEvent::Opened { uid: ALICE, first: true },
            SessionEvent::Ended { uid: ALICE, remaining: 0 },
            SessionEvent::Opened { uid: ALICE, first: true },
            SessionEvent::Ended { uid: ALICE, remaining: 0 },
            SessionEvent::Gone { uid: ALICE },
        ]
    );
    watcher.abort();
}

#[tokio::test(start_paused = true)]
async fn who_lingers_stays_until_he_does_not() {
    let dir = tempfile::tempdir().unwrap();
    let linger = tempfile::tempdir().unwrap();
    let rules = StayRules { grace: GRACE, linger_dir: Some(linger.path().to_owned()) };
    let mut run = Run::with_rules(dir.path(), rules);
    let watcher = watch(&run);
    let file = linger.path().join(login(ALICE).user);
    std::fs::write(&file, "").unwrap();
    for uid in [ALICE, BOB] {
        let id = run.open(uid, std::process::id());
        run.sessions.close(&id);
        run.next().await;
        run.next().await;
    }
    wait(GRACE.as_secs() * 4).await;
    assert_eq!(run.next().await, SessionEvent::Gone { uid: BOB });
    assert!(matches!(run.sessions.presence(ALICE), Presence::Grace(_)));

    // Also over a restart.
    watcher.abort();
    let rules = StayRules { grace: GRACE, linger_dir: Some(linger.path().to_owned()) };
    let mut run = Run::with_rules(dir.path(), rules);
    assert_eq!(run.sessions.restore().in_grace, 1);
    let watcher = watch(&run);
    wait(GRACE.as_secs() * 4).await;
    assert!(run.events.try_recv().is_err());

    std::fs::remove_file(&file).unwrap();
    wait(GRACE.as_secs() + 60).await;
    assert_eq!(run.next().await, SessionEvent::Gone { uid: ALICE });
    watcher.abort();
}

#[tokio::test(start_paused = true)]
async fn a_user_name_does_not_lead_out_of_the_linger_directory() {
    let dir = tempfile::tempdir().unwrap();
    let linger = tempfile::tempdir().unwrap();
    std::fs::write(linger.path().join(".hidden"), "").unwrap();
    let rules = StayRules { grace: GRACE, linger_dir: Some(linger.path().to_owned()) };
    let mut run = Run::with_rules(dir.path(), rules);
    let watcher = watch(&run);
    for (uid, user) in [(1, ""), (2, "."), (3, ".."), (4, "../.."), (5, "/etc"), (6, ".hidden")] {
        run.sessions.depart(uid, user);
    }
    for _ in 0..6 {
        assert!(matches!(
            tokio::time::timeout(GRACE * 2, run.events.recv()).await.unwrap(),
            Some(SessionEvent::Gone { .. })
        ));
    }
    watcher.abort();
}

#[tokio::test(start_paused = true)]
async fn files_without_a_session_that_is_known_get_a_grace() {
    let dir = tempfile::tempdir().unwrap();
    let run = Run::start(dir.path());
    run.open(BOB, std::process::id());
    run.sessions.depart(ALICE, "alice");
    run.sessions.depart(BOB, "bob");
    assert!(matches!(run.sessions.presence(ALICE), Presence::Grace(_)));
    assert_eq!(run.sessions.presence(BOB), Presence::Open(1));
    drop(run);
    let run = Run::start(dir.path());
    assert_eq!(run.sessions.restore().in_grace, 1);
}

#[tokio::test(start_paused = true)]
async fn no_grace_and_an_endless_one_are_graces_too() {
    let dir = tempfile::tempdir().unwrap();
    let mut run = Run::start(dir.path());
    let watcher = watch(&run);
    run.sessions.set_rules(StayRules { grace: Duration::ZERO, linger_dir: None });
    let id = run.open(ALICE, std::process::id());
    run.sessions.close(&id);
    for _ in 0..2 {
        run.next().await;
    }
    assert_eq!(run.next().await, SessionEvent::Gone { uid: ALICE });
    run.sessions.set_rules(StayRules { grace: Duration::MAX, linger_dir: None });
    let id = run.open(ALICE, std::process::id());
    run.sessions.close(&id);
    wait(300 * 24 * 3600).await;
    assert!(matches!(run.sessions.presence(ALICE), Presence::Grace(_)));
    watcher.abort();
}
