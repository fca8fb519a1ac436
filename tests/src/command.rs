//! Programs run to their end, with a limit: standard input in, both outputs, exit code and
//! duration out.

use std::fs::File;
use std::io::{Read, Write};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;

use crate::clock;
use crate::error::{Error, Result};

/// Every process a run starts carries this variable with the run's id, so that a later run can
/// tell the left-overs of a killed one.
pub const TAG: &str = "IAMD_TEST_RUN";

/// How often one who waits is told.
const TELL: Duration = Duration::from_secs(10);
/// How often a running program is looked at.
const LOOK: Duration = Duration::from_millis(2);
/// How long outputs are read on after the end: a background child may hold them open for ever,
/// and on a busy machine the threads that read come late.
const DRAIN: Duration = Duration::from_millis(1500);

/// What a program left behind.
#[derive(Clone, Debug)]
pub struct Output {
    /// The command line, for messages.
    pub command: String,
    /// The exit code, or 128 and the signal.
    pub code: i32,
    /// Standard output, byte for byte.
    pub stdout: Vec<u8>,
    /// Standard error, byte for byte.
    pub stderr: Vec<u8>,
    /// From start to end.
    pub took: Duration,
}

impl Output {
    /// Standard output as text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.stdout).into_owned()
    }

    /// Standard error as text.
    pub fn errors(&self) -> String {
        String::from_utf8_lossy(&self.stderr).into_owned()
    }

    /// Standard output without white space at its ends.
    pub fn line(&self) -> String {
        self.text().trim().to_owned()
    }

    /// Itself if the exit code is 0, else an error that shows what was written.
    pub fn ok(self) -> Result<Output> {
        self.exited(0)
    }

    /// Itself if the exit code is `code`, else an error that shows what was written.
    pub fn exited(self, code: i32) -> Result<Output> {
        if self.code == code {
            return Ok(self);
        }
        let output = tail(&format!("{}{}", self.errors(), self.text()));
        Err(Error::Failed { command: self.command, code: self.code, output })
    }
}

/// A command of run `id`, in a process group of its own so that a Ctrl-C on the terminal reaches
/// only the run, which then ends its parts in order.
pub fn tagged(id: u32, program: &str) -> Command {
    let mut command = Command::new(program);
    command.env(TAG, id.to_string()).process_group(0);
    command
}

/// Runs `command` with `stdin`, for `limit` at most; then its whole process group is killed.
pub fn run(mut command: Command, stdin: &[u8], limit: Duration) -> Result<Output> {
    let line = describe(&command);
    command.process_group(0).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let start = clock::now();
    let mut child = command.spawn().map_err(Error::io(line.clone()))?;
    if let Some(mut pipe) = child.stdin.take() {
        let bytes = stdin.to_vec();
        // A reader that ends early gives EPIPE here, which is its business.
        thread::spawn(move || pipe.write_all(&bytes));
    }
    let stdout = child.stdout.take().map(read_all);
    let stderr = child.stderr.take().map(read_all);
    let status = wait(&mut child, start, limit, true)?;
    let took = start.elapsed();
    let stdout = stdout.map(collect).unwrap_or_default();
    let stderr = stderr.map(collect).unwrap_or_default();
    match status {
        Some(status) => Ok(Output { command: line, code: code(status), stdout, stderr, took }),
        None => {
            let said = String::from_utf8_lossy(&stderr).into_owned();
            let said = format!("{said}{}", String::from_utf8_lossy(&stdout));
            let hint = if said.is_empty() { said } else { format!("; it said: {}", tail(&said)) };
            Err(Error::TimedOut { what: format!("`{line}`"), limit, hint })
        }
    }
}

/// Runs a command that takes long; `say` hears the last line it wrote, now and then.
pub fn run_telling(
    mut command: Command,
    limit: Duration,
    log: &Path,
    say: &dyn Fn(&str),
) -> Result<()> {
    let line = describe(&command);
    let out = File::create(log).map_err(Error::at(log))?;
    let err = out.try_clone().map_err(Error::at(log))?;
    command.process_group(0).stdin(Stdio::null()).stdout(out).stderr(err);
    let start = clock::now();
    let mut child = command.spawn().map_err(Error::io(line.clone()))?;
    let said = || std::fs::read_to_string(log).unwrap_or_default();
    for round in 1.. {
        let until = limit.min(TELL * round);
        if let Some(status) = wait(&mut child, start, until, until == limit)? {
            if status.success() {
                return Ok(());
            }
            return Err(Error::Failed { command: line, code: code(status), output: tail(&said()) });
        }
        if until == limit {
            break;
        }
        let last = said().lines().last().unwrap_or_default().chars().take(70).collect::<String>();
        say(&format!("{:>4} s  {last}", start.elapsed().as_secs()));
    }
    let hint = format!("; it said: {}", tail(&said()));
    Err(Error::TimedOut { what: format!("`{line}`"), limit, hint })
}

/// Runs `command` for a minute at most and insists on exit code 0.
pub fn must(command: Command) -> Result<Output> {
    run(command, b"", Duration::from_secs(60))?.ok()
}

/// The exit code as a shell would tell it.
pub fn code(status: ExitStatus) -> i32 {
    status.code().unwrap_or_else(|| 128 + status.signal().unwrap_or(0))
}

/// The command line, for messages.
pub fn describe(command: &Command) -> String {
    let mut words = vec![command.get_program().to_string_lossy().into_owned()];
    words.extend(command.get_args().map(|word| word.to_string_lossy().into_owned()));
    let line = words.join(" ");
    if line.chars().count() <= 300 {
        return line;
    }
    line.chars().take(300).chain("…".chars()).collect()
}

/// Waits for the end; on the limit, kills the group if told to, and answers `None`.
fn wait(
    child: &mut Child,
    start: Instant,
    limit: Duration,
    end: bool,
) -> Result<Option<ExitStatus>> {
    loop {
        if let Some(status) = child.try_wait().map_err(Error::io("wait"))? {
            return Ok(Some(status));
        }
        if start.elapsed() >= limit && !end {
            return Ok(None);
        }
        if start.elapsed() >= limit {
            if let Ok(pid) = i32::try_from(child.id()) {
                let _ = killpg(Pid::from_raw(pid), Signal::SIGKILL);
            }
            child.wait().map_err(Error::io("wait"))?;
            return Ok(None);
        }
        clock::pause(LOOK);
    }
}

fn read_all(mut pipe: impl Read + Send + 'static) -> Receiver<Vec<u8>> {
    let (sender, receiver) = channel();
    thread::spawn(move || {
        let mut chunk = vec![0; 65_536];
        while let Ok(n @ 1..) = pipe.read(&mut chunk) {
            if sender.send(chunk[..n].to_vec()).is_err() {
                break;
            }
        }
    });
    receiver
}

fn collect(chunks: Receiver<Vec<u8>>) -> Vec<u8> {
    let mut bytes = Vec::new();
    let end = clock::now() + DRAIN;
    while let Ok(chunk) = chunks.recv_timeout(end.saturating_duration_since(clock::now())) {
        bytes.extend(chunk);
    }
    bytes
}

/// The last two thousand characters.
pub fn tail(text: &str) -> String {
    let text = text.trim_end();
    let skip = text.chars().count().saturating_sub(2000);
    text.chars().skip(skip).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sh(script: &str) -> Command {
        let mut command = Command::new("sh");
        command.args(["-c", script]);
        command
    }

    #[test]
    fn a_program_gives_code_and_both_outputs_byte_for_byte() {
        let out = run(sh("cat; echo err >&2; exit 3"), b"a\0b", Duration::from_secs(5)).unwrap();
        assert_eq!((out.code, &out.stdout[..], &out.stderr[..]), (3, &b"a\0b"[..], &b"err\n"[..]));
    }

    #[test]
    fn a_program_past_its_limit_is_killed_with_its_children() {
        let start = clock::now();
        let gone = run(sh("sleep 50 & echo $!; wait"), b"", Duration::from_millis(100));
        assert!(matches!(gone, Err(Error::TimedOut { .. })), "{gone:?}");
        assert!(start.elapsed() < Duration::from_secs(2));
    }

    #[test]
    fn a_background_child_that_keeps_the_outputs_does_not_hold_the_caller() {
        let out = run(sh("sleep 2 & echo done"), b"", Duration::from_secs(5)).unwrap();
        assert_eq!(out.stdout, b"done\n");
        assert!(out.took < Duration::from_secs(1));
    }
}
