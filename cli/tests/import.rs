//! `iamctl account import oidc-agent`: what is said, what reaches the daemon, what becomes of the
//! files, and that their password and secrets stand nowhere.

#![allow(clippy::unwrap_used, clippy::panic, reason = "helpers of tests fail as tests do")]

mod support;

use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;

use iamd_protocol::error::Kind;
use support::terminal::Terminal;
use support::transcript::Transcript;
use support::{Fake, Run, file, iamctl, run, run_with, samples};

const PASSWORD: &str = "fixture password\n";
const PLACE: &str = "/home/alice";

/// A daemon, and somebody's home with files of oidc-agent in it.
struct Home {
    fake: Fake,
    directory: tempfile::TempDir,
}

impl Home {
    /// With these files of `tests/oidc-agent` as accounts of these names.
    fn with(files: &[(&str, &str)]) -> Self {
        let fake = Fake::start(samples::script(samples::base()));
        fake.script().change.account = "fixture".into();
        let directory = tempfile::tempdir().unwrap();
        let home = Self { fake, directory };
        std::fs::create_dir(home.agent()).unwrap();
        for (source, name) in files {
            std::fs::copy(file("tests/oidc-agent").join(source), home.agent().join(name)).unwrap();
        }
        home
    }

    fn agent(&self) -> PathBuf {
        self.directory.path().join(".oidc-agent")
    }

    fn has(&self, name: &str) -> bool {
        self.agent().join(name).exists()
    }

    fn command(&self, words: &[&str]) -> Command {
        let words = [&["account", "import", "oidc-agent"], words].concat();
        let mut command = iamctl(&self.fake.bus.address, &words);
        command.env("HOME", self.directory.path()).current_dir(self.directory.path());
        command
    }

    /// With the password on standard input.
    fn import(&self, words: &[&str]) -> Run {
        let words = [words, &["--password-fd", "0"]].concat();
        self.plain(run_with(&mut self.command(&words), PASSWORD))
    }

    /// Without.
    fn import_only(&self, words: &[&str]) -> Run {
        self.plain(run(&mut self.command(words)))
    }

    /// As it is in any home; and no secret of any file is in it.
    fn plain(&self, outcome: Run) -> Run {
        let clean = |text: &str| text.replace(self.directory.path().to_str().unwrap(), PLACE);
        for secret in ["fixture password", "fixture-refresh", "-secret", "fixture-reg", "mytoken\""]
        {
            assert!(!format!("{outcome:?}").contains(secret), "{secret}: {outcome:?}");
        }
        Run { stdout: clean(&outcome.stdout), stderr: clean(&outcome.stderr), ..outcome }
    }

    fn calls(&self, method: &str) -> Vec<String> {
        let calls = self.fake.calls();
        calls.into_iter().filter(|call| call.starts_with(method)).collect()
    }

    fn fails(&self, kind: Kind, message: &str) {
        self.fake.script().fail.insert("Add", (kind.bus_name(), message.into()));
    }
}

/// Takes down a run; `words` stand behind `account import oidc-agent`.
fn take(transcript: &mut Transcript, words: &[&str], outcome: &Run) {
    transcript.take(&[&["account", "import", "oidc-agent"], words].concat(), outcome);
}

#[test]
fn accounts_are_taken_over_as_the_files_have_them() {
    let home =
        Home::with(&[("version-5", "cms"), ("registered-4.2.6", "atlas"), ("plain.json", "p")]);
    let more = r#"{"name":"q","issuer":"https://x.example/","client_id":"c","refresh_token":"r",
        "cert_path":"/home/alice/ca.pem","daeSetByUser":1,"password":"p"}"#;
    std::fs::write(home.agent().join("q"), more).unwrap();
    let mut transcript = Transcript::new("import", samples::base());
    for (words, code) in [
        (&["--dry-run"][..], 1),
        (&["cms", "--dry-run", "--json"], 0),
        (&["cms", "--as", "cms5"], 0),
        (&[], 0),
        (&["p", "--remove"], 0),
        (&["atlas", "--remove"], 0),
    ] {
        let outcome = home.import(words);
        assert_eq!(outcome.code, code, "{outcome:?}");
        take(&mut transcript, words, &outcome);
    }
    transcript.check();
    assert!(home.has("cms") && home.has("atlas") && !home.has("p"));
    let mut calls = home.calls("Add");
    calls.retain(|call| call.contains("dry_run: None"));
    assert_eq!(calls.len(), 7);
    assert_eq!(
        calls[0],
        r#"Add("cms5", AddOptions { issuer: Some("https://iam.example.org/"), scopes: Some(["openid", "offline_access", "storage.read:/"]), all_scopes: None, audiences: Some(["https://se.example.org", "https://ce.example.org"]), client_id: Some("fixture-client"), client_auth: None, public_client: None, own_client: None, client_name: None, make_default: None, dry_run: None }, {"refresh-token": "fixture-refresh-token"})"#
    );
    assert!(
        calls[1].ends_with(r#"{"client-secret": "fixture-client-secret", "refresh-token": "fixture-refresh-token"})"#),
        "{calls:?}"
    );
}

#[test]
fn a_dry_run_asks_the_daemon_for_what_it_knows_and_nothing_else() {
    let home = Home::with(&[("oidc-gen-4.2.6", "fixture")]);
    let outcome = home.import(&["--dry-run"]);
    assert_eq!(outcome.code, 0, "{outcome:?}");
    // No secret leaves this process.
    let asked = home.fake.calls();
    assert_eq!(asked.len(), 1, "{asked:?}");
    assert!(asked[0].starts_with("Add(\"fixture\", ") && asked[0].contains("dry_run: Some(true)"));
    assert!(asked[0].ends_with(r#"{"client-secret": "-", "refresh-token": "-"})"#), "{asked:?}");
    assert!(home.has("fixture"));
    for (kind, code) in
        [(Kind::DeniedByPolicy, 4), (Kind::TooManyAccounts, 4), (Kind::AccountExists, 1)]
    {
        home.fails(kind, "so it says");
        let outcome = home.import(&["--dry-run"]);
        assert_eq!(outcome.code, code, "{outcome:?}");
        assert!(outcome.stderr.contains("would be refused: so it says"), "{outcome:?}");
        // The same as without.
        assert_eq!(home.import(&[]).code, code);
    }
}

#[test]
fn a_client_that_everybody_has_is_the_one_of_the_issuers_file_or_that_is_said() {
    let home = Home::with(&[]);
    let members = r#""issuer_url":"https://x.example/","refresh_token":"r","uses_pub_client":1"#;
    std::fs::write(home.agent().join("a"), format!("{{{members}}}")).unwrap();
    std::fs::write(home.agent().join("b"), format!(r#"{{{members},"client_id":"p"}}"#)).unwrap();
    std::fs::write(home.agent().join("c"), format!("{{{members}}}").replace(":1}", ":0}")).unwrap();
    assert_eq!(home.import(&["a"]).code, 0);
    assert_eq!(home.import(&["b"]).code, 0);
    let calls = home.calls("Add");
    assert!(calls[0].contains("client_id: None, client_auth: None, public_client: Some(true)"));
    // The daemon knows whether it is that one.
    assert!(calls[1].contains(r#"client_id: Some("p"), client_auth: None, public_client: None"#));
    let none = home.import(&["c"]);
    assert!(none.code == 1 && none.stderr.contains("is not an account"), "{none:?}");
    for kind in [Kind::DeniedByPolicy, Kind::InvalidArgument] {
        home.fails(kind, "no");
        let refused = home.import(&["b"]);
        assert!(refused.stderr.contains("Its client is oidc-agent's public one"), "{refused:?}");
    }
    home.fails(Kind::DeniedByPolicy, "this site does not let alice use a client of their own");
    shows("account import of one with oidc-agent's public client", &home.import(&["b"]));
    home.fake.script().fail.clear();
    let dry = home.import(&["a", "--dry-run"]);
    let said = dry.stderr.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(said.contains("with the client that everybody has there"), "{dry:?}");
}

#[test]
fn what_a_client_can_be_deleted_with_does_not_go_without_a_word() {
    let home = Home::with(&[("registered-4.2.6", "atlas")]);
    let outcome = home.import(&["--remove"]);
    assert_eq!(outcome.code, 0, "{outcome:?}");
    assert!(outcome.stderr.contains("so the file is not removed"), "{outcome:?}");
    assert!(home.has("atlas"));
    let json = home.import(&["--remove", "--json"]);
    assert!(json.stdout.contains(r#""removed":false,"result":"imported""#), "{json:?}");
}

#[test]
fn an_agent_that_runs_is_reached_by_its_own_socket_or_ended_by_its_name() {
    let home = Home::with(&[("plain.json", "p")]);
    for (socket, named) in [
        ("/run/iamd/oidc-agent.sock", "OIDC_SOCK=ITS_SOCKET /usr/bin/oidc-add -R"),
        ("/tmp/oidc-a/agent.1", "OIDC_SOCK=/tmp/oidc-a/agent.1 /usr/bin/oidc-add -R"),
    ] {
        let outcome = run(home.command(&[]).env("OIDC_SOCK", socket));
        let said = outcome.stderr.split_whitespace().collect::<Vec<_>>().join(" ");
        assert!(said.contains(named), "{outcome:?}");
        assert!(said.contains("pkill -u \"$USER\" oidc-agent"), "{outcome:?}");
    }
}

#[test]
fn what_becomes_of_one_is_nothing_to_the_others_and_the_exit_code_tells() {
    let home = Home::with(&[
        ("mytoken-5", "a-mytoken"),
        ("no-refresh-token.json", "b-new"),
        ("README.md", "c-foreign"),
        ("argon2i", "d-good"),
    ]);
    symlink("d-good", home.agent().join("e-link")).unwrap();
    nix::unistd::mkfifo(&home.agent().join("f-pipe"), nix::sys::stat::Mode::S_IRWXU).unwrap();
    let mut transcript = Transcript::new("import-failures", samples::base());
    let outcome = home.import(&["--remove"]);
    assert_eq!(outcome.code, 1);
    take(&mut transcript, &["--remove"], &outcome);
    assert_eq!(home.calls("Add").len(), 1);
    assert!(!home.has("d-good") && home.has("a-mytoken") && home.has("f-pipe"));
    let outcome = home.import(&["b-new", "none", "--json"]);
    assert_eq!(outcome.code, 1);
    take(&mut transcript, &["b-new", "none", "--json"], &outcome);
    let home = Home::with(&[("hex-argon2id", "old")]);
    for (kind, code) in [
        (Kind::AccountExists, 1),
        (Kind::DeniedByPolicy, 4),
        (Kind::IdentityMismatch, 4),
        (Kind::LoginRequired, 3),
        (Kind::IssuerUnreachable, 5),
    ] {
        transcript.note(kind.short_name());
        home.fails(kind, "so it says");
        let outcome = home.import(&["--remove"]);
        assert_eq!(outcome.code, code, "{outcome:?}");
        take(&mut transcript, &["--remove"], &outcome);
        assert!(home.has("old"), "{kind:?}: the file is what is left of the account");
    }
    transcript.note("the name is taken: seen without using anything");
    home.fails(Kind::AccountExists, "you have an account “fixture” already");
    let outcome = home.import(&["--dry-run"]);
    assert_eq!(outcome.code, 1);
    take(&mut transcript, &["--dry-run"], &outcome);
    transcript.note("a command line that means nothing, and one that lacks something");
    for words in [&["--as", "x"][..], &["old", "--keep", "--remove"], &["old"]] {
        let outcome = home.import_only(words);
        assert_eq!(outcome.code, 2, "{outcome:?}");
        take(&mut transcript, words, &outcome);
    }
    transcript.check();
}

#[test]
fn one_password_is_asked_for_and_the_file_goes_only_after_a_yes() {
    let home = Home::with(&[("oidc-gen-4.2.6", "a"), ("version-5", "b"), ("plain.json", "c")]);
    let command = home.command(&[]);
    let place = home.directory.path().to_owned();
    let mut terminal = Terminal::start_with(&home.fake.bus.address, (200, 50), |_| {
        let mut shell = Command::new("env");
        shell.arg(format!("HOME={}", place.display()));
        shell.arg(command.get_program()).args(command.get_args());
        shell
    });
    terminal.wait_for("/.oidc-agent/a is sealed: its password, as oidc-gen asked for it");
    terminal.wait_for("Password of oidc-agent: ");
    terminal.type_keys("wrong\n");
    terminal.wait_for("That is not the password of this file.");
    terminal.wait_for_again("Password of oidc-agent: ", 2);
    terminal.type_keys(PASSWORD);
    for (time, answer) in ["y\r", "n\r", "\r"].into_iter().enumerate() {
        terminal.wait_for_again("[y/N]", time + 1);
        if time == 0 {
            // The report of all of them is there before the first question can end the command.
            let before = terminal.seen();
            assert_eq!(before.matches("account fixture is here now.").count(), 3, "{before}");
            assert!(before.contains("A sign-in has one holder"), "{before}");
            assert_eq!(home.calls("Add").len(), 3);
        }
        terminal.type_keys(answer);
    }
    let (code, seen) = terminal.end_restored();
    assert_eq!(code, 0, "{seen}");
    assert!(!seen.contains("fixture password") && !seen.contains("wrong\n"), "{seen}");
    assert_eq!(seen.matches("Password of oidc-agent: ").count(), 2, "{seen}");
    assert_eq!(seen.matches("The file is removed.").count(), 1, "{seen}");
    assert!(!home.has("a") && home.has("b") && home.has("c"));
    assert_eq!(home.calls("Add").len(), 3);
}

/// A `gpg` of the test's own, which is a script.
fn with_gpg(home: &Home, script: &str) -> Run {
    let path = home.directory.path().join("bin/gpg");
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(&path, format!("#!/bin/sh\n{script}\n")).unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
    let mut command = home.command(&[]);
    command.env("PATH", format!("{}:/usr/bin:/bin", path.parent().unwrap().display()));
    home.plain(run(&mut command))
}

fn with_message() -> Home {
    let home = Home::with(&[]);
    let message = "-----BEGIN PGP MESSAGE-----\n\nhQEMA\n-----END PGP MESSAGE-----\n\
                   Generated using version: 4.2.6";
    std::fs::write(home.agent().join("cms"), message).unwrap();
    home
}

#[test]
fn gpg_gets_the_message_alone_and_is_not_trusted_with_time_and_memory() {
    let home = with_message();
    let plain = file("tests/oidc-agent/plain.json");
    let script = format!(
        "[ \"$*\" = '--quiet --decrypt' ] || exit 9\n\
         [ \"$(tail -n 1)\" = '-----END PGP MESSAGE-----' ] || exit 8\ncat '{}'",
        plain.display()
    );
    let outcome = with_gpg(&home, &script);
    assert_eq!(outcome.code, 0, "{outcome:?}");
    assert!(home.calls("Add")[0].contains("fixture-refresh-token"));
    let refused = with_gpg(&home, "cat > /dev/null; echo 'gpg: no secret key' >&2; exit 2");
    assert_eq!(refused.code, 1);
    assert!(refused.stderr.contains("gpg: no secret key\n"), "{refused:?}");
    assert_eq!(with_gpg(&home, "exec cat /dev/zero").code, 1);
    assert_eq!(home.calls("Add").len(), 1);
}

/// With the real one, and a key without a passphrase.
#[test]
fn what_gpg_encrypted_is_decrypted_by_gpg() {
    let home = Home::with(&[]);
    let keys = home.directory.path().join("gnupg");
    std::fs::create_dir(&keys).unwrap();
    std::fs::set_permissions(&keys, std::fs::Permissions::from_mode(0o700)).unwrap();
    let gpg = |program: &str, words: &[&str]| {
        Command::new(program).args(words).env("GNUPGHOME", &keys).output()
    };
    let made = ["--batch", "--passphrase", "", "--quick-generate-key", "alice@example.org"];
    let Ok(made) = gpg("gpg", &made) else {
        assert!(std::env::var_os("IAMD_TESTS_NEED_GPG").is_none(), "gpg is missing");
        return println!("skipped: gpg is not installed");
    };
    assert!(made.status.success(), "{made:?}");
    let plain = file("tests/oidc-agent/plain.json");
    let words =
        ["--batch", "--armor", "--trust-model", "always", "-r", "alice@example.org", "-o", "-"];
    let words = [&words[..], &["--encrypt", plain.to_str().unwrap()]].concat();
    let mut message = gpg("gpg", &words).unwrap().stdout;
    message.extend_from_slice(b"Generated using version: 5.3.3");
    std::fs::write(home.agent().join("cms"), message).unwrap();
    let outcome = run(home.command(&[]).env("GNUPGHOME", &keys));
    // It stays otherwise.
    gpg("gpgconf", &["--kill", "gpg-agent"]).unwrap();
    assert_eq!(outcome.code, 0, "{outcome:?}");
    assert!(home.calls("Add")[0].contains("fixture-refresh-token"));
}

/// The same command below a limit or in another view of the files, which a shell sets up.
fn below(command: &Command, set_up: &str) -> Command {
    let mut shell = Command::new("sh");
    shell.args(["-c", &format!("{set_up}; exec \"$@\""), "sh"]);
    shell.arg(command.get_program()).args(command.get_args()).env_clear();
    shell.envs(command.get_envs().filter_map(|(name, value)| Some((name, value?))));
    shell.current_dir(command.get_current_dir().unwrap());
    shell
}

/// What was said in the end is the row of the page.
fn shows(when: &str, outcome: &Run) {
    let at = outcome.stderr.rfind("iamctl: ").unwrap_or_else(|| panic!("{outcome:?}"));
    let mut lines = outcome.stderr[at + "iamctl: ".len()..].lines();
    let (text, advice) = (lines.next().unwrap(), lines.next().unwrap_or_default().trim());
    let exit = Some(u8::try_from(outcome.code).unwrap());
    iamd_errors::shows("iamctl itself", when, text, "", exit, advice);
}

/// An account that is here, whose file is on a disk that cannot be written any more.
#[test]
fn a_file_that_cannot_be_removed_is_told() {
    let home = Home::with(&[("plain.json", "p")]);
    let agent = home.agent();
    let closed = format!(
        "mount --bind '{0}' '{0}' && mount -o remount,bind,ro '{0}' || exit 99",
        agent.display()
    );
    let inner = below(&home.command(&["p", "--remove"]), &closed);
    let mut command = Command::new("unshare");
    command.arg("--mount").arg(inner.get_program()).args(inner.get_args()).env_clear();
    command.envs(inner.get_envs().filter_map(|(name, value)| Some((name, value?))));
    command.current_dir(home.directory.path());
    let outcome = home.plain(run(&mut command));
    if outcome.code == 99 || outcome.stderr.starts_with("unshare: ") {
        println!("not seen: this process may not mount");
        return;
    }
    assert!(home.has("p"), "{outcome:?}");
    let text = "the file could not be removed: Read-only file system";
    assert!(format!("{outcome:?}").contains(text), "{outcome:?}");
    let when = "account import --remove, and the directory cannot be changed";
    let exit = Some(u8::try_from(outcome.code).unwrap());
    iamd_errors::shows("iamctl itself", when, text, "", exit, "");
}

#[test]
fn every_error_of_an_import_is_on_the_page() {
    let home = Home::with(&[
        ("oidc-gen-4.2.6", "sealed"),
        ("mytoken-5", "mytoken"),
        ("no-refresh-token.json", "new"),
        ("README.md", "foreign"),
        ("plain.json", "plain"),
    ]);
    let at = |name: &str| home.agent().join(name);
    let changed = |name: &str, change: &dyn Fn(&str) -> String| {
        let text = std::fs::read_to_string(at("sealed")).unwrap();
        std::fs::write(at(name), change(&text)).unwrap();
    };
    changed("cut", &|text| text[..400].to_owned());
    changed("garbled", &|text| text.replacen(['k', 'e'], "!", 1));
    changed("long", &|text| format!("{text}\n\n1\n2\n3"));
    changed("strange", &|text| text.replace("24:16:16:32", "24:16:16:64"));
    changed("costly", &|text| text.replace(":67108864:", ":1099511627776:"));
    changed("tampered", &|text| {
        let at = text.match_indices('\n').nth(3).unwrap().0 + 9;
        let other = if &text[at..=at] == "A" { "B" } else { "A" };
        format!("{}{other}{}", &text[..at], &text[at + 1..])
    });
    std::fs::write(at("other"), r#"{"name":"cms"}"#).unwrap();
    symlink("sealed", at("link")).unwrap();
    std::fs::write(at("large"), " ".repeat(300_000)).unwrap();
    for (when, name) in [
        ("account import of a file that is not whole", "cut"),
        ("account import of a file with a damaged line", "garbled"),
        ("account import of a file with more lines than it should have", "long"),
        ("account import of a file of a version that is not known", "strange"),
        ("account import of a file that asks for a terabyte", "costly"),
        ("account import of a file that somebody changed", "tampered"),
        ("account import of a file that is something else", "foreign"),
        ("account import of JSON that is something else", "other"),
        ("account import of an account with a mytoken", "mytoken"),
        ("account import of an account that was never signed in", "new"),
        ("account import of a link", "link"),
        ("account import of a file of many pages", "large"),
    ] {
        shows(when, &home.import(&[name]));
    }
    let capitals =
        r#"{"name":"CMS","issuer_url":"https://x/","client_id":"c","refresh_token":"r"}"#;
    std::fs::write(at("capitals"), capitals).unwrap();
    let outcome = home.import(&["capitals"]);
    shows("account import of an account whose name has capitals", &outcome);
    assert!(outcome.stderr.contains("/capitals --as cms\n"), "{outcome:?}");
    let wrong = run_with(&mut home.command(&["sealed", "--password-fd", "0"]), "other\n");
    shows("account import with another password", &home.plain(wrong));
    shows("account import and no terminal to ask for the password", &home.import_only(&["sealed"]));
    shows("account import --as for several", &home.import_only(&["--as", "x"]));
    if nix::unistd::geteuid().is_root() {
        std::os::unix::fs::chown(at("plain"), Some(12345), None).unwrap();
        shows("account import of somebody else's file", &home.import(&["plain"]));
    }
    // Allowed, and more than this process may have.
    changed("dear", &|text| text.replace(":67108864:", ":1073741824:"));
    let words = ["dear", "--password-fd", "0"];
    let short = run_with(&mut below(&home.command(&words), "ulimit -v 800000"), PASSWORD);
    shows("account import where memory is short", &home.plain(short));
    let closed = run(&mut home.command(&["sealed", "--password-fd", "7"]));
    shows("account import --password-fd and nothing there", &home.plain(closed));
    let message = with_message();
    shows("account import, and gpg has no key", &with_gpg(&message, "cat > /dev/null; exit 2"));
    let mut command = message.command(&[]);
    shows(
        "account import, and there is no gpg",
        &message.plain(run(command.env("PATH", "/nowhere"))),
    );
    let empty = Home::with(&[]);
    shows("account import, and there are no accounts", &empty.import(&[]));
    std::fs::remove_dir(empty.agent()).unwrap();
    shows("account import without oidc-agent", &empty.import(&[]));
    assert!(!Path::new("/nowhere").exists());
}
