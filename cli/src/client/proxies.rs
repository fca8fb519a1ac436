//! The three interfaces, as zbus calls them.

use std::collections::HashMap;

use iamd_protocol::bus::{
    AcceptReply, AccountInfo, AccountSecrets, AddOptions, BackupOptions, BackupReply, ChangeReply,
    DrainInfo, DrainOptions, EditOptions, Finding, IssuerInfo, LoginInfo, LoginOptions,
    LogoutReply, PasswordFlowInfo, PasswordFlowOptions, PasswordFlowReply, PolicyCheck, PolicyLine,
    RekeyOptions, RekeyState, RemoveOptions, RemoveReply, RestoreOptions, RestoreReply,
    RevokeOptions, RevokeReply, SessionInfo, StatsReply, StatusReply, StoreReport, TokenOptions,
    TokenReply, UnlockOptions, UserInfo,
};
use zbus::{Fd, OwnedFd, proxy};

#[proxy(interface = "org.iamd1.Tokens", default_service = "org.iamd1", default_path = "/org/iamd1")]
pub(super) trait Tokens {
    async fn get_token(&self, account: &str, options: TokenOptions) -> zbus::Result<TokenReply>;
}

#[proxy(
    interface = "org.iamd1.Accounts",
    default_service = "org.iamd1",
    default_path = "/org/iamd1"
)]
pub(super) trait Accounts {
    async fn list(&self) -> zbus::Result<Vec<AccountInfo>>;
    async fn show(&self, account: &str) -> zbus::Result<AccountInfo>;
    async fn login(&self, account: &str, options: LoginOptions) -> zbus::Result<LoginInfo>;
    async fn login_with_password(
        &self,
        account: &str,
        options: LoginOptions,
        secrets: HashMap<&str, OwnedFd>,
    ) -> zbus::Result<LoginInfo>;
    async fn login_state(&self, account: &str, wait_ms: u32) -> zbus::Result<LoginInfo>;
    async fn cancel_login(&self, account: &str) -> zbus::Result<()>;
    async fn logout(&self, account: &str) -> zbus::Result<LogoutReply>;
    async fn lock(&self, account: &str) -> zbus::Result<()>;
    async fn unlock(
        &self,
        account: &str,
        options: UnlockOptions,
        passphrase: Fd<'_>,
    ) -> zbus::Result<()>;
    async fn set_passphrase(
        &self,
        account: &str,
        secrets: HashMap<&str, Fd<'_>>,
    ) -> zbus::Result<ChangeReply>;
    async fn set_notice(&self, on: bool) -> zbus::Result<()>;
    async fn status(&self) -> zbus::Result<StatusReply>;
    async fn issuers(&self) -> zbus::Result<Vec<IssuerInfo>>;
    async fn issuer(&self, issuer: &str) -> zbus::Result<IssuerInfo>;
    async fn add(
        &self,
        account: &str,
        options: AddOptions,
        secrets: HashMap<&str, OwnedFd>,
    ) -> zbus::Result<ChangeReply>;
    async fn edit(&self, account: &str, options: EditOptions) -> zbus::Result<ChangeReply>;
    async fn rename(&self, account: &str, new_name: &str) -> zbus::Result<ChangeReply>;
    async fn set_default(&self, account: &str) -> zbus::Result<ChangeReply>;
    async fn remove(&self, account: &str, options: RemoveOptions) -> zbus::Result<RemoveReply>;
    async fn secrets(&self, account: &str) -> zbus::Result<AccountSecrets>;
    async fn diagnose(&self) -> zbus::Result<Vec<Finding>>;
}

#[proxy(interface = "org.iamd1.Admin", default_service = "org.iamd1", default_path = "/org/iamd1")]
pub(super) trait Admin {
    // polkit may ask the person at the terminal, whatever is asked for.
    #[zbus(allow_interactive_auth)]
    async fn reload(&self) -> zbus::Result<()>;
    #[zbus(allow_interactive_auth)]
    async fn users(&self) -> zbus::Result<Vec<UserInfo>>;
    #[zbus(allow_interactive_auth)]
    async fn sessions(&self) -> zbus::Result<Vec<SessionInfo>>;
    #[zbus(allow_interactive_auth)]
    async fn stats(&self) -> zbus::Result<StatsReply>;
    #[zbus(allow_interactive_auth)]
    async fn password_flows(&self) -> zbus::Result<Vec<PasswordFlowInfo>>;
    #[zbus(allow_interactive_auth)]
    async fn enable_password_flow(
        &self,
        options: PasswordFlowOptions,
    ) -> zbus::Result<PasswordFlowReply>;
    #[zbus(allow_interactive_auth)]
    async fn disable_password_flow(
        &self,
        options: PasswordFlowOptions,
    ) -> zbus::Result<PasswordFlowReply>;
    #[zbus(allow_interactive_auth)]
    async fn revoke(&self, options: RevokeOptions) -> zbus::Result<RevokeReply>;
    #[zbus(allow_interactive_auth)]
    async fn set_drain(&self, options: DrainOptions) -> zbus::Result<DrainInfo>;
    #[zbus(allow_interactive_auth)]
    async fn drain(&self) -> zbus::Result<DrainInfo>;
    #[zbus(allow_interactive_auth)]
    async fn check_policy(&self) -> zbus::Result<PolicyCheck>;
    #[zbus(allow_interactive_auth)]
    async fn explain_policy(&self, user: &str) -> zbus::Result<Vec<PolicyLine>>;
    #[zbus(allow_interactive_auth)]
    async fn rekey(&self, options: RekeyOptions) -> zbus::Result<RekeyState>;
    #[zbus(allow_interactive_auth)]
    async fn rekey_progress(&self) -> zbus::Result<RekeyState>;
    #[zbus(allow_interactive_auth)]
    async fn backup(
        &self,
        options: BackupOptions,
        descriptors: HashMap<&str, OwnedFd>,
    ) -> zbus::Result<BackupReply>;
    #[zbus(allow_interactive_auth)]
    async fn restore(
        &self,
        options: RestoreOptions,
        descriptors: HashMap<&str, OwnedFd>,
    ) -> zbus::Result<RestoreReply>;
    #[zbus(allow_interactive_auth)]
    async fn check_store(&self) -> zbus::Result<StoreReport>;
    #[zbus(allow_interactive_auth)]
    async fn accept_store(&self) -> zbus::Result<AcceptReply>;
}
