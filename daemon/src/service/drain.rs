//! A node that takes no new sign-ins for a while: before its maintenance, or while its issuer has
//! trouble. Who is signed in notices nothing, and no login is held up.

use iamd_protocol::{
    bus::{DrainInfo, DrainOptions},
    error::Kind,
};

use super::{By, Service, ServiceError};
use crate::session::Draining;

/// The longest reason, in characters: it is shown in one line.
const LONGEST_REASON: usize = 200;

impl Service {
    /// Takes no new sign-ins from now on, or takes them again.
    ///
    /// # Errors
    /// The reason is not fit to be shown, or the decision cannot be kept.
    pub fn set_drain(&self, by: By, options: DrainOptions) -> Result<DrainInfo, ServiceError> {
        let result = self.decide_drain(by, &options);
        let what = match (&options.reason, options.on) {
            (Some(reason), true) => format!("drain: {}", reason.escape_debug()),
            (None, true) => "drain".to_owned(),
            (_, false) => "drain off".to_owned(),
        };
        self.note_administration(by, &what, result.as_ref().err());
        result.map(|()| self.drain_info())
    }

    fn decide_drain(&self, by: By, options: &DrainOptions) -> Result<(), ServiceError> {
        let reason = options.reason.as_deref().map(str::trim).filter(|text| !text.is_empty());
        let fits = |c: char| c.is_ascii_graphic() || c == ' ';
        if reason.is_some_and(|text| text.len() > LONGEST_REASON || !text.chars().all(fits)) {
            let text = format!(
                "the reason must be printable ASCII of {LONGEST_REASON} characters at most: it is shown at logins"
            );
            return Err(ServiceError::new(Kind::InvalidArgument, text));
        }
        let wanted = options.on.then(|| Draining {
            reason: reason.map(str::to_owned),
            since: self.clock.wall(),
            by: by.uid,
        });
        self.drain.set(wanted).map_err(|error| {
            let text = format!("the decision could not be kept, so nothing is changed: {error}");
            ServiceError::new(Kind::StoreUnavailable, text)
        })
    }

    /// Whether it takes new sign-ins, for an administrator.
    pub fn drain_state(&self, by: By) -> DrainInfo {
        self.note_administration(by, "drain state", None);
        self.drain_info()
    }

    fn drain_info(&self) -> DrainInfo {
        let now = self.drain.now();
        DrainInfo {
            on: now.is_some(),
            reason: now.as_ref().and_then(|now| now.reason.clone()),
            since: now.as_ref().map(|now| now.since.0),
            by: now.as_ref().map(|now| now.by),
            logins: u32::try_from(self.logins.running().len()).unwrap_or(u32::MAX),
        }
    }

    /// Whether a new sign-in may begin here.
    ///
    /// # Errors
    /// [`Kind::Draining`], with the administrators' reason.
    pub(super) fn takes_logins(&self) -> Result<(), ServiceError> {
        match self.draining() {
            None => Ok(()),
            Some(text) => Err(ServiceError::new(Kind::Draining, text)),
        }
    }

    /// What a user is told where this node takes no new sign-ins.
    pub(super) fn draining(&self) -> Option<String> {
        let why = self.drain.now()?.reason.map(|reason| format!(": {reason}")).unwrap_or_default();
        Some(format!("{} takes no new sign-ins at the moment{why}", self.node))
    }
}
