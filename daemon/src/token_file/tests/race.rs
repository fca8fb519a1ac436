//! A user who changes things while we look at them. Bounded in time, not in luck: the rule must
//! hold whatever the order.

use std::{
    cell::Cell,
    os::unix::fs::symlink,
    sync::atomic::{AtomicBool, Ordering},
};

use rustix::fs::{FileType, Stat};

use super::*;

/// Runs `attack` again and again while tokens are written and removed.
fn under_attack(node: &Node, attack: impl Fn(usize) + Sync) {
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            for round in 0.. {
                if done.load(Ordering::Relaxed) {
                    break;
                }
                attack(round);
            }
        });
        for round in 0..1500 {
            // Any outcome is right that keeps the rule.
            let _ = node.write("secret");
            if round % 5 == 0 {
                let _ = node.files.remove(node.uid, None);
            }
            if round % 50 == 0 {
                let _ = node.files.remove_all(node.uid);
            }
        }
        done.store(true, Ordering::Relaxed);
    });
}

#[test]
fn links_that_come_and_go_never_lead_outside() {
    let node = Node::with_dir();
    let victim = node.root.path().join("victim");
    fs::write(&victim, "precious").unwrap();
    let before = fs::metadata(&victim).unwrap();
    let spare = node.root.path().join("spare");
    under_attack(&node, |_| {
        let _ = symlink(&victim, &spare);
        // Onto whatever stands there now, in one step.
        let _ = fs::rename(&spare, node.file());
        for entry in fs::read_dir(node.dir()).into_iter().flatten().flatten() {
            // Also in the place of a file that is not finished.
            if entry.file_name().to_string_lossy().starts_with(".iamd-") {
                let _ = symlink(&victim, &spare);
                let _ = fs::rename(&spare, entry.path());
            }
        }
        let _ = fs::remove_file(node.file());
    });
    let after = fs::metadata(&victim).unwrap();
    assert_eq!(fs::read(&victim).unwrap(), b"precious");
    assert_eq!(
        (after.ino(), after.uid(), after.mode()),
        (before.ino(), before.uid(), before.mode())
    );
}

/// Accepts plain files, and lets `between` happen after the first look.
fn changes_after_the_look(between: impl Fn()) -> impl Fn(&Stat) -> Result<(), Fault> {
    let first = Cell::new(true);
    move |stat| {
        let plain = FileType::from_raw_mode(stat.st_mode) == FileType::RegularFile;
        if first.take() {
            between();
        }
        if plain { Ok(()) } else { Err(Fault::InTheWay("something else")) }
    }
}

#[test]
fn what_comes_after_the_look_is_put_back() {
    let node = Node::with_dir();
    let [name, temp] = ["bt_u1", ".iamd-temp"].map(|name| node.dir().join(name));
    let dir = node.files.user(node.uid).unwrap().unwrap();
    let swap = || {
        fs::remove_file(&name).unwrap();
        symlink("/nowhere", &name).unwrap();
    };
    let left = || (fs::read_link(&name).unwrap(), names(&node.dir()));

    fs::write(&name, "old").unwrap();
    fs::write(&temp, "new").unwrap();
    let put = dir.exchange("bt_u1", ".iamd-temp", changes_after_the_look(swap));
    assert_eq!(put, Err(Fault::InTheWay("something else")));
    assert_eq!(left(), ("/nowhere".into(), vec![".iamd-temp".into(), "bt_u1".into()]));

    fs::remove_file(&name).unwrap();
    fs::remove_file(&temp).unwrap();
    fs::write(&name, "old").unwrap();
    let ours = changes_after_the_look(swap);
    let removed = dir.remove("bt_u1", ".iamd-temp", |_, stat| ours(stat));
    assert_eq!(removed, Err(Fault::InTheWay("something else")));
    assert_eq!(left(), ("/nowhere".into(), vec!["bt_u1".into()]));
}

#[test]
fn what_goes_after_the_look_or_comes_before_the_rename_is_looked_at_again() {
    let node = Node::with_dir();
    let [name, temp] = ["bt_u1", ".iamd-temp"].map(|name| node.dir().join(name));
    let dir = node.files.user(node.uid).unwrap().unwrap();
    fs::write(&name, "old").unwrap();
    fs::write(&temp, "new").unwrap();
    let gone = changes_after_the_look(|| fs::remove_file(&name).unwrap());
    dir.exchange("bt_u1", ".iamd-temp", gone).unwrap();
    assert_eq!(fs::read(&name).unwrap(), b"new");
    let gone = changes_after_the_look(|| fs::remove_file(&name).unwrap());
    dir.remove("bt_u1", ".iamd-temp", |_, stat| gone(stat)).unwrap();

    // A user who is always faster is told so, and keeps what he has.
    fs::write(&name, "the user's").unwrap();
    fs::write(&temp, "new").unwrap();
    let put = dir.exchange("bt_u1", ".iamd-temp", |_| {
        fs::remove_file(&temp).ok();
        Ok(())
    });
    assert!(put.is_err(), "{put:?}");
    assert_eq!(fs::read(&name).unwrap(), b"the user's");
}

#[test]
fn what_the_user_puts_there_between_two_looks_is_never_lost() {
    let makes: [fn(&Path); 2] = [
        |at| fs::create_dir(at).unwrap(),
        |at| nix::unistd::mkfifo(at, nix::sys::stat::Mode::S_IRWXU).unwrap(),
    ];
    for make in makes {
        let node = Node::with_dir();
        let home = node.root.path().join("home");
        make(&home);
        let inode = fs::symlink_metadata(&home).unwrap().ino();
        let is_it =
            |path: &Path| fs::symlink_metadata(path).is_ok_and(|found| found.ino() == inode);
        let bring_home = || {
            // It may be on its way back to its name.
            for _ in 0..10_000 {
                for entry in fs::read_dir(node.dir()).into_iter().flatten().flatten() {
                    if is_it(&entry.path()) && fs::rename(entry.path(), &home).is_ok() {
                        if is_it(&home) {
                            return;
                        }
                        // It was a token file by then.
                        let _ = fs::remove_file(&home);
                    }
                }
            }
        };
        under_attack(&node, |_| {
            if is_it(&home) {
                // rename(2) does not put a directory in the place of a file.
                let _ = fs::remove_file(node.file());
                let _ = fs::rename(&home, node.file());
            } else {
                bring_home();
            }
        });
        if !is_it(&home) {
            bring_home();
        }
        assert!(is_it(&home), "{:?}", names(&node.dir()));
    }
}

#[test]
fn a_directory_that_is_swapped_for_a_link_is_not_followed() {
    // As root's own directory is only root's to change, this is a daemon that fights itself; a
    // user cannot do it.
    let node = Node::with_dir();
    let outside = tempfile::tempdir().unwrap();
    let aside = node.root.path().join("users/aside");
    under_attack(&node, |_| {
        let _ = fs::rename(node.dir(), &aside);
        let _ = symlink(outside.path(), node.dir());
        std::thread::yield_now();
        let _ = fs::remove_file(node.dir());
        let _ = fs::rename(&aside, node.dir());
    });
    assert!(names(outside.path()).is_empty());
}
