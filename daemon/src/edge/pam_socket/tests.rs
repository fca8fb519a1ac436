//! The socket as it is: a file, frames, and peers of every kind.

use std::{
    io::{Read as _, Write as _},
    os::unix::{
        fs::{FileTypeExt as _, PermissionsExt as _},
        net::UnixStream as Blocking,
    },
    path::PathBuf,
    process::Command,
};

use iamd_protocol::pam::{Close, MAX_BODY, Open};
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use tokio::task::JoinHandle;

use super::*;
use crate::testing::*;

/// A house with its socket, served.
struct Door {
    house: House,
    path: PathBuf,
    serving: JoinHandle<()>,
}

impl Drop for Door {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

impl Door {
    fn open() -> Self {
        Self::of(House::new())
    }

    fn of(house: House) -> Self {
        let path = house.dir.path().join("pam.sock");
        let socket = PamSocket::bind(&path).unwrap();
        let serving = tokio::spawn(socket.serve(house.service.clone(), house.clock.clone()));
        Self { house, path, serving }
    }

    async fn connect(&self) -> UnixStream {
        UnixStream::connect(&self.path).await.unwrap()
    }

    async fn ask(&self, request: &Request) -> Reply {
        let mut stream = self.connect().await;
        stream.write_all(&pam::encode(request).unwrap()).await.unwrap();
        reply(&mut stream).await
    }

    /// A login of alice's that must be answered within a second.
    async fn serves(&self) {
        let request = Request::Open(Open { quiet: true, ..self.house.frame(ALICE) });
        let asked = tokio::time::timeout(Duration::from_secs(1), self.ask(&request));
        assert!(matches!(asked.await.expect("held"), Reply::Opened(_)));
    }
}

async fn reply(stream: &mut UnixStream) -> Reply {
    let mut header = [0; 4];
    stream.read_exact(&mut header).await.unwrap();
    let mut body = vec![0; pam::body_length(header).unwrap()];
    stream.read_exact(&mut body).await.unwrap();
    pam::decode(&body).unwrap()
}

/// Whether the daemon hung up without a word.
async fn hung_up(mut stream: UnixStream) -> bool {
    let mut rest = Vec::new();
    let end = tokio::time::timeout(Duration::from_secs(10), stream.read_to_end(&mut rest));
    matches!(end.await, Ok(Ok(0) | Err(_)))
}

#[tokio::test]
async fn a_socket_that_somebody_removed_is_there_again() {
    let door = Door::open();
    door.serves().await;
    std::fs::remove_file(&door.path).unwrap();
    let again = async {
        while !door.path.exists() {
            door.house.clock.sleep(Duration::from_millis(10)).await;
        }
        door.serves().await;
    };
    tokio::time::timeout(Duration::from_secs(10), again).await.unwrap();
    let mode = std::fs::metadata(&door.path).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
}

#[tokio::test]
async fn a_session_is_opened_and_closed_by_a_frame_each() {
    let door = Door::open();
    let Reply::Opened(opened) = door.ask(&Request::Open(door.house.frame(ALICE))).await else {
        panic!("not opened")
    };
    assert!(opened.notice.unwrap().contains("AB12CD"));
    assert_eq!(opened.environment[0].0, "BEARER_TOKEN_FILE");
    // Whose process it is says the kernel.
    assert_eq!(door.house.sessions.all()[0].pid, std::process::id());
    let close = Request::Close(Close { session: opened.session });
    assert_eq!(door.ask(&close).await, Reply::Closed);
    assert_eq!(door.house.sessions.count(ALICE), 0);
    let sudo = Open { service: "sudo".into(), ..door.house.frame(ALICE) };
    assert_eq!(door.ask(&Request::Open(sudo)).await, Reply::Ignored);
}

#[tokio::test]
async fn the_module_that_closes_its_end_of_writing_still_gets_its_reply() {
    let door = Door::open();
    let mut stream = door.connect().await;
    let frame = pam::encode(&Request::Open(door.house.frame(ALICE))).unwrap();
    for byte in frame {
        stream.write_all(&[byte]).await.unwrap();
    }
    stream.shutdown().await.unwrap();
    assert!(matches!(reply(&mut stream).await, Reply::Opened(_)));
}

/// What a peer that sends this is told, at once, before the daemon hangs up.
async fn refusal(door: &Door, sent: &[u8]) -> String {
    let mut stream = door.connect().await;
    // It may hang up before all of it is written.
    let _ = stream.write_all(sent).await;
    let told = tokio::time::timeout(Duration::from_secs(1), reply(&mut stream));
    let told = told.await.unwrap_or_else(|_| panic!("no answer to {sent:.20?}"));
    let Reply::Refused { reason } = told else { panic!("{sent:.20?}: {told:?}") };
    assert!(hung_up(stream).await, "{sent:.20?}");
    reason
}

fn closing(length: usize) -> Vec<u8> {
    let around = pam::encode(&Request::Close(Close { session: String::new() })).unwrap().len() - 4;
    pam::encode(&Request::Close(Close { session: "x".repeat(length - around) })).unwrap()
}

#[tokio::test]
async fn a_frame_over_its_limit_is_refused_by_name_and_one_at_the_limit_is_served() {
    let door = Door::of(House::and("[limits]\nframe_bytes = 2048\n"));
    let mut stream = door.connect().await;
    stream.write_all(&closing(2048)).await.unwrap();
    assert_eq!(reply(&mut stream).await, Reply::Closed);
    let whole =
        |length| format!("FrameTooLong: a frame of {length} bytes; limits.frame_bytes allows 2048");
    assert_eq!(refusal(&door, &closing(2049)).await, whole(2049));
    // The header is enough: nothing is waited for.
    assert_eq!(refusal(&door, &2049u32.to_le_bytes()).await, whole(2049));
    assert_eq!(refusal(&door, &u32::MAX.to_le_bytes()).await, whole(u32::MAX));
    assert_eq!(
        refusal(&door, b"GET / HTTP/1.1\r\n\r\n").await,
        whole(u32::from_le_bytes(*b"GET "))
    );
    // More than a socket holds: nobody reads it.
    let flood = [&(4u32 << 20).to_le_bytes()[..], &vec![b' '; 4 << 20]].concat();
    assert_eq!(refusal(&door, &flood).await, whole(4 << 20));
    door.serves().await;
    let door = Door::open();
    let reason = refusal(&door, &(MAX_BODY as u32 + 1).to_le_bytes()).await;
    assert!(
        reason.ends_with("a frame of 65537 bytes; limits.frame_bytes allows 65536"),
        "{reason}"
    );
}

#[tokio::test]
async fn a_frame_that_is_none_is_refused_by_name_and_not_repeated() {
    let door = Door::open();
    for body in [&b""[..], b"hunter2", b"{\"open\":\"hunter2\"}", b"\xff\xfe", b"null", b"{}"] {
        let frame = [&(body.len() as u32).to_le_bytes(), body].concat();
        let reason = refusal(&door, &frame).await;
        assert!(reason.starts_with("FrameMalformed: "), "{reason}");
        assert!(!reason.contains("hunter2"), "{reason}");
    }
    assert!(door.house.sessions.all().is_empty());
    door.serves().await;
}

#[tokio::test]
async fn a_peer_that_leaves_in_the_middle_costs_nothing() {
    let door = Door::open();
    let frame = pam::encode(&Request::Open(door.house.frame(ALICE))).unwrap();
    for cut in 0..frame.len() {
        let mut stream = door.connect().await;
        stream.write_all(&frame[..cut]).await.unwrap();
    }
    door.serves().await;
    // One that sends all and does not wait has a session all the same: its process lives.
    let mut stream = door.connect().await;
    stream.write_all(&frame).await.unwrap();
    drop(stream);
    for _ in 0..100 {
        if door.house.sessions.count(ALICE) == 2 {
            return;
        }
        door.house.clock.sleep(Duration::from_millis(10)).await;
    }
    panic!("no session");
}

#[tokio::test]
async fn a_stalled_peer_holds_nobody_and_is_let_go_after_two_seconds() {
    let door = Door::open();
    let mut stalled = door.connect().await;
    stalled.write_all(&[40, 0]).await.unwrap();
    door.serves().await;
    let since = door.house.clock.monotonic();
    assert!(hung_up(stalled).await);
    let held = door.house.clock.monotonic() - since;
    assert!(held < Duration::from_secs(4), "{held:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_thousand_connections_that_say_nothing_keep_no_login_out() {
    let most = getrlimit(Resource::RLIMIT_NOFILE).unwrap();
    if most.0 < 4096 {
        setrlimit(Resource::RLIMIT_NOFILE, most.1.min(4096), most.1).unwrap();
    }
    let door = Door::open();
    let mut silent = Vec::new();
    for _ in 0..1000 {
        silent.push(door.connect().await);
    }
    door.serves().await;
    let mut left = 0;
    for stream in silent {
        left += usize::from(hung_up(stream).await);
    }
    assert_eq!(left, 1000, "all are let go");
}

#[tokio::test]
async fn the_file_is_for_its_owner_only_and_an_earlier_daemons_is_replaced() {
    let door = Door::open();
    let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o7777;
    assert_eq!(mode(&door.path), 0o600);
    let Door { house, path, serving } = &door;
    serving.abort();
    // What a killed daemon leaves: the file stays, nobody listens.
    assert!(std::fs::metadata(path).unwrap().file_type().is_socket());
    let socket = PamSocket::bind(path).unwrap();
    assert_eq!(mode(path), 0o600);
    let serving = tokio::spawn(socket.serve(house.service.clone(), house.clock.clone()));
    door.serves().await;
    serving.abort();
}

#[tokio::test]
async fn what_cannot_be_bound_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("absent/pam.sock");
    let Err(error) = PamSocket::bind(&path) else { panic!("bound") };
    assert!(error.to_string().contains("absent/pam.sock"), "{error}");
    // A directory in its place is not removed.
    let path = dir.path().join("occupied");
    std::fs::create_dir(&path).unwrap();
    let Err(error) = PamSocket::bind(&path) else { panic!("bound") };
    assert!(error.to_string().contains("occupied"), "{error}");
    assert!(path.is_dir());
}

#[tokio::test]
async fn another_users_process_is_not_served_even_where_it_can_connect() {
    if !nix::unistd::geteuid().is_root() {
        println!("left out: needs root, to be somebody else");
        return;
    }
    let door = Door::open();
    let dir = door.house.dir.path();
    std::fs::set_permissions(dir, std::fs::Permissions::from_mode(0o755)).unwrap();
    std::fs::set_permissions(&door.path, std::fs::Permissions::from_mode(0o666)).unwrap();
    let frame = pam::encode(&Request::Open(door.house.frame(ALICE))).unwrap();
    // Not even told why, where root would be.
    let too_long = u32::MAX.to_le_bytes();
    let text = |bytes: &[u8]| bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    let texts = [text(&frame), text(&too_long)];
    let script = "import os,socket,sys\nos.setgid(1002);os.setuid(1002)\n\
                  for text in sys.argv[2:]:\n s=socket.socket(socket.AF_UNIX);s.connect(sys.argv[1])\n \
                  s.sendall(bytes.fromhex(text));print(len(s.recv(100)))";
    let path = door.path.clone();
    let run = tokio::task::spawn_blocking(move || {
        Command::new("python3").args(["-c", script]).arg(path).args(texts).output()
    });
    let output = run.await.unwrap().expect("python3");
    assert_eq!(String::from_utf8_lossy(&output.stdout), "0\n0\n", "{output:?}");
    assert!(door.house.sessions.all().is_empty());
}

/// Works in a process of its own, as it uses up what all tests share.
#[test]
fn out_of_descriptors_logins_wait_and_then_go_on() {
    const NAME: &str = "edge::pam_socket::tests::out_of_descriptors_logins_wait_and_then_go_on";
    const CHILD: &str = "IAMD_TEST_DESCRIPTORS";
    if std::env::var_os(CHILD).is_some() {
        return out_of_descriptors();
    }
    let mut child = Command::new(std::env::current_exe().unwrap());
    let output = child.args([NAME, "--exact", "--nocapture"]).env(CHILD, "1").output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && text.contains("all of it"), "{output:?}");
}

fn out_of_descriptors() {
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let door = runtime.block_on(async { Door::open() });
    runtime.block_on(door.serves());
    let (_, hard) = getrlimit(Resource::RLIMIT_NOFILE).unwrap();
    setrlimit(Resource::RLIMIT_NOFILE, 64, hard).unwrap();
    let mut hoard = Vec::new();
    while let Ok(file) = std::fs::File::open("/dev/null") {
        hoard.push(file);
    }
    // One for this end of the connection, none for the daemon's.
    hoard.pop();
    let mut client = Blocking::connect(&door.path).unwrap();
    client.write_all(&pam::encode(&Request::Open(door.house.frame(ALICE))).unwrap()).unwrap();
    client.set_read_timeout(Some(Duration::from_millis(300))).unwrap();
    let early = client.read(&mut [0; 1]).unwrap_err();
    assert_eq!(early.kind(), io::ErrorKind::WouldBlock, "{early}");
    drop(hoard);
    client.set_read_timeout(Some(Duration::from_secs(2))).unwrap();
    assert!(matches!(pam::read::<Reply>(&mut client).unwrap(), Reply::Opened(_)));
    runtime.block_on(door.serves());
    println!("\nall of it");
}

#[tokio::test]
async fn what_the_log_says_of_a_program_that_hangs_up_in_the_middle() {
    let house = House::new();
    let (mut near, far) = UnixStream::pair().unwrap();
    near.write_all(b"\x05\0").await.unwrap();
    drop(near);
    let error = converse(far, &house.service, &*house.clock).await.unwrap_err();
    let when = "the log of iamd: a program that calls the module hangs up in the middle";
    iamd_errors::shows("PAM module", when, &error.to_string(), "", None, "");
}
