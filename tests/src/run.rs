//! A run: its id, its directory in memory, and the promise that nothing of it stays.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Sender, channel};
use std::thread;
use std::time::Duration;

use nix::fcntl::{Flock, FlockArg};
use nix::mount::{MsFlags, mount};
use nix::sys::signal::{SigSet, Signal};
use nix::unistd::geteuid;

use crate::clock;
use crate::command;
use crate::error::{Error, Result};
use crate::places::RUNS;
use crate::sweep;

/// What the run's directory may hold: nodes write there, and memory is fast and forgets.
const SIZE: &str = "size=6g,mode=0755";

/// Set when a signal ends the process.
static ENDING: AtomicBool = AtomicBool::new(false);

/// One run of the tests or the demo. Dropping it removes whatever its parts did not.
#[derive(Debug)]
pub struct Run {
    id: u32,
    dir: PathBuf,
    _lock: Flock<File>,
}

impl Run {
    /// Starts a run: checks that this machine can boot nodes, sweeps what killed runs left, and
    /// from now on ends the process in order on SIGINT, SIGTERM and SIGHUP. Call it before any
    /// thread is started.
    pub fn start() -> Result<Run> {
        able()?;
        fs::create_dir_all(RUNS).map_err(Error::at(Path::new(RUNS)))?;
        sweep_dead_runs();
        let id = std::process::id();
        let lock = lock(id)?
            .ok_or_else(|| Error::Wrong(format!("run {id} is alive, and has this process's id")))?;
        let dir = sweep::dir_of(id);
        sweep::clean(id);
        end_on_signals(id)?;
        fs::create_dir_all(&dir).map_err(Error::at(&dir))?;
        mount(Some("tmpfs"), &dir, Some("tmpfs"), MsFlags::MS_NOSUID | MsFlags::MS_NODEV, Some(SIZE))
            .map_err(|errno| {
                Error::Unable(format!(
                    "cannot mount a tmpfs ({errno}): login nodes need mounts and namespaces; run \
                     on a machine or in a virtual machine of your own, or with docker run --privileged"
                ))
            })?;
        Ok(Run { id, dir, _lock: lock })
    }

    /// The run's id: this process's id.
    pub fn id(&self) -> u32 {
        self.id
    }

    /// The run's directory, in memory, removed at the end.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// A name of the run's own for a namespace, machine or control group.
    pub fn name(&self, part: &str) -> String {
        format!("{}{part}", sweep::prefix_of(self.id))
    }

    /// A command of this run.
    pub fn command(&self, program: &str) -> Command {
        command::tagged(self.id, program)
    }
}

impl Drop for Run {
    fn drop(&mut self) {
        if ENDING.load(Ordering::SeqCst) {
            // Its parts fail because a signal ends them: no news, and the exit code is the signal's.
            clock::pause(Duration::from_secs(60));
        }
        sweep::clean(self.id);
        let _ = fs::remove_file(lock_file(self.id));
    }
}

/// Starts a long-lived command from a thread that lives as long as the process: a parent-death
/// signal (`setpriv --pdeathsig`) is sent when the *thread* that forked ends, prctl(2).
pub fn spawn_kept(command: Command) -> Result<Child> {
    type Order = (Command, Sender<std::io::Result<Child>>);
    static KEEPER: OnceLock<Sender<Order>> = OnceLock::new();
    let line = command::describe(&command);
    let keeper = KEEPER.get_or_init(|| {
        let (orders, inbox) = channel::<Order>();
        thread::spawn(move || {
            for (mut command, answer) in inbox {
                let _ = answer.send(command.spawn());
            }
        });
        orders
    });
    let (answer, child) = channel();
    keeper.send((command, answer)).map_err(|_| Error::Wrong("the keeper thread is gone".into()))?;
    child.recv().map_err(|_| Error::Wrong("no child".into()))?.map_err(Error::io(line))
}

/// One clear line where no node can boot.
fn able() -> Result<()> {
    if !geteuid().is_root() {
        return Err(Error::Unable(
            "not root: a login node needs mounts and namespaces; run it with sudo, on a machine \
             or virtual machine you may be root on"
                .into(),
        ));
    }
    for (program, package) in [
        ("systemd-nspawn", "systemd-container"),
        ("debootstrap", "debootstrap"),
        ("ip", "iproute2"),
        ("ssh", "openssh-client"),
        ("setpriv", "util-linux"),
        ("node", "nodejs (20 or later)"),
    ] {
        if find(program).is_none() {
            return Err(Error::Unable(format!(
                "{program} is missing: run tests/setup, or install the package {package}"
            )));
        }
    }
    let mut try_namespaces = Command::new("unshare");
    try_namespaces.args(["--mount", "--net", "--pid", "--ipc", "--uts", "--fork", "true"]);
    command::must(try_namespaces).map(|_| ()).map_err(|_| {
        Error::Unable(
            "no namespaces here (unshare was refused), so no login node can boot: run on a \
             machine or virtual machine of your own, or with docker run --privileged"
                .into(),
        )
    })
}

/// Where `program` is on the path.
pub fn find(program: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path).map(|dir| dir.join(program)).find(|file| file.is_file())
}

fn lock_file(id: u32) -> PathBuf {
    Path::new(RUNS).join(format!("{id}.lock"))
}

/// The lock of run `id`, or `None` while that run lives.
fn lock(id: u32) -> Result<Option<Flock<File>>> {
    let path = lock_file(id);
    let file = File::create(&path).map_err(Error::at(&path))?;
    Ok(Flock::lock(file, FlockArg::LockExclusiveNonblock).ok())
}

fn sweep_dead_runs() {
    for entry in fs::read_dir(RUNS).into_iter().flatten().flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        let Some(id) = name.strip_suffix(".lock").and_then(|id| id.parse().ok()) else { continue };
        if let Ok(Some(_lock)) = lock(id) {
            sweep::clean(id);
            let _ = fs::remove_file(entry.path());
        }
    }
}

/// From now on a signal that ends this process first removes what the run made.
fn end_on_signals(id: u32) -> Result<()> {
    let mut signals = SigSet::empty();
    signals.add(Signal::SIGINT);
    signals.add(Signal::SIGTERM);
    signals.add(Signal::SIGHUP);
    // Blocked here and in every thread to come; children start with an empty mask (std does that).
    signals.thread_block().map_err(Error::errno("blocking signals"))?;
    thread::spawn(move || {
        if let Ok(signal) = signals.wait() {
            ENDING.store(true, Ordering::SeqCst);
            sweep::clean(id);
            let _ = fs::remove_file(lock_file(id));
            std::process::exit(128 + signal as i32);
        }
    });
    Ok(())
}
