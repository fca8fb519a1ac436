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

/// Logs `user` in with a terminal, approves the notice at `issuer`, and waits for the token file.
/// Answers the session, still open: the file stays while it lives.
pub fn sign_in(node: &Node, issuer: &Issuer, user: &str) -> Result<Session> {
    let mut session = node.ssh(user).pty().open(None)?;
    let notice = session.find("the notice", Notice::find)?;
    issuer.approve(&notice.uri, &notice.code, user)?;
    let file = token_file(user)?;
    eventually(&format!("{file} after the approval"), TOKEN_WITHIN, || {
        node.exec(&format!("test -s {file}"))?.ok()
    })?;
    Ok(session)
}
