//! Metadata: where it is looked for, what is taken from it, how long it is believed.

use std::{sync::Arc, time::Duration};

use serde_json::json;

use super::{
    super::IssuerClient,
    TestClock, client, limits,
    mock::{Answer, Mock, OPENID, json_reply, page},
};
use crate::account::{
    AudienceParameter, Dialect, Overrides,
    ports::{Cause, Health, IssuerError, Issuers as _},
};

const OAUTH: &str = "GET /.well-known/oauth-authorization-server";
const DAY: Duration = Duration::from_secs(24 * 3600);

#[tokio::test]
async fn r11_where_the_openid_document_is_missing_rfc_8414_is_asked() {
    for missing in [page(404, "<html>"), page(200, "<html>"), page(404, ""), page(403, "no")] {
        let mock = Mock::start().await;
        mock.on(OPENID, [missing]);
        mock.on(OAUTH, [json_reply(200, mock.discovery())]);
        assert!(client().metadata(&mock.profile()).await.unwrap().token.is_some());
    }
}

#[tokio::test]
async fn r11_both_places_of_rfc_8414_are_tried_for_an_issuer_with_a_path() {
    for place in [
        "GET /.well-known/oauth-authorization-server/realms/x",
        "GET /realms/x/.well-known/oauth-authorization-server",
    ] {
        let mock = Mock::below("/realms/x").await;
        mock.on("GET /realms/x/.well-known/openid-configuration", [page(404, "")]);
        mock.on(place, [json_reply(200, mock.discovery())]);
        assert!(client().metadata(&mock.profile()).await.unwrap().token.is_some(), "{place}");
    }
}

#[tokio::test]
async fn r11_what_the_openid_document_lacks_is_completed_and_what_it_has_stays() {
    let mock = Mock::start().await;
    mock.discover_as(
        json!({ "device_authorization_endpoint": null, "registration_endpoint": null }),
    );
    let mut other = mock.discovery();
    other["token_endpoint"] = json!(format!("{}other", mock.url));
    mock.on(OAUTH, [json_reply(200, other)]);
    let metadata = client().metadata(&mock.profile()).await.unwrap();
    let endpoint = metadata.device_authorization.clone().unwrap().unwrap();
    assert_eq!(endpoint.path(), "/devicecode");
    assert_eq!(metadata.token.clone().unwrap().unwrap().path(), "/token");
    // A document of somebody else completes nothing.
    let stranger = json!({ "issuer": "https://evil.example/", "device_authorization_endpoint": "https://evil.example/" });
    mock.on(OAUTH, [json_reply(200, stranger)]);
    assert!(client().metadata(&mock.profile()).await.unwrap().device_authorization.is_none());
}

#[tokio::test]
async fn r12_the_issuer_may_differ_by_one_trailing_slash_and_nothing_else() {
    let mock = Mock::start().await;
    let plain = mock.url.trim_end_matches('/').to_owned();
    for good in [mock.url.clone(), plain.clone()] {
        mock.discover_as(json!({ "issuer": good }));
        client().metadata(&mock.profile()).await.unwrap();
    }
    for bad in [
        json!(format!("{}//", mock.url)),
        json!(format!("{plain}/x")),
        json!(plain.replace("http", "https")),
        json!("https://evil.example/\u{1b}[2J"),
        json!(7),
        json!(null),
    ] {
        mock.discover_as(json!({ "issuer": bad }));
        let error = client().metadata(&mock.profile()).await.unwrap_err();
        let IssuerError::NoMetadata { text, cause: Cause::OtherIssuer } = error else {
            panic!("{bad}: {error:?}")
        };
        assert!(text.contains("127.0.0.1") && !text.contains('\u{1b}'), "{text}");
    }
}

#[tokio::test]
async fn r13_an_endpoint_that_is_not_https_or_no_url_is_refused_when_it_is_needed() {
    let mock = Mock::start().await;
    for bad in ["http://iam.example/token", "no url", "https://a@b/", "javascript:alert(1)"] {
        mock.discover_as(json!({ "revocation_endpoint": bad }));
        let client = client();
        let metadata = client.metadata(&mock.profile()).await.unwrap();
        assert!(matches!(metadata.revocation, Some(Err(IssuerError::Malformed { .. }))), "{bad}");
        assert!(matches!(metadata.token, Some(Ok(_))));
    }
}

#[tokio::test]
async fn r14_what_the_site_set_by_hand_replaces_what_the_issuer_says() {
    let mock = Mock::start().await;
    let mut profile = mock.profile();
    let by_hand = |what: &str| Some(format!("{}by/hand/{what}", mock.url).parse().unwrap());
    profile.endpoints = Overrides {
        configuration: None,
        token: by_hand("token"),
        device_authorization: by_hand("device"),
        registration: by_hand("registration"),
        revocation: by_hand("revocation"),
        introspection: by_hand("introspection"),
        jwks: by_hand("jwks"),
        userinfo: by_hand("userinfo"),
    };
    let metadata = client().metadata(&profile).await.unwrap();
    for (endpoint, what) in [
        (&metadata.token, "token"),
        (&metadata.device_authorization, "device"),
        (&metadata.registration, "registration"),
        (&metadata.revocation, "revocation"),
        (&metadata.introspection, "introspection"),
        (&metadata.jwks, "jwks"),
        (&metadata.userinfo, "userinfo"),
    ] {
        let path = endpoint.clone().unwrap().unwrap().path().to_owned();
        assert_eq!(path, format!("/by/hand/{what}"));
    }
    // Even the document may be elsewhere.
    mock.on(OPENID, [page(404, "")]);
    let mut elsewhere = mock.discovery();
    elsewhere["token_endpoint"] = json!(format!("{}elsewhere", mock.url));
    mock.on("GET /doc", [json_reply(200, elsewhere)]);
    let mut profile = mock.profile();
    profile.endpoints.configuration = Some(format!("{}doc", mock.url).parse().unwrap());
    let metadata = client().metadata(&profile).await.unwrap();
    assert_eq!(metadata.token.clone().unwrap().unwrap().path(), "/elsewhere");
}

#[tokio::test]
async fn r14_an_issuer_without_metadata_works_with_endpoints_by_hand_and_says_so_without() {
    let mock = Mock::start().await;
    mock.on(OPENID, [page(404, "")]);
    let url = |path: &str| Some(format!("{}{path}", mock.url).parse().unwrap());
    let mut profile = mock.profile();
    profile.endpoints =
        Overrides { token: url("t"), device_authorization: url("d"), ..Overrides::default() };
    let metadata = client().metadata(&profile).await.unwrap();
    assert_eq!(metadata.dialect, Dialect::Rfc);
    let error = client().metadata(&mock.profile()).await.unwrap_err();
    let IssuerError::NoMetadata { text, cause: Cause::Status(404) } = error else {
        panic!("{error:?}")
    };
    assert!(text.contains("is this the issuer's URL?"), "{text}");
    mock.discover_as(json!({ "revocation_endpoint": null }));
    let error = client().revoke(&mock.profile(), &super::basic(), &super::secret("x")).await;
    let Err(IssuerError::Unsupported { text }) = error else { panic!("{error:?}") };
    assert!(text.contains("endpoints.revocation"), "{text}");
}

#[tokio::test]
async fn r15_metadata_is_kept_for_a_day_and_the_last_good_one_while_there_is_no_better() {
    let mock = Mock::start().await;
    let clock = TestClock::new();
    let client = IssuerClient::new(clock.clone(), limits());
    let profile = mock.profile();
    client.metadata(&profile).await.unwrap();
    clock.pass(DAY - Duration::from_secs(1));
    client.metadata(&profile).await.unwrap();
    assert_eq!(mock.seen(OPENID).len(), 1);
    for failure in [page(500, ""), page(404, ""), page(200, "<html>"), Answer::Hangup] {
        clock.pass(DAY);
        mock.on(OPENID, [failure]);
        let before = mock.seen(OPENID).len();
        client.metadata(&profile).await.unwrap();
        client.metadata(&profile).await.unwrap();
        assert_eq!(mock.seen(OPENID).len(), before + 1, "not at every turn");
    }
    clock.pass(DAY);
    mock.discover_as(json!({ "token_endpoint": format!("{}new", mock.url) }));
    let metadata = client.metadata(&profile).await.unwrap();
    assert_eq!(metadata.token.clone().unwrap().unwrap().path(), "/new");
    // A changed profile is another matter.
    let mut changed = profile;
    changed.endpoints.token = Some(format!("{}by/hand", mock.url).parse().unwrap());
    let metadata = client.metadata(&changed).await.unwrap();
    assert_eq!(metadata.token.clone().unwrap().unwrap().path(), "/by/hand");
}

#[tokio::test]
async fn one_discovery_serves_all_who_wait_and_so_does_its_failure() {
    for (answer, works) in [(None, true), (Some(page(500, "")), false)] {
        let mock = Mock::start().await;
        if let Some(answer) = answer {
            mock.on(OPENID, [answer]);
        }
        let client = Arc::new(client());
        let tasks: Vec<_> = (0..20)
            .map(|_| {
                let (client, profile) = (Arc::clone(&client), mock.profile());
                tokio::spawn(async move { client.metadata(&profile).await.is_ok() })
            })
            .collect();
        for task in tasks {
            assert_eq!(task.await.unwrap(), works);
        }
        assert_eq!(mock.seen(OPENID).len(), 1);
    }
}

#[tokio::test]
async fn the_dialect_is_found_out_unless_the_site_says_it() {
    let mock = Mock::start().await;
    let iam = client().metadata(&mock.profile()).await.unwrap();
    assert_eq!(iam.dialect, Dialect::IndigoIam);
    assert_eq!(iam.audience_parameter, AudienceParameter::Audience);
    let mut profile = mock.profile();
    profile.audience_parameter = Some(AudienceParameter::Resource);
    let iam = client().metadata(&profile).await.unwrap();
    assert_eq!(iam.audience_parameter, AudienceParameter::Resource);
    profile.dialect = Some(Dialect::Rfc);
    assert_eq!(client().metadata(&profile).await.unwrap().dialect, Dialect::Rfc);
    mock.without_dialect();
    let other = client().metadata(&mock.profile()).await.unwrap();
    assert_eq!(
        (other.dialect, other.audience_parameter),
        (Dialect::Rfc, AudienceParameter::Resource)
    );
}

#[tokio::test]
async fn a_probe_tells_what_was_found() {
    let mock = Mock::start().await;
    mock.discover_as(json!({ "revocation_endpoint": null }));
    let client = client();
    assert_eq!(client.health(&mock.profile()), Health::Unknown);
    assert_eq!(
        client.probe(&mock.profile()).await.unwrap().summary,
        "dialect INDIGO IAM, audiences by `audience`; endpoints for: token, device login, registration, keys; not for: revocation"
    );
    assert_eq!(client.health(&mock.profile()), Health::Answering);
}
