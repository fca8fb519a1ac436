//! The rules of the house, read from the source: who may know whom, and how a file looks.
//!
//! A new import that fails here is either a mistake or a change of the design: then change
//! [`MAY_KNOW`] with it, and "Who may know whom" in ARCHITECTURE.md.
#![allow(clippy::unwrap_used, reason = "a test")]

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
};

/// Below this, everybody may know: what an account is, time and randomness, and the macro that is
/// nothing but in a build for tests.
const GROUND: [&str; 3] = ["account", "clock", "fault_point"];

/// What the ground itself may know.
const GROUND_OF_ITS_OWN: [&str; 2] = ["account", "fault_points"];

/// Each module of the daemon and whom else of the house it may know, beside [`GROUND`].
const MAY_KNOW: [(&str, &[&str]); 20] = [
    ("account", &[]),
    ("audit", &[]),
    ("clock", &[]),
    ("config", &[]),
    ("fault_points", &[]),
    ("issuer", &[]),
    ("login", &[]),
    // What the site decided is what policy decides on.
    ("policy", &["config"]),
    ("seal", &[]),
    ("session", &[]),
    ("store", &[]),
    ("token", &[]),
    ("token_file", &[]),
    ("users", &[]),
    (
        "service",
        &[
            "audit",
            "config",
            "login",
            "policy",
            "seal",
            "session",
            "store",
            "token",
            "token_file",
            "users",
        ],
    ),
    // The peer of the PAM socket is a session's process: see `an_edge_knows_nobody_but_…`.
    ("edge", &["service", "session"]),
    (
        "startup",
        &[
            "audit",
            "config",
            "edge",
            "issuer",
            "login",
            "policy",
            "service",
            "session",
            "token",
            "token_file",
            "users",
        ],
    ),
    ("main", &["config", "startup"]),
    ("lib", &[]),
    ("testing", &[]),
];

/// The longest file; the aim is 300 lines.
const LONGEST: usize = 500;

struct Source {
    /// Relative to the repository.
    path: String,
    text: String,
}

impl Source {
    fn is_test(&self) -> bool {
        let parts: Vec<&str> = self.path.split('/').collect();
        let file = parts.last().copied().unwrap_or_default();
        parts.contains(&"tests")
            || file.ends_with("tests.rs")
            || parts.contains(&"testing")
            || ["testing.rs", "conformance.rs", "fuzzing.rs"].contains(&file)
    }

    /// The module of the daemon it is part of.
    fn module(&self) -> &str {
        let inner = self.path.strip_prefix("daemon/src/").unwrap_or(&self.path);
        inner.split('/').next().unwrap_or_default().trim_end_matches(".rs")
    }

    /// What the compiler sees outside of tests.
    fn product(&self) -> String {
        let code = code(&self.text);
        // By the order of our files, tests come last.
        match code.find("#[cfg(test)]\nmod tests {") {
            Some(at) => code[..at].to_owned(),
            None => code,
        }
    }
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

fn sources(below: &[&str]) -> Vec<Source> {
    let mut found = Vec::new();
    let mut open: Vec<PathBuf> = below.iter().map(PathBuf::from).collect();
    while let Some(directory) = open.pop() {
        for entry in fs::read_dir(root().join(&directory)).unwrap() {
            let entry = entry.unwrap();
            let path = directory.join(entry.file_name());
            if entry.file_type().unwrap().is_dir() {
                open.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let text = fs::read_to_string(root().join(&path)).unwrap();
                found.push(Source { path: path.to_str().unwrap().to_owned(), text });
            }
        }
    }
    assert!(found.len() > 5, "no sources below {below:?}");
    found.sort_by(|a, b| a.path.cmp(&b.path));
    found
}

fn whole_house() -> Vec<Source> {
    sources(&["protocol/src", "pam_module", "daemon/src", "daemon/tests", "cli", "tests/src"])
}

/// The text without comments and without what stands in strings and character literals.
fn code(text: &str) -> String {
    let bytes: Vec<char> = text.chars().collect();
    let mut code = String::with_capacity(text.len());
    let mut at = 0;
    let is = |at: usize, what: &str| {
        what.chars().enumerate().all(|(i, c)| bytes.get(at + i) == Some(&c))
    };
    while at < bytes.len() {
        if is(at, "//") {
            while at < bytes.len() && bytes[at] != '\n' {
                at += 1;
            }
        } else if is(at, "/*") {
            while at < bytes.len() && !is(at, "*/") {
                at += 1;
            }
            at += 2;
        } else if let Some(hashes) = raw_string(&bytes, at) {
            let end = format!("\"{}", "#".repeat(hashes));
            at += hashes + 2;
            while at < bytes.len() && !is(at, &end) {
                at += 1;
            }
            at += end.len();
            code.push_str("\"\"");
        } else if bytes[at] == '"' {
            at += 1;
            while at < bytes.len() && bytes[at] != '"' {
                at += if bytes[at] == '\\' { 2 } else { 1 };
            }
            at += 1;
            code.push_str("\"\"");
        } else if is(at, "'\\") || (bytes[at] == '\'' && bytes.get(at + 2) == Some(&'\'')) {
            at += if bytes[at + 1] == '\\' { 3 } else { 2 };
            while at < bytes.len() && bytes[at] != '\'' {
                at += 1;
            }
            at += 1;
            code.push_str("' '");
        } else {
            code.push(bytes[at]);
            at += 1;
        }
    }
    code
}

/// How many `#` a raw string that begins here has.
fn raw_string(bytes: &[char], at: usize) -> Option<usize> {
    let before = at.checked_sub(1).and_then(|before| bytes.get(before));
    let in_word = before.is_some_and(|c| c.is_alphanumeric() || *c == '_') && before != Some(&'b');
    if bytes[at] != 'r' || in_word {
        return None;
    }
    let hashes = bytes[at + 1..].iter().take_while(|c| **c == '#').count();
    (bytes.get(at + 1 + hashes) == Some(&'"')).then_some(hashes)
}

/// Every path below `crate::`, trees of `use` spelt out.
fn paths_of(code: &str) -> BTreeSet<String> {
    let mut paths = BTreeSet::new();
    for (at, _) in code.match_indices("crate::") {
        if !code[..at].ends_with(|c: char| c.is_alphanumeric() || c == '_') {
            spell_out("", &code[at + "crate::".len()..], &mut paths);
        }
    }
    paths
}

/// Reads one path or tree of paths and gives where it ends.
fn spell_out(prefix: &str, text: &str, paths: &mut BTreeSet<String>) -> usize {
    let word = |text: &str| text.find(|c: char| !c.is_alphanumeric() && c != '_' && c != '*');
    let skip = text.len() - text.trim_start().len();
    let rest = &text[skip..];
    if let Some(inner) = rest.strip_prefix('{') {
        let mut at = 0;
        loop {
            at += inner[at..].find(|c: char| !c.is_whitespace() && c != ',').unwrap_or(0);
            if inner[at..].is_empty() || inner[at..].starts_with('}') {
                return skip + at + 2;
            }
            at += spell_out(prefix, &inner[at..], paths).max(1);
        }
    }
    let end = word(rest).unwrap_or(rest.len());
    let path = format!("{prefix}{}", &rest[..end]);
    if let Some(deeper) = rest[end..].strip_prefix("::")
        && deeper.starts_with(|c: char| c.is_alphabetic() || c == '{' || c == '*' || c == '_')
    {
        return skip + end + 2 + spell_out(&format!("{path}::"), deeper, paths);
    }
    paths.insert(path);
    let renamed = rest[end..].strip_prefix(" as ").and_then(|rest| Some(4 + word(rest)?));
    skip + end + renamed.unwrap_or_default()
}

fn complain(problems: &[String]) {
    assert!(problems.is_empty(), "\n{}\n", problems.join("\n"));
}

#[test]
fn what_this_test_reads_of_a_source_is_what_stands_there() {
    let text = "use crate::{a::{B, c::D as _}, e};\n// crate::comment\nlet s = \"crate::string\";\n\
                let r = r#\"crate::\"raw\"#; let c = '\"'; fn f<'a>(x: &'a crate::g::H) {}\n\
                /* crate::block */ $crate::i::j(); other_crate::no();";
    let paths: Vec<String> = paths_of(&code(text)).into_iter().collect();
    assert_eq!(paths, ["a::B", "a::c::D", "e", "g::H", "i::j"]);
}

#[test]
fn a_room_knows_the_ground_and_nobody_knows_upward() {
    let table: BTreeMap<&str, &[&str]> = MAY_KNOW.into_iter().collect();
    let mut problems = Vec::new();
    for source in sources(&["daemon/src"]).iter().filter(|source| !source.is_test()) {
        let module = source.module();
        let Some(allowed) = table.get(module) else {
            problems.push(format!("{}: a module that MAY_KNOW does not list", source.path));
            continue;
        };
        let ground =
            if module == "clock" || module == "account" { &GROUND_OF_ITS_OWN[..] } else { &GROUND };
        for path in paths_of(&source.product()) {
            let other = path.split("::").next().unwrap_or_default();
            if other != module && !ground.contains(&other) && !allowed.contains(&other) {
                problems.push(format!("{}: {module} must not know crate::{path}", source.path));
            }
        }
    }
    complain(&problems);
}

#[test]
fn no_import_runs_in_a_circle() {
    let table: BTreeMap<&str, &[&str]> = MAY_KNOW.into_iter().collect();
    for from in table.keys() {
        let mut seen = BTreeSet::new();
        let mut open: Vec<&str> = table[from].to_vec();
        while let Some(next) = open.pop() {
            assert_ne!(next, *from, "{from} knows itself by way of others");
            if seen.insert(next) {
                open.extend(table.get(next).copied().unwrap_or_default());
            }
        }
    }
}

#[test]
fn a_module_is_not_reached_around_the_table_by_super() {
    let mut problems = Vec::new();
    for source in sources(&["daemon/src"]).iter().filter(|source| !source.is_test()) {
        let inner = source.path.trim_start_matches("daemon/src/").trim_end_matches(".rs");
        let depth = inner.trim_end_matches("/mod").split('/').count();
        if source.product().contains(&"super::".repeat(depth)) {
            problems.push(format!("{}: super:: up to the root; say crate::", source.path));
        }
    }
    complain(&problems);
}

#[test]
fn an_edge_knows_nobody_but_the_service_and_the_peer_of_a_socket() {
    let mut problems = Vec::new();
    for source in sources(&["daemon/src/edge"]).iter().filter(|source| !source.is_test()) {
        for path in paths_of(&source.product()) {
            let fits = path.starts_with("service::")
                || path == "clock::Clock"
                // oidc-agent's clients want a key pair for each connection.
                || (source.path.contains("edge/agent_socket/") && path == "clock::Random")
                || (source.path.ends_with("pam_socket.rs") && path == "session::Peer")
                || (source.path.ends_with("pam_socket/mod.rs") && path == "session::Peer");
            if !fits || path.starts_with("service::vault") {
                problems.push(format!("{}: an edge must not know crate::{path}", source.path));
            }
        }
    }
    complain(&problems);
}

#[test]
fn only_the_vault_knows_store_and_seal() {
    let mut problems = Vec::new();
    let of_service = sources(&["daemon/src/service"]);
    for source in of_service.iter().filter(|source| !source.is_test()) {
        for path in paths_of(&source.product()) {
            let sealed = path.starts_with("store::") || path.starts_with("seal::");
            if sealed && !source.path.contains("/vault/") {
                problems.push(format!("{}: crate::{path}", source.path));
            }
        }
    }
    complain(&problems);
}

#[test]
fn a_file_is_read_in_one_sitting_and_begins_with_why_it_exists() {
    let mut problems = Vec::new();
    for Source { path, text } in &whole_house() {
        let lines = text.lines().count();
        if lines > LONGEST {
            problems.push(format!("{path}: {lines} lines"));
        }
        if !text.starts_with("//! ") {
            problems.push(format!("{path}: the first line is no //! comment"));
        }
    }
    complain(&problems);
}

#[test]
fn daemon_client_and_protocol_have_nothing_unsafe() {
    let mut problems = Vec::new();
    for source in sources(&["daemon", "cli", "protocol/src"]) {
        let code = code(&source.text);
        let mut words = code.split(|c: char| !c.is_alphanumeric() && c != '_');
        if words.any(|word| word == concat!("un", "safe")) {
            problems.push(source.path);
        }
    }
    complain(&problems);
}

#[test]
fn no_test_is_left_out_by_an_attribute() {
    let mut problems = Vec::new();
    for source in whole_house() {
        if code(&source.text).contains(concat!("#[", "ignore")) {
            problems.push(source.path);
        }
    }
    complain(&problems);
}

#[test]
fn nothing_of_ours_aborts_instead_of_unwinding() {
    let manifest = fs::read_to_string(root().join("Cargo.toml")).unwrap();
    let set = manifest.lines().filter(|line| !line.starts_with('#'));
    assert!(set.clone().any(|line| line == "panic = \"unwind\""));
    assert!(!set.clone().any(|line| line.starts_with("panic") && line.contains("abort")));
}
