//! Whatever a client of the agent socket sends.

use std::ops::RangeInclusive;

use super::{
    framing::{self, Message, Opening, Scanner},
    reply::Reply,
    request,
    sealing::Channel,
};
use crate::clock::Random;

/// Longer ones are taken in a few pieces only, or every byte would be looked at thousands of times.
const BYTE_BY_BYTE: usize = 512;

/// The bytes of a connection, as a first message and as a second: in whatever pieces they come, it
/// is the same message, and what is answered is no error of ours and no text that steers a terminal.
pub fn agent_message(bytes: &[u8]) {
    let opening = same_in_pieces(bytes, Opening::default);
    same_in_pieces(bytes, || framing::Sealed);
    if let Message::PublicKey(theirs) = &opening {
        let (ours, channel) = Channel::agree(theirs, &Same);
        assert_eq!(ours.len(), framing::KEY_TEXT);
        answered(&channel, bytes);
        if let Message::Sealed(sealed) = scan(&mut framing::Sealed, &bytes[framing::KEY_TEXT..]) {
            // With that key of ours, which no client has seen.
            assert!(channel.open(&sealed).is_none(), "a forged message opens");
        }
    }
    if let Message::Plain(text) = &opening {
        assert!(text.len() <= bytes.len() && text.starts_with(b"{"));
        answered(&Channel::Plain, text);
    }
}

fn answered(channel: &Channel, text: &[u8]) {
    let reply = match request::parse(text) {
        Ok(_) => Reply::done(),
        Err(refusal) => {
            for text in [refusal.error, refusal.info] {
                assert!(!text.chars().any(|c| c.is_control() && c != '\n'), "{text}");
            }
            Reply::failure(refusal.error, refusal.info)
        }
    };
    let sent = channel.seal(reply, &Same);
    assert!(
        !sent.is_empty() && !sent.len().is_multiple_of(4096),
        "the client in Go waits for more"
    );
}

/// The message; [`Message::Nothing`] as well where it is not whole.
fn scan(scanner: &mut impl Scanner, bytes: &[u8]) -> Message {
    scanner.scan(bytes).unwrap_or(Message::Nothing)
}

fn same_in_pieces<S: Scanner>(bytes: &[u8], scanner: impl Fn() -> S) -> Message {
    let at_once = scanner().scan(bytes);
    let mut in_pieces = scanner();
    let mut ends: RangeInclusive<usize> = 1..=bytes.len();
    let step = if bytes.len() <= BYTE_BY_BYTE { 1 } else { bytes.len() / 7 + 1 };
    let found = ends.by_ref().step_by(step).find_map(|end| in_pieces.scan(&bytes[..end]));
    let found = found.or_else(|| in_pieces.scan(bytes));
    assert_eq!(at_once.as_ref().map(shown), found.as_ref().map(shown), "another one in pieces");
    at_once.unwrap_or(Message::Nothing)
}

fn shown(message: &Message) -> (&'static str, Vec<u8>) {
    match message {
        Message::Plain(text) => ("plain", text.to_vec()),
        Message::PublicKey(key) => ("key", key.to_vec()),
        Message::Sealed(sealed) => ("sealed", [&sealed.nonce[..], &sealed.boxed].concat()),
        Message::Nothing => ("nothing", Vec::new()),
    }
}

/// The same on every run: a finding comes again.
struct Same;

impl Random for Same {
    fn fill(&self, bytes: &mut [u8]) {
        bytes.fill(0x5a);
    }
}
