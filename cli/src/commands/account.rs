//! `iamctl account`: the caller's accounts.

use iamd_protocol::bus::AccountInfo;
use iamd_protocol::error::Exit;
use serde_json::json;

use super::status::{block, state_text};
use crate::app::Context;
use crate::args::{Listing, ShowAccount};
use crate::failure::Failure;
use crate::output::stream::Paint;
use crate::output::table::Table;
use crate::output::{json, time};

/// Lists the accounts.
///
/// # Errors
/// Those of `List`.
pub(super) fn list(args: &Listing, context: &mut Context) -> Result<Exit, Failure> {
    let accounts = context.client()?.accounts()?;
    if args.json {
        let accounts: Vec<_> = accounts.iter().map(json::account).collect();
        context.output.json(&json!({ "accounts": accounts }));
        return Ok(Exit::Done);
    }
    if accounts.is_empty() {
        context.output.tell("You have no account yet. Sign in with:  iamctl login");
        return Ok(Exit::Done);
    }
    let now = context.now();
    let mut table = Table::new(&["", "NAME", "STATE", "TOKEN", "SIGN-IN", "ISSUER"]);
    for account in &accounts {
        table.row(row(account, now));
    }
    context.output.table(&table);
    Ok(Exit::Done)
}

fn row(account: &AccountInfo, now: u64) -> Vec<String> {
    let span = |at: Option<u64>| match at {
        Some(at) if at > now => time::span(at - now),
        Some(_) => "ended".to_owned(),
        None => "-".to_owned(),
    };
    vec![
        if account.is_default { "*" } else { " " }.to_owned(),
        account.name.clone(),
        state_text(account).to_owned(),
        span(account.access_expires_at),
        span(account.refresh_expires_at),
        account.issuer.clone(),
    ]
}

/// Shows one account.
///
/// # Errors
/// Those of `Show`.
pub(super) fn show(args: &ShowAccount, context: &mut Context) -> Result<Exit, Failure> {
    let account = context.client()?.account(args.account.as_deref().unwrap_or_default())?;
    if args.json {
        context.output.json(&json!({ "account": json::account(&account) }));
        return Ok(Exit::Done);
    }
    let now = context.now();
    let mut lines = block(&account, now, None, &context.output.out);
    let out = &context.output.out;
    let mut more = |label: &str, value: String| {
        lines.push(format!("  {}  {value}", out.paint(Paint::Dim, &format!("{label:<13}"))));
    };
    if let Some(client) = &account.client_id {
        more("Client", client.clone());
    }
    if account.scopes_asked != account.scopes && !account.scopes_asked.is_empty() {
        more("Scopes asked", account.scopes_asked.join(" "));
    }
    if let Some(at) = account.signed_in_at {
        more("Signed in at", time::date(at));
    }
    if let Some(at) = account.refreshed_at {
        more("Renewed at", time::date(at));
    }
    for line in lines {
        context.output.out.line(&line);
    }
    Ok(Exit::Done)
}
