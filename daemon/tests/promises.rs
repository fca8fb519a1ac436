//! SECURITY.md and docs/threat-model.md name the test of each promise: each of them is there.
#![allow(clippy::unwrap_used, reason = "a test")]

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

/// Pages whose tables are promises with their tests.
const PAGES: [&str; 2] = ["SECURITY.md", "docs/threat-model.md"];
/// A name of so many parts is a test's, and of nothing else on these pages.
const PARTS: usize = 5;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// The names of all functions in the sources.
fn functions() -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    let parts = ["protocol", "pam_module", "daemon", "cli", "tests"];
    let mut open: Vec<PathBuf> = parts.iter().map(|part| root().join(part)).collect();
    while let Some(directory) = open.pop() {
        for entry in fs::read_dir(directory).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() && !path.ends_with("node_modules") && !path.ends_with("target") {
                open.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let text = fs::read_to_string(path).unwrap();
                let names = text.split("fn ").skip(1).map(|rest| {
                    let end = |c: char| !c.is_ascii_alphanumeric() && c != '_';
                    rest.split(end).next().unwrap_or_default().to_owned()
                });
                found.extend(names);
            }
        }
    }
    found
}

/// What stands in code quotes, and what stands before it.
fn quoted(text: &str) -> Vec<(&str, &str)> {
    let parts: Vec<&str> = text.split('`').collect();
    parts.chunks(2).filter_map(|pair| Some((pair[0], *pair.get(1)?))).collect()
}

fn is_name(text: &str) -> bool {
    !text.is_empty()
        && text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_')
}

#[test]
fn every_test_that_a_promise_names_is_in_the_sources() {
    let functions = functions();
    let mut missing = Vec::new();
    let mut count = 0;
    for page in PAGES {
        let text = fs::read_to_string(root().join(page)).unwrap();
        for (before, name) in quoted(&text).into_iter().filter(|(_, name)| is_name(name)) {
            let words: Vec<&str> = before.split_whitespace().collect();
            let is_module = words.ends_with(&["e2e"]) || words.ends_with(&["(e2e"]);
            if name.split('_').count() >= PARTS && !is_module {
                count += 1;
                if !functions.contains(name) {
                    missing.push(format!("{page}: no function {name}"));
                }
            } else if is_module {
                let module = root().join("tests/e2e").join(name);
                if !module.is_dir() && !module.with_extension("rs").is_file() {
                    missing.push(format!("{page}: no module tests/e2e/{name}"));
                }
            } else if words.ends_with(&["target"]) || words.ends_with(&["targets"]) {
                let target = root().join("fuzz/targets").join(name).with_extension("rs");
                if !target.is_file() {
                    missing.push(format!("{page}: no fuzz target {name}"));
                }
            }
        }
    }
    assert!(count > 150, "only {count} names were found");
    assert!(missing.is_empty(), "\n{}\n", missing.join("\n"));
}

#[test]
fn every_row_of_a_table_of_promises_names_a_test() {
    let mut without = Vec::new();
    for page in PAGES {
        let text = fs::read_to_string(root().join(page)).unwrap();
        let mut inside = false;
        for line in text.lines() {
            let cells: Vec<&str> = line.trim_matches('|').split(" | ").map(str::trim).collect();
            let last = cells.last().copied().unwrap_or_default();
            if !line.starts_with('|') {
                inside = false;
            } else if last == "test" {
                inside = true;
            } else if inside && !line.starts_with("|---") {
                let named = quoted(last).iter().any(|(_, name)| is_name(name));
                if !named && last != "*(no test)*" {
                    without.push(format!("{page}: {line}"));
                }
            }
        }
    }
    assert!(without.is_empty(), "\n{}\n", without.join("\n"));
}
