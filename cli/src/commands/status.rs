//! `iamctl status`: what `klist` is for Kerberos.

use iamd_protocol::bus::{AccountInfo, StatusReply, state};
use iamd_protocol::error::Exit;

use crate::app::Context;
use crate::args::Listing;
use crate::failure::Failure;
use crate::output::bar::bar;
use crate::output::stream::{Paint, Stream};
use crate::output::{json, text, time};

/// Shows how things stand.
///
/// # Errors
/// Those of `Status` and `List`.
pub(super) fn run(args: &Listing, context: &mut Context) -> Result<Exit, Failure> {
    let client = context.client()?;
    let status = client.status()?;
    let accounts = client.accounts()?;
    if args.json {
        context.output.json(&json::status(&status, &accounts));
        return Ok(Exit::Done);
    }
    let now = context.now();
    let mut lines = head(&status, now, &context.output.out);
    for account in &accounts {
        lines.push(String::new());
        let ahead = Some(status.announce_ahead_seconds);
        lines.extend(block(account, now, ahead, &context.output.out));
    }
    for line in lines {
        context.output.out.line(&line);
    }
    if accounts.is_empty() {
        context.output.tell("You have no account yet. Sign in with:  iamctl login");
    }
    Ok(Exit::Done)
}

fn head(status: &StatusReply, now: u64, out: &Stream) -> Vec<String> {
    let sessions = text::count(status.sessions, "session");
    let notice = if status.notice { "on" } else { "off" };
    let mut lines = vec![format!(
        "{}: {sessions}, notice at login {notice}",
        out.paint(Paint::Bold, &status.node)
    )];
    if let Some(until) = status.files_until.filter(|until| *until > now) {
        lines.push(format!("Token files stay for another {}.", time::span(until - now)));
    }
    lines
}

/// An account in lines. With `announce_ahead`, a sign-in that ends within so many seconds is
/// announced.
pub(super) fn block(
    account: &AccountInfo,
    now: u64,
    announce_ahead: Option<u64>,
    out: &Stream,
) -> Vec<String> {
    let mut lines = vec![title(account, out)];
    let columns = out.size().map(|size| size.columns);
    let mut push = |label: &str, value: &str| {
        let label = out.paint(Paint::Dim, &format!("{label:<13}"));
        let value = columns
            .map_or_else(|| value.to_owned(), |columns| text::wrap_indented(value, columns, 17));
        lines.push(format!("  {label}  {value}"));
    };
    if let Some(reason) = &account.reason {
        push("Reason", reason);
    }
    match &account.issuer_name {
        Some(name) => push("Issuer", &format!("{name}  {}", account.issuer)),
        None => push("Issuer", &account.issuer),
    }
    match (&account.subject_name, &account.subject) {
        (Some(name), Some(subject)) => push("Signed in as", &format!("{name} ({subject})")),
        (Some(who), None) | (None, Some(who)) => push("Signed in as", who),
        (None, None) => {}
    }
    if let Some(at) = account.access_expires_at {
        push("Access token", &with_bar(at, account.refreshed_at, now, out));
    }
    if let Some(at) = account.refresh_expires_at {
        push("Sign-in", &with_bar(at, account.signed_in_at, now, out));
    }
    if !account.scopes.is_empty() {
        push("Scopes", &account.scopes.join(" "));
    }
    if !account.audiences.is_empty() {
        push("Audience", &account.audiences.join(" "));
    }
    match (account.has_passphrase, account.unlocked_until) {
        (Some(true), Some(until)) => push("Unlocked for", &time::left(until, now)),
        (Some(true), None) if account.state != state::LOCKED => {
            push("Unlocked", "until it is locked, or iamd ends");
        }
        _ => {}
    }
    if let Some(file) = &account.token_file {
        push("Token file", file);
    }
    if let Some(problem) = &account.token_file_problem {
        push("Token file", &out.paint(Paint::Warn, problem));
    }
    if let Some(hint) = hint(account, now, announce_ahead) {
        lines.push(format!("  {}", out.paint(Paint::Warn, &hint)));
    }
    lines
}

fn title(account: &AccountInfo, out: &Stream) -> String {
    let paint = match account.state.as_str() {
        state::SIGNED_IN => Paint::Good,
        state::NEW | state::LOGIN_REQUIRED | state::LOCKED => Paint::Warn,
        _ => Paint::Bad,
    };
    let default = if account.is_default { " (default)" } else { "" };
    let name = out.paint(Paint::Bold, &account.name);
    format!("{name}{default}: {}", out.paint(paint, state_text(account)))
}

/// The state of an account in words.
pub(super) fn state_text(account: &AccountInfo) -> &str {
    match account.state.as_str() {
        _ if account.login_running => "login running",
        state::NEW => "never signed in",
        state::SIGNED_IN => "signed in",
        state::LOGIN_REQUIRED => "sign-in needed",
        state::CLIENT_BROKEN => "client refused by the issuer",
        state::ACTION_NEEDED => "the issuer wants you to do something",
        state::UNREADABLE => "cannot be read on this node",
        state::LOCKED => "locked",
        other => other,
    }
}

/// The time left, with a bar where a terminal shows one and its whole length is known.
fn with_bar(at: u64, since: Option<u64>, now: u64, out: &Stream) -> String {
    let left = time::left(at, now);
    match since {
        Some(since) if at > since && out.size().is_some_and(|size| size.columns >= 60) => {
            format!("{}  {left}", bar(at.saturating_sub(now), at - since, out.has_utf8()))
        }
        _ => left,
    }
}

/// What the user should do, if anything.
fn hint(account: &AccountInfo, now: u64, announce_ahead: Option<u64>) -> Option<String> {
    let login = if account.is_default {
        "iamctl login".to_owned()
    } else {
        format!("iamctl login {}", account.name)
    };
    if account.login_running {
        return Some(format!("Finish the running login:  {login}"));
    }
    match account.state.as_str() {
        state::NEW | state::LOGIN_REQUIRED => return Some(format!("Sign in with:  {login}")),
        state::CLIENT_BROKEN => return Some(format!("Register anew:  {login} --new-client")),
        state::ACTION_NEEDED => {
            let account = login.trim_start_matches("iamctl login");
            return Some(format!("When it is done:  iamctl token{account} --force-new"));
        }
        state::LOCKED => {
            let account = login.trim_start_matches("iamctl login");
            return Some(format!("Unlock it with:  iamctl account unlock{account}"));
        }
        state::UNREADABLE => {
            let name = &account.name;
            return Some(format!(
                "Administrators: restore the key. To give it up:  iamctl logout {name}"
            ));
        }
        _ => {}
    }
    let at = account.refresh_expires_at?;
    (account.state == state::SIGNED_IN && at < now.saturating_add(announce_ahead?))
        .then(|| format!("The sign-in ends soon. Renew it with:  {login}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_end_of_a_sign_in_is_announced_ahead() {
        let account = AccountInfo {
            name: "cms".into(),
            state: state::SIGNED_IN.into(),
            refresh_expires_at: Some(1000),
            ..Default::default()
        };
        assert_eq!(hint(&account, 400, Some(500)), None);
        assert_eq!(hint(&account, 600, None), None);
        assert_eq!(
            hint(&account, 600, Some(500)).as_deref(),
            Some("The sign-in ends soon. Renew it with:  iamctl login cms")
        );
    }

    #[test]
    fn a_state_that_only_a_newer_daemon_knows_is_shown_as_it_is() {
        let account = AccountInfo { state: "asleep".into(), ..Default::default() };
        assert_eq!(state_text(&account), "asleep");
    }
}
