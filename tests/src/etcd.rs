//! An etcd in the hub, for nodes that share their store: one member, TLS from the run's CA, its data
//! in the run's directory. It listens at an address of its own, which is nobody else's.

use std::fs::File;
use std::net::Ipv4Addr;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::clock;
use crate::command;
use crate::error::{Error, Result};
use crate::ground::Ground;
use crate::node::NodeSpec;

const CLIENTS: u16 = 2379;
const PEERS: u16 = 2380;
const START: Duration = Duration::from_secs(30);
/// Where a node has the certificate that vouches for it.
const CA: &str = "/etc/iamd/etcd-ca.pem";
/// The keyring that all its nodes have. It guards nothing but this run.
const KEYRING: &str = "of-this-run AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAc=\n";
const CREDENTIAL: &str =
    "[Service]\nLoadCredentialEncrypted=\nLoadCredential=iamd.keyring:/etc/iamd/keyring\n";

/// A running etcd. Dropping it ends it.
#[derive(Debug)]
pub struct Etcd {
    host: String,
    address: Ipv4Addr,
    child: Child,
    ground: Arc<Ground>,
}

impl Etcd {
    /// Starts one that is called `host`; done when it serves.
    pub fn start(ground: &Arc<Ground>, host: &str) -> Result<Etcd> {
        let address = ground.hub.address()?;
        let (cert, key) = ground.ca.issue(&ground.run, &[host, &address.to_string()], &[])?;
        let dir = ground.run.dir().join(host);
        let log = dir.with_extension("log");
        let errors = File::create(&log).map_err(Error::at(&log))?;
        let clients = format!("https://{address}:{CLIENTS}");
        let peers = format!("http://{address}:{PEERS}");
        let mut etcd = ground.hub.command("setpriv");
        etcd.args(["--pdeathsig", "TERM", "--", "etcd", "--name", "one", "--data-dir"]).arg(&dir);
        etcd.args(["--listen-client-urls", &clients, "--advertise-client-urls", &clients]);
        etcd.args(["--listen-peer-urls", &peers, "--initial-advertise-peer-urls", &peers]);
        etcd.args(["--initial-cluster", &format!("one={peers}")]);
        etcd.arg("--cert-file").arg(cert).arg("--key-file").arg(key);
        etcd.args(["--log-level", "error", "--logger", "zap"]);
        etcd.stdin(Stdio::null()).stdout(Stdio::null()).stderr(errors);
        let child = crate::run::spawn_kept(etcd)?;
        let etcd = Etcd { host: host.into(), address, child, ground: Arc::clone(ground) };
        clock::eventually("etcd to serve", START, || etcd.health()).map_err(|error| {
            let said = std::fs::read_to_string(&log).unwrap_or_default();
            Error::Wrong(format!("{error}: {}", command::tail(&said)))
        })?;
        Ok(etcd)
    }

    /// The specification of a node that shares it, with the keys of all such nodes.
    pub fn on(&self, spec: NodeSpec) -> NodeSpec {
        let ca: PathBuf = self.ground.ca.certificate();
        spec.host_at(&self.host, self.address)
            .file("/etc/iamd/keyring", 0o600, KEYRING)
            .file("/etc/systemd/system/iamd.service.d/keyring.conf", 0o644, CREDENTIAL)
            .prepare(move |root| {
                let pem = std::fs::read(&ca).map_err(Error::at(&ca))?;
                crate::node::write(&root.join(CA.trim_start_matches('/')), 0o644, &pem)
            })
    }

    /// What stands in `iamd.toml` of such a node.
    pub fn config(&self) -> String {
        let url = format!("https://{}:{CLIENTS}", self.host);
        format!("[store]\nkind = \"etcd\"\nendpoints = [\"{url}\"]\nca = \"{CA}\"\n")
    }

    /// All that is in it, keys and values, as they are.
    pub fn everything(&self) -> Result<String> {
        let all = r#"{"key": "AA==", "range_end": "AA=="}"#;
        let mut curl = self.curl("/v3/kv/range");
        curl.args(["-d", all]);
        let said = command::run(curl, b"", Duration::from_secs(20))?.ok()?;
        let range: serde_json::Value = serde_json::from_slice(&said.stdout)
            .map_err(|error| Error::Wrong(format!("etcd's answer: {error}")))?;
        let mut text = String::new();
        for row in range["kvs"].as_array().into_iter().flatten() {
            for part in ["key", "value"] {
                text.push_str(&decoded(row[part].as_str().unwrap_or_default()));
                text.push('\n');
            }
        }
        Ok(text)
    }

    /// Stops it in the middle of whatever it does (`true`), or lets it go on.
    pub fn freeze(&self, frozen: bool) -> Result<()> {
        self.signal(if frozen { Signal::SIGSTOP } else { Signal::SIGCONT })
    }

    fn health(&self) -> Result<()> {
        let said = command::run(self.curl("/health"), b"", Duration::from_secs(5))?.ok()?;
        match said.text().contains("true") {
            true => Ok(()),
            false => Err(Error::Wrong(said.text())),
        }
    }

    fn curl(&self, path: &str) -> Command {
        let mut curl = self.ground.hub.command("curl");
        curl.args(["-sS", "--fail", "--max-time", "15", "--resolve"]);
        curl.arg(format!("{}:{CLIENTS}:{}", self.host, self.address));
        curl.arg("--cacert").arg(self.ground.ca.certificate());
        curl.arg(format!("https://{}:{CLIENTS}{path}", self.host));
        curl
    }

    fn signal(&self, signal: Signal) -> Result<()> {
        let pid = i32::try_from(self.child.id()).unwrap_or_default();
        kill(Pid::from_raw(pid), signal).map_err(Error::errno("signalling etcd"))
    }
}

impl Drop for Etcd {
    fn drop(&mut self) {
        for signal in [Signal::SIGCONT, Signal::SIGTERM, Signal::SIGKILL] {
            let _ = self.signal(signal);
            let patience = match signal {
                Signal::SIGCONT => Duration::ZERO,
                _ => Duration::from_secs(5),
            };
            let ended = || matches!(self.child.try_wait(), Ok(Some(_)));
            if clock::until("its end", patience, ended).is_ok() {
                return;
            }
        }
    }
}

fn decoded(base64: &str) -> String {
    use base64::Engine as _;
    let bytes = base64::engine::general_purpose::STANDARD.decode(base64).unwrap_or_default();
    String::from_utf8_lossy(&bytes).into_owned()
}
