//! A new account: its client is there and what the issuer left out is said; a login comes after.
//! A refresh token that is handed in is taken over instead. What fails leaves nothing behind, unless
//! the issuer has replaced that refresh token by then.

use std::sync::Arc;

use iamd_protocol::bus::{AddOptions, ChangeReply};

use super::{
    About, Caller, Handed, Service, ServiceError,
    add_plan::{Choice, NewAccount},
    clients::{Provided, Wish, told},
    take_over::Unsigned,
};
use crate::{
    account::{
        AccountName, ClientOwner, ClientRecord, IssuerProfile, Owner, Record, ScopeSet,
        ports::{LeftOut, LockOn, Revision},
    },
    audit,
};

impl Service {
    /// Makes an account of the caller's.
    ///
    /// # Errors
    /// Names, policy, quotas, arguments, and what the issuer says when a client is registered or a
    /// refresh token taken over; nothing is kept then. Where a refresh token that is taken over was
    /// replaced by the issuer and the store does not take the new one, the account is kept. With
    /// `dry_run` only what is decided here: the issuer is not asked.
    pub async fn add(
        self: &Arc<Self>,
        caller: &Caller,
        named: &str,
        options: AddOptions,
        handed: Handed,
    ) -> Result<ChangeReply, ServiceError> {
        // Much is at hand while it waits for the issuer: not on the stack of each caller.
        let mut about = About::of_new(&self.config(), named, &options);
        let made = self.make_account(caller, named, options, handed, &mut about);
        let result = Box::pin(made).await;
        if let Err(error) = &result {
            self.note_denial(caller, &about, error);
        }
        result
    }

    async fn make_account(
        self: &Arc<Self>,
        caller: &Caller,
        named: &str,
        options: AddOptions,
        handed: Handed,
        about: &mut About,
    ) -> Result<ChangeReply, ServiceError> {
        let _guard = self.enter(caller)?;
        // An account is made to be signed in to, and this may register a client for it.
        self.takes_logins()?;
        let owner = &caller.owner;
        let _accounts = self.vault.lock(LockOn::Accounts(owner.uid)).await?;
        let accounts = self.accounts(owner).await?;
        let default = accounts.default_name(self.config().default_profile());
        let mut plan = self.plan_account(caller, &accounts, named, &options, handed).await?;
        about.adds(&plan);
        if options.dry_run == Some(true) {
            // All that rules, quotas, names and arguments say is said by now.
            let login_needed = plan.refresh_token.is_none();
            let account = plan.key.name.to_string();
            return Ok(ChangeReply { account, login_needed, remarks: plan.remarks });
        }
        let Provided { client, left_out } = self.client_of_new(owner, &plan).await?;
        about.with(&client.client_id);
        let mut remarks = plan.remarks.clone();
        remarks.extend(told(&left_out));
        if let Some(named) = &plan.all_but {
            let keeps = plan.profile.with_required(named.clone());
            let (scopes, remark) = all_of(&client, &plan.scopes, &keeps, &left_out);
            plan.scopes = scopes;
            remarks.extend(remark);
        }
        remarks.extend(lacking(&client, &plan.scopes, &left_out));
        let made = match self.save_new(owner, &plan, &client).await {
            Ok(()) => self.take_over(caller, &plan, &client).await,
            Err(error) => Err(error.into()),
        };
        let (signed_in, unsigned) = match made {
            Ok(more) => {
                let signed_in = more.is_some();
                remarks.extend(more.into_iter().flatten());
                (signed_in, None)
            }
            Err(Unsigned { error, kept: true }) => (false, Some(error)),
            Err(Unsigned { error, kept: false }) => {
                self.withdraw(&plan.profile, &client).await;
                return Err(error);
            }
        };
        self.audit.record(
            audit::Kind::AccountAdded,
            &audit::Event {
                uid: owner.uid,
                account: plan.key.name.as_str(),
                issuer: plan.profile.url.as_str(),
                client: &client.client_id,
                scopes: plan.scopes.to_string(),
                audience: plan.audiences.to_string(),
                caller_pid: caller.pid,
                result: unsigned.as_ref().map_or("ok", |error| error.kind.short_name()),
                detail: match &unsigned {
                    Some(error) => error.message.clone(),
                    None if signed_in => "with a refresh token".into(),
                    None => String::new(),
                },
                ..audit::Event::default()
            },
        );
        if plan.passphrase.is_some() {
            self.record_passphrase(audit::Kind::Passphrase, owner.uid, about, caller.pid, "set");
        }
        let chosen = if options.make_default == Some(true) {
            Some(plan.key.name.clone())
        } else {
            // A further account does not become the default one by its name.
            self.if_changed(owner, default).await
        };
        if let Some(name) = chosen
            && let Err(error) = self.choose_default(owner.uid, Some(name)).await
        {
            remarks.push(format!("which account is the default one could not be written: {error}"));
        }
        self.default_follows(owner).await;
        if let Some(error) = unsigned {
            return Err(error);
        }
        let account = plan.key.name.to_string();
        Ok(ChangeReply { account, login_needed: !signed_in, remarks })
    }

    async fn client_of_new(
        &self,
        user: &Owner,
        plan: &NewAccount,
    ) -> Result<Provided, ServiceError> {
        let NewAccount { key, profile, scopes, .. } = plan;
        let mut wish = Wish { scopes, name: None, initial_access_token: None };
        let owner = match &plan.client {
            Choice::Shared(owner) => owner.clone(),
            Choice::Own(name, initial_access_token) => {
                wish.name = name.as_deref();
                wish.initial_access_token = initial_access_token.as_ref();
                let owner = ClientOwner::Own(key.uid, key.name.clone());
                // Left by an account that was not made to its end: for other scopes than these.
                if let Some(left) = self.vault.client(&owner, profile.url.as_str()).await? {
                    self.withdraw(profile, &left.value).await;
                }
                owner
            }
            Choice::Given(client) => {
                self.vault.remove_client(&client.owner, &client.issuer).await?;
                let client = ClientRecord { user: Some(user.user.clone()), ..(**client).clone() };
                self.vault.save_client(&client, Revision::ABSENT).await?;
                return Ok(Provided { client, left_out: LeftOut::default() });
            }
        };
        Ok(self.client(profile, &owner, user, &wish, None).await?)
    }

    async fn save_new(
        &self,
        owner: &Owner,
        plan: &NewAccount,
        client: &ClientRecord,
    ) -> Result<(), ServiceError> {
        let issuer = plan.profile.url.to_string();
        let name = plan.key.name.clone();
        let mut record = Record::new(owner.clone(), name, issuer, client.owner.clone());
        record.client_id = Some(client.client_id.clone());
        record.scopes_asked = plan.scopes.clone();
        record.audiences = plan.audiences.clone();
        self.save_guarded(record, plan.passphrase.as_ref()).await
    }

    /// Takes back the client of an account that is not made: one of its own is deleted at the
    /// issuer. Others stay.
    pub(super) async fn withdraw(&self, profile: &IssuerProfile, client: &ClientRecord) {
        if !client.owner.is_of_one_account() {
            return;
        }
        self.give_up(profile, client).await;
        if let Err(error) = self.vault.remove_client(&client.owner, &client.issuer).await {
            tracing::warn!(issuer = %profile.name, %error, "a client that is not needed could not be forgotten: {error}");
        }
    }

    /// The default account that there was, where another one would take its place by its name.
    async fn if_changed(&self, owner: &Owner, before: Option<AccountName>) -> Option<AccountName> {
        let before = before?;
        let accounts = self.accounts(owner).await.ok()?;
        let now = accounts.default_name(self.config().default_profile());
        (now.as_ref() != Some(&before)).then_some(before)
    }
}

/// Of all that there is, what this client is registered for, and `keeps`; what is said of the rest.
/// A sign-in that asks for more is refused by many issuers.
pub(super) fn all_of(
    client: &ClientRecord,
    all: &ScopeSet,
    keeps: &ScopeSet,
    told: &LeftOut,
) -> (ScopeSet, Option<String>) {
    // Where that is not known, the sign-in shows it.
    if client.scopes.is_empty() {
        return (all.clone(), None);
    }
    let stays = |scope: &str| {
        let always = ["openid", "offline_access"].contains(&scope);
        always || client.scopes.covers(scope) || keeps.contains(scope)
    };
    let left_out = all.filtered(|scope| !stays(scope));
    let untold = left_out.filtered(|scope| !told.scopes.contains(scope));
    let (whose, out) = match client.owner {
        ClientOwner::Site => ("the site's client", "; for those:  --own-client"),
        _ => ("your client at this issuer", ""),
    };
    let remark = format!("left out, because {whose} is not registered for it: {untold}{out}");
    (all.filtered(stays), (!untold.is_empty()).then_some(remark))
}

/// What a client that iamd registered earlier was not registered for.
fn lacking(client: &ClientRecord, scopes: &ScopeSet, left_out: &LeftOut) -> Option<String> {
    let (whose, out) = match client.owner {
        ClientOwner::Site => ("the site's client", "; with one of its own:  --own-client"),
        ClientOwner::User(_) => ("your client at this issuer", ""),
        _ => return None,
    };
    let told = |scope: &str| left_out.scopes.contains(scope) || client.scopes.covers(scope);
    let lacks = scopes.filtered(|scope| !told(scope));
    (!lacks.is_empty() && !client.scopes.is_empty())
        .then(|| format!("{whose} is not registered for: {lacks}; a sign-in may be refused{out}"))
}
