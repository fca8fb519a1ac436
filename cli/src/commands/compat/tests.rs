//! That the programs are found by their names, and that their command lines are read as argp does.

use super::options::{TALK, lengthened};
use super::*;

#[test]
fn the_name_that_it_is_called_by_decides() {
    for (name, program) in NAMES {
        for path in [name.to_owned(), format!("/usr/lib/x/{name}"), format!("./{name}")] {
            assert_eq!(Program::called(Some(OsStr::new(&path))), Some(program));
        }
        assert_eq!(program.name(), name);
    }
    for name in ["iamctl", "oidc-tok", "oidc-token.sh", "", "/", "oidc-prompt"] {
        assert_eq!(Program::called(Some(OsStr::new(name))), None, "{name}");
    }
    assert_eq!(Program::called(None), None);
}

#[test]
fn the_installer_links_the_same_names() {
    let listed = include_str!("../../../../dist/compat/names");
    let names: Vec<_> = NAMES.iter().map(|(name, _)| *name).collect();
    assert_eq!(listed.lines().collect::<Vec<_>>(), names);
}

#[test]
fn a_value_that_may_be_left_out_is_in_the_same_word() {
    let optional = [('o', "token"), ('i', "issuer")];
    let lengthened = |line: &str| {
        let words = line.split(' ').map(OsString::from).collect();
        let long = lengthened(words, &optional, &['t', 's']);
        long.into_iter().map(|word| word.into_string().unwrap()).collect::<Vec<_>>().join(" ")
    };
    for (line, long) in [
        ("cms", "cms"),
        ("-o cms", "--token cms"),
        ("-oVAR cms", "--token=VAR cms"),
        ("-oie cms", "--token=ie cms"),
        ("-fo cms", "-f --token cms"),
        ("-fiX cms", "-f --issuer=X cms"),
        ("-t 90 cms", "-t 90 cms"),
        ("-t90 cms", "-t90 cms"),
        ("-ft -o cms", "-f -t -o cms"),
        ("-s -o -o", "-s -o --token"),
        ("--token -- -o", "--token -- -o"),
        ("- --time=-o", "- --time=-o"),
    ] {
        assert_eq!(lengthened(line), long, "{line}");
    }
    assert!(!TALK.is_empty());
}
