//! Whatever is handed over as a backup: by somebody who does not know its passphrase, and by somebody
//! who does.

use std::{path::Path, sync::Arc};

use super::{
    frames::{ENTRY, Frames, Header, KEYRING, ROW, Records},
    read::{inside, preamble},
};
use crate::{
    account::ports::upkeep::UpkeepError,
    seal::{
        Keyring,
        backup::{BackupSealer, CHUNK, both_ends},
    },
};

const MINE: &[u8] = b"one AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAE=";
/// More than that is not read.
const MOST: u64 = 1 << 20;

/// The bytes as a backup; as what is sealed in one; and, a line for each, as the records of one whose
/// end is right.
pub fn backup(bytes: &[u8]) {
    let Ok(runtime) = tokio::runtime::Builder::new_current_thread().enable_time().build() else {
        return;
    };
    runtime.block_on(async {
        told(preamble(&mut &bytes[..]).await);
        let with_keys = bytes.first().is_some_and(|byte| byte % 2 == 0);
        if let Some(sealed) = chunked(bytes) {
            read(&sealed, with_keys).await;
        }
        if let Ok(sealed) = records(bytes).await {
            read(&sealed, with_keys).await;
        }
    });
}

async fn read(sealed: &[u8], with_keys: bool) {
    let Ok(mine) = Keyring::from_text(Path::new("keyring"), MINE) else { return };
    let header = Header {
        node: "login1".into(),
        version: "1".into(),
        made_at: 1,
        with_keys,
        keys: Vec::new(),
    };
    let mut from = sealed;
    let records = Records::new(both_ends().1, &mut from, 0, MOST);
    if let Some(found) = told(inside(Arc::new(mine), header, records).await) {
        // Nothing that this key sealed is in it, so that nothing of it may count.
        assert_eq!((found.contents.counts.records, found.contents.counts.journal), (0, 0));
    }
}

/// An error is one line that steers no terminal.
fn told<T>(read: Result<T, UpkeepError>) -> Option<T> {
    read.map_err(|error| {
        let text = crate::service::ServiceError::from(error).message;
        assert!(!text.chars().any(char::is_control), "{text:?}");
    })
    .ok()
}

/// The bytes as they are, in chunks that open.
fn chunked(bytes: &[u8]) -> Option<Vec<u8>> {
    let mut sealer: BackupSealer = both_ends().0;
    let mut out = Vec::new();
    let mut chunks = bytes.chunks(CHUNK).peekable();
    while let Some(chunk) = chunks.next() {
        out.extend(sealer.chunk(chunk, chunks.peek().is_none()).ok()?);
    }
    Some(out)
}

/// Each line is a record, whose first byte says of which kind.
async fn records(bytes: &[u8]) -> Result<Vec<u8>, UpkeepError> {
    let mut out = Vec::new();
    let mut frames = Frames::begin(both_ends().0, b"", &mut out).await?;
    let (mut rows, mut entries) = (0, 0);
    for line in bytes.split(|byte| *byte == b'\n') {
        let Some((kind, body)) = line.split_first() else { continue };
        let kind = match kind {
            b'k' => KEYRING,
            b'e' => ENTRY,
            b'r' => ROW,
            other => *other,
        };
        rows += u64::from(kind == ROW);
        entries += u64::from(kind == ENTRY);
        frames.put(kind, &[body]).await?;
    }
    frames.finish(rows, entries).await?;
    Ok(out)
}
