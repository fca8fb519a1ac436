//! What the daemon typically says. Instants are given from a base.

use std::time::{SystemTime, UNIX_EPOCH};

use iamd_protocol::bus::{
    AccountInfo, AccountSecrets, ChangeReply, Finding, IssuerInfo, IssuerStats, LoginInfo,
    PolicyCheck, PolicyLine, PolicyProblem, RemoveReply, RevokeReply, RevokedInfo, SessionInfo,
    StatsReply, StatusReply, TokenReply, UserInfo, client, login_state, state,
};

use super::Script;

/// Half a minute after now, so that spans of minutes read the same for the length of a test.
pub(crate) fn base() -> u64 {
    #[allow(clippy::disallowed_methods, reason = "a test may ask what time it is")]
    let now = SystemTime::now();
    now.duration_since(UNIX_EPOCH).unwrap().as_secs() + 30
}

/// A token for the account `wlcg`.
pub(crate) fn token(base: u64) -> TokenReply {
    TokenReply {
        token: "eyJhbGciOiJub25lIn0.eyJzdWIiOiJhbGljZSJ9.c2ln".into(),
        expires_at: base + 3000,
        scopes: vec!["openid".into(), "storage.read:/".into()],
        audiences: vec!["https://wlcg.cern.ch/jwt/v1/any".into()],
        account: "wlcg".into(),
        issuer: "https://wlcg.example.org/".into(),
        remarks: vec![],
    }
}

/// A token that says when it expires, and something unfit for a terminal.
pub(crate) fn signed(base: u64) -> String {
    use base64::Engine;
    let part = |text: &str| base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(text);
    let claims = format!(
        r#"{{"sub":"alice","scope":"storage.read:/","exp":{},"evil":"\u001b[2J\u009b1m\u202e"}}"#,
        base + 600
    );
    format!("{}.{}.c2ln", part(r#"{"alg":"RS256","kid":"rsa1"}"#), part(&claims))
}

/// A default account that is signed in, and another that has to be.
pub(crate) fn accounts(base: u64) -> Vec<AccountInfo> {
    let wlcg = AccountInfo {
        name: "wlcg".into(),
        is_default: true,
        issuer: "https://wlcg.example.org/".into(),
        issuer_name: Some("wlcg".into()),
        state: state::SIGNED_IN.into(),
        client_id: Some("7f1c2d3e".into()),
        client: Some(client::USER.into()),
        client_name: Some("iamd login1 alice".into()),
        grant_types: Some(vec![
            "urn:ietf:params:oauth:grant-type:device_code".into(),
            "refresh_token".into(),
        ]),
        client_auth: Some("client_secret_basic".into()),
        registration_client_uri: Some("https://wlcg.example.org/register/7f1c2d3e".into()),
        configuration_endpoint: Some(
            "https://wlcg.example.org/.well-known/openid-configuration".into(),
        ),
        device_authorization_endpoint: Some("https://wlcg.example.org/devicecode".into()),
        ca_file: Some("/etc/iamd/wlcg-ca.pem".into()),
        scopes_asked: vec!["openid".into(), "offline_access".into(), "storage.read:/".into()],
        scopes: vec!["openid".into(), "storage.read:/".into()],
        subject: Some("73f16d93-2441".into()),
        subject_name: Some("alice".into()),
        signed_in_at: Some(base - 86_400),
        refreshed_at: Some(base - 600),
        access_expires_at: Some(base + 3000),
        refresh_expires_at: Some(base + 29 * 86_400),
        token_file: Some("/run/iamd/users/1001/bt_u1001".into()),
        ..Default::default()
    };
    let cms = AccountInfo {
        name: "cms".into(),
        issuer: "https://cms-auth.example.org/".into(),
        state: state::LOGIN_REQUIRED.into(),
        reason: Some("the refresh token has expired".into()),
        ..Default::default()
    };
    vec![wlcg, cms]
}

/// A login that waits for the user.
pub(crate) fn pending(base: u64) -> LoginInfo {
    LoginInfo {
        account: "wlcg".into(),
        issuer: "https://wlcg.example.org/".into(),
        issuer_title: "WLCG".into(),
        state: login_state::PENDING.into(),
        user_code: Some("AB12CD".into()),
        verification_uri: Some("https://wlcg.example.org/device".into()),
        verification_uri_complete: Some("https://wlcg.example.org/device?user_code=AB12CD".into()),
        expires_at: Some(base + 600),
        ..Default::default()
    }
}

/// The same before the issuer has answered.
pub(crate) fn starting(base: u64) -> LoginInfo {
    LoginInfo {
        state: login_state::STARTING.into(),
        user_code: None,
        verification_uri: None,
        verification_uri_complete: None,
        expires_at: None,
        ..pending(base)
    }
}

/// The same when the user has approved.
pub(crate) fn done(base: u64) -> LoginInfo {
    LoginInfo {
        state: login_state::DONE.into(),
        user_code: None,
        verification_uri: None,
        verification_uri_complete: None,
        expires_at: None,
        subject: Some("73f16d93-2441".into()),
        ..pending(base)
    }
}

/// The same when it has failed.
pub(crate) fn failed(base: u64, error: &str, message: &str) -> LoginInfo {
    LoginInfo {
        state: login_state::FAILED.into(),
        error: Some(error.into()),
        message: Some(message.into()),
        subject: None,
        ..done(base)
    }
}

/// A daemon where all is well.
pub(crate) fn script(base: u64) -> Script {
    Script {
        token: token(base),
        policy: policy(),
        accounts: accounts(base),
        issuers: vec![
            IssuerInfo {
                name: "wlcg".into(),
                title: "WLCG".into(),
                url: "https://wlcg.example.org/".into(),
                is_default: true,
                dialect: "indigo-iam".into(),
                scopes: vec!["openid".into(), "storage.read:/".into()],
                client: "per-user".into(),
                public_client: Some(true),
                identity: Some("preferred_username is {user}".to_owned()),
                health: "ok".into(),
                ..Default::default()
            },
            IssuerInfo {
                name: "cms".into(),
                title: "CMS".into(),
                url: "https://cms-auth.example.org/".into(),
                dialect: "indigo-iam".into(),
                client: "per-site".into(),
                public_client: Some(false),
                health: "unknown".into(),
                ..Default::default()
            },
        ],
        findings: vec![Finding {
            name: "store".into(),
            level: "ok".into(),
            text: "the store is readable and writable".into(),
            advice: String::new(),
        }],
        stats: StatsReply {
            since: base - 7200,
            users: 2,
            accounts: [(state::SIGNED_IN.to_owned(), 3), (state::LOGIN_REQUIRED.to_owned(), 1)]
                .into(),
            sessions: 2,
            logins: 1,
            logins_started: 5,
            logins_failed: 1,
            sign_ins: 3,
            sign_outs: 1,
            refreshes: 40,
            refreshes_failed: 2,
            tokens: 120,
            denials: 4,
            issuers: vec![
                IssuerStats {
                    name: "cms".into(),
                    circuit: "open".into(),
                    retry_in_seconds: Some(90),
                },
                IssuerStats {
                    name: "wlcg".into(),
                    circuit: "closed".into(),
                    retry_in_seconds: None,
                },
            ],
            store_bytes: 65_536,
            journal_bytes: 4096,
            journal: 1,
            keys: vec!["key-01234567".into()],
        },
        users: vec![UserInfo {
            uid: 1001,
            user: "alice".into(),
            accounts: 2,
            signed_in: 1,
            sessions: 3,
            states: [("signed-in".to_owned(), 1), ("locked".to_owned(), 1)].into(),
            logins: 1,
            last_token_at: Some(base - 30 - 900),
        }],
        revocation: RevokeReply {
            sign_ins: vec![
                revoked(1001, "alice", "wlcg", "revoked", None),
                revoked(1001, "alice", "cms", "unconfirmed", Some("the issuer does not answer")),
                revoked(1002, "bob", "wlcg", "pending", None),
            ],
            ended: 3,
            failed: 0,
            logins: 1,
            pending: 1,
        },
        sessions: vec![SessionInfo {
            session: "c4".into(),
            uid: 1001,
            user: "alice".into(),
            service: "sshd".into(),
            rhost: Some("laptop.example.org".into()),
            pid: 4242,
            since: base - 30 - 7200,
        }],
        status: StatusReply {
            version: env!("CARGO_PKG_VERSION").into(),
            node: "login1".into(),
            sessions: 2,
            files_until: None,
            notice: true,
            default_issuer: Some("wlcg".into()),
            announce_ahead_seconds: 5 * 86_400,
            draining: None,
            logins: Some(Vec::new()),
            agent_socket: Some("/run/iamd/oidc-agent.sock".into()),
        },
        login: pending(base),
        change: ChangeReply { account: "cms".into(), login_needed: true, remarks: vec![] },
        removal: RemoveReply {
            account: "cms".into(),
            revoked: true,
            client_deleted: true,
            remarks: vec![],
        },
        secrets: AccountSecrets {
            refresh_token: Some("eyJ.refresh.token".into()),
            client_id: Some("7f1c2d3e".into()),
            client_secret: Some("s3cr3t-of-the-client".into()),
            registration_access_token: Some("eyJ.registration.token".into()),
            registration_client_uri: Some("https://wlcg.example.org/register/7f1c2d3e".into()),
        },
        offered: Some(
            ["openid", "offline_access", "storage.read:/", "storage.modify:/", "compute.read"]
                .map(str::to_owned)
                .into(),
        ),
        ..Default::default()
    }
}

fn revoked(uid: u32, user: &str, account: &str, result: &str, remark: Option<&str>) -> RevokedInfo {
    RevokedInfo {
        uid,
        user: user.into(),
        account: account.into(),
        issuer: format!("https://{account}.example.org/"),
        result: result.into(),
        remark: remark.map(str::to_owned),
    }
}

/// What the rules of a site come to, one of them for a group that nobody knows.
pub(crate) fn policy() -> PolicyCheck {
    let line = |whom: &str, key: &str, values: &[&str], text: &str, by: &str| PolicyLine {
        whom: whom.into(),
        key: key.into(),
        values: values.iter().map(|value| (*value).to_owned()).collect(),
        text: text.into(),
        decided_by: vec![by.into()],
        in_doubt: Vec::new(),
    };
    let rules = "/etc/iamd/policy.d/10-groups.toml";
    let mut lines = vec![
        line(
            "everybody whom no rule is for",
            "accounts",
            &["16"],
            "may have 16 accounts",
            "default of limits.accounts",
        ),
        line("@cms", "issuers", &["+cms"], "may also use the issuers cms", &format!("{rules}:3")),
        line("alice", "accounts", &["2"], "may have 2 accounts", &format!("{rules}:7")),
    ];
    lines[1].in_doubt = vec![format!("{rules}:3 (@cms)")];
    PolicyCheck {
        good: true,
        in_force: Some(false),
        warnings: vec![format!("{rules}:3: the name service knows no group cms now")],
        files: vec![rules.into()],
        lines,
        problems: Vec::new(),
    }
}

/// Two mistakes.
pub(crate) fn bad_policy() -> PolicyCheck {
    let problem = |file: &str, line: Option<u32>, key: Option<&str>, text: &str| PolicyProblem {
        message: match (line, key) {
            (Some(line), Some(key)) => format!("{file}:{line}: {key}: {text}"),
            _ => format!("{file}: {text}"),
        },
        file: file.into(),
        line,
        key: key.map(str::to_owned),
        text: text.into(),
    };
    let contradicts = "contradicts /etc/iamd/policy.d/10.toml:3 for @cms; give one of the two rules \
                       a higher priority, or both the same answer";
    PolicyCheck {
        problems: vec![
            problem("/etc/iamd/policy.d/20.toml", Some(3), Some("rule.logins"), contradicts),
            problem("/etc/iamd/policy.d/30.toml", None, None, "cannot be read: Permission denied"),
        ],
        ..PolicyCheck::default()
    }
}
