//! The places where the WLCG bearer token discovery looks, in its order.

use std::fs::{self, Metadata};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use iamd_protocol::paths;
use iamd_protocol::variables::{BEARER_TOKEN, BEARER_TOKEN_FILE, XDG_RUNTIME_DIR};

use super::token_file::{self, State};
use crate::environment::Environment;

/// A place.
#[derive(Debug)]
pub(super) struct Place {
    /// As people know it: the variable, or the path.
    pub(super) name: String,
    /// The path of the file; none for `BEARER_TOKEN`.
    pub(super) path: Option<PathBuf>,
    /// What is there.
    pub(super) state: State,
}

impl Place {
    /// Whether readers stop here (rule: an empty place is passed over, an unreadable one is not).
    pub(super) fn stops(&self) -> bool {
        !matches!(self.state, State::Missing | State::Empty)
    }

    /// For people: the variable, and the file behind it.
    pub(super) fn describe(&self) -> String {
        match &self.path {
            Some(path) if self.name != path.to_string_lossy() => {
                format!("{} through {}", path.display(), self.name)
            }
            _ => self.name.clone(),
        }
    }
}

/// The places, in the order in which they are looked at.
pub(super) fn places(environment: &Environment) -> Vec<Place> {
    let mut places = Vec::new();
    if let Some(value) = environment.get(BEARER_TOKEN) {
        let state = token_file::in_variable(value.as_bytes());
        places.push(Place { name: BEARER_TOKEN.to_owned(), path: None, state });
    }
    let mut add = |name: Option<&str>, path: PathBuf| {
        let state = token_file::in_file(&environment.path(&path));
        let name = name.map_or_else(|| path.to_string_lossy().into_owned(), str::to_owned);
        places.push(Place { name, path: Some(path), state });
    };
    if let Some(path) = environment.non_empty(BEARER_TOKEN_FILE) {
        add(Some(BEARER_TOKEN_FILE), PathBuf::from(path));
    }
    let file = paths::token_file_name(environment.uid, None);
    if let Some(directory) = environment.non_empty(XDG_RUNTIME_DIR) {
        add(Some(XDG_RUNTIME_DIR), Path::new(directory).join(&file));
    }
    add(None, Path::new("/tmp").join(&file));
    places
}

/// The file that iamd writes for the default account.
pub(super) fn our_file(environment: &Environment) -> PathBuf {
    Path::new(&paths::user_dir(paths::USERS_DIR, environment.uid))
        .join(paths::token_file_name(environment.uid, None))
}

/// Whether what is at the path is another user's: the link, or what it leads to.
pub(super) fn is_of_another(environment: &Environment, path: &Path) -> bool {
    let path = environment.path(path);
    let of_another =
        |found: std::io::Result<Metadata>| found.is_ok_and(|found| found.uid() != environment.uid);
    of_another(fs::symlink_metadata(&path)) || of_another(fs::metadata(&path))
}

/// What to do about a path where the user cannot remove what stands there: it is another user's, in a
/// directory that is not the user's own either, such as /tmp with its sticky bit.
pub(super) fn way_past(environment: &Environment, path: &Path) -> Option<String> {
    let is_own = |found: std::io::Result<Metadata>| {
        found.map_or(true, |found| found.uid() == environment.uid)
    };
    let at = environment.path(path);
    if environment.uid == 0
        || is_own(fs::symlink_metadata(&at))
        || at.parent().is_none_or(|directory| is_own(fs::metadata(directory)))
    {
        return None;
    }
    let ours = our_file(environment);
    let is_set =
        environment.non_empty(BEARER_TOKEN_FILE).is_some_and(|path| path == ours.as_os_str());
    let removal = format!("its owner, or administrators:  rm {}", path.display());
    Some(if is_set {
        removal.replacen("its", "Its", 1)
    } else {
        format!("export {BEARER_TOKEN_FILE}={}; {removal}", ours.display())
    })
}
