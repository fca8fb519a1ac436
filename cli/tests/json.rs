//! What `--json` prints is what JSON.md says: each table there is compared with what each command
//! prints, members and types, no more and no less.

#![allow(clippy::unwrap_used, clippy::panic, reason = "helpers of tests fail as tests do")]

mod support;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use iamd_protocol::bus::{PasswordFlowInfo, RekeyState, StoreReport, rekey_state};
use iamd_protocol::error::Kind;
use serde_json::Value;
use support::{Fake, file, iamctl, run, run_with, samples};

/// Members and their types, by the section of the page and the number of the table in it.
type Tables = BTreeMap<(String, usize), BTreeMap<String, String>>;

fn tables() -> Tables {
    let text = fs::read_to_string(file("JSON.md")).unwrap();
    let mut tables = Tables::new();
    let (mut section, mut number, mut inside) = (String::new(), 0, false);
    for line in text.lines() {
        if let Some(title) = line.strip_prefix("## ") {
            (section, number) = (title.to_owned(), 0);
        }
        if line == "| member | type | meaning |" {
            (inside, number) = (true, number + 1);
        } else if !line.starts_with('|') {
            inside = false;
        } else if inside && line != "|---|---|---|" {
            let cells: Vec<_> = line.trim_matches('|').split(" | ").map(str::trim).collect();
            let [name, kind, meaning] = cells[..] else { panic!("{line}") };
            assert!(!meaning.is_empty(), "{line}");
            let table = tables.entry((section.clone(), number - 1)).or_default();
            let before = table.insert(name.trim_matches('`').to_owned(), kind.to_owned());
            assert_eq!(before, None, "{section}: {name} stands there twice");
        }
    }
    tables
}

/// What is printed.
#[derive(Clone, Copy)]
enum Shape {
    /// An object of that table: the beginning of the section's title, and which one there.
    Table(&'static str, usize, &'static [(&'static str, Shape)]),
    /// An object with these members, which a sentence of the page has and no table.
    Object(&'static [(&'static str, Shape)]),
    /// A list of these, which has at least one here.
    List(&'static Shape),
    /// A value of that type.
    Of(&'static str),
}
use Shape::{List, Object, Of, Table};

const ERROR: Shape = Table("Errors", 0, &[]);
const ACCOUNT: Shape = Table("`iamctl account list", 0, &[]);
const LOGIN: Shape = Table("`iamctl login", 0, &[]);
const ISSUER: Shape = Table("`iamctl issuer list", 0, &[]);
const CHANGE: Shape = Table("`iamctl account add", 0, &[]);
const FLOW: Shape = Table("`iamctl admin password-flow", 0, &[]);
const RESTORE: Shape = Table("`iamctl admin backup", 1, &[("password_flows", List(&FLOW))]);
const LINE: Shape = Table("`iamctl admin policy", 2, &[]);

/// A command line, its exit code and what it prints. `FD` in front: a passphrase is on descriptor 0.
const RUNS: &[(&str, i32, Shape)] = &[
    ("token", 0, Table("`iamctl token", 0, &[])),
    ("token --decode", 0, Table("`iamctl token", 1, &[])),
    ("token none", 3, Object(&[("error", ERROR)])),
    (
        "status",
        0,
        Table("`iamctl status", 0, &[("logins", List(&LOGIN)), ("accounts", List(&ACCOUNT))]),
    ),
    ("account list", 0, Object(&[("accounts", List(&ACCOUNT))])),
    ("account show", 0, Object(&[("account", ACCOUNT)])),
    (
        "account show --secrets",
        0,
        Object(&[("account", ACCOUNT), ("secrets", Table("`iamctl account lock", 2, &[]))]),
    ),
    (
        "account import oidc-agent ./PLAIN ./MISSING --keep",
        1,
        Object(&[("accounts", List(&Table("`iamctl account import", 0, &[("error", ERROR)])))]),
    ),
    ("account lock --all", 0, Object(&[("locked", Of("strings"))])),
    ("FD account unlock wlcg", 0, Table("`iamctl account lock", 0, &[])),
    ("FD account passphrase cms", 0, Table("`iamctl account lock", 1, &[])),
    ("account add cms --no-login", 0, CHANGE),
    ("account edit -s max", 0, CHANGE),
    ("account rename cms new", 0, CHANGE),
    ("account default cms", 0, CHANGE),
    ("account remove cms --yes", 0, Table("`iamctl account remove", 0, &[])),
    ("login --no-wait", 0, LOGIN),
    ("login --cancel", 0, Object(&[("cancelled", Of("boolean"))])),
    ("login --on", 0, Object(&[("notice", Of("boolean"))])),
    ("login --off", 0, Object(&[("notice", Of("boolean"))])),
    ("logout", 0, Table("`iamctl logout", 0, &[])),
    ("issuer list", 0, Object(&[("issuers", List(&ISSUER))])),
    ("issuer show", 0, Object(&[("issuer", ISSUER)])),
    (
        "doctor",
        1,
        Table("`iamctl doctor", 0, &[("findings", List(&Table("`iamctl doctor", 1, &[])))]),
    ),
    ("admin users", 0, Object(&[("users", List(&Table("`iamctl admin users", 0, &[])))])),
    ("admin sessions", 0, Object(&[("sessions", List(&Table("`iamctl admin users", 1, &[])))])),
    (
        "admin stats",
        0,
        Table(
            "`iamctl admin stats",
            0,
            &[("issuers", List(&Table("`iamctl admin stats", 1, &[])))],
        ),
    ),
    (
        "admin revoke alice --yes",
        0,
        Table(
            "`iamctl admin revoke",
            0,
            &[("sign_ins", List(&Table("`iamctl admin revoke", 1, &[])))],
        ),
    ),
    ("admin drain", 0, Table("`iamctl admin drain", 0, &[])),
    ("admin audit", 0, Object(&[("records", List(&Table("`iamctl admin audit", 0, &[])))])),
    (
        "admin policy check",
        1,
        Table(
            "`iamctl admin policy",
            0,
            &[("problems", List(&Table("`iamctl admin policy", 1, &[]))), ("lines", List(&LINE))],
        ),
    ),
    ("admin policy explain alice", 0, Table("`iamctl admin policy", 3, &[("lines", List(&LINE))])),
    ("admin password-flow list", 0, Object(&[("password_flows", List(&FLOW))])),
    (
        "admin password-flow enable --issuer wlcg --client c",
        0,
        Table("`iamctl admin password-flow", 1, &[]),
    ),
    (
        "admin password-flow disable --issuer wlcg --client c",
        0,
        Table("`iamctl admin password-flow", 1, &[]),
    ),
    ("admin rekey", 0, Table("`iamctl admin rekey", 0, &[])),
    ("FD admin backup BACKUP", 0, Table("`iamctl admin backup", 0, &[])),
    ("FD admin backup --verify BACKUP", 0, RESTORE),
    ("FD admin restore BACKUP", 0, RESTORE),
    ("admin store check", 0, Table("`iamctl admin store", 0, &[])),
    ("admin store accept", 0, Object(&[("accepted", Of("strings"))])),
    ("admin reload", 0, Object(&[("reloaded", Of("boolean"))])),
];

fn fake() -> Fake {
    let base = samples::base();
    let fake = Fake::start(samples::script(base));
    {
        let mut script = fake.script();
        script.status.logins = Some(vec![samples::pending(base)]);
        script.accounts[0].has_passphrase = Some(true);
        script.token.token = samples::signed(base);
        script.policy.problems = samples::bad_policy().problems;
        script.policy.good = false;
        script.revocation.sign_ins.truncate(1);
        script.password_flows = vec![PasswordFlowInfo::default()];
        script.restore.password_flows = script.password_flows.clone();
        script.rekey =
            [RekeyState { state: rekey_state::DONE.into(), ..Default::default() }].into();
        script.backup.0 = b"iamdbak\x01 and so on".to_vec();
        script.backup.1.bytes = script.backup.0.len() as u64;
        script.store = StoreReport { sound: true, integrity: "ok".into(), ..Default::default() };
        script.accepted.accepted = vec!["accounts/1001/x".into()];
    }
    fake
}

/// Files that the command lines name, and a journalctl with one record.
fn furnish(place: &Path) {
    fs::copy(file("tests/oidc-agent/plain.json"), place.join("PLAIN")).unwrap();
    fs::write(place.join("BACKUP"), b"iamdbak\x01 and so on").unwrap();
    let journalctl = place.join("journalctl");
    let record = r#"{"__REALTIME_TIMESTAMP":"1000000000000001","_SYSTEMD_UNIT":"iamd.service","_UID":"0","IAMD_EVENT":"sign-in"}"#;
    fs::write(&journalctl, format!("#!/bin/sh\nprintf '%s\\n' '{record}'\n")).unwrap();
    fs::set_permissions(&journalctl, fs::Permissions::from_mode(0o755)).unwrap();
}

#[test]
fn each_command_prints_the_members_of_its_table_and_no_others() {
    let (tables, mut used) = (tables(), BTreeSet::new());
    let place = tempfile::tempdir().unwrap();
    for (line, code, shape) in RUNS {
        let fake = fake();
        furnish(place.path());
        if *line == "token none" {
            let failure = (Kind::LoginRequired.bus_name(), "you have no account".to_owned());
            fake.script().fail.insert("GetToken", failure);
        }
        let mut words: Vec<&str> = line.split(' ').collect();
        let given = words[0] == "FD";
        if given {
            words.remove(0);
            words.extend(match words[1] {
                "passphrase" => ["--new-passphrase-fd", "0"],
                _ => ["--passphrase-fd", "0"],
            });
        }
        words.push("--json");
        let mut command = iamctl(&fake.bus.address, &words);
        let path = std::env::var("PATH").unwrap();
        command.env("PATH", format!("{}:{path}", place.path().display()));
        command.env("HOME", place.path()).env("XDG_RUNTIME_DIR", place.path());
        command.current_dir(place.path());
        let outcome =
            if given { run_with(&mut command, "a passphrase") } else { run(&mut command) };
        // Without a token to be found, doctor has its doubts.
        let as_expected = outcome.code == *code || *line == "doctor";
        assert!(as_expected, "{line}: {outcome:?}");
        assert_eq!(outcome.stdout.lines().count(), 1, "{line}: {outcome:?}");
        let printed: Value = serde_json::from_str(&outcome.stdout).unwrap();
        compare(line, &printed, *shape, &tables, &mut used);
    }
    let unused: Vec<_> = tables.keys().filter(|table| !used.contains(*table)).collect();
    assert!(unused.is_empty(), "tables of JSON.md that nothing is compared with: {unused:?}");
}

fn compare(
    at: &str,
    printed: &Value,
    shape: Shape,
    tables: &Tables,
    used: &mut BTreeSet<(String, usize)>,
) {
    let names = |printed: &Value| -> BTreeSet<String> {
        let object = printed.as_object().unwrap_or_else(|| panic!("{at}: no object: {printed}"));
        object.keys().cloned().collect()
    };
    match shape {
        Of(kind) => assert!(is_of(printed, kind), "{at}: {printed} is not {kind}"),
        List(inner) => {
            let list = printed.as_array().unwrap_or_else(|| panic!("{at}: no list: {printed}"));
            assert!(!list.is_empty(), "{at}: an empty list shows no members");
            for one in list {
                compare(at, one, *inner, tables, used);
            }
        }
        Object(members) => {
            let said: BTreeSet<String> = members.iter().map(|(name, _)| (*name).into()).collect();
            assert_eq!(names(printed), said, "{at}");
            for (name, inner) in members {
                compare(&format!("{at}: {name}"), &printed[*name], *inner, tables, used);
            }
        }
        Table(section, number, inner) => {
            let key = |(title, n): &(String, usize)| title.starts_with(section) && *n == number;
            let found: Vec<_> = tables.iter().filter(|(table, _)| key(table)).collect();
            let [(table, members)] = found[..] else { panic!("{section}, {number}: {found:?}") };
            used.insert(table.clone());
            let said: BTreeSet<String> = members.keys().cloned().collect();
            assert_eq!(names(printed), said, "{at}; JSON.md, {table:?}");
            for (name, kind) in members {
                let (value, at) = (&printed[name], format!("{at}: {name}"));
                assert!(is_of(value, kind), "{at}: {value} is not {kind}");
                let inner = inner.iter().find(|(member, _)| member == name);
                match inner {
                    Some(_) if value.is_null() => {}
                    Some((_, inner)) => compare(&at, value, *inner, tables, used),
                    None => assert!(!kind.starts_with("objects"), "{at}: of what kind?"),
                }
            }
        }
    }
}

/// Whether a value has the type that the page names.
fn is_of(value: &Value, kind: &str) -> bool {
    let strings = |list: &Vec<Value>| list.iter().all(Value::is_string);
    match kind.split_once(" or ") {
        Some((kind, "null")) => value.is_null() || is_of(value, kind),
        Some(_) => panic!("{kind}: no type"),
        None => match kind {
            "string" => value.is_string(),
            "boolean" => value.is_boolean(),
            "integer" => value.is_u64(),
            "object" => value.is_object(),
            "strings" => value.as_array().is_some_and(strings),
            "objects" => value.is_array(),
            _ => panic!("{kind}: no type"),
        },
    }
}

/// The manual has a page for each command, and each option on it.
#[test]
fn each_command_that_has_the_option_is_compared() {
    let pages = tempfile::tempdir().unwrap();
    let path = pages.path().to_str().unwrap();
    assert_eq!(run(&mut iamctl("", &["generate-man", path])).code, 0);
    let mut missing = Vec::new();
    for page in fs::read_dir(path).unwrap() {
        let page = page.unwrap().path();
        let command = page.file_stem().unwrap().to_str().unwrap().replacen("iamctl-", "", 1);
        let text = fs::read_to_string(&page).unwrap();
        let options = text.split(".SH OPTIONS").nth(1).unwrap_or_default();
        let has = options.split(".SH ").next().unwrap_or_default().contains("\\-\\-json");
        let compared = RUNS.iter().any(|(line, ..)| {
            let line = line.trim_start_matches("FD ").replace([' ', '-'], "-") + "-";
            line.starts_with(&format!("{command}-"))
        });
        if has && !compared {
            missing.push(command);
        }
    }
    assert!(missing.is_empty(), "not compared with JSON.md: {missing:?}");
}
