//! A refresh token that is handed over with a new account: used once, and what takes its place is
//! never lost.

use iamd_protocol::bus::secret;

use super::{
    add::{WLCG, given},
    *,
};
use crate::audit;

#[tokio::test(start_paused = true)]
async fn r25_a_refresh_token_that_is_handed_over_is_used_once_and_journalled_before_the_answer() {
    let house = House::new();
    let handed = [(secret::REFRESH_TOKEN, "rt-handed")];
    let reply = house.make("mine", given("id"), &handed).await.unwrap();
    assert!(!reply.login_needed);
    assert_eq!(*house.issuers.presented.lock().unwrap(), ["rt-handed"]);
    let record = house.vault.record(&house.alices("mine"));
    assert_eq!((secret_of(&record), record.state), ("rt1".into(), State::SignedIn));
    let steps = house.vault.steps.lock().unwrap().clone();
    let place = |step: &str| steps.iter().rposition(|known| known == step).unwrap();
    assert!(place("journal") < place("save") && place("save") < place("settle"), "{steps:?}");
    assert_eq!(house.token(TokenOptions::default()).await.unwrap().token, "at1");
    assert_eq!((house.refreshes(), house.revoked()), (1, vec![]));
    // One that the issuer does not replace goes on.
    house.refresh_says(Ok(tokens("at-k", None, 3600)));
    house.make("kept", given("id"), &[(secret::REFRESH_TOKEN, "rt-kept")]).await.unwrap();
    assert_eq!(secret_of(&house.vault.record(&house.alices("kept"))), "rt-kept");
}

#[tokio::test(start_paused = true)]
async fn r25_what_takes_the_place_of_a_handed_over_token_is_kept_also_without_an_access_token() {
    let house = House::new();
    let rotated = Rotated { token: "rt-new".to_owned().into(), expires_at: None };
    let error = IssuerError::Malformed { text: "not a bearer token".into() }.into();
    let answer = Err(RefreshFailure { error, rotated: Some(rotated) });
    house.issuers.refresh_script.lock().unwrap().push_back(answer);
    let handed = [(secret::REFRESH_TOKEN, "rt-handed")];
    let reply = house.make("mine", given("id"), &handed).await.unwrap();
    let when = "a refresh token is handed over, and only another one came for it";
    shows_beside(when, &reply.remarks[0]);
    let record = house.vault.record(&house.alices("mine"));
    assert_eq!((secret_of(&record), record.state), ("rt-new".into(), State::SignedIn));
    house.refresh_says(Ok(tokens("at-2", None, 3600)));
    let token = house.service.token(&house.caller(ALICE), "mine", TokenOptions::default()).await;
    assert_eq!(token.unwrap().token, "at-2");
    assert_eq!(*house.issuers.presented.lock().unwrap(), ["rt-handed", "rt-new"]);
}

/// The store, or the journal as well, fails while the issuer replaces the token.
async fn hand_over_while_it_breaks(house: &House, break_it: fn(&House)) -> ServiceError {
    *house.issuers.latency.lock().unwrap() = 5 * S;
    let handed = [(secret::REFRESH_TOKEN, "rt-handed"), (secret::CLIENT_SECRET, "s")];
    let breaks = async {
        house.clock.sleep(S).await;
        break_it(house);
    };
    let (made, ()) = tokio::join!(house.make("mine", given("id"), &handed), breaks);
    *house.issuers.latency.lock().unwrap() = Duration::ZERO;
    made.unwrap_err()
}

#[tokio::test(start_paused = true)]
async fn r25_a_handed_over_token_that_was_replaced_is_not_lost_when_the_store_does_not_take_it() {
    let rotated = Rotated { token: "rt1".to_owned().into(), expires_at: None };
    let useless = IssuerError::Malformed { text: "not a bearer token".into() }.into();
    for answer in [
        Ok(tokens("at1", Some("rt1"), 3600)),
        Err(RefreshFailure { error: useless, rotated: Some(rotated) }),
    ] {
        let house = House::new();
        house.issuers.refresh_script.lock().unwrap().push_back(answer);
        let error = hand_over_while_it_breaks(&house, |house| {
            house.vault.saves_fail.store(true, SeqCst);
        });
        let error = error.await;
        assert_eq!(error.kind, Kind::StoreUnavailable);
        assert!(error.message.contains("is kept in the journal"), "{error}");
        shows("the store fails after the issuer replaced a refresh token", error);
        // Account, client and journal entry are there, and what was replaced is not used again.
        let (key, owner) =
            (house.alices("mine"), ClientOwner::Given(ALICE, "mine".parse().unwrap()));
        assert_eq!(house.vault.record(&key).state, State::New);
        assert!(house.client(&owner, WLCG).is_some());
        let journalled: Vec<_> = house
            .vault
            .journal
            .lock()
            .unwrap()
            .iter()
            .map(|(_, record)| secret_of(record))
            .collect();
        assert_eq!(journalled, ["rt1"]);
        assert_eq!(house.revoked(), [""; 0]);
        house.vault.saves_fail.store(false, SeqCst);
        house.later(10).await;
        assert_eq!(secret_of(&house.vault.record(&key)), "rt1");
        house.log_in(ALICE).await;
        house.token(TokenOptions::default()).await.unwrap();
        assert!(house.alices_file().is_some());
        let presented = house.issuers.presented.lock().unwrap().clone();
        assert!(presented == ["rt-handed"] || presented == ["rt-handed", "rt1"], "{presented:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn r25_without_the_journal_either_the_replaced_token_is_kept_in_memory_and_that_is_said() {
    let house = House::new();
    let error = hand_over_while_it_breaks(&house, |house| {
        house.vault.store_fails.store(true, SeqCst);
        house.vault.journal_fails.store(true, SeqCst);
    });
    let error = error.await;
    assert!(error.message.contains("in memory only"), "{error}");
    shows("store and journal fail after the issuer replaced a refresh token", error);
    house.vault.store_fails.store(false, SeqCst);
    house.later(10).await;
    assert_eq!(secret_of(&house.vault.record(&house.alices("mine"))), "rt1");
    assert_eq!(house.audit.of(audit::Kind::AccountAdded)[0].result, "StoreUnavailable");
}

#[tokio::test(start_paused = true)]
async fn a_handed_over_token_that_was_not_replaced_leaves_nothing_when_the_store_fails() {
    let house = House::new();
    house.refresh_says(Ok(tokens("at", None, 3600)));
    let error = hand_over_while_it_breaks(&house, |house| {
        house.vault.saves_fail.store(true, SeqCst);
    });
    assert_eq!(error.await.kind, Kind::StoreUnavailable);
    assert!(house.is_empty() && house.vault.journal.lock().unwrap().is_empty());
    assert_eq!(house.revoked(), [""; 0]);
}

/// As another node that shares the store may do it.
#[tokio::test(start_paused = true)]
async fn r25_a_handed_over_token_is_not_used_where_its_account_was_removed_meanwhile() {
    let house = House::new();
    house.vault.vanishing.store(true, SeqCst);
    let handed = [(secret::REFRESH_TOKEN, "rt"), (secret::CLIENT_SECRET, "s")];
    let error = house.make("mine", given("id"), &handed).await.unwrap_err();
    shows("an account was removed before the token that was handed over was used", error);
    assert!(house.is_empty() && house.issuers.presented.lock().unwrap().is_empty());
}

fn secret_of(record: &Record) -> String {
    super::secret(record).unwrap_or_default().to_owned()
}

#[tokio::test(start_paused = true)]
async fn a_dead_refresh_token_leaves_nothing_half_done() {
    let house = House::new();
    for (error, expected) in [
        (RefreshError::Dead { text: "expired".into() }, Kind::LoginRequired),
        (RefreshError::Issuer(unreachable()), Kind::IssuerUnreachable),
        (IssuerError::ClientRejected { text: "no".into() }.into(), Kind::GivenClientRefused),
    ] {
        house.refresh_says(Err(error));
        let handed = [(secret::REFRESH_TOKEN, "rt"), (secret::CLIENT_SECRET, "s")];
        assert_eq!(kind(house.make("mine", given("id"), &handed).await), expected);
        assert!(house.is_empty());
        assert!(house.file(ALICE, "bt_u1001").is_none());
    }
    assert_eq!((house.refreshes(), house.revoked()), (3, vec![]));
}

#[tokio::test(start_paused = true)]
async fn a_handed_token_with_more_than_the_rules_allow_is_not_taken_whatever_was_asked_for() {
    let rule = "[[rule]]\nfor = \"everybody\"\nscopes = [\"storage.read:/cms\"]\n";
    let house = House::ruled(rule);
    let mut wide = tokens("at-wide", Some("rt1"), 3600);
    wide.scopes = Some(ScopeSet::parse(["openid", "offline_access", "storage.modify:/"]).unwrap());
    house.refresh_says(Ok(wide));
    let options = iamd_protocol::bus::AddOptions { scopes: scopes("openid"), ..given("id") };
    let made = house.make("mine", options, &[(secret::REFRESH_TOKEN, "rt-handed")]).await;
    let error = made.unwrap_err();
    assert_eq!(error.kind, Kind::DeniedByPolicy);
    // Who keeps a copy of it is told that it is dead.
    assert!(error.message.contains("which is of no use any more"), "{error}");
    shows(
        "a refresh token is handed over, and what came for it has more than the rules allow",
        error,
    );
    assert_eq!(house.revoked(), ["rt1"]);
    assert!(house.is_empty() && house.vault.journal.lock().unwrap().is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_dry_run_says_what_would_be_refused_and_neither_makes_nor_uses_anything() {
    let handed = [(secret::REFRESH_TOKEN, "rt"), (secret::CLIENT_SECRET, "s")];
    let dry = |options: iamd_protocol::bus::AddOptions| iamd_protocol::bus::AddOptions {
        dry_run: Some(true),
        ..options
    };
    let house = House::new();
    let reply = house.make("mine", dry(given("id")), &handed).await.unwrap();
    assert_eq!((reply.account.as_str(), reply.login_needed), ("mine", false));
    for (rule, options) in [
        ("own_clients = false", given("id")),
        ("flows = [\"device\"]", given("id")),
        (
            "scopes = [\"openid\", \"offline_access\"]",
            iamd_protocol::bus::AddOptions { scopes: scopes("storage.modify:/"), ..given("id") },
        ),
        ("accounts = 1", given("id")),
        ("issuers = []", given("id")),
    ] {
        let house = House::ruled(&format!("[[rule]]\nfor = \"everybody\"\n{rule}\n"));
        house.signed_in();
        let dryly = house.make("mine", dry(options.clone()), &handed).await.unwrap_err();
        let really = house.make("mine", options, &handed).await.unwrap_err();
        assert_eq!(dryly, really, "{rule}");
        assert_eq!(
            (house.refreshes(), house.vault.accounts.lock().unwrap().len()),
            (0, 1),
            "{rule}"
        );
    }
    assert!(house.is_empty());
    assert_eq!((house.refreshes(), house.audit.of(audit::Kind::AccountAdded).len()), (0, 0));
}

#[tokio::test(start_paused = true)]
async fn a_client_that_is_the_public_one_of_the_issuers_file_needs_no_leave_of_its_own() {
    let house = House::ruled("[[rule]]\nfor = \"everybody\"\nown_clients = false\n");
    let file = "name = \"pub\"\nurl = \"https://pub.test/\"\nscopes = [\"openid\"]\n\n\
                [public_client]\nid = \"public-id\"\n";
    std::fs::write(house.dir.path().join("shipped/pub.toml"), file).unwrap();
    house.service.reload(crate::service::By::ITSELF).unwrap();
    let at = |id: &str| iamd_protocol::bus::AddOptions { issuer: Some("pub".into()), ..given(id) };
    // With the secret too that everybody has.
    let handed = [(secret::REFRESH_TOKEN, "rt"), (secret::CLIENT_SECRET, "s")];
    assert_eq!(kind(house.make("mine", at("other"), &handed).await), Kind::DeniedByPolicy);
    house.make("mine", at("public-id"), &handed).await.unwrap();
    let record = house.vault.record(&house.alices("mine"));
    assert_eq!((record.state, record.client_owner), (State::SignedIn, ClientOwner::Public));
}

fn shows(when: &str, error: ServiceError) {
    crate::testing::shows("Accounts", when, error);
}
