//! Which claim has to name the local user before a sign-in is kept, and how: what a site requires
//! at an issuer. Pure; the configuration makes these, the sign-in and the refresh ask.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    sync::Arc,
};

use regex::{Regex, RegexBuilder};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::{Owner, ScopeSet};

/// The place of the local user's name in a rule.
const USER: &str = "{user}";
/// The place of their uid.
const UID: &str = "{uid}";
/// The most values of one claim that are looked at, and the longest.
const MOST_VALUES: usize = 1024;
const LONGEST_VALUE: usize = 1024;
/// What a compiled expression may take: one that a site writes needs a part of it.
const EXPRESSION_BYTES: usize = 1 << 20;

/// What a site requires of who signs in at an issuer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IdentityRule {
    /// The claim: a name, or names with dots between them that lead into objects.
    pub claim: String,
    /// What one of its values has to be.
    pub expect: Expect,
    /// The scopes without which the claim does not come.
    pub scopes: ScopeSet,
}

/// What a value has to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Expect {
    /// This text, with the user's name or uid in their places.
    Equal(String),
    /// What this expression matches from beginning to end, with name or uid in their places.
    Match(String),
    /// One that the site maps to the user.
    Mapped(Arc<IdentityMap>),
}

/// Which value of a claim is which local user: values, with the users each may be.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct IdentityMap(pub BTreeMap<String, BTreeSet<String>>);

/// The values of a claim. They are a person's: nothing prints them.
#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClaimValues(Vec<String>);

/// What was learned of a person for a rule, kept so that it can be judged again when the rule or
/// the map changes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Proof {
    /// Of which claim.
    pub claim: String,
    /// Its values.
    pub values: ClaimValues,
}

/// Why a sign-in is not let in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mismatch {
    /// The issuer does not say the claim.
    Missing,
    /// None of its values is as required.
    Another,
    /// It was not asked when the sign-in was made.
    Unproven,
}

impl fmt::Debug for ClaimValues {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ClaimValues([REDACTED])")
    }
}

impl ClaimValues {
    /// These.
    pub fn new<S: Into<String>>(values: impl IntoIterator<Item = S>) -> Self {
        Self(values.into_iter().map(Into::into).collect())
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl IdentityRule {
    /// The values of the claim. Of a list, or of objects in a list, each is one; text and whole
    /// numbers are values, anything else is none.
    pub fn values_in(&self, claims: &Map<String, Value>) -> ClaimValues {
        let mut values = Vec::new();
        within(claims, &self.claim, &mut values);
        ClaimValues(values)
    }

    /// These values, as those of its claim.
    pub fn proof(&self, values: ClaimValues) -> Proof {
        Proof { claim: self.claim.clone(), values }
    }

    /// Whether one of the values is this user's.
    ///
    /// # Errors
    /// [`Mismatch`].
    pub fn admits(&self, owner: &Owner, values: &ClaimValues) -> Result<(), Mismatch> {
        if values.is_empty() {
            return Err(Mismatch::Missing);
        }
        let fits = match &self.expect {
            Expect::Equal(text) => {
                let wanted = filled(text, owner);
                values.0.contains(&wanted)
            }
            // What does not compile for this user is nobody.
            Expect::Match(pattern) => expression(pattern, |text| in_regex(text, owner))
                .is_ok_and(|expression| values.0.iter().any(|value| expression.is_match(value))),
            Expect::Mapped(map) => values
                .0
                .iter()
                .any(|value| map.0.get(value).is_some_and(|users| users.contains(&owner.user))),
        };
        if fits { Ok(()) } else { Err(Mismatch::Another) }
    }

    /// Judges a sign-in on what the issuer says now of its person, else on what it said before. What
    /// it says of another claim, which another rule asked for, says nothing of this one.
    ///
    /// # Errors
    /// [`Mismatch`].
    pub fn judge(
        &self,
        owner: &Owner,
        now: Option<&Proof>,
        before: Option<&Proof>,
    ) -> Result<Proof, Mismatch> {
        let mut said = [now, before].into_iter().flatten();
        let proof = said.find(|proof| self.is_about(proof)).ok_or(Mismatch::Unproven)?;
        self.admits(owner, &proof.values)?;
        Ok(proof.clone())
    }

    /// Whether that is about its claim.
    pub fn is_about(&self, proof: &Proof) -> bool {
        proof.claim == self.claim
    }

    /// What is required, for people.
    pub fn told(&self) -> String {
        self.of(USER, UID)
    }

    /// What is required of this user, for people.
    pub fn told_of(&self, user: &str, uid: Option<u32>) -> String {
        self.of(user, &uid.map_or_else(|| UID.to_owned(), |uid| uid.to_string()))
    }

    /// How many values the site maps to somebody, or to this user; `None` without a map.
    pub fn mapped(&self, user: Option<&str>) -> Option<usize> {
        let Expect::Mapped(map) = &self.expect else { return None };
        let is_of = |users: &BTreeSet<String>| user.is_none_or(|user| users.contains(user));
        Some(map.0.values().filter(|users| is_of(users)).count())
    }

    /// Why this user's sign-in at the issuer `title` is refused. Nothing of who signed in is told.
    pub fn refusal(&self, title: &str, owner: &Owner, mismatch: Mismatch) -> String {
        let required = self.told_of(&owner.user, Some(owner.uid));
        let why = match mismatch {
            Mismatch::Missing => "the issuer did not say it",
            Mismatch::Another => "the one who signed in is somebody else",
            Mismatch::Unproven => "that was not asked before; sign in again",
        };
        format!("for {}, this site requires at {title} that {required}; {why}", owner.user)
    }

    fn of(&self, user: &str, uid: &str) -> String {
        let claim = &self.claim;
        let put = |text: &str| text.replace(USER, user).replace(UID, uid);
        match &self.expect {
            Expect::Equal(text) => format!("{claim} is {}", put(text)),
            Expect::Match(text) => format!("{claim} matches {}", put(text)),
            Expect::Mapped(_) => format!("{claim} is one that the site maps to {user}"),
        }
    }
}

/// Whether a text of `must_equal` names nothing but what there is to name.
///
/// # Errors
/// What is wrong with it.
pub fn check_text(text: &str) -> Result<(), String> {
    if text.is_empty() || text.chars().any(char::is_control) {
        return Err("must be a text without control characters".into());
    }
    let rest = text.replace(USER, "").replace(UID, "");
    if rest.contains(['{', '}']) {
        return Err(format!("has a place that is neither {USER} nor {UID}"));
    }
    Ok(())
}

/// Whether an expression of `must_match` compiles, with its places where a name can stand.
///
/// # Errors
/// What is wrong with it.
pub fn check_expression(pattern: &str) -> Result<(), String> {
    // No class may hold this: a name inside brackets would be any of its letters.
    let place = |text: &str| text.replace(USER, r"(?:\z)").replace(UID, r"(?:\z)");
    expression(pattern, place).map(drop).map_err(|error| {
        let said = error.to_string();
        let last = said.trim().lines().last().unwrap_or_default();
        format!("is no expression that can be used: {}", last.trim_start_matches("error: "))
    })
}

/// The scope that brings a claim (OpenID Connect Core 1.0 §5.4; WLCG token profile), if it is known.
pub fn scope_of(claim: &str) -> Option<&'static str> {
    match claim.split('.').next().unwrap_or_default() {
        "name" | "family_name" | "given_name" | "middle_name" | "nickname"
        | "preferred_username" | "profile" | "website" => Some("profile"),
        "email" | "email_verified" => Some("email"),
        "phone_number" | "phone_number_verified" => Some("phone"),
        "address" => Some("address"),
        "wlcg" if claim == "wlcg.groups" => Some("wlcg.groups"),
        _ => None,
    }
}

fn filled(text: &str, owner: &Owner) -> String {
    text.replace(UID, &owner.uid.to_string()).replace(USER, &owner.user)
}

fn in_regex(text: &str, owner: &Owner) -> String {
    let literal = |text: &str| format!("(?:{})", regex::escape(text));
    text.replace(UID, &owner.uid.to_string()).replace(USER, &literal(&owner.user))
}

/// Anchored at both ends, whatever is in it.
fn expression(
    pattern: &str,
    fill: impl FnOnce(&str) -> String,
) -> Result<Regex, Box<regex::Error>> {
    // On its own first: what closes our parenthesis is no expression.
    let filled = fill(pattern);
    let build = |text: &str| RegexBuilder::new(text).size_limit(EXPRESSION_BYTES).build();
    build(&filled).and_then(|_| build(&format!(r"\A(?:{filled})\z"))).map_err(Box::new)
}

/// Gathers the values below `path`. Claims may have dots in their own names (`wlcg.groups`), so
/// the longest name that is there goes first.
fn within(claims: &Map<String, Value>, path: &str, found: &mut Vec<String>) {
    if let Some(value) = claims.get(path) {
        return gather(value, None, found);
    }
    for (dot, _) in path.rmatch_indices('.') {
        let (name, rest) = (&path[..dot], &path[dot + 1..]);
        if let Some(value) = claims.get(name) {
            return gather(value, Some(rest), found);
        }
    }
}

fn gather(value: &Value, rest: Option<&str>, found: &mut Vec<String>) {
    if found.len() >= MOST_VALUES {
        return;
    }
    match (value, rest) {
        (Value::Array(list), _) => {
            for value in list.iter().filter(|value| !value.is_array()) {
                gather(value, rest, found);
            }
        }
        (Value::Object(claims), Some(rest)) => within(claims, rest, found),
        (Value::String(text), None) if !text.is_empty() && text.len() <= LONGEST_VALUE => {
            found.push(text.clone());
        }
        (Value::Number(number), None) if !number.is_f64() => found.push(number.to_string()),
        _ => {}
    }
}

#[cfg(test)]
#[path = "identity_rule_tests.rs"]
mod tests;
