//! Somebody who asks the person at the terminal for a password when polkit wants one: polkit's own
//! agent for terminals, for as long as a command of an administrator runs. Where there is none, or
//! no terminal, polkit decides without asking.

use std::io::{self, IsTerminal, Read};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::{Pid, geteuid};

use crate::interrupt;

/// Not one that is found on the way: it is given a password.
const PROGRAM: &str = "/usr/bin/pkttyagent";
/// How long it may take to tell polkit that it is there.
const PATIENCE: Duration = Duration::from_secs(5);

/// An agent that answers for this process. Dropping it ends it.
pub(crate) struct Agent(Child);

impl Agent {
    /// Starts one, where somebody can be asked; root never is.
    pub(crate) fn start() -> Option<Self> {
        if geteuid().is_root() || !io::stdin().is_terminal() || !io::stderr().is_terminal() {
            return None;
        }
        // It closes its standard output when polkit knows of it, and talks to the terminal itself.
        let mut command = Command::new(PROGRAM);
        command.args(["--notify-fd", "1", "--fallback", "--process"]);
        command.arg(std::process::id().to_string()).stdout(Stdio::piped());
        let mut agent = Self(command.spawn().ok()?);
        let mut output = agent.0.stdout.take()?;
        let (ready, is_ready) = mpsc::channel();
        std::thread::spawn(move || {
            interrupt::ignore_in_this_thread();
            let _ = output.read_to_end(&mut Vec::new());
            let _ = ready.send(());
        });
        let _ = is_ready.recv_timeout(PATIENCE);
        Some(agent)
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        // By a signal that it catches: it gives the terminal its echo back.
        if let Ok(pid) = i32::try_from(self.0.id()) {
            let _ = kill(Pid::from_raw(pid), Signal::SIGTERM);
        }
        let _ = self.0.wait();
    }
}
