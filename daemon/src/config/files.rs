//! Opens what the site wrote: regular files of root, of a length that a person writes.

use std::{
    fs::{self, OpenOptions},
    io::{self, Read as _},
    os::unix::fs::{MetadataExt as _, OpenOptionsExt as _},
    path::{Path, PathBuf},
};

use super::Problem;

/// A file of TOML that is longer is something else.
pub(super) const LONGEST: u64 = 1 << 20;
/// So many names of a directory are told.
const MOST_PASSED_OVER: usize = 20;

/// The text of a file of TOML, `None` where it is absent.
pub(super) fn toml(path: &Path) -> Result<Option<String>, Problem> {
    let wrong = |what: String| Problem::of_file(path, what);
    let file = match open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            return match path.symlink_metadata() {
                // What was to hold is not there: an empty file would hold instead.
                Ok(_) => Err(Problem::of_file(path, "is a link to a file that is not there")),
                Err(_) => Ok(None),
            };
        }
        Err(error) => return Err(wrong(cannot(&error))),
    };
    // Who can write it decides what holds here.
    let bytes = content(&file, LONGEST).map_err(wrong)?;
    String::from_utf8(bytes).map(Some).map_err(|error| Problem::of_bytes(path, &error, true))
}

/// What is in a directory of such files; nothing where there is none. Who can write it decides which
/// files there are.
pub(super) fn within(dir: &Path, problems: &mut Vec<Problem>) -> Vec<PathBuf> {
    let mut wrong = |what: String| problems.push(Problem::of_file(dir, what));
    let entries = match fs::read_dir(dir) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Vec::new(),
        Err(error) => {
            wrong(cannot(&error));
            return Vec::new();
        }
    };
    let about = fs::metadata(dir).map_err(|error| cannot(&error));
    about.and_then(|about| only_roots(&about)).unwrap_or_else(&mut wrong);
    let mut paths = Vec::new();
    for entry in entries {
        match entry {
            Ok(entry) => paths.push(entry.path()),
            // What is not seen might have forbidden something.
            Err(error) => wrong(cannot(&error)),
        }
    }
    paths
}

/// What is in a directory of such files and is none by its name: a person may have meant it to be.
pub(super) fn passed_over(dir: &Path) -> Vec<String> {
    let is_none = |path: &Path| {
        let name = path.file_name().map(|name| name.as_encoded_bytes()).unwrap_or_default();
        let hidden_or_left = name.starts_with(b".") || name.ends_with(b"~");
        !hidden_or_left && path.extension().is_none_or(|extension| extension != "toml")
    };
    let entries = fs::read_dir(dir).into_iter().flatten().flatten();
    let mut names: Vec<_> =
        entries.map(|entry| entry.path()).filter(|path| is_none(path)).collect();
    names.sort();
    let tell = |path: &PathBuf| {
        let shown: String =
            path.display().to_string().chars().filter(|c| !c.is_control()).collect();
        format!("{shown}: is not read, as its name does not end in .toml")
    };
    names.iter().take(MOST_PASSED_OVER).map(tell).collect()
}

/// A pipe in its place must not hold the daemon, and neither may a device or a terminal.
pub(super) fn open(path: &Path) -> io::Result<fs::File> {
    use nix::fcntl::OFlag;
    let flags = OFlag::O_NONBLOCK | OFlag::O_NOCTTY;
    OpenOptions::new().read(true).custom_flags(flags.bits()).open(path)
}

/// What is in it, where it is a file, root's alone to write, and no longer than that.
pub(super) fn content(file: &fs::File, longest: u64) -> Result<Vec<u8>, String> {
    let about = file.metadata().map_err(|error| cannot(&error))?;
    if about.is_dir() {
        return Err("cannot be read: it is a directory, and a file belongs here".into());
    }
    if !about.is_file() {
        return Err("is not a file".into());
    }
    only_roots(&about)?;
    let too_long = || format!("is longer than {} MiB", longest >> 20);
    if about.len() > longest {
        return Err(too_long());
    }
    let mut bytes = Vec::new();
    // One more than fits: it may grow while it is read.
    file.take(longest + 1).read_to_end(&mut bytes).map_err(|error| cannot(&error))?;
    match bytes.len() as u64 > longest {
        true => Err(too_long()),
        false => Ok(bytes),
    }
}

pub(super) fn only_roots(about: &fs::Metadata) -> Result<(), String> {
    let owner = about.uid();
    if owner != 0 && owner != nix::unistd::geteuid().as_raw() {
        return Err("belongs to somebody else than root (chown root)".into());
    }
    if about.mode() & 0o022 != 0 {
        return Err("can be written by others than its owner (chmod go-w)".into());
    }
    Ok(())
}

pub(super) fn cannot(error: &io::Error) -> String {
    format!("cannot be read: {error}")
}
