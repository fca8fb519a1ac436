//! Which addresses and URLs the daemon may reach for a user. Pure.
//!
//! The daemon is root's and stands inside the site's network. An issuer that the site did not list
//! is somebody's say-so: it must not become a way to a database, a metadata service or a printer.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use url::{Host, Url};

use crate::account::{IssuerProfile, ports::IssuerError};

/// Whether an address is on the public Internet, as far as the IANA special-purpose registries
/// (RFC 6890 and its updates) tell.
pub(super) fn is_public(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => is_public_v4(address),
        IpAddr::V6(address) => is_public_v6(address),
    }
}

fn is_public_v4(address: Ipv4Addr) -> bool {
    let [a, b, c, _] = address.octets();
    let special = matches!(
        (a, b, c),
        (0 | 10 | 127, ..)              // this network, private, loopback
        | (100, 64..=127, _)            // shared address space of carriers (RFC 6598)
        | (169, 254, _)                 // link-local; cloud metadata services live here
        | (172, 16..=31, _)             // private
        | (192, 0, 0 | 2)               // protocol assignments, documentation
        | (192, 31, 196) | (192, 52, 193) | (192, 175, 48) // AS112, AMT
        | (192, 88, 99)                 // 6to4 relays, deprecated (RFC 7526)
        | (192, 168, _)                 // private
        | (198, 18 | 19, _)             // benchmarks
        | (198, 51, 100) | (203, 0, 113) // documentation
        | (224..=255, ..) // multicast, reserved, broadcast
    );
    !special
}

fn is_public_v6(address: Ipv6Addr) -> bool {
    let s = address.segments();
    let last_v4 = Ipv4Addr::from((u32::from(s[6]) << 16) | u32::from(s[7]));
    match s {
        // Addresses that carry an IPv4 one reach what that one reaches.
        [0, 0, 0, 0, 0, 0xffff, _, _] | [0x64, 0xff9b, 0, 0, 0, 0, _, _] => is_public_v4(last_v4),
        // IPv4-compatible and -translated: no use but to get around a filter.
        [0, 0, 0, 0, 0 | 0xffff, 0, _, _] => false,
        // 6to4 (RFC 3056).
        [0x2002, high, low, ..] => {
            is_public_v4(Ipv4Addr::from((u32::from(high) << 16) | u32::from(low)))
        }
        // Protocol assignments with Teredo and ORCHID, documentation.
        [0x2001, 0..=0x1ff, ..] | [0x2001, 0xdb8, ..] => false,
        [0x3fff, second, ..] if second < 0x1000 => false,
        // ISATAP interface identifiers carry an IPv4 address (RFC 5214).
        [_, _, _, _, 0 | 0x200, 0x5efe, _, _] if !is_public_v4(last_v4) => false,
        // Nothing else than 2000::/3 is global unicast today; that leaves out unique local,
        // link-local, site-local, multicast, discard and the local NAT64 prefix.
        [first, ..] => first & 0xe000 == 0x2000,
    }
}

/// Whether `url` may be asked on behalf of `profile`. Names are checked when they resolve, by
/// [`Resolver`](super::resolver::Resolver); literals here, because they never resolve.
///
/// # Errors
/// [`IssuerError::AddressNotPublic`] for an address inside of an issuer that is not listed, else
/// [`IssuerError::Malformed`]; the text names the host and what is wrong.
pub(super) fn check_url(profile: &IssuerProfile, url: &Url) -> Result<(), IssuerError> {
    let Some(host) = url.host() else {
        return Err(refused(format!("{} has no host", shown(url))));
    };
    if !url.username().is_empty() || url.password().is_some() {
        return Err(refused(format!("{} carries a user name", shown(url))));
    }
    match url.scheme() {
        "https" => {
            // Nor does one over TLS: it would have us knock at each of this machine's ports.
            let leads_here = profile.listed
                && is_loopback(&host)
                && !profile.url.host().is_some_and(|own| is_loopback(&own))
                && !is_by_hand(profile, url);
            if leads_here {
                return Err(refused(format!("{} is on this machine", shown(url))));
            }
        }
        // Plain http is for a test issuer on this machine. A real issuer may not lead us to it.
        "http" if profile.listed && is_loopback(&host) => {
            if profile.url.scheme() != "http" && !is_by_hand(profile, url) {
                return Err(refused(format!("{} is not https", shown(url))));
            }
        }
        _ => return Err(refused(format!("{} is not https", shown(url)))),
    }
    if profile.listed {
        return Ok(());
    }
    if url.port_or_known_default().is_none_or(|port| port != 443 && port < 1024) {
        return Err(refused(format!("{}: that port is not for issuers", shown(url))));
    }
    match literal(url) {
        Some(address) if !is_public(address) => Err(not_public(&address.to_string())),
        _ => Ok(()),
    }
}

/// The address in a URL that has one in place of a name.
pub(super) fn literal(url: &Url) -> Option<IpAddr> {
    match url.host()? {
        Host::Ipv4(address) => Some(IpAddr::V4(address)),
        Host::Ipv6(address) => Some(IpAddr::V6(address)),
        Host::Domain(_) => None,
    }
}

/// The error for a host inside the site's network, or nowhere.
pub(super) fn not_public(host: &str) -> IssuerError {
    IssuerError::AddressNotPublic {
        text: format!("{host} is not a public address, and the site does not list this issuer"),
    }
}

fn refused(text: String) -> IssuerError {
    IssuerError::Malformed { text }
}

/// Whether the site set this very endpoint.
fn is_by_hand(profile: &IssuerProfile, url: &Url) -> bool {
    let by_hand = &profile.endpoints;
    [
        &by_hand.configuration,
        &by_hand.token,
        &by_hand.device_authorization,
        &by_hand.registration,
        &by_hand.revocation,
        &by_hand.introspection,
        &by_hand.jwks,
        &by_hand.userinfo,
    ]
    .iter()
    .any(|endpoint| endpoint.as_ref() == Some(url))
}

/// Whether a host is this machine, by its spelling.
pub(super) fn is_loopback(host: &Host<&str>) -> bool {
    match host {
        Host::Ipv4(address) => address.is_loopback(),
        Host::Ipv6(address) => address.is_loopback(),
        Host::Domain(name) => name.trim_end_matches('.') == "localhost",
    }
}

/// A URL as an error text shows it: without user name, query and fragment.
fn shown(url: &Url) -> String {
    let host = url.host_str().unwrap_or_default();
    let port = url.port().map(|port| format!(":{port}")).unwrap_or_default();
    let path: String = url.path().chars().take(100).collect();
    format!("{}://{host}{port}{path}", url.scheme())
}
