//! The file that remembers over restarts how new each row of the store was: sealed lines that are
//! appended, and now and then all of them written anew.
//!
//! ```text
//! "iamdflr" 1             8 bytes, once
//! length u32 | payload    little endian, repeated
//! ```
//! It is written behind the store and not synced on the way of a refresh. What a kill or a power
//! failure takes from its end makes it forget; it never makes the newest row look old.

use std::{
    fs::{self, File},
    io::{Read, Seek, SeekFrom, Write},
    path::PathBuf,
};

use super::{StateDir, StoreError, state_dir::open_private};

const NAME: &str = "floors";
const NEW: &str = "floors.new";
const DAMAGED: &str = "floors.damaged";
const HEADER: &[u8; 8] = b"iamdflr\x01";
const PREFIX: usize = 4;
/// The longest payload: some thousand rows.
const LONGEST: usize = 4 << 20;

/// The file, ready to append to.
#[derive(Debug)]
pub struct FloorsFile {
    dir: StateDir,
    path: PathBuf,
    file: File,
    length: u64,
}

impl FloorsFile {
    /// Opens `floors` in the state directory, or makes it, and gives what is in it. A torn end is
    /// cut off; something else under this name is kept aside, and nothing is remembered.
    ///
    /// # Errors
    /// The file cannot be read or written, or is not ours.
    pub fn open(dir: &StateDir) -> Result<(Self, Vec<Vec<u8>>), StoreError> {
        let path = dir.join(NAME);
        let fault = |error: std::io::Error| StoreError::io(&path, &error);
        let mut file = open_private(&path)?;
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes).map_err(fault)?;
        let (payloads, end) = match bytes.strip_prefix(HEADER) {
            Some(lines) => {
                let (payloads, end) = scan(lines);
                (payloads, HEADER.len() + end)
            }
            None => (Vec::new(), 0),
        };
        if end < bytes.len() {
            tracing::warn!(
                path = %path.display(),
                "{}: its end is not whole; how new some rows were is forgotten", path.display()
            );
            if end == 0 {
                fs::copy(&path, dir.join(DAMAGED)).map_err(fault)?;
            }
        }
        file.set_len(end as u64).and_then(|()| file.seek(SeekFrom::End(0))).map_err(fault)?;
        let mut floors = Self { dir: dir.clone(), path, file, length: end as u64 };
        if end == 0 {
            floors.write(HEADER)?;
        }
        Ok((floors, payloads))
    }

    /// How long it is.
    pub fn length(&self) -> u64 {
        self.length
    }

    /// Appends one payload, whole or not at all; not synced.
    ///
    /// # Errors
    /// The disk is full or fails.
    pub fn append(&mut self, payload: &[u8]) -> Result<(), StoreError> {
        self.write(&line(payload))
    }

    /// What was appended survives a power failure.
    ///
    /// # Errors
    /// The disk fails.
    pub fn sync(&self) -> Result<(), StoreError> {
        self.file.sync_data().map_err(|error| StoreError::io(&self.path, &error))
    }

    /// These payloads in the place of all that is there, at once and synced.
    ///
    /// # Errors
    /// The disk is full or fails; then all is as it was.
    pub fn rewrite(&mut self, payloads: &[Vec<u8>]) -> Result<(), StoreError> {
        let new = self.dir.join(NEW);
        let fault = |error: std::io::Error| StoreError::io(&new, &error);
        let mut bytes = HEADER.to_vec();
        payloads.iter().for_each(|payload| bytes.extend_from_slice(&line(payload)));
        let mut file = open_private(&new)?;
        file.set_len(0)
            .and_then(|()| file.write_all(&bytes))
            .and_then(|()| file.sync_all())
            .and_then(|()| fs::rename(&new, &self.path))
            .map_err(fault)?;
        self.file = file;
        self.length = bytes.len() as u64;
        self.dir.sync()
    }

    fn write(&mut self, bytes: &[u8]) -> Result<(), StoreError> {
        match self.file.write_all(bytes) {
            Ok(()) => {
                self.length += bytes.len() as u64;
                Ok(())
            }
            Err(error) => {
                // A full disk may have taken a part.
                let cut = self.file.set_len(self.length);
                let _ = cut.and_then(|()| self.file.seek(SeekFrom::End(0)));
                Err(StoreError::io(&self.path, &error))
            }
        }
    }
}

fn line(payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap_or(u32::MAX).to_le_bytes();
    [&length[..], payload].concat()
}

/// The payloads that are whole, and where the last of them ends.
fn scan(mut rest: &[u8]) -> (Vec<Vec<u8>>, usize) {
    let (mut payloads, mut end) = (Vec::new(), 0);
    while let Some((length, behind)) = rest.split_first_chunk::<PREFIX>() {
        let length = u32::from_le_bytes(*length) as usize;
        let Some((payload, behind)) = behind.split_at_checked(length) else { break };
        if length > LONGEST {
            break;
        }
        payloads.push(payload.to_vec());
        end += PREFIX + length;
        rest = behind;
    }
    (payloads, end)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn opened(temp: &tempfile::TempDir) -> (FloorsFile, Vec<Vec<u8>>) {
        FloorsFile::open(&StateDir::open(temp.path()).unwrap()).unwrap()
    }

    #[test]
    fn what_was_appended_is_there_again_and_a_torn_end_costs_the_last_line_only() {
        let temp = tempfile::tempdir().unwrap();
        let (mut floors, found) = opened(&temp);
        assert!(found.is_empty());
        for payload in [&b"one"[..], b"", b"three"] {
            floors.append(payload).unwrap();
        }
        let whole = floors.length();
        drop(floors);
        let path = temp.path().join(NAME);
        let bytes = fs::read(&path).unwrap();
        assert_eq!(bytes.len() as u64, whole);
        for length in 0..bytes.len() {
            fs::write(&path, &bytes[..length]).unwrap();
            let (mut floors, found) = opened(&temp);
            assert!(found.len() < 3, "{length}");
            floors.append(b"new").unwrap();
            drop(floors);
            assert_eq!(opened(&temp).1.last().unwrap(), b"new", "{length}");
        }
        fs::write(&path, &bytes).unwrap();
        assert_eq!(opened(&temp).1, [b"one".to_vec(), b"".to_vec(), b"three".to_vec()]);
    }

    #[test]
    fn written_anew_it_has_what_is_given_and_goes_on_behind_it() {
        let temp = tempfile::tempdir().unwrap();
        let (mut floors, _) = opened(&temp);
        floors.append(b"old").unwrap();
        floors.rewrite(&[b"a".to_vec(), b"b".to_vec()]).unwrap();
        floors.append(b"c").unwrap();
        drop(floors);
        assert_eq!(opened(&temp).1, [b"a", b"b", b"c"]);
        assert!(!temp.path().join(NEW).exists());
    }

    #[test]
    fn something_else_under_its_name_is_kept_aside_and_stops_nothing() {
        let temp = tempfile::tempdir().unwrap();
        fs::write(temp.path().join(NAME), "something else").unwrap();
        assert!(opened(&temp).1.is_empty());
        assert_eq!(fs::read(temp.path().join(DAMAGED)).unwrap(), b"something else");
    }
}
