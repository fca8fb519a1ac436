//! The password flow: who may not hears so before a password is typed, and a password is asked
//! without an echo or read from a descriptor, handed over by descriptor, and nowhere else.

mod support;

use std::process::Command;

use iamd_protocol::bus::{LoginInfo, PasswordFlowInfo, PasswordFlowReply};
use iamd_protocol::error::Kind;
use support::terminal::Terminal;
use support::transcript::Transcript;
use support::{Fake, iamctl, run, run_with, samples};

const WORDS: &str = "correct horse battery";
const ECHO: &str = "after: echo";
const SENTENCE: &str = "the password flow is not enabled for the client 9bef3e68 at WLCG. To send to \
                        the administrators of Example cluster: please let alice sign in by \
                        password:  iamctl admin password-flow enable --issuer wlcg --client 9bef3e68";

/// A daemon that lets users sign in by password.
fn allowing() -> Fake {
    let base = samples::base();
    let fake = Fake::start(samples::script(base));
    fake.script().password_login = LoginInfo { remarks: vec![], ..samples::done(base) };
    fake
}

fn refusing(kind: Kind, text: &str, method: &'static str) -> Fake {
    let fake = allowing();
    fake.script().fail.insert(method, (kind.bus_name(), text.into()));
    fake
}

fn in_shell(fake: &Fake, args: &str) -> Terminal {
    let script = format!(
        "trap : INT QUIT; \"$0\" {args}; code=$?; case $(stty -a) in *' -echo '*) echo 'after: silent';; \
         *) echo '{ECHO}';; esac; exit $code"
    );
    Terminal::start_with(&fake.bus.address, (80, 24), |plain| {
        let mut shell = Command::new("bash");
        shell.args(["-c", &script]).arg(plain.get_program());
        shell
    })
}

fn flow(client: &str, enabled_at: u64) -> PasswordFlowInfo {
    PasswordFlowInfo {
        issuer: "https://wlcg.example.org/".into(),
        issuer_name: Some("wlcg".into()),
        client: client.into(),
        enabled_by: 0,
        enabled_by_user: "root".into(),
        enabled_at,
        problem: None,
    }
}

#[test]
fn the_password_flow_is_told_as_written_down() {
    let base = samples::base();
    let fake = allowing();
    let address = fake.bus.address.clone();
    let mut transcript = Transcript::new("password-flow", base);
    let login = ["login", "--flow", "password"];
    let by_fd = ["login", "--flow", "password", "--user", "alice", "--password-fd", "0"];
    transcript.note("with a password on standard input");
    transcript.take(&by_fd, &run_with(&mut iamctl(&address, &by_fd), WORDS));
    let json = [&by_fd[..], &["--json"]].concat();
    transcript.take(&json, &run_with(&mut iamctl(&address, &json), WORDS));
    transcript.note("with both on standard input, each in a line");
    let both = ["login", "--flow", "password", "--credentials-fd", "0"];
    transcript.take(&both, &run_with(&mut iamctl(&address, &both), &format!("alice\n{WORDS}\n")));
    transcript.note("what is there has to be two lines");
    for (given, about) in [
        ("", "nothing"),
        ("alice", "one line"),
        ("\nwords\n", "no user name"),
        ("alice\nwords\nmore\n", "three lines"),
        ("al\0ice\nwords\n", "a NUL in the user name"),
        ("alice\nwo\0rds\n", "a NUL in the password"),
    ] {
        transcript.note(about);
        transcript.take(&both, &run_with(&mut iamctl(&address, &both), given));
    }
    let with_user = [&both[..], &["--user", "alice"]].concat();
    transcript.iamctl(&address, &with_user);
    transcript.iamctl(&address, &["login", "--flow", "device", "--credentials-fd", "0"]);
    transcript.note("without a terminal, nobody is asked");
    transcript.iamctl(&address, &login);
    transcript.iamctl(&address, &[&login[..], &["--user", "alice"]].concat());
    transcript.note("options that do not go together");
    transcript.iamctl(&address, &["login", "--user", "alice"]);
    transcript.iamctl(&address, &["login", "--flow", "device", "--user", "alice"]);
    transcript.iamctl(&address, &[&login[..], &["--no-wait"]].concat());
    transcript.note("not allowed, and everything that the issuer can say");
    for (kind, method, text) in [
        (Kind::DeniedByPolicy, "LoginWithoutPassword", SENTENCE),
        (
            Kind::GrantMissing,
            "LoginWithoutPassword",
            "WLCG does not let the client 9bef3e68 sign users in by password",
        ),
        (
            Kind::WrongPassword,
            "LoginWithPassword",
            "WLCG does not accept this user name with this password",
        ),
        (
            Kind::TooManyAttempts,
            "LoginWithPassword",
            "too many wrong passwords just now; none is tried for a minute",
        ),
        (
            Kind::SecondFactorNeeded,
            "LoginWithPassword",
            "WLCG wants a second factor, or another way to sign in, from you",
        ),
        (
            Kind::ActionNeeded,
            "LoginWithPassword",
            "WLCG wants you to do something first, such as to accept its terms of use: open https://wlcg.example.org/ in a browser",
        ),
        (Kind::ClientBroken, "LoginWithPassword", "the client 9bef3e68 is suspended at WLCG"),
        (Kind::IssuerUnreachable, "LoginWithPassword", "WLCG answered 503"),
    ] {
        let refuses = refusing(kind, text, method);
        let words = [&by_fd[..], &["cms"]].concat();
        transcript.take(&words, &run_with(&mut iamctl(&refuses.bus.address, &words), WORDS));
    }
    transcript.note("administrators");
    transcript.iamctl(&address, &["admin", "password-flow", "list"]);
    let unreadable = PasswordFlowInfo {
        problem: Some("the leave for the password flow at password-flows/1/2 does not open".into()),
        ..PasswordFlowInfo::default()
    };
    fake.script().password_flows = vec![flow("9bef3e68", base - 86_400), unreadable];
    transcript.iamctl(&address, &["admin", "password-flow", "list"]);
    transcript.iamctl(&address, &["admin", "password-flow", "list", "--json"]);
    let of = |command: &'static str, more: &[&'static str]| {
        let words = ["admin", "password-flow", command, "--issuer", "wlcg", "--client", "9bef3e68"];
        [&words[..], more].concat()
    };
    fake.script().password_flow = PasswordFlowReply {
        issuer: "https://wlcg.example.org/".into(),
        client: "9bef3e68".into(),
        enabled: true,
        at_issuer: None,
        remarks: vec![
            "the issuer decides too: ask the administrator of https://wlcg.example.org/ to allow \
             grant type password for client 9bef3e68. An INDIGO IAM can be changed from here, by an administrator there:  \
             --at-issuer"
                .into(),
        ],
    };
    transcript.iamctl(&address, &of("enable", &[]));
    transcript.iamctl(&address, &of("enable", &["--json"]));
    fake.script().password_flow.remarks.clear();
    transcript.iamctl(&address, &of("disable", &[]));
    fake.script().password_flow.at_issuer = Some(true);
    transcript.iamctl(&address, &of("enable", &["--at-issuer", "--account", "iam-admin"]));
    transcript.iamctl(&address, &of("enable", &["--account", "iam-admin"]));
    let none = "alice has no account at WLCG with the scopes iam:admin.read and iam:admin.write. To \
                make one: ...";
    for kind in [Kind::LoginRequired, Kind::NotAuthorized] {
        fake.script().fail.insert("EnablePasswordFlow", (kind.bus_name(), none.into()));
        transcript.iamctl(&address, &of("enable", &["--at-issuer"]));
    }
    let no = (Kind::NotAuthorized.bus_name(), "polkit does not allow you this".to_owned());
    for method in ["DisablePasswordFlow", "PasswordFlows"] {
        fake.script().fail.insert(method, no.clone());
    }
    transcript.iamctl(&address, &of("disable", &["--json"]));
    transcript.iamctl(&address, &["admin", "password-flow", "list"]);
    transcript.check();
    let calls = fake.calls().join("\n");
    assert!(calls.contains("at_issuer: Some(true), account: Some(\"iam-admin\")"), "{calls}");
}

#[test]
fn r35_a_password_comes_by_a_descriptor_and_is_nowhere_else() {
    let fake = allowing();
    let by_fd = ["login", "cms", "--flow", "password", "--user", "al", "--password-fd", "0"];
    let outcome = run_with(&mut iamctl(&fake.bus.address, &by_fd), &format!("{WORDS}\n"));
    assert_eq!((outcome.code, outcome.stdout.as_str()), (0, ""), "{outcome:?}");
    assert!(!outcome.stderr.contains("horse"), "{outcome:?}");
    assert!(outcome.stderr.contains("Warning: RFC 9700"), "{outcome:?}");
    let calls = fake.calls();
    let asked = calls.iter().position(|call| call.starts_with("LoginWithoutPassword(\"cms\""));
    let sent = calls.iter().position(|call| {
        call.starts_with("LoginWithPassword(\"cms\"")
            && call.ends_with(&format!("[(\"password\", {WORDS:?}), (\"user-name\", \"al\")])"))
    });
    assert!(asked.unwrap() < sent.unwrap(), "{calls:?}");
    for args in [&["login", "--flow", "password", "--password", WORDS][..], &["login", WORDS, "x"]]
    {
        assert_eq!(run(&mut iamctl(&fake.bus.address, args)).code, 2, "{args:?}");
    }
}

#[test]
fn r35_user_name_and_password_come_by_one_descriptor_and_the_password_is_nowhere_else() {
    let both = ["login", "cms", "--flow", "password", "--credentials-fd", "0"];
    for given in [
        format!("alice@home\n{WORDS}\n"),
        format!("alice@home\n{WORDS}"),
        format!("alice@home\r\n{WORDS}\r\n"),
    ] {
        let fake = allowing();
        let outcome = run_with(&mut iamctl(&fake.bus.address, &both), &given);
        assert_eq!((outcome.code, outcome.stdout.as_str()), (0, ""), "{outcome:?}");
        assert!(!outcome.stderr.contains("horse"), "{outcome:?}");
        let calls = fake.calls().join("\n");
        let secrets = format!("[(\"password\", {WORDS:?}), (\"user-name\", \"alice@home\")]");
        assert!(calls.contains(&secrets), "{calls}");
    }
    let long = "x".repeat(100_000);
    for given in [
        String::new(),
        "alice".into(),
        "alice\n".into(),
        "alice\n\n".into(),
        format!("\n{WORDS}\n"),
        format!("alice\n{WORDS}\nmore\n"),
        format!("al\0ice\n{WORDS}\n"),
        "alice\ncorrect\0horse\n".into(),
        format!("{long}\n{WORDS}\n"),
        format!("alice\n{long}\n"),
        "alice\nhorse\u{1b}[2J\n".to_owned(),
    ] {
        let fake = allowing();
        let outcome = run_with(&mut iamctl(&fake.bus.address, &both), &given);
        assert_eq!(outcome.code, 2, "{given:.40?}: {outcome:?}");
        assert!(!outcome.stderr.contains("horse"), "{outcome:?}");
        assert!(fake.calls().iter().all(|call| !call.starts_with("LoginWithPassword")));
    }
}

#[test]
fn who_may_not_is_not_asked_for_a_password() {
    let fake = refusing(Kind::DeniedByPolicy, SENTENCE, "LoginWithoutPassword");
    let terminal = in_shell(&fake, "login --flow password");
    let (code, text) = terminal.end();
    assert_eq!(code, 4, "{text}");
    assert!(!text.contains("User name") && !text.contains("Warning"), "{text}");
    assert!(text.contains("Until then, sign in in a browser:  iamctl login"), "{text}");
    assert!(fake.calls().iter().all(|call| !call.starts_with("LoginWithPassword")));
}

#[test]
fn r35_on_a_terminal_name_and_password_are_asked_for_and_the_password_has_no_echo() {
    for (typed, expected) in [("\n", None), ("alice@home\n", Some("alice@home"))] {
        let fake = allowing();
        let mut terminal = in_shell(&fake, "login --flow password");
        terminal.wait_for("User name at WLCG [");
        terminal.type_keys(typed);
        terminal.wait_for(" at WLCG: ");
        terminal.type_keys(&format!("{WORDS}\n"));
        let (code, text) = terminal.end();
        assert_eq!(code, 0, "{text}");
        assert!(text.contains(ECHO) && !text.contains("horse"), "{text}");
        assert!(text.contains("Warning: RFC 9700") && text.contains("Signed in to WLCG"), "{text}");
        let calls = fake.calls().join("\n");
        let secrets = format!("[(\"password\", {WORDS:?}), (\"user-name\", \"");
        assert!(calls.contains(&secrets), "{calls}");
        let named = |name| calls.contains(&format!("{secrets}{name}\")]"));
        assert!(expected.is_none_or(named), "{calls}");
    }
}

#[test]
fn ctrl_c_and_the_end_of_input_leave_the_terminal_as_it_was_and_send_nothing() {
    for (keys, expected) in [("\x03", 130), ("\x04", 2), ("\n", 2)] {
        let fake = allowing();
        let mut terminal = in_shell(&fake, "login --flow password --user alice");
        terminal.wait_for("Password of alice at WLCG: ");
        terminal.type_keys(keys);
        terminal.wait_for("after: ");
        let (code, text) = terminal.end();
        assert_eq!(code, expected, "{keys:?}: {text}");
        assert!(text.contains(ECHO), "{keys:?}: {text}");
        assert!(fake.calls().iter().all(|call| !call.starts_with("LoginWithPassword")));
    }
}
