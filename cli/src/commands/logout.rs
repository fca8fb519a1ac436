//! `iamctl logout`.

use iamd_protocol::error::Exit;

use crate::app::Context;
use crate::args::Logout;
use crate::failure::Failure;
use crate::output::json;

/// Signs out.
///
/// # Errors
/// Those of `Logout`.
pub(super) fn run(args: &Logout, context: &mut Context) -> Result<Exit, Failure> {
    let reply = context.client()?.logout(args.account.as_deref().unwrap_or_default())?;
    if args.json {
        context.output.json(&json::logout(&reply));
        return Ok(Exit::Done);
    }
    let what = if reply.revoked {
        "the issuer has revoked the sign-in, and the token file is gone."
    } else if !reply.remarks.is_empty() {
        "the sign-in is forgotten here and the token file is gone."
    } else {
        "the sign-in is forgotten here and the token file is gone. The issuer has not confirmed \
         that it revoked the sign-in."
    };
    context.output.tell(&format!("Signed out of {}: {what}", reply.account));
    for remark in &reply.remarks {
        context.output.tell(remark);
    }
    Ok(Exit::Done)
}
