//! An administrator ends sign-ins: exactly those that were meant, here at once, and at the issuer.

use iamd_protocol::bus::{RevokeOptions, RevokeReply, revoked};

use super::*;

const CMS: &str = "https://cms.test/";

fn of(user: &str) -> RevokeOptions {
    RevokeOptions { user: Some(user.into()), ..RevokeOptions::default() }
}

fn at(issuer: &str) -> RevokeOptions {
    RevokeOptions { issuer: Some(issuer.into()), ..RevokeOptions::default() }
}

async fn revoke(house: &House, options: RevokeOptions) -> RevokeReply {
    house.service.revoke_sign_ins(By::ITSELF, options).await.unwrap()
}

/// Whose sign-ins, and what came of them.
fn brief(reply: &RevokeReply) -> Vec<(u32, &str, &str)> {
    let mut lines: Vec<_> = reply
        .sign_ins
        .iter()
        .map(|info| (info.uid, info.account.as_str(), info.result.as_str()))
        .collect();
    lines.sort_unstable();
    lines
}

/// alice at both issuers, bob at one.
fn populated() -> House {
    let house = House::new();
    house.signed_in_with_token();
    house.add(ALICE, "alice", "cms", CMS);
    house.add(BOB, "bob", "cms", CMS);
    let made = client(ClientOwner::Site, &CMS.parse().unwrap(), 1);
    let at = (ClientOwner::Site, CMS.to_owned());
    house.vault.clients.lock().unwrap().insert(at, (made, 1));
    house
}

#[tokio::test(start_paused = true)]
async fn all_of_a_user_is_ended_here_and_at_the_issuers_and_nothing_of_another() {
    for name in ["alice", "1001"] {
        let house = populated();
        house.log_in(ALICE).await;
        house.log_in(BOB).await;
        house.settle().await;
        assert!(house.alices_file().is_some());
        let reply = revoke(&house, of(name)).await;
        assert_eq!(
            brief(&reply),
            [(ALICE, "cms", revoked::REVOKED), (ALICE, "wlcg", revoked::REVOKED)]
        );
        assert_eq!(reply.pending, 0);
        assert_eq!(house.alices_file(), None);
        assert_eq!(house.revoked().len(), 2);
        assert_eq!(kind(house.token(TokenOptions::default()).await), Kind::LoginRequired);
        let bobs = house.service.token(&house.caller(BOB), "", TokenOptions::default()).await;
        assert!(bobs.is_ok(), "{bobs:?}");
        let ended = house.audit.of(crate::audit::Kind::SignOut);
        assert!(ended.iter().all(|record| record.uid == ALICE && record.detail.contains("uid 0")));
        let done = house.audit.of(crate::audit::Kind::Administration);
        assert_eq!(done[0].detail, format!("revoke user={name}: ended 2"));
    }
}

#[tokio::test(start_paused = true)]
async fn an_issuer_and_a_client_name_sign_ins_of_everybody() {
    let house = populated();
    let dry = revoke(&house, RevokeOptions { dry_run: Some(true), ..at("cms") }).await;
    assert_eq!(brief(&dry), [(ALICE, "cms", revoked::WOULD), (BOB, "cms", revoked::WOULD)]);
    assert!(house.revoked().is_empty());
    assert_eq!(house.vault.accounts.lock().unwrap().len(), 3);
    // By URL without its slash as well.
    let both =
        revoke(&house, RevokeOptions { user: Some("bob".into()), ..at("https://cms.test") }).await;
    assert_eq!(brief(&both), [(BOB, "cms", revoked::REVOKED)]);
    house.change(&house.alices("wlcg"), |record| record.client_id = Some("other".into()));
    let client = RevokeOptions { client: Some("client-1".into()), ..RevokeOptions::default() };
    let reply = revoke(&house, client).await;
    assert_eq!(brief(&reply), [(ALICE, "cms", revoked::REVOKED)]);
    assert!(house.token(TokenOptions::default()).await.is_ok());
    assert!(revoke(&house, at("cms")).await.sign_ins.is_empty());
}

#[tokio::test(start_paused = true)]
async fn nothing_named_is_refused_and_so_is_an_issuer_that_nobody_knows() {
    let house = populated();
    for options in [RevokeOptions::default(), of(""), at("")] {
        assert_eq!(
            kind(house.service.revoke_sign_ins(By::ITSELF, options).await),
            Kind::InvalidArgument
        );
    }
    let unknown = house.service.revoke_sign_ins(By::ITSELF, at("nope")).await;
    assert_eq!(kind(unknown), Kind::NoSuchIssuer);
    assert!(house.revoked().is_empty());
    // A name that was mistyped; one that is right and has nothing to end is none.
    for dry_run in [Some(true), None] {
        let error = house
            .service
            .revoke_sign_ins(By::ITSELF, RevokeOptions { dry_run, ..of("alise") })
            .await
            .unwrap_err();
        assert_eq!(error.kind, Kind::NoSuchUser);
        shows("Administration", "iamctl admin revoke of a user who is not known", error);
    }
    house.name_service_dies(true);
    assert!(revoke(&house, of("alise")).await.sign_ins.is_empty());
    house.name_service_dies(false);
    revoke(&house, of("bob")).await;
    assert!(revoke(&house, of("bob")).await.sign_ins.is_empty());
    // An issuer that the site took off its list can still be named by its URL.
    house.add(BOB, "bob", "old", "https://gone.test/");
    let reply = revoke(&house, at("https://gone.test/")).await;
    assert_eq!(brief(&reply), [(BOB, "old", revoked::UNCONFIRMED)]);
}

#[tokio::test(start_paused = true)]
async fn a_running_login_of_those_who_are_meant_is_cancelled() {
    let house = House::new();
    house.login("").await.unwrap();
    assert_eq!(revoke(&house, of("bob")).await.logins, 0);
    assert_eq!(revoke(&house, of("alice")).await.logins, 1);
    assert_eq!(house.end_of_login("").await.error.as_deref(), Some("LoginCancelled"));
}

#[tokio::test(start_paused = true)]
async fn a_running_login_with_a_client_that_is_meant_is_cancelled_too() {
    let house = House::new();
    house.login("").await.unwrap();
    let client = house.vault.clients.lock().unwrap().values().next().unwrap().0.client_id.clone();
    let with = |client: &str| RevokeOptions { client: Some(client.into()), ..Default::default() };
    assert_eq!(revoke(&house, with("another")).await.logins, 0);
    assert_eq!(revoke(&house, with(&client)).await.logins, 1);
    assert_eq!(house.end_of_login("").await.error.as_deref(), Some("LoginCancelled"));
}

#[tokio::test(start_paused = true)]
async fn an_issuer_that_does_not_answer_keeps_nobody_signed_in_here_nor_the_caller_waiting() {
    let house = populated();
    house.log_in(ALICE).await;
    *house.issuers.revoke_latency.lock().unwrap() = 60 * S;
    let before = house.clock.monotonic();
    let reply = revoke(&house, at("cms")).await;
    assert_eq!(house.clock.monotonic() - before, 15 * S);
    assert_eq!((reply.ended, reply.failed, reply.pending), (2, 0, 2));
    let keys = [house.alices("cms"), AccountKey { uid: BOB, name: "cms".parse().unwrap() }];
    assert!(keys.iter().all(|key| house.vault.record(key).refresh_token.is_none()));
    assert!(house.audit.of(crate::audit::Kind::SignOut).is_empty());
    house.later(60).await;
    let ended = house.audit.of(crate::audit::Kind::SignOut);
    assert_eq!(ended.iter().map(|record| record.result.as_str()).collect::<Vec<_>>(), ["ok", "ok"]);
}

#[tokio::test(start_paused = true)]
async fn what_the_issuer_or_the_store_does_not_do_is_told_one_by_one() {
    let house = populated();
    house.issuers.revoke_script.lock().unwrap().push_back(Err(unreachable()));
    let reply = revoke(&house, at("wlcg")).await;
    assert_eq!(brief(&reply), [(ALICE, "wlcg", revoked::UNCONFIRMED)]);
    assert_eq!(reply.sign_ins[0].remark.as_deref(), Some("the issuer does not answer"));
    house.vault.saves_fail.store(true, SeqCst);
    let reply = revoke(&house, of("bob")).await;
    assert_eq!(brief(&reply), [(BOB, "cms", revoked::FAILED)]);
    let remark = reply.sign_ins[0].remark.as_deref().unwrap();
    assert!(remark.starts_with("still signed in: ") && remark.contains("do it again"), "{remark}");
    assert_eq!(house.revoked(), ["rt0"]);
}

#[tokio::test(start_paused = true)]
async fn what_could_not_be_ended_is_counted_apart_in_the_reply_and_in_the_records() {
    let house = populated();
    house.issuers.revoke_script.lock().unwrap().push_back(Err(unreachable()));
    house.login("second").await.unwrap();
    // Those of two users; the store takes one, and not the other.
    house.vault.fails_for.lock().unwrap().push(BOB);
    let reply = revoke(&house, at("cms")).await;
    assert_eq!(
        brief(&reply),
        [(ALICE, "cms", revoked::UNCONFIRMED), (BOB, "cms", revoked::FAILED)]
    );
    assert_eq!((reply.ended, reply.failed, reply.pending), (1, 1, 0));
    let done = house.audit.of(crate::audit::Kind::Administration).pop().unwrap();
    assert_eq!(
        (done.result.as_str(), done.detail.as_str()),
        ("incomplete", "revoke issuer=cms: ended 1, not ended 1")
    );
    let of = |uid: u32| {
        let all = house.audit.of(crate::audit::Kind::SignOut);
        all.into_iter().find(|record| record.uid == uid).unwrap()
    };
    assert_eq!(of(ALICE).result, "not-revoked");
    assert_eq!(of(BOB).result, "StoreUnavailable");
    assert!(of(BOB).detail.contains("not ended, still signed in: "), "{:?}", of(BOB));
    // Again, when it is mended.
    house.vault.fails_for.lock().unwrap().clear();
    let reply = revoke(&house, at("cms")).await;
    assert_eq!((reply.ended, reply.failed), (1, 0));
    let done = house.audit.of(crate::audit::Kind::Administration).pop().unwrap();
    assert_eq!((done.result.as_str(), done.detail.as_str()), ("ok", "revoke issuer=cms: ended 1"));
}
