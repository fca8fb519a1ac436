//! `iamctl account import` and what can be imported.

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueHint};

use super::{given, text};

/// `iamctl account import`.
#[derive(Debug, Subcommand)]
pub(crate) enum Import {
    /// Take over accounts of oidc-agent
    #[command(before_help = text::IMPORT, after_help = text::IMPORT_ABOUT, help_template = text::TEMPLATE)]
    OidcAgent(ImportOidcAgent),
}

/// `iamctl account import oidc-agent`.
#[derive(Debug, Args)]
pub(crate) struct ImportOidcAgent {
    /// An account's short name in oidc-agent, or the path of its file; without one, all accounts
    #[arg(value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub(crate) files: Vec<PathBuf>,
    /// Give the account this name here
    #[arg(long = "as", value_name = "NAME", value_parser = given::name)]
    pub(crate) name: Option<String>,
    /// Read the password of the files from this descriptor instead of asking for it
    #[arg(long, value_name = "FD")]
    pub(crate) password_fd: Option<u32>,
    /// Say what would be done, and use and change nothing
    #[arg(short = 'n', long, conflicts_with_all = ["remove", "keep"])]
    pub(crate) dry_run: bool,
    /// Remove each file when its account is here
    #[arg(long, conflicts_with = "keep")]
    pub(crate) remove: bool,
    /// Keep the files, without a question
    #[arg(long)]
    pub(crate) keep: bool,
    /// Print JSON
    #[arg(long)]
    pub(crate) json: bool,
}
