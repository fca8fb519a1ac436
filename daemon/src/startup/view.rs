//! Whether users see the token files that iamd writes. They have a read-only view of them, which is
//! another mount than the one that iamd has at the same place; one that an earlier version left, or
//! none, shows them something else.

use iamd_protocol::paths::USERS_DIR;

/// The way out, whatever is there instead.
const WAY_OUT: &str = "systemctl stop iamd run-iamd-users.mount && systemctl start iamd";

/// What is wrong, from this process's own `mountinfo` (proc(5)): the node's mounts are in it below
/// those that systemd made for the unit. Nothing is said where there are none, as without the unit.
pub(super) fn fault(mountinfo: &str) -> Option<String> {
    // Device and root: the same two are the same directory.
    let places: Vec<(&str, &str)> = mountinfo
        .lines()
        .filter_map(|line| {
            let mut fields = line.split(' ').skip(2);
            let place = (fields.next()?, fields.next()?);
            (fields.next()? == USERS_DIR).then_some(place)
        })
        .collect();
    let what = match places[..] {
        [] => return None,
        [_] => "the view of the token files that users have is not mounted",
        [first, ref more @ ..] if more.iter().any(|place| *place != first) => {
            "users see other token files than those that iamd writes: what is mounted is an earlier version's"
        }
        _ => return None,
    };
    Some(format!("{USERS_DIR}: {what}; to mend it:  {WAY_OUT}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::no_file;

    const RUN: &str = "25 1 0:23 / /run rw,nosuid shared:5 - tmpfs tmpfs rw";

    fn fault_of(lines: &[&str]) -> Option<String> {
        fault(&[&[RUN], lines].concat().join("\n"))
    }

    #[test]
    fn what_users_see_and_what_is_written_are_one_directory() {
        let files = "80 25 0:57 / /run/iamd/files/users rw,nosuid - tmpfs tmpfs rw,size=131072k";
        let view = "81 25 0:57 / /run/iamd/users ro,nosuid - tmpfs tmpfs rw,size=131072k";
        let ours = "300 81 0:57 / /run/iamd/users rw,nosuid - tmpfs tmpfs rw,size=131072k";
        assert_eq!(fault_of(&[files, view, ours]), None);
        // Where the file system could not be mounted: a directory on /run.
        let view = "81 25 0:23 /iamd/files/users /run/iamd/users ro,nosuid - tmpfs tmpfs rw";
        let ours = "300 81 0:23 /iamd/files/users /run/iamd/users rw,nosuid - tmpfs tmpfs rw";
        assert_eq!(fault_of(&[view, ours]), None);
        // No unit of systemd's: a test, a container.
        assert_eq!(fault_of(&[]), None);
    }

    #[test]
    fn a_view_of_an_earlier_version_or_none_is_told_with_the_way_out() {
        let earlier = "81 25 0:60 / /run/iamd/users rw,nosuid - tmpfs tmpfs rw,size=65536k";
        let ours = "300 81 0:57 / /run/iamd/users rw,nosuid - tmpfs tmpfs rw,size=131072k";
        let told = fault_of(&[earlier, ours]).unwrap();
        assert!(told.contains("an earlier version's") && told.ends_with(WAY_OUT), "{told}");
        no_file("at the start: users have the file system of an earlier version", &told);
        let on_run = "300 25 0:23 /iamd/files/users /run/iamd/users rw,nosuid - tmpfs tmpfs rw";
        let told = fault_of(&[on_run]).unwrap();
        assert!(told.contains("is not mounted"), "{told}");
        no_file("at the start: the view that users have is not there", &told);
        assert!(fault_of(&[earlier]).is_some(), "the earlier unit had no place of iamd's own");
    }
}
