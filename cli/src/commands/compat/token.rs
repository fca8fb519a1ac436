//! `oidc-token`.

use std::ffi::OsString;
use std::path::Path;

use clap::Parser;
use iamd_protocol::bus::TokenOptions;
use iamd_protocol::error::Kind;
use iamd_protocol::names::meant;
use secrecy::ExposeSecret;
use zeroize::Zeroizing;

use super::options::{Other, TALK, Takes, Then, lengthened, other, parse, refused, short};
use super::{DONE, Ended, Program, USAGE, agent, told_name};
use crate::app::Context;
use crate::args::given_words;
use crate::client::agent::id_token;
use crate::commands::ask::{self, Token};
use crate::commands::words;
use crate::failure::Failure;

const OTHERS: &[Other] = &[
    // The original has neither this nor --debug; its siblings have.
    short('v', &["verbose"], Takes::Nothing, Then::Ignored),
    other(
        &["mytoken", "MT"],
        Takes::Maybe,
        Then::Refused(
            "iamd issues no mytokens; a token for less is to be had with --scope and --aud",
        ),
    ),
];

/// Print an access token.
#[derive(Debug, Parser)]
struct Asked {
    /// The account's short name, or its issuer's URL
    #[arg(value_name = "ACCOUNT_SHORTNAME | ISSUER_URL")]
    account: Option<String>,
    /// Valid for more than so many seconds
    #[arg(short = 't', long, value_name = "SECONDS")]
    time: Option<u32>,
    /// A new one, even when there is one that would do
    #[arg(short = 'f', long)]
    force_new: bool,
    /// Print the token; with a name, as a shell command that sets it [-o]
    #[arg(long, value_name = "VAR", num_args = 0..=1, require_equals = true)]
    token: Option<Option<String>>,
    /// Print the issuer [-i]
    #[arg(long, value_name = "VAR", num_args = 0..=1, require_equals = true)]
    issuer: Option<Option<String>>,
    /// Print when the token expires [-e]
    #[arg(long, value_name = "VAR", num_args = 0..=1, require_equals = true)]
    expires_at: Option<Option<String>>,
    /// Shell commands for all three
    #[arg(short = 'c', long)]
    env: bool,
    /// All three, a line each
    #[arg(short = 'a', long)]
    all: bool,
    /// Put "Bearer" in front
    #[arg(long)]
    bearer: bool,
    /// As an HTTP header
    #[arg(long, alias = "auth")]
    auth_header: bool,
    /// Only this scope; may be given several times
    #[arg(short = 's', long = "scope", value_name = "SCOPE", value_parser = given_words)]
    scopes: Vec<String>,
    /// For these audiences
    #[arg(long = "aud", alias = "audience", value_name = "AUDIENCE", value_parser = given_words)]
    audiences: Vec<String>,
    /// Print an ID token instead
    #[arg(long)]
    id_token: bool,
    /// The program that asks
    #[arg(long, value_name = "NAME")]
    name: Option<String>,
}

/// Prints what was asked of a token.
pub(super) fn run(given: Vec<OsString>, context: &mut Context) -> Result<u8, Ended> {
    let optional = [('o', "token"), ('i', "issuer"), ('e', "expires-at"), ('m', "mytoken")];
    let given = lengthened(given, &optional, &['t', 's']);
    let asked: Asked = parse(Program::Token, given, &[TALK, OTHERS], context)?;
    let Some(account) = asked.account.as_deref().filter(|account| !account.is_empty()) else {
        context.output.err.line("oidc-token: an account or an issuer has to be named");
        return Ok(USAGE);
    };
    let (named, account) = (account, &*meant(account));
    let form = asked.form()?;
    // A token must not end up in a core file.
    let _ = nix::sys::prctl::set_dumpable(false);
    if asked.id_token {
        // As the original: nothing else of it is printed.
        let socket = agent::socket(&context.client()?)?;
        let token = id_token(Path::new(&socket), account, asked.application(), context.limit);
        let token = token.map_err(|failure| failure.about(Some(account)))?;
        let mut line = Zeroizing::new(token.expose_secret().as_bytes().to_vec());
        if !line.iter().all(|byte| byte.is_ascii_graphic()) {
            let text = "the issuer's ID token has characters that no token has";
            return Err(Failure::new(Kind::IssuerMalformed, text).into());
        }
        line.push(b'\n');
        context.output.out.put(&line);
        return Ok(DONE);
    }
    let token = asked
        .ask(context, account)
        .map_err(|failure| told_name(failure.about(Some(account)), named))?;
    for remark in &token.reply.remarks {
        context.output.tell(&format!("oidc-token: {remark}"));
    }
    context.output.out.put(&form.of(&token));
    Ok(DONE)
}

impl Asked {
    /// A token that is valid long enough, else the one that the issuer gave instead, which the daemon
    /// has: the original makes no promise of it.
    fn ask(&self, context: &Context, account: &str) -> Result<Token, Failure> {
        let mut options = TokenOptions {
            scopes: words(&self.scopes),
            audiences: words(&self.audiences),
            min_valid_seconds: self.time.filter(|_| !self.force_new),
            force_new: self.force_new.then_some(true),
            strict: None,
            application: Some(self.application().to_owned()),
        };
        match ask::token(context, account, &options) {
            Err(failure) if failure.is(Kind::ValidityUnavailable) => {
                options.min_valid_seconds = Some(0);
                ask::token(context, account, &options)
            }
            answer => answer,
        }
    }

    fn application(&self) -> &str {
        self.name.as_deref().unwrap_or_else(|| Program::Token.name())
    }

    fn form(&self) -> Result<Form, Failure> {
        if self.all {
            return Ok(Form::Lines);
        }
        if self.auth_header {
            return Ok(Form::Header);
        }
        if self.bearer {
            return Ok(Form::Bearer);
        }
        let wanted = [&self.token, &self.issuer, &self.expires_at];
        let named = wanted.iter().any(|value| matches!(value, Some(Some(_))));
        let count = wanted.iter().filter(|value| value.is_some()).count();
        if !self.env && !named && count <= 1 {
            return Ok(Form::One(match (&self.issuer, &self.expires_at) {
                (Some(_), _) => Part::Issuer,
                (_, Some(_)) => Part::ExpiresAt,
                _ => Part::Token,
            }));
        }
        let parts = [Part::Token, Part::Issuer, Part::ExpiresAt];
        let mut variables = Vec::new();
        for (part, value) in parts.into_iter().zip(wanted) {
            match value {
                Some(Some(name)) if !is_name(name) => {
                    return Err(refused(name, "no shell has a variable of that name"));
                }
                Some(Some(name)) => variables.push((part, name.clone())),
                Some(None) => variables.push((part, part.variable().to_owned())),
                None if self.env => variables.push((part, part.variable().to_owned())),
                None => {}
            }
        }
        Ok(Form::Variables(variables))
    }
}

/// What is known of a token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Part {
    Token,
    Issuer,
    ExpiresAt,
}

impl Part {
    /// The variable that it goes into where none is named.
    fn variable(self) -> &'static str {
        match self {
            Self::Token => "OIDC_AT",
            Self::Issuer => "OIDC_ISS",
            Self::ExpiresAt => "OIDC_EXP",
        }
    }

    fn of(self, token: &Token) -> Zeroizing<String> {
        match self {
            Self::Token => Zeroizing::new((**token).to_owned()),
            Self::Issuer => Zeroizing::new(token.reply.issuer.clone()),
            Self::ExpiresAt => Zeroizing::new(token.reply.expires_at.to_string()),
        }
    }
}

/// How it is printed.
#[derive(Debug, PartialEq, Eq)]
enum Form {
    One(Part),
    Lines,
    Bearer,
    Header,
    Variables(Vec<(Part, String)>),
}

impl Form {
    fn of(&self, token: &Token) -> Zeroizing<Vec<u8>> {
        let mut bytes = Zeroizing::new(Vec::with_capacity(token.len() + 4096));
        let mut put = |text: &str| bytes.extend_from_slice(text.as_bytes());
        match self {
            Self::One(part) => [part.of(token).as_str(), "\n"].into_iter().for_each(put),
            Self::Lines => {
                for part in [Part::Token, Part::Issuer, Part::ExpiresAt] {
                    [part.of(token).as_str(), "\n"].into_iter().for_each(&mut put);
                }
            }
            Self::Bearer => ["Bearer ", &**token].into_iter().for_each(put),
            Self::Header => ["Authorization: Bearer ", &**token].into_iter().for_each(put),
            Self::Variables(variables) => {
                for (part, name) in variables {
                    let value = quoted(part.of(token));
                    let line =
                        [name.as_str(), "=", value.as_str(), "; export ", name.as_str(), ";\n"];
                    line.into_iter().for_each(&mut put);
                }
            }
        }
        bytes
    }
}

/// As it is where a shell takes it as it is, else in quotes: an issuer's URL may have anything.
fn quoted(value: Zeroizing<String>) -> Zeroizing<String> {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "-._~+/=:%@,".contains(c);
    if value.chars().all(is_plain) {
        return value;
    }
    Zeroizing::new(format!("'{}'", value.replace('\'', r"'\''")))
}

fn is_name(text: &str) -> bool {
    !text.is_empty()
        && !text.starts_with(|c: char| c.is_ascii_digit())
        && text.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
}
