//! `iamctl admin backup` and `restore`: the passphrase is asked for here, the file is opened here;
//! what is in it, the daemon seals and opens.

use std::fs::File;
use std::io;
use std::path::Path;

use iamd_protocol::bus::{BackupOptions, BackupReply, RestoreOptions, RestoreReply};
use iamd_protocol::error::{Exit, Kind};
use secrecy::SecretString;
use serde_json::{Value, json};

use super::file::{Partial, check_target};
use crate::app::Context;
use crate::args::{Backup, Restore};
use crate::failure::Failure;
use crate::interrupt;
use crate::output::{json, time};
use crate::prompt;

/// Writes a backup, or checks one.
///
/// # Errors
/// Those of `Backup` and `Restore`; the file cannot be written.
pub(crate) fn write(args: &Backup, context: &mut Context) -> Result<Exit, Failure> {
    if args.verify {
        let options = RestoreOptions { verify: Some(true), replace: None };
        let reply = restored(&args.file, options, args.passphrase_fd, context)?;
        if args.json {
            context.output.json(&restore_json(&reply));
        } else {
            tell_contents(context, &reply);
            context.output.tell("It is whole, and every record in it opens. Nothing was changed.");
        }
        return Ok(Exit::Done);
    }
    // Before anything is asked: a wrong name wastes nobody's words.
    check_target(&args.file)?;
    let passphrase = match args.passphrase_fd {
        Some(fd) => prompt::from_fd(fd)?,
        None => prompt::secret_twice("Passphrase for the backup: ", "The same once more: ")?,
    };
    // Not before: while the terminal is asked, its signals are its own.
    let partial = Partial::create(&args.file)?;
    let client = context.client()?;
    let (mut reader, writer) = io::pipe().map_err(prompt::no_pipe)?;
    let mut file = partial.file()?;
    let copy = std::thread::spawn(move || {
        interrupt::ignore_in_this_thread();
        io::copy(&mut reader, &mut file)
    });
    let options = BackupOptions { without_keys: args.without_keys.then_some(true) };
    let reply = client.backup(options, writer.into(), prompt::to_pipe(&passphrase)?);
    // The connection holds the pipe's other end until it has the answer.
    drop(client);
    let copied = copy.join();
    let reply = match (reply, copied) {
        // What could not be written is why the daemon could not go on.
        (_, Ok(Err(error))) => return Err(partial.failed(&error)),
        (Ok(reply), Ok(Ok(bytes))) if bytes == reply.bytes => reply,
        (Ok(_), _) => return Err(Failure::new(Kind::Internal, "the backup did not come whole")),
        (Err(failure), _) => return Err(failure),
    };
    partial.finish()?;
    if args.json {
        context.output.json(&backup_json(&reply));
        return Ok(Exit::Done);
    }
    tell_backup(context, args, &reply);
    Ok(Exit::Done)
}

/// Puts a backup into the store.
///
/// # Errors
/// Those of `Restore`; the file cannot be read.
pub(crate) fn restore(args: &Restore, context: &mut Context) -> Result<Exit, Failure> {
    let options = RestoreOptions { replace: args.replace.then_some(true), verify: None };
    let reply =
        restored(&args.file, options, args.passphrase_fd, context).map_err(
            |failure| match failure.is(Kind::StoreNotEmpty) {
                true => failure.advise(format!(
                    "To give up what is there for the backup:  iamctl admin restore --replace {}",
                    args.file.display()
                )),
                false => failure,
            },
        )?;
    if args.json {
        context.output.json(&restore_json(&reply));
        return Ok(Exit::Done);
    }
    tell_contents(context, &reply);
    let given_up = match reply.replaced {
        0 => String::new(),
        count => format!(" {count} records that were here are gone."),
    };
    context.output.tell(&format!("In force, sealed with {}.{given_up}", reply.key));
    if let Some(flow) = reply.password_flows.first() {
        let issuer = flow.issuer_name.as_ref().unwrap_or(&flow.issuer);
        context.output.tell(&format!(
            "Such leaves are in force again, also those that were taken away since the backup. To \
             take one away:  iamctl admin password-flow disable --issuer {issuer} --client {}",
            flow.client
        ));
    }
    if reply.rotating > 0 {
        context.output.tell(&format!(
            "{} accounts have refresh tokens that their issuer replaces with each use: those that \
             were used since the backup are dead, and their users sign in again.",
            reply.rotating
        ));
    }
    context.output.tell(
        "Never use a backup on two nodes at once: keep iamd stopped on the node it was made on.",
    );
    for remark in &reply.remarks {
        context.output.tell(remark);
    }
    Ok(Exit::Done)
}

fn restored(
    path: &Path,
    options: RestoreOptions,
    fd: Option<u32>,
    context: &Context,
) -> Result<RestoreReply, Failure> {
    let mut file = File::open(path).map_err(|error| {
        let text = format!("{}: {error}", path.display());
        Failure::new(Kind::InvalidArgument, text).advise("Name the file of the backup.")
    })?;
    let passphrase: SecretString = match fd {
        Some(fd) => prompt::from_fd(fd)?,
        None => prompt::secret("Passphrase of the backup: ")?,
    };
    let client = context.client()?;
    let (reader, mut writer) = io::pipe().map_err(prompt::no_pipe)?;
    std::thread::spawn(move || {
        interrupt::ignore_in_this_thread();
        // A daemon that does not read to the end says why in its answer; a file that cannot be
        // read to its end is cut off for it.
        let _ = io::copy(&mut file, &mut writer);
    });
    client.restore(options, reader.into(), prompt::to_pipe(&passphrase)?)
}

fn tell_backup(context: &mut Context, args: &Backup, reply: &BackupReply) {
    let keys = if reply.with_keys { "with the keyring" } else { "without the keyring" };
    context.output.tell(&format!(
        "Wrote {}: {} accounts, {} clients, {} records in all, {keys}; {} bytes.",
        args.file.display(),
        reply.accounts,
        reply.clients,
        reply.records,
        reply.bytes
    ));
    if !reply.with_keys {
        context.output.tell(&format!(
            "It opens only where these keys are: {}. Keep the keyring besides.",
            reply.keys.join(", ")
        ));
    }
    for remark in &reply.remarks {
        context.output.tell(remark);
    }
}

fn tell_contents(context: &mut Context, reply: &RestoreReply) {
    let keys = if reply.with_keys { "with the keyring" } else { "without the keyring" };
    context.output.tell(&format!(
        "A backup of {} by iamd {} from {}: {} accounts, {} clients, {} records in all, {keys}.",
        reply.node,
        reply.version,
        time::date(reply.made_at),
        reply.accounts,
        reply.clients,
        reply.records
    ));
    for flow in &reply.password_flows {
        context.output.tell(&format!(
            "With leave to sign in by password: the client {} of {}, allowed by {} on {}.",
            flow.client,
            flow.issuer,
            flow.enabled_by_user,
            time::date(flow.enabled_at)
        ));
    }
}

fn backup_json(reply: &BackupReply) -> Value {
    json!({
        "node": reply.node,
        "version": reply.version,
        "made_at": reply.made_at,
        "accounts": reply.accounts,
        "clients": reply.clients,
        "records": reply.records,
        "journal": reply.journal,
        "keys": reply.keys,
        "with_keys": reply.with_keys,
        "rotating": reply.rotating,
        "bytes": reply.bytes,
        "digest": reply.digest,
        "remarks": reply.remarks,
    })
}

fn restore_json(reply: &RestoreReply) -> Value {
    let flows: Vec<Value> = reply.password_flows.iter().map(json::password_flow).collect();
    json!({
        "node": reply.node,
        "version": reply.version,
        "made_at": reply.made_at,
        "accounts": reply.accounts,
        "clients": reply.clients,
        "records": reply.records,
        "journal": reply.journal,
        "with_keys": reply.with_keys,
        "rotating": reply.rotating,
        "replaced": reply.replaced,
        "restored": reply.restored,
        "key": reply.key,
        "digest": reply.digest,
        "password_flows": flows,
        "remarks": reply.remarks,
    })
}
