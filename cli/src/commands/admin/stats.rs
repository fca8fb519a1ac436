//! `iamctl admin stats`.

use std::collections::BTreeMap;

use iamd_protocol::bus::IssuerStats;
use iamd_protocol::error::Exit;
use serde_json::{Value, json};

use crate::app::Context;
use crate::args::Listing;
use crate::failure::Failure;
use crate::output::time;

/// Prints the numbers.
///
/// # Errors
/// Those of `Stats`.
pub(crate) fn run(args: &Listing, context: &mut Context) -> Result<Exit, Failure> {
    let stats = context.client()?.stats()?;
    let states: BTreeMap<_, _> = stats.accounts.iter().collect();
    if args.json {
        context.output.json(&json!({
            "since": stats.since,
            "users": stats.users,
            "accounts": states,
            "sessions": stats.sessions,
            "logins": stats.logins,
            "logins_started": stats.logins_started,
            "logins_failed": stats.logins_failed,
            "sign_ins": stats.sign_ins,
            "sign_outs": stats.sign_outs,
            "refreshes": stats.refreshes,
            "refreshes_failed": stats.refreshes_failed,
            "tokens": stats.tokens,
            "denials": stats.denials,
            "issuers": stats.issuers.iter().map(issuer).collect::<Vec<_>>(),
            "store_bytes": stats.store_bytes,
            "journal_bytes": stats.journal_bytes,
            "journal": stats.journal,
            "keys": stats.keys,
        }));
        return Ok(Exit::Done);
    }
    let age = time::span(context.now().saturating_sub(stats.since));
    let accounts: u32 = stats.accounts.values().sum();
    let out = &mut context.output.out;
    out.line(&format!("users      {}, with {accounts} accounts", stats.users));
    for (state, count) in states {
        out.line(&format!("           {count} {state}"));
    }
    out.line(&format!("here       {} sessions, {} logins", stats.sessions, stats.logins));
    out.line(&format!("since      {age} ago"));
    out.line(&format!(
        "logins     {} started, {} failed, {} sign-ins, {} sign-outs",
        stats.logins_started, stats.logins_failed, stats.sign_ins, stats.sign_outs
    ));
    out.line(&format!("refreshes  {} done, {} failed", stats.refreshes, stats.refreshes_failed));
    out.line(&format!(
        "tokens     {} handed out, {} requests refused",
        stats.tokens, stats.denials
    ));
    for IssuerStats { name, circuit, retry_in_seconds } in &stats.issuers {
        let again = retry_in_seconds
            .map(|wait| format!(", asked again in {}", time::span(wait)))
            .unwrap_or_default();
        out.line(&format!("issuer     {name}: circuit {circuit}{again}"));
    }
    out.line(&format!(
        "store      {} bytes, journal {} bytes with {} answers that wait",
        stats.store_bytes, stats.journal_bytes, stats.journal
    ));
    out.line(&format!("keys       {}", stats.keys.join(", ")));
    Ok(Exit::Done)
}

fn issuer(issuer: &IssuerStats) -> Value {
    json!({
        "name": issuer.name,
        "circuit": issuer.circuit,
        "retry_in_seconds": issuer.retry_in_seconds,
    })
}
