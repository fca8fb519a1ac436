//! Scopes and audiences as sets: their order and repetition mean nothing.

use std::{collections::BTreeSet, fmt};

use serde::{Deserialize, Serialize};

use super::scope_path::{self, PathError};

/// A set of scope tokens (RFC 6749 §3.3). Paths in them have one spelling.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ScopeSet(BTreeSet<String>);

/// A set of audiences.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct AudienceSet(BTreeSet<String>);

/// Why a text is not a scope or an audience.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ScopeError {
    /// A character outside RFC 6749 §3.3, or nothing at all.
    #[error("\u{201c}{0}\u{201d} is not a scope: printable ASCII without space, '\"' and '\\'")]
    Scope(String),
    /// A path with `..` would mean another one at the issuer.
    #[error("the path in scope \u{201c}{0}\u{201d} has '..' in it")]
    Climbs(String),
    /// A `%` that encodes nothing, or a control character.
    #[error(
        "the path in scope \u{201c}{0}\u{201d} is not one: '%' needs two digits that mean a printable character"
    )]
    Path(String),
    /// A space, a control character or nothing at all.
    #[error("\u{201c}{0}\u{201d} is not an audience: printable ASCII without space")]
    Audience(String),
    /// More than a request may carry.
    #[error("more than {0} scopes or audiences in one request")]
    TooMany(usize),
}

/// The most scopes or audiences in one set that a user asks for.
pub(crate) const MOST: usize = 64;

impl ScopeSet {
    /// The set of the given scopes; each may itself be a space separated list.
    ///
    /// # Errors
    /// The first that is not a scope, or too many.
    pub fn parse<I, S>(scopes: I) -> Result<Self, ScopeError>
    where
        I: IntoIterator<Item = S>,
        S: AsRef<str>,
    {
        let mut set = BTreeSet::new();
        for text in scopes {
            for scope in text.as_ref().split(' ').filter(|s| !s.is_empty()) {
                set.insert(checked_scope(scope)?);
            }
        }
        if set.len() > MOST { Err(ScopeError::TooMany(MOST)) } else { Ok(Self(set)) }
    }

    /// The scopes of a reply: what is not a scope is left out, as is what exceeds any bound.
    pub fn from_reply(text: &str) -> Self {
        let scopes = text.split(' ').filter_map(|s| checked_scope(s).ok()).take(512);
        Self(scopes.collect())
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether this very scope is in it.
    pub fn contains(&self, scope: &str) -> bool {
        self.0.contains(scope)
    }

    /// In order.
    pub fn iter(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(String::as_str)
    }

    /// This set and all of `other`.
    #[must_use]
    pub fn union(&self, other: &Self) -> Self {
        Self(self.0.union(&other.0).cloned().collect())
    }

    /// What of this set `keep` says yes to.
    #[must_use]
    pub fn filtered(&self, keep: impl Fn(&str) -> bool) -> Self {
        Self(self.0.iter().filter(|scope| keep(scope)).cloned().collect())
    }

    /// Whether `scope` is in it, or the path of a scope in it leads to that of `scope`:
    /// `storage.read:/` covers `storage.read:/atlas`, `storage.read:/a` not `storage.read:/ab`.
    pub fn covers(&self, scope: &str) -> bool {
        self.0.iter().any(|granted| scope_path::covers(granted, scope))
    }

    /// What of this set leads to nothing in `needed`.
    #[must_use]
    pub fn spare_for(&self, needed: &Self) -> Self {
        self.filtered(|scope| !needed.0.iter().any(|need| scope_path::covers(scope, need)))
    }

    /// This set without `scope`.
    #[must_use]
    pub fn without(&self, scope: &str) -> Self {
        Self(self.0.iter().filter(|s| *s != scope).cloned().collect())
    }

    /// This set and `scope`.
    #[must_use]
    pub fn with(&self, scope: &str) -> Self {
        let mut set = self.0.clone();
        set.insert(scope.to_owned());
        Self(set)
    }

    /// What is in this set and not covered by `granted`: `storage.read:/` covers
    /// `storage.read:/atlas`, not the reverse. `openid` and `offline_access` are not counted: they
    /// ask for an ID token and a refresh token, and many issuers name neither among the scopes of an
    /// access token. Every other one that a reply leaves out was denied (RFC 6749 §5.1).
    #[must_use]
    pub fn missing_from(&self, granted: &Self) -> Self {
        let missing =
            self.0.iter().filter(|asked| !is_for_other_tokens(asked) && !granted.covers(asked));
        Self(missing.cloned().collect())
    }

    /// As a list.
    pub fn to_vec(&self) -> Vec<String> {
        self.0.iter().cloned().collect()
    }
}

impl fmt::Display for ScopeSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.iter().map(String::as_str).collect::<Vec<_>>().join(" "))
    }
}

impl AudienceSet {
    /// The set of the given audiences; each may itself be a space separated list.
    ///
    /// # Errors
    /// The first that is not an audience, or too many.
    pub fn parse<I, S>(audiences: I) -> Result<Self, ScopeError>
    where
        I: IntoIterator<Item = S>,
        S: AsRef<str>,
    {
        let mut set = BTreeSet::new();
        for text in audiences {
            for audience in text.as_ref().split(' ').filter(|s| !s.is_empty()) {
                if !audience.bytes().all(|b| b.is_ascii_graphic()) || audience.len() > 512 {
                    return Err(ScopeError::Audience(shown(audience)));
                }
                set.insert(audience.to_owned());
            }
        }
        if set.len() > MOST { Err(ScopeError::TooMany(MOST)) } else { Ok(Self(set)) }
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// In order.
    pub fn iter(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(String::as_str)
    }

    /// As a list.
    pub fn to_vec(&self) -> Vec<String> {
        self.0.iter().cloned().collect()
    }
}

impl fmt::Display for AudienceSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.iter().map(String::as_str).collect::<Vec<_>>().join(" "))
    }
}

/// Whether a scope asks for another token than the access token.
fn is_for_other_tokens(scope: &str) -> bool {
    ["openid", "offline_access"].contains(&scope)
}

/// Whether a scope only steers the protocol.
pub(crate) fn is_steering(scope: &str) -> bool {
    ["openid", "offline_access", "profile", "email", "wlcg"].contains(&scope)
}

fn checked_scope(scope: &str) -> Result<String, ScopeError> {
    let fits = |b: u8| b.is_ascii_graphic() && b != b'"' && b != b'\\';
    if scope.is_empty() || scope.len() > 512 || !scope.bytes().all(fits) {
        return Err(ScopeError::Scope(shown(scope)));
    }
    scope_path::normalised(scope).map_err(|error| match error {
        PathError::Climbs => ScopeError::Climbs(shown(scope)),
        PathError::Malformed => ScopeError::Path(shown(scope)),
    })
}

fn shown(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).take(80).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn order_and_repetition_mean_nothing() {
        let a = ScopeSet::parse(["openid storage.read:/", "openid"]).unwrap();
        let b = ScopeSet::parse(["storage.read:/", "openid"]).unwrap();
        assert_eq!(a, b);
        assert_eq!(a.to_string(), "openid storage.read:/");
    }

    #[test]
    fn what_is_not_a_scope_is_refused_by_name() {
        for bad in ["a\"b", "a\\b", "a\u{1b}[31m", "ü", "a\nb"] {
            assert!(matches!(ScopeSet::parse([bad]), Err(ScopeError::Scope(_))), "{bad:?}");
        }
        assert!(matches!(ScopeSet::parse(["storage.read:/a/../b"]), Err(ScopeError::Climbs(_))));
        assert!(matches!(ScopeSet::parse(["storage.read:/%2e%2E"]), Err(ScopeError::Climbs(_))));
        assert!(matches!(ScopeSet::parse(["storage.read:/a%00"]), Err(ScopeError::Path(_))));
        assert!(ScopeSet::parse(["storage.read:/a..b/"]).is_ok());
        let many: Vec<_> = (0..65).map(|i| format!("s{i}")).collect();
        assert_eq!(ScopeSet::parse(many), Err(ScopeError::TooMany(64)));
    }

    #[test]
    fn only_what_asks_for_other_tokens_may_be_missing_from_a_reply_without_a_denial() {
        let asked = "openid offline_access profile email wlcg storage.read:/ compute.read";
        let asked = ScopeSet::parse([asked]).unwrap();
        let granted = ScopeSet::from_reply("storage.read:/");
        let missing = asked.missing_from(&granted).to_vec();
        assert_eq!(missing, ["compute.read", "email", "profile", "wlcg"]);
    }

    #[test]
    fn a_path_covers_what_is_below_it_and_not_what_only_begins_like_it() {
        let has = ScopeSet::parse(["storage.read:/a storage.modify:/ openid wlcg.groups"]).unwrap();
        for covered in ["storage.read:/a", "storage.read:/a/b", "storage.modify:/x", "openid"] {
            assert!(has.covers(covered), "{covered}");
        }
        for other in
            ["storage.read:/", "storage.read:/ab", "storage.stage:/", "wlcg.groups:/x", "x"]
        {
            assert!(!has.covers(other), "{other}");
        }
    }

    #[test]
    fn a_path_below_a_granted_one_is_not_missing_and_the_reverse_is() {
        let set = |scopes: &str| ScopeSet::parse([scopes]).unwrap();
        let granted = ScopeSet::from_reply("storage.read:/ storage.modify:/atlas/./x compute.read");
        assert!(
            set("storage.read:/atlas storage.modify:/atlas/x/y").missing_from(&granted).is_empty()
        );
        let missing = set("storage.modify:/atlas storage.modify:/atlas/xy").missing_from(&granted);
        assert_eq!(missing.to_string(), "storage.modify:/atlas storage.modify:/atlas/xy");
    }

    #[test]
    fn two_spellings_of_a_path_are_one_scope() {
        let set = ScopeSet::parse(["storage.read:/%61//b storage.read:/a/./b"]).unwrap();
        assert_eq!(set.to_vec(), ["storage.read:/a/b"]);
    }

    #[test]
    fn an_audience_with_a_control_character_is_refused() {
        assert!(AudienceSet::parse(["https://se.example\r\nX: y"]).is_err());
        assert_eq!(AudienceSet::parse(["b a", "a"]).unwrap().to_vec(), ["a", "b"]);
    }

    /// Scopes of the kinds that there are.
    fn scope() -> impl Strategy<Value = String> {
        "openid|offline_access|compute\\.read|wlcg\\.groups(:/[ab])?|storage\\.(read|modify):(/[ab%.~0-9]{0,3}){1,3}"
    }

    fn words() -> impl Strategy<Value = Vec<String>> {
        proptest::collection::vec(scope(), 0..8)
    }

    proptest! {
        #[test]
        fn a_set_says_of_itself_what_makes_it_again(words in words()) {
            if let Ok(set) = ScopeSet::parse(&words) {
                prop_assert_eq!(&ScopeSet::parse([set.to_string()]).unwrap(), &set);
                prop_assert!(set.missing_from(&set).is_empty());
                prop_assert!(set.iter().all(|scope| set.covers(scope)));
            }
        }

        #[test]
        fn more_that_is_granted_is_never_less_and_what_is_missing_was_asked(
            asked in words(), granted in words(), more in words(),
        ) {
            if let Ok(asked) = ScopeSet::parse(&asked) {
                let (some, all) = (granted.join(" "), [granted, more].concat().join(" "));
                let missing = asked.missing_from(&ScopeSet::from_reply(&some));
                let rest = asked.missing_from(&ScopeSet::from_reply(&all));
                prop_assert!(rest.iter().all(|scope| missing.contains(scope)));
                prop_assert!(missing.iter().all(|scope| asked.contains(scope)));
            }
        }

        #[test]
        fn whatever_an_issuer_lists_is_read_and_printable(text in "\\PC{0,60}|[\\x00-\\x7f]{0,60}") {
            let set = ScopeSet::from_reply(&text);
            prop_assert!(!set.to_string().chars().any(char::is_control));
        }
    }
}
