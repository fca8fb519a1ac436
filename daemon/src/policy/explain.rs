//! What the rules come to, in plain words.

use std::{collections::BTreeSet, time::Duration};

use super::decide::{Holds, InForce, Origin, Part, Who, in_force};
use crate::config::{
    Config,
    policy::{ALL, Flow, Key, Value},
};

/// A line of an explanation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    /// For whom.
    pub whom: String,
    /// The question.
    pub key: Key,
    /// The answer, as it would be written in a rule; names one by one.
    pub values: Vec<String>,
    /// A sentence without its subject.
    pub text: String,
    /// What decided.
    pub decided_by: Vec<Origin>,
    /// What is not known now and may allow more, or allows less already.
    pub doubt: Vec<String>,
}

/// What one user may do: a line for each question. Who has a uid that gets no sessions has none of
/// what comes with them, whatever the rules say.
pub fn user(config: &Config, who: &Who, uid: Option<u32>) -> Vec<Line> {
    let mut lines: Vec<_> = Key::ALL.into_iter().map(|key| user_line(config, who, key)).collect();
    if let Some(uid) = uid.filter(|uid| *uid < config.users.min_uid) {
        for line in &mut lines {
            without_sessions(line, uid, config);
        }
    }
    lines
}

fn without_sessions(line: &mut Line, uid: u32, config: &Config) {
    let least = config.users.min_uid;
    let (values, what) = match line.key {
        Key::AutomaticLogin => {
            (vec!["false".to_owned()], "are offered no sign-in when they log in")
        }
        Key::Services => (Vec::new(), "have no sessions that count, and so no token files"),
        _ => return,
    };
    let place = config.policy.min_uid.clone();
    line.values = values;
    line.text = format!("{what}: their uid {uid} is below users.min_uid, {least}");
    line.decided_by = vec![place.map_or(Origin::Default("users", "min_uid"), Origin::At)];
    line.doubt.clear();
}

/// What one user may do of one kind.
pub fn user_line(config: &Config, who: &Who, key: Key) -> Line {
    line(&who.user, in_force(config, who, key))
}

/// What the site decided: what holds for everybody, then each rule, the wider circles first.
pub fn site(config: &Config) -> Vec<Line> {
    let nobody = Who::default();
    let mut without = config.clone();
    without.policy.clauses.clear();
    let everybody = Key::ALL.into_iter().map(|key| {
        let line = line("everybody", in_force(&without, &nobody, key));
        Line { whom: "everybody whom no rule is for".into(), ..line }
    });
    let mut clauses: Vec<_> = config.policy.clauses.iter().collect();
    clauses.sort_by_key(|clause| {
        (clause.rank(), clause.subject.clone(), clause.place.clone(), clause.key)
    });
    let rules = clauses.into_iter().map(|clause| {
        let whom = match clause.priority {
            0 => clause.subject.to_string(),
            priority => format!("{} (priority {priority})", clause.subject),
        };
        Line {
            whom,
            key: clause.key,
            values: written(&clause.value),
            text: sentence(clause.key, &clause.value),
            decided_by: vec![Origin::At(clause.place.clone())],
            doubt: Vec::new(),
        }
    });
    everybody.chain(rules).collect()
}

fn line(whom: &str, found: InForce) -> Line {
    let (value, mut decided_by) = match found.holds {
        Holds::One(value, by) => (value, by),
        Holds::Names(lists) => {
            let by = |part: &Part| part.by.clone();
            let decided_by = lists.iter().flatten().flat_map(by).collect();
            (Value::Names { adds: false, items: certain(&lists) }, decided_by)
        }
    };
    decided_by.sort();
    decided_by.dedup();
    let doubt = found.doubt.iter().map(|doubt| format!("{} (@{})", doubt.place, doubt.group));
    Line {
        whom: whom.to_owned(),
        key: found.key,
        values: written(&value),
        text: sentence(found.key, &value),
        decided_by,
        doubt: doubt.collect(),
    }
}

/// The names that every list has as they stand.
fn certain(lists: &[Vec<Part>]) -> BTreeSet<String> {
    let names = |list: &Vec<Part>| -> BTreeSet<String> {
        list.iter().flat_map(|part| part.items.clone()).collect()
    };
    let mut lists = lists.iter().map(names);
    let first = lists.next().unwrap_or_default();
    lists.fold(first, |held, list| match (held.contains(ALL), list.contains(ALL)) {
        (true, _) => list,
        (false, true) => held,
        (false, false) => held.intersection(&list).cloned().collect(),
    })
}

/// An answer as it would be written.
fn written(value: &Value) -> Vec<String> {
    match value {
        Value::Flag(flag) => vec![flag.to_string()],
        Value::Number(number) => vec![number.to_string()],
        Value::Span(None) => vec!["unlimited".into()],
        Value::Span(Some(span)) => vec![duration(*span)],
        Value::Names { adds, items } => {
            let sign = if *adds { "+" } else { "" };
            items.iter().map(|item| format!("{sign}{item}")).collect()
        }
    }
}

/// What an answer means, as the rest of a sentence that begins with who it is for.
pub fn sentence(key: Key, value: &Value) -> String {
    let may = |yes: bool, what: &str| format!("may {}{what}", if yes { "" } else { "not " });
    match (key, value) {
        (Key::CustomIssuers, Value::Flag(yes)) => {
            may(*yes, "name issuers that have no file, by URL")
        }
        (Key::OwnClients, Value::Flag(yes)) => may(*yes, "have clients for accounts of their own"),
        (Key::ShowSecrets, Value::Flag(yes)) => may(*yes, "see the secrets of their own accounts"),
        (Key::AutomaticLogin, Value::Flag(true)) => "are offered a sign-in when they log in".into(),
        (Key::AutomaticLogin, Value::Flag(false)) => {
            "are offered no sign-in when they log in".into()
        }
        (Key::Accounts, Value::Number(most)) => format!("may have {most} accounts"),
        (Key::Logins, Value::Number(most)) => format!("may have {most} logins running"),
        (Key::Requests, Value::Number(most)) => format!("may have {most} requests in flight"),
        (Key::Registrations, Value::Number(most)) => {
            format!("may have {most} clients registered in an hour")
        }
        (Key::LongestSignIn, Value::Span(None)) => {
            "have to sign in again when the issuer says so".into()
        }
        (Key::LongestSignIn, Value::Span(Some(span))) => {
            format!("have to sign in again after {}", duration(*span))
        }
        (Key::LongestMinValid, Value::Span(None)) => {
            "may ask for tokens of whatever validity".into()
        }
        (Key::LongestMinValid, Value::Span(Some(span))) => {
            format!("may ask for tokens that are valid for {} at most", duration(*span))
        }
        (_, Value::Names { adds, items }) => names(key, *adds, items),
        (key, value) => format!("{} = {}", key.name(), written(value).join(", ")),
    }
}

fn names(key: Key, adds: bool, items: &BTreeSet<String>) -> String {
    let also = if adds { "also " } else { "" };
    let all = items.contains(ALL);
    let listed = match key {
        Key::Flows => flows(items),
        _ => items.iter().map(String::as_str).collect::<Vec<_>>().join(", "),
    };
    let none = items.is_empty();
    match key {
        Key::Issuers if all => format!("may {also}use every issuer that has a file"),
        Key::Issuers if none => format!("may {also}use no issuer that has a file"),
        Key::Issuers => format!("may {also}use the issuers {listed}"),
        Key::Flows if none => format!("may {also}not sign in"),
        Key::Flows => format!("may {also}sign in {listed}"),
        Key::Scopes if all => format!("may {also}ask for every scope"),
        Key::Scopes if none => format!("may {also}ask for no scope but openid and offline_access"),
        Key::Scopes => format!("may {also}ask for the scopes {listed}"),
        Key::Services if none => format!("have {also}no sessions that count"),
        _ => format!("{also}have sessions that count through {listed}"),
    }
}

/// Ways to sign in, as people call them.
pub fn flows(items: &BTreeSet<String>) -> String {
    let has = |flow: &Flow| items.contains(ALL) || items.contains(flow.name());
    let words = Flow::ALL.into_iter().filter(has).map(|flow| match flow {
        Flow::Device => "by a code in a browser",
        Flow::Password => "by password, where a client has it",
        Flow::RefreshToken => "with a refresh token that they bring",
    });
    words.collect::<Vec<_>>().join(", ")
}

/// A duration as it is written.
pub fn duration(span: Duration) -> String {
    let seconds = span.as_secs();
    let units = [(86_400, "d"), (3600, "h"), (60, "m")];
    let whole =
        units.into_iter().find(|(unit, _)| seconds >= *unit && seconds.is_multiple_of(*unit));
    whole.map_or_else(
        || format!("{seconds}s"),
        |(unit, letter)| format!("{}{letter}", seconds / unit),
    )
}
