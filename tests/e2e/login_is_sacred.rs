//! Whatever is broken, the login works, and is held up no longer than is promised: by the
//! module's deadline and 200 ms, and by next to nothing where there is nothing to wait for.

use std::time::Duration;

use iamd_tests::{
    Error, Issuer, IssuerSpec, Node, Notice, Product, Session, World, clock, eventually, sign_in,
    token_file,
};
use serde_json::{Value, json};

use crate::case::{Case, Outcome};
use crate::cases;
use crate::delay::Stacks;
use crate::people::sign_in_as;

pub fn cases() -> Vec<Case> {
    cases![
        ;
        apart: a_login_works_while_the_daemon_is_stopped_or_its_socket_is_absent_or_refuses,
        a_login_works_while_the_socket_s_backlog_is_full,
        a_login_and_a_logout_work_while_the_daemon_is_frozen,
        a_login_works_while_the_daemon_dies_or_falls_silent_in_the_middle_of_its_reply,
        a_login_works_while_the_issuer_is_a_black_hole,
        a_login_waits_for_nobody_while_the_issuer_s_circuit_is_open,
        a_login_works_while_the_bus_is_stopped,
        a_login_works_while_the_store_does_not_answer,
        a_login_works_without_the_module_s_file_and_with_wrong_arguments,
        iamctl_says_exit_5_and_what_to_do_when_the_daemon_does_not_answer,
    ]
}

/// The module's deadline and 200 ms.
const DEADLINE: Duration = Duration::from_millis(1200);
/// The time the daemon may wait for an issuer, and 200 ms.
const ANSWER: Duration = Duration::from_millis(900);
/// Where there is nothing to wait for.
const AT_ONCE: Duration = Duration::from_millis(50);

const SOCKET: &str = "/run/iamd/pam.sock";

fn node(world: &World, name: &str) -> Result<Node, Error> {
    world.boot(Product::new(world.issuer()?).on(world.spec(name)))
}

/// What the module wrote about its last login.
fn module_said(node: &Node) -> Result<String, Error> {
    node.root_says("journalctl -b -o cat --no-pager -t sshd | grep pam_iam | tail -n 1")
}

#[track_caller]
fn contains(text: &str, part: &str) {
    assert!(text.contains(part), "no {part:?} in: {text}");
}

fn fake(node: &Node, fault: &str) -> Result<Session, Error> {
    let mut command = node.inside()?;
    command.args(["python3", "-c", include_str!("fake_daemon.py"), SOCKET, fault]);
    let mut session = Session::start(command, Duration::from_secs(30))?;
    session.wait_for("ready\n")?;
    Ok(session)
}

fn everything(fault: &str) -> Value {
    json!([{"match": {"path": "*"}, "fault": fault}])
}

fn a_login_works_while_the_daemon_is_stopped_or_its_socket_is_absent_or_refuses(
    world: &World,
) -> Outcome {
    let node = node(world, "stopped")?;
    let stacks = Stacks::of(world, &node)?;
    node.root_says("systemctl stop iamd")?;
    stacks.delay_within("daemon stopped", "alice", AT_ONCE)?;
    contains(&module_said(&node)?, "login goes on without iamd");
    node.root_says(&format!("rm -f {SOCKET}"))?;
    stacks.delay_within("socket absent", "alice", AT_ONCE)?;
    contains(&module_said(&node)?, "no socket: is iamd installed and running?");
    drop(fake(&node, "half")?);
    node.root_says(&format!("test -S {SOCKET}"))?;
    stacks.delay_within("socket refuses", "alice", AT_ONCE)?;
    contains(&module_said(&node)?, "nobody listens: is iamd running?");
    Ok(())
}

fn a_login_works_while_the_socket_s_backlog_is_full(world: &World) -> Outcome {
    let node = node(world, "backlog")?;
    let stacks = Stacks::of(world, &node)?;
    node.root_says("systemctl stop iamd")?;
    let _deaf = fake(&node, "deaf")?;
    stacks.delay_within("backlog full", "alice", DEADLINE)?;
    contains(&module_said(&node)?, "its backlog is full");
    Ok(())
}

fn a_login_and_a_logout_work_while_the_daemon_is_frozen(world: &World) -> Outcome {
    let node = node(world, "frozen")?;
    let stacks = Stacks::of(world, &node)?;
    let mut before = Vec::new();
    for _ in 0..3 {
        let mut session = node.ssh("alice").open(Some("echo in; cat"))?;
        session.wait_for("in\n")?;
        before.push(session);
    }
    node.root_says("systemctl kill -s STOP iamd")?;
    stacks.delay_within("daemon frozen", "alice", DEADLINE)?;
    contains(&module_said(&node)?, "no answer within the deadline");
    // A stall of the machine's is not in most of them; a wait of the module's is.
    let mut took = Vec::new();
    for session in before {
        let start = clock::now();
        assert_eq!(session.close()?, 0);
        took.push(start.elapsed());
    }
    took.sort();
    assert!(took[1] < DEADLINE, "the logouts took {took:?}");
    // What stood in the queue meanwhile is served, and the next login is a good one again.
    node.root_says("systemctl kill -s CONT iamd")?;
    let seen = node.ssh("bob").run("echo $BEARER_TOKEN_FILE")?.ok()?;
    assert_eq!(seen.line(), token_file("bob")?);
    Ok(())
}

fn a_login_works_while_the_daemon_dies_or_falls_silent_in_the_middle_of_its_reply(
    world: &World,
) -> Outcome {
    let node = node(world, "halfway")?;
    let stacks = Stacks::of(world, &node)?;
    node.root_says("systemctl stop iamd")?;
    let dies = fake(&node, "half")?;
    stacks.delay_within("reply breaks off", "alice", AT_ONCE)?;
    contains(&module_said(&node)?, "the daemon hung up");
    drop(dies);
    let _stalls = fake(&node, "stall")?;
    stacks.delay_within("reply stalls", "alice", DEADLINE)?;
    contains(&module_said(&node)?, "no answer within the deadline (at read)");
    Ok(())
}

fn a_login_works_while_the_issuer_is_a_black_hole(world: &World) -> Outcome {
    let issuer = world.start_issuer(IssuerSpec::new("hole.test"))?;
    let node = world.boot(Product::new(&issuer).on(world.spec("hole")))?;
    let stacks = Stacks::of(world, &node)?;
    drop(sign_in(&node, &issuer, "bob")?);
    let device = json!([{"match": {"path": "/devicecode"}, "fault": "blackhole"}]);
    let faults = issuer.faults(&device)?;
    stacks.delay_within("device endpoint black-holed", "alice", ANSWER)?;
    drop(faults);
    let _faults = issuer.faults(&everything("blackhole"))?;
    stacks.delay_within("issuer black-holed", "carol", ANSWER)?;
    // What is needed is said all the same, and where the file will be.
    let seen = node.ssh("carol").shell("echo $BEARER_TOKEN_FILE\n")?.ok()?;
    contains(&seen.text(), "iamctl login");
    contains(&seen.text(), &token_file("carol")?);
    // Who has a token does not notice.
    stacks.delay_within("black hole, token at hand", "bob", AT_ONCE)?;
    node.ssh("bob").run("test -s $BEARER_TOKEN_FILE")?.ok()?;
    Ok(())
}

/// Whose renewals have to fail before nobody asks any more.
const THREE: [&str; 3] = ["bob", "user01", "user02"];

/// Makes renewals that everybody makes alike fail until the daemon asks no more, for anybody.
fn open_the_circuit(node: &Node, issuer: &Issuer) -> Outcome {
    let _faults = issuer.faults(&everything("reset_before"))?;
    for user in THREE {
        node.exec_as(user, "iamctl token --force-new")?.exited(5)?;
    }
    let said = node.exec_as("bob", "iamctl token --force-new")?.exited(5)?;
    contains(&said.errors(), "next try in");
    assert_eq!(circuit(node)?, "open");
    Ok(())
}

fn a_login_waits_for_nobody_while_the_issuer_s_circuit_is_open(world: &World) -> Outcome {
    let issuer = world.start_issuer(IssuerSpec::new("circuit.test").option("AT_TTL", "20"))?;
    let config =
        "[sessions]\ngrace = \"0s\"\n[limits]\nreply_time = \"10s\"\nlogin_starts = 1000\n";
    let node = world.boot(Product::new(&issuer).config(config).on(world.spec("circuit")))?;
    let stacks = Stacks::of(world, &node)?;
    let mut session = sign_in(&node, &issuer, "bob")?;
    session.send("exit\n")?;
    session.close()?;
    for user in &THREE[1..] {
        sign_in_as(&node, &issuer, user, "test", "test")?;
    }
    open_the_circuit(&node, &issuer)?;
    let hole = issuer.faults(&everything("blackhole"))?;
    stacks.delay_within("circuit open, sign-in needed", "alice", AT_ONCE)?;
    let seen = node.ssh("alice").shell("true\n")?.ok()?;
    contains(&seen.text(), "iamctl login");
    assert_eq!(Notice::find(&seen.text()), None, "a code from nowhere");
    // The pause is over: who asks now finds out whether the issuer is back, which takes as long as a
    // reply may take. That is no login.
    pause_is_over(&node)?;
    stacks.delay_within("circuit's pause over, sign-in needed", "alice", AT_ONCE)?;
    drop(hole);
    // What a login asked for behind it is there for the next one.
    let code = || Notice::expect(&node.ssh("carol").shell("true\n")?.ok()?.text());
    eventually("the issuer, found to be back", Duration::from_secs(180), code)?;
    // A token that has ended and cannot be renewed is no reason to wait either.
    clock::until("the token's end", Duration::from_secs(30), || {
        node.exec_as("bob", "iamctl account show --json").is_ok_and(|said| {
            let account: Value = serde_json::from_slice(&said.stdout).unwrap_or_default();
            account["account"]["access_expires_at"].as_u64() < Some(clock::unix_time())
        })
    })?;
    open_the_circuit(&node, &issuer)?;
    let _hole = issuer.faults(&everything("blackhole"))?;
    stacks.delay_within("circuit open, token has ended", "bob", AT_ONCE)?;
    pause_is_over(&node)?;
    stacks.delay_within("circuit's pause over, token has ended", "bob", AT_ONCE)?;
    Ok(())
}

/// Waits until the default issuer would be asked again, or somebody is doing that.
fn pause_is_over(node: &Node) -> Result<(), Error> {
    let failing = || match circuit(node)? {
        state if state == "failing" => Ok(()),
        other => Err(Error::Wrong(other)),
    };
    eventually("the end of the circuit's pause", Duration::from_secs(120), failing)
}

/// How the circuit of the default issuer stands.
fn circuit(node: &Node) -> Result<String, Error> {
    let said = node.root_says("iamctl admin stats --json")?;
    let stats: Value = serde_json::from_str(&said).unwrap_or_default();
    let issuers = stats["issuers"].as_array().cloned().unwrap_or_default();
    let test = issuers.iter().find(|it| it["name"] == "test");
    match test.and_then(|it| it["circuit"].as_str()) {
        Some(state) => Ok(state.to_owned()),
        None => Err(Error::Wrong(said)),
    }
}

fn a_login_works_while_the_bus_is_stopped(world: &World) -> Outcome {
    let (issuer, node) = (world.issuer()?, node(world, "busless")?);
    let stacks = Stacks::of(world, &node)?;
    let user = world.user()?;
    let session = sign_in(&node, issuer, &user)?;
    node.root_says("systemctl stop dbus.socket dbus.service")?;
    stacks.delay_within("bus stopped", &user, AT_ONCE)?;
    let seen = node.ssh(&user).run("test -s $BEARER_TOKEN_FILE && echo token")?.ok()?;
    assert_eq!((seen.line().as_str(), seen.errors().as_str()), ("token", ""));
    let told = node.exec_as(&user, "iamctl status")?.exited(5)?;
    contains(&told.errors(), "systemctl status dbus");
    // A token comes another way.
    assert!(node.exec_as(&user, "iamctl token")?.ok()?.text().starts_with("eyJ"));
    assert_eq!(node.root_says("systemctl is-active iamd")?, "active");
    drop(session);
    Ok(())
}

/// Takes every lock of SQLite's write-ahead log (walIndex locks, bytes 120 to 127 of the -shm
/// file): each look into the store then waits, as it would behind somebody's open transaction.
const LOCK_STORE: &str = "import fcntl, os, sys
shm = os.open('/var/lib/iamd/iamd.db-shm', os.O_RDWR)
fcntl.lockf(shm, fcntl.LOCK_EX, 8, 120)
print('ready', flush=True)
sys.stdin.read()";

fn a_login_works_while_the_store_does_not_answer(world: &World) -> Outcome {
    let node = node(world, "storeless")?;
    let stacks = Stacks::of(world, &node)?;
    let mut command = node.inside()?;
    command.args(["python3", "-c", LOCK_STORE]);
    let mut lock = Session::start(command, Duration::from_secs(30))?;
    lock.wait_for("ready\n")?;
    stacks.delay_within("store locked", "alice", ANSWER)?;
    let seen = node.ssh("alice").run("echo $BEARER_TOKEN_FILE")?.ok()?;
    assert_eq!(seen.line(), token_file("alice")?);
    drop(lock);
    let list = || node.exec_as("alice", "iamctl account list --json")?.ok();
    eventually("the accounts again", Duration::from_secs(20), list)?;
    Ok(())
}

fn a_login_works_without_the_module_s_file_and_with_wrong_arguments(world: &World) -> Outcome {
    let node = node(world, "wrong")?;
    let stacks = Stacks::of(world, &node)?;
    let user = world.user()?;
    let _session = sign_in(&node, world.issuer()?, &user)?;
    stacks.delay_within("nothing wrong, token at hand", &user, AT_ONCE)?;
    stacks.arguments("frobnicate=1 deadline=soon services=")?;
    stacks.delay_within("wrong arguments", &user, AT_ONCE)?;
    let seen = node.ssh(&user).run("echo $BEARER_TOKEN_FILE")?.ok()?;
    assert_eq!(seen.line(), token_file(&user)?, "the defaults are not in force");
    let journal = node.root_says("journalctl -b -o cat --no-pager -t sshd")?;
    contains(&journal, "argument 'frobnicate=1': unknown: ignored");
    contains(&journal, "argument 'deadline=soon': not a number with the unit ms or s");
    contains(&journal, "argument 'services=': not service names separated by commas");
    stacks.arguments("selftest=panic")?;
    stacks.delay_within("module panics", &user, AT_ONCE)?;
    node.root_says("rm $(find /usr/lib /lib -name pam_iam.so)")?;
    stacks.delay_within("module's file missing", &user, AT_ONCE)?;
    Ok(())
}

fn iamctl_says_exit_5_and_what_to_do_when_the_daemon_does_not_answer(world: &World) -> Outcome {
    let node = node(world, "down")?;
    // Merely stopped, the next call starts it.
    node.root_says("systemctl stop iamd")?;
    node.exec_as("alice", "iamctl account list")?.ok()?;
    assert_eq!(node.root_says("systemctl is-active iamd")?, "active");
    // What cannot be started: told at once.
    node.root_says(
        "cp /etc/iamd/iamd.toml /root/good; echo 'nonsense = 1' >> /etc/iamd/iamd.toml",
    )?;
    assert_ne!(node.exec("systemctl restart iamd")?.code, 0);
    for command in ["token", "status", "account list", "login --if-needed", "logout"] {
        let said = node.exec_as("alice", &format!("iamctl {command}"))?.exited(5)?;
        let users = command == "login --if-needed";
        contains(&said.errors(), if users { "iamctl login" } else { "systemctl status iamd" });
        assert_eq!(said.text(), "", "{said:?}");
        assert!(said.took < Duration::from_secs(7), "{said:?}");
    }
    node.ssh("alice").run("true")?.ok()?;
    node.root_says("cp /root/good /etc/iamd/iamd.toml; systemctl reset-failed iamd")?;
    node.root_says("systemctl start iamd; systemctl kill -s STOP iamd")?;
    let said = node.exec_as("alice", "iamctl token")?.exited(5)?;
    contains(&said.errors(), "systemctl status iamd");
    assert!(said.took < Duration::from_secs(50), "{said:?}");
    Ok(())
}
