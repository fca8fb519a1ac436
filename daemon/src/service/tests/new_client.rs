//! A login that brings a client of the account's own: nobody else's changes, and one that comes to
//! nothing leaves everything as it was.

use iamd_protocol::bus::AddOptions;

use super::{
    add::{CMS, own, own_client},
    *,
};

fn at_cms() -> AddOptions {
    AddOptions { issuer: Some("cms".into()), ..AddOptions::default() }
}

fn new() -> LoginOptions {
    LoginOptions { new_client: Some(true), ..LoginOptions::default() }
}

impl House {
    async fn gives_a_token(&self, name: &str) -> Result<String, ServiceError> {
        let force = TokenOptions { force_new: Some(true), ..TokenOptions::default() };
        let reply = self.service.token(&self.caller(ALICE), name, force).await;
        reply.map(|reply| reply.token)
    }

    fn deregistered(&self) -> Vec<String> {
        self.issuers.deregistered.lock().unwrap().clone()
    }

    /// Two accounts of alice's at cms, signed in with the client that they share.
    async fn two_at_cms() -> Self {
        let house = Self::new();
        for name in ["a", "b"] {
            house.make(name, at_cms(), &[]).await.unwrap();
            house.sign_in(name, sign_in_of("alice-sub")).await;
        }
        house
    }
}

#[tokio::test(start_paused = true)]
async fn r22_a_cancelled_login_with_a_new_client_leaves_everybody_theirs_and_nothing_behind() {
    let house = House::two_at_cms().await;
    assert_eq!(house.login_with("a", new()).await.unwrap().state, "pending");
    house.service.cancel_login(&house.caller(ALICE), "a").await.unwrap();
    house.settle().await;
    assert_eq!(house.deregistered(), ["client-2"]);
    assert!(house.client(&own("a"), CMS).is_none());
    for name in ["a", "b"] {
        house.gives_a_token(name).await.unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn r22_a_login_that_is_cancelled_while_its_client_is_registered_leaves_none_behind() {
    let house = House::two_at_cms().await;
    *house.issuers.register_latency.lock().unwrap() = 20 * S;
    assert_eq!(house.login_with("a", new()).await.unwrap().state, "starting");
    house.service.cancel_login(&house.caller(ALICE), "a").await.unwrap();
    house.end_of_login("a").await;
    tokio::time::advance(60 * S).await;
    house.settle().await;
    assert_eq!(house.deregistered(), ["client-2"]);
}

#[tokio::test(start_paused = true)]
async fn a_shared_client_stays_and_the_old_refresh_token_is_revoked_with_it() {
    let house = House::two_at_cms().await;
    let before = secret(&house.vault.record(&house.alices("a"))).unwrap().to_owned();
    house.approve(sign_in_of("alice-sub"));
    house.login_with("a", new()).await.unwrap();
    assert_eq!(house.end_of_login("a").await.state, "done");
    house.settle().await;
    let record = house.vault.record(&house.alices("a"));
    assert_eq!((record.client_owner, record.client_id.as_deref()), (own("a"), Some("client-2")));
    assert_eq!((house.revoked(), house.deregistered()), (vec![before], vec![]));
    assert_eq!(*house.issuers.revoked_by.lock().unwrap(), ["client-1"]);
    for name in ["a", "b"] {
        house.gives_a_token(name).await.unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn r22_a_client_of_the_accounts_own_is_deleted_when_another_has_taken_its_place() {
    let house = House::new();
    house.make("a", own_client(), &[]).await.unwrap();
    house.sign_in("a", sign_in_of("alice-sub")).await;
    let issuer = house.vault.record(&house.alices("a")).issuer;
    // Somebody else signs in: nothing is changed.
    house.approve(sign_in_of("mallory-sub"));
    house.login_with("a", new()).await.unwrap();
    assert_eq!(house.end_of_login("a").await.error.as_deref(), Some("IdentityMismatch"));
    house.settle().await;
    assert_eq!(house.client(&own("a"), &issuer).unwrap().client_id, "client-1");
    assert_eq!(house.deregistered(), ["client-2"]);
    assert_eq!(
        house.issuers.revoked_by.lock().unwrap().drain(..).collect::<Vec<_>>(),
        ["client-2"]
    );
    house.gives_a_token("a").await.unwrap();
    // The right person does.
    house.approve(sign_in_of("alice-sub"));
    house.login_with("a", new()).await.unwrap();
    assert_eq!(house.end_of_login("a").await.state, "done");
    house.settle().await;
    assert_eq!(house.client(&own("a"), &issuer).unwrap().client_id, "client-3");
    assert_eq!(house.deregistered(), ["client-2", "client-1"]);
    assert_eq!(*house.issuers.revoked_by.lock().unwrap(), ["client-1"]);
    house.gives_a_token("a").await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_login_that_runs_gets_no_other_client() {
    let house = House::new();
    house.make("a", at_cms(), &[]).await.unwrap();
    house.login("a").await.unwrap();
    assert_eq!(kind(house.login_with("a", new()).await), Kind::LoginPending);
    house.approve(sign_in_of("alice-sub"));
    assert_eq!(house.end_of_login("a").await.state, "done");
    house.gives_a_token("a").await.unwrap();
    assert_eq!(house.issuers.registrations.load(SeqCst), 1);
}

#[tokio::test(start_paused = true)]
async fn a_new_client_is_no_way_around_a_site_that_allows_no_own_ones() {
    let house = House::and("[users]\nown_clients = false\n");
    house.make("a", at_cms(), &[]).await.unwrap();
    assert_eq!(kind(house.login_with("a", new()).await), Kind::DeniedByPolicy);
    let broken = State::ClientBroken { reason: "suspended".into() };
    house.change(&house.alices("a"), |record| record.state = broken);
    house.login_with("a", new()).await.unwrap();
    let user = house.client(&ClientOwner::User(ALICE), CMS).unwrap();
    assert_eq!(user.client_id, "client-2", "it takes the place of the one that is refused");
}

#[tokio::test]
async fn a_sealed_client_that_was_put_back_opens() {
    use super::add::WLCG;
    let house = House::sealing().await;
    house.make("a", own_client(), &[]).await.unwrap();
    let fresh = crate::testing::client(own("a"), &profile().url, 9);
    let request = crate::login::Request {
        key: house.alices("gone"),
        profile: profile(),
        scopes: profile().scopes,
        audiences: Default::default(),
        client_owner: own("a"),
        replaces: None,
        caller_pid: None,
        claim: Default::default(),
        exists: true,
    };
    let (owner, aside) = (house.caller(ALICE).owner, Default::default());
    let kept =
        house.service.keep_with_fresh(&owner, &request, &aside, &fresh, sign_in_of("alice-sub"));
    assert_eq!(kept.await.unwrap_err().kind, Kind::LoginCancelled);
    let back = house.kept.client(&own("a"), WLCG).await.unwrap().unwrap().value;
    assert_eq!(back.client_id, "client-1");
}
