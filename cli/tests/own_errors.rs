//! Errors of iamctl's own: each provoked with the built program, and its text, exit code and advice
//! compared with the row in docs/errors.md. Others stand in transcripts.

#![allow(clippy::unwrap_used, clippy::panic, reason = "helpers of tests fail as tests do")]

mod support;

use std::os::unix::fs::{PermissionsExt as _, chown, symlink};
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::process::Command;

use iamd_protocol::bus::{LoginInfo, NAME, PATH, TokenOptions};
use support::terminal::{Terminal, plain_lines};
use support::{Bus, Fake, Run, iamctl, run, run_with, samples};

/// What was said in the end, and what to do, beside whatever came before; `places` stand for
/// directories of the test.
fn shows(when: &str, outcome: &Run, places: &[(&str, &str)]) {
    assert_eq!(outcome.stdout, "", "{when}: standard output is for the product");
    let at = outcome.stderr.rfind("iamctl: ").unwrap_or_else(|| panic!("{outcome:?}"));
    let mut lines = outcome.stderr[at + "iamctl: ".len()..].lines();
    let (text, advice) = (lines.next().unwrap(), lines.next().unwrap_or_default());
    assert_eq!(lines.next(), None, "{when}: {outcome:?}");
    let clean = |text: &str| {
        places.iter().fold(text.trim().to_owned(), |text, (from, to)| text.replace(from, to))
    };
    let exit = Some(u8::try_from(outcome.code).unwrap());
    iamd_errors::shows("iamctl itself", when, &clean(text), "", exit, &clean(advice));
}

/// The same on a terminal that is wide enough for every line.
fn shows_there(when: &str, terminal: Terminal) {
    let (code, text) = terminal.end();
    let stderr = plain_lines(&text).join("\n");
    shows(when, &Run { stdout: String::new(), stderr, code }, &[]);
}

fn fake() -> Fake {
    Fake::start(samples::script(samples::base()))
}

/// `iamctl` with these words, its streams redirected as a shell writes it.
fn redirected(fake: &Fake, args: &[&str], redirect: &str) -> Run {
    let plain = iamctl(&fake.bus.address, args);
    let mut shell = Command::new("sh");
    shell.args(["-c", &format!("exec \"$@\" {redirect}"), "sh"]);
    shell.arg(plain.get_program()).args(args).env_clear();
    shell.envs(plain.get_envs().filter_map(|(name, value)| Some((name, value?))));
    run(&mut shell)
}

#[test]
fn a_daemon_or_a_bus_that_is_not_what_it_should_be() {
    let directory = tempfile::tempdir().unwrap();
    let socket = directory.path().join("bus");
    let _deaf = UnixListener::bind(&socket).unwrap();
    let address = format!("unix:path={}", socket.display());
    shows("the bus does not answer", &run(&mut iamctl(&address, &["token"])), &[]);
    let fake = fake();
    let address = fake.bus.address.clone();
    fake.script().hang = vec!["GetToken"];
    let silent = run(&mut iamctl(&address, &["token"]));
    shows("iamd is there and does not answer", &silent, &[]);
}

#[test]
fn a_bus_without_iamd_or_one_that_refuses() {
    let bus = Bus::start();
    shows("iamd does not run", &run(&mut iamctl(&bus.address, &["token"])), &[]);
    let nowhere = run(&mut iamctl("unix:path=/nonexistent/bus", &["token"]));
    shows("there is no bus", &nowhere, &[]);
    let fake = fake();
    for (when, name, message) in [
        ("iamd ends before it answers", "NoReply", "no reply"),
        ("the bus has its limits", "LimitsExceeded", "max_replies_per_connection"),
        ("the bus' policy is not iamd's", "AccessDenied", "rejected send message"),
        ("iamd is of another version than iamctl", "UnknownMethod", "GetToken"),
    ] {
        let failure = (format!("org.freedesktop.DBus.Error.{name}"), message.to_owned());
        fake.script().fail.insert("GetToken", failure);
        shows(when, &run(&mut iamctl(&fake.bus.address, &["token"])), &[]);
    }
}

#[test]
fn a_command_that_lacks_something() {
    let fake = fake();
    for (when, words) in [
        ("a passphrase and no terminal to ask for it", "account passphrase"),
        ("account remove and no terminal to ask on", "account remove cms"),
        ("account edit without a change", "account edit cms"),
        ("account add without an issuer, and no terminal to ask on", "account add mine"),
        ("account add --from-env without its variables", "account add --from-env"),
        ("--passphrase-fd and nothing there", "account passphrase --new-passphrase-fd 7"),
        ("status --watch into a file", "status --watch"),
        ("issuer show where the site has no default issuer", "issuer show"),
    ] {
        if words == "issuer show" {
            fake.script().issuers.iter_mut().for_each(|issuer| issuer.is_default = false);
        }
        let words: Vec<&str> = words.split(' ').collect();
        shows(when, &run(&mut iamctl(&fake.bus.address, &words)), &[]);
    }
}

/// A daemon of another make, whose answers are numbers.
struct Another;

#[zbus::interface(name = "org.iamd1.Tokens")]
impl Another {
    #[zbus(name = "GetToken")]
    fn number(&self, _account: &str, _options: TokenOptions) -> u32 {
        7
    }
}

#[test]
fn an_answer_that_is_another_than_the_protocol_has() {
    let bus = Bus::start();
    let address = bus.address.clone();
    let (ready, is_ready) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        zbus::block_on(async {
            let builder = zbus::connection::Builder::address(address.as_str());
            let builder = builder.serve_at(PATH, Another).name(NAME);
            let connection = builder.build().await.unwrap();
            ready.send(()).unwrap();
            std::future::pending::<()>().await;
            drop(connection);
        });
    });
    is_ready.recv_timeout(std::time::Duration::from_secs(20)).unwrap();
    let odd = run(&mut iamctl(&bus.address, &["token"]));
    shows("iamd answers in another form than the protocol has", &odd, &[]);
    let fake = fake();
    let failed = samples::failed(samples::base(), "IssuerRefused", "");
    fake.script().login = LoginInfo { message: None, ..failed };
    let silent = run(&mut iamctl(&fake.bus.address, &["login"]));
    shows("a login fails, and iamd does not say why", &silent, &[]);
}

#[test]
fn a_sign_in_without_a_token_file_says_why() {
    let fake = fake();
    let problem = "/run/iamd/users/1001/bt_u1001: a directory stands there; move it away";
    {
        let mut script = fake.script();
        script.login = samples::done(samples::base());
        script.accounts[0].token_file = None;
        script.accounts[0].token_file_problem = Some(problem.into());
    }
    let done = run(&mut iamctl(&fake.bus.address, &["login"]));
    assert_eq!(done.code, 0, "{done:?}");
    let told = done.stderr.lines().collect::<Vec<_>>().join(" ");
    let (_, told) = told.split_once(". But ").unwrap_or_else(|| panic!("{told}"));
    let when = "a sign-in, and something is in the way of the token file";
    iamd_errors::shows("iamctl itself", when, &format!("But {told}"), "", Some(0), "");
}

#[test]
fn the_bus_goes_away_in_the_middle() {
    let fake = fake();
    fake.script().hang = vec!["GetToken"];
    let mut command = iamctl(&fake.bus.address, &["token"]);
    command.stdout(std::process::Stdio::piped()).stderr(std::process::Stdio::piped());
    let child = command.spawn().unwrap();
    #[allow(clippy::disallowed_methods, reason = "what is waited for is looked at again")]
    while fake.calls().is_empty() {
        std::thread::sleep(std::time::Duration::from_millis(10));
    }
    drop(fake);
    let output = child.wait_with_output().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    let code = output.status.code().unwrap();
    let outcome = Run { stdout: text(output.stdout), stderr: text(output.stderr), code };
    shows("the bus ends while iamctl waits", &outcome, &[]);
}

#[test]
fn an_issuer_or_a_daemon_that_a_shell_does_not_wait_for() {
    let fake = fake();
    let base = samples::base();
    let needed = || run(&mut iamctl(&fake.bus.address, &["login", "--if-needed"]));
    fake.script().login = samples::starting(base);
    shows("login --if-needed, and the issuer is slow", &needed(), &[]);
    fake.script().hang = vec!["LoginState"];
    fake.script().login = samples::pending(base);
    let mut outcome = needed();
    outcome.stderr = outcome.stderr.lines().last().unwrap().to_owned();
    shows("login --if-needed, and iamd falls silent", &outcome, &[]);
}

#[test]
fn a_question_that_is_not_answered() {
    let fake = fake();
    let ask = |args: &[&str], keys: &[(&str, &str)]| {
        let mut terminal = Terminal::start(&fake.bus.address, args, (200, 24), |_| {});
        for (question, answer) in keys {
            terminal.wait_for(question);
            terminal.type_keys(answer);
        }
        terminal
    };
    let words = ["account", "passphrase"];
    shows_there("an empty passphrase", ask(&words, &[("New passphrase", "\n")]));
    let different = [("New passphrase", "correct horse\n"), ("once more", "correct horsf\n")];
    shows_there("two passphrases that are not the same", ask(&words, &different));
    let add = ["account", "add"];
    let mut latin = ask(&words, &[]);
    latin.wait_for("New passphrase");
    latin.type_bytes(b"gr\xfc\xdfe\n");
    shows_there("a passphrase typed in another encoding than UTF-8", latin);
    let mut ignoring = Terminal::start_with(&fake.bus.address, (200, 24), |plain| {
        let mut shell = Command::new("sh");
        shell.args(["-c", r#"trap '' INT; exec "$0" account add"#]).arg(plain.get_program());
        shell
    });
    ignoring.wait_for("Number, name or URL");
    ignoring.type_keys("\x03");
    shows_there("Ctrl-C at a question, below nohup", ignoring);
    shows_there("Ctrl-D at a question", ask(&add, &[("Number, name or URL", "\x04")]));
    let edit = ["account", "edit", "cms", "--add-scope", "compute.read"];
    let (code, text) = ask(&edit, &[("[Y/n]: ", "\x04")]).end();
    let lines = plain_lines(&text);
    let line = lines.iter().find(|line| line.starts_with("No answer")).unwrap();
    let code = Some(u8::try_from(code).unwrap());
    iamd_errors::shows("iamctl itself", "Ctrl-D at a question of yes or no", line, "", code, "");
}

#[test]
fn a_secret_that_does_not_come_by_its_descriptor() {
    let fake = fake();
    let words = ["account", "passphrase", "--new-passphrase-fd", "3"];
    shows("the descriptor is not for reading", &redirected(&fake, &words, "3>/dev/null"), &[]);
    shows("the descriptor is a directory", &redirected(&fake, &words, "3</"), &[]);
    let stdin = ["account", "passphrase", "--new-passphrase-fd", "0"];
    let empty = run_with(&mut iamctl(&fake.bus.address, &stdin), "\n");
    shows("nothing comes by the descriptor", &empty, &[]);
    let long = run_with(&mut iamctl(&fake.bus.address, &stdin), &"x".repeat(70_000));
    shows("too much comes by the descriptor", &long, &[]);
    let lines = run_with(&mut iamctl(&fake.bus.address, &stdin), "Canary one\nCanary two\n");
    assert!(!lines.stderr.contains("Canary"), "{lines:?}");
    shows("what comes by the descriptor has several lines", &lines, &[]);
    let terminal = Terminal::start(&fake.bus.address, &stdin, (200, 24), |_| {});
    shows_there("the descriptor is a terminal", terminal);
    let none = ["account", "add", "wlcg", "--client-id", "x", "--client-auth", "none"];
    let none = [&none[..], &["--client-secret-fd", "0"]].concat();
    let both = run_with(&mut iamctl(&fake.bus.address, &none), "Canary\n");
    shows("a secret for a client without one", &both, &[]);
}

fn mode(path: &Path, mode: u32) {
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
}

#[test]
fn a_file_that_others_could_take_away() {
    let fake = fake();
    let directory = tempfile::tempdir().unwrap();
    let here = directory.path();
    let places = [(here.to_str().unwrap(), "/home/alice")];
    let outfile = |when: &str, name: &str| {
        let path = here.join(name);
        let words = ["token", "--outfile", path.to_str().unwrap()];
        shows(when, &run(&mut iamctl(&fake.bus.address, &words)), &places);
    };
    let folder = |name: &str| {
        std::fs::create_dir(here.join(name)).unwrap();
        here.join(name)
    };
    mode(&folder("open"), 0o777);
    outfile("--outfile in a directory that everybody may change", "open/token");
    symlink("loop", here.join("loop")).unwrap();
    outfile("--outfile behind links that lead nowhere", "loop/token");
    folder("folder");
    outfile("--outfile is a directory", "folder");
    outfile("--outfile is a link", "loop");
    drop(UnixListener::bind(here.join("socket")).unwrap());
    outfile("--outfile is a socket", "socket");
    if nix::unistd::geteuid().is_root() {
        let group = folder("group");
        chown(&group, None, Some(12345)).unwrap();
        mode(&group, 0o770);
        outfile("--outfile in a directory that a group may change", "group/token");
        chown(folder("theirs"), Some(12345), None).unwrap();
        outfile("--outfile in a directory of somebody else", "theirs/token");
        std::fs::write(here.join("taken"), "").unwrap();
        chown(here.join("taken"), Some(12345), None).unwrap();
        outfile("--outfile is a file of somebody else", "taken");
        symlink(here, here.join("link")).unwrap();
        std::os::unix::fs::lchown(here.join("link"), Some(12345), None).unwrap();
        outfile("--outfile behind a link of somebody else", "link/token");
    }
}

/// With ever more descriptors, from none on: each want of one is told, with what helps.
#[test]
fn descriptors_that_are_not_left() {
    let fake = fake();
    let secret = ["account", "add", "x", "--issuer", "wlcg", "--client-id", "x", "--no-login"];
    let secret = [&secret[..], &["--client-secret-fd", "3"]].concat();
    let command = ["run", "--", "true"];
    let [bus, pipe, signals] = [
        "the system bus cannot be reached: Too many open files",
        "no pipe is to be had: Too many open files",
        "signals cannot be attended to: Too many open files",
    ];
    let unread = "file descriptor 3: it cannot be read: Too many open files";
    for (words, redirect, wanted) in [
        (
            &command[..],
            "",
            &[
                ("iamctl run without a descriptor for the bus", bus),
                ("iamctl run without descriptors for signals", signals),
            ][..],
        ),
        (
            &secret,
            "3<&0",
            &[
                ("a secret by descriptor, and none is left to read it", unread),
                ("a secret for the daemon, and no descriptor is left for its pipe", pipe),
            ],
        ),
    ] {
        let mut left = wanted.to_vec();
        // Which one is the last that is left is a matter of moments too.
        for most in (0..5).flat_map(|_| 4..40) {
            if left.is_empty() {
                break;
            }
            let line = format!("{redirect}; ulimit -n {most}; exec \"$@\"");
            let outcome = run_under(&fake, words, &line);
            let Some(at) = outcome.stderr.rfind("Too many open files") else { continue };
            let advice = outcome.stderr[at..].lines().nth(1).unwrap_or_default().trim();
            assert_eq!(advice, "Let it open more files, as:  ulimit -n 1024", "{outcome:?}");
            if let Some(seen) = left.iter().position(|(_, text)| outcome.stderr.contains(text)) {
                shows(left.remove(seen).0, &outcome, &[]);
            }
        }
        assert!(left.is_empty(), "not seen: {left:?}");
    }
}

/// `iamctl` with these words, and a secret on standard input, as a shell has it after `line`.
fn run_under(fake: &Fake, args: &[&str], line: &str) -> Run {
    let plain = iamctl(&fake.bus.address, args);
    let mut shell = Command::new("sh");
    shell.args(["-c", &format!("exec {line}"), "sh"]);
    shell.arg(plain.get_program()).args(args).env_clear();
    shell.envs(plain.get_envs().filter_map(|(name, value)| Some((name, value?))));
    run_with(&mut shell, "Canary\n")
}

/// Nothing that iamctl may use can be written to, in a mount namespace of the test's own.
#[test]
fn a_node_without_a_place_for_a_token() {
    let fake = fake();
    let plain = iamctl(&fake.bus.address, &["run", "--", "true"]);
    let read_only = r#"for place in /tmp /run /dev/shm; do
        mount --bind "$place" "$place" && mount -o remount,bind,ro "$place" || exit 99
    done; exec "$@""#;
    let mut own_mounts = Command::new("unshare");
    own_mounts.args(["--mount", "sh", "-c", read_only, "sh"]).arg(plain.get_program());
    own_mounts.args(plain.get_args()).env_clear();
    own_mounts.envs(plain.get_envs().filter_map(|(name, value)| Some((name, value?))));
    let outcome = run(&mut own_mounts);
    if outcome.code == 99 || outcome.stderr.starts_with("unshare: ") {
        println!("not seen: this process may not mount");
        return;
    }
    shows("iamctl run has no directory for the token", &outcome, &[]);
}

#[test]
fn a_token_that_nobody_can_look_into() {
    let fake = fake();
    let decode = |when: &str, token: String| {
        fake.script().token.token = token;
        shows(when, &run(&mut iamctl(&fake.bus.address, &["token", "--decode"])), &[]);
    };
    decode("token --decode of one without end", "x".repeat(70_000));
    decode("token --decode of one that only looks like a JWT", "a.b.c".into());
    decode("token --decode of one that says nothing", "opaque".into());
}

#[test]
fn what_a_command_line_cannot_mean_or_a_disk_not_hold() {
    let fake = fake();
    let words = ["token", "--min-valid", "99999999999"];
    let long = run(&mut iamctl(&fake.bus.address, &words));
    assert_eq!((long.code, long.stdout.as_str()), (2, ""), "{long:?}");
    let first = long.stderr.lines().next().unwrap().to_owned();
    shows("a time that is too long", &Run { stderr: first, ..long }, &[]);
    let full = redirected(&fake, &["account", "list"], ">/dev/full");
    shows("standard output cannot be written", &full, &[]);
}
