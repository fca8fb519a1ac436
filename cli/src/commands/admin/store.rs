//! `iamctl admin store check` and `accept`.

use iamd_protocol::error::Exit;
use serde_json::json;

use crate::app::Context;
use crate::args::Listing;
use crate::failure::Failure;

/// Has everything read; exit code 1 when something is wrong.
///
/// # Errors
/// Those of `CheckStore`.
pub(crate) fn check(args: &Listing, context: &mut Context) -> Result<Exit, Failure> {
    let report = context.client()?.check_store()?;
    let exit = if report.sound { Exit::Done } else { Exit::Failed };
    if args.json {
        context.output.json(&json!({
            "sound": report.sound,
            "integrity": report.integrity,
            "accounts": report.accounts,
            "clients": report.clients,
            "records": report.records,
            "journal": report.journal,
            "keys": report.keys,
            "unreadable": report.unreadable,
            "accounts_without_client": report.accounts_without_client,
            "clients_without_account": report.clients_without_account,
        }));
        return Ok(exit);
    }
    let out = &mut context.output.out;
    out.line(&format!(
        "{} accounts, {} clients, {} records in all, {} answers of issuers that wait",
        report.accounts, report.clients, report.records, report.journal
    ));
    out.line(&format!("keys: {}", report.keys.join(", ")));
    if report.integrity != "ok" {
        out.line(&format!("the file is damaged: {}", report.integrity));
    }
    for what in &report.unreadable {
        out.line(&format!("does not open: {what}"));
    }
    for account in &report.accounts_without_client {
        out.line(&format!("account without its client: {account}"));
    }
    for client in &report.clients_without_account {
        out.line(&format!("client that no account uses: {client}"));
    }
    context.output.tell(if report.sound {
        "The store is sound: every record opens."
    } else {
        "The store is not sound. Restore a backup, or have the users concerned sign in again; \
         what does not open can be given up by its user:  iamctl logout NAME"
    });
    Ok(exit)
}

/// Has older records hold.
///
/// # Errors
/// Those of `AcceptStore`.
pub(crate) fn accept(args: &Listing, context: &mut Context) -> Result<Exit, Failure> {
    let reply = context.client()?.accept_store()?;
    if args.json {
        context.output.json(&json!({ "accepted": reply.accepted }));
        return Ok(Exit::Done);
    }
    if reply.accepted.is_empty() {
        context.output.tell("No record is older than the one that was in its place before.");
        return Ok(Exit::Done);
    }
    for row in &reply.accepted {
        context.output.out.line(row);
    }
    context.output.tell(
        "These records hold, though newer ones were in their place. A refresh token that its \
         issuer replaced since is dead: its user signs in again.",
    );
    Ok(Exit::Done)
}
