//! Files that only the user can read, in directories that others may write to: token files that
//! `iamctl` writes by itself.
//!
//! A directory is opened once, component by component, and then used by its descriptor. A link of
//! another user is not followed, and where anybody may rename what is not theirs nothing is
//! written. A file comes into being beside its place, under a name that was free, and is renamed
//! onto it: a reader sees the old one or the new one, whole.

use std::ffi::{OsStr, OsString};
use std::io::{Error, ErrorKind, Result, Write};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Component, Path, PathBuf};

use rustix::fs::{self, AtFlags, FileType, Mode, OFlags, Stat};

use crate::names::{self, Group, User};

/// How many links one path may lead through, as the kernel has it.
const MOST_LINKS: usize = 40;
/// How many names of a directory are looked at for some that begin in a certain way: some milliseconds.
const MOST_SEEN: usize = 10_000;
/// How often a name is made anew because it was taken.
const TRIES: usize = 64;

/// A directory that can be trusted with a user's files.
#[derive(Debug)]
pub(crate) struct Directory {
    fd: OwnedFd,
    uid: u32,
}

impl AsFd for Directory {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

impl Directory {
    /// Opens the directory for the user.
    ///
    /// # Errors
    /// It is not there, on the way to it is a link of somebody else, or others may rename what is
    /// in it.
    pub(crate) fn open(path: &Path, uid: u32) -> Result<Self> {
        let mut fd = fs::open(".", BARE | OFlags::DIRECTORY, Mode::empty())?;
        let mut todo = components(path);
        let mut links = 0;
        while let Some(next) = todo.pop() {
            let found = fs::openat(&fd, &*next, BARE | OFlags::NOFOLLOW, Mode::empty())?;
            let stat = fs::fstat(&found)?;
            match FileType::from_raw_mode(stat.st_mode) {
                FileType::Directory => fd = found,
                FileType::Symlink => {
                    links += 1;
                    if links > MOST_LINKS {
                        return Err(refused("too many links"));
                    }
                    if stat.st_uid != uid && stat.st_uid != 0 {
                        return Err(refused("a link of another user is on the way"));
                    }
                    // As long as the target of a link can be.
                    let target = fs::readlinkat(&found, "", Vec::with_capacity(4096))?;
                    todo.extend(components(Path::new(OsStr::from_bytes(target.as_bytes()))));
                }
                _ => return Err(Error::from(ErrorKind::NotADirectory)),
            }
        }
        Self::checked(&fd, uid)
    }

    /// The directory of that name in this one, which is the user's own and nobody else's.
    ///
    /// # Errors
    /// It is another user's, or something else than a directory.
    pub(crate) fn own(&self, name: &OsStr) -> Result<Self> {
        let fd = fs::openat(&self.fd, name, READABLE, Mode::empty())?;
        let stat = fs::fstat(&fd)?;
        if stat.st_uid != self.uid || stat.st_mode & 0o077 != 0 {
            return Err(refused("the directory is not the user's own"));
        }
        Ok(Self { fd, uid: self.uid })
    }

    /// Makes a directory in this one that only the user can enter; its name begins so.
    ///
    /// # Errors
    /// Such as a full disk, or a process that may open no more files; nothing is left then.
    pub(crate) fn make(&self, prefix: &str) -> Result<(OsString, Self)> {
        let name = free_name(prefix, |name| Ok(fs::mkdirat(&self.fd, name, Mode::RWXU)?))?;
        match self.own(&name) {
            Ok(own) => Ok((name, own)),
            Err(error) => {
                let _ = fs::unlinkat(&self.fd, &*name, AtFlags::REMOVEDIR);
                Err(error)
            }
        }
    }

    /// The same with a name that is given; nothing may have it.
    ///
    /// # Errors
    /// As [`Directory::make`].
    pub(crate) fn make_named(&self, name: &OsStr) -> Result<Self> {
        fs::mkdirat(&self.fd, name, Mode::RWXU)?;
        self.own(name).inspect_err(|_| {
            let _ = fs::unlinkat(&self.fd, name, AtFlags::REMOVEDIR);
        })
    }

    /// Whether this is what who follows the path comes to.
    pub(crate) fn is_at(&self, path: &Path) -> bool {
        let there = fs::stat(path).ok().zip(fs::fstat(&self.fd).ok());
        there
            .is_some_and(|(there, here)| (here.st_dev, here.st_ino) == (there.st_dev, there.st_ino))
    }

    /// Which file has that name in this directory.
    pub(crate) fn inode(&self, name: &OsStr) -> Option<(u64, u64)> {
        let stat = fs::statat(&self.fd, name, AtFlags::SYMLINK_NOFOLLOW).ok()?;
        Some((stat.st_dev, stat.st_ino))
    }

    /// Whether that directory is the one of that name in this one.
    pub(crate) fn has(&self, name: &OsStr, directory: &Self) -> bool {
        let here = fs::statat(&self.fd, name, AtFlags::SYMLINK_NOFOLLOW);
        let there = fs::fstat(&directory.fd);
        here.is_ok_and(|here| {
            there.is_ok_and(|there| (here.st_dev, here.st_ino) == (there.st_dev, there.st_ino))
        })
    }

    /// Whether the directory is the user's and nobody else may write to it.
    pub(crate) fn is_own(&self) -> bool {
        fs::fstat(&self.fd).is_ok_and(|s| s.st_uid == self.uid && s.st_mode & 0o022 == 0)
    }

    /// What is in this one and has a name that begins so. Where others may write, they decide how
    /// much there is: no more than [`MOST_SEEN`] names are looked at.
    pub(crate) fn begin_with(&self, prefix: &str) -> Vec<OsString> {
        let mut names = self.names(MOST_SEEN);
        names.retain(|name| name.as_bytes().starts_with(prefix.as_bytes()));
        names
    }

    /// Writes a file that only the user can read, in place of the one that is there.
    ///
    /// # Errors
    /// What is there is not a file of the user's, or there is no room.
    pub(crate) fn write(&self, name: &OsStr, content: &[u8]) -> Result<()> {
        self.check_target(name)?;
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW;
        let mut file = None;
        let temporary = free_name(".iamctl-", |name| {
            let mode = Mode::RUSR | Mode::WUSR;
            file = Some(fs::openat(&self.fd, name, flags | OFlags::CLOEXEC, mode)?);
            Ok(())
        })?;
        let written = (|| {
            let Some(file) = file else { return Err(ErrorKind::NotFound.into()) };
            // Whatever the umask took away.
            fs::fchmod(&file, Mode::RUSR | Mode::WUSR)?;
            std::fs::File::from(file).write_all(content)?;
            fs::renameat(&self.fd, &*temporary, &self.fd, name)?;
            Ok(())
        })();
        if written.is_err() {
            let _ = self.remove(&temporary);
        }
        written
    }

    /// Removes a file.
    ///
    /// # Errors
    /// It is not there, or it is a directory.
    pub(crate) fn remove(&self, name: &OsStr) -> Result<()> {
        Ok(fs::unlinkat(&self.fd, name, AtFlags::empty())?)
    }

    /// Removes the files in a directory of the user's own, and the directory.
    ///
    /// # Errors
    /// There is a directory in it.
    pub(crate) fn remove_with_files(&self, name: &OsStr, directory: &Self) -> Result<()> {
        for file in directory.names(usize::MAX) {
            let _ = directory.remove(&file);
        }
        Ok(fs::unlinkat(&self.fd, name, AtFlags::REMOVEDIR)?)
    }

    fn checked(fd: &OwnedFd, uid: u32) -> Result<Self> {
        let fd = fs::openat(fd, ".", READABLE, Mode::empty())?;
        let stat = fs::fstat(&fd)?;
        if stat.st_uid != uid && stat.st_uid != 0 {
            return Err(refused("the directory belongs to another user"));
        }
        let may_rename = match stat.st_mode & 0o1000 {
            0 => stat.st_mode & 0o022,
            // Sticky: only what is their own.
            _ => 0,
        };
        if may_rename & 0o002 != 0 {
            return Err(refused("everybody can rename what is in the directory"));
        }
        if may_rename != 0 && !has_group_alone(uid, stat.st_gid) {
            return Err(refused(
                "its group can rename what is in the directory; take that away with chmod g-w, or \
                 name another",
            ));
        }
        Ok(Self { fd, uid })
    }

    /// What stands at the name must be a file of the user's, or nothing.
    fn check_target(&self, name: &OsStr) -> Result<()> {
        let stat: Stat = match fs::statat(&self.fd, name, AtFlags::SYMLINK_NOFOLLOW) {
            Ok(stat) => stat,
            Err(rustix::io::Errno::NOENT) => return Ok(()),
            Err(error) => return Err(error.into()),
        };
        match FileType::from_raw_mode(stat.st_mode) {
            FileType::RegularFile if stat.st_uid == self.uid => Ok(()),
            FileType::RegularFile => Err(refused("the file belongs to another user")),
            FileType::Directory => Err(refused("this is a directory")),
            FileType::Symlink => Err(refused("this is a link; name the file itself")),
            _ => Err(refused("this is not a file")),
        }
    }

    fn names(&self, most: usize) -> Vec<OsString> {
        let Ok(entries) = fs::Dir::read_from(&self.fd) else { return Vec::new() };
        let names = entries
            .flatten()
            .take(most)
            .map(|entry| OsStr::from_bytes(entry.file_name().to_bytes()).to_owned());
        names.filter(|name| name != "." && name != "..").collect()
    }
}

/// Writes a token file as [`Directory::write`] does, at a path that a person typed.
///
/// # Errors
/// With the path and what to do.
pub(crate) fn write(path: &Path, uid: u32, content: &[u8]) -> Result<()> {
    // "dir/" and "dir/.." name no file.
    let (Some(name), false) = (path.file_name(), path.as_os_str().as_bytes().ends_with(b"/"))
    else {
        return Err(refused("this is a directory"));
    };
    let parent = path.parent().unwrap_or_else(|| Path::new(""));
    Directory::open(parent, uid)?.write(name, content)
}

/// Whether the group is the user's private one, which many systems make for every user. Who is not
/// known to the system has none.
fn has_group_alone(uid: u32, gid: u32) -> bool {
    let (user, group) = (names::user(uid), names::group(gid));
    user.zip(group).is_some_and(|(user, group)| is_alone(&user, &group))
}

/// The user's primary group, of the same name, that lists nobody else. The members by primary group
/// are not listed anywhere; the name says that there are none.
fn is_alone(user: &User, group: &Group) -> bool {
    user.gid == group.gid
        && user.name == group.name
        && group.members.iter().all(|member| *member == user.name)
}

/// Opened for its place only: asks for no permission on what it is.
const BARE: OFlags = OFlags::PATH.union(OFlags::CLOEXEC);
/// A directory to list, that is not a link.
const READABLE: OFlags =
    OFlags::RDONLY.union(OFlags::DIRECTORY).union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC);

/// The components, the first one last.
fn components(path: &Path) -> Vec<PathBuf> {
    let name = |component: Component<'_>| PathBuf::from(component.as_os_str());
    path.components().rev().map(name).collect()
}

/// A name that begins so and was free.
fn free_name(prefix: &str, mut take: impl FnMut(&OsStr) -> Result<()>) -> Result<OsString> {
    const LETTERS: &[u8; 32] = b"abcdefghijklmnopqrstuvwxyz234567";
    for _ in 0..TRIES {
        let mut random = [0_u8; 10];
        rustix::rand::getrandom(&mut random, rustix::rand::GetRandomFlags::empty())?;
        let letters = random.map(|byte| char::from(LETTERS[usize::from(byte % 32)]));
        let name = OsString::from(prefix.to_owned() + &String::from_iter(letters));
        match take(&name) {
            Ok(()) => return Ok(name),
            Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
            Err(error) => return Err(error),
        }
    }
    Err(ErrorKind::AlreadyExists.into())
}

/// Not a failure of the system, but a place where a token must not be.
fn refused(why: &'static str) -> Error {
    Error::new(ErrorKind::InvalidInput, why)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};

    use super::*;

    fn uid() -> u32 {
        nix::unistd::geteuid().as_raw()
    }

    fn why(result: Result<()>) -> String {
        result.unwrap_err().to_string()
    }

    #[test]
    fn a_file_is_the_users_alone_and_replaced_whole() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("token");
        write(&path, uid(), b"one").unwrap();
        let first = std::fs::metadata(&path).unwrap();
        assert_eq!(first.permissions().mode() & 0o7777, 0o600);
        let open = std::fs::File::open(&path).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o644)).unwrap();
        write(&path, uid(), b"two").unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), b"two");
        let second = std::fs::metadata(&path).unwrap();
        assert_eq!(second.permissions().mode() & 0o7777, 0o600);
        assert_ne!(first.ino(), second.ino());
        assert_eq!(std::io::read_to_string(open).unwrap(), "one");
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 1);
    }

    #[test]
    fn what_is_not_a_file_of_the_users_stays_as_it_is() {
        let dir = tempfile::tempdir().unwrap();
        let at = |name: &str| dir.path().join(name);
        std::fs::create_dir(at("directory")).unwrap();
        std::fs::write(at("other"), "kept").unwrap();
        symlink(at("other"), at("link")).unwrap();
        symlink(at("nowhere"), at("dangling")).unwrap();
        nix::unistd::mkfifo(&at("pipe"), nix::sys::stat::Mode::S_IRWXU).unwrap();
        assert_eq!(why(write(&at("directory"), uid(), b"t")), "this is a directory");
        assert_eq!(why(write(&at("directory/"), uid(), b"t")), "this is a directory");
        assert_eq!(why(write(Path::new("/"), uid(), b"t")), "this is a directory");
        assert_eq!(why(write(&at("link"), uid(), b"t")), "this is a link; name the file itself");
        assert_eq!(
            why(write(&at("dangling"), uid(), b"t")),
            "this is a link; name the file itself"
        );
        assert_eq!(why(write(&at("pipe"), uid(), b"t")), "this is not a file");
        assert_eq!(why(write(Path::new("/dev/null"), uid(), b"t")), "this is not a file");
        assert_eq!(std::fs::read(at("other")).unwrap(), b"kept");
        assert!(!at("nowhere").exists());
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 5);
    }

    #[test]
    fn what_belongs_to_another_user_is_not_written_to() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("token");
        std::fs::write(&path, "theirs").unwrap();
        // Seen as somebody else the directory is another user's, unless it is root's.
        let stranger = uid() + 4711;
        let error = why(write(&path, stranger, b"t"));
        let file = "the file belongs to another user";
        assert!(error == file || error == "the directory belongs to another user", "{error}");
        assert_eq!(std::fs::read(&path).unwrap(), b"theirs");
    }

    #[test]
    fn own_links_on_the_way_are_followed_and_those_of_others_are_not() {
        let dir = tempfile::tempdir().unwrap();
        let at = |name: &str| dir.path().join(name);
        std::fs::create_dir(at("real")).unwrap();
        symlink("real", at("link")).unwrap();
        symlink("loop", at("loop")).unwrap();
        write(&at("link/token"), uid(), b"t").unwrap();
        assert!(at("real/token").exists());
        assert_eq!(why(write(&at("loop/token"), uid(), b"t")), "too many links");
        if uid() == 0 {
            std::os::unix::fs::lchown(at("link"), Some(4711), None).unwrap();
            let error = why(write(&at("link/token"), uid(), b"t"));
            assert_eq!(error, "a link of another user is on the way");
        }
    }

    #[test]
    fn a_directory_where_everybody_may_rename_is_refused_unless_it_is_sticky() {
        let dir = tempfile::tempdir().unwrap();
        let set = |mode| {
            std::fs::set_permissions(dir.path(), std::fs::Permissions::from_mode(mode)).unwrap();
        };
        set(0o777);
        let error = why(write(&dir.path().join("token"), uid(), b"t"));
        assert_eq!(error, "everybody can rename what is in the directory");
        set(0o1777);
        write(&dir.path().join("token"), uid(), b"t").unwrap();
        assert!(!Directory::open(dir.path(), uid()).unwrap().is_own());
    }

    #[test]
    fn a_directory_where_the_group_may_rename_is_refused_unless_it_is_the_users_alone() {
        let dir = tempfile::tempdir().unwrap();
        let mode = |mode| {
            std::fs::set_permissions(dir.path(), std::fs::Permissions::from_mode(mode)).unwrap();
        };
        let path = dir.path().join("token");
        if uid() == 0 {
            std::os::unix::fs::chown(dir.path(), None, Some(4711)).unwrap();
        }
        let alone = has_group_alone(uid(), std::fs::metadata(dir.path()).unwrap().gid());
        assert!(uid() != 0 || !alone);
        mode(0o770);
        match write(&path, uid(), b"t") {
            Ok(()) => assert!(alone),
            refused => {
                assert!(!alone);
                assert!(why(refused).starts_with("its group can rename what is in the directory"));
                assert!(!path.exists());
            }
        }
        for harmless in [0o1770, 0o750] {
            mode(harmless);
            write(&path, uid(), b"t").unwrap();
        }
    }

    #[test]
    fn a_group_is_the_users_alone_by_its_number_its_name_and_its_members() {
        let user = names::user(0).unwrap();
        let group = |name: &str, gid: u32, members: &[&str]| Group {
            name: name.into(),
            gid,
            members: members.iter().map(|member| (*member).to_owned()).collect(),
        };
        assert_eq!((user.name.as_str(), user.gid), ("root", 0));
        assert!(is_alone(&user, &group("root", 0, &[])));
        assert!(is_alone(&user, &group("root", 0, &["root"])));
        assert!(!is_alone(&user, &group("root", 0, &["root", "eve"])));
        assert!(!is_alone(&user, &group("users", 0, &[])));
        assert!(!is_alone(&user, &group("root", 100, &[])));
    }

    #[test]
    fn a_file_that_is_not_complete_leaves_nothing_behind() {
        let dir = tempfile::tempdir().unwrap();
        let directory = Directory::open(dir.path(), uid()).unwrap();
        // Too long for a name: found out at the rename.
        let name = OsString::from("n".repeat(300));
        assert!(directory.write(&name, b"t").is_err());
        let missing = dir.path().join("no/such/token");
        assert!(write(&missing, uid(), b"t").is_err());
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0);
    }

    #[test]
    fn a_private_directory_goes_with_its_files() {
        let dir = tempfile::tempdir().unwrap();
        let base = Directory::open(dir.path(), uid()).unwrap();
        let (name, own) = base.make("iamctl-run-").unwrap();
        own.write(OsStr::new("token"), b"t").unwrap();
        assert_eq!(base.begin_with("iamctl-run-"), std::slice::from_ref(&name));
        let mode = std::fs::metadata(dir.path().join(&name)).unwrap().permissions().mode();
        assert_eq!(mode & 0o7777, 0o700);
        base.remove_with_files(&name, &own).unwrap();
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0);
        assert!(own.write(OsStr::new("token"), b"t").is_err(), "it is gone");
    }

    #[test]
    fn of_a_directory_that_others_have_filled_so_many_names_are_looked_at() {
        let dir = tempfile::tempdir().unwrap();
        for number in 0..MOST_SEEN + 10 {
            std::fs::write(dir.path().join(format!("iamctl-run-{number}")), b"").unwrap();
        }
        let base = Directory::open(dir.path(), uid()).unwrap();
        let seen = base.begin_with("iamctl-run-").len();
        // "." and ".." are names too.
        assert!((MOST_SEEN - 2..=MOST_SEEN).contains(&seen), "{seen}");
    }
}
