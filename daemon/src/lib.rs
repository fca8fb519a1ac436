//! iamd: OAuth2 access tokens for everyone who logs in to a shared cluster.
//!
//! The map of the house is ARCHITECTURE.md. In short: [`edge`] translates what comes in from PAM
//! and D-Bus and calls [`service`], the one door to the rooms ([`token`], [`login`], [`session`],
//! [`token_file`], [`issuer`], [`store`], [`seal`], [`policy`], [`audit`]). The rooms know
//! [`account`] and the protocol crate, not each other.

pub mod account;
pub mod audit;
pub mod clock;
pub mod config;
pub mod edge;
pub mod fault_points;
#[cfg(any(test, feature = "fuzzing"))]
pub mod fuzzing;
pub mod issuer;
pub mod login;
pub mod policy;
pub mod seal;
pub mod service;
pub mod session;
pub mod startup;
pub mod store;
#[cfg(test)]
#[allow(missing_docs)]
pub mod testing;
pub mod token;
pub mod token_file;
pub mod users;
