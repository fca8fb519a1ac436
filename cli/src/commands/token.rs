//! `iamctl token`: the token alone on standard output, and nothing there when there is none.

use std::time::Duration;

use iamd_protocol::bus::{TokenOptions, TokenReply};
use iamd_protocol::error::{Exit, Kind};
use iamd_protocol::variables::BEARER_TOKEN;
use zeroize::Zeroizing;

use super::words;
use crate::app::Context;
use crate::args::Token;
use crate::clock::{self, Stopwatch};
use crate::failure::Failure;
use crate::output::json;

/// Prints a token.
///
/// # Errors
/// Those of `GetToken`.
pub(super) fn run(args: &Token, context: &mut Context) -> Result<Exit, Failure> {
    // A token must not end up in a core file, nor be read by a debugger of the same user.
    let _ = nix::sys::prctl::set_dumpable(false);
    let asked_at = context.now();
    let options = TokenOptions {
        scopes: words(&args.scopes),
        audiences: words(&args.audiences),
        min_valid_seconds: args.min_valid,
        force_new: args.force_new.then_some(true),
        strict: None,
        application: Some("iamctl".into()),
    };
    let name = args.account.as_deref();
    let client = context.client()?;
    let mut reply = patiently(|| client.token(name.unwrap_or_default(), options.clone()))
        .map_err(|failure| failure.about(name))?;
    let token = Zeroizing::new(std::mem::take(&mut reply.token));
    check(&token, &reply, args.min_valid.unwrap_or(0), asked_at)?;
    let bytes = if args.json {
        json::token(&token, &reply)
    } else {
        for remark in &reply.remarks {
            context.output.tell(&format!("iamctl: {remark}"));
        }
        let (before, after) = match (args.env, args.header) {
            (true, _) => (format!("export {BEARER_TOKEN}='"), "'\n"),
            (_, true) => ("Authorization: Bearer ".to_owned(), "\n"),
            _ => (String::new(), "\n"),
        };
        let mut bytes = Zeroizing::new(Vec::with_capacity(before.len() + token.len() + 2));
        for part in [before.as_bytes(), token.as_bytes(), after.as_bytes()] {
            bytes.extend_from_slice(part);
        }
        bytes
    };
    context.output.out.put(&bytes);
    Ok(Exit::Done)
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
