//! Types of `org.iamd1.Admin`: ending sign-ins, and taking no new ones.

use zbus::{DeserializeDict, SerializeDict, Type};

/// Which sign-ins to end: those that fit all that is named. At least one of `user`, `issuer` and
/// `client` must be.
#[derive(Debug, Clone, Default, PartialEq, Eq, SerializeDict, DeserializeDict, Type)]
#[zbus(signature = "dict")]
pub struct RevokeOptions {
    /// Of this user: a name, or a uid in digits.
    pub user: Option<String>,
    /// At this issuer, by short name or URL.
    pub issuer: Option<String>,
    /// Made with this client (`client_id`).
    pub client: Option<String>,
    /// Only tell which they are.
    pub dry_run: Option<bool>,
}

/// What came of it.
#[derive(Debug, Clone, Default, PartialEq, Eq, SerializeDict, DeserializeDict, Type)]
#[zbus(signature = "dict")]
pub struct RevokeReply {
    /// The sign-ins that were meant, and what became of each.
    pub sign_ins: Vec<RevokedInfo>,
    /// How many of them are ended here.
    pub ended: u32,
    /// How many could not be ended, and are signed in still: their remarks say why.
    pub failed: u32,
    /// How many running logins were cancelled, or would be.
    pub logins: u32,
    /// How many issuers' confirmations are still awaited; each is recorded when it comes.
    pub pending: u32,
}

/// A sign-in that an administrator ended.
#[derive(Debug, Clone, Default, PartialEq, Eq, SerializeDict, DeserializeDict, Type)]
#[zbus(signature = "dict")]
pub struct RevokedInfo {
    /// The uid.
    pub uid: u32,
    /// The user's name when the account was made; empty where the record does not open.
    pub user: String,
    /// The account's name.
    pub account: String,
    /// The issuer's URL; empty where the record does not open.
    pub issuer: String,
    /// One of [`super::revoked`].
    pub result: String,
    /// Why it is not revoked at the issuer, or not ended at all and what to do then.
    pub remark: Option<String>,
}

/// Whether this node takes no new sign-ins: the options of `SetDrain`.
#[derive(Debug, Clone, Default, PartialEq, Eq, SerializeDict, DeserializeDict, Type)]
#[zbus(signature = "dict")]
pub struct DrainOptions {
    /// Whether from now on.
    pub on: bool,
    /// What users are told; printable, 200 characters at most.
    pub reason: Option<String>,
}

/// Whether this node takes no new sign-ins.
#[derive(Debug, Clone, Default, PartialEq, Eq, SerializeDict, DeserializeDict, Type)]
#[zbus(signature = "dict")]
pub struct DrainInfo {
    /// Whether it is so.
    pub on: bool,
    /// What users are told.
    pub reason: Option<String>,
    /// Since when.
    pub since: Option<u64>,
    /// Which uid decided it.
    pub by: Option<u32>,
    /// How many logins are still running: they may be finished.
    pub logins: u32,
}
