//! What a client asks. Fields that are not known are not looked at; what they hold is not kept.

use serde::{Deserialize, Deserializer};
use serde_json::Value;

use super::unserved;

/// A request that is served.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Request {
    /// An access token.
    AccessToken(Ask),
    /// An ID token.
    IdToken(Ask),
    /// The accounts that give tokens.
    LoadedAccounts,
    /// All accounts, by issuer.
    AccountInfo,
    /// Whether anybody is there.
    Check,
    /// What it is like, for people.
    Status,
    /// The same for programs.
    StatusJson,
    /// The scopes of an issuer.
    Scopes(String),
}

/// What is asked of an account.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Ask {
    /// Which: a short name, else an issuer's URL.
    pub(super) of: Of,
    /// Scopes, with spaces between.
    pub(super) scope: Option<String>,
    /// Audiences, with spaces between.
    pub(super) audience: Option<String>,
    /// For how many seconds it has to be valid; 0: as it comes.
    pub(super) min_valid: u32,
    /// A new one, whatever there is.
    pub(super) new: bool,
    /// What the program says it is.
    pub(super) application: Option<String>,
}

/// Which account.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) enum Of {
    /// Of this short name.
    Account(String),
    /// At this issuer.
    Issuer(String),
    /// None was named.
    #[default]
    Nobody,
}

/// Why a request is not served.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Refusal {
    /// `error`.
    pub(super) error: &'static str,
    /// `info`.
    pub(super) info: &'static str,
}

#[derive(Deserialize)]
struct Wire {
    #[serde(default, deserialize_with = "text")]
    request: Option<String>,
    #[serde(default, deserialize_with = "text")]
    account: Option<String>,
    #[serde(default, deserialize_with = "text")]
    issuer: Option<String>,
    #[serde(default, deserialize_with = "text")]
    scope: Option<String>,
    #[serde(default, deserialize_with = "text")]
    audience: Option<String>,
    #[serde(default, deserialize_with = "text")]
    application_hint: Option<String>,
    #[serde(default, deserialize_with = "seconds")]
    min_valid_period: Option<i64>,
}

/// The request in this text.
///
/// # Errors
/// Why it is not served.
pub(super) fn parse(text: &[u8]) -> Result<Request, Refusal> {
    let bad = |error| Refusal { error, info: "" };
    let wire: Wire = serde_json::from_slice(text).map_err(|_| bad(unserved::NOT_JSON))?;
    let Some(name) = &wire.request else { return Err(bad(unserved::NO_TYPE)) };
    Ok(match name.as_str() {
        "access_token" => Request::AccessToken(wire.ask()?),
        "id_token" => Request::IdToken(wire.ask()?),
        "loaded_accounts" => Request::LoadedAccounts,
        "account_info" => Request::AccountInfo,
        "check" => Request::Check,
        "status" => Request::Status,
        "status_json" => Request::StatusJson,
        "scopes" => Request::Scopes(wire.issuer.unwrap_or_default()),
        other => return Err(unserved::refusal(other)),
    })
}

impl Wire {
    fn ask(self) -> Result<Ask, Refusal> {
        let of = match (self.account, self.issuer) {
            (Some(account), _) => Of::Account(account),
            (None, Some(issuer)) => Of::Issuer(issuer),
            (None, None) => return Err(unserved::NOBODY),
        };
        let seconds = self.min_valid_period.unwrap_or(0);
        Ok(Ask {
            of,
            scope: self.scope,
            audience: self.audience,
            min_valid: u32::try_from(seconds.max(0)).unwrap_or(u32::MAX),
            new: seconds < 0,
            application: self.application_hint,
        })
    }
}

/// A text; `None` for an empty one, which is as good as none.
fn text<'de, D: Deserializer<'de>>(from: D) -> Result<Option<String>, D::Error> {
    Ok(Option::<String>::deserialize(from)?.filter(|text| !text.is_empty()))
}

/// A number, or one in a text: the agent in C reads either.
fn seconds<'de, D: Deserializer<'de>>(from: D) -> Result<Option<i64>, D::Error> {
    let number = match Value::deserialize(from)? {
        Value::Null => return Ok(None),
        Value::Number(number) => number.as_i64(),
        Value::String(text) if text.is_empty() => return Ok(None),
        Value::String(text) => text.trim().parse().ok(),
        _ => None,
    };
    number.map(Some).ok_or_else(|| serde::de::Error::custom("not a number"))
}
