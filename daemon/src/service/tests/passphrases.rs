//! Accounts with a passphrase, as their users meet them.

use iamd_protocol::bus::UnlockOptions;
use secrecy::ExposeSecret as _;

use super::*;
use crate::{
    account::ports::{LockOn, Revision, Stored},
    audit::Kind as Event,
};

pub(super) const WORDS: &str = "correct horse battery";

pub(super) fn secret(text: &str) -> secrecy::SecretString {
    text.to_owned().into()
}

pub(super) fn ever() -> UnlockOptions {
    UnlockOptions::default()
}

fn seconds(seconds: u32) -> UnlockOptions {
    UnlockOptions { for_seconds: Some(seconds) }
}

/// alice's account at wlcg, signed in with refresh token `rt0`, guarded and unlocked.
pub(super) async fn guarded() -> House {
    guarded_in(House::sealing().await).await
}

pub(super) async fn guarded_in(house: House) -> House {
    let key = signed_in(&house.vault);
    let record = house.vault.record(&key);
    house.kept.save_account(&record, Revision::ABSENT).await.unwrap();
    let client = crate::testing::client(ClientOwner::Site, &profile().url, 1);
    house.kept.save_client(&client, Revision::ABSENT).await.unwrap();
    let caller = house.caller(ALICE);
    let set = house.service.set_passphrase(&caller, "", None, Some(secret(WORDS))).await;
    assert_eq!(set.unwrap().account, "wlcg");
    house
}

pub(super) async fn unlock(
    house: &House,
    options: UnlockOptions,
    words: &str,
) -> Result<(), ServiceError> {
    house.service.unlock(&house.caller(ALICE), "", options, secret(words)).await
}

async fn token(house: &House) -> Result<String, Kind> {
    let reply = house.service.token(&house.caller(ALICE), "", TokenOptions::default()).await;
    reply.map(|reply| reply.token).map_err(|error| error.kind)
}

async fn shown(house: &House) -> iamd_protocol::bus::AccountInfo {
    house.service.show(&house.caller(ALICE), "").await.unwrap()
}

async fn record(house: &House) -> Stored<Record> {
    house.kept.account(&house.alices("wlcg")).await.unwrap().unwrap()
}

/// Waits until the keeper has done what it has to do.
async fn until(what: impl Fn() -> bool) {
    for _ in 0..200 {
        if what() {
            return;
        }
        #[allow(clippy::disallowed_methods)]
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("it does not come");
}

#[tokio::test]
async fn after_a_restart_every_call_is_answered_at_once_and_the_issuer_is_not_asked() {
    let house = guarded().await;
    house.log_in(ALICE).await;
    assert_eq!(token(&house).await.unwrap(), "at1");
    assert!(house.alices_file().is_some());
    let house = house.restarted().await;
    house.service.resume_users().await;
    until(|| house.alices_file().is_none()).await;
    assert_eq!(token(&house).await, Err(Kind::AccountLocked));
    let login = house.service.login(&house.caller(ALICE), "", Default::default()).await;
    assert_eq!(login.unwrap_err().kind, Kind::AccountLocked);
    let info = shown(&house).await;
    assert_eq!((info.state.as_str(), info.has_passphrase), ("locked", Some(true)));
    assert_eq!((info.unlocked_until, info.access_expires_at), (None, None));
    assert_eq!((house.refreshes(), house.issuers.authorizations.load(SeqCst)), (0, 0));
    unlock(&house, ever(), WORDS).await.unwrap();
    assert_eq!(token(&house).await.unwrap(), "at1", "the token that is still valid");
    assert_eq!(shown(&house).await.state, "signed-in");
}

#[tokio::test]
async fn a_login_at_a_locked_account_has_a_notice_and_starts_no_device_login() {
    let house = guarded().await.restarted().await;
    let opened = house.log_in(ALICE).await;
    let notice = opened.notice.unwrap();
    assert!(notice.contains("wlcg at WLCG is locked. To unlock it:  iamctl account unlock"));
    assert!(!opened.environment.is_empty(), "the file comes with the unlocking");
    assert!(house.alices_file().is_none());
    assert_eq!((house.refreshes(), house.issuers.authorizations.load(SeqCst)), (0, 0));
    unlock(&house, ever(), WORDS).await.unwrap();
    until(|| house.alices_file().is_some()).await;
}

#[tokio::test]
async fn r67_a_locked_account_whose_sign_in_ends_says_both_at_a_login() {
    let house = guarded().await;
    let end = house.clock.wall().plus(50 * 3600 * S);
    let set = |record: &mut Record| {
        record.refresh_expires_at = Some(end);
        true
    };
    house.service.update(&house.alices("wlcg"), set).await.unwrap();
    let house = house.restarted().await;
    let notice = house.log_in(ALICE).await.notice.unwrap();
    assert_eq!(
        notice,
        "iamd: your account wlcg at WLCG is locked. To unlock it:  iamctl account unlock\n\
         iamd: your sign-in to WLCG ends in 2 days. Once it is unlocked, sign in again:  iamctl login"
    );
    assert_eq!(shown(&house).await.refresh_expires_at, Some(end.0));
}

#[tokio::test]
async fn locking_takes_the_file_the_cache_and_the_keeper_away() {
    let house = guarded().await;
    house.log_in(ALICE).await;
    assert!(token(&house).await.is_ok() && house.alices_file().is_some());
    let caller = house.caller(ALICE);
    house.service.lock(&caller, "wlcg").await.unwrap();
    house.service.lock(&caller, "").await.unwrap();
    assert!(house.alices_file().is_none());
    assert_eq!(token(&house).await, Err(Kind::AccountLocked));
    assert!(record(&house).await.value.refresh_token.is_none());
    let asked = house.refreshes();
    house.clock.pass(7200);
    house.service.resume_users().await;
    assert_eq!((house.refreshes(), house.alices_file()), (asked, None));
    assert_eq!(house.audit.of(Event::Lock).len(), 1, "the second one locked nothing");
}

#[tokio::test]
async fn a_lock_during_a_refresh_keeps_the_new_refresh_token_and_leaves_no_file() {
    let house = guarded().await;
    house.log_in(ALICE).await;
    token(&house).await.unwrap();
    *house.issuers.latency.lock().unwrap() = Duration::from_millis(200);
    let service = house.service.clone();
    let caller = house.caller(ALICE);
    let refresh = tokio::spawn(async move {
        let force = TokenOptions { force_new: Some(true), ..Default::default() };
        service.token(&caller, "", force).await
    });
    until(|| house.refreshes() == 2).await;
    house.service.lock(&house.caller(ALICE), "").await.unwrap();
    assert!(house.alices_file().is_none());
    drop(refresh.await.unwrap());
    assert_eq!(token(&house).await, Err(Kind::AccountLocked));
    let house = house.restarted().await;
    unlock(&house, ever(), WORDS).await.unwrap();
    let kept = record(&house).await.value.refresh_token.unwrap();
    assert_eq!(kept.expose_secret(), "rt2");
}

#[tokio::test]
async fn unlocked_for_a_time_it_locks_itself() {
    let house = guarded().await.restarted().await;
    house.log_in(ALICE).await;
    assert_eq!(unlock(&house, seconds(0), WORDS).await.unwrap_err().kind, Kind::InvalidArgument);
    unlock(&house, seconds(2), WORDS).await.unwrap();
    assert_eq!(shown(&house).await.unlocked_until, Some(house.clock.wall().0 + 2));
    until(|| house.alices_file().is_some()).await;
    house.later(3).await;
    until(|| house.alices_file().is_none()).await;
    assert_eq!(token(&house).await, Err(Kind::AccountLocked));
    assert_eq!(shown(&house).await.unlocked_until, None);
    let results: Vec<_> =
        house.audit.of(Event::Lock).into_iter().map(|event| event.result).collect();
    assert_eq!(results, ["expired"]);
    // The next one counts, not the one before.
    unlock(&house, seconds(2), WORDS).await.unwrap();
    unlock(&house, ever(), WORDS).await.unwrap();
    house.later(4).await;
    assert_eq!(shown(&house).await.state, "signed-in");
}

#[tokio::test]
async fn the_end_of_the_time_of_an_account_that_was_removed_does_not_touch_its_successor() {
    let house = guarded().await;
    house.log_in(ALICE).await;
    token(&house).await.unwrap();
    unlock(&house, seconds(2), WORDS).await.unwrap();
    let mut successor = record(&house).await.value;
    successor.guard = None;
    house.kept.discard_account(&successor.key()).await.unwrap();
    house.kept.save_account(&successor, Revision::ABSENT).await.unwrap();
    assert_eq!(shown(&house).await.unlocked_until, None);
    house.later(4).await;
    assert!(house.alices_file().is_some());
    assert!(house.audit.of(Event::Lock).is_empty());
}

#[tokio::test]
async fn five_wrong_passphrases_bar_their_user_for_a_minute_and_nobody_else() {
    let house = guarded().await.restarted().await;
    for _ in 0..5 {
        let error = unlock(&house, ever(), "wrong horse").await.unwrap_err();
        assert_eq!(error.kind, Kind::WrongPassphrase);
        assert!(error.message.contains("wlcg") && !error.message.contains("horse"), "{error}");
    }
    assert_eq!(unlock(&house, ever(), WORDS).await.unwrap_err().kind, Kind::TooManyAttempts);
    assert_eq!(house.audit.of(Event::WrongPassphrase).len(), 5);
    assert_eq!(house.audit.of(Event::Denial)[0].result, "TooManyAttempts");
    let bob = house.caller(BOB);
    let words = Some(secret("bobs own words"));
    house.service.set_passphrase(&bob, "", None, words).await.unwrap();
}

#[tokio::test]
async fn fifty_attempts_of_one_user_do_not_hold_up_another_users_token() {
    let house = guarded().await;
    token(&house).await.unwrap();
    let bob = house.caller(BOB);
    house.service.set_passphrase(&bob, "", None, Some(secret("bobs own words"))).await.unwrap();
    let mut attempts = tokio::task::JoinSet::new();
    for _ in 0..50 {
        let (service, bob) = (house.service.clone(), bob.clone());
        attempts.spawn(async move { service.unlock(&bob, "", ever(), secret("wrong")).await });
    }
    tokio::task::yield_now().await;
    let start = house.clock.monotonic();
    for _ in 0..20 {
        token(&house).await.unwrap();
    }
    let took = house.clock.monotonic() - start;
    let mut kinds: Vec<Kind> = Vec::new();
    while let Some(outcome) = attempts.join_next().await {
        kinds.push(outcome.unwrap().unwrap_err().kind);
    }
    let tried = kinds.iter().filter(|kind| **kind == Kind::WrongPassphrase).count();
    assert!((1..=5).contains(&tried), "{kinds:?}");
    let told = [Kind::WrongPassphrase, Kind::TooManyRequests, Kind::TooManyAttempts];
    assert!(kinds.iter().all(|kind| told.contains(kind)), "{kinds:?}");
    assert!(took < Duration::from_secs(2), "20 cached tokens took {took:?}");
}

#[tokio::test]
async fn a_passphrase_is_changed_and_taken_off_with_the_present_one_only() {
    let house = guarded().await;
    let (caller, new) = (house.caller(ALICE), || Some(secret("another set of words")));
    let set = async |present: Option<&str>, new| {
        let present = present.map(secret);
        let reply = house.service.set_passphrase(&caller, "wlcg", present, new).await;
        reply.map(drop).map_err(|error| error.kind)
    };
    assert_eq!(set(None, new()).await, Err(Kind::InvalidArgument));
    assert_eq!(set(None, None).await, Err(Kind::InvalidArgument));
    assert_eq!(set(Some("wrong"), new()).await, Err(Kind::WrongPassphrase));
    assert_eq!(set(Some(WORDS), Some(secret("seven77"))).await, Err(Kind::InvalidArgument));
    assert_eq!(set(Some(WORDS), new()).await, Ok(()));
    assert_eq!(token(&house).await.unwrap(), "at1");
    house.service.lock(&caller, "").await.unwrap();
    assert_eq!(unlock(&house, ever(), WORDS).await.unwrap_err().kind, Kind::WrongPassphrase);
    // Taken off a locked account it is a common one again.
    assert_eq!(set(Some("another set of words"), None).await, Ok(()));
    assert_eq!(shown(&house).await.has_passphrase, Some(false));
    assert!(token(&house).await.is_ok());
    let house = house.restarted().await;
    assert!(token(&house).await.is_ok());
    let error = unlock(&house, ever(), WORDS).await.unwrap_err();
    assert_eq!(error.kind, Kind::InvalidArgument);
    assert!(error.message.contains("iamctl account passphrase wlcg"), "{error}");
    let lock = house.service.lock(&house.caller(ALICE), "").await.unwrap_err();
    assert_eq!(lock.kind, Kind::InvalidArgument);
}

#[tokio::test]
async fn a_changed_passphrase_leaves_a_locked_account_locked() {
    let house = guarded().await.restarted().await;
    let (caller, new) = (house.caller(ALICE), Some(secret("another set of words")));
    house.service.set_passphrase(&caller, "", Some(secret(WORDS)), new).await.unwrap();
    assert_eq!(token(&house).await, Err(Kind::AccountLocked));
    unlock(&house, ever(), "another set of words").await.unwrap();
    assert!(token(&house).await.is_ok());
    let results: Vec<_> =
        house.audit.of(Event::Passphrase).into_iter().map(|event| event.result).collect();
    assert_eq!(results, ["changed"]);
}

#[tokio::test]
async fn a_first_sign_in_is_guarded_from_the_first_byte_on() {
    let house = House::sealing().await;
    let caller = house.caller(ALICE);
    let reply = house.service.set_passphrase(&caller, "", None, Some(secret(WORDS))).await;
    assert_eq!(reply.unwrap().account, "wlcg");
    house.approve(sign_in_of("alice-sub"));
    house.service.login(&caller, "wlcg", Default::default()).await.unwrap();
    let done = async {
        while record(&house).await.value.refresh_token.is_none() {
            house.later(1).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), done).await.expect("signed in");
    let found = record(&house).await;
    let guard = found.value.guard.as_ref().unwrap();
    assert!(guard.mark.is_some());
    let house = house.restarted().await;
    assert_eq!(token(&house).await, Err(Kind::AccountLocked));
    unlock(&house, ever(), WORDS).await.unwrap();
    assert_eq!(token(&house).await.unwrap(), "at-new");
    // A rotation goes under the guard too.
    let force = TokenOptions { force_new: Some(true), ..Default::default() };
    house.service.token(&house.caller(ALICE), "", force).await.unwrap();
    let house = house.restarted().await;
    assert!(record(&house).await.value.is_locked());
    unlock(&house, ever(), WORDS).await.unwrap();
    assert_eq!(record(&house).await.value.refresh_token.unwrap().expose_secret(), "rt1");
}

#[tokio::test]
async fn a_renamed_account_stays_as_locked_or_unlocked_as_it_was() {
    let house = guarded().await;
    let caller = house.caller(ALICE);
    unlock(&house, seconds(60), WORDS).await.unwrap();
    house.service.rename(&caller, "wlcg", "work").await.unwrap();
    let shown = house.service.show(&caller, "work").await.unwrap();
    assert_eq!((shown.state.as_str(), shown.unlocked_until.is_some()), ("signed-in", true));
    house.service.lock(&caller, "work").await.unwrap();
    house.service.rename(&caller, "work", "wlcg").await.unwrap();
    assert_eq!(token(&house).await, Err(Kind::AccountLocked));
    unlock(&house, ever(), WORDS).await.unwrap();
    assert_eq!(record(&house).await.value.refresh_token.unwrap().expose_secret(), "rt0");
}

#[tokio::test]
async fn a_locked_account_shows_no_secrets_and_one_that_is_removed_says_what_was_not_revoked() {
    let house = House::and("[policy]\nshow_secrets = [\"alice\"]\n").restarted().await;
    let house = guarded_in(house).await;
    let caller = house.caller(ALICE);
    let shown = house.service.secrets(&caller, "").await.unwrap();
    assert_eq!(shown.refresh_token.as_deref(), Some("rt0"));
    house.service.lock(&caller, "").await.unwrap();
    assert_eq!(house.service.secrets(&caller, "").await.unwrap_err().kind, Kind::AccountLocked);
    let reply = house.service.remove(&caller, "wlcg", Default::default()).await.unwrap();
    assert!(!reply.revoked, "{reply:?}");
    shows_beside("account remove of one that is locked", &reply.remarks[0]);
}

#[tokio::test]
async fn a_sign_in_that_ends_after_the_account_was_locked_changes_nothing_and_is_revoked() {
    let house = guarded().await;
    let caller = house.caller(ALICE);
    let request = crate::login::Request {
        key: house.alices("wlcg"),
        profile: profile(),
        scopes: profile().scopes,
        audiences: Default::default(),
        client_owner: ClientOwner::Site,
        replaces: None,
        caller_pid: None,
        claim: Default::default(),
        exists: true,
    };
    house.service.lock(&caller, "").await.unwrap();
    let client = crate::testing::client(ClientOwner::Site, &profile().url, 1);
    let tokens = sign_in_of("alice-sub");
    let kept = house.service.keep_sign_in(&caller.owner, &request, &client, tokens).await;
    assert_eq!(kept.unwrap_err().kind, Kind::AccountLocked);
    assert_eq!(*house.issuers.revoked.lock().unwrap(), ["rt-new"]);
    unlock(&house, ever(), WORDS).await.unwrap();
    assert_eq!(record(&house).await.value.refresh_token.unwrap().expose_secret(), "rt0");
}

#[tokio::test]
async fn a_lost_passphrase_is_left_behind_by_signing_out() {
    let house = guarded().await.restarted().await;
    let reply = house.service.logout(&house.caller(ALICE), "").await.unwrap();
    assert!(!reply.revoked);
    shows_beside("logout of an account that is locked", &reply.remarks[0]);
    shows_beside("logout of an account that has a passphrase", &reply.remarks[1]);
    let info = shown(&house).await;
    assert_eq!((&*info.state, info.has_passphrase), ("login-required", Some(false)));
    house.service.login(&house.caller(ALICE), "", Default::default()).await.unwrap();
}

#[tokio::test]
async fn a_token_with_scopes_that_were_taken_away_while_it_was_locked_does_not_come_back() {
    let all = ScopeSet::parse(["offline_access openid storage.modify:/ storage.read:/"]).unwrap();
    let house = House::sealing().await;
    let key = house.signed_in_with_token();
    house.change(&key, |record| {
        (record.scopes, record.scopes_asked) = (all.clone(), all.clone());
        record.access_token.as_mut().unwrap().scopes = all.clone();
    });
    house.kept.save_account(&house.vault.record(&key), Revision::ABSENT).await.unwrap();
    let mut client = crate::testing::client(ClientOwner::Site, &profile().url, 1);
    client.scopes = all;
    house.kept.save_client(&client, Revision::ABSENT).await.unwrap();
    let caller = house.caller(ALICE);
    house.service.set_passphrase(&caller, "", None, Some(secret(WORDS))).await.unwrap();
    house.log_in(ALICE).await;
    // Locked and unlocked alone, it is the same token: nothing is asked for.
    house.service.lock(&caller, "").await.unwrap();
    unlock(&house, ever(), WORDS).await.unwrap();
    assert_eq!((token(&house).await.unwrap().as_str(), house.refreshes()), ("at0", 0));
    house.service.lock(&caller, "").await.unwrap();
    let remove_scopes = Some(vec!["storage.modify:/".to_owned()]);
    let less = iamd_protocol::bus::EditOptions { remove_scopes, ..Default::default() };
    house.service.edit(&caller, "", less).await.unwrap();
    unlock(&house, ever(), WORDS).await.unwrap();
    assert_ne!(house.alices_file().as_deref(), Some("at0"));
    assert_ne!(token(&house).await.unwrap(), "at0");
    let asked = house.issuers.wanted.lock().unwrap().last().unwrap().scopes.clone();
    assert_eq!(asked, Some(ScopeSet::parse(["offline_access openid storage.read:/"]).unwrap()));
}

#[tokio::test]
async fn a_passphrase_does_not_make_an_account_anew_that_is_removed_meanwhile() {
    let house = std::sync::Arc::new(guarded().await);
    let key = house.alices("wlcg");
    // As another process of the caller's does it, in the middle of it.
    let lock = house.kept.lock(LockOn::Account(key.clone())).await.unwrap();
    let caller = house.caller(ALICE);
    let (service, present) = (house.service.clone(), Some(secret(WORDS)));
    let setting = tokio::spawn(async move {
        service.set_passphrase(&caller, "wlcg", present, Some(secret("another one"))).await
    });
    house.settle().await;
    let revision = house.kept.account(&key).await.unwrap().unwrap().revision;
    house.kept.remove_account(&key, revision).await.unwrap();
    drop(lock);
    assert_eq!(kind(setting.await.unwrap()), Kind::NoSuchAccount);
    assert!(house.kept.account(&key).await.unwrap().is_none());
}

#[tokio::test]
async fn a_passphrase_waits_while_accounts_are_added_renamed_or_removed() {
    let house = std::sync::Arc::new(guarded().await);
    let lock = house.kept.lock(LockOn::Accounts(ALICE)).await.unwrap();
    let caller = house.caller(ALICE);
    let service = house.service.clone();
    let mut setting = tokio::spawn(async move {
        service.set_passphrase(&caller, "other", None, Some(secret("another one"))).await
    });
    let early = tokio::time::timeout(Duration::from_millis(300), &mut setting).await;
    assert!(early.is_err(), "it did not wait");
    drop(lock);
    assert_eq!(setting.await.unwrap().unwrap().account, "other");
}

#[tokio::test]
async fn an_account_that_is_added_with_a_passphrase_is_guarded_from_the_first_byte_on() {
    use iamd_protocol::bus::{AddOptions, secret::*};
    let house = House::sealing().await;
    let given = || AddOptions { client_id: Some("id".into()), ..AddOptions::default() };
    let short = house.make("mine", given(), &[(NEW_PASSPHRASE, "short")]).await;
    assert_eq!(kind(short), Kind::InvalidArgument);
    let handed = [(REFRESH_TOKEN, "rt-handed"), (NEW_PASSPHRASE, WORDS)];
    let reply = house.make("mine", given(), &handed).await.unwrap();
    assert!(!reply.login_needed);
    assert_eq!(token(&house).await.unwrap(), "at1");
    assert_eq!(house.audit.of(Event::Passphrase).len(), 1);
    // Nobody has the passphrase after a restart: there is nothing without it.
    let house = house.restarted().await;
    assert_eq!(token(&house).await, Err(Kind::AccountLocked));
    let kept = house.kept.account(&house.alices("mine")).await.unwrap().unwrap().value;
    assert!(kept.is_locked() && kept.refresh_token.is_none() && kept.access_token.is_none());
    unlock(&house, ever(), WORDS).await.unwrap();
    token(&house).await.unwrap();
}

#[tokio::test]
async fn nothing_is_held_of_an_account_with_a_passphrase_that_could_not_be_added() {
    use iamd_protocol::bus::{AddOptions, secret::*};
    let house = House::sealing().await;
    let text = "revoked".to_owned();
    house.refresh_says(Err(RefreshError::Dead { text }));
    let given = AddOptions { client_id: Some("id".into()), ..AddOptions::default() };
    let handed = [(REFRESH_TOKEN, "rt-handed"), (NEW_PASSPHRASE, WORDS)];
    assert_eq!(kind(house.make("mine", given, &handed).await), Kind::LoginRequired);
    let key = house.alices("mine");
    assert!(house.kept.account(&key).await.unwrap().is_none());
    assert!(!house.service.locks.release(&key), "its key is held");
}

#[tokio::test]
async fn a_change_of_a_locked_account_says_how_to_unlock_it() {
    use iamd_protocol::bus::EditOptions;
    let house = guarded().await;
    house.service.lock(&house.caller(ALICE), "").await.unwrap();
    let audiences = Some(vec!["https://se.test".to_owned()]);
    let edit = EditOptions { audiences, ..EditOptions::default() };
    let reply = house.service.edit(&house.caller(ALICE), "", edit).await.unwrap();
    shows_beside("account edit of one that is locked", &reply.remarks[0]);
}
