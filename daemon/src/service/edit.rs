//! Changing an account: what a sign-in asks for, what tokens are for, what its client is called.
//! What the refresh token covers takes effect at once, the rest with the next sign-in.

use std::sync::Arc;

use iamd_protocol::{
    bus::{ChangeReply, EditOptions},
    error::Kind,
};

use super::{
    About, Caller, Service, ServiceError, add::all_of, add_plan::check_client_name, clients::told,
};
use crate::{
    account::{
        AudienceSet, ClientOwner, IssuerProfile, Record, ScopeSet, is_steering,
        ports::{ClientChange, LeftOut, LockOn, RefreshError, Stored, Wanted},
    },
    audit,
    policy::{Question, Who},
    token::{Ask, TokenError},
};

/// What is wanted, checked.
struct Change {
    scopes: Option<ScopeSet>,
    add: ScopeSet,
    remove: ScopeSet,
    audiences: Option<AudienceSet>,
    client_name: Option<String>,
    /// What the site needs to know who signs in.
    required: ScopeSet,
}

/// What became of the record.
#[derive(Default)]
struct Effect {
    /// The account's own token is another one now.
    token: bool,
    /// Scopes that the sign-in does not have.
    login: bool,
}

impl Service {
    /// Changes an account of the caller's; what is absent stays.
    ///
    /// # Errors
    /// No such account, arguments, policy, a login that runs, the store, and the issuer where the
    /// client has to be changed there; nothing is changed here then.
    pub async fn edit(
        self: &Arc<Self>,
        caller: &Caller,
        named: &str,
        options: EditOptions,
    ) -> Result<ChangeReply, ServiceError> {
        let scopes = options.scopes.as_ref().or(options.add_scopes.as_ref());
        let mut about = About::named(named).asks_for(scopes, options.audiences.as_ref());
        let result = self.change_account(caller, named, options, &mut about).await;
        if let Err(error) = &result {
            self.note_denial(caller, &about, error);
        }
        result
    }

    async fn change_account(
        self: &Arc<Self>,
        caller: &Caller,
        named: &str,
        options: EditOptions,
        about: &mut About,
    ) -> Result<ChangeReply, ServiceError> {
        let _guard = self.enter(caller)?;
        // Two changes of one user come one after the other, and none beside a rename.
        let _accounts = self.vault.lock(LockOn::Accounts(caller.owner.uid)).await?;
        let who = self.who(&caller.owner.user).await;
        let accounts = self.accounts(&caller.owner).await?;
        let record = &accounts.find_one(named, self.config().default_profile())?.value;
        about.is(record);
        let key = record.key();
        let profile = self.profile_of(record)?;
        let all = options.all_scopes == Some(true);
        let named = ScopeSet::parse(options.scopes.iter().flatten())?;
        let mut change = self.checked(&who, &profile, options).await?;
        self.no_login(&key)?;
        let left_out = match all {
            true => self.within_shared(&who, record, &profile, &named, &mut change).await?,
            false => None,
        };
        let scopes = change.scopes_of(record);
        // What it has already is not asked for again by a change of something else.
        let new = scopes.filtered(|scope| !record.scopes_asked.contains(scope));
        self.permit_scopes(&who, &new)?;
        let fewer = change.scopes.is_some() || !change.remove.is_empty();
        let mut remarks = self.change_client(record, &profile, &scopes, &change).await?;
        remarks.extend(left_out);
        let stays = change.remove.filtered(|scope| change.required.contains(scope));
        if !stays.is_empty() {
            remarks.push(format!("this site checks who signs in, so this stays: {stays}"));
        }
        // One that was mistyped stays, and its user must not think that it is gone.
        let absent = change.remove.filtered(|scope| !record.scopes_asked.contains(scope));
        let lock = self.vault.lock(LockOn::Account(key.clone())).await?;
        // A refresh token that the store did not take yet is the newest there is.
        self.broker.settle(&key).await?;
        let Some(Stored { value: mut record, revision }) = self.vault.account(&key).await? else {
            let text = format!("the account {} was removed meanwhile", key.name);
            return Err(ServiceError::new(Kind::NoSuchAccount, text));
        };
        let effect = change.apply(&mut record, &profile);
        crate::fault_point!("edit.client-done", key);
        self.vault.save_account(&record, revision).await?;
        crate::fault_point!("edit.account-stored", key);
        if effect.token {
            self.broker.forget(&key);
        }
        drop(lock);
        if fewer {
            remarks.extend(self.narrow_client(&record, &profile).await);
        }
        let mut login_needed = effect.login || record.state.wants_login();
        if effect.token && record.state.may_refresh() {
            let (login, remark) = match self.permit_account(&who, &record) {
                Ok(()) => self.take_effect(&record, &profile).await,
                Err(error) => (false, Some(format!("there is no token for that: {error}"))),
            };
            login_needed |= login;
            remarks.extend(remark);
        }
        if !absent.is_empty() {
            remarks.push(format!(
                "the account did not ask for this, so nothing of it was taken away: {absent}"
            ));
        }
        self.keep(&key);
        self.audit.record(
            audit::Kind::AccountChanged,
            &audit::Event {
                uid: caller.owner.uid,
                account: key.name.as_str(),
                issuer: &record.issuer,
                client: record.client_id.as_deref().unwrap_or_default(),
                scopes: record.scopes_asked.to_string(),
                audience: record.audiences.to_string(),
                caller_pid: caller.pid,
                result: "ok",
                ..audit::Event::default()
            },
        );
        Ok(ChangeReply { account: key.name.to_string(), login_needed, remarks })
    }

    /// Of all that there is, what a client may have that this user cannot change; what is said of
    /// the rest.
    async fn within_shared(
        &self,
        who: &Who,
        record: &Record,
        profile: &IssuerProfile,
        named: &ScopeSet,
        change: &mut Change,
    ) -> Result<Option<String>, ServiceError> {
        let owner = Self::owner_for(Some(record), profile, record.owner.uid);
        let is_shared = match owner {
            ClientOwner::Site => true,
            ClientOwner::User(_) => self.permit(who, Question::OwnClient).is_err(),
            _ => false,
        };
        let (true, Some(all)) = (is_shared, change.scopes.clone()) else { return Ok(None) };
        let Some(client) = self.vault.client(&owner, &record.issuer).await? else {
            return Ok(None);
        };
        let keeps = change.required.union(named);
        let (scopes, remark) = all_of(&client.value, &all, &keeps, &LeftOut::default());
        change.scopes = Some(scopes);
        Ok(remark)
    }

    async fn checked(
        &self,
        who: &Who,
        profile: &IssuerProfile,
        options: EditOptions,
    ) -> Result<Change, ServiceError> {
        let listed = options.scopes.as_ref().map(ScopeSet::parse).transpose()?;
        let scopes = match (options.all_scopes == Some(true), listed) {
            (true, listed) => {
                let (all, _) = self.allowed_of(who, &self.all_scopes(profile).await?)?;
                Some(all.union(&listed.unwrap_or_default()))
            }
            (false, listed) => listed,
        };
        let add = ScopeSet::parse(options.add_scopes.iter().flatten())?;
        let remove = ScopeSet::parse(options.remove_scopes.iter().flatten())?;
        let audiences = options.audiences.as_ref().map(AudienceSet::parse).transpose()?;
        options.client_name.as_deref().map_or(Ok(()), check_client_name)?;
        let required = profile.with_required(ScopeSet::default());
        Ok(Change { scopes, add, remove, audiences, client_name: options.client_name, required })
    }

    /// Changes the client where it lacks a scope or its name is to be another; what a person
    /// should know.
    async fn change_client(
        &self,
        record: &Record,
        profile: &IssuerProfile,
        scopes: &ScopeSet,
        change: &Change,
    ) -> Result<Vec<String>, ServiceError> {
        let owner = Self::owner_for(Some(record), profile, record.owner.uid);
        let name = change.client_name.clone();
        match (&owner, &name) {
            (ClientOwner::Given(..), Some(_)) => {
                let text =
                    "you gave this account its client: change its name where you registered it";
                return Err(ServiceError::new(Kind::InvalidArgument, text));
            }
            (ClientOwner::Site | ClientOwner::Fixed | ClientOwner::Public, Some(_)) => {
                let text = "the client of this account is the site's, and so is its name";
                return Err(ServiceError::new(Kind::ClientNotYours, text));
            }
            // What they are registered for is not known here.
            (ClientOwner::Given(..) | ClientOwner::Fixed | ClientOwner::Public, None) => {
                return Ok(Vec::new());
            }
            _ => {}
        }
        let stored = self.vault.client(&owner, &record.issuer).await?;
        let Some(stored) = stored.filter(|client| client.value.is_of(record)) else {
            return Ok(Vec::new());
        };
        // What it was not registered for before is not asked again with every other change.
        let names_scopes = change.scopes.is_some() || !change.add.is_empty();
        let lacks = |has: &ScopeSet| match has.is_empty() || !names_scopes {
            true => ScopeSet::default(),
            false => scopes.filtered(|scope| !has.covers(scope)),
        };
        let has = stored.value.scopes;
        if lacks(&has).is_empty() && name.is_none() {
            return Ok(Vec::new());
        }
        if owner == ClientOwner::Site {
            // The issuer's people may have added it meanwhile.
            let known = self.read_registration(profile, &owner).await;
            let lacks = lacks(&known.map_or(has, |client| client.scopes));
            if lacks.is_empty() {
                return Ok(Vec::new());
            }
            let text = format!("the site's client is not registered for: {lacks}");
            return Err(ServiceError::new(Kind::ClientNotYours, text));
        }
        let lacks = lacks(&has);
        let who = self.who_now(&record.owner.user);
        if matches!(owner, ClientOwner::User(_)) && self.permit(&who, Question::OwnClient).is_err()
        {
            only_as_the_site_has_it(&lacks, profile, name.is_some())?;
        }
        let wanted = (!lacks.is_empty()).then(|| scopes.clone());
        let changed =
            self.change_registration(profile, &owner, ClientChange { scopes: wanted, name }).await;
        let left_out = match changed {
            Err(error) if error.kind == Kind::ClientBroken => {
                let user = &record.owner.user;
                let kind = self.refusal_now(&record.key(), &owner, user).await;
                return Err(ServiceError { kind, ..error });
            }
            changed => changed?,
        };
        Ok(told(&left_out).into_iter().collect())
    }

    /// Takes from the account's own client what the account does not need any more; what a person
    /// should know. One that other accounts use too keeps what it has. The account is changed
    /// already: an issuer that does not do that keeps nobody from it.
    async fn narrow_client(&self, record: &Record, profile: &IssuerProfile) -> Option<String> {
        let owner = Self::owner_for(Some(record), profile, record.owner.uid);
        if !matches!(owner, ClientOwner::Own(..)) {
            return None;
        }
        // A refresh token may be refused where its client lacks what is asked for with it.
        let needed = record.scopes_asked.union(&record.scopes);
        let kept = self.vault.client(&owner, &record.issuer).await.ok().flatten();
        let kept = kept.filter(|client| client.value.is_of(record))?;
        if kept.value.scopes.spare_for(&needed).is_empty() {
            return None;
        }
        match self.narrow_registration(profile, &owner, &needed).await {
            Ok(stays) if stays.is_empty() => None,
            Ok(stays) => Some(format!("its client at the issuer stays registered for: {stays}")),
            Err(error) => Some(format!(
                "its client at the issuer stays registered for more than the account asks for now: {error}"
            )),
        }
    }

    /// Gets the token that the account now is for: its file follows. Whether a sign-in is needed
    /// for that, and what a person should know.
    async fn take_effect(
        self: &Arc<Self>,
        record: &Record,
        profile: &IssuerProfile,
    ) -> (bool, Option<String>) {
        let wanted = Wanted { scopes: None, audiences: record.audiences.clone() };
        let ask = Ask { wanted, ..Ask::default() };
        match self.broker.token(&record.key(), profile, &ask).await {
            Ok(_) => (false, None),
            Err(error) => {
                let login = matches!(
                    &error,
                    TokenError::LoginRequired { .. }
                        | TokenError::Refresh(
                            RefreshError::Audience { .. }
                                | RefreshError::Scope { .. }
                                | RefreshError::Dead { .. }
                        )
                );
                // The keeper takes the file away and tries again.
                let way = match &error {
                    TokenError::Locked { account } => {
                        format!("; unlock it with:  iamctl account unlock {account}")
                    }
                    _ => String::new(),
                };
                (login, Some(format!("there is no token for that yet: {error}{way}")))
            }
        }
    }
}

/// Where users have no clients of their own, the one that the site has registered for each is what
/// the issuer's file says, and may only follow that.
pub(super) fn only_as_the_site_has_it(
    lacks: &ScopeSet,
    profile: &IssuerProfile,
    renamed: bool,
) -> Result<(), ServiceError> {
    let beyond = lacks.filtered(|scope| !profile.scopes.covers(scope));
    if beyond.is_empty() && !renamed {
        return Ok(());
    }
    let what = match beyond.is_empty() {
        true => "this site names the clients of its users".to_owned(),
        false => format!(
            "your client at this issuer is not registered for: {beyond}, and this site has clients registered for the issuer's scopes only; ask its administrators"
        ),
    };
    Err(ServiceError::new(Kind::DeniedByPolicy, what))
}

impl Change {
    /// What a sign-in of this account is to ask for.
    fn scopes_of(&self, record: &Record) -> ScopeSet {
        let base = self.scopes.as_ref().unwrap_or(&record.scopes_asked).union(&self.add);
        let kept = base.filtered(|scope| !self.remove.contains(scope));
        kept.with("openid").with("offline_access").union(&self.required)
    }

    fn apply(&self, record: &mut Record, profile: &IssuerProfile) -> Effect {
        let mut effect = Effect::default();
        if let Some(audiences) = &self.audiences {
            let audiences =
                if audiences.is_empty() { profile.audiences.clone() } else { audiences.clone() };
            effect.token |= audiences != record.audiences;
            record.audiences = audiences;
        }
        let scopes = self.scopes_of(record);
        if scopes != record.scopes_asked {
            record.scopes_asked = scopes;
            if record.state.may_refresh() {
                narrow(record, &mut effect);
            }
        }
        if effect.token {
            record.access_token = None;
        }
        effect
    }
}

/// The account's own token has what is asked for and granted. Where nothing of what is asked for
/// was granted, the sign-in stays as it is until the next one.
fn narrow(record: &mut Record, effect: &mut Effect) {
    let granted = record.granted().clone();
    let asked = record.scopes_asked.filtered(|scope| !is_steering(scope));
    let covered = record.scopes_asked.filtered(|scope| granted.covers(scope));
    effect.login = asked.iter().any(|scope| !covered.contains(scope));
    if effect.login && covered.iter().all(is_steering) {
        return;
    }
    let whole = granted.iter().all(|scope| is_steering(scope) || covered.contains(scope));
    let before = record.scopes.clone();
    record.scopes = if whole { granted.clone() } else { covered };
    record.narrowed_from = (!whole).then_some(granted);
    effect.token |= record.scopes != before;
}
