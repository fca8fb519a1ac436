//! The D-Bus service: names, and (with the feature `bus`) the types of arguments and replies.
//!
//! Bus name [`NAME`], one object [`PATH`], three interfaces:
//!
//! | interface | methods | authorised by |
//! |---|---|---|
//! | [`TOKENS`] | `GetToken(s account, a{sv} options) → a{sv}` | the caller's uid: own accounts only |
//! | [`ACCOUNTS`] | `List() → aa{sv}`, `Show(s account) → a{sv}`, `Add(s account, a{sv} options, a{sh} secrets) → a{sv}`, `Edit(s account, a{sv} options) → a{sv}`, `Rename(s account, s new_name) → a{sv}`, `SetDefault(s account) → a{sv}`, `Remove(s account, a{sv} options) → a{sv}`, `Secrets(s account) → a{sv}`, `Login(s account, a{sv} options) → a{sv}`, `LoginWithPassword(s account, a{sv} options, a{sh} secrets) → a{sv}`, `LoginState(s account, u wait_ms) → a{sv}`, `CancelLogin(s account)`, `Logout(s account) → a{sv}`, `Lock(s account)`, `Unlock(s account, a{sv} options, h passphrase)`, `SetPassphrase(s account, a{sh} secrets) → a{sv}`, `SetNotice(b on)`, `Status() → a{sv}`, `Issuers() → aa{sv}`, `Issuer(s issuer) → a{sv}`, `Diagnose() → aa{sv}` | the caller's uid: own accounts only |
//! | [`ADMIN`] | `Reload()`, `Users() → aa{sv}`, `Sessions() → aa{sv}`, `Stats() → a{sv}`, `Revoke(a{sv} options) → a{sv}`, `SetDrain(a{sv} options) → a{sv}`, `Drain() → a{sv}`, `PasswordFlows() → aa{sv}`, `EnablePasswordFlow(a{sv} options) → a{sv}`, `DisablePasswordFlow(a{sv} options) → a{sv}`, `CheckPolicy() → a{sv}`, `ExplainPolicy(s user) → aa{sv}`, `Rekey(a{sv} options) → a{sv}`, `RekeyProgress() → a{sv}`, `Backup(a{sv} options, a{sh} descriptors) → a{sv}`, `Restore(a{sv} options, a{sh} descriptors) → a{sv}`, `CheckStore() → a{sv}`, `AcceptStore() → a{sv}` | polkit `org.iamd1.admin.*` |
//!
//! Everywhere an account is named, the empty string means the default account. Arguments and
//! replies are dictionaries, so that members can be added without a break; an unknown member is
//! ignored. A member that is absent means "not known" or "not asked for". Instants are seconds
//! since 1970-01-01 UTC (`t`), durations carry their unit in the name. There are no signals:
//! a broadcast on the system bus is seen by every user.
//!
//! A secret comes in by the reading end of a pipe, which is read until its other end is closed,
//! for 5 s at most; one newline at the end is not part of it. Other kinds of descriptors are
//! refused. The data of a backup goes through pipes too, from and to the file that the caller opened.

#[cfg(feature = "bus")]
mod account;
#[cfg(feature = "bus")]
mod admin;
#[cfg(feature = "bus")]
mod change;
#[cfg(feature = "bus")]
mod keys;
#[cfg(feature = "bus")]
mod login;
#[cfg(feature = "bus")]
mod password;
#[cfg(feature = "bus")]
mod policy;
#[cfg(feature = "bus")]
mod site;
#[cfg(feature = "bus")]
mod token;

#[cfg(feature = "bus")]
pub use {
    account::*, admin::*, change::*, keys::*, login::*, password::*, policy::*, site::*, token::*,
};

/// The well-known name on the system bus. The version changes only on a break.
pub const NAME: &str = "org.iamd1";
/// The one object.
pub const PATH: &str = "/org/iamd1";
/// Tokens of the caller.
pub const TOKENS: &str = "org.iamd1.Tokens";
/// Accounts and logins of the caller.
pub const ACCOUNTS: &str = "org.iamd1.Accounts";
/// Administration.
pub const ADMIN: &str = "org.iamd1.Admin";
/// polkit: reload the configuration.
pub const ACTION_RELOAD: &str = "org.iamd1.admin.reload";
/// polkit: see who has accounts and sessions (no tokens).
pub const ACTION_INSPECT: &str = "org.iamd1.admin.inspect";
/// polkit: say which clients may sign users in by password.
pub const ACTION_PASSWORD_FLOW: &str = "org.iamd1.admin.password-flow";
/// polkit: end the sign-ins of others.
pub const ACTION_REVOKE: &str = "org.iamd1.admin.revoke";
/// polkit: stop and resume new logins.
pub const ACTION_DRAIN: &str = "org.iamd1.admin.drain";
/// polkit: change the keys that seal the records.
pub const ACTION_KEYS: &str = "org.iamd1.admin.keys";
/// polkit: back up and restore the records.
pub const ACTION_BACKUP: &str = "org.iamd1.admin.backup";
/// The longest that `LoginState` waits, in milliseconds: below the 25 s that D-Bus clients give
/// a call by default.
pub const LONGEST_WAIT_MS: u32 = 20_000;

/// The state of an account, as text in [`AccountInfo::state`].
pub mod state {
    /// Never signed in.
    pub const NEW: &str = "new";
    /// Signed in: tokens are to be had.
    pub const SIGNED_IN: &str = "signed-in";
    /// The sign-in ended; a new one is needed.
    pub const LOGIN_REQUIRED: &str = "login-required";
    /// The issuer no longer accepts our client.
    pub const CLIENT_BROKEN: &str = "client-broken";
    /// The issuer wants the user to do something first.
    pub const ACTION_NEEDED: &str = "action-needed";
    /// The record does not open with this node's keys.
    pub const UNREADABLE: &str = "unreadable";
    /// Signed in, and sealed with the user's passphrase, which has to be given first.
    pub const LOCKED: &str = "locked";
    /// A rule of the site refuses this user the account's own token; what it allows stands in the
    /// reason. A token for less of the account may be allowed.
    pub const REFUSED: &str = "refused";
}

/// Whose client an account uses, as text in [`AccountInfo::client`].
pub mod client {
    /// The site's, shared by its users.
    pub const SITE: &str = "site";
    /// The site's, from the issuer's file.
    pub const FIXED: &str = "fixed";
    /// The user's, registered by iamd for all their accounts at the issuer.
    pub const USER: &str = "user";
    /// The account's own, registered by iamd.
    pub const OWN: &str = "own";
    /// One that the user had registered and gave to the account.
    pub const GIVEN: &str = "given";
    /// The public client that the issuer's file names.
    pub const PUBLIC: &str = "public";
}

/// The names of secrets that come in by file descriptor.
pub mod secret {
    /// `client_secret` of a client that the user had registered.
    pub const CLIENT_SECRET: &str = "client-secret";
    /// An initial access token for the registration (RFC 7591 §1.2).
    pub const INITIAL_ACCESS_TOKEN: &str = "initial-access-token";
    /// A refresh token to start from instead of a login.
    pub const REFRESH_TOKEN: &str = "refresh-token";
    /// The passphrase of an account.
    pub const PASSPHRASE: &str = "passphrase";
    /// The passphrase that an account gets, with `Add` or in the place of the one before.
    pub const NEW_PASSPHRASE: &str = "new-passphrase";
    /// The user's name at the issuer, for one sign-in by password: some type the password there.
    pub const USER_NAME: &str = "user-name";
    /// The user's password at the issuer, for one sign-in; never kept.
    pub const PASSWORD: &str = "password";
    /// The longest secret that is read, in bytes.
    pub const LONGEST: usize = 16 * 1024;
}

/// What came of the end of a sign-in, as text in [`RevokedInfo::result`].
pub mod revoked {
    /// It would be ended.
    pub const WOULD: &str = "would";
    /// The issuer revoked it.
    pub const REVOKED: &str = "revoked";
    /// It is ended here; the issuer did not confirm.
    pub const UNCONFIRMED: &str = "unconfirmed";
    /// It is ended here; the issuer has not answered yet.
    pub const PENDING: &str = "pending";
    /// It could not be ended here.
    pub const FAILED: &str = "failed";
}

/// The names of the descriptors of `Backup` and `Restore`; both are ends of pipes.
pub mod backup {
    /// What the backup is written to, or read from.
    pub const DATA: &str = "data";
    /// The passphrase that the backup is sealed with.
    pub const PASSPHRASE: &str = super::secret::PASSPHRASE;
    /// The shortest passphrase of a new backup, in characters.
    pub const SHORTEST: usize = 12;
}

/// How a change of keys stands, as text in [`RekeyState::state`].
pub mod rekey_state {
    /// Every record is sealed with the key that seals.
    pub const DONE: &str = "done";
    /// Records are sealed anew while everything goes on.
    pub const RUNNING: &str = "running";
    /// An older key seals some records: begun and interrupted, or a key was put into the keyring.
    pub const UNFINISHED: &str = "unfinished";
    /// It stopped before its end; `message` says why. Every record opens as before.
    pub const STOPPED: &str = "stopped";
}

/// The state of a login, as text in [`LoginInfo::state`].
pub mod login_state {
    /// The issuer has been asked for a code and has not answered yet.
    pub const STARTING: &str = "starting";
    /// Code and URL are there; the user has to act.
    pub const PENDING: &str = "pending";
    /// The user may sign in by password, which was not given yet; nothing was started.
    pub const PASSWORD_NEEDED: &str = "password-needed";
    /// Signed in.
    pub const DONE: &str = "done";
    /// Ended without success; `error` and `message` say why.
    pub const FAILED: &str = "failed";
}

#[cfg(all(test, feature = "bus"))]
mod tests {
    use super::*;

    #[test]
    fn secrets_of_an_account_are_not_in_the_debug_text() {
        let canary = Some("canary".to_owned());
        let secrets = AccountSecrets {
            refresh_token: canary.clone(),
            client_secret: canary.clone(),
            registration_access_token: canary,
            ..Default::default()
        };
        assert!(!format!("{secrets:?}").contains("canary"));
    }

    #[test]
    fn a_token_is_not_in_the_debug_text() {
        let reply = TokenReply { token: "canary".into(), ..Default::default() };
        assert!(!format!("{reply:?}").contains("canary"));
    }
}
