//! The entry point: arguments, configuration, and an exit code that systemd understands.

use std::{io::Write as _, path::PathBuf, process::ExitCode};

use clap::Parser;
use iamd::{
    config::{Config, Sources},
    startup,
};

/// What is freed is overwritten first: secrets also pass through buffers of other crates (TLS, HTTP, JSON,
/// D-Bus), which do not wipe theirs.
#[global_allocator]
static WIPING: zeroizing_alloc::ZeroAlloc<std::alloc::System> =
    zeroizing_alloc::ZeroAlloc(std::alloc::System);

/// sysexits: a mistake in the configuration. systemd does not try again (see the unit).
const EX_CONFIG: u8 = 78;

/// Gives everyone who logs in to this node OAuth2 access tokens of their own.
///
/// Normally started by systemd: `systemctl enable --now iamd`.
#[derive(Parser)]
#[command(name = "iamd", version)]
struct Arguments {
    /// Read the configuration from this file.
    ///
    /// Without this: /etc/iamd/iamd.toml, and all defaults where that is absent.
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Only check the configuration: report every mistake with file, line and key.
    #[arg(long)]
    check: bool,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let mut sources = Sources::installed();
    if let Some(file) = arguments.config {
        // A file that was named is meant: its absence is no default.
        if !file.exists() {
            say(&format!("iamd: {}: there is no such file", file.display()));
            return EX_CONFIG.into();
        }
        sources.file = file;
    }
    let config = match Config::load(&sources) {
        Ok(config) => config,
        Err(error) => {
            say(&format!("{error}\niamd: the configuration above has to be corrected first"));
            return EX_CONFIG.into();
        }
    };
    if arguments.check {
        let (issuers, files) = (config.issuers.len(), config.policy.files.len());
        say(&format!(
            "iamd: the configuration is good; {issuers} issuers, {files} files with rules"
        ));
        if config.issuers.is_empty() && !config.custom_issuers {
            say(
                "iamd: but nobody can sign in: there is no issuer file in /etc/iamd/issuers.d or /usr/share/iamd/issuers.d",
            );
        } else if config.default_issuer.is_none() {
            say("iamd: but no login offers a sign-in: name one of the issuers in issuers.default");
        }
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
