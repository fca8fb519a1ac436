//! `iamctl completions`: the script that a shell reads. It asks `iamctl` itself at each Tab, so
//! that names of accounts and issuers are completed too.

use iamd_protocol::error::{Exit, Kind};

use crate::app::Context;
use crate::args::{Completions, Shell};
use crate::complete;
use crate::failure::Failure;

/// Prints the script.
///
/// # Errors
/// [`Kind::Internal`].
pub(super) fn run(args: &Completions, context: &mut Context) -> Result<Exit, Failure> {
    let shell = match args.shell {
        Shell::Bash => "bash",
        Shell::Zsh => "zsh",
        Shell::Fish => "fish",
    };
    let script = complete::script(shell)
        .map_err(|error| Failure::new(Kind::Internal, format!("no completion script: {error}")))?;
    context.output.out.put(&script);
    Ok(Exit::Done)
}
