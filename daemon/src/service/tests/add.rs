//! New accounts: what they are, with whose client, and that nothing stays of one that failed.

use iamd_protocol::bus::{AddOptions, ChangeReply, secret};
use secrecy::ExposeSecret as _;

use super::*;
use crate::{account::ClientRecord, audit, service::Handed};

impl House {
    pub(super) async fn make(
        &self,
        named: &str,
        options: AddOptions,
        handed: &[(&str, &str)],
    ) -> Result<ChangeReply, ServiceError> {
        let mut secrets = Handed::default();
        handed.iter().for_each(|(name, text)| secrets.add(*name, (*text).to_owned().into()));
        self.service.add(&self.caller(ALICE), named, options, secrets).await
    }

    pub(super) fn client(&self, owner: &ClientOwner, issuer: &str) -> Option<ClientRecord> {
        let clients = self.vault.clients.lock().unwrap();
        clients.get(&(owner.clone(), issuer.to_owned())).map(|(client, _)| client.clone())
    }

    pub(super) fn is_empty(&self) -> bool {
        let clients = self.vault.clients.lock().unwrap();
        let mine = clients.keys().filter(|(owner, _)| owner.is_of_one_account()).count();
        self.vault.accounts.lock().unwrap().is_empty() && mine == 0
    }
}

pub(super) const WLCG: &str = "https://issuer.test/";
pub(super) const CMS: &str = "https://cms.test/";

pub(super) fn own(name: &str) -> ClientOwner {
    ClientOwner::Own(ALICE, name.parse().unwrap())
}

pub(super) fn own_client() -> AddOptions {
    AddOptions { own_client: Some(true), ..AddOptions::default() }
}

pub(super) fn given(id: &str) -> AddOptions {
    AddOptions { client_id: Some(id.into()), ..AddOptions::default() }
}

#[tokio::test(start_paused = true)]
async fn an_account_is_there_with_its_client_and_no_login_is_started() {
    let house = House::new();
    let reply = house.make("", AddOptions::default(), &[]).await.unwrap();
    assert_eq!((reply.account.as_str(), reply.login_needed), ("wlcg", true));
    assert_eq!(reply.remarks, [""; 0]);
    let record = house.vault.record(&house.alices("wlcg"));
    assert_eq!((record.state, record.client_owner), (State::New, ClientOwner::Site));
    assert_eq!(record.client_id.as_deref(), Some("client-1"));
    assert_eq!(record.scopes_asked, profile().scopes);
    assert_eq!(house.issuers.authorizations.load(SeqCst), 0);
    assert_eq!(house.audit.of(audit::Kind::AccountAdded).len(), 1);
    // The login then asks for just that, with that client.
    house.login("wlcg").await.unwrap();
    assert_eq!(*house.issuers.used_clients.lock().unwrap(), ["client-1"]);
}

#[tokio::test(start_paused = true)]
async fn a_registration_that_never_reached_an_issuer_does_not_count() {
    let house = House::and("[limits]\nregistrations = 1\n");
    for error in [
        IssuerError::AddressNotPublic { text: "inside".into() },
        IssuerError::Unsupported { text: "no registration".into() },
        IssuerError::Local { text: "no file".into() },
    ] {
        let refused = ServiceError::from(error.clone()).kind;
        house.issuers.register_errors.lock().unwrap().push_back(error);
        assert_eq!(kind(house.make("mine", own_client(), &[]).await), refused);
    }
    house.make("mine", own_client(), &[]).await.unwrap();
    assert_eq!(kind(house.make("more", own_client(), &[]).await), Kind::TooManyRegistrations);
}

#[tokio::test(start_paused = true)]
async fn one_user_has_only_so_many_clients_registered_in_an_hour() {
    use iamd_protocol::bus::RemoveOptions;
    let house = House::new();
    let alice = house.caller(ALICE);
    let throw_away = async || {
        house.make("a", own_client(), &[]).await?;
        let keep = RemoveOptions { keep_client: Some(true) };
        house.service.remove(&alice, "a", keep).await
    };
    for _ in 0..5 {
        throw_away().await.unwrap();
    }
    let error = throw_away().await.unwrap_err();
    assert_eq!(error.kind, Kind::TooManyRegistrations);
    assert!(error.message.contains("limits.registrations"), "{error}");
    assert!(error.message.contains("60 min"), "{error}");
    assert!(house.is_empty(), "nothing half made stays");
    // A login is no way around it, and the site's client is for all.
    let new =
        LoginOptions { new_client: Some(true), issuer: Some("cms".into()), ..Default::default() };
    let ended = house.login_with("", new).await.unwrap();
    assert_eq!(ended.error.as_deref(), Some("TooManyRegistrations"));
    house.make("b", AddOptions::default(), &[]).await.unwrap();
    assert_eq!(house.issuers.registrations.load(SeqCst), 6);
    let bob = house.caller(BOB);
    house.service.add(&bob, "b", own_client(), Handed::default()).await.unwrap();
    house.clock.sleep(3600 * S).await;
    throw_away().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn scopes_beyond_the_shared_client_are_no_way_to_a_client_that_the_site_forbids() {
    let house = House::and("[users]\nown_clients = false\n");
    let beyond = AddOptions {
        issuer: Some("cms".into()),
        scopes: scopes("compute.read"),
        ..AddOptions::default()
    };
    let error = house.make("a", beyond, &[]).await.unwrap_err();
    assert_eq!(error.kind, Kind::DeniedByPolicy);
    assert!(error.message.contains("compute.read"), "{error}");
    assert!(house.is_empty());
    assert_eq!(house.issuers.registrations.load(SeqCst), 0);
}

#[tokio::test(start_paused = true)]
async fn r54_a_reused_uid_gets_no_client_of_who_had_it_before() {
    let house = House::and("[policy]\nshow_secrets = [\"eve\"]\n");
    let at_cms = || AddOptions { issuer: Some("cms".into()), ..AddOptions::default() };
    house.make("a", at_cms(), &[]).await.unwrap();
    house.make("again", at_cms(), &[]).await.unwrap();
    assert_eq!(house.issuers.registrations.load(SeqCst), 1);
    house.users.0.lock().unwrap().insert(ALICE, "eve".into());
    let taken = house.make("a", at_cms(), &[]).await.unwrap_err();
    assert_eq!(taken.message, "the name a cannot be used; choose another");
    house.make("b", at_cms(), &[]).await.unwrap();
    assert_eq!(house.issuers.registrations.load(SeqCst), 2);
    let reused = house.audit.of(audit::Kind::UidReused);
    assert!(reused.iter().any(|found| found.detail.contains("registered for")), "{reused:?}");
    let secrets = house.service.secrets(&house.caller(ALICE), "b").await.unwrap();
    assert_eq!(secrets.client_id.as_deref(), Some("client-2"));
    assert_eq!(secrets.registration_access_token.as_deref(), Some("rat-2"));
}

#[tokio::test(start_paused = true)]
async fn a_name_is_an_issuers_or_free_or_refused() {
    let house = House::new();
    let none = AddOptions::default;
    assert_eq!(house.make("cms", none(), &[]).await.unwrap().account, "cms");
    assert_eq!(house.vault.record(&house.alices("cms")).issuer, CMS);
    assert_eq!(kind(house.make("cms", none(), &[]).await), Kind::AccountExists);
    let more = AddOptions { issuer: Some("cms".into()), ..none() };
    assert_eq!(house.make("", more, &[]).await.unwrap().account, "cms-2");
    assert_eq!(kind(house.make("../x", none(), &[]).await), Kind::InvalidArgument);
    let unknown = AddOptions { issuer: Some("nowhere".into()), ..none() };
    assert_eq!(kind(house.make("a", unknown, &[]).await), Kind::NoSuchIssuer);
    let foreign = AddOptions { issuer: Some("https://x.example/".into()), ..none() };
    assert_eq!(kind(house.make("a", foreign, &[]).await), Kind::IssuerNotAllowed);
    // A login that is about to make it.
    house.login("soon").await.unwrap();
    assert_eq!(kind(house.make("soon", none(), &[]).await), Kind::AccountExists);
    // Bob's name is nobody else's business.
    house.add(BOB, "bob", "bobs", WLCG);
    assert_eq!(house.make("bobs", none(), &[]).await.unwrap().account, "bobs");
}

#[tokio::test(start_paused = true)]
async fn the_quota_counts_and_two_at_once_make_one() {
    let house = House::and("[limits]\naccounts = 2\n");
    let (a, b) = tokio::join!(
        house.make("one", AddOptions::default(), &[]),
        house.make("one", AddOptions::default(), &[])
    );
    assert_eq!([a.is_ok(), b.is_ok()].iter().filter(|done| **done).count(), 1);
    house.make("two", AddOptions::default(), &[]).await.unwrap();
    assert_eq!(kind(house.make("three", AddOptions::default(), &[]).await), Kind::TooManyAccounts);
    assert_eq!(house.audit.of(audit::Kind::Denial).len(), 1);
}

#[tokio::test(start_paused = true)]
async fn all_scopes_are_those_on_offer_and_those_of_the_site() {
    let house = House::new();
    *house.issuers.offered.lock().unwrap() = ScopeSet::parse(["openid eduperson wlcg"]).unwrap();
    let all = AddOptions { all_scopes: Some(true), scopes: scopes("compute.read"), ..own_client() };
    house.make("all", all.clone(), &[]).await.unwrap();
    let asked = house.vault.record(&house.alices("all")).scopes_asked;
    let expected = "compute.read eduperson offline_access openid storage.read:/ wlcg";
    assert_eq!(asked.to_string(), expected);
    // An issuer that does not answer leaves nothing half-done.
    house.issuers.offer_errors.lock().unwrap().push_back(unreachable());
    assert_eq!(kind(house.make("more", all, &[]).await), Kind::IssuerUnreachable);
    assert_eq!(house.vault.accounts.lock().unwrap().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn r18_what_the_issuer_left_out_is_said() {
    let house = House::new();
    *house.issuers.left_out.lock().unwrap() = ScopeSet::parse(["storage.read:/"]).unwrap();
    let reply = house.make("", AddOptions::default(), &[]).await.unwrap();
    assert_eq!(reply.remarks.len(), 1);
    shows_beside("the issuer registers a client for less", &reply.remarks[0]);
    // Later ones meet the same client: nothing is registered, and it is said all the same.
    let reply = house.make("second", AddOptions::default(), &[]).await.unwrap();
    let when = "account add, and the site's client was registered for less";
    shows_beside(when, &reply.remarks[0]);
    assert_eq!(house.issuers.registrations.load(SeqCst), 1);
}

#[tokio::test(start_paused = true)]
async fn r24_an_account_gets_a_client_of_its_own_where_it_wants_one_or_needs_more() {
    let house = House::new();
    let named = AddOptions { client_name: Some("my laptop".into()), ..own_client() };
    house.make("mine", named, &[]).await.unwrap();
    let client = house.client(&own("mine"), WLCG).unwrap();
    assert_eq!(client.client_name.as_deref(), Some("my laptop"));
    assert_eq!(house.vault.record(&house.alices("mine")).client_owner, own("mine"));
    let shown = house.service.show(&house.caller(ALICE), "mine").await.unwrap();
    assert_eq!((shown.client.as_deref(), shown.client_name), (Some("own"), client.client_name));
    assert_eq!(shown.grant_types, Some(vec!["refresh_token".to_owned()]));
    // At cms each user has one; an account that needs more than that has its own.
    house.make("cms", AddOptions::default(), &[]).await.unwrap();
    assert_eq!(house.vault.record(&house.alices("cms")).client_owner, ClientOwner::User(ALICE));
    let more =
        AddOptions { issuer: Some("cms".into()), scopes: scopes("extra"), ..AddOptions::default() };
    house.make("more", more, &[]).await.unwrap();
    assert_eq!(
        house.client(&own("more"), CMS).unwrap().scopes.to_string(),
        "extra offline_access openid"
    );
}

#[tokio::test(start_paused = true)]
async fn r23_an_initial_access_token_is_used_for_one_registration_and_not_kept() {
    let house = House::new();
    house
        .make("mine", AddOptions::default(), &[(secret::INITIAL_ACCESS_TOKEN, "canary-initial")])
        .await
        .unwrap();
    let tokens = house.issuers.initial_access_tokens.lock().unwrap().clone();
    assert_eq!(tokens, [Some("canary-initial".to_owned())]);
    let client = house.client(&own("mine"), WLCG).unwrap();
    let record = house.vault.record(&house.alices("mine"));
    let kept = serde_json::to_string(&(client, record)).unwrap();
    assert!(!kept.contains("canary-initial"));
}

#[tokio::test(start_paused = true)]
async fn a_given_client_is_kept_with_its_secret_and_used() {
    let house = House::new();
    house.make("mine", given("my-id"), &[(secret::CLIENT_SECRET, "my-secret")]).await.unwrap();
    let owner = ClientOwner::Given(ALICE, "mine".parse().unwrap());
    let client = house.client(&owner, WLCG).unwrap();
    assert_eq!(client.client_secret.unwrap().expose_secret(), "my-secret");
    assert_eq!(house.issuers.registrations.load(SeqCst), 0);
    house.sign_in("mine", sign_in_of("alice-sub")).await;
    assert_eq!(*house.issuers.used_clients.lock().unwrap(), ["my-id"]);
    assert_eq!(house.vault.record(&house.alices("mine")).client_owner, owner);
    // An issuer that does not know it gets no other one in its place.
    let rejected = IssuerError::ClientRejected { text: "unknown".into() };
    house.issuers.device_script.lock().unwrap().push_back(Err(rejected));
    assert_eq!(house.login("mine").await.unwrap().error.as_deref(), Some("GivenClientRefused"));
    assert_eq!(house.issuers.registrations.load(SeqCst), 0);
}

#[tokio::test(start_paused = true)]
async fn arguments_that_do_not_go_together_are_refused_and_leave_nothing() {
    let house = House::new();
    let auth = |auth: &str| AddOptions { client_auth: Some(auth.into()), ..given("id") };
    let key = [(secret::CLIENT_SECRET, "s")];
    let initial = [(secret::INITIAL_ACCESS_TOKEN, "s")];
    let refresh = [(secret::REFRESH_TOKEN, "s")];
    let public = AddOptions { public_client: Some(true), ..AddOptions::default() };
    let name = |name: &str| AddOptions { client_name: Some(name.into()), ..AddOptions::default() };
    type Case<'a> = (AddOptions, &'a [(&'a str, &'a str)]);
    let cases: [Case<'_>; 12] = [
        (auth("none"), &key),
        (auth("client_secret_basic"), &[]),
        (auth("private_key_jwt"), &key),
        (given(""), &[]),
        (given("a\u{1b}[31m"), &[]),
        (given("id"), &initial),
        (AddOptions { own_client: Some(true), ..given("id") }, &[]),
        (AddOptions::default(), &key),
        (AddOptions::default(), &refresh),
        (public, &[]),
        (name("x"), &[]),
        (name("tab\tname"), &[]),
    ];
    for (at, (options, handed)) in cases.into_iter().enumerate() {
        let result = house.make("a", options, handed).await;
        assert_eq!(kind(result), Kind::InvalidArgument, "{at}");
    }
    assert_eq!(
        kind(house.make("a", AddOptions::default(), &[(secret::PASSPHRASE, "x")]).await),
        Kind::InvalidArgument
    );
    assert!(house.is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_site_can_forbid_clients_of_the_users() {
    let house = House::and("[users]\nown_clients = false\n");
    for options in [own_client(), given("id")] {
        assert_eq!(kind(house.make("a", options, &[]).await), Kind::DeniedByPolicy);
    }
    assert_eq!(house.audit.of(audit::Kind::Denial).len(), 2);
    house.make("a", AddOptions::default(), &[]).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn the_public_client_is_the_one_of_the_issuers_file() {
    let house = House::new();
    let file = house.dir.path().join("shipped/pub.toml");
    let text = "name = \"pub\"\nurl = \"https://pub.test/\"\nscopes = [\"openid\"]\n\n[public_client]\nid = \"public-id\"\n";
    std::fs::write(file, text).unwrap();
    house.service.reload(By::ITSELF).unwrap();
    let public = AddOptions { public_client: Some(true), ..AddOptions::default() };
    house.make("pub", public, &[]).await.unwrap();
    let record = house.vault.record(&house.alices("pub"));
    assert_eq!(
        (record.client_owner, record.client_id.as_deref()),
        (ClientOwner::Public, Some("public-id"))
    );
    house.sign_in("pub", sign_in_of("alice-sub")).await;
    assert_eq!(*house.issuers.used_clients.lock().unwrap(), ["public-id"]);
    house.refresh_says(Ok(tokens("at-2", None, 60)));
    let force = TokenOptions { force_new: Some(true), ..TokenOptions::default() };
    let token = house.service.token(&house.caller(ALICE), "pub", force).await.unwrap();
    assert_eq!(token.token, "at-2");
    let issuers = house.service.issuers(&house.caller(ALICE)).await.unwrap();
    let public: Vec<_> =
        issuers.iter().filter(|issuer| issuer.public_client == Some(true)).collect();
    assert_eq!((public.len(), public[0].name.as_str()), (1, "pub"));
}

#[tokio::test(start_paused = true)]
async fn what_cannot_be_kept_is_not_made_and_its_client_is_given_back() {
    let house = House::new();
    house.vault.saves_fail.store(true, SeqCst);
    assert_eq!(kind(house.make("mine", own_client(), &[]).await), Kind::StoreUnavailable);
    assert_eq!(*house.issuers.deregistered.lock().unwrap(), ["client-1"]);
    assert!(house.is_empty());
    house.vault.saves_fail.store(false, SeqCst);
    house.issuers.register_errors.lock().unwrap().push_back(unreachable());
    assert_eq!(kind(house.make("mine", own_client(), &[]).await), Kind::IssuerUnreachable);
    assert!(house.is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_client_that_a_kill_left_behind_is_deleted_before_the_name_is_used_again() {
    let house = House::new();
    let left = client(own("mine"), &profile().url, 77);
    house.vault.clients.lock().unwrap().insert((own("mine"), WLCG.into()), (left, 1));
    house.make("mine", own_client(), &[]).await.unwrap();
    assert_eq!(*house.issuers.deregistered.lock().unwrap(), ["client-77"]);
    assert_eq!(house.client(&own("mine"), WLCG).unwrap().client_id, "client-1");
}

#[tokio::test(start_paused = true)]
async fn a_further_account_is_not_the_default_one_unless_it_is_asked_to_be() {
    let house = House::new();
    house.signed_in_with_token();
    house.log_in(ALICE).await;
    // By its name it would come first.
    house.make("aaa", AddOptions::default(), &[]).await.unwrap();
    let shown = house.service.show(&house.caller(ALICE), "").await.unwrap();
    assert_eq!(shown.name, "wlcg");
    assert_eq!(house.alices_file().as_deref(), Some("at0"));
    let first = AddOptions { make_default: Some(true), ..AddOptions::default() };
    house.make("zzz", first, &[]).await.unwrap();
    assert_eq!(house.service.show(&house.caller(ALICE), "").await.unwrap().name, "zzz");
    // It has no token yet, and the plain name is not another account's.
    assert_eq!(house.alices_file(), None);
    assert_eq!(house.file(ALICE, "bt_u1001-wlcg").as_deref(), Some("at0"));
}
