//! What an account is: the words every room shares, and the state machine. Pure: no I/O here.
//!
//! [`ports`] holds the traits by which the rooms reach each other without knowing each other.

mod cause;
mod checkup;
mod guard;
pub mod identity_rule;
mod issuer_profile;
mod names;
mod password_flow;
mod pending_login;
pub mod ports;
mod record;
mod scope;
mod scope_path;
mod state;
mod time;

pub use guard::{Guard, GuardKey, GuardedSecrets, Guards, PassphraseError};
pub use identity_rule::{ClaimValues, IdentityRule, Mismatch, Proof};
pub use issuer_profile::{
    AudienceParameter, ClientPolicy, Dialect, FixedClient, IssuerProfile, Overrides,
};
pub use names::{AccountKey, AccountName, NameError, Owner};
pub use password_flow::{PASSWORD_GRANT, PasswordFlow};
pub use pending_login::PendingLogin;
pub use record::{
    AccessToken, ClientAuth, ClientOwner, ClientRecord, Record, Rotation, Settings, Subject,
};
pub(crate) use scope::is_steering;
pub use scope::{AudienceSet, ScopeError, ScopeSet};
pub(crate) use scope_path::covers as scope_covers;
pub use state::{Event, State};
pub use time::UnixTime;
