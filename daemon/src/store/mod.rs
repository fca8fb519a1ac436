//! Where sealed records are kept. [`Store`] is the trait that every engine fulfils: SQLite inside
//! the daemon, etcd for several login nodes. The [`Journal`] is local to the node always: what an
//! issuer just answered is on its disk before it goes anywhere else.
//!
//! This room knows nothing of seals: values are opaque bytes, sealed before they come here.

#[cfg(test)]
#[macro_use]
pub(crate) mod conformance;

mod error;
pub mod etcd;
mod floors;
#[cfg(any(test, feature = "fuzzing"))]
pub mod fuzzing;
mod journal;
mod locks;
pub mod sqlite;
mod state_dir;

use async_trait::async_trait;
use futures_util::stream::BoxStream;

pub use error::StoreError;
pub use etcd::{EtcdSettings, EtcdStore};
pub use floors::FloorsFile;
pub use journal::{Journal, Unsettled};
pub use locks::NamedLocks;
pub use sqlite::SqliteStore;
pub use state_dir::StateDir;

use crate::account::ports::{Lock, Revision};

/// A value with its key and the revision it was written at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Its key.
    pub key: String,
    /// The value, opaque.
    pub value: Vec<u8>,
    /// The revision of the write that put it there.
    pub revision: Revision,
}

/// What was under a prefix, and when.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listing {
    /// In the order of the keys' bytes.
    pub entries: Vec<Entry>,
    /// The store's revision at that moment: a watch from here misses nothing.
    pub revision: Revision,
}

/// Everything there is, at one moment.
pub struct Snapshot {
    /// How many entries there are.
    pub count: u64,
    /// The store's revision at that moment.
    pub revision: Revision,
    /// They, in the order of the keys' bytes. Writers do not wait for who reads them.
    pub entries: BoxStream<'static, Result<Entry, StoreError>>,
}

/// One of several writes that happen together or not at all.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Swap {
    /// Which key.
    pub key: String,
    /// The revision it must be at; [`Revision::ABSENT`]: not there.
    pub expected: Revision,
    /// The value; `None`: removed.
    pub value: Option<Vec<u8>>,
}

/// A key that was written or removed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// The revision of the write or removal.
    pub revision: Revision,
    /// Which key.
    pub key: String,
    /// The value; `None`: removed.
    pub value: Option<Vec<u8>>,
}

/// What [`Store::watch`] gives: changes in the order of their revisions.
pub type Changes = BoxStream<'static, Result<Change, StoreError>>;

/// Keys, values and one revision counter for the whole store: each write and each removal takes
/// a higher revision, those that are made together one or several. A driver must pass the `conformance` tests beside this file.
#[async_trait]
pub trait Store: Send + Sync + 'static {
    /// The value at `key`, where there is one. Sees every write that ended before.
    async fn get(&self, key: &str) -> Result<Option<Entry>, StoreError>;

    /// Everything whose key begins with `prefix`.
    async fn list(&self, prefix: &str) -> Result<Listing, StoreError>;

    /// The keys that begin with `prefix`, in the order of their bytes.
    async fn keys(&self, prefix: &str) -> Result<Vec<String>, StoreError>;

    /// Everything as it is now, whatever is written while it is read.
    async fn snapshot(&self) -> Result<Snapshot, StoreError>;

    /// Reads all that the engine keeps and looks whether it is whole: `None`, or the first damage.
    async fn damage(&self) -> Result<Option<String>, StoreError>;

    /// Writes (`Some`) or removes (`None`) the value at `key` if its revision is still `expected`
    /// ([`Revision::ABSENT`]: if there is none). When this returns, the change is durable.
    /// Gives the revision of the change.
    ///
    /// # Errors
    /// [`StoreError::Conflict`] when the key is at another revision.
    async fn compare_and_swap(
        &self,
        key: &str,
        expected: Revision,
        value: Option<Vec<u8>>,
    ) -> Result<Revision, StoreError>;

    /// Several changes of different keys, all of them or none: each as with
    /// [`Store::compare_and_swap`]. Gives the revision of the last.
    ///
    /// # Errors
    /// [`StoreError::Conflict`] when one of the keys is at another revision; nothing is changed.
    async fn swap_all(&self, swaps: Vec<Swap>) -> Result<Revision, StoreError>;

    /// Waits for the lock of this name, first come, first served. Dropping the guard releases it.
    ///
    /// A lock that several nodes respect can be lost while its guard is there ([`Lock::is_held`]):
    /// the engine has not heard of this node in time. So it fences the key of its own name: while a
    /// guard of this store is there, a swap of that key succeeds only if the lock is held at that
    /// moment, and is [`StoreError::LockLost`] else.
    async fn lock(&self, name: &str) -> Result<Box<dyn Lock>, StoreError>;

    /// What was under way when the daemon ended has been seen to: locks that outlived it are given up.
    async fn begun(&self) {}

    /// The changes under `prefix` after a revision, those that already happened first, then each
    /// as it happens. Of several changes of one key that already happened only the last is sure
    /// to be told. Ends with [`StoreError::Compacted`] when the store no longer knows what
    /// happened since: list again and watch from there. Who goes on from a revision with another
    /// watch may miss what was changed together with the last change it was told of.
    async fn watch(&self, prefix: &str, after: Revision) -> Result<Changes, StoreError>;
}
