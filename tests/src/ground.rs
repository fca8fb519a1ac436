//! What every node of a run stands on: the run, its hub, the Debian, the ssh key and the CA.

use std::fs;
use std::path::PathBuf;
use std::process::Command;
use std::sync::Arc;

use crate::ca::Ca;
use crate::command;
use crate::error::{Error, Result};
use crate::net::Hub;
use crate::rootfs;
use crate::run::Run;

/// Shared by the nodes and the issuers of a run.
#[derive(Debug)]
pub struct Ground {
    /// The hub namespace; dropped before the run.
    pub hub: Hub,
    /// The run's certificate authority.
    pub ca: Ca,
    /// The root file system below every node.
    pub root: PathBuf,
    /// The private ssh key that opens every user of every node.
    pub key: PathBuf,
    /// The host keys of every node (they share the root's).
    pub known_hosts: PathBuf,
    /// The run itself.
    pub run: Arc<Run>,
}

impl Ground {
    /// Lays the ground; `say` hears what takes long.
    pub fn lay(say: &dyn Fn(&str)) -> Result<Arc<Ground>> {
        let run = Arc::new(Run::start()?);
        let root = rootfs::root(say)?;
        let hub = Hub::new(run.clone())?;
        let ca = Ca::make(&run)?;
        let key = run.dir().join("key");
        let mut keygen = Command::new("ssh-keygen");
        keygen.args(["-q", "-t", "ed25519", "-N", "", "-C", "the run's own key", "-f"]).arg(&key);
        command::must(keygen)?;
        let known_hosts = run.dir().join("known_hosts");
        let mut known = String::new();
        for kind in ["ed25519", "ecdsa", "rsa"] {
            let path = root.join(format!("etc/ssh/ssh_host_{kind}_key.pub"));
            let text = fs::read_to_string(&path).map_err(Error::at(&path))?;
            known += &format!("10.77.* {text}");
        }
        fs::write(&known_hosts, known).map_err(Error::at(&known_hosts))?;
        Ok(Arc::new(Ground { hub, ca, root, key, known_hosts, run }))
    }
}
