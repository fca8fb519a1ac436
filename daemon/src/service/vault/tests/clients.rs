//! Clients in the journal.

use super::{crash::copy_of, *};

fn own() -> ClientOwner {
    ClientOwner::Own(1001, "wlcg".parse().unwrap())
}

fn named(id: &str, secret_of: &str) -> ClientRecord {
    let owner = ClientOwner::User(1001);
    ClientRecord { client_id: id.into(), client_secret: Some(secret(secret_of)), ..client(owner) }
}

fn newest(client: ClientRecord, over: Option<&str>) -> ClientStep {
    ClientStep::Newest { client, over: over.map(str::to_owned) }
}

async fn secret_there(vault: &StoreVault) -> Option<(String, String)> {
    let client = vault.client(&ClientOwner::User(1001), ISSUER).await.unwrap()?.value;
    Some((client.client_id, client.client_secret.unwrap().expose_secret().to_owned()))
}

fn pair(id: &str, secret: &str) -> Option<(String, String)> {
    Some((id.to_owned(), secret.to_owned()))
}

#[tokio::test]
async fn a_kill_between_any_two_steps_of_a_registration_and_of_a_change_loses_no_credentials() {
    let (vault, temp) = fresh().await;
    let check = async |expected: Option<(String, String)>| {
        let copy = copy_of(temp.path());
        for _ in 0..2 {
            let vault = open_at(copy.path()).await.unwrap();
            vault.replay().await.unwrap();
            assert_eq!(secret_there(&vault).await, expected);
            assert_eq!(vault.journal.unsettled(), []);
            assert!(vault.leftovers().await.unwrap().is_empty());
        }
    };
    check(None).await;
    vault.journal_client(&newest(named("a", "1"), None)).await.unwrap();
    check(pair("a", "1")).await;
    vault.save_client(&named("a", "1"), ABSENT).await.unwrap();
    check(pair("a", "1")).await;
    let kept = vault.client(&ClientOwner::User(1001), ISSUER).await.unwrap().unwrap();
    let changed = ClientRecord { generation: kept.value.generation, ..named("a", "2") };
    vault.journal_client(&newest(changed.clone(), Some("a"))).await.unwrap();
    assert_eq!(secret_there(&vault).await, pair("a", "2"), "before the store has it");
    check(pair("a", "2")).await;
    vault.save_client(&changed, kept.revision).await.unwrap();
    check(pair("a", "2")).await;
    // Another one in its place, and then its removal.
    vault.journal_client(&newest(named("b", "3"), Some("a"))).await.unwrap();
    check(pair("b", "3")).await;
    vault.remove_client(&ClientOwner::User(1001), ISSUER).await.unwrap();
    check(None).await;
}

#[tokio::test]
async fn what_was_registered_and_lost_its_place_is_left_over_and_a_late_change_is_dropped() {
    let (vault, temp) = fresh().await;
    vault.save_client(&named("a", "1"), ABSENT).await.unwrap();
    vault.journal_client(&newest(named("late", "2"), None)).await.unwrap();
    vault.journal_client(&newest(named("old", "3"), Some("old"))).await.unwrap();
    assert_eq!(secret_there(&vault).await, pair("a", "1"));
    drop(vault);
    let vault = open_at(temp.path()).await.unwrap();
    vault.replay().await.unwrap();
    assert_eq!(secret_there(&vault).await, pair("a", "1"));
    let left = vault.leftovers().await.unwrap();
    let left: Vec<_> = left.iter().map(|left| left.value.client.client_id.as_str()).collect();
    assert_eq!(left, ["late"]);
}

#[tokio::test]
async fn changes_that_the_store_does_not_take_do_not_pile_up() {
    let (vault, temp) = fresh().await;
    vault.journal_client(&newest(named("a", "0"), None)).await.unwrap();
    for number in 1..=20 {
        let changed = named("a", &number.to_string());
        vault.journal_client(&newest(changed, Some("a"))).await.unwrap();
    }
    assert_eq!(vault.journal.unsettled().len(), 2);
    drop(vault);
    let vault = open_at(temp.path()).await.unwrap();
    vault.replay().await.unwrap();
    assert_eq!(secret_there(&vault).await, pair("a", "20"));
}

#[tokio::test]
async fn nothing_of_a_client_that_is_to_be_deleted_is_readable_on_the_disk() {
    let (vault, temp) = fresh().await;
    vault.journal_client(&ClientStep::Aside(client(own()))).await.unwrap();
    let leftover = Leftover::new(client(ClientOwner::User(1001)), UnixTime(1));
    vault.save_leftover(&leftover, ABSENT).await.unwrap();
    for name in ["iamd.db", "iamd.db-wal", "journal"] {
        let bytes = fs::read(temp.path().join(name)).unwrap();
        let text = String::from_utf8_lossy(&bytes);
        assert!(!text.contains("canary"), "{name}");
    }
    let found = vault.leftovers().await.unwrap();
    vault.remove_leftover(&found[0]).await.unwrap();
    assert!(vault.leftovers().await.unwrap().is_empty());
}
