//! The whole way at a real issuer, over TLS, in both of its shapes: the one of `tests/issuer`.

use std::{
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::Arc,
    time::Duration,
};

use std::io::{BufRead as _, BufReader};

use secrecy::ExposeSecret as _;

use super::super::{IssuerClient, Limits};
use crate::{
    account::{
        AudienceSet, ClientOwner, ClientRecord, Dialect, IssuerProfile,
        ports::{ClientChange, Issuers as _, LeftOut, PollAnswer, RefreshError, Tokens, Wanted},
    },
    clock::{Clock as _, SystemClock},
};

/// A running issuer; it ends with its standard input.
struct Provider {
    process: Child,
    directory: tempfile::TempDir,
    url: String,
}

fn scripts() -> PathBuf {
    match std::env::var_os("IAMD_TEST_ISSUER") {
        Some(directory) => directory.into(),
        None => Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/issuer"),
    }
}

fn node(script: &str) -> Command {
    let mut command = Command::new("node");
    command.arg(scripts().join(script));
    command
}

impl Provider {
    fn start(shape: &str) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let make = ["--cert", "server", "--san", "127.0.0.1,localhost", "--dir"];
        assert!(node("ca.mjs").args(make).arg(directory.path()).status().unwrap().success());
        let mut process = node("issuer.mjs")
            .env("CERT", directory.path().join("server.pem"))
            .env("KEY", directory.path().join("server.key"))
            .env("SHAPE", shape)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(process.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let url = line.trim().strip_prefix("READY ").unwrap().to_owned();
        Self { process, directory, url }
    }

    fn profile(&self) -> IssuerProfile {
        IssuerProfile {
            ca: Some(self.directory.path().join("ca.pem")),
            scopes: super::scopes("openid profile offline_access wlcg storage.read:/"),
            ..super::profile(&self.url)
        }
    }

    fn approve(&self, uri: &str, code: &str) {
        let arguments = ["--uri", uri, "--code", code, "--user", "alice", "--ca"];
        let approve = node("approve.mjs").args(arguments).arg(self.profile().ca.unwrap()).status();
        assert!(approve.unwrap().success());
    }
}

impl Drop for Provider {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// The client with a further scope and another name; a provider that keeps to the RFC replaces the
/// registration access token with each update (requirement 20).
async fn changed(
    client: &IssuerClient,
    profile: &IssuerProfile,
    mut record: ClientRecord,
    dialect: Dialect,
) -> ClientRecord {
    let token = |record: &ClientRecord| {
        record.registration_access_token.as_ref().unwrap().expose_secret().to_owned()
    };
    let first = token(&record);
    for name in ["iamd one", "iamd two"] {
        let read = client.read_client(profile, &record).await.unwrap();
        let registered = read.answer.unwrap();
        let scopes = read.client.scopes.with("compute.read");
        let change = ClientChange { scopes: Some(scopes), name: Some(name.into()) };
        let done = client.update_client(profile, &read.client, &registered, &change).await.unwrap();
        assert_eq!(done.answer.unwrap(), LeftOut::default());
        record = done.client;
        let read = client.read_client(profile, &record).await.unwrap().client;
        assert_eq!(read.client_name.as_deref(), Some(name));
        assert!(read.scopes.contains("compute.read"));
        assert_eq!(read.grant_types, record.grant_types);
    }
    assert_eq!(token(&record) == first, dialect == Dialect::IndigoIam);
    record
}

/// What is missing to run the provider here.
fn missing() -> Option<String> {
    if !Command::new("node").arg("--version").output().is_ok_and(|found| found.status.success()) {
        return Some("there is no node".to_owned());
    }
    let modules = scripts().join("node_modules");
    (!modules.is_dir()).then(|| format!("{} is not there: run npm ci", modules.display()))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_login_its_refreshes_and_its_end_work_at_a_real_issuer_of_each_dialect() {
    if let Some(missing) = missing() {
        // tests/run sets this: there, nothing may be left out.
        let needed = std::env::var_os("IAMD_TESTS_NEED_ISSUER").is_some_and(|value| value == "1");
        assert!(!needed, "the issuer of tests/issuer is needed: {missing}");
        println!("left out, for want of the issuer of tests/issuer: {missing}");
        return;
    }
    for (shape, dialect) in [("indigo-iam", Dialect::IndigoIam), ("rfc", Dialect::Rfc)] {
        let provider = Provider::start(shape);
        let profile = provider.profile();
        let client = IssuerClient::new(Arc::new(SystemClock), Limits::default());
        assert_eq!(client.metadata(&profile).await.unwrap().dialect, dialect);
        let registered = client.register(&profile, ClientOwner::Site, None).await.unwrap();
        assert_eq!(registered.left_out, Default::default());
        let record = registered.client;
        let audience = AudienceSet::parse(["https://se.example:1094"]).unwrap();
        let asked =
            client.authorize_device(&profile, &record, 1001, &profile.scopes, &audience).await;
        let device = asked.unwrap();
        let poll =
            async || client.poll_device(&profile, &record, &device.device_code, &audience).await;
        assert!(matches!(poll().await, PollAnswer::Pending));
        provider.approve(&device.verification_uri, &device.user_code);
        SystemClock.sleep(Duration::from_secs(1)).await;
        let PollAnswer::Tokens(tokens) = poll().await else { panic!("{shape}: not approved") };
        let identity = tokens.identity.clone().unwrap();
        assert_eq!(identity.name.as_deref(), Some("alice"), "{shape}");
        let mut refresh_token = tokens.refresh_token.unwrap();
        for wanted in [
            Wanted::default(),
            Wanted {
                scopes: Some(super::scopes("storage.read:/atlas")),
                audiences: audience.clone(),
            },
        ] {
            let tokens: Tokens =
                client.refresh(&profile, &record, 1001, &refresh_token, &wanted).await.unwrap();
            refresh_token = tokens.refresh_token.unwrap_or(refresh_token);
        }
        let wanted = Wanted { scopes: Some(super::scopes("compute.cancel")), ..Wanted::default() };
        let failure =
            client.refresh(&profile, &record, 1001, &refresh_token, &wanted).await.unwrap_err();
        assert!(matches!(failure.error, RefreshError::Scope { .. }), "{shape}: {failure:?}");
        client.revoke(&profile, &record, &refresh_token).await.unwrap();
        let wanted = Wanted::default();
        let failure =
            client.refresh(&profile, &record, 1001, &refresh_token, &wanted).await.unwrap_err();
        assert!(matches!(failure.error, RefreshError::Dead { .. }), "{shape}: {failure:?}");
        let record = changed(&client, &profile, record, dialect).await;
        client.deregister(&profile, &record).await.unwrap();
        client.deregister(&profile, &record).await.unwrap();
    }
}
