//! The page of all errors, `docs/errors.md`, kept by the tests: a test that provokes an error says
//! so with [`shows`], which compares all of it with its row. `UPDATE_ERRORS=1` writes the rows that
//! differ anew; look at the difference.
//!
//! A row is found by its group and by when it is seen, which stands in the test as it stands on the
//! page. `tests/complete.rs` sees to it that no error in the sources is without a row and that no
//! row is without a test.
#![allow(clippy::unwrap_used, clippy::panic, reason = "it serves tests, and fails as tests do")]

use std::{
    collections::BTreeMap,
    fs::{self, File},
    path::PathBuf,
};

/// The heading of the tables that follow; one stands in each section of the page.
const HEAD: &str = "| What is said | When | Name, exit code | What to do |\n|---|---|---|---|\n";

/// An error as a user, an administrator or a program meets it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Row {
    /// What is said.
    pub text: String,
    /// When that is.
    pub when: String,
    /// The error's name and the exit code; empty for what is only logged.
    pub name: String,
    /// What to do next; empty where the text says it all.
    pub advice: String,
}

/// The page: what stands around the tables, and their rows by section.
struct Page {
    /// Each section's heading with what stands before its table, in order, and its rows by when.
    sections: Vec<(String, BTreeMap<String, Row>)>,
}

/// Says that this error was provoked just now, and how it is shown.
///
/// # Panics
/// The page says something else.
pub fn shows(section: &str, when: &str, text: &str, name: &str, exit: Option<u8>, advice: &str) {
    let name = match exit {
        Some(exit) if name.is_empty() => exit.to_string(),
        Some(exit) => format!("{name}, {exit}"),
        None => name.to_owned(),
    };
    assert!(!text.contains('\u{1b}') && !when.is_empty(), "{when}: {text:?}");
    let row = Row { text: text.into(), when: when.into(), name, advice: advice.into() };
    let update = std::env::var_os("UPDATE_ERRORS").is_some();
    // Other tests write other rows at the same time.
    let lock = File::open(root().join("docs")).unwrap();
    if update {
        lock.lock().unwrap()
    } else {
        lock.lock_shared().unwrap()
    }
    let mut page = Page::read();
    let rows = page.rows_of(section);
    if update && rows.get(when) != Some(&row) {
        rows.insert(when.into(), row);
        page.write();
        return;
    }
    let written = rows.get(when);
    assert_eq!(written, Some(&row), "docs/errors.md, {section}; UPDATE_ERRORS=1 writes it anew");
}

/// All rows of the page with their sections.
pub fn rows() -> Vec<(String, Row)> {
    let page = Page::read();
    let with_title = page.sections.iter().flat_map(|(head, rows)| {
        let title = title(head).to_owned();
        rows.values().map(move |row| (title.clone(), row.clone()))
    });
    with_title.collect()
}

/// The root of the repository.
pub fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../..")
}

fn title(head: &str) -> &str {
    let line = head.lines().find(|line| line.starts_with("## ")).unwrap_or_default();
    line.trim_start_matches("## ")
}

impl Page {
    fn path() -> PathBuf {
        root().join("docs/errors.md")
    }

    fn read() -> Self {
        let text = fs::read_to_string(Self::path()).unwrap();
        let mut sections = Vec::new();
        let mut parts = text.split("\n## ");
        let mut head = parts.next().unwrap_or_default().to_owned();
        for part in parts {
            head.push_str("\n## ");
            let (before, table) = part.split_once(HEAD).unwrap_or((part, ""));
            head.push_str(before);
            let rows = table.lines().filter(|line| line.starts_with('|')).map(Row::parse);
            sections.push((
                std::mem::take(&mut head),
                rows.map(|row| (row.when.clone(), row)).collect(),
            ));
        }
        Self { sections }
    }

    fn rows_of(&mut self, section: &str) -> &mut BTreeMap<String, Row> {
        let found = self.sections.iter_mut().find(|(head, _)| title(head) == section);
        let (_, rows) = found.unwrap_or_else(|| panic!("docs/errors.md has no section {section}"));
        rows
    }

    /// Replaces the file in one step: a test that only reads takes the lock too, a person does not.
    fn write(&self) {
        let mut text = String::new();
        for (head, rows) in &self.sections {
            text.push_str(head.trim_end());
            text.push_str("\n\n");
            if !rows.is_empty() {
                text.push_str(HEAD);
            }
            let mut rows: Vec<&Row> = rows.values().collect();
            rows.sort_by(|a, b| (&a.name, &a.text, &a.when).cmp(&(&b.name, &b.text, &b.when)));
            rows.iter().for_each(|row| text.push_str(&row.print()));
        }
        let new = Self::path().with_extension("md.new");
        fs::write(&new, text).unwrap();
        fs::rename(new, Self::path()).unwrap();
    }
}

impl Row {
    fn print(&self) -> String {
        let Self { text, when, name, advice } = self;
        let cells = [code(text), escape(when), escape(name), escape(advice)];
        format!("| {} |\n", cells.join(" | "))
    }

    fn parse(line: &str) -> Self {
        let cells: Vec<&str> = line.trim_matches('|').split(" | ").map(str::trim).collect();
        let [text, when, name, advice] = cells[..] else { panic!("not four cells: {line}") };
        Self {
            text: text.split("<br>").map(uncode).collect::<Vec<_>>().join("\n"),
            when: plain(when),
            name: plain(name),
            advice: plain(advice),
        }
    }
}

/// A text as code, a line each.
fn code(text: &str) -> String {
    let lines = text.lines().map(|line| match line.contains('`') {
        true => format!("`` {} ``", escape(line)),
        false => format!("`{}`", escape(line)),
    });
    lines.collect::<Vec<_>>().join("<br>")
}

fn uncode(cell: &str) -> String {
    let double = cell.strip_prefix("`` ").and_then(|rest| rest.strip_suffix(" ``"));
    plain(double.unwrap_or_else(|| cell.trim_matches('`')))
}

fn escape(text: &str) -> String {
    text.replace('|', "\\|").replace('\n', "<br>")
}

fn plain(cell: &str) -> String {
    cell.replace("<br>", "\n").replace("\\|", "|")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_comes_back_as_it_was_written() {
        let row = Row {
            text: "one | two\nthree <four> *five*\nwith `ca`".into(),
            when: "it rains | snows".into(),
            name: "NotAuthorized, 4".into(),
            advice: String::new(),
        };
        assert_eq!(Row::parse(row.print().trim_end()), row);
    }
}
