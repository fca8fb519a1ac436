//! What is kept, under which key, and what its seal is bound to.

use serde::{Serialize, de::DeserializeOwned};
use sha2::{Digest, Sha256};

use crate::{
    account::{
        AccountKey, ClientOwner, ClientRecord, PasswordFlow, PendingLogin, Record, Settings,
        ports::Leftover,
    },
    seal::Kind,
};

pub(super) const ACCOUNTS: &str = "accounts/";
pub(super) const CLIENTS: &str = "clients/";
/// Those of them that are the site's own.
pub(super) const SITES_CLIENTS: &str = "clients/site/";
pub(super) const SETTINGS: &str = "settings/";
pub(super) const LOGINS: &str = "logins/";
pub(super) const LEFTOVERS: &str = "clients/gone/";
pub(super) const PASSWORD_FLOWS: &str = "password-flows/";

/// Something that is sealed into a row of its own.
pub(super) trait Kept: Serialize + DeserializeOwned + Clone + Send + Sync {
    const KIND: Kind;
    /// What people call it in an error.
    const NOUN: &'static str;

    fn user(&self) -> &str {
        ""
    }

    fn issuer(&self) -> &str {
        ""
    }

    /// The generation it was read at; settings do not carry theirs.
    fn generation(&self) -> u64 {
        0
    }

    fn set_generation(&mut self, _: u64) {}
}

impl Kept for Record {
    const KIND: Kind = Kind::Account;
    const NOUN: &'static str = "the account";

    fn user(&self) -> &str {
        &self.owner.user
    }

    fn issuer(&self) -> &str {
        &self.issuer
    }

    fn generation(&self) -> u64 {
        self.generation
    }

    fn set_generation(&mut self, generation: u64) {
        self.generation = generation;
    }
}

impl Kept for ClientRecord {
    const KIND: Kind = Kind::Client;
    const NOUN: &'static str = "the client";

    fn issuer(&self) -> &str {
        &self.issuer
    }

    fn generation(&self) -> u64 {
        self.generation
    }

    fn set_generation(&mut self, generation: u64) {
        self.generation = generation;
    }
}

impl Kept for Leftover {
    const KIND: Kind = Kind::Client;
    const NOUN: &'static str = "the client that is to be deleted";

    fn issuer(&self) -> &str {
        &self.client.issuer
    }
}

impl Kept for PendingLogin {
    const KIND: Kind = Kind::Login;
    const NOUN: &'static str = "the login";

    fn user(&self) -> &str {
        &self.owner.user
    }

    fn issuer(&self) -> &str {
        &self.issuer
    }
}

impl Kept for Settings {
    const KIND: Kind = Kind::Settings;
    const NOUN: &'static str = "the settings";
}

impl Kept for PasswordFlow {
    const KIND: Kind = Kind::PasswordFlow;
    const NOUN: &'static str = "the leave for the password flow";

    fn issuer(&self) -> &str {
        &self.issuer
    }
}

pub(super) fn account_row(key: &AccountKey) -> String {
    format!("{ACCOUNTS}{}/{}", key.uid, key.name)
}

/// The account of a row; `None` for a row that iamd did not make.
pub(super) fn key_of_row(row: &str) -> Option<AccountKey> {
    let (uid, name) = row.strip_prefix(ACCOUNTS)?.split_once('/')?;
    let key = AccountKey { uid: uid.parse().ok()?, name: name.parse().ok()? };
    // Not `accounts/007/x`: two rows would be one account.
    (account_row(&key) == row).then_some(key)
}

/// `None` for a client of the configuration: it is not kept.
pub(super) fn client_row(owner: &ClientOwner, issuer: &str) -> Option<String> {
    let hash = hash(issuer);
    match owner {
        ClientOwner::Site => Some(format!("{SITES_CLIENTS}{hash}")),
        ClientOwner::User(uid) => Some(format!("clients/{uid}/{hash}")),
        ClientOwner::Own(uid, name) => Some(format!("clients/{uid}/own/{name}/{hash}")),
        ClientOwner::Given(uid, name) => Some(format!("clients/{uid}/given/{name}/{hash}")),
        ClientOwner::Fixed | ClientOwner::Public => None,
    }
}

/// Where the clients of this owner are that are to be deleted.
pub(super) fn leftovers_of(owner: &ClientOwner) -> String {
    match owner.uid() {
        Some(uid) => format!("{LEFTOVERS}{uid}/"),
        None => format!("{LEFTOVERS}site/"),
    }
}

pub(super) fn leftover_row(leftover: &Leftover) -> String {
    let Leftover { client, since, .. } = leftover;
    // One without an identifier is told from others by when it was asked for.
    let id = match client.client_id.as_str() {
        "" => since.0.to_string(),
        id => id.to_owned(),
    };
    format!("{}{}", leftovers_of(&client.owner), hash(&format!("{id} {}", client.issuer)))
}

/// The account whose own client this row is.
pub(super) fn account_of_client(row: &str) -> Option<AccountKey> {
    let mut parts = row.strip_prefix(CLIENTS)?.split('/');
    let (uid, kind, name) = (parts.next()?.parse().ok()?, parts.next()?, parts.next()?);
    let key = AccountKey { uid, name: name.parse().ok()? };
    matches!(kind, "own" | "given").then_some(key)
}

pub(super) fn settings_row(uid: u32) -> String {
    format!("{SETTINGS}{uid}")
}

pub(super) fn password_flow_row(issuer: &str, client_id: &str) -> String {
    format!("{PASSWORD_FLOWS}{}/{}", hash(issuer), short(&Sha256::digest(client_id)))
}

/// One trailing slash more or less is the same issuer (requirement 12).
pub(super) fn hash(issuer: &str) -> String {
    short(&Sha256::digest(issuer.strip_suffix('/').unwrap_or(issuer)))
}

fn short(digest: &[u8]) -> String {
    digest.iter().take(16).map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_names_one_account_only() {
        let key = AccountKey { uid: 1001, name: "wlcg".parse().unwrap() };
        assert_eq!(key_of_row(&account_row(&key)), Some(key));
        for odd in ["accounts/01001/wlcg", "accounts/1001/", "accounts/1001/a/b", "accounts/x/a"] {
            assert_eq!(key_of_row(odd), None, "{odd}");
        }
    }

    #[test]
    fn a_trailing_slash_is_the_same_issuer() {
        assert_eq!(hash("https://iss.example"), hash("https://iss.example/"));
        assert_ne!(hash("https://iss.example"), hash("https://iss.example/a"));
    }
}
