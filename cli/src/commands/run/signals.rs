//! Signals while the command runs, and its end.
//!
//! The signals are blocked and read from a descriptor, each with who sent it: what the terminal
//! sends (Ctrl-C, Ctrl-Z, a new size) goes to the whole process group and so to the command
//! itself; it must not get it twice, because many programs take a second Ctrl-C for "at once".
//! What somebody sends to `iamctl` is passed on. (std::process gives the command an empty mask.)

use std::os::fd::AsFd;
use std::process::Child;

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::{SigSet, Signal, kill, raise};
use nix::sys::signalfd::{SfdFlags, SignalFd, siginfo};
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::Pid;
use rustix::process::{PidfdFlags, pidfd_open};

/// What is passed on when it is sent to `iamctl`.
const PASSED_ON: [Signal; 9] = [
    Signal::SIGINT,
    Signal::SIGTERM,
    Signal::SIGHUP,
    Signal::SIGQUIT,
    Signal::SIGUSR1,
    Signal::SIGUSR2,
    Signal::SIGTSTP,
    Signal::SIGCONT,
    Signal::SIGWINCH,
];
/// `si_code` of what the kernel sends, for the terminal among others (asm-generic/siginfo.h).
const SI_KERNEL: i32 = 0x80;

/// How a command ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ended {
    /// By itself.
    Code(i32),
    /// By a signal.
    Signal(Signal),
    /// Somebody else took its exit status: `iamctl` was started with SIGCHLD ignored.
    Unknown,
}

/// The signals of this process.
pub(super) struct Signals {
    fd: SignalFd,
}

impl Signals {
    /// From now on signals wait until they are attended to.
    ///
    /// # Errors
    /// Such as no descriptor left.
    pub(super) fn catch() -> nix::Result<Self> {
        let mut set: SigSet = PASSED_ON.into_iter().collect();
        set.add(Signal::SIGCHLD);
        set.thread_block()?;
        Ok(Self { fd: SignalFd::with_flags(&set, SfdFlags::SFD_NONBLOCK | SfdFlags::SFD_CLOEXEC)? })
    }

    /// A signal that came already and means the end.
    pub(super) fn that_ends(&self) -> Option<Signal> {
        use Signal::{SIGHUP, SIGINT, SIGQUIT, SIGTERM};
        let signals = std::iter::from_fn(|| self.next().map(|(signal, _)| signal));
        signals.into_iter().find(|signal| matches!(signal, SIGINT | SIGTERM | SIGHUP | SIGQUIT))
    }

    /// Attends to signals until the command has ended.
    pub(super) fn attend(&self, child: &Child) -> Ended {
        let Ok(pid) = i32::try_from(child.id()) else { return Ended::Unknown };
        // Tells the end where SIGCHLD is ignored; without it there is still the signal.
        let pidfd = rustix::process::Pid::from_raw(pid)
            .and_then(|pid| pidfd_open(pid, PidfdFlags::empty()).ok());
        let mut attended = Attended { pid: Pid::from_raw(pid), stopped: false };
        loop {
            let mut fds = vec![PollFd::new(self.fd.as_fd(), PollFlags::POLLIN)];
            fds.extend(pidfd.as_ref().map(|fd| PollFd::new(fd.as_fd(), PollFlags::POLLIN)));
            match poll(&mut fds, PollTimeout::NONE) {
                Ok(_) | Err(Errno::EINTR) => {}
                // Without poll there is still the plain wait for the end.
                Err(_) => return attended.wait(),
            }
            while let Some((signal, info)) = self.next() {
                if let Some(ended) = attended.signal(signal, &info) {
                    return ended;
                }
            }
            if let Some(ended) = attended.look() {
                return ended;
            }
        }
    }

    fn next(&self) -> Option<(Signal, siginfo)> {
        let info = self.fd.read_signal().ok().flatten()?;
        let signal = i32::try_from(info.ssi_signo).ok()?.try_into().ok()?;
        Some((signal, info))
    }
}

/// The command, until its exit status was taken: so long its pid is its own.
struct Attended {
    pid: Pid,
    stopped: bool,
}

impl Attended {
    /// Passes a signal on, if the command did not get it.
    fn signal(&mut self, signal: Signal, info: &siginfo) -> Option<Ended> {
        let ended = self.look();
        let has_it =
            info.ssi_code == SI_KERNEL || i64::from(info.ssi_pid) == i64::from(self.pid.as_raw());
        let pass_on = match signal {
            Signal::SIGCHLD => false,
            // `fg` goes to the group: where the command goes on already it is not told again.
            Signal::SIGCONT => self.stopped,
            _ => !has_it,
        };
        if ended.is_none() && pass_on {
            let _ = kill(self.pid, signal);
        }
        ended
    }

    /// What became of the command since the last look.
    fn look(&mut self) -> Option<Ended> {
        let flags = WaitPidFlag::WNOHANG | WaitPidFlag::WUNTRACED | WaitPidFlag::WCONTINUED;
        loop {
            match waitpid(self.pid, Some(flags)) {
                Ok(WaitStatus::Exited(_, code)) => return Some(Ended::Code(code)),
                Ok(WaitStatus::Signaled(_, signal, _)) => return Some(Ended::Signal(signal)),
                Ok(WaitStatus::Stopped(..)) => {
                    self.stopped = true;
                    stop_too();
                }
                Ok(WaitStatus::Continued(_)) => self.stopped = false,
                Err(Errno::EINTR) => {}
                Ok(_) => return None,
                Err(_) => return Some(Ended::Unknown),
            }
        }
    }

    fn wait(&self) -> Ended {
        loop {
            match waitpid(self.pid, None) {
                Ok(WaitStatus::Exited(_, code)) => return Ended::Code(code),
                Ok(WaitStatus::Signaled(_, signal, _)) => return Ended::Signal(signal),
                Ok(_) | Err(Errno::EINTR) => {}
                Err(_) => return Ended::Unknown,
            }
        }
    }
}

/// The shell waits for `iamctl` and not for the command: it gets its terminal back when `iamctl`
/// stops too. Where there is no terminal no shell waits, and nobody would let it go on.
fn stop_too() {
    if std::fs::File::open("/dev/tty").is_ok() {
        let _ = raise(Signal::SIGSTOP);
    }
}

/// Ends this process by the signal, if nobody ignores it.
pub(super) fn end_this_process(signal: Signal) {
    let mut set = SigSet::empty();
    set.add(signal);
    let _ = set.thread_unblock();
    let _ = raise(signal);
}
