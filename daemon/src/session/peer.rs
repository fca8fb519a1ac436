//! Who is at the other end of a socket, as the kernel says.
//!
//! The uid is who asks; the pidfd is how long the session lasts. A pid alone is neither: it can
//! belong to another process by the time it is looked up.

use std::{io, os::fd::OwnedFd};

use nix::{
    errno::Errno,
    sys::socket::{getsockopt, sockopt},
};
use tokio::net::UnixStream;

use super::process;

/// The process that connected to a socket.
#[derive(Debug)]
pub struct Peer {
    /// Its effective uid when it connected.
    pub uid: u32,
    /// Its pid, for the log and for the record of the session.
    pub pid: u32,
    /// The process itself.
    pub pidfd: OwnedFd,
}

/// Why a peer is not known.
#[derive(Debug, thiserror::Error)]
pub enum PeerError {
    /// It ended before it was looked at.
    #[error("the peer has ended")]
    Gone,
    /// It is in a process namespace that is not below this one.
    #[error("the peer's process is not visible from here")]
    Invisible,
    /// The kernel refused: out of descriptors, for example.
    #[error("the peer's process: {0}")]
    Io(#[from] io::Error),
}

impl Peer {
    /// The peer of a connected stream. The peer should still be waiting for an answer: where the
    /// kernel has no `SO_PEERPIDFD` (before Linux 6.5), this is what keeps its pid its own.
    ///
    /// # Errors
    /// [`PeerError`]; the connection is then best closed.
    pub fn of(stream: &UnixStream) -> Result<Self, PeerError> {
        let credentials = getsockopt(stream, sockopt::PeerCredentials).map_err(io::Error::from)?;
        let pid = match u32::try_from(credentials.pid()) {
            Ok(pid) if pid > 0 => pid,
            _ => return Err(PeerError::Invisible),
        };
        let pidfd = match getsockopt(stream, sockopt::PeerPidfd) {
            Ok(pidfd) => pidfd,
            Err(Errno::ENOPROTOOPT) => return Self::by_pid(credentials.uid(), pid),
            // What the kernel says of a process that was reaped differs by version.
            Err(Errno::ESRCH | Errno::EINVAL | Errno::ENODATA) => return Err(PeerError::Gone),
            Err(errno) => return Err(PeerError::Io(errno.into())),
        };
        if !process::runs(&pidfd) {
            return Err(PeerError::Gone);
        }
        Ok(Self { uid: credentials.uid(), pid, pidfd })
    }

    fn by_pid(uid: u32, pid: u32) -> Result<Self, PeerError> {
        let pidfd = match process::open(pid) {
            Ok(pidfd) => pidfd,
            Err(error) if error.raw_os_error() == Some(Errno::ESRCH as i32) => {
                return Err(PeerError::Gone);
            }
            Err(error) => return Err(PeerError::Io(error)),
        };
        if !process::runs(&pidfd) {
            return Err(PeerError::Gone);
        }
        Ok(Self { uid, pid, pidfd })
    }
}

#[cfg(test)]
mod tests {
    use std::{os::unix::net::UnixStream as StdStream, process::Command};

    use super::*;

    #[tokio::test]
    async fn the_peer_is_the_process_that_connected() {
        let (here, _there) = UnixStream::pair().unwrap();
        let peer = Peer::of(&here).unwrap();
        assert_eq!(peer.pid, std::process::id());
        assert_eq!(peer.uid, rustix::process::geteuid().as_raw());
        assert!(process::runs(&peer.pidfd));
    }

    #[tokio::test]
    async fn a_peer_that_has_ended_is_gone_even_while_its_socket_is_open() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("s");
        let listener = std::os::unix::net::UnixListener::bind(&path).unwrap();
        // The socket stays open in the grandchild; the one that connected ends.
        let script = "import os,socket,sys\n\
             s=socket.socket(socket.AF_UNIX)\ns.connect(sys.argv[1])\n\
             os.fork() or os.execvp('sleep',['sleep','2'])\nos._exit(0)";
        let Ok(mut child) = Command::new("python3").args(["-c", script]).arg(&path).spawn() else {
            return;
        };
        let (stream, _) = listener.accept().unwrap();
        child.wait().unwrap();
        let error = Peer::of(&tokio_stream(stream)).unwrap_err();
        assert!(matches!(error, PeerError::Gone), "{error}");
    }

    #[test]
    fn without_so_peerpidfd_the_pid_is_opened_and_checked() {
        let mut child = Command::new("sleep").arg("60").spawn().unwrap();
        let peer = Peer::by_pid(7, child.id()).unwrap();
        assert_eq!((peer.uid, peer.pid), (7, child.id()));
        child.kill().unwrap();
        child.wait().unwrap();
        assert!(!process::runs(&peer.pidfd));
        assert!(matches!(Peer::by_pid(7, child.id()), Err(PeerError::Gone)));
    }

    fn tokio_stream(stream: StdStream) -> UnixStream {
        stream.set_nonblocking(true).unwrap();
        UnixStream::from_std(stream).unwrap()
    }
}
