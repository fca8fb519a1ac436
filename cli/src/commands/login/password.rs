//! `iamctl login --flow password`: user name and password, asked for or by descriptor, used once.

use iamd_protocol::bus::{LoginInfo, LoginOptions, login_state};
use iamd_protocol::error::{Exit, Kind};

use secrecy::SecretString;

use super::show::{Display, new_account};
use crate::app::Context;
use crate::args::{Flow, Login};
use crate::client::Client;
use crate::failure::Failure;
use crate::{ask, prompt};

const WARNING: &str = "Warning: RFC 9700 says not to give your password to anything but the \
                       issuer's own page. It is used once and not kept.";

/// Whether the options go together.
///
/// # Errors
/// [`Kind::InvalidArgument`].
pub(super) fn check(args: &Login) -> Result<(), Failure> {
    let refuse = |text: &str| Err(Failure::new(Kind::InvalidArgument, text));
    let named = args.user.is_some() || args.password_fd.is_some() || args.credentials_fd.is_some();
    if args.flow != Flow::Password {
        return if named {
            refuse("--user, --password-fd and --credentials-fd go with --flow password")
        } else {
            Ok(())
        };
    }
    if args.new_client || args.no_wait || args.timeout.is_some() {
        return refuse("--new-client, --no-wait and --timeout do not go with --flow password");
    }
    Ok(())
}

/// Signs in with a password.
///
/// # Errors
/// Those of `LoginWithPassword`; there is no password to be had.
pub(super) fn sign_in(
    client: &Client,
    name: Option<&str>,
    options: LoginOptions,
    args: &Login,
    context: &mut Context,
) -> Result<Exit, Failure> {
    let failed = |failure: Failure| in_a_browser(failure).about(name);
    let account = name.unwrap_or_default();
    // Who may not hears so before a password is typed.
    let may = client.login_with_password(account, options.clone(), None).map_err(failed)?;
    let makes_account = super::makes_account(client, &may, args);
    let login = if may.state == login_state::PASSWORD_NEEDED {
        if makes_account && !args.json {
            context.output.tell(&new_account(&may));
        }
        context.output.tell(WARNING);
        let (user, password) = match args.credentials_fd {
            Some(fd) => prompt::pair_from_fd(fd)?,
            None => {
                let user = user_name(args, &may, context)?;
                let password = password_of(&user, args, &may, context)?;
                (user, password)
            }
        };
        // A name too: some type their password where it is asked for.
        let pipes = (prompt::to_pipe(&user.into())?, prompt::to_pipe(&password)?);
        drop(password);
        client.login_with_password(account, options, Some(pipes)).map_err(failed)?
    } else {
        may
    };
    if args.if_needed && !args.json {
        return Ok(Exit::Done);
    }
    // Whom it is told, it was told before the password was typed.
    let mut display = Display::new(makes_account && args.json, args, context);
    display.state(&login);
    let account = client.account(&login.account).ok();
    display.done(&login, account.as_ref());
    Ok(Exit::Done)
}

fn password_of(
    user: &str,
    args: &Login,
    may: &LoginInfo,
    context: &Context,
) -> Result<SecretString, Failure> {
    if let Some(fd) = args.password_fd {
        return prompt::from_fd(fd);
    }
    let question = format!("Password of {user} at {}: ", may.issuer_title);
    prompt::secret(&context.output.err.spelled(&question))
        .map_err(|failure| by_descriptor(failure, "--password-fd N"))
}

fn user_name(args: &Login, may: &LoginInfo, context: &mut Context) -> Result<String, Failure> {
    if let Some(user) = &args.user {
        return Ok(user.clone());
    }
    if !prompt::is_possible() {
        let failure = Failure::new(Kind::InvalidArgument, "there is no terminal to ask on");
        return Err(by_descriptor(failure, "--credentials-fd N"));
    }
    let local = context.environment.user_name();
    let question = format!("User name at {} [{local}]: ", may.issuer_title);
    let answer = ask::line(context, &question, &[])?;
    Ok(if answer.is_empty() { local } else { answer })
}

/// Where nobody can be asked, the options that help are named.
fn by_descriptor(failure: Failure, options: &str) -> Failure {
    if prompt::is_possible() || !failure.advice.is_empty() {
        return failure;
    }
    failure.advise(format!("Give it by options:  --flow password {options}"))
}

/// Whatever is in the way of a password, there is another way.
fn in_a_browser(failure: Failure) -> Failure {
    let what = match () {
        () if failure.is(Kind::DeniedByPolicy) => "Until then, sign in in a browser:  iamctl login",
        () if failure.is(Kind::ActionNeeded) => {
            "Do that, then try again. To sign in in a browser:  iamctl login"
        }
        () if failure.is(Kind::TooManyAttempts) => {
            "Wait a minute, then try again; or sign in in a browser:  iamctl login"
        }
        () if failure.is(Kind::ClientBroken)
            || failure.is(Kind::ClientRefused)
            || failure.is(Kind::IssuerRefused) =>
        {
            "Administrators can look into it. To sign in in a browser:  iamctl login"
        }
        () => return failure,
    };
    failure.advise(what)
}
