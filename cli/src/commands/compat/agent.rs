//! `oidc-agent`: nothing is started. A script is told where to ask.

use std::ffi::OsString;
use std::os::unix::process::CommandExt;
use std::process::Command;

use clap::Parser;
use iamd_protocol::error::Kind;
use iamd_protocol::{paths, variables};
use serde_json::json;

use super::options::{Other, TALK, Takes, Then, other, parse, short};
use super::{DONE, Ended, Program, is_loaded, socket_line};
use crate::app::Context;
use crate::failure::Failure;

const OTHERS: &[Other] = &[
    other(&["quiet"], Takes::Nothing, Then::Ignored),
    short('d', &["console"], Takes::Nothing, Then::Told("the daemon runs already, for everybody")),
    other(&["log-stderr"], Takes::Nothing, Then::Ignored),
    other(&["restart-on-update"], Takes::Nothing, Then::Ignored),
    other(&["no-autoload"], Takes::Nothing, Then::Ignored),
    other(&["no-autoreauthenticate", "no-auto-reauthenticate"], Takes::Nothing, Then::Ignored),
    other(&["no-webserver"], Takes::Nothing, Then::Ignored),
    other(&["no-scheme"], Takes::Nothing, Then::Ignored),
    other(&["always-allow-idtoken"], Takes::Nothing, Then::Ignored),
    other(&["pw-store"], Takes::Maybe, Then::Ignored),
    short(
        't',
        &["lifetime"],
        Takes::Value,
        Then::Told(
            "accounts stay until you sign out; for one that has a passphrase:  iamctl account unlock \
             --for TIME",
        ),
    ),
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
        &["with-group"],
        Takes::Maybe,
        Then::Refused("another user of your tokens would act in your name; use an account each"),
    ),
    short(
        'a',
        &["socket-path", "bind-address", "bind_address"],
        Takes::Value,
        Then::Refused("the daemon is asked at one place by all; leave the option out"),
    ),
    other(
        &["pid-file"],
        Takes::Value,
        Then::Refused(
            "there is no process of yours; the daemon's:  systemctl show iamd -P MainPID",
        ),
    ),
];

/// Say where tokens are to be had: the daemon is there already.
#[derive(Debug, Parser)]
struct Asked {
    /// Forget it
    #[arg(short = 'k', long)]
    kill: bool,
    /// As JSON
    #[arg(long)]
    json: bool,
    /// How things stand
    #[arg(long)]
    status: bool,
    /// A command to run with it
    #[arg(value_name = "COMMAND", trailing_var_arg = true)]
    command: Vec<OsString>,
}

/// Does what was asked.
pub(super) fn run(given: Vec<OsString>, context: &mut Context) -> Result<u8, Ended> {
    let asked: Asked = parse(Program::Agent, given, &[TALK, OTHERS], context)?;
    if asked.kill {
        kill(context);
        return Ok(DONE);
    }
    // Who cannot be reached is told here, and not first where a token is needed.
    let client = context.client()?;
    let status = client.status()?;
    if asked.status {
        let mut accounts = client.accounts()?;
        accounts.retain(is_loaded);
        let names: Vec<_> = accounts.iter().map(|account| account.name.as_str()).collect();
        if asked.json {
            let version = format!("iamd {}", status.version);
            context.output.json(&json!({
                "version": version, "command_line_options": "", "loaded_accounts": names,
            }));
        } else {
            context.output.line(&format!("This agent is running version iamd {}.", status.version));
            context.output.line(&format!(
                "Currently there are {} accounts loaded: {}",
                names.len(),
                names.join(" ")
            ));
        }
        return Ok(DONE);
    }
    if let Some((program, words)) = asked.command.split_first() {
        let mut command = Command::new(program);
        let error = command.args(words).env(variables::OIDC_SOCK, paths::AGENT_SOCKET).exec();
        let program = crate::output::text::clean(&program.to_string_lossy());
        return Err(Failure::new(Kind::InvalidArgument, format!("{program}: {error}")).into());
    }
    if asked.json {
        context.output.json(&json!({ "socket": paths::AGENT_SOCKET }));
    } else {
        start(context);
    }
    Ok(DONE)
}

/// What a shell that started an agent evaluates. There is no pid: a script would end the daemon with
/// it, or believe so.
pub(super) fn start(context: &mut Context) {
    context.output.line(&socket_line());
}

/// What a shell that ended one evaluates.
pub(super) fn kill(context: &mut Context) {
    context.output.line(&format!("unset {};", variables::OIDC_SOCK));
    context.output.line("unset OIDCD_PID;");
}
