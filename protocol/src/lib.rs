//! What crosses a boundary in iamd, each thing once.
//!
//! | boundary | module |
//! |---|---|
//! | `pam_iam.so` to `iamd`, over `/run/iamd/pam.sock` | [`pam`] |
//! | `iamctl token` to `iamd`, over `/run/iamd/token.sock` | [`token`] |
//! | any program to `iamd`, over D-Bus `org.iamd1` | [`bus`] |
//! | errors: a D-Bus name, an exit code, a piece of advice | [`error`] |
//! | files and directories | [`paths`] |
//! | environment variables | [`variables`] |
//! | audit records in the journal | [`audit`] |
//!
//! The documentation of these modules is the specification; both sides of each boundary use the
//! same types, so that neither can drift.

pub mod audit;
pub mod bus;
pub mod error;
pub mod names;
pub mod pam;
pub mod paths;
pub mod token;
pub mod variables;
