//! `iamctl status`: what `klist` is for Kerberos.

mod block;
mod silent;
mod watch;

use iamd_protocol::bus::{AccountInfo, StatusReply};
use iamd_protocol::error::Exit;

use crate::app::Context;
use crate::args::Status;
use crate::client::Client;
use crate::failure::Failure;
use crate::output::json;
use crate::output::stream::Stream;

pub(super) use block::{block, state_text};

/// How things stand, as the daemon said it at one moment.
#[derive(Debug, Clone, PartialEq)]
struct Seen {
    status: StatusReply,
    accounts: Vec<AccountInfo>,
}

/// Shows how things stand.
///
/// # Errors
/// Those of `Status`, `List` and `Show`.
pub(super) fn run(args: &Status, context: &mut Context) -> Result<Exit, Failure> {
    if args.silent {
        return Ok(silent::run(args.account.as_deref(), context));
    }
    if args.watch {
        return watch::run(args, context);
    }
    let seen = look(&context.client()?, args.account.as_deref())?;
    if args.json {
        context.output.json(&json::status(&seen.status, &seen.accounts));
        return Ok(Exit::Done);
    }
    for line in lines(&seen, context.now(), &context.output.out) {
        context.output.out.line(&line);
    }
    if let Some(advice) = advice(&seen) {
        context.output.tell(advice);
    }
    Ok(Exit::Done)
}

/// Asks the daemon; with a name, about this account only.
fn look(client: &Client, account: Option<&str>) -> Result<Seen, Failure> {
    let mut status = client.status()?;
    let Some(name) = account else {
        return Ok(Seen { status, accounts: client.accounts()? });
    };
    let logins = status.logins.get_or_insert_default();
    let accounts = match client.account(name) {
        Ok(account) => {
            logins.retain(|login| login.account == account.name);
            vec![account]
        }
        Err(failure) => {
            logins.retain(|login| login.account == name);
            // A first login has no account yet, and is something to show.
            if logins.is_empty() {
                return Err(failure);
            }
            Vec::new()
        }
    };
    Ok(Seen { status, accounts })
}

/// Everything in lines.
fn lines(seen: &Seen, now: u64, out: &Stream) -> Vec<String> {
    let Seen { status, accounts } = seen;
    let mut lines = block::head(status, now, out);
    for account in accounts {
        lines.push(String::new());
        lines.extend(block(account, now, true, out));
    }
    for login in firsts(seen) {
        lines.push(String::new());
        lines.extend(block::login(login, now, out));
        lines.push(format!("  Finish it:  iamctl login {}", login.account));
    }
    lines
}

/// The logins of accounts that are not there yet.
fn firsts(seen: &Seen) -> impl Iterator<Item = &iamd_protocol::bus::LoginInfo> {
    let logins = seen.status.logins.iter().flatten();
    logins.filter(|login| seen.accounts.iter().all(|account| account.name != login.account))
}

/// What to say where there is nothing.
fn advice(seen: &Seen) -> Option<&'static str> {
    (seen.accounts.is_empty() && firsts(seen).next().is_none())
        .then_some("You have no account yet. Sign in with:  iamctl login")
}
