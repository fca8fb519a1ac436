//! `iamd.toml`: every key with its default and its bounds, and how they become a [`Config`].

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use super::{
    AgentSocket, Config, Limits, Login, Problem, SessionRules, Sources, TokenRules, Users, policy,
    reader::{self, Table},
    store,
};
use crate::account::IssuerProfile;

const SECOND: Duration = Duration::from_secs(1);
const ANSWER_MOST: Duration = Duration::from_millis(1900);

/// The configuration that `text` describes. An issuer without a profile has a file with mistakes.
pub(super) fn build(
    sources: &Sources,
    text: &str,
    issuers: BTreeMap<String, Option<IssuerProfile>>,
    problems: &mut Vec<Problem>,
) -> Config {
    let names: Vec<String> = issuers.keys().cloned().collect();
    let mut config = reader::read(&sources.file, text, problems, |file| {
        let (allowed, default_issuer, custom_issuers) =
            file.table("issuers", |table| pick_issuers(table, &names));
        let mut policy = file.table("policy", |table| policy::site_wide(table, &names));
        policy.issuers = allowed;
        let (site_name, site_contact) = file
            .table("site", |site| (site.checked("name", shown), site.checked("contact", shown)));
        Config {
            site_name,
            site_contact,
            users: file.table("users", users),
            policy,
            login: file.table("login", login),
            tokens: file.table("tokens", tokens),
            sessions: file.table("sessions", sessions),
            limits: file.table("limits", limits),
            agent_socket: file.table("agent_socket", agent_socket),
            store: file.table("store", store::kind),
            log_filter: file.table("log", log_filter),
            issuers: BTreeMap::new(),
            default_issuer,
            custom_issuers,
        }
    });
    config.policy.written = policy::places(&sources.file, text);
    config.policy.min_uid = policy::place_of(&sources.file, text, ("users", "min_uid"));
    config.policy.site_only = policy::site_only(&sources.file, text);
    policy::add_files(&mut config.policy, &sources.policy, &names, problems);
    let of_use = |(name, profile): (String, Option<IssuerProfile>)| {
        let profile = profile.filter(|_| config.policy.mentions_issuer(&name))?;
        Some((name, profile))
    };
    config.issuers = issuers.into_iter().filter_map(of_use).collect();
    config
}

fn shown(name: String) -> Result<String, &'static str> {
    let fits = |c: char| c.is_ascii_graphic() || c == ' ';
    match !name.is_empty() && name.chars().all(fits) {
        true => Ok(name),
        false => Err("must be printable ASCII, it is shown to users"),
    }
}

type Picked = (Option<BTreeSet<String>>, Option<String>, bool);

/// The issuers that are allowed where no rule says otherwise, the default one, and whether there
/// may be others.
fn pick_issuers(table: &mut Table<'_, '_>, known: &[String]) -> Picked {
    let allowed = table.each("allow", |name: String| match known.contains(&name) {
        true => Ok(name),
        false => {
            let (name, known) = (quoted(&name), known.join(", "));
            Err(format!("{name}: no issuer file of that name; there are: {known}"))
        }
    });
    let allowed: Option<BTreeSet<String>> = allowed.map(|names| names.into_iter().collect());
    let is_there = |name: &String| match &allowed {
        Some(allowed) => allowed.contains(name),
        None => known.contains(name),
    };
    let default = table.checked("default", |name: String| match is_there(&name) {
        true => Ok(name),
        false => {
            let all: Vec<&str> =
                known.iter().filter(|name| is_there(name)).map(String::as_str).collect();
            let name = quoted(&name);
            Err(format!("{name} is not among the issuers there are: {}", all.join(", ")))
        }
    });
    let custom = table.get("custom").unwrap_or(false);
    (allowed, default, custom)
}

fn users(table: &mut Table<'_, '_>) -> Users {
    let services =
        table.each("services", |name: String| match name.is_empty() || name.contains('/') {
            true => Err("a PAM service is named like its file in /etc/pam.d"),
            false => Ok(name),
        });
    Users {
        min_uid: table.number("min_uid", 1000, 0..=u32::MAX),
        services: services
            .unwrap_or_else(|| iamd_protocol::pam::DEFAULT_SERVICES.map(str::to_owned).to_vec()),
        own_clients: table.get("own_clients").unwrap_or(true),
    }
}

fn login(table: &mut Table<'_, '_>) -> Login {
    let answer_default = Duration::from_millis(iamd_protocol::pam::ANSWER_WITHIN_MS);
    Login {
        automatic: table.get("automatic").unwrap_or(true),
        unanswered_limit: table.number("unanswered_limit", 3, 0..=u32::MAX),
        answer_within: table.duration(
            "answer_within",
            answer_default,
            Duration::ZERO..=ANSWER_MOST,
        ),
    }
}

fn tokens(table: &mut Table<'_, '_>) -> TokenRules {
    let renew_at = table.checked("renew_at", |part: f64| match (0.1..=0.95).contains(&part) {
        true => Ok(part),
        false => Err("must be between 0.1 and 0.95"),
    });
    TokenRules {
        renew_at: renew_at.unwrap_or(2.0 / 3.0),
        min_valid: table.duration("min_valid", 60 * SECOND, SECOND..=3600 * SECOND),
        announce_ahead: table.duration(
            "announce_ahead",
            432_000 * SECOND,
            Duration::ZERO..=Duration::MAX,
        ),
    }
}

fn sessions(table: &mut Table<'_, '_>) -> SessionRules {
    SessionRules {
        grace: table.duration("grace", 900 * SECOND, Duration::ZERO..=Duration::MAX),
        keep_for_lingering: table.get("keep_for_lingering").unwrap_or(false),
    }
}

fn limits(table: &mut Table<'_, '_>) -> Limits {
    Limits {
        accounts: table.number("accounts", 16, 1..=1000),
        logins: table.number("logins", 2, 1..=100),
        login_starts: table.number("login_starts", 10, 1..=100_000),
        requests: table.number("requests", 64, 1..=100_000),
        registrations: table.number("registrations", 5, 1..=1000),
        tokens_per_minute: table.number("tokens_per_minute", 120, 1..=100_000),
        reply_bytes: table.number("reply_bytes", 1 << 20, 4096..=1 << 26) as usize,
        reply_time: table.duration("reply_time", 30 * SECOND, SECOND..=300 * SECOND),
        issuer_requests: table.number("issuer_requests", 8, 1..=1000) as usize,
        frame_bytes: table.number("frame_bytes", 65_536, 1024..=65_536) as usize,
    }
}

fn agent_socket(table: &mut Table<'_, '_>) -> AgentSocket {
    AgentSocket {
        enabled: table.get("enabled").unwrap_or(true),
        connections: table.number("connections", 256, 8..=4096) as usize,
    }
}

fn log_filter(table: &mut Table<'_, '_>) -> String {
    let filter = table.checked("filter", |filter: String| {
        filter.parse::<tracing_subscriber::EnvFilter>().map(|_| filter)
    });
    filter.unwrap_or_else(|| "info".to_owned())
}

/// A name as it stands in the file, in a line of text.
pub(super) fn quoted(name: &str) -> String {
    format!("\u{201c}{}\u{201d}", name.escape_default())
}
