//! Tokens by the two commands, beside a program that does nothing.

use super::super::report::{Row, Series, Who};
use super::super::setting::{KEEPING, MANY, NARROW, ROTATING, Setting, USER};
use crate::error::Result;

/// How it is measured.
struct Way {
    clients: usize,
    rounds: usize,
    runs: usize,
}

pub(super) fn cached(setting: &Setting) -> Result<Row> {
    let title = "a cached token, one client";
    one_client(setting, "cached", title, &["oidc-token", KEEPING], &["iamctl", "token"])
}

pub(super) fn narrowed(setting: &Setting) -> Result<Row> {
    let title = "the same narrowed token again";
    let theirs = ["oidc-token", "-s", NARROW, KEEPING];
    one_client(setting, "narrowed", title, &theirs, &["iamctl", "token", "-s", NARROW])
}

pub(super) fn forced(setting: &Setting) -> Result<Row> {
    let title = "a forced refresh, the refresh token stays";
    let theirs = ["oidc-token", "-f", KEEPING];
    one_client(setting, "forced", title, &theirs, &["iamctl", "token", "--force-new"])
}

pub(super) fn forced_rotating(setting: &Setting) -> Result<Row> {
    let title = "a forced refresh with a new refresh token";
    let theirs = ["oidc-token", "-f", ROTATING];
    let ours = ["iamctl", "token", ROTATING, "--force-new"];
    one_client(setting, "forced-rotating", title, &theirs, &ours)
}

pub(super) fn eight_clients(setting: &Setting) -> Result<Row> {
    many(setting, "clients-8", "a cached token, 8 clients at a time", 8)
}

pub(super) fn many_clients(setting: &Setting) -> Result<Row> {
    many(setting, "clients-64", "a cached token, 64 clients at a time", 64)
}

fn one_client(
    setting: &Setting,
    id: &'static str,
    title: &str,
    theirs: &[&str],
    ours: &[&str],
) -> Result<Row> {
    // A block takes long where each start asks the issuer.
    let runs = if id.starts_with("forced") { setting.effort.runs / 4 } else { setting.effort.runs };
    let rounds = setting.effort.rounds;
    in_turns(setting, id, title, theirs, ours, &Way { clients: 1, rounds, runs: runs.max(1) })
}

fn many(setting: &Setting, id: &'static str, title: &str, clients: usize) -> Result<Row> {
    let (rounds, runs) = (setting.effort.crowded_rounds, setting.effort.crowded_runs);
    let way = Way { clients, rounds, runs };
    in_turns(setting, id, title, &["oidc-token", KEEPING], &["iamctl", "token"], &way)
}

/// A block of each in every round, another one first each time.
fn in_turns(
    setting: &Setting,
    id: &'static str,
    title: &str,
    theirs: &[&str],
    ours: &[&str],
    way: &Way,
) -> Result<Row> {
    let user = if theirs.contains(&ROTATING) { MANY } else { USER };
    let all = [(Who::Floor, &["true"][..]), (Who::Theirs, theirs), (Who::Ours, ours)];
    let mut series = all.map(|(who, words)| Series::new(who, words.join(" ")));
    let words = all.map(|(_, words)| absolute(words));
    for words in &words {
        // What only the first of all does is not what is measured.
        setting.starts(user, words, 1, 2)?;
    }
    for round in 0..way.rounds {
        for turn in 0..all.len() {
            let at = (round + turn) % all.len();
            let before = setting.requests()?;
            series[at].rounds.add(setting.starts(user, &words[at], way.clients, way.runs)?);
            let requests = setting.requests()? - before;
            if series[at].who != Who::Floor {
                series[at].requests = Some(series[at].requests.unwrap_or(0) + requests);
            }
            series[at].done += way.clients * way.runs;
        }
    }
    Ok(Row { id, title: title.into(), unit: "ms", series: series.into() })
}

/// The program by its path, so that nobody looks for it.
pub(super) fn absolute(words: &[&str]) -> Vec<String> {
    let mut words: Vec<String> = words.iter().map(|word| (*word).to_owned()).collect();
    words[0] = format!("/usr/bin/{}", words[0]);
    words
}
