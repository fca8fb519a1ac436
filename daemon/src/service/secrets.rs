//! The secrets of an account, for its owner, where the site's policy lets them see them.

use iamd_protocol::bus::AccountSecrets;
use secrecy::{ExposeSecret as _, SecretString};

use super::{About, Caller, Service, ServiceError, denials::decided, passphrases::locked};
use crate::{account::ClientOwner, audit, policy::Question};

impl Service {
    /// The refresh token of an account of the caller's, and its client's secrets unless the client
    /// is the site's.
    ///
    /// # Errors
    /// The site's policy, no such account, or the store.
    pub async fn secrets(
        &self,
        caller: &Caller,
        named: &str,
    ) -> Result<AccountSecrets, ServiceError> {
        let mut about = About::named(named);
        let result = self.show_secrets(caller, named, &mut about).await;
        self.audit.record(
            audit::Kind::Secrets,
            &audit::Event {
                result: result.as_ref().map_or_else(|error| error.kind.short_name(), |_| "ok"),
                detail: result.as_ref().err().map(decided).unwrap_or_default(),
                ..about.event(caller.owner.uid, caller.pid)
            },
        );
        result
    }

    async fn show_secrets(
        &self,
        caller: &Caller,
        named: &str,
        about: &mut About,
    ) -> Result<AccountSecrets, ServiceError> {
        let _guard = self.enter(caller)?;
        let who = self.who(&caller.owner.user).await;
        let accounts = self.accounts(&caller.owner).await?;
        let found = accounts.find(named, self.config().default_profile());
        if let Ok(found) = &found {
            about.is(&found.value);
        }
        // Who may not see any hears that, whatever they named.
        self.permit(&who, Question::ShowSecrets)?;
        let record = &found?.value;
        if record.is_locked() {
            return Err(locked(record));
        }
        let exposed = |secret: &Option<SecretString>| {
            secret.as_ref().map(|secret| secret.expose_secret().to_owned())
        };
        let secrets = AccountSecrets {
            refresh_token: exposed(&record.refresh_token),
            client_id: record.client_id.clone(),
            ..AccountSecrets::default()
        };
        let owner = &record.client_owner;
        if matches!(owner, ClientOwner::Site | ClientOwner::Fixed | ClientOwner::Public) {
            return Ok(secrets);
        }
        let client = self.vault.client(owner, &record.issuer).await?.map(|found| found.value);
        let client = client.filter(|client| record.client_id.as_ref() == Some(&client.client_id));
        Ok(match client {
            None => secrets,
            Some(client) => AccountSecrets {
                client_secret: exposed(&client.client_secret),
                registration_access_token: exposed(&client.registration_access_token),
                registration_client_uri: client.registration_client_uri,
                ..secrets
            },
        })
    }
}
