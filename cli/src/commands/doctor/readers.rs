//! Which token would each program find, and would it take it? The programs differ; what they do
//! was read in their sources.

mod scitokens;

use iamd_protocol::bus::Finding;
use iamd_protocol::variables::{BEARER_TOKEN, BEARER_TOKEN_FILE, XDG_RUNTIME_DIR};

use super::discovery::{Place, is_of_another, our_file, places, way_past};
use super::token_file::{Facts, State, XROOTD_LIMIT};
use super::{OK, PROBLEM, WARNING, finding};
use crate::environment::Environment;
use crate::output::time;

const SIGN_IN: &str = "Sign in with:  iamctl login";
const SEE: &str = "See the finding about that file";

/// Looks at the variables, at the files, and through the eyes of each reader. `way`: how the default
/// account gets a token, where that is not a sign-in.
pub(super) fn look(environment: &Environment, now: u64, way: Option<&str>) -> Vec<Finding> {
    let places = places(environment);
    let mut findings = variables(environment, &places);
    let found = [places.iter().find(|place| place.stops()), scitokens::finds(&places, environment)];
    for place in &places {
        let is_reached = found.iter().flatten().any(|found| std::ptr::eq(*found, place));
        findings.extend(judge(place, environment, now, is_reached));
    }
    findings.extend(
        ["XRootD", "Rucio", "HTCondor"]
            .iter()
            .map(|reader| discovering(reader, &places, environment, way)),
    );
    findings.push(scitokens::look(&places, environment, way));
    findings.push(gfal2(&places));
    findings.push(finding(
        "davix",
        OK,
        "looks for no token by itself (ROOT's TDavixFile does)",
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

/// What is wrong with what is at a place. `is_reached`: a reader gets as far as there.
fn judge(place: &Place, environment: &Environment, now: u64, is_reached: bool) -> Vec<Finding> {
    // What somebody else put where nobody looks stops nobody.
    let of_another = place.path.as_ref().is_some_and(|path| is_of_another(environment, path));
    let problem = if of_another && !is_reached { WARNING } else { PROBLEM };
    let mut findings = Vec::new();
    let mut add = |level: &str, text: String, advice: String| {
        findings.push(finding("token file", level, format!("{} {text}", place.describe()), advice));
    };
    let facts = match &place.state {
        State::Missing => {
            if place.name == BEARER_TOKEN_FILE {
                let advice = "See what the account needs:  iamctl status";
                add(WARNING, "is not there".into(), advice.into());
            }
            return findings;
        }
        State::Empty => {
            add(WARNING, "is empty".into(), mend(place, environment, way_out(place)));
            return findings;
        }
        State::Unreadable(why) => {
            let advice = mend(place, environment, "Remove it, then log in again");
            add(problem, format!("cannot be read: {why}"), advice);
            return findings;
        }
        State::Token(facts) => facts,
    };
    if let Some(expires_at) = facts.expires_at.filter(|at| *at <= now) {
        let text = format!("has expired {} ago", time::span(now - expires_at));
        let text = format!("{text}, and readers that find it try no other");
        add(problem, text, mend(place, environment, way_out(place)));
    }
    if !facts.well_formed {
        let advice = mend(place, environment, way_out(place));
        add(problem, "is not a bearer token (RFC 6750)".into(), advice);
    }
    if facts.size >= XROOTD_LIMIT {
        add(
            WARNING,
            format!(
                "has {} bytes: XRootD refuses 4096 and more unless its server allows it",
                facts.size
            ),
            "Ask for fewer scopes:  iamctl token -s SCOPE".into(),
        );
    }
    if let Some(owner) = facts.owner.filter(|owner| *owner != environment.uid) {
        let unused = "Do not use what it holds";
        let advice = match place.name.as_str() {
            // Whoever set it knows where it leads.
            BEARER_TOKEN_FILE => unused.into(),
            _ => mend(place, environment, unused),
        };
        add(problem, format!("belongs to uid {owner}, not to you"), advice);
    }
    if let Some(mode) = facts.mode.filter(|mode| mode & 0o077 != 0) {
        let text = format!("has mode {mode:04o}: others can read it, and XRootD refuses it");
        add(problem, text, closing(place, facts, environment));
    }
    if facts.padded && place.path.is_some() {
        let text = "has white space around the token: some readers keep it";
        add(WARNING, text.into(), mend(place, environment, way_out(place)));
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

/// What the user does about what is at the place: `usual`, where they can.
fn mend(place: &Place, environment: &Environment, usual: &str) -> String {
    let past = place.path.as_ref().and_then(|path| way_past(environment, path));
    past.unwrap_or_else(|| usual.to_owned())
}

/// What is done about a token file that others can read: only its owner changes its mode.
fn closing(place: &Place, facts: &Facts, environment: &Environment) -> String {
    let is_own = environment.uid == 0 || facts.owner.is_none_or(|owner| owner == environment.uid);
    if is_own { "chmod 600 it".into() } else { mend(place, environment, way_out(place)) }
}

/// A reader that follows the discovery rules: XRootD (XrdSecztn), Rucio (utils.py), HTCondor
/// (condor_scitokens.cpp).
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
            closing(place, facts, environment),
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
        _ => finding(reader, PROBLEM, format!("stops at {}", place.describe()), SEE),
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
