//! `iamctl admin drain`: a node that takes no new sign-ins.

use iamd_protocol::bus::{DrainInfo, DrainOptions};
use iamd_protocol::error::Exit;

use crate::app::Context;
use crate::args::Drain;
use crate::failure::Failure;
use crate::output::{json, text, time};

/// Drains the node, ends that, or shows how it stands.
///
/// # Errors
/// Those of `SetDrain` and `Drain`.
pub(in crate::commands) fn run(args: &Drain, context: &mut Context) -> Result<Exit, Failure> {
    let client = context.client()?;
    let info = if args.show {
        client.drain()?
    } else {
        client.set_drain(DrainOptions { on: !args.off, reason: args.reason.clone() })?
    };
    if args.json {
        context.output.json(&json::drain(&info));
        return Ok(Exit::Done);
    }
    let now = context.now();
    context.output.tell(&sentence(&info, now, args.show));
    if info.on && info.logins > 0 {
        let logins = text::count(info.logins, "login");
        context.output.tell(&format!("{logins} still running; they can be finished."));
    }
    Ok(Exit::Done)
}

fn sentence(info: &DrainInfo, now: u64, shown: bool) -> String {
    if !info.on {
        return "This node takes sign-ins.".to_owned();
    }
    let reason = info.reason.as_ref().map(|reason| format!(": {reason}")).unwrap_or_default();
    let since = match (shown, info.since, info.by) {
        (true, Some(since), Some(by)) => {
            format!(" (for {}, by uid {by})", time::span(now.saturating_sub(since)))
        }
        _ => String::new(),
    };
    format!("This node takes no new sign-ins{since}{reason}")
}
