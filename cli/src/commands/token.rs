//! `iamctl token`: the token alone on standard output, and nothing there when there is none.

mod decode;

use std::path::Path;

use iamd_protocol::bus::TokenOptions;
use iamd_protocol::error::{Exit, Kind};
use iamd_protocol::variables::BEARER_TOKEN;
use zeroize::Zeroizing;

use super::{ask, words};
use crate::app::Context;
use crate::args::Token;
use crate::failure::Failure;
use crate::output::json;
use crate::private;

/// Prints a token, or writes it to a file, or shows what it says.
///
/// # Errors
/// Those of `GetToken`; the token cannot be read, the file cannot be written.
pub(super) fn run(args: &Token, context: &mut Context) -> Result<Exit, Failure> {
    // A token must not end up in a core file, nor be read by a debugger of the same user.
    let _ = nix::sys::prctl::set_dumpable(false);
    let options = TokenOptions {
        scopes: words(&args.scopes),
        audiences: words(&args.audiences),
        min_valid_seconds: args.min_valid,
        force_new: args.force_new.then_some(true),
        strict: args.strict.then_some(true),
        application: Some("iamctl".into()),
    };
    let name = args.account.as_deref();
    let token = ask::token(context, name.unwrap_or_default(), &options)
        .map_err(|failure| failure.about(name))?;
    if !args.json {
        for remark in &token.reply.remarks {
            context.output.tell(&format!("iamctl: {remark}"));
        }
    }
    if args.decode {
        return decode::show(&token, args.json, context);
    }
    let bytes = if args.json { json::token(&token, &token.reply) } else { form(&token, args) };
    match args.outfile.as_deref().filter(|file| *file != Path::new("-")) {
        Some(file) => {
            // As the readers of token files want it: without a line break.
            let content = bytes.strip_suffix(b"\n").unwrap_or(&bytes);
            private::write(file, context.environment.uid, content).map_err(|error| {
                Failure::new(Kind::FileNotWritten, format!("{}: {error}", shown(file)))
            })?;
        }
        None => context.output.out.put(&bytes),
    }
    Ok(Exit::Done)
}

/// The token as it was asked for, in no other buffer.
fn form(token: &str, args: &Token) -> Zeroizing<Vec<u8>> {
    let (before, after) = match (args.env, args.header) {
        (true, _) => (format!("export {BEARER_TOKEN}='"), "'\n"),
        (_, true) => ("Authorization: Bearer ".to_owned(), "\n"),
        _ => (String::new(), "\n"),
    };
    let mut bytes = Zeroizing::new(Vec::with_capacity(before.len() + token.len() + 2));
    for part in [before.as_bytes(), token.as_bytes(), after.as_bytes()] {
        bytes.extend_from_slice(part);
    }
    bytes
}

fn shown(file: &Path) -> String {
    crate::output::text::clean(&file.to_string_lossy())
}
