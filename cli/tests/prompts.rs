//! Every question that `iamctl` asks, on terminals of every kind and width: what an answer brings,
//! and that Ctrl-C at it leaves terminal, files and daemon as they were.

#![allow(clippy::unwrap_used, clippy::panic, reason = "helpers of tests fail as tests do")]

mod support;

use support::asking::{Asking, Question, decide, hidden, open, secret};
use support::{file, samples};

fn new_passphrase() -> Vec<Question> {
    vec![hidden("New passphrase for cms: "), hidden("The same once more: ")]
}

#[test]
fn the_passphrase_that_unlocks() {
    Asking {
        args: &["account", "unlock"],
        questions: vec![hidden("Passphrase of wlcg: ")],
        call: r#"Unlock("wlcg", None, "canary horse battery""#,
        ..Asking::default()
    }
    .on_every_terminal();
}

#[test]
fn a_passphrase_that_is_set() {
    Asking {
        args: &["account", "passphrase", "cms"],
        questions: new_passphrase(),
        call: r#"SetPassphrase("cms", [("new-passphrase", "canary horse battery")])"#,
        ..Asking::default()
    }
    .on_every_terminal();
}

#[test]
fn a_passphrase_that_is_changed() {
    Asking {
        args: &["account", "passphrase", "wlcg"],
        questions: vec![
            hidden("Passphrase of wlcg: "),
            hidden("New passphrase for wlcg: "),
            hidden("The same once more: "),
        ],
        call: r#"SetPassphrase("wlcg", [("new-passphrase", "canary horse battery"), ("passphrase", "#,
        ..Asking::default()
    }
    .on_every_terminal();
}

#[test]
fn a_passphrase_that_is_taken_off() {
    Asking {
        args: &["account", "passphrase", "wlcg", "--remove"],
        questions: vec![hidden("Passphrase of wlcg: ")],
        call: r#"SetPassphrase("wlcg", [("passphrase", "canary horse battery")])"#,
        ..Asking::default()
    }
    .on_every_terminal();
}

#[test]
fn the_passphrase_of_a_login() {
    Asking {
        args: &["login", "cms", "--passphrase"],
        questions: new_passphrase(),
        call: "SetPassphrase(\"cms\"",
        ..Asking::default()
    }
    .on_every_terminal();
}

#[test]
fn the_passphrase_of_a_new_account() {
    Asking {
        args: &["account", "add", "cms", "--no-login", "--passphrase"],
        questions: new_passphrase(),
        call: r#"Add("cms", "#,
        ..Asking::default()
    }
    .on_every_terminal();
}

#[test]
fn the_secret_of_a_client() {
    Asking {
        args: &["account", "add", "cms", "--client-id", "7f1c", "--no-login"],
        questions: vec![hidden("Secret: ")],
        call: r#"Add("cms", "#,
        ..Asking::default()
    }
    .on_every_terminal();
}

#[test]
fn a_new_account_step_by_step_with_a_passphrase() {
    Asking {
        args: &["account", "add", "--passphrase", "--no-login"],
        questions: vec![
            open("Number, name or URL [1]: ", "1"),
            open("Name of the account: ", "mine"),
            open("Scopes [default]: ", "openid compute.read"),
            open("Audience [default]: ", "https://se.example.org"),
            hidden("New passphrase for mine: "),
            hidden("The same once more: "),
        ],
        call: r#"Add("mine", AddOptions { issuer: Some("wlcg"), scopes: Some(["openid", "compute.read"])"#,
        ..Asking::default()
    }
    .on_every_terminal();
}

#[test]
fn a_removal_that_has_to_be_confirmed() {
    Asking {
        args: &["account", "remove", "cms"],
        questions: vec![decide("Remove the account cms?", "[y/N]: ", "y")],
        call: r#"Remove("cms", "#,
        ..Asking::default()
    }
    .on_every_terminal();
}

#[test]
fn a_sign_in_that_a_change_needs() {
    Asking {
        args: &["account", "edit", "cms", "--add-scope", "compute.read"],
        questions: vec![decide("Sign in now?", "[Y/n]: ", "y")],
        call: r#"Login("cms", "#,
        ..Asking::default()
    }
    .on_every_terminal();
}

#[test]
fn the_end_of_many_sign_ins() {
    Asking {
        args: &["admin", "revoke", "--issuer", "wlcg"],
        questions: vec![decide("End 3 sign-ins", "[y/N]: ", "y")],
        call: r#"Revoke(RevokeOptions { user: None, issuer: Some("wlcg"), client: None, dry_run: None"#,
        ..Asking::default()
    }
    .on_every_terminal();
}

#[test]
fn a_name_and_a_password_and_the_warning_before_them() {
    Asking {
        args: &["login", "cms", "--flow", "password"],
        questions: vec![open("User name at WLCG [", "al"), hidden("Password of al at WLCG: ")],
        call: r#"LoginWithPassword("cms", "#,
        ..Asking::default()
    }
    .on_every_terminal_of(|script| script.password_login = samples::done(samples::base()));
}

#[test]
fn the_passphrase_of_a_new_backup() {
    Asking {
        args: &["admin", "backup", "iamd.backup"],
        questions: vec![hidden("Passphrase for the backup: "), hidden("The same once more: ")],
        call: "Backup(",
        ..Asking::default()
    }
    .on_every_terminal();
}

#[test]
fn the_passphrase_of_a_backup_that_is_checked_or_put_back() {
    for args in
        [&["admin", "backup", "--verify", "/dev/null"][..], &["admin", "restore", "/dev/null"]]
    {
        Asking {
            args,
            questions: vec![hidden("Passphrase of the backup: ")],
            call: "Restore(",
            ..Asking::default()
        }
        .on_every_terminal();
    }
}

#[test]
fn an_issuer_where_the_site_names_none() {
    Asking {
        args: &["account", "add", "--no-login"],
        questions: vec![
            open("URL of the issuer: ", "https://a.example.org/"),
            open("Name of the account: ", "mine"),
            open("Scopes [default]: ", ""),
            open("Audience [default]: ", ""),
        ],
        call: r#"Add("mine", AddOptions { issuer: Some("https://a.example.org/")"#,
        ..Asking::default()
    }
    .on_every_terminal_of(|script| script.issuers.clear());
}

#[test]
fn an_issuer_and_a_name_where_the_site_has_no_default_and_the_name_is_free() {
    Asking {
        args: &["account", "add", "--no-login"],
        questions: vec![
            open("Number, name or URL: ", "1"),
            open("Name of the account [wlcg]: ", ""),
            open("Scopes [default]: ", ""),
            open("Audience [default]: ", ""),
        ],
        call: r#"Add("wlcg", AddOptions { issuer: Some("wlcg")"#,
        ..Asking::default()
    }
    .on_every_terminal_of(|script| {
        script.accounts.clear();
        script.issuers.iter_mut().for_each(|issuer| issuer.is_default = false);
    });
}

/// The password of the files in `tests/oidc-agent`.
const OF_OIDC_AGENT: &str = "fixture password";

#[test]
fn the_password_of_a_file_of_oidc_agents_and_whether_the_file_shall_go() {
    Asking {
        args: &["account", "import", "oidc-agent", "./cms"],
        questions: vec![
            secret("Password of oidc-agent: ", OF_OIDC_AGENT),
            decide("Remove ", "[y/N]: ", "n"),
        ],
        call: r#"Add("fixture", "#,
        file: Some(("cms", "version-5")),
        tells: &["account fixture is here now.", "A sign-in has one holder"],
        // Whoever ends it at the question knows what was done before.
        tells_before: Some((1, "account fixture is here now.")),
        ..Asking::default()
    }
    .on_every_terminal_of(|script| script.change.account = "fixture".into());
}

#[test]
fn the_passphrase_of_one_account_under_oidc_adds_name() {
    Asking {
        args: &["wlcg"],
        questions: vec![hidden("Passphrase of wlcg: ")],
        call: r#"Unlock("wlcg", None, "canary horse battery""#,
        name: Some("oidc-add"),
        ..Asking::default()
    }
    .on_every_terminal();
}

#[test]
fn the_passphrase_of_all_under_oidc_adds_name() {
    Asking {
        args: &["-X"],
        questions: vec![hidden("Passphrase: ")],
        call: r#"Unlock("wlcg", None, "canary horse battery""#,
        name: Some("oidc-add"),
        ..Asking::default()
    }
    .on_every_terminal();
}

/// A file of the sources that asks: how many calls there do, and each question as it stands there,
/// with the function of this file that asks it.
type Asks = (&'static str, usize, &'static [(&'static str, &'static str)]);

const QUESTIONS: [Asks; 10] = [
    ("commands/account/add.rs", 1, &[("Secret: ", "the_secret_of_a_client")]),
    (
        "commands/account/add/dialogue.rs",
        4,
        &[
            ("Number, name or URL [{}]: ", "a_new_account_step_by_step_with_a_passphrase"),
            ("URL of the issuer: ", "an_issuer_where_the_site_names_none"),
            ("Number, name or URL: ", AT_A_SITE_WITHOUT_DEFAULT),
            ("Name of the account: ", "a_new_account_step_by_step_with_a_passphrase"),
            ("Name of the account [{default}]: ", AT_A_SITE_WITHOUT_DEFAULT),
            ("Scopes [default]: ", "a_new_account_step_by_step_with_a_passphrase"),
            ("Audience [default]: ", "a_new_account_step_by_step_with_a_passphrase"),
        ],
    ),
    (
        "commands/account/change.rs",
        2,
        &[
            ("Sign in now?", "a_sign_in_that_a_change_needs"),
            ("Remove the account {}?", "a_removal_that_has_to_be_confirmed"),
        ],
    ),
    ("commands/account/import.rs", 1, &[("Remove {name}?", OF_A_FILE)]),
    ("commands/account/import/opening.rs", 1, &[("Password of oidc-agent: ", OF_A_FILE)]),
    (
        "commands/admin/backup.rs",
        2,
        &[
            ("Passphrase for the backup: ", "the_passphrase_of_a_new_backup"),
            ("The same once more: ", "the_passphrase_of_a_new_backup"),
            (
                "Passphrase of the backup: ",
                "the_passphrase_of_a_backup_that_is_checked_or_put_back",
            ),
        ],
    ),
    ("commands/admin/revoke.rs", 1, &[("End {}?", "the_end_of_many_sign_ins")]),
    (
        "commands/compat/add.rs",
        1,
        &[
            ("Passphrase of {name}: ", "the_passphrase_of_one_account_under_oidc_adds_name"),
            ("Passphrase: ", "the_passphrase_of_all_under_oidc_adds_name"),
        ],
    ),
    (
        "commands/login/password.rs",
        2,
        &[
            ("User name at {} [{local}]: ", "a_name_and_a_password_and_the_warning_before_them"),
            ("Password of {user} at {}: ", "a_name_and_a_password_and_the_warning_before_them"),
        ],
    ),
    (
        "commands/passphrase.rs",
        2,
        &[
            ("Passphrase of {}: ", "the_passphrase_that_unlocks"),
            ("New passphrase for {account}: ", "new_passphrase"),
            ("The same once more: ", "new_passphrase"),
        ],
    ),
];
const AT_A_SITE_WITHOUT_DEFAULT: &str =
    "an_issuer_and_a_name_where_the_site_has_no_default_and_the_name_is_free";
const OF_A_FILE: &str = "the_password_of_a_file_of_oidc_agents_and_whether_the_file_shall_go";

/// What asks a person, and who alone may read from the terminal.
const CALLS: [&str; 4] = ["ask::line(", "ask::yes(", "prompt::secret(", "prompt::secret_twice("];
const READERS: [&str; 2] = ["ask.rs", "prompt.rs"];

/// The sources without their tests and comments, by their paths below `src`.
fn sources() -> Vec<(String, String)> {
    let (mut rest, mut found) = (vec![file("src")], Vec::new());
    while let Some(path) = rest.pop() {
        if path.is_dir() {
            rest.extend(std::fs::read_dir(path).unwrap().map(|entry| entry.unwrap().path()));
            continue;
        }
        let name = path.strip_prefix(file("src")).unwrap().to_str().unwrap().to_owned();
        if !name.ends_with(".rs") || name.ends_with("tests.rs") {
            continue;
        }
        let text = std::fs::read_to_string(&path).unwrap();
        let code = text.split("mod tests {").next().unwrap();
        let code = code.lines().filter(|line| !line.trim_start().starts_with("//"));
        found.push((name, code.collect::<Vec<_>>().join("\n")));
    }
    found
}

/// The texts between quotes.
fn literals(text: &str) -> impl Iterator<Item = &str> {
    text.split('"').skip(1).step_by(2)
}

/// What a function of this file asks.
fn asked_by(function: &str) -> Vec<String> {
    let here = std::fs::read_to_string(file("tests/prompts.rs")).unwrap();
    let (_, body) = here.split_once(&format!("\nfn {function}()")).unwrap_or_else(|| {
        panic!("there is no test {function}");
    });
    let body = body.split("\n}\n").next().unwrap();
    let ways = ["open(", "decide(", "hidden(", "secret("];
    let calls = ways.iter().flat_map(|way| body.split(way).skip(1));
    calls.filter_map(|rest| literals(rest).next()).map(str::to_owned).collect()
}

/// A call that asks and does not stand in [`QUESTIONS`], or a question there that its test does not
/// ask, is a failure.
#[test]
fn every_question_in_the_sources_is_asked_here() {
    let sources = sources();
    for (name, code) in &sources {
        let calls: usize = CALLS.iter().map(|call| code.matches(call).count()).sum();
        let listed = QUESTIONS.iter().find(|(file, ..)| file == name);
        assert_eq!(calls, listed.map_or(0, |(_, calls, _)| *calls), "calls that ask in {name}");
        let by_another_name = ["use crate::ask::", "use crate::prompt::", "as ask", "as prompt"];
        for hidden in by_another_name {
            assert!(!code.contains(hidden), "{name}: {hidden:?} hides what asks");
        }
        let reads = code.contains("read(std::io::stdin(") || code.contains("stdin().read");
        let reads = reads || code.contains("io::read_to_string(") || code.contains("rustyline");
        let reads = reads || code.contains("= io::stdin();");
        assert!(!reads || READERS.contains(&name.as_str()), "{name} reads from the terminal");
        // All questions of a file that asks, those that an `if` chooses from too.
        let Some((_, _, questions)) = listed else { continue };
        for text in literals(code).filter(|text| text.ends_with(": ")) {
            let is_listed = questions.iter().any(|(question, _)| *question == text);
            let heads_a_list = text.starts_with("The following account configurations");
            assert!(is_listed || heads_a_list, "{name}: {text:?} is not in QUESTIONS");
        }
    }
    for (name, _, questions) in QUESTIONS {
        let source = sources.iter().find(|(path, _)| path == name);
        let (_, code) = source.unwrap_or_else(|| panic!("there is no {name}"));
        for (question, test) in questions {
            assert!(code.contains(question), "{name} does not ask {question:?}");
            let begins = question.split('{').next().unwrap();
            let asked = asked_by(test);
            let is_asked = asked.iter().any(|asked| asked.starts_with(begins));
            assert!(is_asked, "{test} does not ask {question:?} of {name}, but {asked:?}");
        }
    }
}
