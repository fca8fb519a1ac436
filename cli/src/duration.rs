//! Durations as people write them on a command line: `90`, `90s`, `10m`, `1h`, `2d`.

/// Parses a duration; the result is in seconds.
///
/// # Errors
/// A sentence that says what is accepted.
pub(crate) fn parse(text: &str) -> Result<u32, String> {
    let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let factor = match &text[digits.len()..] {
        "" | "s" => 1,
        "m" | "min" => 60,
        "h" => 3600,
        "d" => 86_400,
        _ => return Err(hint()),
    };
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(hint());
    }
    let number: u32 = digits.parse().map_err(|_| "this is too long".to_owned())?;
    number.checked_mul(factor).ok_or_else(|| "this is too long".to_owned())
}

fn hint() -> String {
    "write a time such as 90, 90s, 10m, 1h or 2d".to_owned()
}

#[cfg(test)]
mod tests {
    use super::parse;

    #[test]
    fn people_write_durations_in_these_ways() {
        for (text, seconds) in
            [("90", 90), ("90s", 90), ("10m", 600), ("10min", 600), ("1h", 3600), ("2d", 172_800)]
        {
            assert_eq!(parse(text), Ok(seconds), "{text}");
        }
        for text in
            ["", "m", "-1", "1.5h", "1 h", "1w", "10m5s", "+5", "４m", "99999999999", "99999d"]
        {
            assert!(parse(text).is_err(), "{text}");
        }
    }
}
