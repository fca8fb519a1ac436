//! Everything that a user can put where a token file should be. The rule: nothing outside is
//! written, nothing of the user's is destroyed.

use std::os::unix::fs::symlink;

use super::*;

/// Names of arrangements at `bt_uUID`, each of which must be refused and left as it is.
const ARRANGEMENTS: [&str; 9] = [
    "symlink to a file",
    "symlink to nothing",
    "symlink to itself",
    "symlink to a directory",
    "directory",
    "directory with content",
    "fifo",
    "two names",
    "socket",
];

fn arrange(node: &Node, how: &str, at: &Path) {
    let victim = node.root.path().join("victim");
    fs::write(&victim, "precious").unwrap();
    match how {
        "symlink to a file" => symlink(&victim, at).unwrap(),
        "symlink to nothing" => symlink(node.root.path().join("created"), at).unwrap(),
        "symlink to itself" => symlink(at.file_name().unwrap(), at).unwrap(),
        "symlink to a directory" => symlink(node.root.path(), at).unwrap(),
        "directory" => fs::create_dir(at).unwrap(),
        "directory with content" => {
            fs::create_dir(at).unwrap();
            node.put(&at.join("thesis.tex"), "the user's");
        }
        "fifo" => {
            nix::unistd::mkfifo(at, nix::sys::stat::Mode::S_IRWXU).unwrap();
        }
        "two names" => {
            let other = node.root.path().join("other-name");
            node.put(&other, "precious");
            fs::hard_link(other, at).unwrap();
        }
        "socket" => drop(std::os::unix::net::UnixListener::bind(at).unwrap()),
        _ => unreachable!(),
    }
}

/// Everything below a directory: path, kind, mode, owner, inode, content.
fn snapshot(dir: &Path) -> Vec<String> {
    let mut all = Vec::new();
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        let found = fs::symlink_metadata(&path).unwrap();
        let content = if found.is_file() { fs::read(&path).unwrap() } else { Vec::new() };
        let (mode, uid, inode) = (found.mode(), found.uid(), found.ino());
        all.push(format!("{} {mode:o} {uid} {inode} {content:?}", path.display()));
        if found.is_dir() {
            all.extend(snapshot(&path));
        }
    }
    all.sort();
    all
}

#[test]
fn what_stands_in_the_way_is_named_and_left_as_it_is() {
    for how in ARRANGEMENTS {
        let node = Node::with_dir();
        arrange(&node, how, &node.file());
        let before = snapshot(node.root.path());
        let what = node.in_the_way("secret");
        assert!(!what.is_empty(), "{how}");
        assert_eq!(snapshot(node.root.path()), before, "{how}: write");

        let removed = node.files.remove(node.uid, None);
        assert!(matches!(removed, Err(TokenFileError::InTheWay { .. })), "{how}: {removed:?}");
        assert_eq!(snapshot(node.root.path()), before, "{how}: remove");

        node.files.remove_all(node.uid).unwrap_or_else(|error| panic!("{how}: {error}"));
        node.files.sweep().unwrap();
        assert_eq!(snapshot(node.root.path()), before, "{how}: remove_all");
    }
}

#[test]
fn the_same_under_the_name_of_an_unfinished_file_is_left_as_it_is() {
    for how in ARRANGEMENTS {
        let node = Node::with_dir();
        arrange(&node, how, &node.dir().join(format!(".iamd-{:032x}", 1)));
        let before = snapshot(node.root.path());
        node.files.sweep().unwrap();
        node.files.remove_all(node.uid).unwrap();
        assert_eq!(snapshot(node.root.path()), before, "{how}");
        node.write("token").unwrap_or_else(|error| panic!("{how}: {error}"));
    }
}

#[test]
fn a_file_of_another_owner_or_a_device_is_left_as_it_is() {
    if !is_root() {
        return;
    }
    let node = Node::with_dir();
    fs::write(node.file(), "of another").unwrap();
    chown(node.file(), Some(OTHER), None).unwrap();
    assert_eq!(node.in_the_way("secret"), "a file of another owner");
    node.files.remove_all(node.uid).unwrap();
    assert_eq!(fs::read(node.file()).unwrap(), b"of another");

    fs::remove_file(node.file()).unwrap();
    let (kind, mode) = (nix::sys::stat::SFlag::S_IFCHR, nix::sys::stat::Mode::S_IRWXU);
    let null = nix::sys::stat::makedev(1, 3);
    if nix::sys::stat::mknod(&node.file(), kind, mode, null).is_ok() {
        assert_eq!(node.in_the_way("secret"), "a device");
        assert_eq!(fs::symlink_metadata(node.file()).unwrap().rdev(), null);
    }
}

#[test]
fn a_plain_file_of_the_users_or_of_the_daemons_is_replaced_whatever_its_mode() {
    for mode in [0o000, 0o444, 0o4755, 0o666] {
        let node = Node::with_dir();
        fs::write(node.file(), "older").unwrap();
        node.give(&node.file(), mode);
        node.write("token").unwrap();
        assert_eq!(fs::read(node.file()).unwrap(), b"token");
        assert_eq!(super::mode(&node.file()), 0o600);
    }
    let node = Node::with_dir();
    fs::write(node.file(), "the daemon's").unwrap();
    node.write("token").unwrap();
    assert_eq!(fs::metadata(node.file()).unwrap().uid(), node.uid);
}

#[test]
fn a_directory_that_is_not_the_users_is_neither_followed_nor_given_away() {
    let outside = tempfile::tempdir().unwrap();
    fs::write(outside.path().join("precious"), "precious").unwrap();
    type Arrange = fn(&Node, &Path);
    let arrangements: [(&str, Arrange); 5] = [
        ("link", |node, outside| symlink(outside, node.dir()).unwrap()),
        ("dangling link", |node, _| symlink("nowhere", node.dir()).unwrap()),
        ("file", |node, _| fs::write(node.dir(), "a file").unwrap()),
        ("fifo", |node, _| {
            nix::unistd::mkfifo(&node.dir(), nix::sys::stat::Mode::S_IRWXU).unwrap();
        }),
        ("directory of another owner", |node, _| {
            fs::create_dir(node.dir()).unwrap();
            if is_root() {
                chown(node.dir(), Some(OTHER), None).unwrap();
            } else {
                fs::set_permissions(node.dir(), fs::Permissions::from_mode(0o722)).unwrap();
            }
        }),
    ];
    for (how, arrange) in arrangements {
        let node = Node::new();
        fs::create_dir(node.root.path().join("users")).unwrap();
        arrange(&node, outside.path());
        let before = (snapshot(node.root.path()), snapshot(outside.path()));
        node.in_the_way("secret");
        let _ = node.files.remove(node.uid, None);
        if is_root() {
            assert!(node.files.remove_all(node.uid).is_err(), "{how}");
        }
        let _ = node.files.sweep();
        assert_eq!((snapshot(node.root.path()), snapshot(outside.path())), before, "{how}");
    }
}

#[test]
fn a_user_who_moves_the_directory_of_the_files_leads_nothing_astray() {
    let outside = tempfile::tempdir().unwrap();
    type Arrange = fn(&Node, &Path);
    let arrangements: [(&str, Arrange); 4] = [
        // What open(2) says of a link with O_DIRECTORY and O_NOFOLLOW.
        ("something that is not a directory", |node, outside| {
            symlink(outside, node.inner()).unwrap();
        }),
        ("something that is not a directory", |node, _| symlink(".", node.inner()).unwrap()),
        ("something that is not a directory", |node, _| node.put(&node.inner(), "a file")),
        ("something that is not a directory", |node, _| {
            nix::unistd::mkfifo(&node.inner(), nix::sys::stat::Mode::S_IRWXU).unwrap();
        }),
    ];
    for (what, arrange) in arrangements {
        let node = Node::with_dir();
        let away = node.outer().join("away");
        fs::rename(node.inner(), &away).unwrap();
        node.put(&away.join("thesis.tex"), "the user's");
        arrange(&node, outside.path());
        let before = (snapshot(node.root.path()), snapshot(outside.path()));
        assert_eq!(node.in_the_way("secret"), what);
        let _ = node.files.remove(node.uid, None);
        let _ = node.files.remove_all(node.uid);
        let _ = node.files.sweep();
        assert_eq!((snapshot(node.root.path()), snapshot(outside.path())), before, "{what}");
    }
}

#[test]
fn a_directory_that_others_may_write_to_gets_no_token() {
    for mode in [0o777, 0o770, 0o702, 0o1700] {
        let node = Node::with_dir();
        node.give(&node.dir(), mode);
        assert_eq!(node.in_the_way("secret"), "a directory whose mode is not 0700", "{mode:o}");
        assert!(names(&node.dir()).is_empty());
    }
    for mode in [0o755, 0o711, 0o2700] {
        let node = Node::with_dir();
        node.give(&node.dir(), mode);
        node.write("token").unwrap();
        assert_eq!(super::mode(&node.file()), 0o600, "{mode:o}");
    }
}

#[test]
fn a_directory_of_all_users_that_is_not_ours_alone_is_not_used() {
    let node = Node::new();
    let users = node.root.path().join("users");
    let elsewhere = node.root.path().join("elsewhere");
    fs::create_dir(&elsewhere).unwrap();
    symlink(&elsewhere, &users).unwrap();
    node.in_the_way("secret");
    fs::remove_file(&users).unwrap();
    fs::create_dir(&users).unwrap();
    fs::set_permissions(&users, fs::Permissions::from_mode(0o777)).unwrap();
    assert_eq!(node.in_the_way("secret"), "a directory that others may write to");
    assert!(node.files.sweep().is_err() && node.files.owners().is_empty());
    if is_root() {
        fs::set_permissions(&users, fs::Permissions::from_mode(0o711)).unwrap();
        chown(&users, Some(node.uid), None).unwrap();
        assert_eq!(node.in_the_way("secret"), "a directory that is not the daemon's");
    }
    assert!(names(&elsewhere).is_empty() && names(&users).is_empty());
}

#[test]
fn a_mount_is_never_entered() {
    let node = Node::with_dir();
    let Some(mount) = Mount::tmpfs(&node.dir(), "mode=700") else { return };
    node.give(&node.dir(), 0o700);
    assert_eq!(node.in_the_way("secret"), "a mount point");
    assert!(node.files.remove_all(node.uid).is_err());
    assert!(names(&node.dir()).is_empty());
    drop(mount);

    fs::create_dir(node.file()).unwrap();
    let _mount = Mount::tmpfs(&node.file(), "mode=700").unwrap();
    assert_eq!(node.in_the_way("secret"), "a mount point");
    node.files.remove_all(node.uid).unwrap();
}

#[test]
fn the_uid_that_chown_takes_for_none_is_refused() {
    let node = Node::new();
    let token = "secret".to_owned().into();
    assert!(node.files.write(u32::MAX, None, &token).is_err());
    assert!(node.files.remove(u32::MAX, None).is_err() && node.files.remove_all(u32::MAX).is_err());
    assert!(node.files.link(u32::MAX).is_err());
    assert!(names(node.root.path()).is_empty());
}

#[test]
fn an_error_names_the_path_and_not_the_token() {
    let node = Node::with_dir();
    fs::create_dir(node.file()).unwrap();
    let text = node.write("hunter2").unwrap_err().to_string();
    assert_eq!(text, format!("{}: a directory stands there; move it away", node.file().display()));
}
