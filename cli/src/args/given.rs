//! What is given must say something: an empty variable of a script is no wish. Without these, an
//! empty name would be the default account's, and no scope in `-s ""` a token with all of them.

/// A name without which the default account is meant.
pub(super) fn account(text: &str) -> Result<String, &'static str> {
    said(text, "an empty name is given; leave it out for the default account")
}

/// A name that cannot be left out.
pub(super) fn named(text: &str) -> Result<String, &'static str> {
    said(text, "an empty name is given; say which one is meant")
}

/// A name without which none in particular is meant.
pub(super) fn name(text: &str) -> Result<String, &'static str> {
    said(text, "an empty name is given; leave it out where none is meant")
}

/// Scopes or audiences, of which there is one at least.
pub(crate) fn words(text: &str) -> Result<String, &'static str> {
    said(text, "nothing is in it, and without the option there is all; name one, or leave it out")
}

fn said(text: &str, why: &'static str) -> Result<String, &'static str> {
    if text.trim().is_empty() { Err(why) } else { Ok(text.to_owned()) }
}
