//! No error without a test: every sentence in the sources that may be an error's text stands in a
//! row of `docs/errors.md` or in a transcript of iamctl, which tests write by provoking it; or it is
//! listed here with the reason why not. And no row without a test.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test")]

mod exempt;
mod not_errors;
mod places;
mod sentences;

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
};

use exempt::{FILES, NOT_PROVOKED};
use iamd_errors::{root, rows};
use not_errors::NOT_ERRORS;
use places::{By, SHARED};
use sentences::{Sentence, fits};

/// What people and programs can meet.
const PRODUCTS: [&str; 4] = ["protocol/src", "daemon/src", "cli/src", "pam_module/src"];

fn is_test(path: &str) -> bool {
    let parts: Vec<&str> = path.split('/').collect();
    let file = parts.last().copied().unwrap_or_default();
    parts.contains(&"tests")
        || parts.contains(&"testing")
        || file.ends_with("tests.rs")
        || ["testing.rs", "conformance.rs", "fuzzing.rs"].contains(&file)
}

/// The Rust sources below a directory of the repository, by their paths there.
fn sources(below: &str) -> Vec<(String, String)> {
    let mut found = Vec::new();
    let mut open = vec![PathBuf::from(below)];
    while let Some(directory) = open.pop() {
        for entry in fs::read_dir(root().join(&directory)).unwrap() {
            let entry = entry.unwrap();
            let path = directory.join(entry.file_name());
            if entry.file_type().unwrap().is_dir() {
                open.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let text = fs::read_to_string(root().join(&path)).unwrap();
                found.push((path.to_str().unwrap().to_owned(), text));
            }
        }
    }
    assert!(!found.is_empty(), "no sources below {below}");
    found
}

/// Everything that tests have seen said: rows of the page, and what transcripts have: on standard
/// error all of a run, on standard output each line with the next, which may be advice.
fn seen() -> Vec<String> {
    let rows = rows().into_iter().map(|(_, row)| format!("{}\n{}", row.text, row.advice));
    let mut seen: Vec<String> = rows.collect();
    for file in fs::read_dir(root().join("cli/tests/transcripts")).unwrap() {
        let text = fs::read_to_string(file.unwrap().path()).unwrap();
        for run in text.split("\n$ ") {
            let (told, printed): (Vec<&str>, Vec<&str>) =
                run.lines().skip(1).partition(|line| line.starts_with("2| "));
            let told: Vec<&str> = told.iter().map(|line| &line[3..]).collect();
            seen.push(told.join("\n"));
            // Long ones are wrapped.
            seen.push(told.join(" "));
            seen.extend(printed.windows(2).map(|two| two.join("\n")));
        }
    }
    seen
}

/// The sentences that are listed, by file and beginning.
fn exempt() -> impl Iterator<Item = (&'static str, &'static str)> {
    let lists = NOT_ERRORS.iter().chain(NOT_PROVOKED);
    lists.flat_map(|(file, _, starts)| starts.iter().map(move |start| (*file, *start)))
}

#[test]
fn every_error_in_the_sources_is_provoked_by_a_test_that_shows_it() {
    let seen = seen();
    let (mut missing, mut used) = (Vec::new(), BTreeSet::new());
    let is_shown =
        |text: &str| seen.iter().any(|said| fits(text.trim_start_matches("iamctl: "), said));
    for (path, text) in PRODUCTS.iter().flat_map(|below| sources(below)) {
        if is_test(&path) {
            continue;
        }
        if let Some((file, _)) = FILES.iter().find(|(file, _)| Path::new(&path).starts_with(file)) {
            used.insert((*file, ""));
            continue;
        }
        for Sentence { line, text } in sentences::of(&text) {
            let of_file = exempt().filter(|(file, _)| *file == path);
            let listed = of_file.filter(|(_, start)| text.starts_with(start));
            let listed = listed.max_by_key(|(_, start)| start.len());
            match (is_shown(&text), listed) {
                (true, _) => {}
                (false, Some(entry)) => drop(used.insert(entry)),
                (false, None) => missing.push(format!("{path}:{line}: {text:?}")),
            }
        }
    }
    let listed = FILES.iter().map(|(file, _)| (*file, "")).chain(exempt());
    let stale: Vec<_> = listed.filter(|entry| !used.contains(entry)).collect();
    assert!(stale.is_empty(), "what is listed is not there, or a test shows it: {stale:#?}");
    assert!(
        missing.is_empty(),
        "no test shows these errors; provoke each and call `shows`, or list what is no error in \
         not_errors.rs:\n{}\n({})",
        missing.join("\n"),
        missing.len()
    );
}

/// Where each sentence stands, of those that stand at several places: in which files, how often.
fn at_several_places() -> BTreeMap<String, BTreeMap<String, Vec<usize>>> {
    let mut places: BTreeMap<String, BTreeMap<String, Vec<usize>>> = BTreeMap::new();
    for (path, text) in PRODUCTS.iter().flat_map(|below| sources(below)) {
        if is_test(&path) || FILES.iter().any(|(file, _)| Path::new(&path).starts_with(file)) {
            continue;
        }
        for Sentence { line, text } in sentences::of(&text) {
            let listed = NOT_ERRORS.iter().any(|(file, _, starts)| {
                *file == path && starts.iter().any(|start| text.starts_with(start))
            });
            if !listed && text.split_whitespace().count() >= 4 {
                places.entry(text).or_default().entry(path.clone()).or_default().push(line);
            }
        }
    }
    places.retain(|_, files| files.values().map(Vec::len).sum::<usize>() > 1);
    places
}

#[test]
fn each_place_of_a_text_that_stands_at_several_is_provoked_by_a_test_or_says_why_not() {
    let found = at_several_places();
    let mut wrong = Vec::new();
    for (text, files) in &found {
        let listed = SHARED.iter().find(|(shared, _)| shared == text);
        let expected = listed.map_or(&[][..], |(_, files)| *files);
        let count = |files: &[(&str, usize)]| -> BTreeSet<(String, usize)> {
            files.iter().map(|(file, count)| ((*file).to_owned(), *count)).collect()
        };
        let here: Vec<_> = files.iter().map(|(file, lines)| (file.as_str(), lines.len())).collect();
        let there: Vec<_> = expected.iter().map(|(file, by)| (*file, by.len())).collect();
        if count(&here) != count(&there) {
            wrong.push(format!("{text:?} stands at {files:?}, listed are {there:?}"));
        }
    }
    let stale = SHARED.iter().filter(|(text, _)| !found.contains_key(*text));
    wrong.extend(stale.map(|(text, _)| format!("{text:?} stands at one place now, or at none")));
    let tests: String = ["daemon", "cli", "pam_module", "protocol"]
        .iter()
        .flat_map(|below| sources(below))
        .map(|(_, text)| text)
        .collect();
    for (text, files) in SHARED {
        for by in files.iter().flat_map(|(_, by)| *by) {
            match by {
                By::Test(name) if !tests.contains(&format!("fn {name}(")) => {
                    wrong.push(format!("{text:?}: there is no test {name}"));
                }
                By::Note("") => wrong.push(format!("{text:?}: no reason")),
                By::Test(_) | By::Note(_) => {}
            }
        }
    }
    assert!(
        wrong.is_empty(),
        "name what provokes each place in places.rs:\n{}\n({})",
        wrong.join("\n"),
        wrong.len()
    );
}

#[test]
fn every_row_of_the_page_is_claimed_by_a_test() {
    let mut claimed = BTreeSet::new();
    for below in ["daemon/src", "daemon/tests", "cli/src", "cli/tests", "pam_module/src"] {
        for (path, text) in sources(below) {
            // Tests beside the code call it by its whole name.
            let whole = ["iamd_errors::shows", "testing::no_file", "testing::stops"];
            let beside = whole.iter().any(|name| text.contains(name));
            if beside || text.contains("shows") && is_test(&path) {
                claimed.extend(sentences::literals(&text));
            }
        }
    }
    let unclaimed: Vec<_> =
        rows().into_iter().filter(|(_, row)| !claimed.contains(&row.when)).collect();
    assert!(unclaimed.is_empty(), "rows of docs/errors.md that no test shows: {unclaimed:#?}");
}

#[test]
fn a_sentence_of_the_source_is_found_in_what_was_said() {
    let text = r#"
        #[error("the {what} is {state:?}, sadly")] struct A;
        /// Not this comment.
        #[cfg(test)] mod tests { const T: &str = "not a test's text"; }
        fn f() -> Result<(), E> {
            tracing::warn!("not a log of iamd");
            let text = format!("it has {{braces}} and {} holes", n);
            x.expect("not a bug of ours");
            Err(wrong("word", "say \"so\" \u{201c}now\u{201d}"))
        }"#;
    let found: Vec<String> = sentences::of(text).into_iter().map(|found| found.text).collect();
    assert_eq!(
        found,
        [
            "the {what} is {state:?}, sadly",
            "it has {{braces}} and {} holes",
            "say \"so\" \u{201c}now\u{201d}"
        ]
    );
    assert!(fits(&found[0], "the door is \"ajar\", sadly\nadvice"));
    assert!(!fits(&found[0], "the door is ajar"));
    assert!(fits(&found[1], "it has {braces} and 3 holes"));
    assert!(!fits("the account {} is locked", "is locked the account x"));
}
