//! What a program left behind, to be compared byte for byte.

use std::fmt;
use std::path::Path;

use iamd_tests::command::Output;
use iamd_tests::{Error, Result};

/// Exit code, both outputs, and files, of one program or of several in a row.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Seen {
    /// The last exit code that was not 0, or 0.
    pub code: i32,
    /// Standard output.
    pub stdout: Vec<u8>,
    /// Standard error.
    pub stderr: Vec<u8>,
    /// Files it made.
    pub files: Vec<Vec<u8>>,
}

impl Seen {
    /// With what another program left behind.
    pub fn add(&mut self, output: Output) {
        if output.code != 0 {
            self.code = output.code;
        }
        self.stdout.extend(output.stdout);
        self.stderr.extend(output.stderr);
    }

    /// With a file that was made, which has to be there.
    pub fn file(mut self, path: &Path) -> Result<Seen> {
        self.files.push(std::fs::read(path).map_err(Error::at(path))?);
        Ok(self)
    }
}

impl From<Output> for Seen {
    fn from(output: Output) -> Seen {
        let mut seen = Seen::default();
        seen.add(output);
        seen
    }
}

impl fmt::Debug for Seen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let short = |bytes: &[u8]| {
            let text = String::from_utf8_lossy(bytes);
            let text = text.chars().take(1500).collect::<String>();
            format!("{} bytes: {text}", bytes.len())
        };
        let files: Vec<_> = self.files.iter().map(Vec::len).collect();
        f.debug_struct("Seen")
            .field("code", &self.code)
            .field("stdout", &short(&self.stdout))
            .field("stderr", &short(&self.stderr))
            .field("files", &files)
            .finish()
    }
}

/// Bytes that no text filter lets through unchanged.
pub fn every_byte() -> Vec<u8> {
    (0..=255).cycle().take(100_000).collect()
}
