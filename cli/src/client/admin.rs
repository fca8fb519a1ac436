//! The calls of `org.iamd1.Admin`.

use iamd_protocol::bus::{
    DrainInfo, DrainOptions, PolicyCheck, PolicyLine, RevokeOptions, RevokeReply, SessionInfo,
    StatsReply, UserInfo,
};

use super::{Client, proxies::AdminProxy};
use crate::failure::Failure;

impl Client {
    /// Makes the daemon read its configuration again.
    pub(crate) fn reload(&self) -> Result<(), Failure> {
        self.call(async |bus| AdminProxy::new(&bus).await?.reload().await)
    }

    /// All users.
    pub(crate) fn users(&self) -> Result<Vec<UserInfo>, Failure> {
        self.call(async |bus| AdminProxy::new(&bus).await?.users().await)
    }

    /// All sessions.
    pub(crate) fn sessions(&self) -> Result<Vec<SessionInfo>, Failure> {
        self.call(async |bus| AdminProxy::new(&bus).await?.sessions().await)
    }

    /// What there is, in numbers.
    pub(crate) fn stats(&self) -> Result<StatsReply, Failure> {
        self.call(async |bus| AdminProxy::new(&bus).await?.stats().await)
    }

    /// Ends sign-ins.
    pub(crate) fn revoke(&self, options: RevokeOptions) -> Result<RevokeReply, Failure> {
        self.call(async |bus| AdminProxy::new(&bus).await?.revoke(options).await)
    }

    /// Takes no new sign-ins, or takes them again.
    pub(crate) fn set_drain(&self, options: DrainOptions) -> Result<DrainInfo, Failure> {
        self.call(async |bus| AdminProxy::new(&bus).await?.set_drain(options).await)
    }

    /// Whether new sign-ins are taken.
    pub(crate) fn drain(&self) -> Result<DrainInfo, Failure> {
        self.call(async |bus| AdminProxy::new(&bus).await?.drain().await)
    }

    /// What is wrong with the configuration on disk, or what it comes to.
    pub(crate) fn check_policy(&self) -> Result<PolicyCheck, Failure> {
        self.call(async |bus| AdminProxy::new(&bus).await?.check_policy().await)
    }

    /// What a user may do.
    pub(crate) fn explain_policy(&self, user: &str) -> Result<Vec<PolicyLine>, Failure> {
        let user = user.to_owned();
        self.call(async move |bus| AdminProxy::new(&bus).await?.explain_policy(&user).await)
    }
}
