//! Passphrases of accounts: `iamctl account lock`, `unlock` and `passphrase`, and the part of
//! `iamctl login --passphrase` that comes before the sign-in.

use iamd_protocol::bus::{AccountInfo, ChangeReply, UnlockOptions};
use iamd_protocol::error::{Exit, Kind};
use secrecy::SecretString;
use serde_json::json;

use crate::app::Context;
use crate::args::{ChangePassphrase, LockAccount, Login, UnlockAccount};
use crate::client::Client;
use crate::failure::Failure;
use crate::output::time;
use crate::prompt;

/// Locks an account, or all that have a passphrase.
///
/// # Errors
/// Those of `Lock`.
pub(super) fn lock(args: &LockAccount, context: &mut Context) -> Result<Exit, Failure> {
    let client = context.client()?;
    let accounts = if args.all {
        client.accounts()?
    } else {
        vec![client.account(args.account.as_deref().unwrap_or_default())?]
    };
    let mut locked = Vec::new();
    for account in accounts {
        // Without --all, the daemon says why it cannot be.
        if !args.all || has_passphrase(&account) {
            client.lock(&account.name)?;
            locked.push(account.name);
        }
    }
    if args.json {
        context.output.json(&json!({ "locked": locked }));
    } else if locked.is_empty() {
        context.output.tell("No account of yours has a passphrase.");
    } else {
        let names = locked.join(", ");
        let which = if locked.len() == 1 { &names } else { "NAME" };
        context.output.tell(&format!(
            "Locked {names}: no token and no token file until:  iamctl account unlock {which}"
        ));
    }
    Ok(Exit::Done)
}

/// Unlocks an account.
///
/// # Errors
/// Those of `Unlock`; there is no passphrase to be had.
pub(super) fn unlock(args: &UnlockAccount, context: &mut Context) -> Result<Exit, Failure> {
    let client = context.client()?;
    let account = client.account(args.account.as_deref().unwrap_or_default())?;
    let name = &account.name;
    if !has_passphrase(&account) {
        return Err(has_none(&account));
    }
    let passphrase = present(&account, args.passphrase_fd)?;
    let options = UnlockOptions { for_seconds: args.duration };
    client.unlock(name, options, prompt::to_pipe(&passphrase)?)?;
    if args.json {
        let until = client.account(name)?.unlocked_until;
        context.output.json(&json!({ "account": name, "unlocked_until": until }));
        return Ok(Exit::Done);
    }
    context.output.tell(&match args.duration {
        Some(seconds) => format!("Unlocked {name} for {}.", time::span(seconds.into())),
        None => format!("Unlocked {name} until it is locked, or iamd ends."),
    });
    Ok(Exit::Done)
}

/// Sets, changes or takes off the passphrase of an account.
///
/// # Errors
/// Those of `SetPassphrase`; there is no passphrase to be had.
pub(super) fn change(args: &ChangePassphrase, context: &mut Context) -> Result<Exit, Failure> {
    let client = context.client()?;
    let account = client.account(args.account.as_deref().unwrap_or_default())?;
    let had_one = has_passphrase(&account);
    if args.remove && !had_one {
        return Err(has_none(&account));
    }
    let present = had_one.then(|| present(&account, args.passphrase_fd)).transpose()?;
    let new = (!args.remove)
        .then(|| new(&account.name, args.new_passphrase_fd, "--new-passphrase-fd"))
        .transpose()?;
    let reply = set(&client, &account.name, present.as_ref(), new.as_ref())?;
    if args.json {
        context.output.json(&json!({
            "account": reply.account,
            "has_passphrase": !args.remove,
            "remarks": reply.remarks,
        }));
        return Ok(Exit::Done);
    }
    let name = &reply.account;
    context.output.tell(&match (args.remove, had_one) {
        (true, _) => format!("The passphrase of {name} is gone: it is never locked any more."),
        (false, true) => format!("The passphrase of {name} is changed."),
        (false, false) => format!(
            "{name} has a passphrase now. After a restart of this node or of iamd, and after \
             iamctl account lock, it is locked until:  iamctl account unlock {name}"
        ),
    });
    for remark in &reply.remarks {
        context.output.tell(remark);
    }
    Ok(Exit::Done)
}

/// Before a sign-in with `--passphrase`: the account gets one, if it has none. Gives the account's
/// name.
///
/// # Errors
/// As [`change`].
pub(super) fn before_login(args: &Login, client: &Client) -> Result<String, Failure> {
    let named = args.account.as_deref().or(args.issuer.as_deref()).unwrap_or_default();
    match client.account(named) {
        Ok(account) if has_passphrase(&account) => return Ok(account.name),
        Ok(_) => {}
        Err(failure) if failure.is(Kind::NoSuchAccount) || failure.is(Kind::LoginRequired) => {
            if let (Some(account), Some(issuer)) = (&args.account, &args.issuer) {
                let text = format!("there is no account {account} yet to put a passphrase on");
                return Err(Failure::new(Kind::NoSuchAccount, text).advise(format!(
                    "Make it first:  iamctl account add {account} --issuer {issuer}"
                )));
            }
        }
        Err(failure) => return Err(failure),
    }
    let shown = if named.is_empty() { "this account" } else { named };
    let new = new(shown, args.passphrase_fd, "--passphrase-fd")?;
    Ok(set(client, named, None, Some(&new))?.account)
}

/// The passphrase that a new account gets.
///
/// # Errors
/// There is no passphrase to be had.
pub(super) fn of_new(account: Option<&str>, fd: Option<u32>) -> Result<SecretString, Failure> {
    new(account.unwrap_or("this account"), fd, "--passphrase-fd")
}

fn set(
    client: &Client,
    account: &str,
    present: Option<&SecretString>,
    new: Option<&SecretString>,
) -> Result<ChangeReply, Failure> {
    let pipe = |secret: Option<&SecretString>| secret.map(prompt::to_pipe).transpose();
    client.set_passphrase(account, pipe(present)?, pipe(new)?)
}

fn present(account: &AccountInfo, fd: Option<u32>) -> Result<SecretString, Failure> {
    let question = format!("Passphrase of {}: ", account.name);
    match fd {
        Some(fd) => prompt::from_fd(fd),
        None => prompt::secret(&question).map_err(|e| or_by_descriptor(e, "--passphrase-fd")),
    }
}

fn new(account: &str, fd: Option<u32>, option: &str) -> Result<SecretString, Failure> {
    let question = format!("New passphrase for {account}: ");
    match fd {
        Some(fd) => prompt::from_fd(fd),
        None => prompt::secret_twice(&question, "The same once more: ")
            .map_err(|failure| or_by_descriptor(failure, option)),
    }
}

/// Where nobody can be asked, the option that helps is named.
fn or_by_descriptor(failure: Failure, option: &str) -> Failure {
    if prompt::is_possible() || !failure.advice.is_empty() {
        return failure;
    }
    failure.advise(format!("Give the passphrase by a descriptor:  {option} N"))
}

fn has_passphrase(account: &AccountInfo) -> bool {
    account.has_passphrase == Some(true)
}

fn has_none(account: &AccountInfo) -> Failure {
    let name = &account.name;
    Failure::new(Kind::InvalidArgument, format!("the account {name} has no passphrase"))
        .advise(format!("To set one:  iamctl account passphrase {name}"))
}
