//! The questions of `iamctl account add`: issuer, name, scopes, audience; what an option said is
//! not asked.

use iamd_protocol::bus::{AccountInfo, AddOptions, IssuerInfo};
use iamd_protocol::error::Kind;
use iamd_protocol::names::{counterpart, fits};

use crate::app::Context;
use crate::ask;
use crate::client::Client;
use crate::commands::issuer::{is_https, same_url};
use crate::commands::{MAX, asked_scopes, words};
use crate::failure::Failure;
use crate::output::stream::Paint;
use crate::output::text::wrap_indented;

/// Asks for the issuer, and for what else `options` and `name` leave open.
///
/// # Errors
/// Those of `List`; no answer.
pub(super) fn complete(
    client: &Client,
    issuers: &[IssuerInfo],
    name: &mut Option<String>,
    options: &mut AddOptions,
    context: &mut Context,
) -> Result<(), Failure> {
    let accounts = client.accounts()?;
    let issuer = ask_issuer(issuers, context)?;
    let listed = issuers.iter().find(|known| known.name == issuer);
    // An issuer that does not answer now can be asked by the login later; one that the site does not
    // allow is not worth a question.
    let asked = listed.is_none().then(|| client.issuer(&issuer));
    if let Some(Err(failure)) = &asked
        && failure.exit == Kind::DeniedByPolicy.exit()
    {
        return Err(failure.clone());
    }
    if name.is_none() {
        *name = Some(ask_name(listed, &accounts, context)?);
    }
    if options.scopes.is_none() && options.all_scopes.is_none() {
        let info = asked.unwrap_or_else(|| client.issuer(&issuer)).ok();
        let name = name.as_deref().unwrap_or_default();
        ask_scopes(listed, info.as_ref(), options, context, |asked| {
            refused(client, name, &issuer, asked)
        })?;
    }
    if options.audiences.is_none() {
        let answer = ask::line(context, "Audience [default]: ", &[])?;
        options.audiences = words(&[answer]);
    }
    options.issuer = Some(issuer);
    Ok(())
}

fn ask_issuer(issuers: &[IssuerInfo], context: &mut Context) -> Result<String, Failure> {
    let default = issuers.iter().position(|issuer| issuer.is_default);
    let names: Vec<String> = issuers.iter().map(|issuer| issuer.name.clone()).collect();
    if !issuers.is_empty() {
        context.output.tell("Issuers of this site:");
    }
    let width = names.iter().map(|name| name.chars().count()).max().unwrap_or(0);
    for (index, issuer) in issuers.iter().enumerate() {
        let name = context.output.err.paint(Paint::Bold, &format!("{:<width$}", issuer.name));
        let mark = if issuer.is_default { " (default)" } else { "" };
        let title = format!("{}{mark}", issuer.title);
        let title = wrap_indented(&title, context.output.err.columns(), width + 8);
        context.output.err.line(&format!("  {:>2}  {name}  {title}", index + 1));
    }
    let question = match default {
        Some(index) => format!("Number, name or URL [{}]: ", index + 1),
        None if issuers.is_empty() => "URL of the issuer: ".to_owned(),
        None => "Number, name or URL: ".to_owned(),
    };
    loop {
        let answer = ask::line(context, &question, &names)?;
        match chosen(issuers, default, &answer) {
            Some(issuer) => return Ok(issuer),
            None if answer.is_empty() => {}
            None => context.output.tell(&format!("{answer:?} is none of them, and no https URL.")),
        }
    }
}

/// The issuer that an answer means.
fn chosen(issuers: &[IssuerInfo], default: Option<usize>, answer: &str) -> Option<String> {
    if answer.is_empty() {
        return Some(issuers.get(default?)?.name.clone());
    }
    let by_name =
        issuers.iter().find(|issuer| issuer.name == answer || same_url(&issuer.url, answer));
    let by_number = || {
        let number: usize = answer.parse().ok()?;
        issuers.get(number.checked_sub(1)?)
    };
    match by_name.or_else(by_number) {
        Some(issuer) => Some(issuer.name.clone()),
        None => is_https(answer).then(|| answer.to_owned()),
    }
}

fn ask_name(
    issuer: Option<&IssuerInfo>,
    accounts: &[AccountInfo],
    context: &mut Context,
) -> Result<String, Failure> {
    let taken = |name: &str| accounts.iter().any(|account| account.name == name);
    let default = issuer.map(|issuer| issuer.name.as_str()).filter(|name| !taken(name));
    let question = match default {
        Some(default) => format!("Name of the account [{default}]: "),
        None => "Name of the account: ".to_owned(),
    };
    loop {
        let answer = ask::line(context, &question, &[])?;
        match default {
            _ if taken(&answer) => {
                context.output.tell(&format!("You have an account {answer} already."));
            }
            Some(default) if answer.is_empty() => return Ok(default.to_owned()),
            None if answer.is_empty() => {}
            _ if fits(&answer) => return Ok(answer),
            _ => {
                let instead = counterpart(&answer).filter(|name| !taken(name));
                let instead = instead.map_or_else(String::new, |name| format!(", such as {name}"));
                context.output.tell(&format!(
                    "{answer:?} is no name of an account: 1 to 32 of a-z, 0-9, '.', '_' and '-', \
                     beginning with a letter or digit{instead}."
                ));
            }
        }
    }
}

fn ask_scopes(
    listed: Option<&IssuerInfo>,
    info: Option<&IssuerInfo>,
    options: &mut AddOptions,
    context: &mut Context,
    refused: impl Fn(&AddOptions) -> Option<String>,
) -> Result<(), Failure> {
    let offered = info.and_then(|info| info.scopes_offered.clone()).unwrap_or_default();
    let default = listed.or(info).map(|info| info.scopes.clone()).unwrap_or_default();
    let mut tell = |label: &str, scopes: &[String]| {
        if !scopes.is_empty() {
            let columns = context.output.err.columns();
            let scopes = wrap_indented(&scopes.join(" "), columns, 9);
            let label = context.output.err.paint(Paint::Dim, &format!("{label:<7}"));
            context.output.err.line(&format!("{label}  {scopes}"));
        }
    };
    tell("Default", &default);
    tell("Offered", &offered);
    if offered.is_empty() {
        context.output.tell("What the issuer offers is not known now.");
    } else {
        context.output.tell(&format!("Tab completes; {MAX} asks for all that is offered."));
    }
    let mut known = offered;
    known.extend(default);
    known.push(MAX.to_owned());
    known.sort();
    known.dedup();
    loop {
        let answer = ask::line(context, "Scopes [default]: ", &known)?;
        (options.scopes, options.all_scopes) = asked_scopes(&[answer]);
        match refused(options) {
            Some(why) => context.output.tell(&format!("These cannot be asked for: {why}.")),
            None => return Ok(()),
        }
    }
}

/// Why the daemon would not take these scopes, told where they can be put right. What else it would
/// say is said when the account is made.
fn refused(client: &Client, name: &str, issuer: &str, asked: &AddOptions) -> Option<String> {
    if asked.scopes.is_none() && asked.all_scopes.is_none() {
        return None;
    }
    let options = AddOptions {
        issuer: Some(issuer.to_owned()),
        scopes: asked.scopes.clone(),
        all_scopes: asked.all_scopes,
        dry_run: Some(true),
        ..AddOptions::default()
    };
    let failure = client.add(name, options, Vec::new()).err()?;
    failure.is(Kind::InvalidArgument).then_some(failure.message)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_issuer_is_chosen_by_number_name_or_url() {
        let issuer = |name: &str, url: &str| IssuerInfo {
            name: name.into(),
            url: url.into(),
            ..Default::default()
        };
        let issuers =
            [issuer("wlcg", "https://wlcg.example.org/"), issuer("2", "https://2.example.org")];
        let chosen = |answer: &str| chosen(&issuers, Some(0), answer);
        for (answer, expected) in [
            ("", Some("wlcg")),
            ("1", Some("wlcg")),
            ("2", Some("2")),
            ("https://2.example.org/", Some("2")),
            ("HTTPS://2.example.org", Some("2")),
            ("https://other.example.org", Some("https://other.example.org")),
            ("0", None),
            ("3", None),
            ("-1", None),
            ("http://plain.example.org", None),
        ] {
            assert_eq!(chosen(answer).as_deref(), expected, "{answer:?}");
        }
        assert_eq!(super::chosen(&issuers, None, ""), None);
    }
}
