//! What of an answer is let through to the user's environment and terminal.
//!
//! The daemon is trusted and root; the bounds are here because a mistake there must not become
//! an escape sequence on a terminal or a line break in an environment.

use iamd_protocol::pam::MAX_NOTICE;

/// The most variables a session gets.
pub(crate) const MAX_VARIABLES: usize = 8;
/// The longest value of a variable, in bytes: PATH_MAX, for they are paths.
const MAX_VALUE: usize = 4096;
/// The longest identifier of a session, in bytes.
const MAX_SESSION: usize = 256;
/// The longest line in the log, in bytes.
const MAX_LINE: usize = 512;

/// Whether a variable may be set: a name of the form `[A-Z_][A-Z0-9_]*`, a printable value.
pub(crate) fn variable_is_fit(name: &str, value: &str) -> bool {
    let starts_well = name.starts_with(|c: char| c.is_ascii_uppercase() || c == '_');
    let goes_on_well =
        name.bytes().all(|b| b.is_ascii_uppercase() || b.is_ascii_digit() || b == b'_');
    starts_well && goes_on_well && value.len() <= MAX_VALUE && value.bytes().all(is_printable)
}

/// Whether a notice may be shown: lines of printable ASCII, not above [`MAX_NOTICE`].
pub(crate) fn notice_is_fit(notice: &str) -> bool {
    (1..=MAX_NOTICE).contains(&notice.len())
        && notice.bytes().all(|b| is_printable(b) || b == b'\n')
}

/// Whether an identifier is worth keeping.
pub(crate) fn session_is_fit(session: &str) -> bool {
    (1..=MAX_SESSION).contains(&session.len()) && session.bytes().all(is_printable)
}

/// A line for the log: no control characters, no more than the bound.
pub(crate) fn line(text: &str) -> String {
    let mut line = String::new();
    for c in text.chars().map(|c| if c.is_control() { '?' } else { c }) {
        if line.len() + c.len_utf8() > MAX_LINE {
            break;
        }
        line.push(c);
    }
    line
}

fn is_printable(byte: u8) -> bool {
    (b' '..=b'~').contains(&byte)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_variable_needs_a_plain_name_and_a_printable_value() {
        for name in ["BEARER_TOKEN_FILE", "OIDC_SOCK", "_", "A1"] {
            assert!(variable_is_fit(name, "/run/x"), "{name}");
        }
        for name in ["", "1A", "a", "A-B", "A B", "A=B", "A\0", "Ä", "A\n"] {
            assert!(!variable_is_fit(name, "/run/x"), "{name:?}");
        }
        assert!(variable_is_fit("A", "") && variable_is_fit("A", " ~"));
        for value in ["\n", "\0", "\x1b[0m", "\x7f", "ü"] {
            assert!(!variable_is_fit("A", value), "{value:?}");
        }
        assert!(variable_is_fit("A", &"x".repeat(MAX_VALUE)));
        assert!(!variable_is_fit("A", &"x".repeat(MAX_VALUE + 1)));
    }

    #[test]
    fn a_notice_is_printable_ascii_in_lines_within_the_bound() {
        assert!(notice_is_fit("iamd: sign in\n  Open https://a/b"));
        for notice in ["", "\x1b[2J", "\r", "\t", "bell\x07", "é", "a\0b"] {
            assert!(!notice_is_fit(notice), "{notice:?}");
        }
        assert!(notice_is_fit(&"x".repeat(MAX_NOTICE)));
        assert!(!notice_is_fit(&"x".repeat(MAX_NOTICE + 1)));
    }

    #[test]
    fn a_session_identifier_is_short_and_printable() {
        assert!(session_is_fit("17-4"));
        assert!(!session_is_fit("") && !session_is_fit("a\nb"));
        assert!(!session_is_fit(&"x".repeat(MAX_SESSION + 1)));
    }

    #[test]
    fn a_line_for_the_log_is_one_line_and_bounded_within_a_character() {
        assert_eq!(line("a\nb\x1b[0m\0"), "a?b?[0m?");
        assert_eq!(line(&"é".repeat(1000)).len(), MAX_LINE);
        assert_eq!(line(&format!("x{}", "é".repeat(1000))).len(), MAX_LINE - 1);
    }
}
