//! What NaCl calls a secret box: XSalsa20 with Poly1305, the tag in front (D. J. Bernstein,
//! "Cryptography in NaCl", §9). The crate that has it whole stands on other versions of the same
//! parts.

use poly1305::Poly1305;
use poly1305::universal_hash::KeyInit;
use salsa20::XSalsa20;
use salsa20::cipher::{KeyIvInit, StreamCipher};
use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

/// Sizes in bytes.
pub(super) const KEY: usize = 32;
pub(super) const NONCE: usize = 24;
pub(super) const TAG: usize = 16;

/// Opens a box. `None` when the key is another one, or the box was changed.
pub(super) fn open(
    key: &[u8; KEY],
    nonce: &[u8; NONCE],
    sealed: &[u8],
) -> Option<Zeroizing<Vec<u8>>> {
    let (tag, ciphertext) = sealed.split_first_chunk::<TAG>()?;
    let mut stream = XSalsa20::new(key.into(), nonce.into());
    // The first half block of the stream is the key of the tag, the rest encrypts.
    let mut mac_key = Zeroizing::new([0; KEY]);
    stream.try_apply_keystream(&mut *mac_key).ok()?;
    let expected = Poly1305::new((&*mac_key).into()).compute_unpadded(ciphertext);
    if !bool::from(expected.as_slice().ct_eq(tag)) {
        return None;
    }
    let mut plaintext = Zeroizing::new(ciphertext.to_vec());
    stream.try_apply_keystream(&mut plaintext).ok()?;
    Some(plaintext)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The key and nonce of NaCl's own tests (`tests/secretbox.c`), with an empty message and one
    /// that is longer than a block, sealed by libsodium 1.0.18.
    #[test]
    fn what_libsodium_sealed_is_opened_and_nothing_that_was_changed() {
        let key: [u8; KEY] = std::array::from_fn(|at| u8::try_from(at).unwrap());
        let nonce: [u8; NONCE] = std::array::from_fn(|at| u8::try_from(at + 100).unwrap());
        for (message, sealed) in VECTORS {
            let mut sealed = sealed.to_vec();
            assert_eq!(open(&key, &nonce, &sealed).unwrap().as_slice(), message);
            for at in 0..sealed.len() {
                sealed[at] ^= 1;
                assert!(open(&key, &nonce, &sealed).is_none(), "{at}");
                sealed[at] ^= 1;
            }
            assert!(open(&[7; KEY], &nonce, &sealed).is_none());
            assert!(open(&key, &[7; NONCE], &sealed).is_none());
            for length in 0..sealed.len() {
                assert!(open(&key, &nonce, &sealed[..length]).is_none(), "{length}");
            }
        }
    }

    #[rustfmt::skip]
    const VECTORS: [(&[u8], &[u8]); 2] = [
        (b"", &[
          0xf4, 0x95, 0x72, 0xd6, 0x19, 0x42, 0x81, 0xe3, 0xc8, 0x7f, 0xbb, 0x4e, 0x21, 0x06, 0x93, 0x2c,
        ]),
        (b"a message of more than one block of the stream, which has sixty-four bytes of them", &[
          0x20, 0x89, 0x3a, 0xb4, 0x87, 0x7e, 0x98, 0x24, 0xde, 0x21, 0x70, 0x1f, 0x47, 0xe8, 0xb3, 0x6c,
          0x63, 0x99, 0xf4, 0xac, 0x49, 0xc5, 0xaf, 0x8e, 0xd5, 0xdd, 0x4c, 0xf2, 0x17, 0xe9, 0xcc, 0x6a,
          0x5b, 0x8a, 0x4c, 0xcf, 0x85, 0xc8, 0x6b, 0x74, 0xc8, 0x69, 0x62, 0xf6, 0x66, 0xe4, 0xaa, 0xe3,
          0x88, 0x00, 0x92, 0x38, 0x3b, 0x5f, 0xfe, 0xc4, 0x86, 0x62, 0x65, 0x07, 0x61, 0x7e, 0xf1, 0x45,
          0xb6, 0xf8, 0xc7, 0x7b, 0x7a, 0xa6, 0x51, 0x3e, 0x70, 0xc1, 0x20, 0x6d, 0xa3, 0xc6, 0xe7, 0x49,
          0x25, 0xe4, 0x39, 0x1f, 0xe8, 0x5e, 0x31, 0xfe, 0xdc, 0xfc, 0x3f, 0x9d, 0x26, 0xe3, 0x99, 0xfb,
          0x31, 0xfa,
        ]),
    ];
}
