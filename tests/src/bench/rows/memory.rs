//! What is in memory for users who are logged in with a token each: iamd is one process for all of
//! them, oidc-agent is two for each. The proportional set size counts a page that processes share once.

use std::time::Duration;

use super::super::crowd;
use super::super::report::{Row, Series, Who};
use super::super::setting::{KEEPING, Setting, USER};
use super::super::worker;
use crate::clock::eventually;
use crate::error::{Error, Result};
use crate::ssh::Session;

/// How long so many logins, or agents, may take.
const LIMIT: Duration = Duration::from_secs(400);
/// Where the agents of the crowd have their sockets.
const AGENTS: &str = "/home/alice/crowd";
/// As many agents are started; what more would take is reckoned from them.
const MOST_AGENTS: u32 = 50;
/// How many agents are started at a time: each wants some 70 MB for the key of its account's file.
const TOGETHER: u32 = 4;
/// Adds up the sizes of the processes named, in MB.
const SIZE: &str = "for pid in $pids; do cat /proc/$pid/smaps_rollup; done | \
                    awk '/^Pss:/ {pss += $2} /^Rss:/ {rss += $2} END {print pss / 1000, rss / 1000}'";

pub(super) fn measure(setting: &Setting) -> Result<Row> {
    let node = &setting.node;
    node.restart("iamd")?;
    let mut command = node.inside()?;
    command.args([worker::AT, "worker"]);
    let mut here = Session::start(command, LIMIT)?;
    here.send(&format!("{}\n", crowd::plan()))?;
    let mut agents: Vec<(u32, [f64; 2])> = Vec::new();
    let (mut series, mut resident) = (Vec::new(), Vec::new());
    for users in setting.effort.users.clone() {
        here.send(&format!("{users}\n"))?;
        here.wait_for(&format!("here {users}\n"))?;
        let last = crowd::uid(users - 1);
        let file = format!("/run/iamd/users/{last}/bt_u{last}");
        eventually(&file, LIMIT, || node.exec(&format!("test -s {file}"))?.ok())?;
        let ours = size(setting, "pids=$(systemctl show -P MainPID iamd)")?;
        let word = if users == 1 { "user" } else { "users" };
        let (theirs, name) = if users <= MOST_AGENTS {
            start_agents(setting, agents.last().map_or(0, |(last, _)| *last), users)?;
            let sizes = size(setting, &format!("pids=$(pgrep -u {USER} -f {AGENTS}/)"))?;
            agents.push((users, sizes));
            (sizes, "oidc-agent")
        } else {
            (further(&agents, users), "oidc-agent, reckoned")
        };
        for (who, name, sizes) in [(Who::Theirs, name, theirs), (Who::Ours, "iamd", ours)] {
            for (kind, size, list) in
                [("", sizes[0], &mut series), (", resident", sizes[1], &mut resident)]
            {
                let mut one = Series::new(who, format!("{name}, {users} {word}{kind}"));
                one.rounds.add(vec![size]);
                list.push(one);
            }
        }
    }
    node.exec(&format!("pkill -u {USER} -f {AGENTS}/; true"))?.ok()?;
    here.close()?;
    // The goal is read from the last series of each, which is the proportional size.
    resident.extend(series);
    let title = "memory for users who are logged in: proportional, and all that is resident".into();
    Ok(Row { id: "memory", title, unit: "MB", series: resident })
}

/// What so many agents would take: each more as much as each of those that were measured did.
fn further(measured: &[(u32, [f64; 2])], users: u32) -> [f64; 2] {
    let (Some(first), Some(last)) = (measured.first(), measured.last()) else { return [0.0; 2] };
    [0, 1].map(|at| {
        let more = f64::from(last.0 - first.0).max(1.0);
        last.1[at] + (last.1[at] - first.1[at]) / more * f64::from(users - last.0)
    })
}

/// Agents of their own with one account each, up to so many.
fn start_agents(setting: &Setting, from: u32, to: u32) -> Result<()> {
    let mut at = from;
    while at < to {
        let next = (at + 50).min(to);
        setting.script(
            USER,
            &format!(
                "one() {{
                mkdir -p {AGENTS}/$1 && chmod 700 {AGENTS}/$1
                unset OIDC_SOCK; eval \"$(oidc-agent --quiet -a {AGENTS}/$1/socket)\"; ready
                oidc-add {KEEPING} --pw-env > /dev/null
            }}
            export -f one ready
            seq {} {next} | xargs -P {TOGETHER} -I @ bash -c 'one @'",
                at + 1
            ),
        )?;
        at = next;
    }
    Ok(())
}

/// Proportional and resident set size, in MB.
fn size(setting: &Setting, pids: &str) -> Result<[f64; 2]> {
    let said = setting.node.root_says(&format!("{pids}; {SIZE}"))?;
    let sizes: Vec<f64> = said.split_whitespace().filter_map(|word| word.parse().ok()).collect();
    match sizes[..] {
        [pss, rss] if pss > 0.0 => Ok([pss, rss]),
        _ => Err(Error::Wrong(format!("no sizes in: {said}"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_more_agents_take_is_reckoned_from_what_each_took() {
        assert_eq!(further(&[(1, [3.0, 6.0]), (51, [103.0, 306.0])], 501), [1003.0, 3006.0]);
        assert_eq!(further(&[], 500), [0.0, 0.0]);
    }
}
