//! What the site wrote, read while the daemon serves: not on its executor, and not for ever. A link
//! may lead to a file system that does not answer.

use std::{sync::Arc, time::Duration};

use tokio::sync::OwnedMutexGuard;

use super::Service;
use crate::config::{Config, ConfigError, Problem};

/// Local files are read in milliseconds.
const PATIENCE: Duration = Duration::from_secs(10);

/// What is on disk; while it is held, nobody else reads.
pub(super) type OnDisk = (Result<Config, ConfigError>, Option<OwnedMutexGuard<()>>);

impl Service {
    /// Reads the configuration. One at a time: what waits for a file system that does not answer
    /// takes one thread, however often it is asked.
    pub(super) async fn on_disk(&self) -> OnDisk {
        let reading = async {
            let alone = Arc::clone(&self.reading).lock_owned().await;
            let sources = self.sources.clone();
            let read = move || (Config::load(&sources), Some(alone));
            tokio::task::spawn_blocking(read).await
        };
        let why = tokio::select! {
            read = reading => match read {
                Ok(read) => return read,
                Err(_) => "could not be read".to_owned(),
            },
            () = self.clock.sleep(PATIENCE) => format!(
                "could not be read within {} s: a file beside it or below its directory, or what a \
                 link there leads to, is on a file system that does not answer; take the link away, \
                 or put a file in its place",
                PATIENCE.as_secs()
            ),
        };
        let file = self.sources.file.display().to_string();
        let problem = Problem { file, line: None, key: None, text: why };
        (Err(ConfigError(vec![problem])), None)
    }
}
