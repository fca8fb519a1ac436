//! `oidc-add`: accounts are there without it. One that has a passphrase is unlocked and locked.

use std::ffi::OsString;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use clap::Parser;
use iamd_protocol::bus::{AccountInfo, UnlockOptions, state};
use iamd_protocol::error::Kind;
use secrecy::SecretString;
use zeroize::{Zeroize, Zeroizing};

use super::options::{Other, TALK, Takes, Then, other, parse, refused, short};
use super::{DONE, Ended, Program, USAGE, find, is_loaded, list, names, print};
use crate::app::Context;
use crate::client::Client;
use crate::failure::Failure;
use crate::{environment, prompt};

const OTHERS: &[Other] = &[
    short('v', &["verbose"], Takes::Nothing, Then::Ignored),
    other(&["pw-store"], Takes::Maybe, Then::Ignored),
    other(&["pw-prompt"], Takes::Value, Then::Ignored),
    other(&["always-allow-idtoken"], Takes::Nothing, Then::Ignored),
    other(&["skip-check"], Takes::Nothing, Then::Ignored),
    short(
        'c',
        &["confirm"],
        Takes::Nothing,
        Then::Refused(
            "nobody is asked about each use here; an account that shall not be used unseen has a \
             passphrase:  iamctl account passphrase",
        ),
    ),
    other(
        &["remote"],
        Takes::Nothing,
        Then::Refused("iamctl speaks to the daemon of the node it runs on"),
    ),
    other(
        &["pw-keyring"],
        Takes::Nothing,
        Then::Refused("give the passphrase with --pw-cmd, --pw-file or --pw-env"),
    ),
    other(
        &["pw-gpg", "pw-pgp", "gpg", "pgp"],
        Takes::Value,
        Then::Refused("give the passphrase with --pw-cmd='gpg -d FILE'"),
    ),
];

/// Load an account: here, unlock one that has a passphrase.
#[derive(Debug, Parser)]
struct Asked {
    /// The account's short name, or its issuer's URL
    #[arg(value_name = "ACCOUNT_SHORTNAME")]
    account: Option<String>,
    /// Lock it again
    #[arg(short = 'r', long)]
    remove: bool,
    /// Lock all
    #[arg(short = 'R', long)]
    remove_all: bool,
    /// List all accounts
    #[arg(short = 'l', long)]
    list: bool,
    /// List those that give tokens as they are
    #[arg(short = 'a', long)]
    loaded: bool,
    /// Print an account, without its secrets
    #[arg(short = 'p', long)]
    print: bool,
    /// Lock it again after so many seconds
    #[arg(short = 't', long, value_name = "TIME")]
    lifetime: Option<u32>,
    /// Lock all
    #[arg(short = 'x', long)]
    lock: bool,
    /// Unlock all
    #[arg(short = 'X', long)]
    unlock: bool,
    /// Get a new token
    #[arg(short = 'f', long)]
    force: bool,
    /// The variable that has the passphrase
    #[arg(
        long,
        value_name = "VAR",
        num_args = 0..=1,
        require_equals = true,
        default_missing_value = "OIDC_ENCRYPTION_PW"
    )]
    pw_env: Option<String>,
    /// The command that prints the passphrase
    #[arg(long, value_name = "CMD")]
    pw_cmd: Option<OsString>,
    /// The file that has the passphrase
    #[arg(long, value_name = "FILE")]
    pw_file: Option<PathBuf>,
}

/// Does what was asked.
pub(super) fn run(given: Vec<OsString>, context: &mut Context) -> Result<u8, Ended> {
    let asked: Asked = parse(Program::Add, given, &[TALK, OTHERS], context)?;
    if asked.list {
        return list(context);
    }
    if asked.loaded {
        let mut accounts = context.client()?.accounts()?;
        accounts.retain(is_loaded);
        if accounts.is_empty() {
            context.output.line("No account configurations are currently loaded.");
        } else {
            let heading = "The following account configurations are currently loaded: ";
            names(&accounts, heading, context);
        }
        return Ok(DONE);
    }
    if asked.lock || asked.remove_all {
        return lock_all(&context.client()?, context);
    }
    if asked.unlock {
        return asked.unlock_all(context);
    }
    let Some(named) = asked.account.as_deref().filter(|account| !account.is_empty()) else {
        context.output.err.line("oidc-add: an account has to be named, or -a, -l, -x, -X or -R");
        return Ok(USAGE);
    };
    if asked.print {
        return print(named, context);
    }
    let client = context.client()?;
    let account = find(&client, named)?;
    if asked.remove {
        return remove(&client, &account, context);
    }
    asked.load(&client, &account, context)?;
    if asked.force {
        let options = iamd_protocol::bus::TokenOptions {
            force_new: Some(true),
            application: Some(Program::Add.name().to_owned()),
            ..Default::default()
        };
        crate::commands::ask::token(context, &account.name, &options)?;
    }
    success(context)
}

fn success(context: &mut Context) -> Result<u8, Ended> {
    context.output.line("success");
    Ok(DONE)
}

fn has_passphrase(account: &AccountInfo) -> bool {
    account.has_passphrase == Some(true)
}

/// Puts away the keys of all accounts that have a passphrase. Where any gives tokens after that, the
/// script that relied on none does is told so, and by the exit code.
fn lock_all(client: &Client, context: &mut Context) -> Result<u8, Ended> {
    let accounts = client.accounts()?;
    let (guarded, open): (Vec<_>, Vec<_>) = accounts.iter().partition(|one| has_passphrase(one));
    let mut locked: usize = 0;
    for account in guarded.iter().filter(|one| one.state != state::LOCKED) {
        client.lock(&account.name)?;
        locked += 1;
    }
    let open: Vec<&str> =
        open.into_iter().filter(|one| is_loaded(one)).map(|one| one.name.as_str()).collect();
    if !open.is_empty() {
        let locked = if locked == 0 { "nothing was locked" } else { "the others are locked" };
        return Err(stays_usable(locked, &open).into());
    }
    if locked == 0 {
        context.output.tell("oidc-add: no account gave tokens: nothing was to be locked");
    }
    success(context)
}

fn remove(client: &Client, account: &AccountInfo, context: &mut Context) -> Result<u8, Ended> {
    if has_passphrase(account) {
        client.lock(&account.name)?;
        return success(context);
    }
    if is_loaded(account) {
        return Err(stays_usable("nothing was locked", &[&account.name]).into());
    }
    context
        .output
        .tell(&format!("oidc-add: {} gave no tokens: nothing was to be locked", account.name));
    success(context)
}

/// Accounts that go on giving tokens, where a script relied on their not doing so.
fn stays_usable(done: &str, names: &[&str]) -> Failure {
    let text = format!("{done}: without a passphrase, and so still usable: {}", names.join(" "));
    let name = if let [name] = names { name } else { "NAME" };
    Failure::new(Kind::InvalidArgument, text).advise(format!(
        "To set one:  iamctl account passphrase {name}   To give it up:  iamctl logout {name}"
    ))
}

/// Sees to it that the account gives tokens, as far as that needs nobody's passphrase.
///
/// # Errors
/// There is no such account, it is locked, or has to be signed in.
pub(super) fn load(named: &str, context: &mut Context) -> Result<(), Failure> {
    let client = context.client()?;
    let account = find(&client, named)?;
    Asked::default().load(&client, &account, context)
}

impl Default for Asked {
    fn default() -> Self {
        Self::parse_from(["oidc-add"])
    }
}

impl Asked {
    fn load(
        &self,
        client: &Client,
        account: &AccountInfo,
        context: &mut Context,
    ) -> Result<(), Failure> {
        let name = &account.name;
        if has_passphrase(account) && account.state == state::LOCKED {
            let passphrase = self.passphrase(Some(name))?;
            let options = UnlockOptions { for_seconds: self.lifetime };
            return client.unlock(name, options, prompt::to_pipe(&passphrase)?);
        }
        if is_loaded(account) {
            if self.lifetime.is_some() {
                context.output.tell(
                    "oidc-add: -t is for an account that has a passphrase and is locked; this one \
                     stays",
                );
            }
            return Ok(());
        }
        let why = account.reason.clone().unwrap_or_else(|| format!("{name} is not signed in"));
        let kind = match account.state.as_str() {
            state::REFUSED => Kind::DeniedByPolicy,
            _ => Kind::LoginRequired,
        };
        Err(Failure::new(kind, why).about(Some(name)))
    }

    fn unlock_all(&self, context: &mut Context) -> Result<u8, Ended> {
        let client = context.client()?;
        let accounts = client.accounts()?;
        let locked: Vec<_> = accounts.iter().filter(|one| one.state == state::LOCKED).collect();
        if locked.is_empty() {
            if !accounts.iter().any(has_passphrase) {
                return Err(
                    refused("--unlock", "no account has a passphrase: none is locked").into()
                );
            }
            context.output.tell("oidc-add: no account is locked: nothing was to be unlocked");
        } else {
            let passphrase = self.passphrase(None)?;
            for account in locked {
                let options = UnlockOptions { for_seconds: self.lifetime };
                client.unlock(&account.name, options, prompt::to_pipe(&passphrase)?)?;
            }
        }
        success(context)
    }

    fn passphrase(&self, name: Option<&str>) -> Result<SecretString, Failure> {
        let none = |from: &str| refused(from, "no passphrase is there");
        if let Some(variable) = &self.pw_env
            && let Some(passphrase) = environment::secret(variable)
        {
            return Ok(passphrase);
        }
        if let Some(command) = &self.pw_cmd {
            return of_command(command).ok_or_else(|| none("--pw-cmd"));
        }
        if let Some(file) = &self.pw_file {
            let mut content =
                std::fs::read(file).map_err(|error| refused("--pw-file", &error.to_string()))?;
            let passphrase = first_line(&content);
            content.zeroize();
            return passphrase.ok_or_else(|| none("--pw-file"));
        }
        if self.pw_env.is_some() && !prompt::is_possible() {
            return Err(none("--pw-env"));
        }
        let question = match name {
            Some(name) => format!("Passphrase of {name}: "),
            None => "Passphrase: ".to_owned(),
        };
        prompt::secret(&question)
            .map_err(|failure| failure.advise("Give it with --pw-env, --pw-file or --pw-cmd"))
    }
}

/// The first line that a command of the user's prints, by their shell as the original has it.
fn of_command(command: &std::ffi::OsStr) -> Option<SecretString> {
    let mut shell = Command::new("/bin/sh");
    shell.arg("-c").arg(command).stdin(Stdio::null()).stderr(Stdio::inherit());
    let output = shell.output().ok()?;
    let printed = Zeroizing::new(output.stdout);
    output.status.success().then(|| first_line(&printed)).flatten()
}

fn first_line(bytes: &[u8]) -> Option<SecretString> {
    let line = bytes.split(|byte| *byte == b'\n').next()?;
    let line = std::str::from_utf8(line).ok()?.trim_end_matches('\r');
    (!line.is_empty()).then(|| SecretString::from(line))
}
