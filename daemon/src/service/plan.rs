//! Which account a login is for, at which issuer, and what it asks for: decided before the issuer
//! is asked.

use iamd_protocol::{bus::LoginOptions, error::Kind};

use crate::{
    account::{
        AccountKey, AccountName, AudienceSet, ClientOwner, IssuerProfile, Owner, Record, ScopeSet,
    },
    config::policy::Flow,
    policy::{Question, Who},
};

use super::{Service, ServiceError, accounts::Accounts, policy::firmer};

/// Everything that is decided before the issuer is asked.
pub(super) struct Plan {
    pub(super) key: AccountKey,
    pub(super) profile: IssuerProfile,
    pub(super) scopes: ScopeSet,
    pub(super) audiences: AudienceSet,
    /// Whose client it signs in with.
    pub(super) client_owner: ClientOwner,
    /// The account as it is, where it exists.
    pub(super) record: Option<Record>,
    /// What to ask for where the issuer refuses those scopes.
    pub(super) usual: Option<ScopeSet>,
    /// What a person should know of what it asks for.
    pub(super) remarks: Vec<String>,
}

impl Service {
    /// Decides which account a login is for, and what it asks for.
    pub(super) fn plan(
        &self,
        owner: &Owner,
        accounts: &Accounts,
        named: &str,
        options: &LoginOptions,
    ) -> Result<Plan, ServiceError> {
        let config = self.config();
        let issuer = options.issuer.as_deref().filter(|text| !text.is_empty());
        let by_url = named.contains("://").then_some(named);
        let wanted = match issuer.or(by_url) {
            Some(issuer) => Some(crate::policy::issuer(&config, Some(issuer), Some(owner.uid))?),
            None => None,
        };
        let existing = match (&wanted, named.is_empty() || by_url.is_some()) {
            (Some(profile), true) => {
                accounts.open.iter().find(|account| account.value.issuer == profile.url.as_str())
            }
            (_, true) => accounts.find("", config.default_profile()).ok(),
            (_, false) => match accounts.find(named, config.default_profile()) {
                Err(error) if error.kind != Kind::NoSuchAccount => return Err(error),
                found => found.ok(),
            },
        };
        let record = existing.map(|account| account.value.clone());
        let profile = match (&record, wanted) {
            (Some(record), Some(profile)) if record.issuer != profile.url.as_str() => {
                let text = format!(
                    "the account {} is at {}; for another issuer name another account",
                    record.name, record.issuer
                );
                return Err(ServiceError::new(Kind::InvalidArgument, text));
            }
            (_, Some(profile)) => profile,
            (Some(record), None) => self.profile_of(record)?,
            // A new name that is an issuer's means that issuer.
            (None, None) if config.issuers.contains_key(named) => {
                crate::policy::issuer(&config, Some(named), Some(owner.uid))?
            }
            (None, None) => crate::policy::issuer(&config, None, Some(owner.uid))?,
        };
        let name: AccountName = match &record {
            Some(record) => record.name.clone(),
            None if named.is_empty() || by_url.is_some() => free_name(&profile, accounts)?,
            None => named.parse()?,
        };
        if record.is_none() {
            if accounts.foreign.contains(&name) {
                let text = format!("the name {name} cannot be used; choose another");
                return Err(ServiceError::new(Kind::DeniedByPolicy, text));
            }
            self.may_add(owner, accounts, &name)?;
        }
        let scopes = match &options.scopes {
            Some(scopes) if !scopes.is_empty() => {
                ScopeSet::parse(scopes)?.with("openid").with("offline_access")
            }
            _ => record
                .as_ref()
                .map(|record| record.scopes_asked.clone())
                .filter(|scopes| !scopes.is_empty())
                .unwrap_or_else(|| profile.scopes.clone()),
        };
        let (scopes, remarks) = required(&profile, scopes);
        let audiences = match &options.audiences {
            Some(audiences) => AudienceSet::parse(audiences)?,
            None => record
                .as_ref()
                .map_or_else(|| profile.audiences.clone(), |record| record.audiences.clone()),
        };
        let key = AccountKey { uid: owner.uid, name };
        let client_owner = Self::owner_for(record.as_ref(), &profile, owner.uid);
        let usual = match client_owner {
            // What these are registered for is not known here. More than the issuer's file asks for
            // is a wish for all there is.
            ClientOwner::Given(..) | ClientOwner::Fixed | ClientOwner::Public
                if options.scopes.as_ref().is_none_or(Vec::is_empty) =>
            {
                let (usual, _) = required(&profile, profile.scopes.clone());
                let beyond = scopes.missing_from(&usual);
                let has_all = usual.missing_from(&scopes).is_empty();
                (has_all && !beyond.is_empty()).then_some(usual)
            }
            _ => None,
        };
        Ok(Plan { key, profile, scopes, audiences, client_owner, record, usual, remarks })
    }

    /// Whether a login may go as planned. Where it names no scopes, it asks for what of the usual
    /// ones its user may ask for.
    ///
    /// # Errors
    /// Policy.
    pub(super) fn permit_login(
        &self,
        who: &Who,
        flow: Flow,
        plan: &mut Plan,
        options: &LoginOptions,
    ) -> Result<(), ServiceError> {
        let issuer = self.permit_issuer(who, &plan.profile);
        let way = firmer(issuer, self.permit(who, Question::Flow(flow)));
        if options.scopes.as_ref().is_some_and(|scopes| !scopes.is_empty()) {
            return firmer(way, self.permit_scopes(who, &plan.scopes));
        }
        let (scopes, remark) = firmer(way, self.allowed_of(who, &plan.scopes))?;
        plan.scopes = scopes;
        plan.remarks.extend(remark);
        Ok(())
    }
}

/// These scopes and those that the site needs to know who signs in; what a person should know.
pub(super) fn required(profile: &IssuerProfile, scopes: ScopeSet) -> (ScopeSet, Vec<String>) {
    let all = profile.with_required(scopes.clone());
    let added = all.filtered(|scope| !scopes.contains(scope));
    let remark = format!("this site checks who signs in, so this is asked for too: {added}");
    (all, if added.is_empty() { Vec::new() } else { vec![remark] })
}

/// The issuer's name, or with a number behind it where that is taken.
pub(super) fn free_name(
    profile: &IssuerProfile,
    accounts: &Accounts,
) -> Result<AccountName, ServiceError> {
    let fits = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || "._-".contains(c);
    let base: String = profile.name.chars().filter(|c| fits(*c)).take(28).collect();
    let taken = |name: &str| {
        accounts.open.iter().any(|account| account.value.name.as_str() == name)
            || accounts.unreadable.iter().any(|(other, _)| other.as_str() == name)
            || accounts.foreign.iter().any(|other| other.as_str() == name)
    };
    let numbered = (2..1000).map(|number| format!("{base}-{number}"));
    let free = std::iter::once(base.clone()).chain(numbered).find(|name| !taken(name));
    Ok(free.unwrap_or(base).parse()?)
}
