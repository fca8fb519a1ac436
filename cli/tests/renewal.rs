//! `iamctl run` keeps the command's token fresh, and says what comes in between.

#![allow(clippy::unwrap_used, clippy::panic, reason = "helpers of tests fail as tests do")]

mod support;

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::Stdio;

use iamd_protocol::error::Kind;
use nix::sys::signal::Signal;
use support::running::{World, lines, now, send, text, until};

#[test]
fn the_file_is_renewed_before_its_token_expires() {
    // Renewed at half of it: what is left is the time that a busy machine has.
    const LIFE: u64 = 20;
    let world = World::new();
    world.next_token("one", LIFE);
    let (child, said) = world.start_trap(
        "while :; do { cat $BEARER_TOKEN_FILE || echo gone; echo; } >> SAID; sleep 0.1; done",
    );
    let has = |token: &str| lines(&said).iter().any(|line| line == token);
    until("the first is there", || has("one"));
    // One that is valid for longer than what is left of the first, at half of it too.
    world.next_token("two", 2 * LIFE);
    until("the second is there", || has("two"));
    world.next_token("three", 600);
    until("the third is there", || has("three"));
    send(&child, Signal::SIGTERM);
    assert_eq!(child.wait_with_output().unwrap().status.code(), Some(143));
    let mut seen = lines(&said);
    seen.dedup();
    assert_eq!(seen, ["one", "two", "three"]);
    let calls = world.asked();
    assert!(calls[0].contains("min_valid_seconds: None"), "{}", calls[0]);
    for call in &calls[1..] {
        // More than what is left of the present one, and the same account all the time.
        let least = call.split("min_valid_seconds: Some(").nth(1).expect(call);
        let least: u64 = least.split(')').next().unwrap().parse().unwrap();
        assert!((1..=2 * LIFE).contains(&least), "{call}");
        assert!(call.contains("\"wlcg\""), "{call}");
    }
    assert!(world.left_behind().is_empty());
}

#[test]
fn a_renewal_that_fails_is_told_once_and_a_stale_token_is_removed() {
    let world = World::new();
    world.next_token("one", 10);
    let child = world.start(&["--", "sleep", "300"]);
    until("it was asked for", || !world.asked().is_empty());
    let failure = (Kind::IssuerUnreachable.bus_name(), "no answer".to_owned());
    world.fake.script().fail.insert("GetToken", failure);
    let file = || world.left_behind().first().map(|dir| dir.join("token"));
    until("the file is there", || file().is_some_and(|file| file.exists()));
    until("the file is removed", || file().is_some_and(|file| !file.exists()));
    // On a busy machine the file is removed before the second attempt: it is tried on all the same.
    until("it is tried again", || world.asked().len() >= 3);
    // It comes back.
    world.next_token("two", 600);
    world.fake.script().fail.clear();
    until("the file is there again", || file().is_some_and(|file| file.exists()));
    send(&child, Signal::SIGTERM);
    let output = child.wait_with_output().unwrap();
    let told = text(&output.stderr);
    assert_eq!(told.matches("was not renewed").count(), 1, "{told}");
    shows("iamctl run, and the token cannot be renewed", &told);
    assert_eq!(output.status.code(), Some(143));
}

/// What a command that goes on was told, and when on the page; the time of day is another each time.
fn shows(when: &str, told: &str) {
    let words = told.split_whitespace().collect::<Vec<_>>().join(" ");
    // What came first.
    let told = words.split("iamctl: ").nth(1).unwrap_or_else(|| panic!("{told}")).trim_end();
    let told = match told.split_once("the present one expires ") {
        Some((before, rest)) => {
            let (_, after) = rest.split_once(';').unwrap();
            format!("{before}the present one expires 2026-11-28 18:00 UTC;{after}")
        }
        None => told.to_owned(),
    };
    iamd_errors::shows("iamctl itself", when, &told, "", None, "");
}

#[test]
fn a_job_that_was_stopped_until_its_token_ended_is_told_that_there_is_none() {
    let world = World::new();
    world.next_token("one", 10);
    let (child, _) = world.start_trap(": > SAID; exec sleep 300");
    let file = world.left_behind()[0].join("token");
    assert!(file.exists());
    send(&child, Signal::SIGSTOP);
    let ends_at = world.fake.script().token.expires_at;
    until("the token has ended", || now() > ends_at);
    let failure = (Kind::IssuerUnreachable.bus_name(), "no answer".to_owned());
    world.fake.script().fail.insert("GetToken", failure);
    let asked = world.asked().len();
    send(&child, Signal::SIGCONT);
    until("it is asked for again", || world.asked().len() > asked && !file.exists());
    // What is told is told after the answer, and before the next try.
    until("and once more", || world.asked().len() > asked + 1);
    send(&child, Signal::SIGTERM);
    let told = text(&child.wait_with_output().unwrap().stderr);
    shows("iamctl run, and the token ended before it could be renewed", &told);
}

/// As somebody tidies up, or logind after the last logout: `go` takes it away, and it is back.
fn comes_back(when: &str, go: impl Fn(&Path)) {
    let world = World::new();
    world.next_token("one", 10);
    let (child, _) = world.start_trap(": > SAID; exec sleep 300");
    let directory = world.left_behind().remove(0);
    world.next_token("two", 600);
    go(&directory);
    let file = directory.join("token");
    until("the token is there again", || std::fs::read(&file).is_ok_and(|it| it == b"two"));
    let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o7777;
    assert_eq!((mode(&directory), mode(&file)), (0o700, 0o600), "{when}");
    send(&child, Signal::SIGTERM);
    let told = text(&child.wait_with_output().unwrap().stderr);
    assert_eq!(told.matches("iamctl: ").count(), 1, "{when}: {told}");
    shows(when, &told.replace(world.dir.path().to_str().unwrap(), "/run/user/1000"));
    assert!(world.left_behind().is_empty(), "{when}");
}

#[test]
fn a_token_file_that_somebody_removes_is_there_again_at_the_next_look() {
    comes_back("iamctl run, and somebody removed the directory of its token", |directory| {
        std::fs::remove_dir_all(directory).unwrap();
    });
    comes_back("iamctl run, and somebody removed the directory of its token", |directory| {
        std::fs::remove_file(directory.join("token")).unwrap();
    });
}

/// A place that cannot be there: what is told, at the next look and once.
fn is_told(when: &str, go: impl Fn(&Path)) {
    let world = World::new();
    world.next_token("one", 10);
    let runtime = world.dir.path().join("runtime");
    std::fs::create_dir(&runtime).unwrap();
    let said = world.dir.path().join("said");
    let script = format!(": > {}; exec sleep 300", said.display());
    let mut command = world.command(&["--", "sh", "-c", &script]);
    let child = command.env("XDG_RUNTIME_DIR", &runtime).stderr(Stdio::piped()).spawn().unwrap();
    until("the command runs", || said.exists());
    let directory = std::fs::read_dir(&runtime).unwrap().next().unwrap().unwrap().path();
    go(&directory);
    let begin = now();
    until("it was looked at", || now() > begin + 12);
    let asked = world.asked().len();
    send(&child, Signal::SIGTERM);
    let told = text(&child.wait_with_output().unwrap().stderr);
    assert_eq!(told.matches("iamctl: ").count(), 1, "{when}: {told}");
    assert_eq!(asked, 1, "{when}: a token is of no use where it cannot be put");
    shows(when, &told.replace(runtime.to_str().unwrap(), "/run/user/1000"));
}

#[test]
fn a_token_file_whose_directory_cannot_be_made_anew_is_told_with_what_to_do() {
    is_told("iamctl run in a session's directory, after the last logout", |directory| {
        std::fs::remove_dir_all(directory.parent().unwrap()).unwrap();
    });
    is_told("iamctl run, and another directory has the name of its token's", |directory| {
        std::fs::rename(directory, directory.with_extension("away")).unwrap();
        std::fs::create_dir(directory).unwrap();
    });
}

#[test]
fn a_token_that_cannot_be_written_any_more_is_told() {
    let world = World::new();
    world.next_token("one", 10);
    let (child, _) = world.start_trap(": > SAID; exec sleep 300");
    world.next_token("two", 600);
    let file = world.left_behind()[0].join("token");
    std::fs::remove_file(&file).unwrap();
    std::fs::create_dir(&file).unwrap();
    until("it is tried twice", || world.asked().len() >= 3);
    send(&child, Signal::SIGTERM);
    let told = text(&child.wait_with_output().unwrap().stderr);
    let not_renewed = told.find("iamctl: the token was not renewed").unwrap();
    shows("iamctl run, and something else stands where its token is to be", &told[not_renewed..]);
}

#[test]
fn an_account_that_is_renamed_is_gone_on_with() {
    let world = World::new();
    world.next_token("one", 10);
    let child = world.start(&["--", "sleep", "300"]);
    until("the accounts are known", || {
        world.fake.calls().iter().any(|call| call.starts_with("List"))
    });
    {
        let mut script = world.fake.script();
        script.accounts[0].name = "other".into();
        let failure = (Kind::NoSuchAccount.bus_name(), "no such account".to_owned());
        script.fail.insert("GetToken", failure);
    }
    let asked = || world.asked().iter().any(|call| call.starts_with("GetToken(\"other\""));
    until("it is asked for by its new name", asked);
    world.fake.script().fail.clear();
    send(&child, Signal::SIGTERM);
    let told = text(&child.wait_with_output().unwrap().stderr);
    assert_eq!(told.matches("is called other now").count(), 1, "{told}");
    shows("iamctl run, and its account gets another name", &told);
}
