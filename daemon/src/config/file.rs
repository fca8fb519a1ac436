//! `iamd.toml` as it is written, and how it becomes a [`Config`].

use std::{collections::BTreeMap, path::Path, time::Duration};

use serde::Deserialize;
use toml::Spanned;

use super::{
    Config, Limits, Login, PolicyRules, Problem, SessionRules, StoreKind, TokenRules, Users,
    values::{Span, shown},
};
use crate::account::IssuerProfile;

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields, default)]
struct File {
    site: Site,
    users: UsersTable,
    policy: PolicyTable,
    issuers: IssuersTable,
    login: LoginTable,
    tokens: TokensTable,
    sessions: SessionsTable,
    limits: LimitsTable,
    store: StoreTable,
    log: LogTable,
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields, default)]
struct Site {
    name: Option<Spanned<String>>,
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields, default)]
struct UsersTable {
    min_uid: Option<u32>,
    services: Option<Spanned<Vec<String>>>,
    own_clients: Option<bool>,
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields, default)]
struct PolicyTable {
    show_secrets: Vec<Spanned<String>>,
    public_password: bool,
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields, default)]
struct IssuersTable {
    default: Option<Spanned<String>>,
    allow: Option<Vec<Spanned<String>>>,
    custom: bool,
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields, default)]
struct LoginTable {
    automatic: Option<bool>,
    unanswered_limit: Option<u32>,
    answer_within: Option<Spanned<Span>>,
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields, default)]
struct TokensTable {
    renew_at: Option<Spanned<f64>>,
    min_valid: Option<Spanned<Span>>,
    announce_ahead: Option<Span>,
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields, default)]
struct SessionsTable {
    grace: Option<Span>,
    keep_for_lingering: bool,
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields, default)]
struct LimitsTable {
    accounts: Option<Spanned<u32>>,
    logins: Option<Spanned<u32>>,
    requests: Option<Spanned<u32>>,
    registrations: Option<Spanned<u32>>,
    reply_bytes: Option<Spanned<u32>>,
    reply_time: Option<Spanned<Span>>,
    issuer_requests: Option<Spanned<u32>>,
    frame_bytes: Option<Spanned<u32>>,
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields, default)]
struct StoreTable {
    kind: Option<Spanned<String>>,
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields, default)]
struct LogTable {
    filter: Option<Spanned<String>>,
}

/// Checks a number against its bounds and reports what is outside.
struct Checked<'a> {
    path: &'a Path,
    text: &'a str,
    problems: &'a mut Vec<Problem>,
}

impl Checked<'_> {
    fn number(&mut self, value: Option<Spanned<u32>>, default: u32, bounds: (u32, u32)) -> u32 {
        let Some(value) = value else { return default };
        let (least, most) = bounds;
        if !(least..=most).contains(value.get_ref()) {
            self.complain(value.span(), format!("must be between {least} and {most}"));
        }
        value.into_inner()
    }

    fn span(
        &mut self,
        value: Option<Spanned<Span>>,
        default: Duration,
        bounds: (Duration, Duration),
    ) -> Duration {
        let Some(value) = value else { return default };
        let (least, most) = bounds;
        if !(least..=most).contains(&value.get_ref().0) {
            self.complain(
                value.span(),
                format!("must be between {} and {}", shown(least), shown(most)),
            );
        }
        value.into_inner().0
    }

    fn complain(&mut self, span: std::ops::Range<usize>, text: impl Into<String>) {
        self.problems.push(Problem::at(self.path, self.text, Some(span), text));
    }
}

/// The configuration that `text` describes; `None` when it cannot even be read.
pub(super) fn build(
    path: &Path,
    text: &str,
    mut issuers: BTreeMap<String, IssuerProfile>,
    problems: &mut Vec<Problem>,
) -> Option<Config> {
    let file: File = match toml::from_str(text) {
        Ok(file) => file,
        Err(error) => {
            problems.push(Problem::from_toml(path, text, &error));
            return None;
        }
    };
    let mut check = Checked { path, text, problems };
    let site_name = file.site.name.map(|name| {
        let fits = |c: char| c.is_ascii_graphic() || c == ' ';
        if name.get_ref().is_empty() || !name.get_ref().chars().all(fits) {
            check.complain(name.span(), "must be printable ASCII, it is shown at every login");
        }
        name.into_inner()
    });
    let known = issuers.keys().cloned().collect::<Vec<_>>().join(", ");
    if let Some(allow) = file.issuers.allow {
        for name in &allow {
            if !issuers.contains_key(name.get_ref()) {
                let text =
                    format!("{}: no issuer file of that name; there are: {known}", quoted(name));
                check.complain(name.span(), text);
            }
        }
        issuers.retain(|name, _| allow.iter().any(|allowed| allowed.get_ref() == name));
    }
    let default_issuer = file.issuers.default.map(|name| {
        if !issuers.contains_key(name.get_ref()) {
            let allowed = issuers.keys().cloned().collect::<Vec<_>>().join(", ");
            let text = format!("{} is not among the issuers there are: {allowed}", quoted(&name));
            check.complain(name.span(), text);
        }
        name.into_inner()
    });
    let second = Duration::from_secs(1);
    let limits = Limits {
        accounts: check.number(file.limits.accounts, 16, (1, 1000)),
        logins: check.number(file.limits.logins, 2, (1, 100)),
        requests: check.number(file.limits.requests, 64, (1, 100_000)),
        registrations: check.number(file.limits.registrations, 5, (1, 1000)),
        reply_bytes: check.number(file.limits.reply_bytes, 1 << 20, (4096, 1 << 26)) as usize,
        reply_time: check.span(file.limits.reply_time, 30 * second, (second, 300 * second)),
        issuer_requests: check.number(file.limits.issuer_requests, 8, (1, 1000)) as usize,
        frame_bytes: check.number(file.limits.frame_bytes, 65_536, (1024, 65_536)) as usize,
    };
    let answer_most = Duration::from_millis(1900);
    let answer_default = Duration::from_millis(iamd_protocol::pam::ANSWER_WITHIN_MS);
    let login = Login {
        automatic: file.login.automatic.unwrap_or(true),
        unanswered_limit: file.login.unanswered_limit.unwrap_or(3),
        answer_within: check.span(
            file.login.answer_within,
            answer_default,
            (Duration::ZERO, answer_most),
        ),
    };
    let renew_at = file.tokens.renew_at.map_or(2.0 / 3.0, |part| {
        if !(0.1..=0.95).contains(part.get_ref()) {
            check.complain(part.span(), "must be between 0.1 and 0.95");
        }
        part.into_inner()
    });
    let tokens = TokenRules {
        renew_at,
        min_valid: check.span(file.tokens.min_valid, 60 * second, (second, 3600 * second)),
        announce_ahead: file.tokens.announce_ahead.map_or(432_000 * second, |span| span.0),
    };
    if let Some(kind) = &file.store.kind
        && kind.get_ref() != "sqlite"
    {
        check.complain(kind.span(), "the only store there is, is \"sqlite\"");
    }
    let services = file.users.services.map_or_else(
        || iamd_protocol::pam::DEFAULT_SERVICES.map(str::to_owned).to_vec(),
        |services| {
            if services.get_ref().iter().any(|name| name.is_empty() || name.contains('/')) {
                check.complain(
                    services.span(),
                    "a PAM service is named like its file in /etc/pam.d",
                );
            }
            services.into_inner()
        },
    );
    let mut show_secrets = Vec::new();
    for who in file.policy.show_secrets {
        let name = who.get_ref().trim_start_matches('@');
        if name.is_empty() || name.contains([' ', ':', '/', '@']) {
            check.complain(who.span(), "must be a user's name, or @ and a group's");
        }
        show_secrets.push(who.into_inner());
    }
    let log_filter = file.log.filter.map_or_else(
        || "info".to_owned(),
        |filter| {
            if let Err(error) = filter.get_ref().parse::<tracing_subscriber::EnvFilter>() {
                check.complain(filter.span(), format!("{error}"));
            }
            filter.into_inner()
        },
    );
    Some(Config {
        site_name,
        users: Users {
            min_uid: file.users.min_uid.unwrap_or(1000),
            services,
            own_clients: file.users.own_clients.unwrap_or(true),
        },
        policy: PolicyRules { show_secrets, public_password: file.policy.public_password },
        login,
        tokens,
        sessions: SessionRules {
            grace: file.sessions.grace.map_or(900 * second, |span| span.0),
            keep_for_lingering: file.sessions.keep_for_lingering,
        },
        limits,
        store: StoreKind::Sqlite,
        log_filter,
        issuers,
        default_issuer,
        custom_issuers: file.issuers.custom,
    })
}

/// A name as it stands in the file, in a line of text.
fn quoted(name: &Spanned<String>) -> String {
    format!("\u{201c}{}\u{201d}", name.get_ref().escape_default())
}
