//! Audit records as tests look at them.

use std::sync::{Arc, Mutex, OnceLock};

use super::TestClock;
use crate::audit::{Audit, Event, Kind, Repeats};

/// What was recorded, in order.
#[derive(Default)]
pub struct TestAudit(pub Mutex<Vec<Recorded>>, OnceLock<Arc<Repeats>>);

/// One record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Recorded {
    pub kind: Kind,
    pub uid: u32,
    pub account: String,
    pub issuer: String,
    pub client: String,
    pub scopes: String,
    pub audience: String,
    pub result: String,
    pub detail: String,
    /// The other fields that it has.
    pub fields: Vec<&'static str>,
}

impl Audit for TestAudit {
    fn record(&self, kind: Kind, event: &Event<'_>) {
        if let Some(repeats) = self.1.get() {
            return repeats.record(kind, event);
        }
        self.0.lock().unwrap().push(Recorded {
            kind,
            uid: event.uid,
            account: event.account.into(),
            issuer: event.issuer.to_owned(),
            client: event.client.to_owned(),
            scopes: event.scopes.clone(),
            audience: event.audience.clone(),
            result: event.result.into(),
            detail: event.detail.clone(),
            fields: fields(event),
        });
    }
}

fn fields(event: &Event<'_>) -> Vec<&'static str> {
    let pid = event.caller_pid.map(|pid| pid.to_string()).unwrap_or_default();
    let all = [
        ("account", event.account),
        ("issuer", event.issuer),
        ("client", event.client),
        ("scopes", &event.scopes),
        ("audience", &event.audience),
        ("token_hash", &event.token_hash),
        ("caller_pid", &pid),
    ];
    all.into_iter().filter(|(_, value)| !value.is_empty()).map(|(name, _)| name).collect()
}

impl TestAudit {
    /// From now on as on a node, where what repeats itself is counted. What is recorded then.
    pub fn bound(&self, clock: Arc<TestClock>) -> (Arc<Self>, Arc<Repeats>) {
        let records = Arc::new(Self::default());
        let repeats = Repeats::before(records.clone(), clock);
        assert!(self.1.set(repeats.clone()).is_ok(), "it is already");
        (records, repeats)
    }

    /// The records of this kind.
    pub fn of(&self, kind: Kind) -> Vec<Recorded> {
        self.0.lock().unwrap().iter().filter(|record| record.kind == kind).cloned().collect()
    }
}
