//! What nearly every test of the product begins with: a user who has signed in.

use std::time::Duration;

use crate::clock::eventually;
use crate::error::{Error, Result};
use crate::issuer::Issuer;
use crate::node::Node;
use crate::notice::Notice;
use crate::ssh::Session;

/// How long after an approval the token may take: the polling interval (RFC 8628 §3.2: 5 s) and 2 s.
pub const TOKEN_WITHIN: Duration = Duration::from_secs(7);

/// The user's uid, the same on every node: alice 1001, bob 1002, carol 1003, user01 1004 …
pub fn uid(user: &str) -> Result<u32> {
    match user {
        "alice" => Ok(1001),
        "bob" => Ok(1002),
        "carol" => Ok(1003),
        _ => {
            let number = user.strip_prefix("user").and_then(|number| number.parse::<u32>().ok());
            number
                .map(|number| 1003 + number)
                .ok_or_else(|| Error::Wrong(format!("no user {user}")))
        }
    }
}

/// The token file of the user's default account.
pub fn token_file(user: &str) -> Result<String> {
    let uid = uid(user)?;
    Ok(format!("/run/iamd/users/{uid}/bt_u{uid}"))
}

/// Has the daemon ask its default issuer for metadata and a client, as on a node that is in use:
/// after that a login waits for one reply only, and its notice has the code even on a busy machine.
pub fn warm(node: &Node) -> Result<()> {
    let start = "iamctl login --no-wait && iamctl login --cancel";
    node.exec_as("carol", start)?.ok().map(|_| ())
}

/// Logs `user` in with a terminal, approves the notice at `issuer`, and waits for the token file.
/// Answers the session, still open: the file stays while it lives.
///
/// On a machine that is busy the issuer may not have a code yet when the daemon stops waiting for
/// it, or the module stops waiting for the daemon; then the code is asked for.
pub fn sign_in(node: &Node, issuer: &Issuer, user: &str) -> Result<Session> {
    let mut session = node.ssh(user).pty().open(None)?;
    let later = |seen: &str| seen.contains("To sign in:  iamctl login\n") || seen.ends_with("$ ");
    let notice = session.find("the notice", |seen| {
        Notice::find(seen).map(Some).or_else(|| later(seen).then_some(None))
    })?;
    let notice = match notice {
        Some(notice) => notice,
        None => asked_for(node, user)?,
    };
    issuer.approve(&notice.uri, &notice.code, user)?;
    let file = token_file(user)?;
    eventually(&format!("{file} after the approval"), TOKEN_WITHIN, || {
        node.exec(&format!("test -s {file}"))?.ok()
    })?;
    Ok(session)
}

/// The code of a login that `iamctl` is asked for.
fn asked_for(node: &Node, user: &str) -> Result<Notice> {
    let text = node.exec_as(user, "iamctl login --no-wait --json")?.ok()?.text();
    let state = |line: &str| -> Option<Notice> {
        let state: serde_json::Value = serde_json::from_str(line).ok()?;
        let text = |name: &str| Some(state[name].as_str()?.to_owned());
        Some(Notice { uri: text("verification_uri")?, code: text("user_code")?, text: line.into() })
    };
    text.lines().find_map(state).ok_or_else(|| Error::Wrong(format!("no code in: {text}")))
}
