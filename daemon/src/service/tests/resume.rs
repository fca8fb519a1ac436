//! Device logins that outlive the daemon.

use super::{
    add::{WLCG, own, own_client},
    *,
};
use crate::account::ports::DeviceAuthorization;

impl House {
    /// A login that waits for its user, with a code that is asked for each second.
    async fn waiting(named: &str, options: LoginOptions) -> Self {
        let house = Self::sealing().await;
        if options.new_client.is_some() {
            house.make(named, own_client(), &[]).await.unwrap();
        }
        let device = DeviceAuthorization { interval: S, ..device_authorization() };
        house.issuers.device_script.lock().unwrap().push_back(Ok(device));
        assert_eq!(house.login_with(named, options).await.unwrap().state, "pending");
        house
    }

    async fn waits(&self) -> usize {
        self.kept.logins().await.unwrap().len()
    }

    async fn polled(&self) {
        for _ in 0..2000 {
            if self.issuers.polls.load(SeqCst) > 0 {
                return;
            }
            self.clock.sleep(S / 50).await;
        }
        panic!("the code is not asked for")
    }
}

#[tokio::test]
async fn a_login_that_waited_when_the_daemon_ended_goes_on_with_its_code_and_client() {
    let house = House::waiting("wlcg", LoginOptions::default()).await;
    let house = house.restarted().await;
    house.service.resume_logins().await;
    // Who asks for a login joins it: there is one code, and one who asks for it.
    let joined = house.login("wlcg").await.unwrap();
    assert_eq!((joined.state.as_str(), joined.user_code.as_deref()), ("pending", Some("AB12CD")));
    assert_eq!(joined.expires_at, Some(1_000_600));
    house.polled().await;
    house.approve(sign_in_of("alice-sub"));
    assert_eq!(house.end_of_login("wlcg").await.state, "done");
    let record = house.kept.account(&house.alices("wlcg")).await.unwrap().unwrap().value;
    assert_eq!((secret(&record), record.client_id.as_deref()), (Some("rt-new"), Some("client-1")));
    assert_eq!(house.issuers.authorizations.load(SeqCst), 0);
    assert_eq!(house.issuers.registrations.load(SeqCst), 0);
    assert_eq!(house.waits().await, 0);
}

#[tokio::test]
async fn a_login_with_a_new_client_goes_on_with_that_and_gives_it_up_when_it_is_cancelled() {
    let new = LoginOptions { new_client: Some(true), ..LoginOptions::default() };
    for approved in [true, false] {
        let house = House::waiting("mine", new.clone()).await.restarted().await;
        assert_eq!(house.kept.leftovers().await.unwrap().len(), 0);
        house.service.resume_logins().await;
        house.polled().await;
        if approved {
            house.approve(sign_in_of("alice-sub"));
        } else {
            house.service.cancel_login(&house.caller(ALICE), "mine").await.unwrap();
        }
        house.end_of_login("mine").await;
        let client = house.kept.client(&own("mine"), WLCG).await.unwrap().unwrap().value;
        let (kept, gone) =
            if approved { ("client-2", "client-1") } else { ("client-1", "client-2") };
        assert_eq!(client.client_id, kept);
        for _ in 0..2000 {
            if !house.issuers.deregistered.lock().unwrap().is_empty() {
                break;
            }
            house.clock.sleep(S / 50).await;
        }
        assert_eq!(*house.issuers.deregistered.lock().unwrap(), [gone]);
        let house = house.restarted().await;
        // A kill right after the deletion may leave it to be deleted once more, and nothing else.
        let left = house.kept.leftovers().await.unwrap();
        assert!(left.iter().all(|left| left.value.client.client_id == gone), "{left:?}");
        assert_eq!(house.waits().await, 0);
    }
}

#[tokio::test]
async fn a_code_that_has_ended_or_whose_sign_in_has_come_is_not_asked_for_again() {
    let house = House::waiting("wlcg", LoginOptions::default()).await;
    house.clock.pass(600);
    let house = house.restarted().await;
    house.service.resume_logins().await;
    assert_eq!(house.service.running_logins(ALICE).len(), 0);
    assert_eq!(house.waits().await, 0);
    // Killed between the sign-in and the end of the login.
    let house = House::waiting("wlcg", LoginOptions::default()).await;
    let mut record = Record::new(
        house.caller(ALICE).owner,
        "wlcg".parse().unwrap(),
        WLCG.into(),
        ClientOwner::Site,
    );
    record.signed_in_at = Some(house.clock.wall());
    let absent = crate::account::ports::Revision::ABSENT;
    house.kept.save_account(&record, absent).await.unwrap();
    let house = house.restarted().await;
    house.service.resume_logins().await;
    assert_eq!(house.service.running_logins(ALICE).len(), 0);
    assert_eq!((house.waits().await, house.issuers.polls.load(SeqCst)), (0, 0));
}

#[tokio::test(start_paused = true)]
async fn a_login_is_kept_while_it_waits_and_no_longer() {
    let house = House::new();
    house.login("wlcg").await.unwrap();
    assert_eq!(house.waits().await, 1);
    house.service.cancel_login(&house.caller(ALICE), "wlcg").await.unwrap();
    house.end_of_login("wlcg").await;
    assert_eq!(house.waits().await, 0);
    house.sign_in("wlcg", sign_in_of("alice-sub")).await;
    assert_eq!(house.waits().await, 0);
}
