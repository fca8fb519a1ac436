//! The socket of `iamctl token`: one question in, one answer out, for everybody.
//!
//! The caller is the uid that the kernel names, and gets what `GetToken` on the bus gives: the same
//! use case, with its rules, limits and records. A peer that stalls costs a task for two seconds; so
//! many connections of one uid that they could be in the way of others are hung up on.

#[cfg(test)]
mod tests;

use std::{
    collections::HashMap,
    io,
    os::unix::fs::PermissionsExt as _,
    path::Path,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use iamd_protocol::{
    error::Kind,
    pam::{self, FrameError},
    token::{Refusal, Reply, Request},
};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{UnixListener, UnixSocket, UnixStream},
};
use zeroize::Zeroizing;

use crate::{
    clock::Clock,
    service::{Service, ServiceError},
};

/// A peer has so long for its question, and again for taking the answer.
const PEER_TIME: Duration = Duration::from_secs(2);
/// Waiting connections; a burst of scripts must not be refused.
const BACKLOG: u32 = 1024;
/// Connections at a time, of one uid and of all.
const OF_ONE: usize = 256;
const AT_ONCE: usize = 4096;

/// The listening socket.
pub struct TokenSocket {
    listener: UnixListener,
    open: Arc<Open>,
}

impl TokenSocket {
    /// Listens at `path`, for everybody. What an earlier daemon left there is replaced.
    ///
    /// # Errors
    /// The file system's, with the path.
    pub fn bind(path: &Path) -> io::Result<Self> {
        let at =
            |error: io::Error| io::Error::new(error.kind(), format!("{}: {error}", path.display()));
        match std::fs::remove_file(path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(at(error)),
            _ => {}
        }
        let socket = UnixSocket::new_stream().map_err(at)?;
        socket.bind(path).map_err(at)?;
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o666)).map_err(at)?;
        Ok(Self { listener: socket.listen(BACKLOG).map_err(at)?, open: Arc::default() })
    }

    /// Serves until the task is aborted.
    pub async fn serve(self, service: Arc<Service>, clock: Arc<dyn Clock>) {
        loop {
            match self.listener.accept().await {
                Ok((stream, _)) => {
                    let Ok(peer) = stream.peer_cred() else { continue };
                    let Some(place) = self.open.enter(peer.uid()) else {
                        tracing::debug!(uid = peer.uid(), "too many connections for tokens");
                        continue;
                    };
                    let pid = peer.pid().and_then(|pid| u32::try_from(pid).ok());
                    let (service, clock) = (Arc::clone(&service), Arc::clone(&clock));
                    tokio::spawn(async move {
                        let _ = converse(stream, peer.uid(), pid, &service, &*clock).await;
                        drop(place);
                    });
                }
                Err(error) => {
                    // Out of descriptors, most likely: those that are open will close.
                    tracing::warn!(%error, "the token socket cannot accept: {error}");
                    clock.sleep(Duration::from_millis(50)).await;
                }
            }
        }
    }
}

/// Nobody hears of an error here but the peer, by the end of the connection.
async fn converse(
    mut stream: UnixStream,
    uid: u32,
    pid: Option<u32>,
    service: &Arc<Service>,
    clock: &dyn Clock,
) -> Result<(), FrameError> {
    let request = tokio::select! {
        request = receive(&mut stream) => request?,
        () = clock.sleep(PEER_TIME) => return Err(timed_out()),
    };
    let answer = match request {
        Ok(request) => give(service, uid, pid, request).await,
        Err(error) => Err(ServiceError::new(Kind::InvalidArgument, error.to_string())),
    };
    let reply = answer.unwrap_or_else(|error| {
        Reply::Error(Refusal { name: error.kind.bus_name(), message: error.message })
    });
    let bytes = Zeroizing::new(pam::encode(&reply)?);
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

/// How many connections each uid has open.
#[derive(Default)]
struct Open(Mutex<HashMap<u32, usize>>);

/// A connection that is counted as long as it is there.
struct Place {
    open: Arc<Open>,
    uid: u32,
}

impl Open {
    fn enter(self: &Arc<Self>, uid: u32) -> Option<Place> {
        let mut open = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if open.values().sum::<usize>() >= AT_ONCE {
            return None;
        }
        let own = open.entry(uid).or_default();
        if *own >= OF_ONE {
            return None;
        }
        *own += 1;
        Some(Place { open: Arc::clone(self), uid })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut open = self.open.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(own) = open.get_mut(&self.uid) {
            *own -= 1;
            if *own == 0 {
                open.remove(&self.uid);
            }
        }
    }
}
