//! Peers that stall, leave, flood, or are many: nobody else notices.

use std::process::Command;
use std::{
    io::{self, Read as _, Write as _},
    os::unix::net::UnixStream as Blocking,
};

use nix::sys::resource::setrlimit;

use super::*;

/// Whether the daemon hung up without a word.
async fn hung_up(mut stream: UnixStream) -> bool {
    let mut bytes = Vec::new();
    let end = tokio::time::timeout(10 * S, stream.read_to_end(&mut bytes));
    matches!(end.await, Ok(Ok(0) | Err(_)))
}

#[tokio::test]
async fn who_stalls_is_let_go_after_two_seconds_and_holds_nobody() {
    let door = Door::open();
    let mut stalled = Vec::new();
    for begun in [&b""[..], b"{\"request\":", b"j0DFrbaPJWJK5bIU"] {
        let mut stream = door.connect().await;
        stream.write_all(begun).await.unwrap();
        stalled.push(stream);
    }
    let mut sealing = Sealing::begin(door.connect().await).await;
    sealing.stream.write_all(b"96:AAECAwQFBgc").await.unwrap();
    stalled.push(sealing.stream);
    door.serves().await;
    let since = door.house.clock.monotonic();
    for stream in stalled {
        assert!(hung_up(stream).await);
    }
    let held = door.house.clock.monotonic() - since;
    assert!(held < 5 * S, "{held:?}");
}

#[tokio::test]
async fn who_leaves_in_the_middle_costs_nothing() {
    let door = Door::open();
    let request = br#"{"request":"access_token","account":"wlcg"}"#;
    for cut in 0..request.len() {
        door.connect().await.write_all(&request[..cut]).await.unwrap();
    }
    for cut in 0..framing::KEY_TEXT {
        let key = STANDARD.encode([1; 32]);
        door.connect().await.write_all(&key.as_bytes()[..cut]).await.unwrap();
    }
    door.serves().await;
}

#[tokio::test]
async fn a_flood_is_cut_off_and_not_kept() {
    let door = Door::open();
    for begin in [&b"{\"request\":\""[..], b" ", b"AAAA", b"\0"] {
        let mut stream = door.connect().await;
        let flood = [begin, &vec![begin[0]; 4 << 20]].concat();
        // It hangs up before all of it is written.
        let _ = stream.write_all(&flood).await;
        let mut reply = Vec::new();
        let _ = tokio::time::timeout(5 * S, stream.read_to_end(&mut reply)).await.unwrap();
        assert!(reply.len() < 4096, "{}", reply.len());
    }
    door.serves().await;
}

#[tokio::test]
async fn a_long_request_is_told_why_it_is_not_served() {
    let door = Door::open();
    let config = json!({"refresh_token": "Canary".repeat(5000)});
    let told = door.ask(json!({"request": "add", "config": config})).await;
    assert!(told["info"].as_str().unwrap().contains("iamctl account"), "{told}");
    assert!(!told.to_string().contains("Canary"));
}

#[tokio::test]
async fn nonsense_after_the_keys_is_answered_encrypted() {
    let door = Door::open();
    for (message, error) in [
        ("no message", "Bad Request: not an encrypted message, or too long a one"),
        ("{\"request\":\"check\"}", "Bad Request: not an encrypted message, or too long a one"),
        (
            "0:AAECAwQFBgcICQoLDA0ODxAREhMUFRYX:AAAAAAAAAAAAAAAAAAAAAA==",
            "Bad Request: the message cannot be decrypted",
        ),
    ] {
        let mut sealing = Sealing::begin(door.connect().await).await;
        sealing.stream.write_all(message.as_bytes()).await.unwrap();
        let mut reply = Vec::new();
        sealing.stream.read_to_end(&mut reply).await.unwrap();
        assert_eq!(sealing.open(&reply)["error"], error, "{message}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn more_clients_at_once_than_a_user_may_have_requests_are_all_served() {
    let door = Door::of(House::and("[limits]\nrequests = 40\n"));
    change(&door, |record| record.access_token = None);
    *door.house.issuers.latency.lock().unwrap() = S / 5;
    let all = (0..160).map(|number| {
        let door = &door;
        async move {
            let request = json!({"request": "access_token", "account": "wlcg"});
            let reply = match number % 4 {
                0 => Sealing::begin(door.connect().await).await.ask(request).await,
                _ => door.ask(request).await,
            };
            reply["access_token"].as_str().map(str::to_owned)
        }
    });
    let tokens = futures_util::future::join_all(all).await;
    assert!(tokens.iter().all(|token| token.as_deref() == Some("at1")), "{tokens:?}");
    assert_eq!(door.house.refreshes(), 1);
}

#[tokio::test]
async fn who_has_as_many_connections_as_they_may_is_hung_up_on() {
    let door = Door::of(House::and("[agent_socket]\nconnections = 8\n"));
    let mut held = Vec::new();
    for _ in 0..8 {
        held.push(door.connect().await);
    }
    let since = door.house.clock.monotonic();
    assert!(hung_up(door.connect().await).await);
    assert!(door.house.clock.monotonic() - since < 2 * S, "not at once");
    drop(held);
    for _ in 0..100 {
        let mut stream = door.connect().await;
        let _ = stream.write_all(br#"{"request":"check"}"#).await;
        let mut reply = Vec::new();
        let _ = stream.read_to_end(&mut reply).await;
        if reply == br#"{"status":"success"}"# {
            return;
        }
        door.house.clock.sleep(S / 100).await;
    }
    panic!("the places do not come back");
}

#[tokio::test]
async fn the_peers_uid_decides_whose_accounts_are_meant() {
    if !nix::unistd::geteuid().is_root() {
        println!("left out: needs root, to be somebody else");
        return;
    }
    let door = Door::open();
    std::fs::set_permissions(door.house.dir.path(), std::fs::Permissions::from_mode(0o755))
        .unwrap();
    let script = "import os,socket,sys\nos.setgid(1002);os.setuid(1002)\n\
                  for text in sys.argv[2:]:\n s=socket.socket(socket.AF_UNIX);s.connect(sys.argv[1])\n \
                  s.sendall(text.encode());print(s.recv(9999).decode())";
    let asked = [
        r#"{"request":"access_token","account":"wlcg"}"#,
        r#"{"request":"access_token","issuer":"https://issuer.test/"}"#,
        r#"{"request":"loaded_accounts","uid":0}"#,
        r#"{"request":"account_info"}"#,
    ];
    let path = door.path.clone();
    let run = tokio::task::spawn_blocking(move || {
        Command::new("python3").args(["-c", script]).arg(path).args(asked).output()
    });
    let output = run.await.unwrap().expect("python3");
    let text = String::from_utf8_lossy(&output.stdout);
    let replies: Vec<Value> =
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(replies.len(), 4, "{output:?}");
    assert_eq!(replies[0]["error"], "No account configured with that short name");
    assert_eq!(replies[1]["error"], "No account configured with that short name");
    assert_eq!(replies[2], json!({"status": "success", "info": []}));
    assert_eq!(replies[3], json!({"status": "success", "info": {}}));
    door.serves().await;
}

/// Works in a process of its own, as it uses up what all tests share.
#[test]
fn out_of_descriptors_clients_wait_and_then_go_on() {
    const NAME: &str =
        "edge::agent_socket::tests::hostile::out_of_descriptors_clients_wait_and_then_go_on";
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
    client.write_all(br#"{"request":"check"}"#).unwrap();
    client.set_read_timeout(Some(S * 3 / 10)).unwrap();
    let early = client.read(&mut [0; 1]).unwrap_err();
    assert_eq!(early.kind(), io::ErrorKind::WouldBlock, "{early}");
    drop(hoard);
    client.set_read_timeout(Some(2 * S)).unwrap();
    let mut reply = String::new();
    client.read_to_string(&mut reply).unwrap();
    assert_eq!(reply, r#"{"status":"success"}"#);
    runtime.block_on(door.serves());
    println!("\nall of it");
}
