//! The keyring: made once, root's alone, several keys at a time.

use std::os::unix::fs::PermissionsExt;

use tempfile::TempDir;

use super::*;
use crate::clock::SystemRandom;

const KEY_A: &str = "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAE=";
const KEY_B: &str = "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAI=";

fn load(temp: &TempDir, credential: Option<&str>, records: bool) -> Result<Keyring, KeyringError> {
    let credential = credential.map(|text| {
        let path = temp.path().join("iamd.keyring");
        write(&path, text, 0o440);
        path
    });
    let sources = KeySources { credential, state_dir: temp.path().into() };
    Keyring::load(&sources, &SystemRandom, records)
}

fn write(path: &Path, text: &str, mode: u32) {
    fs::write(path, text).unwrap();
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}

fn with_file(text: &str, mode: u32) -> TempDir {
    let temp = tempfile::tempdir().unwrap();
    write(&temp.path().join("keyring"), text, mode);
    temp
}

fn ids(keyring: &Keyring) -> Vec<&str> {
    keyring.ids().collect()
}

#[test]
fn the_first_start_makes_a_key_that_only_root_reads_and_later_starts_find_it() {
    let temp = tempfile::tempdir().unwrap();
    // What a start that died in the middle left behind.
    write(&temp.path().join("keyring.new"), "half a li", 0o400);
    let made = load(&temp, None, false).unwrap();
    let path = temp.path().join("keyring");
    assert_eq!(path.metadata().unwrap().mode() & 0o7777, 0o400);
    assert!(!temp.path().join("keyring.new").exists());
    let found = load(&temp, None, true).unwrap();
    assert_eq!(ids(&made), ids(&found));
    assert_eq!(made.current().1, found.current().1);
    assert_ne!(made.current().1, &[0; 32]);
}

#[test]
fn no_new_key_is_made_while_there_are_sealed_records() {
    let temp = tempfile::tempdir().unwrap();
    let error = load(&temp, None, true).unwrap_err();
    assert!(matches!(error, KeyringError::Missing { .. }), "{error}");
    let text = error.to_string();
    assert!(text.contains("keyring") && text.contains("backup"), "{text}");
    assert_eq!(fs::read_dir(temp.path()).unwrap().count(), 0);
    // An empty file is not a missing one, and not the beginning of a new one either.
    write(&temp.path().join("keyring"), "# nothing\n", 0o400);
    assert!(matches!(load(&temp, None, false).unwrap_err(), KeyringError::Empty { .. }));
}

#[test]
fn the_first_line_seals_and_all_open() {
    let temp = with_file(&format!("# ours\n\nnew-1 {KEY_A}\r\n  old.1\t{KEY_B}  "), 0o600);
    let keyring = load(&temp, None, true).unwrap();
    assert_eq!(ids(&keyring), ["new-1", "old.1"]);
    assert_eq!(keyring.current().1[31], 1);
    assert_eq!(keyring.get("old.1").unwrap()[31], 2);
    assert!(keyring.get("other").is_none());
    assert_eq!(format!("{keyring:?}"), r#"["new-1", "old.1"]"#);
}

#[test]
fn a_bad_line_is_named_by_file_and_number_and_not_shown() {
    let short = "AAAA";
    let long = "A".repeat(44);
    for (line, word) in [
        ("canary".into(), "KEYID"),
        (format!("canary {KEY_A} more"), "KEYID"),
        (format!("can/ary {KEY_A}"), "a key id is"),
        (format!("{} {KEY_A}", "canary".repeat(11)), "a key id is"),
        (format!("canary {short}"), "32 bytes"),
        (format!("canary {long}"), "32 bytes"),
        (format!("canary {KEY_A}="), "32 bytes"),
        (format!("good {KEY_B}"), "already"),
        ("canary \u{fffd}".into(), "32 bytes"),
    ] {
        let temp = with_file(&format!("# first\ngood {KEY_A}\n{line}\n"), 0o400);
        let text = load(&temp, None, true).unwrap_err().to_string();
        assert!(text.contains("keyring:3: ") && text.contains(word), "{text}");
        assert!(!text.contains("canary"), "{text}");
    }
}

#[test]
fn a_keyring_that_others_can_read_is_refused_with_the_way_out() {
    for mode in [0o440, 0o404, 0o602] {
        let temp = with_file(&format!("a {KEY_A}"), mode);
        let text = load(&temp, None, true).unwrap_err().to_string();
        assert!(text.contains("chmod 0400"), "{mode:o}: {text}");
    }
    let temp = tempfile::tempdir().unwrap();
    std::os::unix::fs::symlink("/etc/passwd", temp.path().join("keyring")).unwrap();
    assert!(matches!(load(&temp, None, true).unwrap_err(), KeyringError::Io { .. }));
    let temp = tempfile::tempdir().unwrap();
    fs::create_dir(temp.path().join("keyring")).unwrap();
    assert!(load(&temp, None, true).is_err());
}

#[test]
fn a_keyring_of_somebody_else_is_refused() {
    if !geteuid().is_root() {
        return;
    }
    let temp = with_file(&format!("a {KEY_A}"), 0o400);
    std::os::unix::fs::chown(temp.path().join("keyring"), Some(65534), None).unwrap();
    let text = load(&temp, None, true).unwrap_err().to_string();
    assert!(text.contains("somebody else"), "{text}");
}

#[test]
fn the_credential_seals_and_the_files_keys_still_open() {
    let temp = with_file(&format!("old {KEY_A}"), 0o400);
    let keyring = load(&temp, Some(&format!("new {KEY_B}\nold {KEY_A}")), true).unwrap();
    assert_eq!(ids(&keyring), ["new", "old"]);
    let keyring = load(&temp, Some(&format!("new {KEY_B}")), true).unwrap();
    assert_eq!(ids(&keyring), ["new", "old"]);
    let error = load(&temp, Some(&format!("old {KEY_B}")), true).unwrap_err();
    assert!(error.to_string().contains("key old is another one"), "{error}");
}

#[test]
fn with_a_credential_no_key_is_made() {
    let temp = tempfile::tempdir().unwrap();
    load(&temp, Some(&format!("new {KEY_B}")), false).unwrap();
    assert!(!temp.path().join("keyring").exists());
}

#[test]
fn a_credential_that_is_configured_but_not_there_makes_no_key_for_old_records() {
    let temp = tempfile::tempdir().unwrap();
    let credential = Some(temp.path().join("not-there"));
    let sources = KeySources { credential, state_dir: temp.path().into() };
    let error = Keyring::load(&sources, &SystemRandom, true).unwrap_err();
    assert!(matches!(error, KeyringError::Missing { .. }), "{error}");
}
