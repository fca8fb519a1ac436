//! Which token would each program find, and would it take it? The programs differ; what they do
//! was read in their sources.

use iamd_protocol::bus::Finding;
use iamd_protocol::variables::{BEARER_TOKEN, BEARER_TOKEN_FILE, XDG_RUNTIME_DIR};

use super::discovery::{Place, our_file, places};
use super::token_file::{Facts, State, XROOTD_LIMIT};
use super::{OK, PROBLEM, WARNING, finding};
use crate::environment::Environment;
use crate::output::time;

const SIGN_IN: &str = "Sign in with:  iamctl login";

/// Looks at the variables, at the files, and through the eyes of each reader. `way`: how the default
/// account gets a token, where that is not a sign-in.
pub(super) fn look(environment: &Environment, now: u64, way: Option<&str>) -> Vec<Finding> {
    let places = places(environment);
    let mut findings = variables(environment, &places);
    for place in &places {
        findings.extend(judge(place, environment, now));
    }
    findings.extend(
        ["XRootD", "Rucio", "HTCondor", "scitokens"]
            .iter()
            .map(|reader| discovering(reader, &places, environment, way)),
    );
    findings.push(gfal2(&places));
    findings.push(finding(
        "davix",
        OK,
        "looks for no token by itself (ROOT's TDavixFile does, as scitokens)",
        "Give it:  davix-get -H \"$(iamctl token --header)\" URL   (others see it in ps)",
    ));
    findings.push(finding(
        "curl",
        OK,
        "looks for no token by itself",
        "Give it:  curl -H @<(iamctl token --header) URL",
    ));
    findings
}

/// The variables themselves.
fn variables(environment: &Environment, places: &[Place]) -> Vec<Finding> {
    let mut findings = Vec::new();
    let is_set = |name: &str| places.iter().any(|place| place.name == name && place.stops());
    if is_set(BEARER_TOKEN) {
        findings.push(finding(
            BEARER_TOKEN,
            WARNING,
            "is set: readers prefer it to the token file, and nobody renews it",
            "When you no longer need it:  unset BEARER_TOKEN",
        ));
    }
    let ours = our_file(environment);
    if environment.non_empty(BEARER_TOKEN_FILE).is_none() {
        if environment.path(&ours).exists() {
            findings.push(finding(
                BEARER_TOKEN_FILE,
                WARNING,
                "is not set in this shell, although there is a token file",
                format!("export {BEARER_TOKEN_FILE}={}", ours.display()),
            ));
        }
    } else {
        findings.push(finding(BEARER_TOKEN_FILE, OK, "is set", ""));
    }
    let directory = environment.non_empty(XDG_RUNTIME_DIR);
    if let Some(directory) = directory.filter(|directory| !environment.path(directory).is_dir()) {
        findings.push(finding(
            XDG_RUNTIME_DIR,
            WARNING,
            format!("{} is not there", directory.to_string_lossy()),
            "Log in again, not with su; logind makes it at login",
        ));
    }
    findings
}

/// What is wrong with what is at a place.
fn judge(place: &Place, environment: &Environment, now: u64) -> Vec<Finding> {
    let facts = match &place.state {
        State::Missing if place.name == BEARER_TOKEN_FILE => {
            let text = format!("{} is not there", place.describe());
            return vec![finding(
                "token file",
                WARNING,
                text,
                "See what the account needs:  iamctl status",
            )];
        }
        State::Missing => return Vec::new(),
        State::Empty => {
            return vec![finding(
                "token file",
                WARNING,
                format!("{} is empty", place.describe()),
                "",
            )];
        }
        State::Unreadable(why) => {
            let text = format!("{} cannot be read: {why}", place.describe());
            return vec![finding("token file", PROBLEM, text, "Remove it, then log in again")];
        }
        State::Token(facts) => facts,
    };
    let mut findings = Vec::new();
    let mut add = |level: &str, text: String, advice: &str| {
        findings.push(finding("token file", level, format!("{} {text}", place.describe()), advice));
    };
    if let Some(expires_at) = facts.expires_at.filter(|at| *at <= now) {
        let text = format!("has expired {} ago", time::span(now - expires_at));
        add(PROBLEM, format!("{text}, and readers that find it try no other"), way_out(place));
    }
    if !facts.well_formed {
        add(PROBLEM, "is not a bearer token (RFC 6750)".into(), way_out(place));
    }
    if facts.size >= XROOTD_LIMIT {
        add(
            WARNING,
            format!(
                "has {} bytes: XRootD refuses 4096 and more unless its server allows it",
                facts.size
            ),
            "Ask for fewer scopes:  iamctl token -s SCOPE",
        );
    }
    if let Some(owner) = facts.owner.filter(|owner| *owner != environment.uid) {
        add(PROBLEM, format!("belongs to uid {owner}, not to you"), "Do not use what it holds");
    }
    if let Some(mode) = facts.mode.filter(|mode| mode & 0o077 != 0) {
        let text = format!("has mode {mode:04o}: others can read it, and XRootD refuses it");
        add(PROBLEM, text, "chmod 600 it");
    }
    if facts.padded && place.path.is_some() {
        add(WARNING, "has white space around the token: some readers keep it".into(), "");
    }
    if findings.is_empty() {
        let left =
            facts.expires_at.map_or_else(String::new, |at| format!(", {}", time::left(at, now)));
        let text = format!("{} is in order{left}", place.describe());
        findings.push(finding("token file", OK, text, ""));
    }
    findings
}

fn way_out(place: &Place) -> &'static str {
    if place.path.is_none() {
        "unset BEARER_TOKEN"
    } else {
        "Have a new one:  iamctl token > /dev/null; if it stays, remove the file"
    }
}

/// A reader that follows the discovery rules: XRootD (XrdSecztn), Rucio (utils.py), HTCondor
/// (condor_scitokens.cpp), the libraries scitokens.
fn discovering(
    reader: &str,
    places: &[Place],
    environment: &Environment,
    way: Option<&str>,
) -> Finding {
    let Some(place) = places.iter().find(|place| place.stops()) else {
        return finding(reader, WARNING, "finds no token", way.unwrap_or(SIGN_IN));
    };
    match &place.state {
        State::Token(facts) if reader == "XRootD" && refused_by_xrootd(facts) => finding(
            reader,
            PROBLEM,
            format!("finds {} and refuses it, in silence", place.describe()),
            "chmod 600 it",
        ),
        State::Token(facts) if reader == "XRootD" && facts.size >= XROOTD_LIMIT => finding(
            reader,
            WARNING,
            format!(
                "finds {} and refuses its {} bytes, unless the server takes so many",
                place.describe(),
                facts.size
            ),
            "Ask for fewer scopes:  iamctl token -s SCOPE",
        ),
        // xrootd#2080: it forms another path below /tmp than the one that is meant.
        State::Token(_) if reader == "XRootD" && is_in_tmp(place) => finding(
            reader,
            WARNING,
            format!("finds {}, but version 5.5, as in Debian 12, does not", place.describe()),
            format!("export {BEARER_TOKEN_FILE}={}", our_file(environment).display()),
        ),
        State::Token(_) => finding(reader, OK, format!("finds {}", place.describe()), ""),
        _ => finding(
            reader,
            PROBLEM,
            format!("stops at {}", place.describe()),
            "See the finding about that file",
        ),
    }
}

fn is_in_tmp(place: &Place) -> bool {
    place.name.starts_with("/tmp/")
}

/// Any bit for group or others (only told at debug level, xrootd#2125).
fn refused_by_xrootd(facts: &Facts) -> bool {
    facts.mode.is_some_and(|mode| mode & 0o077 != 0)
}

/// gfal2 reads the variable with the token and nothing else (gfal_common.c).
fn gfal2(places: &[Place]) -> Finding {
    match places.iter().find(|place| place.name == BEARER_TOKEN && place.stops()) {
        Some(_) => finding("gfal2", OK, "finds BEARER_TOKEN", ""),
        None => finding(
            "gfal2",
            OK,
            "reads BEARER_TOKEN only, which is not set",
            "When you need it:  eval \"$(iamctl token --env)\"",
        ),
    }
}

#[cfg(test)]
mod tests;
