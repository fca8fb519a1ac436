//! Locks that several nodes respect: keys that live as long as a lease of the node's.
//!
//! Who wants a lock puts a key of its own below the lock's name and waits until none that was made
//! before is left. Within the node there is one in line at a time for each name. All keys hang on
//! one lease, which is kept alive while the daemon runs; when etcd does not hear of the node for
//! [`super::EtcdSettings::lock_time`] the keys go, and whoever is next holds the lock.
//!
//! What this node held when its daemon was killed stays its own at the next start, until the journal
//! is in the store: whoever is next would ask an issuer with what the journal has replaced.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError, Weak,
        atomic::{AtomicBool, AtomicU64, Ordering::SeqCst},
    },
    time::{Duration, Instant},
};

use async_trait::async_trait;
use etcd_client::{
    Compare, CompareOp, EventType, GetOptions, LeaseTimeToLiveOptions, PutOptions, SortOrder,
    SortTarget, Txn, TxnOp, TxnOpResponse, WatchOptions,
};
use sha2::{Digest, Sha256};

use super::link::{Fault, Link};
use crate::{account::ports::Lock, store::NamedLocks};

/// Who waits for a lock looks again by itself after this time.
const LOOK_AGAIN: Duration = Duration::from_secs(10);
/// A lease that etcd does not take a sign of life for is tried for so often.
const TRY_AGAIN: Duration = Duration::from_secs(1);
/// A key that could not be removed is tried for so often.
const REMOVE_AGAIN: Duration = Duration::from_millis(500);

/// A key that must be there, as it was made then.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Fence {
    pub(super) key: Vec<u8>,
    pub(super) created: i64,
}

/// What this node's locks hang on.
struct Lease {
    id: i64,
    lost: AtomicBool,
    /// When it was asked for, the last time that etcd said yes.
    heard: Mutex<Instant>,
}

impl Lease {
    fn is_lost(&self) -> bool {
        self.lost.load(SeqCst)
    }
}

/// The locks of this node.
pub(super) struct Locks {
    link: Arc<Link>,
    base: String,
    local: NamedLocks,
    lease: tokio::sync::Mutex<Option<Arc<Lease>>>,
    kept: Mutex<Kept>,
    left: Mutex<Option<Left>>,
    number: AtomicU64,
}

#[derive(Default)]
struct Kept {
    /// By name, the locks that are held.
    held: BTreeMap<String, Fence>,
    /// The keys that somebody here sees to.
    keys: BTreeSet<Vec<u8>>,
    /// Keys of the lease that nobody here saw to at the last look.
    strays: BTreeSet<Vec<u8>>,
}

/// What the daemon that ran here before left.
struct Left {
    lease: Arc<Lease>,
    keys: BTreeSet<Vec<u8>>,
}

impl Locks {
    pub(super) fn new(link: Arc<Link>) -> Arc<Self> {
        let base = format!("{}locks/", link.settings.prefix);
        Arc::new(Self {
            link,
            base,
            local: NamedLocks::default(),
            lease: tokio::sync::Mutex::default(),
            kept: Mutex::default(),
            left: Mutex::default(),
            number: AtomicU64::new(0),
        })
    }

    /// What must be there for these keys to be written: the locks of their names that are held here.
    pub(super) fn fences_of<'k>(&self, keys: impl Iterator<Item = &'k str>) -> Vec<Fence> {
        let kept = self.kept();
        keys.filter_map(|key| kept.held.get(key).cloned()).collect()
    }

    /// Waits for the lock of this name.
    pub(super) async fn lock(self: &Arc<Self>, name: &str) -> Result<Box<dyn Lock>, Fault> {
        let mut local = Some(self.local.lock(name).await);
        while let Some(mut claim) = self.left_for(name).await? {
            if claim.wait().await? {
                claim.local = local.take();
                self.kept().held.insert(name.to_owned(), claim.fence.clone());
                return Ok(Box::new(claim));
            }
        }
        loop {
            let lease = self.lease().await?;
            // In a task of its own: who gives up while etcd is asked leaves no key behind.
            let queue = Arc::clone(self).queue(name.to_owned(), lease);
            let mut claim = match tokio::spawn(queue).await {
                Ok(Ok(claim)) => claim,
                // Lost since: with another one.
                Ok(Err(Fault::NoLease)) => continue,
                Ok(Err(fault)) => return Err(fault),
                // A task of tokio's that ends early: at the end of the process only.
                Err(_) => return Err(Fault::NoLease),
            };
            if claim.wait().await? {
                claim.local = local.take();
                self.kept().held.insert(name.to_owned(), claim.fence.clone());
                return Ok(Box::new(claim));
            }
        }
    }

    /// Puts a key of ours in line.
    async fn queue(self: Arc<Self>, name: String, lease: Arc<Lease>) -> Result<Claim, Fault> {
        let number = self.number.fetch_add(1, SeqCst);
        let key = [self.line_of(&name), format!("{:x}-{number}", lease.id).into_bytes()].concat();
        self.kept().keys.insert(key.clone());
        let fence = Fence { key: key.clone(), created: 0 };
        let mut claim =
            Claim { locks: Arc::clone(&self), lease: Arc::clone(&lease), name, fence, local: None };
        let (key, id, node) = (&key, lease.id, &self.link.settings.node);
        let asked = self.link.call(|mut client, _| async move {
            let absent = Compare::create_revision(key.clone(), CompareOp::Equal, 0);
            // Whose it is, for people.
            let put = TxnOp::put(key.clone(), node.clone(), Some(PutOptions::new().with_lease(id)));
            let get = TxnOp::get(key.clone(), None);
            client.txn(Txn::new().when([absent]).and_then([put]).or_else([get])).await
        });
        let answer = asked.await.inspect_err(|fault| {
            if *fault == Fault::NoLease {
                self.lose(&lease);
            }
        })?;
        claim.fence.created = match answer.op_responses().into_iter().next() {
            // An earlier try of the same call put it there.
            Some(TxnOpResponse::Get(got)) => got.kvs().first().map(|pair| pair.create_revision()),
            _ => answer.header().map(|header| header.revision()),
        }
        .ok_or(Fault::NoLease)?;
        Ok(claim)
    }

    /// Where those are who want the lock of this name. Hashed: no name begins with another.
    fn line_of(&self, name: &str) -> Vec<u8> {
        let hash: String =
            Sha256::digest(name).iter().take(16).map(|byte| format!("{byte:02x}")).collect();
        format!("{}{hash}/", self.base).into_bytes()
    }

    /// The lease of this node, made when there is none.
    async fn lease(self: &Arc<Self>) -> Result<Arc<Lease>, Fault> {
        let mut current = self.lease.lock().await;
        if let Some(lease) = current.as_ref().filter(|lease| !lease.is_lost()) {
            return Ok(Arc::clone(lease));
        }
        let seconds = i64::try_from(self.link.settings.lock_time.as_secs()).unwrap_or(60).max(1);
        let asked_at = self.link.clock.monotonic();
        let granted = self
            .link
            .call(|mut client, _| async move { client.lease_grant(seconds, None).await })
            .await?;
        let lease = Arc::new(Lease {
            id: granted.id(),
            lost: AtomicBool::new(false),
            heard: Mutex::new(asked_at),
        });
        *current = Some(Arc::clone(&lease));
        self.note(lease.id).await;
        tokio::spawn(keep(Arc::downgrade(self), Arc::clone(&lease)));
        Ok(lease)
    }

    /// Tells etcd that this node lives.
    async fn keep_alive(&self, lease: &Lease) -> Result<(), Fault> {
        let asked_at = self.link.clock.monotonic();
        let id = lease.id;
        let asked =
            self.link.call(|mut client, _| async move { client.lease_keep_alive(id).await });
        match asked.await {
            Ok(_) => {
                *lease.heard.lock().unwrap_or_else(PoisonError::into_inner) = asked_at;
                Ok(())
            }
            Err(fault) => {
                let heard = *lease.heard.lock().unwrap_or_else(PoisonError::into_inner);
                let silent = self.link.clock.monotonic().saturating_duration_since(heard);
                if fault == Fault::NoLease || silent > self.link.settings.lock_time {
                    self.lose(lease);
                }
                Err(fault)
            }
        }
    }

    fn lose(&self, lease: &Lease) {
        if !lease.lost.swap(true, SeqCst) {
            tracing::warn!(
                "{}: did not hear of this node in time; the locks that it held are given up",
                self.link.place()
            );
        }
    }

    /// Removes keys of the lease that nobody here saw to at two looks: what a call left behind whose
    /// answer was lost.
    async fn sweep(&self, lease: &Lease) {
        let id = lease.id;
        let asked = self.link.call(|mut client, _| async move {
            client.lease_time_to_live(id, Some(LeaseTimeToLiveOptions::new().with_keys())).await
        });
        let Ok(answer) = asked.await else { return };
        let gone: Vec<Vec<u8>> = {
            let mut kept = self.kept();
            let strays: BTreeSet<Vec<u8>> =
                answer.keys().iter().filter(|key| !kept.keys.contains(*key)).cloned().collect();
            let before = std::mem::replace(&mut kept.strays, strays.clone());
            strays.into_iter().filter(|key| before.contains(key)).collect()
        };
        for key in &gone {
            let _ =
                self.link.call(|mut c, _| async move { c.delete(key.clone(), None).await }).await;
        }
    }

    /// For the next start.
    async fn note(&self, lease: i64) {
        let Some(path) = &self.link.settings.lease_file else { return };
        if let Err(error) = tokio::fs::write(path, format!("{lease}\n")).await {
            tracing::warn!(%error, "{}: cannot be written: {error}", path.display());
        }
    }

    /// What the daemon that ran here before held is kept for this one.
    pub(super) async fn take_over_what_was_left(self: &Arc<Self>) {
        let Some(path) = &self.link.settings.lease_file else { return };
        let Ok(text) = tokio::fs::read_to_string(path).await else { return };
        let Ok(id) = text.trim().parse::<i64>() else { return };
        let heard = Mutex::new(self.link.clock.monotonic());
        let lease = Arc::new(Lease { id, lost: AtomicBool::new(false), heard });
        let options = || Some(LeaseTimeToLiveOptions::new().with_keys());
        let asked = self.link.call(|mut client, _| async move {
            client.lease_keep_alive(id).await?;
            client.lease_time_to_live(id, options()).await
        });
        let Ok(answer) = asked.await else { return };
        let keys: BTreeSet<_> = answer.keys().iter().cloned().collect();
        self.kept().keys.extend(keys.iter().cloned());
        *self.left() = Some(Left { lease: Arc::clone(&lease), keys });
        *self.lease.lock().await = Some(Arc::clone(&lease));
        tokio::spawn(keep(Arc::downgrade(self), lease));
    }

    /// The place in line for this name that was left, the first where there are several.
    async fn left_for(self: &Arc<Self>, name: &str) -> Result<Option<Claim>, Fault> {
        let line = self.line_of(name);
        let (lease, keys) = {
            let left = self.left();
            let Some(Left { lease, keys }) = &*left else { return Ok(None) };
            let (from, to) = super::range_of(line);
            (Arc::clone(lease), keys.range(from..to).cloned().collect::<Vec<_>>())
        };
        let mut first: Option<Fence> = None;
        for key in &keys {
            let asked = self.link.call(|mut c, _| async move { c.get(key.clone(), None).await });
            let created = asked.await?.kvs().first().map(etcd_client::KeyValue::create_revision);
            if let Some(created) = created
                && first.as_ref().is_none_or(|first| created < first.created)
            {
                first = Some(Fence { key: key.clone(), created });
            }
        }
        let Some(fence) = first else { return Ok(None) };
        if let Some(left) = self.left().as_mut() {
            left.keys.remove(&fence.key);
        }
        let (locks, name) = (Arc::clone(self), name.to_owned());
        Ok(Some(Claim { locks, lease, name, fence, local: None }))
    }

    /// What was left is held by nobody from now on; the next lock hangs on a lease of its own.
    pub(super) async fn give_up_what_was_left(&self) {
        let Some(Left { lease, keys }) = self.left().take() else { return };
        lease.lost.store(true, SeqCst);
        let id = lease.id;
        let asked = self.link.call(|mut client, _| async move { client.lease_revoke(id).await });
        if asked.await.is_ok() {
            tracing::info!("locks of the iamd that ran here before are given up");
        }
        self.kept().keys.retain(|key| !keys.contains(key));
    }

    fn left(&self) -> MutexGuard<'_, Option<Left>> {
        self.left.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn kept(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Keeps a lease alive until it is lost or the store is closed.
async fn keep(locks: Weak<Locks>, lease: Arc<Lease>) {
    let mut again = false;
    loop {
        let Some((clock, time)) = locks
            .upgrade()
            .map(|locks| (Arc::clone(&locks.link.clock), locks.link.settings.lock_time))
        else {
            return;
        };
        clock.sleep(if again { TRY_AGAIN.min(time / 4) } else { time / 4 }).await;
        let Some(locks) = locks.upgrade() else { return };
        if lease.is_lost() {
            return;
        }
        again = locks.keep_alive(&lease).await.is_err();
        if !again {
            locks.sweep(&lease).await;
        }
    }
}

/// A place in line, and the lock when nobody is before it. Dropping it gives it up.
struct Claim {
    locks: Arc<Locks>,
    lease: Arc<Lease>,
    name: String,
    fence: Fence,
    /// That nobody else of this node is in line.
    local: Option<Box<dyn Lock>>,
}

impl Claim {
    /// Waits until nobody is before us; false when our own place is gone.
    async fn wait(&self) -> Result<bool, Fault> {
        let link = &self.locks.link;
        let (from, to) = super::range_of(self.locks.line_of(&self.name));
        let options = GetOptions::new()
            .with_range(to)
            .with_max_create_revision(self.fence.created)
            .with_sort(SortTarget::Create, SortOrder::Descend)
            .with_limit(2)
            .with_keys_only();
        let (from, options) = (&from, &options);
        loop {
            let answer = link
                .call(|mut client, _| async move {
                    client.get(from.clone(), Some(options.clone())).await
                })
                .await?;
            let mut line = answer.kvs().iter();
            if line.next().is_none_or(|own| own.key() != self.fence.key) {
                self.locks.lose_if_gone(&self.lease).await;
                return Ok(false);
            }
            let Some(before) = line.next() else { return Ok(true) };
            let since = answer.header().map_or(0, |header| header.revision());
            tokio::select! {
                () = self.removed(before.key().to_vec(), since + 1) => {}
                () = link.clock.sleep(LOOK_AGAIN) => {}
            }
        }
    }

    /// Ends when this key goes, or when that can not be told.
    async fn removed(&self, key: Vec<u8>, since: i64) {
        let options = WatchOptions::new().with_start_revision(since);
        let (key, options) = (&key, &options);
        let asked = self.locks.link.call(|mut client, _| async move {
            client.watch(key.clone(), Some(options.clone())).await
        });
        let Ok(mut stream) = asked.await else {
            self.locks.link.clock.sleep(TRY_AGAIN).await;
            return;
        };
        while let Ok(Some(told)) = stream.message().await {
            let gone = |event: &etcd_client::Event| event.event_type() == EventType::Delete;
            if told.canceled() || told.events().iter().any(gone) {
                return;
            }
        }
    }
}

impl Locks {
    /// Our key went though nobody here removed it: most likely with its lease.
    async fn lose_if_gone(&self, lease: &Lease) {
        let _ = self.keep_alive(lease).await;
    }
}

#[async_trait]
impl Lock for Claim {
    async fn is_held(&self) -> bool {
        if self.lease.is_lost() || self.locks.keep_alive(&self.lease).await.is_err() {
            return false;
        }
        let key = &self.fence.key;
        let asked =
            self.locks.link.call(|mut c, _| async move { c.get(key.clone(), None).await }).await;
        asked.is_ok_and(|found| {
            found.kvs().first().is_some_and(|pair| pair.create_revision() == self.fence.created)
        })
    }

    fn is_of_several_nodes(&self) -> bool {
        true
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        {
            let mut kept = self.locks.kept();
            if kept.held.get(&self.name) == Some(&self.fence) {
                kept.held.remove(&self.name);
            }
        }
        let (locks, lease) = (Arc::clone(&self.locks), Arc::clone(&self.lease));
        let (key, local) = (std::mem::take(&mut self.fence.key), self.local.take());
        // Without a runtime the daemon is ending: the key goes with its lease.
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            runtime.spawn(give_up(locks, lease, key, local));
        }
    }
}

/// Removes a key, however often that has to be tried. The next one of this node waits for the first
/// try, so that it does not find this key before its own.
async fn give_up(
    locks: Arc<Locks>,
    lease: Arc<Lease>,
    key: Vec<u8>,
    mut local: Option<Box<dyn Lock>>,
) {
    let removed = &key;
    loop {
        let asked =
            locks.link.call(|mut c, _| async move { c.delete(removed.clone(), None).await }).await;
        drop(local.take());
        if !matches!(asked, Err(Fault::Passing(_))) || lease.is_lost() {
            break;
        }
        locks.link.clock.sleep(REMOVE_AGAIN).await;
    }
    locks.kept().keys.remove(&key);
}
