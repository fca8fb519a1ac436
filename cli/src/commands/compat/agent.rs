//! `oidc-agent`: nothing is started. A script is told where to ask.

use std::ffi::OsString;
use std::os::unix::process::CommandExt;
use std::process::Command;

use clap::Parser;
use iamd_protocol::error::Kind;
use iamd_protocol::variables;
use serde_json::json;

use super::options::{Other, TALK, Takes, Then, other, parse, short};
use super::{DONE, Ended, Program, is_loaded};
use crate::app::Context;
use crate::client::Client;
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

/// What a keychain would print nothing of a shell's for.
const NOT_PASSED_ON: &[Other] = &[
    other(&["json"], Takes::Nothing, Then::Refused("it is printed by:  oidc-agent --json")),
    other(&["status"], Takes::Nothing, Then::Refused("it is printed by:  oidc-agent --status")),
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

/// What `oidc-keychain` passes on to an agent.
#[derive(Debug, Parser)]
struct PassedOn {}

/// Takes or refuses the options that `oidc-keychain` passes on, as `oidc-agent` would.
///
/// # Errors
/// One is refused, or there is none of that name.
pub(super) fn passed_on(given: Vec<OsString>, context: &mut Context) -> Result<(), Ended> {
    parse::<PassedOn>(Program::Keychain, given, &[TALK, OTHERS, NOT_PASSED_ON], context).map(drop)
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
    if asked.status {
        let status = client.status()?;
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
    let socket = socket(&client)?;
    if let Some((program, words)) = asked.command.split_first() {
        let mut command = Command::new(program);
        let error = command.args(words).env(variables::OIDC_SOCK, &socket).exec();
        let program = crate::output::text::clean(&program.to_string_lossy());
        return Err(Failure::new(Kind::InvalidArgument, format!("{program}: {error}")).into());
    }
    if asked.json {
        context.output.json(&json!({ "socket": socket }));
    } else {
        export(&socket, context);
    }
    Ok(DONE)
}

/// What a shell that started an agent evaluates. There is no pid: a script would end the daemon with
/// it, or believe so.
///
/// # Errors
/// The daemon cannot be reached, or nobody would be found at the socket.
pub(super) fn start(context: &mut Context) -> Result<(), Failure> {
    let socket = socket(&context.client()?)?;
    export(&socket, context);
    Ok(())
}

fn export(socket: &str, context: &mut Context) {
    context.output.line(&format!("{0}={socket}; export {0};", variables::OIDC_SOCK));
}

/// Where oidc-agent's clients find iamd.
///
/// # Errors
/// There is no socket: a path where nobody listens would be found out first where a token is needed.
pub(super) fn socket(client: &Client) -> Result<String, Failure> {
    client.status()?.agent_socket.ok_or_else(|| {
        let text = "this site has no socket for oidc-agent's clients (agent_socket in iamd.toml)";
        Failure::new(Kind::DeniedByPolicy, text)
            .advise("Tokens are to be had all the same:  iamctl token NAME")
    })
}

/// What a shell that ended one evaluates.
pub(super) fn kill(context: &mut Context) {
    context.output.line(&format!("unset {};", variables::OIDC_SOCK));
    context.output.line("unset OIDCD_PID;");
}
