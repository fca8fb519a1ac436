//! A sign-in by password: only where it was allowed, once, and kept like any other.

use secrecy::SecretString;

use super::{password_flow::of, *};
use crate::{account::ports::PasswordError, audit};

const PASSWORD: &str = "correct horse Canary9";

impl House {
    async fn by_password(&self, named: &str) -> Result<LoginInfo, ServiceError> {
        self.by_password_of(ALICE, named, "alice", Some(PASSWORD)).await
    }

    async fn by_password_of(
        &self,
        uid: u32,
        named: &str,
        user: &str,
        password: Option<&str>,
    ) -> Result<LoginInfo, ServiceError> {
        let password = password.map(|text| SecretString::from(text.to_owned()));
        let options = LoginOptions::default();
        self.service.login_with_password(&self.caller(uid), named, options, user, password).await
    }

    fn password_says(&self, answer: Result<Tokens, PasswordError>) {
        self.issuers.password_script.lock().unwrap().push_back(answer);
    }

    fn passwords(&self) -> Vec<(String, String, String)> {
        self.issuers.passwords.lock().unwrap().clone()
    }
}

/// What an issuer can say, and what the user hears.
fn refusals() -> [(PasswordError, Kind); 5] {
    let text = || "WLCG says no".to_owned();
    [
        (PasswordError::Wrong { text: text() }, Kind::WrongPassword),
        (PasswordError::GrantMissing { text: text() }, Kind::GrantMissing),
        (PasswordError::SecondFactor { text: text() }, Kind::SecondFactorNeeded),
        (PasswordError::ActionNeeded { text: text() }, Kind::ActionNeeded),
        (PasswordError::Issuer(IssuerError::ClientRejected { text: text() }), Kind::ClientBroken),
    ]
}

#[tokio::test(start_paused = true)]
async fn r34_without_leave_a_user_hears_what_to_send_to_the_administrators() {
    let house = House::new();
    for password in [None, Some(PASSWORD)] {
        let error = house.by_password_of(ALICE, "", "alice", password).await.unwrap_err();
        assert_eq!(error.kind, Kind::DeniedByPolicy);
        let command = "please let alice sign in by password:  iamctl admin password-flow enable --issuer wlcg --client client-1";
        assert!(error.message.contains(command), "{error}");
        assert!(error.message.contains("the client client-1 at WLCG"), "{error}");
    }
    assert!(house.passwords().is_empty(), "the password went nowhere");
    assert_eq!(house.audit.of(audit::Kind::Denial).len(), 2);
    // For another client it says nothing, and for one of another issuer neither.
    house.enable(of("client-2")).await.unwrap();
    assert_eq!(kind(house.by_password("").await), Kind::DeniedByPolicy);
    let cms =
        iamd_protocol::bus::PasswordFlowOptions { issuer: Some("cms".into()), ..of("client-1") };
    house.enable(cms).await.unwrap();
    assert_eq!(kind(house.by_password("").await), Kind::DeniedByPolicy);
}

#[tokio::test(start_paused = true)]
async fn who_may_not_sign_in_by_password_is_refused_whatever_the_client_may() {
    let house = House::ruled("[[rule]]\nfor = \"everybody\"\nflows = \"device\"\n");
    house.enable(of("client-1")).await.unwrap();
    for password in [None, Some(PASSWORD)] {
        let error = house.by_password_of(ALICE, "", "alice", password).await.unwrap_err();
        assert_eq!(error.kind, Kind::DeniedByPolicy, "{error}");
        assert!(error.message.contains("does not let you sign in by password"), "{error}");
    }
    assert!(house.passwords().is_empty(), "the password went nowhere");
}

#[tokio::test(start_paused = true)]
async fn a_password_is_not_used_for_what_could_not_be_kept() {
    let house = House::new();
    house.log_in(ALICE).await;
    house.signed_in();
    house.enable(of("client-1")).await.unwrap();
    house.vault.room_fails.store(true, std::sync::atomic::Ordering::SeqCst);
    let error = house.by_password("").await.unwrap_err();
    assert_eq!(error.kind, Kind::StoreUnavailable, "{error}");
    assert!(house.passwords().is_empty(), "the password went out");
}

#[tokio::test(start_paused = true)]
async fn r35_a_password_is_used_once_and_what_it_brings_is_kept_like_any_sign_in() {
    let house = House::new();
    house.log_in(ALICE).await;
    house.signed_in();
    house.enable(of("client-1")).await.unwrap();
    let may = house.by_password_of(ALICE, "", "", None).await.unwrap();
    assert_eq!((may.state.as_str(), may.issuer_title.as_str()), ("password-needed", "WLCG"));
    assert!(house.passwords().is_empty());
    house.vault.steps.lock().unwrap().clear();
    house.password_says(Ok(sign_in_of("alice-sub")));
    let done = house.by_password("").await.unwrap();
    assert_eq!((done.state.as_str(), done.subject.as_deref()), ("done", Some("alice-sub")));
    assert_eq!(*house.vault.steps.lock().unwrap(), ["lock", "journal", "save", "settle"]);
    let sent = ("client-1".to_owned(), "alice".to_owned(), PASSWORD.to_owned());
    assert_eq!(house.passwords(), [sent]);
    let record = house.vault.record(&house.alices("wlcg"));
    assert_eq!(secret(&record), Some("rt-new"));
    assert_eq!(record.subject.unwrap().sub, "alice-sub");
    assert_eq!(house.alices_file().as_deref(), Some("at-new"));
    house.settle().await;
    assert_eq!(house.revoked(), ["rt0"], "what it took the place of ends");
    let started = house.audit.of(audit::Kind::LoginStarted);
    assert_eq!(started.iter().filter(|record| record.detail == "by password").count(), 1);
    assert_eq!(house.audit.of(audit::Kind::SignIn).len(), 1);
    // Somebody else's password does not take the account over.
    house.password_says(Ok(sign_in_of("mallory-sub")));
    assert_eq!(kind(house.by_password("").await), Kind::IdentityMismatch);
    let text = format!("{:?}", house.audit.0.lock().unwrap());
    assert!(!text.contains("horse") && !text.contains("mallory"), "{text}");
}

#[tokio::test(start_paused = true)]
async fn r38_each_refusal_has_its_kind_and_nothing_is_tried_again() {
    for (error, kind) in refusals() {
        let house = House::new();
        house.signed_in();
        house.enable(of("client-1")).await.unwrap();
        house.password_says(Err(error));
        let failed = house.by_password("").await.unwrap_err();
        assert_eq!((failed.kind, failed.message.as_str()), (kind, "WLCG says no"));
        assert_eq!(house.passwords().len(), 1, "{kind:?}");
        assert_eq!(house.issuers.registrations.load(SeqCst), 0, "no other client either");
        let [recorded] = &house.audit.of(audit::Kind::LoginFailed)[..] else { panic!() };
        assert_eq!(recorded.result, kind.short_name());
        // The sign-in that there is lives on.
        assert_eq!(secret(&house.vault.record(&house.alices("wlcg"))), Some("rt0"));
    }
}

#[tokio::test(start_paused = true)]
async fn five_wrong_passwords_bar_the_user_who_gave_them_for_a_minute_and_nobody_else() {
    let house = House::new();
    house.signed_in();
    house.enable(of("client-1")).await.unwrap();
    for _ in 0..5 {
        house.password_says(Err(PasswordError::Wrong { text: "no".into() }));
        assert_eq!(kind(house.by_password("").await), Kind::WrongPassword);
    }
    let barred = |uid, user| house.by_password_of(uid, "", user, Some(PASSWORD));
    assert_eq!(kind(barred(ALICE, "alice").await), Kind::TooManyAttempts);
    assert_eq!(kind(barred(ALICE, "other").await), Kind::TooManyAttempts, "the uid");
    assert_eq!(house.passwords().len(), 5);
    assert_eq!(barred(BOB, "bob").await.unwrap().state, "done");
    house.later(61).await;
    assert_eq!(barred(ALICE, "alice").await.unwrap().state, "done");
}

#[tokio::test(start_paused = true)]
async fn a_grant_that_the_registration_does_not_have_costs_no_password() {
    let house = House::new();
    // Registered by iamd: what it is registered for can be read.
    let error = house.by_password_of(BOB, "cms", "bob", None).await.unwrap_err();
    assert_eq!(error.kind, Kind::DeniedByPolicy);
    let options =
        iamd_protocol::bus::PasswordFlowOptions { issuer: Some("cms".into()), ..of("client-1") };
    house.enable(options).await.unwrap();
    let by = || house.by_password_of(BOB, "cms", "bob", Some(PASSWORD));
    let error = by().await.unwrap_err();
    assert_eq!(error.kind, Kind::GrantMissing);
    let sentence = "please allow grant type password for client client-1";
    assert!(error.message.contains(sentence), "{error}");
    assert!(house.passwords().is_empty());
    *house.issuers.grants_at_issuer.lock().unwrap() = Some(vec!["password".into()]);
    assert_eq!(by().await.unwrap().state, "done");
    let found = house.service.show(&house.caller(BOB), "cms").await.unwrap();
    assert_eq!(found.grant_types, Some(vec!["password".into()]));
}

#[tokio::test(start_paused = true)]
async fn what_cannot_go_with_a_password_is_refused_before_it_is_sent() {
    let house = House::new();
    house.signed_in();
    house.enable(of("client-1")).await.unwrap();
    for user in ["", "a\nb", &"x".repeat(257)] {
        let refused = house.by_password_of(ALICE, "", user, Some(PASSWORD)).await;
        assert_eq!(kind(refused), Kind::InvalidArgument);
    }
    let password = || Some(SecretString::from(PASSWORD.to_owned()));
    let options = LoginOptions { new_client: Some(true), ..LoginOptions::default() };
    let caller = house.caller(ALICE);
    let refused = house.service.login_with_password(&caller, "", options, "alice", password());
    assert_eq!(kind(refused.await), Kind::InvalidArgument);
    let drained = iamd_protocol::bus::DrainOptions { on: true, ..Default::default() };
    house.service.set_drain(By::ITSELF, drained).unwrap();
    assert_eq!(kind(house.by_password("").await), Kind::Draining);
    let options = LoginOptions { if_needed: Some(true), ..LoginOptions::default() };
    let done = house.service.login_with_password(&caller, "", options, "alice", password());
    assert_eq!(done.await.unwrap().state, "done");
    assert!(house.passwords().is_empty());
}

#[tokio::test(start_paused = true)]
async fn when_it_is_disabled_the_next_one_is_refused_and_the_sign_in_lives_on() {
    let house = House::new();
    house.signed_in();
    house.enable(of("client-1")).await.unwrap();
    house.by_password("").await.unwrap();
    let admin = house.caller(0);
    house.service.disable_password_flow(&admin, of("client-1")).await.unwrap();
    assert_eq!(kind(house.by_password("").await), Kind::DeniedByPolicy);
    let fresh = TokenOptions { force_new: Some(true), ..TokenOptions::default() };
    assert_eq!(house.token(fresh).await.unwrap().token, "at1");
    assert_eq!(*house.issuers.presented.lock().unwrap(), ["rt-pw"]);
}

#[tokio::test(start_paused = true)]
async fn a_device_login_that_waits_for_the_account_is_ended() {
    let house = House::new();
    house.signed_in();
    house.enable(of("client-1")).await.unwrap();
    house.login("").await.unwrap();
    house.by_password("").await.unwrap();
    assert_eq!(house.end_of_login("").await.error.as_deref(), Some("LoginCancelled"));
}

#[tokio::test(start_paused = true)]
async fn a_leave_that_was_put_back_opens_nothing() {
    let house = House::new();
    house.enable(of("client-1")).await.unwrap();
    let leave = ("https://issuer.test/".to_owned(), "client-1".to_owned());
    house.vault.bad_flows.lock().unwrap().push(leave);
    for password in [None, Some(PASSWORD)] {
        let error = house.by_password_of(ALICE, "", "alice", password).await.unwrap_err();
        assert_eq!(error.kind, Kind::DeniedByPolicy, "{error}");
    }
    assert!(house.passwords().is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_password_sign_in_that_waits_for_the_issuer_is_cancelled_as_a_device_login_is() {
    for by_the_administrator in [true, false] {
        let house = House::new();
        house.enable(of("client-1")).await.unwrap();
        *house.issuers.grants_at_issuer.lock().unwrap() = Some(vec!["password".into()]);
        house.password_says(Ok(sign_in_of("alice")));
        *house.issuers.password_latency.lock().unwrap() = 10 * S;
        let (service, caller) = (house.service.clone(), house.caller(ALICE));
        let signing_in = tokio::spawn(async move {
            let password = Some(SecretString::from(PASSWORD.to_owned()));
            let options = LoginOptions::default();
            service.login_with_password(&caller, "", options, "alice", password).await
        });
        house.later(2).await;
        if by_the_administrator {
            let user = Some("alice".into());
            let all = iamd_protocol::bus::RevokeOptions { user, ..Default::default() };
            assert_eq!(house.service.revoke_sign_ins(By::ITSELF, all).await.unwrap().logins, 1);
        } else {
            house.service.cancel_login(&house.caller(ALICE), "").await.unwrap();
        }
        assert_eq!(kind(signing_in.await.unwrap()), Kind::LoginCancelled);
        let accounts = house.vault.accounts.lock().unwrap();
        assert!(accounts.values().all(|(record, _)| secret(record).is_none()));
        assert_eq!(house.revoked(), ["rt-new"]);
    }
}
