//! docs/faults.md says the truth: each test that it names is there, and each fault that the tests'
//! proxy can make has a row.
#![allow(clippy::unwrap_used, reason = "a test")]

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

fn read(path: &str) -> String {
    fs::read_to_string(root().join(path)).unwrap()
}

/// The cells of each row below a table's head.
fn rows(text: &str) -> Vec<Vec<&str>> {
    let lines = text.lines().filter(|line| line.starts_with('|'));
    let rows = lines.map(|line| line.trim_matches('|').split('|').map(str::trim).collect());
    rows.filter(|cells: &Vec<&str>| {
        !cells[0].starts_with("---") && !["fault", "what the issuer does"].contains(&cells[0])
    })
    .collect()
}

/// Every function of the sources.
fn functions() -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    let mut open: Vec<PathBuf> = ["daemon", "cli", "pam_module", "tests/e2e", "tests/src"]
        .map(|below| root().join(below))
        .to_vec();
    while let Some(path) = open.pop() {
        if path.is_dir() {
            open.extend(fs::read_dir(&path).unwrap().map(|entry| entry.unwrap().path()));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let text = fs::read_to_string(&path).unwrap();
            let after = text.split("fn ").skip(1);
            let name = |rest: &str| {
                let end = rest.find(|c: char| !c.is_alphanumeric() && c != '_')?;
                Some(rest[..end].to_owned())
            };
            found.extend(after.filter_map(name));
        }
    }
    found
}

#[test]
fn every_row_has_a_test_that_is_there() {
    let (text, functions) = (read("docs/faults.md"), functions());
    let rows = rows(&text);
    assert!(rows.len() > 60, "{} rows", rows.len());
    for cells in rows {
        assert_eq!(cells.len(), 4, "{cells:?}");
        for test in cells[3].split(", ") {
            let name = test.strip_prefix('`').and_then(|test| test.strip_suffix('`'));
            assert!(name.is_some_and(|name| functions.contains(name)), "no such test: {test}");
        }
    }
}

#[test]
fn every_fault_of_the_proxy_has_a_row() {
    let rules = read("tests/issuer/fault_rules.mjs");
    let needed = rules.split_once("const NEEDED = {").unwrap().1.split_once("};").unwrap().0;
    let kinds: Vec<&str> =
        needed.lines().filter_map(|line| Some(line.split_once(':')?.0.trim())).collect();
    assert!(kinds.len() > 10, "{kinds:?}");
    let text = read("docs/faults.md");
    let rows = rows(&text);
    for kind in kinds {
        let named = format!("[{kind}]");
        assert!(rows.iter().any(|cells| cells[0].contains(&named)), "{kind} has no row");
    }
}
