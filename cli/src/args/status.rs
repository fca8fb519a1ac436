//! `iamctl status`.

use clap::Args;

use super::given;

/// `iamctl status`.
#[derive(Debug, Args)]
pub(crate) struct Status {
    /// Only this account; without one, all of them
    #[arg(value_name = "ACCOUNT", value_parser = given::name)]
    pub(crate) account: Option<String>,
    /// Show it anew as time passes, until Ctrl-C
    #[arg(short = 'w', long)]
    pub(crate) watch: bool,
    /// Print nothing: the exit code tells whether the account, else the default one, has a token
    #[arg(short = 's', long, conflicts_with_all = ["watch", "json"])]
    pub(crate) silent: bool,
    /// Print JSON
    #[arg(long)]
    pub(crate) json: bool,
}
