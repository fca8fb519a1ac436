//! Which clients users may sign in with by password: the site's lock and the issuer's.

use iamd_protocol::bus::{PasswordFlowOptions, PasswordFlowReply};

use super::*;
use crate::{
    account::ports::{GrantChange, GrantFailure},
    audit::{self},
};

const WLCG: &str = "https://issuer.test/";

pub(super) fn of(client: &str) -> PasswordFlowOptions {
    PasswordFlowOptions {
        issuer: Some("wlcg".into()),
        client: Some(client.into()),
        ..PasswordFlowOptions::default()
    }
}

fn at_issuer(client: &str) -> PasswordFlowOptions {
    PasswordFlowOptions { at_issuer: Some(true), ..of(client) }
}

impl House {
    pub(super) async fn enable(
        &self,
        options: PasswordFlowOptions,
    ) -> Result<PasswordFlowReply, ServiceError> {
        self.service.enable_password_flow(&self.caller(ALICE), options).await
    }

    async fn disable(
        &self,
        options: PasswordFlowOptions,
    ) -> Result<PasswordFlowReply, ServiceError> {
        self.service.disable_password_flow(&self.caller(ALICE), options).await
    }

    /// alice administers the issuer.
    fn administers(&self) -> AccountKey {
        let key = self.add(ALICE, "alice", "iam-admin", WLCG);
        let scopes = ["openid", "iam:admin.read", "iam:admin.write", "storage.read:/"];
        self.change(&key, |record| record.scopes = ScopeSet::parse(scopes).unwrap());
        key
    }

    fn grant_changes(&self) -> Vec<(String, String, bool)> {
        self.issuers.grant_changes.lock().unwrap().clone()
    }
}

#[tokio::test]
async fn who_allowed_what_and_when_is_kept_and_recorded() {
    let house = House::new();
    house.signed_in();
    let reply = house.enable(of("client-1")).await.unwrap();
    assert!(reply.enabled && reply.at_issuer.is_none());
    assert_eq!((reply.issuer.as_str(), reply.client.as_str()), (WLCG, "client-1"));
    let sentence = "ask the administrator of https://issuer.test/ to allow grant type password for client client-1";
    assert!(reply.remarks.iter().any(|remark| remark.contains(sentence)), "{reply:?}");
    // Again: who was first stays.
    house.clock.pass(100);
    let caller = house.caller(BOB);
    house.service.enable_password_flow(&caller, of("client-1")).await.unwrap();
    let [flow] = &house.service.password_flows(By::ITSELF).await.unwrap()[..] else { panic!() };
    assert_eq!((flow.enabled_by, flow.enabled_by_user.as_str()), (ALICE, "alice"));
    assert_eq!((flow.enabled_at, flow.issuer_name.as_deref()), (1_000_000, Some("wlcg")));
    assert!(house.disable(of("client-1")).await.unwrap().remarks.is_empty());
    let again = house.disable(of("client-1")).await.unwrap();
    assert_eq!(again.remarks.len(), 1);
    shows_beside("admin password-flow disable where it is not enabled", &again.remarks[0]);
    assert!(house.service.password_flows(By::ITSELF).await.unwrap().is_empty());
    let recorded = house.audit.of(audit::Kind::Administration);
    let what: Vec<_> = recorded.iter().map(|r| (r.uid, r.detail.as_str())).collect();
    let on = "password-flow enable";
    let (off, list) = ("password-flow disable", "password-flow list");
    assert_eq!(what, [(ALICE, on), (BOB, on), (0, list), (ALICE, off), (ALICE, off), (0, list)]);
    // By the URL that every other record of the issuer has, whatever was typed.
    assert!(recorded.iter().all(|r| r.issuer == WLCG || r.detail == list), "{recorded:?}");
}

#[tokio::test]
async fn a_mistake_is_named_and_allows_nothing() {
    let house = House::new();
    let without = PasswordFlowOptions { client: None, ..of("c") };
    assert_eq!(kind(house.enable(without).await), Kind::InvalidArgument);
    let without = PasswordFlowOptions { issuer: None, ..of("c") };
    assert_eq!(kind(house.enable(without).await), Kind::InvalidArgument);
    let nowhere = PasswordFlowOptions { issuer: Some("nowhere".into()), ..of("c") };
    assert_eq!(kind(house.enable(nowhere).await), Kind::NoSuchIssuer);
    let recorded = house.audit.of(audit::Kind::Administration).pop().unwrap();
    assert_eq!(recorded.issuer, "nowhere");
    let custom = PasswordFlowOptions { issuer: Some("https://x.example/".into()), ..of("c") };
    assert_eq!(kind(house.enable(custom).await), Kind::IssuerNotAllowed);
    for bad in ["a\nb", "\u{1b}[2J", &"x".repeat(1025)] {
        assert_eq!(kind(house.enable(of(bad)).await), Kind::InvalidArgument);
    }
    assert!(house.vault.password_flows.lock().unwrap().is_empty());
    // One that nobody has may be one that comes, and it is said.
    let reply = house.enable(of("mistyped")).await.unwrap();
    let when = "admin password-flow enable of a client that nobody has";
    shows_beside(when, &reply.remarks[0]);
    shows_beside("the same, and the site allows no public ones", &reply.remarks[1]);
    house.vault.store_fails.store(true, SeqCst);
    assert_eq!(kind(house.enable(of("c")).await), Kind::StoreUnavailable);
}

#[tokio::test]
async fn r34_a_public_client_needs_the_sites_configuration() {
    for (lines, allowed) in [("", false), ("[policy]\npublic_password = true\n", true)] {
        let house = House::and(lines);
        house.signed_in();
        let owner = ClientOwner::Site;
        let key = (owner.clone(), WLCG.to_owned());
        house.vault.clients.lock().unwrap().get_mut(&key).unwrap().0.client_secret = None;
        let enabled = house.enable(of("client-1")).await;
        if allowed {
            enabled.unwrap();
        } else {
            let error = enabled.unwrap_err();
            assert_eq!(error.kind, Kind::DeniedByPolicy);
            assert!(error.message.contains("policy.public_password"), "{}", error.message);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn at_the_issuer_the_callers_own_account_is_used_with_a_token_for_that_alone() {
    let house = House::new();
    house.signed_in();
    house.administers();
    let reply = house.enable(at_issuer("client-1")).await.unwrap();
    assert_eq!((reply.enabled, reply.at_issuer), (true, Some(true)));
    assert!(reply.remarks.is_empty(), "{reply:?}");
    assert_eq!(house.grant_changes(), [("at1".into(), "client-1".into(), true)]);
    let wanted = house.issuers.wanted.lock().unwrap()[0].scopes.clone();
    assert_eq!(wanted, Some(ScopeSet::parse(["iam:admin.read", "iam:admin.write"]).unwrap()));
    assert_eq!(*house.issuers.presented.lock().unwrap(), ["rt-of-1001"]);
    let reply = house.disable(at_issuer("client-1")).await.unwrap();
    assert_eq!((reply.enabled, reply.at_issuer), (false, Some(false)));
    assert_eq!(house.grant_changes()[1], ("at1".into(), "client-1".into(), false));
    house.issuers.grant_script.lock().unwrap().push_back(Ok(GrantChange::AlreadySo));
    let reply = house.enable(at_issuer("client-1")).await.unwrap();
    assert_eq!(reply.remarks.len(), 1);
    let when = "admin password-flow enable --at-issuer where the issuer has it already";
    shows_beside(when, &reply.remarks[0]);
    let recorded = house.audit.of(audit::Kind::Registration);
    let results: Vec<_> = recorded.iter().map(|r| r.result.as_str()).collect();
    assert_eq!(results, ["changed", "changed", "unchanged"]);
}

#[tokio::test(start_paused = true)]
async fn where_the_issuer_says_no_nothing_is_enabled_here_and_disabled_all_the_same() {
    let house = House::new();
    house.signed_in();
    // Nobody administers the issuer yet: how to is said.
    let error = house.enable(at_issuer("client-1")).await.unwrap_err();
    assert_eq!(error.kind, Kind::LoginRequired);
    assert!(error.message.contains("iamctl account add iam-admin --issuer wlcg"), "{error}");
    assert!(house.vault.password_flows.lock().unwrap().is_empty());
    house.administers();
    let named =
        |name: &str| PasswordFlowOptions { account: Some(name.into()), ..at_issuer("client-1") };
    assert_eq!(kind(house.enable(named("wlcg")).await), Kind::LoginRequired);
    let no = || GrantFailure::PutBack("put back".into());
    let says = |error| house.issuers.grant_script.lock().unwrap().push_back(Err(error));
    says(no());
    assert_eq!(kind(house.enable(named("iam-admin")).await), Kind::IssuerRefused);
    assert!(house.vault.password_flows.lock().unwrap().is_empty(), "both or none");
    let recorded = house.audit.of(audit::Kind::Registration);
    let last = recorded.last().unwrap();
    assert_eq!((last.result.as_str(), last.detail.as_str()), ("put-back", "put back"));
    let text = "Left there is: scope".to_owned();
    says(GrantFailure::NotPutBack(text.clone()));
    house.enable(named("iam-admin")).await.unwrap_err();
    let recorded = house.audit.of(audit::Kind::Registration);
    let last = recorded.last().unwrap();
    assert_eq!((last.result.as_str(), last.detail.as_str()), ("not-put-back", text.as_str()));
    // What was enabled before stays so.
    house.enable(of("client-1")).await.unwrap();
    says(no());
    house.enable(at_issuer("client-1")).await.unwrap_err();
    assert_eq!(house.vault.password_flows.lock().unwrap().len(), 1);
    says(unreachable().into());
    let error = house.disable(at_issuer("client-1")).await.unwrap_err();
    assert!(error.message.starts_with("it is off at this site, but not at the issuer"), "{error}");
    assert!(house.vault.password_flows.lock().unwrap().is_empty());
}

#[tokio::test]
async fn an_issuer_that_cannot_be_changed_from_here_is_told_before_anything_else() {
    let house = House::new();
    house.signed_in();
    let text = "ask the administrator of it to allow grant type password for client client-1";
    let unsupported = IssuerError::Unsupported { text: text.into() };
    *house.issuers.no_client_interface.lock().unwrap() = Some(unsupported);
    // Nobody administers the issuer: that is not what it is about.
    for administers in [false, true] {
        if administers {
            house.administers();
        }
        let error = house.enable(at_issuer("client-1")).await.unwrap_err();
        assert!(error.message.contains(text), "{error}");
        assert_eq!(
            error.kind,
            ServiceError::from(IssuerError::Unsupported { text: text.into() }).kind
        );
        assert!(house.vault.password_flows.lock().unwrap().is_empty(), "the lock is not lifted");
        assert!(house.issuers.presented.lock().unwrap().is_empty(), "no token is asked for");
        let error = house.disable(at_issuer("client-1")).await.unwrap_err();
        assert!(error.message.starts_with("it is off at this site"), "{error}");
    }
    assert!(house.grant_changes().is_empty());
}

#[tokio::test]
async fn the_leave_of_an_issuer_that_is_listed_no_more_is_taken_away_by_its_url() {
    let house = House::new();
    house.signed_in();
    house.enable(of("client-1")).await.unwrap();
    let files =
        ["issuers.d/wlcg.toml", "shipped/wlcg.toml"].map(|file| house.dir.path().join(file));
    std::fs::write(house.dir.path().join("iamd.toml"), "").unwrap();
    // An empty file hides the shipped one.
    std::fs::write(&files[0], "").unwrap();
    house.service.reload(By::ITSELF).unwrap();
    assert_eq!(kind(house.disable(of("client-1")).await), Kind::NoSuchIssuer);
    let by_url = PasswordFlowOptions { issuer: Some(WLCG.into()), ..of("client-1") };
    let there = PasswordFlowOptions { at_issuer: Some(true), ..by_url.clone() };
    assert!(house.disable(by_url).await.unwrap().remarks.is_empty(), "it was enabled");
    assert!(house.vault.password_flows.lock().unwrap().is_empty());
    assert_eq!(kind(house.disable(there).await), Kind::IssuerNotAllowed);
}

#[tokio::test]
async fn r34_a_public_client_that_was_enabled_before_is_refused_when_it_is_used() {
    let house = House::and("[policy]\npublic_password = true\n");
    house.signed_in();
    let client = {
        let mut clients = house.vault.clients.lock().unwrap();
        let client = &mut clients.get_mut(&(ClientOwner::Site, WLCG.to_owned())).unwrap().0;
        client.client_secret = None;
        client.clone()
    };
    house.enable(of("client-1")).await.unwrap();
    let profile = house.service.config().issuers["wlcg"].clone();
    house.service.may_use_password(&profile, &client, "alice").await.unwrap();
    std::fs::write(house.dir.path().join("iamd.toml"), "[issuers]\ndefault = \"wlcg\"\n").unwrap();
    house.service.reload(By::ITSELF).unwrap();
    let refused = house.service.may_use_password(&profile, &client, "alice").await.unwrap_err();
    assert_eq!(refused.kind, Kind::DeniedByPolicy);
    assert!(refused.message.contains("policy.public_password"), "{refused}");
}

#[tokio::test]
async fn another_users_account_is_not_used_at_the_issuer() {
    let house = House::new();
    house.signed_in();
    house.administers();
    let bob = house.caller(BOB);
    let refused = house.service.enable_password_flow(&bob, at_issuer("client-1")).await;
    assert_eq!(kind(refused), Kind::LoginRequired);
    assert!(house.grant_changes().is_empty());
}

#[tokio::test(start_paused = true)]
async fn iamd_that_dies_while_the_issuer_is_asked_leaves_the_sites_lock_closed() {
    let house = House::new();
    house.signed_in();
    house.administers();
    *house.issuers.latency.lock().unwrap() = 10 * S;
    let (service, caller) = (house.service.clone(), house.caller(ALICE));
    let enable = async move { service.enable_password_flow(&caller, at_issuer("client-1")).await };
    let task = tokio::spawn(enable);
    house.clock.sleep(2 * S).await;
    task.abort();
    assert!(task.await.unwrap_err().is_cancelled());
    assert!(
        house.grant_changes().is_empty() && house.vault.password_flows.lock().unwrap().is_empty()
    );
}

#[tokio::test(start_paused = true)]
async fn where_the_store_says_no_the_issuers_lock_is_closed_again() {
    let house = House::new();
    house.signed_in();
    house.administers();
    house.vault.saves_fail.store(true, SeqCst);
    let script = &house.issuers.grant_script;
    assert_eq!(kind(house.enable(at_issuer("client-1")).await), Kind::StoreUnavailable);
    let changes = || house.grant_changes().into_iter().map(|(.., on)| on).collect::<Vec<_>>();
    assert_eq!(changes(), [true, false]);
    // What is left is named.
    let left = GrantFailure::NotPutBack("Left there is: grant_types".into());
    script.lock().unwrap().extend([Ok(GrantChange::Changed), Err(left)]);
    let error = house.enable(at_issuer("client-1")).await.unwrap_err();
    assert!(error.message.contains("Left there is: grant_types"), "{error}");
    // What it had before is not ours to take.
    script.lock().unwrap().push_back(Ok(GrantChange::AlreadySo));
    house.enable(at_issuer("client-1")).await.unwrap_err();
    assert_eq!(changes(), [true, false, true, false, true]);
    assert!(house.vault.password_flows.lock().unwrap().is_empty());
    let recorded = house.audit.of(audit::Kind::Administration);
    assert!(recorded.len() == 3 && recorded.iter().all(|r| r.result == "StoreUnavailable"));
}
