//! `iamctl admin policy`: what the site decided, before it is in force and for one user.

use iamd_protocol::bus::{PolicyCheck, PolicyLine};
use iamd_protocol::error::Exit;
use serde_json::json;

use crate::app::Context;
use crate::args::{Explain, Listing, Policy};
use crate::failure::Failure;
use crate::output::table::Table;
use crate::output::{json, text};

/// Checks or explains.
///
/// # Errors
/// Those of `CheckPolicy` and `ExplainPolicy`.
pub(in crate::commands) fn run(command: &Policy, context: &mut Context) -> Result<Exit, Failure> {
    match command {
        Policy::Check(args) => check(args, context),
        Policy::Explain(args) => explain(args, context),
    }
}

/// Whether it was asked for JSON.
pub(in crate::commands) const fn as_json(command: &Policy) -> bool {
    match command {
        Policy::Check(args) => args.json,
        Policy::Explain(args) => args.json,
    }
}

fn check(args: &Listing, context: &mut Context) -> Result<Exit, Failure> {
    let found = context.client()?.check_policy()?;
    let exit = if found.good { Exit::Done } else { Exit::Failed };
    if args.json {
        context.output.json(&json::policy_check(&found));
        return Ok(exit);
    }
    if found.good {
        let mut table = Table::new(&["FOR", "THEY", "DECIDED BY"]);
        for line in &found.lines {
            table.row(vec![line.whom.clone(), line.text.clone(), decided_by(line)]);
        }
        context.output.table(&table);
    }
    // The mistakes are what was asked for.
    for problem in &found.problems {
        context.output.line(&problem.message);
    }
    for warning in &found.warnings {
        context.output.tell(&format!("warning: {warning}"));
    }
    for sentence in verdict(&found) {
        context.output.tell(&sentence);
    }
    Ok(exit)
}

fn verdict(found: &PolicyCheck) -> Vec<String> {
    let count = |of: usize| u32::try_from(of).unwrap_or(u32::MAX);
    if !found.good {
        let mistakes = text::count(count(found.problems.len()), "mistake");
        return vec![format!(
            "{mistakes}. The configuration in force stays until they are corrected."
        )];
    }
    let files = text::count(count(found.files.len()), "file");
    let mut sentences = vec![format!("The configuration on disk is good, with rules in {files}.")];
    if found.in_force == Some(false) {
        sentences.push("It is not in force yet:  systemctl reload iamd".to_owned());
    }
    sentences
}

fn explain(args: &Explain, context: &mut Context) -> Result<Exit, Failure> {
    let lines = context.client()?.explain_policy(&args.user)?;
    if args.json {
        let lines: Vec<_> = lines.iter().map(json::policy_line).collect();
        context.output.json(&json!({ "user": args.user, "lines": lines }));
        return Ok(Exit::Done);
    }
    let mut table = Table::new(&["KEY", "THEY", "DECIDED BY"]);
    for line in &lines {
        table.row(vec![line.key.clone(), line.text.clone(), decided_by(line)]);
    }
    context.output.table(&table);
    let mut doubts: Vec<&String> = lines.iter().flat_map(|line| &line.in_doubt).collect();
    doubts.sort();
    doubts.dedup();
    for doubt in doubts {
        context.output.tell(&format!(
            "In doubt: {doubt}: the name service does not say whether they are in the group."
        ));
    }
    Ok(Exit::Done)
}

fn decided_by(line: &PolicyLine) -> String {
    line.decided_by.join(", ")
}
