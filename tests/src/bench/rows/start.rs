//! How long the daemon takes until it says that it is ready, by systemd's clock: with the accounts
//! that the node has, and with very many.

use super::super::report::{Row, Series, Who};
use super::super::setting::Setting;
use super::super::stores::{MANY, OWN};
use crate::error::{Error, Result};

pub(super) fn measure(setting: &Setting) -> Result<Row> {
    let node = &setting.node;
    let mut few = Series::new(Who::Ours, "iamd with few accounts");
    let mut many =
        Series::new(Who::Ours, format!("iamd with {} accounts", setting.effort.accounts));
    for _ in 0..setting.effort.starts {
        few.rounds.add(vec![start(setting)?]);
    }
    node.root_says(&format!("set -e; systemctl stop iamd; mv {OWN} {OWN}-few; mv {MANY} {OWN}"))?;
    for _ in 0..setting.effort.starts {
        many.rounds.add(vec![start(setting)?]);
    }
    node.root_says(&format!(
        "set -e; systemctl stop iamd; mv {OWN} {MANY}; mv {OWN}-few {OWN}; systemctl start iamd"
    ))?;
    let title = "the daemon's start, from systemd's exec to READY".into();
    Ok(Row { id: "start", title, unit: "s", series: vec![few, many] })
}

/// Seconds.
fn start(setting: &Setting) -> Result<f64> {
    let said = setting.node.root_says(
        "set -e; systemctl stop iamd; systemctl reset-failed iamd 2> /dev/null || true; systemctl start iamd; \
         systemctl show -P InactiveExitTimestampMonotonic -P ActiveEnterTimestampMonotonic iamd",
    )?;
    let times: Vec<f64> = said.split_whitespace().filter_map(|word| word.parse().ok()).collect();
    match times[..] {
        [begun, ready] if ready > begun => Ok((ready - begun) / 1e6),
        _ => Err(Error::Wrong(format!("systemd says: {said}"))),
    }
}
