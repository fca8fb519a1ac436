//! A doubt about a group is about what its rule says, and about nothing else.

use iamd_protocol::pam::{Open, Reply};

use super::*;
use crate::audit::Kind as Record;

#[tokio::test(start_paused = true)]
async fn a_way_in_that_no_answer_of_the_name_service_opens_is_refused_and_recorded() {
    let house = House::ruled(
        "[[rule]]\nfor = \"everybody\"\nissuers = [\"cms\"]\nflows = [\"device\"]\n\
         [[rule]]\nfor = \"@gone\"\nflows = [\"+refresh-token\"]\n",
    );
    house.name_service_dies(true);
    let options = LoginOptions { issuer: Some("cms".into()), ..LoginOptions::default() };
    let caller = house.caller(ALICE);
    let asked = house.service.login_with_password(&caller, "x", options, "alice", None).await;
    let error = asked.unwrap_err();
    assert_eq!(error.kind, Kind::DeniedByPolicy, "{error}");
    assert_eq!(house.audit.of(Record::Denial).len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_rule_for_a_group_that_is_not_known_opens_no_session_through_another_service() {
    let house = House::ruled("[[rule]]\nfor = \"@gone\"\nservices = [\"+jupyter\"]\n");
    house.signed_in_with_token();
    house.name_service_dies(true);
    let reply = house.answer(Open { service: "cron".into(), ..house.frame(ALICE) }).await;
    house.later(10).await;
    house.settle().await;
    assert!(matches!(reply, Reply::Ignored), "{reply:?}");
    assert_eq!((house.sessions.count(ALICE), house.alices_file()), (0, None));
}

#[tokio::test(start_paused = true)]
async fn a_sign_in_that_is_forbidden_whatever_the_name_service_says_is_not_kept() {
    for rules in [
        "[[rule]]\nfor = \"everybody\"\nissuers = [\"cms\"]\n\
         [[rule]]\nfor = \"@gone\"\nissuers = [\"+cms\"]\n",
        // Of the issuer there is a doubt, of the scopes there is none.
        "[[rule]]\nfor = \"everybody\"\nissuers = [\"cms\"]\nscopes = [\"profile\"]\n\
         [[rule]]\nfor = \"@gone\"\nissuers = [\"+wlcg\"]\n",
    ] {
        let house = House::ruled("");
        house.login("").await.unwrap();
        house.rules("rules", rules);
        house.service.reload(By::ITSELF).unwrap();
        house.name_service_dies(true);
        house.approve(sign_in_of("alice"));
        let state = house.end_of_login("").await;
        assert_eq!(state.error.as_deref(), Some("DeniedByPolicy"), "{state:?}");
        assert_eq!(house.revoked().len(), 1);
    }
}

#[tokio::test(start_paused = true)]
async fn a_refusal_goes_before_a_doubt_about_something_else() {
    let token = async |rules| {
        let house = House::ruled("");
        let key = house.signed_in_with_token();
        house.change(&key, |record| record.signed_in_at = Some(house.clock.wall()));
        house.clock.pass(120);
        house.rules("rules", rules);
        house.service.reload(By::ITSELF).unwrap();
        house.name_service_dies(true);
        kind(house.token(TokenOptions::default()).await)
    };
    let doubt = "[[rule]]\nfor = \"@gone\"\nissuers = [\"cms\"]\n";
    assert_eq!(token(doubt).await, Kind::StoreUnavailable);
    let narrow = format!("{doubt}[[rule]]\nfor = \"everybody\"\nscopes = [\"profile\"]\n");
    assert_eq!(token(&narrow).await, Kind::DeniedByPolicy);
    let age = format!("{doubt}[[rule]]\nfor = \"everybody\"\nlongest_sign_in = \"1m\"\n");
    assert_eq!(token(&age).await, Kind::LoginRequired);
    // Of a login: of the issuer there is a doubt, of the way in there is none.
    let flows = format!("{doubt}[[rule]]\nfor = \"everybody\"\nflows = [\"password\"]\n");
    let house = House::ruled(&flows);
    house.name_service_dies(true);
    assert_eq!(kind(house.login("").await), Kind::DeniedByPolicy);
    // Of several scopes too: one that is refused anyway, behind one that may be had.
    let some = "[[rule]]\nfor = \"everybody\"\nscopes = [\"profile\"]\n\
                [[rule]]\nfor = \"@gone\"\nscopes = [\"+compute.*\"]\n";
    let house = House::ruled(some);
    house.name_service_dies(true);
    let asks = |text: &str| LoginOptions { scopes: scopes(text), ..LoginOptions::default() };
    assert_eq!(kind(house.login_with("", asks("compute.read")).await), Kind::StoreUnavailable);
    let both = house.login_with("", asks("compute.read storage.read:/")).await;
    assert_eq!(kind(both), Kind::DeniedByPolicy);
}
