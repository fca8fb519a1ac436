//! Whatever is given as an account's name: a token file's name never leads out of its directory,
//! and is never one that iamd uses for itself.

use std::path::{Component, Path};

use iamd_protocol::paths::token_file_name;

use super::dir;
use crate::account::AccountName;

/// Names of accounts, files and rows.
pub fn names(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    if dir::is_temporary(text) {
        assert!(text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b".-".contains(&byte)));
    }
    let Ok(name) = text.parse::<AccountName>() else { return };
    assert_eq!(name.as_str(), text);
    let file = token_file_name(4_294_967_295, Some(name.as_str()));
    let mut parts = Path::new(&file).components();
    assert!(matches!(parts.next(), Some(Component::Normal(only)) if only == file.as_str()));
    assert!(parts.next().is_none() && !dir::is_temporary(&file) && file.len() <= 255);
}
