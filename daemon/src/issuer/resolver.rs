//! Names to addresses, at connect time. The addresses that were looked at are the ones that are
//! connected to: a name that changes its mind in between (DNS rebinding) gains nothing.

use std::{
    io,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket},
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
    address: String,
}

/// An address that an issuer which is not listed may not have, as errors show it: one inside, or
/// one of this node, however public.
pub(super) fn inside(address: IpAddr) -> Option<String> {
    if !address::is_public(address) {
        Some(address.to_string())
    } else if is_this_nodes(address) {
        Some(format!("{address} (this node's own)"))
    } else {
        None
    }
}

/// Whether what is sent to an address stays on this node: then the kernel sends from that very
/// address. Nothing is sent to find out.
fn is_this_nodes(address: IpAddr) -> bool {
    let any: IpAddr = match address {
        IpAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
        IpAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
    };
    let from = UdpSocket::bind((any, 0)).and_then(|socket| {
        socket.connect((address, 9))?;
        socket.local_addr()
    });
    from.is_ok_and(|from| from.ip() == address)
}

/// A host whose addresses are not known. Its words are those of what it comes from.
#[derive(Debug, thiserror::Error)]
#[error(transparent)]
pub(super) struct NoAddress(#[from] io::Error);

/// What the HTTP client asks.
pub(super) struct Resolver {
    pub(super) lookup: Arc<dyn Lookup>,
    /// Refuse names with any address that is not public or is this node's.
    pub(super) public_only: bool,
}

impl Resolve for Resolver {
    fn resolve(&self, name: Name) -> Resolving {
        let (lookup, public_only) = (Arc::clone(&self.lookup), self.public_only);
        Box::pin(async move {
            let addresses = lookup.lookup(name.as_str()).await.map_err(NoAddress)?;
            if public_only {
                // One address inside is one too many: which of them is used is up to chance.
                if let Some(address) = addresses.iter().find_map(|address| inside(*address)) {
                    let host = name.as_str().to_owned();
                    return Err(NotPublic { host, address }.into());
                }
            }
            // Port 0: the connector puts the URL's.
            let addresses: Addrs = Box::new(addresses.into_iter().map(|ip| SocketAddr::new(ip, 0)));
            Ok(addresses)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn r13_an_address_of_this_node_is_told_from_anothers() {
        for own in ["127.0.0.1", "::1"] {
            assert!(is_this_nodes(own.parse().unwrap()), "{own}");
        }
        for other in ["192.0.2.1", "8.8.8.8", "2001:db8::1"] {
            assert!(!is_this_nodes(other.parse().unwrap()), "{other}");
        }
    }
}
