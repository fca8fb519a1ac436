//! `oidc-gen`: accounts come, change and go by iamctl's own commands.

use std::ffi::OsString;
use std::path::Path;

use clap::Parser;
use iamd_protocol::error::Kind;

use super::options::{Other, TALK, Takes, Then, other, parse, refused, short};
use super::{DONE, Ended, FAILED, Program, iamctl, list, print};
use crate::app::Context;
use crate::failure::Failure;

const NO_CODE_FLOW: &str = "it belongs to the code flow, which needs a browser on the node; here the \
                            code is entered on any device";
const SECRET: &str = "the process list shows arguments to everybody; give it by descriptor:  iamctl \
                      account add";
const BY_THE_SITE: &str = "the site names it in the issuer's file, see iamd.toml(5)";

const OTHERS: &[Other] = &[
    short('v', &["verbose"], Takes::Nothing, Then::Ignored),
    other(&["pw-env"], Takes::Maybe, Then::Ignored),
    other(&["pw-cmd"], Takes::Value, Then::Ignored),
    other(&["pw-file"], Takes::Value, Then::Ignored),
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
    other(&["client-secret"], Takes::Value, Then::Refused(SECRET)),
    other(&["access-token", "at"], Takes::Value, Then::Refused(SECRET)),
    other(&["refresh-token", "rt"], Takes::Value, Then::Refused(SECRET)),
    other(
        &["refresh-token-env", "rt-env"],
        Takes::Maybe,
        Then::Refused(
            "give it by descriptor:  iamctl account add NAME --client-id ID --refresh-token-fd 3 3<<<\"$VAR\"",
        ),
    ),
    other(
        &["op-username"],
        Takes::Value,
        Then::Refused(
            "where an administrator allowed it:  iamctl login --flow password --user NAME",
        ),
    ),
    other(
        &["op-password"],
        Takes::Value,
        Then::Refused(
            "where an administrator allowed it:  iamctl login --flow password --password-fd N",
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
    #[arg(long = "scope", value_name = "SCOPE")]
    scopes: Vec<String>,
    /// All scopes on offer
    #[arg(long, alias = "scope-all")]
    scope_max: bool,
    /// A client that you had registered; its secret is asked for
    #[arg(long, value_name = "CLIENT_ID")]
    client_id: Option<String>,
    /// For these audiences
    #[arg(long = "audience", alias = "aud", value_name = "AUDIENCE")]
    audiences: Vec<String>,
    /// The end of the client's name at the issuer
    #[arg(long = "client-name-identifier", alias = "cnid", value_name = "IDENTIFIER")]
    client_name: Option<String>,
    /// How to sign in: device
    #[arg(short = 'w', long = "flow", value_name = "FLOW")]
    flows: Vec<String>,
}

/// Does what was asked.
pub(super) fn run(given: Vec<OsString>, context: &mut Context) -> Result<u8, Ended> {
    let asked: Asked = parse(Program::Gen, given, &[TALK, OTHERS], context)?;
    if asked.accounts {
        return list(context);
    }
    if let Some(file) = &asked.print {
        // The name of the file is the account's.
        let name = Path::new(file).file_name().and_then(|name| name.to_str());
        return print(name.unwrap_or_default(), context);
    }
    let exists = match asked.account.as_deref() {
        Some(name) => match context.client()?.account(name) {
            Ok(_) => true,
            Err(failure) if failure.is(Kind::NoSuchAccount) => false,
            Err(failure) => return Err(failure.into()),
        },
        None => false,
    };
    let words = asked.words(exists)?;
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let code = iamctl(&words, context)?;
    let signs_in = words[0] == "login" || words[..2] == ["account", "add"];
    if code == DONE && signs_in {
        context.output.line("Everything setup correctly!");
    }
    Ok(if code == DONE { DONE } else { FAILED })
}

impl Asked {
    /// The command of iamctl that does it.
    fn words(&self, exists: bool) -> Result<Vec<String>, Failure> {
        self.check_flows()?;
        let name = self.account.as_deref();
        let named = |what: &str| {
            name.ok_or_else(|| refused(what, "the account has to be named")).map(str::to_owned)
        };
        let of = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>();
        if let Some(new_name) = &self.rename {
            return Ok(of(&["account", "rename", &named("--rename")?, new_name]));
        }
        if self.delete {
            let mut words = of(&["account", "remove", &named("--delete")?]);
            words.extend(self.confirm_yes.then(|| "--yes".to_owned()));
            return Ok(words);
        }
        if self.reauthenticate {
            return Ok(of(&["login", &named("--reauthenticate")?]));
        }
        if self.manual && self.client_id.is_none() {
            return Err(refused(
                "--manual",
                "the client has to be named:  --client-id ID, or  iamctl account add NAME --client-id \
                 ID, which asks for its secret",
            ));
        }
        if exists {
            // As the original does with one that is there: it signs in anew, for what is asked now.
            let mut words = of(&["login"]);
            words.extend(name.map(str::to_owned));
            words.extend(self.wanted());
            return Ok(words);
        }
        let mut words = of(&["account", "add"]);
        words.extend(name.map(str::to_owned));
        words.extend(self.issuer.as_ref().map(|issuer| format!("--issuer={issuer}")));
        words.extend(self.wanted());
        words.extend(self.scope_max.then(|| "--scope=max".to_owned()));
        words.extend(self.client_id.as_ref().map(|id| format!("--client-id={id}")));
        words.extend(self.public.then(|| "--public-client".to_owned()));
        if let Some(end) = &self.client_name {
            let name = name.unwrap_or("account");
            words.push(format!("--client-name=oidc-agent:{name}-{end}"));
        }
        Ok(words)
    }

    fn wanted(&self) -> Vec<String> {
        let scopes = self.scopes.iter().map(|scope| format!("--scope={scope}"));
        let audiences = self.audiences.iter().flat_map(|text| text.split_whitespace());
        scopes.chain(audiences.map(|one| format!("--aud={one}"))).collect()
    }

    /// One of the ways to sign in has to be one that there is.
    fn check_flows(&self) -> Result<(), Failure> {
        let is = |flow: &str| self.flows.iter().any(|one| one == flow);
        if self.flows.is_empty() || is("device") {
            return Ok(());
        }
        Err(match self.flows[0].as_str() {
            "password" => refused(
                "--flow=password",
                "where an administrator allowed it:  iamctl login --flow password",
            ),
            "refresh" => refused(
                "--flow=refresh",
                "give the refresh token by descriptor:  iamctl account add NAME --client-id ID \
                 --refresh-token-fd 3 3< FILE",
            ),
            "code" => refused(
                "--flow=code",
                "it needs a browser on the node; --flow=device needs one on any device",
            ),
            _ => refused("--flow", "there is device only"),
        })
    }
}

#[cfg(test)]
#[path = "generate_tests.rs"]
mod tests;
