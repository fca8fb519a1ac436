//! One record per security event, in fields and not in prose, so that `journalctl` can filter.
//! Never a token: where one is meant, the beginning of its SHA-256. The names of the fields and the
//! events are [`iamd_protocol::audit`]'s; `dist/catalog/iamd.catalog` explains each.

mod caller;
mod counts;
mod people;
mod repeats;

#[cfg(test)]
mod tests;

use std::fmt::Write as _;

pub use counts::Counted;
pub use people::People;
use secrecy::{ExposeSecret, SecretString};
use sha2::{Digest, Sha256};

pub use repeats::Repeats;

/// The longest value, in characters: an account may have some hundred scopes.
const LONGEST: usize = 4096;

/// The target of audit records in the log filter; they are never filtered out.
pub const TARGET: &str = "iamd::audit";

macro_rules! kinds {
    ($( $(#[doc = $doc:literal])* $kind:ident = $word:literal, $id:literal; )*) => {
        /// What happened.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum Kind { $( $(#[doc = $doc])* $kind, )* }

        impl Kind {
            /// Every kind.
            pub const ALL: &'static [Self] = &[$( Self::$kind, )*];

            /// The word in `IAMD_EVENT`.
            pub const fn word(self) -> &'static str {
                match self { $( Self::$kind => $word, )* }
            }

            /// The `MESSAGE_ID`, stable for ever.
            pub const fn message_id(self) -> &'static str {
                match self { $( Self::$kind => $id, )* }
            }
        }
    };
}

kinds! {
    /// A user signed in.
    SignIn = "sign-in", "5d1f0c7e3b8a4f6e9c2d7a1b4e8f3c60";
    /// A user signed out.
    SignOut = "sign-out", "8e2a6b4d1c9f47e5b3a0d6f2c7815e94";
    /// A login was started.
    LoginStarted = "login-started", "c3b7f1a95e2d4806a4f9e8d3b6c0725a";
    /// A login ended without success.
    LoginFailed = "login-failed", "1f9e4c6a7d3b48529e8f0a2c5b7d6e13";
    /// A token was handed out.
    Issue = "issue", "a7c4e92f6d1b4b3085e7f3c9d2a6b148";
    /// A token for less, or for another audience, was handed out.
    Narrowed = "narrowed", "3e7ac05b91d64f28b6f3d80e2a5c7194";
    /// The issuer was asked for a token.
    Refresh = "refresh", "62d8b5f3e9a14c7cb0d6a1e4f7283c95";
    /// A request was refused.
    Denial = "denial", "e4f6a8d2c5b94317980b7e3d1f6c2a59";
    /// A client was registered at an issuer, or changed there.
    Registration = "registration", "3a9d7e1c6f4b42e8b5c0f8a2d9e37461";
    /// An account was made.
    AccountAdded = "account-added", "4b8e1d6f0a7c4e52b3f9d5c8a1e60793";
    /// An account was changed: scopes, audiences, name, the default one.
    AccountChanged = "account-changed", "f27a9c3e5b104d86a8c1e7f40b9d6352";
    /// An account was removed.
    AccountRemoved = "account-removed", "0d6e4a81b7f345c9923c8e5fa6d1b07e";
    /// The secrets of an account were asked for by its owner.
    Secrets = "secrets", "b95f2c7d48e64a1390d7e3a6c8f1052b";
    /// A session began.
    SessionOpened = "session-opened", "b1e5c8f7a3d64920a6e2d4f9c7b0835e";
    /// A session ended.
    SessionClosed = "session-closed", "7c3f9b2e8d5a4e61b9f0c6a3e1d4782b";
    /// An administrator did something.
    Administration = "administration", "d6b2e7a4f9c1483f85d0a9e6c3b7f214";
    /// An account with a passphrase was locked, by its user or when its time was over.
    Lock = "lock", "5c0e7b92d4a84f1e9b63a8c1f7d2e046";
    /// An account was unlocked with its passphrase.
    Unlock = "unlock", "f2a96d3c81e54b70ad47c9e05b1f8362";
    /// A wrong passphrase was given.
    WrongPassphrase = "wrong-passphrase", "0b8d4f6ea1c7493295f3e2d8a6704c1b";
    /// The passphrase of an account was set, changed or removed.
    Passphrase = "passphrase", "e9374c1ab5f04d8687d2c0b6f1a8395e";
    /// A uid's accounts belong to an earlier user of that uid.
    UidReused = "uid-reused", "94e1c7d3b6fa4a0282f5e8b9d0c63a7f";
}

/// One event. Empty fields are left out of the record.
#[derive(Debug, Clone, Default)]
pub struct Event<'a> {
    /// Whose.
    pub uid: u32,
    /// The account's name.
    pub account: &'a str,
    /// The issuer's URL.
    pub issuer: &'a str,
    /// The client identifier.
    pub client: &'a str,
    /// The scopes.
    pub scopes: String,
    /// The audiences.
    pub audience: String,
    /// [`token_hash`] of the token that is meant.
    pub token_hash: String,
    /// The caller's process, for the record only: never used to decide.
    pub caller_pid: Option<u32>,
    /// Whose process that is, where it is not this user's.
    pub caller_uid: Option<u32>,
    /// `ok`, or the name of an error.
    pub result: &'a str,
    /// More, for people; no secrets.
    pub detail: String,
}

/// Where events go.
pub trait Audit: Send + Sync + 'static {
    /// Records one event.
    fn record(&self, kind: Kind, event: &Event<'_>);
}

/// The journal, through tracing; see `startup` for the subscriber.
#[derive(Debug, Clone, Copy, Default)]
pub struct Journal;

impl Audit for Journal {
    fn record(&self, kind: Kind, event: &Event<'_>) {
        let of = event.caller_uid.unwrap_or(event.uid);
        let program = event.caller_pid.and_then(|pid| caller::program(pid, of));
        let fields = Fields::of(event, program.as_deref().unwrap_or_default());
        tracing::info!(
            target: TARGET,
            MESSAGE_ID = kind.message_id(),
            IAMD_EVENT = kind.word(),
            IAMD_UID = event.uid,
            IAMD_ACCOUNT = fields.account,
            IAMD_ISSUER = fields.issuer,
            IAMD_CLIENT = fields.client,
            IAMD_SCOPES = fields.scopes,
            IAMD_AUDIENCE = fields.audience,
            IAMD_JTI_HASH = fields.token_hash,
            IAMD_CALLER_PID = event.caller_pid,
            IAMD_CALLER_EXE = fields.program,
            IAMD_RESULT = fields.result,
            IAMD_DETAIL = fields.detail,
            "{}", fields.line(kind, event.uid)
        );
    }
}

/// What of an event stands in its record: users and issuers name much of it.
struct Fields {
    account: Option<String>,
    issuer: Option<String>,
    client: Option<String>,
    scopes: Option<String>,
    audience: Option<String>,
    token_hash: Option<String>,
    program: Option<String>,
    result: Option<String>,
    detail: Option<String>,
}

impl Fields {
    fn of(event: &Event<'_>, program: &str) -> Self {
        Self {
            account: clean(event.account),
            issuer: clean(event.issuer),
            client: clean(event.client),
            scopes: clean(&event.scopes),
            audience: clean(&event.audience),
            token_hash: clean(&event.token_hash),
            program: clean(program),
            result: clean(event.result),
            detail: clean(&event.detail),
        }
    }

    /// The record as one line for people.
    fn line(&self, kind: Kind, uid: u32) -> String {
        let mut line = format!("{} uid={uid}", kind.word());
        let named =
            [("account", &self.account), ("issuer", &self.issuer), ("result", &self.result)];
        for (name, value) in named {
            if let Some(value) = value {
                let _ = write!(line, " {name}={value}");
            }
        }
        if let Some(detail) = &self.detail {
            let _ = write!(line, ": {detail}");
        }
        line
    }
}

/// A value on one line, bounded, with nothing in it that a terminal acts on or that hides or turns
/// text; `None` where there is none.
fn clean(text: &str) -> Option<String> {
    let hidden = |c: char| {
        matches!(c,
            '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}'
            | '\u{61c}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}')
    };
    let shown = |c: char| if c.is_control() || hidden(c) { '?' } else { c };
    let mut line: String = text.chars().map(shown).take(LONGEST).collect();
    if text.chars().nth(LONGEST).is_some() {
        line.push('\u{2026}');
    }
    (!line.is_empty()).then_some(line)
}

/// What names a token in a record: the first 16 hexadecimal digits of its SHA-256. Who holds the
/// token can find its record; nobody can guess a token.
pub fn token_hash(token: &SecretString) -> String {
    hash(token.expose_secret().as_bytes())
}

/// The first 16 hexadecimal digits of a SHA-256. What can be guessed is found by its hash: such
/// things are named by [`People`].
fn hash(bytes: &[u8]) -> String {
    short(&Sha256::digest(bytes))
}

fn short(digest: &[u8]) -> String {
    digest.iter().take(8).fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}
