//! The guard of an account: its secrets are sealed with a key that only the user's passphrase
//! opens, before the node seals the whole record. Here is what the house sees of that; how it is
//! sealed, the vault and `seal` know.

use std::{fmt, sync::Arc};

use async_trait::async_trait;
use base64::{Engine as _, engine::general_purpose::STANDARD};
use secrecy::SecretString;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use zeroize::Zeroizing;

use super::{
    AccessToken, AccountKey, AudienceSet, Record, ScopeSet, ports::VaultError,
    record::expose_option,
};

/// The key of one account's secrets. It is there only while the account is unlocked; the copies
/// share one memory, which is wiped with the last of them.
#[derive(Clone)]
pub struct GuardKey(Arc<Zeroizing<[u8; 32]>>);

impl GuardKey {
    /// A key of 32 bytes that `fill` makes.
    pub fn made(fill: impl FnOnce(&mut [u8; 32])) -> Self {
        let mut key = Zeroizing::new([0; 32]);
        fill(&mut key);
        Self(Arc::new(key))
    }

    /// The bytes, for the seal only.
    pub fn expose(&self) -> &[u8; 32] {
        &self.0
    }
}

impl fmt::Debug for GuardKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[REDACTED]")
    }
}

/// What is kept of a guard. All of it is opaque outside of the seal.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Guard {
    /// The account's key, which the passphrase opens.
    #[serde(serialize_with = "to_base64", deserialize_with = "from_base64")]
    pub wrapped: Vec<u8>,
    /// The secrets under the account's key; empty before the first sign-in.
    #[serde(serialize_with = "to_base64", deserialize_with = "from_base64", default)]
    pub secrets: Vec<u8>,
    /// Recognises the refresh token inside, for who knows the account's key or another mark.
    #[serde(default)]
    pub mark: Option<[u8; 32]>,
    /// The key, while the account is unlocked. Never kept. A write of a record that was read
    /// unlocked works although the account was locked meanwhile: no answer of an issuer is lost.
    #[serde(skip)]
    pub key: Option<GuardKey>,
}

/// What a guard guards.
#[derive(Debug, Default, Serialize, Deserialize)]
pub struct GuardedSecrets {
    /// The refresh token.
    #[serde(serialize_with = "expose_option", default)]
    pub refresh_token: Option<SecretString>,
    /// The access token for all granted scopes and the account's audiences.
    #[serde(default)]
    pub access_token: Option<AccessToken>,
    /// The audiences that the access token is for: those of a locked account can be changed.
    #[serde(default)]
    pub audiences: AudienceSet,
    /// The scopes of the account's own token then; they can be changed too.
    #[serde(default)]
    pub scopes: ScopeSet,
}

/// Why a passphrase opened nothing.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PassphraseError {
    /// It is another one.
    #[error("that is not the passphrase")]
    Wrong,
    /// It could not be tried, or a guard could not be made.
    #[error(transparent)]
    Vault(#[from] VaultError),
}

/// Making and opening guards, and the keys of the accounts that are unlocked. The vault opens what
/// it reads with these keys.
#[async_trait]
pub trait Guards: Send + Sync + 'static {
    /// Whether no answer of an issuer waits to be written to this account: under another guard it
    /// would not be recognised when it is replayed.
    ///
    /// # Errors
    /// One waits.
    fn is_settled(&self, account: &AccountKey) -> Result<(), VaultError>;

    /// A new guard for this account with a new key, open. Takes its time, one after another.
    async fn make(
        &self,
        record: &Record,
        passphrase: &SecretString,
    ) -> Result<Guard, PassphraseError>;

    /// The key behind the guard of this account. Takes its time, one after another.
    async fn open(
        &self,
        record: &Record,
        passphrase: &SecretString,
    ) -> Result<GuardKey, PassphraseError>;

    /// Puts the secrets of a locked account into its record; whether the key is the right one.
    fn reveal(&self, record: &mut Record, key: &GuardKey) -> bool;

    /// What is read of this account is opened with `key` from now on.
    fn hold(&self, account: &AccountKey, key: GuardKey);

    /// Forgets the key of an account; whether there was one.
    fn release(&self, account: &AccountKey) -> bool;
}

impl Record {
    /// Whether its secrets are behind a passphrase that has to be given first.
    pub fn is_locked(&self) -> bool {
        self.guard.as_ref().is_some_and(|guard| guard.key.is_none())
    }
}

fn to_base64<S: Serializer>(bytes: &[u8], to: S) -> Result<S::Ok, S::Error> {
    to.serialize_str(&STANDARD.encode(bytes))
}

fn from_base64<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<u8>, D::Error> {
    let text = String::deserialize(from)?;
    STANDARD.decode(text).map_err(|_| de::Error::custom("not base64"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::account::{ClientOwner, Owner};

    #[test]
    fn the_key_is_neither_kept_nor_printed() {
        let owner = Owner { uid: 1001, user: "alice".into() };
        let name = "wlcg".parse().unwrap();
        let mut record = Record::new(owner, name, "https://iss/".into(), ClientOwner::Site);
        assert!(!record.is_locked());
        let key = GuardKey::made(|key| key.fill(7));
        let (wrapped, mark) = (vec![1, 2], Some([3; 32]));
        record.guard = Some(Guard { wrapped, secrets: vec![4], mark, key: Some(key) });
        assert!(!record.is_locked() && !format!("{record:?}").contains("7, 7"));
        let back: Record = serde_json::from_str(&serde_json::to_string(&record).unwrap()).unwrap();
        assert!(back.is_locked());
        let guard = back.guard.unwrap();
        assert_eq!((guard.wrapped, guard.secrets, guard.mark), (vec![1, 2], vec![4], mark));
    }
}
