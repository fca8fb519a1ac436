//! Administration: by polkit's word on the caller's name, and nobody else's.

use std::sync::Mutex;

use iamd_protocol::bus::{
    ACTION_INSPECT, ACTION_RELOAD, BackupOptions, BackupReply, DrainInfo, DrainOptions,
    PolicyCheck, PolicyLine, RestoreOptions, RestoreReply, RevokeOptions, RevokeReply, SessionInfo,
    StoreReport, UserInfo, backup,
};
use zbus::{Fd, OwnedVariant};
use zbus_polkit::policykit1::AuthorizationResult;

use super::*;

/// What polkit was asked: whose name, which action, and whether it may ask the user.
static ASKED: Mutex<Vec<(String, String, bool)>> = Mutex::new(Vec::new());

/// Allows to look and nothing else.
struct Polkit;

#[interface(name = "org.freedesktop.PolicyKit1.Authority")]
impl Polkit {
    fn check_authorization(
        &self,
        subject: (String, HashMap<String, OwnedVariant>),
        action: String,
        _details: HashMap<String, String>,
        flags: u32,
        _cancellation: String,
    ) -> AuthorizationResult {
        let name = subject.1.get("name").map(|name| format!("{name:?}")).unwrap_or_default();
        let is_authorized = subject.0 == "system-bus-name" && action == ACTION_INSPECT;
        ASKED.lock().unwrap().push((name, action, flags & 1 != 0));
        AuthorizationResult { is_authorized, is_challenge: false, details: HashMap::new() }
    }
}

/// How often the bus was asked.
static BUS_CALLS: Mutex<usize> = Mutex::new(0);

/// A bus that knows who is behind a name.
struct Bus;

#[interface(name = "org.freedesktop.DBus")]
impl Bus {
    fn get_connection_credentials(
        &self,
        name: String,
    ) -> zbus::fdo::Result<HashMap<String, OwnedVariant>> {
        *BUS_CALLS.lock().unwrap() += 1;
        let uid = match name.as_str() {
            ":1.1" => ALICE,
            ":1.2" => BOB,
            _ => return Err(zbus::fdo::Error::NameHasNoOwner("gone".into())),
        };
        let uid = OwnedVariant::try_from(Variant::from(uid)).unwrap();
        Ok(HashMap::from([("UnixUserID".to_owned(), uid)]))
    }
}

#[tokio::test]
async fn root_is_not_asked_about() {
    let line = Line::of(0).await;
    signed_in(&line.house.vault);
    line.house.log_in(ALICE).await;
    line.call(ADMIN, "Reload", &()).await.unwrap();
    let body = line.call(ADMIN, "Users", &()).await.unwrap();
    let users: Vec<UserInfo> = body.body().deserialize().unwrap();
    assert_eq!((users.len(), users[0].user.as_str(), users[0].sessions), (1, "alice", 1));
    let body = line.call(ADMIN, "Sessions", &()).await.unwrap();
    assert_eq!(body.body().deserialize::<Vec<SessionInfo>>().unwrap()[0].uid, ALICE);
    let all = RevokeOptions { user: Some("alice".into()), ..RevokeOptions::default() };
    let reply: RevokeReply =
        line.call(ADMIN, "Revoke", &(all,)).await.unwrap().body().deserialize().unwrap();
    assert_eq!((reply.sign_ins.len(), reply.sign_ins[0].result.as_str()), (1, "revoked"));
    let on = DrainOptions { on: true, reason: None };
    line.call(ADMIN, "SetDrain", &(on,)).await.unwrap();
    let body = line.call(ADMIN, "Drain", &()).await.unwrap();
    assert!(body.body().deserialize::<DrainInfo>().unwrap().on);
    let body = line.call(ADMIN, "CheckPolicy", &()).await.unwrap();
    let check: PolicyCheck = body.body().deserialize().unwrap();
    assert!(check.good && check.problems.is_empty() && check.lines.len() > 10);
    let body = line.call(ADMIN, "ExplainPolicy", &("alice",)).await.unwrap();
    let lines: Vec<PolicyLine> = body.body().deserialize().unwrap();
    assert!(lines.iter().all(|line| line.whom == "alice" && !line.decided_by.is_empty()));
}

#[tokio::test]
async fn a_user_is_an_administrator_only_where_polkit_says_so() {
    let with_polkit: Prepare =
        |client| client.serve_at("/org/freedesktop/PolicyKit1/Authority", Polkit);
    let line = Line::between(House::new(), Callers::always(ALICE), with_polkit).await;
    assert_eq!(line.call_as(":1.7", ADMIN, "Users").await, Ok(()));
    assert_eq!(line.call_as(":1.7", ADMIN, "Sessions").await, Ok(()));
    assert_eq!(line.call_as(":1.7", ADMIN, "CheckPolicy").await, Ok(()));
    assert_eq!(line.call_as(":1.7", ADMIN, "Reload").await.err(), named(Kind::NotAuthorized));
    // Who has an agent of polkit's and says so with the call is asked for a password.
    let call = Message::method_call(PATH, "Reload").interface(ADMIN).sender(":1.7");
    let call = call.with_flags(zbus::message::Flags::ALLOW_INTERACTIVE_AUTH);
    assert_eq!(line.replied(call.build(&()).unwrap()).await.err(), named(Kind::NotAuthorized));
    let asked = ASKED.lock().unwrap().clone();
    let actions: Vec<(&str, bool)> = asked.iter().map(|(_, what, may)| (&**what, *may)).collect();
    let inspected = (ACTION_INSPECT, false);
    let reloads = [(ACTION_RELOAD, false), (ACTION_RELOAD, true)];
    assert_eq!(actions, [[inspected; 3].as_slice(), &reloads].concat());
    assert!(asked.iter().all(|(name, ..)| name.contains(":1.7")), "{asked:?}");
    let done = line.house.audit.of(crate::audit::Kind::Administration);
    let results: Vec<&str> = done.iter().map(|record| record.result.as_str()).collect();
    assert_eq!(results, ["ok", "ok", "ok", "NotAuthorized", "NotAuthorized"]);
}

#[tokio::test]
async fn without_polkit_nobody_but_root_is_one() {
    // The other end serves nothing, so that polkit's answer is an error.
    let line = Line::between(House::new(), Callers::always(ALICE), |client| {
        client.serve_at("/nothing", Fails)
    })
    .await;
    for member in [
        "Reload",
        "Users",
        "Sessions",
        "CheckPolicy",
        "RekeyProgress",
        "CheckStore",
        "Stats",
        "AcceptStore",
    ] {
        let error = line.call_as(":1.7", ADMIN, member).await.err();
        assert_eq!(error, named(Kind::NotAuthorized), "{member}");
        // A caller without a name on the bus is nobody polkit could know.
        assert_eq!(line.call(ADMIN, member, &()).await.err(), named(Kind::NotAuthorized));
    }
}

#[tokio::test]
async fn the_caller_is_who_the_bus_says_and_asked_for_once() {
    let with_bus: Prepare = |client| client.serve_at("/org/freedesktop/DBus", Bus);
    let line = Line::between(House::new(), Callers::default(), with_bus).await;
    signed_in(&line.house.vault);
    for _ in 0..3 {
        assert_eq!(line.call_as(":1.1", ACCOUNTS, "List").await, Ok(()));
        assert_eq!(line.call_as(":1.2", ACCOUNTS, "List").await, Ok(()));
    }
    assert_eq!(*BUS_CALLS.lock().unwrap(), 2);
    let error = line.call_as(":1.3", ACCOUNTS, "List").await.err();
    assert_eq!(error, named(Kind::NotAuthorized));
    // Without a name there is nobody to ask about.
    assert_eq!(line.call(ACCOUNTS, "List", &()).await.err(), named(Kind::NotAuthorized));
}

/// A pipe that a passphrase comes out of.
fn words() -> Fd<'static> {
    use std::io::Write as _;
    let (reader, mut writer) = std::io::pipe().unwrap();
    writer.write_all(b"the words of a backup\n").unwrap();
    owned(reader)
}

fn owned(end: impl Into<std::os::fd::OwnedFd>) -> Fd<'static> {
    Fd::from(end.into())
}

#[tokio::test]
async fn what_cannot_begin_although_it_is_allowed_is_recorded() {
    let line = Line::of(0).await;
    // root is allowed, and the name service does not know who that is.
    line.house.users.0.lock().unwrap().remove(&0);
    let flow =
        || options([("issuer", Variant::from("wlcg")), ("client", Variant::from("client-1"))]);
    for member in ["EnablePasswordFlow", "DisablePasswordFlow"] {
        let refused = line.call(ADMIN, member, &(flow(),)).await;
        assert_eq!(refused.err(), named(Kind::StoreUnavailable), "{member}");
    }
    for member in ["Backup", "Restore"] {
        let data = (backup::DATA, owned(tempfile::tempfile().unwrap()));
        let file = HashMap::from([data, (backup::PASSPHRASE, words())]);
        for given in [HashMap::new(), file] {
            let refused = line.call(ADMIN, member, &(options(NOTHING), given)).await;
            assert_eq!(refused.err(), named(Kind::InvalidArgument), "{member}");
        }
    }
    let recorded = line.house.audit.of(crate::audit::Kind::Administration);
    let told = |record: &Recorded| format!("{} {}", record.detail, record.result);
    let (flow, keep) = ("org.iamd1.admin.password-flow", "org.iamd1.admin.backup");
    let mut expected: Vec<String> = ["Enable", "Disable"]
        .map(|what| format!("{what}PasswordFlow ({flow}) StoreUnavailable"))
        .into();
    for what in ["Backup", "Backup", "Restore", "Restore"] {
        expected.push(format!("{what} ({keep}) InvalidArgument"));
    }
    assert_eq!(recorded.iter().map(told).collect::<Vec<_>>(), expected);
    let of = ("https://issuer.test/", "client-1");
    assert!(recorded[..2].iter().all(|record| (&*record.issuer, &*record.client) == of));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_backup_goes_out_and_in_through_pipes_and_nothing_else() {
    let line = Line::between(House::sealing().await, Callers::always(0), |client| client).await;
    let body = line.call(ADMIN, "CheckStore", &()).await.unwrap();
    assert!(body.body().deserialize::<StoreReport>().unwrap().sound);
    let invalid = named(Kind::InvalidArgument);
    let file = || owned(tempfile::tempfile().unwrap());
    let (reader, writer) = std::io::pipe().unwrap();
    for given in [
        HashMap::new(),
        HashMap::from([(backup::PASSPHRASE, words())]),
        HashMap::from([(backup::DATA, file()), (backup::PASSPHRASE, words())]),
        HashMap::from([(backup::DATA, owned(reader)), (backup::PASSPHRASE, words())]),
        HashMap::from([
            (backup::DATA, owned(writer)),
            (backup::PASSPHRASE, words()),
            ("more", words()),
        ]),
    ] as [HashMap<&str, Fd<'_>>; 5]
    {
        let refused = line.call(ADMIN, "Backup", &(BackupOptions::default(), given)).await;
        assert_eq!(refused.err(), invalid);
    }
    let (mut reader, writer) = std::io::pipe().unwrap();
    let data = owned(writer);
    let copy = std::thread::spawn(move || {
        let mut bytes = Vec::new();
        std::io::Read::read_to_end(&mut reader, &mut bytes).unwrap();
        bytes
    });
    let given = HashMap::from([(backup::DATA, data), (backup::PASSPHRASE, words())]);
    let reply = line.call(ADMIN, "Backup", &(BackupOptions::default(), given)).await.unwrap();
    let reply: BackupReply = reply.body().deserialize().unwrap();
    let bytes = copy.join().unwrap();
    assert_eq!(reply.bytes, bytes.len() as u64);

    let (reader, mut writer) = std::io::pipe().unwrap();
    let feed = std::thread::spawn(move || std::io::Write::write_all(&mut writer, &bytes).unwrap());
    let data = owned(reader);
    let given = HashMap::from([(backup::DATA, data), (backup::PASSPHRASE, words())]);
    let restored = line.call(ADMIN, "Restore", &(RestoreOptions::default(), given)).await.unwrap();
    feed.join().unwrap();
    let restored: RestoreReply = restored.body().deserialize().unwrap();
    assert!(restored.restored && restored.digest == reply.digest);
}
