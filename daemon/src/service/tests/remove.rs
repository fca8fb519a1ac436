//! Removing an account, and seeing its secrets.

use iamd_protocol::bus::{AddOptions, RemoveOptions, RemoveReply, secret as handed};

use super::{
    add::{CMS, WLCG, own, own_client},
    *,
};
use crate::audit;

impl House {
    async fn remove(&self, named: &str) -> Result<RemoveReply, ServiceError> {
        self.service.remove(&self.caller(ALICE), named, RemoveOptions::default()).await
    }
}

#[tokio::test(start_paused = true)]
async fn r47_r22_the_token_is_revoked_the_client_deleted_and_nothing_is_left() {
    let house = House::new();
    house.make("mine", own_client(), &[]).await.unwrap();
    house.log_in(ALICE).await;
    house.sign_in("mine", sign_in_of("alice-sub")).await;
    assert_eq!(house.alices_file().as_deref(), Some("at-new"));
    let reply = house.remove("mine").await.unwrap();
    assert_eq!((reply.revoked, reply.client_deleted, reply.remarks.len()), (true, true, 0));
    assert_eq!(house.revoked(), ["rt-new"]);
    assert_eq!(*house.issuers.deregistered.lock().unwrap(), ["client-1"]);
    assert!(house.is_empty());
    assert_eq!(house.alices_file(), None);
    assert_eq!(kind(house.remove("mine").await), Kind::NoSuchAccount);
    assert_eq!(house.audit.of(audit::Kind::AccountRemoved).len(), 1);
}

#[tokio::test(start_paused = true)]
async fn r25_r47_the_newest_refresh_token_is_revoked_also_where_the_store_did_not_take_it() {
    for still_down in [false, true] {
        let house = House::new();
        let key = house.signed_in();
        house.vault.saves_fail.store(true, SeqCst);
        assert_eq!(house.token(TokenOptions::default()).await.unwrap().token, "at1");
        assert_eq!(secret(&house.vault.record(&key)), Some("rt0"));
        house.vault.saves_fail.store(still_down, SeqCst);
        assert!(house.remove("wlcg").await.unwrap().revoked);
        assert_eq!(house.revoked(), ["rt1"]);
        // What was kept aside is not the next account's of that name.
        house.vault.saves_fail.store(false, SeqCst);
        house.make("wlcg", AddOptions::default(), &[]).await.unwrap();
        assert_eq!(kind(house.token(TokenOptions::default()).await), Kind::LoginRequired);
        assert_eq!(house.refreshes(), 1);
    }
}

#[tokio::test(start_paused = true)]
async fn what_the_issuer_does_not_do_is_said_and_the_account_is_gone_here() {
    let house = House::new();
    house.make("mine", own_client(), &[]).await.unwrap();
    house.sign_in("mine", sign_in_of("alice-sub")).await;
    house.issuers.revoke_script.lock().unwrap().push_back(Err(unreachable()));
    house.issuers.deregister_errors.lock().unwrap().push_back(unreachable());
    let reply = house.remove("mine").await.unwrap();
    assert_eq!((reply.revoked, reply.client_deleted), (false, false));
    shows_beside("account remove, and the issuer does not answer", &reply.remarks[0]);
    shows_beside("the same, of the account's own client", &reply.remarks[1]);
    assert!(house.is_empty());
}

#[tokio::test(start_paused = true)]
async fn clients_of_others_and_kept_ones_stay_and_that_is_said() {
    let house = House::new();
    house.signed_in();
    let reply = house.remove("wlcg").await.unwrap();
    assert_eq!(reply.remarks.len(), 1);
    shows_beside("account remove of one with the site's client", &reply.remarks[0]);
    assert!(house.client(&ClientOwner::Site, WLCG).is_some());
    let given = AddOptions { client_id: Some("my-id".into()), ..AddOptions::default() };
    house.make("given", given, &[(handed::CLIENT_SECRET, "s")]).await.unwrap();
    let reply = house.remove("given").await.unwrap();
    assert!(!reply.client_deleted, "{reply:?}");
    shows_beside("account remove of one with a client that the user brought", &reply.remarks[0]);
    house.make("kept", own_client(), &[]).await.unwrap();
    let keep = RemoveOptions { keep_client: Some(true) };
    let reply = house.service.remove(&house.caller(ALICE), "kept", keep.clone()).await.unwrap();
    shows_beside("account remove --keep-client", &reply.remarks[0]);
    let at_cms = AddOptions { issuer: Some("cms".into()), ..AddOptions::default() };
    house.make("users", at_cms, &[]).await.unwrap();
    let reply = house.service.remove(&house.caller(ALICE), "users", keep).await.unwrap();
    shows_beside("the same, of the user's client", &reply.remarks[0]);
    let file = "name = \"open\"\nurl = \"https://open.test/\"\nscopes = [\"openid\"]\n\
                [public_client]\nid = \"of-all\"\n";
    std::fs::write(house.dir.path().join("shipped/open.toml"), file).unwrap();
    house.service.reload(By::ITSELF).unwrap();
    let issuer = Some("open".into());
    let public = AddOptions { public_client: Some(true), issuer, ..AddOptions::default() };
    house.make("public", public, &[]).await.unwrap();
    let reply = house.remove("public").await.unwrap();
    shows_beside("account remove of one with the public client", &reply.remarks[0]);
    assert!(house.issuers.deregistered.lock().unwrap().is_empty() && house.is_empty());
}

#[tokio::test(start_paused = true)]
async fn the_users_client_goes_with_the_last_account_that_uses_it() {
    let house = House::new();
    house.make("cms", AddOptions::default(), &[]).await.unwrap();
    let at_cms = || AddOptions { issuer: Some("cms".into()), ..AddOptions::default() };
    house.make("two", at_cms(), &[]).await.unwrap();
    let reply = house.remove("cms").await.unwrap();
    shows_beside("account remove, and another one uses the user's client", &reply.remarks[0]);
    // A login that is about to make another one uses it too.
    let login = LoginOptions { issuer: Some("cms".into()), ..LoginOptions::default() };
    house.login_with("three", login).await.unwrap();
    assert!(!house.remove("two").await.unwrap().client_deleted);
    house.service.cancel_login(&house.caller(ALICE), "three").await.unwrap();
    house.settle().await;
    house.make("four", at_cms(), &[]).await.unwrap();
    assert!(house.remove("four").await.unwrap().client_deleted);
    assert!(house.client(&ClientOwner::User(ALICE), CMS).is_none());
}

#[tokio::test(start_paused = true)]
async fn the_default_moves_is_said_and_the_plain_file_is_the_next_ones() {
    let house = House::new();
    house.signed_in_with_token();
    let second = house.add(ALICE, "alice", "zzz", WLCG);
    let now = house.clock.wall();
    house.change(&second, |record| record.access_token = Some(token("at-z", now, 3600)));
    house.log_in(ALICE).await;
    house.settle().await;
    house.service.set_default(&house.caller(ALICE), "wlcg").await.unwrap();
    let reply = house.remove("wlcg").await.unwrap();
    assert_eq!((reply.account.as_str(), reply.revoked), ("wlcg", true));
    shows_beside("account remove of the default account", reply.remarks.last().unwrap());
    assert_eq!(house.alices_file().as_deref(), Some("at-z"));
    assert_eq!(house.file(ALICE, "bt_u1001-zzz"), None);
    let settings = house.vault.settings.lock().unwrap()[&ALICE].0.clone();
    assert_eq!(settings.default_account, None);
}

#[tokio::test(start_paused = true)]
async fn an_empty_name_removes_and_renames_nobody_not_the_default_account_either() {
    let house = House::new();
    let key = house.signed_in();
    let empty = house.remove("").await.unwrap_err();
    let to_another = house.service.rename(&house.caller(ALICE), "", "x").await.unwrap_err();
    assert_eq!(empty, to_another);
    let when = "account remove or rename of the empty name, by a program";
    crate::testing::shows("Accounts", when, empty);
    assert_eq!(secret(&house.vault.record(&key)), Some("rt0"));
    assert!(house.revoked().is_empty() && house.audit.of(audit::Kind::AccountRemoved).is_empty());
    // What does not open has to be named too.
    let house = House::new();
    house.vault.unreadable.lock().unwrap().insert(house.alices("old"), "no key".into());
    assert_eq!(kind(house.remove("").await), Kind::InvalidArgument);
    assert_eq!(house.vault.unreadable.lock().unwrap().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_login_that_runs_is_cancelled_and_brings_nothing_back() {
    let house = House::new();
    house.make("mine", own_client(), &[]).await.unwrap();
    house.login("mine").await.unwrap();
    house.remove("mine").await.unwrap();
    house.approve(sign_in_of("alice-sub"));
    house.later(30).await;
    assert!(house.is_empty());
}

#[tokio::test(start_paused = true)]
async fn tokens_that_come_after_the_removal_are_revoked_and_not_kept() {
    let house = House::new();
    house.signed_in();
    house.login("wlcg").await.unwrap();
    // The issuer gives the tokens while the account is removed: it holds the account's lock.
    let held = house.vault.lock(crate::account::ports::LockOn::Account(house.alices("wlcg")));
    let held = held.await.unwrap();
    house.approve(sign_in_of("alice-sub"));
    house.later(6).await;
    house.vault.accounts.lock().unwrap().clear();
    drop(held);
    house.settle().await;
    assert!(house.is_empty());
    assert_eq!(house.revoked(), ["rt-new"]);
}

#[tokio::test(start_paused = true)]
async fn an_account_that_does_not_open_can_be_removed_by_name() {
    let house = House::new();
    let key = house.alices("old");
    house.vault.unreadable.lock().unwrap().insert(key, "no key".into());
    let reply = house.remove("old").await.unwrap();
    shows_beside("account remove of one that does not open", &reply.remarks[0]);
    assert!(house.vault.unreadable.lock().unwrap().is_empty());
}

#[tokio::test(start_paused = true)]
async fn r22_a_deletion_that_the_issuer_did_not_confirm_ends_here_and_is_said() {
    use crate::account::ports::Deregistered;
    for (became, deleted) in [
        (Deregistered::Deleted, true),
        (Deregistered::Gone, true),
        (Deregistered::Unconfirmed, false),
    ] {
        let house = House::new();
        house.make("a", own_client(), &[]).await.unwrap();
        *house.issuers.became.lock().unwrap() = Some(became);
        let reply = house.remove("a").await.unwrap();
        assert_eq!(reply.client_deleted, deleted, "{became:?}");
        let said = reply.remarks.iter().any(|remark| remark.contains("did not confirm"));
        assert_eq!(said, !deleted, "{reply:?}");
        if !deleted {
            shows_beside("account remove, and the issuer knows no such client", &reply.remarks[0]);
        }
        assert!(house.is_empty());
    }
}

#[tokio::test(start_paused = true)]
async fn secrets_are_shown_where_the_site_allows_it_and_each_look_is_recorded() {
    let house = House::new();
    house.signed_in();
    assert_eq!(kind(house.service.secrets(&house.caller(ALICE), "").await), Kind::DeniedByPolicy);
    assert_eq!(house.audit.of(audit::Kind::Secrets)[0].result, "DeniedByPolicy");
    let house = House::and("[policy]\nshow_secrets = [\"bob\", \"@operators\"]\n");
    house.signed_in();
    house.make("mine", own_client(), &[]).await.unwrap();
    house.add(BOB, "bob", "bobs", WLCG);
    let alice = house.caller(ALICE);
    assert_eq!(kind(house.service.secrets(&alice, "mine").await), Kind::DeniedByPolicy);
    house.users.1.lock().unwrap().push(("alice".into(), "operators".into()));
    let secrets = house.service.secrets(&alice, "mine").await.unwrap();
    assert_eq!(secrets.client_id.as_deref(), Some("client-1"));
    assert_eq!(secrets.client_secret.as_deref(), Some("client-secret"));
    assert_eq!(secrets.registration_access_token.as_deref(), Some("rat-1"));
    // The site's client is nobody's to see.
    let secrets = house.service.secrets(&alice, "wlcg").await.unwrap();
    assert_eq!(secrets.refresh_token.as_deref(), Some("rt0"));
    assert_eq!((secrets.client_secret, secrets.registration_access_token), (None, None));
    // Nor is another's account.
    assert_eq!(kind(house.service.secrets(&alice, "bobs").await), Kind::NoSuchAccount);
    let results: Vec<_> =
        house.audit.of(audit::Kind::Secrets).into_iter().map(|record| record.result).collect();
    assert_eq!(results, ["DeniedByPolicy", "ok", "ok", "NoSuchAccount"]);
    let bob = house.service.secrets(&house.caller(BOB), "").await.unwrap();
    assert_eq!(bob.refresh_token.as_deref(), Some("rt-of-1002"));
    assert!(house.client(&own("mine"), WLCG).is_some());
}

#[tokio::test(start_paused = true)]
async fn one_issuer_is_asked_now_for_what_it_offers() {
    let house = House::new();
    *house.issuers.offered.lock().unwrap() = ScopeSet::parse(["openid wlcg"]).unwrap();
    let alice = house.caller(ALICE);
    let info = house.service.issuer(&alice, "wlcg").await.unwrap();
    assert_eq!(info.scopes_offered, Some(vec!["openid".to_owned(), "wlcg".to_owned()]));
    assert_eq!((info.is_default, info.public_client), (true, Some(false)));
    house.issuers.offer_errors.lock().unwrap().push_back(unreachable());
    let info = house.service.issuer(&alice, WLCG).await.unwrap();
    assert_eq!((info.scopes_offered, info.health.as_str()), (None, "unreachable"));
    assert_eq!(kind(house.service.issuer(&alice, "nowhere").await), Kind::NoSuchIssuer);
    let not_public = IssuerError::AddressNotPublic { text: "private".into() };
    house.issuers.offer_errors.lock().unwrap().push_back(not_public);
    assert_eq!(kind(house.service.issuer(&alice, "wlcg").await), Kind::AddressNotPublic);
}
