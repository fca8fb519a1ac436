//! The outer seal of a backup: what only its passphrase opens, and nobody can change unnoticed.
//!
//! ```text
//! "iamdbak" | format u8 = 1 | length u32 | header, readable
//! memory KiB u32 | passes u32 | lanes u32 | salt 16 | nonce 24
//! sealed under Argon2id(passphrase, salt): the backup's key 32
//! chunks: last u8 (0, 1) | length u32 | sealed under the backup's key
//! ```
//! Integers are big endian; all seals are XChaCha20-Poly1305. A chunk's nonce is its number and
//! whether it is the last (the STREAM construction: none can be left out, repeated, or put in
//! another order, and an end that is missing is seen); the key is of this backup alone, so that no
//! nonce comes twice. The associated data of the key are all bytes before it, those of a chunk
//! their SHA-256 and that of the sealed key: header and chunks of two backups do not mix.

use secrecy::SecretString;
use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

use super::{
    envelope::{KEY, NONCE, Reader, SealError, TAG, decrypt, encrypt_end, nonce},
    guard::{Cost, GuardError, SALT, derive},
};
use crate::clock::Random;

const MAGIC: &[u8; 7] = b"iamdbak";
const FORMAT: u8 = 1;
/// How much of a backup goes into a chunk.
pub const CHUNK: usize = 64 << 10;
/// What is read of a header at most.
const LONGEST_HEADER: usize = 64 << 10;

/// The bytes before the header: enough to know its length.
pub const BEGIN: usize = MAGIC.len() + 1 + 4;
/// The bytes between header and chunks.
pub const MIDDLE: usize = 12 + SALT + NONCE + KEY + TAG;
/// The bytes before a chunk.
pub const FRAME: usize = 5;

/// Why a backup does not open.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BackupError {
    /// Something else.
    #[error("it is not a backup of iamd")]
    NotABackup,
    /// Of a later program.
    #[error("a later iamd made this backup; restore it with that version")]
    Newer,
    /// The key does not open.
    #[error("the passphrase is another one, or the beginning of the backup was changed")]
    Passphrase,
    /// A chunk does not open.
    #[error("the backup is damaged or was changed")]
    Damaged,
    /// It ends too early.
    #[error("the backup is cut off")]
    Cut,
    /// Something stands after the last chunk.
    #[error("there is something after the end of the backup")]
    Trailing,
    /// There is not enough memory for the derivation.
    #[error("there is not enough memory to try the passphrase")]
    Memory,
}

/// Seals a backup, chunk by chunk.
pub struct BackupSealer(Chunks);

/// Opens a backup, chunk by chunk.
pub struct BackupOpener(Chunks);

struct Chunks {
    key: Zeroizing<[u8; KEY]>,
    bound: [u8; 32],
    number: u64,
}

impl Chunks {
    fn next_nonce(&mut self, last: bool) -> [u8; NONCE] {
        let mut nonce = [0; NONCE];
        nonce[..8].copy_from_slice(&self.number.to_be_bytes());
        nonce[8] = u8::from(last);
        self.number += 1;
        nonce
    }
}

impl BackupSealer {
    /// A new backup with this header, and the bytes it begins with. Takes time and memory on
    /// purpose: not on an async thread.
    ///
    /// # Errors
    /// [`GuardError::Memory`].
    pub fn begin(
        random: &dyn Random,
        passphrase: &SecretString,
        cost: Cost,
        header: &[u8],
    ) -> Result<(Self, Vec<u8>), GuardError> {
        let mut key = Zeroizing::new([0; KEY]);
        random.fill(&mut *key);
        let mut salt = [0; SALT];
        random.fill(&mut salt);
        let outer = derive(passphrase, &salt, cost)?;
        let length = u32::try_from(header.len()).map_err(|_| GuardError::Format)?;
        let mut out = Vec::with_capacity(BEGIN + header.len() + MIDDLE);
        out.extend_from_slice(MAGIC);
        out.push(FORMAT);
        out.extend_from_slice(&length.to_be_bytes());
        out.extend_from_slice(header);
        for number in cost.numbers() {
            out.extend_from_slice(&number.to_be_bytes());
        }
        out.extend_from_slice(&salt);
        let nonce = nonce(random);
        out.extend_from_slice(&nonce);
        let before = out.clone();
        let at = out.len();
        out.extend_from_slice(&*key);
        encrypt_end(&outer, &nonce, &before, &mut out, at).map_err(|_| GuardError::Format)?;
        let bound = Sha256::digest(&out).into();
        Ok((Self(Chunks { key, bound, number: 0 }), out))
    }

    /// The next chunk, framed; after the last one there is none.
    ///
    /// # Errors
    /// The chunk is longer than a frame can say.
    pub fn chunk(&mut self, plaintext: &[u8], last: bool) -> Result<Vec<u8>, SealError> {
        let nonce = self.0.next_nonce(last);
        let length = u32::try_from(plaintext.len() + TAG).map_err(|_| SealError)?;
        let mut out = Vec::with_capacity(FRAME + plaintext.len() + TAG);
        out.push(u8::from(last));
        out.extend_from_slice(&length.to_be_bytes());
        let at = out.len();
        out.extend_from_slice(plaintext);
        encrypt_end(&self.0.key, &nonce, &self.0.bound, &mut out, at)?;
        Ok(out)
    }
}

/// The length of the header that follows these [`BEGIN`] bytes.
///
/// # Errors
/// [`BackupError::NotABackup`], [`BackupError::Newer`].
pub fn header_length(begin: &[u8]) -> Result<usize, BackupError> {
    let mut rest = Reader(begin);
    let cut = |_| BackupError::NotABackup;
    if rest.take(MAGIC.len()).map_err(cut)? != MAGIC {
        return Err(BackupError::NotABackup);
    }
    if rest.take(1).map_err(cut)? != [FORMAT] {
        return Err(BackupError::Newer);
    }
    match u32::from_be_bytes(rest.array().map_err(cut)?) as usize {
        length @ ..=LONGEST_HEADER => Ok(length),
        _ => Err(BackupError::NotABackup),
    }
}

/// Whether the chunk after these [`FRAME`] bytes is the last, and its length.
///
/// # Errors
/// [`BackupError::Damaged`].
pub fn frame(bytes: [u8; FRAME]) -> Result<(bool, usize), BackupError> {
    let [last, length @ ..] = bytes;
    match (last, u32::from_be_bytes(length) as usize) {
        (0 | 1, length) if (TAG..=CHUNK + TAG).contains(&length) => Ok((last == 1, length)),
        _ => Err(BackupError::Damaged),
    }
}

impl BackupOpener {
    /// Opens the key; `preamble` is all that comes before the chunks. Takes time and memory on
    /// purpose: not on an async thread.
    ///
    /// # Errors
    /// [`BackupError`].
    pub fn begin(preamble: &[u8], passphrase: &SecretString) -> Result<Self, BackupError> {
        let cut = |_| BackupError::Cut;
        let header = header_length(preamble.get(..BEGIN).ok_or(BackupError::Cut)?)?;
        let mut rest = Reader(preamble.get(BEGIN + header..).ok_or(BackupError::Cut)?);
        let mut number = || rest.array().map(u32::from_be_bytes).map_err(cut);
        let cost = Cost::of([number()?, number()?, number()?]).ok_or(BackupError::Damaged)?;
        let salt = rest.array::<SALT>().map_err(cut)?;
        let nonce = rest.array::<NONCE>().map_err(cut)?;
        if rest.0.len() != KEY + TAG {
            return Err(BackupError::Cut);
        }
        let before = &preamble[..preamble.len() - rest.0.len()];
        let outer = derive(passphrase, &salt, cost).map_err(|error| match error {
            GuardError::Memory => BackupError::Memory,
            _ => BackupError::Damaged,
        })?;
        let opened =
            decrypt(&outer, &nonce, before, rest.0).map_err(|_| BackupError::Passphrase)?;
        let mut key = Zeroizing::new([0; KEY]);
        key.copy_from_slice(&opened);
        Ok(Self(Chunks { key, bound: Sha256::digest(preamble).into(), number: 0 }))
    }

    /// What the next chunk holds.
    ///
    /// # Errors
    /// [`BackupError::Damaged`].
    pub fn chunk(&mut self, last: bool, sealed: &[u8]) -> Result<Zeroizing<Vec<u8>>, BackupError> {
        let nonce = self.0.next_nonce(last);
        decrypt(&self.0.key, &nonce, &self.0.bound, sealed).map_err(|_| BackupError::Damaged)
    }
}

/// Both ends of a backup with a key that is known, for who reads what is inside.
#[cfg(any(test, feature = "fuzzing"))]
pub(crate) fn both_ends() -> (BackupSealer, BackupOpener) {
    let chunks = || Chunks { key: Zeroizing::new([7; KEY]), bound: [7; 32], number: 0 };
    (BackupSealer(chunks()), BackupOpener(chunks()))
}

#[cfg(test)]
#[path = "backup_tests.rs"]
mod tests;
