//! Whom a rule is for.

use std::fmt;

/// The word for everybody.
const EVERYBODY: &str = "everybody";

/// A circle of users.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Subject {
    /// All users.
    Everybody,
    /// The members of the group of that name.
    Group(String),
    /// The user of that name.
    User(String),
}

impl Subject {
    /// What is written in a rule: a user's name, `@` and a group's, or `everybody`.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let (name, is_group) = match text.strip_prefix('@') {
            Some(group) => (group, true),
            None => (text, false),
        };
        // A pattern is no name: "*" would be a user whom nobody has, and read as everybody.
        let fits = |c: char| !c.is_control() && !c.is_whitespace() && !":/@,*?".contains(c);
        if name.is_empty() || name.len() > 256 || !name.chars().all(fits) {
            return None;
        }
        Some(match (is_group, name) {
            (true, group) => Self::Group(group.to_owned()),
            (false, EVERYBODY) => Self::Everybody,
            (false, user) => Self::User(user.to_owned()),
        })
    }

    /// The narrower circle has the higher number.
    pub const fn narrowness(&self) -> u8 {
        match self {
            Self::Everybody => 1,
            Self::Group(_) => 2,
            Self::User(_) => 3,
        }
    }

    /// The group, where it is one.
    pub fn group(&self) -> Option<&str> {
        match self {
            Self::Group(name) => Some(name),
            Self::Everybody | Self::User(_) => None,
        }
    }

    /// The user, where it is one.
    pub fn user(&self) -> Option<&str> {
        match self {
            Self::User(name) => Some(name),
            Self::Everybody | Self::Group(_) => None,
        }
    }

    /// Somebody who may be in both circles; `None` where that can be nobody.
    pub(super) fn both(&self, other: &Self) -> Option<String> {
        match (self, other) {
            (Self::User(one), Self::User(two)) if one != two => None,
            // Who is in which group is not in these files, and changes without them.
            (Self::Group(one), Self::Group(two)) if one != two => {
                Some(format!("who is in both @{one} and @{two}"))
            }
            (one, _) => Some(one.to_string()),
        }
    }
}

impl fmt::Display for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Everybody => f.write_str(EVERYBODY),
            Self::Group(name) => write!(f, "@{name}"),
            Self::User(name) => f.write_str(name),
        }
    }
}
