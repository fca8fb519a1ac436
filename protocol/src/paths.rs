//! Where things are. Packagers change these here and nowhere else.

/// The site's configuration.
pub const CONFIG_FILE: &str = "/etc/iamd/iamd.toml";
/// The site's issuer files; a file here hides the shipped one of the same name.
pub const ISSUERS_DIR: &str = "/etc/iamd/issuers.d";
/// The shipped issuer files.
pub const SHIPPED_ISSUERS_DIR: &str = "/usr/share/iamd/issuers.d";
/// The site's rules: who may do what.
pub const POLICY_DIR: &str = "/etc/iamd/policy.d";
/// Store, journal and keys; 0700 root.
pub const STATE_DIR: &str = "/var/lib/iamd";
/// Sockets, session records and users' token files. Survives a restart of the daemon.
pub const RUNTIME_DIR: &str = "/run/iamd";
/// The PAM socket: 0600, root only.
pub const PAM_SOCKET: &str = "/run/iamd/pam.sock";
/// The socket of `iamctl token`: everybody's; whose tokens, the kernel says.
pub const TOKEN_SOCKET: &str = "/run/iamd/token.sock";
/// The socket that speaks oidc-agent's protocol: 0666, the uid of the peer decides.
pub const AGENT_SOCKET: &str = "/run/iamd/oidc-agent.sock";
/// One directory per user below this one: `UID/`, 0700, the user's, behind a link that shows nobody
/// else what is in it.
pub const USERS_DIR: &str = "/run/iamd/users";
/// The name of the systemd credential that holds the keys.
pub const KEYRING_CREDENTIAL: &str = "iamd.keyring";

/// The directory of a user's token files, below `users_dir` (normally [`USERS_DIR`]).
pub fn user_dir(users_dir: &str, uid: u32) -> String {
    format!("{users_dir}/{uid}")
}

/// The name of a token file: `bt_uUID` for the default account, `bt_uUID-NAME` for another
/// (WLCG bearer token discovery: several purposes are told apart by a suffix).
pub fn token_file_name(uid: u32, account: Option<&str>) -> String {
    match account {
        None => format!("bt_u{uid}"),
        Some(name) => format!("bt_u{uid}-{name}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_default_account_has_the_plain_name() {
        assert_eq!(token_file_name(1001, None), "bt_u1001");
        assert_eq!(token_file_name(1001, Some("cms")), "bt_u1001-cms");
        assert_eq!(user_dir(USERS_DIR, 7), "/run/iamd/users/7");
    }
}
