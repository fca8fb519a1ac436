//! Ways to an issuer that are closed: addresses, connections, certificates, metadata.

use std::{sync::Arc, time::Duration};

use super::{
    super::{
        Fixed, TestClock, limits,
        mock::{Answer, OPENID},
        pki::Authority,
    },
    *,
};
use crate::issuer::{IssuerClient, Limits, address::check_url, limits::Gate};

fn unlisted(url: &str) -> IssuerProfile {
    IssuerProfile { listed: false, ..super::super::profile(url) }
}

async fn probed(client: &IssuerClient, profile: &IssuerProfile) -> IssuerError {
    client.probe(profile).await.unwrap_err()
}

/// A client for which every name is this machine.
fn here() -> IssuerClient {
    let lookup = Arc::new(Fixed(vec!["127.0.0.1".parse().unwrap()]));
    IssuerClient::with_lookup(TestClock::new(), limits(), lookup)
}

#[tokio::test]
async fn an_address_is_not_for_issuers() {
    let inside = probed(&client(), &unlisted("https://10.1.2.3/")).await;
    shows_at(&[], "an issuer that the site does not list, inside its network", inside);
    // What is wrong with an endpoint that is no address inside is the issuer's to put right.
    for (when, endpoint) in [
        ("an issuer names an endpoint that is not https", "http://issuer.test/token"),
        ("an issuer names an endpoint with a user name", "https://me@issuer.test/token"),
        (
            "an issuer that the site does not list names an endpoint at a port of the system",
            "https://issuer.test:22/token",
        ),
    ] {
        let issuer = unlisted("https://issuer.test/");
        let refused = check_url(&issuer, &endpoint.parse().unwrap());
        shows_at(&[], when, refused.unwrap_err());
    }
    let here_only: url::Url = "https://localhost:8443/token".parse().unwrap();
    let refused =
        check_url(&super::super::profile("https://issuer.test/"), &here_only).unwrap_err();
    shows_at(&[], "an issuer of the site names an endpoint on the node itself", refused);
    let inside = probed(&here(), &unlisted("https://issuer.test/")).await;
    crate::testing::shows(
        "Issuers and clients",
        "an issuer that the site does not list, whose name leads inside",
        inside,
    );
}

#[tokio::test]
async fn metadata_is_not_the_issuers() {
    let mock = Mock::start().await;
    let said = async || probed(&client(), &mock.profile()).await;
    mock.on(OPENID, [page(404, "<html>Not Found</html>")]);
    shows(&mock, "there is no issuer at the URL", said().await);
    mock.discover_as(json!({ "issuer": "https://evil.test/" }));
    shows(&mock, "another issuer is at the URL", said().await);
    mock.discover_as(json!({ "issuer": null }));
    shows(&mock, "what is at the URL does not say who it is", said().await);
    mock.discover_as(json!({ "token_endpoint": "nowhere" }));
    shows(&mock, "an endpoint of the issuer is no URL", refreshed(&mock, &Wanted::default()).await);
    mock.discover_as(json!({ "token_endpoint": "data:text,x" }));
    let nowhere = refreshed(&mock, &Wanted::default()).await;
    shows(&mock, "an endpoint of the issuer has no host", nowhere);
    mock.discover_as(json!({ "device_authorization_endpoint": null }));
    shows(&mock, "the issuer has no device login", asked(&mock).await);
}

#[tokio::test]
async fn nobody_answers() {
    let mock = Mock::start().await;
    let limits = Limits { total_timeout: Duration::from_secs(1), ..limits() };
    let client = IssuerClient::new(TestClock::new(), limits);
    client.probe(&mock.profile()).await.unwrap();
    let token = secret(REFRESH_TOKEN);
    for (when, answer) in
        [("the issuer does not answer", Answer::Silence), ("the issuer hangs up", Answer::Hangup)]
    {
        mock.on("POST /token", [answer]);
        let failure =
            client.refresh(&mock.profile(), &basic(), 1001, &token, &Wanted::default()).await;
        let error = crate::token::TokenError::from(failure.unwrap_err().error);
        shows(&mock, when, error);
    }
    mock.discover_as(json!({ "token_endpoint": "http://127.0.0.1:1/token" }));
    shows(
        &mock,
        "nobody listens at the issuer's address",
        refreshed(&mock, &Wanted::default()).await,
    );
    // One that takes the connection and says nothing: TLS is part of it.
    let deaf = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = deaf.local_addr().unwrap().port();
    let limits = Limits { connect_timeout: Duration::from_secs(1), ..super::super::limits() };
    let lookup = Arc::new(Fixed(vec!["127.0.0.1".parse().unwrap()]));
    let client = IssuerClient::with_lookup(TestClock::new(), limits, lookup);
    let profile = super::super::profile(&format!("https://issuer.test:{port}/"));
    shows_at(&[], "the issuer does not complete a connection", probed(&client, &profile).await);
}

#[tokio::test]
async fn too_much_is_asked_or_failed_just_now() {
    let mock = Mock::start().await;
    let limits = Limits { concurrent: 1, queue_timeout: Duration::from_millis(50), ..limits() };
    let (gate, clock) = (Gate::new(limits), TestClock::new());
    let _first = gate.enter("Test IAM", clock.as_ref(), None, None).await.unwrap();
    let busy = gate.enter("Test IAM", clock.as_ref(), None, None).await.err().unwrap();
    shows(&mock, "too many requests to one issuer wait", busy);
    mock.on(OPENID, [page(503, "")]);
    let client = client();
    let mut last = probed(&client, &mock.profile()).await;
    for _ in 0..10 {
        if !matches!(last, IssuerError::CircuitOpen { .. }) {
            last = probed(&client, &mock.profile()).await;
        }
    }
    shows(&mock, "the issuer failed several times, and is left alone for a while", last);
}

#[tokio::test]
async fn its_certificate_is_not_accepted() {
    let authority = Authority::new();
    let mock = Mock::tls("iam.example", authority.server("iam.example", 2100)).await;
    shows(
        &mock,
        "the issuer's certificate is not one that this node trusts",
        probed(&here(), &mock.profile()).await,
    );
    let directory = tempfile::tempdir().unwrap();
    let empty = directory.path().join("empty.pem");
    std::fs::write(&empty, "nothing").unwrap();
    let places = [(directory.path().to_str().unwrap(), "/etc/iamd")];
    for (when, ca) in [
        ("`ca` of an issuer's file has no certificate", empty.clone()),
        ("`ca` of an issuer's file is not there", directory.path().join("missing.pem")),
    ] {
        let profile = IssuerProfile { ca: Some(ca), ..mock.profile() };
        shows_at(&places, when, probed(&here(), &profile).await);
    }
}

/// In a process of its own, whose variables name no certificates.
#[test]
fn a_node_without_any_certificates() {
    const NAME: &str = "issuer::tests::texts::ways::a_node_without_any_certificates";
    const CHILD: &str = "IAMD_TEST_NO_CERTIFICATES";
    if std::env::var_os(CHILD).is_none() {
        let empty = tempfile::tempdir().unwrap();
        let mut child = std::process::Command::new(std::env::current_exe().unwrap());
        child.args([NAME, "--exact", "--nocapture"]).env(CHILD, "1");
        child.env("SSL_CERT_DIR", empty.path()).env_remove("SSL_CERT_FILE");
        let output = child.output().unwrap();
        let text = String::from_utf8_lossy(&output.stdout);
        assert!(output.status.success() && text.contains("all of it"), "{output:?}");
        return;
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let mock = Mock::start().await;
        let error = client().probe(&mock.profile()).await.unwrap_err();
        shows(&mock, "the node has no certificates to check an issuer's with", error);
    });
    println!("\nall of it");
}
