//! `iamctl admin` and its commands.

use clap::Subcommand;

use super::{Backup, Listing, Rekey, Restore, Store, text};

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
    /// Seal all records with a new key while everything goes on, or go on with that
    #[command(before_help = text::REKEY, after_help = text::REKEY_ABOUT, help_template = text::TEMPLATE)]
    Rekey(Rekey),
    /// Write a backup of all records, sealed with a passphrase
    #[command(before_help = text::BACKUP, after_help = text::BACKUP_ABOUT, help_template = text::TEMPLATE)]
    Backup(Backup),
    /// Put a backup into the store
    #[command(before_help = text::RESTORE, after_help = text::RESTORE_ABOUT, help_template = text::TEMPLATE)]
    Restore(Restore),
    /// Look after the store
    #[command(subcommand, before_help = text::STORE, help_template = text::TEMPLATE)]
    Store(Store),
}
