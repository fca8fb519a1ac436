//! What the bus itself refuses, before a use case is asked: provoked over the wire or at the pipe,
//! and compared with its row in docs/errors.md.

use std::{io::Write as _, os::fd::OwnedFd};

use iamd_protocol::bus::secret;
use zbus::{DBusError as _, OwnedVariant};
use zbus_polkit::policykit1::AuthorizationResult;

use super::{super::secrets::*, *};

#[tokio::test]
async fn a_backup_without_its_descriptors() {
    let error = super::super::pipes::of_backup(HashMap::new()).await.unwrap_err();
    let (name, text) = (error.name().to_string(), error.description().unwrap().to_owned());
    shows("a backup comes without its descriptors", &name, &text);
}

fn shows(when: &str, name: &str, message: &str) {
    let kind = Kind::from_bus_name(name).unwrap();
    crate::testing::shows("Requests on the bus", when, ServiceError::new(kind, message));
}

fn refuses<T>(when: &str, result: Result<T, BusError>) {
    let error = result.err().unwrap();
    shows(when, error.name().as_str(), error.description().unwrap());
}

fn pipe(bytes: &[u8]) -> OwnedFd {
    let (reader, mut writer) = std::io::pipe().unwrap();
    writer.write_all(bytes).unwrap();
    reader.into()
}

fn given(name: &str, bytes: &[u8]) -> HashMap<String, zbus::OwnedFd> {
    HashMap::from([(name.to_owned(), pipe(bytes).into())])
}

#[tokio::test(start_paused = true)]
async fn a_secret_that_is_none() {
    refuses("a secret is empty", read_secret(pipe(b"\n")).await);
    refuses("a secret is not text", read_secret(pipe(b"Canary\xff")).await);
    refuses("a secret is too long", read_secret(pipe(&[b'a'; 20_000])).await);
    let file = tempfile::tempfile().unwrap();
    refuses("a secret does not come by a pipe", read_secret(file.into()).await);
    let (open, _writer) = std::io::pipe().unwrap();
    refuses("whoever sends a secret does not end", read_secret(open.into()).await);
    let odd = read_secrets(given("client-secret", b"Canary"), [secret::PASSPHRASE]).await;
    refuses("a secret of another call is sent", odd);
    let control = read_handed(given(secret::CLIENT_SECRET, b"Can\x07ary")).await;
    refuses("a secret that no request can carry", control);
}

/// A call, and what is said to it.
async fn called(line: &Line, interface: &str, member: &str) -> (String, String) {
    let call = line.client.call_method(None::<&str>, PATH, Some(interface), member, &()).await;
    match call.unwrap_err() {
        zbus::Error::MethodError(name, message, _) => (name.to_string(), message.unwrap()),
        other => panic!("{other}"),
    }
}

/// polkit, allowing nothing.
struct No;

#[interface(name = "org.freedesktop.PolicyKit1.Authority")]
impl No {
    fn check_authorization(
        &self,
        _subject: (String, HashMap<String, OwnedVariant>),
        _action: String,
        _details: HashMap<String, String>,
        _flags: u32,
        _cancellation: String,
    ) -> AuthorizationResult {
        AuthorizationResult { is_authorized: false, is_challenge: false, details: HashMap::new() }
    }
}

#[tokio::test]
async fn a_caller_who_may_not() {
    let with_polkit: Prepare =
        |client| client.serve_at("/org/freedesktop/PolicyKit1/Authority", No);
    let without: Prepare = |client| client.serve_at("/nothing", Fails);
    for (when, member, polkit) in [
        ("iamctl admin reload by somebody who is no administrator", "Reload", with_polkit),
        ("iamctl admin users by somebody who is no administrator", "Users", with_polkit),
        ("iamctl admin users by somebody who is not root, while polkit is away", "Users", without),
    ] {
        let line = Line::between(House::new(), Callers::always(ALICE), polkit).await;
        let call = Message::method_call(PATH, member).interface(ADMIN).sender(":1.7");
        let (name, message) = line.told(call.build(&()).unwrap()).await.unwrap_err();
        shows(when, &name, &message);
        let recorded = line.house.audit.of(crate::audit::Kind::Administration);
        let told: Vec<_> = recorded.iter().map(|record| (record.uid, &*record.result)).collect();
        assert_eq!(told, [(ALICE, "NotAuthorized")], "{when}");
    }
    let line = Line::between(House::new(), Callers::default(), |client| client).await;
    let (name, message) = called(&line, ACCOUNTS, "List").await;
    shows("a caller whom the bus does not know", &name, &message);
    let (name, message) = {
        let error = BusError::from(zbus::Error::InvalidReply);
        (error.name().to_string(), error.description().unwrap().to_owned())
    };
    shows("the bus fails while iamd asks it who is calling", &name, &message);
}
