//! Where account files are, and how one is read: never through a link, never from what is no file,
//! never more than an account can be, and from nobody else's hand.

use std::ffi::{OsStr, OsString};
use std::io::{Error, ErrorKind, Read};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use rustix::fs::{self, AtFlags, FileType, Mode, OFlags, Stat};
use zeroize::Zeroizing;

use super::LARGEST;
use crate::environment::Environment;
use crate::output::text;
use crate::private::Directory;

/// Ends of names in oidc-agent's directory that are no accounts.
const OTHERS: [&str; 6] = [".config", ".clientconfig", ".options", ".stats", ".pid", ".bak"];

/// Why a file was not read.
#[derive(Debug, thiserror::Error)]
pub(crate) enum NoFile {
    /// The system says so, or it is not ours to trust.
    #[error("{0}")]
    Io(#[from] Error),
    /// A link, a pipe, a device, a directory.
    #[error("this is {0}, not a file")]
    NotAFile(&'static str),
    /// Somebody else could have one sign in as them.
    #[error("the file belongs to another user")]
    Foreign,
    /// No account is so large.
    #[error("the file is larger than {} KiB, which no account file is", LARGEST / 1024)]
    TooLarge,
}

/// A file that was read, held so that it is this one that can be removed.
#[derive(Debug)]
pub(crate) struct AccountFile {
    directory: Directory,
    name: OsString,
    identity: (u64, u64),
    /// What is in it.
    pub(crate) bytes: Zeroizing<Vec<u8>>,
}

impl AccountFile {
    /// Removes the file that was read; not another that has taken its name meanwhile.
    ///
    /// # Errors
    /// Such as a file system that is read only.
    pub(crate) fn remove(&self) -> Result<(), Error> {
        let stat = fs::statat(&self.directory, &*self.name, AtFlags::SYMLINK_NOFOLLOW)?;
        if (stat.st_dev, stat.st_ino) != self.identity {
            return Err(Error::other("another file has taken its place"));
        }
        self.directory.remove(&self.name)
    }
}

/// The directory of oidc-agent's files (`src/defines/settings.h` there).
pub(crate) fn directory(environment: &Environment) -> Option<PathBuf> {
    if let Some(directory) = environment.non_empty("OIDC_CONFIG_DIR") {
        return Some(PathBuf::from(directory));
    }
    let home = PathBuf::from(environment.non_empty("HOME")?);
    let newer = home.join(".config/oidc-agent");
    Some(if newer.is_dir() { newer } else { home.join(".oidc-agent") })
}

/// The file that somebody means by an account's short name or by a path.
pub(crate) fn locate(environment: &Environment, given: &Path) -> PathBuf {
    if given.as_os_str().as_bytes().contains(&b'/') {
        return given.to_owned();
    }
    let named = directory(environment).map(|directory| directory.join(given));
    named.filter(|path| path.symlink_metadata().is_ok()).unwrap_or_else(|| given.to_owned())
}

/// All files in oidc-agent's directory that may be accounts, in order; and the directory.
///
/// # Errors
/// There is no such directory, or it cannot be read.
pub(crate) fn all(environment: &Environment) -> Result<(PathBuf, Vec<PathBuf>), NoFile> {
    let directory = directory(environment).ok_or_else(|| Error::from(ErrorKind::NotFound))?;
    let mut names = Directory::open(&directory, environment.uid)?.begin_with("");
    names.retain(|name| may_be_account(name) && is_file(&directory.join(name)));
    names.sort();
    let paths = names.into_iter().map(|name| directory.join(name)).collect();
    Ok((directory, paths))
}

fn may_be_account(name: &OsStr) -> bool {
    let name = name.as_bytes();
    name != b"config"
        && !name.starts_with(b".")
        && !name.ends_with(b"~")
        && !OTHERS.iter().any(|end| name.ends_with(end.as_bytes()))
}

/// Links and pipes too: that they are not read is said. Directories are other things' places.
fn is_file(path: &Path) -> bool {
    path.symlink_metadata().is_ok_and(|metadata| !metadata.is_dir())
}

/// Reads a file.
///
/// # Errors
/// [`NoFile`].
pub(crate) fn read(path: &Path, uid: u32) -> Result<AccountFile, NoFile> {
    let name = path.file_name().ok_or(NoFile::NotAFile("a directory"))?;
    let parent = path.parent().unwrap_or_else(|| Path::new(""));
    let directory = Directory::open(parent, uid)?;
    // Looked at first: to open a device may do something already.
    check(&fs::statat(&directory, name, AtFlags::SYMLINK_NOFOLLOW).map_err(Error::from)?, uid)?;
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::NOCTTY;
    let file = fs::openat(&directory, name, flags | OFlags::CLOEXEC, Mode::empty());
    let file = file.map_err(Error::from)?;
    let stat = fs::fstat(&file).map_err(Error::from)?;
    check(&stat, uid)?;
    // Room enough that the buffer is not moved: an account may stand here as it is.
    let mut bytes = Zeroizing::new(Vec::with_capacity(LARGEST + 1));
    std::fs::File::from(file).take(LARGEST as u64 + 1).read_to_end(&mut bytes)?;
    if bytes.len() > LARGEST {
        return Err(NoFile::TooLarge);
    }
    let identity = (stat.st_dev, stat.st_ino);
    Ok(AccountFile { directory, name: name.to_owned(), identity, bytes })
}

fn check(stat: &Stat, uid: u32) -> Result<(), NoFile> {
    match FileType::from_raw_mode(stat.st_mode) {
        FileType::RegularFile if stat.st_uid == uid || stat.st_uid == 0 => Ok(()),
        FileType::RegularFile => Err(NoFile::Foreign),
        FileType::Symlink => Err(NoFile::NotAFile("a link")),
        FileType::Directory => Err(NoFile::NotAFile("a directory")),
        FileType::Fifo => Err(NoFile::NotAFile("a pipe")),
        FileType::Socket => Err(NoFile::NotAFile("a socket")),
        _ => Err(NoFile::NotAFile("a device")),
    }
}

/// A path as it is shown.
pub(crate) fn shown(path: &Path) -> String {
    text::clean(&path.to_string_lossy())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;
    use std::os::unix::net::UnixListener;

    use super::*;

    fn uid() -> u32 {
        nix::unistd::geteuid().as_raw()
    }

    fn why(path: &Path) -> String {
        read(path, uid()).unwrap_err().to_string()
    }

    #[test]
    fn only_a_file_of_the_users_own_is_read_and_nothing_waits() {
        let dir = tempfile::tempdir().unwrap();
        let at = |name: &str| dir.path().join(name);
        std::fs::write(at("account"), "{}").unwrap();
        assert_eq!(*read(&at("account"), uid()).unwrap().bytes, b"{}");
        symlink("account", at("link")).unwrap();
        assert_eq!(why(&at("link")), "this is a link, not a file");
        nix::unistd::mkfifo(&at("pipe"), nix::sys::stat::Mode::S_IRWXU).unwrap();
        assert_eq!(why(&at("pipe")), "this is a pipe, not a file");
        drop(UnixListener::bind(at("socket")).unwrap());
        assert_eq!(why(&at("socket")), "this is a socket, not a file");
        assert_eq!(why(dir.path()), "this is a directory, not a file");
        assert_eq!(why(Path::new("/dev/zero")), "this is a device, not a file");
        std::fs::write(at("large"), vec![b'x'; LARGEST + 1]).unwrap();
        assert!(why(&at("large")).starts_with("the file is larger than 256 KiB"));
        assert!(why(&at("none")).starts_with("No such file"));
        if uid() == 0 {
            std::os::unix::fs::chown(at("account"), Some(4711), None).unwrap();
            assert_eq!(why(&at("account")), "the file belongs to another user");
        }
    }

    #[test]
    fn the_file_that_was_read_is_the_one_that_is_removed() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("account");
        std::fs::write(&path, "{}").unwrap();
        let file = read(&path, uid()).unwrap();
        std::fs::rename(&path, dir.path().join("old")).unwrap();
        std::fs::write(&path, "{}").unwrap();
        let text = format!("the file could not be removed: {}", file.remove().unwrap_err());
        let when = "account import --remove, and another file has the name now";
        iamd_errors::shows("iamctl itself", when, &text, "", Some(0), "");
        assert!(path.exists());
        read(&path, uid()).unwrap().remove().unwrap();
        assert!(!path.exists() && dir.path().join("old").exists());
    }

    #[test]
    fn a_name_is_looked_for_where_oidc_agent_has_its_files() {
        let dir = tempfile::tempdir().unwrap();
        let home = dir.path().to_str().unwrap();
        let environment = Environment::for_test(&[("HOME", home)], Path::new("/"));
        assert!(all(&environment).is_err());
        let older = dir.path().join(".oidc-agent");
        std::fs::create_dir_all(older.join("issuer.config.d")).unwrap();
        for name in ["cms", "atlas", "issuer.config", "config", "x.clientconfig", ".cms.swp", "a~"]
        {
            std::fs::write(older.join(name), "").unwrap();
        }
        let (directory, files) = all(&environment).unwrap();
        assert_eq!((&directory, files), (&older, ["atlas", "cms"].map(|n| older.join(n)).to_vec()));
        assert_eq!(locate(&environment, Path::new("cms")), older.join("cms"));
        assert_eq!(locate(&environment, Path::new("none")), Path::new("none"));
        assert_eq!(locate(&environment, Path::new("./cms")), Path::new("./cms"));
        std::fs::create_dir_all(dir.path().join(".config/oidc-agent")).unwrap();
        assert_eq!(all(&environment).unwrap().1, Vec::<PathBuf>::new());
        let named = [("HOME", home), ("OIDC_CONFIG_DIR", older.to_str().unwrap())];
        let environment = Environment::for_test(&named, Path::new("/"));
        assert_eq!(all(&environment).unwrap().1.len(), 2);
    }
}
