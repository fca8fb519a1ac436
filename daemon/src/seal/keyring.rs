//! The key-encryption keys.
//!
//! A keyring is a text: `#` begins a comment, every other line is `KEYID BASE64-OF-32-BYTES`. The
//! first key seals, all of them open: a site changes its key by putting a new line on top.
//!
//! It comes from a systemd credential (sealed to the TPM or the host) and from a file in the state
//! directory that is made at the first start. Where both are there, the credential's first key
//! seals and the file's still open: so a site can begin without and move to a credential later.

use std::{
    fmt,
    fs::{self, File, OpenOptions},
    io::{self, Read, Write},
    os::unix::fs::{MetadataExt, OpenOptionsExt},
    path::{Path, PathBuf},
};

use base64::{Engine, engine::general_purpose::STANDARD};
use hmac::{Hmac, KeyInit as _, Mac as _};
use rustix::{fs::OFlags, process::geteuid};
use sha2::Sha256;
use zeroize::Zeroizing;

use crate::clock::Random;

/// On the heap, so that moving a keyring leaves no copies behind.
pub(super) type Key = Box<Zeroizing<[u8; 32]>>;

/// The keyring's name in the state directory.
pub(super) const FILE: &str = "keyring";
const NEW: &str = "keyring.new";
/// The most that is read of a keyring: hundreds of keys.
pub(super) const LARGEST: u64 = 64 << 10;
const LONGEST_ID: usize = 64;
/// What others may not be allowed to do with the file.
pub(super) const FORBIDDEN: u32 = 0o077;

/// Where keys may come from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeySources {
    /// The systemd credential `iamd.keyring`, where the unit has one.
    pub credential: Option<PathBuf>,
    /// The state directory, for `keyring` in it.
    pub state_dir: PathBuf,
}

/// The keys. Zeroized when dropped; printed by id only.
#[derive(Clone)]
pub struct Keyring {
    pub(super) keys: Vec<(String, Key)>,
    /// How many of them, the first ones, the credential has.
    pub(super) of_credential: usize,
}

/// Why there is no keyring. No text shows anything of a key.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum KeyringError {
    /// Records are there, their key is not. A new one would not open them.
    #[error(
        "{path}: the keyring is missing, but there are sealed records, which only its keys open; \
         put it back from your backup, or let the unit pass it as credential iamd.keyring. To give \
         the records up, move {records} away: then every user signs in again"
    )]
    Missing {
        /// Where it should be.
        path: String,
        /// What is sealed with it.
        records: String,
    },
    /// It cannot be read or made.
    #[error("{path}: {what}")]
    Io {
        /// Which file.
        path: String,
        /// What failed.
        what: String,
    },
    /// Others can read it, or it is not ours.
    #[error("{path}: {what}")]
    Unsafe {
        /// Which file.
        path: String,
        /// What is wrong, and the command that mends it.
        what: &'static str,
    },
    /// A line that is not a key.
    #[error("{path}:{line}: {what}")]
    Line {
        /// Which file.
        path: String,
        /// Which line, from 1.
        line: usize,
        /// What is wrong with it.
        what: &'static str,
    },
    /// No key in it.
    #[error("{path}: no key in it; a line is: KEYID BASE64-OF-32-BYTES")]
    Empty {
        /// Which file.
        path: String,
    },
    /// The credential and the file have two keys of one id.
    #[error("{path}: key {id} is another one in the credential; give one of them another id")]
    Contradiction {
        /// The file.
        path: String,
        /// The key's id.
        id: String,
    },
}

impl Keyring {
    /// Reads the keys; makes one in the state directory where there is none at all.
    /// `sealed_records` says that something sealed is there already: then none is made.
    ///
    /// # Errors
    /// [`KeyringError`]; the texts say what to do.
    pub fn load(
        sources: &KeySources,
        random: &dyn Random,
        sealed_records: bool,
    ) -> Result<Self, KeyringError> {
        let file = sources.state_dir.join(FILE);
        let mut keyring = Self { keys: Vec::new(), of_credential: 0 };
        if let Some(path) = &sources.credential {
            // systemd gives the group bits as the mask of an access control list.
            keyring.keys = read(path, 0o007)?.unwrap_or_default();
            keyring.of_credential = keyring.keys.len();
        }
        for (id, key) in read(&file, FORBIDDEN)?.unwrap_or_default() {
            match keyring.get(&id) {
                None => keyring.keys.push((id, key)),
                Some(same) if *same == **key => {}
                Some(_) => {
                    return Err(KeyringError::Contradiction { path: shown(&file), id });
                }
            }
        }
        if keyring.keys.is_empty() {
            if sealed_records {
                let records = shown(&sources.state_dir);
                return Err(KeyringError::Missing { path: shown(&file), records });
            }
            keyring.keys.push(make(&sources.state_dir, random)?);
            tracing::info!(path = %file.display(), "made a new key in {}; back it up", file.display());
        }
        Ok(keyring)
    }

    /// The key that seals.
    pub(super) fn current(&self) -> (&str, &[u8; 32]) {
        let (id, key) = &self.keys[0];
        (id, key)
    }

    /// A key for something else than sealing, from the one that seals: it tells nothing of it.
    pub fn derived(&self, purpose: &str) -> Zeroizing<[u8; 32]> {
        let (_, key) = self.current();
        let mut block = Zeroizing::new([0; 64]);
        block[..key.len()].copy_from_slice(key);
        // The sealing key is random and of full length: one step of HKDF-Expand (RFC 5869 §2.3).
        let hash = Hmac::<Sha256>::new((&*block).into()).chain_update(purpose).chain_update([1]);
        Zeroizing::new(hash.finalize().into_bytes().into())
    }

    /// The key of this id.
    pub(super) fn get(&self, id: &str) -> Option<&[u8; 32]> {
        self.keys.iter().find(|(known, _)| known == id).map(|(_, key)| &***key)
    }

    /// The ids, the sealing one first.
    pub fn ids(&self) -> impl Iterator<Item = &str> {
        self.keys.iter().map(|(id, _)| id.as_str())
    }

    /// Whether the key that seals is one of the credential's.
    pub fn seals_by_credential(&self) -> bool {
        self.of_credential > 0
    }

    /// How many of the keys, the first ones, the credential has.
    pub fn of_credential(&self) -> usize {
        self.of_credential
    }

    /// The keys of a text.
    #[cfg(test)]
    pub(crate) fn parse(text: &str) -> Self {
        Self::from_text(Path::new("test"), text.as_bytes()).unwrap()
    }

    /// The keys of a text; `path` is for errors.
    ///
    /// # Errors
    /// [`KeyringError::Line`], [`KeyringError::Empty`].
    pub fn from_text(path: &Path, text: &[u8]) -> Result<Self, KeyringError> {
        Ok(Self { keys: parse(path, text)?, of_credential: 0 })
    }

    /// All keys, as the text of a keyring.
    pub fn to_text(&self) -> Zeroizing<Vec<u8>> {
        let lines = self.keys.iter().map(|(id, key)| line(id, key));
        let lines: Vec<Zeroizing<String>> = lines.collect();
        let mut text = Zeroizing::new(Vec::with_capacity(lines.iter().map(|l| l.len()).sum()));
        lines.iter().for_each(|line| text.extend_from_slice(line.as_bytes()));
        text
    }
}

impl fmt::Debug for Keyring {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.ids()).finish()
    }
}

fn read(path: &Path, forbidden: u32) -> Result<Option<Vec<(String, Key)>>, KeyringError> {
    read_text(path, forbidden)?.map(|text| parse(path, &text)).transpose()
}

/// The text of a keyring that only we can read; `None`: there is none.
pub(super) fn read_text(
    path: &Path,
    forbidden: u32,
) -> Result<Option<Zeroizing<Vec<u8>>>, KeyringError> {
    let file = match OpenOptions::new().read(true).custom_flags(no_follow()).open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(failed(path, &error)),
    };
    let found = file.metadata().map_err(|e| failed(path, &e))?;
    let unsafe_ = |what| Err(KeyringError::Unsafe { path: shown(path), what });
    if !found.is_file() {
        return unsafe_("not a plain file; move it away");
    }
    if found.uid() != geteuid().as_raw() {
        return unsafe_("belongs to somebody else, who may know the keys; make new ones");
    }
    if found.mode() & forbidden != 0 {
        return unsafe_("others can read or write it: chmod 0400, and make new keys if they did");
    }
    if found.len() > LARGEST {
        return unsafe_("larger than 64 KiB, so it is no keyring; move it away");
    }
    // The whole size beforehand: a buffer that grew would leave keys behind.
    let mut text = Zeroizing::new(Vec::with_capacity(LARGEST as usize + 1));
    file.take(LARGEST).read_to_end(&mut text).map_err(|e| failed(path, &e))?;
    Ok(Some(text))
}

pub(super) fn parse(path: &Path, text: &[u8]) -> Result<Vec<(String, Key)>, KeyringError> {
    let mut keys: Vec<(String, Key)> = Vec::new();
    for (number, line) in text.split(|&b| b == b'\n').enumerate() {
        let wrong = |what| KeyringError::Line { path: shown(path), line: number + 1, what };
        let line = line.trim_ascii();
        if line.is_empty() || line.starts_with(b"#") {
            continue;
        }
        let mut words = line.split(u8::is_ascii_whitespace).filter(|word| !word.is_empty());
        let (Some(id), Some(encoded), None) = (words.next(), words.next(), words.next()) else {
            return Err(wrong("not KEYID BASE64-OF-32-BYTES"));
        };
        let fits = |b: &u8| b.is_ascii_alphanumeric() || b"._-".contains(b);
        if id.len() > LONGEST_ID || !id.iter().all(fits) {
            return Err(wrong("a key id is 1 to 64 of letters, digits, '.', '_' and '-'"));
        }
        let id = String::from_utf8_lossy(id).into_owned();
        if keys.iter().any(|(known, _)| *known == id) {
            return Err(wrong("this key id is there already"));
        }
        keys.push((id, decode(encoded).ok_or_else(|| wrong("not 32 bytes in base64"))?));
    }
    if keys.is_empty() { Err(KeyringError::Empty { path: shown(path) }) } else { Ok(keys) }
}

fn decode(encoded: &[u8]) -> Option<Key> {
    // decode_slice wants room for a whole group more than what comes out.
    let mut bytes = Zeroizing::new([0_u8; 48]);
    if encoded.len() != 44 || STANDARD.decode_slice(encoded, &mut *bytes).ok()? != 32 {
        return None;
    }
    let mut key = Box::new(Zeroizing::new([0; 32]));
    key.copy_from_slice(&bytes[..32]);
    Some(key)
}

/// A new key, in its file durably before anything is sealed with it.
fn make(dir: &Path, random: &dyn Random) -> Result<(String, Key), KeyringError> {
    let (id, key) = new_key(random);
    let head = "# The keys of iamd's records. Lose it, and every user signs in again.\n";
    let line = line(&id, &key);
    let text = Zeroizing::new([head, &line].concat());
    write(dir, text.as_bytes())?;
    Ok((id, key))
}

/// A key and an id for it.
pub(super) fn new_key(random: &dyn Random) -> (String, Key) {
    let mut key: Key = Box::new(Zeroizing::new([0; 32]));
    random.fill(&mut **key);
    let mut number = [0; 4];
    random.fill(&mut number);
    (format!("key-{:08x}", u32::from_be_bytes(number)), key)
}

/// The line of a key.
pub(super) fn line(id: &str, key: &Key) -> Zeroizing<String> {
    let encoded = Zeroizing::new(STANDARD.encode(***key));
    Zeroizing::new([id, " ", &encoded, "\n"].concat())
}

/// Puts this text in the place of the keyring in `dir`, whole and durably: when there is an error
/// it is the old one or the new one, and nothing between.
pub(super) fn write(dir: &Path, text: &[u8]) -> Result<(), KeyringError> {
    let (new, path) = (dir.join(NEW), dir.join(FILE));
    write_new(dir, &new, &path, text).map_err(|e| failed(&path, &e))
}

fn write_new(dir: &Path, new: &Path, path: &Path, text: &[u8]) -> io::Result<()> {
    match fs::remove_file(new) {
        // What a start that died left there; nothing was sealed with it.
        Ok(()) => {}
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(error),
    }
    let mut options = OpenOptions::new();
    let mut file = options.write(true).create_new(true).mode(0o400).open(new)?;
    let written = file.write_all(text).and_then(|()| file.sync_all());
    crate::fault_point!("rekey.keyring-written");
    if let Err(error) = written.and_then(|()| fs::rename(new, path)) {
        drop(fs::remove_file(new));
        return Err(error);
    }
    crate::fault_point!("rekey.keyring-renamed");
    File::open(dir)?.sync_all()
}

fn no_follow() -> i32 {
    i32::try_from(OFlags::NOFOLLOW.bits()).unwrap_or_default()
}

pub(super) fn shown(path: &Path) -> String {
    path.display().to_string()
}

pub(super) fn failed(path: &Path, error: &io::Error) -> KeyringError {
    KeyringError::Io { path: shown(path), what: error.to_string() }
}

#[cfg(test)]
#[path = "keyring_tests.rs"]
mod tests;
