//! The profile script, switched on as README says: who has to sign in is shown where, at a
//! terminal and nowhere else, and nobody's shell is held up by a daemon or an issuer that is silent.

use std::fs;
use std::time::Duration;

use iamd_tests::sign_in::TOKEN_WITHIN;
use iamd_tests::{Error, Issuer, Node, Session, World, clock, eventually, sign_in, token_file};
use serde_json::json;

use crate::case::{Case, Outcome};
use crate::cases;
use crate::own::{own, prompt};
use crate::seen::{Seen, every_byte};
use crate::ssh_stays_clean::client;

pub fn cases() -> Vec<Case> {
    cases![
        a_first_login_shows_where_to_sign_in_and_goes_on_in_the_shell,
        ctrl_c_gives_the_shell_and_the_login_goes_on,
        commands_and_copies_and_scripts_stay_clean,
        panes_of_a_multiplexer_and_who_wants_none_are_left_alone,
        who_has_a_token_sees_nothing_and_has_the_shell_at_once;
        apart: a_shell_is_not_held_by_a_daemon_that_is_silent_or_away,
        a_shell_is_not_held_by_an_issuer_that_is_silent,
    ]
}

/// 3 s until iamd or the issuer has answered, and 1 s for a machine that is busy.
const HELD_AT_MOST: Duration = Duration::from_secs(4);
/// Where there is nothing to say and nothing to wait for.
const AT_ONCE: Duration = Duration::from_secs(1);

/// What stands before the script and behind it. Without colours, to be read by tests.
const BEFORE: &str = "export NO_COLOR=1\nBEFORE=$(date +%s%N)\n";
const BEHIND: &str = "HELD=$((($(date +%s%N) - BEFORE) / 1000000))\n";

/// A node on which the script is switched on.
struct Scripted {
    node: Node,
    issuer: Issuer,
}

fn scripted(world: &World, name: &str) -> Result<Scripted, Error> {
    let (node, issuer) = own(world, name, &[], "")?;
    node.root_says("ln -s /usr/share/iamd/profile.d/iamd.sh /etc/profile.d/iamd.sh")?;
    node.put("/etc/profile.d/before.sh", 0o644, "root", BEFORE.as_bytes())?;
    node.put("/etc/profile.d/zzz.sh", 0o644, "root", BEHIND.as_bytes())?;
    node.put("/etc/zsh/zprofile", 0o644, "root", ZPROFILE.as_bytes())?;
    Ok(Scripted { node, issuer })
}

fn shared(world: &World) -> Result<Scripted, Error> {
    scripted(world, "profile")
}

/// The shells that read /etc/profile: one that the node lacks fails the test.
const SHELLS: [&str; 3] = ["/bin/bash", "/bin/dash", "/bin/zsh"];

/// Debian's zsh reads it where the site says so, as README does.
const ZPROFILE: &str = "emulate sh -c '. /etc/profile'\n";

/// A user who has this login shell.
fn user_with(world: &World, node: &Node, shell: &str) -> Result<String, Error> {
    let user = world.user()?;
    // The file keeps zsh from asking a new user for settings.
    node.root_says(&format!("test -x {shell} && usermod -s {shell} {user}"))?;
    node.exec_as(&user, "touch ~/.zshrc")?.ok()?;
    Ok(user)
}

/// How long the script held the shell, which is at its prompt or comes to it.
fn held(session: &mut Session) -> Result<Duration, Error> {
    let millis = session.ask("echo $HELD")?;
    let millis = millis.trim().parse().map_err(|_| Error::Wrong(format!("held: {millis}")))?;
    Ok(Duration::from_millis(millis))
}

fn a_first_login_shows_where_to_sign_in_and_goes_on_in_the_shell(world: &World) -> Outcome {
    let place = world.place(shared)?;
    let Scripted { node, issuer } = &*place;
    for shell in SHELLS {
        let user = user_with(world, node, shell)?;
        let mut session = node.ssh(&user).pty().open(None)?;
        let (uri, code) = prompt(&mut session)?;
        let said = session.wait_for("Waiting")?;
        assert!(said.contains(&format!("You start this as {user} on {}.", node.name())), "{said}");
        issuer.approve(&uri, &code, &user)?;
        session.wait_for(&format!("Your token is in {}", token_file(&user)?))?;
        assert_eq!(
            session.ask("head -c 2 $BEARER_TOKEN_FILE; echo; echo $0")?,
            format!("ey\n-{}\n", shell.trim_start_matches("/bin/"))
        );
        world.say(&format!("{shell}: signed in after {:?}", held(&mut session)?));
    }
    Ok(())
}

fn ctrl_c_gives_the_shell_and_the_login_goes_on(world: &World) -> Outcome {
    let place = world.place(shared)?;
    let Scripted { node, issuer } = &*place;
    for shell in SHELLS {
        let user = user_with(world, node, shell)?;
        let mut session = node.ssh(&user).pty().open(None)?;
        let (uri, code) = prompt(&mut session)?;
        session.wait_for("Waiting")?;
        session.send("\x03")?;
        session.wait_for("the login goes on without this command")?;
        // The rest of the profile was read, and Ctrl-C is the shell's own again.
        held(&mut session)?;
        assert_eq!(session.ask("trap")?, "", "{shell}");
        session.send("sleep 600\n")?;
        let sleeps = || node.exec(&format!("pgrep -x -u {user} sleep"))?.ok();
        eventually("the shell's sleep", Duration::from_secs(10), sleeps)?;
        session.send("\x03")?;
        assert_eq!(session.ask("echo here")?, "here\n");
        issuer.approve(&uri, &code, &user)?;
        let file = token_file(&user)?;
        eventually("the token file", TOKEN_WITHIN, || node.exec(&format!("test -s {file}"))?.ok())?;
    }
    Ok(())
}

fn commands_and_copies_and_scripts_stay_clean(world: &World) -> Outcome {
    let place = world.place(shared)?;
    let (node, user) = (&place.node, world.user()?);
    // Without sshd's own part: the notice of a login without a command.
    node.exec_as(&user, "touch ~/.hushlogin")?.ok()?;
    let clean = |seen: Seen, what: &str| {
        let expected = Seen { stdout: b"out".to_vec(), ..Seen::default() };
        assert_eq!(seen, expected, "{what}");
    };
    let (ssh, terminal) = (node.ssh(&user), node.ssh(&user).pty());
    for command in ["printf out", "bash -lc 'printf out'", "sh -lc 'printf out'"] {
        clean(ssh.run(command)?.into(), command);
        clean(terminal.run(command)?.into(), command);
    }
    // Interactive, but not at a terminal; and not with all of its outputs.
    clean(ssh.run("bash -lic 'printf out' 2>/dev/null")?.into(), "no terminal");
    let command = "bash -lic 'printf out' >~/into 2>/dev/null; cat ~/into";
    clean(terminal.run(command)?.into(), "outputs in files");
    clean(node.ssh(&user).flag("-T").shell("printf out\n")?.into(), "a script as input");
    let dir = tempfile::tempdir().map_err(Error::io("a folder"))?;
    let (near, back) = (dir.path().join("near"), dir.path().join("back"));
    fs::write(&near, every_byte()).map_err(Error::at(&near))?;
    let (near, back_) = (near.display().to_string(), back.display().to_string());
    let far = format!("{user}@{}:copy", node.name());
    for protocol in ["-s", "-O"] {
        for [from, to] in [[&near, &far], [&far, &back_]] {
            let copied = client(node, "scp", &["-q", protocol, from, to], b"")?;
            assert_eq!(Seen::from(copied), Seen::default(), "scp {protocol} {from} {to}");
        }
        let file = Seen::default().file(&back)?;
        assert_eq!(file.files, [every_byte()], "scp {protocol}");
        fs::remove_file(&back).map_err(Error::at(&back))?;
    }
    let batch = format!("get copy {back_}\nls copy\n");
    let words = ["-q", "-b", "-", &format!("{user}@{}", node.name())];
    let seen = Seen::from(client(node, "sftp", &words, batch.as_bytes())?).file(&back)?;
    let echoed = format!("sftp> get copy {back_}\nsftp> ls copy\ncopy     \n");
    assert_eq!((seen.code, &seen.files[..]), (0, &[every_byte()][..]));
    assert_eq!(
        (String::from_utf8_lossy(&seen.stdout).trim_end(), &seen.stderr[..]),
        (echoed.trim_end(), &b""[..])
    );
    Ok(())
}

fn panes_of_a_multiplexer_and_who_wants_none_are_left_alone(world: &World) -> Outcome {
    let place = world.place(shared)?;
    let (node, user) = (&place.node, world.user()?);
    let silent = |session: &mut Session, who: &str| -> Outcome {
        let took = held(session)?;
        let seen = session.seen();
        assert!(took < AT_ONCE && !seen.contains("Sign in to"), "{who}: {took:?}: {seen}");
        Ok(())
    };
    let shell = |line: &str| node.ssh(&user).pty().open(Some(line));
    for variable in ["TMUX", "STY", "ZELLIJ", "VSCODE_RESOLVING_ENVIRONMENT", "IAMD_NO_LOGIN"] {
        silent(&mut shell(&format!("{variable}=1 bash -l"))?, variable)?;
    }
    silent(&mut shell("IAMD_NO_LOGIN= bash -l")?, "IAMD_NO_LOGIN is empty")?;
    silent(&mut node.ssh("root").pty().open(None)?, "root")?;
    // The same shell without these is asked.
    prompt(&mut shell("bash -l")?)?;
    node.exec_as(&user, "iamctl login --cancel; iamctl login --off")?.ok()?;
    silent(&mut shell("bash -l")?, "who switched it off")
}

fn who_has_a_token_sees_nothing_and_has_the_shell_at_once(world: &World) -> Outcome {
    let place = world.place(shared)?;
    let Scripted { node, issuer } = &*place;
    for shell in SHELLS {
        let user = user_with(world, node, shell)?;
        let _first = sign_in(node, issuer, &user)?;
        let mut session = node.ssh(&user).pty().open(None)?;
        let (took, seen) = (held(&mut session)?, session.seen());
        for word in ["iamd", "iamctl", "Sign in", "Open", "Waiting", "Asking"] {
            assert!(!seen.contains(word), "{shell}: {word} in {seen}");
        }
        assert!(took < AT_ONCE, "{shell}: {took:?}");
        world.say(&format!("{shell}, token at hand: the script took {took:?}"));
    }
    Ok(())
}

/// Insists that a shell comes, after one line that says why there is no sign-in now.
fn told_in_one_line(
    world: &World,
    session: &mut Session,
    why: &str,
    within: Duration,
) -> Result<(), Error> {
    let took = held(session)?;
    let seen = session.seen();
    // In front of it stood the countdown, which is taken away.
    let said = seen.lines().filter_map(|line| Some(line.split_once("iamctl: ")?.1));
    let [line] = said.collect::<Vec<_>>()[..] else {
        return Err(Error::Wrong(format!("not one line: {seen}")));
    };
    world.say(&format!("the shell was held for {took:?}: {line}"));
    if !line.contains(why) || !line.ends_with("; sign in later with:  iamctl login") {
        return Err(Error::Wrong(format!("no {why:?} in {line:?}")));
    }
    if took > within {
        return Err(Error::Wrong(format!("{why}: the shell was held for {took:?}")));
    }
    Ok(())
}

fn a_shell_is_not_held_by_a_daemon_that_is_silent_or_away(world: &World) -> Outcome {
    let Scripted { node, issuer: _issuer } = scripted(world, "held")?;
    for shell in SHELLS {
        let user = user_with(world, &node, shell)?;
        let login = || node.ssh(&user).pty().open(None);
        // In the middle of the wait for the user.
        let mut waits = login()?;
        prompt(&mut waits)?;
        waits.wait_for("Waiting")?;
        node.root_says("systemctl kill -s STOP iamd")?;
        let start = clock::now();
        // What the script took includes the time before.
        told_in_one_line(world, &mut waits, "iamd does not answer any more", HELD_AT_MOST * 4)?;
        let took = start.elapsed();
        assert!(took < HELD_AT_MOST + AT_ONCE, "{shell}: frozen while it waits: {took:?}");
        // From the start.
        let why = "iamd did not answer within 3 s";
        told_in_one_line(world, &mut login()?, why, HELD_AT_MOST)?;
        node.root_says("systemctl kill -s CONT iamd")?;
    }
    let user = world.user()?;
    let login = || node.ssh(&user).pty().open(None);
    node.root_says("systemctl stop dbus.socket dbus.service")?;
    told_in_one_line(world, &mut login()?, "the system bus cannot be reached", HELD_AT_MOST)?;
    node.root_says("systemctl start dbus.socket dbus.service")?;
    // It is there no more: nothing to say.
    node.root_says("systemctl disable --now iamd; rm -f /run/iamd/pam.sock")?;
    let mut session = login()?;
    let (took, seen) = (held(&mut session)?, session.seen());
    assert!(took < AT_ONCE && !seen.contains("iamctl"), "{took:?}: {seen}");
    Ok(())
}

fn a_shell_is_not_held_by_an_issuer_that_is_silent(world: &World) -> Outcome {
    let Scripted { node, issuer } = scripted(world, "mute")?;
    let hole = json!([{"match": {"path": "*"}, "fault": "blackhole"}]);
    let _faults = issuer.faults(&hole)?;
    for shell in SHELLS {
        let user = user_with(world, &node, shell)?;
        let mut session = node.ssh(&user).pty().open(None)?;
        told_in_one_line(world, &mut session, "the issuer does not answer", HELD_AT_MOST)?;
        // Who does not want to wait for that either.
        let user = user_with(world, &node, shell)?;
        let mut session = node.ssh(&user).pty().open(None)?;
        session.wait_for("Asking the issuer")?;
        session.send("\x03")?;
        assert!(held(&mut session)? < HELD_AT_MOST);
        assert_eq!(session.ask("trap")?, "", "{shell}");
    }
    Ok(())
}
