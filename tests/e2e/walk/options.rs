//! What oidc-agent takes, from its own help and from a list of version 5, and what of it the page
//! has a row for.

use std::collections::BTreeSet;

use super::steps::{ADD, AGENT, AROUND, FILES, GEN, TOKEN};
use super::table::Row;

/// Debian has no version 5 for the node; where the list is from stands at its head.
const VERSION_5: &str = include_str!("oidc-agent-5.3.3.txt");

/// The programs of Debian's package that tell their options.
pub(super) const PROGRAMS: [&str; 6] =
    ["oidc-agent", "oidc-gen", "oidc-add", "oidc-token", "oidc-keychain", "oidc-agent-service"];

/// What every program has.
const GENERAL: [&str; 6] = ["-?", "--help", "--usage", "-V", "--version", "-h"];

/// A program or a file, and what it takes.
pub(super) struct Part {
    name: String,
    pub(super) words: BTreeSet<String>,
}

impl Part {
    /// What of it no row names.
    pub(super) fn without_row(&self, rows: &[Row]) -> Vec<String> {
        let named: BTreeSet<_> =
            rows.iter().filter(|row| self.is_in(row)).flat_map(|row| words(&row.theirs)).collect();
        self.words.difference(&named).map(|word| format!("{}: {word}", self.name)).collect()
    }

    fn is_in(&self, row: &Row) -> bool {
        match self.name.as_str() {
            "oidc-agent" => row.section == AGENT,
            "oidc-gen" => row.section == GEN,
            "oidc-add" => row.section == ADD,
            "oidc-token" => row.section == TOKEN,
            "oidc-agent-service" | "oidc-keychain" | "oidc-tokensh" | "oidc-prompt" => {
                row.section == AROUND && words(&row.theirs).contains(&self.name)
            }
            _ => row.section == FILES,
        }
    }
}

/// The list of version 5: `[part]`, then its words.
pub(super) fn of_version_5() -> impl Iterator<Item = Part> {
    let lines = VERSION_5.lines().filter(|line| !line.starts_with('#'));
    let text = lines.collect::<Vec<_>>().join("\n");
    let parts: Vec<_> =
        text.split("\n[").map(|part| part.trim_start_matches('[')).map(part).collect();
    parts.into_iter()
}

fn part(text: &str) -> Part {
    let (name, rest) = text.split_once(']').unwrap_or_default();
    Part { name: name.into(), words: rest.split_whitespace().map(str::to_owned).collect() }
}

/// What a program's help offers: options, and the commands of one that has commands.
pub(super) fn in_help(program: &str, help: &str) -> Part {
    let mut words = BTreeSet::new();
    let mut commands = false;
    for line in help.lines() {
        let entry = line.trim_start();
        commands |= entry == "Commands:";
        // Behind two blanks it is explained.
        let heads = entry.split("  ").next().unwrap_or_default();
        if entry.starts_with('-') || (commands && line.starts_with("  ")) {
            words.extend(self::words(heads));
        }
    }
    words.retain(|word| !GENERAL.contains(&word.as_str()));
    // The words behind an option are its value.
    words.retain(|word| commands || word.starts_with('-'));
    Part { name: program.into(), words }
}

/// The words of a cell: options without their values, commands, keys, files, variables.
fn words(text: &str) -> Vec<String> {
    let words = text.split(|c: char| c.is_whitespace() || ",`|()".contains(c));
    let words = words.map(|word| word.split(['=', '[']).next().unwrap_or_default());
    words.filter(|word| !word.is_empty()).map(str::to_owned).collect()
}
