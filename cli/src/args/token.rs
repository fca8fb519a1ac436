//! `iamctl token`.

use std::path::PathBuf;

use clap::{Args, ValueHint};

use super::given;
use crate::duration;

/// `iamctl token`.
#[derive(Debug, Args)]
pub(crate) struct Token {
    /// The account's short name; without one, the default account
    #[arg(value_name = "ACCOUNT", value_parser = given::account)]
    pub(crate) account: Option<String>,
    /// Only this scope; may be given several times
    #[arg(short = 's', long = "scope", value_name = "SCOPE", value_parser = given::words)]
    pub(crate) scopes: Vec<String>,
    /// For this audience; may be given several times
    #[arg(long = "aud", value_name = "AUDIENCE", value_parser = given::words)]
    pub(crate) audiences: Vec<String>,
    /// Valid for at least so long [e.g. 90, 90s, 10m, 1h]
    #[arg(short = 't', long, value_name = "TIME", value_parser = duration::parse)]
    pub(crate) min_valid: Option<u32>,
    /// Ask the issuer even when there is a token that would do
    #[arg(long)]
    pub(crate) force_new: bool,
    /// A token that was granted less than asked for is an error
    #[arg(long)]
    pub(crate) strict: bool,
    /// Print the token and what is known about it as JSON
    #[arg(long, group = "form")]
    pub(crate) json: bool,
    /// Print a shell command that sets BEARER_TOKEN
    #[arg(long, group = "form")]
    pub(crate) env: bool,
    /// Print the HTTP header, for curl -H @FILE
    #[arg(long, group = "form")]
    pub(crate) header: bool,
    /// Show what the token says, and not the token
    #[arg(long, conflicts_with_all = ["env", "header", "outfile"])]
    pub(crate) decode: bool,
    /// Write to a file that only you can read, and print nothing; - is standard output
    #[arg(
        short = 'o',
        long,
        value_name = "FILE",
        value_hint = ValueHint::FilePath,
        conflicts_with_all = ["json", "env"]
    )]
    pub(crate) outfile: Option<PathBuf>,
}
