//! `iamctl login`: start a login or join the one that is running, show where to sign in, wait.

mod password;
mod patience;
mod show;
mod wait;

use iamd_protocol::bus::{LoginInfo, LoginOptions, login_state};
use iamd_protocol::error::{Exit, Kind};
use iamd_protocol::variables::IAMD_NO_LOGIN;
use serde_json::json;

use super::{passphrase, words};
use crate::app::Context;
use crate::args::{Flow, Login};
use crate::client::Client;
use crate::failure::Failure;
use patience::Patience;

/// Does what the options ask.
///
/// # Errors
/// Those of `Login`; the login that goes on without us is one too, so that a script knows.
pub(super) fn run(args: &Login, context: &mut Context) -> Result<Exit, Failure> {
    if args.on || args.off {
        return set_notice(args, context);
    }
    if args.cancel {
        return cancel(args, context);
    }
    if !args.if_needed {
        return sign_in(args, context);
    }
    if context.environment.get(IAMD_NO_LOGIN).is_some() {
        return Ok(Exit::Done);
    }
    sign_in(args, context).map_err(|failure| later(failure, args))
}

fn sign_in(args: &Login, context: &mut Context) -> Result<Exit, Failure> {
    password::check(args)?;
    let patience = Patience::of(args);
    let client = context.client_within(patience.left())?;
    // Who turned the notice off wants the profile script silent too.
    client.limit(patience.left());
    if args.if_needed && !client.status()?.notice {
        return Ok(Exit::Done);
    }
    let options = LoginOptions {
        issuer: args.issuer.clone(),
        scopes: words(&args.scopes),
        audiences: words(&args.audiences),
        if_needed: args.if_needed.then_some(true),
        new_client: args.new_client.then_some(true),
    };
    let guarded = if args.passphrase || args.passphrase_fd.is_some() {
        Some(passphrase::before_login(args, &client)?)
    } else {
        None
    };
    let name = guarded.as_deref().or(args.account.as_deref());
    if args.flow == Flow::Password {
        return password::sign_in(&client, name, options, args, context);
    }
    client.limit(patience.left());
    let login =
        client.login(name.unwrap_or_default(), options).map_err(|failure| failure.about(name))?;
    if args.if_needed && login.state == login_state::DONE && !args.json {
        return Ok(Exit::Done);
    }
    client.limit(patience.left());
    let makes_account = makes_account(&client, &login, args);
    wait::follow(&client, login, makes_account, args, &patience, context)
}

/// Whether the login makes an account that is not there yet. Asked where it is told: in JSON, and to
/// whoever named one and no issuer, who may have mistyped the name of another.
fn makes_account(client: &Client, login: &LoginInfo, args: &Login) -> bool {
    let is_told = args.json || (args.account.is_some() && args.issuer.is_none());
    is_told
        && login.state != login_state::DONE
        && client.account(&login.account).is_err_and(|failure| failure.is(Kind::NoSuchAccount))
}

/// What a user reads while their shell starts is one line, and what they can do.
fn later(failure: Failure, args: &Login) -> Failure {
    if failure.exit != Exit::Unreachable || args.json {
        return failure;
    }
    let account = args.account.as_ref().map_or_else(String::new, |name| format!(" {name}"));
    let message = format!("{}; sign in later with:  iamctl login{account}", failure.message);
    Failure { message, ..failure }.advise("")
}

fn set_notice(args: &Login, context: &mut Context) -> Result<Exit, Failure> {
    context.client()?.set_notice(args.on)?;
    if args.json {
        context.output.json_line(&json!({ "notice": args.on }));
    } else if args.on {
        context.output.tell("When you log in without a sign-in, you are told where to sign in.");
    } else {
        context.output.tell("No notice at login any more. To have it again:  iamctl login --on");
    }
    Ok(Exit::Done)
}

fn cancel(args: &Login, context: &mut Context) -> Result<Exit, Failure> {
    context.client()?.cancel_login(args.account.as_deref().unwrap_or_default())?;
    if args.json {
        context.output.json_line(&json!({ "cancelled": true }));
    } else {
        context.output.tell("The login is cancelled.");
    }
    Ok(Exit::Done)
}
