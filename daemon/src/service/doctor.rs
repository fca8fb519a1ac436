//! What is well and what is not, as far as the daemon can see it for the caller.

use std::sync::Arc;

use iamd_protocol::{bus::Finding, error::Kind};

use crate::account::{Record, State, ports::Health};

use super::{Caller, Service, ServiceError};

/// A file of this size or more is refused by XRootD servers in their usual setting.
const XROOTD_LIMIT: usize = 4096;

impl Service {
    /// Looks at the caller's accounts, their issuers and their files.
    ///
    /// # Errors
    /// Too many requests, or the store.
    pub async fn diagnose(self: &Arc<Self>, caller: &Caller) -> Result<Vec<Finding>, ServiceError> {
        let _guard = self.enter(caller)?;
        let mut findings = Vec::new();
        let accounts = self.accounts(&caller.owner).await?;
        let sessions = self.presence.sessions_of(caller.owner.uid);
        findings.push(match sessions {
            0 => warning(
                "sessions",
                "no session of yours is known here, so no token file is kept",
                "Log in by SSH; if you did: administrators, is pam_iam.so in /etc/pam.d/sshd?",
            ),
            count => ok("sessions", format!("{count} open on {}", self.node)),
        });
        for (name, why) in &accounts.unreadable {
            findings.push(problem(
                &format!("account {name}"),
                why.clone(),
                "Administrators: restore the key; see journalctl -u iamd",
            ));
        }
        if accounts.open.is_empty() && accounts.unreadable.is_empty() {
            findings.push(warning("accounts", "you have none yet", "Sign in with:  iamctl login"));
        }
        if self.config().default_issuer.is_none() {
            findings.push(warning(
                "issuers",
                "this site has no default issuer, so no login offers a sign-in",
                "iamctl login --issuer NAME; administrators: issuers.default in iamd.toml",
            ));
        }
        let default = accounts.default_name(self.config().default_profile());
        for account in &accounts.open {
            let is_default = default.as_ref() == Some(&account.value.name);
            self.look_at(&account.value, is_default, &mut findings).await;
        }
        Ok(findings)
    }

    async fn look_at(&self, record: &Record, is_default: bool, findings: &mut Vec<Finding>) {
        let name = format!("account {}", record.name);
        // The advice means this account, also when it is not the default one.
        let advice = |kind: Kind| match kind.advice() {
            advice
                if is_default
                    || !["iamctl login", "account unlock"].iter().any(|c| advice.contains(c)) =>
            {
                advice.to_owned()
            }
            advice => format!("{advice} {}", record.name),
        };
        findings.push(match &record.state {
            _ if record.is_locked() => {
                warning(&name, "locked with your passphrase", &advice(Kind::AccountLocked))
            }
            State::SignedIn => ok(&name, format!("signed in at {}", record.issuer)),
            State::New => warning(&name, "never signed in", &advice(Kind::LoginRequired)),
            state => problem(
                &name,
                format!("{}: {}", state.word(), state.reason().unwrap_or_default()),
                &advice(match state {
                    State::ClientBroken { .. } => Kind::ClientBroken,
                    State::ActionNeeded { .. } => Kind::ActionNeeded,
                    _ => Kind::LoginRequired,
                }),
            ),
        });
        let profile = match self.profile_of(record) {
            Ok(profile) => profile,
            Err(error) => {
                findings.push(problem(&name, error.to_string(), error.kind.advice()));
                return;
            }
        };
        let issuer = format!("issuer {}", profile.name);
        findings.push(match (self.issuers.health(&profile), self.issuers.probe(&profile).await) {
            (Health::Open(wait), _) => problem(
                &issuer,
                format!("failed too often; asked again in {} s", wait.as_secs()),
                "Wait; tokens that are valid keep working",
            ),
            (_, Ok(text)) => ok(&issuer, text),
            (_, Err(error)) => problem(
                &issuer,
                error.to_string(),
                "Check the network from this node, and the issuer's status page",
            ),
        });
        let file = self.presence.file_state(&record.key());
        if let Some(text) = file.problem {
            findings.push(problem(
                "token file",
                text,
                "Move what stands there away, then:  iamctl token --force-new",
            ));
        } else if let Some(path) = file.path {
            findings.push(ok("token file", path.display().to_string()));
        }
        use secrecy::ExposeSecret as _;
        let size = record.access_token.as_ref().map_or(0, |t| t.token.expose_secret().len());
        if size >= XROOTD_LIMIT {
            findings.push(warning(
                "token size",
                &format!("{size} bytes; XRootD servers refuse {XROOTD_LIMIT} and more"),
                "Ask for fewer scopes:  iamctl token -s SCOPE",
            ));
        }
    }
}

fn finding(level: &str, name: &str, text: impl Into<String>, advice: &str) -> Finding {
    Finding { name: name.into(), level: level.into(), text: text.into(), advice: advice.into() }
}

fn ok(name: &str, text: impl Into<String>) -> Finding {
    finding("ok", name, text, "")
}

fn warning(name: &str, text: &str, advice: &str) -> Finding {
    finding("warning", name, text, advice)
}

fn problem(name: &str, text: impl Into<String>, advice: &str) -> Finding {
    finding("problem", name, text, advice)
}
