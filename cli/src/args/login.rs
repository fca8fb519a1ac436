//! `iamctl login` and `iamctl logout`.

use clap::{Args, ValueEnum};

use super::given;
use crate::duration;

/// `iamctl login`.
#[derive(Debug, Default, Args)]
pub(crate) struct Login {
    /// The account's short name; without one, the default account
    #[arg(value_name = "ACCOUNT", value_parser = given::account, conflicts_with_all = ["off", "on"])]
    pub(crate) account: Option<String>,
    /// Sign in at this issuer, by its short name at this site or by URL
    #[arg(long, value_name = "NAME|URL", value_parser = given::name)]
    pub(crate) issuer: Option<String>,
    /// Ask for this scope; may be given several times
    #[arg(short = 's', long = "scope", value_name = "SCOPE", value_parser = given::words)]
    pub(crate) scopes: Vec<String>,
    /// Tokens of this account are for this audience; may be given several times
    #[arg(long = "aud", value_name = "AUDIENCE", value_parser = given::words)]
    pub(crate) audiences: Vec<String>,
    /// Only when not signed in; else, or after --off, or with IAMD_NO_LOGIN set, say nothing. Gives
    /// up after 3 s when iamd or the issuer does not answer
    #[arg(long)]
    pub(crate) if_needed: bool,
    /// Show where to sign in and return at once; the login goes on
    #[arg(long)]
    pub(crate) no_wait: bool,
    /// Wait at most so long; the login goes on [e.g. 90, 5m]
    #[arg(long, value_name = "TIME", value_parser = duration::parse, conflicts_with = "no_wait")]
    pub(crate) timeout: Option<u32>,
    /// Sign in with a new client of the account's own
    #[arg(long)]
    pub(crate) new_client: bool,
    /// How to sign in
    #[arg(long, value_enum, default_value_t, hide_default_value = true)]
    pub(crate) flow: Flow,
    /// With --flow password: your user name at the issuer
    #[arg(long, value_name = "NAME", requires = "flow")]
    pub(crate) user: Option<String>,
    /// With --flow password: read the password from this descriptor instead of asking for it
    #[arg(long, value_name = "N", requires = "flow")]
    pub(crate) password_fd: Option<u32>,
    /// With --flow password: read both from this descriptor, the user name in the first line and the
    /// password in the second
    #[arg(
        long,
        value_name = "N",
        requires = "flow",
        conflicts_with_all = ["user", "password_fd"]
    )]
    pub(crate) credentials_fd: Option<u32>,
    /// Seal the account with a passphrase of your own, from this sign-in on
    #[arg(long)]
    pub(crate) passphrase: bool,
    /// The same, with the passphrase read from this descriptor instead of asked for
    #[arg(long, value_name = "N")]
    pub(crate) passphrase_fd: Option<u32>,
    /// End the login that is running
    #[arg(long, conflicts_with_all = LOGIN_OPTIONS)]
    pub(crate) cancel: bool,
    /// Show no notice when you log in to a node
    #[arg(long, conflicts_with_all = LOGIN_OPTIONS, conflicts_with_all = ["on", "cancel"])]
    pub(crate) off: bool,
    /// Show the notice again when you log in to a node without a sign-in
    #[arg(long, conflicts_with_all = LOGIN_OPTIONS, conflicts_with = "cancel")]
    pub(crate) on: bool,
    /// Show no QR code
    #[arg(long)]
    pub(crate) no_qr: bool,
    /// Print one JSON object per change of the login's state
    #[arg(long)]
    pub(crate) json: bool,
}

/// The ways to sign in.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum Flow {
    /// In a browser, on any device
    #[default]
    Device,
    /// With your password at the issuer, where an administrator allows it for the client
    Password,
}

/// The options of `login` that start a login.
const LOGIN_OPTIONS: [&str; 14] = [
    "issuer",
    "scopes",
    "audiences",
    "if_needed",
    "no_wait",
    "timeout",
    "new_client",
    "flow",
    "user",
    "password_fd",
    "credentials_fd",
    "no_qr",
    "passphrase",
    "passphrase_fd",
];

/// `iamctl logout`.
#[derive(Debug, Args)]
pub(crate) struct Logout {
    /// The account's short name; without one, the default account
    #[arg(value_name = "ACCOUNT", value_parser = given::account)]
    pub(crate) account: Option<String>,
    /// Print JSON
    #[arg(long)]
    pub(crate) json: bool,
}
