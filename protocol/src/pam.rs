//! The conversation between `pam_iam.so` and `iamd`.
//!
//! The module connects to [`crate::paths::PAM_SOCKET`], sends one [`Request`], reads one
//! [`Reply`] and closes. There is no second round trip and no state on the connection: the
//! daemon takes who is asking from the kernel (`SO_PEERCRED`, a pidfd of the peer), never from
//! the frame.
//!
//! A frame:
//!
//! ```text
//!  0        4                      4+length
//!  +--------+----------------------+
//!  | length | body: JSON, UTF-8    |      length: u32, little endian, 1 ..= 65536
//!  +--------+----------------------+
//! ```
//!
//! End of file before the end of a frame is an error at once; a length above [`MAX_BODY`] is an
//! error before a byte of the body is read. A daemon answers a frame that it does not take with
//! [`Reply::Refused`], whose reason begins with [`FRAME_TOO_LONG`] or [`FRAME_MALFORMED`], and
//! closes, perhaps before all of the frame was sent: a write that fails does not mean that there is
//! no reply. Unknown fields are ignored on both sides, so that a module and a daemon of neighbouring
//! versions understand each other.
//!
//! ```
//! use iamd_protocol::pam::*;
//! let open = Request::Open(Open { uid: 1001, user: "alice".into(), service: "sshd".into(),
//!     rhost: Some("192.0.2.7".into()), tty: Some("ssh".into()), quiet: false });
//! let bytes = encode(&open).unwrap();
//! assert_eq!(&bytes[4..], br#"{"open":{"uid":1001,"user":"alice","service":"sshd","rhost":"192.0.2.7","tty":"ssh","quiet":false}}"#);
//! let back: Request = read(&mut bytes.as_slice()).unwrap();
//! assert_eq!(back, open);
//! ```

use std::io::{self, Read, Write};

use serde::{Deserialize, Serialize, de::DeserializeOwned};

/// The longest body of a frame, in bytes.
pub const MAX_BODY: usize = 64 * 1024;
/// The longest notice a daemon sends, in bytes; a module cuts nothing and refuses more.
pub const MAX_NOTICE: usize = 4096;
/// The module's default deadline for connect, write and read together, in milliseconds.
pub const DEFAULT_DEADLINE_MS: u64 = 1000;
/// The bounds of that deadline, in milliseconds.
pub const DEADLINE_BOUNDS_MS: (u64, u64) = (50, 2000);
/// How long the daemon may take to answer, in milliseconds: it must fit the default deadline.
pub const ANSWER_WITHIN_MS: u64 = 700;
/// The services the module acts for when the site names none.
pub const DEFAULT_SERVICES: [&str; 2] = ["sshd", "login"];

/// How the reason begins when a frame is longer than the daemon's limit.
pub const FRAME_TOO_LONG: &str = "FrameTooLong";
/// How the reason begins when a frame is not a [`Request`].
pub const FRAME_MALFORMED: &str = "FrameMalformed";

/// What the module asks.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Request {
    /// A session was opened; the peer's process is the session's life.
    Open(Open),
    /// A session was closed.
    Close(Close),
}

/// A session that was just opened.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Open {
    /// The user's uid, as the name service gave it to the module.
    pub uid: u32,
    /// The user's name (`PAM_USER`).
    pub user: String,
    /// `PAM_SERVICE`.
    pub service: String,
    /// `PAM_RHOST`, where the login came from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rhost: Option<String>,
    /// `PAM_TTY`; sshd says `ssh`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tty: Option<String>,
    /// The caller asked for silence (`PAM_SILENT`): no notice.
    #[serde(default)]
    pub quiet: bool,
}

/// The end of a session.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Close {
    /// The identifier that [`Opened::session`] gave.
    pub session: String,
}

/// What the daemon answers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reply {
    /// The session is registered.
    Opened(Opened),
    /// The session is closed, or was not known.
    Closed,
    /// Nothing to do for this user or service; not an error.
    Ignored,
    /// The request could not be served; for the log.
    Refused {
        /// Why, in one line without secrets.
        reason: String,
    },
}

/// What a session gets.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Opened {
    /// To be sent back in [`Close`].
    pub session: String,
    /// Variables for the user's environment, each set only where it is not set yet.
    #[serde(default)]
    pub environment: Vec<(String, String)>,
    /// What to show to the user, lines separated by `\n`, printable ASCII, no newline at the end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub notice: Option<String>,
}

/// What is wrong with a frame.
#[derive(Debug)]
pub enum FrameError {
    /// The transport failed, or ended inside a frame (`UnexpectedEof`).
    Io(io::Error),
    /// The length is zero or above [`MAX_BODY`].
    Length(u32),
    /// The body is not the JSON of the expected type.
    Body(serde_json::Error),
}

impl std::fmt::Display for FrameError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Io(error) => write!(f, "transport: {error}"),
            Self::Length(length) => {
                write!(f, "a frame of {length} bytes (allowed: 1 to {MAX_BODY})")
            }
            // The text of a serde error quotes what it read; position and kind are enough.
            Self::Body(error) => {
                write!(f, "malformed body at column {} ({:?})", error.column(), error.classify())
            }
        }
    }
}

impl std::error::Error for FrameError {}

impl From<io::Error> for FrameError {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

/// The bytes of one frame.
///
/// # Errors
/// [`FrameError::Length`] when the body would be longer than [`MAX_BODY`].
pub fn encode<T: Serialize>(message: &T) -> Result<Vec<u8>, FrameError> {
    let mut bytes = vec![0; 4];
    serde_json::to_writer(&mut bytes, message).map_err(FrameError::Body)?;
    let length = u32::try_from(bytes.len() - 4).unwrap_or(u32::MAX);
    check_length(length)?;
    bytes[..4].copy_from_slice(&length.to_le_bytes());
    Ok(bytes)
}

/// The length of the body that follows this header.
///
/// # Errors
/// [`FrameError::Length`] when it is out of bounds.
pub fn body_length(header: [u8; 4]) -> Result<usize, FrameError> {
    check_length(u32::from_le_bytes(header))
}

/// The message in a body.
///
/// # Errors
/// [`FrameError::Body`] when it is not one.
pub fn decode<T: DeserializeOwned>(body: &[u8]) -> Result<T, FrameError> {
    serde_json::from_slice(body).map_err(FrameError::Body)
}

/// Reads one frame from a blocking transport. Deadlines are the transport's.
///
/// # Errors
/// Any [`FrameError`]; end of file inside a frame is [`FrameError::Io`].
pub fn read<T: DeserializeOwned>(from: &mut impl Read) -> Result<T, FrameError> {
    let mut header = [0; 4];
    from.read_exact(&mut header)?;
    let mut body = vec![0; body_length(header)?];
    from.read_exact(&mut body)?;
    decode(&body)
}

/// Writes one frame, in one call, to a blocking transport.
///
/// # Errors
/// [`FrameError::Length`] or [`FrameError::Io`].
pub fn write<T: Serialize>(to: &mut impl Write, message: &T) -> Result<(), FrameError> {
    to.write_all(&encode(message)?)?;
    Ok(())
}

fn check_length(length: u32) -> Result<usize, FrameError> {
    match length as usize {
        length @ 1..=MAX_BODY => Ok(length),
        _ => Err(FrameError::Length(length)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn opened() -> Reply {
        Reply::Opened(Opened {
            session: "17-4".into(),
            environment: vec![("BEARER_TOKEN_FILE".into(), "/run/iamd/users/1/bt_u1".into())],
            notice: None,
        })
    }

    #[test]
    fn a_reply_survives_the_way_there_and_back() {
        let bytes = encode(&opened()).unwrap();
        assert_eq!(read::<Reply>(&mut bytes.as_slice()).unwrap(), opened());
    }

    #[test]
    fn end_of_file_inside_a_frame_is_an_error_at_every_byte() {
        let bytes = encode(&opened()).unwrap();
        for cut in 0..bytes.len() {
            let error = read::<Reply>(&mut &bytes[..cut]).unwrap_err();
            assert!(matches!(error, FrameError::Io(e) if e.kind() == io::ErrorKind::UnexpectedEof));
        }
    }

    #[test]
    fn a_length_out_of_bounds_is_refused_before_the_body_is_read() {
        for length in [0u32, MAX_BODY as u32 + 1, u32::MAX] {
            let error = read::<Reply>(&mut length.to_le_bytes().as_slice()).unwrap_err();
            assert!(matches!(error, FrameError::Length(l) if l == length), "{error}");
        }
    }

    #[test]
    fn a_message_above_the_bound_is_not_sent() {
        let reply = Reply::Refused { reason: "x".repeat(MAX_BODY) };
        assert!(matches!(encode(&reply), Err(FrameError::Length(_))));
    }

    #[test]
    fn unknown_fields_are_ignored_and_missing_ones_have_defaults() {
        let body = br#"{"open":{"uid":1,"user":"a","service":"sshd","later":[1]}}"#;
        let Request::Open(open) = decode(body).unwrap() else { panic!("not an open") };
        assert_eq!((open.rhost, open.tty, open.quiet), (None, None, false));
    }

    #[test]
    fn an_error_text_does_not_quote_the_body() {
        let error = decode::<Request>(br#"{"open":{"uid":"hunter2"}}"#).unwrap_err();
        assert!(!error.to_string().contains("hunter2"), "{error}");
    }

    proptest! {
        #[test]
        fn any_bytes_are_a_message_or_an_error(bytes in proptest::collection::vec(any::<u8>(), 0..512)) {
            let _ = read::<Request>(&mut bytes.as_slice());
            let _ = read::<Reply>(&mut bytes.as_slice());
        }
    }
}
