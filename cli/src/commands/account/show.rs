//! `iamctl account show`: all about one account; its secrets only when they are asked for and the
//! site allows it.

use std::io::Write;

use iamd_protocol::bus::{AccountInfo, AccountSecrets, client};
use iamd_protocol::error::{Exit, Kind};
use serde_json::json;
use zeroize::{Zeroize, Zeroizing};

use crate::app::Context;
use crate::args::ShowAccount;
use crate::commands::status::block;
use crate::failure::Failure;
use crate::output::stream::Paint;
use crate::output::text::wrap_indented;
use crate::output::{json, time};

/// Shows one account.
///
/// # Errors
/// Those of `Show` and `Secrets`.
pub(super) fn run(args: &ShowAccount, context: &mut Context) -> Result<Exit, Failure> {
    let connection = context.client()?;
    let name = args.account.as_deref();
    let account =
        connection.account(name.unwrap_or_default()).map_err(|failure| failure.about(name))?;
    if !args.secrets {
        if args.json {
            context.output.json(&json!({ "account": json::account(&account) }));
        } else {
            people(&account, context);
        }
        return Ok(Exit::Done);
    }
    // Secrets must not end up in a core file, nor be read by a debugger of the same user.
    let _ = nix::sys::prctl::set_dumpable(false);
    let secrets = Wiped(connection.secrets(&account.name)?);
    check(&secrets.0)?;
    context.output.tell(
        "These are secrets: who has them can act as you at the issuer. Mind what records your \
         terminal, and delete what you copy.",
    );
    if args.json {
        context.output.out.put(&json::account_with_secrets(&account, &secrets.0));
    } else {
        people(&account, context);
        print(&secrets.0, context);
    }
    Ok(Exit::Done)
}

fn people(account: &AccountInfo, context: &mut Context) {
    let now = context.now();
    let mut lines = block(account, now, false, &context.output.out);
    let out = &context.output.out;
    let columns = out.size().map_or(usize::MAX, |size| size.columns);
    let mut more = |label: &str, value: &str| {
        let label = out.paint(Paint::Dim, &format!("{label:<13}"));
        lines.push(format!("  {label}  {}", wrap_indented(value, columns, 17)));
    };
    if let Some(id) = &account.client_id {
        more("Client", id);
    }
    if let Some(client) = &account.client {
        more("Whose client", whose(client));
    }
    if let Some(name) = &account.client_name {
        more("Client name", name);
    }
    if let Some(grants) = account.grant_types.as_ref().filter(|grants| !grants.is_empty()) {
        more("Grants", &grants.join(" "));
    }
    if let Some(auth) = &account.client_auth {
        more("Authenticates", auth);
    }
    for (label, value) in [
        ("Registration", &account.registration_client_uri),
        ("Metadata", &account.configuration_endpoint),
        ("Device login", &account.device_authorization_endpoint),
        ("CA file", &account.ca_file),
    ] {
        if let Some(value) = value {
            more(label, value);
        }
    }
    if account.client.is_some() {
        more("Redirects to", "nowhere: the device login needs no redirect URI");
    }
    if account.scopes_asked != account.scopes && !account.scopes_asked.is_empty() {
        more("Scopes asked", &account.scopes_asked.join(" "));
    }
    for (label, at) in [
        ("Signed in at", account.signed_in_at),
        ("Renewed at", account.refreshed_at),
        ("Token ends", account.access_expires_at),
        ("Sign-in ends", account.refresh_expires_at),
    ] {
        if let Some(at) = at {
            more(label, &time::date(at));
        }
    }
    for line in lines {
        context.output.out.line(&line);
    }
}

/// Whose client it is, in words.
fn whose(client: &str) -> &str {
    match client {
        client::SITE => "the site's, shared by its users",
        client::FIXED => "the site's, from the issuer's file",
        client::USER => "yours, for all your accounts at this issuer",
        client::OWN => "this account's own",
        client::GIVEN => "the one that you gave to this account",
        client::PUBLIC => "the public client that the issuer's file names",
        newer => newer,
    }
}

/// Secrets that are wiped when they are done with.
struct Wiped(AccountSecrets);

impl Drop for Wiped {
    fn drop(&mut self) {
        let AccountSecrets { refresh_token, client_secret, registration_access_token, .. } =
            &mut self.0;
        for secret in [refresh_token, client_secret, registration_access_token] {
            secret.zeroize();
        }
    }
}

/// The three that are secret, with their names in the RFCs.
fn secret_ones(secrets: &AccountSecrets) -> impl Iterator<Item = (&'static str, &str)> {
    [
        ("refresh_token", &secrets.refresh_token),
        ("client_secret", &secrets.client_secret),
        ("registration_access_token", &secrets.registration_access_token),
    ]
    .into_iter()
    .filter_map(|(name, secret)| Some((name, secret.as_deref()?)))
}

/// Refuses what could steer a terminal: the characters of RFC 6749, appendix A, are VSCHAR.
fn check(secrets: &AccountSecrets) -> Result<(), Failure> {
    for (name, secret) in secret_ones(secrets) {
        if !secret.chars().all(|c| (' '..='~').contains(&c)) {
            return Err(Failure::new(
                Kind::IssuerMalformed,
                format!("the {name} has characters that RFC 6749 does not allow"),
            ));
        }
    }
    Ok(())
}

/// Prints the secrets, each on one unbroken line.
fn print(secrets: &AccountSecrets, context: &mut Context) {
    let out = &mut context.output.out;
    let open = [("registration_client_uri", secrets.registration_client_uri.as_deref())];
    let open = open.into_iter().filter_map(|(name, value)| Some((name, value?)));
    for (name, value) in secret_ones(secrets).chain(open) {
        // Room enough that the buffer is not moved, which would leave a copy behind.
        let mut line = Zeroizing::new(Vec::with_capacity(name.len() + value.len() + 8));
        // Writing to memory does not fail.
        let _ = writeln!(line, "  {name}  {value}");
        out.put(&line);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_that_could_steer_a_terminal_is_not_printed() {
        let with = |secret: &str| AccountSecrets {
            client_secret: Some(secret.into()),
            ..Default::default()
        };
        assert!(check(&with("a b-~!")).is_ok());
        for secret in ["\x1b[2J", "two\nlines", "é"] {
            let failure = check(&with(secret)).unwrap_err();
            assert!(!failure.message.contains(secret));
        }
    }
}
