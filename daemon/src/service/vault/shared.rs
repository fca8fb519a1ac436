//! What is otherwise where several nodes share the store.

use std::{path::PathBuf, time::Duration};

use super::{
    StoreVault,
    kept::{self, LOGINS},
};
use crate::{
    account::AccountKey,
    config::EtcdAccess,
    store::etcd::{EtcdCertificate, EtcdSettings, EtcdTls, EtcdUser},
};

/// A start waits so long for etcd, and no longer than systemd waits for the start
/// (TimeoutStartSec=). Tries that last this long never come to StartLimitBurst=.
const START_WITHIN: Duration = Duration::from_secs(10);
/// A lock outlasts what an issuer may take to reply by so much.
const LOCK_BEYOND_REPLY: Duration = Duration::from_secs(15);
/// In the runtime directory: it is gone when the node boots, and in no image of its disk.
const LEASE_FILE: &str = "etcd-lease";

/// The store of several nodes, and which of them this one is.
#[derive(Debug, Clone)]
pub struct SharedStore {
    /// Where it is.
    pub access: EtcdAccess,
    /// This node's name, which no other node has.
    pub node: String,
    /// What survives a restart of the daemon, and nothing else.
    pub runtime_dir: PathBuf,
    /// Where systemd passes credentials.
    pub credentials: Option<PathBuf>,
    /// How long an issuer may take to reply.
    pub reply_time: Duration,
}

impl From<SharedStore> for EtcdSettings {
    fn from(shared: SharedStore) -> Self {
        let access = shared.access;
        let client =
            access.identity.map(|it| EtcdCertificate { certificate: it.certificate, key: it.key });
        let user = access.user.map(|(name, credential)| {
            let password = shared.credentials.unwrap_or_default().join(credential);
            EtcdUser { name, password }
        });
        let plain = |url: &url::Url| url.as_str().trim_end_matches('/').to_owned();
        Self {
            endpoints: access.endpoints.iter().map(plain).collect(),
            prefix: access.prefix,
            tls: access.ca.map(|ca| EtcdTls { ca, client }),
            user,
            timeout: access.timeout,
            connect_timeout: access.connect_timeout,
            start_within: START_WITHIN,
            lock_time: shared.reply_time + LOCK_BEYOND_REPLY,
            node: shared.node,
            lease_file: Some(shared.runtime_dir.join(LEASE_FILE)),
        }
    }
}

impl StoreVault {
    /// Where device logins are kept that wait for their user here. Each node has its own: a code
    /// that two of them redeem is one that an issuer revokes.
    pub(super) fn logins_here(&self) -> String {
        match &self.node {
            Some(node) => format!("{LOGINS}@{}/", kept::hash(node)),
            None => LOGINS.to_owned(),
        }
    }

    /// Where that of an account is.
    pub(super) fn login_row(&self, key: &AccountKey) -> String {
        format!("{}{}/{}", self.logins_here(), key.uid, key.name)
    }
}
