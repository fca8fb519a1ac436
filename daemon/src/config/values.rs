//! Values that are checked while they are read, so that a mistake has its line for free.

use std::{fmt, time::Duration};

use serde::{Deserialize, Deserializer, de};

/// A duration written as a number with a unit: `700ms`, `90s`, `15m`, `8h`, `5d`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Span(pub(super) Duration);

impl<'de> Deserialize<'de> for Span {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct Text;
        impl de::Visitor<'_> for Text {
            type Value = Span;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(
                    "a duration in quotes, such as \"700ms\", \"90s\", \"15m\", \"8h\" or \"5d\"",
                )
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<Span, E> {
                parse(text)
                    .map(Span)
                    .ok_or_else(|| E::invalid_value(de::Unexpected::Str(text), &self))
            }
        }
        from.deserialize_str(Text)
    }
}

/// A duration as it would be written here.
pub(super) fn shown(duration: Duration) -> String {
    match duration.subsec_millis() {
        0 => format!("\"{}s\"", duration.as_secs()),
        _ => format!("\"{}ms\"", duration.as_millis()),
    }
}

/// The duration that is written so.
pub(super) fn parse(text: &str) -> Option<Duration> {
    let digits = text.len() - text.trim_start_matches(|c: char| c.is_ascii_digit()).len();
    let number: u64 = text[..digits].parse().ok()?;
    let seconds = |factor: u64| number.checked_mul(factor).map(Duration::from_secs);
    match text[digits..].trim() {
        "ms" => Some(Duration::from_millis(number)),
        "s" => seconds(1),
        "m" => seconds(60),
        "h" => seconds(3600),
        "d" => seconds(86_400),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bound_is_shown_as_it_may_be_written() {
        for milliseconds in [0, 700, 1900, 300_000] {
            let duration = Duration::from_millis(milliseconds);
            assert_eq!(parse(shown(duration).trim_matches('"')), Some(duration));
        }
    }

    #[test]
    fn a_duration_needs_a_number_and_a_unit() {
        assert_eq!(parse("700ms"), Some(Duration::from_millis(700)));
        assert_eq!(parse("15m"), Some(Duration::from_secs(900)));
        assert_eq!(parse("5d"), Some(Duration::from_secs(432_000)));
        for bad in ["", "5", "m", "5 weeks", "-5s", "1.5h", "99999999999999999999s", "s5"] {
            assert_eq!(parse(bad), None, "{bad}");
        }
    }
}
