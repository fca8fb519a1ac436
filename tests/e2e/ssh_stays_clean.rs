//! The module is not noticed by anybody who does not sit at a terminal: exit codes, standard output
//! and standard error are byte for byte those of a node without it, for a user who still has to
//! sign in and for one who has.
//!
//! Users have the same name on every node, so nothing has to be made alike before it is compared.

use std::fs;
use std::net::TcpListener;
use std::sync::OnceLock;
use std::time::Duration;

use iamd_tests::command::{self, Output};
use iamd_tests::ssh::Ssh;
use iamd_tests::{Node, Notice, World, eventually, sign_in, token_file};

use crate::case::{Case, Outcome};
use crate::cases;
use crate::seen::{Seen, every_byte};

pub fn cases() -> Vec<Case> {
    cases![
        a_command_ends_and_writes_as_without_the_module,
        a_command_on_a_terminal_writes_as_without_the_module,
        a_command_has_the_same_environment_and_the_ways_to_the_token_besides,
        scp_in_both_protocols_copies_as_without_the_module,
        an_sftp_batch_runs_as_without_the_module,
        rsync_copies_both_ways_as_without_the_module,
        git_clones_and_pushes_as_without_the_module,
        a_forward_without_a_command_writes_nothing,
        multiplexed_sessions_write_as_without_the_module,
        a_forced_command_writes_as_without_the_module,
        a_script_with_hushlogin_writes_as_without_the_module,
        a_script_without_a_command_sees_the_notice_only_while_a_login_is_needed,
    ]
}

type Result<T> = std::result::Result<T, iamd_tests::Error>;

/// The users of this module: one who never signs in, one who has.
fn users(world: &World) -> Result<[String; 2]> {
    static USERS: OnceLock<std::result::Result<[String; 2], String>> = OnceLock::new();
    let made = USERS.get_or_init(|| {
        let make = || {
            let (needs, signed_in) = (world.user()?, world.user()?);
            // The session may end: the file stays for the grace, and each login brings it anew.
            sign_in(world.node()?, world.issuer()?, &signed_in)?;
            Ok([needs, signed_in])
        };
        make().map_err(|error: iamd_tests::Error| error.to_string())
    });
    made.clone().map_err(iamd_tests::Error::Wrong)
}

/// Does `what` on a node without the module and on one with it, for each user, and compares;
/// answers what was seen.
fn alike(world: &World, what: impl Fn(&Node, &str) -> Result<Seen>) -> Result<Seen> {
    let mut last = Seen::default();
    for user in users(world)? {
        let without = what(world.bare()?, &user)?;
        let with = what(world.node()?, &user)?;
        assert_eq!(with, without, "with the module (left) and without it, as {user}");
        last = with;
    }
    Ok(last)
}

fn a_command_ends_and_writes_as_without_the_module(world: &World) -> Outcome {
    for (command, code) in [
        ("true", 0),
        ("exit 3", 3),
        ("cat; printf 'no newline'; echo problem >&2; exit 41", 41),
        // sshd tells a signal, which the client shows as 255.
        ("kill -TERM $$", 255),
        ("nosuchcommand", 127),
    ] {
        let seen =
            alike(world, |node, user| Ok(node.ssh(user).run_with(command, &every_byte())?.into()))?;
        assert_eq!(seen.code, code, "{command}");
    }
    Ok(())
}

fn a_command_on_a_terminal_writes_as_without_the_module(world: &World) -> Outcome {
    for command in ["echo one; exit 3", "tty -s && echo two >&2", "stty size"] {
        alike(world, |node, user| Ok(node.ssh(user).pty().run(command)?.into()))?;
    }
    Ok(())
}

fn a_command_has_the_same_environment_and_the_ways_to_the_token_besides(world: &World) -> Outcome {
    for user in users(world)? {
        let names = |node: &Node| -> Result<Vec<String>> {
            let env = node.ssh(&user).run("env -0 | cut -z -d= -f1 | tr '\\0' '\\n'")?.ok()?;
            Ok(env.text().lines().map(str::to_owned).collect())
        };
        let mut with = names(world.node()?)?;
        with.retain(|name| !["BEARER_TOKEN_FILE", "OIDC_SOCK"].contains(&name.as_str()));
        assert_eq!(with, names(world.bare()?)?, "as {user}");
        let show = "printf %s \"$BEARER_TOKEN_FILE\"";
        for ssh in [world.node()?.ssh(&user), world.node()?.ssh(&user).pty()] {
            assert_eq!(ssh.run(show)?.ok()?.text(), token_file(&user)?, "{ssh:?}");
        }
    }
    Ok(())
}

/// A client that takes `-F`, in the hub, in a folder of its own.
pub fn client(node: &Node, program: &str, words: &[&str], stdin: &[u8]) -> Result<Output> {
    let mut command = node.client(program);
    if matches!(program, "scp" | "sftp") {
        command.arg("-F").arg(node.ssh_config());
    }
    command.args(words);
    command::run(command, stdin, Duration::from_secs(60))
}

fn scp_in_both_protocols_copies_as_without_the_module(world: &World) -> Outcome {
    for flags in [&["-q"][..], &["-q", "-O"]] {
        alike(world, |node, user| {
            let dir = tempfile::tempdir().map_err(iamd_tests::Error::io("a folder"))?;
            let (near, back) = (dir.path().join("near"), dir.path().join("back"));
            fs::write(&near, every_byte()).map_err(iamd_tests::Error::at(&near))?;
            let (near, back_) = (near.display().to_string(), back.display().to_string());
            let far = format!("{user}@{}:scp-copy", node.name());
            let missing = format!("{user}@{}:not-there", node.name());
            let mut seen = Seen::default();
            for pair in [[&near, &far], [&far, &back_], [&missing, &back_]] {
                let words = [flags, &pair.map(String::as_str)].concat();
                seen.add(client(node, "scp", &words, b"")?);
            }
            seen.file(&back)
        })?;
    }
    Ok(())
}

fn an_sftp_batch_runs_as_without_the_module(world: &World) -> Outcome {
    let seen = alike(world, |node, user| {
        let dir = tempfile::tempdir().map_err(iamd_tests::Error::io("a folder"))?;
        let near = dir.path().join("near");
        fs::write(&near, every_byte()).map_err(iamd_tests::Error::at(&near))?;
        let mut sftp = node.client("sftp");
        sftp.arg("-F").arg(node.ssh_config()).args(["-q", "-b", "-"]);
        sftp.arg(format!("{user}@{}", node.name())).current_dir(&dir);
        let batch = b"put near sftp-copy\nget sftp-copy back\nrm sftp-copy\nls sftp-copy*\n";
        let output = command::run(sftp, batch, Duration::from_secs(60))?;
        Seen::from(output).file(&dir.path().join("back"))
    })?;
    // The last line of the batch fails, which ends sftp with 1.
    assert_eq!((seen.code, &seen.files[..]), (1, &[every_byte()][..]));
    Ok(())
}

fn rsync_copies_both_ways_as_without_the_module(world: &World) -> Outcome {
    let seen = alike(world, |node, user| {
        let dir = tempfile::tempdir().map_err(iamd_tests::Error::io("a folder"))?;
        fs::write(dir.path().join("near"), every_byte())
            .map_err(iamd_tests::Error::at(dir.path()))?;
        let (near, back) = (dir.path().join("near"), dir.path().join("back"));
        let far = format!("{user}@{}:rsync-copy", node.name());
        let (near, back_) = (near.display().to_string(), back.display().to_string());
        let mut seen = Seen::from(client(node, "rsync", &["-a", &near, &far], b"")?);
        seen.add(client(node, "rsync", &["-ac", &far, &back_], b"")?);
        node.exec_as(user, "rm ~/rsync-copy")?.ok()?;
        seen.file(&back)
    })?;
    assert_eq!((seen.code, &seen.files[..]), (0, &[every_byte()][..]));
    Ok(())
}

fn git_clones_and_pushes_as_without_the_module(world: &World) -> Outcome {
    let seen = alike(world, |node, user| {
        let dir = tempfile::tempdir().map_err(iamd_tests::Error::io("a folder"))?;
        node.exec_as(user, "rm -rf ~/repo.git; git init -q --bare -b main ~/repo.git")?.ok()?;
        let url = format!("ssh://{user}@{}/home/{user}/repo.git", node.name());
        let script = format!(
            "cd '{}' && git clone -q {url} one && cd one && git checkout -q -b main && \
             dd if=/dev/zero bs=1k count=300 status=none | tr '\\0' '\\253' > blob && git add blob && \
             git -c user.name=a -c user.email=a@b commit -q -m first && git push -q origin main && \
             cd .. && git clone -q {url} two && cmp one/blob two/blob && echo same",
            dir.path().display()
        );
        Ok(client(node, "sh", &["-c", &script], b"")?.into())
    })?;
    assert_eq!((seen.code, seen.stdout.ends_with(b"same\n")), (0, true), "{seen:?}");
    Ok(())
}

fn a_forward_without_a_command_writes_nothing(world: &World) -> Outcome {
    alike(world, |node, user| {
        let port = TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr());
        let port = port.map_err(iamd_tests::Error::io("a free port"))?.port();
        let forward = format!("10.77.0.1:{port}:127.0.0.1:22");
        let held = node.ssh(user).flag("-N").flag("-L").flag(&forward).open(None)?;
        let banner = eventually("sshd's banner", Duration::from_secs(10), || {
            use std::io::Read;
            let mut banner = [0; 8];
            let mut stream = world.ground().hub.connect(iamd_tests::net::HUB, port)?;
            stream.set_read_timeout(Some(Duration::from_secs(5)))?;
            stream.read_exact(&mut banner).map(|()| banner)
        })?;
        assert_eq!((&banner, held.seen().as_str()), (b"SSH-2.0-", ""));
        Ok(Seen::default())
    })?;
    Ok(())
}

fn multiplexed_sessions_write_as_without_the_module(world: &World) -> Outcome {
    let seen = alike(world, |node, user| {
        let dir = tempfile::tempdir().map_err(iamd_tests::Error::io("a folder"))?;
        let path = format!("ControlPath={}/%C", dir.path().display());
        let master = node.ssh(user).flag("-N").option("ControlMaster=yes").option(&path);
        let master = master.open(None)?;
        eventually("the master's socket", Duration::from_secs(10), || {
            let mut sockets = fs::read_dir(&dir)?;
            sockets.next().ok_or_else(|| std::io::Error::other("not there yet"))?.map(|_| ())
        })?;
        let slave = node.ssh(user).option("ControlMaster=no").option(&path);
        let mut seen = Seen::default();
        for command in ["echo first >&2; exit 5", "cat", "exit 3"] {
            seen.add(slave.run_with(command, &every_byte())?);
        }
        assert_eq!(master.seen(), "");
        Ok(seen)
    })?;
    assert_eq!((seen.code, &seen.stdout[..]), (3, &every_byte()[..]));
    Ok(())
}

/// `ForceCommand` by a second sshd, so that the node's own keeps its configuration.
fn a_forced_command_writes_as_without_the_module(world: &World) -> Outcome {
    for node in [world.bare()?, world.node()?] {
        let sshd = "/usr/sbin/sshd -D -p 2222 -o PidFile=none \
                    -o 'ForceCommand=echo forced; cat; echo \"$SSH_ORIGINAL_COMMAND\" >&2; exit 9'";
        node.exec(&format!("systemd-run --quiet --collect --unit=sshd-forced {sshd}"))?.ok()?;
        let listens = || node.exec("ss -Hltn 'sport = 2222' | grep -q .")?.ok();
        eventually("the second sshd", Duration::from_secs(10), listens)?;
    }
    fn forced<'n>(node: &'n Node, user: &str) -> Ssh<'n> {
        let ssh = node.ssh(user).flag("-p").flag("2222");
        ssh.option(&format!("HostKeyAlias={}", node.address())).flag("-T")
    }
    alike(world, |node, user| Ok(forced(node, user).run_with("wanted", &every_byte())?.into()))?;
    let seen = alike(world, |node, user| Ok(forced(node, user).shell("asked\n")?.into()))?;
    assert_eq!((seen.code, &seen.stdout[..]), (9, &b"forced\nasked\n"[..]));
    Ok(())
}

fn a_script_with_hushlogin_writes_as_without_the_module(world: &World) -> Outcome {
    let user = world.user()?;
    let see = |node: &Node| -> Result<Seen> {
        node.exec_as(&user, "touch ~/.hushlogin")?.ok()?;
        let script = "echo \"${BEARER_TOKEN_FILE:+yes}\" > ~/variable; echo out; exit 4\n";
        Ok(node.ssh(&user).flag("-T").shell(script)?.into())
    };
    let seen = see(world.node()?)?;
    assert_eq!(seen, see(world.bare()?)?);
    assert_eq!((seen.code, &seen.stdout[..]), (4, &b"out\n"[..]));
    let variable = world.node()?.root_says(&format!("cat /home/{user}/variable"))?;
    assert_eq!(variable, "yes");
    Ok(())
}

/// sshd itself writes login messages where there is neither a command nor a terminal; pam_iam(8)
/// documents it.
fn a_script_without_a_command_sees_the_notice_only_while_a_login_is_needed(
    world: &World,
) -> Outcome {
    let script = "echo out; echo err >&2; exit 4\n";
    let [needs, signed_in] = users(world)?;
    let see = |node: &Node, user: &str| -> Result<Seen> {
        let mut seen = Seen::from(node.ssh(user).flag("-T").shell(script)?);
        // Debian's message of the day begins with `uname -a`.
        let text = String::from_utf8_lossy(&seen.stdout).replace(node.name(), "NODE");
        seen.stdout = text.into_bytes();
        Ok(seen)
    };
    assert_eq!(see(world.node()?, &signed_in)?, see(world.bare()?, &signed_in)?);
    let mut with = see(world.node()?, &needs)?;
    let text = String::from_utf8_lossy(&with.stdout).into_owned();
    let notice = Notice::expect(&text)?.text + "\n";
    assert_eq!(text.matches(&notice).count(), 1, "{text}");
    with.stdout = text.replacen(&notice, "", 1).into_bytes();
    assert_eq!(with, see(world.bare()?, &needs)?, "but for the notice");
    Ok(())
}
