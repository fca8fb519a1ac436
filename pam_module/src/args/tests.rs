//! What each word does, and that the manual page knows the same words.

use super::*;
use std::ffi::CString;

fn parse(words: &[&str]) -> (Args, Vec<String>) {
    let words: Vec<CString> = words.iter().map(|word| CString::new(*word).unwrap()).collect();
    Args::parse(&words.iter().map(CString::as_c_str).collect::<Vec<_>>())
}

fn good(word: &str) -> Args {
    let (args, complaints) = parse(&[word]);
    assert!(complaints.is_empty(), "{complaints:?}");
    args
}

#[test]
fn no_words_mean_the_defaults() {
    let (args, complaints) = parse(&[]);
    assert_eq!((args.deadline, args.min_uid, args.root), (Duration::from_secs(1), 1000, false));
    assert_eq!(args.services, ["sshd", "login"]);
    assert_eq!((args.socket.to_str(), args.socket_uid), (Some("/run/iamd/pam.sock"), 0));
    assert!(args.notice && !args.debug && !args.panic && complaints.is_empty());
}

#[test]
fn each_word_does_what_it_says() {
    assert_eq!(good("deadline=500ms").deadline, Duration::from_millis(500));
    assert_eq!(good("deadline=1s").deadline, Duration::from_secs(1));
    assert_eq!(good("deadline=50ms").deadline, Duration::from_millis(50));
    assert_eq!(good("deadline=2s").deadline, Duration::from_secs(2));
    assert_eq!(good("services=sshd,gdm-password").services, ["sshd", "gdm-password"]);
    assert_eq!(good("min_uid=500").min_uid, 500);
    assert!(good("root").root);
    assert!(good("notice=auto").notice);
    assert!(!good("notice=never").notice);
    assert_eq!(good("socket=/tmp/s").socket, PathBuf::from("/tmp/s"));
    assert_eq!(good("socket_uid=7").socket_uid, 7);
    assert!(good("debug").debug);
    assert!(good("selftest=panic").panic);
}

#[test]
fn a_malformed_value_is_named_and_the_default_stands() {
    for word in [
        "deadline=",
        "deadline=1",
        "deadline=1.5s",
        "deadline=-1s",
        "deadline=s",
        "deadline=5000000000s",
        "deadline=1m",
        "deadline=1 s",
        "services=",
        "services=sshd,",
        "services=a b",
        "min_uid=",
        "min_uid=-1",
        "min_uid=4294967295",
        "min_uid=4294967296",
        "min_uid=x",
        "notice=",
        "notice=always",
        "socket=",
        "socket=relative",
        "socket_uid=root",
        "selftest=else",
    ] {
        let (args, complaints) = parse(&[word]);
        assert_eq!(args, Args::default(), "{word}");
        assert_eq!(complaints.len(), 1, "{word}");
        assert!(complaints[0].starts_with(&format!("argument '{word}': ")), "{complaints:?}");
    }
    let (args, complaints) = parse(&[&format!("socket=/{}", "x".repeat(MAX_SOCKET_PATH))]);
    assert_eq!((args, complaints.len()), (Args::default(), 1));
}

#[test]
fn a_deadline_out_of_bounds_is_clamped_and_named() {
    for word in ["deadline=0ms", "deadline=49ms", "deadline=0s"] {
        let (args, complaints) = parse(&[word]);
        assert_eq!(args.deadline, Duration::from_millis(50), "{word}");
        assert!(complaints[0].ends_with("out of bounds (50ms to 2000ms): 50ms used"));
    }
    for word in ["deadline=2001ms", "deadline=3s", "deadline=4294967295s"] {
        let (args, complaints) = parse(&[word]);
        assert_eq!(args.deadline, Duration::from_secs(2), "{word}");
        assert!(complaints[0].ends_with("out of bounds (50ms to 2000ms): 2000ms used"));
    }
}

#[test]
fn an_unknown_word_is_named_and_ignored_and_the_others_count() {
    let words = ["timeout=3", "Debug", "root=1", "debug=1", "", "min_uid=5", "=", "min_uid=6"];
    let (args, complaints) = parse(&words);
    assert_eq!(args, Args { min_uid: 6, ..Args::default() });
    assert_eq!(complaints.len(), 6, "{complaints:?}");
    assert!(complaints.iter().all(|line| line.ends_with("unknown: ignored")), "{complaints:?}");
}

#[test]
fn words_that_are_not_utf8_or_very_long_are_ignored_and_quoted_in_part() {
    let (args, complaints) = Args::parse(&[c"root\xff"]);
    assert_eq!((args, complaints.len()), (Args::default(), 1));
    let (_, complaints) = parse(&[&"x".repeat(5000)]);
    assert!(complaints[0].len() < 200, "{complaints:?}");
}

#[test]
fn root_and_system_users_are_served_only_when_asked_for() {
    let serves = |words: &[&str]| {
        let args = parse(words).0;
        [0, 1, 999, 1000, 65534].map(|uid| args.serves(uid))
    };
    assert_eq!(serves(&[]), [false, false, false, true, true]);
    assert_eq!(serves(&["root"]), [true, false, false, true, true]);
    assert_eq!(serves(&["min_uid=0"]), [true, true, true, true, true]);
    assert_eq!(serves(&["min_uid=1"]), [false, true, true, true, true]);
}

/// The words of the ARGUMENTS section are the items of its list: `.It Cm WORD…`.
#[test]
fn the_manual_page_and_the_parser_know_the_same_words() {
    let page = include_str!("../../pam_iam.8");
    let section = page.split(".Sh ARGUMENTS").nth(1).unwrap().split(".Sh ").next().unwrap();
    let mut documented: Vec<&str> = section
        .lines()
        .filter_map(|line| line.strip_prefix(".It Cm "))
        .map(|item| item.split_whitespace().next().unwrap())
        .collect();
    let mut known = WORDS.to_vec();
    documented.sort_unstable();
    known.sort_unstable();
    assert_eq!(documented, known);
    // And the parser does know each: a word with no use would be "unknown".
    for word in WORDS {
        let complaints = parse(&[word]).1;
        assert!(!complaints.iter().any(|line| line.ends_with("unknown: ignored")), "{word}");
    }
}
