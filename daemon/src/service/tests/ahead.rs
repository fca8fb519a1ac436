//! What a first login would have to wait for is asked for ahead of it, and nothing else.

use iamd_protocol::bus::DrainOptions;

use super::*;

fn asked(house: &House) -> (usize, usize) {
    let issuers = &house.issuers;
    (issuers.metadata_asked.load(SeqCst), issuers.registrations.load(SeqCst))
}

async fn prepared(house: &House) -> (usize, usize) {
    house.service.clone().prepare_logins().await;
    asked(house)
}

#[tokio::test(start_paused = true)]
async fn a_first_login_asks_for_its_code_only_where_the_daemon_had_the_rest_before() {
    // Far away: a client takes longer than a login waits.
    let far = |house: &House| *house.issuers.register_latency.lock().unwrap() = S;
    let cold = House::new();
    far(&cold);
    let later = "iamd: no access token for WLCG yet. To sign in:  iamctl login";
    assert_eq!(cold.log_in(ALICE).await.notice.as_deref(), Some(later));
    let house = House::new();
    far(&house);
    assert_eq!(prepared(&house).await, (1, 1));
    let audit = house.audit.of(crate::audit::Kind::Registration);
    assert_eq!((audit.len(), audit[0].uid, audit[0].result.as_str()), (1, 0, "ok"));
    assert!(house.log_in(ALICE).await.notice.unwrap().contains("Code  AB12CD"));
    assert_eq!(asked(&house), (1, 1));
    // After a reload there is nothing left to do.
    assert_eq!(prepared(&house).await, (2, 1));
}

#[tokio::test(start_paused = true)]
async fn nothing_is_registered_ahead_for_nobody_or_for_a_login_that_will_not_come() {
    let per_user = House::with("[issuers]\ndefault = \"cms\"\n");
    assert_eq!(prepared(&per_user).await, (1, 0));
    let drained = House::new();
    let reason = Some("new kernel".to_owned());
    drained.service.set_drain(By::ITSELF, DrainOptions { on: true, reason }).unwrap();
    assert_eq!(prepared(&drained).await, (1, 0));
    for quiet in [House::and("[login]\nautomatic = false\n"), House::with("")] {
        assert_eq!(prepared(&quiet).await, (0, 0));
    }
}

#[tokio::test(start_paused = true)]
async fn what_may_pass_is_tried_again_a_few_times_and_what_will_not_is_left_to_the_login() {
    let house = House::new();
    let errors = |errors: Vec<IssuerError>| {
        *house.issuers.metadata_errors.lock().unwrap() = errors.into();
    };
    errors(vec![unreachable(), unreachable()]);
    assert_eq!(prepared(&house).await, (3, 1));
    errors(vec![unreachable(); 9]);
    let before = house.clock.monotonic();
    assert_eq!(prepared(&house).await, (7, 1));
    assert!(house.clock.monotonic() - before < 300 * S);
    errors(vec![IssuerError::Malformed { text: "no metadata".into() }; 9]);
    assert_eq!(prepared(&house).await, (8, 1));
}
