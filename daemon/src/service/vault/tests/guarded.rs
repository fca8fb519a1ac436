//! Accounts with a passphrase on a real disk: the node alone opens nothing of them, and nothing is
//! lost while they are locked.

use super::{super::replay::Verdict, crash::copy_of, *};
use crate::account::{GuardKey, Guards, PassphraseError};

const WORDS: &str = "correct horse battery";

/// An account that was signed in under a passphrase, unlocked; with its key.
pub(super) async fn guarded(vault: &StoreVault, token: &str) -> GuardKey {
    let mut record = record(1001, "wlcg", token);
    let guard = vault.make(&record, &secret(WORDS)).await.unwrap();
    let held = guard.key.clone().unwrap();
    record.guard = Some(guard);
    vault.save_account(&record, ABSENT).await.unwrap();
    vault.hold(&key(1001, "wlcg"), held.clone());
    held
}

pub(super) async fn unlock(vault: &StoreVault) -> Record {
    let locked = stored(vault, 1001, "wlcg").await.value;
    let held = vault.open(&locked, &secret(WORDS)).await.unwrap();
    vault.hold(&locked.key(), held);
    stored(vault, 1001, "wlcg").await.value
}

/// What the node's key alone gives of the row and of each journal entry.
fn with_the_nodes_key(vault: &StoreVault, row: &[u8]) -> String {
    let keyring = &vault.sealer;
    let account = keyring.open::<serde_json::Value>(
        crate::seal::Kind::Account,
        "accounts/1001/wlcg",
        "it",
        row,
    );
    let mut texts = vec![account.unwrap().0.to_string()];
    for entry in vault.journal.unsettled() {
        let at = entry.payload.iter().position(|byte| *byte == b'\n').unwrap();
        let opened = keyring.open::<serde_json::Value>(
            crate::seal::Kind::Journal,
            "accounts/1001/wlcg",
            "it",
            &entry.payload[at + 1..],
        );
        texts.push(opened.unwrap().0.to_string());
    }
    texts.concat()
}

#[tokio::test]
async fn after_a_restart_it_is_locked_until_the_passphrase_is_given() {
    let (vault, temp) = fresh().await;
    guarded(&vault, "rt-1").await;
    assert_eq!(token_of(&stored(&vault, 1001, "wlcg").await.value), "rt-1");
    drop(vault);
    let vault = open_at(temp.path()).await.unwrap();
    let locked = stored(&vault, 1001, "wlcg").await.value;
    assert!(locked.is_locked() && locked.refresh_token.is_none() && locked.access_token.is_none());
    let wrong = vault.open(&locked, &secret("correct horse batterY")).await;
    assert_eq!(wrong.unwrap_err(), PassphraseError::Wrong);
    let open = unlock(&vault).await;
    assert!(!open.is_locked() && open.access_token.is_some());
    assert_eq!(token_of(&open), "rt-1");
    let listed = vault.accounts_of(1001).await.unwrap().remove(0).1.unwrap().value;
    assert_eq!(token_of(&listed), "rt-1");
    assert!(vault.release(&open.key()) && !vault.release(&open.key()));
    assert!(stored(&vault, 1001, "wlcg").await.value.is_locked());
}

#[tokio::test]
async fn the_nodes_key_alone_shows_no_token_neither_in_the_row_nor_in_the_journal() {
    let (vault, _temp) = fresh().await;
    guarded(&vault, "canary-rt-1").await;
    let mut next = stored(&vault, 1001, "wlcg").await;
    let predecessor = next.value.refresh_token.replace(secret("canary-rt-2"));
    vault.journal(&next.value, predecessor.as_ref()).await.unwrap();
    vault.save_account(&next.value, next.revision).await.unwrap();
    let row = vault.store.get("accounts/1001/wlcg").await.unwrap().unwrap().value;
    let seen = with_the_nodes_key(&vault, &row);
    assert!(seen.contains("canary-user-1001") && !seen.contains("canary-rt"), "{seen}");
    assert!(!seen.contains("canary-access"), "{seen}");
}

#[tokio::test]
async fn writing_a_locked_account_keeps_what_is_guarded_byte_for_byte() {
    let (vault, temp) = fresh().await;
    guarded(&vault, "rt-1").await;
    drop(vault);
    let vault = open_at(temp.path()).await.unwrap();
    let before = stored(&vault, 1001, "wlcg").await;
    let mut changed = before.value.clone();
    changed.unanswered_logins = 3;
    vault.save_account(&changed, before.revision).await.unwrap();
    let after = stored(&vault, 1001, "wlcg").await.value;
    let (was, is) = (before.value.guard.unwrap(), after.guard.unwrap());
    assert_eq!((was.wrapped, was.secrets, was.mark), (is.wrapped, is.secrets, is.mark));
    assert!(after.generation > before.value.generation);
    let open = unlock(&vault).await;
    assert_eq!((token_of(&open), open.unanswered_logins), ("rt-1", 3));
    // For other audiences than the account now wants, the access token is of no use.
    let mut elsewhere = stored(&vault, 1001, "wlcg").await;
    vault.release(&key(1001, "wlcg"));
    elsewhere.value = stored(&vault, 1001, "wlcg").await.value;
    elsewhere.value.audiences = crate::account::AudienceSet::parse(["https://se/"]).unwrap();
    vault.save_account(&elsewhere.value, elsewhere.revision).await.unwrap();
    let open = unlock(&vault).await;
    assert_eq!((token_of(&open), open.access_token.is_some()), ("rt-1", false));
}

#[tokio::test]
async fn new_tokens_of_a_locked_account_are_never_written_in_the_clear() {
    let (vault, _temp) = fresh().await;
    guarded(&vault, "rt-1").await;
    vault.release(&key(1001, "wlcg"));
    let mut found = stored(&vault, 1001, "wlcg").await;
    found.value.refresh_token = Some(secret("canary"));
    let saved = vault.save_account(&found.value, found.revision).await.unwrap_err();
    let journalled = vault.journal(&found.value, None).await.unwrap_err();
    for error in [saved, journalled] {
        assert!(error.to_string().contains("locked") && !error.to_string().contains("canary"));
    }
}

#[tokio::test]
async fn what_was_read_unlocked_is_written_under_its_key_although_it_was_locked_meanwhile() {
    let (vault, _temp) = fresh().await;
    guarded(&vault, "rt-1").await;
    let mut found = stored(&vault, 1001, "wlcg").await;
    vault.release(&key(1001, "wlcg"));
    found.value.refresh_token = Some(secret("rt-2"));
    vault.save_account(&found.value, found.revision).await.unwrap();
    assert!(stored(&vault, 1001, "wlcg").await.value.is_locked());
    assert_eq!(token_of(&unlock(&vault).await), "rt-2");
}

#[tokio::test]
async fn a_guard_moved_to_another_users_row_does_not_open_there() {
    let (vault, _temp) = fresh().await;
    guarded(&vault, "rt-1").await;
    vault.release(&key(1001, "wlcg"));
    let mut moved = record(1002, "wlcg", "");
    (moved.refresh_token, moved.access_token) = (None, None);
    moved.guard = stored(&vault, 1001, "wlcg").await.value.guard;
    let opened = vault.open(&moved, &secret(WORDS)).await;
    assert_eq!(opened.unwrap_err(), PassphraseError::Wrong);
    // Renamed by its owner it opens: the name is not part of it.
    let mut renamed = record(1001, "other", "");
    (renamed.refresh_token, renamed.access_token) = (None, None);
    renamed.guard = moved.guard;
    vault.save_account(&renamed, ABSENT).await.unwrap();
    let held = vault.open(&renamed, &secret(WORDS)).await.unwrap();
    vault.hold(&key(1001, "other"), held);
    assert_eq!(token_of(&stored(&vault, 1001, "other").await.value), "rt-1");
}

#[tokio::test]
async fn a_removed_account_takes_its_key_along() {
    let (vault, _temp) = fresh().await;
    guarded(&vault, "rt-1").await;
    let found = stored(&vault, 1001, "wlcg").await;
    vault.remove_account(&key(1001, "wlcg"), found.revision).await.unwrap();
    assert!(!vault.release(&key(1001, "wlcg")));
    guarded(&vault, "rt-2").await;
    vault.discard_account(&key(1001, "wlcg")).await.unwrap();
    assert!(!vault.release(&key(1001, "wlcg")));
}

/// A kill at this moment, and the start after it, which has no passphrase.
async fn survives_locked(copy: TempDir, token: &str, replayed: usize) {
    let vault = open_at(copy.path()).await.unwrap();
    assert_eq!(vault.replay().await.unwrap(), replayed, "{token}");
    assert!(stored(&vault, 1001, "wlcg").await.value.is_locked());
    assert_eq!(vault.journal.unsettled(), []);
    assert_eq!(token_of(&unlock(&vault).await), token);
    drop(vault);
    let vault = open_at(copy.path()).await.unwrap();
    assert_eq!(vault.replay().await.unwrap(), 0);
    assert_eq!(token_of(&unlock(&vault).await), token);
}

#[tokio::test]
async fn a_kill_between_any_two_steps_of_a_guarded_refresh_loses_nothing() {
    let (vault, temp) = fresh().await;
    guarded(&vault, "rt-1").await;
    for number in 2..4 {
        let token = format!("rt-{number}");
        let mut next = stored(&vault, 1001, "wlcg").await;
        let predecessor = next.value.refresh_token.replace(secret(token.as_str()));
        let entry = vault.journal(&next.value, predecessor.as_ref()).await.unwrap();
        survives_locked(copy_of(temp.path()), &token, 1).await;
        vault.save_account(&next.value, next.revision).await.unwrap();
        survives_locked(copy_of(temp.path()), &token, 0).await;
        vault.settle(entry).await.unwrap();
        survives_locked(copy_of(temp.path()), &token, 0).await;
    }
}

#[tokio::test]
async fn a_guarded_answer_is_replayed_beside_a_change_that_was_made_while_it_was_locked() {
    let (vault, temp) = fresh().await;
    guarded(&vault, "rt-1").await;
    let mut next = stored(&vault, 1001, "wlcg").await;
    let predecessor = next.value.refresh_token.replace(secret("rt-2"));
    vault.journal(&next.value, predecessor.as_ref()).await.unwrap();
    // The store did not take it; somebody else writes to the locked account.
    vault.release(&key(1001, "wlcg"));
    let mut other = stored(&vault, 1001, "wlcg").await;
    other.value.unanswered_logins = 7;
    vault.save_account(&other.value, other.revision).await.unwrap();
    drop(vault);
    let vault = open_at(temp.path()).await.unwrap();
    assert_eq!(vault.replay().await.unwrap(), 1);
    let open = unlock(&vault).await;
    assert_eq!((token_of(&open), open.unanswered_logins), ("rt-2", 7));
}

#[tokio::test]
async fn a_guarded_answer_that_was_overtaken_is_dropped() {
    let (vault, _temp) = fresh().await;
    guarded(&vault, "rt-1").await;
    let mut old = stored(&vault, 1001, "wlcg").await;
    let predecessor = old.value.refresh_token.replace(secret("rt-lost"));
    vault.journal(&old.value, predecessor.as_ref()).await.unwrap();
    // A passphrase is not changed while an answer waits: it would not be recognised.
    let refused = vault.is_settled(&old.value.key()).unwrap_err();
    assert!(refused.to_string().contains("waits for the next start"), "{refused}");
    old.value.refresh_token = Some(secret("rt-newer"));
    vault.save_account(&old.value, old.revision).await.unwrap();
    vault.release(&key(1001, "wlcg"));
    assert_eq!(vault.replay().await.unwrap(), 0);
    assert_eq!(token_of(&unlock(&vault).await), "rt-newer");
}

#[tokio::test]
async fn an_entry_under_another_passphrase_is_not_mixed_with_the_account() {
    let (vault, _temp) = fresh().await;
    guarded(&vault, "rt-1").await;
    let stored = stored(&vault, 1001, "wlcg").await.value;
    let mut entry = stored.clone();
    entry.generation -= 1;
    entry.guard.as_mut().unwrap().wrapped.push(0);
    let mark = stored.guard.as_ref().unwrap().mark;
    let entry =
        super::super::replay::Entry { record: entry, predecessor: None, guarded_predecessor: mark };
    let verdict = super::super::replay::decide(entry, Some(&stored));
    assert!(matches!(verdict, Verdict::Superseded("the account's passphrase was changed since")));
}

#[tokio::test]
async fn an_older_guarded_row_that_is_put_back_does_not_open_locked_or_unlocked() {
    let (vault, _temp) = fresh().await;
    guarded(&vault, "rt-1").await;
    let row = "accounts/1001/wlcg";
    let old = vault.store.get(row).await.unwrap().unwrap();
    let mut next = stored(&vault, 1001, "wlcg").await;
    next.value.refresh_token = Some(secret("rt-2"));
    let revision = vault.save_account(&next.value, next.revision).await.unwrap();
    vault.store.compare_and_swap(row, revision, Some(old.value)).await.unwrap();
    for _ in 0..2 {
        let read = vault.account(&key(1001, "wlcg")).await;
        assert!(matches!(read, Err(VaultError::Unreadable { .. })), "{read:?}");
        vault.release(&key(1001, "wlcg"));
    }
}
