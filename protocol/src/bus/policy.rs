//! Types of `org.iamd1.Admin`: what the site decided, as an administrator looks at it.

use zbus::{DeserializeDict, SerializeDict, Type};

/// What is on disk: good, or what is wrong with it.
#[derive(Debug, Clone, Default, PartialEq, Eq, SerializeDict, DeserializeDict, Type)]
#[zbus(signature = "dict")]
pub struct PolicyCheck {
    /// Whether it could be put in force.
    pub good: bool,
    /// Whether it is in force already; absent where it is not good.
    pub in_force: Option<bool>,
    /// Every mistake in it.
    pub problems: Vec<PolicyProblem>,
    /// What is no mistake of the files and may be one all the same.
    pub warnings: Vec<String>,
    /// The files that rules were read from.
    pub files: Vec<String>,
    /// What it comes to: what holds for everybody, then each rule, the wider circles first.
    pub lines: Vec<PolicyLine>,
}

/// A mistake in the configuration.
#[derive(Debug, Clone, Default, PartialEq, Eq, SerializeDict, DeserializeDict, Type)]
#[zbus(signature = "dict")]
pub struct PolicyProblem {
    /// All of it in one line.
    pub message: String,
    /// The file.
    pub file: String,
    /// The line, from 1; absent where the file as a whole is meant.
    pub line: Option<u32>,
    /// The key with its table.
    pub key: Option<String>,
    /// What is wrong.
    pub text: String,
}

/// The answer to one question, for one circle of users.
#[derive(Debug, Clone, Default, PartialEq, Eq, SerializeDict, DeserializeDict, Type)]
#[zbus(signature = "dict")]
pub struct PolicyLine {
    /// For whom: a user, `@` and a group, or everybody.
    pub whom: String,
    /// The question, as the key of a rule; `identity` for what an issuer's file requires of who
    /// signs in.
    pub key: String,
    /// The answer, as it would be written; names one by one.
    pub values: Vec<String>,
    /// The answer in words, without its subject.
    pub text: String,
    /// What decided: `FILE:LINE`, or the default of a key.
    pub decided_by: Vec<String>,
    /// Rules of which it is not known whether they are for the user: the name service does not say.
    pub in_doubt: Vec<String>,
}
