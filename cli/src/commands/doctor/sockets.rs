//! Does `iamctl token` reach the daemon on its own socket? Over the bus it works too, and takes longer.

use iamd_protocol::bus::Finding;
use iamd_protocol::paths::{PAM_SOCKET, TOKEN_SOCKET};

use super::{WARNING, finding};
use crate::environment::Environment;

/// Looks at the socket; nothing is said where it is, or where there is no daemon.
pub(super) fn look(environment: &Environment) -> Option<Finding> {
    let is_there = |path: &str| environment.path(path).symlink_metadata().is_ok();
    let missing = is_there(PAM_SOCKET) && !is_there(TOKEN_SOCKET);
    missing.then(|| {
        finding(
            "token socket",
            WARNING,
            format!("{TOKEN_SOCKET} is not there: iamctl token goes over the bus, which is slower"),
            "Administrators: systemctl restart iamd",
        )
    })
}
