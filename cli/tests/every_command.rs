//! `run`, `doctor` and `completions` as a user sees them, and that no command is without a
//! transcript of how it goes well and of how it fails.

#![allow(clippy::unwrap_used, clippy::panic, reason = "helpers of tests fail as tests do")]

mod support;

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;

use iamd_protocol::bus::Finding;
use iamd_protocol::error::Kind;
use support::transcript::Transcript;
use support::{Fake, Run, file, iamctl, run, run_with, samples};

/// `iamctl` with a runtime directory of its own.
fn at_home(fake: &Fake, args: &[&str], home: &Path) -> Command {
    let mut command = iamctl(&fake.bus.address, args);
    command.env("XDG_RUNTIME_DIR", home).env("TMPDIR", home).current_dir(home);
    command
}

#[test]
fn run_gives_a_command_its_token_and_has_its_exit_code() {
    let base = samples::base();
    let fake = Fake::start(samples::script(base));
    let home = tempfile::tempdir().unwrap();
    let mut transcript = Transcript::new("run", base);
    let mut play = |note: &str, args: &[&str], code: i32| {
        transcript.note(note);
        let outcome = run(&mut at_home(&fake, args, home.path()));
        assert_eq!(outcome.code, code, "{args:?}: {outcome:?}");
        transcript.take(args, &without_random(outcome, home.path()));
    };
    let show = "cat \"$BEARER_TOKEN_FILE\"; echo; stat -c %a \"$BEARER_TOKEN_FILE\"";
    play("the file has the token alone", &["run", "--", "sh", "-c", show], 0);
    play("where it is", &["run", "--", "sh", "-c", "echo \"$BEARER_TOKEN_FILE\""], 0);
    play("the dashes are needed for a command with options only", &["run", "echo", "hello"], 0);
    let show = "echo \"${BEARER_TOKEN-none}\"";
    play("for tools that read the variable only", &["run", "--bearer-env", "sh", "-c", show], 0);
    play("else it is not set", &["run", "--", "sh", "-c", show], 0);
    let cms = ["run", "-a", "cms", "-s", "storage.read:/x", "--aud", "https://se", "--", "true"];
    play("another account, for less", &cms, 0);
    play("the exit code is the command's", &["run", "--", "sh", "-c", "exit 7"], 7);
    play("so it is after a signal", &["run", "--", "sh", "-c", "kill -TERM $$"], 128 + 15);
    play("no such command", &["run", "--", "no-such-command"], 127);
    play("no command", &["run", "--", "/"], 126);
    play("nothing to run", &["run"], 2);
    fake.script().token.remarks = vec!["the issuer left out storage.modify:/".into()];
    play("the issuer granted less than was asked for", &["run", "--", "true"], 0);
    for kind in [Kind::LoginRequired, Kind::AccountLocked, Kind::IssuerUnreachable] {
        fake.script().fail.insert("GetToken", (kind.bus_name(), "so it says".into()));
        play(kind.short_name(), &["run", "--", "true"], kind.exit() as i32);
    }
    transcript.check();
    let left: Vec<_> = fs::read_dir(home.path()).unwrap().collect();
    assert!(left.is_empty(), "{left:?}");
}

/// The path of the token of one run, without what is random in it.
fn without_random(outcome: Run, home: &Path) -> Run {
    let clean = |text: &str| {
        let text = text.replace(home.to_str().unwrap(), "RUNTIME_DIR");
        let mut parts = text.split("iamctl-run-");
        let mut clean = parts.next().unwrap_or_default().to_owned();
        for part in parts {
            clean.push_str("iamctl-run-RANDOM");
            clean.push_str(part.trim_start_matches(|c: char| c.is_ascii_alphanumeric()));
        }
        clean
    };
    Run { stdout: clean(&outcome.stdout), stderr: clean(&outcome.stderr), code: outcome.code }
}

#[test]
fn doctor_tells_what_is_well_and_what_is_not() {
    let base = samples::base();
    let fake = Fake::start(samples::script(base));
    let home = tempfile::tempdir().unwrap();
    let token = home.path().join("token");
    fs::write(&token, samples::signed(base)).unwrap();
    let mode = |mode| fs::set_permissions(&token, fs::Permissions::from_mode(mode)).unwrap();
    mode(0o600);
    let mut transcript = Transcript::new("doctor", base);
    let mut play = |note: &str, args: &[&str], address: &str, with_token: bool, code: i32| {
        transcript.note(note);
        let mut command = at_home(&fake, args, home.path());
        command.env("IAMD_BUS_ADDRESS", address);
        if with_token {
            command.env("BEARER_TOKEN_FILE", &token);
        }
        let outcome = run(&mut command);
        assert_eq!(outcome.code, code, "{note}: {outcome:?}");
        transcript.take(args, &of_any_node(outcome, home.path()));
    };
    let address = fake.bus.address.as_str();
    play("a token that the user put there", &["doctor"], address, true, 0);
    play("for a report", &["doctor", "--json"], address, true, 0);
    play("no token", &["doctor"], address, false, 0);
    mode(0o644);
    play("a token that others can read", &["doctor"], address, true, 1);
    mode(0o600);
    fake.script().findings = vec![
        Finding {
            name: "issuer wlcg".into(),
            level: "problem".into(),
            text: "its certificate has expired".into(),
            advice: "Tell those who run it.".into(),
        },
        Finding {
            name: "account cms".into(),
            level: "warning".into(),
            text: "the sign-in ends in 2 days".into(),
            advice: "iamctl login cms".into(),
        },
    ];
    play("what the daemon finds", &["doctor"], address, true, 1);
    let failure = (Kind::NotAuthorized.bus_name(), "Status says no".to_owned());
    fake.script().fail.insert("Status", failure);
    play("a daemon that refuses", &["doctor"], address, true, 1);
    play("no bus", &["doctor"], "unix:path=/nonexistent/bus", true, 1);
    transcript.check();
}

/// What is the same on every node: not how PAM is set up here, who runs the test and what lies in
/// /tmp. That the last line counts right is looked at before it goes.
fn of_any_node(outcome: Run, home: &Path) -> Run {
    const OF_THE_NODE: [&str; 4] = ["PAM for sshd", "sshd: ", "profile script", "token path: /tmp"];
    let uid = nix::unistd::geteuid();
    let clean = |text: &str| {
        text.replace(home.to_str().unwrap(), "HOME")
            .replace(&format!("bt_u{uid}"), "bt_uUID")
            .replace(&format!("users/{uid}/"), "users/UID/")
    };
    if let Ok(mut report) = serde_json::from_str::<serde_json::Value>(&outcome.stdout) {
        let findings = report["findings"].as_array_mut().unwrap();
        let count = |level| findings.iter().filter(|finding| finding["level"] == level).count();
        let (problems, warnings) = (count("problem"), count("warning"));
        findings.retain(|finding| {
            let sentence = format!("{}: {}", finding["name"], finding["text"]).replace('"', "");
            !OF_THE_NODE.iter().any(|name| sentence.starts_with(name))
        });
        assert_eq!(
            (&report["problems"], &report["warnings"]),
            (&problems.into(), &warnings.into())
        );
        (report["problems"], report["warnings"]) = ("N".into(), "N".into());
        return Run { stdout: clean(&format!("{report:#}\n")), ..outcome };
    }
    let count = |level: &str| outcome.stdout.lines().filter(|line| line.starts_with(level)).count();
    let counted = |level: &str| {
        let count = count(level);
        format!("{count} {level}{}", if count == 1 { "" } else { "s" })
    };
    assert_eq!(outcome.stderr, format!("{}, {}.\n", counted("problem"), counted("warning")));
    let mut kept = String::new();
    let mut keeps = true;
    for line in outcome.stdout.lines() {
        // Advice stands below what it belongs to.
        if !line.starts_with(' ') {
            keeps = !OF_THE_NODE.iter().any(|name| line.get(9..).unwrap().starts_with(name));
        }
        if keeps {
            kept.push_str(&format!("{line}\n"));
        }
    }
    Run { stdout: clean(&kept), stderr: "N problems, N warnings.\n".into(), code: outcome.code }
}

#[test]
fn completions_print_the_script_of_a_shell() {
    let mut transcript = Transcript::new("completions", 0);
    for shell in ["bash", "zsh", "fish"] {
        assert_eq!(transcript.iamctl("", &["completions", shell]), 0);
    }
    assert_eq!(transcript.iamctl("", &["completions"]), 2);
    transcript.check();
}

/// What goes well with a secret on standard input.
#[test]
fn passphrases_are_taken_from_a_descriptor_as_written_down() {
    let base = samples::base();
    let fake = Fake::start(samples::script(base));
    let mut transcript = Transcript::new("passphrases-given", base);
    let mut play = |args: &[&str]| {
        let outcome = run_with(&mut iamctl(&fake.bus.address, args), "correct horse battery\n");
        assert_eq!(outcome.code, 0, "{outcome:?}");
        transcript.take(args, &outcome);
    };
    play(&["account", "passphrase", "--new-passphrase-fd", "0"]);
    fake.script().accounts[0].has_passphrase = Some(true);
    play(&["account", "lock"]);
    play(&["account", "unlock", "--for", "8h", "--passphrase-fd", "0"]);
    play(&["account", "unlock", "--passphrase-fd", "0", "--json"]);
    play(&["account", "passphrase", "--remove", "--passphrase-fd", "0"]);
    transcript.check();
}

/// A new command shows itself here: the manual has a page for each.
#[test]
fn every_command_has_a_transcript_of_success_and_one_of_failure() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().to_str().unwrap();
    assert_eq!(run(&mut iamctl("", &["generate-man", path])).code, 0);
    let mut pages: Vec<String> = fs::read_dir(path)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter_map(|name| Some(name.strip_suffix(".1")?.to_owned()))
        .collect();
    pages.sort();
    let leaves = pages.iter().filter(|page| {
        let inner = format!("{page}-");
        !pages.iter().any(|other| other.starts_with(&inner))
    });
    let commands: Vec<String> = leaves.map(|page| page.replace('-', " ")).collect();
    assert!(commands.contains(&"iamctl account show".to_owned()), "{commands:?}");
    assert!(commands.contains(&"iamctl doctor".to_owned()), "{commands:?}");
    let runs = transcribed();
    for command in commands {
        // A page cannot tell a hyphen in a command's name from the space between two.
        let typed = |line: &str| line.replace('-', " ") + " ";
        let codes: Vec<i32> = runs
            .iter()
            .filter(|(line, _)| typed(line).starts_with(&format!("{command} ")))
            .flat_map(|(_, codes)| codes.clone())
            .collect();
        assert!(codes.contains(&0), "{command} has no transcript where it does what it is for");
        assert!(codes.iter().any(|code| *code != 0), "{command} has no transcript of a failure");
    }
}

/// The command lines of all transcripts, with their exit codes.
fn transcribed() -> BTreeMap<String, Vec<i32>> {
    let mut runs: BTreeMap<String, Vec<i32>> = BTreeMap::new();
    for entry in fs::read_dir(file("tests/transcripts")).unwrap() {
        let text = fs::read_to_string(entry.unwrap().path()).unwrap();
        let mut line = None;
        for of_text in text.lines() {
            if let Some(typed) = of_text.strip_prefix("$ ") {
                line = Some(typed.to_owned());
            } else if let Some(code) = of_text.strip_prefix('[').and_then(|c| c.strip_suffix(']'))
                && let Ok(code) = code.parse()
                && let Some(line) = line.take()
            {
                runs.entry(line).or_default().push(code);
            }
        }
    }
    runs
}
