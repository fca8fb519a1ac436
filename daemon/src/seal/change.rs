//! Changing the keyring while it is in use: a new key on top, old ones out. The file changes first,
//! whole and durably; only then does the daemon seal with what is in it.

use std::{collections::BTreeSet, path::Path};

use zeroize::Zeroizing;

use super::{
    KeySources, Keyring, KeyringError,
    keyring::{self, FILE, FORBIDDEN, LARGEST, failed, shown},
};
use crate::clock::Random;

/// Why the keyring was not changed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ChangeError {
    /// Only the site can change what the credential has.
    #[error(
        "the key {id} that seals comes from the systemd credential iamd.keyring, which iamd cannot \
         change"
    )]
    FromCredential {
        /// The key's id.
        id: String,
    },
    /// The keyring on the disk lacks a key that is in use.
    #[error(
        "the key {id} is in use, and is not in {path} any more, or is another one there; put it back"
    )]
    Lost {
        /// The key's id.
        id: String,
        /// The keyring's path.
        path: String,
    },
    /// There is no room for another key.
    #[error(
        "{path}: there is no room for another key; take out the old ones first: iamctl admin rekey --retire"
    )]
    Full {
        /// The keyring's path.
        path: String,
    },
    /// The keyring cannot be read or written.
    #[error(transparent)]
    Keyring(#[from] KeyringError),
}

impl Keyring {
    /// This keyring with another sealing key in the place of its own: one that was put on top of
    /// the file since it was read, else a new one.
    ///
    /// # Errors
    /// [`ChangeError`]; the keyring in use stays good whatever happened to the file.
    pub fn with_new_key(
        &self,
        sources: &KeySources,
        random: &dyn Random,
    ) -> Result<Self, ChangeError> {
        let path = sources.state_dir.join(FILE);
        let mut found = self.read_again(sources)?;
        if found.current().0 != self.current().0 {
            return Ok(found);
        }
        if found.seals_by_credential() {
            return Err(ChangeError::FromCredential { id: found.current().0.to_owned() });
        }
        let old = keyring::read_text(&path, FORBIDDEN)?.unwrap_or_default();
        let (id, key) = loop {
            let (id, key) = keyring::new_key(random);
            if found.get(&id).is_none() {
                break (id, key);
            }
        };
        let line = keyring::line(&id, &key);
        // What people wrote in it stays.
        let text = Zeroizing::new([line.as_bytes(), &old].concat());
        if text.len() as u64 > LARGEST {
            return Err(ChangeError::Full { path: shown(&path) });
        }
        keyring::write(&sources.state_dir, &text)?;
        found.keys.insert(0, (id, key));
        Ok(found)
    }

    /// This keyring without these keys of the file. The sealing key and those of the credential
    /// stay.
    ///
    /// # Errors
    /// As [`Keyring::with_new_key`].
    pub fn without(
        &self,
        sources: &KeySources,
        ids: &BTreeSet<String>,
    ) -> Result<Self, ChangeError> {
        let path = sources.state_dir.join(FILE);
        let mut found = self.read_again(sources)?;
        let goes = |id: &str| ids.contains(id) && id != found.current().0;
        let old = keyring::read_text(&path, FORBIDDEN)?.unwrap_or_default();
        let mut text = Zeroizing::new(Vec::with_capacity(old.len()));
        for line in old.split_inclusive(|&byte| byte == b'\n') {
            let id = line.trim_ascii().split(u8::is_ascii_whitespace).next().unwrap_or_default();
            if !goes(&String::from_utf8_lossy(id)) {
                text.extend_from_slice(line);
            }
        }
        let left = text.split(|&byte| byte == b'\n').map(<[u8]>::trim_ascii);
        if left.into_iter().all(|line| line.is_empty() || line.starts_with(b"#")) {
            // All keys are the credential's from now on; an empty keyring would be a mistake.
            remove(&sources.state_dir, &path)?;
        } else {
            keyring::write(&sources.state_dir, &text)?;
        }
        let (kept, current) = (found.of_credential, found.current().0.to_owned());
        let mut at = 0;
        found.keys.retain(|(id, _)| {
            at += 1;
            at <= kept || *id == current || !ids.contains(id)
        });
        Ok(found)
    }

    /// The keys as they are on the disk now, all of those in use among them.
    fn read_again(&self, sources: &KeySources) -> Result<Self, ChangeError> {
        // Nothing is made where there is none: keys are in use.
        struct Never;
        impl Random for Never {
            fn fill(&self, _: &mut [u8]) {}
        }
        let found = Self::load(sources, &Never, true)?;
        for (id, key) in &self.keys {
            if found.get(id) != Some(key) {
                let path = shown(&sources.state_dir.join(FILE));
                return Err(ChangeError::Lost { id: id.clone(), path });
            }
        }
        Ok(found)
    }
}

fn remove(dir: &Path, path: &Path) -> Result<(), KeyringError> {
    let gone = match std::fs::remove_file(path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(error),
        _ => std::fs::File::open(dir).and_then(|dir| dir.sync_all()),
    };
    gone.map_err(|error| failed(path, &error))
}

#[cfg(test)]
#[path = "change_tests.rs"]
mod tests;
