//! Reads a TOML file key by key, so that one run names every mistake in it.
//!
//! A derived `Deserialize` ends at its first mistake. Here each key is asked for where it is used,
//! with what it has to be. What is wrong is noted with its place and the reading goes on without
//! that key: a file with a mistake is not used anyway. A key that nobody asked for is not known.

use std::{
    fmt::Display,
    ops::{Range, RangeInclusive},
    path::Path,
    time::Duration,
};

use serde::de::{DeserializeOwned, IntoDeserializer as _};
use toml::{
    Spanned,
    de::{DeTable, DeValue},
};

use super::{
    Problem,
    error::line_of,
    values::{Span, shown},
};

/// What `build` makes of the file `text`; everything that is wrong goes to `problems`, by line.
pub(super) fn read<R>(
    path: &Path,
    text: &str,
    problems: &mut Vec<Problem>,
    build: impl FnOnce(&mut Table<'_, '_>) -> R,
) -> R {
    let (root, mistakes) = DeTable::parse_recoverable(text);
    let mut notes =
        Notes { path, text, whole: mistakes.is_empty(), found: Vec::new(), elsewhere: Vec::new() };
    let mut table = Table::new(&mut notes, String::new(), root.into_inner());
    let built = build(&mut table);
    table.name_the_unknown();
    // A line that is no TOML is one mistake, whatever was made of it.
    let elsewhere = notes.elsewhere;
    let mut found: Vec<_> =
        mistakes.iter().map(|mistake| Problem::of_toml(path, text, mistake)).collect();
    let lines: Vec<_> = found.iter().filter_map(|problem| problem.line).collect();
    let misplaced: Vec<_> = lines.iter().map(|line| below_header(text, *line)).collect();
    let is_another = |problem: &Problem| {
        let Some(line) = problem.line else { return true };
        !lines.contains(&line) && !misplaced.iter().any(|range| range.contains(&line))
    };
    found.extend(notes.found.into_iter().filter(is_another));
    found.sort_by_key(|problem| problem.line);
    problems.extend(found);
    problems.extend(elsewhere);
    built
}

/// The lines of the table whose header stands in this line: where that is no TOML, its keys were
/// taken for those of the table before.
fn below_header(text: &str, line: usize) -> Range<usize> {
    let is_header = |text: &str| text.trim_start().starts_with('[');
    let mut rest = text.lines().skip(line.saturating_sub(1));
    match rest.next().is_some_and(is_header) {
        true => line..line + 1 + rest.take_while(|text| !is_header(text)).count(),
        false => line..line,
    }
}

/// The file while it is read.
struct Notes<'t> {
    path: &'t Path,
    text: &'t str,
    /// Whether all of it is TOML; else a key may be there and not have been seen.
    whole: bool,
    found: Vec<Problem>,
    /// In files that this one names.
    elsewhere: Vec<Problem>,
}

/// A table of the file. Each key is asked for once, and what is left in the end is not known.
pub(super) struct Table<'n, 't> {
    notes: &'n mut Notes<'t>,
    name: String,
    /// Where it begins; not the file itself.
    begins: Option<Range<usize>>,
    values: DeTable<'t>,
    asked: Vec<(&'static str, Option<Range<usize>>)>,
}

impl<'n, 't> Table<'n, 't> {
    fn new(notes: &'n mut Notes<'t>, name: String, values: DeTable<'t>) -> Self {
        Self { notes, name, begins: None, values, asked: Vec::new() }
    }

    /// The value of `key`; `None` where it is absent or wrong.
    pub(super) fn get<T: DeserializeOwned>(&mut self, key: &'static str) -> Option<T> {
        let value = self.take(key)?;
        self.typed(key, value)
    }

    /// The value of `key` that `convert` made, which says what is wrong with it.
    pub(super) fn checked<T: DeserializeOwned, U, E: Display>(
        &mut self,
        key: &'static str,
        convert: impl FnOnce(T) -> Result<U, E>,
    ) -> Option<U> {
        let value = self.get(key)?;
        convert(value).map_err(|error| self.complain(key, error.to_string())).ok()
    }

    /// The elements of the list `key`, each typed and converted by itself.
    pub(super) fn each<T: DeserializeOwned, U, E: Display>(
        &mut self,
        key: &'static str,
        mut convert: impl FnMut(T) -> Result<U, E>,
    ) -> Option<Vec<U>> {
        let value = self.take(key)?;
        let elements = match value.into_inner() {
            DeValue::Array(elements) => elements,
            other => {
                self.complain(key, format!("must be a list in [ ], not {}", kind(&other)));
                return None;
            }
        };
        let mut all = Vec::new();
        for element in elements {
            let span = element.span();
            if let Some(value) = self.typed(key, element) {
                match convert(value) {
                    Ok(value) => all.push(value),
                    Err(error) => self.note(key, Some(span), error.to_string()),
                }
            }
        }
        Some(all)
    }

    /// The whole number `key` within its bounds.
    pub(super) fn number(
        &mut self,
        key: &'static str,
        default: u32,
        bounds: RangeInclusive<u32>,
    ) -> u32 {
        let (least, most) = (bounds.start(), bounds.end());
        let within = |number: i64| {
            u32::try_from(number)
                .ok()
                .filter(|number| bounds.contains(number))
                .ok_or_else(|| format!("must be between {least} and {most}"))
        };
        self.checked(key, within).unwrap_or(default)
    }

    /// The duration `key` within its bounds.
    pub(super) fn duration(
        &mut self,
        key: &'static str,
        default: Duration,
        bounds: RangeInclusive<Duration>,
    ) -> Duration {
        let within = |Span(duration)| match bounds.contains(&duration) {
            true => Ok(duration),
            false => Err(format!(
                "must be between {} and {}",
                shown(*bounds.start()),
                shown(*bounds.end())
            )),
        };
        self.checked(key, within).unwrap_or(default)
    }

    /// What `read` makes of the table `key`; an absent one is empty.
    pub(super) fn table<R>(
        &mut self,
        key: &'static str,
        read: impl FnOnce(&mut Table<'_, 't>) -> R,
    ) -> R {
        let (values, begins) = self.take_table(key).unwrap_or_default();
        self.inner(key, values, begins, read)
    }

    /// What `read` makes of the table `key` where there is one.
    pub(super) fn optional_table<R>(
        &mut self,
        key: &'static str,
        read: impl FnOnce(&mut Table<'_, 't>) -> R,
    ) -> Option<R> {
        let (values, begins) = self.take_table(key)?;
        Some(self.inner(key, values, begins, read))
    }

    /// What `read` makes of each of the tables `[[key]]`.
    pub(super) fn tables<R>(
        &mut self,
        key: &'static str,
        mut read: impl FnMut(&mut Table<'_, 't>) -> R,
    ) -> Vec<R> {
        let Some(value) = self.take(key) else { return Vec::new() };
        let elements = match value.into_inner() {
            DeValue::Array(elements) => elements,
            _ => {
                self.complain(key, format!("each begins with a line [[{}]]", self.full(key)));
                return Vec::new();
            }
        };
        let mut all = Vec::new();
        for element in elements {
            let span = element.span();
            let DeValue::Table(values) = element.into_inner() else {
                let text = format!("each begins with a line [[{}]]", self.full(key));
                self.note(key, Some(span), text);
                continue;
            };
            let name = self.full(key);
            let mut table = Table::new(&mut *self.notes, name, values);
            table.begins = Some(span);
            all.push(read(&mut table));
            table.name_the_unknown();
        }
        all
    }

    /// The texts of the list `key`, each with its line; `None` where one is wrong.
    pub(super) fn each_text<U, E: Display>(
        &mut self,
        key: &'static str,
        convert: impl FnMut(&str) -> Result<U, E>,
    ) -> Option<Vec<(U, usize)>> {
        self.texts(key, false, convert)
    }

    /// The texts of the list `key`, or the one that stands there without a list; each with its
    /// line.
    pub(super) fn one_or_each<U, E: Display>(
        &mut self,
        key: &'static str,
        convert: impl FnMut(&str) -> Result<U, E>,
    ) -> Option<Vec<(U, usize)>> {
        self.texts(key, true, convert)
    }

    fn texts<U, E: Display>(
        &mut self,
        key: &'static str,
        one_will_do: bool,
        mut convert: impl FnMut(&str) -> Result<U, E>,
    ) -> Option<Vec<(U, usize)>> {
        let value = self.take(key)?;
        let elements = match value.get_ref() {
            DeValue::Array(elements) => elements.iter().collect::<Vec<_>>(),
            other if !one_will_do => {
                self.complain(key, format!("must be a list in [ ], not {}", kind(other)));
                return None;
            }
            _ => vec![&value],
        };
        let count = elements.len();
        let mut all = Vec::with_capacity(count);
        for element in elements {
            let converted = match element.get_ref().as_str() {
                Some(text) => convert(text).map_err(|error| error.to_string()),
                None => Err(format!("must be text in quotes, not {}", kind(element.get_ref()))),
            };
            match converted {
                Ok(value) => all.push((value, line_of(self.notes.text, element.span().start))),
                Err(error) => self.note(key, Some(element.span()), error),
            }
        }
        (all.len() == count).then_some(all)
    }

    /// Whether `key` stands there, to whatever purpose.
    pub(super) fn has(&self, key: &str) -> bool {
        self.values.contains_key(key)
    }

    /// Whether every key was asked for.
    pub(super) fn is_used_up(&self) -> bool {
        self.values.is_empty()
    }

    /// The line of a key that was asked for and stands there.
    pub(super) fn line(&self, key: &str) -> Option<usize> {
        let (_, span) = self.asked.iter().find(|(asked, _)| *asked == key)?;
        Some(line_of(self.notes.text, span.as_ref()?.start))
    }

    /// The file.
    pub(super) fn path(&self) -> &Path {
        self.notes.path
    }

    /// Says that `key` is missing where it is.
    pub(super) fn require(&mut self, key: &'static str) {
        let absent = self.asked.iter().any(|(asked, span)| *asked == key && span.is_none());
        if absent && self.notes.whole {
            self.note(key, self.begins.clone(), "is missing".into());
        }
    }

    /// Whether exactly one of these keys, which were asked for, is there.
    pub(super) fn has_one_of<const N: usize>(&self, keys: [&str; N]) -> bool {
        let there =
            self.asked.iter().filter(|(asked, span)| span.is_some() && keys.contains(asked));
        there.count() == 1
    }

    /// Notes what is wrong with `key`, at its place if it has been asked for.
    pub(super) fn complain(&mut self, key: &'static str, what: String) {
        let span = self.asked.iter().find(|(asked, _)| *asked == key);
        self.note(key, span.and_then(|(_, span)| span.clone()), what);
    }

    /// Notes what is wrong in a file that this one names.
    pub(super) fn complain_elsewhere(&mut self, problems: Vec<Problem>) {
        self.notes.elsewhere.extend(problems);
    }

    fn take(&mut self, key: &'static str) -> Option<Spanned<DeValue<'t>>> {
        let value = self.values.remove(key);
        self.asked.push((key, value.as_ref().map(Spanned::span)));
        value
    }

    /// A table, and where it begins.
    fn take_table(&mut self, key: &'static str) -> Option<(DeTable<'t>, Option<Range<usize>>)> {
        let value = self.take(key)?;
        let begins = value.span();
        match value.into_inner() {
            DeValue::Table(values) => Some((values, Some(begins))),
            other => {
                self.complain(key, format!("must be a table, not {}", kind(&other)));
                None
            }
        }
    }

    fn inner<R>(
        &mut self,
        key: &str,
        values: DeTable<'t>,
        begins: Option<Range<usize>>,
        read: impl FnOnce(&mut Table<'_, 't>) -> R,
    ) -> R {
        let name = self.full(key);
        let mut table = Table::new(&mut *self.notes, name, values);
        table.begins = begins;
        let built = read(&mut table);
        table.name_the_unknown();
        built
    }

    fn typed<T: DeserializeOwned>(
        &mut self,
        key: &'static str,
        value: Spanned<DeValue<'t>>,
    ) -> Option<T> {
        let span = value.span();
        match T::deserialize(value.into_deserializer()) {
            Ok(value) => Some(value),
            Err(error) => {
                self.note(key, Some(error.span().unwrap_or(span)), plain(error.message()));
                None
            }
        }
    }

    fn name_the_unknown(&mut self) {
        for (key, _) in std::mem::take(&mut self.values) {
            let known = self.asked.iter().map(|(key, _)| *key);
            let hint = match nearest(key.get_ref(), known.clone()) {
                Some(near) => format!("did you mean {near}?"),
                None => format!("there are: {}", known.collect::<Vec<_>>().join(", ")),
            };
            self.note(key.get_ref(), Some(key.span()), format!("unknown key; {hint}"));
        }
    }

    fn note(&mut self, key: &str, span: Option<Range<usize>>, what: String) {
        let key = self.full(key);
        let notes = &mut *self.notes;
        notes.found.push(Problem::of_key(notes.path, notes.text, span, key, what));
    }

    fn full(&self, key: &str) -> String {
        match self.name.as_str() {
            "" => key.to_owned(),
            table => format!("{table}.{key}"),
        }
    }
}

/// The known key that somebody who wrote `key` may have meant.
fn nearest<'k>(key: &str, known: impl Iterator<Item = &'k str>) -> Option<&'k str> {
    let spelt = key.to_lowercase().replace('-', "_");
    known
        .map(|known| (strsim::damerau_levenshtein(&spelt, known), known))
        .filter(|(distance, known)| *distance <= (known.len() / 3).max(1))
        .min()
        .map(|(_, known)| known)
}

/// A type as a person calls it.
fn kind(value: &DeValue<'_>) -> String {
    match value.type_str() {
        kind @ ("array" | "integer") => format!("an {kind}"),
        kind => format!("a {kind}"),
    }
}

/// What the deserializer says, without the names of Rust's types.
fn plain(message: &str) -> String {
    let types =
        [("expected i64", "expected a whole number"), ("expected f64", "expected a number")];
    let named = types
        .iter()
        .find_map(|(rust, people)| Some(format!("{}{people}", message.strip_suffix(rust)?)));
    named.unwrap_or_else(|| message.to_owned())
}
