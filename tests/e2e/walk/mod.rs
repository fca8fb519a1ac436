//! docs/from-oidc-agent.md, row by row, on a login node: what a command of oidc-agent does (Debian's
//! package, at the same issuer), and that what the row names does the same job here. A row that no
//! step walks, a step without a row, and an option of oidc-agent without a row are failures.

mod steps;
mod table;

use std::collections::BTreeSet;

use iamd_tests::rootfs::readers;
use iamd_tests::sign_in::warm;
use iamd_tests::{Error, Issuer, IssuerSpec, Node, Product, Result, World};

use self::steps::{Act, steps};
use self::table::{Row, rows};
use crate::case::{Case, Outcome};
use crate::cases;

pub fn cases() -> Vec<Case> {
    cases![
        every_row_is_walked_and_every_row_without_a_counterpart_says_why,
        every_option_of_oidc_agent_has_a_row;
        apart: what_oidc_agents_users_do_is_done_here,
    ]
}

fn every_row_is_walked_and_every_row_without_a_counterpart_says_why(_: &World) -> Outcome {
    let rows = rows()?;
    let walked: BTreeSet<_> = steps().map(|step| (step.section, step.row)).collect();
    assert_eq!(walked.len(), steps().count(), "a row is walked once");
    for row in &rows {
        let known = walked.contains(&(row.section.as_str(), row.theirs.as_str()));
        if row.ours == "–" {
            assert!(row.reason.len() > 10, "{row:?}: no counterpart, and no reason");
            assert!(!known, "{row:?}: it has no counterpart, and a step");
        } else {
            assert!(known, "{row:?}: no step walks it");
        }
    }
    for step in steps() {
        let is_there = |row: &Row| row.section == step.section && row.theirs == step.row;
        assert!(rows.iter().any(is_there), "{} / {}: no such row", step.section, step.row);
    }
    Ok(())
}

/// The options are taken from the programs' own help.
fn every_option_of_oidc_agent_has_a_row(world: &World) -> Outcome {
    let rows = rows()?;
    let node = world.boot(world.spec("options").over(readers(&|line| world.say(line))?))?;
    for (program, section) in [
        ("oidc-agent", "oidc-agent, the agent"),
        ("oidc-gen", "oidc-gen, accounts"),
        ("oidc-add", "oidc-add, loading"),
        ("oidc-token", "oidc-token, tokens"),
    ] {
        let help = node.exec_as("carol", &format!("{program} --help"))?.ok()?.text();
        let named: BTreeSet<_> = rows
            .iter()
            .filter(|row| row.section == section)
            .flat_map(|row| options(&row.theirs))
            .collect();
        let offered: BTreeSet<_> = help
            .lines()
            .filter(|line| line.trim_start().starts_with('-'))
            .flat_map(|line| options(line.trim_start().split("  ").next().unwrap_or_default()))
            .filter(|option| !GENERAL.contains(&option.as_str()))
            .collect();
        assert!(offered.len() > 10, "{program}: {help}");
        let missing: Vec<_> = offered.difference(&named).collect();
        assert!(missing.is_empty(), "{program}: without a row: {missing:?}");
    }
    Ok(())
}

/// What every program has.
const GENERAL: [&str; 6] = ["-?", "--help", "--usage", "-V", "--version", "-h"];

/// The options in a text: `-x` and `--word`, without their values.
fn options(text: &str) -> Vec<String> {
    let words = text.split(|c: char| c.is_whitespace() || ",`|().".contains(c));
    let options = words.filter(|word| word.starts_with('-') && word.len() > 1);
    options.map(|word| word.split(['=', '[']).next().unwrap_or_default().to_owned()).collect()
}

fn what_oidc_agents_users_do_is_done_here(world: &World) -> Outcome {
    let user = world.user()?;
    let issuer = world.start_issuer(IssuerSpec::new("walk.test"))?;
    let product = Product::new(&issuer).config(&steps::config(&user));
    let product = product.issuer_file("test", &steps::issuer(&issuer));
    let spec = world.spec("walk").over(readers(&|line| world.say(line))?);
    let node = world.boot(product.on(spec))?;
    warm(&node)?;
    // A session of theirs stays open, as a user's would.
    let _session = node.ssh(&user).open(Some("sleep 600"))?;
    let mut failed = Vec::new();
    for step in steps() {
        for (whose, act) in [("oidc-agent", &step.theirs), ("iamctl", &step.ours)] {
            if let Err(error) = perform(&node, &issuer, &user, act) {
                failed.push(format!("{} / {}, {whose}: {error}", step.section, step.row));
            }
        }
    }
    assert!(
        failed.is_empty(),
        "{} of {} steps:\n{}",
        failed.len(),
        steps().count(),
        failed.join("\n")
    );
    Ok(())
}

fn perform(node: &Node, issuer: &Issuer, user: &str, act: &Act) -> Result<()> {
    let (said, code, exit, says) = match act {
        Act::Nothing => return Ok(()),
        Act::Run(script, exit, says) => {
            let output = node.ssh(user).run_with("bash -s", script_of(script).as_bytes())?;
            (format!("{}{}", output.text(), output.errors()), output.code, *exit, says)
        }
        Act::SignIn(script, says) => {
            let (said, code) = sign_in(node, issuer, user, script)?;
            (said, code, 0, says)
        }
    };
    if code != exit {
        return Err(Error::Wrong(format!("exit code {code} instead of {exit}: {said}")));
    }
    match says.iter().find(|word| !said.contains(**word)) {
        Some(word) => Err(Error::Wrong(format!("\u{201c}{word}\u{201d} is not in: {said}"))),
        None => Ok(()),
    }
}

fn script_of(script: &str) -> String {
    format!("{}\n{script}\n", steps::PRELUDE)
}

/// A command that shows a code and waits: the code is entered meanwhile, as in a browser.
fn sign_in(node: &Node, issuer: &Issuer, user: &str, script: &str) -> Result<(String, i32)> {
    let mut session = node.ssh(user).open(Some("bash -s"))?;
    session
        .send(&format!("{}\n( {script}\n) < /dev/null\necho \"ended: $?\"\n", steps::PRELUDE))?;
    let code = session.find("a code", steps::code_in)?;
    issuer.approve(&format!("{}device", issuer.url()), &code, user)?;
    let code = session.find("its end", |seen| {
        let (_, code) = seen.split_once("ended: ")?;
        // Something may come after it: two pipes are read side by side.
        code.split_once('\n')?.0.parse().ok()
    })?;
    let said = session.seen();
    session.close()?;
    Ok((said, code))
}
