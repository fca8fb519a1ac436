//! What is otherwise where several nodes share the store.

use std::{path::PathBuf, sync::Arc, time::Duration};

use futures_util::{
    StreamExt as _,
    stream::{self, BoxStream},
};

use super::{
    StoreVault,
    kept::{self, LOGINS},
};
use crate::{
    account::{AccountKey, ports::Changed},
    clock::Clock,
    config::EtcdAccess,
    store::{
        Changes, Store, StoreError,
        etcd::{EtcdCertificate, EtcdSettings, EtcdTls, EtcdUser},
    },
};

/// A start waits so long for etcd, and no longer than systemd waits for the start
/// (TimeoutStartSec=). Tries that last this long never come to StartLimitBurst=.
const START_WITHIN: Duration = Duration::from_secs(10);
/// A lock outlasts what an issuer may take to reply by so much: a request waits up to 10 s for its turn
/// before it is sent (`queue_timeout` of the issuer's limits).
const LOCK_BEYOND_REPLY: Duration = Duration::from_secs(15);
/// In the runtime directory: it is gone when the node boots, and in no image of its disk.
const LEASE_FILE: &str = "etcd-lease";
/// Before what is changed is asked for again.
const PAUSE: Duration = Duration::from_secs(1);

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

    /// What is changed in the store, where others write it too.
    pub(super) fn changes_of_all(&self) -> Option<BoxStream<'static, Changed>> {
        self.node.as_ref()?;
        let (store, clock) = (Arc::clone(&self.store), self.sealer.shared_clock());
        let following = Following { store, clock, changes: None };
        Some(
            stream::unfold(following, |mut following| async move {
                let changed = following.next().await;
                Some((changed, following))
            })
            .boxed(),
        )
    }
}

/// A watch of everything, begun anew when the store does not know any more what happened.
struct Following {
    store: Arc<dyn Store>,
    clock: Arc<dyn Clock>,
    changes: Option<Changes>,
}

impl Following {
    async fn next(&mut self) -> Changed {
        loop {
            let Some(changes) = &mut self.changes else {
                match begin(Arc::clone(&self.store)).await {
                    Ok(changes) => {
                        self.changes = Some(changes);
                        return Changed::Anything;
                    }
                    Err(error) => {
                        tracing::debug!(%error, "what other nodes change is not known: {error}");
                        self.clock.sleep(PAUSE).await;
                        continue;
                    }
                }
            };
            match changes.next().await {
                Some(Ok(change)) => {
                    if let Some(changed) = changed_by(&change.key) {
                        return changed;
                    }
                }
                Some(Err(_)) | None => self.changes = None,
            }
        }
    }
}

async fn begin(store: Arc<dyn Store>) -> Result<Changes, StoreError> {
    // Nothing at all is changed, and the revision told at which that was.
    let now = store.swap_all(Vec::new()).await?;
    store.watch("", now).await
}

fn changed_by(row: &str) -> Option<Changed> {
    if let Some(uid) = row.strip_prefix(kept::SETTINGS) {
        return uid.parse().ok().map(Changed::Settings);
    }
    kept::key_of_row(row).map(Changed::Account)
}
