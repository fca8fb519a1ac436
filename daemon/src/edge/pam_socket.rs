//! The socket of the PAM module: one frame in, one frame out, for root only.
//!
//! Who is asking comes from the kernel. A peer that stalls costs a task and nobody's time. Root that
//! sends a frame too long or none at all is told so by name; anybody else is hung up on.

#[cfg(test)]
mod tests;

use std::{io, path::Path, sync::Arc, time::Duration};

use iamd_protocol::pam::{self, FrameError, Reply, Request};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::UnixStream,
    sync::Semaphore,
};

use super::door::{Door, Knock};
use crate::{
    clock::Clock,
    service::{NewLogin, Service},
    session::Peer,
};

/// A peer has so long for its request, and again for taking the reply.
const PEER_TIME: Duration = Duration::from_secs(2);
/// Conversations at a time.
const AT_ONCE: usize = 1024;

/// The listening socket.
pub struct PamSocket {
    door: Door,
}

impl PamSocket {
    /// Listens at `path`, for its owner only. What an earlier daemon left there is replaced.
    ///
    /// # Errors
    /// The file system's, with the path.
    pub fn bind(path: &Path) -> io::Result<Self> {
        Ok(Self { door: Door::bind(path, 0o600)? })
    }

    /// Serves until the task is aborted.
    pub async fn serve(mut self, service: Arc<Service>, clock: Arc<dyn Clock>) {
        let places = Arc::new(Semaphore::new(AT_ONCE));
        loop {
            let Ok(place) = Arc::clone(&places).acquire_owned().await else { return };
            match self.door.next("PAM", &*clock).await {
                Knock::Peer(stream) => {
                    let (service, clock) = (Arc::clone(&service), Arc::clone(&clock));
                    tokio::spawn(async move {
                        if let Err(error) = converse(stream, &service, &*clock).await {
                            tracing::info!(%error, "a PAM conversation ended early: {error}");
                        }
                        drop(place);
                    });
                }
                Knock::Replaced => service.files_were_removed(),
                Knock::Nobody => {}
            }
        }
    }
}

async fn converse(
    mut stream: UnixStream,
    service: &Arc<Service>,
    clock: &dyn Clock,
) -> Result<(), FrameError> {
    let request = tokio::select! {
        request = receive(&mut stream, service.config().limits.frame_bytes) => request?,
        () = clock.sleep(PEER_TIME) => return Err(timed_out()),
    };
    let peer = Peer::of(&stream).map_err(|error| io::Error::other(error.to_string()))?;
    // The file mode says so already; the kernel's word counts.
    if peer.uid != 0 && peer.uid != nix::unistd::geteuid().as_raw() {
        return Err(io::Error::from(io::ErrorKind::PermissionDenied).into());
    }
    let reply = match request {
        Ok(Request::Open(open)) => {
            service.open_session(NewLogin { open, pid: peer.pid, pidfd: peer.pidfd }).await
        }
        Ok(Request::Close(close)) => service.close_session(close.session),
        Err(refusal) => Reply::Refused { reason: refusal.to_string() },
    };
    if let Reply::Refused { reason } = &reply {
        tracing::warn!(pid = peer.pid, %reason, "the PAM module was refused: {reason}");
    }
    let bytes = pam::encode(&reply)?;
    tokio::select! {
        written = stream.write_all(&bytes) => Ok(written?),
        () = clock.sleep(PEER_TIME) => Err(timed_out()),
    }
}

/// Why a frame is not taken.
#[derive(Debug, thiserror::Error)]
enum Refusal {
    #[error("{}: a frame of {length} bytes; limits.frame_bytes allows {most}", pam::FRAME_TOO_LONG)]
    TooLong { length: u32, most: usize },
    #[error("{}: {error}", pam::FRAME_MALFORMED)]
    Malformed { error: FrameError },
}

/// Reads one frame, and of one that is too long the header only.
///
/// # Errors
/// The transport's: there is nobody to answer.
async fn receive(stream: &mut UnixStream, most: usize) -> io::Result<Result<Request, Refusal>> {
    let mut header = [0; 4];
    stream.read_exact(&mut header).await?;
    let length = u32::from_le_bytes(header);
    if length as usize > most {
        return Ok(Err(Refusal::TooLong { length, most }));
    }
    let mut body = match pam::body_length(header) {
        Ok(length) => vec![0; length],
        Err(error) => return Ok(Err(Refusal::Malformed { error })),
    };
    stream.read_exact(&mut body).await?;
    Ok(pam::decode(&body).map_err(|error| Refusal::Malformed { error }))
}

fn timed_out() -> FrameError {
    io::Error::from(io::ErrorKind::TimedOut).into()
}
