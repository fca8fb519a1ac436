//! What is said of an issuer: every text of this room, provoked at a scripted issuer and compared
//! with its row in docs/errors.md.

mod clients;
mod passwords;
mod tokens;
mod ways;

use serde_json::{Value, json};

use super::{
    DEVICE_CODE, REFRESH_TOKEN, audiences, basic, client,
    mock::{Mock, json_reply, oauth, page},
    record, secret,
};
use crate::{
    account::{
        AudienceSet, ClientAuth, ClientOwner, IssuerProfile, ScopeSet,
        ports::{IssuerError, Issuers as _, PollAnswer, Wanted},
    },
    service::ServiceError,
};

/// The page has no ports and directories of a test.
pub(super) fn shows(mock: &Mock, when: &str, error: impl Into<ServiceError>) {
    shows_at(&[(&mock.url, "https://issuer.test/")], when, error);
}

fn shows_at(places: &[(&str, &str)], when: &str, error: impl Into<ServiceError>) {
    let mut error: ServiceError = error.into();
    let usual = [("Test IAM", "WLCG"), ("127.0.0.1", "issuer.test")];
    for (here, there) in places.iter().chain(&usual) {
        error.message = error.message.replace(here, there);
    }
    crate::testing::shows("Issuers and clients", when, error);
}

/// The error of a refresh that the issuer answers like this.
async fn refreshed(mock: &Mock, wanted: &Wanted) -> ServiceError {
    let token = secret(REFRESH_TOKEN);
    let answer = client().refresh(&mock.profile(), &basic(), 1001, &token, wanted).await;
    crate::token::TokenError::from(answer.unwrap_err().error).into()
}

/// The error of a poll.
async fn polled(mock: &Mock) -> IssuerError {
    let none = AudienceSet::default();
    let code = secret(DEVICE_CODE);
    match client().poll_device(&mock.profile(), &basic(), &code, &none).await {
        PollAnswer::Failed(error) => error,
        other => panic!("{other:?}"),
    }
}

/// The error of a request for a device code.
async fn asked(mock: &Mock) -> IssuerError {
    let (profile, none) = (mock.profile(), AudienceSet::default());
    client().authorize_device(&profile, &basic(), 1001, &profile.scopes, &none).await.unwrap_err()
}
