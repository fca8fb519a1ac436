//! Text from elsewhere, made fit for a terminal, and text broken into lines.

/// The text without what could steer a terminal or deceive a reader: control characters,
/// including C1, and the invisible characters that reorder or hide text (Unicode UAX #9 and
/// zero-width characters). Line breaks become spaces.
pub(crate) fn clean(text: &str) -> String {
    text.chars()
        .filter_map(|c| match c {
            '\n' | '\r' | '\t' | '\u{2028}' | '\u{2029}' => Some(' '),
            c if c.is_control() => None,
            '\u{200b}'..='\u{200f}'
            | '\u{202a}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}'
            | '\u{061c}'
            | '\u{feff}'
            | '\u{fff9}'..='\u{fffb}'
            | '\u{e0000}'..='\u{e007f}' => None,
            c => Some(c),
        })
        .collect()
}

/// The text without the numbers that Rust puts behind the system's errors: the words say it all.
pub(crate) fn without_numbers(text: &str) -> String {
    let mut parts = text.split(" (os error ");
    let mut plain = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        match part.split_once(')') {
            Some((number, rest)) if number.bytes().all(|c| c.is_ascii_digit()) => {
                plain.push_str(rest);
            }
            _ => plain.extend([" (os error ", part]),
        }
    }
    plain
}

/// The printable ASCII characters of a user code or URI (RFC 8628 §3.2 and §6.1, RFC 3986 §2).
pub(crate) fn clean_ascii(text: &str) -> String {
    text.chars().filter(|c| (' '..='~').contains(c)).collect()
}

/// The text in lines of at most `columns` characters, broken at spaces. A longer word, such as
/// a URL, stays whole.
pub(crate) fn wrap(text: &str, columns: usize) -> String {
    wrap_indented(text, columns, 0)
}

/// As [`wrap`], with the second and later lines indented; the first line is taken to start at
/// the indentation already.
pub(crate) fn wrap_indented(text: &str, columns: usize, indent: usize) -> String {
    let room = columns.saturating_sub(indent).max(8);
    let mut wrapped = String::new();
    let (mut used, mut spaces) = (0, 0);
    for word in text.split(' ') {
        if word.is_empty() {
            // Of several spaces, as before a command to type.
            spaces += 1;
            continue;
        }
        let length = word.chars().count();
        if used > 0 && used + spaces + length > room {
            wrapped.push('\n');
            wrapped.extend(std::iter::repeat_n(' ', indent));
            used = 0;
        } else if used > 0 {
            wrapped.extend(std::iter::repeat_n(' ', spaces));
            used += spaces;
        }
        wrapped.push_str(word);
        used += length;
        spaces = 1;
    }
    wrapped
}

/// `count` and a noun, in the plural where it belongs.
pub(crate) fn count(count: u32, noun: &str) -> String {
    if count == 1 { format!("1 {noun}") } else { format!("{count} {noun}s") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escape_sequences_do_not_reach_the_terminal() {
        assert_eq!(clean("a\x1b[2Jb\x07\u{9b}31mc\x7f"), "a[2Jb31mc");
        assert_eq!(clean("two\r\nlines\t."), "two  lines .");
        assert_eq!(clean("\u{202e}evil\u{2066}\u{200b}\u{feff}"), "evil");
        assert_eq!(clean("Zoë 北京"), "Zoë 北京");
        assert_eq!(
            clean_ascii("https://a\u{301}.example/\x1b]8;;x\x07\n"),
            "https://a.example/]8;;x"
        );
    }

    #[test]
    fn errors_of_the_system_are_words() {
        let error = std::io::Error::from_raw_os_error(2).to_string();
        assert_ne!(without_numbers(&error), error);
        assert_eq!(without_numbers(&format!("a: {error}, b")), "a: No such file or directory, b");
        for other in ["", "(os error 2)x", "a (os error x) b", "a (os error 2"] {
            assert_eq!(without_numbers(other), other);
        }
    }

    #[test]
    fn a_url_is_never_broken() {
        let url = "https://issuer.example.org/a/very/long/path/indeed";
        assert_eq!(wrap(&format!("open {url} now"), 20), format!("open\n{url}\nnow"));
        assert_eq!(wrap_indented("a b c d e f g h", 12, 4), "a b c d\n    e f g h");
        assert_eq!(wrap("Sign in with:  iamctl login", 80), "Sign in with:  iamctl login");
        assert_eq!(wrap("Sign in with:  iamctl login", 20), "Sign in with:\niamctl login");
    }

    #[test]
    fn one_is_singular() {
        assert_eq!(count(1, "session"), "1 session");
        assert_eq!(count(0, "session"), "0 sessions");
    }
}
