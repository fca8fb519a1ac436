//! Backups, what is made of them, and whether the store is whole.

use std::sync::Arc;

use iamd_protocol::{
    bus::{
        AcceptReply, BackupOptions, BackupReply, RestoreOptions, RestoreReply, StoreReport,
        backup::SHORTEST,
    },
    error::Kind,
};
use secrecy::{ExposeSecret as _, SecretString};

use super::{By, Service, ServiceError, password_flow::told};
use crate::account::{
    AccountKey, ClientOwner, ClientRecord, IssuerProfile, PasswordFlow,
    ports::{
        LockOn,
        upkeep::{About, Contents, PutBack, Sink, Source, UpkeepError},
    },
};

impl Service {
    /// Writes a backup, sealed with the passphrase.
    ///
    /// # Errors
    /// Too short a passphrase, the reader went away, the store, or something else is under way.
    pub async fn back_up(
        &self,
        by: By,
        options: BackupOptions,
        passphrase: &SecretString,
        to: Sink<'_>,
    ) -> Result<BackupReply, ServiceError> {
        let with_keys = options.without_keys != Some(true);
        let result = self.write_backup(with_keys, passphrase, to).await;
        let keys = if with_keys { "with" } else { "without" };
        let what = match &result {
            Ok(done) => format!(
                "backup {keys} keys: {} records, sha256 {}",
                done.counts.records, done.digest
            ),
            Err(_) => format!("backup {keys} keys"),
        };
        self.note_administration(by, &what, result.as_ref().err());
        let Contents { about, counts, keys, digest, bytes, left_out, .. } = result?;
        let left_out = left_out.into_iter().map(|what| format!("left out: {what}"));
        Ok(BackupReply {
            node: about.node,
            version: about.version,
            made_at: about.made_at.0,
            accounts: counts.accounts,
            clients: counts.clients,
            records: counts.records,
            journal: counts.journal,
            keys,
            with_keys: about.with_keys,
            rotating: counts.rotating,
            bytes,
            digest,
            remarks: left_out.collect(),
        })
    }

    async fn write_backup(
        &self,
        with_keys: bool,
        passphrase: &SecretString,
        to: Sink<'_>,
    ) -> Result<Contents, ServiceError> {
        if passphrase.expose_secret().chars().count() < SHORTEST {
            let text = format!(
                "the passphrase of a backup has {SHORTEST} characters or more: it is all that \
                 stands between the file and every user's tokens"
            );
            return Err(ServiceError::new(Kind::InvalidArgument, text));
        }
        let _turn = self.maintenance.begin()?;
        let about = About {
            node: self.node.clone(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            made_at: self.clock.wall(),
            with_keys,
        };
        Ok(self.maintenance.upkeep.back_up(about, passphrase, to).await?)
    }

    /// Reads a backup and checks all of it; unless only that was asked, puts it into the store.
    ///
    /// # Errors
    /// It is not good, something is there already, the store, or something else is under way.
    /// Nothing was changed then.
    pub async fn restore(
        self: &Arc<Self>,
        by: By,
        options: RestoreOptions,
        passphrase: &SecretString,
        from: Source<'_>,
    ) -> Result<RestoreReply, ServiceError> {
        let verify = options.verify == Some(true);
        let result =
            self.read_backup(verify, options.replace == Some(true), passphrase, from).await;
        let word = if verify { "verify a backup" } else { "restore" };
        let what = match &result {
            Ok((contents, done)) => format!(
                "{word} of {} from {}: {} records in the place of {}, sha256 {}{}",
                contents.about.node,
                contents.about.made_at.0,
                contents.counts.records,
                done.as_ref().map_or(0, |done| done.replaced),
                contents.digest,
                leaves(&contents.password_flows)
            ),
            Err(_) => word.to_owned(),
        };
        let damage = result.as_ref().ok().and_then(|(_, done)| done.as_ref()?.damage.clone());
        let damage = damage.map(|what| UpkeepError::Damaged { what, put_back: true }.into());
        self.note_administration(by, &what, result.as_ref().err().or(damage.as_ref()));
        let (Contents { about, counts, digest, password_flows, .. }, done) = result?;
        let config = self.config();
        let password_flows = password_flows.into_iter().map(|flow| told(&config, flow)).collect();
        let reply = RestoreReply {
            node: about.node,
            version: about.version,
            made_at: about.made_at.0,
            accounts: counts.accounts,
            clients: counts.clients,
            records: counts.records,
            journal: counts.journal,
            with_keys: about.with_keys,
            rotating: counts.rotating,
            replaced: done.as_ref().map_or(0, |done| done.replaced),
            restored: done.is_some(),
            key: self.maintenance.upkeep.keys().current,
            digest,
            password_flows,
            remarks: Vec::new(),
        };
        if let Some(done) = done {
            self.begin_anew(done).await;
        }
        damage.map_or(Ok(reply), Err)
    }

    async fn read_backup(
        self: &Arc<Self>,
        verify: bool,
        replace: bool,
        passphrase: &SecretString,
        from: Source<'_>,
    ) -> Result<(Contents, Option<PutBack>), ServiceError> {
        let _turn = self.maintenance.begin()?;
        let upkeep = Arc::clone(&self.maintenance.upkeep);
        let good = upkeep.read_backup(passphrase, from).await?;
        let contents = good.contents().clone();
        if verify {
            return Ok((contents, None));
        }
        let before = self.sites_clients().await;
        let done = good.put_back(replace).await?;
        let after = self.sites_clients().await;
        let same = |one: &ClientRecord| after.iter().any(|(_, two)| two.client_id == one.client_id);
        for (profile, client) in before.into_iter().filter(|(_, one)| !same(one)) {
            // Behind the scenes: its issuer may be slow.
            let service = Arc::clone(self);
            tokio::spawn(async move { service.give_up(&profile, &client).await });
        }
        Ok((contents, Some(done)))
    }

    /// The site's own clients at the issuers that it lists.
    async fn sites_clients(&self) -> Vec<(IssuerProfile, ClientRecord)> {
        let config = self.config();
        let mut found = Vec::new();
        for profile in config.issuers.values() {
            let client = self.vault.client(&ClientOwner::Site, profile.url.as_str()).await;
            if let Ok(Some(client)) = client {
                found.push((profile.clone(), client.value));
            }
        }
        found
    }

    /// The accounts are others now: what is in memory and in files of those before goes, and users
    /// who are here get their files.
    async fn begin_anew(self: &Arc<Self>, done: PutBack) {
        for key in done.touched {
            self.logins.cancel(&key);
            // A refresh that was under way ends first; it finds that the record is another one.
            let Ok(_lock) = self.vault.lock(LockOn::Account(key.clone())).await else { continue };
            self.locks.release(&key);
            self.broker.give_up(&key);
            self.presence.forget(&key);
        }
        self.resume_users().await;
    }

    /// Has records hold that are older than ones that were seen in their place: what an
    /// administrator says who put an older file of the store in its place.
    ///
    /// # Errors
    /// The store, or something else is under way.
    pub async fn accept_store(self: &Arc<Self>, by: By) -> Result<AcceptReply, ServiceError> {
        let accepted = async {
            let _turn = self.maintenance.begin()?;
            Ok(self.maintenance.upkeep.accept().await?)
        };
        let accepted: Result<Vec<String>, ServiceError> = accepted.await;
        let what = match &accepted {
            Ok(rows) => {
                format!("store accept: {} older records hold: {}", rows.len(), rows.join(" "))
            }
            Err(_) => "store accept".to_owned(),
        };
        self.note_administration(by, &what, accepted.as_ref().err());
        let accepted = accepted?;
        let key = |row: &String| -> Option<AccountKey> {
            let (uid, name) = row.strip_prefix("accounts/")?.split_once('/')?;
            Some(AccountKey { uid: uid.parse().ok()?, name: name.parse().ok()? })
        };
        let touched = accepted.iter().filter_map(key).collect();
        self.begin_anew(PutBack { touched, ..PutBack::default() }).await;
        Ok(AcceptReply { accepted })
    }

    /// Reads everything and says what is wrong with it.
    ///
    /// # Errors
    /// The store cannot be read at all.
    pub async fn check_store(&self, by: By) -> Result<StoreReport, ServiceError> {
        let found = self.maintenance.upkeep.inspect().await.map_err(ServiceError::from);
        self.note_administration(by, "check the store", found.as_ref().err());
        let found = found?;
        let keys = self.maintenance.upkeep.keys();
        Ok(StoreReport {
            sound: found.damage.is_none() && found.unreadable.is_empty(),
            integrity: found.damage.unwrap_or_else(|| "ok".to_owned()),
            accounts: found.counts.accounts,
            clients: found.counts.clients,
            records: found.counts.records,
            journal: found.counts.journal,
            keys: [vec![keys.current], keys.older].concat(),
            unreadable: found.unreadable,
            accounts_without_client: found.accounts_without_client,
            clients_without_account: found.clients_without_account,
        })
    }
}

/// The leaves to sign in by password that are in a backup, for the record: each came once by an
/// administrator's word, and this is another one's.
fn leaves(flows: &[PasswordFlow]) -> String {
    if flows.is_empty() {
        return String::new();
    }
    let name = |flow: &PasswordFlow| format!("client {} of {}", flow.client_id, flow.issuer);
    let names: Vec<String> = flows.iter().map(name).collect();
    format!("; with leave to sign in by password: {}", names.join(", "))
}
