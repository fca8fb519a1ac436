//! Promises of the program as a whole: closed pipes and full disks, generated files, documents
//! that say what the program does, and what is not linked into it.

mod support;

use std::fs::{self, File};
use std::io::Read;
use std::process::{Command, Stdio};

use support::{Fake, iamctl, run, samples};

fn fake() -> Fake {
    Fake::start(samples::script(samples::base()))
}

#[test]
fn a_reader_that_went_away_is_no_error() {
    let fake = fake();
    for args in [&["status"][..], &["token"], &["help"], &["account", "list", "--json"]] {
        let mut command = iamctl(&fake.bus.address, args);
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        command.stdout(writer).stderr(Stdio::piped());
        let output = command.output().unwrap();
        assert_eq!(output.status.code(), Some(0), "{args:?}");
        assert!(output.stderr.is_empty(), "{output:?}");
    }
}

#[test]
fn nobody_reading_what_is_for_people_is_no_error() {
    let fake = fake();
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let mut command = iamctl(&fake.bus.address, &["login", "--no-wait"]);
    assert_eq!(command.stderr(writer).status().unwrap().code(), Some(0));
}

#[test]
fn a_full_disk_is_an_error() {
    let fake = fake();
    for args in [&["token"][..], &["token", "--json"], &["status"], &["completions", "bash"]] {
        let mut command = iamctl(&fake.bus.address, args);
        command.stdout(File::create("/dev/full").unwrap()).stderr(Stdio::piped());
        let output = command.output().unwrap();
        assert_eq!(output.status.code(), Some(1), "{args:?}");
        let text = String::from_utf8(output.stderr).unwrap();
        assert!(text.contains("standard output cannot be written"), "{text}");
    }
}

#[test]
fn a_pipe_that_does_not_block_gets_everything() {
    let fake = fake();
    fake.script().token.token = "x".repeat(300_000);
    let (mut reader, writer) = std::io::pipe().unwrap();
    let flags = nix::fcntl::OFlag::O_NONBLOCK;
    nix::fcntl::fcntl(&writer, nix::fcntl::FcntlArg::F_SETFL(flags)).unwrap();
    let mut child = iamctl(&fake.bus.address, &["token"]).stdout(writer).spawn().unwrap();
    let mut text = String::new();
    reader.read_to_string(&mut text).unwrap();
    assert_eq!(text.len(), 300_001);
    assert_eq!(child.wait().unwrap().code(), Some(0));
}

#[test]
fn the_shipped_program_has_no_tokio() {
    let output = Command::new(env!("CARGO"))
        .args(["tree", "-p", "iamctl", "-e", "normal", "--prefix", "none", "--offline"])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .unwrap();
    assert!(output.status.success(), "{output:?}");
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(text.contains("zbus v"), "{text}");
    assert!(!text.lines().any(|line| line.starts_with("tokio")), "{text}");
}

#[test]
fn manual_pages_are_generated_and_have_no_mistake() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().to_str().unwrap();
    let outcome = run(&mut iamctl("unix:path=/nonexistent", &["generate-man", path]));
    assert_eq!((outcome.code, outcome.stderr.as_str()), (0, ""));
    for page in ["iamctl.1", "iamctl-token.1", "iamctl-account-show.1"] {
        let text = fs::read_to_string(directory.path().join(page)).unwrap();
        for section in [".SH NAME", ".SH SYNOPSIS", ".SH EXAMPLES", ".SH \"EXIT STATUS\""] {
            assert!(text.contains(section), "{section} is not in {page}");
        }
        assert!(text.contains(".TH iamctl"), "{page}");
    }
    let nowhere = run(&mut iamctl("", &["generate-man", "/nonexistent/directory"]));
    assert_eq!(nowhere.code, 1);
    assert!(nowhere.stderr.contains("/nonexistent/directory/iamctl.1"), "{nowhere:?}");
}

#[test]
fn completions_are_scripts_that_their_shells_accept() {
    for (shell, check) in [("bash", "-n"), ("zsh", "-n"), ("fish", "--no-execute")] {
        let outcome = run(&mut iamctl("unix:path=/nonexistent", &["completions", shell]));
        assert_eq!(outcome.code, 0);
        assert!(outcome.stdout.contains("iamctl"), "{outcome:?}");
        assert!(!outcome.stdout.contains("/target/"), "no path of a build: {outcome:?}");
        let directory = tempfile::tempdir().unwrap();
        let script = directory.path().join("script");
        fs::write(&script, outcome.stdout).unwrap();
        // Not every machine has every shell.
        match Command::new(shell).arg(check).arg(&script).output() {
            Ok(output) => assert!(output.status.success(), "{shell}: {output:?}"),
            Err(_) => {
                let needed = std::env::var_os("IAMD_TESTS_NEED_SHELLS");
                assert!(needed.is_none(), "{shell} is missing");
            }
        }
    }
}

#[test]
fn tab_completes_commands_options_and_names_of_accounts_and_issuers() {
    let fake = fake();
    let complete = |words: &[&str]| {
        let mut args = vec!["--", "iamctl"];
        args.extend(words);
        let mut command = iamctl(&fake.bus.address, &args);
        command.env("IAMCTL_COMPLETE", "bash").env("_CLAP_IFS", "\n");
        command.env("_CLAP_COMPLETE_INDEX", words.len().to_string());
        let outcome = run(&mut command);
        assert_eq!(outcome.code, 0, "{outcome:?}");
        outcome.stdout.lines().map(|line| line.trim().to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(complete(&["tok"]), ["token"]);
    assert!(complete(&["login", "--no-"]).contains(&"--no-wait".to_owned()));
    assert_eq!(complete(&["token", ""])[..2], ["wlcg", "cms"].map(str::to_owned));
    assert_eq!(complete(&["account", "show", "c"]), ["cms"]);
    assert_eq!(complete(&["account", "remove", "w"]), ["wlcg"]);
    assert_eq!(complete(&["login", "--issuer", "w"]), ["wlcg"]);
    assert!(!complete(&[""]).contains(&"generate-man".to_owned()));
    // A daemon that does not answer is no reason to wait.
    fake.script().hang = vec!["List"];
    assert_eq!(complete(&["account", "show", "c"]), [""; 0]);
}

#[test]
fn tab_completes_scopes_of_the_account_and_of_its_issuer_within_a_second() {
    let fake = fake();
    fake.script().accounts[0].scopes.push("granted.only".into());
    let complete = |words: &[&str]| {
        let mut args = vec!["--", "iamctl"];
        args.extend(words);
        let mut command = iamctl(&fake.bus.address, &args);
        command.env("IAMCTL_COMPLETE", "bash").env("_CLAP_IFS", "\n");
        command.env("_CLAP_COMPLETE_INDEX", words.len().to_string());
        let outcome = run(&mut command);
        assert_eq!((outcome.code, outcome.stderr.as_str()), (0, ""));
        outcome.stdout.lines().map(|line| line.trim().to_owned()).collect::<Vec<_>>()
    };
    for line in [
        &["token", "-s", "st"][..],
        &["login", "wlcg", "-s", "st"],
        &["account", "add", "--issuer", "wlcg", "-s", "st"],
        &["account", "edit", "wlcg", "--add-scope", "st"],
    ] {
        assert_eq!(complete(line), ["storage.read:/", "storage.modify:/"], "{line:?}");
    }
    assert_eq!(complete(&["account", "edit", "--remove-scope", "gr"]), ["granted.only"]);
    // Another account, another issuer: the default account's scopes are none of theirs.
    assert_eq!(complete(&["token", "cms", "-s", "gr"]), [""; 0]);
    assert_eq!(complete(&["login", "--issuer", "cms", "-s", "gr"]), [""; 0]);
    // Nor is the default account meant where a word names an issuer, and no account has that name.
    let cms = fake.script().accounts.iter().position(|account| account.name == "cms").unwrap();
    fake.script().accounts.remove(cms);
    for line in [&["account", "add", "cms", "-s", ""][..], &["login", "cms", "-s", ""]] {
        let offered = complete(line);
        assert!(!offered.contains(&"granted.only".to_owned()), "{line:?}: {offered:?}");
    }
    assert_eq!(complete(&["account", "add", "x", "-s", "gr"]), ["granted.only"]);
    assert_eq!(complete(&["account", "add", "c"]), ["cms"]);
    // An issuer that is slow: what is known without it.
    fake.script().hang = vec!["Issuer"];
    // A machine that is busy with something else may hold up any one of them.
    let in_time = (0..5).any(|_| {
        #[allow(clippy::disallowed_methods, reason = "a test may look at the clock")]
        let start = std::time::Instant::now();
        assert_eq!(complete(&["token", "-s", "st"]), ["storage.read:/"]);
        start.elapsed() < std::time::Duration::from_secs(2)
    });
    assert!(in_time, "it took 2 s and more each time");
}

#[test]
fn doctor_tells_what_the_daemon_found_and_what_it_sees_itself() {
    let fake = fake();
    let directory = tempfile::tempdir().unwrap();
    let token = directory.path().join("token");
    fs::write(&token, "a-token").unwrap();
    let mut command = iamctl(&fake.bus.address, &["doctor"]);
    command.env("BEARER_TOKEN_FILE", &token);
    // A umask of the test's environment may have made it readable for others: a problem.
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o644);
    fs::set_permissions(&token, mode).unwrap();
    let outcome = run(&mut command);
    assert_eq!(outcome.code, 1, "{outcome:?}");
    for text in ["ok       bus: the system bus answers", "ok       store: ", "has mode 0644"] {
        assert!(outcome.stdout.contains(text), "{text:?} is not in {}", outcome.stdout);
    }
    assert!(outcome.stderr.contains(" problems, "), "{outcome:?}");
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o600);
    fs::set_permissions(&token, mode).unwrap();
    let outcome = run(&mut command);
    assert_eq!(outcome.code, 0, "{outcome:?}");
    assert!(outcome.stdout.contains("ok       XRootD: finds "), "{}", outcome.stdout);
    // The daemon is not there: told as the first problem, and the rest is looked at all the same.
    let mut command = iamctl("unix:path=/nonexistent", &["doctor"]);
    let outcome = run(&mut command);
    assert_eq!(outcome.code, 1);
    assert!(outcome.stdout.starts_with("problem  bus: the system bus cannot be reached"));
    assert!(outcome.stdout.contains("gfal2"));
}

#[test]
fn a_locked_default_account_is_to_be_unlocked_and_not_signed_in() {
    let fake = fake();
    let locked = iamd_protocol::bus::Finding {
        name: "account wlcg".into(),
        level: "warning".into(),
        text: "locked with your passphrase".into(),
        advice: "Unlock it with:  iamctl account unlock".into(),
    };
    fake.script().findings.push(locked);
    let outcome = run(&mut iamctl(&fake.bus.address, &["doctor", "--json"]));
    let all: serde_json::Value = serde_json::from_str(&outcome.stdout).unwrap();
    let findings = all["findings"].as_array().unwrap();
    let rucio = findings.iter().find(|finding| finding["name"] == "Rucio").unwrap();
    assert_eq!(rucio["text"], "finds no token", "{outcome:?}");
    assert_eq!(rucio["advice"], "Unlock it with:  iamctl account unlock");
}

#[test]
fn status_silent_says_by_its_code_that_there_is_no_such_account() {
    let fake = fake();
    let outcome = run(&mut iamctl(&fake.bus.address, &["status", "-s", "nosuch"]));
    assert_eq!((outcome.code, outcome.stdout.as_str(), outcome.stderr.as_str()), (1, "", ""));
    let help = run(&mut iamctl(&fake.bus.address, &["status", "--help"])).stdout;
    for code in
        ["0 there is one", "1 there is no such account", "3 sign in", "4 a rule", "5 the daemon"]
    {
        assert!(
            help.split_whitespace().collect::<Vec<_>>().join(" ").contains(code),
            "{code}: {help}"
        );
    }
}
