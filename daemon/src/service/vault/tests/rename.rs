//! An account under another name: one row before, one row after, whatever ends the process.

use super::{crash::copy_of, *};

fn own(uid: u32, name: &str) -> ClientOwner {
    ClientOwner::Own(uid, name.parse().unwrap())
}

fn name(name: &str) -> AccountName {
    name.parse().unwrap()
}

/// An account with a client of its own, and chosen as the default one.
async fn with_client(vault: &StoreVault) {
    let record = Record { client_owner: own(1001, "old"), ..record(1001, "old", "rt-1") };
    vault.save_account(&record, ABSENT).await.unwrap();
    vault.save_client(&client(own(1001, "old")), ABSENT).await.unwrap();
    let chosen = Settings { notice_off: true, default_account: Some(name("old")) };
    vault.save_settings(1001, &chosen, ABSENT).await.unwrap();
}

/// The account is there once, under this name, with its client and its token.
async fn is_whole(vault: &StoreVault, called: &str, token: &str) {
    let keys: Vec<_> = vault.account_keys().await.unwrap();
    assert_eq!(keys, [key(1001, called)]);
    let found = stored(vault, 1001, called).await.value;
    assert_eq!((token_of(&found), &found.client_owner), (token, &own(1001, called)));
    assert_eq!(found.name.as_str(), called);
    let client = vault.client(&own(1001, called), ISSUER).await.unwrap().unwrap().value;
    assert_eq!(client.owner, own(1001, called));
    assert_eq!(vault.store.keys("clients/").await.unwrap().len(), 1);
    let settings = vault.settings(1001).await.unwrap().value;
    assert_eq!(settings, Settings { notice_off: true, default_account: Some(name(called)) });
}

#[tokio::test]
async fn the_account_its_client_and_the_default_have_the_new_name_after_a_restart_too() {
    let (vault, temp) = fresh().await;
    with_client(&vault).await;
    vault.rename_account(&key(1001, "old"), &name("new")).await.unwrap();
    is_whole(&vault, "new", "rt-1").await;
    assert!(vault.account(&key(1001, "old")).await.unwrap().is_none());
    // There and back again: newer than it was.
    vault.rename_account(&key(1001, "new"), &name("old")).await.unwrap();
    is_whole(&vault, "old", "rt-1").await;
    drop(vault);
    is_whole(&open_at(temp.path()).await.unwrap(), "old", "rt-1").await;
}

#[tokio::test]
async fn a_name_that_is_taken_or_an_account_that_is_not_there_changes_nothing() {
    let (vault, _temp) = fresh().await;
    with_client(&vault).await;
    vault.save_account(&record(1001, "taken", "rt-2"), ABSENT).await.unwrap();
    let refused = vault.rename_account(&key(1001, "old"), &name("taken")).await;
    assert_eq!(refused, Err(VaultError::Conflict));
    let refused = vault.rename_account(&key(1001, "none"), &name("x")).await;
    assert_eq!(refused, Err(VaultError::Conflict));
    assert_eq!(token_of(&stored(&vault, 1001, "taken").await.value), "rt-2");
    vault.discard_account(&key(1001, "taken")).await.unwrap();
    is_whole(&vault, "old", "rt-1").await;
}

#[tokio::test]
async fn what_only_the_journal_has_goes_with_the_account_and_does_not_bring_the_old_name_back() {
    let (vault, temp) = fresh().await;
    with_client(&vault).await;
    // A refresh that the store did not take, and a sign-in whose entry was not settled.
    let mut next = stored(&vault, 1001, "old").await.value;
    next.refresh_token = Some(secret("rt-2"));
    vault.journal(&next, Some(&secret("rt-1"))).await.unwrap();
    next.generation = 0;
    vault.journal(&next, None).await.unwrap();
    vault.rename_account(&key(1001, "old"), &name("new")).await.unwrap();
    is_whole(&vault, "new", "rt-2").await;
    let copy = copy_of(temp.path());
    let after = open_at(copy.path()).await.unwrap();
    assert_eq!(after.replay().await.unwrap(), 0);
    is_whole(&after, "new", "rt-2").await;
}

#[tokio::test]
async fn a_row_under_another_name_does_not_open() {
    let (vault, _temp) = fresh().await;
    with_client(&vault).await;
    let row = vault.store.get("accounts/1001/old").await.unwrap().unwrap();
    vault.store.compare_and_swap("accounts/1001/new", ABSENT, Some(row.value)).await.unwrap();
    let moved = vault.account(&key(1001, "new")).await;
    assert!(matches!(moved, Err(VaultError::Unreadable { .. })));
}

/// Renames one account without end, with a new refresh token each time.
async fn rename_until_killed(path: &Path) {
    let vault = open_at(path).await.unwrap();
    if vault.account_keys().await.unwrap().is_empty() {
        with_client(&vault).await;
    }
    for number in 0_u64.. {
        let from = vault.account_keys().await.unwrap().remove(0);
        let found = vault.account(&from).await.unwrap().unwrap();
        let mut next = found.value;
        let predecessor = next.refresh_token.replace(secret(format!("rt-{number}")));
        vault.journal(&next, predecessor.as_ref()).await.unwrap();
        let to = if from.name.as_str() == "old" { "new" } else { "old" };
        vault.rename_account(&from, &name(to)).await.unwrap();
        println!("\n{number}");
    }
}

#[tokio::test]
async fn a_killed_process_leaves_one_account_under_one_name_with_its_newest_token() {
    use std::{
        io::{BufRead as _, BufReader},
        process::Stdio,
    };
    const NAME: &str =
        "rename::a_killed_process_leaves_one_account_under_one_name_with_its_newest_token";
    if let Some(path) = as_child() {
        return rename_until_killed(&path).await;
    }
    let temp = tempfile::tempdir().unwrap();
    for round in 0..8 {
        let mut process = child(NAME, temp.path()).stdout(Stdio::piped()).spawn().unwrap();
        let lines = BufReader::new(process.stdout.take().unwrap()).lines();
        let mut told = lines.map_while(Result::ok).filter_map(|line| line.parse::<u64>().ok());
        let mut last = told.nth(2 + 5 * round % 13).unwrap();
        process.kill().unwrap();
        process.wait().unwrap();
        last = told.last().unwrap_or(last);
        let vault = open_at(temp.path()).await.unwrap();
        vault.replay().await.unwrap();
        let called = vault.account_keys().await.unwrap().remove(0).name;
        let token = token_of(&stored(&vault, 1001, called.as_str()).await.value).to_owned();
        // One more than was told, if the kill came between journal and telling.
        assert!(
            [format!("rt-{last}"), format!("rt-{}", last + 1)].contains(&token),
            "{last}: {token}"
        );
        is_whole(&vault, called.as_str(), &token).await;
    }
}
