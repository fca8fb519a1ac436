//! The steps of the walk, in an order in which each finds what the ones before it made. Scripts are
//! read by bash, as one user, each in a shell of its own, after `scripts/prelude.sh`. `theirs` runs
//! Debian's oidc-agent at the same issuer with accounts of its own; `ours` does the row's job with
//! iamctl.
//!
//! Both sides have an account `cms`, with a client that was registered for it, and `given`, with the
//! site's client; each has the scopes `openid offline_access storage.read:/`.

mod accounts;
mod agent;
mod around;
mod clients;
mod files;
mod flows;
mod old_names;
mod passphrases;
mod shared;
mod site;
mod tokens;

use iamd_tests::Issuer;
use iamd_tests::product::issuer_file;

use super::table::Row;

pub(super) const AGENT: &str = "oidc-agent, the agent";
pub(super) const GEN: &str = "oidc-gen, accounts";
pub(super) const ADD: &str = "oidc-add, loading";
pub(super) const TOKEN: &str = "oidc-token, tokens";
pub(super) const AROUND: &str = "The programs around it";
pub(super) const SCRIPT: &str = "The scripts of INDIGO IAM";
pub(super) const FILES: &str = "Files and variables";

/// One row and what is done for it.
pub(super) struct Step {
    pub(super) section: &'static str,
    pub(super) row: &'static str,
    pub(super) theirs: Act,
    pub(super) ours: Act,
    pub(super) outcome: Outcome,
}

/// What is done, and what has to come of it: exit code and words that are printed.
#[derive(PartialEq, Eq)]
pub(super) enum Act {
    /// Nothing, on our side: what the original did is not needed here, and the page says why.
    Nothing,
    /// The original is not run, for want of what the page's mark of that name says.
    Left(&'static str),
    /// A script.
    Run(&'static str, i32, &'static [&'static str]),
    /// A script that shows a code, which is entered meanwhile; then it ends with 0.
    SignIn(&'static str, &'static [&'static str]),
    /// A script of the site's: root runs it, and `$WALKER` is the user.
    Root(&'static str, i32, &'static [&'static str]),
}

/// How the two compare, where both did something.
#[derive(Clone, Copy)]
pub(super) enum Outcome {
    /// Exit code and standard output are the same; tokens by what they grant.
    Same,
    /// They are not, and shall not be.
    Differs(&'static str),
}

impl Act {
    /// What is typed.
    pub(super) fn script(&self) -> Option<&'static str> {
        match self {
            Act::Nothing | Act::Left(_) => None,
            Act::Run(script, ..) | Act::SignIn(script, _) | Act::Root(script, ..) => Some(script),
        }
    }
}

impl Step {
    /// Whether it walks this row.
    pub(super) fn is_of(&self, row: &Row) -> bool {
        row.section == self.section && row.theirs == self.row
    }

    /// Which kind of step it is, for the report.
    pub(super) fn kind(&self) -> &'static str {
        match (&self.theirs, &self.ours, self.outcome) {
            (_, Act::Nothing, _) => "not needed",
            (Act::Nothing | Act::Left(_), ..) => "iamctl alone",
            (.., Outcome::Same) => "the same",
            (.., Outcome::Differs(_)) => "differs",
        }
    }
}

/// Where the node has [`SCRIPTS`]; the prelude is read from there.
pub(super) const SCRIPTS_AT: &str = "/opt/walk";

/// What stands in the scripts' place, and what each script of the walk begins with.
pub(super) const SCRIPTS: [(&str, &str); 5] = [
    ("prelude.sh", include_str!("scripts/prelude.sh")),
    ("iam-password.sh", include_str!("scripts/iam-password.sh")),
    ("iam-device.sh", include_str!("scripts/iam-device.sh")),
    ("relay.py", include_str!("scripts/relay.py")),
    ("xdg-open", include_str!("scripts/xdg-open.sh")),
];

/// What each script begins with.
pub(super) fn prelude() -> String {
    format!("PATH=$PATH:{SCRIPTS_AT}\n. {SCRIPTS_AT}/prelude.sh")
}

/// The site's configuration: it shows this user their secrets.
pub(super) fn config(user: &str) -> String {
    format!(
        "[policy]\nshow_secrets = [\"{user}\"]\n[limits]\nlogin_starts = 100\naccounts = 50\n\
         [tokens]\nmin_valid = \"10m\"\n"
    )
}

/// The issuer's file, with a public client.
pub(super) fn issuer(issuer: &Issuer) -> String {
    issuer_file("test", issuer) + "\n[public_client]\nid = \"site-public\"\n"
}

/// The file of an issuer that has the document of OAuth only, and an endpoint of the site's.
pub(super) fn plain(issuer: &Issuer) -> String {
    let at = format!("{}device/of-the-site", issuer.url());
    let file = issuer_file("plain", issuer) + "client = \"per-user\"\n";
    file + &format!("[endpoints]\ndevice_authorization = \"{at}\"\n")
}

/// The file of an issuer that has a certificate of its own making.
pub(super) fn strange(issuer: &Issuer) -> String {
    issuer_file("strange", issuer) + &format!("ca = \"{STRANGE}\"\n")
}

/// Where the node has that certificate.
pub(super) const STRANGE: &str = "/etc/ssl/strange.pem";

/// The code that a login shows: oidc-gen's, iamctl's or the script's.
pub(super) fn code_in(seen: &str) -> Option<String> {
    let rest = ["And enter the code: ", "\n  Code  ", "\nYour code: "]
        .iter()
        .find_map(|label| seen.split_once(label).map(|(_, rest)| rest))?;
    Some(rest[..rest.find(char::is_whitespace)?].to_owned())
}

/// Both do the same, with scripts that end with 0 and print these words.
const fn same(
    section: &'static str,
    row: &'static str,
    says: &'static [&'static str],
    theirs: &'static str,
    ours: &'static str,
) -> Step {
    alike(section, row, Act::Run(theirs, 0, says), Act::Run(ours, 0, says))
}

/// Both do the same.
const fn alike(section: &'static str, row: &'static str, theirs: Act, ours: Act) -> Step {
    Step { section, row, theirs, ours, outcome: Outcome::Same }
}

/// They do not do the same, for this reason.
const fn unlike(
    section: &'static str,
    row: &'static str,
    why: &'static str,
    theirs: Act,
    ours: Act,
) -> Step {
    Step { section, row, theirs, ours, outcome: Outcome::Differs(why) }
}

/// The original is not run: the page's mark says what it needs.
const fn left(section: &'static str, row: &'static str, why: &'static str, ours: Act) -> Step {
    alike(section, row, Act::Left(why), ours)
}

/// What the original did has no counterpart, as the row says.
const fn gone(section: &'static str, row: &'static str, theirs: Act) -> Step {
    alike(section, row, theirs, Act::Nothing)
}

/// All steps.
pub(super) fn steps() -> impl Iterator<Item = &'static Step> {
    [
        agent::STEPS,
        accounts::STEPS,
        tokens::STEPS,
        clients::STEPS,
        flows::STEPS,
        old_names::STEPS,
        shared::STEPS,
        site::STEPS,
        passphrases::STEPS,
        files::STEPS,
        around::STEPS,
    ]
    .into_iter()
    .flatten()
}
