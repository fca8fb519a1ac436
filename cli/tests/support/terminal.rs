//! `iamctl` on a terminal of its own: a pseudo-terminal that is its controlling terminal, so that
//! Ctrl-C is what it is for a user.

use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::AsFd;
use std::os::unix::process::ExitStatusExt;
use std::process::{Child, Command};
use std::time::{Duration, Instant};

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::pty::{Winsize, openpty};
use nix::sys::signal::Signal;
use nix::sys::termios::{Termios, tcgetattr};

use super::iamctl;

/// How long a test waits for anything.
const PATIENCE: Duration = Duration::from_secs(60);

/// A terminal with `iamctl` on it.
pub(crate) struct Terminal {
    terminal: File,
    child: Child,
    seen: Vec<u8>,
    before: Termios,
}

impl Terminal {
    /// Starts `iamctl` on a terminal of that size; `change` may change its environment.
    pub(crate) fn start(
        address: &str,
        args: &[&str],
        size: (u16, u16),
        change: impl FnOnce(&mut Command),
    ) -> Self {
        Self::redirected(address, args, size, "", change)
    }

    /// The same with some of its streams elsewhere, as a shell writes it.
    pub(crate) fn redirected(
        address: &str,
        args: &[&str],
        size: (u16, u16),
        redirect: &str,
        change: impl FnOnce(&mut Command),
    ) -> Self {
        let wrap = |plain: &Command| {
            if redirect.is_empty() {
                return None;
            }
            let mut shell = Command::new("sh");
            shell.args(["-c", &format!("exec \"$@\" {redirect}"), "sh"]);
            shell.arg(plain.get_program()).args(plain.get_args());
            Some(shell)
        };
        Self::start_as(iamctl(address, args), size, wrap, change)
    }

    /// Starts what `wrap` makes of `iamctl`, a shell that runs it for example.
    pub(crate) fn start_with(
        address: &str,
        size: (u16, u16),
        wrap: impl FnOnce(&Command) -> Command,
    ) -> Self {
        Self::start_as(iamctl(address, &[]), size, |plain| Some(wrap(plain)), |_| {})
    }

    /// Starts another program likewise.
    pub(crate) fn start_program(
        address: &str,
        words: &[&str],
        size: (u16, u16),
        change: impl FnOnce(&mut Command),
    ) -> Self {
        let wrap = |_: &Command| {
            let mut program = Command::new(words[0]);
            program.args(&words[1..]);
            Some(program)
        };
        Self::start_as(iamctl(address, &[]), size, wrap, change)
    }

    fn start_as(
        environment: Command,
        (columns, rows): (u16, u16),
        wrap: impl FnOnce(&Command) -> Option<Command>,
        change: impl FnOnce(&mut Command),
    ) -> Self {
        let size = Winsize { ws_col: columns, ws_row: rows, ws_xpixel: 0, ws_ypixel: 0 };
        let pty = openpty(Some(&size), None).unwrap();
        // Else the program would keep its own terminal alive when this end goes.
        let flags = rustix::io::fcntl_getfd(&pty.master).unwrap() | rustix::io::FdFlags::CLOEXEC;
        rustix::io::fcntl_setfd(&pty.master, flags).unwrap();
        let wrapped = wrap(&environment);
        let plain = wrapped.as_ref().unwrap_or(&environment);
        // setsid --ctty makes standard input the controlling terminal, which std cannot. A test run
        // under nohup passes an ignored SIGHUP on, which a program is right to go on ignoring.
        let mut command = Command::new("env");
        command
            .args(["--default-signal", "setsid", "--ctty", "--wait"])
            .arg(plain.get_program())
            .args(plain.get_args());
        command
            .env_clear()
            .envs(environment.get_envs().filter_map(|(name, value)| Some((name, value?))));
        change(&mut command);
        command.stdin(pty.slave.try_clone().unwrap());
        command.stdout(pty.slave.try_clone().unwrap());
        command.stderr(pty.slave);
        let before = tcgetattr(&pty.master).unwrap();
        let child = command.spawn().unwrap();
        // The command holds the other end; dropped, the end of iamctl is the end of the terminal.
        drop(command);
        Self { terminal: File::from(pty.master), child, seen: Vec::new(), before }
    }

    /// Waits until the text is on the terminal.
    pub(crate) fn wait_for(&mut self, text: &str) {
        let start = now();
        while !self.seen().contains(text) {
            assert!(
                start.elapsed() < PATIENCE && self.read(),
                "{text:?} did not appear in {:?}",
                self.seen()
            );
        }
    }

    /// Waits until the text was on the terminal so many times.
    pub(crate) fn wait_for_again(&mut self, text: &str, times: usize) {
        let start = now();
        while self.seen().matches(text).count() < times {
            assert!(start.elapsed() < PATIENCE && self.read(), "{text:?} in {:?}", self.seen());
        }
    }

    /// Waits until what is on the terminal is as it should be.
    pub(crate) fn wait_until(&mut self, what: &str, mut is_so: impl FnMut(&str) -> bool) {
        let start = now();
        while !is_so(&self.seen()) {
            assert!(start.elapsed() < PATIENCE && self.read(), "{what}: {:?}", self.seen());
        }
    }

    /// Sends a signal to `iamctl`, which setsid has become.
    pub(crate) fn send(&self, signal: Signal) {
        let pid = nix::unistd::Pid::from_raw(self.child.id().try_into().unwrap());
        nix::sys::signal::kill(pid, signal).unwrap();
    }

    /// Types.
    pub(crate) fn type_keys(&mut self, keys: &str) {
        self.terminal.write_all(keys.as_bytes()).unwrap();
    }

    /// What a keyboard of another encoding sends.
    pub(crate) fn type_bytes(&mut self, bytes: &[u8]) {
        self.terminal.write_all(bytes).unwrap();
    }

    /// Waits for the end; the exit code and all that was written.
    pub(crate) fn end(mut self) -> (i32, String) {
        let start = now();
        while self.read() {
            assert!(start.elapsed() < PATIENCE, "no end: {:?}", self.seen());
        }
        let status = self.child.wait().unwrap();
        // As a shell counts a signal.
        let code = status.code().or_else(|| Some(128 + status.signal()?)).unwrap();
        (code, self.seen())
    }

    /// Takes the terminal away, as a lost connection does, and waits for the end; the exit code.
    pub(crate) fn hang_up(mut self) -> i32 {
        self.terminal = File::open("/dev/null").unwrap();
        let status = self.child.wait().unwrap();
        status.code().or_else(|| Some(128 + status.signal()?)).unwrap()
    }

    /// As [`Self::end`]; the terminal must be as it was before, its echo back.
    pub(crate) fn end_restored(self) -> (i32, String) {
        let (terminal, before) = (self.terminal.try_clone().unwrap(), self.before.clone());
        let end = self.end();
        assert_eq!(tcgetattr(&terminal).unwrap(), before, "{end:?}");
        end
    }

    /// What was written so far.
    pub(crate) fn seen(&self) -> String {
        String::from_utf8_lossy(&self.seen).replace("\r\n", "\n")
    }

    /// Reads what is there; false when the other end is closed.
    fn read(&mut self) -> bool {
        let mut fds = [PollFd::new(self.terminal.as_fd(), PollFlags::POLLIN)];
        if poll(&mut fds, PollTimeout::from(100u8)).unwrap() == 0 {
            return true;
        }
        let mut buffer = [0; 4096];
        // A terminal without a program reads as an error (EIO).
        match self.terminal.read(&mut buffer) {
            Ok(count) if count > 0 => {
                self.seen.extend_from_slice(&buffer[..count]);
                true
            }
            _ => false,
        }
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn now() -> Instant {
    #[allow(clippy::disallowed_methods, reason = "a test may look at the clock")]
    Instant::now()
}

/// The lines without escape sequences. What a carriage return wrote over counts as a line too.
pub(crate) fn plain_lines(text: &str) -> Vec<String> {
    let mut plain = String::new();
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        if c == '\x1b' {
            // CSI, parameters, a final letter.
            for c in chars.by_ref() {
                if c.is_ascii_alphabetic() {
                    break;
                }
            }
        } else {
            plain.push(c);
        }
    }
    plain.split(['\n', '\r']).map(str::to_owned).collect()
}
