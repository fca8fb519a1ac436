//! What is kept of an administrator's leave to sign users in by password (RFC 6749 §4.3): for one
//! client of one issuer, by whom and since when.

use serde::{Deserialize, Serialize};

use super::UnixTime;

/// The grant, as issuers call it.
pub const PASSWORD_GRANT: &str = "password";

/// The site lets this client sign users in by password.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PasswordFlow {
    /// The issuer's URL.
    pub issuer: String,
    /// The client.
    pub client_id: String,
    /// The administrator who allowed it.
    pub enabled_by: u32,
    /// The user name of that administrator then.
    pub enabled_by_user: String,
    /// When.
    pub enabled_at: UnixTime,
}
