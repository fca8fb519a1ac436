//! The journal: what an issuer just answered, on this node's disk before it goes anywhere else.
//!
//! A refresh token that an issuer rotated exists in one place only, our memory, until it is
//! written. So the answer is appended here and synced first; once the store has it too, the entry
//! is settled. What was not settled is replayed at the next start.
//!
//! One thread owns the file. Appends that arrive while it syncs share the next sync.

mod file;
#[cfg(test)]
mod tests;

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex, PoisonError,
        mpsc::{Receiver, Sender, channel},
    },
    thread::{self, JoinHandle},
};

use tokio::sync::oneshot;

use super::{StateDir, StoreError};
use file::{JournalFile, Line};

/// The most that one entry may carry.
pub(crate) const LARGEST_ENTRY: usize = 1 << 20;

type Answer<T> = oneshot::Sender<Result<T, StoreError>>;
type Live = Arc<Mutex<BTreeMap<u64, Vec<u8>>>>;

/// An entry that the store does not have yet, as far as the journal knows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unsettled {
    /// The entry's id; ids grow.
    pub id: u64,
    /// What was appended.
    pub payload: Vec<u8>,
}

enum Request {
    Append(Vec<u8>, Answer<u64>),
    Settle(u64, Answer<()>),
    Replace(Vec<(u64, Vec<u8>)>, Answer<()>),
    Sync(Answer<()>),
    MakeRoom(Answer<()>),
}

/// The journal of this node. Dropping it waits for its thread to end, and with it for the lock of
/// the state directory; what was appended stays on disk.
#[derive(Debug)]
pub struct Journal {
    requests: Option<Sender<Request>>,
    thread: Option<JoinHandle<()>>,
    live: Live,
    path: std::path::PathBuf,
}

impl Journal {
    /// Opens `journal` in the state directory, or makes it. A tail that was being written when the
    /// node died is cut off; a damaged entry is passed over and the damaged file kept aside.
    ///
    /// # Errors
    /// When the file cannot be read or written, or is not a journal this program knows.
    pub fn open(dir: &StateDir) -> Result<Self, StoreError> {
        let (file, live) = JournalFile::open(dir)?;
        let path = file.path().to_owned();
        let live: Live = Arc::new(Mutex::new(live));
        let (requests, inbox) = channel();
        let writer = Writer { file, live: Arc::clone(&live) };
        let thread = thread::Builder::new()
            .name("journal".into())
            .spawn(move || writer.run(&inbox))
            .map_err(|e| StoreError::io(&path, &e))?;
        Ok(Self { requests: Some(requests), thread: Some(thread), live, path })
    }

    /// Appends an entry. When this returns it is on disk, whole; after an error it is not there.
    ///
    /// # Errors
    /// When the disk is full or fails, or the entry exceeds 1 MiB.
    pub async fn append(&self, payload: Vec<u8>) -> Result<u64, StoreError> {
        if payload.len() > LARGEST_ENTRY {
            return Err(StoreError::unavailable(&self.path, "an entry of more than 1 MiB"));
        }
        self.ask(|answer| Request::Append(payload, answer)).await
    }

    /// The store has what this entry carries. The mark is written, not synced: a settled entry
    /// that comes back after a power failure is recognised at replay.
    ///
    /// # Errors
    /// When the mark cannot be written.
    pub async fn settle(&self, id: u64) -> Result<(), StoreError> {
        self.ask(|answer| Request::Settle(id, answer)).await
    }

    /// Puts other bytes in the place of these entries, those of them that are not settled
    /// meanwhile: all of them or none. They keep their ids, and nothing is left of the old bytes.
    ///
    /// # Errors
    /// When the disk is full or fails; then every entry is as it was.
    pub async fn replace(&self, entries: Vec<(u64, Vec<u8>)>) -> Result<(), StoreError> {
        self.ask(|answer| Request::Replace(entries, answer)).await
    }

    /// Makes the marks written so far durable.
    ///
    /// # Errors
    /// When the disk fails.
    pub async fn sync(&self) -> Result<(), StoreError> {
        self.ask(Request::Sync).await
    }

    /// Takes the blocks of the disk that the next entries need, so that a disk that fills up
    /// meanwhile does not refuse them.
    ///
    /// # Errors
    /// When there is no room.
    pub async fn make_room(&self) -> Result<(), StoreError> {
        self.ask(Request::MakeRoom).await
    }

    /// The entries that are not settled, oldest first.
    pub fn unsettled(&self) -> Vec<Unsettled> {
        let live = self.live.lock().unwrap_or_else(PoisonError::into_inner);
        live.iter().map(|(&id, payload)| Unsettled { id, payload: payload.clone() }).collect()
    }

    /// Whether this entry is not settled yet.
    pub fn is_unsettled(&self, id: u64) -> bool {
        self.live.lock().unwrap_or_else(PoisonError::into_inner).contains_key(&id)
    }

    async fn ask<T>(&self, request: impl FnOnce(Answer<T>) -> Request) -> Result<T, StoreError> {
        let gone = || StoreError::unavailable(&self.path, "the journal's thread ended");
        let (answer, answered) = oneshot::channel();
        let requests = self.requests.as_ref().ok_or_else(gone)?;
        requests.send(request(answer)).map_err(|_| gone())?;
        answered.await.map_err(|_| gone())?
    }
}

impl Drop for Journal {
    fn drop(&mut self) {
        self.requests = None;
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            tracing::error!(path = %self.path.display(), "the journal's thread panicked");
        }
    }
}

/// What is live in a journal, by its number.
#[cfg(any(test, feature = "fuzzing"))]
type Entries = BTreeMap<u64, Vec<u8>>;

/// What is live in these bytes, and a file with just that.
#[cfg(any(test, feature = "fuzzing"))]
pub(super) fn rewritten(
    path: &std::path::Path,
    bytes: &[u8],
) -> Result<(Entries, Vec<u8>), StoreError> {
    let found = file::scan(path, bytes)?;
    let mut again = file::MAGIC.to_vec();
    again.push(file::FORMAT);
    for (&id, payload) in &found.live {
        file::encode(&Line::Entry(id, payload), &mut again);
    }
    Ok((found.live, again))
}

struct Writer {
    file: JournalFile,
    live: Live,
}

impl Writer {
    fn run(mut self, inbox: &Receiver<Request>) {
        while let Ok(first) = inbox.recv() {
            let mut appends = Vec::new();
            let mut others = Vec::new();
            for request in std::iter::once(first).chain(inbox.try_iter()) {
                match request {
                    Request::Append(payload, answer) => appends.push((payload, answer)),
                    other => others.push(other),
                }
            }
            if !appends.is_empty() {
                self.append(appends);
            }
            for request in others {
                match request {
                    Request::Settle(id, answer) => drop(answer.send(self.settle(id))),
                    Request::Replace(entries, answer) => {
                        drop(answer.send(self.replace(entries)));
                    }
                    Request::Sync(answer) => drop(answer.send(self.file.sync())),
                    Request::MakeRoom(answer) => drop(answer.send(self.make_room())),
                    Request::Append(..) => {}
                }
            }
        }
    }

    /// All of them in one write and one sync: they succeed or fail together.
    fn append(&mut self, appends: Vec<(Vec<u8>, Answer<u64>)>) {
        let first = self.file.next_id();
        let (payloads, answers): (Vec<_>, Vec<_>) = appends.into_iter().unzip();
        let lines: Vec<_> = (first..).zip(&payloads).map(|(id, p)| Line::Entry(id, p)).collect();
        let written = self.mended().and_then(|()| self.file.write(&lines, true));
        if written.is_ok() {
            let mut live = self.live.lock().unwrap_or_else(PoisonError::into_inner);
            live.extend((first..).zip(payloads));
        }
        for (id, answer) in (first..).zip(answers) {
            // Whoever asked may have given up; the entry is then replayed or settled by nobody.
            drop(answer.send(written.clone().map(|()| id)));
        }
    }

    fn settle(&mut self, id: u64) -> Result<(), StoreError> {
        if !self.live.lock().unwrap_or_else(PoisonError::into_inner).contains_key(&id) {
            return Ok(());
        }
        self.mended()?;
        self.file.write(&[Line::Settled(id)], false)?;
        let live = {
            let mut live = self.live.lock().unwrap_or_else(PoisonError::into_inner);
            live.remove(&id);
            live
        };
        if self.file.wants_rewrite(&live)
            && let Err(error) = self.file.rewrite(&live)
        {
            // The old file is whole and in use still; the next settled entry tries again.
            tracing::warn!(%error, "the journal could not be made smaller: {error}");
        }
        Ok(())
    }

    fn replace(&mut self, entries: Vec<(u64, Vec<u8>)>) -> Result<(), StoreError> {
        let mut live = self.live.lock().unwrap_or_else(PoisonError::into_inner);
        let mut next = live.clone();
        for (id, payload) in entries {
            next.entry(id).and_modify(|old| *old = payload);
        }
        self.file.rewrite(&next)?;
        *live = next;
        Ok(())
    }

    fn make_room(&mut self) -> Result<(), StoreError> {
        self.mended()?;
        self.file.make_room()
    }

    /// After a failed write that could not be undone, or a failed sync, nothing is known of the
    /// file's end: it is written anew before it is used again.
    fn mended(&mut self) -> Result<(), StoreError> {
        if self.file.is_broken() {
            let live = self.live.lock().unwrap_or_else(PoisonError::into_inner);
            self.file.rewrite(&live)?;
        }
        Ok(())
    }
}
