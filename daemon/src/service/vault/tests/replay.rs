//! What becomes of journal entries.

use super::{
    super::replay::{Entry, Mark, Verdict, decide},
    *,
};
use crate::account::Event;

fn mark(token: &str) -> Option<Mark> {
    Some(Mark::new([7; 16], &secret(token)))
}

fn at(generation: u64, token: &str) -> Record {
    let mut record = record(1001, "wlcg", token);
    record.generation = generation;
    record
}

fn signed_in(mut record: Record, second: u64) -> Record {
    record.signed_in_at = Some(UnixTime(second));
    record
}

/// `Ok`: the refresh token that is written; `Err`: what happens instead.
fn outcome(
    record: Record,
    predecessor: Option<Mark>,
    stored: Option<&Record>,
) -> Result<String, String> {
    match decide(Entry { record, predecessor, guarded_predecessor: None }, stored) {
        Verdict::Write(record) => Ok(token_of(&record).to_owned()),
        Verdict::Done => Err("done".into()),
        Verdict::Superseded(why) => Err(why.into()),
    }
}

#[test]
fn an_entry_whose_predecessor_is_current_is_written() {
    assert_eq!(outcome(at(5, "new"), mark("old"), Some(&at(5, "old"))), Ok("new".into()));
    // Somebody changed something else meanwhile; the store still holds the predecessor.
    let mut changed = at(6, "old");
    changed.audiences = crate::account::AudienceSet::parse(["https://se.example"]).unwrap();
    changed.unanswered_logins = 2;
    let entry = Entry { record: at(5, "new"), predecessor: mark("old"), guarded_predecessor: None };
    let Verdict::Write(merged) = decide(entry, Some(&changed)) else { panic!() };
    assert_eq!((token_of(&merged), merged.unanswered_logins), ("new", 2));
    assert_eq!(merged.audiences, changed.audiences);
    assert!(merged.access_token.is_none(), "it was for other audiences");
}

#[test]
fn an_entry_that_the_store_has_or_has_moved_on_from_is_dropped() {
    assert_eq!(outcome(at(5, "new"), mark("old"), Some(&at(6, "new"))), Err("done".into()));
    let newer = outcome(at(5, "new"), mark("old"), Some(&at(7, "newest")));
    assert_eq!(newer, Err("the store has a newer refresh token".into()));
}

#[test]
fn a_refresh_that_kept_its_token_is_written_only_if_nobody_wrote_since() {
    assert_eq!(outcome(at(5, "same"), mark("same"), Some(&at(5, "same"))), Ok("same".into()));
    assert_eq!(outcome(at(5, "same"), mark("same"), Some(&at(6, "same"))), Err("done".into()));
}

#[test]
fn an_entry_newer_than_a_restored_backup_is_written() {
    assert_eq!(outcome(at(9, "new"), mark("old"), Some(&at(3, "ancient"))), Ok("new".into()));
}

#[test]
fn a_refresh_revives_no_account_that_was_removed_signed_out_or_made_anew() {
    let removed = outcome(at(5, "new"), mark("old"), None);
    assert_eq!(removed, Err("the account was removed".into()));
    let mut out = at(6, "");
    out.state = State::SignedIn.after(Event::SignedOut);
    out.refresh_token = None;
    assert!(outcome(at(5, "new"), mark("old"), Some(&out)).is_err());
    let mut elsewhere = at(5, "old");
    elsewhere.issuer = "https://other.example/".into();
    let other = outcome(at(5, "new"), mark("old"), Some(&elsewhere));
    assert_eq!(other, Err("the account is another one now".into()));
    let mut somebody = at(5, "old");
    somebody.owner.user = "bob".into();
    assert!(outcome(at(5, "new"), mark("old"), Some(&somebody)).is_err());
}

#[test]
fn a_sign_in_is_written_unless_a_later_one_or_a_sign_out_came_after() {
    // The first one ever, and one over what it was made from.
    assert_eq!(outcome(at(0, "new"), None, None), Ok("new".into()));
    assert_eq!(outcome(at(5, "new"), None, Some(&at(5, "old"))), Ok("new".into()));
    assert!(outcome(at(5, "new"), None, None).is_err(), "removed since");
    // Another node refreshed the old token, or found it dead, while the user signed in here.
    let new = || signed_in(at(5, "new"), 2000);
    assert_eq!(outcome(new(), None, Some(&at(6, "old"))), Ok("new".into()));
    let mut dead = at(6, "old");
    dead.state = State::LoginRequired { reason: "expired".into() };
    dead.refresh_token = None;
    assert_eq!(outcome(new(), None, Some(&dead)), Ok("new".into()));
    dead.state = State::SignedIn.after(Event::SignedOut);
    assert_eq!(outcome(new(), None, Some(&dead)), Err("the user signed out since".into()));
    let later = signed_in(at(6, "later"), 2001);
    assert_eq!(outcome(new(), None, Some(&later)), Err("the store has a later sign-in".into()));
    assert_eq!(outcome(new(), None, Some(&signed_in(at(6, "new"), 2000))), Err("done".into()));
}

#[tokio::test]
async fn a_chain_of_entries_ends_at_the_last_token() {
    let (vault, temp) = fresh().await;
    vault.save_account(&record(1001, "wlcg", "rt-0"), ABSENT).await.unwrap();
    // The store cannot be written; three refreshes go to the journal only.
    let base = stored(&vault, 1001, "wlcg").await.value;
    for i in 1..=3 {
        let mut next = record(1001, "wlcg", &format!("rt-{i}"));
        next.generation = base.generation;
        let previous = secret(format!("rt-{}", i - 1));
        vault.journal(&next, Some(&previous)).await.unwrap();
    }
    drop(vault);
    let vault = open_at(temp.path()).await.unwrap();
    assert_eq!(vault.replay().await.unwrap(), 3);
    assert_eq!(token_of(&stored(&vault, 1001, "wlcg").await.value), "rt-3");
    assert_eq!(vault.replay().await.unwrap(), 0);
}

#[tokio::test]
async fn an_entry_that_does_not_open_is_kept_and_stops_no_other() {
    let (vault, temp) = fresh().await;
    vault.journal.append(b"garbage".to_vec()).await.unwrap();
    vault.journal.append(b"accounts/1001/wlcg\ngarbage".to_vec()).await.unwrap();
    vault.journal(&record(1001, "cms", "rt"), None).await.unwrap();
    drop(vault);
    let vault = open_at(temp.path()).await.unwrap();
    assert_eq!(vault.replay().await.unwrap(), 1);
    assert_eq!(token_of(&stored(&vault, 1001, "cms").await.value), "rt");
    assert_eq!(vault.journal.unsettled().len(), 2);
}

#[tokio::test]
async fn removing_an_account_drops_what_waited_for_it() {
    let (vault, temp) = fresh().await;
    vault.journal(&record(1001, "wlcg", "rt-1"), None).await.unwrap();
    vault.journal(&record(1001, "cms", "rt-1"), None).await.unwrap();
    let at = vault.save_account(&record(1001, "wlcg", "rt-1"), ABSENT).await.unwrap();
    vault.remove_account(&key(1001, "wlcg"), at).await.unwrap();
    drop(vault);
    let vault = open_at(temp.path()).await.unwrap();
    assert_eq!(vault.replay().await.unwrap(), 1);
    assert_eq!(vault.account_keys().await.unwrap(), [key(1001, "cms")]);
}

#[tokio::test]
async fn replay_waits_for_whoever_is_still_at_work_on_the_account() {
    let (vault, _temp) = fresh().await;
    let vault = Arc::new(vault);
    let at = vault.save_account(&record(1001, "wlcg", "rt-1"), ABSENT).await.unwrap();
    let held = vault.lock(LockOn::Account(key(1001, "wlcg"))).await.unwrap();
    let entry = vault.journal(&record(1001, "wlcg", "rt-2"), Some(&secret("rt-1"))).await.unwrap();
    let replays = {
        let vault = Arc::clone(&vault);
        tokio::spawn(async move { vault.replay().await })
    };
    tokio::task::yield_now().await;
    vault.save_account(&record(1001, "wlcg", "rt-2"), at).await.unwrap();
    vault.settle(entry).await.unwrap();
    drop(held);
    assert_eq!(replays.await.unwrap().unwrap(), 0);
}
