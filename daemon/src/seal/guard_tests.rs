//! A guard opens for its passphrase, at its own account, and for nobody else.

use nix::sys::resource::{Resource, setrlimit};

use super::*;
use crate::{
    clock::SystemRandom,
    seal::backup::{BackupError, BackupOpener, BackupSealer},
};

const ALICE: Whose<'static> = Whose { uid: 1001, user: "alice", issuer: "https://iss.example/" };

fn secret(text: &str) -> SecretString {
    text.to_owned().into()
}

fn guard() -> Guard {
    new_guard(&SystemRandom, ALICE, &secret("correct horse"), Cost::LEAST).unwrap()
}

fn opens(wrapped: &[u8], whose: Whose<'_>, passphrase: &str) -> Result<(), GuardError> {
    open_guard(wrapped, whose, &secret(passphrase)).map(drop)
}

#[test]
fn the_passphrase_gives_the_key_that_sealed_and_a_wrong_one_nothing() {
    let guard = new_guard(&SystemRandom, ALICE, &secret("correct horse"), Cost::RECOMMENDED);
    let guard = guard.unwrap();
    let key = guard.key.clone().unwrap();
    let sealed = seal_secrets(&SystemRandom, &key, ALICE, b"canary").unwrap();
    assert!(!sealed.windows(6).any(|window| window == b"canary"));
    let opened = open_guard(&guard.wrapped, ALICE, &secret("correct horse")).unwrap();
    assert_eq!(open_secrets(&opened, ALICE, &sealed).unwrap().as_slice(), b"canary");
    for wrong in ["correct horsE", "correct hors", "correct horse ", ""] {
        assert_eq!(opens(&guard.wrapped, ALICE, wrong), Err(GuardError::Wrong), "{wrong:?}");
    }
}

#[test]
fn two_guards_of_one_passphrase_have_nothing_in_common() {
    let (one, two) = (guard(), guard());
    let (one_key, two_key) = (one.key.unwrap(), two.key.unwrap());
    assert_ne!(one_key.expose(), two_key.expose());
    assert_ne!(one.wrapped[13..29], two.wrapped[13..29]);
    let sealed = seal_secrets(&SystemRandom, &one_key, ALICE, b"canary").unwrap();
    assert!(open_secrets(&two_key, ALICE, &sealed).is_none());
    assert_ne!(mark_of(&one_key, &secret("rt")), mark_of(&two_key, &secret("rt")));
}

#[test]
fn a_guard_moved_to_another_user_or_issuer_does_not_open() {
    let guard = guard();
    let key = guard.key.clone().unwrap();
    let sealed = seal_secrets(&SystemRandom, &key, ALICE, b"canary").unwrap();
    for other in [
        Whose { uid: 1002, ..ALICE },
        Whose { user: "bob", ..ALICE },
        Whose { issuer: "https://other.example/", ..ALICE },
        Whose { user: "alicehttps://iss.example/", issuer: "", ..ALICE },
    ] {
        assert_eq!(opens(&guard.wrapped, other, "correct horse"), Err(GuardError::Wrong));
        assert!(open_secrets(&key, other, &sealed).is_none(), "{other:?}");
    }
}

#[test]
fn parameters_out_of_bounds_are_refused_before_anything_is_derived() {
    let guard = guard();
    for (at, value) in [
        (1, 0_u32),
        (1, (8 << 10) - 1),
        (1, (128 << 10) + 1),
        (1, u32::MAX),
        (5, 0),
        (5, 9),
        (5, u32::MAX),
        (9, 0),
        (9, 9),
    ] {
        let mut wrapped = guard.wrapped.clone();
        wrapped[at..at + 4].copy_from_slice(&value.to_be_bytes());
        let error = opens(&wrapped, ALICE, "correct horse");
        assert_eq!(error, Err(GuardError::Format), "{value} at {at}");
    }
    // In bounds, but other ones: another key.
    let mut wrapped = guard.wrapped.clone();
    wrapped[8] = 2;
    assert_eq!(opens(&wrapped, ALICE, "correct horse"), Err(GuardError::Wrong));
}

#[test]
fn foreign_cut_and_changed_bytes_do_not_open() {
    let guard = guard();
    let key = guard.key.clone().unwrap();
    for length in 0..29 + NONCE {
        assert!(opens(&guard.wrapped[..length], ALICE, "correct horse").is_err());
    }
    let mut later = guard.wrapped.clone();
    later[0] = 2;
    assert_eq!(opens(&later, ALICE, "correct horse"), Err(GuardError::Format));
    for at in [13, 28, 29, 52, 53, guard.wrapped.len() - 1] {
        let mut changed = guard.wrapped.clone();
        changed[at] ^= 1;
        assert_eq!(opens(&changed, ALICE, "correct horse"), Err(GuardError::Wrong), "{at}");
    }
    let sealed = seal_secrets(&SystemRandom, &key, ALICE, b"canary").unwrap();
    for at in 0..sealed.len() {
        let mut changed = sealed.clone();
        changed[at] ^= 1;
        assert!(open_secrets(&key, ALICE, &changed).is_none(), "{at}");
        assert!(open_secrets(&key, ALICE, &sealed[..at]).is_none(), "{at}");
    }
}

proptest::proptest! {
    // Some of them are derived in full.
    #![proptest_config(proptest::test_runner::Config::with_cases(64))]
    #[test]
    fn no_bytes_make_it_panic(mut bytes in proptest::collection::vec(0_u8.., 0..160), begin: bool) {
        if begin {
            bytes.splice(0..0, [FORMAT, 0, 0, 32, 0, 0, 0, 0, 1, 0, 0, 0, 1]);
        }
        proptest::prop_assert!(opens(&bytes, ALICE, "correct horse").is_err());
        let key = GuardKey::made(|key| key.fill(7));
        proptest::prop_assert!(open_secrets(&key, ALICE, &bytes).is_none());
    }
}

/// A node without any: this test runs once more, alone in a process that gets no more of it.
#[test]
fn without_memory_a_passphrase_is_refused() {
    const ALONE: &str = "IAMD_TEST_WITHOUT_MEMORY";
    if std::env::var_os(ALONE).is_none() {
        let name = "seal::guard::tests::without_memory_a_passphrase_is_refused";
        let mut again = std::process::Command::new(std::env::current_exe().unwrap());
        again.args(["--exact", name, "--test-threads=1"]).env(ALONE, "1");
        let output = again.output().unwrap();
        let said = String::from_utf8_lossy(&output.stdout);
        assert!(output.status.success() && said.contains("1 passed"), "{output:?}");
        return;
    }
    let most = Cost::of([128 << 10, 1, 1]).unwrap();
    let passphrase = secret("correct horse");
    let (_, backup) = BackupSealer::begin(&SystemRandom, &passphrase, most, b"header").unwrap();
    let pages = std::fs::read_to_string("/proc/self/statm").unwrap();
    let pages: u64 = pages.split(' ').next().unwrap().parse().unwrap();
    let limit = pages * 4096 + (32 << 20);
    setrlimit(Resource::RLIMIT_AS, limit, limit).unwrap();
    let refused = new_guard(&SystemRandom, ALICE, &passphrase, most);
    assert_eq!(refused.err(), Some(GuardError::Memory));
    let refused = BackupOpener::begin(&backup, &passphrase);
    assert_eq!(refused.err(), Some(BackupError::Memory));
    // What costs less than there is goes on.
    assert!(new_guard(&SystemRandom, ALICE, &passphrase, Cost::LEAST).is_ok());
}
