//! `iamctl run`: a command that finds a valid token for as long as it runs.
//!
//! The command stays in the process group of `iamctl`, so that the terminal's Ctrl-C, Ctrl-Z and
//! `fg` mean both. It has a token file of its own, which a thread renews; the main thread attends
//! to signals and to the command, and takes everything away at the end.

mod place;
mod renew;
mod signals;

use std::io::ErrorKind;
use std::process::{Child, Command};
use std::sync::Arc;

use iamd_protocol::bus::TokenOptions;
use iamd_protocol::error::Kind;
use iamd_protocol::variables::{BEARER_TOKEN, BEARER_TOKEN_FILE};
use nix::sys::signal::Signal;

use super::ask::{self, Token};
use super::words;
use crate::app::Context;
use crate::args::Run;
use crate::failure::Failure;
use crate::output::{text, time};
use place::Place;
use renew::Renewal;
use signals::{Ended, Signals};

/// As env(1): the command is there and cannot be run.
const CANNOT_RUN: u8 = 126;
/// As env(1): there is no such command.
const NOT_FOUND: u8 = 127;
/// As shells count the end by a signal.
const BY_SIGNAL: i32 = 128;

/// Runs a command; the exit code is its.
///
/// # Errors
/// There is no token, or no place for it: nothing was run.
pub(super) fn run(args: &Run, context: &mut Context) -> Result<u8, Failure> {
    let _ = nix::sys::prctl::set_dumpable(false);
    let options = TokenOptions {
        scopes: words(&args.scopes),
        audiences: words(&args.audiences),
        min_valid_seconds: args.min_valid,
        force_new: None,
        strict: args.strict.then_some(true),
        application: Some("iamctl-run".into()),
    };
    let name = args.account.as_deref();
    let token = ask::token(context, name.unwrap_or_default(), &options)
        .map_err(|failure| failure.about(name))?;
    say(&token, args, context);
    // From here on there is something to take away: a signal must not end this process.
    let mut signals = Signals::catch().map_err(|error| {
        Failure::new(Kind::Internal, format!("signals cannot be attended to: {error}"))
            .for_want_of(&error)
    })?;
    let no_place = |error: std::io::Error| {
        Failure::new(Kind::FileNotWritten, format!("there is no place for the token: {error}"))
            .advise("Set XDG_RUNTIME_DIR or TMPDIR to a directory of your own.")
            .for_want_of(&error)
    };
    let place = Arc::new(Place::make(&context.environment).map_err(no_place)?);
    if let Err(error) = place.put(&token) {
        place.close();
        return Err(no_place(error));
    }
    if let Some(signal) = signals.that_ends() {
        place.close();
        return Ok(end_by(signal));
    }
    let child = match spawn(args, &place, &token) {
        Ok(child) => child,
        Err((code, message)) => {
            place.close();
            context.output.tell(&format!("iamctl: {message}"));
            return Ok(code);
        }
    };
    let renewal = Renewal {
        account: token.reply.account.clone(),
        options,
        expires_at: token.reply.expires_at,
        place: Arc::clone(&place),
        environment: context.environment.clone(),
    };
    drop(token);
    let renewing = renewal.start();
    let ended = signals.attend(&child);
    drop(renewing);
    place.close();
    Ok(match ended {
        Ended::Code(code) => u8::try_from(code).unwrap_or(1),
        Ended::Signal(signal) => end_by(signal),
        Ended::Unknown => {
            context.output.tell("iamctl: it is not known how the command ended");
            1
        }
    })
}

/// What a person should know about the token before the command writes.
fn say(token: &Token, args: &Run, context: &mut Context) {
    for remark in &token.reply.remarks {
        context.output.tell(&format!("iamctl: {remark}"));
    }
    if token.is_too_long() {
        context.output.tell(
            "iamctl: the token has 4096 bytes or more, which XRootD refuses; ask for less with -s",
        );
    }
    if args.bearer_env {
        let at = token.reply.expires_at;
        context.output.tell(&format!(
            "iamctl: {BEARER_TOKEN} is not renewed: it expires {}, {}",
            time::date(at),
            time::left(at, context.now())
        ));
    }
}

fn spawn(args: &Run, place: &Place, token: &str) -> Result<Child, (u8, String)> {
    // The definition of the command line has at least one.
    let Some((program, words)) = args.command.split_first() else {
        return Err((NOT_FOUND, "no command was named".into()));
    };
    let mut command = Command::new(program);
    command.args(words).env(BEARER_TOKEN_FILE, place.file());
    if args.bearer_env {
        command.env(BEARER_TOKEN, token);
    } else {
        // It goes before the file, and whatever it is, it is older.
        command.env_remove(BEARER_TOKEN);
    }
    command.spawn().map_err(|error| {
        let name = text::clean(&program.to_string_lossy());
        let missing = error.kind() == ErrorKind::NotFound;
        let code = if missing { NOT_FOUND } else { CANNOT_RUN };
        // Looked for in PATH, as a shell does, which says it so too.
        let why = match missing && !name.contains('/') {
            true => "command not found".to_owned(),
            false => text::without_numbers(&error.to_string()),
        };
        (code, format!("{name}: {why}"))
    })
}

/// The end as the command's. After Ctrl-C and Ctrl-\ a shell goes on with its script unless what
/// it waits for ends by that very signal; for all others the number is enough.
fn end_by(signal: Signal) -> u8 {
    if matches!(signal, Signal::SIGINT | Signal::SIGQUIT) {
        signals::end_this_process(signal);
    }
    u8::try_from(BY_SIGNAL + signal as i32).unwrap_or(1)
}
