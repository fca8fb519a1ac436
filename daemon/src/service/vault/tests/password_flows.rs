//! The leave to sign users in by password: kept over a restart, bound to its issuer and client.

use super::*;
use crate::account::{PasswordFlow, ports::PasswordFlows as _};

pub(super) fn flow(issuer: &str, client_id: &str) -> PasswordFlow {
    PasswordFlow {
        issuer: issuer.into(),
        client_id: client_id.into(),
        enabled_by: 0,
        enabled_by_user: "canary-root".into(),
        enabled_at: UnixTime(7),
    }
}

#[tokio::test]
async fn a_leave_is_kept_over_a_restart_and_taken_away() {
    let (vault, temp) = fresh().await;
    vault.save_password_flow(&flow(ISSUER, "c1"), ABSENT).await.unwrap();
    vault.save_password_flow(&flow(ISSUER, "c2"), ABSENT).await.unwrap();
    let again = vault.save_password_flow(&flow(ISSUER, "c1"), ABSENT).await;
    assert!(matches!(again, Err(VaultError::Conflict)));
    drop(vault);
    let vault = open_at(temp.path()).await.unwrap();
    let kept = vault.password_flow(ISSUER, "c1").await.unwrap().unwrap();
    assert_eq!(kept.value, flow(ISSUER, "c1"));
    // One slash more or less is the same issuer; another client is another one.
    let slashless = ISSUER.trim_end_matches('/');
    assert!(vault.password_flow(slashless, "c1").await.unwrap().is_some());
    assert!(vault.password_flow(ISSUER, "c3").await.unwrap().is_none());
    assert!(vault.password_flow("https://other.example/", "c1").await.unwrap().is_none());
    assert_eq!(vault.password_flows().await.unwrap().len(), 2);
    assert!(vault.remove_password_flow(ISSUER, "c1").await.unwrap());
    assert!(!vault.remove_password_flow(ISSUER, "c1").await.unwrap());
    assert!(vault.password_flow(ISSUER, "c1").await.unwrap().is_none());
}

#[tokio::test]
async fn a_leave_that_is_moved_or_put_back_opens_nothing() {
    let (vault, temp) = fresh().await;
    vault.save_password_flow(&flow(ISSUER, "c1"), ABSENT).await.unwrap();
    let from = kept::password_flow_row(ISSUER, "c1");
    let taken = vault.store.get(&from).await.unwrap().unwrap().value;
    let to = kept::password_flow_row(ISSUER, "c2");
    vault.store.compare_and_swap(&to, ABSENT, Some(taken.clone())).await.unwrap();
    let moved = vault.password_flow(ISSUER, "c2").await;
    assert!(matches!(moved, Err(VaultError::Unreadable { .. })), "{moved:?}");
    let listed = vault.password_flows().await.unwrap();
    assert_eq!(listed.iter().filter(|flow| flow.is_ok()).count(), 1);
    assert!(vault.remove_password_flow(ISSUER, "c2").await.unwrap(), "readable or not");
    // Taken away, and put back by who can write the store.
    vault.remove_password_flow(ISSUER, "c1").await.unwrap();
    vault.store.compare_and_swap(&from, ABSENT, Some(taken)).await.unwrap();
    let back = vault.password_flow(ISSUER, "c1").await;
    assert!(matches!(back, Err(VaultError::Unreadable { .. })), "{back:?}");
    drop(vault);
    let vault = open_at(temp.path()).await.unwrap();
    let back = vault.password_flow(ISSUER, "c1").await;
    assert!(matches!(back, Err(VaultError::Unreadable { .. })), "after a restart: {back:?}");
}
