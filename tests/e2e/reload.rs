//! The configuration, changed while the daemon runs: a good one holds at once, a bad one changes
//! nothing and says where it is wrong.

use iamd_tests::{Error, Node, Product, World, product, sign_in, token_file};
use serde_json::Value;

use crate::case::{Case, Outcome};
use crate::cases;

pub fn cases() -> Vec<Case> {
    cases![
        ;
        apart: a_reload_takes_a_good_configuration_over_and_keeps_the_running_one_over_a_bad_one,
        a_start_with_a_bad_configuration_names_file_line_and_key_and_logins_go_on,
    ]
}

const CONFIG: &str = "/etc/iamd/iamd.toml";

/// The title of the issuer by the configuration in force.
fn title(node: &Node) -> Result<String, Error> {
    let said = node.exec_as("alice", "iamctl issuer show test --json")?.ok()?;
    let issuer: Value = serde_json::from_slice(&said.stdout).unwrap_or_default();
    Ok(issuer["issuer"]["title"].as_str().unwrap_or_default().to_owned())
}

#[track_caller]
fn contains(text: &str, part: &str) {
    assert!(text.contains(part), "no {part:?} in: {text}");
}

fn a_reload_takes_a_good_configuration_over_and_keeps_the_running_one_over_a_bad_one(
    world: &World,
) -> Outcome {
    let issuer = world.issuer()?;
    let node = world.boot(Product::new(issuer).on(world.spec("reloaded")))?;
    let user = world.user()?;
    let mut session = sign_in(&node, issuer, &user)?;
    let file = token_file(&user)?;
    let token = session.ask(&format!("cat {file}"))?;
    let pid = node.root_says("systemctl show -p MainPID --value iamd")?;
    assert_eq!(title(&node)?, "the test issuer");

    let good = product::issuer_file("test", issuer).replace("the test issuer", "another title");
    node.put("/etc/iamd/issuers.d/test.toml", 0o644, "root", good.as_bytes())?;
    node.exec("systemctl reload iamd")?.ok()?;
    assert_eq!(title(&node)?, "another title");

    // Each mistake with its own file, line and key, all of them at once.
    let before = node.get(CONFIG)?;
    let text = String::from_utf8_lossy(&before).into_owned();
    let line = text.lines().count() + 2;
    let bad = format!("{text}[sessions]\ngrace = \"soon\"\n");
    node.put(CONFIG, 0o644, "root", bad.as_bytes())?;
    let worse = good.replace("another title", "a third title").replace("https://", "ftp://");
    node.put("/etc/iamd/issuers.d/test.toml", 0o644, "root", worse.as_bytes())?;
    let failed = node.exec("systemctl reload iamd")?;
    assert_ne!(failed.code, 0, "{failed:?}");
    let told = node.exec("iamctl admin reload")?;
    assert_eq!(told.code, 1, "{told:?}");
    let journal = node.journal("iamd")?;
    for place in [
        format!("{CONFIG}:{line}: sessions.grace: "),
        "/etc/iamd/issuers.d/test.toml:3: url: ".to_owned(),
    ] {
        contains(&told.errors(), &place);
        contains(&journal, &place);
    }
    assert_eq!(title(&node)?, "another title");
    assert_eq!(node.root_says("systemctl is-active iamd")?, "active");
    assert_eq!(node.root_says("systemctl show -p MainPID --value iamd")?, pid);
    assert_eq!(session.ask(&format!("cat {file}"))?, token);
    assert_eq!(node.ssh(&user).run("cat $BEARER_TOKEN_FILE")?.ok()?.text(), token);

    // Corrected, it holds.
    node.put(CONFIG, 0o644, "root", &before)?;
    node.put("/etc/iamd/issuers.d/test.toml", 0o644, "root", good.as_bytes())?;
    node.exec("systemctl reload iamd")?.ok()?;
    assert_eq!(title(&node)?, "another title");
    Ok(())
}

fn a_start_with_a_bad_configuration_names_file_line_and_key_and_logins_go_on(
    world: &World,
) -> Outcome {
    let product = Product::new(world.issuer()?).config("[limits]\naccounts = 0\n");
    let node = world.boot(product.on(world.spec("misled")))?;
    let text = String::from_utf8_lossy(&node.get(CONFIG)?).into_owned();
    let line = 1 + text.lines().position(|line| line == "accounts = 0").unwrap_or_default();
    let place = format!("{CONFIG}:{line}: limits.accounts: must be between 1 and 1000");
    contains(&node.journal("iamd")?, &place);
    let check = node.exec("iamd --check")?.exited(78)?;
    contains(&check.errors(), &place);
    assert_eq!(node.ssh("alice").run("id -un")?.ok()?.line(), "alice");
    // Tried once, not again and again.
    assert_eq!(node.root_says("systemctl show -p NRestarts --value iamd")?, "0");
    node.root_says(&format!("sed -i 's/^accounts = 0/accounts = 3/' {CONFIG}"))?;
    node.exec("iamd --check")?.ok()?;
    node.root_says("systemctl start iamd")?;
    Ok(())
}
