//! `iamctl admin revoke`: the end of sign-ins.

use iamd_protocol::bus::{RevokeOptions, RevokeReply};
use iamd_protocol::error::{Exit, Kind};

use crate::app::Context;
use crate::args::Revoke;
use crate::failure::Failure;
use crate::output::table::Table;
use crate::output::{json, text};
use crate::{ask, prompt};

/// Ends the sign-ins that were named, after a question that says how many there are.
///
/// # Errors
/// Those of `Revoke`; [`Kind::InvalidArgument`] where nobody can be asked and nobody said yes.
pub(in crate::commands) fn run(args: &Revoke, context: &mut Context) -> Result<Exit, Failure> {
    let options = |dry_run: bool| RevokeOptions {
        user: args.user.clone(),
        issuer: args.issuer.clone(),
        client: args.client.clone(),
        dry_run: dry_run.then_some(true),
    };
    if args.dry_run {
        let reply = context.client()?.revoke(options(true))?;
        return Ok(shown(&reply, args, context));
    }
    if !args.yes {
        if !prompt::is_possible() {
            return Err(Failure::new(Kind::InvalidArgument, "nobody is there to be asked")
                .advise("Say that you mean it with --yes, or look first with --dry-run"));
        }
        let reply = context.client()?.revoke(options(true))?;
        if reply.sign_ins.is_empty() && reply.logins == 0 {
            return Ok(shown(&reply, args, context));
        }
        let question = format!("End {}?", what(&reply));
        if !ask::yes(context, &question, false)? {
            context.output.tell("Nothing was ended.");
            return Ok(Exit::Failed);
        }
    }
    let reply = context.client()?.revoke(options(false))?;
    Ok(shown(&reply, args, context))
}

/// What is meant, in words.
fn what(reply: &RevokeReply) -> String {
    let mut users: Vec<u32> = reply.sign_ins.iter().map(|info| info.uid).collect();
    users.sort_unstable();
    users.dedup();
    let count = |of: usize| u32::try_from(of).unwrap_or(u32::MAX);
    let logins = match reply.logins {
        0 => String::new(),
        logins => format!(" and {}", text::count(logins, "running login")),
    };
    format!(
        "{} of {}{logins}",
        text::count(count(reply.sign_ins.len()), "sign-in"),
        text::count(count(users.len()), "user")
    )
}

/// What was done, in words.
fn done(reply: &RevokeReply) -> String {
    let logins = match reply.logins {
        0 => String::new(),
        logins => format!(" and {}", text::count(logins, "running login")),
    };
    format!("{}{logins} ended here.", text::count(reply.ended, "sign-in"))
}

/// Shows what came of it; the exit code is that of a failure where one is not ended.
fn shown(reply: &RevokeReply, args: &Revoke, context: &mut Context) -> Exit {
    let exit = if reply.failed > 0 { Exit::Failed } else { Exit::Done };
    if args.json {
        context.output.json(&json::revocation(reply));
        return exit;
    }
    if !reply.sign_ins.is_empty() {
        let mut table = Table::new(&["UID", "USER", "ACCOUNT", "RESULT", "ISSUER", "REMARK"]);
        for info in &reply.sign_ins {
            table.row(vec![
                info.uid.to_string(),
                info.user.clone(),
                info.account.clone(),
                info.result.clone(),
                info.issuer.clone(),
                info.remark.clone().unwrap_or_else(|| "-".to_owned()),
            ]);
        }
        context.output.table(&table);
    }
    let sentence = match (reply.sign_ins.is_empty() && reply.logins == 0, args.dry_run) {
        (true, _) => "Nothing fits.".to_owned(),
        (false, true) => format!("{} would be ended.", what(reply)),
        (false, false) => done(reply),
    };
    context.output.tell(&sentence);
    if reply.failed > 0 {
        let failed = text::count(reply.failed, "sign-in");
        context.output.tell(&format!(
            "{failed} not ended: still signed in, the remark says why. Mend that and do it again."
        ));
    }
    if reply.pending > 0 {
        let pending = text::count(reply.pending, "confirmation");
        context.output.tell(&format!(
            "{pending} of issuers still to come; the journal of iamd records each."
        ));
    }
    exit
}
