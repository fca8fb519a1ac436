//! Another key for everything that is kept, while everybody goes on. The run is the daemon's: who
//! asked for it may go. It can be killed at any moment; what it did not do is done the next time.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use iamd_protocol::{
    bus::{RekeyOptions, RekeyState, rekey_state},
    error::Kind,
};
use tokio::sync::OwnedMutexGuard;

use super::{By, Service, ServiceError};
use crate::account::{
    UnixTime,
    ports::{
        VaultError,
        upkeep::{Resealed, Stale, Upkeep, UpkeepError},
    },
};

/// How long is waited before accounts that somebody was at work on are tried again.
const AGAIN_IN: Duration = Duration::from_secs(2);
/// How often: longer than any request at an issuer takes.
const MOST_ROUNDS: usize = 60;

/// Keys and backups: one thing at a time.
pub(super) struct Maintenance {
    pub(super) upkeep: Arc<dyn Upkeep>,
    turn: Arc<tokio::sync::Mutex<()>>,
    run: Mutex<Option<Run>>,
    /// Who asked last how it stands.
    told: Mutex<Option<By>>,
}

/// Taken for as long as something is under way.
pub(super) type Turn = OwnedMutexGuard<()>;

/// A change of keys, under way or the last one.
#[derive(Debug, Clone, Default)]
struct Run {
    total: u64,
    done: u64,
    started_at: UnixTime,
    ended_at: Option<UnixTime>,
    unreadable: Vec<String>,
    retired: Vec<String>,
    /// Why it ended before its end.
    stopped: Option<String>,
}

impl Maintenance {
    /// Whether this is another process than the last one that asked.
    fn is_told_to(&self, by: By) -> bool {
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        let last = told.replace(by);
        by.pid.is_none() || last != Some(by)
    }

    pub(super) fn new(upkeep: Arc<dyn Upkeep>) -> Self {
        Self { upkeep, turn: Arc::default(), run: Mutex::default(), told: Mutex::default() }
    }

    /// # Errors
    /// Something else is under way.
    pub(super) fn begin(&self) -> Result<Turn, ServiceError> {
        let turn = Arc::clone(&self.turn).try_lock_owned();
        turn.map_err(|_| {
            let text = "a change of keys, a backup or a restore is under way";
            ServiceError::new(Kind::MaintenanceRunning, text)
        })
    }

    fn run(&self) -> MutexGuard<'_, Option<Run>> {
        self.run.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn is_rekeying(&self) -> bool {
        self.run().as_ref().is_some_and(|run| run.ended_at.is_none())
    }

    fn note(&self, note: impl FnOnce(&mut Run)) {
        if let Some(run) = self.run().as_mut() {
            note(run);
        }
    }
}

impl Service {
    /// Starts a change of keys, goes on with one that was interrupted, or tells of the one that
    /// runs. A new key is made when the one in force seals everything already, and nothing was
    /// said of retiring the old ones.
    ///
    /// # Errors
    /// The key is the site's, the keyring cannot be written, or the store cannot be read.
    pub async fn rekey(
        self: &Arc<Self>,
        by: By,
        options: RekeyOptions,
    ) -> Result<RekeyState, ServiceError> {
        let retire = options.retire == Some(true);
        let wish = if retire { ", then retire the older keys" } else { "" };
        let turn = match self.maintenance.begin() {
            Ok(turn) => turn,
            Err(_) if self.maintenance.is_rekeying() => {
                let state = self.rekey_state().await;
                let what = format!("rekey{wish}: one is under way, nothing else begins");
                self.note_administration(by, &what, state.as_ref().err());
                self.maintenance.is_told_to(by);
                return state;
            }
            Err(error) => {
                self.note_administration(by, "rekey", Some(&error));
                return Err(error);
            }
        };
        let upkeep = &self.maintenance.upkeep;
        let before = upkeep.keys().current;
        let begun = async {
            let stale = upkeep.stale().await?;
            if stale != Stale::default() || retire {
                return Ok::<_, UpkeepError>(stale);
            }
            upkeep.renew_key().await?;
            Ok(upkeep.stale().await?)
        };
        let begun = begun.await.map_err(ServiceError::from);
        let now = upkeep.keys().current;
        let what = match &begun {
            Ok(stale) => {
                let count = stale.rows.len() as u64 + stale.journal;
                let made = if now == before { "" } else { " (new)" };
                format!("rekey: {count} records to {now}{made}{wish}")
            }
            Err(_) => "rekey".to_owned(),
        };
        self.note_administration(by, &what, begun.as_ref().err());
        self.start_rekey(by, turn, begun?, retire);
        self.maintenance.is_told_to(by);
        self.rekey_state().await
    }

    /// How a change of keys stands.
    ///
    /// # Errors
    /// The store cannot be read.
    pub async fn rekey_progress(&self, by: By) -> Result<RekeyState, ServiceError> {
        let state = self.rekey_state().await;
        // `iamctl admin rekey` looks on, some times a second: one record per process.
        if self.maintenance.is_told_to(by) {
            self.note_administration(by, "rekey status", state.as_ref().err());
        }
        state
    }

    async fn rekey_state(&self) -> Result<RekeyState, ServiceError> {
        let keys = self.maintenance.upkeep.keys();
        let run = self.maintenance.run().clone();
        let running = run.as_ref().is_some_and(|run| run.ended_at.is_none());
        let remaining = if running {
            None
        } else {
            let stale = self.maintenance.upkeep.stale().await?;
            Some(stale.rows.len() as u64 + stale.journal)
        };
        let run = run.unwrap_or_default();
        let state = match remaining {
            None => rekey_state::RUNNING,
            Some(0) => rekey_state::DONE,
            Some(_) if run.stopped.is_some() => rekey_state::STOPPED,
            Some(_) => rekey_state::UNFINISHED,
        };
        let started = run.started_at != UnixTime::default();
        Ok(RekeyState {
            state: state.to_owned(),
            key: keys.current,
            from_credential: keys.from_credential,
            older_keys: keys.older,
            total: run.total,
            done: run.done,
            remaining,
            unreadable: run.unreadable,
            retired: run.retired,
            message: run.stopped,
            started_at: started.then_some(run.started_at.0),
            ended_at: run.ended_at.map(|at| at.0),
        })
    }

    /// After a start: a change of keys that was interrupted goes on. What a new key in the
    /// credential is for, the site has to say.
    pub async fn resume_rekey(self: &Arc<Self>) {
        let upkeep = &self.maintenance.upkeep;
        let (Ok(turn), Ok(stale)) = (self.maintenance.begin(), upkeep.stale().await) else {
            return;
        };
        let count = stale.rows.len() as u64 + stale.journal;
        let keys = upkeep.keys();
        if count == 0 {
            return;
        }
        if keys.from_credential {
            tracing::info!(
                count,
                key = keys.current,
                "{count} records are sealed with an older key than the credential's first; to seal \
                 them with that: iamctl admin rekey"
            );
            return;
        }
        tracing::info!(count, key = keys.current, "going on to seal {count} records anew");
        self.start_rekey(By::ITSELF, turn, stale, false);
    }

    fn start_rekey(self: &Arc<Self>, by: By, turn: Turn, stale: Stale, retire: bool) {
        let total = stale.rows.len() as u64 + stale.journal;
        let started_at = self.clock.wall();
        *self.maintenance.run() = Some(Run { total, started_at, ..Run::default() });
        let service = Arc::clone(self);
        tokio::spawn(async move {
            let ended = service.reseal_all(stale, retire).await;
            let error = ended.err();
            let at = service.clock.wall();
            let mut what = String::new();
            service.maintenance.note(|run| {
                what = format!("rekey: {} of {} records done", run.done, run.total);
                if !run.unreadable.is_empty() {
                    what += &format!(", {} do not open", run.unreadable.len());
                }
                if !run.retired.is_empty() {
                    what += &format!(", retired {}", run.retired.join(" "));
                }
                run.stopped = error.as_ref().map(ToString::to_string);
                run.ended_at = Some(at);
            });
            service.note_administration(by, &what, error.as_ref());
            if let Some(error) = error {
                tracing::error!(%error, "the change of keys stopped; every record opens as before: {error}");
            }
            drop(turn);
        });
    }

    async fn reseal_all(&self, stale: Stale, retire: bool) -> Result<(), ServiceError> {
        let maintenance = &self.maintenance;
        let mut rows = stale.rows;
        for round in 0.. {
            let mut again = Vec::new();
            for row in rows {
                match maintenance.upkeep.reseal(&row).await {
                    Ok(Resealed::Done | Resealed::NotNeeded) => {
                        maintenance.note(|run| run.done += 1)
                    }
                    Ok(Resealed::Busy) | Err(VaultError::Conflict) => again.push(row),
                    // One that does not open holds up no other.
                    Err(VaultError::Unreadable { text }) => {
                        tracing::warn!("{text}");
                        maintenance.note(|run| run.unreadable.push(text));
                    }
                    Err(error) => return Err(error.into()),
                }
            }
            rows = again;
            if rows.is_empty() {
                break;
            }
            if round == MOST_ROUNDS {
                let text = format!("somebody is at work on {} all the time", rows.join(", "));
                return Err(ServiceError::new(Kind::StoreUnavailable, text));
            }
            self.clock.sleep(AGAIN_IN).await;
        }
        crate::fault_point!("rekey.records-sealed");
        maintenance.upkeep.reseal_journal().await?;
        crate::fault_point!("rekey.journal-sealed");
        maintenance.note(|run| run.done += stale.journal);
        if retire {
            let retired = maintenance.upkeep.retire().await?;
            maintenance.note(|run| run.retired = retired);
        }
        Ok(())
    }
}
