//! The second seal of an account, which the user's passphrase opens and the node alone does not.
//!
//! ```text
//! wrapped: format u8 = 1 | memory KiB u32 | passes u32 | lanes u32 | salt 16 | nonce 24
//!          | sealed under Argon2id(passphrase, salt): the account's key 32
//! secrets: format u8 = 1 | nonce 24 | sealed under the account's key
//! ```
//! Integers are big endian; both seals are XChaCha20-Poly1305 and bound to uid, user and issuer.
//! Not to the account's name and generation: the node's envelope around all of it binds those, and
//! an account that is locked has to be renamed and written without its key. A key is of one
//! account: what it seals opens at no other.
//!
//! Argon2id as RFC 9106 §4 recommends it where memory is scarce: 64 MiB, three passes, four lanes.

use argon2::{Algorithm, Argon2, Block, Params, Version};
use secrecy::{ExposeSecret, SecretString};
use sha2::{Digest, Sha256};
use zeroize::{Zeroize as _, Zeroizing};

use super::envelope::{KEY, NONCE, Reader, TAG, decrypt, encrypt_end, nonce};
use crate::{
    account::{Guard, GuardKey},
    clock::Random,
};

const FORMAT: u8 = 1;
pub(super) const SALT: usize = 16;

/// What a guess costs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cost {
    memory_kib: u32,
    passes: u32,
    lanes: u32,
}

impl Cost {
    /// RFC 9106 §4, the second recommended option.
    pub const RECOMMENDED: Self = Self { memory_kib: 64 << 10, passes: 3, lanes: 4 };
    /// For tests that are not about it.
    #[cfg(test)]
    pub(crate) const LEAST: Self = Self { memory_kib: 8 << 10, passes: 1, lanes: 1 };

    /// As it is written.
    pub(super) fn numbers(self) -> [u32; 3] {
        [self.memory_kib, self.passes, self.lanes]
    }

    /// As it was written, where that is sane.
    pub(super) fn of([memory_kib, passes, lanes]: [u32; 3]) -> Option<Self> {
        Some(Self { memory_kib, passes, lanes }).filter(|cost| cost.is_sane())
    }

    /// What is read is bounded: a row must not make the daemon take a node's memory or its day,
    /// nor a guess cost nothing.
    fn is_sane(self) -> bool {
        (8 << 10..=128 << 10).contains(&self.memory_kib)
            && (1..=8).contains(&self.passes)
            && (1..=8).contains(&self.lanes)
    }
}

/// Whose secrets they are.
#[derive(Debug, Clone, Copy)]
pub struct Whose<'a> {
    /// The uid.
    pub uid: u32,
    /// The local user's name.
    pub user: &'a str,
    /// The issuer.
    pub issuer: &'a str,
}

/// Why a guard does not open.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum GuardError {
    /// It is not the passphrase, or the guard is of another account.
    #[error("that is not the passphrase")]
    Wrong,
    /// Not what a guard looks like.
    #[error("the guard of the account is garbled")]
    Format,
    /// There is not enough memory for the derivation.
    #[error("there is not enough memory to try the passphrase")]
    Memory,
}

/// A new account key, and the guard that gives it for this passphrase. Takes time and memory on
/// purpose: not on an async thread.
///
/// # Errors
/// [`GuardError::Memory`].
pub fn new_guard(
    random: &dyn Random,
    whose: Whose<'_>,
    passphrase: &SecretString,
    cost: Cost,
) -> Result<Guard, GuardError> {
    let key = GuardKey::made(|key| random.fill(key));
    let mut salt = [0; SALT];
    random.fill(&mut salt);
    let outer = derive(passphrase, &salt, cost)?;
    let nonce = nonce(random);
    let mut wrapped = Vec::with_capacity(13 + SALT + NONCE + KEY + TAG);
    wrapped.push(FORMAT);
    for number in cost.numbers() {
        wrapped.extend_from_slice(&number.to_be_bytes());
    }
    wrapped.extend_from_slice(&salt);
    wrapped.extend_from_slice(&nonce);
    let at = wrapped.len();
    wrapped.extend_from_slice(key.expose());
    let data = bound(b"iamd passphrase", whose);
    encrypt_end(&outer, &nonce, &data, &mut wrapped, at).map_err(|_| GuardError::Format)?;
    Ok(Guard { wrapped, secrets: Vec::new(), mark: None, key: Some(key) })
}

/// The account's key, for who knows the passphrase. Takes time and memory on purpose.
///
/// # Errors
/// [`GuardError`].
pub fn open_guard(
    wrapped: &[u8],
    whose: Whose<'_>,
    passphrase: &SecretString,
) -> Result<GuardKey, GuardError> {
    let cut = |_| GuardError::Format;
    let mut rest = Reader(wrapped);
    if rest.take(1).map_err(cut)? != [FORMAT] {
        return Err(GuardError::Format);
    }
    let mut number = || rest.array().map(u32::from_be_bytes).map_err(cut);
    let cost = Cost::of([number()?, number()?, number()?]).ok_or(GuardError::Format)?;
    let salt = rest.array::<SALT>().map_err(cut)?;
    let nonce = rest.array::<NONCE>().map_err(cut)?;
    let outer = derive(passphrase, &salt, cost)?;
    let data = bound(b"iamd passphrase", whose);
    // The tag is compared in constant time.
    let opened = decrypt(&outer, &nonce, &data, rest.0).map_err(|_| GuardError::Wrong)?;
    let key: &[u8; KEY] = opened.as_slice().try_into().map_err(|_| GuardError::Format)?;
    Ok(GuardKey::made(|to| to.copy_from_slice(key)))
}

/// Seals an account's secrets with its key. `None` beyond 256 GiB.
pub fn seal_secrets(
    random: &dyn Random,
    key: &GuardKey,
    whose: Whose<'_>,
    plaintext: &[u8],
) -> Option<Vec<u8>> {
    let nonce = nonce(random);
    let mut out = Vec::with_capacity(1 + NONCE + plaintext.len() + TAG);
    out.push(FORMAT);
    out.extend_from_slice(&nonce);
    let at = out.len();
    out.extend_from_slice(plaintext);
    encrypt_end(key.expose(), &nonce, &bound(b"iamd secrets", whose), &mut out, at).ok()?;
    Some(out)
}

/// Opens what [`seal_secrets`] made. `None` when the key is another one.
pub fn open_secrets(key: &GuardKey, whose: Whose<'_>, sealed: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
    let mut rest = Reader(sealed);
    if rest.take(1).ok()? != [FORMAT] {
        return None;
    }
    let nonce = rest.array::<NONCE>().ok()?;
    decrypt(key.expose(), &nonce, &bound(b"iamd secrets", whose), rest.0).ok()
}

/// Recognises a refresh token without holding it. Without the key nothing can be tried on it.
pub fn mark_of(key: &GuardKey, token: &SecretString) -> [u8; 32] {
    let mut hasher = Sha256::new_with_prefix(b"iamd mark");
    hasher.update(key.expose());
    hasher.update(token.expose_secret().as_bytes());
    hasher.finalize().into()
}

pub(super) fn derive(
    passphrase: &SecretString,
    salt: &[u8; SALT],
    cost: Cost,
) -> Result<Zeroizing<[u8; KEY]>, GuardError> {
    let params = Params::new(cost.memory_kib, cost.passes, cost.lanes, Some(KEY))
        .map_err(|_| GuardError::Format)?;
    let mut blocks: Vec<Block> = Vec::new();
    // A node short of memory refuses a passphrase; it does not lose the daemon.
    blocks.try_reserve_exact(params.block_count()).map_err(|_| GuardError::Memory)?;
    blocks.resize(params.block_count(), Block::default());
    let mut key = Zeroizing::new([0; KEY]);
    let argon = Argon2::new(Algorithm::Argon2id, Version::V0x13, params);
    let secret = passphrase.expose_secret().as_bytes();
    let derived = argon.hash_password_into_with_memory(secret, salt, &mut *key, &mut blocks);
    blocks.zeroize();
    derived.map(|()| key).map_err(|_| GuardError::Format)
}

fn bound(purpose: &[u8], whose: Whose<'_>) -> Vec<u8> {
    let mut data = purpose.to_vec();
    data.push(FORMAT);
    data.extend_from_slice(&whose.uid.to_be_bytes());
    for part in [whose.user, whose.issuer] {
        data.extend_from_slice(&(part.len() as u64).to_be_bytes());
        data.extend_from_slice(part.as_bytes());
    }
    data
}

#[cfg(test)]
#[path = "guard_tests.rs"]
mod tests;
