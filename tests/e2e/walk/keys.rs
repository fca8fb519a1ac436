//! What `oidc-gen -p` prints of an account, key by key, and where `iamctl account show --json` has
//! it: by the page's table, for an account with a client that was registered for it and for one with
//! the site's client. A key without a row, or a member that is not there, is a failure.

use std::fmt::{self, Display, Formatter};

use iamd_tests::{Error, Result};
use serde_json::Value;

use super::perform::Walker;
use super::table::{Row, keys};

/// What came of the comparison.
pub(super) struct Keys {
    lines: Vec<String>,
    pub(super) wrong: Vec<String>,
}

/// Whose account it is on either side, and the client that it has.
const ACCOUNTS: [(&str, &str); 2] = [("initial", "registered"), ("given", "the site's")];

/// Both sides of both accounts, which the walk has left.
pub(super) fn compare(walker: &Walker) -> Result<Keys> {
    let rows = keys()?;
    let mut found = Keys { lines: Vec::new(), wrong: Vec::new() };
    for (account, client) in ACCOUNTS {
        let theirs = walker.json(&format!("oidc-gen -p {account} --pw-env"))?;
        let show = format!("iamctl account show {account} --secrets --json");
        let ours = walker.json(&show)?;
        for (key, value) in theirs.as_object().into_iter().flatten() {
            let line = match rows.iter().find(|row| names(&row.theirs).any(|name| name == key)) {
                Some(row) => judge(row, key, value, &ours),
                None => Err("no row of the page names it".to_owned()),
            };
            match line {
                Ok(line) => found.lines.push(format!("{key} ({client} client): {line}")),
                Err(wrong) => found.wrong.push(format!("oidc-gen -p {account}, {key}: {wrong}")),
            }
        }
    }
    let printed = |row: &&Row| names(&row.theirs).any(|key| starts(&found.lines, key));
    let elsewhere = |row: &&Row| ["(5)", "(older)"].iter().any(|mark| row.theirs.ends_with(mark));
    let never = rows.iter().filter(|row| !elsewhere(row) && !printed(row));
    found.wrong.extend(never.map(|row| format!("{}: no account has it", row.theirs)));
    Ok(found)
}

/// What is between backquotes.
fn names(cell: &str) -> impl Iterator<Item = &str> {
    cell.split('`').skip(1).step_by(2)
}

fn starts(lines: &[String], key: &str) -> bool {
    lines.iter().any(|line| line.starts_with(&format!("{key} (")))
}

/// Where it is here, or why it is nowhere.
fn judge(
    row: &Row,
    key: &str,
    theirs: &Value,
    ours: &Value,
) -> std::result::Result<String, String> {
    if row.ours == "–" {
        return match row.reason.len() > 10 {
            true => Ok(format!("not here: {}", row.reason)),
            false => Err("it has no counterpart, and no reason".into()),
        };
    }
    for member in names(&row.ours) {
        let found = ["account", "secrets"].iter().find_map(|part| ours[part].get(member));
        let Some(found) = found else { return Err(format!("there is no member {member}")) };
        // The two accounts are at one issuer, and asked for the same.
        let same = |left: &Value, right: &Value| words(left) == words(right);
        if ["name", "issuer_url", "scope"].contains(&key) && !same(theirs, found) {
            return Err(format!("{member} is {found}, not {theirs}"));
        }
        if is_something(theirs) && found.is_null() && !row.reason.starts_with("empty") {
            return Err(format!("{member} is empty"));
        }
    }
    Ok(row.ours.replace('`', ""))
}

/// The words of a text or of a list, in one order.
fn words(value: &Value) -> Vec<String> {
    let mut words: Vec<String> = match value {
        Value::Array(several) => several.iter().flat_map(words).collect(),
        one => one.as_str().unwrap_or_default().split_whitespace().map(str::to_owned).collect(),
    };
    words.sort();
    words
}

fn is_something(value: &Value) -> bool {
    match value {
        Value::Null => false,
        Value::String(text) => !text.is_empty(),
        Value::Array(several) => !several.is_empty(),
        _ => true,
    }
}

impl Walker<'_> {
    /// What a command of the user's prints.
    fn json(&self, command: &str) -> Result<Value> {
        let agent = r#"eval "$(oidc-agent --quiet)"; ready"#;
        let printed = self.script(&format!("{agent}; {command}"))?.ok()?;
        serde_json::from_slice(&printed.stdout)
            .map_err(|error| Error::Wrong(format!("{command}: {error}")))
    }
}

impl Display for Keys {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "\n==== What oidc-gen -p prints, and where iamctl account show --json has it\n"
        )?;
        self.lines.iter().try_for_each(|line| writeln!(f, "{line}"))
    }
}
