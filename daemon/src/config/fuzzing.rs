//! Whatever stands in a file of the configuration: read without a panic, and every mistake is a
//! line that a terminal can show.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use super::{ConfigError, Sources, file, issuers, reader};

/// A text as `iamd.toml`, rules included, and as a file of `issuers.d`.
pub fn configuration(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let nowhere = PathBuf::from("/nonexistent");
    let sources = Sources {
        file: nowhere.join("iamd.toml"),
        issuers: nowhere.clone(),
        shipped_issuers: nowhere.clone(),
        policy: nowhere,
    };
    let mut problems = Vec::new();
    let known = BTreeMap::from([("wlcg".to_owned(), None)]);
    drop(file::build(&sources, text, known, &mut problems));
    let path = Path::new("/nonexistent/wlcg.toml");
    drop(reader::read(path, text, &mut problems, |file| issuers::profile(file, "wlcg")));
    for problem in &problems {
        assert!(!problem.text.is_empty() && problem.line.is_none_or(|line| line > 0));
    }
    let shown = ConfigError(problems).to_string();
    assert!(!shown.chars().any(|c| c.is_control() && c != '\n'), "{shown:?}");
}
