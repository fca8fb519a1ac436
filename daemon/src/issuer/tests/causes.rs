//! What kept an issuer from answering: each kind of it, provoked.

use std::{io, net::IpAddr, time::Duration};

use async_trait::async_trait;
use serde_json::json;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpSocket, TcpStream},
};

use super::{
    super::{IssuerClient, Limits, Lookup},
    Arc, Fixed, TestClock, limits,
    mock::{Answer, Mock, OPENID, json_reply, page},
    pki::Authority,
    profile,
};
use crate::account::{
    IssuerProfile,
    ports::{Cause, Issuers as _},
};

/// A client for which every name is this machine.
fn client(limits: Limits) -> IssuerClient {
    let here = Arc::new(Fixed(vec!["127.0.0.1".parse().unwrap()]));
    IssuerClient::with_lookup(TestClock::new(), limits, here)
}

async fn cause_within(limits: Limits, profile: &IssuerProfile) -> Option<Cause> {
    client(limits).probe(profile).await.unwrap_err().why()
}

async fn cause(profile: &IssuerProfile) -> Option<Cause> {
    cause_within(limits(), profile).await
}

/// A name service that knows nobody.
struct Nobody;

#[async_trait]
impl Lookup for Nobody {
    async fn lookup(&self, _: &str) -> io::Result<Vec<IpAddr>> {
        Err(io::Error::other("failed to lookup address information: Name or service not known"))
    }
}

#[tokio::test]
async fn a_name_without_an_address_and_a_port_without_anybody() {
    let nowhere = IssuerClient::with_lookup(TestClock::new(), limits(), Arc::new(Nobody));
    let error = nowhere.probe(&profile("https://iam.example/")).await.unwrap_err();
    assert_eq!(error.why(), Some(Cause::Name));
    assert!(error.to_string().ends_with("Name or service not known"), "{error}");
    assert_eq!(cause(&profile("https://iam.example:1/")).await, Some(Cause::NoConnection));
}

#[tokio::test]
async fn a_connection_that_nobody_takes() {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let full = socket.listen(0).unwrap();
    let address = full.local_addr().unwrap();
    // Its queue is full once an attempt is not answered any more.
    let mut waiting = Vec::new();
    let brief = Duration::from_millis(300);
    while let Ok(stream) = tokio::time::timeout(brief, TcpStream::connect(address)).await {
        waiting.push(stream.unwrap());
    }
    let limits = Limits { connect_timeout: brief, ..limits() };
    let profile = profile(&format!("https://iam.example:{}/", address.port()));
    assert_eq!(cause_within(limits, &profile).await, Some(Cause::ConnectTimeout));
}

#[tokio::test]
async fn certificates_and_what_is_no_tls() {
    let (authority, stranger) = (Authority::new(), Authority::new());
    let server = |name: &str, from, until| authority.server_from(name, from, until);
    for (server, ca, expected) in [
        (server("iam.example", 2000, 2100), &stranger, Cause::Authority),
        (server("iam.example", 2000, 2001), &authority, Cause::Expired),
        (server("iam.example", 2099, 2100), &authority, Cause::NotYetValid),
        (server("other.example", 2000, 2100), &authority, Cause::OtherName),
    ] {
        let mock = Mock::tls("iam.example", server).await;
        let profile = IssuerProfile { ca: Some(ca.file()), ..mock.profile() };
        assert_eq!(cause(&profile).await, Some(expected));
    }
    let plain = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = plain.local_addr().unwrap().port();
    tokio::spawn(async move {
        let (mut stream, _) = plain.accept().await.unwrap();
        stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").await.unwrap();
        // Until the other side has read that.
        let _ = stream.read_to_end(&mut Vec::new()).await;
    });
    let as_tls = profile(&format!("https://iam.example:{port}/"));
    assert_eq!(cause(&as_tls).await, Some(Cause::Tls));
}

#[tokio::test]
async fn an_answer_that_does_not_come_or_breaks_off() {
    let mock = Mock::start().await;
    let limits = Limits { total_timeout: Duration::from_millis(300), ..limits() };
    for (answer, expected) in [(Answer::Silence, Cause::Slow), (Answer::Hangup, Cause::Broken)] {
        mock.on(OPENID, [answer]);
        assert_eq!(cause_within(limits, &mock.profile()).await, Some(expected));
    }
}

#[tokio::test]
async fn an_answer_that_is_no_metadata_of_this_issuer() {
    let mock = Mock::start().await;
    for status in [302, 403, 404, 429, 500, 503] {
        mock.on(OPENID, [page(status, "<html>")]);
        assert_eq!(cause(&mock.profile()).await, Some(Cause::Status(status)));
    }
    mock.on(OPENID, [json_reply(404, json!({ "error": "not_found" }))]);
    assert_eq!(cause(&mock.profile()).await, Some(Cause::Status(404)));
    mock.on(OPENID, [page(200, "<html>a portal</html>")]);
    assert_eq!(cause(&mock.profile()).await, Some(Cause::NotJson));
    for other in [json!("https://other.example/"), json!(null)] {
        mock.discover_as(json!({ "issuer": other }));
        assert_eq!(cause(&mock.profile()).await, Some(Cause::OtherIssuer));
    }
}
