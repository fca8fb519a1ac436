//! `iamctl admin`: for administrators; polkit decides in the daemon.

mod audit;
mod backup;
mod drain;
mod file;
mod password_flow;
mod policy;
mod rekey;
mod revoke;
mod stats;
mod store;

use std::time::Duration;

use iamd_protocol::error::Exit;
use serde_json::json;

use crate::agent::Agent;
use crate::app::Context;
use crate::args::{Admin, Listing, PasswordFlow, Store};
use crate::failure::Failure;
use crate::output::table::Table;
use crate::output::{json, time};

/// How long a call may take while somebody may be asked for a password; an issuer whose client is
/// changed is asked up to six times.
const PATIENCE: Duration = Duration::from_secs(300);

/// Does what was asked.
///
/// # Errors
/// Why it was not done.
pub(super) fn run(command: &Admin, context: &mut Context) -> Result<Exit, Failure> {
    // The journal is read with the user's own permissions: the daemon and polkit have no part.
    let agent = if matches!(command, Admin::Audit(_)) { None } else { Agent::start() };
    if agent.is_some() {
        context.limit = PATIENCE;
    }
    let done = match command {
        Admin::Users(args) => users(args, context),
        Admin::Sessions(args) => sessions(args, context),
        Admin::Stats(args) => stats::run(args, context),
        Admin::Revoke(args) => revoke::run(args, context),
        Admin::Drain(args) => drain::run(args, context),
        Admin::Audit(args) => audit::run(args, context),
        Admin::Reload(args) => reload(args, context),
        Admin::PasswordFlow(command) => password_flow::run(command, context),
        Admin::Policy(command) => policy::run(command, context),
        Admin::Rekey(args) => rekey::run(args, context),
        Admin::Backup(args) => backup::write(args, context),
        Admin::Restore(args) => backup::restore(args, context),
        Admin::Store(Store::Check(args)) => store::check(args, context),
        Admin::Store(Store::Accept(args)) => store::accept(args, context),
    };
    drop(agent);
    done
}

/// Whether the command was asked for JSON.
pub(super) fn as_json(command: &Admin) -> bool {
    match command {
        Admin::Users(args) | Admin::Sessions(args) | Admin::Stats(args) | Admin::Reload(args) => {
            args.json
        }
        Admin::Revoke(args) => args.json,
        Admin::Drain(args) => args.json,
        Admin::Audit(args) => args.json,
        Admin::PasswordFlow(PasswordFlow::List(args)) => args.json,
        Admin::PasswordFlow(PasswordFlow::Enable(args) | PasswordFlow::Disable(args)) => args.json,
        Admin::Policy(command) => policy::as_json(command),
        Admin::Rekey(args) => args.json,
        Admin::Backup(args) => args.json,
        Admin::Restore(args) => args.json,
        Admin::Store(Store::Check(args) | Store::Accept(args)) => args.json,
    }
}

/// Lists the users.
///
/// # Errors
/// Those of `Users`.
fn users(args: &Listing, context: &mut Context) -> Result<Exit, Failure> {
    let users = context.client()?.users()?;
    if args.json {
        context.output.json(&json!({ "users": users.iter().map(json::user).collect::<Vec<_>>() }));
        return Ok(Exit::Done);
    }
    let now = context.now();
    let mut table =
        Table::new(&["UID", "USER", "ACCOUNTS", "SIGNED-IN", "SESSIONS", "LOGINS", "LAST TOKEN"]);
    for user in &users {
        table.row(vec![
            user.uid.to_string(),
            user.user.clone(),
            user.accounts.to_string(),
            user.signed_in.to_string(),
            user.sessions.to_string(),
            user.logins.to_string(),
            user.last_token_at.map_or_else(
                || "-".to_owned(),
                |at| format!("{} ago", time::span(now.saturating_sub(at))),
            ),
        ]);
    }
    context.output.table(&table);
    Ok(Exit::Done)
}

/// Lists the sessions.
///
/// # Errors
/// Those of `Sessions`.
fn sessions(args: &Listing, context: &mut Context) -> Result<Exit, Failure> {
    let sessions = context.client()?.sessions()?;
    if args.json {
        let sessions: Vec<_> = sessions.iter().map(json::session).collect();
        context.output.json(&json!({ "sessions": sessions }));
        return Ok(Exit::Done);
    }
    let now = context.now();
    let mut table = Table::new(&["SESSION", "UID", "USER", "SERVICE", "PID", "OPEN FOR", "FROM"]);
    for session in &sessions {
        table.row(vec![
            session.session.clone(),
            session.uid.to_string(),
            session.user.clone(),
            session.service.clone(),
            session.pid.to_string(),
            time::span(now.saturating_sub(session.since)),
            session.rhost.clone().unwrap_or_else(|| "-".to_owned()),
        ]);
    }
    context.output.table(&table);
    Ok(Exit::Done)
}

/// Makes the daemon read its configuration again.
///
/// # Errors
/// Those of `Reload`; [`iamd_protocol::error::Kind::ConfigurationInvalid`] leaves the
/// configuration that is in force.
fn reload(args: &Listing, context: &mut Context) -> Result<Exit, Failure> {
    context.client()?.reload()?;
    if args.json {
        context.output.json(&json!({ "reloaded": true }));
    } else {
        context.output.tell("The configuration is read again and in force.");
    }
    Ok(Exit::Done)
}
