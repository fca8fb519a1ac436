//! Clients at issuers are never forgotten: not with their account, not by a kill, not by a store that
//! fails.

use iamd_protocol::bus::{AddOptions, RemoveOptions, RemoveReply};
use secrecy::ExposeSecret as _;

use super::{
    add::{CMS, WLCG, own, own_client},
    *,
};
use crate::{
    account::{
        ClientRecord,
        ports::{ClientStep, Leftover, LockOn, Revision, Vault as _},
    },
    audit,
};

const DAY: u64 = 24 * 3600;

impl House {
    async fn removed(&self, named: &str) -> RemoveReply {
        let (caller, options) = (self.caller(ALICE), RemoveOptions::default());
        self.service.remove(&caller, named, options).await.unwrap()
    }

    fn away(&self, times: usize) {
        let errors = std::iter::repeat_with(unreachable).take(times);
        self.issuers.deregister_errors.lock().unwrap().extend(errors);
    }

    fn deleted(&self) -> Vec<String> {
        self.issuers.deregistered.lock().unwrap().clone()
    }

    async fn left(&self) -> Vec<String> {
        let left = self.kept.leftovers().await.unwrap();
        left.into_iter().map(|left| left.value.client.client_id).collect()
    }

    /// The identifier of the client that is kept.
    async fn kept_client(&self, owner: &ClientOwner, issuer: &str) -> Option<ClientRecord> {
        self.kept.client(owner, issuer).await.unwrap().map(|client| client.value)
    }

    fn results(&self) -> Vec<String> {
        let records = self.audit.of(audit::Kind::Registration);
        records.into_iter().map(|record| record.result).filter(|result| result != "ok").collect()
    }
}

fn new_client() -> LoginOptions {
    LoginOptions { new_client: Some(true), ..LoginOptions::default() }
}

#[tokio::test]
async fn r22_a_client_that_could_not_be_deleted_is_tried_again_also_after_a_restart() {
    let house = House::sealing().await;
    house.make("mine", own_client(), &[]).await.unwrap();
    house.away(1);
    let reply = house.removed("mine").await;
    assert!(!reply.client_deleted);
    assert!(reply.remarks.iter().any(|remark| remark.contains("tried again for 14 days")));
    assert_eq!(house.left().await, ["client-1"]);
    assert!(house.kept_client(&own("mine"), WLCG).await.is_none(), "nobody gets it again");
    let found = house.service.diagnose(&house.caller(ALICE)).await.unwrap();
    assert!(found.iter().any(|found| found.text.contains("still to be deleted")), "{found:?}");
    // Not at once, and at a start whenever it was tried last.
    house.service.clear_up_once(false).await;
    assert_eq!(house.deleted(), ["client-1"]);
    let house = house.restarted().await;
    house.away(1);
    house.service.clear_up_once(true).await;
    assert_eq!(
        (house.deleted(), house.left().await),
        (vec!["client-1".into()], vec!["client-1".into()])
    );
    house.clock.pass(121);
    house.service.clear_up_once(false).await;
    assert_eq!((house.deleted().len(), house.left().await.len()), (2, 0));
    assert_eq!(house.results(), ["deleted"]);
    house.service.clear_up_once(true).await;
    assert_eq!(house.deleted().len(), 2);
}

#[tokio::test]
async fn r22_after_two_weeks_it_is_given_up_and_recorded() {
    let house = House::sealing().await;
    house.make("mine", own_client(), &[]).await.unwrap();
    house.away(1000);
    house.removed("mine").await;
    let mut tries = 0;
    while !house.left().await.is_empty() {
        let next = house.service.clear_up_once(false).await;
        house.clock.pass(next.as_secs().max(1));
        tries += 1;
        assert!(tries < 1000);
    }
    assert_eq!(house.results(), ["not-deleted"]);
    // About four a day.
    assert!((50..80).contains(&house.deleted().len()), "{}", house.deleted().len());
    assert!(house.clock.wall().0 >= 1_000_000 + 14 * DAY);
}

#[tokio::test(start_paused = true)]
async fn r22_what_no_issuer_will_ever_delete_and_what_is_too_much_is_said_at_once() {
    let house = House::new();
    house.make("mine", own_client(), &[]).await.unwrap();
    let no_way = IssuerError::Unsupported { text: "no way to delete it".into() };
    house.issuers.deregister_errors.lock().unwrap().push_back(no_way);
    let reply = house.removed("mine").await;
    let when = "account remove, and the issuer has no way to delete a client";
    shows_beside(when, &reply.remarks[0]);
    assert_eq!((house.left().await.len(), house.results()), (0, vec!["not-deleted".to_owned()]));
    for number in 0..Leftover::MOST {
        let client = client(own("old"), &profile().url, 100 + number);
        let leftover = Leftover::new(client, house.clock.wall());
        house.vault.save_leftover(&leftover, Revision::ABSENT).await.unwrap();
    }
    house.make("mine", own_client(), &[]).await.unwrap();
    house.away(1);
    let reply = house.removed("mine").await;
    assert!(reply.remarks[0].contains("stays there"), "{reply:?}");
    assert_eq!(house.left().await.len(), Leftover::MOST);
}

#[tokio::test]
async fn what_a_store_that_fails_does_not_take_of_a_deletion_is_found_at_the_next_start() {
    let house = House::sealing().await;
    house.make("mine", own_client(), &[]).await.unwrap();
    let client = house.kept_client(&own("mine"), WLCG).await.unwrap();
    house.kept.discard_account(&house.alices("mine")).await.unwrap();
    house.kept.remove_client(&own("mine"), WLCG).await.unwrap();
    house.disk_full.store(true, SeqCst);
    house.away(1);
    house.service.give_up(&profile(), &client).await;
    let house = house.restarted().await;
    assert_eq!(house.left().await, ["client-1"]);
}

#[tokio::test]
async fn r20_new_credentials_are_in_the_journal_before_the_store_and_survive_its_failure() {
    let house = House::sealing().await;
    house.make("mine", own_client(), &[]).await.unwrap();
    house.disk_full.store(true, SeqCst);
    let token = |client: &ClientRecord| {
        client.registration_access_token.as_ref().unwrap().expose_secret().to_owned()
    };
    for _ in 0..2 {
        let read = house.service.read_registration(&profile(), &own("mine")).await.unwrap();
        assert_eq!(token(&read), "rat-read");
        // Whoever asks next has the newest.
        assert_eq!(token(&house.kept_client(&own("mine"), WLCG).await.unwrap()), "rat-read");
    }
    let house = house.restarted().await;
    assert_eq!(token(&house.kept_client(&own("mine"), WLCG).await.unwrap()), "rat-read");
    // It is in the store, not in the journal again.
    let house = house.restarted().await;
    let client = house.kept_client(&own("mine"), WLCG).await.unwrap();
    assert_eq!((token(&client), client.client_id.as_str()), ("rat-read".into(), "client-1"));
    assert_eq!(house.left().await, [""; 0]);
}

#[tokio::test]
async fn r19_a_new_client_that_the_store_does_not_take_is_used_and_is_there_after_a_restart() {
    let house = House::sealing().await;
    house.disk_full.store(true, SeqCst);
    assert_eq!(house.login("cms").await.unwrap().state, "pending");
    assert_eq!(house.deleted(), [""; 0]);
    house.service.cancel_login(&house.caller(ALICE), "cms").await.unwrap();
    house.settle().await;
    house.login("cms").await.unwrap();
    assert_eq!(house.issuers.registrations.load(SeqCst), 1, "it is known");
    let house = house.restarted().await;
    let client = house.kept_client(&ClientOwner::User(ALICE), CMS).await.unwrap();
    assert_eq!((client.client_id.as_str(), client.user.as_deref()), ("client-1", Some("alice")));
    assert_eq!(house.left().await, [""; 0]);
}

#[tokio::test]
async fn r22_a_kill_during_a_login_with_a_new_client_leaves_none_that_is_forgotten() {
    let house = House::sealing().await;
    house.make("mine", own_client(), &[]).await.unwrap();
    assert_eq!(house.login_with("mine", new_client()).await.unwrap().state, "pending");
    house.clock.pass(601);
    let house = house.restarted().await;
    let kept = house.kept_client(&own("mine"), WLCG).await.unwrap();
    assert_eq!(kept.client_id, "client-1", "the account has what it had");
    // The code has ended, and with it the login that the client was for.
    house.away(1);
    house.service.resume_logins().await;
    assert_eq!(house.left().await, ["client-2"]);
    house.service.clear_up_once(true).await;
    assert_eq!(house.deleted(), ["client-2", "client-2"]);
    assert_eq!(house.restarted().await.left().await, [""; 0]);
}

#[tokio::test]
async fn r22_a_kill_before_the_code_of_a_login_with_a_new_client_leaves_none_either() {
    let house = House::sealing().await;
    house.make("mine", own_client(), &[]).await.unwrap();
    *house.issuers.device_latency.lock().unwrap() = 1000 * S;
    let options = LoginOptions { if_needed: Some(true), ..new_client() };
    assert_eq!(house.login_with("mine", options).await.unwrap().state, "starting");
    let house = house.restarted().await;
    assert_eq!(house.left().await, ["client-2"]);
    assert_eq!(house.kept_client(&own("mine"), WLCG).await.unwrap().client_id, "client-1");
}

#[tokio::test]
async fn r22_a_kill_while_a_client_is_registered_is_recorded_for_the_issuers_people() {
    let house = House::sealing().await;
    *house.issuers.register_latency.lock().unwrap() = 1000 * S;
    let options = LoginOptions { if_needed: Some(true), ..LoginOptions::default() };
    assert_eq!(house.login_with("cms", options).await.unwrap().state, "starting");
    let house = house.restarted().await;
    assert_eq!(house.left().await, [""]);
    house.service.clear_up_once(true).await;
    assert_eq!((house.left().await.len(), house.results()), (0, vec!["lost".to_owned()]));
    assert_eq!(house.deleted(), [""; 0]);
}

#[tokio::test]
async fn r22_a_kill_between_a_client_and_its_account_leaves_none_that_is_forgotten() {
    let house = House::sealing().await;
    let url = profile().url;
    let lone = client(own("never"), &url, 7);
    house.kept.save_client(&lone, Revision::ABSENT).await.unwrap();
    let mut brought = client(ClientOwner::Given(ALICE, "given".parse().unwrap()), &url, 8);
    brought.client_id = "my-id".into();
    house.kept.save_client(&brought, Revision::ABSENT).await.unwrap();
    house.make("mine", own_client(), &[]).await.unwrap();
    let house = house.restarted().await;
    assert_eq!(house.left().await, ["client-7"]);
    assert!(house.kept_client(&own("never"), WLCG).await.is_none());
    assert!(house.kept_client(&brought.owner, WLCG).await.is_none(), "its secret neither");
    assert!(house.kept_client(&own("mine"), WLCG).await.is_some());
}

/// An account whose client is being replaced: which one it signed in with decides.
async fn killed_while_placed(signed_in_with: &str) -> House {
    let house = House::sealing().await;
    house.make("mine", own_client(), &[]).await.unwrap();
    let before = house.kept.client(&own("mine"), WLCG).await.unwrap().unwrap();
    let fresh = client(own("mine"), &profile().url, 2);
    house.kept.journal_client(&ClientStep::Aside(fresh.clone())).await.unwrap();
    house.kept.journal_client(&ClientStep::Aside(before.value)).await.unwrap();
    house.kept.save_client(&fresh, before.revision).await.unwrap();
    let mut account = house.kept.account(&house.alices("mine")).await.unwrap().unwrap();
    account.value.client_id = Some(signed_in_with.into());
    house.kept.save_account(&account.value, account.revision).await.unwrap();
    house.restarted().await
}

#[tokio::test]
async fn a_kill_while_a_client_takes_anothers_place_leaves_the_account_the_one_it_signed_in_with() {
    for (signed_in_with, left) in [("client-1", "client-2"), ("client-2", "client-1")] {
        let house = Box::pin(killed_while_placed(signed_in_with)).await;
        let kept = house.kept_client(&own("mine"), WLCG).await.unwrap();
        assert_eq!(kept.client_id, signed_in_with);
        assert_eq!(house.left().await, [left]);
    }
}

#[tokio::test]
async fn what_the_journal_has_of_a_client_goes_with_its_account_to_another_name() {
    let house = House::sealing().await;
    house.make("mine", own_client(), &[]).await.unwrap();
    house.disk_full.store(true, SeqCst);
    house.service.read_registration(&profile(), &own("mine")).await.unwrap();
    house.disk_full.store(false, SeqCst);
    house.service.rename(&house.caller(ALICE), "mine", "other").await.unwrap();
    let house = house.restarted().await;
    let client = house.kept_client(&own("other"), WLCG).await.unwrap();
    assert_eq!(client.registration_access_token.unwrap().expose_secret(), "rat-read");
    assert_eq!(house.left().await, [""; 0]);
    drop(house.kept.lock(LockOn::Client(own("other"), WLCG.into())).await.unwrap());
}

#[tokio::test(start_paused = true)]
async fn without_the_journal_nothing_is_registered() {
    let house = House::and("[limits]\nregistrations = 1\n");
    house.vault.journal_fails.store(true, SeqCst);
    let at_cms = || AddOptions { issuer: Some("cms".into()), ..AddOptions::default() };
    assert_eq!(kind(house.make("a", at_cms(), &[]).await), Kind::StoreUnavailable);
    assert_eq!(house.issuers.registrations.load(SeqCst), 0);
    house.vault.journal_fails.store(false, SeqCst);
    house.make("a", at_cms(), &[]).await.unwrap();
}
