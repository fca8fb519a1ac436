//! The socket of `iamctl token`: one question in, one answer out, for everybody.
//!
//! The caller is the uid that the kernel noted when the peer connected, and gets what `GetToken` on
//! the bus gives: the same use case, with its rules, limits and records, and the same errors. A peer
//! that stalls costs a task and a descriptor of their own share (`crowd`) for two seconds,
//! and nobody's time.

#[cfg(test)]
mod tests;

use std::{io, path::Path, sync::Arc, time::Duration};

use iamd_protocol::{
    error::Kind,
    pam::{self, FrameError},
    token::{Refusal, Reply, Request},
};
use nix::sys::resource::{Resource, getrlimit};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::UnixStream,
};
use zeroize::Zeroizing;

use super::{
    crowd::{Crowd, Seat},
    door::{Door, Knock},
};
use crate::{
    clock::Clock,
    service::{Service, ServiceError},
};

/// A peer has so long for its question, and again for taking the answer.
const PEER_TIME: Duration = Duration::from_secs(2);
/// Connections at a time, of one uid and of all; never more than an eighth of the descriptors there
/// are, for logins and the other sockets need some too.
const OF_ONE: usize = 256;
const AT_ONCE: usize = 4096;

/// The listening socket.
pub struct TokenSocket {
    door: Door,
}

impl TokenSocket {
    /// Listens at `path`, for everybody. What an earlier daemon left there is replaced.
    ///
    /// # Errors
    /// The file system's, with the path.
    pub fn bind(path: &Path) -> io::Result<Self> {
        Ok(Self { door: Door::bind(path, 0o666)? })
    }

    /// Serves until the task is aborted; conversations that have begun go on.
    pub async fn serve(mut self, service: Arc<Service>, clock: Arc<dyn Clock>) {
        let descriptors = getrlimit(Resource::RLIMIT_NOFILE).map_or(1024, |(soft, _)| soft);
        let most = usize::try_from(descriptors / 8).unwrap_or(AT_ONCE).min(AT_ONCE);
        let crowd = Crowd::new("token", most);
        loop {
            if let Knock::Peer(stream) = self.door.next("token", &*clock).await {
                welcome(stream, &crowd, &service, &clock);
            }
        }
    }
}

/// Starts a conversation; somebody who has as many as they may is told so.
fn welcome(stream: UnixStream, crowd: &Crowd, service: &Arc<Service>, clock: &Arc<dyn Clock>) {
    // Of the one who connected, as the kernel noted it then.
    let peer = match stream.peer_cred() {
        Ok(peer) => peer,
        Err(error) => {
            tracing::debug!(%error, "the kernel does not say who connected: {error}");
            return;
        }
    };
    let Some(seat) = crowd.enter(peer.uid(), OF_ONE) else {
        // There is room for it in the socket: nobody waits.
        if let Ok(bytes) = pam::encode(&refused(ServiceError::too_many_requests())) {
            let _ = stream.try_write(&bytes);
        }
        return;
    };
    let pid = peer.pid().and_then(|pid| u32::try_from(pid).ok());
    let (service, clock) = (Arc::clone(service), Arc::clone(clock));
    tokio::spawn(async move {
        if let Err(error) = converse(stream, &seat, pid, &service, &*clock).await {
            // Anybody can bring this about, as often as they like: not for the usual log.
            tracing::debug!(uid = seat.uid(), %error, "a question for a token ended early: {error}");
        }
    });
}

async fn converse(
    mut stream: UnixStream,
    seat: &Seat,
    pid: Option<u32>,
    service: &Arc<Service>,
    clock: &dyn Clock,
) -> Result<(), FrameError> {
    let request = tokio::select! {
        request = receive(&mut stream) => request?,
        () = clock.sleep(PEER_TIME) => return Err(timed_out()),
    };
    let answer = match request {
        Ok(request) => {
            // So many of one user are answered at a time; the others wait, and only they.
            let _turn = seat.turn().await;
            give(service, seat.uid(), pid, request).await
        }
        Err(error) => Err(ServiceError::new(Kind::InvalidArgument, error.to_string())),
    };
    let bytes = Zeroizing::new(pam::encode(&answer.unwrap_or_else(refused))?);
    tokio::select! {
        written = stream.write_all(&bytes) => Ok(written?),
        () = clock.sleep(PEER_TIME) => Err(timed_out()),
    }
}

async fn give(
    service: &Arc<Service>,
    uid: u32,
    pid: Option<u32>,
    request: Request,
) -> Result<Reply, ServiceError> {
    let caller = service.caller(uid, pid).await?;
    let (account, options) = request.into_options();
    Ok(Reply::Token(service.token(&caller, &account, options).await?.into()))
}

fn refused(error: ServiceError) -> Reply {
    Reply::Error(Refusal { name: error.kind.bus_name(), message: error.message })
}

/// Reads one frame.
///
/// # Errors
/// The transport's: there is nobody to answer. Within it, what is wrong with the frame.
async fn receive(stream: &mut UnixStream) -> io::Result<Result<Request, FrameError>> {
    let mut header = [0; 4];
    stream.read_exact(&mut header).await?;
    let mut body = match pam::body_length(header) {
        Ok(length) => vec![0; length],
        Err(error) => return Ok(Err(error)),
    };
    stream.read_exact(&mut body).await?;
    Ok(pam::decode(&body))
}

fn timed_out() -> FrameError {
    io::Error::from(io::ErrorKind::TimedOut).into()
}
