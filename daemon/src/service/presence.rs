//! Who is here, and what stands in their directories: the session room and the token files
//! together, and the tasks that keep tokens fresh.

use std::{
    collections::{BTreeSet, HashMap},
    future::Future,
    path::PathBuf,
    sync::{Arc, Mutex, PoisonError},
};

use secrecy::{ExposeSecret as _, SecretString};
use sha2::{Digest as _, Sha256};
use tokio::{sync::Notify, task::AbortHandle};

use crate::{
    account::{
        AccessToken, AccountKey, AccountName, Record, UnixTime,
        ports::{LinkOutcome, TokenFiles},
    },
    clock::Clock,
    session::{Presence as Here, Sessions},
    token_file::oversize,
};

/// The sessions, files and keepers of a node.
pub struct Presence {
    pub(super) sessions: Arc<Sessions>,
    files: Arc<dyn TokenFiles>,
    clock: Arc<dyn Clock>,
    /// The default account of each uid that is here: its file has the plain name.
    defaults: Mutex<HashMap<u32, AccountName>>,
    written: Mutex<HashMap<AccountKey, Written>>,
    keepers: Mutex<HashMap<AccountKey, Keeper>>,
}

/// What became of the last attempt to write a token file.
#[derive(Debug, Clone, Default)]
pub(super) struct FileState {
    /// Where it is, when it is there.
    pub(super) path: Option<PathBuf>,
    /// Why it is not there.
    pub(super) problem: Option<String>,
}

#[derive(Debug, Clone)]
struct Written {
    expires_at: UnixTime,
    issued_at: UnixTime,
    /// Of two tokens of the same second, which.
    hash: [u8; 32],
    state: FileState,
}

impl Written {
    fn is_of(&self, token: &AccessToken) -> bool {
        (self.expires_at, self.issued_at) == (token.expires_at, token.issued_at)
            && self.hash == hash_of(&token.token)
    }
}

struct Keeper {
    wake: Arc<Notify>,
    task: AbortHandle,
}

impl Presence {
    /// Nobody here yet.
    pub fn new(sessions: Arc<Sessions>, files: Arc<dyn TokenFiles>, clock: Arc<dyn Clock>) -> Self {
        Self {
            sessions,
            files,
            clock,
            defaults: Mutex::default(),
            written: Mutex::default(),
            keepers: Mutex::default(),
        }
    }

    /// Whether a session of this uid is open, or its grace is not over.
    pub(super) fn is_here(&self, uid: u32) -> bool {
        self.sessions.presence(uid) != Here::Gone
    }

    /// How many sessions are open.
    pub(super) fn sessions_of(&self, uid: u32) -> u32 {
        u32::try_from(self.sessions.count(uid)).unwrap_or(u32::MAX)
    }

    /// Until when files stay although no session is open.
    pub(super) fn files_until(&self, uid: u32) -> Option<UnixTime> {
        match self.sessions.presence(uid) {
            Here::Grace(until) => {
                let left = until.saturating_duration_since(self.clock.monotonic());
                Some(self.clock.wall().plus(left))
            }
            Here::Open(_) | Here::Gone => None,
        }
    }

    /// Which account has the plain file name; gives the one that had it.
    pub(super) fn set_default(&self, uid: u32, name: Option<AccountName>) -> Option<AccountName> {
        let mut defaults = lock(&self.defaults);
        match name {
            Some(name) => defaults.insert(uid, name),
            None => defaults.remove(&uid),
        }
    }

    /// Takes away the file with this account's own name.
    pub(super) fn remove_named(&self, uid: u32, name: &AccountName) {
        if let Err(error) = self.files.remove(uid, Some(name)) {
            tracing::warn!(uid, account = %name, %error, "a token file could not be removed: {error}");
        }
    }

    /// An account has another name: its keeper ends, the plain file name goes with it.
    pub(super) fn renamed(&self, old: &AccountKey, to: &AccountName) {
        if let Some(keeper) = lock(&self.keepers).remove(old) {
            keeper.task.abort();
        }
        lock(&self.written).remove(old);
        if let Some(name) = lock(&self.defaults).get_mut(&old.uid).filter(|name| **name == old.name)
        {
            *name = to.clone();
        }
    }

    /// Where the default account's file is or will be.
    pub(super) fn default_path(&self, uid: u32) -> PathBuf {
        self.files.path(uid, None)
    }

    /// Makes the directory of somebody who is here, whatever accounts there are: whether it is
    /// there is all that other users see of it.
    pub(super) fn prepare(&self, uid: u32) {
        if let Err(error) = self.files.prepare(uid) {
            tracing::warn!(uid, %error, "a user's directory was not made: {error}");
        }
        if !self.is_here(uid) {
            // A login that was over before this leaves nothing behind.
            self.leave(uid);
        }
    }

    /// Writes the token file, and for the default account the link in the runtime directory.
    pub(super) fn write_file(&self, record: &Record, token: &AccessToken) {
        let key = record.key();
        let name = self.file_name(&key);
        let state = match self.files.write(key.uid, name.as_ref(), &token.token) {
            Ok(path) => {
                let link = name.is_none().then(|| self.link(key.uid)).flatten();
                FileState { path: Some(path), problem: link.or_else(|| too_long(token)) }
            }
            Err(error) => {
                tracing::warn!(uid = key.uid, account = %key.name, %error, "the token file was not written: {error}");
                FileState { path: None, problem: Some(error.to_string()) }
            }
        };
        let written = Written {
            expires_at: token.expires_at,
            issued_at: token.issued_at,
            hash: hash_of(&token.token),
            state,
        };
        lock(&self.written).insert(key.clone(), written);
        if self.file_name(&key) != name {
            // The default account changed meanwhile: both of them look after their files again.
            let default = lock(&self.defaults).get(&key.uid).cloned();
            for name in default.into_iter().chain([key.name]) {
                let key = AccountKey { uid: key.uid, name };
                lock(&self.written).remove(&key);
                self.wake_keeper(&key);
            }
        }
    }

    /// Makes the link to the default account's file; what a person should know of it.
    fn link(&self, uid: u32) -> Option<String> {
        match self.files.link(uid) {
            Ok(LinkOutcome::InTheWay) => {
                Some(format!("$XDG_RUNTIME_DIR/bt_u{uid} is yours and was left alone"))
            }
            Ok(LinkOutcome::Linked | LinkOutcome::NoRuntimeDirectory) => None,
            Err(error) => {
                tracing::warn!(uid, %error, "no link in the runtime directory: {error}");
                None
            }
        }
    }

    /// Writes the token file unless it has this token already.
    pub(super) fn ensure_file(&self, record: &Record, token: &AccessToken) {
        let key = record.key();
        let written = lock(&self.written)
            .get(&key)
            .is_some_and(|written| written.state.path.is_some() && written.is_of(token));
        if !written || !self.files.stands(key.uid, self.file_name(&key).as_ref()) {
            self.write_file(record, token);
        } else if self.file_name(&key).is_none() {
            // logind removes the runtime directory with the last session; a login within the
            // grace finds the file, in a runtime directory that is new.
            let problem = self.link(key.uid).or_else(|| too_long(token));
            if let Some(written) = lock(&self.written).get_mut(&key) {
                written.state.problem = problem;
            }
        }
    }

    /// Takes the token file away.
    pub(super) fn remove_file(&self, record: &Record) {
        self.remove(&record.key());
    }

    /// Takes the file away and stops keeping the account fresh.
    pub(super) fn forget(&self, key: &AccountKey) {
        if let Some(keeper) = lock(&self.keepers).remove(key) {
            keeper.task.abort();
        }
        self.remove(key);
    }

    fn remove(&self, key: &AccountKey) {
        lock(&self.written).remove(key);
        if let Err(error) = self.files.remove(key.uid, self.file_name(key).as_ref()) {
            tracing::warn!(uid = key.uid, account = %key.name, %error, "a token file could not be removed: {error}");
        }
    }

    /// What stands in the directory for this account.
    pub(super) fn file_state(&self, key: &AccountKey) -> FileState {
        lock(&self.written).get(key).map(|written| written.state.clone()).unwrap_or_default()
    }

    /// The user is gone: no keeper, no file.
    pub(super) fn leave(&self, uid: u32) {
        lock(&self.keepers).retain(|key, keeper| {
            if key.uid == uid {
                keeper.task.abort();
            }
            key.uid != uid
        });
        lock(&self.written).retain(|key, _| key.uid != uid);
        lock(&self.defaults).remove(&uid);
        if let Err(error) = self.files.remove_all(uid) {
            tracing::warn!(uid, %error, "the files of a user could not be removed: {error}");
        }
    }

    /// The uids that have files here.
    pub(super) fn with_files(&self) -> Vec<u32> {
        self.files.owners()
    }

    /// Starts the keeper of an account, or wakes the one that runs.
    pub(super) fn start_keeper<F: Future<Output = ()> + Send + 'static>(
        &self,
        key: &AccountKey,
        keeper: impl FnOnce(Arc<Notify>) -> F,
    ) {
        let mut keepers = lock(&self.keepers);
        if let Some(running) = keepers.get(key).filter(|keeper| !keeper.task.is_finished()) {
            running.wake.notify_one();
            return;
        }
        let wake = Arc::new(Notify::new());
        let task = tokio::spawn(keeper(Arc::clone(&wake))).abort_handle();
        keepers.insert(key.clone(), Keeper { wake, task });
    }

    /// There is something new for the keeper of an account.
    pub(super) fn wake_keeper(&self, key: &AccountKey) {
        if let Some(keeper) = lock(&self.keepers).get(key) {
            keeper.wake.notify_one();
        }
    }

    /// As a daemon that ends: no file is looked after any more.
    #[cfg(test)]
    pub(super) fn end_keepers(&self) {
        for (_, keeper) in lock(&self.keepers).drain() {
            keeper.task.abort();
        }
    }

    /// The accounts of a uid that something is kept of here.
    pub(super) fn kept_of(&self, uid: u32) -> BTreeSet<AccountKey> {
        let mut kept: BTreeSet<AccountKey> = lock(&self.keepers).keys().cloned().collect();
        kept.extend(lock(&self.written).keys().cloned());
        kept.retain(|key| key.uid == uid);
        kept
    }

    /// Something happened to all files, or to the clock.
    pub(super) fn wake_keepers(&self) {
        for keeper in lock(&self.keepers).values() {
            keeper.wake.notify_one();
        }
    }

    /// Whether anything was written for one of these accounts.
    pub(super) fn has_written(&self, mut accounts: impl Iterator<Item = AccountKey>) -> bool {
        let written = lock(&self.written);
        accounts.any(|key| written.contains_key(&key))
    }

    fn file_name(&self, key: &AccountKey) -> Option<AccountName> {
        let is_default = lock(&self.defaults).get(&key.uid).is_none_or(|name| *name == key.name);
        (!is_default).then(|| key.name.clone())
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn hash_of(token: &SecretString) -> [u8; 32] {
    Sha256::digest(token.expose_secret()).into()
}

/// What a person should know of a token whose file not every reader takes.
fn too_long(token: &AccessToken) -> Option<String> {
    let size = token.token.expose_secret().len();
    oversize(size).then(|| format!("{size} bytes: XRootD refuses tokens of this size"))
}
