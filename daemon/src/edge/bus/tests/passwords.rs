//! The password flow over the wire: by descriptor, and only by descriptor.

use std::{io::Write as _, os::fd::OwnedFd};

use iamd_protocol::bus::{LoginInfo, PasswordFlowInfo, PasswordFlowReply};
use zbus::Fd;

use super::*;

const PASSWORD: &str = "correct horse";

/// With the user's name, both in pipes.
fn password(name: &'static str) -> HashMap<&'static str, Fd<'static>> {
    let mut secrets = alone(name, PASSWORD);
    secrets.extend(alone("user-name", "alice"));
    secrets
}

fn alone(name: &'static str, text: &str) -> HashMap<&'static str, Fd<'static>> {
    let (reader, mut writer) = std::io::pipe().unwrap();
    writer.write_all(text.as_bytes()).unwrap();
    HashMap::from([(name, Fd::from(OwnedFd::from(reader)))])
}

async fn login(line: &Line, secrets: HashMap<&str, Fd<'_>>) -> Result<String, String> {
    let body = ("", options(NOTHING), secrets);
    let reply = line.call(ACCOUNTS, "LoginWithPassword", &body).await?;
    Ok(reply.body().deserialize::<LoginInfo>().unwrap().state)
}

#[tokio::test]
async fn an_administrator_allows_it_a_user_signs_in_and_it_is_taken_back() {
    let house = House::new();
    signed_in(&house.vault);
    let line = Line::between(house, Callers::always(0), |client| client).await;
    let client =
        || options([("issuer", Variant::from("wlcg")), ("client", Variant::from("client-1"))]);
    let reply = line.call(ADMIN, "EnablePasswordFlow", &(client(),)).await.unwrap();
    assert!(reply.body().deserialize::<PasswordFlowReply>().unwrap().enabled);
    let reply = line.call(ADMIN, "PasswordFlows", &()).await.unwrap();
    let flows: Vec<PasswordFlowInfo> = reply.body().deserialize().unwrap();
    assert_eq!((flows.len(), flows[0].enabled_by_user.as_str()), (1, "root"));

    // root has the uid of this line; its first account is at the site's issuer with the same client.
    assert_eq!(login(&line, HashMap::new()).await.as_deref(), Ok("password-needed"));
    assert!(line.house.issuers.passwords.lock().unwrap().is_empty());
    assert_eq!(login(&line, password("password")).await.as_deref(), Ok("done"));
    let sent = ("client-1".to_owned(), "alice".to_owned(), PASSWORD.to_owned());
    assert_eq!(*line.house.issuers.passwords.lock().unwrap(), [sent]);
    // Another secret, a password without a name, and a name alone, which asks for nothing.
    assert_eq!(login(&line, password("passphrase")).await.err(), named(Kind::InvalidArgument));
    let nameless = alone("password", PASSWORD);
    assert_eq!(login(&line, nameless).await.err(), named(Kind::InvalidArgument));
    let name = alone("user-name", "alice");
    assert_eq!(login(&line, name).await.as_deref(), Ok("password-needed"));
    assert_eq!(line.house.issuers.passwords.lock().unwrap().len(), 1);

    let reply = line.call(ADMIN, "DisablePasswordFlow", &(client(),)).await.unwrap();
    assert!(!reply.body().deserialize::<PasswordFlowReply>().unwrap().enabled);
    assert_eq!(login(&line, password("password")).await.err(), named(Kind::DeniedByPolicy));
}

#[tokio::test]
async fn a_user_whom_polkit_does_not_allow_it_changes_nothing() {
    // Nobody answers for polkit on this line: that is a no.
    let line = Line::of(ALICE).await;
    let client =
        options([("issuer", Variant::from("wlcg")), ("client", Variant::from("client-1"))]);
    for method in ["EnablePasswordFlow", "DisablePasswordFlow"] {
        let error = line.call(ADMIN, method, &(&client,)).await.err();
        assert_eq!(error, named(Kind::NotAuthorized), "{method}");
    }
    assert_eq!(line.call(ADMIN, "PasswordFlows", &()).await.err(), named(Kind::NotAuthorized));
    assert!(line.house.vault.password_flows.lock().unwrap().is_empty());
}
