//! `[identity]` of an issuer's file: which claim has to name the local user, and how; and the map
//! file that it may point at, read with the rest of the configuration.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
    sync::Arc,
};

use super::{Problem, files, reader::Table};
use crate::account::{
    IdentityRule, ScopeSet,
    identity_rule::{Expect, IdentityMap, check_expression, check_text, scope_of},
};

/// A map of a large site has some ten thousand lines.
const LONGEST_MAP: u64 = 8 << 20;
const LONGEST_LINE: usize = 2048;
/// A file that is something else is not listed line by line.
const MOST_PROBLEMS: usize = 20;
/// Between a value and a user.
const ARROW: &str = "->";

/// The rule of the table; `None` where it has a mistake.
pub(super) fn rule(table: &mut Table<'_, '_>) -> Option<IdentityRule> {
    let claim = table.checked("claim", checked_claim);
    let must_equal = table.checked("must_equal", |text: String| check_text(&text).map(|()| text));
    let must_match =
        table.checked("must_match", |text: String| check_expression(&text).map(|()| text));
    let map_file = table.checked("map_file", |path: PathBuf| match path.is_absolute() {
        true => Ok(path),
        false => Err("must be an absolute path"),
    });
    let scopes = table.each("scopes", |scope: String| ScopeSet::parse([&scope]).map(|_| scope));
    table.require("claim");
    if !table.has_one_of(["must_equal", "must_match", "map_file"]) {
        table.complain("claim", "needs one of must_equal, must_match and map_file".into());
        return None;
    }
    let expect = match (must_equal, must_match, map_file) {
        (Some(text), ..) => Expect::Equal(text),
        (_, Some(pattern), _) => Expect::Match(pattern),
        (.., Some(path)) => {
            if !path.exists() {
                let text =
                    format!("names {}, which is not there or cannot be reached", path.display());
                table.complain("map_file", text);
                return None;
            }
            let mut problems = Vec::new();
            let map = map(&path, &mut problems);
            table.complain_elsewhere(problems);
            Expect::Mapped(Arc::new(map?))
        }
        // What is there is wrong.
        (None, None, None) => return None,
    };
    let claim = claim?;
    let scopes = match scopes {
        Some(scopes) => ScopeSet::parse(scopes),
        None => ScopeSet::parse(scope_of(&claim)),
    };
    let scopes = scopes.map_err(|error| table.complain("scopes", error.to_string())).ok()?;
    // Without it there is no ID token (OpenID Connect Core 1.0 §3.1.2.1).
    Some(IdentityRule { claim, expect, scopes: scopes.with("openid") })
}

fn checked_claim(name: String) -> Result<String, &'static str> {
    let fits = name.chars().all(|c| c.is_ascii_graphic());
    if name.is_empty() || name.len() > 256 || !fits || name.split('.').any(str::is_empty) {
        return Err("must be a claim's name, or names with dots between them");
    }
    Ok(name)
}

/// Reads a map: a line is `VALUE -> USER`.
fn map(path: &Path, problems: &mut Vec<Problem>) -> Option<IdentityMap> {
    let bytes = match read(path) {
        Ok(bytes) => bytes,
        Err(what) => {
            problems.push(Problem::of_file(path, what));
            return None;
        }
    };
    let text = match String::from_utf8(bytes) {
        Ok(text) => text,
        Err(error) => {
            problems.push(Problem::of_bytes(path, &error, false));
            return None;
        }
    };
    let mut values: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    let mut wrong = 0;
    for (index, line) in text.lines().enumerate() {
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let problem = match pair(line) {
            Ok((value, user)) => {
                match values.entry(value.to_owned()).or_default().insert(user.to_owned()) {
                    true => continue,
                    false => "says again what a line above says",
                }
            }
            Err(what) => what,
        };
        problems.push(Problem::of_line(path, index + 1, problem));
        wrong += 1;
        if wrong == MOST_PROBLEMS {
            let text = "has more mistakes than are listed here";
            problems.push(Problem::of_file(path, text));
            break;
        }
    }
    (wrong == 0).then_some(IdentityMap(values))
}

fn pair(line: &str) -> Result<(&str, &str), &'static str> {
    if line.len() > LONGEST_LINE || line.chars().any(char::is_control) {
        return Err("is too long, or has control characters");
    }
    let (value, user) = line.rsplit_once(ARROW).ok_or("must be: VALUE -> USER")?;
    let (value, user) = (value.trim_end(), user.trim_start());
    if value.is_empty() || user.is_empty() || user.contains(char::is_whitespace) {
        return Err("must be: VALUE -> USER");
    }
    Ok((value, user))
}

/// The bytes of a map. Whoever can write it decides who is who: that is root, and nobody else.
fn read(path: &Path) -> Result<Vec<u8>, String> {
    let file = files::open(path).map_err(|error| files::cannot(&error))?;
    let directory = path.parent().unwrap_or(Path::new("/"));
    let bytes = files::content(&file, LONGEST_MAP)?;
    let about = fs::metadata(directory).map_err(|error| files::cannot(&error))?;
    files::only_roots(&about)
        .map_err(|what| format!("{what}: its directory {}", directory.display()))?;
    Ok(bytes)
}

#[cfg(test)]
#[path = "identity_tests.rs"]
mod tests;
