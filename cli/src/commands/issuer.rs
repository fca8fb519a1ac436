//! `iamctl issuer`: the issuers that the site lists.

use iamd_protocol::bus::IssuerInfo;
use iamd_protocol::error::{Exit, Kind};
use serde_json::json;

use crate::app::Context;
use crate::args::{Listing, ShowIssuer};
use crate::failure::Failure;
use crate::output::json;
use crate::output::stream::Paint;
use crate::output::table::Table;
use crate::output::text::wrap_indented;

/// Lists the issuers.
///
/// # Errors
/// Those of `Issuers`.
pub(super) fn list(args: &Listing, context: &mut Context) -> Result<Exit, Failure> {
    let issuers = context.client()?.issuers()?;
    if args.json {
        let issuers: Vec<_> = issuers.iter().map(json::issuer).collect();
        context.output.json(&json!({ "issuers": issuers }));
        return Ok(Exit::Done);
    }
    if issuers.is_empty() {
        context.output.tell("This site lists no issuer.");
        return Ok(Exit::Done);
    }
    let mut table = Table::new(&["", "NAME", "TITLE", "CLIENT", "HEALTH", "URL"]);
    for issuer in &issuers {
        table.row(vec![
            if issuer.is_default { "*" } else { " " }.to_owned(),
            issuer.name.clone(),
            issuer.title.clone(),
            issuer.client.clone(),
            issuer.health.clone(),
            issuer.url.clone(),
        ]);
    }
    context.output.table(&table);
    Ok(Exit::Done)
}

/// Shows one issuer, which is asked now what it offers.
///
/// # Errors
/// Those of `Issuer` and `Issuers`; [`Kind::NoSuchIssuer`].
pub(super) fn show(args: &ShowIssuer, context: &mut Context) -> Result<Exit, Failure> {
    let client = context.client()?;
    let issuer = match &args.issuer {
        Some(issuer) => client.issuer(issuer)?,
        None => client.issuer(&default(&client.issuers()?)?.name)?,
    };
    if args.json {
        context.output.json(&json!({ "issuer": json::issuer(&issuer) }));
        return Ok(Exit::Done);
    }
    let out = &mut context.output.out;
    let columns = out.size().map_or(usize::MAX, |size| size.columns);
    let default = if issuer.is_default { " (default)" } else { "" };
    let name = if issuer.name.is_empty() { &issuer.url } else { &issuer.name };
    let title = if issuer.title.is_empty() { "not listed by this site" } else { &issuer.title };
    let title = format!("{}{default}: {title}", out.paint(Paint::Bold, name));
    out.line(&title);
    let offered = issuer.scopes_offered.as_ref().map(|scopes| scopes.join(" "));
    for (label, value) in [
        ("URL", issuer.url.as_str()),
        ("Dialect", &issuer.dialect),
        ("Client", client_text(&issuer.client)),
        ("Public client", yes_or_no(issuer.public_client)),
        ("Scopes", &issuer.scopes.join(" ")),
        ("Offered", offered.as_deref().unwrap_or("not known now")),
        ("Health", &issuer.health),
    ] {
        let label = out.paint(Paint::Dim, &format!("{label:<13}"));
        let line = format!("  {label}  {}", wrap_indented(value, columns, 17));
        out.line(line.trim_end());
    }
    if let Some(identity) = &issuer.identity {
        let label = out.paint(Paint::Dim, "Who signs in ");
        let value = format!("{identity} (this site requires it)");
        out.line(&format!("  {label}  {}", wrap_indented(&value, columns, 17)));
    }
    Ok(Exit::Done)
}

/// Whose client the accounts at an issuer have, in words.
fn client_text(client: &str) -> &str {
    match client {
        "per-site" => "per-site: registered once, shared by the users of this site",
        "per-user" => "per-user: registered for each user",
        "fixed" => "fixed: the one that the site configured",
        "missing" => "missing: administrators have to register one and set fixed_client",
        newer => newer,
    }
}

fn yes_or_no(answer: Option<bool>) -> &'static str {
    match answer {
        Some(true) => "yes: iamctl account add --public-client",
        Some(false) => "no",
        None => "not known",
    }
}

/// The issuer that is used when none is named.
fn default(issuers: &[IssuerInfo]) -> Result<&IssuerInfo, Failure> {
    issuers
        .iter()
        .find(|issuer| issuer.is_default)
        .ok_or_else(|| Failure::new(Kind::NoSuchIssuer, "this site has no default issuer"))
}

/// Whether two URLs are one issuer's: with or without a slash at the end.
pub(in crate::commands) fn same_url(one: &str, other: &str) -> bool {
    spelled(one) == spelled(other)
}

/// Scheme and host in small letters (RFC 3986 §6.2.2.1), and no slash at the end.
fn spelled(url: &str) -> String {
    let url = url.trim_end_matches('/');
    let host = url.find("://").map_or(0, |at| at + "://".len());
    let path = url[host..].find('/').map_or(url.len(), |at| host + at);
    url[..path].to_ascii_lowercase() + &url[path..]
}

/// Whether a text is the URL that an issuer can have.
pub(in crate::commands) fn is_https(text: &str) -> bool {
    text.get(..8).is_some_and(|scheme| scheme.eq_ignore_ascii_case("https://"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slash_at_the_end_makes_no_other_issuer() {
        assert!(same_url("https://wlcg.example.org/", "https://wlcg.example.org"));
        assert!(!same_url("https://wlcg.example.org/", "https://wlcg.example.org/x"));
        assert!(same_url("HTTPS://WLCG.example.org", "https://wlcg.example.org/"));
        assert!(!same_url("https://wlcg.example.org/X", "https://wlcg.example.org/x"));
        assert!(is_https("HTTPS://x") && !is_https("http://x.example") && !is_https("ä"));
        assert!(default(&[IssuerInfo::default()]).unwrap_err().is(Kind::NoSuchIssuer));
    }
}
