//! `iamctl status --silent`: for scripts that want to know whether there is a token, and nothing
//! else. It promises what `iamctl token` would then do.

use std::time::Duration;

use iamd_protocol::bus::{AccountInfo, TokenOptions, state};
use iamd_protocol::error::{Exit, Kind};

use crate::app::Context;
use crate::client::Client;
use crate::failure::Failure;

/// Longer than a daemon needs to ask a healthy issuer; a script that asks has no patience.
const LIMIT: Duration = Duration::from_secs(15);

/// The longest validity in seconds that sites may well ask of every token (`token.min_valid`, 60 by
/// default): of one that has less left, the daemon tells whether it, or another, is to be had. Not of
/// every one, as each such question is a record of the audit.
const SHORT: u64 = 300;

/// The exit code, whatever happens.
pub(super) fn run(account: Option<&str>, context: &Context) -> Exit {
    match look(account, context) {
        Ok(()) => Exit::Done,
        Err(failure) => failure.exit,
    }
}

fn look(account: Option<&str>, context: &Context) -> Result<(), Failure> {
    let client = context.client_within(LIMIT)?;
    let found = client.account(account.unwrap_or_default())?;
    if let Some(kind) = in_the_way(&found) {
        return Err(Failure::new(kind, ""));
    }
    if found.access_expires_at.is_some_and(|at| at > context.now() + SHORT) {
        return Ok(());
    }
    renewed(&client, &found)
}

/// A sign-in whose token has ended, because nobody is logged in who would need it fresh, or ends in a
/// moment, because its issuer is away: only the issuer can tell whether there is another.
fn renewed(client: &Client, account: &AccountInfo) -> Result<(), Failure> {
    client.token(&account.name, TokenOptions::default()).map(|_| ())
}

/// Why an account in this state gives no token.
fn in_the_way(account: &AccountInfo) -> Option<Kind> {
    match account.state.as_str() {
        state::SIGNED_IN => None,
        state::NEW | state::LOGIN_REQUIRED => Some(Kind::LoginRequired),
        state::LOCKED => Some(Kind::AccountLocked),
        state::CLIENT_BROKEN => Some(Kind::ClientBroken),
        state::ACTION_NEEDED => Some(Kind::ActionNeeded),
        state::UNREADABLE => Some(Kind::AccountUnreadable),
        state::REFUSED => Some(Kind::DeniedByPolicy),
        _ => Some(Kind::Internal),
    }
}
