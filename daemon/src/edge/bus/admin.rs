//! `org.iamd1.Admin`: authorised by polkit, by the caller's name on the bus and never by a pid.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
};

use iamd_protocol::{
    bus::{
        ACTION_BACKUP, ACTION_DRAIN, ACTION_INSPECT, ACTION_KEYS, ACTION_PASSWORD_FLOW,
        ACTION_RELOAD, ACTION_REVOKE, AcceptReply, BackupOptions, BackupReply, DrainInfo,
        DrainOptions, PasswordFlowInfo, PasswordFlowOptions, PasswordFlowReply, PolicyCheck,
        PolicyLine, RekeyOptions, RekeyState, RestoreOptions, RestoreReply, RevokeOptions,
        RevokeReply, SessionInfo, StatsReply, StoreReport, UserInfo, backup,
    },
    error::Kind,
};
use zbus::{Connection, OwnedFd, interface, message::Header};
use zbus_polkit::policykit1::{AuthorityProxy, CheckAuthorizationFlags, Subject};

use super::{BusError, Callers, pipes};
use crate::service::{By, Caller, Service};

pub(super) struct Admin {
    service: Arc<Service>,
    callers: Callers,
    /// The connection that polkit allowed the last change of keys; its name is never given again.
    rekeyed_by: Mutex<Option<String>>,
}

/// The issuer and the client that were named.
type At<'a> = (Option<&'a str>, Option<&'a str>);

impl Admin {
    pub(super) fn new(service: Arc<Service>, callers: Callers) -> Self {
        Self { service, callers, rekeyed_by: Mutex::default() }
    }

    /// The caller, if polkit authorises them for `action`. root always is.
    async fn authorise(
        &self,
        header: &Header<'_>,
        connection: &Connection,
        action: &str,
    ) -> Result<By, BusError> {
        self.authorise_for(header, connection, action, (None, None)).await
    }

    /// The same for what is done to an issuer or a client: a refusal is recorded with both.
    async fn authorise_for(
        &self,
        header: &Header<'_>,
        connection: &Connection,
        action: &str,
        at: At<'_>,
    ) -> Result<By, BusError> {
        let (uid, pid) = self.callers.credentials(header, connection).await?;
        let by = By { uid, pid };
        // polkit may ask a person, which takes its time.
        let _guard = self.service.admit(uid)?;
        if uid == 0 {
            return Ok(by);
        }
        let text = match ask_polkit(header, connection, action).await {
            Ok(true) => return Ok(by),
            Ok(false) => format!("polkit does not allow you {action}"),
            Err(error) => {
                tracing::warn!(%error, action, "polkit did not answer; refused: {error}");
                format!("polkit did not answer whether it allows you {action}, and so you may not")
            }
        };
        self.begins(by, header, action, at, Err(BusError::new(Kind::NotAuthorized, text)))
    }

    /// What is asked for can begin, or why not: that is recorded.
    fn begins<T>(
        &self,
        by: By,
        header: &Header<'_>,
        action: &str,
        at: At<'_>,
        begun: Result<T, BusError>,
    ) -> Result<T, BusError> {
        if let Err(error) = &begun {
            // Several methods have the same action.
            let method = header.member().map(ToString::to_string).unwrap_or_default();
            self.service.note_refused(by, &format!("{method} ({action})"), at, error.kind());
        }
        begun
    }

    /// The caller who may allow clients the password flow.
    async fn allower(
        &self,
        options: &PasswordFlowOptions,
        header: &Header<'_>,
        connection: &Connection,
    ) -> Result<Caller, BusError> {
        let (action, at) =
            (ACTION_PASSWORD_FLOW, (options.issuer.as_deref(), options.client.as_deref()));
        let by = self.authorise_for(header, connection, action, at).await?;
        let caller = self.callers.of(header, connection, &self.service).await;
        self.begins(by, header, action, at, caller)
    }
}

fn sender(header: &Header<'_>) -> Option<String> {
    header.sender().map(ToString::to_string)
}

async fn ask_polkit(
    header: &Header<'_>,
    connection: &Connection,
    action: &str,
) -> Result<bool, Box<dyn std::error::Error + Send + Sync>> {
    let subject = Subject::new_for_message_header(header)?;
    let interactive =
        header.primary().flags().contains(zbus::message::Flags::ALLOW_INTERACTIVE_AUTH);
    let flags = if interactive {
        CheckAuthorizationFlags::ALLOW_USER_INTERACTION
    } else {
        CheckAuthorizationFlags::default()
    };
    let polkit = AuthorityProxy::new(connection).await?;
    let result = polkit.check_authorization(&subject, action, &HashMap::new(), flags, "").await?;
    Ok(result.is_authorized)
}

#[interface(name = "org.iamd1.Admin")]
impl Admin {
    /// Reads the configuration again.
    async fn reload(
        &self,
        #[zbus(header)] header: Header<'_>,
        #[zbus(connection)] connection: &Connection,
    ) -> Result<(), BusError> {
        let by = self.authorise(&header, connection, ACTION_RELOAD).await?;
        Ok(self.service.reread(by).await?)
    }

    /// Who has accounts and sessions; no tokens.
    async fn users(
        &self,
        #[zbus(header)] header: Header<'_>,
        #[zbus(connection)] connection: &Connection,
    ) -> Result<Vec<UserInfo>, BusError> {
        let by = self.authorise(&header, connection, ACTION_INSPECT).await?;
        Ok(self.service.users(by).await?)
    }

    /// The sessions on this node.
    async fn sessions(
        &self,
        #[zbus(header)] header: Header<'_>,
        #[zbus(connection)] connection: &Connection,
    ) -> Result<Vec<SessionInfo>, BusError> {
        let by = self.authorise(&header, connection, ACTION_INSPECT).await?;
        Ok(self.service.all_sessions(by))
    }

    /// What there is on this node and what was done since the daemon began, in numbers.
    async fn stats(
        &self,
        #[zbus(header)] header: Header<'_>,
        #[zbus(connection)] connection: &Connection,
    ) -> Result<StatsReply, BusError> {
        let by = self.authorise(&header, connection, ACTION_INSPECT).await?;
        Ok(self.service.stats(by).await?)
    }

    /// The clients that users may sign in with by password.
    async fn password_flows(
        &self,
        #[zbus(header)] header: Header<'_>,
        #[zbus(connection)] connection: &Connection,
    ) -> Result<Vec<PasswordFlowInfo>, BusError> {
        let by = self.authorise(&header, connection, ACTION_PASSWORD_FLOW).await?;
        Ok(self.service.password_flows(by).await?)
    }

    /// Lets users sign in by password with a client.
    async fn enable_password_flow(
        &self,
        options: PasswordFlowOptions,
        #[zbus(header)] header: Header<'_>,
        #[zbus(connection)] connection: &Connection,
    ) -> Result<PasswordFlowReply, BusError> {
        let by = self.allower(&options, &header, connection).await?;
        Ok(self.service.enable_password_flow(&by, options).await?)
    }

    /// No longer lets users sign in by password with a client.
    async fn disable_password_flow(
        &self,
        options: PasswordFlowOptions,
        #[zbus(header)] header: Header<'_>,
        #[zbus(connection)] connection: &Connection,
    ) -> Result<PasswordFlowReply, BusError> {
        let by = self.allower(&options, &header, connection).await?;
        Ok(self.service.disable_password_flow(&by, options).await?)
    }

    /// Ends sign-ins of users, here and at their issuers.
    async fn revoke(
        &self,
        options: RevokeOptions,
        #[zbus(header)] header: Header<'_>,
        #[zbus(connection)] connection: &Connection,
    ) -> Result<RevokeReply, BusError> {
        let at = (options.issuer.as_deref(), options.client.as_deref());
        let by = self.authorise_for(&header, connection, ACTION_REVOKE, at).await?;
        Ok(self.service.revoke_sign_ins(by, options).await?)
    }

    /// Takes no new sign-ins from now on, or takes them again.
    async fn set_drain(
        &self,
        options: DrainOptions,
        #[zbus(header)] header: Header<'_>,
        #[zbus(connection)] connection: &Connection,
    ) -> Result<DrainInfo, BusError> {
        let by = self.authorise(&header, connection, ACTION_DRAIN).await?;
        Ok(self.service.set_drain(by, options)?)
    }

    /// Whether new sign-ins are taken.
    async fn drain(
        &self,
        #[zbus(header)] header: Header<'_>,
        #[zbus(connection)] connection: &Connection,
    ) -> Result<DrainInfo, BusError> {
        let by = self.authorise(&header, connection, ACTION_INSPECT).await?;
        Ok(self.service.drain_state(by))
    }

    /// What is wrong with the configuration on disk, or what its rules come to.
    async fn check_policy(
        &self,
        #[zbus(header)] header: Header<'_>,
        #[zbus(connection)] connection: &Connection,
    ) -> Result<PolicyCheck, BusError> {
        let by = self.authorise(&header, connection, ACTION_INSPECT).await?;
        Ok(self.service.check_policy(by).await)
    }

    /// What a user may do by the configuration in force, and which lines decided.
    async fn explain_policy(
        &self,
        user: &str,
        #[zbus(header)] header: Header<'_>,
        #[zbus(connection)] connection: &Connection,
    ) -> Result<Vec<PolicyLine>, BusError> {
        let by = self.authorise(&header, connection, ACTION_INSPECT).await?;
        Ok(self.service.explain_policy(by, user).await?)
    }

    /// Seals all records with another key while everything goes on, or goes on with that.
    async fn rekey(
        &self,
        options: RekeyOptions,
        #[zbus(header)] header: Header<'_>,
        #[zbus(connection)] connection: &Connection,
    ) -> Result<RekeyState, BusError> {
        let by = self.authorise(&header, connection, ACTION_KEYS).await?;
        *self.rekeyed_by.lock().unwrap_or_else(PoisonError::into_inner) = sender(&header);
        Ok(self.service.rekey(by, options).await?)
    }

    /// How that stands.
    async fn rekey_progress(
        &self,
        #[zbus(header)] header: Header<'_>,
        #[zbus(connection)] connection: &Connection,
    ) -> Result<RekeyState, BusError> {
        // Who started it looks on, some times a second: polkit would ask them each time.
        let began = self.rekeyed_by.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let by = if began.is_some() && began == sender(&header) {
            let (uid, pid) = self.callers.credentials(&header, connection).await?;
            By { uid, pid }
        } else {
            self.authorise(&header, connection, ACTION_KEYS).await?
        };
        Ok(self.service.rekey_progress(by).await?)
    }

    /// Writes a backup of all records into a pipe.
    async fn backup(
        &self,
        options: BackupOptions,
        descriptors: HashMap<String, OwnedFd>,
        #[zbus(header)] header: Header<'_>,
        #[zbus(connection)] connection: &Connection,
    ) -> Result<BackupReply, BusError> {
        let by = self.authorise(&header, connection, ACTION_BACKUP).await?;
        let given = async {
            let (data, passphrase) = pipes::of_backup(descriptors).await?;
            Ok((pipes::writer(data, backup::DATA)?, passphrase))
        };
        let given = given.await;
        let (mut to, passphrase) = self.begins(by, &header, ACTION_BACKUP, (None, None), given)?;
        Ok(self.service.back_up(by, options, &passphrase, &mut to).await?)
    }

    /// Reads a backup from a pipe, checks it, and puts it into the store.
    async fn restore(
        &self,
        options: RestoreOptions,
        descriptors: HashMap<String, OwnedFd>,
        #[zbus(header)] header: Header<'_>,
        #[zbus(connection)] connection: &Connection,
    ) -> Result<RestoreReply, BusError> {
        let by = self.authorise(&header, connection, ACTION_BACKUP).await?;
        let given = async {
            let (data, passphrase) = pipes::of_backup(descriptors).await?;
            Ok((pipes::reader(data, backup::DATA)?, passphrase))
        };
        let given = given.await;
        let (mut from, passphrase) =
            self.begins(by, &header, ACTION_BACKUP, (None, None), given)?;
        Ok(self.service.restore(by, options, &passphrase, &mut from).await?)
    }

    /// Reads all records and says what is wrong with them.
    async fn check_store(
        &self,
        #[zbus(header)] header: Header<'_>,
        #[zbus(connection)] connection: &Connection,
    ) -> Result<StoreReport, BusError> {
        let by = self.authorise(&header, connection, ACTION_INSPECT).await?;
        Ok(self.service.check_store(by).await?)
    }

    /// Has records hold that are older than ones that were seen in their place.
    async fn accept_store(
        &self,
        #[zbus(header)] header: Header<'_>,
        #[zbus(connection)] connection: &Connection,
    ) -> Result<AcceptReply, BusError> {
        let by = self.authorise(&header, connection, ACTION_BACKUP).await?;
        Ok(self.service.accept_store(by).await?)
    }
}
