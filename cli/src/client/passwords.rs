//! The calls about the password flow. The password goes by descriptor, never in a message.

use std::collections::HashMap;
use std::os::fd::OwnedFd;

use iamd_protocol::bus::{
    LoginInfo, LoginOptions, PasswordFlowInfo, PasswordFlowOptions, PasswordFlowReply, secret,
};

use super::Client;
use super::proxies::{AccountsProxy, AdminProxy};
use crate::failure::Failure;

impl Client {
    /// Signs in with the password that comes out of the pipe; without one, asks whether that is
    /// possible.
    pub(crate) fn login_with_password(
        &self,
        name: &str,
        options: LoginOptions,
        user_name: &str,
        password: Option<OwnedFd>,
    ) -> Result<LoginInfo, Failure> {
        let (name, user_name) = (name.to_owned(), user_name.to_owned());
        self.call(async move |bus| {
            let secrets: HashMap<_, zbus::OwnedFd> =
                password.into_iter().map(|fd| (secret::PASSWORD, fd.into())).collect();
            let bus = AccountsProxy::new(&bus).await?;
            bus.login_with_password(&name, options, &user_name, secrets).await
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
