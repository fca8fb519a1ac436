//! `iamctl admin`: for administrators; polkit decides in the daemon.

pub(super) mod drain;
mod password_flow;
pub(super) mod policy;
pub(super) mod revoke;

use iamd_protocol::error::Exit;
use serde_json::json;

use crate::app::Context;
use crate::args::Listing;
use crate::failure::Failure;
pub(super) use password_flow::run as password_flow;

use crate::output::table::Table;
use crate::output::{json, time};

/// Lists the users.
///
/// # Errors
/// Those of `Users`.
pub(super) fn users(args: &Listing, context: &mut Context) -> Result<Exit, Failure> {
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
pub(super) fn sessions(args: &Listing, context: &mut Context) -> Result<Exit, Failure> {
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
pub(super) fn reload(args: &Listing, context: &mut Context) -> Result<Exit, Failure> {
    context.client()?.reload()?;
    if args.json {
        context.output.json(&json!({ "reloaded": true }));
    } else {
        context.output.tell("The configuration is read again and in force.");
    }
    Ok(Exit::Done)
}
