//! docs/from-oidc-agent.md, row by row, on a login node: what a command of oidc-agent does (Debian's
//! package, at the same issuer), and that what the row names does the same job here. A row that no
//! step walks and that does not stand in [`not_run`] with the reason, a step without a row, an outcome that is another than the original's and is not said
//! to be one, and an option of oidc-agent without a row are failures.
//!
//! Start reading at [`steps`]; what came of it stands in `walk.txt` beside the nodes' logs.

mod keys;
mod not_run;
mod options;
mod perform;
mod reading;
mod report;
mod steps;
mod table;

use std::collections::BTreeSet;
use std::fs;

use iamd_tests::rootfs::readers;
use iamd_tests::sign_in::warm;
use iamd_tests::{Error, IssuerSpec, Product, World, places};
use serde_json::json;

use self::not_run::NOT_RUN;
use self::perform::Walker;
use self::reading::Reader;
use self::report::Report;
use self::steps::{Act, steps};
use self::table::{MARKS, Row, legend, rows};
use crate::case::{Case, Outcome};
use crate::cases;

pub fn cases() -> Vec<Case> {
    cases![
        every_row_is_walked_or_says_why_not,
        every_word_of_oidc_agent_5_has_a_row,
        every_option_of_debians_oidc_agent_has_a_row;
        apart: what_oidc_agents_users_do_is_done_here,
    ]
}

fn every_row_is_walked_or_says_why_not(_: &World) -> Outcome {
    let (rows, legend) = (rows()?, legend()?);
    for (mark, _) in MARKS {
        assert!(legend.contains(&format!("({mark})")), "the page does not explain ({mark})");
    }
    let walked: BTreeSet<_> = steps().map(|step| (step.section, step.row)).collect();
    assert_eq!(walked.len(), steps().count(), "a row is walked once");
    for row in &rows {
        let step = steps().find(|step| step.is_of(row));
        let not_run: Vec<_> = NOT_RUN.iter().filter(|not_run| not_run.is_of(row)).collect();
        if row.ours == "–" {
            assert!(row.reason.len() > 10, "{row:?}: no counterpart, and no reason");
        }
        let Some(step) = step else {
            assert_eq!(not_run.len(), 1, "{row:?}: no step walks it, and why is not said once");
            assert!(not_run[0].why.len() > 10, "{row:?}: not run, and no reason");
            continue;
        };
        assert!(not_run.is_empty(), "{row:?}: a step walks it, and it is said not to be run");
        assert!(row.ours == "–" || step.ours != Act::Nothing, "{row:?}: its step has nothing");
        if let Some(script) = step.ours.script() {
            assert!(row.is_what(script), "{row:?}: its step does something else: {script}");
        }
        if let Act::Left(why) = step.theirs {
            assert!(
                MARKS.iter().any(|(mark, _)| *mark == why),
                "{row:?}: left out for {why}, which no mark says"
            );
            assert!(row.theirs.contains(&format!("({why})")), "{row:?}: does not say ({why})");
        }
    }
    for step in steps() {
        let known = rows.iter().any(|row: &Row| step.is_of(row));
        assert!(known, "{} / {}: no such row", step.section, step.row);
    }
    // What the original does alone, because nothing of it is needed here: the page says how often.
    let alone = steps().filter(|step| step.ours == Act::Nothing).count();
    assert!(
        legend.contains(&format!("({alone} rows)")),
        "the page counts others than {alone} rows"
    );
    for not_run in NOT_RUN {
        assert!(rows.iter().any(|row| not_run.is_of(row)), "{}: no such row", not_run.row);
    }
    Ok(())
}

fn every_word_of_oidc_agent_5_has_a_row(_: &World) -> Outcome {
    let rows = rows()?;
    let missing = options::of_version_5().flat_map(|part| part.without_row(&rows));
    let missing: Vec<_> = missing.collect();
    assert!(missing.is_empty(), "without a row: {missing:#?}");
    Ok(())
}

/// The options are taken from the programs' own help.
fn every_option_of_debians_oidc_agent_has_a_row(world: &World) -> Outcome {
    let rows = rows()?;
    let node = world.boot(world.spec("options").over(readers(&|line| world.say(line))?))?;
    for program in options::PROGRAMS {
        // The scripts among them speak on standard error.
        let help = node.exec_as("carol", &format!("{program} --help 2>&1"))?.ok()?.text();
        let offered = options::in_help(program, &help);
        assert!(offered.words.len() > 2, "{program}: {help}");
        let missing = offered.without_row(&rows);
        assert!(missing.is_empty(), "without a row: {missing:?}");
    }
    Ok(())
}

fn what_oidc_agents_users_do_is_done_here(world: &World) -> Outcome {
    let user = world.user()?;
    let issuer = world.start_issuer(IssuerSpec::new("walk.test"))?;
    // INDIGO IAM announces no interval, which means five seconds of waiting at each sign-in.
    let every_second = json!({"replace_json": {"set": {"interval": 1}}});
    let _brisk =
        issuer.faults(&json!([{"match": {"path": "/devicecode"}, "fault": every_second}]))?;
    // An issuer as RFC 8414 has it, without OpenID's document; and one that the site has given other
    // certificates than those it has.
    let plain = world.start_issuer(IssuerSpec::new("plain.test").option("SHAPE", "rfc"))?;
    let hidden = json!({"path": "/.well-known/openid-configuration"});
    let _hidden = plain.faults(&json!([{"match": hidden, "fault": {"status": {"code": 404}}}]))?;
    let alone = IssuerSpec::new("strange.test").certificate(&["--alone"]);
    let strange = world.start_issuer(alone)?;
    let certificate = strange.certificate();
    let certificate = fs::read_to_string(certificate).map_err(Error::at(certificate))?;
    let product = Product::new(&issuer).config(&steps::config(&user));
    let product = product.issuer("plain", &plain).issuer("strange", &strange);
    let product = product.issuer_file("test", &steps::issuer(&issuer));
    let product = product.issuer_file("plain", &steps::plain(&plain));
    let product = product.issuer_file("strange", &steps::strange(&strange));
    let product = product.option("--with-oidc-agent-names");
    let mut spec = world.spec("walk").over(readers(&|line| world.say(line))?);
    spec = spec.file(steps::STRANGE, 0o644, &certificate);
    for (name, script) in steps::SCRIPTS {
        spec = spec.file(&format!("{}/{name}", steps::SCRIPTS_AT), 0o755, script);
    }
    let node = world.boot(product.on(spec))?;
    warm(&node)?;
    node.root_says("iamctl admin password-flow enable --issuer test --client site-password")?;
    let control = world.ground().run.dir().join("walk.ssh");
    let reader = Reader::new(&issuer)?;
    let walker = Walker { node: &node, issuer: &issuer, user: &user, control: &control, reader };
    let _session = walker.log_in()?;
    let mut report = Report::new(rows()?);
    for step in steps() {
        let walked = walker.walk(step);
        let hangs = walked.hangs();
        report.add(step, walked);
        if hangs {
            // oidc-agent answers nobody for minutes after that.
            break;
        }
    }
    let keys = keys::compare(&walker)?;
    let (logs, text) = (places::logs(), format!("{report}{keys}"));
    let path = logs.join("walk.txt");
    fs::create_dir_all(&logs).map_err(Error::at(&logs))?;
    fs::write(&path, &text).map_err(Error::at(&path))?;
    world.say(&format!("{}: {}", path.display(), report.summary()));
    let mut failed = report.failures();
    failed.extend(keys.wrong);
    assert!(
        failed.is_empty(),
        "{} of {} steps:\n{}",
        failed.len(),
        steps().count(),
        failed.join("\n")
    );
    Ok(())
}
