//! The D-Bus service `org.iamd1`. Every method finds out who calls, translates, and calls the
//! service; nothing is decided here.

mod accounts;
mod admin;
mod callers;
mod error;
mod pipes;
mod secrets;
mod tokens;

#[cfg(test)]
mod tests;

use std::{sync::Arc, time::Duration};

use iamd_protocol::bus::{NAME, PATH};
use zbus::{Connection, connection::Builder};

pub use callers::Callers;
pub use error::BusError;

use crate::{clock::Clock, service::Service};

/// The interfaces at [`PATH`] on a connection that is being made.
pub fn serve_on<'a>(
    builder: Builder<'a>,
    service: &Arc<Service>,
    callers: &Callers,
) -> Builder<'a> {
    let (service, callers) = (service.clone(), callers.clone());
    builder
        .serve_at(PATH, tokens::Tokens::new(service.clone(), callers.clone()))
        .serve_at(PATH, accounts::Accounts::new(service.clone(), callers.clone()))
        .serve_at(PATH, admin::Admin::new(service, callers))
}

/// Connects to the bus, takes the name, and serves there.
///
/// # Errors
/// The bus is away, or the name is taken or not ours to take.
pub async fn connect(builder: Builder<'_>, service: &Arc<Service>) -> zbus::Result<Connection> {
    let callers = Callers::default();
    let connection = serve_on(builder, service, &callers).build().await?;
    callers.follow(&connection).await?;
    // The name last: who can find us finds all of us.
    connection.request_name(NAME).await?;
    Ok(connection)
}

/// Serves until the task is aborted, and comes back when the bus was restarted.
pub async fn serve(mut connection: Connection, service: Arc<Service>, clock: Arc<dyn Clock>) {
    loop {
        connection.closed().await;
        tracing::warn!("the bus went away; logins and token files go on without it");
        connection = loop {
            clock.sleep(Duration::from_secs(1)).await;
            match connect(Builder::system(), &service).await {
                Ok(connection) => break connection,
                Err(error) => tracing::debug!(%error, "the bus is still away: {error}"),
            }
        };
        tracing::info!("back on the bus");
    }
}
