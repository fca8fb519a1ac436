//! The store of several login nodes: etcd, API version 3.
//!
//! | what | key |
//! |---|---|
//! | a row | `PREFIX` `rows/` KEY |
//! | who holds or waits for a lock | `PREFIX` `locks/` HASH of its name `/` lease and number |
//!
//! A revision is etcd's: one counter for all that is in it, so that numbers are left out here. What
//! is changed together has one revision. Values are sealed before they come here, and whoever reads
//! etcd learns no more than that there are accounts.

mod changes;
mod link;
mod locks;
mod pages;
#[cfg(test)]
mod tests;

use std::{collections::VecDeque, path::PathBuf, sync::Arc, time::Duration};

use async_trait::async_trait;
use etcd_client::{
    AlarmAction, AlarmType, Compare, CompareOp, GetOptions, KeyValue, Txn, TxnOp, TxnOpResponse,
    TxnResponse,
};
use futures_util::{StreamExt, stream};

use self::{
    link::{Fault, Link},
    locks::{Fence, Locks},
    pages::{Page, Pages},
};
use super::{Changes, Entry, Listing, Snapshot, Store, StoreError, Swap};
use crate::{
    account::ports::{Lock, Revision},
    clock::Clock,
};

/// How often a listing that is compacted while it is read is begun anew.
const TRIES: usize = 3;
/// Between two tries at a start.
const PAUSE: Duration = Duration::from_millis(200);
/// What etcd takes in one transaction, unless it is told otherwise (`--max-txn-ops`).
const MOST_AT_ONCE: usize = 128;

/// Where etcd is and how it is spoken to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EtcdSettings {
    /// The members, as URLs.
    pub endpoints: Vec<String>,
    /// What all keys begin with.
    pub prefix: String,
    /// For members that are `https`.
    pub tls: Option<EtcdTls>,
    /// Who this node is, where etcd asks for that.
    pub user: Option<EtcdUser>,
    /// How long one call may take in all, at as many members as there are.
    pub timeout: Duration,
    /// How long a connection may take to be made.
    pub connect_timeout: Duration,
    /// How long a start waits for etcd to answer.
    pub start_within: Duration,
    /// How long a lock outlives the last sign of life of who holds it. Longer than an issuer may
    /// take to reply: what was asked under a lock is answered before another node can ask.
    pub lock_time: Duration,
    /// This node's name, which no other node has.
    pub node: String,
    /// Where this node notes the lease of its locks, for its next start to give up what it left.
    pub lease_file: Option<PathBuf>,
}

/// Files of certificates, PEM; each connection reads them anew.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EtcdTls {
    /// Who vouches for the members.
    pub ca: PathBuf,
    /// What this node shows.
    pub client: Option<EtcdCertificate>,
}

/// A certificate of this node's and its key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EtcdCertificate {
    /// The certificate, with those between it and its authority.
    pub certificate: PathBuf,
    /// Its private key.
    pub key: PathBuf,
}

/// A user of etcd.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EtcdUser {
    /// Its name.
    pub name: String,
    /// The file with the password.
    pub password: PathBuf,
}

/// The store of several nodes.
pub struct EtcdStore {
    link: Arc<Link>,
    rows: Rows,
    locks: Arc<Locks>,
}

/// Which keys of etcd are rows.
#[derive(Debug, Clone)]
struct Rows {
    base: Arc<str>,
}

impl Rows {
    fn of(&self, key: &str) -> Vec<u8> {
        [self.base.as_bytes(), key.as_bytes()].concat()
    }

    /// All rows whose key begins so: from the first to before the second.
    fn range(&self, prefix: &str) -> (Vec<u8>, Vec<u8>) {
        range_of(self.of(prefix))
    }

    fn key_of(&self, row: &[u8]) -> Result<String, Fault> {
        let key = row.strip_prefix(self.base.as_bytes()).map(<[u8]>::to_vec);
        key.and_then(|key| String::from_utf8(key).ok()).ok_or_else(|| {
            Fault::Final(format!("there is a key below {} that iamd did not write", self.base))
        })
    }

    fn entry(&self, pair: KeyValue) -> Result<Entry, Fault> {
        let revision = Revision(u64::try_from(pair.mod_revision()).unwrap_or_default());
        let (key, value) = pair.into_key_value();
        Ok(Entry { key: self.key_of(&key)?, value, revision })
    }
}

/// The keys that begin with these bytes, whose last one is not 0xff: from the first to before the
/// second.
fn range_of(from: Vec<u8>) -> (Vec<u8>, Vec<u8>) {
    let mut to = from.clone();
    if let Some(last) = to.last_mut() {
        *last = last.saturating_add(1);
    }
    (from, to)
}

fn revision(number: Option<i64>) -> Revision {
    Revision(number.and_then(|number| u64::try_from(number).ok()).unwrap_or_default())
}

impl EtcdStore {
    /// A store there. Asks whether it answers, for as long as a start may take. What this node held
    /// before, it holds until [`Store::begun`].
    ///
    /// # Errors
    /// No member answers, or this node is refused.
    pub async fn open(settings: EtcdSettings, clock: Arc<dyn Clock>) -> Result<Self, StoreError> {
        let rows = Rows { base: format!("{}rows/", settings.prefix).into() };
        let link = Arc::new(Link::new(settings, clock));
        let locks = Locks::new(Arc::clone(&link));
        let store = Self { link, rows, locks };
        let link = &store.link;
        let ends = link.clock.monotonic() + link.settings.start_within;
        while let Err(fault) = store.look().await {
            if !matches!(fault, Fault::Passing(_)) || link.clock.monotonic() >= ends {
                return Err(link.error(fault));
            }
            link.clock.sleep(PAUSE).await;
        }
        store.locks.take_over_what_was_left().await;
        Ok(store)
    }

    async fn look(&self) -> Result<(), Fault> {
        let row = &self.rows.of("");
        let options = GetOptions::new().with_keys_only();
        let asked = self.link.call(|mut client, _| {
            let options = options.clone();
            async move { client.get(row.clone(), Some(options)).await }
        });
        asked.await.map(drop)
    }

    fn pages(&self, prefix: &str, keys_only: bool) -> Pages {
        Pages::of(Arc::clone(&self.link), self.rows.range(prefix), keys_only)
    }

    async fn all(&self, prefix: &str, keys_only: bool) -> Result<Listing, StoreError> {
        let mut fault = Fault::Compacted;
        for _ in 0..TRIES {
            match self.read_all(prefix, keys_only).await {
                Ok(listing) => return Ok(listing),
                Err(again @ Fault::Compacted) => fault = again,
                Err(other) => return Err(self.link.error(other)),
            }
        }
        Err(self.link.error(fault))
    }

    async fn read_all(&self, prefix: &str, keys_only: bool) -> Result<Listing, Fault> {
        let mut pages = self.pages(prefix, keys_only);
        let mut listing = Listing { entries: Vec::new(), revision: Revision::ABSENT };
        while let Some(page) = pages.next().await? {
            listing.revision = revision(Some(page.revision));
            for pair in page.pairs {
                listing.entries.push(self.rows.entry(pair)?);
            }
        }
        Ok(listing)
    }

    /// The transaction of these swaps under these fences. Where it does not hold, it reads the
    /// locks, and the rows as well when an earlier try may have been acted on.
    fn transaction(&self, swaps: &[Swap], fences: &[Fence], unsure: bool) -> Txn {
        let mut when = Vec::new();
        let mut reads = Vec::new();
        for fence in fences {
            when.push(Compare::create_revision(fence.key.clone(), CompareOp::Equal, fence.created));
            reads.push(TxnOp::get(fence.key.clone(), Some(GetOptions::new().with_keys_only())));
        }
        let mut writes = Vec::new();
        for swap in swaps {
            let row = self.rows.of(&swap.key);
            let expected = i64::try_from(swap.expected.0).unwrap_or(i64::MAX);
            when.push(Compare::mod_revision(row.clone(), CompareOp::Equal, expected));
            if unsure {
                reads.push(TxnOp::get(row.clone(), None));
            }
            writes.push(match &swap.value {
                Some(value) => TxnOp::put(row, value.clone(), None),
                None => TxnOp::delete(row, None),
            });
        }
        Txn::new().when(when).and_then(writes).or_else(reads)
    }

    /// What became of it.
    fn judge(
        &self,
        answer: &TxnResponse,
        swaps: &[Swap],
        fences: &[Fence],
        unsure: bool,
    ) -> Result<Revision, StoreError> {
        let now = answer.header().map(|header| header.revision());
        if answer.succeeded() {
            return Ok(revision(now));
        }
        let found: Vec<_> = answer.op_responses().into_iter().map(only).collect();
        let (locks, rows) = found.split_at(fences.len().min(found.len()));
        let as_wanted = |(swap, row): (&Swap, &Option<KeyValue>)| {
            swap.value.as_deref() == row.as_ref().map(KeyValue::value)
        };
        if unsure && rows.len() == swaps.len() && swaps.iter().zip(rows).all(as_wanted) {
            // The earlier try was acted on, and its answer lost.
            let written = rows.iter().flatten().map(KeyValue::mod_revision).max();
            return Ok(revision(written.or(now)));
        }
        let held = |(fence, lock): (&Fence, &Option<KeyValue>)| {
            lock.as_ref().is_some_and(|lock| lock.create_revision() == fence.created)
        };
        match fences.iter().zip(locks).all(held) {
            true => Err(StoreError::Conflict),
            false => Err(StoreError::LockLost { place: self.link.place() }),
        }
    }

    async fn alarms(&self) -> Result<Option<String>, Fault> {
        let asked = self.link.call(|mut client, _| async move {
            client.alarm(AlarmAction::Get, AlarmType::None, None).await
        });
        let answer = match asked.await {
            Ok(answer) => answer,
            // Not every role may ask.
            Err(Fault::Final(_)) => return Ok(None),
            Err(fault) => return Err(fault),
        };
        let alarm = answer.alarms().iter().find_map(|member| match member.alarm() {
            AlarmType::Nospace => Some("a member has no room left"),
            AlarmType::Corrupt => Some("a member holds something else than the others"),
            AlarmType::None => None,
        });
        Ok(alarm.map(|what| {
            format!("{}: {what}; see its logs, and: etcdctl alarm list", self.link.place())
        }))
    }
}

/// The one pair that a read of one key gave.
fn only(read: TxnOpResponse) -> Option<KeyValue> {
    match read {
        TxnOpResponse::Get(mut got) => got.take_kvs().pop(),
        _ => None,
    }
}

#[async_trait]
impl Store for EtcdStore {
    async fn get(&self, key: &str) -> Result<Option<Entry>, StoreError> {
        let row = &self.rows.of(key);
        let asked = self.link.call(|client, _| async move {
            let mut kv = client.kv_client().max_decoding_message_size(pages::LONGEST_PAGE);
            kv.get(row.clone(), None).await
        });
        let found = asked.await.map(|mut answer| answer.take_kvs().pop());
        let entry = found.and_then(|pair| pair.map(|pair| self.rows.entry(pair)).transpose());
        entry.map_err(|fault| self.link.error(fault))
    }

    async fn list(&self, prefix: &str) -> Result<Listing, StoreError> {
        self.all(prefix, false).await
    }

    async fn keys(&self, prefix: &str) -> Result<Vec<String>, StoreError> {
        let listing = self.all(prefix, true).await?;
        Ok(listing.entries.into_iter().map(|entry| entry.key).collect())
    }

    async fn snapshot(&self) -> Result<Snapshot, StoreError> {
        let mut pages = self.pages("", false);
        let first = pages.next().await.map_err(|fault| self.link.error(fault))?;
        let Page { pairs, revision: at, count } =
            first.unwrap_or(Page { pairs: Vec::new(), revision: 0, count: 0 });
        let reading = Reading {
            pages,
            ready: pairs.into(),
            rows: self.rows.clone(),
            link: Arc::clone(&self.link),
        };
        let entries = stream::unfold(Some(reading), |reading| async move {
            let mut reading = reading?;
            match reading.next().await {
                Ok(Some(entry)) => Some((Ok(entry), Some(reading))),
                Ok(None) => None,
                Err(fault) => Some((Err(reading.link.error(fault)), None)),
            }
        });
        Ok(Snapshot { count, revision: revision(Some(at)), entries: entries.boxed() })
    }

    async fn damage(&self) -> Result<Option<String>, StoreError> {
        let alarm = self.alarms().await.map_err(|fault| self.link.error(fault))?;
        if alarm.is_some() {
            return Ok(alarm);
        }
        let mut snapshot = self.snapshot().await?;
        while let Some(entry) = snapshot.entries.next().await {
            entry?;
        }
        Ok(None)
    }

    async fn compare_and_swap(
        &self,
        key: &str,
        expected: Revision,
        value: Option<Vec<u8>>,
    ) -> Result<Revision, StoreError> {
        self.swap_all(vec![Swap { key: key.to_owned(), expected, value }]).await
    }

    async fn swap_all(&self, swaps: Vec<Swap>) -> Result<Revision, StoreError> {
        if swaps.len() > MOST_AT_ONCE {
            let count = swaps.len();
            return Err(self.link.error(Fault::Final(format!(
                "it does not take {count} changes at once; {MOST_AT_ONCE} is the most"
            ))));
        }
        let fences = self.locks.fences_of(swaps.iter().map(|swap| swap.key.as_str()));
        let (swaps, fences) = (&swaps, &fences);
        let asked = self.link.call(|mut client, unsure| async move {
            let transaction = self.transaction(swaps, fences, unsure);
            client.txn(transaction).await.map(|answer| (answer, unsure))
        });
        let (answer, unsure) = asked.await.map_err(|fault| self.link.error(fault))?;
        self.judge(&answer, swaps, fences, unsure)
    }

    async fn lock(&self, name: &str) -> Result<Box<dyn Lock>, StoreError> {
        self.locks.lock(name).await.map_err(|fault| self.link.error(fault))
    }

    async fn begun(&self) {
        self.locks.give_up_what_was_left().await;
    }

    async fn watch(&self, prefix: &str, after: Revision) -> Result<Changes, StoreError> {
        Ok(changes::watch(Arc::clone(&self.link), self.rows.clone(), prefix, after))
    }
}

/// A snapshot that is being read.
struct Reading {
    pages: Pages,
    ready: VecDeque<KeyValue>,
    rows: Rows,
    link: Arc<Link>,
}

impl Reading {
    async fn next(&mut self) -> Result<Option<Entry>, Fault> {
        loop {
            if let Some(pair) = self.ready.pop_front() {
                return self.rows.entry(pair).map(Some);
            }
            match self.pages.next().await? {
                Some(page) => self.ready.extend(page.pairs),
                None => return Ok(None),
            }
        }
    }
}
