//! What an issuer or a user names does not become a header, a field or an endpoint of its own.

use std::{
    io,
    net::IpAddr,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
};

use async_trait::async_trait;
use reqwest::dns::Resolve as _;
use serde_json::json;

use super::{
    super::{
        Lookup,
        form::{Form, bearer},
        metadata::Metadata,
        resolver::{NotPublic, Resolver},
    },
    profile, record, secret,
};
use crate::account::{
    AudienceParameter, AudienceSet, ClientAuth, IssuerProfile, ports::IssuerError,
};

const BREAK: &str = "a\r\nX-Injected: yes\r\n\r\n&grant_type=password&";

#[test]
fn a_line_break_in_a_client_a_secret_or_a_token_makes_no_header_and_no_field() {
    assert!(bearer(&secret(BREAK)).is_none());
    for auth in [ClientAuth::ClientSecretBasic, ClientAuth::ClientSecretPost, ClientAuth::None] {
        let mut client = record(auth);
        client.client_id = BREAK.into();
        client.client_secret = client.client_secret.take().map(|_| secret(BREAK));
        let mut form = Form::new(Some("refresh_token"));
        form.add_secret("refresh_token", &secret(BREAK));
        if let Some(header) = form.authenticate(&client) {
            let value = header.to_str().unwrap();
            assert!(value.starts_with("Basic ") && !value.contains(['\r', '\n']), "{value:?}");
        }
        let (_, body) = form.into_body();
        let body = String::from_utf8(body.to_vec()).unwrap();
        assert!(!body.contains(['\r', '\n', ' ', ':']), "{body}");
        let fields: Vec<_> = url::form_urlencoded::parse(body.as_bytes()).collect();
        let grants = fields.iter().filter(|(name, _)| name == "grant_type").count();
        assert_eq!(grants, 1, "{fields:?}");
    }
    assert!(AudienceSet::parse([BREAK]).is_err());
    let mut form = Form::new(None);
    let audiences = AudienceSet::parse(["https://se.example&scope=all"]).unwrap();
    form.add_audiences(AudienceParameter::Resource, &audiences);
    let (_, body) = form.into_body();
    assert_eq!(url::form_urlencoded::parse(&body).count(), 1);
}

/// Another address each time it is asked.
struct Fickle {
    addresses: [&'static str; 3],
    asked: AtomicUsize,
}

#[async_trait]
impl Lookup for Fickle {
    async fn lookup(&self, _: &str) -> io::Result<Vec<IpAddr>> {
        let at = self.asked.fetch_add(1, SeqCst);
        Ok(vec![self.addresses[at].parse().unwrap()])
    }
}

/// The HTTP client connects to nothing but what this gives it, and asks it for each connection.
#[tokio::test]
async fn r13_of_a_name_that_changes_its_mind_what_was_checked_is_what_is_connected_to() {
    let addresses = ["1.1.1.1", "10.0.0.1", "1.0.0.1"];
    let lookup = Arc::new(Fickle { addresses, asked: AtomicUsize::new(0) });
    let resolver = Resolver { lookup: lookup.clone(), public_only: true };
    for address in addresses {
        let before = lookup.asked.load(SeqCst);
        let found = resolver.resolve("issuer.example".parse().unwrap()).await;
        assert_eq!(
            lookup.asked.load(SeqCst),
            before + 1,
            "looked up twice: checked and used differ"
        );
        match (address, found) {
            ("10.0.0.1", Err(error)) => assert!(error.downcast_ref::<NotPublic>().is_some()),
            (_, Ok(found)) => {
                let found: Vec<IpAddr> = found.map(|address| address.ip()).collect();
                assert_eq!(found, [address.parse::<IpAddr>().unwrap()]);
            }
            (_, Err(error)) => panic!("{address}: {error}"),
        }
    }
}

#[test]
fn r13_an_issuer_that_is_not_listed_names_no_endpoint_inside_and_none_that_is_not_https() {
    let unlisted = IssuerProfile::unlisted("https://issuer.example/".parse().unwrap(), Some(1001));
    let endpoints = [
        "http://issuer.example/token",
        "https://127.0.0.1/token",
        "https://[::1]:8443/token",
        "https://10.1.2.3/token",
        "https://169.254.169.254/latest/meta-data",
        "https://issuer.example:22/token",
        "https://root@issuer.example/token",
        "file:///etc/shadow",
        "unix:/run/iamd/pam.sock",
    ];
    let names = [
        "token_endpoint",
        "device_authorization_endpoint",
        "registration_endpoint",
        "revocation_endpoint",
        "introspection_endpoint",
        "jwks_uri",
        "userinfo_endpoint",
    ];
    for endpoint in endpoints {
        let mut document = json!({"issuer": "https://issuer.example/"});
        for name in names {
            document[name] = endpoint.into();
        }
        let metadata = Metadata::new(&unlisted, document.as_object().unwrap());
        for named in [
            &metadata.token,
            &metadata.device_authorization,
            &metadata.registration,
            &metadata.revocation,
            &metadata.introspection,
            &metadata.jwks,
            &metadata.userinfo,
        ] {
            let refused = matches!(
                named,
                Some(Err(IssuerError::AddressNotPublic { .. } | IssuerError::Malformed { .. }))
            );
            assert!(refused, "{endpoint}: {named:?}");
        }
    }
    // A listed one may name any host, by https; plain http on this machine is not for it.
    let listed = profile("https://iam.example/");
    let metadata = |url: &str| {
        let document = json!({"issuer": "https://iam.example/", "token_endpoint": url});
        Metadata::new(&listed, document.as_object().unwrap()).token.unwrap()
    };
    metadata("https://tokens.elsewhere.example/token").unwrap();
    metadata("http://127.0.0.1:2379/v3/kv/put").unwrap_err();
}
