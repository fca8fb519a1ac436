//! Disks that are full, out of inodes, or read-only.

use std::time::Duration;

use iamd_tests::{Session, World, eventually, uid};
use serde_json::Value;

use super::{Place, Result, SOON, place};
use crate::case::{Case, Outcome};
use crate::cases;
use crate::people::json;

pub fn cases() -> Vec<Case> {
    cases![
        ;
        apart: a_full_state_directory_costs_nobody_a_refresh_token_and_is_said,
        a_read_only_state_directory_costs_nobody_a_refresh_token_and_is_said,
        a_state_directory_without_an_inode_left_is_no_trouble_while_iamd_runs_and_is_said_at_a_start,
        a_store_that_another_process_locks_during_a_refresh_costs_nobody_a_refresh_token,
        token_files_that_do_not_fit_are_said_and_cost_neither_a_login_nor_a_token,
    ]
}

const STATE: &str = "/var/lib/iamd";

/// With the state directory on a file system of its own.
fn small(world: &World, name: &str, options: &str) -> Result<Place> {
    let place = place(world, name, "")?;
    place.node.root_says(&format!(
        "systemctl stop iamd && mount -t tmpfs -o mode=700,{options} small {STATE} && \
         systemctl start iamd"
    ))?;
    place.is_up()?;
    Ok(place)
}

/// Insists that an account gives new tokens, also after a kill.
fn all_is_well(place: &Place, user: &str) -> Outcome {
    eventually("a token again", SOON, || place.new_token(user)?.ok())?;
    place.kill()?;
    eventually("a token after a kill", SOON, || place.new_token(user)?.ok())?;
    Ok(())
}

fn a_full_state_directory_costs_nobody_a_refresh_token_and_is_said(world: &World) -> Outcome {
    let place = small(world, "full", "size=2m")?;
    place.sign_in("alice")?;
    place.new_token("alice")?.ok()?;
    let fill = format!("dd if=/dev/zero of={STATE}/filler bs=4k; true");
    place.node.exec(&fill)?.ok()?;
    // There is room for the answers that were on their way; then nothing is asked that could not
    // be kept.
    let refused = eventually("a refusal", SOON, || {
        let said = place.new_token("alice")?;
        place.node.exec(&fill)?;
        said.exited(5)
    })?;
    assert!(refused.errors().contains("iamd"), "{refused:?}");
    let asked = place.refreshes()?;
    for _ in 0..3 {
        place.new_token("alice")?.exited(5)?;
    }
    assert_eq!(place.refreshes()?, asked, "asked, and the answer could not be kept");
    let log = place.node.journal("iamd")?;
    assert!(log.contains("make room"), "{log}");
    // What is at hand is served, and the login works.
    assert!(place.iamctl("alice", "token")?.ok()?.line().starts_with("eyJ"));
    place.node.ssh("alice").run("true")?.ok()?;
    // Killed while the disk is full, there is nothing that memory alone had.
    place.node.exec("systemctl kill -s KILL iamd; systemctl reset-failed iamd")?;
    place.node.root_says(&format!("rm {STATE}/filler; systemctl restart iamd"))?;
    place.is_up()?;
    all_is_well(&place, "alice")
}

fn a_read_only_state_directory_costs_nobody_a_refresh_token_and_is_said(world: &World) -> Outcome {
    let place = small(world, "readonly", "size=4m")?;
    place.sign_in("alice")?;
    place.node.exec(&format!("systemctl stop iamd && mount -o remount,ro {STATE}"))?.ok()?;
    place.node.exec("systemctl start iamd")?;
    let said = place.node.journal("iamd")?;
    assert!(said.contains("mount it writable"), "{said}");
    place.node.ssh("alice").run("true")?.ok()?;
    let told = place.iamctl("alice", "token")?.exited(5)?;
    assert!(told.errors().contains("systemctl status iamd"), "{told:?}");
    place.node.root_says(&format!(
        "mount -o remount,rw {STATE}; systemctl reset-failed iamd; systemctl restart iamd"
    ))?;
    place.is_up()?;
    all_is_well(&place, "alice")
}

fn a_state_directory_without_an_inode_left_is_no_trouble_while_iamd_runs_and_is_said_at_a_start(
    world: &World,
) -> Outcome {
    let place = small(world, "inodes", "size=8m,nr_inodes=40")?;
    place.sign_in("alice")?;
    let fill = format!("i=0; while : > {STATE}/filler$i; do i=$((i + 1)); done 2>/dev/null; true");
    place.node.exec(&fill)?.ok()?;
    for _ in 0..3 {
        place.new_token("alice")?.ok()?;
    }
    // At a start SQLite makes files of its own.
    place.node.exec("systemctl stop iamd")?;
    place.node.exec(&fill)?.ok()?;
    place.node.exec("systemctl start iamd")?;
    let log = place.node.journal("iamd")?;
    assert!(log.contains(STATE), "{log}");
    place.node.ssh("alice").run("true")?.ok()?;
    place.node.root_says(&format!(
        "rm {STATE}/filler*; systemctl reset-failed iamd; systemctl restart iamd"
    ))?;
    place.is_up()?;
    all_is_well(&place, "alice")
}

/// Holds SQLite's lock for writing (of a store with a write-ahead log: byte 120 of the `-shm` file)
/// until its standard input ends.
const LOCK: &str = "import fcntl, os, sys
shm = os.open('/var/lib/iamd/iamd.db-shm', os.O_RDWR)
fcntl.lockf(shm, fcntl.LOCK_EX, 1, 120)
print('ready', flush=True)
sys.stdin.read()";

fn a_store_that_another_process_locks_during_a_refresh_costs_nobody_a_refresh_token(
    world: &World,
) -> Outcome {
    let place = place(world, "lockedstore", "")?;
    place.sign_in("alice")?;
    // Once it is over before anything else happens, once iamd is killed meanwhile.
    for killed in [false, true] {
        let mut command = place.node.inside()?;
        command.args(["python3", "-c", LOCK]);
        let mut lock = Session::start(command, Duration::from_secs(60))?;
        lock.wait_for("ready\n")?;
        let asked = place.refreshes()?;
        let said = place.new_token("alice")?;
        assert!([0, 5].contains(&said.code), "no word of a lost sign-in: {said:?}");
        assert!(place.refreshes()? > asked, "no refresh was under way");
        place.node.ssh("alice").run("true")?.ok()?;
        if killed {
            place.node.exec("systemctl kill -s KILL iamd; systemctl stop iamd")?;
        }
        drop(lock);
        if killed {
            place.node.root_says("systemctl reset-failed iamd; systemctl start iamd")?;
            place.is_up()?;
        }
        all_is_well(&place, "alice")?;
    }
    Ok(())
}

fn token_files_that_do_not_fit_are_said_and_cost_neither_a_login_nor_a_token(
    world: &World,
) -> Outcome {
    let place = place(world, "nofiles", "")?;
    // Where iamd writes them; users have the same read-only.
    let users = "/run/iamd/files/users";
    place.sign_in("alice")?;
    place.sign_in("bob")?;
    let _bob = place.session("bob")?;
    place.file("bob")?;
    // First no block is left, then no inode.
    for (limit, unlimit) in [("size=64k", "size=128M"), ("nr_inodes=16", "nr_inodes=128k")] {
        place.node.root_says(&format!("mount -o remount,{limit} {users}"))?;
        place.node.exec(&format!(
            "mkdir -p {users}/0; dd if=/dev/zero of={users}/0/filler bs=1k; i=0; \
             while : > {users}/0/f$i; do i=$((i + 1)); done 2>/dev/null; true"
        ))?;
        let session = place.session("alice")?;
        place.iamctl("alice", "token")?.ok()?;
        place.iamctl("bob", "token --force-new")?.ok()?;
        // What stands there is whole: the token of before, or the new one.
        place.issuer.verify(&place.file("bob")?)?;
        let shown = json(&place.node, "alice", "iamctl account show --json")?;
        let problem = shown.to_string();
        assert!(problem.contains("No space left on device"), "{limit}: {problem}");
        place.node.root_says(&format!("rm -r {users}/0; mount -o remount,{unlimit} {users}"))?;
        place.new_token("alice")?.ok()?;
        assert_ne!(place.file("alice")?, "");
        drop(session);
        let file = format!("rm -rf {users}/{}", uid("alice")?);
        place.node.root_says(&file)?;
    }
    let shown: Value = json(&place.node, "bob", "iamctl account show --json")?;
    assert_eq!(shown["account"]["state"], "signed-in");
    Ok(())
}
