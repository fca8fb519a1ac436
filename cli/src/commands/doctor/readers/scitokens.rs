//! The Python library scitokens. It looks for a token by rules of its own (scitokens.py of 1.9.7,
//! `SciToken.discover`).

use iamd_protocol::bus::Finding;
use iamd_protocol::variables::{BEARER_TOKEN, BEARER_TOKEN_FILE, XDG_RUNTIME_DIR};

use super::super::discovery::{Place, our_file};
use super::super::token_file::State;
use super::{OK, PROBLEM, SEE, SIGN_IN, WARNING, finding, is_in_tmp, mend, way_out};
use crate::environment::Environment;

const NAME: &str = "scitokens";

/// Where it stops: at a variable that is not empty, be it blank; at a regular file, be it empty. In
/// /tmp it looks only where there is no runtime directory.
pub(super) fn finds<'a>(places: &'a [Place], environment: &Environment) -> Option<&'a Place> {
    let has_runtime_directory = environment.non_empty(XDG_RUNTIME_DIR).is_some();
    places.iter().find(|place| match &place.path {
        None => environment.non_empty(BEARER_TOKEN).is_some(),
        Some(path) => {
            !(has_runtime_directory && is_in_tmp(place)) && environment.path(path).is_file()
        }
    })
}

/// What it finds.
pub(super) fn look(places: &[Place], environment: &Environment, way: Option<&str>) -> Finding {
    let Some(place) = finds(places, environment) else {
        let ours = our_file(environment);
        if places.iter().any(|place| is_in_tmp(place) && place.stops())
            && environment.non_empty(XDG_RUNTIME_DIR).is_some()
            && environment.path(&ours).exists()
        {
            return finding(
                NAME,
                WARNING,
                "finds no token: where XDG_RUNTIME_DIR is set it does not look in /tmp",
                format!("export {BEARER_TOKEN_FILE}={}", ours.display()),
            );
        }
        return finding(NAME, WARNING, "finds no token", way.unwrap_or(SIGN_IN));
    };
    match &place.state {
        State::Token(_) => finding(NAME, OK, format!("finds {}", place.describe()), ""),
        State::Empty => finding(
            NAME,
            PROBLEM,
            format!("stops at {}, which is empty", place.describe()),
            mend(place, environment, way_out(place)),
        ),
        _ => finding(NAME, PROBLEM, format!("stops at {}", place.describe()), SEE),
    }
}
