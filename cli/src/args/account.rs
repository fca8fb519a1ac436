//! `iamctl account` and its commands.

use clap::{Args, Subcommand};

use super::{ChangePassphrase, Import, Listing, LockAccount, UnlockAccount, given, text};
use crate::duration;

/// `iamctl account`.
#[derive(Debug, Subcommand)]
pub(crate) enum Account {
    /// List the accounts
    #[command(alias = "ls", before_help = text::ACCOUNT, help_template = text::TEMPLATE)]
    List(Listing),
    /// Show all about one account
    #[command(before_help = text::ACCOUNT_SHOW, after_help = text::ACCOUNT_SHOW_ABOUT, help_template = text::TEMPLATE)]
    Show(ShowAccount),
    /// Add an account, step by step or by options, and sign in
    #[command(aliases = ["new", "create"], before_help = text::ACCOUNT_ADD, after_help = text::ACCOUNT_ADD_ABOUT, help_template = text::TEMPLATE)]
    Add(Box<AddAccount>),
    /// Take over accounts of another program
    #[command(subcommand, before_help = text::IMPORT, help_template = text::TEMPLATE)]
    Import(Import),
    /// Change scopes, audiences or the name at the issuer
    #[command(before_help = text::ACCOUNT_EDIT, after_help = text::ACCOUNT_EDIT_ABOUT, help_template = text::TEMPLATE)]
    Edit(EditAccount),
    /// Give an account another name
    #[command(before_help = text::ACCOUNT_RENAME, help_template = text::TEMPLATE)]
    Rename(RenameAccount),
    /// Choose the account that is meant when none is named
    #[command(before_help = text::ACCOUNT_DEFAULT, help_template = text::TEMPLATE)]
    Default(DefaultAccount),
    /// Lock an account that has a passphrase
    #[command(before_help = text::LOCK, help_template = text::TEMPLATE)]
    Lock(LockAccount),
    /// Unlock an account with its passphrase
    #[command(before_help = text::UNLOCK, help_template = text::TEMPLATE)]
    Unlock(UnlockAccount),
    /// Set, change or take off the passphrase of an account
    #[command(before_help = text::PASSPHRASE, after_help = text::PASSPHRASE_ABOUT, help_template = text::TEMPLATE)]
    Passphrase(ChangePassphrase),
    /// Remove an account: sign out, delete its client at the issuer, forget it
    #[command(aliases = ["rm", "delete"], before_help = text::ACCOUNT_REMOVE, after_help = text::ACCOUNT_REMOVE_ABOUT, help_template = text::TEMPLATE)]
    Remove(RemoveAccount),
}

/// `iamctl account show`.
#[derive(Debug, Args)]
pub(crate) struct ShowAccount {
    /// The account's short name; without one, the default account
    #[arg(value_name = "ACCOUNT", value_parser = given::account)]
    pub(crate) account: Option<String>,
    /// Show its secrets too, where the site allows it; the site's log says that you did
    #[arg(long)]
    pub(crate) secrets: bool,
    /// Print JSON
    #[arg(long)]
    pub(crate) json: bool,
}

/// `iamctl account add`.
#[derive(Debug, Args)]
#[command(group = clap::ArgGroup::new("given").args(["client_id", "from_env"]))]
pub(crate) struct AddAccount {
    /// The new account's short name; without one, the issuer's
    #[arg(value_name = "NAME", value_parser = given::name)]
    pub(crate) name: Option<String>,
    /// The issuer, by its short name at this site or by URL
    #[arg(long, value_name = "NAME|URL", value_parser = given::name)]
    pub(crate) issuer: Option<String>,
    /// Ask for this scope; may be given several times; max: all it may have
    #[arg(short = 's', long = "scope", value_name = "SCOPE", value_parser = given::words)]
    pub(crate) scopes: Vec<String>,
    /// Tokens of this account are for this audience; may be given several times
    #[arg(long = "aud", value_name = "AUDIENCE", value_parser = given::words)]
    pub(crate) audiences: Vec<String>,
    /// Take client, endpoint, scopes and audience from the variables of the IAM scripts
    #[arg(long, conflicts_with_all = ["client_id", "public_client", "own_client", "client_name"])]
    pub(crate) from_env: bool,
    /// Use a client that you had registered; its secret is asked for, or comes by --client-secret-fd
    #[arg(long, value_name = "ID", conflicts_with_all = ["public_client", "own_client", "client_name"])]
    pub(crate) client_id: Option<String>,
    /// Read the client's secret from this file descriptor
    #[arg(long, value_name = "FD", requires = "given")]
    pub(crate) client_secret_fd: Option<u32>,
    /// How the client authenticates; none: it has no secret
    #[arg(long, value_name = "METHOD", requires = "given", value_parser = ["client_secret_basic", "client_secret_post", "none"])]
    pub(crate) client_auth: Option<String>,
    /// Use the public client that the issuer's file names
    #[arg(long, conflicts_with_all = ["own_client", "client_name"])]
    pub(crate) public_client: bool,
    /// Register a client for this account alone, even where the site shares one
    #[arg(long)]
    pub(crate) own_client: bool,
    /// The name of the account's own client at the issuer
    #[arg(long, value_name = "TEXT")]
    pub(crate) client_name: Option<String>,
    /// Read a token that allows the registration from this file descriptor
    #[arg(long, value_name = "FD", conflicts_with_all = ["client_id", "public_client", "from_env"])]
    pub(crate) initial_access_token_fd: Option<u32>,
    /// Start from the refresh token on this file descriptor instead of a login
    #[arg(long, value_name = "FD")]
    pub(crate) refresh_token_fd: Option<u32>,
    /// Seal the account with a passphrase of your own, from its first sign-in on
    #[arg(long)]
    pub(crate) passphrase: bool,
    /// The same, with the passphrase read from this descriptor instead of asked for
    #[arg(long, value_name = "N")]
    pub(crate) passphrase_fd: Option<u32>,
    /// Make it the account that is meant when none is named
    #[arg(long = "default")]
    pub(crate) make_default: bool,
    /// Do not sign in now
    #[arg(long)]
    pub(crate) no_login: bool,
    /// How the login is shown.
    #[command(flatten)]
    pub(crate) shown: LoginShown,
    /// Print JSON: what was added, then one object per change of the login's state
    #[arg(long)]
    pub(crate) json: bool,
}

/// How a login that follows is shown, as `iamctl login` has it.
#[derive(Debug, Args)]
pub(crate) struct LoginShown {
    /// Show where to sign in and return at once; the login goes on
    #[arg(long, conflicts_with = "no_login")]
    pub(crate) no_wait: bool,
    /// Wait at most so long; the login goes on [e.g. 90, 5m]
    #[arg(long, value_name = "TIME", value_parser = duration::parse, conflicts_with_all = ["no_wait", "no_login"])]
    pub(crate) timeout: Option<u32>,
    /// Show no QR code
    #[arg(long, conflicts_with = "no_login")]
    pub(crate) no_qr: bool,
}

/// `iamctl account edit`.
#[derive(Debug, Args)]
pub(crate) struct EditAccount {
    /// The account's short name; without one, the default account
    #[arg(value_name = "ACCOUNT", value_parser = given::account)]
    pub(crate) account: Option<String>,
    /// Ask for this scope instead of those before; may be given several times; max: all it may have
    #[arg(short = 's', long = "scope", value_name = "SCOPE", value_parser = given::words, conflicts_with_all = ["add_scopes", "remove_scopes"])]
    pub(crate) scopes: Vec<String>,
    /// Ask for this scope besides; may be given several times
    #[arg(long = "add-scope", value_name = "SCOPE", value_parser = given::words)]
    pub(crate) add_scopes: Vec<String>,
    /// Ask for this scope no longer; may be given several times
    #[arg(long = "remove-scope", value_name = "SCOPE", value_parser = given::words)]
    pub(crate) remove_scopes: Vec<String>,
    /// Tokens of this account are for this audience from now on; may be given several times
    #[arg(long = "aud", value_name = "AUDIENCE", value_parser = given::words)]
    pub(crate) audiences: Vec<String>,
    /// Tokens of this account are for the issuer's default audience again
    #[arg(long, conflicts_with = "audiences")]
    pub(crate) no_aud: bool,
    /// The name of the account's own client at the issuer
    #[arg(long, value_name = "TEXT")]
    pub(crate) client_name: Option<String>,
    /// Sign in at once if the change needs it, without asking
    #[arg(long, conflicts_with = "no_login")]
    pub(crate) login: bool,
    /// Do not sign in now, and do not ask
    #[arg(long)]
    pub(crate) no_login: bool,
    /// How the login is shown.
    #[command(flatten)]
    pub(crate) shown: LoginShown,
    /// Print JSON: what was changed, then one object per change of the login's state
    #[arg(long)]
    pub(crate) json: bool,
}

/// `iamctl account rename`.
#[derive(Debug, Args)]
pub(crate) struct RenameAccount {
    /// The account's short name
    #[arg(value_name = "ACCOUNT", value_parser = given::named)]
    pub(crate) account: String,
    /// The name it is to have
    #[arg(value_name = "NEW_NAME", value_parser = given::named)]
    pub(crate) new_name: String,
    /// Print JSON
    #[arg(long)]
    pub(crate) json: bool,
}

/// `iamctl account default`.
#[derive(Debug, Args)]
pub(crate) struct DefaultAccount {
    /// The account's short name
    #[arg(value_name = "ACCOUNT", value_parser = given::named)]
    pub(crate) account: String,
    /// Print JSON
    #[arg(long)]
    pub(crate) json: bool,
}

/// `iamctl account remove`.
#[derive(Debug, Args)]
pub(crate) struct RemoveAccount {
    /// The account's short name
    #[arg(value_name = "ACCOUNT", value_parser = given::named)]
    pub(crate) account: String,
    /// Leave the account's own client registered at the issuer
    #[arg(long)]
    pub(crate) keep_client: bool,
    /// Do not ask
    #[arg(short = 'y', long)]
    pub(crate) yes: bool,
    /// Print JSON
    #[arg(long)]
    pub(crate) json: bool,
}
