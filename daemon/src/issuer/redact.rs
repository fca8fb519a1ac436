//! What issuers say, made fit for people and logs: no control characters, no secrets, bounded.
//!
//! Issuers echo secrets: INDIGO IAM's `error_description` holds the device code ("Authorization
//! pending for code: …") and the refresh token ("Refresh token for value … was not found").

use secrecy::{ExposeSecret, SecretString};

/// The longest text that is passed on, in characters.
pub(super) const LONGEST: usize = 300;
/// The longest name of a client, in characters.
pub(super) const LONGEST_NAME: usize = 256;
/// A run of this many characters of a secret is as good as the secret.
const WINDOW: usize = 8;
/// A run of base64url this long is taken for a token, whosever it is.
const TOKEN: usize = 20;

const REDACTED: &str = "[redacted]";

/// Cleans texts of the secrets of one request.
#[derive(Default)]
pub(super) struct Redactor<'a> {
    secrets: Vec<&'a SecretString>,
    /// What may look like a token and is none.
    open: Option<&'a str>,
}

impl<'a> Redactor<'a> {
    /// One that knows these secrets.
    pub(super) fn new(secrets: impl IntoIterator<Item = &'a SecretString>) -> Self {
        Self { secrets: secrets.into_iter().collect(), open: None }
    }

    /// The same for a request of this client: its identifier is no secret (RFC 6749 §2.2), and who
    /// is told of a refusal needs it.
    pub(super) fn of_client(self, client_id: &'a str) -> Self {
        Self { open: (!client_id.is_empty()).then_some(client_id), ..self }
    }

    /// `text` for people: printable, bounded, every word that holds a secret or a part of one, or
    /// looks like a token, replaced.
    pub(super) fn clean(&self, text: &str) -> String {
        // Far more than is shown, so that a megabyte costs nothing.
        let printable = printable(text, 4 * LONGEST);
        let words: Vec<&str> = printable.split(' ').filter(|word| !word.is_empty()).collect();
        let mut cleaned = String::new();
        for word in words {
            if !cleaned.is_empty() {
                cleaned.push(' ');
            }
            let bare =
                word.trim_matches(|c: char| !c.is_ascii_alphanumeric() && c != '-' && c != '_');
            if self.holds_secret(word) {
                cleaned.push_str(REDACTED);
            } else if self.open.is_some_and(|open| bare == open) {
                cleaned.push_str(word);
            } else {
                push_without_tokens(&mut cleaned, word);
            }
        }
        // A secret with a space in it is in no single word.
        if self.secrets.iter().any(|secret| contains(&cleaned, secret.expose_secret())) {
            return REDACTED.to_owned();
        }
        shortened(cleaned)
    }

    /// A name that the issuer keeps, for people: printable, at most `most` characters, and nothing of
    /// it where a secret is in it. What merely looks like a token may be a name.
    pub(super) fn name(&self, text: &str, most: usize) -> String {
        let name = printable(text, most);
        if self.holds_secret(&name) { REDACTED.to_owned() } else { name }
    }

    fn holds_secret(&self, word: &str) -> bool {
        self.secrets.iter().any(|secret| {
            let secret = secret.expose_secret().as_bytes();
            // A device code cut off or in other letters is still most of a device code.
            if secret.len() < WINDOW {
                return !secret.is_empty() && contains_bytes(word.as_bytes(), secret);
            }
            secret.windows(WINDOW).any(|part| contains_bytes(word.as_bytes(), part))
        })
    }
}

/// `text` without control, formatting and other characters that a terminal may act on or that
/// hide others; white space becomes single spaces. At most `most` characters.
pub(super) fn printable(text: &str, most: usize) -> String {
    let mut clean = String::new();
    for character in text.chars().take(16 * most).filter_map(shown) {
        if character != ' ' || !(clean.is_empty() || clean.ends_with(' ')) {
            clean.push(character);
        }
    }
    let end = clean.char_indices().nth(most).map_or(clean.len(), |(index, _)| index);
    clean.truncate(end);
    clean.trim_end().to_owned()
}

fn shown(character: char) -> Option<char> {
    match character {
        _ if character.is_whitespace() => Some(' '),
        '!'..='~' => Some(character),
        // Typographic signs of the Latin and general punctuation blocks.
        '\u{a1}'..='\u{ac}' | '\u{ae}'..='\u{ff}' | '\u{2010}'..='\u{2027}' => Some(character),
        _ if character.is_alphanumeric() => Some(character),
        _ => None,
    }
}

fn push_without_tokens(to: &mut String, word: &str) {
    let of_token = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '=' | '+');
    let mut rest = word;
    while let Some(start) = rest.find(of_token) {
        to.push_str(&rest[..start]);
        rest = &rest[start..];
        let end = rest.find(|c| !of_token(c)).unwrap_or(rest.len());
        to.push_str(if looks_like_token(&rest[..end]) { REDACTED } else { &rest[..end] });
        rest = &rest[end..];
    }
    to.push_str(rest);
}

/// Long, and not a name that people made: those have no digit and one case, such as
/// `device_authorization_endpoint`.
fn looks_like_token(run: &str) -> bool {
    let has = |test: fn(&u8) -> bool| run.as_bytes().iter().any(test);
    let mixed = has(u8::is_ascii_lowercase) && has(u8::is_ascii_uppercase);
    (run.len() >= TOKEN && (mixed || has(u8::is_ascii_digit)))
        || (run.len() >= WINDOW && run.starts_with("eyJ"))
}

fn contains(text: &str, secret: &str) -> bool {
    !secret.is_empty() && contains_bytes(text.as_bytes(), secret.as_bytes())
}

fn contains_bytes(text: &[u8], part: &[u8]) -> bool {
    text.windows(part.len()).any(|window| window.eq_ignore_ascii_case(part))
}

fn shortened(text: String) -> String {
    if text.chars().count() <= LONGEST {
        return text;
    }
    let mut short: String = text.chars().take(LONGEST - 1).collect();
    short.push('…');
    short
}
