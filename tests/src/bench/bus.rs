//! Calls on the system bus, one after the other on one connection: an empty method of iamd
//! (`org.freedesktop.DBus.Peer.Ping` at its object, which zbus answers without the product's doing
//! anything), and `GetToken` of a token that is in memory. Runs on the node, as the user.

use std::time::Duration;

use iamd_protocol::bus::{NAME, PATH, TOKENS, TokenOptions};
use serde_json::{Value, json};
use zbus::Connection;
use zbus::connection::Builder;

use crate::clock;
use crate::error::{Error, Result};

/// A call takes no longer.
const LIMIT: Duration = Duration::from_secs(20);

/// The plan of so many rounds of so many calls of each kind.
pub fn plan(rounds: usize, calls: usize) -> Value {
    json!({"what": "bus", "rounds": rounds, "calls": calls})
}

/// Calls per second, by rounds.
pub fn measure(plan: &Value) -> Result<Value> {
    let number = |name: &str| plan[name].as_u64().unwrap_or(1) as usize;
    let (rounds, calls) = (number("rounds"), number("calls"));
    zbus::block_on(async {
        let connection = Builder::system().method_timeout(LIMIT).build().await?;
        // What the first call of each finds out is remembered.
        ping(&connection).await?;
        token(&connection).await?;
        let (mut empty, mut tokens) = (Vec::new(), Vec::new());
        for round in 0..rounds {
            for turn in 0..2 {
                let start = clock::now();
                let pings = (round + turn) % 2 == 0;
                for _ in 0..calls {
                    if pings { ping(&connection).await? } else { token(&connection).await? }
                }
                let per_second = calls as f64 / start.elapsed().as_secs_f64();
                if pings { empty.push(per_second) } else { tokens.push(per_second) }
            }
        }
        Ok(json!({"empty": empty, "token": tokens}))
    })
    .map_err(|error: zbus::Error| Error::Wrong(format!("the bus: {error}")))
}

async fn ping(connection: &Connection) -> zbus::Result<()> {
    let peer = Some("org.freedesktop.DBus.Peer");
    connection.call_method(Some(NAME), PATH, peer, "Ping", &()).await.map(|_| ())
}

async fn token(connection: &Connection) -> zbus::Result<()> {
    let asked = ("", TokenOptions::default());
    connection.call_method(Some(NAME), PATH, Some(TOKENS), "GetToken", &asked).await.map(|_| ())
}
