//! The run's network: a hub namespace with a bridge, and a namespace per node on it.
//!
//! ```text
//!   hub  10.77.0.1 ── br0 ─┬─ ve11 ══ host0  login1  10.77.0.11
//!   issuer, ssh client     └─ ve12 ══ host0  login2  10.77.0.12
//! ```
//! The host's own namespace has no part in it: veth pairs are made between hub and node directly.

use std::fs::File;
use std::io;
use std::net::{Ipv4Addr, SocketAddrV4, TcpStream};
use std::path::PathBuf;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::thread;

use nix::sched::{CloneFlags, setns};

use crate::command::must;
use crate::error::{Error, Result};
use crate::run::Run;

/// The hub's first address.
pub const HUB: Ipv4Addr = Ipv4Addr::new(10, 77, 0, 1);

/// The hub namespace.
#[derive(Debug)]
pub struct Hub {
    run: Arc<Run>,
    name: String,
    servers: AtomicU8,
}

/// A node's place on the bridge.
#[derive(Debug)]
pub struct Port {
    /// The node's network namespace.
    pub namespace: String,
    /// Its address.
    pub address: Ipv4Addr,
    veth: String,
    hub: String,
}

impl Hub {
    /// Makes the namespace and its bridge.
    pub fn new(run: Arc<Run>) -> Result<Hub> {
        let name = run.name("hub");
        ip(&["netns", "add", &name])?;
        let hub = Hub { run, name, servers: AtomicU8::new(1) };
        for words in [
            &["link", "set", "lo", "up"][..],
            // An address of its own. Else it is the lowest of its ports', changes when that port
            // goes, and those who have learned the old one talk to nobody for half a minute.
            &["link", "add", "br0", "address", "02:00:0a:4d:00:01", "type", "bridge"],
            &["addr", "add", &format!("{HUB}/16"), "dev", "br0"],
            &["link", "set", "br0", "up"],
        ] {
            hub.ip(words)?;
        }
        Ok(hub)
    }

    /// A command that runs in the hub, as the issuer and the ssh client do.
    pub fn command(&self, program: &str) -> Command {
        let mut command = self.run.command("nsenter");
        command.arg(format!("--net={}", self.path().display())).arg("--").arg(program);
        command
    }

    /// A port for node `number` (1 to 200), in a namespace of its own called `name`.
    pub fn port(&self, name: &str, number: u8) -> Result<Port> {
        let namespace = self.run.name(name);
        let address = Ipv4Addr::new(10, 77, 0, 10 + number);
        let veth = format!("ve{}", 10 + number);
        ip(&["netns", "add", &namespace])?;
        let port = Port { namespace, address, veth, hub: self.name.clone() };
        let (veth, inside) = (port.veth.as_str(), port.namespace.as_str());
        self.ip(&["link", "add", veth, "type", "veth", "peer", "name", "host0", "netns", inside])?;
        self.ip(&["link", "set", veth, "master", "br0", "up"])?;
        ip(&["-n", inside, "addr", "add", &format!("{address}/16"), "dev", "host0"])?;
        ip(&["-n", inside, "link", "set", "host0", "up"])?;
        ip(&["-n", inside, "link", "set", "lo", "up"])?;
        Ok(port)
    }

    /// An address in the hub for one more server: 10.77.0.1, then 10.77.1.2 and on. The issuers'
    /// ports on the hub's loopback are made of the last number.
    pub fn address(&self) -> Result<Ipv4Addr> {
        let address = match self.servers.fetch_add(1, Ordering::Relaxed) {
            1 => return Ok(HUB),
            number @ 2..=250 => Ipv4Addr::new(10, 77, 1, number),
            _ => return Err(Error::Wrong("the hub's addresses are taken".into())),
        };
        self.ip(&["addr", "add", &format!("{address}/16"), "dev", "br0"])?;
        Ok(address)
    }

    /// A connection made inside the hub, from this process: a thread moves there for it.
    pub fn connect(&self, address: Ipv4Addr, port: u16) -> io::Result<TcpStream> {
        let namespace = File::open(self.path())?;
        let connecting = thread::spawn(move || {
            setns(&namespace, CloneFlags::CLONE_NEWNET)?;
            TcpStream::connect(SocketAddrV4::new(address, port))
        });
        connecting
            .join()
            .unwrap_or_else(|_| Err(io::Error::other("the connecting thread panicked")))
    }

    fn path(&self) -> PathBuf {
        PathBuf::from("/run/netns").join(&self.name)
    }

    fn ip(&self, words: &[&str]) -> Result<()> {
        let mut all = vec!["-n", self.name.as_str()];
        all.extend(words);
        ip(&all)
    }
}

impl Drop for Hub {
    fn drop(&mut self) {
        let _ = ip(&["netns", "del", &self.name]);
    }
}

impl Port {
    /// Pulls the cable (`false`) or puts it back: packets vanish, nobody is told.
    pub fn cable(&self, plugged: bool) -> Result<()> {
        let state = if plugged { "up" } else { "down" };
        ip(&["-n", &self.hub, "link", "set", &self.veth, state])
    }
}

impl Drop for Port {
    fn drop(&mut self) {
        let _ = ip(&["netns", "del", &self.namespace]);
    }
}

fn ip(words: &[&str]) -> Result<()> {
    let mut command = Command::new("ip");
    command.args(words);
    must(command).map(|_| ()).map_err(|error| match error {
        Error::Failed { command, output, .. } if output.contains("not permitted") => {
            Error::Unable(format!(
                "`{command}` was refused ({output}): network namespaces need root and, in a \
                 container, docker run --privileged"
            ))
        }
        other => other,
    })
}
