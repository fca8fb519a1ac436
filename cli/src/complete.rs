//! Completion: the shell's script runs `iamctl` with a variable set at each Tab, and `iamctl`
//! answers from its own definitions and, for names of accounts and issuers, from the daemon.

use std::time::Duration;

use clap::{Command, CommandFactory};
use clap_complete::engine::{ArgValueCandidates, CompletionCandidate};
use clap_complete::env::{CompleteEnv, Shells};
use iamd_protocol::variables::IAMD_BUS_ADDRESS;

use crate::args::Cli;
use crate::client::Client;
use crate::environment::Environment;

/// The variable that asks for completions.
const VARIABLE: &str = "IAMCTL_COMPLETE";
/// A Tab must not wait for a daemon that is slow.
const LIMIT: Duration = Duration::from_secs(1);

/// Answers the shell, if it is the shell that called. Else does nothing.
pub(crate) fn answer(environment: &Environment) -> bool {
    let environment = environment.clone();
    let command = move || with_candidates(&environment);
    let directory = std::env::current_dir().ok();
    CompleteEnv::with_factory(command)
        .var(VARIABLE)
        .try_complete(std::env::args_os(), directory.as_deref())
        // A shell can do nothing with an error; it shows no completions.
        .unwrap_or(true)
}

/// The script for a shell.
///
/// # Errors
/// The shell is not known to clap.
pub(crate) fn script(shell: &str) -> std::io::Result<Vec<u8>> {
    let shells = Shells::builtins();
    let completer = shells.completer(shell).ok_or(std::io::ErrorKind::Unsupported)?;
    let mut script = Vec::new();
    completer.write_registration(VARIABLE, "iamctl", "iamctl", "iamctl", &mut script)?;
    Ok(script)
}

/// The command line, with where to look for names.
fn with_candidates(environment: &Environment) -> Command {
    let accounts = candidates(environment, |client| {
        Some(client.accounts().ok()?.into_iter().map(|account| account.name).collect())
    });
    let issuers = candidates(environment, |client| {
        Some(client.issuers().ok()?.into_iter().map(|issuer| issuer.name).collect())
    });
    walk(Cli::command(), &accounts, &issuers)
}

fn walk(command: Command, accounts: &ArgValueCandidates, issuers: &ArgValueCandidates) -> Command {
    let command = command.mut_args(|arg| match arg.get_id().as_str() {
        "account" => arg.add(accounts.clone()),
        "issuer" => arg.add(issuers.clone()),
        _ => arg,
    });
    command.mut_subcommands(|subcommand| walk(subcommand, accounts, issuers))
}

fn candidates(
    environment: &Environment,
    ask: impl Fn(&Client) -> Option<Vec<String>> + Send + Sync + 'static,
) -> ArgValueCandidates {
    let address = environment.non_empty(IAMD_BUS_ADDRESS).map(ToOwned::to_owned);
    ArgValueCandidates::new(move || {
        let client = Client::connect(address.as_deref(), LIMIT).ok();
        let names = client.and_then(|client| ask(&client)).unwrap_or_default();
        names.into_iter().map(CompletionCandidate::new).collect()
    })
}
