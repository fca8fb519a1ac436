//! The sealed form of a record.
//!
//! ```text
//! "iamd" | format u8 = 1 | key id: length u8, bytes | generation u64
//! wrap:  nonce 24 | length u16 | sealed under the key-encryption key: data key 32, user, issuer
//! body:  nonce 24 | sealed under the data key: the record, to the end
//! ```
//! Integers are big endian; both seals are XChaCha20-Poly1305 with random nonces, whose 24 bytes
//! are long enough to never repeat.
//!
//! **A data key per write.** It encrypts one message, so nothing about it needs to be counted or
//! kept, and a record gets a new one each time it changes. To move to another key-encryption key
//! only the wrap is made anew: the body does not name the key id.
//!
//! **What binds a record to its place.** The associated data of both seals hold format, kind, row
//! (the store's key: it has the uid and the account's name in it) and generation; the body's also
//! the user's name and the issuer. Those two are not known to whoever opens a row, and would tell
//! the reader of a store who uses what; so they travel inside the wrap. A row that was moved to
//! another user or account, or whose user, issuer or generation was changed, does not open.
//! Whether it is the newest one that was written here, only the caller knows: see `generation`.

use chacha20poly1305::{AeadInOut, KeyInit, Tag, XChaCha20Poly1305, XNonce};
use zeroize::Zeroizing;

use super::Keyring;
use crate::clock::Random;

const MAGIC: &[u8; 4] = b"iamd";
const FORMAT: u8 = 1;
pub(super) const KEY: usize = 32;
pub(super) const NONCE: usize = 24;
pub(super) const TAG: usize = 16;

/// What kind of thing is sealed; one never opens as another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Kind {
    /// An account.
    Account = 1,
    /// A client.
    Client = 2,
    /// A user's settings.
    Settings = 3,
    /// An entry of the journal.
    Journal = 4,
    /// A device login that waits for its user.
    Login = 5,
    /// Leave to sign users in by password.
    PasswordFlow = 6,
    /// How new rows were, over restarts.
    Floors = 7,
}

impl Kind {
    /// Every kind that is kept in a row of the store.
    pub const OF_ROWS: [Self; 5] =
        [Self::Account, Self::Client, Self::Settings, Self::Login, Self::PasswordFlow];
}

/// What a sealed record is bound to.
#[derive(Debug, Clone, Copy)]
pub struct Bound<'a> {
    /// What it is.
    pub kind: Kind,
    /// Where it is kept: the store's key.
    pub row: &'a str,
    /// The count of its writes.
    pub generation: u64,
    /// The local user's name; empty where there is none.
    pub user: &'a str,
    /// The issuer; empty where there is none.
    pub issuer: &'a str,
}

/// A record that was opened.
#[derive(Debug)]
pub struct Opened {
    /// The count of its writes, to be compared with the newest that was seen.
    pub generation: u64,
    /// The local user's name it was sealed for.
    pub user: String,
    /// The issuer it was sealed for.
    pub issuer: String,
    /// What was sealed.
    pub plaintext: Zeroizing<Vec<u8>>,
}

/// A record cannot be sealed: a part of it is longer than the format can say.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a user name or an issuer of more than 64 KiB cannot be kept")]
pub struct SealError;

/// Why sealed bytes do not open.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum OpenError {
    /// The key it was sealed with is not in the keyring.
    #[error("it is sealed with key {id}, which is not in the keyring; add that key again")]
    UnknownKey {
        /// The key's id.
        id: String,
    },
    /// The seal is broken.
    #[error(
        "its seal is broken: it was changed, or moved here from another place, or the key of \
         this id is another one; restore it from a backup, or sign in again"
    )]
    Tampered,
    /// Not a sealed record, or one of a later format.
    #[error("{0}")]
    Format(&'static str),
}

impl Keyring {
    /// Seals `plaintext` with a new data key under the current key.
    ///
    /// # Errors
    /// When a user name or an issuer is longer than the format can say.
    pub fn seal(
        &self,
        random: &dyn Random,
        bound: &Bound<'_>,
        plaintext: &[u8],
    ) -> Result<Vec<u8>, SealError> {
        let (key_id, key) = self.current();
        let mut data_key = Zeroizing::new([0; KEY]);
        random.fill(&mut *data_key);
        let (user, issuer) = (bound.user.as_bytes(), bound.issuer.as_bytes());
        let wrapped = KEY + 2 + user.len() + issuer.len() + TAG;
        let header = MAGIC.len() + 2 + key_id.len() + 8;

        // The whole size beforehand: a buffer that grew would leave plaintext behind.
        let mut out =
            Vec::with_capacity(header + NONCE + 2 + wrapped + NONCE + plaintext.len() + TAG);
        begin(&mut out, key_id, bound.generation)?;

        let nonce = nonce(random);
        out.extend_from_slice(&nonce);
        out.extend_from_slice(&length_u16(wrapped)?);
        let at = out.len();
        out.extend_from_slice(&*data_key);
        out.extend_from_slice(&length_u16(user.len())?);
        out.extend_from_slice(user);
        out.extend_from_slice(issuer);
        let data = wrap_data(bound.kind, bound.row, bound.generation, key_id);
        encrypt_end(key, &nonce, &data, &mut out, at)?;

        let nonce = self::nonce(random);
        out.extend_from_slice(&nonce);
        let at = out.len();
        out.extend_from_slice(plaintext);
        encrypt_end(&data_key, &nonce, &body_data(bound), &mut out, at)?;
        Ok(out)
    }

    /// Opens what was sealed for this kind and row.
    ///
    /// # Errors
    /// [`OpenError`], which says whether the key is missing, the seal broken or the form unknown.
    pub fn open(&self, kind: Kind, row: &str, sealed: &[u8]) -> Result<Opened, OpenError> {
        let parts = Parts::of(sealed)?;
        let wrap = self.unwrap(kind, row, &parts)?;
        let mut inner = Reader(&wrap);
        let data_key = Zeroizing::new(inner.array::<KEY>()?);
        let length = u16::from_be_bytes(inner.array()?);
        let user = str::from_utf8(inner.take(length.into())?).map_err(|_| CUT)?.to_owned();
        let issuer = str::from_utf8(inner.0).map_err(|_| CUT)?.to_owned();

        let generation = parts.generation;
        let bound = Bound { kind, row, generation, user: &user, issuer: &issuer };
        let plaintext = decrypt(&data_key, &parts.body_nonce, &body_data(&bound), parts.body)?;
        Ok(Opened { generation, user, issuer, plaintext })
    }

    /// Opens a row of whatever kind it is.
    ///
    /// # Errors
    /// As [`Keyring::open`].
    pub fn open_row(&self, row: &str, sealed: &[u8]) -> Result<(Kind, Opened), OpenError> {
        let mut failure = OpenError::Tampered;
        for kind in Kind::OF_ROWS {
            match self.open(kind, row, sealed) {
                Ok(opened) => return Ok((kind, opened)),
                Err(error) => failure = error,
            }
        }
        Err(failure)
    }

    /// The id of the key that sealed this, whether it is in the keyring or not.
    ///
    /// # Errors
    /// [`OpenError::Format`].
    pub fn key_of(sealed: &[u8]) -> Result<&str, OpenError> {
        Ok(Parts::of(sealed)?.key_id)
    }

    /// The same under the current key: the same record, the same generation, bound to the same
    /// place. Only the wrap is made anew. What does not open is not sealed again.
    ///
    /// # Errors
    /// As [`Keyring::open`].
    pub fn rewrap(
        &self,
        random: &dyn Random,
        kind: Kind,
        row: &str,
        sealed: &[u8],
    ) -> Result<Vec<u8>, OpenError> {
        self.open(kind, row, sealed)?;
        let parts = Parts::of(sealed)?;
        let wrap = self.unwrap(kind, row, &parts)?;
        let (key_id, key) = self.current();
        let too_long = |_| CUT;
        let (header, wrapped) = (MAGIC.len() + 2 + key_id.len() + 8, wrap.len() + TAG);
        let mut out = Vec::with_capacity(header + 2 * NONCE + 2 + wrapped + parts.body.len());
        begin(&mut out, key_id, parts.generation).map_err(too_long)?;
        let nonce = nonce(random);
        out.extend_from_slice(&nonce);
        out.extend_from_slice(&length_u16(wrapped).map_err(too_long)?);
        let at = out.len();
        out.extend_from_slice(&wrap);
        let data = wrap_data(kind, row, parts.generation, key_id);
        encrypt_end(key, &nonce, &data, &mut out, at).map_err(too_long)?;
        out.extend_from_slice(&parts.body_nonce);
        out.extend_from_slice(parts.body);
        Ok(out)
    }

    fn unwrap(
        &self,
        kind: Kind,
        row: &str,
        parts: &Parts<'_>,
    ) -> Result<Zeroizing<Vec<u8>>, OpenError> {
        let Parts { key_id, generation, wrap_nonce, wrapped, .. } = parts;
        let shown = || key_id.chars().filter(|c| c.is_ascii_graphic()).collect();
        let key = self.get(key_id).ok_or_else(|| OpenError::UnknownKey { id: shown() })?;
        decrypt(key, wrap_nonce, &wrap_data(kind, row, *generation, key_id), wrapped)
    }
}

/// Sealed bytes, taken apart and not opened.
struct Parts<'a> {
    key_id: &'a str,
    generation: u64,
    wrap_nonce: [u8; NONCE],
    wrapped: &'a [u8],
    body_nonce: [u8; NONCE],
    body: &'a [u8],
}

impl<'a> Parts<'a> {
    fn of(sealed: &'a [u8]) -> Result<Self, OpenError> {
        let mut rest = Reader(sealed);
        if rest.take(MAGIC.len())? != MAGIC {
            return Err(OpenError::Format("it is not a sealed record"));
        }
        if rest.take(1)? != [FORMAT] {
            return Err(OpenError::Format("a later iamd wrote it; install that version again"));
        }
        let length = rest.take(1)?[0];
        let key_id = str::from_utf8(rest.take(length.into())?).map_err(|_| CUT)?;
        if key_id.is_empty() || key_id.contains(char::is_control) {
            // No key has such an id: nobody is to look for one, or to read of it in an error.
            return Err(CUT);
        }
        let generation = u64::from_be_bytes(rest.array()?);
        let wrap_nonce = rest.array::<NONCE>()?;
        let length = u16::from_be_bytes(rest.array()?);
        let wrapped = rest.take(length.into())?;
        let body_nonce = rest.array::<NONCE>()?;
        Ok(Self { key_id, generation, wrap_nonce, wrapped, body_nonce, body: rest.0 })
    }
}

const CUT: OpenError = OpenError::Format("it is cut off or garbled");

fn begin(out: &mut Vec<u8>, key_id: &str, generation: u64) -> Result<(), SealError> {
    out.extend_from_slice(MAGIC);
    out.push(FORMAT);
    out.push(u8::try_from(key_id.len()).map_err(|_| SealError)?);
    out.extend_from_slice(key_id.as_bytes());
    out.extend_from_slice(&generation.to_be_bytes());
    Ok(())
}

pub(super) fn nonce(random: &dyn Random) -> [u8; NONCE] {
    let mut nonce = [0; NONCE];
    random.fill(&mut nonce);
    nonce
}

fn length_u16(length: usize) -> Result<[u8; 2], SealError> {
    u16::try_from(length).map(u16::to_be_bytes).map_err(|_| SealError)
}

fn wrap_data(kind: Kind, row: &str, generation: u64, key_id: &str) -> Vec<u8> {
    associated(b"iamd wrap", kind, generation, &[row, key_id])
}

fn body_data(bound: &Bound<'_>) -> Vec<u8> {
    associated(b"iamd body", bound.kind, bound.generation, &[bound.row, bound.user, bound.issuer])
}

/// Every part has its length before it: no two sets of parts give the same bytes.
fn associated(purpose: &[u8], kind: Kind, generation: u64, parts: &[&str]) -> Vec<u8> {
    let mut data = purpose.to_vec();
    data.extend_from_slice(&[FORMAT, kind as u8]);
    data.extend_from_slice(&generation.to_be_bytes());
    for part in parts {
        data.extend_from_slice(&(part.len() as u64).to_be_bytes());
        data.extend_from_slice(part.as_bytes());
    }
    data
}

/// Encrypts `out` from `at` on, in place, and appends the tag.
pub(super) fn encrypt_end(
    key: &[u8; KEY],
    nonce: &[u8; NONCE],
    data: &[u8],
    out: &mut Vec<u8>,
    at: usize,
) -> Result<(), SealError> {
    let cipher = XChaCha20Poly1305::new(key.into());
    let nonce: &XNonce = nonce.into();
    // Fails only beyond 256 GiB.
    let tag = cipher
        .encrypt_inout_detached(nonce, data, (&mut out[at..]).into())
        .map_err(|_| SealError)?;
    out.extend_from_slice(&tag);
    Ok(())
}

pub(super) fn decrypt(
    key: &[u8; KEY],
    nonce: &[u8; NONCE],
    data: &[u8],
    sealed: &[u8],
) -> Result<Zeroizing<Vec<u8>>, OpenError> {
    let split = sealed.len().checked_sub(TAG).ok_or(CUT)?;
    let (text, tag) = sealed.split_at(split);
    let tag: [u8; TAG] = tag.try_into().map_err(|_| CUT)?;
    let mut plaintext = Zeroizing::new(text.to_vec());
    let cipher = XChaCha20Poly1305::new(key.into());
    let nonce: &XNonce = nonce.into();
    cipher
        .decrypt_inout_detached(nonce, data, plaintext.as_mut_slice().into(), &Tag::from(tag))
        .map_err(|_| OpenError::Tampered)?;
    Ok(plaintext)
}

pub(super) struct Reader<'a>(pub(super) &'a [u8]);

impl<'a> Reader<'a> {
    pub(super) fn take(&mut self, length: usize) -> Result<&'a [u8], OpenError> {
        let (taken, rest) = self.0.split_at_checked(length).ok_or(CUT)?;
        self.0 = rest;
        Ok(taken)
    }

    pub(super) fn array<const N: usize>(&mut self) -> Result<[u8; N], OpenError> {
        self.take(N)?.try_into().map_err(|_| CUT)
    }
}

#[cfg(test)]
#[path = "envelope_tests.rs"]
mod tests;
