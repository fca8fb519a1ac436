//! What a user sees on a terminal: sizes, colours, character sets, Ctrl-C.

mod support;

use std::collections::BTreeSet;
use std::process::Command;
use std::time::{Duration, Instant};

use support::terminal::{Terminal, plain_lines};
use support::{Fake, iamctl, run, samples};

fn as_it_is(_: &mut Command) {}

/// A daemon whose login is done after a moment.
fn signs_in_soon() -> Fake {
    let base = samples::base();
    let fake = Fake::start(samples::script(base));
    fake.script().states = [(Duration::from_millis(500), samples::done(base))].into();
    fake
}

fn login_on(size: (u16, u16), args: &[&str], change: impl FnOnce(&mut Command)) -> String {
    let fake = signs_in_soon();
    let terminal = Terminal::start(&fake.bus.address, args, size, change);
    let (code, text) = terminal.end();
    assert_eq!(code, 0, "{text}");
    text
}

fn has_qr_code(text: &str) -> bool {
    text.contains(['█', '▀', '▄'])
}

#[test]
fn on_80x24_qr_code_url_and_code_are_on_the_screen_together() {
    let text = login_on((80, 24), &["login"], as_it_is);
    assert!(has_qr_code(&text), "{text}");
    let lines = plain_lines(&text);
    let end = lines.iter().position(|line| line.starts_with("Waiting")).unwrap();
    // The carriage return of the countdown makes one line more than there is on the screen.
    assert!(end <= 24, "the countdown is on line {end}:\n{text}");
    assert!(lines.contains(&"  Open  https://wlcg.example.org/device".to_owned()), "{text}");
    assert!(lines.contains(&"  Code  AB12CD".to_owned()), "{text}");
    let qr = lines.iter().position(|line| line.contains('█')).unwrap();
    assert!(qr < lines.iter().position(|line| line.contains("Open")).unwrap());
    assert!(text.contains("Waiting 10:") || text.contains("Waiting 9:"), "{text}");
    assert!(text.contains("Signed in to WLCG as alice"), "{text}");
    assert!(text.contains("\x1b[38;5;16;48;5;231m"), "black on white: {text}");
}

#[test]
fn on_40_columns_nothing_of_ours_is_wider_and_the_url_is_whole() {
    let text = login_on((40, 24), &["login"], as_it_is);
    assert!(has_qr_code(&text), "{text}");
    let lines = plain_lines(&text);
    assert!(lines.iter().position(|line| line.starts_with("Waiting")) <= Some(24), "{text}");
    for line in plain_lines(&text).iter().filter(|line| !line.contains("https://")) {
        assert!(line.chars().count() <= 40, "{line:?}");
    }
    assert!(text.contains("https://wlcg.example.org/device"), "{text}");
}

#[test]
fn a_terminal_that_is_too_small_has_url_and_code() {
    for size in [(30, 50), (80, 20), (40, 21), (20, 5)] {
        let text = login_on(size, &["login"], as_it_is);
        assert!(!has_qr_code(&text), "{size:?}: {text}");
        assert!(plain_lines(&text).concat().contains("https://wlcg.example.org/device"), "{text}");
        assert!(text.contains("AB12CD"), "{text}");
    }
}

#[test]
fn without_utf8_everything_is_ascii() {
    for locale in ["C", "de_DE.ISO-8859-1"] {
        let text = login_on((80, 50), &["login"], |command| {
            command.env("LC_ALL", locale);
        });
        assert!(text.is_ascii(), "{text}");
        let fake = signs_in_soon();
        let status = Terminal::start(&fake.bus.address, &["status"], (80, 24), |command| {
            command.env("LC_ALL", locale);
        });
        let (_, text) = status.end();
        assert!(text.is_ascii() && text.contains("#################..."), "{text}");
    }
}

#[test]
fn without_utf8_what_the_daemon_says_is_ascii_too_and_what_programs_read_stays_the_same() {
    let in_c = |command: &mut Command| {
        command.env("LC_ALL", "C");
    };
    let fake = signs_in_soon();
    let page = std::fs::read_to_string(support::file("../docs/errors.md")).unwrap();
    let rows = page.lines().filter_map(|row| row.split('`').nth(1));
    let texts: Vec<_> = rows.filter(|text| !text.is_ascii()).collect();
    assert!(texts.len() >= 5, "{texts:?}");
    for text in texts {
        let failure = ("org.iamd1.Error.NoSuchAccount".to_owned(), text.to_owned());
        fake.script().fail.insert("GetToken", failure);
        let terminal = Terminal::start(&fake.bus.address, &["token"], (80, 24), in_c);
        let (code, said) = terminal.end();
        assert_eq!(code, 1, "{said}");
        assert!(said.is_ascii(), "{said}");
        let quoted = text.contains('\u{201c}');
        assert_eq!(said.contains('"'), quoted || text.contains('"'), "{text}: {said}");
    }
    fake.script().accounts[0].subject_name = Some("zo\u{eb}".into());
    for (args, name) in [
        (&["status"][..], "zo?"),
        (&["account", "show"][..], "zo?"),
        (&["account", "show", "--json"][..], "zo\\u00eb"),
    ] {
        let (_, text) = Terminal::start(&fake.bus.address, args, (80, 50), in_c).end();
        assert!(text.is_ascii() && text.contains(name), "{text}");
        let piped = run(iamctl(&fake.bus.address, args).env("LC_ALL", "C"));
        assert!(piped.stdout.contains("zo\u{eb}"), "{piped:?}");
    }
}

#[test]
fn colours_and_qr_codes_are_for_who_has_input_and_errors_on_the_terminal() {
    let fake = signs_in_soon();
    for redirect in ["< /dev/null", "2> /dev/null", "< /dev/null 2> /dev/null"] {
        for args in [
            &["login", "--no-wait"][..],
            &["status"],
            &["account", "list"],
            &["doctor"],
            &["issuer", "list"],
            &["token", "--decode"],
            &["help"],
            &["frob"],
        ] {
            let terminal =
                Terminal::redirected(&fake.bus.address, args, (80, 50), redirect, as_it_is);
            let (_, text) = terminal.end();
            assert!(!text.contains("\x1b["), "{args:?} {redirect}: {text:?}");
            // The bars of a status are of the same characters.
            let is_login = args[0] == "login";
            assert!(!is_login || !has_qr_code(&text), "{args:?} {redirect}: {text:?}");
        }
    }
    // A file has none, and who sits at the terminal has them still.
    let home = tempfile::tempdir().unwrap();
    let product = home.path().join("product");
    let to_file = format!("> {}", product.display());
    for (args, qr) in [(&["login", "--no-wait"][..], true), (&["status"][..], false)] {
        let terminal = Terminal::redirected(&fake.bus.address, args, (80, 50), &to_file, as_it_is);
        let (_, text) = terminal.end();
        assert_eq!(has_qr_code(&text), qr, "{args:?}: {text}");
        let text = std::fs::read_to_string(&product).unwrap();
        assert!(text.is_ascii() && !text.contains('\x1b'), "{args:?}: {text:?}");
    }
}

#[test]
fn no_color_means_no_escape_sequence_for_colours() {
    let text = login_on((80, 24), &["login"], |command| {
        command.env("NO_COLOR", "1");
    });
    assert!(!text.contains('m') || !text.contains("\x1b[3") && !text.contains("\x1b[1"), "{text}");
    assert!(has_qr_code(&text));
    let fake = signs_in_soon();
    for args in [&["status"][..], &["account", "list"], &["doctor"], &["help"], &["frob"]] {
        let terminal = Terminal::start(&fake.bus.address, args, (80, 24), |command| {
            command.env("NO_COLOR", "1");
        });
        let (_, text) = terminal.end();
        assert!(!text.contains('\x1b'), "{text}");
    }
}

#[test]
fn a_dumb_terminal_has_lines_only() {
    let text = login_on((80, 50), &["login"], |command| {
        command.env("TERM", "dumb");
    });
    assert!(!text.contains('\x1b') && !text.contains('\r') && !has_qr_code(&text), "{text:?}");
    assert!(text.contains("AB12CD     (10 min)"), "{text}");
    // There is no countdown that would say so.
    assert!(text.contains("Waiting. Ctrl-C leaves the login running.\nSigned in to"), "{text}");
}

#[test]
fn ctrl_c_on_a_dumb_terminal_is_answered_on_a_line_of_its_own() {
    let fake = Fake::start(samples::script(samples::base()));
    fake.script().login = samples::starting(samples::base());
    fake.script().states = [(Duration::from_millis(100), samples::pending(samples::base()))].into();
    let mut terminal = Terminal::start(&fake.bus.address, &["login"], (80, 24), |command| {
        command.env("TERM", "dumb");
    });
    terminal.wait_for("Asking the issuer.\nSign in to WLCG");
    terminal.wait_for("Waiting. Ctrl-C leaves the login running.\n");
    terminal.type_keys("\x03");
    let (code, text) = terminal.end();
    assert_eq!(code, 3, "{text}");
    assert!(text.contains("^C\niamctl: the login goes on without this command"), "{text}");
    assert!(!text.contains('\x1b') && text.matches("Waiting").count() == 1, "{text}");
}

#[test]
fn the_qr_code_can_be_left_out() {
    assert!(!has_qr_code(&login_on((80, 50), &["login", "--no-qr"], as_it_is)));
}

#[test]
fn ctrl_c_leaves_the_login_running_and_says_so() {
    for args in [&["login"][..], &["login", "--if-needed"]] {
        let fake = Fake::start(samples::script(samples::base()));
        let mut terminal = Terminal::start(&fake.bus.address, args, (80, 24), as_it_is);
        terminal.wait_for("Waiting");
        terminal.type_keys("\x03");
        let (code, text) = terminal.end();
        assert_eq!(code, 3, "{text}");
        assert!(text.contains("the login goes on without this command"), "{text}");
        assert!(text.contains("iamctl login --cancel"), "{text}");
        assert!(fake.calls().iter().all(|call| !call.starts_with("CancelLogin")));
    }
}

#[test]
fn ctrl_c_before_there_is_a_code_ends_the_command() {
    let fake = Fake::start(samples::script(samples::base()));
    fake.script().hang = vec!["Login"];
    let mut terminal = Terminal::start(&fake.bus.address, &["login"], (80, 24), as_it_is);
    terminal.wait_until("the login begins", |_| !fake.calls().is_empty());
    terminal.type_keys("\x03");
    let (code, _) = terminal.end();
    assert_eq!(code, 130);
}

#[test]
fn the_countdown_moves() {
    let fake = Fake::start(samples::script(samples::base()));
    let mut terminal = Terminal::start(&fake.bus.address, &["login"], (80, 24), as_it_is);
    terminal.wait_until("three different spans", |seen| {
        let lines = plain_lines(seen);
        let spans: BTreeSet<_> = lines.iter().filter(|line| line.starts_with("Waiting")).collect();
        spans.len() >= 3
    });
    terminal.type_keys("\x03");
    assert_eq!(terminal.end().0, 3);
}

#[test]
fn status_has_bars_and_colours_on_a_terminal_only() {
    let fake = signs_in_soon();
    let terminal = Terminal::start(&fake.bus.address, &["status"], (80, 24), as_it_is);
    let (code, text) = terminal.end();
    assert_eq!(code, 0);
    assert!(text.contains("█████████████████░░░  50 min left"), "{text}");
    assert!(text.contains("\x1b[32msigned in\x1b[0m"), "{text}");
    let outcome = run(&mut iamctl(&fake.bus.address, &["status"]));
    assert!(outcome.stdout.is_ascii() && !outcome.stdout.contains('\x1b'));
}

#[test]
fn a_narrow_terminal_gets_blocks_instead_of_a_table() {
    let fake = signs_in_soon();
    let terminal = Terminal::start(&fake.bus.address, &["account", "list"], (40, 24), as_it_is);
    let (_, text) = terminal.end();
    let lines = plain_lines(&text);
    assert!(lines.contains(&"NAME     wlcg".to_owned()), "{text}");
    assert!(lines.contains(&"STATE    signed in".to_owned()), "{text}");
}

#[test]
fn the_token_is_alone_on_standard_output_on_a_terminal_too() {
    let base = samples::base();
    let fake = Fake::start(samples::script(base));
    let terminal = Terminal::start(&fake.bus.address, &["token"], (80, 24), as_it_is);
    let (code, text) = terminal.end();
    assert_eq!((code, text), (0, format!("{}\n", samples::token(base).token)));
}

#[test]
fn a_daemon_that_is_restarted_while_the_login_is_shown_is_waited_for() {
    let base = samples::base();
    let fake = Fake::start(samples::script(base));
    let away = ("org.freedesktop.DBus.Error.ServiceUnknown".to_owned(), String::new());
    fake.script().fail.insert("LoginState", away);
    let mut terminal = Terminal::start(&fake.bus.address, &["login"], (80, 24), as_it_is);
    terminal.wait_for("Waiting");
    terminal.wait_until("it is asked again", |_| {
        fake.calls().iter().filter(|call| call.starts_with("LoginState")).count() >= 2
    });
    fake.script().states = [(Duration::ZERO, samples::done(base))].into();
    fake.script().fail.clear();
    let (code, text) = terminal.end();
    assert_eq!(code, 0, "{text}");
    assert!(text.contains("Signed in to WLCG"), "{text}");
}

fn watching(fake: &Fake, size: (u16, u16)) -> Terminal {
    Terminal::start(&fake.bus.address, &["status", "--watch"], size, as_it_is)
}

#[test]
fn status_watch_counts_down_and_asks_the_daemon_no_more_than_every_five_seconds() {
    let base = samples::base();
    let fake = Fake::start(samples::script(base));
    fake.script().accounts[0].access_expires_at = Some(base + 20);
    #[allow(clippy::disallowed_methods, reason = "a test may look at the clock")]
    let start = Instant::now();
    let mut terminal = watching(&fake, (80, 24));
    // However slow the machine is: once at the start, and once in each five seconds since.
    let asked_at_most = || {
        let asked = fake.calls().iter().filter(|call| *call == "Status()").count();
        let most = 1 + start.elapsed().as_secs() / 5;
        assert!(asked as u64 <= most, "asked {asked} times in {:?}", start.elapsed());
        asked
    };
    terminal.wait_until("three different spans", |seen| {
        let spans: BTreeSet<_> = seen.match_indices(" s left").map(|(at, _)| &seen[..at]).collect();
        let spans: BTreeSet<_> = spans.iter().filter_map(|seen| seen.rsplit(' ').next()).collect();
        spans.len() >= 3
    });
    assert!(asked_at_most() >= 1);
    // What the daemon says next is shown in the place of it.
    fake.script().accounts.truncate(1);
    fake.script().accounts[0].state = "client-broken".into();
    terminal.wait_for("client refused by the issuer\x1b[0m\x1b[K\n");
    assert!(asked_at_most() >= 2);
    terminal.type_keys("\x03");
    let (code, text) = terminal.end();
    assert_eq!(code, 0, "{text}");
    assert!(!text.contains("\x1b[?"), "no other screen, no hidden cursor: {text:?}");
    assert!(text.ends_with("\r\x1b[K"), "what the terminal echoed is taken away: {text:?}");
}

#[test]
fn status_watch_shows_on_when_the_daemon_is_away_and_says_so() {
    let base = samples::base();
    let fake = Fake::start(samples::script(base));
    let mut terminal = watching(&fake, (80, 24));
    terminal.wait_for("50 min left");
    let away = ("org.freedesktop.DBus.Error.ServiceUnknown".to_owned(), String::new());
    fake.script().fail.insert("Status", away);
    terminal.wait_for("this was the last answer");
    fake.script().fail.clear();
    fake.script().accounts.truncate(1);
    fake.script().accounts[0].subject_name = Some("alice again".into());
    terminal.wait_for("alice again");
    terminal.type_keys("\x03");
    assert_eq!(terminal.end().0, 0);
}

#[test]
fn status_watch_fits_a_small_screen() {
    let fake = Fake::start(samples::script(samples::base()));
    let mut terminal = watching(&fake, (40, 8));
    terminal.wait_for("\x1b[J");
    terminal.wait_for("A\r");
    terminal.type_keys("\x03");
    let (code, text) = terminal.end();
    assert_eq!(code, 0);
    let first = text.split("\x1b[J").next().unwrap_or_default();
    assert!(first.matches('\n').count() < 8, "{first}");
    for line in plain_lines(first) {
        assert!(line.chars().count() <= 40 || line.contains("http"), "{line:?}");
    }
}

#[test]
fn status_watch_for_programs_is_an_object_at_each_change() {
    let fake = Fake::start(samples::script(samples::base()));
    let mut command = iamctl(&fake.bus.address, &["status", "--watch", "--json"]);
    let mut child = command.stdout(std::process::Stdio::piped()).spawn().unwrap();
    let mut lines = std::io::BufRead::lines(std::io::BufReader::new(child.stdout.take().unwrap()));
    let mut next =
        || -> serde_json::Value { serde_json::from_str(&lines.next().unwrap().unwrap()).unwrap() };
    assert_eq!(next()["sessions"], 2);
    fake.script().status.sessions = 7;
    assert_eq!(next()["sessions"], 7);
    // Its reader goes away: it ends by itself, at the next change at the latest.
    drop(lines);
    fake.script().status.sessions = 8;
    assert_eq!(child.wait().unwrap().code(), Some(0));
}

#[test]
fn doctor_says_on_a_terminal_what_it_waits_for_and_takes_it_back() {
    let fake = Fake::start(samples::script(samples::base()));
    let (_, text) = Terminal::start(&fake.bus.address, &["doctor"], (80, 24), as_it_is).end();
    let lines = plain_lines(&text);
    let waits = lines.iter().position(|line| line.starts_with("Looking at")).unwrap();
    assert_eq!(lines[waits + 1].trim(), "", "it is written over: {text:?}");
    let piped = run(&mut iamctl(&fake.bus.address, &["doctor"]));
    assert!(!piped.stderr.contains("Looking"), "{piped:?}");
}
