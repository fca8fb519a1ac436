//! Passphrases over the wire: by descriptor, and only by descriptor.

use std::{io::Write as _, os::fd::OwnedFd};

use iamd_protocol::bus::{AccountInfo, ChangeReply};
use zbus::Fd;

use super::*;

const WORDS: &str = "correct horse battery\n";

fn pipe(text: &str) -> OwnedFd {
    let (reader, mut writer) = std::io::pipe().unwrap();
    writer.write_all(text.as_bytes()).unwrap();
    reader.into()
}

fn secrets<const N: usize>(given: [(&'static str, &str); N]) -> HashMap<&'static str, Fd<'static>> {
    given.map(|(name, text)| (name, Fd::from(pipe(text)))).into()
}

async fn line() -> Line {
    Line::between(House::sealing().await, Callers::always(ALICE), |client| client).await
}

#[tokio::test]
async fn an_account_is_guarded_locked_and_unlocked_over_the_wire() {
    let line = line().await;
    let set = secrets([("new-passphrase", WORDS)]);
    let reply = line.call(ACCOUNTS, "SetPassphrase", &("", set)).await.unwrap();
    assert_eq!(reply.body().deserialize::<ChangeReply>().unwrap().account, "wlcg");
    line.call(ACCOUNTS, "Lock", &("",)).await.unwrap();
    let body = line.call(ACCOUNTS, "Show", &("",)).await.unwrap();
    assert_eq!(body.body().deserialize::<AccountInfo>().unwrap().state, "locked");
    let none = options(NOTHING);
    let error = line.call(TOKENS, "GetToken", &("", &none)).await.err();
    assert_eq!(error, named(Kind::AccountLocked));
    let hour = options([("for_seconds", Variant::from(3600_u32))]);
    let wrong = ("wlcg", &hour, Fd::from(pipe("wrong horse")));
    let error = line.call(ACCOUNTS, "Unlock", &wrong).await.err();
    assert_eq!(error, named(Kind::WrongPassphrase));
    let right = ("wlcg", &hour, Fd::from(pipe(WORDS)));
    line.call(ACCOUNTS, "Unlock", &right).await.unwrap();
    let body = line.call(ACCOUNTS, "Show", &("wlcg",)).await.unwrap();
    let info: AccountInfo = body.body().deserialize().unwrap();
    assert_eq!(info.unlocked_until, Some(line.house.clock.wall().0 + 3600));
    let off = secrets([("passphrase", WORDS)]);
    line.call(ACCOUNTS, "SetPassphrase", &("wlcg", off)).await.unwrap();
    let error = line.call(ACCOUNTS, "Lock", &("wlcg",)).await.err();
    assert_eq!(error, named(Kind::InvalidArgument));
}

#[tokio::test]
async fn a_secret_that_the_method_does_not_know_is_refused() {
    let line = line().await;
    let odd = secrets([("new-passphrase", WORDS), ("client-secret", "x")]);
    let error = line.call(ACCOUNTS, "SetPassphrase", &("", odd)).await.err();
    assert_eq!(error, named(Kind::InvalidArgument));
    let short = secrets([("new-passphrase", "short\n")]);
    let error = line.call(ACCOUNTS, "SetPassphrase", &("", short)).await.err();
    assert_eq!(error, named(Kind::InvalidArgument));
}

#[tokio::test]
async fn a_descriptor_that_never_ends_holds_nobody_up() {
    let line = line().await;
    let (reader, _writer) = std::io::pipe().unwrap();
    let none = options(NOTHING);
    let stuck = ("", &none, Fd::from(OwnedFd::from(reader)));
    let stuck = line.call(ACCOUNTS, "Unlock", &stuck);
    tokio::select! {
        _ = stuck => panic!("nothing was given"),
        listed = async {
            line.house.clock.sleep(Duration::from_millis(50)).await;
            tokio::time::timeout(PATIENCE, line.call(ACCOUNTS, "List", &())).await
        } => assert!(listed.expect("held").is_ok()),
    }
}
