//! Does this user see the token files that iamd writes? What users have is a read-only view of them,
//! by a mount of its own: an earlier version's, or none, shows something else, or lets users write
//! where everybody's token files are.

use std::io::ErrorKind;
use std::path::Path;

use iamd_protocol::bus::Finding;
use iamd_protocol::paths::USERS_DIR;
use nix::sys::statvfs::{FsFlags, statvfs};

use super::{OK, PROBLEM, finding};
use crate::environment::Environment;

const NAME: &str = "token files";
const ADVICE: &str =
    "Administrators: systemctl stop iamd run-iamd-users.mount && systemctl start iamd";

/// Looks for what the daemon says it wrote, and at the place itself.
pub(super) fn look(environment: &Environment, daemon: &[Finding]) -> Option<Finding> {
    let is_read_only = |path: &Path| {
        statvfs(path).map(|found| found.flags().contains(FsFlags::ST_RDONLY)).unwrap_or(true)
    };
    look_at(environment, daemon, is_read_only)
}

pub(super) fn look_at(
    environment: &Environment,
    daemon: &[Finding],
    is_read_only: impl Fn(&Path) -> bool,
) -> Option<Finding> {
    let place = environment.path(Path::new(USERS_DIR));
    if !place.exists() {
        return None;
    }
    let is_missing = |path: &str| {
        let found = std::fs::symlink_metadata(environment.path(Path::new(path)));
        found.is_err_and(|error| error.kind() == ErrorKind::NotFound)
    };
    // As the daemon's own finding has it: the path of a file that it wrote and knows to be there.
    let written = daemon.iter().filter(|found| found.name == "token file" && found.level == OK);
    let lost = written.map(|found| found.text.as_str()).find(|path| is_missing(path));
    if let Some(path) = lost {
        return Some(finding(
            NAME,
            PROBLEM,
            format!(
                "iamd wrote {path}, and it is not there: what users see at {USERS_DIR} is not where iamd writes"
            ),
            ADVICE,
        ));
    }
    (!is_read_only(&place)).then(|| {
        finding(
            NAME,
            PROBLEM,
            format!(
                "{USERS_DIR} is not the read-only view that run-iamd-users.mount makes: users can write there, and may not see the token files that iamd writes"
            ),
            ADVICE,
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_view_that_shows_what_was_written_and_cannot_be_written_to_is_no_finding() {
        let root = tempfile::tempdir().unwrap();
        let environment = Environment::for_test(&[], root.path());
        let wrote = |path: &str| vec![finding("token file", OK, path, "")];
        let file = format!("{USERS_DIR}/7/bt_u7");
        // No iamd here.
        assert_eq!(look_at(&environment, &wrote(&file), |_| false), None);
        let at = environment.path(Path::new(&file));
        std::fs::create_dir_all(at.parent().unwrap()).unwrap();
        std::fs::write(&at, "token").unwrap();
        assert_eq!(look_at(&environment, &wrote(&file), |_| true), None);
        let writable = look_at(&environment, &wrote(&file), |_| false).unwrap();
        assert!(writable.level == PROBLEM && writable.text.contains("users can write there"));
        let other = look_at(&environment, &wrote(&format!("{file}-cms")), |_| true).unwrap();
        assert!(other.level == PROBLEM && other.text.contains("bt_u7-cms"), "{other:?}");
        // A daemon that has a problem with the file says so itself.
        let told = [finding("token file", PROBLEM, "a directory stands there", "")];
        assert_eq!(look_at(&environment, &told, |_| true), None);
    }
}
