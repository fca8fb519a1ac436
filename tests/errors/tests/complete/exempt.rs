//! What looks like an error's text in the sources and is none, and the few errors that no test can
//! provoke. Each with the reason; what is no longer in the sources must go from here.

/// Files, and directories, none of whose sentences is an error.
pub(crate) const FILES: [(&str, &str); 0] = [];

/// Sentences that are no errors: file, how they begin, why.
pub(crate) const NOT_ERRORS: [(&str, &str, &str); 0] = [];

/// Errors that cannot be provoked: file, how they begin, why.
pub(crate) const NOT_PROVOKED: [(&str, &str, &str); 0] = [];
