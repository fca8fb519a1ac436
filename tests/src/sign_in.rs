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
    let (uri, code) = match session.find("the notice", notice_or_advice)? {
        Some(notice) => (notice.uri, notice.code),
        None => code_of(node, user)?,
    };
    issuer.approve(&uri, &code, user)?;
    let file = token_file(user)?;
    eventually(&format!("{file} after the approval"), TOKEN_WITHIN, || {
        node.exec(&format!("test -s {file}"))?.ok()
    })?;
    Ok(session)
}

/// The notice with a code; or `None`, when the issuer took longer than a login waits (on a busy
/// machine, the first time) and the notice says how to get one.
fn notice_or_advice(seen: &str) -> Option<Option<Notice>> {
    let advice = seen.contains("To sign in:  iamctl login");
    Notice::find(seen).map(Some).or_else(|| advice.then_some(None))
}

/// Address and code of the running login, as `iamctl login` tells them.
fn code_of(node: &Node, user: &str) -> Result<(String, String)> {
    let said = node.exec_as(user, "iamctl login --no-wait --json")?.ok()?;
    let shown = said.text().lines().rev().find_map(|line| {
        let login: serde_json::Value = serde_json::from_str(line).ok()?;
        let text = |key: &str| Some(login[key].as_str()?.to_owned());
        Some((text("verification_uri")?, text("user_code")?))
    });
    shown.ok_or_else(|| Error::Wrong(format!("no code in {said:?}")))
}
