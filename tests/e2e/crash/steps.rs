//! The steps that have a name, and that no name is in what is shipped.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use iamd_tests::{Error, World, places};

use super::Result;
use super::ledger::what_is_in_the_journal_is_not_on_its_way;
use crate::case::{Case, Outcome};
use crate::cases;

pub fn cases() -> Vec<Case> {
    cases![
        each_named_step_of_the_daemon_is_one_that_a_test_dies_at,
        what_is_shipped_has_no_step_to_die_at,
        what_is_in_the_journal_is_not_on_its_way,
    ]
}

/// How a step is come to.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Way {
    /// A refresh, which writes the token file too.
    Refresh,
    /// So many refreshes that the journal is made smaller.
    Refreshes,
    /// The first token file of a user.
    FirstFile,
    /// A sign-in that waits for its code.
    Code,
    /// A sign-in that was approved.
    Approval,
    /// A login with another client.
    NewClient,
    /// A user's first client.
    FirstClient,
    /// A change of an account and of its client.
    Edit,
    /// Another key.
    Rekey,
}

/// Every step, in the order in which it is passed.
pub const STEPS: [(&str, Way); 40] = [
    ("login.code-received", Way::Code),
    ("login.code-kept", Way::Code),
    ("login.tokens-received", Way::Approval),
    ("login.journalled", Way::Approval),
    ("login.stored", Way::Approval),
    ("login.settled", Way::Approval),
    ("login.published", Way::Approval),
    ("refresh.asked", Way::Refresh),
    ("refresh.replied", Way::Refresh),
    ("refresh.journalled", Way::Refresh),
    ("refresh.stored", Way::Refresh),
    ("refresh.settled", Way::Refresh),
    ("refresh.told", Way::Refresh),
    ("refresh.failed", Way::Refresh),
    ("journal.written", Way::Refresh),
    ("journal.rewritten", Way::Refreshes),
    ("journal.renamed", Way::Refreshes),
    ("token-file.directory-made", Way::FirstFile),
    ("token-file.made", Way::Refresh),
    ("token-file.filled", Way::Refresh),
    ("token-file.exchanged", Way::Refresh),
    ("token-file.in-place", Way::Refresh),
    ("registration.asked", Way::NewClient),
    ("registration.replied", Way::NewClient),
    ("registration.journalled", Way::NewClient),
    ("registration.settled", Way::NewClient),
    ("registration.stored", Way::FirstClient),
    ("edit.asked", Way::Edit),
    ("edit.replied", Way::Edit),
    ("edit.failed", Way::Edit),
    ("edit.journalled", Way::Edit),
    ("edit.stored", Way::Edit),
    ("edit.client-done", Way::Edit),
    ("edit.account-stored", Way::Edit),
    ("rekey.keyring-written", Way::Rekey),
    ("rekey.keyring-renamed", Way::Rekey),
    ("rekey.key-durable", Way::Rekey),
    ("rekey.record-sealed", Way::Rekey),
    ("rekey.records-sealed", Way::Rekey),
    ("rekey.journal-sealed", Way::Rekey),
];

fn names() -> BTreeSet<&'static str> {
    STEPS.iter().map(|(step, _)| *step).collect()
}

/// The names in the sources of the daemon.
fn named_in(dir: &Path, found: &mut BTreeSet<String>) -> Result<()> {
    for entry in fs::read_dir(dir).map_err(Error::at(dir))?.flatten() {
        let path = entry.path();
        if path.is_dir() {
            named_in(&path, found)?;
        } else if !path.ends_with("fault_points.rs") {
            let text = fs::read_to_string(&path).map_err(Error::at(&path))?;
            let after = text.split("fault_point!(\"").skip(1);
            found.extend(after.filter_map(|rest| Some(rest.split_once('"')?.0.to_owned())));
        }
    }
    Ok(())
}

fn each_named_step_of_the_daemon_is_one_that_a_test_dies_at(_: &World) -> Outcome {
    let mut found = BTreeSet::new();
    named_in(&places::repository().join("daemon/src"), &mut found)?;
    let found: BTreeSet<&str> = found.iter().map(String::as_str).collect();
    assert_eq!(found, names());
    Ok(())
}

fn contains(bytes: &[u8], text: &str) -> bool {
    bytes.windows(text.len()).any(|window| window == text.as_bytes())
}

fn what_is_shipped_has_no_step_to_die_at(_: &World) -> Outcome {
    let read = |path: &Path| fs::read(path).map_err(Error::at(path));
    let shipped = read(&places::binaries().join("iamd"))?;
    let with_steps = read(&places::fault_points())?;
    for name in names().into_iter().chain([
        "/run/iamd/fault-point",
        "/run/iamd/fault-trace",
        "/run/iamd/fault-clock",
    ]) {
        assert!(contains(&with_steps, name), "{name} is not in the build for tests");
        assert!(!contains(&shipped, name), "{name} is in the iamd that is shipped");
    }
    Ok(())
}
