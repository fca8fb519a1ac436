//! Who an account belongs to and what it is called.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

/// The short name of an account: 1 to 32 of `a-z 0-9 . _ -`, beginning with a letter or digit.
/// It becomes part of a file name and of store keys.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct AccountName(String);

/// Why a text is not an [`AccountName`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "\u{201c}{shown}\u{201d} is not an account name: use 1 to 32 of a-z, 0-9, '.', '_' and '-', beginning with a letter or digit"
)]
pub struct NameError {
    shown: String,
}

impl AccountName {
    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for AccountName {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, NameError> {
        if iamd_protocol::names::fits(text) {
            return Ok(Self(text.to_owned()));
        }
        let shown = text.chars().filter(|c| !c.is_control()).take(40).collect();
        Err(NameError { shown })
    }
}

impl TryFrom<String> for AccountName {
    type Error = NameError;

    fn try_from(text: String) -> Result<Self, NameError> {
        text.parse()
    }
}

impl From<AccountName> for String {
    fn from(name: AccountName) -> Self {
        name.0
    }
}

impl fmt::Display for AccountName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A local user. The uid is the identity; the name is kept to notice a uid that was given to
/// somebody else.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Owner {
    /// The uid, from the kernel.
    pub uid: u32,
    /// The user name at the time.
    pub user: String,
}

/// What identifies an account on a site.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct AccountKey {
    /// Whose.
    pub uid: u32,
    /// Which.
    pub name: AccountName,
}

impl fmt::Display for AccountKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.uid, self.name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_could_leave_a_directory_or_a_key_are_refused() {
        for bad in ["", ".", "..", "a/b", "A", "-a", "a b", "a\n", "ä", &"x".repeat(33), "a\0"] {
            assert!(bad.parse::<AccountName>().is_err(), "{bad:?}");
        }
        for good in ["a", "wlcg", "cms-2.test_x", "0", &"x".repeat(32)] {
            assert_eq!(good.parse::<AccountName>().unwrap().as_str(), good);
        }
    }

    #[test]
    fn the_error_shows_no_control_character() {
        let error = "\u{1b}[31mred".parse::<AccountName>().unwrap_err();
        assert!(!error.to_string().contains('\u{1b}'));
    }
}
