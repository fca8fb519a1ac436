//! Users and groups as the name service knows them, asked by getent(1).
//!
//! Not by the C library: `iamctl` as it is shipped is linked statically, for a program that runs for a
//! millisecond should not spend it on being put together. A library that is linked in would load the
//! name service's modules (sss, ldap), which fit the machine's own C library and no other.

use std::process::{Command, Stdio};

/// A user.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct User {
    /// The login name.
    pub(crate) name: String,
    /// The number.
    pub(crate) uid: u32,
    /// The primary group's number.
    pub(crate) gid: u32,
}

/// A group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Group {
    /// The name.
    pub(crate) name: String,
    /// The number.
    pub(crate) gid: u32,
    /// Who is in it besides those whose primary group it is.
    pub(crate) members: Vec<String>,
}

/// The user with this uid; `None` where there is none or it cannot be told.
pub(crate) fn user(uid: u32) -> Option<User> {
    read_user(&ask("passwd", &uid.to_string())?).filter(|user| user.uid == uid)
}

/// The user of this name, likewise.
pub(crate) fn user_named(name: &str) -> Option<User> {
    read_user(&ask("passwd", name)?).filter(|user| user.name == name)
}

/// The group with this gid, likewise.
pub(crate) fn group(gid: u32) -> Option<Group> {
    read_group(&ask("group", &gid.to_string())?).filter(|group| group.gid == gid)
}

/// The one line that getent has of `key`.
fn ask(database: &str, key: &str) -> Option<String> {
    let mut getent = Command::new("getent");
    getent.arg("--").args([database, key]).stdin(Stdio::null()).stderr(Stdio::null());
    let said = getent.output().ok().filter(|said| said.status.success())?;
    String::from_utf8_lossy(&said.stdout).lines().next().map(str::to_owned)
}

/// A line of passwd(5).
fn read_user(line: &str) -> Option<User> {
    let fields: Vec<&str> = line.split(':').collect();
    let &[name, _, uid, gid, ..] = fields.as_slice() else { return None };
    Some(User { name: name.to_owned(), uid: uid.parse().ok()?, gid: gid.parse().ok()? })
}

/// A line of group(5).
fn read_group(line: &str) -> Option<Group> {
    let fields: Vec<&str> = line.split(':').collect();
    let &[name, _, gid, members] = fields.as_slice() else { return None };
    let members = members.split(',').filter(|member| !member.is_empty()).map(str::to_owned);
    Some(Group { name: name.to_owned(), gid: gid.parse().ok()?, members: members.collect() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_the_machine_knows_is_found_by_number_and_by_name_and_nobody_else_is() {
        let root = user(0).unwrap();
        assert_eq!((root.name.as_str(), root.uid, root.gid), ("root", 0, 0));
        assert_eq!(user_named("root"), Some(root));
        assert_eq!(group(0).unwrap().name, "root");
        assert_eq!(user(u32::MAX - 7), None);
        assert_eq!(group(u32::MAX - 7), None);
        // A number is no name, and no word is an option.
        for nobody in ["0", "no-such-user-here", "--help", "--version", "", "root\0", "root:x"] {
            assert_eq!(user_named(nobody), None, "{nobody:?}");
        }
    }

    #[test]
    fn lines_of_the_name_service_are_read_and_what_is_none_is_nobody() {
        let alice = User { name: "alice".into(), uid: 1001, gid: 100 };
        assert_eq!(read_user("alice:x:1001:100:Alice, A.:/home/alice:/bin/sh"), Some(alice));
        let members = vec!["alice".to_owned(), "bob".to_owned()];
        assert_eq!(
            read_group("g:x:7:alice,bob"),
            Some(Group { name: "g".into(), gid: 7, members })
        );
        assert_eq!(read_group("g:x:7:").unwrap().members, [""; 0]);
        for line in ["", "alice", "alice:x:one:1:::", "alice:x:1:-1:::", "alice:x:1"] {
            assert_eq!(read_user(line), None, "{line}");
        }
        assert_eq!(read_group("g:x:7"), None);
    }
}
