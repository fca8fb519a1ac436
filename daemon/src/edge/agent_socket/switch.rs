//! Whether there is a socket: the site says so, at the start and at each reload. Sessions are told
//! of it only while it is served, and nothing here keeps iamd from starting.

use std::path::PathBuf;

use tokio::{sync::watch, task::JoinHandle};

use super::{AgentSocket, Host};

/// The socket, served or not.
pub struct Switch {
    path: PathBuf,
    host: Host,
    reloads: watch::Receiver<()>,
    serving: Option<JoinHandle<()>>,
}

impl Switch {
    /// The socket as the configuration has it: when this returns, sessions can be told of it.
    pub fn new(path: PathBuf, host: Host) -> Self {
        let reloads = host.service.reloads();
        let mut switch = Self { path, host, reloads, serving: None };
        switch.settle();
        switch
    }

    /// Follows the configuration until the task is aborted.
    pub async fn follow(mut self) {
        while self.reloads.changed().await.is_ok() {
            self.settle();
        }
    }

    pub(super) fn settle(&mut self) {
        match (self.host.service.config().agent_socket.enabled, &self.serving) {
            (true, None) => self.open(),
            (false, _) => self.close(),
            (true, Some(_)) => {}
        }
    }

    fn open(&mut self) {
        let path = self.path.display().to_string();
        match AgentSocket::bind(&self.path) {
            Ok(socket) => {
                self.serving = Some(tokio::spawn(socket.serve(self.host.clone())));
                self.host.service.serve_agent_socket(Some(path));
            }
            Err(error) => {
                tracing::error!(%error, "oidc-agent's clients are not served until the next reload: {error}");
            }
        }
    }

    fn close(&mut self) {
        self.host.service.serve_agent_socket(None);
        if let Some(serving) = self.serving.take() {
            serving.abort();
        }
        // Also what an earlier daemon left: a client shall see that there is none.
        if let Err(error) = std::fs::remove_file(&self.path)
            && error.kind() != std::io::ErrorKind::NotFound
        {
            tracing::warn!(%error, "the agent socket could not be removed: {error}");
        }
    }
}

impl Drop for Switch {
    fn drop(&mut self) {
        // The file stays: who connects meanwhile is refused by the kernel.
        if let Some(serving) = self.serving.take() {
            serving.abort();
        }
    }
}
