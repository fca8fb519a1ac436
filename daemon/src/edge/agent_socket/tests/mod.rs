//! The socket as it is: the bytes that oidc-agent's clients send and expect, and peers of every
//! kind.

mod bytes;
mod hostile;
mod requests;
mod texts;

use std::{
    os::unix::fs::{FileTypeExt as _, PermissionsExt as _},
    path::PathBuf,
    time::Duration,
};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use crypto_box::{PublicKey, SalsaBox, SecretKey, aead::Aead as _};
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    task::JoinHandle,
};

use super::*;
use crate::{
    account::{
        AccessToken, AccountKey, ClientOwner, Owner, Record, ScopeSet, State, UnixTime,
        ports::{IssuerError, Revision},
    },
    clock::SystemRandom,
    testing::*,
};

const S: Duration = Duration::from_secs(1);

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
    /// Whoever runs the test is alice, with an account of that name and a token for an hour.
    fn open() -> Self {
        Self::of(House::new())
    }

    fn of(house: House) -> Self {
        let uid = nix::unistd::geteuid().as_raw();
        house.users.0.lock().unwrap().insert(uid, "alice".into());
        let key = signed_in(&house.vault);
        let (mut record, revision) = house.vault.accounts.lock().unwrap()[&key].clone();
        record.owner = Owner { uid, user: "alice".into() };
        record.access_token = Some(token("at0", house.clock.wall(), 3600));
        house.vault.accounts.lock().unwrap().insert(record.key(), (record, revision));
        let path = house.dir.path().join("oidc-agent.sock");
        let socket = AgentSocket::bind(&path).unwrap();
        let serving = tokio::spawn(socket.serve(host(&house)));
        Self { house, path, serving }
    }

    async fn connect(&self) -> UnixStream {
        UnixStream::connect(&self.path).await.unwrap()
    }

    /// What is answered to a request in plain text.
    async fn ask(&self, request: Value) -> Value {
        let mut stream = self.connect().await;
        stream.write_all(request.to_string().as_bytes()).await.unwrap();
        serde_json::from_slice(&rest(stream).await).unwrap()
    }

    /// A token for alice that must be there within a second.
    async fn serves(&self) {
        let request = json!({"request": "access_token", "account": "wlcg"});
        let asked = tokio::time::timeout(S, self.ask(request)).await.expect("held");
        assert_eq!(asked["access_token"], "at0", "{asked}");
    }
}

fn host(house: &House) -> Host {
    let (service, clock) = (house.service.clone(), house.clock.clone());
    Host { service, clock, random: Arc::new(SystemRandom) }
}

/// All that comes until the end.
async fn rest(mut stream: UnixStream) -> Vec<u8> {
    let mut bytes = Vec::new();
    let end = tokio::time::timeout(10 * S, stream.read_to_end(&mut bytes));
    end.await.expect("no end").unwrap();
    bytes
}

/// A client that encrypts, after the description of the protocol.
struct Sealing {
    stream: UnixStream,
    key: SalsaBox,
}

impl Sealing {
    async fn begin(mut stream: UnixStream) -> Self {
        let ours = SecretKey::from([7; 32]);
        let hello = STANDARD.encode(ours.public_key().as_bytes());
        stream.write_all(hello.as_bytes()).await.unwrap();
        let mut theirs = [0; framing::KEY_TEXT];
        stream.read_exact(&mut theirs).await.unwrap();
        let theirs: [u8; 32] = STANDARD.decode(theirs).unwrap().try_into().unwrap();
        Self { stream, key: SalsaBox::new(&PublicKey::from(theirs), &ours) }
    }

    fn seal(&self, text: &str) -> Vec<u8> {
        sealed(&self.key, text)
    }

    fn open(&self, reply: &[u8]) -> Value {
        let reply = String::from_utf8(reply.to_vec()).unwrap();
        let [length, nonce, boxed] = reply.split(':').collect::<Vec<_>>()[..] else {
            panic!("{reply}")
        };
        let nonce: [u8; 24] = STANDARD.decode(nonce).unwrap().try_into().unwrap();
        let text = self.key.decrypt(&nonce.into(), &*STANDARD.decode(boxed).unwrap()).unwrap();
        assert_eq!(length, text.len().to_string());
        serde_json::from_slice(&text).unwrap()
    }

    async fn ask(mut self, request: Value) -> Value {
        let message = self.seal(&request.to_string());
        self.stream.write_all(&message).await.unwrap();
        let mut reply = Vec::new();
        self.stream.read_to_end(&mut reply).await.unwrap();
        self.open(&reply)
    }
}

fn sealed(key: &SalsaBox, text: &str) -> Vec<u8> {
    let nonce = [9; 24];
    let boxed = key.encrypt(&nonce.into(), text.as_bytes()).unwrap();
    let (nonce, boxed) = (STANDARD.encode(nonce), STANDARD.encode(boxed));
    format!("{}:{nonce}:{boxed}", text.len()).into_bytes()
}

#[tokio::test]
async fn an_answer_has_the_form_that_the_client_chose() {
    let door = Door::open();
    let request = || json!({"request": "access_token", "account": "wlcg", "application_hint": "x"});
    let expires_at = door.house.clock.wall().0 + 3600;
    let expected = json!({
        "status": "success", "access_token": "at0", "issuer": "https://issuer.test/",
        "expires_at": expires_at,
    });
    assert_eq!(door.ask(request()).await, expected);
    assert_eq!(Sealing::begin(door.connect().await).await.ask(request()).await, expected);
    let issued = door.house.audit.of(crate::audit::Kind::Issue);
    assert_eq!(issued.iter().map(|r| r.detail.as_str()).collect::<Vec<_>>(), ["for x", "for x"]);
    assert_eq!(issued[0].uid, nix::unistd::geteuid().as_raw());
    assert!(issued[0].fields.contains(&"caller_pid"));
    // Errors too.
    let none = Sealing::begin(door.connect().await).await.ask(json!({"request": "no"})).await;
    assert_eq!(none["error"], "Bad Request: Unknown request type.");
}

#[tokio::test]
async fn a_request_that_comes_in_many_writes_is_read_as_one() {
    let door = Door::open();
    let mut plain = door.connect().await;
    for byte in br#" {"request":"check","note":"}\"{"}"# {
        plain.write_all(&[*byte]).await.unwrap();
        tokio::task::yield_now().await;
    }
    assert_eq!(rest(plain).await, br#"{"status":"success"}"#);
    let mut sealing = Sealing::begin(door.connect().await).await;
    let message = sealing.seal(r#"{"request":"check"}"#);
    for byte in message {
        sealing.stream.write_all(&[byte]).await.unwrap();
        tokio::task::yield_now().await;
    }
    let mut reply = Vec::new();
    sealing.stream.read_to_end(&mut reply).await.unwrap();
    assert_eq!(sealing.open(&reply), json!({"status": "success"}));
}

#[tokio::test]
async fn who_closes_their_end_of_writing_still_gets_the_answer() {
    let door = Door::open();
    let mut stream = door.connect().await;
    stream.write_all(b"{\"request\":\"check\"}\n").await.unwrap();
    stream.shutdown().await.unwrap();
    assert_eq!(rest(stream).await, br#"{"status":"success"}"#);
}

#[tokio::test]
async fn everybody_may_connect_and_an_earlier_daemons_socket_is_replaced() {
    let door = Door::open();
    let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o7777;
    assert_eq!(mode(&door.path), 0o666);
    door.serving.abort();
    assert!(std::fs::metadata(&door.path).unwrap().file_type().is_socket());
    let socket = AgentSocket::bind(&door.path).unwrap();
    assert_eq!(mode(&door.path), 0o666);
    let serving = tokio::spawn(socket.serve(host(&door.house)));
    door.serves().await;
    serving.abort();
    let absent = door.house.dir.path().join("absent/oidc-agent.sock");
    let Err(error) = AgentSocket::bind(&absent) else { panic!("bound") };
    assert!(error.to_string().contains("absent/oidc-agent.sock"), "{error}");
}

#[tokio::test]
async fn a_socket_that_somebody_removed_is_there_again() {
    let door = Door::open();
    std::fs::remove_file(&door.path).unwrap();
    let again = async {
        while UnixStream::connect(&door.path).await.is_err() {
            door.house.clock.sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(10 * S, again).await.unwrap();
    door.serves().await;
    assert_eq!(std::fs::metadata(&door.path).unwrap().permissions().mode() & 0o777, 0o666);
}

#[tokio::test]
async fn sessions_are_told_of_the_socket_while_it_is_served_and_the_site_can_switch_it_off() {
    let house = House::new();
    let path = house.dir.path().join("oidc-agent.sock");
    let told = async || {
        let opened = house.open(iamd_protocol::pam::Open { quiet: true, ..house.frame(ALICE) });
        let found = opened.await.environment.into_iter().find(|(name, _)| name == "OIDC_SOCK");
        let found = found.map(|(_, value)| value);
        // And so are scripts that start an agent.
        let status = house.service.status(&house.caller(ALICE)).await.unwrap();
        assert_eq!(status.agent_socket, found);
        found
    };
    assert_eq!(told().await, None);
    let mut switch = Switch::new(path.clone(), host(&house));
    assert_eq!(told().await.as_deref(), path.to_str());
    let site = |enabled: bool| {
        let text = format!("[issuers]\ndefault = \"wlcg\"\n[agent_socket]\nenabled = {enabled}\n");
        std::fs::write(house.dir.path().join("iamd.toml"), text).unwrap();
        house.service.reload(crate::service::By::ITSELF).unwrap();
    };
    site(false);
    switch.settle();
    assert_eq!((told().await, path.exists()), (None, false));
    site(true);
    switch.settle();
    let mut stream = UnixStream::connect(&path).await.unwrap();
    stream.write_all(b"{\"request\":\"check\"}").await.unwrap();
    assert_eq!(rest(stream).await, br#"{"status":"success"}"#);
    assert_eq!(told().await.as_deref(), path.to_str());
    // What cannot be bound keeps nobody from logging in, and nobody is sent there.
    site(false);
    switch.settle();
    std::fs::create_dir(&path).unwrap();
    site(true);
    switch.settle();
    assert_eq!(told().await, None);
}

fn token(text: &str, issued_at: UnixTime, lives: u64) -> AccessToken {
    AccessToken {
        token: text.to_owned().into(),
        issued_at,
        expires_at: issued_at.plus(Duration::from_secs(lives)),
        scopes: profile().scopes,
    }
}

/// The record of the account that the tests' own user has.
fn change(door: &Door, change: impl FnOnce(&mut Record)) {
    let uid = nix::unistd::geteuid().as_raw();
    let key = AccountKey { uid, name: "wlcg".parse().unwrap() };
    change(&mut door.house.vault.accounts.lock().unwrap().get_mut(&key).unwrap().0);
}
