//! Why there is no token file, as `iamctl status` shows it: provoked, and compared with its row in
//! docs/errors.md.

use std::os::unix::fs::symlink;

use super::*;

/// What is said when `arrange` has been there before.
fn shows(when: &str, arrange: impl FnOnce(&Node)) {
    let node = Node::with_dir();
    arrange(&node);
    says(when, &node);
}

fn says(when: &str, node: &Node) {
    let text = node.write("Canary").unwrap_err().to_string();
    let text = text.replace(node.root.path().to_str().unwrap(), "/run/iamd");
    crate::testing::no_file(when, &text.replace(&node.uid.to_string(), "1001"));
}

#[test]
fn something_stands_at_its_name() {
    shows("a link stands at the file's name", |node| symlink("/etc/passwd", node.file()).unwrap());
    shows("a directory stands at the file's name", |node| fs::create_dir(node.file()).unwrap());
    shows("a FIFO stands at the file's name", |node| {
        nix::unistd::mkfifo(&node.file(), nix::sys::stat::Mode::S_IRWXU).unwrap();
    });
    shows("a socket stands at the file's name", |node| {
        drop(std::os::unix::net::UnixListener::bind(node.file()).unwrap());
    });
    shows("a file with two names stands at the file's name", |node| {
        let other = node.root.path().join("other-name");
        fs::write(&other, "precious").unwrap();
        node.give(&other, 0o600);
        fs::hard_link(other, node.file()).unwrap();
    });
    if is_root() {
        shows("a file of somebody else stands at the file's name", |node| {
            fs::write(node.file(), "of another").unwrap();
            chown(node.file(), Some(OTHER), None).unwrap();
        });
    }
}

#[test]
fn its_directory_is_not_what_it_was() {
    shows("others may write to the user's directory", |node| node.give(&node.dir(), 0o770));
    shows("the user's directory is a link", |node| {
        fs::remove_dir(node.inner()).unwrap();
        symlink("/tmp", node.inner()).unwrap();
    });
    if is_root() {
        shows("the user's directory is somebody else's", |node| {
            chown(node.dir(), Some(OTHER), None).unwrap();
        });
    }
    let users = |node: &Node| node.root.path().join("users");
    shows("others may write to the directory of all users", |node| {
        fs::set_permissions(users(node), fs::Permissions::from_mode(0o777)).unwrap();
    });
    if is_root() {
        shows("the directory of all users is somebody else's", |node| {
            chown(users(node), Some(node.uid), None).unwrap();
        });
    }
    let node = Node::with_dir();
    if let Some(_mount) = Mount::tmpfs(&node.dir(), "mode=700") {
        node.give(&node.dir(), 0o700);
        says("something is mounted on the user's directory", &node);
    }
    // A full disk, as a user's quota or another's files make it.
    let node = Node::with_dir();
    if let Some(_mount) = Mount::tmpfs(node.root.path(), "mode=755,size=64k,nr_inodes=6") {
        node.write("first").unwrap_or_default();
        fs::write(node.root.path().join("filler"), [0; 60_000]).unwrap_or_default();
        says("there is no room for the file", &node);
    }
}
