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
    let mut table = Table::new(&["", "NAME", "TITLE", "HEALTH", "URL"]);
    for issuer in &issuers {
        table.row(vec![
            if issuer.is_default { "*" } else { " " }.to_owned(),
            issuer.name.clone(),
            issuer.title.clone(),
            issuer.health.clone(),
            issuer.url.clone(),
        ]);
    }
    context.output.table(&table);
    Ok(Exit::Done)
}

/// Shows one issuer.
///
/// # Errors
/// Those of `Issuers`; [`Kind::NoSuchIssuer`].
pub(super) fn show(args: &ShowIssuer, context: &mut Context) -> Result<Exit, Failure> {
    let issuers = context.client()?.issuers()?;
    let issuer = find(&issuers, args.issuer.as_deref())?;
    if args.json {
        context.output.json(&json!({ "issuer": json::issuer(issuer) }));
        return Ok(Exit::Done);
    }
    let out = &mut context.output.out;
    let columns = out.size().map_or(usize::MAX, |size| size.columns);
    let default = if issuer.is_default { " (default)" } else { "" };
    let title = format!("{}{default}: {}", out.paint(Paint::Bold, &issuer.name), issuer.title);
    out.line(&title);
    for (label, value) in [
        ("URL", issuer.url.as_str()),
        ("Dialect", &issuer.dialect),
        ("Client", &issuer.client),
        ("Scopes", &issuer.scopes.join(" ")),
        ("Health", &issuer.health),
    ] {
        let label = out.paint(Paint::Dim, &format!("{label:<8}"));
        let line = format!("  {label}  {}", wrap_indented(value, columns, 12));
        out.line(&line);
    }
    Ok(Exit::Done)
}

/// The issuer of that name or URL, with or without a slash at the end; the default without one.
fn find<'a>(issuers: &'a [IssuerInfo], wanted: Option<&str>) -> Result<&'a IssuerInfo, Failure> {
    let found = match wanted {
        None => issuers.iter().find(|issuer| issuer.is_default),
        Some(wanted) => issuers.iter().find(|issuer| {
            issuer.name == wanted
                || issuer.url.trim_end_matches('/') == wanted.trim_end_matches('/')
        }),
    };
    found.ok_or_else(|| match wanted {
        Some(wanted) => {
            Failure::new(Kind::NoSuchIssuer, format!("this site lists no issuer {wanted:?}"))
        }
        None => Failure::new(Kind::NoSuchIssuer, "this site has no default issuer"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_issuer_is_found_by_name_and_by_url_with_or_without_a_slash() {
        let issuers = [IssuerInfo {
            name: "wlcg".into(),
            url: "https://wlcg.example.org/".into(),
            ..Default::default()
        }];
        assert!(find(&issuers, Some("wlcg")).is_ok());
        assert!(find(&issuers, Some("https://wlcg.example.org")).is_ok());
        assert!(find(&issuers, Some("wlc")).unwrap_err().is(Kind::NoSuchIssuer));
        assert!(find(&issuers, None).unwrap_err().is(Kind::NoSuchIssuer));
    }
}
