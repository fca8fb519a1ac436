//! A token from the daemon, for the commands that need one.

use std::ops::Deref;
use std::time::Duration;

use iamd_protocol::bus::{TokenOptions, TokenReply};
use iamd_protocol::error::Kind;
use zeroize::Zeroizing;

use crate::app::Context;
use crate::client::{Client, socket};
use crate::clock::{self, Stopwatch};
use crate::failure::Failure;

/// From this size on XRootD's servers refuse a token, unless they are configured otherwise
/// (XrdSecProtocolztn.cc, `maxTSize`).
const XROOTD_LIMIT: usize = 4096;

/// A token that keeps what was promised, and what is known of it. It is wiped when it goes.
pub(super) struct Token {
    text: Zeroizing<String>,
    /// What came with it; the token itself is not in there.
    pub(super) reply: TokenReply,
}

impl Deref for Token {
    type Target = str;

    fn deref(&self) -> &str {
        &self.text
    }
}

impl Token {
    /// Whether XRootD would refuse it.
    pub(super) fn is_too_long(&self) -> bool {
        self.len() >= XROOTD_LIMIT
    }
}

/// Asks for a token of the account; the empty name is the default account.
///
/// # Errors
/// Those of `GetToken`; and it is not a token, or valid for less than was asked.
pub(super) fn token(
    context: &Context,
    name: &str,
    options: &TokenOptions,
) -> Result<Token, Failure> {
    let asked_at = clock::unix_now();
    let mut bus: Option<Client> = None;
    let mut reply = patiently(|| {
        let answer = match (&bus, context.token_socket()) {
            (None, Some(path)) => socket::token(&path, name, options, context.limit),
            _ => None,
        };
        match (answer, &mut bus) {
            (Some(answer), _) => answer,
            (None, Some(client)) => client.token(name, options.clone()),
            (None, none) => none.insert(context.client()?).token(name, options.clone()),
        }
    })?;
    let text = Zeroizing::new(std::mem::take(&mut reply.token));
    check(&text, &reply, options.min_valid_seconds.unwrap_or(0), asked_at)?;
    Ok(Token { text, reply })
}

/// A script may ask a hundred times at once: what is above the user's limit waits its turn, for a
/// while, as the requests before it end by themselves.
fn patiently<T>(mut ask: impl FnMut() -> Result<T, Failure>) -> Result<T, Failure> {
    const PATIENCE: Duration = Duration::from_secs(10);
    let since = Stopwatch::start();
    let mut wait = Duration::from_millis(50);
    loop {
        match ask() {
            Err(failure) if failure.is(Kind::TooManyRequests) && since.elapsed() < PATIENCE => {
                clock::pause(wait);
                wait = (wait * 2).min(Duration::from_millis(800));
            }
            answer => return answer,
        }
    }
}

/// Refuses what is not a token or is not valid long enough: a promise of the command, not only
/// of the daemon. With RFC 6750's characters a token can stand in a header and in a shell's
/// single quotes as it is.
fn check(token: &str, reply: &TokenReply, min_valid: u32, now: u64) -> Result<(), Failure> {
    // RFC 6750 §2.1, b64token.
    let is_token = !token.is_empty()
        && token.bytes().all(|c| c.is_ascii_alphanumeric() || b"-._~+/=".contains(&c));
    if !is_token {
        return Err(Failure::new(
            Kind::IssuerMalformed,
            "the issuer's token has characters that RFC 6750 does not allow",
        ));
    }
    if reply.expires_at < now.saturating_add(min_valid.into()) {
        return Err(Failure::new(
            Kind::ValidityUnavailable,
            format!("no token that is valid for {min_valid} s is to be had"),
        ));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use iamd_protocol::error::Exit;

    use super::*;

    #[test]
    fn only_characters_of_a_bearer_token_are_printed() {
        let reply = TokenReply { expires_at: 100, ..Default::default() };
        assert!(check("abc.DEF-1_~+/==", &reply, 0, 0).is_ok());
        for token in ["", "a b", "a\nb", "a'b", "a\x1b[2J", "é"] {
            assert!(check(token, &reply, 0, 0).is_err(), "{token:?}");
        }
    }

    #[test]
    fn less_validity_than_asked_is_never_printed() {
        let reply = TokenReply { expires_at: 100, ..Default::default() };
        assert!(check("abc", &reply, 60, 40).is_ok());
        let failure = check("abc", &reply, 61, 40).unwrap_err();
        assert_eq!(failure.exit, Exit::NotToBeHad);
        assert!(check("abc", &reply, u32::MAX, u64::MAX).is_err());
    }
}
