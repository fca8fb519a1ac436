//! What is well and what is not, as far as the daemon can see it for the caller.

mod account;
mod advice;
mod issuer;

use std::{sync::Arc, time::Duration};

use futures_util::future::join_all;
use iamd_protocol::{bus::Finding, error::Kind};

use crate::account::{
    ClientOwner, ClientPolicy, ClientRecord, IssuerProfile, Record, State,
    ports::{Cause, Checkup, IssuerError, Stored},
};

use super::{Caller, Service, ServiceError, registration::Unread};

/// How long an issuer may take for an answer; it is asked twice at most.
const PATIENCE: Duration = Duration::from_secs(8);

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
        self.who(&caller.owner.user).await;
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
        for (issuer, count) in self.leftovers_of(caller.owner.uid).await? {
            let text = format!(
                "{count} of accounts that you removed still to be deleted at {issuer}; that is tried again"
            );
            findings.push(ok("clients", text));
        }
        let default = accounts.default_name(self.config().default_profile());
        let uid = caller.owner.uid;
        let issuers = match self.count_diagnosis(caller, accounts.open.len()) {
            Ok(()) => self.probe_all(uid, &accounts.open).await,
            Err(error) => {
                let text = format!("not asked now: {}", error.message);
                findings.push(warning("issuers", &text, "Try again in a minute:  iamctl doctor"));
                Vec::new()
            }
        };
        let answering = |url: &str| {
            issuers.iter().any(|(profile, found)| profile.url.as_str() == url && found.is_ok())
        };
        let is_anybodys = |profile: &IssuerProfile| {
            accounts.open.iter().any(|account| account.value.issuer == profile.url.as_str())
        };
        let site = self.config().default_profile().cloned().filter(|profile| {
            matches!(profile.client, ClientPolicy::Fixed(_))
                && answering(profile.url.as_str())
                && !is_anybodys(profile)
        });
        let of_site = async {
            let profile = site?.asked_by(uid);
            let (finding, failed) = self.ask_about_fixed(&profile).await;
            Some((profile.url.as_str().to_owned(), vec![finding], failed))
        };
        let looks = accounts.open.iter().map(|account| {
            let record = &account.value;
            let is_default = default.as_ref() == Some(&record.name);
            let answering = answering(&record.issuer);
            async move {
                let (found, failed) = self.look_at(record, is_default, answering).await;
                (record.issuer.clone(), found, failed)
            }
        });
        // All at once: whoever waits for this waits for the slowest, and not for one after the other.
        let (of_site, of_accounts) = tokio::join!(of_site, join_all(looks));
        let asked: Vec<_> = of_site.into_iter().chain(of_accounts).collect();
        for (profile, found) in &issuers {
            let of_it = asked.iter().filter(|(issuer, ..)| issuer == profile.url.as_str());
            let failed = of_it.filter_map(|(.., failed)| failed.as_ref()).next();
            findings.extend(issuer::judge(profile, found, failed, self.clock.wall()));
        }
        findings.extend(asked.into_iter().flat_map(|(_, found, _)| found));
        Ok(findings)
    }

    /// Counts what a diagnosis asks issuers as tokens are counted: nobody has an issuer refuse the whole
    /// node by diagnosing in a loop.
    fn count_diagnosis(&self, caller: &Caller, accounts: usize) -> Result<(), ServiceError> {
        // The default issuer, and each account's client and refresh token; where a site allows fewer,
        // as many as it allows.
        let most = self.config().limits.tokens_per_minute.max(1) as usize;
        for counted in 0..(1 + accounts).min(most) {
            if let Err(error) = self.count_request(caller) {
                // What was not asked costs the user no token.
                (0..counted).for_each(|_| self.tokens_asked.take_back(caller.owner.uid));
                return Err(error);
            }
        }
        Ok(())
    }

    /// Looks at the issuers of these accounts and at the site's default one, all at once.
    async fn probe_all(
        &self,
        uid: u32,
        accounts: &[Stored<Record>],
    ) -> Vec<(IssuerProfile, Result<Checkup, IssuerError>)> {
        let mut profiles: Vec<IssuerProfile> =
            accounts.iter().filter_map(|account| self.profile_of(&account.value).ok()).collect();
        profiles.extend(self.config().default_profile().cloned().map(|site| site.asked_by(uid)));
        profiles.sort_by(|a, b| a.url.cmp(&b.url));
        profiles.dedup_by(|a, b| a.url == b.url);
        let probes = profiles.into_iter().map(async |profile| {
            let found = self.in_time(self.issuers.probe(&profile)).await;
            (profile, found)
        });
        join_all(probes).await
    }

    /// An answer of an issuer, or why there was none in the time that a diagnosis may take.
    async fn in_time<T>(
        &self,
        answer: impl Future<Output = Result<T, IssuerError>>,
    ) -> Result<T, IssuerError> {
        tokio::select! {
            biased;
            answer = answer => answer,
            () = self.clock.sleep(PATIENCE) => Err(IssuerError::Unreachable {
                text: format!("no answer within {} s", PATIENCE.as_secs()),
                retry_after: None,
                maybe_processed: true,
                reply_lost: false,
                too_slow: true,
                cause: Cause::Slow,
            }),
        }
    }

    /// Whether the issuer knows a client. What the answer brings of new credentials is kept, also
    /// when it comes too late for the diagnosis.
    async fn knows(
        self: &Arc<Self>,
        profile: &IssuerProfile,
        client: &ClientRecord,
    ) -> Result<bool, Unread> {
        if !can_be_read(client) {
            return Ok(self.in_time(self.issuers.accepts(profile, client)).await?);
        }
        let (service, profile, owner) = (Arc::clone(self), profile.clone(), client.owner.clone());
        let read =
            tokio::spawn(async move { service.look_at_registration(&profile, &owner).await });
        let read = async {
            let lost =
                |error: tokio::task::JoinError| IssuerError::Local { text: error.to_string() };
            read.await.map_err(lost)
        };
        match self.in_time(read).await? {
            Ok(_) => Ok(true),
            Err(Unread::Issuer(IssuerError::ClientRejected { .. })) => Ok(false),
            Err(Unread::Here(error)) if error.kind == Kind::ClientBroken => Ok(false),
            Err(unread) => Err(unread),
        }
    }

    async fn look_at(
        self: &Arc<Self>,
        record: &Record,
        is_default: bool,
        answering: bool,
    ) -> (Vec<Finding>, Option<IssuerError>) {
        let (mut findings, mut failed) = (Vec::new(), None);
        let name = format!("account {}", record.name);
        let advice = |kind: Kind| about(kind, record, is_default);
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
                    State::ClientBroken { .. } => {
                        self.refusal_of(&record.client_owner, &record.owner.user, true)
                    }
                    State::ActionNeeded { .. } => Kind::ActionNeeded,
                    _ => Kind::LoginRequired,
                }),
            ),
        });
        match self.profile_of(record) {
            Ok(profile) if answering => {
                let found;
                (found, failed) = self.ask_about(record, &profile, is_default).await;
                findings.extend(found);
            }
            Ok(_) => {}
            Err(error) => findings.push(problem(&name, error.to_string(), error.kind.advice())),
        }
        let who = self.who_now(&record.owner.user);
        if record.state.may_refresh()
            && let Err(error) = self.permit_account(&who, record)
        {
            findings.push(problem(&name, error.message, &advice(error.kind)));
        }
        if let Some(left) = self.ends_soon(&who, record) {
            let when = match left.as_secs() / 3600 {
                0 => format!("{} min", (left.as_secs() / 60).max(1)),
                hours => format!("{hours} h"),
            };
            findings.push(warning(
                &name,
                &format!("the sign-in ends in {when}"),
                &advice(Kind::LoginRequired),
            ));
        }
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
        (findings, failed)
    }

    /// What the issuer says of the account's client and of its refresh token. Neither question
    /// changes or uses up anything; where they cannot be asked, the record's state has been told. With
    /// what the issuer failed with.
    async fn ask_about(
        self: &Arc<Self>,
        record: &Record,
        profile: &IssuerProfile,
        is_default: bool,
    ) -> (Vec<Finding>, Option<IssuerError>) {
        let client = match &record.client_owner {
            ClientOwner::Fixed => self.issuers.fixed_client(profile).await.ok(),
            ClientOwner::Public => self.issuers.public_client(profile).ok(),
            owner => {
                let found = self.vault.client(owner, &record.issuer).await.ok().flatten();
                found.map(|found| found.value)
            }
        };
        let Some(client) = client else { return (Vec::new(), None) };
        let is_its_own = record.client_id.as_ref() == Some(&client.client_id);
        // Of the site's and of the given client, the one that the next sign-in takes matters.
        if !is_its_own && record.state.may_refresh() {
            return (Vec::new(), None);
        }
        let (knows, alive) = self.inspect(record, profile, &client, is_its_own).await;
        let name = record.name.as_str();
        let advice = |kind| about(kind, record, is_default);
        let (owner, user) = (&client.owner, &record.owner.user);
        let broken = matches!(record.state, State::ClientBroken { .. });
        let refusal = match self.refusal_of(owner, user, broken) {
            // The next sign-in registers another by itself.
            Kind::ClientRefused if *owner == ClientOwner::Site => Kind::LoginRequired,
            kind => kind,
        };
        let failed = [knows.as_ref().err(), alive.as_ref().err()];
        let failed = failed.into_iter().flatten().find_map(issuers_failure);
        let of = format!("client of account {name}");
        let (knows, alive) = (knows.map_err(in_words), alive.map_err(in_words));
        let client = account::client(&of, &profile.title, knows, &advice(refusal));
        let token = account::refresh_token(name, alive, &advice(Kind::LoginRequired));
        ([client].into_iter().chain(token).collect(), failed)
    }

    /// Whether the issuer knows the client, and whether the refresh token lives.
    async fn inspect(
        self: &Arc<Self>,
        record: &Record,
        profile: &IssuerProfile,
        client: &ClientRecord,
        is_its_own: bool,
    ) -> (Result<bool, Unread>, Result<Option<bool>, Unread>) {
        let token = record.refresh_token.as_ref().filter(|_| is_its_own);
        let both = async {
            let alive = match token {
                Some(token) => self.issuers.is_alive(profile, client, token).await,
                None => Ok(None),
            };
            let rejected = matches!(alive, Err(IssuerError::ClientRejected { .. }));
            let alive = if rejected { Ok(None) } else { alive.map_err(Unread::Issuer) };
            let knows = match alive {
                // It told this client of its token.
                Ok(Some(_)) if !can_be_read(client) => Ok(true),
                _ => self.knows(profile, client).await,
            };
            let knows = match knows {
                // Its registration is there, and its credentials are refused, or only introspection.
                Ok(true) if rejected => {
                    self.issuers.accepts(profile, client).await.map_err(Unread::Issuer)
                }
                knows => knows,
            };
            Ok((knows, alive))
        };
        let late = |why: IssuerError| {
            let alive = if token.is_some() { Err(Unread::Issuer(why.clone())) } else { Ok(None) };
            (Err(Unread::Issuer(why)), alive)
        };
        self.in_time(both).await.unwrap_or_else(late)
    }

    /// The site's fixed client of the default issuer, for somebody who has no account there yet.
    async fn ask_about_fixed(&self, profile: &IssuerProfile) -> (Finding, Option<IssuerError>) {
        let of = format!("client of issuer {}", profile.name);
        let knows = async {
            let client = self.issuers.fixed_client(profile).await?;
            self.issuers.accepts(profile, &client).await
        };
        let knows = self.in_time(knows).await.map_err(Unread::Issuer);
        let failed = knows.as_ref().err().and_then(issuers_failure);
        let (knows, way) = (knows.map_err(in_words), Kind::ClientRefused.advice());
        (account::client(&of, &profile.title, knows, way), failed)
    }
}

/// What an endpoint of the issuer failed with, if that is not the client's or the token's matter.
fn issuers_failure(unread: &Unread) -> Option<IssuerError> {
    match unread {
        Unread::Issuer(error)
            if error.why().is_some()
                || matches!(
                    error,
                    IssuerError::CircuitOpen { .. }
                        | IssuerError::Malformed { .. }
                        | IssuerError::TooLong { .. }
                ) =>
        {
            Some(error.clone())
        }
        _ => None,
    }
}

fn in_words(unread: Unread) -> String {
    match unread {
        Unread::Issuer(error) => error.to_string(),
        Unread::Here(error) => error.message,
    }
}

/// Whether this user's diagnosis may read the registration: that of the site's client is the site's,
/// and a reading may bring it new credentials.
fn can_be_read(client: &ClientRecord) -> bool {
    client.owner != ClientOwner::Site
        && client.registration_access_token.is_some()
        && client.registration_client_uri.is_some()
}

/// The advice of a kind, which means this account also when it is not the default one.
fn about(kind: Kind, record: &Record, is_default: bool) -> String {
    match kind.advice() {
        advice if kind == Kind::GivenClientRefused => {
            advice.replace(" NAME ", &format!(" {} ", record.name))
        }
        advice
            if is_default
                || !["iamctl login", "account unlock"]
                    .iter()
                    .any(|command| advice.contains(command)) =>
        {
            advice.to_owned()
        }
        advice => format!("{advice} {}", record.name),
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
