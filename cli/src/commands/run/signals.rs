//! Signals while the command runs, and its end.
//!
//! Each signal is looked at with who sent it: what the terminal sends (Ctrl-C, Ctrl-Z, a new size)
//! goes to the whole process group and so to the command itself; it must not get it twice, because
//! many programs take a second Ctrl-C for "at once". What somebody sends to `iamctl` is passed on.
//!
//! They are handled and not blocked: the command would inherit a mask, but not a handler.

use std::process::Child;

use nix::errno::Errno;
use nix::sys::signal::{Signal, kill, raise};
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::{Pid, getsid};
use signal_hook::iterator::SignalsInfo;
use signal_hook::iterator::exfiltrator::WithOrigin;
use signal_hook::low_level::emulate_default_handler;
use signal_hook::low_level::siginfo::{Cause, Origin};

/// What is passed on when it is sent to `iamctl`: all that can be caught and would end or stop it,
/// but for what a fault of its own raises, and for real-time signals, which have no names.
const PASSED_ON: [Signal; 16] = [
    Signal::SIGINT,
    Signal::SIGTERM,
    Signal::SIGHUP,
    Signal::SIGQUIT,
    Signal::SIGUSR1,
    Signal::SIGUSR2,
    Signal::SIGTSTP,
    Signal::SIGCONT,
    Signal::SIGWINCH,
    Signal::SIGXCPU,
    Signal::SIGXFSZ,
    Signal::SIGALRM,
    Signal::SIGVTALRM,
    Signal::SIGPROF,
    Signal::SIGPWR,
    Signal::SIGIO,
];

/// How a command ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ended {
    /// By itself.
    Code(i32),
    /// By a signal.
    Signal(Signal),
    /// Its exit status is not to be had.
    Unknown,
}

/// The signals of this process.
pub(super) struct Signals(SignalsInfo<WithOrigin>);

impl Signals {
    /// From now on signals wait until they are attended to.
    ///
    /// # Errors
    /// Such as no descriptor left.
    pub(super) fn catch() -> std::io::Result<Self> {
        // The signals that nohup(1) and the like ignore stay so, for the command too.
        let ignored = ignored(&std::fs::read_to_string("/proc/self/status").unwrap_or_default());
        let is_ignored = |signal: Signal| ignored >> (signal as i32 - 1) & 1 == 1;
        let caught = PASSED_ON.into_iter().filter(|signal| !is_ignored(*signal));
        // An end that is ignored would take its exit status with it.
        let caught = caught.chain([Signal::SIGCHLD]).map(|signal| signal as i32);
        Ok(Self(SignalsInfo::new(caught)?))
    }

    /// A signal that came already and means the end.
    pub(super) fn that_ends(&mut self) -> Option<Signal> {
        use Signal::{SIGHUP, SIGINT, SIGQUIT, SIGTERM};
        let mut signals = self.0.pending().filter_map(|origin| origin.signal.try_into().ok());
        signals.find(|signal| matches!(signal, SIGINT | SIGTERM | SIGHUP | SIGQUIT))
    }

    /// Attends to signals until the command has ended.
    pub(super) fn attend(&mut self, child: &Child) -> Ended {
        let Ok(pid) = i32::try_from(child.id()) else { return Ended::Unknown };
        let mut attended = Attended { pid: Pid::from_raw(pid), stopped: false };
        // It may have ended before the first signal is looked at.
        if let Some(ended) = attended.look() {
            return ended;
        }
        for origin in &mut self.0 {
            if let Some(ended) = attended.signal(&origin) {
                return ended;
            }
        }
        attended.wait()
    }
}

/// The mask of ignored signals (proc_pid_status(5)); none where it is not to be had.
fn ignored(status: &str) -> u64 {
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).unwrap_or(0)
}

/// The command, until its exit status was taken: so long its pid is its own.
struct Attended {
    pid: Pid,
    stopped: bool,
}

impl Attended {
    /// Passes a signal on, if the command did not get it.
    fn signal(&mut self, origin: &Origin) -> Option<Ended> {
        let ended = self.look();
        if ended.is_none()
            && let Ok(signal) = Signal::try_from(origin.signal)
            && self.lacks(signal, origin)
        {
            let _ = kill(self.pid, signal);
        }
        ended
    }

    /// Whether the command should get the signal and did not.
    fn lacks(&self, signal: Signal, origin: &Origin) -> bool {
        let by_command = origin.process.as_ref().is_some_and(|by| by.pid == self.pid.as_raw());
        match signal {
            Signal::SIGCHLD => false,
            // `fg` goes to the group: where the command goes on already it is not told again.
            Signal::SIGCONT => self.stopped,
            // A terminal that goes away tells its session leader only; who that is has to pass it
            // on, as a shell does (tty_signal_session_leader in the kernel).
            Signal::SIGHUP if is_session_leader() => !by_command,
            // A limit or a timer is of one process: the command has seen nothing of it.
            Signal::SIGXCPU
            | Signal::SIGXFSZ
            | Signal::SIGALRM
            | Signal::SIGVTALRM
            | Signal::SIGPROF
            | Signal::SIGPWR
            | Signal::SIGIO => !by_command,
            _ => !by_command && !matches!(origin.cause, Cause::Kernel),
        }
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

fn is_session_leader() -> bool {
    getsid(None) == Ok(Pid::this())
}

/// The shell waits for `iamctl` and not for the command: it gets its terminal back when `iamctl`
/// stops too. Where there is no terminal no shell waits, and nobody would let it go on.
fn stop_too() {
    if std::fs::File::open("/dev/tty").is_ok() {
        let _ = raise(Signal::SIGSTOP);
    }
}

/// Ends this process by the signal.
pub(super) fn end_this_process(signal: Signal) {
    let _ = emulate_default_handler(signal as i32);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_nohup_ignores_is_found() {
        let status = "Name:\tiamctl\nSigBlk:\t0000000000000000\nSigIgn:\t0000000000001001\n";
        assert_eq!(ignored(status), 0x1001);
        assert_eq!(ignored(status) >> (Signal::SIGHUP as i32 - 1) & 1, 1);
        assert_eq!(ignored("SigIgn:\tnonsense"), 0);
        assert_eq!(ignored(""), 0);
    }
}
