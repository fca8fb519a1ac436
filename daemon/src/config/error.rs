//! A mistake in the configuration, and where it is.

use std::{fmt, ops::Range, path::Path, string::FromUtf8Error};

/// All that is wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigError(pub Vec<Problem>);

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, problem) in self.0.iter().enumerate() {
            if index > 0 {
                f.write_str("\n")?;
            }
            problem.fmt(f)?;
        }
        Ok(())
    }
}

impl std::error::Error for ConfigError {}

/// One mistake.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// The file.
    pub file: String,
    /// The line, from 1; `None` when the file as a whole is meant.
    pub line: Option<usize>,
    /// The key with its table, for example `limits.accounts`.
    pub key: Option<String>,
    /// What is wrong and what would be right.
    pub text: String,
}

impl Problem {
    /// A mistake of the whole file.
    pub(super) fn of_file(file: &Path, text: impl Into<String>) -> Self {
        Self { file: file.display().to_string(), line: None, key: None, text: text.into() }
    }

    /// A mistake in a line, from 1, of a file without keys.
    pub(super) fn of_line(file: &Path, line: usize, text: impl Into<String>) -> Self {
        Self { line: Some(line), ..Self::of_file(file, text) }
    }

    /// Bytes that are no text, where the first of them are.
    pub(super) fn of_bytes(file: &Path, error: &FromUtf8Error, with_keys: bool) -> Self {
        let at = error.utf8_error().valid_up_to();
        // Up to there it is the same.
        let text = String::from_utf8_lossy(error.as_bytes());
        let key = if with_keys { key_at(&text, at) } else { None };
        Self { key, ..Self::of_line(file, line_of(&text, at), "is not UTF-8 text") }
    }

    /// A mistake with `key` at a place of `source`.
    pub(super) fn of_key(
        file: &Path,
        source: &str,
        span: Option<Range<usize>>,
        key: String,
        text: String,
    ) -> Self {
        let line = span.map(|span| line_of(source, span.start));
        Self { file: file.display().to_string(), line, key: Some(key), text }
    }

    /// What is not TOML.
    pub(super) fn of_toml(file: &Path, source: &str, error: &toml::de::Error) -> Self {
        let start = error.span().map(|span| span.start.min(source.len()));
        Self {
            file: file.display().to_string(),
            line: start.map(|at| line_of(source, at)),
            key: start.and_then(|at| key_at(source, at)),
            text: match error.message() {
                // A table that is there already, most of all.
                "duplicate key" => "stands in the file already: put it there".to_owned(),
                said => said.to_owned(),
            },
        }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.file)?;
        if let Some(line) = self.line {
            write!(f, ":{line}")?;
        }
        if let Some(key) = &self.key {
            write!(f, ": {}", printable(key))?;
        }
        write!(f, ": {}", printable(self.text.trim_end()))
    }
}

/// Keys and values of the file are quoted: on one line, and nothing that steers a terminal.
fn printable(text: &str) -> String {
    let mut line = String::new();
    for c in text.chars() {
        match c {
            '\n' => line.push(' '),
            c if c.is_control() => line.extend(c.escape_default()),
            c => line.push(c),
        }
    }
    line
}

/// The line of a byte offset, from 1.
pub(super) fn line_of(source: &str, at: usize) -> usize {
    source.as_bytes()[..at.min(source.len())].iter().filter(|byte| **byte == b'\n').count() + 1
}

/// The key whose line a byte offset is in, with the table it stands in.
fn key_at(source: &str, at: usize) -> Option<String> {
    let start = source[..floor(source, at)].rfind('\n').map_or(0, |newline| newline + 1);
    let line = source[start..].lines().next()?.trim();
    let table = |line: &str| {
        let name = line.strip_prefix('[')?.split(']').next()?.trim_matches('[').trim();
        Some(name.to_owned())
    };
    if let Some(name) = table(line) {
        return Some(name);
    }
    let key = line.split('=').next().map(str::trim).filter(|key| {
        !key.is_empty() && key.chars().all(|c| c.is_ascii_alphanumeric() || "_-.\"".contains(c))
    })?;
    let above = source[..start].lines().rev().find_map(|line| table(line.trim()));
    Some(above.map_or_else(|| key.to_owned(), |name| format!("{name}.{key}")))
}

fn floor(source: &str, mut at: usize) -> usize {
    while !source.is_char_boundary(at) {
        at -= 1;
    }
    at
}
