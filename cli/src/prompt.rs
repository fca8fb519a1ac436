//! A secret, asked for at the terminal without being shown.

use std::io::Stdin;

use iamd_protocol::bus::secret::LONGEST;
use iamd_protocol::error::Kind;
use nix::errno::Errno;
use nix::sys::signal::{Signal, raise};
use rustix::termios::{
    LocalModes, OptionalActions, SpecialCodeIndex, Termios, tcgetattr, tcsetattr,
};
use secrecy::SecretString;
use zeroize::{Zeroize, Zeroizing};

use crate::app::Context;
use crate::failure::Failure;

const CTRL_C: u8 = 0x03;
const CTRL_D: u8 = 0x04;
const BACKSPACE: u8 = 0x08;
const CTRL_U: u8 = 0x15;
const CTRL_BACKSLASH: u8 = 0x1c;
const DELETE: u8 = 0x7f;

/// Asks for a secret. The terminal shows what is typed again before this returns, also after
/// Ctrl-C, which ends the program.
///
/// # Errors
/// [`Kind::InvalidArgument`] when there is no answer, such as after Ctrl-D.
pub(crate) fn secret(context: &mut Context, question: &str) -> Result<SecretString, Failure> {
    let unanswered =
        || Failure::new(Kind::InvalidArgument, "the question was not answered: nothing was done");
    let silent = Silent::start(std::io::stdin()).ok_or_else(unanswered)?;
    context.output.err.put(question.as_bytes());
    let answer = read(&silent.terminal);
    drop(silent);
    context.output.err.line("");
    match answer {
        Answer::Secret(secret) => Ok(secret),
        Answer::None => Err(unanswered()),
        Answer::Signal(signal) => {
            let _ = raise(signal);
            Err(unanswered())
        }
    }
}

enum Answer {
    Secret(SecretString),
    None,
    Signal(Signal),
}

/// The terminal without echo; its old self again when dropped.
struct Silent {
    terminal: Stdin,
    before: Termios,
}

impl Silent {
    fn start(terminal: Stdin) -> Option<Self> {
        let before = tcgetattr(&terminal).ok()?;
        let mut silent = before.clone();
        // Keys that send signals are taken here too, so that the echo is back before they act.
        silent
            .local_modes
            .remove(LocalModes::ECHO | LocalModes::ECHONL | LocalModes::ICANON | LocalModes::ISIG);
        silent.special_codes[SpecialCodeIndex::VMIN] = 1;
        silent.special_codes[SpecialCodeIndex::VTIME] = 0;
        // What was typed before the question stays: a script on a terminal types ahead.
        tcsetattr(&terminal, OptionalActions::Drain, &silent).ok()?;
        Some(Self { terminal, before })
    }
}

impl Drop for Silent {
    fn drop(&mut self) {
        let _ = tcsetattr(&self.terminal, OptionalActions::Drain, &self.before);
    }
}

fn read(terminal: &Stdin) -> Answer {
    // Room enough that the buffer is not moved, which would leave a copy behind.
    let mut typed = Zeroizing::new(Vec::with_capacity(LONGEST));
    loop {
        let mut byte = Zeroizing::new([0]);
        match nix::unistd::read(terminal, &mut *byte) {
            Ok(0) => return Answer::None,
            Ok(_) => {}
            Err(Errno::EINTR) => continue,
            Err(_) => return Answer::None,
        }
        match byte[0] {
            b'\n' | b'\r' => break,
            CTRL_C => return Answer::Signal(Signal::SIGINT),
            CTRL_BACKSLASH => return Answer::Signal(Signal::SIGQUIT),
            CTRL_D if typed.is_empty() => return Answer::None,
            CTRL_D => break,
            CTRL_U => typed.clear(),
            BACKSPACE | DELETE => erase(&mut typed),
            byte if typed.len() < LONGEST => typed.push(byte),
            _ => {}
        }
    }
    match std::str::from_utf8(&typed) {
        Ok(text) => Answer::Secret(SecretString::from(text)),
        Err(_) => Answer::None,
    }
}

/// Takes the last character away, all its bytes.
fn erase(typed: &mut Vec<u8>) {
    while let Some(mut byte) = typed.pop() {
        let continues = byte & 0xc0 == 0x80;
        byte.zeroize();
        if !continues {
            break;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn backspace_takes_a_whole_character() {
        let mut typed = "aé€".as_bytes().to_vec();
        for left in ["aé", "a", "", ""] {
            erase(&mut typed);
            assert_eq!(typed, left.as_bytes());
        }
    }
}
