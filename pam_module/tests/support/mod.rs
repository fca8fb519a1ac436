//! The built module in a real program: `host.c` under libpam, and a daemon of our own.
//!
//! libpam reads its configuration from a directory of ours (`pam_start_confdir`), so nothing of
//! the machine is touched, and neither root nor another package is needed.
#![allow(dead_code, reason = "each test program uses a part")]
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests only")]

use std::os::unix::fs::MetadataExt;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::mpsc::{Receiver, channel};
use std::thread;

use iamd_protocol::pam::{self, Opened, Reply, Request};

/// A user that every machine has, with a uid that is not a system user's.
pub const USER: &str = "nobody";
pub const NOTICE: &str = "iamd: sign in\n  Open https://issuer.example/device";
pub const TOKEN_FILE: &str = "/run/iamd/users/65534/bt_u65534";

/// The program, compiled once per test program.
pub fn host() -> PathBuf {
    static BUILT: std::sync::OnceLock<PathBuf> = std::sync::OnceLock::new();
    BUILT.get_or_init(build_host).clone()
}

fn build_host() -> PathBuf {
    let name = std::env::current_exe().unwrap().file_name().unwrap().to_owned();
    let program = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name).with_extension("host");
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/host.c");
    let output = Command::new("cc")
        .args(["-std=gnu11", "-Wall", "-Werror", "-g", "-O1", "-rdynamic", "-o"])
        .arg(&program)
        .arg(source)
        .args(constants_of_the_module())
        .args(["-lpam", "-pthread"])
        .output()
        .expect("cc is needed to test the module");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    program
}

/// `-DIAM_NAME=VALUE` for each number that `src/sys.rs` takes over from the C headers.
fn constants_of_the_module() -> Vec<String> {
    let source = include_str!("../../src/sys.rs");
    let mut found = Vec::new();
    for line in source.lines().filter_map(|line| line.strip_prefix("const ")) {
        let (name, rest) = line.split_once(':').unwrap();
        let value = rest.split_once("= ").unwrap().1.trim_end_matches(';');
        let value = match value.split_once(" { ") {
            // Written as `if cfg!(target_arch = "A") { 21 } else { 17 }`.
            Some((_, numbers)) => {
                let (this, other) = numbers.split_once(" } else { ").unwrap();
                let this_one = cfg!(target_arch = "powerpc64");
                if this_one { this } else { other.trim_end_matches(" }") }
            }
            None => value,
        };
        if !value.contains("size_of") {
            let value = value.replace("0o", "0").replace('_', "");
            found.push(format!("-DIAM_{name}={value}"));
        }
    }
    assert_eq!(found.len(), 6, "{found:?}");
    found
}

/// The module as cargo has just built it.
pub fn module() -> PathBuf {
    let module = std::env::current_exe().unwrap().with_file_name("libpam_iam.so");
    assert!(module.exists(), "{} is not built", module.display());
    module
}

/// The same without debug information, which valgrind would read again for each session.
pub fn stripped_module() -> PathBuf {
    static STRIPPED: std::sync::OnceLock<PathBuf> = std::sync::OnceLock::new();
    let strip = || {
        let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join("pam_iam_stripped.so");
        let status = Command::new("strip").arg("-g").arg("-o").arg(&path).arg(module()).status();
        assert!(status.unwrap().success());
        path
    };
    STRIPPED.get_or_init(strip).clone()
}

/// A directory with a PAM configuration and, when wanted, a daemon.
pub struct Node {
    dir: tempfile::TempDir,
    module: PathBuf,
    environment: Vec<(&'static str, &'static str)>,
}

impl Node {
    /// One line, `required`: the code of the stack is the code of the module.
    pub fn new(arguments: &str) -> Self {
        Self::of(module(), arguments)
    }

    /// The same with this file as the module.
    pub fn of(module: PathBuf, arguments: &str) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let node = Self { dir, module, environment: Vec::new() };
        node.write_stack("sshd", &[arguments]);
        // libpam complains when there is none.
        std::fs::write(node.dir.path().join("other"), "session required pam_deny.so\n").unwrap();
        node
    }

    /// A line per entry, each with the arguments given.
    pub fn write_stack(&self, service: &str, lines: &[&str]) {
        let me = std::fs::metadata("/proc/self").unwrap().uid();
        let socket = self.socket();
        let stack: String = lines
            .iter()
            .map(|arguments| {
                format!(
                    "session required {} socket={} socket_uid={me} {arguments}\n",
                    self.module.display(),
                    socket.display()
                )
            })
            .collect();
        std::fs::write(self.dir.path().join(service), stack).unwrap();
    }

    /// One more line of that service, with a module of its own.
    pub fn add_line(&self, service: &str, module: &Path, arguments: &str) {
        let me = std::fs::metadata("/proc/self").unwrap().uid();
        let (module, socket) = (module.display(), self.socket());
        let line = format!(
            "session required {module} socket={} socket_uid={me} {arguments}\n",
            socket.display()
        );
        let path = self.dir.path().join(service);
        let stack = std::fs::read_to_string(&path).unwrap_or_default() + &line;
        std::fs::write(path, stack).unwrap();
    }

    /// Where all of it stands.
    pub fn path(&self) -> &Path {
        self.dir.path()
    }

    pub fn with(mut self, name: &'static str, value: &'static str) -> Self {
        self.environment.push((name, value));
        self
    }

    pub fn socket(&self) -> PathBuf {
        self.dir.path().join("socket")
    }

    /// A daemon that answers every request; what it was asked comes out of the channel.
    pub fn daemon(&self) -> Receiver<Request> {
        let (tell, told) = channel();
        self.daemon_that(move |mut stream| {
            let Ok(request) = pam::read::<Request>(&mut stream) else { return };
            let reply = match request {
                Request::Open(_) => opened(),
                Request::Close(_) => Reply::Closed,
            };
            let _ = tell.send(request);
            let _ = pam::write(&mut stream, &reply);
        });
        told
    }

    /// A daemon that does this with every connection.
    pub fn daemon_that(&self, act: impl Fn(UnixStream) + Send + 'static) {
        let listener = UnixListener::bind(self.socket()).unwrap();
        thread::spawn(move || listener.incoming().flatten().for_each(act));
    }

    /// The command that runs the program under `wrapper`.
    pub fn command(&self, wrapper: &[&str], service: &str, user: &str, cycles: u32) -> Command {
        let host = host();
        let mut words = wrapper.iter().map(|word| (*word).to_string()).collect::<Vec<_>>();
        words.push(host.display().to_string());
        let mut command = Command::new(&words[0]);
        command.args(&words[1..]).arg(self.dir.path()).args([service, user, &cycles.to_string()]);
        command.envs(self.environment.iter().copied());
        command
    }

    /// Runs the program and gives its lines. It must end by itself, with nothing on stderr.
    pub fn run(&self, user: &str, cycles: u32) -> Vec<String> {
        self.run_as("sshd", user, cycles)
    }

    pub fn run_as(&self, service: &str, user: &str, cycles: u32) -> Vec<String> {
        let output = self.command(&[], service, user, cycles).output().unwrap();
        assert!(output.status.success(), "{output:?}");
        assert!(output.stderr.is_empty(), "{}", String::from_utf8_lossy(&output.stderr));
        lines(&output)
    }
}

pub fn lines(output: &Output) -> Vec<String> {
    String::from_utf8_lossy(&output.stdout).lines().map(String::from).collect()
}

pub fn opened() -> Reply {
    let environment = vec![("BEARER_TOKEN_FILE".into(), TOKEN_FILE.into())];
    Reply::Opened(Opened { session: "s1".into(), environment, notice: Some(NOTICE.into()) })
}
