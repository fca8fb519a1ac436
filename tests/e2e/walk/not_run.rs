//! Rows of the page that the walk does not walk, each with the reason.

use super::steps::FILES;
use super::table::Row;

/// A row and why nothing is run for it.
pub(super) struct NotRun {
    section: &'static str,
    pub(super) row: &'static str,
    pub(super) why: &'static str,
}

impl NotRun {
    /// Whether it is about this row.
    pub(super) fn is_of(&self, row: &Row) -> bool {
        row.section == self.section && row.theirs == self.row
    }
}

/// All of them.
pub(super) const NOT_RUN: &[NotRun] = &[NotRun {
    section: FILES,
    row: "`custom_parameters.config`: `parameter`, `value`, `for_issuer`, `for_account`, `request` (5)",
    why: "Debian has no version 5 for the node, and iamctl has no such file: there is nothing to run on \
          either side",
}];
