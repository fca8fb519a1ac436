//! An account, a login and the node in lines for people.

use iamd_protocol::bus::{AccountInfo, LoginInfo, StatusReply, client, login_state, state};
use iamd_protocol::error::Kind;

use crate::output::bar::bar;
use crate::output::stream::{Paint, Stream};
use crate::output::{text, time};

/// The first lines: the node and the sessions there.
pub(super) fn head(status: &StatusReply, now: u64, out: &Stream) -> Vec<String> {
    let sessions = text::count(status.sessions, "session");
    let notice = if status.notice { "on" } else { "off" };
    let mut lines = vec![format!(
        "{}: {sessions}, notice at login {notice}",
        out.paint(Paint::Bold, &status.node)
    )];
    if let Some(why) = &status.draining {
        lines.push(out.paint(Paint::Warn, why));
    }
    if let Some(until) = status.files_until.filter(|until| *until > now) {
        lines.push(format!("Token files stay for another {}.", time::span(until - now)));
    }
    lines
}

/// A login that is running, in lines: a first one has no account that could tell of it.
pub(super) fn login(login: &LoginInfo, now: u64, out: &Stream) -> Vec<String> {
    let name = out.paint(Paint::Bold, &login.account);
    let mut lines = vec![format!("{name}: {}", out.paint(Paint::Warn, "login running"))];
    let mut push = |label: &str, value: &str| {
        let label = out.paint(Paint::Dim, &format!("{label:<13}"));
        lines.push(format!("  {label}  {value}"));
    };
    match login.issuer_title.as_str() {
        "" => push("Issuer", &login.issuer),
        title => push("Issuer", &format!("{title}  {}", login.issuer)),
    }
    if login.state == login_state::STARTING {
        push("Code", "the issuer has been asked for one");
    }
    if let (Some(uri), Some(code)) = (&login.verification_uri, &login.user_code) {
        push("Open", uri);
        let left = login.expires_at.map(|at| time::left(at, now));
        push("Code", &left.map_or_else(|| code.clone(), |left| format!("{code}     ({left})")));
    }
    lines
}

/// An account in lines. With `announces`, a sign-in that ends soon is announced.
pub(in crate::commands) fn block(
    account: &AccountInfo,
    now: u64,
    announces: bool,
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
    let ends = ending(account, now, announces).filter(|_| account.state == state::LOCKED);
    for hint in hint(account, now, announces).into_iter().chain(ends) {
        let hint = columns.map_or(hint.clone(), |columns| text::wrap_indented(&hint, columns, 2));
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
pub(in crate::commands) fn state_text(account: &AccountInfo) -> &str {
    match account.state.as_str() {
        _ if account.login_running => "login running",
        state::NEW => "never signed in",
        state::SIGNED_IN => "signed in",
        state::LOGIN_REQUIRED => "sign-in needed",
        state::CLIENT_BROKEN => "client refused by the issuer",
        state::ACTION_NEEDED => "the issuer wants you to do something",
        state::UNREADABLE => "cannot be read on this node",
        state::LOCKED => "locked",
        state::REFUSED => "refused by this site",
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
fn hint(account: &AccountInfo, now: u64, announces: bool) -> Option<String> {
    let login = login_command(account);
    if account.login_running {
        return Some(format!("Finish the running login:  {login}"));
    }
    match account.state.as_str() {
        state::NEW | state::LOGIN_REQUIRED => return Some(format!("Sign in with:  {login}")),
        state::CLIENT_BROKEN => {
            return Some(match account.client.as_deref() {
                Some(client::FIXED | client::PUBLIC) => Kind::ClientRefused.advice().to_owned(),
                Some(client::GIVEN) => {
                    let name = format!(" {} ", account.name);
                    Kind::GivenClientRefused.advice().replace(" NAME ", &name)
                }
                _ => format!("Register anew:  {login} --new-client"),
            });
        }
        state::ACTION_NEEDED => {
            let account = login.trim_start_matches("iamctl login");
            return Some(format!("When it is done:  iamctl token{account} --force-new"));
        }
        state::LOCKED => {
            let account = login.trim_start_matches("iamctl login");
            return Some(format!("Unlock it with:  iamctl account unlock{account}"));
        }
        state::REFUSED => return Some(Kind::DeniedByPolicy.advice().to_owned()),
        state::UNREADABLE => {
            let name = &account.name;
            return Some(format!(
                "Administrators: restore the key. To give it up:  iamctl logout {name}"
            ));
        }
        _ => {}
    }
    ending(account, now, announces).filter(|_| account.state == state::SIGNED_IN)
}

/// That the sign-in ends soon, or has ended, and what to do about that.
fn ending(account: &AccountInfo, now: u64, announces: bool) -> Option<String> {
    let at = account.refresh_expires_at?;
    (announces && account.ends_soon == Some(true)).then(|| {
        let when = match at.saturating_sub(now) {
            0 => "has ended".to_owned(),
            left => format!("ends in {}", time::span(left)),
        };
        let how = match account.state.as_str() {
            state::LOCKED => "Once it is unlocked, sign in again with:",
            _ => "Sign in again with:",
        };
        format!("The sign-in {when}. {how}  {}", login_command(account))
    })
}

fn login_command(account: &AccountInfo) -> String {
    if account.is_default {
        "iamctl login".to_owned()
    } else {
        format!("iamctl login {}", account.name)
    }
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
            ends_soon: Some(true),
            ..Default::default()
        };
        assert_eq!(hint(&account, 600, false), None);
        assert_eq!(
            hint(&account, 600, true).as_deref(),
            Some("The sign-in ends in 6 min. Sign in again with:  iamctl login cms")
        );
        for not in [Some(false), None] {
            let account = AccountInfo { ends_soon: not, ..account.clone() };
            assert_eq!(hint(&account, 600, true), None);
        }
    }

    #[test]
    fn what_to_do_about_a_refused_client_depends_on_whose_it_is() {
        let hint_of = |whose: &str| {
            let account = AccountInfo {
                name: "cms".into(),
                state: state::CLIENT_BROKEN.into(),
                client: Some(whose.into()),
                ..Default::default()
            };
            hint(&account, 0, false).unwrap()
        };
        for whose in [client::SITE, client::USER, client::OWN] {
            assert_eq!(hint_of(whose), "Register anew:  iamctl login cms --new-client");
        }
        for whose in [client::FIXED, client::PUBLIC] {
            assert!(hint_of(whose).starts_with("Ask the administrators"), "{whose}");
        }
        let given = hint_of(client::GIVEN);
        assert!(given.contains("iamctl account remove cms "), "{given}");
        assert!(given.contains("iamctl account add cms --issuer ISSUER --client-id ID"), "{given}");
    }

    #[test]
    fn a_state_that_only_a_newer_daemon_knows_is_shown_as_it_is() {
        let account = AccountInfo { state: "asleep".into(), ..Default::default() };
        assert_eq!(state_text(&account), "asleep");
    }
}
