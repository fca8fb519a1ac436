//! `[identity]` of an issuer's file: which claim has to name the local user, and how; and the map
//! file that it may point at, read with the rest of the configuration.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs::{self, OpenOptions},
    io::{self, Read as _},
    os::unix::fs::{MetadataExt as _, OpenOptionsExt as _},
    path::{Path, PathBuf},
    sync::Arc,
};

use super::{Problem, reader::Table};
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
    let text = match read(path) {
        Ok(text) => text,
        Err(what) => {
            problems.push(Problem::of_file(path, what));
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

/// The text of a map. Whoever can write it decides who is who: that is root, and nobody else.
fn read(path: &Path) -> Result<String, String> {
    let io = |error: io::Error| format!("cannot be read: {error}");
    // A pipe in its place must not hold the daemon.
    let nonblock = nix::fcntl::OFlag::O_NONBLOCK.bits();
    let file = OpenOptions::new().read(true).custom_flags(nonblock).open(path).map_err(io)?;
    let about = file.metadata().map_err(io)?;
    if !about.is_file() {
        return Err("is not a file".into());
    }
    only_roots(&about)?;
    let directory = path.parent().unwrap_or(Path::new("/"));
    only_roots(&fs::metadata(directory).map_err(io)?)
        .map_err(|what| format!("{what}: its directory {}", directory.display()))?;
    if about.len() > LONGEST_MAP {
        return Err(format!("is longer than {} MiB", LONGEST_MAP >> 20));
    }
    let mut text = String::new();
    file.take(LONGEST_MAP).read_to_string(&mut text).map_err(io)?;
    Ok(text)
}

pub(super) fn only_roots(about: &fs::Metadata) -> Result<(), String> {
    let owner = about.uid();
    if owner != 0 && owner != nix::unistd::geteuid().as_raw() {
        return Err("belongs to somebody else than root (chown root)".into());
    }
    if about.mode() & 0o022 != 0 {
        return Err("can be written by others than its owner (chmod go-w)".into());
    }
    Ok(())
}

#[cfg(test)]
#[path = "identity_tests.rs"]
mod tests;
