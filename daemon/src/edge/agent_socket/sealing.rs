//! How the two ends speak: in plain text, or in NaCl's `crypto_box` with a key pair of each for
//! this connection only, as oidc-agent does since 4.0. Nobody's identity is in it: who is at the
//! other end says the kernel.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use crypto_box::{PublicKey, SalsaBox, SecretKey, aead::AeadInPlace as _};
use zeroize::Zeroizing;

use super::{
    framing::{SealedMessage, TAG, sealed_length},
    reply::Reply,
};
use crate::clock::Random;

/// A reply of this length, or of a multiple, is read as an error by the client in Go: it takes a
/// full buffer for a sign that more will come.
const BUFFER: usize = 4096;

/// The form of a conversation, which the client chose.
pub(super) enum Channel {
    /// JSON as it is.
    Plain,
    /// `length:base64(nonce):base64(box)`, with the same key both ways.
    Sealed(Box<SalsaBox>),
}

impl Channel {
    /// A channel with the owner of that public key, and our public key in base64.
    pub(super) fn agree(theirs: &[u8; 32], random: &dyn Random) -> (Vec<u8>, Self) {
        let mut bytes = Zeroizing::new([0; 32]);
        random.fill(&mut *bytes);
        let ours = SecretKey::from(*bytes);
        let text = STANDARD.encode(ours.public_key().as_bytes()).into_bytes();
        (text, Self::Sealed(Box::new(SalsaBox::new(&PublicKey::from(*theirs), &ours))))
    }

    /// The plaintext of a message; `None` when it is not from the other end, or none at all.
    pub(super) fn open(&self, message: &SealedMessage) -> Option<Zeroizing<Vec<u8>>> {
        let Self::Sealed(key) = self else { return None };
        let (tag, ciphertext) = message.boxed.split_at_checked(TAG)?;
        let mut text = Zeroizing::new(ciphertext.to_vec());
        key.decrypt_in_place_detached(&message.nonce.into(), b"", &mut text, tag.into()).ok()?;
        Some(text)
    }

    /// The bytes of a reply, never of a length that the client in Go stumbles over: JSON may have
    /// spaces at its end.
    pub(super) fn seal(&self, reply: Reply, random: &dyn Random) -> Zeroizing<Vec<u8>> {
        let mut text = reply.into_json();
        while self.length(text.len()).is_multiple_of(BUFFER) {
            text.push(b' ');
        }
        let Self::Sealed(key) = self else { return text };
        let mut nonce = [0; 24];
        random.fill(&mut nonce);
        let length = text.len();
        let Ok(tag) = key.encrypt_in_place_detached(&nonce.into(), b"", &mut text) else {
            // Only associated data makes it fail, and there is none.
            return Zeroizing::default();
        };
        let boxed = [tag.as_slice(), &text].concat();
        let message = format!("{length}:{}:{}", STANDARD.encode(nonce), STANDARD.encode(boxed));
        Zeroizing::new(message.into_bytes())
    }

    /// How long a reply with a text of this length is.
    fn length(&self, text: usize) -> usize {
        match self {
            Self::Plain => text,
            Self::Sealed(_) => sealed_length(text, text.to_string().len()),
        }
    }
}
