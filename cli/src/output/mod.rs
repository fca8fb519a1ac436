//! What a command writes: its product to standard output, everything for people to standard
//! error; colours, bars and QR codes only where a terminal shows them.

pub(crate) mod ascii;
pub(crate) mod bar;
pub(crate) mod json;
pub(crate) mod stream;
pub(crate) mod table;
pub(crate) mod text;
pub(crate) mod time;

use serde::Serialize;
use serde_json::json;

use crate::environment::Environment;
use crate::failure::Failure;
use stream::{Paint, Stream};
use table::Table;

/// The two streams of a command.
pub(crate) struct Output {
    /// Standard output: the product.
    pub(crate) out: Stream,
    /// Standard error: for people.
    pub(crate) err: Stream,
}

impl Output {
    /// Those of this process.
    pub(crate) fn of_this_process(environment: &Environment) -> Self {
        Self { out: Stream::stdout(environment), err: Stream::stderr(environment) }
    }

    /// Prints a value as JSON: readable on a terminal, else on one line.
    pub(crate) fn json(&mut self, value: &impl Serialize) {
        let text = if self.out.is_terminal() {
            serde_json::to_string_pretty(value)
        } else {
            serde_json::to_string(value)
        };
        self.json_text(&text.unwrap_or_default());
    }

    /// Prints a value as JSON on one line, for streams of objects.
    pub(crate) fn json_line(&mut self, value: &impl Serialize) {
        self.json_text(&serde_json::to_string(value).unwrap_or_default());
    }

    fn json_text(&mut self, text: &str) {
        if self.out.is_ascii() {
            // Another spelling of the same value: a quote may not become one of JSON's.
            return self.out.line(&ascii::escaped(text));
        }
        self.out.line(text);
    }

    /// Prints a line of the product.
    pub(crate) fn line(&mut self, line: &str) {
        self.out.line(line);
    }

    /// Tells the user something on standard error, at the width of the terminal.
    pub(crate) fn tell(&mut self, sentence: &str) {
        let text = text::wrap(sentence, self.err.columns());
        self.err.line(&text);
    }

    /// Prints a table, its headings bold.
    pub(crate) fn table(&mut self, table: &Table) {
        let columns = self.out.size().map(|size| size.columns);
        let out = &self.out;
        for line in table.lines(columns, |heading| out.paint(Paint::Bold, heading)) {
            self.out.line(&line);
        }
    }

    /// Reports a failure: to people on standard error, or as JSON on standard output.
    pub(crate) fn failure(&mut self, failure: &Failure, as_json: bool) {
        if as_json {
            self.json_line(&json!({ "error": json::error(failure) }));
            return;
        }
        let prefix = self.err.paint(Paint::Bad, "iamctl:");
        let message = format!("{prefix} {}", failure.message);
        self.err.line(&message);
        if !failure.advice.is_empty() {
            let advice = format!("  {}", failure.advice);
            self.err.line(&advice);
        }
    }
}
