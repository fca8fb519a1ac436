//! On whose account an issuer says no. What a request brings of a user's own (words, a code, a token,
//! a client) may be the reason for a 429 or a 503, and one user's request must not keep everybody
//! from their tokens: such a request has a lane, and a failure that may be its own holds that only.
//! The requests that everybody makes alike have none; they tell how the issuer is doing.
//!
//! A request that was taken and never answered tells the same of who asked, and of everybody when it
//! happens to several users in a row.
//!
//! Between the two are a renewal with the words that everybody uses and a revocation. A user can ask
//! for one after another, and what stands before the issuer may refuse one account of the issuer's: a
//! 429 or 5xx is for who asked. When several users in a row get one, and nobody an answer, it is for
//! everybody.

use std::{
    collections::HashMap,
    time::{Duration, Instant},
};

use secrecy::{ExposeSecret as _, SecretString};
use sha2::{Digest as _, Sha256};

use super::limits::{Breaker, Limits, Outcome};
use crate::account::{ClientOwner, ClientRecord, ports::IssuerError};

/// Lanes that failed lately; users could make more and more of them.
const MOST: usize = 1024;

/// Names what a request brings, without holding it.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Lane {
    name: [u8; 32],
    /// What it brings is a user's own, and may be the reason for a failure.
    tailored: bool,
    /// For whom it is, where the same asked for several users tells of the issuer.
    user: Option<u32>,
    /// What it asks for, where a login may want that.
    purpose: Option<Purpose>,
}

/// What a login may want of an issuer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Purpose {
    /// A device code.
    Code,
    /// An access token.
    Renewal,
}

impl Lane {
    /// A device code or a refresh token.
    pub(super) fn of_secret(secret: &SecretString) -> Self {
        Self::of(&["secret", secret.expose_secret()])
    }

    /// Of this client of a user's; the site's is everybody's.
    pub(super) fn of_users_client(client: &ClientRecord) -> Option<Self> {
        client.owner.is_of_a_user().then(|| Self::of_client(client))
    }

    /// Whatever is asked with this client alone.
    pub(super) fn of_client(client: &ClientRecord) -> Self {
        Self::of(&["client", &client.client_id])
    }

    /// Device codes for this user, with a client that others have too. A user can ask for as many
    /// as the site allows, with the words that everybody uses: it is for the user all the same.
    pub(super) fn of_codes_for(uid: u32, client: &ClientRecord) -> Self {
        Self::of(&["codes", &client.client_id, &uid.to_string()]).codes_of(uid)
    }

    /// The same, as one in which device codes are asked for this user.
    pub(super) fn codes_of(self, uid: u32) -> Self {
        Self { user: Some(uid), purpose: Some(Purpose::Code), ..self }
    }

    /// The same, as one in which tokens are renewed for this user.
    pub(super) fn renewals_of(self, uid: u32) -> Self {
        Self { user: Some(uid), purpose: Some(Purpose::Renewal), ..self }
    }

    /// Renewals for this user with the words that everybody uses.
    pub(super) fn of_renewals_for(uid: u32, client: &ClientRecord) -> Self {
        let renewals = Self::of(&["renewals", &client.client_id, &uid.to_string()]);
        Self { tailored: false, ..renewals }.renewals_of(uid)
    }

    /// Revocations for this user.
    pub(super) fn of_revocations_for(uid: u32, client: &ClientRecord) -> Self {
        let revocations = Self::of(&["revocations", &client.client_id, &uid.to_string()]);
        Self { tailored: false, user: Some(uid), ..revocations }
    }

    /// For whom it is, where the failures of several users say that it is the issuer.
    pub(super) fn of_user(&self) -> Option<u32> {
        self.user
    }

    /// Whether a failure may be for what it brings, so that it tells nothing of the issuer.
    pub(super) fn is_tailored(&self) -> bool {
        self.tailored
    }

    /// Of who signs in under this name at the issuer.
    pub(super) fn of_name(client: &ClientRecord, name: &str) -> Self {
        Self::of(&["name", &client.client_id, name])
    }

    /// Of the user whose client this is to be; the site's is everybody's.
    pub(super) fn of_owner(owner: &ClientOwner) -> Option<Self> {
        let uid = owner.uid()?;
        Some(Self::of(&["owner", &uid.to_string()]))
    }

    /// The key set, which nothing but the check of ID tokens hangs on.
    pub(super) fn of_keys() -> Self {
        Self::of(&["keys"])
    }

    fn of(parts: &[&str]) -> Self {
        let mut digest = Sha256::new();
        for part in parts {
            digest.update(part.len().to_le_bytes());
            digest.update(part);
        }
        Self { name: digest.finalize().into(), tailored: true, user: None, purpose: None }
    }
}

/// The lanes that failed, each with a breaker of its own.
#[derive(Debug, Default)]
pub(super) struct Lanes(HashMap<Lane, Failing>);

/// A lane that failed lately.
#[derive(Debug)]
struct Failing {
    used: Instant,
    breaker: Breaker,
    /// Why, the last time.
    last: Option<IssuerError>,
}

impl Lanes {
    /// Lets a request through, the first after a pause as the probe.
    ///
    /// # Errors
    /// How long not to ask.
    pub(super) fn admit(&mut self, lane: &Lane, now: Instant) -> Result<(), Duration> {
        self.0.get_mut(lane).map_or(Ok(()), |failing| failing.breaker.admit(now))
    }

    /// What this lane failed with the last time.
    pub(super) fn last_failure(&self, lane: &Lane) -> Option<IssuerError> {
        self.0.get(lane)?.last.clone()
    }

    /// Keeps why it failed, where that is the lane's matter.
    pub(super) fn remember(
        &mut self,
        lane: &Lane,
        outcome: Outcome,
        failure: Option<&IssuerError>,
    ) {
        if let Outcome::FailedForLane(_) | Outcome::Refused(_) | Outcome::Unanswered = outcome
            && let Some(failing) = self.0.get_mut(lane)
        {
            failing.last = failure.cloned();
        }
    }

    /// Whether this is asked for this user as a probe only, or not at all. What failed longer ago
    /// than anybody waits tells nothing any more: its lane may be of a token that is gone.
    pub(super) fn leaves_alone(
        &self,
        purpose: Purpose,
        uid: u32,
        now: Instant,
        limits: Limits,
    ) -> bool {
        let is_of = |lane: &Lane| lane.purpose == Some(purpose) && lane.user == Some(uid);
        self.0.iter().any(|(lane, failing)| {
            is_of(lane)
                && now.saturating_duration_since(failing.used) < limits.longest_pause * 2
                && failing.breaker.is_left_alone()
        })
    }

    fn fail(&mut self, lane: &Lane, wait: Option<Duration>, now: Instant, limits: Limits) {
        if self.0.len() >= MOST && !self.0.contains_key(lane) {
            let oldest = self.0.iter().min_by_key(|(_, failing)| failing.used);
            let oldest = oldest.map(|(lane, _)| lane.clone());
            oldest.and_then(|lane| self.0.remove(&lane));
        }
        let fresh = || Failing { used: now, breaker: Breaker::new(limits), last: None };
        let failing = self.0.entry(lane.clone()).or_insert_with(fresh);
        failing.used = now;
        failing.breaker.take(Outcome::Failed(wait), now);
    }

    /// Takes in what a request of this lane told.
    pub(super) fn take(&mut self, lane: &Lane, outcome: Outcome, now: Instant, limits: Limits) {
        match outcome {
            Outcome::Answered => drop(self.0.remove(lane)),
            Outcome::FailedForLane(wait) | Outcome::Refused(wait) => {
                self.fail(lane, wait, now, limits)
            }
            Outcome::Unanswered => self.fail(lane, None, now, limits),
            Outcome::Failed(_) | Outcome::FailedForMany | Outcome::Nothing => {
                if let Some(failing) = self.0.get_mut(lane) {
                    failing.breaker.take(Outcome::Nothing, now);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::{Clock as _, SystemClock};

    #[test]
    fn lanes_are_held_each_for_itself_and_their_number_has_an_end() {
        let (mut lanes, start) = (Lanes::default(), SystemClock.monotonic());
        let second = |count: usize| start + Duration::from_secs(count as u64);
        let lane = |number: usize| Lane::of(&["test", &number.to_string()]);
        for number in 0..MOST + 10 {
            let failed = Outcome::FailedForLane(Some(Duration::from_secs(3000)));
            lanes.take(&lane(number), failed, second(number), Limits::default());
        }
        assert_eq!(lanes.0.len(), MOST);
        let now = second(MOST + 9);
        assert!(lanes.admit(&lane(MOST + 9), now).is_err());
        assert_eq!(lanes.admit(&lane(0), now), Ok(()), "the oldest made room");
        assert_eq!(lanes.admit(&lane(MOST + 11), now), Ok(()));
        lanes.take(&lane(MOST + 9), Outcome::Answered, now, Limits::default());
        assert_eq!(lanes.admit(&lane(MOST + 9), now), Ok(()));
    }
}
