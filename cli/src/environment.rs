//! What a command may know about its surroundings, read once at the start and then passed on, so
//! that every decision can be tested with other surroundings.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};

use iamd_protocol::variables;
use secrecy::SecretString;
use zeroize::Zeroize;

use crate::commands::VARIABLES;
use crate::names;

/// The variables that iamctl reads.
const READ: &[&str] = &[
    variables::BEARER_TOKEN,
    variables::BEARER_TOKEN_FILE,
    variables::XDG_RUNTIME_DIR,
    variables::OIDC_SOCK,
    variables::IAMD_NO_LOGIN,
    variables::IAMD_BUS_ADDRESS,
    variables::NO_COLOR,
    "OIDC_CONFIG_DIR",
    "HOME",
    "SHELL",
    "TMPDIR",
    "TERM",
    "LC_ALL",
    "LC_CTYPE",
    "LANG",
];

/// Variables, user and file system.
#[derive(Debug, Clone)]
pub(crate) struct Environment {
    variables: BTreeMap<&'static str, OsString>,
    /// The effective uid, which is the one token discovery goes by.
    pub(crate) uid: u32,
    /// Where the file system begins; `/` but in tests.
    pub(crate) root: PathBuf,
}

impl Environment {
    /// That of this process.
    pub(crate) fn of_this_process() -> Self {
        let variables = READ
            .iter()
            .chain(&VARIABLES)
            .filter_map(|name| Some((*name, std::env::var_os(name)?)))
            .collect();
        Self { variables, uid: nix::unistd::geteuid().as_raw(), root: PathBuf::from("/") }
    }

    /// The variable, if it is set, be it empty.
    pub(crate) fn get(&self, name: &str) -> Option<&OsStr> {
        self.variables.get(name).map(OsString::as_os_str)
    }

    /// The variable, if it is set and not empty.
    pub(crate) fn non_empty(&self, name: &str) -> Option<&OsStr> {
        self.get(name).filter(|value| !value.is_empty())
    }

    /// `path` below the root of the file system.
    pub(crate) fn path(&self, path: impl AsRef<Path>) -> PathBuf {
        let path = path.as_ref();
        self.root.join(path.strip_prefix("/").unwrap_or(path))
    }

    /// Whether the locale's character set is UTF-8 (POSIX: `LC_ALL`, `LC_CTYPE`, `LANG`, the
    /// first that is not empty).
    pub(crate) fn is_utf8(&self) -> bool {
        ["LC_ALL", "LC_CTYPE", "LANG"].iter().find_map(|name| self.non_empty(name)).is_some_and(
            |value| {
                let value = value.to_string_lossy().to_ascii_lowercase();
                value.contains("utf-8") || value.contains("utf8")
            },
        )
    }

    /// Whether a terminal may be sent escape sequences for colours.
    pub(crate) fn allows_color(&self) -> bool {
        self.non_empty(variables::NO_COLOR).is_none() && !self.is_dumb()
    }

    /// Whether the terminal can do nothing but print lines.
    pub(crate) fn is_dumb(&self) -> bool {
        self.non_empty("TERM").is_none_or(|term| term == "dumb")
    }

    /// The user's name, or the uid where it has none.
    pub(crate) fn user_name(&self) -> String {
        names::user(self.uid).map_or_else(|| self.uid.to_string(), |user| user.name)
    }

    /// The name of this node.
    pub(crate) fn host_name(&self) -> String {
        let name = nix::sys::utsname::uname();
        name.map_or_else(
            |_| "this node".to_owned(),
            |name| name.nodename().to_string_lossy().into(),
        )
    }

    /// Surroundings for a test.
    #[cfg(test)]
    pub(crate) fn for_test(variables: &[(&'static str, &str)], root: &Path) -> Self {
        let variables = variables.iter().map(|(name, value)| (*name, value.into())).collect();
        Self { variables, uid: nix::unistd::geteuid().as_raw(), root: root.to_owned() }
    }
}

/// A secret that the user has in the environment; it is read when it is needed, and kept nowhere.
pub(crate) fn secret(name: &str) -> Option<SecretString> {
    let mut value = std::env::var(name).ok()?;
    let secret = value.trim();
    let secret = (!secret.is_empty()).then(|| SecretString::from(secret));
    value.zeroize();
    secret
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_locale_variable_that_is_not_empty_decides() {
        let utf8 = |variables: &[(&'static str, &str)]| {
            Environment::for_test(variables, Path::new("/")).is_utf8()
        };
        assert!(utf8(&[("LANG", "en_US.UTF-8")]));
        assert!(utf8(&[("LC_ALL", ""), ("LANG", "C.utf8")]));
        assert!(!utf8(&[("LC_ALL", "C"), ("LANG", "en_US.UTF-8")]));
        assert!(!utf8(&[("LC_CTYPE", "POSIX"), ("LANG", "en_US.UTF-8")]));
        assert!(!utf8(&[]));
    }

    #[test]
    fn no_color_counts_only_when_it_is_not_empty() {
        let color = |variables: &[(&'static str, &str)]| {
            Environment::for_test(variables, Path::new("/")).allows_color()
        };
        assert!(color(&[("TERM", "xterm")]));
        assert!(color(&[("TERM", "xterm"), ("NO_COLOR", "")]));
        assert!(!color(&[("TERM", "xterm"), ("NO_COLOR", "1")]));
        assert!(!color(&[("TERM", "dumb")]));
        assert!(!color(&[]));
    }
}
