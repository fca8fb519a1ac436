//! A token over the daemon's own socket: connect, one question, one answer, and no bus between. That
//! is a third of a millisecond instead of three, which counts in scripts that ask again and again.
//! Where nobody listens the bus is asked, which starts the daemon.

use std::io::{ErrorKind, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

use iamd_protocol::bus::{TokenOptions, TokenReply};
use iamd_protocol::pam::{self, FrameError};
use iamd_protocol::token::{Reply, Request};
use rustix::net::sockopt::{Timeout, set_socket_timeout};
use rustix::net::{self, AddressFamily, SocketAddrUnix, SocketFlags, SocketType};
use zeroize::Zeroizing;

use super::clean::Clean;
use super::errors::{by_name, late, not_understood};
use crate::failure::Failure;
use crate::output::text;

/// The daemon's answer, or `None` where nobody listens, or who did went away. No step takes longer than
/// `limit`.
pub(crate) fn token(
    path: &Path,
    account: &str,
    options: &TokenOptions,
    limit: Duration,
) -> Option<Result<TokenReply, Failure>> {
    let mut stream = match connect(path, limit) {
        Ok(stream) => stream,
        // As many wait as may, and none is served: the bus would be no better.
        Err(rustix::io::Errno::AGAIN) => return Some(Err(late(limit))),
        Err(_) => return None,
    };
    let answer = converse(&mut stream, &Request::new(account, options.clone()));
    match answer {
        Ok(Reply::Token(token)) => Some(Ok(TokenReply::from(token).cleaned())),
        Ok(Reply::Error(refusal)) => {
            Some(Err(by_name(&refusal.name, text::clean(&refusal.message))))
        }
        Err(FrameError::Io(error)) => match error.kind() {
            ErrorKind::WouldBlock | ErrorKind::TimedOut => Some(Err(late(limit))),
            _ => None,
        },
        Err(error) => Some(Err(not_understood(&error.to_string()))),
    }
}

/// The limit holds for the connection too: it waits while the daemon has too many to accept.
pub(super) fn connect(path: &Path, limit: Duration) -> rustix::io::Result<UnixStream> {
    let flags = SocketFlags::CLOEXEC;
    let socket = net::socket_with(AddressFamily::UNIX, SocketType::STREAM, flags, None)?;
    set_socket_timeout(&socket, Timeout::Send, Some(limit))?;
    set_socket_timeout(&socket, Timeout::Recv, Some(limit))?;
    net::connect(&socket, &SocketAddrUnix::new(path)?)?;
    Ok(UnixStream::from(socket))
}

fn converse(stream: &mut UnixStream, request: &Request) -> Result<Reply, FrameError> {
    match stream.write_all(&pam::encode(request)?) {
        // Sent away before the question was there, maybe with a word.
        Err(error) if error.kind() == ErrorKind::BrokenPipe => {}
        written => written?,
    }
    let mut header = [0; 4];
    stream.read_exact(&mut header)?;
    let mut body = Zeroizing::new(vec![0; pam::body_length(header)?]);
    stream.read_exact(&mut body)?;
    pam::decode(&body)
}

#[cfg(test)]
mod tests {
    use std::os::unix::net::UnixListener;

    use iamd_protocol::error::Kind;
    use iamd_protocol::token::{Refusal, Token};

    use super::*;

    const LIMIT: Duration = Duration::from_secs(5);

    /// What is made of an answer of these bytes, and the question.
    fn answered(bytes: Vec<u8>) -> (Option<Result<TokenReply, Failure>>, Request) {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("socket");
        let listener = UnixListener::bind(&path).unwrap();
        let daemon = std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let asked = pam::read(&mut stream).unwrap();
            stream.write_all(&bytes).unwrap();
            asked
        });
        let options = TokenOptions { min_valid_seconds: Some(60), ..TokenOptions::default() };
        let answer = token(&path, "cms", &options, LIMIT);
        (answer, daemon.join().unwrap())
    }

    #[test]
    fn a_token_comes_with_what_is_known_of_it_fit_for_a_terminal() {
        let token = Token {
            token: "abc".into(),
            account: "cms".into(),
            remarks: vec!["not\x1b[2J granted".into()],
            ..Token::default()
        };
        let (answer, asked) = answered(pam::encode(&Reply::Token(token)).unwrap());
        let reply = answer.unwrap().unwrap();
        assert_eq!((reply.token.as_str(), reply.account.as_str()), ("abc", "cms"));
        assert_eq!(reply.remarks, ["not[2J granted"]);
        assert_eq!((asked.account.as_str(), asked.min_valid_seconds), ("cms", Some(60)));
    }

    #[test]
    fn a_refusal_is_the_failure_that_the_bus_would_have_told() {
        let name = Kind::LoginRequired.bus_name();
        let refusal = Reply::Error(Refusal { name, message: "signed out".into() });
        let failure = answered(pam::encode(&refusal).unwrap()).0.unwrap().unwrap_err();
        assert!(failure.is(Kind::LoginRequired) && failure.message == "signed out", "{failure:?}");
    }

    #[test]
    fn a_daemon_that_goes_away_is_asked_over_the_bus_and_one_that_talks_nonsense_is_said_to() {
        for gone in [Vec::new(), vec![9, 0, 0, 0, b'{']] {
            assert!(answered(gone).0.is_none());
        }
        let answer = answered([&4u32.to_le_bytes()[..], b"nope"].concat()).0;
        let failure = answer.unwrap().unwrap_err();
        assert!(failure.is(Kind::Internal), "{failure:?}");
    }

    #[test]
    fn who_is_sent_away_before_asking_hears_why() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("socket");
        let listener = UnixListener::bind(&path).unwrap();
        let name = Kind::TooManyRequests.bus_name();
        let refusal = Reply::Error(Refusal { name, message: "too many".into() });
        let daemon = std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            stream.write_all(&pam::encode(&refusal).unwrap()).unwrap();
        });
        let failure = token(&path, "", &TokenOptions::default(), LIMIT).unwrap().unwrap_err();
        daemon.join().unwrap();
        assert!(failure.is(Kind::TooManyRequests), "{failure:?}");
    }

    #[test]
    fn where_nobody_listens_there_is_no_answer_and_no_failure() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("socket");
        let ask = || token(&path, "", &TokenOptions::default(), LIMIT);
        assert!(ask().is_none());
        // One that a daemon left that is gone.
        drop(UnixListener::bind(&path).unwrap());
        assert!(ask().is_none());
    }

    #[test]
    fn a_daemon_that_does_not_answer_is_waited_for_no_longer_than_the_limit() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("socket");
        let _listener = UnixListener::bind(&path).unwrap();
        let limit = Duration::from_millis(100);
        let failure = token(&path, "", &TokenOptions::default(), limit).unwrap().unwrap_err();
        assert!(failure.is(Kind::DaemonUnreachable), "{failure:?}");
        assert_eq!(failure.message, "iamd did not answer within 1 s");
    }
}
