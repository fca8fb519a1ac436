//! The options of what administrators do about keys, backups and the store.

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueHint};

use super::{Listing, text};

/// `iamctl admin rekey`.
#[derive(Debug, Args)]
pub(crate) struct Rekey {
    /// Take the keys that seal nothing any more out of the keyring; makes no new key
    #[arg(long, conflicts_with = "status")]
    pub(crate) retire: bool,
    /// Only show how it stands
    #[arg(long)]
    pub(crate) status: bool,
    /// Print JSON
    #[arg(long)]
    pub(crate) json: bool,
}

/// `iamctl admin backup`.
#[derive(Debug, Args)]
pub(crate) struct Backup {
    /// The backup's file; one that is there is replaced when the new one is whole
    #[arg(value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub(crate) file: PathBuf,
    /// Leave the keyring out: it opens only where its keys are
    #[arg(long, conflicts_with = "verify")]
    pub(crate) without_keys: bool,
    /// Check the backup in FILE, and change nothing
    #[arg(long)]
    pub(crate) verify: bool,
    /// Read the passphrase from this descriptor instead of asking for it
    #[arg(long, value_name = "N")]
    pub(crate) passphrase_fd: Option<u32>,
    /// Print JSON
    #[arg(long)]
    pub(crate) json: bool,
}

/// `iamctl admin restore`.
#[derive(Debug, Args)]
pub(crate) struct Restore {
    /// The backup
    #[arg(value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub(crate) file: PathBuf,
    /// Give up every record that is here now
    #[arg(long)]
    pub(crate) replace: bool,
    /// Read the passphrase from this descriptor instead of asking for it
    #[arg(long, value_name = "N")]
    pub(crate) passphrase_fd: Option<u32>,
    /// Print JSON
    #[arg(long)]
    pub(crate) json: bool,
}

/// `iamctl admin store`.
#[derive(Debug, Subcommand)]
pub(crate) enum Store {
    /// Read everything and say what is wrong with it
    #[command(before_help = text::STORE, help_template = text::TEMPLATE)]
    Check(Listing),
    /// Have older records hold, after an older file of the store was put back on purpose
    #[command(before_help = text::STORE, after_help = text::STORE_ACCEPT_ABOUT, help_template = text::TEMPLATE)]
    Accept(Listing),
}
