//! What the fuzz targets call: files that come from elsewhere. `fuzz/README.md` tells how they are run.

use secrecy::{ExposeSecret, SecretString};
use zeroize::Zeroizing;

use crate::oidc_agent::{Account, Content};
use crate::output::text;

/// A target: reads any bytes.
pub type Target = fn(&[u8]);

/// Each target by its name.
pub const TARGETS: [(&str, Target); 1] = [("imported", imported)];

/// A file of oidc-agent's, as it lies there and as what was inside.
pub fn imported(bytes: &[u8]) {
    match Content::of(Zeroizing::new(bytes.to_vec())) {
        Ok(content) if content.is_cheap() => {
            let password = SecretString::from("fixture password");
            match content.open(content.needs_password().then_some(&password)) {
                Ok(opened) => account(&opened),
                Err(error) => steers_nothing(&error.to_string()),
            }
        }
        // To derive a key would take longer than all the rest.
        Ok(_) => {}
        Err(error) => steers_nothing(&error.to_string()),
    }
    account(bytes);
}

fn account(plaintext: &[u8]) {
    match Account::of(plaintext) {
        Ok(account) => {
            assert!(!account.issuer.is_empty() && account.client_id.is_some());
            assert!(!account.refresh_token.expose_secret().trim().is_empty());
            for remark in &account.remarks {
                steers_nothing(&text::clean(remark));
            }
        }
        Err(error) => {
            steers_nothing(&error.to_string());
            steers_nothing(&text::clean(error.issuer().unwrap_or_default()));
        }
    }
}

fn steers_nothing(text: &str) {
    assert!(!text.chars().any(char::is_control), "{text:?}");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_seed_and_finding_and_what_small_changes_make_of_it_is_read() {
        for (name, target) in TARGETS {
            iamd_fuzz::read(name, target);
        }
    }

    #[test]
    fn every_target_has_a_program_and_seeds() {
        iamd_fuzz::are_all(TARGETS.map(|(name, _)| name), "iamctl::fuzzing::");
    }
}
