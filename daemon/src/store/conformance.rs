//! What every store must do. A driver calls `store_conformance!` with an expression that makes an
//! empty store and whatever must live as long as it.

use std::{
    collections::BTreeSet,
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use futures_util::StreamExt;
use tokio::{task::JoinSet, time::timeout};

use super::{Change, Changes, Store, StoreError, Swap};
use crate::account::ports::Revision;

const ABSENT: Revision = Revision::ABSENT;
const LONG: Duration = Duration::from_secs(20);
const SHORT: Duration = Duration::from_millis(50);

macro_rules! store_conformance {
    ($make:expr) => {
        store_conformance! { $make;
            each_revision_is_won_once
            a_swap_at_another_revision_is_refused_and_changes_nothing
            several_swaps_happen_together_or_not_at_all
            a_removed_key_is_absent_and_its_revisions_never_come_again
            a_lock_has_one_holder_and_dropping_it_releases
            a_waiter_that_gives_up_blocks_nobody
            a_list_is_complete_and_in_the_order_of_bytes
            odd_keys_are_kept_apart
            big_and_empty_values_survive
            a_snapshot_is_of_one_moment_and_holds_up_nobody
            a_sound_store_has_no_damage
            a_watch_resumes_at_a_revision
            a_watch_tells_changes_of_its_prefix_as_they_happen
            a_watch_that_is_far_behind_catches_up
        }
    };
    ($make:expr; $($name:ident)*) => {
        mod conformance {
            use super::*;
            $(
                #[tokio::test(flavor = "multi_thread")]
                async fn $name() {
                    // None where the engine is not installed.
                    let made: Option<_> = $make.into();
                    let Some((store, _alive)) = made else { return };
                    $crate::store::conformance::$name(store).await;
                }
            )*
        }
    };
}

fn some(value: &str) -> Option<Vec<u8>> {
    Some(value.as_bytes().to_vec())
}

async fn next(changes: &mut Changes) -> Change {
    timeout(LONG, changes.next()).await.expect("no change came").unwrap().unwrap()
}

/// Sixteen tasks count up one value; what each won is unique, and no count is lost.
pub(crate) async fn each_revision_is_won_once(store: Arc<dyn Store>) {
    let mut tasks = JoinSet::new();
    for _ in 0..16 {
        let store = Arc::clone(&store);
        tasks.spawn(async move {
            let mut won = Vec::new();
            while won.len() < 10 {
                let now = store.get("n").await.unwrap();
                let (count, at) = now.map_or((0, ABSENT), |e| (e.value[0], e.revision));
                match store.compare_and_swap("n", at, Some(vec![count + 1])).await {
                    Ok(revision) => won.push(revision),
                    Err(StoreError::Conflict) => {}
                    Err(error) => panic!("{error}"),
                }
            }
            assert!(won.is_sorted());
            won
        });
    }
    let won: Vec<_> = tasks.join_all().await.into_iter().flatten().collect();
    assert_eq!(won.iter().collect::<BTreeSet<_>>().len(), 160);
    let last = store.get("n").await.unwrap().unwrap();
    assert_eq!((last.value, Some(&last.revision)), (vec![160], won.iter().max()));
}

pub(crate) async fn a_swap_at_another_revision_is_refused_and_changes_nothing(
    store: Arc<dyn Store>,
) {
    let first = store.compare_and_swap("k", ABSENT, some("1")).await.unwrap();
    assert!(first > ABSENT);
    let second = store.compare_and_swap("k", first, some("2")).await.unwrap();
    for (key, expected) in [("k", ABSENT), ("k", first), ("other", second)] {
        for value in [some("x"), None] {
            let refused = store.compare_and_swap(key, expected, value).await;
            assert_eq!(refused, Err(StoreError::Conflict), "{key} at {expected:?}");
        }
    }
    let now = store.get("k").await.unwrap().unwrap();
    assert_eq!((now.value, now.revision), (b"2".to_vec(), second));
    assert!(store.get("other").await.unwrap().is_none());
}

fn swap(key: &str, expected: Revision, value: Option<Vec<u8>>) -> Swap {
    Swap { key: key.to_owned(), expected, value }
}

pub(crate) async fn several_swaps_happen_together_or_not_at_all(store: Arc<dyn Store>) {
    let old = store.compare_and_swap("p/old", ABSENT, some("1")).await.unwrap();
    let other = store.compare_and_swap("p/other", ABSENT, some("2")).await.unwrap();
    let before = store.list("").await.unwrap();
    let moved = |of: Revision, also: Revision| {
        vec![
            swap("p/old", of, None),
            swap("p/new", ABSENT, some("1")),
            swap("p/other", also, some("3")),
        ]
    };
    // Whichever of them is at another revision, none happens.
    for swaps in [moved(other, other), moved(old, old)] {
        assert_eq!(store.swap_all(swaps).await, Err(StoreError::Conflict));
        assert_eq!(store.list("").await.unwrap(), before);
    }
    let mut changes = store.watch("p/", before.revision).await.unwrap();
    let last = store.swap_all(moved(old, other)).await.unwrap();
    assert_eq!(store.keys("").await.unwrap(), ["p/new", "p/other"]);
    let told = [next(&mut changes).await, next(&mut changes).await, next(&mut changes).await];
    let told: Vec<_> =
        told.iter().map(|change| (change.key.as_str(), change.value.is_some())).collect();
    assert_eq!(told, [("p/old", false), ("p/new", true), ("p/other", true)]);
    assert_eq!(store.list("").await.unwrap().revision, last);
    let again = store.swap_all(moved(old, other)).await;
    assert_eq!(again, Err(StoreError::Conflict));
    // None at all changes nothing.
    assert_eq!(store.swap_all(Vec::new()).await, Ok(last));
    // Two at once: one wins, whole.
    let value = store.get("p/new").await.unwrap().unwrap();
    let to = |name: &str| {
        let store = Arc::clone(&store);
        let swaps = vec![swap("p/new", value.revision, None), swap(name, ABSENT, some("1"))];
        tokio::spawn(async move { store.swap_all(swaps).await })
    };
    let (a, b) = tokio::join!(to("p/a"), to("p/b"));
    assert_eq!(a.unwrap().is_ok(), b.unwrap().is_err());
    assert_eq!(store.keys("p/").await.unwrap().len(), 2);
}

pub(crate) async fn a_removed_key_is_absent_and_its_revisions_never_come_again(
    store: Arc<dyn Store>,
) {
    let first = store.compare_and_swap("k", ABSENT, some("1")).await.unwrap();
    let removed = store.compare_and_swap("k", first, None).await.unwrap();
    assert!(store.get("k").await.unwrap().is_none());
    assert!(store.keys("").await.unwrap().is_empty());
    let again = store.compare_and_swap("k", ABSENT, some("1")).await.unwrap();
    assert!(first < removed && removed < again);
    assert_eq!(store.compare_and_swap("k", first, None).await, Err(StoreError::Conflict));
}

pub(crate) async fn a_lock_has_one_holder_and_dropping_it_releases(store: Arc<dyn Store>) {
    let inside = Arc::new(AtomicU32::new(0));
    let mut tasks = JoinSet::new();
    for _ in 0..16 {
        let (store, inside) = (Arc::clone(&store), Arc::clone(&inside));
        tasks.spawn(async move {
            let _held = store.lock("l").await.unwrap();
            assert_eq!(inside.fetch_add(1, Ordering::SeqCst), 0);
            tokio::task::yield_now().await;
            inside.fetch_sub(1, Ordering::SeqCst);
        });
    }
    timeout(LONG, tasks.join_all()).await.expect("a lock was not released");

    let held = store.lock("l").await.unwrap();
    let other = timeout(LONG, store.lock("other")).await;
    assert!(other.is_ok(), "locks of other names do not wait");
    assert!(timeout(SHORT, store.lock("l")).await.is_err());
    drop(held);
    assert!(timeout(LONG, store.lock("l")).await.is_ok());
}

pub(crate) async fn a_waiter_that_gives_up_blocks_nobody(store: Arc<dyn Store>) {
    let held = store.lock("l").await.unwrap();
    for _ in 0..3 {
        assert!(timeout(SHORT, store.lock("l")).await.is_err());
    }
    let waits = {
        let store = Arc::clone(&store);
        tokio::spawn(async move { store.lock("l").await.map(drop) })
    };
    assert!(timeout(SHORT, store.lock("l")).await.is_err());
    drop(held);
    timeout(LONG, waits).await.expect("the next one in line has it").unwrap().unwrap();
}

pub(crate) async fn a_list_is_complete_and_in_the_order_of_bytes(store: Arc<dyn Store>) {
    let all = ["a", "a/1", "a/10", "a/2", "a/Z", "a/é", "a/\u{10ffff}", "a0", "b/1"];
    let mut last = ABSENT;
    for key in all.iter().rev() {
        last = store.compare_and_swap(key, ABSENT, some(key)).await.unwrap();
    }
    let listing = store.list("a/").await.unwrap();
    let keys: Vec<_> = listing.entries.iter().map(|entry| entry.key.as_str()).collect();
    assert_eq!(keys, ["a/1", "a/10", "a/2", "a/Z", "a/é", "a/\u{10ffff}"]);
    assert!(listing.entries.iter().all(|entry| entry.value == entry.key.as_bytes()));
    assert_eq!(listing.revision, last);
    assert_eq!(store.keys("a/").await.unwrap(), keys);
    assert_eq!(store.keys("").await.unwrap(), all);
    assert!(store.list("c").await.unwrap().entries.is_empty());
}

pub(crate) async fn odd_keys_are_kept_apart(store: Arc<dyn Store>) {
    let long = "x".repeat(1000);
    let odd = ["%", "_", "*", "a\0b", "a", "a\n", "'; --", "ä", "a\u{308}", "A", " ", &long];
    for key in odd {
        store.compare_and_swap(key, ABSENT, some(key)).await.unwrap();
    }
    for key in odd {
        let found = store.get(key).await.unwrap().unwrap();
        assert_eq!((found.key.as_str(), found.value.as_slice()), (key, key.as_bytes()));
    }
    assert_eq!(store.keys("%").await.unwrap(), ["%"]);
    assert_eq!(store.keys("a\0").await.unwrap(), ["a\0b"]);
}

pub(crate) async fn big_and_empty_values_survive(store: Arc<dyn Store>) {
    let big: Vec<u8> = (0..1_000_000_u32).map(|i| ((i * 31) >> 3) as u8).collect();
    let at = store.compare_and_swap("v", ABSENT, Some(big.clone())).await.unwrap();
    assert!(store.get("v").await.unwrap().unwrap().value == big);
    store.compare_and_swap("v", at, Some(Vec::new())).await.unwrap();
    assert!(store.get("v").await.unwrap().unwrap().value.is_empty(), "empty is not absent");
}

pub(crate) async fn a_watch_resumes_at_a_revision(store: Arc<dyn Store>) {
    let a = store.compare_and_swap("p/a", ABSENT, some("1")).await.unwrap();
    store.compare_and_swap("p/b", ABSENT, some("1")).await.unwrap();
    let from = store.list("p/").await.unwrap().revision;
    let removed = store.compare_and_swap("p/a", a, None).await.unwrap();
    let made = store.compare_and_swap("p/c", ABSENT, some("2")).await.unwrap();

    let mut changes = store.watch("p/", from).await.unwrap();
    let gone = Change { revision: removed, key: "p/a".into(), value: None };
    let new = Change { revision: made, key: "p/c".into(), value: some("2") };
    assert_eq!(next(&mut changes).await, gone);
    assert_eq!(next(&mut changes).await, new);

    let mut resumed = store.watch("p/", removed).await.unwrap();
    assert_eq!(next(&mut resumed).await, new);
    assert!(timeout(SHORT, resumed.next()).await.is_err());
}

pub(crate) async fn a_watch_tells_changes_of_its_prefix_as_they_happen(store: Arc<dyn Store>) {
    let mut changes = store.watch("p/", store.list("p/").await.unwrap().revision).await.unwrap();
    let mut wanted = Vec::new();
    for round in 0..20 {
        store.compare_and_swap(&format!("q/{round}"), ABSENT, some("no")).await.unwrap();
        let key = format!("p/{round}");
        let made = store.compare_and_swap(&key, ABSENT, some("yes")).await.unwrap();
        wanted.push(Change { revision: made, key: key.clone(), value: some("yes") });
        assert_eq!(Some(&next(&mut changes).await), wanted.last());
        let removed = store.compare_and_swap(&key, made, None).await.unwrap();
        wanted.push(Change { revision: removed, key, value: None });
        assert_eq!(Some(&next(&mut changes).await), wanted.last());
    }
}

pub(crate) async fn a_watch_that_is_far_behind_catches_up(store: Arc<dyn Store>) {
    let from = store.list("").await.unwrap().revision;
    let mut changes = store.watch("p/", from).await.unwrap();
    let mut wanted = BTreeSet::new();
    for i in 0..700_u32 {
        let key = format!("p/{}", i % 600);
        let at = store.get(&key).await.unwrap().map_or(ABSENT, |entry| entry.revision);
        let made = store.compare_and_swap(&key, at, some("v")).await.unwrap();
        wanted.retain(|(_, of)| *of != key);
        if i % 3 == 0 {
            let gone = store.compare_and_swap(&key, made, None).await.unwrap();
            wanted.insert((gone, key));
        } else {
            wanted.insert((made, key));
        }
    }
    let mut last = from;
    while !wanted.is_empty() {
        let change = next(&mut changes).await;
        assert!(change.revision > last, "revisions only rise");
        last = change.revision;
        wanted.remove(&(change.revision, change.key));
    }
}

pub(crate) async fn a_snapshot_is_of_one_moment_and_holds_up_nobody(store: Arc<dyn Store>) {
    assert_eq!(store.snapshot().await.unwrap().count, 0);
    for i in 0..300_u32 {
        store.compare_and_swap(&format!("{i:03}"), ABSENT, some("old")).await.unwrap();
    }
    let mut snapshot = store.snapshot().await.unwrap();
    assert_eq!(snapshot.revision, store.list("").await.unwrap().revision);
    let first = timeout(LONG, snapshot.entries.next()).await.unwrap().unwrap().unwrap();
    for i in 0..300_u32 {
        let key = format!("{i:03}");
        let at = store.get(&key).await.unwrap().unwrap().revision;
        let value = (i % 2 == 0).then(|| b"new".to_vec());
        timeout(LONG, store.compare_and_swap(&key, at, value)).await.unwrap().unwrap();
    }
    store.compare_and_swap("zzz", ABSENT, some("new")).await.unwrap();
    let mut seen = vec![first];
    while let Some(entry) = timeout(LONG, snapshot.entries.next()).await.unwrap() {
        seen.push(entry.unwrap());
    }
    assert_eq!((snapshot.count, seen.len()), (300, 300));
    assert!(seen.iter().all(|entry| entry.value == b"old"));
    assert!(seen.is_sorted_by_key(|entry| entry.key.clone()));
    // One that nobody reads to its end leaves nothing behind.
    drop(store.snapshot().await.unwrap());
    assert_eq!(store.snapshot().await.unwrap().count, 151);
}

pub(crate) async fn a_sound_store_has_no_damage(store: Arc<dyn Store>) {
    store.compare_and_swap("k", ABSENT, some("v")).await.unwrap();
    assert_eq!(store.damage().await.unwrap(), None);
}
