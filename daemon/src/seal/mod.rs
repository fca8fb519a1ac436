//! Keys, and what is written with them: nothing leaves the process unless it went through
//! [`Keyring::seal`](Keyring::seal).

mod envelope;
mod keyring;

pub use envelope::{Bound, Kind, OpenError, Opened, SealError};
pub use keyring::{KeySources, Keyring, KeyringError};
