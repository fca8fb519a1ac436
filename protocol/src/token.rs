//! The conversation of `iamctl token` with `iamd`, without a bus between.
//!
//! The same question as `org.iamd1.Tokens.GetToken` and the same answer, on
//! [`crate::paths::TOKEN_SOCKET`]: a program that runs for a millisecond should not spend three on
//! a bus. One connection, one [`Request`], one [`Reply`], in the frames of [`crate::pam`]. The caller
//! is the uid at the other end, by the kernel's word; everybody may connect. D-Bus stays the way for
//! programs of others: this one has no promise of stability beyond a node's own `iamctl`.
//!
//! Unknown fields are ignored on both sides. Who finds nobody listening asks over the bus, which
//! starts the daemon.
//!
//! ```
//! use iamd_protocol::{pam, token::*};
//! let ask = Request { account: "cms".into(), min_valid_seconds: Some(600), ..Request::default() };
//! let bytes = pam::encode(&ask).unwrap();
//! assert_eq!(&bytes[4..], br#"{"account":"cms","min_valid_seconds":600}"#);
//! let back: Request = pam::read(&mut bytes.as_slice()).unwrap();
//! assert_eq!(back, ask);
//! ```

use serde::{Deserialize, Serialize};

/// What is asked: the arguments of `GetToken`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Request {
    /// The account's name or its issuer's URL; empty for the default account.
    #[serde(default)]
    pub account: String,
    /// Only these scopes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scopes: Option<Vec<String>>,
    /// For these audiences.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub audiences: Option<Vec<String>>,
    /// Valid for at least so many seconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub min_valid_seconds: Option<u32>,
    /// Ask the issuer even when a cached token would do.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub force_new: Option<bool>,
    /// A token that was granted fewer scopes than asked for is an error.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub strict: Option<bool>,
    /// Which program asks, for the audit record; not trusted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub application: Option<String>,
}

/// What the daemon answers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reply {
    /// A token.
    Token(Token),
    /// Why there is none.
    Error(Refusal),
}

/// A token and what is known about it.
#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Token {
    /// The access token (RFC 6750).
    pub token: String,
    /// When it expires, in seconds since 1970-01-01 UTC.
    pub expires_at: u64,
    /// The scopes it was granted.
    #[serde(default)]
    pub scopes: Vec<String>,
    /// The audiences that were asked for.
    #[serde(default)]
    pub audiences: Vec<String>,
    /// The account's name.
    #[serde(default)]
    pub account: String,
    /// The issuer's URL.
    #[serde(default)]
    pub issuer: String,
    /// What a person should know.
    #[serde(default)]
    pub remarks: Vec<String>,
}

impl std::fmt::Debug for Token {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Token")
            .field("token", &"[REDACTED]")
            .field("account", &self.account)
            .finish_non_exhaustive()
    }
}

/// An error, as on the bus.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refusal {
    /// Its name on the bus, `org.iamd1.Error.LoginRequired` for example (see [`crate::error`]).
    pub name: String,
    /// What happened.
    pub message: String,
}

#[cfg(feature = "bus")]
impl Request {
    /// The question of these options.
    pub fn new(account: &str, options: crate::bus::TokenOptions) -> Self {
        let crate::bus::TokenOptions {
            scopes,
            audiences,
            min_valid_seconds,
            force_new,
            strict,
            application,
        } = options;
        let account = account.to_owned();
        Self { account, scopes, audiences, min_valid_seconds, force_new, strict, application }
    }

    /// The account, and the options of the same question on the bus.
    pub fn into_options(self) -> (String, crate::bus::TokenOptions) {
        let Self { account, scopes, audiences, min_valid_seconds, force_new, strict, application } =
            self;
        let options = crate::bus::TokenOptions {
            scopes,
            audiences,
            min_valid_seconds,
            force_new,
            strict,
            application,
        };
        (account, options)
    }
}

#[cfg(feature = "bus")]
impl From<crate::bus::TokenReply> for Token {
    fn from(reply: crate::bus::TokenReply) -> Self {
        let crate::bus::TokenReply {
            token,
            expires_at,
            scopes,
            audiences,
            account,
            issuer,
            remarks,
        } = reply;
        Self { token, expires_at, scopes, audiences, account, issuer, remarks }
    }
}

#[cfg(feature = "bus")]
impl From<Token> for crate::bus::TokenReply {
    fn from(reply: Token) -> Self {
        let Token { token, expires_at, scopes, audiences, account, issuer, remarks } = reply;
        Self { token, expires_at, scopes, audiences, account, issuer, remarks }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pam::{encode, read};

    #[test]
    fn both_answers_survive_the_way_and_no_token_is_shown_on_it() {
        let token = Token { token: "hunter2".into(), expires_at: 7, ..Token::default() };
        let refusal =
            Refusal { name: "org.iamd1.Error.LoginRequired".into(), message: "no".into() };
        for reply in [Reply::Token(token), Reply::Error(refusal)] {
            let bytes = encode(&reply).unwrap();
            assert_eq!(read::<Reply>(&mut bytes.as_slice()).unwrap(), reply);
            assert!(!format!("{reply:?}").contains("hunter2"));
        }
    }

    #[test]
    fn what_a_neighbouring_version_adds_or_leaves_out_is_no_error() {
        let request: Request = crate::pam::decode(br#"{"later":1,"strict":true}"#).unwrap();
        assert_eq!((request.account.as_str(), request.strict), ("", Some(true)));
        let reply = br#"{"token":{"token":"t","expires_at":1,"later":[]}}"#;
        assert!(matches!(crate::pam::decode(reply).unwrap(), Reply::Token(t) if t.token == "t"));
    }
}
