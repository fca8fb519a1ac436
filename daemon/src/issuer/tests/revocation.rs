//! Revocation (RFC 7009): what counts as done.

use serde_json::json;

use super::{
    REFRESH_TOKEN, basic, client,
    mock::{Mock, oauth, page},
    passing, secret,
};
use crate::account::ports::{IssuerError, Issuers as _};

const ENDPOINT: &str = "POST /revoke";

async fn revoke(mock: &Mock) -> Result<(), IssuerError> {
    client().revoke(&mock.profile(), &basic(), &secret(REFRESH_TOKEN)).await
}

#[tokio::test]
async fn a_token_that_is_revoked_unknown_or_anothers_is_done_with() {
    let mock = Mock::start().await;
    for answer in [page(200, ""), page(204, ""), page(403, ""), oauth(400, "invalid_token", "")] {
        mock.on(ENDPOINT, [answer]);
        revoke(&mock).await.unwrap();
        let sent = mock.seen(ENDPOINT).pop().unwrap();
        assert_eq!(sent.field("token").as_deref(), Some(REFRESH_TOKEN));
        assert_eq!(sent.field("token_type_hint").as_deref(), Some("refresh_token"));
        assert!(sent.headers.contains_key("authorization"));
    }
    mock.on(ENDPOINT, [page(200, "")]);
    client().revoke_access(&mock.profile(), &basic(), &secret("at")).await.unwrap();
    let sent = mock.seen(ENDPOINT).pop().unwrap();
    assert_eq!(sent.field("token").as_deref(), Some("at"));
    assert_eq!(sent.field("token_type_hint").as_deref(), Some("access_token"));
}

#[tokio::test]
async fn a_revocation_that_did_not_happen_is_told() {
    let mock = Mock::start().await;
    mock.on(ENDPOINT, [page(503, "").with("retry-after", "5")]);
    let error = revoke(&mock).await.unwrap_err();
    assert_eq!(passing(&error), Some(false), "{error:?}");
    mock.on(ENDPOINT, [oauth(401, "invalid_client", "")]);
    assert!(matches!(revoke(&mock).await, Err(IssuerError::ClientRejected { .. })));
    mock.on(ENDPOINT, [oauth(400, "unsupported_token_type", "")]);
    assert!(matches!(revoke(&mock).await, Err(IssuerError::Refused { .. })));
    // Only INDIGO IAM means "not this client's" by an empty 403.
    mock.discover_as(json!({ "scim_endpoint": null }));
    mock.on(ENDPOINT, [page(403, "")]);
    assert!(matches!(revoke(&mock).await, Err(IssuerError::Refused { .. })));
}
