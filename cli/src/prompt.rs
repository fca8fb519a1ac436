//! Secrets from the user, asked on the terminal without an echo.
//!
//! While a question stands, the signals that end or stop a program are taken here: the terminal
//! gets its echo back first, and then the program ends or stops as it would have without us.

use std::io::{self, IsTerminal, Write};
use std::os::fd::{AsFd, BorrowedFd};

use iamd_protocol::error::Kind;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::{SigSet, SigmaskHow, Signal, raise};
use nix::sys::signalfd::{SfdFlags, SignalFd};
use nix::sys::termios::{LocalFlags, SetArg, Termios, tcgetattr, tcsetattr};
use secrecy::{ExposeSecret, SecretString};
use zeroize::Zeroizing;

use crate::failure::Failure;
pub(crate) use crate::secret::{from_fd, no_pipe, pair_from_fd, to_pipe};

/// What ends or stops a program from its terminal.
const SIGNALS: [Signal; 5] =
    [Signal::SIGINT, Signal::SIGTERM, Signal::SIGHUP, Signal::SIGQUIT, Signal::SIGTSTP];
/// A terminal gives lines of at most this length.
const LONGEST_LINE: usize = 4096;

/// Whether somebody can be asked: standard input and standard error are a terminal.
pub(crate) fn is_possible() -> bool {
    io::stdin().is_terminal() && io::stderr().is_terminal()
}

/// Asks for a secret on the terminal.
///
/// # Errors
/// [`Kind::InvalidArgument`]: there is no terminal (say which option to use instead, with
/// [`Failure::advise`]), or nothing was entered.
pub(crate) fn secret(question: &str) -> Result<SecretString, Failure> {
    if !is_possible() {
        return Err(refused("there is no terminal to ask on"));
    }
    let stdin = io::stdin();
    let answer = Asked::begin(stdin.as_fd(), question).and_then(|asked| asked.answer());
    match answer.map_err(|error| refused(format!("the terminal cannot be read: {error}")))? {
        Some(answer) if !answer.expose_secret().is_empty() => Ok(answer),
        _ => Err(refused("nothing was entered")),
    }
}

/// Asks for a new secret twice, so that it is not mistyped.
///
/// # Errors
/// As [`secret`]; the answers differ.
pub(crate) fn secret_twice(question: &str, again: &str) -> Result<SecretString, Failure> {
    let first = secret(question)?;
    let second = secret(again)?;
    if first.expose_secret() == second.expose_secret() {
        return Ok(first);
    }
    Err(refused("the two are not the same").advise("Nothing was changed; try again."))
}

fn refused(message: impl Into<String>) -> Failure {
    Failure::new(Kind::InvalidArgument, message)
}

/// A question on the terminal. Dropped, the terminal is as it was.
struct Asked<'a> {
    terminal: BorrowedFd<'a>,
    question: &'a str,
    before: Termios,
    mask_before: SigSet,
    signals: SignalFd,
}

impl<'a> Asked<'a> {
    fn begin(terminal: BorrowedFd<'a>, question: &'a str) -> io::Result<Self> {
        let set = SigSet::from_iter(SIGNALS);
        let before = tcgetattr(terminal)?;
        let signals = SignalFd::with_flags(&set, SfdFlags::SFD_CLOEXEC)?;
        let mask_before = set.thread_swap_mask(SigmaskHow::SIG_BLOCK)?;
        // From here on the drop puts everything back.
        let asked = Self { terminal, question, before, mask_before, signals };
        asked.show()?;
        Ok(asked)
    }

    /// Takes the echo away and writes the question.
    fn show(&self) -> io::Result<()> {
        let mut silent = self.before.clone();
        silent.local_flags.remove(LocalFlags::ECHO | LocalFlags::ECHONL);
        silent.local_flags.insert(LocalFlags::ICANON | LocalFlags::ISIG);
        // What was typed before the question was not meant for it.
        tcsetattr(self.terminal, SetArg::TCSAFLUSH, &silent)?;
        write!(io::stderr(), "{}", self.question)
    }

    /// Gives the echo back and ends the line of the question.
    fn hide(&self) {
        let _ = tcsetattr(self.terminal, SetArg::TCSADRAIN, &self.before);
        let _ = writeln!(io::stderr());
    }

    /// What is typed until the end of the line; `None` for the end of the input.
    fn answer(&self) -> io::Result<Option<SecretString>> {
        let mut line = Zeroizing::new([0; LONGEST_LINE]);
        loop {
            let mut fds = [
                PollFd::new(self.signals.as_fd(), PollFlags::POLLIN),
                PollFd::new(self.terminal, PollFlags::POLLIN),
            ];
            match poll(&mut fds, PollTimeout::NONE) {
                Ok(_) => {}
                Err(nix::errno::Errno::EINTR) => continue,
                Err(error) => return Err(error.into()),
            }
            if fds[0].any() == Some(true) {
                if let Some(info) = self.signals.read_signal()? {
                    self.pass_on(info.ssi_signo)?;
                }
                continue;
            }
            let count = nix::unistd::read(self.terminal, &mut *line)?;
            let typed = &line[..count];
            if typed.is_empty() {
                return Ok(None);
            }
            let typed = typed.strip_suffix(b"\n").unwrap_or(typed);
            let text = str::from_utf8(typed);
            let text = text.map_err(|_| io::Error::other("what was typed is not UTF-8"))?;
            return Ok(Some(text.to_owned().into()));
        }
    }

    /// Does what the signal does to a program that does not catch it. Comes back when the program
    /// was stopped and goes on, or ignores the signal: then the question is asked again.
    fn pass_on(&self, number: u32) -> io::Result<()> {
        let number = i32::try_from(number).map_err(io::Error::other)?;
        let signal = Signal::try_from(number)?;
        self.hide();
        let mut set = SigSet::empty();
        set.add(signal);
        set.thread_unblock()?;
        raise(signal)?;
        set.thread_block()?;
        self.show()
    }
}

impl Drop for Asked<'_> {
    fn drop(&mut self) {
        self.hide();
        let _ = self.mask_before.thread_set_mask();
    }
}
