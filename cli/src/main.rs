//! `iamctl`: the command of iamd. See `args.rs` for what can be asked and `commands/` for what
//! is done.

mod agent;
mod app;
mod args;
mod ask;
mod client;
mod clock;
mod commands;
mod complete;
mod duration;
mod environment;
mod failure;
mod interrupt;
mod oidc_agent;
mod output;
mod private;
mod prompt;
mod qr;
mod secret;

use std::process::ExitCode;

fn main() -> ExitCode {
    ExitCode::from(app::run())
}
