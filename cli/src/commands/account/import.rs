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
use iamd_protocol::names::{counterpart, fits};
use secrecy::SecretString;

use crate::app::Context;
use crate::args::{Import, ImportOidcAgent};
use crate::client::{Client, Secrets};
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
                look(client, account, again, entry);
            }
            (Some((file, account)), Some(client)) => {
                let can_delete_client = account.can_delete_client;
                take(client, &file, account, entry, args);
                if matches!(entry.outcome, Outcome::Imported) && !entry.removed {
                    left.push((entry.file.clone(), file, can_delete_client));
                }
            }
            _ => {}
        }
        entry.tell(args, context);
    }
    let exit = report::end(&entries, args, context);
    if !args.keep && !args.remove && !args.json && prompt::is_possible() {
        for (name, file, can_delete_client) in left {
            offer_removal(&name, &file, can_delete_client, context)?;
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

/// What would become of it, as far as that can be seen without the issuer: the daemon says what it
/// would refuse, and is given no secret.
fn look(client: &Client, account: Account, again: bool, entry: &mut Entry) {
    let name = entry.account.as_deref().unwrap_or_default();
    let seen = if again {
        let text = format!("you have an account \u{201c}{name}\u{201d} already");
        Err(Failure::new(Kind::AccountExists, text))
    } else {
        add(client, account, entry, Way::Dry)
    };
    entry.outcome = match seen {
        Ok(reply) => {
            entry.remarks.extend(reply.remarks);
            Outcome::WouldImport
        }
        Err(failure) => {
            let failure = advised(failure, entry);
            let message = format!("would be refused: {}", failure.message);
            Outcome::Failed(Failure { message, ..failure })
        }
    };
}

/// Takes one over, and removes its file where an option says so.
fn take(
    client: &Client,
    file: &AccountFile,
    account: Account,
    entry: &mut Entry,
    args: &ImportOidcAgent,
) {
    let can_delete_client = account.can_delete_client;
    match add(client, account, entry, Way::Real) {
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
    if args.remove && can_delete_client {
        entry.remarks.push(
            "so the file is not removed; do it yourself when the client may stay, or is deleted"
                .to_owned(),
        );
    } else if args.remove {
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

/// Whether it is meant.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Way {
    Real,
    /// Nothing is done, and a word stands for each secret.
    Dry,
}

fn add(client: &Client, account: Account, entry: &Entry, way: Way) -> Result<ChangeReply, Failure> {
    let Account { issuer, client_id, client_secret, refresh_token, scopes, audiences, .. } =
        account;
    let options = AddOptions {
        issuer: Some(issuer),
        // Without one it is the client that the issuer's file has for everybody.
        public_client: client_id.is_none().then_some(true),
        client_id,
        scopes: (!scopes.is_empty()).then_some(scopes),
        audiences: (!audiences.is_empty()).then_some(audiences),
        dry_run: (way == Way::Dry).then_some(true),
        ..AddOptions::default()
    };
    let secret = |secret: SecretString| match way {
        Way::Real => secret,
        Way::Dry => SecretString::from("-"),
    };
    let mut secrets: Secrets = vec![(names::REFRESH_TOKEN, secret(refresh_token))];
    let given = client_secret.filter(|_| options.public_client.is_none());
    secrets.extend(given.map(|given| (names::CLIENT_SECRET, secret(given))));
    client.add(entry.account.as_deref().unwrap_or_default(), options, secrets)
}

/// Asks who is there whether a file shall go, and does it.
fn offer_removal(
    name: &str,
    file: &AccountFile,
    can_delete_client: bool,
    context: &mut Context,
) -> Result<(), Failure> {
    let also =
        if can_delete_client { " What its client can be deleted with goes too." } else { "" };
    let question = format!(
        "Remove {name}? oidc-agent cannot use it any more where the issuer replaces refresh \
         tokens.{also}"
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

/// Names in oidc-agent may be anything that a file can be called; the daemon has narrower ones. One
/// that takes its place is offered, and taken only where the user says so: scripts have the old one.
fn misnamed(entry: &Entry) -> Option<Failure> {
    let name = entry.account.as_deref().unwrap_or_default();
    if fits(name) {
        return None;
    }
    let other = counterpart(name).unwrap_or_else(|| "NAME".to_owned());
    let name = text::clean(name);
    let text = format!("no account here can be called \u{201c}{name}\u{201d}");
    let failure = Failure::new(Kind::AccountFileUnusable, text);
    Some(failure.advise(renamed(entry, &other)))
}

/// What the user can do about it.
fn advised(failure: Failure, entry: &Entry) -> Failure {
    if failure.is(Kind::AccountExists) {
        taken(failure, entry)
    } else if entry.has_public_client
        && (failure.is(Kind::DeniedByPolicy) || failure.is(Kind::InvalidArgument))
    {
        failure.advise(format!(
            "Its client is oidc-agent's public one, and this site's file of the issuer names another \
             or none. Ask the administrators of this site, or sign in anew:  {}",
            sign_in(entry.issuer.as_deref())
        ))
    } else if failure.is(Kind::DeniedByPolicy) {
        denied(failure, entry)
    } else if failure.is(Kind::LoginRequired) {
        dead(failure, entry)
    } else if failure.is(Kind::IdentityMismatch) {
        failure.advise(format!(
            "Sign in as the person that the site requires:  {}",
            sign_in(entry.issuer.as_deref())
        ))
    } else {
        failure.about(entry.account.as_deref())
    }
}

fn taken(failure: Failure, entry: &Entry) -> Failure {
    failure.advise(renamed(entry, "NAME"))
}

fn renamed(entry: &Entry, name: &str) -> String {
    format!("Give it another name:  iamctl account import oidc-agent {} --as {name}", entry.file)
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
