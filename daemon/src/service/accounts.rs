//! The caller's accounts, as they may see them.

use iamd_protocol::bus::{AccountInfo, client, state};
use iamd_protocol::error::Kind;

use crate::{
    account::{
        AccountKey, AccountName, ClientAuth, ClientOwner, ClientPolicy, ClientRecord,
        IssuerProfile, Owner, Record, Settings,
        ports::{Revision, Stored, VaultError, Wanted},
    },
    audit,
    config::policy::Key,
    token::Ask,
};

use super::{Caller, Service, ServiceError, policy::is_doubt};

/// The accounts of one uid, as they came out of the vault.
pub(super) struct Accounts {
    /// Those that opened.
    pub(super) open: Vec<Stored<Record>>,
    /// Those that did not, and why.
    pub(super) unreadable: Vec<(AccountName, String)>,
    /// Names that an earlier user of this uid left: taken, and nothing more is said of them.
    pub(super) foreign: Vec<AccountName>,
    /// What the user decided.
    pub(super) settings: Settings,
}

impl Accounts {
    /// The account that is meant when none is named.
    pub(super) fn default_name(&self, site_default: Option<&IssuerProfile>) -> Option<AccountName> {
        let named =
            |name: &AccountName| self.open.iter().any(|account| account.value.name == *name);
        if let Some(chosen) = self.settings.default_account.as_ref().filter(|name| named(name)) {
            return Some(chosen.clone());
        }
        let of_site = site_default.and_then(|profile| {
            let of_issuer =
                || self.open.iter().filter(|account| account.value.issuer == profile.url.as_str());
            // The name that a first login takes, so that a further account changes nothing.
            let usual = of_issuer().find(|account| account.value.name.as_str() == profile.name);
            usual.or_else(|| of_issuer().next()).map(|account| account.value.name.clone())
        });
        of_site.or_else(|| self.open.first().map(|account| account.value.name.clone()))
    }

    /// The account of that name, URL, or the default one for the empty string.
    pub(super) fn find(
        &self,
        named: &str,
        site_default: Option<&IssuerProfile>,
    ) -> Result<&Stored<Record>, ServiceError> {
        let found = if named.is_empty() {
            let name = self.default_name(site_default);
            name.and_then(|name| self.open.iter().find(|account| account.value.name == name))
        } else if named.contains("://") {
            let wanted = spelled(named);
            let of_issuer = || {
                let at = |account: &&Stored<Record>| spelled(&account.value.issuer) == wanted;
                self.open.iter().filter(at)
            };
            // Of several at one issuer the default account, else the first by name.
            let default = self.default_name(site_default);
            of_issuer()
                .find(|account| Some(&account.value.name) == default.as_ref())
                .or_else(|| of_issuer().next())
        } else {
            let name: AccountName = named.parse()?;
            self.open.iter().find(|account| account.value.name == name)
        };
        if let Some(found) = found {
            return Ok(found);
        }
        let unreadable =
            self.unreadable.iter().find(|(name, _)| named.is_empty() || name.as_str() == named);
        if let Some((_, why)) = unreadable {
            return Err(ServiceError::new(Kind::AccountUnreadable, why.clone()));
        }
        if named.is_empty() {
            return Err(ServiceError::new(Kind::LoginRequired, "you have no account yet"));
        }
        let shown: String = named.chars().filter(|c| !c.is_control()).take(80).collect();
        Err(ServiceError::new(
            Kind::NoSuchAccount,
            format!("you have no account \u{201c}{shown}\u{201d}"),
        ))
    }

    /// The same where something is to be changed: a URL that several accounts have names none.
    pub(super) fn find_one(
        &self,
        named: &str,
        site_default: Option<&IssuerProfile>,
    ) -> Result<&Stored<Record>, ServiceError> {
        let found = self.find(named, site_default)?;
        if !named.contains("://") {
            return Ok(found);
        }
        let at = self.open.iter().filter(|account| account.value.issuer == found.value.issuer);
        let names: Vec<_> = at.map(|account| account.value.name.as_str()).collect();
        if names.len() > 1 {
            let text =
                format!("you have several accounts there; name one of them: {}", names.join(", "));
            return Err(ServiceError::new(Kind::InvalidArgument, text));
        }
        Ok(found)
    }
}

/// An issuer's URL in one spelling: scheme and host in small letters, as the parser has it, and no slash
/// at the end.
fn spelled(url: &str) -> String {
    let parsed = url.parse::<url::Url>().map_or_else(|_| url.to_owned(), String::from);
    parsed.strip_suffix('/').unwrap_or(&parsed).to_owned()
}

/// Refuses the empty name where an account is to go or to change its name: a variable of a script that
/// is empty would name the default account, and nobody would have.
pub(super) fn must_be_named(named: &str) -> Result<(), ServiceError> {
    if !named.is_empty() {
        return Ok(());
    }
    let text = "the account has to be named here, also where it is the default one";
    Err(ServiceError::new(Kind::InvalidArgument, text))
}

impl Service {
    /// The accounts of a user. Those of somebody who had this uid before are left out.
    pub(super) async fn accounts(&self, owner: &Owner) -> Result<Accounts, ServiceError> {
        let mut accounts = Accounts {
            open: Vec::new(),
            unreadable: Vec::new(),
            foreign: Vec::new(),
            settings: self.vault.settings(owner.uid).await.map(|s| s.value).unwrap_or_else(|error| {
                tracing::warn!(uid = owner.uid, %error, "the settings of a user could not be read: {error}");
                Settings::default()
            }),
        };
        for (key, account) in self.vault.accounts_of(owner.uid).await? {
            match account {
                Ok(account) if account.value.owner.user == owner.user => {
                    accounts.open.push(account);
                }
                Ok(account) => {
                    self.audit.record(
                        audit::Kind::UidReused,
                        &audit::Event {
                            uid: owner.uid,
                            account: key.name.as_str(),
                            issuer: &account.value.issuer,
                            client: account.value.client_id.as_deref().unwrap_or_default(),
                            result: "ignored",
                            detail: format!(
                                "made by {}, the uid now belongs to {}",
                                account.value.owner.user, owner.user
                            ),
                            ..audit::Event::default()
                        },
                    );
                    accounts.foreign.push(key.name);
                }
                Err(VaultError::Unreadable { text }) => {
                    tracing::error!(uid = owner.uid, account = %key.name, %text, "an account does not open: {text}");
                    accounts.unreadable.push((key.name, text));
                }
                Err(error) => return Err(error.into()),
            }
        }
        Ok(accounts)
    }

    /// The issuer of an account: as the site lists it now, else as the user named it.
    pub(super) fn profile_of(&self, record: &Record) -> Result<IssuerProfile, ServiceError> {
        let uid = Some(record.owner.uid);
        Ok(crate::policy::issuer(&self.config(), Some(&record.issuer), uid)?)
    }

    /// All accounts of the caller.
    ///
    /// # Errors
    /// The store.
    pub async fn list(&self, caller: &Caller) -> Result<Vec<AccountInfo>, ServiceError> {
        let _guard = self.enter(caller)?;
        self.who(&caller.owner.user).await;
        let accounts = self.accounts(&caller.owner).await?;
        let default = accounts.default_name(self.config().default_profile());
        let mut infos = Vec::with_capacity(accounts.open.len());
        for account in &accounts.open {
            infos.push(self.info(&account.value, default.as_ref()).await);
        }
        infos.extend(accounts.unreadable.iter().map(|(name, why)| AccountInfo {
            name: name.to_string(),
            state: state::UNREADABLE.into(),
            reason: Some(why.clone()),
            ..AccountInfo::default()
        }));
        Ok(infos)
    }

    /// One account of the caller.
    ///
    /// # Errors
    /// No such account, or the store.
    pub async fn show(&self, caller: &Caller, named: &str) -> Result<AccountInfo, ServiceError> {
        let _guard = self.enter(caller)?;
        self.who(&caller.owner.user).await;
        let accounts = self.accounts(&caller.owner).await?;
        let default = accounts.default_name(self.config().default_profile());
        let account = accounts.find(named, self.config().default_profile())?;
        Ok(self.info(&account.value, default.as_ref()).await)
    }

    async fn info(&self, record: &Record, default: Option<&AccountName>) -> AccountInfo {
        let client = self.registered(record).await;
        let profile = self.profile_of(record).ok();
        let places = profile.as_ref().map(|profile| self.issuers.places(profile));
        let places = places.unwrap_or_default();
        let auth = match (&record.client_owner, profile.as_ref().map(|profile| &profile.client)) {
            (ClientOwner::Public, _) => Some(ClientAuth::None),
            (ClientOwner::Fixed, Some(ClientPolicy::Fixed(fixed))) => Some(fixed.auth),
            (ClientOwner::Given(..), _) => {
                let given = self.vault.client(&record.client_owner, &record.issuer).await;
                given.ok().flatten().map(|client| client.value.auth)
            }
            _ => client.as_ref().map(|client| client.auth),
        };
        let key = record.key();
        let config = self.config();
        let is_default = default == Some(&record.name);
        let wanted = Wanted { scopes: None, audiences: record.audiences.clone() };
        let locked = record.is_locked();
        let token = self.broker.cached(&key, &Ask { wanted, ..Ask::default() });
        let token = token.or_else(|| record.access_token.clone()).filter(|_| !locked);
        let file = self.presence.file_state(&key);
        let who = self.who_now(&record.owner.user);
        let refused = self.permit_account(&who, record).err();
        // Nobody gets the token by it: not while it is in doubt who they are either.
        let token = token.filter(|_| refused.is_none());
        // A doubt is no refusal, and passes; a sign-in that ended needs no rule that ends it.
        let refused = refused.filter(|error| {
            let too_old = error.kind == Kind::LoginRequired;
            !is_doubt(error) && (record.state.may_refresh() || !too_old)
        });
        // What is shared is the site's to look after.
        let mine = client.as_ref().filter(|client| client.owner != ClientOwner::Site);
        let registration_client_uri =
            mine.and_then(|client| client.registration_client_uri.clone());
        AccountInfo {
            name: record.name.to_string(),
            is_default,
            issuer: record.issuer.clone(),
            issuer_name: config.issuer(&record.issuer).map(|profile| profile.name.clone()),
            state: match refused.as_ref().map(|error| error.kind) {
                _ if locked => state::LOCKED,
                None => record.state.word(),
                Some(Kind::LoginRequired) => state::LOGIN_REQUIRED,
                Some(_) => state::REFUSED,
            }
            .into(),
            reason: refused
                .map(|error| error.message)
                .or_else(|| record.state.reason().map(str::to_owned)),
            client_id: record.client_id.clone(),
            client: Some(client_word(&record.client_owner).into()),
            client_name: client.as_ref().and_then(|client| client.client_name.clone()),
            grant_types: client
                .map(|client| client.grant_types)
                .filter(|grants| !grants.is_empty()),
            client_auth: auth.map(|auth| auth.word().to_owned()),
            registration_client_uri,
            configuration_endpoint: places.configuration.map(Into::into),
            device_authorization_endpoint: places.device_authorization.map(Into::into),
            ca_file: profile.and_then(|profile| profile.ca).map(|ca| ca.display().to_string()),
            scopes_asked: record.scopes_asked.to_vec(),
            scopes: record.scopes.to_vec(),
            audiences: record.audiences.to_vec(),
            subject: record.subject.as_ref().map(|subject| subject.sub.clone()),
            subject_name: record.subject.as_ref().and_then(|subject| subject.name.clone()),
            signed_in_at: record.signed_in_at.map(|at| at.0),
            refreshed_at: record.refreshed_at.map(|at| at.0),
            access_expires_at: token
                .map(|token| token.expires_at)
                .filter(|end| *end > self.clock.wall())
                .map(|end| end.0),
            refresh_expires_at: self.sign_in_end(&who, record).map(|at| at.0),
            ends_soon: Some(self.ends_soon(&who, record).is_some()),
            token_file: file.path.map(|path| path.display().to_string()),
            token_file_problem: file.problem,
            login_running: self.logins.pending(&key).is_some(),
            has_passphrase: Some(record.guard.is_some()),
            unlocked_until: self
                .locks
                .unlocked_until(&key)
                .filter(|_| record.guard.is_some() && !locked)
                .map(|at| at.0),
        }
    }

    /// The client of an account, where iamd registered it and so knows what it was registered as.
    async fn registered(&self, record: &Record) -> Option<ClientRecord> {
        let owner = &record.client_owner;
        if matches!(owner, ClientOwner::Fixed | ClientOwner::Public | ClientOwner::Given(..)) {
            return None;
        }
        let found = self.vault.client(owner, &record.issuer).await;
        let client = found
            .inspect_err(|error| tracing::warn!(%error, "a client could not be read: {error}"))
            .ok()??
            .value;
        (record.client_id.as_ref() == Some(&client.client_id)).then_some(client)
    }

    /// Whether a further account of this user is allowed, called `name`. A login that runs for an
    /// account that is not there yet counts as one: it will be.
    pub(super) fn may_add(
        &self,
        owner: &Owner,
        accounts: &Accounts,
        name: &AccountName,
    ) -> Result<(), ServiceError> {
        let most = self.most(&owner.user, Key::Accounts) as usize;
        let there = |other: &AccountName| {
            accounts.open.iter().any(|account| account.value.name == *other)
                || accounts.unreadable.iter().any(|(unreadable, _)| unreadable == other)
        };
        let running = self.logins.running_of(owner.uid);
        let coming = running.iter().filter(|other| *other != name && !there(other)).count();
        let all = accounts.open.len() + accounts.unreadable.len() + coming;
        let signed_out = accounts.open.iter().filter(|account| account.value.is_signed_out());
        // Signing out makes room; what is left of such an account has a bound of its own.
        if all - signed_out.count() >= most || all >= most.saturating_mul(4) {
            let text = format!("you have as many accounts as this site allows: {most}");
            return Err(ServiceError::new(Kind::TooManyAccounts, text));
        }
        Ok(())
    }

    /// Reads one account again and writes what `change` makes of it, until nobody else wrote in
    /// between. `None` from `change` leaves it as it is.
    pub(super) async fn update(
        &self,
        key: &AccountKey,
        change: impl Fn(&mut Record) -> bool + Send + Sync,
    ) -> Result<(), ServiceError> {
        loop {
            let Some(Stored { mut value, revision }) = self.vault.account(key).await? else {
                return Ok(());
            };
            if !change(&mut value) {
                return Ok(());
            }
            match self.vault.save_account(&value, revision).await {
                Ok(Revision(_)) => return Ok(()),
                Err(VaultError::Conflict) => {}
                Err(error) => return Err(error.into()),
            }
        }
    }
}

/// Whether an account can be called so.
pub fn is_account_name(text: &str) -> bool {
    text.parse::<AccountName>().is_ok()
}

/// The word of `iamd_protocol::bus::client`.
const fn client_word(owner: &ClientOwner) -> &'static str {
    match owner {
        ClientOwner::Site => client::SITE,
        ClientOwner::User(_) => client::USER,
        ClientOwner::Fixed => client::FIXED,
        ClientOwner::Own(..) => client::OWN,
        ClientOwner::Given(..) => client::GIVEN,
        ClientOwner::Public => client::PUBLIC,
    }
}
