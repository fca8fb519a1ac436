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

/// What a row says in brackets where the original cannot be run on the node.
pub(super) const MARKS: [&str; 4] = ["5", "display", "keyring", "browser"];

/// The page before its first section.
pub(super) fn legend() -> Result<String> {
    let text = text()?;
    Ok(text.split("\n## ").next().unwrap_or_default().to_owned())
}

/// All rows, in order.
pub(super) fn rows() -> Result<Vec<Row>> {
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
