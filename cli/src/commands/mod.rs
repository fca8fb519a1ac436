//! The commands, a file each.

mod account;
mod admin;
mod ask;
mod compat;
mod completions;
mod doctor;
mod issuer;
mod login;
mod logout;
mod man;
mod passphrase;
mod run;
mod status;
mod token;

pub(crate) use account::VARIABLES;
pub(crate) use compat::Program;

use crate::app::Context;
use crate::args::{Command, Issuer};
use crate::failure::Failure;

/// Does what was asked; the exit code.
///
/// # Errors
/// Why it was not done.
pub(crate) fn run(command: &Command, context: &mut Context) -> Result<u8, Failure> {
    let done = match command {
        // Whose exit code is that of another command.
        Command::Run(args) => return run::run(args, context),
        Command::Login(args) => login::run(args, context),
        Command::Logout(args) => logout::run(args, context),
        Command::Token(args) => token::run(args, context),
        Command::Status(args) => status::run(args, context),
        Command::Account(command) => account::run(command, context),
        Command::Issuer(Issuer::List(args)) => issuer::list(args, context),
        Command::Issuer(Issuer::Show(args)) => issuer::show(args, context),
        Command::Doctor(args) => doctor::run(args, context),
        Command::Admin(command) => admin::run(command, context),
        Command::Completions(args) => completions::run(args, context),
        Command::GenerateMan(args) => man::run(args, context),
    };
    done.map(|exit| exit as u8)
}

/// Whether the command was asked for JSON: its errors are then JSON too.
pub(crate) fn as_json(command: &Command) -> bool {
    match command {
        Command::Login(args) => args.json,
        Command::Logout(args) => args.json,
        Command::Token(args) => args.json,
        Command::Status(args) => args.json,
        Command::Doctor(args) => args.json,
        Command::Account(command) => account::as_json(command),
        Command::Issuer(Issuer::List(args)) => args.json,
        Command::Issuer(Issuer::Show(args)) => args.json,
        Command::Admin(command) => admin::as_json(command),
        Command::Run(_) | Command::Completions(_) | Command::GenerateMan(_) => false,
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

/// The scopes that an account is to ask for, and whether all that the issuer offers besides.
fn asked_scopes(values: &[String]) -> (Option<Vec<String>>, Option<bool>) {
    let mut scopes = words(values).unwrap_or_default();
    let before = scopes.len();
    scopes.retain(|scope| scope != MAX);
    let all = scopes.len() < before;
    ((!scopes.is_empty()).then_some(scopes), all.then_some(true))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn max_is_all_scopes_and_may_have_others_beside_it() {
        let asked = |values: &[&str]| {
            asked_scopes(&values.iter().map(|value| (*value).to_owned()).collect::<Vec<_>>())
        };
        let some = |words: &[&str]| Some(words.iter().map(|word| (*word).to_owned()).collect());
        assert_eq!(asked(&[]), (None, None));
        assert_eq!(asked(&["a b", "c"]), (some(&["a", "b", "c"]), None));
        assert_eq!(asked(&["max", " max "]), (None, Some(true)));
        assert_eq!(asked(&["max storage.read:/x"]), (some(&["storage.read:/x"]), Some(true)));
    }
}
