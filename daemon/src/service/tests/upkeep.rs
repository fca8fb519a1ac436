//! Keys and backups as an administrator sees them, on a vault that seals.

use iamd_protocol::bus::{
    BackupOptions, BackupReply, RekeyOptions, RekeyState, RestoreOptions, RestoreReply,
    StoreReport, rekey_state,
};
use secrecy::SecretString;

use super::*;
use crate::account::{
    PasswordFlow,
    ports::{LockOn, Revision},
};

fn words() -> SecretString {
    "the words of a backup".to_owned().into()
}

/// alice signed in, with a token of an hour, in a vault that seals.
async fn signed_in() -> (House, AccountKey) {
    let house = House::sealing().await;
    let test = signed_in_at(&house).await;
    (house, test)
}

async fn signed_in_at(house: &House) -> AccountKey {
    let key = house.signed_in_with_token();
    let record = house.vault.accounts.lock().unwrap()[&key].0.clone();
    let clients: Vec<_> = house.vault.clients.lock().unwrap().values().cloned().collect();
    for (client, _) in clients {
        house.kept.save_client(&client, Revision::ABSENT).await.unwrap();
    }
    house.kept.save_account(&record, Revision::ABSENT).await.unwrap();
    key
}

async fn ended(house: &House) -> RekeyState {
    for _ in 0..4000 {
        let state = house.service.rekey_progress(By::ITSELF).await.unwrap();
        if state.state != rekey_state::RUNNING {
            return state;
        }
        house.clock.sleep(Duration::from_millis(10)).await;
    }
    panic!("it does not end")
}

async fn rekeyed(house: &House, retire: bool) -> RekeyState {
    let options = RekeyOptions { retire: retire.then_some(true) };
    house.service.rekey(By::ITSELF, options).await.unwrap();
    ended(house).await
}

async fn backup(
    house: &House,
    words: &SecretString,
    to: &mut Vec<u8>,
) -> Result<BackupReply, ServiceError> {
    house.service.back_up(By::ITSELF, BackupOptions::default(), words, to).await
}

async fn restore(
    house: &House,
    options: RestoreOptions,
    mut bytes: &[u8],
) -> Result<RestoreReply, ServiceError> {
    house.service.restore(By::ITSELF, options, &words(), &mut bytes).await
}

fn done(house: &House) -> Vec<String> {
    let records = house.audit.of(crate::audit::Kind::Administration);
    let looks_on = |record: &&crate::testing::Recorded| record.detail == "rekey status";
    let acts = records.iter().filter(|record| !looks_on(record));
    acts.map(|record| format!("{} {}", record.result, record.detail)).collect()
}

#[tokio::test]
async fn who_looks_how_a_change_of_keys_stands_is_recorded_once_and_not_each_time() {
    let (house, _) = signed_in().await;
    for pid in [7, 7, 7, 8] {
        let by = By { uid: 0, pid: Some(pid) };
        house.service.rekey_progress(by).await.unwrap();
    }
    let records = house.audit.of(crate::audit::Kind::Administration);
    assert_eq!(records.len(), 2, "{records:?}");
    assert!(records.iter().all(|record| record.detail == "rekey status"));
    assert!(records.iter().all(|record| record.fields.contains(&"caller_pid")));
}

#[tokio::test]
async fn a_change_of_keys_is_told_step_by_step_and_recorded() {
    let (house, _) = signed_in().await;
    let before = house.service.rekey_progress(By::ITSELF).await.unwrap();
    assert_eq!((before.state.as_str(), before.remaining), (rekey_state::DONE, Some(0)));
    assert_eq!(before.started_at, None);
    let state = rekeyed(&house, false).await;
    assert_eq!((state.state.as_str(), state.total, state.done), (rekey_state::DONE, 2, 2));
    assert_eq!(state.older_keys, std::slice::from_ref(&before.key));
    assert_ne!(state.key, before.key);
    assert!(state.ended_at.is_some() && state.unreadable.is_empty());
    let after = rekeyed(&house, true).await;
    assert_eq!(after.retired, std::slice::from_ref(&before.key));
    assert_eq!((after.key, after.older_keys), (state.key.clone(), vec![]));
    let told = done(&house);
    assert_eq!(told[0], format!("ok rekey: 2 records to {} (new)", state.key));
    assert_eq!(told[1], "ok rekey: 2 of 2 records done");
    assert_eq!(told[3], format!("ok rekey: 0 of 0 records done, retired {}", before.key));
    assert_eq!(house.token(TokenOptions::default()).await.unwrap().token, "at0");
}

#[tokio::test]
async fn one_that_was_interrupted_goes_on_after_the_next_start_and_makes_no_further_key() {
    let (house, key) = signed_in().await;
    // Begun, and killed before anything was sealed anew.
    let held = house.kept.lock(LockOn::Account(key)).await.unwrap();
    let begun = house.service.rekey(By::ITSELF, RekeyOptions::default()).await.unwrap();
    assert_eq!(begun.state, rekey_state::RUNNING);
    let again = house.service.rekey(By::ITSELF, RekeyOptions::default()).await.unwrap();
    assert_eq!((again.state.as_str(), &again.key), (rekey_state::RUNNING, &begun.key));
    let busy = backup(&house, &words(), &mut Vec::new()).await.unwrap_err();
    shows("Administration", "two of rekey, backup and restore at once", busy);
    let house = house.restarted().await;
    drop(held);
    let found = house.service.rekey_progress(By::ITSELF).await.unwrap();
    assert_eq!(found.state, rekey_state::UNFINISHED);
    assert!(found.remaining > Some(0));
    house.service.resume_rekey().await;
    let state = ended(&house).await;
    assert_eq!((state.state.as_str(), state.key), (rekey_state::DONE, begun.key));
    assert_eq!(house.token(TokenOptions::default()).await.unwrap().token, "at0");
}

#[tokio::test(start_paused = true)]
async fn a_record_that_somebody_is_always_at_work_on_ends_a_change_of_keys_with_its_name() {
    let (house, key) = signed_in().await;
    let _held = house.kept.lock(LockOn::Account(key)).await.unwrap();
    house.service.rekey(By::ITSELF, RekeyOptions::default()).await.unwrap();
    let state = loop {
        house.clock.sleep(S).await;
        let state = house.service.rekey_progress(By::ITSELF).await.unwrap();
        if state.state != rekey_state::RUNNING {
            break state;
        }
    };
    let text = state.message.unwrap();
    let when = "a record that a change of keys finds held all the time";
    shows("Administration", when, ServiceError::new(Kind::StoreUnavailable, text));
}

#[tokio::test]
async fn a_backup_serves_tokens_on_a_fresh_node_without_a_sign_in() {
    let (old, key) = signed_in().await;
    let mut bytes = Vec::new();
    let reply = backup(&old, &words(), &mut bytes).await.unwrap();
    assert_eq!((reply.accounts, reply.clients, reply.records), (1, 1, 2));
    assert_eq!((reply.node.as_str(), reply.with_keys), ("login1", true));

    let new = House::sealing().await;
    new.log_in(ALICE).await;
    assert_eq!(kind(new.token(TokenOptions::default()).await), Kind::LoginPending);
    let verify = RestoreOptions { verify: Some(true), replace: None };
    let seen = restore(&new, verify, &bytes).await.unwrap();
    assert!(!seen.restored && seen.digest == reply.digest);
    assert!(new.kept.account_keys().await.unwrap().is_empty());
    // A login has begun and may have left a client: then this node is not empty any more.
    let into = |replace| RestoreOptions { verify: None, replace };
    if let Err(error) = restore(&new, into(None), &bytes).await {
        assert_eq!(error.kind, Kind::StoreNotEmpty, "{error}");
        assert!(restore(&new, into(Some(true)), &bytes).await.unwrap().restored);
    }
    assert_eq!(new.token(TokenOptions::default()).await.unwrap().token, "at0");
    assert_eq!(new.refreshes(), 0);
    let fresh = TokenOptions { force_new: Some(true), ..TokenOptions::default() };
    assert_ne!(new.token(fresh).await.unwrap().token, "at0");
    assert_eq!(new.refreshes(), 1);
    assert!(new.kept.account(&key).await.unwrap().is_some());
    let told = done(&new);
    assert!(told.iter().any(|line| line.starts_with("ok restore of login1 from 1000000: 2 ")));
}

#[tokio::test]
async fn the_leaves_for_passwords_that_a_restore_brings_back_are_named_in_the_reply_and_the_record()
{
    let (old, _) = signed_in().await;
    let leave = PasswordFlow {
        issuer: "https://issuer.test/".into(),
        client_id: "client-1".into(),
        enabled_by: 0,
        enabled_by_user: "root".into(),
        enabled_at: UnixTime(999_000),
    };
    old.kept.save_password_flow(&leave, Revision::ABSENT).await.unwrap();
    let mut bytes = Vec::new();
    backup(&old, &words(), &mut bytes).await.unwrap();
    // Taken away since.
    old.kept.remove_password_flow(&leave.issuer, &leave.client_id).await.unwrap();
    assert!(old.service.password_flows(By::ITSELF).await.unwrap().is_empty());
    let options = |verify| RestoreOptions { verify: Some(verify), replace: Some(true) };
    for (verify, word) in [(true, "ok verify a backup of "), (false, "ok restore of ")] {
        let reply = restore(&old, options(verify), &bytes).await.unwrap();
        let [found] = reply.password_flows.as_slice() else { panic!("{reply:?}") };
        assert_eq!(
            (found.client.as_str(), found.issuer_name.as_deref()),
            ("client-1", Some("wlcg"))
        );
        assert_eq!((found.enabled_by_user.as_str(), found.enabled_at), ("root", 999_000));
        let told = done(&old).pop().unwrap();
        assert!(told.starts_with(word), "{told}");
        let named = "; with leave to sign in by password: client client-1 of https://issuer.test/";
        assert!(told.ends_with(named), "{told}");
    }
    assert_eq!(old.service.password_flows(By::ITSELF).await.unwrap().len(), 1);
}

#[tokio::test]
async fn a_restore_over_what_is_there_leaves_no_token_and_no_file_of_it() {
    let (old, _) = signed_in().await;
    let mut bytes = Vec::new();
    backup(&old, &words(), &mut bytes).await.unwrap();
    let (new, key) = signed_in().await;
    let stored = new.kept.account(&key).await.unwrap().unwrap();
    let now = new.clock.wall();
    let changed = Record { access_token: Some(token("at-new-node", now, 3600)), ..stored.value };
    new.kept.save_account(&changed, stored.revision).await.unwrap();
    new.log_in(ALICE).await;
    assert_eq!(new.token(TokenOptions::default()).await.unwrap().token, "at-new-node");
    let options = RestoreOptions { replace: Some(true), verify: None };
    let reply = restore(&new, options, &bytes).await.unwrap();
    assert_eq!((reply.restored, reply.replaced), (true, 2));
    assert_eq!(new.token(TokenOptions::default()).await.unwrap().token, "at0");
    for _ in 0..4000 {
        if new.alices_file().as_deref() == Some("at0") {
            return;
        }
        new.clock.sleep(Duration::from_millis(10)).await;
    }
    panic!("{:?}", new.alices_file());
}

#[tokio::test]
async fn a_short_passphrase_and_a_file_that_is_no_backup_are_refused_and_recorded() {
    let (house, _) = signed_in().await;
    let short = "eleven char".to_owned().into();
    let refused = backup(&house, &short, &mut Vec::new()).await.unwrap_err();
    shows("Administration", "the passphrase of a backup is short", refused);
    let nothing = restore(&house, RestoreOptions::default(), b"x").await;
    assert_eq!(kind(nothing), Kind::BackupInvalid);
    assert_eq!(done(&house), ["InvalidArgument backup with keys", "BackupInvalid restore"]);
}

#[tokio::test]
async fn a_check_says_that_all_is_well_or_what_is_not() {
    let (house, _) = signed_in().await;
    let report = house.service.check_store(By::ITSELF).await.unwrap();
    let StoreReport { sound, integrity, accounts, clients, unreadable, .. } = report;
    assert_eq!((sound, integrity.as_str(), accounts, clients), (true, "ok", 1, 1));
    assert!(unreadable.is_empty() && report.accounts_without_client.is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_store_that_is_damaged_is_said_with_the_way_out_before_and_after_a_restore() {
    let (house, key) = signed_in().await;
    let mut bytes = Vec::new();
    backup(&house, &words(), &mut bytes).await.unwrap();
    let damaged = || Some("row 3 missing from index".to_owned());
    let says = |said: &[Option<String>]| {
        *house.store_damage.lock().unwrap() = said.iter().cloned().collect();
    };
    let shows = |when: &str, error| crate::testing::shows("Store and keys", when, error);
    says(&[damaged()]);
    let refused = backup(&house, &words(), &mut Vec::new()).await.unwrap_err();
    shows("a backup of a store that is damaged", refused);
    let replace = || RestoreOptions { replace: Some(true), verify: None };
    says(&[damaged()]);
    let refused = restore(&house, replace(), &bytes).await.unwrap_err();
    assert!(refused.message.contains("none put into it"), "{refused}");
    says(&[None, damaged()]);
    let refused = restore(&house, replace(), &bytes).await.unwrap_err();
    shows("a restore into a store that turns out to be damaged", refused);
    assert!(house.kept.account(&key).await.unwrap().is_some());
    let told = done(&house);
    let ends = |word: &str| told.iter().filter(|told| told.contains(word)).count();
    assert_eq!(ends("StoreUnavailable"), 3, "{told:?}");
}

#[tokio::test]
async fn a_change_of_keys_that_begins_nothing_is_recorded_too() {
    let (house, key) = signed_in().await;
    let carol = By { uid: BOB, pid: Some(7) };
    let recorded = || -> Vec<(u32, String, String)> {
        let of = house.audit.of(crate::audit::Kind::Administration);
        of.into_iter().map(|record| (record.uid, record.result, record.detail)).collect()
    };
    // For a backup that is under way.
    let turn = house.service.maintenance.begin().unwrap();
    let refused = house.service.rekey(carol, RekeyOptions::default()).await;
    assert_eq!(kind(refused), Kind::MaintenanceRunning);
    assert_eq!(recorded(), [(BOB, "MaintenanceRunning".into(), "rekey".into())]);
    drop(turn);
    // For one that runs, which waits for whoever is at work on the account.
    let _held = house.kept.lock(LockOn::Account(key)).await.unwrap();
    house.service.rekey(By::ITSELF, RekeyOptions::default()).await.unwrap();
    house.service.rekey(carol, RekeyOptions { retire: Some(true) }).await.unwrap();
    let detail = "rekey, then retire the older keys: one is under way, nothing else begins";
    assert_eq!(recorded()[2..], [(BOB, "ok".into(), detail.into())]);
    // Who looks on after that is no other.
    house.service.rekey_progress(carol).await.unwrap();
    assert_eq!(recorded().len(), 3);
}
