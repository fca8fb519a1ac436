//! Whatever stands in the store: bytes that this node did not seal do not open, and what did open
//! is a record or an error.

use std::path::Path;

use serde::{Serialize, de::DeserializeOwned};

use super::kept::{account_of_client, account_row, key_of_row};
pub use super::upkeep::fuzzing::backup;
use crate::{
    account::{
        ClientRecord, GuardKey, GuardedSecrets, PasswordFlow, PendingLogin, Record, Settings,
        ports::{ClientStep, Leftover},
    },
    seal::{Keyring, Kind, Whose, open_secrets},
};

const KEYRING: &[u8] = b"one AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAE=";

/// A sealed row, a keyring, the guarded part of an account.
pub fn sealed(bytes: &[u8]) {
    let path = Path::new("keyring");
    let Ok(keyring) = Keyring::from_text(path, KEYRING) else { return };
    for kind in [
        Kind::Account,
        Kind::Client,
        Kind::Settings,
        Kind::Journal,
        Kind::Login,
        Kind::PasswordFlow,
    ] {
        assert!(keyring.open(kind, "accounts/1001/wlcg", bytes).is_err(), "a forged record opens");
    }
    assert!(keyring.open_row("accounts/1001/wlcg", bytes).is_err(), "a forged record opens");
    if let Ok(id) = Keyring::key_of(bytes) {
        assert!(!id.is_empty() && id.len() <= 255);
    }
    if let Ok(keyring) = Keyring::from_text(path, bytes) {
        let again = Keyring::from_text(path, &keyring.to_text());
        assert!(again.is_ok_and(|again| again.ids().eq(keyring.ids())));
    }
    let whose = Whose { uid: 1001, user: "alice", issuer: "https://iss.example/" };
    let key = GuardKey::made(|key| key.fill(7));
    assert!(open_secrets(&key, whose, bytes).is_none(), "forged secrets open");
}

/// What is inside of a seal, and the key that it stands under.
pub fn record(bytes: &[u8]) {
    same_again::<Record>(bytes);
    same_again::<ClientRecord>(bytes);
    same_again::<PendingLogin>(bytes);
    same_again::<Settings>(bytes);
    same_again::<PasswordFlow>(bytes);
    same_again::<Leftover>(bytes);
    same_again::<ClientStep>(bytes);
    let _ = serde_json::from_slice::<GuardedSecrets>(bytes);
    let Ok(row) = std::str::from_utf8(bytes) else { return };
    if let Some(key) = key_of_row(row) {
        assert_eq!(account_row(&key), row);
    }
    let _ = account_of_client(row);
}

/// What was read is written so that it reads the same.
fn same_again<T: Serialize + DeserializeOwned>(bytes: &[u8]) {
    let Ok(value) = serde_json::from_slice::<T>(bytes) else { return };
    let Ok(written) = serde_json::to_vec(&value) else { return };
    let again = serde_json::from_slice::<T>(&written).and_then(|again| serde_json::to_vec(&again));
    assert!(again.is_ok_and(|again| again == written), "not the same again");
}
