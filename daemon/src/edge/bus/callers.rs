//! Who calls: the uid that the bus vouches for, by unique name.
//!
//! A unique name is never given twice while a bus lives, so what was asked once stays true until
//! the name goes away.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
};

use futures_util::StreamExt as _;
use iamd_protocol::error::Kind;
use zbus::{Connection, fdo::DBusProxy, message::Header, names::BusName};

use super::BusError;
use crate::service::{Caller, Service};

/// The most callers remembered; beyond that they are asked for each time.
const MOST: usize = 4096;

/// A uid and the process, as the bus gave them.
type Credentials = (u32, Option<u32>);

/// The callers by unique name.
#[derive(Clone, Default)]
pub struct Callers {
    known: Arc<Mutex<HashMap<String, Credentials>>>,
    /// Instead of a bus: who is at the other end of a peer-to-peer connection.
    fixed: Option<Credentials>,
}

impl Callers {
    /// For a connection without a bus between: everybody is this uid.
    pub fn always(uid: u32) -> Self {
        Self { fixed: Some((uid, None)), ..Self::default() }
    }

    /// The caller of a method.
    pub(super) async fn of(
        &self,
        header: &Header<'_>,
        connection: &Connection,
        service: &Service,
    ) -> Result<Caller, BusError> {
        let (uid, pid) = self.credentials(header, connection).await?;
        Ok(service.caller(uid, pid).await?)
    }

    /// The caller's uid and process.
    pub(super) async fn credentials(
        &self,
        header: &Header<'_>,
        connection: &Connection,
    ) -> Result<Credentials, BusError> {
        if let Some(fixed) = self.fixed {
            return Ok(fixed);
        }
        let unknown = || BusError::new(Kind::NotAuthorized, "the bus does not say who is calling");
        let sender = header.sender().ok_or_else(unknown)?.to_owned();
        if let Some(known) = self.lock().get(sender.as_str()) {
            return Ok(*known);
        }
        let bus = DBusProxy::new(connection).await?;
        let credentials = bus
            .get_connection_credentials(BusName::from(sender.clone()))
            .await
            .map_err(|_| unknown())?;
        let uid = credentials.unix_user_id().ok_or_else(unknown)?;
        let found = (uid, credentials.process_id());
        let mut known = self.lock();
        if known.len() < MOST {
            known.insert(sender.to_string(), found);
        }
        Ok(found)
    }

    /// Forgets callers as they leave the bus.
    pub(super) async fn follow(&self, connection: &Connection) -> zbus::Result<()> {
        let bus = DBusProxy::new(connection).await?;
        let mut changes = bus.receive_name_owner_changed().await?;
        let callers = self.clone();
        tokio::spawn(async move {
            while let Some(change) = changes.next().await {
                if let Ok(change) = change.args()
                    && change.new_owner().is_none()
                {
                    callers.lock().remove(change.name().as_str());
                }
            }
            callers.lock().clear();
        });
        Ok(())
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<String, Credentials>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
