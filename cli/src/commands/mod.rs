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

use iamd_protocol::error::Exit;

use crate::app::Context;
use crate::args::{Account, Admin, Command, Issuer};
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
        Command::Account(Account::List(args)) => account::list(args, context),
        Command::Account(Account::Show(args)) => account::show(args, context),
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
        Command::Status(args) => args.json,
        Command::Doctor(args) => args.json,
        Command::Account(Account::List(args)) | Command::Issuer(Issuer::List(args)) => args.json,
        Command::Account(Account::Show(args)) => args.json,
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
