//! Keys, and what is written with them: nothing leaves the process unless it went through
//! [`Keyring::seal`](Keyring::seal).

pub mod backup;
mod change;
mod envelope;
mod guard;
mod keyring;

pub use change::ChangeError;
pub use envelope::{Bound, Kind, OpenError, Opened, SealError};
pub use guard::{
    Cost, GuardError, Whose, mark_of, new_guard, open_guard, open_secrets, seal_secrets,
};
pub use keyring::{KeySources, Keyring, KeyringError};
