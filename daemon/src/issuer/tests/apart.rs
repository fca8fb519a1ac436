//! One user's requests and issuers are not another's trouble.

use std::{io, net::IpAddr, sync::Arc};

use async_trait::async_trait;

use super::{
    super::{IssuerClient, Lookup},
    TestClock, basic, limits,
    mock::{Mock, OPENID, json_reply},
    secret,
};
use crate::account::{
    IssuerProfile,
    ports::{Health, IssuerError, Issuers as _, Wanted},
};

/// No name is known.
struct Nowhere;

#[async_trait]
impl Lookup for Nowhere {
    async fn lookup(&self, _: &str) -> io::Result<Vec<IpAddr>> {
        Err(io::Error::other("no such host"))
    }
}

#[tokio::test]
async fn an_issuer_that_one_user_named_and_that_fails_is_not_left_alone_for_another() {
    let clock = TestClock::new();
    let client = IssuerClient::with_lookup(clock.clone(), limits(), Arc::new(Nowhere));
    let named = |uid| IssuerProfile::unlisted("https://named.example/".parse().unwrap(), Some(uid));
    for _ in 0..3 {
        let error = client.probe(&named(1002)).await.unwrap_err();
        assert!(matches!(error, IssuerError::Unreachable { .. }), "{error:?}");
    }
    let error = client.probe(&named(1002)).await.unwrap_err();
    assert!(matches!(error, IssuerError::CircuitOpen { .. }), "{error:?}");
    // To another user, who named the same, nothing was refused and nothing has failed.
    assert_eq!(client.health(&named(1001)), Health::Unknown);
    let error = client.probe(&named(1001)).await.unwrap_err();
    assert!(matches!(error, IssuerError::Unreachable { .. }), "{error:?}");
    assert!(matches!(client.health(&named(1002)), Health::Open(_)));
}

#[tokio::test]
async fn one_user_has_half_of_the_requests_under_way_at_most_and_one_discovery_is_for_all() {
    let mock = Mock::start().await;
    let reply = serde_json::json!({ "access_token": "at", "token_type": "Bearer" });
    mock.on("POST /token", [json_reply(200, reply)]);
    let client = Arc::new(super::client());
    let renew_for = async |uids: Vec<u32>| {
        let tasks: Vec<_> = uids
            .into_iter()
            .map(|uid| {
                let (client, profile) = (Arc::clone(&client), mock.profile().asked_by(uid));
                tokio::spawn(async move {
                    let (token, all) = (secret("token"), Wanted::default());
                    client.refresh(&profile, &basic(), uid, &token, &all).await
                })
            })
            .collect();
        for task in tasks {
            task.await.unwrap().unwrap();
        }
    };
    renew_for(vec![1002; 40]).await;
    assert!((2..=4).contains(&mock.most_at_once()), "{}", mock.most_at_once());
    renew_for((2000..2040).collect()).await;
    assert!((2..=8).contains(&mock.most_at_once()), "{}", mock.most_at_once());
    assert_eq!(mock.seen(OPENID).len(), 1);
    assert_eq!(client.health(&mock.profile()), Health::Answering);
}
