//! Completion: the shell's script runs `iamctl` with a variable set at each Tab, and `iamctl`
//! answers from its own definitions and, for names of accounts and issuers and for scopes, from the
//! daemon.

mod scripts;

use std::ffi::OsString;
use std::sync::Arc;
use std::sync::mpsc::{self, Sender};
use std::time::Duration;

use clap::{Command, CommandFactory};
use clap_complete::engine::{ArgValueCandidates, CompletionCandidate};
use clap_complete::env::{CompleteEnv, Fish, Shells};
use iamd_protocol::variables::IAMD_BUS_ADDRESS;

use crate::args::Cli;
use crate::client::Client;
use crate::clock::Stopwatch;
use crate::environment::Environment;
use crate::failure::Failure;

const SHELLS: Shells<'_> = Shells(&[&scripts::BASH, &Fish, &scripts::ZSH]);
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
        .shells(SHELLS)
        .try_complete(std::env::args_os(), directory.as_deref())
        // A shell can do nothing with an error; it shows no completions.
        .unwrap_or(true)
}

/// The script for a shell.
///
/// # Errors
/// The shell is not known to clap.
pub(crate) fn script(shell: &str) -> std::io::Result<Vec<u8>> {
    let completer = SHELLS.completer(shell).ok_or(std::io::ErrorKind::Unsupported)?;
    let mut script = Vec::new();
    completer.write_registration(VARIABLE, "iamctl", "iamctl", "iamctl", &mut script)?;
    Ok(script)
}

/// The command line, with where to look for names and scopes.
fn with_candidates(environment: &Environment) -> Command {
    let accounts = candidates(environment, |client, found| {
        for account in client.accounts()? {
            let _ = found.send(account.name);
        }
        Ok(())
    });
    let issuers = candidates(environment, |client, found| {
        for issuer in client.issuers()? {
            let _ = found.send(issuer.name);
        }
        Ok(())
    });
    let typed: Vec<String> =
        std::env::args_os().filter_map(|word| OsString::into_string(word).ok()).collect();
    let scopes = candidates(environment, move |client, found| scopes(client, &typed, found));
    walk(Cli::command(), &[("account", accounts), ("issuer", issuers), ("scopes", scopes)])
}

fn walk(command: Command, known: &[(&str, ArgValueCandidates)]) -> Command {
    let command = command.mut_args(|arg| {
        let id = match arg.get_id().as_str() {
            "add_scopes" | "remove_scopes" => "scopes",
            id => id,
        };
        match known.iter().find(|(name, _)| *name == id) {
            Some((_, candidates)) => arg.add(candidates.clone()),
            None => arg,
        }
    });
    let command = match command.get_name() {
        // A name that is an issuer's says which one.
        "add" => command.mut_args(|arg| match known.iter().find(|(name, _)| *name == "issuer") {
            Some((_, issuers)) if arg.get_id() == "name" => arg.add(issuers.clone()),
            _ => arg,
        }),
        _ => command,
    };
    command.mut_subcommands(|subcommand| walk(subcommand, known))
}

/// Those of the account or of the issuer that the line names, else of the default account: what a
/// sign-in asks for, then what the issuer says it offers. The quick answers come first, for when
/// the time is up.
fn scopes(client: &Client, typed: &[String], found: &Sender<String>) -> Result<(), Failure> {
    let send = |scopes: Vec<String>| scopes.into_iter().for_each(|scope| drop(found.send(scope)));
    let (accounts, issuers) = (client.accounts()?, client.issuers()?);
    let of_option = issuer_of(typed);
    let is_typed = |name: &String| typed.contains(name);
    let named = accounts.iter().find(|account| of_option.is_none() && is_typed(&account.name));
    let of_word = || {
        let issuer = issuers.iter().find(|issuer| is_typed(&issuer.name) || is_typed(&issuer.url));
        Some(issuer?.name.clone())
    };
    let issuer = match named {
        Some(_) => None,
        None => of_option.or_else(of_word),
    };
    let account = match &issuer {
        Some(_) => None,
        None => named.or_else(|| accounts.iter().find(|account| account.is_default)),
    };
    let issuer = issuer.or_else(|| {
        let default = issuers.iter().find(|issuer| issuer.is_default);
        account.map(|account| account.issuer.clone()).or_else(|| Some(default?.name.clone()))
    });
    if let Some(account) = account {
        send(account.scopes.clone());
        send(account.scopes_asked.clone());
    }
    let Some(issuer) = issuer else { return Ok(()) };
    if let Some(known) = issuers.iter().find(|known| known.name == issuer || known.url == issuer) {
        send(known.scopes.clone());
    }
    send(client.issuer(&issuer)?.scopes_offered.unwrap_or_default());
    Ok(())
}

/// What stands after `--issuer` on the line.
fn issuer_of(typed: &[String]) -> Option<String> {
    typed.iter().enumerate().find_map(|(index, word)| match word.strip_prefix("--issuer")? {
        "" => typed.get(index + 1).cloned(),
        value => value.strip_prefix('=').map(str::to_owned),
    })
}

/// What `ask` sends, each once, as far as it comes in time.
fn candidates(
    environment: &Environment,
    ask: impl Fn(&Client, &Sender<String>) -> Result<(), Failure> + Send + Sync + 'static,
) -> ArgValueCandidates {
    let address = environment.non_empty(IAMD_BUS_ADDRESS).map(ToOwned::to_owned);
    let ask = Arc::new(ask);
    ArgValueCandidates::new(move || {
        let (address, ask) = (address.clone(), ask.clone());
        let (sender, answers) = mpsc::channel();
        // Given up when the time is over: the program ends then.
        std::thread::spawn(move || {
            // A shell can do nothing with an error; what was sent before it stays.
            let _ =
                Client::connect(address.as_deref(), LIMIT).and_then(|client| ask(&client, &sender));
        });
        let since = Stopwatch::start();
        let mut found: Vec<String> = Vec::new();
        while let Ok(name) = answers.recv_timeout(LIMIT.saturating_sub(since.elapsed())) {
            if !found.contains(&name) {
                found.push(name);
            }
        }
        found.into_iter().map(CompletionCandidate::new).collect()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_issuer_on_the_line_is_found_in_both_ways_to_write_it() {
        let of = |line: &str| issuer_of(&line.split(' ').map(str::to_owned).collect::<Vec<_>>());
        assert_eq!(of("account add x --issuer cms -s").as_deref(), Some("cms"));
        assert_eq!(of("account add x --issuer=cms -s").as_deref(), Some("cms"));
        assert_eq!(of("login -s --issuer"), None);
        assert_eq!(of("token --issuers cms"), None);
    }
}
