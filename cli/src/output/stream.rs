//! A stream to write to: survives a closed pipe, waits for a pipe that is full and does not
//! block, keeps no copy of what it wrote, and knows what its terminal can show.

use std::borrow::Cow;
use std::fs::File;
use std::io::{ErrorKind, IsTerminal, Write};
use std::os::fd::{AsFd, BorrowedFd};

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

use super::ascii;
use crate::environment::Environment;

/// What a text means, shown as a colour where there are colours.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Paint {
    /// A heading or what matters most.
    Bold,
    /// Beside the point.
    Dim,
    /// All is well.
    Good,
    /// Look at this.
    Warn,
    /// This is wrong.
    Bad,
}

impl Paint {
    const fn code(self) -> &'static str {
        match self {
            Self::Bold => "1",
            Self::Dim => "2",
            Self::Good => "32",
            Self::Warn => "33",
            Self::Bad => "1;31",
        }
    }
}

/// The size of a terminal in characters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Size {
    /// How wide.
    pub(crate) columns: usize,
    /// How high.
    pub(crate) rows: usize,
}

/// Standard output or standard error.
pub(crate) struct Stream {
    file: Option<File>,
    failed: Option<std::io::Error>,
    terminal: bool,
    color: bool,
    utf8: bool,
    dumb: bool,
    /// Whether a person sits there: standard input and standard error are terminals too.
    person: bool,
}

impl Stream {
    /// Standard output.
    pub(crate) fn stdout(environment: &Environment) -> Self {
        Self::on(std::io::stdout().as_fd(), environment)
    }

    /// Standard error.
    pub(crate) fn stderr(environment: &Environment) -> Self {
        Self::on(std::io::stderr().as_fd(), environment)
    }

    fn on(fd: BorrowedFd<'_>, environment: &Environment) -> Self {
        let terminal = fd.is_terminal();
        let person = std::io::stdin().is_terminal() && std::io::stderr().is_terminal();
        // A file of our own on the same description: the standard library's stream would keep a
        // copy of a token in its buffer.
        let (file, failed) = match fd.try_clone_to_owned() {
            Ok(fd) => (Some(File::from(fd)), None),
            Err(error) => (None, Some(error)),
        };
        Self {
            file,
            failed,
            terminal,
            color: terminal && person && environment.allows_color(),
            utf8: terminal && environment.is_utf8(),
            dumb: environment.is_dumb(),
            person,
        }
    }

    /// Whether a terminal is there.
    pub(crate) fn is_terminal(&self) -> bool {
        self.terminal
    }

    /// Whether colours may be sent.
    pub(crate) fn has_color(&self) -> bool {
        self.color
    }

    /// Whether characters beyond ASCII may be sent.
    pub(crate) fn has_utf8(&self) -> bool {
        self.utf8
    }

    /// Whether a picture may be drawn for a person.
    pub(crate) fn has_pictures(&self) -> bool {
        self.person && self.utf8 && self.can_redraw()
    }

    /// The text as this terminal can show it. What is read by a program stays as it is.
    pub(crate) fn spelled<'a>(&self, text: &'a str) -> Cow<'a, str> {
        if self.is_ascii() { ascii::spelled(text) } else { text.into() }
    }

    /// Whether it is a terminal that shows ASCII only.
    pub(crate) fn is_ascii(&self) -> bool {
        self.terminal && !self.utf8
    }

    /// Whether a line may be written over.
    pub(crate) fn can_redraw(&self) -> bool {
        self.terminal && !self.dumb
    }

    /// The size of the terminal at this moment, if there is one.
    pub(crate) fn size(&self) -> Option<Size> {
        let file = self.file.as_ref().filter(|_| self.terminal)?;
        let size = rustix::termios::tcgetwinsize(file).ok()?;
        (size.ws_col > 0 && size.ws_row > 0)
            .then_some(Size { columns: size.ws_col.into(), rows: size.ws_row.into() })
    }

    /// How many characters fit in a line: the terminal's, else 80.
    pub(crate) fn columns(&self) -> usize {
        self.size().map_or(80, |size| size.columns)
    }

    /// The text, coloured where there are colours.
    pub(crate) fn paint(&self, paint: Paint, text: &str) -> String {
        if self.color { format!("\x1b[{}m{text}\x1b[0m", paint.code()) } else { text.to_owned() }
    }

    /// Writes a line.
    pub(crate) fn line(&mut self, text: &str) {
        let text = self.spelled(text);
        self.put(format!("{text}\n").as_bytes());
    }

    /// Writes bytes, at once and without a copy. A failure is kept for [`Self::finish`].
    pub(crate) fn put(&mut self, mut bytes: &[u8]) {
        let Some(file) = &mut self.file else { return };
        while !bytes.is_empty() {
            let error = match file.write(bytes) {
                Ok(0) => std::io::Error::from(ErrorKind::WriteZero),
                Ok(count) => {
                    bytes = &bytes[count..];
                    continue;
                }
                Err(error) => error,
            };
            match error.kind() {
                ErrorKind::Interrupted => {}
                // The other end of a terminal or pipe can be shared with a program that set
                // O_NONBLOCK on it.
                ErrorKind::WouldBlock => {
                    let mut fds = [PollFd::new(file.as_fd(), PollFlags::POLLOUT)];
                    let _ = poll(&mut fds, PollTimeout::NONE);
                }
                _ => {
                    self.failed = Some(error);
                    self.file = None;
                    return;
                }
            }
        }
    }

    /// Whether what is written still goes anywhere.
    pub(crate) fn is_open(&self) -> bool {
        self.file.is_some()
    }

    /// Waits until `other` can be read; `false` when whoever reads this went away meanwhile.
    pub(crate) fn outlives(&self, other: BorrowedFd<'_>) -> bool {
        let Some(file) = &self.file else { return false };
        // A pipe without a reader is in error (poll(2)), asked for or not.
        let mut fds =
            [PollFd::new(other, PollFlags::POLLIN), PollFd::new(file.as_fd(), PollFlags::empty())];
        loop {
            match poll(&mut fds, PollTimeout::NONE) {
                Err(nix::errno::Errno::EINTR) => {}
                Err(_) => return true,
                Ok(_) => break,
            }
        }
        !fds[1].revents().is_some_and(|seen| seen.contains(PollFlags::POLLERR))
    }

    /// Whether all was written. A reader that went away has seen what it wanted: no error.
    ///
    /// # Errors
    /// The first failure, such as a full disk.
    pub(crate) fn finish(self) -> std::io::Result<()> {
        match self.failed {
            Some(error) if error.kind() != ErrorKind::BrokenPipe => Err(error),
            _ => Ok(()),
        }
    }
}
