//! An administrator ends sign-ins: of a user, at an issuer, of a client. Each is ended here first,
//! all of them, and then at its issuer, which may take its time.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use futures_util::{StreamExt as _, stream};
use iamd_protocol::{
    bus::{RevokeOptions, RevokeReply, RevokedInfo, revoked},
    error::Kind,
};
use tokio::sync::mpsc;

use super::{About, By, Service, ServiceError};
use crate::{
    account::{
        AccountKey, ClientOwner, ClientPolicy, Record,
        ports::{LockOn, VaultError},
    },
    audit,
    login::Request,
    policy,
};

/// How many are ended here at once.
const AT_ONCE_HERE: usize = 32;
/// How many revocations are asked for at once.
const AT_ONCE_THERE: usize = 8;
/// How long the caller waits for issuers, in seconds: below what a D-Bus client gives a call.
const PATIENCE: u64 = 15;

/// What an administrator named.
struct Sought {
    user: Option<User>,
    /// Without a slash at the end.
    issuer: Option<String>,
    client: Option<String>,
}

enum User {
    Uid(u32),
    Name(String),
}

/// Where each one stands.
type Progress = Arc<Mutex<Standing>>;

/// Where they stand.
#[derive(Default)]
struct Standing {
    infos: Vec<RevokedInfo>,
    /// Ended here.
    ended: u32,
    /// Could not be.
    failed: u32,
}

impl Service {
    /// Ends the sign-ins that fit, here and at their issuers, and cancels the logins that do.
    ///
    /// # Errors
    /// Nothing was named, or a user whom nobody knows, or the store. What happens to a single one is in the reply.
    pub async fn revoke_sign_ins(
        self: &Arc<Self>,
        by: By,
        options: RevokeOptions,
    ) -> Result<RevokeReply, ServiceError> {
        let result = self.end_sign_ins(by, &options).await;
        let named =
            [("user", &options.user), ("issuer", &options.issuer), ("client", &options.client)];
        let mut what = String::from("revoke");
        for (name, value) in named {
            if let Some(value) = value {
                what.push_str(&format!(" {name}={}", value.escape_debug()));
            }
        }
        match &result {
            Ok(reply) if options.dry_run == Some(true) => {
                what.push_str(&format!(": would end {}", reply.sign_ins.len()));
            }
            Ok(reply) => what.push_str(&counted(reply)),
            Err(_) => {}
        }
        let word = match &result {
            Ok(reply) if reply.failed > 0 => "incomplete",
            Ok(_) => "ok",
            Err(error) => error.kind.short_name(),
        };
        let about = About::of_administration(
            &self.config(),
            options.issuer.as_deref(),
            options.client.as_deref(),
        );
        self.audit.record(
            audit::Kind::Administration,
            &audit::Event { result: word, detail: what, ..about.event(by.uid, by.pid) },
        );
        result
    }

    async fn end_sign_ins(
        self: &Arc<Self>,
        by: By,
        options: &RevokeOptions,
    ) -> Result<RevokeReply, ServiceError> {
        let sought = self.sought(options)?;
        let dry = options.dry_run == Some(true);
        let mut reply = RevokeReply::default();
        for (key, request) in self.logins.running() {
            let owner = self.users.name_of(key.uid).await;
            let client = match sought.client {
                Some(_) => self.client_of_login(&request).await,
                None => None,
            };
            let issuer = request.profile.url.as_str();
            if sought.is_login(&key, owner.as_deref(), issuer, client.as_deref()) {
                reply.logins += 1;
                if !dry && !self.logins.cancel(&key) {
                    // What it brought is being kept: once that is done it is among the sign-ins.
                    drop(self.vault.lock(LockOn::Account(key)).await?);
                }
            }
        }
        let found = self.find_sign_ins(&sought).await?;
        if let Some(User::Name(name)) = &sought.user
            && found.is_empty()
            && reply.logins == 0
            && matches!(self.users.uid_of(name).await, Ok(None))
        {
            // A name that was mistyped would leave the one signed in who was meant.
            let shown: String = name.chars().filter(|c| !c.is_control()).take(80).collect();
            let text = format!(
                "the name service knows no user \u{201c}{shown}\u{201d}, and no sign-in is of one"
            );
            return Err(ServiceError::new(Kind::NoSuchUser, text));
        }
        let result = if dry { revoked::WOULD } else { revoked::PENDING };
        let infos: Vec<_> =
            found.iter().map(|(key, record)| info(key, record.as_ref(), result)).collect();
        if dry {
            return Ok(RevokeReply { sign_ins: infos, ..reply });
        }
        let progress = Arc::new(Mutex::new(Standing { infos, ..Standing::default() }));
        let keys = found.into_iter().map(|(key, _)| key).collect();
        let ended = tokio::spawn(Arc::clone(self).end_all(by, keys, Arc::clone(&progress)));
        tokio::select! {
            () = self.clock.sleep(std::time::Duration::from_secs(PATIENCE)) => {}
            _ = ended => {}
        }
        {
            let standing = standing(&progress);
            reply.sign_ins.clone_from(&standing.infos);
            (reply.ended, reply.failed) = (standing.ended, standing.failed);
        }
        let pending = reply.sign_ins.iter().filter(|info| info.result == revoked::PENDING);
        reply.pending = u32::try_from(pending.count()).unwrap_or(u32::MAX);
        Ok(reply)
    }

    /// The client that a running login would sign its account in with.
    async fn client_of_login(&self, request: &Request) -> Option<String> {
        match (&request.client_owner, &request.profile.client) {
            (ClientOwner::Fixed, ClientPolicy::Fixed(fixed)) => Some(fixed.id.clone()),
            (ClientOwner::Fixed, _) => None,
            (ClientOwner::Public, _) => request.profile.public_client.clone(),
            (owner, _) => {
                let found = self.vault.client(owner, request.profile.url.as_str()).await;
                // One that does not open signs nobody in.
                found.ok().flatten().map(|client| client.value.client_id)
            }
        }
    }

    fn sought(&self, options: &RevokeOptions) -> Result<Sought, ServiceError> {
        let named = |text: &Option<String>| text.clone().filter(|text| !text.is_empty());
        let (user, client) = (named(&options.user), named(&options.client));
        let issuer = named(&options.issuer);
        if user.is_none() && client.is_none() && issuer.is_none() {
            let text = "name a user, an issuer or a client: all sign-ins at once are not ended";
            return Err(ServiceError::new(Kind::InvalidArgument, text));
        }
        let config = self.config();
        let issuer = match issuer {
            // Also one that the site does not list any more.
            Some(url) if url.contains("://") => Some(slashless(&url).to_owned()),
            Some(name) => {
                let profile = policy::issuer(&config, Some(&name), None)?;
                Some(slashless(profile.url.as_str()).to_owned())
            }
            None => None,
        };
        let user = user.map(|user| match user.parse() {
            Ok(uid) => User::Uid(uid),
            Err(_) => User::Name(user),
        });
        Ok(Sought { user, issuer, client })
    }

    /// The accounts that are signed in and fit; of those that do not open only a user's.
    async fn find_sign_ins(
        &self,
        sought: &Sought,
    ) -> Result<Vec<(AccountKey, Option<Record>)>, ServiceError> {
        let mut uids: Vec<u32> = match &sought.user {
            Some(User::Uid(uid)) => vec![*uid],
            _ => self.vault.account_keys().await?.iter().map(|key| key.uid).collect(),
        };
        uids.dedup();
        let mut found = Vec::new();
        for uid in uids {
            for (key, account) in self.vault.accounts_of(uid).await? {
                match account {
                    Ok(account) if sought.is_record(&account.value) => {
                        if self.is_signed_in(&key, &account.value).await? {
                            found.push((key, Some(account.value)));
                        }
                    }
                    Ok(_) => {}
                    Err(VaultError::Unreadable { .. })
                        if self.is_all_of_user(sought, uid).await =>
                    {
                        found.push((key, None));
                    }
                    Err(VaultError::Unreadable { .. }) => {}
                    Err(error) => return Err(error.into()),
                }
            }
        }
        Ok(found)
    }

    /// Also by a token that the store does not have yet.
    async fn is_signed_in(&self, key: &AccountKey, record: &Record) -> Result<bool, ServiceError> {
        let has = |record: &Record| {
            record.refresh_token.is_some()
                || record.access_token.is_some()
                || record.guard.is_some()
        };
        Ok(has(record) || self.broker.newest(key).await?.is_some_and(|now| has(&now.value)))
    }

    /// Whether everything of this uid is meant: also what nobody can read.
    async fn is_all_of_user(&self, sought: &Sought, uid: u32) -> bool {
        if sought.issuer.is_some() || sought.client.is_some() {
            return false;
        }
        match &sought.user {
            Some(User::Uid(wanted)) => *wanted == uid,
            Some(User::Name(wanted)) => self.users.name_of(uid).await.as_ref() == Some(wanted),
            None => false,
        }
    }

    async fn end_all(self: Arc<Self>, by: By, keys: Vec<AccountKey>, progress: Progress) {
        let (tell, mut ended) = mpsc::unbounded_channel();
        let here = async {
            let all = stream::iter(keys.into_iter().enumerate());
            all.for_each_concurrent(AT_ONCE_HERE, async |(index, key)| {
                match self.end_here(&key).await {
                    Ok(Some(record)) => {
                        standing(&progress).ended += 1;
                        drop(tell.send((index, record)));
                    }
                    Ok(None) => {
                        standing(&progress).ended += 1;
                        let remark = "there is nothing to revoke at the issuer";
                        let remark = Some(remark.to_owned());
                        let about = About::named(key.name.as_str());
                        self.ended(by, key.uid, &about, &progress, index, remark, false);
                    }
                    Err(error) => self.not_ended(by, &key, &progress, index, error),
                }
            })
            .await;
            drop(tell);
        };
        let there = async {
            let all = stream::poll_fn(|context| ended.poll_recv(context));
            all.for_each_concurrent(AT_ONCE_THERE, async |(index, record)| {
                let locked =
                    "it was locked: its refresh token is behind the passphrase and ends by itself";
                let (remark, done) = match self.revoke(&record).await {
                    Ok(true) => (None, true),
                    Ok(false) if record.is_locked() => (Some(locked.to_owned()), false),
                    Ok(false) => {
                        (Some("there was nothing to revoke at the issuer".to_owned()), false)
                    }
                    Err(error) => (Some(error.message), false),
                };
                let (uid, about) = (record.owner.uid, About::of(&record));
                self.ended(by, uid, &about, &progress, index, remark, done);
            })
            .await;
        };
        tokio::join!(here, there);
    }

    /// Ends one here; the record that it had. One that does not open is removed.
    async fn end_here(&self, key: &AccountKey) -> Result<Option<Record>, ServiceError> {
        match self.sign_out_here(key).await {
            Err(error) if error.kind == Kind::AccountUnreadable => {
                self.discard_here(key).await?;
                Ok(None)
            }
            ended => ended,
        }
    }

    /// One that is signed in still.
    fn not_ended(
        &self,
        by: By,
        key: &AccountKey,
        progress: &Progress,
        index: usize,
        error: ServiceError,
    ) {
        let issuer = {
            let mut standing = standing(progress);
            standing.failed += 1;
            standing.infos.get(index).map(|info| info.issuer.clone()).unwrap_or_default()
        };
        self.audit.record(
            audit::Kind::SignOut,
            &audit::Event {
                uid: key.uid,
                account: key.name.as_str(),
                issuer: &issuer,
                caller_pid: by.pid,
                caller_uid: Some(by.uid),
                result: error.kind.short_name(),
                detail: format!(
                    "by an administrator, uid {}: not ended, still signed in: {}",
                    by.uid, error.message
                ),
                ..audit::Event::default()
            },
        );
        let remark = format!("still signed in: {}; do it again when that is mended", error.message);
        set(progress, index, revoked::FAILED, Some(remark));
    }

    #[allow(clippy::too_many_arguments, reason = "one record, one line of the reply")]
    fn ended(
        &self,
        by: By,
        uid: u32,
        about: &About,
        progress: &Progress,
        index: usize,
        remark: Option<String>,
        confirmed: bool,
    ) {
        let result = if confirmed { revoked::REVOKED } else { revoked::UNCONFIRMED };
        let (account, issuer, client) = about.identity();
        let remarked = remark.as_ref().map(|remark| format!("; {remark}")).unwrap_or_default();
        self.audit.record(
            audit::Kind::SignOut,
            &audit::Event {
                uid,
                account,
                issuer,
                client,
                caller_pid: by.pid,
                caller_uid: Some(by.uid),
                result: if confirmed { "ok" } else { "not-revoked" },
                detail: format!("by an administrator, uid {}{remarked}", by.uid),
                ..audit::Event::default()
            },
        );
        set(progress, index, result, remark);
    }
}

impl Sought {
    fn is_record(&self, record: &Record) -> bool {
        let user = match &self.user {
            Some(User::Uid(uid)) => *uid == record.owner.uid,
            Some(User::Name(name)) => *name == record.owner.user,
            None => true,
        };
        let client = self.client.is_none() || self.client == record.client_id;
        user && client && self.is_issuer(&record.issuer)
    }

    fn is_login(
        &self,
        key: &AccountKey,
        owner: Option<&str>,
        issuer: &str,
        client: Option<&str>,
    ) -> bool {
        let user = match &self.user {
            Some(User::Uid(uid)) => *uid == key.uid,
            Some(User::Name(name)) => owner == Some(name),
            None => true,
        };
        let client = self.client.is_none() || self.client.as_deref() == client;
        user && client && self.is_issuer(issuer)
    }

    fn is_issuer(&self, issuer: &str) -> bool {
        self.issuer.as_ref().is_none_or(|wanted| wanted == slashless(issuer))
    }
}

fn info(key: &AccountKey, record: Option<&Record>, result: &str) -> RevokedInfo {
    RevokedInfo {
        uid: key.uid,
        user: record.map(|record| record.owner.user.clone()).unwrap_or_default(),
        account: key.name.to_string(),
        issuer: record.map(|record| record.issuer.clone()).unwrap_or_default(),
        result: result.to_owned(),
        remark: None,
    }
}

/// What was done, for the record: each number says what it counts.
fn counted(reply: &RevokeReply) -> String {
    let mut text = format!(": ended {}", reply.ended);
    if reply.failed > 0 {
        text.push_str(&format!(", not ended {}", reply.failed));
    }
    let done = u64::from(reply.ended) + u64::from(reply.failed);
    match (reply.sign_ins.len() as u64).saturating_sub(done) {
        0 => {}
        more => text.push_str(&format!(", still at work on {more}")),
    }
    if reply.logins > 0 {
        text.push_str(&format!(", logins cancelled {}", reply.logins));
    }
    text
}

fn standing(progress: &Progress) -> MutexGuard<'_, Standing> {
    progress.lock().unwrap_or_else(PoisonError::into_inner)
}

fn set(progress: &Progress, index: usize, result: &str, remark: Option<String>) {
    if let Some(info) = standing(progress).infos.get_mut(index) {
        result.clone_into(&mut info.result);
        info.remark = remark;
    }
}

fn slashless(url: &str) -> &str {
    url.trim_end_matches('/')
}
