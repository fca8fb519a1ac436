//! The socket as it is: a file, frames, and peers of every kind.

use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _};

use iamd_protocol::{bus::TokenOptions, token::Token};
use tokio::task::JoinHandle;

use super::*;
use crate::testing::*;

/// A house with its socket, served.
struct Door {
    house: House,
    path: std::path::PathBuf,
    serving: JoinHandle<()>,
}

impl Drop for Door {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

impl Door {
    fn of(house: House) -> Self {
        let path = house.dir.path().join("token.sock");
        let socket = TokenSocket::bind(&path).unwrap();
        let serving = tokio::spawn(socket.serve(house.service.clone(), house.clock.clone()));
        Self { house, path, serving }
    }

    async fn connect(&self) -> UnixStream {
        UnixStream::connect(&self.path).await.unwrap()
    }

    async fn ask(&self, request: &Request) -> Reply {
        let mut stream = self.connect().await;
        stream.write_all(&pam::encode(request).unwrap()).await.unwrap();
        reply(&mut stream).await.expect("no answer")
    }
}

async fn reply(stream: &mut UnixStream) -> Option<Reply> {
    let mut header = [0; 4];
    stream.read_exact(&mut header).await.ok()?;
    let mut body = vec![0; pam::body_length(header).unwrap()];
    stream.read_exact(&mut body).await.unwrap();
    Some(pam::decode(&body).unwrap())
}

/// A house in which this process's uid has alice's account with a token, and alice has none.
fn mine() -> House {
    owned(House::new())
}

fn owned(house: House) -> House {
    let key = signed_in(&house.vault);
    let (mut record, revision) = house.vault.accounts.lock().unwrap().remove(&key).unwrap();
    let uid = nix::unistd::geteuid().as_raw();
    record.owner = crate::account::Owner { uid, user: "me".into() };
    house.users.0.lock().unwrap().insert(uid, "me".into());
    house.vault.accounts.lock().unwrap().insert(record.key(), (record, revision));
    house
}

fn token(reply: Reply) -> Token {
    match reply {
        Reply::Token(token) => token,
        Reply::Error(refusal) => panic!("{refusal:?}"),
    }
}

fn error(reply: Option<Reply>) -> String {
    match reply {
        Some(Reply::Error(refusal)) => refusal.name.rsplit('.').next().unwrap().to_owned(),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_question_gets_the_token_that_the_bus_would_give_and_the_record_names_the_process() {
    let door = Door::of(mine());
    let given = token(door.ask(&Request::default()).await);
    assert_eq!((given.token.as_str(), given.account.as_str()), ("at1", "wlcg"));
    assert_eq!(given.issuer, "https://issuer.test/");
    let scopes = Some(vec!["storage.read:/atlas".to_owned()]);
    let options = TokenOptions { scopes, application: Some("x".into()), ..TokenOptions::default() };
    let narrowed = token(door.ask(&Request::new("wlcg", options)).await);
    assert_eq!(narrowed.scopes, ["storage.read:/atlas"]);
    let issued = door.house.audit.of(crate::audit::Kind::Issue);
    let narrowed = door.house.audit.of(crate::audit::Kind::Narrowed);
    assert_eq!((issued.len(), narrowed.len()), (1, 1));
    assert!(issued[0].fields.contains(&"caller_pid"), "{:?}", issued[0].fields);
    assert!(narrowed[0].detail.contains("for x"), "{}", narrowed[0].detail);
}

#[tokio::test]
async fn an_error_has_the_name_that_it_has_on_the_bus() {
    let door = Door::of(mine());
    let unknown = Request { account: "other".into(), ..Request::default() };
    assert_eq!(error(Some(door.ask(&unknown).await)), "NoSuchAccount");
    let climbs = Some(vec!["storage.read:/a/../b".to_owned()]);
    let climbs = Request { scopes: climbs, ..Request::default() };
    assert_eq!(error(Some(door.ask(&climbs).await)), "InvalidArgument");
}

#[tokio::test]
async fn everybody_may_connect_and_what_stood_in_the_way_is_replaced() {
    let house = House::new();
    let path = house.dir.path().join("token.sock");
    drop(TokenSocket::bind(&path).unwrap());
    let _again = TokenSocket::bind(&path).unwrap();
    let found = path.symlink_metadata().unwrap();
    assert!(found.file_type().is_socket());
    assert_eq!(found.mode() & 0o777, 0o666);
}

#[tokio::test]
async fn a_socket_that_somebody_removed_is_there_again() {
    let door = Door::of(mine());
    std::fs::remove_file(&door.path).unwrap();
    let again = async {
        while UnixStream::connect(&door.path).await.is_err() {
            door.house.clock.sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(10), again).await.unwrap();
    assert!(matches!(door.ask(&Request::default()).await, Reply::Token(_)));
    assert_eq!(door.path.symlink_metadata().unwrap().mode() & 0o777, 0o666);
}

#[tokio::test]
async fn what_is_not_a_question_is_told_so_and_an_end_inside_one_is_hung_up_on() {
    let door = Door::of(mine());
    let bad_json = [&4u32.to_le_bytes()[..], b"nope"].concat();
    for bad in [vec![0; 4], u32::MAX.to_le_bytes().to_vec(), bad_json] {
        let mut stream = door.connect().await;
        stream.write_all(&bad).await.unwrap();
        assert_eq!(error(reply(&mut stream).await), "InvalidArgument", "{bad:?}");
    }
    let mut stream = door.connect().await;
    stream.write_all(&[9, 0]).await.unwrap();
    stream.shutdown().await.unwrap();
    assert!(reply(&mut stream).await.is_none());
}

#[tokio::test]
async fn who_stalls_is_hung_up_on_and_meanwhile_in_nobodys_way() {
    let door = Door::of(mine());
    let mut stalled = door.connect().await;
    let request = Request::default();
    let asked = tokio::time::timeout(Duration::from_secs(1), door.ask(&request));
    token(asked.await.expect("held up"));
    let hung_up = tokio::time::timeout(Duration::from_secs(10), reply(&mut stalled));
    assert!(hung_up.await.expect("still there").is_none());
}

#[tokio::test]
async fn who_has_as_many_connections_as_they_may_is_told_so_at_once() {
    let door = Door::of(mine());
    let mut held = Vec::new();
    for _ in 0..OF_ONE {
        held.push(door.connect().await);
    }
    let mut late = door.connect().await;
    let told = tokio::time::timeout(Duration::from_secs(10), reply(&mut late));
    assert_eq!(error(told.await.expect("left to wait")), "TooManyRequests");
    drop(held);
    for _ in 0..200 {
        let mut stream = door.connect().await;
        let _ = stream.write_all(&pam::encode(&Request::default()).unwrap()).await;
        if let Some(Reply::Token(_)) = reply(&mut stream).await {
            return;
        }
        door.house.clock.sleep(Duration::from_millis(20)).await;
    }
    panic!("the places do not come back");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn more_at_once_than_a_user_may_have_requests_are_all_served() {
    let house = mine();
    *house.issuers.latency.lock().unwrap() = Duration::from_millis(200);
    let door = Door::of(house);
    let request = Request { force_new: Some(true), ..Request::default() };
    let all = (0..160).map(|_| door.ask(&request));
    for reply in futures_util::future::join_all(all).await {
        token(reply);
    }
}

#[tokio::test]
async fn a_rule_that_denies_on_the_bus_denies_here_and_is_recorded() {
    let house = House::ruled("[[rule]]\nfor = \"everybody\"\nissuers = []\n");
    let door = Door::of(owned(house));
    assert_eq!(error(Some(door.ask(&Request::default()).await)), "DeniedByPolicy");
    let denials = door.house.audit.of(crate::audit::Kind::Denial);
    assert_eq!(denials.len(), 1);
    assert_eq!(denials[0].uid, nix::unistd::geteuid().as_raw());
}
