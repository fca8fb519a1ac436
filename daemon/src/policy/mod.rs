//! Who may do what: pure decisions on users and what the site decided, and the quotas.

mod attempts;
mod decide;
pub mod explain;
mod quota;
mod rate;

#[cfg(test)]
mod tests;

pub use attempts::{Attempt, Attempts, NotNow};
pub use decide::{
    Decision, Doubt, Holds, InForce, Origin, Question, Who, belongs_to_every_sign_in, decide,
    in_force, longest, most,
};
pub use quota::{Quota, QuotaGuard, TooManyRequests};
pub use rate::{Rate, TooOften};

use crate::{
    account::IssuerProfile,
    config::{
        Config,
        policy::{ALL, Flow, Key, Value},
    },
};

/// Whether a login of this user through this service gets a session (requirements 58 and 59). While
/// the name service does not say who they are, it does if it may: who gets what in it is asked again
/// then.
pub fn serves(config: &Config, uid: u32, who: &Who, service: &str) -> bool {
    let decision = decide(config, who, &Question::Service(service));
    uid >= config.users.min_uid && (decision.allowed || !decision.doubt.is_empty())
}

/// The PAM services through which anybody has sessions.
pub fn services(config: &Config) -> Vec<String> {
    let mut services = config.users.services.clone();
    let of_rules = config.policy.clauses.iter().filter(|clause| clause.key == Key::Services);
    for clause in of_rules {
        if let Value::Names { items, .. } = &clause.value {
            services.extend(items.iter().filter(|item| *item != ALL).cloned());
        }
    }
    services.sort();
    services.dedup();
    services
}

/// The ways to sign in that `who` has.
pub fn flows(config: &Config, who: &Who) -> Vec<Flow> {
    let may = |flow: &Flow| decide(config, who, &Question::Flow(*flow)).allowed;
    Flow::ALL.into_iter().filter(may).collect()
}

/// The names of the issuers that have a file and that `who` may use.
pub fn issuers<'a>(config: &'a Config, who: &Who) -> Vec<&'a str> {
    let names = config.issuers.keys().map(String::as_str);
    names.filter(|name| decide(config, who, &Question::Issuer(name)).allowed).collect()
}

/// Why an issuer is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum IssuerRefusal {
    /// No such short name.
    #[error("this site knows no issuer \u{201c}{0}\u{201d}")]
    Unknown(String),
    /// A URL that is not listed, and custom issuers are off.
    #[error("this site does not allow the issuer {0}")]
    NotAllowed(String),
    /// Neither a short name nor a URL that could be an issuer.
    #[error("\u{201c}{0}\u{201d} is not an issuer: {1}")]
    Malformed(String, &'static str),
    /// None was named and the site has no default.
    #[error("this site has no default issuer; name one: --issuer NAME")]
    NoDefault,
}

/// The profile of the issuer that was named, by short name or URL, to be asked for `user`, if anybody
/// may use it. Whether this user may is asked by [`decide`].
///
/// # Errors
/// [`IssuerRefusal`].
pub fn issuer(
    config: &Config,
    named: Option<&str>,
    user: Option<u32>,
) -> Result<IssuerProfile, IssuerRefusal> {
    let asked = |profile: &IssuerProfile| IssuerProfile { user, ..profile.clone() };
    let Some(named) = named.filter(|text| !text.is_empty()) else {
        return config.default_profile().map(asked).ok_or(IssuerRefusal::NoDefault);
    };
    if let Some(profile) = config.issuer(named) {
        return Ok(asked(profile));
    }
    let shown: String = named.chars().filter(|c| !c.is_control()).take(200).collect();
    if !named.contains("://") {
        return Err(IssuerRefusal::Unknown(shown));
    }
    let malformed = |why| IssuerRefusal::Malformed(shown.clone(), why);
    let url: url::Url = named.parse().map_err(|_| malformed("not a URL"))?;
    if url.scheme() != "https" {
        return Err(malformed("must begin with https://"));
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err(malformed("must not carry a user name or password"));
    }
    if url.query().is_some() || url.fragment().is_some() || url.host_str().is_none() {
        return Err(malformed("must have a host and neither query nor fragment"));
    }
    if url.path().contains("//") || url.host_str().is_some_and(|host| host.ends_with('.')) {
        return Err(malformed("its path has an empty part, or its host ends in a dot"));
    }
    if url.port().is_some_and(|port| port < 1024) {
        return Err(malformed(
            "its port is one of the system's: issuers have 443, or 1024 and above",
        ));
    }
    let for_somebody = config
        .policy
        .clauses
        .iter()
        .any(|clause| clause.key == Key::CustomIssuers && clause.value == Value::Flag(true));
    if !config.custom_issuers && !for_somebody {
        return Err(IssuerRefusal::NotAllowed(shown));
    }
    Ok(IssuerProfile::unlisted(url, user))
}
