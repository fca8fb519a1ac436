//! The tables of docs/from-oidc-agent.md.

use std::fs;
use std::path::Path;

use iamd_tests::{Error, Result};

/// A row: what there was, what there is instead, and what is to be said of it.
#[derive(Debug)]
pub(super) struct Row {
    pub(super) section: String,
    pub(super) theirs: String,
    pub(super) ours: String,
    pub(super) reason: String,
}

impl Row {
    /// Whether the script runs what the row names on our side: each command, and the options of one
    /// of several that do the same.
    pub(super) fn is_what(&self, script: &str) -> bool {
        let given: Vec<_> =
            script.split(|c: char| c.is_whitespace() || "()\"'".contains(c)).collect();
        // What is quoted is in every other part: `iamctl token --env`, `-s S`, or a file's name.
        let quoted = self.ours.split('`').skip(1).step_by(2);
        let named: Vec<(String, Vec<&str>)> = quoted.map(command_and_options).collect();
        let options: Vec<_> = named.iter().filter(|(_, options)| !options.is_empty()).collect();
        named.iter().all(|(command, _)| script.contains(command))
            && (options.is_empty()
                || options.iter().any(|(_, options)| options.iter().all(|one| given.contains(one))))
    }
}

/// `iamctl` with its subcommands, or nothing; and options.
fn command_and_options(quoted: &str) -> (String, Vec<&str>) {
    let words: Vec<_> = quoted.split_whitespace().collect();
    let plain = |word: &&&str| word.chars().all(|c| c.is_ascii_lowercase());
    let command = words.iter().take_while(plain).copied();
    let command = if quoted.starts_with("iamctl ") {
        command.collect::<Vec<_>>().join(" ")
    } else {
        String::new()
    };
    (command, words.into_iter().filter(|word| word.starts_with('-') && *word != "--").collect())
}

/// What a row says in brackets where the original cannot be run on the node, and what that means.
pub(super) const MARKS: [(&str, &str); 4] = [
    ("5", "only version 5 has it"),
    ("display", "it needs a display"),
    ("keyring", "it needs a keyring or gpg"),
    ("browser", "it needs a browser"),
];

/// The page before its first section.
pub(super) fn legend() -> Result<String> {
    let text = text()?;
    Ok(text.split("\n## ").next().unwrap_or_default().to_owned())
}

/// All rows that are walked, in order.
pub(super) fn rows() -> Result<Vec<Row>> {
    Ok(tables()?.into_iter().filter(|row| row.section != KEYS).collect())
}

/// The rows of what `oidc-gen -p` prints.
pub(super) fn keys() -> Result<Vec<Row>> {
    Ok(tables()?.into_iter().filter(|row| row.section == KEYS).collect())
}

/// The section that has a key in each row.
const KEYS: &str = "What `oidc-gen -p` prints";

fn tables() -> Result<Vec<Row>> {
    let text = text()?;
    let (mut section, mut rows) = (String::new(), Vec::new());
    for line in text.lines() {
        if let Some(title) = line.strip_prefix("## ") {
            title.clone_into(&mut section);
        }
        let cells: Vec<_> = cells(line);
        let [theirs, ours, reason] = cells.as_slice() else { continue };
        // The head of each table, and the line below it.
        if !theirs.contains('`') && !theirs.contains(' ') {
            continue;
        }
        rows.push(Row {
            section: section.clone(),
            theirs: theirs.clone(),
            ours: ours.clone(),
            reason: reason.clone(),
        });
    }
    Ok(rows)
}

fn text() -> Result<String> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/from-oidc-agent.md");
    fs::read_to_string(&path).map_err(Error::at(&path))
}

/// The cells of a table's line; `\|` is a bar inside one.
fn cells(line: &str) -> Vec<String> {
    let Some(inner) = line.strip_prefix('|').and_then(|line| line.strip_suffix('|')) else {
        return Vec::new();
    };
    let kept = inner.replace("\\|", "\u{0}");
    kept.split('|').map(|cell| cell.trim().replace('\u{0}', "|")).collect()
}
