//! An envelope opens in its own place and nowhere else.

use super::*;
use crate::clock::SystemRandom;

const ONE: &str = "one AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAE=";
const TWO: &str = "two AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAI=";

fn bound() -> Bound<'static> {
    Bound {
        kind: Kind::Account,
        row: "accounts/1001/wlcg",
        generation: 7,
        user: "alice",
        issuer: "https://iss.example/",
    }
}

fn seal(keyring: &Keyring) -> Vec<u8> {
    keyring.seal(&SystemRandom, &bound(), b"canary-plaintext").unwrap()
}

fn holds(bytes: &[u8], needle: &[u8]) -> bool {
    bytes.windows(needle.len()).any(|window| window == needle)
}

#[test]
fn what_was_sealed_opens_and_shows_nothing_but_key_id_and_generation() {
    let keyring = Keyring::parse(ONE);
    let sealed = seal(&keyring);
    let opened = keyring.open(Kind::Account, "accounts/1001/wlcg", &sealed).unwrap();
    assert_eq!(opened.plaintext.as_slice(), b"canary-plaintext");
    assert_eq!((opened.generation, opened.user.as_str()), (7, "alice"));
    assert_eq!(opened.issuer, "https://iss.example/");
    for hidden in [&b"canary"[..], b"alice", b"iss.example"] {
        assert!(!holds(&sealed, hidden));
    }
    assert_eq!(sealed.capacity(), sealed.len(), "the buffer never grew");
    assert_ne!(seal(&keyring), seal(&keyring));
}

#[test]
fn a_row_moved_to_another_place_or_of_another_kind_does_not_open() {
    let keyring = Keyring::parse(ONE);
    let sealed = seal(&keyring);
    for row in ["accounts/1002/wlcg", "accounts/1001/cms", "accounts/1001/wlcgx", ""] {
        let moved = keyring.open(Kind::Account, row, &sealed);
        assert_eq!(moved.unwrap_err(), OpenError::Tampered, "{row}");
    }
    for kind in [Kind::Client, Kind::Settings, Kind::Journal] {
        let other = keyring.open(kind, "accounts/1001/wlcg", &sealed);
        assert_eq!(other.unwrap_err(), OpenError::Tampered);
    }
}

#[test]
fn a_change_of_any_bit_does_not_open() {
    let keyring = Keyring::parse(ONE);
    let sealed = seal(&keyring);
    for at in 0..sealed.len() * 8 {
        let mut changed = sealed.clone();
        changed[at / 8] ^= 1 << (at % 8);
        keyring.open(Kind::Account, "accounts/1001/wlcg", &changed).unwrap_err();
    }
    for length in 0..sealed.len() {
        keyring.open(Kind::Account, "accounts/1001/wlcg", &sealed[..length]).unwrap_err();
    }
}

#[test]
fn the_wrap_of_one_write_does_not_open_the_body_of_another() {
    let keyring = Keyring::parse(ONE);
    let (a, b) = (seal(&keyring), seal(&keyring));
    let body = a.len() - (NONCE + b"canary-plaintext".len() + TAG);
    let mixed = [&a[..body], &b[body..]].concat();
    let opened = keyring.open(Kind::Account, "accounts/1001/wlcg", &mixed);
    assert_eq!(opened.unwrap_err(), OpenError::Tampered);
}

#[test]
fn user_issuer_and_generation_are_bound_to_the_body() {
    // As if whoever has the key had made a wrap for somebody else around the same data key: the
    // associated data alone must tell them apart.
    let all = bound();
    let others = [
        Bound { user: "bob", ..all },
        Bound { issuer: "https://other.example/", ..all },
        Bound { generation: 8, ..all },
        Bound { row: "accounts/1002/wlcg", ..all },
        Bound { kind: Kind::Journal, ..all },
        Bound { user: "alicehttps://iss.example/", issuer: "", ..all },
    ];
    for other in others {
        assert_ne!(body_data(&all), body_data(&other), "{other:?}");
    }
}

#[test]
fn an_unknown_key_is_named_and_a_wrong_key_of_that_name_does_not_open() {
    let sealed = seal(&Keyring::parse(ONE));
    let open = |text: &str| Keyring::parse(text).open(Kind::Account, "accounts/1001/wlcg", &sealed);
    let error = open(TWO).unwrap_err();
    assert_eq!(error, OpenError::UnknownKey { id: "one".into() });
    assert!(error.to_string().contains("key one"), "{error}");
    assert_eq!(open(&TWO.replace("two", "one")).unwrap_err(), OpenError::Tampered);
    open(&format!("{TWO}\n{ONE}")).unwrap();
}

#[test]
fn foreign_and_later_bytes_are_told_from_tampered_ones() {
    let keyring = Keyring::parse(ONE);
    let mut sealed = seal(&keyring);
    sealed[4] = 2;
    let later = keyring.open(Kind::Account, "accounts/1001/wlcg", &sealed).unwrap_err();
    assert!(later.to_string().contains("later iamd"), "{later}");
    for foreign in [&b""[..], b"iamd", b"SQLite format 3\0 and more of it"] {
        let error = keyring.open(Kind::Account, "x", foreign).unwrap_err();
        assert!(matches!(error, OpenError::Format(_)), "{error}");
    }
}

proptest::proptest! {
    #[test]
    fn no_bytes_make_it_panic(mut bytes in proptest::collection::vec(0_u8.., 0..200), begin: bool) {
        if begin {
            bytes.splice(0..0, *b"iamd\x01\x03one");
        }
        let keyring = Keyring::parse(ONE);
        proptest::prop_assert!(keyring.open(Kind::Account, "accounts/1/a", &bytes).is_err());
    }
}

#[test]
fn a_record_under_another_key_is_the_same_record_in_the_same_place() {
    let old = Keyring::parse(ONE);
    let sealed = seal(&old);
    let both = Keyring::parse(&format!("{TWO}\n{ONE}"));
    let again = both.rewrap(&SystemRandom, Kind::Account, "accounts/1001/wlcg", &sealed).unwrap();
    assert_eq!(Keyring::key_of(&sealed).unwrap(), "one");
    assert_eq!(Keyring::key_of(&again).unwrap(), "two");
    assert_eq!(again.capacity(), again.len(), "the buffer never grew");
    let new = Keyring::parse(TWO);
    let opened = new.open(Kind::Account, "accounts/1001/wlcg", &again).unwrap();
    assert_eq!(opened.plaintext.as_slice(), b"canary-plaintext");
    assert_eq!((opened.generation, opened.user.as_str()), (7, "alice"));
    old.open(Kind::Account, "accounts/1001/wlcg", &again).unwrap_err();
    for row in ["accounts/1002/wlcg", ""] {
        new.open(Kind::Account, row, &again).unwrap_err();
        both.rewrap(&SystemRandom, Kind::Account, row, &sealed).unwrap_err();
    }
}

#[test]
fn what_does_not_open_is_not_sealed_again() {
    let both = Keyring::parse(&format!("{TWO}\n{ONE}"));
    let sealed = seal(&Keyring::parse(ONE));
    for at in 0..sealed.len() {
        let mut changed = sealed.clone();
        changed[at] ^= 1;
        both.rewrap(&SystemRandom, Kind::Account, "accounts/1001/wlcg", &changed).unwrap_err();
    }
    let unknown = Keyring::parse(TWO);
    let error = unknown.rewrap(&SystemRandom, Kind::Account, "accounts/1001/wlcg", &sealed);
    assert_eq!(error.unwrap_err(), OpenError::UnknownKey { id: "one".into() });
}
