//! The entry point: arguments, configuration, and an exit code that systemd understands.

use std::{io::Write as _, path::PathBuf, process::ExitCode};

use clap::Parser;
use iamd::{
    config::{Config, Sources},
    startup,
};

/// sysexits: a mistake in the configuration. systemd does not try again (see the unit).
const EX_CONFIG: u8 = 78;

/// Gives everyone who logs in to this node OAuth2 access tokens of their own.
///
/// Normally started by systemd: `systemctl enable --now iamd`.
#[derive(Parser)]
#[command(name = "iamd", version)]
struct Arguments {
    /// Read the configuration from this file.
    #[arg(long, value_name = "FILE", default_value = iamd_protocol::paths::CONFIG_FILE)]
    config: PathBuf,
    /// Only check the configuration: report every mistake with file, line and key.
    #[arg(long)]
    check: bool,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let sources = Sources { file: arguments.config, ..Sources::installed() };
    let config = match Config::load(&sources) {
        Ok(config) => config,
        Err(error) => {
            say(&format!("{error}\niamd: the configuration above has to be corrected first"));
            return EX_CONFIG.into();
        }
    };
    if arguments.check {
        say(&format!("iamd: the configuration is good; {} issuers", config.issuers.len()));
        return ExitCode::SUCCESS;
    }
    match startup::run(sources, config) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            say(&format!("iamd: {error}"));
            if error.is_configuration() { EX_CONFIG.into() } else { ExitCode::FAILURE }
        }
    }
}

/// To standard error, which is the journal under systemd; a closed pipe is nobody's fault.
fn say(text: &str) {
    let _ = writeln!(std::io::stderr(), "{text}");
}
