//! The link in the user's runtime directory.

use std::os::unix::fs::symlink;

use super::*;

#[test]
fn the_link_leads_to_the_default_accounts_file_and_goes_with_it() {
    let node = Node::new();
    let link = node.runtime_dir().join(format!("bt_u{}", node.uid));
    node.write("token").unwrap();
    for _ in 0..2 {
        assert_eq!(node.files.link(node.uid).unwrap(), LinkOutcome::Linked);
        assert_eq!(fs::read_link(&link).unwrap(), node.file());
    }
    assert_eq!(fs::read(&link).unwrap(), b"token");
    node.files.remove(node.uid, Some(&name("cms"))).unwrap();
    assert!(fs::symlink_metadata(&link).is_ok(), "another account's file is no reason");
    node.files.remove(node.uid, None).unwrap();
    assert!(names(link.parent().unwrap()).is_empty());

    node.write("token").unwrap();
    node.files.link(node.uid).unwrap();
    node.files.remove_all(node.uid).unwrap();
    assert!(names(link.parent().unwrap()).is_empty());
}

#[test]
fn without_a_runtime_directory_there_is_no_link_and_no_error() {
    let node = Node::new();
    assert_eq!(node.files.link(node.uid).unwrap(), LinkOutcome::NoRuntimeDirectory);
    fs::create_dir(node.root.path().join("run-user")).unwrap();
    assert_eq!(node.files.link(node.uid).unwrap(), LinkOutcome::NoRuntimeDirectory);
    node.files.remove_all(node.uid).unwrap();
}

#[test]
fn a_link_of_ours_that_is_out_of_date_is_replaced() {
    let node = Node::new();
    let dir = node.runtime_dir();
    let link = dir.join(format!("bt_u{}", node.uid));
    symlink(node.dir().join("bt_old"), &link).unwrap();
    assert_eq!(node.files.link(node.uid).unwrap(), LinkOutcome::Linked);
    assert_eq!(fs::read_link(&link).unwrap(), node.file());
    assert_eq!(names(&dir).len(), 1);
}

#[test]
fn what_is_not_ours_stays_whatever_it_is() {
    type Arrange = fn(&Node, &Path);
    let arrangements: [(&str, Arrange); 8] = [
        ("a token of the user's own", |node, at| node.put(at, "the user's token")),
        ("a directory", |_, at| fs::create_dir(at).unwrap()),
        ("a link elsewhere", |_, at| symlink("/tmp/bt_u1", at).unwrap()),
        ("a link to another user's", |node, at| {
            symlink(node.root.path().join("users/4002/bt_u4002"), at).unwrap();
        }),
        ("a link that climbs out", |node, at| {
            symlink(node.dir().join("../../victim"), at).unwrap();
        }),
        ("a link to the directory", |node, at| symlink(node.dir(), at).unwrap()),
        ("a link that is not text", |_, at| {
            use std::os::unix::ffi::OsStrExt;
            symlink(std::ffi::OsStr::from_bytes(b"/\xff\xfe"), at).unwrap();
        }),
        ("a FIFO", |_, at| {
            nix::unistd::mkfifo(at, nix::sys::stat::Mode::S_IRWXU).unwrap();
        }),
    ];
    for (how, arrange) in arrangements {
        let node = Node::new();
        let dir = node.runtime_dir();
        let at = dir.join(format!("bt_u{}", node.uid));
        arrange(&node, &at);
        let inode = fs::symlink_metadata(&at).unwrap().ino();
        node.write("token").unwrap();
        assert_eq!(node.files.link(node.uid).unwrap(), LinkOutcome::InTheWay, "{how}");
        node.files.remove(node.uid, None).unwrap();
        node.files.remove_all(node.uid).unwrap();
        assert_eq!(fs::symlink_metadata(&at).unwrap().ino(), inode, "{how}");
        assert_eq!(names(&dir).len(), 1, "{how}");
    }
}

#[test]
fn a_runtime_directory_that_is_not_the_users_own_is_not_touched() {
    let node = Node::new();
    let dir = node.runtime_dir();
    let aside = node.root.path().join("aside");
    fs::rename(&dir, &aside).unwrap();
    symlink(&aside, &dir).unwrap();
    assert_eq!(node.files.link(node.uid).unwrap(), LinkOutcome::InTheWay);
    node.files.remove_all(node.uid).unwrap();
    fs::remove_file(&dir).unwrap();
    fs::write(&dir, "a file").unwrap();
    assert_eq!(node.files.link(node.uid).unwrap(), LinkOutcome::InTheWay);
    if is_root() {
        fs::remove_file(&dir).unwrap();
        fs::rename(&aside, &dir).unwrap();
        chown(&dir, Some(OTHER), None).unwrap();
        assert_eq!(node.files.link(node.uid).unwrap(), LinkOutcome::InTheWay);
        assert!(names(&dir).is_empty());
    } else {
        assert!(names(&aside).is_empty());
    }
}

#[test]
fn the_runtime_directory_may_be_a_mount_as_logind_makes_it() {
    let node = Node::new();
    let dir = node.runtime_dir();
    let Some(_mount) = Mount::tmpfs(&dir, "mode=700") else { return };
    node.give(&dir, 0o700);
    assert_eq!(node.files.link(node.uid).unwrap(), LinkOutcome::Linked);
    node.files.remove_all(node.uid).unwrap();
    assert!(names(&dir).is_empty());
}

#[test]
fn the_file_system_of_a_descriptor_is_read_from_the_kernels_tables() {
    use super::super::mount::file_system;
    let mounts = "22 28 0:21 / /proc rw shared:12 - proc proc rw\n\
                  31 28 0:27 / /run/user/1 rw,nosuid shared:5 master:3 - tmpfs tmpfs rw,size=1k\n\
                  331 31 0:40 / /run/user/1/a\\040-\\040b rw - fuse.sshfs evil - tmpfs rw\n";
    let info = |id: u32| format!("pos:\t0\nflags:\t012\nmnt_id:\t{id}\nino:\t1\n");
    assert_eq!(file_system(&info(31), mounts), Some("tmpfs"));
    assert_eq!(file_system(&info(331), mounts), Some("fuse.sshfs"));
    assert_eq!(file_system(&info(33), mounts), None);
    assert_eq!(file_system("", mounts), None);
}
