//! The commands, a file each.

mod account;
mod admin;
mod completions;
mod doctor;
mod issuer;
mod login;
mod logout;
mod man;
mod status;
mod token;

pub(crate) use account::VARIABLES;
use iamd_protocol::error::{Exit, Kind};

use crate::app::Context;
use crate::args::{Admin, Command, Issuer};
use crate::failure::Failure;

/// Does what was asked.
///
/// # Errors
/// Why it was not done.
pub(crate) fn run(command: &Command, context: &mut Context) -> Result<Exit, Failure> {
    match command {
        Command::Login(args) => login::run(args, context),
        Command::Logout(args) => logout::run(args, context),
        Command::Token(args) => token::run(args, context),
        Command::Status(args) => status::run(args, context),
        Command::Account(command) => account::run(command, context),
        Command::Issuer(Issuer::List(args)) => issuer::list(args, context),
        Command::Issuer(Issuer::Show(args)) => issuer::show(args, context),
        Command::Doctor(args) => doctor::run(args, context),
        Command::Admin(Admin::Users(args)) => admin::users(args, context),
        Command::Admin(Admin::Sessions(args)) => admin::sessions(args, context),
        Command::Admin(Admin::Reload(args)) => admin::reload(args, context),
        Command::Completions(args) => completions::run(args, context),
        Command::GenerateMan(args) => man::run(args, context),
    }
}

/// Whether the command was asked for JSON: its errors are then JSON too.
pub(crate) fn as_json(command: &Command) -> bool {
    match command {
        Command::Login(args) => args.json,
        Command::Logout(args) => args.json,
        Command::Token(args) => args.json,
        Command::Status(args) | Command::Doctor(args) => args.json,
        Command::Account(command) => account::as_json(command),
        Command::Issuer(Issuer::List(args)) => args.json,
        Command::Issuer(Issuer::Show(args)) => args.json,
        Command::Admin(Admin::Users(args) | Admin::Sessions(args) | Admin::Reload(args)) => {
            args.json
        }
        Command::Completions(_) | Command::GenerateMan(_) => false,
    }
}

/// Scopes and the like, given one by one or several in quotes; none: `None`.
fn words(values: &[String]) -> Option<Vec<String>> {
    let words: Vec<String> =
        values.iter().flat_map(|value| value.split_whitespace()).map(str::to_owned).collect();
    (!words.is_empty()).then_some(words)
}

/// Instead of scopes: all that the issuer offers.
const MAX: &str = "max";

/// The scopes that an account is to ask for, or that it is all of them.
///
/// # Errors
/// [`Kind::InvalidArgument`] when single scopes are named besides.
fn asked_scopes(values: &[String]) -> Result<(Option<Vec<String>>, Option<bool>), Failure> {
    let scopes = words(values);
    match &scopes {
        Some(words) if words.iter().any(|word| word == MAX) => {
            if words.iter().any(|word| word != MAX) {
                let text =
                    format!("{MAX} asks for all that the issuer offers: name no other scope");
                return Err(Failure::new(Kind::InvalidArgument, text)
                    .advise("What it does not list, such as a path, is added by:  iamctl account edit --add-scope"));
            }
            Ok((None, Some(true)))
        }
        _ => Ok((scopes, None)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn max_is_all_scopes_and_stands_alone() {
        let asked = |values: &[&str]| {
            asked_scopes(&values.iter().map(|value| (*value).to_owned()).collect::<Vec<_>>())
        };
        assert_eq!(asked(&[]), Ok((None, None)));
        assert_eq!(
            asked(&["a b", "c"]),
            Ok((Some(["a", "b", "c"].map(str::to_owned).into()), None))
        );
        assert_eq!(asked(&["max", " max "]), Ok((None, Some(true))));
        assert!(asked(&["openid max"]).unwrap_err().is(Kind::InvalidArgument));
    }
}
