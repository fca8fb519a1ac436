//! `iamctl admin` and its commands.

use clap::builder::PossibleValuesParser;
use clap::{ArgGroup, Args, Subcommand};
use iamd_protocol::audit::EVENTS;

use super::{Backup, Listing, Rekey, Restore, Store, given, text};

/// `iamctl admin`.
#[derive(Debug, Subcommand)]
pub(crate) enum Admin {
    /// List the users who have accounts or sessions: counts and states, no tokens
    #[command(before_help = text::ADMIN, help_template = text::TEMPLATE)]
    Users(Listing),
    /// List the open sessions
    #[command(before_help = text::ADMIN, help_template = text::TEMPLATE)]
    Sessions(Listing),
    /// Count what there is on this node, and what was done since iamd began
    #[command(before_help = text::STATS, help_template = text::TEMPLATE)]
    Stats(Listing),
    /// End the sign-ins of a user, at an issuer, or with a client
    #[command(before_help = text::REVOKE, after_help = text::REVOKE_ABOUT, help_template = text::TEMPLATE)]
    Revoke(Revoke),
    /// Take no new sign-ins for a while
    #[command(before_help = text::DRAIN, after_help = text::DRAIN_ABOUT, help_template = text::TEMPLATE)]
    Drain(Drain),
    /// Show what iamd recorded: sign-ins, tokens, refusals, administration
    #[command(before_help = text::AUDIT, after_help = text::AUDIT_ABOUT, help_template = text::TEMPLATE)]
    Audit(Audit),
    /// See what the site's rules come to, and what a user may do
    #[command(subcommand, before_help = text::POLICY, after_help = text::POLICY_ABOUT, help_template = text::TEMPLATE)]
    Policy(Policy),
    /// Read the configuration again
    #[command(before_help = text::ADMIN, help_template = text::TEMPLATE)]
    Reload(Listing),
    /// Say with which clients users may sign in by password
    #[command(subcommand, before_help = text::PASSWORD_FLOW, after_help = text::PASSWORD_FLOW_ABOUT, help_template = text::TEMPLATE)]
    PasswordFlow(PasswordFlow),
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

/// `iamctl admin password-flow`.
#[derive(Debug, Subcommand)]
pub(crate) enum PasswordFlow {
    /// List the clients that users may sign in with by password
    #[command(before_help = text::PASSWORD_FLOW, help_template = text::TEMPLATE)]
    List(Listing),
    /// Let users sign in by password with a client
    #[command(before_help = text::PASSWORD_FLOW, after_help = text::PASSWORD_FLOW_ABOUT, help_template = text::TEMPLATE)]
    Enable(FlowOfClient),
    /// No longer let users sign in by password with a client; sign-ins that there are go on
    #[command(before_help = text::PASSWORD_FLOW, help_template = text::TEMPLATE)]
    Disable(FlowOfClient),
}

/// `iamctl admin password-flow enable` and `disable`.
#[derive(Debug, Args)]
pub(crate) struct FlowOfClient {
    /// The issuer, by its short name at this site or by URL
    #[arg(long, value_name = "NAME|URL")]
    pub(crate) issuer: String,
    /// The client_id
    #[arg(long, value_name = "ID")]
    pub(crate) client: String,
    /// Change the client at the issuer too, an INDIGO IAM, as the administrator there that you are
    #[arg(long)]
    pub(crate) at_issuer: bool,
    /// With this account of yours; without it, the first one with the scopes iam:admin.read and
    /// iam:admin.write
    #[arg(long, value_name = "ACCOUNT", value_parser = given::name, requires = "at_issuer")]
    pub(crate) account: Option<String>,
    /// Print JSON
    #[arg(long)]
    pub(crate) json: bool,
}

/// `iamctl admin policy`.
#[derive(Debug, Subcommand)]
pub(crate) enum Policy {
    /// Check the configuration on disk, and say what it comes to
    #[command(before_help = text::POLICY, after_help = text::POLICY_CHECK_ABOUT, help_template = text::TEMPLATE)]
    Check(Listing),
    /// Say what a user may do, and which line decided
    #[command(before_help = text::POLICY, after_help = text::POLICY_EXPLAIN_ABOUT, help_template = text::TEMPLATE)]
    Explain(Explain),
}

/// `iamctl admin policy explain`.
#[derive(Debug, Args)]
pub(crate) struct Explain {
    /// The user's name
    #[arg(value_name = "USER")]
    pub(crate) user: String,
    /// Print JSON
    #[arg(long)]
    pub(crate) json: bool,
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

/// `iamctl admin audit`.
#[derive(Debug, Args)]
pub(crate) struct Audit {
    /// Of this user: a name or a uid
    #[arg(long, value_name = "USER")]
    pub(crate) user: Option<String>,
    /// At this issuer: a short name or a URL
    #[arg(long, value_name = "ISSUER")]
    pub(crate) issuer: Option<String>,
    /// With this client
    #[arg(long, value_name = "CLIENT_ID")]
    pub(crate) client: Option<String>,
    /// Of the accounts with this name
    #[arg(long = "account", value_name = "NAME", value_parser = given::name)]
    pub(crate) account_name: Option<String>,
    /// Only this event; may be given several times
    #[arg(
        long = "event",
        value_name = "EVENT",
        value_parser = PossibleValuesParser::new(EVENTS.iter().map(|(word, _)| *word))
    )]
    pub(crate) events: Vec<String>,
    /// With this result: ok, or the name of an error
    #[arg(long, value_name = "RESULT")]
    pub(crate) result: Option<String>,
    /// From this time on, as journalctl takes it: yesterday, "2 hours ago", 2026-11-23
    #[arg(long, value_name = "TIME", allow_hyphen_values = true)]
    pub(crate) since: Option<String>,
    /// Up to this time
    #[arg(long, value_name = "TIME", allow_hyphen_values = true)]
    pub(crate) until: Option<String>,
    /// Show what comes from now on, or from --since on
    #[arg(short, long, conflicts_with_all = ["until", "lines"])]
    pub(crate) follow: bool,
    /// The last so many; 100, or all where a time is named
    #[arg(short = 'n', long, value_name = "NUMBER")]
    pub(crate) lines: Option<u32>,
    /// Print JSON; with --follow an object on each line
    #[arg(long)]
    pub(crate) json: bool,
}
