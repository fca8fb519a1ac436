//! The one HTTP client: bounds on size, time and redirects.

use std::{
    io,
    sync::{Arc, Mutex},
    time::Duration,
};

use base64::{Engine as _, prelude::BASE64_STANDARD_NO_PAD};
use serde_json::json;

use super::{
    super::{IssuerClient, Limits, http::parse_retry_after},
    DEVICE_CODE, NOW, REFRESH_TOKEN, SECRET, TestClock, basic, client, limits,
    mock::{Answer, Mock, OPENID, json_reply, page},
    passing, secret,
};
use crate::account::ports::{Cause, IssuerError, Issuers as _, RefreshError, Wanted};

async fn refresh(client: &IssuerClient, mock: &Mock) -> IssuerError {
    let answer = client
        .refresh(&mock.profile(), &basic(), 1001, &secret(REFRESH_TOKEN), &Wanted::default())
        .await;
    match answer.map_err(|failure| failure.error) {
        Err(RefreshError::Issuer(error)) => error,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn r13_a_redirect_is_not_followed_with_secrets_or_without() {
    let other = Mock::start().await;
    let mock = Mock::start().await;
    for status in [301, 302, 303, 307, 308] {
        let away = page(status, "").with("location", &format!("{}token", other.url));
        mock.on("POST /token", [away]);
        let error = refresh(&client(), &mock).await;
        assert_eq!(passing(&error), Some(false), "{error:?}");
        assert!(error.to_string().contains("redirects"), "{error}");
    }
    assert!(other.seen("POST /token").is_empty() && other.seen("GET /token").is_empty());
    // Not for the metadata either.
    let away = page(302, "").with("location", &format!("{}x", other.url));
    mock.on(OPENID, [away]);
    let error = client().probe(&mock.profile()).await.unwrap_err();
    assert!(
        matches!(&error, IssuerError::NoMetadata { text, cause: Cause::Status(302) } if text.contains("redirects")),
        "{error}"
    );
}

#[tokio::test]
async fn a_reply_longer_than_a_mebibyte_is_cut_off_however_it_comes() {
    let mock = Mock::start().await;
    let long = page(200, &"x".repeat(1024 * 1024 + 1));
    let lying = page(200, "{}").with("content-length", "99999999999");
    // No length at all: read until the end of the connection.
    let unknown = page(200, &"x".repeat(2 * 1024 * 1024)).with("content-length-x", "1");
    for answer in [long, lying, unknown] {
        mock.on("POST /token", [answer]);
        let error = refresh(&client(), &mock).await;
        assert!(
            matches!(&error, IssuerError::TooLong { text } if text.contains("1024 KiB (limits.reply_bytes)")),
            "{error:?}"
        );
    }
}

#[tokio::test]
async fn r06_silence_and_a_broken_connection_may_pass_and_may_have_been_acted_on() {
    let mock = Mock::start().await;
    let limits = Limits { total_timeout: Duration::from_millis(300), ..limits() };
    let client = IssuerClient::new(TestClock::new(), limits);
    client.probe(&mock.profile()).await.unwrap();
    for answer in [Answer::Silence, Answer::Hangup] {
        mock.on("POST /token", [answer]);
        let before = mock.seen("POST /token").len();
        let error = refresh(&client, &mock).await;
        assert_eq!(passing(&error), Some(true), "{error:?}");
        assert_eq!(mock.seen("POST /token").len(), before + 1, "asked once, never again");
    }
    // Nobody there: nothing was acted on.
    mock.discover_as(json!({ "token_endpoint": "http://127.0.0.1:1/token" }));
    let error = refresh(&super::client(), &mock).await;
    assert_eq!(passing(&error), Some(false), "{error:?}");
    assert!(error.to_string().contains("no connection to 127.0.0.1"), "{error}");
}

#[test]
fn r31_retry_after_is_read_as_seconds_and_as_a_date() {
    let s = Duration::from_secs;
    for (value, wait) in [
        ("120", Some(s(120))),
        (" 7 ", Some(s(7))),
        // 2027-01-15 08:00:00 is NOW.
        ("Fri, 15 Jan 2027 08:01:00 GMT", Some(s(60))),
        ("Fri, 15 Jan 2027 07:00:00 GMT", Some(s(0))),
        ("99999999999", Some(s(24 * 3600))),
        ("soon", None),
        ("-1", None),
        ("", None),
    ] {
        assert_eq!(parse_retry_after(value, NOW), wait, "{value:?}");
    }
}

#[tokio::test]
async fn r31_overload_carries_its_retry_after_and_was_not_acted_on() {
    let mock = Mock::start().await;
    for status in [429, 503] {
        mock.on("POST /token", [page(status, "slow").with("retry-after", "42")]);
        let error = refresh(&client(), &mock).await;
        let IssuerError::Unreachable { retry_after, maybe_processed, .. } = error else {
            panic!("{error:?}")
        };
        assert_eq!((retry_after, maybe_processed), (Some(Duration::from_secs(42)), false));
    }
}

/// Where the log lines of a test go.
#[derive(Clone, Default)]
struct Lines(Arc<Mutex<Vec<u8>>>);

impl io::Write for Lines {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[tokio::test]
async fn no_secret_is_in_a_log_line_or_an_error_even_where_the_issuer_echoes_it() {
    let lines = Lines::default();
    let writer = lines.clone();
    let subscriber = tracing_subscriber::fmt()
        .with_max_level(tracing::Level::TRACE)
        .with_writer(move || writer.clone())
        .finish();
    // With only one subscriber around, tracing asks that of whichever thread comes by first, and
    // another test's has none; then a line is off for good.
    let _second = tracing::Dispatch::new(tracing_subscriber::registry());
    let _guard = tracing::subscriber::set_default(subscriber);
    let mock = Mock::start().await;
    let client = client();
    // As HTTP Basic has it: `client$1` is form-encoded first.
    let header = BASE64_STANDARD_NO_PAD.encode(format!("client%241:{SECRET}"));
    let echo = |what: &str| json!({ "error": "invalid_token", "error_description": format!("Refresh token for value {what} was not found; secret {SECRET}, code {DEVICE_CODE}, Basic {header}") });
    mock.on("POST /token", [json_reply(401, echo(REFRESH_TOKEN))]);
    let profile = mock.profile();
    let token = secret(REFRESH_TOKEN);
    let error =
        client.refresh(&profile, &basic(), 1001, &token, &Wanted::default()).await.unwrap_err();
    let none = Default::default();
    let poll = client.poll_device(&profile, &basic(), &secret(DEVICE_CODE), &none).await;
    mock.on(
        "POST /token",
        [json_reply(
            200,
            json!({ "access_token": "access-Canary9", "refresh_token": "new-Canary8" }),
        )],
    );
    let tokens =
        client.refresh(&profile, &basic(), 1001, &token, &Wanted::default()).await.unwrap();
    let said = format!("{error} {error:?} {poll:?} {tokens:?}");
    assert!(!said.contains("Canary") && !said.contains(&header), "{said}");
    let log = String::from_utf8(lines.0.lock().unwrap().clone()).unwrap();
    assert!(log.contains("issuer asked") && log.contains("/token"), "{log}");
    assert!(!log.contains("Canary") && !log.contains(&header), "{log}");
    let sent = mock.seen("POST /token").pop().unwrap();
    assert!(sent.headers["authorization"].contains(&header), "it was on the way");
}
