//! The harness itself: a node without the product behaves as a login node does. What these tests
//! see is also what the product's tests compare with, byte for byte.

use std::net::TcpListener;
use std::path::PathBuf;
use std::time::Duration;

use iamd_tests::command::{self, Output};
use iamd_tests::forward::Forward;
use iamd_tests::{IssuerSpec, Node, World, eventually};

use serde_json::json;

use crate::case::{Case, Outcome};
use crate::cases;

pub fn cases() -> Vec<Case> {
    cases![
        a_node_boots_in_less_than_5_seconds,
        systemd_says_running,
        an_ssh_login_has_a_logind_session_and_a_runtime_directory,
        a_command_gives_its_output_its_errors_and_its_exit_code,
        a_terminal_is_a_terminal,
        a_script_on_standard_input_runs_in_the_login_shell,
        a_password_opens_a_session,
        an_open_session_answers_command_by_command,
        scp_and_sftp_copy_both_ways,
        rsync_copies,
        git_clones_over_ssh,
        a_forward_without_a_command_carries_bytes,
        two_nodes_do_not_touch_each_other,
        files_go_in_and_come_out_with_owner_and_mode,
        the_issuer_is_reached_by_name_and_its_certificate_is_trusted,
        a_device_login_is_approved_and_its_token_verified,
    ]
}

fn a_node_boots_in_less_than_5_seconds(world: &World) -> Outcome {
    let took = world.bare()?.boot_time();
    assert!(took < Duration::from_secs(5), "it took {took:?}");
    Ok(())
}

fn systemd_says_running(world: &World) -> Outcome {
    let node = world.bare()?;
    let state = node.exec("systemctl is-system-running; systemctl --failed --no-legend")?;
    assert_eq!(state.line(), "running");
    Ok(())
}

fn an_ssh_login_has_a_logind_session_and_a_runtime_directory(world: &World) -> Outcome {
    let seen = world
        .bare()?
        .ssh("alice")
        .run("loginctl show-session $XDG_SESSION_ID -p Name -p Service -p Remote --value; stat -c '%U %a' $XDG_RUNTIME_DIR; echo $XDG_RUNTIME_DIR")?
        .ok()?;
    assert_eq!(seen.line(), "alice\nyes\nsshd\nalice 700\n/run/user/1001");
    Ok(())
}

fn a_command_gives_its_output_its_errors_and_its_exit_code(world: &World) -> Outcome {
    let seen = world.bare()?.ssh("bob").run_with("cat; echo oops >&2; exit 7", b"in\0put")?;
    assert_eq!(
        (seen.code, &seen.stdout[..], &seen.stderr[..]),
        (7, &b"in\0put"[..], &b"oops\n"[..])
    );
    Ok(())
}

fn a_terminal_is_a_terminal(world: &World) -> Outcome {
    let seen =
        world.bare()?.ssh("bob").pty().run("tty && stty size >/dev/null && echo yes")?.ok()?;
    assert!(seen.text().starts_with("/dev/pts/") && seen.text().ends_with("yes\r\n"), "{seen:?}");
    Ok(())
}

fn a_script_on_standard_input_runs_in_the_login_shell(world: &World) -> Outcome {
    let user = world.user()?;
    let node = world.bare()?;
    node.exec(&format!("touch /home/{user}/.hushlogin"))?.ok()?;
    let seen = node.ssh(&user).flag("-T").shell("shopt -q login_shell && echo login\nexit 4\n")?;
    assert_eq!((seen.code, seen.text().as_str()), (4, "login\n"));
    Ok(())
}

fn a_password_opens_a_session(world: &World) -> Outcome {
    let seen = world.bare()?.ssh("carol").password("carol-pw").run("id -un")?.ok()?;
    assert_eq!(seen.line(), "carol");
    let refused = world.bare()?.ssh("carol").password("wrong").run("id -un")?;
    assert_ne!(refused.code, 0);
    Ok(())
}

fn an_open_session_answers_command_by_command(world: &World) -> Outcome {
    let mut session = world.bare()?.ssh("alice").pty().open(None)?;
    assert_eq!(session.ask("echo one; id -un")?, "one\nalice\n");
    assert_eq!(session.ask("printf two")?, "two");
    assert!(session.ask("false").is_err());
    session.send("exit 3\n")?;
    assert_eq!(session.close()?, 3);
    Ok(())
}

/// A directory of the test's own on the host.
fn folder() -> Result<tempfile::TempDir, std::io::Error> {
    tempfile::tempdir()
}

fn client(
    node: &Node,
    program: &str,
    words: &[&str],
    stdin: &[u8],
) -> Result<Output, iamd_tests::Error> {
    let mut command = node.client(program);
    if matches!(program, "scp" | "sftp") {
        command.arg("-F").arg(node.ssh_config());
    }
    command.args(words);
    command::run(command, stdin, Duration::from_secs(60))
}

/// Bytes that no text filter lets through unchanged.
fn every_byte() -> Vec<u8> {
    (0..=255).cycle().take(100_000).collect()
}

fn scp_and_sftp_copy_both_ways(world: &World) -> Outcome {
    let (node, user, dir) = (world.bare()?, world.user()?, folder()?);
    let (there, back) = (dir.path().join("there"), dir.path().join("back"));
    std::fs::write(&there, every_byte())?;
    let (there, from) = (there.display().to_string(), back.display().to_string());
    let target = format!("{user}@bare:copy");
    for protocol in [&["-q"][..], &["-q", "-O"]] {
        for pair in [[&there, &target], [&target, &from]] {
            let words = [protocol, &pair.map(String::as_str)].concat();
            let seen = client(node, "scp", &words, b"")?.ok()?;
            assert!(seen.stdout.is_empty() && seen.stderr.is_empty(), "{seen:?}");
        }
        assert_eq!(std::fs::read(&back)?, every_byte());
        std::fs::remove_file(&back)?;
    }
    let batch = format!("put {there} other\nget other {from}\n");
    client(node, "sftp", &["-q", "-b", "-", &format!("{user}@bare")], batch.as_bytes())?.ok()?;
    assert_eq!(std::fs::read(&back)?, every_byte());
    Ok(())
}

fn rsync_copies(world: &World) -> Outcome {
    let (node, user, dir) = (world.bare()?, world.user()?, folder()?);
    std::fs::write(dir.path().join("file"), every_byte())?;
    let from = format!("{}/", dir.path().display());
    client(node, "rsync", &["-a", &from, &format!("{user}@bare:tree/")], b"")?.ok()?;
    let sum = node.exec_as(&user, &format!("wc -c < /home/{user}/tree/file"))?.ok()?;
    assert_eq!(sum.line(), "100000");
    Ok(())
}

fn git_clones_over_ssh(world: &World) -> Outcome {
    let (node, user, dir) = (world.bare()?, world.user()?, folder()?);
    let make = "git init -q repo && cd repo && git -c user.name=a -c user.email=a@b commit -q --allow-empty -m first";
    node.ssh(&user).run(make)?.ok()?;
    let into: PathBuf = dir.path().join("clone");
    let url = format!("ssh://{user}@bare/home/{user}/repo");
    client(node, "git", &["clone", "-q", &url, &into.display().to_string()], b"")?.ok()?;
    assert!(into.join(".git").is_dir());
    Ok(())
}

fn a_forward_without_a_command_carries_bytes(world: &World) -> Outcome {
    let node = world.bare()?;
    // A number that is free here is not taken in the hub either, whose ports nobody else uses.
    let port = TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
    let forward = format!("10.77.0.1:{port}:127.0.0.1:22");
    let _held = node.ssh("alice").flag("-N").flag("-L").flag(&forward).open(None)?;
    let banner = eventually("sshd's banner through the forward", Duration::from_secs(10), || {
        use std::io::Read;
        let mut banner = [0; 8];
        let mut stream = world.ground().hub.connect(iamd_tests::net::HUB, port)?;
        stream.set_read_timeout(Some(Duration::from_secs(5)))?;
        stream.read_exact(&mut banner).map(|()| banner)
    })?;
    assert_eq!(&banner, b"SSH-2.0-");
    Ok(())
}

fn two_nodes_do_not_touch_each_other(world: &World) -> Outcome {
    let first = world.bare()?;
    let user = world.user()?;
    let mut session = first.ssh(&user).open(Some("sleep 100"))?;
    let second = world.boot(world.spec("second"))?;
    assert_eq!(second.root_says("systemctl is-system-running")?, "running");
    assert_eq!(second.ssh("alice").run("hostname")?.ok()?.line(), "second");
    let seen =
        second.exec(&format!("bash -c '</dev/tcp/{}/22' && echo reached", first.address()))?;
    assert_eq!(seen.line(), "reached");
    second.power_cut()?;
    assert_eq!(second.ssh("alice").run("hostname")?.ok()?.line(), "second");
    drop(second);
    assert!(session.is_open(), "the first node's session ended with the second node");
    assert_eq!(first.root_says("systemctl is-system-running")?, "running");
    Ok(())
}

fn files_go_in_and_come_out_with_owner_and_mode(world: &World) -> Outcome {
    let node = world.bare()?;
    let path = "/run/harness/file";
    node.put(path, 0o640, "bob", b"x\0y")?;
    assert_eq!(node.get(path)?, b"x\0y");
    assert_eq!(node.root_says(&format!("stat -c '%U %a' {path}"))?, "bob 640");
    Ok(())
}

fn the_issuer_is_reached_by_name_and_its_certificate_is_trusted(world: &World) -> Outcome {
    let issuer = world.start_issuer(IssuerSpec::new("own.test"))?;
    let node = world.boot(world.spec("trusting").host_at("own.test", issuer.address()))?;
    let seen = node.exec("curl -sS https://own.test/.well-known/openid-configuration")?.ok()?;
    let metadata: serde_json::Value = serde_json::from_slice(&seen.stdout)?;
    assert_eq!(metadata["issuer"], issuer.url());
    assert_eq!(issuer.count("GET /.well-known/openid-configuration")?, 1);
    issuer.reset()?;
    assert_eq!(issuer.count("GET /.well-known/openid-configuration")?, 0);
    let rule = json!([{"match": {"path": "/jwk"}, "fault": {"status": {"code": 503}}}]);
    let faults = issuer.faults(&rule)?;
    let status = "curl -sS -o /dev/null -w '%{http_code}' https://own.test/jwk";
    assert_eq!(node.root_says(status)?, "503");
    assert_eq!(faults.counters()?[0]["applied"], 1);
    drop(faults);
    assert_eq!(node.root_says(status)?, "200");
    Ok(())
}

/// The issuer as the demo has it: reached from this machine's loopback too.
fn a_device_login_is_approved_and_its_token_verified(world: &World) -> Outcome {
    let forward = Forward::reserve(0)?;
    let port = forward.port();
    let issuer = world.start_issuer(IssuerSpec::new("demo.localhost").port(port))?;
    forward.open(world.ground(), issuer.address());
    let post = |path: &str, form: &str| -> Result<serde_json::Value, iamd_tests::Error> {
        let mut curl = std::process::Command::new("curl");
        let resolve = format!("demo.localhost:{port}:127.0.0.1");
        curl.args(["-sS", "--max-time", "20", "--resolve", &resolve, "--cacert"]);
        curl.arg(world.ground().ca.certificate()).args(["--noproxy", "*", "-d", form]);
        let said = command::must({
            curl.arg(format!("{}{path}", issuer.url()));
            curl
        })?;
        Ok(serde_json::from_slice(&said.stdout).unwrap_or_default())
    };
    let device =
        post("devicecode", "client_id=site-public&scope=openid offline_access storage.read:/")?;
    let text = |key: &str| device[key].as_str().unwrap_or_default().to_owned();
    let form = format!(
        "client_id=site-public&grant_type=urn:ietf:params:oauth:grant-type:device_code&device_code={}",
        text("device_code")
    );
    assert_eq!(post("token", &form)?["error"], "authorization_pending");
    issuer.approve(&text("verification_uri"), &text("user_code"), "alice")?;
    let token = post("token", &form)?["access_token"].as_str().unwrap_or_default().to_owned();
    let claims = issuer.verify(&token)?;
    assert_eq!(claims["scope"], "storage.read:/");
    let (rest, last) = token.split_at(token.len() - 6);
    let forged = format!("{rest}{}", last.chars().rev().collect::<String>());
    assert!(forged == token || issuer.verify(&forged).is_err());
    assert_eq!(issuer.count("POST /token device_code")?, 2);
    Ok(())
}
