//! The interfaces over a connection of their own, with real marshalling and no bus between.

mod accounts;
mod admin;
mod calls;
mod contract;
mod hostile;
mod passphrases;
mod passwords;
mod refused;
mod texts;

use std::{collections::HashMap, os::unix::net::UnixStream, time::Duration};

use futures_util::StreamExt as _;
use iamd_protocol::{
    bus::{ACCOUNTS, ADMIN, NAME, PATH, TOKENS},
    error::Kind,
};
use zbus::{
    Connection, DynamicType, Guid, Message, MessageStream, Variant, interface,
    message::Type as MessageType,
};

use super::*;
use crate::{service::ServiceError, testing::*};

/// A service and somebody who calls it.
struct Line {
    house: House,
    client: Connection,
    server: Connection,
}

/// Fails as it is told, to see each error on the wire.
struct Fails;

#[interface(name = "org.iamd1.Test")]
impl Fails {
    fn fail(&self, name: &str) -> Result<(), BusError> {
        let kind = Kind::from_bus_name(name).unwrap();
        Err(ServiceError::new(kind, format!("about {name}")).into())
    }
}

type Prepare = fn(Builder<'static>) -> Builder<'static>;

impl Line {
    /// Everybody who calls is this uid.
    async fn of(uid: u32) -> Self {
        Self::between(House::new(), Callers::always(uid), |client| client).await
    }

    async fn between(house: House, callers: Callers, prepare: Prepare) -> Self {
        let (here, there) = UnixStream::pair().unwrap();
        let server = Builder::unix_stream(there).server(Guid::generate()).p2p();
        let server = serve_on(server, &house.service, &callers).serve_at("/test", Fails);
        let client = prepare(Builder::unix_stream(here).p2p());
        let (server, client) = tokio::join!(server.build(), client.build());
        Self { house, client: client.unwrap(), server: server.unwrap() }
    }

    /// The reply to a call, or the name of the error.
    async fn call<B>(&self, interface: &str, member: &str, body: &B) -> Result<Message, String>
    where
        B: serde::Serialize + DynamicType,
    {
        let interface = Some(interface);
        let reply = self.client.call_method(None::<&str>, PATH, interface, member, body).await;
        reply.map_err(|error| match error {
            zbus::Error::MethodError(name, ..) => name.to_string(),
            zbus::Error::FDO(error) => zbus::DBusError::name(&*error).to_string(),
            other => panic!("{member}: {other}"),
        })
    }

    /// The same, from somebody with a name on the bus.
    async fn call_as(&self, sender: &str, interface: &str, member: &str) -> Result<(), String> {
        self.call_with(sender, interface, member, &()).await
    }

    /// A call of administration, with arguments, from somebody with a name on the bus.
    async fn says<B>(&self, sender: &str, member: &str, body: &B) -> Result<(), String>
    where
        B: serde::Serialize + DynamicType,
    {
        self.call_with(sender, ADMIN, member, body).await
    }

    async fn call_with<B>(
        &self,
        sender: &str,
        interface: &str,
        member: &str,
        body: &B,
    ) -> Result<(), String>
    where
        B: serde::Serialize + DynamicType,
    {
        let call = Message::method_call(PATH, member).interface(interface).sender(sender);
        self.replied(call.build(body).unwrap()).await
    }

    /// What comes back of a call.
    async fn replied(&self, call: Message) -> Result<(), String> {
        self.told(call).await.map_err(|(name, _)| name)
    }

    /// The same, with what an error says besides its name.
    async fn told(&self, call: Message) -> Result<(), (String, String)> {
        let serial = call.primary_header().serial_num();
        let mut replies = MessageStream::from(&self.client);
        self.client.send(&call).await.unwrap();
        loop {
            let reply = replies.next().await.unwrap().unwrap();
            let header = reply.header();
            if header.reply_serial() != Some(serial) {
                continue;
            }
            return match reply.message_type() {
                MessageType::Error => {
                    let name = header.error_name().unwrap().to_string();
                    Err((name, reply.body().deserialize().unwrap_or_default()))
                }
                _ => Ok(()),
            };
        }
    }
}

/// The name on the wire.
fn named(kind: Kind) -> Option<String> {
    Some(kind.bus_name())
}

fn options<const N: usize>(
    members: [(&'static str, Variant<'static>); N],
) -> HashMap<&'static str, Variant<'static>> {
    members.into_iter().collect()
}

const NOTHING: [(&str, Variant<'static>); 0] = [];
const PATIENCE: Duration = Duration::from_secs(10);
