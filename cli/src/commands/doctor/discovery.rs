//! The places where the WLCG bearer token discovery looks, in its order.

use std::os::unix::ffi::OsStrExt;
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
