//! The product as `dist/install` leaves it on a node, before any promise in particular.

use iamd_tests::{World, sign_in, token_file};

use crate::case::{Case, Outcome};
use crate::cases;

pub fn cases() -> Vec<Case> {
    cases![
        the_daemon_runs_and_the_node_is_healthy,
        the_module_stands_after_pam_systemd,
        a_user_signs_in_and_has_a_token_file;
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
