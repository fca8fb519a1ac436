//! Which addresses an issuer that the site did not list may have, and when that is checked.

use std::net::{IpAddr, Ipv4Addr};

use url::Url;

use super::{
    super::{
        IssuerClient, Lookup,
        address::{check_url, is_public},
    },
    Arc, Fixed, TestClock, limits, profile,
};
use crate::account::{
    IssuerProfile, Overrides,
    ports::{Health, IssuerError, Issuers as _},
};

#[test]
fn an_address_of_no_public_network_is_told_from_one_that_is() {
    let special = [
        "0.0.0.0",
        "0.1.2.3",
        "10.0.0.1",
        "100.64.0.1",
        "100.127.255.255",
        "127.0.0.1",
        "127.255.0.9",
        "169.254.169.254",
        "172.16.0.1",
        "172.31.255.255",
        "192.0.0.8",
        "192.0.2.1",
        "192.31.196.1",
        "192.52.193.1",
        "192.88.99.1",
        "192.168.1.1",
        "192.175.48.1",
        "198.18.0.1",
        "198.19.255.255",
        "198.51.100.7",
        "203.0.113.9",
        "224.0.0.1",
        "239.255.255.255",
        "240.0.0.1",
        "255.255.255.255",
        "::",
        "::1",
        "::10.0.0.1",
        "::ffff:10.0.0.1",
        "::ffff:127.0.0.1",
        "::ffff:0:10.0.0.1",
        "64:ff9b::10.0.0.1",
        "64:ff9b::7f00:1",
        "64:ff9b:1::1",
        "100::1",
        "2001::1",
        "2001:2::1",
        "2001:10::1",
        "2001:20::1",
        "2001:db8::1",
        "2002:0a00:0001::1",
        "2002:7f00:1::",
        "3fff::1",
        "fc00::1",
        "fd12:3456::1",
        "fe80::1",
        "fec0::1",
        "ff02::1",
        "5f00::1",
        "2a00:1450::5efe:10.0.0.1",
        "2a00:1450:0:0:200:5efe:a00:1",
    ];
    for address in special {
        let address: IpAddr = address.parse().unwrap();
        assert!(!is_public(address), "{address}");
    }
    let public = [
        "1.1.1.1",
        "100.63.255.255",
        "100.128.0.1",
        "126.255.255.255",
        "128.0.0.1",
        "131.154.52.37",
        "172.15.0.1",
        "172.32.0.1",
        "192.0.1.1",
        "192.167.0.1",
        "198.17.0.1",
        "198.20.0.1",
        "223.255.255.255",
        "188.184.1.1",
        "2001:1458:201::100",
        "2606:4700::1111",
        "::ffff:1.1.1.1",
        "64:ff9b::1.1.1.1",
        "2002:0101:0101::1",
        "2001:200::1",
        "3ffe::1",
        "2a00:1450::5efe:1.1.1.1",
    ];
    for address in public {
        let address: IpAddr = address.parse().unwrap();
        assert!(is_public(address), "{address}");
    }
}

fn unlisted(url: &str) -> IssuerProfile {
    IssuerProfile::unlisted(url.parse().unwrap(), Some(1001))
}

#[test]
fn r13_a_url_that_is_not_https_or_leads_inside_is_refused_for_an_issuer_the_site_did_not_list() {
    let malformed = [
        "http://issuer.example/",
        "http://127.0.0.1/",
        "http://localhost/",
        "ftp://issuer.example/",
        "file:///etc/shadow",
        "https://user@issuer.example/",
        "https://user:pw@issuer.example/",
        "https://issuer.example:22/",
        "https://issuer.example:80/",
    ];
    let inside = [
        "https://127.0.0.1/",
        "https://2130706433/",
        "https://0x7f.1/",
        "https://0177.0.0.1/",
        "https://10.1.2.3/",
        "https://169.254.169.254/latest/meta-data",
        "https://[::1]/",
        "https://[::ffff:192.168.0.1]/",
        "https://[fd00::1]/",
    ];
    for bad in malformed.into_iter().chain(inside) {
        let url: Url = bad.parse().unwrap();
        // Whatever is wrong has its own name: that of an address is not that of a scheme or port.
        match check_url(&unlisted(bad), &url) {
            Err(IssuerError::AddressNotPublic { .. }) => assert!(inside.contains(&bad), "{bad}"),
            Err(IssuerError::Malformed { .. }) => assert!(malformed.contains(&bad), "{bad}"),
            other => panic!("{bad}: {other:?}"),
        }
    }
    for good in ["https://issuer.example/", "https://issuer.example:8443/x", "https://1.1.1.1/"] {
        assert_eq!(check_url(&unlisted(good), &good.parse().unwrap()), Ok(()));
    }
}

#[test]
fn r13_a_listed_issuer_may_be_anywhere_but_plain_http_is_for_a_test_issuer_on_this_machine() {
    let allowed = |issuer: &str, url: &str| check_url(&profile(issuer), &url.parse().unwrap());
    assert_eq!(allowed("https://10.0.0.1/", "https://10.0.0.1:9443/token"), Ok(()));
    assert_eq!(allowed("http://127.0.0.1:9/", "http://127.0.0.1:9/token"), Ok(()));
    assert_eq!(allowed("http://localhost:9/", "http://localhost:9/token"), Ok(()));
    assert_eq!(allowed("https://localhost:9/", "https://localhost:9/token"), Ok(()));
    for (issuer, url) in [
        ("http://iam.example/", "http://iam.example/token"),
        ("https://iam.example/", "http://iam.example/token"),
        // A real issuer may not lead us to a service of this machine.
        ("https://iam.example/", "http://127.0.0.1:2379/v3/kv/put"),
        ("https://iam.example/", "https://127.0.0.1:8443/token"),
        ("https://iam.example/", "https://[::1]/token"),
        ("https://iam.example/", "https://localhost/token"),
        ("https://iam.example/", "https://me@iam.example/"),
    ] {
        assert!(matches!(allowed(issuer, url), Err(IssuerError::Malformed { .. })), "{url}");
    }
    // The site itself may.
    for url in ["http://127.0.0.1:8080/token", "https://localhost:8443/token"] {
        let url: Url = url.parse().unwrap();
        let (here, none) = (Some(url.clone()), Overrides::default());
        for endpoints in [
            Overrides { configuration: here.clone(), ..none.clone() },
            Overrides { token: here.clone(), ..none.clone() },
            Overrides { device_authorization: here.clone(), ..none.clone() },
            Overrides { registration: here.clone(), ..none.clone() },
            Overrides { revocation: here.clone(), ..none.clone() },
            Overrides { introspection: here.clone(), ..none.clone() },
            Overrides { jwks: here.clone(), ..none.clone() },
            Overrides { userinfo: here.clone(), ..none.clone() },
        ] {
            let by_hand = IssuerProfile { endpoints, ..profile("https://iam.example/") };
            assert_eq!(check_url(&by_hand, &url), Ok(()), "{:?}", by_hand.endpoints);
        }
    }
}

fn resolving_to(addresses: &[&str]) -> IssuerClient {
    let addresses = addresses.iter().map(|address| address.parse().unwrap()).collect();
    let lookup: Arc<dyn Lookup> = Arc::new(Fixed(addresses));
    IssuerClient::with_lookup(TestClock::new(), limits(), lookup)
}

#[tokio::test]
async fn r13_a_name_that_resolves_inside_is_refused_at_connect_time_unless_the_site_listed_it() {
    let issuer = unlisted("https://issuer.example/");
    for inside in [
        &["10.0.0.1"][..],
        &["127.0.0.1"],
        &["::1"],
        &["169.254.169.254"],
        &["::ffff:10.0.0.1"],
        // One of them is enough: which is used is up to chance.
        &["1.1.1.1", "192.168.0.1"],
    ] {
        let client = resolving_to(inside);
        let error = client.probe(&issuer).await.unwrap_err();
        let IssuerError::AddressNotPublic { text } = &error else {
            panic!("{inside:?}: {error:?}")
        };
        assert!(text.contains("issuer.example"), "{text}");
        // It says nothing about the issuer's health.
        assert_eq!(client.health(&issuer), Health::Unknown);
    }
    // Listed, the same name is tried (nobody listens there).
    let listed = profile("https://issuer.example:1/");
    let error = resolving_to(&["127.0.0.1"]).probe(&listed).await.unwrap_err();
    assert!(matches!(error, IssuerError::Unreachable { .. }), "{error:?}");
}

#[tokio::test]
async fn the_resolver_passes_on_what_is_public_with_the_port_left_to_the_url() {
    use reqwest::dns::Resolve as _;
    let lookup = Arc::new(Fixed(vec![IpAddr::V4(Ipv4Addr::new(1, 1, 1, 1))]));
    let resolver = super::super::resolver::Resolver { lookup, public_only: true };
    let found: Vec<_> =
        resolver.resolve("issuer.example".parse().unwrap()).await.unwrap().collect();
    assert_eq!(found, ["1.1.1.1:0".parse().unwrap()]);
}
