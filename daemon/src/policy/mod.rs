//! Who may do what: pure decisions on uid, service and configuration, and the quotas.

mod attempts;
mod quota;
mod registrations;

pub use attempts::{Attempt, Attempts, NotNow};
pub use quota::{Quota, QuotaGuard, TooManyRequests};
pub use registrations::{Registrations, TooManyRegistrations};

use crate::{
    account::IssuerProfile,
    config::{Config, Users},
};

/// Whether a login of this user through this service gets a session (requirements 58 and 59).
pub fn serves(users: &Users, uid: u32, service: &str) -> bool {
    uid >= users.min_uid && users.services.iter().any(|allowed| allowed == service)
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

/// The profile of the issuer that a user named, by short name or URL.
///
/// # Errors
/// [`IssuerRefusal`].
pub fn issuer(config: &Config, named: Option<&str>) -> Result<IssuerProfile, IssuerRefusal> {
    let Some(named) = named.filter(|text| !text.is_empty()) else {
        return config.default_profile().cloned().ok_or(IssuerRefusal::NoDefault);
    };
    if let Some(profile) = config.issuer(named) {
        return Ok(profile.clone());
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
    if !config.custom_issuers {
        return Err(IssuerRefusal::NotAllowed(shown));
    }
    Ok(IssuerProfile::unlisted(url))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn r58_r59_only_listed_services_and_ordinary_users_get_a_session() {
        let users = Users {
            min_uid: 1000,
            services: vec!["sshd".into(), "login".into()],
            own_clients: true,
        };
        assert!(serves(&users, 1000, "sshd"));
        assert!(!serves(&users, 0, "sshd"));
        assert!(!serves(&users, 999, "login"));
        for service in ["sudo", "su", "cron", "systemd-user", "polkit-1", ""] {
            assert!(!serves(&users, 1000, service), "{service}");
        }
    }

    fn config(custom_issuers: bool) -> Config {
        let empty = std::path::PathBuf::from("/nonexistent");
        let sources = crate::config::Sources {
            file: empty.clone(),
            issuers: empty.clone(),
            shipped_issuers: empty,
        };
        let mut config = Config::load(&sources).unwrap();
        config.issuers.insert("wlcg".into(), crate::testing::profile());
        config.custom_issuers = custom_issuers;
        config
    }

    #[test]
    fn an_issuer_that_is_not_listed_needs_https_and_the_sites_leave() {
        let named = |custom, text| issuer(&config(custom), Some(text));
        assert!(named(false, "wlcg").unwrap().listed);
        assert!(named(false, "https://issuer.test").unwrap().listed);
        assert_eq!(
            named(false, "https://other.example/"),
            Err(IssuerRefusal::NotAllowed("https://other.example/".into()))
        );
        assert!(!named(true, "https://other.example/").unwrap().listed);
        assert_eq!(named(true, "cms"), Err(IssuerRefusal::Unknown("cms".into())));
        for bad in
            ["http://other.example/", "https://u:p@x/", "https://x/?q", "https://x/#f", "://"]
        {
            assert!(matches!(named(true, bad), Err(IssuerRefusal::Malformed(..))), "{bad}");
        }
        assert_eq!(issuer(&config(true), None), Err(IssuerRefusal::NoDefault));
    }
}
