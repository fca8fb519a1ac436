//! The conversation with daemons that are absent, busy, silent, dying, slow or mad.
#![allow(clippy::disallowed_methods, reason = "the promise is about real time")]

use super::*;
use iamd_protocol::pam::{Close, FRAME_TOO_LONG, Open, Opened};
use std::os::unix::fs::MetadataExt;
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

const DEADLINE: Duration = Duration::from_millis(300);
/// What a login may take beyond the deadline.
const SLACK: Duration = Duration::from_millis(200);

fn me() -> u32 {
    std::fs::metadata("/proc/self").unwrap().uid()
}

struct Place(tempfile::TempDir);

impl Place {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }
    fn socket(&self) -> PathBuf {
        self.0.path().join("s")
    }
    fn args(&self) -> Args {
        Args { deadline: DEADLINE, socket: self.socket(), socket_uid: me(), ..Args::default() }
    }
    /// A daemon that does this with its first connection.
    fn daemon(&self, act: impl FnOnce(UnixStream) + Send + 'static) {
        let listener = UnixListener::bind(self.socket()).unwrap();
        thread::spawn(move || act(listener.accept().unwrap().0));
    }
}

fn request() -> Request {
    let (user, service) = ("alice".into(), "sshd".into());
    Request::Open(Open { uid: 1001, user, service, rhost: None, tty: None, quiet: false })
}

fn reply() -> Reply {
    let environment = vec![("A".into(), "b".into())];
    Reply::Opened(Opened { session: "s".into(), environment, notice: Some("hello".into()) })
}

/// Asks, and checks that the answer came in time.
fn ask_in_time(args: &Args) -> Result<Reply, AskError> {
    let start = Instant::now();
    let answer = ask(args, &request());
    assert!(start.elapsed() <= args.deadline + SLACK, "took {:?}", start.elapsed());
    answer
}

/// Asks a daemon that reads the request and sends these bytes, then hangs up.
fn ask_one_that_sends(bytes: Vec<u8>) -> Result<Reply, AskError> {
    let place = Place::new();
    place.daemon(move |mut stream| {
        let _: Request = pam::read(&mut stream).unwrap();
        stream.write_all(&bytes).unwrap();
    });
    ask_in_time(&place.args())
}

#[test]
fn a_daemon_answers() {
    let place = Place::new();
    place.daemon(|mut stream| {
        assert_eq!(pam::read::<Request>(&mut stream).unwrap(), request());
        pam::write(&mut stream, &reply()).unwrap();
    });
    assert_eq!(ask_in_time(&place.args()).unwrap(), reply());
}

#[test]
fn no_socket_nobody_listening_and_no_socket_at_all_are_told_at_once() {
    let place = Place::new();
    let told = |place: &Place| {
        let start = Instant::now();
        let error = ask(&place.args(), &request()).unwrap_err().to_string();
        assert!(start.elapsed() < Duration::from_millis(100));
        error
    };
    assert_eq!(told(&place), "no socket: is iamd installed and running?");
    drop(UnixListener::bind(place.socket()).unwrap());
    assert_eq!(told(&place), "nobody listens: is iamd running?");
    std::fs::remove_file(place.socket()).unwrap();
    std::fs::write(place.socket(), "").unwrap();
    assert_eq!(told(&place), "nobody listens: is iamd running?");
    let args = Args { socket: Path::new("/").join("x".repeat(107)), ..place.args() };
    assert!(matches!(ask_in_time(&args), Err(AskError::Connect(_))));
}

#[test]
fn a_full_backlog_holds_a_login_for_the_deadline_and_no_longer() {
    let place = Place::new();
    let listener = UnixListener::bind(place.socket()).unwrap();
    sys::tests::shrink_backlog(&listener);
    let fillers: Vec<_> = (0..)
        .map_while(|_| {
            sys::connect(&place.socket(), &Deadline::after(Duration::from_millis(50))).ok()
        })
        .collect();
    assert!((1..10).contains(&fillers.len()), "{}", fillers.len());
    let start = Instant::now();
    let error = ask_in_time(&place.args()).unwrap_err();
    assert!(start.elapsed() >= DEADLINE);
    assert!(matches!(error, AskError::Late("connect, its backlog is full")), "{error}");
}

#[test]
fn a_place_in_the_backlog_that_comes_free_in_time_is_taken() {
    let place = Place::new();
    let listener = UnixListener::bind(place.socket()).unwrap();
    sys::tests::shrink_backlog(&listener);
    let fillers: Vec<_> = (0..)
        .map_while(|_| {
            sys::connect(&place.socket(), &Deadline::after(Duration::from_millis(50))).ok()
        })
        .collect();
    let many = fillers.len();
    let daemon = thread::spawn(move || {
        thread::sleep(Duration::from_millis(100));
        for _ in 0..many {
            drop(listener.accept());
        }
        let (mut stream, _) = listener.accept().unwrap();
        pam::write(&mut stream, &reply()).unwrap();
        // Open until the question is out, which it may not be yet.
        stream
    });
    assert_eq!(ask_in_time(&place.args()).unwrap(), reply());
    drop(daemon.join());
}

#[test]
fn a_daemon_that_never_accepts_or_never_answers_costs_the_deadline() {
    let place = Place::new();
    let _listener = UnixListener::bind(place.socket()).unwrap();
    assert!(matches!(ask_in_time(&place.args()), Err(AskError::Late("read"))));

    let place = Place::new();
    place.daemon(|stream| {
        thread::sleep(DEADLINE * 3);
        drop(stream);
    });
    assert!(matches!(ask_in_time(&place.args()), Err(AskError::Late("read"))));
}

#[test]
fn a_daemon_that_dies_in_a_reply_is_told_at_once_at_every_byte() {
    let bytes = pam::encode(&reply()).unwrap();
    for cut in 0..bytes.len() {
        let start = Instant::now();
        let error = ask_one_that_sends(bytes[..cut].to_vec()).unwrap_err();
        assert!(start.elapsed() < DEADLINE, "{cut}");
        assert!(matches!(&error, AskError::Frame(FrameError::Io(_))), "{cut}: {error}");
    }
}

#[test]
fn a_daemon_that_hangs_up_without_reading_is_told() {
    let place = Place::new();
    place.daemon(drop);
    assert!(matches!(ask_in_time(&place.args()), Err(AskError::Frame(FrameError::Io(_)))));
}

#[test]
fn lengths_out_of_bounds_and_garbage_are_no_replies() {
    for length in [0, MAX_BODY as u32 + 1, u32::MAX] {
        let error = ask_one_that_sends(length.to_le_bytes().to_vec()).unwrap_err();
        assert!(matches!(error, AskError::Frame(FrameError::Length(l)) if l == length));
    }
    for body in [&b"{}"[..], b"\0\0\0", b"\xff\xfe", b"null", b"{\"opened\":{}}", b"{\"opened\":"] {
        let frame = [&(body.len() as u32).to_le_bytes(), body].concat();
        let error = ask_one_that_sends(frame).unwrap_err();
        assert!(matches!(error, AskError::Frame(FrameError::Body(_))), "{error}");
    }
    let nested = "[".repeat(MAX_BODY);
    let frame = [&(MAX_BODY as u32).to_le_bytes(), nested.as_bytes()].concat();
    assert!(matches!(ask_one_that_sends(frame), Err(AskError::Frame(FrameError::Body(_)))));
}

#[test]
fn a_refusal_is_heard_when_the_daemon_hung_up_before_it_had_read_the_request() {
    let told = |said: &Reply| {
        let (ours, mut theirs) = UnixStream::pair().unwrap();
        pam::write(&mut theirs, said).unwrap();
        drop(theirs);
        converse(&mut Timed { stream: ours, deadline: Deadline::after(DEADLINE) }, &request())
    };
    let refusal = Reply::Refused { reason: format!("{FRAME_TOO_LONG}: a frame of 9 bytes") };
    assert_eq!(told(&refusal).unwrap(), refusal);
    // Nothing else can be an answer to what was not read.
    let error = told(&reply()).unwrap_err().to_string();
    assert_eq!(error, "the daemon hung up: Broken pipe (os error 32)");
}

#[test]
fn a_refusal_is_heard_however_much_of_the_request_was_read() {
    for read in 0..=4 {
        let place = Place::new();
        let refusal = Reply::Refused { reason: format!("{FRAME_TOO_LONG}: a frame of 9 bytes") };
        let told = refusal.clone();
        place.daemon(move |mut stream| {
            stream.read_exact(&mut [0; 4][..read]).unwrap();
            pam::write(&mut stream, &told).unwrap();
        });
        assert_eq!(ask_in_time(&place.args()).unwrap(), refusal, "{read} bytes read");
    }
}

#[test]
fn a_request_that_no_frame_takes_is_told_at_once_and_not_sent() {
    let place = Place::new();
    let (told, heard) = std::sync::mpsc::channel();
    place.daemon(move |mut stream| {
        let mut bytes = Vec::new();
        let _ = stream.read_to_end(&mut bytes);
        told.send(bytes).unwrap();
    });
    let session = "x".repeat(MAX_BODY);
    let start = Instant::now();
    let error = ask(&place.args(), &Request::Close(Close { session })).unwrap_err();
    assert!(start.elapsed() < DEADLINE);
    assert_eq!(error.to_string(), "a request of 65560 bytes, and 65536 are allowed");
    assert_eq!(heard.recv().unwrap(), b"");
}

#[test]
fn a_byte_at_a_time_does_not_stretch_the_deadline() {
    let place = Place::new();
    place.daemon(|mut stream| {
        for byte in pam::encode(&reply()).unwrap() {
            if stream.write_all(&[byte]).is_err() {
                return;
            }
            thread::sleep(Duration::from_millis(20));
        }
    });
    assert!(matches!(ask_in_time(&place.args()), Err(AskError::Late("read"))));
}

#[test]
fn a_request_that_nobody_reads_costs_the_deadline() {
    let place = Place::new();
    let _listener = UnixListener::bind(place.socket()).unwrap();
    let stream = sys::connect(&place.socket(), &Deadline::after(DEADLINE)).unwrap();
    let start = Instant::now();
    let mut timed = Timed { stream, deadline: Deadline::after(DEADLINE) };
    let error = timed.write_all(&vec![0; 4 << 20]).unwrap_err();
    assert!(is_late(&error) && start.elapsed() <= DEADLINE + SLACK, "{error}");
}

#[test]
fn a_socket_of_someone_else_is_not_spoken_to() {
    let place = Place::new();
    let (told, heard) = std::sync::mpsc::channel();
    place.daemon(move |mut stream| {
        let mut bytes = Vec::new();
        let _ = stream.read_to_end(&mut bytes);
        told.send(bytes).unwrap();
    });
    let args = Args { socket_uid: me() + 1, ..place.args() };
    let error = ask_in_time(&args).unwrap_err();
    assert!(matches!(error, AskError::Owner(uid) if uid == me()), "{error}");
    assert_eq!(heard.recv().unwrap(), b"");
}
