//! `oidc-gen`: accounts come, change and go by iamctl's own commands.

use std::ffi::OsString;
use std::path::Path;

use clap::Parser;
use iamd_protocol::bus::{AccountInfo, client};
use iamd_protocol::error::Kind;
use iamd_protocol::names::meant;

use super::options::{Other, TALK, Takes, Then, other, parse, refused, short};
use super::{DONE, Ended, FAILED, Program, USAGE, iamctl, list, print};
use crate::app::Context;
use crate::args::given_words;
use crate::commands::issuer::same_url;
use crate::failure::Failure;
use crate::output::text;

const NO_CODE_FLOW: &str = "it belongs to the code flow, which needs a browser on the node; here the \
                            code is entered on any device";
const CLIENT_SECRET: &str = "the process list shows arguments to everybody; give it by descriptor:  \
                             iamctl account add NAME --client-id ID --client-secret-fd 3 3< FILE";
const REFRESH_TOKEN: &str = "the process list shows arguments to everybody; give it by descriptor:  \
                             iamctl account add NAME --client-id ID --refresh-token-fd 3 3< FILE";
const ACCESS_TOKEN: &str = "the process list shows arguments to everybody; give it by descriptor:  \
                            iamctl account add NAME --initial-access-token-fd 3 3< FILE";
/// An account that nobody expects to be locked would be, after the next start of the daemon.
const NO_PASSPHRASE: &str = "the daemon seals the account, with no password of yours; where it shall \
                             have one:  iamctl account passphrase NAME --new-passphrase-fd 3 3< FILE";
const BY_THE_SITE: &str = "the site names it in the issuer's file, see iamd.toml(5)";

const OTHERS: &[Other] = &[
    short('v', &["verbose"], Takes::Nothing, Then::Ignored),
    other(&["pw-env"], Takes::Maybe, Then::Told(NO_PASSPHRASE)),
    other(&["pw-cmd"], Takes::Value, Then::Told(NO_PASSPHRASE)),
    other(&["pw-file"], Takes::Value, Then::Told(NO_PASSPHRASE)),
    other(&["pw-prompt", "prompt"], Takes::Value, Then::Ignored),
    other(&["confirm-default"], Takes::Nothing, Then::Ignored),
    other(&["no-url-call"], Takes::Nothing, Then::Ignored),
    other(&["no-webserver"], Takes::Nothing, Then::Ignored),
    other(&["no-scheme"], Takes::Nothing, Then::Ignored),
    other(&["oauth2", "oauth"], Takes::Nothing, Then::Ignored),
    other(&["redirect-uri", "redirect-url"], Takes::Value, Then::Ignored),
    other(&["port"], Takes::Value, Then::Ignored),
    other(
        &["cert-path", "cp", "cert-file"],
        Takes::Value,
        Then::Told("the node's certificates are used, and those that the site names for an issuer"),
    ),
    other(
        &["pw-gpg", "pw-pgp", "gpg", "pgp"],
        Takes::Value,
        Then::Told("nothing is encrypted with a key of yours: the daemon seals the account"),
    ),
    other(
        &["confirm-no"],
        Takes::Nothing,
        Then::Refused("nothing is asked that a no would answer"),
    ),
    short(
        'u',
        &["update"],
        Takes::Value,
        Then::Refused(
            "no file of yours is involved; to take one over:  iamctl account import oidc-agent FILE",
        ),
    ),
    short(
        'f',
        &["file"],
        Takes::Value,
        Then::Refused(
            "the fields of the file are options:  iamctl account add NAME --client-id ID",
        ),
    ),
    other(
        &["no-save"],
        Takes::Nothing,
        Then::Refused(
            "accounts are kept; what you do not want kept you remove:  iamctl account remove NAME",
        ),
    ),
    other(
        &["only-at"],
        Takes::Nothing,
        Then::Refused(
            "a token comes from an account, which is kept:  iamctl token NAME, then  iamctl account \
             remove NAME",
        ),
    ),
    other(&["client-secret"], Takes::Value, Then::Refused(CLIENT_SECRET)),
    other(&["access-token", "at"], Takes::Value, Then::Refused(ACCESS_TOKEN)),
    other(&["refresh-token", "rt"], Takes::Value, Then::Refused(REFRESH_TOKEN)),
    other(
        &["refresh-token-env", "rt-env"],
        Takes::Maybe,
        Then::Refused(
            "give it by descriptor:  iamctl account add NAME --client-id ID --refresh-token-fd 3 3<<<\"$VAR\"",
        ),
    ),
    other(
        &["op-password"],
        Takes::Value,
        Then::Refused(
            "the process list shows arguments to everybody; where an administrator allowed it:  \
             iamctl login NAME --flow password --password-fd 3 3< FILE",
        ),
    ),
    other(&["device-authorization-endpoint", "dae"], Takes::Value, Then::Refused(BY_THE_SITE)),
    other(
        &["configuration-endpoint", "config-endpoint", "discovery-endpoint"],
        Takes::Value,
        Then::Refused(BY_THE_SITE),
    ),
    other(
        &["mytoken-url", "mytoken-issuer"],
        Takes::Maybe,
        Then::Refused("mytoken keeps refresh tokens on a server; here the daemon does"),
    ),
    other(
        &["mytoken-profile", "mytoken"],
        Takes::Value,
        Then::Refused("mytoken keeps refresh tokens on a server; here the daemon does"),
    ),
    other(&["codeExchange"], Takes::Value, Then::Refused(NO_CODE_FLOW)),
    other(&["state"], Takes::Value, Then::Refused(NO_CODE_FLOW)),
];

/// Add, change and remove accounts.
#[derive(Debug, Parser)]
struct Asked {
    /// The account's short name
    #[arg(value_name = "ACCOUNT_SHORTNAME")]
    account: Option<String>,
    /// List all accounts
    #[arg(short = 'l', long)]
    accounts: bool,
    /// Print an account, without its secrets
    #[arg(short = 'p', long, value_name = "ACCOUNT_SHORTNAME")]
    print: Option<String>,
    /// Sign in again
    #[arg(long)]
    reauthenticate: bool,
    /// Give the account this name
    #[arg(long, value_name = "NEW_SHORTNAME")]
    rename: Option<String>,
    /// Remove the account
    #[arg(short = 'd', long)]
    delete: bool,
    /// Do not ask
    #[arg(long)]
    confirm_yes: bool,
    /// With a client that you had registered: --client-id
    #[arg(short = 'm', long)]
    manual: bool,
    /// The public client that the issuer's file names
    #[arg(long = "pub")]
    public: bool,
    /// The issuer
    #[arg(long, alias = "iss", value_name = "ISSUER_URL")]
    issuer: Option<String>,
    /// Ask for this scope; may be given several times
    #[arg(long = "scope", value_name = "SCOPE", value_parser = given_words)]
    scopes: Vec<String>,
    /// All scopes on offer
    #[arg(long, alias = "scope-all")]
    scope_max: bool,
    /// A client that you had registered; its secret is asked for
    #[arg(long, value_name = "CLIENT_ID")]
    client_id: Option<String>,
    /// For these audiences
    #[arg(long = "audience", alias = "aud", value_name = "AUDIENCE", value_parser = given_words)]
    audiences: Vec<String>,
    /// The end of the client's name at the issuer
    #[arg(long = "client-name-identifier", alias = "cnid", value_name = "IDENTIFIER")]
    client_name: Option<String>,
    /// How to sign in: device, or password where an administrator allowed it
    #[arg(short = 'w', long = "flow", value_name = "FLOW")]
    flows: Vec<String>,
    /// With --flow=password: the user name at the issuer
    #[arg(long, value_name = "USERNAME")]
    op_username: Option<String>,
}

/// Does what was asked.
pub(super) fn run(given: Vec<OsString>, context: &mut Context) -> Result<u8, Ended> {
    let mut asked: Asked = parse(Program::Gen, given, &[TALK, OTHERS], context)?;
    // There are no capitals here, and scripts that ask by the name with some are understood.
    for name in [&mut asked.account, &mut asked.rename].into_iter().flatten() {
        *name = meant(name);
    }
    if asked.accounts {
        return list(context);
    }
    if let Some(file) = &asked.print {
        // The name of the file is the account's.
        let name = Path::new(file).file_name().and_then(|name| name.to_str());
        return print(name.unwrap_or_default(), context);
    }
    if [&asked.account, &asked.rename].into_iter().flatten().any(|name| name.trim().is_empty()) {
        context.output.err.line("oidc-gen: an account has to be named, and the name is empty");
        return Ok(USAGE);
    }
    let existing = match asked.account.as_deref() {
        Some(name) => match context.client()?.account(name) {
            Ok(account) => Some(account),
            // Nobody signs in again who never did: a name that was mistyped.
            Err(failure) if failure.is(Kind::NoSuchAccount) && !asked.reauthenticate => None,
            Err(failure) => return Err(failure.into()),
        },
        None => None,
    };
    let mut signs_in = false;
    for words in asked.commands(existing.as_ref())? {
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        signs_in |= words[0] == "login" || words[..2] == ["account", "add"];
        if iamctl(&words, context)? != DONE {
            return Ok(FAILED);
        }
    }
    if signs_in {
        context.output.line("Everything setup correctly!");
    }
    Ok(DONE)
}

impl Asked {
    /// The commands of iamctl that do it, one after the other.
    fn commands(&self, existing: Option<&AccountInfo>) -> Result<Vec<Vec<String>>, Failure> {
        let flow = self.flow()?;
        let name = self.account.as_deref();
        let named = |what: &str| {
            name.ok_or_else(|| refused(what, "the account has to be named")).map(str::to_owned)
        };
        let of = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>();
        let login = |name: String| [of(&["login", &name]), flow.clone()].concat();
        if let Some(new_name) = &self.rename {
            return Ok(vec![of(&["account", "rename", &named("--rename")?, new_name])]);
        }
        if self.delete {
            let mut words = of(&["account", "remove", &named("--delete")?]);
            words.extend(self.confirm_yes.then(|| "--yes".to_owned()));
            return Ok(vec![words]);
        }
        if self.reauthenticate {
            return Ok(vec![login(named("--reauthenticate")?)]);
        }
        if self.manual && self.client_id.is_none() {
            return Err(refused(
                "--manual",
                "the client has to be named:  --client-id ID, or  iamctl account add NAME --client-id \
                 ID, which asks for its secret",
            ));
        }
        if let Some(account) = existing {
            // As the original does with one that is there: it signs in anew, for what is asked now.
            self.check_is(account)?;
            return Ok(vec![[login(account.name.clone()), self.wanted()].concat()]);
        }
        let mut words = of(&["account", "add"]);
        words.extend(name.map(str::to_owned));
        words.extend(self.issuer.as_ref().map(|issuer| format!("--issuer={issuer}")));
        words.extend(self.wanted());
        words.extend(self.scope_max.then(|| "--scope=max".to_owned()));
        words.extend(self.client_id.as_ref().map(|id| format!("--client-id={id}")));
        words.extend(self.public.then(|| "--public-client".to_owned()));
        words.extend(self.client_name().map(|name| format!("--client-name={name}")));
        if flow.is_empty() {
            return Ok(vec![words]);
        }
        words.push("--no-login".to_owned());
        Ok(vec![words, login(named("--flow=password")?)])
    }

    /// Whether the account that is there is the one that is meant: none is made another without a
    /// word, and none is left as it is where another was asked for.
    fn check_is(&self, account: &AccountInfo) -> Result<(), Failure> {
        let name = &account.name;
        let issuer = text::clean(self.issuer.as_deref().unwrap_or(&account.issuer));
        let another = |option: &str, what: &str, words: &str| {
            let why = format!(
                "{name} is there already, {what}; make one of another name:  iamctl account add \
                 NEW_NAME --issuer {issuer}{words}"
            );
            Err(refused(option, &why))
        };
        if self.issuer.as_deref().is_some_and(|url| !same_url(url, &account.issuer)) {
            return another("--issuer", &format!("at {}", account.issuer), "");
        }
        if let Some(id) = &self.client_id
            && account.client_id.as_ref() != Some(id)
        {
            let words = format!(" --client-id {}", text::clean(id));
            return another("--client-id", "with another client", &words);
        }
        if self.public && account.client.as_deref() != Some(client::PUBLIC) {
            return another("--pub", "with a client of its own", " --public-client");
        }
        if let Some(client_name) = self.client_name() {
            let client_name = text::clean(&client_name);
            let why = format!(
                "{name} is there already:  iamctl account edit {name} --client-name {client_name}"
            );
            return Err(refused("--client-name-identifier", &why));
        }
        if self.scope_max || self.scopes.iter().any(|scope| scope == "max") {
            let why =
                format!("{name} is there already:  iamctl account edit {name} --scope max --login");
            return Err(refused("--scope-max", &why));
        }
        Ok(())
    }

    fn client_name(&self) -> Option<String> {
        let end = self.client_name.as_ref()?;
        Some(format!("oidc-agent:{}-{end}", self.account.as_deref().unwrap_or("account")))
    }

    fn wanted(&self) -> Vec<String> {
        let scopes = self.scopes.iter().map(|scope| format!("--scope={scope}"));
        let audiences = self.audiences.iter().flat_map(|text| text.split_whitespace());
        scopes.chain(audiences.map(|one| format!("--aud={one}"))).collect()
    }

    /// The first of the ways to sign in that there is, as options of `iamctl login`.
    fn flow(&self) -> Result<Vec<String>, Failure> {
        let first = self.flows.iter().find(|flow| ["device", "password"].contains(&flow.as_str()));
        match (first.map(String::as_str), self.flows.first().map(String::as_str), &self.op_username)
        {
            (Some("password"), _, user) => {
                let mut words = vec!["--flow=password".to_owned()];
                words.extend(user.as_ref().map(|user| format!("--user={user}")));
                Ok(words)
            }
            (_, _, Some(_)) => Err(refused(
                "--op-username",
                "it is for --flow=password, where an administrator allowed that",
            )),
            (Some(_), ..) | (None, None, _) => Ok(Vec::new()),
            (None, Some("refresh"), _) => Err(refused(
                "--flow=refresh",
                "give the refresh token by descriptor:  iamctl account add NAME --client-id ID \
                 --refresh-token-fd 3 3< FILE",
            )),
            (None, Some("code"), _) => Err(refused(
                "--flow=code",
                "it needs a browser on the node; --flow=device needs one on any device",
            )),
            (None, Some(_), _) => Err(refused("--flow", "there are device and password only")),
        }
    }
}

#[cfg(test)]
#[path = "generate_tests.rs"]
mod tests;
