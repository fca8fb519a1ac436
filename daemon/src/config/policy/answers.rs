//! What may stand behind a key of a rule: each question has its kind of answer, with bounds.

use std::{collections::BTreeSet, time::Duration};

use super::{ALL, Flow, Key, Kind, Value};
use crate::{
    account::ScopeSet,
    config::{
        reader::Table,
        values::{parse, shown},
    },
};

/// Whether names may have a `+`: where there is something that they can be added to.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Plus {
    Adds,
    IsWrong,
}

/// The answer to `key` that stands in `table`. `issuers` are those that have a file.
pub(super) fn answer(
    table: &mut Table<'_, '_>,
    key: Key,
    issuers: &[String],
    plus: Plus,
) -> Option<Value> {
    let is_there = table.has(key.name());
    // Asked for also where it is absent: so it is one of the keys that are known.
    let answer = match key.kind() {
        Kind::Flag => table.get(key.name()).map(Value::Flag),
        Kind::Number(least, most) => {
            Some(Value::Number(table.number(key.name(), least, least..=most)))
        }
        Kind::Span(least, most) => {
            let span = table.checked(key.name(), |text: String| span(&text, least, most));
            span.map(Value::Span)
        }
        Kind::Names => names(table, key, issuers, plus),
    };
    answer.filter(|_| is_there)
}

fn span(text: &str, least: Duration, most: Duration) -> Result<Option<Duration>, String> {
    if text == "unlimited" {
        return Ok(None);
    }
    let span = parse(text).filter(|span| (least..=most).contains(span));
    span.map(Some).ok_or_else(|| {
        format!(
            "must be \"unlimited\" or a duration such as \"15m\", \"8h\" or \"5d\", between {} and {}",
            shown(least),
            shown(most)
        )
    })
}

fn names(table: &mut Table<'_, '_>, key: Key, issuers: &[String], plus: Plus) -> Option<Value> {
    let (mut added, mut others) = (0, 0);
    let items = table.one_or_each(key.name(), |text| {
        let (name, count) = match text.strip_prefix('+') {
            Some(name) => (name, &mut added),
            None => (text, &mut others),
        };
        *count += 1;
        item(key, name, issuers)
    })?;
    let wrong = match (added, others, plus) {
        (0, _, _) | (_, 0, Plus::Adds) => None,
        (_, _, Plus::Adds) => Some(
            "either all of them have a '+' (in addition to what else holds) or none (in its place)",
        ),
        (_, _, Plus::IsWrong) => {
            Some("there is nothing to add to: this is what holds without a rule")
        }
    };
    if let Some(text) = wrong {
        table.complain(key.name(), text.to_owned());
    }
    let items: BTreeSet<String> = items.into_iter().map(|(item, _)| item).collect();
    Some(Value::Names { adds: added > 0, items })
}

/// One name, in its one spelling.
fn item(key: Key, text: &str, issuers: &[String]) -> Result<String, String> {
    let shown = text.escape_default();
    let fits = match key {
        Key::Scopes => return scope(text),
        Key::Issuers => text == ALL || issuers.iter().any(|name| name == text),
        Key::Flows => text == ALL || Flow::ALL.iter().any(|flow| flow.name() == text),
        _ => !text.is_empty() && !text.contains(['/', '*', ' ']),
    };
    if fits {
        return Ok(text.to_owned());
    }
    Err(match key {
        Key::Issuers => {
            let all = issuers.join(", ");
            format!("\u{201c}{shown}\u{201d}: no issuer file of that name; there are: {all}")
        }
        Key::Flows => {
            let all = Flow::ALL.map(Flow::name).join(", ");
            format!("\u{201c}{shown}\u{201d} is no way to sign in; there are: {all}")
        }
        _ => "a PAM service is named like its file in /etc/pam.d".to_owned(),
    })
}

/// A scope, or the beginning of scopes and `*`. A path has one spelling and covers what is below.
fn scope(text: &str) -> Result<String, String> {
    if text == ALL {
        return Ok(text.to_owned());
    }
    let (stem, open) = match text.strip_suffix('*') {
        Some(stem) => (stem, true),
        None => (text, false),
    };
    if stem.contains('*') {
        return Err("'*' may stand at the end only".into());
    }
    if open && stem.contains(":/") {
        return Err("a path covers what is below it: write it without '*'".into());
    }
    let set = ScopeSet::parse([stem]).map_err(|error| error.to_string())?;
    let one = set.iter().next().filter(|_| !stem.contains(' '));
    let one = one.ok_or("must be one scope, or the beginning of scopes and '*'")?;
    Ok(if open { format!("{one}*") } else { one.to_owned() })
}
