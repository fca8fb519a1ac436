//! Passphrases: asked without an echo, read from a descriptor, never in an argument; and a
//! terminal that is as it was, however the question ends.

mod support;

use std::process::Command;

use iamd_protocol::bus::{AccountInfo, state};
use iamd_protocol::error::Kind;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use support::terminal::Terminal;
use support::transcript::Transcript;
use support::{Fake, iamctl, run, run_with, samples};

const WORDS: &str = "correct horse battery";
const ECHO: &str = "after: echo";

/// A daemon whose first account has a passphrase.
fn guarded() -> Fake {
    let base = samples::base();
    let fake = Fake::start(samples::script(base));
    {
        let first = &mut fake.script().accounts[0];
        (first.has_passphrase, first.state) = (Some(true), state::LOCKED.into());
    }
    fake
}

/// A shell on a terminal that runs `iamctl` and then says whether the terminal echoes.
fn in_shell(fake: &Fake, args: &str, size: (u16, u16)) -> Terminal {
    let script = format!(
        "trap : INT QUIT; \"$0\" {args}; code=$?; case $(stty -a) in *' -echo '*) echo 'after: silent';; \
         *) echo '{ECHO}';; esac; exit $code"
    );
    Terminal::start_with(&fake.bus.address, size, |plain| {
        let mut shell = Command::new("bash");
        shell.args(["-c", &script]).arg(plain.get_program());
        shell
    })
}

#[test]
fn passphrases_are_refused_asked_and_told_as_written_down() {
    let base = samples::base();
    let fake = Fake::start(samples::script(base));
    let mut transcript = Transcript::new("passphrases", base);
    let address = fake.bus.address.clone();
    transcript.note("an account without a passphrase");
    for args in [
        &["account", "unlock"][..],
        &["account", "passphrase", "--remove"],
        &["account", "lock", "--all"],
        &["account", "lock", "--all", "--json"],
    ] {
        transcript.iamctl(&address, args);
    }
    transcript.note("without a terminal, nobody is asked");
    transcript.iamctl(&address, &["account", "passphrase"]);
    transcript.iamctl(&address, &["login", "--passphrase"]);
    transcript.iamctl(&address, &["login", "new", "--issuer", "cms", "--passphrase"]);
    transcript.iamctl(&address, &["account", "unlock", "--passphrase-fd", "77"]);
    fake.script().accounts[0].has_passphrase = Some(true);
    fake.script().accounts[0].state = state::LOCKED.into();
    transcript.note("an account that is locked");
    for args in [
        &["account", "unlock"][..],
        &["account", "unlock", "--passphrase-fd", "77"],
        &["account", "unlock", "--passphrase-fd", "0"],
        &["account", "passphrase"],
        &["account", "lock"],
        &["account", "lock", "--all"],
        &["account", "lock", "--json"],
        &["status"],
        &["account", "list"],
        &["account", "show"],
    ] {
        transcript.iamctl(&address, args);
    }
    transcript.check();
    let asked = fake.calls();
    assert!(asked.iter().all(|call| !call.starts_with("Unlock") && !call.starts_with("Set")));
}

#[test]
fn a_passphrase_comes_by_a_descriptor_and_is_nowhere_else() {
    let fake = guarded();
    for (args, call, told) in [
        (
            &["account", "unlock", "--passphrase-fd", "0", "--for", "8h"][..],
            format!("Unlock(\"wlcg\", Some(28800), {WORDS:?})"),
            "Unlocked wlcg for 8 h.",
        ),
        (
            &["account", "unlock", "wlcg", "--passphrase-fd", "0"],
            format!("Unlock(\"wlcg\", None, {WORDS:?})"),
            "Unlocked wlcg until it is locked",
        ),
        (
            &["account", "passphrase", "--remove", "--passphrase-fd", "0"],
            format!("SetPassphrase(\"wlcg\", [(\"passphrase\", {WORDS:?})])"),
            "The passphrase of wlcg is gone",
        ),
        (
            &["account", "passphrase", "cms", "--new-passphrase-fd", "0"],
            format!("SetPassphrase(\"cms\", [(\"new-passphrase\", {WORDS:?})])"),
            "cms has a passphrase now.",
        ),
    ] {
        let outcome = run_with(&mut iamctl(&fake.bus.address, args), &format!("{WORDS}\n"));
        assert_eq!((outcome.code, outcome.stdout.as_str()), (0, ""), "{outcome:?}");
        assert!(outcome.stderr.contains(told) && !outcome.stderr.contains("horse"), "{outcome:?}");
        assert!(fake.calls().contains(&call), "{call}: {:?}", fake.calls());
    }
    let json = run_with(
        &mut iamctl(&fake.bus.address, &["account", "unlock", "--passphrase-fd", "0", "--json"]),
        WORDS,
    );
    assert_eq!(json.stdout, "{\"account\":\"wlcg\",\"unlocked_until\":null}\n");
    let json = ["account", "passphrase", "cms", "--new-passphrase-fd", "0", "--json"];
    let json = run_with(&mut iamctl(&fake.bus.address, &json), WORDS).stdout;
    assert_eq!(json, "{\"account\":\"cms\",\"has_passphrase\":true,\"remarks\":[]}\n");
    let empty = run_with(
        &mut iamctl(&fake.bus.address, &["account", "unlock", "--passphrase-fd", "0"]),
        "\n",
    );
    assert_eq!(empty.code, 2, "{empty:?}");
}

#[test]
fn a_wrong_passphrase_is_exit_code_1_and_the_way_out_is_told() {
    let fake = guarded();
    for kind in [Kind::WrongPassphrase, Kind::TooManyAttempts] {
        fake.script().fail.insert("Unlock", (kind.bus_name(), "not that one".into()));
        let outcome = run_with(
            &mut iamctl(&fake.bus.address, &["account", "unlock", "--passphrase-fd", "0"]),
            "wrong horse",
        );
        assert_eq!(outcome.code, kind.exit() as i32, "{outcome:?}");
        assert!(outcome.stderr.contains(kind.advice()), "{outcome:?}");
    }
}

#[test]
fn a_login_with_a_passphrase_sets_it_before_the_sign_in_begins() {
    let base = samples::base();
    let fake = Fake::start(samples::script(base));
    fake.script().states = [(std::time::Duration::ZERO, samples::done(base))].into();
    fake.script().accounts = Vec::<AccountInfo>::new();
    let outcome = run_with(
        &mut iamctl(&fake.bus.address, &["login", "--passphrase-fd", "0", "--json"]),
        WORDS,
    );
    assert_eq!(outcome.code, 0, "{outcome:?}");
    let calls = fake.calls();
    let at = |what: &str| calls.iter().position(|call| call.starts_with(what)).unwrap();
    let set = at(&format!("SetPassphrase(\"\", [(\"new-passphrase\", {WORDS:?})])"));
    assert!(set < at("Login(\"wlcg\""), "{calls:?}");
}

#[test]
fn an_account_is_added_with_its_passphrase() {
    let fake = Fake::start(samples::script(samples::base()));
    let add = ["account", "add", "cms", "--no-login", "--passphrase-fd", "0"];
    let outcome = run_with(&mut iamctl(&fake.bus.address, &add), WORDS);
    assert_eq!(outcome.code, 0, "{outcome:?}");
    assert!(!format!("{outcome:?}").contains("horse"), "{outcome:?}");
    let given = format!("{{\"new-passphrase\": {WORDS:?}}}");
    let calls = fake.calls();
    assert!(
        calls.iter().any(|call| call.starts_with("Add(") && call.contains(&given)),
        "{calls:?}"
    );
    // Without a descriptor and a terminal nobody can be asked.
    let outcome = run(&mut iamctl(&fake.bus.address, &["account", "add", "cms", "--passphrase"]));
    assert_eq!(outcome.code, 2, "{outcome:?}");
    assert!(outcome.stderr.contains("--passphrase-fd"), "{outcome:?}");
    assert_eq!(fake.calls().iter().filter(|call| call.starts_with("Add(")).count(), 1);
}

#[test]
fn on_a_terminal_it_is_asked_for_without_an_echo() {
    for size in [(80, 24), (40, 24)] {
        let fake = guarded();
        let mut terminal = in_shell(&fake, "account unlock", size);
        terminal.wait_for("Passphrase of wlcg: ");
        terminal.type_keys("correct horse\x7fE battery\n");
        let (code, text) = terminal.end();
        assert_eq!(code, 0, "{text}");
        assert!(text.contains(ECHO) && !text.contains("horse") && !text.contains("battery"));
        assert!(fake.calls().iter().any(|call| call.contains("correct horsE battery")));
    }
}

#[test]
fn a_new_passphrase_is_asked_for_twice() {
    let fake = guarded();
    let first_then = |second: &str| {
        let mut terminal = in_shell(&fake, "account passphrase cms", (80, 24));
        terminal.wait_for("New passphrase for cms: ");
        terminal.type_keys(&format!("{WORDS}\n"));
        terminal.wait_for("The same once more: ");
        terminal.type_keys(&format!("{second}\n"));
        terminal.end()
    };
    let (code, text) = first_then("something else");
    assert_eq!(code, 2, "{text}");
    assert!(text.contains("the two are not the same") && text.contains(ECHO), "{text}");
    assert!(fake.calls().iter().all(|call| !call.starts_with("SetPassphrase")));
    let (code, text) = first_then(WORDS);
    assert_eq!(code, 0, "{text}");
    assert!(!text.contains("horse"), "{text}");
    assert_eq!(fake.calls().iter().filter(|call| call.starts_with("SetPassphrase")).count(), 1);
}

#[test]
fn ctrl_c_and_the_end_of_input_leave_the_terminal_as_it_was_at_each_question() {
    for (args, questions) in [
        ("account unlock", &["Passphrase of wlcg: "][..]),
        (
            "account passphrase",
            &["Passphrase of wlcg: ", "New passphrase for wlcg: ", "The same once more: "],
        ),
        (
            "account add cms --no-login --passphrase",
            &["New passphrase for cms: ", "The same once more: "],
        ),
        ("login cms --passphrase", &["New passphrase for cms: ", "The same once more: "]),
    ] {
        for (last, question) in questions.iter().enumerate() {
            for (keys, expected) in [("\x03", 130), ("\x1c", 131), ("\x04", 2), ("\n", 2)] {
                let fake = guarded();
                let mut terminal = in_shell(&fake, args, (80, 24));
                for before in &questions[..last] {
                    terminal.wait_for(before);
                    terminal.type_keys(&format!("{WORDS}\n"));
                }
                terminal.wait_for(question);
                terminal.type_keys(keys);
                terminal.wait_for("after: ");
                let (code, text) = terminal.end();
                assert_eq!(code, expected, "{args} {keys:?}: {text}");
                assert!(text.contains(ECHO), "{args} {keys:?}: {text}");
                let calls = fake.calls();
                let changed = calls.iter().any(|c| c.starts_with("Unlock") || c.starts_with("Set"));
                assert!(!changed && !text.contains("horse"), "{args} {keys:?}: {calls:?}");
            }
        }
    }
}

#[test]
fn stopped_with_ctrl_z_the_shell_has_its_echo_and_the_question_comes_again() {
    let fake = guarded();
    // Job control, so that there is a shell to come back to.
    let script = "set -m; \"$0\" account unlock; case $(stty -a) in *' -echo '*) \
                  echo 'stopped: silent';; *) echo 'stopped: echo';; esac; fg; exit $?";
    let mut terminal = Terminal::start_with(&fake.bus.address, (80, 24), |plain| {
        let mut shell = Command::new("bash");
        shell.args(["-c", script]).arg(plain.get_program());
        shell
    });
    terminal.wait_for("Passphrase of wlcg: ");
    terminal.type_keys("\x1a");
    terminal.wait_for("stopped: echo");
    terminal.wait_for_again("Passphrase of wlcg: ", 2);
    terminal.type_keys(&format!("{WORDS}\n"));
    let (code, text) = terminal.end();
    assert_eq!(code, 0, "{text}");
    assert!(!text.contains("horse"), "{text}");
}

#[test]
fn ended_from_elsewhere_it_gives_the_terminal_its_echo_back() {
    for signal in [Signal::SIGTERM, Signal::SIGHUP] {
        let fake = guarded();
        let script = format!(
            "bash -c 'echo pid:$$:; exec \"$0\" account unlock' \"$0\"; code=$?; \
             case $(stty -a) in *' -echo '*) echo 'after: silent';; *) echo '{ECHO}';; esac; \
             exit $code"
        );
        let mut terminal = Terminal::start_with(&fake.bus.address, (80, 24), |plain| {
            let mut shell = Command::new("bash");
            shell.args(["-c", &script]).arg(plain.get_program());
            shell
        });
        terminal.wait_for("Passphrase of wlcg: ");
        let seen = terminal.seen();
        let pid = seen.split(':').nth(1).unwrap().parse().unwrap();
        kill(Pid::from_raw(pid), signal).unwrap();
        terminal.wait_for("after: ");
        let (code, text) = terminal.end();
        assert_eq!(code, 128 + signal as i32, "{text}");
        assert!(text.contains(ECHO), "{signal}: {text}");
    }
}

#[test]
fn a_passphrase_is_neither_an_argument_nor_a_variable() {
    let fake = guarded();
    for args in [&["account", "unlock", "--passphrase", WORDS][..], &["login", "--passphrase=x"]] {
        assert_eq!(run(&mut iamctl(&fake.bus.address, args)).code, 2, "{args:?}");
    }
    assert!(fake.calls().is_empty());
}

#[test]
fn what_is_said_of_a_locked_account_names_it_and_an_unlocked_one_is_marked() {
    let fake = guarded();
    {
        let cms = &mut fake.script().accounts[1];
        (cms.has_passphrase, cms.state) = (Some(true), state::SIGNED_IN.into());
    }
    let listed = run(&mut iamctl(&fake.bus.address, &["account", "list"])).stdout;
    assert!(listed.contains("signed in, unlocked") && listed.contains("  locked "), "{listed}");
    let locked = run(&mut iamctl(&fake.bus.address, &["account", "lock", "cms"])).stderr;
    assert!(locked.replace('\n', " ").ends_with("iamctl account unlock cms "), "{locked}");
    let all = run(&mut iamctl(&fake.bus.address, &["account", "lock", "--all"])).stderr;
    assert!(all.replace('\n', " ").ends_with("iamctl account unlock NAME "), "{all}");
    // Before a locked one is removed, it is said how its sign-in can be revoked.
    let mut terminal =
        Terminal::start(&fake.bus.address, &["account", "remove", "wlcg"], (120, 24), |_| {});
    terminal.wait_for("[y/N]: ");
    terminal.type_keys("n\r");
    let (code, text) = terminal.end();
    assert_eq!(code, 1, "{text}");
    assert!(text.replace('\n', " ").contains("iamctl account unlock wlcg"), "{text}");
    assert!(fake.calls().iter().all(|call| !call.starts_with("Remove(")));
}
