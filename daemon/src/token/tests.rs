//! The order of a refresh, and who shares one.

mod clients;
mod lost_lock;
mod person;

use std::sync::atomic::Ordering::SeqCst;

use secrecy::ExposeSecret;

use super::*;
use crate::{
    account::{
        Rotation, ScopeSet, State,
        ports::{RefreshFailure, Rotated, Vault as _},
    },
    testing::*,
};

struct World {
    vault: Arc<TestVault>,
    issuers: Arc<TestIssuers>,
    clock: Arc<TestClock>,
    broker: Arc<Broker>,
    key: AccountKey,
}

fn world() -> World {
    let vault = Arc::new(TestVault::default());
    let issuers = Arc::new(TestIssuers::default());
    let clock = TestClock::at(1_000_000);
    *issuers.clock.lock().unwrap() = Some(clock.clone());
    let key = signed_in(&vault);
    let refresher = Refresher::new(vault.clone(), issuers.clone(), clock.clone());
    World { broker: Broker::new(refresher, clock.clone()), vault, issuers, clock, key }
}

impl World {
    async fn ask(&self, ask: Ask) -> Result<Given, TokenError> {
        self.broker.token(&self.key, &profile(), &ask).await
    }

    fn issuer_says(&self, answer: Result<crate::account::ports::Tokens, RefreshError>) {
        self.issuers.refresh_script.lock().unwrap().push_back(answer.map_err(Into::into));
    }

    /// No access token, but the refresh token `rt-new`.
    fn issuer_only_rotates(&self, error: impl Into<RefreshError>) {
        let rotated = Rotated { token: "rt-new".to_owned().into(), expires_at: None };
        let failure = RefreshFailure { error: error.into(), rotated: Some(rotated) };
        self.issuers.refresh_script.lock().unwrap().push_back(Err(failure));
    }
}

fn malformed() -> IssuerError {
    IssuerError::Malformed { text: "token_type is DPoP, not Bearer".into() }
}

fn text(given: &Given) -> &str {
    given.token.token.expose_secret()
}

fn narrowed(scope: &str) -> Ask {
    let scopes = Some(ScopeSet::parse([scope]).unwrap());
    Ask { wanted: Wanted { scopes, ..Wanted::default() }, ..Ask::default() }
}

#[tokio::test]
async fn r25_a_rotated_refresh_token_is_journalled_then_stored_before_the_answer() {
    let world = world();
    let given = world.ask(Ask::default()).await.unwrap();
    assert_eq!(text(&given), "at1");
    let steps = world.vault.steps.lock().unwrap().clone();
    assert_eq!(steps, ["lock", "journal", "save", "settle"]);
    let record = world.vault.record(&world.key);
    assert_eq!(record.refresh_token.unwrap().expose_secret(), "rt1");
    assert_eq!(record.rotation, Rotation::Rotates);
}

#[tokio::test]
async fn r25_an_absent_refresh_token_keeps_the_old_one() {
    let world = world();
    world.issuer_says(Ok(tokens("at", None, 3600)));
    world.ask(Ask::default()).await.unwrap();
    let record = world.vault.record(&world.key);
    assert_eq!(record.refresh_token.unwrap().expose_secret(), "rt0");
    assert_eq!(record.rotation, Rotation::Keeps);
}

#[tokio::test]
async fn r25_a_refresh_token_that_comes_with_a_failure_is_journalled_then_stored_before_it_is_told()
{
    let world = world();
    world.ask(Ask::default()).await.unwrap();
    world.vault.steps.lock().unwrap().clear();
    world.issuer_only_rotates(malformed());
    let again = Ask { force_new: true, ..Ask::default() };
    let error = world.ask(again.clone()).await.unwrap_err();
    assert_eq!(error, malformed().into(), "the failure is the issuer's");
    assert_eq!(*world.vault.steps.lock().unwrap(), ["lock", "journal", "save", "settle"]);
    let record = world.vault.record(&world.key);
    assert_eq!(record.refresh_token.unwrap().expose_secret(), "rt-new");
    assert_eq!((record.rotation, record.state), (Rotation::Rotates, State::SignedIn));
    assert_eq!(record.access_token.unwrap().token.expose_secret(), "at1", "it is still valid");
    assert_eq!(text(&world.ask(again).await.unwrap()), "at3");
    assert_eq!(*world.issuers.presented.lock().unwrap(), ["rt0", "rt1", "rt-new"]);
}

#[tokio::test]
async fn r25_a_refresh_token_that_comes_with_a_failure_survives_a_store_that_fails() {
    for (journal_fails, told) in [
        (false, TokenError::from(malformed())),
        // As after a success: that it is in memory only goes first.
        (true, VaultError::Unavailable { text: "the journal is full".into() }.into()),
    ] {
        let world = world();
        world.vault.saves_fail.store(true, SeqCst);
        world.vault.journal_fails.store(journal_fails, SeqCst);
        world.issuer_only_rotates(malformed());
        assert_eq!(world.ask(Ask::default()).await.unwrap_err(), told);
        assert_eq!(world.vault.journal.lock().unwrap().len(), usize::from(!journal_fails));
        world.vault.saves_fail.store(false, SeqCst);
        world.vault.journal_fails.store(false, SeqCst);
        assert_eq!(text(&world.ask(Ask::default()).await.unwrap()), "at2");
        assert_eq!(*world.issuers.presented.lock().unwrap(), ["rt0", "rt-new"]);
    }
}

#[tokio::test]
async fn r25_an_error_in_the_same_reply_is_noted_unless_it_is_about_the_old_refresh_token() {
    let reason = || "why".to_owned();
    for (error, state) in [
        (RefreshError::Dead { text: reason() }, State::SignedIn),
        (RefreshError::Scope { text: reason() }, State::SignedIn),
        (RefreshError::ActionNeeded { text: reason() }, State::ActionNeeded { reason: reason() }),
    ] {
        let world = world();
        world.issuer_only_rotates(error.clone());
        assert_eq!(world.ask(Ask::default()).await.unwrap_err(), error.into());
        assert_eq!(world.vault.record(&world.key).state, state);
        world.ask(Ask::default()).await.unwrap();
        assert_eq!(*world.issuers.presented.lock().unwrap(), ["rt0", "rt-new"]);
    }
}

#[tokio::test(start_paused = true)]
async fn r28_a_hundred_requests_for_one_expired_token_are_one_request_at_the_issuer() {
    let world = world();
    *world.issuers.latency.lock().unwrap() = Duration::from_secs(2);
    let asks = (0..100).map(|_| world.ask(Ask::default()));
    let given = futures_util::future::join_all(asks).await;
    assert!(given.iter().all(|given| text(given.as_ref().unwrap()) == "at1"));
    assert_eq!(world.issuers.refreshes.load(SeqCst), 1);
}

#[tokio::test]
async fn the_same_narrowed_token_asked_again_costs_no_request() {
    let world = world();
    let first = world.ask(narrowed("storage.read:/")).await.unwrap();
    let again = world.ask(narrowed("storage.read:/")).await.unwrap();
    assert_eq!(text(&first), text(&again));
    assert!(first.fresh_from_issuer && !again.fresh_from_issuer);
    world.ask(narrowed("compute.read")).await.unwrap();
    assert_eq!(world.issuers.refreshes.load(SeqCst), 2);
}

#[tokio::test(start_paused = true)]
async fn one_rotating_token_is_never_refreshed_twice_at_a_time() {
    let world = world();
    *world.issuers.latency.lock().unwrap() = Duration::from_secs(1);
    let asks = ["a", "b", "c", "d"].map(|scope| world.ask(narrowed(scope)));
    for given in futures_util::future::join_all(asks).await {
        given.unwrap();
    }
    // Each refresh presented the successor of the one before: none was used twice.
    let mut presented = world.issuers.presented.lock().unwrap().clone();
    presented.sort();
    assert_eq!(presented, ["rt0", "rt1", "rt2", "rt3"]);
}

#[tokio::test(start_paused = true)]
async fn a_refresh_ends_in_order_when_everybody_who_asked_has_gone() {
    let world = world();
    *world.issuers.latency.lock().unwrap() = Duration::from_secs(2);
    let asked = tokio::time::timeout(Duration::from_secs(1), world.ask(Ask::default())).await;
    assert!(asked.is_err());
    world.clock.sleep(Duration::from_secs(3)).await;
    let record = world.vault.record(&world.key);
    assert_eq!(record.refresh_token.unwrap().expose_secret(), "rt1");
}

#[tokio::test]
async fn r66_less_validity_than_asked_is_an_error_never_a_token() {
    let world = world();
    world.issuer_says(Ok(tokens("at", None, 60)));
    let ask = Ask { validity: Validity::AtLeast(Duration::from_secs(600)), ..Ask::default() };
    let error = world.ask(ask).await.unwrap_err();
    let (got, asked) = (Duration::from_secs(60), Duration::from_secs(600));
    assert_eq!(error, TokenError::Validity { got, asked });
}

/// Two requests for the same token, the second a second after the first began.
async fn one_joins_another(
    world: &World,
    first: Ask,
    second: Ask,
) -> [Result<Given, TokenError>; 2] {
    *world.issuers.latency.lock().unwrap() = Duration::from_secs(2);
    let later = async {
        world.clock.sleep(Duration::from_secs(1)).await;
        world.ask(second).await
    };
    let (first, second) = tokio::join!(world.ask(first), later);
    [first, second]
}

#[tokio::test(start_paused = true)]
async fn r66_who_joins_a_refresh_and_asks_for_more_than_it_brings_gets_another() {
    let world = world();
    world.issuer_says(Ok(tokens("short", None, 60)));
    let more = Ask { validity: Validity::AtLeast(Duration::from_secs(600)), ..Ask::default() };
    let [first, second] = one_joins_another(&world, Ask::default(), more).await;
    assert_eq!((text(&first.unwrap()), text(&second.unwrap())), ("short", "at2"));
    assert_eq!(world.issuers.refreshes.load(SeqCst), 2);
}

#[tokio::test(start_paused = true)]
async fn who_joins_a_refresh_that_brings_enough_costs_nothing() {
    let world = world();
    let more = Ask { validity: Validity::AtLeast(Duration::from_secs(600)), ..Ask::default() };
    let [first, second] = one_joins_another(&world, Ask::default(), more).await;
    assert_eq!((text(&first.unwrap()), text(&second.unwrap())), ("at1", "at1"));
    assert_eq!(world.issuers.refreshes.load(SeqCst), 1);
}

#[tokio::test(start_paused = true)]
async fn a_new_token_is_never_one_that_was_asked_for_before_the_request() {
    let world = world();
    let new = Ask { force_new: true, ..Ask::default() };
    let [first, second] = one_joins_another(&world, Ask::default(), new.clone()).await;
    assert_eq!((text(&first.unwrap()), text(&second.unwrap())), ("at1", "at2"));
    // Many who come while one is under way share the next one.
    let asks = (0..20).map(|_| world.ask(new.clone()));
    let many = async {
        world.clock.sleep(Duration::from_millis(500)).await;
        futures_util::future::join_all(asks).await
    };
    let (first, many) = tokio::join!(world.ask(new.clone()), many);
    assert_eq!(text(&first.unwrap()), "at3");
    assert!(many.iter().all(|given| text(given.as_ref().unwrap()) == "at4"));
    assert_eq!(world.issuers.refreshes.load(SeqCst), 4);
}

#[tokio::test(start_paused = true)]
async fn r66_a_minimum_that_the_issuer_never_gives_ends_after_one_more_refresh() {
    let world = world();
    for _ in 0..2 {
        world.issuer_says(Ok(tokens("short", None, 60)));
    }
    let more = Ask { validity: Validity::AtLeast(Duration::from_secs(600)), ..Ask::default() };
    let [_, second] = one_joins_another(&world, Ask::default(), more).await;
    assert!(matches!(second.unwrap_err(), TokenError::Validity { .. }));
    assert_eq!(world.issuers.refreshes.load(SeqCst), 2);
}

#[tokio::test]
async fn r30_a_dead_refresh_token_is_final_at_once() {
    let world = world();
    world.issuer_says(Err(RefreshError::Dead { text: "expired".into() }));
    assert!(world.ask(Ask::default()).await.is_err());
    let error = world.ask(Ask::default()).await.unwrap_err();
    assert!(matches!(error, TokenError::LoginRequired { .. }), "{error:?}");
    assert_eq!(world.issuers.refreshes.load(SeqCst), 1);
    let record = world.vault.record(&world.key);
    assert!(record.refresh_token.is_none());
    assert_eq!(record.state, State::LoginRequired { reason: "expired".into() });
}

#[tokio::test]
async fn r30_a_rejected_client_keeps_the_refresh_token_and_may_recover() {
    let world = world();
    let rejected = IssuerError::ClientRejected { text: "suspended".into() };
    world.issuer_says(Err(rejected.into()));
    assert!(world.ask(Ask::default()).await.is_err());
    assert!(matches!(world.vault.record(&world.key).state, State::ClientBroken { .. }));
    assert_eq!(text(&world.ask(Ask::default()).await.unwrap()), "at2");
    assert_eq!(world.vault.record(&world.key).state, State::SignedIn);
}

fn lost() -> IssuerError {
    let text = "the connection broke".to_owned();
    IssuerError::Unreachable {
        text,
        retry_after: None,
        maybe_processed: true,
        reply_lost: true,
        too_slow: false,
        cause: Default::default(),
    }
}

#[tokio::test]
async fn a_lost_reply_is_asked_for_once_more_with_the_same_refresh_token() {
    let world = world();
    world.issuer_says(Err(lost().into()));
    // The issuer kept the refresh token, or gives it a grace: the user notices nothing.
    assert_eq!(text(&world.ask(Ask::default()).await.unwrap()), "at2");
    assert_eq!(*world.issuers.presented.lock().unwrap(), ["rt0", "rt0"]);
    // Not again and again.
    world.issuer_says(Err(lost().into()));
    world.issuer_says(Err(lost().into()));
    let error = world.ask(Ask { force_new: true, ..Ask::default() }).await.unwrap_err();
    assert_eq!(error.passing(), Some(None));
    assert_eq!(world.issuers.refreshes.load(SeqCst), 4);
}

#[tokio::test]
async fn a_family_that_ended_with_a_lost_reply_is_told_at_once() {
    let world = world();
    world.issuer_says(Err(lost().into()));
    world.issuer_says(Err(RefreshError::Dead { text: "used before".into() }));
    let error = world.ask(Ask::default()).await.unwrap_err();
    assert!(matches!(error, TokenError::Refresh(RefreshError::Dead { .. })), "{error:?}");
    assert!(matches!(world.vault.record(&world.key).state, State::LoginRequired { .. }));
}

#[tokio::test]
async fn nothing_is_asked_whose_answer_could_not_be_kept() {
    let world = world();
    world.vault.room_fails.store(true, SeqCst);
    let error = world.ask(Ask::default()).await.unwrap_err();
    assert!(matches!(error, TokenError::Vault(VaultError::Unavailable { .. })), "{error:?}");
    assert_eq!(world.issuers.refreshes.load(SeqCst), 0);
    // Where the issuer keeps refresh tokens, nothing can be lost.
    world.vault.accounts.lock().unwrap().get_mut(&world.key).unwrap().0.rotation = Rotation::Keeps;
    world.ask(Ask::default()).await.unwrap();
}

#[tokio::test]
async fn a_passing_failure_changes_nothing() {
    let world = world();
    let text = "timed out".to_owned();
    let error = IssuerError::Unreachable {
        text,
        retry_after: None,
        maybe_processed: true,
        reply_lost: false,
        too_slow: false,
        cause: Default::default(),
    };
    world.issuer_says(Err(error.into()));
    let error = world.ask(Ask::default()).await.unwrap_err();
    assert_eq!(error.passing(), Some(None));
    assert_eq!(world.vault.record(&world.key).state, State::SignedIn);
    assert_eq!(*world.vault.steps.lock().unwrap(), ["lock"]);
}

#[tokio::test]
async fn a_store_that_fails_after_the_issuer_answered_loses_nothing() {
    let world = world();
    // The store goes down while the issuer is asked.
    *world.issuers.latency.lock().unwrap() = Duration::from_millis(50);
    let vault = world.vault.clone();
    let down = async {
        world.clock.sleep(Duration::from_millis(20)).await;
        vault.store_fails.store(true, SeqCst);
    };
    let (given, ()) = tokio::join!(world.ask(Ask::default()), down);
    assert_eq!(text(&given.unwrap()), "at1");
    assert_eq!(world.vault.journal.lock().unwrap().len(), 1);
    // It comes back: the next refresh presents the successor, not the old one.
    world.vault.store_fails.store(false, SeqCst);
    world.ask(Ask { force_new: true, ..Ask::default() }).await.unwrap();
    assert_eq!(*world.issuers.presented.lock().unwrap(), ["rt0", "rt1"]);
    let record = world.vault.record(&world.key);
    assert_eq!(record.refresh_token.unwrap().expose_secret(), "rt2");
}

#[tokio::test]
async fn r25_what_the_store_did_not_take_survives_another_write_of_the_account() {
    let world = world();
    *world.issuers.latency.lock().unwrap() = Duration::from_millis(50);
    let vault = world.vault.clone();
    let down = async {
        world.clock.sleep(Duration::from_millis(20)).await;
        vault.store_fails.store(true, SeqCst);
    };
    let (given, ()) = tokio::join!(world.ask(Ask::default()), down);
    assert_eq!(text(&given.unwrap()), "at1");
    world.vault.store_fails.store(false, SeqCst);
    // Twice, so that the count of writes is past that of the record that was kept aside.
    for unanswered_logins in [1, 2] {
        let stored = world.vault.account(&world.key).await.unwrap().unwrap();
        let other = crate::account::Record { unanswered_logins, ..stored.value };
        world.vault.save_account(&other, stored.revision).await.unwrap();
    }
    world.ask(Ask { force_new: true, ..Ask::default() }).await.unwrap();
    assert_eq!(*world.issuers.presented.lock().unwrap(), ["rt0", "rt1"]);
    let record = world.vault.record(&world.key);
    assert_eq!(record.unanswered_logins, 2);
    assert_eq!(record.refresh_token.unwrap().expose_secret(), "rt2");
}

#[tokio::test(start_paused = true)]
async fn r66_what_an_issuer_takes_to_answer_is_not_counted_as_validity() {
    let world = world();
    *world.issuers.latency.lock().unwrap() = Duration::from_secs(20);
    world.issuer_says(Ok(tokens("at-60", None, 60)));
    let began = world.clock.wall();
    let ask = Ask { force_new: true, ..Ask::default() };
    let given = world.ask(ask).await.unwrap();
    assert_eq!(given.token.expires_at, began.plus(Duration::from_secs(60)));
}

#[tokio::test]
async fn a_second_node_does_not_refresh_a_token_that_is_fresh() {
    let world = world();
    world.ask(Ask::default()).await.unwrap();
    let (vault, issuers) = (world.vault.clone(), world.issuers.clone());
    let refresher = Refresher::new(vault, issuers, world.clock.clone());
    let other_node = Broker::new(refresher, world.clock.clone());
    let ask = Ask { validity: Validity::Usual(Duration::from_secs(60)), ..Ask::default() };
    let given = other_node.token(&world.key, &profile(), &ask).await.unwrap();
    assert_eq!(text(&given), "at1");
    assert_eq!(world.issuers.refreshes.load(SeqCst), 1);
}

#[tokio::test]
async fn an_account_that_was_signed_out_meanwhile_stays_signed_out() {
    let world = world();
    *world.issuers.latency.lock().unwrap() = Duration::from_millis(50);
    let sign_out = async {
        world.clock.sleep(Duration::from_millis(20)).await;
        let stored = world.vault.account(&world.key).await.unwrap().unwrap();
        let mut record = stored.value;
        record.state = State::LoginRequired { reason: "signed out".into() };
        record.refresh_token = None;
        world.vault.save_account(&record, stored.revision).await.unwrap();
    };
    let (given, ()) = tokio::join!(world.ask(Ask::default()), sign_out);
    assert_eq!(given.unwrap_err(), TokenError::Superseded);
    assert!(world.vault.record(&world.key).refresh_token.is_none());
}

#[tokio::test]
async fn what_the_store_has_does_not_take_the_place_of_a_newer_token() {
    let world = world();
    world.clock.pass(10);
    let newer = world.ask(Ask::default()).await.unwrap().token;
    let older = AccessToken {
        token: "older".to_owned().into(),
        issued_at: crate::account::UnixTime(newer.issued_at.0 - 5),
        ..newer.clone()
    };
    world.broker.adopt(&world.key, &Wanted::default(), &older);
    assert_eq!(text(&world.ask(Ask::default()).await.unwrap()), "at1");
}

#[tokio::test]
async fn a_token_is_published_before_the_account_is_unlocked() {
    struct Locked(Arc<TestVault>, std::sync::atomic::AtomicBool);
    impl Publisher for Locked {
        fn publish(&self, record: &Record, _: &AccessToken) {
            let lock = self.0.lock(crate::account::ports::LockOn::Account(record.key()));
            // Nobody else gets the lock now.
            self.1.store(lock.now_or_never().is_none(), SeqCst);
        }
    }
    let world = world();
    let publisher = Arc::new(Locked(world.vault.clone(), false.into()));
    let publisher_there: Arc<dyn Publisher> = publisher.clone();
    world.broker.publish_to(Arc::downgrade(&publisher_there));
    world.ask(Ask::default()).await.unwrap();
    assert!(publisher.1.load(SeqCst));
}
