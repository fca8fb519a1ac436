//! `iamctl doctor`: what is wrong, and how to put it right. The daemon tells what it finds; what
//! depends on this user's shell and on this node's files is looked at here.

mod agent;
mod discovery;
mod foreign;
mod pam;
mod readers;
mod sockets;
mod token_file;
mod view;

use std::time::Duration;

use iamd_protocol::bus::Finding;
use iamd_protocol::error::Exit;
use serde_json::json;

use crate::app::Context;
use crate::args::Listing;
use crate::failure::Failure;
use crate::output::stream::{Paint, Stream};
use crate::output::{json, text};

/// Longer than the daemon looks at issuers (twice 8 s, all of them at once).
const LIMIT: Duration = Duration::from_secs(18);

/// What a person sees meanwhile.
const LOOKING: &str = "Looking at daemon and issuers ...";

const OK: &str = "ok";
const WARNING: &str = "warning";
const PROBLEM: &str = "problem";

/// Looks at everything. The exit code says whether there is a problem.
///
/// # Errors
/// None: what cannot be looked at is a finding.
pub(super) fn run(args: &Listing, context: &mut Context) -> Result<Exit, Failure> {
    // An issuer that is silent takes its time; a person should know what is waited for.
    let progress = !args.json && context.output.err.can_redraw();
    if progress {
        context.output.err.put(LOOKING.as_bytes());
    }
    let (mut findings, default) = daemon(context);
    if progress {
        // Written over, not cleared: no escape sequence where none is wanted.
        let blank = " ".repeat(LOOKING.len());
        context.output.err.put(format!("\r{blank}\r").as_bytes());
    }
    let now = context.now();
    let way = default.and_then(|name| way_out(&findings, &name));
    let view = view::look(&context.environment, &findings);
    findings.extend(view);
    findings.extend(pam::look(&context.environment));
    findings.extend(foreign::look(&context.environment));
    findings.extend(readers::look(&context.environment, now, way.as_deref()));
    findings.extend(agent::look(&context.environment));
    findings.extend(sockets::look(&context.environment));
    let problems = findings.iter().filter(|finding| finding.level == PROBLEM).count();
    let warnings = findings.iter().filter(|finding| finding.level == WARNING).count();
    if args.json {
        let all: Vec<_> = findings.iter().map(json::finding).collect();
        context.output.json(&json!({
            "findings": all,
            "problems": problems,
            "warnings": warnings,
        }));
    } else {
        for line in lines(&findings, &context.output.out) {
            context.output.out.line(&line);
        }
        let count = |count: usize, noun| text::count(u32::try_from(count).unwrap_or(0), noun);
        context.output.tell(&format!(
            "{}, {}.",
            count(problems, "problem"),
            count(warnings, "warning")
        ));
    }
    Ok(if problems == 0 { Exit::Done } else { Exit::Failed })
}

/// What the daemon advises for this account.
fn way_out(findings: &[Finding], account: &str) -> Option<String> {
    let name = format!("account {account}");
    let found = findings.iter().find(|finding| finding.name == name && finding.level != OK)?;
    (!found.advice.is_empty()).then(|| found.advice.clone())
}

/// Bus and daemon, and what the daemon says; and the name of the default account.
fn daemon(context: &Context) -> (Vec<Finding>, Option<String>) {
    let client = match context.client_within(LIMIT) {
        Ok(client) => client,
        Err(failure) => return (vec![failed("bus", failure)], None),
    };
    let mut findings = vec![finding("bus", OK, "the system bus answers", "")];
    match client.status() {
        Ok(status) => findings.push(version(&status.version)),
        Err(failure) => {
            findings.push(failed("daemon", failure));
            return (findings, None);
        }
    }
    match client.diagnose() {
        Ok(more) => findings.extend(more),
        Err(failure) => findings.push(failed("daemon", failure)),
    }
    (findings, client.account("").ok().map(|account| account.name))
}

fn version(daemon: &str) -> Finding {
    let own = env!("CARGO_PKG_VERSION");
    if daemon == own {
        return finding("daemon", OK, format!("iamd {own} answers"), "");
    }
    finding(
        "daemon",
        WARNING,
        format!("iamd is version {daemon}, iamctl is version {own}"),
        "Administrators: install one version of both, then systemctl restart iamd",
    )
}

fn failed(name: &str, failure: Failure) -> Finding {
    finding(name, PROBLEM, failure.message, failure.advice)
}

fn finding(
    name: impl Into<String>,
    level: &str,
    message: impl Into<String>,
    advice: impl Into<String>,
) -> Finding {
    Finding {
        name: name.into(),
        level: level.to_owned(),
        text: text::clean(&text::without_numbers(&message.into())),
        advice: advice.into(),
    }
}

fn lines(findings: &[Finding], out: &Stream) -> Vec<String> {
    const INDENT: usize = 9;
    let columns = out.size().map_or(usize::MAX, |size| size.columns);
    let mut lines = Vec::new();
    for finding in findings {
        let paint = match finding.level.as_str() {
            OK => Paint::Good,
            WARNING => Paint::Warn,
            _ => Paint::Bad,
        };
        let level = out.paint(paint, &format!("{:<7}", finding.level));
        let sentence = format!("{}: {}", finding.name, finding.text);
        lines.push(format!("{level}  {}", text::wrap_indented(&sentence, columns, INDENT)));
        if !finding.advice.is_empty() {
            // Not wrapped: it often is a command to copy.
            lines.push(format!("{:INDENT$}{}", "", finding.advice));
        }
    }
    lines
}

#[cfg(test)]
mod tests;
