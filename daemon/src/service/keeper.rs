//! Keeps the token of an account fresh while its owner is here: one task per account, which
//! renews ahead of expiry and takes the file away when the token has ended.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use crate::{
    account::{
        AccessToken, AccountKey, IssuerProfile, Record,
        ports::{IssuerError, RefreshError, Wanted},
    },
    audit,
    token::{Ask, Asked, Publisher, Refreshed, TokenError, Validity, renewal},
};

use super::{Service, ServiceError, policy::is_doubt, tokens::is_base};

/// What went wrong since there was a token that lasts a while.
#[derive(Default)]
struct Failures {
    count: u32,
    /// Before this the issuer is not asked again, whatever wakes the keeper meanwhile: a login of
    /// the user, or a token that came and is of no use.
    not_before: Option<Instant>,
}

/// How long after the name service did not answer it is asked again.
const ASK_AGAIN: Duration = Duration::from_secs(60);

/// How often the clocks are compared, and how far they may go apart in that time.
const CLOCK_CHECK: Duration = Duration::from_secs(5);
const CLOCK_STEP: Duration = Duration::from_secs(10);

/// What to do next.
enum Next {
    /// Look again after this time, or when there is a new token.
    Wait(Duration),
    /// There is nothing to keep.
    Stop,
}

impl Publisher for Service {
    /// Writes the token file, where the owner is here.
    fn publish(&self, record: &Record, token: &AccessToken) {
        let key = record.key();
        if self.presence.is_here(key.uid) && !self.is_barred(record) {
            self.presence.write_file(record, token);
        }
        self.presence.wake_keeper(&key);
    }

    /// Recorded once, however many wait for it.
    fn refreshed(&self, wanted: &Wanted, refreshed: &Refreshed) {
        let Refreshed { token, record, .. } = refreshed;
        self.audit.record(
            audit::Kind::Refresh,
            &audit::Event {
                uid: record.owner.uid,
                account: record.name.as_str(),
                issuer: &record.issuer,
                client: record.client_id.as_deref().unwrap_or_default(),
                scopes: token.scopes.to_string(),
                audience: wanted.audiences.to_string(),
                token_hash: audit::token_hash(&token.token),
                result: "ok",
                detail: if is_base(record, wanted) { String::new() } else { "narrowed".into() },
                ..audit::Event::default()
            },
        );
    }

    /// What may pass is in the log; what ends or bars a sign-in is recorded.
    fn failed(&self, asked: &Asked, profile: &IssuerProfile, error: &TokenError) {
        let key = &asked.key;
        let another = matches!(error, TokenError::IdentityMismatch { .. });
        if another {
            // Nothing is left: the keeper takes the file away.
            self.presence.wake_keeper(key);
        }
        let ends = another
            || matches!(
                error,
                TokenError::Refresh(
                    RefreshError::Dead { .. }
                        | RefreshError::ActionNeeded { .. }
                        | RefreshError::Issuer(IssuerError::ClientRejected { .. })
                )
            );
        if !ends {
            return;
        }
        let error = ServiceError::from(error.clone());
        self.audit.record(
            if another { audit::Kind::Denial } else { audit::Kind::Refresh },
            &audit::Event {
                uid: key.uid,
                account: key.name.as_str(),
                issuer: profile.url.as_str(),
                client: asked.client_id.as_deref().unwrap_or_default(),
                scopes: asked.scopes.to_string(),
                audience: asked.audiences.to_string(),
                result: error.kind.short_name(),
                detail: error.message,
                ..audit::Event::default()
            },
        );
    }
}

impl Service {
    /// Keeps this account's token fresh from now on, if its owner is here.
    pub(super) fn keep(self: &Arc<Self>, key: &AccountKey) {
        if !self.presence.is_here(key.uid) {
            return;
        }
        let service = Arc::downgrade(self);
        let clock = Arc::clone(&self.clock);
        let account = key.clone();
        self.presence.start_keeper(key, |wake| async move {
            let mut failures = Failures::default();
            loop {
                let Some(service) = service.upgrade() else { return };
                let next = service.tend(&account, &mut failures).await;
                drop(service);
                let Next::Wait(wait) = next else { return };
                tokio::select! {
                    () = clock.sleep(wait) => {}
                    () = wake.notified() => {}
                }
            }
        });
    }

    /// Has everybody's files looked after when this node's clock was set, or when the node slept:
    /// a keeper waits by a clock that did neither.
    pub async fn follow_the_clock(self: Arc<Self>) {
        loop {
            let (wall, monotonic) = (self.clock.wall(), self.clock.monotonic());
            self.clock.sleep(CLOCK_CHECK).await;
            let waited = self.clock.monotonic().saturating_duration_since(monotonic);
            let expected = wall.plus(waited);
            let now = self.clock.wall();
            if now.after(expected).max(expected.after(now)) > CLOCK_STEP {
                tracing::info!(
                    "this node slept, or its clock was set: all token files are looked after"
                );
                self.presence.wake_keepers();
            }
        }
    }

    /// Looks after one account once.
    async fn tend(self: &Arc<Self>, key: &AccountKey, failures: &mut Failures) -> Next {
        if !self.presence.is_here(key.uid) {
            return Next::Stop;
        }
        let record = match self.vault.account(key).await {
            Ok(Some(stored)) => stored.value,
            Ok(None) => return Next::Stop,
            Err(error) => {
                tracing::warn!(uid = key.uid, account = %key.name, %error, "the account could not be read: {error}");
                failures.count = failures.count.saturating_add(1);
                return Next::Wait(renewal::backoff(failures.count, None, self.jitter()));
            }
        };
        if record.is_locked() {
            self.presence.remove_file(&record);
            return Next::Stop;
        }
        let who = self.who(&record.owner.user).await;
        let in_doubt = match self.permit_account(&who, &record) {
            Ok(()) => false,
            Err(error) if is_doubt(&error) => true,
            Err(error) => {
                tracing::info!(uid = key.uid, account = %key.name, %error, decided_by = error.decided_by, "no token file: {error}");
                self.presence.remove_file(&record);
                return Next::Stop;
            }
        };
        let wanted = Wanted { scopes: None, audiences: record.audiences.clone() };
        let ask = Ask { wanted: wanted.clone(), ..Ask::default() };
        let now = self.clock.wall();
        let current = self.broker.cached(key, &ask).or_else(|| {
            let validity = Validity::default();
            let token = record.access_token.clone().filter(|t| validity.suffices(t, now))?;
            self.broker.adopt(key, &wanted, &token);
            Some(token)
        });
        if in_doubt {
            // What stands there stays until it ends; nothing new until the name service answered.
            let left = current.map_or(Duration::ZERO, |token| token.expires_at.after(now));
            if left.is_zero() {
                self.presence.remove_file(&record);
                return Next::Wait(ASK_AGAIN);
            }
            return Next::Wait(left.min(ASK_AGAIN));
        }
        if let Some(token) = &current {
            self.presence.ensure_file(&record, token);
            let delay = renewal::delay(token, now, self.config().tokens.renew_at, self.jitter());
            if !delay.is_zero() {
                *failures = Failures::default();
                return Next::Wait(delay);
            }
        } else {
            self.presence.remove_file(&record);
        }
        if !record.state.may_refresh() {
            // Nothing to renew; look again when the token that is left has ended.
            return current.map_or(Next::Stop, |token| Next::Wait(token.expires_at.after(now)));
        }
        let left =
            failures.not_before.map(|at| at.saturating_duration_since(self.clock.monotonic()));
        if let Some(left) = left.filter(|left| !left.is_zero()) {
            return Next::Wait(left);
        }
        self.renew(key, &record, current, failures).await
    }

    async fn renew(
        self: &Arc<Self>,
        key: &AccountKey,
        record: &Record,
        current: Option<AccessToken>,
        failures: &mut Failures,
    ) -> Next {
        let now = self.clock.wall();
        // Only a token that lives longer than the one at hand is a renewal.
        let left = current.as_ref().map_or(Duration::ZERO, |token| token.expires_at.after(now));
        let least = left + Duration::from_secs(1);
        let ask = Ask {
            wanted: Wanted { scopes: None, audiences: record.audiences.clone() },
            validity: Validity::AtLeast(least),
            ..Ask::default()
        };
        let profile = match self.profile_of(record) {
            Ok(profile) => profile,
            Err(ServiceError { message, .. }) => {
                tracing::warn!(uid = key.uid, account = %key.name, %message, "not renewed: {message}");
                return current.map_or(Next::Stop, |_| Next::Wait(left));
            }
        };
        match self.broker.token(key, &profile, &ask).await {
            Ok(given) => {
                *failures = Failures::default();
                let part = self.config().tokens.renew_at;
                let wait = renewal::delay(&given.token, self.clock.wall(), part, self.jitter());
                Next::Wait(wait.max(Duration::from_secs(1)))
            }
            Err(error) => {
                failures.count = failures.count.saturating_add(1);
                let retry_after = error.passing();
                tracing::info!(uid = key.uid, account = %key.name, %error, failures = failures.count, "not renewed: {error}");
                let backoff =
                    renewal::backoff(failures.count, retry_after.flatten(), self.jitter());
                failures.not_before = Some(self.clock.monotonic() + backoff);
                // Back at the latest when the token ends, to take its file away.
                let until_end = current.map(|_| left.max(Duration::from_secs(1)));
                Next::Wait(until_end.map_or(backoff, |end| backoff.min(end)))
            }
        }
    }

    fn jitter(&self) -> f64 {
        self.random.jitter(renewal::SPREAD)
    }
}
