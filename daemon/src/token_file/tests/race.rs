//! A user who changes things while we look at them. Bounded in time, not in luck: the rule must
//! hold whatever the order.

use std::{
    os::unix::fs::symlink,
    sync::atomic::{AtomicBool, Ordering},
};

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

#[test]
fn a_directory_of_the_users_that_comes_and_goes_is_never_lost() {
    let node = Node::with_dir();
    let home = node.root.path().join("thesis");
    fs::create_dir(&home).unwrap();
    node.put(&home.join("thesis.tex"), "three years");
    under_attack(&node, |_| {
        // In, over an absent name only (rename(2) does not replace a file by a directory) …
        let _ = fs::remove_file(node.file());
        if fs::rename(&home, node.file()).is_err() {
            return;
        }
        std::thread::yield_now();
        // … and out again, from where it was put back to.
        while fs::rename(node.file(), &home).is_err() {
            let entries = fs::read_dir(node.dir()).into_iter().flatten().flatten();
            for entry in entries.filter(|entry| entry.path().is_dir()) {
                let _ = fs::rename(entry.path(), &home);
            }
            if home.exists() {
                break;
            }
        }
    });
    assert_eq!(fs::read(home.join("thesis.tex")).unwrap(), b"three years");
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
