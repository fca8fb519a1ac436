//! What a user reads at a login. Pure: printable ASCII, at most five lines, no newline at the
//! end, and nothing at all where nothing is to be done.

use std::time::Duration;

use crate::login::Prompt;

/// The lines that a notice may have.
const LINES: usize = 5;

/// Who logged in where, for the sentence that guards against a code that somebody else sent
/// (RFC 8628 §5.4).
#[derive(Debug, Clone, Copy)]
pub(super) struct Context<'a> {
    /// The issuer's name for people.
    pub(super) issuer: &'a str,
    /// The node.
    pub(super) node: &'a str,
    /// The user.
    pub(super) user: &'a str,
}

/// A device login is running: where to go, and with which code.
pub(super) fn sign_in(context: Context<'_>, prompt: &Prompt, left: Duration) -> String {
    let Context { issuer, node, user } = context;
    let minutes = left.as_secs().div_ceil(60);
    ascii(&format!(
        "iamd: sign in to {issuer} and this node has your access token.\n  \
         Open  {}     Code  {}     ({minutes} min)\n  \
         You started this by logging in to {node} as {user}. Then go on working: the token\n  \
         comes by itself. QR code, state, help:  iamctl login",
        prompt.verification_uri, prompt.user_code,
    ))
}

/// A login is needed and no code is at hand.
pub(super) fn sign_in_later(context: Context<'_>) -> String {
    ascii(&format!("iamd: no access token for {} yet. To sign in:  iamctl login", context.issuer))
}

/// A login is needed and this node takes none.
pub(super) fn draining(context: Context<'_>, why: &str) -> String {
    ascii(&format!("iamd: no access token for {} yet, and {why}", context.issuer))
}

/// The account has a passphrase, which has to be given first.
pub(super) fn locked(context: Context<'_>, account: &str) -> String {
    ascii(&format!(
        "iamd: your account {account} at {} is locked. To unlock it:  iamctl account unlock",
        context.issuer
    ))
}

/// The site does not let the user have what the account is.
pub(super) fn refused(why: &str) -> String {
    ascii(&format!("iamd: no access token: {why}"))
}

/// The sign-in ends soon and the issuer does not extend it; the account's name, where it is not the
/// default one. One that is locked takes no sign-in before it is unlocked.
pub(super) fn ends_soon(
    context: Context<'_>,
    account: Option<&str>,
    left: Duration,
    locked: bool,
) -> String {
    let days = left.as_secs() / 86_400;
    let when = match (days, left.as_secs() / 3600) {
        (0, 0) => format!("{} min", (left.as_secs() / 60).max(1)),
        (0, hours) => format!("{hours} h"),
        (1, _) => "1 day".to_owned(),
        (days, _) => format!("{days} days"),
    };
    let name = account.map(|account| format!(" {account}")).unwrap_or_default();
    let how = if locked { "Once it is unlocked, sign in again:" } else { "To sign in again:" };
    ascii(&format!(
        "iamd: your sign-in{name} to {} ends in {when}. {how}  iamctl login{name}",
        context.issuer
    ))
}

/// What is said of the default account, and then a line for each other one, as many as a notice may
/// have.
pub(super) fn with_others(main: Option<String>, others: Vec<String>) -> Option<String> {
    let mut lines: Vec<String> =
        main.iter().flat_map(|text| text.lines()).map(Into::into).collect();
    let room = LINES.saturating_sub(lines.len());
    if others.len() <= room {
        lines.extend(others);
    } else if let Some(told) = room.checked_sub(1) {
        let more = others.len() - told;
        lines.extend(others.into_iter().take(told));
        lines.push(format!(
            "iamd: {more} more of your sign-ins end soon. All of them:  iamctl status"
        ));
    }
    (!lines.is_empty()).then(|| ascii(&lines.join("\n")))
}

/// The issuer wants something of the user.
pub(super) fn action_needed(context: Context<'_>, what: &str) -> String {
    ascii(&format!("iamd: {} wants something of you first: {what}", context.issuer))
}

/// Only what a terminal shows as itself, and not more than a notice may have.
fn ascii(text: &str) -> String {
    let fits = |c: &char| c.is_ascii_graphic() || *c == ' ' || *c == '\n';
    let mut text: String = text.chars().filter(fits).collect();
    text.truncate(iamd_protocol::pam::MAX_NOTICE);
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::account::UnixTime;

    const CONTEXT: Context<'_> = Context { issuer: "WLCG", node: "login1", user: "alice" };

    fn prompt(uri: &str) -> Prompt {
        Prompt {
            user_code: "AB12CD".into(),
            verification_uri: uri.into(),
            verification_uri_complete: None,
            expires_at: UnixTime(600),
        }
    }

    #[test]
    fn r10_the_notice_names_issuer_node_user_code_and_the_whole_uri() {
        let text = sign_in(CONTEXT, &prompt("https://wlcg.cloud.cnaf.infn.it/device"), 600 * S);
        let expected = "\
iamd: sign in to WLCG and this node has your access token.
  Open  https://wlcg.cloud.cnaf.infn.it/device     Code  AB12CD     (10 min)
  You started this by logging in to login1 as alice. Then go on working: the token
  comes by itself. QR code, state, help:  iamctl login";
        assert_eq!(text, expected);
    }

    const S: Duration = Duration::from_secs(1);

    #[test]
    fn r07_no_control_character_reaches_the_terminal() {
        let text = sign_in(CONTEXT, &prompt("https://x/\u{1b}]0;owned\u{7}"), 60 * S);
        assert!(text.chars().all(|c| c == '\n' || c == ' ' || c.is_ascii_graphic()), "{text:?}");
    }

    #[test]
    fn r67_the_end_of_a_sign_in_is_told_in_days_hours_and_minutes() {
        let text = |left: Duration| ends_soon(CONTEXT, None, left, false);
        assert!(text(5 * 86_400 * S).contains("ends in 5 days"));
        assert!(text(86_400 * S).contains("ends in 1 day."));
        assert!(text(7200 * S).contains("ends in 2 h"));
        assert!(text(3599 * S).contains("ends in 59 min."));
        assert!(text(S).contains("ends in 1 min."));
        assert_eq!(
            ends_soon(CONTEXT, Some("cms"), 7200 * S, false),
            "iamd: your sign-in cms to WLCG ends in 2 h. To sign in again:  iamctl login cms"
        );
        assert_eq!(
            ends_soon(CONTEXT, Some("cms"), 7200 * S, true),
            "iamd: your sign-in cms to WLCG ends in 2 h. Once it is unlocked, sign in again:  \
             iamctl login cms"
        );
    }

    #[test]
    fn r57_other_accounts_have_a_line_each_as_far_as_five_lines_go() {
        let others = |count: usize| (0..count).map(|n| format!("iamd: other {n}")).collect();
        let main = || Some(sign_in(CONTEXT, &prompt("https://x/"), 60 * S));
        assert_eq!(with_others(None, others(0)), None);
        assert_eq!(with_others(None, others(2)).unwrap(), "iamd: other 0\niamd: other 1");
        let four = main().unwrap();
        assert_eq!(with_others(main(), others(1)).unwrap(), format!("{four}\niamd: other 0"));
        let more = with_others(main(), others(2)).unwrap();
        assert!(
            more.ends_with("\niamd: 2 more of your sign-ins end soon. All of them:  iamctl status")
        );
        let many = with_others(None, others(9)).unwrap();
        assert_eq!(many.lines().count(), 5);
        assert!(many.contains("other 3") && many.contains("5 more"), "{many}");
    }

    #[test]
    fn r57_a_notice_has_at_most_five_lines_and_fits_a_frame() {
        let long = "https://x/".to_owned() + &"a".repeat(10_000);
        let text = sign_in(CONTEXT, &prompt(&long), 60 * S);
        assert!(text.len() <= iamd_protocol::pam::MAX_NOTICE && text.lines().count() <= 5);
        assert!(!text.ends_with('\n'));
    }
}
