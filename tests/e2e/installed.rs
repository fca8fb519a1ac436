//! The product as `dist/install` leaves it on a node, before any promise in particular.

use iamd_tests::{Node, Product, World, sign_in, token_file};

use crate::case::{Case, Outcome};
use crate::cases;
use crate::people::parsed;

pub fn cases() -> Vec<Case> {
    cases![
        the_daemon_runs_and_the_node_is_healthy,
        iamctl_needs_no_library_and_is_loaded_anywhere,
        the_module_stands_after_pam_systemd,
        a_user_signs_in_and_has_a_token_file,
        token_files_have_a_bounded_file_system_of_their_own,
        a_credential_of_systemd_seals_and_no_key_is_made,
        an_uninstalled_product_leaves_a_working_login,
        without_their_file_system_token_files_are_on_run_and_read_only_all_the_same,
        an_upgrade_of_a_running_node_keeps_sessions_files_and_sign_ins,
        an_upgrade_from_the_mounts_of_an_earlier_version_says_what_to_do;
        alone: the_daemon_comes_back_after_a_restart,
    ]
}

fn the_daemon_runs_and_the_node_is_healthy(world: &World) -> Outcome {
    let node = world.node()?;
    assert_eq!(node.root_says("systemctl is-active iamd")?, "active");
    let failed = node.root_says("systemctl --failed --no-legend --plain")?;
    assert_eq!(failed, "", "failed units");
    Ok(())
}

/// What it costs to put a program together is more than all that a cached token costs besides. Who it is
/// still comes from the name service (`iamctl`'s unit tests).
fn iamctl_needs_no_library_and_is_loaded_anywhere(world: &World) -> Outcome {
    let node = world.node()?;
    let maps = "i=/usr/bin/iamctl; ldd $i 2>&1; od -An -tu2 -j16 -N2 $i";
    let said = node.root_says(maps)?;
    let words: Vec<_> = said.split_whitespace().collect();
    // 3 is ET_DYN (elf(5)): the kernel chooses where it is.
    assert!(said.contains("statically linked") && words.last() == Some(&"3"), "{said}");
    Ok(())
}

fn the_module_stands_after_pam_systemd(world: &World) -> Outcome {
    let stack = world.node()?.root_says("grep -v '^#' /etc/pam.d/common-session")?;
    let line = |name: &str| stack.lines().position(|line| line.contains(name));
    assert!(line("pam_iam.so") > line("pam_systemd.so"), "{stack}");
    assert!(line("pam_systemd.so").is_some() && !stack.contains("required\tpam_iam"), "{stack}");
    Ok(())
}

fn a_user_signs_in_and_has_a_token_file(world: &World) -> Outcome {
    let (node, issuer, user) = (world.node()?, world.issuer()?, world.user()?);
    let mut session = sign_in(node, issuer, &user)?;
    let file = token_file(&user)?;
    let token = session.ask(&format!("cat {file}"))?;
    let claims = issuer.verify(&token)?;
    assert!(claims["scope"].as_str().is_some_and(|scope| scope.contains("storage.read:/")));
    let again = node.ssh(&user).run("echo $BEARER_TOKEN_FILE")?.ok()?;
    assert_eq!(again.line(), file);
    Ok(())
}

fn the_daemon_comes_back_after_a_restart(world: &World) -> Outcome {
    let node = world.node()?;
    node.restart("iamd")?;
    assert_eq!(node.root_says("systemctl is-active iamd")?, "active");
    Ok(())
}

fn token_files_have_a_bounded_file_system_of_their_own(world: &World) -> Outcome {
    let node = world.node()?;
    // Written in one place, where only root passes, and read in another.
    let own = ["nosuid", "nodev", "noexec"];
    for (place, access, more) in
        [("files/users", "rw", &["size=131072k", "mode=711"][..]), ("users", "ro", &[])]
    {
        let mounted = node
            .root_says(&format!("findmnt -no FSTYPE,VFS-OPTIONS,FS-OPTIONS /run/iamd/{place}"))?;
        let words: Vec<&str> = mounted.split([' ', ',']).filter(|word| !word.is_empty()).collect();
        assert_eq!(words[..2], ["tmpfs", access], "{mounted}");
        for option in own.iter().chain(more) {
            assert!(words.contains(option), "{option} is not in: {mounted}");
        }
    }
    assert_eq!(
        node.root_says("stat -c %a /run/iamd /run/iamd/files /run/iamd/users")?,
        "711\n700\n711"
    );
    Ok(())
}

fn without_their_file_system_token_files_are_on_run_and_read_only_all_the_same(
    world: &World,
) -> Outcome {
    let (issuer, user) = (world.issuer()?, world.user()?);
    let node = world.boot(Product::new(issuer).on(world.spec("unmounted")))?;
    // As at a boot where it cannot be mounted.
    node.root_says(
        "systemctl stop iamd run-iamd-users.mount run-iamd-files-users.mount && \
         systemctl mask --quiet --runtime run-iamd-files-users.mount && \
         systemd-tmpfiles --create iamd.conf && systemctl start iamd",
    )?;
    node.exec("findmnt /run/iamd/files/users")?.exited(1)?;
    let mut session = sign_in(&node, issuer, &user)?;
    let file = token_file(&user)?;
    issuer.verify(&session.ask(&format!("cat {file}"))?)?;
    for line in [format!("touch {}/mine", parent_of(&file)), format!("echo >> {file}")] {
        let said = node.exec_as(&user, &line)?;
        assert!(said.code != 0 && said.errors().contains("Read-only"), "{line}: {said:?}");
    }
    assert_ne!(node.exec_as(&user, "ls /run/iamd/files")?.code, 0);
    Ok(())
}

fn parent_of(path: &str) -> &str {
    path.rsplit_once('/').map_or("/", |(parent, _)| parent)
}

/// A key that only this host can unseal: what a site does that wants no key in a file.
fn a_credential_of_systemd_seals_and_no_key_is_made(world: &World) -> Outcome {
    let (issuer, user) = (world.issuer()?, world.user()?);
    let node = world.boot(Product::new(issuer).on(world.spec("sealed")))?;
    node.root_says(
        "systemctl stop iamd && rm -rf /var/lib/iamd/* && mkdir -p /etc/credstore.encrypted && \
         echo \"site-1 $(head -c 32 /dev/urandom | base64)\" | systemd-creds encrypt --with-key=host \
         --name=iamd.keyring - /etc/credstore.encrypted/iamd.keyring && systemctl start iamd",
    )?;
    drop(sign_in(&node, issuer, &user)?);
    assert!(!node.root_says("ls /var/lib/iamd")?.contains("keyring"));
    // Without the credential nothing opens, nothing is made, and the reason is told.
    let out = node.exec(
        "mv /etc/credstore.encrypted/iamd.keyring /root/ && systemctl restart iamd; \
         systemctl is-failed iamd; ls /var/lib/iamd",
    )?;
    let text = out.text();
    assert!(text.contains("failed") && !text.contains("keyring"), "{text}");
    assert!(node.journal("iamd")?.contains("keyring"), "the journal does not name the key");
    // With it again, the sign-in is still there.
    node.root_says(
        "mv /root/iamd.keyring /etc/credstore.encrypted/ && systemctl reset-failed iamd && \
         systemctl start iamd",
    )?;
    let status = node.ssh(&user).run("iamctl status --json")?.ok()?;
    assert!(status.line().contains("signed-in"), "{}", status.line());
    Ok(())
}

/// The tree with what was built, below /srv/tree of the node.
fn unpack(node: &Node) -> Outcome {
    let tree = node.root().join("srv/tree/target/release");
    std::fs::create_dir_all(&tree)?;
    for name in ["iamd", "iamctl", "libpam_iam.so"] {
        std::fs::copy(iamd_tests::places::binaries().join(name), tree.join(name))?;
    }
    let (from, to) = (iamd_tests::places::repository(), node.root().join("srv/tree"));
    std::fs::create_dir(to.join("cli"))?;
    std::fs::copy(from.join("cli/JSON.md"), to.join("cli/JSON.md"))?;
    let mut pages: Vec<_> = std::fs::read_dir(&from)?
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(|path| path.is_file())
        .collect();
    pages.extend([from.join("dist"), from.join("docs"), to]);
    let mut copy = std::process::Command::new("cp");
    copy.arg("-a").args(pages);
    iamd_tests::command::must(copy)?;
    Ok(())
}

/// What the first layout's unit mounted: a file system that users could fill.
const EARLIER_MOUNT: &str = "[Mount]\nWhat=tmpfs\nWhere=/run/iamd/users\nType=tmpfs\n\
    Options=mode=0711,nosuid,nodev,noexec,size=128M,nr_inodes=128k\nDirectoryMode=0711\n";

fn an_upgrade_from_the_mounts_of_an_earlier_version_says_what_to_do(world: &World) -> Outcome {
    let (issuer, user) = (world.issuer()?, world.user()?);
    let node = world.boot(Product::new(issuer).on(world.spec("relaid")))?;
    let units = "/usr/lib/systemd/system";
    let drop_in = "/run/systemd/system/iamd.service.d/earlier.conf";
    node.root_says(&format!(
        "systemctl stop iamd run-iamd-users.mount run-iamd-files-users.mount && \
         rm -rf /run/iamd/files {units}/run-iamd-files-users.mount"
    ))?;
    let mount = format!("{units}/run-iamd-users.mount");
    node.put(&mount, 0o644, "root", EARLIER_MOUNT.as_bytes())?;
    node.put(drop_in, 0o644, "root", b"[Service]\nBindPaths=\nBindPaths=/run/user\n")?;
    node.root_says("systemctl daemon-reload && systemctl start iamd")?;
    let mut session = sign_in(&node, issuer, &user)?;
    let file = token_file(&user)?;
    issuer.verify(&session.ask(&format!("cat {file}"))?)?;
    let about_files = || -> Result<String, iamd_tests::Error> {
        let said = node.exec_as(&user, "iamctl doctor --json")?;
        let said = parsed(&said)?;
        let findings = said["findings"].as_array().cloned().unwrap_or_default();
        let ours = findings.iter().find(|found| found["name"] == "token files");
        Ok(ours.map_or_else(String::new, ToString::to_string))
    };
    let way_out = "systemctl stop iamd run-iamd-users.mount && systemctl start iamd";
    // What is to be mended is known before the upgrade as well.
    let told = about_files()?;
    assert!(told.contains("users can write there") && told.contains(way_out), "{told}");
    // The upgrade says that a restart alone does not do.
    unpack(&node)?;
    node.root_says(&format!("rm {drop_in}"))?;
    let told = node.exec("/srv/tree/dist/install")?.ok()?.text();
    assert!(told.contains(way_out) && !told.contains("systemctl restart iamd"), "{told}");
    // Who restarts it all the same is told by the journal, and each user by the doctor.
    node.restart("iamd")?;
    let journal = node.journal("iamd")?;
    assert!(journal.contains("/run/iamd/users: users see other token files"), "{journal}");
    node.exec_as(&user, "iamctl token --force-new")?.ok()?;
    let told = about_files()?;
    assert!(told.contains("may not see the token files") && told.contains(way_out), "{told}");
    // The way out: the session is known still, its file is there, and only to be read.
    node.root_says(way_out)?;
    iamd_tests::clock::until("the token file", std::time::Duration::from_secs(20), || {
        node.exec_as(&user, &format!("test -s {file}")).is_ok_and(|said| said.code == 0)
    })?;
    issuer.verify(&session.ask(&format!("cat {file}"))?)?;
    let said = node.exec_as(&user, &format!("echo >> {file}"))?;
    assert!(said.code != 0 && said.errors().contains("Read-only"), "{said:?}");
    assert_eq!(about_files()?, "");
    // And an uninstallation leaves none of it.
    drop(session);
    node.root_says("/srv/tree/dist/install --uninstall")?;
    let left = node
        .root_says("ls -d /run/iamd 2>/dev/null; grep -E ' /run/iamd[/ ]' /proc/mounts || true")?;
    assert_eq!(left, "", "left behind");
    Ok(())
}

/// `dist/install` by a root shell on the node, in the middle of everything, as an administrator does.
fn an_upgrade_of_a_running_node_keeps_sessions_files_and_sign_ins(world: &World) -> Outcome {
    let (issuer, user) = (world.issuer()?, world.user()?);
    let node = world.boot(Product::new(issuer).on(world.spec("upgraded")))?;
    let mut session = sign_in(&node, issuer, &user)?;
    let file = token_file(&user)?;
    let token = session.ask(&format!("cat {file}"))?;
    // And a file that only the version before had.
    unpack(&node)?;
    let old = "/usr/share/iamd/of-the-old-version";
    node.root_says(&format!("touch {old} && echo {old} >> /usr/share/iamd/installed"))?;
    let module = "stat -c %i /usr/lib/*-linux-gnu/security/pam_iam.so";
    let (module_before, toml) =
        (node.root_says(module)?, node.root_says("cat /etc/iamd/iamd.toml")?);
    let told = std::thread::scope(|scope| {
        let upgrade = scope.spawn(|| node.exec("/srv/tree/dist/install"));
        // Logins meanwhile have the old module or the new one.
        while !upgrade.is_finished() {
            let seen = node.ssh(&user).run("cat $BEARER_TOKEN_FILE")?.ok()?;
            assert_eq!((seen.line(), seen.errors()), (token.clone(), String::new()));
        }
        upgrade.join().map_err(|_| iamd_tests::Error::Wrong("the upgrade".into()))?
    })?
    .ok()?;
    assert!(told.text().contains("systemctl restart iamd"), "what is left to do: {told:?}");
    assert_ne!(node.root_says(module)?, module_before, "the module is another file");
    assert_eq!(node.root_says("cat /etc/iamd/iamd.toml")?, toml);
    assert_ne!(node.exec(&format!("test -e {old}"))?.code, 0, "of the old version");
    assert_eq!(session.ask(&format!("cat {file}"))?, token, "before the restart");
    node.restart("iamd")?;
    assert_eq!(session.ask(&format!("cat {file}"))?, token, "after it");
    let status = node.exec_as(&user, "iamctl status --json")?.ok()?.text();
    assert!(status.contains("signed-in") && status.contains("\"sessions\":1"), "{status}");
    // A login says nothing, and a new token takes no sign-in.
    let seen = node.ssh(&user).run("cat $BEARER_TOKEN_FILE")?.ok()?;
    assert_eq!((seen.line(), seen.errors()), (token, String::new()));
    node.exec_as(&user, "iamctl token --force-new")?.ok()?;
    Ok(())
}

fn an_uninstalled_product_leaves_a_working_login(world: &World) -> Outcome {
    let (issuer, user) = (world.issuer()?, world.user()?);
    let node = world.boot(Product::new(issuer).on(world.spec("leaver")))?;
    let mut standing = sign_in(&node, issuer, &user)?;
    standing.ask(&format!("cd {}", parent_of(&token_file(&user)?)))?;
    let install = std::fs::read(iamd_tests::places::repository().join("dist/install"))?;
    node.put("/root/install", 0o755, "root", &install)?;
    node.root_says("/root/install --uninstall")?;
    assert!(node.root_says("cat /etc/pam.d/*")?.contains("pam_systemd.so"));
    assert!(!node.root_says("cat /etc/pam.d/*")?.contains("pam_iam.so"));
    let left =
        node.root_says("ls -d /usr/sbin/iamd /run/iamd /usr/share/iamd 2>/dev/null || true")?;
    assert_eq!(left, "", "left behind");
    // Nor is a token where somebody still stands.
    assert_eq!(standing.ask("ls -A . 2>/dev/null; true")?, "");
    drop(standing);
    let out = node.ssh(&user).run("echo in")?.ok()?;
    assert_eq!(out.line(), "in");
    Ok(())
}
