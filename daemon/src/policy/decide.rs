//! The one place where what the site decided becomes an answer for one user. Pure: who asks, with
//! what is known of their groups, is an argument.
//!
//! The clauses that are for the user are gone through from the widest circle to the narrowest, so
//! that the last word is the narrowest's; names with `+` are added to what there is by then.
//!
//! Where the name service does not say whether the user is in a group, its clause is *in doubt*: it
//! holds where it allows less and does not where it allows more.

use std::{collections::BTreeMap, collections::BTreeSet, fmt, time::Duration};

use crate::{
    account::scope_covers,
    config::{
        Config,
        policy::{ALL, Clause, Flow, Key, Place, Subject, Value},
    },
};

/// Of whom a question is.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Who {
    /// The user's name.
    pub user: String,
    /// Whether they are in the groups that rules name; one that is absent is not known now.
    pub groups: BTreeMap<String, bool>,
}

impl Who {
    fn is(&self, subject: &Subject) -> Option<bool> {
        match subject {
            Subject::Everybody => Some(true),
            Subject::User(name) => Some(*name == self.user),
            Subject::Group(name) => self.groups.get(name).copied(),
        }
    }
}

/// What decided.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Origin {
    /// Nothing that is written: the default of the key of `iamd.toml` that is meant.
    Default(&'static str, &'static str),
    /// A line.
    At(Place),
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default(table, key) => write!(f, "default of {table}.{key}"),
            Self::At(place) => place.fmt(f),
        }
    }
}

/// A clause of which it is not known whether it is for the user.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Doubt {
    /// The group that the name service says nothing about.
    pub group: String,
    /// Where the clause stands.
    pub place: Place,
}

/// Names, and what put them there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Part {
    /// The names.
    pub items: BTreeSet<String>,
    /// What put them there.
    pub by: Vec<Origin>,
}

/// The answer to a question that is in force for somebody.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Holds {
    /// A yes or no, a number or a time, and what decided.
    One(Value, Vec<Origin>),
    /// Lists that each have to have the name; more than one only where there is a doubt.
    Names(Vec<Vec<Part>>),
}

/// What is in force for somebody.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InForce {
    /// The question.
    pub key: Key,
    /// The answer.
    pub holds: Holds,
    /// What could not be settled.
    pub doubt: Vec<Doubt>,
}

/// The answer to `key` that is in force for `who`.
pub fn in_force(config: &Config, who: &Who, key: Key) -> InForce {
    let (table, name) = key.site_key();
    let written = config.policy.written.get(&key).filter(|_| key != Key::ShowSecrets);
    let site = written.map_or(Origin::Default(table, name), |place| Origin::At(place.clone()));
    let mut fold = Fold::new(config.site_wide(key), site);
    for clause in in_order(config, key) {
        match who.is(&clause.subject) {
            Some(true) => fold.settled(clause),
            Some(false) => {}
            None => fold.in_doubt(clause),
        }
    }
    InForce { key, holds: fold.holds, doubt: fold.doubt }
}

/// The clauses on `key`, from the widest circle to the narrowest.
fn in_order(config: &Config, key: Key) -> Vec<&Clause> {
    let mut clauses: Vec<&Clause> =
        config.policy.clauses.iter().filter(|clause| clause.key == key).collect();
    clauses.sort_by_key(|clause| (clause.rank(), clause.place.clone()));
    clauses
}

struct Fold {
    holds: Holds,
    /// Of the clause that settled it, if one did.
    rank: Option<(u8, u32)>,
    doubt: Vec<Doubt>,
}

impl Fold {
    fn new(value: Value, by: Origin) -> Self {
        let by = vec![by];
        let holds = match value {
            Value::Names { items, .. } => Holds::Names(vec![vec![Part { items, by }]]),
            value => Holds::One(value, by),
        };
        Self { holds, rank: None, doubt: Vec::new() }
    }

    fn settled(&mut self, clause: &Clause) {
        let origin = Origin::At(clause.place.clone());
        match (&clause.value, &mut self.holds) {
            (Value::Names { adds: true, items }, Holds::Names(lists)) => {
                for list in lists {
                    list.push(Part { items: items.clone(), by: vec![origin.clone()] });
                }
                return;
            }
            // Of the same rank, so the same answer: both of them decided.
            (value, Holds::One(held, by)) if Some(clause.rank()) == self.rank && value == held => {
                by.push(origin);
            }
            (Value::Names { items, .. }, Holds::Names(lists))
                if Some(clause.rank()) == self.rank && is_of(lists, items) =>
            {
                lists.truncate(1);
                lists.iter_mut().flat_map(|list| list.first_mut()).for_each(|part| {
                    part.by.push(origin.clone());
                });
            }
            (Value::Names { items, .. }, holds) => {
                let part = Part { items: items.clone(), by: vec![origin] };
                *holds = Holds::Names(vec![vec![part]]);
            }
            (value, holds) => *holds = Holds::One(value.clone(), vec![origin]),
        }
        self.rank = Some(clause.rank());
        self.doubt.clear();
    }

    fn in_doubt(&mut self, clause: &Clause) {
        let origin = Origin::At(clause.place.clone());
        match (&clause.value, &mut self.holds) {
            (Value::Names { adds: false, items }, Holds::Names(lists)) => {
                lists.push(vec![Part { items: items.clone(), by: vec![origin] }]);
            }
            (value, Holds::One(held, by)) if is_less(value, held) => {
                *held = value.clone();
                *by = vec![origin];
            }
            _ => {}
        }
        let group = clause.subject.group().unwrap_or_default().to_owned();
        self.doubt.push(Doubt { group, place: clause.place.clone() });
    }
}

/// Whether the list that was settled last is this one, before what was added to it.
fn is_of(lists: &[Vec<Part>], items: &BTreeSet<String>) -> bool {
    lists.first().and_then(|list| list.first()).is_some_and(|part| part.items == *items)
}

/// Whether `one` allows less than `other`.
fn is_less(one: &Value, other: &Value) -> bool {
    match (one, other) {
        (Value::Flag(one), Value::Flag(other)) => !one && *other,
        (Value::Number(one), Value::Number(other)) => one < other,
        (Value::Span(Some(one)), Value::Span(other)) => other.is_none_or(|other| *one < other),
        _ => false,
    }
}

/// What somebody wants to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Question<'a> {
    /// Use the issuer of this name, which has a file.
    Issuer(&'a str),
    /// Use one that has none.
    CustomIssuer,
    /// Have a client for an account alone.
    OwnClient,
    /// Sign in this way.
    Flow(Flow),
    /// Ask for this scope.
    Scope(&'a str),
    /// Use a sign-in that is so old.
    SignInOfAge(Duration),
    /// Ask for a token that is valid so long.
    MinValid(Duration),
    /// See the secrets of own accounts.
    ShowSecrets,
    /// Be offered a sign-in at a login.
    AutomaticLogin,
    /// Have a session through this PAM service.
    Service(&'a str),
}

impl Question<'_> {
    /// The key that answers it.
    pub const fn key(&self) -> Key {
        match self {
            Self::Issuer(_) => Key::Issuers,
            Self::CustomIssuer => Key::CustomIssuers,
            Self::OwnClient => Key::OwnClients,
            Self::Flow(_) => Key::Flows,
            Self::Scope(_) => Key::Scopes,
            Self::SignInOfAge(_) => Key::LongestSignIn,
            Self::MinValid(_) => Key::LongestMinValid,
            Self::ShowSecrets => Key::ShowSecrets,
            Self::AutomaticLogin => Key::AutomaticLogin,
            Self::Service(_) => Key::Services,
        }
    }
}

/// A decision, and what it rests on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Decision {
    /// Yes or no.
    pub allowed: bool,
    /// The lines that decided.
    pub decided_by: Vec<Origin>,
    /// A no that may have been a yes, had the name service answered.
    pub doubt: Vec<Doubt>,
}

/// Whether `who` may do that.
pub fn decide(config: &Config, who: &Who, question: &Question<'_>) -> Decision {
    let InForce { holds, .. } = in_force(config, who, question.key());
    let (allowed, mut decided_by) = match holds {
        Holds::Names(lists) => has(&lists, question),
        Holds::One(value, by) => (allows(&value, question), by),
    };
    decided_by.sort();
    decided_by.dedup();
    let doubt = if allowed { Vec::new() } else { doubts(config, who, question) };
    Decision { allowed, decided_by, doubt }
}

/// The clauses in doubt that a no rests on: none where it is a no whatever groups `who` is in. From
/// the narrowest to the widest, as far as one is settled that takes the place of all before it.
fn doubts(config: &Config, who: &Who, question: &Question<'_>) -> Vec<Doubt> {
    let key = question.key();
    let (mut doubts, mut may_be, mut is_settled) = (Vec::new(), false, false);
    // Of these groups they cannot be, for a clause that is wider to hold.
    let mut not_in = BTreeSet::new();
    for clause in in_order(config, key).into_iter().rev() {
        let yes = allows(&clause.value, question);
        let adds = matches!(clause.value, Value::Names { adds: true, .. });
        match who.is(&clause.subject) {
            Some(false) => {}
            Some(true) => {
                may_be |= yes;
                is_settled = !adds;
            }
            None => {
                let group = clause.subject.group().unwrap_or_default();
                may_be |= yes && !not_in.contains(group);
                if yes || !adds {
                    doubts.push(Doubt { group: group.to_owned(), place: clause.place.clone() });
                }
                if !adds {
                    not_in.insert(group);
                }
            }
        }
        if is_settled {
            break;
        }
    }
    may_be |= !is_settled && allows(&config.site_wide(key), question);
    if !may_be {
        return Vec::new();
    }
    doubts.reverse();
    doubts
}

/// Whether an answer allows that by itself.
fn allows(value: &Value, question: &Question<'_>) -> bool {
    match (value, question) {
        (Value::Flag(allowed), _) => *allowed,
        (Value::Names { items, .. }, _) => items.iter().any(|item| covers(item, question)),
        (Value::Span(longest), Question::SignInOfAge(asked) | Question::MinValid(asked)) => {
            longest.is_none_or(|longest| *asked <= longest)
        }
        (Value::Span(_) | Value::Number(_), _) => false,
    }
}

/// Whether each of the lists has what is asked for; and the parts that have it, or else the list
/// that has not.
fn has(lists: &[Vec<Part>], question: &Question<'_>) -> (bool, Vec<Origin>) {
    let mut by = Vec::new();
    for list in lists {
        let found = list.iter().find(|part| part.items.iter().any(|item| covers(item, question)));
        match found {
            Some(part) => by.extend(part.by.iter().cloned()),
            None => return (false, list.iter().flat_map(|part| part.by.clone()).collect()),
        }
    }
    (true, by)
}

fn covers(item: &str, question: &Question<'_>) -> bool {
    match question {
        _ if item == ALL => true,
        Question::Scope(scope) => belongs_to_every_sign_in(scope) || scope_is(item, scope),
        Question::Issuer(name) | Question::Service(name) => item == *name,
        Question::Flow(flow) => item == flow.name(),
        _ => false,
    }
}

/// Whether a scope is one of a pattern: the beginning of scopes and `*`, or a scope, whose path
/// covers those below.
fn scope_is(pattern: &str, scope: &str) -> bool {
    match pattern.strip_suffix('*') {
        Some(stem) => scope.starts_with(stem),
        None => scope_covers(pattern, scope),
    }
}

/// Without these nobody signs in: they are asked for by every sign-in and never a matter of policy.
pub fn belongs_to_every_sign_in(scope: &str) -> bool {
    ["openid", "offline_access"].contains(&scope)
}

/// The most that `who` may have of what `key` counts, and what decided.
pub fn most(config: &Config, who: &Who, key: Key) -> (u32, Vec<Origin>) {
    match in_force(config, who, key).holds {
        Holds::One(Value::Number(most), by) => (most, by),
        Holds::One(_, by) => (0, by),
        Holds::Names(_) => (0, Vec::new()),
    }
}

/// How long what `key` bounds may last; `None`: without an end.
pub fn longest(config: &Config, who: &Who, key: Key) -> Option<Duration> {
    match in_force(config, who, key).holds {
        Holds::One(Value::Span(longest), _) => longest,
        _ => None,
    }
}
