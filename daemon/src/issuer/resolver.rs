//! Names to addresses, at connect time. The addresses that were looked at are the ones that are
//! connected to: a name that changes its mind in between (DNS rebinding) gains nothing.

use std::{
    io,
    net::{IpAddr, SocketAddr},
    sync::Arc,
};

use async_trait::async_trait;
use reqwest::dns::{Addrs, Name, Resolve, Resolving};

use super::address;

/// Where addresses come from; a test brings its own.
#[async_trait]
pub trait Lookup: Send + Sync + 'static {
    /// All addresses of a host name.
    ///
    /// # Errors
    /// What the resolver says.
    async fn lookup(&self, host: &str) -> io::Result<Vec<IpAddr>>;
}

/// The machine's resolver.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemLookup;

#[async_trait]
impl Lookup for SystemLookup {
    async fn lookup(&self, host: &str) -> io::Result<Vec<IpAddr>> {
        Ok(tokio::net::lookup_host((host, 0)).await?.map(|address| address.ip()).collect())
    }
}

/// A host that resolves to an address which is not public.
#[derive(Debug, thiserror::Error)]
#[error("{host} resolves to {address}, which is not a public address")]
pub(super) struct NotPublic {
    host: String,
    address: IpAddr,
}

/// A host whose addresses are not known. Its words are those of what it comes from.
#[derive(Debug, thiserror::Error)]
#[error(transparent)]
pub(super) struct NoAddress(#[from] io::Error);

/// What the HTTP client asks.
pub(super) struct Resolver {
    pub(super) lookup: Arc<dyn Lookup>,
    /// Refuse names with any address that is not public.
    pub(super) public_only: bool,
}

impl Resolve for Resolver {
    fn resolve(&self, name: Name) -> Resolving {
        let (lookup, public_only) = (Arc::clone(&self.lookup), self.public_only);
        Box::pin(async move {
            let addresses = lookup.lookup(name.as_str()).await.map_err(NoAddress)?;
            if public_only {
                // One address inside is one too many: which of them is used is up to chance.
                let inside = addresses.iter().find(|address| !address::is_public(**address));
                if let Some(address) = inside {
                    let host = name.as_str().to_owned();
                    return Err(NotPublic { host, address: *address }.into());
                }
            }
            // Port 0: the connector puts the URL's.
            let addresses: Addrs = Box::new(addresses.into_iter().map(|ip| SocketAddr::new(ip, 0)));
            Ok(addresses)
        })
    }
}
