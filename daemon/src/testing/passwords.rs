//! Passwords: a vault in memory that keeps what administrators allowed, and issuers with a script.

use async_trait::async_trait;
use secrecy::{ExposeSecret as _, SecretString};

use super::{TestClock, TestIssuers, TestVault, fails, tokens};
use crate::{
    account::{ports::*, *},
    clock::Clock as _,
};

#[async_trait]
impl PasswordFlows for TestVault {
    async fn password_flows(&self) -> Result<Vec<Result<PasswordFlow, VaultError>>, VaultError> {
        self.down()?;
        let flows = self.password_flows.lock().unwrap();
        Ok(flows.values().map(|(flow, _)| Ok(flow.clone())).collect())
    }

    async fn password_flow(
        &self,
        issuer: &str,
        client_id: &str,
    ) -> Result<Option<Stored<PasswordFlow>>, VaultError> {
        self.down()?;
        let key = (issuer.to_owned(), client_id.to_owned());
        if self.bad_flows.lock().unwrap().contains(&key) {
            return Err(VaultError::Unreadable { text: "older than it was".into() });
        }
        let flows = self.password_flows.lock().unwrap();
        let found = flows.get(&(issuer.to_owned(), client_id.to_owned())).cloned();
        Ok(found.map(|(value, revision)| Stored { value, revision: Revision(revision) }))
    }

    async fn save_password_flow(
        &self,
        flow: &PasswordFlow,
        expected: Revision,
    ) -> Result<Revision, VaultError> {
        self.down()?;
        fails(&self.saves_fail, "the store cannot be written")?;
        let key = (flow.issuer.clone(), flow.client_id.clone());
        let mut flows = self.password_flows.lock().unwrap();
        if flows.get(&key).map_or(0, |(_, revision)| *revision) != expected.0 {
            return Err(VaultError::Conflict);
        }
        let revision = self.next();
        flows.insert(key, (flow.clone(), revision));
        Ok(Revision(revision))
    }

    async fn remove_password_flow(
        &self,
        issuer: &str,
        client_id: &str,
    ) -> Result<bool, VaultError> {
        self.down()?;
        let key = (issuer.to_owned(), client_id.to_owned());
        Ok(self.password_flows.lock().unwrap().remove(&key).is_some())
    }
}

#[async_trait]
impl PasswordGrants for TestIssuers {
    async fn sign_in_with_password(
        &self,
        _: &IssuerProfile,
        client: &ClientRecord,
        sign_in: PasswordSignIn<'_>,
    ) -> Result<Tokens, PasswordError> {
        self.passwords.lock().unwrap().push((
            client.client_id.clone(),
            sign_in.user_name.to_owned(),
            sign_in.password.expose_secret().to_owned(),
        ));
        let latency = *self.password_latency.lock().unwrap();
        TestClock::default().sleep(latency).await;
        let scripted = self.password_script.lock().unwrap().pop_front();
        scripted.unwrap_or_else(|| Ok(tokens("at-pw", Some("rt-pw"), 3600)))
    }

    async fn can_change_password_grant(
        &self,
        _: &IssuerProfile,
        _: &str,
        _: bool,
    ) -> Result<(), IssuerError> {
        self.no_client_interface.lock().unwrap().clone().map_or(Ok(()), Err)
    }

    async fn change_password_grant(
        &self,
        _: &IssuerProfile,
        administrator: &SecretString,
        client_id: &str,
        allowed: bool,
    ) -> Result<GrantChange, GrantFailure> {
        self.grant_changes.lock().unwrap().push((
            administrator.expose_secret().to_owned(),
            client_id.to_owned(),
            allowed,
        ));
        self.grant_script.lock().unwrap().pop_front().unwrap_or(Ok(GrantChange::Changed))
    }
}
