//! Clients that an issuer does not register, change or delete, and files of the site about them.

use std::{fs, os::unix::fs::PermissionsExt as _};

use super::*;
use crate::account::{
    ClientPolicy, ClientRecord, FixedClient, ports::ClientChange, ports::ClientMetadata,
};

const ENDPOINT: &str = "POST /iam/api/client-registration";

async fn registered(profile: &IssuerProfile) -> IssuerError {
    client().register(profile, ClientOwner::Site, None).await.unwrap_err()
}

#[tokio::test]
async fn a_registration_is_refused_or_of_no_use() {
    let mock = Mock::start().await;
    let device = "urn:ietf:params:oauth:grant-type:device_code";
    for (when, answer) in [
        (
            "the issuer registers no clients for us",
            json_reply(400, json!({ "error": "Client registration is disabled" })),
        ),
        ("a registration without a client", json_reply(201, json!({}))),
        (
            "a registration whose client has no usable ID",
            json_reply(201, json!({ "client_id": "\u{e9}" })),
        ),
        (
            "a registration without the device grant",
            json_reply(201, json!({ "client_id": "a", "grant_types": ["refresh_token"] })),
        ),
        (
            "a registration with another way to authenticate",
            json_reply(
                201,
                json!({
                    "client_id": "a", "client_secret": "s", "grant_types": [device],
                    "token_endpoint_auth_method": "private_key_jwt",
                }),
            ),
        ),
    ] {
        mock.on(ENDPOINT, [answer]);
        shows(&mock, when, registered(&mock.profile()).await);
    }
    mock.discover_as(json!({ "registration_endpoint": null }));
    shows(&mock, "the issuer registers no clients at all", registered(&mock.profile()).await);
    let public = client().public_client(&mock.profile()).unwrap_err();
    shows(&mock, "the public client was taken from the issuer's file", public);
}

#[tokio::test]
async fn a_client_is_not_changed() {
    let mock = Mock::start().await;
    let ours =
        ClientRecord { registration_client_uri: Some(format!("{}c/1", mock.url)), ..basic() };
    let read = async |client_record: &ClientRecord| match client()
        .read_client(&mock.profile(), client_record)
        .await
    {
        Ok(managed) => managed.answer.map(|_| ()).unwrap_err(),
        Err(error) => error,
    };
    for (when, answer) in [
        ("the issuer answers for another client", json_reply(200, json!({ "client_id": "other" }))),
        ("the issuer does not say for which client it answers", json_reply(200, json!({}))),
        (
            "the issuer does not know a client that is to be changed",
            json_reply(401, json!({ "error": "invalid_token" })),
        ),
    ] {
        mock.on("GET /c/1", [answer]);
        shows(&mock, when, read(&ours).await);
    }
    shows(&mock, "a client is to be changed that nobody may change", read(&basic()).await);
    let nowhere = ClientRecord { registration_client_uri: Some("nowhere".into()), ..basic() };
    shows(&mock, "a client is to be changed whose address is none", read(&nowhere).await);
    mock.on(
        "PUT /c/1",
        [oauth(400, "invalid_client_metadata", "scope compute.read is restricted")],
    );
    let change =
        ClientChange { scopes: Some(ScopeSet::parse(["compute.read"]).unwrap()), name: None };
    let (client, profile, known) = (client(), mock.profile(), ClientMetadata(Default::default()));
    let changed = client.update_client(&profile, &ours, &known, &change).await.unwrap();
    let refused = changed.answer.map(|_| ()).unwrap_err();
    shows(&mock, "the issuer does not change a client", refused);
}

#[tokio::test]
async fn a_file_of_the_site_is_no_secret() {
    let mock = Mock::start().await;
    let directory = tempfile::tempdir().unwrap();
    let file = |name: &str, content: &str, mode: u32| {
        let file = directory.path().join(name);
        fs::write(&file, content).unwrap();
        fs::set_permissions(&file, fs::Permissions::from_mode(mode)).unwrap();
        file
    };
    let somebody = file("somebody", "Canary", 0o600);
    std::os::unix::fs::chown(&somebody, Some(1001), None).unwrap();
    fs::create_dir(directory.path().join("folder")).unwrap();
    let here = directory.path().to_str().unwrap();
    for (when, path) in [
        ("a secret of the site that all can read", file("readable", "Canary", 0o640)),
        ("a secret of the site that belongs to somebody", somebody),
        ("a secret of the site that is empty", file("empty", " \n", 0o600)),
        ("a secret of the site that is none", file("long", &"x".repeat(70_000), 0o600)),
        ("a secret of the site that is a directory", directory.path().join("folder")),
        ("a secret of the site that is not there", directory.path().join("missing")),
    ] {
        let profile = IssuerProfile { initial_access_token_file: Some(path), ..mock.profile() };
        shows_at(&[(here, "/etc/iamd")], when, registered(&profile).await);
    }
    let fixed =
        FixedClient { id: "id".into(), secret_file: None, auth: ClientAuth::ClientSecretBasic };
    let profile = IssuerProfile { client: ClientPolicy::Fixed(fixed), ..mock.profile() };
    let without = client().fixed_client(&profile).await.unwrap_err();
    shows(&mock, "the site's client has no secret and should have one", without);
    let none = client().fixed_client(&mock.profile()).await.unwrap_err();
    shows(&mock, "the site's client was taken from the issuer's file", none);
    assert!(
        client()
            .fixed_client(&IssuerProfile { client: ClientPolicy::PerUser, ..profile })
            .await
            .is_err()
    );
    assert!(record(ClientAuth::None).client_secret.is_none());
}
