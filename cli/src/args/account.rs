//! `iamctl account` and its commands.

use clap::{Args, Subcommand};

use super::{Listing, text};

/// `iamctl account`.
#[derive(Debug, Subcommand)]
pub(crate) enum Account {
    /// List the accounts
    #[command(before_help = text::ACCOUNT, help_template = text::TEMPLATE)]
    List(Listing),
    /// Show all about one account
    #[command(before_help = text::ACCOUNT, help_template = text::TEMPLATE)]
    Show(ShowAccount),
}

/// `iamctl account show`.
#[derive(Debug, Args)]
pub(crate) struct ShowAccount {
    /// The account's short name; without one, the default account
    #[arg(value_name = "ACCOUNT")]
    pub(crate) account: Option<String>,
    /// Print JSON
    #[arg(long)]
    pub(crate) json: bool,
}
