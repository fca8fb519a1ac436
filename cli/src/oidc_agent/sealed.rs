//! The two forms that a password opens.
//!
//! ```text
//! since 2.1, a line each:               before 2.1, on one line:
//!   length of the ciphertext              length:salt:nonce:ciphertext
//!   nonce, base64                         all but the length in hexadecimal
//!   salt, base64
//!   lengths of nonce, salt, tag and key, variant of base64, opslimit, memlimit, alg; with colons
//!   ciphertext, base64
//!   hash of the key, base64
//!   Generated using version: 4.2.6
//! ```
//! Since 2.1 the password gives 64 bytes: the first half is the key of a secret box, the second is
//! the hash of the key. Before, it gave the key alone, by one of two costs that are not written down.

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD, URL_SAFE, URL_SAFE_NO_PAD};
use secrecy::SecretString;
use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

use super::Unreadable;
use super::cost::{Cost, SALT};
use super::secretbox::{self, KEY, NONCE, TAG};

/// How many lines the newer form has at least: the version came later.
const LEAST_LINES: usize = 6;
/// How many numbers its fourth line has.
const NUMBERS: usize = 8;

/// A file since 2.1.
#[derive(Debug)]
pub(crate) struct Lines {
    nonce: [u8; NONCE],
    salt: [u8; SALT],
    cost: Cost,
    ciphertext: Vec<u8>,
    hash: [u8; KEY],
}

impl Lines {
    /// Reads the lines; `None` where they are something else.
    ///
    /// # Errors
    /// They begin as such a file does and are not one; or it would cost too much to open.
    pub(super) fn of(text: &str) -> Result<Option<Self>, Unreadable> {
        let lines: Vec<&str> = text.split('\n').map(|line| line.trim_end_matches('\r')).collect();
        let Some(length) = number(lines[0]) else { return Ok(None) };
        if lines.len() == 1 {
            return Err(cut_off());
        }
        let [_, nonce, salt, numbers, ciphertext, hash, ..] = lines[..] else {
            return Err(cut_off());
        };
        if lines.len() > LEAST_LINES + 1 {
            return Err(Unreadable::Damaged("it has too many lines"));
        }
        let [of_nonce, of_salt, of_tag, of_key, variant, passes, memory, algorithm] =
            numbers_of(numbers)?;
        if [of_nonce, of_salt, of_tag, of_key] != [NONCE, SALT, TAG, KEY].map(|n| n as u64) {
            return Err(Unreadable::Damaged("it was encrypted in a way that is not known"));
        }
        let cost = Cost::of(passes, memory, algorithm)?;
        let cost =
            cost.ok_or(Unreadable::Damaged("it was encrypted in a way that is not known"))?;
        // libsodium's `sodium_base64_VARIANT_…`.
        let base64 = match variant {
            1 => STANDARD,
            3 => STANDARD_NO_PAD,
            5 => URL_SAFE,
            7 => URL_SAFE_NO_PAD,
            _ => return Err(Unreadable::Damaged("it was encrypted in a way that is not known")),
        };
        let decode = |line: &str| base64.decode(line).map_err(|_| garbled());
        let (nonce, salt, hash) = (decode(nonce)?, decode(salt)?, decode(hash)?);
        let ciphertext = decode(ciphertext)?;
        if ciphertext.len() as u64 != length || ciphertext.len() < TAG {
            return Err(cut_off());
        }
        Ok(Some(Self {
            nonce: nonce.try_into().map_err(|_| garbled())?,
            salt: salt.try_into().map_err(|_| garbled())?,
            hash: hash.try_into().map_err(|_| garbled())?,
            cost,
            ciphertext,
        }))
    }

    /// Whether that takes no time.
    #[cfg(any(test, feature = "fuzzing"))]
    pub(super) fn is_cheap(&self) -> bool {
        self.cost.is_least()
    }

    /// Opens it.
    ///
    /// # Errors
    /// [`Unreadable::WrongPassword`]; it was changed since it was written; or there is no room.
    pub(super) fn open(&self, password: &SecretString) -> Result<Zeroizing<Vec<u8>>, Unreadable> {
        let both = self.cost.derive::<{ 2 * KEY }>(password, &self.salt)?;
        let (key, hash) = both.split_first_chunk::<KEY>().ok_or_else(garbled)?;
        if !bool::from(hash.ct_eq(&self.hash)) {
            return Err(Unreadable::WrongPassword);
        }
        secretbox::open(key, &self.nonce, &self.ciphertext)
            .ok_or(Unreadable::Damaged("it was changed after it was written"))
    }
}

/// A file before 2.1.
#[derive(Debug)]
pub(crate) struct Hex {
    salt: [u8; SALT],
    nonce: [u8; NONCE],
    ciphertext: Vec<u8>,
}

impl Hex {
    /// Reads the line; `None` where it is something else.
    ///
    /// # Errors
    /// It begins as such a file does and is not one.
    pub(super) fn of(text: &str) -> Result<Option<Self>, Unreadable> {
        let parts: Vec<&str> = text.split(':').collect();
        let [length, salt, nonce, ciphertext] = parts[..] else { return Ok(None) };
        let Some(length) = number(length) else { return Ok(None) };
        let bytes = |digits: &str| unhex(digits).ok_or_else(garbled);
        let ciphertext = bytes(ciphertext)?;
        if ciphertext.len() as u64 != length || ciphertext.len() < TAG {
            return Err(cut_off());
        }
        Ok(Some(Self {
            salt: bytes(salt)?.try_into().map_err(|_| garbled())?,
            nonce: bytes(nonce)?.try_into().map_err(|_| garbled())?,
            ciphertext,
        }))
    }

    /// Opens it, by the cost of either build.
    ///
    /// # Errors
    /// [`Unreadable::WrongPassword`], also where it was changed: nothing tells the two apart.
    pub(super) fn open(&self, password: &SecretString) -> Result<Zeroizing<Vec<u8>>, Unreadable> {
        for cost in [Cost::ARGON2I, Cost::ARGON2ID] {
            let key = cost.derive::<KEY>(password, &self.salt)?;
            if let Some(opened) = secretbox::open(&key, &self.nonce, &self.ciphertext) {
                return Ok(opened);
            }
        }
        Err(Unreadable::WrongPassword)
    }
}

fn cut_off() -> Unreadable {
    Unreadable::Damaged("it is not whole")
}

fn garbled() -> Unreadable {
    Unreadable::Damaged("it is garbled")
}

/// Digits alone: what `parse` takes besides is in no such file.
fn number(text: &str) -> Option<u64> {
    text.bytes().all(|c| c.is_ascii_digit()).then(|| text.parse().ok()).flatten()
}

fn numbers_of(line: &str) -> Result<[u64; NUMBERS], Unreadable> {
    let numbers: Option<Vec<u64>> = line.split(':').take(NUMBERS + 1).map(number).collect();
    numbers.and_then(|numbers| numbers.try_into().ok()).ok_or_else(garbled)
}

fn unhex(digits: &str) -> Option<Vec<u8>> {
    let digit = |c: u8| char::from(c).to_digit(16).and_then(|value| u8::try_from(value).ok());
    let (pairs, rest) = digits.as_bytes().as_chunks::<2>();
    if !rest.is_empty() {
        return None;
    }
    pairs.iter().map(|[high, low]| Some(digit(*high)? << 4 | digit(*low)?)).collect()
}
