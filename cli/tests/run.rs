//! `iamctl run`: the command finds a valid token for as long as it runs, gets the signals that are
//! meant for it once, and nothing is left behind.

#![allow(clippy::unwrap_used, reason = "helpers of tests fail as tests do")]

mod support;

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use iamd_protocol::error::Kind;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use support::terminal::Terminal;
use support::{Fake, iamctl, samples};

/// How long a test waits for anything.
const PATIENCE: Duration = Duration::from_secs(60);

#[allow(clippy::disallowed_methods, reason = "a test may look at the clock")]
fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs()
}

/// Waits until something is so.
#[allow(clippy::disallowed_methods, reason = "what is waited for is looked at again and again")]
fn until(what: &str, mut is_so: impl FnMut() -> bool) {
    let start = Instant::now();
    while !is_so() {
        assert!(start.elapsed() < PATIENCE, "{what}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// A daemon, and a runtime directory of the user's own.
struct World {
    fake: Fake,
    dir: tempfile::TempDir,
}

impl World {
    fn new() -> Self {
        let fake = Fake::start(samples::script(samples::base()));
        Self { fake, dir: tempfile::tempdir().unwrap() }
    }

    /// `iamctl run` with these words.
    fn command(&self, words: &[&str]) -> Command {
        let words: Vec<&str> = ["run"].iter().chain(words).copied().collect();
        let mut command = iamctl(&self.fake.bus.address, &words);
        command.env("XDG_RUNTIME_DIR", self.dir.path());
        command
    }

    fn output(&self, words: &[&str]) -> Output {
        self.command(words).output().unwrap()
    }

    fn shell(&self, script: &str) -> Output {
        self.output(&["--", "sh", "-c", script])
    }

    fn start(&self, words: &[&str]) -> Child {
        let mut command = self.command(words);
        command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
    }

    /// A shell that traps a signal; it says so in a file when it does.
    fn start_trap(&self, script: &str) -> (Child, PathBuf) {
        let said = self.dir.path().join("said");
        let script = script.replace("SAID", said.to_str().unwrap());
        let child = self.start(&["--", "sh", "-c", &script]);
        until("the command runs", || said.exists());
        (child, said)
    }

    fn left_behind(&self) -> Vec<PathBuf> {
        let entries = std::fs::read_dir(self.dir.path()).unwrap();
        let paths = entries.map(|entry| entry.unwrap().path());
        paths.filter(|path| path.to_string_lossy().contains("iamctl-run-")).collect()
    }

    fn next_token(&self, token: &str, life: u64) {
        let mut script = self.fake.script();
        script.token.token = token.into();
        script.token.expires_at = now() + life;
    }

    /// The calls that asked for a token.
    fn asked(&self) -> Vec<String> {
        let mut calls = self.fake.calls();
        calls.retain(|call| call.starts_with("GetToken"));
        calls
    }
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

fn send(child: &Child, signal: Signal) {
    kill(Pid::from_raw(i32::try_from(child.id()).unwrap()), signal).unwrap();
}

fn lines(file: &Path) -> Vec<String> {
    std::fs::read_to_string(file).unwrap().lines().map(str::to_owned).collect()
}

#[test]
fn the_command_has_the_token_in_a_private_file_and_nothing_is_left() {
    let world = World::new();
    let output = world.shell(
        "cat \"$BEARER_TOKEN_FILE\"; echo; stat -c '%a %F' \"$BEARER_TOKEN_FILE\"; \
         stat -c %a \"$(dirname \"$BEARER_TOKEN_FILE\")\"; echo \"${BEARER_TOKEN-unset}\"",
    );
    let token = samples::token(0).token;
    assert_eq!(text(&output.stdout), format!("{token}\n600 regular file\n700\nunset\n"));
    assert_eq!((text(&output.stderr).as_str(), output.status.code()), ("", Some(0)));
    assert!(world.left_behind().is_empty());
    let call = world.fake.calls().remove(0);
    assert!(call.contains("GetToken(\"\"") && call.contains("iamctl-run"), "{call}");
}

#[test]
fn what_is_asked_for_reaches_the_daemon_and_what_follows_the_command_is_the_commands() {
    let world = World::new();
    let words =
        ["-a", "cms", "-s", "storage.read:/a", "--aud", "https://se", "-t", "10m", "--strict"];
    let words: Vec<&str> = words.iter().chain(&["echo", "-s", "--json", "--"]).copied().collect();
    let output = world.output(&words);
    assert_eq!(text(&output.stdout), "-s --json --\n");
    let call = world.fake.calls().remove(0);
    for part in ["\"cms\"", "storage.read:/a", "https://se", "Some(600)", "strict: Some(true)"] {
        assert!(call.contains(part), "{part}: {call}");
    }
}

#[test]
fn bearer_env_is_the_token_of_the_start_and_an_older_one_is_not_passed_on() {
    let world = World::new();
    let mut command = world.command(&["--bearer-env", "--", "sh", "-c", "echo $BEARER_TOKEN"]);
    let output = command.env("BEARER_TOKEN", "older").output().unwrap();
    assert_eq!(text(&output.stdout), format!("{}\n", samples::token(0).token));
    let told = text(&output.stderr);
    assert!(told.starts_with("iamctl: BEARER_TOKEN is not renewed: it expires"), "{told}");
    let mut command = world.command(&["--", "sh", "-c", "echo ${BEARER_TOKEN-unset}"]);
    let output = command.env("BEARER_TOKEN", "older").output().unwrap();
    assert_eq!(text(&output.stdout), "unset\n");
}

#[test]
fn the_exit_code_is_the_commands() {
    let world = World::new();
    for (script, code) in [("exit 0", 0), ("exit 7", 7), ("exit 255", 255), ("kill -KILL $$", 137)]
    {
        assert_eq!(world.shell(script).status.code(), Some(code), "{script}");
    }
    assert_eq!(world.shell("kill -TERM $$").status.code(), Some(143));
    // As a shell shows it: a loop ends as well.
    let shell = "iamctl_run=$1; $iamctl_run run -- sh -c 'kill -INT $$'; echo $?";
    let mut command = Command::new("sh");
    command.args(["-c", shell, "sh", env!("CARGO_BIN_EXE_iamctl")]);
    command.env("IAMD_BUS_ADDRESS", &world.fake.bus.address);
    command.env("XDG_RUNTIME_DIR", world.dir.path());
    assert_eq!(text(&command.output().unwrap().stdout), "130\n");
    let not_executable = world.dir.path().join("file");
    std::fs::write(&not_executable, "").unwrap();
    for (name, code) in
        [("/no/such/command", 127), ("no-such", 127), (not_executable.to_str().unwrap(), 126)]
    {
        let output = world.output(&[name]);
        assert_eq!(output.status.code(), Some(code), "{name}");
        assert!(text(&output.stderr).contains(name) && output.stdout.is_empty());
    }
    assert!(world.left_behind().is_empty());
}

#[test]
fn without_a_token_nothing_is_run() {
    let world = World::new();
    let failure = (Kind::LoginRequired.bus_name(), "you have no account yet".to_owned());
    world.fake.script().fail.insert("GetToken", failure);
    let output = world.shell("echo ran");
    assert_eq!((text(&output.stdout).as_str(), output.status.code()), ("", Some(3)));
    assert!(text(&output.stderr).contains("iamctl login"));
    world.fake.script().fail.clear();
    world.next_token("two words", 600);
    assert!(world.shell("echo ran").stdout.is_empty());
    assert!(world.left_behind().is_empty());
}

#[test]
fn the_file_is_renewed_before_its_token_expires() {
    // Renewed at half of it: what is left is the time that a busy machine has.
    const LIFE: u64 = 20;
    let world = World::new();
    world.next_token("one", LIFE);
    let (child, said) = world.start_trap(
        "while :; do { cat $BEARER_TOKEN_FILE || echo gone; echo; } >> SAID; sleep 0.1; done",
    );
    let has = |token: &str| lines(&said).iter().any(|line| line == token);
    until("the first is there", || has("one"));
    // One that is valid for longer than what is left of the first, at half of it too.
    world.next_token("two", 2 * LIFE);
    until("the second is there", || has("two"));
    world.next_token("three", 600);
    until("the third is there", || has("three"));
    send(&child, Signal::SIGTERM);
    assert_eq!(child.wait_with_output().unwrap().status.code(), Some(143));
    let mut seen = lines(&said);
    seen.dedup();
    assert_eq!(seen, ["one", "two", "three"]);
    let calls = world.asked();
    assert!(calls[0].contains("min_valid_seconds: None"), "{}", calls[0]);
    for call in &calls[1..] {
        // More than what is left of the present one, and the same account all the time.
        let least = call.split("min_valid_seconds: Some(").nth(1).expect(call);
        let least: u64 = least.split(')').next().unwrap().parse().unwrap();
        assert!((1..=2 * LIFE).contains(&least), "{call}");
        assert!(call.contains("\"wlcg\""), "{call}");
    }
    assert!(world.left_behind().is_empty());
}

#[test]
fn a_renewal_that_fails_is_told_once_and_a_stale_token_is_removed() {
    let world = World::new();
    world.next_token("one", 10);
    let child = world.start(&["--", "sleep", "300"]);
    until("it was asked for", || !world.asked().is_empty());
    let failure = (Kind::IssuerUnreachable.bus_name(), "no answer".to_owned());
    world.fake.script().fail.insert("GetToken", failure);
    let file = || world.left_behind().first().map(|dir| dir.join("token"));
    until("the file is there", || file().is_some_and(|file| file.exists()));
    until("the file is removed", || file().is_some_and(|file| !file.exists()));
    // On a busy machine the file is removed before the second attempt: it is tried on all the same.
    until("it is tried again", || world.asked().len() >= 3);
    // It comes back.
    world.next_token("two", 600);
    world.fake.script().fail.clear();
    until("the file is there again", || file().is_some_and(|file| file.exists()));
    send(&child, Signal::SIGTERM);
    let output = child.wait_with_output().unwrap();
    let told = text(&output.stderr);
    assert_eq!(told.matches("was not renewed").count(), 1, "{told}");
    assert!(told.contains("no answer") && told.contains("expires"), "{told}");
    assert_eq!(output.status.code(), Some(143));
}

#[test]
fn an_account_that_is_renamed_is_gone_on_with() {
    let world = World::new();
    world.next_token("one", 10);
    let child = world.start(&["--", "sleep", "300"]);
    until("the accounts are known", || {
        world.fake.calls().iter().any(|call| call.starts_with("List"))
    });
    {
        let mut script = world.fake.script();
        script.accounts[0].name = "other".into();
        let failure = (Kind::NoSuchAccount.bus_name(), "no such account".to_owned());
        script.fail.insert("GetToken", failure);
    }
    let asked = || world.asked().iter().any(|call| call.starts_with("GetToken(\"other\""));
    until("it is asked for by its new name", asked);
    world.fake.script().fail.clear();
    send(&child, Signal::SIGTERM);
    let told = text(&child.wait_with_output().unwrap().stderr);
    let once = "the account wlcg is called other now; going on with it";
    assert_eq!(told.matches(once).count(), 1, "{told}");
}

#[test]
fn signals_sent_to_iamctl_are_passed_on_and_it_waits_for_the_command() {
    let world = World::new();
    for signal in [
        Signal::SIGTERM,
        Signal::SIGINT,
        Signal::SIGHUP,
        Signal::SIGUSR1,
        Signal::SIGUSR2,
        Signal::SIGQUIT,
        Signal::SIGXCPU,
        Signal::SIGXFSZ,
        Signal::SIGALRM,
        Signal::SIGVTALRM,
        Signal::SIGPROF,
        Signal::SIGPWR,
        Signal::SIGIO,
    ] {
        let (name, number) = (signal.as_str().strip_prefix("SIG").unwrap(), signal as i32);
        let script = format!(
            "trap 'echo {name} >> SAID; exit 9' {number}; : > SAID; while :; do sleep 0.05; done"
        );
        let (child, said) = world.start_trap(&script);
        assert_eq!(world.left_behind().len(), 1);
        send(&child, signal);
        let output = child.wait_with_output().unwrap();
        assert_eq!(output.status.code(), Some(9), "{signal}");
        assert_eq!(lines(&said), [name]);
        std::fs::remove_file(said).unwrap();
        assert!(world.left_behind().is_empty(), "{signal}");
    }
}

#[test]
fn a_signal_that_was_ignored_stays_ignored_for_the_command() {
    let world = World::new();
    let plain = world.command(&["--", "sh", "-c", "kill -HUP $$; echo still here"]);
    let mut command = Command::new("nohup");
    command.arg(plain.get_program()).args(plain.get_args()).env_clear();
    command.envs(plain.get_envs().filter_map(|(name, value)| Some((name, value?))));
    let output = command.stdin(Stdio::null()).output().unwrap();
    assert_eq!(text(&output.stdout), "still here\n");
}

#[test]
fn a_command_that_stops_and_goes_on_without_a_terminal_stops_nothing_else() {
    let world = World::new();
    let mut command = Command::new("setsid");
    let plain = world.command(&["--", "sh", "-c", "kill -STOP $$; echo went on"]);
    command.arg("--wait").arg(plain.get_program()).args(plain.get_args()).env_clear();
    command.envs(plain.get_envs().filter_map(|(name, value)| Some((name, value?))));
    let child = command.stdout(Stdio::piped()).spawn().unwrap();
    let stopped = || {
        let children = Command::new("ps").args(["-eo", "pid,ppid,stat,args"]).output().unwrap();
        let me = format!("{}", child.id());
        let table = text(&children.stdout);
        let rows: Vec<Vec<String>> = table
            .lines()
            .map(|line| line.split_whitespace().map(str::to_owned).collect())
            .collect();
        // setsid, or iamctl itself where setsid became it.
        let below =
            |parent: &str| rows.iter().filter(|row| row[1] == parent).cloned().collect::<Vec<_>>();
        let iamctl: Vec<String> =
            below(&me).iter().map(|row| row[0].clone()).chain([me.clone()]).collect();
        let shell = iamctl.iter().flat_map(|pid| below(pid)).find(|row| row[2].starts_with('T'));
        shell.map(|row| (row[0].clone(), row[1].clone()))
    };
    let mut found = None;
    until("the command stops", || {
        found = stopped();
        found.is_some()
    });
    let (_, iamctl) = found.unwrap();
    let pid = Pid::from_raw(iamctl.parse().unwrap());
    let state = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    assert!(!state.rsplit(')').next().unwrap().starts_with(" T"), "{state}");
    // SIGCONT to iamctl is passed on.
    kill(pid, Signal::SIGCONT).unwrap();
    let output = child.wait_with_output().unwrap();
    assert_eq!(text(&output.stdout), "went on\n");
}

#[test]
fn what_a_killed_one_left_is_removed_by_the_next() {
    let world = World::new();
    let (mut child, _) = world.start_trap(": > SAID; while [ -e SAID ]; do sleep 0.1; done");
    let left = world.left_behind();
    send(&child, Signal::SIGKILL);
    child.wait().unwrap();
    assert_eq!(world.left_behind(), left, "nobody could remove it");
    assert_eq!(world.shell("true").status.code(), Some(0));
    assert!(world.left_behind().is_empty());
}

#[test]
fn without_a_runtime_directory_of_ones_own_it_is_a_private_one_elsewhere() {
    use std::os::unix::fs::PermissionsExt;
    let world = World::new();
    let shared = world.dir.path().join("shared");
    std::fs::create_dir(&shared).unwrap();
    std::fs::set_permissions(&shared, std::fs::Permissions::from_mode(0o1777)).unwrap();
    let mut command = world.command(&["--", "sh", "-c", "echo $BEARER_TOKEN_FILE"]);
    command.env_remove("XDG_RUNTIME_DIR").env("TMPDIR", &shared);
    let file = text(&command.output().unwrap().stdout);
    let uid = nix::unistd::geteuid();
    let places = [format!("/run/user/{uid}"), "/dev/shm/".to_owned(), shared.display().to_string()];
    assert!(places.iter().any(|place| file.starts_with(place)), "{file}");
    assert!(!Path::new(file.trim()).exists() && std::fs::read_dir(&shared).unwrap().count() == 0);
}

#[test]
fn a_token_that_xrootd_refuses_is_told() {
    let world = World::new();
    world.next_token(&"x".repeat(4095), 600);
    assert_eq!(text(&world.shell("true").stderr), "");
    world.next_token(&"x".repeat(4096), 600);
    let output = world.shell("wc -c < $BEARER_TOKEN_FILE");
    assert_eq!(text(&output.stdout).trim(), "4096");
    assert!(text(&output.stderr).contains("which XRootD refuses"));
}

/// On a terminal, in a shell with job control, as a user has it.
fn shell_on_a_terminal(world: &World) -> Terminal {
    let runtime = world.dir.path().to_owned();
    let mut terminal = Terminal::start_program(
        &world.fake.bus.address,
        &["bash", "--norc", "--noprofile", "-i"],
        (80, 24),
        |command| {
            command.env("XDG_RUNTIME_DIR", runtime).env("PS1", "ready> ");
            command.env("IAMCTL", env!("CARGO_BIN_EXE_iamctl"));
        },
    );
    terminal.wait_for("ready> ");
    terminal
}

#[test]
fn ctrl_c_ends_the_command_and_what_it_had_and_reaches_it_once() {
    let world = World::new();
    let mut terminal = shell_on_a_terminal(&world);
    terminal.type_keys("$IAMCTL run -- sh -c 'echo be''gins; exec sleep 300'; echo code $?\n");
    terminal.wait_for("begins");
    assert_eq!(world.left_behind().len(), 1);
    terminal.type_keys("\x03");
    until("nothing is left", || world.left_behind().is_empty());
    // A list of commands is given up with the one that Ctrl-C ended; the code is in $?.
    terminal.type_keys("echo it was $?\n");
    terminal.wait_for("it was 130");
    // One that takes the first Ctrl-C for a hint gets one, and iamctl stays with it.
    let script = "trap \"echo hi''nt; had=1\" INT; echo st''ands; \
                  while [ -z \"$had\" ]; do sleep 0.1; done; \
                  for i in 1 2 3 4 5 6; do sleep 0.2; done; echo la''ter";
    terminal.type_keys(&format!("$IAMCTL run -- sh -c '{script}'; echo code $?\n"));
    terminal.wait_for("stands");
    terminal.type_keys("\x03");
    terminal.wait_for("code 0");
    terminal.type_keys("exit\n");
    let (_, seen) = terminal.end();
    assert_eq!(seen.matches("\nhint").count() + seen.matches("^Chint").count(), 1, "{seen}");
    assert!(seen.contains("later"), "{seen}");
    assert!(world.left_behind().is_empty());
}

#[test]
fn ctrl_z_stops_the_command_and_gives_the_shell_back_and_fg_goes_on() {
    let world = World::new();
    let mut terminal = shell_on_a_terminal(&world);
    terminal.type_keys("$IAMCTL run -- sh -c 'echo be''gins; read line; echo we''nt $line'\n");
    terminal.wait_for("begins");
    terminal.type_keys("\x1a");
    terminal.wait_for("Stopped");
    terminal.type_keys("echo in the sh''ell\n");
    terminal.wait_for("in the shell");
    assert_eq!(world.left_behind().len(), 1);
    terminal.type_keys("fg\n");
    terminal.type_keys("on\n");
    terminal.wait_for("went on");
    until("nothing is left", || world.left_behind().is_empty());
    terminal.type_keys("exit\n");
    terminal.end();
}

#[test]
fn a_terminal_that_goes_away_ends_the_command_and_takes_its_token_away() {
    let world = World::new();
    let runtime = world.dir.path().to_owned();
    // As the session leader, which is the only one that the kernel tells.
    let words = ["run", "--", "sh", "-c", "echo begins; exec sleep 300"];
    let mut terminal = Terminal::start(&world.fake.bus.address, &words, (80, 24), |command| {
        command.env("XDG_RUNTIME_DIR", runtime);
    });
    terminal.wait_for("begins");
    assert_eq!(world.left_behind().len(), 1);
    assert_eq!(terminal.hang_up(), 129, "by SIGHUP and not by itself");
    assert!(world.left_behind().is_empty());
}
