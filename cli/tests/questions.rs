//! The questions of `iamctl account`, on terminals of every kind: what is asked, what an answer
//! does, and that Ctrl-C at any of them leaves terminal and accounts as they were.

mod support;

use std::process::Command;

use nix::sys::signal::Signal;
use support::terminal::{Terminal, plain_lines};
use support::{Fake, samples};

type Change = fn(&mut Command);

/// Terminals that an editor of lines works on, and those where it does not.
const KINDS: [(&str, Change); 5] = [
    ("usual", |_| {}),
    ("no colour", |command| {
        command.env("NO_COLOR", "1");
    }),
    ("dumb", |command| {
        command.env("TERM", "dumb");
    }),
    ("no UTF-8", |command| {
        command.env("LANG", "C").env_remove("LC_ALL");
    }),
    ("emacs", |command| {
        command.env("TERM", "emacs");
    }),
];

fn fake() -> Fake {
    let base = samples::base();
    let fake = Fake::start(samples::script(base));
    fake.script().login = samples::done(base);
    fake
}

/// Whether it is said, on a line of its own, that the input ended at a question of yes or no.
fn takes_it_for_no(text: &str) -> bool {
    plain_lines(text).iter().any(|line| line == "No answer: that is taken for a no.")
}

/// Not what was only looked at.
fn added(fake: &Fake) -> Vec<String> {
    let is_meant = |call: &String| call.starts_with("Add") && !call.contains("dry_run: Some(true)");
    fake.calls().into_iter().filter(is_meant).collect()
}

/// What is asked in order, and the answers.
const ADD: [(&str, &str); 4] = [
    ("Number, name or URL [1]: ", "1\r"),
    ("Name of the account: ", "mine\r"),
    ("Scopes [default]: ", "openid compute.read\r"),
    ("Audience [default]: ", "https://se.example.org\r"),
];

#[test]
fn an_account_is_added_step_by_step_on_every_kind_of_terminal() {
    for (kind, change) in KINDS {
        for size in [(80, 24), (40, 24)] {
            let fake = fake();
            let mut terminal =
                Terminal::start(&fake.bus.address, &["account", "add"], size, change);
            for (question, answer) in ADD {
                terminal.wait_for(question);
                terminal.type_keys(answer);
            }
            let (code, text) = terminal.end_restored();
            assert_eq!(code, 0, "{kind}: {text}");
            assert_eq!(
                added(&fake),
                [
                    r#"Add("mine", AddOptions { issuer: Some("wlcg"), scopes: Some(["openid", "compute.read"]), all_scopes: None, audiences: Some(["https://se.example.org"]), client_id: None, client_auth: None, public_client: None, own_client: None, client_name: None, make_default: None, dry_run: None }, {})"#
                ],
                "{kind}"
            );
            assert!(fake.calls().contains(&r#"Issuer("wlcg")"#.to_owned()));
            assert!(text.contains("Account cms added.") && text.contains("Signed in to"), "{text}");
            assert!(text.is_ascii(), "{kind}: {text}");
            let colour = text.contains("\x1b[1m") || text.contains("\x1b[2m");
            assert_eq!(colour, ["usual", "no UTF-8", "emacs"].contains(&kind), "{kind}: {text}");
            if kind == "dumb" {
                assert!(!text.contains('\x1b'), "{text:?}");
            }
            for line in plain_lines(&text).iter().filter(|line| !line.contains("://")) {
                let length = line.trim_end().chars().count();
                assert!(length <= size.0.into(), "{kind}: {line:?}");
            }
        }
    }
}

#[test]
fn ctrl_c_at_each_question_leaves_everything_as_it_was() {
    for (kind, change) in KINDS {
        for asked in 0..ADD.len() {
            let fake = fake();
            let args = ["account", "add"];
            let mut terminal = Terminal::start(&fake.bus.address, &args, (80, 24), change);
            for (question, answer) in &ADD[..asked] {
                terminal.wait_for(question);
                terminal.type_keys(answer);
            }
            terminal.wait_for(ADD[asked].0);
            terminal.type_keys("half an ans\x03");
            let (code, text) = terminal.end_restored();
            assert_eq!(code, 130, "{kind}, question {asked}: {text}");
            assert_eq!(added(&fake), [""; 0], "{kind}, question {asked}");
        }
    }
}

#[test]
fn ctrl_c_at_the_login_after_the_questions_leaves_the_login_running() {
    let fake = fake();
    fake.script().login = samples::pending(samples::base());
    let mut terminal = Terminal::start(&fake.bus.address, &["account", "add"], (80, 24), |_| {});
    for (question, answer) in ADD {
        terminal.wait_for(question);
        terminal.type_keys(answer);
    }
    terminal.wait_for("Waiting");
    terminal.type_keys("\x03");
    let (code, text) = terminal.end_restored();
    assert_eq!(code, 3, "{text}");
    assert!(text.contains("the login goes on without this command"), "{text}");
}

#[test]
fn the_end_of_the_input_is_no_answer() {
    for (kind, change) in KINDS {
        let fake = fake();
        let args = ["account", "add"];
        let mut terminal = Terminal::start(&fake.bus.address, &args, (80, 24), change);
        terminal.wait_for(ADD[0].0);
        terminal.type_keys("\x04");
        let (code, text) = terminal.end_restored();
        assert_eq!(code, 2, "{kind}: {text}");
        assert!(text.contains("the question was not answered: nothing more was done"), "{text}");
        assert_eq!(added(&fake), [""; 0]);
    }
}

#[test]
fn enter_takes_the_defaults_and_what_an_option_says_is_not_asked() {
    let fake = fake();
    fake.script().accounts.clear();
    let args = ["account", "add", "--aud", "x", "--no-login"];
    let mut terminal = Terminal::start(&fake.bus.address, &args, (80, 24), |_| {});
    for question in ["[1]: ", "Name of the account [wlcg]: ", "Scopes [default]: "] {
        terminal.wait_for(question);
        terminal.type_keys("\r");
    }
    let (code, text) = terminal.end_restored();
    assert_eq!(code, 0, "{text}");
    assert!(!text.contains("Audience"), "{text}");
    let calls = added(&fake);
    let expected = r#"Add("wlcg", AddOptions { issuer: Some("wlcg"), scopes: None, all_scopes: None, audiences: Some(["x"]),"#;
    assert!(calls[0].starts_with(expected), "{calls:?}");
    // The issuer is named: there is nothing to ask.
    let args = ["account", "add", "--issuer", "cms", "--no-login"];
    let (code, text) = Terminal::start(&fake.bus.address, &args, (80, 24), |_| {}).end_restored();
    assert_eq!(code, 0);
    assert!(!text.contains("]: "), "{text}");
}

#[test]
fn an_answer_that_is_none_is_asked_for_again() {
    let fake = fake();
    let args = ["account", "add", "--no-login"];
    let mut terminal = Terminal::start(&fake.bus.address, &args, (80, 24), |_| {});
    for (question, answer) in [
        ("Number, name or URL [1]: ", "9\r"),
        ("\"9\" is none of them", "cms\r"),
        ("Name of the account: ", "wlcg\r"),
        ("You have an account wlcg already.", "third\r"),
        ("Scopes [default]: ", "storage.read:/x max\r"),
        ("Audience [default]: ", "\r"),
    ] {
        terminal.wait_for(question);
        terminal.type_keys(answer);
    }
    let (code, text) = terminal.end_restored();
    assert_eq!(code, 0, "{text}");
    let calls = added(&fake);
    let expected = r#"Add("third", AddOptions { issuer: Some("cms"), scopes: Some(["storage.read:/x"]), all_scopes: Some(true), audiences: None,"#;
    assert!(calls[0].starts_with(expected), "{calls:?}");
}

#[test]
fn a_name_or_a_scope_that_cannot_be_is_told_at_its_own_question() {
    let fake = fake();
    let args = ["account", "add", "--no-login"];
    let mut terminal = Terminal::start(&fake.bus.address, &args, (200, 24), |_| {});
    for (question, answer) in [
        ("Number, name or URL [1]: ", "cms\r"),
        ("Name of the account: ", "EGI\r"),
        ("beginning with a letter or digit, such as egi.", "egi\r"),
    ] {
        terminal.wait_for(question);
        terminal.type_keys(answer);
    }
    terminal.wait_for("Scopes [default]: ");
    let refused = ("org.iamd1.Error.InvalidArgument".to_owned(), "a path climbs".to_owned());
    fake.script().fail.insert("Add", refused);
    terminal.type_keys("storage.read:/../x\r");
    terminal.wait_for("These cannot be asked for: a path climbs.");
    fake.script().fail.clear();
    for (question, answer) in
        [("Scopes [default]: ", "storage.read:/x\r"), ("Audience [default]: ", "\r")]
    {
        terminal.wait_for(question);
        terminal.type_keys(answer);
    }
    let (code, text) = terminal.end_restored();
    assert_eq!(code, 0, "{text}");
    let looked: Vec<_> = fake.calls().into_iter().filter(|call| call.starts_with("Add")).collect();
    assert_eq!(looked.len(), 3, "{looked:?}");
    assert!(looked[0].starts_with(r#"Add("egi""#) && looked[0].ends_with(", {})"), "{looked:?}");
    assert!(added(&fake)[0].contains(r#"scopes: Some(["storage.read:/x"])"#), "{looked:?}");
}

#[test]
fn tab_completes_what_the_issuer_offers() {
    let fake = fake();
    let args = ["account", "add", "mine", "--no-login"];
    let mut terminal = Terminal::start(&fake.bus.address, &args, (80, 24), |_| {});
    terminal.wait_for("[1]: ");
    terminal.type_keys("cm\t\r");
    terminal.wait_for("Scopes [default]: ");
    terminal.type_keys("comp\t storage.m\t\r");
    terminal.wait_for("Audience [default]: ");
    terminal.type_keys("\r");
    let (code, text) = terminal.end_restored();
    assert_eq!(code, 0, "{text}");
    let call = added(&fake).pop().unwrap();
    assert!(call.contains(r#"issuer: Some("cms")"#), "{call}");
    assert!(call.contains(r#"scopes: Some(["compute.read", "storage.modify:/"])"#), "{call}");
}

#[test]
fn an_issuer_that_cannot_be_asked_is_no_hindrance() {
    let fake = fake();
    let refused = ("org.iamd1.Error.IssuerUnreachable".to_owned(), "it is down".to_owned());
    fake.script().fail.insert("Issuer", refused);
    let args = ["account", "add", "mine", "--no-login"];
    let mut terminal = Terminal::start(&fake.bus.address, &args, (80, 24), |_| {});
    terminal.wait_for("[1]: ");
    terminal.type_keys("https://other.example.org\r");
    terminal.wait_for("What the issuer offers is not known now.");
    terminal.wait_for("Scopes [default]: ");
    terminal.type_keys("\r");
    terminal.wait_for("Audience [default]: ");
    terminal.type_keys("\r");
    assert_eq!(terminal.end_restored().0, 0);
    assert!(added(&fake)[0].contains(r#"issuer: Some("https://other.example.org")"#));
}

#[test]
fn the_secret_of_a_client_is_asked_for_and_not_shown() {
    for (kind, change) in KINDS {
        let args = ["account", "add", "cms", "--client-id", "7f1c", "--no-login"];
        let fake = fake();
        let mut terminal = Terminal::start(&fake.bus.address, &args, (40, 24), change);
        terminal.wait_for("Secret: ");
        terminal.type_keys("canary\r");
        let (code, text) = terminal.end_restored();
        assert_eq!(code, 0, "{kind}: {text}");
        assert!(!text.contains("canary"), "{kind}: {text}");
        assert!(added(&fake)[0].ends_with(r#"{"client-secret": "canary"})"#), "{kind}");
        fake.script().calls.clear();
        let mut terminal = Terminal::start(&fake.bus.address, &args, (80, 24), change);
        terminal.wait_for("Secret: ");
        terminal.type_keys("can\x03");
        let (code, text) = terminal.end_restored();
        assert_eq!(code, 130, "{kind}: {text}");
        assert!(!text.contains("can\n"), "{kind}: {text}");
        assert_eq!(added(&fake), [""; 0]);
        let mut terminal = Terminal::start(&fake.bus.address, &args, (80, 24), change);
        terminal.wait_for("Secret: ");
        terminal.type_keys("\r");
        let (code, text) = terminal.end_restored();
        assert_eq!(code, 2, "{kind}: {text}");
        assert!(text.contains("One that has none:  --client-auth none"), "{text}");
    }
}

#[test]
fn an_issuer_that_the_site_refuses_is_refused_before_anything_else_is_asked() {
    let fake = fake();
    let refused = ("org.iamd1.Error.DeniedByPolicy".to_owned(), "not here".to_owned());
    fake.script().fail.insert("Issuer", refused);
    let args = ["account", "add", "--no-login"];
    let mut terminal = Terminal::start(&fake.bus.address, &args, (80, 24), |_| {});
    terminal.wait_for("[1]: ");
    terminal.type_keys("https://other.example.org\r");
    let (code, text) = terminal.end_restored();
    assert_eq!(code, 4, "{text}");
    assert!(text.contains("not here") && !text.contains("Name of the account"), "{text}");
    assert_eq!(added(&fake), [""; 0]);
}

#[test]
fn nobody_is_asked_whether_to_remove_what_is_not_there() {
    let fake = fake();
    let args = ["account", "remove", "nosuch"];
    let terminal = Terminal::start(&fake.bus.address, &args, (80, 24), |_| {});
    let (code, text) = terminal.end_restored();
    assert_eq!(code, 1, "{text}");
    assert!(text.contains("nosuch") && !text.contains("[y/N]"), "{text}");
    assert!(!fake.calls().iter().any(|call| call.starts_with("Remove")));
}

#[test]
fn removing_is_asked_for_and_no_is_the_default() {
    for (kind, change) in KINDS {
        for (answer, code, removes) in [
            ("y\r", 0, true),
            ("YES\r", 0, true),
            ("\r", 1, false),
            ("n\r", 1, false),
            ("\x04", 1, false),
            ("\x03", 130, false),
        ] {
            let fake = fake();
            let args = ["account", "remove", "cms"];
            let mut terminal = Terminal::start(&fake.bus.address, &args, (40, 24), change);
            terminal.wait_for("[y/N]: ");
            terminal.type_keys(answer);
            let (is, text) = terminal.end_restored();
            assert_eq!(is, code, "{kind}, {answer:?}: {text}");
            let removed = fake.calls().iter().any(|call| call.starts_with("Remove"));
            assert_eq!(removed, removes, "{kind}, {answer:?}: {text}");
            if code == 1 {
                assert!(text.contains("Nothing was removed."), "{text}");
            }
            assert_eq!(takes_it_for_no(&text), answer == "\x04", "{kind}, {answer:?}: {text}");
        }
    }
}

#[test]
fn the_end_of_sign_ins_says_how_many_and_is_asked_for() {
    for (kind, change) in KINDS {
        for (answer, code, ends) in [
            ("y\r", 0, true),
            ("\r", 1, false),
            ("n\r", 1, false),
            ("\x04", 1, false),
            ("\x03", 130, false),
        ] {
            let fake = fake();
            let args = ["admin", "revoke", "--issuer", "wlcg"];
            let mut terminal = Terminal::start(&fake.bus.address, &args, (80, 24), change);
            terminal.wait_for("End 3 sign-ins of 2 users and 1 running login?");
            terminal.wait_for("[y/N]: ");
            terminal.type_keys(answer);
            let (is, text) = terminal.end_restored();
            assert_eq!(is, code, "{kind}, {answer:?}: {text}");
            let calls = fake.calls();
            let ended = calls.iter().any(|call| call.contains("dry_run: None"));
            assert_eq!(ended, ends, "{kind}, {answer:?}: {calls:?}");
            assert_eq!(takes_it_for_no(&text), answer == "\x04", "{kind}, {answer:?}: {text}");
        }
    }
}

#[test]
fn what_is_neither_yes_nor_no_is_asked_again() {
    let fake = fake();
    let args = ["account", "remove", "cms"];
    let mut terminal = Terminal::start(&fake.bus.address, &args, (80, 24), |_| {});
    terminal.wait_for("[y/N]: ");
    terminal.type_keys("perhaps\r");
    terminal.wait_for("Answer y or n.\n");
    terminal.wait_for_again("[y/N]: ", 2);
    terminal.type_keys("y\r");
    assert_eq!(terminal.end_restored().0, 0);
    assert!(fake.calls().last().is_some_and(|call| call.starts_with("Remove")));
}

#[test]
fn a_program_that_is_ended_at_a_question_gives_the_terminal_back() {
    for (kind, change) in KINDS {
        for signal in [Signal::SIGTERM, Signal::SIGHUP] {
            let fake = fake();
            let args = ["account", "add"];
            let mut terminal = Terminal::start(&fake.bus.address, &args, (80, 24), change);
            terminal.wait_for(ADD[0].0);
            terminal.send(signal);
            let (code, text) = terminal.end_restored();
            assert_eq!(code, 128 + signal as i32, "{kind}: {text}");
        }
    }
}

#[test]
fn a_change_that_needs_a_login_offers_it() {
    for (kind, change) in KINDS {
        for (answer, code, signs_in) in [
            ("\r", 0, true),
            ("y\r", 0, true),
            ("n\r", 0, false),
            // The change is made: that nobody answers is no failure of it.
            ("\x04", 0, false),
            ("\x03", 130, false),
        ] {
            let fake = fake();
            let args = ["account", "edit", "cms", "--add-scope", "compute.read"];
            let mut terminal = Terminal::start(&fake.bus.address, &args, (40, 24), change);
            terminal.wait_for("Sign in now?");
            terminal.wait_for("[Y/n]: ");
            terminal.type_keys(answer);
            let (is, text) = terminal.end_restored();
            assert_eq!(is, code, "{kind}, {answer:?}: {text}");
            assert!(text.contains("iamctl login cms"), "how to go on is said: {text}");
            let login = fake.calls().iter().any(|call| call.starts_with("Login"));
            assert_eq!(login, signs_in, "{kind}, {answer:?}: {text}");
            assert_eq!(takes_it_for_no(&text), answer == "\x04", "{kind}, {answer:?}: {text}");
        }
    }
}

#[test]
fn nobody_is_asked_where_a_stream_is_elsewhere() {
    for redirect in ["< /dev/null", "2> /dev/null"] {
        for args in [
            &["account", "add"][..],
            &["account", "add", "cms", "--client-id", "c"],
            &["account", "remove", "cms"],
        ] {
            let fake = fake();
            let terminal =
                Terminal::redirected(&fake.bus.address, args, (80, 24), redirect, |_| {});
            let (code, text) = terminal.end_restored();
            assert_eq!(code, 2, "{args:?} {redirect}: {text}");
            assert!(!text.contains("]: "), "{text}");
            assert!(added(&fake).is_empty());
        }
        let fake = fake();
        let args = ["account", "edit", "cms", "-s", "max"];
        let terminal = Terminal::redirected(&fake.bus.address, &args, (80, 24), redirect, |_| {});
        let (code, text) = terminal.end_restored();
        assert_eq!(code, 0, "{text}");
        assert!(!text.contains("Sign in now?"), "{text}");
    }
    // Nor is there a QR code where standard error is no terminal.
    let fake = fake();
    fake.script().login = samples::pending(samples::base());
    let args = ["account", "add", "cms", "--no-wait"];
    let directory = tempfile::tempdir().unwrap();
    let errors = directory.path().join("errors");
    let redirect = format!("2> '{}'", errors.display());
    let terminal = Terminal::redirected(&fake.bus.address, &args, (80, 50), &redirect, |_| {});
    assert_eq!(terminal.end_restored(), (0, String::new()));
    let text = std::fs::read_to_string(errors).unwrap();
    assert!(text.is_ascii() && !text.contains('\x1b') && text.contains("AB12CD"), "{text}");
}

#[test]
fn standard_output_has_the_product_alone_while_questions_are_asked() {
    for (kind, change) in KINDS {
        for (args, expected) in [(&["account", "add"][..], 0), (&["account", "add", "--json"], 2)] {
            let fake = fake();
            let directory = tempfile::tempdir().unwrap();
            let product = directory.path().join("product");
            let redirect = format!("> '{}'", product.display());
            let mut terminal =
                Terminal::redirected(&fake.bus.address, args, (80, 24), &redirect, change);
            for (question, answer) in ADD {
                terminal.wait_for(question);
                terminal.type_keys(answer);
            }
            assert_eq!(terminal.end_restored().0, 0, "{kind}");
            let text = std::fs::read_to_string(product).unwrap();
            assert_eq!(text.lines().count(), expected, "{kind}: {text}");
            for line in text.lines() {
                serde_json::from_str::<serde_json::Value>(line).unwrap();
            }
        }
    }
}
