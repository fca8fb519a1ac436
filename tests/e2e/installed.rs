//! The product as `dist/install` leaves it on a node, before any promise in particular.

use iamd_tests::{Product, World, sign_in, token_file};

use crate::case::{Case, Outcome};
use crate::cases;

pub fn cases() -> Vec<Case> {
    cases![
        the_daemon_runs_and_the_node_is_healthy,
        the_module_stands_after_pam_systemd,
        a_user_signs_in_and_has_a_token_file,
        token_files_have_a_bounded_file_system_of_their_own,
        a_credential_of_systemd_seals_and_no_key_is_made,
        an_uninstalled_product_leaves_a_working_login;
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
    let mounted = node.root_says("findmnt -no FSTYPE,OPTIONS /run/iamd/users")?;
    assert!(mounted.starts_with("tmpfs"), "{mounted}");
    for option in ["nosuid", "nodev", "noexec", "size=131072k", "mode=711"] {
        assert!(mounted.contains(option), "{option} is not in: {mounted}");
    }
    Ok(())
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

fn an_uninstalled_product_leaves_a_working_login(world: &World) -> Outcome {
    let (issuer, user) = (world.issuer()?, world.user()?);
    let node = world.boot(Product::new(issuer).on(world.spec("leaver")))?;
    node.ssh(&user).run("true")?.ok()?;
    let install = std::fs::read(iamd_tests::places::repository().join("dist/install"))?;
    node.put("/root/install", 0o755, "root", &install)?;
    node.root_says("/root/install --uninstall")?;
    assert!(node.root_says("cat /etc/pam.d/*")?.contains("pam_systemd.so"));
    assert!(!node.root_says("cat /etc/pam.d/*")?.contains("pam_iam.so"));
    let left =
        node.root_says("ls -d /usr/sbin/iamd /run/iamd /usr/share/iamd 2>/dev/null || true")?;
    assert_eq!(left, "", "left behind");
    let out = node.ssh(&user).run("echo in")?.ok()?;
    assert_eq!(out.line(), "in");
    Ok(())
}
