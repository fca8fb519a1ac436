//! An issuer that is slow, or silent.

use std::time::Duration;

use serde_json::json;

use super::super::report::{Row, Series, Who};
use super::super::setting::{KEEPING, MANY, NARROW, SLOW, Setting};
use super::super::stats::Rounds;
use super::super::worker;
use super::tokens::absolute;
use crate::clock;
use crate::error::{Error, Result};

/// How long a request is under way before somebody else asks.
const HEAD_START: Duration = Duration::from_millis(500);

/// Four accounts are refreshed at the same time: until the last token is there.
pub(super) fn four(setting: &Setting) -> Result<Row> {
    let wait = json!([{"match": {"path": "/token"}, "fault": {"latency": {"ms": 2000}}}]);
    let _slow = setting.slow.faults(&wait)?;
    let mut theirs = Series::new(Who::Theirs, "oidc-token -f, 4 accounts");
    let mut ours = Series::new(Who::Ours, "iamctl token --force-new, 4 accounts");
    for _ in 0..setting.effort.slow_rounds {
        for series in [&mut theirs, &mut ours] {
            let commands = SLOW.map(|account| match series.who {
                Who::Ours => absolute(&["iamctl", "token", account, "--force-new"]),
                _ => absolute(&["oidc-token", "-f", account]),
            });
            let before = setting.requests()?;
            let done = setting.block(MANY, &worker::plan(&commands, SLOW.len(), 1))?;
            let requests = setting.requests()? - before;
            series.requests = Some(series.requests.unwrap_or(0) + requests);
            series.done += SLOW.len();
            let seconds = done["seconds"].as_f64();
            series.rounds.add(vec![seconds.ok_or_else(|| Error::Wrong(format!("{done}")))?]);
        }
    }
    let title =
        "four accounts refreshed at once, at an issuer that takes 2 s: until all are".into();
    Ok(Row { id: "slow", title, unit: "s", series: vec![theirs, ours] })
}

/// A token that is there, while a refresh of another account waits for an issuer that is silent.
pub(super) fn hanging(setting: &Setting) -> Result<Row> {
    let silent = json!([{"match": {"path": "/token"}, "fault": "blackhole"}]);
    let _silent = setting.slow.faults(&silent)?;
    let theirs = absolute(&["oidc-token", KEEPING]);
    let ours = absolute(&["iamctl", "token"]);
    let narrowed = absolute(&["iamctl", "token", "-s", NARROW]);
    setting.starts(MANY, &narrowed, 1, 1)?;
    let mut series = [
        Series::new(Who::Theirs, "oidc-token test"),
        Series::new(Who::Ours, "iamctl token"),
        Series::new(Who::Ours, format!("iamctl token -s {NARROW}")),
    ];
    let runs = setting.effort.runs;
    for round in 0..setting.effort.slow_rounds {
        // Another account each time: one whose refresh failed may not be tried again at once.
        let account = SLOW[round % SLOW.len()];
        let silent = "> /dev/null 2>&1 < /dev/null &";
        setting.script(MANY, &format!("timeout 50 iamctl token {account} --force-new {silent}"))?;
        clock::pause(HEAD_START);
        add(&mut series[1].rounds, setting.starts(MANY, &ours, 1, runs)?);
        add(&mut series[2].rounds, setting.starts(MANY, &narrowed, 1, runs)?);
        setting.script(MANY, &format!("timeout 50 oidc-token -f {account} {silent}"))?;
        clock::pause(HEAD_START);
        add(&mut series[0].rounds, setting.starts(MANY, &theirs, 1, 1)?);
    }
    let title = "a cached token while another account's issuer hangs".into();
    Ok(Row { id: "hanging", title, unit: "ms", series: series.into() })
}

fn add(rounds: &mut Rounds, measures: Vec<f64>) {
    rounds.add(measures);
}
