//! The errors that callers can tell apart: each has one D-Bus name, one exit code of `iamctl` and
//! one piece of advice. The daemon maps its typed errors to a [`Kind`] at its edges; `iamctl`
//! maps a name back to the same [`Kind`].

/// The prefix of every error's D-Bus name.
pub const PREFIX: &str = "org.iamd1.Error.";

macro_rules! kinds {
    ($( $(#[doc = $doc:literal])* $kind:ident = $exit:expr, $advice:literal; )*) => {
        /// What went wrong, as a caller can act on it.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum Kind { $( $(#[doc = $doc])* $kind, )* }

        impl Kind {
            /// Every kind, for tables and tests.
            pub const ALL: &'static [Self] = &[$( Self::$kind, )*];

            /// The last part of the D-Bus name, stable for ever.
            pub const fn short_name(self) -> &'static str {
                match self { $( Self::$kind => stringify!($kind), )* }
            }

            /// The exit code of `iamctl`.
            pub const fn exit(self) -> Exit {
                match self { $( Self::$kind => $exit, )* }
            }

            /// What to do next, in one sentence; empty where the message says it all.
            pub const fn advice(self) -> &'static str {
                match self { $( Self::$kind => $advice, )* }
            }
        }
    };
}

/// The exit codes of `iamctl`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(u8)]
pub enum Exit {
    /// Done.
    Done = 0,
    /// Failed for another reason than those below.
    Failed = 1,
    /// The command line is wrong.
    Usage = 2,
    /// The user has to sign in.
    LoginRequired = 3,
    /// The site's policy forbids it.
    Denied = 4,
    /// The daemon or the issuer cannot be reached.
    Unreachable = 5,
    /// Validity, scope or audience are not to be had.
    NotToBeHad = 6,
}

kinds! {
    /// No usable sign-in: never signed in, signed out, or the refresh token is dead.
    LoginRequired = Exit::LoginRequired, "Sign in with:  iamctl login";
    /// A device login is running and waits for the user.
    LoginPending = Exit::LoginRequired, "Finish the running login:  iamctl login";
    /// The device login ended because nobody answered in time.
    LoginExpired = Exit::LoginRequired, "Start again with:  iamctl login";
    /// The user, or somebody at the issuer, said no.
    LoginDenied = Exit::Failed, "If that was a mistake, start again with:  iamctl login";
    /// The login was cancelled from another terminal.
    LoginCancelled = Exit::Failed, "Start again with:  iamctl login";
    /// Somebody else signed in than the account belongs to.
    IdentityMismatch = Exit::Denied, "Sign in as the person this account belongs to.";
    /// The user has no account of that name.
    NoSuchAccount = Exit::Failed, "See what there is with:  iamctl account list";
    /// The user has an account of that name already.
    AccountExists = Exit::Failed, "Choose another name, or change it with:  iamctl account edit";
    /// The account is sealed with the user's passphrase, and locked.
    AccountLocked = Exit::LoginRequired, "Unlock it with:  iamctl account unlock";
    /// That is not the account's passphrase.
    WrongPassphrase = Exit::Failed, "Try again. One that is lost cannot be recovered: sign out with iamctl logout, and in again.";
    /// The issuer does not accept the user name with that password.
    WrongPassword = Exit::Failed, "Issuers bar who tries too often. To sign in in a browser instead:  iamctl login";
    /// The client may not sign users in by password at the issuer.
    GrantMissing = Exit::Denied, "To sign in in a browser instead:  iamctl login";
    /// The issuer wants more than a password of this user.
    SecondFactorNeeded = Exit::Failed, "A password is not enough there. Sign in in a browser:  iamctl login";
    /// The name service knows no user of that name.
    NoSuchUser = Exit::Failed, "Administrators: see how the name is spelt with:  getent passwd NAME";
    /// The issuer is not known to this site under that name.
    NoSuchIssuer = Exit::Failed, "See what there is with:  iamctl issuer list";
    /// The site's policy forbids it. The message says what is allowed.
    DeniedByPolicy = Exit::Denied, "Ask the administrators of this site.";
    /// polkit did not authorise the caller.
    NotAuthorized = Exit::Denied, "This needs an administrator: run it as root, or ask one.";
    /// The issuer is not listed by the site and custom issuers are off.
    IssuerNotAllowed = Exit::Denied, "See what this site allows with:  iamctl issuer list";
    /// The issuer's address is inside a private network and the site did not list it.
    AddressNotPublic = Exit::Denied, "Only an administrator can allow issuers inside the site's network.";
    /// The uid has as many accounts as the site allows.
    TooManyAccounts = Exit::Denied, "Sign out of one that you no longer need:  iamctl logout NAME";
    /// The uid has as many running logins as the site allows.
    TooManyLogins = Exit::Denied, "Finish or cancel one first:  iamctl login --cancel NAME";
    /// The uid has begun as many logins in a minute as the site allows.
    TooManyLoginStarts = Exit::Denied, "Wait a minute, then try again; a login that runs goes on:  iamctl login";
    /// The uid has as many requests in flight as the site allows.
    TooManyRequests = Exit::Denied, "Try again when the running requests are done.";
    /// The uid has registered as many clients in an hour as the site allows.
    TooManyRegistrations = Exit::Denied, "Try again later, or use the client that you have.";
    /// Passphrases or passwords were tried or new tokens asked for too often just now.
    TooManyAttempts = Exit::Denied, "Wait a minute, then try again.";
    /// The client at the issuer is not the user's to change.
    ClientNotYours = Exit::Denied, "Ask the administrators of this site, or use a client of your own:  iamctl account add --own-client";
    /// The node takes no new sign-ins for a while.
    Draining = Exit::Unreachable, "Try again later, or on another login node; sign-ins that you have go on working.";
    /// An argument is malformed.
    InvalidArgument = Exit::Usage, "";
    /// The issuer could not be reached or answered with a passing failure.
    IssuerUnreachable = Exit::Unreachable, "Try again later; a login or token that is still valid keeps working.";
    /// The issuer did not answer within `limits.reply_time`: may pass.
    IssuerReplyTooSlow = Exit::Unreachable, "Try again later. Administrators: see limits.reply_time in iamd.toml(5)";
    /// As many requests to the issuer as the site allows are under way, and more wait: may pass.
    IssuerBusy = Exit::Unreachable, "Try again later. Administrators: see limits.issuer_requests in iamd.toml(5)";
    /// The issuer's answer is longer than `limits.reply_bytes`.
    IssuerReplyTooLong = Exit::Failed, "Ask for less. Administrators: see limits.reply_bytes in iamd.toml(5)";
    /// The issuer refused, for a reason that signing in again does not cure.
    IssuerRefused = Exit::Failed, "See:  iamctl doctor";
    /// The issuer's answer breaks the protocol.
    IssuerMalformed = Exit::Failed, "Tell the administrators of the issuer; details:  iamctl doctor";
    /// The issuer no longer accepts our client. The refresh token is kept.
    ClientBroken = Exit::Failed, "Register anew and sign in with:  iamctl login --new-client";
    /// The issuer does not accept a client that only the site can put right.
    ClientRefused = Exit::Failed, "Ask the administrators of this site: only they can put it right.";
    /// The issuer does not accept the client that the user gave to the account.
    GivenClientRefused = Exit::Failed, "Give it the right one:  iamctl account remove NAME  (where it is there), then  iamctl account add NAME --issuer ISSUER --client-id ID";
    /// The user has to do something at the issuer first, such as sign its acceptable use policy.
    ActionNeeded = Exit::Failed, "Do at the issuer what it asks for, then try again.";
    /// No token with that validity is to be had.
    ValidityUnavailable = Exit::NotToBeHad, "Ask for less with --min-valid.";
    /// The issuer does not grant these scopes to this sign-in.
    ScopeUnavailable = Exit::NotToBeHad, "See what was granted with:  iamctl account show";
    /// The issuer does not grant this audience.
    AudienceUnavailable = Exit::NotToBeHad, "Ask for another one with --aud.";
    /// The store cannot be read or written at the moment.
    StoreUnavailable = Exit::Unreachable, "Try again; administrators see:  journalctl -u iamd";
    /// The account's record does not open with the keys this node has.
    AccountUnreadable = Exit::Failed, "Administrators: restore what is missing or damaged, see journalctl -u iamd. To give it up: iamctl logout NAME";
    /// A change of keys, a backup or a restore is under way.
    MaintenanceRunning = Exit::Failed, "Wait until it is done:  iamctl admin rekey --status";
    /// The key that seals comes from the systemd credential, which only the site can change.
    KeyFromCredential = Exit::Failed, "Put a new line on top of the keyring in the credential, restart iamd, then:  iamctl admin rekey";
    /// A key of the keyring cannot be made, read or taken out.
    KeyringUnusable = Exit::Failed, "Put that right, then:  iamctl admin rekey";
    /// It is not a backup, it is not whole, or the passphrase is another one.
    BackupInvalid = Exit::Failed, "Try the passphrase again, or another copy. To check one:  iamctl admin backup --verify FILE";
    /// There are records already, and a backup does not mix with them.
    StoreNotEmpty = Exit::Failed, "To give up what is there for the backup:  iamctl admin restore --replace FILE";
    /// A file of the site has an error. Where it is read again, what is in force stays.
    ConfigurationInvalid = Exit::Failed, "Administrators: put it right, then:  iamctl admin reload";
    /// The daemon does not answer. Only `iamctl` says this one.
    DaemonUnreachable = Exit::Unreachable, "Administrators: systemctl status iamd";
    /// The token is not one that can be read (RFC 7519). Only `iamctl` says this one.
    TokenOpaque = Exit::Failed, "Only its issuer can read it. What is known of it:  iamctl token --json";
    /// A file or directory cannot be written as a token needs it. Only `iamctl` says this one.
    FileNotWritten = Exit::Failed, "Name a file in a directory of your own, such as your home or $XDG_RUNTIME_DIR.";
    /// A file of another program holds no account that can be taken over. Only `iamctl` says this one.
    AccountFileUnusable = Exit::Failed, "Sign in anew instead:  iamctl account add";
    /// A defect of ours.
    Internal = Exit::Failed, "Please report this with the output of:  iamctl doctor";
}

impl Kind {
    /// The D-Bus name, for example `org.iamd1.Error.LoginRequired`.
    pub fn bus_name(self) -> String {
        format!("{PREFIX}{}", self.short_name())
    }

    /// The kind with that D-Bus name.
    pub fn from_bus_name(name: &str) -> Option<Self> {
        let short = name.strip_prefix(PREFIX)?;
        Self::ALL.iter().copied().find(|kind| kind.short_name() == short)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_comes_back_from_its_name_and_has_a_failing_exit_code() {
        for kind in Kind::ALL {
            assert_eq!(Kind::from_bus_name(&kind.bus_name()), Some(*kind));
            assert_ne!(kind.exit(), Exit::Done);
        }
        assert_eq!(Kind::from_bus_name("org.freedesktop.DBus.Error.Failed"), None);
    }

    #[test]
    fn the_exit_codes_are_those_of_the_manual() {
        assert_eq!(Exit::Usage as u8, 2);
        assert_eq!(Kind::LoginRequired.exit() as u8, 3);
        assert_eq!(Kind::DeniedByPolicy.exit() as u8, 4);
        assert_eq!(Kind::DaemonUnreachable.exit() as u8, 5);
        assert_eq!(Kind::ValidityUnavailable.exit() as u8, 6);
    }
}
