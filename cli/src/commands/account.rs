//! `iamctl account`: the caller's accounts.

mod add;
mod change;
mod import;
mod show;

use iamd_protocol::bus::{AccountInfo, state};
use iamd_protocol::error::Exit;
use serde_json::json;

use super::passphrase;
use super::status::state_text;
use crate::app::Context;
use crate::args::{Account, Import, Listing};
use crate::failure::Failure;
use crate::output::table::Table;
use crate::output::{json, time};

pub(crate) use add::from_env::PLAIN as VARIABLES;

/// Does what was asked about accounts.
///
/// # Errors
/// Why it was not done.
pub(super) fn run(command: &Account, context: &mut Context) -> Result<Exit, Failure> {
    match command {
        Account::List(args) => list(args, context),
        Account::Show(args) => show::run(args, context),
        Account::Add(args) => add::run(args, context),
        Account::Import(import) => import::run(import, context),
        Account::Edit(args) => change::edit(args, context),
        Account::Rename(args) => change::rename(args, context),
        Account::Default(args) => change::set_default(args, context),
        Account::Remove(args) => change::remove(args, context),
        Account::Lock(args) => passphrase::lock(args, context),
        Account::Unlock(args) => passphrase::unlock(args, context),
        Account::Passphrase(args) => passphrase::change(args, context),
    }
}

/// Whether JSON was asked for.
pub(super) fn as_json(command: &Account) -> bool {
    match command {
        Account::List(args) => args.json,
        Account::Show(args) => args.json,
        Account::Add(args) => args.json,
        Account::Import(Import::OidcAgent(args)) => args.json,
        Account::Edit(args) => args.json,
        Account::Rename(args) => args.json,
        Account::Default(args) => args.json,
        Account::Remove(args) => args.json,
        Account::Lock(args) => args.json,
        Account::Unlock(args) => args.json,
        Account::Passphrase(args) => args.json,
    }
}

/// Lists the accounts.
fn list(args: &Listing, context: &mut Context) -> Result<Exit, Failure> {
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
        match account.has_passphrase {
            Some(true) if account.state != state::LOCKED => {
                format!("{}, unlocked", state_text(account))
            }
            _ => state_text(account).to_owned(),
        },
        span(account.access_expires_at),
        span(account.refresh_expires_at),
        account.issuer.clone(),
    ]
}
