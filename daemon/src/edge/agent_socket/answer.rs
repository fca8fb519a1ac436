//! A request, put to the service, and what comes of it in the words that oidc-agent's clients act
//! on: some look for another agent, some say that a new sign-in is needed.

use std::{collections::BTreeMap, sync::Arc};

use iamd_protocol::{
    bus::{AccountInfo, TokenOptions, client, state},
    error::Kind,
    names,
};
use secrecy::SecretString;
use serde::Serialize;

use super::{
    reply::Reply,
    request::{self, Ask, Of, Request},
};
use crate::service::{Caller, Service, ServiceError, is_account_name};

/// Clients look for another agent when they read exactly this.
const NO_ACCOUNT: &str = "No account configured with that short name";
/// There is one that gives nothing until its passphrase was given.
const NOT_LOADED: &str = "account not loaded";
/// The site does not let this user do that.
const FORBIDDEN: &str = "operation forbidden";

/// The answer to this text of this user's.
pub(super) async fn answer(
    service: &Arc<Service>,
    uid: u32,
    pid: Option<u32>,
    text: &[u8],
) -> Reply {
    let request = match request::parse(text) {
        Ok(request) => request,
        Err(refusal) => return Reply::failure(refusal.error, refusal.info),
    };
    if request == Request::Check {
        return Reply::done();
    }
    let answered = match service.caller(uid, pid).await {
        Ok(caller) => serve(service, &caller, &request).await,
        Err(error) => Err(error),
    };
    answered.unwrap_or_else(|error| failure(&request, &error))
}

async fn serve(
    service: &Arc<Service>,
    caller: &Caller,
    request: &Request,
) -> Result<Reply, ServiceError> {
    Ok(match request {
        Request::AccessToken(ask) => {
            let given = service.newest_token(caller, &named(ask)?, options(ask)).await?;
            let token = SecretString::from(given.token);
            Reply::access_token(&token, &given.issuer, given.expires_at)
        }
        Request::IdToken(ask) => {
            let application = ask.application.as_deref();
            let given = service.id_token(caller, &named(ask)?, application).await?;
            Reply::id_token(&given.token, &given.issuer)
        }
        Request::LoadedAccounts => Reply::info(loaded(&service.list(caller).await?)),
        Request::AccountInfo => Reply::info(by_issuer(&service.list(caller).await?)),
        Request::Check => Reply::done(),
        Request::Status => Reply::info(for_people(caller, &service.list(caller).await?)),
        Request::StatusJson => Reply::info(Status {
            version: concat!("iamd ", env!("CARGO_PKG_VERSION")),
            command_line_options: Options {},
            loaded_accounts: loaded(&service.list(caller).await?),
        }),
        Request::Scopes(issuer) => {
            let scopes = service.issuer(caller, issuer).await?.scopes_offered;
            let scopes = scopes.ok_or_else(|| {
                let text = format!("the issuer {} does not answer", shown(issuer));
                ServiceError::new(Kind::IssuerUnreachable, text)
            })?;
            Reply::info(scopes.join(" "))
        }
    })
}

/// The account that is meant, as the service takes it: a name is not a URL, and a URL no name. Names
/// of oidc-agent's may have capitals, which make no difference here.
fn named(ask: &Ask) -> Result<String, ServiceError> {
    let other = match &ask.of {
        Of::Account(name) if is_account_name(&names::meant(name)) => return Ok(names::meant(name)),
        Of::Issuer(url) if url.contains("://") => return Ok(url.clone()),
        Of::Account(other) | Of::Issuer(other) => other.as_str(),
        Of::Nobody => "",
    };
    let counterpart = match &ask.of {
        Of::Account(name) => names::counterpart(name),
        _ => None,
    };
    let other = shown(other);
    let text = match counterpart {
        Some(name) => format!(
            "no account here can be called \u{201c}{other}\u{201d}; what takes its place may be called {name}"
        ),
        None => format!("you have no account \u{201c}{other}\u{201d}"),
    };
    Err(ServiceError::new(Kind::NoSuchAccount, text))
}

fn options(ask: &Ask) -> TokenOptions {
    let words = |text: &Option<String>| {
        let text = text.as_deref()?;
        Some(text.split_ascii_whitespace().map(str::to_owned).collect())
    };
    TokenOptions {
        scopes: words(&ask.scope),
        audiences: words(&ask.audience),
        // 0 is what a client sends that does not care.
        min_valid_seconds: (ask.min_valid > 0).then_some(ask.min_valid),
        force_new: ask.new.then_some(true),
        strict: None,
        application: ask.application.clone(),
    }
}

/// The accounts that give tokens: what others had to be loaded for.
fn loaded(accounts: &[AccountInfo]) -> Vec<&str> {
    let loaded = accounts.iter().filter(|account| is_loaded(account));
    loaded.map(|account| account.name.as_str()).collect()
}

fn is_loaded(account: &AccountInfo) -> bool {
    account.state == state::SIGNED_IN
}

#[derive(Serialize)]
struct OfIssuer<'a> {
    /// Whether an account there uses the public client.
    pubclient: bool,
    /// Whether each of them is loaded.
    accounts: BTreeMap<&'a str, bool>,
}

fn by_issuer(accounts: &[AccountInfo]) -> BTreeMap<&str, OfIssuer<'_>> {
    let mut issuers = BTreeMap::new();
    for account in accounts.iter().filter(|account| !account.issuer.is_empty()) {
        let nothing = OfIssuer { pubclient: false, accounts: BTreeMap::new() };
        let issuer = issuers.entry(account.issuer.as_str()).or_insert(nothing);
        issuer.pubclient |= account.client.as_deref() == Some(client::PUBLIC);
        issuer.accounts.insert(account.name.as_str(), is_loaded(account));
    }
    issuers
}

#[derive(Serialize)]
struct Status<'a> {
    version: &'a str,
    command_line_options: Options,
    loaded_accounts: Vec<&'a str>,
}

/// There is no command line of the user's.
#[derive(Serialize)]
struct Options {}

fn for_people(caller: &Caller, accounts: &[AccountInfo]) -> String {
    let loaded = loaded(accounts).join(", ");
    let loaded = if loaded.is_empty() { "none; sign in with:  iamctl login" } else { &loaded };
    let version = env!("CARGO_PKG_VERSION");
    let user = &caller.owner.user;
    format!(
        "iamd {version} serves {user} in place of an oidc-agent; nothing has to be started.\nAccounts that give tokens: {loaded}\nMore:  iamctl status\n"
    )
}

/// What a client is told of an error.
fn failure(request: &Request, error: &ServiceError) -> Reply {
    let advice = error.kind.advice();
    let message = &error.message;
    let both = [message, advice].map(str::trim).join(". ");
    let both = both.trim_end_matches(". ");
    let name = match request {
        Request::AccessToken(Ask { of: Of::Account(name), .. })
        | Request::IdToken(Ask { of: Of::Account(name), .. }) => name,
        _ => "",
    };
    match error.kind {
        Kind::NoSuchAccount => Reply::failure(NO_ACCOUNT, both),
        Kind::AccountLocked => Reply::failure(NOT_LOADED, format!("{both} {name}").trim_end()),
        Kind::DeniedByPolicy | Kind::IssuerNotAllowed => Reply::failure(FORBIDDEN, both),
        Kind::LoginRequired | Kind::LoginPending | Kind::LoginExpired => {
            // Scripts look for the option's name, people for the command.
            let info = format!(
                "{} {name}   It takes the place of:  oidc-gen --reauthenticate {name}",
                advice.trim_end()
            );
            Reply::failure(&format!("invalid_grant: {message}"), info.trim_end())
        }
        _ => Reply::failure(message, advice),
    }
}

fn shown(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).take(80).collect()
}
