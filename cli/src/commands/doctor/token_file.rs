//! A file at a place where readers look for a token: is it one that they accept?

use std::fs::{self, OpenOptions};
use std::io::Read;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::Path;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use zeroize::Zeroizing;

/// XRootD refuses a token of this size or longer unless the server raises `-maxsz`
/// (XrdSecProtocolztn.cc).
pub(super) const XROOTD_LIMIT: u64 = 4096;
/// More than this is no token.
const LONGEST: u64 = 1 << 20;

/// What is at a place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum State {
    /// Nothing.
    Missing,
    /// Nothing but white space: readers look at the next place.
    Empty,
    /// Something that cannot be read, and why.
    Unreadable(String),
    /// A token.
    Token(Facts),
}

/// What is known about a token; not the token.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Facts {
    /// How many bytes.
    pub(super) size: u64,
    /// When it expires, if it is a JWT that says so.
    pub(super) expires_at: Option<u64>,
    /// Whether it has the characters of RFC 6750 only.
    pub(super) well_formed: bool,
    /// Whether white space surrounds it.
    pub(super) padded: bool,
    /// The mode of the file, for a file.
    pub(super) mode: Option<u32>,
    /// The owner of the file, for a file.
    pub(super) owner: Option<u32>,
}

/// The token in a variable.
pub(super) fn in_variable(value: &[u8]) -> State {
    judge(value, None)
}

/// The token in a file.
pub(super) fn in_file(path: &Path) -> State {
    // Looked at before it is opened: a pipe or device that somebody left there must not hang us.
    let metadata = match fs::metadata(path) {
        Ok(metadata) => metadata,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return State::Missing,
        Err(error) => return State::Unreadable(error.to_string()),
    };
    if !metadata.is_file() {
        return State::Unreadable("it is not a regular file".into());
    }
    if metadata.len() > LONGEST {
        return State::Unreadable("it is too long for a token".into());
    }
    let mut content = Zeroizing::new(Vec::with_capacity(LONGEST as usize));
    let read = OpenOptions::new()
        .read(true)
        .custom_flags(nix::libc::O_NONBLOCK)
        .open(path)
        .and_then(|file| file.take(LONGEST).read_to_end(&mut content));
    match read {
        Ok(_) => judge(&content, Some(&metadata)),
        Err(error) => State::Unreadable(error.to_string()),
    }
}

fn judge(content: &[u8], metadata: Option<&fs::Metadata>) -> State {
    // C99 isspace, as the discovery rules say.
    let is_space = |byte: &u8| matches!(byte, b' ' | b'\t'..=b'\r');
    let start = content.iter().take_while(|byte| is_space(byte)).count();
    let end = content.iter().rev().take_while(|byte| is_space(byte)).count();
    if start == content.len() {
        return State::Empty;
    }
    let token = &content[start..content.len() - end];
    State::Token(Facts {
        size: token.len() as u64,
        expires_at: expiry(token),
        well_formed: token
            .iter()
            .all(|byte| byte.is_ascii_alphanumeric() || b"-._~+/=".contains(byte)),
        padded: start + end > 0,
        mode: metadata.map(|metadata| metadata.mode() & 0o7777),
        owner: metadata.map(MetadataExt::uid),
    })
}

/// The `exp` claim of a JWT (RFC 7519 §4.1.4), without a look at its signature.
fn expiry(token: &[u8]) -> Option<u64> {
    let payload = token.split(|byte| *byte == b'.').nth(1)?;
    let payload = URL_SAFE_NO_PAD.decode(payload).ok()?;
    let claims: serde_json::Value = serde_json::from_slice(&payload).ok()?;
    let exp = claims.get("exp")?;
    exp.as_u64().or_else(|| exp.as_f64().filter(|exp| *exp >= 0.0).map(|exp| exp as u64))
}

#[cfg(test)]
pub(super) fn jwt(exp: u64) -> String {
    let payload = URL_SAFE_NO_PAD.encode(format!("{{\"exp\":{exp}}}"));
    format!("e30.{payload}.c2ln")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_judged_without_its_white_space() {
        let State::Token(facts) = in_variable(format!("  {}\n", jwt(77)).as_bytes()) else {
            panic!("a token")
        };
        assert_eq!(facts.expires_at, Some(77));
        assert!(facts.padded && facts.well_formed);
        assert_eq!(in_variable(b" \t\r\n\x0b\x0c"), State::Empty);
        assert_eq!(in_variable(b""), State::Empty);
    }

    #[test]
    fn an_opaque_token_has_no_known_end_and_a_word_with_a_space_is_no_token() {
        let State::Token(facts) = in_variable(b"abc.def") else { panic!("a token") };
        assert_eq!(facts.expires_at, None);
        let State::Token(facts) = in_variable(b"not a token") else { panic!("something") };
        assert!(!facts.well_formed);
    }

    #[test]
    fn what_is_not_a_file_is_not_read() {
        let directory = tempfile::tempdir().unwrap();
        let pipe = directory.path().join("pipe");
        nix::unistd::mkfifo(&pipe, nix::sys::stat::Mode::S_IRWXU).unwrap();
        assert!(matches!(in_file(&pipe), State::Unreadable(_)));
        assert!(matches!(in_file(directory.path()), State::Unreadable(_)));
        assert_eq!(in_file(&directory.path().join("none")), State::Missing);
    }
}
