//! Account files of oidc-agent, read so that an account can be taken over. Four forms are known:
//! seven lines (2.1 to 5.3), one line of hexadecimal (before), a PGP message (4.2 and later), and
//! JSON as it is. What is in a file is not trusted: its size is bounded, and what opening it may
//! cost in time and memory, before anything is done with it.

mod account;
mod cost;
mod gpg;
mod place;
mod sealed;
mod secretbox;

pub(crate) use account::{Account, Unfit};
pub(crate) use place::{AccountFile, NoFile, all, locate, read, shown};

use secrecy::SecretString;
use zeroize::Zeroizing;

use cost::CostError;
use gpg::Gpg;
use sealed::{Hex, Lines};

/// The largest file that is read, and the largest plaintext: accounts are of a few KiB.
pub(crate) const LARGEST: usize = 256 * 1024;

/// Why a file gave no account.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Unreadable {
    /// Nothing of oidc-agent's.
    #[error("this is not an account file of oidc-agent")]
    Foreign,
    /// It was one.
    #[error("the account file is damaged: {0}")]
    Damaged(&'static str),
    /// Its numbers are those of no oidc-agent.
    #[error(
        "opening the account file would take more than 1 GiB of memory, or minutes: no oidc-agent \
         asks for that"
    )]
    TooCostly,
    /// No such key in this file.
    #[error("that is not the password of the account file")]
    WrongPassword,
    /// The derivation of the key found no room.
    #[error("there is not enough memory to try the password")]
    Memory,
    /// gpg did not decrypt it.
    #[error("gpg did not decrypt the account file: {0}")]
    Gpg(String),
}

impl From<CostError> for Unreadable {
    fn from(error: CostError) -> Self {
        match error {
            CostError::TooMuch => Self::TooCostly,
            CostError::Memory => Self::Memory,
        }
    }
}

/// What a file is, before it is opened.
#[derive(Debug)]
pub(crate) enum Content {
    /// Version 2.1 and later.
    Lines(Lines),
    /// Before 2.1.
    Hex(Hex),
    /// Version 4.2 and later, with a key of the user's.
    Gpg(Gpg),
    /// Not encrypted.
    Plain(Zeroizing<Vec<u8>>),
}

impl Content {
    /// Tells the forms apart.
    ///
    /// # Errors
    /// It is none of them, or a damaged one.
    pub(crate) fn of(bytes: Zeroizing<Vec<u8>>) -> Result<Self, Unreadable> {
        if bytes.trim_ascii_start().starts_with(b"{") {
            return Ok(Self::Plain(bytes));
        }
        let text = str::from_utf8(&bytes).map_err(|_| Unreadable::Foreign)?.trim();
        if let Some(message) = Gpg::of(text)? {
            return Ok(Self::Gpg(message));
        }
        if let Some(lines) = Lines::of(text)? {
            return Ok(Self::Lines(lines));
        }
        Hex::of(text)?.map(Self::Hex).ok_or(Unreadable::Foreign)
    }

    /// Whether it takes a password that only its owner knows. gpg asks for its own.
    pub(crate) fn needs_password(&self) -> bool {
        matches!(self, Self::Lines(_) | Self::Hex(_))
    }

    /// Whether it can be opened in no time, and without another program.
    #[cfg(any(test, feature = "fuzzing"))]
    pub(crate) fn is_cheap(&self) -> bool {
        match self {
            Self::Plain(_) => true,
            Self::Lines(lines) => lines.is_cheap(),
            Self::Hex(_) | Self::Gpg(_) => false,
        }
    }

    /// What is in it. Takes time and memory on purpose.
    ///
    /// # Errors
    /// [`Unreadable::WrongPassword`], also where one is needed and none given; and others.
    pub(crate) fn open(
        &self,
        password: Option<&SecretString>,
    ) -> Result<Zeroizing<Vec<u8>>, Unreadable> {
        match (self, password) {
            (Self::Plain(bytes), _) => Ok(bytes.clone()),
            (Self::Gpg(message), _) => message.decrypt(),
            (Self::Lines(lines), Some(password)) => lines.open(password),
            (Self::Hex(hex), Some(password)) => hex.open(password),
            (Self::Lines(_) | Self::Hex(_), None) => Err(Unreadable::WrongPassword),
        }
    }
}

#[cfg(test)]
mod tests;
