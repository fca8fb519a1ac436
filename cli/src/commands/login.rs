//! `iamctl login`: start a login or join the one that is running, show where to sign in, wait.

mod show;
mod wait;

use std::time::Duration;

use iamd_protocol::bus::{LoginOptions, login_state};
use iamd_protocol::error::Exit;
use iamd_protocol::variables::IAMD_NO_LOGIN;
use serde_json::json;

use super::{passphrase, words};
use crate::app::Context;
use crate::args::Login;
use crate::client::LIMIT;
use crate::failure::Failure;

/// `--if-needed` runs while a shell starts: a daemon that does not answer must not hold that up.
const IF_NEEDED_LIMIT: Duration = Duration::from_secs(10);

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
    if args.if_needed && context.environment.get(IAMD_NO_LOGIN).is_some() {
        return Ok(Exit::Done);
    }
    let client = context.client_within(if args.if_needed { IF_NEEDED_LIMIT } else { LIMIT })?;
    // Who turned the notice off wants the profile script silent too.
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
    let login =
        client.login(name.unwrap_or_default(), options).map_err(|failure| failure.about(name))?;
    if args.if_needed && login.state == login_state::DONE && !args.json {
        return Ok(Exit::Done);
    }
    wait::follow(&client, login, args, context)
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
