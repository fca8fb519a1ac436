//! SSH logins with and without the module's line in the stack, in turns, on the same node: from the
//! client's start to its end.

use super::super::report::{Row, Series, Who};
use super::super::setting::{Setting, USER};
use super::super::worker;
use crate::error::Result;

/// So many logins of each are told as one round.
const ROUND: usize = 10;
/// Where the two stacks lie.
const STACKS: &str = "/run/harness/bench-stack";

pub(super) fn measure(setting: &Setting) -> Result<Row> {
    let node = &setting.node;
    node.root_says(&format!(
        "set -e; mkdir -p /run/harness; cp -p /etc/pam.d/common-session {STACKS}.with; \
         grep -v pam_iam {STACKS}.with > {STACKS}.without; ! cmp -s {STACKS}.with {STACKS}.without"
    ))?;
    let mut series =
        [Series::new(Who::Floor, "without the module"), Series::new(Who::Ours, "with the module")];
    let mut times = [Vec::new(), Vec::new()];
    login(setting)?;
    for round in 0..setting.effort.logins {
        for turn in 0..2 {
            let at = (round + turn) % 2;
            let stack = if at == 0 { "without" } else { "with" };
            node.root_says(&format!("cp -p {STACKS}.{stack} /etc/pam.d/common-session"))?;
            times[at].push(login(setting)?);
        }
    }
    for (series, times) in series.iter_mut().zip(times) {
        times.chunks(ROUND).for_each(|round| series.rounds.add(round.to_vec()));
    }
    node.root_says(&format!("cp -p {STACKS}.with /etc/pam.d/common-session"))?;
    let title = "an SSH login of a user who has signed in".into();
    Ok(Row { id: "login", title, unit: "ms", series: series.into() })
}

/// Milliseconds.
fn login(setting: &Setting) -> Result<f64> {
    let mut ssh = setting.node.client("ssh");
    ssh.arg("-F").arg(setting.node.ssh_config()).args(["-l", USER, setting.node.name(), "true"]);
    Ok(worker::once(ssh)?.as_secs_f64() * 1000.0)
}
