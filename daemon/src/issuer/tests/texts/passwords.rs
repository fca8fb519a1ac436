//! The password flow: what an issuer makes of a password, and of a change of a client's grants.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use async_trait::async_trait;

use super::{
    super::{IssuerClient, TestClock, limits},
    *,
};
use crate::{
    account::{
        UnixTime,
        ports::{GrantFailure, PasswordError, PasswordGrants as _, PasswordSignIn},
    },
    clock::Clock,
};
use iamd_protocol::error::Kind;

const GET: &str = "GET /iam/api/clients/9bef3e68";
const PUT: &str = "PUT /iam/api/clients/9bef3e68";

fn shows(mock: &Mock, when: &str, error: impl Into<ServiceError>) {
    let mut error: ServiceError = error.into();
    for (here, there) in [(mock.url.as_str(), "https://issuer.test/"), ("Test IAM", "WLCG")] {
        error.message = error.message.replace(here, there);
    }
    crate::testing::shows("The password flow", when, error);
}

async fn signed_in(mock: &Mock) -> ServiceError {
    let (scopes, audiences) = (ScopeSet::default(), AudienceSet::default());
    let (user_name, password) = ("alice", secret("password-Canary9"));
    let sign_in = PasswordSignIn { user_name, password, scopes: &scopes, audiences: &audiences };
    match client().sign_in_with_password(&mock.profile(), &basic(), sign_in).await.unwrap_err() {
        PasswordError::ActionNeeded { text } => ServiceError::new(Kind::ActionNeeded, text),
        PasswordError::Issuer(error) => error.into(),
        other => panic!("{other:?}"),
    }
}

/// Waits for what a reply may take, and not for the pause of a circuit.
struct Hasty(Arc<TestClock>);

#[async_trait]
impl Clock for Hasty {
    fn wall(&self) -> UnixTime {
        self.0.wall()
    }

    fn monotonic(&self) -> Instant {
        self.0.monotonic()
    }

    async fn sleep(&self, duration: Duration) {
        self.0
            .sleep(if duration > limits().queue_timeout { Duration::ZERO } else { duration })
            .await;
    }
}

async fn changed(mock: &Mock, client_id: &str, allowed: bool) -> GrantFailure {
    let token = secret("token-of-an-administrator");
    let client = IssuerClient::new(Arc::new(Hasty(TestClock::new())), limits());
    let profile = mock.profile();
    client.change_password_grant(&profile, &token, client_id, allowed).await.unwrap_err()
}

fn with(changes: Value) -> Value {
    let mut client = json!({
        "client_id": "9bef3e68",
        "client_secret": "secret-of-the-client",
        "grant_types": ["refresh_token"],
        "reuse_refresh_token": true,
    });
    let object = client.as_object_mut().unwrap();
    object.extend(changes.as_object().unwrap().clone());
    object.retain(|_, value| !value.is_null());
    client
}

fn allowed(changes: Value) -> Value {
    let mut client = with(json!({ "grant_types": ["refresh_token", "password"] }));
    client.as_object_mut().unwrap().extend(changes.as_object().unwrap().clone());
    client
}

#[tokio::test]
async fn a_password_brings_nothing() {
    let mock = Mock::start().await;
    for (when, code, description) in [
        ("the user is disabled at the issuer", "invalid_grant", "User is disabled"),
        ("the client may not have a scope that is asked for", "invalid_scope", ""),
    ] {
        mock.on("POST /token", [oauth(400, code, description)]);
        shows(&mock, when, signed_in(&mock).await);
    }
    // What else it says is in none of its words: they may repeat the password.
    mock.on("POST /token", [oauth(400, "invalid_request", "not password-Canary9 here")]);
    shows(&mock, "the issuer refuses a sign-in by password otherwise", signed_in(&mock).await);
    mock.on("POST /token", [json_reply(400, json!({ "detail": "password-Canary9" }))]);
    shows(&mock, "the same, without an error's name", signed_in(&mock).await);
}

#[tokio::test]
async fn a_grant_is_not_changed() {
    let mock = Mock::start().await;
    let on = |client: Value| json_reply(200, client);
    for (when, answer) in [
        ("who enables it is no administrator of the issuer", json_reply(403, json!({}))),
        ("the issuer has no such client", json_reply(404, json!({}))),
        ("the issuer answers for another client", on(json!({ "client_id": "x" }))),
        (
            "the issuer does not show the client's secret",
            on(with(json!({ "client_secret": null }))),
        ),
    ] {
        mock.on(GET, [answer]);
        shows(&mock, when, changed(&mock, "9bef3e68", true).await);
    }
    mock.on(PUT, [on(json!({}))]);
    let rotates = || allowed(json!({ "reuse_refresh_token": false }));
    for (when, answers) in [
        ("the issuer took the change and left the client as it was", vec![with(json!({}))]),
        (
            "the issuer changed more of the client than the grant",
            vec![with(json!({})), rotates(), with(json!({}))],
        ),
        (
            "the issuer changed more of the client, and keeps it so",
            vec![with(json!({})), rotates(), rotates()],
        ),
    ] {
        mock.on(GET, answers.into_iter().map(on));
        shows(&mock, when, changed(&mock, "9bef3e68", true).await);
    }
    mock.on(GET, [on(with(json!({}))), page(500, "")]);
    let when = "the issuer takes the change, and shows the client no more";
    shows(&mock, when, changed(&mock, "9bef3e68", true).await);
    let none = || page(500, "");
    mock.on(GET, [on(with(json!({}))), none(), none(), none(), on(with(json!({})))]);
    let when = "the issuer takes the change, and shows the client when it was put back";
    shows(&mock, when, changed(&mock, "9bef3e68", true).await);
    let mock = Mock::start().await;
    mock.on(GET, [on(with(json!({}))), page(503, "")]);
    mock.on(PUT, [on(json!({})), page(503, "")]);
    let when = "the issuer takes the change, and answers nothing after it";
    shows(&mock, when, changed(&mock, "9bef3e68", true).await);
    let mock = Mock::start().await;
    mock.on(GET, [on(with(json!({}))), on(rotates())]);
    mock.on(PUT, [on(json!({})), page(503, "")]);
    let when =
        "the issuer changed more of the client, and does not answer when it is to put it back";
    shows(&mock, when, changed(&mock, "9bef3e68", true).await);
    shows(&mock, "a client_id that is no name", changed(&mock, "..", true).await);
    let mock = Mock::start().await;
    mock.without_dialect();
    shows(
        &mock,
        "--at-issuer at another issuer than an INDIGO IAM",
        changed(&mock, "9bef3e68", true).await,
    );
}
