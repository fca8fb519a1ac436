//! What a login gets: its environment, its file, at most one notice, and an answer in time.

use std::path::Path;

use iamd_protocol::pam::{Open, Reply};

use super::*;

fn starts(house: &House) -> usize {
    house.issuers.authorizations.load(SeqCst)
}

#[tokio::test(start_paused = true)]
async fn a_user_who_needs_a_login_is_told_where_to_sign_in_and_where_the_file_will_be() {
    let house = House::new();
    let opened = house.log_in(ALICE).await;
    let notice = opened.notice.unwrap();
    let expected = "\
iamd: sign in to WLCG and this node has your access token.
  Open  https://issuer.test/device     Code  AB12CD     (10 min)
  You started this by logging in to login1 as alice. Then go on working: the token
  comes by itself. QR code, state, help:  iamctl login";
    assert_eq!(notice, expected);
    let path = house.dir.path().join("users/1001/bt_u1001").display().to_string();
    assert_eq!(opened.environment, [("BEARER_TOKEN_FILE".to_owned(), path)]);
    assert_eq!(house.alices_file(), None);
}

#[tokio::test(start_paused = true)]
async fn every_session_of_a_user_shows_the_one_login_that_runs() {
    let house = House::new();
    let first = house.log_in(ALICE).await.notice.unwrap();
    house.later(60).await;
    let second = house.log_in(ALICE).await.notice.unwrap();
    assert_eq!(second, first.replace("(10 min)", "(9 min)"));
    assert_eq!(starts(&house), 1);
    assert_eq!(house.audit.of(crate::audit::Kind::LoginStarted).len(), 1);
    house.log_in(BOB).await;
    assert_eq!(starts(&house), 2);
}

#[tokio::test(start_paused = true)]
async fn ten_logins_at_once_start_one_device_login() {
    let house = House::new();
    *house.issuers.device_latency.lock().unwrap() = S / 5;
    let all = (0..10).map(|_| house.log_in(ALICE));
    let opened = futures_util::future::join_all(all).await;
    assert!(opened.iter().all(|opened| opened.notice.as_ref().unwrap().contains("AB12CD")));
    assert_eq!(starts(&house), 1);
    assert_eq!(house.audit.of(crate::audit::Kind::LoginStarted).len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_quiet_session_and_a_user_who_wants_no_notice_see_nothing_and_start_nothing() {
    let house = House::new();
    let quiet = Open { quiet: true, ..house.frame(ALICE) };
    assert_eq!(house.open(quiet).await.notice, None);
    house.service.set_notice(&house.caller(ALICE), false).await.unwrap();
    let opened = house.log_in(ALICE).await;
    assert_eq!((opened.notice, opened.environment.len()), (None, 1));
    assert_eq!(starts(&house), 0);
    house.service.set_notice(&house.caller(ALICE), true).await.unwrap();
    assert!(house.log_in(ALICE).await.notice.is_some());
}

#[tokio::test(start_paused = true)]
async fn a_site_can_leave_logins_to_the_command() {
    let house = House::and("[login]\nautomatic = false\n");
    let opened = house.log_in(ALICE).await;
    assert_eq!((opened.notice, opened.environment.len(), starts(&house)), (None, 1, 0));
}

#[tokio::test(start_paused = true)]
async fn after_three_logins_that_nobody_answered_none_starts_by_itself_until_the_user_asks() {
    let house = House::new();
    for _ in 0..3 {
        assert!(house.log_in(ALICE).await.notice.unwrap().contains("AB12CD"));
        house.later(900).await;
    }
    assert_eq!(house.vault.record(&house.alices("wlcg")).unanswered_logins, 3);
    let notice = house.log_in(ALICE).await.notice.unwrap();
    assert_eq!(notice, "iamd: no access token for WLCG yet. To sign in:  iamctl login");
    assert_eq!(starts(&house), 3);
    house.login("").await.unwrap();
    assert_eq!(starts(&house), 4);
    assert_eq!(house.vault.record(&house.alices("wlcg")).unanswered_logins, 0);
}

#[tokio::test(start_paused = true)]
async fn without_a_default_issuer_and_an_account_a_session_gets_no_environment() {
    let house = House::with("");
    let opened = house.log_in(ALICE).await;
    assert_eq!((opened.notice, opened.environment), (None, Vec::new()));
    // With an account of their own they are served like anybody.
    house.signed_in_with_token();
    let opened = house.log_in(ALICE).await;
    assert_eq!(opened.environment.len(), 1);
    assert_eq!(house.alices_file().as_deref(), Some("at0"));
}

#[tokio::test(start_paused = true)]
async fn r58_r59_system_users_and_other_services_are_left_alone() {
    let house = House::new();
    for open in [
        Open { service: "sudo".into(), ..house.frame(ALICE) },
        Open { uid: 0, user: "root".into(), ..house.frame(ALICE) },
        Open { uid: 999, ..house.frame(ALICE) },
        Open { service: String::new(), ..house.frame(ALICE) },
    ] {
        assert_eq!(house.answer(open).await, Reply::Ignored);
    }
    assert!(house.sessions.all().is_empty());
    assert!(house.audit.0.lock().unwrap().is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_user_who_is_signed_in_has_the_file_before_the_answer_and_no_notice() {
    let house = House::new();
    house.signed_in_with_token();
    let opened = house.log_in(ALICE).await;
    assert_eq!(opened.notice, None);
    assert_eq!(house.alices_file().as_deref(), Some("at0"));
    assert!(Path::new(&opened.environment[0].1).exists());
    assert_eq!((house.refreshes(), starts(&house)), (0, 0));
}

#[tokio::test(start_paused = true)]
async fn a_token_that_ends_too_soon_is_renewed_before_the_answer() {
    let house = House::new();
    let key = house.signed_in_with_token();
    house.clock.pass(3570);
    *house.issuers.latency.lock().unwrap() = S / 2;
    house.log_in(ALICE).await;
    assert_eq!(house.alices_file().as_deref(), Some("at1"));
    assert_eq!(secret(&house.vault.record(&key)), Some("rt1"));
    assert_eq!(house.refreshes(), 1);
}

#[tokio::test(start_paused = true)]
async fn r57_a_slow_issuer_holds_nobody_longer_than_the_site_allows_and_is_not_lost() {
    let house = House::and("[login]\nanswer_within = \"300ms\"\n");
    house.signed_in();
    *house.issuers.latency.lock().unwrap() = 3 * S;
    let before = house.clock.monotonic();
    let opened = house.log_in(ALICE).await;
    assert_eq!(house.clock.monotonic() - before, Duration::from_millis(300));
    assert_eq!((opened.notice, opened.environment.len()), (None, 1));
    assert_eq!(house.alices_file(), None);
    house.later(4).await;
    assert_eq!(house.alices_file().as_deref(), Some("at1"));
}

#[tokio::test(start_paused = true)]
async fn r57_an_issuer_that_never_answers_costs_the_bound_and_the_notice_says_what_to_do() {
    let house = House::new();
    *house.issuers.device_latency.lock().unwrap() = 1_000_000 * S;
    let before = house.clock.monotonic();
    let notice = house.log_in(ALICE).await.notice;
    assert!(house.clock.monotonic() - before <= Duration::from_millis(700));
    let expected = "iamd: no access token for WLCG yet. To sign in:  iamctl login";
    assert_eq!(notice.as_deref(), Some(expected));
}

#[tokio::test(start_paused = true)]
async fn r57_an_open_circuit_costs_no_time_at_all() {
    let house = House::new();
    let retry_in = 30 * S;
    let open = || IssuerError::CircuitOpen { issuer: "WLCG".into(), retry_in, last: None };
    house.issuers.device_script.lock().unwrap().push_back(Err(open()));
    let before = house.clock.monotonic();
    assert!(house.log_in(ALICE).await.notice.unwrap().contains("To sign in:  iamctl login"));
    house.signed_in();
    house.refresh_says(Err(open().into()));
    assert_eq!(house.log_in(ALICE).await.notice, None);
    assert_eq!(house.clock.monotonic(), before);
}

#[tokio::test(start_paused = true)]
async fn r57_a_login_is_never_the_one_that_finds_out_whether_the_issuer_is_back() {
    let house = House::new();
    // The pause of its circuit is over: who asks now is let through, and may wait for long.
    house.issuers.left_alone.store(true, SeqCst);
    *house.issuers.device_latency.lock().unwrap() = 3 * S;
    let before = house.clock.monotonic();
    let notice = house.log_in(ALICE).await.notice.unwrap();
    assert_eq!(notice, "iamd: no access token for WLCG yet. To sign in:  iamctl login");
    assert_eq!(house.clock.monotonic(), before);
    // It is asked behind the login all the same, and the next one has the code.
    house.later(4).await;
    assert_eq!(starts(&house), 1);
    assert!(house.log_in(ALICE).await.notice.unwrap().contains("AB12CD"));
    assert_eq!(starts(&house), 1);

    let house = House::new();
    house.signed_in();
    house.issuers.left_alone.store(true, SeqCst);
    *house.issuers.latency.lock().unwrap() = 3 * S;
    let before = house.clock.monotonic();
    assert_eq!(house.log_in(ALICE).await.notice, None);
    assert_eq!((house.clock.monotonic(), house.alices_file()), (before, None));
    house.later(4).await;
    assert_eq!((house.alices_file().as_deref(), house.refreshes()), (Some("at1"), 1));
    // A token that is at hand is given.
    let house = House::new();
    house.signed_in_with_token();
    house.issuers.left_alone.store(true, SeqCst);
    house.log_in(ALICE).await;
    assert_eq!((house.alices_file().as_deref(), house.refreshes()), (Some("at0"), 0));
}

#[tokio::test(start_paused = true)]
async fn a_store_that_is_down_takes_nothing_from_a_login_but_the_token() {
    let house = House::new();
    house.vault.store_fails.store(true, SeqCst);
    let opened = house.log_in(ALICE).await;
    assert_eq!((opened.notice, opened.environment.len()), (None, 1));
    assert_eq!(house.sessions.count(ALICE), 1);
}

#[tokio::test(start_paused = true)]
async fn r67_the_end_of_a_sign_in_is_announced_from_five_days_before() {
    const DAY: u64 = 86_400;
    let house = House::new();
    let key = house.signed_in_with_token();
    let now = house.clock.wall().0;
    let mut notices = Vec::new();
    for left in [5 * DAY + 1, 5 * DAY, DAY, 7200] {
        house.change(&key, |record| record.refresh_expires_at = Some(UnixTime(now + left)));
        notices.push(house.log_in(ALICE).await.notice);
    }
    assert_eq!(notices[0], None);
    let ends = |when: &str| {
        Some(format!("iamd: your sign-in to WLCG ends in {when}. To sign in again:  iamctl login"))
    };
    assert_eq!(notices[1..], [ends("5 days"), ends("1 day"), ends("2 h")]);
    let quiet = Open { quiet: true, ..house.frame(ALICE) };
    assert_eq!(house.open(quiet).await.notice, None);
}

#[tokio::test(start_paused = true)]
async fn r67_a_sign_in_that_never_lasts_as_long_is_announced_in_the_last_fifth_of_its_life() {
    const HOUR: u64 = 3600;
    let house = House::new();
    let key = house.signed_in_with_token();
    let now = house.clock.wall().0;
    for (life, left, told) in [
        // Every sign-in of this issuer's lasts ten hours.
        (10 * HOUR, 10 * HOUR, None),
        (10 * HOUR, 2 * HOUR + 1, None),
        (10 * HOUR, 2 * HOUR, Some("ends in 2 h.")),
        (600, 121, None),
        (600, 120, Some("ends in 2 min.")),
        (3 * 24 * HOUR, 15 * HOUR, None),
        (3 * 24 * HOUR, 14 * HOUR, Some("ends in 14 h.")),
        (5 * 24 * HOUR, 24 * HOUR + 1, None),
        (5 * 24 * HOUR, 24 * HOUR, Some("ends in 1 day.")),
        // One that lasts longer than five days is told five days before.
        (10 * 24 * HOUR, 120 * HOUR + 1, None),
        (10 * 24 * HOUR, 120 * HOUR, Some("ends in 5 days.")),
    ] {
        house.change(&key, |record| {
            record.signed_in_at = Some(UnixTime(now + left - life));
            record.refresh_expires_at = Some(UnixTime(now + left));
        });
        let notice = house.log_in(ALICE).await.notice;
        assert_eq!(notice.is_some(), told.is_some(), "{life} {left}: {notice:?}");
        assert!(notice.unwrap_or_default().contains(told.unwrap_or_default()), "{life} {left}");
        let shown = house.service.show(&house.caller(ALICE), "").await.unwrap();
        assert_eq!(shown.ends_soon, Some(told.is_some()), "{life} {left}");
        assert_eq!(shown.refresh_expires_at, Some(now + left));
    }
    // The site's own end is announced like the issuer's.
    let house = House::and("[policy]\nlongest_sign_in = \"10h\"\n");
    let key = house.signed_in_with_token();
    for (left, told) in [(5 * HOUR, false), (HOUR, true)] {
        let since = UnixTime(house.clock.wall().0 + left - 10 * HOUR);
        house.change(&key, |record| record.signed_in_at = Some(since));
        assert_eq!(house.log_in(ALICE).await.notice.is_some(), told, "{left}");
    }
}

#[tokio::test(start_paused = true)]
async fn r67_an_end_that_the_issuer_moves_on_at_each_refresh_is_not_announced() {
    let house = House::new();
    let key = house.signed_in();
    let since = house.clock.wall();
    house.change(&key, |record| {
        record.signed_in_at = Some(since);
        record.refresh_expires_at = Some(since.plus(1800 * S));
    });
    // A refresh after so many seconds, which tells this end; with the same refresh token or another.
    let refreshed = async |after: u64, end: UnixTime, refresh_token: Option<&str>| {
        house.clock.pass(after);
        let tokens = tokens("at", refresh_token, 300);
        house.refresh_says(Ok(Tokens { refresh_expires_at: Some(end), ..tokens }));
        let anew = TokenOptions { force_new: Some(true), ..TokenOptions::default() };
        house.token(anew).await.unwrap();
        assert_eq!(house.vault.record(&key).refresh_expires_at, Some(end));
        house.log_in(ALICE).await.notice
    };
    for (number, refresh_token) in [(1, Some("rt1")), (2, Some("rt2")), (3, None)] {
        // An hour later half an hour is left, as at the beginning.
        let end = house.clock.wall().plus((3600 + 1800) * S);
        assert_eq!(refreshed(3600, end, refresh_token).await, None, "{number}");
    }
    // One right behind it tells nothing new.
    let end = house.clock.wall().plus((5 + 1800) * S);
    assert_eq!(refreshed(5, end, Some("rt4")).await, None);
    // From here on it does not move: now it is an end.
    let told = refreshed(600, end, Some("rt5")).await.unwrap();
    assert!(told.contains("ends in 20 min. To sign in again:  iamctl login"), "{told}");
}

#[tokio::test(start_paused = true)]
async fn a_token_that_comes_behind_a_login_leaves_no_file_of_an_account_that_was_given_up_meanwhile()
 {
    let house = House::new();
    let key = house.signed_in_with_token();
    house.log_in(ALICE).await;
    let (record, token) = (house.vault.record(&key), house.alices_file());
    let came = record.access_token.clone().unwrap();
    assert!(token.is_some());
    house.service.put_file(&record, Ok(came.clone())).await;
    assert_eq!(house.alices_file(), token, "it is still the account's");
    house.service.logout(&house.caller(ALICE), "").await.unwrap();
    house.service.put_file(&record, Ok(came.clone())).await;
    assert_eq!(house.alices_file(), None, "signed out");
    house.vault.accounts.lock().unwrap().clear();
    house.service.put_file(&record, Ok(came)).await;
    assert_eq!(house.alices_file(), None, "removed");
}

#[tokio::test(start_paused = true)]
async fn what_the_issuer_wants_of_the_user_is_told_at_login() {
    let house = House::new();
    let key = house.signed_in();
    let text = "sign the acceptable use policy".to_owned();
    house.refresh_says(Err(RefreshError::ActionNeeded { text }));
    house.log_in(ALICE).await;
    let reason = house.vault.record(&key).state.reason().unwrap().to_owned();
    assert_eq!(reason, "sign the acceptable use policy");
    let notice = house.log_in(ALICE).await.notice.unwrap();
    assert!(notice.contains("WLCG wants something of you first: sign the"), "{notice}");
}

#[tokio::test(start_paused = true)]
async fn r67_the_end_of_a_sign_in_is_announced_of_every_account_and_with_its_name() {
    let house = House::new();
    let main = house.signed_in_with_token();
    house.sign_in("cms", sign_in_of("alice-sub")).await;
    let other = house.alices("cms");
    // When that was is not known any more: it may have been long ago.
    house.change(&other, |record| record.signed_in_at = None);
    let now = house.clock.wall();
    let ends = |days: u32| Some(now.plus(days * 86_400 * S + S));
    house.change(&other, |record| record.refresh_expires_at = ends(3));
    let line = "iamd: your sign-in cms to CMS ends in 3 days. To sign in again:  iamctl login cms";
    assert_eq!(house.log_in(ALICE).await.notice.as_deref(), Some(line));
    // Behind what is said of the default one, also where that needs a login.
    house.change(&main, |record| record.refresh_expires_at = ends(1));
    let both = house.log_in(ALICE).await.notice.unwrap();
    let first = "iamd: your sign-in to WLCG ends in 1 day. To sign in again:  iamctl login";
    assert_eq!(both, format!("{first}\n{line}"));
    house.change(&main, |record| record.state = State::LoginRequired { reason: "r".into() });
    let offered = house.log_in(ALICE).await.notice.unwrap();
    assert!(offered.contains("AB12CD") && offered.ends_with(line), "{offered}");
    house.change(&other, |record| record.refresh_expires_at = ends(9));
    assert!(!house.log_in(ALICE).await.notice.unwrap().contains("cms"));
    // Who wants no notice has none.
    house.change(&other, |record| record.refresh_expires_at = ends(3));
    house.service.set_notice(&house.caller(ALICE), false).await.unwrap();
    assert_eq!(house.log_in(ALICE).await.notice, None);
}
