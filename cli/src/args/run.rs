//! `iamctl run`.

use std::ffi::OsString;

use clap::{Args, ValueHint};

use super::given;
use crate::duration;

/// `iamctl run`.
#[derive(Debug, Args)]
pub(crate) struct Run {
    /// The account's short name; without one, the default account
    #[arg(short = 'a', long = "account", value_name = "ACCOUNT", value_parser = given::account)]
    pub(crate) account: Option<String>,
    /// Only this scope; may be given several times
    #[arg(short = 's', long = "scope", value_name = "SCOPE", value_parser = given::words)]
    pub(crate) scopes: Vec<String>,
    /// For this audience; may be given several times
    #[arg(long = "aud", value_name = "AUDIENCE", value_parser = given::words)]
    pub(crate) audiences: Vec<String>,
    /// The token in the file is valid for at least so long [e.g. 90, 90s, 10m, 1h]
    #[arg(short = 't', long, value_name = "TIME", value_parser = duration::parse)]
    pub(crate) min_valid: Option<u32>,
    /// A token that was granted less than asked for is an error
    #[arg(long)]
    pub(crate) strict: bool,
    /// Set BEARER_TOKEN too, for tools that read nothing else; it is not renewed
    #[arg(long)]
    pub(crate) bearer_env: bool,
    /// The command and its arguments
    #[arg(
        value_name = "COMMAND",
        required = true,
        trailing_var_arg = true,
        value_hint = ValueHint::CommandWithArguments
    )]
    pub(crate) command: Vec<OsString>,
}
