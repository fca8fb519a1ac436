//! A passphrase that is wrong, missing, or not to be used now.

use iamd_protocol::bus::UnlockOptions;

use super::{
    super::passphrases::{WORDS, ever, guarded, secret, unlock},
    *,
};
use crate::account::ports::{LockOn, Revision};

fn shows(when: &str, error: ServiceError) {
    crate::testing::shows("Passphrases", when, error);
}

#[tokio::test]
async fn it_is_wrong_or_tried_too_often() {
    let house = guarded().await;
    house.service.lock(&house.caller(ALICE), "").await.unwrap();
    let wrong = || unlock(&house, ever(), "wrong horse battery");
    let (first, second) = tokio::join!(wrong(), wrong());
    // Which of them comes first is up to the store.
    let mut both = [told(first), told(second)];
    both.sort_by_key(|error| error.kind == Kind::TooManyRequests);
    let [first, second] = both;
    shows("a wrong passphrase", first);
    shows("two passphrases of a user at once", second);
    let mut last = told(wrong().await);
    for _ in 0..20 {
        if last.kind == Kind::WrongPassphrase {
            last = told(wrong().await);
        }
    }
    shows("too many wrong ones", last);
    let asked = house.service.token(&house.caller(ALICE), "", TokenOptions::default()).await;
    shows("anything that needs the secrets of a locked account", told(asked));
    let login = house.login("").await;
    assert_eq!(told(login).message, "the account wlcg is locked");
}

#[tokio::test]
async fn it_is_missing_or_too_short() {
    let house = guarded().await;
    let alice = house.caller(ALICE);
    let set = async |present: Option<&str>, new: Option<&str>| {
        told(house.service.set_passphrase(&alice, "", present.map(secret), new.map(secret)).await)
    };
    shows("a new passphrase is too short", set(Some(WORDS), Some("short")).await);
    shows("a passphrase is changed without the present one", set(None, Some("another one")).await);
    let none = UnlockOptions { for_seconds: Some(0) };
    shows("unlock --for 0", told(unlock(&house, none, WORDS).await));
    house.service.set_passphrase(&alice, "", Some(secret(WORDS)), None).await.unwrap();
    let without = house.service.lock(&alice, "").await;
    shows("an account without a passphrase is locked or unlocked", told(without));
}

/// Another node, or another terminal, changes the account while the passphrase is tried.
#[tokio::test]
async fn the_account_changes_meanwhile() {
    let house = guarded().await;
    let (alice, key) = (house.caller(ALICE), house.alices("wlcg"));
    let lock = house.kept.lock(LockOn::Account(key.clone())).await.unwrap();
    let removed = async {
        house.settle().await;
        let revision = house.kept.account(&key).await.unwrap().unwrap().revision;
        house.kept.remove_account(&key, revision).await.unwrap();
        drop(lock);
    };
    let change =
        house.service.set_passphrase(&alice, "", Some(secret(WORDS)), Some(secret("another one")));
    let (gone, ()) = tokio::join!(change, removed);
    shows("the account was removed while its passphrase was changed", told(gone));

    let record = signed_in(&house.vault);
    let record = house.vault.record(&record);
    house.kept.save_account(&record, Revision::ABSENT).await.unwrap();
    let made = house.service.save_guarded(record, None).await;
    shows("two add an account of one name at once", told(made));
}

#[tokio::test]
async fn a_new_account_is_made_elsewhere_meanwhile() {
    let house = guarded().await;
    let (alice, key) = (house.caller(ALICE), house.alices("new"));
    let lock = house.kept.lock(LockOn::Account(key.clone())).await.unwrap();
    let other = async {
        house.settle().await;
        // A former user of the uid, as a store that nodes share may bring it: not alice's.
        let owner = Owner { uid: ALICE, user: "eve".into() };
        let record =
            Record::new(owner, key.name.clone(), "https://issuer.test/".into(), ClientOwner::Site);
        house.kept.save_account(&record, Revision::ABSENT).await.unwrap();
        drop(lock);
    };
    let set = house.service.set_passphrase(&alice, "new", None, Some(secret(WORDS)));
    let (refused, ()) = tokio::join!(set, other);
    assert_eq!(told(refused).message, "the name new cannot be used; choose another");
}

/// The account that is meant without a name is another one after a reload.
#[tokio::test(start_paused = true)]
async fn which_account_is_meant_changes_meanwhile() {
    let house = House::new();
    let (alice, key) = (house.caller(ALICE), house.alices("wlcg"));
    let lock = house.vault.lock(LockOn::Account(key)).await.unwrap();
    let other = async {
        house.settle().await;
        let text = "[issuers]\ndefault = \"cms\"\n";
        std::fs::write(house.dir.path().join("iamd.toml"), text).unwrap();
        house.service.reload(crate::service::By::ITSELF).unwrap();
        drop(lock);
    };
    let set = house.service.set_passphrase(&alice, "", None, Some(secret(WORDS)));
    let (refused, ()) = tokio::join!(set, other);
    shows("another account is meant after a reload, and was to get a passphrase", told(refused));
}

/// As a damaged disk, or another node's half of a change, may bring it.
#[tokio::test]
async fn what_it_guards_does_not_open() {
    let house = guarded().await;
    let (alice, key) = (house.caller(ALICE), house.alices("wlcg"));
    house.service.lock(&alice, "").await.unwrap();
    let stored = house.kept.account(&key).await.unwrap().unwrap();
    let mut record = stored.value;
    record.guard.as_mut().unwrap().secrets = b"not what was sealed".to_vec();
    house.kept.save_account(&record, stored.revision).await.unwrap();
    let unlocked = unlock(&house, ever(), WORDS).await;
    shows("an account was changed while it was unlocked", told(unlocked));
    let (present, new) = (Some(secret(WORDS)), Some(secret("another one")));
    let changed = house.service.set_passphrase(&alice, "", present, new).await;
    shows("the secrets behind a passphrase are damaged", told(changed));
    let mut record = house.kept.account(&key).await.unwrap().unwrap();
    record.value.guard.as_mut().unwrap().wrapped = b"garbage".to_vec();
    house.kept.save_account(&record.value, record.revision).await.unwrap();
    shows("the guard of an account is damaged", told(unlock(&house, ever(), WORDS).await));
}

#[tokio::test]
async fn an_answer_waits_that_only_the_old_one_opens() {
    let house = guarded().await;
    let (alice, key) = (house.caller(ALICE), house.alices("wlcg"));
    let record = house.kept.account(&key).await.unwrap().unwrap().value;
    house.kept.journal(&record, None).await.unwrap();
    let (present, new) = (Some(secret(WORDS)), Some(secret("another one")));
    let changed = house.service.set_passphrase(&alice, "", present, new).await;
    shows("a passphrase is changed after the store failed", told(changed));
}
