//! The steps of the walk, in an order in which each finds what the ones before it made. Scripts are
//! read by bash, as one user, each in a login of its own. `theirs` runs Debian's oidc-agent at the
//! same issuer with an account of its own; `ours` does the row's job with iamctl.

mod accounts;
mod clients;
mod rest;

use iamd_tests::Issuer;
use iamd_tests::product::issuer_file;

const AGENT: &str = "oidc-agent, the agent";
const GEN: &str = "oidc-gen, accounts";
const ADD: &str = "oidc-add, loading";
const TOKEN: &str = "oidc-token, tokens";
const AROUND: &str = "The programs around it";
const FILES: &str = "Files and variables";

/// One row and what is done for it.
pub(super) struct Step {
    pub(super) section: &'static str,
    pub(super) row: &'static str,
    pub(super) theirs: Act,
    pub(super) ours: Act,
}

/// What is done, and what has to come of it: exit code and words that are printed.
pub(super) enum Act {
    /// Nothing: the row has no command on this side, or not in Debian's version.
    Nothing,
    /// A script.
    Run(&'static str, i32, &'static [&'static str]),
    /// A script that shows a code, which is entered meanwhile; then it ends with 0.
    SignIn(&'static str, &'static [&'static str]),
}

/// What each script begins with.
pub(super) const PRELUDE: &str = "\
export OIDC_ENCRYPTION_PW=walk-walk NO_COLOR=1 ISS=https://walk.test/
GEN='--pw-env --prompt=none --confirm-default --cp=/etc/ssl/certs/ca-certificates.crt'
if [ -e ~/agent ]; then . ~/agent > /dev/null; fi";

/// The site's configuration: it shows this user their secrets.
pub(super) fn config(user: &str) -> String {
    format!("[policy]\nshow_secrets = [\"{user}\"]\n")
}

/// The issuer's file, with a public client.
pub(super) fn issuer(issuer: &Issuer) -> String {
    issuer_file("test", issuer) + "\n[public_client]\nid = \"site-public\"\n"
}

/// The code that a login shows, ours or theirs.
pub(super) fn code_in(seen: &str) -> Option<String> {
    let rest = ["And enter the code: ", "\n  Code  "]
        .iter()
        .find_map(|label| seen.split_once(label).map(|(_, rest)| rest))?;
    Some(rest[..rest.find(char::is_whitespace)?].to_owned())
}

const fn step(section: &'static str, row: &'static str, theirs: Act, ours: Act) -> Step {
    Step { section, row, theirs, ours }
}

/// All steps. Accounts of theirs: cms (the site's client), of ours: cms (one that iamd registers).
pub(super) fn steps() -> impl Iterator<Item = &'static Step> {
    [accounts::STEPS, clients::STEPS, rest::STEPS].into_iter().flatten()
}
