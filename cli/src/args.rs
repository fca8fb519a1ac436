//! The command line: definitions only, so that the parser, the manual pages and the completions
//! are made from one text. What a command does is in `commands/`.

mod account;
mod admin;
mod given;
mod import;
mod issuer;
mod login;
mod passphrase;
mod run;
mod status;
mod text;
mod token;
mod upkeep;

use clap::{ArgAction, Args, Parser, Subcommand, ValueEnum, ValueHint};

pub(crate) use account::{
    Account, AddAccount, DefaultAccount, EditAccount, LoginShown, RemoveAccount, RenameAccount,
    ShowAccount,
};
pub(crate) use admin::{Admin, Audit, Drain, Explain, FlowOfClient, PasswordFlow, Policy, Revoke};
pub(crate) use given::words as given_words;
pub(crate) use import::{Import, ImportOidcAgent};
pub(crate) use issuer::{Issuer, ShowIssuer};
pub(crate) use login::{Flow, Login, Logout};
pub(crate) use passphrase::{ChangePassphrase, LockAccount, UnlockAccount};
pub(crate) use run::Run;
pub(crate) use status::Status;
pub(crate) use text::ABOUT;
pub(crate) use token::Token;
pub(crate) use upkeep::{Backup, Rekey, Restore, Store};

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
    /// Run a command with a token that is kept fresh while it runs
    #[command(before_help = text::RUN, after_help = text::RUN_ABOUT, help_template = text::TEMPLATE)]
    Run(Run),
    /// Show accounts, tokens and the time they have left
    #[command(before_help = text::STATUS, after_help = text::STATUS_ABOUT, help_template = text::TEMPLATE)]
    Status(Status),
    /// Add, change, see and remove accounts
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

/// Commands that list something and have no other option.
#[derive(Debug, Args)]
pub(crate) struct Listing {
    /// Print JSON
    #[arg(long)]
    pub(crate) json: bool,
}

/// `iamctl completions`.
#[derive(Debug, Args)]
pub(crate) struct Completions {
    /// Which shell
    #[arg(value_enum, action = ArgAction::Set, value_name = "bash|zsh|fish", hide_possible_values = true)]
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
