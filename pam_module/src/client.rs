//! One request to the daemon and one reply, with one deadline for connect, write and read.
//!
//! Each call gets what is left of the deadline as its timeout, so that neither a full backlog
//! nor a daemon that sends a byte a second can hold a login longer. The frames are those of
//! [`iamd_protocol::pam`].

use std::io::{self, ErrorKind, Read, Write};
use std::os::unix::net::UnixStream;

use iamd_protocol::pam::{self, FrameError, MAX_BODY, Reply, Request};

use crate::args::Args;
use crate::deadline::Deadline;
use crate::sys;

/// Why there is no reply. The text is for the log and says where to look.
#[derive(Debug)]
pub(crate) enum AskError {
    /// No connection.
    Connect(io::Error),
    /// Someone else than the daemon listens.
    Owner(u32),
    /// The deadline passed while the conversation was here.
    Late(&'static str),
    /// The request has so many bytes, more than a frame takes.
    TooLong(u32),
    /// What came back, or did not, is not a reply.
    Frame(FrameError),
}

impl std::fmt::Display for AskError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Connect(error) => match error.kind() {
                ErrorKind::NotFound => write!(f, "no socket: is iamd installed and running?"),
                ErrorKind::ConnectionRefused => write!(f, "nobody listens: is iamd running?"),
                _ => write!(f, "cannot connect: {error}"),
            },
            Self::Owner(uid) => write!(f, "the socket is served by uid {uid}: not trusted"),
            Self::Late(at) => write!(f, "no answer within the deadline (at {at})"),
            Self::TooLong(length) => {
                write!(f, "a request of {length} bytes, and {MAX_BODY} are allowed")
            }
            Self::Frame(FrameError::Io(error)) => write!(f, "the daemon hung up: {error}"),
            Self::Frame(error) => write!(f, "not a reply: {error}"),
        }
    }
}

/// Asks the daemon at `args.socket`, and takes `args.deadline` at most.
///
/// # Errors
/// Any [`AskError`]; none of them is worth a login.
pub(crate) fn ask(args: &Args, request: &Request) -> Result<Reply, AskError> {
    let deadline = Deadline::after(args.deadline);
    let stream = sys::connect(&args.socket, &deadline).map_err(|error| match is_late(&error) {
        true => AskError::Late("connect, its backlog is full"),
        false => AskError::Connect(error),
    })?;
    match sys::peer_uid(&stream).map_err(AskError::Connect)? {
        uid if uid == args.socket_uid => {}
        uid => return Err(AskError::Owner(uid)),
    }
    converse(&mut Timed { stream, deadline }, request)
}

fn converse(timed: &mut Timed, request: &Request) -> Result<Reply, AskError> {
    match pam::write(timed, request) {
        Ok(()) => pam::read(timed).map_err(|error| frame_error(error, "read")),
        Err(FrameError::Length(length)) => Err(AskError::TooLong(length)),
        Err(FrameError::Io(error)) if !is_late(&error) => match pam::read(timed) {
            // It said why before it hung up, and did not wait for the rest of the request.
            Ok(refused @ Reply::Refused { .. }) => Ok(refused),
            _ => Err(AskError::Frame(error.into())),
        },
        Err(error) => Err(frame_error(error, "write")),
    }
}

fn frame_error(error: FrameError, at: &'static str) -> AskError {
    match error {
        FrameError::Io(error) if is_late(&error) => AskError::Late(at),
        error => AskError::Frame(error),
    }
}

/// The kernel reports a timeout set by `SO_SNDTIMEO` or `SO_RCVTIMEO` as `EAGAIN` (socket(7)).
fn is_late(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut)
}

/// A stream whose calls share one deadline.
struct Timed {
    stream: UnixStream,
    deadline: Deadline,
}

impl Read for Timed {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.stream.set_read_timeout(Some(self.deadline.remaining()?))?;
        self.stream.read(buffer)
    }
}

impl Write for Timed {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.stream.set_write_timeout(Some(self.deadline.remaining()?))?;
        sys::send(&self.stream, bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests;
