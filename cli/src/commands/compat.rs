//! iamctl under the names of oidc-agent's programs, for scripts that call those. A site that wants
//! it has links of these names to iamctl (`dist/install --with-oidc-agent-names`).
//!
//! Standard output and exit codes are the originals' (4.2 and 5.3): 0 done, 1 failed, 64 a command
//! line that means nothing. An option that has no use here is taken without a word where nothing is
//! lost by that; it is refused, with what to do instead, where a script would rely on what does not
//! happen.

mod add;
mod agent;
mod around;
mod generate;
mod options;
mod token;

use std::ffi::{OsStr, OsString};
use std::path::Path;

use clap::Parser;
use iamd_protocol::bus::{AccountInfo, state};
use iamd_protocol::error::Kind;
use iamd_protocol::names::{counterpart, fits, meant};

use super::issuer::same_url;
use crate::app::Context;
use crate::args::Cli;
use crate::client::Client;
use crate::failure::Failure;
use crate::output::text;

/// How these programs end.
const DONE: u8 = 0;
const FAILED: u8 = 1;
/// `EX_USAGE` of sysexits.h, as argp has it.
const USAGE: u8 = 64;

/// A program of oidc-agent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Program {
    Agent,
    Add,
    Gen,
    Token,
    Service,
    Keychain,
    Tokensh,
}

/// Their names; `dist/compat/names` lists them for the installer, and a test compares.
const NAMES: [(&str, Program); 7] = [
    ("oidc-add", Program::Add),
    ("oidc-agent", Program::Agent),
    ("oidc-agent-service", Program::Service),
    ("oidc-gen", Program::Gen),
    ("oidc-keychain", Program::Keychain),
    ("oidc-token", Program::Token),
    ("oidc-tokensh", Program::Tokensh),
];

impl Program {
    /// The program that iamctl was called as.
    pub(crate) fn called(as_what: Option<&OsStr>) -> Option<Self> {
        let name = Path::new(as_what?).file_name()?;
        NAMES.iter().find(|(known, _)| *known == name).map(|(_, program)| *program)
    }

    fn name(self) -> &'static str {
        NAMES.iter().find(|(_, program)| *program == self).map_or("", |(name, _)| name)
    }

    /// Does what the original would; the exit code.
    pub(crate) fn run(self, words: Vec<OsString>, context: &mut Context) -> u8 {
        let done = match self {
            Self::Agent => agent::run(words, context),
            Self::Add => add::run(words, context),
            Self::Gen => generate::run(words, context),
            Self::Token => token::run(words, context),
            Self::Service => around::service(words, context),
            Self::Keychain => around::keychain(words, context),
            Self::Tokensh => around::tokensh(words, context),
        };
        match done {
            Ok(code) | Err(Ended::Told(code)) => code,
            Err(Ended::Failed(failure)) => {
                tell_failure(&failure, context);
                FAILED
            }
        }
    }
}

/// Why a program ends before it is done.
#[derive(Debug)]
enum Ended {
    /// What there is to say is said: help, or a wrong command line.
    Told(u8),
    Failed(Failure),
}

impl From<Failure> for Ended {
    fn from(failure: Failure) -> Self {
        Self::Failed(failure)
    }
}

/// As the originals do; programs look for some of these sentences.
fn tell_failure(failure: &Failure, context: &mut Context) {
    let message = if failure.is(Kind::NoSuchAccount) {
        "No account configured with that short name"
    } else {
        &failure.message
    };
    context.output.err.line(&format!("Error: {message}"));
    if !failure.advice.is_empty() {
        context.output.err.line(&format!("  {}", failure.advice));
    }
}

/// The account of that name, or at that issuer. An empty name is none, and not the default account's.
///
/// # Errors
/// [`Kind::NoSuchAccount`]; [`Kind::InvalidArgument`] for the empty name.
fn find(client: &Client, named: &str) -> Result<AccountInfo, Failure> {
    if named.is_empty() {
        let text = "an empty name is given; an account has to be named";
        return Err(Failure::new(Kind::InvalidArgument, text).advise("See:  iamctl account list"));
    }
    if !named.contains("://") {
        return client.account(&meant(named)).map_err(|failure| told_name(failure, named));
    }
    let at_issuer: Vec<AccountInfo> =
        client.accounts()?.into_iter().filter(|one| same_url(&one.issuer, named)).collect();
    let default = at_issuer.iter().find(|account| account.is_default).or(at_issuer.first());
    default.cloned().ok_or_else(|| {
        let text = format!("you have no account at {}", text::clean(named));
        Failure::new(Kind::NoSuchAccount, text)
    })
}

/// Where the name is one that no account here can have, what takes its place.
fn told_name(failure: Failure, named: &str) -> Failure {
    if fits(&meant(named)) || named.contains("://") {
        return failure;
    }
    let other = match counterpart(named) {
        Some(name) => format!("No account here can have that name; it may be called:  {name}"),
        None => return failure,
    };
    Failure::new(Kind::NoSuchAccount, "no account can have that name").advise(other)
}

/// Whether oidc-agent would call it loaded: it gives tokens as it is.
fn is_loaded(account: &AccountInfo) -> bool {
    account.state == state::SIGNED_IN
}

/// Prints the accounts as `oidc-gen -l` and `oidc-add -l` do.
fn list(context: &mut Context) -> Result<u8, Ended> {
    let accounts = context.client()?.accounts()?;
    names(&accounts, "The following account configurations are usable: ", context);
    Ok(DONE)
}

fn names(accounts: &[AccountInfo], heading: &str, context: &mut Context) {
    context.output.line(heading);
    for account in accounts {
        context.output.line(&account.name);
    }
}

/// The account in the form of an opened file of oidc-agent, without its secrets.
fn print(named: &str, context: &mut Context) -> Result<u8, Ended> {
    let account = find(&context.client()?, named)?;
    let scope = account.scopes_asked.join(" ");
    let value = serde_json::json!({
        "name": account.name,
        "client_name": account.client_name.unwrap_or_default(),
        "issuer_url": account.issuer,
        "client_id": account.client_id.unwrap_or_default(),
        "scope": scope,
        "auth_scope": scope,
        "audience": account.audiences.join(" "),
        "redirect_uris": [],
    });
    context.output.line(&format!("{value:#}"));
    context.output.tell(&format!(
        "Secrets are not printed. Where the site allows it:  iamctl account show {} --secrets",
        account.name
    ));
    Ok(DONE)
}

/// Runs a command of iamctl's own. It fails as these programs do.
fn iamctl(words: &[&str], context: &mut Context) -> Result<u8, Ended> {
    let cli = Cli::try_parse_from(["iamctl"].iter().chain(words)).map_err(|error| {
        let text = error.to_string();
        Failure::new(Kind::InvalidArgument, text.trim_start_matches("error: ").trim_end())
    })?;
    Ok(super::run(&cli.command, context)?)
}

#[cfg(test)]
mod tests;
