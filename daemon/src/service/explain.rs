//! Policy as administrators look at it: what is on disk before it is in force, and what a user may
//! do and why. Whoever calls these was authorised by polkit at the edge.

use std::collections::BTreeMap;

use iamd_protocol::{
    bus::{PolicyCheck, PolicyLine, PolicyProblem},
    error::Kind,
};

use super::{By, Service, ServiceError};
use crate::{
    account::{IssuerProfile, Mismatch},
    config::{Config, ConfigError, policy::SITE_ONLY},
    policy::{
        self, Origin,
        explain::{self, Line},
    },
};

/// The longest name of a user.
const LONGEST_NAME: usize = 256;
/// So many accounts are named in a warning.
const MOST_LISTED: usize = 20;

impl Service {
    /// What is wrong with the configuration on disk, or what it comes to. Nothing is changed.
    pub async fn check_policy(&self, by: By) -> PolicyCheck {
        self.note_administration(by, "policy check", None);
        let (loaded, alone) = self.on_disk().await;
        drop(alone);
        match loaded {
            Ok(config) => {
                let mut warnings = self.unknown_groups(&config).await;
                warnings.extend(self.unknown_users(&config).await);
                warnings.extend(self.ended_by(&config).await);
                let sources = self.sources.clone();
                let passed_over = tokio::task::spawn_blocking(move || sources.passed_over()).await;
                warnings.extend(passed_over.unwrap_or_default());
                let waits = self.waits_for_a_restart(&config);
                let lines = explain::site(&config).into_iter().map(told);
                let site_only = site_only(&config, "everybody");
                PolicyCheck {
                    good: true,
                    in_force: Some(*self.config() == config && waits.is_empty()),
                    warnings: warnings.into_iter().chain(waits).collect(),
                    files: config.policy.files.clone(),
                    lines: lines.chain(site_only).chain(identity(&config)).collect(),
                    ..PolicyCheck::default()
                }
            }
            Err(ConfigError(problems)) => {
                let problem = |problem: crate::config::Problem| PolicyProblem {
                    message: problem.to_string(),
                    line: problem.line.and_then(|line| u32::try_from(line).ok()),
                    file: problem.file,
                    key: problem.key,
                    text: problem.text,
                };
                let problems = problems.into_iter().map(problem).collect();
                PolicyCheck { problems, ..PolicyCheck::default() }
            }
        }
    }

    /// What a user may do by the configuration in force, and which lines decided.
    ///
    /// # Errors
    /// That is nobody's name, or the name service knows nobody of it.
    pub async fn explain_policy(
        &self,
        by: By,
        user: &str,
    ) -> Result<Vec<PolicyLine>, ServiceError> {
        let fits = |c: char| !c.is_control() && !c.is_whitespace();
        let is_name = !user.is_empty() && user.len() <= LONGEST_NAME && user.chars().all(fits);
        let shown: String = user.chars().filter(|c| fits(*c)).take(80).collect();
        if !is_name {
            let error = ServiceError::new(Kind::InvalidArgument, "that is no name of a user");
            self.note_administration(by, &format!("policy explain {shown}"), Some(&error));
            return Err(error);
        }
        let uid = match self.users.uid_of(user).await {
            // A name that was mistyped would be told what everybody may.
            Ok(None) => {
                let text = format!("the name service knows no user \u{201c}{shown}\u{201d}");
                let error = ServiceError::new(Kind::NoSuchUser, text);
                self.note_administration(by, &format!("policy explain {shown}"), Some(&error));
                return Err(error);
            }
            found => found.ok().flatten(),
        };
        self.note_administration(by, &format!("policy explain {shown}"), None);
        let (who, config) = (self.who(user).await, self.config());
        let lines = explain::user(&config, &who, uid).into_iter().map(told);
        let may_use = policy::issuers(&config, &who);
        let of_mine = |line: &(&IssuerProfile, PolicyLine)| may_use.contains(&line.0.name.as_str());
        let identity = identity_of(&config, user, uid).filter(of_mine).map(|(_, line)| line);
        Ok(lines.chain(site_only(&config, user)).chain(identity).collect())
    }

    /// What no reload puts in force.
    fn waits_for_a_restart(&self, on_disk: &Config) -> Vec<String> {
        let (now, then) = (&self.began_with, &on_disk.limits);
        let changed = [
            ("reply_bytes", now.reply_bytes != then.reply_bytes),
            ("reply_time", now.reply_time != then.reply_time),
            ("issuer_requests", now.issuer_requests != then.issuer_requests),
        ];
        let tell = |(key, _)| format!("limits.{key} holds from the next start of iamd on");
        changed.into_iter().filter(|(_, changed)| *changed).map(tell).collect()
    }

    /// The sign-ins that a rule on whose they may be would end that is not in force yet.
    async fn ended_by(&self, on_disk: &Config) -> Vec<String> {
        let now = self.config();
        let changed = on_disk.issuers.values().filter(|profile| {
            let before = now.issuers.get(&profile.name).and_then(|before| before.identity.as_ref());
            profile.identity.is_some() && before != profile.identity.as_ref()
        });
        let changed: Vec<&IssuerProfile> = changed.collect();
        if changed.is_empty() {
            return Vec::new();
        }
        let mut uids: Vec<u32> = match self.vault.account_keys().await {
            Ok(keys) => keys.iter().map(|key| key.uid).collect(),
            Err(error) => return vec![format!("which sign-ins that ends is not known: {error}")],
        };
        uids.dedup();
        let mut found: Vec<(&IssuerProfile, Mismatch, String)> = Vec::new();
        for uid in uids {
            let accounts = self.vault.accounts_of(uid).await.unwrap_or_default();
            for record in accounts.into_iter().filter_map(|(_, account)| Some(account.ok()?.value))
            {
                let mut of = changed.iter().copied();
                let of = of.find(|profile| profile.url.as_str() == record.issuer);
                let Some(profile) = of.filter(|_| record.state.may_refresh()) else { continue };
                let before = record.subject.as_ref().and_then(|subject| subject.proof.as_ref());
                let judged =
                    profile.identity.as_ref().map(|r| r.judge(&record.owner, None, before));
                if let Some(Err(mismatch)) = judged {
                    let account = format!("{} ({})", record.owner.user, record.name);
                    found.push((profile, mismatch, account));
                }
            }
        }
        let tell = |profile: &IssuerProfile, unproven: bool| {
            let is_one = |one: &&(&IssuerProfile, Mismatch, String)| {
                one.0.name == profile.name && (one.1 == Mismatch::Unproven) == unproven
            };
            let names: Vec<&str> = found.iter().filter(is_one).map(|one| one.2.as_str()).collect();
            let what = match unproven {
                true => "go on only if the issuer says the claim when they are renewed",
                false => "end when they are renewed, unless the issuer says something else by then",
            };
            (!names.is_empty()).then(|| {
                let listed = listed(&names);
                let (place, count) = (place(on_disk, profile), names.len());
                format!("{place}: sign-ins that {what} ({count}): {listed}")
            })
        };
        let each = changed.iter().flat_map(|profile| [tell(profile, false), tell(profile, true)]);
        each.flatten().collect()
    }

    /// A rule for a group that there is not is for nobody, and is in doubt for everybody.
    async fn unknown_groups(&self, config: &Config) -> Vec<String> {
        let groups: Vec<String> = config.policy.groups().into_iter().map(str::to_owned).collect();
        if groups.is_empty() {
            return Vec::new();
        }
        let known = self.users.groups_of("root", &groups).await;
        let unknown = groups.iter().filter(|group| !known.contains_key(*group));
        let first = |group: &String| {
            let mut clauses = config.policy.clauses.iter();
            let clause = clauses.find(|clause| clause.subject.group() == Some(group))?;
            Some(format!(
                "{}: the name service knows no group {group} now: what the rule allows is not allowed, and what it forbids is forbidden to everybody whom no narrower rule is for",
                clause.place
            ))
        };
        unknown.filter_map(first).collect()
    }

    /// A rule for a user whom there is not is for nobody: a name that was mistyped.
    async fn unknown_users(&self, config: &Config) -> Vec<String> {
        let mut firsts = BTreeMap::new();
        for clause in &config.policy.clauses {
            if let Some(user) = clause.subject.user() {
                firsts.entry(user).or_insert(&clause.place);
            }
        }
        let mut unknown = Vec::new();
        for (user, place) in firsts {
            match self.users.uid_of(user).await {
                Ok(Some(_)) => {}
                Ok(None) => unknown.push(format!(
                    "{place}: the name service knows no user {user} now: the rule is for nobody"
                )),
                // Waited for once, and not for each name.
                Err(_) => break,
            }
        }
        unknown
    }
}

/// What `iamd.toml` alone decides, and no rule: a line for each key.
fn site_only(config: &Config, whom: &str) -> impl Iterator<Item = PolicyLine> {
    let limits = &config.limits;
    SITE_ONLY.into_iter().map(move |(table, key)| {
        let (value, text) = match key {
            "public_password" => {
                let not = if config.policy.public_password { "" } else { "not " };
                let text = format!("may {not}sign in by password with a client without a secret");
                (config.policy.public_password.to_string(), text)
            }
            "login_starts" => {
                let most = limits.login_starts;
                (most.to_string(), format!("may begin {most} logins in a minute"))
            }
            _ => {
                let most = limits.tokens_per_minute;
                (most.to_string(), format!("may have issuers asked for {most} tokens in a minute"))
            }
        };
        let place = config.policy.site_only.get(key).cloned();
        let origin = place.map_or(Origin::Default(table, key), Origin::At);
        PolicyLine {
            whom: whom.to_owned(),
            key: key.to_owned(),
            values: vec![value],
            text,
            decided_by: vec![origin.to_string()],
            ..PolicyLine::default()
        }
    })
}

/// What each issuer's file requires of who signs in, in words, for everybody.
fn identity(config: &Config) -> impl Iterator<Item = PolicyLine> {
    config.issuers.values().filter_map(move |profile| {
        let rule = profile.identity.as_ref()?;
        let map = match rule.mapped(None) {
            Some(count) => format!(" (the map has {count})"),
            None => String::new(),
        };
        Some(PolicyLine {
            whom: format!("everybody at {}", profile.name),
            text: format!("sign in only where {}{map}", rule.told()),
            ..identity_line(config, profile, rule.told())
        })
    })
}

/// The same for one user.
fn identity_of<'a>(
    config: &'a Config,
    user: &'a str,
    uid: Option<u32>,
) -> impl Iterator<Item = (&'a IssuerProfile, PolicyLine)> {
    config.issuers.values().filter_map(move |profile| {
        let rule = profile.identity.as_ref()?;
        let map = match rule.mapped(Some(user)) {
            Some(0) => " (the map has none, so nobody can)".to_owned(),
            Some(count) => format!(" (the map has {count})"),
            None => String::new(),
        };
        let required = rule.told_of(user, uid);
        let line = PolicyLine {
            whom: user.to_owned(),
            text: format!("sign in at {} only where {required}{map}", profile.name),
            ..identity_line(config, profile, required)
        };
        Some((profile, line))
    })
}

fn identity_line(config: &Config, profile: &IssuerProfile, required: String) -> PolicyLine {
    PolicyLine {
        key: "identity".into(),
        values: vec![required],
        decided_by: vec![place(config, profile)],
        ..PolicyLine::default()
    }
}

/// Where the issuer's file requires something of who signs in.
fn place(config: &Config, profile: &IssuerProfile) -> String {
    let place = config.policy.identity.get(&profile.name);
    place.map_or_else(|| profile.name.clone(), ToString::to_string)
}

/// The first names, and how many more there are.
fn listed(names: &[&str]) -> String {
    let shown = names.iter().take(MOST_LISTED).copied().collect::<Vec<_>>().join(", ");
    match names.len().checked_sub(MOST_LISTED) {
        None | Some(0) => shown,
        Some(more) => format!("{shown} and {more} more"),
    }
}

fn told(line: Line) -> PolicyLine {
    PolicyLine {
        whom: line.whom,
        key: line.key.name().to_owned(),
        values: line.values,
        text: line.text,
        decided_by: line.decided_by.iter().map(ToString::to_string).collect(),
        in_doubt: line.doubt,
    }
}
