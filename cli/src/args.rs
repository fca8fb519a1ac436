//! The command line: definitions only, so that the parser, the manual pages and the completions
//! are made from one text. What a command does is in `commands/`.

mod text;

use clap::{ArgAction, Args, Parser, Subcommand, ValueEnum, ValueHint};

use crate::duration;
pub(crate) use text::ABOUT;

/// Access tokens for the clusters you log in to.
#[derive(Debug, Parser)]
#[command(
    name = "iamctl",
    version,
    about = "Access tokens for the clusters you log in to",
    before_help = text::EXAMPLES,
    after_help = text::AFTER,
    help_template = text::ROOT_TEMPLATE,
    subcommand_required = true,
    arg_required_else_help = true,
    disable_help_subcommand = false,
    infer_subcommands = false,
    max_term_width = 100
)]
pub(crate) struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// The commands.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Sign in, or see the login that is running
    #[command(before_help = text::LOGIN, after_help = text::LOGIN_ABOUT, help_template = text::TEMPLATE)]
    Login(Login),
    /// Sign out: revoke and forget the sign-in, remove the token file
    #[command(before_help = text::LOGOUT, help_template = text::TEMPLATE)]
    Logout(Logout),
    /// Print an access token
    #[command(before_help = text::TOKEN, after_help = text::TOKEN_ABOUT, help_template = text::TEMPLATE)]
    Token(Token),
    /// Show accounts, tokens and the time they have left
    #[command(before_help = text::STATUS, help_template = text::TEMPLATE)]
    Status(Listing),
    /// See the accounts
    #[command(subcommand, before_help = text::ACCOUNT, help_template = text::TEMPLATE)]
    Account(Account),
    /// See the issuers of this site
    #[command(subcommand, before_help = text::ISSUER, help_template = text::TEMPLATE)]
    Issuer(Issuer),
    /// Find out what is wrong, and how to put it right
    #[command(before_help = text::DOCTOR, after_help = text::DOCTOR_ABOUT, help_template = text::TEMPLATE)]
    Doctor(Listing),
    /// Administer this node
    #[command(subcommand, before_help = text::ADMIN, help_template = text::TEMPLATE)]
    Admin(Admin),
    /// Print the completion script for a shell
    #[command(before_help = text::COMPLETIONS, help_template = text::TEMPLATE)]
    Completions(Completions),
    /// Write the manual pages into a directory
    #[command(hide = true)]
    GenerateMan(GenerateMan),
}

/// `iamctl login`.
#[derive(Debug, Args)]
pub(crate) struct Login {
    /// The account's short name; without one, the default account
    #[arg(value_name = "ACCOUNT", conflicts_with_all = ["off", "on"])]
    pub(crate) account: Option<String>,
    /// Sign in at this issuer, by its short name at this site or by URL
    #[arg(long, value_name = "NAME|URL")]
    pub(crate) issuer: Option<String>,
    /// Ask for this scope; may be given several times
    #[arg(short = 's', long = "scope", value_name = "SCOPE")]
    pub(crate) scopes: Vec<String>,
    /// Tokens of this account are for this audience; may be given several times
    #[arg(long = "aud", value_name = "AUDIENCE")]
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
    /// Register a new client at the issuer first
    #[arg(long)]
    pub(crate) new_client: bool,
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

/// The options of `login` that start a login.
const LOGIN_OPTIONS: [&str; 8] =
    ["issuer", "scopes", "audiences", "if_needed", "no_wait", "timeout", "new_client", "no_qr"];

/// `iamctl logout`.
#[derive(Debug, Args)]
pub(crate) struct Logout {
    /// The account's short name; without one, the default account
    #[arg(value_name = "ACCOUNT")]
    pub(crate) account: Option<String>,
    /// Print JSON
    #[arg(long)]
    pub(crate) json: bool,
}

/// `iamctl token`.
#[derive(Debug, Args)]
pub(crate) struct Token {
    /// The account's short name; without one, the default account
    #[arg(value_name = "ACCOUNT")]
    pub(crate) account: Option<String>,
    /// Only this scope; may be given several times
    #[arg(short = 's', long = "scope", value_name = "SCOPE")]
    pub(crate) scopes: Vec<String>,
    /// For this audience; may be given several times
    #[arg(long = "aud", value_name = "AUDIENCE")]
    pub(crate) audiences: Vec<String>,
    /// Valid for at least so long [e.g. 90, 90s, 10m, 1h]
    #[arg(short = 't', long, value_name = "TIME", value_parser = duration::parse)]
    pub(crate) min_valid: Option<u32>,
    /// Ask the issuer even when there is a token that would do
    #[arg(long)]
    pub(crate) force_new: bool,
    /// Print the token and what is known about it as JSON
    #[arg(long, group = "form")]
    pub(crate) json: bool,
    /// Print a shell command that sets BEARER_TOKEN
    #[arg(long, group = "form")]
    pub(crate) env: bool,
    /// Print the HTTP header, for curl -H @FILE
    #[arg(long, group = "form")]
    pub(crate) header: bool,
}

/// Commands that list something and have no other option.
#[derive(Debug, Args)]
pub(crate) struct Listing {
    /// Print JSON
    #[arg(long)]
    pub(crate) json: bool,
}

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

/// `iamctl issuer`.
#[derive(Debug, Subcommand)]
pub(crate) enum Issuer {
    /// List the issuers of this site
    #[command(before_help = text::ISSUER, help_template = text::TEMPLATE)]
    List(Listing),
    /// Show all about one issuer
    #[command(before_help = text::ISSUER, help_template = text::TEMPLATE)]
    Show(ShowIssuer),
}

/// `iamctl issuer show`.
#[derive(Debug, Args)]
pub(crate) struct ShowIssuer {
    /// The issuer's short name or URL; without one, the site's default
    #[arg(value_name = "ISSUER")]
    pub(crate) issuer: Option<String>,
    /// Print JSON
    #[arg(long)]
    pub(crate) json: bool,
}

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

/// `iamctl completions`.
#[derive(Debug, Args)]
pub(crate) struct Completions {
    /// Which shell
    #[arg(value_enum, action = ArgAction::Set)]
    pub(crate) shell: Shell,
}

/// The shells that have completions.
#[derive(Debug, Clone, Copy, ValueEnum)]
pub(crate) enum Shell {
    /// GNU Bash
    Bash,
    /// The Z shell
    Zsh,
    /// The friendly interactive shell
    Fish,
}

/// `iamctl generate-man`.
#[derive(Debug, Args)]
pub(crate) struct GenerateMan {
    /// The directory; it must exist
    #[arg(value_name = "DIRECTORY", value_hint = ValueHint::DirPath)]
    pub(crate) directory: std::path::PathBuf,
}
