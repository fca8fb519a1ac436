//! A backup opens whole, with its passphrase, or not at all.

use super::*;
use crate::clock::SystemRandom;

fn passphrase() -> SecretString {
    "correct horse battery".to_owned().into()
}

fn sealed(header: &[u8], chunks: &[&[u8]]) -> Vec<u8> {
    let begun = BackupSealer::begin(&SystemRandom, &passphrase(), Cost::LEAST, header);
    let (mut sealer, mut out) = begun.unwrap();
    for (number, chunk) in chunks.iter().enumerate() {
        out.extend(sealer.chunk(chunk, number + 1 == chunks.len()).unwrap());
    }
    out
}

fn opened(bytes: &[u8], passphrase: &SecretString) -> Result<Vec<Vec<u8>>, BackupError> {
    let begin = bytes.get(..BEGIN).ok_or(BackupError::NotABackup)?;
    let at = BEGIN + header_length(begin)? + MIDDLE;
    let mut opener = BackupOpener::begin(bytes.get(..at).ok_or(BackupError::Cut)?, passphrase)?;
    let (mut rest, mut chunks) = (&bytes[at..], Vec::new());
    loop {
        let (head, body) = rest.split_first_chunk::<FRAME>().ok_or(BackupError::Cut)?;
        let (last, length) = frame(*head)?;
        let (body, after) = body.split_at_checked(length).ok_or(BackupError::Cut)?;
        chunks.push(opener.chunk(last, body)?.to_vec());
        rest = after;
        if last {
            return if rest.is_empty() { Ok(chunks) } else { Err(BackupError::Trailing) };
        }
    }
}

#[test]
fn what_was_sealed_opens_with_its_passphrase_only_and_shows_the_header_alone() {
    let bytes = sealed(b"{header}", &[b"canary-one", b"canary-two", b""]);
    let chunks = opened(&bytes, &passphrase()).unwrap();
    assert_eq!(chunks, [&b"canary-one"[..], b"canary-two", b""]);
    assert!(!bytes.windows(6).any(|window| window == b"canary"));
    assert!(bytes.windows(8).any(|window| window == b"{header}"));
    let other = "correct horse batterx".to_owned().into();
    assert_eq!(opened(&bytes, &other).unwrap_err(), BackupError::Passphrase);
}

#[test]
fn a_change_of_any_byte_and_a_cut_anywhere_does_not_open() {
    let bytes = sealed(b"h", &[b"one", b"two"]);
    for at in 0..bytes.len() {
        let mut changed = bytes.clone();
        changed[at] ^= 1;
        opened(&changed, &passphrase()).unwrap_err();
        opened(&bytes[..at], &passphrase()).unwrap_err();
    }
    assert_eq!(
        opened(&[&bytes[..], b"x"].concat(), &passphrase()).unwrap_err(),
        BackupError::Trailing
    );
}

#[test]
fn chunks_keep_their_place_and_their_backup() {
    let (a, b) = (sealed(b"h", &[b"one", b"two"]), sealed(b"h", &[b"one", b"two"]));
    let (at, frame) = (BEGIN + 1 + MIDDLE, FRAME + 3 + TAG);
    let (head, one, two) = (&a[..at], &a[at..at + frame], &a[at + frame..]);
    for wrong in [
        [head, two].concat(),
        [head, two, one].concat(),
        [head, one, one, two].concat(),
        [head, one].concat(),
        [head, &b[at..]].concat(),
        [&b[..at], one, two].concat(),
    ] {
        opened(&wrong, &passphrase()).unwrap_err();
    }
    opened(&[head, one, two].concat(), &passphrase()).unwrap();
}

#[test]
fn what_a_derivation_may_cost_is_bounded() {
    let mut bytes = sealed(b"h", &[b""]);
    let at = BEGIN + 1;
    bytes[at..at + 4].copy_from_slice(&(1_u32 << 30).to_be_bytes());
    assert_eq!(opened(&bytes, &passphrase()).unwrap_err(), BackupError::Damaged);
}
