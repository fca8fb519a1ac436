//! `iamctl admin` and its commands.

use clap::{ArgGroup, Args, Subcommand};

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
    /// End the sign-ins of a user, at an issuer, or with a client
    #[command(before_help = text::REVOKE, after_help = text::REVOKE_ABOUT, help_template = text::TEMPLATE)]
    Revoke(Revoke),
    /// Take no new sign-ins for a while
    #[command(before_help = text::DRAIN, after_help = text::DRAIN_ABOUT, help_template = text::TEMPLATE)]
    Drain(Drain),
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

/// `iamctl admin revoke`.
#[derive(Debug, Args)]
#[command(group = ArgGroup::new("what").required(true).multiple(true).args(["user", "issuer", "client"]))]
pub(crate) struct Revoke {
    /// Of this user: a name or a uid
    #[arg(value_name = "USER")]
    pub(crate) user: Option<String>,
    /// At this issuer: a short name or a URL
    #[arg(long, value_name = "ISSUER")]
    pub(crate) issuer: Option<String>,
    /// Made with this client
    #[arg(long, value_name = "CLIENT_ID")]
    pub(crate) client: Option<String>,
    /// Only show which they are
    #[arg(short = 'n', long)]
    pub(crate) dry_run: bool,
    /// Do not ask
    #[arg(short = 'y', long)]
    pub(crate) yes: bool,
    /// Print JSON
    #[arg(long)]
    pub(crate) json: bool,
}

/// `iamctl admin drain`.
#[derive(Debug, Args)]
pub(crate) struct Drain {
    /// What users are told, in a line
    #[arg(long, value_name = "TEXT", conflicts_with_all = ["off", "show"])]
    pub(crate) reason: Option<String>,
    /// Take sign-ins again
    #[arg(long, conflicts_with = "show")]
    pub(crate) off: bool,
    /// Only show how it stands
    #[arg(long)]
    pub(crate) show: bool,
    /// Print JSON
    #[arg(long)]
    pub(crate) json: bool,
}
