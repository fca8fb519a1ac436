//! What there is on this node, in numbers, for administrators: nobody's names, no tokens.

use std::collections::HashMap;

use iamd_protocol::bus::{IssuerStats, StatsReply, state};

use super::{By, Service, ServiceError};
use crate::{
    account::{
        IssuerProfile,
        ports::{Health, VaultError},
    },
    audit::Kind as Event,
};

impl Service {
    /// Counts what there is, and tells what was counted since the daemon began.
    ///
    /// # Errors
    /// The store.
    pub async fn stats(&self, by: By) -> Result<StatsReply, ServiceError> {
        let stats = self.count_all().await.map_err(ServiceError::from);
        self.note_administration(by, "stats", stats.as_ref().err());
        stats
    }

    async fn count_all(&self) -> Result<StatsReply, VaultError> {
        let mut accounts: HashMap<String, u32> = HashMap::new();
        let mut uids: Vec<u32> =
            self.vault.account_keys().await?.into_iter().map(|key| key.uid).collect();
        uids.sort_unstable();
        uids.dedup();
        for uid in &uids {
            for (_, account) in self.vault.accounts_of(*uid).await? {
                let word = match account {
                    Ok(account) if account.value.is_locked() => state::LOCKED,
                    Ok(account) => account.value.state.word(),
                    Err(_) => state::UNREADABLE,
                };
                *accounts.entry(word.to_owned()).or_default() += 1;
            }
        }
        let (refreshes, refreshes_failed) = self.audit.of(Event::Refresh);
        let all = |event| {
            let (well, ill) = self.audit.of(event);
            well + ill
        };
        let keys = self.maintenance.upkeep.keys();
        let sizes = self.maintenance.upkeep.sizes().await;
        Ok(StatsReply {
            since: self.began.0,
            users: count(uids.len()),
            accounts,
            sessions: count(self.presence.sessions.all().len()),
            logins: count(self.logins.running().len()),
            logins_started: self.audit.of(Event::LoginStarted).0,
            logins_failed: all(Event::LoginFailed),
            sign_ins: self.audit.of(Event::SignIn).0,
            sign_outs: all(Event::SignOut),
            refreshes,
            refreshes_failed,
            tokens: self.audit.of(Event::Issue).0,
            denials: all(Event::Denial),
            issuers: self.circuits(),
            store_bytes: sizes.store,
            journal_bytes: sizes.journal,
            journal: sizes.unsettled,
            keys: [vec![keys.current], keys.older].concat(),
        })
    }

    fn circuits(&self) -> Vec<IssuerStats> {
        let config = self.config();
        let told = |profile: &IssuerProfile| {
            let (circuit, wait) = match self.issuers.health(profile) {
                Health::Unknown => ("unknown", None),
                Health::Answering => ("closed", None),
                Health::Failing => ("failing", None),
                Health::Open(wait) => ("open", Some(wait.as_secs())),
            };
            IssuerStats {
                name: profile.name.clone(),
                circuit: circuit.to_owned(),
                retry_in_seconds: wait,
            }
        };
        config.issuers.values().map(told).collect()
    }
}

fn count(of: usize) -> u32 {
    u32::try_from(of).unwrap_or(u32::MAX)
}
