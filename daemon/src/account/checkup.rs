//! What a diagnosis learns of an issuer.

use super::UnixTime;

/// What a look at an issuer found.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Checkup {
    /// What its metadata offers, for people.
    pub summary: String,
    /// What a sign-in needs and its metadata does not name.
    pub lacks: Vec<&'static str>,
    /// By how many seconds its clock is ahead of ours, by its last answer.
    pub clock_ahead: Option<i64>,
    /// When its certificate ends.
    pub certificate_ends: Option<UnixTime>,
}
