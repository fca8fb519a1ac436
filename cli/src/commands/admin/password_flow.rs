//! `iamctl admin password-flow`: which clients users may sign in with by password.

use iamd_protocol::bus::{PasswordFlowOptions, PasswordFlowReply};
use iamd_protocol::error::{Exit, Kind};
use serde_json::json;

use super::PATIENCE;
use crate::app::Context;
use crate::args::{FlowOfClient, Listing, PasswordFlow};
use crate::client::Client;
use crate::failure::Failure;
use crate::output::table::Table;
use crate::output::{json, time};

/// Does what was asked.
///
/// # Errors
/// Those of `PasswordFlows`, `EnablePasswordFlow` and `DisablePasswordFlow`.
pub(crate) fn run(command: &PasswordFlow, context: &mut Context) -> Result<Exit, Failure> {
    let client = context.client()?;
    client.limit(PATIENCE);
    match command {
        PasswordFlow::List(args) => list(args, &client, context),
        PasswordFlow::Enable(args) => {
            let reply = client.enable_password_flow(options(args)).map_err(advised)?;
            tell(&reply, args, context);
            Ok(Exit::Done)
        }
        PasswordFlow::Disable(args) => {
            let reply = client.disable_password_flow(options(args)).map_err(advised)?;
            tell(&reply, args, context);
            Ok(Exit::Done)
        }
    }
}

fn list(args: &Listing, client: &Client, context: &mut Context) -> Result<Exit, Failure> {
    let flows = client.password_flows()?;
    if args.json {
        let flows: Vec<_> = flows.iter().map(json::password_flow).collect();
        context.output.json(&json!({ "password_flows": flows }));
        return Ok(Exit::Done);
    }
    if flows.is_empty() {
        context.output.tell("No client may sign users in by password.");
        return Ok(Exit::Done);
    }
    let mut table = Table::new(&["ISSUER", "CLIENT", "ENABLED BY", "ON"]);
    for flow in flows.iter().filter(|flow| flow.problem.is_none()) {
        table.row(vec![
            flow.issuer_name.clone().unwrap_or_else(|| flow.issuer.clone()),
            flow.client.clone(),
            format!("{} ({})", flow.enabled_by_user, flow.enabled_by),
            time::date(flow.enabled_at),
        ]);
    }
    context.output.table(&table);
    for problem in flows.iter().filter_map(|flow| flow.problem.as_ref()) {
        context.output.tell(&format!("Not readable, and so not in force: {problem}"));
    }
    Ok(Exit::Done)
}

fn options(args: &FlowOfClient) -> PasswordFlowOptions {
    PasswordFlowOptions {
        issuer: Some(args.issuer.clone()),
        client: Some(args.client.clone()),
        at_issuer: args.at_issuer.then_some(true),
        account: args.account.clone(),
    }
}

fn tell(reply: &PasswordFlowReply, args: &FlowOfClient, context: &mut Context) {
    if args.json {
        context.output.json(&json::password_flow_change(reply));
        return;
    }
    let (client, issuer) = (&reply.client, &reply.issuer);
    let there = match reply.at_issuer {
        Some(true) => " The issuer lets it too.",
        Some(false) => " Neither does the issuer.",
        None => "",
    };
    context.output.tell(&if reply.enabled {
        format!(
            "Users may sign in by password with the client {client} of {issuer}.{there} RFC 9700 \
             says not to: take it back when it is no longer needed."
        )
    } else {
        format!(
            "Nobody can sign in by password with the client {client} of {issuer} now.{there} \
             Sign-ins that there are go on."
        )
    });
    for remark in &reply.remarks {
        context.output.tell(remark);
    }
}

/// The message says how to make the account that is missing, or what to do at the issuer.
fn advised(failure: Failure) -> Failure {
    let says_it_all = failure.is(Kind::LoginRequired) || failure.is(Kind::IssuerRefused);
    if says_it_all { failure.advise("") } else { failure }
}
