//! What a user finds who looks, and what the daemon leaves behind.

use std::sync::atomic::{AtomicBool, Ordering};

use super::*;

#[test]
fn the_file_is_the_users_0600_and_holds_the_token_and_nothing_else() {
    let node = Node::new();
    let path = node.write("eyJ.a.b").unwrap();
    assert_eq!(path, node.root.path().join(format!("users/{0}/bt_u{0}", node.uid)));
    assert_eq!(fs::read(&path).unwrap(), b"eyJ.a.b");
    let file = fs::symlink_metadata(&path).unwrap();
    assert_eq!((file.uid(), file.mode(), file.nlink()), (node.uid, 0o100_600, 1));
    for dir in [node.dir(), node.outer(), node.inner()] {
        let dir = fs::metadata(dir).unwrap();
        assert_eq!((dir.uid(), dir.mode()), (node.uid, 0o40_700));
    }
    assert_eq!(mode(&node.root.path().join("users")), 0o711);
}

#[test]
fn each_account_has_its_own_file_and_the_default_one_the_plain_name() {
    let node = Node::new();
    node.write("default").unwrap();
    let cms = node.files.write(node.uid, Some(&name("cms-2.x")), &"cms".to_owned().into()).unwrap();
    assert_eq!(cms, node.dir().join(format!("bt_u{}-cms-2.x", node.uid)));
    node.files.remove(node.uid, None).unwrap();
    assert_eq!(fs::read(&cms).unwrap(), b"cms");
    assert!(!node.file().exists());
    node.files.remove(node.uid, None).expect("absent is success");
    node.files.remove(OTHER, None).expect("no directory is success");
    assert_eq!(names(&node.dir()).len(), 1);
}

#[test]
fn a_replaced_token_leaves_nothing_of_the_old_one() {
    let node = Node::new();
    for token in ["a much longer token than the next", "short", ""] {
        node.write(token).unwrap();
        assert_eq!(fs::read_to_string(node.file()).unwrap(), token);
        assert_eq!(names(&node.dir()).len(), 1);
    }
}

#[test]
fn a_reader_never_finds_the_file_missing_partial_or_with_a_wrong_mode() {
    let node = Node::new();
    // Of different lengths, each of one letter only, so that a mixture shows.
    let token = |round: usize| {
        char::from(b'a' + u8::try_from(round % 26).unwrap()).to_string().repeat(1 + round % 3000)
    };
    node.write(&token(0)).unwrap();
    let done = AtomicBool::new(false);
    let reads = std::thread::scope(|scope| {
        let reader = scope.spawn(|| {
            let mut reads = 0_u32;
            while !done.load(Ordering::Relaxed) {
                let file = fs::File::open(node.file()).expect("missing");
                let found = file.metadata().unwrap();
                assert_eq!((found.uid(), found.mode()), (node.uid, 0o100_600));
                let text = std::io::read_to_string(file).unwrap();
                assert!(!text.is_empty(), "empty");
                assert_eq!(found.len(), text.len() as u64, "XRootD reads as much as stat says");
                let first = &text[..1];
                assert!(text.chars().all(|c| first.starts_with(c)), "mixed");
                reads += 1;
            }
            reads
        });
        for round in 0..2000 {
            node.write(&token(round)).unwrap();
        }
        done.store(true, Ordering::Relaxed);
        reader.join().unwrap()
    });
    assert!(reads > 100, "only {reads} reads");
    assert_eq!(names(&node.dir()).len(), 1);
}

#[test]
fn two_writers_of_one_file_do_not_take_each_other_for_an_attack() {
    let node = Node::new();
    node.write("begin").unwrap();
    std::thread::scope(|scope| {
        for token in ["one", "two", "three"] {
            let node = &node;
            scope.spawn(move || {
                for _ in 0..300 {
                    node.write(token).unwrap();
                }
            });
        }
    });
    assert_eq!(names(&node.dir()).len(), 1);
}

#[test]
fn writing_goes_on_while_everything_is_removed() {
    let node = Node::new();
    std::thread::scope(|scope| {
        let writer = scope.spawn(|| (0..500).filter(|_| node.write("token").is_ok()).count());
        for _ in 0..200 {
            node.files.remove_all(node.uid).unwrap();
        }
        assert!(writer.join().unwrap() > 100);
    });
    node.files.remove_all(node.uid).unwrap();
    assert!(names(&node.root.path().join("users")).is_empty());
}

/// What anybody can find out who may pass through the directory above.
fn seen_from_outside(node: &Node) -> Vec<String> {
    let see = |path: PathBuf| {
        let seen = fs::symlink_metadata(&path).unwrap();
        let (changed, modified) = (seen.ctime_nsec(), seen.mtime_nsec());
        let times = (seen.ctime(), changed, seen.mtime(), modified);
        format!("{path:?} {} {:o} {} {times:?}", seen.len(), seen.mode(), seen.nlink())
    };
    [node.dir(), node.outer()].map(see).to_vec()
}

#[test]
fn from_outside_nothing_shows_how_many_accounts_there_are_or_when_one_is_renewed() {
    let node = Node::new();
    node.files.prepare(node.uid).unwrap();
    let before = seen_from_outside(&node);
    node.write("first").unwrap();
    assert_eq!(seen_from_outside(&node), before, "one account");
    node.files.write(node.uid, Some(&name("cms")), &"cms".to_owned().into()).unwrap();
    assert_eq!(seen_from_outside(&node), before, "two accounts");
    node.write("renewed").unwrap();
    assert_eq!(seen_from_outside(&node), before, "a renewal");
    node.files.remove(node.uid, Some(&name("cms"))).unwrap();
    node.files.remove(node.uid, None).unwrap();
    node.files.sweep().unwrap();
    assert_eq!(seen_from_outside(&node), before, "signed out of both");
    // Sizes of a directory are told by a tmpfs only, where most file systems have blocks.
    let Some(mount) = Mount::tmpfs(&node.root.path().join("users"), "mode=711") else { return };
    node.files.prepare(node.uid).unwrap();
    let before = seen_from_outside(&node);
    node.write("first").unwrap();
    node.files.write(node.uid, Some(&name("cms")), &"cms".to_owned().into()).unwrap();
    assert_eq!(seen_from_outside(&node), before, "on a tmpfs");
    node.files.remove_all(node.uid).unwrap();
    assert!(names(&node.root.path().join("users")).is_empty());
    drop(mount);
}

#[test]
fn what_was_made_and_not_yet_named_is_swept_and_what_is_missing_is_made_again() {
    let node = Node::with_dir();
    let users = node.root.path().join("users");
    fs::remove_file(node.dir()).unwrap();
    node.files.sweep().unwrap();
    assert!(names(&users).is_empty());
    // A name that leads to nothing, as a user can arrange by removing the directory.
    for missing in [node.inner(), node.outer()] {
        node.files.prepare(node.uid).unwrap();
        fs::remove_dir_all(&missing).unwrap();
        assert!(!node.files.stands(node.uid, None));
        node.write("token").unwrap();
        assert_eq!(fs::read(node.file()).unwrap(), b"token");
        fs::remove_dir_all(&missing).unwrap();
        node.files.remove_all(node.uid).unwrap();
        assert!(names(&users).is_empty());
    }
}

#[test]
fn a_full_disk_leaves_no_partial_file_and_the_old_token_in_place() {
    for (options, reason) in [("size=64k,mode=755", "space"), ("nr_inodes=8,mode=755", "space")] {
        let root = tempfile::tempdir().unwrap();
        let Some(_mount) = Mount::tmpfs(root.path(), options) else { return };
        let node = Node::below(root);
        node.write("good").unwrap();
        if options.starts_with("nr_inodes") {
            for index in 0.. {
                if fs::write(node.root.path().join(format!("full{index}")), "").is_err() {
                    break;
                }
            }
        }
        let error = node.write(&"x".repeat(1 << 20)).unwrap_err();
        let TokenFileError::Io { path, error } = &error else { panic!("{error}") };
        assert!(path.ends_with(&format!("bt_u{}", node.uid)) && error.contains(reason), "{error}");
        assert_eq!(fs::read(node.file()).unwrap(), b"good");
        assert_eq!(names(&node.dir()).len(), 1);
    }
}

#[test]
fn what_a_killed_daemon_left_is_swept_and_nothing_else() {
    let node = Node::with_dir();
    let left = node.dir().join(format!(".iamd-{:032x}", 7));
    node.put(&left, "half a tok");
    let ours = node.dir().join(format!(".iamd-{:032x}", 8));
    fs::write(&ours, "not given to the user yet").unwrap();
    let unnamed = node.root.path().join(format!("users/.iamd-{:032x}", 9));
    fs::create_dir(&unnamed).unwrap();
    let kept = [".iamd-notes", ".iamd-0000000000000000000000000000000G", "bt_u1", "thesis.tex"];
    for name in kept {
        node.put(&node.dir().join(name), "the user's");
    }
    node.write("token").unwrap();
    node.files.sweep().unwrap();
    assert!(!left.exists() && !ours.exists() && !unnamed.exists());
    assert_eq!(names(&node.dir()).len(), kept.len() + 1);
    assert_eq!(fs::read(node.file()).unwrap(), b"token");
    Node::new().files.sweep().expect("nothing to sweep is success");
}

#[test]
fn remove_all_takes_what_is_ours_and_the_directory_if_nothing_else_is_there() {
    let node = Node::new();
    node.write("a").unwrap();
    node.files.write(node.uid, Some(&name("cms")), &"b".to_owned().into()).unwrap();
    node.files.remove_all(node.uid).unwrap();
    assert!(!node.dir().exists());
    node.files.remove_all(node.uid).expect("absent is success");

    node.write("a").unwrap();
    let kept = ["notes", "bt_u1-cms", &format!("bt_u{}x", node.uid), &format!("bt_u{}-", node.uid)];
    for name in kept {
        node.put(&node.dir().join(name), "the user's");
    }
    node.files.remove_all(node.uid).unwrap();
    let mut kept = kept.map(str::to_owned);
    kept.sort();
    assert_eq!(names(&node.dir()), kept);
}

#[test]
fn owners_are_the_uids_that_have_a_directory() {
    let node = Node::new();
    assert!(node.files.owners().is_empty());
    node.write("a").unwrap();
    for name in ["007", "-1", "x", "4294967295", "99999999999", ".iamd-x"] {
        fs::create_dir(node.root.path().join("users").join(name)).unwrap();
    }
    assert_eq!(node.files.owners(), [node.uid]);
}

#[test]
fn the_directory_of_all_users_is_made_again_when_it_was_removed() {
    let node = Node::new();
    node.write("a").unwrap();
    fs::remove_dir_all(node.root.path().join("users")).unwrap();
    node.files.remove_all(node.uid).unwrap();
    node.write("b").unwrap();
    assert_eq!(fs::read(node.file()).unwrap(), b"b");
}

#[test]
fn a_token_that_xrootd_refuses_is_written_and_known_as_such() {
    let node = Node::new();
    let token = "x".repeat(4096);
    assert!(oversize(token.len()) && !oversize(4095));
    node.write(&token).unwrap();
    assert_eq!(fs::metadata(node.file()).unwrap().len(), 4096);
}

/// Runs a test of this file in a process of its own, started by these words.
fn again(test: &str, words: &[&str]) -> bool {
    let test = format!("{}::{test}", module_path!().split_once("::").unwrap().1);
    let mut command = Command::new(words[0]);
    command.args(&words[1..]).arg(std::env::current_exe().unwrap()).args(["--exact", &test]);
    let output = command.output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(text.contains("running 1 test"), "{words:?}: {text}");
    text.contains("1 passed")
}

const BASIC: &str = "the_file_is_the_users_0600_and_holds_the_token_and_nothing_else";
const REMOVES: &str = "remove_all_takes_what_is_ours_and_the_directory_if_nothing_else_is_there";

#[test]
fn a_umask_does_not_show_in_the_modes() {
    // 777 closes even the directories that the test makes, but to root.
    for umask in ["000", "077", if is_root() { "777" } else { "022" }] {
        assert!(again(BASIC, &["sh", "-c", &format!("umask {umask}; exec \"$0\" \"$@\"")]));
    }
}

/// As the unit bounds it; each capability is needed and no other.
#[test]
fn chown_and_dac_override_are_the_capabilities_that_are_needed() {
    if !is_root() {
        return;
    }
    let bounded = |set| ["setpriv", "--inh-caps=-all", "--bounding-set", set];
    for test in [BASIC, REMOVES] {
        assert!(again(test, &bounded("-all,+chown,+dac_override")), "{test}");
    }
    assert!(!again(BASIC, &bounded("-all,+dac_override")));
    assert!(!again(BASIC, &bounded("-all,+chown")));
}
