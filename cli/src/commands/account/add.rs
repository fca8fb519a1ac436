//! `iamctl account add`: by options, by the variables of the IAM scripts, or by questions; then
//! the login.

mod dialogue;
pub(crate) mod from_env;

use iamd_protocol::bus::{AddOptions, ChangeReply, secret as names};
use iamd_protocol::error::{Exit, Kind};
use secrecy::SecretString;

use super::change::sign_in;
use crate::app::Context;
use crate::args::AddAccount;
use crate::client::{Client, Secrets};
use crate::commands::issuer::same_url;
use crate::commands::{asked_scopes, passphrase, words};
use crate::environment;
use crate::failure::Failure;
use crate::output::{json, text};
use crate::{prompt, secret};
use from_env::{FromEnv, PASSWORD, Taken};

/// What to do where the refresh token that was handed over is used up.
const AGAIN: &str = "Nothing was kept. Hand over a refresh token that nobody else uses, or leave the \
                     option out and sign in:  iamctl account add, with the other options as they are";

/// Adds an account and signs in.
///
/// # Errors
/// Those of `Add`, and of a login; [`Kind::InvalidArgument`] where something is missing and nobody
/// can be asked.
pub(super) fn run(args: &AddAccount, context: &mut Context) -> Result<Exit, Failure> {
    let (mut options, mut secrets) = by_options(args)?;
    let taken = if args.from_env { Some(from_environment(args, context)?) } else { None };
    if let Some(taken) = &taken {
        if !args.json {
            tell(taken, context);
        }
        take(taken, &mut options);
    }
    let client = context.client()?;
    let mut name = args.name.clone();
    if options.issuer.is_none() {
        find_issuer(&client, &mut name, &mut options, context)?;
    }
    if let Some(secret) = client_secret(args, &options, taken.as_ref(), context)? {
        secrets.push((names::CLIENT_SECRET, secret));
    }
    if args.passphrase || args.passphrase_fd.is_some() {
        let passphrase = passphrase::of_new(name.as_deref(), args.passphrase_fd)?;
        secrets.push((names::NEW_PASSPHRASE, passphrase));
    }
    let account = name.as_deref().unwrap_or_default();
    let reply = client.add(account, options, secrets).map_err(|failure| {
        // There is no account to sign in: nothing of it was kept.
        match args.refresh_token_fd.is_some() && failure.is(Kind::LoginRequired) {
            true => failure.advise(AGAIN),
            false => failure.about(name.as_deref()),
        }
    })?;
    if args.json {
        context.output.json_line(&json::change(&reply));
    } else {
        context.output.tell(&format!("Account {} added.", reply.account));
        for remark in &reply.remarks {
            context.output.tell(remark);
        }
    }
    if let Some(variable) = taken.as_ref().and_then(|taken| taken.secret)
        && !args.json
    {
        context.output.tell(&format!(
            "iamd keeps the secret now. Take it out of your environment, and out of the file that \
             puts it there:  unset {variable}"
        ));
    }
    finish(args, &reply, context)
}

/// The login, where one is wanted.
fn finish(args: &AddAccount, reply: &ChangeReply, context: &mut Context) -> Result<Exit, Failure> {
    if args.refresh_token_fd.is_some() && !reply.login_needed {
        return Ok(Exit::Done);
    }
    if !args.no_login {
        return sign_in(&reply.account, &args.shown, args.json, context);
    }
    if !args.json {
        context.output.tell(&format!("Sign in with:  iamctl login {}", reply.account));
    }
    Ok(Exit::Done)
}

/// What the options say; the secrets that come by descriptor are read now.
fn by_options(args: &AddAccount) -> Result<(AddOptions, Secrets), Failure> {
    if args.client_secret_fd.is_some() && args.client_auth.as_deref() == Some("none") {
        let text = "--client-auth none is for a client without a secret";
        return Err(Failure::new(Kind::InvalidArgument, text));
    }
    let (scopes, all_scopes) = asked_scopes(&args.scopes);
    let options = AddOptions {
        issuer: args.issuer.clone(),
        scopes,
        all_scopes,
        audiences: words(&args.audiences),
        client_id: args.client_id.clone(),
        client_auth: args.client_auth.clone(),
        public_client: args.public_client.then_some(true),
        own_client: args.own_client.then_some(true),
        client_name: args.client_name.clone(),
        make_default: args.make_default.then_some(true),
        dry_run: None,
    };
    let mut secrets = Secrets::new();
    for (option, name, number) in [
        ("client-secret-fd", names::CLIENT_SECRET, args.client_secret_fd),
        ("initial-access-token-fd", names::INITIAL_ACCESS_TOKEN, args.initial_access_token_fd),
        ("refresh-token-fd", names::REFRESH_TOKEN, args.refresh_token_fd),
    ] {
        if let Some(number) = number {
            let secret = secret::from_fd(number).map_err(|failure| Failure {
                message: format!("--{option}: {}", failure.message),
                ..failure
            })?;
            secrets.push((name, secret));
        }
    }
    Ok((options, secrets))
}

fn from_environment(args: &AddAccount, context: &Context) -> Result<FromEnv, Failure> {
    let plain = |name: &'static str| {
        Some(context.environment.non_empty(name)?.to_string_lossy().into_owned())
    };
    let mut taken =
        from_env::read(plain, |name| environment::secret(name).is_some(), args.issuer.is_some())?;
    // An option goes before a variable.
    if args.client_secret_fd.is_some() || args.client_auth.as_deref() == Some("none") {
        taken.secret = None;
    }
    if !args.scopes.is_empty() {
        taken.scopes = None;
    }
    if !args.audiences.is_empty() {
        taken.audiences = None;
    }
    Ok(taken)
}

/// Says what is taken from where; of the secret, only that it is.
fn tell(taken: &FromEnv, context: &mut Context) {
    let mut tell = |what: &str, taken: &Taken| {
        let value = text::clean(&taken.value);
        context.output.tell(&format!("{what} {value} from {}", taken.variable));
    };
    tell("Client", &taken.client_id);
    for (what, value) in
        [("Issuer", &taken.issuer), ("Scopes", &taken.scopes), ("Audience", &taken.audiences)]
    {
        if let Some(value) = value {
            tell(what, value);
        }
    }
    if let Some(variable) = taken.secret {
        context.output.tell(&format!("The client's secret from {variable}"));
    }
    if environment::secret(PASSWORD).is_some() {
        context.output.tell(&format!(
            "{PASSWORD} is not taken: you sign in at the issuer, in a browser. Take it out of your \
             environment:  unset {PASSWORD}"
        ));
    }
}

fn take(taken: &FromEnv, options: &mut AddOptions) {
    let value = |taken: &Option<Taken>| taken.as_ref().map(|taken| taken.value.clone());
    options.client_id = Some(taken.client_id.value.clone());
    options.issuer = options.issuer.take().or(value(&taken.issuer));
    if let Some(scopes) = value(&taken.scopes) {
        (options.scopes, options.all_scopes) = asked_scopes(&[scopes]);
    }
    if let Some(audiences) = value(&taken.audiences) {
        options.audiences = words(&[audiences]);
    }
}

/// The issuer that the name says, else asks for it and what else is open.
fn find_issuer(
    client: &Client,
    name: &mut Option<String>,
    options: &mut AddOptions,
    context: &mut Context,
) -> Result<(), Failure> {
    let issuers = client.issuers()?;
    let named = |known: &str| name.as_deref() == Some(known);
    if let Some(issuer) = issuers.iter().find(|issuer| named(&issuer.name)) {
        options.issuer = Some(issuer.name.clone());
        return Ok(());
    }
    if let Some(issuer) = name.as_deref().filter(|name| name.contains("://")) {
        let known = issuers.iter().find(|known| same_url(&known.url, issuer));
        return Err(Failure::new(
            Kind::InvalidArgument,
            format!("{issuer} is no name of an account"),
        )
        .advise(match known {
            Some(known) => format!("Say:  iamctl account add {}", known.name),
            None => format!("Say:  iamctl account add NAME --issuer {issuer}"),
        }));
    }
    if prompt::is_possible() {
        return dialogue::complete(client, &issuers, name, options, context);
    }
    let names: Vec<&str> = issuers.iter().map(|issuer| issuer.name.as_str()).collect();
    let advice = match names.as_slice() {
        [] => "Name it by its URL:  --issuer URL".to_owned(),
        names => format!("Name it with --issuer, by URL or as one of: {}", names.join(", ")),
    };
    Err(Failure::new(Kind::InvalidArgument, "the issuer is not named").advise(advice))
}

/// The secret of a client that the user gives: from the variable, else asked for.
fn client_secret(
    args: &AddAccount,
    options: &AddOptions,
    taken: Option<&FromEnv>,
    context: &mut Context,
) -> Result<Option<SecretString>, Failure> {
    let Some(client_id) = &options.client_id else { return Ok(None) };
    if args.client_secret_fd.is_some() || args.client_auth.as_deref() == Some("none") {
        return Ok(None);
    }
    if let Some(variable) = taken.and_then(|taken| taken.secret) {
        return Ok(environment::secret(variable));
    }
    if prompt::is_possible() {
        let client_id = text::clean(client_id);
        context.output.tell(&format!("Client {client_id}: its secret is not shown as you type."));
        return prompt::secret("Secret: ")
            .map(Some)
            .map_err(|failure| failure.advise("One that has none:  --client-auth none"));
    }
    Err(Failure::new(Kind::InvalidArgument, "the secret of the client is not given")
        .advise("Give it with --client-secret-fd 3 3< FILE, or say that it has none with --client-auth none"))
}
