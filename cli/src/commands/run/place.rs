//! Where the command finds its token: a file in a directory that only the user can enter, on a
//! file system in memory where there is one. It works without a session of iamd's.
//!
//! Who lives in a directory holds a lock on it. The kernel takes the lock away when a process
//! ends, however it ends: the next `iamctl run` removes what one left that was killed.
//!
//! A place may go while the command runs: logind removes a user's runtime directory after the last
//! logout, and there are those who tidy up. It is looked at again and again, by its path as the command
//! does, and made anew at the same path, which is all that the command knows.

use std::ffi::{OsStr, OsString};
use std::io::Result;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use iamd_protocol::variables::XDG_RUNTIME_DIR;
use rustix::fs::{FlockOperation, flock};
use rustix::io::Errno;

use crate::environment::Environment;
use crate::private::Directory;

/// How the names of the directories begin.
const PREFIX: &str = "iamctl-run-";
/// How often a directory is made anew because one who sweeps was quicker.
const TRIES: usize = 16;
/// The file's name in its directory.
const FILE: &str = "token";

/// A directory with a token file.
pub(super) struct Place {
    path: PathBuf,
    name: OsString,
    uid: u32,
    must_be_own: bool,
    /// Closed at the end, with whatever is still being written.
    own: Mutex<Option<Own>>,
    file: PathBuf,
}

/// The directory that is lived in.
struct Own {
    base: Directory,
    directory: Directory,
    /// The file that was written last, by its inode.
    written: Option<(u64, u64)>,
}

/// What a look at the place found.
#[derive(Debug)]
pub(super) enum Seen {
    /// All is there, or nothing is to be there any more.
    There,
    /// Something was gone; there is a place again, and no token in it yet.
    MadeAnew,
    /// The directory is gone and cannot be made.
    Gone(std::io::Error),
}

impl Place {
    /// Makes the directory, after removing those whose owner is gone.
    ///
    /// # Errors
    /// No directory can be trusted or written to; the last reason.
    pub(super) fn make(environment: &Environment) -> Result<Self> {
        let mut failure = None;
        for (path, must_be_own) in bases(environment) {
            match Self::make_in(&path, environment.uid, must_be_own) {
                Ok(place) => return Ok(place),
                Err(error) => failure = Some(error),
            }
        }
        Err(failure.unwrap_or_else(|| std::io::ErrorKind::NotFound.into()))
    }

    fn make_in(path: &Path, uid: u32, must_be_own: bool) -> Result<Self> {
        let base = open(path, uid, must_be_own)?;
        sweep(&base);
        for _ in 0..TRIES {
            let (name, directory) = base.make(PREFIX)?;
            // One who sweeps may have taken it for abandoned before it was locked. Without another
            // descriptor: a process that has none left would be told that it is gone.
            if lock(&directory) && base.has(&name, &directory) {
                let file = path.join(&name).join(FILE);
                let own = Mutex::new(Some(Own { base, directory, written: None }));
                return Ok(Self { path: path.to_owned(), name, uid, must_be_own, own, file });
            }
        }
        Err(std::io::ErrorKind::ResourceBusy.into())
    }

    /// The path of the token file.
    pub(super) fn file(&self) -> &Path {
        &self.file
    }

    /// The directory that the place was made in.
    pub(super) fn base(&self) -> &Path {
        &self.path
    }

    /// Writes the token, in place of the one that is there.
    ///
    /// # Errors
    /// Such as a full disk.
    pub(super) fn put(&self, token: &str) -> Result<()> {
        match &mut *self.own.lock().unwrap_or_else(PoisonError::into_inner) {
            Some(own) => {
                own.directory.write(OsStr::new(FILE), token.as_bytes())?;
                own.written = own.directory.inode(OsStr::new(FILE));
                Ok(())
            }
            None => Ok(()),
        }
    }

    /// Whether the command finds what was put there. What it does not find is made anew, but for the
    /// token.
    pub(super) fn look(&self) -> Seen {
        let mut held = self.own.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(own) = &mut *held else { return Seen::There };
        // By the path: what a descriptor says of a directory that was removed or unmounted is no help.
        if own.directory.is_at(&self.path.join(&self.name)) {
            if own.written.is_none() || own.directory.inode(OsStr::new(FILE)) == own.written {
                return Seen::There;
            }
            own.written = None;
            return Seen::MadeAnew;
        }
        // Wherever it is now, nobody is to find a token there.
        let _ = own.directory.remove(OsStr::new(FILE));
        own.written = None;
        match self.make_again() {
            Ok(new) => {
                *own = new;
                Seen::MadeAnew
            }
            Err(error) => Seen::Gone(error),
        }
    }

    /// The directory of the same name, where nothing has that name.
    fn make_again(&self) -> Result<Own> {
        let base = open(&self.path, self.uid, self.must_be_own)?;
        for _ in 0..TRIES {
            let directory = base.make_named(&self.name)?;
            if lock(&directory) && base.has(&self.name, &directory) {
                return Ok(Own { base, directory, written: None });
            }
        }
        Err(std::io::ErrorKind::ResourceBusy.into())
    }

    /// Removes the token, and leaves the directory for the next one.
    pub(super) fn take_away(&self) {
        if let Some(own) = &mut *self.own.lock().unwrap_or_else(PoisonError::into_inner) {
            own.written = None;
            let _ = own.directory.remove(OsStr::new(FILE));
        }
    }

    /// Removes the directory. Nothing is written after that.
    pub(super) fn close(&self) {
        if let Some(own) = self.own.lock().unwrap_or_else(PoisonError::into_inner).take() {
            // By its name: to list what is in the directory takes a descriptor.
            let _ = own.directory.remove(OsStr::new(FILE));
            let _ = own.base.remove_with_files(&self.name, &own.directory);
        }
    }
}

/// The directory that a place may be made in.
fn open(path: &Path, uid: u32, must_be_own: bool) -> Result<Directory> {
    let base = Directory::open(path, uid)?;
    if must_be_own && !base.is_own() {
        return Err(std::io::ErrorKind::PermissionDenied.into());
    }
    Ok(base)
}

/// Where a directory may be made, the best place first; and whether it has to be the user's own. A
/// `/run/user/UID` that the environment does not name is a session's of somewhere else, and goes when
/// that ends: for a job of cron or of a batch system that is at any moment.
fn bases(environment: &Environment) -> Vec<(PathBuf, bool)> {
    let absolute = |name: &str| {
        environment.non_empty(name).map(PathBuf::from).filter(|path| path.is_absolute())
    };
    // In memory, unlike /tmp on many nodes. The directory of iamd's own files is the daemon's to write.
    let shared =
        [Some(environment.path("/dev/shm")), absolute("TMPDIR"), Some(environment.path("/tmp"))];
    let own = absolute(XDG_RUNTIME_DIR).into_iter().map(|path| (path, true));
    own.chain(shared.into_iter().flatten().map(|path| (path, false))).collect()
}

/// Removes the directories that nobody lives in.
fn sweep(base: &Directory) {
    for name in base.begin_with(PREFIX) {
        let Ok(directory) = base.own(&name) else { continue };
        if flock(&directory, FlockOperation::NonBlockingLockExclusive).is_ok() {
            let _ = base.remove_with_files(&name, &directory);
        }
    }
}

/// Whether the directory may be lived in. Where a file system has no locks nobody sweeps.
fn lock(own: &Directory) -> bool {
    flock(own, FlockOperation::NonBlockingLockExclusive) != Err(Errno::WOULDBLOCK)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn surroundings(root: &Path) -> Environment {
        let runtime = root.join("runtime");
        std::fs::create_dir_all(&runtime).unwrap();
        std::fs::create_dir_all(root.join("tmp")).unwrap();
        Environment::for_test(&[(XDG_RUNTIME_DIR, runtime.to_str().unwrap())], root)
    }

    #[test]
    fn the_users_runtime_directory_is_best_and_nothing_is_left_there() {
        let root = tempfile::tempdir().unwrap();
        let environment = surroundings(root.path());
        let place = Place::make(&environment).unwrap();
        assert!(place.file().starts_with(root.path().join("runtime")));
        place.put("one").unwrap();
        assert_eq!(std::fs::read(place.file()).unwrap(), b"one");
        place.take_away();
        assert!(!place.file().exists());
        place.put("two").unwrap();
        place.close();
        assert_eq!(std::fs::read_dir(root.path().join("runtime")).unwrap().count(), 0);
        place.put("three").unwrap();
        assert_eq!(std::fs::read_dir(root.path().join("runtime")).unwrap().count(), 0);
    }

    #[test]
    fn without_a_runtime_directory_of_the_users_own_it_is_in_memory_and_else_in_tmp() {
        use std::os::unix::fs::PermissionsExt;
        let root = tempfile::tempdir().unwrap();
        let environment = surroundings(root.path());
        let shared = std::fs::Permissions::from_mode(0o1777);
        std::fs::set_permissions(root.path().join("runtime"), shared.clone()).unwrap();
        let memory = root.path().join("dev/shm");
        std::fs::create_dir_all(&memory).unwrap();
        std::fs::set_permissions(&memory, shared).unwrap();
        let place = Place::make(&environment).unwrap();
        assert!(place.file().starts_with(&memory), "{:?}", place.file());
        place.close();
        std::fs::remove_dir_all(root.path().join("dev")).unwrap();
        let place = Place::make(&environment).unwrap();
        assert!(place.file().starts_with(root.path().join("tmp")), "{:?}", place.file());
        place.close();
        std::fs::remove_dir(root.path().join("tmp")).unwrap();
        std::fs::remove_dir(root.path().join("runtime")).unwrap();
        assert!(Place::make(&environment).is_err());
    }

    #[test]
    fn what_somebody_left_who_was_killed_is_removed_and_what_is_lived_in_stays() {
        let root = tempfile::tempdir().unwrap();
        let environment = surroundings(root.path());
        let lived_in = Place::make(&environment).unwrap();
        lived_in.put("one").unwrap();
        let abandoned = Place::make(&environment).unwrap();
        abandoned.put("old").unwrap();
        let old = abandoned.file().to_owned();
        drop(abandoned);
        assert!(old.exists());
        let next = Place::make(&environment).unwrap();
        assert!(!old.parent().unwrap().exists());
        assert!(lived_in.file().exists() && next.file().parent().unwrap().exists());
    }

    #[test]
    fn a_runtime_directory_that_the_environment_does_not_name_is_not_taken() {
        let root = tempfile::tempdir().unwrap();
        let uid = nix::unistd::geteuid();
        let session = root.path().join(format!("run/user/{uid}"));
        let memory = root.path().join("dev/shm");
        for directory in [&session, &memory] {
            std::fs::create_dir_all(directory).unwrap();
        }
        let place = Place::make(&Environment::for_test(&[], root.path())).unwrap();
        assert!(place.file().starts_with(&memory), "{:?}", place.file());
        place.close();
        let named = [(XDG_RUNTIME_DIR, session.to_str().unwrap())];
        let place = Place::make(&Environment::for_test(&named, root.path())).unwrap();
        assert!(place.file().starts_with(&session), "{:?}", place.file());
        place.close();
    }

    #[test]
    fn what_is_gone_is_made_anew_at_the_same_path_and_as_private() {
        use std::os::unix::fs::PermissionsExt;
        let root = tempfile::tempdir().unwrap();
        let runtime = root.path().join("runtime");
        let place = Place::make(&surroundings(root.path())).unwrap();
        let directory = place.file().parent().unwrap().to_owned();
        let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o7777;
        place.put("one").unwrap();
        assert!(matches!(place.look(), Seen::There));
        // The file; the directory; all that is above it, as logind does; another file at the path.
        let gone: [&dyn Fn(); 4] = [
            &|| std::fs::remove_file(place.file()).unwrap(),
            &|| std::fs::remove_dir_all(&directory).unwrap(),
            &|| {
                std::fs::rename(&runtime, root.path().join("away")).unwrap();
                std::fs::create_dir(&runtime).unwrap();
            },
            &|| {
                std::fs::write(directory.join("other"), "other").unwrap();
                std::fs::rename(directory.join("other"), place.file()).unwrap();
            },
        ];
        for (number, go) in gone.iter().enumerate() {
            go();
            assert!(matches!(place.look(), Seen::MadeAnew), "{number}");
            // There is no token until one is put there.
            assert!(matches!(place.look(), Seen::There), "{number}");
            place.put("two").unwrap();
            assert_eq!(std::fs::read(place.file()).unwrap(), b"two", "{number}");
            assert_eq!((mode(&directory), mode(place.file())), (0o700, 0o600), "{number}");
            assert!(matches!(place.look(), Seen::There), "{number}");
        }
        let moved = root.path().join("away").join(directory.file_name().unwrap());
        assert!(!moved.join(FILE).exists(), "a token stays where nobody looks after it");
        place.take_away();
        assert!(matches!(place.look(), Seen::There));
        place.close();
        assert_eq!(std::fs::read_dir(&runtime).unwrap().count(), 0);
        assert!(matches!(place.look(), Seen::There));
    }

    #[test]
    fn nothing_of_somebody_elses_is_taken_for_the_place_and_it_comes_back_when_there_is_room() {
        let root = tempfile::tempdir().unwrap();
        let runtime = root.path().join("runtime");
        let place = Place::make(&surroundings(root.path())).unwrap();
        let directory = place.file().parent().unwrap().to_owned();
        place.put("one").unwrap();
        // Another directory has the name: it may be anybody's, and stays as it is.
        std::fs::rename(&directory, runtime.join("away")).unwrap();
        std::fs::create_dir(&directory).unwrap();
        assert!(matches!(place.look(), Seen::Gone(_)));
        assert_eq!(std::fs::read_dir(&directory).unwrap().count(), 0);
        std::fs::remove_dir_all(&runtime).unwrap();
        let Seen::Gone(error) = place.look() else { panic!("it cannot be there") };
        assert_eq!(error.kind(), std::io::ErrorKind::NotFound);
        // A link is not followed to a directory of others, nor one taken that they may write to.
        std::fs::create_dir(&runtime).unwrap();
        let shared = std::os::unix::fs::PermissionsExt::from_mode(0o1777);
        std::fs::set_permissions(&runtime, shared).unwrap();
        assert!(matches!(place.look(), Seen::Gone(_)));
        let own = std::os::unix::fs::PermissionsExt::from_mode(0o700);
        std::fs::set_permissions(&runtime, own).unwrap();
        assert!(matches!(place.look(), Seen::MadeAnew));
        place.put("two").unwrap();
        assert_eq!(std::fs::read(place.file()).unwrap(), b"two");
        place.close();
        assert_eq!(std::fs::read_dir(&runtime).unwrap().count(), 0);
    }

    /// In a process that is started with few descriptors, and where the one who starts it looks.
    const ROOT: &str = "IAMCTL_TEST_PLACE_WITH_FEW_DESCRIPTORS";

    #[test]
    fn without_descriptors_no_directory_is_left_and_nothing_is_tried_for_ever() {
        if let Some(root) = std::env::var_os(ROOT) {
            match Place::make(&surroundings(Path::new(&root))) {
                Ok(place) => {
                    let put = place.put("t");
                    place.close();
                    println!("made, {put:?}");
                }
                Err(error) => println!("none made: {error}"),
            }
            return;
        }
        let name = std::thread::current().name().unwrap().to_owned();
        let program = std::env::current_exe().unwrap();
        let [mut made, mut not_made] = [0, 0];
        for most in 3..24 {
            let root = tempfile::tempdir().unwrap();
            let outcome = std::process::Command::new("timeout")
                .args(["20", "sh", "-c", &format!("ulimit -n {most}; exec \"$@\""), "sh"])
                .arg(&program)
                .args(["--exact", &name, "--nocapture", "--test-threads=1"])
                .env(ROOT, root.path())
                .output()
                .unwrap();
            assert_ne!(outcome.status.code(), Some(124), "tried for ever with {most}");
            let said = String::from_utf8_lossy(&outcome.stdout);
            made += usize::from(said.contains("made, Ok"));
            not_made += usize::from(said.contains("none made: Too many open files"));
            for place in ["runtime", "tmp"].map(|place| root.path().join(place)) {
                let left = std::fs::read_dir(place).map_or(0, Iterator::count);
                assert_eq!(left, 0, "with {most}: {said}");
            }
        }
        assert!(made > 0 && not_made > 0, "{made} made, {not_made} not made");
    }
}
