//! The scripts around oidc-agent: `oidc-agent-service`, `oidc-keychain` and `oidc-tokensh`.

use std::ffi::OsString;

use clap::Parser;
use iamd_protocol::error::Kind;

use super::options::{Other, Takes, Then, other, parse, refused, short};
use super::{DONE, Ended, FAILED, Program, USAGE, add, agent, iamctl};
use crate::app::Context;
use crate::failure::Failure;

const SERVICE: &str = "Usage: oidc-agent-service use | start | restart | restart-s | stop | kill";

/// `oidc-agent-service`: there is nothing of the user's to be started or stopped.
pub(super) fn service(given: Vec<OsString>, context: &mut Context) -> Result<u8, Ended> {
    let word = given.first().and_then(|word| word.to_str()).unwrap_or_default();
    match word {
        "use" | "start" | "restart" | "start-from-x" => {
            agent::start(context)?;
        }
        "restart-s" | "stop" | "kill" => {}
        "-h" | "--help" => context.output.err.line(SERVICE),
        _ => {
            context.output.err.line(SERVICE);
            return Ok(FAILED);
        }
    }
    Ok(DONE)
}

/// `oidc-keychain`: what it passes on to an agent is taken or refused as the agent's name does.
pub(super) fn keychain(given: Vec<OsString>, context: &mut Context) -> Result<u8, Ended> {
    let mut words = given.into_iter();
    let (mut passed_on, mut accounts) = (Vec::new(), Vec::new());
    while let Some(word) = words.next() {
        match &*word.to_string_lossy() {
            "-k" | "--kill" => {
                agent::kill(context);
                return Ok(DONE);
            }
            "-h" | "-?" | "--help" | "--usage" => {
                context.output.err.line("Usage: oidc-keychain [-k] [--accounts ACCOUNT ...]");
                return Ok(DONE);
            }
            "-V" | "--version" => {
                context.output.line(concat!("oidc-keychain (iamd) ", env!("CARGO_PKG_VERSION")));
                return Ok(DONE);
            }
            "--accounts" => {
                accounts.extend(words.by_ref().map(|name| name.to_string_lossy().into_owned()));
            }
            _ => passed_on.push(word),
        }
    }
    agent::passed_on(passed_on, context)?;
    agent::start(context)?;
    for account in accounts {
        add::load(&account, context)?;
    }
    Ok(DONE)
}

const OTHERS: &[Other] = &[
    short('v', &["verbose"], Takes::Nothing, Then::Ignored),
    other(
        &["renewer"],
        Takes::Nothing,
        Then::Refused("it is a part of the original's own; the daemon renews"),
    ),
];

/// Run a command, or a shell, with a token that is kept fresh.
#[derive(Debug, Parser)]
struct Asked {
    /// The account's short name, or its issuer's URL
    #[arg(long, value_name = "NAME | URL")]
    oidc: Option<String>,
    /// Valid for at least so many seconds
    #[arg(long, value_name = "SECONDS", default_value_t = 60)]
    minsecs: u32,
    /// Print the token into this file, and run nothing
    #[arg(short = 'o', long, value_name = "FILE")]
    outfile: Option<String>,
    /// The command
    #[arg(value_name = "COMMAND", trailing_var_arg = true)]
    command: Vec<String>,
}

/// `oidc-tokensh`.
pub(super) fn tokensh(given: Vec<OsString>, context: &mut Context) -> Result<u8, Ended> {
    let mut asked: Asked = parse(Program::Tokensh, given, &[OTHERS], context)?;
    if asked.oidc.is_none() && asked.command.is_empty() && asked.outfile.is_none() {
        context.output.err.line("oidc-tokensh: --oidc NAME is missing");
        return Ok(USAGE);
    }
    if asked.outfile.is_some() && !asked.command.is_empty() {
        return Err(refused(
            "--outfile",
            "a command has its token in $BEARER_TOKEN_FILE, which is kept fresh while it runs:  iamctl \
             run -- COMMAND   For a file of yours, once:  iamctl token --outfile FILE",
        )
        .into());
    }
    asked.oidc = asked.oidc.map(|named| iamd_protocol::names::meant(&named));
    let words =
        asked.words(context.environment.non_empty("SHELL").map(|one| one.to_string_lossy().into()));
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    iamctl(&words, context).map_err(|ended| match ended {
        // A command line that cannot be one of iamctl's.
        Ended::Failed(failure) if failure.is(Kind::InvalidArgument) => {
            Ended::Failed(Failure { advice: String::new(), ..failure })
        }
        other => other,
    })
}

impl Asked {
    /// The command of iamctl that does it.
    fn words(&self, shell: Option<String>) -> Vec<String> {
        let min_valid = format!("--min-valid={}", self.minsecs);
        if let Some(file) = &self.outfile {
            let mut words = vec!["token".to_owned(), min_valid, format!("--outfile={file}")];
            words.extend(self.oidc.clone());
            return words;
        }
        let mut words = vec!["run".to_owned(), min_valid];
        words.extend(self.oidc.as_ref().map(|account| format!("--account={account}")));
        words.push("--".to_owned());
        if self.command.is_empty() {
            words.push(shell.filter(|shell| !shell.is_empty()).unwrap_or("/bin/sh".to_owned()));
        }
        words.extend(self.command.iter().cloned());
        words
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shell_or_a_command_is_run_by_iamctl_run() {
        for (line, command) in [
            ("--oidc cms", "run --min-valid=60 --account=cms -- /bin/zsh"),
            ("--oidc cms --minsecs 90 -- ls -l", "run --min-valid=90 --account=cms -- ls -l"),
            ("ls -l", "run --min-valid=60 -- ls -l"),
            ("--oidc cms -o f", "token --min-valid=60 --outfile=f cms"),
        ] {
            let words = std::iter::once("oidc-tokensh").chain(line.split(' '));
            let asked = Asked::try_parse_from(words).unwrap();
            assert_eq!(asked.words(Some("/bin/zsh".into())).join(" "), command);
        }
    }
}
