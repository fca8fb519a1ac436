//! Making, changing and removing accounts over the wire, secrets by descriptor included.

use std::io::Write as _;

use iamd_protocol::bus::{
    AccountSecrets, AddOptions, ChangeReply, EditOptions, IssuerInfo, RemoveOptions, RemoveReply,
    secret,
};
use zbus::OwnedFd;

use super::*;
use crate::account::ClientOwner;

type Secrets = HashMap<String, OwnedFd>;

fn pipe_with(text: &str) -> OwnedFd {
    let (reader, mut writer) = std::io::pipe().unwrap();
    writer.write_all(text.as_bytes()).unwrap();
    std::os::fd::OwnedFd::from(reader).into()
}

#[tokio::test]
async fn an_account_is_made_changed_and_removed() {
    let house = House::and("[policy]\nshow_secrets = [\"alice\"]\n");
    let line = Line::between(house, Callers::always(ALICE), |client| client).await;
    let add = AddOptions {
        client_id: Some("my-id".into()),
        client_auth: Some("client_secret_post".into()),
        ..AddOptions::default()
    };
    let secrets: Secrets = [(secret::CLIENT_SECRET.to_owned(), pipe_with("my-secret\n"))].into();
    let body = line.call(ACCOUNTS, "Add", &("mine", &add, &secrets)).await.unwrap();
    let reply: ChangeReply = body.body().deserialize().unwrap();
    assert_eq!((reply.account.as_str(), reply.login_needed), ("mine", true));
    let body = line.call(ACCOUNTS, "Secrets", &("mine",)).await.unwrap();
    let shown: AccountSecrets = body.body().deserialize().unwrap();
    assert_eq!(shown.client_secret.as_deref(), Some("my-secret"));
    let edit = EditOptions { audiences: Some(vec!["https://se".into()]), ..EditOptions::default() };
    line.call(ACCOUNTS, "Edit", &("mine", &edit)).await.unwrap();
    let body = line.call(ACCOUNTS, "Rename", &("mine", "work")).await.unwrap();
    assert_eq!(body.body().deserialize::<ChangeReply>().unwrap().account, "work");
    line.call(ACCOUNTS, "SetDefault", &("work",)).await.unwrap();
    let record = line.house.vault.record(&line.house.alices("work"));
    assert_eq!(record.audiences.to_string(), "https://se");
    assert_eq!(record.client_owner, ClientOwner::Given(ALICE, "work".parse().unwrap()));
    let body = line.call(ACCOUNTS, "Issuer", &("wlcg",)).await.unwrap();
    let issuer: IssuerInfo = body.body().deserialize().unwrap();
    assert_eq!(issuer.scopes_offered, Some(Vec::new()));
    let body = line.call(ACCOUNTS, "Remove", &("work", RemoveOptions::default())).await.unwrap();
    assert_eq!(body.body().deserialize::<RemoveReply>().unwrap().account, "work");
    assert!(line.house.vault.accounts.lock().unwrap().is_empty());
}

#[tokio::test]
async fn a_secret_that_is_none_makes_no_account() {
    let line = Line::of(ALICE).await;
    let add = AddOptions { client_id: Some("my-id".into()), ..AddOptions::default() };
    let names = [("client-secret", ""), ("password", "x"), ("client-secret", "a\u{1b}[31m")];
    for (name, text) in names {
        let secrets: Secrets = [(name.to_owned(), pipe_with(text))].into();
        let refused = line.call(ACCOUNTS, "Add", &("mine", &add, &secrets)).await.err();
        assert_eq!(refused, named(Kind::InvalidArgument), "{name} {text:?}");
    }
    let nothing = Secrets::new();
    let refused = line.call(ACCOUNTS, "Rename", &("none", "x")).await.err();
    assert_eq!(refused, named(Kind::NoSuchAccount));
    line.call(ACCOUNTS, "Add", &("mine", AddOptions::default(), &nothing)).await.unwrap();
    let again = line.call(ACCOUNTS, "Add", &("mine", AddOptions::default(), &nothing)).await.err();
    assert_eq!(again, named(Kind::AccountExists));
    let refused = line.call(ACCOUNTS, "Secrets", &("mine",)).await.err();
    assert_eq!(refused, named(Kind::DeniedByPolicy));
}
