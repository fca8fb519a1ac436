//! Text for a terminal that shows ASCII only: what comes from the daemon, from issuers and from
//! people has curly quotes and names with accents.

use std::borrow::Cow;

/// The text with what ASCII has for each character, and `?` where it has nothing.
pub(crate) fn spelled(text: &str) -> Cow<'_, str> {
    if text.is_ascii() {
        return text.into();
    }
    let mut ascii = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '\u{2018}' | '\u{2019}' | '\u{201a}' => ascii.push('\''),
            '\u{201c}' | '\u{201d}' | '\u{201e}' => ascii.push('"'),
            '\u{2010}'..='\u{2015}' => ascii.push('-'),
            '\u{2026}' => ascii.push_str("..."),
            '\u{a0}' => ascii.push(' '),
            '\u{a7}' => ascii.push_str("sec. "),
            _ if character.is_ascii() => ascii.push(character),
            _ => ascii.push('?'),
        }
    }
    ascii.into()
}

/// JSON in which every other character is an escape (RFC 8259 §7): the same value.
pub(crate) fn escaped(json: &str) -> String {
    let mut ascii = String::with_capacity(json.len());
    let mut units = [0; 2];
    for character in json.chars() {
        if character.is_ascii() {
            ascii.push(character);
            continue;
        }
        for unit in character.encode_utf16(&mut units) {
            ascii.push_str(&format!("\\u{unit:04x}"));
        }
    }
    ascii
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quotes_are_quotes_and_what_ascii_lacks_is_a_question_mark() {
        for (text, ascii) in [
            ("you have no account \u{201c}cms\u{201d}", "you have no account \"cms\""),
            ("zo\u{eb}\u{2019}s \u{2013} \u{2026}", "zo?'s - ..."),
            ("plain", "plain"),
        ] {
            assert_eq!(spelled(text), ascii);
        }
    }

    #[test]
    fn escaped_json_is_the_same_value() {
        let value = serde_json::json!({ "subject_name": "zo\u{eb} \u{201c}\u{1f511}\u{201d}" });
        let text = escaped(&value.to_string());
        assert!(text.is_ascii(), "{text}");
        assert_eq!(serde_json::from_str::<serde_json::Value>(&text).unwrap(), value);
    }
}
