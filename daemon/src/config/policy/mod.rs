//! What the site decided for whom, as data: who may do what is worked out in the room `policy`.
//!
//! A rule of `policy.d` or `iamd.toml` says whom it is for and gives answers to some questions. It
//! is taken apart into a [`Clause`] for each one it is for and each question, because that is what
//! is compared: the clause for the narrower circle goes before, and two that go neither before nor
//! after each other have to give the same answer (`contradictions.rs`).

mod answers;
mod contradictions;
mod read;
mod subject;

#[cfg(test)]
mod tests;

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    sync::Arc,
    time::Duration,
};

pub(super) use read::{add_files, place_of, places, site_only, site_wide};
pub use subject::Subject;

use super::Config;

/// The entry of a list that means all there are.
pub const ALL: &str = "*";
/// What `iamd.toml` alone decides, for everybody, as it explains like a rule: table and name.
pub const SITE_ONLY: [(&str, &str); 3] =
    [("policy", "public_password"), ("limits", "login_starts"), ("limits", "tokens_per_minute")];
/// The highest `priority` of a rule; the lowest is 0.
pub const HIGHEST: u32 = 1000;

/// A question that a rule can answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Key {
    /// Which of the issuers that have a file may be used.
    Issuers,
    /// Whether issuers that have none may be named, by URL.
    CustomIssuers,
    /// Whether accounts may have clients of their own.
    OwnClients,
    /// By which ways a sign-in may come.
    Flows,
    /// Which scopes may be asked for.
    Scopes,
    /// How long a sign-in is good for.
    LongestSignIn,
    /// The longest validity of a token that may be asked for.
    LongestMinValid,
    /// How many accounts.
    Accounts,
    /// How many logins that run.
    Logins,
    /// How many requests in flight.
    Requests,
    /// How many clients that are registered in an hour.
    Registrations,
    /// Whether the secrets of own accounts are shown.
    ShowSecrets,
    /// Whether a login starts a sign-in by itself.
    AutomaticLogin,
    /// Which PAM services' sessions count.
    Services,
}

/// What kind of answer a question has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Flag,
    Number(u32, u32),
    Span(Duration, Duration),
    Names,
}

const SECOND: Duration = Duration::from_secs(1);
/// Ten years: longer than anything here is meant to last.
const TEN_YEARS: Duration = Duration::from_secs(10 * 365 * 86_400);

impl Key {
    /// Every question, in the order in which they are explained.
    pub const ALL: [Self; 14] = [
        Self::Issuers,
        Self::CustomIssuers,
        Self::OwnClients,
        Self::Flows,
        Self::Scopes,
        Self::LongestSignIn,
        Self::LongestMinValid,
        Self::Accounts,
        Self::Logins,
        Self::Requests,
        Self::Registrations,
        Self::ShowSecrets,
        Self::AutomaticLogin,
        Self::Services,
    ];

    /// As it stands in a rule.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Issuers => "issuers",
            Self::CustomIssuers => "custom_issuers",
            Self::OwnClients => "own_clients",
            Self::Flows => "flows",
            Self::Scopes => "scopes",
            Self::LongestSignIn => "longest_sign_in",
            Self::LongestMinValid => "longest_min_valid",
            Self::Accounts => "accounts",
            Self::Logins => "logins",
            Self::Requests => "requests",
            Self::Registrations => "registrations",
            Self::ShowSecrets => "show_secrets",
            Self::AutomaticLogin => "automatic_login",
            Self::Services => "services",
        }
    }

    /// The key of `iamd.toml` that says what holds where no rule does: table and name.
    pub const fn site_key(self) -> (&'static str, &'static str) {
        match self {
            Self::Issuers => ("issuers", "allow"),
            Self::CustomIssuers => ("issuers", "custom"),
            Self::OwnClients => ("users", "own_clients"),
            Self::Services => ("users", "services"),
            Self::AutomaticLogin => ("login", "automatic"),
            Self::Accounts | Self::Logins | Self::Requests | Self::Registrations => {
                ("limits", self.name())
            }
            Self::Flows
            | Self::Scopes
            | Self::LongestSignIn
            | Self::LongestMinValid
            | Self::ShowSecrets => ("policy", self.name()),
        }
    }

    pub(super) const fn kind(self) -> Kind {
        match self {
            Self::CustomIssuers | Self::OwnClients | Self::ShowSecrets | Self::AutomaticLogin => {
                Kind::Flag
            }
            Self::Accounts | Self::Registrations => Kind::Number(1, 1000),
            Self::Logins => Kind::Number(1, 100),
            Self::Requests => Kind::Number(1, 100_000),
            Self::LongestSignIn => Kind::Span(Duration::from_secs(60), TEN_YEARS),
            Self::LongestMinValid => Kind::Span(SECOND, TEN_YEARS),
            Self::Issuers | Self::Flows | Self::Scopes | Self::Services => Kind::Names,
        }
    }
}

/// How a sign-in comes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Flow {
    /// In a browser, with a code (RFC 8628).
    Device,
    /// By user name and password; has locks of its own beside this.
    Password,
    /// By a refresh token that the user brings.
    RefreshToken,
}

impl Flow {
    /// Every one.
    pub const ALL: [Self; 3] = [Self::Device, Self::Password, Self::RefreshToken];

    /// As it stands in a rule.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Device => "device",
            Self::Password => "password",
            Self::RefreshToken => "refresh-token",
        }
    }
}

/// An answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Value {
    /// Yes or no.
    Flag(bool),
    /// At most so many.
    Number(u32),
    /// At most so long; `None`: without an end.
    Span(Option<Duration>),
    /// These.
    Names {
        /// In addition to what holds without this clause, instead of in its place.
        adds: bool,
        /// Which ones.
        items: BTreeSet<String>,
    },
}

/// Where something stands.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    /// The file.
    pub file: Arc<str>,
    /// The line, from 1.
    pub line: usize,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.file, self.line)
    }
}

/// One answer to one question, for one circle of users.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Clause {
    /// For whom.
    pub subject: Subject,
    /// Among the clauses for circles of the same kind, the higher one goes before.
    pub priority: u32,
    /// The question.
    pub key: Key,
    /// The answer.
    pub value: Value,
    /// The line of the answer.
    pub place: Place,
}

impl Clause {
    /// The higher one goes before.
    pub fn rank(&self) -> (u8, u32) {
        (self.subject.narrowness(), self.priority)
    }
}

/// What users may do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PolicyRules {
    /// Who may see the secrets of their own accounts, of `iamd.toml`: user names, and groups
    /// with `@`. They are among the clauses too.
    pub show_secrets: Vec<String>,
    /// Whether a client without a secret may sign users in by password, where an administrator
    /// allowed it the password flow.
    pub public_password: bool,
    /// Which issuers everybody may use where no rule says otherwise; absent: all that have a file.
    pub issuers: Option<BTreeSet<String>>,
    /// The ways in for everybody where no rule says otherwise.
    pub flows: BTreeSet<String>,
    /// The scopes for everybody where no rule says otherwise.
    pub scopes: BTreeSet<String>,
    /// How long a sign-in is good for where no rule says otherwise; `None`: as the issuer says.
    pub longest_sign_in: Option<Duration>,
    /// The longest validity that may be asked for where no rule says otherwise.
    pub longest_min_valid: Option<Duration>,
    /// Where in `iamd.toml` the keys stand that say what holds without a rule.
    pub written: BTreeMap<Key, Place>,
    /// Where `users.min_uid` stands.
    pub min_uid: Option<Place>,
    /// Where the keys of [`SITE_ONLY`] stand, by name.
    pub site_only: BTreeMap<&'static str, Place>,
    /// Where the issuers' files say whose sign-ins are let in (`[identity]`), by issuer.
    pub identity: BTreeMap<String, Place>,
    /// What the rules say.
    pub clauses: Vec<Clause>,
    /// The files that rules were read from.
    pub files: Vec<String>,
}

impl Default for PolicyRules {
    fn default() -> Self {
        Self {
            show_secrets: Vec::new(),
            public_password: false,
            issuers: None,
            flows: Flow::ALL.map(|flow| flow.name().to_owned()).into(),
            scopes: BTreeSet::from([ALL.to_owned()]),
            longest_sign_in: None,
            longest_min_valid: None,
            written: BTreeMap::new(),
            min_uid: None,
            site_only: BTreeMap::new(),
            identity: BTreeMap::new(),
            clauses: Vec::new(),
            files: Vec::new(),
        }
    }
}

impl PolicyRules {
    /// The groups that a clause is for. Where there are none, nobody's groups have to be known.
    pub fn groups(&self) -> BTreeSet<&str> {
        self.clauses.iter().filter_map(|clause| clause.subject.group()).collect()
    }

    /// Whether an issuer with this name may be of use to anybody.
    pub(super) fn mentions_issuer(&self, name: &str) -> bool {
        let of_site = self.issuers.as_ref().is_none_or(|issuers| issuers.contains(name));
        of_site
            || self.clauses.iter().any(|clause| match &clause.value {
                Value::Names { items, .. } if clause.key == Key::Issuers => {
                    items.contains(name) || items.contains(ALL)
                }
                _ => false,
            })
    }
}

impl Config {
    /// What holds for everybody whom no rule is for.
    pub fn site_wide(&self, key: Key) -> Value {
        let rules = &self.policy;
        let names = |items: BTreeSet<String>| Value::Names { adds: false, items };
        match key {
            Key::Issuers => {
                names(rules.issuers.clone().unwrap_or_else(|| BTreeSet::from([ALL.to_owned()])))
            }
            Key::CustomIssuers => Value::Flag(self.custom_issuers),
            Key::OwnClients => Value::Flag(self.users.own_clients),
            Key::Flows => names(rules.flows.clone()),
            Key::Scopes => names(rules.scopes.clone()),
            Key::LongestSignIn => Value::Span(rules.longest_sign_in),
            Key::LongestMinValid => Value::Span(rules.longest_min_valid),
            Key::Accounts => Value::Number(self.limits.accounts),
            Key::Logins => Value::Number(self.limits.logins),
            Key::Requests => Value::Number(self.limits.requests),
            Key::Registrations => Value::Number(self.limits.registrations),
            // Who may is named there, and has a clause.
            Key::ShowSecrets => Value::Flag(false),
            Key::AutomaticLogin => Value::Flag(self.login.automatic),
            Key::Services => names(self.users.services.iter().cloned().collect()),
        }
    }
}
