//! Short names of accounts, as they came from elsewhere and as they can be here.

/// The longest name that an account can have.
const LONGEST: usize = 32;

/// The account that is meant by a name of oidc-agent's, where capitals count: here there are none, so
/// that what differs in nothing else is one name. A URL, which means an issuer's account, stays.
///
/// ```
/// use iamd_protocol::names::meant;
/// assert_eq!(meant("EGI"), "egi");
/// assert_eq!(meant("https://Issuer.test/X"), "https://Issuer.test/X");
/// ```
pub fn meant(name: &str) -> String {
    if name.contains("://") { name.to_owned() } else { name.to_ascii_lowercase() }
}

/// Whether an account can have this name: 1 to 32 of `a-z 0-9 . _ -`, beginning with a letter or digit.
pub fn fits(name: &str) -> bool {
    let fits = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || "._-".contains(c);
    let begins = name.starts_with(|c: char| c.is_ascii_lowercase() || c.is_ascii_digit());
    begins && name.len() <= LONGEST && name.chars().all(fits)
}

/// The name that takes the place of one that no account can have: in small letters, with a hyphen for
/// what is none of them, and cut. `None` where nothing of it is left.
///
/// ```
/// use iamd_protocol::names::counterpart;
/// assert_eq!(counterpart("My EGI account").as_deref(), Some("my-egi-account"));
/// assert_eq!(counterpart("…"), None);
/// ```
pub fn counterpart(name: &str) -> Option<String> {
    let plain = |c: char| match c.to_ascii_lowercase() {
        c if c.is_ascii_lowercase() || c.is_ascii_digit() || "._-".contains(c) => c,
        _ => '-',
    };
    let name: String = name.chars().map(plain).collect();
    let name = name.trim_start_matches(['.', '_', '-']);
    let name = name[..name.len().min(LONGEST)].trim_end_matches(['.', '_', '-']);
    fits(name).then(|| name.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_counterpart_is_a_name_that_an_account_can_have() {
        for (name, other) in [
            ("EGI", Some("egi")),
            ("egi", Some("egi")),
            ("-Wlcg_2-", Some("wlcg_2")),
            ("a b/c", Some("a-b-c")),
            ("größe", Some("gr--e")),
            ("0123456789012345678901234567890-23", Some("0123456789012345678901234567890")),
            ("", None),
            ("---", None),
            ("ü", None),
        ] {
            assert_eq!(counterpart(name).as_deref(), other, "{name}");
            assert!(other.is_none_or(fits), "{name}");
        }
        for unfit in ["", "EGI", ".x", "a b", "012345678901234567890123456789012"] {
            assert!(!fits(unfit), "{unfit}");
        }
    }
}
