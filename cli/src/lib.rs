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
#[cfg(any(test, feature = "fuzzing"))]
pub mod fuzzing;
mod interrupt;
mod names;
mod oidc_agent;
mod output;
mod private;
mod prompt;
mod qr;
mod secret;

use std::process::ExitCode;

/// Does what the arguments ask, and tells how it went by the exit code.
pub fn run() -> ExitCode {
    ExitCode::from(app::run())
}
