//! `iamctl account import oidc-agent`: accounts of oidc-agent become accounts here. The files are
//! opened in this process, with the user's rights and password; the daemon is given what stands in
//! them as for `account add` with a client and a refresh token, which it uses at once.
//!
//! First all files are opened, so that passwords are asked for together; then each account is taken
//! over by itself, and what became of it is told at once: what becomes of one is nothing to the
//! others, and nobody who ends the command loses the report. Whether files shall go is asked last.

mod opening;
mod report;

use iamd_protocol::bus::{AddOptions, ChangeReply, secret as names};
use iamd_protocol::error::{Exit, Kind};

use crate::app::Context;
use crate::args::{Import, ImportOidcAgent};
use crate::client::{Client, Secrets};
use crate::commands::issuer::same_url;
use crate::failure::Failure;
use crate::oidc_agent::{self, Account, AccountFile, NoFile};
use crate::output::text;
use crate::{ask, prompt};
use opening::{Opening, no_file};
use report::{Entry, Outcome};

/// Imports accounts.
///
/// # Errors
/// What keeps all of it from being done; what is wrong with one account is told by itself, and the
/// exit code is that of the first.
pub(super) fn run(import: &Import, context: &mut Context) -> Result<Exit, Failure> {
    let Import::OidcAgent(args) = import;
    if args.name.is_some() && args.files.len() != 1 {
        let text = "--as is for one account, and one file has to be named with it";
        return Err(Failure::new(Kind::InvalidArgument, text));
    }
    let files = files(args, context)?;
    let mut opening = Opening::new(args.password_fd)?;
    let (mut entries, mut opened) = (Vec::new(), Vec::new());
    for path in files {
        let mut entry = Entry::new(oidc_agent::shown(&path));
        let content = opening.open(&path, context).and_then(|(file, account)| {
            entry.is_of(&account, args.name.as_deref());
            misnamed(&entry).map_or(Ok((file, account)), Err)
        });
        opened.push(content.map_err(|failure| entry.outcome = Outcome::Failed(failure)).ok());
        entries.push(entry);
    }
    drop(opening);
    let client = match opened.iter().any(Option::is_some) {
        true => Some(context.client()?),
        false => None,
    };
    let mut left = Vec::new();
    for (at, opened) in opened.into_iter().enumerate() {
        let (before, entry) = entries.split_at_mut(at);
        let Some(entry) = entry.first_mut() else { continue };
        match (opened, &client) {
            (Some((_, account)), Some(client)) if args.dry_run => {
                let again = before.iter().any(|other| other.would_be(entry.account.as_deref()));
                look(client, &account, again, entry)?;
            }
            (Some((file, account)), Some(client)) => {
                take(client, &file, account, entry, args);
                if matches!(entry.outcome, Outcome::Imported) && !entry.removed {
                    left.push((entry.file.clone(), file));
                }
            }
            _ => {}
        }
        entry.tell(args, context);
    }
    let exit = report::end(&entries, args, context);
    if !args.keep && !args.remove && !args.json && prompt::is_possible() {
        for (name, file) in left {
            offer_removal(&name, &file, context)?;
        }
    }
    Ok(exit)
}

/// The files that are meant.
fn files(args: &ImportOidcAgent, context: &Context) -> Result<Vec<std::path::PathBuf>, Failure> {
    let environment = &context.environment;
    if !args.files.is_empty() {
        return Ok(args.files.iter().map(|f| oidc_agent::locate(environment, f)).collect());
    }
    let advice = "Name a file:  iamctl account import oidc-agent FILE";
    match oidc_agent::all(environment) {
        Ok((directory, files)) if files.is_empty() => {
            let text = format!("there is no account in {}", oidc_agent::shown(&directory));
            Err(Failure::new(Kind::AccountFileUnusable, text).advise(advice))
        }
        Ok((_, files)) => Ok(files),
        Err(NoFile::Io(error)) if error.kind() == std::io::ErrorKind::NotFound => {
            let text = "oidc-agent has no directory here: neither OIDC_CONFIG_DIR, nor \
                        ~/.config/oidc-agent or ~/.oidc-agent";
            Err(Failure::new(Kind::AccountFileUnusable, text).advise(advice))
        }
        Err(error) => Err(no_file(&error).advise(advice)),
    }
}

/// What would become of it, as far as that can be seen without the issuer.
fn look(client: &Client, account: &Account, again: bool, entry: &mut Entry) -> Result<(), Failure> {
    let name = entry.account.as_deref().unwrap_or_default();
    if again || client.accounts()?.iter().any(|known| known.name == name) {
        let text = format!("you have an account \u{201c}{name}\u{201d} already");
        entry.outcome = Outcome::Failed(taken(Failure::new(Kind::AccountExists, text), entry));
        return Ok(());
    }
    if !client.issuers()?.iter().any(|known| same_url(&known.url, &account.issuer)) {
        entry.remarks.push("the site does not list this issuer, and may not allow it".to_owned());
    }
    entry.outcome = Outcome::WouldImport;
    Ok(())
}

/// Takes one over, and removes its file where an option says so.
fn take(
    client: &Client,
    file: &AccountFile,
    account: Account,
    entry: &mut Entry,
    args: &ImportOidcAgent,
) {
    match add(client, account, entry) {
        Ok(reply) => {
            entry.account = Some(reply.account);
            entry.remarks.extend(reply.remarks);
            entry.outcome = Outcome::Imported;
        }
        Err(failure) => {
            entry.outcome = Outcome::Failed(advised(failure, entry));
            return;
        }
    }
    if args.remove {
        match file.remove() {
            Ok(()) => entry.removed = true,
            Err(error) => entry.remarks.push(kept(&error)),
        }
    }
}

/// Why a file is still there.
fn kept(error: &std::io::Error) -> String {
    format!("the file could not be removed: {error}")
}

fn add(client: &Client, account: Account, entry: &Entry) -> Result<ChangeReply, Failure> {
    let Account { issuer, client_id, client_secret, refresh_token, scopes, audiences, .. } =
        account;
    let options = AddOptions {
        issuer: Some(issuer),
        client_id: Some(client_id),
        scopes: (!scopes.is_empty()).then_some(scopes),
        audiences: (!audiences.is_empty()).then_some(audiences),
        ..AddOptions::default()
    };
    let mut secrets: Secrets = vec![(names::REFRESH_TOKEN, refresh_token)];
    secrets.extend(client_secret.map(|secret| (names::CLIENT_SECRET, secret)));
    client.add(entry.account.as_deref().unwrap_or_default(), options, secrets)
}

/// Asks who is there whether a file shall go, and does it.
fn offer_removal(name: &str, file: &AccountFile, context: &mut Context) -> Result<(), Failure> {
    let question = format!(
        "Remove {name}? oidc-agent cannot use it any more where the issuer replaces refresh tokens."
    );
    if ask::yes(context, &question, false)? {
        let said = match file.remove() {
            Ok(()) => "The file is removed.".to_owned(),
            Err(error) => kept(&error),
        };
        context.output.tell(&said);
    }
    Ok(())
}

/// Names in oidc-agent may be anything that a file can be called; the daemon has narrower ones.
fn misnamed(entry: &Entry) -> Option<Failure> {
    let name = entry.account.as_deref().unwrap_or_default();
    let fits = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || "._-".contains(c);
    let begins = name.starts_with(|c: char| c.is_ascii_lowercase() || c.is_ascii_digit());
    if begins && name.len() <= 32 && name.chars().all(fits) {
        return None;
    }
    let name = text::clean(name);
    let text = format!("no account here can be called \u{201c}{name}\u{201d}");
    Some(taken(Failure::new(Kind::AccountFileUnusable, text), entry))
}

/// What the user can do about it.
fn advised(failure: Failure, entry: &Entry) -> Failure {
    if failure.is(Kind::AccountExists) {
        taken(failure, entry)
    } else if failure.is(Kind::DeniedByPolicy) {
        denied(failure, entry)
    } else if failure.is(Kind::LoginRequired) {
        dead(failure, entry)
    } else {
        failure.about(entry.account.as_deref())
    }
}

fn taken(failure: Failure, entry: &Entry) -> Failure {
    failure.advise(format!(
        "Give it another name:  iamctl account import oidc-agent {} --as NAME",
        entry.file
    ))
}

/// The ways of this site to the same issuer.
fn denied(failure: Failure, entry: &Entry) -> Failure {
    failure.advise(format!(
        "Ask the administrators of this site, or sign in anew:  {}",
        sign_in(entry.issuer.as_deref())
    ))
}

fn dead(failure: Failure, entry: &Entry) -> Failure {
    failure.advise(format!(
        "oidc-agent or somebody else has used it up. Sign in anew:  {}",
        sign_in(entry.issuer.as_deref())
    ))
}

/// The command that gets an account without the file.
fn sign_in(issuer: Option<&str>) -> String {
    match issuer {
        Some(issuer) => format!("iamctl account add NAME --issuer {}", text::clean(issuer)),
        None => "iamctl account add".to_owned(),
    }
}
