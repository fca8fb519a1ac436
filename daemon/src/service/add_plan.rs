//! What a new account is to be: its name, issuer, scopes, audiences and client, decided before
//! anything is registered or written.

use iamd_protocol::{
    bus::{AddOptions, secret},
    error::Kind,
};
use secrecy::SecretString;

use super::{
    Caller, Handed, Service, ServiceError,
    accounts::Accounts,
    edit::only_as_the_site_has_it,
    passphrases::check_passphrase,
    plan::{free_name, required},
};
use crate::{
    account::{
        AccountKey, AccountName, AudienceSet, ClientAuth, ClientOwner, ClientRecord, IssuerProfile,
        Owner, ScopeSet,
    },
    config::policy::Flow,
    policy::{Question, Who},
};

/// A new account before it is made.
pub(super) struct NewAccount {
    pub(super) key: AccountKey,
    pub(super) profile: IssuerProfile,
    pub(super) scopes: ScopeSet,
    pub(super) audiences: AudienceSet,
    pub(super) client: Choice,
    /// Where it is to have all that its client may ask for: what was named besides, which stays.
    pub(super) all_but: Option<ScopeSet>,
    pub(super) refresh_token: Option<SecretString>,
    /// What a person should know.
    pub(super) remarks: Vec<String>,
    /// What it is guarded with.
    pub(super) passphrase: Option<SecretString>,
}

/// Which client it gets.
pub(super) enum Choice {
    /// The one that this owner has for the issuer, registered at first use.
    Shared(ClientOwner),
    /// One that is registered for this account, perhaps with a name of the user's and an initial
    /// access token.
    Own(Option<String>, Option<SecretString>),
    /// One that the user brings.
    Given(Box<ClientRecord>),
}

impl Service {
    /// Decides what a new account is to be.
    pub(super) async fn plan_account(
        &self,
        caller: &Caller,
        accounts: &Accounts,
        named: &str,
        options: &AddOptions,
        mut handed: Handed,
    ) -> Result<NewAccount, ServiceError> {
        let who = self.who(&caller.owner.user).await;
        let profile = self.issuer_of_new(caller.owner.uid, named, options)?;
        self.permit_issuer(&who, &profile)?;
        let name = self.name_of_new(&caller.owner, accounts, named, &profile)?;
        let key = AccountKey { uid: caller.owner.uid, name };
        let client = self.choose_client(&who, &key, &profile, options, &mut handed)?;
        let refresh_token = handed.take(secret::REFRESH_TOKEN);
        if refresh_token.is_some() {
            self.permit(&who, Question::Flow(Flow::RefreshToken))?;
        }
        let passphrase = handed.take(secret::NEW_PASSPHRASE);
        passphrase.as_ref().map_or(Ok(()), check_passphrase)?;
        handed.finish()?;
        let takes_tokens = match &client {
            Choice::Given(_) => true,
            Choice::Shared(owner) => matches!(owner, ClientOwner::Fixed | ClientOwner::Public),
            Choice::Own(..) => false,
        };
        if refresh_token.is_some() && !takes_tokens {
            let text =
                "a refresh token works with the client that it was given to: name it (--client-id)";
            return Err(ServiceError::new(Kind::InvalidArgument, text));
        }
        let (scopes, remark) = self.scopes_of_new(&who, &profile, options).await?;
        let (scopes, mut remarks) = required(&profile, scopes);
        remarks.extend(remark);
        let audiences = match &options.audiences {
            Some(audiences) => AudienceSet::parse(audiences)?,
            None => profile.audiences.clone(),
        };
        let all_but = match options.all_scopes {
            Some(true) => Some(ScopeSet::parse(options.scopes.iter().flatten())?),
            _ => None,
        };
        let for_sure = all_but.as_ref().unwrap_or(&scopes);
        let client =
            self.beyond_shared(&who, &caller.owner, &profile, (&scopes, for_sure), client).await?;
        Ok(NewAccount {
            key,
            profile,
            scopes,
            audiences,
            client,
            all_but,
            refresh_token,
            remarks,
            passphrase,
        })
    }

    fn issuer_of_new(
        &self,
        uid: u32,
        named: &str,
        options: &AddOptions,
    ) -> Result<IssuerProfile, ServiceError> {
        let config = self.config();
        let issuer = options.issuer.as_deref().filter(|text| !text.is_empty());
        let by_name = config.issuers.contains_key(named).then_some(named);
        Ok(crate::policy::issuer(&config, issuer.or(by_name), Some(uid))?)
    }

    fn name_of_new(
        &self,
        owner: &Owner,
        accounts: &Accounts,
        named: &str,
        profile: &IssuerProfile,
    ) -> Result<AccountName, ServiceError> {
        let name = if named.is_empty() {
            free_name(profile, accounts)?
        } else {
            self.free(owner.uid, accounts, named)?
        };
        self.may_add(owner, accounts, &name)?;
        Ok(name)
    }

    /// The name, if this user can give it to an account.
    pub(super) fn free(
        &self,
        uid: u32,
        accounts: &Accounts,
        named: &str,
    ) -> Result<AccountName, ServiceError> {
        let name: AccountName = named.parse()?;
        let open = accounts.open.iter().any(|account| account.value.name == name);
        if open || accounts.unreadable.iter().any(|(other, _)| *other == name) {
            let text = format!("you have an account \u{201c}{name}\u{201d} already");
            return Err(ServiceError::new(Kind::AccountExists, text));
        }
        if accounts.foreign.contains(&name) {
            let text = format!("the name {name} cannot be used; choose another");
            return Err(ServiceError::new(Kind::DeniedByPolicy, text));
        }
        if self.logins.running_of(uid).contains(&name) {
            let text =
                format!("a login of yours is about to make the account \u{201c}{name}\u{201d}");
            return Err(ServiceError::new(Kind::AccountExists, text));
        }
        Ok(name)
    }

    fn choose_client(
        &self,
        who: &Who,
        key: &AccountKey,
        profile: &IssuerProfile,
        options: &AddOptions,
        handed: &mut Handed,
    ) -> Result<Choice, ServiceError> {
        let initial = handed.take(secret::INITIAL_ACCESS_TOKEN);
        let public = options.public_client == Some(true);
        let name = options.client_name.clone();
        let own = options.own_client == Some(true) || name.is_some() || initial.is_some();
        let given = options.client_id.as_deref();
        if usize::from(public) + usize::from(own) + usize::from(given.is_some()) > 1 {
            let text = "an account has one client: name one of --own-client, --client-id and --public-client";
            return Err(ServiceError::new(Kind::InvalidArgument, text));
        }
        if public {
            if profile.public_client.is_none() {
                let text = format!(
                    "this site names no public client for {}; leave --public-client out, or bring a client of your own (--client-id)",
                    profile.title
                );
                return Err(ServiceError::new(Kind::InvalidArgument, text));
            }
            return Ok(Choice::Shared(ClientOwner::Public));
        }
        let may_own = match own || given.is_some() {
            true => self.permit(who, Question::OwnClient),
            false => Ok(()),
        };
        if let Some(id) = given {
            let secret = handed.take(secret::CLIENT_SECRET);
            // Not one of the user's: who brings it, or what was got with it, needs no leave for clients
            // of their own. A secret of it is one that everybody has.
            let is_public = profile.public_client.as_deref() == Some(id);
            if is_public && (secret.is_none() || may_own.is_err()) {
                return Ok(Choice::Shared(ClientOwner::Public));
            }
            may_own?;
            let auth = options.client_auth.as_deref();
            return Ok(Choice::Given(Box::new(self.given(key, profile, id, auth, secret)?)));
        }
        may_own?;
        if options.client_auth.is_some() {
            let text =
                "how a client authenticates is said of a client that you bring (--client-id)";
            return Err(ServiceError::new(Kind::InvalidArgument, text));
        }
        if own {
            name.as_deref().map_or(Ok(()), check_client_name)?;
            return Ok(Choice::Own(name, initial));
        }
        Ok(Choice::Shared(Self::client_owner(profile, key.uid)))
    }

    fn given(
        &self,
        key: &AccountKey,
        profile: &IssuerProfile,
        id: &str,
        auth: Option<&str>,
        secret: Option<SecretString>,
    ) -> Result<ClientRecord, ServiceError> {
        let wrong = |text: &str| Err(ServiceError::new(Kind::InvalidArgument, text));
        if id.is_empty() || id.len() > 1024 || !id.bytes().all(|byte| matches!(byte, b' '..=b'~')) {
            return wrong("a client ID is printable ASCII");
        }
        let auth = match (auth, secret.is_some()) {
            (None | Some("client_secret_basic"), true) => ClientAuth::ClientSecretBasic,
            (Some("client_secret_post"), true) => ClientAuth::ClientSecretPost,
            (None | Some("none"), false) => ClientAuth::None,
            (Some("none"), true) => return wrong("a client without authentication has no secret"),
            (Some("client_secret_basic" | "client_secret_post"), false) => {
                return wrong("this client needs its secret (--client-secret-fd)");
            }
            (Some(_), _) => {
                return wrong(
                    "a client authenticates by client_secret_basic, client_secret_post or none",
                );
            }
        };
        Ok(ClientRecord {
            owner: ClientOwner::Given(key.uid, key.name.clone()),
            issuer: profile.url.to_string(),
            user: None,
            generation: 0,
            client_id: id.to_owned(),
            client_name: None,
            client_secret: secret,
            client_secret_expires_at: None,
            auth,
            registration_access_token: None,
            registration_client_uri: None,
            scopes: ScopeSet::default(),
            grant_types: Vec::new(),
            registered_at: self.clock.wall(),
        })
    }

    async fn scopes_of_new(
        &self,
        who: &Who,
        profile: &IssuerProfile,
        options: &AddOptions,
    ) -> Result<(ScopeSet, Option<String>), ServiceError> {
        let listed = ScopeSet::parse(options.scopes.iter().flatten())?;
        self.permit_scopes(who, &listed)?;
        let (wanted, remark) = if options.all_scopes == Some(true) {
            let (all, remark) = self.allowed_of(who, &self.all_scopes(profile).await?)?;
            (all.union(&listed), remark)
        } else if listed.is_empty() {
            self.allowed_of(who, &profile.scopes)?
        } else {
            (listed, None)
        };
        Ok((wanted.with("openid").with("offline_access"), remark))
    }

    /// Everything that the issuer says it offers, and what the site asks for: paths and restricted
    /// scopes are not in the list.
    pub(super) async fn all_scopes(
        &self,
        profile: &IssuerProfile,
    ) -> Result<ScopeSet, ServiceError> {
        let offered = self.issuers.scopes_offered(profile).await?;
        if offered.is_empty() {
            let text = format!(
                "{} does not say which scopes it offers; name those you want (-s SCOPE)",
                profile.title
            );
            return Err(ServiceError::new(Kind::InvalidArgument, text));
        }
        Ok(offered.union(&profile.scopes))
    }

    /// Where users have clients of their own anyway, scopes beyond those of the one for all their
    /// accounts get this account its own.
    async fn beyond_shared(
        &self,
        who: &Who,
        user: &Owner,
        profile: &IssuerProfile,
        (scopes, for_sure): (&ScopeSet, &ScopeSet),
        client: Choice,
    ) -> Result<Choice, ServiceError> {
        let Choice::Shared(owner @ ClientOwner::User(_)) = &client else { return Ok(client) };
        let known = self.vault.client(owner, profile.url.as_str()).await?;
        let known = known.filter(|known| known.value.is_for(&user.user));
        let has = known.map_or_else(|| profile.scopes.clone(), |known| known.value.scopes);
        let lacks = scopes.filtered(|scope| !has.covers(scope));
        if lacks.is_empty() || has.is_empty() {
            return Ok(client);
        }
        if self.permit(who, Question::OwnClient).is_err() {
            // Of all there is, what that client may have.
            let lacks = lacks.filtered(|scope| for_sure.contains(scope));
            only_as_the_site_has_it(&lacks, profile, false)?;
            return Ok(client);
        }
        Ok(Choice::Own(None, None))
    }
}

/// A name at the issuer that people there can read.
pub(super) fn check_client_name(name: &str) -> Result<(), ServiceError> {
    let fits = |c: char| c.is_ascii_graphic() || c == ' ';
    if (4..=256).contains(&name.trim().len()) && name.len() <= 256 && name.chars().all(fits) {
        return Ok(());
    }
    let text = "a client's name is 4 to 256 characters of printable ASCII";
    Err(ServiceError::new(Kind::InvalidArgument, text))
}
