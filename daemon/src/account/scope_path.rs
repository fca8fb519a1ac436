//! Paths inside scopes, such as `storage.read:/atlas` (WLCG token profile): one spelling for one
//! path, and what one path covers.
//!
//! Issuers compare them carelessly: INDIGO IAM takes a scope for a pattern and knows no boundary
//! at `/`. So a path has one spelling here (RFC 3986 §6.2.2) before it is asked for, compared or
//! used as a key, and one that climbs is refused before any issuer sees it.
//!
//! - `%41` is `A`, and what stays encoded has upper case digits: `%2f` is `%2F`, which separates
//!   nothing.
//! - Segments `.` are removed as RFC 3986 §5.2.4 says, and empty segments too: `/a//b` is `/a/b`.
//!   The RFC would keep those; but the paths of storages are POSIX's, where they are the same.
//! - The slash at an end stays: to make `/a` of `/a/` would ask for more than was meant.
//! - `..` is refused however it is written, also as `%2e%2E`, as `%252e.` for somebody who decodes
//!   twice, or between encoded slashes; so are control characters and a `%` without two digits.

/// Why a path cannot stand in a scope.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum PathError {
    /// It goes up, in whatever disguise.
    Climbs,
    /// A control character in disguise, or a `%` that encodes nothing.
    Malformed,
}

/// The scope in its one spelling. One without a path, a URL for example, stays as it is.
///
/// # Errors
/// [`PathError`].
pub(super) fn normalised(scope: &str) -> Result<String, PathError> {
    let Some((name, path)) = scope.split_once(':') else { return Ok(scope.to_owned()) };
    refuse_climbing(path)?;
    if !is_path(name, path) {
        return Ok(scope.to_owned());
    }
    let path = decoded(path, is_unreserved, true)?;
    decoded(&path, |_| true, true)?;
    let mut segments = path.split('/').filter(|s| !matches!(*s, "" | "."));
    let mut normal = format!("{name}:");
    for segment in &mut segments {
        normal.push('/');
        normal.push_str(segment);
    }
    // RFC 3986 §5.2.4: `/a/` and `/a/.` end in a slash.
    if matches!(path.rsplit('/').next(), Some("" | ".")) {
        normal.push('/');
    }
    Ok(normal)
}

/// Whether who was granted `granted` may do what `asked` says: the same scope, or a path below
/// that one. `/foo` covers `/foo/bar` and not `/foobar`.
pub(crate) fn covers(granted: &str, asked: &str) -> bool {
    if granted == asked {
        return true;
    }
    let (Some((name, above)), Some((asked_name, below))) =
        (granted.split_once(':'), asked.split_once(':'))
    else {
        return false;
    };
    // A group is not in another one because of its name.
    if name != asked_name || name == "wlcg.groups" || !is_path(name, above) || !is_path(name, below)
    {
        return false;
    }
    match below.strip_prefix(above) {
        Some(rest) => above.ends_with('/') || rest.starts_with('/'),
        None => false,
    }
}

/// A path begins with a slash. With two it is the rest of a URL (`https://x`, `api://x`), but not after
/// a name in two parts, as those with paths have (`storage.read`).
fn is_path(name: &str, text: &str) -> bool {
    text.starts_with('/') && (name.contains('.') || !text.starts_with("//"))
}

/// Looks at the text as whoever decodes it, once or more often, would.
fn refuse_climbing(path: &str) -> Result<(), PathError> {
    let mut seen = path.to_owned();
    loop {
        if seen.split(['/', '\\']).any(|segment| segment == "..") {
            return Err(PathError::Climbs);
        }
        if seen.bytes().any(|byte| byte.is_ascii_control()) {
            return Err(PathError::Malformed);
        }
        // Each decoding makes it shorter.
        let next = decoded(&seen, |_| true, false)?;
        if next == seen {
            return Ok(());
        }
        seen = next;
    }
}

/// The text with the ASCII characters decoded that `decode` names, and upper case digits in the
/// rest.
fn decoded(text: &str, decode: fn(u8) -> bool, strict: bool) -> Result<String, PathError> {
    let mut result = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('%') {
        result.push_str(&rest[..at]);
        let Some(byte) = rest.get(at + 1..at + 3).and_then(hex_byte) else {
            if strict {
                return Err(PathError::Malformed);
            }
            result.push('%');
            rest = &rest[at + 1..];
            continue;
        };
        if byte.is_ascii() && decode(byte) {
            result.push(char::from(byte));
        } else {
            result.push_str(&rest[at..at + 3].to_ascii_uppercase());
        }
        rest = &rest[at + 3..];
    }
    result.push_str(rest);
    Ok(result)
}

fn hex_byte(digits: &str) -> Option<u8> {
    let both = digits.bytes().all(|digit| digit.is_ascii_hexdigit());
    both.then(|| u8::from_str_radix(digits, 16).ok()).flatten()
}

/// RFC 3986 §2.3.
fn is_unreserved(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"-._~".contains(&byte)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn one_path_has_one_spelling() {
        for (written, normal) in [
            ("storage.read:/", "storage.read:/"),
            ("storage.read:/./", "storage.read:/"),
            ("storage.read:/.", "storage.read:/"),
            ("storage.read:/a//b", "storage.read:/a/b"),
            ("storage.read:/a///", "storage.read:/a/"),
            ("storage.read://atlas/x", "storage.read:/atlas/x"),
            ("storage.read://./atlas//x", "storage.read:/atlas/x"),
            ("api://example/./a", "api://example/./a"),
            ("storage.read:/a/./b/.", "storage.read:/a/b/"),
            ("storage.read:/a/b/", "storage.read:/a/b/"),
            ("storage.read:/%7Euser/%41%2d", "storage.read:/~user/A-"),
            ("storage.read:/a%2fb%c3%a9", "storage.read:/a%2Fb%C3%A9"),
            ("storage.read:/a/%2e/b", "storage.read:/a/b"),
            ("storage.read:/a..b/...", "storage.read:/a..b/..."),
            ("storage.read:/a%252fb", "storage.read:/a%252fb"),
            ("openid", "openid"),
            ("https://example.org//a/./b%7e", "https://example.org//a/./b%7e"),
            ("urn:mace:a%7e", "urn:mace:a%7e"),
        ] {
            assert_eq!(normalised(written).as_deref(), Ok(normal), "{written}");
        }
    }

    #[test]
    fn a_path_that_climbs_is_refused_in_every_disguise() {
        for path in [
            "/a/../b",
            "/..",
            "/../",
            "/%2e%2e/b",
            "/%2E./b",
            "/.%2e",
            "/a/%2E%2e",
            "/a%2f..%2fb",
            "/a%2F%2e%2E",
            "/a%5c..%5Cb",
            "/%252e%252e/b",
            "/%25252e./b",
            "/a/%2e%252e",
            "..",
            "//host/../x",
        ] {
            let scope = format!("storage.read:{path}");
            assert_eq!(normalised(&scope), Err(PathError::Climbs), "{scope}");
        }
    }

    #[test]
    fn what_encodes_nothing_or_a_control_character_is_refused() {
        for path in ["/%", "/a%4", "/%zz", "/%+1", "/%00", "/a%0ab", "/%7f", "/%1b[2J", "/%2500"] {
            let scope = format!("storage.read:{path}");
            assert_eq!(normalised(&scope), Err(PathError::Malformed), "{scope}");
        }
    }

    #[test]
    fn a_path_covers_itself_and_what_is_below_it() {
        for (granted, asked) in [
            ("storage.read:/", "storage.read:/"),
            ("storage.read:/", "storage.read:/atlas/x"),
            ("storage.read:/foo", "storage.read:/foo/bar"),
            ("storage.read:/foo", "storage.read:/foo/"),
            ("storage.read:/foo/", "storage.read:/foo/bar"),
            ("openid", "openid"),
        ] {
            assert!(covers(granted, asked), "{granted} {asked}");
        }
        for (granted, asked) in [
            ("storage.read:/atlas", "storage.read:/"),
            ("storage.read:/foo", "storage.read:/foobar"),
            ("storage.read:/foo/", "storage.read:/foo"),
            ("storage.read:/foo", "storage.read:/foo%2Fbar"),
            ("storage.read:/", "storage.modify:/"),
            ("storage.read", "storage.read:/"),
            ("storage.read:/", "storage.read"),
            ("wlcg.groups:/wlcg", "wlcg.groups:/wlcg/admins"),
            ("https://a.example/", "https://a.example/b"),
        ] {
            assert!(!covers(granted, asked), "{granted} {asked}");
        }
    }

    /// What a server that decodes and resolves a path as POSIX does would open.
    fn place(path: &str) -> Vec<String> {
        let decoded = decoded(path, |_| true, false).unwrap();
        let mut place = Vec::new();
        for segment in decoded.split('/') {
            match segment {
                "" | "." => {}
                ".." => drop(place.pop()),
                name => place.push(name.to_owned()),
            }
        }
        place
    }

    /// Paths of the characters that matter.
    fn path() -> impl Strategy<Value = String> {
        proptest::string::string_regex(
            "/([ab.~/]|%2e|%2E|%2f|%2F|%41|%5c|%25|%7E|%7|%c3%A9|\\.\\.|//){0,12}",
        )
        .unwrap()
    }

    proptest! {
        #[test]
        fn to_normalise_twice_is_to_normalise_once(path in path()) {
            if let Ok(once) = normalised(&format!("storage.read:{path}")) {
                prop_assert_eq!(normalised(&once), Ok(once.clone()));
            }
        }

        #[test]
        fn the_normal_spelling_names_the_same_place(path in path()) {
            if let Ok(normal) = normalised(&format!("s:{path}")) {
                prop_assert_eq!(place(&normal[2..]), place(&path));
            }
        }

        #[test]
        fn what_is_covered_is_below_for_whoever_resolves_it(above in path(), below in path()) {
            let both = (normalised(&format!("s:{above}")), normalised(&format!("s:{below}")));
            if let (Ok(granted), Ok(asked)) = both
                && covers(&granted, &asked)
            {
                prop_assert!(place(&below).starts_with(&place(&above)), "{} {}", above, below);
            }
        }

        #[test]
        fn no_text_makes_it_panic_and_none_that_passes_climbs(text in "[ -~]{0,40}") {
            if let Ok(normal) = normalised(&text) {
                let path = normal.split_once(':').map_or("", |(_, path)| path);
                prop_assert!(!path.split('/').any(|segment| segment == ".."));
                prop_assert!(covers(&normal, &normal));
            }
        }
    }
}
