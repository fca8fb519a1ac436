//! What stands inside the seal of a backup: records, one after another.
//!
//! ```text
//! kind u8 | length u32 | body            big endian, repeated
//! ```
//! | kind | body |
//! |---|---|
//! | 1 | the keyring's text; at most once, and first |
//! | 2 | a row: length u16, the store's key, generation u64, sealed record |
//! | 3 | an entry of the journal, as it was appended |
//! | 4 | the end: JSON with the counts and the SHA-256 over all records before it |

use std::time::Duration;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use zeroize::Zeroizing;

use crate::{
    account::ports::upkeep::{Sink, Source, UpkeepError},
    seal::backup::{BackupError, BackupOpener, BackupSealer, CHUNK, FRAME, frame},
};

pub(in crate::service::vault) const KEYRING: u8 = 1;
pub(in crate::service::vault) const ROW: u8 = 2;
pub(in crate::service::vault) const ENTRY: u8 = 3;
pub(in crate::service::vault) const END: u8 = 4;

const HEAD: usize = 5;
/// The longest record that is read.
const LONGEST: usize = 16 << 20;
/// How long the other end may take for a chunk.
const PATIENCE: Duration = Duration::from_secs(60);

/// What a backup says of itself, readable without the passphrase.
#[derive(Debug, Serialize, Deserialize)]
pub(in crate::service::vault) struct Header {
    pub(in crate::service::vault) node: String,
    pub(in crate::service::vault) version: String,
    pub(in crate::service::vault) made_at: u64,
    pub(in crate::service::vault) with_keys: bool,
    pub(in crate::service::vault) keys: Vec<String>,
}

/// The last record.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(in crate::service::vault) struct End {
    pub(in crate::service::vault) rows: u64,
    pub(in crate::service::vault) entries: u64,
    pub(in crate::service::vault) sha256: String,
}

pub(in crate::service::vault) fn invalid(error: BackupError) -> UpkeepError {
    UpkeepError::Invalid { text: error.to_string() }
}

fn transfer(text: impl Into<String>) -> UpkeepError {
    UpkeepError::Transfer { text: text.into() }
}

/// Seals records into chunks and sends them off.
pub(in crate::service::vault) struct Frames<'a> {
    sealer: BackupSealer,
    to: Sink<'a>,
    chunk: Zeroizing<Vec<u8>>,
    digest: Sha256,
    bytes: u64,
}

impl<'a> Frames<'a> {
    pub(in crate::service::vault) async fn begin(
        sealer: BackupSealer,
        preamble: &[u8],
        to: Sink<'a>,
    ) -> Result<Self, UpkeepError> {
        let chunk = Zeroizing::new(Vec::with_capacity(CHUNK));
        let mut frames = Self { sealer, to, chunk, digest: Sha256::new(), bytes: 0 };
        frames.send(preamble).await?;
        Ok(frames)
    }

    pub(in crate::service::vault) async fn put(
        &mut self,
        kind: u8,
        body: &[&[u8]],
    ) -> Result<(), UpkeepError> {
        let length: usize = body.iter().map(|part| part.len()).sum();
        let length = u32::try_from(length).map_err(|_| transfer("a record is too long"))?;
        let head = [&[kind][..], &length.to_be_bytes()].concat();
        for part in [&head[..]].iter().chain(body) {
            self.digest.update(part);
            let mut rest: &[u8] = part;
            while !rest.is_empty() {
                if self.chunk.len() == CHUNK {
                    self.flush(false).await?;
                }
                let (now, later) = rest.split_at(rest.len().min(CHUNK - self.chunk.len()));
                self.chunk.extend_from_slice(now);
                rest = later;
            }
        }
        Ok(())
    }

    /// The end; the digest and the size of all.
    pub(in crate::service::vault) async fn finish(
        mut self,
        rows: u64,
        entries: u64,
    ) -> Result<(String, u64), UpkeepError> {
        let sha256 = hex(&self.digest.clone().finalize());
        let end = End { rows, entries, sha256 };
        let json = serde_json::to_vec(&end).map_err(|error| transfer(error.to_string()))?;
        self.put(END, &[&json]).await?;
        self.flush(true).await?;
        let shut = tokio::time::timeout(PATIENCE, self.to.shutdown()).await;
        shut.map_err(|_| slow())?.map_err(|error| gone(&error))?;
        Ok((end.sha256, self.bytes))
    }

    async fn flush(&mut self, last: bool) -> Result<(), UpkeepError> {
        let sealed = self.sealer.chunk(&self.chunk, last);
        let sealed = sealed.map_err(|error| transfer(error.to_string()))?;
        self.chunk.clear();
        self.send(&sealed).await
    }

    async fn send(&mut self, bytes: &[u8]) -> Result<(), UpkeepError> {
        self.bytes += bytes.len() as u64;
        let sent = tokio::time::timeout(PATIENCE, self.to.write_all(bytes)).await;
        sent.map_err(|_| slow())?.map_err(|error| gone(&error))
    }
}

fn slow() -> UpkeepError {
    transfer("whoever asked for it did not go on within a minute")
}

fn gone(error: &std::io::Error) -> UpkeepError {
    transfer(format!("whoever asked for it went away: {error}"))
}

/// Receives chunks, opens them, and takes the records out of them.
pub(in crate::service::vault) struct Records<'a> {
    opener: BackupOpener,
    from: Source<'a>,
    chunk: Zeroizing<Vec<u8>>,
    at: usize,
    ended: bool,
    digest: Sha256,
    bytes: u64,
    most: u64,
}

impl<'a> Records<'a> {
    /// `read` bytes came before; more than `most` are not read.
    pub(in crate::service::vault) fn new(
        opener: BackupOpener,
        from: Source<'a>,
        read: u64,
        most: u64,
    ) -> Self {
        let (chunk, digest) = (Zeroizing::default(), Sha256::new());
        Self { opener, from, chunk, at: 0, ended: false, digest, bytes: read, most }
    }

    /// The next record, up to the end and not beyond it.
    pub(in crate::service::vault) async fn next(
        &mut self,
    ) -> Result<(u8, Zeroizing<Vec<u8>>), UpkeepError> {
        let digest = self.digest.clone();
        let head = self.take(HEAD).await?;
        let kind = head[0];
        let length = u32::from_be_bytes([head[1], head[2], head[3], head[4]]) as usize;
        if length > LONGEST {
            return Err(invalid(BackupError::Damaged));
        }
        let body = self.take(length).await?;
        if kind == END {
            // It does not count itself.
            self.digest = digest;
        }
        Ok((kind, body))
    }

    /// After the end: that nothing else comes; the digest and the size of all.
    pub(in crate::service::vault) async fn finish(self) -> Result<(String, u64), UpkeepError> {
        if self.at != self.chunk.len() || !self.ended {
            return Err(invalid(BackupError::Trailing));
        }
        let mut byte = [0];
        let read = tokio::time::timeout(PATIENCE, self.from.read(&mut byte)).await;
        match read.map_err(|_| slow())?.map_err(|error| gone(&error))? {
            0 => Ok((hex(&self.digest.finalize()), self.bytes)),
            _ => Err(invalid(BackupError::Trailing)),
        }
    }

    async fn take(&mut self, length: usize) -> Result<Zeroizing<Vec<u8>>, UpkeepError> {
        let mut taken = Zeroizing::new(Vec::with_capacity(length));
        while taken.len() < length {
            if self.at == self.chunk.len() {
                self.receive().await?;
            }
            let now = (length - taken.len()).min(self.chunk.len() - self.at);
            taken.extend_from_slice(&self.chunk[self.at..self.at + now]);
            self.at += now;
        }
        self.digest.update(&*taken);
        Ok(taken)
    }

    async fn receive(&mut self) -> Result<(), UpkeepError> {
        if self.ended {
            return Err(invalid(BackupError::Cut));
        }
        let mut head = [0; FRAME];
        read_exact(self.from, &mut head).await?;
        let (last, length) = frame(head).map_err(invalid)?;
        self.bytes += (FRAME + length) as u64;
        if self.bytes > self.most {
            let text = format!("the backup is larger than {} MiB", self.most >> 20);
            return Err(UpkeepError::Invalid { text });
        }
        let mut sealed = vec![0; length];
        read_exact(self.from, &mut sealed).await?;
        self.chunk = self.opener.chunk(last, &sealed).map_err(invalid)?;
        (self.at, self.ended) = (0, last);
        Ok(())
    }
}

/// Reads so many bytes; an end before them is a backup that is cut off.
pub(in crate::service::vault) async fn read_exact(
    from: Source<'_>,
    to: &mut [u8],
) -> Result<(), UpkeepError> {
    let read = tokio::time::timeout(PATIENCE, from.read_exact(to)).await;
    match read.map_err(|_| slow())? {
        Ok(_) => Ok(()),
        Err(error) if error.kind() == std::io::ErrorKind::UnexpectedEof => {
            Err(invalid(BackupError::Cut))
        }
        Err(error) => Err(gone(&error)),
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
