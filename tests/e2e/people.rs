//! What tests with more than one user, account or issuer say in one line.

use std::fmt::Display;
use std::time::Duration;

use iamd_tests::{Error, Issuer, Node, Output, clock, eventually};
use serde_json::Value;

type Result<T> = std::result::Result<T, Error>;

/// The D-Bus client of these tests on the node (see its text).
pub const BUS: &str = "/usr/local/lib/iamd-tests/bus.py";

/// An approval, a poll and the keeping of what it brought.
const SIGNED_IN_WITHIN: Duration = Duration::from_secs(10);

/// Puts the D-Bus client on a node; before [`bus`].
pub fn put_bus_client(node: &Node) -> Result<()> {
    node.put(BUS, 0o644, "root", include_bytes!("bus.py"))
}

/// What the D-Bus client says for `user`, whatever its exit code.
pub fn bus(node: &Node, user: &str, words: &str) -> Result<String> {
    Ok(node.exec_as(user, &format!("python3 {BUS} {words}"))?.ok()?.line())
}

/// Standard output of a command of `user`'s, as JSON.
pub fn json(node: &Node, user: &str, line: &str) -> Result<Value> {
    parsed(&node.exec_as(user, line)?.ok()?)
}

/// The name of the error that a command of `iamctl --json` ended with, and its message.
pub fn error_of(said: &Output) -> Result<(String, String)> {
    let text = format!("{}{}", said.text(), said.errors());
    let value: Value = text
        .lines()
        .filter_map(|line| serde_json::from_str(line).ok())
        .find(|value: &Value| value["error"]["name"].is_string())
        .ok_or_else(|| Error::Wrong(format!("no error in JSON: {said:?}")))?;
    let text = |key: &str| value["error"][key].as_str().unwrap_or_default().to_owned();
    Ok((text("name"), text("message")))
}

/// Starts a login of an account at an issuer and answers where to approve it.
pub fn start_login(node: &Node, user: &str, account: &str, at: &str) -> Result<(String, String)> {
    let line = format!("iamctl login {account} --issuer {at} --no-wait --json");
    let said = node.exec_as(user, &line)?.ok()?;
    let last = said.text().lines().last().unwrap_or_default().to_owned();
    let login: Value = serde_json::from_str(&last).map_err(wrong)?;
    match (login["verification_uri"].as_str(), login["user_code"].as_str()) {
        (Some(uri), Some(code)) => Ok((uri.to_owned(), code.to_owned())),
        _ => Err(Error::Wrong(format!("no code in {said:?}"))),
    }
}

/// Signs an account in, from the command line and without a session.
pub fn sign_in_as(node: &Node, issuer: &Issuer, user: &str, account: &str, at: &str) -> Result<()> {
    let (uri, code) = start_login(node, user, account, at)?;
    issuer.approve(&uri, &code, user)?;
    wait_for_state(node, user, account, "signed-in", SIGNED_IN_WITHIN)
}

/// Waits until an account is in a state of `iamctl account show`.
pub fn wait_for_state(
    node: &Node,
    user: &str,
    account: &str,
    state: &str,
    limit: Duration,
) -> Result<()> {
    eventually(&format!("{account} of {user} to be {state}"), limit, || {
        // Not as often as `eventually` looks: each look is a program and a request.
        clock::pause(Duration::from_millis(200));
        let shown = node.exec_as(user, &format!("iamctl account show {account} --json"))?;
        match parsed(&shown) {
            Ok(value) if value["account"]["state"] == state => Ok(()),
            _ => Err(Error::Wrong(format!("{}{}", shown.text(), shown.errors()))),
        }
    })
}

/// Standard output as JSON.
pub fn parsed(said: &Output) -> Result<Value> {
    serde_json::from_slice(&said.stdout)
        .map_err(|error| wrong(format!("{error}: {} {}", said.text(), said.errors())))
}

fn wrong(error: impl Display) -> Error {
    Error::Wrong(error.to_string())
}
