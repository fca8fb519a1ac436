//! What a first login would have to wait for is asked for ahead of it: where the default issuer is
//! and, where it is the site's, our client there. Three requests one after the other are more than a
//! login waits for at an issuer that is far away; the code alone is not.

use std::{sync::Arc, time::Duration};

use iamd_protocol::error::Kind;

use super::{Service, clients::Wish};
use crate::{
    account::{ClientOwner, Owner},
    login::Failure,
};

/// The waits before the tries, each longer or shorter by chance: nodes that start together do not
/// ask together, and one that starts may have no network yet.
const WAITS: [Duration; 4] = [
    Duration::from_millis(500),
    Duration::from_secs(5),
    Duration::from_secs(30),
    Duration::from_secs(120),
];
/// How much longer or shorter, as a part of them.
const SPREAD: f64 = 0.9;

impl Service {
    /// Sees to it that a login has to ask the default issuer for a code only, where logins start
    /// sign-ins by themselves. Tries a few times; what cannot be had, the login asks for.
    pub async fn prepare_logins(self: Arc<Self>) {
        for wait in WAITS {
            self.clock.sleep(wait.mul_f64(self.random.jitter(SPREAD))).await;
            let Err(Failure { kind, message }) = self.ask_ahead().await else { return };
            tracing::debug!(error = %message, "a first login will have to wait longer: {message}");
            let passes = matches!(
                kind,
                Kind::IssuerUnreachable | Kind::IssuerBusy | Kind::IssuerReplyTooSlow
            );
            if !passes {
                return;
            }
        }
    }

    async fn ask_ahead(&self) -> Result<(), Failure> {
        let config = self.config();
        let Some(profile) = config.default_profile().filter(|_| config.login.automatic) else {
            return Ok(());
        };
        self.issuers.fetch_metadata(profile).await?;
        // A client of a user's own is registered for nobody but who comes.
        if Self::client_owner(profile, 0) != ClientOwner::Site || self.draining().is_some() {
            return Ok(());
        }
        let daemon = Owner { uid: 0, user: "root".to_owned() };
        let wish = Wish { scopes: &profile.scopes, name: None, initial_access_token: None };
        self.client(profile, &ClientOwner::Site, &daemon, &wish, None).await.map(|_| ())
    }
}
