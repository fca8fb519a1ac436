//! `iamctl doctor`: what is wrong, and how to put it right.

use iamd_protocol::bus::Finding;
use iamd_protocol::error::Exit;
use serde_json::json;

use crate::app::Context;
use crate::args::Listing;
use crate::failure::Failure;
use crate::output::json;

/// Looks at everything.
///
/// # Errors
/// None yet.
pub(super) fn run(args: &Listing, context: &mut Context) -> Result<Exit, Failure> {
    let findings: Vec<Finding> = context.client()?.diagnose()?;
    if args.json {
        let findings: Vec<_> = findings.iter().map(json::finding).collect();
        context.output.json(&json!({ "findings": findings }));
    }
    Ok(Exit::Done)
}
