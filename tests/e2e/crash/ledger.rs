//! What may be lost: a reply of an issuer that was on its way, or in the process, and not yet in
//! the journal when the process was killed. Nobody can keep it. Read from the trace of the steps
//! that the killed process had passed. What is not in it is excused by nothing.

use std::collections::BTreeMap;

use iamd_tests::World;

use crate::case::Outcome;

/// The last step that one thing had passed.
fn last_of<'t>(trace: &'t str, kind: &str) -> BTreeMap<&'t str, &'t str> {
    let steps = trace.lines().filter_map(|line| line.split_once(' '));
    let of_kind = steps.filter(|(step, _)| step.split('.').next() == Some(kind));
    of_kind.map(|(step, of)| (of, step)).collect()
}

/// What was between asking and keeping: `kind.asked` or `kind.replied` was its last step.
fn on_the_way<'t>(trace: &'t str, kind: &str) -> Vec<&'t str> {
    let last = last_of(trace, kind).into_iter();
    last.filter(|(_, step)| step.ends_with(".asked") || step.ends_with(".replied"))
        .map(|(of, _)| of)
        .collect()
}

/// The accounts, as `UID/NAME`, whose refresh was on its way.
pub fn refreshes(trace: &str) -> Vec<String> {
    on_the_way(trace, "refresh").into_iter().map(str::to_owned).collect()
}

/// How many registrations at this issuer were on their way; each is `ISSUER USER` in the trace.
pub fn registrations(trace: &str, issuer: &str) -> usize {
    let at = |of: &&str| of.split_once(' ').is_some_and(|(name, _)| name == issuer);
    on_the_way(trace, "registration").into_iter().filter(at).count()
}

/// The clients, by their ids, of which a change was on its way.
pub fn edits(trace: &str) -> Vec<String> {
    on_the_way(trace, "edit").into_iter().map(str::to_owned).collect()
}

pub fn what_is_in_the_journal_is_not_on_its_way(_: &World) -> Outcome {
    let trace = "refresh.asked 1001/a\nrefresh.replied 1001/a\nrefresh.journalled 1001/a\n\
                 refresh.asked 1002/b\nrefresh.asked 1003/c\nrefresh.replied 1003/c\n\
                 journal.written\nrefresh.failed 1003/c\nregistration.replied test alice\n\
                 registration.asked grace alice\nregistration.replied grace alice\n\
                 registration.journalled grace alice\nregistration.asked test bob\n\
                 edit.asked one\nedit.replied one\nedit.journalled one\nedit.asked two\n\
                 edit.failed two\nedit.asked three\nedit.asked four\nedit.replied four\n\
                 edit.client-done 1001/a\n";
    assert_eq!(refreshes(trace), ["1002/b"]);
    assert_eq!((registrations(trace, "test"), registrations(trace, "grace")), (2, 0));
    assert_eq!(edits(trace), ["four", "three"]);
    Ok(())
}
