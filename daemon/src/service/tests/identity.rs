//! Where the site requires a claim: the right person, the wrong one, a claim that is missing, one
//! that changes later, and a rule that comes or changes after the sign-in.

use iamd_protocol::bus::{AddOptions, EditOptions, RevokeOptions, secret as handed_secret};

use super::*;
use crate::{
    account::{ClaimValues, Proof, Subject, ports::Identity},
    audit,
};

const RULE: &str = "[identity]\nclaim = \"preferred_username\"\nmust_equal = \"{user}\"\n";

/// A house whose site requires the claim at `wlcg`.
fn strict() -> House {
    let house = House::new();
    require(&house, RULE);
    house
}

/// From now on the site requires this.
fn require(house: &House, rule: &str) {
    let wlcg = "name = \"wlcg\"\ntitle = \"WLCG\"\nurl = \"https://issuer.test/\"\n\
                scopes = [\"openid\", \"offline_access\", \"storage.read:/\"]\n";
    let path = house.dir.path().join("issuers.d/wlcg.toml");
    std::fs::write(path, format!("{wlcg}{rule}")).unwrap();
    house.service.reload(By::ITSELF).unwrap();
}

/// Tokens of a person whose claim has these values.
fn named(sub: &str, values: &[&str]) -> Tokens {
    with_claim("preferred_username", sub, values)
}

fn with_claim(claim: &str, sub: &str, values: &[&str]) -> Tokens {
    let proof = Some(said(claim, values));
    let identity = Some(Identity { sub: sub.into(), name: None, proof, verified: true });
    Tokens { identity, ..tokens("at-new", Some("rt-new"), 3600) }
}

fn said(claim: &str, values: &[&str]) -> Proof {
    Proof { claim: claim.into(), values: ClaimValues::new(values.iter().copied()) }
}

fn denials(house: &House) -> Vec<Recorded> {
    house.audit.of(audit::Kind::Denial)
}

#[tokio::test(start_paused = true)]
async fn the_right_person_signs_in() {
    let house = strict();
    house.log_in(ALICE).await;
    let ended = house.sign_in("", named("alice-sub", &["alice"])).await;
    assert_eq!(ended.state, "done");
    assert_eq!(house.alices_file().as_deref(), Some("at-new"));
    let subject = house.vault.record(&house.alices("wlcg")).subject.unwrap();
    assert_eq!(subject.proof.unwrap().values, ClaimValues::new(["alice"]));
    assert!(denials(&house).is_empty());
}

#[tokio::test(start_paused = true)]
async fn the_wrong_person_a_missing_claim_and_an_unknown_one_get_nothing_and_tell_nothing() {
    let nobody = tokens("at-new", Some("rt-new"), 3600);
    let unasked = sign_in_of("mallory");
    for (tokens, why) in [
        (named("mallory-sub", &["mallory"]), "somebody else"),
        (named("mallory-sub", &["alice2", "malice"]), "somebody else"),
        (named("mallory-sub", &[]), "did not say it"),
        (unasked, "did not say it"),
        (nobody, "did not say it"),
    ] {
        let house = strict();
        house.log_in(ALICE).await;
        let who = tokens.identity.clone();
        let ended = house.sign_in("", tokens).await;
        assert_eq!(ended.error.as_deref(), Some("IdentityMismatch"));
        let message = ended.message.unwrap();
        let when = match why {
            "somebody else" => "somebody else signs in where the site requires a claim",
            _ => "the issuer does not say the claim that the site requires",
        };
        shows("Logins", when, ServiceError::new(Kind::IdentityMismatch, message.clone()));
        assert!(message.contains(why) && message.contains("nothing was kept"), "{message}");
        assert!(message.contains("preferred_username is alice"), "{message}");
        assert!(house.vault.accounts.lock().unwrap().is_empty());
        assert!(house.vault.journal.lock().unwrap().is_empty());
        assert_eq!(house.alices_file(), None);
        assert_eq!(house.revoked(), ["rt-new"]);
        assert_eq!(house.revoked_access().len(), 1, "it would outlive the refresh token");
        let denied = denials(&house);
        assert_eq!(denied.len(), 1);
        assert_eq!((denied[0].uid, denied[0].result.as_str()), (ALICE, "IdentityMismatch"));
        if let Some(who) = who {
            let name = people().name_of("https://issuer.test/", &who.sub);
            assert!(denied[0].detail.ends_with(&name), "{}", denied[0].detail);
        }
        let all = format!("{:?}{message}", house.audit.0.lock().unwrap());
        assert!(!all.contains("mallory") && !all.contains("malice"), "{all}");
    }
}

/// Tokens of a person for whom the issuer's keys do not vouch: they could not be had.
fn unverified(sub: &str) -> Tokens {
    let identity = Some(Identity { sub: sub.into(), ..Identity::default() });
    Tokens { identity, ..tokens("at-new", Some("rt-new"), 3600) }
}

#[tokio::test(start_paused = true)]
async fn without_the_keys_a_sign_in_is_kept_and_bound_to_nobody_and_said_so() {
    let house = House::new();
    house.log_in(ALICE).await;
    let ended = house.sign_in("", unverified("alice-sub")).await;
    assert_eq!((ended.state.as_str(), ended.subject.as_deref()), ("done", None));
    let remark = "who signed in could not be checked: the keys of WLCG cannot be had now";
    assert!(ended.remarks.iter().any(|said| said == remark), "{ended:?}");
    shows_beside("a sign-in while the keys of the issuer cannot be had", remark);
    let recorded = || house.audit.of(crate::audit::Kind::SignIn).pop().unwrap().detail;
    assert_eq!(recorded(), remark, "whoever reads the records is told too");
    let key = house.alices("wlcg");
    assert!(house.vault.record(&key).subject.is_none());
    assert_eq!(house.alices_file().as_deref(), Some("at-new"));
    // The next one that is vouched for binds it; then somebody else is told from them, and the same
    // person loses nothing while the keys are away again.
    house.later(130).await;
    house.sign_in("", sign_in_of("alice-sub")).await;
    assert_eq!(house.vault.record(&key).subject.unwrap().sub, "alice-sub");
    assert_eq!(recorded(), "");
    house.later(130).await;
    let ended = house.sign_in("", unverified("mallory-sub")).await;
    assert_eq!(ended.error.as_deref(), Some("IdentityMismatch"));
    assert_eq!(house.revoked().last().map(String::as_str), Some("rt-new"));
    house.later(130).await;
    let ended = house.sign_in("", unverified("alice-sub")).await;
    assert_eq!(ended.state, "done");
    let subject = house.vault.record(&key).subject.unwrap();
    assert_eq!(subject.name.as_deref(), Some("alice-sub-name"), "as it was");
}

#[tokio::test(start_paused = true)]
async fn a_rule_takes_nothing_from_a_token_that_nobody_vouches_for_and_ends_nothing_for_it() {
    let house = House::new();
    house.log_in(ALICE).await;
    house.sign_in("", sign_in_of("alice-sub")).await;
    require(&house, RULE);
    let key = house.alices("wlcg");
    let says = |identity: Identity| {
        let rotated = tokens("at-2", Some("rt-2"), 3600);
        let reply = Tokens { identity: Some(identity), ..rotated };
        house.issuers.refresh_script.lock().unwrap().push_back(Ok(reply));
    };
    let proof = Some(said("preferred_username", &["alice"]));
    says(Identity { sub: "alice-sub".into(), proof: proof.clone(), ..Identity::default() });
    let force = || TokenOptions { force_new: Some(true), ..TokenOptions::default() };
    let error = house.token(force()).await.unwrap_err();
    assert_eq!(error.kind, Kind::IssuerUnreachable, "{error}");
    shows("Tokens", "the site requires a claim, and the keys cannot be had at a renewal", error);
    let record = house.vault.record(&key);
    assert_eq!(secret(&record), Some("rt-2"), "the refresh token is kept");
    assert!(record.subject.unwrap().proof.is_none() && !record.state.wants_login());
    says(Identity { sub: "alice-sub".into(), proof, verified: true, name: None });
    house.token(force()).await.unwrap();
    assert!(house.vault.record(&key).subject.unwrap().proof.is_some());
}

#[tokio::test(start_paused = true)]
async fn who_was_refused_leaves_the_account_that_is_there_as_it_was() {
    let house = strict();
    house.log_in(ALICE).await;
    house.sign_in("", named("alice-sub", &["alice"])).await;
    let before = house.vault.record(&house.alices("wlcg"));
    house.later(130).await;
    // The same person, renamed there.
    let mut renamed = named("alice-sub", &["bob"]);
    renamed.refresh_token = Some("rt-other".to_owned().into());
    let ended = house.sign_in("", renamed).await;
    assert_eq!(ended.error.as_deref(), Some("IdentityMismatch"));
    let after = house.vault.record(&house.alices("wlcg"));
    assert_eq!((after.generation, secret(&after)), (before.generation, Some("rt-new")));
    assert_eq!(house.revoked(), ["rt-other"]);
}

#[tokio::test(start_paused = true)]
async fn a_claim_that_changes_later_ends_the_sign_in_at_the_next_refresh() {
    for changed in
        [named("alice-sub", &["bob"]), named("alice-sub", &[]), named("bob-sub", &["alice"])]
    {
        let house = strict();
        house.log_in(ALICE).await;
        house.sign_in("", named("alice-sub", &["alice"])).await;
        let mut changed = changed;
        changed.refresh_token = Some("rt-later".to_owned().into());
        house.refresh_says(Ok(changed));
        let force = || TokenOptions { force_new: Some(true), ..TokenOptions::default() };
        assert_eq!(kind(house.token(force()).await), Kind::IdentityMismatch);
        assert_eq!(house.revoked(), ["rt-later"]);
        let record = house.vault.record(&house.alices("wlcg"));
        assert!(record.state.wants_login());
        assert!(record.refresh_token.is_none() && record.access_token.is_none());
        house.settle().await;
        assert_eq!(house.alices_file(), None, "nor the token that was there");
        assert_eq!(kind(house.token(TokenOptions::default()).await), Kind::LoginRequired);
        assert!(denials(&house).iter().all(|denied| denied.result == "IdentityMismatch"));
        assert!(!format!("{:?}", house.audit.0.lock().unwrap()).contains("bob"));
        // The right person can sign in again.
        house.later(130).await;
        assert_eq!(house.sign_in("", named("alice-sub", &["alice"])).await.state, "done");
    }
}

#[tokio::test(start_paused = true)]
async fn a_refresh_that_says_nothing_or_the_same_goes_on() {
    let house = strict();
    house.sign_in("", named("alice-sub", &["alice"])).await;
    let force = || TokenOptions { force_new: Some(true), ..TokenOptions::default() };
    for answer in [tokens("at1", None, 3600), named("alice-sub", &["carol", "alice"])] {
        house.refresh_says(Ok(answer));
        house.token(force()).await.unwrap();
    }
    let subject = house.vault.record(&house.alices("wlcg")).subject.unwrap();
    assert_eq!(subject.proof.unwrap().values, ClaimValues::new(["carol", "alice"]));
    assert!(denials(&house).is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_rule_that_comes_later_is_asked_of_those_who_are_signed_in() {
    let force = || TokenOptions { force_new: Some(true), ..TokenOptions::default() };
    let signed_in = || async {
        let house = House::new();
        house.sign_in("", sign_in_of("alice-sub")).await;
        require(&house, RULE);
        house
    };
    // The issuer says at a refresh who it is.
    let house = signed_in().await;
    house.refresh_says(Ok(named("alice-sub", &["alice"])));
    house.token(force()).await.unwrap();
    // It does not: then they sign in again.
    let house = signed_in().await;
    house.refresh_says(Ok(tokens("at1", None, 3600)));
    let error = house.token(force()).await.unwrap_err();
    assert_eq!(error.kind, Kind::IdentityMismatch);
    assert!(error.message.contains("sign in again"), "{}", error.message);
    shows("Tokens", "the site requires a claim since after the sign-in", error);
    assert_eq!(house.revoked(), ["rt-new"]);
}

#[tokio::test(start_paused = true)]
async fn a_map_that_changes_is_judged_on_what_was_said_at_the_sign_in() {
    let house = House::new();
    let map = house.dir.path().join("map");
    let write = |text: &str| std::fs::write(&map, text).unwrap();
    write("4711 -> alice\n");
    let rule = format!("[identity]\nclaim = \"sub\"\nmap_file = \"{}\"\n", map.display());
    require(&house, &rule);
    house.sign_in("", with_claim("sub", "4711", &["4711"])).await;
    let force = || TokenOptions { force_new: Some(true), ..TokenOptions::default() };
    house.token(force()).await.unwrap();
    write("4711 -> bob\n");
    require(&house, &rule);
    let error = house.token(force()).await.unwrap_err();
    assert_eq!(error.kind, Kind::IdentityMismatch);
    assert!(!error.message.contains("bob") && !error.message.contains("4711"));
    shows("Tokens", "the site's map has somebody else for the one who signed in", error);
}

#[tokio::test(start_paused = true)]
async fn a_refresh_token_that_is_handed_in_is_asked_whose_it_is() {
    let site = "[issuers]\ndefault = \"wlcg\"\n";
    let add = |house: &House| {
        let options = AddOptions { client_id: Some("mine".into()), ..AddOptions::default() };
        let mut handed = Handed::default();
        handed.add(handed_secret::REFRESH_TOKEN, "rt-handed".to_owned().into());
        let (service, caller) = (house.service.clone(), house.caller(ALICE));
        async move { service.add(&caller, "mine", options, handed).await }
    };
    let strict = || {
        let house = House::with(site);
        require(&house, RULE);
        house
    };
    let house = strict();
    house.refresh_says(Ok(named("alice-sub", &["alice"])));
    assert!(!add(&house).await.unwrap_or_else(|e| panic!("{e:?}")).login_needed);
    for answer in [named("mallory-sub", &["mallory"]), tokens("at", Some("rt-new"), 3600)] {
        let house = strict();
        house.refresh_says(Ok(answer));
        assert_eq!(kind(add(&house).await), Kind::IdentityMismatch);
        assert_eq!(house.revoked(), ["rt-new"], "what was issued, not what the user may hold");
        assert_eq!(house.revoked_access().len(), 1);
        assert!(house.vault.accounts.lock().unwrap().is_empty());
    }
    // Rotated, and no answer that tells whose: it is not kept on trust.
    let house = strict();
    let rotated = Some(Rotated { token: "rt-new".to_owned().into(), expires_at: None });
    let failure = RefreshFailure { error: unreachable().into(), rotated };
    house.issuers.refresh_script.lock().unwrap().push_back(Err(failure));
    assert_eq!(kind(add(&house).await), Kind::IssuerUnreachable);
    assert_eq!(house.revoked(), ["rt-new"]);
    assert!(house.vault.accounts.lock().unwrap().is_empty());
}

#[tokio::test(start_paused = true)]
async fn the_scopes_that_it_takes_are_asked_for_and_it_is_said() {
    let house = strict();
    let asked = |house: &House| house.issuers.asked_scopes.lock().unwrap().last().unwrap().clone();
    let ended = house.sign_in("", named("alice-sub", &["alice"])).await;
    assert!(asked(&house).contains("profile"));
    assert!(!ended.remarks.iter().any(|remark| remark.contains("asked for too")));
    house.later(130).await;
    let scopes = Some(vec!["storage.read:/".to_owned()]);
    let options = LoginOptions { scopes, ..LoginOptions::default() };
    house.approve(named("alice-sub", &["alice"]));
    house.service.login(&house.caller(ALICE), "", options).await.unwrap();
    let ended = house.end_of_login("").await;
    let told = "this site checks who signs in, so this is asked for too: profile";
    assert!(ended.remarks.iter().any(|remark| remark == told), "{:?}", ended.remarks);
    shows_beside("a login with scopes that do not tell what the site requires", told);
    let options =
        EditOptions { remove_scopes: Some(vec!["profile".into()]), ..EditOptions::default() };
    let edited = house.service.edit(&house.caller(ALICE), "", options).await.unwrap();
    let when = "account edit takes a scope away that tells what the site requires";
    shows_beside(when, &edited.remarks[0]);
    let record = house.vault.record(&house.alices("wlcg"));
    assert!(record.scopes_asked.contains("profile"));
    let issuers = house.service.issuers(&house.caller(ALICE)).await.unwrap();
    let of = |name: &str| issuers.iter().find(|i| i.name == name).unwrap().identity.clone();
    assert_eq!(of("wlcg").as_deref(), Some("preferred_username is {user}"));
    assert_eq!(of("cms"), None);
}

#[test]
fn what_is_kept_of_a_person_does_not_print() {
    let values = ClaimValues::new(["canary"]);
    let proof = Some(Proof { claim: "c".into(), values });
    let subject = Subject { sub: "s".into(), name: None, proof };
    assert!(!format!("{subject:?}").contains("canary"));
    let kept = serde_json::to_string(&subject).unwrap();
    assert_eq!(serde_json::from_str::<Subject>(&kept).unwrap(), subject);
    // One from before there were rules.
    let old: Subject = serde_json::from_str("{\"sub\":\"s\",\"name\":null}").unwrap();
    assert_eq!(old.proof, None);
}

#[tokio::test(start_paused = true)]
async fn an_expression_is_told_with_the_users_name_in_it() {
    let house = House::new();
    require(&house, "[identity]\nclaim = \"eppn\"\nmust_match = \"{user}@[a-z.]+\"\n");
    let ended =
        house.sign_in("", with_claim("eppn", "mallory-sub", &["mallory@example.org"])).await;
    let message = ended.message.unwrap();
    let error = ServiceError::new(Kind::IdentityMismatch, message);
    shows("Logins", "somebody signs in whose claim does not match", error);
}

#[tokio::test(start_paused = true)]
async fn no_spelling_of_its_url_takes_an_issuer_out_of_the_rule() {
    for url in ["https://ISSUER.test", "https://issuer.test:443/", "https://issuer.test//"] {
        let house = House::with("[issuers]\ndefault = \"wlcg\"\ncustom = true\n");
        require(&house, RULE);
        let ended = house.sign_in(url, named("mallory-sub", &["mallory"])).await;
        assert_eq!(ended.error.as_deref(), Some("IdentityMismatch"), "{url}: {ended:?}");
        assert!(house.vault.accounts.lock().unwrap().is_empty(), "{url}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_rule_that_came_while_a_login_ran_holds_for_it() {
    let house = House::with("[issuers]\ndefault = \"wlcg\"\n");
    house.login("").await.unwrap();
    require(&house, RULE);
    house.approve(named("mallory-sub", &["mallory"]));
    assert_eq!(house.end_of_login("").await.error.as_deref(), Some("IdentityMismatch"));
    assert!(house.vault.accounts.lock().unwrap().is_empty());
}

#[tokio::test(start_paused = true)]
async fn r25_a_handed_token_that_the_store_did_not_take_has_its_proof_and_is_seen_by_a_revocation()
{
    let house = House::with("[issuers]\ndefault = \"wlcg\"\n");
    require(&house, RULE);
    house.refresh_says(Ok(named("alice-sub", &["alice"])));
    *house.issuers.latency.lock().unwrap() = 5 * S;
    let options = AddOptions { client_id: Some("mine".into()), ..AddOptions::default() };
    let mut handed = Handed::default();
    handed.add(handed_secret::REFRESH_TOKEN, "rt-handed".to_owned().into());
    let caller = house.caller(ALICE);
    let breaks = async {
        house.clock.sleep(S).await;
        house.vault.saves_fail.store(true, SeqCst);
    };
    let (made, ()) = tokio::join!(house.service.add(&caller, "mine", options, handed), breaks);
    assert_eq!(kind(made), Kind::StoreUnavailable);
    *house.issuers.latency.lock().unwrap() = Duration::ZERO;
    house.vault.saves_fail.store(false, SeqCst);
    let all =
        RevokeOptions { user: Some("alice".into()), dry_run: Some(true), ..Default::default() };
    let reply = house.service.revoke_sign_ins(By::ITSELF, all).await.unwrap();
    assert_eq!(reply.sign_ins.len(), 1, "{reply:?}");
    house.later(10).await;
    // The next refresh says nothing of who it is: it was said.
    house.refresh_says(Ok(tokens("at2", Some("rt2"), 3600)));
    let force = TokenOptions { force_new: Some(true), ..TokenOptions::default() };
    let token = house.service.token(&caller, "mine", force).await.unwrap();
    assert_eq!((token.token.as_str(), house.revoked()), ("at2", vec![]));
}

#[tokio::test(start_paused = true)]
async fn what_was_said_of_another_claim_proves_nothing_where_the_rule_changed_meanwhile() {
    // Mallory may call himself alice there.
    let nickname = "[identity]\nclaim = \"nickname\"\nmust_equal = \"{user}\"\n";
    let brought = || with_claim("nickname", "mallory-sub", &["alice"]);
    let house = House::with("[issuers]\ndefault = \"wlcg\"\n");
    require(&house, nickname);
    house.login("").await.unwrap();
    require(&house, RULE);
    house.approve(brought());
    let ended = house.end_of_login("").await;
    assert_eq!(ended.error.as_deref(), Some("IdentityMismatch"), "{ended:?}");
    let error = ServiceError::new(Kind::IdentityMismatch, ended.message.unwrap());
    shows("Logins", "the site requires another claim since the sign-in began", error);
    assert!(house.vault.accounts.lock().unwrap().is_empty());
    assert_eq!((house.revoked(), denials(&house).len()), (vec!["rt-new".to_owned()], 1));

    // Of a refresh token that is handed in too.
    let house = House::with("[issuers]\ndefault = \"wlcg\"\n");
    require(&house, nickname);
    house.refresh_says(Ok(brought()));
    *house.issuers.latency.lock().unwrap() = 5 * S;
    let options = AddOptions { client_id: Some("mine".into()), ..AddOptions::default() };
    let mut handed = Handed::default();
    handed.add(handed_secret::REFRESH_TOKEN, "rt-handed".to_owned().into());
    let caller = house.caller(ALICE);
    let changes = async {
        house.clock.sleep(S).await;
        require(&house, RULE);
    };
    let (made, ()) = tokio::join!(house.service.add(&caller, "mine", options, handed), changes);
    assert_eq!(kind(made), Kind::IdentityMismatch);
    assert!(house.vault.accounts.lock().unwrap().is_empty());
}
