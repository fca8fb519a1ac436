//! Logging in to a node: one-shot commands with everything captured, and sessions that stay open.

use std::io::{Read, Write};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;

use crate::clock;
use crate::command::{self, Output};
use crate::error::{Error, Result};
use crate::node::Node;

/// An ssh login to be made. Begin with [`Node::ssh`].
#[derive(Clone, Debug)]
pub struct Ssh<'n> {
    node: &'n Node,
    user: String,
    words: Vec<String>,
    password: Option<String>,
    limit: Duration,
}

impl<'n> Ssh<'n> {
    pub(crate) fn new(node: &'n Node, user: &str) -> Self {
        let limit = Duration::from_secs(30);
        Ssh { node, user: user.into(), words: Vec::new(), password: None, limit }
    }

    /// With a pseudo-terminal on the node (`-tt`), as a person has.
    pub fn pty(self) -> Self {
        self.flag("-tt")
    }

    /// With a flag of ssh(1), `-T` or `-N` for example.
    pub fn flag(mut self, flag: &str) -> Self {
        self.words.push(flag.into());
        self
    }

    /// With an option of ssh_config(5), `ControlMaster=yes` for example.
    pub fn option(mut self, option: &str) -> Self {
        self.words.extend(["-o".into(), option.into()]);
        self
    }

    /// With a password (sshpass) instead of the run's key.
    pub fn password(mut self, password: &str) -> Self {
        self.password = Some(password.into());
        self.option("PreferredAuthentications=keyboard-interactive,password")
            .option("PubkeyAuthentication=no")
    }

    /// For at most `limit` (30 s unless told).
    pub fn limit(mut self, limit: Duration) -> Self {
        self.limit = limit;
        self
    }

    /// `ssh node COMMAND`, to its end.
    pub fn run(&self, command: &str) -> Result<Output> {
        self.run_with(command, b"")
    }

    /// `ssh node COMMAND`, to its end, with `stdin`.
    pub fn run_with(&self, command: &str, stdin: &[u8]) -> Result<Output> {
        command::run(self.command(Some(command)), stdin, self.limit)
    }

    /// `ssh node < SCRIPT`: no command, the login shell reads the script.
    pub fn shell(&self, script: &str) -> Result<Output> {
        command::run(self.command(None), script.as_bytes(), self.limit)
    }

    /// A login that stays: with `command`, or the login shell.
    pub fn open(&self, command: Option<&str>) -> Result<Session> {
        Session::start(self.command(command), self.limit)
    }

    fn command(&self, command: Option<&str>) -> Command {
        let mut ssh = match &self.password {
            None => self.node.client("ssh"),
            Some(password) => {
                let mut sshpass = self.node.client("sshpass");
                sshpass.args(["-e", "ssh"]).env("SSHPASS", password);
                sshpass
            }
        };
        ssh.arg("-F").arg(self.node.ssh_config()).args(&self.words);
        ssh.arg("-l").arg(&self.user).arg(self.node.name());
        ssh.args(command);
        ssh
    }
}

/// A program that stays while the test goes on; dropping it kills it.
#[derive(Debug)]
pub struct Session {
    line: String,
    child: Child,
    stdin: Option<ChildStdin>,
    seen: Arc<Mutex<Vec<u8>>>,
    limit: Duration,
}

impl Session {
    /// Starts `command`; what it writes on both outputs is gathered as it comes.
    pub fn start(mut command: Command, limit: Duration) -> Result<Session> {
        let line = command::describe(&command);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().map_err(Error::io(line.clone()))?;
        let stdin = child.stdin.take();
        let seen = Arc::new(Mutex::new(Vec::new()));
        if let Some(pipe) = child.stdout.take() {
            gather(pipe, seen.clone());
        }
        if let Some(pipe) = child.stderr.take() {
            gather(pipe, seen.clone());
        }
        Ok(Session { line, child, stdin, seen, limit })
    }

    /// The process id of the client.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Types `text`; end a line with `\n`.
    pub fn send(&mut self, text: &str) -> Result<()> {
        let line = &self.line;
        let pipe = self.stdin.as_mut();
        let pipe = pipe.ok_or_else(|| Error::Wrong(format!("`{line}`: its input is closed")))?;
        pipe.write_all(text.as_bytes()).and_then(|()| pipe.flush()).map_err(Error::io(line))
    }

    /// Everything it wrote so far, lines ended by `\n` whatever the terminal made of them.
    pub fn seen(&self) -> String {
        let bytes = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        String::from_utf8_lossy(&bytes).replace("\r\n", "\n")
    }

    /// Waits until it has written `text`; answers everything so far.
    pub fn wait_for(&mut self, text: &str) -> Result<String> {
        self.find(&format!("{text:?}"), |seen| seen.contains(text).then(|| seen.to_owned()))
    }

    /// Waits until `look` finds something in what it wrote.
    pub fn find<T>(&mut self, what: &str, look: impl Fn(&str) -> Option<T>) -> Result<T> {
        let start = clock::now();
        loop {
            let ended = matches!(self.child.try_wait(), Ok(Some(_)));
            if ended {
                // What was written last may still be on its way through the gathering thread.
                clock::pause(Duration::from_millis(50));
            }
            let seen = self.seen();
            if let Some(found) = look(&seen) {
                return Ok(found);
            }
            if ended || start.elapsed() >= self.limit {
                let what = format!("{what} from `{}`", self.line);
                let hint = if ended { "; it ended" } else { "" };
                let hint = format!("{hint}; it wrote: {}", command::tail(&seen));
                return Err(Error::TimedOut { what, limit: self.limit, hint });
            }
            clock::pause(Duration::from_millis(10));
        }
    }

    /// Types `command`, waits until it is done, and answers exactly what it wrote. For a shell
    /// at its prompt, whatever that looks like; exit code other than 0 is an error.
    pub fn ask(&mut self, command: &str) -> Result<String> {
        static ASKED: std::sync::atomic::AtomicU64 = std::sync::atomic::AtomicU64::new(0);
        let n = ASKED.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        // The quotes keep the echo of the line from looking like its answer.
        self.send(&format!("echo \"begin\"-{n}-; {command}; echo \"en\"d-{n}-$?-\n"))?;
        let (begin, end) = (format!("begin-{n}-\n"), format!("end-{n}-"));
        let (answer, code) = self.find(&format!("the answer to `{command}`"), |seen| {
            let from = seen.find(&begin)? + begin.len();
            let to = from + seen[from..].find(&end)?;
            let code = seen[to + end.len()..].split_once('-')?.0;
            Some((seen[from..to].to_owned(), code.to_owned()))
        })?;
        match code.as_str() {
            "0" => Ok(answer),
            other => Err(Error::Failed {
                command: command.into(),
                code: other.parse().unwrap_or(-1),
                output: answer,
            }),
        }
    }

    /// Closes its input (a pipe's end; a terminal needs `exit` sent) and waits for its end.
    pub fn close(mut self) -> Result<i32> {
        self.stdin = None;
        let mut code = None;
        clock::until(&format!("the end of `{}`", self.line), self.limit, || {
            code = self.child.try_wait().ok().flatten().map(command::code);
            code.is_some()
        })?;
        Ok(code.unwrap_or(-1))
    }

    /// Whether it still runs.
    pub fn is_open(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(None))
    }

    /// Ends it the hard way, as a lost connection would.
    pub fn kill(&mut self) {
        if self.is_open()
            && let Ok(pid) = i32::try_from(self.child.id())
        {
            let _ = killpg(Pid::from_raw(pid), Signal::SIGKILL);
            let _ = self.child.wait();
        }
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        self.kill();
    }
}

fn gather(mut pipe: impl Read + Send + 'static, seen: Arc<Mutex<Vec<u8>>>) {
    thread::spawn(move || {
        let mut chunk = vec![0; 16_384];
        while let Ok(n @ 1..) = pipe.read(&mut chunk) {
            seen.lock().unwrap_or_else(PoisonError::into_inner).extend(&chunk[..n]);
        }
    });
}
