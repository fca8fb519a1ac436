//! A login node: Debian with systemd as its first process, in systemd-nspawn on an overlay.

use std::fmt::Debug;
use std::fs::{self, File};
use std::net::Ipv4Addr;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use nix::mount::{MsFlags, mount};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::clock;
use crate::command::{self, Output};
use crate::error::{Error, Result};
use crate::ground::Ground;
use crate::net::Port;
use crate::places;
use crate::ssh::Ssh;
use crate::sweep;

/// How long a boot may take before it counts as failed.
const BOOT: Duration = Duration::from_secs(60);
/// How long an orderly shutdown may take before the node is switched off.
const SHUTDOWN: Duration = Duration::from_secs(6);

type Prepare = Box<dyn Fn(&Path) -> Result<()> + Send + Sync>;

/// What a node shall be.
pub struct NodeSpec {
    name: String,
    number: u8,
    hosts: Vec<(String, Ipv4Addr)>,
    prepare: Vec<Prepare>,
    layers: Vec<PathBuf>,
}

impl Debug for NodeSpec {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("NodeSpec").field("name", &self.name).finish_non_exhaustive()
    }
}

impl NodeSpec {
    /// A node called `name` with address 10.77.0.(10 + `number`).
    pub fn new(name: &str, number: u8) -> NodeSpec {
        NodeSpec {
            name: name.into(),
            number,
            hosts: Vec::new(),
            prepare: Vec::new(),
            layers: Vec::new(),
        }
    }

    /// With `host` in its /etc/hosts, at `address`.
    pub fn host_at(mut self, host: &str, address: Ipv4Addr) -> NodeSpec {
        self.hosts.push((host.into(), address));
        self
    }

    /// With a file, owned by root.
    pub fn file(self, path: &str, mode: u32, content: &str) -> NodeSpec {
        let (path, content) = (path.trim_start_matches('/').to_owned(), content.to_owned());
        self.prepare(move |root| write(&root.join(&path), mode, content.as_bytes()))
    }

    /// With a layer over the Debian that all nodes stand on, such as [`crate::rootfs::readers`].
    pub fn over(mut self, layer: PathBuf) -> NodeSpec {
        self.layers.insert(0, layer);
        self
    }

    /// With something done to its root directory before it boots.
    pub fn prepare(mut self, f: impl Fn(&Path) -> Result<()> + Send + Sync + 'static) -> NodeSpec {
        self.prepare.push(Box::new(f));
        self
    }
}

/// A booted login node. Dropping it shuts it down and removes it.
#[derive(Debug)]
pub struct Node {
    name: String,
    dir: PathBuf,
    port: Port,
    machine: Mutex<Option<Machine>>,
    booted: Duration,
    ground: Arc<Ground>,
}

/// The running part of a node.
#[derive(Debug)]
struct Machine {
    nspawn: Child,
    leader: Pid,
}

impl Node {
    /// Makes and boots a node; done when systemd says it is running.
    pub fn boot(ground: &Arc<Ground>, spec: &NodeSpec) -> Result<Node> {
        let start = clock::now();
        let dir = ground.run.dir().join(&spec.name);
        let port = ground.hub.port(&spec.name, spec.number)?;
        let mut node = Node {
            name: spec.name.clone(),
            dir,
            port,
            machine: Mutex::new(None),
            booted: Duration::ZERO,
            ground: ground.clone(),
        };
        node.mount(&spec.layers)?;
        node.furnish(spec)?;
        for prepare in &spec.prepare {
            prepare(&node.root())?;
        }
        node.switch_on()?;
        node.booted = start.elapsed();
        Ok(node)
    }

    /// Its name, which the ssh client knows.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its address on the bridge.
    pub fn address(&self) -> Ipv4Addr {
        self.port.address
    }

    /// How long it took from nothing to `running`.
    pub fn boot_time(&self) -> Duration {
        self.booted
    }

    /// Its root directory, seen from the host: the disk only, not /run or /tmp.
    pub fn root(&self) -> PathBuf {
        self.dir.join("root")
    }

    /// Its network cable.
    pub fn cable(&self, plugged: bool) -> Result<()> {
        self.port.cable(plugged)
    }

    /// Runs a shell line as root inside, for 60 s at most.
    pub fn exec(&self, line: &str) -> Result<Output> {
        self.exec_with(line, b"", Duration::from_secs(60))
    }

    /// Runs a shell line as root inside, with `stdin`, for `limit` at most.
    pub fn exec_with(&self, line: &str, stdin: &[u8], limit: Duration) -> Result<Output> {
        let mut command = self.inside()?;
        command.args(["/bin/bash", "-c", line]);
        command::run(command, stdin, limit)
    }

    /// As [`exec`](Node::exec), but insists on exit code 0 and answers trimmed standard output.
    pub fn root_says(&self, line: &str) -> Result<String> {
        Ok(self.exec(line)?.ok()?.line())
    }

    /// Runs a shell line as `user` inside, without a login: no PAM, no session.
    pub fn exec_as(&self, user: &str, line: &str) -> Result<Output> {
        let mut command = self.inside()?;
        command.args(["setpriv", "--reuid", user, "--regid", user, "--init-groups"]);
        command.args(["env", &format!("HOME=/home/{user}"), &format!("USER={user}")]);
        command.args(["/bin/bash", "-c", line]);
        command::run(command, b"", Duration::from_secs(60))
    }

    /// A command inside, as root, to be completed: for what must run in the background.
    pub fn inside(&self) -> Result<Command> {
        let machine = self.machine.lock().unwrap_or_else(PoisonError::into_inner);
        let leader = machine.as_ref().map(|machine| machine.leader);
        let leader = leader.ok_or_else(|| Error::Wrong(format!("{} is off", self.name)))?;
        let mut command = self.ground.run.command("nsenter");
        command.args(["-t", &leader.to_string(), "-m", "-u", "-i", "-n", "-p", "-r", "-w", "--"]);
        command.args([
            "env",
            "-i",
            "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
        ]);
        command.args(["HOME=/root", "LANG=C.UTF-8", "USER=root", "TERM=dumb"]);
        Ok(command)
    }

    /// A command of this machine, to be completed, to which the node's processes have the numbers that
    /// they have inside.
    pub fn among_its_processes(&self) -> Result<Command> {
        let machine = self.machine.lock().unwrap_or_else(PoisonError::into_inner);
        let leader = machine.as_ref().map(|machine| machine.leader);
        let leader = leader.ok_or_else(|| Error::Wrong(format!("{} is off", self.name)))?;
        let mut command = self.ground.run.command("nsenter");
        // With a /proc of theirs too.
        command.args(["-t", &leader.to_string(), "-p", "--", "unshare", "--mount-proc", "--"]);
        Ok(command)
    }

    /// A login as `user` over the network, with the run's key.
    pub fn ssh(&self, user: &str) -> Ssh<'_> {
        Ssh::new(self, user)
    }

    /// A client program in the hub that reaches this node: scp, sftp, rsync, git.
    /// `GIT_SSH_COMMAND` and `RSYNC_RSH` are set; scp and sftp want `-F` [`ssh_config`](Node::ssh_config).
    pub fn client(&self, program: &str) -> Command {
        let ssh = format!("ssh -F {}", self.ssh_config().display());
        let mut command = self.ground.hub.command(program);
        command.env("GIT_SSH_COMMAND", &ssh).env("RSYNC_RSH", &ssh).env_remove("SSH_AUTH_SOCK");
        command
    }

    /// The client's configuration that knows this node by its name.
    pub fn ssh_config(&self) -> PathBuf {
        self.dir.join("ssh_config")
    }

    /// Writes a file inside, /run and /tmp included.
    pub fn put(&self, path: &str, mode: u32, owner: &str, content: &[u8]) -> Result<()> {
        let line = format!("install -D -m {mode:o} -o {owner} -g {owner} /dev/stdin '{path}'");
        self.exec_with(&line, content, Duration::from_secs(20))?.ok().map(|_| ())
    }

    /// Reads a file inside.
    pub fn get(&self, path: &str) -> Result<Vec<u8>> {
        Ok(self.exec(&format!("cat '{path}'"))?.ok()?.stdout)
    }

    /// What `unit` logged since the boot, messages only.
    pub fn journal(&self, unit: &str) -> Result<String> {
        Ok(self.exec(&format!("journalctl -b -o cat --no-pager -u '{unit}'"))?.ok()?.text())
    }

    /// Restarts `unit` and waits until it is up.
    pub fn restart(&self, unit: &str) -> Result<()> {
        self.exec(&format!("systemctl restart '{unit}'"))?.ok().map(|_| ())
    }

    /// Shuts down in order and boots again on the same disk.
    pub fn reboot(&self) -> Result<()> {
        self.switch_off(SHUTDOWN);
        self.switch_on()
    }

    /// Cuts the power (every process is killed at once) and boots again on the same disk.
    pub fn power_cut(&self) -> Result<()> {
        if let Some(machine) = &*self.machine.lock().unwrap_or_else(PoisonError::into_inner) {
            let _ = kill(machine.leader, Signal::SIGKILL);
        }
        self.switch_off(SHUTDOWN);
        self.switch_on()
    }

    fn mount(&self, more: &[PathBuf]) -> Result<()> {
        let (upper, work, root) = (self.dir.join("upper"), self.dir.join("work"), self.root());
        for dir in [&upper, &work, &root] {
            fs::create_dir_all(dir).map_err(Error::at(dir))?;
        }
        // The upper directory becomes the node's `/`: sshd insists on 0755.
        fs::set_permissions(&upper, fs::Permissions::from_mode(0o755))
            .map_err(Error::at(&upper))?;
        let lower = more.iter().chain([&self.ground.root]).map(|layer| layer.display().to_string());
        let layers = format!(
            "lowerdir={},upperdir={},workdir={}",
            lower.collect::<Vec<_>>().join(":"),
            upper.display(),
            work.display()
        );
        mount(Some("overlay"), &root, Some("overlay"), MsFlags::empty(), Some(layers.as_str()))
            .map_err(|errno| {
                Error::Unable(format!(
                    "cannot mount an overlay ({errno}): the kernel's overlay module is needed; in \
                     a container, docker run --privileged"
                ))
            })
    }

    /// What makes it this node of this run.
    fn furnish(&self, spec: &NodeSpec) -> Result<()> {
        let (root, name) = (self.root(), &self.name);
        let mut hosts = format!("127.0.0.1 localhost\n{} {name}\n", self.port.address);
        for (host, address) in &spec.hosts {
            hosts += &format!("{address} {host}\n");
        }
        write(&root.join("etc/hosts"), 0o644, hosts.as_bytes())?;
        write(&root.join("etc/hostname"), 0o644, format!("{name}\n").as_bytes())?;
        let id =
            format!("{:08x}{:08x}{:016x}\n", self.ground.run.id(), spec.number, clock::unix_time());
        write(&root.join("etc/machine-id"), 0o444, id.as_bytes())?;
        let key = self.ground.key.with_extension("pub");
        let key = fs::read(&key).map_err(Error::at(&key))?;
        write(&root.join("etc/ssh/run_key.pub"), 0o644, &key)?;
        self.ground.ca.trust_in(&root)?;
        let config = format!(
            "Host {name}\n  HostName {}\nHost *\n  IdentityFile {}\n  IdentitiesOnly yes\n  \
             UserKnownHostsFile {}\n  GlobalKnownHostsFile /dev/null\n  StrictHostKeyChecking yes\n  \
             LogLevel ERROR\n  ConnectTimeout 10\n  ServerAliveInterval 15\n",
            self.port.address,
            self.ground.key.display(),
            self.ground.known_hosts.display()
        );
        write(&self.ssh_config(), 0o600, config.as_bytes())
    }

    fn switch_on(&self) -> Result<()> {
        let console = self.dir.join("console");
        let log = File::create(&console).map_err(Error::at(&console))?;
        let errors = log.try_clone().map_err(Error::at(&console))?;
        let mut command = self.ground.run.command("sh");
        command.arg("-c").arg(
            "for procs in $IAMD_CGROUPS; do echo $$ > \"$procs\" || exit 70; done; \
             exec setpriv --pdeathsig TERM -- \"$@\"",
        );
        command.args(["sh", "systemd-nspawn", "--quiet", "--boot"]);
        command.arg("-D").arg(self.root()).arg("-M").arg(self.ground.run.name(&self.name));
        command.arg(format!("--hostname={}", self.name));
        command.arg(format!("--network-namespace-path=/run/netns/{}", self.port.namespace));
        // The host may have no systemd, and may have one: the node asks neither.
        command.args(["--register=no", "--keep-unit", "--settings=no", "--link-journal=no"]);
        command.args(["--resolv-conf=off", "--timezone=off", "--console=read-only"]);
        command.env("IAMD_CGROUPS", self.cgroups()?.join(" "));
        command.stdin(Stdio::null()).stdout(log).stderr(errors);
        let nspawn = crate::run::spawn_kept(command)?;
        let booted = self.wait_for_boot(nspawn);
        booted.map_err(|error| {
            let said = fs::read_to_string(&console).unwrap_or_default();
            self.switch_off(Duration::ZERO);
            let said = command::tail(&said);
            Error::Wrong(format!("{} did not boot: {error}\n--- its console:\n{said}", self.name))
        })
    }

    fn wait_for_boot(&self, mut nspawn: Child) -> Result<()> {
        let id = nspawn.id();
        let leader = clock::eventually("the node's first process", BOOT, || {
            match (leader_of(id), nspawn.try_wait()) {
                (Some(leader), _) => Ok(Some(leader)),
                (None, Ok(None)) => Err("not there yet"),
                (None, _) => Ok(None),
            }
        });
        let leader = match leader {
            Ok(Some(leader)) => leader,
            other => {
                let _ = nspawn.kill().and_then(|()| nspawn.wait().map(|_| ()));
                other?;
                return Err(Error::Wrong("systemd-nspawn ended".into()));
            }
        };
        *self.machine.lock().unwrap_or_else(PoisonError::into_inner) =
            Some(Machine { nspawn, leader });
        clock::eventually("systemd to say running", BOOT, || {
            let state = self.exec("systemctl is-system-running --wait").map(|out| out.line());
            match state.as_deref() {
                Ok("running" | "degraded") => Ok(()),
                Ok(other) => Err(other.to_owned()),
                Err(error) => Err(error.to_string()),
            }
        })
    }

    fn switch_off(&self, patience: Duration) {
        let machine = self.machine.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(mut machine) = machine {
            machine.end(patience);
        }
        for dir in self.cgroup_dirs() {
            sweep::remove_cgroup(&dir);
        }
    }

    /// Control groups of the node's own: two systemds in one would stop each other's units.
    fn cgroup_dirs(&self) -> Vec<PathBuf> {
        let name = self.ground.run.name(&self.name);
        cgroup_hierarchies().into_iter().map(|dir| dir.join(&name)).collect()
    }

    fn cgroups(&self) -> Result<Vec<String>> {
        let made = self.cgroup_dirs().into_iter().map(|dir| {
            fs::create_dir_all(&dir).map_err(|error| {
                let dir = dir.display();
                Error::Unable(format!(
                    "cannot make the control group {dir} ({error}): a login node needs control \
                     groups it may write; in a container, docker run --privileged"
                ))
            })?;
            Ok(dir.join("cgroup.procs").display().to_string())
        });
        made.collect()
    }

    /// Keeps journal and console where a person finds them after the run.
    fn keep_logs(&self) {
        let logs = places::logs();
        let _ = fs::create_dir_all(&logs);
        if let Ok(journal) = self.exec("journalctl -b -o short-precise --no-pager") {
            let _ = fs::write(logs.join(format!("{}.journal", self.name)), journal.stdout);
        }
        let _ = fs::copy(self.dir.join("console"), logs.join(format!("{}.console", self.name)));
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        self.keep_logs();
        self.switch_off(SHUTDOWN);
        sweep::unmount_below(&self.dir);
        // Journals and programs, tens of megabytes: the next nodes need the room.
        for layer in ["upper", "work"] {
            let _ = fs::remove_dir_all(self.dir.join(layer));
        }
    }
}

impl Machine {
    /// Asks for a shutdown in order, waits, asks again (nspawn then ends at once), then kills.
    fn end(&mut self, patience: Duration) {
        let Ok(nspawn) = i32::try_from(self.nspawn.id()).map(Pid::from_raw) else { return };
        for (signal, wait) in [
            (Signal::SIGTERM, patience),
            (Signal::SIGTERM, Duration::from_secs(2)),
            (Signal::SIGKILL, Duration::from_secs(5)),
        ] {
            if matches!(self.nspawn.try_wait(), Ok(Some(_))) {
                return;
            }
            let _ = kill(nspawn, signal);
            let ended = || matches!(self.nspawn.try_wait(), Ok(Some(_)));
            if clock::until("its end", wait, ended).is_ok() {
                return;
            }
        }
    }
}

/// The hierarchies in which systemd keeps its units: `name=systemd` and version 2, as mounted.
pub(crate) fn cgroup_hierarchies() -> Vec<PathBuf> {
    let table = fs::read_to_string("/proc/self/mounts").unwrap_or_default();
    let rows = table.lines().map(|line| line.split(' ').collect::<Vec<_>>());
    rows.filter_map(|row| match row[..] {
        [_, point, "cgroup2", ..] => Some(PathBuf::from(point)),
        [_, point, "cgroup", options, ..] if options.split(',').any(|o| o == "name=systemd") => {
            Some(PathBuf::from(point))
        }
        _ => None,
    })
    .collect()
}

/// The child of `nspawn` that is process 1 of another process namespace.
fn leader_of(nspawn: u32) -> Option<Pid> {
    let parent = format!("PPid:\t{nspawn}");
    fs::read_dir("/proc").ok()?.flatten().find_map(|entry| {
        let pid = entry.file_name().to_str()?.parse::<i32>().ok()?;
        let status = fs::read_to_string(entry.path().join("status")).ok()?;
        let ids = status.lines().find_map(|line| line.strip_prefix("NSpid:"))?;
        let is_child = status.lines().any(|line| line == parent);
        (is_child && ids.split_whitespace().skip(1).eq(["1"])).then(|| Pid::from_raw(pid))
    })
}

/// Writes a file and its folders, with `mode` whatever the umask.
pub fn write(path: &Path, mode: u32, content: &[u8]) -> Result<()> {
    if let Some(dir) = path.parent() {
        fs::create_dir_all(dir).map_err(Error::at(dir))?;
    }
    fs::write(path, content).map_err(Error::at(path))?;
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).map_err(Error::at(path))
}
