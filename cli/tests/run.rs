//! `iamctl run`: the command finds a valid token for as long as it runs, gets the signals that are
//! meant for it once, and nothing is left behind.

#![allow(clippy::unwrap_used, reason = "helpers of tests fail as tests do")]

mod support;

use std::path::Path;
use std::process::{Command, Stdio};

use iamd_protocol::error::Kind;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use support::running::{World, lines, send, text, until};
use support::samples;
use support::terminal::Terminal;

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
    // Not the runtime directory of a session that this is not of.
    let places = ["/dev/shm/".to_owned(), shared.display().to_string()];
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
    let told = text(&output.stderr).split_whitespace().collect::<Vec<_>>().join(" ");
    let told = told.strip_prefix("iamctl: ").unwrap();
    iamd_errors::shows("iamctl itself", "iamctl run, and the token is long", told, "", None, "");
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
