//! Which clients users may sign in with by password. Two locks: the site's, kept here, and the
//! issuer's, which an administrator there can open through us. Whoever calls these was authorised
//! by polkit at the edge.

use std::sync::Arc;

use iamd_protocol::{
    bus::{PasswordFlowInfo, PasswordFlowOptions, PasswordFlowReply},
    error::Kind,
};

use super::{By, Caller, Service, ServiceError};
use crate::{
    account::{
        ClientAuth, ClientOwner, ClientPolicy, ClientRecord, IssuerProfile, PasswordFlow,
        ports::{GrantChange, LockOn, Revision, Stored, VaultError},
    },
    audit,
    config::Config,
};

/// The client that is meant, checked.
struct Meant {
    profile: IssuerProfile,
    client_id: String,
}

/// What administrators are told of one.
pub(super) fn told(config: &Config, flow: PasswordFlow) -> PasswordFlowInfo {
    PasswordFlowInfo {
        issuer_name: config.issuer(&flow.issuer).map(|profile| profile.name.clone()),
        issuer: flow.issuer,
        client: flow.client_id,
        enabled_by: flow.enabled_by,
        enabled_by_user: flow.enabled_by_user,
        enabled_at: flow.enabled_at.0,
        problem: None,
    }
}

impl Service {
    /// The clients that users may sign in with by password.
    ///
    /// # Errors
    /// The store.
    pub async fn password_flows(&self, by: By) -> Result<Vec<PasswordFlowInfo>, ServiceError> {
        let kept = self.vault.password_flows().await.map_err(ServiceError::from);
        self.note_administration(by, "password-flow list", kept.as_ref().err());
        let config = self.config();
        let info = |flow: Result<PasswordFlow, VaultError>| match flow {
            Ok(flow) => told(&config, flow),
            Err(error) => {
                PasswordFlowInfo { problem: Some(error.to_string()), ..Default::default() }
            }
        };
        let mut flows: Vec<_> = kept?.into_iter().map(info).collect();
        flows.sort_by(|a, b| (&a.issuer, &a.client).cmp(&(&b.issuer, &b.client)));
        Ok(flows)
    }

    /// Lets users sign in by password with one client of one issuer: here, and at the issuer too
    /// where that is asked for. What fails changes nothing, or the error says what is left.
    ///
    /// # Errors
    /// Arguments, a public client, the store, the issuer.
    pub async fn enable_password_flow(
        self: &Arc<Self>,
        by: &Caller,
        options: PasswordFlowOptions,
    ) -> Result<PasswordFlowReply, ServiceError> {
        let result = self.enable_flow(by, &options).await;
        self.note_flow(by, "password-flow enable", &options, &result);
        result
    }

    /// Takes that leave away: here at once, and at the issuer too where that is asked for.
    /// Sign-ins that there are go on.
    ///
    /// # Errors
    /// Arguments, the store, the issuer; the text says what is off already.
    pub async fn disable_password_flow(
        self: &Arc<Self>,
        by: &Caller,
        options: PasswordFlowOptions,
    ) -> Result<PasswordFlowReply, ServiceError> {
        let result = self.disable_flow(by, &options).await;
        self.note_flow(by, "password-flow disable", &options, &result);
        result
    }

    /// Whether the site lets users sign in by password with this client.
    ///
    /// # Errors
    /// What the user can send to the administrators; the store.
    pub(super) async fn may_use_password(
        &self,
        profile: &IssuerProfile,
        client: &ClientRecord,
        user: &str,
    ) -> Result<(), ServiceError> {
        let issuer = profile.url.as_str();
        match self.vault.password_flow(issuer, &client.client_id).await {
            Ok(Some(_)) => self.may_be_public(profile, client),
            Ok(None) => Err(self.not_enabled(profile, client, user)),
            // Somebody else put it there: it opens nothing.
            Err(VaultError::Unreadable { text }) => {
                tracing::error!(issuer = %profile.name, client = client.client_id, "{text}");
                Err(self.not_enabled(profile, client, user))
            }
            Err(error) => Err(error.into()),
        }
    }

    /// What a user hears whose client is not enabled, with what to send to whom.
    fn not_enabled(
        &self,
        profile: &IssuerProfile,
        client: &ClientRecord,
        user: &str,
    ) -> ServiceError {
        let text = format!(
            "the password flow is not enabled for the client {} at {}. To send to the administrators \
             of {}: please let {user} sign in by password:  iamctl admin password-flow enable \
             --issuer {} --client {}",
            client.client_id,
            profile.title,
            self.config().site_name.as_deref().unwrap_or(&self.node),
            quoted(named(profile)),
            quoted(&client.client_id),
        );
        ServiceError::new(Kind::DeniedByPolicy, text)
    }

    async fn enable_flow(
        self: &Arc<Self>,
        by: &Caller,
        options: &PasswordFlowOptions,
    ) -> Result<PasswordFlowReply, ServiceError> {
        let Meant { profile, client_id } = self.meant(options)?;
        let known = self.known_client(&profile, &client_id).await?;
        known.as_ref().map_or(Ok(()), |client| self.may_be_public(&profile, client))?;
        let at_issuer = options.at_issuer == Some(true);
        if at_issuer {
            // Before a token is asked for.
            self.issuers.can_change_password_grant(&profile, &client_id, true).await?;
        }
        let issuer = profile.url.as_str();
        let on = LockOn::PasswordFlow(issuer.to_owned(), client_id.clone());
        let _lock = self.vault.lock(on).await?;
        let mut remarks = Vec::new();
        if known.is_none() {
            remarks.push(format!(
                "no user of this site has the client {client_id} now; it may be one that comes, or \
                 a mistyped one"
            ));
            if !self.config().policy.public_password {
                remarks.push(
                    "should it be a client without a secret, each user of it is refused until \
                     iamd.toml has public_password = true below [policy]"
                        .to_owned(),
                );
            }
        }
        let client = (client_id.as_str(), known.as_ref());
        // The site's lock is lifted last: whatever ends this before leaves it closed.
        let change = match at_issuer {
            true => Some(self.change_at_issuer(by, &profile, client, options, true).await?),
            false => None,
        };
        if let Err(error) = self.lift(by, issuer, &client_id).await {
            return Err(match change {
                // Both or none.
                Some(GrantChange::Changed) => {
                    self.close_at_issuer(by, &profile, client, options, error).await
                }
                Some(GrantChange::AlreadySo) | None => error,
            });
        }
        match change {
            Some(GrantChange::Changed) => {}
            Some(GrantChange::AlreadySo) => {
                remarks.push(format!("{} allowed it before", profile.title));
            }
            None => remarks.push(format!(
                "the issuer decides too: ask the administrator of {issuer} to allow grant type \
                 password for client {client_id}. An INDIGO IAM can be changed from here, by an \
                 administrator there:  --at-issuer"
            )),
        }
        let (issuer, at_issuer) = (issuer.to_owned(), change.map(|_| true));
        Ok(PasswordFlowReply { issuer, client: client_id, enabled: true, at_issuer, remarks })
    }

    /// The site's lock could not be lifted (`error`): the issuer's is closed again. What the
    /// administrator is told.
    async fn close_at_issuer(
        self: &Arc<Self>,
        by: &Caller,
        profile: &IssuerProfile,
        client: (&str, Option<&ClientRecord>),
        options: &PasswordFlowOptions,
        error: ServiceError,
    ) -> ServiceError {
        let taken = self.change_at_issuer(by, profile, client, options, false).await;
        let what = match taken {
            Ok(_) => format!("{} was changed and put back", profile.title),
            Err(left) => format!(
                "{} allows it now, which could not be taken back: {}",
                profile.title, left.message
            ),
        };
        let text = format!("it is not enabled at this site: {}; {what}", error.message);
        ServiceError { message: text, ..error }
    }

    async fn disable_flow(
        self: &Arc<Self>,
        by: &Caller,
        options: &PasswordFlowOptions,
    ) -> Result<PasswordFlowReply, ServiceError> {
        let (issuer, client_id) = given(options)?;
        // Also at an issuer that the site does not list any more, by its URL.
        let (profile, url) = match crate::policy::issuer(&self.config(), Some(&issuer), None) {
            Ok(profile) => (Ok(profile.clone()), profile.url.to_string()),
            Err(refusal) if issuer.contains("://") => {
                let url = issuer.parse().map_or(issuer, |url: url::Url| url.to_string());
                (Err(refusal), url)
            }
            Err(refusal) => return Err(refusal.into()),
        };
        let issuer = url.as_str();
        let on = LockOn::PasswordFlow(issuer.to_owned(), client_id.clone());
        let _lock = self.vault.lock(on).await?;
        let mut remarks = Vec::new();
        if !self.vault.remove_password_flow(issuer, &client_id).await? {
            remarks.push("it was not enabled here".to_owned());
        }
        let mut at_issuer = None;
        if options.at_issuer == Some(true) {
            let profile = profile?;
            let known = self.known_client(&profile, &client_id).await?;
            let client = (client_id.as_str(), known.as_ref());
            let change = self.change_at_issuer(by, &profile, client, options, false).await;
            let change = change.map_err(|error| {
                let text =
                    format!("it is off at this site, but not at the issuer: {}", error.message);
                ServiceError::new(error.kind, text)
            })?;
            at_issuer = Some(false);
            if change == GrantChange::AlreadySo {
                remarks.push(format!("{} did not allow it either", profile.title));
            }
        }
        let (issuer, client) = (issuer.to_owned(), client_id);
        Ok(PasswordFlowReply { issuer, client, enabled: false, at_issuer, remarks })
    }

    fn meant(&self, options: &PasswordFlowOptions) -> Result<Meant, ServiceError> {
        let (issuer, client_id) = given(options)?;
        let profile = crate::policy::issuer(&self.config(), Some(&issuer), None)?;
        Ok(Meant { profile, client_id })
    }

    /// Lifts the site's lock. Who did that first stays on record.
    async fn lift(&self, by: &Caller, issuer: &str, client_id: &str) -> Result<(), ServiceError> {
        match self.vault.password_flow(issuer, client_id).await {
            Ok(Some(_)) => return Ok(()),
            Ok(None) => {}
            // Not ours: what is written in its place is.
            Err(VaultError::Unreadable { text }) => {
                tracing::warn!(issuer, client = client_id, "{text}");
                self.vault.remove_password_flow(issuer, client_id).await?;
            }
            Err(error) => return Err(error.into()),
        }
        let flow = PasswordFlow {
            issuer: issuer.to_owned(),
            client_id: client_id.to_owned(),
            enabled_by: by.owner.uid,
            enabled_by_user: by.owner.user.clone(),
            enabled_at: self.clock.wall(),
        };
        self.vault.save_password_flow(&flow, Revision::ABSENT).await?;
        Ok(())
    }

    /// A public client proves nothing of itself, and RFC 9700 has one reason more against it.
    fn may_be_public(
        &self,
        profile: &IssuerProfile,
        client: &ClientRecord,
    ) -> Result<(), ServiceError> {
        let is_public = client.auth == ClientAuth::None || client.client_secret.is_none();
        if !is_public || self.config().policy.public_password {
            return Ok(());
        }
        let text = format!(
            "the client {} of {} is public, and this site does not let users sign in by password \
             with one (policy.public_password)",
            client.client_id, profile.title
        );
        Err(ServiceError::new(Kind::DeniedByPolicy, text))
    }

    /// The client of that name, as far as this node knows one.
    async fn known_client(
        &self,
        profile: &IssuerProfile,
        client_id: &str,
    ) -> Result<Option<ClientRecord>, ServiceError> {
        let issuer = profile.url.as_str();
        let is_it = |client: &ClientRecord| client.client_id == client_id;
        if matches!(profile.client, ClientPolicy::Fixed(_)) {
            let fixed = self.issuers.fixed_client(profile).await?;
            if is_it(&fixed) {
                return Ok(Some(fixed));
            }
        }
        if profile.public_client.as_deref() == Some(client_id) {
            return Ok(Some(self.issuers.public_client(profile)?));
        }
        let site = self.vault.client(&ClientOwner::Site, issuer).await?;
        if let Some(Stored { value, .. }) = site.filter(|client| is_it(&client.value)) {
            return Ok(Some(value));
        }
        let mut uids: Vec<u32> =
            self.vault.account_keys().await?.into_iter().map(|key| key.uid).collect();
        uids.dedup();
        for uid in uids {
            let mut owners = vec![ClientOwner::User(uid)];
            for (_, account) in self.vault.accounts_of(uid).await? {
                let Ok(Stored { value, .. }) = account else { continue };
                if value.issuer == issuer {
                    owners.push(value.client_owner);
                }
            }
            for owner in owners {
                // One that does not open is nobody's here.
                let found = self.vault.client(&owner, issuer).await.ok().flatten();
                if let Some(found) = found.filter(|client| is_it(&client.value)) {
                    return Ok(Some(found.value));
                }
            }
        }
        Ok(None)
    }

    fn note_flow(
        &self,
        by: &Caller,
        what: &str,
        options: &PasswordFlowOptions,
        result: &Result<PasswordFlowReply, ServiceError>,
    ) {
        let shown = |text: &Option<String>| -> String {
            text.iter()
                .flat_map(|text| text.chars())
                .filter(char::is_ascii_graphic)
                .take(200)
                .collect()
        };
        // By its URL, as in every other record; as it was typed where it is not known which it is.
        let issuer = match (result, self.meant(options)) {
            (Ok(reply), _) => reply.issuer.clone(),
            (Err(_), Ok(meant)) => meant.profile.url.to_string(),
            (Err(_), Err(_)) => shown(&options.issuer),
        };
        let at_issuer = if options.at_issuer == Some(true) { ", at the issuer too" } else { "" };
        self.audit.record(
            audit::Kind::Administration,
            &audit::Event {
                uid: by.owner.uid,
                issuer: &issuer,
                client: &shown(&options.client),
                caller_pid: by.pid,
                result: result.as_ref().map_or_else(|error| error.kind.short_name(), |_| "ok"),
                detail: format!("{what}{at_issuer}"),
                ..audit::Event::default()
            },
        );
    }
}

/// The issuer and the client that were named, checked as far as their form goes.
fn given(options: &PasswordFlowOptions) -> Result<(String, String), ServiceError> {
    let absent =
        |what: &str| ServiceError::new(Kind::InvalidArgument, format!("{what} has to be named"));
    let given = |text: &Option<String>| text.clone().filter(|text| !text.is_empty());
    let issuer = given(&options.issuer).ok_or_else(|| absent("the issuer"))?;
    let client_id = given(&options.client).ok_or_else(|| absent("the client"))?;
    if client_id.len() > 1024 || !client_id.bytes().all(|b| matches!(b, b' '..=b'~')) {
        let text = "a client_id is at most 1024 printable ASCII characters";
        return Err(ServiceError::new(Kind::InvalidArgument, text));
    }
    Ok((issuer, client_id))
}

/// How the issuer is named on a command line.
pub(super) fn named(profile: &IssuerProfile) -> &str {
    if profile.listed { &profile.name } else { profile.url.as_str() }
}

/// A word for a shell: whoever runs the command is an administrator, and the word is somebody
/// else's.
pub(super) fn quoted(word: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.:/@%+=,".contains(&byte);
    if !word.is_empty() && word.bytes().all(plain) {
        return word.to_owned();
    }
    format!("'{}'", word.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_client_cannot_be_called_so_that_an_administrator_runs_something_else() {
        assert_eq!(quoted("9bef3e68-1c"), "9bef3e68-1c");
        assert_eq!(quoted("https://iam.example/"), "https://iam.example/");
        assert_eq!(quoted("x; reboot"), "'x; reboot'");
        assert_eq!(quoted("x'$(reboot)'"), r"'x'\''$(reboot)'\'''");
        assert_eq!(quoted("~root"), "'~root'");
        assert_eq!(quoted(""), "''");
    }
}
