//! Token files against a file system that is against them. As root with two uids; otherwise with
//! this process's own, where "another owner" cannot be arranged.

mod hostile;
mod link;
mod race;
mod texts;
mod write;

use std::{
    fs,
    os::unix::fs::{MetadataExt, PermissionsExt, chown},
    path::{Path, PathBuf},
    process::Command,
};

use super::*;
use crate::clock::SystemRandom;

const OTHER: u32 = 4002;

/// The directories of a node, and the files in them.
struct Node {
    files: Files,
    root: tempfile::TempDir,
    uid: u32,
}

impl Node {
    fn new() -> Self {
        Self::below(tempfile::tempdir().unwrap())
    }

    fn below(root: tempfile::TempDir) -> Self {
        fs::set_permissions(root.path(), fs::Permissions::from_mode(0o755)).unwrap();
        let uid = if is_root() { 4001 } else { rustix::process::geteuid().as_raw() };
        let files = Files::new(
            root.path().join("users"),
            root.path().join("run-user"),
            Ownership::of_this_process(),
            Arc::new(SystemRandom),
        );
        Self { files, root, uid }
    }

    fn write(&self, token: &str) -> Result<PathBuf, TokenFileError> {
        self.files.write(self.uid, None, &token.to_owned().into())
    }

    /// The user's directory, made as the daemon makes it.
    fn with_dir() -> Self {
        let node = Self::new();
        node.write("first").unwrap();
        node.files.remove(node.uid, None).unwrap();
        node
    }

    fn dir(&self) -> PathBuf {
        self.root.path().join("users").join(self.uid.to_string())
    }

    /// The directory that only the user enters, and that of the files in it.
    fn outer(&self) -> PathBuf {
        self.root.path().join("users").join(format!(".{}", self.uid))
    }

    fn inner(&self) -> PathBuf {
        self.outer().join("files")
    }

    fn file(&self) -> PathBuf {
        self.files.path(self.uid, None)
    }

    /// A runtime directory as logind makes it.
    fn runtime_dir(&self) -> PathBuf {
        let dir = self.root.path().join("run-user").join(self.uid.to_string());
        fs::create_dir_all(&dir).unwrap();
        self.give(&dir, 0o700);
        dir
    }

    fn give(&self, path: &Path, mode: u32) {
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
        if is_root() {
            chown(path, Some(self.uid), Some(self.uid)).unwrap();
        }
    }

    /// A file of the user's.
    fn put(&self, path: &Path, text: &str) {
        fs::write(path, text).unwrap();
        self.give(path, 0o644);
    }

    fn in_the_way(&self, token: &str) -> &'static str {
        match self.write(token) {
            Err(TokenFileError::InTheWay { path, what }) => {
                assert!(path.starts_with(self.root.path().to_str().unwrap()), "{path}");
                what
            }
            other => panic!("not in the way: {other:?}"),
        }
    }
}

fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

fn name(text: &str) -> AccountName {
    text.parse().unwrap()
}

fn names(dir: &Path) -> Vec<String> {
    let entries = fs::read_dir(dir).unwrap();
    let mut names: Vec<String> =
        entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

fn mode(path: &Path) -> u32 {
    fs::symlink_metadata(path).unwrap().mode() & 0o7777
}

/// A tmpfs of a certain size; `None` where this process may not mount.
struct Mount(PathBuf);

impl Mount {
    fn tmpfs(at: &Path, options: &str) -> Option<Self> {
        let mut command = Command::new("mount");
        command.args(["-t", "tmpfs", "-o", options, "tmpfs"]).arg(at);
        let mounted = command.stderr(std::process::Stdio::null()).status();
        if mounted.is_ok_and(|status| status.success()) {
            return Some(Self(at.to_owned()));
        }
        println!("not seen: this process may not mount");
        None
    }
}

impl Drop for Mount {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(&self.0).status();
    }
}
