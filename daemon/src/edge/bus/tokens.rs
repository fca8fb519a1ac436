//! `org.iamd1.Tokens`.

use std::sync::Arc;

use iamd_protocol::bus::{TokenOptions, TokenReply};
use zbus::{Connection, interface, message::Header};

use super::{BusError, Callers};
use crate::service::Service;

pub(super) struct Tokens {
    service: Arc<Service>,
    callers: Callers,
}

impl Tokens {
    pub(super) fn new(service: Arc<Service>, callers: Callers) -> Self {
        Self { service, callers }
    }
}

#[interface(name = "org.iamd1.Tokens")]
impl Tokens {
    /// An access token of the caller's account of that name.
    async fn get_token(
        &self,
        account: &str,
        options: TokenOptions,
        #[zbus(header)] header: Header<'_>,
        #[zbus(connection)] connection: &Connection,
    ) -> Result<TokenReply, BusError> {
        let caller = self.callers.of(&header, connection, &self.service).await?;
        Ok(self.service.token(&caller, account, options).await?)
    }
}
