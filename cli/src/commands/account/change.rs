//! `iamctl account edit`, `rename`, `default` and `remove`.

use iamd_protocol::bus::{ChangeReply, EditOptions, RemoveOptions, state};
use iamd_protocol::error::{Exit, Kind};

use crate::app::Context;
use crate::args::{DefaultAccount, EditAccount, Login, LoginShown, RemoveAccount, RenameAccount};
use crate::commands::{asked_scopes, login, words};
use crate::failure::Failure;
use crate::output::json;
use crate::{ask, prompt};

/// Changes an account, and signs in where that is needed and wanted.
///
/// # Errors
/// Those of `Edit`, and of a login.
pub(super) fn edit(args: &EditAccount, context: &mut Context) -> Result<Exit, Failure> {
    let (scopes, all_scopes) = asked_scopes(&args.scopes);
    let options = EditOptions {
        scopes,
        all_scopes,
        add_scopes: words(&args.add_scopes),
        remove_scopes: words(&args.remove_scopes),
        audiences: if args.no_aud { Some(Vec::new()) } else { words(&args.audiences) },
        client_name: args.client_name.clone(),
    };
    if options == EditOptions::default() {
        return Err(Failure::new(Kind::InvalidArgument, "nothing to change is named").advise(
            "Name it with --scope, --add-scope, --remove-scope, --aud, --no-aud or --client-name",
        ));
    }
    let name = args.account.as_deref();
    let reply = context
        .client()?
        .edit(name.unwrap_or_default(), options)
        .map_err(|failure| failure.about(name))?;
    done(&format!("Account {} changed.", reply.account), &reply, args.json, context);
    if !reply.login_needed {
        return Ok(Exit::Done);
    }
    let command = format!("It takes effect when you sign in:  iamctl login {}", reply.account);
    if args.login {
        return sign_in(&reply.account, &args.shown, args.json, context);
    }
    if args.no_login || args.json || !prompt::is_possible() {
        if !args.json {
            context.output.tell(&command);
        }
        return Ok(Exit::Done);
    }
    // Said first: whoever answers with Ctrl-C knows how to go on.
    context.output.tell(&command);
    if ask::yes(context, "Sign in now?", true)? {
        return sign_in(&reply.account, &args.shown, args.json, context);
    }
    Ok(Exit::Done)
}

/// Signs in as `iamctl login` does.
///
/// # Errors
/// Those of the login.
pub(super) fn sign_in(
    account: &str,
    shown: &LoginShown,
    json: bool,
    context: &mut Context,
) -> Result<Exit, Failure> {
    let login = Login {
        account: Some(account.to_owned()),
        no_wait: shown.no_wait,
        timeout: shown.timeout,
        no_qr: shown.no_qr,
        json,
        ..Default::default()
    };
    login::run(&login, context)
}

/// Gives an account another name.
///
/// # Errors
/// Those of `Rename`.
pub(super) fn rename(args: &RenameAccount, context: &mut Context) -> Result<Exit, Failure> {
    let reply = context.client()?.rename(&args.account, &args.new_name).map_err(|failure| {
        let taken = failure.is(Kind::AccountExists);
        failure.about(Some(if taken { &args.new_name } else { &args.account }))
    })?;
    let sentence = format!("Account {} is now called {}.", args.account, reply.account);
    done(&sentence, &reply, args.json, context);
    Ok(Exit::Done)
}

/// Makes an account the default one.
///
/// # Errors
/// Those of `SetDefault`.
pub(super) fn set_default(args: &DefaultAccount, context: &mut Context) -> Result<Exit, Failure> {
    let reply = context
        .client()?
        .set_default(&args.account)
        .map_err(|failure| failure.about(Some(&args.account)))?;
    let sentence = format!("{} is meant now when no account is named.", reply.account);
    done(&sentence, &reply, args.json, context);
    Ok(Exit::Done)
}

/// Removes an account.
///
/// # Errors
/// Those of `Remove`; [`Kind::InvalidArgument`] where nobody can be asked and nobody said yes.
pub(super) fn remove(args: &RemoveAccount, context: &mut Context) -> Result<Exit, Failure> {
    if !args.yes && !agreed(args, context)? {
        context.output.tell("Nothing was removed.");
        return Ok(Exit::Failed);
    }
    let options = RemoveOptions { keep_client: args.keep_client.then_some(true) };
    let reply = context
        .client()?
        .remove(&args.account, options)
        .map_err(|failure| failure.about(Some(&args.account)))?;
    if args.json {
        context.output.json(&json::removal(&reply));
        return Ok(Exit::Done);
    }
    let issuer = match (reply.revoked, reply.client_deleted) {
        (true, true) => " The issuer has revoked its sign-in and deleted its client.",
        (true, false) => " The issuer has revoked its sign-in.",
        (false, true) => " The issuer has deleted its client.",
        (false, false) => "",
    };
    context.output.tell(&format!("Account {} is removed.{issuer}", reply.account));
    for remark in &reply.remarks {
        context.output.tell(remark);
    }
    Ok(Exit::Done)
}

fn agreed(args: &RemoveAccount, context: &mut Context) -> Result<bool, Failure> {
    if !prompt::is_possible() {
        return Err(Failure::new(Kind::InvalidArgument, "nobody is there to be asked").advise(
            format!("Say that you mean it:  iamctl account remove {} --yes", args.account),
        ));
    }
    let client = if args.keep_client {
        "its client stays registered at the issuer"
    } else {
        "a client that was registered for it alone is deleted at the issuer"
    };
    let account = match context.client()?.account(&args.account) {
        Err(failure) if failure.is(Kind::NoSuchAccount) => return Err(failure),
        account => account,
    };
    if account.is_ok_and(|account| account.state == state::LOCKED) {
        context.output.tell(&format!(
            "It is locked, so the issuer cannot be told that its sign-in is over. To have it \
             revoked, say no and unlock it first:  iamctl account unlock {}",
            args.account
        ));
    }
    let question = format!("Remove the account {}? It is signed out, {client}.", args.account);
    ask::yes(context, &question, false)
}

/// Tells what became of a change.
fn done(sentence: &str, reply: &ChangeReply, as_json: bool, context: &mut Context) {
    if as_json {
        context.output.json_line(&json::change(reply));
        return;
    }
    context.output.tell(sentence);
    for remark in &reply.remarks {
        context.output.tell(remark);
    }
}
