//! The edges: translate what comes in, call [`crate::service`], translate what comes out.

pub mod agent_socket;
pub mod bus;
#[cfg(any(test, feature = "fuzzing"))]
pub mod fuzzing;
pub mod pam_socket;
