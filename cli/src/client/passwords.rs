//! The calls about the password flow. User name and password go by descriptor, never in a message.

use std::collections::HashMap;
use std::os::fd::OwnedFd;

use iamd_protocol::bus::{
    LoginInfo, LoginOptions, PasswordFlowInfo, PasswordFlowOptions, PasswordFlowReply, secret,
};

use super::Client;
use super::proxies::{AccountsProxy, AdminProxy};
use crate::failure::Failure;

impl Client {
    /// Signs in with the user name and the password that come out of the pipes; without, asks whether
    /// that is possible.
    pub(crate) fn login_with_password(
        &self,
        name: &str,
        options: LoginOptions,
        given: Option<(OwnedFd, OwnedFd)>,
    ) -> Result<LoginInfo, Failure> {
        let name = name.to_owned();
        self.call(async move |bus| {
            let mut secrets: HashMap<_, zbus::OwnedFd> = HashMap::new();
            if let Some((user_name, password)) = given {
                secrets.insert(secret::USER_NAME, user_name.into());
                secrets.insert(secret::PASSWORD, password.into());
            }
            AccountsProxy::new(&bus).await?.login_with_password(&name, options, secrets).await
        })
    }

    /// The clients that users may sign in with by password.
    pub(crate) fn password_flows(&self) -> Result<Vec<PasswordFlowInfo>, Failure> {
        self.call(async |bus| AdminProxy::new(&bus).await?.password_flows().await)
    }

    /// Lets users sign in by password with a client.
    pub(crate) fn enable_password_flow(
        &self,
        options: PasswordFlowOptions,
    ) -> Result<PasswordFlowReply, Failure> {
        self.call(async move |bus| AdminProxy::new(&bus).await?.enable_password_flow(options).await)
    }

    /// No longer does.
    pub(crate) fn disable_password_flow(
        &self,
        options: PasswordFlowOptions,
    ) -> Result<PasswordFlowReply, Failure> {
        self.call(async move |bus| {
            AdminProxy::new(&bus).await?.disable_password_flow(options).await
        })
    }
}
