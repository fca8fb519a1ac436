//! The parts of the system that iamd stands on: descriptors, its runtime directory, bus and logind.

use iamd_tests::{World, eventually, token_file, uid};
use serde_json::Value;

use super::{SOON, place};
use crate::case::{Case, Outcome};
use crate::cases;

pub fn cases() -> Vec<Case> {
    cases![
        ;
        apart: without_a_descriptor_left_logins_work_and_all_is_well_when_there_are_some_again,
        what_is_removed_below_run_iamd_is_there_again_by_itself,
        a_bus_that_is_restarted_finds_iamd_again_and_token_files_do_without_it,
        a_logind_that_is_restarted_costs_no_session_and_no_file,
    ]
}

fn without_a_descriptor_left_logins_work_and_all_is_well_when_there_are_some_again(
    world: &World,
) -> Outcome {
    let place = place(world, "nofds", "")?;
    place.sign_in("alice")?;
    let pid = place.pid()?;
    let most = place.node.root_says(&format!("prlimit --pid {pid} -n -o HARD --noheadings"))?;
    // As many as it has: not one more is opened.
    place.node.root_says(&format!(
        "prlimit --pid {pid} --nofile=$(ls /proc/{pid}/fd | sort -n | tail -n 1):"
    ))?;
    for _ in 0..3 {
        place.node.ssh("alice").run("echo in")?.ok()?;
    }
    assert_ne!(place.iamctl("alice", "token --force-new")?.code, 3, "no word of a lost sign-in");
    place.node.root_says(&format!("prlimit --pid {pid} --nofile={most}:"))?;
    eventually("a token again", SOON, || place.new_token("alice")?.ok())?;
    let seen = eventually("the next login's variable", SOON, || {
        let seen = place.node.ssh("alice").run("cat $BEARER_TOKEN_FILE")?.ok()?;
        if seen.line().is_empty() {
            Err(iamd_tests::Error::Wrong("empty".into()))
        } else {
            Ok(seen)
        }
    })?;
    assert!(seen.line().starts_with("eyJ"), "{seen:?}");
    assert_eq!(place.pid()?, pid, "it ended");
    Ok(())
}

fn what_is_removed_below_run_iamd_is_there_again_by_itself(world: &World) -> Outcome {
    let place = place(world, "removed", "")?;
    place.sign_in("alice")?;
    let _session = place.session("alice")?;
    place.file("alice")?;
    let (pid, uid) = (place.pid()?, uid("alice")?);
    // As much of it as can be removed: file systems are mounted below.
    let inode = format!("stat -c %i {}", token_file("alice")?);
    let before = place.node.root_says(&inode)?;
    place.node.exec("rm -rf /run/iamd 2>/dev/null; true")?.ok()?;
    place.node.exec(&format!("rm -rf /run/user/{uid}/bt_u{uid}"))?.ok()?;
    eventually("the socket", SOON, || place.node.exec("test -S /run/iamd/pam.sock")?.ok())?;
    assert!(place.file("alice")?.starts_with("eyJ"), "the file is there again");
    assert_ne!(place.node.root_says(&inode)?, before, "it was removed");
    eventually("the link in the runtime directory", SOON, || {
        place.node.exec(&format!("test -L /run/user/{uid}/bt_u{uid}"))?.ok()
    })?;
    for (name, question) in [
        ("token.sock", r#"b'\x12\0\0\0{"account":"test"}'"#),
        ("oidc-agent.sock", r#"b'{"request":"access_token","account":"test"}'"#),
    ] {
        eventually(name, SOON, || place.node.exec(&format!("test -S /run/iamd/{name}"))?.ok())?;
        let mode = place.node.root_says(&format!("stat -c '%a %U' /run/iamd/{name}"))?;
        assert_eq!(mode, "666 root", "{name}");
        let ask = format!(
            "python3 - <<'END'\nimport socket\none = socket.socket(socket.AF_UNIX)\n\
             one.settimeout(30)\none.connect('/run/iamd/{name}')\none.sendall({question})\n\
             print(one.recv(65536))\nEND"
        );
        let told = eventually(name, SOON, || place.node.exec_as("alice", &ask)?.ok())?.text();
        assert!(told.contains("eyJ"), "{name}: {told}");
    }
    let seen = place.node.ssh("alice").run("echo $BEARER_TOKEN_FILE")?.ok()?;
    assert_eq!(seen.line(), token_file("alice")?);
    let mode = place.node.root_says("stat -c '%a %U' /run/iamd/pam.sock")?;
    assert_eq!(mode, "600 root");
    assert_eq!(place.pid()?, pid);
    // A user's runtime directory that is not there costs the link alone.
    place.node.root_says(&format!("umount -l /run/user/{uid}; rm -rf /run/user/{uid}"))?;
    place.new_token("alice")?.ok()?;
    assert!(place.file("alice")?.starts_with("eyJ"));
    Ok(())
}

fn a_bus_that_is_restarted_finds_iamd_again_and_token_files_do_without_it(
    world: &World,
) -> Outcome {
    let place = place(world, "rebus", "")?;
    place.sign_in("alice")?;
    let _session = place.session("alice")?;
    let (pid, token) = (place.pid()?, place.file("alice")?);
    for _ in 0..2 {
        place.node.exec("systemctl restart dbus.service")?.ok()?;
        assert_eq!(place.file("alice")?, token);
        eventually("iamd on the bus", SOON, || place.iamctl("alice", "token")?.ok())?;
    }
    assert_eq!(place.pid()?, pid);
    Ok(())
}

fn a_logind_that_is_restarted_costs_no_session_and_no_file(world: &World) -> Outcome {
    let place = place(world, "relogind", "[sessions]\ngrace = \"1s\"\n")?;
    place.sign_in("alice")?;
    let session = place.session("alice")?;
    let token = place.file("alice")?;
    let open = || {
        let list = place.node.root_says("iamctl admin sessions --json")?;
        let list: Value = serde_json::from_str(&list).unwrap_or_default();
        Ok::<_, iamd_tests::Error>(list["sessions"].as_array().map_or(0, Vec::len))
    };
    assert_eq!(open()?, 1);
    place.node.exec("systemctl restart systemd-logind.service")?.ok()?;
    assert_eq!((open()?, place.file("alice")?), (1, token));
    // Also where iamd starts while logind is away.
    place.node.exec("systemctl stop systemd-logind.service; systemctl restart iamd")?.ok()?;
    place.is_up()?;
    place.node.exec("systemctl start systemd-logind.service")?.ok()?;
    assert_eq!(open()?, 1);
    assert!(place.file("alice")?.starts_with("eyJ"));
    drop(session);
    let file = token_file("alice")?;
    eventually("the end of the file", SOON, || {
        place.node.exec(&format!("test ! -e {file}"))?.ok()
    })?;
    Ok(())
}
