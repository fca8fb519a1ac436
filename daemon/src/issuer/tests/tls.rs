//! TLS: which certificates are trusted, and that nothing goes without.

use std::path::PathBuf;

use serde_json::json;

use super::{
    super::IssuerClient,
    Arc, Fixed, TestClock, limits,
    mock::{Mock, OPENID},
    passing,
    pki::Authority,
};
use crate::account::{
    IssuerProfile,
    ports::{IssuerError, Issuers as _},
};

/// A client for which every name is this machine.
fn client() -> IssuerClient {
    let lookup = Arc::new(Fixed(vec!["127.0.0.1".parse().unwrap()]));
    IssuerClient::with_lookup(TestClock::new(), limits(), lookup)
}

async fn probe(
    mock: &Mock,
    ca: Option<PathBuf>,
) -> Result<crate::account::ports::Checkup, IssuerError> {
    client().probe(&IssuerProfile { ca, ..mock.profile() }).await
}

#[tokio::test]
async fn an_authority_that_the_site_added_is_trusted_from_a_file_and_from_a_grid_directory() {
    let authority = Authority::new();
    let mock = Mock::tls("iam.example", authority.server("iam.example", 2100)).await;
    probe(&mock, Some(authority.file())).await.unwrap();
    probe(&mock, Some(authority.grid_directory())).await.unwrap();
    let agent = mock.seen(OPENID).pop().unwrap().headers.remove("user-agent").unwrap();
    assert_eq!(agent, concat!("iamd/", env!("CARGO_PKG_VERSION")));
}

#[tokio::test]
async fn a_certificate_that_nobody_vouches_for_is_of_another_name_or_too_old_is_refused() {
    let authority = Authority::new();
    let stranger = Authority::new();
    let good = authority.server("iam.example", 2100);
    let old = authority.server("iam.example", 2001);
    let other = authority.server("other.example", 2100);
    for (server, ca, why) in [
        (good.clone(), None, "unknown authority"),
        (good, Some(stranger.file()), "another authority"),
        (other, Some(authority.file()), "another name"),
        (old, Some(authority.file()), "expired"),
    ] {
        let mock = Mock::tls("iam.example", server).await;
        let error = probe(&mock, ca).await.unwrap_err();
        assert_eq!(passing(&error), Some(false), "{why}: {error:?}");
        let text = error.to_string();
        assert!(text.contains("certificate of iam.example is not accepted"), "{why}: {text}");
        assert!(mock.seen(OPENID).is_empty());
    }
}

#[tokio::test]
async fn a_place_of_certificates_that_is_missing_or_has_none_is_named() {
    let mock = Mock::start().await;
    let directory = tempfile::tempdir().unwrap();
    let empty = directory.path().join("empty.pem");
    std::fs::write(&empty, "nothing").unwrap();
    // Nobody ever writes into it.
    let pipe = directory.path().join("pipe");
    nix::unistd::mkfifo(&pipe, nix::sys::stat::Mode::S_IRUSR).unwrap();
    for ca in [directory.path().join("missing.pem"), empty, pipe, directory.path().to_owned()] {
        let error = probe(&mock, Some(ca.clone())).await.unwrap_err();
        let IssuerError::Local { text } = error else { panic!("{error:?}") };
        assert!(text.contains(ca.to_str().unwrap()) && text.contains("`ca`"), "{text}");
    }
}

#[tokio::test]
async fn r13_a_real_issuer_that_names_a_service_of_this_machine_is_not_believed() {
    let authority = Authority::new();
    let mock = Mock::tls("iam.example", authority.server("iam.example", 2100)).await;
    let inside = Mock::start().await;
    mock.discover_as(json!({ "revocation_endpoint": format!("{}revoke", inside.url) }));
    let profile = IssuerProfile { ca: Some(authority.file()), ..mock.profile() };
    let error = client().revoke(&profile, &super::basic(), &super::secret("token")).await;
    assert!(matches!(error, Err(IssuerError::Malformed { .. })), "{error:?}");
    assert!(inside.seen("POST /revoke").is_empty());
}
