//! `iamctl status --watch`: the same lines written over, without another screen, so that the last
//! state stays to be read when it ends. The daemon is asked every few seconds; in between the
//! time that is left counts down here.

use std::ffi::OsString;
use std::sync::mpsc::{self, RecvTimeoutError, Sender};
use std::time::Duration;

use iamd_protocol::error::{Exit, Kind};
use iamd_protocol::variables::IAMD_BUS_ADDRESS;

use super::{Seen, advice, lines, look};
use crate::app::Context;
use crate::args::Status;
use crate::client::Client;
use crate::failure::Failure;
use crate::output::json;
use crate::output::stream::{Paint, Size, Stream};
use crate::{clock, interrupt};

/// How often the daemon is asked.
const ASK_EVERY: Duration = Duration::from_secs(5);
/// How long it may take to answer.
const LIMIT: Duration = Duration::from_secs(10);
/// How often the time that is left moves.
const TICK: Duration = Duration::from_secs(1);

enum Event {
    /// What the daemon said.
    Seen(Box<Result<Seen, Failure>>),
    /// Ctrl-C.
    Interrupted,
}

/// Shows how things stand until Ctrl-C.
///
/// # Errors
/// No terminal to write on; or the first answer of the daemon. Later ones are shown.
pub(super) fn run(args: &Status, context: &mut Context) -> Result<Exit, Failure> {
    if !args.json && !context.output.out.can_redraw() {
        return Err(Failure::new(Kind::InvalidArgument, "--watch wants a terminal to write on")
            .advise("For programs, an object at each change:  iamctl status --watch --json"));
    }
    let (sender, events) = mpsc::channel();
    let interrupted = sender.clone();
    // Before any other thread: they inherit that the signal is not theirs.
    interrupt::catch(move || {
        let _ = interrupted.send(Event::Interrupted);
    });
    let address = context.environment.non_empty(IAMD_BUS_ADDRESS).map(ToOwned::to_owned);
    let account = args.account.clone();
    std::thread::spawn(move || ask(address, account.as_deref(), &sender));
    let mut screen = Screen::default();
    let mut last: Option<Seen> = None;
    let mut trouble: Option<Failure> = None;
    while context.output.out.is_open() {
        match events.recv_timeout(TICK) {
            Ok(Event::Interrupted) => {
                screen.end(&mut context.output.out);
                return Ok(Exit::Done);
            }
            Ok(Event::Seen(answer)) => match *answer {
                Ok(seen) => {
                    if args.json && last.as_ref() != Some(&seen) {
                        context.output.json_line(&json::status(&seen.status, &seen.accounts));
                    }
                    (last, trouble) = (Some(seen), None);
                }
                Err(failure) if last.is_none() => return Err(failure),
                Err(failure) => trouble = Some(failure),
            },
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => {
                return Err(Failure::new(Kind::Internal, "nobody asks the daemon any more"));
            }
        }
        if let Some(seen) = last.as_ref().filter(|_| !args.json) {
            let out = &mut context.output.out;
            let frame = frame(seen, trouble.as_ref(), clock::unix_now(), out);
            screen.show(&frame, out);
        }
    }
    Ok(Exit::Done)
}

/// Asks the daemon for ever. A connection each time: the bus may have been restarted in between.
fn ask(address: Option<OsString>, account: Option<&str>, sender: &Sender<Event>) {
    loop {
        let answer =
            Client::connect(address.as_deref(), LIMIT).and_then(|client| look(&client, account));
        if sender.send(Event::Seen(Box::new(answer))).is_err() {
            return;
        }
        clock::pause(ASK_EVERY);
    }
}

fn frame(seen: &Seen, trouble: Option<&Failure>, now: u64, out: &Stream) -> Vec<String> {
    let mut frame = lines(seen, now, out);
    let more = advice(seen).map(str::to_owned);
    let trouble = trouble.map(|failure| {
        out.paint(Paint::Bad, &format!("{}; this was the last answer", failure.message))
    });
    for line in more.into_iter().chain(trouble) {
        frame.extend([String::new(), line]);
    }
    // A text that was wrapped is several lines of the screen.
    frame.iter().flat_map(|line| line.split('\n')).map(str::to_owned).collect()
}

/// What is on the terminal of ours.
#[derive(Default)]
struct Screen {
    rows: usize,
}

impl Screen {
    /// Writes the lines over those of the last time, in one piece: nothing flickers.
    fn show(&mut self, frame: &[String], out: &mut Stream) {
        // A terminal that does not say (0 by 0, as ssh without one of its own) is an ordinary one.
        let size = out.size().unwrap_or(Size { columns: 80, rows: 24 });
        let frame: Vec<_> = frame.iter().map(|line| out.spelled(line).into_owned()).collect();
        let (text, rows) = redrawn(&frame, self.rows, size);
        out.put(text.as_bytes());
        self.rows = rows;
    }

    /// Leaves the last state, and the cursor at the start of a line: the terminal may have shown
    /// `^C` there.
    fn end(&mut self, out: &mut Stream) {
        if self.rows > 0 {
            out.put(b"\r\x1b[K");
        }
    }
}

/// The bytes that put `frame` where `rows` rows are, and how many rows it has. What is higher than
/// the screen is cut: a line that has scrolled away cannot be written over.
fn redrawn(frame: &[String], rows: usize, size: Size) -> (String, usize) {
    let height = |line: &str| width(line).div_ceil(size.columns).max(1);
    let most = size.rows.saturating_sub(1).max(1);
    let mut text = String::new();
    if rows > 0 {
        // The screen may have become smaller meanwhile.
        text.push_str(&format!("\x1b[{}A\r", rows.min(most)));
    }
    let mut used = 0;
    for line in frame {
        if used + height(line) > most {
            break;
        }
        used += height(line);
        text.push_str(&format!("{line}\x1b[K\n"));
    }
    text.push_str("\x1b[J");
    (text, used)
}

/// How many characters of a line are seen.
fn width(line: &str) -> usize {
    let mut count = 0;
    let mut chars = line.chars();
    while let Some(c) = chars.next() {
        if c == '\x1b' {
            // A colour: up to its final letter.
            let _ = chars.by_ref().find(char::is_ascii_alphabetic);
        } else {
            count += 1;
        }
    }
    count
}

#[cfg(test)]
mod tests {
    use super::*;

    const SIZE: Size = Size { columns: 10, rows: 5 };

    fn frame(lines: &[&str]) -> Vec<String> {
        lines.iter().map(|line| (*line).to_owned()).collect()
    }

    #[test]
    fn a_frame_is_written_over_the_one_before() {
        let (first, rows) = redrawn(&frame(&["a", "b"]), 0, SIZE);
        assert_eq!((first.as_str(), rows), ("a\x1b[K\nb\x1b[K\n\x1b[J", 2));
        let (second, rows) = redrawn(&frame(&["c"]), rows, SIZE);
        assert_eq!((second.as_str(), rows), ("\x1b[2A\rc\x1b[K\n\x1b[J", 1));
    }

    #[test]
    fn a_line_that_the_terminal_folds_counts_for_what_it_takes_and_colours_for_nothing() {
        let (_, rows) = redrawn(&frame(&["0123456789a", "\x1b[32mshort\x1b[0m"]), 0, SIZE);
        assert_eq!(rows, 3);
        assert_eq!(width("\x1b[1;31mred\x1b[0m"), 3);
    }

    #[test]
    fn what_is_higher_than_the_screen_is_cut() {
        let (text, rows) = redrawn(&frame(&["1", "2", "3", "4", "5", "6"]), 9, SIZE);
        assert_eq!(rows, 4);
        assert!(text.starts_with("\x1b[4A\r1") && !text.contains('5'), "{text:?}");
    }
}
