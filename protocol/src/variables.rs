//! Environment variables that iamd sets or reads.

/// Path of the token file; set at login unless the user's environment has it
/// (WLCG bearer token discovery, rule 2).
pub const BEARER_TOKEN_FILE: &str = "BEARER_TOKEN_FILE";
/// The token itself (WLCG bearer token discovery, rule 1). Never set by a login: it would be
/// readable in `/proc` and go stale. `iamctl token --env` prints it on request.
pub const BEARER_TOKEN: &str = "BEARER_TOKEN";
/// The user's runtime directory, made by logind.
pub const XDG_RUNTIME_DIR: &str = "XDG_RUNTIME_DIR";
/// Path of a socket that speaks oidc-agent's protocol; set at login unless the user's environment
/// has it, where the site has it switched on.
pub const OIDC_SOCK: &str = "OIDC_SOCK";
/// When set to anything, the profile script and `iamctl login --if-needed` stay silent.
pub const IAMD_NO_LOGIN: &str = "IAMD_NO_LOGIN";
/// The address of the bus to use instead of the system bus. For tests and containers.
pub const IAMD_BUS_ADDRESS: &str = "IAMD_BUS_ADDRESS";
/// No colours, as asked by <https://no-color.org>.
pub const NO_COLOR: &str = "NO_COLOR";
