//! Rules as they are written: tables `[[rule]]` in the files of `policy.d`, `[[policy.rule]]` in
//! `iamd.toml`, whose other keys say what holds where no rule does.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use toml::de::DeTable;

use super::{
    Clause, HIGHEST, Key, Place, PolicyRules, SITE_ONLY, Value,
    answers::{Plus, answer},
    contradictions,
    subject::Subject,
};
use crate::config::{
    Problem,
    error::line_of,
    files, read,
    reader::{self, Table},
};

/// What the table `[policy]` of `iamd.toml` says. `issuers` are the names of those that have a file.
pub(in crate::config) fn site_wide(table: &mut Table<'_, '_>, issuers: &[String]) -> PolicyRules {
    let usual = PolicyRules::default();
    let shown_to = table.each_text("show_secrets", |who| {
        let subject = Subject::parse(who).ok_or("must be a user's name, or @ and a group's")?;
        Ok::<_, &str>((who.to_owned(), subject))
    });
    let shown_to = shown_to.unwrap_or_default();
    let file: Arc<str> = table.path().display().to_string().into();
    let clause = |(subject, line): (Subject, usize)| Clause {
        subject,
        priority: 0,
        key: Key::ShowSecrets,
        value: Value::Flag(true),
        place: Place { file: Arc::clone(&file), line },
    };
    let show_secrets = shown_to.iter().map(|((who, _), _)| who.clone()).collect();
    let clauses = shown_to.into_iter().map(|((_, subject), line)| clause((subject, line)));
    let mut rules = PolicyRules {
        show_secrets,
        public_password: table.get("public_password").unwrap_or(false),
        clauses: clauses.collect(),
        flows: names(table, Key::Flows, issuers).unwrap_or(usual.flows),
        scopes: names(table, Key::Scopes, issuers).unwrap_or(usual.scopes),
        longest_sign_in: span(table, Key::LongestSignIn),
        longest_min_valid: span(table, Key::LongestMinValid),
        ..PolicyRules::default()
    };
    if table.has("rule") {
        rules.files.push(file.to_string());
    }
    rules.clauses.extend(table.tables("rule", |table| rule(table, issuers)).into_iter().flatten());
    rules
}

/// What the files of the directory say, and what contradicts.
pub(in crate::config) fn add_files(
    rules: &mut PolicyRules,
    dir: &Path,
    issuers: &[String],
    problems: &mut Vec<Problem>,
) {
    let mut wrong = Vec::new();
    for path in files(dir, &mut wrong) {
        match read(&path) {
            Ok(text) => {
                let text = text.unwrap_or_default();
                let found = reader::read(&path, &text, &mut wrong, |file| {
                    file.tables("rule", |table| rule(table, issuers))
                });
                rules.clauses.extend(found.into_iter().flatten());
                rules.files.push(path.display().to_string());
            }
            Err(problem) => wrong.push(problem),
        }
    }
    wrong.extend(contradictions::find(&rules.clauses));
    wrong.sort_by(|a, b| (&a.file, a.line).cmp(&(&b.file, b.line)));
    problems.extend(wrong);
}

/// Where the keys of `iamd.toml` stand that say what holds where no rule does.
pub(in crate::config) fn places(path: &Path, text: &str) -> BTreeMap<Key, Place> {
    let place = |key: Key| Some((key, place_of(path, text, key.site_key())?));
    Key::ALL.into_iter().filter_map(place).collect()
}

/// Where the keys stand that no rule can change.
pub(in crate::config) fn site_only(path: &Path, text: &str) -> BTreeMap<&'static str, Place> {
    let place = |key: (_, &'static str)| Some((key.1, place_of(path, text, key)?));
    SITE_ONLY.into_iter().filter_map(place).collect()
}

/// Where a key of a table stands in `iamd.toml`.
pub(in crate::config) fn place_of(
    path: &Path,
    text: &str,
    (table, name): (&str, &str),
) -> Option<Place> {
    let (root, _) = DeTable::parse_recoverable(text);
    let table = root.get_ref().get(table)?.get_ref().as_table()?;
    let (name, _) = table.get_key_value(name)?;
    let line = line_of(text, name.span().start);
    Some(Place { file: path.display().to_string().into(), line })
}

/// The files of the directory, by name.
fn files(dir: &Path, problems: &mut Vec<Problem>) -> Vec<PathBuf> {
    let mut files = files::within(dir, problems);
    files.retain(|path| is_rule_file(path));
    files.sort();
    files
}

/// Ends in `.toml`, and is not what an editor keeps beside it.
fn is_rule_file(path: &Path) -> bool {
    let hidden = path.file_name().is_some_and(|name| name.as_encoded_bytes().starts_with(b"."));
    !hidden && path.extension().is_some_and(|extension| extension == "toml")
}

/// One rule, as the clauses that it comes to.
fn rule(table: &mut Table<'_, '_>, issuers: &[String]) -> Vec<Clause> {
    let file: Arc<str> = table.path().display().to_string().into();
    let mut subjects: Vec<Subject> = Vec::new();
    let whom = table.one_or_each("for", |text| {
        let subject = Subject::parse(text)
            .ok_or("must be \"everybody\", a user's name, or @ and a group's")?;
        if subjects.contains(&subject) {
            return Err("is named twice");
        }
        subjects.push(subject);
        Ok(())
    });
    table.require("for");
    if whom.is_some_and(|whom| whom.is_empty()) {
        table.complain("for", "is for nobody".into());
    }
    let priority = table.number("priority", 0, 0..=HIGHEST);
    let mut answers: Vec<(Key, Value, Place)> = Vec::new();
    let mut says_something = false;
    for key in Key::ALL {
        says_something |= table.has(key.name());
        let answer = answer(table, key, issuers, Plus::Adds);
        if let (Some(value), Some(line)) = (answer, table.line(key.name())) {
            answers.push((key, value, Place { file: Arc::clone(&file), line }));
        }
    }
    if !says_something && table.is_used_up() {
        table.complain("for", "the rule says nothing about them".into());
    }
    let clause = |subject: &Subject, (key, value, place): &(Key, Value, Place)| Clause {
        subject: subject.clone(),
        priority,
        key: *key,
        value: value.clone(),
        place: place.clone(),
    };
    let each = |subject| answers.iter().map(move |answer| clause(subject, answer));
    subjects.iter().flat_map(each).collect()
}

/// A list that holds where no rule does.
fn names(table: &mut Table<'_, '_>, key: Key, issuers: &[String]) -> Option<BTreeSet<String>> {
    match answer(table, key, issuers, Plus::IsWrong) {
        Some(Value::Names { items, .. }) => Some(items),
        _ => None,
    }
}

/// A time that holds where no rule does.
fn span(table: &mut Table<'_, '_>, key: Key) -> Option<Duration> {
    match answer(table, key, &[], Plus::IsWrong) {
        Some(Value::Span(span)) => span,
        _ => None,
    }
}
