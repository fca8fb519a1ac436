//! The options of what is done about passphrases of accounts.

use clap::Args;

use super::given;
use crate::duration;

/// `iamctl account lock`.
#[derive(Debug, Args)]
pub(crate) struct LockAccount {
    /// The account's short name; without one, the default account
    #[arg(value_name = "ACCOUNT", value_parser = given::account, conflicts_with = "all")]
    pub(crate) account: Option<String>,
    /// Lock every account that has a passphrase
    #[arg(long)]
    pub(crate) all: bool,
    /// Print JSON
    #[arg(long)]
    pub(crate) json: bool,
}

/// `iamctl account unlock`.
#[derive(Debug, Args)]
pub(crate) struct UnlockAccount {
    /// The account's short name; without one, the default account
    #[arg(value_name = "ACCOUNT", value_parser = given::account)]
    pub(crate) account: Option<String>,
    /// Lock it again after so long [e.g. 8h]
    #[arg(long = "for", value_name = "TIME", value_parser = duration::parse)]
    pub(crate) duration: Option<u32>,
    /// Read the passphrase from this descriptor instead of asking for it
    #[arg(long, value_name = "N")]
    pub(crate) passphrase_fd: Option<u32>,
    /// Print JSON
    #[arg(long)]
    pub(crate) json: bool,
}

/// `iamctl account passphrase`.
#[derive(Debug, Args)]
pub(crate) struct ChangePassphrase {
    /// The account's short name; without one, the default account
    #[arg(value_name = "ACCOUNT", value_parser = given::account)]
    pub(crate) account: Option<String>,
    /// Take the passphrase off the account
    #[arg(long, conflicts_with = "new_passphrase_fd")]
    pub(crate) remove: bool,
    /// Read the present passphrase from this descriptor instead of asking for it
    #[arg(long, value_name = "N")]
    pub(crate) passphrase_fd: Option<u32>,
    /// Read the new passphrase from this descriptor instead of asking for it
    #[arg(long, value_name = "N")]
    pub(crate) new_passphrase_fd: Option<u32>,
    /// Print JSON
    #[arg(long)]
    pub(crate) json: bool,
}
