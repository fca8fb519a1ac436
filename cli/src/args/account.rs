//! `iamctl account` and its commands.

use clap::{Args, Subcommand};

use super::{ChangePassphrase, Listing, LockAccount, UnlockAccount, text};

/// `iamctl account`.
#[derive(Debug, Subcommand)]
pub(crate) enum Account {
    /// List the accounts
    #[command(before_help = text::ACCOUNT, help_template = text::TEMPLATE)]
    List(Listing),
    /// Show all about one account
    #[command(before_help = text::ACCOUNT, help_template = text::TEMPLATE)]
    Show(ShowAccount),
    /// Lock an account that has a passphrase
    #[command(before_help = text::LOCK, help_template = text::TEMPLATE)]
    Lock(LockAccount),
    /// Unlock an account with its passphrase
    #[command(before_help = text::UNLOCK, help_template = text::TEMPLATE)]
    Unlock(UnlockAccount),
    /// Set, change or take off the passphrase of an account
    #[command(before_help = text::PASSPHRASE, after_help = text::PASSPHRASE_ABOUT, help_template = text::TEMPLATE)]
    Passphrase(ChangePassphrase),
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
