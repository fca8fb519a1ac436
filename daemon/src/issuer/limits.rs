//! How much is asked of one issuer: so many requests at a time, and none for a while after it
//! failed several times in a row. An issuer that is down must cost a login nothing, and one that
//! comes back must not meet everybody at once.

use std::{
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use super::{
    lane::{Lane, Lanes, Purpose},
    slots::{Slot, Slots},
};
use crate::{
    account::ports::{Health, IssuerError},
    clock::Clock,
};

/// Bounds on requests to issuers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// The longest wait for a connection, name resolution and TLS included.
    pub connect_timeout: Duration,
    /// The longest wait for a whole answer. INDIGO IAM takes up to 20 s for a refresh.
    pub total_timeout: Duration,
    /// The longest answer, in bytes.
    pub longest_body: usize,
    /// Requests at a time, per issuer.
    pub concurrent: usize,
    /// The longest wait for one of those.
    pub queue_timeout: Duration,
    /// Failures in a row that open the circuit.
    pub failures: u32,
    /// How long it stays open the first time; doubles with each failed probe.
    pub first_pause: Duration,
    /// How long it stays open at most.
    pub longest_pause: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connect_timeout: Duration::from_secs(10),
            total_timeout: Duration::from_secs(30),
            longest_body: 1024 * 1024,
            concurrent: 8,
            queue_timeout: Duration::from_secs(10),
            failures: 3,
            first_pause: Duration::from_secs(15),
            longest_pause: Duration::from_secs(300),
        }
    }
}

/// What a request told about the issuer's health.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Outcome {
    /// It answers, whatever it said.
    Answered,
    /// It does not; `Retry-After` where it gave one.
    Failed(Option<Duration>),
    /// It does not, and that may be for what was in the request: only its lane is held.
    FailedForLane(Option<Duration>),
    /// It answers with 429 or 5xx what everybody asks alike, for one user: the lane is held, and
    /// everybody when it says so to as many users as there are [`Limits::failures`].
    Refused(Option<Duration>),
    /// It took the request and gave no answer, which may be for what was in the request: the lane is
    /// held, and everybody when that happened to as many users as there are [`Limits::failures`].
    Unanswered,
    /// As many users had a failure without a time to wait as there are [`Limits::failures`].
    FailedForMany,
    /// Nothing: the request was not sent, or it may have failed by what was in it.
    Nothing,
}

/// The circuit breaker: pure, time is an argument.
#[derive(Debug)]
pub(super) struct Breaker {
    limits: Limits,
    state: Circuit,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Circuit {
    Unknown,
    Closed {
        failures: u32,
    },
    Open {
        until: Instant,
        pause: Duration,
    },
    /// One request is let through to see.
    Probing {
        pause: Duration,
    },
}

impl Breaker {
    pub(super) fn new(limits: Limits) -> Self {
        Self { limits, state: Circuit::Unknown }
    }

    /// How long not to ask; `None`: ask now.
    pub(super) fn closed_for(&self, now: Instant) -> Option<Duration> {
        match self.state {
            Circuit::Open { until, .. } if now < until => Some(until - now),
            // Somebody is trying just now; what comes of it is known within a request's time.
            Circuit::Probing { .. } => Some(Duration::from_secs(1)),
            _ => None,
        }
    }

    /// Lets a request through, the first after a pause as the probe.
    ///
    /// # Errors
    /// How long not to ask.
    pub(super) fn admit(&mut self, now: Instant) -> Result<(), Duration> {
        if let Some(pause) = self.closed_for(now) {
            return Err(pause);
        }
        if let Circuit::Open { pause, .. } = self.state {
            self.state = Circuit::Probing { pause };
        }
        Ok(())
    }

    /// Takes in what a request told.
    pub(super) fn take(&mut self, outcome: Outcome, now: Instant) {
        self.state = match (outcome, self.state) {
            (Outcome::Answered, _) => Circuit::Closed { failures: 0 },
            // The probe told nothing: the next request is the probe.
            (
                Outcome::Nothing
                | Outcome::FailedForLane(_)
                | Outcome::Refused(_)
                | Outcome::Unanswered,
                Circuit::Probing { pause },
            ) => Circuit::Open { until: now, pause },
            (
                Outcome::Nothing
                | Outcome::FailedForLane(_)
                | Outcome::Refused(_)
                | Outcome::Unanswered,
                state,
            ) => state,
            (Outcome::Failed(Some(wait)), state) => {
                let until = now + wait.min(self.limits.longest_pause);
                match state {
                    Circuit::Open { until: already, pause } => {
                        Circuit::Open { until: until.max(already), pause }
                    }
                    Circuit::Probing { pause } => Circuit::Open { until, pause },
                    _ => Circuit::Open { until, pause: self.limits.first_pause },
                }
            }
            (Outcome::Failed(None), Circuit::Unknown) => self.failing(1, now),
            (Outcome::Failed(None), Circuit::Closed { failures }) => {
                self.failing(failures.saturating_add(1), now)
            }
            // A request from before the circuit opened.
            (Outcome::Failed(None) | Outcome::FailedForMany, state @ Circuit::Open { .. }) => state,
            (Outcome::Failed(None) | Outcome::FailedForMany, Circuit::Probing { pause }) => {
                let pause = (pause * 2).min(self.limits.longest_pause);
                Circuit::Open { until: now + pause, pause }
            }
            (Outcome::FailedForMany, Circuit::Unknown | Circuit::Closed { .. }) => {
                self.failing(self.limits.failures, now)
            }
        };
    }

    fn failing(&self, failures: u32, now: Instant) -> Circuit {
        if failures < self.limits.failures {
            return Circuit::Closed { failures };
        }
        let pause = self.limits.first_pause;
        Circuit::Open { until: now + pause, pause }
    }

    /// Whether whoever asks now has no answer, or is the probe.
    pub(super) fn is_left_alone(&self) -> bool {
        matches!(self.state, Circuit::Open { .. } | Circuit::Probing { .. })
    }

    pub(super) fn health(&self, now: Instant) -> Health {
        match self.state {
            Circuit::Unknown => Health::Unknown,
            Circuit::Closed { failures: 0 } => Health::Answering,
            Circuit::Open { until, .. } if now < until => Health::Open(until - now),
            Circuit::Closed { .. } | Circuit::Open { .. } | Circuit::Probing { .. } => {
                Health::Failing
            }
        }
    }
}

/// Users who met with a failure, and when they last did.
type Users = Vec<(u32, Instant)>;

/// What stands before every request to one issuer.
pub(super) struct Gate {
    slots: Slots,
    breaker: Mutex<Breaker>,
    lanes: Mutex<Lanes>,
    /// Whose request for what everybody asks alike failed, since one of those was last answered.
    refused: Mutex<Users>,
    /// Whose requests had no answer, since anybody's was last answered.
    unanswered: Mutex<Users>,
    /// What everybody's last failure was, since the issuer last answered.
    last_failure: Mutex<Option<IssuerError>>,
    limits: Limits,
    queue_timeout: Duration,
}

/// Leave to send one request. Dropped without [`Pass::settle`], it told nothing.
pub(super) struct Pass<'a> {
    gate: &'a Gate,
    clock: &'a dyn Clock,
    lane: Option<Lane>,
    outcome: Outcome,
    failure: Option<IssuerError>,
    _slot: Slot<'a>,
}

impl Gate {
    pub(super) fn new(limits: Limits) -> Self {
        Self {
            slots: Slots::new(limits.concurrent),
            breaker: Mutex::new(Breaker::new(limits)),
            lanes: Mutex::default(),
            refused: Mutex::default(),
            unanswered: Mutex::default(),
            last_failure: Mutex::default(),
            limits,
            queue_timeout: limits.queue_timeout,
        }
    }

    /// Waits for leave to send one request, in a lane of its own where it brings what may be the
    /// reason for a refusal, and out of the share of the user for whom it is (see [`Slots`]).
    ///
    /// # Errors
    /// [`IssuerError::CircuitOpen`] at once; [`IssuerError::Busy`] when the queue is long.
    pub(super) async fn enter<'a>(
        &'a self,
        title: &str,
        clock: &'a dyn Clock,
        lane: Option<Lane>,
        share: Option<u32>,
    ) -> Result<Pass<'a>, IssuerError> {
        let open = |retry_in, last: Option<IssuerError>| IssuerError::CircuitOpen {
            issuer: title.to_owned(),
            retry_in,
            last: last.map(Box::new),
        };
        if let Some(pause) = self.with(|breaker| breaker.closed_for(clock.monotonic())) {
            return Err(open(pause, self.last_failure().clone()));
        }
        let slot = tokio::select! {
            biased;
            slot = self.slots.enter(share) => slot,
            () = clock.sleep(self.queue_timeout) => {
                let text = format!(
                    "too many requests to {title} are waiting for an answer (limits.issuer_requests)"
                );
                return Err(IssuerError::Busy { text });
            }
        };
        let now = clock.monotonic();
        if let Some(lane) = &lane {
            let mut lanes = self.lanes();
            let admitted = lanes.admit(lane, now);
            admitted.map_err(|pause| open(pause, lanes.last_failure(lane)))?;
        }
        if let Err(pause) = self.with(|breaker| breaker.admit(now)) {
            if let Some(lane) = &lane {
                self.lanes().take(lane, Outcome::Nothing, now, self.limits);
            }
            return Err(open(pause, self.last_failure().clone()));
        }
        let outcome = Outcome::Nothing;
        Ok(Pass { gate: self, clock, lane, outcome, failure: None, _slot: slot })
    }

    pub(super) fn is_left_alone(&self) -> bool {
        self.with(|breaker| breaker.is_left_alone())
    }

    pub(super) fn is_left_alone_by(&self, uid: u32, purpose: Purpose, now: Instant) -> bool {
        self.is_left_alone() || self.lanes().leaves_alone(purpose, uid, now, self.limits)
    }

    pub(super) fn health(&self, now: Instant) -> Health {
        self.with(|breaker| breaker.health(now))
    }

    /// What an outcome is for everybody.
    fn for_all(&self, lane: Option<&Lane>, outcome: Outcome, now: Instant) -> Outcome {
        let mut refused = self.refused.lock().unwrap_or_else(PoisonError::into_inner);
        let mut unanswered = self.unanswered.lock().unwrap_or_else(PoisonError::into_inner);
        let user = lane.and_then(Lane::of_user);
        let is_everybody = |users: &mut Users| {
            users.retain(|(uid, at)| Some(*uid) != user && now - *at < self.limits.longest_pause);
            users.extend(user.map(|uid| (uid, now)));
            let everybody = users.len() >= self.limits.failures as usize;
            if everybody {
                // As many again have to fail before it is said anew: one alone does not go on for all.
                users.clear();
            }
            everybody
        };
        match outcome {
            Outcome::Answered => {
                unanswered.clear();
                if !lane.is_some_and(Lane::is_tailored) {
                    refused.clear();
                }
                outcome
            }
            Outcome::Unanswered if is_everybody(&mut unanswered) => Outcome::FailedForMany,
            Outcome::Refused(wait) if is_everybody(&mut refused) => {
                wait.map_or(Outcome::FailedForMany, |wait| Outcome::Failed(Some(wait)))
            }
            _ => outcome,
        }
    }

    fn last_failure(&self) -> MutexGuard<'_, Option<IssuerError>> {
        self.last_failure.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn lanes(&self) -> MutexGuard<'_, Lanes> {
        self.lanes.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn with<T>(&self, work: impl FnOnce(&mut Breaker) -> T) -> T {
        work(&mut self.breaker.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Pass<'_> {
    /// The request is over; `failure` is why, where it failed, in words that anybody may read.
    pub(super) fn settle(mut self, outcome: Outcome, failure: Option<IssuerError>) {
        (self.outcome, self.failure) = (outcome, failure);
    }
}

impl Drop for Pass<'_> {
    fn drop(&mut self) {
        let (outcome, now) = (self.outcome, self.clock.monotonic());
        if let Some(lane) = &self.lane {
            let mut lanes = self.gate.lanes();
            lanes.take(lane, outcome, now, self.gate.limits);
            lanes.remember(lane, outcome, self.failure.as_ref());
        }
        let outcome = self.gate.for_all(self.lane.as_ref(), outcome, now);
        match outcome {
            Outcome::Answered => *self.gate.last_failure() = None,
            Outcome::Failed(_) | Outcome::FailedForMany => {
                *self.gate.last_failure() = self.failure.take();
            }
            Outcome::FailedForLane(_)
            | Outcome::Refused(_)
            | Outcome::Unanswered
            | Outcome::Nothing => {}
        }
        self.gate.with(|breaker| breaker.take(outcome, now));
    }
}
