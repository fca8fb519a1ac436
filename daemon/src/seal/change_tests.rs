//! A keyring that changes while it is in use.

use std::{fs, os::unix::fs::PermissionsExt as _, path::PathBuf};

use super::*;
use crate::clock::SystemRandom;

const ONE: &str = "one AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAE=";
const TWO: &str = "two AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAI=";

fn put(path: &PathBuf, text: &str) {
    drop(fs::remove_file(path));
    fs::write(path, text).unwrap();
    fs::set_permissions(path, fs::Permissions::from_mode(0o400)).unwrap();
}

fn sources(text: &str) -> (tempfile::TempDir, KeySources) {
    let dir = tempfile::tempdir().unwrap();
    put(&dir.path().join(FILE), text);
    let sources = KeySources { credential: None, state_dir: dir.path().to_owned() };
    (dir, sources)
}

fn loaded(sources: &KeySources) -> Keyring {
    Keyring::load(sources, &SystemRandom, true).unwrap()
}

fn ids(keyring: &Keyring) -> Vec<String> {
    keyring.ids().map(str::to_owned).collect()
}

#[test]
fn a_new_key_seals_and_the_old_ones_stay_with_what_people_wrote() {
    let (dir, sources) = sources(&format!("# from the vault, shelf 3\n{ONE}\n{TWO}\n"));
    let old = loaded(&sources);
    let new = old.with_new_key(&sources, &SystemRandom).unwrap();
    assert_eq!(ids(&new)[1..], ["one", "two"]);
    assert_eq!(ids(&loaded(&sources)), ids(&new), "as after a restart");
    let text = fs::read_to_string(dir.path().join(FILE)).unwrap();
    assert!(text.contains("shelf 3") && text.contains(ONE) && text.contains(TWO));
    let mode = dir.path().join(FILE).metadata().unwrap().permissions().mode();
    assert_eq!(mode & 0o7777, 0o400);

    let left = new.without(&sources, &["one", "two", &ids(&new)[0]].map(str::to_owned).into());
    let left = left.unwrap();
    assert_eq!(ids(&left), ids(&new)[..1], "the key that seals never goes");
    assert_eq!(ids(&loaded(&sources)), ids(&left));
    assert!(fs::read_to_string(dir.path().join(FILE)).unwrap().contains("shelf 3"));
}

#[test]
fn a_key_that_was_put_on_top_by_hand_is_taken_instead_of_a_new_one() {
    let (dir, sources) = sources(ONE);
    let old = loaded(&sources);
    put(&dir.path().join(FILE), &format!("{TWO}\n{ONE}\n"));
    let new = old.with_new_key(&sources, &SystemRandom).unwrap();
    assert_eq!(ids(&new), ["two", "one"]);
}

#[test]
fn a_key_in_use_that_is_gone_from_the_disk_stops_any_change() {
    let (dir, sources) = sources(&format!("{ONE}\n{TWO}\n"));
    let old = loaded(&sources);
    for text in [ONE, &format!("{ONE}\n{}\n", TWO.replace("AI=", "AM="))] {
        put(&dir.path().join(FILE), text);
        let before = fs::read(dir.path().join(FILE)).unwrap();
        let error = old.with_new_key(&sources, &SystemRandom).unwrap_err();
        assert!(matches!(&error, ChangeError::Lost { id, .. } if id == "two"), "{error}");
        assert!(old.without(&sources, &["two".to_owned()].into()).is_err());
        assert_eq!(fs::read(dir.path().join(FILE)).unwrap(), before);
    }
    fs::remove_file(dir.path().join(FILE)).unwrap();
    assert!(old.with_new_key(&sources, &SystemRandom).is_err());
    assert!(!dir.path().join(FILE).exists());
}

#[test]
fn a_credential_is_the_sites_to_change_and_the_file_beside_it_can_go() {
    let (dir, mut sources) = sources(ONE);
    let credential = dir.path().join("credential");
    put(&credential, TWO);
    sources.credential = Some(credential);
    let keyring = loaded(&sources);
    assert_eq!(ids(&keyring), ["two", "one"]);
    let refused = keyring.with_new_key(&sources, &SystemRandom).unwrap_err();
    assert_eq!(refused, ChangeError::FromCredential { id: "two".into() });
    let left = keyring.without(&sources, &["one", "two"].map(str::to_owned).into()).unwrap();
    assert_eq!(ids(&left), ["two"]);
    assert!(!dir.path().join(FILE).exists());
    assert_eq!(ids(&loaded(&sources)), ["two"]);
}

#[test]
fn no_more_keys_than_can_be_read_again() {
    let filler = format!("# {}\n{ONE}\n", "x".repeat(LARGEST as usize - 90));
    let (_dir, sources) = sources(&filler);
    let error = loaded(&sources).with_new_key(&sources, &SystemRandom).unwrap_err();
    assert!(matches!(error, ChangeError::Full { .. }), "{error}");
    assert_eq!(ids(&loaded(&sources)), ["one"]);
}

#[test]
fn a_place_that_cannot_be_written_leaves_the_old_keyring() {
    let (dir, sources) = sources(ONE);
    let keyring = loaded(&sources);
    // What stands in the way of the new file cannot be removed as a file.
    fs::create_dir(dir.path().join("keyring.new")).unwrap();
    let error = keyring.with_new_key(&sources, &SystemRandom).unwrap_err();
    assert!(matches!(error, ChangeError::Keyring(KeyringError::Io { .. })), "{error}");
    assert_eq!(ids(&loaded(&sources)), ["one"]);
}
