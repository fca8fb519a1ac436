//! The end of sessions: files and keepers go with the user, and not before.

use iamd_protocol::pam::Reply;

use super::*;

#[tokio::test(start_paused = true)]
async fn the_file_stays_until_the_last_session_ends_plus_the_grace() {
    let house = House::new();
    house.signed_in_with_token();
    let (first, second) = (house.log_in(ALICE).await, house.log_in(ALICE).await);
    assert_eq!(house.service.close_session(first.session), Reply::Closed);
    house.later(1000).await;
    assert!(house.alices_file().is_some());
    house.service.close_session(second.session.clone());
    house.later(890).await;
    assert!(house.alices_file().is_some(), "the grace is not over");
    house.later(20).await;
    assert_eq!(house.alices_file(), None);
    assert!(!house.dir.path().join("users/1001").exists());
    // Closed twice, or never known: no matter.
    assert_eq!(house.service.close_session(second.session), Reply::Closed);
    assert_eq!(house.service.close_session("1-2-3-4".into()), Reply::Closed);
}

#[tokio::test(start_paused = true)]
async fn a_file_is_kept_fresh_during_the_grace() {
    let house = House::and("[sessions]\ngrace = \"2h\"\n");
    house.signed_in_with_token();
    let opened = house.log_in(ALICE).await;
    house.service.close_session(opened.session);
    house.later(3000).await;
    assert_eq!(house.alices_file().as_deref(), Some("at1"));
}

#[tokio::test(start_paused = true)]
async fn who_comes_back_during_the_grace_finds_everything_in_place() {
    let house = House::new();
    house.signed_in_with_token();
    let opened = house.log_in(ALICE).await;
    house.service.close_session(opened.session);
    house.later(600).await;
    house.log_in(ALICE).await;
    house.later(1200).await;
    assert_eq!(house.alices_file().as_deref(), Some("at0"));
    assert_eq!(house.refreshes(), 0);
}

#[tokio::test]
async fn a_killed_process_is_the_end_of_its_session() {
    let house = House::and("[sessions]\ngrace = \"0s\"\n");
    house.signed_in_with_token();
    let process = house.log_in_as_process(ALICE).await;
    assert!(house.alices_file().is_some());
    process.kill();
    for _ in 0..500 {
        if house.alices_file().is_none() {
            break;
        }
        house.clock.sleep(Duration::from_millis(10)).await;
    }
    assert_eq!(house.alices_file(), None);
    let ended = house.audit.of(crate::audit::Kind::SessionClosed);
    assert_eq!((ended.len(), ended[0].uid, ended[0].detail.as_str()), (1, ALICE, "0 left"));
}

#[tokio::test(start_paused = true)]
async fn after_a_restart_users_who_are_here_get_their_files_back_and_others_theirs_removed() {
    let house = House::new();
    house.signed_in_with_token();
    house.log_in(ALICE).await;
    let (users, here) = (house.dir.path().join("users"), house.alices_file());
    std::fs::remove_file(users.join("1001/bt_u1001")).unwrap();
    // As a daemon before this one made it.
    let left = |uid: u32| {
        std::fs::create_dir_all(users.join(format!(".{uid}/files"))).unwrap();
        std::os::unix::fs::symlink(format!(".{uid}/files"), users.join(uid.to_string())).unwrap();
        std::fs::write(users.join(format!("{uid}/bt_u{uid}")), "old").unwrap();
    };
    // Of somebody whom the name service does not know, or does not tell of just now: they have
    // the grace too.
    left(1005);
    house.service.resume_users().await;
    house.settle().await;
    assert_eq!(house.alices_file(), here);
    assert!(users.join("1005/bt_u1005").exists());
    // bob's jobs may still read his, so they have the grace.
    left(BOB);
    house.service.resume_users().await;
    assert!(house.file(BOB, "bt_u1002").is_some());
    house.later(910).await;
    assert_eq!(house.file(BOB, "bt_u1002"), None);
    assert!(!users.join("1005/bt_u1005").exists());
    assert!(house.alices_file().is_some());
}

#[tokio::test(start_paused = true)]
async fn bobs_end_is_not_alices() {
    let house = House::new();
    house.signed_in_with_token();
    let bobs = house.log_in(BOB).await;
    house.log_in(ALICE).await;
    house.service.close_session(bobs.session);
    house.later(1000).await;
    assert_eq!(house.alices_file().as_deref(), Some("at0"));
}
