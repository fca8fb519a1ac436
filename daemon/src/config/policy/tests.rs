//! Rules as they are written, and what is said of mistakes in them.

use super::*;
use crate::config::tests::Site;

const CMS: &str = "name = \"cms\"\nurl = \"https://cms.example/\"\nscopes = [\"openid\"]\n";

/// A site with the issuers wlcg and cms, and these files of rules.
fn site(main: &str, files: &[(&str, &str)]) -> Site {
    let site = Site::new(main).issuer("shipped/cms.toml", CMS);
    files.iter().fold(site, |site, (name, text)| site.issuer(&format!("policy.d/{name}"), text))
}

fn error(main: &str, files: &[(&str, &str)]) -> String {
    site(main, files).load().unwrap_err()
}

fn names(adds: bool, items: &[&str]) -> Value {
    Value::Names { adds, items: items.iter().map(|item| (*item).to_owned()).collect() }
}

#[test]
fn without_rules_everybody_may_what_iamd_toml_says() {
    let config = site("", &[]).load().unwrap();
    assert!(config.policy.clauses.is_empty() && config.policy.files.is_empty());
    assert_eq!(config.site_wide(Key::Issuers), names(false, &["*"]));
    assert_eq!(config.site_wide(Key::Scopes), names(false, &["*"]));
    assert_eq!(
        config.site_wide(Key::Flows),
        names(false, &["device", "password", "refresh-token"])
    );
    assert_eq!(config.site_wide(Key::LongestSignIn), Value::Span(None));
    assert_eq!(config.site_wide(Key::LongestMinValid), Value::Span(None));
    assert_eq!(config.site_wide(Key::Accounts), Value::Number(16));
    assert_eq!(config.site_wide(Key::ShowSecrets), Value::Flag(false));
    assert_eq!(config.site_wide(Key::AutomaticLogin), Value::Flag(true));
    assert_eq!(config.site_wide(Key::OwnClients), Value::Flag(true));
    assert_eq!(config.site_wide(Key::CustomIssuers), Value::Flag(false));
    assert_eq!(config.site_wide(Key::Services), names(false, &["sshd", "login"]));
}

#[test]
fn the_older_keys_of_iamd_toml_hold_where_no_rule_does_and_have_their_places() {
    let main = "[issuers]\nallow = [\"wlcg\"]\n[limits]\n\naccounts = 3\n[policy]\n\
                flows = \"device\"\nscopes = [\"openid\", \"storage.*\"]\nlongest_sign_in = \"7d\"\n\
                longest_min_valid = \"1h\"\n";
    let config = site(main, &[]).load().unwrap();
    assert_eq!(config.site_wide(Key::Issuers), names(false, &["wlcg"]));
    assert_eq!(config.site_wide(Key::Accounts), Value::Number(3));
    assert_eq!(config.site_wide(Key::Flows), names(false, &["device"]));
    assert_eq!(config.site_wide(Key::Scopes), names(false, &["openid", "storage.*"]));
    let week = Duration::from_secs(7 * 86_400);
    assert_eq!(config.site_wide(Key::LongestSignIn), Value::Span(Some(week)));
    let line = |key| config.policy.written.get(&key).map(|place| place.line);
    assert_eq!(line(Key::Issuers), Some(2));
    assert_eq!(line(Key::Accounts), Some(5));
    assert_eq!(line(Key::LongestMinValid), Some(10));
    assert_eq!(line(Key::Logins), None);
    assert_eq!(config.issuers.keys().collect::<Vec<_>>(), ["wlcg"]);
}

#[test]
fn a_rule_comes_to_a_clause_for_each_whom_it_names_and_each_answer() {
    let text = "# a comment\n[[rule]]\nfor = [\"@students\", \"carol\"]\npriority = 5\n\
                issuers = [\"+cms\"]\nscopes = [\n  \"storage.read:/%61//b\",\n]\naccounts = 2\n\
                longest_sign_in = \"unlimited\"\nshow_secrets = false\n";
    let config = site("[issuers]\nallow = [\"wlcg\"]\n", &[("10.toml", text)]).load().unwrap();
    let clauses = &config.policy.clauses;
    assert_eq!(clauses.len(), 10);
    let of = |subject: &str, key| {
        clauses.iter().find(|c| c.subject.to_string() == subject && c.key == key).unwrap()
    };
    assert_eq!(of("carol", Key::Issuers).value, names(true, &["cms"]));
    assert_eq!(of("@students", Key::Scopes).value, names(false, &["storage.read:/a/b"]));
    assert_eq!(of("@students", Key::LongestSignIn).value, Value::Span(None));
    assert_eq!(of("@students", Key::Accounts).value, Value::Number(2));
    let clause = of("carol", Key::Accounts);
    assert_eq!((clause.rank(), clause.place.line), ((3, 5), 9));
    assert!(clause.place.to_string().ends_with("/policy.d/10.toml:9"), "{}", clause.place);
    assert_eq!(config.policy.groups().into_iter().collect::<Vec<_>>(), ["students"]);
    // A rule needs the issuer that nobody else may use.
    assert_eq!(config.issuers.keys().collect::<Vec<_>>(), ["cms", "wlcg"]);
}

#[test]
fn rules_stand_in_iamd_toml_too_and_show_secrets_is_one() {
    let main = "[policy]\nshow_secrets = [\"alice\",\n  \"@ops\"]\n\n[[policy.rule]]\n\
                for = \"everybody\"\nlogins = 1\n";
    let config = site(main, &[]).load().unwrap();
    let brief: Vec<_> = config
        .policy
        .clauses
        .iter()
        .map(|clause| (clause.subject.to_string(), clause.key.name(), clause.place.line))
        .collect();
    let expected =
        [("alice", "show_secrets", 2), ("@ops", "show_secrets", 3), ("everybody", "logins", 7)];
    assert_eq!(brief, expected.map(|(whom, key, line)| (whom.to_owned(), key, line)));
    assert_eq!(config.policy.show_secrets, ["alice", "@ops"]);
}

#[test]
fn files_are_read_by_name_and_editors_files_are_not() {
    let rule = "[[rule]]\nfor = \"a\"\nlogins = 1\n";
    let files = [("20.toml", rule), ("10.toml", rule), (".#x.toml", "{"), ("x.toml~", "{")];
    let config = site("", &files).load().unwrap();
    let read: Vec<_> = config.policy.files.iter().map(|file| &file[file.len() - 7..]).collect();
    assert_eq!(read, ["10.toml", "20.toml"]);
}

#[test]
fn r70_every_mistake_in_a_rule_is_named_with_file_line_and_key() {
    let cases = [
        ("accounts = 3\n", "10.toml:1: accounts: unknown key; there are: rule"),
        ("[rule]\nfor = \"a\"\n", "10.toml:1: rule: each begins with a line [[rule]]"),
        ("rule = [3]\n", "10.toml:1: rule: each begins with a line [[rule]]"),
        ("\n[[rule]]\naccounts = 3\n", "10.toml:2: rule.for: is missing"),
        ("[[rule]]\nfor = []\naccounts = 3\n", "10.toml:2: rule.for: is for nobody"),
        ("[[rule]]\nfor = \"a b\"\naccounts = 3\n", "10.toml:2: rule.for: must be \"everybody\""),
        ("[[rule]]\nfor = \"*\"\naccounts = 3\n", "10.toml:2: rule.for: must be \"everybody\""),
        ("[[rule]]\nfor = \"@g*\"\naccounts = 3\n", "10.toml:2: rule.for: must be \"everybody\""),
        ("[[rule]]\nfor = [\"@\"]\naccounts = 3\n", "10.toml:2: rule.for: must be \"everybody\""),
        ("[[rule]]\nfor = [\"a\",\n3]\naccounts = 3\n", "10.toml:3: rule.for: must be text"),
        ("[[rule]]\nfor = [\"a\", \"a\"]\naccounts = 3\n", "10.toml:2: rule.for: is named twice"),
        ("[[rule]]\nfor = \"a\"\n", "10.toml:2: rule.for: the rule says nothing about them"),
        (
            "[[rule]]\nfor = \"a\"\nissuer = [\"cms\"]\n",
            "10.toml:3: rule.issuer: unknown key; did you mean issuers?",
        ),
        (
            "[[rule]]\nfor = \"a\"\nissuers = [\"cms\",\n\"vo\"]\n",
            "10.toml:4: rule.issuers: “vo”: no issuer file of that name; there are: cms, wlcg",
        ),
        (
            "[[rule]]\nfor = \"a\"\nissuers = [\"+cms\", \"wlcg\"]\n",
            "10.toml:3: rule.issuers: either all of them have a '+'",
        ),
        ("[[rule]]\nfor = \"a\"\npriority = 1001\nlogins = 1\n", "10.toml:3: rule.priority: must"),
        ("[[rule]]\nfor = \"a\"\naccounts = 0\n", "10.toml:3: rule.accounts: must be between 1"),
        ("[[rule]]\nfor = \"a\"\nlogins = 101\n", "10.toml:3: rule.logins: must be between 1"),
        ("[[rule]]\nfor = \"a\"\nshow_secrets = 1\n", "10.toml:3: rule.show_secrets: invalid type"),
        (
            "[[rule]]\nfor = \"a\"\nlongest_sign_in = \"1s\"\n",
            "10.toml:3: rule.longest_sign_in: must be \"unlimited\" or a duration",
        ),
        ("[[rule]]\nfor = \"a\"\nlongest_min_valid = 3\n", "10.toml:3: rule.longest_min_valid:"),
        (
            "[[rule]]\nfor = \"a\"\nflows = [\"implicit\"]\n",
            "10.toml:3: rule.flows: “implicit” is no way to sign in; there are: device, password",
        ),
        (
            "[[rule]]\nfor = \"a\"\nservices = \"../su\"\n",
            "10.toml:3: rule.services: a PAM service",
        ),
        (
            "[[rule]]\nfor = \"a\"\nscopes = [\"storage.read:/a*\"]\n",
            "10.toml:3: rule.scopes: a path covers what is below it",
        ),
        ("[[rule]]\nfor = \"a\"\nscopes = [\"a*b\"]\n", "10.toml:3: rule.scopes: '*' may stand"),
        ("[[rule]]\nfor = \"a\"\nscopes = [\"a b\"]\n", "10.toml:3: rule.scopes: must be one"),
        (
            "[[rule]]\nfor = \"a\"\nscopes = [\"s:/a/../b\"]\n",
            "10.toml:3: rule.scopes: the path in scope",
        ),
        ("what is this", "10.toml:1"),
        ("[[rule]\nfor = \"a\"\n\naccounts = 3\n[[rule]]\nfor = \"b\"\nlogins = 1\n", "10.toml:1"),
        ("[[rule]]\nfor = \"a\"\naccounts = 3\n[[rule\nfor = \"b\"\nlogns = 1\n", "10.toml:4"),
    ];
    for (text, expected) in cases {
        let error = error("", &[("10.toml", text)]);
        assert!(error.contains(expected), "for {text:?} got: {error}");
        assert_eq!(error.lines().count(), 1, "for {text:?} got: {error}");
    }
    let main = "[policy]\nscopes = [\"+openid\"]\nflows = 3\nlongest_min_valid = \"0s\"\nx = 1\n";
    let error = error(main, &[]);
    for expected in [
        "iamd.toml:2: policy.scopes: there is nothing to add to",
        "iamd.toml:3: policy.flows: must be text",
        "iamd.toml:4: policy.longest_min_valid: must be",
        "iamd.toml:5: policy.x: unknown key",
    ] {
        assert!(error.contains(expected), "{expected} in {error}");
    }
}

#[test]
fn all_mistakes_of_all_files_are_reported_at_once() {
    let bad = "[[rule]]\nfor = \"a\"\naccounts = 0\nlogins = 0\n\n[[rule]]\nlogins = 1\n";
    let error = error("[limits]\nlogins = 0\n", &[("1.toml", bad), ("2.toml", "x = 1\n")]);
    assert_eq!(error.lines().count(), 5, "{error}");
}

#[test]
fn a_directory_that_cannot_be_read_is_an_error() {
    let site = site("", &[]);
    let dir = site.dir.path().join("policy.d");
    std::fs::remove_dir(&dir).unwrap();
    std::fs::write(&dir, "").unwrap();
    assert!(site.load().unwrap_err().starts_with("policy.d: cannot be read"));
    std::fs::remove_file(&dir).unwrap();
    assert!(site.load().is_ok(), "none is no mistake");
}

fn rule(whom: &str, answer: &str) -> String {
    format!("[[rule]]\nfor = {whom}\n{answer}\n")
}

#[test]
fn two_rules_that_contradict_are_both_named_and_nothing_is_in_force() {
    let conflicts = [
        ("\"a\"", "accounts = 1", "\"a\"", "accounts = 2", "for a;"),
        ("\"everybody\"", "logins = 1", "\"everybody\"", "logins = 2", "for everybody;"),
        ("\"@g\"", "show_secrets = true", "\"@g\"", "show_secrets = false", "for @g;"),
        ("\"@g\"", "logins = 1", "\"@h\"", "logins = 2", "for who is in both @g and @h;"),
        ("[\"a\", \"@g\"]", "logins = 1", "[\"b\", \"@g\"]", "logins = 2", "for @g;"),
        ("\"@g\"", "issuers = [\"cms\"]", "\"@h\"", "issuers = [\"wlcg\"]", "both @g and @h;"),
        ("\"@g\"", "issuers = [\"cms\"]", "\"@h\"", "issuers = [\"+wlcg\"]", "both @g and @h;"),
        ("\"a\"", "longest_sign_in = \"1d\"", "\"a\"", "longest_sign_in = \"2d\"", "for a;"),
    ];
    for (one, answer, two, other, whom) in conflicts {
        let files = [("10.toml", &*rule(one, answer)), ("20.toml", &*rule(two, other))];
        let error = error("", &files);
        let key = answer.split(' ').next().unwrap();
        let expected = format!("policy.d/20.toml:3: rule.{key}: contradicts policy.d/10.toml:3");
        assert!(error.starts_with(&expected) && error.contains(whom), "{error}");
        assert_eq!(error.lines().count(), 1, "{error}");
    }
    // Within a file, and with the older key.
    let both = rule("\"a\"", "logins = 1") + &rule("\"a\"", "logins = 2");
    assert!(error("", &[("1.toml", &both)]).contains("1.toml:6: rule.logins: contradicts"));
    let main = "[policy]\nshow_secrets = [\"a\"]\n";
    let error = error(main, &[("1.toml", &rule("\"a\"", "show_secrets = false"))]);
    assert!(error.contains("1.toml:3: rule.show_secrets: contradicts iamd.toml:2"), "{error}");
}

#[test]
fn rules_that_go_before_one_another_or_agree_do_not_contradict() {
    let peaceful = [
        ("\"a\"", "accounts = 1", "\"b\"", "accounts = 2"),
        ("\"a\"", "accounts = 1", "\"@g\"", "accounts = 2"),
        ("\"@g\"", "accounts = 1", "\"everybody\"", "accounts = 2"),
        ("\"@g\"", "accounts = 1", "\"@h\"", "accounts = 1"),
        ("\"@g\"", "accounts = 1", "\"@g\"", "logins = 2"),
        ("\"@g\"", "accounts = 1", "\"@h\"", "priority = 1\naccounts = 2"),
        ("\"@g\"", "issuers = [\"+cms\"]", "\"@h\"", "issuers = [\"+wlcg\"]"),
        ("\"@g\"", "issuers = [\"cms\", \"wlcg\"]", "\"@h\"", "issuers = [\"+wlcg\"]"),
        ("\"a\"", "scopes = [\"s:/a/./b\"]", "\"a\"", "scopes = [\"s:/a//b\"]"),
    ];
    for (one, answer, two, other) in peaceful {
        let files = [("10.toml", &*rule(one, answer)), ("20.toml", &*rule(two, other))];
        let loaded = site("", &files).load();
        assert!(loaded.is_ok(), "{answer} {other}: {}", loaded.unwrap_err());
    }
}
