//! What became of each file, for people and for programs.

use iamd_protocol::error::Exit;
use iamd_protocol::paths::AGENT_SOCKET;
use iamd_protocol::variables::OIDC_SOCK;
use serde_json::{Value, json};

use crate::app::Context;
use crate::args::ImportOidcAgent;
use crate::failure::Failure;
use crate::oidc_agent::Account;
use crate::output::json::error;
use crate::output::text;

/// A file.
pub(super) struct Entry {
    /// Its path.
    pub(super) file: String,
    /// The name of the account here.
    pub(super) account: Option<String>,
    pub(super) issuer: Option<String>,
    client_id: Option<String>,
    scopes: Vec<String>,
    audiences: Vec<String>,
    /// Whether its client is the public one that oidc-agent has for the issuer.
    pub(super) has_public_client: bool,
    pub(super) outcome: Outcome,
    /// Whether the file is gone.
    pub(super) removed: bool,
    pub(super) remarks: Vec<String>,
}

/// What became of it.
pub(super) enum Outcome {
    /// Nothing yet.
    Open,
    Imported,
    WouldImport,
    Failed(Failure),
}

impl Entry {
    pub(super) fn new(file: String) -> Self {
        Self {
            file,
            account: None,
            issuer: None,
            client_id: None,
            scopes: Vec::new(),
            audiences: Vec::new(),
            has_public_client: false,
            outcome: Outcome::Open,
            removed: false,
            remarks: Vec::new(),
        }
    }

    /// Takes down what is in the file, but no secret.
    pub(super) fn is_of(&mut self, account: &Account, name: Option<&str>) {
        let clean = |words: &[String]| words.iter().map(|word| text::clean(word)).collect();
        self.account = name.map(str::to_owned).or(account.name.clone());
        self.issuer = Some(text::clean(&account.issuer));
        self.client_id = account.client_id.as_deref().map(text::clean);
        self.has_public_client = account.has_public_client;
        self.scopes = clean(&account.scopes);
        self.audiences = clean(&account.audiences);
        self.remarks = account.remarks.iter().map(|remark| text::clean(remark)).collect();
    }

    /// Whether it would have taken that name.
    pub(super) fn would_be(&self, name: Option<&str>) -> bool {
        matches!(self.outcome, Outcome::WouldImport) && self.account.as_deref() == name
    }

    fn json(&self) -> Value {
        let (result, failure) = match &self.outcome {
            Outcome::Imported => ("imported", None),
            Outcome::WouldImport => ("would-import", None),
            Outcome::Failed(failure) => ("failed", Some(error(failure))),
            Outcome::Open => ("failed", None),
        };
        json!({
            "file": self.file,
            "result": result,
            "account": self.account.as_deref().map(text::clean),
            "issuer": self.issuer,
            "client_id": self.client_id,
            "scopes": self.scopes,
            "audiences": self.audiences,
            "removed": self.removed,
            "remarks": self.remarks,
            "error": failure,
        })
    }

    /// Tells people what became of it.
    pub(super) fn tell(&self, args: &ImportOidcAgent, context: &mut Context) {
        if args.json {
            return;
        }
        let account = text::clean(self.account.as_deref().unwrap_or_default());
        let issuer = self.issuer.as_deref().unwrap_or_default();
        match &self.outcome {
            Outcome::Imported => {
                context.output.tell(&format!("{}: account {account} is here now.", self.file));
                if self.removed {
                    context.output.tell("The file is removed.");
                }
            }
            Outcome::WouldImport => {
                let client = self.client_id.as_deref().unwrap_or("that everybody has there");
                let scopes = match self.scopes.as_slice() {
                    [] => "those that are usual there".to_owned(),
                    scopes => scopes.join(" "),
                };
                context.output.tell(&format!(
                    "{}: would become the account {account} at {issuer}, with the client {client} \
                     and the scopes: {scopes}",
                    self.file
                ));
            }
            Outcome::Failed(failure) => {
                let message = format!("{}: {}", self.file, failure.message);
                context.output.failure(&Failure { message, ..failure.clone() }, false);
                return;
            }
            Outcome::Open => {}
        }
        for remark in &self.remarks {
            let remark = text::wrap_indented(remark, context.output.err.columns(), 2);
            context.output.err.line(&format!("  {remark}"));
        }
    }
}

/// What is said when each was told of, or all of it for a program; how the command ends.
pub(super) fn end(entries: &[Entry], args: &ImportOidcAgent, context: &mut Context) -> Exit {
    if args.json {
        let accounts: Vec<Value> = entries.iter().map(Entry::json).collect();
        context.output.json(&json!({ "accounts": accounts }));
    } else {
        tell_the_end(entries, context);
    }
    let failed = entries.iter().find_map(|entry| match &entry.outcome {
        Outcome::Failed(failure) => Some(failure.exit),
        _ => None,
    });
    failed.unwrap_or(Exit::Done)
}

/// How an oidc-agent that runs gives up what it has. A login leads its clients to iamd by now, so that
/// it is reached by its own socket only, or ended by its name.
fn give_up(context: &Context) -> String {
    let own = context.environment.non_empty(OIDC_SOCK).filter(|path| *path != AGENT_SOCKET);
    let socket =
        own.map_or_else(|| "ITS_SOCKET".to_owned(), |path| text::clean(&path.to_string_lossy()));
    format!(
        "OIDC_SOCK={socket} /usr/bin/oidc-add -R, or, to end it:  pkill -u \"$USER\" oidc-agent"
    )
}

fn tell_the_end(entries: &[Entry], context: &mut Context) {
    let is = |outcome: fn(&Outcome) -> bool| entries.iter().any(|entry| outcome(&entry.outcome));
    if is(|outcome| matches!(outcome, Outcome::WouldImport)) {
        context.output.tell(
            "Nothing was used or changed, at no issuer either. Without --dry-run, each refresh \
             token would be used once at its issuer and kept by iamd.",
        );
    }
    if is(|outcome| matches!(outcome, Outcome::Imported)) {
        let text = format!(
            "A sign-in has one holder: where the issuer replaces refresh tokens, the copy of an \
             oidc-agent that has one of these loaded is dead, and using it can end the sign-in here \
             too. It should give all of them up now:  {}",
            give_up(context)
        );
        context.output.tell(&text);
    }
}
