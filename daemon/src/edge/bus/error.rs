//! The one mapping from a service error to a D-Bus error.

use iamd_protocol::error::Kind;
use zbus::{DBusError, Message, message::Header, names::ErrorName};

use crate::service::ServiceError;

/// A [`ServiceError`] on its way out.
#[derive(Debug)]
pub struct BusError {
    kind: Kind,
    name: String,
    message: String,
}

impl From<ServiceError> for BusError {
    fn from(error: ServiceError) -> Self {
        Self { kind: error.kind, name: error.kind.bus_name(), message: error.message }
    }
}

impl BusError {
    pub(super) fn new(kind: Kind, message: impl Into<String>) -> Self {
        ServiceError::new(kind, message).into()
    }

    pub(super) fn kind(&self) -> Kind {
        self.kind
    }
}

impl From<zbus::Error> for BusError {
    fn from(error: zbus::Error) -> Self {
        tracing::warn!(%error, "a bus call could not be served: {error}");
        Self::new(Kind::Internal, "the bus did not answer")
    }
}

impl DBusError for BusError {
    fn create_reply(&self, call: &Header<'_>) -> zbus::Result<Message> {
        Message::error(call, self.name()).build(&(self.message.as_str(),))
    }

    fn name(&self) -> ErrorName<'_> {
        ErrorName::from_str_unchecked(&self.name)
    }

    fn description(&self) -> Option<&str> {
        Some(&self.message)
    }
}
