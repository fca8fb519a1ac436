//! What the built iamd says before it serves anybody, compared with its row in docs/errors.md.
#![allow(clippy::unwrap_used, reason = "a test")]

use std::{fs, process::Command};

/// iamd with a configuration of this text; `None`: with one that is not there.
fn shows(when: &str, text: Option<&str>, exit: u8) {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("iamd.toml");
    text.into_iter().for_each(|text| fs::write(&file, text).unwrap());
    let mut iamd = Command::new(env!("CARGO_BIN_EXE_iamd"));
    let said = iamd.arg("--check").arg("--config").arg(&file).output().unwrap();
    assert_eq!((said.stdout.as_slice(), said.status.code()), (&b""[..], Some(exit.into())));
    let told = String::from_utf8(said.stderr).unwrap();
    let told = told.replace(directory.path().to_str().unwrap(), "/etc/iamd");
    let name = if exit == 0 { "iamd --check" } else { "iamd does not start" };
    iamd_errors::shows("Configuration", when, told.trim_end(), name, Some(exit), "");
}

#[test]
fn a_configuration_is_checked_before_anything_is_done() {
    shows("iamd --config names a file that is not there", None, 78);
    shows("iamd is started with a mistake in its files", Some("[limits]\naccounts = 0\n"), 78);
    // No issuers are installed where the tests run, so that a default one is not to be had either.
    if !fs::exists("/usr/share/iamd/issuers.d").unwrap() {
        shows("iamd --check, and the site lists no issuer", Some(""), 0);
        shows(
            "iamd --check, and the site has no default issuer",
            Some("[issuers]\ncustom = true\n"),
            0,
        );
    }
}
