//! `iamctl issuer` and its commands.

use clap::{Args, Subcommand};

use super::{Listing, given, text};

/// `iamctl issuer`.
#[derive(Debug, Subcommand)]
pub(crate) enum Issuer {
    /// List the issuers of this site
    #[command(alias = "ls", before_help = text::ISSUER, help_template = text::TEMPLATE)]
    List(Listing),
    /// Show all about one issuer
    #[command(before_help = text::ISSUER, help_template = text::TEMPLATE)]
    Show(ShowIssuer),
}

/// `iamctl issuer show`.
#[derive(Debug, Args)]
pub(crate) struct ShowIssuer {
    /// The issuer's short name or URL; without one, the site's default
    #[arg(value_name = "ISSUER", value_parser = given::name)]
    pub(crate) issuer: Option<String>,
    /// Print JSON
    #[arg(long)]
    pub(crate) json: bool,
}
