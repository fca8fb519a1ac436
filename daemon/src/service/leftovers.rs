//! Clients that nobody needs any more. Each is to be deleted at its issuer. Where that cannot be done
//! now it is kept, with its credentials, and tried again, ever more slowly; in the end it is given up
//! and recorded, for then only the issuer's people can delete it.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use futures_util::stream::{self, StreamExt as _};

use super::{Service, ServiceError};
use crate::{
    account::{
        ClientOwner, ClientRecord, IssuerProfile, UnixTime,
        ports::{ClientStep, Deregistered, IssuerError, Leftover, Revision, Stored, VaultError},
    },
    audit,
};

/// The wait after the first try, doubled after each further one up to the longest.
const FIRST_WAIT: Duration = Duration::from_secs(60);
const LONGEST_WAIT: Duration = Duration::from_secs(6 * 3600);
/// How long a client is tried to be deleted.
pub(super) const GIVE_UP_AFTER: Duration = Duration::from_secs(DAYS * 24 * 3600);
pub(super) const DAYS: u64 = 14;
/// What is looked at again at the latest.
const LOOK_AGAIN: Duration = Duration::from_secs(3600);
/// So many issuers at a time.
const AT_ONCE: usize = 4;

/// What became of a client that was given up.
pub(super) enum GivenUp {
    /// The issuer answered.
    Ended(Deregistered),
    /// It is tried again.
    Later(ServiceError),
    /// It stays registered.
    Stays(ServiceError),
}

impl Service {
    /// Deletes a client at the issuer that nobody keeps any more, now or later. One that a user
    /// brought is theirs to delete.
    pub(super) async fn give_up(&self, profile: &IssuerProfile, client: &ClientRecord) {
        if matches!(client.owner, ClientOwner::Given(..)) {
            return;
        }
        self.journal_aside(client).await;
        self.delete_or_keep(Ok(profile), client).await;
    }

    /// A kill while it is being deleted does not forget it.
    pub(super) async fn journal_aside(&self, client: &ClientRecord) {
        if let Err(error) = self.vault.journal_client(&ClientStep::Aside(client.clone())).await {
            tracing::warn!(client = client.client_id, %error, "a client that is deleted now is not in the journal: {error}");
        }
    }

    /// Deletes a client that the journal has.
    pub(super) async fn delete_or_keep(
        &self,
        profile: Result<&IssuerProfile, ServiceError>,
        client: &ClientRecord,
    ) -> GivenUp {
        let deleted = match profile {
            Ok(profile) => self.issuers.deregister(profile, client).await.map_err(|error| {
                // There never was a way to delete it.
                let later = !matches!(error, IssuerError::Unsupported { .. });
                (ServiceError::from(error), later)
            }),
            // The site may list it again.
            Err(error) => Err((error, true)),
        };
        let given_up = match deleted {
            Ok(became) => GivenUp::Ended(became),
            Err((error, true)) => match self.keep_leftover(client).await {
                Ok(()) => GivenUp::Later(error),
                Err(VaultError::Conflict) => GivenUp::Stays(error),
                Err(unkept) => {
                    // Its journal entry stays: it is found at the next start.
                    tracing::warn!(client = client.client_id, error = %unkept, "a client that is to be deleted is not in the store: {unkept}");
                    return GivenUp::Later(error);
                }
            },
            Err((error, false)) => GivenUp::Stays(error),
        };
        if let GivenUp::Later(error) | GivenUp::Stays(error) = &given_up {
            tracing::warn!(issuer = client.issuer, client = client.client_id, %error, "a client that is not needed stays registered for now: {error}");
        }
        if let GivenUp::Stays(error) = &given_up {
            self.record_leftover(client, "not-deleted", error.message.clone());
        }
        self.settled(client).await;
        given_up
    }

    pub(super) async fn settled(&self, client: &ClientRecord) {
        if let Err(error) = self.vault.settle_client(client).await {
            tracing::warn!(%error, "a journal entry could not be settled: {error}");
        }
    }

    async fn keep_leftover(&self, client: &ClientRecord) -> Result<(), VaultError> {
        let now = self.clock.wall();
        let leftover = Leftover { tries: 1, ..Leftover::new(client.clone(), now) };
        self.vault.save_leftover(&leftover, Revision::ABSENT).await?;
        self.leftovers.notify_one();
        Ok(())
    }

    /// Deletes what is left over at issuers, as long as the daemon runs.
    pub async fn clear_up(self: Arc<Self>) {
        // After a start all of them are tried, whenever that was done last.
        let mut all = true;
        loop {
            let next = self.clear_up_once(all).await;
            all = false;
            tokio::select! {
                () = self.clock.sleep(next) => {}
                () = self.leftovers.notified() => {}
            }
        }
    }

    /// Tries those that are due, or all; when the next one is.
    pub(super) async fn clear_up_once(&self, all: bool) -> Duration {
        let leftovers = match self.vault.leftovers().await {
            Ok(leftovers) => leftovers,
            Err(error) => {
                tracing::warn!(%error, "which clients are to be deleted is not known: {error}");
                return FIRST_WAIT;
            }
        };
        let now = self.clock.wall();
        let mut due = BTreeMap::<_, Vec<_>>::new();
        let mut next = LOOK_AGAIN;
        for leftover in leftovers {
            let left = due_at(&leftover.value).after(now);
            if all || left.is_zero() {
                let Leftover { client, .. } = &leftover.value;
                let group = (client.owner.uid(), client.issuer.clone());
                due.entry(group).or_default().push(leftover);
            } else {
                next = next.min(left);
            }
        }
        let waits = stream::iter(due.into_values().map(|group| self.try_group(group)));
        let waits: Vec<_> = waits.buffer_unordered(AT_ONCE).collect().await;
        waits.into_iter().flatten().fold(next, Duration::min)
    }

    /// The clients of one user at one issuer, as long as that answers; when the next is due.
    async fn try_group(&self, group: Vec<Stored<Leftover>>) -> Option<Duration> {
        let mut next: Option<Duration> = None;
        let mut away = false;
        for leftover in group {
            let again = self.try_one(&leftover, &mut away).await;
            next = next.into_iter().chain(again).min();
        }
        next
    }

    async fn try_one(&self, leftover: &Stored<Leftover>, away: &mut bool) -> Option<Duration> {
        let (Leftover { client, since, .. }, now) = (&leftover.value, self.clock.wall());
        let ended = if client.client_id.is_empty() {
            let text = format!(
                "it was being registered when iamd ended, as \u{201c}{}\u{201d}: the issuer may have it, and nobody here knows",
                client.client_name.as_deref().unwrap_or_default()
            );
            Some(("lost", text))
        } else if *away {
            None
        } else {
            match self.delete_again(client).await {
                Ok(Deregistered::Deleted | Deregistered::Gone) => Some(("deleted", String::new())),
                Ok(Deregistered::Unconfirmed) => Some((
                    "unconfirmed",
                    "the issuer does not accept the token for that".to_owned(),
                )),
                Err(error) => {
                    *away = true;
                    let over = since.plus(GIVE_UP_AFTER) <= now;
                    over.then(|| ("not-deleted", format!("given up after {DAYS} days: {error}")))
                }
            }
        };
        let done = match ended {
            Some((result, detail)) => {
                self.record_leftover(client, result, detail);
                self.vault.remove_leftover(leftover).await
            }
            None => {
                let mut tried = leftover.value.clone();
                tried.tries = tried.tries.saturating_add(1);
                tried.tried_at = now;
                let again = due_at(&tried).after(now);
                match self.vault.save_leftover(&tried, leftover.revision).await {
                    Ok(_) => return Some(again),
                    Err(error) => Err(error),
                }
            }
        };
        match done {
            Ok(()) => None,
            Err(error) => {
                tracing::warn!(client = client.client_id, %error, "what became of a client could not be written: {error}");
                Some(FIRST_WAIT)
            }
        }
    }

    async fn delete_again(&self, client: &ClientRecord) -> Result<Deregistered, ServiceError> {
        let owner = client.owner.uid();
        let profile = crate::policy::issuer(&self.config(), Some(&client.issuer), owner)?;
        Ok(self.issuers.deregister(&profile, client).await?)
    }

    /// How many clients of this user are to be deleted still, by issuer.
    pub(super) async fn leftovers_of(
        &self,
        uid: u32,
    ) -> Result<BTreeMap<String, usize>, VaultError> {
        let mut by_issuer = BTreeMap::new();
        for Stored { value, .. } in self.vault.leftovers().await? {
            if value.client.owner.uid() == Some(uid) && !value.client.client_id.is_empty() {
                *by_issuer.entry(value.client.issuer).or_default() += 1;
            }
        }
        Ok(by_issuer)
    }

    fn record_leftover(&self, client: &ClientRecord, result: &str, detail: String) {
        self.audit.record(
            audit::Kind::Registration,
            &audit::Event {
                uid: client.owner.uid().unwrap_or_default(),
                issuer: &client.issuer,
                client: &client.client_id,
                result,
                detail,
                ..audit::Event::default()
            },
        );
    }
}

fn due_at(leftover: &Leftover) -> UnixTime {
    let Leftover { tries, tried_at, .. } = leftover;
    let doubled = FIRST_WAIT.saturating_mul(1 << tries.saturating_sub(1).min(16));
    match tries {
        0 => *tried_at,
        _ => tried_at.plus(doubled.min(LONGEST_WAIT)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_tries_come_ever_more_slowly() {
        let client = crate::testing::client(ClientOwner::Site, &crate::testing::profile().url, 1);
        let minutes = |tries| {
            let leftover = Leftover { tries, ..Leftover::new(client.clone(), UnixTime(100)) };
            due_at(&leftover).after(UnixTime(100)).as_secs() / 60
        };
        assert_eq!([0, 1, 2, 3, 8, 9, 10, 99].map(minutes), [0, 1, 2, 4, 128, 256, 360, 360]);
    }
}
