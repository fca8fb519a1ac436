//! Types of `org.iamd1.Admin`: the keys that seal the records, backups of them, and whether they
//! are whole.

use zbus::{DeserializeDict, SerializeDict, Type};

use super::PasswordFlowInfo;

/// The options of `Rekey`.
#[derive(Debug, Clone, Default, PartialEq, Eq, SerializeDict, DeserializeDict, Type)]
#[zbus(signature = "dict")]
pub struct RekeyOptions {
    /// Take the keys that seal nothing any more out of the keyring. No new key is made then.
    pub retire: Option<bool>,
}

/// How a change of keys stands: the reply of `Rekey` and `RekeyProgress`.
#[derive(Debug, Clone, Default, PartialEq, Eq, SerializeDict, DeserializeDict, Type)]
#[zbus(signature = "dict")]
pub struct RekeyState {
    /// One of [`super::rekey_state`].
    pub state: String,
    /// The id of the key that seals.
    pub key: String,
    /// Whether that key comes from the systemd credential.
    pub from_credential: bool,
    /// The other keys of the keyring, which only open.
    pub older_keys: Vec<String>,
    /// How many records this run has to seal anew.
    pub total: u64,
    /// How many of them are done.
    pub done: u64,
    /// How many records an older key seals; absent while a run is under way.
    pub remaining: Option<u64>,
    /// Records that do not open, and why: they stay as they are.
    pub unreadable: Vec<String>,
    /// The keys that were taken out of the keyring.
    pub retired: Vec<String>,
    /// Why it stopped, or what is to be known.
    pub message: Option<String>,
    /// When the run began.
    pub started_at: Option<u64>,
    /// When it ended.
    pub ended_at: Option<u64>,
}

/// The options of `Backup`.
#[derive(Debug, Clone, Default, PartialEq, Eq, SerializeDict, DeserializeDict, Type)]
#[zbus(signature = "dict")]
pub struct BackupOptions {
    /// Leave the keyring out: the backup opens only where its keys are.
    pub without_keys: Option<bool>,
}

/// What is in a backup: the reply of `Backup`.
#[derive(Debug, Clone, Default, PartialEq, Eq, SerializeDict, DeserializeDict, Type)]
#[zbus(signature = "dict")]
pub struct BackupReply {
    /// The node it was made on.
    pub node: String,
    /// The daemon that made it.
    pub version: String,
    /// When.
    pub made_at: u64,
    /// How many accounts.
    pub accounts: u64,
    /// How many clients.
    pub clients: u64,
    /// All records: accounts, clients, settings and what else there is.
    pub records: u64,
    /// Answers of issuers that the store did not have yet.
    pub journal: u64,
    /// The keys that seal the records.
    pub keys: Vec<String>,
    /// Whether the keyring is in it.
    pub with_keys: bool,
    /// Accounts whose refresh token the issuer replaces with each use.
    pub rotating: u64,
    /// The size in bytes.
    pub bytes: u64,
    /// SHA-256 over the records, in hexadecimal.
    pub digest: String,
    /// Records that do not open and were left out, and what else is to be known.
    pub remarks: Vec<String>,
}

/// The options of `Restore`.
#[derive(Debug, Clone, Default, PartialEq, Eq, SerializeDict, DeserializeDict, Type)]
#[zbus(signature = "dict")]
pub struct RestoreOptions {
    /// Put the backup in the place of the records that are there.
    pub replace: Option<bool>,
    /// Check everything and change nothing.
    pub verify: Option<bool>,
}

/// What became of `Restore`.
#[derive(Debug, Clone, Default, PartialEq, Eq, SerializeDict, DeserializeDict, Type)]
#[zbus(signature = "dict")]
pub struct RestoreReply {
    /// The node the backup was made on.
    pub node: String,
    /// The daemon that made it.
    pub version: String,
    /// When.
    pub made_at: u64,
    /// How many accounts.
    pub accounts: u64,
    /// How many clients.
    pub clients: u64,
    /// All records.
    pub records: u64,
    /// Answers of issuers in it that went into the accounts.
    pub journal: u64,
    /// Whether the keyring is in it.
    pub with_keys: bool,
    /// Accounts whose refresh token the issuer replaces with each use: one that was used since
    /// the backup is dead.
    pub rotating: u64,
    /// How many records were there before and are gone.
    pub replaced: u64,
    /// Whether the records are in force now.
    pub restored: bool,
    /// The key that seals them now.
    pub key: String,
    /// SHA-256 over the records of the backup, in hexadecimal.
    pub digest: String,
    /// The site's leaves to sign in by password that are in it, as they were then: in force again
    /// with a restore, also those that were taken away since.
    pub password_flows: Vec<PasswordFlowInfo>,
    /// What is to be known.
    pub remarks: Vec<String>,
}

/// What `AcceptStore` did.
#[derive(Debug, Clone, Default, PartialEq, Eq, SerializeDict, DeserializeDict, Type)]
#[zbus(signature = "dict")]
pub struct AcceptReply {
    /// The records that opened no more because a newer one was seen, and hold now.
    pub accepted: Vec<String>,
}

/// Whether the store is whole: the reply of `CheckStore`.
#[derive(Debug, Clone, Default, PartialEq, Eq, SerializeDict, DeserializeDict, Type)]
#[zbus(signature = "dict")]
pub struct StoreReport {
    /// Whether nothing is wrong: the file is sound and every record opens.
    pub sound: bool,
    /// What the store says of its file: `ok`, or the first damage.
    pub integrity: String,
    /// How many accounts.
    pub accounts: u64,
    /// How many clients.
    pub clients: u64,
    /// All records.
    pub records: u64,
    /// Answers of issuers that the store did not take yet.
    pub journal: u64,
    /// The keys of the keyring, the sealing one first.
    pub keys: Vec<String>,
    /// Records that do not open, and why.
    pub unreadable: Vec<String>,
    /// Accounts whose client is not there: their refresh token is of no use.
    pub accounts_without_client: Vec<String>,
    /// Clients of users that no account uses.
    pub clients_without_account: Vec<String>,
}
