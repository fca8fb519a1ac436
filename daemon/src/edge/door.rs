//! A listening socket at a path, for whom its mode says, and there again where somebody removed it:
//! who clears out `/run/iamd` would else cut everybody off until the next start.

use std::{
    io,
    os::unix::fs::{MetadataExt as _, PermissionsExt as _},
    path::{Path, PathBuf},
    time::Duration,
};

use nix::sys::stat::{Mode, umask};
use tokio::net::{UnixListener, UnixSocket, UnixStream};

use crate::clock::Clock;

/// Waiting connections: a login storm or a burst of scripts must not be refused, and clients that do
/// not wait get an error when there are more.
const BACKLOG: u32 = 1024;

/// How often it is looked whether the socket is still where its clients look for it.
const LOOK: Duration = Duration::from_secs(2);

/// After an accept that failed, most likely for want of descriptors: those that are open will close.
const PAUSE: Duration = Duration::from_millis(50);

/// The socket.
pub(super) struct Door {
    listener: UnixListener,
    path: PathBuf,
    mode: u32,
    /// What stands at the path, as long as nobody removed it.
    file: (u64, u64),
    /// What is wrong was told; it is told once.
    told: bool,
}

/// What happened at a door.
pub(super) enum Knock {
    /// Somebody connected.
    Peer(UnixStream),
    /// Somebody removed the socket; there is another one now.
    Replaced,
    /// Nothing, for a while.
    Nobody,
}

impl Door {
    /// Listens at `path`, for those whom `mode` lets in. What an earlier daemon left there is
    /// replaced.
    ///
    /// # Errors
    /// The file system's, with the path.
    pub(super) fn bind(path: &Path, mode: u32) -> io::Result<Self> {
        let at =
            |error: io::Error| io::Error::new(error.kind(), format!("{}: {error}", path.display()));
        match std::fs::remove_file(path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(at(error)),
            _ => {}
        }
        let socket = UnixSocket::new_stream().map_err(at)?;
        // Bound under a mask: at no instant is it open to others than it shall be.
        let before = umask(Mode::from_bits_truncate(0o177));
        let bound = socket.bind(path);
        umask(before);
        bound.map_err(at)?;
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).map_err(at)?;
        let file = file_at(path).map_err(at)?;
        let listener = socket.listen(BACKLOG).map_err(at)?;
        Ok(Self { listener, path: path.to_owned(), mode, file, told: false })
    }

    /// The next peer; from time to time it is looked whether the socket, which logs call `name`, is
    /// still there.
    pub(super) async fn next(&mut self, name: &str, clock: &dyn Clock) -> Knock {
        let accepted = tokio::select! {
            accepted = self.listener.accept() => accepted,
            () = clock.sleep(LOOK) => return self.look(name),
        };
        match accepted {
            Ok((stream, _)) => {
                self.told = false;
                Knock::Peer(stream)
            }
            Err(error) => {
                if !std::mem::replace(&mut self.told, true) {
                    tracing::warn!(%error, "the {name} socket cannot accept: {error}");
                }
                clock.sleep(PAUSE).await;
                Knock::Nobody
            }
        }
    }

    /// Puts another socket there where the one that was made is gone.
    fn look(&mut self, name: &str) -> Knock {
        if file_at(&self.path).is_ok_and(|found| found == self.file) {
            return Knock::Nobody;
        }
        match Self::bind(&self.path, self.mode) {
            Ok(another) => {
                *self = another;
                tracing::warn!("somebody removed the {name} socket; there is another one now");
                Knock::Replaced
            }
            Err(error) => {
                if !std::mem::replace(&mut self.told, true) {
                    tracing::error!(%error, "the {name} socket is gone and no other can be made: {error}");
                }
                Knock::Nobody
            }
        }
    }
}

/// What stands at a path.
fn file_at(path: &Path) -> io::Result<(u64, u64)> {
    let found = std::fs::symlink_metadata(path)?;
    Ok((found.dev(), found.ino()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn so_many_wait_and_are_not_refused() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("door.sock");
        let _door = Door::bind(&path, 0o600).unwrap();
        // Nobody is taken in: without a place in the queue, connecting would wait or fail.
        let all = async {
            let mut waiting = Vec::new();
            for _ in 0..600 {
                waiting.push(UnixStream::connect(&path).await.unwrap());
            }
            waiting.len()
        };
        let waiting = tokio::time::timeout(Duration::from_secs(10), all).await;
        assert_eq!(waiting.expect("the queue is shorter"), 600);
    }
}
