//! The state directory (`/var/lib/iamd`): only ours, and only one process at a time.
//!
//! SQLite would let a second process write too, and the journal would be torn by one; so the
//! directory is locked as a whole, for as long as anything in it is open.

use std::{
    fs::{self, DirBuilder, File, OpenOptions, TryLockError},
    io::{self, Read, Seek, SeekFrom, Write},
    os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt},
    path::{Path, PathBuf},
    sync::Arc,
};

use rustix::{fs::OFlags, process::geteuid};

use super::StoreError;

const LOCK_FILE: &str = "iamd.lock";

/// The locked state directory. Clones share the lock; the last one dropped releases it.
#[derive(Debug, Clone)]
pub struct StateDir {
    path: Arc<Path>,
    _lock: Arc<Locked>,
}

impl StateDir {
    /// Makes the directory (0700) where it is not there, checks it and takes its lock.
    ///
    /// # Errors
    /// [`StoreError::InUse`] when another process has it, [`StoreError::Unsafe`] when others could
    /// write to it, [`StoreError::Unavailable`] when it cannot be made or opened.
    pub fn open(path: &Path) -> Result<Self, StoreError> {
        match DirBuilder::new().mode(0o700).create(path) {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            Err(error) => return Err(StoreError::io(path, &error)),
        }
        let found = path.symlink_metadata().map_err(|e| StoreError::io(path, &e))?;
        if !found.is_dir() {
            return Err(unsafe_(path, "not a directory; move it away"));
        }
        if found.uid() != geteuid().as_raw() {
            return Err(unsafe_(path, "belongs to somebody else; chown it to root"));
        }
        if found.mode() & 0o022 != 0 {
            let what =
                "others can write to it: look for files that are not iamd's, then chmod 0700";
            return Err(unsafe_(path, what));
        }
        if found.mode() & 0o077 != 0 {
            tracing::warn!(path = %path.display(), "others could read it; now 0700");
            fs::set_permissions(path, fs::Permissions::from_mode(0o700))
                .map_err(|e| StoreError::io(path, &e))?;
        }
        let lock = take_lock(&path.join(LOCK_FILE))?;
        Ok(Self { path: path.into(), _lock: Arc::new(Locked(lock)) })
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// A file in it.
    pub(crate) fn join(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }

    /// Makes a rename or a new file in it durable.
    pub(crate) fn sync(&self) -> Result<(), StoreError> {
        let synced = File::open(&self.path).and_then(|dir| dir.sync_all());
        synced.map_err(|e| StoreError::io(&self.path, &e))
    }
}

/// Unlocked by hand: a program that is being started has the descriptor too, until its exec.
#[derive(Debug)]
struct Locked(File);

impl Drop for Locked {
    fn drop(&mut self) {
        // What fails here the kernel does when the last descriptor is closed.
        drop(self.0.unlock());
    }
}

/// Opens a file of ours to read and write, makes it (0600) where it is not there, and takes
/// others' permissions away from one that is.
pub(crate) fn open_private(path: &Path) -> Result<File, StoreError> {
    let no_follow = i32::try_from(OFlags::NOFOLLOW.bits()).unwrap_or_default();
    let file = OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .custom_flags(no_follow)
        .open(path)
        .map_err(|e| StoreError::io(path, &e))?;
    let found = file.metadata().map_err(|e| StoreError::io(path, &e))?;
    if !found.is_file() {
        return Err(unsafe_(path, "not a plain file; move it away"));
    }
    if found.uid() != geteuid().as_raw() {
        return Err(unsafe_(path, "belongs to somebody else; chown it to root"));
    }
    if found.mode() & 0o077 != 0 {
        tracing::warn!(path = %path.display(), "others had permissions on it; taken away");
        let only_ours = fs::Permissions::from_mode(0o600);
        file.set_permissions(only_ours).map_err(|e| StoreError::io(path, &e))?;
    }
    Ok(file)
}

fn take_lock(path: &Path) -> Result<File, StoreError> {
    let mut file = open_private(path)?;
    match file.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => {
            let mut text = String::new();
            let read = (&file).take(32).read_to_string(&mut text);
            let by = read.ok().and_then(|_| text.trim().parse().ok());
            return Err(StoreError::InUse { path: path.display().to_string(), by });
        }
        Err(TryLockError::Error(error)) => return Err(StoreError::io(path, &error)),
    }
    // The pid only helps whoever reads the error; on a full disk there is none.
    let noted = file
        .set_len(0)
        .and_then(|()| file.seek(SeekFrom::Start(0)))
        .and_then(|_| writeln!(file, "{}", std::process::id()));
    if let Err(error) = noted {
        tracing::warn!(path = %path.display(), %error, "could not note our process id");
    }
    Ok(file)
}

fn unsafe_(path: &Path, what: &str) -> StoreError {
    StoreError::Unsafe { path: path.display().to_string(), what: what.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_opener_is_told_who_has_it_and_gets_it_once_the_first_is_gone() {
        let temp = tempfile::tempdir().unwrap();
        let path = temp.path().join("state");
        let first = StateDir::open(&path).unwrap();
        assert_eq!(path.metadata().unwrap().mode() & 0o7777, 0o700);
        let clone = first.clone();
        drop(first);
        let error = StateDir::open(&path).unwrap_err();
        let ours = std::process::id();
        assert!(matches!(error, StoreError::InUse { by: Some(pid), .. } if pid == ours));
        assert!(error.to_string().contains(&format!("process {ours}")), "{error}");
        drop(clone);
        StateDir::open(&path).unwrap();
    }

    #[test]
    fn a_directory_that_others_can_read_is_closed_to_them_and_one_they_can_write_is_refused() {
        let temp = tempfile::tempdir().unwrap();
        fs::set_permissions(temp.path(), fs::Permissions::from_mode(0o755)).unwrap();
        StateDir::open(temp.path()).unwrap();
        assert_eq!(temp.path().metadata().unwrap().mode() & 0o7777, 0o700);
        fs::set_permissions(temp.path(), fs::Permissions::from_mode(0o770)).unwrap();
        let error = StateDir::open(temp.path()).unwrap_err().to_string();
        assert!(error.contains("chmod 0700"), "{error}");
        let file = temp.path().join("file");
        fs::write(&file, "").unwrap();
        assert!(StateDir::open(&file).unwrap_err().to_string().contains("not a directory"));
    }

    #[test]
    fn a_link_in_place_of_a_file_of_ours_is_not_followed() {
        let temp = tempfile::tempdir().unwrap();
        let victim = temp.path().join("victim");
        fs::write(&victim, "").unwrap();
        std::os::unix::fs::symlink(&victim, temp.path().join("journal")).unwrap();
        assert!(open_private(&temp.path().join("journal")).is_err());
    }
}
