//! `iamctl admin` and its commands.

use clap::Subcommand;

use super::{Listing, text};

/// `iamctl admin`.
#[derive(Debug, Subcommand)]
pub(crate) enum Admin {
    /// List the users who have accounts or sessions: counts and states, no tokens
    #[command(before_help = text::ADMIN, help_template = text::TEMPLATE)]
    Users(Listing),
    /// List the open sessions
    #[command(before_help = text::ADMIN, help_template = text::TEMPLATE)]
    Sessions(Listing),
    /// Read the configuration again
    #[command(before_help = text::ADMIN, help_template = text::TEMPLATE)]
    Reload(Listing),
}
