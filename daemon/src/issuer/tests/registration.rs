//! Registration of a client and its end (RFC 7591, RFC 7592).

use std::{
    fs,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
};

use secrecy::ExposeSecret as _;
use serde_json::{Value, json};

use super::{
    NOW, basic, client,
    mock::{Answer, Mock, json_reply, oauth, page},
    passing, secret,
};
use crate::account::{
    ClientAuth, ClientOwner, ClientPolicy, FixedClient, IssuerProfile, UnixTime,
    ports::{Deregistered, IssuerError, Issuers as _, Registration, Wanted},
};

const ENDPOINT: &str = "POST /iam/api/client-registration";
const DEVICE: &str = "urn:ietf:params:oauth:grant-type:device_code";

/// A reply as INDIGO IAM's, with changes; null removes.
fn reply(changes: Value) -> Value {
    let mut reply = json!({
        "client_id": "9bef3e68",
        "client_secret": "ALMj-secret",
        "client_name": "iamd:login1",
        "grant_types": [DEVICE, "refresh_token"],
        "token_endpoint_auth_method": "client_secret_basic",
        "scope": "openid offline_access storage.read:/ wlcg.groups",
        "reuse_refresh_token": true,
        "registration_access_token": "eyJ-rat",
        "registration_client_uri": "https://iam.example/iam/api/client-registration/9bef3e68",
        "created_at": 1_699_030_393_000_u64,
    });
    let object = reply.as_object_mut().unwrap();
    for (key, value) in changes.as_object().unwrap() {
        if value.is_null() {
            object.remove(key)
        } else {
            object.insert(key.clone(), value.clone())
        };
    }
    reply
}

async fn register(mock: &Mock) -> Result<Registration, IssuerError> {
    client().register(&mock.profile(), ClientOwner::Site, None).await
}

async fn given(changes: Value) -> Result<Registration, IssuerError> {
    let mock = Mock::start().await;
    mock.on(ENDPOINT, [json_reply(201, reply(changes))]);
    register(&mock).await
}

fn free_text(text: &str) -> Answer {
    json_reply(400, json!({ "error": text }))
}

#[tokio::test]
async fn r16_only_what_is_needed_is_sent() {
    let mock = Mock::start().await;
    mock.on(ENDPOINT, [json_reply(201, reply(json!({})))]);
    register(&mock).await.unwrap();
    let sent = mock.seen(ENDPOINT).pop().unwrap();
    assert_eq!(
        sent.json(),
        json!({
            "client_name": "iamd:login1",
            "grant_types": [DEVICE, "refresh_token"],
            "response_types": [],
            "token_endpoint_auth_method": "client_secret_basic",
            "scope": "offline_access openid storage.read:/ wlcg.groups",
        })
    );
    assert!(!sent.headers.contains_key("authorization"));
}

#[tokio::test]
async fn r16_a_loopback_redirect_uri_is_added_where_the_issuer_insists_on_one() {
    for refusal in [
        oauth(400, "invalid_redirect_uri", "redirect_uris must be present"),
        free_text("registerClient.request.redirectUris: at least one redirect URI is required"),
    ] {
        let mock = Mock::start().await;
        mock.on(ENDPOINT, [refusal, json_reply(201, reply(json!({})))]);
        register(&mock).await.unwrap();
        let sent = mock.seen(ENDPOINT);
        assert_eq!(sent[0].json().get("redirect_uris"), None);
        assert_eq!(sent[1].json()["redirect_uris"], json!(["http://127.0.0.1/"]));
    }
}

#[tokio::test]
async fn r17_200_and_201_are_accepted_and_a_secret_without_an_end_never_ends() {
    for status in [200, 201] {
        let mock = Mock::start().await;
        mock.on(ENDPOINT, [json_reply(status, reply(json!({})))]);
        let client = register(&mock).await.unwrap().client;
        assert_eq!((client.client_id.as_str(), client.registered_at), ("9bef3e68", NOW));
        assert_eq!(client.client_secret_expires_at, None);
        assert_eq!(client.issuer, mock.url);
    }
    let never = given(json!({ "client_secret_expires_at": 0 })).await.unwrap();
    assert_eq!(never.client.client_secret_expires_at, None);
    let ends = given(json!({ "client_secret_expires_at": 1_900_000_000_u64 })).await.unwrap();
    assert_eq!(ends.client.client_secret_expires_at, Some(UnixTime(1_900_000_000)));
}

#[tokio::test]
async fn r18_scopes_that_the_issuer_left_out_without_a_word_are_told() {
    let registration = given(json!({ "scope": "openid wlcg.groups" })).await.unwrap();
    assert_eq!(registration.left_out.scopes.to_string(), "offline_access storage.read:/");
    assert_eq!(registration.client.scopes.to_string(), "openid wlcg.groups");
    // Nothing said means as asked.
    let registration = given(json!({ "scope": null })).await.unwrap();
    assert!(registration.left_out.scopes.is_empty());
    assert!(registration.client.scopes.contains("storage.read:/"));
}

#[tokio::test]
async fn r18_a_client_that_got_no_device_grant_is_given_back_and_said_to_be_of_no_use() {
    let mock = Mock::start().await;
    let uri = format!("{}c/1", mock.url);
    let changes = json!({ "grant_types": ["authorization_code"], "registration_client_uri": uri });
    mock.on(ENDPOINT, [json_reply(201, reply(changes))]);
    mock.on("DELETE /c/1", [page(204, "")]);
    let error = register(&mock).await.unwrap_err();
    assert!(matches!(error, IssuerError::Unsupported { .. }), "{error:?}");
    assert_eq!(mock.seen("DELETE /c/1")[0].headers["authorization"], "Bearer eyJ-rat");
}

#[tokio::test]
async fn r20_the_secret_and_the_registration_token_of_the_answer_are_kept() {
    let client = given(json!({})).await.unwrap().client;
    assert_eq!(client.client_secret.unwrap().expose_secret(), "ALMj-secret");
    assert_eq!(client.registration_access_token.unwrap().expose_secret(), "eyJ-rat");
    assert!(client.registration_client_uri.unwrap().ends_with("/9bef3e68"));
    assert_eq!(client.auth, ClientAuth::ClientSecretBasic);
    // Registered without either: a public client that cannot be managed.
    let bare = json!({ "client_secret": null, "registration_access_token": null, "registration_client_uri": null, "token_endpoint_auth_method": null, "grant_types": null });
    let client = given(bare).await.unwrap().client;
    assert_eq!(client.auth, ClientAuth::None);
    assert_eq!(client.grant_types, [DEVICE, "refresh_token"]);
}

#[tokio::test]
async fn r22_a_client_without_a_registration_access_token_is_used_and_cannot_be_deleted() {
    let mock = Mock::start().await;
    let uri = format!("{}c/1", mock.url);
    for lacks in [
        json!({ "registration_access_token": null, "registration_client_uri": uri }),
        json!({ "registration_access_token": null, "registration_client_uri": null }),
    ] {
        mock.on(ENDPOINT, [json_reply(201, reply(lacks))]);
        let client_record = register(&mock).await.unwrap().client;
        mock.on("POST /token", [json_reply(200, json!({ "access_token": "at" }))]);
        let (token, wanted) = (secret("rt"), Wanted::default());
        client().refresh(&mock.profile(), &client_record, 1001, &token, &wanted).await.unwrap();
        let error = client().deregister(&mock.profile(), &client_record).await.unwrap_err();
        assert!(matches!(error, IssuerError::Unsupported { .. }), "{error:?}");
        assert!(mock.seen("DELETE /c/1").is_empty(), "nothing is asked without it");
    }
}

#[tokio::test]
async fn the_authentication_is_what_the_issuer_takes_and_what_it_registered() {
    let mock = Mock::start().await;
    mock.discover_as(json!({ "token_endpoint_auth_methods_supported": ["client_secret_post"] }));
    let silent = reply(json!({ "token_endpoint_auth_method": null }));
    mock.on(ENDPOINT, [json_reply(201, silent)]);
    assert_eq!(register(&mock).await.unwrap().client.auth, ClientAuth::ClientSecretPost);
    let sent = mock.seen(ENDPOINT).pop().unwrap().json();
    assert_eq!(sent["token_endpoint_auth_method"], "client_secret_post");
    let none = given(json!({ "token_endpoint_auth_method": "none" })).await.unwrap();
    assert_eq!(none.client.auth, ClientAuth::None);
    let odd = given(json!({ "token_endpoint_auth_method": "private_key_jwt" })).await;
    assert!(matches!(odd, Err(IssuerError::Unsupported { .. })), "{odd:?}");
}

#[tokio::test]
async fn r22_deleting_a_client_that_is_gone_is_success_and_what_is_not_known_is_not_claimed() {
    let mock = Mock::start().await;
    let mut client_record = basic();
    client_record.registration_client_uri = Some(format!("{}c/1", mock.url));
    let gone = free_text("Invalid registration access token");
    for (answer, became) in [
        (page(204, ""), Deregistered::Deleted),
        (page(200, ""), Deregistered::Deleted),
        (page(404, ""), Deregistered::Gone),
        (page(410, ""), Deregistered::Gone),
        (page(401, ""), Deregistered::Unconfirmed),
        (gone, Deregistered::Unconfirmed),
    ] {
        mock.on("DELETE /c/1", [answer]);
        let found = client().deregister(&mock.profile(), &client_record).await;
        assert_eq!(found.unwrap(), became);
    }
    mock.on("DELETE /c/1", [page(403, "")]);
    let error = client().deregister(&mock.profile(), &client_record).await.unwrap_err();
    assert!(matches!(error, IssuerError::Refused { .. }), "{error:?}");
    mock.on("DELETE /c/1", [page(500, "")]);
    let error = client().deregister(&mock.profile(), &client_record).await.unwrap_err();
    assert!(passing(&error).is_some(), "{error:?}");
    client_record.registration_client_uri = None;
    let error = client().deregister(&mock.profile(), &client_record).await.unwrap_err();
    assert!(matches!(error, IssuerError::Unsupported { .. }), "{error:?}");
}

fn secret_file(directory: &Path, name: &str, content: &str, mode: u32) -> PathBuf {
    let file = directory.join(name);
    fs::write(&file, content).unwrap();
    fs::set_permissions(&file, fs::Permissions::from_mode(mode)).unwrap();
    file
}

#[tokio::test]
async fn r23_an_initial_access_token_comes_from_a_file_that_only_its_owner_reads() {
    let directory = tempfile::tempdir().unwrap();
    let mock = Mock::start().await;
    mock.on(ENDPOINT, [json_reply(201, reply(json!({})))]);
    let file = secret_file(directory.path(), "good", "initial-token\n", 0o600);
    let initial_access_token_file = Some(file);
    let profile = IssuerProfile { initial_access_token_file, ..mock.profile() };
    client().register(&profile, ClientOwner::User(7), None).await.unwrap();
    let sent = mock.seen(ENDPOINT).pop().unwrap();
    assert_eq!(sent.headers["authorization"], "Bearer initial-token");
    let pipe = directory.path().join("pipe");
    nix::unistd::mkfifo(&pipe, nix::sys::stat::Mode::S_IRUSR).unwrap();
    for (file, why) in [
        (pipe, "not a file"),
        (secret_file(directory.path(), "readable", "initial-token", 0o640), "chmod 600"),
        (secret_file(directory.path(), "empty", " \n", 0o600), "empty"),
        (directory.path().join("missing"), "No such file"),
        (directory.path().to_owned(), "not a file"),
    ] {
        let initial_access_token_file = Some(file.clone());
        let profile = IssuerProfile { initial_access_token_file, ..mock.profile() };
        let error = client().register(&profile, ClientOwner::Site, None).await.unwrap_err();
        let IssuerError::Local { text } = error else { panic!("{error:?}") };
        assert!(text.contains(file.to_str().unwrap()) && text.contains(why), "{why}: {text}");
        assert!(!text.contains("initial-token"));
    }
    assert_eq!(mock.seen(ENDPOINT).len(), 1);
}

#[tokio::test]
async fn a_name_that_repeats_what_was_sent_or_what_was_given_is_not_shown() {
    let initial = secret("initial-token-Canary5");
    let given = json!({"client_secret": "given-secret-Canary6", "registration_access_token": "given-Canary7"});
    for (name, shown) in [
        ("iamd of login1", "iamd of login1"),
        ("for initial-token-Canary5", "[redacted]"),
        ("for initial-\u{1b}token-\u{200b}Canary5", "[redacted]"),
        ("given-secret-Canary6", "[redacted]"),
        ("it is given-Canary7", "[redacted]"),
    ] {
        let mock = Mock::start().await;
        let mut granted = given.clone();
        granted["client_name"] = name.into();
        mock.on(ENDPOINT, [json_reply(201, reply(granted))]);
        let made = client().register(&mock.profile(), ClientOwner::User(7), Some(&initial)).await;
        assert_eq!(made.unwrap().client.client_name.as_deref(), Some(shown), "{name:?}");
    }
}

#[tokio::test]
async fn r24_a_name_that_the_issuer_refuses_is_tried_in_letters_that_every_one_takes() {
    for refusal in [
        oauth(400, "invalid_client_metadata", "client_name must match [A-Za-z0-9 -]"),
        free_text("registerClient.request.clientName: invalid"),
    ] {
        let mock = Mock::start().await;
        mock.on(ENDPOINT, [refusal, json_reply(201, reply(json!({})))]);
        register(&mock).await.unwrap();
        let names: Vec<_> =
            mock.seen(ENDPOINT).iter().map(|sent| sent.json()["client_name"].clone()).collect();
        assert_eq!(names, ["iamd:login1", "iamd-login1"]);
    }
    // One that is too short for some is made longer at once.
    for (name, sent) in [("", "iamd"), ("wn1", "iamd wn1"), (&"x".repeat(300), &"x".repeat(256))] {
        let mock = Mock::start().await;
        mock.on(ENDPOINT, [json_reply(201, reply(json!({})))]);
        let profile = IssuerProfile { client_name: name.to_owned(), ..mock.profile() };
        client().register(&profile, ClientOwner::Site, None).await.unwrap();
        assert_eq!(mock.seen(ENDPOINT)[0].json()["client_name"], *sent);
    }
}

#[tokio::test]
async fn a_refusal_to_register_is_told_in_the_issuers_words_and_not_repeated_for_ever() {
    for (answer, words) in [
        (free_text("Client registration is disabled"), "Client registration is disabled"),
        (free_text("Grant type not allowed: password"), "Grant type not allowed"),
        (oauth(400, "invalid_client_metadata", "scope \u{7}unknown"), "scope unknown"),
        (oauth(400, "invalid_redirect_uri", "redirect_uri: never"), "never"),
    ] {
        let mock = Mock::start().await;
        mock.on(ENDPOINT, [answer]);
        let error = register(&mock).await.unwrap_err();
        let IssuerError::Refused { text, .. } = error else { panic!("{error:?}") };
        assert!(text.contains(words), "{text}");
        assert!(mock.seen(ENDPOINT).len() <= 3);
    }
    let mock = Mock::start().await;
    mock.on(ENDPOINT, [page(429, "").with("retry-after", "60")]);
    let error = register(&mock).await.unwrap_err();
    assert!(matches!(error, IssuerError::Unreachable { retry_after: Some(_), .. }), "{error:?}");
    for broken in [json!({}), json!([]), json!({ "client_id": 7 })] {
        mock.on(ENDPOINT, [json_reply(201, broken)]);
        let error = register(&mock).await.unwrap_err();
        assert!(matches!(error, IssuerError::Malformed { .. }), "{error:?}");
    }
    mock.discover_as(json!({ "registration_endpoint": null }));
    let error = register(&mock).await.unwrap_err();
    assert!(matches!(error, IssuerError::Unsupported { .. }), "{error:?}");
}

#[tokio::test]
async fn the_client_of_the_site_is_read_from_its_file() {
    let directory = tempfile::tempdir().unwrap();
    let file = secret_file(directory.path(), "site", "site-secret\n", 0o400);
    let fixed = |secret_file, auth| {
        let id = "site-client".to_owned();
        let client = ClientPolicy::Fixed(FixedClient { id, secret_file, auth });
        IssuerProfile { client, ..super::profile("https://iam.example/") }
    };
    let profile = fixed(Some(file), ClientAuth::ClientSecretPost);
    let read = client().fixed_client(&profile).await.unwrap();
    assert_eq!((read.owner, read.client_id.as_str()), (ClientOwner::Fixed, "site-client"));
    assert_eq!(read.client_secret.unwrap().expose_secret(), secret("site-secret").expose_secret());
    assert!(client().fixed_client(&fixed(None, ClientAuth::None)).await.is_ok());
    let error = client().fixed_client(&fixed(None, ClientAuth::ClientSecretBasic)).await;
    assert!(matches!(error, Err(IssuerError::Local { .. })), "{error:?}");
}
