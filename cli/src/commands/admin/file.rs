//! The file of a backup: root's alone from its first byte, and at its name only when it is whole.

use std::ffi::OsString;
use std::fs::{self, File, OpenOptions};
use std::io::{ErrorKind, Read};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use iamd_protocol::error::Kind;
use nix::fcntl::OFlag;

use crate::failure::Failure;
use crate::interrupt;

/// What a backup begins with.
const MAGIC: &[u8] = b"iamdbak";

/// A file that is being written. Dropped before [`Partial::finish`], or when the program is told
/// to end, it is removed.
pub(super) struct Partial {
    file: File,
    path: PathBuf,
    target: PathBuf,
    kept: bool,
}

impl Partial {
    /// Begins a file in the directory of `target`.
    ///
    /// # Errors
    /// [`Kind::FileNotWritten`].
    pub(super) fn create(target: &Path) -> Result<Self, Failure> {
        check_target(target)?;
        let mut partial = OsString::from(".");
        // What has no name is a directory, and was refused.
        partial.push(target.file_name().unwrap_or_default());
        partial.push(format!(".partial-{}", std::process::id()));
        let path = target.with_file_name(partial);
        let removed = path.clone();
        interrupt::before_the_end(move || drop(fs::remove_file(&removed)));
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .create_new(true)
            .mode(0o600)
            .custom_flags(OFlag::O_NOFOLLOW.bits())
            .open(&path)
            .map_err(|error| refused(target, &error.to_string()))?;
        Ok(Self { file, path, target: target.to_owned(), kept: false })
    }

    /// To write to.
    ///
    /// # Errors
    /// [`Kind::FileNotWritten`].
    pub(super) fn file(&self) -> Result<File, Failure> {
        self.file.try_clone().map_err(|error| self.failed(&error))
    }

    /// Puts the file to its name, durably.
    ///
    /// # Errors
    /// [`Kind::FileNotWritten`]; what was at that name is there still.
    pub(super) fn finish(mut self) -> Result<(), Failure> {
        let done = self.file.sync_all().and_then(|()| fs::rename(&self.path, &self.target));
        done.map_err(|error| self.failed(&error))?;
        self.kept = true;
        let directory = match self.target.parent() {
            Some(parent) if !parent.as_os_str().is_empty() => parent,
            _ => Path::new("."),
        };
        let synced = File::open(directory).and_then(|directory| directory.sync_all());
        synced.map_err(|error| self.failed(&error))
    }

    /// Why it was not written.
    pub(super) fn failed(&self, error: &std::io::Error) -> Failure {
        refused(&self.target, &error.to_string())
    }
}

impl Drop for Partial {
    fn drop(&mut self) {
        if !self.kept {
            // Whoever sees it left behind sees a name that says what it is.
            let _ = fs::remove_file(&self.path);
        }
    }
}

/// What is replaced has to be a backup: a name that was mistyped costs nobody a file.
///
/// # Errors
/// [`Kind::FileNotWritten`].
pub(super) fn check_target(target: &Path) -> Result<(), Failure> {
    let found = match fs::symlink_metadata(target) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(refused(target, &error.to_string())),
        Ok(found) => found,
    };
    if !found.is_file() {
        return Err(refused(target, "there is something that is no plain file"));
    }
    let mut begin = [0; MAGIC.len()];
    let read = File::open(target).and_then(|mut file| file.read(&mut begin));
    match read {
        Ok(length) if found.size() == 0 || begin[..length] == *MAGIC => Ok(()),
        Ok(_) => Err(refused(target, "there is a file that is no backup of iamd")),
        Err(error) => Err(refused(target, &error.to_string())),
    }
}

fn refused(target: &Path, why: &str) -> Failure {
    Failure::new(Kind::FileNotWritten, format!("{}: {why}", target.display()))
        .advise("Name a file in a directory of root's, with room for it.")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(directory: &Path) -> Vec<OsString> {
        fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().file_name()).collect()
    }

    #[test]
    fn a_file_is_private_and_at_its_name_only_when_it_is_whole() {
        let directory = tempfile::tempdir().unwrap();
        let target = directory.path().join("iamd.backup");
        for text in ["iamdbak one", "iamdbak two"] {
            let partial = Partial::create(&target).unwrap();
            std::io::Write::write_all(&mut partial.file().unwrap(), text.as_bytes()).unwrap();
            assert_ne!(fs::read_to_string(&target).unwrap_or_default(), text);
            partial.finish().unwrap();
            assert_eq!(fs::read_to_string(&target).unwrap(), text);
            assert_eq!(target.metadata().unwrap().mode() & 0o7777, 0o600);
            assert_eq!(names(directory.path()).len(), 1);
        }
        drop(Partial::create(&target).unwrap());
        assert_eq!(names(directory.path()).len(), 1, "nothing half done is left");
    }

    #[test]
    fn what_is_no_backup_is_not_replaced() {
        let directory = tempfile::tempdir().unwrap();
        let target = directory.path().join("passwd");
        fs::write(&target, "root:x:0:0").unwrap();
        let link = directory.path().join("link");
        std::os::unix::fs::symlink(&target, &link).unwrap();
        for target in [&target, &link, &directory.path().to_owned(), &"/".into()] {
            assert!(Partial::create(target).is_err(), "{}", target.display());
        }
        assert_eq!(fs::read_to_string(&target).unwrap(), "root:x:0:0");
        assert_eq!(names(directory.path()).len(), 2);
    }
}
