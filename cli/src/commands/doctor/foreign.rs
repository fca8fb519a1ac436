//! Is something that is not ours at a place where readers look? It may be a token that another
//! program left (rucio#8526): nobody renews it, and it hides ours.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use iamd_protocol::bus::Finding;
use iamd_protocol::paths;
use iamd_protocol::variables::{BEARER_TOKEN_FILE, XDG_RUNTIME_DIR};

use super::discovery::{our_file, way_past};
use super::{WARNING, finding};
use crate::environment::Environment;

/// Looks at the places of the discovery that are paths.
pub(super) fn look(environment: &Environment) -> Vec<Finding> {
    let name = paths::token_file_name(environment.uid, None);
    let link =
        environment.non_empty(XDG_RUNTIME_DIR).map(|directory| Path::new(directory).join(&name));
    let mut findings = Vec::new();
    for path in link.into_iter().chain([Path::new("/tmp").join(&name)]) {
        if stands(environment, &path) && !is_ours(environment, &path) {
            findings.push(finding(
                "token path",
                WARNING,
                format!("{} is not iamd's: nobody renews it", path.display()),
                way_past(environment, &path)
                    .unwrap_or_else(|| format!("If you do not need it:  rm {}", path.display())),
            ));
        }
    }
    if let Some(path) = environment.non_empty(BEARER_TOKEN_FILE).map(PathBuf::from) {
        let directory = paths::user_dir(paths::USERS_DIR, environment.uid);
        let ours = path.starts_with(directory) || is_ours(environment, &path);
        if !ours {
            findings.push(finding(
                BEARER_TOKEN_FILE,
                WARNING,
                format!("was set to {}, which iamd does not renew", path.display()),
                format!(
                    "To go back:  export {BEARER_TOKEN_FILE}={}",
                    our_file(environment).display()
                ),
            ));
        }
    }
    findings
}

fn stands(environment: &Environment, path: &Path) -> bool {
    fs::symlink_metadata(environment.path(path)).is_ok()
}

/// A link to our file, be it there or not, or the file itself.
fn is_ours(environment: &Environment, path: &Path) -> bool {
    let ours = our_file(environment);
    if fs::read_link(environment.path(path)).is_ok_and(|target| target == ours) {
        return true;
    }
    let identity = |path: &Path| {
        fs::metadata(environment.path(path)).ok().map(|file| (file.dev(), file.ino()))
    };
    identity(path).is_some() && identity(path) == identity(&ours)
}

#[cfg(test)]
mod tests {
    use super::*;

    const XDG: (&str, &str) = (XDG_RUNTIME_DIR, "/run/user/7");

    /// What is said of a file system that `make` makes, for a user with these variables.
    fn said(variables: &[(&'static str, &str)], make: impl Fn(&Path, u32)) -> Vec<String> {
        let root = tempfile::tempdir().unwrap();
        let environment = Environment::for_test(variables, root.path());
        for directory in ["run/user/7", "tmp"] {
            fs::create_dir_all(root.path().join(directory)).unwrap();
        }
        make(root.path(), environment.uid);
        let findings = look(&environment);
        assert!(findings.iter().all(|found| found.level == WARNING && !found.advice.is_empty()));
        findings.into_iter().map(|found| format!("{}: {}", found.name, found.text)).collect()
    }

    #[test]
    fn a_link_to_our_file_and_an_empty_place_are_no_findings() {
        let link = |root: &Path, uid: u32| {
            let ours = format!("/run/iamd/users/{uid}/bt_u{uid}");
            let link = root.join(format!("run/user/7/bt_u{uid}"));
            std::os::unix::fs::symlink(ours, link).unwrap();
        };
        assert_eq!(said(&[XDG], link), [""; 0]);
        assert_eq!(said(&[XDG], |_, _| {}), [""; 0]);
    }

    #[test]
    fn what_others_left_at_a_token_path_is_told() {
        let uid = nix::unistd::geteuid();
        let leave = |root: &Path, uid: u32| {
            fs::write(root.join(format!("run/user/7/bt_u{uid}")), "a").unwrap();
            // A link that leads nowhere is in the way as well.
            let link = root.join(format!("tmp/bt_u{uid}"));
            std::os::unix::fs::symlink("/nowhere", link).unwrap();
        };
        assert_eq!(
            said(&[XDG], leave),
            [
                format!("token path: /run/user/7/bt_u{uid} is not iamd's: nobody renews it"),
                format!("token path: /tmp/bt_u{uid} is not iamd's: nobody renews it"),
            ]
        );
    }

    #[test]
    fn what_another_user_left_is_gone_past_and_not_removed() {
        let root = tempfile::tempdir().unwrap();
        let uid = nix::unistd::geteuid().as_raw() + 1;
        let left = root.path().join(format!("tmp/bt_u{uid}"));
        fs::create_dir_all(root.path().join("tmp")).unwrap();
        fs::write(left, "a").unwrap();
        let ours = format!("/run/iamd/users/{uid}/bt_u{uid}");
        let advice = |variables: &[(&'static str, &str)]| {
            let mut environment = Environment::for_test(variables, root.path());
            environment.uid = uid;
            look(&environment).remove(0).advice
        };
        let removal = format!("owner, or administrators:  rm /tmp/bt_u{uid}");
        assert_eq!(advice(&[]), format!("export BEARER_TOKEN_FILE={ours}; its {removal}"));
        assert_eq!(advice(&[(BEARER_TOKEN_FILE, &ours)]), format!("Its {removal}"));
    }

    #[test]
    fn a_variable_that_was_set_by_hand_is_told_and_one_that_names_our_directory_is_not() {
        let by_hand = said(&[(BEARER_TOKEN_FILE, "/home/me/token")], |_, _| {});
        assert_eq!(
            by_hand,
            ["BEARER_TOKEN_FILE: was set to /home/me/token, which iamd does not renew"]
        );
        let uid = nix::unistd::geteuid();
        let other = format!("/run/iamd/users/{uid}/bt_u{uid}-cms");
        assert_eq!(said(&[(BEARER_TOKEN_FILE, &other)], |_, _| {}), [""; 0]);
    }
}
