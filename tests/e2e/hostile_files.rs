//! Hostile file systems: whatever a user puts where a token file or its link should be, nothing
//! outside is written, nothing of the user's is destroyed, and the login works.
//!
//! Users only read where the token files are, and the first two tests hold that. Where the two file
//! systems could not be mounted users may write to their own directories, so iamd trusts nothing
//! there all the same: what the other tests plant there is put by the user, in a mount namespace in
//! which the same files are writable.

use std::process::Command;
use std::time::Duration;

use iamd_tests::{Error, Node, Output, Product, Session, World, sign_in, token_file, uid};

use crate::case::{Case, Outcome};
use crate::cases;
use crate::people::json;

pub fn cases() -> Vec<Case> {
    cases![
        a_user_changes_nothing_where_the_token_files_are,
        a_user_who_fills_what_they_can_stops_nobodys_token_file,
        a_link_to_roots_file_in_place_of_the_token_file_is_not_followed,
        a_link_to_another_users_file_in_place_of_the_token_file_is_not_followed,
        a_link_to_nothing_in_place_of_the_token_file_makes_nothing,
        a_directory_in_place_of_the_token_file_keeps_what_is_in_it,
        a_fifo_in_place_of_the_token_file_does_not_hold_the_daemon,
        a_file_with_two_names_in_place_of_the_token_file_keeps_its_content,
        a_file_of_another_owner_in_place_of_the_token_file_is_left_alone,
        what_the_user_keeps_beside_the_token_file_is_left_alone,
        what_the_user_has_in_the_runtime_directory_is_left_alone,
        a_user_who_swaps_the_names_all_the_time_leads_nothing_astray,
        a_directory_of_the_users_that_is_moved_away_is_left_alone,
    ]
}

/// Files that nobody may write to by any trick of the user's.
struct Canaries<'n> {
    node: &'n Node,
    dir: String,
    before: String,
}

impl<'n> Canaries<'n> {
    /// A file of root's and one of bob's, in a directory of this test's own.
    fn lay(node: &'n Node, user: &str) -> Result<Canaries<'n>, Error> {
        let dir = format!("/srv/canaries-{user}");
        for (name, owner) in [("roots", "root"), ("bobs", "bob")] {
            node.put(&format!("{dir}/{name}"), 0o644, owner, name.as_bytes())?;
        }
        let mut canaries = Canaries { node, dir, before: String::new() };
        canaries.before = canaries.now()?;
        Ok(canaries)
    }

    /// Everything about them that could change, names beside them included.
    fn now(&self) -> Result<String, Error> {
        let dir = &self.dir;
        self.node.root_says(&format!(
            "stat -c '%n %U %G %a %i %h %s %y' {dir} {dir}/*; cat {dir}/*; ls -A {dir} /etc"
        ))
    }

    fn unchanged(&self) -> Result<(), Error> {
        match self.now()? {
            now if now == self.before => Ok(()),
            now => Err(Error::Wrong(format!("before: {}\nnow: {now}", self.before))),
        }
    }
}

/// Signs in, has `plant` run by `by` with `$F` at the token file, renews, and looks: the plant is
/// as it was (by `look`), it is named to the user, and new logins work.
fn in_the_way(world: &World, by: &str, plant: &str, look: &str, named: &str) -> Outcome {
    let (node, issuer, user) = (world.node()?, world.issuer()?, world.user()?);
    let mut session = sign_in(node, issuer, &user)?;
    let canaries = Canaries::lay(node, &user)?;
    let (file, number) = (token_file(&user)?, uid(&user)?);
    let words = format!("F={file}; C={}; cd /run/iamd/users/{number}; ", canaries.dir);
    let by = if by.is_empty() { user.as_str() } else { by };
    run(node, by, &format!("{words} rm $F && {plant}"))?;
    let before = run(node, "root", &format!("{words} {look}"))?;
    // A renewal for whoever is here writes the file; this one is at once.
    let token = node.exec_as(&user, "iamctl token --force-new")?.ok()?.line();
    issuer.verify(&token)?;
    assert_eq!(run(node, "root", &format!("{words} {look}"))?, before, "the user's own");
    canaries.unchanged()?;
    assert_eq!(run(node, "root", &format!("{words} ls -A | grep -c '^.iamd-' || :"))?, "0");

    let status = json(node, &user, "iamctl status --json")?;
    let problem = status["accounts"][0]["token_file_problem"].as_str().unwrap_or_default();
    assert!(problem.contains(named) && problem.contains(&file), "status says: {problem}");
    let doctor = node.exec_as(&user, "iamctl doctor")?.exited(1)?;
    assert!(doctor.text().contains(named), "doctor says: {}", doctor.text());
    assert_eq!(session.ask("echo here")?, "here\n");
    assert_eq!(node.ssh(&user).run("echo in")?.ok()?.line(), "in");
    let mut second = node.ssh(&user).pty().open(None)?;
    assert_eq!(second.ask("echo in")?, "in\n");
    canaries.unchanged()?;
    assert_eq!(run(node, "root", &format!("{words} {look}"))?, before, "after more logins");

    // The way out that doctor names.
    run(node, "root", &format!("{words} mv $F /srv/moved-{user}"))?;
    node.exec_as(&user, "iamctl token --force-new")?.ok()?;
    issuer.verify(&node.exec_as(&user, &format!("cat {file}"))?.ok()?.line())?;
    Ok(())
}

fn run(node: &Node, by: &str, line: &str) -> Result<String, Error> {
    Ok(writing(node, by, &["bash", "-c", line])?.ok()?.line())
}

/// Runs a command of `by`'s where the token files are writable.
fn writing(node: &Node, by: &str, words: &[&str]) -> Result<Output, Error> {
    let limit = Duration::from_secs(60);
    iamd_tests::command::run(writing_command(node, by, words)?, b"", limit)
}

fn writing_command(node: &Node, by: &str, words: &[&str]) -> Result<Command, Error> {
    let mut command = node.inside()?;
    let mount = "mount -o remount,bind,rw /run/iamd/users && exec \"$@\"";
    command.args(["unshare", "-m", "bash", "-c", mount, "-"]);
    command.args(["setpriv", "--reuid", by, "--regid", by, "--init-groups"]);
    command.args(["env", &format!("HOME=/home/{by}"), &format!("USER={by}")]).args(words);
    Ok(command)
}

const READ_ONLY: &str = "Read-only file system";

fn a_user_changes_nothing_where_the_token_files_are(world: &World) -> Outcome {
    let (node, issuer, user) = (world.node()?, world.issuer()?, world.user()?);
    let _session = sign_in(node, issuer, &user)?;
    let (file, number) = (token_file(&user)?, uid(&user)?);
    let dir = format!("/run/iamd/users/{number}");
    let look =
        format!("cat {file}; ls -Ali --time-style=full-iso {dir}/ /run/iamd/users/.{number}");
    let before = node.root_says(&look)?;
    for line in [
        format!("echo more >> {file}"),
        format!("truncate -s 100M {file}"),
        format!("chmod 644 {file}"),
        format!("rm -f {file}"),
        format!("mv {file} {dir}/mine"),
        format!("ln -s /etc/passwd {dir}/mine"),
        format!("ln {file} {dir}/mine"),
        format!("mkdir {dir}/mine"),
        format!("mkfifo {dir}/mine"),
        format!("echo mine > {dir}/mine"),
        format!("chmod 777 {dir}/"),
        format!("echo mine > /run/iamd/users/.{number}/mine"),
    ] {
        let said = node.exec_as(&user, &line)?;
        assert!(said.code != 0 && said.errors().contains(READ_ONLY), "{line}: {said:?}");
    }
    // Nor as root of a user namespace of their own, nor by the way that iamd goes.
    let other = format!(
        "unshare -Urm bash -c 'mount -o remount,bind,rw /run/iamd/users; echo more >> {file}'"
    );
    for line in [&other, &format!("ls /run/iamd/files/users/{number}/"), "ls /run/iamd/files"] {
        assert_ne!(node.exec_as(&user, line)?.code, 0, "{line}");
    }
    assert_eq!(node.root_says(&look)?, before);
    // While iamd goes on.
    let token = node.exec_as(&user, "iamctl token --force-new")?.ok()?.line();
    assert_eq!(node.exec_as(&user, &format!("cat {file}"))?.ok()?.line(), token);
    Ok(())
}

fn a_user_who_fills_what_they_can_stops_nobodys_token_file(world: &World) -> Outcome {
    let (node, issuer) = (world.node()?, world.issuer()?);
    let (filler, other) = (world.user()?, world.user()?);
    let _fillers = sign_in(node, issuer, &filler)?;
    let _others = sign_in(node, issuer, &other)?;
    let (file, dir) = (token_file(&filler)?, format!("/run/iamd/users/{}", uid(&filler)?));
    // More than there is of either, where a user can write to it at all.
    let fill = format!(
        "dd if=/dev/zero bs=1M count=200 >> {file}; dd if=/dev/zero of={dir}/own bs=1M count=200; \
         for i in $(seq 2000); do : > {dir}/own$i; done"
    );
    let said = node.exec_as(&filler, &fill)?;
    assert!(said.code != 0 && said.errors().contains(READ_ONLY), "{said:?}");
    let used = "df -k --output=used,iused /run/iamd/files/users | tail -n 1";
    let used = node.root_says(used)?;
    let used: Vec<u64> = used.split_whitespace().filter_map(|word| word.parse().ok()).collect();
    assert!(used.len() == 2 && used[0] < 10_000 && used[1] < 2000, "{used:?}");
    for user in [&other, &filler] {
        let token = node.exec_as(user, "iamctl token --force-new")?.ok()?.line();
        issuer.verify(&token)?;
        let file = token_file(user)?;
        assert_eq!(node.exec_as(user, &format!("cat {file}"))?.ok()?.line(), token);
        let status = json(node, user, "iamctl status --json")?;
        assert!(status["accounts"][0]["token_file_problem"].is_null(), "{status}");
    }
    Ok(())
}

const LINK: &str = "stat -c '%i %U' $F; readlink $F";

fn a_link_to_roots_file_in_place_of_the_token_file_is_not_followed(world: &World) -> Outcome {
    in_the_way(world, "", "ln -s $C/roots $F", LINK, "a symbolic link")
}

fn a_link_to_another_users_file_in_place_of_the_token_file_is_not_followed(
    world: &World,
) -> Outcome {
    in_the_way(world, "", "ln -s $C/bobs $F", LINK, "a symbolic link")
}

fn a_link_to_nothing_in_place_of_the_token_file_makes_nothing(world: &World) -> Outcome {
    in_the_way(world, "", "ln -s $C/new $F", LINK, "a symbolic link")
}

fn a_directory_in_place_of_the_token_file_keeps_what_is_in_it(world: &World) -> Outcome {
    let plant = "mkdir $F && echo mine > $F/thesis && ln -s $C/roots $F/link";
    in_the_way(world, "", plant, "ls -ilR --time-style=full-iso $F; cat $F/thesis", "a directory")
}

fn a_fifo_in_place_of_the_token_file_does_not_hold_the_daemon(world: &World) -> Outcome {
    in_the_way(world, "", "mkfifo $F", "stat -c '%i %U %a %F' $F", "a FIFO")
}

fn a_file_with_two_names_in_place_of_the_token_file_keeps_its_content(world: &World) -> Outcome {
    let plant = "echo mine > other && ln other $F";
    in_the_way(world, "", plant, "stat -c '%i %h %U %a' $F other; cat other", "several names")
}

fn a_file_of_another_owner_in_place_of_the_token_file_is_left_alone(world: &World) -> Outcome {
    let plant = "install -m 600 -o bob $C/bobs $F";
    in_the_way(world, "root", plant, "stat -c '%i %U %a' $F; cat $F", "another owner")
}

fn what_the_user_keeps_beside_the_token_file_is_left_alone(world: &World) -> Outcome {
    let (node, issuer, user) = (world.node()?, world.issuer()?, world.user()?);
    let session = sign_in(node, issuer, &user)?;
    let canaries = Canaries::lay(node, &user)?;
    let number = uid(&user)?;
    let dir = format!("/run/iamd/users/{number}");
    // Names that the daemon makes for itself, some exactly, and one of another account's file.
    let plants = format!(
        "cd {dir} && A=.iamd-00000000000000000000000000000001 && ln -s {0}/roots $A && \
         mkdir .iamd-00000000000000000000000000000002 && echo mine > .iamd-mine && \
         ln -s {0}/bobs .iamd-00000000000000000000000000000003 && ln -s {0} bt_u{number}-other && \
         echo mine > notes && mkfifo .iamd-00000000000000000000000000000004",
        canaries.dir
    );
    run(node, &user, &plants)?;
    let look = format!(
        "cd {dir} && ls -iA --ignore=bt_u{number} . && cat notes .iamd-mine && readlink .iamd-*1"
    );
    let before = run(node, "root", &look)?;
    node.exec_as(&user, "iamctl token --force-new")?.ok()?;
    node.exec_as(&user, "iamctl token --force-new")?.ok()?;
    let token = run(node, &user, &format!("cat {dir}/bt_u{number}"))?;
    issuer.verify(&token)?;
    assert_eq!(run(node, "root", &look)?, before);
    node.exec_as(&user, "iamctl logout")?.ok()?;
    assert_eq!(run(node, "root", &look)?, before, "after the logout");
    drop(session);
    canaries.unchanged()?;
    Ok(())
}

fn what_the_user_has_in_the_runtime_directory_is_left_alone(world: &World) -> Outcome {
    let (node, issuer, user) = (world.node()?, world.issuer()?, world.user()?);
    let canaries = Canaries::lay(node, &user)?;
    let number = uid(&user)?;
    let place = format!("/run/user/{number}/bt_u{number}");
    let mut session = sign_in(node, issuer, &user)?;
    assert_eq!(session.ask(&format!("readlink {place}"))?.trim(), token_file(&user)?);
    let plants = [
        ("echo mine > $P", "cat $P; stat -c '%i %U %a' $P"),
        ("mkdir $P; echo mine > $P/thesis", "ls -i $P; cat $P/thesis"),
        ("mkfifo $P", "stat -c '%i %F' $P"),
        ("ln -s $C/roots $P", "readlink $P; stat -c %i $P"),
        ("ln -s $C/new $P", "readlink $P; stat -c %i $P"),
        ("ln -s /etc $P", "readlink $P; stat -c %i $P"),
        ("echo mine > ${P}2; ln ${P}2 $P", "cat $P; stat -c '%i %h' $P"),
    ];
    for (plant, look) in plants {
        let words = format!("P={place}; C={}; ", canaries.dir);
        run(node, &user, &format!("{words} rm -rf $P ${{P}}2; {plant}"))?;
        let before = run(node, "root", &format!("{words} {look}"))?;
        node.exec_as(&user, "iamctl token --force-new")?.ok()?;
        assert_eq!(run(node, "root", &format!("{words} {look}"))?, before, "{plant}");
        canaries.unchanged()?;
        let status = json(node, &user, "iamctl status --json")?;
        let account = &status["accounts"][0];
        let problem = account["token_file_problem"].as_str().unwrap_or_default();
        assert!(problem.contains("XDG_RUNTIME_DIR"), "{plant}: status says {problem}");
        // The file itself is at its place all the same, and a login finds it.
        let seen = node.ssh(&user).run("cat $BEARER_TOKEN_FILE")?.ok()?;
        issuer.verify(&seen.line())?;
    }
    run(node, &user, &format!("rm -rf {place}"))?;
    node.exec_as(&user, "iamctl token --force-new")?.ok()?;
    assert_eq!(session.ask(&format!("readlink {place}"))?.trim(), token_file(&user)?);
    Ok(())
}

fn a_user_who_swaps_the_names_all_the_time_leads_nothing_astray(world: &World) -> Outcome {
    let (issuer, user) = (world.issuer()?, world.user()?);
    // As many renewals as there can be.
    let product = Product::new(issuer).config("[limits]\ntokens_per_minute = 100000\n");
    let node = &world.boot(product.on(world.spec("swapping")))?;
    let mut session = sign_in(node, issuer, &user)?;
    let canaries = Canaries::lay(node, &user)?;
    let number = uid(&user)?;
    // Both places, and the directory itself, change between a link, a file, a directory and
    // nothing, as fast as one process can.
    let swap = format!(
        r"
import os, time
end = time.monotonic() + 10
targets = ['{0}/roots', '{0}/bobs', '{0}/new', '/etc/passwd']
places = ['/run/iamd/users/{number}/bt_u{number}', '/run/user/{number}/bt_u{number}']
count = 0
def quietly(do, *what):
    try:
        do(*what)
    except OSError:
        pass
while time.monotonic() < end:
    for place in places:
        count += 1
        quietly(os.unlink, place)
        quietly(os.rmdir, place)
        kind = count % 4
        if kind == 0:
            quietly(os.symlink, targets[count // 4 % 4], place)
        elif kind == 1:
            quietly(os.mkdir, place)
        elif kind == 2:
            quietly(os.mkfifo, place)
        for name in os.listdir(os.path.dirname(place)):
            if name.startswith('.iamd-'):
                path = os.path.join(os.path.dirname(place), name)
                quietly(os.unlink, path)
                quietly(os.symlink, targets[count % 4], path)
for place in places:
    quietly(os.unlink, place)
    quietly(os.rmdir, place)
print('swapped', count)
",
        canaries.dir
    );
    node.put(&format!("/srv/swap-{user}.py"), 0o644, "root", swap.as_bytes())?;
    let script = format!("/srv/swap-{user}.py");
    let command = writing_command(node, &user, &["python3", &script])?;
    let mut swapping = Session::start(command, Duration::from_secs(30))?;
    let mut renewals = 0;
    while swapping.is_open() {
        node.exec_as(&user, "iamctl token --force-new")?.ok()?;
        renewals += 1;
    }
    let swaps = swapping.wait_for("swapped")?;
    assert!(renewals >= 5, "only {renewals} renewals while {swaps}");
    canaries.unchanged()?;
    // And when it is over everything is in order again.
    assert_eq!(session.ask("echo here")?, "here\n");
    run(node, "root", &format!("find /run/iamd/users/{number}/ -name '.iamd-*' -delete"))?;
    node.exec_as(&user, "iamctl token --force-new")?.ok()?;
    let file = token_file(&user)?;
    issuer.verify(&session.ask(&format!("cat {file}"))?)?;
    assert_eq!(
        node.root_says(&format!("stat -c '%U %a %F' {file}"))?,
        format!("{user} 600 regular file")
    );
    Ok(())
}

fn a_directory_of_the_users_that_is_moved_away_is_left_alone(world: &World) -> Outcome {
    let (node, issuer, user) = (world.node()?, world.issuer()?, world.user()?);
    let mut session = sign_in(node, issuer, &user)?;
    let canaries = Canaries::lay(node, &user)?;
    let (file, number) = (token_file(&user)?, uid(&user)?);
    let dir = format!("/run/iamd/users/{number}");
    // The directory above is root's: the user cannot put another thing in its place.
    for line in
        [format!("mv {dir} /tmp/mine"), format!("rmdir {dir}"), format!("ln -s /etc {dir}-2")]
    {
        assert_ne!(writing(node, &user, &["bash", "-c", &line])?.code, 0, "{line}");
    }
    // But may open it to all, which would let others put things into it.
    run(node, &user, &format!("rm {file}; chmod 777 {dir} /run/iamd/users/.{number}"))?;
    run(node, "bob", &format!("ln -s {}/roots {file}", canaries.dir))?;
    node.exec_as(&user, "iamctl token --force-new")?.ok()?;
    canaries.unchanged()?;
    let status = json(node, &user, "iamctl status --json")?;
    let problem = status["accounts"][0]["token_file_problem"].as_str().unwrap_or_default();
    assert!(problem.contains("mode is not 0700"), "status says: {problem}");
    assert_eq!(session.ask("echo here")?, "here\n");
    run(node, &user, &format!("chmod 700 {dir} /run/iamd/users/.{number}; rm {file}"))?;
    node.exec_as(&user, "iamctl token --force-new")?.ok()?;
    issuer.verify(&session.ask(&format!("cat {file}"))?)?;
    Ok(())
}
