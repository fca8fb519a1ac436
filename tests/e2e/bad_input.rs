//! Bad input, and limits: what the site, a user or an issuer gets wrong is answered with an error
//! that names it, and nothing else changes.

mod configuration;
mod issuers;
mod keys;

use iamd_tests::{Error, Node};

use crate::case::Case;

pub fn cases() -> Vec<Case> {
    [configuration::cases(), issuers::cases(), keys::cases()].concat()
}

/// Waits until iamd has given up starting, and answers how it ended and what it said.
fn failed_start(node: &Node) -> Result<(String, String), Error> {
    node.exec("systemctl stop iamd; systemctl reset-failed iamd; journalctl --rotate -q; true")?;
    let since = node.root_says("date '+%F %T.%6N'")?;
    node.exec("systemctl start iamd")?.exited(1)?;
    let status = node.root_says("systemctl show -P ExecMainStatus iamd")?;
    let said =
        node.root_says(&format!("journalctl -u iamd -o cat --no-pager --since '{since}'"))?;
    Ok((status, said))
}

/// Starts iamd again, with whatever was wrong put right.
fn starts(node: &Node) -> Result<(), Error> {
    node.exec("systemctl reset-failed iamd; systemctl restart iamd")?.ok()?;
    node.exec("iamctl issuer list")?.ok().map(|_| ())
}

/// A login works, quickly, and says nothing it should not.
fn logs_in(node: &Node, user: &str) -> Result<(), Error> {
    let said = node.ssh(user).run("echo in")?.ok()?;
    match (said.line().as_str(), said.errors().as_str()) {
        ("in", "") => Ok(()),
        _ => Err(Error::Wrong(format!("{said:?}"))),
    }
}
