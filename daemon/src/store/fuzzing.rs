//! Whatever stands in the journal's file: read without a panic, and what was read, written again,
//! reads the same.

use std::path::Path;

use super::journal::rewritten;

/// A journal as it may be found after a crash, or after somebody wrote into it.
pub fn journal(bytes: &[u8]) {
    let path = Path::new("journal");
    let Ok((live, again)) = rewritten(path, bytes) else { return };
    let read = rewritten(path, &again);
    assert!(read.is_ok_and(|(read, bytes)| read == live && bytes == again), "not the same again");
}
