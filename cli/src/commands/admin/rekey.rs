//! `iamctl admin rekey`: starts it in the daemon, and shows how it goes.

use std::sync::mpsc;
use std::time::Duration;

use iamd_protocol::bus::{RekeyOptions, RekeyState, rekey_state};
use iamd_protocol::error::{Exit, Kind};
use serde_json::{Value, json};

use crate::app::Context;
use crate::args::Rekey;
use crate::failure::Failure;
use crate::interrupt;
use crate::output::bar::bar;

/// How often the daemon is asked.
const ASK_EVERY: Duration = Duration::from_millis(300);
/// How often a daemon that is being restarted is asked again.
const AWAY: u32 = 60;

/// Seals everything with another key.
///
/// # Errors
/// Those of `Rekey`; it stopped before its end.
pub(crate) fn run(args: &Rekey, context: &mut Context) -> Result<Exit, Failure> {
    let (sender, interrupted) = mpsc::channel();
    // As long as this is there, nobody takes a signal that cannot be caught for an endless one.
    let _open = sender.clone();
    // Before any other thread: they inherit that the signal is not theirs.
    if !args.status {
        interrupt::catch(move || {
            let _ = sender.send(());
        });
    }
    let client = context.client()?;
    let mut state = if args.status {
        client.rekey_progress()?
    } else {
        client.rekey(RekeyOptions { retire: args.retire.then_some(true) })?
    };
    let mut patience = AWAY;
    while !args.status && goes_on(&state, patience) {
        progress(context, args, &state);
        if interrupted.recv_timeout(ASK_EVERY).is_ok() {
            clear(context, args);
            context
                .output
                .tell("It goes on in iamd. To see how it stands:  iamctl admin rekey --status");
            return Ok(Exit::Done);
        }
        match client.rekey_progress() {
            Ok(now) if now.state == rekey_state::RUNNING => (state, patience) = (now, AWAY),
            Ok(now) => (state, patience) = (now, patience - 1),
            Err(failure) if failure.is(Kind::DaemonUnreachable) && patience > 1 => patience -= 1,
            Err(failure) => return Err(failure),
        }
    }
    clear(context, args);
    if !args.status && state.state == rekey_state::STOPPED {
        let why = state.message.unwrap_or_default();
        let text = format!("it stopped, and every record opens as before: {why}");
        return Err(Failure::new(Kind::KeyringUnusable, text)
            .advise("Put that right, then go on with:  iamctl admin rekey"));
    }
    if args.json {
        context.output.json(&as_json(&state));
    } else {
        tell(context, args, &state);
    }
    let done = args.status || state.state == rekey_state::DONE;
    Ok(if done { Exit::Done } else { Exit::Failed })
}

/// Whether it is under way: a daemon that was restarted goes on by itself, soon after its start.
fn goes_on(state: &RekeyState, patience: u32) -> bool {
    let waits = state.unreadable.is_empty() && state.ended_at.is_none() && patience > 1;
    state.state == rekey_state::RUNNING || (state.state == rekey_state::UNFINISHED && waits)
}

fn is_shown(context: &Context, args: &Rekey) -> bool {
    !args.json && context.output.err.can_redraw()
}

fn progress(context: &mut Context, args: &Rekey, state: &RekeyState) {
    if is_shown(context, args) {
        let err = &mut context.output.err;
        let left = bar(state.done, state.total, err.has_utf8());
        err.put(format!("\r\x1b[K{left} {} of {} records", state.done, state.total).as_bytes());
    }
}

fn clear(context: &mut Context, args: &Rekey) {
    if is_shown(context, args) {
        context.output.err.put(b"\r\x1b[K");
    }
}

fn tell(context: &mut Context, args: &Rekey, state: &RekeyState) {
    let key = &state.key;
    let older = state.older_keys.join(", ");
    context.output.tell(&match (state.state.as_str(), state.remaining.unwrap_or_default()) {
        (rekey_state::RUNNING, _) => {
            format!("Sealing records with {key}: {} of {} are done.", state.done, state.total)
        }
        (rekey_state::DONE, _) => format!("Every record is sealed with {key}."),
        (_, left) => format!("Older keys seal {left} records still. To go on:  iamctl admin rekey"),
    });
    for what in &state.unreadable {
        context.output.tell(&format!("Left as it is: {what}"));
    }
    if let Some(why) = &state.message {
        context.output.tell(&format!("It stopped: {why}"));
    }
    if !state.retired.is_empty() {
        let gone = state.retired.join(", ");
        context.output.tell(&format!(
            "Out of the keyring: {gone}. A backup that was made without keys before needs it still."
        ));
    } else if args.retire && older.is_empty() {
        context.output.tell("There is no older key to take out.");
    } else if args.retire {
        context.output.tell(&match state.from_credential {
            true => format!(
                "Still there: {older}. Those of the systemd credential are yours to take out of it."
            ),
            // iamd was started anew before it came to that.
            false if state.remaining == Some(0) && state.unreadable.is_empty() => format!(
                "Still there: {older}. To take them out of the keyring, once more:  \
                 iamctl admin rekey --retire"
            ),
            false => format!("Still there, because records need them: {older}."),
        });
    } else if state.state == rekey_state::DONE && !older.is_empty() {
        context.output.tell(&format!(
            "Older keys, which seal nothing any more: {older}. To take them out of the keyring:  \
             iamctl admin rekey --retire"
        ));
    }
}

fn as_json(state: &RekeyState) -> Value {
    json!({
        "state": state.state,
        "key": state.key,
        "from_credential": state.from_credential,
        "older_keys": state.older_keys,
        "total": state.total,
        "done": state.done,
        "remaining": state.remaining,
        "unreadable": state.unreadable,
        "retired": state.retired,
        "message": state.message,
        "started_at": state.started_at,
        "ended_at": state.ended_at,
    })
}
