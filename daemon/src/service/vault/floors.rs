//! How new each row was, over restarts: whoever puts an older row back, or one that was removed,
//! and restarts the daemon, finds it refused all the same.
//!
//! A floor is told here after its row is in the store, and written by a thread of its own. So a
//! floor may lag behind its row, after a kill or a power failure, and is never ahead of it: what is
//! forgotten weakens, and locks nobody out. A removal is synced, for it is what a sign-out or a
//! leave that was taken back rests on; nobody waits for that. What is sealed cannot be forged, but
//! who puts back this file together with the store has put back both (SECURITY.md).

use std::{
    collections::BTreeMap,
    sync::{
        Arc, PoisonError, RwLock,
        mpsc::{Receiver, Sender, channel},
    },
    thread::JoinHandle,
};

use tokio::sync::oneshot;

use super::seen::Seen;
use crate::{
    clock::Random,
    seal::{Bound, Keyring, Kind},
    store::{FloorsFile, StoreError},
};

/// What the seal is bound to.
const ROW: &str = "floors";
/// A file shorter than this is never written anew.
const REWRITE_ABOVE: u64 = 256 << 10;
/// It is, when it is so many times longer than after the last time.
const REWRITE_FACTOR: u64 = 4;
/// Rows in one payload.
const AT_ONCE: usize = 512;

/// The keys as they are now, for whoever seals.
pub(super) type Keys = Arc<RwLock<Arc<Keyring>>>;

/// A row, its floor, and whether it was removed.
type Floor = (String, u64, bool);
type Answer = oneshot::Sender<Result<(), StoreError>>;

/// What is told to the thread.
enum Told {
    Floor(Floor),
    /// These floors are lower now, because an administrator says so.
    Lowered(Vec<(String, u64)>),
    /// All of it anew, under the key that seals now.
    Rewrite(Answer),
}

/// The file's thread. Dropping this waits for it to write what it was told.
#[derive(Debug)]
pub(super) struct Floors {
    told: Option<Sender<Told>>,
    thread: Option<JoinHandle<()>>,
}

impl Floors {
    /// What the file knows, with a thread that goes on writing it. Without a thread it is not
    /// written any more.
    pub(super) fn begin(
        (file, payloads): (FloorsFile, Vec<Vec<u8>>),
        keys: Keys,
        random: Arc<dyn Random>,
    ) -> Result<Seen, StoreError> {
        let mut seen = read(&keys, &payloads);
        let rewritten_at = file.length();
        let writer =
            Writer { file, rewritten_at, keys, random, seen: seen.copied(), behind: false };
        let (told, inbox) = channel();
        let thread =
            std::thread::Builder::new().name("floors".into()).spawn(move || writer.run(&inbox));
        let thread = thread.map_err(|error| StoreError::io(ROW.as_ref(), &error))?;
        seen.tell(Self { told: Some(told), thread: Some(thread) });
        Ok(seen)
    }

    pub(super) fn floor(&self, row: &str, floor: u64, removed: bool) {
        self.say(Told::Floor((row.to_owned(), floor, removed)));
    }

    pub(super) fn lowered(&self, rows: Vec<(String, u64)>) {
        self.say(Told::Lowered(rows));
    }

    /// Has the file written anew; what comes, says whether it was.
    pub(super) fn rewrite(&self) -> oneshot::Receiver<Result<(), StoreError>> {
        let (answer, answered) = oneshot::channel();
        self.say(Told::Rewrite(answer));
        answered
    }

    fn say(&self, told: Told) {
        // A thread that is gone has panicked and said so.
        if let Some(thread) = &self.told {
            let _ = thread.send(told);
        }
    }
}

impl Drop for Floors {
    fn drop(&mut self) {
        self.told = None;
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            tracing::error!("the thread of the floors panicked");
        }
    }
}

fn read(keys: &Keys, payloads: &[Vec<u8>]) -> Seen {
    let keyring = Arc::clone(&keys.read().unwrap_or_else(PoisonError::into_inner));
    let mut seen = Seen::default();
    let mut unreadable = 0_usize;
    for payload in payloads {
        let opened = keyring.open(Kind::Floors, ROW, payload).ok();
        let floors = opened.and_then(|it| serde_json::from_slice::<Vec<Floor>>(&it.plaintext).ok());
        let Some(floors) = floors else {
            unreadable += 1;
            continue;
        };
        for (row, floor, removed) in floors {
            match removed {
                true => seen.remember_removed(&row, floor),
                false => seen.note(&row, floor),
            }
        }
    }
    if unreadable > 0 {
        tracing::warn!(
            unreadable,
            "{unreadable} parts of the file floors do not open: how new those rows were is forgotten"
        );
    }
    seen
}

struct Writer {
    file: FloorsFile,
    rewritten_at: u64,
    keys: Keys,
    random: Arc<dyn Random>,
    /// What the file says, or is to say.
    seen: Seen,
    /// The file lacks something.
    behind: bool,
}

impl Writer {
    fn run(mut self, inbox: &Receiver<Told>) {
        while let Ok(first) = inbox.recv() {
            let mut floors = BTreeMap::new();
            let mut answers = Vec::new();
            let mut lowered = false;
            for told in std::iter::once(first).chain(inbox.try_iter()) {
                match told {
                    Told::Floor((row, floor, removed)) => {
                        match removed {
                            true => self.seen.remember_removed(&row, floor),
                            false => self.seen.note(&row, floor),
                        }
                        floors.insert(row, (floor, removed));
                    }
                    Told::Lowered(rows) => {
                        self.seen.lower(rows);
                        lowered = true;
                    }
                    Told::Rewrite(answer) => answers.push(answer),
                }
            }
            let anew = lowered || self.behind || !answers.is_empty() || self.is_long();
            let written = if anew { self.rewrite() } else { self.append(floors) };
            if let Err(error) = &written
                && !self.behind
            {
                tracing::warn!(%error, "how new rows are is not kept for now, and an older one may open after a restart: {error}");
            }
            self.behind = written.is_err();
            for answer in answers {
                let _ = answer.send(match &written {
                    Ok(()) => Ok(()),
                    Err(error) => Err(StoreError::unavailable(ROW.as_ref(), error.to_string())),
                });
            }
        }
        // Out of the kernel's hands, now that there is time.
        let _ = self.file.sync();
    }

    fn is_long(&self) -> bool {
        self.file.length() > REWRITE_ABOVE.max(self.rewritten_at.saturating_mul(REWRITE_FACTOR))
    }

    fn append(&mut self, floors: BTreeMap<String, (u64, bool)>) -> Result<(), StoreError> {
        let floors: Vec<Floor> =
            floors.into_iter().map(|(row, (floor, removed))| (row, floor, removed)).collect();
        for part in floors.chunks(AT_ONCE) {
            self.file.append(&self.sealed(part)?)?;
        }
        match floors.iter().any(|(.., removed)| *removed) {
            true => self.file.sync(),
            false => Ok(()),
        }
    }

    fn rewrite(&mut self) -> Result<(), StoreError> {
        let floors = self.seen.all();
        let parts: Result<Vec<_>, _> =
            floors.chunks(AT_ONCE).map(|part| self.sealed(part)).collect();
        self.file.rewrite(&parts?)?;
        self.rewritten_at = self.file.length();
        Ok(())
    }

    fn sealed(&self, floors: &[Floor]) -> Result<Vec<u8>, StoreError> {
        let unsealable = |error: String| StoreError::unavailable(ROW.as_ref(), error);
        let plaintext =
            serde_json::to_vec(floors).map_err(|error| unsealable(error.to_string()))?;
        let bound = Bound { kind: Kind::Floors, row: ROW, generation: 0, user: "", issuer: "" };
        let keyring = Arc::clone(&self.keys.read().unwrap_or_else(PoisonError::into_inner));
        let sealed = keyring.seal(self.random.as_ref(), &bound, &plaintext);
        sealed.map_err(|error| unsealable(error.to_string()))
    }
}
