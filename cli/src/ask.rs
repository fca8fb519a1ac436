//! Questions to the person at the terminal: a line with an editor and Tab completion, or without
//! where the terminal is dumb; yes or no. The terminal is put back whatever happens, and Ctrl-C
//! ends the program as it does anywhere.

use std::fs::File;
use std::sync::Once;

use iamd_protocol::error::Kind;
use nix::sys::signal::{SigSet, SigmaskHow, Signal, raise};
use nix::sys::termios::{SetArg, tcgetattr, tcsetattr};
use rustyline::completion::Completer;
use rustyline::error::ReadlineError;
use rustyline::highlight::Highlighter;
use rustyline::hint::Hinter;
use rustyline::history::MemHistory;
use rustyline::validate::Validator;
use rustyline::{Behavior, CompletionType, Config, Editor, Helper};

use crate::app::Context;
use crate::failure::Failure;

/// The longest answer, in bytes: what a terminal gives as one line.
const LONGEST: usize = 4096;

/// Asks for a line; Tab completes its words from `words`. Spaces around the answer are left out.
///
/// # Errors
/// [`Kind::InvalidArgument`] when there is no answer, such as after Ctrl-D.
pub(crate) fn line(
    context: &mut Context,
    question: &str,
    words: &[String],
) -> Result<String, Failure> {
    answer(context, question, words)?.ok_or_else(unanswered)
}

/// Asks for a line; none: the input ended, such as by Ctrl-D.
fn answer(
    context: &mut Context,
    question: &str,
    words: &[String],
) -> Result<Option<String>, Failure> {
    let question = &context.output.err.spelled(question).into_owned();
    let answer = if can_edit(context) {
        edited(question, words)?
    } else {
        context.output.err.put(question.as_bytes());
        let answer = plain();
        if answer.is_none() {
            // The question stands on a line of its own, as the editor leaves it.
            context.output.err.line("");
        }
        answer
    };
    Ok(answer.map(|answer| answer.trim().to_owned()))
}

/// Asks a question that Enter answers with `default`. The end of the input, such as by Ctrl-D, is a
/// no, which is said: what was done before the question stays done.
///
/// # Errors
/// Ctrl-C, where that does not end the program; a terminal that breaks.
pub(crate) fn yes(context: &mut Context, question: &str, default: bool) -> Result<bool, Failure> {
    let choice = if default { "[Y/n]" } else { "[y/N]" };
    context.output.tell(question);
    loop {
        let Some(answer) = answer(context, &format!("{choice}: "), &[])? else {
            context.output.tell("No answer: that is taken for a no.");
            return Ok(false);
        };
        match answer.to_ascii_lowercase().as_str() {
            "" => return Ok(default),
            "y" | "yes" => return Ok(true),
            "n" | "no" => return Ok(false),
            _ => context.output.tell("Answer y or n."),
        }
    }
}

/// Whether an editor can show itself: it writes to the terminal that the program is started on,
/// never to standard output.
fn can_edit(context: &Context) -> bool {
    // Those that the editor takes for dumb besides; it would then ask on standard output.
    let term = context.environment.non_empty("TERM").unwrap_or_default();
    let plain = ["cons25", "emacs"].iter().any(|name| term.eq_ignore_ascii_case(name));
    context.output.err.can_redraw()
        && !plain
        && File::options().read(true).write(true).open("/dev/tty").is_ok()
}

fn edited(question: &str, words: &[String]) -> Result<Option<String>, Failure> {
    let config = Config::builder()
        .behavior(Behavior::PreferTerm)
        .completion_type(CompletionType::List)
        .auto_add_history(false)
        .build();
    let broken = |error: ReadlineError| {
        Failure::new(Kind::Internal, format!("the terminal cannot be asked: {error}"))
    };
    put_back_when_ended();
    let mut editor: Editor<Words, MemHistory> =
        Editor::with_history(config, MemHistory::new()).map_err(broken)?;
    editor.set_helper(Some(Words(words.to_vec())));
    let answer = editor.readline(question);
    // The terminal is its old self again before the program can end.
    drop(editor);
    match answer {
        Ok(line) => Ok(Some(line)),
        Err(ReadlineError::Interrupted) => Err(interrupted()),
        Err(ReadlineError::Eof) => Ok(None),
        Err(error) => Err(broken(error)),
    }
}

/// A signal that ends the program finds the terminal in the editor's hands: from now on it is put
/// back first. Ctrl-C is a key for the editor, so that SIGINT stays what it is.
fn put_back_when_ended() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let Ok(before) = tcgetattr(std::io::stdin()) else { return };
        let signals = SigSet::from_iter([Signal::SIGTERM, Signal::SIGHUP, Signal::SIGQUIT]);
        // The threads that are there already have blocked all signals.
        if signals.thread_block().is_err() {
            return;
        }
        // SIGINT is for the main thread, or for the one that waits for it during a login. The new
        // thread has it blocked from its first moment on: it could be taken there else, and end the
        // program with the terminal as a question for a secret left it.
        let interrupt = SigSet::from_iter([Signal::SIGINT]);
        let Ok(mask) = interrupt.thread_swap_mask(SigmaskHow::SIG_BLOCK) else { return };
        std::thread::spawn(move || {
            while let Ok(signal) = signals.wait() {
                let _ = tcsetattr(std::io::stdin(), SetArg::TCSANOW, &before);
                // Ends the program here, unless the signal is ignored.
                let _ = signals.thread_unblock();
                let _ = raise(signal);
                let _ = signals.thread_block();
            }
        });
        let _ = mask.thread_set_mask();
    });
}

/// A line as the terminal itself gives it. Byte by byte: what was typed ahead is for the next
/// question.
fn plain() -> Option<String> {
    let mut line = Vec::new();
    loop {
        let mut byte = [0];
        match nix::unistd::read(std::io::stdin(), &mut byte) {
            Ok(0) if line.is_empty() => return None,
            Ok(0) => break,
            Ok(_) if byte[0] == b'\n' => break,
            Ok(_) if line.len() < LONGEST => line.push(byte[0]),
            Ok(_) | Err(nix::errno::Errno::EINTR) => {}
            Err(_) => return None,
        }
    }
    Some(String::from_utf8_lossy(&line).into_owned())
}

/// Ends the program by the signal that Ctrl-C would have sent if the editor had not taken the key.
fn interrupted() -> Failure {
    let _ = raise(Signal::SIGINT);
    // Where the signal is ignored, as below nohup.
    Failure::new(Kind::InvalidArgument, "interrupted: nothing more was done")
}

fn unanswered() -> Failure {
    Failure::new(Kind::InvalidArgument, "the question was not answered: nothing more was done")
}

/// Completes the word at the cursor.
struct Words(Vec<String>);

impl Words {
    /// Where the word begins that ends at `end`, and what it can become; a word that stands in
    /// the line already is not offered again.
    fn candidates(&self, line: &str, end: usize) -> (usize, Vec<String>) {
        let start = line[..end].rfind(' ').map_or(0, |space| space + 1);
        let begun = &line[start..end];
        let there: Vec<&str> = line[..start].split_whitespace().collect();
        let fits = |word: &&String| word.starts_with(begun) && !there.contains(&word.as_str());
        (start, self.0.iter().filter(fits).cloned().collect())
    }
}

impl Completer for Words {
    type Candidate = String;

    fn complete(
        &self,
        line: &str,
        end: usize,
        _: &rustyline::Context<'_>,
    ) -> rustyline::Result<(usize, Vec<String>)> {
        Ok(self.candidates(line, end))
    }
}

impl Helper for Words {}
impl Hinter for Words {
    type Hint = String;
}
impl Highlighter for Words {}
impl Validator for Words {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_word_is_completed_and_offered_once() {
        let words = Words(["openid", "offline_access", "storage.read:/"].map(str::to_owned).into());
        assert_eq!(words.candidates("o", 1), (0, vec!["openid".into(), "offline_access".into()]));
        assert_eq!(words.candidates("openid o", 8), (7, vec!["offline_access".to_owned()]));
        assert_eq!(words.candidates("openid st", 9), (7, vec!["storage.read:/".to_owned()]));
        assert_eq!(words.candidates("x", 1), (0, vec![]));
        assert_eq!(words.candidates("", 0).1.len(), 3);
    }
}
