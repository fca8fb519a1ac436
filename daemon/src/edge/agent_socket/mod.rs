//! The socket for oidc-agent's clients: everybody may connect, and the uid of the peer says whose
//! accounts are meant.
//!
//! The protocol has no frames: a message is what one `write` delivered, and its readers ask how
//! much there is and take that. So each message of ours leaves in one write, and what comes in is
//! taken until it is whole (`framing`), whatever pieces it comes in. An answer has the form that
//! the client chose, encrypted or not (`sealing`). One request for each connection.
//!
//! ```text
//! client                                   iamd
//!   {"request":"access_token",…}     ──>
//!                                    <──   {"status":"success","access_token":…}, end
//! or
//!   44 bytes: base64(public key)     ──>
//!                                    <──   44 bytes: base64(public key)
//!   length:base64(nonce):base64(box) ──>
//!                                    <──   length:base64(nonce):base64(box), end
//! ```
//!
//! Who stalls costs a task and a descriptor of their own share (`crowd`), and nobody's time.

mod answer;
mod framing;
#[cfg(any(test, feature = "fuzzing"))]
pub mod fuzzing;
mod inbox;
mod reply;
mod request;
mod sealing;
mod switch;
mod unserved;

#[cfg(test)]
mod tests;

use std::{io, path::Path, sync::Arc, time::Duration};

use nix::sys::resource::{Resource, getrlimit};
use tokio::net::UnixStream;

pub use switch::Switch;

use self::{
    framing::{Message, Opening},
    inbox::Inbox,
    reply::Reply,
    sealing::Channel,
};
use super::{
    crowd::{Crowd, Seat},
    door::{Door, Knock},
};
use crate::{
    clock::{Clock, Random},
    service::Service,
};

/// A peer has so long for each of its messages, and for taking ours.
const PEER_TIME: Duration = Duration::from_secs(2);
/// Connections at a time, of all users; never more than half of the descriptors there are, for
/// logins need some too.
const AT_ONCE: usize = 16_384;

/// What conversations need.
#[derive(Clone)]
pub struct Host {
    /// Who answers.
    pub service: Arc<Service>,
    /// Time.
    pub clock: Arc<dyn Clock>,
    /// Randomness, for keys.
    pub random: Arc<dyn Random>,
}

/// The listening socket.
pub struct AgentSocket {
    door: Door,
}

/// Why a conversation ended before its answer.
#[derive(Debug, thiserror::Error)]
enum Ended {
    /// The peer left, or the kernel says why not.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// The peer took longer than [`PEER_TIME`].
    #[error("the peer stalled")]
    Stalled,
}

impl AgentSocket {
    /// Listens at `path`, for everybody. What an earlier daemon left there is replaced.
    ///
    /// # Errors
    /// The file system's, with the path.
    pub fn bind(path: &Path) -> io::Result<Self> {
        Ok(Self { door: Door::bind(path, 0o666)? })
    }

    /// Serves until the task is aborted; conversations that have begun go on.
    pub async fn serve(mut self, host: Host) {
        let descriptors = getrlimit(Resource::RLIMIT_NOFILE).map_or(1024, |(soft, _)| soft);
        let most = usize::try_from(descriptors / 2).unwrap_or(AT_ONCE).min(AT_ONCE);
        let crowd = Crowd::new("agent", most);
        loop {
            if let Knock::Peer(stream) = self.door.next("agent", &*host.clock).await {
                welcome(stream, &crowd, &host);
            }
        }
    }
}

/// Starts a conversation, or hangs up on somebody who has as many as they may.
fn welcome(stream: UnixStream, crowd: &Crowd, host: &Host) {
    // Of the one who connected, as the kernel noted it then.
    let peer = match stream.peer_cred() {
        Ok(peer) => peer,
        Err(error) => {
            tracing::debug!(%error, "the kernel does not say who connected: {error}");
            return;
        }
    };
    let share = host.service.config().agent_socket.connections;
    let Some(seat) = crowd.enter(peer.uid(), share) else { return };
    let pid = peer.pid().and_then(|pid| u32::try_from(pid).ok());
    let host = host.clone();
    tokio::spawn(async move {
        if let Err(error) = converse(stream, &seat, pid, &host).await {
            // Anybody can bring this about, as often as they like: not for the usual log.
            tracing::debug!(uid = seat.uid(), %error, "a conversation ended early: {error}");
        }
    });
}

async fn converse(
    stream: UnixStream,
    seat: &Seat,
    pid: Option<u32>,
    Host { service, clock, random }: &Host,
) -> Result<(), Ended> {
    let (clock, random) = (&**clock, &**random);
    let mut inbox = Inbox::new(stream);
    let opening = within(clock, inbox.receive(&mut Opening::default())).await?;
    let (channel, request) = match opening {
        Message::Plain(text) => (Channel::Plain, Ok(text)),
        Message::PublicKey(key) => {
            let (ours, channel) = Channel::agree(&key, random);
            within(clock, inbox.send(&ours)).await?;
            let sealed = within(clock, inbox.receive(&mut framing::Sealed)).await?;
            let request = match sealed {
                Message::Sealed(sealed) => channel.open(&sealed).ok_or(unserved::NOT_DECRYPTED),
                _ => Err(unserved::NOT_SEALED),
            };
            (channel, request)
        }
        _ => (Channel::Plain, Err(unserved::NOT_JSON)),
    };
    let reply = match request {
        Ok(text) => {
            // So many of one user are answered at a time; the others wait, and only they.
            let _turn = seat.turn().await;
            answer::answer(service, seat.uid(), pid, &text).await
        }
        Err(error) => Reply::failure(error, ""),
    };
    let bytes = channel.seal(reply, random);
    within(clock, inbox.send(&bytes)).await
}

/// What the peer does, in its time.
async fn within<T>(
    clock: &dyn Clock,
    peer: impl Future<Output = io::Result<T>>,
) -> Result<T, Ended> {
    tokio::select! {
        done = peer => Ok(done?),
        () = clock.sleep(PEER_TIME) => Err(Ended::Stalled),
    }
}
