//! Where a message ends, for it does not say so: a public key is 44 bytes, a JSON object ends
//! where its braces do, and a sealed message gives the length of its plaintext, from which its own
//! follows. Each scanner looks at a byte once, in whatever pieces the bytes come.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use zeroize::Zeroizing;

/// The longest plaintext of a request. Those that we serve have a few hundred bytes; the others
/// shall be told why they are not served.
pub(super) const LONGEST: usize = 64 * 1024;
/// A public key in base64.
pub(super) const KEY_TEXT: usize = 44;
/// A nonce in base64.
const NONCE_TEXT: usize = 32;
/// The authenticator of a box.
pub(super) const TAG: usize = 16;

/// What came in.
pub(super) enum Message {
    /// A text that begins like JSON.
    Plain(Zeroizing<Vec<u8>>),
    /// A public key.
    PublicKey([u8; 32]),
    /// A sealed message.
    Sealed(Box<SealedMessage>),
    /// Nothing of the kind.
    Nothing,
}

/// A sealed message in its parts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct SealedMessage {
    /// The nonce.
    pub(super) nonce: [u8; 24],
    /// Authenticator and ciphertext.
    pub(super) boxed: Vec<u8>,
}

/// Finds the end of a message in what has come so far.
pub(super) trait Scanner {
    /// The message; `None` as long as it is not whole. `bytes` begins where the message does, and
    /// has at least what it had before.
    fn scan(&mut self, bytes: &[u8]) -> Option<Message>;
}

/// The first message of a connection.
#[derive(Default)]
pub(super) struct Opening {
    /// White space before it.
    blank: usize,
    json: Object,
}

impl Scanner for Opening {
    fn scan(&mut self, bytes: &[u8]) -> Option<Message> {
        while bytes.get(self.blank).is_some_and(u8::is_ascii_whitespace) {
            self.blank += 1;
        }
        let text = &bytes[self.blank..];
        let too_long = || (bytes.len() > LONGEST).then_some(Message::Nothing);
        match text.first() {
            None => return too_long(),
            Some(b'{') => {
                let Some(end) = self.json.end(text) else { return too_long() };
                return Some(Message::Plain(Zeroizing::new(text[..end].to_vec())));
            }
            Some(_) => {}
        }
        let is_base64 = |byte: &u8| byte.is_ascii_alphanumeric() || b"+/=".contains(byte);
        if !text.iter().take(KEY_TEXT).all(is_base64) {
            return Some(Message::Nothing);
        }
        let key = STANDARD.decode(text.get(..KEY_TEXT)?);
        let key = key.ok().and_then(|key| <[u8; 32]>::try_from(key).ok());
        Some(key.map_or(Message::Nothing, Message::PublicKey))
    }
}

/// The second message, after the keys.
pub(super) struct Sealed;

impl Scanner for Sealed {
    fn scan(&mut self, bytes: &[u8]) -> Option<Message> {
        let digits = bytes.iter().take_while(|byte| byte.is_ascii_digit()).count();
        if digits > LONGEST.ilog10() as usize + 1 {
            return Some(Message::Nothing);
        }
        match bytes.get(digits) {
            None => return None,
            Some(b':') if digits > 0 => {}
            Some(_) => return Some(Message::Nothing),
        }
        let length = std::str::from_utf8(&bytes[..digits]).ok().and_then(|text| text.parse().ok());
        let Some(length) = length.filter(|length: &usize| *length <= LONGEST) else {
            return Some(Message::Nothing);
        };
        let whole = bytes.get(..sealed_length(length, digits))?;
        Some(parts(&whole[digits + 1..]).map_or(Message::Nothing, Message::Sealed))
    }
}

/// How long a sealed message is whose plaintext has this length, written with so many digits.
pub(super) fn sealed_length(plaintext: usize, digits: usize) -> usize {
    digits + 1 + NONCE_TEXT + 1 + (plaintext + TAG).div_ceil(3) * 4
}

/// `nonce:box`.
fn parts(text: &[u8]) -> Option<Box<SealedMessage>> {
    let (nonce, boxed) = text.split_at_checked(NONCE_TEXT)?;
    let boxed = boxed.strip_prefix(b":")?;
    let nonce = STANDARD.decode(nonce).ok()?.try_into().ok()?;
    Some(Box::new(SealedMessage { nonce, boxed: STANDARD.decode(boxed).ok()? }))
}

/// Where a JSON object ends. Whether it is one says the parser, later.
#[derive(Default)]
struct Object {
    seen: usize,
    depth: usize,
    in_text: bool,
    escaped: bool,
}

impl Object {
    /// The length of the object that `bytes` begins with, once it is whole.
    fn end(&mut self, bytes: &[u8]) -> Option<usize> {
        while let Some(byte) = bytes.get(self.seen) {
            self.seen += 1;
            match (self.in_text, byte) {
                (true, _) if self.escaped => self.escaped = false,
                (true, b'\\') => self.escaped = true,
                (true, b'"') => self.in_text = false,
                (true, _) => {}
                (false, b'"') => self.in_text = true,
                (false, b'{' | b'[') => self.depth += 1,
                (false, b'}' | b']') => {
                    self.depth = self.depth.saturating_sub(1);
                    if self.depth == 0 {
                        return Some(self.seen);
                    }
                }
                (false, _) => {}
            }
        }
        None
    }
}
