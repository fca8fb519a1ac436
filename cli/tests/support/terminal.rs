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

use super::iamctl;

/// How long a test waits for anything.
const PATIENCE: Duration = Duration::from_secs(20);

/// A terminal with `iamctl` on it.
pub(crate) struct Terminal {
    terminal: File,
    child: Child,
    seen: Vec<u8>,
}

impl Terminal {
    /// Starts `iamctl` on a terminal of that size; `change` may change its environment.
    pub(crate) fn start(
        address: &str,
        args: &[&str],
        size: (u16, u16),
        change: impl FnOnce(&mut Command),
    ) -> Self {
        let words: Vec<&str> = [env!("CARGO_BIN_EXE_iamctl")].iter().chain(args).copied().collect();
        Self::start_program(address, &words, size, change)
    }

    /// Starts another program likewise.
    pub(crate) fn start_program(
        address: &str,
        words: &[&str],
        (columns, rows): (u16, u16),
        change: impl FnOnce(&mut Command),
    ) -> Self {
        let size = Winsize { ws_col: columns, ws_row: rows, ws_xpixel: 0, ws_ypixel: 0 };
        let pty = openpty(Some(&size), None).unwrap();
        // Else the program would keep its own terminal alive when this end goes.
        let flags = rustix::io::fcntl_getfd(&pty.master).unwrap() | rustix::io::FdFlags::CLOEXEC;
        rustix::io::fcntl_setfd(&pty.master, flags).unwrap();
        let plain = iamctl(address, &[]);
        // setsid --ctty makes standard input the controlling terminal, which std cannot.
        let mut command = Command::new("setsid");
        command.args(["--ctty", "--wait"]).args(words);
        command.env_clear().envs(plain.get_envs().filter_map(|(name, value)| Some((name, value?))));
        change(&mut command);
        command.stdin(pty.slave.try_clone().unwrap());
        command.stdout(pty.slave.try_clone().unwrap());
        command.stderr(pty.slave);
        let child = command.spawn().unwrap();
        // The command holds the other end; dropped, the end of iamctl is the end of the terminal.
        drop(command);
        Self { terminal: File::from(pty.master), child, seen: Vec::new() }
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

    /// Types.
    pub(crate) fn type_keys(&mut self, keys: &str) {
        self.terminal.write_all(keys.as_bytes()).unwrap();
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

    fn seen(&self) -> String {
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
