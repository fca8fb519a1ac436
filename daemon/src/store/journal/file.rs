//! The journal's file.
//!
//! ```text
//! "iamdjnl" 1                                         8 bytes, once
//! length u32 | crc32 u32 | kind u8 | id u64 | payload  little endian, repeated
//! ```
//! `length` counts kind, id and payload; the checksum covers the same bytes. `kind` is 1 for an
//! entry and 2, without payload, for the mark that entry `id` is settled.

use std::{
    collections::BTreeMap,
    fs::{self, File, OpenOptions},
    io::{Read, Seek, SeekFrom, Write},
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
};

use rustix::{
    fs::{FallocateFlags, fallocate},
    io::Errno,
};

use super::LARGEST_ENTRY;
use crate::store::{StateDir, StoreError, state_dir::open_private};

const NAME: &str = "journal";
const NEW: &str = "journal.new";
const DAMAGED: &str = "journal.damaged";
pub(super) const MAGIC: &[u8; 7] = b"iamdjnl";
pub(super) const FORMAT: u8 = 1;
const HEADER: u64 = 8;
const PREFIX: usize = 8;
const FIXED: usize = 9;
/// A file smaller than this is never written anew.
const REWRITE_ABOVE: u64 = 64 << 10;
/// What is set aside for answers that are on their way: dozens of them, which is more than an issuer
/// is asked for at a time; and what is left of it when it is set aside anew.
const ROOM: u64 = 128 << 10;
const LEAST_ROOM: u64 = 64 << 10;

/// One line of the file.
pub(super) enum Line<'a> {
    /// An entry and its payload.
    Entry(u64, &'a [u8]),
    /// The entry with this id is settled.
    Settled(u64),
}

#[derive(Debug)]
pub(super) struct JournalFile {
    dir: StateDir,
    path: PathBuf,
    file: File,
    length: u64,
    next_id: u64,
    /// Nothing is known of the file's end.
    broken: bool,
    /// Something was written and not synced.
    unsynced: bool,
    /// Up to here the file has its blocks on the disk, whatever its length.
    room_to: u64,
}

impl JournalFile {
    /// The file, ready to append to, and what in it is not settled.
    pub(super) fn open(dir: &StateDir) -> Result<(Self, BTreeMap<u64, Vec<u8>>), StoreError> {
        let path = dir.join(NAME);
        let mut file = open_private(&path)?;
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes).map_err(|e| StoreError::io(&path, &e))?;
        let found = scan(&path, &bytes)?;
        if found.damaged {
            let aside = dir.join(DAMAGED);
            fs::copy(&path, &aside).map_err(|e| StoreError::io(&aside, &e))?;
            tracing::error!(
                path = %path.display(), kept_as = %aside.display(),
                "the journal was damaged; the entries that can be read are used"
            );
        }
        let dropped = bytes.len() as u64 - found.end.min(bytes.len() as u64);
        if dropped > 0 {
            tracing::warn!(
                path = %path.display(), bytes = dropped,
                "the journal ends in an entry that was never finished; cut off"
            );
        }
        let mut journal = Self {
            dir: dir.clone(),
            path,
            file,
            length: found.end,
            next_id: found.last_id + 1,
            broken: false,
            // What the last process wrote may still be in the kernel only.
            unsynced: true,
            room_to: 0,
        };
        if bytes.len() < HEADER as usize || found.damaged {
            journal.rewrite(&found.live)?;
        } else if dropped > 0 {
            journal.cut().map_err(|e| StoreError::io(&journal.path, &e))?;
        }
        Ok((journal, found.live))
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    pub(super) fn next_id(&self) -> u64 {
        self.next_id
    }

    pub(super) fn is_broken(&self) -> bool {
        self.broken
    }

    /// Appends lines, all or none.
    pub(super) fn write(&mut self, lines: &[Line<'_>], sync: bool) -> Result<(), StoreError> {
        let mut bytes = Vec::new();
        for line in lines {
            encode(line, &mut bytes);
        }
        if let Err(error) = self.write_at_end(&bytes) {
            // A full disk may have taken a part.
            self.broken = self.cut().is_err();
            return Err(StoreError::io(&self.path, &error));
        }
        self.unsynced = true;
        crate::fault_point!("journal.written");
        if sync {
            self.sync()?;
        }
        self.length += bytes.len() as u64;
        for line in lines {
            if let Line::Entry(id, _) = line {
                self.next_id = self.next_id.max(id + 1);
            }
        }
        Ok(())
    }

    pub(super) fn sync(&mut self) -> Result<(), StoreError> {
        if !self.unsynced {
            return Ok(());
        }
        self.file.sync_data().map_err(|error| {
            // The kernel may have dropped the pages: a second sync would succeed and mean nothing.
            self.broken = true;
            StoreError::io(&self.path, &error)
        })?;
        self.unsynced = false;
        Ok(())
    }

    /// Has the file system set blocks aside beyond the end of the file, which stays where it is.
    pub(super) fn make_room(&mut self) -> Result<(), StoreError> {
        if self.room_to >= self.length + LEAST_ROOM {
            return Ok(());
        }
        match fallocate(&self.file, FallocateFlags::KEEP_SIZE, self.length, ROOM) {
            // A file system that cannot: nothing is known beforehand, as before.
            Ok(()) | Err(Errno::OPNOTSUPP | Errno::NOSYS) => {
                self.room_to = self.length + ROOM;
                Ok(())
            }
            Err(errno) => Err(StoreError::io(&self.path, &errno.into())),
        }
    }

    /// Whether most of the file is of no more use.
    pub(super) fn wants_rewrite(&self, live: &BTreeMap<u64, Vec<u8>>) -> bool {
        let needed: usize = live.values().map(|payload| PREFIX + FIXED + payload.len()).sum();
        self.length > REWRITE_ABOVE && self.length > 2 * (HEADER + needed as u64)
    }

    /// Replaces the file by one with only these entries. The old one stays until the new one is
    /// whole and durable.
    pub(super) fn rewrite(&mut self, live: &BTreeMap<u64, Vec<u8>>) -> Result<(), StoreError> {
        let mut bytes = Vec::with_capacity(HEADER as usize);
        bytes.extend_from_slice(MAGIC);
        bytes.push(FORMAT);
        for (&id, payload) in live {
            encode(&Line::Entry(id, payload), &mut bytes);
        }
        let new = self.dir.join(NEW);
        let file = self.write_new(&new, &bytes).map_err(|error| {
            drop(fs::remove_file(&new));
            StoreError::io(&new, &error)
        })?;
        self.file = file;
        self.length = bytes.len() as u64;
        self.room_to = 0;
        // Until the rename is durable the old file may come back.
        self.broken = true;
        self.dir.sync()?;
        (self.broken, self.unsynced) = (false, false);
        Ok(())
    }

    fn write_new(&self, new: &Path, bytes: &[u8]) -> std::io::Result<File> {
        match fs::remove_file(new) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let mut options = OpenOptions::new();
        let mut file = options.read(true).write(true).create_new(true).mode(0o600).open(new)?;
        file.write_all(bytes)?;
        file.sync_all()?;
        crate::fault_point!("journal.rewritten");
        fs::rename(new, &self.path)?;
        crate::fault_point!("journal.renamed");
        Ok(file)
    }

    fn write_at_end(&mut self, bytes: &[u8]) -> std::io::Result<()> {
        self.file.seek(SeekFrom::Start(self.length))?;
        self.file.write_all(bytes)
    }

    fn cut(&mut self) -> std::io::Result<()> {
        // That gives back what was set aside beyond it, too.
        self.room_to = 0;
        self.file.set_len(self.length)?;
        self.file.sync_data()
    }
}

pub(super) fn encode(line: &Line<'_>, bytes: &mut Vec<u8>) {
    let (kind, id, payload): (u8, u64, &[u8]) = match *line {
        Line::Entry(id, payload) => (1, id, payload),
        Line::Settled(id) => (2, id, &[]),
    };
    let mut checksum = crc32fast::Hasher::new();
    checksum.update(&[kind]);
    checksum.update(&id.to_le_bytes());
    checksum.update(payload);
    let length = u32::try_from(FIXED + payload.len()).unwrap_or(u32::MAX);
    bytes.extend_from_slice(&length.to_le_bytes());
    bytes.extend_from_slice(&checksum.finalize().to_le_bytes());
    bytes.push(kind);
    bytes.extend_from_slice(&id.to_le_bytes());
    bytes.extend_from_slice(payload);
}

pub(super) struct Found {
    pub(super) live: BTreeMap<u64, Vec<u8>>,
    last_id: u64,
    /// Where the last good line ends.
    end: u64,
    /// Something that is not a line stands before a good one.
    damaged: bool,
}

pub(super) fn scan(path: &Path, bytes: &[u8]) -> Result<Found, StoreError> {
    let mut found = Found { live: BTreeMap::new(), last_id: 0, end: HEADER, damaged: false };
    if bytes.len() < HEADER as usize {
        // The node died while the first eight bytes were written: no entry was ever appended.
        return Ok(found);
    }
    if &bytes[..MAGIC.len()] != MAGIC {
        let path = path.display().to_string();
        return Err(StoreError::Corrupt { path, what: "not a journal of iamd".into() });
    }
    if bytes[MAGIC.len()] != FORMAT {
        let (found, known) = (bytes[MAGIC.len()].into(), FORMAT.into());
        return Err(StoreError::Newer { path: path.display().to_string(), found, known });
    }
    let mut at = HEADER as usize;
    while at < bytes.len() {
        let Some((line, length)) = decode(&bytes[at..]) else {
            at += 1;
            continue;
        };
        found.damaged |= at as u64 != found.end;
        at += length;
        found.end = at as u64;
        match line {
            Line::Entry(id, payload) => {
                found.last_id = found.last_id.max(id);
                found.live.insert(id, payload.to_owned());
            }
            Line::Settled(id) => {
                found.last_id = found.last_id.max(id);
                found.live.remove(&id);
            }
        }
    }
    Ok(found)
}

/// The line at the beginning of `bytes`, and its length in the file.
fn decode(bytes: &[u8]) -> Option<(Line<'_>, usize)> {
    let length = u32::from_le_bytes(bytes.get(..4)?.try_into().ok()?) as usize;
    if !(FIXED..=FIXED + LARGEST_ENTRY).contains(&length) {
        return None;
    }
    let checksum = u32::from_le_bytes(bytes.get(4..PREFIX)?.try_into().ok()?);
    let body = bytes.get(PREFIX..PREFIX + length)?;
    if crc32fast::hash(body) != checksum {
        return None;
    }
    let id = u64::from_le_bytes(body.get(1..FIXED)?.try_into().ok()?);
    let line = match body[0] {
        1 => Line::Entry(id, &body[FIXED..]),
        2 if length == FIXED => Line::Settled(id),
        _ => return None,
    };
    Some((line, PREFIX + length))
}
